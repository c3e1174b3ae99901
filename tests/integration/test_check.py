"""`hdmf_zarr.check` and ``hdmf-zarr check``: what is whole is clean, what is broken is named."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec
from zarr.storage import MemoryStore, ZipStore

from hdmf_zarr import Report, ZarrDataIO, ZarrIO, check
from hdmf_zarr.checking import chunks, rules
from hdmf_zarr.checking.report import SEVERITIES, Finding, render
from hdmf_zarr.cli import main
from hdmf_zarr.errors import (
    ChunkError,
    MetadataError,
    ModeError,
    NotAStoreError,
    OptionError,
    StoreNotFoundError,
)
from tests.format2 import Format2Store, reference
from tests.integration.test_remote import handler, server  # noqa: F401 - fixtures

DATA = Path(__file__).parents[1] / "data"
FORMATS = [3, 2]


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def only(report: Report, code: str) -> Finding:
    """The one finding of a report, which has a code."""
    assert [finding.code for finding in report.findings] == [code], render(report)
    return report.findings[0]


def write(path: Any, zarr_format: int = 3) -> Any:
    """Write a store with an array of chunks, text, a scalar, a compound, links and references."""
    number = DatasetBuilder(
        "number",
        ZarrDataIO(np.arange(50.0).reshape(10, 5), chunks=(4, 3)),
        attributes={"unit": "V", "object_id": "id-of-number"},
    )
    text = DatasetBuilder("text", ["a", "µ", ""], dtype="text")
    group = GroupBuilder("group", datasets={"number": number, "text": text})
    rows = DatasetBuilder(
        "rows",
        [(1, ReferenceBuilder(number)), (2, ReferenceBuilder(group))],
        dtype=[{"name": "n", "dtype": "int32"}, {"name": "to", "dtype": "object"}],
    )
    root = GroupBuilder(
        "root",
        groups={"group": group},
        datasets={
            "scalar": DatasetBuilder("scalar", 3.5),
            "rows": rows,
            "references": DatasetBuilder(
                "references", [ReferenceBuilder(number), ReferenceBuilder(group)], dtype="object"
            ),
        },
        links={"link": LinkBuilder(number, "link")},
        attributes={"points": ReferenceBuilder(text)},
    )
    with ZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    return path


@pytest.fixture(params=FORMATS, ids=["format3", "format2"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(write(tmp_path / "file.zarr", request.param))


@pytest.fixture
def format3(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "file.zarr"))


def chunk_of(store: Path, at: str, path: str = "group/number") -> Path:
    prefix = "c." if (store / "zarr.json").exists() else ""
    return store / path / (prefix + at)


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_both(store: Path, node: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a document of format 3 in its own place and in the consolidated metadata."""
    edit(store / node / "zarr.json", change)
    if node:
        edit(
            store / "zarr.json",
            lambda root: change(root["consolidated_metadata"]["metadata"][node]),
        )


# -- what is whole ---------------------------------------------------------------------------------


def test_a_store_of_ours_is_clean(store: Path) -> None:
    report = check(store)
    assert report.findings == ()
    assert report.is_clean
    assert report.n_chunks == 6 + 1 + 1 + 1 + 1
    assert report.n_bytes > 0
    assert check(store, fast=True).n_chunks == 0


