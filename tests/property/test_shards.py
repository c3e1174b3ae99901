"""Every legal selection of an array in shards is what numpy selects, whatever decodes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.chunks.pipeline import PATH_OF_ZARRS

SHAPE = (53, 11)
DATA = np.arange(53 * 11, dtype="i2").reshape(SHAPE)
LAYOUTS: dict[str, dict[str, Any]] = {
    "many chunks": {"chunks": (5, 2), "shards": (20, 4)},
    "whole rows": {"chunks": (4, 11), "shards": (16, 11)},
    "one shard": {"chunks": (10, 11), "shards": (60, 11)},
    "one chunk": {"chunks": (60, 12), "shards": (60, 12)},
    "small chunks": {"chunks": (1, 2), "shards": (4, 4)},
    "plain": {"chunks": (5, 2), "shards": (20, 4), "compressor": False},
    "no shards": {"chunks": (5, 2)},
    "no shards, small chunks": {"chunks": (1, 2), "compressor": False},
}


@pytest.fixture(scope="module", params=["local", "memory", "local by zarrs"])
def arrays(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, HDMFZarrArray]]:
    place: Any = MemoryStore()
    if request.param != "memory":
        place = tmp_path_factory.mktemp("shards") / "a.zarr"
    datasets = [
        DatasetBuilder(name, ZarrDataIO(DATA, **options)) for name, options in LAYOUTS.items()
    ]
    datasets.append(DatasetBuilder("line", ZarrDataIO(DATA[:, 0], chunks=(5,), shards=(20,))))
    root = GroupBuilder("root", datasets=datasets, attributes={"data_type": "Root"})
    with ZarrIO(place, "w") as io:
        io.write_builder(root)
    if request.param == "local by zarrs":
        pytest.importorskip("zarrs")
        with zarr.config.set({"codec_pipeline.path": PATH_OF_ZARRS}):
            yield opened(place)
    else:
        yield opened(place)


def opened(place: Any) -> dict[str, HDMFZarrArray]:
    io = ZarrIO(place, "r")
    io.open()
    built = io.read_builder()
    return {name: built[name].data for name in (*LAYOUTS, "line")}


def slices(size: int) -> st.SearchStrategy[slice]:
    bounds = st.none() | st.integers(-size - 3, size + 3)
    return st.builds(slice, bounds, bounds, st.none() | st.integers(1, 7))


def ranges(size: int) -> st.SearchStrategy[Any]:
    return st.one_of(st.integers(-size, size - 1), slices(size))


def indices(size: int) -> st.SearchStrategy[Any]:
    places = st.lists(st.integers(-size, size - 1), min_size=1, max_size=9)
    orders = st.permutations(range(size))
    return st.one_of(places, places.map(sorted), places.map(np.array), orders)


def masks(size: int) -> st.SearchStrategy[Any]:
    return st.lists(st.booleans(), min_size=size, max_size=size).map(np.array)


def entries(size: int) -> st.SearchStrategy[Any]:
    return st.one_of(st.integers(-size, size - 1), slices(size), indices(size), masks(size))


def as_positions(entry: Any, size: int) -> Any:
    if isinstance(entry, slice):
        return np.arange(size)[entry]
    entry = np.asarray(entry)
    return np.flatnonzero(entry) if entry.dtype == bool else entry


def orthogonal(data: Any, selection: tuple[Any, ...]) -> Any:
    """What numpy selects dimension by dimension."""
    whole = [
        as_positions([entry] if isinstance(entry, int) else entry, size)
        for entry, size in zip(selection, data.shape, strict=True)
    ]
    found = data[np.ix_(*whole)]
    kept = tuple(0 if isinstance(entry, int) else slice(None) for entry in selection)
    return found[kept]


def assert_same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found, expected)
    assert np.shape(found) == np.shape(expected)
    assert np.asarray(found).dtype == DATA.dtype


@given(layout=st.sampled_from(sorted(LAYOUTS)), selection=st.tuples(*map(ranges, SHAPE)))
def test_rows_and_ranges(arrays: Any, layout: str, selection: Any) -> None:
    assert_same(arrays[layout][selection], DATA[selection])
    assert_same(arrays[layout][selection[0]], DATA[selection[0]])


@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    axis=st.integers(0, 1),
    data=st.data(),
)
def test_index_arrays_and_masks(arrays: Any, layout: str, axis: int, data: Any) -> None:
    selection: list[Any] = [data.draw(slices(size)) for size in SHAPE]
    selection[axis] = data.draw(st.one_of(indices(SHAPE[axis]), masks(SHAPE[axis])))
    assert_same(arrays[layout][tuple(selection)], DATA[tuple(selection)])


@given(layout=st.sampled_from(sorted(LAYOUTS)), selection=st.tuples(*map(entries, SHAPE)))
def test_oindex(arrays: Any, layout: str, selection: Any) -> None:
    assert_same(arrays[layout].oindex[selection], orthogonal(DATA, selection))


@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    places=st.lists(
        st.tuples(*(st.integers(-size, size - 1) for size in SHAPE)), min_size=1, max_size=9
    ),
)
def test_vindex(arrays: Any, layout: str, places: Any) -> None:
    selection = tuple(np.array(places).T)
    assert_same(arrays[layout].vindex[selection], DATA[selection])


@given(layout=st.sampled_from(sorted(LAYOUTS)), seed=st.integers(0, 2**16))
def test_vindex_of_a_mask(arrays: Any, layout: str, seed: int) -> None:
    mask = np.random.default_rng(seed).random(SHAPE) < 0.1
    assert_same(arrays[layout].vindex[mask], DATA[mask])


@given(selection=entries(SHAPE[0]))
def test_one_dimension(arrays: Any, selection: Any) -> None:
    assert_same(arrays["line"][selection], DATA[:, 0][selection])


@pytest.mark.parametrize("places", [[0, 0], [1, 0], [0, 1], [2, 3, 3, 2], [10] * 11], ids=str)
def test_an_index_array_that_names_as_many_elements_as_a_chunk_has(
    arrays: Any, places: Any
) -> None:
    """Of a chunk of this size, that is not all of it as it is."""
    for name in LAYOUTS:
        assert_same(arrays[name][:, places], DATA[:, places])
        assert_same(arrays[name][::7, places], DATA[::7, places])
        assert_same(arrays[name][places], DATA[places])
        assert_same(arrays[name].oindex[::7, places], DATA[::7, places])


def test_selections_that_mix_rows_and_index_arrays(arrays: Any) -> None:
    for name in LAYOUTS:
        array = arrays[name]
        assert_same(array[0, [0, 1, 4]], DATA[0, [0, 1, 4]])
        assert_same(array[5:6, [0, 1, 4]], DATA[5:6, [0, 1, 4]])
        assert_same(array[7, np.arange(11) < 3], DATA[7, :3])
        assert_same(array[[0, 40, 1], 3], DATA[[0, 40, 1], 3])
    assert_same(arrays["line"].vindex[[0, 40, 1]], DATA[[0, 40, 1], 0])
