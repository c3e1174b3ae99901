"""Stores that are made to hang, fill or misuse their reader: each operation ends with an error or a finding.

One process per store, forked from one that has imported everything, has two gigabytes beyond what that one
takes, and twenty seconds of the processor; it runs every operation, one after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrDataIO
from hdmf_zarr.transactions.journal import JOURNAL, SAVED
from tests.misbehaving import serving

pytestmark = pytest.mark.skipif(
    not (Path("/proc/self/statm").exists() and Path("/dev/zero").exists()), reason="as Linux has it"
)

VALUES = np.arange(1000, dtype="int64")

RUNNER = """
import json, os, resource, signal, sys, warnings
warnings.simplefilter("ignore")
import aiohttp, pynwb
from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.core import limits
from hdmf_zarr.errors import HDMFZarrError

def read(path):
    n = 0
    with NWBZarrIO(path, "r") as io:
        for one in io.read().objects.values():
            for value in one.fields.values():
                if hasattr(value, "shape"):
                    n += value[...].size
    return n

def append(path):
    with NWBZarrIO(path, "r+") as io:
        io.read()

def report(path, **options):
    raise HDMFZarrError(sorted({finding.code for finding in check(path, **options).errors}))

READS = {"can_read": NWBZarrIO.can_read, "read": read, "check": report}
CHANGES = {"append": append, "repair": lambda path: report(path, repair=True)}

def run(path):
    limits.MOST_DOCUMENT_BYTES = limits.MOST_ENCODED_TEXT_BYTES = 2**27
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, now + 2**31))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    signal.alarm(60)
    said = {}
    for way, operation in (READS if "://" in path else {**READS, **CHANGES}).items():
        try:
            said[way] = ["done", repr(operation(path))]
        except HDMFZarrError as error:
            said[way] = [type(error).__name__, str(error)]
    return said

