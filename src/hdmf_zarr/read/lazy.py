"""Lazy datasets of references and of compounds, resolved when they are indexed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from hdmf.build import ReferenceBuilder
from hdmf.container import AbstractContainer
from hdmf.query import BuilderResolver, ContainerResolver, HDMFDataset, ReferenceResolver

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.chunks.indexing import split_fields
from hdmf_zarr.core.dtypes import ElementType, field_dtype_name
from hdmf_zarr.core.elements import (
    REFERENCE_TYPES,
    give_nested_text_as_bytes,
    reference_columns,
    to_memory,
)
from hdmf_zarr.errors import EncodingError, OptionError
from hdmf_zarr.read.references import ReadingIO


class ZarrDataset(HDMFDataset):  # type: ignore[misc]
    """An array of a store, with the `ZarrIO` that read it.

    Rows that refer to containers without a path in the file are pending: they stay in memory until the next
    write (`flush_pending`) gives their targets a path.
    """

    def __init__(
        self, dataset: HDMFZarrArray, io: ReadingIO, *, pending: list[Any] | None = None
    ) -> None:
        super().__init__(dataset=dataset)
        self.__io = io
        self._pending: list[Any] = [] if pending is None else pending

    def mark(self) -> Callable[[], None]:
        """Return a function that removes the rows added after this call."""
        undo, n_pending = self.dataset.mark(), len(self._pending)

        def go_back() -> None:
            del self._pending[n_pending:]
            undo()

        return go_back

    @property
    def io(self) -> ReadingIO:
        """The IO that read the array."""
        return self.__io

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array, including pending rows."""
        shape: tuple[int, ...] = self.dataset.shape
        return (shape[0] + len(self._pending), *shape[1:]) if self._pending else shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def maxshape(self) -> tuple[None, ...]:
        """None for each dimension, since every dimension can grow."""
        return (None,) * self.ndim

    @property
    def name(self) -> str:
        """Path in the store, with a leading slash."""
        return "/" + str(self.dataset.node_path)

    def __len__(self) -> int:
        return self.shape[0]


class DatasetOfReferences(ZarrDataset, ReferenceResolver):  # type: ignore[misc]
    """A dataset whose elements are or hold references, which are resolved on access."""

    inverted: DatasetOfReferences | None = None
    """The dataset that `invert` returned earlier."""

    @abstractmethod
    def get_object(self, reference: str) -> Any:
        """Return the builder or container to which an element refers."""

    def invert(self) -> DatasetOfReferences:
        """Return the dataset that resolves to containers instead of builders, or the reverse."""
        if self.inverted is None:
            # Both represent one dataset, so they share their pending rows.
            inverted = self.get_inverse_class()(self.dataset, self.io, pending=self._pending)
            self.inverted, inverted.inverted = inverted, self
        return self.inverted

    def _resolve(self, reference: str) -> Any:
        return None if reference == "" else self.get_object(reference)

    def _values(self, key: Any) -> Any:
        """Return the elements of the array followed by the pending rows."""
        if not self._pending:
            return self.dataset[key]
        stored = np.asarray(self.dataset[...])
        rows = np.empty(len(self._pending), dtype=stored.dtype)
        rows[:] = self._pending
        return np.concatenate([stored, rows])[key]

    def append(self, arg: Any) -> None:
        """Add a row; it may refer to containers that the next write writes."""
        row, is_complete = self._encoded_row(arg)
        if is_complete and not self._pending:
            self.dataset.append([row])
        else:  # a complete row is also pending after other pending rows, to keep the order
            self._pending.append(self._pending_row(arg))
            self.io.references.note_pending(self)

    def check_rows(self, rows: Any) -> None:
        """Raise the error that `append` would raise for these rows; write nothing."""
        encoded = [self._encoded_row(row)[0] for row in rows]
        self.dataset.check_rows(encoded)

    def extend(self, args: Any) -> None:
        """Add several rows."""
        for arg in args:
            self.append(arg)

    def flush_pending(self) -> None:
        """Write the pending rows whose targets have a path now; on an error all rows are pending again."""
        waiting, go_back = list(self._pending), self.dataset.mark()
        self._pending.clear()
        try:
            for row in waiting:
                self.append(row)
        except BaseException:
            go_back()
            self._pending[:] = waiting
            raise

    @property
    def n_pending(self) -> int:
        """Number of pending rows."""
        return len(self._pending)

    def pending(self) -> Callable[[], None]:
        """Return a function that restores the current pending rows."""
        return partial(self._wait_again, list(self._pending))

    def _wait_again(self, rows: list[Any]) -> None:
        self._pending[:] = rows

    def drop_pending(self) -> None:
        """Discard the pending rows."""
        self._pending.clear()

    @abstractmethod
    def _encoded_row(self, arg: Any) -> tuple[Any, bool]:
        """Return the encoded row for the array, and whether each of its targets has a path."""

    def _encoded_target(self, target: Any) -> str | None:
        """Return the element for a target; None if the target has no path yet."""
        if target is None:
            return ""
        if not isinstance(target, REFERENCE_TYPES):
            raise EncodingError(
                f"{self.dataset.hierarchy.uri}:{self.name}: a reference is to a container or a builder, "
                f"found {target!r:.100} of type {type(target).__name__}"
            )
        return self.io.references.element_of_target(self.dataset, target)

    def _pending_row(self, arg: Any) -> Any:
        return arg


