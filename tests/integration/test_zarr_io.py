"""The names of `ZarrIO` that clients use, one by one."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import (
    BuildManager,
    DatasetBuilder,
    GroupBuilder,
    LinkBuilder,
    ReferenceBuilder,
    TypeMap,
)
from hdmf.common import HERD, DynamicTable, get_manager, get_type_map
from hdmf.spec import NamespaceCatalog
from pynwb import NWBFile, TimeSeries, validate
from pynwb import get_type_map as get_nwb_type_map
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrIO, check, nwb
from hdmf_zarr.errors import BrokenLinkError, EncodingError, LostWriteError, ModeError, OptionError
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.utils import ZarrReference
from tests.compare import assert_builders_equal
from tests.conftest import nwb_catalog
from tests.rich import NAMESPACE, extension_path, fixed_object_ids, rich_nwbfile, rich_type_map


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.nwb.zarr"
    nwbfile = NWBFile("names", "names", datetime(2024, 1, 1, tzinfo=UTC))
    series = TimeSeries(name="ts", data=np.arange(10.0), unit="V", rate=1.0)
    nwbfile.add_acquisition(series)
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, timeseries=[series])
    with NWBZarrIO(path, "w") as io:
        io.write(nwbfile)
    return path


def test_what_an_io_says_of_itself(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with NWBZarrIO(path.name, "r") as io:
        assert io.path == path.name
        assert io.abspath == io.source == str(path)
        assert io.mode == io._ZarrIO__mode == "r"
        assert io.manager.type_map is not None
        assert isinstance(io._file, zarr.Group)
        assert io._ZarrIO__file.attrs["nwb_version"] == io.nwb_version[0]
        assert io._file["acquisition/ts/data"][:].tolist() == list(range(10))
        assert not io.is_remote()
        assert io.is_open()
    assert not io.is_open()
    assert NWBZarrIO(Path(path), "r").path == str(path)


def test_the_same_builder_is_read_each_time(path):
    with NWBZarrIO(path, "r") as io:
        assert io.read_builder() is io.read_builder()
        builder = io.read_builder()["acquisition/ts"]
        assert builder.location == "/acquisition"
        assert builder.source == str(path)


def test_builders_and_containers_of_zarr_objects(path):
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        group = io._file["acquisition/ts"]
        assert io.get_builder(group) is io.read_builder()["acquisition/ts"]
        assert io.get_container(group) is nwbfile.acquisition["ts"]
        assert (
            io.get_builder(nwbfile.acquisition["ts"].data)
            is io.read_builder()["acquisition/ts/data"]
        )
        with pytest.raises(BrokenLinkError, match="has not been built"):
            io.get_builder(io._file["specifications"])
        assert ZarrIO.get_zarr_parent_path(group) == "/acquisition"


@pytest.mark.parametrize("reference", [
    {"source": ".", "path": "/acquisition/ts/data"},
    ZarrReference(source=".", path="/acquisition/ts/data", object_id=None),
    "/acquisition/ts/data",
])  # fmt: skip
def test_a_reference_is_resolved_to_an_array(path, reference):
    with NWBZarrIO(path, "r") as io:
        name, array = io.resolve_ref(reference)
        assert name == "data"
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(array[:], np.arange(10.0))


def test_a_reference_is_resolved_to_a_group(path):
    with NWBZarrIO(path, "r") as io:
        name, group = io.resolve_ref({"source": ".", "path": "/acquisition/ts"})
        assert (name, group.path) == ("ts", "acquisition/ts")
        assert io.resolve_ref({"source": ".", "path": "/"})[1].path == ""


def test_what_was_written_is_known(path):
    with NWBZarrIO(path, "r+") as io:
        builder = io.read_builder()
        series = builder["acquisition/ts"]
        assert io.get_written(series)
        assert io.get_written(series, check_on_disk=True)
        assert io.get_builder_exists_on_disk(series)
        assert io.get_builder_disk_path(series) == str(path / "acquisition" / "ts")
        assert io.get_builder_disk_path(series, "/elsewhere") == "/elsewhere/acquisition/ts"
        new = GroupBuilder("new")
        builder.set_group(new)
        assert not io.get_written(new)
        assert not io.get_builder_exists_on_disk(new)
        io.write_builder(builder)
        assert io.get_written(new, check_on_disk=True)


# -- written piece by piece -------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["local", "memory"])
def test_a_store_is_written_piece_by_piece(tmp_path, store):
    target = tmp_path / "pieces.zarr" if store == "local" else MemoryStore()
    data = DatasetBuilder("data", [1, 2, 3], attributes={"unit": "V"})
    group = GroupBuilder("group", datasets=[data], attributes={"n": np.uint8(3)})
    GroupBuilder("root", groups=[group])
    with ZarrIO(target, "w") as io:
        written = io.write_group(io._file, group)
        assert written.path == "group"
        array = io.write_dataset("/group", DatasetBuilder("more", ["a", "b"]))
        assert array[:].tolist() == ["a", "b"]
        assert io.write_dataset("group", DatasetBuilder("forced", [0]), force_data=[7, 8])[1] == 8
        io.write_dataset("/", DatasetBuilder("reference", ReferenceBuilder(data), dtype="object"))
        io.write_link("/", LinkBuilder(data, "link"))
        io.write_attributes(io._file, {"title": "pieces", "target": ReferenceBuilder(group)})
        io.write_attributes("/group", {"x": np.float32(1.5)})
    with ZarrIO(target, "r") as io:
        root = io.read_builder()
        assert root.attributes["title"] == "pieces"
        assert root.attributes["target"] is root["group"]
        assert root["group"].attributes == {"n": np.uint8(3), "x": np.float32(1.5)}
        assert root["group"].attributes["x"].dtype == np.float32
        assert root["group/data"].attributes == {"unit": "V"}
        assert root["reference"].data.builder is root["group/data"]
        assert root.links["link"].builder is root["group/data"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "write",
    [
        lambda io, data: io.write_attributes("group", {"data": 1}),
        lambda io, data: io.write_attributes("", {"link": 1}),
        lambda io, data: io.write_link("group", LinkBuilder(data, "data")),
        lambda io, data: io.write_link("", LinkBuilder(data, "title")),
        lambda io, data: io.write_dataset("", DatasetBuilder("title", [1, 2])),
        lambda io, data: io.write_dataset("", DatasetBuilder("group", [1, 2])),
        lambda io, data: io.write_dataset("", DatasetBuilder("link", [1, 2])),
        lambda io, data: io.write_group("group", GroupBuilder("data")),
        lambda io, data: io.write_group("", GroupBuilder("title")),
        lambda io, data: io.write_group("", GroupBuilder("link")),
    ],
)
def test_a_name_is_not_given_twice(tmp_path, write, zarr_format):
    data = DatasetBuilder("data", np.arange(3))
    root = GroupBuilder("root", attributes={"title": "old"})
    root.set_group(GroupBuilder("group", datasets={"data": data}))
    root.set_link(LinkBuilder(data, "link"))
    target = tmp_path / "file.zarr"
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    with ZarrIO(target, "r+") as io, pytest.raises(EncodingError, match="choose another name"):
        write(io, io.read_builder()["group"]["data"])
    assert check(target).findings == ()
    with ZarrIO(target, "r") as io:
        root = io.read_builder()
        assert root.attributes == {"title": "old"}
        assert root.links["link"].builder is root["group"]["data"]
        assert root["group"]["data"].data[:].tolist() == [0, 1, 2]


@pytest.mark.parametrize("before", [True, False], ids=["a store", "nothing"])
def test_an_error_between_pieces_leaves_what_was_there(tmp_path, before):
    target = tmp_path / "pieces.zarr"
    if before:
        with ZarrIO(target, "w") as io:
            io.write_builder(GroupBuilder("root", attributes={"title": "old"}))
    with pytest.raises(KeyboardInterrupt), ZarrIO(target, "w") as io:
        io.write_group("", GroupBuilder("half"))
        raise KeyboardInterrupt
    assert not io.is_open()
    assert [path.name for path in tmp_path.iterdir()] == ["pieces.zarr"] * before
    if before:
        with ZarrIO(target, "r") as io:
            assert io.read_builder().attributes == {"title": "old"}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_was_not_undone_is_not_committed(tmp_path, monkeypatch, zarr_format):
    """A second interrupt comes while a failed write is undone."""
    target = tmp_path / "file.zarr"
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", attributes={"title": "old"}))

    set_object = LocalByteStore.set

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def set_first(store: LocalByteStore, key: str, value: bytes) -> None:
        if "second" in key:
            raise KeyboardInterrupt
        set_object(store, key, value)

    half = GroupBuilder("half")
    for name in ("first", "second"):
        half.set_dataset(DatasetBuilder(name, np.ones(2)))
    io = ZarrIO(target, "r+")
    io.open()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalByteStore, "set", set_first)
        patch.setattr(LocalByteStore, "delete_prefix", interrupted)
        io.write_group("", half)
    with pytest.raises(LostWriteError, match="nothing is committed"):
        io.close()
    with ZarrIO(target, "r") as io:
        assert dict(io.read_builder().groups) == {}
    with ZarrIO(target, "r+") as io:
        io.write_group("", GroupBuilder("whole"))
    assert check(target).findings == ()
    with ZarrIO(target, "r") as io:
        assert list(io.read_builder().groups) == ["whole"]


def test_a_piece_below_a_group_that_is_missing_is_refused(tmp_path):
    with (
        ZarrIO(tmp_path / "f.zarr", "w") as io,
        pytest.raises(BrokenLinkError, match="no group at /x"),
    ):
        io.write_dataset("/x", DatasetBuilder("data", [1]))
    assert not (tmp_path / "f.zarr").exists()


def test_a_write_after_writing_pieces_keeps_them(tmp_path):
    with ZarrIO(tmp_path / "f.zarr", "w") as io:
        io.write_dataset("/", DatasetBuilder("piece", [1, 2]))
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("whole", [3])]))
    with ZarrIO(tmp_path / "f.zarr", "r") as io:
        assert set(io.read_builder().datasets) == {"piece", "whole"}


# -- namespaces -------------------------------------------------------------------------------------


def test_cached_namespaces_are_loaded(path):
    catalog = nwb_catalog()
    dependencies = NWBZarrIO.load_namespaces(catalog, path)
    assert "core" in dependencies
    assert set(dependencies["core"]) >= {"hdmf-common"}
    with NWBZarrIO(path, "r") as io:
        by_io = nwb_catalog()
        assert io.load_namespaces_io(by_io) == dependencies
        by_file = nwb_catalog()
        assert ZarrIO.load_namespaces(namespace_catalog=by_file, file=io._file) == dependencies
        assert ZarrIO.get_namespaces(file=io._file) == NWBZarrIO.get_namespaces(path)
    assert ZarrIO.get_namespaces(path)["core"] == str(catalog.get_namespace("core").version)
    only = nwb_catalog()
    assert set(ZarrIO.load_namespaces(only, path, namespaces=["hdmf-common"])) == {"hdmf-common"}
    with pytest.raises(ValueError, match=r"caches no namespace \['nothing'\]"):
        ZarrIO.load_namespaces(only, path, namespaces=["nothing"])


@pytest.mark.parametrize("versions", [
    ["2.9.0", "2.11.0"], ["2.11.0", "2.9.0"], ["None", "0.1.0"], ["2.11.0-alpha", "2.11.0"],
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("consolidated", [True, False])
def test_the_latest_version_is_so_by_version_order(tmp_path, versions, consolidated):
    path = tmp_path / "f.zarr"
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root"))
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    root.attrs[".specloc"] = "specifications"
    for version in versions:
        group = root.create_group(f"specifications/ndx/{version}")
        schema = [{"source": "ndx"}]
        group.create_array("namespace", shape=(), dtype="string")[...] = json.dumps(
            {"namespaces": [{"name": "ndx", "doc": "d", "version": version, "schema": schema}]}
        )
        group.create_array("ndx", shape=(), dtype="string")[...] = '{"groups": [], "datasets": []}'
    if consolidated:
        zarr.consolidate_metadata(path)
    latest = {"2.9.0": "2.11.0", "None": "0.1.0", "2.11.0-alpha": "2.11.0"}.get(
        versions[0], "2.11.0"
    )
    assert ZarrIO.get_namespaces(path) == {"ndx": latest}
    catalog = NamespaceCatalog()
    ZarrIO.load_namespaces(catalog, path)
    assert catalog.get_namespace("ndx").version == latest


def test_a_store_without_specifications_loads_none(tmp_path):
    with ZarrIO(tmp_path / "f.zarr", "w") as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("d", [1])]))
    assert ZarrIO.load_namespaces(NamespaceCatalog(), tmp_path / "f.zarr") == {}


EXTENSIONS: dict[str, Any] = {
    "text": str(extension_path()),
    "path": extension_path(),
    "paths": [extension_path()],
    "types": rich_type_map(),
    "all types": (rich_type_map(),),
}


def test_loading_namespaces_can_be_turned_off(path, monkeypatch):
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("namespaces were loaded")

    monkeypatch.setattr(nwb, "load_cached_namespaces", refuse)
    with NWBZarrIO(path, "r", load_namespaces=False) as io:
        assert io.read().identifier == "names"
    for chosen in (
        {"manager": io.manager},
        *({"extensions": given} for given in EXTENSIONS.values()),
    ):
        # What the caller chose counts, also beside the default value of the other option.
        for asked in ({}, {"load_namespaces": True}):
            with NWBZarrIO(path, "r", **chosen, **asked) as io:
                assert io.read().identifier == "names"
                assert (NAMESPACE in io.manager.namespace_catalog.namespaces) == (
                    "extensions" in chosen
                )
                assert "manager" not in chosen or io.manager is chosen["manager"]
    with pytest.raises(AssertionError, match="were loaded"):
        NWBZarrIO(path, "r")


@pytest.mark.parametrize("given", EXTENSIONS.values(), ids=EXTENSIONS)
def test_extensions_are_used_to_write_and_to_read(tmp_path, given):
    type_map = rich_type_map()
    with NWBZarrIO(tmp_path / "rich.zarr", "w", manager=BuildManager(type_map)) as io:
        io.write(rich_nwbfile(type_map), cache_spec=False)
    with NWBZarrIO(tmp_path / "rich.zarr", "r", extensions=given) as io:
        rich = io.read().acquisition["rich"]
        assert (type(rich).__name__, rich.count) == ("RichData", 2**32 - 1)


def test_what_is_no_extension_is_refused(path):
    with pytest.raises(OptionError, match="found int"):
        NWBZarrIO(path, "r", extensions=[3])
    for given in ([rich_type_map()] * 2, get_type_map()):
        with pytest.raises(OptionError, match="one type map, which has the namespace 'core'"):
            NWBZarrIO(path, "r", extensions=given)


def test_a_type_map_may_stand_for_a_manager(path):
    type_map: TypeMap = get_nwb_type_map()
    with ZarrIO(path, "r", manager=type_map) as io:
        assert io.manager.type_map is type_map
        assert io.read().identifier == "names"


# -- other things ------------------------------------------------------------------------------------


def test_hdmf_containers_without_nwb(tmp_path):
    table = DynamicTable(name="table", description="d")
    table.add_column("x", "d")
    for value in (1, 2, 3):
        table.add_row(x=value)
    with ZarrIO(tmp_path / "t.zarr", "w", manager=get_manager()) as io:
        io.write(table)
    assert ZarrIO.can_read(tmp_path / "t.zarr")
    with ZarrIO(tmp_path / "t.zarr", "r", manager=get_type_map()) as io:
        read = io.read()
        assert read.name == "root"
        assert read["x"].data[:].tolist() == [1, 2, 3]


def test_validation_of_a_path_and_of_an_io(path):
    assert validate(path=path) == []
    with NWBZarrIO(path, "r") as io:
        assert validate(io=io) == []


def test_a_table_for_notebooks_never_raises(path):
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        html = io.generate_dataset_html(nwbfile.acquisition["ts"].data)
        assert "Compression ratio" in html
        assert "Stored bytes" in html
        for data in (
            nwbfile.trials["timeseries"].target.data,
            nwbfile.file_create_date,
            np.arange(3),
        ):
            assert io.generate_dataset_html(np.asarray(data) if isinstance(data, list) else data)
        assert "acquisition" in nwbfile._repr_html_()
        assert nwbfile.trials._repr_html_()


def test_lazy_arrays_travel_to_other_processes(path):
    with NWBZarrIO(path, "r") as io:
        data = io.read().acquisition["ts"].data
        copy = pickle.loads(pickle.dumps(data))
        np.testing.assert_array_equal(copy[:], data[:])
        assert type(copy) is type(data)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            assert pool.submit(np.sum, data).result() == 45.0


def test_an_unclosed_file_that_was_only_read_is_no_warning(path):
    nwbfile = NWBZarrIO.read_nwb(path)
    np.testing.assert_array_equal(nwbfile.acquisition["ts"].data[:], np.arange(10.0))
    assert nwbfile.read_io.is_open()


def test_every_option_of_the_export_goes_through_nwb_zarr_io(path, tmp_path):
    with NWBZarrIO(path, "r") as src, NWBZarrIO(tmp_path / "o.nwb.zarr", "w") as io:
        io.export(
            src_io=src,
            nwbfile=src.read(),
            write_args={"link_data": False},
            cache_spec=False,
            number_of_jobs=1,
            max_threads_per_process=1,
            multiprocessing_context="spawn",
            executor=None,
            consolidate_metadata=False,
        )
    document = json.loads((tmp_path / "o.nwb.zarr" / "zarr.json").read_text())
    assert "consolidated_metadata" not in document
    assert ".specloc" not in document["attributes"]
    with NWBZarrIO(tmp_path / "o.nwb.zarr", "r", load_namespaces=False) as io:
        assert io.read().identifier == "names"


def test_write_args_are_not_changed(path, tmp_path):
    write_args = {"link_data": False}
    with NWBZarrIO(path, "r") as src, NWBZarrIO(tmp_path / "o.nwb.zarr", "w") as io:
        io.export(src, write_args=write_args)
    assert write_args == {"link_data": False}


def test_external_resources_are_written_and_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # HDMF finds its tables in an archive of the working folder only
    nwbfile = NWBFile("herd", "herd", datetime(2024, 1, 1, tzinfo=UTC))
    herd = HERD()
    herd.add_ref(container=nwbfile, key="k", entity_id="E:1", entity_uri="https://e/1")
    with NWBZarrIO("f.nwb.zarr", "w", herd_path="h.zip") as io:
        io.write(nwbfile, herd=herd)
    with NWBZarrIO("f.nwb.zarr", "r", herd_path="h.zip") as io:
        io.read()
        assert "E:1" in io.herd.entities[0]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_indices_of_external_resources_stay_integers(tmp_path, zarr_format):
    def make() -> HERD:
        with fixed_object_ids():
            herd, nwbfile = HERD(), NWBFile("herd", "herd", datetime(2024, 1, 1, tzinfo=UTC))
        for n in range(3):
            herd.add_ref(
                container=nwbfile, key=f"k{n}", entity_id=f"E:{n}", entity_uri=f"https://e/{n}"
            )
        return herd

    with HDF5IO(str(tmp_path / "h.h5"), "w", manager=get_manager()) as io:
        io.write(make())
    with ZarrIO(tmp_path / "h.zarr", "w", manager=get_manager(), zarr_format=zarr_format) as io:
        io.write(make())
    with (
        HDF5IO(str(tmp_path / "h.h5"), "r", manager=get_manager()) as twin,
        ZarrIO(tmp_path / "h.zarr", "r", manager=get_manager()) as io,
    ):
        builder = io.read_builder()
        assert_builders_equal(twin.read_builder(), builder)
        fields = builder["object_keys"].dtype
        assert [(field["name"], field["dtype"]) for field in fields] == [
            ("objects_idx", "uint32"),
            ("keys_idx", "uint32"),
        ]
        assert [tuple(row) for row in builder["object_keys"].data[:]] == [(0, 0), (0, 1), (0, 2)]


def test_closing_twice_and_opening_again(path):
    io = NWBZarrIO(path, "r")
    io.close()
    io.close()
    with pytest.raises(ModeError, match="closed"):
        io.read_builder()
    io.open()
    assert io.read().identifier == "names"
