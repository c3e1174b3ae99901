"""The number of threads that the libraries of a worker start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import zarr
from numcodecs import blosc
from threadpoolctl import threadpool_limits

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""Environment variables that libraries read when they are loaded; the last is that of zarrs."""

_IMPORTED = uuid.uuid4().hex
"""Random name of this process; a process forked from it has the same."""

_limit: int | None = None
_ignored: str | None = None
"""Key of the last limit that this process ignored with a warning."""

_operation: Callable[..., Any] | None = None
_context: tuple[Any, ...] = ()


def limit_threads(count: int | None) -> None:
    """Limit the threads of BLAS, OpenMP, Blosc, zarr and zarrs in this process, from now on.

    The limits are permanent: setting and resetting them for each task would leak threads and
    memory.

    Parameters
    ----------
    count : int or None
        Most threads; None changes nothing.
    """
    if count is None:
        return
    global _limit
    _limit = count
    os.environ.update(dict.fromkeys(VARIABLES, str(count)))
    threadpool_limits(limits=count)
    blosc.set_nthreads(count)
    zarr.config.set({"threading.max_workers": count})


def threads_of_process() -> int | None:
    """Return the thread limit of this process, or None."""
    return _limit


@dataclass(frozen=True, slots=True)
class ThreadLimit:
    """The limit of threads in the process that carries out a task.

    Attributes
    ----------
    count : int
    sender : str
        Name of the process that sends the tasks, in which only the user sets limits.
    key : str
        Unique key of the limit.
    """

    count: int
    sender: str = field(default_factory=lambda: _this_process())
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def take_effect(self, *, again: bool = False) -> None:
        """Limit the threads of a worker process at its first task; warn in the sending process.

        Parameters
        ----------
        again : bool
            Set the limit again, after libraries with their own threads were loaded.
        """
        global _ignored
        if self.sender == _this_process():
            is_told, _ignored = _ignored == self.key, self.key
            if is_told:
                return
            warnings.warn(
                "max_threads_per_process is ignored: the executor's workers are threads of this "
                "process, whose limits are yours",
                UserWarning,
                stacklevel=2,
            )
        elif again or self.count != _limit:
            limit_threads(self.count)


def _this_process() -> str:
    """Return a name of this process that is unique on all machines."""
    return f"{_IMPORTED}-{os.getpid()}"


def initialize(
    operation: Callable[..., Any],
    process_initialization: Callable[..., Any] | None,
    arguments: Iterable[Any],
    max_threads: int | None,
) -> None:
    """Prepare a process for many calls of `operate`.

    Parameters
    ----------
    operation : callable
        Operation that `operate` calls.
    process_initialization : callable or None
        Called once with ``arguments``; its result precedes the arguments of the operation.
    arguments : iterable
    max_threads : int or None
    """
    global _operation, _context
    limit_threads(max_threads)
    _operation = operation
    _context = ()
    if process_initialization is not None:
        made = process_initialization(*arguments)
        _context = made if isinstance(made, tuple) else () if made is None else (made,)
        # Libraries that were just loaded have their own thread pools.
        limit_threads(max_threads)


def operate(arguments: Any) -> Any:
    """Call the operation of this process.

    Parameters
    ----------
    arguments : tuple or object
        Tuple of arguments; any other object is a single argument.
    """
    if _operation is None:
        raise RuntimeError("this process was not initialized: pass initializer_wrapper to its pool")
    given = arguments if isinstance(arguments, tuple) else (arguments,)
    return _operation(*_context, *given)


def prepare_worker() -> None:
    """Prepare a worker process of this machine."""
    if _limit is None:
        # Each core already has a process; Blosc would start a thread per core in every process.
        blosc.use_threads = False
    _follow_parent()


def _follow_parent() -> None:
    """Ignore interrupts, which the parent process handles, and exit when the parent ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="hdmf-zarr-parent", daemon=True).start()
