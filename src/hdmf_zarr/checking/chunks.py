"""Checks of chunks: each one exists, decodes to the size in the metadata, and passes its checksums."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import zarr
from zarr.storage import MemoryStore, StorePath

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.metadata import itemsize_of
from hdmf_zarr.checking.report import Finding
from hdmf_zarr.chunks.missing import meaning_of_missing, stored_chunks
from hdmf_zarr.codecs.checked import check_compressed, checked_codecs, decoded_size
from hdmf_zarr.codecs.registry import SERIALIZERS
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.limits import check_encoded_size
from hdmf_zarr.core.threads import bounded_map
from hdmf_zarr.errors import ChunkError, HDMFZarrError, MetadataError
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import FORMAT2_CHUNK_KEYS, chunk_key, coordinates_of
from hdmf_zarr.metadata.node import array_node, is_array, one_chunk
from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.stores.contained import most_bytes_of

LISTED_MISSING = 100
"""Most missing chunks of one array that are each reported as a finding; the rest are counted."""

DECODED_TOGETHER = 32 * 1024**2
"""A shard of at most this many decoded bytes is decoded at once; a larger one by inner chunks."""

_LEAST_TEXT_BYTES = 4
"""Least bytes of a text element in its chunk: the length prefix."""

MOST_ASKED = 1_000_000
"""Most chunks of an array that are requested one by one if the store cannot be listed."""

WAITING_PER_JOB = 2
"""Chunks queued per thread, in addition to the one that it decodes."""


@dataclass(kw_only=True)
class ArrayChunks:
    """The chunks of one array, by their keys.

    Attributes
    ----------
    path : str
    present : dict of str to tuple of int
        Key of each chunk of the array in the store -> its place in the grid.
    stale : list of str
        Keys that have the form of chunk keys but name no chunk of the array.
    """

    path: str
    present: dict[str, tuple[int, ...]] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


REMOTE_JOBS = 16
"""Least number of threads for a store that is not a local folder: they mostly wait for answers."""


@dataclass(kw_only=True)
class Decoded:
    """Number of decoded chunks and their bytes."""

    n_chunks: int = 0
    n_bytes: int = 0


def places(grid: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield every place in a grid, in order; `itertools.product` would hold each range in memory."""
    if not grid:
        yield ()
        return
    for first in range(grid[0]):
        for others in places(grid[1:]):
            yield first, *others


# -- presence of chunks ----------------------------------------------------------------------------


def check_presence(examined: Examined, chunks: Mapping[str, ArrayChunks]) -> Iterator[Finding]:
    """Check that every chunk of every array is in the store."""
    for path in examined.arrays():
        document = examined.hierarchy.documents[path]
        node = array_node(document)
        if examined.sizes is None:
            if node.n_chunks > MOST_ASKED:
                message = f"its {node.n_chunks} chunks are not checked"
                yield Finding.of(rules.NOT_LISTED, path, message)
            continue
        present = chunks[path].present
        missing = node.n_chunks - len(present)
        if missing == 0:
            continue
        stored = stored_chunks(document)
        is_absent = meaning_of_missing(document) == "absent"
        if is_absent and stored is not None and len(present) < stored:
            message = f"{len(present)} chunks are there of {stored} that were written"
            yield Finding.of(rules.MISSING_CHUNK, path, message)
            continue
        if is_absent:
            message = (
                f"{missing} of {node.n_chunks} chunks are not there and read as the fill value"
            )
            yield Finding.of(rules.ABSENT_CHUNKS, path, message)
            continue
        held = set(present.values())
        lost = (at for at in places(node.grid) if at not in held)
        for at in itertools.islice(lost, LISTED_MISSING):
            key = f"{path}/{node.key(at)}"
            message = f"the chunk at {list(at)} of the grid {list(node.grid)} is missing"
            yield Finding.of(rules.MISSING_CHUNK, path, message, key=key)
        if missing > LISTED_MISSING:
            message = f"{missing} of {node.n_chunks} chunks are missing"
            yield Finding.of(rules.MISSING_CHUNK, path, message)


def sort_chunks(
    sizes: Mapping[str, int],
    documents: Mapping[str, dict[str, JSON]],
    is_metadata: Callable[[str], bool],
) -> tuple[dict[str, ArrayChunks], list[str]]:
    """Assign each key of a store to its array; return also the keys that belong to no array."""
    chunks = {
        path: ArrayChunks(path=path) for path, document in documents.items() if is_array(document)
    }
    others = []
    for key in sizes:
        if is_metadata(key):
            continue
        path = _array_of(key, chunks)
        if path is None or not _take(chunks[path], documents[path], key):
            others.append(key)
    return chunks, others


