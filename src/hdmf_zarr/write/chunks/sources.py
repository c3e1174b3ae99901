"""Sources of elements: memory, a lazy array, an iterator, another store."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from hdmf.data_utils import AbstractDataChunkIterator

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.convention import Reference
from hdmf_zarr.core.dtypes import (
    BYTES,
    BYTES_TYPE,
    TEXT_KINDS,
    ElementType,
    element_type_from_numpy,
)
from hdmf_zarr.core.elements import field_widths, reference_columns, undecodable
from hdmf_zarr.core.regions import are_elements_of, selected_shape
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.hdf5.raw import ChunkTable
from hdmf_zarr.hdf5.source import row_blocks
from hdmf_zarr.write.chunks.arrays import as_elements

Region = tuple[slice, ...]

MEASURED_ROWS = 65536
"""Rows of compounds read in one batch to find the lengths of their texts."""

CHECKED_ROWS = 65536
"""Rows read in one batch to find whether data recorded as ASCII text is text."""


class EncodedChunks(Protocol):
    """The encoded chunks of an array, which can be read one by one."""

    @property
    def where(self) -> str:
        """File and path of the array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk."""

    @property
    def fill_value(self) -> Any:
        """Fill value of chunks that were never written."""

    @property
    def n_chunks(self) -> int:
        """Number of chunks that were written."""

    @property
    def n_bytes(self) -> int:
        """Approximate bytes of the encoded chunks."""

    @property
    def is_checked(self) -> bool:
        """Whether each chunk ends with a checksum that is checked when it is read."""

    def table(self) -> ChunkTable:
        """Return the positions of all chunks, collected in one pass."""

    def name_of(self, table: ChunkTable, index: int) -> str:
        """Return the name of a chunk for error messages."""

    def open_file(self, table: ChunkTable) -> None:
        """Prepare for reads by several threads."""

    def close_file(self) -> None:
        """Undo `open_file`."""

    def read_many(self, table: ChunkTable, indices: Sequence[int]) -> Iterator[bytes | None]:
        """Yield encoded chunks unchanged; None for one that was never written."""

    def decoded(self, table: ChunkTable, index: int) -> npt.NDArray[Any]:
        """Return the elements of a whole chunk."""


class ArraySource(Protocol):
    """Elements that can be read region by region, as in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""

    @property
    def element(self) -> ElementType:
        """Type of the elements."""

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region."""


@dataclass(frozen=True, slots=True)
class MemorySource:
    """An array in memory."""

    values: npt.NDArray[Any]
    element: ElementType

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""
        return self.values.shape

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region."""
        selection: Any = (*region, ...)
        values: npt.NDArray[Any] = self.values[selection]
        return values


@dataclass(frozen=True, slots=True)
class EmptySource:
    """An array without written chunks: it reads as its fill value.

    Attributes
    ----------
    shape : tuple of int
    element : ElementType
    wrapper : object
        Placeholder of the data; a `ZarrDataIO` gets the array to fill.
    """

    shape: tuple[int, ...]
    element: ElementType
    wrapper: Any = None

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Raise: there is nothing to read."""
        raise AssertionError(f"an empty array has no region {region}")


class LazySource:
    """Any object with a shape, a dtype and slicing: dask, zarr and other lazy arrays."""

    def __init__(self, array: Any, element: ElementType | None = None) -> None:
        self.array = array
        try:
            self.shape: tuple[int, ...] = tuple(int(size) for size in array.shape)
        except (TypeError, ValueError) as error:
            raise EncodingError(
                f"a lazy array of the shape {array.shape} does not know its size; compute it first"
            ) from error
        self.element = element or element_type_from_numpy(np.dtype(array.dtype))

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region.

        Raises
        ------
        EncodingError
            If the elements are masked, or have another shape or type than the array declares.
        """
        given = self.array[region]
        # numpy.asarray of a dask array would return the values under a mask as elements.
        given = given.compute() if hasattr(given, "compute") else given
        values = as_elements(np.asanyarray(given), self.element, "a lazy array")
        shape = selected_shape(region, self.shape)
        assert shape is not None
        if not are_elements_of(values.shape, shape):
            raise EncodingError(
                f"a lazy array of the shape {self.shape} gave elements of the shape {values.shape} in place "
                f"of {shape}"
            )
        return values.reshape(shape)


