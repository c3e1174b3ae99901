"""Legal input that is easily taken for something else: stored as it is, or refused, and never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask.array
import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from hdmf.common import HERD
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk, DataChunkIterator
from hdmf.spec import DatasetSpec
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.errors import (
    BrokenLinkError,
    EncodingError,
    HDMFZarrError,
    LayoutError,
    OptionError,
)
from hdmf_zarr.write.planning import naming


def write(data: Any, target: Any, zarr_format: int = 3, **options: Any) -> Any:
    """Write data as the only dataset of a store and return the store."""
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", data, **options)])
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    return target


def read(target: Any) -> Any:
    with ZarrIO(target, "r") as io:
        return io.read_builder()["data"].data[...]


def make_file(**datasets: Any) -> NWBFile:
    nwbfile = NWBFile("odd", "odd", datetime(2024, 1, 1, tzinfo=UTC))
    for name, data in datasets.items():
        nwbfile.add_acquisition(TimeSeries(name=name, data=data, unit="V", rate=1.0))
    return nwbfile


class Blocks(AbstractDataChunkIterator):
    """Gives blocks of rows, whatever dtype it has declared."""

    def __init__(self, blocks: list[Any], dtype: Any, maxshape: tuple[int | None, ...]) -> None:
        self._blocks = iter(blocks)
        self._dtype, self._maxshape = np.dtype(dtype), maxshape
        self._at = 0

    def __iter__(self) -> Iterator[DataChunk]:
        return self

    def __next__(self) -> DataChunk:
        block = next(self._blocks)
        start, self._at = self._at, self._at + len(block)
        return DataChunk(block, slice(start, self._at))

    def recommended_chunk_shape(self) -> None:
        return None

    def recommended_data_shape(self) -> tuple[int | None, ...]:
        return self._maxshape

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    @property
    def maxshape(self) -> tuple[int | None, ...]:
        return self._maxshape


# -- records ---------------------------------------------------------------------------------------

XY = [{"name": "x", "dtype": "int32", "doc": "x"}, {"name": "y", "dtype": "int32", "doc": "y"}]


def test_fields_of_records_are_found_by_their_names(tmp_path: Path) -> None:
    rows = np.array([(2, 1), (4, 3)], dtype=[("y", "i4"), ("x", "i4")])
    stored = read(write(rows, tmp_path / "f.zarr", dtype=XY))
    assert stored.dtype.names == ("x", "y")
    assert stored.tolist() == [(1, 2), (3, 4)]


def test_fields_of_other_names_that_contradict_are_refused(tmp_path: Path) -> None:
    rows = np.array([(2, 1)], dtype=[("y", "i4"), ("z", "i4")])
    with pytest.raises(EncodingError, match=r"fields \['y', 'z'\], the compound has \['x', 'y'\]"):
        write(rows, tmp_path / "f.zarr", dtype=XY)
    assert not list(tmp_path.iterdir())


def test_fields_of_single_records_are_found_by_their_names(tmp_path: Path) -> None:
    rows = np.array([(2, 1), (4, 3)], dtype=[("y", "i4"), ("x", "i4")])
    assert read(write(list(rows), tmp_path / "f.zarr", dtype=XY)).tolist() == [(1, 2), (3, 4)]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_field_of_no_bytes_is_stored(zarr_format: int, tmp_path: Path) -> None:
    rows = np.array([(1, b"")], dtype=[("n", "i4"), ("s", "S0")])
    stored = read(write(rows, tmp_path / "f.zarr", zarr_format=zarr_format))
    assert stored.tolist() == [(1, b"")]


def test_bytes_that_are_no_text_are_refused_where_records_are_text(tmp_path: Path) -> None:
    rows = np.array([(b"\xff", "x")], dtype=[("s", "S2"), ("t", "U2")])
    with pytest.raises(EncodingError, match="not UTF-8"):
        write(rows, tmp_path / "f.zarr", zarr_format=2)


# -- lazy arrays and iterators ---------------------------------------------------------------------

LAZY: dict[str, tuple[Callable[[], Any], str]] = {
    "another dtype": (
        lambda: dask.array.map_blocks(
            lambda b: b + 0.5, dask.array.arange(4, chunks=2), dtype="i8"
        ),
        "declared int64 gave float64",
    ),
    "fewer rows": (
        lambda: dask.array.map_blocks(lambda b: b[:1], dask.array.arange(4, chunks=2), dtype="i8"),
        r"gave elements of the shape \(2,\) in place of \(4,\)",
    ),
    "longer bytes": (
        lambda: dask.array.map_blocks(
            lambda b: np.full(len(b), b"abcdef"), dask.array.arange(4, chunks=2), dtype="S2"
        ),
        "holds 2 bytes, and was given 6",
    ),
    "an unknown number of rows": (
        lambda: (array := dask.array.arange(4, chunks=2))[array > 1],
        "does not know its size",
    ),
    "masked": (
        lambda: dask.array.ma.masked_greater(dask.array.arange(4, chunks=2), 2),
        "some elements are masked",
    ),
}


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_array_that_gives_others_than_it_declares_is_refused(
    name: str, tmp_path: Path
) -> None:
    make, message = LAZY[name]
    with pytest.raises(EncodingError, match=message):
        write(make(), tmp_path / "f.zarr")
    assert not list(tmp_path.iterdir())


def test_bytes_that_an_iterator_gives_are_never_cut_off(tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match="holds 3 bytes, and was given 8"):
        write(Blocks([np.array([b"abc"]), np.array([b"abcdefgh"])], "S3", (None,)), tmp_path / "f")
    rows = np.array([(1, b"abcdefgh")], dtype=[("n", "i4"), ("s", "S8")])
    with pytest.raises(EncodingError, match="field 's' holds 3 bytes, and was given 8"):
        write(Blocks([rows], [("n", "i4"), ("s", "S3")], (None,)), tmp_path / "f")
    assert not list(tmp_path.iterdir())


def test_shorter_bytes_of_an_iterator_are_kept(tmp_path: Path) -> None:
    blocks = [np.array([b"abc"]), np.array([b"de"], dtype="S9")]
    stored = read(write(Blocks(blocks, "S3", (None,)), tmp_path / "f.zarr"))
    assert stored.dtype == "S3"
    assert stored.tolist() == [b"abc", b"de"]


def test_an_iterator_gives_its_data_to_one_dataset(tmp_path: Path) -> None:
    iterator = DataChunkIterator(iter(np.arange(10.0)), buffer_size=3)
    with pytest.raises(EncodingError, match="the iterator is that of /acquisition/first/data, too"):
        with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
            io.write(make_file(first=iterator, second=iterator))
    assert not list(tmp_path.iterdir())


def test_an_iterator_gives_its_data_to_one_write(tmp_path: Path) -> None:
    iterator = Blocks([np.arange(4)], "i8", (4,))
    assert read(write(iterator, tmp_path / "f.zarr")).tolist() == [0, 1, 2, 3]
    with pytest.raises(EncodingError, match="has given data to another write"):
        write(iterator, tmp_path / "g.zarr")
    assert not (tmp_path / "g.zarr").exists()


def test_a_write_that_failed_is_not_repeated_with_what_its_iterator_has_left(
    tmp_path: Path,
) -> None:
    iterator = Blocks([np.arange(4), np.array([0.5]), np.arange(3)], "i8", (None,))
    with pytest.raises(EncodingError, match="declared int64"):
        write(iterator, tmp_path / "f.zarr")
    with pytest.raises(EncodingError, match="has given data to another write"):
        write(iterator, tmp_path / "f.zarr")


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_numbers_of_an_iterator_get_the_type_of_their_specification(
    dtype: str, tmp_path: Path
) -> None:
    nwbfile = make_file()
    times = DataChunkIterator(iter(np.arange(4, dtype=dtype)), buffer_size=2)
    series = TimeSeries(name="ts", data=np.zeros(4), unit="V", timestamps=times)
    nwbfile.add_acquisition(series)
    with pytest.warns(UserWarning, match=f"{dtype} is being converted to data type float64"):
        with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
            io.write(nwbfile)
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as io:
        stored = io.read().acquisition["ts"].timestamps
        assert stored.dtype == np.float64
        assert stored[:].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_numbers_that_are_wider_than_declared_keep_their_type(tmp_path: Path) -> None:
    blocks = Blocks([np.array([2**40, 1])], "int64", (None,))
    stored = read(write(blocks, tmp_path / "f.zarr", dtype="int32"))
    assert (stored.dtype, stored.tolist()) == (np.int64, [2**40, 1])


def test_numbers_of_a_lazy_array_get_the_declared_type(tmp_path: Path) -> None:
    stored = read(write(dask.array.arange(4, chunks=2), tmp_path / "f.zarr", dtype="float64"))
    assert (stored.dtype, stored.tolist()) == (np.float64, [0.0, 1.0, 2.0, 3.0])


def test_a_generator_gives_its_data_to_one_write(tmp_path: Path) -> None:
    generator = (i for i in range(3))
    assert read(write(generator, tmp_path / "f.zarr")).tolist() == [0, 1, 2]
    with pytest.raises(EncodingError, match="has given data to another write"):
        write(generator, tmp_path / "g.zarr")


# -- masks -----------------------------------------------------------------------------------------

MASKED: dict[str, Any] = {
    "numbers": np.ma.array([1, 2, 3], mask=[False, True, False]),
    "text": np.ma.array(["a", "b"], mask=[False, True]),
    "records": np.ma.array([(1, 2)], mask=[(False, True)], dtype=[("x", "i4"), ("y", "i4")]),
    "one": np.ma.masked,
}


@pytest.mark.parametrize("name", MASKED)
def test_masked_elements_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match="some elements are masked"):
        write(MASKED[name], tmp_path / "f.zarr")
    if name != "records":
        with pytest.raises(EncodingError, match="attribute 'a': some elements are masked"):
            write([1], tmp_path / "f.zarr", attributes={"a": MASKED[name]})
    assert not list(tmp_path.iterdir())


def test_an_array_of_which_nothing_is_masked_is_stored(tmp_path: Path) -> None:
    data = np.ma.array([1, 2, 3], mask=[False, False, False])
    assert read(write(data, tmp_path / "f.zarr", attributes={"a": data})).tolist() == [1, 2, 3]


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fillvalue", "dtype", "message"),
    [
        (300, "uint8", "300 is no uint8"),
        (-1, "uint8", "-1 is no uint8"),
        (1.5, "int32", "1.5 is no int32"),
        (float("nan"), "int32", "nan is no int32"),
        ("x", "int32", "'x' does not fit"),
        (np.array([1, 2]), "int32", "must be one element"),
    ],
)
def test_a_fill_value_that_does_not_fit_is_refused(
    fillvalue: Any, dtype: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LayoutError, match=message):
        write(ZarrDataIO(np.arange(3, dtype=dtype), fillvalue=fillvalue), tmp_path / "f.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fillvalue", "dtype"),
    [(7, "int16"), (np.int64(-7), ">i4"), (2, "float32"), (np.nan, "float64"), (True, "bool")],
)
def test_a_dataset_without_data_has_its_dtype_and_fill_value(
    fillvalue: Any, dtype: str, tmp_path: Path
) -> None:
    empty = ZarrDataIO(dtype=np.dtype(dtype), shape=(3,), fillvalue=fillvalue)
    stored = read(write(empty, tmp_path / "f.zarr"))
    assert stored.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(stored, np.full(3, fillvalue, dtype))


def test_a_time_span_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match="expected int64, found"):
        write(np.array([5], "m8[s]"), tmp_path / "f.zarr", dtype="int64")


def test_a_mapping_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(EncodingError, match="dict objects are no data"):
        write({"a": 1}, tmp_path / "f.zarr")


def test_data_in_place_of_others_keep_their_specification(tmp_path: Path) -> None:
    builder = DatasetBuilder("when", [b"2023-01-01"], dtype="ascii", dimension_labels=("day",))
    builder.matched_spec = DatasetSpec("when", dtype="isodatetime", name="when")
    with ZarrIO(tmp_path / "f.zarr", "w") as io:
        io.write_builder(GroupBuilder("root"))
        io.write_dataset("/", builder, force_data=[b"2024-01-01"])
    array = zarr.open_array(tmp_path / "f.zarr", path="when", mode="r")
    assert array.attrs["_DTYPE"] == "isodatetime"
    assert array.metadata.dimension_names == ("day",)
    assert array[:].tolist() == ["2024-01-01"]


# -- attributes and references ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"key": b"\xff"}, "not UTF-8"),
        ([None, GroupBuilder("root")], "found None beside references"),
        (["a", GroupBuilder("root")], "found 'a' beside references"),
    ],
)
def test_attributes_that_would_become_something_else_are_refused(
    value: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(HDMFZarrError, match=message):
        write([1], tmp_path / "f.zarr", attributes={"a": value})


def test_a_reference_to_what_is_in_no_file_is_no_reference_to_the_root(tmp_path: Path) -> None:
    alone = GroupBuilder("alone")
    alone.source = str(tmp_path / "f.zarr")
    with pytest.raises(BrokenLinkError, match="a reference to 'alone'"):
        write([ReferenceBuilder(alone)], tmp_path / "f.zarr")


@pytest.mark.parametrize("keeps_both", [True, False])
def test_names_that_differ_in_the_composition_of_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, keeps_both: bool
) -> None:
    monkeypatch.setattr(naming, "keeps_case", lambda _folder: keeps_both)
    names = ["caf\u00e9", "cafe\u0301"]
    root = GroupBuilder("root", groups=[GroupBuilder(name) for name in names])
    said = "how their letters are composed"
    refused = pytest.raises(EncodingError, match=said)
    told = pytest.warns(UserWarning, match=said) if keeps_both else refused
    with ZarrIO(tmp_path / "f.zarr", "w") as io:
        with told:
            io.write_builder(root)
    if keeps_both:
        with ZarrIO(tmp_path / "f.zarr", "r") as io:
            assert set(io.read_builder().groups) == set(names)


# -- options ---------------------------------------------------------------------------------------

SWITCHES = [
    *("cache_spec", "link_data", "exhaust_dci", "consolidate_metadata"),
    *("checksum", "strict_json", "durable"),
]


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_of_a_write_is_on_or_off(name: str, tmp_path: Path) -> None:
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
        with pytest.raises(OptionError, match=f"{name} must be True or False, found 'no'"):
            io.write(make_file(ts=[1.0]), **{name: "no"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["link_data", "exhaust_dci", "consolidate_metadata"])
def test_a_switch_of_an_export_is_on_or_off(name: str, tmp_path: Path) -> None:
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
        io.write(make_file(ts=[1.0]))
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as src, NWBZarrIO(MemoryStore(), "w") as io:
        with pytest.raises(OptionError, match=f"{name} must be True or False, found 'no'"):
            io.export(src, write_args={name: "no"})


def test_nothing_is_replaced_by_force_of_a_word(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match="force_overwrite must be True or False"):
        ZarrIO(tmp_path / "file", "w", force_overwrite="no")  # type: ignore[arg-type]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_that_cannot_be_is_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = file.create_dataset("data", data=np.arange(3.0))
        with NWBZarrIO(tmp_path / "f.nwb.zarr", "w") as io:
            with pytest.warns(UserWarning, match="a link was asked for, but Dataset is no zarr"):
                io.write(make_file(ts=ZarrDataIO(data, link_data=True)))
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as src:
        data = src.read().acquisition["ts"].data
        with NWBZarrIO(MemoryStore(), "w") as io:
            with pytest.warns(UserWarning, match="a link was asked for, but the store cannot be"):
                io.write(make_file(ts=ZarrDataIO(data, link_data=True)))
        with NWBHDF5IO(tmp_path / "h.nwb", "w") as io:
            io.write(make_file())
        with NWBHDF5IO(tmp_path / "h.nwb", "r") as h5, NWBZarrIO(tmp_path / "e.zarr", "w") as io:
            nwbfile = h5.read()
            wrapped = ZarrDataIO(data, link_data=True)
            nwbfile.add_acquisition(TimeSeries(name="ts", data=wrapped, unit="V", rate=1.0))
            with pytest.warns(UserWarning, match="a link was asked for, but this is an export"):
                io.export(h5, nwbfile)
    with NWBZarrIO(tmp_path / "e.zarr", "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], [0.0, 1.0, 2.0])


@pytest.mark.parametrize("suffix", [".nwb", ".nwb.zarr"])
def test_the_layout_of_an_export_is_that_of_new_data_too(suffix: str, tmp_path: Path) -> None:
    io_class = {".nwb": NWBHDF5IO, ".nwb.zarr": NWBZarrIO}[suffix]
    with io_class(tmp_path / f"f{suffix}", "w") as io:
        io.write(make_file(old=np.arange(20.0)))
    with io_class(tmp_path / f"f{suffix}", "r") as src, NWBZarrIO(tmp_path / "e.zarr", "w") as io:
        nwbfile = src.read()
        new = {
            "iterator": DataChunkIterator(iter(np.arange(20.0)), buffer_size=3),
            "list": list(np.arange(20.0)),
            "array": np.arange(20.0),
        }
        for name, data in new.items():
            nwbfile.add_acquisition(TimeSeries(name=name, data=data, unit="V", rate=1.0))
        asked = {}
        io.export(
            src,
            nwbfile,
            chunks={"/acquisition/*/data": (4,)},
            shards=lambda path, data: asked.update({path: data}) or ((8,) if data.shape else None),
        )
    group = zarr.open_group(tmp_path / "e.zarr", mode="r")
    for name in ("old", *new):
        array = group[f"acquisition/{name}/data"]
        assert (array.chunks, array.shards) == ((4,), (8,)), name
        np.testing.assert_array_equal(array[:], np.arange(20.0))
        assert asked[f"/acquisition/{name}/data"].dtype == np.float64
    assert asked["/acquisition/iterator/data"].shape == (None,)
    assert asked["/acquisition/list/data"].shape == (20,)


# -- external resources ----------------------------------------------------------------------------


def test_a_failed_write_leaves_the_external_resources(tmp_path: Path) -> None:
    (tmp_path / "h.zip").write_text("old")
    bad = make_file(ts=np.ma.array([1.0], mask=[True]))
    with NWBZarrIO(tmp_path / "f.zarr", "w", herd_path=str(tmp_path / "h.zip")) as io:
        with pytest.raises(EncodingError, match="masked"):
            io.write(bad, herd=HERD())
    assert [path.name for path in tmp_path.iterdir()] == ["h.zip"]
    assert (tmp_path / "h.zip").read_text() == "old"


def test_external_resources_without_a_place_are_told(tmp_path: Path) -> None:
    with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
        with pytest.warns(UserWarning, match="herd is ignored"):
            io.write(make_file(ts=[1.0]), herd=HERD())
    with NWBZarrIO(tmp_path / "f.zarr", "r") as src:
        with NWBZarrIO(MemoryStore(), "w", herd_path=str(tmp_path / "h.zip")) as io:
            with pytest.warns(UserWarning, match="herd_path is ignored"):
                io.export(src)
    assert not (tmp_path / "h.zip").exists()
