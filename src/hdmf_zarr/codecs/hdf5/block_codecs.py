"""The bytes of HDF5 filters that know the shape of a chunk: Blosc2 and ZFP.

As in `hdmf_zarr.codecs.hdf5.stream_codecs`, libraries do the compression, and this module checks that sizes
are possible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdmf_zarr.codecs.hdf5.stream_codecs import (
    LEAST_BELIEVED,
    Bytes,
    Framing,
    called,
    check_option,
    check_size,
    library,
)
from hdmf_zarr.errors import EncodingError, LayoutError, MetadataError

# -- Blosc2 ----------------------------------------------------------------------------------------

BLOSC2_CODECS = {"blosclz": 0, "lz4": 1, "lz4hc": 2, "zlib": 4, "zstd": 5}
"""Name -> number in the filter's values; other numbers are those of plugins, or lose precision."""

BLOSC2_SHUFFLES = {0: "none", 1: "byte", 2: "bit", 3: "delta"}

_FRAME_MAGIC = b"b2frame\0"
_LEAST_FRAME = 39
"""Bytes up to the end of the sizes: the frame's size is at byte 16, the decoded size at byte 30."""

_MOST_BYTES = 2**31
"""Largest number of decoded bytes of a frame's chunk."""

_MOST_DIMENSIONS = 8
"""Largest number of dimensions of a Blosc2 array; a chunk that has more is a plain frame."""


@dataclass(frozen=True)
class Blosc2Framing(Framing):
    """Filter 32026: a contiguous frame of Blosc2, which holds one chunk.

    A chunk of several dimensions is a Blosc2 array, split into blocks of as many dimensions.

    Attributes
    ----------
    shape : tuple of int
        Number of elements of a chunk along each dimension.
    typesize : int
        Number of bytes of an element.
    cname : {"blosclz", "lz4", "lz4hc", "zlib", "zstd"}
    clevel : int
    shuffle : {"none", "byte", "bit", "delta"}
    """

    shape: tuple[int, ...]
    typesize: int
    cname: str = "blosclz"
    clevel: int = 5
    shuffle: str = "byte"

    needs = "blosc2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _checked_shape(self.shape))
        check_option("blosc2", "typesize", self.typesize, 1, 255)
        check_option("blosc2", "clevel", self.clevel, 0, 9)
        for name, known in (("cname", BLOSC2_CODECS), ("shuffle", BLOSC2_SHUFFLES.values())):
            if getattr(self, name) not in known:
                raise LayoutError(
                    f"{name!r} of the codec blosc2 must be one of {list(known)}, found "
                    f"{getattr(self, name)!r:.100}"
                )

    @property
    def _n_bytes(self) -> int:
        return math.prod(self.shape) * self.typesize

    def said_size(self, encoded: Bytes) -> int | None:
        """Return None, since the frame's size includes padding; raise if the frame is not valid.

        Raises
        ------
        MetadataError
            If the bytes are no frame, or the frame has another length.
        """
        head = bytes(memoryview(encoded)[:_LEAST_FRAME])
        if len(head) < _LEAST_FRAME or head[2:10] != _FRAME_MAGIC:
            raise MetadataError("the chunk is not one of the filter blosc2: it is no frame")
        held = int.from_bytes(head[16:24], "big")
        if held != len(encoded):
            raise MetadataError(
                f"the chunk is not one of the filter blosc2: it has {len(encoded)} bytes of {held}"
            )
        return None

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return a frame."""
        blosc2 = library("blosc2", "blosc2")
        filters = {
            "none": blosc2.Filter.NOFILTER,
            "byte": blosc2.Filter.SHUFFLE,
            "bit": blosc2.Filter.BITSHUFFLE,
            "delta": blosc2.Filter.DELTA,
        }
        options = {
            "codec": blosc2.Codec(BLOSC2_CODECS[self.cname]),
            "clevel": self.clevel,
            "filters": [filters[self.shuffle]],
            "typesize": self.typesize,
            "nthreads": 1,
        }
        frame: bytes
        if 1 < len(self.shape) <= _MOST_DIMENSIONS and len(data) == self._n_bytes:
            elements = np.frombuffer(data, f"V{self.typesize}").reshape(self.shape)
            frame = blosc2.asarray(elements, chunks=self.shape, cparams=options).to_cframe()
            return frame
        if len(data) % self.typesize or not len(data):
            raise EncodingError(
                f"blosc2 takes whole elements of {self.typesize} bytes, found {len(data)} bytes"
            )
        frame = blosc2.SChunk(
            chunksize=len(data), data=bytes(data), contiguous=True, cparams=options
        ).to_cframe()
        return frame

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Return the elements of a frame."""
        self.said_size(encoded)
        decoded: bytes = called("blosc2", self._decoded, bytes(encoded), most)
        return decoded

    def _decoded(self, frame: bytes, most: int | None) -> bytes:
        blosc2 = library("blosc2", "blosc2")
        if most is None:
            most = max(min(self._n_bytes, _MOST_BYTES), LEAST_BELIEVED)
        chunks = blosc2.schunk_from_cframe(frame)
        # Each dimension of an array is padded to whole blocks, which less than doubles it.
        padding = 2 ** len(self.shape) if "b2nd" in chunks.meta else 1
        check_size("blosc2", chunks.nbytes, most * padding)
        if chunks.nchunks != 1:
            raise MetadataError(
                f"the chunk is not one of the filter blosc2: {chunks.nchunks} chunks"
            )
        if "b2nd" not in chunks.meta:
            return bytes(chunks[:])
        elements = blosc2.ndarray_from_cframe(frame)
        check_size("blosc2", math.prod(elements.shape) * elements.schunk.typesize, most)
        return bytes(np.asarray(elements[...]).tobytes())


