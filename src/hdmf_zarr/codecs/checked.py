"""Codecs of zarr-python that compare the size of a chunk with the metadata before they decode it.

Blosc trusts the size in a chunk's header: it reads past the end of a truncated chunk and returns arbitrary
memory as elements. Also, a few bytes can decompress to gigabytes. Both cases are errors here.
"""

from __future__ import annotations

import bz2
import lzma
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numcodecs
import numcodecs.compat
import numpy as np
import zarr.codecs
from zarr.abc.codec import ArrayBytesCodec, BytesBytesCodec
from zarr.registry import get_codec_class

from hdmf_zarr.codecs.contiguous import in_c_order
from hdmf_zarr.codecs.inflate import streams
from hdmf_zarr.codecs.registered import numcodec
from hdmf_zarr.core import limits
from hdmf_zarr.core.limits import check_decoded_size, most_decoded_bytes, most_text_bytes
from hdmf_zarr.core.zarr_private import DECODE_SINGLE, DECODE_SYNC
from hdmf_zarr.errors import ChunkError

_BLOSC_HEADER = 16
"""Number of bytes: four of versions and flags, then the decoded, block and encoded sizes."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def check_compressed(name: str, encoded: Any, expected: int | None, count: int = 0) -> None:
    """Raise an error if compressed bytes are truncated or would decompress to too many bytes.

    Parameters
    ----------
    name : str
        Name of the codec; unknown codecs are not checked.
    encoded : bytes-like
    expected : int or None
        Number of bytes of the chunk's elements; None for elements that vary in size.
    count : int
        Number of the elements, if they vary in size.

    Raises
    ------
    ChunkError
        If the bytes are truncated.
    MetadataError
        If the decompressed bytes would be too many.
    """
    name = name.removeprefix("numcodecs.")
    view = memoryview(encoded).cast("B")
    most_text = most_text_bytes(len(view), count) if expected is None else None
    if (known := _DECODED_SIZES.get(name)) is not None:
        said = known(view)
        if said is not None:
            check_decoded_size(said, expected, most_text)
    if (stream := _STREAMS.get(name)) is not None:
        most = most_decoded_bytes(expected, most_text)
        if len(view) * stream.ratio > max(most, limits.MOST_TEXT_CHUNK_BYTES):
            check_stream(stream.open, view, most)


@dataclass(frozen=True)
class _Stream:
    """A compressor whose chunks do not state their decoded size reliably.

    Attributes
    ----------
    open : callable
        Function that makes the decompressor of one stream.
    ratio : float
        Largest compression ratio; a chunk that cannot exceed the limit is not checked.
    """

    open: Callable[[], Any]
    ratio: float


_STREAMS = {
    "zlib": _Stream(zlib.decompressobj, 1032),
    "gzip": _Stream(lambda: zlib.decompressobj(zlib.MAX_WBITS + 16), 1032),
    "bz2": _Stream(bz2.BZ2Decompressor, math.inf),
    "lzma": _Stream(lzma.LZMADecompressor, math.inf),
}

_PIECE = 2**20


def check_stream(open_stream: Callable[[], Any], encoded: memoryview, most: int) -> None:
    """Raise `MetadataError` if streams decompress to more than ``most`` bytes; the bytes are discarded."""
    total = 0
    try:
        for piece in streams(open_stream, encoded, _PIECE):
            total += len(piece)
            check_decoded_size(total, None, most)
    except (zlib.error, OSError, EOFError, lzma.LZMAError):
        return  # damaged or truncated: the codec raises the error


def decoded_size(name: str, encoded: bytes | memoryview) -> int | None:
    """Return the decoded size that a compressed chunk states; None if it states none.

    Raises
    ------
    ChunkError
        If the chunk is truncated.
    """
    known = _DECODED_SIZES.get(name)
    return None if known is None else known(memoryview(encoded))


def _blosc_size(encoded: memoryview) -> int:
    held = int.from_bytes(encoded[12:16], "little")
    if len(encoded) < _BLOSC_HEADER or held > len(encoded):
        raise ChunkError(
            f"the chunk is cut off: it has {len(encoded)} bytes of {max(held, _BLOSC_HEADER)}"
        )
    size = int.from_bytes(encoded[4:8], "little", signed=True)
    if size < 0:
        raise ChunkError(f"the chunk is damaged: it says that it becomes {size} bytes")
    return size


def _gzip_size(encoded: memoryview) -> int | None:
    # The last four bytes are the size of the last member, modulo 4 GB: perhaps too small, never too large.
    return int.from_bytes(encoded[-4:], "little") if len(encoded) >= 18 else None


def _zstd_size(encoded: memoryview) -> int | None:
    """Return the decoded size in the header of the frame; None if it is absent."""
    if bytes(encoded[:4]) != _ZSTD_MAGIC or len(encoded) < 9:
        return None
    descriptor = encoded[4]
    is_single, flag = bool(descriptor & 0x20), descriptor >> 6
    n_bytes = (1 if is_single else 0, 2, 4, 8)[flag]
    if not n_bytes:
        return None
    start = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(encoded[start : start + n_bytes], "little")
    return size + 256 if n_bytes == 2 else size


def _lz4_size(encoded: memoryview) -> int | None:
    return int.from_bytes(encoded[:4], "little") if len(encoded) >= 4 else None


_DECODED_SIZES: dict[str, Callable[[memoryview], int | None]] = {
    "blosc": _blosc_size,
    "gzip": _gzip_size,
    "zstd": _zstd_size,
    "lz4": _lz4_size,
}
"""Codec -> function that returns the decoded size that a chunk states."""


def _expected_size(chunk_spec: Any) -> int | None:
    """Return the number of bytes of a chunk's elements; None if they vary in size."""
    dtype = chunk_spec.dtype.to_native_dtype()
    return None if dtype.kind in "OT" else math.prod(chunk_spec.shape) * dtype.itemsize


