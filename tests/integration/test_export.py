"""Exports of a file that uses everything: between the backends, unmodified, modified, repeated."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.errors import UnsupportedOperation
from hdmf.backends.hdf5 import HDF5IO
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import BuildManager
from hdmf.common import DynamicTable, MeaningsTable, VectorData, get_manager
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, validate
from zarr.codecs import BytesCodec, GzipCodec
from zarr.storage import LocalStore, MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, check
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import EncodingError, MetadataError, OptionError, StoreExistsError
from hdmf_zarr.read.specifications import read_specifications
from tests.compare import assert_builders_equal, differences
from tests.rich import NAMESPACE, START, rich_manager

pytestmark = pytest.mark.filterwarnings(
    "ignore:The linked table for DynamicTableRegion", "ignore:BehavioralEvents is deprecated"
)

IO = {".nwb": NWBHDF5IO, ".zarr": NWBZarrIO}


def open_io(path: Any, mode: str = "r", **options: Any) -> Any:
    """Open a path with the IO of its suffix; specifications that it caches are not parsed."""
    options.setdefault("manager", rich_manager())
    if isinstance(path, (str, Path)):
        return IO[Path(path).suffix](str(path), mode, **options)
    return NWBZarrIO(path, mode, **options)


def export(source: Path, target: Any, **options: Any) -> Any:
    """Export a file as it is and return the copy's place."""
    if isinstance(target, Path) and target.suffix == ".nwb":
        options.setdefault("write_args", {"link_data": False})
    with open_io(source) as src, open_io(target, "w", manager=src.manager) as io:
        io.export(src, **options)
    return target


def export_modified(
    source: Path, target: Path, modify: Callable[[NWBFile], None], **options: Any
) -> Path:
    """Export a file that was modified after it was read."""
    if target.suffix == ".nwb":
        options.setdefault("write_args", {"link_data": False})
    with open_io(source) as src:
        nwbfile = src.read()
        modify(nwbfile)
        # HDF5IO caches the specifications of its own manager, not those of the source.
        with open_io(target, "w", manager=src.manager) as io:
            io.export(src, nwbfile, **options)
    return target


def is_told_apart_by_hdmf(path: str) -> bool:
    """HDMF names the columns of a table without rows when they are read, not when they are new."""
    return path == "/analysis/no_rows@colnames"


def has_new_id(path: str) -> bool:
    """What is added to a file gets an id of its own at each time."""
    new = ("new", "tag", "note", "c", "id")
    return path.endswith(tuple(f"/{name}@object_id" for name in new)) or is_told_apart_by_hdmf(path)


@pytest.fixture(params=["hdf5", "zarr"])
def source(request: pytest.FixtureRequest) -> Path:
    """The rich file in either backend."""
    path: Path = request.getfixturevalue(f"rich_{request.param}")
    return path


@pytest.fixture
def zarr_copy(rich_zarr: Path, tmp_path: Path) -> Path:
    """A copy of the rich file that a test may change."""
    return Path(shutil.copytree(rich_zarr, tmp_path / "source.zarr"))


def plain_file() -> NWBFile:
    return NWBFile("d", "i", START, file_create_date=START)


# -- unmodified ------------------------------------------------------------------------------------


def test_an_export_to_zarr_has_the_builders_of_its_source(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "copy.zarr")
    with open_io(source) as src, open_io(tmp_path / "copy.zarr") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_an_export_to_hdf5_is_that_of_the_hdf5_twin(
    rich_hdf5: Path, rich_zarr: Path, tmp_path: Path
) -> None:
    export(rich_hdf5, tmp_path / "twin.nwb")
    export(rich_zarr, tmp_path / "copy.nwb")
    with open_io(tmp_path / "twin.nwb") as twin, open_io(tmp_path / "copy.nwb") as io:
        assert_builders_equal(twin.read_builder(), io.read_builder())


def test_builders_written_to_hdf5_are_those_of_the_store(rich_zarr: Path, tmp_path: Path) -> None:
    with open_io(rich_zarr) as src, open_io(tmp_path / "b.nwb", "w", manager=src.manager) as io:
        io.write_builder(src.read_builder(), link_data=False, export_source=src.source)
    with open_io(rich_zarr) as src, open_io(tmp_path / "b.nwb") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_an_export_without_arguments_validates_as_its_source(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "copy.zarr")
    errors = [
        sorted(str(e) for e in validate(path=str(path), verbose=False))
        for path in (source, tmp_path / "copy.zarr")
    ]
    assert errors[0] == errors[1]


@pytest.mark.parametrize("with_container", [False, True])
@pytest.mark.parametrize("to_format", [2, 3])
@pytest.mark.parametrize("from_format", [2, 3])
def test_an_export_without_arguments_is_whole_and_valid(
    from_format: int, to_format: int, tmp_path: Path, *, with_container: bool
) -> None:
    source, copy = small(tmp_path / "source.zarr", from_format), tmp_path / "copy.zarr"
    with NWBZarrIO(source, "r") as src, NWBZarrIO(copy, "w", zarr_format=to_format) as io:
        dates = src.read().file_create_date
        if with_container:
            io.export(src_io=src, nwbfile=src.read())
        else:
            io.export(src_io=src)
    shutil.rmtree(source)
    assert validate(path=copy) == []
    assert check(copy).findings == ()
    with NWBZarrIO(copy, "r") as io:
        nwbfile = io.read()
        assert nwbfile.file_create_date == dates
        assert nwbfile.acquisition["series"].data[:].tolist() == list(range(1, 11))
        assert nwbfile.trials["timeseries"][0][0].timeseries is nwbfile.acquisition["series"]


