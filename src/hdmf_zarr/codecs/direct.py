"""Encodes and decodes one chunk in place, by the codecs in the metadata of its array.

zarr-python passes each chunk to its event loop and to threads, which takes a thousand times as long as the
codecs of a small chunk. zarr-python handles a chain with a codec that is unknown here.

The metadata determine the decoded size of a chunk of numbers, so that a few bytes never become gigabytes;
text varies in length, so its bound is only approximate.
"""

from __future__ import annotations

import bz2
import json
import math
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import google_crc32c
import numcodecs
import numpy as np
import numpy.typing as npt
import zarr.dtype
from numcodecs.vlen import VLenBytes, VLenUTF8
from zarr.errors import UnstableSpecificationWarning

from hdmf_zarr.codecs.blosc_blocks import part_of_blosc
from hdmf_zarr.codecs.checked import check_count, check_stream, decoded_size
from hdmf_zarr.codecs.hdf5.codecs import ZARR_CODECS
from hdmf_zarr.codecs.hdf5.stream_codecs import Framing
from hdmf_zarr.codecs.inflate import INFLATE_ERRORS, inflater, streams
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec, PickledObjectsCodec
from hdmf_zarr.codecs.registry import SETTINGS
from hdmf_zarr.core.limits import most_encoded_bytes, most_text_bytes
from hdmf_zarr.errors import ChunkError, EncodingError, HDMFZarrError, MetadataError

_BLOSC_SHUFFLE = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}

_CHECKSUM_BYTES = 4

_GROWTH_OF_COMPRESSORS = 1024
"""Largest growth in bytes of incompressible data, in addition to an eighth of their size."""

LARGE_BYTES = 2**26
"""Decoded size above which a chunk of text is first decoded in pieces, to check its size."""

_KINDS_OF_FIXED_SIZE = "biufcSU"

Buffer = bytes | memoryview

DECODING_ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    RuntimeError,
    OverflowError,
    EOFError,
    OSError,
    IndexError,  # of numcodecs 0.15
    *INFLATE_ERRORS,
)
"""Errors that codecs raise for bytes that they did not encode."""

_NAMED_CODECS_LIMIT = 1024

_STREAM_PIECE = 2**20
"""Decoded bytes per step of the streams that follow the first one."""


class _Step(Protocol):
    """A codec from bytes to bytes."""

    def encode(self, given: Buffer) -> bytes:
        """Return the encoded bytes."""

    def decode(self, encoded: Buffer, limit: int | None) -> Buffer:
        """Return the decoded bytes, at most ``limit``."""

    def largest(self, size: int) -> int:
        """Return the largest encoded size of ``size`` bytes."""


