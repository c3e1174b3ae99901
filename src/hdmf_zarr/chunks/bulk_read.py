"""Large selections of numbers: several threads decode chunks straight into the result.

zarr allocates memory for the bytes and the elements of each chunk, which takes as long as decoding them.
From shards, the threads read only the chunks that are needed. Elements other than numbers, stores that are
not local and unknown codecs are left to zarr, and so is every array if the user has chosen a codec pipeline.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.chunks import pipeline
from hdmf_zarr.chunks.missing import tell_missing
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.shards import ShardCodec
from hdmf_zarr.core.dtypes import is_number
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import is_known_form, naming
from hdmf_zarr.metadata.codec_chain import direct_chain, shard_codec
from hdmf_zarr.metadata.node import ArrayNode, array_node
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore

MOST_THREADS = 8

LARGEST_CHUNK = 256 * 2**20
"""Maximum number of bytes of a decoded chunk; each thread keeps one."""

_scratch = threading.local()


_Task = Callable[[npt.NDArray[Any]], None]
"""Function that decodes chunks into the given array."""

_Cut = tuple[int, Any, Any]
"""Part of a chunk along one dimension: its number, the selected elements, their positions in the chunk."""

_Cuts = tuple[_Cut, ...]
"""Parts of one chunk, one for each dimension."""


@dataclass(frozen=True, kw_only=True)
class BlockReader:
    """Reads blocks of one array.

    Attributes
    ----------
    bytestore : LocalByteStore
    path : str
    node : ArrayNode
    chain : DirectChain
        Codecs of the chunks, in shards or not.
    shards : ShardCodec or None
    """

    bytestore: LocalByteStore
    path: str
    node: ArrayNode
    chain: DirectChain
    shards: ShardCodec | None

    @classmethod
    def of(cls, bytestore: ByteStore, path: str, document: Mapping[str, Any]) -> BlockReader | None:
        """Return the reader of an array; None for an array that is left to zarr."""
        if not isinstance(bytestore, LocalByteStore) or not pipeline.has_default_pipeline():
            return None
        node = array_node(document)
        if not is_known_form(node.chunk_keys) or 0 in node.shape:
            return None
        chain = direct_chain(node)
        shards = shard_codec(node) if chain is None else None
        if shards is not None:
            chain = shards.chain
        if chain is None or chain.nbytes is None or chain.nbytes > LARGEST_CHUNK:
            return None
        if chain.dtype is None or not is_number(chain.dtype) or not chain.shape:
            return None
        if len(chain.shape) != len(node.shape):
            return None
        return cls(bytestore=bytestore, path=path, node=node, chain=chain, shards=shards)

    def read(self, index: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        """Return the elements that an index selects; None if it selects none.

        Parameters
        ----------
        index : tuple
            Index from `hdmf_zarr.chunks.indexing.memory_index`.

        Raises
        ------
        ChunkError
            If a chunk is damaged.
        """
        shape = self.node.shape
        entries = (*index, *(slice(None),) * (len(shape) - len(index)))
        counts = [_n_selected(entry, size) for entry, size in zip(entries, shape, strict=True)]
        if 0 in counts:
            return None
        assert self.chain.dtype is not None
        out = np.empty(counts, dtype=self.chain.dtype)
        cuts = [
            _cuts(entry, size, step)
            for entry, size, step in zip(entries, shape, self.chain.shape, strict=True)
        ]
        n_threads = min(pipeline.most_threads(MOST_THREADS), math.prod(map(len, cuts)))
        tasks = self._tasks(cuts, n_threads)
        if n_threads > 1:
            with ThreadPoolExecutor(n_threads, thread_name_prefix="hdmf-zarr-read") as pool:
                for done in [pool.submit(task, out) for task in tasks]:
                    done.result()
        else:
            for task in tasks:
                task(out)
        return out[tuple(0 if isinstance(entry, int) else slice(None) for entry in entries)]

    def _tasks(self, cuts: list[list[_Cut]], n_threads: int) -> Iterator[_Task]:
        """Yield the tasks of the threads: one chunk, or several chunks of one shard."""
        chunks = itertools.product(*cuts)
        if self.shards is None:
            for chunk in chunks:
                yield partial(self._bring, chunk)
            return
        of_shards: dict[tuple[int, ...], list[_Cuts]] = {}
        for chunk in chunks:
            of_shards.setdefault(self.shards.shard_of(_place(chunk)), []).append(chunk)
        most = max(map(len, of_shards.values()))
        together = -(-most // n_threads) if len(of_shards) < 2 * n_threads else most
        for shard, inside in of_shards.items():
            for start in range(0, len(inside), together):
                yield partial(self._bring_shard, shard, inside[start : start + together])

    def _bring(self, cuts: _Cuts, out: npt.NDArray[Any]) -> None:
        """Decode one chunk into its place."""
        key = self._key(_place(cuts))
        encoded = self.bytestore.get_into(key, _room, self.chain.most_encoded)
        if encoded is None:
            self._fill_missing(key, [cuts], out)
            return
        with naming(f"{self.bytestore.location.uri}:/{key}"):
            self._decode(encoded, cuts, out)

    def _bring_shard(
        self, shard: tuple[int, ...], chunks: Sequence[_Cuts], out: npt.NDArray[Any]
    ) -> None:
        """Decode chunks of one shard into their places."""
        shards, key = self.shards, self._key(shard)
        assert shards is not None
        file = self.bytestore.open_file(key)
        if file is None:
            self._fill_missing(key, chunks, out)
            return
        with file, naming(f"{self.bytestore.location.uri}:/{key}"):
            index = shards.index(file.part(shards.index_start, shards.index_bytes))
            for cuts in chunks:
                bounds = shards.bounds(index, at := _place(cuts), file.size)
                if bounds is None:
                    out[_target(cuts)] = self._fill_value
                    continue
                room = _room(bounds[1])
                encoded = room[: file.part_into(bounds[0], room)]
                with naming(f"the chunk at {shards.first_element(at)}"):
                    self._decode(encoded, cuts, out)

    def _fill_missing(self, key: str, chunks: Sequence[_Cuts], out: npt.NDArray[Any]) -> None:
        tell_missing(self.node.document, f"{self.bytestore.location.uri}:/{key}")
        for cuts in chunks:
            out[_target(cuts)] = self._fill_value

    def _decode(self, encoded: memoryview, cuts: _Cuts, out: npt.NDArray[Any]) -> None:
        """Decode a chunk into its place, without a copy if the whole chunk is selected."""
        into, part = _target(cuts), tuple(inside for _, _, inside in cuts)
        # An index array may select every element of a chunk in another order.
        is_block = all(isinstance(entry, slice) for entry in (*into, *part))
        target = out[into] if is_block else None
        if target is not None and target.shape == self.chain.shape and target.flags.c_contiguous:
            self.chain.decode_into(encoded, target)
            return
        chunk = scratch(self.chain)
        self.chain.decode_into(encoded, chunk, _rows(part[0]))
        out[into] = chunk[part]

    def _key(self, place: tuple[int, ...]) -> str:
        return f"{self.path}/{self.node.key(place)}"

    @property
    def _fill_value(self) -> Any:
        return array_document.fill_value(dict(self.node.document))


def _room(size: int) -> memoryview:
    """Return this thread's memory for encoded bytes, which the next call reuses."""
    held = getattr(_scratch, "encoded", None)
    if held is None or len(held) < size:
        held = _scratch.encoded = memoryview(bytearray(size))
    return memoryview(held)[:size]


