"""The bytes of HDF5 filters with a framing of their own, encoded and decoded.

Libraries do the compression; this module reads and writes the framing around it (sizes, blocks). A framing
is a frozen dataclass whose fields are the configuration of its codec. The bytes come from untrusted files, so
every size in them is checked before memory of that size is allocated.
"""

from __future__ import annotations

import importlib
import importlib.util
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, ClassVar, Self

import numcodecs.lz4
import numpy as np

from hdmf_zarr.errors import EncodingError, LayoutError, MetadataError, MissingExtraError

EXTRA = "hdmf-zarr[hdf5-filters]"

Bytes = bytes | bytearray | memoryview

_HEADER = struct.Struct(">QI")
"""Header of the LZ4 and Bitshuffle filters: bytes of the decoded chunk, bytes of a decoded block."""

_SIZE = struct.Struct(">I")
_LITTLE_SIZE = struct.Struct("<I")

_LARGEST_LZ4_BLOCK = 0x7E000000
_MOST_OF_LZ4 = 255
_MOST_OF_LZF = 88
"""Largest number of decoded bytes per byte that the format allows."""

LEAST_BELIEVED = 2**28
_MOST_OF_OTHERS = 2**12
"""Largest decoded size of a zstd or szip chunk of unknown size: a constant, plus a number for each byte."""


def library(name: str, filter_name: str) -> ModuleType:
    """Return the library that an HDF5 filter's chunks need.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"chunks of the HDF5 filter {filter_name} need the package {name}; install it with: pip "
            f"install '{EXTRA}'"
        ) from error


_ERRORS_OF_LIBRARIES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,  # from blosc2, which parses a frame's description of its elements
    TypeError,
    ValueError,
)


def called(name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a library's decoder; turn its errors into `MetadataError`."""
    try:
        return function(*args, **options)
    except _ERRORS_OF_LIBRARIES as error:
        raise MetadataError(f"the chunk is not one of the filter {name}: {error!s:.200}") from error


def check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise MetadataError(
            f"the chunk is not one of the filter {name}: it would have {size} bytes, at most {most} "
            "are possible"
        )


