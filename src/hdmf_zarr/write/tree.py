"""Carries a plan out: groups, arrays, attributes; the root's document waits for the commit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.common import STORED_CHUNKS
from hdmf_zarr.dtypes import ElementType
from hdmf_zarr.elements import encode_elements, to_memory
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.stores import Hierarchy, compat, group_document
from hdmf_zarr.stores.chunk_keys import chunk_key
from hdmf_zarr.write.layout import Layout
from hdmf_zarr.write.plan import ArrayPlan, AttributesPlan, GroupPlan, TreePlan
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.raw import THREADS, RawMove
from hdmf_zarr.write.sources import (
    ArraySource,
    ChunkCopySource,
    EmptySource,
    IteratorSource,
    RawSource,
)

BUFFER_BYTES = 32 * 1024**2
"""Elements of a lazy source that are held at once."""

ONE_CHUNK_BYTES = 32 * 1024**2
"""Of an array that is encoded in place; larger ones are encoded by zarr, in several threads."""

COPIED_TOGETHER = 16
"""Encoded chunks that are read concurrently when an array is copied chunk by chunk."""

Progress = Callable[[int], None]
"""Is told the bytes (of elements, or of encoded chunks) that were just written."""


def no_progress(_count: int) -> None:
    """Take no notice."""


@dataclass(kw_only=True)
class Execution:
    """How a plan is carried out.

    Attributes
    ----------
    hierarchy : Hierarchy
        Of the destination; gains the documents that are written.
    queue : ZarrIODataChunkIteratorQueue
        Where iterators are exhausted.
    exhaust_dci : bool
        Exhaust each iterator when its turn comes; otherwise all together at the end.
    progress : callable
    verify : bool
        Decode encoded chunks that are moved as they are, to see that they can be.
    after_array : callable or None
        Told the path of each array whose elements were read; raises if they cannot be relied on.
    """

    hierarchy: Hierarchy
    queue: ZarrIODataChunkIteratorQueue
    exhaust_dci: bool = True
    progress: Progress = no_progress
    verify: bool = False
    after_array: Callable[[str], None] | None = None

    def carry_out(self, plan: TreePlan) -> None:
        """Write every node of a plan."""
        self.hierarchy.begin()
        growing: list[tuple[ArrayPlan, GrowingArray]] = []
        for node in plan.nodes:
            if isinstance(node, GroupPlan):
                self.hierarchy.set_document(node.path, group_document(node.attributes))
            elif isinstance(node, AttributesPlan):
                self._write_attributes(node)
            elif isinstance(node.source, IteratorSource):
                growing.append((node, self._queue_iterator(node, node.source)))
            else:
                self.write_array(node)
        self.queue.exhaust_queue()
        for array_plan, array in growing:
            self.hierarchy.set_document(array_plan.path, array.document)

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
        except HDMFZarrError as error:
            where = f"{self.hierarchy.uri}:/{plan.path}"
            raise type(error)(f"{where}: {error}") from error
        if self.after_array is not None:
            self.after_array(plan.path)
        self.hierarchy.set_document(plan.path, _with_count(document, n_written))

    def _write_attributes(self, plan: AttributesPlan) -> None:
        document = self.hierarchy.documents[plan.path]
        self.hierarchy.set_document(plan.path, {**document, "attributes": plan.attributes})

    def _document(self, plan: ArrayPlan) -> dict[str, JSON]:
        document = dict(plan.document) if plan.document is not None else _made_document(plan)
        if plan.path in self.hierarchy:
            document["chunk_key_encoding"] = self.hierarchy.keys_for_rewrite(plan.path)
        return {**document, "attributes": plan.attributes}

    def _fill(self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON]) -> None:
        if not plan.shape and plan.element.is_variable:
            self._write_scalar_text(plan, source, document)
            return
        if self._write_one_chunk(plan, source, document):
            return
        array = _writable_array(self.hierarchy, plan.path, document)
        stored = np.dtype(array.dtype)
        records = stored if stored.names is not None else None
        assert plan.layout is not None
        for region in _regions(source.shape, plan.layout, _bytes_per_element(stored)):
            values = source.read(region)
            encoded = encode_elements(values, plan.element, records)
            if source.shape or not plan.shape:
                array[region] = encoded
            else:  # a scalar of format 2
                array[...] = encoded.reshape(plan.shape)
            self.progress(values.size * _bytes_per_element(stored))

    def _write_one_chunk(
        self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON]
    ) -> bool:
        """Write an array that is one chunk, encoded in place; return False where it is none.

        Through zarr each costs milliseconds, by far the most of a file of thousands of small arrays.
        """
        unit = document["chunk_grid"]["configuration"]["chunk_shape"]
        is_one = 0 not in plan.shape and all(
            size <= step for size, step in zip(plan.shape, unit, strict=True)
        )
        chain = DirectChain.for_document(document) if is_one else None
        if chain is None or (chain.nbytes or 0) > ONE_CHUNK_BYTES:
            return False
        values = source.read((slice(None),) * len(source.shape))
        records = chain.dtype if chain.dtype is not None and chain.dtype.names else None
        encoded = encode_elements(values, plan.element, records).reshape(plan.shape)
        assert plan.layout is not None
        chunk = chain.padded(encoded, plan.layout.fill_value)
        if chain.dtype is not None and chunk.dtype != chain.dtype:
            chunk = chunk.astype(chain.dtype)
        key = f"{plan.path}/{chunk_key(document['chunk_key_encoding'], (0,) * len(plan.shape))}"
        self.hierarchy.bytestore.set(key, chain.encode(chunk))
        itemsize = 64 if chain.dtype is None else chain.dtype.itemsize
        self.progress(values.size * itemsize)
        return True

    def _write_scalar_text(
        self, plan: ArrayPlan, source: ArraySource, document: dict[str, JSON]
    ) -> None:
        """Write one text or bytes, encoded in place: numpy would drop the NULs at its end."""
        encoded = encode_elements(source.read(()), plan.element)
        key = f"{plan.path}/{chunk_key(document['chunk_key_encoding'], ())}"
        self.hierarchy.bytestore.set(key, compat.encode_scalar(document, encoded))
        self.progress(len(encoded.item()))

    def _queue_iterator(self, plan: ArrayPlan, source: IteratorSource) -> GrowingArray:
        array = GrowingArray(self.hierarchy, plan.path, self._document(plan), plan.element)
        array.progress = self.progress
        self.queue.append(array, source.iterator)
        if self.exhaust_dci:
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
            n_threads=max(THREADS, self.queue.number_of_jobs),
        ).run(self.progress)

    def _copy_chunks(self, source: ChunkCopySource, path: str, document: dict[str, JSON]) -> int:
        """Copy encoded chunks; one that is missing stays missing. Return how many there are."""
        n_copied = 0
        origin = source.array.hierarchy
        unit = document["chunk_grid"]["configuration"]["chunk_shape"]
        grid = [range(-(-size // step)) for size, step in zip(source.shape, unit, strict=True)]
        old_keys = origin.documents[source.array.node_path]["chunk_key_encoding"]
        new_keys = document["chunk_key_encoding"]
        coordinates = itertools.product(*grid)
        while batch := list(itertools.islice(coordinates, COPIED_TOGETHER)):
            renamed = {
                f"{source.array.node_path}/{chunk_key(old_keys, at)}": f"{path}/{chunk_key(new_keys, at)}"
                for at in batch
            }
            for key, encoded in origin.bytestore.get_many(renamed).items():
                self.hierarchy.bytestore.set(renamed[key], encoded)
                self.progress(len(encoded))
                n_copied += 1
        return n_copied


class GrowingArray:
    """An array that an iterator fills: it grows as chunks come, its document is written at the end.

    Rows wait until their write unit (the chunk, or the shard) is full: an iterator that gives one row
    at a time would otherwise have each chunk read and written anew for every row.
    """

    def __init__(
        self, hierarchy: Hierarchy, path: str, document: dict[str, JSON], element: ElementType
    ) -> None:
        self._hierarchy = hierarchy
        self._path = path
        self._element = element
        self._document = document
        self.progress: Progress = no_progress
        self._array = _writable_array(hierarchy, path, document)
        self._unit_rows = document["chunk_grid"]["configuration"]["chunk_shape"][0]
        self._waiting: list[Any] = []
        self._waiting_start = self._waiting_stop = 0

    @property
    def document(self) -> dict[str, JSON]:
        """The document with the shape that has been reached; what waits is written first."""
        self.flush()
        return self._document

    @property
    def name(self) -> str:
        """Store and path, for messages."""
        return f"{self._hierarchy.uri}:/{self._path}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements along each dimension, so far."""
        return tuple(self._document["shape"])

    def resize(self, shape: tuple[int, ...]) -> None:
        """Grow to a shape; nothing is written yet."""
        self._document = {**self._document, "shape": [int(size) for size in shape]}

    def __setitem__(self, selection: Any, data: Any) -> None:
        values = to_memory(data, self._element, str)
        rows = self._whole_rows(selection)
        if rows is None:
            self.flush()
            self._write(selection, values)
            return
        start, stop = rows
        if start != self._waiting_stop:
            self.flush()
            self._waiting_start = start
        self._waiting.append(values.reshape((stop - start, *self.shape[1:])))
        self._waiting_stop = stop
        if stop // self._unit_rows > self._waiting_start // self._unit_rows:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait for their write unit to be full."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            selection = slice(self._waiting_start, self._waiting_stop)
            self._write(selection, waiting[0] if len(waiting) == 1 else np.concatenate(waiting))
        self._waiting_start = self._waiting_stop

    def _whole_rows(self, selection: Any) -> tuple[int, int] | None:
        """First and last row of a selection of whole rows, or None for another one."""
        first, *others = selection if isinstance(selection, tuple) else (selection,)
        full = [
            other == slice(None) or other == slice(0, n)
            for other, n in zip(others, self.shape[1:], strict=False)
        ]
        if not all(full) or self._element.kind == "compound":
            return None
        if isinstance(first, (int, np.integer)) and first >= 0:
            return int(first), int(first) + 1
        if isinstance(first, slice) and first.step in (None, 1) and (first.stop or 0) > 0:
            start = first.start or 0
            return (int(start), int(first.stop)) if 0 <= start < first.stop else None
        return None

    def _write(self, selection: Any, values: Any) -> None:
        if self._array.shape != self.shape:
            self._array = _writable_array(self._hierarchy, self._path, self._document)
        stored = np.dtype(self._array.dtype)
        records = stored if stored.names is not None else None
        self._array[selection] = encode_elements(values, self._element, records)
        self.progress(values.size * _bytes_per_element(stored))


