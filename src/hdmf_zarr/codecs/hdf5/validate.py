"""Finds damage in an encoded chunk of HDF5 without decoding it.

The checks are the chunk's checksum, if it has one, its first bytes, and the decoded size that these state. A
chunk that passes may still be damaged: only decoding can show that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hdmf_zarr.codecs.checked import decoded_size
from hdmf_zarr.codecs.hdf5.stream_codecs import Framing
from hdmf_zarr.errors import ChunkError, MetadataError

_CHECKSUM_BYTES = 4


def check_encoded(codecs: Sequence[Any], encoded: bytes, n_bytes: int) -> None:
    """Raise `ChunkError` if bytes cannot be a chunk that a chain of codecs encoded.

    Parameters
    ----------
    codecs : sequence of numcodecs codecs
        Codecs in the order in which they encode, as in `FilterChain`.
    encoded : bytes
    n_bytes : int
        Number of bytes of a chunk's elements.

    Raises
    ------
    ChunkError
        If the bytes are recognizably damaged.
    """
    view = memoryview(encoded)
    try:
        for codec, expected in zip(
            reversed(codecs), reversed(_sizes(codecs, n_bytes)), strict=True
        ):
            if codec.codec_id == "fletcher32":
                view = _without_checksum(codec, view)
            elif codec.codec_id != "shuffle":
                _check_size(_said_size(codec, view), expected)
                return
        _check_size(len(view), n_bytes)
    except (MetadataError, RuntimeError) as error:
        raise ChunkError(str(error).partition("\n")[0].strip()) from error


def _sizes(codecs: Sequence[Any], n_bytes: int) -> list[int | None]:
    """Return the input size of each codec; None after a codec that compresses."""
    sizes: list[int | None] = []
    size: int | None = n_bytes
    for codec in codecs:
        sizes.append(size)
        if codec.codec_id == "fletcher32":
            size = None if size is None else size + _CHECKSUM_BYTES
        elif codec.codec_id != "shuffle":
            size = None
    return sizes


def _check_size(found: int | None, expected: int | None) -> None:
    if found is not None and expected is not None and found != expected:
        raise ChunkError(f"it becomes {found} bytes in place of {expected}")


def _without_checksum(codec: Any, encoded: memoryview) -> memoryview:
    if len(encoded) <= _CHECKSUM_BYTES:
        raise ChunkError("it has no bytes before its checksum")
    codec.decode(encoded)  # raises if the checksum differs
    return encoded[:-_CHECKSUM_BYTES]


def _said_size(codec: Any, encoded: memoryview) -> int | None:
    """Return the decoded size that a chunk states; None if it states none."""
    if isinstance(codec, Framing):
        return codec.said_size(encoded)
    if not len(encoded):
        raise ChunkError("it has no bytes")
    is_its_own = _BEGINNINGS.get(codec.codec_id)
    if is_its_own is not None and not is_its_own(bytes(encoded[:4])):
        raise ChunkError(f"it does not begin as the codec {codec.codec_id} does")
    return decoded_size(codec.codec_id, encoded)


def _is_zlib(head: bytes) -> bool:
    return len(head) > 2 and head[0] & 15 == 8 and int.from_bytes(head[:2], "big") % 31 == 0


_BEGINNINGS: dict[str, Callable[[bytes], bool]] = {
    "blosc": lambda head: head[0] in (1, 2),  # versions of the format
    "zlib": _is_zlib,
    "bz2": lambda head: head.startswith(b"BZh"),
    "zstd": lambda head: head == b"\x28\xb5\x2f\xfd",
}
"""Codec -> function that checks the first bytes of a chunk."""
