"""`io._file` of a file that is written: zarr's group shows what was written, and what it writes counts."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder
from pynwb import NWBFile, TimeSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.errors import (
    EncodingError,
    HDMFZarrError,
    LayoutError,
    LockedError,
    MetadataError,
    ObjectExistsError,
    OptionError,
)
from hdmf_zarr.transactions.lock import writer_of

OLD = np.arange(20)


@pytest.fixture(params=["folder 2", "folder 3", "memory 2", "memory 3", "url 3"])
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    kind, zarr_format = request.param.split()
    places = {
        "folder": tmp_path / "a.zarr",
        "memory": MemoryStore(),
        "url": f"memory://{tmp_path.name}/live.zarr",
    }
    with NWBZarrIO(places[kind], "w", zarr_format=int(zarr_format)) as io:
        io.write(made())
    return places[kind]


@pytest.fixture(params=[2, 3])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    with NWBZarrIO(tmp_path / "a.zarr", "w", zarr_format=request.param) as io:
        io.write(made())
    return tmp_path / "a.zarr"


def made() -> NWBFile:
    nwbfile = NWBFile("live", "live", datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(TimeSeries(name="raw", data=OLD, unit="V", rate=1.0))
    return nwbfile


def changed(place: Any, change: Callable[[zarr.Group], Any], mode: str = "r+") -> Any:
    """Change a file through its group, and return the group that another reader has of it."""
    with NWBZarrIO(place, mode) as io:
        assert isinstance(io._file, zarr.Group)
        change(io._file)
    return seen(place)


def seen(place: Any) -> zarr.Group:
    errors = [found for found in check(place).findings if found.severity == "error"]
    assert errors == []
    group = NWBZarrIO(place, "r")._file
    assert group is not None
    return group


# -- what is written through it --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r+", "a"])
def test_elements_and_attributes_are_committed(target: Any, mode: str) -> None:
    def change(file: zarr.Group) -> None:
        file["acquisition/raw/data"][0] = 60
        file["acquisition/raw/data"].attrs["unit"] = "mV"
        file["acquisition/raw"].attrs.update({"comments": "changed", "more": [1, {"a": None}]})
        file.attrs["note"] = "here"
        assert file.attrs["note"] == "here"
        assert file["acquisition/raw/data"][:2].tolist() == [60, 1]
        assert file["acquisition/raw"].attrs["comments"] == "changed"

    group = changed(target, change, mode)
    assert group["acquisition/raw/data"][:].tolist() == [60, *range(1, 20)]
    assert group.attrs["note"] == "here"
    assert group["acquisition/raw"].attrs["more"] == [1, {"a": None}]
    with NWBZarrIO(target, "r") as io:
        series = io.read().acquisition["raw"]
        assert (series.unit, series.comments, series.data[0]) == ("mV", "changed", 60)


def test_attributes_are_removed_and_replaced(target: Any) -> None:
    def change(file: zarr.Group) -> None:
        file["acquisition/raw"].attrs["more"] = 1
        del file["acquisition/raw"].attrs["more"]
        file["acquisition"].attrs.put({"only": 2})

    group = changed(target, change)
    assert "more" not in group["acquisition/raw"].attrs
    assert group["acquisition"].attrs.asdict() == {"only": 2}


def test_nodes_are_made(target: Any) -> None:
    def change(file: zarr.Group) -> None:
        group = file.create_group("scratch/mine", attributes={"a": 1})
        names = {"name": "v2", "separator": "."}
        array = group.create_array(
            "x", shape=(5, 4), chunks=(2, 3), dtype="int16", chunk_key_encoding=names
        )
        array[:] = np.arange(20).reshape(5, 4)
        empty = group.create_array(
            "empty", shape=(6,), chunks=(2,), dtype="float64", chunk_key_encoding=names
        )
        empty[2] = 1.0
        assert sorted(file["scratch/mine"]) == ["empty", "x"]
        assert "mine" in file["scratch"]

    group = changed(target, change)
    assert group["scratch/mine"].attrs.asdict() == {"a": 1}
    assert group["scratch/mine/x"][:].tolist() == np.arange(20).reshape(5, 4).tolist()
    assert group["scratch/mine/empty"][:].tolist() == [0, 0, 1, 0, 0, 0]
    with NWBZarrIO(target, "r") as io:
        scratch = io.read_builder()["scratch/mine"]
        assert scratch["x"].data[:].tolist() == np.arange(20).reshape(5, 4).tolist()
        assert scratch["empty"].data[:].tolist() == [0, 0, 1, 0, 0, 0]


def test_what_zarr_leaves_out_is_a_fill_value(target: Any) -> None:
    """zarr removes a chunk that has nothing but fill values."""
    group = changed(target, lambda file: file["acquisition/raw/data"].__setitem__(slice(None), 0))
    assert group["acquisition/raw/data"][:].tolist() == [0] * 20
    with NWBZarrIO(target, "r") as io:
        assert io.read().acquisition["raw"].data[:].tolist() == [0] * 20


@pytest.mark.parametrize("length", [7, 30])
def test_arrays_are_resized(target: Any, length: int) -> None:
    def change(file: zarr.Group) -> None:
        file["acquisition/raw/data"].resize((length,))

    changed(target, change)
    with NWBZarrIO(target, "r") as io:
        found = io.read().acquisition["raw"].data[:].tolist()
    assert found == [*range(min(20, length)), *[0] * max(0, length - 20)]


def test_rows_are_appended(target: Any) -> None:
    changed(target, lambda file: file["acquisition/raw/data"].append(np.array([7, 8, 9])))
    with NWBZarrIO(target, "r") as io:
        assert io.read().acquisition["raw"].data[:].tolist() == [*range(20), 7, 8, 9]


def test_nodes_are_removed_by_the_commit(target: Any) -> None:
    def change(file: zarr.Group) -> None:
        del file["acquisition/raw"]
        assert "raw" not in file["acquisition"]
        with pytest.raises(KeyError):
            file["acquisition/raw/data"]
        assert NWBZarrIO(target, "r").read().acquisition["raw"].data[:].tolist() == OLD.tolist()
        with pytest.raises(ObjectExistsError, match=r"was removed.*write\(\) or close"):
            file.create_group("acquisition/raw/data")
        assert file["acquisition/raw/data"][:].tolist() == OLD.tolist()
        del file["acquisition/raw"]

    group = changed(target, change)
    assert "raw" not in group["acquisition"]
    assert NWBZarrIO(target, "r").read().acquisition == {}
    assert check(target).findings == ()
    if isinstance(target, Path):
        assert not (target / "acquisition/raw").exists()


def test_a_removal_that_is_not_committed_is_undone(folder: Path) -> None:
    io = NWBZarrIO(folder, "r+")
    assert io._file is not None
    del io._file["acquisition/raw"]
    copy = shutil.copytree(folder, folder.with_name("killed.zarr"))
    with NWBZarrIO(copy, "r+") as again:
        assert again.read().acquisition["raw"].data[:].tolist() == OLD.tolist()
    assert seen(copy)["acquisition/raw/data"][:].tolist() == OLD.tolist()
    with pytest.warns(UserWarning, match=r"is undone \(/acquisition/raw, /acquisition/raw/data"):
        other = NWBZarrIO(folder, "r+")
    assert other.read().acquisition["raw"].data[:].tolist() == OLD.tolist()
    io.close()
    other.close()


@pytest.mark.parametrize("make", ["create_array", "create_group", "open_group"])
def test_what_is_not_overwritten_is_kept(folder: Path, make: str) -> None:
    with NWBZarrIO(folder, "r+") as io:
        file = io._file
        assert file is not None
        names = {"name": "v2", "separator": "."}
        with pytest.raises(ObjectExistsError, match="was removed"):
            if make == "create_array":
                file.create_array(
                    "acquisition/raw/data",
                    shape=(2,),
                    dtype="i4",
                    overwrite=True,
                    chunk_key_encoding=names,
                )
            elif make == "create_group":
                file.create_group("acquisition", overwrite=True)
            else:
                zarr.open_group(file.store, path="acquisition", mode="w")
    assert seen(folder)["acquisition/raw/data"][:].tolist() == OLD.tolist()


def test_what_was_removed_is_not_written_in_other_ways(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        assert io._file is not None
        del io._file["acquisition/raw/data"]
        with pytest.raises(ObjectExistsError, match="was removed"):
            io.write_dataset("acquisition/raw", DatasetBuilder("data", [1]))
        io.write_dataset("acquisition/raw", DatasetBuilder("other", [1]))
    assert sorted(seen(folder)["acquisition/raw"]) == ["other", "starting_time"]
    with NWBZarrIO(folder, "r+") as io:
        io.write_dataset("acquisition/raw", DatasetBuilder("data", [1]))
    assert seen(folder)["acquisition/raw/data"][:].tolist() == [1]


def test_the_rest_is_kept_where_a_table_is_removed(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_trial(start_time=0.0, stop_time=1.0)
        io.write(nwbfile)
    with NWBZarrIO(folder, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_trial(start_time=2.0, stop_time=3.0)
        nwbfile.acquisition["raw"].data.append([7])
        assert io._file is not None
        del io._file["intervals"]
        with pytest.raises(MetadataError, match="was removed"):
            nwbfile.add_trial(start_time=4.0, stop_time=5.0)
    with NWBZarrIO(folder, "r") as io:
        assert io.read().trials is None
        assert io.read().acquisition["raw"].data[:].tolist() == [*OLD, 7]


# -- what it shows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r+", "w"])
def test_it_shows_what_the_io_has_written_since(target: Any, mode: str) -> None:
    with NWBZarrIO(target, mode) as io:
        nwbfile = made()
        if mode == "w":
            io.write(nwbfile)
        else:
            nwbfile = io.read()
        file = io._file
        assert file is not None
        nwbfile.add_acquisition(TimeSeries(name="more", data=[1, 2], unit="V", rate=1.0))
        io.write(nwbfile)
        assert file["acquisition/more/data"][:].tolist() == [1, 2]
        io.write_attributes("", {"note": "root"})
        io.write_attributes("acquisition/raw", {"comments": "changed"})
        assert file.attrs["note"] == "root"
        assert file["acquisition/raw"].attrs["comments"] == "changed"
        file["acquisition/more/data"][0] = 5
        assert nwbfile.acquisition["raw"].data[0] == 0
    with NWBZarrIO(target, "r") as io:
        assert io.read().acquisition["more"].data[:].tolist() == [5, 2]
        assert io.read_builder().attributes["note"] == "root"


def test_an_array_that_was_taken_before_has_what_is_written_since(target: Any) -> None:
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        assert io._file is not None
        live, group = io._file["acquisition/raw/data"], io._file["acquisition/raw"]
        for value in range(20, 23):
            nwbfile.acquisition["raw"].data.append([value])
        io.write(nwbfile)
        assert live[:].tolist() == [*range(23)]
        live.update_attributes({"unit": "mV"})
        assert live.attrs["conversion"] == 1.0, "the others stay"
        live.append(np.array([23]))
        io.write_attributes("acquisition/raw", {"comments": "written"})
        group.attrs["note"] = 1
        io._file.attrs["b"] = 2
    with NWBZarrIO(target, "r") as io:
        series = io.read().acquisition["raw"]
        assert series.data[:].tolist() == [*range(24)]
        assert (series.unit, series.comments) == ("mV", "written")


def test_a_group_that_was_taken_before_the_commit_writes_into_the_store(target: Any) -> None:
    with NWBZarrIO(target, "w") as io:
        group = io._file
        assert group is not None
        group.attrs["mine"] = 1
        io.write(made())
        group.create_array("arr", data=np.array([1, 2, 3]))
    found = seen(target)
    assert found["arr"][:].tolist() == [1, 2, 3]
    assert found.attrs["mine"] == 1
    assert NWBZarrIO(target, "r").read().acquisition["raw"].data[:].tolist() == OLD.tolist()
    if isinstance(target, Path):
        assert [path.name for path in target.parent.iterdir()] == ["a.zarr"]


def test_a_group_keeps_its_file_open(folder: Path) -> None:
    group = NWBZarrIO(folder, "r+")._file
    assert group is not None
    gc.collect()
    group.attrs["kept"] = 1
    group._owner.close()  # type: ignore[attr-defined]
    assert seen(folder).attrs["kept"] == 1


def test_a_new_store_is_written_through_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.zarr"
    with NWBZarrIO(path, "w") as io:
        assert io._file is not None
        io._file.create_array("x", data=np.arange(4), chunks=(2,))
        io._file.attrs["a"] = 1
        assert not path.exists()
    group = zarr.open_group(path, mode="r")
    assert group["x"][:].tolist() == [0, 1, 2, 3]
    assert group.attrs["a"] == 1


def test_a_change_locks_the_store_until_the_commit(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        assert io._file is not None
        io._file["acquisition/raw/data"][:]
        assert writer_of(folder) is None
        io._file["acquisition/raw"].attrs["comments"] = "changed"
        assert "this process" in str(writer_of(folder))
    assert writer_of(folder) is None


def test_a_group_of_an_old_view_is_refused(target: Any) -> None:
    io = NWBZarrIO(target, "r+")
    file = io._file
    assert file is not None
    changed(target, lambda other: other.attrs.update({"note": "first"}))
    for change in (
        lambda: file.attrs.update({"note": "late"}),
        lambda: file["acquisition/raw/data"].__setitem__(0, 9),
        lambda: file.create_group("late"),
        lambda: file.__delitem__("acquisition"),
    ):
        with pytest.raises(LockedError, match="changed.*since it was"):
            change()
    io.close()
    assert seen(target).attrs["note"] == "first"
    assert seen(target)["acquisition/raw/data"][0] == 0


# -- what is refused -------------------------------------------------------------------------------


def test_a_file_is_not_emptied_through_its_group(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        file = io._file
        assert file is not None
        with pytest.raises(OptionError, match="is not emptied"):
            zarr.open_group(file.store, mode="w")
    assert seen(folder)["acquisition/raw/data"][:].tolist() == OLD.tolist()


@pytest.mark.parametrize("folder", [2], indirect=True)
def test_names_that_format_2_does_not_have_are_refused(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        assert io._file is not None
        with pytest.raises(LayoutError, match="chunk_key_encoding"):
            io._file.create_array("x", shape=(3,), dtype="i4")
    assert "x" not in seen(folder)


def test_a_file_that_is_read_stays_as_it_is(folder: Path) -> None:
    with NWBZarrIO(folder, "r") as io:
        assert io._file is not None
        with pytest.raises(ValueError, match="read-only"):
            io._file.attrs["a"] = 1


@pytest.mark.parametrize(
    "name", ["a" * 256, "zarr.json", ".append.partial", f"zarr.json.{'0' * 32}.partial"]
)
def test_names_that_break_the_store_are_refused(folder: Path, name: str) -> None:
    with NWBZarrIO(folder, "r+") as io:
        assert io._file is not None
        with pytest.raises(EncodingError, match="cannot have this name"):
            io._file.create_group(name)
    assert name not in seen(folder)


def test_what_hdmf_cannot_read_is_refused(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        assert io._file is not None
        with pytest.raises(HDMFZarrError):
            io._file.create_array(
                "x",
                shape=(2,),
                dtype="datetime64[ns]",
                chunk_key_encoding={"name": "v2", "separator": "."},
            )
        with pytest.raises(EncodingError, match="stored as JSON"):
            io._file.attrs["x"] = np.float32(1)
        with pytest.raises(EncodingError, match="stored as JSON"):
            io._file["acquisition/raw/data"].attrs["x"] = np.arange(2)
    assert "x" not in seen(folder)


def test_a_key_of_no_array_is_refused(folder: Path) -> None:
    with NWBZarrIO(folder, "r+") as io:
        assert io._file is not None
        store = io._file.store
        with pytest.raises(MetadataError, match="is no chunk of an array"):
            zarr.core.sync.sync(store.set("acquisition/c/0", None))  # type: ignore[arg-type]