def test_the_rich_file_is_clean(rich_zarr: Path) -> None:
    report = check(rich_zarr, jobs=2)
    assert report.findings == ()
    files = [path for path in rich_zarr.rglob("*") if path.is_file()]
    assert report.n_chunks == sum(path.name != "zarr.json" for path in files)


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v0.6.0", {"specifications-not-consolidated"}),
        ("v0.13.0", set()),
        ("v0.14.0", {"absent-chunks"}),
    ],
)
def test_stores_of_releases_have_no_errors(
    release: str, expected: set[str], tmp_path: Path
) -> None:
    with tarfile.open(DATA / f"{release}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    report = check(next(tmp_path.glob("*.zarr")))
    assert codes(report) == expected
    assert {finding.severity for finding in report.findings} <= {"note"}
    assert report.n_chunks > 90


def test_every_kind_of_store_is_checked(tmp_path: Path) -> None:
    folder = write(tmp_path / "file.zarr")
    with zipfile.ZipFile(tmp_path / "file.zarr.zip", "w") as archive:
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    memory = write(MemoryStore())
    url = write("memory://checked/file.zarr")
    for where in (folder, str(folder), tmp_path / "file.zarr.zip", memory, url):
        report = check(where)
        assert report.findings == (), where
        assert report.n_chunks == 10
    with ZipStore(tmp_path / "file.zarr.zip", mode="r") as opened:
        assert check(opened).findings == ()


def test_a_store_that_cannot_be_listed_is_checked_by_its_consolidated_metadata(
    tmp_path: Path,
    server: tuple[str, list[str]],  # noqa: F811
) -> None:
    pytest.importorskip("aiohttp")
    write(tmp_path / "file.zarr")
    (tmp_path / "file.zarr" / "group" / "number" / "c.1.1").unlink()
    report = check(f"{server[0]}/file.zarr")
    assert codes(report) == {"not-listed", "missing-chunk"}
    assert report.n_chunks == 9


def test_shards_are_decoded_chunk_by_chunk(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "file.zarr"
    data = ZarrDataIO(np.arange(64.0).reshape(8, 8), chunks=(2, 2), shards=(4, 8))
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root", datasets={"data": DatasetBuilder("data", data)}))
    assert check(path).findings == ()
    monkeypatch.setattr("hdmf_zarr.checking.chunks.DECODED_TOGETHER", 0)
    assert check(path).findings == ()
    shard = path / "data" / "c.1.0"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1  # the index, which has a checksum
    shard.write_bytes(content)
    assert only(check(path), "broken-chunk").key == "data/c.1.0"


@pytest.mark.parametrize("lost", [(), ("c.0",)], ids=["every chunk", "chunks that are absent"])
@pytest.mark.parametrize("checksum", [False, True])
def test_an_empty_shard_is_not_read_as_the_fill_value(
    tmp_path: Path,
    lost: tuple[str, ...],
    checksum: bool,  # noqa: FBT001 - a parameter
) -> None:
    path = tmp_path / "file.zarr"
    data = ZarrDataIO(np.arange(1, 65), chunks=(4,), shards=(16,), checksum=checksum)
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root", datasets={"data": DatasetBuilder("data", data)}))
    for name in lost:
        (path / "data" / name).unlink()
        edit_both(path, "data", lambda document: document["attributes"].update(_STORED_CHUNKS=3))
    (path / "data" / "c.3").write_bytes(b"")
    assert "/data/c.3" in {found.place for found in check(path).findings}
    with ZarrIO(path, "r") as io:
        array = io.read_builder()["data"].data
        assert array[16:48].tolist() == list(range(17, 49))
        for selection in (slice(None), slice(48, 64), slice(40, 64), 50):
            with pytest.raises(ChunkError, match=r"file\.zarr:/data"):
                array[selection]


# -- chunks ----------------------------------------------------------------------------------------


def test_a_missing_chunk_is_an_error(store: Path) -> None:
    chunk_of(store, "2.1").unlink()
    finding = only(check(store, fast=True), "missing-chunk")
    assert finding.severity == "error"
    assert finding.path == "/group/number"
    assert finding.key == chunk_of(store, "2.1").relative_to(store).as_posix()
    assert "[2, 1]" in finding.message


def test_many_missing_chunks_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "file.zarr"
    data = ZarrDataIO(np.arange(300), chunks=(1,))
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root", datasets={"data": DatasetBuilder("data", data)}))
    for chunk in (path / "data").glob("c.*"):
        chunk.unlink()
    report = check(path)
    assert codes(report) == {"missing-chunk"}
    assert len(report.findings) == 101
    assert any("300 of 300 chunks" in finding.message for finding in report.findings)


def test_chunks_that_zarr_python_leaves_out_are_a_note(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "file.zarr", zarr_format=3)
    array = group.create_array("data", shape=(10,), chunks=(2,), dtype="int64")
    array[2:4] = 1
    zarr.consolidate_metadata(group.store)
    finding = only(check(tmp_path / "file.zarr"), "absent-chunks")
    assert finding.severity == "note"
    assert "4 of 5" in finding.message


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"x" * len(content),
    ],
    ids=["cut", "empty", "overwritten"],
)
def test_a_broken_chunk_is_an_error(store: Path, change: Callable[[bytes], bytes]) -> None:
    chunk = chunk_of(store, "1.0")
    chunk.write_bytes(change(chunk.read_bytes()))
    finding = only(check(store), "broken-chunk")
    assert finding.key == chunk.relative_to(store).as_posix()
    assert check(store, fast=True).findings == ()