def _checked_shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, (list, tuple)) or not shape:
        raise LayoutError(
            f"'shape' of the codec blosc2 must be a list of integers, found {shape!r:.100}"
        )
    for size in shape:
        check_option("blosc2", "shape", size, 1, 2**32)
    return tuple(shape)


# -- ZFP -------------------------------------------------------------------------------------------

_ZFP_MAGIC = int.from_bytes(b"zfp\x05", "little")
_ZFP_TYPES = ("<i4", "<i8", "<f4", "<f8")
_SHORT_HEADER, _LONG_HEADER = 96, 148
"""Number of bits of a header."""

_EXPERT = 0xFFF
_RATES, _PRECISIONS, _REVERSIBLE = 2048, 128, 2176
"""Values of the 12 mode bits: 2048 rates, 128 precisions, one lossless mode; then tolerances."""

_MOST_OF_ZFP = 2**14
"""Largest number of decoded bytes per byte: eight empty blocks of four dimensions."""

_LEAST_EXPONENT = -1074
_EVERYTHING = 64
"""Number of all bit planes."""


@dataclass(frozen=True)
class ZFPFraming(Framing):
    """Filter 32013: a stream of ZFP without its header, which is among the filter's values.

    Attributes
    ----------
    header : str
        Header as hexadecimal digits of its bytes, the lowest bits first: type and shape of the
        elements, and the precision. A header of 148 bits has 4 zero bits at its end.
    """

    header: str

    needs = "imagecodecs"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"([0-9a-f]{2}){12,19}", str(self.header)):
            raise LayoutError(
                f"'header' of the codec zfp must be hexadecimal digits, found {self.header!r:.100}"
            )
        is_magic = self._bits & 0xFFFFFFFF == _ZFP_MAGIC
        if not is_magic or self._n_bits > 4 * len(self.header) or self._bits >> self._n_bits:
            raise LayoutError(f"{self.header!r} is no header of ZFP")

    @classmethod
    def of_values(cls, values: Sequence[int]) -> ZFPFraming:
        """Return the framing for the values of a filter: its version, then the header."""
        words = b"".join(value.to_bytes(4, "little") for value in values[1:])
        is_long = len(words) > _SHORT_HEADER // 8
        size = (_LONG_HEADER + 7) // 8 if is_long else _SHORT_HEADER // 8
        return cls(header=words[:size].hex())

    @property
    def _bits(self) -> int:
        return int.from_bytes(bytes.fromhex(self.header), "little")

    @property
    def _mode(self) -> int:
        return self._bits >> 84 & 0xFFF

    @property
    def _n_bits(self) -> int:
        return _LONG_HEADER if self._mode == _EXPERT else _SHORT_HEADER

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the elements."""
        return np.dtype(_ZFP_TYPES[self._bits >> 32 & 3])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a chunk, without the dimensions of length 1."""
        n_dimensions = (self._bits >> 34 & 3) + 1
        width = 48 // n_dimensions
        sizes = [
            (self._bits >> 36 + axis * width & (1 << width) - 1) + 1 for axis in range(n_dimensions)
        ]
        return tuple(reversed(sizes))

    @property
    def _n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def encode_bytes(self, data: Bytes) -> Bytes:
        """Return the stream; values are rounded to the precision in the header."""
        if len(data) != self._n_bytes:
            raise EncodingError(
                f"zfp takes chunks of shape {self.shape}, {self._n_bytes} bytes, found {len(data)}"
            )
        imagecodecs = library("imagecodecs", "zfp")
        elements = np.frombuffer(data, self.dtype).reshape(self.shape)
        name, level = self._kept()
        mode = imagecodecs.ZFP.MODE[name]
        whole: bytes = called(
            "zfp", imagecodecs.zfp_encode, elements, level, mode=mode, header=True
        )
        head, stream = _split(whole)
        # The options passed to the library must match the header.
        if head != self and head.decode_bytes(stream) != self.decode_bytes(stream):
            raise EncodingError("zfp keeps these values in another way than its header says")
        return stream

    def _kept(self) -> tuple[str, float | None]:
        """Return the library's options for the precision: name of the mode, and level."""
        mode = self._mode
        if mode < _RATES:
            return "FIXED_RATE", (mode + 1) / 4 ** len(self.shape)
        if mode < _RATES + _PRECISIONS:
            return "FIXED_PRECISION", mode - _RATES + 1
        if mode == _REVERSIBLE:
            return "REVERSIBLE", None
        if mode != _EXPERT:
            return "FIXED_ACCURACY", 2.0 ** (mode - _REVERSIBLE - 1 + _LEAST_EXPONENT)
        least, most, planes, exponent = (
            (self._bits >> start & (1 << width) - 1)
            for start, width in ((96, 15), (111, 15), (126, 7), (133, 15))
        )
        keeps_all = least == 0 and most >= 16656 and planes == _EVERYTHING - 1
        if not keeps_all or exponent > 16495 + _LEAST_EXPONENT:
            raise EncodingError(
                "zfp with parameters of the expert mode is read, not written; choose other codecs"
            )
        return "FIXED_PRECISION", _EVERYTHING

    def decode_bytes(self, encoded: Bytes, most: int | None = None) -> Bytes:
        """Return the elements.

        A stream does not state its length, and the library reads on past its end. So padding follows the
        stream; if the elements depend on the padding, the stream is truncated.
        """
        possible = LEAST_BELIEVED + _MOST_OF_ZFP * len(encoded)
        check_size("zfp", self._n_bytes, possible if most is None else min(most, possible))
        self.said_size(encoded)
        if 8 * len(encoded) < self._least_bits:
            raise MetadataError("the chunk is not one of the filter zfp: it ends too early")
        decoded, other = (self._decoded(encoded, filling) for filling in (b"\0", b"\xff"))
        if decoded != other:
            raise MetadataError("the chunk is not one of the filter zfp: it ends too early")
        return decoded

    def _decoded(self, encoded: Bytes, filling: bytes) -> bytes:
        header = bytes.fromhex(self.header)
        body = b"".join((encoded, filling * self._room))
        if self._n_bits % 8:
            shifted = int.from_bytes(body, "little") << self._n_bits | self._bits
            stream = shifted.to_bytes(len(header) + len(body), "little")
        else:
            stream = header + body
        elements = called("zfp", library("imagecodecs", "zfp").zfp_decode, stream)
        if elements.shape != self.shape or elements.dtype != self.dtype:
            raise MetadataError(
                f"the chunk is not one of the filter zfp: it has {elements.dtype} {elements.shape}"
            )
        return bytes(elements.astype(self.dtype, copy=False).tobytes())

    @property
    def _n_blocks(self) -> int:
        return math.prod(-(-size // 4) for size in self.shape)

    @property
    def _least_bits(self) -> int:
        """Smallest number of bits of a stream: known for a fixed rate, else 0."""
        return self._n_blocks * (self._mode + 1) if self._mode < _RATES else 0

    @property
    def _room(self) -> int:
        """Largest number of bytes of any stream of these elements."""
        bits = 8 * self.dtype.itemsize
        blocks = self._n_blocks
        values: int = 4 ** len(self.shape)
        # Each bit plane has one bit for each value and one more; then one per value; then the exponent.
        return blocks * ((bits + 1) * (values + 1) + values + 64) // 8 + 64


def _split(whole: bytes) -> tuple[ZFPFraming, bytes]:
    """Split a stream into its header and the rest."""
    bits = int.from_bytes(whole, "little")
    n_bits = _LONG_HEADER if bits >> 84 & 0xFFF == _EXPERT else _SHORT_HEADER
    header = (bits & (1 << n_bits) - 1).to_bytes((n_bits + 7) // 8, "little")
    return ZFPFraming(header=header.hex()), (bits >> n_bits).to_bytes(
        len(whole) - n_bits // 8, "little"
    )
