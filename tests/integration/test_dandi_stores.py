"""Stores for the DANDI archive (``dandi=True``): plain zarr-python opens them, and nothing is lost."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import BuildManager
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.file import Subject
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.checking.validator import why_not_for_tensorstore
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import HDMFZarrError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.rewrites import Rewrites
from hdmf_zarr.metadata.consolidated import (
    APART,
    consolidated_document,
    entries_of,
    keeps_apart,
    unreadable_arrays,
    with_entries,
)
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transfer.upgrading import upgrade
from tests.compare import assert_builders_equal
from tests.rich import START, rich_manager, rich_nwbfile, rich_type_map

REFERENCES = "acquisition/rich_table/references"
TRIALS = "intervals/trials/timeseries"
RECORDS = "acquisition/rich_table/rows"


def small() -> NWBFile:
    subject = Subject(subject_id="s", species="Mus musculus", sex="F", age="P90D")
    file = NWBFile("d", "i", START, subject=subject)
    file.add_acquisition(TimeSeries(name="data", data=np.arange(9.0), unit="V", rate=1.0))
    file.add_trial(start_time=0.0, stop_time=1.0, timeseries=[file.acquisition["data"]])
    return file


def write(path: Any, **options: Any) -> Any:
    with NWBZarrIO(path, "w") as io:
        io.write(small(), dandi=True, **options)
    return path


def held_by(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((path / ".zmetadata").read_text())
    return document


def apart_of(path: Path) -> set[str]:
    return {key.rpartition("/")[0] for key in held_by(path)[APART]}


def assert_plain(path: Any) -> zarr.Group:
    """Plain zarr-python opens every node that the consolidated metadata name."""
    group = zarr.open(str(path) if isinstance(path, Path) else path, mode="r")
    assert isinstance(group, zarr.Group)
    assert group.metadata.consolidated_metadata is not None
    assert len(dict(group.members(max_depth=None))) > 5
    if isinstance(path, Path):
        assert unreadable_arrays(held_by(path)["metadata"]) == {}
    return group


def documents_of(path: Any, *, consolidated: bool) -> dict[str, Any]:
    bytestore = open_bytestore(locate(path), read_only=True)
    return Hierarchy.load(bytestore, consolidated=consolidated).documents


def assert_whole(path: Any) -> None:
    """The consolidated metadata are those of the nodes, in one view and in one order."""
    assert documents_of(path, consolidated=True) == documents_of(path, consolidated=False)
    assert check(path).findings == ()


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rich file for the archive; only to be read."""
    path = tmp_path_factory.mktemp("rich") / "rich.nwb.zarr"
    type_map = rich_type_map()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(hdmf|pynwb)\.")
        with NWBZarrIO(path, "w", manager=BuildManager(type_map)) as io:
            io.write(rich_nwbfile(type_map), dandi=True)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file for the archive; only to be read."""
    return write(tmp_path_factory.mktemp("made") / "made.nwb.zarr")


@pytest.fixture(scope="module")
def hdf5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(small())
    return path


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "a.nwb.zarr")
    return tmp_path / "a.nwb.zarr"


# -- written, exported, converted ------------------------------------------------------------------


def test_a_written_store_is_plain_and_whole(rich: Path, rich_hdf5: Path) -> None:
    group = assert_plain(rich)
    np.testing.assert_array_equal(group["acquisition/raw/data"][:3], rich_values(rich_hdf5)[:3])
    assert {REFERENCES, RECORDS} <= apart_of(rich)
    assert not any(path.startswith("specifications") for path in apart_of(rich))
    assert_whole(rich)
    with (
        NWBZarrIO(rich, "r", manager=rich_manager()) as ours,
        NWBHDF5IO(rich_hdf5, "r", manager=rich_manager()) as theirs,
    ):
        assert_builders_equal(ours.read_builder(), theirs.read_builder())


def rich_values(path: Path) -> Any:
    with h5py.File(path) as file:
        return file["acquisition/raw/data"][...]


@pytest.mark.parametrize("way", ["export", "convert", "from ours", "from format 3"])
def test_every_way_to_write_one(way: str, made: Path, hdf5: Path, tmp_path: Path) -> None:
    target = tmp_path / "new.nwb.zarr"
    if way == "convert":
        convert(hdf5, target, dandi=True)
    else:
        source = made if way == "from ours" else hdf5
        if way == "from format 3":
            source = tmp_path / "format3.nwb.zarr"
            convert(hdf5, source)
        io_class = NWBHDF5IO if source == hdf5 else NWBZarrIO
        with io_class(source, "r") as src, NWBZarrIO(target, "w") as io:
            io.export(src, dandi=True)
    assert_plain(target)
    assert apart_of(target) == {TRIALS}
    assert_whole(target)


def test_an_ordinary_store_of_format_2_without_references_is_plain(tmp_path: Path) -> None:
    file = NWBFile("d", "i", START)
    file.add_acquisition(TimeSeries(name="data", data=np.arange(9.0), unit="V", rate=1.0))
    with NWBZarrIO(tmp_path / "a.nwb.zarr", "w", zarr_format=2) as io:
        io.write(file)
    assert_plain(tmp_path / "a.nwb.zarr")
    assert not keeps_apart(held_by(tmp_path / "a.nwb.zarr"))


def test_a_store_that_is_no_folder() -> None:
    store = MemoryStore()
    write(store)
    assert_plain(store)
    assert_whole(store)
    write(store)  # in place of another one
    assert_plain(store)
    assert_whole(store)


def test_it_is_plain_while_its_chunks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads these arrays meanwhile: what marks them is kept apart, as plain zarr cannot parse it."""
    store = MemoryStore()
    write(store)
    seen: list[dict[str, Any]] = []
    rename = Rewrites._name_chunks_of

    def look(self: Rewrites, path: str, keys: dict[str, Any]) -> None:
        encoded = open_bytestore(locate(store), read_only=True).get(".zmetadata")
        assert encoded is not None
        seen.append(json.loads(encoded))
        rename(self, path, keys)

    monkeypatch.setattr(Rewrites, "_name_chunks_of", look)
    write(store)
    assert "acquisition/data/data/.zarray" in seen[0][APART]
    assert all(unreadable_arrays(held["metadata"]) == {} for held in seen)


