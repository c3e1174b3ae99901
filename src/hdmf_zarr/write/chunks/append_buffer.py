"""An array that an iterator fills."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hdmf_zarr.chunks.missing import count_chunks
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.progress import Progress, no_progress
from hdmf_zarr.core.regions import Coverage, are_elements_of, selected_shape
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node, with_attributes, with_shape
from hdmf_zarr.write.chunks.arrays import ArrayWriter, as_elements


class Shipper(Protocol):
    """Sends whole write units to workers."""

    def ship(self, region: tuple[slice, ...], values: npt.NDArray[Any]) -> None:
        """Send a region that no other task writes."""

    def drain(self) -> None:
        """Wait until all sent regions are written."""


class GrowingArray:
    """An array that an iterator fills: it grows with each chunk; its document comes last.

    Rows are buffered until their write unit (the chunk, or the shard) is full: otherwise an
    iterator that yields one row at a time would cause each chunk to be read and written again for
    every row.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        path: str,
        document: dict[str, JSON],
        element: ElementType,
        n_threads: int,
    ) -> None:
        self.hierarchy = hierarchy
        self.path = path
        self.element = element
        self._document = document
        self.progress: Progress = no_progress
        self.shipper: Shipper | None = None
        self._n_threads = n_threads
        self._writer: ArrayWriter | None = None
        self._waiting: list[npt.NDArray[Any]] = []
        self._start = self._stop = 0
        self._coverage = Coverage(self.write_unit)

    @property
    def document(self) -> dict[str, JSON]:
        """Document with the current shape; buffered rows are written first."""
        self.flush()
        return self._document

    @property
    def name(self) -> str:
        """Store and path, for messages."""
        return f"{self.hierarchy.uri}:/{self.path}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Current number of elements along each dimension."""
        return array_node(self._document).shape

    @property
    def write_unit(self) -> tuple[int, ...]:
        """Shape of a write unit, which the store writes in one operation."""
        return array_node(self._document).stored_chunk

    @property
    def itemsize(self) -> int:
        """Bytes of an element for progress; an estimate for text."""
        return self._current_writer.itemsize

    @property
    def current_document(self) -> dict[str, JSON]:
        """Document without attributes; rows may still be buffered."""
        return with_attributes(self._document, {})

    def note_written(self, selection: Any) -> None:
        """Record that workers write a selection."""
        self._coverage.note(selection, self.shape)

    def count_chunks(self) -> int:
        """Return the number of written write units: an iterator may omit some."""
        count = self._coverage.count(array_node(self._document).grid)
        if count is not None:
            return count
        return count_chunks(self.hierarchy.bytestore, self.path, self._document)

    def resize(self, shape: tuple[int, ...]) -> None:
        """Grow to a shape; writes nothing."""
        if tuple(shape[1:]) != self.shape[1:]:
            self.flush()
        self._document = with_shape(self._document, shape)

    def __setitem__(self, selection: Any, data: Any) -> None:
        values = as_elements(data, self.element)
        expected = selected_shape(selection, self.shape)
        if expected is not None and not are_elements_of(values.shape, expected):
            raise EncodingError(
                f"{self.name}: an iterator gave elements of the shape {values.shape} for {selection}, "
                f"which is {expected}"
            )
        self._coverage.note(selection, self.shape)
        rows = self._whole_rows(selection)
        if rows is None:
            self.flush()
            self._write(selection, values)
            return
        start, stop = rows
        if start != self._stop:
            self.flush()
            self._start = start
        self._waiting.append(values.reshape((stop - start, *self.shape[1:])))
        self._stop = stop
        self._write_rows(stop // self.write_unit[0] * self.write_unit[0])
        if self._waiting and np.may_share_memory(self._waiting[-1], values):
            # An iterator may reuse the memory of its chunk for the next one.
            self._waiting[-1] = self._waiting[-1].copy()

    def flush(self) -> None:
        """Write the buffered rows, though their write unit is not full."""
        self._write_rows(self._stop)
        self._start = self._stop

    def _write_rows(self, stop: int) -> None:
        """Write the buffered rows before a row; the others stay buffered."""
        if not self._waiting or stop <= self._start:
            return
        waiting, self._waiting = self._waiting, []
        values = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
        start, self._start = self._start, stop
        if stop < self._stop:
            # A copy, so that the memory of the written rows can be freed.
            self._waiting = [values[stop - start :].copy()]
        region = (slice(start, stop), *(slice(0, size) for size in self.shape[1:]))
        if self.shipper is not None and start % self.write_unit[0] == 0:
            self.shipper.ship(region, values[: stop - start])
        else:
            self._write(region, values[: stop - start])

    def _whole_rows(self, selection: Any) -> tuple[int, int] | None:
        """Return first and end row of a selection of whole rows; None for any other."""
        first, *others = selection if isinstance(selection, tuple) else (selection,)
        full = [
            other == slice(None) or other == slice(0, n)
            for other, n in zip(others, self.shape[1:], strict=False)
        ]
        if not all(full) or self.element.kind == "compound":
            return None
        if isinstance(first, (int, np.integer)) and first >= 0:
            return int(first), int(first) + 1
        if isinstance(first, slice) and first.step in (None, 1) and (first.stop or 0) > 0:
            start = first.start or 0
            return (int(start), int(first.stop)) if 0 <= start < first.stop else None
        return None

    @property
    def _current_writer(self) -> ArrayWriter:
        if self._writer is None or self._writer.shape != self.shape:
            self._writer = ArrayWriter(
                self.hierarchy.bytestore, self.path, self._document, self.element, self._n_threads
            )
        return self._writer

    def _write(self, selection: Any, values: npt.NDArray[Any]) -> None:
        """Write a selection that may be a part of write units, after all workers have finished."""
        if self.shipper is not None:
            self.shipper.drain()
        self.progress(self._current_writer.write(selection, values))
        if self.shipper is not None:
            # Workers may be sent parts of the same write units next.
            self.hierarchy.bytestore.flush()