for line in sys.stdin:
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write_end, json.dumps(run(json.loads(line))).encode()[:60000])
        except BaseException as error:
            os.write(write_end, json.dumps({"raised": repr(error)[:1000]}).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as file:
        said = file.read()
    status = os.waitpid(child, 0)[1]
    print(said.decode() or json.dumps({"killed": status}), flush=True)
"""


def write(path: Path, zarr_format: int = 3, **options: Any) -> None:
    content = NWBFile("session", "an identifier", datetime(2020, 1, 1, tzinfo=UTC))
    raw = TimeSeries(
        name="raw", data=ZarrDataIO(VALUES, **({"chunks": (250,)} | options)), unit="V", rate=1.0
    )
    content.add_acquisition(raw)
    content.add_acquisition(TimeSeries(name="linked", data=raw, unit="V", rate=1.0))
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(content)


@cache
def template(folder: Path, name: str) -> Path:
    """A store that is well, of which cases are copies."""
    path = folder / f"{name}.zarr"
    write(
        path,
        2 if name == "old" else 3,
        **({"chunks": (50,), "shards": (500,)} if name == "shards" else {}),
    )
    return path


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def sparse(file: Path) -> None:
    os.truncate(file, 100 * 2**30)


def digits(file: Path) -> None:
    document = file.read_text()
    file.write_text(
        document.replace('"attributes":{', '"attributes":{"many":' + "7" * 5000 + ",", 1)
    )


def nested(file: Path) -> None:
    document = file.read_text()
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    file.write_text(document.replace('"attributes":{', f'"attributes":{{"deep":{deep},', 1))


def large(file: Path) -> None:
    document = file.read_bytes()
    start = document.index(b'"attributes":{') + len(b'"attributes":{')
    file.write_bytes(
        document[:start] + b'"large":"' + b"a" * 300 * 2**20 + b'",' + document[start:]
    )


def linked_to(source: str, path: str = "/x/data") -> Callable[[Path], None]:
    def change(file: Path) -> None:
        document = json.loads(file.read_text())
        entry = document["consolidated_metadata"]["metadata"]["acquisition/linked"]
        entry["attributes"]["_LINKS"] = [{"name": "data", "source": source, "path": path}]
        file.write_text(json.dumps(document))
        own = file.parent / "acquisition/linked/zarr.json"
        own.write_text(json.dumps(entry))

    return change


def led_out(file: Path) -> None:
    """The document lies outside, with others that have its name; what is written must replace the link."""
    outside = file.parents[1] / "outside"
    shutil.move(file, outside / "zarr.json")
    file.symlink_to(outside / "zarr.json")


def folder_led_out(file: Path) -> None:
    """A group lies outside."""
    outside = file.parents[1] / "outside"
    shutil.move(file.parent / "acquisition", outside / "acquisition")
    (file.parent / "acquisition").symlink_to(outside / "acquisition")


def journal_of(names: dict[str, list[str]], *, is_link: bool = False) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        store = file.parent
        journal = {"append": 1, "before": None, "replaced": names}
        (store / JOURNAL).write_text(json.dumps(journal))
        for folder, keys in names.items():
            for key in keys:
                saved = store / SAVED / folder.replace("..", "up").lstrip("/") / key
                saved.parent.mkdir(parents=True, exist_ok=True)
                saved.write_text("of others")
        if is_link:
            (store / "evil").symlink_to(store.parent / "outside")

    return change


@dataclass(frozen=True)
class Case:
    """A store that is made from one that is well.

    Attributes
    ----------
    name : str
    template : str
    key : str
        Of the object that is changed.
    change : callable
    reads : str
        Class of the error with which reading ends; ``"done"`` if there is none.
    finds : str
        What `check` finds; empty if there is no error.
    """

    name: str
    template: str
    key: str
    change: Callable[[Path], None]
    reads: str
    finds: str = ""


CHUNK, SHARD, OLD = ("acquisition/raw/data/c.0",) * 2 + ("acquisition/raw/data/0",)
ROOT = "zarr.json"

TEMPLATES = [
    ("chunks", CHUNK, "ChunkError", "broken-chunk"),
    ("shards", SHARD, "ChunkError", "broken-chunk"),
    ("old", OLD, "ChunkError", "broken-chunk"),
    ("chunks", ROOT, "SpecialFileError", "beyond-limits"),
]

CASES = [
    *(
        Case(f"{change.__name__} for {key} of {name}", name, key, change, error, finds)
        for change in (pipe, device, sparse)
        for name, key, error, finds in TEMPLATES
    ),
    Case("digits", "chunks", ROOT, digits, "MetadataError", "broken-document"),
    Case("nested", "chunks", ROOT, nested, "MetadataError", "broken-document"),
    Case("large", "chunks", ROOT, large, "MetadataError", "beyond-limits"),
    Case("link 1", "chunks", ROOT, linked_to("reference::file:///x"), "done", "broken-link"),
    Case("link 2", "chunks", ROOT, linked_to("simplecache::file:///x"), "done", "broken-link"),
    Case("document outside", "chunks", ROOT, led_out, "done"),
    Case("group outside", "chunks", ROOT, folder_led_out, "done", "consolidated-metadata-differ"),
    Case("journal 1", "chunks", ROOT, journal_of({"../outside": ["kept"]}), "done"),
    Case("journal 2", "chunks", ROOT, journal_of({"/tmp": ["kept"]}), "done"),
    Case("journal 3", "chunks", ROOT, journal_of({"evil": ["kept"]}, is_link=True), "done"),
]

REMOTE = {
    "endless chunk": (r"chunk/.*raw/data/c\.0", "endless", "ChunkError"),
    "endless document": ("document/zarr.json", "endless", "MetadataError"),
    "endless text": ("text/session_description/c", "endless", "ChunkError"),
    "false length": (r"length/.*raw/data/c\.0", "false length", "ChunkError"),
}


def state(folder: Path) -> dict[str, Any]:
    """What lies outside of the store, and when it was changed."""
    return {
        str(file): (file.lstat().st_mtime_ns, file.read_bytes() if file.is_file() else None)
        for file in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, Any]]]:
    """What every operation says of a store at a path or URL."""
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def ask(path: str) -> dict[str, Any]:
            asked.write(json.dumps(path) + "\n")
            asked.flush()
            found: dict[str, Any] = json.loads(answers.readline())
            return found

        yield ask
        asked.close()


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_operation_ends_and_changes_nothing_outside(
    tmp_path: Path, templates: Path, case: Case, said: Callable[[str], dict[str, Any]]
) -> None:
    store, outside = tmp_path / "a.zarr", tmp_path / "outside"
    shutil.copytree(template(templates, case.template), store)
    outside.mkdir()
    (outside / "kept").write_text("precious")
    case.change(store / case.key)
    before = state(outside)
    found = said(str(store))
    assert state(outside) == before
    assert set(found) == {"can_read", "read", "check", "append", "repair"}, found
    is_too_large = case.change is sparse and case.key == ROOT
    assert found["read"][0] == ("MetadataError" if is_too_large else case.reads), found
    assert found["read"][0] == "done" or str(store) in found["read"][1]
    assert case.finds in found["check"][1], found
    assert case.finds in found["repair"][1], found
    assert case.finds or found["check"][1] == found["repair"][1] == "[]", found
    is_read = case.reads == "done" or case.key != ROOT
    assert found["can_read"] == ["done", str(is_read)]
    assert (found["append"][0] == "done") == (is_read and case.name != "group outside"), found


@pytest.mark.parametrize("name", sorted(REMOTE))
def test_what_a_server_sends_ends(
    tmp_path: Path, templates: Path, name: str, said: Callable[[str], dict[str, Any]]
) -> None:
    pytest.importorskip("aiohttp")
    pattern, body, error = REMOTE[name]
    folder = pattern.partition("/")[0]
    (tmp_path / folder).symlink_to(template(templates, "chunks"))
    with serving(tmp_path) as server:
        server.bodies = {pattern: body}  # type: ignore[dict-item]
        found = said(f"{server.url}/{folder}")
    assert found["read"][0] == error, found
    assert f"{server.url}/{folder}:/" in found["read"][1]
    is_document = "document" in name
    assert found["can_read"] == ["done", str(not is_document)]
    assert found["check"] == (
        found["check"] if is_document else ["HDMFZarrError", "['broken-chunk']"]
    )
    assert set(found) == {"can_read", "read", "check"}
