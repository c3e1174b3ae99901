"""What is added to a file in mode ``r+`` or ``a`` is there afterwards, and nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile, TimeSeries, validate
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, check

Target = Any


def make_file() -> NWBFile:
    nwbfile = NWBFile(
        session_description="append",
        identifier="append",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
    )
    device = nwbfile.create_device("probe")
    group = nwbfile.create_electrode_group("shank", "d", "CA1", device)
    for _ in range(3):
        nwbfile.add_electrode(group=group, location="CA1")
    nwbfile.add_unit_column("quality", "text")
    for unit in range(2):
        nwbfile.add_unit(
            spike_times=[0.1 * unit, 0.5], electrodes=[0, 1], electrode_group=group, quality="good"
        )
    series = TimeSeries(name="ts", data=np.arange(10.0), unit="V", rate=10.0)
    nwbfile.add_acquisition(series)
    nwbfile.add_acquisition(TimeSeries(name="linked", data=series, unit="V", rate=10.0))
    nwbfile.add_trial_column("tag", "text")
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, tag="a", timeseries=[series])
    return nwbfile


@pytest.fixture(params=["local", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return tmp_path / "file.nwb.zarr" if request.param == "local" else MemoryStore()


@pytest.fixture
def written(target: Target) -> Target:
    with NWBZarrIO(target, "w") as io:
        io.write(make_file())
    return target


@pytest.fixture(params=["r+", "a"])
def appended(
    request: pytest.FixtureRequest, written: Target
) -> Callable[[Callable[[NWBFile], None]], Iterator[NWBFile]]:
    """Apply a change in an appending mode, then read with and without consolidated metadata."""

    def run(change: Callable[[NWBFile], None], *, write: bool = True) -> Iterator[NWBFile]:
        with NWBZarrIO(written, request.param) as io:
            nwbfile = io.read()
            change(nwbfile)
            if write:
                io.write(nwbfile)
        for mode in ("r", "r-"):
            with NWBZarrIO(written, mode) as io:
                yield io.read()

    return run


def test_a_container_is_added(appended):
    def change(nwbfile: NWBFile) -> None:
        nwbfile.add_acquisition(TimeSeries(name="new", data=[1, 2, 3], unit="V", rate=1.0))

    for nwbfile in appended(change):
        np.testing.assert_array_equal(nwbfile.acquisition["new"].data[:], [1, 2, 3])
        np.testing.assert_array_equal(nwbfile.acquisition["ts"].data[:], np.arange(10.0))


def test_an_array_is_extended_without_a_write(appended):
    def change(nwbfile: NWBFile) -> None:
        nwbfile.acquisition["ts"].data.append(np.array([10.0, 11.0]))

    for nwbfile in appended(change, write=False):
        np.testing.assert_array_equal(nwbfile.acquisition["ts"].data[:], np.arange(12.0))


def test_an_array_is_extended_through_a_link(appended):
    def change(nwbfile: NWBFile) -> None:
        data = nwbfile.acquisition["linked"].data
        data.append(np.array([10.0]))
        data[0] = -1.0

    for nwbfile in appended(change, write=False):
        expected = np.concatenate([[-1.0], np.arange(1.0, 11.0)])
        np.testing.assert_array_equal(nwbfile.acquisition["ts"].data[:], expected)
        np.testing.assert_array_equal(nwbfile.acquisition["linked"].data[:], expected)


def test_resizing_and_assigning_reaches_the_consolidated_metadata(appended):
    def change(nwbfile: NWBFile) -> None:
        data = nwbfile.acquisition["ts"].data
        data.resize((15,))
        data[10:] = np.arange(10.0, 15.0)

    for nwbfile in appended(change):
        np.testing.assert_array_equal(nwbfile.acquisition["ts"].data[:], np.arange(15.0))


def test_shrinking_reaches_the_consolidated_metadata(appended):
    for nwbfile in appended(lambda n: n.acquisition["ts"].data.resize((4,)), write=False):
        np.testing.assert_array_equal(nwbfile.acquisition["ts"].data[:], np.arange(4.0))


def test_a_column_is_added(appended):
    def change(nwbfile: NWBFile) -> None:
        nwbfile.units.add_column("depth", "um", data=[1.5, 2.5])

    for nwbfile in appended(change):
        assert "depth" in list(nwbfile.units.colnames)
        np.testing.assert_array_equal(nwbfile.units["depth"].data[:], [1.5, 2.5])
        np.testing.assert_array_equal(nwbfile.units["spike_times"][0], [0.0, 0.5])


def test_units_are_added_beyond_what_the_index_type_holds(appended):
    def change(nwbfile: NWBFile) -> None:
        group = nwbfile.electrode_groups["shank"]
        assert nwbfile.units["spike_times_index"].data.dtype == np.uint8
        nwbfile.add_unit(
            spike_times=np.arange(300.0), electrodes=[2], electrode_group=group, quality="größer"
        )
        nwbfile.add_unit(spike_times=[], electrodes=[0, 1, 2], electrode_group=group, quality="")

    for nwbfile in appended(change):
        units = nwbfile.units
        assert len(units) == 4
        np.testing.assert_array_equal(units["spike_times_index"].data[:], [2, 4, 304, 304])
        assert units["spike_times_index"].data.dtype == np.uint16
        np.testing.assert_array_equal(units["spike_times"][1], [0.1, 0.5])
        np.testing.assert_array_equal(units["spike_times"][2], np.arange(300.0))
        assert len(units["spike_times"][3]) == 0
        assert list(units["quality"].data[:]) == ["good", "good", "größer", ""]
        assert units["electrode_group"][2] is nwbfile.electrode_groups["shank"]
        np.testing.assert_array_equal(units["electrodes"].target.data[:], [0, 1, 0, 1, 2, 0, 1, 2])
        assert list(units.id[:]) == [0, 1, 2, 3]


def test_electrodes_are_added_with_a_group_that_is_new(appended):
    def change(nwbfile: NWBFile) -> None:
        group = nwbfile.create_electrode_group("new", "d", "CA3", nwbfile.devices["probe"])
        nwbfile.add_electrode(group=group, location="CA3")
        assert nwbfile.electrodes["group"][3] is group
        assert len(nwbfile.electrodes["group"].data) == 4

    for nwbfile in appended(change):
        assert [g.name for g in nwbfile.electrodes["group"].data[:]] == ["shank"] * 3 + ["new"]
        assert nwbfile.electrodes["group"][3] is nwbfile.electrode_groups["new"]
        assert list(nwbfile.electrodes["location"].data[:]) == ["CA1"] * 3 + ["CA3"]


def test_trials_that_refer_to_series_are_added(appended):
    def change(nwbfile: NWBFile) -> None:
        nwbfile.add_trial(
            start_time=1.0,
            stop_time=2.0,
            tag="a longer tag",
            timeseries=[nwbfile.acquisition["linked"]],
        )
        long_name = TimeSeries(name="n" * 100, data=[1.0], unit="V", rate=1.0)
        nwbfile.add_acquisition(long_name)
        nwbfile.add_trial(start_time=2.0, stop_time=3.0, tag="b", timeseries=[long_name])

    for nwbfile in appended(change):
        trials = nwbfile.trials
        assert len(trials) == 3
        assert list(trials["tag"].data[:]) == ["a", "a longer tag", "b"]
        referred = [trials["timeseries"][row][0].timeseries for row in range(3)]
        assert referred[0] is nwbfile.acquisition["ts"]
        assert referred[1] is nwbfile.acquisition["linked"]
        assert referred[2] is nwbfile.acquisition["n" * 100]


def test_many_rows_leave_few_chunks_and_every_value(written):
    with NWBZarrIO(written, "r+") as io:
        table = io.read().trials
        for row in range(1, 200):
            table.add_row(start_time=float(row), stop_time=row + 1.0, tag=f"t{row}", timeseries=[])
    with NWBZarrIO(written, "r") as io:
        trials = io.read().trials
        np.testing.assert_array_equal(trials["start_time"].data[:], np.arange(200.0))
        assert list(trials["tag"].data[:])[1:] == [f"t{row}" for row in range(1, 200)]
        bytestore = trials["start_time"].data.hierarchy.bytestore
        assert len(bytestore.sizes("intervals/trials/start_time")) < 5


def test_a_table_is_added_and_gets_rows_later(written):
    with NWBZarrIO(written, "r+") as io:
        nwbfile = io.read()
        column = VectorData(name="value", description="d", data=[1.0])
        nwbfile.add_scratch(DynamicTable(name="table", description="d", columns=[column]))
        io.write(nwbfile)
    for value in (2.0, 3.0):
        with NWBZarrIO(written, "r+") as io:
            io.read().scratch["table"].add_row(value=value)
    with NWBZarrIO(written, "r") as io:
        table = io.read().scratch["table"]
        np.testing.assert_array_equal(table["value"].data[:], [1.0, 2.0, 3.0])
        np.testing.assert_array_equal(table.id[:], [0, 1, 2])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_rows_are_added_to_what_was_written_without_any(target, zarr_format):
    nwbfile = NWBFile("append", "append", datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(TimeSeries(name="ts", data=np.zeros((0, 4), "i2"), unit="V", rate=1.0))
    empty = {"text": np.zeros(0, "U3"), "bytes": np.zeros(0, "S3"), "number": np.zeros(0, "i4")}
    columns = [VectorData(name=name, description="d", data=data) for name, data in empty.items()]
    nwbfile.add_scratch(DynamicTable(name="table", description="d", columns=columns))
    with NWBZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    with NWBZarrIO(target, "r") as io:
        assert validate(io=io) == []
        nwbfile = io.read()
        assert nwbfile.acquisition["ts"].data.shape == (0, 4)
        assert [column.data.shape for column in nwbfile.scratch["table"].columns] == [(0,)] * 3
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        nwbfile.scratch["table"].add_row(text="longer than three µ", bytes=b"seven b", number=2**20)
        nwbfile.acquisition["ts"].data.append(np.ones((2, 4), "i2"))
    with NWBZarrIO(target, "r") as io:
        nwbfile = io.read()
        table = nwbfile.scratch["table"]
        rows = [table[name].data[:].tolist() for name in ("text", "bytes", "number")]
        assert rows == [["longer than three µ"], [b"seven b"], [2**20]]
        assert nwbfile.scratch["table"]["number"].data.dtype == np.int32
        assert nwbfile.acquisition["ts"].data[:].tolist() == [[1] * 4] * 2


def test_mode_a_creates_a_file_and_two_writes_of_one_io_add_up(target):
    with NWBZarrIO(target, "a") as io:
        nwbfile = make_file()
        io.write(nwbfile)
        nwbfile.add_acquisition(TimeSeries(name="second", data=[1.0], unit="V", rate=1.0))
        io.write(nwbfile)
    with NWBZarrIO(target, "r") as io:
        nwbfile = io.read()
        assert set(nwbfile.acquisition) == {"ts", "linked", "second"}


@pytest.mark.parametrize("append_mode", ["r+", "a"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_link_to_another_store_is_writable(tmp_path, append_mode, zarr_format):
    raw, file = tmp_path / "raw.nwb.zarr", tmp_path / "file.nwb.zarr"
    with NWBZarrIO(raw, "w", zarr_format=zarr_format) as io:
        io.write(make_file())
    with NWBZarrIO(raw, "r") as raw_io:
        nwbfile = make_file()
        data = raw_io.read().acquisition["ts"].data
        nwbfile.add_acquisition(TimeSeries(name="external", data=data, unit="V", rate=1.0))
        with NWBZarrIO(file, "w", manager=raw_io.manager, zarr_format=zarr_format) as io:
            io.write(nwbfile)
    with NWBZarrIO(file, append_mode) as io:
        io.read().acquisition["external"].data.append(np.array([99.0]))
    for mode in ("r", "r-"):
        with NWBZarrIO(raw, mode) as io:
            assert io.read().acquisition["ts"].data[-1] == 99.0
        with NWBZarrIO(file, mode) as io:
            assert io.read().acquisition["external"].data[-1] == 99.0


def test_a_file_that_was_not_consolidated_stays_so(tmp_path):
    path = tmp_path / "file.nwb.zarr"
    with NWBZarrIO(path, "w") as io:
        io.write(make_file(), consolidate_metadata=False)
    assert "consolidated_metadata" not in json.loads((path / "zarr.json").read_text())
    with NWBZarrIO(path, "r+") as io:
        io.read().acquisition["ts"].data.append(np.array([10.0]))
    assert "consolidated_metadata" not in json.loads((path / "zarr.json").read_text())
    with NWBZarrIO(path, "r") as io:
        assert len(io.read().acquisition["ts"].data) == 11


def test_writing_without_consolidation_drops_metadata_that_would_be_stale(tmp_path):
    path = tmp_path / "file.nwb.zarr"
    with NWBZarrIO(path, "w") as io:
        io.write(make_file())
    with NWBZarrIO(path, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(TimeSeries(name="new", data=[1.0], unit="V", rate=1.0))
        io.write(nwbfile, consolidate_metadata=False)
    assert "consolidated_metadata" not in json.loads((path / "zarr.json").read_text())
    with NWBZarrIO(path, "r") as io:
        assert "new" in io.read().acquisition


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_longer_text_and_references_are_appended_to_records(target, zarr_format):
    fields = [
        {"name": "text", "dtype": "text"},
        {"name": "code", "dtype": "ascii"},
        {"name": "to", "dtype": {"reftype": "object"}},
    ]
    far = GroupBuilder(
        "g" * 200, groups=[GroupBuilder("h" * 200, groups=[GroupBuilder("i" * 200)])]
    )
    near = GroupBuilder("near")
    rows = DatasetBuilder("rows", [("a", b"b", ReferenceBuilder(near))], dtype=fields)
    root = GroupBuilder("root", groups=[near, far], datasets=[rows])
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    paths = ["near", "/".join(letter * 200 for letter in "ghi")]
    for text in ("é" * 600, "short"):
        with ZarrIO(target, "r+") as io:
            root = io.read_builder()
            for path in paths:
                row = (text, text.encode(), ReferenceBuilder(root[path]))
                root["rows"].data.append(row)
    for mode in ("r", "r-"):
        with ZarrIO(target, mode) as io:
            root = io.read_builder()
            found = [(row["text"], row["code"], row["to"]) for row in root["rows"].data[:]]
            near, far = (root[path] for path in paths)
            long, short = ("é" * 600, ("é" * 600).encode()), ("short", b"short")
            expected = [("a", b"b", near), (*long, near), (*long, far), (*short, near)]
            assert found == [*expected, (*short, far)]


def metadata_of(place: Target, **options: Any) -> dict[str, Any]:
    """Attributes, and of arrays the shape, of every node as zarr-python reads them."""
    root = zarr.open_group(place, mode="r", **options)
    return {
        path: (dict(node.attrs), getattr(node, "shape", None))
        for path, node in (("", root), *root.members(max_depth=None))
    }


def write_plain(target: Target, zarr_format: int) -> Target:
    """Write an array of four numbers and a group."""
    root = GroupBuilder("root", attributes={"title": "t"}, groups=[GroupBuilder("group")])
    root.set_dataset(DatasetBuilder("data", np.arange(4)))
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    return target


CHANGES: dict[str, Callable[[ZarrIO], Any]] = {
    "rows": lambda io: io.read_builder()["data"].data.append([4]),
    "a shape": lambda io: io.read_builder()["data"].data.resize((2,)),
    "attributes": lambda io: io.write_attributes("group", {"new": 2}),
    "attributes of an array": lambda io: io.write_attributes("data", {"new": 2}),
    "a dataset": lambda io: io.write_dataset("group", DatasetBuilder("new", [1])),
    "a group": lambda io: io.write_group("group", GroupBuilder("new", attributes={"a": 1})),
    "a link": lambda io: io.write_link("group", LinkBuilder(io.read_builder()["data"], "new")),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_no_change_leaves_stale_consolidated_metadata(target, change, zarr_format):
    before = metadata_of(write_plain(target, zarr_format))
    with ZarrIO(target, "r+") as io:
        CHANGES[change](io)
    after = metadata_of(target, use_consolidated=True)
    assert after == metadata_of(target, use_consolidated=False)
    assert after != before
    assert check(target).findings == ()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "change",
    [
        lambda root: root.attrs.update({"new": 1}),
        lambda root: root["group"].attrs.update({"new": 1}),
        lambda root: root["data"].append(np.array([4])),
        lambda root: root["data"].resize((2,)),
        lambda root: root.create_array(
            "new", shape=(2,), dtype="i4", chunk_key_encoding={"name": "v2", "separator": "."}
        ),
    ],
)
def test_what_is_changed_through_the_group_is_in_the_consolidated_metadata(
    target, change, zarr_format
):
    before = metadata_of(write_plain(target, zarr_format))
    with ZarrIO(target, "r+") as io:
        change(io._file)
    after = metadata_of(target, use_consolidated=True)
    assert after == metadata_of(target, use_consolidated=False)
    assert after != before
    assert {found.severity for found in check(target).findings} <= {"note"}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_change_without_consolidation_drops_the_consolidated_metadata(target, zarr_format):
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", [1])]))
    with ZarrIO(target, "r+") as io:
        builder = io.read_builder()
        builder.set_dataset(DatasetBuilder("more", [5]))
        io.write_builder(builder, consolidate_metadata=False)
    assert zarr.open_group(target, mode="r").metadata.consolidated_metadata is None
    with ZarrIO(target, "r") as io:
        assert {name: d.data[:].tolist() for name, d in io.read_builder().datasets.items()} == {
            "data": [1],
            "more": [5],
        }


def test_zarr_agrees_about_the_consolidated_metadata(written):
    with NWBZarrIO(written, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(TimeSeries(name="new", data=[1.0], unit="V", rate=1.0))
        nwbfile.acquisition["ts"].data.append(np.array([10.0]))
        io.write(nwbfile)
    consolidated = zarr.open_group(written, mode="r", use_consolidated=True)
    plain = zarr.open_group(written, mode="r", use_consolidated=False)
    members = dict(consolidated.members(max_depth=None))
    expected = dict(plain.members(max_depth=None))
    assert set(members) == set(expected)
    for path, member in members.items():
        assert dict(member.attrs) == dict(expected[path].attrs), path
        if isinstance(member, zarr.Array):
            assert member.shape == expected[path].shape, path


def test_a_failed_append_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file.nwb.zarr"
    with NWBZarrIO(path, "w") as io:
        io.write(make_file())
    before = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}

    def broken() -> Iterator[np.ndarray]:
        yield np.arange(3)
        raise RuntimeError("the source broke")

    from hdmf.data_utils import DataChunkIterator

    io = NWBZarrIO(path, "r+")
    nwbfile = io.read()
    nwbfile.add_acquisition(TimeSeries(name="good", data=[1.0], unit="V", rate=1.0))
    nwbfile.units.add_column("depth", "um", data=[1.5, 2.5])
    data = DataChunkIterator(data=broken(), buffer_size=1)
    nwbfile.add_acquisition(TimeSeries(name="bad", data=ZarrDataIO(data), unit="V", rate=1.0))
    with pytest.raises(RuntimeError, match="the source broke"):
        io.write(nwbfile)
    io.close()
    after = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert after == before


def test_rows_that_wait_for_a_write_are_not_lost_silently(written):
    io = NWBZarrIO(written, "r+")
    nwbfile = io.read()
    group = nwbfile.create_electrode_group("new", "d", "CA3", nwbfile.devices["probe"])
    nwbfile.add_electrode(group=group, location="CA3")
    with pytest.warns(UserWarning, match="rows that refer to containers which were never written"):
        io.close()


def test_a_file_opened_for_reading_cannot_be_changed(written):
    with NWBZarrIO(written, "r") as io:
        data = io.read().acquisition["ts"].data
        with pytest.raises(ValueError, match="read-only"):
            data.append(np.array([1.0]))
        with pytest.raises(ValueError, match="read-only"):
            data[0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            data.resize((3,))
