"""A row that is added to a table of a store is in all of its columns, or in none."""

from __future__ import annotations

import contextlib
import shutil
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.common import AlignedDynamicTable, DynamicTable, VectorData, get_manager
from pynwb import NWBFile, TimeSeries
from pynwb.icephys import VoltageClampSeries, VoltageClampStimulusSeries
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.cli import main
from tests.faults import Fault, faulty_disk

Target = Any


def make_file(*, wide_text: bool = False) -> NWBFile:
    """A file with a row or two in every kind of table."""
    nwbfile = NWBFile("rows", "rows", datetime(2024, 1, 1, tzinfo=UTC))
    device = nwbfile.create_device("probe")
    group = nwbfile.create_electrode_group("shank", "d", "CA1", device)
    for _ in range(3):
        nwbfile.add_electrode(group=group, location="CA1")
    series = TimeSeries(name="ts", data=np.arange(10.0), unit="V", rate=10.0)
    nwbfile.add_acquisition(series)
    nwbfile.add_trial_column("number", "integers")
    nwbfile.add_trial_column("label", "text")
    nwbfile.add_trial_column("marks", "ragged integers", index=True)
    nwbfile.add_unit_column("quality", "text")
    nwbfile.add_unit_column("levels", "doubly ragged", index=2)
    for row in range(2):
        nwbfile.add_trial(**trial(series, row))
        nwbfile.add_unit(**unit(group, row))
    electrode = nwbfile.create_icephys_electrode(name="e", description="d", device=device)
    for row in range(2):
        nwbfile.add_intracellular_recording(**recording(electrode, row))
    return nwbfile


def trial(series: TimeSeries, row: int) -> dict[str, Any]:
    return {
        "start_time": float(row),
        "stop_time": row + 0.5,
        "number": row,
        "label": f"label {row}",
        "marks": list(range(row + 1)),
        "tags": [f"tag {row}"] * (row % 3),
        "timeseries": [series],
    }


def unit(group: Any, row: int) -> dict[str, Any]:
    return {
        "spike_times": [0.1 * row, 0.5],
        "electrodes": [0, 1],
        "electrode_group": group,
        "quality": f"good {row}",
        "levels": [[row, 1], [2] * row],
        "obs_intervals": [[0.0, 1.0]],
    }


def recording(electrode: Any, row: int) -> dict[str, Any]:
    common = {"rate": 10.0, "electrode": electrode, "gain": 0.1, "sweep_number": np.uint64(row)}
    stimulus = VoltageClampStimulusSeries(name=f"s{row}", data=[1.0, 2.0, 3.0], **common)
    response = VoltageClampSeries(name=f"r{row}", data=[1.0, 2.0, 3.0], **common)
    return {"electrode": electrode, "stimulus": stimulus, "response": response, "id": row}


def rows_of(table: DynamicTable) -> dict[str, list[Any]]:
    """Every column, and those of the categories, as they are read."""
    columns = {"id": plain(table.id[:])}
    columns |= {name: plain(table[name][:]) for name in table.colnames}
    for name, category in getattr(table, "category_tables", {}).items():
        columns |= {f"{name}/{key}": value for key, value in rows_of(category).items()}
    return columns


def plain(value: Any) -> Any:
    """Values without their containers: references by the name of the target."""
    if hasattr(value, "idx_start"):
        target = value.timeseries
        return (int(value.idx_start), int(value.count), target.name)
    if hasattr(value, "columns"):  # rows of another table
        return plain(value.index)
    if isinstance(value, (list, tuple)) or (hasattr(value, "ndim") and value.ndim):
        return [plain(entry) for entry in value]
    if hasattr(value, "name"):
        return value.name
    return value.item() if isinstance(value, np.generic) else value


def tables_of(nwbfile: NWBFile) -> dict[str, dict[str, list[Any]]]:
    tables = (nwbfile.trials, nwbfile.units, nwbfile.electrodes, nwbfile.intracellular_recordings)
    return {table.name: rows_of(table) for table in tables}


def read(target: Target, mode: str = "r") -> dict[str, dict[str, list[Any]]]:
    with NWBZarrIO(target, mode) as io:
        return tables_of(io.read())


def lengths(tables: dict[str, dict[str, list[Any]]]) -> dict[str, int]:
    """Number of rows of each table, which is that of each of its columns."""
    found = {name: {len(column) for column in table.values()} for name, table in tables.items()}
    assert all(len(counts) == 1 for counts in found.values()), found
    return {name: counts.pop() for name, counts in found.items()}