@dataclass(frozen=True)
class DirectChain:
    """The codec chain of an array, applied to one whole chunk in memory without zarr's event loop.

    Attributes
    ----------
    shape : tuple of int
        Shape of every chunk; elements beyond the end of the array are the fill value.
    dtype : numpy.dtype or None
        Dtype of the elements; None for objects that vary in length.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    _order: tuple[int, ...] | None
    _stored: np.dtype[Any] | None
    _objects: Any
    _steps: tuple[_Step, ...]

    @classmethod
    def for_codecs(
        cls, data_type: Any, shape: Sequence[int], codecs: Sequence[Any]
    ) -> DirectChain | None:
        """Return the chain of an array; None if zarr-python must handle its chunks.

        Parameters
        ----------
        data_type : str or mapping
            Data type in the array's document.
        shape : sequence of int
            Shape of a chunk.
        codecs : sequence of mapping
            Codecs in the array's document.
        """
        try:
            return _chain(json.dumps([data_type, list(shape), list(codecs)]))
        except (TypeError, ValueError):
            return None

    @cached_property
    def nbytes(self) -> int | None:
        """Number of bytes of a decoded chunk; None for elements that vary in length."""
        return None if self.dtype is None else math.prod(self.shape) * self.dtype.itemsize

    @property
    def most_encoded(self) -> int:
        """Largest number of bytes of an encoded chunk."""
        nbytes = self.nbytes
        if nbytes is None:
            return most_encoded_bytes(None)
        largest = nbytes
        for step in self._steps:
            largest = step.largest(largest)
        return max(most_encoded_bytes(nbytes), largest)

    def decode(self, encoded: Buffer) -> npt.NDArray[Any]:
        """Return the elements of a chunk, those beyond the end of the array included.

        Parameters
        ----------
        encoded : bytes

        Returns
        -------
        numpy.ndarray of shape ``self.shape``
            Array of ``self.dtype``, or of ``str`` or ``bytes`` objects; it may be read-only.

        Raises
        ------
        ChunkError
            If the bytes are not those of a chunk of this array.
        """
        try:
            return self._decode(encoded)
        except HDMFZarrError:
            raise
        except DECODING_ERRORS as error:
            raise ChunkError(f"the chunk of {len(encoded)} bytes is damaged: {error}") from error

    @property
    def decodes_parts(self) -> bool:
        """Whether rows of a chunk can be decoded separately."""
        return self._is_plain and (not self._steps or isinstance(self._steps[0], _Blosc))

    @property
    def _holds_text(self) -> bool:
        return isinstance(self._objects, VLenUTF8)

    @property
    def _is_plain(self) -> bool:
        """Whether elements have the same form in the store and in memory."""
        return self._order is None and self._stored == self.dtype

    def decode_into(
        self, encoded: Buffer, out: npt.NDArray[Any], rows: slice | None = None
    ) -> None:
        """Decode a chunk of numbers into an array, where possible without a temporary array.

        Allocating memory for each decoded chunk takes as long as decoding it.

        Parameters
        ----------
        encoded : bytes
        out : numpy.ndarray of shape ``self.shape``
            Array of ``self.dtype`` in C order.
        rows : slice, optional
            Rows that are needed; the others are undefined afterwards.

        Raises
        ------
        ChunkError
            If the bytes are not those of a chunk of this array; ``out`` is undefined then.
        """
        first = self._steps[0] if self._steps else None
        if not self._is_plain or not isinstance(first, _Compressor) or not first.fills:
            only = rows if rows is not None else slice(None)
            out[only] = self.decode(encoded)[only]
            return
        try:
            for step, limit in zip(
                self._steps[:0:-1], self._limits(len(encoded))[:0:-1], strict=True
            ):
                encoded = step.decode(encoded, limit)
            if rows is not None and isinstance(first, _Blosc):
                first.decode_rows_into(encoded, out, rows)
            else:
                first.decode_into(encoded, out)
        except ChunkError:
            raise
        except DECODING_ERRORS as error:
            raise ChunkError(f"the chunk of {len(encoded)} bytes is damaged: {error}") from error

    def _limits(self, n_encoded: int) -> list[int]:
        """Return the largest input size of each encoding step, for a chunk of ``n_encoded`` bytes."""
        nbytes = self.nbytes
        most = nbytes if nbytes is not None else most_text_bytes(n_encoded, math.prod(self.shape))
        limits = [most]
        for step in self._steps[:-1]:
            limits.append(step.largest(limits[-1]))
        return limits

    def _decode(self, encoded: Buffer) -> npt.NDArray[Any]:
        for step, limit in zip(
            reversed(self._steps),
            reversed(self._limits(len(encoded))[: len(self._steps)]),
            strict=True,
        ):
            if step is self._steps[0] and isinstance(step, _Objects) and self._holds_text:
                return step.elements(encoded)  # equal to the serializer's result
            encoded = step.decode(encoded, limit)
        if self._stored is None:
            return self._decode_objects(encoded)
        expected = self.nbytes
        if len(encoded) != expected:
            raise ChunkError(f"the chunk becomes {len(encoded)} bytes, expected {expected}")
        stored = np.frombuffer(encoded, dtype=self._stored)
        if self._order is None:
            values = stored.reshape(self.shape)
        else:
            values = stored.reshape([self.shape[axis] for axis in self._order])
            values = values.transpose(np.argsort(self._order))
        return values.astype(self.dtype, order="C", copy=False)

    def _decode_objects(self, encoded: Buffer) -> npt.NDArray[Any]:
        check_count(encoded, math.prod(self.shape))
        values: npt.NDArray[Any] = self._objects.decode(encoded)
        return values.reshape(self.shape)

    def encode(self, array: npt.NDArray[Any]) -> Buffer:
        """Return the chunk that holds elements; inverse of `decode`.

        Parameters
        ----------
        array : numpy.ndarray of shape ``self.shape``
            Elements in stored form, as they would be assigned to zarr's array. See `padded`.

        Returns
        -------
        bytes or memoryview
            Encoded chunk; a view of the array's memory if no codec changes its bytes.

        Raises
        ------
        EncodingError
            If the array has another shape, or a dtype that differs in more than byte order.
        """
        if array.shape != self.shape:
            raise EncodingError(f"a chunk has the shape {self.shape}, found {array.shape}")
        if self._stored is None:
            objects = np.ascontiguousarray(array.astype(object, copy=False))
            encoded: Buffer = bytes(self._objects.encode(objects))
        else:
            assert self.dtype is not None
            if array.dtype.newbyteorder("=") != self.dtype.newbyteorder("="):
                raise EncodingError(f"elements of a chunk are {self.dtype}, found {array.dtype}")
            ordered = array if self._order is None else array.transpose(self._order)
            stored = np.ascontiguousarray(ordered.astype(self._stored, copy=False))
            encoded = stored.reshape(-1).view(np.uint8).data
        for step in self._steps:
            encoded = step.encode(encoded)
        return encoded

    def padded(self, array: npt.NDArray[Any], fill_value: Any) -> npt.NDArray[Any]:
        """Return a whole chunk from the elements at its beginning.

        Parameters
        ----------
        array : numpy.ndarray
            Array that is not larger than ``self.shape`` along any dimension.
        fill_value : scalar
            Value of the elements beyond the array's end.
        """
        if array.shape == self.shape:
            return array
        dtype = object if self.dtype is None else self.dtype
        chunk = np.full(self.shape, fill_value, dtype=dtype)
        chunk[tuple(slice(size) for size in array.shape)] = array
        return chunk


# -- from the metadata -----------------------------------------------------------------------------


class _UnknownError(Exception):
    """Only zarr-python can handle the chain."""


@lru_cache(maxsize=_NAMED_CODECS_LIMIT)
def _chain(named: str) -> DirectChain | None:
    data_type, shape, codecs = json.loads(named)
    try:
        return _made_chain(data_type, tuple(int(size) for size in shape), codecs)
    except (_UnknownError, LookupError, TypeError, ValueError, AttributeError):
        # zarr-python raises the error for invalid metadata.
        return None


def _made_chain(data_type: Any, shape: tuple[int, ...], codecs: Sequence[Any]) -> DirectChain:
    rest = list(codecs)
    order = None
    for codec in codecs:
        settings = (codec.get("configuration") or {}).keys()
        if not SETTINGS.get(codec["name"], settings) >= settings:
            raise _UnknownError
    if rest and rest[0]["name"] == "transpose":
        order = tuple(rest.pop(0)["configuration"]["order"])
        if sorted(order) != list(range(len(shape))):
            raise _UnknownError
    serializer = rest.pop(0)
    name = serializer["name"]
    if name in _OBJECT_SERIALIZERS:
        expected_type, objects = _OBJECT_SERIALIZERS[name]
        if order is not None or data_type != expected_type:
            raise _UnknownError
        steps = tuple(_step(codec, shape, None) for codec in rest)
        return DirectChain(shape, None, None, None, objects(), steps)
    if name != "bytes":
        raise _UnknownError
    dtype = _numpy_dtype(data_type)
    endian = (serializer.get("configuration") or {}).get("endian")
    stored = _stored_dtype(dtype, endian)
    steps = tuple(_step(codec, shape, dtype.itemsize) for codec in rest)
    return DirectChain(shape, dtype, order, stored, None, steps)


_OBJECT_SERIALIZERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "vlen-utf8": ("string", VLenUTF8),
    "vlen-bytes": ("variable_length_bytes", VLenBytes),
}
"""Serializer -> its data type, and the numcodecs class that implements it."""


def _numpy_dtype(data_type: Any) -> np.dtype[Any]:
    """Return the dtype of fixed-size elements; compounds avoid zarr's data type, which differs by version."""
    if isinstance(data_type, dict) and data_type["name"] in ("struct", "structured"):
        entries = data_type["configuration"]["fields"]
        pairs = [(f["name"], f["data_type"]) if isinstance(f, dict) else tuple(f) for f in entries]
        return np.dtype([(name, _scalar_dtype(type_)) for name, type_ in pairs])
    return _scalar_dtype(data_type)


