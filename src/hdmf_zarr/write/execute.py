"""Carries out a plan: groups, arrays, attributes; the document of the root waits for the commit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.chunks import single
from hdmf_zarr.chunks.missing import stored_chunks, tell_missing, with_count
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.elements import TEXT_BYTES, encode_elements
from hdmf_zarr.core.progress import Progress, no_progress
from hdmf_zarr.core.regions import parts_of, regions_of
from hdmf_zarr.core.system import n_cores
from hdmf_zarr.errors import ChunkError, HDMFZarrError
from hdmf_zarr.hdf5 import HDF5Source
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import chunk_key
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import array_node, with_attributes, with_chunk_keys
from hdmf_zarr.write.chunks.append_buffer import GrowingArray
from hdmf_zarr.write.chunks.arrays import ArrayWriter
from hdmf_zarr.write.chunks.raw_copy import THREADS, RawMove
from hdmf_zarr.write.chunks.shards import inner_document
from hdmf_zarr.write.chunks.sources import (
    ArraySource,
    ChunkCopySource,
    EmptySource,
    IteratorSource,
    LazySource,
    RawSource,
    ZarrSource,
    check_unchanged,
)
from hdmf_zarr.write.chunks.zarr_chunks import ZarrChunks
from hdmf_zarr.write.parallel.arrays import Steps, array_feed, regions_source, target_maker
from hdmf_zarr.write.parallel.tasks import Target
from hdmf_zarr.write.parallel.workers import Workers
from hdmf_zarr.write.planning.layout import has_checksum
from hdmf_zarr.write.planning.plan import ArrayPlan, AttributesPlan, GroupPlan, TreePlan
from hdmf_zarr.write.prefetch import ReadAhead
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue

BUFFER_BYTES = 32 * 1024**2
"""Bytes of elements of a lazy source that are read at once."""

ONE_CHUNK_BYTES = 32 * 1024**2
"""Most bytes of an array that is encoded directly as one chunk; threads encode larger ones."""

PARALLEL_BYTES = 8 * 1024**2
"""Least bytes of an array that several jobs write: processes take time to start."""

MOST_UNDOUBTED = 2**30
"""Elements of a chunk above which the array's limits are checked, even if nothing is decoded."""

COPIED_TOGETHER = 16
"""Encoded chunks per batch when an array is copied chunk by chunk."""

"""Called with the bytes (of elements, or of encoded chunks) just written."""


