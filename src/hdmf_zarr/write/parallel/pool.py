"""Worker processes of this machine, which start in the background."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from concurrent import futures
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

from hdmf_zarr.core.other_private import forkserver_preload
from hdmf_zarr.write.parallel.options import WorkerOptions
from hdmf_zarr.write.parallel.tasks import run_task
from hdmf_zarr.write.parallel.threads import initialize, prepare_worker

PRELOADED = ("hdmf_zarr.write.parallel.tasks", "hdmf_zarr.nwb", "pynwb")
"""Modules that a fork server imports once for all workers, if this process has imported them."""


class Pool:
    """Processes that write, as soon as they have started.

    The first process takes about a second to start, with its imports; until then, the caller
    carries out its own tasks.

    Parameters
    ----------
    options : WorkerOptions
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._starting: Future[ProcessPoolExecutor] | None = None
        self._is_told = False

    def begin(self) -> None:
        """Start the processes without waiting for them."""
        if self._starting is not None:
            return
        self._starting = Future()
        if self._options.context == "fork":
            # Not in a thread: the fork would copy this thread's locks in an arbitrary state.
            self._start(self._starting)
        else:
            threading.Thread(
                target=self._start, args=(self._starting,), name="hdmf-zarr-start", daemon=True
            ).start()

    def _start(self, starting: Future[ProcessPoolExecutor]) -> None:
        try:
            pool = _process_pool(self._options)
            try:
                # Workers that import a script without a guard end at once.
                first, *_ = [pool.submit(os.getpid) for _ in range(self._options.number_of_jobs)]
                first.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        except BaseException as error:
            starting.set_exception(error)
        else:
            starting.set_result(pool)

    def wait(self) -> None:
        """Wait until the first process has started, or the start has failed."""
        if self._starting is not None:
            futures.wait([self._starting])

    @property
    def executor(self) -> Executor | None:
        """Executor of the processes; None while they start, or, with a warning, if they cannot."""
        if self._starting is None or not self._starting.done():
            return None
        error = self._starting.exception()
        if error is None:
            return self._starting.result()
        if not self._is_told:
            self._is_told = True
            warnings.warn(
                f"number_of_jobs={self._options.number_of_jobs} is ignored: worker processes cannot "
                f"start ({type(error).__name__}: {error}), see above for what ended them. A script that "
                "uses them has what it does under 'if __name__ == \"__main__\":'. One process writes",
                UserWarning,
                stacklevel=2,
            )
        return None

    def close(self) -> None:
        """End the processes; tasks that have not begun are cancelled."""
        self.wait()
        executor = self.executor
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)
        self._starting = None


def _process_pool(options: WorkerOptions) -> ProcessPoolExecutor:
    context: Any = multiprocessing.get_context(options.context)
    is_default = options.multiprocessing_context is None and options.context == "forkserver"
    if is_default and not _is_preload_chosen():
        context.set_forkserver_preload([name for name in PRELOADED if name in sys.modules])
    return ProcessPoolExecutor(
        options.number_of_jobs,
        mp_context=context,
        initializer=initialize,
        initargs=(run_task, prepare_worker, (), options.max_threads_per_process),
    )


def _is_preload_chosen() -> bool:
    """Whether the user has chosen the imports of the fork server."""
    return forkserver_preload() != ["__main__"]
