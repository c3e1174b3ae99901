"""How many workers write, and of which kind."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import sys
import traceback
import warnings
from concurrent import futures
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from hdmf_zarr.chunks import pipeline
from hdmf_zarr.errors import OptionError

Context = Literal["fork", "spawn", "forkserver"]

MOST_THREADS = 8
"""Most threads that encode in this process, unless more jobs are requested."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The workers of a write.

    Attributes
    ----------
    number_of_jobs : int
    max_threads_per_process : int or None
    multiprocessing_context : {"fork", "spawn", "forkserver"} or None
    executor : concurrent.futures.Executor or None
    """

    number_of_jobs: int = 1
    max_threads_per_process: int | None = None
    multiprocessing_context: Context | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        _check_count("number_of_jobs", self.number_of_jobs)
        if self.max_threads_per_process is not None:
            _check_count("max_threads_per_process", self.max_threads_per_process)
        context = self.multiprocessing_context
        if context is not None and context not in get_args(Context):
            raise OptionError(
                f"multiprocessing_context must be one of {get_args(Context)} or None, found "
                f"{context!r:.100}"
            )
        if context is not None and context not in multiprocessing.get_all_start_methods():
            raise OptionError(f"this system has no multiprocessing_context {context!r}")
        if self.executor is not None and not isinstance(self.executor, Executor):
            raise OptionError(
                "executor must be a concurrent.futures.Executor, found "
                f"{type(self.executor).__name__}; of a dask Client it is client.get_executor()"
            )
        if context is not None and self.executor is not None:
            warnings.warn(
                "multiprocessing_context is ignored: the executor starts its workers",
                UserWarning,
                stacklevel=2,
            )
        if self.max_threads_per_process is not None and self.is_in_process:
            warnings.warn(
                "max_threads_per_process is ignored: the executor's workers are threads of this "
                "process, whose limits are yours",
                UserWarning,
                stacklevel=2,
            )
        if self.number_of_jobs > 1 and self.executor is None and _is_main_imported_by_worker():
            raise OptionError(
                "number_of_jobs > 1 was reached while a worker imported the script: put what the "
                "script does under 'if __name__ == \"__main__\":'"
            )

    @property
    def context(self) -> Context:
        """Start method of processes on this machine."""
        return self.multiprocessing_context or default_context()

    @property
    def is_parallel(self) -> bool:
        """Whether workers write, not only this thread."""
        return self.number_of_jobs > 1 or self.executor is not None

    @property
    def n_jobs(self) -> int:
        """Number of concurrent tasks; for an executor of unknown size, the number of cores."""
        if self.executor is None or self.number_of_jobs > 1:
            return self.number_of_jobs
        # An executor of mpi4py has this attribute; others do not.
        told = getattr(self.executor, "num_workers", None)
        return told if isinstance(told, int) and told > 0 else os.cpu_count() or 1

    @property
    def n_threads(self) -> int:
        """Number of threads of this process that encode the data that it writes itself."""
        n_jobs = self.number_of_jobs if self.executor is None else 1
        if self.max_threads_per_process is not None:
            return n_jobs * self.max_threads_per_process
        return max(n_jobs, pipeline.most_threads(MOST_THREADS))

    @property
    def is_in_process(self) -> bool:
        """Whether the workers are threads of this process."""
        interpreters: Any = getattr(futures, "InterpreterPoolExecutor", ())
        return isinstance(self.executor, ThreadPoolExecutor) and not isinstance(
            self.executor, interpreters
        )


def default_context() -> Context:
    """Return the default start method of worker processes.

    The default never forks this process, which would copy the locks of its other threads. If the
    system has fork servers, one that has imported this package forks the workers quickly.
    """
    methods = multiprocessing.get_all_start_methods()
    return "forkserver" if "forkserver" in methods and sys.platform != "darwin" else "spawn"


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise OptionError(f"{name} must be a positive integer, found {value!r:.100}")


def _is_main_imported_by_worker() -> bool:
    """Whether the caller is the top level of a script that a worker process imports."""
    return any(
        frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__mp_main__"
        for frame, _ in traceback.walk_stack(inspect.currentframe())
    )