def check_option(name: str, option: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise LayoutError(
            f"{option!r} of the codec {name} must be an integer from {least} to {most}, found "
            f"{value!r:.100}"
        )


@dataclass(frozen=True)
class Framing:
    """The byte format of one HDF5 filter.

    Attributes
    ----------
    needs : str or None
        Optional package that encodes and decodes; None if none is needed.
    """

    needs: ClassVar[str | None] = None

    @property
    def is_usable(self) -> bool:
        """Whether the package in ``needs`` is installed."""
        return self.needs is None or importlib.util.find_spec(self.needs) is not None

    def for_other_chunks(self) -> Self:
        """Return an equivalent framing for chunks of any shape."""
        return self

    def said_size(self, encoded: Bytes) -> int | None:
        """Return the decoded size that a chunk states; None if it states none.

        Raises
        ------
        MetadataError
            If the first bytes are not those of a chunk.
        """
        if not len(encoded):
            raise MetadataError("it has no bytes")
        return None

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return the bytes that HDF5 would store.

        Raises
        ------
        EncodingError
            If the filter does not accept data of this size.
        MissingExtraError
            If a library is not installed.
        """
        raise NotImplementedError

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Decode bytes; inverse of `encode_bytes`.

        Parameters
        ----------
        encoded : bytes-like
        most : int, optional
            Largest number of bytes of the result.

        Raises
        ------
        MetadataError
            If the bytes are damaged, or the result would be too large.
        MissingExtraError
            If a library is not installed.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LZFFraming(Framing):
    """Filter 32000, of h5py: a bare LZF stream, which does not state its decoded size."""

    needs = "imagecodecs"

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return a stream; incompressible data become literals."""
        if not len(data):
            return b""
        encoded: bytes = library("imagecodecs", "lzf").lzf_encode(data, header=False)
        return encoded

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Return the bytes of a stream."""
        if not len(encoded):
            return b""
        decode = library("imagecodecs", "lzf").lzf_decode
        possible = _MOST_OF_LZF * len(encoded)
        room = possible if most is None else min(most, possible)
        decoded: bytes = called("lzf", decode, encoded, header=False, out=room)
        return decoded


def _lz4_compressed(block: Bytes) -> Bytes:
    # numcodecs writes the size before the block.
    return memoryview(numcodecs.lz4.compress(block))[_LITTLE_SIZE.size :]


def _lz4_decompressed(name: str, block: Bytes, size: int) -> Bytes:
    if size > _LARGEST_LZ4_BLOCK:
        raise MetadataError(f"the chunk is not one of the filter {name}: a block of {size} bytes")
    framed = b"".join((_LITTLE_SIZE.pack(size), block))
    decoded: bytes = called(name, numcodecs.lz4.decompress, framed)
    return decoded


def _header(name: str, encoded: Bytes) -> tuple[int, int, memoryview]:
    """Return the sizes of the chunk and of a block in bytes, and the bytes after the header."""
    if len(encoded) < _HEADER.size:
        raise MetadataError(f"the chunk is not one of the filter {name}: it ends in its header")
    total, block = _HEADER.unpack_from(encoded)
    return total, block, memoryview(encoded)[_HEADER.size :]


def _pieces(name: str, body: memoryview, sizes: Iterator[int]) -> Iterator[tuple[memoryview, int]]:
    """Yield encoded blocks, each with its decoded size; last, the remaining bytes and 0."""
    position = 0
    for size in sizes:
        if len(body) - position < _SIZE.size:
            raise MetadataError(f"the chunk is not one of the filter {name}: it ends too early")
        (length,) = _SIZE.unpack_from(body, position)
        position += _SIZE.size
        if length > len(body) - position:
            raise MetadataError(f"the chunk is not one of the filter {name}: it ends too early")
        yield body[position : position + length], size
        position += length
    yield body[position:], 0


def _block_sizes(total: int, block: int) -> Iterator[int]:
    """Yield the size of each block; a generator, since both arguments come from an untrusted file."""
    for start in range(0, total, block):
        yield min(block, total - start)


@dataclass(frozen=True)
class LZ4Framing(Framing):
    """Filter 32004: LZ4 blocks between big-endian sizes; an incompressible block is stored unchanged.

    Attributes
    ----------
    blocksize : int
        Number of bytes of a block, 0 for 1 GiB.
    """

    blocksize: int = 0

    def __post_init__(self) -> None:
        check_option("lz4", "blocksize", self.blocksize, 0, _LARGEST_LZ4_BLOCK)

    def said_size(self, encoded: Bytes) -> int | None:
        """Return the size in the header."""
        return _header("lz4", encoded)[0]

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return the header and the blocks."""
        data = memoryview(data)
        block = min(self.blocksize or 2**30, len(data))
        parts: list[Bytes] = [_HEADER.pack(len(data), block)]
        for start in range(0, len(data), block or 1):
            raw = data[start : start + block]
            compressed = _lz4_compressed(raw)
            kept = compressed if len(compressed) < len(raw) else raw
            parts += (_SIZE.pack(len(kept)), kept)
        return b"".join(parts)

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Return the bytes of all blocks."""
        total, block, body = _header("lz4", encoded)
        possible = _MOST_OF_LZ4 * len(encoded)
        check_size("lz4", total, possible if most is None else min(most, possible))
        if total and not block:
            raise MetadataError("the chunk is not one of the filter lz4: its blocks have no bytes")
        parts = [
            piece if len(piece) == size else _lz4_decompressed("lz4", piece, size)
            for piece, size in _pieces("lz4", body, _block_sizes(total, max(block, 1)))
            if size
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)


_BITSHUFFLE_COMPRESSORS = ("none", "lz4", "zstd")
_TARGET_BLOCK = 8192
_LEAST_BLOCK = 128
_BITS = 8


@dataclass(frozen=True)
class BitshuffleFraming(Framing):
    """Filter 32008: the bits of a block of elements transposed, and each block compressed.

    The last elements, which do not fill a group of eight, are stored unchanged at the end.

    Attributes
    ----------
    elementsize : int
        Number of bytes of one element.
    blocksize : int
        Number of elements of a block, a multiple of 8; 0 for about 8 KiB.
    cname : {"none", "lz4", "zstd"}
    clevel : int
        Level of zstd.
    """

    needs = "imagecodecs"

    elementsize: int
    blocksize: int = 0
    cname: str = "none"
    clevel: int = 0

    def __post_init__(self) -> None:
        check_option("bitshuffle", "elementsize", self.elementsize, 1, 2**31 - 1)
        check_option("bitshuffle", "blocksize", self.blocksize, 0, 2**31 - 1)
        check_option("bitshuffle", "clevel", self.clevel, -(2**17), 22)
        if self.blocksize % _BITS:
            raise LayoutError(f"'blocksize' must be a multiple of 8, found {self.blocksize}")
        if self.cname not in _BITSHUFFLE_COMPRESSORS:
            raise LayoutError(
                f"'cname' must be one of {_BITSHUFFLE_COMPRESSORS}, found {self.cname!r:.100}"
            )

    def said_size(self, encoded: Bytes) -> int | None:
        """Return the size in the header, or that of the chunk if it is not compressed."""
        return len(encoded) if self.cname == "none" else _header("bitshuffle", encoded)[0]

    @property
    def _block_elements(self) -> int:
        default = _TARGET_BLOCK // self.elementsize // _BITS * _BITS
        return self.blocksize or max(default, _LEAST_BLOCK)

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return the blocks, after a header if they are compressed."""
        data = memoryview(data)
        if len(data) % self.elementsize:
            raise EncodingError(
                f"bitshuffle takes whole elements of {self.elementsize} bytes, found {len(data)} bytes"
            )
        whole = self._whole(len(data))
        shuffled = memoryview(
            self._shuffled("bitshuffle_encode", data[:whole], self._block_elements)
        )
        if self.cname == "none":
            return b"".join((shuffled, data[whole:]))
        block = self._block_elements * self.elementsize
        parts: list[Bytes] = [_HEADER.pack(len(data), block)]
        for start in range(0, whole, block):
            compressed = self._compressed(shuffled[start : start + block])
            parts += (_SIZE.pack(len(compressed)), compressed)
        return b"".join((*parts, data[whole:]))

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Return the elements in their order."""
        if self.cname == "none":
            shuffled, rest, elements = self._plain_blocks(memoryview(encoded))
        else:
            shuffled, rest, elements = self._decompressed_blocks(encoded, most)
        decoded = self._shuffled("bitshuffle_decode", shuffled, elements)
        return b"".join((decoded, rest)) if len(rest) else decoded

    def _plain_blocks(self, encoded: memoryview) -> tuple[Bytes, memoryview, int]:
        self._check_whole(len(encoded))
        whole = self._whole(len(encoded))
        return encoded[:whole], encoded[whole:], self._block_elements

    def _decompressed_blocks(
        self, encoded: Bytes, most: int | None
    ) -> tuple[Bytes, memoryview, int]:
        """Return the shuffled elements, the unchanged rest, and the number of elements of a block."""
        total, block, body = _header("bitshuffle", encoded)
        possible = (
            _MOST_OF_LZ4 * len(encoded)
            if self.cname == "lz4"
            else LEAST_BELIEVED + _MOST_OF_OTHERS * len(encoded)
        )
        check_size("bitshuffle", total, possible if most is None else min(most, possible))
        self._check_whole(total)
        if not block or block % (self.elementsize * _BITS):
            raise MetadataError(
                f"the chunk is not one of the filter bitshuffle: blocks of {block} bytes of elements "
                f"of {self.elementsize}"
            )
        whole = self._whole(total)
        rest = memoryview(b"")
        parts: list[Bytes] = []
        for piece, size in _pieces("bitshuffle", body, _block_sizes(whole, block)):
            if size:
                parts.append(self._decompressed(piece, size))
            else:
                rest = piece[: total - whole]
        if len(rest) < total - whole:
            raise MetadataError("the chunk is not one of the filter bitshuffle: it ends too early")
        return b"".join(parts), rest, block // self.elementsize

    def _whole(self, size: int) -> int:
        """Return the number of bytes of the elements that are shuffled."""
        return size // self.elementsize // _BITS * _BITS * self.elementsize

    def _check_whole(self, size: int) -> None:
        if size % self.elementsize:
            raise MetadataError(
                f"the chunk is not one of the filter bitshuffle: {size} bytes are no whole elements "
                f"of {self.elementsize}"
            )

    def _shuffled(self, function: str, data: Bytes, elements: int) -> Bytes:
        if not len(data):
            return b""
        shuffle = getattr(library("imagecodecs", "bitshuffle"), function)
        # A block that is longer than the data is equivalent to one of the same length as the data.
        elements = min(elements, len(data) // self.elementsize)
        shuffled: Bytes = called(
            "bitshuffle", shuffle, data, itemsize=self.elementsize, blocksize=elements
        )
        return shuffled

    def _compressed(self, block: memoryview) -> Bytes:
        if self.cname == "lz4":
            return _lz4_compressed(block)
        compressed: bytes = library("imagecodecs", "bitshuffle").zstd_encode(
            block, level=self.clevel
        )
        return compressed

    def _decompressed(self, piece: memoryview, size: int) -> Bytes:
        if self.cname == "lz4":
            return _lz4_decompressed("bitshuffle", piece, size)
        decode = library("imagecodecs", "bitshuffle").zstd_decode
        block: bytes = called("bitshuffle", decode, piece, out=size)
        if len(block) != size:
            raise MetadataError(
                f"the chunk is not one of the filter bitshuffle: a block of {size} bytes has "
                f"{len(block)}"
            )
        return block


_WIDE_PIXEL = 24
_BEYOND_SZIP = b"\xff"


@dataclass(frozen=True)
class SzipFraming(Framing):
    """Filter 4: the size of the decoded chunk, little-endian, and a stream of szip.

    Attributes
    ----------
    options_mask, pixels_per_block, bits_per_pixel, pixels_per_scanline : int
        Values that HDF5 stores for the filter.
    """

    needs = "imagecodecs"

    options_mask: int
    pixels_per_block: int
    bits_per_pixel: int
    pixels_per_scanline: int

    def __post_init__(self) -> None:
        check_option("szip", "options_mask", self.options_mask, 0, 2**31 - 1)
        check_option("szip", "pixels_per_block", self.pixels_per_block, 2, 32)
        check_option("szip", "bits_per_pixel", self.bits_per_pixel, 1, 64)
        check_option("szip", "pixels_per_scanline", self.pixels_per_scanline, 1, 4096)

    def for_other_chunks(self) -> Self:
        """Return a codec whose lines are whole blocks, which accepts any number of elements."""
        block = self.pixels_per_block
        lines = max(1, self.pixels_per_scanline // block)
        return replace(self, pixels_per_scanline=lines * block)

    @property
    def _pixel_bytes(self) -> int:
        if self.bits_per_pixel > _WIDE_PIXEL:
            return 4 if self.bits_per_pixel <= 32 else 8
        return 1 if self.bits_per_pixel <= 8 else 2 if self.bits_per_pixel <= 16 else 4

    def said_size(self, encoded: Bytes) -> int | None:
        """Return the size before the stream."""
        if len(encoded) < _LITTLE_SIZE.size:
            raise MetadataError("the chunk is not one of the filter szip: it ends in its header")
        size: int = _LITTLE_SIZE.unpack_from(encoded)[0]
        return size

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return the size and the stream."""
        if not len(data):
            return _LITTLE_SIZE.pack(0)
        self._check_lines(len(data), EncodingError)
        encode = library("imagecodecs", "szip").szip_encode
        encoded: bytes = called(
            "szip", encode, data, *self._options(self.pixels_per_scanline), header=True
        )
        return encoded

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Return the elements.

        The library decodes a truncated stream to arbitrary values, and reports an error only sometimes. Bytes
        after a complete stream change no value, so a second decoding with one more byte detects truncation.
        In the stream, lines that are not a whole number of blocks are padded. This method removes the
        padding, since the library reports no error when it does that itself.
        """
        total = self.said_size(encoded) or 0
        possible = LEAST_BELIEVED + _MOST_OF_OTHERS * len(encoded)
        check_size("szip", total, possible if most is None else min(most, possible))
        if not total:
            return b""
        line, padded = self._line_bytes
        self._check_lines(total, MetadataError)
        size = total // line * padded if padded != line else total
        body = memoryview(encoded)[_LITTLE_SIZE.size :]
        decoded: bytes = called("szip", self._decoded, body, size)
        if len(decoded) != size or self._depends_on_more(body, decoded):
            raise MetadataError("the chunk is not one of the filter szip: it ends too early")
        if padded == line:
            return decoded
        return np.frombuffer(decoded, np.uint8).reshape(-1, padded)[:, :line].tobytes()

    @property
    def _line_bytes(self) -> tuple[int, int]:
        """Number of bytes of a line, and of a line padded to whole blocks."""
        block = self.pixels_per_block * self._pixel_bytes
        line = self.pixels_per_scanline * self._pixel_bytes
        return line, -(-line // block) * block

    def _check_lines(self, size: int, error: type[EncodingError | MetadataError]) -> None:
        line, padded = self._line_bytes
        if size % self._pixel_bytes:
            raise error(
                f"szip takes whole elements of {self._pixel_bytes} bytes, found {size} bytes"
            )
        if padded != line and size % line:
            raise error(f"szip takes whole lines of {line} bytes, found {size} bytes")

    def _decoded(self, body: Bytes, size: int) -> bytes:
        options = self._options(self._line_bytes[1] // self._pixel_bytes)
        return bytes(
            library("imagecodecs", "szip").szip_decode(body, *options, header=False, out=size)
        )

    def _depends_on_more(self, body: memoryview, decoded: bytes) -> bool:
        """Whether a stream followed by another byte decodes to other values."""
        try:
            other = self._decoded(b"".join((body, _BEYOND_SZIP)), len(decoded))
        except RuntimeError:  # the library read on past the end and found no block
            return False
        return other != decoded

    def _options(self, line: int) -> tuple[int, int, int, int]:
        return self.options_mask, self.pixels_per_block, self.bits_per_pixel, line