def scratch(chain: DirectChain) -> npt.NDArray[Any]:
    """Return this thread's memory for one decoded chunk, which the next call reuses."""
    held = getattr(_scratch, "chunk", None)
    if held is None or held.shape != chain.shape or held.dtype != chain.dtype:
        held = _scratch.chunk = np.empty(chain.shape, dtype=chain.dtype)
    return held


# -- an index, chunk by chunk ----------------------------------------------------------------------


def _n_selected(entry: Any, size: int) -> int:
    """Return the number of elements that an entry selects along its dimension."""
    if isinstance(entry, slice):
        return len(range(*entry.indices(size)))
    if isinstance(entry, np.ndarray):
        return int(entry.sum()) if entry.dtype.kind == "b" else len(entry)
    return 1


def _cuts(entry: Any, size: int, step: int) -> list[_Cut]:
    """Return the parts of chunks that an entry selects along a dimension."""
    if isinstance(entry, slice):
        return _cuts_of_range(range(*entry.indices(size)), step)
    if isinstance(entry, np.ndarray):
        places = np.flatnonzero(entry) if entry.dtype.kind == "b" else entry % size
        return _cuts_of_places(places, step)
    place = entry % size
    return _cuts_of_range(range(place, place + 1), step)


def _cuts_of_range(places: range, step: int) -> list[_Cut]:
    cuts = []
    first = 0
    while first < len(places):
        number = places[first] // step
        end = -(
            -((number + 1) * step - places.start) // places.step
        )  # end of the places before the next chunk
        inside = places[first:end]
        begin = number * step
        part = slice(inside.start - begin, inside[-1] + 1 - begin, places.step)
        cuts.append((number, slice(first, first + len(inside)), part))
        first += len(inside)
    return cuts


def _cuts_of_places(places: npt.NDArray[Any], step: int) -> list[_Cut]:
    numbers = places // step
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return [
        (number, _as_slice(of_chunk), _as_slice(places[of_chunk] - number * step))
        for number, of_chunk in zip(found.tolist(), np.split(order, starts[1:]), strict=True)
    ]


def _as_slice(places: npt.NDArray[Any]) -> Any:
    """Return consecutive places as a slice, which selects a view instead of a copy."""
    first, count = int(places[0]), len(places)
    if count == 1 or bool((np.diff(places) == 1).all()):
        return slice(first, first + count)
    return places


def _place(cuts: _Cuts) -> tuple[int, ...]:
    return tuple(number for number, _, _ in cuts)


def _target(cuts: _Cuts) -> tuple[Any, ...]:
    return tuple(into for _, into, _ in cuts)


def _rows(part: Any) -> slice:
    """Return the rows of a chunk from the first to the last one that is selected."""
    if isinstance(part, slice):
        return slice(part.start, part.stop)
    return slice(int(part.min()), int(part.max()) + 1)
