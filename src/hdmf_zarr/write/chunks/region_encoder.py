"""Encodes and stores whole write units (shards, else chunks), one chunk after the other.

The pieces of a region are split into chunks as they are read: a chunk is encoded as soon as it is
complete, and a shard in memory holds its chunks encoded. So memory holds at most a piece and one
unit, with each chunk in one form only. zarr-python decodes, encodes and assembles a whole selection
at once, in several copies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.codecs.direct import Buffer, DirectChain
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.elements import TEXT_BYTES
from hdmf_zarr.core.regions import (
    Region,
    Shape,
    cells_of,
    intersection,
    relative,
    shape_of,
    size_of,
)
from hdmf_zarr.core.system import give_back_memory
from hdmf_zarr.core.threads import OrderedCalls
from hdmf_zarr.errors import HDMFZarrError, LayoutError
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import ArrayNode, array_node
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.write.chunks.shards import ShardIndex, inner_document

WORTH_GIVING_BACK = 1 << 20
"""Least bytes of a piece whose freed memory is returned before a larger chunk is encoded."""

REQUESTS = 8
"""Most concurrent requests to a remote store, if their chunks fit in a task's memory."""

Pieces = Iterable[tuple[Region, npt.NDArray[Any]]]
"""Regions, and their elements as the array stores them."""


@contextmanager
def encoding() -> Iterator[None]:
    """Convert errors of numpy and codecs to `LayoutError`."""
    try:
        yield
    except HDMFZarrError:
        raise
    except (MemoryError, TypeError, ValueError) as error:
        raise LayoutError(
            f"a chunk cannot be encoded ({type(error).__name__}: {error}); choose other codecs or "
            "smaller chunks"
        ) from error


@dataclass(frozen=True, kw_only=True)
class UnitWriter:
    """Writes whole write units of an array whose codecs are known.

    Attributes
    ----------
    bytestore : ByteStore
    path : str
        Path of the array.
    document : dict
        The ``zarr.json`` of the array, which need not be in the store yet.
    shape : tuple of int
    unit : tuple of int
        Shape of a shard; of a chunk if there are no shards.
    chain : DirectChain
        Codecs of a chunk, or of an inner chunk if there are shards.
    is_sharded : bool
    n_threads : int
        Number of threads that encode.
    """

    bytestore: ByteStore
    path: str
    document: dict[str, JSON]
    shape: Shape
    unit: Shape
    chain: DirectChain
    is_sharded: bool
    n_threads: int = 1

    @classmethod
    def of(
        cls, bytestore: ByteStore, path: str, document: dict[str, JSON], n_threads: int
    ) -> UnitWriter | None:
        """Return the writer of an array, or None if zarr has to write it.

        Parameters
        ----------
        bytestore : ByteStore
        path : str
        document : dict
            The ``zarr.json`` of the array, which need not be in the store yet.
        n_threads : int
            Number of threads that encode.
        """
        inner = inner_document(document)
        node = array_node(document)
        chain = direct_chain(node if inner is None else array_node(inner))
        shape = node.shape
        if chain is None or not shape:
            return None
        return cls(
            bytestore=bytestore,
            path=path,
            document=document,
            shape=shape,
            unit=node.stored_chunk,
            chain=chain,
            is_sharded=inner is not None,
            n_threads=n_threads,
        )

    @cached_property
    def node(self) -> ArrayNode:
        """Parsed document of the array."""
        return array_node(self.document)

    @cached_property
    def fill_value(self) -> Any:
        """Fill value, which pads chunks beyond the end of the array."""
        return array_document.fill_value(self.document)

    def are_whole(self, region: Region) -> bool:
        """Whether a region consists of whole write units, possibly cut at the end of the array."""
        return all(
            part.start % step == 0 and (part.stop % step == 0 or part.stop == size)
            for part, step, size in zip(region, self.unit, self.shape, strict=True)
        )

    def write(self, region: Region, pieces: Pieces) -> None:
        """Write whole write units.

        Parameters
        ----------
        region : tuple of slice
        pieces : iterable of (region, numpy.ndarray)
            Pieces that fill the region without overlap; each is read after the one before it was
            encoded.
        """
        filling = _Filling(self)
        try:
            for piece, values in pieces:
                filling.add(piece, values)
                # Free the piece before its chunks are encoded and the next piece is read.
                del values
                filling.encode_complete()
            filling.finish()
        finally:
            filling.close()
        assert filling.is_complete, f"the pieces do not fill {region}"


