"""Iterators, lazy arrays and arrays of other libraries as data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import H5DataIO
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.data_utils import DataChunk, DataChunkIterator, GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries, validate
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO


class ArrayIterator(GenericDataChunkIterator):
    """Gives an array in buffers."""

    def __init__(self, array: np.ndarray, **kwargs: Any) -> None:
        self.array = array
        super().__init__(**kwargs)

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return self.array[selection]

    def _get_maxshape(self) -> tuple[int, ...]:
        return self.array.shape

    def _get_dtype(self) -> np.dtype:
        return self.array.dtype


def write_and_read(data: Any, path: Any = None, **builder: Any) -> Any:
    """Write data as the only dataset of a store, and return it as it is read."""
    store = MemoryStore() if path is None else path
    with ZarrIO(store, "w") as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", data, **builder)]))
    with ZarrIO(store, "r") as io:
        return io.read_builder()["data"].data


RECORDING = np.arange(1000 * 6, dtype=np.int16).reshape(1000, 6)


@pytest.mark.parametrize("settings", [
    {},
    {"chunks": (100, 6)},
    {"chunks": (64, 4)},
    {"chunks": (50, 3), "shards": (200, 6)},
    {"shards": "auto", "chunks": (10, 6)},
    {"compressor": False},
    {"compressor": numcodecs.Zlib(3), "filters": [numcodecs.Delta("<i2")]},
])  # fmt: skip
@pytest.mark.parametrize("buffer", [(1000, 6), (128, 6), (70, 6)])
def test_a_generic_iterator_is_written_whole(settings, buffer):
    iterator = ArrayIterator(RECORDING, buffer_shape=buffer, chunk_shape=(2, 6))
    data = write_and_read(ZarrDataIO(iterator, **settings))
    assert data.dtype == np.int16
    np.testing.assert_array_equal(data[:], RECORDING)
    if "chunks" in settings:
        assert data.chunks == settings["chunks"]


def test_an_iterator_recommends_its_chunks():
    data = write_and_read(ArrayIterator(RECORDING, buffer_shape=(500, 6), chunk_shape=(100, 3)))
    assert data.chunks == (100, 3)


@pytest.mark.parametrize("buffer_size", [1, 7, 100])
def test_an_iterator_without_a_length_grows_its_array(buffer_size):
    def rows() -> Iterator[np.ndarray]:
        yield from RECORDING

    iterator = DataChunkIterator(
        data=rows(), buffer_size=buffer_size, maxshape=(None, 6), dtype=np.dtype("int16")
    )
    data = write_and_read(iterator)
    assert data.shape == RECORDING.shape
    np.testing.assert_array_equal(data[:], RECORDING)
    assert data.attrs["_DTYPE"] == "int16"


def test_an_empty_iterator_is_an_empty_array():
    iterator = DataChunkIterator(data=iter(()), maxshape=(None,), dtype=np.dtype("float64"))
    data = write_and_read(iterator)
    assert data.shape == (0,)
    assert data.dtype == np.float64


def test_text_from_an_iterator():
    iterator = DataChunkIterator(data=iter(["a", "größer", ""]), maxshape=(None,), buffer_size=2)
    data = write_and_read(iterator, dtype="text")
    assert list(data[:]) == ["a", "größer", ""]


def test_what_an_iterator_skips_reads_as_the_fill_value():
    class Sparse(DataChunkIterator):
        def __init__(self) -> None:
            self.chunks = [(slice(2, 4), [1.0, 2.0]), (slice(8, 9), [3.0])]
            super().__init__(data=iter(()), maxshape=(10,), dtype=np.dtype("float64"))

        def __next__(self) -> DataChunk:
            if not self.chunks:
                raise StopIteration
            selection, values = self.chunks.pop(0)
            return DataChunk(data=np.array(values), selection=(selection,))

    data = write_and_read(ZarrDataIO(Sparse(), chunks=(2,), fillvalue=-1.0))
    np.testing.assert_array_equal(data[:], [-1, -1, 1, 2, -1, -1, -1, -1, 3, -1])


@pytest.mark.parametrize("exhaust_dci", [True, False])
def test_several_iterators_are_exhausted(exhaust_dci):
    order: list[str] = []

    def numbers(name: str) -> Iterator[float]:
        for value in range(3):
            order.append(name)
            yield float(value)

    store = MemoryStore()
    datasets = [
        DatasetBuilder(name, DataChunkIterator(data=numbers(name), buffer_size=1)) for name in "ab"
    ]
    with ZarrIO(store, "w") as io:
        order.clear()
        io.write_builder(GroupBuilder("root", datasets=datasets), exhaust_dci=exhaust_dci)
    assert (order == sorted(order)) is exhaust_dci
    with ZarrIO(store, "r") as io:
        for name in "ab":
            np.testing.assert_array_equal(io.read_builder()[name].data[:], [0.0, 1.0, 2.0])


def test_an_iterator_in_a_time_series(tmp_path):
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    iterator = ArrayIterator(RECORDING, buffer_shape=(500, 6), chunk_shape=(100, 6))
    nwbfile.add_acquisition(TimeSeries(name="ts", data=iterator, unit="V", rate=1.0))
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
        io.write(nwbfile)
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], RECORDING)


# -- arrays of other libraries ----------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("wrap", [lambda data: data, ZarrDataIO])
def test_an_iterator_gets_the_type_of_the_specification(tmp_path, wrap, zarr_format):
    """As an array does: timestamps are float64, of whatever precision they are given."""
    times = np.arange(10, dtype=np.float32) / 7
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    for name, given in (("array", times), ("iterator", DataChunkIterator(times, buffer_size=3))):
        series = TimeSeries(name=name, data=np.arange(10), unit="V", timestamps=wrap(given))
        nwbfile.add_acquisition(series)
    with NWBZarrIO(tmp_path / "f.zarr", "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    assert validate(path=tmp_path / "f.zarr") == []
    with NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        for series in io.read().acquisition.values():
            assert series.timestamps.dtype == np.float64
            np.testing.assert_array_equal(series.timestamps[:], times)


def test_a_dask_array_is_read_block_by_block():
    da = pytest.importorskip("dask.array")
    data = write_and_read(ZarrDataIO(da.from_array(RECORDING, chunks=(100, 6)), chunks=(250, 6)))
    np.testing.assert_array_equal(data[:], RECORDING)
    assert data.chunks == (250, 6)


def test_a_dask_array_in_a_time_series(tmp_path):
    da = pytest.importorskip("dask.array")
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    data = ZarrDataIO(da.from_array(RECORDING, chunks=(100, 6)))
    nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="V", rate=1.0))
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
        io.write(nwbfile)
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], RECORDING)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_array_of_the_user_is_copied(zarr_format):
    source = zarr.create_array(
        MemoryStore(), shape=RECORDING.shape, dtype="i2", chunks=(100, 6), zarr_format=zarr_format
    )
    source[:] = RECORDING
    np.testing.assert_array_equal(write_and_read(source)[:], RECORDING)


LAYOUTS_OF_USERS: dict[str, dict[str, Any]] = {
    "chunks": {"chunks": (100, 4)},
    "shards": {"chunks": (50, 3), "shards": (100, 6)},
    "no compression": {"compressors": None},
    "gzip": {"compressors": zarr.codecs.GzipCodec(level=2)},
    "filter": {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
    "serializer": {"serializer": zarr.codecs.BytesCodec(endian="big")},
    "fill value": {"fill_value": 7},
    "names": {"dimension_names": ("time", "channel")},
    "all": {
        "chunks": (50, 3),
        "shards": (100, 6),
        "compressors": None,
        "filters": [zarr.codecs.TransposeCodec(order=(1, 0))],
        "serializer": zarr.codecs.BytesCodec(endian="big"),
        "fill_value": 7,
        "dimension_names": ("time", "channel"),
    },
}


@pytest.mark.parametrize("name", LAYOUTS_OF_USERS)
def test_a_zarr_array_of_the_user_is_copied_with_its_layout(name, tmp_path):
    source = zarr.create_array(
        MemoryStore(), shape=RECORDING.shape, dtype="i2", **LAYOUTS_OF_USERS[name]
    )
    source[: len(RECORDING) // 2] = RECORDING[: len(RECORDING) // 2]
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", source)])
    with ZarrIO(tmp_path / "f.zarr", "w") as io:
        io.write_builder(root)
    copy = zarr.open_array(tmp_path / "f.zarr", path="data", mode="r")
    for aspect in ("chunks", "shards", "compressors", "filters", "serializer", "fill_value"):
        assert getattr(copy, aspect) == getattr(source, aspect), aspect
    if source.metadata.dimension_names is not None:
        assert copy.metadata.dimension_names == source.metadata.dimension_names
    np.testing.assert_array_equal(copy[:], source[:])
    assert copy.dtype == source.dtype


@pytest.mark.parametrize(
    ("chosen", "zarr_format"),
    [
        ({"compressors": None, "fill_value": 7}, 2),
        ({"filters": [numcodecs.Delta("<i2")], "compressors": numcodecs.GZip(2)}, 2),
        ({"compressors": numcodecs.Zlib(3), "fill_value": 7}, 3),
    ],
)
def test_an_array_of_format_2_of_the_user_is_copied_with_its_layout(chosen, zarr_format, tmp_path):
    shape = RECORDING.shape
    source = zarr.create_array(
        MemoryStore(), shape=shape, dtype="<i2", chunks=(100, 4), zarr_format=2, **chosen
    )
    source[:100] = RECORDING[:100]
    with ZarrIO(tmp_path / "f.zarr", "w", zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", source)]))
    copy = zarr.open_array(tmp_path / "f.zarr", path="data", mode="r")
    assert (copy.chunks, copy.fill_value) == (source.chunks, source.fill_value)
    if zarr_format == 2:
        assert (copy.compressors, copy.filters) == (source.compressors, source.filters)
    np.testing.assert_array_equal(copy[:], source[:])


def test_an_h5py_dataset_is_copied_with_its_layout(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        dataset = file.create_dataset(
            "d", data=RECORDING, chunks=(100, 6), compression="gzip", shuffle=True, fillvalue=7
        )
        wrapped = ZarrDataIO.from_h5py_dataset(dataset)
        assert [codec.codec_id for codec in ZarrDataIO.hdf5_to_zarr_filters(dataset)] == [
            "shuffle",
            "zlib",
        ]
        data = write_and_read(wrapped)
    np.testing.assert_array_equal(data[:], RECORDING)
    assert data.chunks == (100, 6)
    assert data.fill_value == 7
    assert [type(codec).__name__ for codec in data.metadata.codecs] == [
        "BytesCodec",
        "Shuffle",
        "Zlib",
    ]


@pytest.mark.filterwarnings("ignore:.*no Zarr codec:UserWarning")
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f8", "|u1", "bool"])
@pytest.mark.parametrize(
    "kwargs", [{}, {"chunks": (30, 4)}, {"chunks": (30, 4), "compression": "lzf"}]
)
def test_an_h5py_dataset_keeps_its_values_and_dtype(tmp_path, dtype, kwargs):
    values = (RECORDING % 2).astype(dtype)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = write_and_read(file.create_dataset("d", data=values, **kwargs))
    assert data.dtype == values.dtype
    np.testing.assert_array_equal(data[:], values)


def test_chunks_and_gzip_of_an_h5_data_io_are_kept():
    data = write_and_read(
        H5DataIO(RECORDING, chunks=(100, 6), compression="gzip", compression_opts=2)
    )
    assert data.chunks == (100, 6)
    assert data.compressor == numcodecs.GZip(level=2)
    assert data.compressors == (zarr.codecs.GzipCodec(level=2),)
    np.testing.assert_array_equal(data[:], RECORDING)


def test_the_same_data_io_can_be_written_twice_and_is_not_changed(tmp_path):
    wrapped = ZarrDataIO(RECORDING, chunks=(100, 6), compressor=numcodecs.Zstd(2), fillvalue=3)
    before = wrapped.get_io_params()
    for name in ("a", "b"):
        data = write_and_read(wrapped, tmp_path / name)
        np.testing.assert_array_equal(data[:], RECORDING)
    assert wrapped.get_io_params() == before == {
        "chunks": (100, 6), "compressor": numcodecs.Zstd(2), "fillvalue": 3, "link_data": False,
    }  # fmt: skip


# -- layout -----------------------------------------------------------------------------------------


def test_a_small_array_is_one_chunk_and_a_large_one_keeps_whole_rows(tmp_path):
    small = write_and_read(RECORDING)
    assert small.chunks == RECORDING.shape
    large = write_and_read(np.zeros((200_000, 64), dtype=np.int16), tmp_path / "large.zarr")
    assert large.chunks == (32768, 64)
    assert large.chunks[0] * 64 * 2 == 4 * 1024**2


def test_chunk_keys_are_one_path_component(tmp_path):
    write_and_read(ZarrDataIO(RECORDING, chunks=(500, 3)), tmp_path / "f.zarr")
    names = sorted(path.name for path in (tmp_path / "f.zarr" / "data").iterdir())
    assert names == ["c.0.0", "c.0.1", "c.1.0", "c.1.1", "zarr.json"]


@pytest.mark.parametrize(
    ("compressor", "expected"),
    [
        (None, "blosc"),
        (True, "blosc"),
        (False, None),
        (numcodecs.Blosc("lz4", 3), "blosc"),
        (numcodecs.Zstd(4), "zstd"),
        (numcodecs.GZip(4), "gzip"),
        (numcodecs.BZ2(4), "numcodecs.bz2"),
        (zarr.codecs.ZstdCodec(level=4), "zstd"),
        ([zarr.codecs.ZstdCodec(level=4), zarr.codecs.Crc32cCodec()], "zstd"),
    ],
)
def test_the_compressor_is_the_one_asked_for(compressor, expected):
    data = write_and_read(ZarrDataIO(RECORDING, compressor=compressor))
    found = data.compressors
    assert (found[0].to_dict()["name"] if found else None) == expected
    named = None if expected is None else expected.removeprefix("numcodecs.")
    assert (None if data.compressor is None else data.compressor.codec_id) == named
    np.testing.assert_array_equal(data[:], RECORDING)


def test_blosc_of_numcodecs_becomes_that_of_zarr():
    codec = numcodecs.Blosc("zstd", 7, numcodecs.Blosc.BITSHUFFLE)
    found = write_and_read(ZarrDataIO(RECORDING, compressor=codec)).compressors[0].to_dict()
    assert found["configuration"] == {
        "typesize": 2, "cname": "zstd", "clevel": 7, "shuffle": "bitshuffle", "blocksize": 0,
    }  # fmt: skip


def test_nothing_of_a_store_is_read_before_it_is_written_and_text_is_written_once(tmp_path: Path):
    from zarr.storage import WrapperStore

    operations: list[tuple[str, str]] = []

    class Counting(WrapperStore):  # type: ignore[type-arg]
        async def set(self, key: str, value: Any) -> None:
            operations.append(("set", key))
            await super().set(key, value)

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            operations.append(("get", key))
            return await super().get(key, prototype, byte_range)

    text = DatasetBuilder(
        "text", [f"t{i}" for i in range(1000)], attributes={"a": 1, "b": 2, "c": [3]}
    )
    scalar = DatasetBuilder("scalar", "one")
    root = GroupBuilder(
        "root", datasets=[text, scalar], attributes={"x": 1, "y": "z", "data_type": "T"}
    )
    with ZarrIO(Counting(MemoryStore()), "w") as io:
        io.write_builder(root)
    sets = [key for kind, key in operations if kind == "set"]
    assert sorted(sets) == [
        ".append.partial",  # it keeps other writers out, and is removed at the end
        "scalar/c",
        "scalar/zarr.json",
        "text/c.0",
        "text/zarr.json",
        "zarr.json",
    ]
    assert sets[-1] == "zarr.json"