def test_info_says_which_format_it_is(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(made)]) == 0
    assert "Zarr format 2, NWBFile, consolidated metadata" in capsys.readouterr().out


def test_xarray_opens_the_root(rich: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_zarr(rich) as found:
        assert found["identifier"].values.tolist() == ["rich"]
        assert found["session_start_time"].dims == ("_scalar",)


ZARRITA = """
import * as zarr from "zarrita";
import { FileSystemStore } from "@zarrita/storage";
const store = await zarr.withConsolidatedMetadata(new FileSystemStore(process.argv[1]));
const root = await zarr.open.v2(store, { kind: "group" });
const failed = [];
for (const { path, kind } of store.contents()) {
  try { await zarr.open.v2(root.resolve(path), { kind }); } catch (error) { failed.push(path); }
}
const data = await zarr.get(await zarr.open.v2(root.resolve("/acquisition/data/data"), { kind: "array" }));
const name = await zarr.get(await zarr.open.v2(root.resolve("/identifier"), { kind: "array" }));
const length = store.contents().length;
console.log(JSON.stringify([failed, length, Array.from(data.data), Array.from(name.data)]));
"""


def test_zarrita_opens_everything_that_it_sees(made: Path) -> None:
    folder = os.environ.get("HDMF_ZARR_ZARRITA")
    if folder is None:
        pytest.skip("HDMF_ZARR_ZARRITA names no folder with zarrita")
    command = ["node", "--input-type=module", "-e", ZARRITA, str(made)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    failed, count, data, name = json.loads(done.stdout)
    assert failed == []
    assert count == len({key.rpartition("/")[0] for key in held_by(made)["metadata"]})
    assert data == list(range(9))
    assert name == ["i"]


def test_scalars_keep_no_name_of_a_dimension(made: Path, tmp_path: Path) -> None:
    convert(made, tmp_path / "new.nwb.zarr")
    document = json.loads((tmp_path / "new.nwb.zarr" / "identifier" / "zarr.json").read_text())
    assert document["shape"] == []
    assert "_scalar" not in json.dumps(document)


def test_data_of_another_store_are_copied(tmp_path: Path) -> None:
    write(tmp_path / "source.nwb.zarr")
    with NWBZarrIO(tmp_path / "source.nwb.zarr", "r") as io:
        file = small()
        data = io.read().acquisition["data"].data
        file.add_acquisition(TimeSeries(name="other", data=data, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "new.nwb.zarr", "w") as new:
            new.write(file, dandi=True)
    shutil.rmtree(tmp_path / "source.nwb.zarr")
    found = assert_plain(tmp_path / "new.nwb.zarr")["acquisition/other/data"]
    np.testing.assert_array_equal(found[...], np.arange(9.0))


# -- opened over HTTP ------------------------------------------------------------------------------


class Handler(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()

    def do_HEAD(self) -> None:
        self.requests.append("HEAD " + self.path)
        super().do_HEAD()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def served(made: Path) -> Iterator[tuple[str, list[str]]]:
    handler = type("Counting", (Handler,), {"requests": []})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(made))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.requests
        server.shutdown()
        thread.join()


def test_one_document_opens_it_over_http(served: tuple[str, list[str]]) -> None:
    pytest.importorskip("aiohttp")
    url, requests = served
    with NWBZarrIO(url, "r") as io:
        assert requests == ["/zarr.json", "/.zmetadata"], "the first is that of format 3"
        assert io.read().trials["timeseries"][0][0].timeseries.name == "data"


# -- appended to -----------------------------------------------------------------------------------


def append_table(path: Any, mode: str = "r+", **options: Any) -> None:
    with NWBZarrIO(path, mode) as io:
        file = io.read()
        column = VectorData(name="which", description="d", data=[file.acquisition["data"]])
        table = DynamicTable(name="added", description="d", columns=[column])
        file.add_acquisition(table)
        io.write(file, **options)


@pytest.mark.parametrize("mode", ["r+", "a"])
def test_an_append_keeps_it_plain(mode: str, copied: Path) -> None:
    path = copied
    before = apart_of(path)
    append_table(path, mode)
    assert apart_of(path) == before | {"acquisition/added/which"}
    assert_plain(path)
    assert_whole(path)
    with NWBZarrIO(path, "r") as io:
        file = io.read()
        assert file.acquisition["added"]["which"][0].name == "data"
        assert file.trials["timeseries"][0][0].timeseries.name == "data"


def test_rows_of_references_that_are_appended_stay_apart(copied: Path) -> None:
    path = copied
    append_table(path)
    with NWBZarrIO(path, "r+") as io:
        file = io.read()
        file.acquisition["added"].add_row(which=file.acquisition["data"])
    assert held_by(path)[APART]["acquisition/added/which/.zarray"]["shape"] == [2]
    assert_plain(path)
    assert_whole(path)


def test_an_append_to_an_ordinary_store_makes_one_for_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(small())
    with pytest.raises(Exception, match="No Zarr data type|no Zarr data type|data type"):
        zarr.open(str(path), mode="r")
    append_table(path, dandi=True)
    assert_plain(path)
    assert_whole(path)


def test_an_append_to_a_store_that_is_no_folder() -> None:
    store = MemoryStore()
    write(store)
    append_table(store)
    assert_plain(store)
    assert_whole(store)


KILLED = """
import os, sys, numpy as np
from hdmf_zarr.hierarchy.commit import Commit
from tests.integration.test_dandi_stores import append_table
setattr(Commit, sys.argv[2], lambda *args, **more: os._exit(7))
append_table(sys.argv[1])
"""


@pytest.mark.parametrize("stopped_in", ["_put_root", "_note_commit"])
def test_a_killed_append_leaves_it_right(stopped_in: str, copied: Path) -> None:
    path = copied
    before = (path / ".zmetadata").read_bytes()
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(path), stopped_in]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 7
    assert_plain(path)
    is_committed = stopped_in == "_note_commit"
    assert ((path / ".zmetadata").read_bytes() == before) is not is_committed
    with NWBZarrIO(path, "r+") as io:
        assert ("added" in io.read().acquisition) is is_committed
    assert_plain(path)
    assert_whole(path)
    assert ("acquisition/added/which" in apart_of(path)) is is_committed


# -- what contradicts ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "w-", "x", "a"])
def test_another_zarr_format_is_refused(mode: str, tmp_path: Path) -> None:
    with (
        NWBZarrIO(tmp_path / "a.nwb.zarr", mode, zarr_format=3) as io,
        pytest.raises(OptionError, match="Zarr format 2, found 3"),
    ):
        io.write(small(), dandi=True)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_write_does_not_decide_the_next_one(tmp_path: Path) -> None:
    with NWBZarrIO(tmp_path / "a.nwb.zarr", "w") as io:
        bad = small()
        bad.add_acquisition(TimeSeries(name="bad", data=[[1], [1, 2]], unit="V", rate=1.0))
        with pytest.raises(HDMFZarrError):
            io.write(bad, dandi=True)
        io.write(small())
    assert (tmp_path / "a.nwb.zarr" / "zarr.json").exists()


def test_an_append_to_a_store_of_format_3_is_refused(tmp_path: Path) -> None:
    with NWBZarrIO(tmp_path / "a.nwb.zarr", "w") as io:
        io.write(small())
    before = (tmp_path / "a.nwb.zarr" / "zarr.json").read_bytes()
    with pytest.raises(OptionError, match="Zarr format 2, found 3"):
        append_table(tmp_path / "a.nwb.zarr", dandi=True)
    assert (tmp_path / "a.nwb.zarr" / "zarr.json").read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [
        {"consolidate_metadata": False},
        {"shards": "auto"},
        {"external_links": "keep"},
        {"write_args": {"link_data": True}},
        {"write_args": {"consolidate_metadata": False}},
        {"dandi": 1},
    ],
)
def test_options_that_contradict_are_refused(
    options: dict[str, Any], made: Path, tmp_path: Path
) -> None:
    with (
        NWBZarrIO(made, "r") as src,
        NWBZarrIO(tmp_path / "a.nwb.zarr", "w") as io,
        pytest.raises(OptionError, match="contradicts|dandi"),
    ):
        io.export(src, **{"dandi": True, **options})
    assert list(tmp_path.iterdir()) == []


def test_an_append_without_consolidated_metadata_is_refused(copied: Path) -> None:
    path = copied
    with pytest.raises(OptionError, match="written for the DANDI archive"):
        append_table(path, consolidate_metadata=False)
    assert_plain(path)
    assert_whole(path)


# -- checked, repaired, upgraded -------------------------------------------------------------------


def rewrite(path: Path, **changed: Any) -> None:
    (path / ".zmetadata").write_text(json.dumps({**held_by(path), **changed}))


def test_what_is_kept_apart_is_compared_and_rebuilt(copied: Path) -> None:
    path = copied
    right = held_by(path)
    apart = json.loads(json.dumps(right[APART]))
    apart[f"{TRIALS}/.zarray"]["shape"] = [2]
    rewrite(path, **{APART: apart})
    (found,) = check(path).findings
    assert (found.code, found.key) == ("consolidated-metadata-differ", f"{TRIALS}/.zarray")
    check(path, repair=True)
    assert held_by(path) == right


def test_a_lost_entry_is_found_and_rebuilt(copied: Path) -> None:
    path = copied
    right = held_by(path)
    rewrite(path, **{APART: {}})
    assert {found.code for found in check(path, fast=True).findings} >= {
        "consolidated-metadata-differ"
    }
    check(path, repair=True)
    assert held_by(path) == right


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_repair_makes_a_store_for_the_archive(is_lost: bool, made: Path, tmp_path: Path) -> None:  # noqa: FBT001
    pytest.importorskip("nwbinspector")
    pytest.importorskip("zarr_checksum")
    path = tmp_path / "a.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(small())
    if is_lost:
        (path / ".zmetadata").unlink()
    before = documents_of(path, consolidated=False)
    report = check(path, repair=True, dandi=True)
    assert report.is_clean
    assert [done.partition(" from ")[0] for done in report.repaired] == [
        "rebuilt the consolidated metadata"
    ]
    assert apart_of(path) == apart_of(made)
    assert_plain(path)
    assert documents_of(path, consolidated=True) == before
    assert check(path, repair=True, dandi=True).repaired == ()


@pytest.mark.parametrize("broken", [None, [], 0, "text", [1], {"../../evil/.zgroup": {}}, 7])
def test_a_broken_key_harms_nothing(broken: Any, made: Path, copied: Path) -> None:
    path = copied
    rewrite(path, **{APART: broken})
    documents: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*no path of an object in a store")
            documents = documents_of(path, consolidated=True)
    except HDMFZarrError:
        return
    assert set(documents) <= set(documents_of(made, consolidated=True))


def test_an_upgrade_has_everything(rich: Path, rich_hdf5: Path, tmp_path: Path) -> None:
    shutil.copytree(rich, tmp_path / "a.nwb.zarr")
    upgrade(tmp_path / "a.nwb.zarr")
    assert check(tmp_path / "a.nwb.zarr").findings == ()
    with (
        NWBZarrIO(tmp_path / "a.nwb.zarr", "r", manager=rich_manager()) as ours,
        NWBHDF5IO(rich_hdf5, "r", manager=rich_manager()) as theirs,
    ):
        assert_builders_equal(ours.read_builder(), theirs.read_builder())


# -- the document by itself ------------------------------------------------------------------------

NUMBERS = {
    "zarr_format": 2,
    "shape": [4],
    "chunks": [2],
    "dtype": "<i4",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
    "filters": None,
}


@pytest.mark.parametrize(
    ("changed", "is_readable"),
    [
        ({}, True),
        ({"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "fill_value": ""}, True),
        ({"dtype": "|O", "filters": [{"id": "vlen-bytes"}], "fill_value": ""}, True),
        ({"dtype": "|O", "filters": [{"id": "json2"}]}, False),
        ({"dtype": "|O", "filters": [{"id": "pickle"}]}, False),
        ({"dtype": "|O"}, False),
        ({"dtype": [["a", "<i4"], ["b", "<f8"]], "fill_value": None}, True),
        ({"dtype": [["a", [["b", "<i4"]]]], "fill_value": None}, False),
        ({"dtype": ">u1"}, False),
        ({"dtype": "<f16"}, False),
        ({"compressor": {"id": "zlib", "level": 1}}, True),
        ({"compressor": {"id": "flac", "level": 5}}, False),
        ({"compressor": {"id": "hdmf_zarr.lzf"}}, False),
        ({"filters": [{"id": "hdmf_zarr.being_replaced"}]}, False),
        ({"filters": [{"id": "shuffle", "elementsize": 4}]}, True),
        ({"fill_value": "text"}, False),
        ({"dimension_separator": None}, False),
        ({"compressor": []}, False),
    ],
)
def test_which_arrays_plain_zarr_parses(changed: dict[str, Any], is_readable: bool) -> None:  # noqa: FBT001
    entries = {"a/.zarray": {**NUMBERS, **changed}, "a/.zattrs": {}, ".zgroup": {"zarr_format": 2}}
    assert (unreadable_arrays(entries) == {}) is is_readable
    document = consolidated_document(entries, is_apart=True)
    assert set(document[APART]) == (set() if is_readable else {"a/.zarray", "a/.zattrs"})
    assert entries_of(document) == entries
    assert keeps_apart(document)
    assert with_entries(document, entries) == document
    assert not keeps_apart(consolidated_document(entries, is_apart=False))


def test_tensorstore_is_told_from_the_document() -> None:
    group = zarr.create_group(MemoryStore())
    group.create_array("numbers", shape=(4,), dtype="int16")
    group.create_array("text", shape=(4,), dtype=str)
    documents = {name: array.metadata.to_dict() for name, array in group.arrays()}
    assert (
        why_not_for_tensorstore(json.loads(json.dumps(documents["numbers"], default=str))) is None
    )
    assert "no data type" in str(why_not_for_tensorstore(documents["text"]))