def test_an_export_with_its_unmodified_container_changes_nothing(
    source: Path, tmp_path: Path
) -> None:
    export_modified(source, tmp_path / "copy.zarr", lambda nwbfile: None)
    with open_io(source) as src, open_io(tmp_path / "copy.zarr") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_an_export_that_is_built_anew_changes_nothing(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "copy.zarr", clear_cache=True)
    with open_io(source) as src, open_io(tmp_path / "copy.zarr") as io:
        assert_builders_equal(src.read_builder(), io.read_builder(), ignore=is_told_apart_by_hdmf)


def test_many_exports_in_a_row_change_nothing(rich_hdf5: Path, tmp_path: Path) -> None:
    last = rich_hdf5
    for generation in range(4):
        last = export(last, tmp_path / f"{generation}.zarr")
    with open_io(rich_hdf5) as src, open_io(last) as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_many_exports_that_are_built_anew_change_nothing(rich_hdf5: Path, tmp_path: Path) -> None:
    last = rich_hdf5
    for generation in range(3):
        last = export(last, tmp_path / f"{generation}.zarr", clear_cache=True)
    with open_io(rich_hdf5) as src, open_io(last) as io:
        assert_builders_equal(src.read_builder(), io.read_builder(), ignore=is_told_apart_by_hdmf)


def test_there_and_back_again_changes_nothing(rich_hdf5: Path, tmp_path: Path) -> None:
    export(rich_hdf5, tmp_path / "1.zarr")
    export(tmp_path / "1.zarr", tmp_path / "2.nwb")
    export(tmp_path / "2.nwb", tmp_path / "3.zarr")
    export(rich_hdf5, tmp_path / "twin.nwb")
    with open_io(tmp_path / "twin.nwb") as twin, open_io(tmp_path / "3.zarr") as io:
        assert_builders_equal(twin.read_builder(), io.read_builder())


@pytest.mark.parametrize("suffix", [".zarr", ".nwb"])
def test_an_export_is_readable_after_its_source_is_gone(
    suffix: str, rich_zarr: Path, zarr_copy: Path, tmp_path: Path
) -> None:
    copy = export(zarr_copy, tmp_path / f"copy{suffix}")
    shutil.rmtree(zarr_copy)
    with open_io(rich_zarr) as src, open_io(copy) as io:
        found = differences(src.read_builder(), io.read_builder())
        assert [line for line in found if "object_id" in line or "only in" in line] == []
        np.testing.assert_array_equal(
            io.read().acquisition["raw"].data[:], src.read().acquisition["raw"].data[:]
        )


def test_nothing_in_an_export_names_its_source(zarr_copy: Path, tmp_path: Path) -> None:
    export(zarr_copy, tmp_path / "copy.zarr")
    for path in (tmp_path / "copy.zarr").rglob("zarr.json"):
        assert "source.zarr" not in path.read_text()


@pytest.mark.parametrize(
    "spelling", ["dotted", "trailing slash", "relative", "path", "symbolic link", "store"]
)
def test_a_copy_is_whole_however_the_source_is_spelled(
    spelling: str, rich_zarr: Path, zarr_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alias.zarr").symlink_to(zarr_copy, target_is_directory=True)
    place: Any = {
        "dotted": f"{tmp_path}/./x/../source.zarr",
        "trailing slash": f"{zarr_copy}/",
        "relative": "source.zarr",
        "path": zarr_copy,
        "symbolic link": tmp_path / "alias.zarr",
        "store": LocalStore(zarr_copy),
    }[spelling]
    (tmp_path / "x").mkdir()
    with NWBZarrIO(place, "r") as src, NWBZarrIO(tmp_path / "copy.zarr", "w") as io:
        io.export(src)
    shutil.rmtree(zarr_copy)
    with open_io(rich_zarr) as src, open_io(tmp_path / "copy.zarr") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_a_store_in_memory_is_exported_whole(rich_zarr: Path) -> None:
    store = export(rich_zarr, MemoryStore())
    again = MemoryStore()
    with NWBZarrIO(store, "r") as src, NWBZarrIO(again, "w") as io:
        io.export(src)
    with open_io(rich_zarr) as src, NWBZarrIO(again, "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_shared_data_stay_one_array(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "copy.zarr")
    with open_io(tmp_path / "copy.zarr") as io:
        nwbfile = io.read()
        first, second = nwbfile.acquisition["first"], nwbfile.acquisition["second"]
        assert second.timestamps is first.timestamps
        assert second.data is first.data
    assert not (tmp_path / "copy.zarr" / "acquisition" / "second" / "data").exists()


def test_the_cached_specifications_stay(rich_zarr: Path, tmp_path: Path) -> None:
    export(rich_zarr, tmp_path / "copy.zarr")
    with open_io(rich_zarr) as src, open_io(tmp_path / "copy.zarr") as io:
        assert read_specifications(io._hierarchy) == read_specifications(src._hierarchy)
        assert NAMESPACE in io.get_namespaces(tmp_path / "copy.zarr")


def test_without_cached_specifications_none_are_exported(rich_zarr: Path, tmp_path: Path) -> None:
    export(rich_zarr, tmp_path / "copy.zarr", cache_spec=False)
    assert not (tmp_path / "copy.zarr" / "specifications").exists()
    assert NWBZarrIO.get_namespaces(path=tmp_path / "copy.zarr") == {}


def test_the_nwb_version_of_the_source_stays(zarr_copy: Path, tmp_path: Path) -> None:
    root = json.loads((zarr_copy / "zarr.json").read_text())
    root["attributes"]["nwb_version"] = "2.9.0"
    (zarr_copy / "zarr.json").write_text(json.dumps(root))
    with open_io(zarr_copy) as src:
        assert src.nwb_version[0] == "2.9.0"
    export(zarr_copy, tmp_path / "copy.zarr")
    with open_io(tmp_path / "copy.zarr") as io:
        assert io.nwb_version == ("2.9.0", (2, 9, 0))


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"cache_spec": False},
        {"number_of_jobs": 1},
        {"max_threads_per_process": 1},
        {"multiprocessing_context": "spawn"},
        {"consolidate_metadata": False},
        {"write_args": {"exhaust_dci": False}},
        {"write_args": {"link_data": False}},
        {"write_args": {}},
        {"write_args": None},
    ],
)
def test_every_option_is_accepted_and_the_content_is_the_same(
    options: dict[str, Any], rich_hdf5: Path, tmp_path: Path
) -> None:
    export(rich_hdf5, tmp_path / "copy.zarr", **options)
    with open_io(rich_hdf5) as src, open_io(tmp_path / "copy.zarr") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


