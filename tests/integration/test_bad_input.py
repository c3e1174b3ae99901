"""Bad input is one of our errors, says what and where, and changes nothing on disk."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.errors import UnsupportedOperation
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, get_manager
from zarr.storage import LocalStore, MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.errors import (
    BrokenLinkError,
    DtypeError,
    EncodingError,
    HDMFZarrError,
    LayoutError,
    MetadataError,
    ModeError,
    NoDataError,
    NotAStoreError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
    UnsupportedFormatError,
)


def make_file(data: Any = (1, 2, 3)) -> NWBFile:
    nwbfile = NWBFile(
        session_description="bad input",
        identifier="bad",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
    )
    data = list(data) if isinstance(data, tuple) else data
    nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="V", rate=1.0))
    return nwbfile


def write_store(path: Path, zarr_format: int = 3) -> Path:
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(make_file())
    return path


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("mode", ["r", "r-", "r+"])
@pytest.mark.parametrize("io_class", [ZarrIO, NWBZarrIO])
def test_a_path_that_does_not_exist(tmp_path, io_class, mode):
    path = tmp_path / "missing.nwb.zarr"
    with pytest.raises(StoreNotFoundError, match=re.escape(str(path))) as info:
        io_class(path, mode)
    assert isinstance(info.value, FileNotFoundError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a"])
def test_a_folder_that_is_no_store(tmp_path, mode):
    folder = tmp_path / "photos.nwb.zarr"
    folder.mkdir()
    (folder / "image.txt").write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(NotAStoreError, match=re.escape(str(folder))) as info:
        NWBZarrIO(folder, mode)
    assert isinstance(info.value, ValueError)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a"])
def test_a_file_that_is_no_store(tmp_path, mode):
    path = tmp_path / "text.nwb.zarr"
    path.write_text("hello")
    with pytest.raises(NotAStoreError, match=re.escape(str(path))):
        NWBZarrIO(path, mode)
    assert path.read_text() == "hello"


def test_a_zarr_array_is_no_hierarchy(tmp_path):
    path = tmp_path / "array.zarr"
    zarr.create_array(path, shape=(3,), dtype="i4")
    with pytest.raises(NotAStoreError, match="array at its root"):
        ZarrIO(path, "r")


def test_a_store_without_hdmf_data(tmp_path):
    path = tmp_path / "other.zarr"
    zarr.create_group(path).create_array("x", shape=(3,), dtype="i4")
    assert not ZarrIO.can_read(path)
    assert not NWBZarrIO.can_read(path)
    with NWBZarrIO(path, "r") as io, pytest.raises(NoDataError, match=re.escape(str(path))) as info:
        io.read()
    assert isinstance(info.value, UnsupportedOperation)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("attributes", "hdmf", "nwb"),
    [
        ({}, False, False),
        ({"namespace": "core"}, False, False),
        ({"nwb_version": "2.7.0"}, False, False),
        ({".specloc": "specifications"}, False, False),
        ({"data_type": "DynamicTable", "namespace": "hdmf-common"}, True, False),
        ({"neurodata_type": "NWBFile", "namespace": "core"}, True, False),
        ({"neurodata_type": "NWBFile", "nwb_version": "1.0.6"}, True, False),
        ({"neurodata_type": "NWBFile", "nwb_version": 2}, True, False),
        ({"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.7.0"}, True, True),
    ],
)
@pytest.mark.filterwarnings("ignore:cannot read")
def test_a_group_of_zarr_can_be_read_where_it_says_that_it_is_hdmf(
    tmp_path, attributes, hdmf, nwb, zarr_format
):
    path = tmp_path / "file.zarr"
    zarr.create_group(path, attributes=attributes, zarr_format=zarr_format)
    store = MemoryStore()
    zarr.create_group(store, attributes=attributes, zarr_format=zarr_format)
    for place in (path, str(path), LocalStore(path), store):
        assert (ZarrIO.can_read(place), NWBZarrIO.can_read(place)) == (hdmf, nwb)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nothing_else_can_be_read(tmp_path, zarr_format):
    zarr.create_array(tmp_path / "array.zarr", shape=(3,), dtype="i4", zarr_format=zarr_format)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello")
    store = write_store(tmp_path / "unfinished.nwb.zarr", zarr_format)
    for name in ("zarr.json", ".zgroup", ".zmetadata"):
        (store / name).unlink(missing_ok=True)
    places = [*sorted(tmp_path.iterdir()), tmp_path / "nothing", MemoryStore()]
    assert len(places) == 6
    for place in places:
        assert (ZarrIO.can_read(place), NWBZarrIO.can_read(place)) == (False, False)


def test_a_store_whose_root_is_no_json(tmp_path):
    path = write_store(tmp_path / "file.nwb.zarr")
    (path / "zarr.json").write_text("{ half")
    with pytest.raises(MetadataError, match=r"zarr\.json is not valid JSON"):
        NWBZarrIO(path, "r")
    assert not NWBZarrIO.can_read(path)


def test_an_nwb_version_that_is_missing_or_too_old(tmp_path):
    path = tmp_path / "file.nwb.zarr"
    write_store(path)
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    root.attrs["nwb_version"] = "1.0.6"
    with NWBZarrIO(path, "r-") as io:
        assert io.nwb_version == ("1.0.6", (1, 0, 6))
        with pytest.raises(TypeError, match="version 2 and later"):
            io.read()
        assert io.read(skip_version_check=True).identifier == "bad"
    with pytest.warns(UserWarning, match="NWB 2 and later"):
        zarr.consolidate_metadata(path)
        assert not NWBZarrIO.can_read(path)


@pytest.mark.parametrize("mode", ["w-", "x"])
@pytest.mark.parametrize("what", ["store", "hdf5", "folder"])
def test_what_is_already_there_is_not_replaced(tmp_path, mode, what):
    path = tmp_path / "file.nwb.zarr"
    if what == "store":
        write_store(path)
    elif what == "hdf5":
        h5py.File(path, "w").close()
    else:
        path.mkdir()
        (path / "x").write_text("x")
    before = snapshot(tmp_path)
    with pytest.raises(StoreExistsError, match=re.escape(str(path))) as info:
        NWBZarrIO(path, mode)
    assert isinstance(info.value, FileExistsError)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("io_class", [ZarrIO, NWBZarrIO])
def test_w_over_an_hdf5_file_needs_force_overwrite(tmp_path, io_class):
    path = tmp_path / "file.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(make_file())
    before = path.read_bytes()
    with pytest.raises(StoreExistsError, match="force_overwrite=True"):
        io_class(path, "w")
    assert path.read_bytes() == before
    with NWBZarrIO(path, "w", force_overwrite=True) as io:
        assert path.read_bytes() == before
        io.write(make_file())
    with NWBZarrIO(path, "r") as io:
        assert io.read().identifier == "bad"


def test_w_over_a_folder_of_other_files_needs_force_overwrite(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreExistsError, match="no Zarr store"):
        NWBZarrIO(tmp_path / "mine", "w")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("what", "by_position", "zarr_format"), [("hdf5", True, 3), ("folder", False, 2)]
)
@pytest.mark.parametrize("io_class", [ZarrIO, NWBZarrIO])
def test_force_overwrite_replaces_what_is_there(tmp_path, io_class, by_position, what, zarr_format):
    path = tmp_path / "file.nwb"
    if what == "hdf5":
        with NWBHDF5IO(path, "w") as io:
            io.write(make_file())
    else:
        path.mkdir()
        (path / "x").write_text("x")
    options: dict[str, Any] = {"zarr_format": zarr_format}
    given = (path, "w", get_manager(), None, True) if by_position else (path, "w", get_manager())
    if not by_position:
        options["force_overwrite"] = True
    with io_class(*given, **options) as io:
        io.write(make_file((4, 5)))
    with NWBZarrIO(path, "r") as io:
        assert io.read().acquisition["ts"].data[:].tolist() == [4, 5]
    assert not (path / "x").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.nwb"]


def test_a_failed_write_leaves_the_old_store(tmp_path):
    path = write_store(tmp_path / "file.nwb.zarr")
    before = snapshot(tmp_path)

    def broken():
        yield np.arange(3)
        raise RuntimeError("the source broke")

    nwbfile = make_file(DataChunkIterator(data=broken(), buffer_size=1))
    with NWBZarrIO(path, "w") as io, pytest.raises(RuntimeError, match="the source broke"):
        io.write(nwbfile)
    assert snapshot(tmp_path) == before


def test_opening_for_writing_and_writing_nothing_changes_nothing(tmp_path):
    path = write_store(tmp_path / "file.nwb.zarr")
    before = snapshot(tmp_path)
    NWBZarrIO(path, "w").close()
    assert snapshot(tmp_path) == before
    NWBZarrIO(tmp_path / "new.nwb.zarr", "w").close()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"chunks": (2, 2)}, "2 dimensions, the data have 1"),
        ({"chunks": (0,)}, "must be positive"),
        ({"chunks": (2,), "shards": (3,)}, "multiple of the chunks"),
        ({"shards": (4, 4)}, "2 dimensions, the data have 1"),
        ({"filters": [zarr.codecs.BytesCodec()], "serializer": zarr.codecs.BytesCodec()},
         "one serializer"),
    ],
)  # fmt: skip
def test_a_layout_that_does_not_fit(tmp_path, settings, match):
    path = tmp_path / "file.nwb.zarr"
    with NWBZarrIO(path, "w") as io, pytest.raises(LayoutError, match=match) as info:
        io.write(make_file(ZarrDataIO(np.arange(10), **settings)))
    assert isinstance(info.value, ValueError)
    if "shards" not in settings or len(settings["shards"]) == 2:
        assert f"{path}:/acquisition/ts/data" in str(info.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"compressor": "gzip"}, OptionError),
        ({"filters": ["shuffle"]}, OptionError),
        ({"compressor": True, "compressors": True}, OptionError),
        ({"chunks": "all"}, LayoutError),
        ({"chunks": False}, OptionError),
        ({"link_data": True}, OptionError),
        ({"shards": "many"}, LayoutError),
    ],
)
def test_an_option_of_zarr_data_io_without_meaning(settings, error):
    with pytest.raises(error):
        ZarrDataIO(np.arange(10), **settings)


def builder_with(**dataset: Any) -> GroupBuilder:
    return GroupBuilder("root", datasets=[DatasetBuilder(name="data", **dataset)])


@pytest.mark.parametrize(
    ("dataset", "error", "match"),
    [
        ({"data": [1, 2], "dtype": "int17"}, DtypeError, "unknown dtype 'int17'"),
        ({"data": np.array([1], dtype="M8[s]")}, DtypeError, "M8"),
        ({"data": [(1, 2)], "dtype": [{"name": "a", "dtype": "int"}, {"name": "b", "dtype": "flt"}]},
         DtypeError, "field 'b'.*unknown dtype 'flt'"),
        ({"data": [[1, 2], [3]]}, EncodingError, "ragged"),
        ({"data": [["a", "b"], ["c"]]}, EncodingError, "ragged|place of a list"),
        ({"data": ["text", 3], "dtype": "text"}, EncodingError, "expected text, found 3"),
        ({"data": ["lone \ud800 surrogate"]}, EncodingError, "UTF-8"),
        ({"data": ["a"], "attributes": {"x": {"y": 1 + 2j}}}, HDMFZarrError, "attribute 'x'"),
        ({"data": ["a"], "attributes": {"x": [[1], [2, 3]]}}, EncodingError, "rectangular"),
        ({"data": ["a"], "attributes": {"_DTYPE": "float"}}, EncodingError, "reserves"),
        ({"data": ReferenceBuilder(GroupBuilder("elsewhere"))}, BrokenLinkError, "'elsewhere'"),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_before_anything_is_written(
    tmp_path, dataset, error, match
):
    path = tmp_path / "file.zarr"
    with ZarrIO(path, "w") as io, pytest.raises(error, match=match) as info:
        io.write_builder(builder_with(**dataset))
    assert str(info.value).startswith(f"{path}:/data: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["..", ".", "zarr.json", "nul\0"])
def test_a_name_that_leaves_its_group_is_refused(tmp_path, name):
    root = GroupBuilder("root", datasets=[DatasetBuilder(name=name, data=[1])])
    with ZarrIO(tmp_path / "file.zarr", "w") as io, pytest.raises(EncodingError, match="name"):
        io.write_builder(root)
    assert not list(tmp_path.iterdir())


def test_modes_and_what_they_allow(tmp_path):
    path = write_store(tmp_path / "file.nwb.zarr")
    with pytest.raises(OptionError, match="unknown mode 'rw'"):
        NWBZarrIO(path, "rw")
    with NWBZarrIO(path, "r") as io:
        with pytest.raises(ModeError, match="mode 'r'") as info:
            io.write(make_file())
        assert isinstance(info.value, UnsupportedOperation)
    with NWBZarrIO(path, "r+") as io, NWBZarrIO(path, "r") as src:
        with pytest.raises(ModeError, match="cannot export"):
            io.export(src)
    with (
        NWBZarrIO(tmp_path / "new.nwb.zarr", "w") as io,
        pytest.raises(ModeError, match="mode 'w'"),
    ):
        io.read()
    io = NWBZarrIO(path, "r")
    io.close()
    with pytest.raises(ModeError, match="closed"):
        io.read()


def test_options_that_contradict_each_other(tmp_path):
    path = write_store(tmp_path / "file.nwb.zarr")
    with pytest.raises(ValueError, match="manager or extensions"):
        NWBZarrIO(path, "r", manager=get_manager(), extensions=["x.yaml"])
    with pytest.raises(ValueError, match="driver"):
        NWBZarrIO(path, "r", driver="ros3")
    with pytest.raises(ValueError, match="aws_region"):
        ZarrIO.load_namespaces(get_manager().namespace_catalog, path, aws_region="us-east-2")
    with pytest.raises(ValueError, match="storage_options"):
        NWBZarrIO(path, "r", storage_options={"anon": True})
    with pytest.raises(UnsupportedFormatError, match="Zarr format 7"):
        NWBZarrIO(path, "w", zarr_format=7)
    with pytest.raises(TypeError, match="path must be"):
        NWBZarrIO(3, "r")
    with pytest.raises(ModeError, match="read-only"):
        NWBZarrIO(LocalStore(path, read_only=True), "r+")


@pytest.mark.parametrize("option", ["synchronizer", "object_codec_class"])
def test_options_of_zarr_python_2_warn_and_change_nothing(tmp_path, option):
    path = write_store(tmp_path / "file.nwb.zarr")
    with pytest.warns(UserWarning, match=f"{option} .* no effect"):
        io = NWBZarrIO(path, "r", **{option: True})
    assert io.read().identifier == "bad"
    assert getattr(io, option) is None


def test_unknown_write_args_are_refused(tmp_path):
    path = write_store(tmp_path / "file.nwb.zarr")
    with NWBZarrIO(path, "r") as src, NWBZarrIO(tmp_path / "out.nwb.zarr", "w") as io:
        with pytest.raises(OptionError, match="unknown write_args"):
            io.export(src, write_args={"linkdata": True})
    assert not (tmp_path / "out.nwb.zarr").exists()


def test_linking_to_hdf5_is_refused(tmp_path):
    with NWBHDF5IO(tmp_path / "file.nwb", "w") as io:
        io.write(make_file())
    with NWBHDF5IO(tmp_path / "file.nwb", "r") as src, NWBZarrIO(tmp_path / "o.zarr", "w") as io:
        with pytest.raises(UnsupportedOperation, match="link_data=False"):
            io.export(src, write_args={"link_data": True})


# -- links and references that dangle ---------------------------------------------------------------


def linked_file(tmp_path: Path) -> Path:
    path = tmp_path / "file.nwb.zarr"
    nwbfile = make_file()
    first = nwbfile.acquisition["ts"]
    nwbfile.add_acquisition(TimeSeries(name="linked", data=first, unit="V", rate=1.0))
    nwbfile.add_trial_column("note", "text")
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, note="n", timeseries=[first])
    with NWBZarrIO(path, "w") as io:
        io.write(nwbfile)
    return path


def remove(path: Path, node: str) -> None:
    """Remove a node, and its entry in the consolidated metadata."""
    shutil.rmtree(path / node)
    zarr.consolidate_metadata(path)


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("mode", ["r", "r-"])
def test_a_dangling_link_costs_that_link_alone(tmp_path, mode):
    path = linked_file(tmp_path)
    remove(path, "acquisition/ts/data")
    with NWBZarrIO(path, mode) as io:
        with pytest.warns(BrokenLinkWarning, match="/acquisition/linked/data is broken"):
            builder = io.read_builder()
        assert "data" not in builder["acquisition/linked"].links
        assert builder["acquisition/linked"].attributes["neurodata_type"] == "TimeSeries"
        assert builder["intervals/trials/note"].data[:].tolist() == ["n"]


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_a_dangling_reference_is_an_error_when_it_is_used(tmp_path):
    path = linked_file(tmp_path)
    remove(path, "acquisition/ts")
    with NWBZarrIO(path, "r") as io:
        with pytest.warns(BrokenLinkWarning, match="/acquisition/linked/data is broken"):
            builder = io.read_builder()
        with pytest.raises(
            BrokenLinkError, match="/intervals/trials/timeseries .*/acquisition/ts"
        ) as info:
            builder["intervals/trials/timeseries"].data[0]
        assert isinstance(info.value, (KeyError, ValueError))
        with pytest.raises(BrokenLinkError, match="Found bad link to object /acquisition/ts"):
            io.resolve_ref({"source": ".", "path": "/acquisition/ts"})


def test_appending_keeps_a_link_whose_target_is_away(tmp_path):
    path = linked_file(tmp_path)
    away = tmp_path / "away"
    (path / "acquisition/ts/data").rename(away)
    with NWBZarrIO(path, "r+") as io:
        with pytest.warns(BrokenLinkWarning):
            builder = io.read_builder()
        builder.set_group(GroupBuilder("extra"))
        io.write_builder(builder)
    away.rename(path / "acquisition/ts/data")
    with NWBZarrIO(path, "r-") as io:
        nwbfile = io.read()
        np.testing.assert_array_equal(nwbfile.acquisition["linked"].data[:], [1, 2, 3])


def set_links(path: Path, links: list[dict[str, str]]) -> None:
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    group["acquisition/linked"].attrs["_LINKS"] = links


def test_links_that_lead_in_a_circle_cost_themselves_alone(tmp_path):
    path = linked_file(tmp_path)
    set_links(path, [{"name": "data", "source": ".", "path": "/acquisition/linked/data"}])
    with NWBZarrIO(path, "r-") as io, pytest.warns(BrokenLinkWarning, match="more than 32 links"):
        builder = io.read_builder()
    assert "ts" in builder["acquisition"].groups


def test_a_link_to_a_store_that_is_away(tmp_path):
    path = linked_file(tmp_path)
    set_links(path, [{"name": "data", "source": "../away.nwb.zarr", "path": "/data"}])
    with NWBZarrIO(path, "r-") as io:
        with pytest.warns(BrokenLinkWarning, match=re.escape(str(tmp_path / "away.nwb.zarr"))):
            io.read_builder()


def test_a_store_in_memory_does_not_reach_the_disk(tmp_path):
    outside = write_store(tmp_path / "secret.nwb.zarr")
    store = MemoryStore()
    with NWBZarrIO(store, "w") as io:
        io.write(make_file())
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    group["acquisition"].attrs["_LINKS"] = [
        {"name": "stolen", "source": str(outside), "path": "/acquisition/ts"}
    ]
    with NWBZarrIO(store, "r-") as io, pytest.warns(BrokenLinkWarning, match="stolen"):
        builder = io.read_builder()
    assert "stolen" not in builder["acquisition"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_links_and_references_that_make_no_sense_cost_themselves_alone(tmp_path, zarr_format):
    path = tmp_path / "f.zarr"
    target = DatasetBuilder("target", [1, 2, 3])
    inner = GroupBuilder("inner", datasets=[target], attributes={"kept": "yes"})
    with ZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write_builder(
            GroupBuilder("root", groups=[inner], attributes={"to": ReferenceBuilder(target)})
        )
    links, reference = {
        2: ("zarr_link", {"zarr_dtype": "object", "value": {"path": 3}}),
        3: ("_LINKS", {"_REFERENCE": {"path": 3}}),
    }[zarr_format]
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    group.attrs["to"] = reference
    group["inner"].attrs[links] = "not a list"
    with ZarrIO(path, "r-") as io, pytest.warns(BrokenLinkWarning) as warned:
        root = io.read_builder()
    assert "to" not in root.attributes
    assert root["inner"].attributes == {"kept": "yes"}
    np.testing.assert_array_equal(root["inner/target"].data[:], [1, 2, 3])
    said = [str(warning.message) for warning in warned]
    assert len(said) == 2
    assert any("attribute 'to'" in text for text in said)
    assert any(f"{path}:/inner links to" in text for text in said)
