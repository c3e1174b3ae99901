"""Reading of the lazy array: its properties, and the one way to its elements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.codec import ArrayArrayCodec, BytesBytesCodec
from zarr.abc.store import Store
from zarr.codecs import ShardingCodec
from zarr.storage import StorePath

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.chunks import single
from hdmf_zarr.chunks.bulk_read import BlockReader
from hdmf_zarr.chunks.indexing import (
    chunk_regions,
    integers_as_slices,
    memory_index,
    own_indices,
    plain_selection,
    split_fields,
)
from hdmf_zarr.codecs.direct import DECODING_ERRORS
from hdmf_zarr.codecs.registered import numcodec
from hdmf_zarr.codecs.registry import CRC32C, OBJECT_CODECS, SERIALIZERS
from hdmf_zarr.codecs.translate import to_numcodecs
from hdmf_zarr.convention.common import CHUNKS_GIVEN, enum_names, fill_settings
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import decode_elements
from hdmf_zarr.core.other_private import module_of_caller
from hdmf_zarr.errors import ChunkError, HDMFZarrError, MetadataError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores import event_loop


def _written_layout(
    document: Mapping[str, Any],
) -> tuple[tuple[int, ...], tuple[int, ...] | None] | None:
    """Return the shapes of chunks and shards in a document; None if zarr has to read, or refuse, them."""
    node = array_node(document)
    if node.why_unreadable is not None or len(node.chunk) != len(node.shape):
        return None
    return (node.stored_chunk, None) if node.is_native else (node.chunk, node.shards)


_Made = tuple[Mapping[str, Any] | None, zarr.AsyncArray[Any] | None]

UNNAMED = CRC32C | OBJECT_CODECS | SERIALIZERS
"""Codecs that are neither filters nor compressors: checksums, and serializers of elements."""

MOST_LOOKED_INTO = 10_000
"""Maximum number of chunks that are decoded in turn to find a damaged one, after reading has failed."""


class ReadableArray(zarr.Array):  # type: ignore[type-arg]
    """A `zarr.Array` whose elements are all read in one way, as HDMF expects them.

    Text is returned as objects of ``str``, ASCII text as objects of ``bytes`` (as h5py does), one
    element as a scalar. zarr's own array is made when it is first needed.
    """

    _hierarchy: Hierarchy
    _node_path: str
    element_type: ElementType
    is_restored = False
    """Whether the elements are not stored one by one, see `ExpandedCompoundArray`."""

    @classmethod
    def of_node(cls, hierarchy: Hierarchy, path: str, element_type: ElementType) -> Self:
        """Return the array at a path, without a request to the store."""
        array = cls.__new__(cls)
        vars(array).update(_hierarchy=hierarchy, _node_path=path)
        array.element_type = element_type
        return array

    @property
    def _async_array(self) -> zarr.AsyncArray[Any]:
        # Another array object of the same node may have changed its document.
        document, made = cast("_Made", self.__dict__.get("_made_array", (None, None)))
        if made is None or document is not self._document:
            made = zarr_view.async_array(self._hierarchy, self._node_path, present=self._document)
            self._async_array = made
        return made

    @_async_array.setter
    def _async_array(self, array: zarr.AsyncArray[Any]) -> None:
        self.__dict__["_made_array"] = self._document, array

    # -- as HDMF and its clients use a dataset ---------------------------------------------------

    @property
    def hierarchy(self) -> Hierarchy:
        """The hierarchy of the store, of which this array is a node."""
        return self._hierarchy

    @property
    def node_path(self) -> str:
        """Path in the store, without slashes at its ends."""
        return self._node_path

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension."""
        return self._hierarchy.array(self._node_path).shape

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
        """The store as an object of zarr-python."""
        return self._hierarchy.bytestore.zarr_store

    @property
    def store_path(self) -> StorePath:
        """The store, and the path in it."""
        return StorePath(self.store, self._node_path)

    @property
    def maxshape(self) -> tuple[None, ...]:
        """Maximum shape, as in h5py: every dimension can grow."""
        return (None,) * self.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the arrays that indexing returns; ``object`` for text."""
        return self.element_type.memory_dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk; for a sharded array, of the chunks in its shards."""
        layout = _written_layout(self._document)
        return super().chunks if layout is None else layout[0]

    @property
    def enum_names(self) -> Mapping[str, Any] | None:
        """Names of the values of an HDF5 enumeration; None for other arrays."""
        return enum_names(self._document.get("attributes") or {})

    @property
    def fill_settings(self) -> Mapping[str, str]:
        """HDF5's settings of the fill value, except the value itself; empty for the defaults."""
        return fill_settings(self._document.get("attributes") or {}) or {}

    @property
    def are_chunks_given(self) -> bool:
        """Whether a user chose the shape of the chunks, so that it does not grow."""
        return (self._document.get("attributes") or {}).get(CHUNKS_GIVEN) is True

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Shape of a shard; None for an array without shards."""
        layout = _written_layout(self._document)
        return super().shards if layout is None else layout[1]

    @property
    def compressor(self) -> Any:
        """The last bytes-to-bytes codec, as an equivalent numcodecs codec; None if there is none.

        CRC-32C and the serializer do not count; `compressors` and `serializer` contain them.
        """
        return self._codecs_of_numcodecs[1]

    @property
    def filters(self) -> Any:
        """The codecs before the compressor, as numcodecs codecs where they exist; None if there are none."""
        if is_asked_by_zarr():
            return super().filters  # zarr uses them for another array
        return list(self._codecs_of_numcodecs[0]) or None

    @property
    def _codecs_of_numcodecs(self) -> tuple[tuple[Any, ...], Any]:
        """Filters and compressor in the form of zarr-python 2."""
        node = self._hierarchy.array(self._node_path)
        if node.is_native:
            native = node.format2 or {}
            compressor = native.get("compressor")
            given = [*(native.get("filters") or ()), *([compressor] if compressor else [])]
            steps = [numcodec(codec) for codec in given if codec["id"] not in CRC32C]
            is_compressed = bool(compressor and steps)
        else:
            encoding = [codec for codec in self._inner_codecs if _name(codec) not in UNNAMED]
            steps = [to_numcodecs(codec) for codec in encoding]
            is_compressed = bool(encoding) and not isinstance(encoding[-1], ArrayArrayCodec)
        return (tuple(steps[:-1]), steps[-1]) if is_compressed else (tuple(steps), None)

    @property
    def _inner_codecs(self) -> tuple[Any, ...]:
        if self._hierarchy.array(self._node_path).is_native:
            found = self.compressors
            return tuple(codec for codec in found if isinstance(codec, BytesBytesCodec))
        codecs = self.metadata.codecs  # type: ignore[union-attr]
        return codecs[0].codecs if isinstance(codecs[0], ShardingCodec) else codecs

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"len() of the scalar {self._hierarchy.uri}:/{self._node_path}")
        return self.shape[0]

    def __bool__(self) -> bool:
        # As in h5py: HDMF leaves out columns of a table that are false.
        return True

    def __iter__(self) -> Iterator[Any]:
        rows = max(1, self.chunks[0]) if self.shape else 1
        for start in range(0, len(self), rows):
            yield from self[start : start + rows]

    def __getitem__(self, selection: Any) -> Any:
        kept = self._hierarchy.cache.rows(self._node_path, self.element_type, selection)
        if kept is not None and not self.is_restored:
            return kept[0]
        return self._of_one_store(partial(self._read, selection), selection)

    def _of_one_store(self, read: Callable[[], Any], selection: Any = None) -> Any:
        """Return the result of a read, and raise if the store has changed meanwhile.

        All reads of elements use this method. A change of the store takes precedence over other errors.

        Parameters
        ----------
        read : callable
            Function that reads; called again if the first result may mix old and new elements.
        selection : object, optional
            Selection whose chunks are checked for damage if the read fails.
        """
        hierarchy, path = self._hierarchy, self._node_path
        if (reason := self._hierarchy.array(self._node_path).why_unreadable) is not None:
            raise MetadataError(f"{self._where}: {reason}")
        try:
            seen = hierarchy.n_changes
            values = read()
            if not hierarchy.check_unchanged(path) or hierarchy.n_changes != seen:
                values = read()
                hierarchy.check_unchanged(path)
            return values
        except Exception as error:
            hierarchy.check_unchanged(path, has_failed=True)
            self._tell(error, selection)
            raise

    def _tell(self, error: Exception, selection: Any) -> None:
        """Add the array to an error; raise a more specific error if there is one."""
        where = self._where
        if not isinstance(error, HDMFZarrError):
            self._tell_damage(selection)
            # An error of zarr about the selection, or of the store.
            error.add_note(f"while {where} was read")
        elif where not in str(error):
            if isinstance(error, MetadataError):
                self._tell_damage(selection)
            raise type(error)(f"{where}: {error}") from error

    def _tell_damage(self, selection: Any) -> None:
        """Raise `ChunkError` for the first chunk of a selection that its codecs cannot decode.

        In zarr-python codecs raise errors of any class, and none names the chunk.
        """
        index = memory_index(self._plain(selection), self.shape)
        regions = chunk_regions(index, self.shape, self.chunks) if index is not None else iter(())
        for region in itertools.islice(regions, MOST_LOOKED_INTO):
            try:
                self._zarr_array[region]
            except DECODING_ERRORS as error:  # including those of this package
                if getattr(error, "errno", None) is not None:  # an error of the store
                    raise
                at = tuple(part.start for part in region)
                raise ChunkError(
                    f"{self._where}: the chunk at {at} does not decode: {error}"
                ) from error

    @property
    def _zarr_array(self) -> zarr.Array[Any]:
        """zarr's own array, which returns the stored elements."""
        return zarr.Array(self._async_array)

    def _read(self, selection: Any) -> Any:
        if self.element_type.kind == "compound":
            fields, selection = split_fields(selection)
            if fields is not None:
                return self._read(selection)[fields]
        plain = self._plain(selection)
        found = self._read_past_zarr(plain)
        if found is not None:
            return found[0]
        if self.element_type.is_variable:
            # A single text would lose the NULs at its end in numpy.
            if self.ndim == 0:
                scalar = np.asarray(event_loop.run(single.read_scalar(self._async_array)))
                return decode_elements(scalar, self.element_type)[()]
            if (one := self._one_element(plain)) is not None:
                return decode_elements(_objects(self._zarr_array[one]), self.element_type).item()
        return self._decoded(self._zarr_array[plain])

    def _read_past_zarr(self, plain: Any) -> tuple[Any] | None:
        """Return a selection by rows, ranges or one index array; None if zarr has to read it."""
        index = memory_index(plain, self.shape)
        if index is None:
            return None
        found = self._hierarchy.cache.select(self._node_path, self.element_type, index)
        if found is not None:
            return (_own(found[0]),)
        block = self._read_block(index)
        return None if block is None else (block[()] if block.ndim == 0 else block,)

    def _decoded(self, stored: Any) -> Any:
        """Return the decoded elements for the stored ones that zarr has read."""
        values = decode_elements(np.asarray(stored), self.element_type)
        return values[()] if values.ndim == 0 else values

    def _read_block(self, index: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        if self.element_type.kind != "number" or self.is_restored:
            return None
        reader = BlockReader.of(self._hierarchy.bytestore, self._node_path, self._document)
        return reader.read(index) if reader is not None else None

    def _one_element(self, selection: Any) -> tuple[slice, ...] | None:
        """Return the slices for a selection of one element; None for another selection."""
        indices = selection if isinstance(selection, tuple) else (selection,)
        if (
            not indices
            or len(indices) != self.ndim
            or not all(type(index) is int for index in indices)
        ):
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
        return plain_selection(selection, self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: FBT001 - numpy
        if copy is False:
            raise ValueError(f"{self._where} is not in memory: its elements are always a copy")
        values = np.asarray(self[...], dtype=object if self.element_type.is_variable else None)
        return values if dtype is None else values.astype(dtype)

    def astype(self, dtype: Any) -> npt.NDArray[Any]:
        """Return all elements in another dtype, in memory."""
        return np.asarray(self[...]).astype(dtype)

    # zarr's `oindex`, `vindex` and `blocks` call these methods.

    def get_basic_selection(self, selection: Any = Ellipsis, **options: Any) -> Any:
        """Read a selection, as in zarr."""
        return self._selected("get_basic_selection", selection, **options)

    def get_orthogonal_selection(self, selection: Any, **options: Any) -> Any:
        """Read a selection, as in zarr."""
        return self._selected("get_orthogonal_selection", selection, **options)

    def get_mask_selection(self, mask: Any, **options: Any) -> Any:
        """Read a selection, as in zarr."""
        return self._selected("get_mask_selection", mask, **options)

    def get_coordinate_selection(self, selection: Any, **options: Any) -> Any:
        """Read a selection, as in zarr."""
        return self._selected("get_coordinate_selection", selection, **options)

    def get_block_selection(self, selection: Any, **options: Any) -> Any:
        """Read a selection, as in zarr."""
        return self._selected("get_block_selection", selection, **options)

    def _selected(
        self, how: str, selection: Any, *, out: Any = None, fields: Any = None, **options: Any
    ) -> Any:
        """Return the decoded elements that one of zarr's methods selects.

        Raises
        ------
        OptionError
            If ``out`` is given for elements other than numbers.
        """
        if out is not None and (fields or self.element_type.numpy is None):
            raise OptionError(
                f"{self._where}: 'out' takes numbers only; leave it out, and take what is returned"
            )

        def read() -> Any:
            if out is not None:
                return self._method(how)(selection, out=out, **options)
            values = self._by_method(how, selection, **options)
            return values[fields] if fields else values

        return self._of_one_store(read)

    def _method(self, how: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._zarr_array, how)
        return found

    def _by_method(self, how: str, selection: Any, **options: Any) -> Any:
        is_by_place = how in ("get_basic_selection", "get_orthogonal_selection")
        if is_by_place and self.element_type.is_variable:
            plain = self._plain(selection)
            if self.ndim == 0 or self._one_element(plain) is not None:
                return self._read(plain)
        if how == "get_orthogonal_selection" and not options:
            found = self._read_past_zarr(self._plain(selection))
            if found is not None:
                return found[0]
        plain = given(how, selection, self.shape)
        if how != "get_orthogonal_selection" or self.shards is None:
            return self._decoded(self._method(how)(plain, **options))
        slices, kept = integers_as_slices(plain, self.shape)
        found = self._decoded(self._method(how)(slices, **options))
        return found[kept] if kept else found

    @property
    def _document(self) -> dict[str, Any]:
        try:
            return self._hierarchy.documents[self._node_path]
        except KeyError:
            return self._hierarchy.document_of(self._node_path)  # raises an error of this package

    @property
    def _where(self) -> str:
        return f"{self._hierarchy.uri}:/{self._node_path}"


def _name(codec: Any) -> str:
    return str(codec.to_dict()["name"])


def _own(values: Any) -> Any:
    """Return a copy of values that were selected from a cached array."""
    if isinstance(values, np.ndarray):
        return values.copy() if values.ndim else values.copy()[()]
    return values.copy() if isinstance(values, np.void) else values


def _objects(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values).astype(object)


def given(how: str, selection: Any, shape: tuple[int, ...]) -> Any:
    """Return a selection for one of zarr's methods, which may change its indices in place."""
    is_fancy = how.endswith(("coordinate_selection", "mask_selection"))
    return own_indices(selection) if is_fancy else plain_selection(selection, shape)


def is_asked_by_zarr() -> bool:
    """Return whether zarr-python itself has called the function that calls this one."""
    return module_of_caller(2).startswith("zarr.")
