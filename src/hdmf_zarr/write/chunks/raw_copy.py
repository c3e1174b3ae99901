"""Copies encoded chunks into an array: one by one, or packed into shards; nothing is decoded.

Threads copy them: reading, writing and computing checksums release the interpreter lock. A chunk to
which HDF5 has not applied every filter is decoded, and encoded by the array's codecs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hdmf_zarr.chunks import single
from hdmf_zarr.chunks.bulk_read import scratch
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.shards import crc32c
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.progress import Progress
from hdmf_zarr.core.threads import bounded_map
from hdmf_zarr.errors import ChunkError, MetadataError, MissingExtraError
from hdmf_zarr.hdf5.raw import ChunkTable
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.write.chunks.shards import ShardIndex, inner_document
from hdmf_zarr.write.chunks.sources import EncodedChunks

THREADS = 2
"""Number of threads that copy chunks; more only with more jobs."""

MOVED_TOGETHER = 8 * 1024**2
"""Bytes of small chunks that one step of a thread copies."""

WAITING_STEPS = 64
"""Number of steps queued for the threads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """Number of copied bytes, and of the keys that were written."""

    n_bytes: int = 0
    n_keys: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(n_bytes=self.n_bytes + other.n_bytes, n_keys=self.n_keys + other.n_keys)


@dataclass(frozen=True, kw_only=True)
class RawMove:
    """Copies the encoded chunks of one array.

    Attributes
    ----------
    chunks : EncodedChunks
    bytestore : ByteStore
    path : str
        Path of the array, whose document is written later.
    document : dict
    shards : tuple of int or None
        Shape of a shard; None writes each chunk to its own key.
    verify : bool
        Decode each chunk once.
    checksum : bool
        Append the CRC-32C to each chunk, as the document declares.
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
        """Copy every chunk; chunks that were never written stay missing.

        Returns
        -------
        int
            Number of chunks (or shards) that were written.

        Raises
        ------
        MetadataError
            If a chunk cannot be read, or does not decode (with ``verify``, or if HDF5 skipped a
            filter).
        """
        table = self.chunks.table()
        self.chunks.open_file(table)
        steps = bounded_map(
            lambda step: step(),
            self._steps(table),
            n_threads=self.n_threads,
            most_waiting=WAITING_STEPS,
            name="hdmf-zarr-raw",
        )
        n_keys = 0
        try:
            with closing(steps):
                for moved in steps:
                    progress(moved.n_bytes)
                    n_keys += moved.n_keys
        finally:
            self.chunks.close_file()
        return n_keys

    def _steps(self, table: ChunkTable) -> Iterator[Callable[[], Moved]]:
        if self.shards is not None:
            yield from self._shard_steps(table, self.shards)
            return
        order = np.argsort(table.addresses, kind="stable")
        ends = np.cumsum(table.sizes[order])
        step_of = (ends - 1) // MOVED_TOGETHER
        for indices in np.split(order, np.flatnonzero(np.diff(step_of)) + 1):
            if len(indices):
                yield lambda indices=indices: self._move(table, indices)  # type: ignore[misc]

    def _move(self, table: ChunkTable, indices: npt.NDArray[np.int64]) -> Moved:
        node = array_node(self.document)
        moved = Moved()
        for index, encoded in self._encoded(table, indices.tolist()):
            at = tuple(table.coordinates[index].tolist())
            self.bytestore.set(f"{self.path}/{node.key(at)}", encoded)
            moved += Moved(n_bytes=len(encoded), n_keys=1)
        return moved

    # -- shards ----------------------------------------------------------------------------------

    def _shard_steps(
        self, table: ChunkTable, shards: tuple[int, ...]
    ) -> Iterator[Callable[[], Moved]]:
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
    ) -> Moved:
        """Write the chunks and the index of a shard."""
        index = ShardIndex(math.prod(per_shard.tolist()))
        inside = table.coordinates[indices] % per_shard
        places = np.ravel_multi_index(tuple(inside.T), tuple(per_shard.tolist()))
        shard = tuple((table.coordinates[indices[0]] // per_shard).tolist())
        key = f"{self.path}/{array_node(self.document).key(shard)}"
        waiting = self._encoded(table, indices.tolist())
        first = next(waiting, None)
        if first is None:  # all chunks were never written
            return Moved()
        place_of = dict(zip(indices.tolist(), places.tolist(), strict=True))
        with self.bytestore.writer(key) as file:
            for chunk, encoded in itertools.chain([first], waiting):
                file.write(encoded)
                index.add(place_of[chunk], len(encoded))
            file.write(index.encoded())
        return Moved(n_bytes=index.end, n_keys=1)

    # -- chunks ----------------------------------------------------------------------------------

    def _encoded(self, table: ChunkTable, indices: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks to write, in order, without those that were never written."""
        for index, encoded in zip(indices, self.chunks.read_many(table, indices), strict=True):
            if encoded is None:
                continue
            if not table.is_whole[index]:
                yield (
                    index,
                    single.encode_chunk(self.document, self.chunks.decoded(table, index)),
                )
                continue
            written = encoded + crc32c(encoded) if self.checksum else encoded
            if self.verify:
                self._verify(table, index, written)
            yield index, written

    def _verify(self, table: ChunkTable, index: int, written: bytes) -> None:
        """Decode a chunk by the array's codecs: HDF5's own filters hang or crash on some damage."""
        chain = self._chain
        if chain is None:
            self.chunks.decoded(table, index)
            return
        try:
            if chain.dtype is None:
                chain.decode(written)
            else:
                chain.decode_into(written, scratch(chain))
        except MissingExtraError:
            self.chunks.decoded(table, index)
        except ChunkError as error:
            name = self.chunks.name_of(table, index)
            raise MetadataError(f"{name} does not decode: {error}") from error

    @cached_property
    def _chain(self) -> DirectChain | None:
        """Chain that decodes the chunks; None if this package does not implement their codecs."""
        chain = direct_chain(array_node(inner_document(self.document) or self.document))
        return chain if chain is not None and chain.shape == tuple(self.chunks.chunks) else None
