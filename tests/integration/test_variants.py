"""What stands between two faults: parts that were mended by themselves, used together."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any

import pytest
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, check
from tests.integration.test_rows import (
    lengths,
    local,
    plain,
    read,
    recording,
    tables_of,
    target,
    templates,
    trial,
    zarr_format,
)

__all__ = ["local", "target", "templates", "zarr_format"]  # the fixtures


# -- rows after a write of the same session ------------------------------------------------------


def add_columns(nwbfile: Any) -> None:
    nwbfile.add_trial_column("added", "numbers", data=[1, 2])
    nwbfile.add_trial_column("words", "ragged text", data=[["a"], []], index=True)
    nwbfile.add_trial_column("series", "references", data=[nwbfile.acquisition["ts"]] * 2)


def added(nwbfile: Any, row: int) -> dict[str, Any]:
    series = nwbfile.acquisition["ts"]
    return {**trial(series, row), "added": row, "words": ["ä" * row], "series": series}


@pytest.mark.parametrize("ends_with_write", [True, False])
def test_columns_that_were_added_and_written_get_the_rows_that_follow(target, ends_with_write):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        add_columns(nwbfile)
        nwbfile.add_trial(**added(nwbfile, 2))
        io.write(nwbfile)
        nwbfile.add_trial(**added(nwbfile, 3))
        io.write(nwbfile)
        nwbfile.add_trial(**added(nwbfile, 300))
        if ends_with_write:
            io.write(nwbfile)
    trials = read(target)["trials"]
    assert trials["added"] == [1, 2, 2, 3, 300]
    assert trials["words"] == [["a"], [], ["ää"], ["äää"], ["ä" * 300]]
    assert trials["series"] == ["ts"] * 5
    assert trials["number"] == [0, 1, 2, 3, 300]
    assert check(target).findings == ()


def test_a_value_that_a_written_column_refuses_leaves_no_part_of_its_row(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        add_columns(nwbfile)
        io.write(nwbfile)
        with pytest.raises(TypeError, match="added"):
            nwbfile.add_trial(**{**added(nwbfile, 2), "added": 0.5})
        with pytest.raises(ValueError, match="words"):
            nwbfile.add_trial(**{**added(nwbfile, 2), "words": [7]})
        assert lengths(tables_of(nwbfile))["trials"] == 2
        nwbfile.add_trial(**added(nwbfile, 3))
    trials = read(target)["trials"]
    assert trials["added"] == [1, 2, 3]
    assert trials["number"] == [0, 1, 3]
    assert check(target).findings == ()


def test_a_table_that_was_added_and_written_gets_the_rows_that_follow(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        column = VectorData(name="a", description="d", data=[1, 2])
        table = DynamicTable(name="table", description="d", columns=[column])
        nwbfile.add_scratch(table)
        io.write(nwbfile)
        table.add_row(a=3)
        io.write(nwbfile)
        table.add_row(a=4, id=9)
    assert table["a"].data == [1, 2, 3, 4]
    table.add_row(a=5)
    with NWBZarrIO(target, "r") as io:
        read_table = io.read().scratch["table"]
        assert plain(read_table["a"][:]) == [1, 2, 3, 4]
        assert plain(read_table.id[:]) == [0, 1, 2, 9]


def test_a_category_that_was_added_and_written_gets_the_rows_that_follow(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        electrode = nwbfile.icephys_electrodes["e"]
        column = VectorData(name="x", description="d", data=[1, 2])
        table = nwbfile.intracellular_recordings
        table.add_category(DynamicTable(name="mine", description="d", columns=[column]))
        io.write(nwbfile)
        with pytest.raises(TypeError, match="'x'"):
            nwbfile.add_intracellular_recording(**recording(electrode, 2), mine={"x": 0.5})
        nwbfile.add_intracellular_recording(**recording(electrode, 3), mine={"x": 3})
        io.write(nwbfile)
    after = read(target)["intracellular_recordings"]
    assert after["mine/x"] == [1, 2, 3]
    assert after["id"] == [0, 1, 3]
    assert check(target).findings == ()


# -- names that are no plain text ----------------------------------------------------------------


class Name(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    SERIES = "series"
    COLUMN = "column"
    TABLE = "table"
    MODULE = "module"


class Shown(str):
    """A text that shows itself as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"

    def __format__(self, spec: str) -> str:
        return "something else"