def _with_count(document: dict[str, JSON], n_written: int | None) -> dict[str, JSON]:
    """Return the document of an array, which tells of how many chunks there are if some are not."""
    unit = document["chunk_grid"]["configuration"]["chunk_shape"]
    sizes = zip(document["shape"], unit, strict=True)
    if n_written is None or n_written >= math.prod(-(-size // step) for size, step in sizes):
        return document
    return {**document, "attributes": {**document["attributes"], STORED_CHUNKS: n_written}}


def _made_document(plan: ArrayPlan) -> dict[str, JSON]:
    assert plan.layout is not None
    return compat.array_document(
        shape=plan.shape,
        data_type=plan.data_type,
        chunk_grid_shape=plan.layout.write_unit,
        fill_value=plan.layout.fill_value,
        codecs=tuple(plan.layout.codecs),
        dimension_names=plan.dimension_names,
        chunk_key_encoding=plan.chunk_keys,
    )


def _writable_array(hierarchy: Hierarchy, path: str, document: dict[str, JSON]) -> zarr.Array[Any]:
    """Return zarr's array of a document that is not in the store yet."""
    return zarr.Array(Hierarchy(hierarchy.bytestore, {"": {}, path: document}).async_array(path))


def _bytes_per_element(stored: np.dtype[Any]) -> int:
    return stored.itemsize if stored.kind not in "OT" else 64


def _regions(shape: tuple[int, ...], layout: Layout, itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Regions of whole write units that cover a shape, each of about `BUFFER_BYTES` at most."""
    if not shape:
        yield ()
        return
    steps = list(layout.write_unit)
    for axis in range(len(shape) - 1, -1, -1):
        room = BUFFER_BYTES // max(1, math.prod(steps) * itemsize)
        units = -(-max(1, shape[axis]) // steps[axis])
        steps[axis] *= max(1, min(room, units))
    starts = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, size))
            for start, step, size in zip(corner, steps, shape, strict=True)
        )
