"""The complete codec chain of an array, decided in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    ShardingCodec,
    VLenBytesCodec,
    VLenUTF8Codec,
    ZstdCodec,
)

from hdmf_zarr.codecs.registered import is_registered
from hdmf_zarr.codecs.translate import ZarrCodec, to_zarr_codec
from hdmf_zarr.core.dtypes import ElementType, is_number
from hdmf_zarr.errors import LayoutError, OptionError

DEFAULT_CODEC = "zstd"
DEFAULT_LEVEL = 5
BITSHUFFLE_UP_TO = 2
"""Largest size in bytes of elements whose bits, rather than bytes, are shuffled.

Codec, level and shuffle are chosen by measurement (``benchmarks/codec_level.py``); the figures are in
``docs/architecture.md``.
"""

TEXT_CODEC = ZstdCodec(level=3)
"""Codec of elements that vary in length: shuffling their bytes takes time and saves no space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecRequest:
    """The codecs that a user asks for; None selects the default.

    Attributes
    ----------
    compressors : None, bool, codec or sequence of codecs
        ``True`` for the default codec, ``False`` for none.
    filters : None or sequence of codecs
    serializer : None or codec
    """

    compressors: Any = None
    filters: Any = None
    serializer: Any = None

    @property
    def is_empty(self) -> bool:
        """Whether the user asks for nothing."""
        return self.compressors is None and self.filters is None and self.serializer is None


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecChain:
    """Codecs in the order in which they encode a chunk."""

    filters: tuple[ArrayArrayCodec, ...] = ()
    serializer: ArrayBytesCodec
    compressors: tuple[BytesBytesCodec, ...] = ()

    @property
    def codecs(self) -> tuple[ZarrCodec, ...]:
        """All codecs, in the order of Zarr's metadata."""
        return (*self.filters, self.serializer, *self.compressors)

    def sharded(self, chunks: tuple[int, ...]) -> tuple[ZarrCodec, ...]:
        """The codecs of an array whose shards hold chunks encoded by this chain."""
        return (ShardingCodec(chunk_shape=chunks, codecs=self.codecs),)


def complete_chain(
    request: CodecRequest, element: ElementType, dtype: np.dtype[Any] | None, *, is_scalar: bool
) -> CodecChain:
    """Return the complete chain for an array from its user's request.

    Parameters
    ----------
    request : CodecRequest
    element : ElementType
    dtype : numpy.dtype or None
        Stored dtype of the elements; None for elements that vary in length.
    is_scalar : bool
        Whether the array is a scalar, which is compressed only on request: the header is longer than
        the gain.

    Raises
    ------
    LayoutError
        If a codec is in a wrong place.
    """
    itemsize = dtype.itemsize if dtype is not None else 1
    asked = _as_sequence(request.filters, "filters")
    filters, serializers, compressors = _sorted_by_kind(asked, itemsize)
    if request.serializer is not None:
        given = _sorted_by_kind([request.serializer], itemsize)[1]
        if not given:
            raise LayoutError(
                f"{request.serializer!r:.100} is no serializer: it gives no bytes for an array"
            )
        serializers += given
    if request.compressors is True or (request.compressors is None and not is_scalar):
        compressors.append(TEXT_CODEC if dtype is None else default_compressor(itemsize))
    elif request.compressors not in (None, False):
        more_filters, more_serializers, more = _sorted_by_kind(
            _as_sequence(request.compressors, "compressor"), itemsize
        )
        filters += more_filters
        serializers += more_serializers
        compressors += more
    if len(serializers) > 1:
        raise LayoutError(f"an array has one serializer, found {len(serializers)}: {serializers}")
    serializer = serializers[0] if serializers else _default_serializer(element, dtype)
    if dtype is not None:
        _check_filters(filters, serializer, dtype)
    return CodecChain(filters=tuple(filters), serializer=serializer, compressors=tuple(compressors))