def make_named(kind: Any) -> NWBFile:
    nwbfile = NWBFile("s", "i", datetime(2024, 1, 1, tzinfo=UTC))
    series = TimeSeries(name=kind("series"), data=[1.0], unit="V", rate=1.0)
    nwbfile.add_acquisition(series)
    nwbfile.add_trial_column(kind("column"), "d", index=True)
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, column=[1, 2], timeseries=[series])
    module = nwbfile.create_processing_module(kind("module"), "d")
    column = VectorData(name=kind("series"), description="d", data=[series])
    table = DynamicTable(name=kind("table"), description="d", columns=[column])
    module.add(table)
    module.add(TimeSeries(name="linked", data=series, unit="V", rate=1.0))
    return nwbfile


def assert_named(nwbfile: NWBFile) -> None:
    assert "series" in nwbfile.acquisition
    assert nwbfile.trials["column"][0].tolist() == [1, 2]
    assert nwbfile.trials["timeseries"][0][0].timeseries is nwbfile.acquisition["series"]
    table = nwbfile.processing["module"]["table"]
    assert table["series"][0] is nwbfile.acquisition["series"]
    assert nwbfile.processing["module"]["linked"].data[:].tolist() == [1.0]


@pytest.mark.parametrize("kind", [Name, Shown])
def test_a_name_of_any_class_is_its_characters(tmp_path, kind, zarr_format):
    path, exported, back = (tmp_path / name for name in ("a.zarr", "b.zarr", "c.nwb"))
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(make_named(kind))
    with NWBZarrIO(path, "r+") as io:
        nwbfile = io.read()
        assert_named(nwbfile)
        nwbfile.add_acquisition(
            TimeSeries(name=kind("table"), data=nwbfile.acquisition["series"], unit="V", rate=1.0)
        )
        io.write(nwbfile)
        with NWBZarrIO(exported, "w") as out:
            out.export(io, nwbfile)
        with NWBHDF5IO(back, "w") as out:
            out.export(io, nwbfile, write_args={"link_data": False})
    for one in (path, exported):
        assert check(one).findings == ()
        with NWBZarrIO(one, "r") as io:
            nwbfile = io.read()
            assert nwbfile.acquisition["table"].data[:].tolist() == [1.0]
            assert_named(nwbfile)


# -- what is logged ------------------------------------------------------------------------------


def test_a_value_that_is_refused_late_does_not_log_that_an_append_was_undone(target, caplog):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        series = nwbfile.acquisition["ts"]
        nwbfile.add_trial(**trial(series, 2))
        with pytest.raises(TypeError):
            nwbfile.add_trial(**{**trial(series, 3), "marks": (x for x in (1, 2.5))})
    assert not [one for one in caplog.records if "undone" in one.getMessage()]
    assert read(target)["trials"]["id"] == [0, 1, 2]
    assert check(target).findings == ()


# -- an export before the write ------------------------------------------------------------------


@pytest.mark.parametrize("to_hdf5_first", [True, False])
def test_what_was_exported_before_it_was_written_is_written(target, tmp_path, to_hdf5_first):
    first, second, third = (tmp_path / name for name in ("1.nwb", "2.zarr", "3.zarr"))
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        new = TimeSeries(name="new", data=[1.0, 2.0], unit="V", rate=1.0)
        nwbfile.add_acquisition(new)
        nwbfile.add_trial(**trial(new, 2))
        nwbfile.add_trial_column("added", "d", data=[1, 2, 3])
        if to_hdf5_first:
            with NWBHDF5IO(first, "w") as out:
                out.export(io, nwbfile, write_args={"link_data": False})
        with NWBZarrIO(second, "w") as out:
            out.export(io, nwbfile)
        io.write(nwbfile)
        nwbfile.add_trial(**trial(new, 3), added=4)
        with NWBHDF5IO(first, "w") as out:
            out.export(io, nwbfile, write_args={"link_data": False})
        nwbfile.add_trial(**trial(new, 4), added=5)
        io.write(nwbfile)
        with NWBZarrIO(third, "w") as out:
            out.export(io)
    first.unlink()
    for one, n_rows in ((target, 5), (second, 3), (third, 5)):
        trials = read(one)["trials"]
        assert trials["added"] == [1, 2, 3, 4, 5][:n_rows]
        assert trials["timeseries"][2][0][2] == "new"
        assert check(one).findings == ()
        with NWBZarrIO(one, "r") as io:
            assert plain(io.read().acquisition["new"].data[:]) == [1.0, 2.0]
