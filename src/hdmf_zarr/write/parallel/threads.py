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
"""What libraries that are loaded later look at; the last is that of zarrs."""

_IMPORTED = uuid.uuid4().hex
"""Which a process that was forked from this one has, too."""

_limit: int | None = None
_set_aside: str | None = None
"""The last limit that was not this process's to take, which was told once."""

_operation: Callable[..., Any] | None = None
_context: tuple[Any, ...] = ()


def limit_threads(count: int | None) -> None:
    """Limit the threads of BLAS, OpenMP, Blosc, zarr and zarrs in this process, from now on.

    The limits are set for good: entering and leaving them for each task would leave threads, and the
    memory of each, behind.

    Parameters
    ----------
    count : int or None
        None leaves everything as it is.
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
    """Return the limit of this process, if it has one."""
    return _limit


@dataclass(frozen=True, slots=True)
class ThreadLimit:
    """How many threads whoever carries a task out may start.

    Attributes
    ----------
    count : int
    sender : str
        The process that hands tasks out, whose limits are its user's.
    key : str
        Differs from that of every other one.
    """

    count: int
    sender: str = field(default_factory=lambda: _this_process())
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def take_effect(self, *, again: bool = False) -> None:
        """Limit the threads of a process that was started by somebody else, at its first task.

        Parameters
        ----------
        again : bool
            Also at a later one, when libraries were loaded that have threads of their own.
        """
        global _set_aside
        if self.sender == _this_process():
            is_told, _set_aside = _set_aside == self.key, self.key
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
    """Return a name of this process that no other one has, of whatever machine."""
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
        What `operate` calls.
    process_initialization : callable or None
        Called once with ``arguments``; what it returns comes before the arguments of the operation.
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
        # Libraries that were loaded just now have pools of their own.
        limit_threads(max_threads)


def operate(arguments: Any) -> Any:
    """Call the operation of this process.

    Parameters
    ----------
    arguments : tuple or object
        A tuple holds the arguments; anything else is the only one.
    """
    if _operation is None:
        raise RuntimeError("this process was not initialized: pass initializer_wrapper to its pool")
    given = arguments if isinstance(arguments, tuple) else (arguments,)
    return _operation(*_context, *given)


def prepare_worker() -> None:
    """Prepare a process of this machine that writes."""
    if _limit is None:
        # There is a process a core already; Blosc would start threads for each core in every one.
        blosc.use_threads = False
    _follow_parent()


def _follow_parent() -> None:
    """Leave interrupts to the parent process, and end when it does, however it ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="hdmf-zarr-parent", daemon=True).start()
