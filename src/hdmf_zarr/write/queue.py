"""The queue in which the iterators of HDMF are exhausted."""

from __future__ import annotations

import logging
import warnings
from collections import deque
from typing import Any, Literal

from hdmf.data_utils import AbstractDataChunkIterator

logger = logging.getLogger(__name__)

Context = Literal["fork", "spawn", "forkserver"]


class ZarrIODataChunkIteratorQueue(deque[tuple[Any, AbstractDataChunkIterator]]):
    """Writes iterators of HDMF into the arrays that they belong to, in turns.

    Parameters
    ----------
    number_of_jobs : int
        Processes that write. This version writes with one; more are set aside with a warning.
    max_threads_per_process : int, optional
        Threads of each of several processes.
    multiprocessing_context : {"fork", "spawn", "forkserver"}, optional
        How several processes are started.
    """

    def __init__(
        self,
        number_of_jobs: int = 1,
        max_threads_per_process: int | None = None,
        multiprocessing_context: Context | None = None,
    ) -> None:
        super().__init__()
        self.number_of_jobs = number_of_jobs
        self.max_threads_per_process = max_threads_per_process
        self.multiprocessing_context = multiprocessing_context

    def append(self, dataset: Any, data: AbstractDataChunkIterator) -> None:  # type: ignore[override]
        """Queue an iterator.

        Parameters
        ----------
        dataset : zarr.Array
            Has ``shape``, ``resize`` and takes assignments to a selection.
        data : AbstractDataChunkIterator
        """
        if self.number_of_jobs != 1:
            warnings.warn(
                f"number_of_jobs={self.number_of_jobs} is set aside: iterators are written by one "
                "process",
                UserWarning,
                stacklevel=3,
            )
        super().append((dataset, data))

    def exhaust_queue(self) -> None:
        """Write one chunk of each queued iterator in turn until all are exhausted."""
        while self:
            dataset, data = self.popleft()
            if self._write_chunk(dataset, data):
                self.append(dataset, data)

    @staticmethod
    def _write_chunk(dataset: Any, data: AbstractDataChunkIterator) -> bool:
        try:
            chunk = next(data)
        except StopIteration:
            return False
        bounds = chunk.get_min_bounds()
        bounds = (bounds,) if isinstance(bounds, int) else tuple(bounds)
        if any(bound > size for bound, size in zip(bounds, dataset.shape, strict=False)):
            grown = [max(pair) for pair in zip(bounds, dataset.shape, strict=False)]
            dataset.resize((*grown, *dataset.shape[len(grown) :]))
        dataset[chunk.selection] = chunk.data
        logger.debug("wrote %s of %s", chunk.selection, getattr(dataset, "name", dataset))
        return True
