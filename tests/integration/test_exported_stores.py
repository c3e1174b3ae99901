"""What old releases exported from HDF5 reads as the HDF5 file: their exports differ from their writes.

Releases before 0.10 pickled each text that stands alone in a file that they exported; those before 0.6 the
numbers beside references as numbers of numpy. See ``tests/data/exported/write_export.py``.
"""

from __future__ import annotations

import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.conversion import convert
from hdmf_zarr.transfer.upgrading import upgrade
from tests.compare import differences

from ..data.exported.write_export import TEXTS

DATA = Path(__file__).parents[1] / "data" / "exported"
RELEASES = ["v0.1.0", "v0.5.0", "v0.9.0"]

DATES = {"/session_start_time", "/timestamps_reference_time"}
"""Exported as text, without a word of that it was ASCII."""

OWN = {"/scratch/records"}
"""Added to the HDF5 file after the store was written at once."""


@pytest.fixture(scope="module", params=RELEASES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with tarfile.open(DATA / f"{request.param}-export.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def changed(store: Path, way: str, folder: Path) -> Path:
    """The store itself, upgraded, or converted to a format."""
    target = folder / {"hdf5": "new.nwb"}.get(way, "new.nwb.zarr")
    if way == "read":
        return store
    if way == "upgrade":
        upgrade(store, target)
    else:
        convert(store, target, zarr_format=None if way == "hdf5" else int(way))
    return target


def unequal(path: Path, twin: Path, name: str) -> list[str]:
    def is_ignored(path: str) -> bool:
        is_own = name == "direct" and (path in OWN or path.endswith("@object_id"))
        return is_own or path in DATES

    with (
        (NWBHDF5IO if path.suffix == ".nwb" else NWBZarrIO)(path, "r") as io,
        NWBHDF5IO(twin, "r") as expected,
    ):
        found = differences(expected.read_builder(), io.read_builder(), ignore=is_ignored)
        return list(found)


@pytest.mark.parametrize("way", ["read", "upgrade", "2", "3", "hdf5"])
@pytest.mark.parametrize("name", ["direct", "export"])
def test_it_equals_its_twin(folder: Path, name: str, way: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*stored expanded")
        warnings.filterwarnings("ignore", "Ignoring the following cached namespace")
        path = changed(folder / f"{name}.nwb.zarr", way, tmp_path)
        assert unequal(path, folder / "twin.nwb", name) == []


@pytest.mark.parametrize("way", ["read", "upgrade", "2"])
def test_its_text_is_text_whatever_it_reads_like(folder: Path, way: str, tmp_path: Path) -> None:
    path = changed(folder / "export.nwb.zarr", way, tmp_path)
    with NWBZarrIO(path, "r") as io:
        nwbfile = io.read()
        found = {name: getattr(nwbfile, name) for name in TEXTS}
        assert found == TEXTS
        assert nwbfile.session_start_time.isoformat() == "2020-03-01T12:30:45+00:00"


def test_its_rows_with_references_lead_to_their_objects(folder: Path) -> None:
    with NWBZarrIO(folder / "export.nwb.zarr", "r") as io:
        nwbfile = io.read()
        rows = nwbfile.trials["timeseries"][2]
        assert [(row.idx_start, row.count) for row in rows] == [(20, 5)] * 3
        assert {row.timeseries.object_id for row in rows} == {
            nwbfile.acquisition["series"].object_id
        }
        records = nwbfile.scratch["records"].data[:]
        assert [tuple(record) for record in records] == [(1, "xé"), (2, "")]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_no_pickle_is_written(folder: Path, zarr_format: int, tmp_path: Path) -> None:
    path = changed(folder / "export.nwb.zarr", str(zarr_format), tmp_path)
    documents = [
        *path.rglob(".zarray"),
        *path.rglob("zarr.json"),
    ]
    assert len(documents) > 50
    assert not [document for document in documents if b"pickle" in document.read_bytes()]


def test_nothing_is_found_but_notes(folder: Path) -> None:
    report = check(folder / "export.nwb.zarr")
    assert {finding.severity for finding in report.findings} == {"note"}


def test_the_store_is_what_the_release_wrote(folder: Path) -> None:
    """That the fixture holds what the other tests are about."""
    lab: dict[str, Any] = json.loads(
        (folder / "export.nwb.zarr" / "general" / "lab" / ".zarray").read_text()
    )
    assert lab["filters"] == [{"id": "pickle", "protocol": 5}]
    assert np.dtype(lab["dtype"]).hasobject