class BuilderResolverMixin(BuilderResolver):  # type: ignore[misc]
    """Resolves references to builders."""

    def get_object(self, reference: str) -> Any:
        """Return the builder of a reference's target."""
        if isinstance(reference, AbstractContainer):
            return self.io.manager.get_builder(reference)
        return self.io.references.builder_of_element(self.dataset, reference)


class ContainerResolverMixin(ContainerResolver):  # type: ignore[misc]
    """Resolves references to containers."""

    def get_object(self, reference: str) -> Any:
        """Return the container of a reference's target."""
        if isinstance(reference, AbstractContainer):
            return reference
        builder = self.io.references.builder_of_element(self.dataset, reference)
        return self.io.references.container_of(builder)


class AbstractZarrReferenceDataset(DatasetOfReferences):
    """A dataset of references."""

    @property
    def dtype(self) -> str:
        """HDMF's name of the type."""
        return "object"

    def __getitem__(self, key: Any) -> Any:
        values = self._values(key)
        if isinstance(values, np.ndarray):
            return _nested(values, self._resolve)
        return self._resolve(values)

    def __iter__(self) -> Iterator[Any]:
        yield from self[:]

    def _encoded_row(self, arg: Any) -> tuple[Any, bool]:
        text = self._encoded_target(arg)
        return text or "", text is not None


class AbstractZarrTableDataset(DatasetOfReferences):
    """A dataset of compounds; fields that are references are resolved."""

    @property
    def types(self) -> list[Any]:
        """Type of each field: `ReferenceBuilder`, ``str`` or a numpy scalar type."""
        return [_type_of_field(field) for _, field in self.dataset.element_type.fields]

    @property
    def dtype(self) -> list[str]:
        """HDMF's name of the type of each field."""
        return [field_dtype_name(field) for _, field in self.dataset.element_type.fields]

    def __getitem__(self, key: Any) -> Any:
        fields, key = split_fields(key)
        rows = self._rows(key)
        return rows if fields is None else rows[fields]

    def _rows(self, key: Any) -> Any:
        rows = self._values(key)
        resolved = np.asarray(rows)
        for column in reference_columns(resolved, self.dataset.element_type):
            targets = np.empty(column.size, dtype=object)
            targets[:] = [self._resolve(entry) for entry in column.ravel()]
            column[...] = targets.reshape(column.shape)
        if self.dataset.element_type.is_nested:
            give_nested_text_as_bytes(resolved, self.dataset.element_type)
        return resolved[()] if isinstance(rows, np.void) else resolved

    def resolve(self, manager: Any) -> Any:
        """Return all rows with their references resolved."""
        return self[...]

    def __iter__(self) -> Iterator[Any]:
        yield from self[...]

    def _encoded_row(self, arg: Any) -> tuple[Any, bool]:
        element = self.dataset.element_type
        values = list(arg)
        if len(values) != len(element.fields):
            raise OptionError(
                f"{self.dataset.hierarchy.uri}:{self.name}: a row has {len(values)} values, the "
                f"compound {len(element.fields)} fields"
            )
        if element.is_nested and "reference" in element.kinds:
            return self._encoded_nested_row(tuple(values))
        is_complete = True
        for position, (_, field) in enumerate(element.fields):
            if field.kind == "reference":
                text = self._encoded_target(values[position])
                values[position] = text or ""
                is_complete &= text is not None
        return tuple(values), is_complete

    def _encoded_nested_row(self, row: tuple[Any, ...]) -> tuple[Any, bool]:
        texts: list[str | None] = []

        def encoded(target: Any) -> str:
            texts.append(self._encoded_target(target))
            return texts[-1] or ""

        values = to_memory(row, self.dataset.element_type, encoded)
        return values[()], None not in texts

    def _pending_row(self, arg: Any) -> Any:
        return tuple(arg)


class BuilderZarrReferenceDataset(BuilderResolverMixin, AbstractZarrReferenceDataset):
    """References resolved to builders."""

    @classmethod
    def get_inverse_class(cls) -> type[DatasetOfReferences]:
        """The class that resolves to containers."""
        return ContainerZarrReferenceDataset


class ContainerZarrReferenceDataset(ContainerResolverMixin, AbstractZarrReferenceDataset):
    """References resolved to containers."""

    @classmethod
    def get_inverse_class(cls) -> type[DatasetOfReferences]:
        """The class that resolves to builders."""
        return BuilderZarrReferenceDataset


class BuilderZarrTableDataset(BuilderResolverMixin, AbstractZarrTableDataset):
    """Compounds with references resolved to builders."""

    @classmethod
    def get_inverse_class(cls) -> type[DatasetOfReferences]:
        """The class that resolves to containers."""
        return ContainerZarrTableDataset


class ContainerZarrTableDataset(ContainerResolverMixin, AbstractZarrTableDataset):
    """Compounds with references resolved to containers."""

    @classmethod
    def get_inverse_class(cls) -> type[DatasetOfReferences]:
        """The class that resolves to builders."""
        return BuilderZarrTableDataset


def _type_of_field(field: ElementType) -> Any:
    if field.kind == "compound" or field.shape:
        return np.void
    if field.kind == "reference":
        return ReferenceBuilder
    return str if field.numpy is None else field.numpy.type


def _nested(values: npt.NDArray[Any], resolve: Any) -> list[Any]:
    return [
        _nested(entry, resolve) if isinstance(entry, np.ndarray) else resolve(entry)
        for entry in values
    ]
