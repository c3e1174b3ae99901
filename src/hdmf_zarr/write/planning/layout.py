"""Chunks, shards, codecs and fill value of an array: as requested, with defaults for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from zarr.codecs import Crc32cCodec

from hdmf_zarr.codecs import CodecChain, CodecRequest, complete_chain
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import to_memory
from hdmf_zarr.errors import EncodingError, LayoutError

CHUNK_BYTES = 4 * 1024**2
"""Bytes of a chunk before compression."""

SHARD_BYTES = 64 * 1024**2
"""Bytes of a shard before compression, for ``shards="auto"``."""

ENCODED_SHARD_BYTES = 128 * 1024**2
"""Most bytes before compression of a large array's shard that is encoded in memory."""

LARGE_SHARD_BYTES = 256 * 1024**2
"""Most encoded bytes of a shard, for a large array whose encoded chunks are packed on disk."""

SHARDS_OF_ARRAY = 500
"""Number of shards of a large array, unless they would exceed these sizes."""

CHUNKS_IN_SHARD = 16384
"""Most chunks of a shard, for ``shards="auto"``: every access reads the whole index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutRequest:
    """The layout that a user requests; None means the default.

    Attributes
    ----------
    chunks : tuple of int or None
    shards : tuple of int, "auto" or None
    fill_value : scalar or None
    codecs : CodecRequest
    checksum : bool
        Whether each encoded chunk ends with its CRC-32C.
    are_chunks_given : bool
        Whether the user has chosen the chunks; otherwise they are those of the source.
    """

    chunks: tuple[int, ...] | None = None
    shards: Any = None
    fill_value: Any = None
    codecs: CodecRequest = field(default_factory=CodecRequest)
    checksum: bool = False
    are_chunks_given: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is requested."""
        return self == LayoutRequest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The chunks, shards, fill value and codecs of an array."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    fill_value: Any
    chain: CodecChain

    @property
    def write_unit(self) -> tuple[int, ...]:
        """Shape of a write unit: the shard, or the chunk if there are no shards."""
        return self.shards if self.shards is not None else self.chunks

    def with_codecs(self, codecs: tuple[Any, ...]) -> Layout:
        """Return the layout with codecs added between the serializer and the compressors."""
        compressors = (*codecs, *self.chain.compressors)
        return replace(self, chain=replace(self.chain, compressors=compressors))

    @property
    def codecs(self) -> tuple[Any, ...]:
        """The codecs, as in Zarr's metadata."""
        return self.chain.codecs if self.shards is None else self.chain.sharded(self.chunks)


def decide_layout(
    request: LayoutRequest,
    *,
    element: ElementType,
    stored_dtype: np.dtype[Any] | None,
    shape: Sequence[int | None],
    itemsize: float,
    fill_value: Any,
    recommended_chunks: tuple[int, ...] | None = None,
    shard_bytes: float = SHARD_BYTES,
) -> Layout:
    """Return the layout of an array.

    Parameters
    ----------
    request : LayoutRequest
    element : ElementType
    stored_dtype : numpy.dtype or None
        Dtype of the stored elements; None if they vary in length.
    shape : sequence of int or None
        Shape of the array, with None for dimensions of unknown length.
    itemsize : float
        Mean bytes of an element.
    fill_value : scalar
        Fill value if the request has none.
    recommended_chunks : tuple of int, optional
        Recommendation of the data, used if the request has no chunks.
    shard_bytes : float
        Bytes of a shard before compression, for ``shards="auto"``.

    Raises
    ------
    LayoutError
        If chunks, shards or codecs do not fit the shape or each other.
    """
    wanted = request.chunks if request.chunks is not None else recommended_chunks
    chain = complete_chain(request.codecs, element, stored_dtype, is_scalar=not shape)
    if request.checksum:
        chain = with_checksum(chain)
    if wanted is not None:
        chunks = checked_sizes("chunks", wanted, len(shape))
    else:
        chunks = default_chunks(shape, itemsize)
        if isinstance(request.shards, tuple):
            shards = checked_sizes("shards", request.shards, len(shape))
            chunks = tuple(map(_largest_divisor, shards, chunks))
    asked: Any = request.shards
    if element.kind == "compound" and asked is not None:
        # zarr-python 3.1 fails on shards of records, whose fill value has no hash; 3.4 does not. A store
        # written with one version may be read with another.
        if asked != "auto":
            raise LayoutError(
                f"zarr-python 3.1 reads no shards of compounds: leave shards={asked} out"
            )
        asked = None
    return Layout(
        chunks=chunks,
        shards=_decide_shards(asked, chunks, shape, itemsize, shard_bytes),
        fill_value=_fill_value(request.fill_value, element, fill_value),
        chain=chain,
    )


