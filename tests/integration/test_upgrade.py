"""A store of Zarr format 2 becomes one of format 3, and the chunks of its numbers stay as they are."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import tarfile
import tracemalloc
import warnings
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from pynwb import NWBHDF5IO, get_manager, validate

from hdmf_zarr import (
    NWBZarrIO,
    NWBZarrV2IO,
    ZarrDataIO,
    ZarrIO,
    ZarrV2IO,
    check,
    is_zarr_v2_file,
)
from hdmf_zarr.cli import main
from hdmf_zarr.errors import (
    MetadataError,
    ModeError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
)
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.transfer.upgrading import upgrade
from tests.compare import differences
from tests.integration.test_transactions import stop_after

upgrading = import_module(
    "hdmf_zarr.transfer.upgrading"
)  # the package has its function by that name

ARCHIVES = sorted((Path(__file__).parents[1] / "data").glob("v0.*.tar.gz"))
OLD = [archive for archive in ARCHIVES if "0.14" not in archive.name]


@pytest.fixture(params=OLD, ids=lambda archive: archive.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return next(tmp_path.glob("*.nwb.zarr"))


def chunks(store: Path) -> dict[str, bytes]:
    """Bytes of every chunk, by its path."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name[:1] != "." and path.name != "zarr.json"
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_equals_twin(upgraded: Path, twin: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for mode in ("r", "r-"):
            with NWBZarrIO(upgraded, mode) as io, NWBHDF5IO(twin, "r") as expected:
                found = list(
                    differences(
                        expected.read_builder(),
                        io.read_builder(),
                        ignore=lambda path: path.endswith("@object_id"),
                    )
                )
                assert not found, found
                io.read()


def do_upgrade(store: Path, how: str) -> tuple[Path, Any]:
    if how == "in place":
        return store, upgrade(store)
    target = store.with_name("upgraded.nwb.zarr")
    return target, upgrade(store, target, way="link" if how == "link" else "copy")


@pytest.mark.parametrize("how", ["copy", "link", "in place"])
def test_an_upgraded_store_equals_its_twin_and_keeps_its_chunks(store, how):
    before = chunks(store)
    twin = next(store.parent.glob("*.nwb"))
    target, report = do_upgrade(store, how)
    assert_equals_twin(target, twin)
    after = chunks(target)
    names = set(report.rewritten)
    kept = {key for key in before if key.rpartition("/")[0] not in names}
    assert len(kept) > 50
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    numeric = [name for name in names if "spec" not in report.rewritten[name]]
    assert all("data" not in name.rpartition("/")[2] for name in numeric)
    assert not [path for path in target.iterdir() if path.name.startswith(".z")]
    assert not list(target.rglob(".zarray"))
    assert validate(path=target) == []
    if how == "link":
        key = next(iter(kept))
        assert (target / key).stat().st_ino == (store / key).stat().st_ino
    if how != "in place":
        assert chunks(store) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "in place"])
def test_an_interrupted_upgrade_leaves_the_source_as_it_was(store, how, monkeypatch):
    twin = next(store.parent.glob("*.nwb"))
    before = snapshot(store)
    plain_set = LocalByteStore.set
    operations = 0

    def failing(self: LocalByteStore, key: str, value: bytes) -> None:
        nonlocal operations
        operations += 1
        if operations > limit:
            raise OSError(28, "No space left on device")
        plain_set(self, key, value)

    monkeypatch.setattr(LocalByteStore, "set", failing)
    for limit in (0, 1, 10, 50, 120):  # noqa: B007 - used by `failing`
        operations = 0
        with pytest.raises(OSError, match="No space left"):
            do_upgrade(store, how)
        assert snapshot(store) == before
        assert [path.name for path in store.parent.iterdir() if path.name.startswith(".")] == []
    monkeypatch.undo()
    assert_equals_twin(do_upgrade(store, how)[0], twin)


