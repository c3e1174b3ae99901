"""Codecs of arrays that are given chunks in C order.

Filters and serializers of numcodecs flatten a chunk as it lies in memory. zarr-python before 3.4 encodes
one in Fortran order where it was transposed, or where the data lie so, and every version decodes one that
was transposed back: the elements change places, and nothing tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import zarr.codecs
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec
from zarr.registry import get_codec_class

NUMCODECS = "numcodecs."
"""What the names of the codecs of numcodecs begin with."""


def in_c_order(codec: Mapping[str, Any]) -> Any:
    """Return the codec of a document that works on chunks in C order, or None where any order does.

    Parameters
    ----------
    codec : mapping
        The codec's JSON.
    """
    name = codec["name"]
    if name == "transpose":
        return TransposeCodec.from_dict(dict(codec))
    if not name.startswith(NUMCODECS):
        return None
    try:
        plain: Any = get_codec_class(name)
    except (KeyError, ValueError):  # by the version of zarr-python
        return None
    if not issubclass(plain, (ArrayArrayCodec, ArrayBytesCodec)):
        return None
    made: Any = _class_in_c_order(plain)
    return made.from_dict(dict(codec))


class TransposeCodec(zarr.codecs.TransposeCodec):
    """`zarr.codecs.TransposeCodec` whose encoded chunk is in C order in memory, too.

    Of the same name, which users look at; equal to the one of zarr-python with the same order.
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


def _contiguous(buffer: Any) -> Any:
    array = buffer.as_ndarray_like()
    if array.flags.c_contiguous:
        return buffer
    return type(buffer).from_ndarray_like(np.ascontiguousarray(array))


@cache
def _class_in_c_order(plain: Any) -> type[Any]:
    """Return the class of a codec of numcodecs that is equal to it, and takes chunks in C order."""

    def encode_sync(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        return plain._encode_sync(self, _contiguous(chunk_array), chunk_spec)

    async def encode_single(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        return await plain._encode_single(self, _contiguous(chunk_array), chunk_spec)

    def decode_sync(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        return plain._decode_sync(self, _contiguous(chunk_array), chunk_spec)

    async def decode_single(self: Any, chunk_array: Any, chunk_spec: Any) -> Any:
        return await plain._decode_single(self, _contiguous(chunk_array), chunk_spec)

    def evolve(self: Any, array_spec: Any) -> Any:
        # zarr-python completes what was left out with a codec of its own class.
        evolved = plain.evolve_from_array_spec(self, array_spec)
        return evolved if evolved is self else type(self).from_dict(evolved.to_dict())

    def equal(self: Any, other: object) -> bool:
        return isinstance(other, plain) and self.to_dict() == other.to_dict()

    # Versions of zarr-python that have the one call it in the other.
    is_sync = hasattr(plain, "_encode_sync")
    methods = {"_encode_sync": encode_sync} if is_sync else {"_encode_single": encode_single}
    if issubclass(plain, ArrayArrayCodec):
        methods |= {"_decode_sync": decode_sync} if is_sync else {"_decode_single": decode_single}
    members = {
        **methods,
        "evolve_from_array_spec": evolve,
        "__eq__": equal,
        "__hash__": lambda _self: hash(plain),
    }
    return type(plain.__name__, (plain,), members)