@pytest.mark.parametrize("in_write_args", [True, False])
def test_the_metadata_are_not_consolidated_on_request(
    rich_zarr: Path, tmp_path: Path, *, in_write_args: bool
) -> None:
    options: dict[str, Any] = {"consolidate_metadata": False}
    export(
        rich_zarr, tmp_path / "c.zarr", **({"write_args": options} if in_write_args else options)
    )
    assert "consolidated_metadata" not in json.loads((tmp_path / "c.zarr/zarr.json").read_text())


def test_the_arguments_of_the_caller_are_not_changed(rich_hdf5: Path, tmp_path: Path) -> None:
    write_args = {"link_data": False}
    export(rich_hdf5, tmp_path / "copy.zarr", write_args=write_args)
    assert write_args == {"link_data": False}


def test_links_into_hdf5_are_refused_before_anything_is_written(
    rich_hdf5: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedOperation, match="link_data=False"):
        export(rich_hdf5, tmp_path / "copy.zarr", write_args={"link_data": True})
    assert not (tmp_path / "copy.zarr").exists()


def test_an_hdf5_file_is_replaced_on_request(
    rich_zarr: Path, rich_hdf5: Path, tmp_path: Path
) -> None:
    shutil.copy(rich_hdf5, tmp_path / "f.nwb.zarr")
    with (
        open_io(rich_zarr) as src,
        NWBZarrIO(tmp_path / "f.nwb.zarr", "w", force_overwrite=True) as io,
    ):
        io.export(src)
    with open_io(rich_zarr) as src, open_io(tmp_path / "f.nwb.zarr") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


# -- links to the source ---------------------------------------------------------------------------


def linked(source: Path, target: Path) -> Path:
    return Path(export(source, target, write_args={"link_data": True}))


def test_an_export_with_links_has_the_values_of_its_source(zarr_copy: Path, tmp_path: Path) -> None:
    linked(zarr_copy, tmp_path / "links.zarr")
    with open_io(zarr_copy) as src, open_io(tmp_path / "links.zarr") as io:
        TestValues.assert_equal(src.read(), io.read())


class TestValues:
    """Values of a few datasets, each of another kind."""

    @staticmethod
    def assert_equal(expected: NWBFile, found: NWBFile) -> None:
        np.testing.assert_array_equal(
            found.acquisition["raw"].data[:], expected.acquisition["raw"].data[:]
        )
        assert found.acquisition["raw"].data.dtype == expected.acquisition["raw"].data.dtype
        assert list(found.units["quality"][:]) == list(expected.units["quality"][:])
        assert (
            found.acquisition["rich_table"]["rows"][2][0]
            == expected.acquisition["rich_table"]["rows"][2][0]
        )
        names = [
            [s.name for s in f.acquisition["rich_table"]["references"][:]]
            for f in (expected, found)
        ]
        assert names[0] == names[1]


@pytest.mark.parametrize("path", ["acquisition/raw", "acquisition/first", "acquisition/movie"])
def test_an_export_with_links_copies_no_array(path: str, zarr_copy: Path, tmp_path: Path) -> None:
    linked(zarr_copy, tmp_path / "links.zarr")
    assert not (tmp_path / "links.zarr" / path / "data").exists()
    links = zarr.open_group(tmp_path / "links.zarr" / path, mode="r").attrs["_LINKS"]
    assert {"name": "data", "source": "../source.zarr", "path": f"/{path}/data"} in links


def test_links_resolve_after_both_stores_were_moved(zarr_copy: Path, tmp_path: Path) -> None:
    linked(zarr_copy, tmp_path / "links.zarr")
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("source.zarr", "links.zarr"):
        os.rename(tmp_path / name, moved / name)
    with open_io(moved / "source.zarr") as src, open_io(moved / "links.zarr") as io:
        TestValues.assert_equal(src.read(), io.read())


