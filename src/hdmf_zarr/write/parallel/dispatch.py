"""Regroups what this process reads of an iterator into whole write units, and hands it to workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy.typing as npt

from hdmf_zarr.core.regions import Region
from hdmf_zarr.write.parallel.feed import Feed
from hdmf_zarr.write.parallel.tasks import Elements, RegionTask, Target
from hdmf_zarr.write.parallel.workers import Workers


class Shipper:
    """Sends rows that this process has read to workers, in regions of whole write units."""

    def __init__(
        self, workers: Workers, feed: Feed, array: Any, make_target: Callable[[], Target]
    ) -> None:
        self._workers = workers
        self._feed = feed
        self._array = array
        self._make_target = make_target
        self._target: Target | None = None
        self._shape: tuple[int, ...] | None = None
        self._rows_shipped = 0

    def ship(self, region: Region, values: npt.NDArray[Any]) -> None:
        """Send rows that no other task writes."""
        if region[0].start < self._rows_shipped:
            self.drain()
        self._rows_shipped = region[0].stop
        if self._target is None or self._shape != self._array.shape:
            self._target, self._shape = self._make_target(), self._array.shape
        for part in self._parts(region):
            inside = slice(part[0].start - region[0].start, part[0].stop - region[0].start)
            # A copy: the iterator may reuse the memory for its next chunk.
            task = RegionTask(
                target=self._target,
                region=part,
                values=Elements(values[inside].copy()),
                max_threads=self._workers.max_threads,
            )
            self._workers.submit_values(task, self._feed)

    def _parts(self, region: Region) -> Iterator[Region]:
        """Split rows into parts of whole units, one for each job."""
        first, *others = region
        unit = self._array.write_unit[0]
        n_units = -(-(first.stop - first.start) // unit)
        step = -(-n_units // self._workers.options.n_jobs) * unit
        for start in range(first.start, first.stop, step):
            yield slice(start, min(start + step, first.stop)), *others

    def drain(self) -> None:
        """Wait until all sent rows are written."""
        self._workers.drain(self._feed)
