"""No name in a store leaves it: refused when writing, harmless when reading."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.conversion import convert
from hdmf_zarr.core.system import keeps_case
from hdmf_zarr.errors import EncodingError, HDMFZarrError, MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.chunk_keys import chunk_key
from hdmf_zarr.read.specifications import read_specifications
from hdmf_zarr.stores import keys
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.planning import naming
from tests.conftest import corpus_files
from tests.format2 import Format2Store, reference

REFUSED = [
    *("..", ".", "a/b", "/a", "nul\0", "zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata"),
    *("..\\..\\x", "a\\..\\b", "\\x", "C:\\x", "a:b", "µ" * 128, "half \ud800"),
]
WARNED = [
    *("a\\b", "tab\t", "line\n", "escape\x1b", "delete\x7f"),
    *("CON", "nul", "com1", "LPT9.txt", "Aux.h5", "aux", "dot.", "space "),
]
KEPT = ["good?", "a < b", "µ", "a.b", ".hidden", "c", "0.0", "console", "com10", "ab:c", "x" * 255]


def tree(kind: str, name: str) -> GroupBuilder:
    data = DatasetBuilder(name if kind == "dataset" else "data", [1, 2])
    if kind == "group":
        return GroupBuilder("root", groups={name: GroupBuilder(name, datasets={"data": data})})
    links = {name: LinkBuilder(data, name)} if kind == "link" else {}
    return GroupBuilder("root", datasets={data.name: data}, links=links)


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("kind", ["dataset", "group", "link"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_not_every_system_keeps_is_refused(
    tmp_path: Path, name: str, kind: str, zarr_format: int
) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    with ZarrIO(folder / "file.zarr", "w", zarr_format=zarr_format) as io:
        with pytest.raises(EncodingError, match="name"):
            io.write_builder(tree(kind, name))
    assert [path for path in tmp_path.rglob("*") if path != folder] == []


@pytest.mark.parametrize("kind", ["dataset", "group", "link"])
@pytest.mark.parametrize("name", KEPT)
def test_other_names_are_written(tmp_path: Path, name: str, kind: str) -> None:
    with ZarrIO(tmp_path / "file.zarr", "w") as io:
        io.write_builder(tree(kind, name))
    with ZarrIO(tmp_path / "file.zarr", "r") as io:
        assert name in io.read_builder()
    assert check(tmp_path / "file.zarr").is_clean


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot keep them")
@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("kind", ["dataset", "group", "link"])
@pytest.mark.parametrize("name", WARNED)
def test_names_that_only_windows_changes_are_written_with_a_warning(
    tmp_path: Path, name: str, kind: str, zarr_format: int
) -> None:
    path, copy = tmp_path / "file.zarr", tmp_path / "copy.zarr"
    with pytest.warns(UserWarning, match="not every system keeps the names") as caught:
        with ZarrIO(path, "w", zarr_format=zarr_format) as io:
            io.write_builder(tree(kind, name))
    assert len(caught) == 1
    with ZarrIO(path, "r") as src_io, ZarrIO(copy, "w", zarr_format=zarr_format) as io:
        with pytest.warns(UserWarning, match="not every system keeps the names"):
            io.export(src_io)
    for written in (path, copy):
        with ZarrIO(written, "r") as io:
            found = io.read_builder()[name]
            found = found.builder if kind == "link" else found
            found = found["data"] if kind == "group" else found
            assert found.data[:].tolist() == [1, 2]
        codes = {finding.code for finding in check(written).findings}
        assert codes == {"not-portable-name"}
    with ZarrIO(path, "r+") as io:
        io.read_builder()
        with pytest.warns(UserWarning, match=r"'con' \(Windows keeps it for a device\)"):
            io.write_group("", GroupBuilder("con"))


def test_many_names_are_one_warning(tmp_path: Path) -> None:
    root = GroupBuilder("root", groups={f"com{n}": GroupBuilder(f"com{n}") for n in range(1, 8)})
    with pytest.warns(UserWarning, match="and 2 more; they are kept here") as caught:
        with ZarrIO(tmp_path / "file.zarr", "w") as io:
            io.write_builder(root)
    assert len(caught) == 1


def test_a_channel_called_aux_is_written_appended_exported_and_read(tmp_path: Path) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    nwbfile = NWBFile("intan", "intan", start)
    nwbfile.add_acquisition(TimeSeries(name="aux", data=np.arange(5.0), unit="V", rate=1.0))
    first, second, third = (tmp_path / f"{name}.nwb.zarr" for name in "abc")
    with pytest.warns(UserWarning, match="'aux'"), NWBZarrIO(first, "w") as io:
        io.write(nwbfile)
    with NWBZarrIO(first, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(TimeSeries(name="con", data=[1.0], unit="V", rate=1.0))
        with pytest.warns(UserWarning, match="'con'") as caught:
            io.write(nwbfile)
        assert not [one for one in caught if "'aux'" in str(one.message)], "it is there already"
    with NWBZarrIO(first, "r") as src_io, NWBZarrIO(second, "w") as io:
        with pytest.warns(UserWarning, match=r"'aux'.*'con'"):
            io.export(src_io)
    with pytest.warns(UserWarning, match=r"'aux'.*'con'"):
        convert(second, third, zarr_format=2)
    convert(third, tmp_path / "back.nwb")
    for path in (first, second, third):
        with NWBZarrIO(path, "r") as io:
            assert io.read().acquisition["aux"].data[:].tolist() == list(range(5))
    with h5py.File(tmp_path / "back.nwb") as file:
        assert sorted(file["acquisition"]) == ["aux", "con"]


def test_names_that_differ_only_in_case_are_written_where_both_can_be(tmp_path: Path) -> None:
    if not keeps_case(tmp_path):
        pytest.skip("this file system keeps only one of them")
    upper, lower = DatasetBuilder("Data", [1]), DatasetBuilder("data", [2])
    root = GroupBuilder("root", datasets={"Data": upper, "data": lower})
    with pytest.warns(UserWarning, match="'Data' and 'data'.*differ only in case"):
        with ZarrIO(tmp_path / "file.zarr", "w") as io:
            io.write_builder(root)
    with ZarrIO(tmp_path / "file.zarr", "r") as io:
        found = io.read_builder().datasets
        assert {name: one.data[:].tolist() for name, one in found.items()} == {
            "Data": [1],
            "data": [2],
        }
    assert [path.name for path in tmp_path.iterdir()] == ["file.zarr"]


def test_names_that_differ_only_in_case_are_refused_where_only_one_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "keeps_case", lambda _folder: False)
    upper, lower = DatasetBuilder("Data", [1]), DatasetBuilder("data", [2])
    for root in (
        GroupBuilder("root", datasets={"Data": upper, "data": lower}),
        GroupBuilder(
            "root",
            datasets={"other": DatasetBuilder("other", [1])},
            groups={"OTHER": GroupBuilder("OTHER")},
        ),
    ):
        with ZarrIO(tmp_path / "file.zarr", "w") as io:
            with pytest.raises(EncodingError, match="differ only in case"):
                io.write_builder(root)
    assert list(tmp_path.iterdir()) == []


def test_what_is_appended_is_checked_and_what_is_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file.zarr"
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root", datasets={"data": DatasetBuilder("data", [1])}))
    rename_node(path, "data", "CON")
    with ZarrIO(path, "r+") as io:
        root = io.read_builder()
        root.set_dataset(DatasetBuilder("more", [2]))
        io.write_builder(root)
        root.set_dataset(DatasetBuilder("a/b", [3]))
        with pytest.raises(EncodingError, match="a/b"):
            io.write_builder(root)
    with ZarrIO(path, "r") as io:
        assert set(io.read_builder().datasets) == {"CON", "more"}


def rename_node(store: Path, old: str, new: str) -> None:
    (store / old).rename(store / new)
    root = json.loads((store / "zarr.json").read_text())
    held = root["consolidated_metadata"]["metadata"]
    held[new] = held.pop(old)
    (store / "zarr.json").write_text(json.dumps(root))


def test_what_a_file_holds_already_is_converted_with_a_warning(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common")
        for name in ("Data", "data", "con", "dot."):
            file[name] = np.arange(3)
    with pytest.warns(UserWarning, match="they are kept here") as caught:
        convert(tmp_path / "file.h5", tmp_path / "file.zarr")
    (message,) = [str(warning.message) for warning in caught]
    for found in ("file.h5", "'Data' and 'data'", "'con'", "'dot.'"):
        assert found in message
    with ZarrIO(tmp_path / "file.zarr", "r") as io:
        assert set(io.read_builder().datasets) == {"Data", "data", "con", "dot."}
    codes = {finding.code for finding in check(tmp_path / "file.zarr").findings}
    assert codes == {"names-differ-in-case", "not-portable-name"}


@pytest.mark.parametrize("name", [b"..", b"zarr.json"])
def test_an_unsafe_name_of_an_hdf5_file_is_refused(tmp_path: Path, name: bytes) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common")
        file["group/data"] = np.arange(3)
        file.move("group/data", "group/" + name.decode())
    with pytest.raises(HDMFZarrError, match="cannot have the name"):
        convert(tmp_path / "file.h5", tmp_path / "file.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["file.h5"]


@pytest.mark.parametrize("path", corpus_files(), ids=lambda path: path.name)
def test_every_name_of_the_corpus_is_portable(path: Path) -> None:
    with h5py.File(path, "r") as file:
        found: list[str] = []
        file.visit_links(lambda name: found.append(name))
    assert found
    assert not [name for name in found for part in name.split("/") if keys.why_changed(part)]


def test_every_name_of_the_rich_file_is_portable(rich_zarr: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hierarchy = Hierarchy.load(
            open_bytestore(locate(rich_zarr), read_only=True), consolidated=True
        )
    assert all(
        keys.why_not_portable(part) is None
        for path in hierarchy.documents
        if path
        for part in path.split("/")
    )


# -- hostile stores --------------------------------------------------------------------------------

HOSTILE = [
    *("../secret", "a/../../secret", "..", "a/..", "./data", "a//b", "a\0b"),
    *("..\\secret", "a\\..\\..\\secret", "C:/secret", "data/zarr.json", "zarr.json"),
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """An array outside of the store, which no name in the store may reach."""
    folder = tmp_path / "secret"
    with ZarrIO(tmp_path / "made.zarr", "w") as io:
        io.write_builder(GroupBuilder("root", datasets={"data": DatasetBuilder("data", [42, 43])}))
    shutil.copytree(tmp_path / "made.zarr" / "data", folder)
    shutil.rmtree(tmp_path / "made.zarr")
    return folder


def write(path: Path) -> Path:
    with ZarrIO(path, "w") as io:
        group = GroupBuilder("group", datasets={"data": DatasetBuilder("data", [1, 2])})
        io.write_builder(GroupBuilder("root", groups={"group": group}))
    return path


def everything(builder: GroupBuilder) -> list[Any]:
    found = []
    for dataset in builder.datasets.values():
        found += np.asarray(dataset.data[:]).tolist()
    for group in builder.groups.values():
        found += everything(group)
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_in_consolidated_metadata_is_left_out(
    tmp_path: Path, secret: Path, name: str, mode: str
) -> None:
    store = write(tmp_path / "file.zarr")
    root = json.loads((store / "zarr.json").read_text())
    held = root["consolidated_metadata"]["metadata"]
    held[name] = json.loads((secret / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps(root))
    before = content(secret)
    # To append, the nodes themselves are read, which have no such name.
    told = pytest.warns(UserWarning, match="left out") if mode == "r" else nullcontext()
    with told, ZarrIO(store, mode) as io:
        assert everything(io.read_builder()) == [1, 2]
        if mode == "r+":
            root_builder = io.read_builder()
            root_builder.set_dataset(DatasetBuilder("more", [3]))
            io.write_builder(root_builder)
    assert content(secret) == before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check(store)
    assert "unsafe-name" in {f.code for f in report.findings} or mode == "r+"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_in_a_store_of_format_2_is_left_out(tmp_path: Path, name: str) -> None:
    outside = Format2Store()
    outside.array("secret", np.array([42, 43]), "int64")
    outside.save(tmp_path)
    (tmp_path / ".zgroup").unlink()
    made = Format2Store()
    made.array("data", np.arange(3), "int64")
    for document in (".zarray", ".zattrs"):
        made.documents[f"{name}/{document}"] = outside.documents[f"secret/{document}"]
    files = made.files()
    store = tmp_path / "made.zarr"
    (store / "data").mkdir(parents=True)
    for key in (".zmetadata", ".zgroup", ".zattrs", "data/.zarray", "data/.zattrs", "data/0"):
        (store / key).write_bytes(files[key])
    with pytest.warns(UserWarning, match="left out"), ZarrIO(store, "r") as io:
        assert everything(io.read_builder()) == [0, 1, 2]
    assert "unsafe-name" in {finding.code for finding in check(store).findings}


@pytest.mark.parametrize("path", ["../secret", "/../secret", "group/../../secret"])
def test_a_path_that_leaves_the_store_is_a_broken_link_or_reference(
    tmp_path: Path, secret: Path, path: str
) -> None:
    store = write(tmp_path / "file.zarr")
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["_LINKS"] = [{"name": "out", "source": ".", "path": path}]
    root["attributes"]["to"] = {"_REFERENCE": {"source": ".", "path": path}}
    (store / "zarr.json").write_text(json.dumps(root))
    with pytest.warns(BrokenLinkWarning), ZarrIO(store, "r") as io:
        builder = io.read_builder()
        assert not builder.links
        assert "to" not in builder.attributes
    assert {"broken-link", "broken-reference"} == {f.code for f in check(store).findings}


@pytest.mark.parametrize("name", ["..", ".", "", "a/../../b"])
def test_a_link_with_a_hostile_name_is_found(tmp_path: Path, name: str) -> None:
    store = write(tmp_path / "file.zarr")
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["_LINKS"] = [{"name": name, "source": ".", "path": "/group"}]
    (store / "zarr.json").write_text(json.dumps(root))
    assert "unsafe-name" in {finding.code for finding in check(store).findings}


@pytest.mark.parametrize("path", ["../outside", "/outside", "a/../../outside"])
def test_specifications_outside_of_the_store_are_not_looked_for(tmp_path: Path, path: str) -> None:
    outside = Format2Store()
    outside.text("ns/1.0/namespace", ["{}"])
    outside.save(tmp_path / "outside", consolidated=False)
    made = Format2Store()
    made.array("data", np.arange(3), "int64")
    made.group("", **{".specloc": path})
    store = made.save(tmp_path / "made.zarr")
    hierarchy = Hierarchy.load(open_bytestore(locate(store), read_only=True), consolidated=True)
    assert read_specifications(hierarchy) == {}


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/hosts", "a\0", "..", "C:x"])
def test_a_local_store_uses_no_key_that_leaves_it(tmp_path: Path, key: str) -> None:
    bytestore = open_bytestore(locate(tmp_path / "file.zarr"), read_only=False)
    for use in (
        bytestore.get,
        bytestore.delete,
        bytestore.delete_prefix,
        lambda key: bytestore.set(key, b""),
        lambda key: list(bytestore.list_prefix(key)),
    ):
        with pytest.raises(MetadataError, match="leads out of the store"):
            use(key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("separator", ["/../", "", "\0", "/.."])
def test_a_hostile_separator_of_chunk_keys_is_refused(tmp_path: Path, separator: str) -> None:
    encoding = {"name": "default", "configuration": {"separator": separator}}
    with pytest.raises(MetadataError, match="separated"):
        chunk_key(encoding, (0, 0))


def test_a_reference_of_format_2_with_a_hostile_path_leads_nowhere(tmp_path: Path) -> None:
    made = Format2Store()
    made.array("data", np.arange(3), "int64")
    made.references("refs", [reference("/../secret"), reference("/data")])
    store = made.save(tmp_path / "made.zarr")
    report = check(store)
    assert [finding.code for finding in report.findings] == ["broken-reference"]