def test_a_link_to_a_link_reads_the_values(zarr_copy: Path, tmp_path: Path) -> None:
    linked(zarr_copy, tmp_path / "1.zarr")
    linked(tmp_path / "1.zarr", tmp_path / "2.zarr")
    with open_io(zarr_copy) as src, open_io(tmp_path / "2.zarr") as io:
        TestValues.assert_equal(src.read(), io.read())


def test_an_export_of_links_is_a_whole_copy(
    rich_zarr: Path, zarr_copy: Path, tmp_path: Path
) -> None:
    linked(zarr_copy, tmp_path / "links.zarr")
    export(tmp_path / "links.zarr", tmp_path / "whole.zarr")
    shutil.rmtree(zarr_copy)
    shutil.rmtree(tmp_path / "links.zarr")
    with open_io(rich_zarr) as src, open_io(tmp_path / "whole.zarr") as io:
        TestValues.assert_equal(src.read(), io.read())


def test_a_lost_source_costs_its_links_alone(zarr_copy: Path, tmp_path: Path) -> None:
    with open_io(zarr_copy) as src:
        nwbfile = plain_file()
        kept = TimeSeries(name="kept", data=np.arange(3), unit="m", rate=1.0)
        lost = TimeSeries(
            name="lost", data=src.read().acquisition["image_like"].data, unit="n", rate=1.0
        )
        nwbfile.add_acquisition(kept)
        nwbfile.add_acquisition(lost)
        with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
            io.write(nwbfile)
    shutil.rmtree(zarr_copy)
    with (
        open_io(tmp_path / "f.zarr") as io,
        pytest.warns(BrokenLinkWarning, match="/acquisition/lost"),
    ):
        assert io.read().acquisition["kept"].data[:].tolist() == [0, 1, 2]


def test_a_link_on_request_for_one_dataset_alone(zarr_copy: Path, tmp_path: Path) -> None:
    with open_io(zarr_copy) as src:
        data = src.read().acquisition["image_like"].data
        nwbfile = plain_file()
        for name, link_data in (("linked", True), ("copied", False)):
            wrapped = ZarrDataIO(data, link_data=link_data)
            nwbfile.add_acquisition(TimeSeries(name=name, data=wrapped, unit="n", rate=1.0))
        with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
            io.write(nwbfile)
    assert not (tmp_path / "f.zarr/acquisition/linked/data").exists()
    assert (tmp_path / "f.zarr/acquisition/copied/data").exists()
    with open_io(tmp_path / "f.zarr") as io:
        acquisition = io.read().acquisition
        np.testing.assert_array_equal(acquisition["linked"].data[:], acquisition["copied"].data[:])


# -- what a link points to -------------------------------------------------------------------------


@pytest.fixture(params=[".zarr", ".nwb"])
def target_suffix(request: pytest.FixtureRequest) -> Iterator[str]:
    """Suffix of both backends."""
    yield request.param


def test_links_to_columns_keep_the_whole_path(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path / "copy.zarr", clear_cache=True)
    with open_io(tmp_path / "copy.zarr") as io:
        builder = io.read_builder()["processing/ophys/Fluorescence/fluorescence"]
        assert builder.datasets["rois"].attributes["table"].location == (
            "/processing/ophys/ImageSegmentation"
        )
        series = io.read().processing["ophys"]["Fluorescence"]["fluorescence"]
        assert list(series.rois[:].index) == [2, 0]


def test_a_linked_region_keeps_its_target(source: Path, tmp_path: Path, target_suffix: str) -> None:
    def add_a_second_series(nwbfile: NWBFile) -> None:
        from pynwb.ophys import RoiResponseSeries

        old = nwbfile.processing["ophys"]["Fluorescence"]["fluorescence"]
        nwbfile.processing["ophys"]["Fluorescence"].add_roi_response_series(
            RoiResponseSeries(name="again", data=old, rois=old.rois, unit="lumens", timestamps=old)
        )

    copy = export_modified(source, tmp_path / f"copy{target_suffix}", add_a_second_series)
    with open_io(copy) as io:
        fluorescence = io.read().processing["ophys"]["Fluorescence"]
        assert fluorescence["again"].rois is fluorescence["fluorescence"].rois
        assert fluorescence["again"].timestamps is fluorescence["fluorescence"].timestamps
        assert list(fluorescence["again"].rois[:].index) == [2, 0]


# -- modified --------------------------------------------------------------------------------------


def add_column(nwbfile: NWBFile) -> None:
    nwbfile.electrodes.add_column(name="new", description="d", data=["a", "", "ç", "d"])


def add_text(nwbfile: NWBFile) -> None:
    nwbfile.add_unit_column("tag", "d", data=["x", "y", "z"])


def add_container(nwbfile: NWBFile) -> None:
    nwbfile.add_acquisition(
        TimeSeries(name="new", data=np.arange(4, dtype=np.uint8), unit="m", rate=1.0)
    )


def add_table(nwbfile: NWBFile) -> None:
    column = VectorData(name="c", description="d", data=[1.5, np.nan])
    nwbfile.add_analysis(DynamicTable(name="new", description="d", columns=[column]))


def add_linked_series(nwbfile: NWBFile) -> None:
    first = nwbfile.acquisition["first"]
    nwbfile.add_acquisition(TimeSeries(name="new", data=[1.0] * 5, unit="m", timestamps=first))


