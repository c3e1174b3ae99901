"""Encoded chunks into an array as they are: one by one, or packed into shards; decoded by nobody.

Threads move them: reading, writing and counting checksums are the system's work and leave Python to
others. A chunk to which HDF5 has not applied every filter is decoded and encoded by the array's chain.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdmf_zarr.convention import JSON
from hdmf_zarr.hdf5.raw import ChunkTable
from hdmf_zarr.stores import ByteStore, compat
from hdmf_zarr.stores.chunk_keys import chunk_key
from hdmf_zarr.write.shards import ShardIndex, crc32c
from hdmf_zarr.write.sources import EncodedChunks

THREADS = 2
"""That move chunks; more only with more jobs."""

MOVED_TOGETHER = 8 * 1024**2
"""Bytes of chunks that one step of a thread moves, where chunks are small."""

WAITING_STEPS = 64
"""Steps that are handed to the threads ahead of what was finished."""

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class RawMove:
    """What is moved where.

    Attributes
    ----------
    chunks : EncodedChunks
    bytestore : ByteStore
    path : str
        Of the array, whose document comes later.
    document : dict
    shards : tuple of int or None
        Shape of a shard; None has each chunk in a file of its own.
    verify : bool
        Decode each chunk once.
    checksum : bool
        End each chunk with its CRC-32C; the document says so.
    n_threads : int
    """

    chunks: EncodedChunks
    bytestore: ByteStore
    path: str
    document: dict[str, JSON]
    shards: tuple[int, ...] | None
    verify: bool = False
    checksum: bool = False
    n_threads: int = THREADS

    def run(self, progress: Progress) -> int:
        """Move every chunk; what was never written stays missing.

        Returns
        -------
        int
            Chunks (or shards) that were written.

        Raises
        ------
        MetadataError
            If a chunk cannot be read, or (``verify``, or a filter was left out) does not decode.
        """
        table = self.chunks.table()
        self.chunks.open_file(table)
        pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="hdmf-zarr-raw")
        waiting: deque[Future[int]] = deque()
        n_steps = 0
        try:
            for step in self._steps(table):
                n_steps += 1
                waiting.append(pool.submit(step))
                if len(waiting) >= WAITING_STEPS:
                    progress(waiting.popleft().result())
            while waiting:
                progress(waiting.popleft().result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self.chunks.close_file()
        return len(table) if self.shards is None else n_steps

    def _steps(self, table: ChunkTable) -> Iterator[Callable[[], int]]:
        if self.shards is not None:
            yield from self._shard_steps(table, self.shards)
            return
        order = np.argsort(table.addresses, kind="stable")
        ends = np.cumsum(table.sizes[order])
        step_of = (ends - 1) // MOVED_TOGETHER
        for indices in np.split(order, np.flatnonzero(np.diff(step_of)) + 1):
            if len(indices):
                yield lambda indices=indices: self._move(table, indices)  # type: ignore[misc]

    def _move(self, table: ChunkTable, indices: npt.NDArray[np.int64]) -> int:
        keys = self.document["chunk_key_encoding"]
        moved = 0
        for index in indices.tolist():
            encoded = self._encoded(table, index)
            at = tuple(table.coordinates[index].tolist())
            self.bytestore.set(f"{self.path}/{chunk_key(keys, at)}", encoded)
            moved += len(encoded)
        return moved

    # -- shards ----------------------------------------------------------------------------------

    def _shard_steps(
        self, table: ChunkTable, shards: tuple[int, ...]
    ) -> Iterator[Callable[[], int]]:
        per_shard = np.array(shards) // np.array(self.chunks.chunks)
        grid = [-(-size // step) for size, step in zip(self.chunks.shape, shards, strict=True)]
        numbers = np.ravel_multi_index(tuple((table.coordinates // per_shard).T), grid)
        order = np.lexsort((table.addresses, numbers))
        for indices in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if len(indices):
                yield lambda indices=indices: self._write_shard(table, indices, per_shard)  # type: ignore[misc]

    def _write_shard(
        self,
        table: ChunkTable,
        indices: npt.NDArray[np.int64],
        per_shard: npt.NDArray[np.int64],
    ) -> int:
        """Write chunks and their index."""
        index = ShardIndex(math.prod(per_shard.tolist()))
        inside = table.coordinates[indices] % per_shard
        places = np.ravel_multi_index(tuple(inside.T), tuple(per_shard.tolist()))
        shard = tuple((table.coordinates[indices[0]] // per_shard).tolist())
        key = f"{self.path}/{chunk_key(self.document['chunk_key_encoding'], shard)}"
        with self.bytestore.writer(key) as file:
            for chunk, place in zip(indices.tolist(), places.tolist(), strict=True):
                encoded = self._encoded(table, chunk)
                file.write(encoded)
                index.add(place, len(encoded))
            file.write(index.encoded())
        return index.end

    # -- chunks ----------------------------------------------------------------------------------

    def _encoded(self, table: ChunkTable, index: int) -> bytes:
        if not table.is_whole[index]:
            return compat.encode_chunk(self.document, self.chunks.decoded(table, index))
        if self.verify:
            self.chunks.decoded(table, index)
        encoded = self.chunks.read(table, index)
        return encoded + crc32c(encoded) if self.checksum else encoded