def small_tree(path: Path) -> GroupBuilder:
    """One of each thing that an upgrade treats otherwise."""
    root = GroupBuilder("root", source=str(path), attributes={"value": 1.5})
    data = DatasetBuilder("data", np.arange(6.0))
    group = GroupBuilder("group", datasets=[data], attributes={"to": ReferenceBuilder(data)})
    group.set_link(LinkBuilder(data, name="link"))
    root.set_group(group)
    fields = [{"name": "n", "dtype": "int32"}, {"name": "r", "dtype": "object"}]
    for name, values, dtype in (
        ("text", ["a", "ä"], "text"),
        ("bytes", [b"a", b"b"], "ascii"),
        ("references", [ReferenceBuilder(data), ReferenceBuilder(group)], "object"),
        ("rows", [(1, ReferenceBuilder(data))], fields),
        ("one", 5, None),
    ):
        root.set_dataset(DatasetBuilder(name, values, dtype=dtype))
    return root


def write_small(path: Path) -> Path:
    with ZarrIO(path, "w", zarr_format=2) as io:
        io.write_builder(small_tree(path))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("how", ["copy", "link", "in place"])
def test_an_upgrade_that_is_stopped_anywhere_changes_nothing_or_all(tmp_path, how, monkeypatch):
    """After every change of the disk: the source reads as before, and can be upgraded."""
    twin = ZarrIO(write_small(tmp_path / "twin.zarr"), "r")
    expected = twin.read_builder()

    def assert_is_twin(path: Path) -> None:
        with ZarrIO(path, "r") as io:
            assert not list(differences(expected, io.read_builder()))

    for count in range(200):
        store = write_small(tmp_path / str(count) / "old.zarr")
        before = snapshot(store)
        was_stopped = stop_after(count, monkeypatch, lambda store=store: do_upgrade(store, how))
        assert_is_twin(store)
        if how != "in place":
            assert snapshot(store) == before
            shutil.rmtree(store.with_name("upgraded.nwb.zarr"), ignore_errors=True)
        assert {finding.severity for finding in check(store).findings} <= {"note", "warning"}
        target = do_upgrade(store, how)[0] if is_zarr_v2_file(store) else store
        with ZarrIO(target, "r+"):
            pass
        assert_is_twin(target)
        assert check(target).findings == ()
        if not was_stopped:
            break
    else:
        pytest.fail("it has no end")
    twin.close()
    assert count > (20 if how == "in place" else 8)


def test_a_killed_upgrade_in_place_leaves_a_store_that_reads_as_before(store, monkeypatch):
    """What a kill leaves: new documents and chunks, and no new root document."""
    twin = next(store.parent.glob("*.nwb"))
    module = sys.modules["hdmf_zarr.transfer.upgrading"]
    monkeypatch.setattr(module, "_remove_new", lambda hierarchy: None)
    plain_set = LocalByteStore.set

    def failing(self: LocalByteStore, key: str, value: bytes) -> None:
        if key == "zarr.json":
            raise KeyboardInterrupt
        plain_set(self, key, value)

    monkeypatch.setattr(LocalByteStore, "set", failing)
    with pytest.raises(KeyboardInterrupt):
        upgrade(store)
    assert list(store.rglob("zarr.json"))
    assert is_zarr_v2_file(store)
    assert_equals_twin(store, twin)
    monkeypatch.undo()
    upgrade(store)
    assert not is_zarr_v2_file(store)
    assert_equals_twin(store, twin)


def write_format2(path: Path, *datasets: DatasetBuilder, **root: Any) -> Path:
    with ZarrIO(path, "w", zarr_format=2) as io:
        io.write_builder(GroupBuilder("root", datasets=list(datasets), **root))
    return path


