"""A file that uses everything, written and read: what is in HDF5 is in Zarr, and nothing is lost."""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import BuildManager
from hdmf.testing import TestCase
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, get_manager, get_type_map, read_nwb, validate
from pynwb.base import TimeSeriesReference
from zarr.storage import LocalStore, MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrIO
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from tests.compare import assert_builders_equal, dataset_value
from tests.rich import (
    NAMESPACE,
    NON_ASCII,
    START,
    WIDTHS,
    rich_manager,
    rich_nwbfile,
    rich_type_map,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:The linked table for DynamicTableRegion", "ignore:BehavioralEvents is deprecated"
)


@pytest.fixture(scope="module")
def nwbfile(rich_zarr: Path) -> Iterator[NWBFile]:
    """The rich file as it is read from Zarr; only to be looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBZarrIO(rich_zarr, "r") as io:
            yield io.read()


def twin(path: Path) -> NWBHDF5IO:
    """Open the rich file in HDF5."""
    return NWBHDF5IO(str(path), "r", manager=rich_manager())


def write(target: Any, **options: Any) -> None:
    type_map = rich_type_map()
    with NWBZarrIO(target, "w", manager=BuildManager(type_map)) as io:
        io.write(rich_nwbfile(type_map), **options)


# -- as HDF5 ---------------------------------------------------------------------------------------


def test_equal_content_gives_equal_builders_in_hdf5_and_zarr(
    rich_hdf5: Path, rich_zarr: Path
) -> None:
    with twin(rich_hdf5) as src, NWBZarrIO(rich_zarr, "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_equal_content_gives_equal_containers_in_hdf5_and_zarr(
    rich_hdf5: Path, rich_zarr: Path
) -> None:
    with twin(rich_hdf5) as src:
        with NWBZarrIO(rich_zarr, "r", manager=BuildManager(src.manager.type_map)) as io:
            found, expected = io.read(), src.read()
            TestCase().assertContainerEqual(found, expected, ignore_hdmf_attrs=True)
            assert set(found.objects) == set(expected.objects)


def test_validation_finds_what_it_finds_in_hdf5(rich_hdf5: Path, rich_zarr: Path) -> None:
    found = sorted(map(str, validate(path=str(rich_zarr), verbose=False)))
    assert found == sorted(map(str, validate(path=str(rich_hdf5), verbose=False)))


def test_validation_of_an_open_io_finds_what_it_finds_in_hdf5(
    rich_hdf5: Path, rich_zarr: Path
) -> None:
    with NWBHDF5IO(str(rich_hdf5), "r") as src, NWBZarrIO(rich_zarr, "r") as io:
        found = sorted(map(str, validate(io=io)))
        assert found == sorted(map(str, validate(io=src)))


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a"])
def test_every_mode_that_reads_reads_the_same(mode: str, tmp_path: Path, rich_hdf5: Path) -> None:
    write(tmp_path / "f.zarr")
    with twin(rich_hdf5) as src, NWBZarrIO(tmp_path / "f.zarr", mode) as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


@pytest.mark.parametrize("kind", ["text", "path", "local store", "memory", "relative"])
def test_every_kind_of_place_holds_the_same(
    kind: str, tmp_path: Path, rich_hdf5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places: dict[str, Any] = {
        "text": str(tmp_path / "f.zarr"),
        "path": tmp_path / "f.zarr",
        "local store": LocalStore(tmp_path / "f.zarr"),
        "memory": MemoryStore(),
        "relative": "./f.zarr/",
    }
    write(places[kind])
    with twin(rich_hdf5) as src, NWBZarrIO(places[kind], "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())
        assert io.read().acquisition["rich"].points_to is io.read().acquisition["second"]


def test_without_consolidated_metadata_the_content_is_the_same(
    tmp_path: Path, rich_hdf5: Path
) -> None:
    write(tmp_path / "f.zarr", consolidate_metadata=False)
    assert zarr.open_group(tmp_path / "f.zarr", mode="r").metadata.consolidated_metadata is None
    with twin(rich_hdf5) as src, NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_without_cached_specifications_none_are_there(tmp_path: Path, rich_hdf5: Path) -> None:
    write(tmp_path / "f.zarr", cache_spec=False)
    assert not (tmp_path / "f.zarr" / "specifications").exists()
    with NWBZarrIO(tmp_path / "f.zarr", "r", manager=rich_manager()) as io, twin(rich_hdf5) as src:
        assert_builders_equal(src.read_builder(), io.read_builder())
        assert io.read().acquisition["rich"].note == NON_ASCII


def test_the_metadata_are_consolidated_by_default(rich_zarr: Path) -> None:
    consolidated = zarr.open_group(rich_zarr, mode="r").metadata.consolidated_metadata
    on_disk = {str(path.parent.relative_to(rich_zarr)) for path in rich_zarr.rglob("zarr.json")} - {
        "."
    }
    assert set(consolidated.flattened_metadata) == on_disk


def test_pynwb_reads_the_store(rich_zarr: Path) -> None:
    nwbfile = read_nwb(str(rich_zarr))
    assert nwbfile.acquisition["rich"].labels[:].tolist() == ["µ", "", "c"]


def test_specifications_are_no_part_of_the_builders(rich_zarr: Path) -> None:
    with NWBZarrIO(rich_zarr, "r") as io:
        builder = io.read_builder()
    assert "specifications" not in builder.groups
    assert ".specloc" not in builder.attributes


def test_the_extension_is_cached_with_the_file(rich_zarr: Path, rich_hdf5: Path) -> None:
    cached = NWBZarrIO.get_namespaces(path=rich_zarr)
    assert cached[NAMESPACE] == "0.3.0"
    assert cached == NWBHDF5IO.get_namespaces(path=str(rich_hdf5))


def test_reading_the_extension_leaves_the_global_types_alone(nwbfile: NWBFile) -> None:
    assert type(nwbfile.acquisition["rich"]).__name__ == "RichData"
    assert NAMESPACE not in get_type_map().namespace_catalog.namespaces


def test_the_writer_leaves_a_container_written_twice_equal(tmp_path: Path) -> None:
    type_map = rich_type_map()
    nwbfile = rich_nwbfile(type_map)
    with NWBZarrIO(tmp_path / "f.zarr", "w", manager=BuildManager(type_map)) as io:
        io.write(nwbfile)
        io.write(nwbfile)
    write(tmp_path / "once.zarr")
    with NWBZarrIO(tmp_path / "once.zarr", "r") as src, NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


# -- element types that HDF5 cannot tell apart ----------------------------------------------------


@pytest.mark.parametrize(
    ("path", "recorded"),
    [
        ("acquisition/rich/plain_ascii", "ascii"),
        ("acquisition/rich/dates", "isodatetime"),
        ("acquisition/rich/one_date", "isodatetime"),
        ("acquisition/rich/raw", "bytes"),
        ("acquisition/rich/texts", "str"),
        ("acquisition/rich/small", "uint8"),
        ("acquisition/rich_table/dates", "isodatetime"),
        ("acquisition/rich_table/references", "object_reference"),
        ("session_start_time", "isodatetime"),
        ("file_create_date", "isodatetime"),
        ("session_description", "str"),
        ("acquisition/raw/data", "int16"),
        ("units/is_good", "bool"),
        *((f"analysis/widths/{name}", name) for name in WIDTHS),
    ],
)
def test_the_type_of_the_elements_is_recorded(path: str, recorded: str, rich_zarr: Path) -> None:
    assert zarr.open_array(rich_zarr / path, mode="r").attrs["_DTYPE"] == recorded


def test_text_fields_of_records_keep_their_types(rich_zarr: Path) -> None:
    with NWBZarrIO(rich_zarr, "r") as io:
        rows = io.read_builder()["acquisition/rich_table/rows"]
        assert {field["name"]: field["dtype"] for field in rows.dtype} == {
            "label": "utf",
            "code": "ascii",
            "series": "object",
            "weight": "float32",
            "is_used": "bool_" if np.dtype(bool).type.__name__ == "bool_" else "bool",
        }


def test_only_attributes_that_json_would_change_have_their_dtype_recorded(rich_zarr: Path) -> None:
    attributes = zarr.open_group(rich_zarr / "acquisition" / "rich", mode="r").attrs
    assert attributes[ATTRIBUTE_TYPES] == {
        "count": "uint32",
        "level": "int8",
        "ratio": "float32",
        "codes": "int16",
        "weights": "float32",
    }


# -- what the containers say -----------------------------------------------------------------------


def test_attributes_keep_value_and_dtype(nwbfile: NWBFile) -> None:
    rich = nwbfile.acquisition["rich"]
    assert (rich.count, rich.level, rich.flag) == (2**32 - 1, -128, True)
    assert (rich.limit, rich.note, rich.spelled_nan) == (-np.inf, NON_ASCII, "NaN")
    assert np.isnan(rich.missing)
    assert [
        np.asarray(getattr(rich, n)).dtype.name for n in ("count", "level", "ratio", "codes")
    ] == [
        "uint32",
        "int8",
        "float32",
        "int16",
    ]
    np.testing.assert_array_equal(
        rich.weights, np.array([[0.1, np.nan], [np.inf, 3]], dtype=np.float32)
    )
    assert rich.weights.dtype == np.float32


def test_a_reference_attribute_is_its_target(nwbfile: NWBFile) -> None:
    assert nwbfile.acquisition["rich"].points_to is nwbfile.acquisition["second"]


def test_a_link_is_its_target(nwbfile: NWBFile) -> None:
    assert nwbfile.acquisition["rich"].made_from is nwbfile.acquisition["first"]


def test_shared_timestamps_are_one_object(nwbfile: NWBFile) -> None:
    first, second = nwbfile.acquisition["first"], nwbfile.acquisition["second"]
    assert second.timestamps is first.timestamps
    assert second.data is first.data


def test_timestamps_shared_between_interfaces_are_one_object(nwbfile: NWBFile) -> None:
    behaviour = nwbfile.processing["behavior"]
    licks = behaviour["BehavioralEvents"]["licks"]
    assert licks.timestamps is behaviour["Position"]["head"].timestamps


def test_references_resolve_to_containers(nwbfile: NWBFile) -> None:
    first, second = nwbfile.acquisition["first"], nwbfile.acquisition["second"]
    column = nwbfile.acquisition["rich_table"]["references"]
    assert [column[0], column[1], column[2]] == [second, first, second]
    assert column[1:] == [first, second]


def test_records_resolve_their_references(nwbfile: NWBFile) -> None:
    first = nwbfile.acquisition["first"]
    row = nwbfile.acquisition["rich_table"]["rows"][2]
    assert (row["label"], row["code"], row["series"], row["weight"], row["is_used"]) == (
        NON_ASCII,
        b"longer than the others",
        first,
        np.float32(-3),
        True,
    )


def test_trials_refer_to_time_series(nwbfile: NWBFile) -> None:
    first, second = nwbfile.acquisition["first"], nwbfile.acquisition["second"]
    assert [reference.timeseries for reference in nwbfile.trials["timeseries"][1]] == [
        first,
        second,
    ]
    assert nwbfile.trials["timeseries"][0] == [TimeSeriesReference(0, 1, first)]


def test_ragged_columns_have_their_rows(nwbfile: NWBFile) -> None:
    assert [len(nwbfile.units["spike_times"][n]) for n in range(3)] == [1, 2, 3]
    assert list(nwbfile.trials["tags"][2]) == ["b", "ç"]


def test_doubly_ragged_columns_have_their_rows(nwbfile: NWBFile) -> None:
    waveforms = nwbfile.units["waveforms"][2]
    assert [len(spike) for spike in waveforms] == [2, 2, 2]
    np.testing.assert_array_equal(waveforms[1][1], np.full(5, 4.0))


def test_a_region_column_gives_the_rows_of_its_table(nwbfile: NWBFile) -> None:
    rows = nwbfile.units["electrodes"][2]
    assert list(rows.index) == [2, 3]
    assert list(rows["label"]) == ["b", "ç"]


def test_a_reference_column_gives_the_groups(nwbfile: NWBFile) -> None:
    groups = nwbfile.units["electrode_group"]
    assert [groups[n] for n in range(3)] == [
        nwbfile.electrode_groups[name] for name in ("shank0", "shank1", "shank0")
    ]


def test_a_scalar_compound_keeps_its_fields(nwbfile: NWBFile) -> None:
    position = nwbfile.electrode_groups["shank1"].position
    assert tuple(np.asarray(position).item()) == (2.0, 2.0, 3.0)


def test_pixel_masks_are_records(nwbfile: NWBFile) -> None:
    by_pixel = nwbfile.processing["ophys"]["ImageSegmentation"]["by_pixel"]
    masks = [[tuple(pixel) for pixel in by_pixel["pixel_mask"][n]] for n in range(3)]
    assert masks[1] == [(1, 0, 1.0), (1, 1, 0.5)]
    assert by_pixel["pixel_mask"].target.data.shape == (6,)


def test_image_masks_keep_their_shape(nwbfile: NWBFile) -> None:
    by_image = nwbfile.processing["ophys"]["ImageSegmentation"]["by_image"]
    assert by_image["image_mask"].data.shape == (3, 6, 5)
    np.testing.assert_array_equal(by_image["image_mask"][1][1], [0, 0.25, 0.25, 0.25, 0.25])


def test_images_keep_their_order(nwbfile: NWBFile) -> None:
    images = nwbfile.stimulus_template["images"]
    assert [image.name for image in images.order_of_images] == ["colour", "grey"]


def test_recordings_refer_to_stimulus_and_response(nwbfile: NWBFile) -> None:
    table = nwbfile.intracellular_recordings
    assert table["responses"]["response"][1].timeseries is nwbfile.acquisition["response1"]
    assert table["stimuli"]["stimulus"][0] == TimeSeriesReference(
        1, 3, nwbfile.stimulus["stimulus0"]
    )
    conditions = nwbfile.icephys_experimental_conditions
    assert list(conditions["repetitions"][0].index) == [0]


def test_a_sweep_number_keeps_its_dtype(nwbfile: NWBFile) -> None:
    number = nwbfile.acquisition["response1"].sweep_number
    assert number == 8
    assert np.asarray(number).dtype == np.uint32


def test_non_finite_numbers_stay_what_they_are(nwbfile: NWBFile) -> None:
    first = nwbfile.acquisition["first"]
    np.testing.assert_array_equal(first.data[:], [1.5, np.nan, np.inf, -np.inf, -0.0])
    assert np.signbit(first.data[4])
    assert np.isnan(first.resolution)
    assert first.conversion == np.inf


def test_text_that_spells_numbers_stays_text(nwbfile: NWBFile) -> None:
    assert list(nwbfile.analysis["widths"]["nan_text"][:]) == ["NaN", "Infinity", "nan"]


@pytest.mark.parametrize("name", WIDTHS)
def test_columns_of_every_width_keep_dtype_and_values(name: str, nwbfile: NWBFile) -> None:
    column = nwbfile.analysis["widths"][name].data
    limits = np.iinfo(name) if "int" in name else np.finfo(name)
    assert column.dtype == name
    np.testing.assert_array_equal(column[:], np.array([limits.min, 0, limits.max], dtype=name))


def test_text_with_empty_and_non_ascii_elements_is_kept(nwbfile: NWBFile) -> None:
    widths = nwbfile.analysis["widths"]
    assert list(widths["text"][:]) == ["", NON_ASCII, "plain"]
    assert widths["two_text"].data[...].tolist() == [["a", "b"], ["", "ç"], ["e", "f"]]


def test_tables_without_rows_have_their_columns(nwbfile: NWBFile) -> None:
    table = nwbfile.analysis["no_rows"]
    assert len(table) == 0
    assert table["numbers"].data.shape == (0,)
    assert (table["pairs"].data.shape, table["pairs"].data.dtype) == ((0, 2), np.dtype("int16"))


def test_scratch_keeps_arrays_text_numbers_and_tables(nwbfile: NWBFile) -> None:
    array = nwbfile.scratch["array"].data
    assert (array.shape, array.dtype) == ((2, 3), np.dtype("int32"))
    assert nwbfile.get_scratch("text") == NON_ASCII
    assert nwbfile.scratch["number"].data.dtype == np.float32
    assert list(nwbfile.scratch["table"]["c"][:]) == [1, 2]


def test_times_keep_their_zone(nwbfile: NWBFile) -> None:
    assert nwbfile.session_start_time == START
    assert nwbfile.session_start_time.utcoffset() == START.utcoffset()


def test_lists_of_text_of_the_file_are_kept(nwbfile: NWBFile) -> None:
    assert tuple(nwbfile.experimenter) == ("Ramón y Cajal, Santiago", "Doe, Jane")
    assert list(nwbfile.keywords[:]) == ["rich", "größer"]
    assert tuple(nwbfile.related_publications) == ("doi:10.1/a", "doi:10.1/b")
    assert nwbfile.institution == ""


# -- lazy, shown, sent -----------------------------------------------------------------------------


def test_arrays_are_lazy_zarr_arrays(nwbfile: NWBFile) -> None:
    assert isinstance(nwbfile.acquisition["raw"].data, zarr.Array)


@pytest.mark.parametrize("consolidated", [True, False])
def test_the_file_and_its_datasets_can_be_shown_in_notebooks(
    tmp_path: Path, *, consolidated: bool
) -> None:
    write(tmp_path / "f.zarr", consolidate_metadata=consolidated)
    with NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        nwbfile = io.read()
        assert "electrodes" in nwbfile._repr_html_()
        shown = io.generate_dataset_html(nwbfile.acquisition["raw"].data)
        for builder_data in (
            nwbfile.acquisition["rich_table"]["rows"].data,
            nwbfile.acquisition["rich_table"]["references"].data,
        ):
            assert isinstance(io.generate_dataset_html(builder_data), str)
    stored = sum(p.stat().st_size for p in (tmp_path / "f.zarr/acquisition/raw/data").iterdir())
    assert str(stored) in shown


def test_arrays_that_were_read_can_be_sent_to_other_processes(nwbfile: NWBFile) -> None:
    data = nwbfile.acquisition["raw"].data
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data))[:], data[:])


def test_dimension_names_are_those_of_the_specification(rich_zarr: Path) -> None:
    array = zarr.open_array(rich_zarr / "acquisition/raw/data", mode="r")
    assert array.metadata.dimension_names == ("num_times", "num_channels")


@pytest.mark.parametrize("consolidated", [None, True, False])
def test_xarray_opens_a_group(rich_zarr: Path, nwbfile: NWBFile, consolidated: bool | None) -> None:  # noqa: FBT001
    xarray = pytest.importorskip("xarray")
    dataset = xarray.open_zarr(rich_zarr, group="acquisition/raw", consolidated=consolidated)
    assert dataset["data"].dims == ("num_times", "num_channels")
    np.testing.assert_array_equal(dataset["data"].values, nwbfile.acquisition["raw"].data[:])


def test_xarray_opens_every_group(rich_zarr: Path) -> None:
    """Rows of a ragged column are not those of its table."""
    xarray = pytest.importorskip("xarray")
    root = zarr.open_group(rich_zarr, mode="r")
    groups = ["", *(path for path, node in root.members(None) if isinstance(node, zarr.Group))]
    failed = {}
    for group in groups:
        try:
            dataset = xarray.open_zarr(rich_zarr, group=group, consolidated=False)
        except ValueError as error:
            failed[group] = str(error)
            continue
        for name, variable in dataset.variables.items():
            assert variable.shape == root[f"{group}/{name}".strip("/")].shape
    assert failed == {}


def test_chunk_keys_are_one_path_component(rich_zarr: Path) -> None:
    folder = rich_zarr / "acquisition" / "raw" / "data"
    assert sorted(path.name for path in folder.iterdir()) == ["c.0.0", "zarr.json"]


# -- places ----------------------------------------------------------------------------------------


def test_a_store_that_was_moved_reads_the_same(tmp_path: Path, rich_hdf5: Path) -> None:
    write(tmp_path / "f.zarr")
    (tmp_path / "other").mkdir()
    os.rename(tmp_path / "f.zarr", tmp_path / "other" / "renamed.zarr")
    with twin(rich_hdf5) as src, NWBZarrIO(tmp_path / "other" / "renamed.zarr", "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())
        assert io.read().acquisition["rich"].made_from is io.read().acquisition["first"]


def test_a_store_seen_through_a_symbolic_link_reads_the_same(
    rich_zarr: Path, tmp_path: Path, rich_hdf5: Path
) -> None:
    (tmp_path / "link.zarr").symlink_to(rich_zarr, target_is_directory=True)
    with twin(rich_hdf5) as src, NWBZarrIO(tmp_path / "link.zarr", "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_nothing_on_disk_names_the_place_of_the_store(rich_zarr: Path) -> None:
    for path in rich_zarr.rglob("zarr.json"):
        assert str(rich_zarr.parent) not in path.read_text()


@pytest.mark.parametrize("spelling", [str, Path, LocalStore])
def test_any_spelling_of_a_path_can_be_read(spelling: Any, rich_zarr: Path) -> None:
    assert NWBZarrIO.can_read(spelling(rich_zarr))
    assert ZarrIO.can_read(spelling(rich_zarr))


def test_a_file_of_hdf5_is_no_store(rich_hdf5: Path) -> None:
    assert not NWBZarrIO.can_read(rich_hdf5)


def test_nothing_is_said_when_nothing_is_wrong(tmp_path: Path) -> None:
    type_map = rich_type_map()
    nwbfile = rich_nwbfile(type_map)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with NWBZarrIO(tmp_path / "f.zarr", "w", manager=BuildManager(type_map)) as io:
            io.write(nwbfile)
        with NWBZarrIO(tmp_path / "f.zarr", "r", manager=rich_manager()) as io:
            io.read_builder()


# -- versions --------------------------------------------------------------------------------------


def test_the_latest_version_of_a_namespace_is_found_by_number(tmp_path: Path) -> None:
    write(tmp_path / "f.zarr")
    core = tmp_path / "f.zarr" / "specifications" / "core"
    (latest,) = [path.name for path in core.iterdir() if path.is_dir()]
    for version in ("2.9.0", "2.10.0"):
        shutil.copytree(core / latest, core / version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's own, of what it writes itself
        zarr.consolidate_metadata(tmp_path / "f.zarr")
    assert NWBZarrIO.get_namespaces(path=tmp_path / "f.zarr")["core"] == latest == "2.11.0"


def test_versions_and_types_of_the_file_are_known_before_it_is_read(rich_zarr: Path) -> None:
    with NWBZarrIO(rich_zarr, "r") as io:
        assert io.nwb_version == ("2.11.0", (2, 11, 0))


# -- attributes of Python --------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_numbers_of_python_validate_as_64_bit(tmp_path: Path, zarr_format: int) -> None:
    nwbfile = rich_nwbfile()
    nwbfile.add_acquisition(
        TimeSeries(name="py", data=[1, 2], unit="m", rate=1.0, conversion=2.0, resolution=1.0)
    )
    with NWBZarrIO(tmp_path / "f.zarr", "w", manager=get_manager(), zarr_format=zarr_format) as io:
        io.write(nwbfile)
    assert validate(path=str(tmp_path / "f.zarr"), verbose=False) == []
    with NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        data = io.read_builder()["acquisition/py/data"]
        assert data.data.dtype == np.int64
        assert {name: data.attributes[name] for name in ("conversion", "resolution")} == {
            "conversion": 2.0,
            "resolution": 1.0,
        }
        assert all(type(data.attributes[name]) is float for name in ("conversion", "resolution"))


# -- structured arrays -----------------------------------------------------------------------------


def test_a_structured_array_is_refused_or_kept_as_by_hdf5(tmp_path: Path) -> None:
    outcomes = []
    for io_class, name in ((NWBHDF5IO, "f.nwb"), (NWBZarrIO, "f.zarr")):
        data = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")])
        try:
            nwbfile = NWBFile("d", "i", START)
            nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="m", rate=1.0))
            with io_class(str(tmp_path / name), "w") as io:
                io.write(nwbfile)
            with io_class(str(tmp_path / name), "r") as io:
                value = dataset_value(io.read_builder()["acquisition/ts/data"])
                outcomes.append((value.kind, value.shape, value.elements))
        except Exception as error:
            outcomes.append(type(error).__name__)
    assert outcomes[0] == outcomes[1]


def test_what_is_written_holds_no_link_to_hdf5(rich_hdf5: Path, tmp_path: Path) -> None:
    with h5py.File(rich_hdf5) as file:
        nwbfile = NWBFile("d", "i", START)
        nwbfile.add_acquisition(
            TimeSeries(name="ts", data=file["acquisition/first/data"], unit="m", rate=1.0)
        )
        with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
            io.write(nwbfile)
        expected = file["acquisition/first/data"][:]
    with NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], expected)