@pytest.mark.parametrize(
    "codecs",
    [
        [Crc32cCodec()],
        [GzipCodec()],
        [GzipCodec(), Crc32cCodec()],
        [{"name": "numcodecs.fletcher32", "configuration": {}}],
    ],
    ids=["crc32c", "gzip", "gzip with crc32c", "fletcher32"],
)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
def test_one_flipped_bit_is_found_by_every_checksum(codecs: list[Any], tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "file.zarr", zarr_format=3)
    array = group.create_array(
        "data",
        shape=(1000,),
        chunks=(1000,),
        dtype="int64",
        serializer=BytesCodec(),
        compressors=codecs,
    )
    array[:] = np.arange(1000)
    zarr.consolidate_metadata(group.store)
    assert check(tmp_path / "file.zarr").findings == ()
    chunk = tmp_path / "file.zarr" / "data" / "c" / "0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 4
    chunk.write_bytes(content)
    assert only(check(tmp_path / "file.zarr"), "broken-chunk").key == "data/c/0"


@pytest.mark.parametrize("size", [-8, -1, 1, 8])
def test_an_uncompressed_chunk_of_another_size_is_an_error(size: int, tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "file.zarr", zarr_format=3)
    array = group.create_array("data", shape=(5,), chunks=(5,), dtype="int64", compressors=None)
    array[:] = np.arange(5)
    zarr.consolidate_metadata(group.store)
    chunk = tmp_path / "file.zarr" / "data" / "c" / "0"
    content = chunk.read_bytes()
    chunk.write_bytes(content[:size] if size < 0 else content + bytes(size))
    only(check(tmp_path / "file.zarr"), "broken-chunk")


def test_a_broken_text_and_a_broken_scalar_are_named(store: Path) -> None:
    chunk_of(store, "0", "group/text").write_bytes(b"\xff" * 10)
    key = "scalar/c" if (store / "zarr.json").exists() else "scalar/0"
    (store / key).write_bytes(b"1")
    report = check(store)
    assert codes(report) == {"broken-chunk"}
    assert {finding.path for finding in report.findings} == {"/group/text", "/scalar"}


def test_chunks_outside_of_the_grid_and_unknown_keys_are_listed(store: Path) -> None:
    chunk_of(store, "3.0").write_bytes(b"")
    chunk_of(store, "0").write_bytes(b"")
    (store / "group" / "number" / "notes.txt").write_text("mine")
    (store / "README").write_text("mine")
    report = check(store)
    found = {(finding.code, Path(finding.key or "").name) for finding in report.findings}
    prefix = "c." if (store / "zarr.json").exists() else ""
    assert found == {
        ("stale-chunk", f"{prefix}3.0"),
        ("stale-chunk", f"{prefix}0"),
        ("unknown-key", "notes.txt"),
        ("unknown-key", "README"),
    }
    assert report.is_clean


STALE = ("3.0", "0", "0.2")
"""Outside of the grid of 3 by 2, and of another rank."""


def put_stale(store: Path) -> set[Path]:
    other = "0/0" if (store / "zarr.json").exists() else "c.0.0"
    stale = {chunk_of(store, at) for at in STALE} | {store / "group" / "number" / other}
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        shutil.copy(chunk_of(store, "0.0"), path)
    return stale


def values_of_number(store: Path) -> Any:
    with ZarrIO(store, "r") as io:
        return io.read_builder()["group/number"].data[:].tolist()


def test_repair_removes_chunks_that_nobody_uses(store: Path) -> None:
    before = {path for path in store.rglob("*") if path.is_file()}
    stale = put_stale(store)
    assert len([f for f in check(store).findings if f.code == "stale-chunk"]) == 4
    report = check(store, repair=True)
    assert codes(report) == {
        "stale-chunk",
        "not-repaired",
    }  # who knows who has written them just now
    make_old(store)
    report = check(store, repair=True)
    assert report.findings == ()
    assert set(report.repaired) == {
        f"removed /{path.relative_to(store).as_posix()}" for path in stale
    }
    assert {path for path in store.rglob("*") if path.is_file()} == before
    assert values_of_number(store) == np.arange(50.0).reshape(10, 5).tolist()


def test_no_chunk_is_removed_from_an_array_that_lacks_one(store: Path) -> None:
    """It may be under the other name."""
    stale = put_stale(store)
    chunk_of(store, "1.0").unlink()
    make_old(store)
    assert check(store, repair=True).repaired == ()
    assert all(path.exists() for path in stale)


