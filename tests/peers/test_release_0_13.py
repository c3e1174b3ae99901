"""Release 0.13 reads what we write in Zarr format 2, and we read what it writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO
from tests.peers import write_format2
from tests.peers.conftest import FOLDER, Peer, _python_of, _runs
from tests.peers.describe import Description
from tests.peers.test_released_versions import described, unequal
from tests.rich import rich_nwbfile

VERSION = "0.13.0"
SWITCH = "NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE"
"""Without it the release can neither read nor write its own pickles with a current numcodecs."""

DTYPES = (
    None,
    "bool",
    *(f"{kind}{size}" for kind in ("int", "uint", "float") for size in (8, 16, 32, 64)),
)

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:(hdmf|pynwb)\.")


def _python_3_11() -> str | None:
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    found = shutil.which("python3.11")
    return found if found is not None and _runs(found) else None


def _make(environment: Path) -> str | None:
    """Make an environment, and return None, or why there is none."""
    interpreter = _python_3_11()
    if interpreter is None:
        return "no Python 3.11 was found"
    install = ["-m", "pip", "install", "--quiet", f"hdmf-zarr=={VERSION}", "pynwb"]
    for command in ([interpreter, "-m", "venv", environment], [_python_of(environment), *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(environment, ignore_errors=True)
            said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
            return f"{command[2]} has failed: {said[-1]}"
    return None


@pytest.fixture(scope="module")
def peer() -> Peer:
    """An environment with the release."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        pytest.skip(f"needs an environment with hdmf-zarr {VERSION}: tox -e peers-0.13 makes it")
    environment = Path(folder) / VERSION
    if not _python_of(environment).exists():
        reason = _make(environment)
        if reason is not None:
            pytest.skip(f"no environment with hdmf-zarr {VERSION}: {reason}")
    return Peer(_python_of(environment))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("release")


def bare(value: Any) -> Any:
    """A value as the release gives it: one element as a row of it, records without their dtypes."""
    if not isinstance(value, list):
        return value
    if len(value) == 2 and (value[0] in DTYPES):
        return bare(value[1])
    return bare(value[0]) if len(value) == 1 else [bare(entry) for entry in value]


def bared(description: Description) -> Description:
    """What is compared: dtype and values of datasets, everything else as it is."""
    return {
        path: [entry[0], bare(entry[1])] if isinstance(entry, list) and len(entry) == 2 else entry
        for path, entry in description.items()
    }


def differing(a: Description, b: Description) -> dict[str, Any]:
    return unequal(bared(a), bared(b))


# -- it reads what we write ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(folder: Path) -> Path:
    """The rich file as HDF5."""
    with NWBHDF5IO(folder / "twin.nwb", "w") as io:
        io.write(rich_nwbfile())
    return folder / "twin.nwb"


@pytest.fixture(scope="module", params=["written", "exported", "appended"])
def ours(request: pytest.FixtureRequest, folder: Path, twin: Path) -> Path:
    """The rich file in format 2, in each of the ways in which we make it."""
    path = folder / f"{request.param}.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        if request.param == "exported":
            with NWBHDF5IO(twin, "r") as source:
                io.export(source)
        else:
            io.write(rich_nwbfile())
    if request.param == "appended":
        with NWBZarrIO(path, "r+") as io:
            nwbfile = io.read()
            first = nwbfile.acquisition["first"]
            nwbfile.add_trial(
                start_time=9.0, stop_time=9.5, correct=True, choice="ü", tags=[], timeseries=[first]
            )
            group = nwbfile.electrode_groups["shank1"]
            for name in nwbfile.electrodes.colnames:
                added = {"group": group, "label": "new", "location": "new", "group_name": "shank1"}
                nwbfile.electrodes[name].data.append(added.get(name, 0.5))
            nwbfile.electrodes.id.data.append(np.array([77]))
            io.write(nwbfile)
    return path


@pytest.mark.parametrize("mode", ["r", "r-"])
def test_it_reads_our_file(peer: Peer, ours: Path, twin: Path, tmp_path: Path, mode: str) -> None:
    expected = described(ours) if "appended" in ours.name else described(twin)
    assert differing(peer.describe(ours, mode, tmp_path), expected) == {}


def test_it_gives_the_containers_of_our_file(peer: Peer, ours: Path) -> None:
    found = json.loads(peer.run("facts", ours, "r"))
    assert found["linked data"]
    assert found["linked timestamps"]
    assert found["groups"][:4] == ["shank0", "shank1", "shank0", "shank1"]
    assert found["start"] == "2024-03-05T09:30:15.250000-05:00"


