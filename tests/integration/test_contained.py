"""No change of a store follows a symbolic link out of it, and only regular files are read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrDataIO, check
from hdmf_zarr.errors import EscapeError, MetadataError
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.stores.contained import ContainedStore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions.journal import JOURNAL, SAVED

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and links of Unix")


def nwb_file() -> NWBFile:
    return NWBFile("session", "an identifier", datetime(2020, 1, 1, tzinfo=UTC))


VALUES = np.arange(1000, dtype="int64")

LIMITED = """
import resource, sys, time, warnings
warnings.simplefilter("ignore")
import pynwb
from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.stores.bytestore import open_bytestore
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, now + 2**30))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
how, path = sys.argv[1:]

def read(selection):
    with NWBZarrIO(path, "r") as io:
        return io.read().acquisition["raw"].data[selection]

def export():
    with NWBZarrIO(path, "r") as source, NWBZarrIO(path + ".copy", "w") as io:
        io.export(source)

def report():
    codes = {finding.code for finding in check(path).findings}
    raise HDMFZarrError(f"findings: {sorted(codes)}")

ways = {
    "rows": lambda: read(slice(0, 10)),
    "steps": lambda: read(slice(None, None, 7)),
    "points": lambda: read([1, 5, 3]),
    "export": export,
    "append": lambda: NWBZarrIO(path, "r+").close(),
    "can_read": lambda: ZarrIO.can_read(path),
    "check": report,
}
for way in how.split():
    try:
        found = ways[way]()
    except HDMFZarrError as error:
        print("refused", way, type(error).__name__, repr(str(error)))
    else:
        print("read", way, found)
"""


def in_process(ways: str, path: Path) -> list[str]:
    """What a process with limits on time and memory says."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, ways, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-800:]
    return done.stdout.splitlines()


def written(path: Path, zarr_format: int = 3) -> Path:
    content = nwb_file()
    data = ZarrDataIO(VALUES, chunks=(250,))
    content.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=1.0))
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(content)
    return path


def chunk_file(path: Path, zarr_format: int) -> Path:
    return path / "acquisition/raw/data" / ("c.0" if zarr_format == 3 else "0")


def put(kind: str, file: Path) -> None:
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.touch()
        os.truncate(file, 100 * 2**30)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_a_chunk_that_is_no_file_is_an_error_within_limits(
    tmp_path: Path, kind: str, zarr_format: int
) -> None:
    path = written(tmp_path / "a.zarr", zarr_format)
    put(kind, chunk_file(path, zarr_format))
    said = in_process("rows steps points export check", path)
    assert [line.split()[0] for line in said] == ["refused"] * 5, said


