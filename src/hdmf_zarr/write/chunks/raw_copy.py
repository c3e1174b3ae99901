"""Encoded chunks into an array as they are: one by one, or packed into shards; decoded by nobody.

Threads move them: reading, writing and counting checksums are the system's work and leave Python to
others. A chunk to which HDF5 has not applied every filter is decoded and encoded by the array's chain.
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
"""That move chunks; more only with more jobs."""

MOVED_TOGETHER = 8 * 1024**2
"""Bytes of chunks that one step of a thread moves, where chunks are small."""

WAITING_STEPS = 64
"""Steps that are handed to the threads ahead of what was finished."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """Encoded bytes, and the keys of the store that hold them."""

    n_bytes: int = 0
    n_keys: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(n_bytes=self.n_bytes + other.n_bytes, n_keys=self.n_keys + other.n_keys)


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
        """Write chunks and their index."""
        index = ShardIndex(math.prod(per_shard.tolist()))
        inside = table.coordinates[indices] % per_shard
        places = np.ravel_multi_index(tuple(inside.T), tuple(per_shard.tolist()))
        shard = tuple((table.coordinates[indices[0]] // per_shard).tolist())
        key = f"{self.path}/{array_node(self.document).key(shard)}"
        waiting = self._encoded(table, indices.tolist())
        first = next(waiting, None)
        if first is None:  # none of them was ever written
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
        """Chunks as they are written, in their order, without those that were never written."""
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
        """Decode a chunk as its readers will: HDF5's own filters hang or crash on some damage."""
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
        """What decodes the chunks; None for codecs that are left to others."""
        chain = direct_chain(inner_document(self.document) or self.document)
        return chain if chain is not None and chain.shape == tuple(self.chunks.chunks) else None