def test_it_reads_what_is_written_for_the_archive(peer: Peer, tmp_path: Path) -> None:
    """In the mode that goes by the nodes: the consolidated metadata keep references apart."""
    path = tmp_path / "archive.nwb.zarr"
    with NWBZarrIO(path, "w") as io:
        io.write(write_format2.make_file(), dandi=True)
    assert json.loads((path / ".zmetadata").read_text())["hdmf_zarr_metadata"]
    # NaN is text in JSON that every reader takes, which the release gives as it is.
    not_a_number = {"/acquisition/first/data@resolution": ("NaN", "nan")}
    assert differing(peer.describe(path, "r-", tmp_path), described(path)) == not_a_number


def test_it_follows_our_links_to_another_store(peer: Peer, tmp_path: Path) -> None:
    source = tmp_path / "source.nwb.zarr"
    with NWBZarrIO(source, "w", zarr_format=2) as io:
        io.write(write_format2.make_file())
    linking = tmp_path / "linking.nwb.zarr"
    with NWBZarrIO(source, "r") as src_io:
        data = src_io.read().acquisition["numbers"].data
        nwbfile = write_format2.make_file()
        nwbfile.add_acquisition(
            type(nwbfile.acquisition["first"])(name="shares", data=data, unit="n", rate=1.0)
        )
        with NWBZarrIO(linking, "w", manager=src_io.manager, zarr_format=2) as io:
            io.write(nwbfile, link_data=True)
    links = json.loads((linking / "acquisition/shares/.zattrs").read_text())["zarr_link"]
    assert [(entry["name"], entry["source"]) for entry in links] == [("data", "../source.nwb.zarr")]
    found = peer.describe(linking, "r", tmp_path)
    assert differing(found, described(linking)) == {}


# -- we read what it writes ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["write", "json"])
def theirs(request: pytest.FixtureRequest, folder: Path, peer: Peer) -> Path:
    """A file with references as pickles, which are its default, or as JSON."""
    with mock.patch.dict(os.environ, {SWITCH: "1"}):
        peer.run("write_format2", request.param, folder / f"{request.param}.nwb.zarr")
    return folder / f"{request.param}.nwb.zarr"


@pytest.mark.parametrize("mode", ["r", "r-"])
def test_we_read_its_file(theirs: Path, tmp_path: Path, mode: str) -> None:
    with NWBHDF5IO(tmp_path / "twin.nwb", "w") as io:
        io.write(write_format2.make_file())
    assert unequal(described(theirs, mode), described(tmp_path / "twin.nwb")) == {}


def test_we_read_what_it_wrote_of_iterators(peer: Peer, tmp_path: Path) -> None:
    store = tmp_path / "iterators.nwb.zarr"
    peer.run("write_format2", "iterators", store)
    found = described(store)
    for dtype in ("int16", "float32", "float64"):
        rows = [
            [repr(entry) for entry in row]
            for row in np.arange(20, dtype=dtype).reshape(10, 2).tolist()
        ]
        assert found[f"/acquisition/{dtype}/data"] == [dtype, rows]
    assert differing(found, peer.describe(store, "r", tmp_path)) == {}


def test_we_follow_its_links_to_another_store(peer: Peer, tmp_path: Path) -> None:
    source, linking = tmp_path / "source.nwb.zarr", tmp_path / "linking.nwb.zarr"
    with mock.patch.dict(os.environ, {SWITCH: "1"}):
        peer.run("write_format2", "write", source)
        peer.run("write_format2", "link", source, linking)
    found = described(linking)
    assert found["/acquisition/shares/data"][:3] == ["elsewhere", "data", "uint16"]
    assert found["/acquisition/shares/data"][3] == described(source)["/acquisition/numbers/data"][1]


def test_we_read_what_it_appended_to_our_file(peer: Peer, tmp_path: Path) -> None:
    store = tmp_path / "ours.nwb.zarr"
    with NWBZarrIO(store, "w", zarr_format=2) as io:
        io.write(rich_nwbfile())
    peer.run("write", "append", store)
    found = described(store)
    assert found["/acquisition/added/timestamps"] == "-> /acquisition/first/timestamps"
    assert found["/units/later"][1] == ["a", "ö", ""]
    assert found["/acquisition/image_like/data"][0] == "uint16"