def add_reference(nwbfile: NWBFile) -> None:
    series = TimeSeries(name="new", data=np.arange(5.0), unit="m", rate=1.0)
    nwbfile.add_acquisition(series)
    nwbfile.add_epoch_column("note", "d", data=["x", "y"])


def add_bools(nwbfile: NWBFile) -> None:
    nwbfile.trials.add_column(name="seen", description="d", data=[True, False, True])


def remove_scratch(nwbfile: NWBFile) -> None:
    nwbfile.scratch.pop("array")
    nwbfile.set_modified()


def remove_acquisition(nwbfile: NWBFile) -> None:
    nwbfile.acquisition.pop("image_like")
    nwbfile.set_modified()


MODIFICATIONS: dict[str, tuple[Callable[[NWBFile], None], set[str]]] = {
    "a column": (
        add_column,
        {
            "/general/extracellular_ephys/electrodes/new",
            "/general/extracellular_ephys/electrodes@colnames",
        },
    ),
    "a column of text": (add_text, {"/units/tag", "/units@colnames"}),
    "a container": (add_container, {"/acquisition/new"}),
    "a table": (add_table, {"/analysis/new"}),
    "a series with a link": (add_linked_series, {"/acquisition/new"}),
    "a series and a column": (
        add_reference,
        {"/acquisition/new", "/intervals/epochs/note", "/intervals/epochs@colnames"},
    ),
    "a column of bools": (
        add_bools,
        {"/intervals/trials/seen", "/intervals/trials@colnames"},
    ),
    "an array taken away": (remove_scratch, {"/scratch/array"}),
    "a series taken away": (remove_acquisition, {"/acquisition/image_like"}),
}


@pytest.mark.parametrize("name", MODIFICATIONS)
def test_a_modified_export_differs_by_the_modification_alone(
    name: str, source: Path, tmp_path: Path
) -> None:
    modify, expected = MODIFICATIONS[name]
    export_modified(source, tmp_path / "copy.zarr", modify)
    with open_io(source) as src, open_io(tmp_path / "copy.zarr") as io:
        found = list(differences(src.read_builder(), io.read_builder()))
        io.read()
    assert {line.split(": ")[0] for line in found} == expected


@pytest.mark.parametrize("name", ["a column", "a series with a link", "an array taken away"])
def test_a_modified_export_to_hdf5_is_that_of_hdf5(
    name: str, rich_hdf5: Path, rich_zarr: Path, tmp_path: Path
) -> None:
    modify, _ = MODIFICATIONS[name]
    export_modified(rich_zarr, tmp_path / "copy.nwb", modify)
    export_modified(rich_hdf5, tmp_path / "twin.nwb", modify)
    with open_io(tmp_path / "twin.nwb") as twin, open_io(tmp_path / "copy.nwb") as io:
        assert_builders_equal(twin.read_builder(), io.read_builder(), ignore=has_new_id)


def test_a_modified_export_leaves_its_source_as_it_was(zarr_copy: Path, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in sorted(zarr_copy.rglob("*")) if p.is_file()}
    export_modified(zarr_copy, tmp_path / "copy.zarr", add_column)
    assert {p: p.read_bytes() for p in sorted(zarr_copy.rglob("*")) if p.is_file()} == before


def test_a_modified_export_with_links_has_old_and_new_data(zarr_copy: Path, tmp_path: Path) -> None:
    def modify(nwbfile: NWBFile) -> None:
        add_column(nwbfile)
        add_container(nwbfile)

    export_modified(zarr_copy, tmp_path / "links.zarr", modify, write_args={"link_data": True})
    with open_io(zarr_copy) as src, open_io(tmp_path / "links.zarr") as io:
        nwbfile = io.read()
        TestValues.assert_equal(src.read(), nwbfile)
        assert list(nwbfile.electrodes["new"][:]) == ["a", "", "ç", "d"]
        assert nwbfile.acquisition["new"].data[:].tolist() == [0, 1, 2, 3]


def test_an_array_of_the_source_under_a_second_name_is_stored_once(
    zarr_copy: Path, tmp_path: Path
) -> None:
    def add_the_same_data(nwbfile: NWBFile) -> None:
        data = nwbfile.acquisition["image_like"].data
        nwbfile.add_acquisition(TimeSeries(name="new", data=data, unit="n", rate=1.0))

    export_modified(zarr_copy, tmp_path / "copy.zarr", add_the_same_data)
    shutil.rmtree(zarr_copy)
    assert not (tmp_path / "copy.zarr/acquisition/new/data").exists()
    with open_io(tmp_path / "copy.zarr") as io:
        acquisition = io.read().acquisition
        np.testing.assert_array_equal(acquisition["new"].data[:], acquisition["image_like"].data[:])
        assert acquisition["new"].data.shape == (4, 3, 2)


def test_an_array_of_the_source_with_other_attributes_is_copied(
    zarr_copy: Path, tmp_path: Path
) -> None:
    def add_the_same_data(nwbfile: NWBFile) -> None:
        data = nwbfile.acquisition["image_like"].data
        nwbfile.add_acquisition(TimeSeries(name="new", data=data, unit="other", rate=1.0))

    export_modified(zarr_copy, tmp_path / "copy.zarr", add_the_same_data)
    with open_io(tmp_path / "copy.zarr") as io:
        acquisition = io.read().acquisition
        assert (acquisition["new"].unit, acquisition["image_like"].unit) == ("other", "n")
        np.testing.assert_array_equal(acquisition["new"].data[:], acquisition["image_like"].data[:])