@dataclass(kw_only=True)
class Execution:
    """Carries out a plan.

    Attributes
    ----------
    hierarchy : Hierarchy
        Hierarchy of the destination, to which the written documents are added.
    queue : ZarrIODataChunkIteratorQueue
        Queue that exhausts iterators.
    exhaust_dci : bool
        Exhaust each iterator when its turn comes; otherwise all of them at the end.
    progress : callable
    verify : bool
        Decode encoded chunks that are copied unchanged, as a check.
    after_array : callable or None
        Called with the path of each array whose elements were read; raises if they are unreliable.
    """

    hierarchy: Hierarchy
    queue: ZarrIODataChunkIteratorQueue
    exhaust_dci: bool = True
    progress: Progress = no_progress
    verify: bool = False
    after_array: Callable[[str], None] | None = None
    _ahead: ReadAhead = field(default_factory=lambda: ReadAhead(()), init=False)

    def carry_out(self, plan: TreePlan) -> None:
        """Write every node of a plan."""
        for node in plan.nodes:
            if node.path not in self.hierarchy:
                self.hierarchy.removals.refuse_new(node.path)
        self.hierarchy.begin()
        with self.queue.workers() as workers:
            if any(self._is_for_workers(node, workers) for node in plan.nodes):
                # They start while small arrays are written.
                workers.begin()
            self._carry_out(plan)

    def _is_for_workers(self, node: Any, workers: Workers) -> bool:
        if not isinstance(node, ArrayPlan) or not self.queue.options.is_parallel:
            return False
        if workers.places.of(self.hierarchy.bytestore) is None:
            return False
        if isinstance(node.source, IteratorSource):
            return True
        return (
            isinstance(node.source, (HDF5Source, LazySource, ZarrSource))
            and self._is_parallel(node.source)
            and regions_source(node.source, workers) is not None
        )

    def _carry_out(self, plan: TreePlan) -> None:
        growing: list[tuple[ArrayPlan, GrowingArray]] = []
        self._ahead = ReadAhead(plan.nodes)
        for node in plan.nodes:
            if isinstance(node, GroupPlan):
                # The root of a new store may already have attributes that were set one by one.
                there = {} if node.path else self.hierarchy.attributes("")
                self.hierarchy.set_document(node.path, group_document({**there, **node.attributes}))
            elif isinstance(node, AttributesPlan):
                self._write_attributes(node)
            elif isinstance(node.source, IteratorSource):
                growing.append((node, self._queue_iterator(node, node.source)))
            else:
                self.write_array(node)
        self.queue.exhaust_queue()
        for array_plan, array in growing:
            self._set_counted(array_plan.path, array.document, array.count_chunks())

    def write_array(self, plan: ArrayPlan) -> None:
        """Write an array: its chunks first, then the document that names them."""
        document = self._document(plan)
        source = plan.source
        n_written = None
        try:
            if isinstance(source, ChunkCopySource):
                n_written = self._copy_chunks(source, plan.path, document)
            elif isinstance(source, RawSource):
                n_written = self._move_chunks(source, plan, document)
            elif isinstance(source, EmptySource):
                n_written = 0
            elif not isinstance(source, (EmptySource, IteratorSource)):
                self._fill(plan, source, document)
        except (HDMFZarrError, OSError) as error:
            check_unchanged(source)  # a changed source may have caused the error
            where = f"{self.hierarchy.uri}:/{plan.path}"
            if where in str(error) or not isinstance(error, HDMFZarrError):
                raise
            raise type(error)(f"{where}: {error}") from error
        check_unchanged(source)
        if self.after_array is not None:
            self.after_array(plan.path)
        self._set_counted(plan.path, document, n_written)

    def _set_counted(self, path: str, document: dict[str, JSON], n_written: int | None) -> None:
        self.hierarchy.set_document(path, with_count(document, n_written))

    def _write_attributes(self, plan: AttributesPlan) -> None:
        document = self.hierarchy.documents[plan.path]
        self.hierarchy.set_document(plan.path, with_attributes(document, plan.attributes))

    def _document(self, plan: ArrayPlan) -> dict[str, JSON]:
        document = dict(plan.document) if plan.document is not None else _made_document(plan)
        if plan.path in self.hierarchy:
            keys = self.hierarchy.keys_for_rewrite(plan.path, len(plan.shape))
        else:
            given = dict(array_node(document).chunk_keys)
            keys = self.hierarchy.unused_keys(plan.path, given, len(plan.shape))
        return with_attributes(with_chunk_keys(document, keys), plan.attributes)

    def _fill(self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON]) -> None:
        if not plan.shape and plan.element.is_variable:
            self._write_scalar_text(plan, source, document)
            return
        if self._write_one_chunk(plan, source, document):
            return
        writer = ArrayWriter(
            self.hierarchy.bytestore,
            plan.path,
            document,
            plan.element,
            self.queue.options.n_threads,
        )
        if not source.shape:  # a scalar of format 2 may have the shape (1,)
            self.progress(writer.write(..., source.read(()).reshape(plan.shape)))
            return
        # A stored record has the width of the longest text in each column; in memory it has objects.
        itemsize = max(writer.itemsize, plan.element.memory_bytes)
        steps = _steps(document, source.shape, itemsize)
        if self._is_parallel(source) and self._fill_with_workers(plan, source, document, steps):
            return
        for region in regions_of(source.shape, steps.buffer):
            pieces = ((part, source.read(part)) for part in parts_of(region, steps.piece))
            self.progress(writer.fill(region, pieces))

    def _is_parallel(self, source: Any) -> bool:
        """Whether several jobs write an array."""
        itemsize = source.element.memory_dtype.itemsize
        return (
            self.queue.options.is_parallel and math.prod(source.shape) * itemsize >= PARALLEL_BYTES
        )

    def _fill_with_workers(
        self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON], steps: Steps
    ) -> bool:
        with self.queue.workers() as workers:
            make_target = self._target(plan, document, workers)
            feed = array_feed(plan.path, source, workers, make_target, steps)
            if feed is not None:
                feed.progress = self.progress
                workers.run([feed])
            return feed is not None

    def _target(
        self, plan: ArrayPlan, document: dict[str, JSON], workers: Workers
    ) -> Callable[[], Target] | None:
        return target_maker(
            self.hierarchy.bytestore,
            plan.path,
            lambda: {**document, "attributes": {}},
            plan.element,
            workers,
        )

    def _write_one_chunk(
        self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON]
    ) -> bool:
        """Encode and write an array that is one chunk; return False if it is not.

        Zarr would take milliseconds for each, most of the time of a file with thousands of small
        arrays.
        """
        node = array_node(document)
        is_one = 0 not in plan.shape and all(
            size <= step for size, step in zip(plan.shape, node.stored_chunk, strict=True)
        )
        chain = direct_chain(node) if is_one else None
        if chain is None or (chain.nbytes or 0) > ONE_CHUNK_BYTES:
            return False
        values = source.read((slice(None),) * len(source.shape))
        records = chain.dtype if chain.dtype is not None and chain.dtype.names else None
        encoded = encode_elements(values, plan.element, records).reshape(plan.shape)
        assert plan.layout is not None
        chunk = chain.padded(encoded, plan.layout.fill_value)
        if chain.dtype is not None and chunk.dtype != chain.dtype:
            chunk = chunk.astype(chain.dtype)
        key = f"{plan.path}/{node.key((0,) * len(plan.shape))}"
        self.hierarchy.bytestore.set(key, chain.encode(chunk))
        itemsize = TEXT_BYTES if chain.dtype is None else chain.dtype.itemsize
        self.progress(values.size * itemsize)
        return True

    def _write_scalar_text(
        self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON]
    ) -> None:
        """Encode and write one text or bytes value here: numpy would drop the NULs at its end."""
        encoded = encode_elements(source.read(()), plan.element)
        key = f"{plan.path}/{array_node(document).key(())}"
        self.hierarchy.bytestore.set(key, single.encode_scalar(document, encoded))
        self.progress(len(encoded.item()))

    def _queue_iterator(self, plan: ArrayPlan, source: IteratorSource) -> GrowingArray:
        array = GrowingArray(
            self.hierarchy,
            plan.path,
            self._document(plan),
            plan.element,
            self.queue.options.n_threads,
        )
        array.progress = self.progress
        self.queue.append(array, source.iterator)
        # Several jobs write several datasets at once, so they are collected first.
        if self.exhaust_dci and not self.queue.options.is_parallel:
            self.queue.exhaust_queue()
        return array

    def _move_chunks(self, source: RawSource, plan: ArrayPlan, document: dict[str, JSON]) -> int:
        assert plan.layout is not None
        return RawMove(
            chunks=source.chunks,
            bytestore=self.hierarchy.bytestore,
            path=plan.path,
            document=document,
            shards=plan.layout.shards,
            verify=self.verify,
            checksum=has_checksum(plan.layout.chain.compressors) and not source.has_checksum,
            n_threads=self._threads_that_move(),
        ).run(self.progress)

    def _threads_that_move(self) -> int:
        # The jobs of an executor run on other machines.
        jobs = 1 if self.queue.executor else self.queue.number_of_jobs
        # Decoding takes processor time, and releases the interpreter lock.
        return max(THREADS, jobs, n_cores() if self.verify else 1)

    def _copy_chunks(self, source: ChunkCopySource, path: str, document: dict[str, JSON]) -> int:
        """Copy encoded chunks; missing chunks stay missing. Return the number of copied chunks."""
        n_copied = 0
        origin = source.array.hierarchy
        new, old = array_node(document), origin.documents[source.array.node_path]
        if math.prod(new.stored_chunk) > MOST_UNDOUBTED:
            zarr_view.async_array(
                origin, source.array.node_path
            )  # raises if the array exceeds the limits
        old_keys = array_node(old).chunk_keys
        coordinates = itertools.product(*map(range, new.grid))
        while batch := list(itertools.islice(coordinates, COPIED_TOGETHER)):
            renamed = {
                f"{source.array.node_path}/{chunk_key(old_keys, at)}": f"{path}/{new.key(at)}"
                for at in batch
            }
            found = self._ahead.get_many(origin, source.array.node_path, renamed)
            for key, new_key in renamed.items():
                if key not in found:
                    tell_missing(old, f"{origin.uri}:/{key}")
                    continue
                self.hierarchy.bytestore.set(new_key, found[key])
                self.progress(len(found[key]))
                n_copied += 1
        _check_count(n_copied, old, f"{origin.uri}:/{source.array.node_path}")
        if self.verify and source.shape:
            ZarrChunks(source.array).decode_all()
        return n_copied


