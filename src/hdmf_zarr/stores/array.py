"""The lazy array that readers hand out: a `zarr.Array` that behaves as HDMF expects of a dataset."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
import zarr.dtype
from zarr.abc.codec import ArrayArrayCodec, BytesBytesCodec
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, BytesCodec, ShardingCodec, TransposeCodec
from zarr.storage import StorePath

from hdmf_zarr.codecs import chain_from_codecs
from hdmf_zarr.codecs.chain import default_compressor
from hdmf_zarr.codecs.direct import DECODING_ERRORS
from hdmf_zarr.codecs.objects import OBJECT_CODECS, JSONObjectsCodec, PickledObjectsCodec
from hdmf_zarr.convention import ArrayHeader
from hdmf_zarr.dtypes import (
    ASCII,
    BYTES,
    BYTES_ELEMENT_KINDS,
    BYTES_TYPE,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    element_type_from_name,
    element_type_from_numpy,
    stored_dtype,
)
from hdmf_zarr.elements import decode_elements, encode_elements, field_widths, to_memory
from hdmf_zarr.errors import (
    ChunkError,
    DtypeError,
    HDMFZarrError,
    LostWriteError,
    MetadataError,
    ModeError,
    OptionError,
)
from hdmf_zarr.stores import compat, format2
from hdmf_zarr.stores.blocks import BlockReader
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.cache import memory_index
from hdmf_zarr.stores.chunk_keys import coordinates_of
from hdmf_zarr.stores.hierarchy import Hierarchy
from hdmf_zarr.stores.location import Location
from hdmf_zarr.stores.presence import (
    grid_of,
    meaning_of_missing,
    resized,
    stored_chunks,
    with_count,
)

GROWN_CHUNK_BYTES = 512 * 1024
"""Up to this size the chunk of a small column grows with it, instead of one chunk a few rows."""

CHECKSUMS = frozenset(
    {"crc32c", "numcodecs.crc32", "numcodecs.crc32c", "numcodecs.adler32", "numcodecs.fletcher32"}
    | {"numcodecs.jenkins_lookup3"}
)
SHUFFLE = "numcodecs.shuffle"

_TEXT_TYPES = {
    "object_reference": REFERENCE,
    "object": REFERENCE,
    "ascii": ASCII,
    "isodatetime": ISODATETIME,
    "bytes": ASCII,
}


_TYPES_IN_BYTES = {"ascii": ASCII, "isodatetime": ISODATETIME, "bytes": BYTES}
"""What elements that are stored as bytes, or recorded as such in a compound, may be more than that."""


def element_type_of_array(document: dict[str, Any], header: ArrayHeader) -> ElementType:
    """Return what the elements of an array are, from its document and its reserved attributes.

    Raises
    ------
    MetadataError
        If zarr does not know the data type.
    """
    if format2.BROKEN in document:
        return TEXT
    name = document["data_type"]
    if not isinstance(name, (str, dict)):
        raise MetadataError(f"data type {name!r:.200} is not known")
    name = name.get("name") if isinstance(name, dict) else name
    if header.fields is not None and name == "string":
        return _recorded_fields(header)
    _check_recorded_type(document, str(name), header)
    if name == "string" and header.scalar and _holds_objects(document):
        return REFERENCE  # one text is stored as text
    if name == "string":
        return _TEXT_TYPES.get(header.element_type or "str", TEXT)
    if name == BYTES_TYPE:
        return _TYPES_IN_BYTES.get(header.element_type or header.bytes_type, BYTES)
    try:
        data_type = compat.readable_document(document)["data_type"]
        element = _element_of_data_type(json.dumps(data_type))
    except (ValueError, KeyError, TypeError) as error:
        raise MetadataError(
            f"data type {document['data_type']!r:.200} is not known: {error}"
        ) from error
    if element.kind == "compound":
        return ElementType(
            "compound",
            fields=tuple(
                (field, _field_type(field, type_, header)) for field, type_ in element.fields
            ),
        )
    if element.kind == "text" and header.element_type:
        return _TEXT_TYPES.get(header.element_type, TEXT)
    if element.numpy is not None and _is_big_endian(document):
        return ElementType(element.kind, element.numpy.newbyteorder(">"))
    return element


@lru_cache(maxsize=1024)
def _element_of_data_type(spelled: str) -> ElementType:
    data_type: Any = json.loads(spelled)
    dtype = zarr.dtype.parse_dtype(data_type, zarr_format=3).to_native_dtype()
    return element_type_from_numpy(cast("np.dtype[Any]", dtype))


def _recorded_fields(header: ArrayHeader) -> ElementType:
    """The type of compounds whose rows are stored as objects, by what the store records of them."""
    types = []
    for name, spelled in header.fields or ():
        element = element_type_from_name(spelled) if spelled != "bytes_" else ASCII
        if element is ASCII:
            element = _TYPES_IN_BYTES.get((header.field_types or {}).get(name, "ascii"), ASCII)
        if element is None:
            raise MetadataError(
                f"field {name!r} has the dtype {spelled!r}, which does not say its type"
            )
        types.append((name, element))
    return ElementType("compound", fields=tuple(types))


def _check_recorded_type(document: dict[str, Any], name: str, header: ArrayHeader) -> None:
    """Refuse a recorded type that the array cannot have: references in numbers, fields in none."""
    holds_objects = name in ("string", BYTES_TYPE)
    if header.element_type in ("object", "object_reference") and not holds_objects:
        raise MetadataError(
            f"references are recorded for an array of {document['data_type']!r:.100}"
        )
    if header.fields is None:
        return
    if name not in ("struct", "structured"):
        raise MetadataError(
            f"a compound is recorded for an array of {document['data_type']!r:.100}"
        )
    stored = [
        field["name"] if isinstance(field, dict) else field[0]
        for field in document["data_type"]["configuration"]["fields"]
    ]
    recorded = [field for field, _ in header.fields]
    if stored != recorded:
        raise MetadataError(
            f"the fields {recorded!r:.200} are recorded for those of {stored!r:.200}"
        )


def _field_type(name: str, stored: ElementType, header: ArrayHeader) -> ElementType:
    if name in header.reference_fields:
        return REFERENCE
    recorded = (header.field_types or {}).get(name)
    if recorded == "bytes":
        return BYTES
    if recorded is not None and stored.kind == "text":
        return _TEXT_TYPES.get(recorded, TEXT)
    return stored


def _written_layout(
    document: Mapping[str, Any],
) -> tuple[tuple[int, ...], tuple[int, ...] | None] | None:
    """Shapes of chunks and shards as a document says them; None for zarr to say, or to refuse."""
    if format2.BROKEN in document or document.get(format2.NATIVE):
        return None
    try:
        grid, codecs = document["chunk_grid"], document["codecs"]
        if grid["name"] != "regular":
            return None
        outer = tuple(map(int, grid["configuration"]["chunk_shape"]))
        if codecs[0]["name"] != "sharding_indexed":
            return outer, None
        return tuple(map(int, codecs[0]["configuration"]["chunk_shape"])), outer
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _holds_objects(document: dict[str, Any]) -> bool:
    return any(codec["name"] in OBJECT_CODECS for codec in document.get("codecs", ()))


def _is_big_endian(document: dict[str, Any]) -> bool:
    codecs = list(document.get("codecs", ()))
    while codecs:
        codec = codecs.pop()
        configuration = codec.get("configuration", {}) if isinstance(codec, dict) else {}
        codecs += configuration.get("codecs", ())
        if isinstance(codec, dict) and codec.get("name") == "bytes":
            return bool(configuration.get("endian") == "big")
    return False


class HDMFZarrArray(zarr.Array):  # type: ignore[type-arg]
    """A `zarr.Array` with a length, rows to iterate over, and the elements that HDMF expects.

    Text is given as objects of ``str``, ASCII text as objects of ``bytes`` (as h5py does), one
    element as a scalar. zarr's own array is made when it is first needed.
    """

    _hierarchy: Hierarchy
    _node_path: str
    element_type: ElementType
    is_restored = False
    """Whether the elements are not stored one by one, see `ExpandedCompoundArray`."""

    @classmethod
    def of_node(cls, hierarchy: Hierarchy, path: str, element_type: ElementType) -> HDMFZarrArray:
        """Return the array at a path, without a request to the store."""
        array = cls.__new__(cls)
        array._hierarchy = hierarchy
        array._node_path = path
        array.element_type = element_type
        return array

    @property
    def _async_array(self) -> zarr.AsyncArray[Any]:
        made = self.__dict__.get("_made_array")
        if made is None:
            made = self.__dict__["_made_array"] = self._hierarchy.async_array(
                self._node_path, present=self._document
            )
        return made

    @_async_array.setter
    def _async_array(self, array: zarr.AsyncArray[Any]) -> None:
        self.__dict__["_made_array"] = array

    def __reduce__(self) -> tuple[Any, ...]:
        document = self._hierarchy.documents[self._node_path]
        known = (self._hierarchy.zarr_format, self._hierarchy.is_consolidated)
        place = (self._hierarchy.location, self._node_path)
        return _reopen, (type(self), *place, document, self.element_type, *known)

    # -- as HDMF and its clients use a dataset ---------------------------------------------------

    @property
    def hierarchy(self) -> Hierarchy:
        """The store's metadata, of which this array is a node."""
        return self._hierarchy

    @property
    def node_path(self) -> str:
        """Path in the store, without slashes at its ends."""
        return self._node_path

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""
        return tuple(self._hierarchy.documents[self._node_path]["shape"])

    @shape.setter
    def shape(self, value: Any) -> None:
        self.resize(value)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def store(self) -> Store:
        """The store as zarr-python takes it."""
        return self._hierarchy.bytestore.zarr_store

    @property
    def store_path(self) -> StorePath:
        """The store, and the path in it."""
        return StorePath(self.store, self._node_path)

    @property
    def maxshape(self) -> tuple[None, ...]:
        """Every dimension can grow."""
        return (None,) * self.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the arrays that indexing gives; ``object`` for text."""
        return self.element_type.memory_dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk; of an array in shards, of the chunks in them."""
        layout = _written_layout(self._document)
        return super().chunks if layout is None else layout[0]

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Shape of a shard; None without shards."""
        layout = _written_layout(self._document)
        return super().shards if layout is None else layout[1]

    @property
    def compressor(self) -> BytesBytesCodec | None:  # type: ignore[override]
        """The codec that compresses the chunks, or None; checksums do not, and a shuffle only prepares it."""
        found = [
            codec
            for codec in self._inner_codecs
            if isinstance(codec, BytesBytesCodec) and codec.to_dict()["name"] not in CHECKSUMS
        ]
        found.sort(key=lambda codec: codec.to_dict()["name"] == SHUFFLE)
        return found[0] if found else None

    @property
    def _inner_codecs(self) -> tuple[Any, ...]:
        if self._document.get(format2.NATIVE):
            found = self.compressors
            return tuple(codec for codec in found if isinstance(codec, BytesBytesCodec))
        codecs = self.metadata.codecs  # type: ignore[union-attr]
        return codecs[0].codecs if isinstance(codecs[0], ShardingCodec) else codecs

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of the scalar {self._hierarchy.uri}:/{self._node_path}")
        return self.shape[0]

    def __bool__(self) -> bool:
        # As h5py's datasets: HDMF leaves the columns of a table out that are false.
        return True

    def __iter__(self) -> Iterator[Any]:
        rows = max(1, self.chunks[0]) if self.shape else 1
        for start in range(0, len(self), rows):
            yield from self[start : start + rows]

    def __getitem__(self, selection: Any) -> Any:
        kept = self._hierarchy.cache.rows(self._node_path, self.element_type, selection)
        if kept is not None and not self.is_restored:
            return _own(kept[0])
        where = str(self._where)
        if format2.BROKEN in self._document:
            raise MetadataError(f"{where}: {self._document[format2.BROKEN]}")
        try:
            values = self._read(selection)
            if not self._hierarchy.check_unchanged(self._node_path):
                values = self._read(selection)
                self._hierarchy.check_unchanged(self._node_path)
            return values
        except HDMFZarrError as error:
            self._hierarchy.check_unchanged(self._node_path)
            if where in str(error):
                raise
            if isinstance(error, MetadataError):
                self._tell_damage(selection)
            raise type(error)(f"{where}: {error}") from error
        except Exception as error:
            self._hierarchy.check_unchanged(self._node_path)
            self._tell_damage(selection)
            # Of zarr, which did not like the selection, or of the store.
            error.add_note(f"while {where} was read")
            raise

    def _tell_damage(self, selection: Any) -> None:
        """Raise `ChunkError` for the first chunk of a selection whose codecs fail on it.

        zarr-python lets errors of any kind out of them, and none names the chunk.
        """
        index = memory_index(self._plain(selection), self.shape)
        for region in _chunk_regions(index, self.shape, self.chunks) if index is not None else ():
            try:
                super().__getitem__(region)
            except DECODING_ERRORS as error:  # with those of ours
                if getattr(error, "errno", None) is not None:  # of the store
                    raise
                at = tuple(part.start for part in region)
                raise ChunkError(
                    f"{self._where}: the chunk at {at} does not decode: {error}"
                ) from error

    def _read(self, selection: Any) -> Any:
        plain = self._plain(selection)
        index = memory_index(plain, self.shape)
        if index is not None:
            found = self._hierarchy.cache.select(self._node_path, self.element_type, index)
            if found is not None:
                return _own(found[0])
            block = self._read_block(index)
            if block is not None:
                return block[()] if block.ndim == 0 else block
        if self.element_type.is_variable:
            # One text alone would lose the NULs at its end on its way through numpy.
            if self.ndim == 0:
                scalar = np.asarray(compat.run(compat.read_scalar(self._async_array)))
                return decode_elements(scalar, self.element_type)[()]
            if (one := self._one_element(plain)) is not None:
                return decode_elements(_objects(super().__getitem__(one)), self.element_type).item()
        values = decode_elements(np.asarray(super().__getitem__(plain)), self.element_type)
        return values[()] if values.ndim == 0 else values

    def _read_block(self, index: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        if self.element_type.kind != "number" or self.is_restored:
            return None
        reader = BlockReader.of(self._hierarchy.bytestore, self._node_path, self._document)
        return reader.read(index) if reader is not None else None

    def _one_element(self, selection: Any) -> tuple[slice, ...] | None:
        """The slices for a selection of one element, or None for another selection."""
        indices = selection if isinstance(selection, tuple) else (selection,)
        if len(indices) != self.ndim or not all(type(index) is int for index in indices):
            return None
        for index, size in zip(indices, self.shape, strict=True):
            if not -size <= index < size:
                raise IndexError(
                    f"index {index} is out of bounds for {self._where} with {size} rows"
                )
        return tuple(
            slice(index % size, index % size + 1)
            for index, size in zip(indices, self.shape, strict=True)
        )

    def _plain(self, selection: Any) -> Any:
        return _plain_selection(selection, self.shape[0] if self.ndim > 1 else None)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: FBT001 - numpy
        if copy is False:
            raise ValueError(f"{self._where} is not in memory: its elements are always a copy")
        values = np.asarray(self[...])
        return values if dtype is None else values.astype(dtype)

    def astype(self, dtype: Any) -> npt.NDArray[Any]:
        """Return all elements in another dtype, in memory."""
        return np.asarray(self[...]).astype(dtype)

    def __setitem__(self, selection: Any, value: Any) -> None:
        self._refuse_read_only()
        with self._written_anew(), self._hierarchy.attempt():
            self._write(selection, value)

    @contextmanager
    def _written_anew(self) -> Iterator[None]:
        """What is kept of the array is dropped, before its chunks change and after."""
        self._hierarchy.cache.forget(self._node_path)
        try:
            yield
        finally:
            self._hierarchy.cache.forget(self._node_path)

    # Under `oindex`, `vindex` and `blocks` of zarr, as under `__getitem__`.

    def get_basic_selection(self, *args: Any, **kwargs: Any) -> Any:
        """Read a selection, as zarr does."""
        return self._of_one_store(super().get_basic_selection, *args, **kwargs)

    def get_orthogonal_selection(self, *args: Any, **kwargs: Any) -> Any:
        """Read a selection, as zarr does."""
        return self._of_one_store(super().get_orthogonal_selection, *args, **kwargs)

    def get_mask_selection(self, *args: Any, **kwargs: Any) -> Any:
        """Read a selection, as zarr does."""
        return self._of_one_store(super().get_mask_selection, *args, **kwargs)

    def get_coordinate_selection(self, *args: Any, **kwargs: Any) -> Any:
        """Read a selection, as zarr does."""
        return self._of_one_store(super().get_coordinate_selection, *args, **kwargs)

    def get_block_selection(self, *args: Any, **kwargs: Any) -> Any:
        """Read a selection, as zarr does."""
        return self._of_one_store(super().get_block_selection, *args, **kwargs)

    def _of_one_store(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What is read, unless the store has changed meanwhile: of all errors then this is the cause."""
        try:
            values = read(*args, **kwargs)
        except Exception:
            self._hierarchy.check_unchanged(self._node_path)
            raise
        if not self._hierarchy.check_unchanged(self._node_path):
            values = read(*args, **kwargs)
            self._hierarchy.check_unchanged(self._node_path)
        return values

    # Under `__setitem__`, `oindex`, `vindex` and `blocks` of zarr.

    def set_basic_selection(self, *args: Any, **kwargs: Any) -> None:
        """Write a selection, as zarr does."""
        with self._written_anew():
            super().set_basic_selection(*args, **kwargs)

    def set_orthogonal_selection(self, *args: Any, **kwargs: Any) -> None:
        """Write a selection, as zarr does."""
        with self._written_anew():
            super().set_orthogonal_selection(*args, **kwargs)

    def set_mask_selection(self, *args: Any, **kwargs: Any) -> None:
        """Write a selection, as zarr does."""
        with self._written_anew():
            super().set_mask_selection(*args, **kwargs)

    def set_coordinate_selection(self, *args: Any, **kwargs: Any) -> None:
        """Write a selection, as zarr does."""
        with self._written_anew():
            super().set_coordinate_selection(*args, **kwargs)

    def set_block_selection(self, *args: Any, **kwargs: Any) -> None:
        """Write a selection, as zarr does."""
        with self._written_anew():
            super().set_block_selection(*args, **kwargs)

    def _write(self, selection: Any, value: Any) -> None:
        if self.element_type.kind not in ("number", "fixed_bytes"):
            values = to_memory(value, self.element_type, _only_text)
            element, data_type = self._widened(values)
            if data_type is not None:
                self._rewrite(np.asarray(self[...]), element, data_type, self.chunks[0])
            value = self._encode(values)
            one = self._one_element(self._plain(selection))
            if self.element_type.is_variable and one is not None:
                super().__setitem__(one, value.reshape((1,) * self.ndim))
                return
        super().__setitem__(self._plain(selection), value)

    # -- growing ---------------------------------------------------------------------------------

    def resize(self, new_shape: Any) -> None:
        """Change the shape; elements outside of the new one are removed."""
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
        """Remove the chunks that are not both in the old and in the new shape.

        What an append that failed has left outside of the old one would be seen in the new one.
        """
        document, bytestore = self._document, self._hierarchy.bytestore
        kept = [*map(min, grid_of(document), grid_of({**document, "shape": list(new_shape)}))]
        for key in list(bytestore.list_prefix(self._node_path)):
            name = key.removeprefix(self._node_path + "/")
            at = coordinates_of(document["chunk_key_encoding"], name, len(kept))
            if at is not None and any(n >= count for n, count in zip(at, kept, strict=True)):
                bytestore.delete(key)

    def append(self, data: Any, axis: int = 0) -> tuple[int, ...]:
        """Add rows after the last one and return the new shape.

        Text that is longer than a compound's field, and integers that are larger than the dtype
        holds, widen the array; nothing is ever cut off.

        Parameters
        ----------
        data : array_like of shape ``(n_rows, ...)``
        axis : int
            Other axes than the first are for numbers only.
        """
        self._refuse_read_only()
        if self.ndim == 0:
            raise OptionError(f"{self._where} is a scalar: it has no rows to append to")
        if axis != 0:
            if self.element_type.kind != "number":
                raise OptionError("only numbers can be appended along another axis than the first")
            values = np.asarray(data)
            start, shape = self.shape[axis], list(self.shape)
            shape[axis] += values.shape[axis]
            self.resize(shape)
            self[(*(slice(None),) * axis, slice(start, None))] = values
            return self.shape
        rows = to_memory(data, self.element_type, _only_text)
        if rows.ndim == self.ndim - 1 or (rows.ndim == 0 and self.ndim == 1):
            rows = rows[np.newaxis]
        if rows.shape[1:] != self.shape[1:]:
            raise OptionError(
                f"{self._where} has rows of shape {self.shape[1:]}, found {rows.shape[1:]}"
            )
        if len(rows):
            with self._hierarchy.attempt():
                self._append_rows(rows)
        return self.shape

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
        array = grown.async_array(self._node_path, present=self._document)
        zarr.Array(array)[start:count] = self._encode(rows)
        self._check_last_chunk(grown, rows)
        self._take_document(document)

    def _check_last_chunk(self, grown: Hierarchy, rows: npt.NDArray[Any]) -> None:
        """Raise `LostWriteError` unless the chunk that had rows has the new ones, too.

        A new chunk that is lost is missing; this one would still be there, with fill values in it. What
        filters round is never the same, and not compared.
        """
        if self._has_typed_filters:
            return
        start, unit = self.shape[0], self._document["chunk_grid"]["configuration"]["chunk_shape"][0]
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
        """Element type and, where the stored one is too narrow for the rows, new data type."""
        element = self.element_type
        if element.kind == "compound":
            stored = _record_dtype(self.metadata.dtype)
            if stored is None:  # rows as text have no width
                return element, None
            needed = field_widths(rows, element)
            held = {name: _width(stored[name]) for name in needed}
            if all(held[name] >= width for name, width in needed.items()):
                return element, None
            # Some room beyond the need, so that a slowly growing column is not rewritten each time.
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
        chunk_rows = self.chunks[0]
        if count <= chunk_rows or self.shards is not None or self._hierarchy.zarr_format == 2:
            return chunk_rows
        itemsize = max(1, self._stored_itemsize * math.prod(self.chunks[1:]))
        if 2 * chunk_rows * itemsize > GROWN_CHUNK_BYTES:
            return chunk_rows
        return min(max(2 * chunk_rows, count, 16), max(chunk_rows, GROWN_CHUNK_BYTES // itemsize))

    @property
    def _holds_pickles(self) -> bool:
        """Whether the chunks are pickles, which are read and never written."""
        return any(isinstance(codec, PickledObjectsCodec) for codec in self._inner_codecs)

    @property
    def _has_typed_filters(self) -> bool:
        """Whether filters compute with the elements, in a dtype that they name."""
        return bool(self._document.get(format2.NATIVE)) or any(
            isinstance(codec, ArrayArrayCodec) and not isinstance(codec, TransposeCodec)
            for codec in self._inner_codecs
        )

    @property
    def _stored_itemsize(self) -> int:
        if self.element_type.kind in ("number", "fixed_bytes", "compound"):
            return int(cast("np.dtype[Any]", self.metadata.dtype.to_native_dtype()).itemsize)
        return 64  # of text, a guess

    def _rewrite(
        self, values: npt.NDArray[Any], element: ElementType, data_type: Any, chunk_rows: int
    ) -> None:
        """Write all rows anew beside the old chunks, then let the document name the new ones."""
        old = self._document
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
        data_type = data_type if data_type is not None else self.metadata.dtype
        fill_value = compat.empty_scalar(data_type)
        if element.kind == "number" and element.numpy is not None:
            fill_value = element.numpy.type(self.metadata.fill_value)
        document = compat.array_document(
            shape=values.shape,
            data_type=data_type,
            chunk_grid_shape=(chunk_rows, *self.chunks[1:]),
            fill_value=fill_value,
            codecs=_codecs_for(self.metadata.codecs, data_type),  # type: ignore[union-attr]
            dimension_names=old.get("dimension_names"),
            chunk_key_encoding=self._hierarchy.keys_for_rewrite(self._node_path, self.ndim),
        )
        document["attributes"] = dict(old.get("attributes") or {})
        header = self._hierarchy.convention.decode_header(document["attributes"])
        if header.element_type is not None and element.numpy is not None:
            document["attributes"].update(
                self._hierarchy.convention.encode_header(
                    ArrayHeader(element_type=element.numpy.name)
                )
            )
        written = Hierarchy(self._hierarchy.bytestore, {"": {}, self._node_path: document})
        array = zarr.Array(written.async_array(self._node_path))
        array[...] = encode_elements(
            values, _as_stored(element, data_type), _record_dtype(data_type)
        )
        self.element_type = element
        zarr_format = self._hierarchy.zarr_format
        self._take_document(with_count(document, None, zarr_format=zarr_format))

    @property
    def _document(self) -> dict[str, Any]:
        return self._hierarchy.documents[self._node_path]

    def _resized(self, shape: list[int], *, is_written: bool) -> dict[str, Any]:
        zarr_format = self._hierarchy.zarr_format
        return resized(self._document, shape, is_written=is_written, zarr_format=zarr_format)

    def _take_document(self, document: dict[str, Any]) -> None:
        self._hierarchy.set_document(self._node_path, document)
        self.__dict__.pop("_made_array", None)

    def _encode(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        data_type = self.metadata.dtype
        element = _as_stored(self.element_type, data_type)
        return encode_elements(values, element, _record_dtype(data_type))

    def update_attributes(self, new_attributes: dict[str, Any]) -> HDMFZarrArray:
        """Change attributes of the node."""
        self._refuse_read_only()
        attributes = {**(self._document.get("attributes") or {}), **new_attributes}
        self._take_document({**self._document, "attributes": attributes})
        return self

    @property
    def _where(self) -> str:
        return f"{self._hierarchy.uri}:/{self._node_path}"

    def _refuse_read_only(self) -> None:
        if self.read_only:
            raise ModeError(
                f"{self._hierarchy.uri}:/{self._node_path} is read-only; open the file with mode 'r+'"
            )
        self._hierarchy.begin()


class ExpandedCompoundArray(HDMFZarrArray):
    """A compound that a release before 0.11.2 expanded to ``(n_rows, n_fields)``.

    Each element is a whole record (or, in the oldest stores, a single value), of which only that on
    the diagonal means something: field ``k`` of row ``i`` is ``data[i, k][k]``. Read only.
    """

    is_restored = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows."""
        return (self._document["shape"][0],)

    @shape.setter
    def shape(self, value: Any) -> None:
        self.resize(value)

    def _read(self, selection: Any) -> Any:
        stored = np.asarray(zarr.Array(self._async_array)[...])
        fields = self.element_type.fields
        if stored.dtype.names is None:
            rows = [_row_of_cells(cells, fields) for cells in stored.tolist()]
            texts = np.array([json.dumps(row) for row in rows], dtype=object)
            return decode_elements(texts, self.element_type)[selection]
        records = np.zeros(len(stored), dtype=stored.dtype)
        for position, (name, _) in enumerate(fields):
            records[name] = stored[:, position][name]
        return decode_elements(records, self.element_type)[selection]

    def _refuse_read_only(self) -> None:
        raise ModeError(
            f"{self._where} is a compound that was stored wrongly; export the file to write to it"
        )


def _chunk_regions(
    index: tuple[Any, ...], shape: tuple[int, ...], chunks: tuple[int, ...]
) -> Iterator[tuple[slice, ...]]:
    """Chunks of which an index selects something, as slices of the array."""
    whole = (slice(None),) * (len(shape) - len(index))
    return itertools.product(
        *(
            [slice(n * step, min((n + 1) * step, size)) for n in _chunk_numbers(entry, size, step)]
            for entry, size, step in zip((*index, *whole), shape, chunks, strict=True)
        )
    )


def _chunk_numbers(entry: Any, size: int, step: int) -> Iterable[int]:
    """Along one dimension."""
    if isinstance(entry, slice):
        start, stop, _ = entry.indices(size)
        return range(start // step, -(-stop // step))
    if isinstance(entry, np.ndarray):
        places = np.flatnonzero(entry) if entry.dtype.kind == "b" else entry % size
        return cast("list[int]", np.unique(places // step).tolist())
    return (entry % size // step,)


def _row_of_cells(cells: list[str], fields: tuple[tuple[str, ElementType], ...]) -> list[Any]:
    """Values of a row of which each cell is stored on its own; of an empty one, nothing."""
    return [
        cell if field.kind in ("text", "ascii") else json.loads(cell) if cell else None
        for cell, (_, field) in zip(cells, fields, strict=True)
    ]


def array_of_node(
    hierarchy: Hierarchy, path: str, header: ArrayHeader, element: ElementType
) -> HDMFZarrArray:
    """Return the lazy array of a node, without a request; one that was expanded is restored.

    Release 0.11.2 and this package expand none; what this one writes says how many chunks it has.
    """
    document = hierarchy.documents[path]
    shape = document.get("shape") or []
    is_expanded = (
        header.fields is not None
        and stored_chunks(document) is None
        and element.kind == "compound"
        and len(shape) == 2
        and shape[1] == len(header.fields)
    )
    kind = ExpandedCompoundArray if is_expanded else HDMFZarrArray
    return kind.of_node(hierarchy, path, element)


def _reopen(
    kind: type[HDMFZarrArray],
    location: Location,
    path: str,
    document: dict[str, Any],
    element_type: ElementType,
    zarr_format: int,
    is_consolidated: bool,  # noqa: FBT001 - as pickle calls it
) -> HDMFZarrArray:
    """Make an array in another process from what `HDMFZarrArray.__reduce__` sent."""
    hierarchy = Hierarchy.sent(
        open_bytestore(location, read_only=True),
        path,
        document,
        zarr_format=zarr_format,
        is_consolidated=is_consolidated,
    )
    return kind.of_node(hierarchy, path, element_type)


def _plain_selection(selection: Any, length: int | None = None) -> Any:
    """Return a selection as zarr takes it.

    Unknown to it are unsigned and empty index arrays and, where there are other dimensions, one mask
    of the rows, of which there are ``length``.
    """
    if isinstance(selection, tuple):
        return tuple(_plain_selection(entry) for entry in selection)
    if isinstance(selection, (list, np.ndarray)):
        indices = np.asarray(selection)
        if indices.size == 0 and indices.dtype != bool:
            return slice(0, 0)
        if indices.dtype.kind == "u":
            return indices.astype(np.intp)
        if indices.dtype == bool and indices.shape == (length,):
            return np.flatnonzero(indices) if indices.any() else slice(0, 0)
        # A copy: zarr counts negative indices from the beginning in the array that it is given.
        return indices.copy()
    return int(selection) if isinstance(selection, np.integer) else selection


def _own(values: Any) -> Any:
    """What was selected of an array that is kept, as the caller's own."""
    if isinstance(values, np.ndarray):
        return values.copy() if values.ndim else values[()]
    return values.copy() if isinstance(values, np.void) else values


def _is_same(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether elements are the same as they are stored; NaN is NaN."""
    if expected.dtype.hasobject:
        return bool(found.tolist() == expected.tolist())
    return found.astype(expected.dtype).tobytes() == expected.tobytes()


def _objects(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values).astype(object)


def _wider_integer(dtype: np.dtype[Any], values: npt.NDArray[Any]) -> np.dtype[Any] | None:
    """The smallest integer type like ``dtype`` that holds other integers too, or None."""
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
    """Stored dtype of records; None where rows are stored as text, and for what is no record."""
    dtype = _native(data_type)
    return dtype if dtype.names is not None else None


def _as_stored(element: ElementType, data_type: Any) -> ElementType:
    """The type of elements as their array knows it: bytes, where text is stored as such."""
    is_bytes = isinstance(data_type, zarr.dtype.VariableLengthBytes)
    return BYTES if is_bytes and element.kind in BYTES_ELEMENT_KINDS else element


def _native(data_type: Any) -> np.dtype[Any]:
    return cast("np.dtype[Any]", data_type.to_native_dtype())


def _width(dtype: np.dtype[Any]) -> int:
    return dtype.itemsize // (4 if dtype.kind == "U" else 1)


def _codecs_for(codecs: tuple[Any, ...], data_type: Any) -> tuple[Any, ...]:
    """The codecs with Blosc's element size and the byte order fitted to another data type."""
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
