"""Every element is right, whatever buffers, chunks and shards are, and however many write."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.data_utils import DataChunkIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from hdmf_zarr.core.regions import cut, intersection, size_of, task_shape
from tests.iterators import ArrayIterator, SomeSelections, Unordered, read, write

DTYPES = ["i1", "<i2", ">i4", "<i8", "<u2", "<f4", ">f8", "bool"]


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[str, Executor]]:
    """Workers that stay for all examples."""
    with (
        ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes,
        ThreadPoolExecutor(4) as threads,
    ):
        yield {"processes": processes, "threads": threads}


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes of an array, of its chunks and shards, and of the buffers in which it is given."""
    shape = draw(st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple))
    chunks = tuple(draw(st.integers(1, size + 3)) for size in shape)
    shards = None
    if draw(st.booleans()):
        shards = tuple(step * draw(st.integers(1, 4)) for step in chunks)
    buffer = tuple(draw(st.integers(1, size)) for size in shape)
    return {"shape": shape, "chunks": chunks, "shards": shards, "buffer": buffer}


def array_of(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array whose elements differ as far as the dtype allows, and are never the fill value."""
    return (np.arange(np.prod(shape)) % 100 + 1).reshape(shape).astype(dtype)


@pytest.mark.slow
@settings(max_examples=120)
@given(
    layout=layouts(),
    dtype=st.sampled_from(DTYPES),
    jobs=st.sampled_from([1, 2, 4]),
    kind=st.sampled_from(["processes", "threads", "none"]),
    way=st.sampled_from(["generic", "rows", "unordered"]),
)
def test_every_element_is_right(
    layout: dict[str, Any],
    dtype: str,
    jobs: int,
    kind: str,
    way: str,
    executors: dict[str, Executor],
) -> None:
    shape, buffer = layout["shape"], layout["buffer"]
    array = array_of(shape, dtype)
    if way == "generic":
        data: Any = ArrayIterator(array, buffer_shape=buffer, chunk_shape=(1,) * len(shape))
    elif way == "rows":
        data = DataChunkIterator(
            iter(array), buffer_size=buffer[0], maxshape=(None, *shape[1:]), dtype=array.dtype
        )
    else:
        data = Unordered(array, shuffled(grid_of(shape, buffer)))
    options = {"chunks": layout["chunks"]}
    if layout["shards"]:
        options["shards"] = layout["shards"]
    workers = {} if kind == "none" else {"executor": executors[kind]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.zarr"
        write(path, {"data": (data, options)}, number_of_jobs=jobs if workers else 1, **workers)
        written = read(path)
        assert [entry.name for entry in Path(folder).iterdir()] == ["f.zarr"]
    assert written.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(written, array)


def grid_of(shape: tuple[int, ...], steps: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Regions that cover a shape."""
    starts = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    return [
        tuple(
            slice(at, min(at + step, size))
            for at, step, size in zip(corner, steps, shape, strict=True)
        )
        for corner in itertools.product(*starts)
    ]


def shuffled(entries: list[Any]) -> list[Any]:
    """Entries in an order that is not theirs, always the same."""
    return [entries[i] for i in np.random.default_rng(len(entries)).permutation(len(entries))]


@settings(max_examples=40)
@given(layout=layouts(), data=st.data())
def test_selections_of_an_iterator_may_be_few_and_overlap(
    layout: dict[str, Any], data: st.DataObject, executors: dict[str, Executor]
) -> None:
    shape = layout["shape"]
    selections = data.draw(st.lists(regions(shape), max_size=6))
    array = array_of(shape, "<i4")
    expected = np.zeros_like(array)
    for selection in selections:
        expected[selection] = array[selection]
    iterator = SomeSelections(
        array, selections, buffer_shape=layout["buffer"], chunk_shape=(1,) * len(shape)
    )
    options = {"chunks": layout["chunks"]}
    if layout["shards"]:
        options["shards"] = layout["shards"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.zarr"
        write(path, {"data": (iterator, options)}, number_of_jobs=4, executor=executors["threads"])
        np.testing.assert_array_equal(read(path), expected)


def regions(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[slice, ...]]:
    """Regions of a shape that are not empty."""
    return st.tuples(
        *(
            st.tuples(st.integers(0, size - 1), st.integers(1, size)).map(
                lambda pair, size=size: slice(pair[0], min(pair[0] + pair[1], size))
            )
            for size in shape
        )
    )


@settings(max_examples=200)
@given(layout=layouts(), jobs=st.integers(1, 9), data=st.data())
def test_a_unit_has_one_owner_and_each_selection_is_read_once(
    layout: dict[str, Any], jobs: int, data: st.DataObject
) -> None:
    shape, buffer = layout["shape"], layout["buffer"]
    unit = layout["shards"] or layout["chunks"]
    grid = grid_of(shape, buffer)
    selections = data.draw(st.sampled_from([grid, grid[::2], shuffled(grid), [*grid, grid[0]]]))
    owners: dict[tuple[int, ...], int] = {}
    times_read = np.zeros(shape, dtype=int)
    for number, one in enumerate(cut(selections, shape, unit, buffer, jobs)):
        for part, step, size in zip(one.region, unit, shape, strict=True):
            assert part.start % step == 0
            assert part.stop % step == 0 or part.stop == size
        for piece in one.pieces:
            assert intersection(piece, one.region) == piece
            times_read[piece] += 1
        if one.fills:
            assert sum(map(size_of, one.pieces)) == size_of(one.region)
        cells = [
            range(part.start // step, -(-part.stop // step))
            for part, step in zip(one.region, unit, strict=True)
        ]
        for cell in itertools.product(*cells):
            assert owners.setdefault(cell, number) == number
    expected = np.zeros(shape, dtype=int)
    for selection in selections:
        expected[selection] += 1
    np.testing.assert_array_equal(times_read, expected)


@given(layout=layouts(), jobs=st.integers(1, 9))
def test_a_region_is_no_larger_than_a_buffer_or_a_unit(layout: dict[str, Any], jobs: int) -> None:
    unit = layout["shards"] or layout["chunks"]
    steps = task_shape(layout["shape"], unit, layout["buffer"], jobs)
    for step, one, room, size in zip(steps, unit, layout["buffer"], layout["shape"], strict=True):
        assert step % one == 0
        assert step == one or step <= room or (room == size and step - one < size)