def misfit(dtype: np.dtype[Any], filters: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why zarr-python would decode wrong values through numcodecs filters; None if it would not.

    Between filters zarr-python assumes the byte order of the data; one-byte elements have none.

    Parameters
    ----------
    dtype : numpy.dtype
        Dtype of the data.
    filters : iterable of mapping
        Configuration of each filter.

    Examples
    --------
    >>> misfit(np.dtype("<f8"), [{"id": "quantize", "digits": 3, "dtype": "<f8"}])
    >>> misfit(np.dtype("<i2"), [{"id": "delta", "dtype": "<i2", "astype": ">i4"}])
    "it gives '>i4' for '<i2'"
    """
    order, current = dtype.str[0], dtype
    for configuration in filters:
        if order == ">":
            return f"the data are big-endian ({dtype.str!r})"
        taken = np.dtype(configuration.get("dtype") or configuration.get("decode_dtype") or current)
        given = np.dtype(configuration.get("astype") or configuration.get("encode_dtype") or taken)
        if taken != current:
            return f"it takes {taken.str!r}, and is given {current.str!r}"
        if given.str[0] not in (order, "|"):
            return f"it gives {given.str!r} for {dtype.str!r}"
        current = given
    return None


def _check_filters(
    filters: Sequence[ArrayArrayCodec], serializer: ArrayBytesCodec, dtype: np.dtype[Any]
) -> None:
    documents: list[Any] = [codec.to_dict() for codec in filters if not is_registered(codec)]
    of_numcodecs = [document for document in documents if document["name"].startswith("numcodecs.")]
    reason = misfit(dtype, [document.get("configuration") or {} for document in of_numcodecs])
    document: Any = serializer.to_dict()
    is_big = (document.get("configuration") or {}).get("endian") == "big"
    if reason is None and of_numcodecs and is_big and dtype.itemsize > 1:
        # zarr-python before 3.4 decodes the bytes as little-endian.
        reason = "the serializer is big-endian"
    if reason is not None and is_number(dtype):
        raise LayoutError(
            f"the filters {of_numcodecs!r:.200} do not fit the data: {reason}; name the dtype of the data, "
            "little-endian, or leave the filters out"
        )


def chain_from_codecs(codecs: Sequence[ZarrCodec]) -> CodecChain:
    """Return the chain of a list of Zarr codecs."""
    filters, serializers, compressors = _sorted_by_kind(codecs, 1)
    if len(serializers) != 1:
        raise LayoutError(f"a codec chain has one serializer, found {len(serializers)}")
    return CodecChain(
        filters=tuple(filters), serializer=serializers[0], compressors=tuple(compressors)
    )


def default_compressor(itemsize: int) -> BloscCodec:
    """Return the default codec for numbers of ``itemsize`` bytes."""
    return BloscCodec(
        cname=DEFAULT_CODEC,  # type: ignore[arg-type]
        clevel=DEFAULT_LEVEL,
        shuffle="bitshuffle" if itemsize <= BITSHUFFLE_UP_TO else "shuffle",
        typesize=min(itemsize, 255),
    )


def _default_serializer(element: ElementType, dtype: np.dtype[Any] | None) -> ArrayBytesCodec:
    if element.kind == "bytes":
        return VLenBytesCodec()
    if dtype is None:
        return VLenUTF8Codec()
    return BytesCodec(endian="big" if dtype.byteorder == ">" else "little")


def _sorted_by_kind(
    codecs: Sequence[Any], itemsize: int
) -> tuple[list[ArrayArrayCodec], list[ArrayBytesCodec], list[BytesBytesCodec]]:
    """Sort codecs into filters, serializers and compressors, each in the given order."""
    translated = [to_zarr_codec(codec, itemsize) for codec in codecs]
    return (
        [codec for codec in translated if isinstance(codec, ArrayArrayCodec)],
        [codec for codec in translated if isinstance(codec, ArrayBytesCodec)],
        [codec for codec in translated if isinstance(codec, BytesBytesCodec)],
    )


def _as_sequence(codecs: Any, name: str) -> Sequence[Any]:
    if codecs is None or codecs is False:
        return ()
    if codecs is True:
        raise OptionError(f"{name} must be a codec or a list of codecs, found True")
    return tuple(codecs) if isinstance(codecs, (list, tuple)) else (codecs,)
