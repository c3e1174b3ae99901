"""Zip files as people make them: with entries for folders, or of the folder that is the store."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import NotAStoreError
from tests.integration.test_odd_input import make_file


@pytest.fixture(params=[2, 3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "data" / "a.nwb.zarr"
    path.parent.mkdir()
    with NWBZarrIO(path, "w", zarr_format=request.param) as io:
        io.write(make_file(t=np.arange(3.0)))
    return path


def test_entries_of_folders_are_no_objects(store: Path, tmp_path: Path) -> None:
    zipped = Path(shutil.make_archive(str(tmp_path / "a"), "zip", store))
    assert "acquisition/" in zipfile.ZipFile(zipped).namelist()
    assert check(zipped).findings == check(store).findings
    with NWBZarrIO(zipped, "r") as io:
        assert io.read().acquisition["t"].data[:].tolist() == [0.0, 1.0, 2.0]
    convert(zipped, tmp_path / "copy.nwb.zarr")
    assert not check(tmp_path / "copy.nwb.zarr").findings


@pytest.mark.parametrize("depth", [1, 2])
def test_a_store_one_folder_down_is_named(
    store: Path, tmp_path: Path, depth: int, capsys: pytest.CaptureFixture[str]
) -> None:
    base = store.parents[depth - 1]
    folder = store.relative_to(base).as_posix()
    zipped = Path(shutil.make_archive(str(tmp_path.parent / tmp_path.name) + "_b", "zip", base))
    for path in (zipped, base):
        what = f"in the folder '{folder}'"
        with pytest.raises(NotAStoreError, match=what), NWBZarrIO(path, "r") as io:
            io.read()
        with pytest.raises(NotAStoreError, match=what):
            check(path)
        with pytest.raises(NotAStoreError, match=what):
            convert(path, tmp_path.parent / "never.nwb.zarr")
        assert main(["check", "--quiet", str(path)]) != 0
        assert what in capsys.readouterr().err


def test_a_write_that_did_not_finish_is_called_so(store: Path) -> None:
    for name in ("zarr.json", ".zgroup", ".zmetadata", ".zattrs"):
        (store / name).unlink(missing_ok=True)
    with pytest.raises(NotAStoreError, match="its write did not finish"), NWBZarrIO(store, "r"):
        pass
