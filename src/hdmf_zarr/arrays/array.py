"""The lazy array that readers get: elements can be set, and rows appended."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
import zarr.dtype
from zarr.abc.codec import ArrayArrayCodec
from zarr.codecs import BloscCodec, BytesCodec, TransposeCodec

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.codec_proof import prove_chain, rounding_filters_of
from hdmf_zarr.arrays.readable import ReadableArray, given
from hdmf_zarr.chunks.missing import (
    meaning_of_missing,
    resized,
    stored_chunks,
    with_count,
)
from hdmf_zarr.codecs import chain_from_codecs
from hdmf_zarr.codecs.chain import default_compressor
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec, PickledObjectsCodec
from hdmf_zarr.codecs.typed_filters import check_kept
from hdmf_zarr.convention import ArrayHeader
from hdmf_zarr.core.dtypes import BYTES, BYTES_ELEMENT_KINDS, ElementType, stored_dtype
from hdmf_zarr.core.elements import (
    TEXT_BYTES,
    decode_elements,
    encode_elements,
    field_widths,
    to_memory,
)
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import (
    DtypeError,
    EncodingError,
    LayoutError,
    LostWriteError,
    ModeError,
    OptionError,
)
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import coordinates_of
from hdmf_zarr.metadata.documents import encode_document, extensions_of
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.metadata.node import array_node, with_shape
from hdmf_zarr.stores.anonymous import without_known_secrets
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location

GROWN_CHUNK_BYTES = 512 * 1024
"""Size up to which the chunk of a small column grows with it, to avoid many chunks of few rows."""


class HDMFZarrArray(ReadableArray):
    """A `zarr.Array` with a length, rows to iterate over, and the elements that HDMF expects.

    Text is returned as objects of ``str``, ASCII text as objects of ``bytes`` (as h5py does), one
    element as a scalar. Appended rows have the same form.

    A pickle for another process contains the array's location and document. For a URL it contains the given
    storage options, without key, secret and token if these are from the environment or a profile, which the
    other process must have as well. Other credentials are in the pickle, and so is everything in a store
    object.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        document = self._hierarchy.documents[self._node_path]
        known = (self._hierarchy.zarr_format, self._hierarchy.is_consolidated)
        place = (without_known_secrets(self._hierarchy.location), self._node_path)
        return _reopen, (type(self), *place, document, self.element_type, *known)

    # -- setting elements ------------------------------------------------------------------------

    def __setitem__(self, selection: Any, value: Any) -> None:
        self._refuse_read_only()
        self._check_filters(value)
        with self._written_anew(), self._hierarchy.attempt():
            self._write(selection, value)

    @contextmanager
    def _written_anew(self) -> Iterator[None]:
        """Drop cached chunks of the array before and after its chunks change."""
        self._hierarchy.cache.forget(self._node_path)
        try:
            yield
        finally:
            self._hierarchy.cache.forget(self._node_path)

    def _write(self, selection: Any, value: Any) -> None:
        stored = self._storable(value)
        one = self._one_element(self._plain(selection))
        if self.element_type.is_variable and one is not None:
            self._zarr_array[one] = stored.reshape((1,) * self.ndim)
            return
        self._zarr_array[self._plain(selection)] = stored

    def _storable(self, value: Any) -> Any:
        """Return values in the form in which they are stored; widen the array if they are too long."""
        if self.element_type.kind in ("number", "fixed_bytes"):
            return value
        values = to_memory(value, self.element_type, _only_text)
        element, data_type = self._widened(values)
        if data_type is not None:
            self._rewrite(np.asarray(self[...]), element, data_type, self.chunks[0])
        return self._encode(values)

    def _check_filters(self, value: Any) -> None:
        """Raise if the filters of the array would not return the written values.

        Raises
        ------
        LayoutError
            If the chain of codecs is wrong, whatever the values are.
        EncodingError
            If the codecs change these values.
        """
        if not self._has_typed_filters:
            return
        try:
            prove_chain(self._document, self._hierarchy.zarr_format)
            if self.element_type.kind == "number":
                values = np.asarray(value, dtype=self.element_type.numpy)
                check_kept(values, rounding_filters_of(self._document))
        except (LayoutError, EncodingError) as error:
            raise type(error)(f"{self._where}: {error}") from error

    # zarr's `oindex`, `vindex` and `blocks` call these methods.

    def set_basic_selection(self, selection: Any, value: Any, **options: Any) -> None:
        """Write a selection, as in zarr."""
        self._set_selected("set_basic_selection", selection, value, **options)

    def set_orthogonal_selection(self, selection: Any, value: Any, **options: Any) -> None:
        """Write a selection, as in zarr."""
        self._set_selected("set_orthogonal_selection", selection, value, **options)

    def set_mask_selection(self, mask: Any, value: Any, **options: Any) -> None:
        """Write a selection, as in zarr."""
        self._set_selected("set_mask_selection", mask, value, **options)

    def set_coordinate_selection(self, selection: Any, value: Any, **options: Any) -> None:
        """Write a selection, as in zarr."""
        self._set_selected("set_coordinate_selection", selection, value, **options)

    def set_block_selection(self, selection: Any, value: Any, **options: Any) -> None:
        """Write a selection, as in zarr."""
        self._set_selected("set_block_selection", selection, value, **options)

    def _set_selected(
        self, how: str, selection: Any, value: Any, *, fields: Any = None, **options: Any
    ) -> None:
        if fields:
            raise OptionError(f"{self._where}: whole rows are set, not the fields {fields!r:.200}")
        self._refuse_read_only()
        self._check_filters(value)
        with self._written_anew(), self._hierarchy.attempt():
            stored = self._storable(value)
            self._method(how)(given(how, selection, self.shape), stored, **options)

    # -- growing ---------------------------------------------------------------------------------

    def resize(self, new_shape: Any) -> None:
        """Change the shape; elements outside the new shape are removed."""
        self._refuse_read_only()
        new_shape = (new_shape,) if isinstance(new_shape, (int, np.integer)) else tuple(new_shape)
        if len(new_shape) != self.ndim:
            raise OptionError(
                f"{self._where} has {self.ndim} dimensions and keeps them, found the shape {new_shape}"
            )
        self._remove_chunks_outside(new_shape)
        document = self._resized([int(size) for size in new_shape], is_written=False)
        if "absent" in (meaning_of_missing(self._document), meaning_of_missing(document)):
            self._hierarchy.count_later(self._node_path)
        self._take_document(document)

    def _remove_chunks_outside(self, new_shape: tuple[int, ...]) -> None:
        """Remove the chunks that are not in both the old and the new shape.

        Leftovers of a failed append outside the old shape would otherwise be visible in the new one.
        """
        document, bytestore = self._document, self._hierarchy.bytestore
        node, resized_node = array_node(document), array_node(with_shape(document, new_shape))
        kept = [*map(min, node.grid, resized_node.grid)]
        for key in list(bytestore.list_prefix(self._node_path)):
            name = key.removeprefix(self._node_path + "/")
            at = coordinates_of(node.chunk_keys, name, len(kept))
            if at is not None and any(n >= count for n, count in zip(at, kept, strict=True)):
                bytestore.delete(key)

    def append(self, data: Any, axis: int = 0) -> tuple[int, ...]:
        """Add rows after the last one and return the new shape.

        Text that is longer than a compound's field, and integers that are too large for the dtype,
        widen the array; values are never truncated.

        Parameters
        ----------
        data : array_like of shape ``(n_rows, ...)``
        axis : int
            Axis along which to append; axes other than the first are for numbers only.
        """
        self._refuse_read_only()
        if self.ndim == 0:
            raise OptionError(f"{self._where} is a scalar: it has no rows to append to")
        if axis != 0:
            if self.element_type.kind != "number":
                raise OptionError("only numbers can be appended along another axis than the first")
            values = np.asarray(data)
            self._check_filters(values)
            start, shape = self.shape[axis], list(self.shape)
            shape[axis] += values.shape[axis]
            self.resize(shape)
            self[(*(slice(None),) * axis, slice(start, None))] = values
            return self.shape
        rows = self._rows_of(data)
        if len(rows):
            self._check_filters(rows)
            with self._hierarchy.attempt():
                self._append_rows(rows)
        return self.shape

    def check_rows(self, data: Any) -> None:
        """Raise the error that `append` would raise for the same rows; nothing is written.

        Parameters
        ----------
        data : array_like of shape ``(n_rows, ...)``

        Raises
        ------
        ModeError, OptionError, EncodingError, DtypeError
            If the array cannot hold the rows.
        """
        if self.read_only:
            self._refuse_read_only()
        rows = self._rows_of(data)
        if not len(rows):
            return
        self._check_filters(rows)
        element, data_type = self._widened(rows)
        if data_type is not None:
            self._check_rewritable(data_type)
        self._encode_as(rows, element, data_type or self.metadata.dtype)

    def _rows_of(self, data: Any) -> npt.NDArray[Any]:
        rows = to_memory(data, self.element_type, _only_text)
        if rows.ndim == self.ndim - 1 or (rows.ndim == 0 and self.ndim == 1):
            rows = rows[np.newaxis]
        if rows.shape[1:] != self.shape[1:]:
            raise OptionError(
                f"{self._where} has rows of shape {self.shape[1:]}, found {rows.shape[1:]}"
            )
        return rows

    def mark(self) -> Callable[[], None]:
        """Return a function that removes the rows that are added from now on."""
        return partial(self._go_back, self._document, self.element_type)

    def _go_back(self, document: dict[str, Any], element: ElementType) -> None:
        if self._document is document:
            return
        node = array_node(document)
        if array_node(self._document).chunk_keys == node.chunk_keys:
            # Nothing is written, so that a full disk does not prevent it.
            self.element_type = element
            self._hierarchy.put_document_back(self._node_path, document)
            self.__dict__.pop("_made_array", None)
            return
        # The chunks of the old document may be gone, so the wider type, or the larger chunk, is kept.
        shape = [node.shape[0], *self.shape[1:]]
        shorter = self._resized(shape, is_written=False)
        if meaning_of_missing(shorter) == "absent":
            self._hierarchy.count_later(self._node_path)
        self._hierarchy.put_document_back(self._node_path, shorter)
        self.__dict__.pop("_made_array", None)

    def extend(self, data: Any) -> None:
        """Add several rows after the last one."""
        if len(data):
            self.append(data)

    def _append_rows(self, rows: npt.NDArray[Any]) -> None:
        count = self.shape[0] + len(rows)
        element, data_type = self._widened(rows)
        chunk_rows = self._grown_chunk_rows(count)
        if data_type is not None or chunk_rows != self.chunks[0] or self._holds_pickles:
            self._rewrite(
                np.concatenate([np.asarray(self[...]), rows]), element, data_type, chunk_rows
            )
            return
        start = self.shape[0]
        document = self._resized([count, *self.shape[1:]], is_written=True)
        # Chunks first, then the document: a reader of the old one never sees half a row.
        grown = Hierarchy(self._hierarchy.bytestore, {"": {}, self._node_path: document})
        array = zarr_view.async_array(grown, self._node_path, present=self._document)
        zarr.Array(array)[start:count] = self._encode(rows)
        self._check_last_chunk(grown, rows)
        self._take_document(document)

    def _check_last_chunk(self, grown: Hierarchy, rows: npt.NDArray[Any]) -> None:
        """Raise `LostWriteError` unless the chunk that already had rows has the new ones as well.

        If a new chunk is lost, it is missing; but this chunk would still exist, with fill values in it.
        Values that filters round are not compared, since they differ anyway.
        """
        if self._has_typed_filters:
            return
        start, unit = self.shape[0], array_node(self._document).stored_chunk[0]
        inside = rows[: -start % unit]
        if inside.size == 0:
            return
        kept = HDMFZarrArray.of_node(grown, self._node_path, self.element_type)
        found = np.asarray(kept[start : start + len(inside)])
        if not _is_same(self._encode(found), self._encode(inside)):
            raise LostWriteError(
                f"{self._where}: rows were added, and the store does not have them; what was there before "
                "is kept: look at the store and its disk, and write again"
            )

    def _widened(self, rows: npt.NDArray[Any]) -> tuple[ElementType, Any]:
        """Return the element type and, if the stored one is too narrow for the rows, a new data type."""
        element = self.element_type
        if element.kind == "compound":
            stored = _record_dtype(self.metadata.dtype)
            if stored is None:  # rows as text have no width
                return element, None
            needed = field_widths(rows, element)
            held = {name: _width(stored[name]) for name in needed}
            if all(held[name] >= width for name, width in needed.items()):
                return element, None
            # Spare width, so that a slowly growing column is not rewritten each time.
            roomy = {
                name: held[name] if held[name] >= width else width + 8
                for name, width in needed.items()
            }
            return element, stored_dtype(element, roomy)
        if element.numpy is not None and rows.dtype != element.numpy:
            if element.kind == "number":
                wide = _wider_integer(element.numpy, rows)
            else:
                wide = np.promote_types(rows.dtype, element.numpy)
                if wide == element.numpy:
                    return element, None
            if wide is None:
                raise DtypeError(
                    f"{self._where} holds {element.numpy.name}; {rows.dtype.name} values cannot be "
                    "appended without loss"
                )
            widened = ElementType(element.kind, wide)
            return widened, stored_dtype(widened)
        return element, None

    def _grown_chunk_rows(self, count: int) -> int:
        """Return the number of rows of a chunk for a grown array; only the single chunk of an array grows.

        If there are several chunks, or the user has chosen their shape, it is kept.
        """
        chunk_rows = self.chunks[0]
        is_one = all(size <= step for size, step in zip(self.shape, self.chunks, strict=True))
        if count <= chunk_rows or not is_one or self.are_chunks_given or self.shards is not None:
            return chunk_rows
        dtype = self._stored_numpy_dtype
        if self._hierarchy.zarr_format == 2 or not may_grow(self.chunks, dtype):
            return chunk_rows
        itemsize = _row_bytes(self.chunks, dtype)
        return min(max(2 * chunk_rows, count, 16), max(chunk_rows, GROWN_CHUNK_BYTES // itemsize))

    @property
    def _holds_pickles(self) -> bool:
        """Whether the chunks are pickles, which are read and never written."""
        return any(isinstance(codec, PickledObjectsCodec) for codec in self._inner_codecs)

    @property
    def _has_typed_filters(self) -> bool:
        """Whether filters compute with the elements, in a dtype that they name."""
        return array_node(self._document).is_native or any(
            isinstance(codec, ArrayArrayCodec) and not isinstance(codec, TransposeCodec)
            for codec in self._inner_codecs
        )

    @property
    def _stored_numpy_dtype(self) -> np.dtype[Any] | None:
        """Dtype of the stored elements; None if they vary in length."""
        dtype = _native(self.metadata.dtype)
        return None if dtype.hasobject or dtype.kind == "T" else dtype

    def _check_rewritable(self, data_type: Any) -> None:
        """Raise `DtypeError` if the chunks cannot be written with another data type."""
        if self.shards is not None:
            raise DtypeError(
                f"{self._hierarchy.uri}:/{self._node_path} is sharded and too narrow for what is "
                "appended; export it with a wider dtype"
            )
        if data_type is not None and self._has_typed_filters:
            raise DtypeError(
                f"{self._where} is too narrow for what is appended, and has filters that are made for its "
                "dtype; export it with a wider one, and with other filters"
            )

    def _rewrite(
        self, values: npt.NDArray[Any], element: ElementType, data_type: Any, chunk_rows: int
    ) -> None:
        """Write all rows again next to the old chunks, then write the document that names the new ones."""
        old = self._document
        self._check_rewritable(data_type)
        data_type = data_type if data_type is not None else self.metadata.dtype
        fill_value = array_document.empty_scalar(data_type)
        if element.kind == "number" and element.numpy is not None:
            fill_value = element.numpy.type(self.metadata.fill_value)
        document = array_document.array_document(
            shape=values.shape,
            data_type=data_type,
            chunk_grid_shape=(chunk_rows, *self.chunks[1:]),
            fill_value=fill_value,
            codecs=_codecs_for(self.metadata.codecs, data_type),  # type: ignore[union-attr]
            dimension_names=array_node(old).dimension_names,
            chunk_key_encoding=self._hierarchy.keys_for_rewrite(self._node_path, self.ndim),
        )
        document |= extensions_of(old)
        document["attributes"] = dict(old.get("attributes") or {})
        header = self._hierarchy.convention.decode_header(document["attributes"])
        if header.element_type is not None and element.numpy is not None:
            document["attributes"].update(
                self._hierarchy.convention.encode_header(
                    ArrayHeader(element_type=element.numpy.name)
                )
            )
        written = Hierarchy(self._hierarchy.bytestore, {"": {}, self._node_path: document})
        array = zarr.Array(zarr_view.async_array(written, self._node_path))
        array[...] = encode_elements(
            values, _as_stored(element, data_type), _record_dtype(data_type)
        )
        self.element_type = element
        self._take_document(with_count(document, None))

    def _resized(self, shape: list[int], *, is_written: bool) -> dict[str, Any]:
        return resized(self._document, shape, is_written=is_written)

    def _take_document(self, document: dict[str, Any]) -> None:
        self._hierarchy.set_document(self._node_path, document)
        self.__dict__.pop("_made_array", None)

    def _encode(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self._encode_as(values, self.element_type, self.metadata.dtype)

    @staticmethod
    def _encode_as(
        values: npt.NDArray[Any], element: ElementType, data_type: Any
    ) -> npt.NDArray[Any]:
        return encode_elements(values, _as_stored(element, data_type), _record_dtype(data_type))

    def update_attributes(self, new_attributes: dict[str, Any]) -> HDMFZarrArray:
        """Change attributes of the node."""
        self._refuse_read_only()
        # As in zarr, which empties these attributes first if it replaces all of them.
        attributes = {**self.metadata.attributes, **new_attributes}
        try:
            encode_document(attributes)
        except (TypeError, ValueError) as error:
            raise EncodingError(f"{self._where}: attributes are stored as JSON: {error}") from error
        self._take_document({**self._document, "attributes": attributes})
        return self

    def _refuse_read_only(self) -> None:
        if self.read_only:
            raise ModeError(
                f"{self._hierarchy.uri}:/{self._node_path} is read-only; open the file with mode 'r+'"
            )
        self._hierarchy.begin()


class ExpandedCompoundArray(HDMFZarrArray):
    """A compound that a release before 0.11.2 expanded to ``(n_rows, n_fields)``.

    Each element is a whole record (or, in the oldest stores, a single value), and only the diagonal is
    valid: field ``k`` of row ``i`` is ``data[i, k][k]``. The array is read-only.
    """

    is_restored = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows."""
        return (array_node(self._document).shape[0],)

    @shape.setter
    def shape(self, value: Any) -> None:
        self.resize(value)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Number of rows of a chunk."""
        return super().chunks[:1]

    def _read(self, selection: Any) -> Any:
        stored = np.asarray(self._zarr_array[...])
        fields = self.element_type.fields
        if stored.dtype.names is None:
            rows = [_row_of_cells(cells, fields) for cells in stored.tolist()]
            texts = np.array([json.dumps(row) for row in rows], dtype=object)
            return decode_elements(texts, self.element_type)[selection]
        records = np.zeros(len(stored), dtype=stored.dtype)
        for position, (name, _) in enumerate(fields):
            records[name] = stored[:, position][name]
        return decode_elements(records, self.element_type)[selection]

    def _selected(
        self, how: str, selection: Any, *, out: Any = None, fields: Any = None, **_options: Any
    ) -> Any:
        if out is not None or how == "get_block_selection":
            raise OptionError(
                f"{self._where} is a compound that was stored wrongly: it is read by its rows, array[...]"
            )
        # For one dimension zarr's selections are the same as numpy's.
        rows = self[...][selection]
        return rows[fields] if fields else rows

    def _refuse_read_only(self) -> None:
        raise ModeError(
            f"{self._where} is a compound that was stored wrongly; export the file to write to it"
        )


def may_grow(chunks: tuple[int, ...], dtype: np.dtype[Any] | None) -> bool:
    """Return whether chunks are so small that they grow with their array.

    Parameters
    ----------
    chunks : tuple of int
    dtype : numpy.dtype or None
        Dtype of the stored elements; None if they vary in length.
    """
    return bool(chunks) and 2 * chunks[0] * _row_bytes(chunks, dtype) <= GROWN_CHUNK_BYTES


def _row_bytes(chunks: tuple[int, ...], dtype: np.dtype[Any] | None) -> int:
    return max(1, (TEXT_BYTES if dtype is None else dtype.itemsize) * math.prod(chunks[1:]))


def _row_of_cells(cells: list[str], fields: tuple[tuple[str, ElementType], ...]) -> list[Any]:
    """Return the values of a row whose cells are stored separately; None for an empty cell."""
    return [
        cell if field.kind in ("text", "ascii") else parsed_json(cell, "a cell") if cell else None
        for cell, (_, field) in zip(cells, fields, strict=True)
    ]


def array_of_node(
    hierarchy: Hierarchy, path: str, header: ArrayHeader, element: ElementType
) -> HDMFZarrArray:
    """Return the lazy array of a node, without a request; an expanded compound is restored.

    Since release 0.11.2 none is expanded; arrays of this package are recognized by their chunk count.
    """
    document = hierarchy.documents[path]
    shape = array_node(document).shape
    is_expanded = (
        header.fields is not None
        and stored_chunks(document) is None
        and element.kind == "compound"
        and len(shape) == 2
        and shape[1] == len(header.fields)
    )
    kind = ExpandedCompoundArray if is_expanded else HDMFZarrArray
    return kind.of_node(hierarchy, path, element)


def open_array(hierarchy: Hierarchy, path: str) -> HDMFZarrArray:
    """Return the lazy array at the path of an array."""
    header = hierarchy.convention.decode_header(hierarchy.attributes(path))
    element = element_type_of_array(hierarchy.documents[path], header)
    return array_of_node(hierarchy, path, header, element)


def _reopen(
    kind: type[HDMFZarrArray],
    location: Location,
    path: str,
    document: dict[str, Any],
    element_type: ElementType,
    zarr_format: int,
    is_consolidated: bool,  # noqa: FBT001 - called by pickle
) -> HDMFZarrArray:
    """Return an array in another process, from the arguments of `HDMFZarrArray.__reduce__`."""
    hierarchy = Hierarchy.sent(
        open_bytestore(location, read_only=True),
        path,
        document,
        zarr_format=zarr_format,
        is_consolidated=is_consolidated,
    )
    return kind.of_node(hierarchy, path, element_type)


def _is_same(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Return whether stored elements are the same; NaN equals NaN."""
    if expected.dtype.hasobject:
        return bool(found.tolist() == expected.tolist())
    return found.astype(expected.dtype).tobytes() == expected.tobytes()


def _wider_integer(dtype: np.dtype[Any], values: npt.NDArray[Any]) -> np.dtype[Any] | None:
    """Return the smallest integer type like ``dtype`` that can also hold other integers, or None."""
    if dtype.kind not in "iu" or values.dtype.kind not in "iu":
        return None
    for itemsize in (1, 2, 4, 8):
        wide = np.dtype(f"{dtype.kind}{itemsize}")
        bounds = np.iinfo(wide)
        if itemsize > dtype.itemsize and bounds.min <= values.min() and values.max() <= bounds.max:
            return wide
    return None


def _only_text(entry: Any) -> str:
    if not isinstance(entry, str):
        raise OptionError(
            f"a dataset of references takes paths here, found {type(entry).__name__}; append to the "
            "dataset that the reader gave"
        )
    return entry


def _record_dtype(data_type: Any) -> np.dtype[Any] | None:
    """Return the stored dtype of records; None for rows stored as text, and for other elements."""
    dtype = _native(data_type)
    return dtype if dtype.names is not None else None


def _as_stored(element: ElementType, data_type: Any) -> ElementType:
    """Return the type of elements in their array, which is bytes if text is stored as bytes."""
    is_bytes = isinstance(data_type, zarr.dtype.VariableLengthBytes)
    return BYTES if is_bytes and element.kind in BYTES_ELEMENT_KINDS else element


def _native(data_type: Any) -> np.dtype[Any]:
    return cast("np.dtype[Any]", data_type.to_native_dtype())


def _width(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize // (4 if dtype.kind == "U" else 1)


def _codecs_for(codecs: tuple[Any, ...], data_type: Any) -> tuple[Any, ...]:
    """Return the codecs with Blosc's element size and the byte order adapted to another data type."""
    chain = chain_from_codecs(codecs)
    itemsize = _native(data_type).itemsize or 1
    fitted = tuple(
        _blosc_for(codec, itemsize) if isinstance(codec, BloscCodec) else _writable(codec)
        for codec in chain.compressors
    )
    serializer = chain.serializer
    if isinstance(serializer, BytesCodec) and serializer.endian is None:
        serializer = BytesCodec(endian="little")
    return (*chain.filters, serializer, *fitted)


def _writable(codec: Any) -> Any:
    return JSONObjectsCodec() if isinstance(codec, PickledObjectsCodec) else codec


def _blosc_for(codec: BloscCodec, itemsize: int) -> BloscCodec:
    return BloscCodec(
        cname=codec.cname,
        clevel=codec.clevel,
        shuffle=codec.shuffle,
        typesize=default_compressor(itemsize).typesize if codec.typesize != 1 else 1,
        blocksize=codec.blocksize,
    )