def _scalar_dtype(data_type: Any) -> np.dtype[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        parsed: Any = zarr.dtype.parse_dtype(data_type, zarr_format=3)
    dtype: np.dtype[Any] = parsed.to_native_dtype()
    if dtype.kind not in _KINDS_OF_FIXED_SIZE or dtype.itemsize == 0:
        raise _UnknownError
    return dtype


def _stored_dtype(dtype: np.dtype[Any], endian: str | None) -> np.dtype[Any]:
    if dtype.names is not None:
        if endian not in (None, "little"):
            # Versions of zarr-python decode it differently, see `documents.why_not_read`.
            raise _UnknownError
        return dtype.newbyteorder("<")
    if dtype.kind == "S":
        return dtype
    if dtype.itemsize > 1 and endian not in ("little", "big"):
        raise _UnknownError
    return dtype.newbyteorder(">" if endian == "big" else "<")


# -- from bytes to bytes ---------------------------------------------------------------------------


class _Compressor:
    """A codec of numcodecs whose decoded size is in a header, or whose decoding stops at a limit."""

    fills = True

    def __init__(self, codec: Any, declared_size: Callable[[Buffer], int | None]) -> None:
        self._codec = codec
        self._declared_size = declared_size

    def encode(self, given: Buffer) -> bytes:
        return bytes(self._codec.encode(given))

    def decode(self, encoded: Buffer, limit: int | None) -> Buffer:
        declared = self._declared_size(encoded)
        if limit is not None and declared is not None and declared > limit:
            raise ChunkError(f"the chunk becomes {declared} bytes, expected at most {limit}")
        return bytes(self._codec.decode(encoded))

    def decode_into(self, encoded: Buffer, out: npt.NDArray[Any]) -> None:
        """Decode into an array; the chunk must fill it."""
        declared = self._declared_size(encoded)
        if declared is None:
            decoded = self.decode(encoded, out.nbytes)
            if len(decoded) != out.nbytes:
                raise ChunkError(f"the chunk becomes {len(decoded)} bytes, expected {out.nbytes}")
            out.reshape(-1).view(np.uint8)[:] = np.frombuffer(decoded, np.uint8)
            return
        if declared != out.nbytes:
            raise ChunkError(f"the chunk becomes {declared} bytes, expected {out.nbytes}")
        self._codec.decode(encoded, out=out)

    def largest(self, size: int) -> int:
        return size + size // 8 + _GROWTH_OF_COMPRESSORS


class _Blosc(_Compressor):
    """Blosc, which compresses in blocks and shuffles elements of ``typesize`` bytes."""

    def __init__(self, codec: Any, typesize: int) -> None:
        super().__init__(codec, _declared("blosc"))
        self._typesize = typesize

    def encode(self, given: Buffer) -> bytes:
        # Every version takes the element size from the dtype of its input.
        if len(given) and len(given) % self._typesize == 0:
            return super().encode(np.frombuffer(given, f"V{self._typesize}").data)
        return super().encode(given)

    def decode_rows_into(self, encoded: Buffer, out: npt.NDArray[Any], rows: slice) -> None:
        """Decode at least the given rows to their positions in ``out``."""
        row_bytes = out.nbytes // len(out)
        part = None
        if self._declared_size(encoded) == out.nbytes:
            part = part_of_blosc(encoded, rows.start * row_bytes, rows.stop * row_bytes)
        if part is None:
            self.decode_into(encoded, out)
        else:
            place = out.reshape(-1).view(np.uint8)[part.start : part.stop]
            self._codec.decode(part.encoded, out=place)


class _Streams(_Compressor):
    """zlib, gzip and bzip2, whose headers name no size: decoded up to the limit."""

    fills = False

    def __init__(
        self,
        codec: Any,
        start: Callable[[], Any],
        *,
        everything: int,
        has_members: bool,
        ratio: float = 1032,
    ) -> None:
        super().__init__(codec, lambda _encoded: None)
        self._start = start
        self._ratio = ratio
        self._everything = everything
        self._has_members = has_members

    def decode(self, encoded: Buffer, limit: int | None) -> Buffer:
        if limit is not None and limit > LARGE_BYTES and len(encoded) * self._ratio > LARGE_BYTES:
            # Text of unknown size: the libraries would repeatedly double their memory.
            check_stream(self._start, memoryview(encoded).cast("B"), limit)
        if not len(encoded):
            return b""
        stream = self._start()
        first = stream.decompress(encoded, self._everything if limit is None else limit + 1)
        if limit is not None and len(first) > limit:
            raise _too_much(limit)
        if not stream.eof:
            raise ChunkError(f"the chunk of {len(encoded)} bytes is cut off")
        rest = stream.unused_data if self._has_members else b""
        return self._with_others(first, rest, limit) if rest else first

    def _with_others(self, first: bytes, rest: bytes, limit: int | None) -> bytes:
        """Return the decoded first stream, followed by the streams after it."""
        parts, total = [first], len(first)
        try:
            for part in streams(self._start, rest, _STREAM_PIECE):
                total += len(part)
                if limit is not None and total > limit:
                    raise _too_much(limit)
                parts.append(part)
        except EOFError:
            raise ChunkError("the chunk is cut off in one of its streams") from None
        return b"".join(parts)


def _too_much(limit: int) -> ChunkError:
    return ChunkError(f"the chunk becomes more than the {limit} bytes expected")


class _Framed:
    """A codec of this package for an HDF5 filter with its own framing."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def encode(self, given: Buffer) -> bytes:
        return bytes(self._framing.encode_bytes(given))

    def decode(self, encoded: Buffer, limit: int | None) -> Buffer:
        try:
            return bytes(self._framing.decode_bytes(encoded, limit))
        except ChunkError:
            raise
        except MetadataError as error:
            raise ChunkError(str(error)) from error

    def largest(self, size: int) -> int:
        return size + size // 8 + _GROWTH_OF_COMPRESSORS


class _Checksum:
    """A codec of numcodecs that adds a checksum of four bytes."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def encode(self, given: Buffer) -> bytes:
        return bytes(self._codec.encode(given))

    def decode(self, encoded: Buffer, _limit: int | None) -> Buffer:
        if len(encoded) < _CHECKSUM_BYTES:
            raise ChunkError(f"the chunk of {len(encoded)} bytes has no checksum")
        return bytes(self._codec.decode(encoded))

    def largest(self, size: int) -> int:
        return size + _CHECKSUM_BYTES


class _Crc32c:
    """The codec ``crc32c``: a little-endian checksum of four bytes after the data."""

    def __init__(self, checksum: Callable[[Buffer], int]) -> None:
        self._checksum = checksum

    def encode(self, given: Buffer) -> bytes:
        return b"".join((given, self._checksum(given).to_bytes(_CHECKSUM_BYTES, "little")))

    def decode(self, encoded: Buffer, _limit: int | None) -> Buffer:
        given, found = encoded[:-_CHECKSUM_BYTES], encoded[-_CHECKSUM_BYTES:]
        expected = self._checksum(bytes(given)).to_bytes(_CHECKSUM_BYTES, "little")
        if found != expected:
            raise ChunkError(
                f"the chunk has the checksum {found.hex()}, its bytes have {expected.hex()}"
            )
        return given

    def largest(self, size: int) -> int:
        return size + _CHECKSUM_BYTES


class _SameSize:
    """A codec of numcodecs that reorders bytes."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def encode(self, given: Buffer) -> bytes:
        return bytes(self._codec.encode(given))

    def decode(self, encoded: Buffer, _limit: int | None) -> Buffer:
        return bytes(self._codec.decode(encoded))

    def largest(self, size: int) -> int:
        return size


class _Objects:
    """A codec of this package that turns the bytes of ``vlen-utf8`` into those of a chunk of objects."""

    def __init__(
        self, codec: JSONObjectsCodec | PickledObjectsCodec, shape: tuple[int, ...]
    ) -> None:
        self._codec = codec
        self._shape = shape

    def encode(self, given: Buffer) -> bytes:
        return self._codec.encode_texts(VLenUTF8().decode(given).reshape(self._shape))

    def decode(self, encoded: Buffer, _limit: int | None) -> Buffer:
        return bytes(VLenUTF8().encode(self.elements(encoded).ravel()))

    def elements(self, encoded: Buffer) -> npt.NDArray[Any]:
        """Return the elements that `decode` encodes, as objects of ``str``."""
        return self._codec.decode_texts(bytes(encoded), self._shape)

    def largest(self, size: int) -> int:
        return size  # never used: text has no limit


def _declared(name: str) -> Callable[[Buffer], int | None]:
    """Return a function that returns the decoded size that a compressed chunk states."""
    return lambda encoded: decoded_size(name, encoded)


def _blosc(configuration: Mapping[str, Any], itemsize: int | None) -> _Step:
    typesize = configuration.get("typesize") or itemsize or 1
    shuffle = configuration.get("shuffle") or ("bitshuffle" if typesize == 1 else "shuffle")
    options = {
        "id": "blosc",
        "cname": configuration.get("cname", "zstd"),
        "clevel": configuration.get("clevel", 5),
        "shuffle": _BLOSC_SHUFFLE[shuffle],
        "blocksize": configuration.get("blocksize", 0),
    }
    return _Blosc(numcodecs.get_codec(options), typesize)


def _zstd(configuration: Mapping[str, Any], _itemsize: int | None) -> _Step:
    codec = numcodecs.Zstd(
        level=configuration.get("level", 0), checksum=configuration.get("checksum", False)
    )
    return _Compressor(codec, _declared("zstd"))


def _start_zlib() -> Any:
    return inflater(zlib.MAX_WBITS)


def _start_gzip() -> Any:
    return inflater(zlib.MAX_WBITS + 16)


def _gzip(configuration: Mapping[str, Any], _itemsize: int | None) -> _Step:
    codec = numcodecs.GZip(configuration.get("level", 5))
    return _Streams(codec, _start_gzip, everything=0, has_members=True)


def _zlib(configuration: Mapping[str, Any], _itemsize: int | None) -> _Step:
    codec = numcodecs.Zlib(configuration.get("level", 1))
    return _Streams(codec, _start_zlib, everything=0, has_members=False)


def _bz2(configuration: Mapping[str, Any], _itemsize: int | None) -> _Step:
    codec = numcodecs.BZ2(configuration.get("level", 1))
    return _Streams(codec, bz2.BZ2Decompressor, everything=-1, has_members=True, ratio=math.inf)


def _shuffle(configuration: Mapping[str, Any], itemsize: int | None) -> _Step:
    elementsize = configuration.get("elementsize") or itemsize
    if elementsize is None:
        raise _UnknownError
    return _SameSize(numcodecs.Shuffle(elementsize))


def _crc32c(_configuration: Mapping[str, Any], _itemsize: int | None) -> _Step:
    # Older versions accept only bytes.
    return _Crc32c(lambda given: int(google_crc32c.value(bytes(given))))


def _numcodecs_checksum(name: str) -> Callable[[Mapping[str, Any], int | None], _Step]:
    def made(configuration: Mapping[str, Any], _itemsize: int | None) -> _Step:
        return _Checksum(numcodecs.get_codec({**configuration, "id": name}))

    return made


_STEPS: dict[str, Callable[[Mapping[str, Any], int | None], _Step]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "gzip": _gzip,
    "crc32c": _crc32c,
    "numcodecs.zstd": _zstd,
    "numcodecs.gzip": _gzip,
    "numcodecs.zlib": _zlib,
    "numcodecs.bz2": _bz2,
    "numcodecs.shuffle": _shuffle,
    "numcodecs.crc32": _numcodecs_checksum("crc32"),
    "numcodecs.adler32": _numcodecs_checksum("adler32"),
    "numcodecs.fletcher32": _numcodecs_checksum("fletcher32"),
}
"""Name of a codec from bytes to bytes -> function that makes it from its configuration and the item size."""

_OBJECT_CODECS: dict[str, type[JSONObjectsCodec | PickledObjectsCodec]] = {
    "hdmf_zarr.json2": JSONObjectsCodec,
    "hdmf_zarr.pickle": PickledObjectsCodec,
}


def _step(codec: Mapping[str, Any], shape: tuple[int, ...], itemsize: int | None) -> _Step:
    name, configuration = codec["name"], codec.get("configuration") or {}
    if name in _OBJECT_CODECS and itemsize is None:
        return _Objects(_OBJECT_CODECS[name](**configuration), shape)
    if name in ZARR_CODECS:
        return _Framed(ZARR_CODECS[name](**configuration))
    if name not in _STEPS:
        raise _UnknownError
    return _STEPS[name](configuration, itemsize)