def test_no_chunk_is_removed_that_the_metadata_of_the_node_name(store: Path) -> None:
    """zarr-python has added rows, and not consolidated the metadata: who is right is not known."""
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    array: Any = group["group/number"]
    with zarr.config.set({"array.write_empty_chunks": True}):
        array.append(np.full((4, 5), 7.0))
    broken = store / "scalar" / ("zarr.json" if (store / "zarr.json").exists() else ".zarray")
    whole = broken.read_bytes()
    broken.write_text("{")  # so that the consolidated metadata are not rebuilt
    make_old(store)
    assert chunk_of(store, "3.1") in set((store / "group/number").iterdir())
    assert not any("c.3" in done or "/3." in done for done in check(store, repair=True).repaired)
    assert chunk_of(store, "3.1").exists()
    # Once they are rebuilt the rows are everybody's.
    broken.write_bytes(whole)
    assert check(store, repair=True).is_clean
    assert values_of_number(store)[10:] == [[7.0] * 5] * 4


def test_rows_of_an_append_that_failed_are_not_seen_in_a_larger_array(store: Path) -> None:
    shutil.copy(chunk_of(store, "2.0"), chunk_of(store, "3.0"))
    with ZarrIO(store, "r+") as io:
        io.read_builder()["group/number"].data.resize((16, 5))
    assert values_of_number(store)[12:] == [[0.0] * 5] * 4
    assert codes(check(store)) == {"absent-chunks"}


def test_more_threads_find_the_same(store: Path) -> None:
    for at in ("0.0", "1.1", "2.0"):
        chunk_of(store, at).write_bytes(b"broken")
    one, three = check(store, jobs=1), check(store, jobs=3)
    assert len(one.findings) == 3
    assert one.findings == three.findings
    assert (one.n_chunks, one.n_bytes) == (three.n_chunks, three.n_bytes)


# -- metadata --------------------------------------------------------------------------------------


def test_consolidated_metadata_that_differ_are_an_error(store: Path) -> None:
    is_format3 = (store / "zarr.json").exists()
    if is_format3:
        path = store / "group" / "number" / "zarr.json"
        edit(path, lambda document: document["attributes"].update(unit="mV"))
    else:
        edit(
            store / "group" / "number" / ".zattrs", lambda attributes: attributes.update(unit="mV")
        )
    finding = only(check(store), "consolidated-metadata-differ")
    assert "unit is 'V' there, 'mV' in the node" in finding.message


def test_a_node_that_is_not_consolidated_is_an_error(store: Path) -> None:
    shutil.copytree(store / "group", store / "copied")
    report = check(store)
    assert codes(report) == {"consolidated-metadata-differ"}
    assert {finding.path for finding in report.findings} == {
        "/copied",
        "/copied/number",
        "/copied/text",
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000], ids=range(5))
def test_a_document_that_is_no_json_is_an_error(store: Path, content: bytes) -> None:
    names = ["zarr.json"] if (store / "zarr.json").exists() else [".zarray"]
    for name in names:
        (store / "group" / "number" / name).write_bytes(content)
    report = check(store)
    assert "broken-document" in codes(report)
    assert any(finding.path == "/group/number" for finding in report.errors)


def test_a_broken_root_is_an_error_and_the_rest_is_checked(store: Path) -> None:
    name = "zarr.json" if (store / "zarr.json").exists() else ".zgroup"
    (store / name).write_text("{")
    chunk_of(store, "0.0").unlink()
    assert {"broken-document", "missing-chunk"} <= codes(check(store))


def test_a_store_without_a_root_is_an_unfinished_write(format3: Path) -> None:
    (format3 / "zarr.json").unlink()
    report = check(format3)
    assert "unfinished-write" in codes(report)
    assert not report.is_clean


def test_metadata_that_zarr_cannot_read_are_an_error(format3: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["codecs"] = [{"name": "unheard-of", "configuration": {}}]

    edit_both(format3, "group/number", change)
    finding = only(check(format3), "broken-array")
    assert finding.path == "/group/number"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shape", [-1]),
        ("shape", "text"),
        ("chunk_grid", {"name": "regular", "configuration": {"chunk_shape": [0, 0]}}),
        ("chunk_grid", None),
        ("chunk_key_encoding", {"name": "default", "configuration": {"separator": "/../"}}),
        ("codecs", None),
        ("node_type", "thing"),
        ("zarr_format", 4),
        ("attributes", [1]),
    ],
)
def test_a_document_that_makes_no_sense_is_an_error(format3: Path, name: str, value: Any) -> None:
    edit_both(format3, "group/number", lambda document: document.update({name: value}))
    report = check(format3)
    assert not report.is_clean
    assert any(
        finding.path == "/group/number" and finding.code in ("broken-document", "broken-array")
        for finding in report.findings
    )