def _array_of(key: str, chunks: Mapping[str, ArrayChunks]) -> str | None:
    path = key.rpartition("/")[0]
    while path and path not in chunks:
        path = path.rpartition("/")[0]
    return path if path in chunks else None


def _take(array: ArrayChunks, document: Mapping[str, JSON], key: str) -> bool:
    """Record a key in an array's folder; return False if it does not look like a chunk key."""
    node = array_node(document)
    if node.why_unreadable is not None:
        return True  # the chunks of an unreadable array are unknown
    name = key[len(array.path) + 1 :]
    if (at := node.place(name)) is not None:
        array.present[key] = at
    elif coordinates_of(node.chunk_keys, name, len(node.shape)) is not None or looks_like_chunk(
        name
    ):
        array.stale.append(key)
    else:
        return False
    return True


def looks_like_chunk(name: str) -> bool:
    """Whether a name in the folder of an array has the form of a chunk key of any kind."""
    parts = name.replace("/", ".").split(".")
    parts = parts[1:] if parts[0] == "c" else parts
    return all(part.isdigit() for part in parts)


def check_stale(chunks: Mapping[str, ArrayChunks]) -> Iterator[Finding]:
    """Check that the folders of arrays hold no chunks outside of the grid."""
    for path, array in chunks.items():
        for key in array.stale:
            yield Finding.of(
                rules.STALE_CHUNK, path, "the array has no chunk of this name", key=key
            )


# -- contents of chunks ----------------------------------------------------------------------------


def check_contents(
    examined: Examined,
    chunks: Mapping[str, ArrayChunks],
    *,
    jobs: int,
    advance: Callable[[int], None],
    decoded: Decoded,
) -> Iterator[Finding]:
    """Decode every chunk; each thread decodes one chunk, or one inner chunk of a shard, at a time.

    Parameters
    ----------
    examined : Examined
    chunks : mapping of str to ArrayChunks
        Chunks of the arrays to check, by path.
    jobs : int
        Number of threads.
    advance : callable
        Called with the stored bytes of each chunk that was decoded.
    decoded : Decoded
        Counter of decoded chunks and bytes.
    """
    loops = _Loops()
    if not isinstance(examined.bytestore, LocalByteStore):
        jobs = max(jobs, REMOTE_JOBS)
    steps = bounded_map(
        lambda task: _check_chunk(examined, loops, *task),
        _tasks(examined, chunks),
        n_threads=jobs,
        most_waiting=jobs * (1 + WAITING_PER_JOB) + 1,
        name="hdmf-zarr-check",
    )
    try:
        with array_document.without_specification_warnings(), closing(steps):
            for n_bytes, findings in steps:
                advance(n_bytes)
                decoded.n_bytes += n_bytes
                decoded.n_chunks += n_bytes > 0
                yield from findings
    finally:
        loops.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """What the decoding of one array's chunks needs.

    Attributes
    ----------
    path : str
    document : dict
        Metadata document of the array, as stored.
    one_chunk : dict
        Metadata document of an array that consists of one chunk of this array.
    itemsize : int
        Bytes of an element; 1 if elements vary in length.
    most : int
        Most bytes of an encoded chunk or shard.
    """

    path: str
    document: dict[str, JSON]
    one_chunk: dict[str, JSON]
    itemsize: int
    most: int


def _tasks(
    examined: Examined, chunks: Mapping[str, ArrayChunks]
) -> Iterator[tuple[_Task, str, tuple[int, ...]]]:
    for path in examined.arrays():
        if path not in chunks:
            continue
        task = _task(examined, path)
        if task is None:
            continue  # unreadable metadata: another check reports them
        if examined.sizes is not None:
            for key, at in chunks[path].present.items():
                yield task, key, at
            continue
        node = array_node(task.document)
        if node.n_chunks > MOST_ASKED:
            continue
        for at in places(node.grid):
            yield task, f"{path}/{node.key(at)}", at


def _task(examined: Examined, path: str) -> _Task | None:
    document = examined.hierarchy.documents[path]
    try:
        array = zarr_view.async_array(examined.hierarchy, path)
    except HDMFZarrError:
        return None
    return _Task(
        path=path,
        document=document,
        one_chunk=_of_one_chunk(document),
        itemsize=itemsize_of(array),
        most=most_bytes_of(array),
    )