class _Filling:
    """The incomplete units of a region while its pieces are read."""

    def __init__(self, writer: UnitWriter) -> None:
        self._writer = writer
        self._chain = writer.chain
        self._open: dict[tuple[int, ...], _OpenChunk] = {}
        self._complete: list[tuple[tuple[int, ...], _OpenChunk]] = []
        self._shards: dict[tuple[int, ...], _OpenShard] = {}
        self._encoders = OrderedCalls(writer.n_threads, self._place, "hdmf-zarr-units")
        is_local = isinstance(writer.bytestore, LocalByteStore)
        self._requests = OrderedCalls(
            1 if is_local else REQUESTS, lambda _done, _result: None, "hdmf-zarr-units"
        )
        self._room = math.prod(writer.unit) * self._itemsize
        self._piece_bytes = 0

    def finish(self) -> None:
        """Wait until all units are stored."""
        self._requests.drain()

    def close(self) -> None:
        """Stop the threads; begin no further work."""
        self._encoders.close()
        self._requests.close()

    @property
    def is_complete(self) -> bool:
        """Whether every unit with any data was stored."""
        return not self._open and not self._shards

    @property
    def _itemsize(self) -> int:
        return TEXT_BYTES if self._chain.dtype is None else self._chain.dtype.itemsize

    def add(self, piece: Region, values: npt.NDArray[Any]) -> None:
        """Encode the chunks that a piece fills, and keep its other parts."""
        if self._chain.dtype is not None and values.dtype != self._chain.dtype:
            values = values.astype(self._chain.dtype)
        self._piece_bytes = values.size * self._itemsize
        self._room = max(self._room, self._piece_bytes)
        for at in itertools.product(*cells_of(piece, self._chain.shape)):
            cell = self._cell(at)
            part = intersection(cell, piece)
            given = values[relative(part, piece)]
            if part == cell:
                self._encode(at, given, is_alone=part == piece)
                continue
            chunk = self._open.get(at)
            if chunk is None:
                chunk = self._open[at] = _OpenChunk.of(cell, given.dtype)
            if chunk.take(part, given):
                self._complete.append((at, self._open.pop(at)))
        # The memory of the piece may be reused.
        self._encoders.drain()

    def encode_complete(self) -> None:
        """Encode the chunks that are now complete."""
        is_alone = len(self._complete) == 1
        largest = max((chunk.values.nbytes for _, chunk in self._complete), default=0)
        if largest > self._piece_bytes >= WORTH_GIVING_BACK:
            give_back_memory()
        while self._complete:
            at, chunk = self._complete.pop(0)
            self._encode(at, chunk.values, is_alone=is_alone)
        self._encoders.drain()

    def _cell(self, at: tuple[int, ...]) -> Region:
        return tuple(
            slice(place * step, min((place + 1) * step, size))
            for place, step, size in zip(at, self._chain.shape, self._writer.shape, strict=True)
        )

    def _encode(self, at: tuple[int, ...], values: npt.NDArray[Any], *, is_alone: bool) -> None:
        if is_alone:
            # Called in this thread, Blosc may use several threads.
            self._place(at, self._encoded(values))
        else:
            self._encoders.do(at, lambda: self._encoded(values))

    def _encoded(self, values: npt.NDArray[Any]) -> Buffer:
        with encoding():
            return self._chain.encode(self._chain.padded(values, self._writer.fill_value))

    def _place(self, at: tuple[int, ...], encoded: Buffer) -> None:
        """Store an encoded chunk, or add it to its shard."""
        if not self._writer.is_sharded:
            self._store(at, encoded)
            return
        per_shard = tuple(
            unit // step for unit, step in zip(self._writer.unit, self._chain.shape, strict=True)
        )
        unit = tuple(place // n for place, n in zip(at, per_shard, strict=True))
        shard = self._shards.get(unit)
        if shard is None:
            shard = self._shards[unit] = _OpenShard(per_shard, self._n_chunks(unit))
        if shard.take(tuple(place % n for place, n in zip(at, per_shard, strict=True)), encoded):
            self._store(unit, *self._shards.pop(unit).finished())

    def _n_chunks(self, unit: tuple[int, ...]) -> int:
        """Return the number of chunks of a shard that contain elements of the array."""
        return math.prod(
            -(-(min((place + 1) * step, size) - place * step) // chunk)
            for place, step, size, chunk in zip(
                unit, self._writer.unit, self._writer.shape, self._chain.shape, strict=True
            )
        )

    def _store(self, unit: tuple[int, ...], *parts: Buffer) -> None:
        """Store a unit, given as consecutive parts."""
        key = f"{self._writer.path}/{self._writer.node.key(unit)}"
        if self._requests.n_threads > 1:
            # The memory of a view is reused before the request ends.
            parts = tuple(map(bytes, parts))
        n_bytes = sum(map(len, parts))
        self._requests.wait_for_room(n_bytes, self._room)
        self._requests.do(unit, lambda: self._set(key, parts), n_bytes=n_bytes)

    def _set(self, key: str, parts: tuple[Buffer, ...]) -> None:
        if len(parts) == 1:
            self._writer.bytestore.set(key, parts[0])
            return
        with self._writer.bytestore.writer(key) as file:
            for part in parts:
                file.write(part)


@dataclass
class _OpenChunk:
    """A chunk that lacks elements."""

    cell: Region
    values: npt.NDArray[Any]
    n_missing: int

    @classmethod
    def of(cls, cell: Region, dtype: np.dtype[Any]) -> _OpenChunk:
        return cls(cell, np.empty(shape_of(cell), dtype), size_of(cell))

    def take(self, part: Region, values: npt.NDArray[Any]) -> bool:
        """Add a part; return whether the chunk is complete."""
        self.values[relative(part, self.cell)] = values
        self.n_missing -= values.size
        return self.n_missing == 0


class _OpenShard:
    """The encoded chunks of a shard that lacks chunks."""

    def __init__(self, chunks: Shape, n_missing: int) -> None:
        self._chunks = chunks
        self._n_missing = n_missing
        self._index = ShardIndex(math.prod(chunks))
        self._encoded: list[bytes] = []

    def take(self, at: tuple[int, ...], encoded: Buffer) -> bool:
        """Add a chunk; return whether the shard is complete."""
        self._index.add(int(np.ravel_multi_index(at, self._chunks)), len(encoded))
        # Copy a view: the memory of a piece may be reused.
        self._encoded.append(bytes(encoded))
        self._n_missing -= 1
        return self._n_missing == 0

    def finished(self) -> list[bytes]:
        """Return the parts of the complete shard."""
        return [*self._encoded, self._index.encoded()]
