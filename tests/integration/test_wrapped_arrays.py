"""`ZarrDataIO` around arrays of zarr-python, around HDF5 datasets, and around what is filled later."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest
import zarr
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile, TimeSeries
from zarr.codecs import GzipCodec
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO
from hdmf_zarr.checking.run import check
from hdmf_zarr.errors import ModeError

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:(hdmf|pynwb)\.")

Format = Literal[2, 3]

FORMATS = list(itertools.product((2, 3), repeat=2))
NUMBERS = np.arange(24.0).reshape(6, 4)
TEXT = ["a", "bb", "", "dé", "e", "f"]


def nwb() -> NWBFile:
    return NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))


def with_series(**options: Any) -> NWBFile:
    nwbfile = nwb()
    add_series(nwbfile, "ts", **options)
    return nwbfile


def add_series(nwbfile: NWBFile, name: str, **options: Any) -> TimeSeries:
    rate = {} if "timestamps" in options else {"rate": 1.0}
    series = TimeSeries(name=name, unit="V", **rate, **options)
    nwbfile.add_acquisition(series)
    return series


def add_column(nwbfile: NWBFile, name: str, data: Any) -> VectorData:
    column = VectorData(name="c", description="d", data=data)
    nwbfile.add_acquisition(DynamicTable(name=name, description="d", columns=[column]))
    return column


def add_data(nwbfile: NWBFile, name: str, array: Any, options: dict[str, Any]) -> None:
    add_series(nwbfile, name, data=ZarrDataIO(array, **options))


def add_timestamps(nwbfile: NWBFile, name: str, array: Any, options: dict[str, Any]) -> None:
    times = ZarrDataIO(array, **options)
    add_series(nwbfile, name, data=np.zeros((6, 2)), timestamps=times)


def add_wrapped_column(nwbfile: NWBFile, name: str, array: Any, options: dict[str, Any]) -> None:
    add_column(nwbfile, name, ZarrDataIO(array, **options))


def set_data(nwbfile: NWBFile, name: str, array: Any, options: dict[str, Any]) -> None:
    add_series(nwbfile, name, data=array).set_data_io("data", ZarrDataIO, data_io_kwargs=options)


def set_column(nwbfile: NWBFile, name: str, array: Any, options: dict[str, Any]) -> None:
    add_column(nwbfile, name, array).set_data_io(ZarrDataIO, data_io_kwargs=options)


def get_data(nwbfile: NWBFile, name: str = "ts") -> Any:
    return nwbfile.acquisition[name].data


def get_timestamps(nwbfile: NWBFile, name: str) -> Any:
    return nwbfile.acquisition[name].timestamps


def get_column(nwbfile: NWBFile, name: str = "t") -> Any:
    return nwbfile.acquisition[name]["c"].data


def with_column(data: Any) -> NWBFile:
    nwbfile = nwb()
    add_column(nwbfile, "t", data)
    return nwbfile


PLACES: dict[str, tuple[Callable[..., None], Callable[..., Any]]] = {
    "data": (add_data, get_data),
    "timestamps": (add_timestamps, get_timestamps),
    "column": (add_wrapped_column, get_column),
    "data, set": (set_data, get_data),
    "column, set": (set_column, get_column),
}

LAYOUTS: dict[str, tuple[dict[str, Any], int, list[str] | None]] = {
    "as it is": ({}, 2, None),
    "chunks": ({"chunks": 3}, 3, None),
    "gzip": ({"chunks": 3, "compressor": GzipCodec(level=1)}, 3, ["GzipCodec"]),
    "plain": ({"chunks": 3, "compressor": False}, 3, []),
}
"""What is asked for, rows of a chunk that are read, and names of codecs."""


def written(nwbfile: NWBFile, target: Any, zarr_format: Format) -> NWBZarrIO:
    with NWBZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    return NWBZarrIO(target, "r")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("source", "target"), FORMATS)
def test_arrays_of_zarr_are_written_as_they_are_asked_for(
    place: str, source: Format, target: Format
) -> None:
    values = NUMBERS if "data" in place else NUMBERS[:, 0]
    rest = values.shape[1:]
    array = zarr.create_array(
        MemoryStore(), data=values, chunks=(2, *rest), zarr_format=source, attributes={"a": 1}
    )
    add, get = PLACES[place]
    nwbfile = nwb()
    for name, (options, _, _) in LAYOUTS.items():
        chunks = {"chunks": (options["chunks"], *rest)} if "chunks" in options else {}
        add(nwbfile, name, array, {**options, **chunks})
    with written(nwbfile, MemoryStore(), target) as io:
        read = io.read()
        for name, (_, rows, codecs) in LAYOUTS.items():
            found = get(read, name)
            assert found[...].tolist() == values.tolist()
            assert (found.dtype, found.chunks) == (values.dtype, (rows, *rest))
            assert codecs in (None, [type(codec).__name__ for codec in found.compressors])
    assert dict(array.attrs) == {"a": 1}
    assert array[...].tolist() == values.tolist()


@pytest.mark.parametrize(("source", "target"), FORMATS)
def test_text_of_zarr_is_a_column(source: Format, target: Format) -> None:
    array = zarr.create_array(MemoryStore(), shape=(6,), chunks=(2,), dtype=str, zarr_format=source)
    array[:] = np.array(TEXT, dtype=object)
    with written(with_column(ZarrDataIO(array)), MemoryStore(), target) as io:
        assert get_column(io.read())[:].tolist() == TEXT


def test_rows_of_zarr_are_decoded_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    array = zarr.create_array({}, data=np.arange(10), chunks=(4,))
    seen: list[Any] = []
    whole = zarr.Array.__getitem__
    monkeypatch.setattr(
        zarr.Array, "__getitem__", lambda self, at: seen.append(at) or whole(self, at)
    )
    assert list(ZarrDataIO(array)) == list(range(10))
    assert seen == [slice(0, 4), slice(4, 8), slice(8, 12)]


ATTRIBUTES = {"conversion": 1.0, "offset": 0.0, "resolution": -1.0, "unit": "V"}
"""Those of the data of a series."""


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_of_zarr_is_linked_where_the_attributes_are_the_same(
    zarr_format: Format, tmp_path: Path
) -> None:
    written(with_series(data=NUMBERS), tmp_path / "raw", zarr_format).close()
    array = zarr.open_array(tmp_path / "raw", path="acquisition/ts/data", mode="r")
    nwbfile = with_series(data=ZarrDataIO(array, link_data=True))
    with written(nwbfile, tmp_path / "o.zarr", zarr_format) as io:
        np.testing.assert_array_equal(get_data(io.read())[...], NUMBERS)
    assert not (tmp_path / "o.zarr/acquisition/ts/data").exists()


def plain_array(group: zarr.Group) -> zarr.Array[Any]:
    return group.create_array("x", data=NUMBERS, attributes=ATTRIBUTES)


def hidden_array(group: zarr.Group) -> zarr.Array[Any]:
    """An array of which the consolidated metadata of its store do not tell."""
    zarr.consolidate_metadata(group.store)
    return group.create_array("x", data=NUMBERS, attributes=ATTRIBUTES)


def root_array(group: zarr.Group) -> zarr.Array[Any]:
    return zarr.create_array(
        group.store,
        data=NUMBERS,
        attributes=ATTRIBUTES,
        zarr_format=group.metadata.zarr_format,
        overwrite=True,
    )


@pytest.mark.parametrize("make", [root_array, plain_array, hidden_array])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_an_array_that_readers_of_links_do_not_find_is_copied(
    make: Callable[[zarr.Group], zarr.Array[Any]], zarr_format: Format, tmp_path: Path
) -> None:
    array = make(zarr.create_group(tmp_path / "raw", zarr_format=zarr_format))
    with (
        pytest.warns(
            UserWarning, match="readers of links find only arrays that objects of HDMF hold"
        ),
        written(
            with_series(data=ZarrDataIO(array, link_data=True)), tmp_path / "o.zarr", zarr_format
        ) as io,
    ):
        np.testing.assert_array_equal(get_data(io.read())[...], NUMBERS)
    with written(with_series(data=array), tmp_path / "p.zarr", zarr_format) as io:
        np.testing.assert_array_equal(get_data(io.read())[...], NUMBERS)


def test_an_array_that_cannot_be_linked_is_copied_with_a_warning(tmp_path: Path) -> None:
    array = zarr.create_array(MemoryStore(), data=NUMBERS)
    with (
        pytest.warns(UserWarning, match="cannot be reached from there; the data are copied"),
        written(with_series(data=ZarrDataIO(array, link_data=True)), tmp_path / "o.zarr", 3) as io,
    ):
        np.testing.assert_array_equal(get_data(io.read())[...], NUMBERS)


def test_an_array_of_zarr_is_appended_and_exported(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "raw", data=NUMBERS, chunks=(2, 4))
    written(nwb(), tmp_path / "a.zarr", 3).close()
    with NWBZarrIO(tmp_path / "a.zarr", "r+") as io:
        nwbfile = io.read()
        add_series(nwbfile, "ts", data=ZarrDataIO(array, chunks=(3, 4)))
        io.write(nwbfile)
    with NWBZarrIO(tmp_path / "a.zarr", "r") as source:
        nwbfile = source.read()
        assert get_data(nwbfile).chunks == (3, 4)
        add_series(nwbfile, "other", data=ZarrDataIO(array))
        with NWBZarrIO(tmp_path / "b.zarr", "w") as io:
            io.export(source, nwbfile)
    with NWBZarrIO(tmp_path / "b.zarr", "r") as io:
        nwbfile = io.read()
        for name in ("ts", "other"):
            np.testing.assert_array_equal(nwbfile.acquisition[name].data[...], NUMBERS)


# -- datasets of HDF5 ------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        yield file


@pytest.mark.parametrize("name", ["compressor", "compressors"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_compressor_replaces_the_filters_of_hdf5(
    name: str, zarr_format: Format, file: h5py.File
) -> None:
    dataset = file.create_dataset(
        "data", data=NUMBERS, chunks=(2, 4), compression="gzip", shuffle=True, fletcher32=True
    )
    for compressor, names in ((GzipCodec(level=1), ["GzipCodec", "Crc32cCodec"]), (False, None)):
        data = ZarrDataIO.from_h5py_dataset(dataset, **{name: compressor})
        assert data.io_settings == {"chunks": (2, 4), "compressor": compressor, "checksum": True}
        with written(with_series(data=data), MemoryStore(), zarr_format) as io:
            found = get_data(io.read())
            assert found[...].tolist() == NUMBERS.tolist()
            kinds = [type(codec).__name__ for codec in found.compressors]
            assert kinds == (names or ["Crc32cCodec"])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("S10", b"No Data", b"No Data"),
        (h5py.string_dtype(), "No Dätä", "No Dätä"),
        (h5py.string_dtype("ascii"), b"No Data", b"No Data"),
        ("i4", 7, 7),
    ],
    ids=["bytes", "text", "ascii", "number"],
)
def test_the_fill_value_of_hdf5_is_kept(
    dtype: Any, given: Any, expected: Any, zarr_format: Format, file: h5py.File
) -> None:
    dataset = file.create_dataset("c", shape=(6,), dtype=dtype, fillvalue=given, chunks=(3,))
    dataset[0] = given
    for options in ({}, {"compressors": False}):
        data = ZarrDataIO.from_h5py_dataset(dataset, **options)
        with written(with_column(data), MemoryStore(), zarr_format) as io:
            found = get_column(io.read())
            assert found[:].tolist() == [expected] * 6
            assert as_bytes(found.fill_value) == as_bytes(expected)


def as_bytes(value: Any) -> bytes:
    """A fill value as it is stored; zarr-python gives the padding of format 2 with it."""
    return str(value).encode() if not isinstance(value, bytes) else bytes(value).rstrip(b"\0")


# -- datasets without data -------------------------------------------------------------------------


@pytest.fixture(params=["disk", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return tmp_path / "o.zarr" if request.param == "disk" else MemoryStore()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_dataset_without_data_is_filled_after_the_write(zarr_format: Format, target: Any) -> None:
    data = ZarrDataIO(shape=(10, 3), dtype=np.dtype("f4"), chunks=(4, 3), fillvalue=9)
    times = ZarrDataIO(shape=(10,), dtype=np.dtype("f8"))
    assert data.dataset is None
    with NWBZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write(with_series(data=data, timestamps=times))
        assert data.dataset is not None
        assert times.dataset is not None
        assert data.dataset.shape == (10, 3)
        data.dataset[:7] = np.ones((7, 3))
        times.dataset[:] = np.arange(10) / 2
    assert {finding.severity for finding in check(target).findings} <= {"note"}
    with NWBZarrIO(target, "r") as io:
        series = io.read().acquisition["ts"]
        assert series.data[:, 1].tolist() == [1.0] * 7 + [9.0] * 3
        assert series.timestamps[:].tolist() == (np.arange(10) / 2).tolist()


def test_a_dataset_without_data_is_filled_after_an_append(tmp_path: Path) -> None:
    written(nwb(), tmp_path / "o.zarr", 3).close()
    with NWBZarrIO(tmp_path / "o.zarr", "r+") as io:
        nwbfile = io.read()
        data = ZarrDataIO(shape=(4,), dtype=np.dtype("i2"))
        add_series(nwbfile, "ts", data=data)
        io.write(nwbfile)
        assert data.dataset is not None
        data.dataset[:] = [1, 2, 3, 4]
    with NWBZarrIO(tmp_path / "o.zarr", "r") as io:
        assert get_data(io.read())[:].tolist() == [1, 2, 3, 4]


def test_a_closed_file_takes_no_more_elements(target: Any) -> None:
    data = ZarrDataIO(shape=(4,), dtype=np.dtype("i2"))
    with NWBZarrIO(target, "w") as io:
        io.write(with_series(data=data))
    assert data.dataset is not None
    with pytest.raises(ModeError, match="is closed; open it with mode"):
        data.dataset[:] = 1
    with NWBZarrIO(target, "r+") as io:
        read = get_data(io.read())
        read[0] = 5
    with pytest.raises(ModeError, match="is closed"):
        read.append([1])
    with NWBZarrIO(target, "r") as io:
        assert get_data(io.read())[:].tolist() == [5, 0, 0, 0]