@pytest.fixture(params=[3, 2], ids=["format3", "format2"])
def zarr_format(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A store of each format, of which every test has a copy."""
    folder = tmp_path_factory.mktemp("templates")
    for zarr_format in (2, 3):
        with NWBZarrIO(folder / f"{zarr_format}.zarr", "w", zarr_format=zarr_format) as io:
            io.write(make_file())
    return {zarr_format: folder / f"{zarr_format}.zarr" for zarr_format in (2, 3)}


@pytest.fixture
def local(tmp_path: Path, templates: dict[int, Path], zarr_format: int) -> Path:
    return Path(shutil.copytree(templates[zarr_format], tmp_path / "file.nwb.zarr"))


@pytest.fixture(params=["local", "memory"])
def target(request: pytest.FixtureRequest, local: Path) -> Target:
    if request.param == "local":
        return local
    files = (path for path in local.rglob("*") if path.is_file())
    content = {
        path.relative_to(local).as_posix(): default_buffer_prototype().buffer.from_bytes(
            path.read_bytes()
        )
        for path in files
    }
    return MemoryStore(content)


BAD_TRIALS: dict[str, Any] = {
    "start_time": "early",
    "number": 1.5,
    "label": 7,
    "marks": [1, 2.5],
    "tags": ["a", 3],
}

BAD_UNITS: dict[str, Any] = {
    "spike_times": ["x"],
    "electrodes": [0, "y"],
    "electrode_group": "shank",
    "quality": object(),
    "levels": [[1], [2, 0.5]],
    "obs_intervals": [[0.0, 1.0, 2.0]],
}


@pytest.mark.parametrize("column", BAD_TRIALS)
def test_a_refused_value_leaves_no_part_of_its_row(target, column):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        series = nwbfile.acquisition["ts"]
        with pytest.raises((ValueError, TypeError), match=column):
            nwbfile.add_trial(**{**trial(series, 2), column: BAD_TRIALS[column]})
        assert lengths(tables_of(nwbfile))["trials"] == 2
        nwbfile.add_trial(**trial(series, 2))
        io.write(nwbfile)
    expected = make_file()
    expected.add_trial(**trial(expected.acquisition["ts"], 2))
    for mode in ("r", "r-"):
        assert read(target, mode)["trials"] == rows_of(expected.trials)
    assert check(target).findings == ()


@pytest.mark.parametrize("column", BAD_UNITS)
def test_a_refused_value_of_a_unit_leaves_no_part_of_its_row(target, column):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        group = nwbfile.electrode_groups["shank"]
        with pytest.raises((ValueError, TypeError)):
            nwbfile.add_unit(**{**unit(group, 2), column: BAD_UNITS[column]})
        assert lengths(tables_of(nwbfile))["units"] == 2
        nwbfile.add_unit(**unit(group, 2))
    expected = make_file()
    expected.add_unit(**unit(expected.electrode_groups["shank"], 2))
    assert read(target)["units"] == rows_of(expected.units)
    assert check(target).findings == ()


def test_a_refused_electrode_leaves_no_part_of_its_row(target):
    before = read(target)
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        group = nwbfile.electrode_groups["shank"]
        with pytest.raises((ValueError, TypeError)):
            nwbfile.electrodes.add_row(group=group, group_name="shank", location=b"\xff")
    assert read(target) == before


def test_a_refused_recording_leaves_no_part_in_any_category(target):
    before = read(target)
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        electrode = nwbfile.icephys_electrodes["e"]
        bad = recording(electrode, 2)
        table = nwbfile.intracellular_recordings
        with pytest.raises((ValueError, TypeError, KeyError)):
            table.add_row(
                id=2,
                electrodes={"electrode": electrode},
                stimuli={"stimulus": (0, 3, bad["stimulus"])},
                responses={"response": (0.5, 3, bad["response"])},
            )
        assert lengths(tables_of(nwbfile)) == lengths(before)
        nwbfile.add_intracellular_recording(**recording(electrode, 3))
        io.write(nwbfile)
    after = read(target)["intracellular_recordings"]
    assert after["id"] == [0, 1, 3]
    assert after["responses/response"][2] == (0, 3, "r3")
    assert check(target).findings == ()


def test_text_that_widens_is_not_kept_of_a_refused_row(tmp_path, zarr_format):
    path = tmp_path / "table.zarr"
    table = DynamicTable(
        name="root",
        description="d",
        columns=[
            VectorData(name="small", description="d", data=np.array([1], dtype="int8")),
            VectorData(name="text", description="d", data=["ab"]),
            VectorData(name="last", description="d", data=[1.0]),
        ],
    )
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write(table)
    before = {name: zarr.open_array(path, path=name, mode="r").dtype for name in ("small", "text")}
    with ZarrIO(path, "r+", get_manager()) as io:
        table = io.read()
        with pytest.raises(ValueError, match="last"):
            table.add_row(small=1000, text="x" * 100, last="no")
    after = {name: zarr.open_array(path, path=name, mode="r").dtype for name in ("small", "text")}
    assert after == before
    with ZarrIO(path, "r+", get_manager()) as io:
        io.read().add_row(small=1000, text="x" * 100, last=2.0)
    with ZarrIO(path, "r", get_manager()) as io:
        table = io.read()
        assert table["small"][:].tolist() == [1, 1000]
        assert table["text"][:].tolist() == ["ab", "x" * 100]
        assert table["last"][:].tolist() == [1.0, 2.0]


# -- what ends a row in its middle -----------------------------------------------------------------


def add_one_of_each(nwbfile: NWBFile, row: int) -> None:
    nwbfile.add_trial(**trial(nwbfile.acquisition["ts"], row))
    nwbfile.add_unit(**unit(nwbfile.electrode_groups["shank"], row))
    group = nwbfile.electrode_groups["shank"]
    nwbfile.electrodes.add_row(group=group, group_name="shank", location="x" * 10 * row)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fail", "full"])
@pytest.mark.parametrize("at", range(0, 120, 15))
def test_a_failed_change_of_the_disk_leaves_no_part_of_a_row(local, kind, at):
    before = lengths(read(local))
    fault = Fault(at, kind)
    try:
        with NWBZarrIO(local, "r+") as io:
            nwbfile = io.read()
            with faulty_disk(fault):
                add_one_of_each(nwbfile, 2)
    except OSError:
        after = lengths(read(local))
        assert all(after[name] - before[name] in (0, 1) for name in before)
        assert not [one for one in check(local).findings if one.severity == "error"]
    else:  # no change failed, or only one for which there is another way, as for the journal
        after = lengths(read(local))
        assert after == {
            name: count + (name != "intracellular_recordings") for name, count in before.items()
        }
        assert fault.count <= at or all(".append.partial" in key for key in fault.struck)
    with NWBZarrIO(local, "r+") as io:
        nwbfile = io.read()
        start = lengths(tables_of(nwbfile))["trials"]
        add_one_of_each(nwbfile, 3)
    tables = read(local)
    assert lengths(tables)["trials"] == start + 1
    assert tables["trials"]["marks"][-1] == [0, 1, 2, 3]
    assert tables["units"]["levels"][-1] == [[3, 1], [2, 2, 2]]
    assert check(local).findings == ()


@pytest.mark.parametrize("at", range(0, 120, 24))
def test_a_row_is_added_after_a_failed_one_was_caught(local, at):
    with NWBZarrIO(local, "r+") as io:
        nwbfile = io.read()
        with faulty_disk(Fault(at, "fail")):
            try:
                add_one_of_each(nwbfile, 2)
            except OSError:
                lengths(tables_of(nwbfile))
        n_rows = lengths(tables_of(nwbfile))
        add_one_of_each(nwbfile, 3)
    tables = read(local)
    expected = {name: n_rows[name] + (name != "intracellular_recordings") for name in n_rows}
    assert lengths(tables) == expected
    assert tables["trials"]["label"][-1] == "label 3"
    assert tables["trials"]["timeseries"][-1][0][2] == "ts"
    assert tables["units"]["quality"][-1] == "good 3"
    assert check(local).findings == ()


class InterruptedAt:
    """Ctrl-C at the n-th call of a Python function."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt


# hdmf drops what is raised in a generator that it closes.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("at", [*range(1, 60, 12), *range(60, 4000, 340)])
def test_ctrl_c_leaves_no_part_of_a_row(local, at):
    interrupt = InterruptedAt(at)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*adding a row was interrupted")
        with NWBZarrIO(local, "r+") as io:
            nwbfile = io.read()
            group = nwbfile.electrode_groups["shank"]
            sys.setprofile(interrupt)
            try:
                nwbfile.add_unit(**unit(group, 2))
            except KeyboardInterrupt:
                pass
            finally:
                sys.setprofile(None)
            nwbfile.add_unit(**unit(group, 3))
    units = read(local)["units"]
    count = lengths({"units": units})["units"]
    assert count == 3 + (interrupt.count < at or count == 4)
    assert units["quality"][-1] == "good 3"
    assert units["levels"][-1] == [[3, 1], [2, 2, 2]]
    assert units["spike_times"][-1] == [pytest.approx(0.3), 0.5]
    assert not [one for one in check(local).findings if one.severity == "error"]


def test_a_row_that_is_interrupted_between_two_columns_is_removed_with_a_warning(local):
    with pytest.warns(UserWarning, match="'trials': adding a row was interrupted"):
        with NWBZarrIO(local, "r+") as io:
            nwbfile = io.read()
            series = nwbfile.acquisition["ts"]
            nwbfile.add_trial(**trial(series, 2))
            column = vars(nwbfile.trials["number"])
            add = column["add_row"]

            def interrupted(value: Any) -> None:
                add(value)
                raise KeyboardInterrupt

            column["add_row"] = interrupted
            with pytest.raises(KeyboardInterrupt):
                nwbfile.add_trial(**trial(series, 3))
            column["add_row"] = add
    expected = make_file()
    expected.add_trial(**trial(expected.acquisition["ts"], 2))
    assert read(local)["trials"] == rows_of(expected.trials)


# -- references whose targets are written later ----------------------------------------------------


def test_rows_keep_their_order_when_one_refers_to_a_new_object(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        new = TimeSeries(name="new", data=[1.0, 2.0], unit="V", rate=1.0)
        nwbfile.add_acquisition(new)
        nwbfile.add_trial(**trial(new, 2))
        nwbfile.add_trial(**trial(nwbfile.acquisition["ts"], 3))
        io.write(nwbfile)
    series = read(target)["trials"]["timeseries"]
    assert [row[0][2] for row in series] == ["ts", "ts", "new", "ts"]


def test_rows_that_refer_to_what_is_never_written_go_from_every_column(target):
    before = read(target)
    with pytest.warns(UserWarning, match="never written"):
        with NWBZarrIO(target, "r+") as io:
            nwbfile = io.read()
            new = TimeSeries(name="new", data=[1.0, 2.0], unit="V", rate=1.0)
            nwbfile.add_trial(**trial(new, 2))
    assert read(target) == before
    assert check(target).findings == ()


@pytest.mark.parametrize("at", [0, 3, 10, 20, 25, 30])
def test_rows_wait_again_when_the_write_fails(local, at):
    with NWBZarrIO(local, "r+") as io:
        nwbfile = io.read()
        new = TimeSeries(name="new", data=[1.0, 2.0], unit="V", rate=1.0)
        nwbfile.add_acquisition(new)
        nwbfile.add_trial(**trial(new, 2))
        with faulty_disk(Fault(at, "fail")):
            with contextlib.suppress(OSError):
                io.write(nwbfile)
        io.write(nwbfile)
    tables = read(local)
    assert lengths(tables)["trials"] == 3
    assert tables["trials"]["timeseries"][2][0][2] == "new"
    assert check(local).findings == ()


# -- columns that grow one by one ------------------------------------------------------------------


def test_columns_may_be_extended_one_after_the_other(local):
    with NWBZarrIO(local, "r+") as io:
        electrodes = io.read().electrodes
        electrodes.add_row(group=electrodes["group"][0], group_name="shank", location="CA3")
        for number in (10, 11):
            electrodes.id.append(number)
        electrodes["location"].extend(["a", "b"])
        electrodes["group"].data.append(electrodes["group"][0])
        electrodes["group"].data.append(electrodes["group"][0])
        electrodes["group_name"].data.append(["shank", "shank"])
    tables = read(local)
    assert tables["electrodes"]["id"] == [0, 1, 2, 3, 10, 11]
    assert tables["electrodes"]["location"][-3:] == ["CA3", "a", "b"]


# -- tables that are uneven already ----------------------------------------------------------------


@pytest.fixture
def uneven(local: Path, zarr_format: int) -> Path:
    """A store whose trials have one row more in some columns, as an older writer left it."""
    with NWBZarrIO(local, "r+") as io:
        trials = io.read().trials
        trials.id.data.append([2])
        trials["start_time"].data.append([9.0])
        trials["marks"].target.data.append([7, 8])
    return local


def test_an_uneven_table_opens_at_its_whole_rows(uneven):
    expected = make_file()
    for mode in ("r", "r-"):
        with pytest.warns(UserWarning, match="/intervals/trials: the columns differ"):
            found = read(uneven, mode)
        assert found["trials"] == rows_of(expected.trials)


def test_a_row_is_added_to_an_uneven_table(uneven):
    with pytest.warns(UserWarning, match="the 2 rows that all columns have"):
        with NWBZarrIO(uneven, "r+") as io:
            nwbfile = io.read()
            nwbfile.add_trial(**trial(nwbfile.acquisition["ts"], 2))
    expected = make_file()
    expected.add_trial(**trial(expected.acquisition["ts"], 2))
    assert read(uneven)["trials"] == rows_of(expected.trials)
    assert check(uneven).findings == ()


def test_reading_an_uneven_table_for_appending_changes_nothing(uneven):
    before = {path: path.read_bytes() for path in uneven.rglob("*") if path.is_file()}
    with pytest.warns(UserWarning, match="the columns differ"):
        with NWBZarrIO(uneven, "r+") as io:
            io.read()
    assert {path: path.read_bytes() for path in uneven.rglob("*") if path.is_file()} == before


def test_check_names_an_uneven_table_and_repair_cuts_it(uneven, capsys):
    found = [one for one in check(uneven).findings if one.code == "uneven-table"]
    assert [one.path for one in found] == ["/intervals/trials"]
    assert "'id' has 3" in found[0].message
    assert "'marks_index' has 2" in found[0].message
    assert main(["check", "--quiet", str(uneven)]) == 1
    assert main(["check", "--quiet", "--repair", str(uneven)]) == 0
    assert check(uneven).findings == ()
    assert read(uneven)["trials"] == rows_of(make_file().trials)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_repair_cuts_rows_without_elements_where_a_row_has_all_of_them(local, kept, capsys):
    with NWBZarrIO(local, "r") as io:
        ends = io.read().trials["marks"].data[:].tolist()
    n_elements = ends[kept] - 1 if kept < 2 else ends[-1]
    with ZarrIO(local, "r+", get_manager()) as io:
        io.read_builder()["intervals"]["trials"]["marks"].data.resize((n_elements,))
    found = {one.code for one in check(local).findings}
    assert found == {0: {"short-column"}, 1: {"uneven-table"}, 2: set()}[kept]
    before = {path: path.read_bytes() for path in local.rglob("*") if path.is_file()}
    assert main(["check", "--quiet", "--repair", str(local)]) == 0
    expected = rows_of(make_file().trials)
    if kept == 0:
        assert {path: path.read_bytes() for path in local.rglob("*") if path.is_file()} == before
    else:
        assert read(local)["trials"] == {name: rows[:kept] for name, rows in expected.items()}


@pytest.mark.filterwarnings("default:.*the columns differ:UserWarning")
def test_an_uneven_table_is_converted_at_its_whole_rows(uneven, tmp_path, capsys):
    for name in ("copy.nwb", "copy.nwb.zarr"):
        assert main(["convert", "--quiet", str(uneven), str(tmp_path / name)]) == 0
        assert "the columns differ in their number of rows" in capsys.readouterr().err
    assert read(tmp_path / "copy.nwb.zarr")["trials"] == rows_of(make_file().trials)


def test_categories_of_an_aligned_table_stay_aligned(tmp_path, zarr_format):
    path = tmp_path / "table.zarr"
    categories = [
        DynamicTable(
            name=name,
            description="d",
            columns=[VectorData(name="x", description="d", data=[1, 2])],
        )
        for name in ("first", "second")
    ]
    table = AlignedDynamicTable(
        name="root",
        description="d",
        columns=[VectorData(name="a", description="d", data=["p", "q"])],
        category_tables=categories,
    )
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write(table)
    with ZarrIO(path, "r+", get_manager()) as io:
        table = io.read()
        for bad in ({"x": "no"}, {}, {"x": 1, "y": 2}):
            with pytest.raises(ValueError, match=r"column|keys"):
                table.add_row(a="r", first={"x": 3}, second=bad)
            assert lengths({"table": rows_of(table)}) == {"table": 2}
        table.add_row(a="s", first={"x": 5}, second={"x": 6})
    with ZarrIO(path, "r", get_manager()) as io:
        found = rows_of(io.read())
    assert found["a"] == ["p", "q", "s"]
    assert found["first/x"] == [1, 2, 5]
    assert found["second/x"] == [1, 2, 6]