def default_chunks(
    shape: Sequence[int | None], itemsize: float, target: int = CHUNK_BYTES
) -> tuple[int, ...]:
    """Return chunks that keep whole rows: all channels of a time window.

    An array of less than about ``target`` bytes is one chunk. If a single row is larger, its
    longest dimension is halved until the chunk fits, or is one element (a long text).

    Examples
    --------
    >>> default_chunks((108_000_000, 384), 2)
    (5461, 384)
    >>> default_chunks((10, 3), 8)
    (10, 3)
    >>> default_chunks((1000, 2048, 2048), 2)
    (1, 1024, 2048)
    >>> default_chunks((3,), 2**23)
    (1,)
    """
    if not shape:
        return ()
    row_shape = [1 if size is None else max(1, size) for size in shape[1:]]
    row_bytes = max(1.0, math.prod(row_shape) * itemsize)
    if row_bytes <= target:
        rows = int(target // row_bytes)
        longest = shape[0]
        return (max(1, rows if longest is None else min(rows, longest)), *row_shape)
    while math.prod(row_shape) * itemsize > target and max(row_shape, default=1) > 1:
        widest = row_shape.index(max(row_shape))
        row_shape[widest] = -(-row_shape[widest] // 2)
    return (1, *row_shape)


def with_checksum(chain: CodecChain) -> CodecChain:
    """Return the chain with a CRC-32C as its last codec."""
    if has_checksum(chain.compressors):
        return chain
    return replace(chain, compressors=(*chain.compressors, Crc32cCodec()))


def has_checksum(codecs: Sequence[Any]) -> bool:
    """Whether the last of a list of codecs is a CRC-32C."""
    return bool(codecs) and isinstance(codecs[-1], Crc32cCodec)


def _fill_value(asked: Any, element: ElementType, default: Any) -> Any:
    """Return the requested fill value as an element.

    Raises
    ------
    LayoutError
        If the fill value is no element of the type.
    """
    if asked is None:
        return default
    if element.kind not in ("number", "text"):
        return asked
    try:
        value = to_memory(asked, element, str)
    except EncodingError as error:
        raise LayoutError(
            f"the fill value {asked!r:.100} does not fit the data: {error}"
        ) from error
    if value.ndim or value.dtype != element.memory_dtype:
        raise LayoutError(
            f"the fill value {asked!r:.100} is no {element.memory_dtype.name}, as the data are; choose "
            "another one"
        )
    return value[()]


def _decide_shards(
    shards: Any,
    chunks: tuple[int, ...],
    shape: Sequence[int | None],
    itemsize: float,
    shard_bytes: float,
) -> tuple[int, ...] | None:
    if shards is None or not shape:
        return None
    if shards == "auto":
        return _automatic_shards(chunks, shape, itemsize, shard_bytes)
    shards = checked_sizes("shards", shards, len(shape))
    if any(shard % chunk for shard, chunk in zip(shards, chunks, strict=True)):
        raise LayoutError(
            f"shards {shards} must be a multiple of the chunks {chunks} in every dimension"
        )
    return tuple(shards)


def _automatic_shards(
    chunks: tuple[int, ...], shape: Sequence[int | None], itemsize: float, shard_bytes: float
) -> tuple[int, ...] | None:
    """Return shards of about ``shard_bytes``: first whole rows, then along axis 0."""
    shards = list(chunks)
    for axis in (*range(len(shape) - 1, 0, -1), 0):
        room = int(shard_bytes // max(1.0, math.prod(shards) * itemsize))
        room = min(room, CHUNKS_IN_SHARD * math.prod(chunks) // math.prod(shards))
        size = shape[axis]
        needed = room if size is None else -(-max(1, size) // chunks[axis])
        shards[axis] = chunks[axis] * max(1, min(room, needed))
    return tuple(shards) if tuple(shards) != chunks else None


def checked_sizes(name: str, sizes: Any, ndim: int) -> tuple[int, ...]:
    if isinstance(sizes, (int, np.integer)):
        sizes = (sizes,)
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise LayoutError(f"{name} must be a tuple of positive integers, found {sizes!r:.100}")
    sizes = tuple(sizes)
    if len(sizes) != ndim:
        raise LayoutError(f"{name} {sizes} have {len(sizes)} dimensions, the data have {ndim}")
    if any(
        isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1
        for size in sizes
    ):
        raise LayoutError(f"{name} {sizes} must be positive integers")
    return tuple(int(size) for size in sizes)


def _largest_divisor(number: int, at_most: int) -> int:
    return next(size for size in range(min(number, at_most), 0, -1) if number % size == 0)
