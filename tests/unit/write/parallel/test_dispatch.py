"""Rows that the parent reads are handed to workers in whole units, in as many parts as there are jobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.write.parallel.dispatch import Shipper
from hdmf_zarr.write.parallel.feed import Feed
from hdmf_zarr.write.parallel.options import WorkerOptions


class Workers:
    """Notes what they are given."""

    def __init__(self, n_jobs: int = 2) -> None:
        self.options = WorkerOptions(number_of_jobs=n_jobs)
        self.max_threads = "a limit"
        self.given: list[Any] = []
        self.n_drained = 0

    def submit_values(self, task: Any, feed: Feed) -> None:
        self.given.append((task, feed))

    def drain(self, _feed: Feed) -> None:
        self.n_drained += 1

    @property
    def parts(self) -> list[tuple[int, int]]:
        return [(task.region[0].start, task.region[0].stop) for task, _ in self.given]


def made(n_jobs: int = 2, unit: int = 4) -> tuple[Shipper, Workers, Any, list[Any]]:
    workers, targets = Workers(n_jobs), []
    array = SimpleNamespace(write_unit=(unit, 3), shape=(100, 3))

    def make_target() -> Any:
        targets.append(array.shape)
        return f"target {len(targets)}"

    given_: Any = workers
    return Shipper(given_, Feed(name="x"), array, make_target), workers, array, targets


def region(start: int, stop: int) -> Any:
    return slice(start, stop), slice(0, 3)


def rows(start: int, stop: int) -> Any:
    return np.arange(start * 3, stop * 3).reshape(-1, 3)


@pytest.mark.parametrize(
    ("n_jobs", "start", "stop", "parts"),
    [
        (1, 0, 16, [(0, 16)]),
        (2, 0, 16, [(0, 8), (8, 16)]),
        (2, 0, 4, [(0, 4)]),
        (2, 8, 20, [(8, 16), (16, 20)]),
        (3, 0, 18, [(0, 8), (8, 16), (16, 18)]),
        (9, 0, 16, [(0, 4), (4, 8), (8, 12), (12, 16)]),
    ],
)
def test_rows_are_cut_at_units(n_jobs: int, start: int, stop: int, parts: Any) -> None:
    shipper, workers, _, _ = made(n_jobs)
    shipper.ship(region(start, stop), rows(start, stop))
    assert workers.parts == parts
    for task, _ in workers.given:
        assert task.region[1] == slice(0, 3)
        first, last = task.region[0].start, task.region[0].stop
        np.testing.assert_array_equal(task.values.elements, rows(first, last))
        assert (task.target, task.source, task.max_threads) == ("target 1", None, "a limit")


def test_the_memory_of_the_rows_may_be_used_again() -> None:
    shipper, workers, _, _ = made()
    values = rows(0, 8)
    shipper.ship(region(0, 8), values)
    values[...] = -1
    assert workers.given[0][0].values.elements.min() == 0


def test_rows_before_those_that_were_shipped_wait_for_them() -> None:
    shipper, workers, _, _ = made()
    shipper.ship(region(0, 8), rows(0, 8))
    shipper.ship(region(8, 16), rows(8, 16))
    assert workers.n_drained == 0
    shipper.ship(region(4, 8), rows(4, 8))
    assert workers.n_drained == 1
    shipper.drain()
    assert workers.n_drained == 2


def test_a_target_is_made_for_each_shape() -> None:
    shipper, workers, array, targets = made()
    shipper.ship(region(0, 4), rows(0, 4))
    shipper.ship(region(4, 8), rows(4, 8))
    array.shape = (200, 3)
    shipper.ship(region(8, 12), rows(8, 12))
    assert targets == [(100, 3), (200, 3)]
    assert [task.target for task, _ in workers.given] == ["target 1", "target 1", "target 2"]


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 5), st.integers(1, 60))
def test_every_row_is_in_one_part_and_no_unit_in_two(
    n_jobs: int, unit: int, first_unit: int, n_rows: int
) -> None:
    shipper, workers, _, _ = made(n_jobs, unit)
    start = first_unit * unit
    shipper.ship(region(start, start + n_rows), rows(start, start + n_rows))
    parts = workers.parts
    assert [row for first, last in parts for row in range(first, last)] == list(
        range(start, start + n_rows)
    )
    assert all(first % unit == 0 for first, _ in parts)
    assert len(parts) <= n_jobs
