"""Regions of whole write units: each element in one of them, and none beyond the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.core.regions import (
    TASKS_PER_JOB,
    Coverage,
    Region,
    are_elements_of,
    cells_of,
    cut,
    intersection,
    parts_of,
    plain_selections,
    regions_of,
    relative,
    selected_shape,
    shape_of,
    size_of,
    task_shape,
)


def region(*ends: tuple[int, int]) -> Region:
    return tuple(slice(start, stop) for start, stop in ends)


def times(shape: tuple[int, ...], selections: Any) -> np.ndarray[Any, Any]:
    """How often each element is selected."""
    count = np.zeros(shape, dtype=int)
    for selection in selections:
        count[selection] += 1
    return count


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], ...]:
    """A shape, a unit, a buffer."""
    rank = draw(st.integers(1, 3))
    sizes = st.tuples(*[st.integers(1, 12)] * rank)
    return draw(sizes), draw(sizes), draw(sizes)


@pytest.mark.parametrize(
    ("shape", "unit", "buffer", "n_jobs", "expected"),
    [
        ((100, 8), (10, 4), (35, 8), 1, (30, 8)),
        ((100, 8), (10, 4), (5, 8), 1, (10, 8)),
        ((100, 8), (10, 4), (100, 8), 1, (30, 8)),
        ((100, 8), (10, 4), (100, 8), 4, (10, 4)),
        ((100, 8), (10, 4), (100, 8), 99, (10, 4)),
        ((0, 8), (10, 4), (10, 8), 1, (10, 4)),
        ((7,), (100,), (1,), 1, (100,)),
    ],
)
def test_regions_are_of_units_and_there_are_enough(
    shape: Any, unit: Any, buffer: Any, n_jobs: int, expected: Any
) -> None:
    assert task_shape(shape, unit, buffer, n_jobs) == expected


@given(grids(), st.integers(1, 3))
def test_regions_have_whole_units_within_a_buffer(grid: Any, n_jobs: int) -> None:
    shape, unit, buffer = grid
    steps = task_shape(shape, unit, buffer, n_jobs)
    for step, one, room, size in zip(steps, unit, buffer, shape, strict=True):
        assert step % one == 0
        assert step <= max(room, one) or room >= size
    n_regions = math.prod(-(-size // step) for size, step in zip(shape, steps, strict=True))
    assert n_regions >= TASKS_PER_JOB * n_jobs or steps == unit


@given(grids(), st.integers(1, 2), st.data())
def test_a_cut_has_each_element_once_of_a_grid(grid: Any, n_jobs: int, data: Any) -> None:
    shape, unit, buffer = grid
    selections = list(regions_of(shape, buffer))
    order = data.draw(st.permutations(selections))
    chosen = order[: data.draw(st.integers(0, len(order)))]
    cuts = list(cut(chosen, shape, unit, buffer, n_jobs))
    given_once = times(shape, chosen)
    assert (times(shape, (piece for one in cuts for piece in one.pieces)) == given_once).all()
    assert times(shape, (one.region for one in cuts)).max(initial=0) <= 1
    for one in cuts:
        assert one.pieces
        assert one.fills is bool(given_once[one.region].all())
        for part, step in zip(one.region, unit, strict=True):
            assert part.start % step == 0
    if len(chosen) == len(selections):
        assert (times(shape, (one.region for one in cuts)) == 1).all()
        assert all(one.fills for one in cuts)


@given(grids(), st.data())
def test_a_cut_of_anything_else_keeps_the_order(grid: Any, data: Any) -> None:
    shape, unit, buffer = grid
    ends = [
        st.tuples(st.integers(0, size - 1), st.integers(1, size)).filter(lambda e: e[0] < e[1])
        for size in shape
    ]
    selections = [region(*one) for one in data.draw(st.lists(st.tuples(*ends), max_size=4))]
    overlap = times(shape, selections).max(initial=0) > 1
    units = np.zeros(shape, dtype=int)
    for one in cut(selections, shape, unit, buffer, 1):
        units[one.region] += 1
        shared = [intersection(selection, one.region) for selection in selections]
        expected = [piece for piece in shared if all(part.start < part.stop for part in piece)]
        assert list(one.pieces) == expected or not overlap
        assert sorted(map(str, one.pieces)) == sorted(map(str, expected))
    assert units.max(initial=0) <= 1
    assert units[times(shape, selections) > 0].all()


def test_a_later_selection_is_written_over_an_earlier_one() -> None:
    selections = [region((0, 3)), region((2, 5))]
    (only,) = cut(selections, (5,), (5,), (3,), 1)
    assert only.region == region((0, 5))
    assert only.pieces == (region((0, 3)), region((2, 5)))
    assert not only.fills


def test_a_selection_that_comes_twice_is_written_twice() -> None:
    (only,) = cut([region((0, 4)), region((0, 4))], (4,), (4,), (4,), 1)
    assert only.pieces == (region((0, 4)), region((0, 4)))
    assert not only.fills


def test_regions_of_which_nothing_is_given_are_left_out() -> None:
    cuts = list(cut([region((4, 8))], (12,), (2,), (4,), 1))
    assert [one.region for one in cuts] == [region((4, 6)), region((6, 8))]
    assert list(cut([], (4,), (2,), (4,), 1)) == []


def test_a_region_is_full_only_where_all_is_given() -> None:
    # Units of 4 and buffers of 3: the last rows are not given.
    cuts = list(cut([region((0, 3)), region((3, 6))], (8,), (4,), (3,), 1))
    assert [(one.region, one.fills) for one in cuts] == [
        (region((0, 4)), True),
        (region((4, 8)), False),
    ]
    assert cuts[0].pieces == (region((0, 3)), region((3, 4)))


@given(grids())
def test_regions_cover_an_array_and_parts_a_region(grid: Any) -> None:
    shape, steps, inner = grid
    regions = list(regions_of(shape, steps))
    assert (times(shape, regions) == 1).all()
    parts = [part for one in regions for part in parts_of(one, inner)]
    assert (times(shape, parts) == 1).all()
    assert sum(map(size_of, parts)) == math.prod(shape)
    for one in regions:
        assert next(parts_of(one, inner))[0].start == one[0].start


def test_regions_of_nothing_are_none_and_of_a_scalar_one() -> None:
    assert list(regions_of((0, 3), (1, 1))) == []
    assert list(regions_of((), ())) == [()]
    assert (shape_of(()), size_of(())) == ((), 1)


def test_regions_touch_cells_and_each_other() -> None:
    whole = region((3, 9), (0, 4))
    assert cells_of(whole, (4, 4)) == [range(3), range(1)]
    assert cells_of(region((4, 8)), (4,)) == [range(1, 2)]
    part = intersection(whole, region((5, 20), (1, 2)))
    assert part == region((5, 9), (1, 2))
    assert relative(part, whole) == region((2, 6), (1, 2))
    assert (shape_of(part), size_of(part)) == ((4, 1), 4)


@pytest.mark.parametrize(
    ("given_shape", "wanted", "are"),
    [
        ((50, 2), (50, 2), True),
        ((50, 2), (1, 50, 2), True),
        ((50, 1, 2), (50, 2, 1), True),
        ((), (1, 1), True),
        ((2, 50), (50, 2), False),
        ((100,), (50, 2), False),
        ((0, 3), (0,), True),
        ((0, 3), (5, 0), True),
        ((0,), (1,), False),
        ((), (0,), False),
    ],
)
def test_elements_are_the_same_but_for_dimensions_of_one(
    given_shape: Any, wanted: Any, *, are: bool
) -> None:
    assert are_elements_of(given_shape, wanted) is are


SELECTIONS: list[Any] = [
    3,
    np.int64(-1),
    slice(None),
    slice(1, 3),
    slice(4, None, -2),
    slice(9, 20),
    (slice(0, 2), 1),
    (slice(None, None, 3), slice(-2, None)),
    (),
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_a_selected_shape_is_that_of_numpy_with_numbers_kept(selection: Any) -> None:
    parts = selection if isinstance(selection, tuple) else (selection,)
    kept = tuple(
        part if isinstance(part, slice) else slice(part, int(part) + 1 or None) for part in parts
    )
    assert selected_shape(selection, (5, 4)) == np.empty((5, 4))[kept].shape


@pytest.mark.parametrize("selection", [..., None, [0, 1], "name", (0, 0, 0), (0, ...)], ids=str)
def test_another_selection_has_no_known_shape(selection: Any) -> None:
    assert selected_shape(selection, (5, 4)) is None


def test_plain_selections_have_both_ends_and_something_in_them() -> None:
    given_ones = [slice(0, 2), (slice(2, 2),), (slice(np.int64(3), 5, 1),)]
    assert plain_selections(given_ones, 1) == [region((0, 2)), region((3, 5))]
    assert plain_selections([], 2) == []


@pytest.mark.parametrize(
    "selection",
    [
        ...,
        3,
        [0, 1],
        slice(None, 3),
        slice(2, None),
        slice(0, 4, 2),
        slice(-2, 4),
        slice(3, 2),
        (slice(0, 2), slice(0, 2)),
        (),
    ],
    ids=str,
)
def test_one_selection_that_is_not_plain_makes_all_unknown(selection: Any) -> None:
    assert plain_selections([slice(0, 2), selection], 1) is None


def covered(shape: Any, unit: Any, selections: Any) -> int | None:
    coverage = Coverage(unit)
    for selection in selections:
        coverage.note(selection, shape)
    return coverage.count(tuple(-(-n // u) for n, u in zip(shape, unit, strict=True)))


@given(
    grids(),
    st.lists(
        st.slices(12) | st.integers(-1, 0) | st.tuples(st.slices(12)) | st.just(()), max_size=4
    ),
)
def test_units_are_counted_of_which_something_is_written(grid: Any, selections: Any) -> None:
    shape, unit, _ = grid
    written = np.zeros(shape, dtype=bool)
    for selection in selections:
        written[selection] = True
    expected = sum(written[one].any() for one in regions_of(shape, unit))
    assert covered(shape, unit, selections) == expected


@pytest.mark.parametrize("selection", [..., [0], np.array([True] * 4), (0, 0), None], ids=str)
def test_a_selection_that_is_not_understood_makes_the_count_unknown(selection: Any) -> None:
    assert covered((4,), (2,), [slice(0, 1)]) == 1
    assert covered((4,), (2,), [slice(0, 1), selection, slice(0, 1)]) is None


def test_an_array_may_grow_and_shrink_while_it_is_written() -> None:
    coverage = Coverage((2,))
    for row in range(50):
        coverage.note(row, (row + 1,))
    assert coverage.count((25,)) == 25
    assert coverage.count((10,)) == 10
    assert coverage.count((99,)) == 25
    assert Coverage(()).count(()) == 0
    scalar = Coverage(())
    scalar.note((), ())
    assert scalar.count(()) == 1