def test_names_of_dimensions_that_do_not_fit_are_a_warning(format3: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["attributes"]["_ARRAY_DIMENSIONS"] = ["a"]
        document.pop("dimension_names", None)

    edit_both(format3, "group/number", change)
    only(check(format3), "dimension-names")


def test_a_group_without_a_document_is_a_warning(format3: Path) -> None:
    (format3 / "group" / "zarr.json").unlink()
    edit(
        format3 / "zarr.json",
        lambda root: root["consolidated_metadata"]["metadata"].pop("group"),
    )
    report = check(format3)
    assert "missing-group" in codes(report)


# -- links and references --------------------------------------------------------------------------


def test_broken_links_and_references_are_errors(store: Path) -> None:
    shutil.rmtree(store / "group" / "number")
    is_format3 = (store / "zarr.json").exists()

    def forget(held: dict[str, Any]) -> None:
        for key in [key for key in held if key.startswith("group/number")]:
            del held[key]

    if is_format3:
        edit(store / "zarr.json", lambda root: forget(root["consolidated_metadata"]["metadata"]))
    else:
        edit(store / ".zmetadata", lambda document: forget(document["metadata"]))
    report = check(store)
    found = {(finding.code, finding.path) for finding in report.findings}
    assert found == {
        ("broken-link", "/link"),
        ("broken-reference", "/rows"),
        ("broken-reference", "/references"),
    }
    messages = " ".join(finding.message for finding in report.findings)
    assert "element 0, field 'to'" in messages
    assert codes(check(store, fast=True)) == {"broken-link"}


@pytest.mark.parametrize(
    ("name", "other", "code"),
    [
        ("points", "group", "broken-attribute"),
        ("points", "link", "broken-attribute"),
        ("title", "scalar", "broken-attribute"),
    ],
    ids=["a reference", "a link", "a value"],
)
def test_an_attribute_with_the_name_of_an_object_is_an_error(
    format3: Path, name: str, other: str, code: str
) -> None:
    def change(root: dict[str, Any]) -> None:
        attributes = root["attributes"]
        attributes[other] = attributes.pop(name, "text")

    edit(format3 / "zarr.json", change)
    finding = only(check(format3), code)
    assert (finding.path, repr(other) in finding.message) == ("/", True)
    with (
        ZarrIO(format3, "r") as io,
        pytest.raises(MetadataError, match=f"'{other}' and an object"),
    ):
        io.read_builder()


def test_a_link_that_hides_an_object_is_an_error(format3: Path) -> None:
    edit(format3 / "zarr.json", lambda root: root["attributes"]["_LINKS"][0].update(name="scalar"))
    finding = only(check(format3), "broken-link")
    assert (finding.path, "hides" in finding.message) == ("/scalar", True)


def test_a_reference_of_an_attribute_is_followed(format3: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["attributes"]["points"]["_REFERENCE"]["path"] = "/nowhere"

    edit_both(format3, "", change)
    finding = only(check(format3), "broken-reference")
    assert "'points'" in finding.message
    assert "/nowhere" in finding.message


def test_links_in_a_circle_are_an_error(format3: Path) -> None:
    links = [{"name": "a", "source": ".", "path": "/b"}, {"name": "b", "source": ".", "path": "/a"}]
    edit_both(format3, "", lambda document: document["attributes"].update(_LINKS=links))
    report = check(format3)
    assert codes(report) == {"broken-link"}
    assert all("more than 32 links" in finding.message for finding in report.findings)


def test_a_link_to_another_store_is_followed(tmp_path: Path) -> None:
    target = write(tmp_path / "target.zarr")
    with ZarrIO(target, "r") as source, ZarrIO(tmp_path / "file.zarr", "w") as io:
        number = source.read_builder()["group/number"]
        root = GroupBuilder("root", links={"there": LinkBuilder(number, "there")})
        io.write_builder(root)
    assert check(tmp_path / "file.zarr").findings == ()
    shutil.rmtree(target / "group")
    edit(target / "zarr.json", lambda root: root.pop("consolidated_metadata"))
    only(check(tmp_path / "file.zarr"), "broken-link")
    shutil.rmtree(target)
    finding = only(check(tmp_path / "file.zarr"), "missing-store")
    assert str(target) in finding.message


def test_the_object_id_beside_a_path_is_compared(tmp_path: Path) -> None:
    made = Format2Store()
    made.array("data", np.arange(3), "int64", attributes={"object_id": "one"})
    made.references("right", [{**reference("/data"), "object_id": "one"}])
    made.references("wrong", [{**reference("/data"), "object_id": "other"}])
    finding = only(check(made.save(tmp_path / "made.zarr")), "wrong-target")
    assert finding.path == "/wrong"
    assert "'other'" in finding.message


def test_a_link_to_an_object_of_another_type_is_an_error(rich_zarr: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(rich_zarr, tmp_path / "rich.nwb.zarr"))
    links = [
        (parent, number)
        for parent, document in _documents(path).items()
        for number, link in enumerate(document["attributes"].get("_LINKS", []))
        if link["name"] == "electrode"
    ]
    parent, number = links[0]

    def change(document: dict[str, Any]) -> None:
        document["attributes"]["_LINKS"][number]["path"] = "/general/subject"

    edit_both(path, parent, change)
    finding = only(check(path), "wrong-target")
    assert finding.path == f"/{parent}/electrode"
    assert "leads to a Subject" in finding.message


def _documents(path: Path) -> dict[str, Any]:
    root = json.loads((path / "zarr.json").read_text())
    documents: dict[str, Any] = root["consolidated_metadata"]["metadata"]
    return documents


# -- specifications --------------------------------------------------------------------------------


def test_a_namespace_that_is_not_cached_is_a_warning(rich_zarr: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(rich_zarr, tmp_path / "rich.nwb.zarr"))
    shutil.rmtree(path / "specifications" / "hdmf-common")

    def change(root: dict[str, Any]) -> None:
        held = root["consolidated_metadata"]["metadata"]
        for key in [key for key in held if key.startswith("specifications/hdmf-common")]:
            del held[key]

    edit(path / "zarr.json", change)
    assert codes(check(path, fast=True)) == {"namespace-not-cached"}
    report = check(path)
    assert {"namespace-not-cached", "broken-specification"} <= codes(report)


def test_a_specification_that_is_no_json_is_an_error(rich_zarr: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(rich_zarr, tmp_path / "rich.nwb.zarr"))
    chunk = next((path / "specifications").rglob("nwb.base/c"))
    chunk.unlink()
    report = check(path)
    assert {"missing-chunk", "broken-specification"} <= codes(report)


# -- repair ----------------------------------------------------------------------------------------


def make_old(*paths: Path) -> None:
    then = time.time() - 3600
    for path in paths:
        for inside in (path, *path.rglob("*")):
            os.utime(inside, (then, then))


def leftovers(store: Path) -> list[Path]:
    """Leave behind what killed writes leave."""
    inside = store / "group" / f"zarr.json.{'0' * 32}.partial"
    inside.write_bytes(b"half")
    beside = store.with_name(f".{store.name}.{'a' * 12}.partial")
    shutil.copytree(store, beside)
    old = store.with_name(f".{store.name}.{'b' * 12}.old")
    old.mkdir()
    saved = store / ".replaced.partial" / "group" / "number"
    saved.mkdir(parents=True)
    (saved / "0.0").write_bytes(b"a chunk that has other names now")
    return [inside, beside, old, saved / "0.0"]


def test_leftovers_are_listed_and_removed(store: Path) -> None:
    left = leftovers(store)
    other = store.with_name(f".other.zarr.{'a' * 12}.partial")
    other.mkdir()
    make_old(*left, other)
    report = check(store)
    assert codes(report) == {"leftover"}
    assert len(report.findings) == len(left)
    assert all(path.exists() for path in left)
    repaired = check(store, repair=True)
    assert repaired.findings == ()
    assert len(repaired.repaired) == len(left)
    assert not any(path.exists() for path in left)
    assert other.exists()


def test_a_leftover_that_may_be_written_to_is_kept(store: Path) -> None:
    left = leftovers(store)
    report = check(store, repair=True)
    assert report.repaired == ()
    assert codes(report) == {"leftover", "not-repaired"}
    assert all(path.exists() for path in left)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_repair_rebuilds_consolidated_metadata_and_nothing_else(store: Path) -> None:
    clean = content(store)
    is_format3 = (store / "zarr.json").exists()
    (store / "notes.txt").write_text("mine")
    if is_format3:
        edit(
            store / "zarr.json",
            lambda root: root["consolidated_metadata"]["metadata"]["group/number"][
                "attributes"
            ].update(unit="wrong"),
        )
    else:
        edit(
            store / ".zmetadata",
            lambda document: document["metadata"]["group/number/.zattrs"].update(unit="wrong"),
        )
    damaged = content(store)
    report = check(store, repair=True)
    assert codes(report) == {"unknown-key"}
    assert len(report.repaired) == 1
    repaired = content(store)
    changed = {key for key in repaired if repaired[key] != damaged.get(key)}
    root_key = "zarr.json" if is_format3 else ".zmetadata"
    assert changed == {root_key}
    assert repaired.keys() == damaged.keys()
    assert json.loads(repaired[root_key]) == json.loads(clean[root_key])
    with ZarrIO(store, "r") as io:
        assert io.read_builder()["group/number"].attributes["unit"] == "V"


def test_repair_consolidates_a_store_that_was_not(store: Path) -> None:
    if (store / "zarr.json").exists():
        edit(store / "zarr.json", lambda root: root.pop("consolidated_metadata"))
    else:
        (store / ".zmetadata").unlink()
    only(check(store), "not-consolidated")
    assert check(store, repair=True).findings == ()


def test_repair_of_a_sound_store_changes_nothing(store: Path) -> None:
    before = content(store)
    assert check(store, repair=True).repaired == ()
    assert content(store) == before


def test_repair_never_drops_the_only_copy_of_metadata(format3: Path) -> None:
    """The node is in the consolidated metadata alone, and its chunks are there."""
    (format3 / "group" / "number" / "zarr.json").unlink()
    before = content(format3)
    report = check(format3, repair=True)
    assert codes(report) == {"consolidated-metadata-differ", "not-repaired"}
    assert content(format3) == before
    (format3 / "group" / "text" / "zarr.json").write_text("{")
    assert "not-repaired" in codes(check(format3, repair=True))


def test_repair_does_not_drop_attributes_that_are_nowhere_else(store: Path) -> None:
    if (store / "zarr.json").exists():
        with ZarrIO(store, "r+") as io:
            io.write_group("", GroupBuilder("settings", attributes={"rate": 30}))
        (store / "settings" / "zarr.json").unlink()
    else:
        (store / ".zattrs").unlink()
    before = content(store)
    report = check(store, repair=True)
    assert codes(report) == {"consolidated-metadata-differ", "not-repaired"}
    assert report.repaired == ()
    assert content(store) == before


def test_repair_does_not_drop_an_attribute_that_is_nowhere_else(store: Path) -> None:
    if (store / "zarr.json").exists():
        own = store / "group" / "number" / "zarr.json"
        edit(own, lambda document: document["attributes"].pop("unit"))
    else:
        edit(store / "group" / "number" / ".zattrs", lambda attributes: attributes.pop("unit"))
    report = check(store, repair=True)
    assert codes(report) == {"consolidated-metadata-differ", "not-repaired"}
    with ZarrIO(store, "r") as io:
        assert io.read_builder()["group/number"].attributes["unit"] == "V"


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2, 2]},
        {"data_type": "int16"},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1]}}},
        {"codecs": [{"name": "unheard of"}]},
        {"attributes": {"_LINKS": [{"name": "link", "source": ".", "path": "/nowhere"}]}},
        {"node_type": "group"},
    ],
    ids=["shape", "data type", "chunks", "codecs", "link", "node type"],
)
def test_repair_does_not_take_a_damaged_document_for_the_right_one(
    format3: Path, change: dict[str, Any]
) -> None:
    """Readers, who see the consolidated metadata, read the array; by its own document they could not."""
    node = "group/number" if "attributes" not in change else "group"
    edit(format3 / node / "zarr.json", lambda document: document.update(change))
    for path in (format3, *format3.rglob("*")):
        os.utime(path, (0, 0))
    before = content(format3)
    report = check(format3, repair=True)
    assert "not-repaired" in codes(report)
    assert report.repaired == ()
    assert content(format3) == before