def _check_count(n_copied: int, document: dict[str, JSON], where: str) -> None:
    """Raise if an array has fewer chunks than its metadata record."""
    stored = stored_chunks(document)
    if stored is not None and n_copied < stored:
        raise ChunkError(
            f"{where}: {n_copied} chunks are there of {stored} that were written; restore the others "
            "from a copy, or write the store again from its source"
        )


def _made_document(plan: ArrayPlan) -> dict[str, JSON]:
    assert plan.layout is not None
    return array_document.array_document(
        shape=plan.shape,
        data_type=plan.data_type,
        chunk_grid_shape=plan.layout.write_unit,
        fill_value=plan.layout.fill_value,
        codecs=tuple(plan.layout.codecs),
        dimension_names=plan.dimension_names,
        chunk_key_encoding=plan.chunk_keys,
    )


def _steps(document: dict[str, JSON], shape: tuple[int, ...], itemsize: int) -> Steps:
    unit = array_node(document).stored_chunk
    chunk = array_node(inner_document(document) or document).stored_chunk
    buffer = _region_shape(shape, unit, itemsize)
    piece = _region_shape(buffer, chunk, itemsize)
    return Steps(shape=shape, unit=unit, buffer=buffer, piece=piece)


def _region_shape(shape: tuple[int, ...], unit: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the shape of a region: one unit, or as many as fit in `BUFFER_BYTES`."""
    steps = list(unit)
    for axis in range(len(shape) - 1, -1, -1):
        room = BUFFER_BYTES // max(1, math.prod(steps) * itemsize)
        units = -(-max(1, shape[axis]) // steps[axis])
        steps[axis] *= max(1, min(room, units))
    return tuple(steps)
