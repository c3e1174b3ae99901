"""What is edited in memory is exported and appended, whatever was looked at between; and a store takes
no other file's objects.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.common import DynamicTable, VectorData, get_manager
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.errors import HDMFZarrError, ObjectExistsError

START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
N_ROWS = 3


def nwbfile(identifier: str = "first") -> NWBFile:
    file = NWBFile("a session", identifier, START)
    series = TimeSeries(name="series", data=np.arange(4.0), rate=1.0, unit="V", comments="old")
    file.add_acquisition(series)
    file.add_acquisition(
        TimeSeries(name="second", data=np.arange(3), timestamps=[0.0, 0.5, 1.0], unit="A")
    )
    group = file.create_electrode_group("group", "old", "old", file.create_device("device"))
    for _ in range(N_ROWS):
        file.add_electrode(group=group, location="x")
    file.add_trial(start_time=0.0, stop_time=1.0, timeseries=[series])
    module = file.create_processing_module("behavior", "old")
    module.add(TimeSeries(name="nested", data=[1, 2], rate=1.0, unit="m"))
    electrodes = file.create_electrode_table_region([0, 2], "region")
    module.add(
        ElectricalSeries(name="electrical", data=np.ones((2, 2)), rate=1.0, electrodes=electrodes)
    )
    return file


def zarr_source(path: Path, zarr_format: int = 3) -> Path:
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile())
    return path


def hdf5_source(path: Path) -> Path:
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile())
    return path


SOURCES: dict[str, Callable[[Path], tuple[type, Path]]] = {
    "zarr 3": lambda folder: (NWBZarrIO, zarr_source(folder / "source.nwb.zarr")),
    "zarr 2": lambda folder: (NWBZarrIO, zarr_source(folder / "source2.nwb.zarr", 2)),
    "hdf5": lambda folder: (NWBHDF5IO, hdf5_source(folder / "source.nwb")),
}


# -- looks: each clears modified flags, where HDMF constructs again ----------------------------------


def look_at_nothing(_io: Any, _file: NWBFile) -> None:
    pass


def read_again(io: Any, file: NWBFile) -> None:
    assert io.read() is file


def show(_io: Any, file: NWBFile) -> None:
    file._repr_html_()
    file.trials._repr_html_()


def walk(_io: Any, file: NWBFile) -> None:
    file.trials.to_dataframe()
    file.electrodes.to_dataframe()
    assert file.trials[0] is not None
    assert file.electrodes["group"][0] is file.electrode_groups["group"]
    assert file.trials["timeseries"][0][0].timeseries.name == "series"
    file.processing["behavior"]["electrical"].electrodes.to_dataframe()


def construct_all(io: Any, file: NWBFile) -> None:
    """Clear every flag, as no look does."""
    for container in file.all_children():
        builder = io.manager.get_builder(container)
        if builder is not None:
            io.manager.construct(builder)


LOOKS = [look_at_nothing, read_again, show, walk, construct_all]


# -- edits, and what a file has after each -------------------------------------------------------------


def edit_attribute(file: NWBFile) -> None:
    file.acquisition["series"].fields["conversion"] = 0.001
    file.acquisition["series"].set_modified()


def edit_attribute_without_a_flag(file: NWBFile) -> None:
    file.acquisition["series"].fields["comments"] = "new"


def edit_what_rows_refer_to(file: NWBFile) -> None:
    file.electrode_groups["group"].fields["location"] = "CA1"
    file.electrode_groups["group"].set_modified()


def set_what_was_missing(file: NWBFile) -> None:
    file.lab = "a lab"


def give_new_ids(file: NWBFile) -> None:
    file.generate_new_id()


def add_series(file: NWBFile) -> None:
    file.add_acquisition(TimeSeries(name="added", data=[7, 8], rate=2.0, unit="A"))


def add_to_module(file: NWBFile) -> None:
    file.processing["behavior"].add(TimeSeries(name="added", data=[7, 8], rate=2.0, unit="A"))


def add_module(file: NWBFile) -> None:
    module = file.create_processing_module("added", "new")
    module.add(TimeSeries(name="deep", data=[5], rate=2.0, unit="A"))


def add_column(file: NWBFile) -> None:
    file.electrodes.add_column("quality", "new", data=[1.5, 2.5, 3.5])


def add_column_to_trials(file: NWBFile) -> None:
    file.trials.add_column("correct", "new", data=["yes"])


def replace_data(file: NWBFile) -> None:
    file.processing["behavior"]["nested"].fields["data"] = np.array([9, 9])


def wrap_data(file: NWBFile) -> None:
    file.acquisition["series"].set_data_io("data", ZarrDataIO, data_io_kwargs={"chunks": (2,)})


def remove_series(file: NWBFile) -> None:
    file.acquisition.pop("second")


def edit_session(file: NWBFile) -> None:
    file.fields["session_description"] = "new"


def move_series(file: NWBFile) -> None:
    """Rows of trials refer to it."""
    file.add_stimulus(file.acquisition.pop("series"))


def move_to_another_parent(file: NWBFile) -> None:
    file.add_acquisition(file.processing["behavior"].data_interfaces.pop("nested"))


def link_what_is_there(file: NWBFile) -> None:
    file.processing["behavior"].add(file.acquisition["series"])


def change_a_link(file: NWBFile) -> None:
    file.electrode_groups["group"].fields["device"] = file.create_device("other")


def share_timestamps(file: NWBFile) -> None:
    owner = TimeSeries(name="owner", data=[1, 2, 3], timestamps=[5.0, 6.0, 7.0], unit="V")
    file.add_acquisition(owner)
    file.acquisition["second"].fields["timestamps"] = owner


def state(file: NWBFile) -> dict[str, Any]:
    """What the edits above change, as plain values."""
    found: dict[str, Any] = {
        "lab": file.lab,
        "device": file.electrode_groups["group"].device.name,
        "names": [sorted(file.acquisition), sorted(file.stimulus)],
        "linked": sorted(file.processing["behavior"].data_interfaces),
    }
    for container in file.all_children():
        if isinstance(container, TimeSeries):
            found[f"series {container.name}"] = (
                np.asarray(container.data[:]).tolist(),
                float(container.conversion),
                container.comments,
                container.unit,
                container.parent.name,
            )
        if isinstance(container, DynamicTable):
            found[f"columns of {container.name}"] = tuple(container.colnames)
    if "second" in file.acquisition:
        found["timestamps"] = [float(time) for time in file.acquisition["second"].timestamps]
    found["location"] = file.electrode_groups["group"].location
    found["groups"] = [group.location for group in file.electrodes["group"][:]]
    if "quality" in file.electrodes.colnames:
        found["quality"] = [float(value) for value in file.electrodes["quality"][:]]
    found["region"] = [
        int(row) for row in file.processing["behavior"]["electrical"].electrodes.data
    ]
    found["trial"] = file.trials["timeseries"][0][0].timeseries.conversion
    found["ids"] = sorted(container.object_id for container in file.all_children())
    return found


ADDITIONS = [
    set_what_was_missing,
    add_series,
    add_to_module,
    add_module,
    add_column,
    add_column_to_trials,
    link_what_is_there,
    change_a_link,
]
ATTRIBUTES = [edit_attribute_without_a_flag, give_new_ids]
EXPORTED = [
    edit_attribute,
    edit_what_rows_refer_to,
    replace_data,
    wrap_data,
    remove_series,
    share_timestamps,
    move_series,
    move_to_another_parent,
    *ADDITIONS,
    *ATTRIBUTES,
]


def exported(io_class: type, target: Any, source_io: Any, file: NWBFile, **options: Any) -> Any:
    with io_class(target, "w") as io:
        io.export(src_io=source_io, nwbfile=file, **options)
    with io_class(target, "r") as io:
        return state(io.read())


@pytest.mark.parametrize(
    ("source", "look"),
    [
        *itertools.product(["zarr 3"], LOOKS),
        ("zarr 2", walk),
        *itertools.product(["hdf5"], [read_again, walk, construct_all]),
    ],
)
@pytest.mark.parametrize("edit", EXPORTED)
def test_an_edit_is_exported_whatever_was_looked_at(tmp_path, source, edit, look):
    io_class, path = SOURCES[source](tmp_path)
    with io_class(str(path), "r") as source_io:
        file = source_io.read()
        before = state(file)
        edit(file)
        look(source_io, file)
        expected = state(file)
        assert (expected != before) == (edit is not wrap_data)
        looked_after = exported(NWBZarrIO, str(tmp_path / "target.nwb.zarr"), source_io, file)
        assert looked_after == expected
        if edit is wrap_data:
            assert zarr.open_array(tmp_path / "target.nwb.zarr/acquisition/series/data").chunks == (
                2,
            )
        look(source_io, file)
        again = exported(NWBZarrIO, str(tmp_path / "again.nwb.zarr"), source_io, file)
    assert again == expected


@pytest.mark.parametrize("clear_cache", [False, True])
@pytest.mark.parametrize("link_data", [False, True])
def test_options_of_an_export_keep_edits_and_the_source(tmp_path, clear_cache, link_data):
    source = zarr_source(tmp_path / "source.nwb.zarr")
    options = {"clear_cache": clear_cache, "write_args": {"link_data": link_data}}
    with NWBZarrIO(source, "r+") as source_io:
        file = source_io.read()
        edit_what_rows_refer_to(file)
        add_column(file)
        walk(source_io, file)
        expected = state(file)
        target = str(tmp_path / "target.nwb.zarr")
        assert exported(NWBZarrIO, target, source_io, file, **options) == expected
        assert source_io.read() is file
        add_series(file)
        source_io.write(file)
        expected = state(file)
    with NWBZarrIO(source, "r") as io:
        assert state(io.read()) == expected


def test_edits_of_a_zarr_store_go_to_hdf5_and_it_can_be_appended_to_afterwards(tmp_path):
    source = zarr_source(tmp_path / "source.nwb.zarr")
    with NWBZarrIO(source, "r+") as source_io:
        file = source_io.read()
        edit_what_rows_refer_to(file)
        edit_attribute_without_a_flag(file)
        walk(source_io, file)
        expected = state(file)
        options = {"write_args": {"link_data": False}}
        assert exported(NWBHDF5IO, str(tmp_path / "a.nwb"), source_io, file, **options) == expected
        walk(source_io, file)
        assert source_io.read() is file
        assert exported(NWBZarrIO, str(tmp_path / "b.zarr"), source_io, file) == expected
        add_series(file)
        source_io.write(file)
        expected = state(file)
    with NWBZarrIO(source, "r") as io:
        assert state(io.read()) == expected


def test_edits_of_an_hdf5_file_are_exported_after_another_export_to_hdf5(tmp_path):
    with NWBHDF5IO(str(hdf5_source(tmp_path / "source.nwb")), "r") as source_io:
        file = source_io.read()
        edit_what_rows_refer_to(file)
        expected = state(file)
        options = {"write_args": {"link_data": False}}
        assert exported(NWBHDF5IO, str(tmp_path / "a.nwb"), source_io, file, **options) == expected
        file.electrodes.to_dataframe()
        assert exported(NWBZarrIO, str(tmp_path / "b.zarr"), source_io, file) == expected


def test_edits_reach_a_remote_store(tmp_path):
    url = f"memory://{uuid.uuid4().hex}.nwb.zarr"
    with NWBHDF5IO(str(hdf5_source(tmp_path / "source.nwb")), "r") as source_io:
        file = source_io.read()
        edit_what_rows_refer_to(file)
        walk(source_io, file)
        assert exported(NWBZarrIO, url, source_io, file) == state(file)
    with NWBZarrIO(url, "r+") as io:
        file = io.read()
        add_column(file)
        add_module(file)
        walk(io, file)
        io.write(file)
        expected = state(file)
    with NWBZarrIO(url, "r") as io:
        assert state(io.read()) == expected


def test_an_export_leaves_the_source_and_its_flags_as_they_were(tmp_path):
    with NWBZarrIO(zarr_source(tmp_path / "source.nwb.zarr"), "r") as source_io:
        file = source_io.read()
        edit_attribute(file)
        builders = {id(c): source_io.manager.get_builder(c) for c in file.all_children()}
        flags = {id(c): c.modified for c in file.all_children()}
        exported(NWBZarrIO, str(tmp_path / "target.nwb.zarr"), source_io, file)
        for container in file.all_children():
            assert source_io.manager.get_builder(container) is builders[id(container)]
            assert container.modified == flags[id(container)]


def test_new_ids_are_those_to_which_references_lead(tmp_path):
    """References of format 2 hold the ids."""
    with NWBZarrIO(zarr_source(tmp_path / "source.nwb.zarr"), "r") as source_io:
        file = source_io.read()
        file.generate_new_id()
        walk(source_io, file)
        ids = {c.object_id for c in file.all_children()}
        with NWBZarrIO(tmp_path / "target.nwb.zarr", "w", zarr_format=2) as io:
            io.export(src_io=source_io, nwbfile=file)
        group_id, file_id = file.electrode_groups["group"].object_id, file.object_id
    with NWBZarrIO(tmp_path / "target.nwb.zarr", "r") as io:
        read = io.read()
        assert {c.object_id for c in read.all_children()} == ids
        element = str(read.electrodes["group"].data.dataset[0])
        assert group_id in element
        assert file_id in element


def test_a_reference_of_what_was_not_edited_has_the_new_id_of_its_target(tmp_path):
    with NWBZarrIO(zarr_source(tmp_path / "source.nwb.zarr"), "r") as source_io:
        file = source_io.read()
        file.electrodes.generate_new_id()
        with NWBZarrIO(tmp_path / "target.nwb.zarr", "w", zarr_format=2) as io:
            io.export(src_io=source_io, nwbfile=file)
    array = zarr.open_array(tmp_path / "target.nwb.zarr/processing/behavior/electrical/electrodes")
    assert file.electrodes.object_id in str(array.attrs["table"])


def test_what_no_specification_knows_stays_where_nothing_was_edited(tmp_path):
    source = zarr_source(tmp_path / "source.nwb.zarr")
    with NWBZarrIO(source, "r+") as io:
        io.read()
        io.write_attributes("acquisition/series", {"of_a_lab": 5})
    with NWBZarrIO(source, "r") as source_io:
        file = source_io.read()
        file.acquisition["second"].fields["comments"] = "new"
        walk(source_io, file)
        with NWBZarrIO(tmp_path / "target.nwb.zarr", "w") as io:
            io.export(src_io=source_io, nwbfile=file)
    with NWBZarrIO(tmp_path / "target.nwb.zarr", "r") as io:
        assert io.read().acquisition["second"].comments == "new"
        assert io.read_builder()["acquisition/series"].attributes["of_a_lab"] == 5


def test_an_edit_of_what_another_store_holds_is_exported(tmp_path):
    """The link to it would lead to the data without the edit."""
    other = zarr_source(tmp_path / "other.nwb.zarr")
    manager_io = NWBZarrIO(other, "r")
    with manager_io as other_io:
        linked = other_io.read().acquisition["series"]
        file = NWBFile("linking", "links", START)
        file.add_acquisition(linked)
        with NWBZarrIO(tmp_path / "source.nwb.zarr", "w", manager=other_io.manager) as io:
            io.write(file)
    for link_data, external_links in itertools.product((False, True), ("follow", "keep")):
        with NWBZarrIO(tmp_path / "source.nwb.zarr", "r") as source_io:
            read = source_io.read()
            read.acquisition["series"].fields["comments"] = "edited"
            target = tmp_path / f"{link_data}{external_links}.nwb.zarr"
            with NWBZarrIO(target, "w") as io:
                io.export(
                    source_io,
                    read,
                    write_args={"link_data": link_data},
                    external_links=external_links,
                )
        with NWBZarrIO(target, "r") as io:
            assert io.read().acquisition["series"].comments == "edited"


# -- appends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zarr_format", "look"), [(2, walk), *itertools.product([3], LOOKS)])
@pytest.mark.parametrize("edit", [e for e in ADDITIONS if e is not set_what_was_missing])
def test_what_was_added_is_appended_whatever_was_looked_at(tmp_path, edit, look, zarr_format):
    source = zarr_source(tmp_path / "source.nwb.zarr", zarr_format)
    with NWBZarrIO(source, "r+") as io:
        file = io.read()
        edit(file)
        look(io, file)
        io.write(file)
        look(io, file)
        file.add_acquisition(TimeSeries(name="last", data=[1], rate=1.0, unit="V"))
        look(io, file)
        io.write(file)
        expected = state(file)
    with NWBZarrIO(source, "r") as io:
        assert state(io.read()) == expected


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("edit", [edit_attribute_without_a_flag, give_new_ids])
def test_attributes_of_groups_are_appended(tmp_path, edit, look):
    source = zarr_source(tmp_path / "source.nwb.zarr")
    with NWBZarrIO(source, "r+") as io:
        file = io.read()
        edit(file)
        look(io, file)
        io.write(file)
        expected = state(file)
    with NWBZarrIO(source, "r") as io:
        assert state(io.read()) == expected


@pytest.mark.parametrize("look", [look_at_nothing, walk])
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replace_data, "processing/behavior/nested/data: other data are in memory"),
        (remove_series, "/second: the object was removed in memory"),
        (edit_session, "/session_description: other data are in memory"),
    ],
)
def test_what_an_append_does_not_do_is_a_warning(tmp_path, edit, message, look):
    source = zarr_source(tmp_path / "source.nwb.zarr")
    with NWBZarrIO(source, "r+") as io:
        file = io.read()
        before = state(file)
        edit(file)
        look(io, file)
        with pytest.warns(UserWarning, match=message):
            io.write(file)
    with NWBZarrIO(source, "r") as io:
        assert state(io.read()) == before


def test_rows_of_references_that_wait_are_exported(tmp_path):
    with NWBZarrIO(zarr_source(tmp_path / "source.nwb.zarr"), "r+") as io:
        file = io.read()
        group = file.create_electrode_group("new", "d", "CA3", file.devices["device"])
        file.add_electrode(group=group, location="y")
        walk_groups = [g.location for g in file.electrodes["group"][:]]
        target = tmp_path / "target.nwb.zarr"
        with NWBZarrIO(target, "w") as target_io:
            target_io.export(src_io=io, nwbfile=file)
        io.write(file)
    for path in (target, tmp_path / "source.nwb.zarr"):
        with NWBZarrIO(path, "r") as io:
            assert [g.location for g in io.read().electrodes["group"][:]] == walk_groups


# -- other files ---------------------------------------------------------------------------------------


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("mode", ["a", "r+"])
@pytest.mark.parametrize("is_read_first", [False, True])
def test_another_file_is_not_written_into_a_store(tmp_path, mode, is_read_first, zarr_format):
    source = zarr_source(tmp_path / "source.nwb.zarr", zarr_format)
    before, other = digest(source), nwbfile("other")
    with NWBZarrIO(source, mode) as io:
        if is_read_first:
            io.read()
        with pytest.raises(ObjectExistsError, match="holds a file already") as info:
            io.write(other)
    assert isinstance(info.value, ValueError)
    assert str(source) in str(info.value)
    assert "mode 'w'" in str(info.value)
    assert digest(source) == before
    assert other.container_source is None
    with NWBZarrIO(tmp_path / "new.nwb.zarr", "w") as io:
        io.write(other)


@pytest.mark.parametrize("mode", ["a", "r+"])
@pytest.mark.parametrize("has_same_manager", [False, True])
@pytest.mark.parametrize("source", ["zarr 3", "hdf5", "itself"])
def test_a_file_that_another_io_has_read_is_not_written_into_a_store(
    tmp_path, mode, has_same_manager, source
):
    store = zarr_source(tmp_path / "store.nwb.zarr")
    io_class, path = (NWBZarrIO, store) if source == "itself" else SOURCES[source](tmp_path)
    before = digest(store)
    with io_class(str(path), "r") as source_io:
        file = source_io.read()
        options = {"manager": source_io.manager} if has_same_manager else {}
        with NWBZarrIO(store, mode, **options) as io, pytest.raises(ObjectExistsError):
            io.write(file)
    assert digest(store) == before


def test_a_store_object_gets_what_was_added_and_no_other_file():
    store = MemoryStore()
    with NWBZarrIO(store, "w") as io:
        io.write(nwbfile())
    with NWBZarrIO(store, "r+") as io:
        file = io.read()
        add_column(file)
        add_series(file)
        construct_all(io, file)
        io.write(file)
        expected = state(file)
    with NWBZarrIO(store, "r") as io:
        assert state(io.read()) == expected


def test_another_file_is_not_written_into_a_remote_store_or_a_store_object():
    for place in (f"memory://{uuid.uuid4().hex}.zarr", MemoryStore()):
        with NWBZarrIO(place, "w") as io:
            io.write(nwbfile())
        with NWBZarrIO(place, "a") as io, pytest.raises(ObjectExistsError):
            io.write(nwbfile("other"))
        with NWBZarrIO(place, "r") as io:
            assert io.read().identifier == "first"


def test_a_part_of_a_file_is_not_written_as_its_root(tmp_path):
    source = zarr_source(tmp_path / "source.nwb.zarr")
    before = digest(source)
    with NWBZarrIO(source, "r+") as io:
        trials = io.read().trials
        with pytest.raises(ObjectExistsError):
            ZarrIO.write(io, trials)
    assert digest(source) == before


def test_two_writes_and_two_exports_of_an_io_that_creates(tmp_path):
    with NWBZarrIO(tmp_path / "new.nwb.zarr", "w") as io:
        file = nwbfile()
        io.write(file)
        add_series(file)
        io.write(file)
        with pytest.raises(ObjectExistsError):
            io.write(nwbfile("other"))
        expected = state(file)
    with NWBZarrIO(tmp_path / "new.nwb.zarr", "r") as source_io:
        assert state(source_io.read()) == expected
        with NWBZarrIO(tmp_path / "target.nwb.zarr", "w") as io:
            io.export(source_io)
            with pytest.raises(ObjectExistsError):
                io.write(nwbfile("other"))
    with NWBZarrIO(tmp_path / "target.nwb.zarr", "r") as io:
        assert state(io.read()) == expected


def test_mode_a_writes_a_file_that_does_not_exist_yet_and_reads_it(tmp_path):
    with NWBZarrIO(tmp_path / "new.nwb.zarr", "a") as io:
        file = nwbfile()
        io.write(file)
        add_series(file)
        io.write(file)
        read = io.read()
        add_module(read)
        io.write(read)
        expected = state(read)
    with NWBZarrIO(tmp_path / "new.nwb.zarr", "r") as io:
        assert state(io.read()) == expected


def table(name: str, values: list[int]) -> DynamicTable:
    column = VectorData(name="values", description="", data=values)
    return DynamicTable(name=name, description=name, columns=[column])


def test_a_plain_container_is_not_written_into_a_store_of_another(tmp_path):
    path = tmp_path / "table.zarr"
    with ZarrIO(path, "w", manager=get_manager()) as io:
        io.write(table("root", [1, 2]))
    before = digest(path)
    with ZarrIO(path, "a", manager=get_manager()) as io:
        with pytest.raises(HDMFZarrError, match="DynamicTable"):
            io.write(table("root", [3]))
        io.read()
        with pytest.raises(ObjectExistsError):
            io.write_builder(io.manager.build(table("root", [3]), source=io.source))
    assert digest(path) == before
    with ZarrIO(path, "a", manager=get_manager()) as io:
        read = io.read()
        read.add_column("more", "", data=[5, 6])
        io.write(read)
    with ZarrIO(path, "r", manager=get_manager()) as io:
        assert io.read()["more"].data[:].tolist() == [5, 6]
        with HDF5IO(str(tmp_path / "table.h5"), "w", manager=get_manager()) as target:
            target.export(io, write_args={"link_data": False})


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_object_that_replaces_another_in_memory_is_not_mixed_with_it(tmp_path, zarr_format):
    source = zarr_source(tmp_path / "source.nwb.zarr", zarr_format)
    before = digest(source)
    with NWBZarrIO(source, "r+") as io:
        file = io.read()
        file.acquisition.pop("second")
        file.add_acquisition(TimeSeries(name="second", data=[9], rate=1.0, unit="V"))
        message = "/acquisition/second: the store has another object of this name"
        with (
            pytest.raises(ObjectExistsError, match=message),
            pytest.warns(UserWarning, match="removed in memory"),
        ):
            io.write(file)
    assert digest(source) == before