def test_a_filter_without_a_codec_is_decoded_and_listed(tmp_path, capsys):
    values = np.arange(20, dtype="<i4")
    path = write_format2(tmp_path / "old.zarr", DatasetBuilder("data", values))
    document = json.loads((path / "data" / ".zarray").read_text())
    document["filters"] = [{"id": "base64"}]
    document["compressor"] = None
    (path / "data" / ".zarray").write_text(json.dumps(document))
    (path / "data" / "0").write_bytes(bytes(numcodecs.Base64().encode(values)))
    (path / ".zmetadata").unlink()
    with ZarrIO(path, "r") as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[:], values)
        assert io.read_builder()["data"].data.dtype == np.int32
    assert main(["upgrade", str(path), str(tmp_path / "new.zarr"), "--quiet"]) == 0
    assert (
        "written anew: /data (a filter without a codec of Zarr format 3)" in capsys.readouterr().out
    )
    with ZarrIO(tmp_path / "new.zarr", "r") as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[:], values)


def test_links_references_and_scalars_of_an_upgraded_store(tmp_path):
    target = DatasetBuilder("target", np.arange(5, dtype=">f4"), attributes={"n": np.uint8(3)})
    other = write_format2(tmp_path / "other.zarr", DatasetBuilder("there", [1, 2]))
    with ZarrIO(other, "r") as other_io:
        there = other_io.read_builder()["there"]
        path = write_format2(
            tmp_path / "old.zarr",
            target,
            DatasetBuilder("references", [ReferenceBuilder(target), None, ReferenceBuilder(there)]),
            DatasetBuilder("reference", ReferenceBuilder(target)),
            DatasetBuilder("number", np.float32(1.5)),
            DatasetBuilder("text", "größer"),
            DatasetBuilder("dates", ["2024-01-01", "2025-01-01"], dtype="isodatetime"),
            DatasetBuilder("raw", [b"\xff\x00\xfe", b"a"], dtype="bytes"),
            attributes={"to": ReferenceBuilder(target), "nan": float("nan")},
            links=[LinkBuilder(there, "outside"), LinkBuilder(target, "inside")],
        )
    (tmp_path / "sub").mkdir()
    report = upgrade(path, tmp_path / "sub" / "new.zarr")
    assert set(report.rewritten) == {"references", "reference", "dates", "raw"}
    with ZarrIO(tmp_path / "sub" / "new.zarr", "r") as io:
        root = io.read_builder()
        data = root["target"].data
        assert data.dtype == np.dtype(">f4")
        np.testing.assert_array_equal(data[:], np.arange(5))
        assert root["target"].attributes["n"].dtype == np.uint8
        found = root["references"].data[:]
        assert found[0] is root["target"]
        assert found[1] is None
        assert found[2].source == str(other)
        assert root["reference"].data.builder is root["target"]
        assert root["number"].data == np.float32(1.5)
        assert root["number"].data.dtype == np.float32
        assert root["text"].data == "größer"
        assert list(root["dates"].data[:]) == [b"2024-01-01", b"2025-01-01"]
        assert list(root["raw"].data[:]) == [b"\xff\x00\xfe", b"a"]
        assert root.attributes["to"] is root["target"]
        assert np.isnan(root.attributes["nan"])
        assert root.links["inside"].builder is root["target"]
        np.testing.assert_array_equal(root.links["outside"].builder.data[:], [1, 2])


def test_an_array_that_cannot_be_read_stops_the_upgrade(tmp_path):
    path = write_format2(tmp_path / "old.zarr", DatasetBuilder("data", [1, 2, 3]))
    document = json.loads((path / "data" / ".zarray").read_text())
    (path / "data" / ".zarray").write_text(json.dumps({**document, "chunks": "all"}))
    before = snapshot(path)
    for destination in (None, tmp_path / "new.zarr"):
        with pytest.raises(MetadataError, match="/data: 'chunks' must be"):
            upgrade(path, destination)
        assert snapshot(path) == before
    assert not (tmp_path / "new.zarr").exists()


