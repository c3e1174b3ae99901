"""The encoded chunks of an array of another Zarr store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.chunks.missing import tell_missing
from hdmf_zarr.errors import HDMFZarrError, MetadataError
from hdmf_zarr.hdf5.raw import ChunkTable
from hdmf_zarr.metadata.chunk_keys import chunk_key
from hdmf_zarr.metadata.node import array_node

READ_TOGETHER = 16
"""Number of encoded chunks read in one batch."""


class ZarrChunks:
    """The encoded chunks of an array, or its shards; an `EncodedChunks`.

    Attributes
    ----------
    array : HDMFZarrArray
    shape, chunks : tuple of int
        Shape of the array, and of the chunk or shard at one key.
    """

    def __init__(self, array: HDMFZarrArray) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape
        node = array_node(array.hierarchy.documents[array.node_path])
        self.chunks: tuple[int, ...] = node.stored_chunk
        self._keys = node.chunk_keys
        self._chunk_bytes = math.prod(self.chunks) * array.element_type.memory_dtype.itemsize

    @property
    def where(self) -> str:
        """Store and path of the array."""
        return f"{self.array.hierarchy.uri}:/{self.array.node_path}"

    @property
    def fill_value(self) -> Any:
        """Fill value of chunks that were never written."""
        return self.array.fill_value

    @property
    def n_chunks(self) -> int:
        """Number of chunks in the grid: only reads show which of them were written."""
        return math.prod(self._grid)

    @cached_property
    def n_bytes(self) -> int:
        """Bytes of the encoded chunks; of the decoded ones if the store is remote."""
        hierarchy = self.array.hierarchy
        if not hierarchy.location.is_local:
            return self.n_chunks * self._chunk_bytes
        return sum(hierarchy.bytestore.sizes(self.array.node_path).values())

    @property
    def is_checked(self) -> bool:
        """Whether reads check a checksum: never for a Zarr store."""
        return False

    @property
    def _grid(self) -> list[int]:
        return [-(-size // step) for size, step in zip(self.shape, self.chunks, strict=True)]

    def table(self) -> ChunkTable:
        """Return the whole grid: only reads show which chunks were never written."""
        count = self.n_chunks
        coordinates = np.indices(self._grid, dtype=np.int64).reshape(len(self.shape), count).T
        return ChunkTable(
            coordinates=coordinates,
            addresses=np.arange(count, dtype=np.int64),
            sizes=np.full(count, self._chunk_bytes, dtype=np.int64),
            is_whole=np.ones(count, dtype=np.bool_),
        )

    def name_of(self, table: ChunkTable, index: int) -> str:
        """Return store and key of a chunk."""
        return f"{self.array.hierarchy.uri}:/{self._key(table, index)}: the chunk"

    def _key(self, table: ChunkTable, index: int) -> str:
        at = tuple(table.coordinates[index].tolist())
        return f"{self.array.node_path}/{chunk_key(self._keys, at)}"

    def open_file(self, table: ChunkTable) -> None:
        """Do nothing: a Zarr store needs no preparation."""

    def close_file(self) -> None:
        """Do nothing."""

    def read_many(self, table: ChunkTable, indices: Sequence[int]) -> Iterator[bytes | None]:
        """Yield encoded chunks unchanged; None for one that was never written.

        Raises
        ------
        ChunkError
            If a chunk that was written is missing.
        """
        hierarchy, path = self.array.hierarchy, self.array.node_path
        for batch in _batches(indices):
            keys = [self._key(table, index) for index in batch]
            found = zarr_view.encoded_chunks(hierarchy, path, keys)
            for key in keys:
                if key not in found:
                    tell_missing(hierarchy.documents[path], f"{hierarchy.uri}:/{key}")
                yield found.get(key)

    def decode_all(self) -> None:
        """Decode every chunk once as a check.

        Raises
        ------
        MetadataError
            If a chunk does not decode.
        """
        table = self.table()
        for index in range(len(table)):
            self.decoded(table, index)

    def decoded(self, table: ChunkTable, index: int) -> npt.NDArray[Any]:
        """Return the elements of a chunk that are inside of the array.

        Raises
        ------
        MetadataError
            If the chunk does not decode.
        """
        start = [
            at * step
            for at, step in zip(table.coordinates[index].tolist(), self.chunks, strict=True)
        ]
        region = tuple(
            slice(first, min(first + step, size))
            for first, step, size in zip(start, self.chunks, self.shape, strict=True)
        )
        try:
            return np.asarray(self.array[region])
        except HDMFZarrError:
            raise
        except Exception as error:
            raise MetadataError(
                f"{self.where}: the chunk at {tuple(start)} does not decode: {error!s:.200}"
            ) from error


def _batches(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), READ_TOGETHER):
        yield indices[start : start + READ_TOGETHER]
