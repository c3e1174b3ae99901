"""Shards: encoded chunks in one value, with an index of their positions; pure.

The format is that of Zarr's ``sharding_indexed`` codec. zarr-python handles shards in shards, codecs around a
shard, and any index that is not stored as little-endian integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.registry import SHARDING
from hdmf_zarr.core.limits import check_encoded_size
from hdmf_zarr.errors import ChunkError

MISSING = 2**64 - 1
"""Value in the index for a missing chunk."""

_ENTRY_BYTES = 16

_INDEX_CODECS = (
    [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
    [{"name": "bytes", "configuration": {"endian": "little"}}],
)

CHECKSUM_BYTES = 4

Index = npt.NDArray[np.uint64]
"""Array of shape ``(n_chunks, 2)``: the start of each chunk, and its number of bytes."""


@dataclass(frozen=True)
class ShardCodec:
    """The layout and the codecs of an array's shards.

    Attributes
    ----------
    chain : DirectChain
        Codecs of the chunks in a shard.
    grid : tuple of int
        Number of chunks in a shard along each dimension.
    is_index_first : bool
        Whether the index is at the beginning of a shard; otherwise it is at the end.
    has_checksum : bool
        Whether a checksum of the index follows it.
    """

    chain: DirectChain
    grid: tuple[int, ...]
    is_index_first: bool
    has_checksum: bool

    @classmethod
    def for_codecs(
        cls, data_type: Any, shard: Sequence[int], codecs: Sequence[Any]
    ) -> ShardCodec | None:
        """Return the codec of an array's shards; None if it has none, or zarr-python must handle them.

        Parameters
        ----------
        data_type : str or mapping
            Data type in the array's document.
        shard : sequence of int
            Shape of a shard.
        codecs : sequence of mapping
            Codecs in the array's document.
        """
        try:
            return _shard_codec(data_type, shard, codecs)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError):
            return None  # zarr-python raises the error for invalid metadata

    @property
    def index_bytes(self) -> int:
        """Number of bytes of the index, with its checksum."""
        return math.prod(self.grid) * _ENTRY_BYTES + CHECKSUM_BYTES * self.has_checksum

    @property
    def index_start(self) -> int:
        """Start of the index; counted from the end of the shard if negative."""
        return 0 if self.is_index_first else -self.index_bytes

    def index(self, encoded: bytes) -> Index:
        """Return the index of a shard.

        Parameters
        ----------
        encoded : bytes
            Bytes of the index, with its checksum.

        Raises
        ------
        ChunkError
            If the bytes are truncated, or do not match their checksum.
        """
        if len(encoded) != self.index_bytes:
            raise ChunkError(
                f"the shard is cut off: its index has {len(encoded)} bytes, expected {self.index_bytes}"
            )
        entries = encoded[: math.prod(self.grid) * _ENTRY_BYTES]
        found = encoded[len(entries) :]
        if self.has_checksum and found != (expected := crc32c(entries)):
            raise ChunkError(
                f"the index of the shard has the checksum {found.hex()}, its bytes have {expected.hex()}"
            )
        return np.frombuffer(entries, dtype="<u8").reshape(-1, 2)

    def shard_of(self, at: tuple[int, ...]) -> tuple[int, ...]:
        """Return the coordinates of the shard that holds a chunk."""
        return tuple(place // count for place, count in zip(at, self.grid, strict=True))

    def first_element(self, at: tuple[int, ...]) -> tuple[int, ...]:
        """Return the coordinates of a chunk's first element in the array."""
        return tuple(place * step for place, step in zip(at, self.chain.shape, strict=True))

    def bounds(
        self, index: Index, at: tuple[int, ...], n_bytes: int | None = None
    ) -> tuple[int, int] | None:
        """Return the start and the number of bytes of a chunk in its shard; None for a missing chunk.

        Parameters
        ----------
        index : numpy.ndarray
            Index of the shard, from `index`.
        at : tuple of int
            Coordinates of the chunk in the array.
        n_bytes : int, optional
            Number of bytes of the shard, if known.

        Raises
        ------
        ChunkError
            If the chunk would end outside the shard, or have more bytes than it can have.
        """
        number = 0
        for place, count in zip(at, self.grid, strict=True):
            number = number * count + place % count
        start, size = index[number].tolist()
        if start == size == MISSING:
            return None
        if start + size > (2**63 if n_bytes is None else n_bytes):
            raise ChunkError(
                f"the shard is damaged: by its index the chunk {number} in it begins at {start} and has "
                f"{size} bytes"
            )
        check_encoded_size(size, self.chain.most_encoded, f"the chunk {number} of the shard")
        return start, size


def _shard_codec(data_type: Any, shard: Sequence[int], codecs: Sequence[Any]) -> ShardCodec | None:
    sharding, *others = codecs
    if sharding["name"] != SHARDING or others:
        return None
    said = sharding["configuration"]
    location = said.get("index_location", "end")
    index_codecs = [
        {name: value for name, value in codec.items() if value} for codec in said["index_codecs"]
    ]
    if index_codecs not in _INDEX_CODECS or location not in ("start", "end"):
        return None
    chain = DirectChain.for_codecs(data_type, said["chunk_shape"], said["codecs"])
    if chain is None:
        return None
    pairs = list(zip(shard, chain.shape, strict=True))
    if any(size % step for size, step in pairs):
        return None
    grid = tuple(size // step for size, step in pairs)
    return ShardCodec(chain, grid, location == "start", index_codecs == _INDEX_CODECS[0])


def crc32c(encoded: bytes) -> bytes:
    """Return the little-endian checksum of bytes that Zarr's ``crc32c`` codec stores."""
    checksum: bytes = google_crc32c.value(encoded).to_bytes(CHECKSUM_BYTES, "little")
    return checksum