def test_what_an_upgrade_refuses(tmp_path):
    path = write_format2(tmp_path / "old.zarr", DatasetBuilder("data", [1, 2, 3]))
    with pytest.raises(StoreNotFoundError):
        upgrade(tmp_path / "none.zarr")
    with pytest.raises(OptionError, match="both source and destination"):
        upgrade(path, tmp_path / "." / "old.zarr")
    (tmp_path / "there.zarr").mkdir()
    with pytest.raises(StoreExistsError):
        upgrade(path, tmp_path / "there.zarr")
    assert main(["upgrade", str(path), "--link"]) == 1
    upgrade(path)
    with pytest.raises(OptionError, match="format 3 already"):
        upgrade(path)
    with ZarrIO(path, "r") as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[:], [1, 2, 3])


@pytest.mark.parametrize("is_remote", [(True, True), (True, False), (False, True)])
def test_an_upgrade_takes_options_of_storage(store, tmp_path, is_remote):
    """The file system is one that makes no folders without its option."""
    pytest.importorskip("fsspec")
    options = {"auto_mkdir": True}
    shutil.copytree(store, tmp_path / "old.zarr")
    before = snapshot(tmp_path / "old.zarr")
    source, target = (
        f"local://{tmp_path / name}" if is_url else tmp_path / name
        for name, is_url in zip(("old.zarr", "new.zarr"), is_remote, strict=True)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if is_remote[1]:
            with pytest.raises(FileNotFoundError):
                upgrade(source, target)
        upgrade(source, target, storage_options=options)
        assert_equals_twin(tmp_path / "new.zarr", next(store.parent.glob("*.nwb")))
    assert snapshot(tmp_path / "old.zarr") == before


def test_an_upgrade_refuses_options_that_nothing_takes(store, tmp_path):
    before = snapshot(store)
    for paths in ([store], [store, tmp_path / "new.zarr"]):
        with pytest.raises(OptionError, match="are for URLs"):
            upgrade(*paths, storage_options={"auto_mkdir": True})
    assert snapshot(store) == before


# -- the names of release 0.14 ----------------------------------------------------------------------


def test_the_classes_of_release_0_14_read_and_convert(store, tmp_path):
    twin = next(store.parent.glob("*.nwb"))
    assert is_zarr_v2_file(store)
    assert not is_zarr_v2_file(twin)
    assert not is_zarr_v2_file(tmp_path / "none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert NWBZarrV2IO.read_nwb(store, allow_pickle=True).identifier
        with NWBZarrV2IO(store, "r", allow_pickle=True) as io:
            assert io.allow_pickle
            io.export_to_v3(tmp_path / "v3.nwb.zarr")
            with pytest.raises(NotImplementedError):
                io.write(io.read())
        NWBZarrV2IO.convert_to_v3(store, tmp_path / "converted.nwb.zarr")
        with ZarrV2IO(store, "r") as io:
            assert io.read_builder().attributes["neurodata_type"] == "NWBFile"
            assert not io.allow_pickle
    for name in ("v3.nwb.zarr", "converted.nwb.zarr"):
        assert not is_zarr_v2_file(tmp_path / name)
        assert_equals_twin(tmp_path / name, twin)
    with pytest.raises(ModeError, match="mode 'w'"):
        ZarrV2IO(tmp_path / "w.zarr", "w")
    shutil.rmtree(store)


@pytest.mark.parametrize("to_url", [True, False])
def test_options_of_storage_are_for_what_is_a_url(store, tmp_path, to_url):
    fsspec = pytest.importorskip("fsspec")
    remote = fsspec.filesystem("memory")
    name = tmp_path.name
    remote.put(str(store), f"/{name}.zarr", recursive=True)
    target = f"memory://{name}-converted.zarr" if to_url else tmp_path / "converted.nwb.zarr"
    options = {"listings_expiry_time": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NWBZarrV2IO.convert_to_v3(f"memory://{name}.zarr", target, storage_options=options)
        assert_equals_twin(target, next(store.parent.glob("*.nwb")))
        with pytest.raises(OptionError, match="are for URLs"):
            NWBZarrV2IO.convert_to_v3(store, tmp_path / "other.zarr", storage_options=options)
    remote.rm(f"/{name}.zarr", recursive=True)


# -- memory ----------------------------------------------------------------------------------------


def make_column(path: Path, kind: str, n_rows: int) -> None:
    """Write a column that format 3 stores otherwise, in chunks of 500 rows."""
    root = GroupBuilder("root")
    target = DatasetBuilder("target", np.arange(3))
    reference = ReferenceBuilder(target)
    columns: dict[str, tuple[list[Any], Any]] = {
        "bytes": ([b"%050d" % row for row in range(n_rows)], "ascii"),
        "references": ([reference] * n_rows, "object"),
        "compounds": (
            [(row, "x" * (row % 7), reference) for row in range(n_rows)],
            [
                {"name": "a", "dtype": "int32", "doc": "number"},
                {"name": "b", "dtype": "utf8", "doc": "text"},
                {"name": "c", "dtype": "object", "doc": "reference"},
            ],
        ),
    }
    data, dtype = columns[kind]
    root.set_dataset(target)
    root.set_dataset(DatasetBuilder("data", ZarrDataIO(data, chunks=(500,)), dtype=dtype))
    with ZarrIO(path, "w", manager=get_manager(), zarr_format=2) as io:
        io.write_builder(root)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytes", "references", "compounds"])
def test_what_is_written_anew_goes_through_in_parts(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hdmf_zarr.write.execute.BUFFER_BYTES", 2**19)
    monkeypatch.setattr("hdmf_zarr.chunks.cache.KEPT_BYTES", 2**18)
    monkeypatch.setattr("hdmf_zarr.write.chunks.sources.MEASURED_ROWS", 1000)
    monkeypatch.setattr("hdmf_zarr.write.chunks.sources.CHECKED_ROWS", 1000)
    decide = upgrading.decide_layout
    monkeypatch.setattr(
        upgrading,
        "decide_layout",
        lambda request, **facts: decide(replace(request, chunks=(1000,)), **facts),
    )
    peaks = []
    for n_rows in (2000, 32000):
        old, new = tmp_path / f"old{n_rows}.zarr", tmp_path / f"new{n_rows}.zarr"
        make_column(old, kind, n_rows)
        gc.collect()
        tracemalloc.start()
        report = upgrade(old, new)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert set(report.rewritten) == {"data"}
        with ZarrIO(old, "r") as io, ZarrIO(new, "r") as upgraded:
            assert list(differences(io.read_builder(), upgraded.read_builder())) == []
    # What is read, measured, checked or kept whole takes 2.8 to 10 MB more; when garbage is collected
    # makes a difference of 0.2.
    assert peaks[1] - peaks[0] < 1_000_000, peaks


def test_a_long_text_in_a_compound_makes_all_rows_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hdmf_zarr.write.execute.BUFFER_BYTES", 2**19)
    decide = upgrading.decide_layout
    monkeypatch.setattr(
        upgrading,
        "decide_layout",
        lambda request, **facts: decide(replace(request, chunks=(10,)), **facts),
    )
    target = DatasetBuilder("target", np.arange(3))
    rows = [("x" * (4000 if row == 7 else 1), ReferenceBuilder(target)) for row in range(1000)]
    dtype = [
        {"name": "a", "dtype": "utf8", "doc": "text"},
        {"name": "b", "dtype": "object", "doc": "reference"},
    ]
    root = GroupBuilder("root")
    root.set_dataset(target)
    root.set_dataset(DatasetBuilder("data", ZarrDataIO(rows, chunks=(500,)), dtype=dtype))
    old, new = tmp_path / "old.zarr", tmp_path / "new.zarr"
    with ZarrIO(old, "w", manager=get_manager(), zarr_format=2) as io:
        io.write_builder(root)
    tracemalloc.start()
    assert set(upgrade(old, new).rewritten) == {"data"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with ZarrIO(old, "r") as io, ZarrIO(new, "r") as upgraded:
        assert list(differences(io.read_builder(), upgraded.read_builder())) == []
    assert peak < 6 * 2**20, peak  # all rows together take 16 MB
