"""Results come in the order of the calls, few wait, and a failure begins nothing more."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from hdmf_zarr.core.threads import OrderedCalls, bounded_map


def test_results_are_in_the_order_of_the_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    found = bounded_map(slow_first, range(20), n_threads=4, most_waiting=5, name="test")
    assert list(found) == [item * item for item in range(20)]


def test_items_are_taken_as_results_are() -> None:
    taken: list[int] = []

    def items() -> object:
        for item in range(100):
            taken.append(item)
            yield item

    found = bounded_map(str, items(), n_threads=2, most_waiting=3, name="test")  # type: ignore[arg-type]
    assert next(found) == "0"
    assert len(taken) == 3
    assert next(found) == "1"
    assert len(taken) == 4
    found.close()


def test_a_failure_ends_the_calls() -> None:
    begun: list[int] = []

    def call(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("the fourth")
        return item

    found = bounded_map(call, range(1000), n_threads=1, most_waiting=2, name="test")
    with pytest.raises(ValueError, match="the fourth"):
        list(found)
    assert begun[:4] == [0, 1, 2, 3]
    assert len(begun) < 10


def test_closing_waits_for_what_was_begun() -> None:
    started, done = threading.Event(), threading.Event()

    def call(_: int) -> None:
        started.set()
        time.sleep(0.05)
        done.set()

    with closing(bounded_map(call, range(9), n_threads=1, most_waiting=2, name="test")) as found:
        next(found)
        started.wait()
    assert done.is_set()
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("test") for name in names)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_calls_are_taken_in_their_order(n_threads: int) -> None:
    taken: list[tuple[int, int]] = []
    calls = OrderedCalls(n_threads, lambda at, result: taken.append((at, result)), "test")
    for item in range(12):
        calls.do(item, lambda item=item: item + 1, n_bytes=10)  # type: ignore[misc]
    calls.drain()
    calls.close()
    assert taken == [(item, item + 1) for item in range(12)]


def test_room_is_made_before_more_is_held() -> None:
    taken: list[int] = []
    calls = OrderedCalls(4, lambda at, _: taken.append(at), "test")
    for item in range(3):
        calls.do(item, lambda: None, n_bytes=10)
    calls.wait_for_room(10, 40)
    assert taken == []
    calls.wait_for_room(10, 25)
    assert taken == [0, 1]
    calls.drain()
    calls.close()
