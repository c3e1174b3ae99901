"""How many workers write, and of which kind; what makes no sense is refused."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.write.parallel import options as module
from hdmf_zarr.write.parallel.options import MOST_THREADS, WorkerOptions, default_context


class Elsewhere(Executor):
    """Workers of a cluster, say."""

    def __init__(self, num_workers: Any = None) -> None:
        if num_workers is not None:
            self.num_workers = num_workers


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(1) as executor:
        yield executor


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 1.0, "2", True, False, None, np.float64(2)])
def test_a_number_of_jobs_is_a_positive_integer(value: Any) -> None:
    with pytest.raises(OptionError, match="number_of_jobs must be a positive integer, found"):
        WorkerOptions(number_of_jobs=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_is_a_positive_integer(value: Any) -> None:
    with pytest.raises(OptionError, match="max_threads_per_process must be a positive integer"):
        WorkerOptions(max_threads_per_process=value)


@pytest.mark.parametrize("value", ["FORK", "thread", "", 3])
def test_a_context_is_one_of_three(value: Any) -> None:
    with pytest.raises(OptionError, match=f"multiprocessing_context must be one of .* {value!r}"):
        WorkerOptions(multiprocessing_context=value)


def test_a_context_that_the_system_has_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(OptionError, match="this system has no multiprocessing_context 'fork'"):
        WorkerOptions(multiprocessing_context="fork")
    assert WorkerOptions(multiprocessing_context="spawn").context == "spawn"


@pytest.mark.parametrize("value", [3, "threads", object(), ThreadPoolExecutor])
def test_an_executor_is_one(value: Any) -> None:
    with pytest.raises(OptionError, match="executor must be a concurrent.futures.Executor, found"):
        WorkerOptions(executor=value)


def test_a_script_without_a_main_is_told_what_to_do() -> None:
    source = "WorkerOptions(number_of_jobs=2)"
    imported = {"__name__": "__mp_main__", "WorkerOptions": WorkerOptions}
    with pytest.raises(OptionError, match="put what the script does under 'if __name__ =="):
        exec(source, imported)
    exec("WorkerOptions(number_of_jobs=1)", imported)
    exec(source, {**imported, "__name__": "__main__"})
    exec("def main(): WorkerOptions(number_of_jobs=2)", imported)


# -- what is ignored -----------------------------------------------------------------------------


def test_a_context_is_that_of_the_executor() -> None:
    with pytest.warns(UserWarning, match="multiprocessing_context is ignored: the executor"):
        WorkerOptions(multiprocessing_context="spawn", executor=Elsewhere())


def test_the_threads_of_this_process_are_the_user_s(threads: Executor) -> None:
    with pytest.warns(UserWarning, match="max_threads_per_process is ignored"):
        WorkerOptions(max_threads_per_process=2, executor=threads)
    WorkerOptions(max_threads_per_process=2, executor=Elsewhere())


# -- what follows ----------------------------------------------------------------------------------


def test_by_default_this_process_writes() -> None:
    options = WorkerOptions()
    assert (options.is_parallel, options.n_jobs, options.is_in_process) == (False, 1, False)
    assert options.context == default_context()


@pytest.mark.parametrize("value", [2, np.int64(2)])
def test_several_jobs_are_parallel(value: Any) -> None:
    options = WorkerOptions(number_of_jobs=value)
    assert (options.is_parallel, options.n_jobs) == (True, 2)


@pytest.mark.parametrize(
    ("jobs", "num_workers", "expected"),
    [
        (1, None, os.cpu_count()),
        (1, 7, 7),
        (1, 0, os.cpu_count()),
        (1, "many", os.cpu_count()),
        (3, 7, 3),
        (3, None, 3),
    ],
)
def test_an_executor_has_as_many_jobs_as_it_tells(
    jobs: int, num_workers: Any, expected: int
) -> None:
    options = WorkerOptions(number_of_jobs=jobs, executor=Elsewhere(num_workers))
    assert options.is_parallel
    assert options.n_jobs == expected


@pytest.mark.parametrize(
    ("jobs", "most", "executor", "told", "expected"),
    [
        (1, None, None, None, "cores"),
        (1, None, None, 3, 3),
        (5, None, None, 3, 5),
        (1, 2, None, 3, 2),
        (4, 2, None, None, 8),
        (4, 2, Elsewhere(), None, 2),
        (4, None, Elsewhere(), 3, 3),
    ],
)
def test_the_threads_that_encode_here(
    jobs: int, most: Any, executor: Any, told: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module.pipeline, "most_threads", lambda at_most: min(at_most, told or MOST_THREADS + 1)
    )
    options = WorkerOptions(number_of_jobs=jobs, max_threads_per_process=most, executor=executor)
    assert options.n_threads == (MOST_THREADS if expected == "cores" else expected)


def test_threads_are_in_this_process(threads: Executor) -> None:
    assert WorkerOptions(executor=threads).is_in_process
    assert not WorkerOptions(executor=Elsewhere()).is_in_process
    with ProcessPoolExecutor(1) as processes:
        assert not WorkerOptions(executor=processes).is_in_process


@pytest.mark.parametrize(
    ("methods", "platform", "context"),
    [
        (["fork", "spawn", "forkserver"], "linux", "forkserver"),
        (["fork", "spawn", "forkserver"], "darwin", "spawn"),
        (["spawn"], "win32", "spawn"),
    ],
)
def test_this_process_is_never_forked_by_default(
    methods: list[str], platform: str, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: methods)
    monkeypatch.setattr(module.sys, "platform", platform)
    assert default_context() == WorkerOptions().context == context