def test_columns_of_a_modified_table_have_equal_lengths(source: Path, tmp_path: Path) -> None:
    export_modified(source, tmp_path / "copy.zarr", add_column)
    with open_io(tmp_path / "copy.zarr") as io:
        table = io.read().electrodes
        assert {len(column.data) for column in (table.id, *table.columns)} == {4}


@pytest.mark.parametrize("suffix", [".zarr", ".nwb"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_rows_and_a_column_that_were_added_are_exported(
    zarr_format: int, suffix: str, tmp_path: Path
) -> None:
    source, copy = small(tmp_path / "source.zarr", zarr_format), tmp_path / f"copy{suffix}"
    with NWBZarrIO(source, "r+") as src:
        nwbfile = src.read()
        series = nwbfile.acquisition["series"]
        nwbfile.add_trial(start_time=1.0, stop_time=2.5, timeseries=[series, series])
        nwbfile.trials.add_row(start_time=3.0, stop_time=4.0, timeseries=[])
        nwbfile.trials.add_column(name="note", description="d", data=["a", "", "größer"])
        with IO[suffix](str(copy), "w", manager=src.manager) as io:
            io.export(src, nwbfile, write_args={"link_data": False})
    shutil.rmtree(source)
    assert validate(path=copy) == []
    with IO[suffix](str(copy), "r") as io:
        nwbfile = io.read()
        trials, series = nwbfile.trials, nwbfile.acquisition["series"]
        assert trials["start_time"].data[:].tolist() == [0.0, 1.0, 3.0]
        assert trials["stop_time"].data[:].tolist() == [1.0, 2.5, 4.0]
        assert list(trials["note"][:]) == ["a", "", "größer"]
        assert trials.id[:].tolist() == [0, 1, 2]
        assert [[r.timeseries is series for r in trials["timeseries"][n]] for n in range(3)] == [
            [True],
            [True, True],
            [],
        ]


def with_meanings(nwbfile: NWBFile) -> NWBFile:
    table = DynamicTable(
        name="table",
        description="d",
        columns=[VectorData(name="side", description="d", data=["l", "r", "l"])],
    )
    meanings = MeaningsTable(target=table["side"])
    meanings.add_row(value="l", meaning="left")
    meanings.add_row(value="r", meaning="à droite")
    table.add_meanings_table(meanings)
    nwbfile.add_acquisition(table)
    return nwbfile


@pytest.mark.parametrize("is_modified", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("suffix", [".zarr", ".nwb"])
def test_meanings_of_a_column_are_exported(
    suffix: str, zarr_format: int, tmp_path: Path, *, is_modified: bool
) -> None:
    source, copy = tmp_path / f"source{suffix}", tmp_path / "copy.zarr"
    formats = {"zarr_format": zarr_format}
    with IO[suffix](str(source), "w", **(formats if suffix == ".zarr" else {})) as io:
        io.write(with_meanings(plain_file()))
    with IO[suffix](str(source), "r") as src, NWBZarrIO(copy, "w", **formats) as io:
        nwbfile = src.read()
        if is_modified:
            nwbfile.acquisition["table"].add_column(name="new", description="d", data=[1, 2, 3])
        io.export(src, nwbfile)
    shutil.rmtree(source) if suffix == ".zarr" else source.unlink()
    assert validate(path=copy) == []
    assert check(copy).findings == ()
    with NWBZarrIO(copy, "r") as io:
        table = io.read().acquisition["table"]
        meanings = table.get_meanings_for_column("side")
        assert meanings.target is table["side"]
        assert list(meanings["value"][:]) == ["l", "r"]
        assert list(meanings["meaning"][:]) == ["left", "à droite"]
        assert list(table["side"][:]) == ["l", "r", "l"]
        assert table.colnames == (("side", "new") if is_modified else ("side",))


def test_a_modified_file_caches_the_specifications_that_it_needs(
    source: Path, tmp_path: Path
) -> None:
    export_modified(source, tmp_path / "copy.zarr", add_container)
    namespaces = NWBZarrIO.get_namespaces(path=tmp_path / "copy.zarr")
    assert {"core", "hdmf-common", NAMESPACE} <= set(namespaces)


def test_pixel_masks_keep_their_shape_through_modified_exports(
    rich_hdf5: Path, tmp_path: Path
) -> None:
    last = rich_hdf5
    for generation in range(3):

        def modify(nwbfile: NWBFile, generation: int = generation) -> None:
            plane = nwbfile.processing["ophys"]["ImageSegmentation"]["by_pixel"]
            plane.add_column(name=f"c{generation}", description="d", data=[1, 2, 3])

        last = export_modified(last, tmp_path / f"{generation}.zarr", modify)
    with open_io(last) as io:
        plane = io.read().processing["ophys"]["ImageSegmentation"]["by_pixel"]
        assert plane["pixel_mask"].target.data.shape == (6,)
        assert [tuple(pixel) for pixel in plane["pixel_mask"][1]] == [(1, 0, 1.0), (1, 1, 0.5)]
        assert plane.colnames[-3:] == ("c0", "c1", "c2")


# -- layouts ---------------------------------------------------------------------------------------


LAYOUTS: dict[str, dict[str, Any]] = {
    "no compression": {"compressor": False},
    "shards": {"chunks": (2, 3), "shards": (4, 6)},
    "a filter": {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
    "gzip": {"compressor": GzipCodec(level=2)},
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "a fill value": {"fillvalue": 7},
    "chunks": {"chunks": (3, 2)},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_copy_keeps_the_layout_of_its_source(name: str, tmp_path: Path) -> None:
    nwbfile = plain_file()
    data = np.arange(60, dtype=np.int16).reshape(10, 6)
    wrapped = ZarrDataIO(data, **LAYOUTS[name])
    nwbfile.add_acquisition(TimeSeries(name="ts", data=wrapped, unit="m", rate=1.0))
    with NWBZarrIO(tmp_path / "a.zarr", "w") as io:
        io.write(nwbfile)
    export(tmp_path / "a.zarr", tmp_path / "b.zarr")
    first, second = (
        json.loads((tmp_path / f"{which}.zarr/acquisition/ts/data/zarr.json").read_text())
        for which in "ab"
    )
    assert second == first
    with open_io(tmp_path / "b.zarr") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], data)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_requested_layout_is_on_disk(name: str, tmp_path: Path) -> None:
    nwbfile = plain_file()
    data = np.arange(60, dtype=np.int16).reshape(10, 6)
    nwbfile.add_acquisition(
        TimeSeries(name="ts", data=ZarrDataIO(data, **LAYOUTS[name]), unit="m", rate=1.0)
    )
    with NWBZarrIO(tmp_path / "a.zarr", "w") as io:
        io.write(nwbfile)
    array = zarr.open_array(tmp_path / "a.zarr/acquisition/ts/data", mode="r")
    found = {
        "no compression": lambda: array.compressors == (),
        "shards": lambda: (array.chunks, array.shards) == ((2, 3), (4, 6)),
        "a filter": lambda: array.filters == (zarr.codecs.TransposeCodec(order=(1, 0)),),
        "gzip": lambda: array.compressors == (GzipCodec(level=2),),
        "big-endian": lambda: array.serializer == BytesCodec(endian="big"),
        "a fill value": lambda: array.fill_value == 7,
        "chunks": lambda: array.chunks == (3, 2),
    }
    assert found[name]()


# -- dangling and hard links of HDF5 ---------------------------------------------------------------


def test_a_link_that_dangles_in_hdf5_costs_that_link_alone(rich_hdf5: Path, tmp_path: Path) -> None:
    shutil.copy(rich_hdf5, tmp_path / "f.nwb")
    with h5py.File(tmp_path / "f.nwb", "r+") as file:
        file["acquisition"].attrs["kept"] = 1
        file["scratch/lost"] = h5py.SoftLink("/nowhere")
    with NWBHDF5IO(str(tmp_path / "f.nwb"), "r") as src, NWBZarrIO(tmp_path / "f.zarr", "w") as io:
        with pytest.warns(UserWarning, match="lost"):
            io.export(src)
    with open_io(rich_hdf5) as src, open_io(tmp_path / "f.zarr") as io:
        found = list(differences(src.read_builder(), io.read_builder()))
    assert found == ["/acquisition@kept: attribute only in the second"]


def test_an_external_link_of_hdf5_is_copied(rich_hdf5: Path, tmp_path: Path) -> None:
    with NWBHDF5IO(str(rich_hdf5), "r") as src:
        nwbfile = plain_file()
        nwbfile.add_acquisition(
            TimeSeries(name="ts", data=src.read().acquisition["raw"].data, unit="m", rate=1.0)
        )
        with NWBHDF5IO(
            str(tmp_path / "linking.nwb"), "w", manager=BuildManager(src.manager.type_map)
        ) as io:
            io.write(nwbfile)
        expected = src.read().acquisition["raw"].data[:]
    export(tmp_path / "linking.nwb", tmp_path / "copy.zarr")
    with open_io(tmp_path / "copy.zarr") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], expected)
    assert (tmp_path / "copy.zarr/acquisition/ts/data/zarr.json").exists()


# -- text of HDF5 that is none ---------------------------------------------------------------------

UTF8 = h5py.string_dtype("utf-8")
RECORD = np.dtype([("n", "i4"), ("text", UTF8)])


def with_bytes(path: Path, kind: str) -> None:
    """An HDF5 file whose type says UTF-8, as other programs write Latin-1."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"data_type": "Container", "namespace": "hdmf-common"})
        file["group/good"] = "größer"
        if kind == "column":
            file["group"].create_dataset("bad", (2,), dtype=UTF8)[:] = [b"\xe9t\xe9", b"ok"]
        elif kind == "fixed column":
            file["group/bad"] = np.array([b"\xe9t\xe9", b"ok"], dtype=h5py.string_dtype("utf-8", 3))
        elif kind == "record":
            rows = np.array([(1, "ok"), (2, b"\xe9t\xe9")], dtype=RECORD)
            file["group"].create_dataset("bad", data=rows, dtype=RECORD)
        elif kind == "scalar":
            file["group"].create_dataset("bad", (), dtype=UTF8)[()] = b"\xe9t\xe9"
        else:
            file["group"].attrs.create("bad", b"\xe9t\xe9", dtype=UTF8)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", ["column", "fixed column", "attribute"])
def test_bytes_that_hdf5_calls_text_are_kept(kind: str, zarr_format: int, tmp_path: Path) -> None:
    with_bytes(tmp_path / "f.h5", kind)
    with HDF5IO(str(tmp_path / "f.h5"), "r", manager=get_manager()) as src:
        with ZarrIO(tmp_path / "f.zarr", "w", zarr_format=zarr_format) as io:
            io.export(src)
    with ZarrIO(tmp_path / "f.zarr", "r") as io:
        group = io.read_builder()["group"]
        assert group["good"].data == "größer"
        if kind == "attribute":
            # As h5py gives it: the bytes that are no text as surrogates.
            assert group.attributes["bad"] == b"\xe9t\xe9".decode("utf-8", "surrogateescape")
        else:
            assert group["bad"].data[:].tolist() == [b"\xe9t\xe9", b"ok"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("way", ["export", "convert"])
@pytest.mark.parametrize(
    ("kind", "error", "match"),
    [
        ("record", EncodingError, r"/group/bad: field 'text': bytes .* are not UTF-8 text"),
        ("scalar", MetadataError, r"f\.h5:/group/bad cannot be read \(UnicodeDecodeError"),
    ],
)
def test_bytes_that_cannot_be_kept_are_named_before_anything_is_written(
    kind: str, error: type[Exception], match: str, way: str, zarr_format: int, tmp_path: Path
) -> None:
    with_bytes(tmp_path / "f.h5", kind)
    with pytest.raises(error, match=match):
        if way == "convert":
            convert(tmp_path / "f.h5", tmp_path / "f.zarr", zarr_format=zarr_format)
        else:
            with (
                HDF5IO(str(tmp_path / "f.h5"), "r", manager=get_manager()) as src,
                ZarrIO(tmp_path / "f.zarr", "w", zarr_format=zarr_format) as io,
            ):
                io.export(src)
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


# -- onto itself -----------------------------------------------------------------------------------


def small(path: Any, zarr_format: int = 3) -> Any:
    nwbfile = NWBFile("small", "small", START)
    series = TimeSeries(name="series", data=np.arange(1, 11), unit="V", rate=1.0)
    nwbfile.add_acquisition(series)
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, timeseries=[series])
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    return path


@pytest.mark.parametrize("link_data", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_is_exported_onto_itself(
    tmp_path: Path,
    zarr_format: int,
    link_data: bool,  # noqa: FBT001 - a parameter
) -> None:
    path = small(tmp_path / "file.nwb.zarr", zarr_format)
    with NWBZarrIO(path, "r") as source:
        nwbfile = source.read()
        nwbfile.add_acquisition(TimeSeries(name="more", data=[1.0, 2.0], unit="V", rate=1.0))
        with NWBZarrIO(path, "w") as io:
            io.export(source, nwbfile, write_args={"link_data": link_data})
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        assert nwbfile.acquisition["series"].data[:].tolist() == list(range(1, 11))
        assert nwbfile.acquisition["more"].data[:].tolist() == [1.0, 2.0]
        assert nwbfile.trials["timeseries"][0][0].timeseries is nwbfile.acquisition["series"]
    assert [found for found in check(path).findings if found.severity == "error"] == []


def test_data_of_the_store_that_is_replaced_are_copied(tmp_path: Path) -> None:
    path = small(tmp_path / "file.nwb.zarr")
    with NWBZarrIO(path, "r") as source:
        old = source.read().acquisition["series"]
        new = NWBFile("new", "new", START)
        new.add_acquisition(TimeSeries(name="other", data=old.data, unit="V", rate=2.0))
        new.add_acquisition(
            TimeSeries(name="third", data=list(range(10)), unit="V", timestamps=old.data)
        )
        with NWBZarrIO(path, "w") as io:
            io.write(new)
    with NWBZarrIO(path, "r") as io:
        acquisition = io.read().acquisition
        assert acquisition["other"].data[:].tolist() == list(range(1, 11))
        assert acquisition["third"].timestamps[:].tolist() == list(range(1, 11))
    assert [found for found in check(path).findings if found.severity == "error"] == []


@pytest.mark.parametrize("inside", ["copy.zarr", "acquisition/copy.zarr", "acquisition"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nothing_is_written_inside_of_a_store(
    tmp_path: Path, zarr_format: int, inside: str
) -> None:
    path = small(tmp_path / "file.nwb.zarr", zarr_format)
    with (
        NWBZarrIO(path, "r") as source,
        NWBZarrIO(path / inside, "w", force_overwrite=True) as io,
        pytest.raises(StoreExistsError, match=r"file\.nwb\.zarr, which is a store"),
    ):
        io.export(source)
    assert [found for found in check(path).findings if found.severity == "error"] == []
    assert not (path / "acquisition" / ".copy.zarr.lock").exists()


def test_a_store_that_is_emptied_first_is_not_exported_onto_itself() -> None:
    store = small(MemoryStore())
    with NWBZarrIO(store, "r") as source:
        nwbfile = source.read()
        with NWBZarrIO(store, "w") as io, pytest.raises(OptionError, match="another place"):
            io.export(source)
        new = NWBFile("new", "new", START)
        data = nwbfile.acquisition["series"].data
        new.add_acquisition(TimeSeries(name="other", data=data, unit="V", rate=2.0))
        with NWBZarrIO(store, "w") as io, pytest.raises(OptionError, match="another place"):
            io.write(new)
        assert nwbfile.acquisition["series"].data[:].tolist() == list(range(1, 11))
