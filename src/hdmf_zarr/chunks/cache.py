"""Small chunks: read with one synchronous request, decoded in place, and cached.

The columns of tables are small and read row by row; through zarr each row would take half a millisecond
and decode the same chunk again. Selections of several large chunks, or arrays with an unknown codec, are
left to other readers, which decode in several threads. Chunks in shards are cached as well.

A chunk of a local store is cached with the stamp of the file that it was read from, since another process
may change elements in place. The file is compared when the chunk is used; if a chunk is read row by row, it
is compared at most once in `TRUSTED_SECONDS`. Chunks of other stores are not compared, because each
comparison would be a request.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hdmf_zarr.chunks import pipeline
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.shards import ShardCodec
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import decode_elements
from hdmf_zarr.core.limits import MOST_CHUNK_BYTES, check_encoded_size
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.metadata.chunk_keys import is_known_form, naming
from hdmf_zarr.metadata.codec_chain import direct_chain, shard_codec
from hdmf_zarr.metadata.node import ArrayNode, array_node
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.open_files import FileStamp, OpenedFile, is_settled, is_unchanged

SMALL_BYTES = 2**20
"""Chunks up to this size are kept until the cache is full."""

LARGE_BYTES_OF_ARRAY = 32 * 2**20
"""Size of the last larger chunks of an array that are kept (HDMF has HDF5 keep as much of a dataset)."""

SEEN_CHUNKS = 4
"""Number of recently read large chunks: a chunk that is read again among them is cached."""

KEPT_BYTES = 64 * 2**20
"""Maximum number of cached bytes for all arrays of a store."""

MOST_BYTES = 8 * 2**20
"""Larger decoded chunks are left to zarr."""

MOST_OBJECTS = 2**17
"""The limit in place of `MOST_BYTES` for elements that vary in length."""

MOST_CHUNKS = 16
"""A selection of more chunks, or of more than `SMALL_BYTES` in several, is left to zarr."""

MOST_COMPARED = 32
"""A chunk that is compared more often is read row by row: comparing its file takes longer than a row."""

TRUSTED_SECONDS = 2.5e-4
"""Time for which a chunk that is read row by row counts as unchanged after a comparison."""

_OBJECT_BYTES = 64
"""Approximate size of a text in memory without its characters."""

_INTEGERS = (int, np.integer)

_BOUNDS = (int, np.integer, type(None))

_ROWS_IN_PLACE = (np.ndarray, np.void)
"""Types of rows that share memory with their array; others are independent values."""

At = tuple[int, ...]
"""Coordinates of a chunk in the grid of its array."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The chunks of an array, and their codecs.

    Attributes
    ----------
    chain : DirectChain or None
        Codecs of the chunks, in shards or not; None for an array that is left to zarr.
    shards : ShardCodec or None
    """

    node: ArrayNode
    shape: tuple[int, ...]
    chain: DirectChain | None
    shards: ShardCodec | None

    def key(self, path: str, at: At) -> str:
        """Return the key of a chunk, or of its shard."""
        place = at if self.shards is None else self.shards.shard_of(at)
        return f"{path}/{self.node.key(place)}"

    def name(self, path: str, at: At) -> str:
        """Return the name of a chunk for messages: its key, and in a shard the index of its first element."""
        if self.shards is None:
            return self.key(path, at)
        return f"{self.key(path, at)}: the chunk at {self.shards.first_element(at)}"


class _Source(NamedTuple):
    """The file that a chunk was read from, and its stamp before that."""

    file: str
    stamp: FileStamp


class _Encoded(NamedTuple):
    content: bytes
    source: _Source | None


@dataclass(slots=True)
class _Kept:
    """A decoded chunk.

    Attributes
    ----------
    source : _Source or None
        File of the chunk; None if the store is not compared.
    trusted_until : float
        Time from which the file is compared before the chunk is used.
    n_compared : int
        Number of comparisons.
    """

    document: Mapping[str, Any]
    element: ElementType
    values: npt.NDArray[Any]
    nbytes: int
    source: _Source | None
    trusted_until: float
    n_compared: int = 0

    def is_current(self) -> bool:
        """Return whether the file is unchanged."""
        now = monotonic()
        if now < self.trusted_until:
            return True
        assert self.source is not None  # otherwise the chunk is trusted forever
        if not is_unchanged(self.source.file, self.source.stamp):
            return False
        self.n_compared += 1
        if self.n_compared > MOST_COMPARED:
            self.trusted_until = now + TRUSTED_SECONDS
        return True


class StoredNodes(Protocol):
    """The interface of nodes that the cache uses; a writer may replace its byte store for a while."""

    bytestore: ByteStore
    documents: dict[str, dict[str, JSON]]

    @property
    def uri(self) -> str:
        """Absolute path or URL of the store."""

    def array(self, path: str) -> ArrayNode:
        """Return what the document of an array says, parsed once for each document."""


class ChunkCache:
    """The decoded chunks of one store.

    Parameters
    ----------
    nodes : StoredNodes
    """

    def __init__(self, nodes: StoredNodes) -> None:
        self._nodes = nodes
        self._layouts: dict[str, _Layout] = {}
        self._kept: OrderedDict[tuple[str, At], _Kept] = OrderedDict()
        self._whole: dict[str, _Kept] = {}
        self._large: dict[str, list[At]] = {}
        self._fetched: dict[str, bytes] = {}
        self._seen: OrderedDict[tuple[str, At], None] = OrderedDict()
        self._nbytes = 0
        self._changes = 0
        self._lock = threading.Lock()
        _caches.add(self)

    # -- reading ---------------------------------------------------------------------------------

    def rows(self, path: str, element: ElementType, selection: Any) -> tuple[Any] | None:
        """Return the row or rows of an array that is cached as a whole; None for all others.

        This is a fast path for tables, which do this thousands of times. The result is a copy.
        """
        kept = self._whole.get(path)
        if (
            kept is None
            or kept.element is not element
            or kept.document is not self._nodes.documents[path]
            or not (monotonic() < kept.trusted_until or kept.is_current())
        ):
            return None
        kind = type(selection)
        if kind is slice:
            if (
                selection.step is not None
                or not isinstance(selection.start, _BOUNDS)
                or not isinstance(selection.stop, _BOUNDS)
            ):
                return None
            return (kept.values[selection].copy(),)
        if kind is not int and (kind is bool or not isinstance(selection, _INTEGERS)):
            return None
        try:
            row = kept.values[selection]
        except IndexError:
            return None
        return (row.copy() if isinstance(row, _ROWS_IN_PLACE) else row,)

    def select(self, path: str, element: ElementType, index: tuple[Any, ...]) -> tuple[Any] | None:
        """Return the decoded elements that an index selects; None if zarr has to read them.

        Parameters
        ----------
        path : str
        element : ElementType
        index : tuple
            Index from `memory_index`.

        Returns
        -------
        tuple of one or None
            View of cached elements, which the caller must copy before it is returned to users.

        Raises
        ------
        ChunkError
            If a chunk is damaged.
        """
        layout = self._layout(path)
        chain = layout.chain
        if chain is None or (layout.shards is not None and not pipeline.has_default_pipeline()):
            return None
        spans = _spans(index, layout.shape)
        if spans is None:
            return None
        first = tuple(start // step for (start, _), step in zip(spans, chain.shape, strict=True))
        last = tuple((stop - 1) // step for (_, stop), step in zip(spans, chain.shape, strict=True))
        if first == last:
            if self._is_passed_by(path, layout, first, element):
                return None
            block = self._chunk(path, layout, first, element)
        else:
            block = self._block(path, layout, first, last, element)
        if block is None:
            return None
        corner = tuple(at * step for at, step in zip(first, chain.shape, strict=True))
        return (block[_moved(index, layout.shape, corner)],)

    def _is_passed_by(self, path: str, layout: _Layout, at: At, element: ElementType) -> bool:
        """Return whether a large chunk is read for the first time: it is cached from the second time on.

        Scattered chunks of a recording are rarely read again. If a part of a chunk can be decoded without
        the rest, that is faster than decoding and caching the whole chunk.
        """
        assert layout.chain is not None
        if (
            _is_small(layout.chain)
            or not layout.chain.decodes_parts
            or element.kind != "number"
            or not isinstance(self._nodes.bytestore, LocalByteStore)
        ):
            return False
        with self._lock:
            if (path, at) in self._kept or (path, at) in self._seen:
                return False
            self._seen[path, at] = None
            if len(self._seen) > SEEN_CHUNKS:
                self._seen.popitem(last=False)
        return True

    def _block(
        self, path: str, layout: _Layout, first: At, last: At, element: ElementType
    ) -> npt.NDArray[Any] | None:
        """Return several chunks as one array; None if they are many, or large."""
        chain = layout.chain
        assert chain is not None
        ranges = [range(start, stop + 1) for start, stop in zip(first, last, strict=True)]
        count = math.prod(len(places) for places in ranges)
        itemsize = _OBJECT_BYTES if chain.dtype is None else chain.dtype.itemsize
        if count > MOST_CHUNKS or count * math.prod(chain.shape) * itemsize > SMALL_BYTES:
            return None
        places = list(itertools.product(*ranges))
        self._fetch_block(path, layout, places)
        ends = [
            min((stop + 1) * step, size)
            for stop, step, size in zip(last, chain.shape, layout.shape, strict=True)
        ]
        corner = [start * step for start, step in zip(first, chain.shape, strict=True)]
        block = np.empty(
            [end - begin for begin, end in zip(corner, ends, strict=True)],
            dtype=_dtype_in_memory(element, chain),
        )
        for at in places:
            chunk = self._chunk(path, layout, at, element)
            if chunk is None:
                return None
            begins = [
                place * step - begin
                for place, step, begin in zip(at, chain.shape, corner, strict=True)
            ]
            region = tuple(
                slice(begin, begin + size) for begin, size in zip(begins, chunk.shape, strict=True)
            )
            block[region] = chunk
        return block

    def _chunk(
        self, path: str, layout: _Layout, at: At, element: ElementType
    ) -> npt.NDArray[Any] | None:
        """Return the elements of a chunk inside the array; None for a missing chunk."""
        kept = self._current(path, layout, at, element)
        if kept is not None:
            return kept.values
        changes = self._changes
        encoded = self._encoded(path, layout, at)
        if encoded is None:
            return None  # zarr finds this as well, and reports a lost chunk
        values = decode_elements(self._decoded(path, layout, at, encoded.content), element)
        values.flags.writeable = False
        source = encoded.source
        if source is not None and not is_settled(source.stamp):
            return values
        until = math.inf if source is None else -math.inf
        made = _Kept(layout.node.document, element, values, _nbytes(values), source, until)
        with self._lock:
            if changes == self._changes:
                self._keep(path, at, made)
        return values

    def _current(self, path: str, layout: _Layout, at: At, element: ElementType) -> _Kept | None:
        """Return a cached chunk that is still current; an outdated one is dropped."""
        with self._lock:
            kept = self._kept.get((path, at))
            if kept is None or kept.document is not layout.node.document or kept.element != element:
                return None
            self._kept.move_to_end((path, at))
        if kept.is_current():
            return kept
        with self._lock:
            if self._kept.get((path, at)) is kept:
                self._drop((path, at))
        return None

    def stored(self, path: str) -> npt.NDArray[Any] | None:
        """Return the stored elements of an array of one chunk; None if zarr has to read it.

        Raises
        ------
        ChunkError
            If the chunk is damaged.
        """
        layout = self._layout(path)
        if layout.chain is None or not _is_one_chunk(layout):
            return None
        at = (0,) * len(layout.shape)
        encoded = self._encoded(path, layout, at)
        return None if encoded is None else self._decoded(path, layout, at, encoded.content)

    def _encoded(self, path: str, layout: _Layout, at: At) -> _Encoded | None:
        """Return the bytes of a chunk, and their source; None for a missing chunk."""
        bytestore = self._nodes.bytestore
        key = layout.key(path, at)
        try:
            if isinstance(bytestore, LocalByteStore):
                return _read(bytestore, key, layout, at)
            if layout.shards is not None:
                self._fetch_parts(path, layout, [at])
            content = self._fetched.pop(_place_key(key, layout, at), None)
            if content is None and layout.shards is None:
                assert layout.chain is not None
                content = bytestore.get(key, layout.chain.most_encoded)
        except ChunkError:
            with naming(f"{bytestore.location.uri}:/{key}"):
                raise
        return None if content is None else _Encoded(content, None)

    def _decoded(self, path: str, layout: _Layout, at: At, encoded: bytes) -> npt.NDArray[Any]:
        """Return the stored elements of a chunk inside the array."""
        chain = layout.chain
        assert chain is not None
        try:
            chunk = chain.decode(encoded)
        except ChunkError:
            with naming(f"{self._nodes.uri}:/{layout.name(path, at)}"):
                raise
        inside = tuple(
            slice(size - place * step)
            for place, step, size in zip(at, chain.shape, layout.shape, strict=True)
        )
        return chunk[inside] if inside else chunk

    # -- prefetching -----------------------------------------------------------------------------

    def fetch(self, paths: Iterable[str]) -> None:
        """Prefetch the first chunks of arrays concurrently; they are decoded when they are used."""
        if isinstance(self._nodes.bytestore, LocalByteStore):
            return  # a file is read when it is used
        keys = {}
        for path in paths:
            layout = self._layout(path)
            at = (0,) * len(layout.shape)
            if (
                layout.chain is not None
                and layout.shards is None
                and all(layout.shape)
                and _is_small(layout.chain)
                and (path, at) not in self._kept
            ):
                keys[layout.key(path, at)] = layout.chain.most_encoded
        self._fetch_whole(keys)

    def _fetch_block(self, path: str, layout: _Layout, places: list[At]) -> None:
        """Prefetch several chunks of one array, if that is faster than reading them in turn."""
        if isinstance(self._nodes.bytestore, LocalByteStore):
            return
        missing = [at for at in places if (path, at) not in self._kept]
        if layout.shards is not None:
            self._fetch_parts(path, layout, missing)
        else:
            most = MOST_CHUNK_BYTES if layout.chain is None else layout.chain.most_encoded
            self._fetch_whole({layout.key(path, at): most for at in missing})

    def _fetch_whole(self, most: Mapping[str, int]) -> None:
        """Prefetch chunks by key, given the maximum number of bytes of each."""
        keys = [key for key in most if key not in self._fetched]
        if len(keys) < 2:
            return
        changes = self._changes
        self._note_fetched(changes, self._nodes.bytestore.get_many(keys, most))

    def _fetch_parts(self, path: str, layout: _Layout, places: list[At]) -> None:
        """Prefetch chunks from their shards: all indexes concurrently, then all chunks concurrently.

        The byte ranges are not cached, since a shard that is written again has others.
        """
        bytestore, shards = self._nodes.bytestore, layout.shards
        assert shards is not None
        assert isinstance(bytestore, ZarrByteStore)
        keys = {at: layout.key(path, at) for at in places}
        wanted = {
            at: key for at, key in keys.items() if _place_key(key, layout, at) not in self._fetched
        }
        if not wanted:
            return
        changes = self._changes
        index_of = (shards.index_start, shards.index_bytes)
        indexes = bytestore.get_parts([(key, *index_of) for key in dict.fromkeys(wanted.values())])
        bounds: dict[At, tuple[str, int, int]] = {}
        for at, key in wanted.items():
            with naming(f"{bytestore.location.uri}:/{key}"):
                found = indexes.get((key, *index_of))
                found_at = None if found is None else shards.bounds(shards.index(found), at)
            if found_at is not None:
                bounds[at] = (key, *found_at)
        parts = bytestore.get_parts(bounds.values())
        self._note_fetched(
            changes,
            {
                _place_key(part[0], layout, at): parts[part]
                for at, part in bounds.items()
                if part in parts
            },
        )

    def _note_fetched(self, changes: int, found: Mapping[str, bytes]) -> None:
        with self._lock:
            if changes == self._changes:
                self._fetched.update(found)

    # -- keeping ---------------------------------------------------------------------------------

    def _keep(self, path: str, at: At, kept: _Kept) -> None:
        self._drop((path, at))
        if kept.nbytes > SMALL_BYTES:
            large = self._large.setdefault(path, [])
            large.append(at)
            while len(large) > 1 and len(large) * kept.nbytes > LARGE_BYTES_OF_ARRAY:
                self._drop((path, large[0]))
        self._kept[path, at] = kept
        if kept.values.ndim and kept.values.shape == array_node(kept.document).shape:
            self._whole[path] = kept
        self._nbytes += kept.nbytes
        while self._nbytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: tuple[str, At]) -> None:
        dropped = self._kept.pop(place, None)
        if dropped is not None:
            self._nbytes -= dropped.nbytes
            if place[1] in self._large.get(place[0], ()):
                self._large[place[0]].remove(place[1])
            self._whole.pop(place[0], None)

    def forget(self, path: str) -> None:
        """Drop the chunks of an array that was, or is about to be, written."""
        with self._lock:
            self._changes += 1
            self._fetched.clear()
            for place in [place for place in self._kept if place[0] == path]:
                self._drop(place)

    def clear(self) -> None:
        """Drop all chunks, since the store may be another one, or may have changed."""
        with self._lock:
            self._changes += 1
            self._fetched.clear()
            for place in list(self._kept):
                self._drop(place)

    def renew_lock(self) -> None:
        """Make a new lock in a forked process, since another thread may have held the old one."""
        was_held, self._lock = self._lock.locked(), threading.Lock()
        if was_held:
            self.clear()  # the other thread was changing the cache

    def _layout(self, path: str) -> _Layout:
        document = self._nodes.documents[path]
        layout = self._layouts.get(path)
        if layout is None or layout.node.document is not document:
            layout = self._layouts[path] = _layout_of(self._nodes.array(path))
        return layout


_caches: weakref.WeakSet[ChunkCache] = weakref.WeakSet()


def _renew_locks() -> None:
    for cache in _caches:
        cache.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _layout_of(node: ArrayNode) -> _Layout:
    shape = node.shape
    chain = direct_chain(node)
    shards = shard_codec(node) if chain is None else None
    if shards is not None:
        chain = shards.chain
    if chain is not None and not (
        len(chain.shape) == len(shape) and is_known_form(node.chunk_keys) and _is_moderate(chain)
    ):
        chain = None
    return _Layout(node, shape, chain, shards)


def _read(bytestore: LocalByteStore, key: str, layout: _Layout, at: At) -> _Encoded | None:
    """Return a chunk of a local store, with the stamp of its file before it was read."""
    file = bytestore.open_file(key)
    if file is None:
        return None
    with file:
        if layout.shards is None:
            assert layout.chain is not None
            check_encoded_size(file.size, layout.chain.most_encoded, "the file")
        content = file.whole() if layout.shards is None else _part(file, layout.shards, at)
    return None if content is None else _Encoded(content, _Source(file.path, file.stamp))


def _part(file: OpenedFile, shards: ShardCodec, at: At) -> bytes | None:
    """Return a chunk from its shard; None if it was never written."""
    index = shards.index(file.part(shards.index_start, shards.index_bytes))
    bounds = shards.bounds(index, at, file.size)
    return None if bounds is None else file.part(*bounds)


def _place_key(key: str, layout: _Layout, at: At) -> str:
    """Return the key of a prefetched chunk; the chunks of a shard share its key in the store."""
    return key if layout.shards is None else f"{key}#{at}"


def _is_moderate(chain: DirectChain) -> bool:
    if chain.nbytes is None:
        return math.prod(chain.shape) <= MOST_OBJECTS
    return chain.nbytes <= MOST_BYTES


def _is_small(chain: DirectChain) -> bool:
    return chain.nbytes is None or chain.nbytes <= SMALL_BYTES


def _is_one_chunk(layout: _Layout) -> bool:
    assert layout.chain is not None
    return all(
        0 < size <= step for size, step in zip(layout.shape, layout.chain.shape, strict=True)
    )


def _dtype_in_memory(element: ElementType, chain: DirectChain) -> np.dtype[Any]:
    """Return the dtype of decoded elements; for numbers, that of the chunk, whatever its byte order was."""
    if element.numpy is not None and chain.dtype is not None:
        return chain.dtype
    return element.memory_dtype


def _nbytes(values: npt.NDArray[Any]) -> int:
    """Return the approximate number of bytes of an array in memory."""
    if not values.dtype.hasobject:
        return values.nbytes
    if values.dtype.names is not None:
        fields = [values[name] for name in values.dtype.names]
        return values.nbytes + sum(_nbytes(field) for field in fields if field.dtype.hasobject)
    return values.nbytes + sum(_OBJECT_BYTES + len(entry) for entry in values.flat)


# -- selections ------------------------------------------------------------------------------------


def _spans(index: tuple[Any, ...], shape: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """Return start and end of the selection along each dimension; None if it is empty."""
    spans = []
    for position, size in enumerate(shape):
        entry = index[position] if position < len(index) else slice(None)
        if isinstance(entry, slice):
            start, stop, _ = entry.indices(size)
        elif isinstance(entry, int):
            start = entry % size
            stop = start + 1
        else:
            start, stop = 0, size
        if start >= stop:
            return None
        spans.append((start, stop))
    return spans


def _moved(index: tuple[Any, ...], shape: tuple[int, ...], corner: At) -> tuple[Any, ...]:
    """Return the index relative to the part of an array that begins at a corner."""
    if not any(corner):
        return _absolute(index, shape)
    moved: list[Any] = []
    for entry, size, begin in zip(_absolute(index, shape), shape, corner, strict=False):
        if isinstance(entry, slice):
            start, stop, step = entry.indices(size)
            moved.append(slice(start - begin, stop - begin, step))
        elif isinstance(entry, int):
            moved.append(entry - begin)
        else:
            moved.append(entry)  # spans the whole dimension, which begins at 0
    return tuple(moved)


def _absolute(index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the index without negative numbers, which would count from the end of a part."""
    return tuple(
        slice(*entry.indices(size))
        if isinstance(entry, slice)
        else entry % size
        if isinstance(entry, int) or entry.dtype.kind == "i"
        else entry
        for entry, size in zip(index, shape, strict=False)
    )
