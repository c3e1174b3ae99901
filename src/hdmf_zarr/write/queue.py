"""The queue that exhausts the iterators of HDMF."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from hdmf.data_utils import AbstractDataChunkIterator

from hdmf_zarr.write.parallel.iterators import feed_here, feed_of, write_next
from hdmf_zarr.write.parallel.options import Context, WorkerOptions
from hdmf_zarr.write.parallel.threads import initialize, operate
from hdmf_zarr.write.parallel.workers import Workers
from hdmf_zarr.write.progress import Bars

__all__ = ["Context", "ZarrIODataChunkIteratorQueue"]


class ZarrIODataChunkIteratorQueue(deque[tuple[Any, AbstractDataChunkIterator]]):
    """Writes iterators of HDMF into the arrays that they belong to.

    One job writes a chunk of each iterator in turn. Several write whole write units (shards, else
    chunks) of one dataset after the other, and of several where one cannot keep them busy; no two of
    them write the same unit.

    Parameters
    ----------
    number_of_jobs : int
        Processes that write; with an ``executor``, the number of its workers.
    max_threads_per_process : int, optional
        Threads that BLAS, OpenMP, Blosc, zarr and zarrs may start in each of several processes.
    multiprocessing_context : {"fork", "spawn", "forkserver"}, optional
        How processes are started. The default works with threads in this process.
    executor : concurrent.futures.Executor, optional
        Who carries the tasks out in place of processes of this machine; it is not shut down. Such as
        ``dask.distributed.Client().get_executor()`` or ``mpi4py.futures.MPIPoolExecutor()``.

    Raises
    ------
    OptionError
        If an option makes no sense.
    """

    def __init__(
        self,
        number_of_jobs: int = 1,
        max_threads_per_process: int | None = None,
        multiprocessing_context: Context | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__()
        self.options = WorkerOptions(
            number_of_jobs=number_of_jobs,
            max_threads_per_process=max_threads_per_process,
            multiprocessing_context=multiprocessing_context,
            executor=executor,
        )
        self._workers: Workers | None = None

    @property
    def number_of_jobs(self) -> int:
        """Processes that write."""
        return self.options.number_of_jobs

    @property
    def max_threads_per_process(self) -> int | None:
        """Threads of the libraries in each of several processes."""
        return self.options.max_threads_per_process

    @property
    def multiprocessing_context(self) -> Context | None:
        """How processes are started; None leaves it to us."""
        return self.options.multiprocessing_context

    @property
    def executor(self) -> Executor | None:
        """Who carries the tasks out in place of processes of this machine."""
        return self.options.executor

    def append(self, dataset: Any, data: AbstractDataChunkIterator) -> None:  # type: ignore[override]
        """Queue an iterator.

        Parameters
        ----------
        dataset : zarr.Array
            Has ``shape``, ``resize`` and takes assignments to a selection.
        data : AbstractDataChunkIterator
        """
        super().append((dataset, data))

    def exhaust_queue(self) -> None:
        """Write everything that the queued iterators give.

        Raises
        ------
        WorkerError
            If a worker fails or is ended; the others then stop.
        """
        if not self:
            return
        if self.options.is_parallel:
            with self.workers() as workers:
                self._exhaust_with(workers)
        self._exhaust_here()

    def _exhaust_here(self) -> None:
        """Write a chunk of each iterator in turn."""
        feeds = {id(data): feed_here(dataset, data) for dataset, data in self}
        bars = Bars(list(feeds.values()))
        try:
            while self:
                dataset, data = self.popleft()
                n_bytes = write_next(dataset, data)
                if n_bytes is not None:
                    bars.advance(feeds[id(data)], n_bytes)
                    self.append(dataset, data)
        finally:
            bars.close()

    def _exhaust_with(self, workers: Workers) -> None:
        """Write what workers can; the rest stays in the queue."""
        feeds = {id(entry): feed_of(*entry, workers) for entry in self}
        begun = [feed for feed in feeds.values() if feed is not None]
        if not begun:
            return
        here = [entry for entry in self if feeds[id(entry)] is None]
        self.clear()
        self.extend(here)
        workers.run(begun)

    @contextmanager
    def workers(self) -> Iterator[Workers]:
        """Keep the same workers until the end of the outermost of these contexts."""
        if self._workers is not None:
            yield self._workers
            return
        self._workers = Workers(self.options)
        try:
            yield self._workers
        finally:
            workers, self._workers = self._workers, None
            workers.close()

    @staticmethod
    def initializer_wrapper(
        operation_to_run: Callable[..., Any],
        process_initialization: Callable[..., Any] | None,
        initialization_arguments: Iterable[Any],
        max_threads_per_process: int | None = None,
    ) -> None:
        """Prepare a worker process: the ``initializer`` of a pool, with these as its ``initargs``.

        The limits of threads are set once for the whole life of the process; set for each task, they
        would leave memory behind.

        Parameters
        ----------
        operation_to_run : callable
            What `function_wrapper` calls.
        process_initialization : callable or None
            Called once; what it returns (a tuple, or one object) comes before the arguments of the
            operation.
        initialization_arguments : iterable
            Arguments of ``process_initialization``.
        max_threads_per_process : int, optional
            Threads that BLAS, OpenMP, Blosc, zarr and zarrs may start in the process.
        """
        initialize(
            operation_to_run,
            process_initialization,
            initialization_arguments,
            max_threads_per_process,
        )

    @staticmethod
    def function_wrapper(args: Any) -> Any:
        """Call the operation of a process that `initializer_wrapper` has prepared.

        Parameters
        ----------
        args : tuple
            Arguments of the operation.
        """
        return operate(args)
