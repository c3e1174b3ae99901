"""Codecs of arrays that get their chunks in C order.

Filters and serializers of numcodecs flatten a chunk in its memory order. zarr-python before 3.4 passes them
chunks in Fortran order if the chunk was transposed or the data are in Fortran order, and every version does
so when it decodes a transposed chunk: the elements are silently permuted. These codecs also assume the byte
order of their settings, whatever the byte order of the chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import zarr.codecs
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec
from zarr.registry import get_codec_class

from hdmf_zarr.codecs.registered import registered_codec
from hdmf_zarr.codecs.registry import NUMCODECS
from hdmf_zarr.core.zarr_private import DECODE_SINGLE, DECODE_SYNC, ENCODE_SINGLE, ENCODE_SYNC


def in_c_order(codec: Mapping[str, Any]) -> Any:
    """Return a document's codec that works on chunks in C order; None if the codec accepts any order.

    Parameters
    ----------
    codec : mapping
        The codec's JSON.

    Raises
    ------
    MissingExtraError
        If it is a codec of numcodecs that is not installed.
    """
    name = codec["name"]
    if name == "transpose":
        return TransposeCodec.from_dict(dict(codec))
    if not name.startswith(NUMCODECS):
        return None
    if (registered := registered_codec(codec)) is not None:
        return registered
    try:
        plain: Any = get_codec_class(name)
    except (KeyError, ValueError):  # depends on the version of zarr-python
        return None
    if not issubclass(plain, (ArrayArrayCodec, ArrayBytesCodec)):
        return None
    made: Any = _class_in_c_order(plain)
    return made.from_dict(dict(codec))


class TransposeCodec(zarr.codecs.TransposeCodec):
    """`zarr.codecs.TransposeCodec` whose encoded chunk is also in C order in memory.

    The class keeps its name, which users see; it is equal to zarr-python's codec with the same order.
    """

    def _encode_sync(self, chunk_array: Any, chunk_spec: Any) -> Any:
        return _contiguous(chunk_array.transpose(self.order))

    async def _encode_single(self, chunk_array: Any, chunk_spec: Any) -> Any:
        return self._encode_sync(chunk_array, chunk_spec)

    def __eq__(self, other: object) -> bool:
        is_one = isinstance(other, zarr.codecs.TransposeCodec)
        return self.order == other.order if is_one else NotImplemented  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.order)


def _contiguous(buffer: Any, dtype: np.dtype[Any] | None = None) -> Any:
    """Return a chunk in C order and, if only the byte order differs from ``dtype``, in that byte order."""
    array = buffer.as_ndarray_like()
    is_swapped = (
        dtype is not None and array.dtype != dtype and array.dtype.newbyteorder("S") == dtype
    )
    if array.flags.c_contiguous and not is_swapped:
        return buffer
    ordered = np.ascontiguousarray(array)
    return type(buffer).from_ndarray_like(ordered.astype(dtype) if is_swapped else ordered)


def _taken(codec: Any) -> np.dtype[Any] | None:
    """Return the dtype that a codec of numcodecs encodes; None if its settings name none."""
    configuration = codec.to_dict()["configuration"]
    return _named(configuration.get("dtype") or configuration.get("decode_dtype"))


def _given(codec: Any) -> np.dtype[Any] | None:
    """Return the dtype that a codec of numcodecs decodes; None if its settings name none."""
    configuration = codec.to_dict()["configuration"]
    named = configuration.get("astype") or configuration.get("encode_dtype")
    return _named(named or configuration.get("dtype"))


def _named(dtype: Any) -> np.dtype[Any] | None:
    return None if dtype is None else np.dtype(dtype)


@cache
def _class_in_c_order(plain: Any) -> type[Any]:
    """Return a subclass of a numcodecs codec that is equal to it and receives chunks in C order."""
    plain_encode_sync: Any = getattr(plain, ENCODE_SYNC, None)
    plain_encode_single: Any = getattr(plain, ENCODE_SINGLE, None)
    plain_decode_sync: Any = getattr(plain, DECODE_SYNC, None)
    plain_decode_single: Any = getattr(plain, DECODE_SINGLE, None)

    def encode_sync(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        return plain_encode_sync(self, _contiguous(chunk_array, _taken(self)), chunk_spec)

    async def encode_single(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        given = _contiguous(chunk_array, _taken(self))
        return await plain_encode_single(self, given, chunk_spec)

    def decode_sync(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        return plain_decode_sync(self, _contiguous(chunk_array, _given(self)), chunk_spec)

    async def decode_single(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        given = _contiguous(chunk_array, _given(self))
        return await plain_decode_single(self, given, chunk_spec)

    def evolve(self: Any, array_spec: Any) -> Any:
        # zarr-python completes missing settings and returns a codec of its own class.
        evolved = plain.evolve_from_array_spec(self, array_spec)
        return evolved if evolved is self else type(self).from_dict(evolved.to_dict())

    def equal(self: Any, other: object) -> bool:
        return isinstance(other, plain) and self.to_dict() == other.to_dict()

    # Where zarr-python has the synchronous method, its coroutine calls that method.
    is_sync = plain_encode_sync is not None
    methods = {ENCODE_SYNC: encode_sync} if is_sync else {ENCODE_SINGLE: encode_single}
    if issubclass(plain, ArrayArrayCodec):
        methods |= {DECODE_SYNC: decode_sync} if is_sync else {DECODE_SINGLE: decode_single}
    members = {
        **methods,
        "evolve_from_array_spec": evolve,
        "__eq__": equal,
        "__hash__": lambda _self: hash(plain),
    }
    return type(plain.__name__, (plain,), members)
