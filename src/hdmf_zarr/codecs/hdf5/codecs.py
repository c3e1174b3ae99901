"""HDF5 filters as codecs: of zarr for format 3, of numcodecs for format 2.

Entry points register both by name, so that zarr-python reads arrays with these codecs wherever this package
is installed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import BytesBytesCodec

from hdmf_zarr.codecs.hdf5.block_codecs import Blosc2Framing, ZFPFraming
from hdmf_zarr.codecs.hdf5.stream_codecs import (
    BitshuffleFraming,
    Framing,
    LZ4Framing,
    LZFFraming,
    SzipFraming,
)
from hdmf_zarr.errors import LayoutError

PREFIX = "hdmf_zarr."
"""Prefix of the names of these codecs, in both formats."""


def for_other_chunks(codecs: Iterable[Any]) -> list[Any]:
    """Return equivalent codecs that accept chunks of any shape."""
    return [codec.for_other_chunks() if isinstance(codec, Framing) else codec for codec in codecs]


def _configuration(framing: Framing) -> dict[str, Any]:
    given = {field.name: getattr(framing, field.name) for field in fields(framing)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in given.items()}


def _bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    """Return the bytes of a contiguous array of one dimension, which may be empty."""
    return array.view(np.uint8).data


@dataclass(frozen=True)
class _ZarrFace(Framing, BytesBytesCodec):
    """A framing as a codec of Zarr format 3."""

    name: ClassVar[str]
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its JSON.

        Raises
        ------
        LayoutError
            If the configuration is not valid.
        """
        try:
            return cls(**(data.get("configuration") or {}))
        except TypeError as error:
            raise LayoutError(f"the codec {data!r:.200} makes no sense: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's JSON."""
        return {"name": self.name, "configuration": _configuration(self)}

    def evolve_from_array_spec(self, array_spec: Any) -> Self:
        """Return the codec itself: it does not depend on the array."""
        return self

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: Any) -> int:
        """Raise `NotImplementedError`: compressed chunks differ in size."""
        raise NotImplementedError(f"{self.name} has no fixed size ({input_byte_length})")

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        encoded = _bytes_of(chunk_bytes.as_numpy_array())
        decoded = self.decode_bytes(encoded, _most(chunk_spec))
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def _encode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        data = _bytes_of(chunk_bytes.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(self.encode_bytes(data))

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    async def _encode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk_bytes, chunk_spec)


def _most(chunk_spec: Any) -> int | None:
    """Return the largest decoded size of this codec; codecs before it may have added some bytes."""
    dtype: np.dtype[Any] = chunk_spec.dtype.to_native_dtype()
    if dtype.hasobject or dtype.kind == "T":
        return None
    size = math.prod(map(int, chunk_spec.shape)) * dtype.itemsize
    return size + size // 8 + 2**16


@dataclass(frozen=True)
class LZFCodec(LZFFraming, _ZarrFace):
    """``hdmf_zarr.lzf``, for the HDF5 filter 32000."""

    name = PREFIX + "lzf"


@dataclass(frozen=True)
class LZ4Codec(LZ4Framing, _ZarrFace):
    """``hdmf_zarr.lz4``, for the HDF5 filter 32004."""

    name = PREFIX + "lz4"


@dataclass(frozen=True)
class BitshuffleCodec(BitshuffleFraming, _ZarrFace):
    """``hdmf_zarr.bitshuffle``, for the HDF5 filter 32008."""

    name = PREFIX + "bitshuffle"


@dataclass(frozen=True)
class SzipCodec(SzipFraming, _ZarrFace):
    """``hdmf_zarr.szip``, for the HDF5 filter 4."""

    name = PREFIX + "szip"


@dataclass(frozen=True)
class Blosc2Codec(Blosc2Framing, _ZarrFace):
    """``hdmf_zarr.blosc2``, for the HDF5 filter 32026."""

    name = PREFIX + "blosc2"


@dataclass(frozen=True)
class ZFPCodec(ZFPFraming, _ZarrFace):
    """``hdmf_zarr.zfp``, for the HDF5 filter 32013."""

    name = PREFIX + "zfp"


ZARR_CODECS: dict[str, type[_ZarrFace]] = {
    codec.name: codec
    for codec in (LZFCodec, LZ4Codec, BitshuffleCodec, SzipCodec, Blosc2Codec, ZFPCodec)
}
"""Name on disk -> codec of Zarr format 3."""


class _NumcodecsFace(Framing, Codec):  # type: ignore[misc]
    """A framing as a codec of numcodecs."""

    codec_id: ClassVar[str]

    def encode(self, buf: Any) -> Any:
        """Encode the bytes of an array."""
        return self.encode_bytes(_bytes_of(ensure_contiguous_ndarray(buf)))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode to bytes, into ``out`` if it is given."""
        encoded = _bytes_of(ensure_contiguous_ndarray(buf))
        most = None if out is None else ensure_contiguous_ndarray(out).nbytes
        return ndarray_copy(self.decode_bytes(encoded, most), out)

    def get_config(self) -> dict[str, Any]:
        """Return the codec's JSON."""
        return {"id": self.codec_id, **_configuration(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the codec from its JSON.

        Raises
        ------
        LayoutError
            If the configuration is not valid.
        """
        try:
            return cls(**{key: value for key, value in config.items() if key != "id"})
        except TypeError as error:
            raise LayoutError(f"the codec {config!r:.200} makes no sense: {error}") from error


@dataclass(frozen=True)
class NumcodecsLZF(LZFFraming, _NumcodecsFace):
    """``hdmf_zarr.lzf`` for Zarr format 2."""

    codec_id = LZFCodec.name


@dataclass(frozen=True)
class NumcodecsLZ4(LZ4Framing, _NumcodecsFace):
    """``hdmf_zarr.lz4`` for Zarr format 2."""

    codec_id = LZ4Codec.name


@dataclass(frozen=True)
class NumcodecsBitshuffle(BitshuffleFraming, _NumcodecsFace):
    """``hdmf_zarr.bitshuffle`` for Zarr format 2."""

    codec_id = BitshuffleCodec.name


@dataclass(frozen=True)
class NumcodecsSzip(SzipFraming, _NumcodecsFace):
    """``hdmf_zarr.szip`` for Zarr format 2."""

    codec_id = SzipCodec.name


@dataclass(frozen=True)
class NumcodecsBlosc2(Blosc2Framing, _NumcodecsFace):
    """``hdmf_zarr.blosc2`` for Zarr format 2."""

    codec_id = Blosc2Codec.name


@dataclass(frozen=True)
class NumcodecsZFP(ZFPFraming, _NumcodecsFace):
    """``hdmf_zarr.zfp`` for Zarr format 2."""

    codec_id = ZFPCodec.name
