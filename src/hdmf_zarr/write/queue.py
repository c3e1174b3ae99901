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
    """Writes iterators of HDMF into their arrays.

    One job writes a chunk of each iterator in turn. Several jobs write whole write units (shards,
    or chunks if there are no shards) of one dataset after the other, and of several datasets if one
    cannot keep the jobs busy; no two jobs write the same unit.

    Parameters
    ----------
    number_of_jobs : int
        Number of processes that write; with an ``executor``, the number of its workers.
    max_threads_per_process : int, optional
        Most threads that BLAS, OpenMP, Blosc, zarr and zarrs may start in each of several
        processes.
    multiprocessing_context : {"fork", "spawn", "forkserver"}, optional
        Start method of the processes. The default also works if this process has other threads.
    executor : concurrent.futures.Executor, optional
        Executor that runs the tasks instead of processes of this machine; it is not shut down.
        Examples are ``dask.distributed.Client().get_executor()`` and
        ``mpi4py.futures.MPIPoolExecutor()``.

    Raises
    ------
    OptionError
        If an option is invalid.
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
        """Number of processes that write."""
        return self.options.number_of_jobs

    @property
    def max_threads_per_process(self) -> int | None:
        """Most threads of the libraries in each of several processes."""
        return self.options.max_threads_per_process

    @property
    def multiprocessing_context(self) -> Context | None:
        """Start method of the processes; None means the default."""
        return self.options.multiprocessing_context

    @property
    def executor(self) -> Executor | None:
        """Executor that runs the tasks instead of processes of this machine."""
        return self.options.executor

    def append(self, dataset: Any, data: AbstractDataChunkIterator) -> None:  # type: ignore[override]
        """Queue an iterator.

        Parameters
        ----------
        dataset : zarr.Array
            Array with ``shape`` and ``resize`` that supports assignment to a selection.
        data : AbstractDataChunkIterator
        """
        super().append((dataset, data))

    def exhaust_queue(self) -> None:
        """Write all data of the queued iterators.

        Raises
        ------
        WorkerError
            If a worker fails or is killed; the others then stop.
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
        """Write the iterators that workers can read; the others stay in the queue."""
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
        """Yield workers, which are the same until the end of the outermost of nested contexts."""
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
        """Prepare a worker process: ``initializer`` of a pool, with the arguments as ``initargs``.

        The thread limits are set once per process; setting them for each task would leak memory.

        Parameters
        ----------
        operation_to_run : callable
            Operation that `function_wrapper` calls.
        process_initialization : callable or None
            Called once; its result (a tuple, or one object) precedes the arguments of the
            operation.
        initialization_arguments : iterable
            Arguments of ``process_initialization``.
        max_threads_per_process : int, optional
            Most threads that BLAS, OpenMP, Blosc, zarr and zarrs may start in the process.
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