def _of_one_chunk(document: dict[str, JSON]) -> dict[str, JSON]:
    """Return the document of an array of one whole chunk, with the key ``0`` or ``0.0``."""
    node = array_node(document)
    shape = list(node.stored_chunk) or [1]
    if node.is_native:
        return {**(node.format2 or {}), "shape": shape, "dimension_separator": "."}
    readable = array_document.readable_document(document)
    return one_chunk(readable, shape, checked_codecs(list(node.codecs)))


def _check_chunk(
    examined: Examined, loops: _Loops, task: _Task, key: str, at: tuple[int, ...]
) -> tuple[int, list[Finding]]:
    try:
        if examined.sizes is not None:
            check_encoded_size(examined.sizes.get(key, 0), task.most, key)
        encoded = examined.bytestore.get(key, task.most)
    except ChunkError as error:
        return 0, [Finding.of(rules.BROKEN_CHUNK, task.path, error, key=key)]
    except OSError as error:
        return 0, [Finding.of(rules.UNREADABLE_OBJECT, task.path, error, key=key)]
    if encoded is None:
        is_absent = meaning_of_missing(task.document) == "absent"
        kind = rules.ABSENT_CHUNKS if is_absent else rules.MISSING_CHUNK
        return 0, [Finding.of(kind, task.path, f"the chunk at {list(at)} is missing", key=key)]
    try:
        if not encoded:
            raise MetadataError("it is empty")
        _check_native(task, encoded)
        _check_size(task, encoded)
        loops.run(_decode(task, encoded))
    except Exception as error:
        message = f"the chunk at {list(at)} cannot be decoded: {error!s:.300}"
        return len(encoded), [Finding.of(rules.BROKEN_CHUNK, task.path, message, key=key)]
    return len(encoded), []


def _check_native(task: _Task, encoded: bytes) -> None:
    """Check a chunk that zarr decodes as format 2, with codecs that do not check their input."""
    node = array_node(task.document)
    if node.is_native:
        compressor = (node.format2 or {}).get("compressor") or {}
        check_compressed(str(compressor.get("id")), encoded, None)


def _check_size(task: _Task, encoded: bytes) -> None:
    """Compare the size of a chunk with that of its elements, where both are known without decoding.

    Metadata can claim gigabytes for a chunk of a few bytes, which zarr would take long to fill.
    """
    names = [codec["name"] for codec in array_node(task.document).codecs]
    while names and names[-1] == "crc32c":
        names.pop()
        encoded = encoded[:-4]
    n_bytes: int | None = len(encoded)
    if names and names[-1] not in SERIALIZERS:
        n_bytes = decoded_size(names.pop(), encoded)
    while names and names[0] == "transpose":
        names.pop(0)
    if n_bytes is None or len(names) != 1 or names[0] not in SERIALIZERS:
        return
    count = math.prod(task.one_chunk["shape"])
    if names[0] == "bytes" and n_bytes != count * task.itemsize:
        raise MetadataError(f"it holds {n_bytes} bytes, expected {count * task.itemsize}")
    if names[0] != "bytes" and n_bytes < _LEAST_TEXT_BYTES * count:
        raise MetadataError(f"it holds {n_bytes} bytes, too few for {count} elements")


async def _decode(task: _Task, encoded: bytes) -> None:
    """Decode a chunk with zarr, including the part of an edge chunk outside of the array."""
    shape = task.one_chunk["shape"]
    key = chunk_key(FORMAT2_CHUNK_KEYS, (0,) * len(shape))
    document: Any = task.one_chunk
    array: zarr.AsyncArray[Any] = zarr.AsyncArray(
        document, StorePath(MemoryStore({key: event_loop.to_buffer(encoded)}), "")
    )
    n_bytes = math.prod(shape) * max(1, task.itemsize)
    step = shape if n_bytes <= DECODED_TOGETHER else array.chunks
    starts = [range(0, size, rows) for size, rows in zip(shape, step, strict=True)]
    for start in itertools.product(*starts):
        await array.getitem(
            tuple(slice(first, first + rows) for first, rows in zip(start, step, strict=True))
        )


class _Loops:
    """An event loop for each thread: zarr decodes in coroutines, and its own loop is one thread."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[asyncio.Runner] = []

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the loop of this thread."""
        if not hasattr(self._mine, "runner"):
            self._mine.runner = asyncio.Runner()
            self._all.append(self._mine.runner)
        self._mine.runner.run(coroutine)

    def close(self) -> None:
        """Close the loops; their threads have ended.

        A new thread closes them: in a notebook the caller's thread already runs a loop, and asyncio
        allows no second one there.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="hdmf-zarr-check") as pool:
            pool.submit(self._close_all).result()

    def _close_all(self) -> None:
        for runner in self._all:
            runner.close()