def test_a_broken_array_of_format2_does_not_stop_a_repair(tmp_path: Path) -> None:
    store = Path(write(tmp_path / "file.zarr", 2))
    broken = store / "group" / "number"
    (broken / ".zarray").write_text("{}")
    edit(store / ".zmetadata", lambda held: held["metadata"].update({"group/number/.zarray": {}}))
    report = check(store, repair=True)
    assert {"broken-array"} <= codes(report)
    assert report.repaired == ()


def test_repair_does_not_show_what_a_stopped_write_has_left(format3: Path) -> None:
    shutil.copytree(format3 / "group", format3 / "new")
    (format3 / "new" / "number" / "c.2.0").unlink()
    before = content(format3)
    report = check(format3, repair=True)
    assert "not-repaired" in codes(report)
    assert content(format3) == before


def test_what_cannot_be_written_to_is_not_repaired(tmp_path: Path) -> None:
    folder = write(tmp_path / "file.zarr")
    with zipfile.ZipFile(tmp_path / "file.zarr.zip", "w") as archive:
        archive.write(folder / "zarr.json", "zarr.json")
    for where in (tmp_path / "file.zarr.zip", write(MemoryStore()).with_read_only(read_only=True)):
        with pytest.raises(ModeError):
            check(where, repair=True)