class _Checked(BytesBytesCodec):
    """Base of the three compressors; equal to zarr-python's codec with the same settings."""

    codec_name: str
    plain: type[Any]

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        self._check(chunk_bytes, chunk_spec)
        return super()._decode_sync(chunk_bytes, chunk_spec)  # type: ignore[misc]

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        # zarr-python 3.1.3 calls only this method.
        self._check(chunk_bytes, chunk_spec)
        return await super()._decode_single(chunk_bytes, chunk_spec)

    def _check(self, chunk_bytes: Any, chunk_spec: Any) -> None:
        encoded, count = chunk_bytes.as_numpy_array(), math.prod(chunk_spec.shape)
        check_compressed(self.codec_name, encoded, _expected_size(chunk_spec), count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self.plain):
            return NotImplemented
        names = [field.name for field in fields(self.plain)]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        return hash(self.codec_name)


class BloscCodec(_Checked, zarr.codecs.BloscCodec):
    """`zarr.codecs.BloscCodec` that refuses a chunk that is truncated or too large when decoded.

    This class and the next ones keep the names of zarr-python's classes, which users see.
    """

    codec_name = "blosc"
    plain = zarr.codecs.BloscCodec
    __hash__ = _Checked.__hash__


class GzipCodec(_Checked, zarr.codecs.GzipCodec):
    """`zarr.codecs.GzipCodec` that refuses a chunk that is too large when decoded."""

    codec_name = "gzip"
    plain = zarr.codecs.GzipCodec
    __hash__ = _Checked.__hash__


class ZstdCodec(_Checked, zarr.codecs.ZstdCodec):
    """`zarr.codecs.ZstdCodec` that refuses a chunk that is too large when decoded."""

    codec_name = "zstd"
    plain = zarr.codecs.ZstdCodec
    __hash__ = _Checked.__hash__


def check_count(encoded: Any, count: int) -> None:
    """Raise `ChunkError` if a chunk of text or bytes holds a wrong number of elements.

    Parameters
    ----------
    encoded : bytes-like
        Chunk that starts with its number of elements; decoders allocate for that number unchecked.
    count : int
        Number of elements that the chunk should have.
    """
    view = memoryview(encoded).cast("B")
    held = int.from_bytes(view[:4], "little")
    if len(view) < 4 or held != count or len(view) < 4 * (1 + count):
        raise ChunkError(f"the chunk holds {held} elements in {len(view)} bytes, expected {count}")


class _CheckedVariable(ArrayBytesCodec):
    """Base of the two codecs of variable length; equal to zarr-python's codec."""

    plain: type[Any]

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check_count(chunk_bytes.as_numpy_array(), math.prod(chunk_spec.shape))
        return super()._decode_sync(chunk_bytes, chunk_spec)  # type: ignore[misc]

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check_count(chunk_bytes.as_numpy_array(), math.prod(chunk_spec.shape))
        return await super()._decode_single(chunk_bytes, chunk_spec)

    def __eq__(self, other: object) -> bool:
        return True if isinstance(other, self.plain) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.plain)


class VLenUTF8Codec(_CheckedVariable, zarr.codecs.VLenUTF8Codec):
    """`zarr.codecs.VLenUTF8Codec` that refuses a chunk with a wrong number of elements.

    The class keeps its name, by which zarr-python recognizes the codec for text.
    """

    plain = zarr.codecs.VLenUTF8Codec
    __hash__ = _CheckedVariable.__hash__


class VLenBytesCodec(_CheckedVariable, zarr.codecs.VLenBytesCodec):
    """`zarr.codecs.VLenBytesCodec` that refuses a chunk with a wrong number of elements."""

    plain = zarr.codecs.VLenBytesCodec
    __hash__ = _CheckedVariable.__hash__