DOCUMENTS = [(3, "zarr.json"), (3, JOURNAL), (2, ".zmetadata"), (2, JOURNAL)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
@pytest.mark.parametrize(("zarr_format", "name"), DOCUMENTS)
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_a_document_that_is_no_file_is_an_error_within_limits(
    tmp_path: Path, kind: str, zarr_format: int, name: str
) -> None:
    path = written(tmp_path / "a.zarr", zarr_format)
    put(kind, path / name)
    appended, _ = in_process("append can_read", path)
    assert appended.startswith("refused")


def refuse(path: Path) -> None:
    with NWBZarrIO(path, "r+") as io:
        io.read()


@pytest.mark.parametrize("how", ["r+", "repair"])
def test_a_journal_does_not_lead_a_writer_out_of_the_store(tmp_path: Path, how: str) -> None:
    path = written(tmp_path / "a.zarr")
    home = tmp_path / "home"
    home.mkdir()
    (home / "keys").write_text("precious")
    (path / "evil").symlink_to(home)
    (path / SAVED / "evil").mkdir(parents=True)
    for name in ("keys", "0", "c.0"):
        (path / SAVED / "evil" / name).write_text("of others")
    replaced = {"evil": ["keys", "0", "c.0"]}
    (path / JOURNAL).write_text(json.dumps({"append": 1, "before": None, "replaced": replaced}))
    if how == "r+":
        refuse(path)
    else:
        check(path, repair=True)
    assert {file.name: file.read_text() for file in home.iterdir()} == {"keys": "precious"}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("place", ["acquisition", "acquisition/raw/data", SAVED])
def test_a_recovery_behind_a_link_is_refused_before_anything_is_changed(
    tmp_path: Path, place: str, zarr_format: int
) -> None:
    path = written(tmp_path / "a.zarr", zarr_format)
    outside = tmp_path / "outside"
    if place == SAVED:
        (outside / "acquisition/raw/data").mkdir(parents=True)
        (outside / "acquisition/raw/data/0").write_text("secret")
    else:
        shutil.move(path / place, outside)
    (path / place).symlink_to(outside)
    before = {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()}
    replaced = {"acquisition/raw/data": ["0", "c.0"]}
    journal = {"append": 1, "before": None, "replaced": replaced}
    (path / JOURNAL).write_text(json.dumps(journal))
    with pytest.raises(EscapeError, match="is a symbolic link"):
        refuse(path)
    assert {file: file.read_bytes() for file in outside.rglob("*") if file.is_file()} == before
    assert (path / JOURNAL).exists()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_elements_are_not_set_behind_a_link(tmp_path: Path, zarr_format: int) -> None:
    path = written(tmp_path / "a.zarr", zarr_format)
    outside = tmp_path / "outside"
    shutil.move(path / "acquisition/raw/data", outside)
    (path / "acquisition/raw/data").symlink_to(outside)
    before = {file.name: file.read_bytes() for file in outside.iterdir()}
    # Nodes behind a link are in no listing: a writer refuses the store before it comes to them.
    with pytest.raises((EscapeError, MetadataError)), NWBZarrIO(path, "r+") as io:
        io.read().acquisition["raw"].data[3:5] = -1
    assert {file.name: file.read_bytes() for file in outside.iterdir()} == before
    with NWBZarrIO(path, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["raw"].data[:], VALUES)


def test_a_new_object_is_not_written_behind_a_link(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr")
    outside = tmp_path / "outside"
    shutil.move(path / "acquisition", outside)
    (path / "acquisition").symlink_to(outside)
    before = sorted(outside.rglob("*"))
    # Nodes behind a link are in no listing: a writer refuses the store before it comes to them.
    with pytest.raises((EscapeError, MetadataError)), NWBZarrIO(path, "r+") as io:
        content = io.read()
        content.add_acquisition(TimeSeries(name="new", data=VALUES, unit="V", rate=1.0))
        io.write(content)
    assert sorted(outside.rglob("*")) == before


def test_a_chunk_that_is_a_link_is_replaced_itself(tmp_path: Path) -> None:
    """As datalad and git-annex keep files."""
    path = written(tmp_path / "a.zarr")
    file = chunk_file(path, 3)
    annexed = tmp_path / "annexed"
    shutil.move(file, annexed)
    file.symlink_to(annexed)
    before = annexed.read_bytes()
    with NWBZarrIO(path, "r+") as io:
        io.read().acquisition["raw"].data[0:250] = -VALUES[:250]
    assert annexed.read_bytes() == before
    with NWBZarrIO(path, "r") as io:
        found = io.read().acquisition["raw"].data[:]
    np.testing.assert_array_equal(found, np.concatenate([-VALUES[:250], VALUES[250:]]))


def test_a_link_is_copied_as_the_link_and_not_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    store = tmp_path / "a.zarr"
    (store / "a").mkdir(parents=True)
    (store / "a/0").symlink_to(tmp_path / "secret")
    bytestore = LocalByteStore(locate(str(store)), read_only=False)
    bytestore.copy("a/0", "b/0")
    assert (store / "b/0").is_symlink()
    bytestore.delete("b/0")
    assert (tmp_path / "secret").read_text() == "secret"
    os.mkfifo(store / "a/1")
    bytestore.copy("a/1", "b/1")
    assert not (store / "b/1").exists()


@pytest.mark.parametrize(
    "compressor", [None, numcodecs.Zstd(1), numcodecs.GZip(1), numcodecs.Blosc()]
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_noise_that_no_compressor_makes_smaller_is_read(
    tmp_path: Path, zarr_format: int, compressor: object
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 300_000, dtype="uint8")
    content = nwb_file()
    data = ZarrDataIO(noise, chunks=(100_000,), compressor=compressor or False)
    content.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=1.0))
    with NWBZarrIO(tmp_path / "a.zarr", "w", zarr_format=zarr_format) as io:
        io.write(content)
    with NWBZarrIO(tmp_path / "a.zarr", "r") as io:
        raw = io.read().acquisition["raw"].data
        np.testing.assert_array_equal(raw[:], noise)
        np.testing.assert_array_equal(raw[::7], noise[::7])
    assert not check(tmp_path / "a.zarr").errors


def test_zarr_sets_no_element_behind_a_link(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    array = zarr.create_array(ContainedStore(store), name="a", shape=(4,), chunks=(2,), dtype="i8")
    array[:] = 1
    shutil.move(store / "a/c", tmp_path / "outside")
    (store / "a/c").symlink_to(tmp_path / "outside")
    before = {file.name: file.read_bytes() for file in (tmp_path / "outside").iterdir()}
    with pytest.raises(EscapeError):
        zarr.open_array(ContainedStore(store), path="a", mode="r+")[:] = 2
    assert {file.name: file.read_bytes() for file in (tmp_path / "outside").iterdir()} == before
    assert zarr.open_array(ContainedStore(store), path="a", mode="r")[:].tolist() == [1, 1, 1, 1]
