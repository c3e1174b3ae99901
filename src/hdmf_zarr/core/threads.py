"""Calls in threads, whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def bounded_map(
    call: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    n_threads: int,
    most_waiting: int,
    name: str,
) -> Generator[Result, None, None]:
    """Call a function with each item in threads, and yield the results in the order of the items.

    A caller that may stop early closes the iterator (`contextlib.closing`), which waits for running calls.

    Parameters
    ----------
    call : callable
    items : iterable
        Items, consumed at the rate at which results are taken.
    n_threads : int
    most_waiting : int
        Largest number of calls whose results were not taken yet.
    name : str
        Prefix of the names of the threads.

    Raises
    ------
    Exception
        The first failure of a call; no other call begins after it.
    """
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix=name)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) >= most_waiting:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class OrderedCalls:
    """Queue of calls that run in threads; results are taken in order, as in `bounded_map`.

    Parameters
    ----------
    n_threads : int
        Number of threads; 1 runs the calls in the caller's thread.
    take : callable
        Function that receives the object that belongs to a call, and its result, in the caller's thread.
    name : str
        Prefix of the names of the threads.
    """

    def __init__(self, n_threads: int, take: Callable[[Any, Any], None], name: str) -> None:
        self.n_threads = n_threads
        self._take = take
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[Any, Future[Any], int]] = deque()
        self._n_bytes = 0

    def do(self, belonging: Any, call: Callable[[], Any], *, n_bytes: int = 0) -> None:
        """Make a call at once, or queue it for a thread.

        Parameters
        ----------
        belonging : object
            Object that is passed to ``take`` with the result.
        call : callable
        n_bytes : int
            Memory that the call holds until its result is taken.
        """
        if self.n_threads == 1:
            self._take(belonging, call())
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix=self._name)
        while len(self._waiting) > self.n_threads:
            self._take_first()
        self._waiting.append((belonging, self._pool.submit(call), n_bytes))
        self._n_bytes += n_bytes

    def wait_for_room(self, n_bytes: int, room: int) -> None:
        """Take results until ``n_bytes`` more fit into ``room`` bytes."""
        while self._waiting and self._n_bytes + n_bytes > room:
            self._take_first()

    def drain(self) -> None:
        """Take all remaining results."""
        while self._waiting:
            self._take_first()

    def close(self) -> None:
        """Cancel the calls that have not begun, and wait for the others."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_first(self) -> None:
        belonging, future, n_bytes = self._waiting.popleft()
        self._take(belonging, future.result())
        self._n_bytes -= n_bytes