_CHECKED: dict[str, type[Any]] = {
    "blosc": BloscCodec,
    "gzip": GzipCodec,
    "zstd": ZstdCodec,
    "vlen-utf8": VLenUTF8Codec,
    "vlen-bytes": VLenBytesCodec,
}


_NAMED = frozenset(f"numcodecs.{name}" for name in (*_DECODED_SIZES, *_STREAMS))
"""Names under which zarr-python knows the codecs of numcodecs that are checked."""


@cache
def _checked_class(name: str) -> type[Any]:
    plain: Any = get_codec_class(name)
    plain_sync: Any = getattr(plain, DECODE_SYNC, None)
    plain_single: Any = getattr(plain, DECODE_SINGLE, None)

    def check(codec: Any, chunk_bytes: Any, chunk_spec: Any) -> None:
        encoded, count = chunk_bytes.as_numpy_array(), math.prod(chunk_spec.shape)
        check_compressed(name, encoded, _expected_size(chunk_spec), count)

    def decode_sync(self: Any, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check(self, chunk_bytes, chunk_spec)
        return plain_sync(self, chunk_bytes, chunk_spec)

    async def decode_single(self: Any, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check(self, chunk_bytes, chunk_spec)
        return await plain_single(self, chunk_bytes, chunk_spec)

    def equal(self: Any, other: object) -> bool:
        return isinstance(other, plain) and self.to_dict() == other.to_dict()

    # Where zarr-python has the synchronous method, its coroutine calls that method.
    methods = {DECODE_SYNC: decode_sync} if plain_sync else {DECODE_SINGLE: decode_single}
    members = {**methods, "__eq__": equal, "__hash__": lambda _self: hash(name)}
    return type(plain.__name__, (plain,), members)


class CheckedNumcodec(numcodecs.abc.Codec):  # type: ignore[misc]
    """A compressor of numcodecs that refuses a chunk that is too large when decoded.

    Parameters
    ----------
    codec : numcodecs.abc.Codec
    expected : int or None
        Number of bytes of the elements of a chunk; None for elements that vary in size.
    count : int
        Number of elements of a chunk.
    """

    def __init__(self, codec: Any, expected: int | None, count: int) -> None:
        self._codec, self._expected, self._count = codec, expected, count

    def encode(self, buf: Any) -> Any:
        """Encode as the codec does."""
        return self._codec.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Check the decoded size, then decode as the codec does."""
        encoded = numcodecs.compat.ensure_bytes(buf)
        check_compressed(self.codec_id, encoded, self._expected, self._count)
        return self._codec.decode(buf, out)

    def get_config(self) -> dict[str, Any]:
        """Return the settings of the codec."""
        config: dict[str, Any] = self._codec.get_config()
        return config


@cache
def _checked_numcodec(codec_id: str) -> type[CheckedNumcodec]:
    # zarr-python reads the id from the class.
    return type("CheckedNumcodec", (CheckedNumcodec,), {"codec_id": codec_id})


def checked_format2(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``.zarray`` for zarr-python with compressors that check each chunk."""
    dtype = metadata["dtype"]
    count = math.prod(metadata["chunks"])
    # A compound dtype is a list of fields.
    fields_ = (
        [(name, kind, *map(tuple, rest)) for name, kind, *rest in dtype]
        if isinstance(dtype, list)
        else dtype
    )
    expected = count * np.dtype(fields_).itemsize

    def checked(codec: Any) -> Any:
        if codec is None:
            return codec
        if codec.get("id") not in {*_DECODED_SIZES, *_STREAMS}:
            numcodec(codec)  # raises an error if the codec is not installed
            return codec
        plain = numcodecs.get_codec(dict(codec))
        return _checked_numcodec(plain.codec_id)(plain, expected, count)

    filters = metadata.get("filters")
    return {
        **metadata,
        "filters": [checked(codec) for codec in filters] if filters else filters,
        "compressor": checked(metadata.get("compressor")),
    }


def checked_codecs(codecs: Sequence[Any]) -> list[Any]:
    """Return the codecs of a document, replaced by checking ones, also inside shards.

    Codecs that work on arrays receive chunks in C order, see `hdmf_zarr.codecs.contiguous`.
    """
    return [_checked(codec) for codec in codecs]


def _checked(codec: Any) -> Any:
    if not isinstance(codec, Mapping):
        return codec
    configuration = codec.get("configuration") or {}
    if codec.get("name") in _CHECKED:
        return _CHECKED[codec["name"]].from_dict(dict(codec))
    if codec.get("name") in _NAMED:
        return _checked_class(codec["name"]).from_dict(dict(codec))
    if codec.get("name") == "sharding_indexed" and "codecs" in configuration:
        inner = checked_codecs(configuration["codecs"])
        return {**codec, "configuration": {**configuration, "codecs": inner}}
    if isinstance(codec.get("name"), str):
        return in_c_order(codec) or codec
    return codec