def test_a_store_in_memory_is_repaired() -> None:
    store = write(MemoryStore())
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    root["group/number"].attrs["unit"] = "mV"
    only(check(store), "consolidated-metadata-differ")
    report = check(store, repair=True)
    assert report.findings == ()
    assert report.repaired == ("rebuilt the consolidated metadata from 6 documents",)


# -- what it says ----------------------------------------------------------------------------------


def test_no_store_no_check(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        check(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotAStoreError, match="no metadata"):
        check(tmp_path / "folder")
    with pytest.raises(OptionError, match="jobs"):
        check(tmp_path / "folder", jobs=0)


@pytest.mark.parametrize("change", ["replace", "append", "begin"])
def test_a_store_that_changes_meanwhile_has_no_other_finding(
    store: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing then may be of the store before, and be in its place in the store after."""
    writers: list[ZarrIO] = []

    def do() -> None:
        if change == "replace":
            shutil.copytree(store, store.with_name("other.zarr"))
            shutil.rmtree(store)
            store.with_name("other.zarr").rename(store)
            return
        io = ZarrIO(store, "r+")
        io.write_group("", GroupBuilder(f"new_{change}"))
        if change == "append":
            io.close()
        else:
            writers.append(io)

    chunk_of(store, "0.0").unlink()
    assert [finding.code for finding in check(store).findings] == ["missing-chunk"]
    present = chunks.check_presence

    def present_then_changed(*asked: Any) -> list[Finding]:
        found = list(present(*asked))
        do()
        return found

    monkeypatch.setattr(chunks, "check_presence", present_then_changed)
    (finding,) = check(store).findings
    assert finding.code == "changed-meanwhile"
    assert finding.severity == "error"
    monkeypatch.undo()
    for io in writers:
        io.close()
    assert [finding.code for finding in check(store).findings] == ["missing-chunk"]


def test_every_kind_has_a_name_a_severity_and_advice() -> None:
    assert len(rules.ALL) > 30
    for code, kind in rules.ALL.items():
        assert code == kind.code == code.lower().replace("_", "-")
        assert kind.severity in SEVERITIES
        assert kind.advice.endswith(".")


def test_the_command_prints_json_with_stable_keys(store: Path, capsys) -> None:
    chunk_of(store, "0.0").unlink()
    assert main(["check", str(store), "--json", "--quiet"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["is_clean"] is False
    assert found["counts"] == {"error": 1, "warning": 0, "note": 0}
    assert found["uri"] == str(store)
    (finding,) = found["findings"]
    assert list(finding) == ["severity", "code", "path", "key", "message", "advice"]
    assert finding["code"] == "missing-chunk"


def test_the_command_has_an_exit_status_for_scripts(store: Path, tmp_path: Path, capsys) -> None:
    assert main(["check", str(store), "--quiet"]) == 0
    assert "nothing found" in capsys.readouterr().out
    chunk_of(store, "0.0").write_bytes(b"x")
    assert main(["check", str(store), "--fast", "--quiet"]) == 0
    assert main(["check", str(store), "--jobs", "2", "--quiet"]) == 1
    assert "broken-chunk" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "none"), "--quiet"]) == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["check", str(store), "--jobs", "0"])
    assert "--jobs: expected a positive integer: '0'" in capsys.readouterr().err


def test_the_command_shows_how_far_it_is(store: Path, capsys) -> None:
    main(["check", str(store)])
    assert "file.zarr: 100%" in capsys.readouterr().err
    main(["check", str(store), "--quiet"])
    assert capsys.readouterr().err == ""


def test_the_text_names_place_finding_and_advice(store: Path) -> None:
    chunk_of(store, "0.0").unlink()
    text = render(check(store))
    assert "error: missing-chunk" in text
    assert "number/" in text
    assert "to do: Bring the chunk back" in text
    assert text.splitlines()[-1].startswith(f"{store}: 1 error (Zarr format")