class ZarrSource:
    """A lazy array of a store of this package, with references rewritten for another store."""

    def __init__(self, array: HDMFZarrArray, retarget: Any) -> None:
        self.array = array
        self.shape = array.shape
        self.element = array.element_type
        self._retarget = retarget
        self._known: dict[str, str] = {}
        if self.element.kind in TEXT_KINDS and self._is_no_text():
            self.element = BYTES

    def _is_no_text(self) -> bool:
        """Whether elements recorded as ASCII text, and stored as bytes, are not all text."""
        node = self.array.hierarchy.array(self.array.node_path)
        if node.data_type != BYTES_TYPE:
            return False
        regions = row_blocks(self.shape, CHECKED_ROWS)
        return any(undecodable(np.atleast_1d(self.read(region))) for region in regions)

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region."""
        values = np.asarray(
            self.array[region if self.shape else ()], dtype=self.element.memory_dtype
        )
        if self.element.kind == "reference":
            return self._retargeted(values)
        if "reference" in self.element.kinds:
            values = values.copy()
            for column in reference_columns(values, self.element):
                column[...] = self._retargeted(column)
        return values

    def _retargeted(self, texts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        result = np.empty(texts.size, dtype=object)
        result[:] = [self._text(text) for text in texts.ravel()]
        return result.reshape(texts.shape)

    def _text(self, text: str) -> str:
        if text not in self._known:
            reference: Reference | None
            reference = self.array.hierarchy.convention.decode_element(text)
            self._known[text] = "" if reference is None else self._retarget(reference)
        return self._known[text]


_begun: dict[int, weakref.ref[Any]] = {}


def note_begun(iterator: Any) -> None:
    """Record that data were requested from an iterator, which does not yield them again."""
    key = id(iterator)
    if key not in _begun:
        with contextlib.suppress(TypeError):  # the class allows no weak references
            _begun[key] = weakref.ref(iterator, lambda _gone: _begun.pop(key, None))


def was_begun(iterator: Any) -> bool:
    """Whether an earlier write, successful or not, has requested data from an iterator."""
    reference = _begun.get(id(iterator))
    return reference is not None and reference() is iterator


@dataclass(frozen=True, slots=True)
class IteratorSource:
    """An iterator of HDMF that yields the data chunk by chunk."""

    iterator: AbstractDataChunkIterator
    element: ElementType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RawSource:
    """A dataset whose encoded chunks are copied unchanged, one by one or into shards.

    Attributes
    ----------
    chunks : EncodedChunks
    element : ElementType
    has_checksum : bool
        Whether the chunks already end with their CRC-32C.
    """

    chunks: EncodedChunks
    element: ElementType
    has_checksum: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""
        return self.chunks.shape

    @property
    def n_bytes(self) -> int:
        """Bytes of the encoded chunks."""
        return self.chunks.n_bytes


@dataclass(frozen=True, slots=True)
class ChunkCopySource:
    """An array of another store whose encoded chunks are copied unchanged."""

    array: HDMFZarrArray
    element: ElementType

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""
        return self.array.shape

    @property
    def n_bytes(self) -> int:
        """Bytes of the decoded chunks: the encoded sizes are not requested."""
        return math.prod(self.shape) * self.element.memory_dtype.itemsize


def widths_of(source: ArraySource) -> dict[str, int]:
    """Return the longest text, in characters, of each variable field of a compound."""
    widths: dict[str, int] = {}
    if source.element.kind != "compound" or isinstance(source, EmptySource):
        return widths
    if not source.element.holds_variable:
        return widths
    for region in row_blocks(source.shape, MEASURED_ROWS):
        for name, width in field_widths(source.read(region), source.element).items():
            widths[name] = max(width, widths.get(name, 1))
    return widths


def check_unchanged(source: Any) -> None:
    """Raise if the store that a source reads was replaced meanwhile.

    Raises
    ------
    MetadataError
    """
    array = getattr(getattr(source, "chunks", source), "array", None)
    if isinstance(array, HDMFZarrArray):
        array.hierarchy.check_unchanged(array.node_path)
