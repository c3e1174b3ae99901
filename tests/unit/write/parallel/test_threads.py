"""The threads of a process are limited once, at its first task; those of the user's process are not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import zarr

from hdmf_zarr.write.parallel import threads
from hdmf_zarr.write.parallel.threads import (
    VARIABLES,
    ThreadLimit,
    initialize,
    limit_threads,
    operate,
    prepare_worker,
    threads_of_process,
)


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What libraries are told; this process is left as it is."""
    told: list[Any] = []
    for name in VARIABLES:
        monkeypatch.setenv(name, "7")
    monkeypatch.setattr(threads, "threadpool_limits", lambda limits: told.append(limits))
    monkeypatch.setattr(threads.blosc, "set_nthreads", told.append)
    monkeypatch.setattr(threads, "_limit", None)
    monkeypatch.setattr(threads, "_ignored", None)
    monkeypatch.setattr(threads, "_operation", None)
    monkeypatch.setattr(threads, "_context", ())
    with zarr.config.set({"threading.max_workers": 5}):
        yield told


def test_every_library_is_told(libraries: list[Any]) -> None:
    limit_threads(2)
    assert threads_of_process() == 2
    assert libraries == [2, 2]
    assert {os.environ[name] for name in VARIABLES} == {"2"}
    assert zarr.config.get("threading.max_workers") == 2


def test_none_leaves_everything_as_it_is(libraries: list[Any]) -> None:
    limit_threads(None)
    assert threads_of_process() is None
    assert libraries == []
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert zarr.config.get("threading.max_workers") == 5


# -- the limit of a task ---------------------------------------------------------------------------


def test_a_process_of_somebody_else_is_limited_at_its_first_task(libraries: list[Any]) -> None:
    limit = ThreadLimit(3, sender="another process")
    limit.take_effect()
    limit.take_effect()
    assert libraries == [3, 3]
    limit.take_effect(again=True)
    assert libraries == [3, 3, 3, 3]
    ThreadLimit(4, sender="another process").take_effect()
    assert threads_of_process() == 4


def test_the_process_that_hands_tasks_out_is_not_limited(libraries: list[Any]) -> None:
    limit = ThreadLimit(3)
    with pytest.warns(UserWarning, match="max_threads_per_process is ignored"):
        limit.take_effect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        limit.take_effect(again=True)
    with pytest.warns(UserWarning, match="max_threads_per_process is ignored"):
        ThreadLimit(3).take_effect()
    assert libraries == []
    assert threads_of_process() is None


def test_each_limit_is_its_own() -> None:
    one, other = ThreadLimit(3), ThreadLimit(3)
    assert one.key != other.key
    assert one.sender == other.sender
    assert one.sender.endswith(f"-{os.getpid()}")


# -- operations ------------------------------------------------------------------------------------


def test_an_operation_needs_a_process_that_was_initialized() -> None:
    with pytest.raises(RuntimeError, match="pass initializer_wrapper to its pool"):
        operate((1, 2))


@pytest.mark.parametrize(
    ("given", "called_with"),
    [((1, 2), (1, 2)), ((), ()), (3, (3,)), ([1, 2], ([1, 2],)), (None, (None,))],
)
def test_an_operation_gets_its_arguments(given: Any, called_with: Any) -> None:
    initialize(lambda *arguments: arguments, None, (), None)
    assert operate(given) == called_with


@pytest.mark.parametrize(
    ("made", "before"), [(None, ()), ((1, 2), (1, 2)), ((), ()), ([1], ([1],)), (0, (0,))]
)
def test_what_the_initialization_makes_comes_first(made: Any, before: Any) -> None:
    seen: list[Any] = []

    def process_initialization(*arguments: Any) -> Any:
        seen.append(arguments)
        return made

    initialize(lambda *arguments: arguments, process_initialization, ("a", "b"), None)
    assert seen == [("a", "b")]
    assert operate((9,)) == (*before, 9)


def test_libraries_that_the_initialization_loads_are_limited_too(libraries: list[Any]) -> None:
    initialize(print, lambda: libraries.append("loaded"), (), 2)
    assert libraries == [2, 2, "loaded", 2, 2]


def test_what_a_former_initialization_has_made_is_forgotten() -> None:
    initialize(lambda *arguments: arguments, lambda: 1, (), None)
    initialize(lambda *arguments: arguments, None, (), None)
    assert operate((9,)) == (9,)


# -- workers ---------------------------------------------------------------------------------------


def test_blosc_starts_no_threads_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.blosc, "use_threads", None)
    monkeypatch.setattr(threads, "_follow_parent", lambda: None)
    limit_threads(2)
    prepare_worker()
    assert threads.blosc.use_threads is None
    monkeypatch.setattr(threads, "_limit", None)
    prepare_worker()
    assert threads.blosc.use_threads is False


def test_the_main_process_follows_nobody() -> None:
    before = threads.threading.active_count()
    threads._follow_parent()
    assert threads.threading.active_count() == before
