"""One chunk of text or bytes, encoded and decoded in place by the codecs that its metadata name.

zarr-python takes a millisecond for what takes microseconds here: the specifications of a file are dozens
of such chunks. A chain with a codec that is not known here is left to zarr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numcodecs
import numpy as np
import numpy.typing as npt
from numcodecs.vlen import VLenBytes, VLenUTF8

from hdmf_zarr.codecs.checked import check_compressed, check_count
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec

_SERIALIZERS: dict[str, Callable[[], Any]] = {"vlen-utf8": VLenUTF8, "vlen-bytes": VLenBytes}

_BLOSC_SHUFFLE = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


class _JSONTexts:
    """`JSONObjectsCodec` on the bytes of one element."""

    def __init__(self, codec: JSONObjectsCodec) -> None:
        self._codec = codec

    def encode(self, encoded: bytes) -> bytes:
        return self._codec.encode_texts(VLenUTF8().decode(encoded))

    def decode(self, encoded: bytes) -> bytes:
        return bytes(VLenUTF8().encode(self._codec.decode_texts(bytes(encoded), (1,))))


_COMPRESSORS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "blosc": lambda c: numcodecs.Blosc(c["cname"], c["clevel"], _BLOSC_SHUFFLE[c["shuffle"]]),
    "zstd": lambda c: numcodecs.Zstd(c["level"], bool(c.get("checksum"))),
    "gzip": lambda c: numcodecs.GZip(level=c["level"]),
    "hdmf_zarr.json2": lambda c: _JSONTexts(JSONObjectsCodec(**c)),
}


def encode_one(element: str | bytes, codecs: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return the chunk that holds one element, or None where a codec is not known here.

    Parameters
    ----------
    element : str or bytes
    codecs : sequence of mappings
        As the metadata of the array have them.
    """
    chain = _chain(codecs)
    if chain is None:
        return None
    serializer, compressors = chain
    values: npt.NDArray[Any] = np.empty(1, dtype=object)
    values[0] = element
    encoded = serializer.encode(values)
    for compressor in compressors:
        encoded = compressor.encode(encoded)
    return bytes(encoded)


def decode_one(encoded: bytes, codecs: Sequence[Mapping[str, Any]]) -> str | bytes | None:
    """Return the one element of a chunk; inverse of `encode_one`."""
    chain = _chain(codecs)
    if chain is None:
        return None
    serializer, compressors = chain
    for codec, compressor in zip(reversed(codecs[1:]), reversed(compressors), strict=True):
        check_compressed(codec["name"], encoded, None)
        encoded = compressor.decode(encoded)
    check_count(encoded, 1)
    element: str | bytes = serializer.decode(encoded)[0]
    return element


def _chain(codecs: Sequence[Mapping[str, Any]]) -> tuple[Any, list[Any]] | None:
    first, *others = codecs or [{"name": ""}]
    if first["name"] not in _SERIALIZERS or any(c["name"] not in _COMPRESSORS for c in others):
        return None
    compressors = [_COMPRESSORS[c["name"]](c.get("configuration") or {}) for c in others]
    return _SERIALIZERS[first["name"]](), compressors
