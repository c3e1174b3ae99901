"""``hdmf-zarr check --dandi``: what the archive needs, and what readers outside of Python can open."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from pynwb import NWBFile, TimeSeries
from pynwb.file import Subject
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.checking import dandi
from hdmf_zarr.checking.dandi import check_files
from hdmf_zarr.checking.inventory import examine
from hdmf_zarr.checking.other_readers import (
    DATA_TYPES,
    TENSORSTORE,
    check_other_readers,
)
from hdmf_zarr.cli import main
from hdmf_zarr.errors import MissingExtraError
from hdmf_zarr.stores.location import locate


def nwbfile(**more: Any) -> NWBFile:
    file = NWBFile(
        session_description="d",
        identifier="i",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
        **more,
    )
    file.add_acquisition(TimeSeries(name="data", data=np.arange(9.0), unit="V", rate=1.0))
    return file


def write(path: Any, file: NWBFile | None = None) -> Any:
    subject = Subject(subject_id="s", species="Mus musculus", sex="F", age="P90D")
    with NWBZarrIO(path, "w") as io:
        io.write(file if file is not None else nwbfile(subject=subject), dandi=True)
    return path


@pytest.fixture
def packages() -> None:
    pytest.importorskip("nwbinspector")
    pytest.importorskip("zarr_checksum")


def codes_of(findings: Any) -> set[str]:
    return {finding.code for finding in findings}


def files_of(path: Any) -> set[str]:
    return codes_of(check_files(examine(locate(path))))


def test_the_name_and_the_depth_of_files(tmp_path: Path) -> None:
    path = write(tmp_path / "file.nwb.zarr")
    assert files_of(path) == set()
    shutil.copytree(path, tmp_path / "file.zarr")
    assert files_of(tmp_path / "file.zarr") == {"dandi-name"}
    deep = path / "a" / "b" / "c" / "d" / "e" / "f"
    deep.mkdir(parents=True)
    (deep / "seven").write_text("")
    assert files_of(path) == set()
    (deep / "g").mkdir()
    (deep / "g" / "eight").write_text("")
    assert files_of(path) == {"dandi-depth"}


def test_symbolic_links_and_stores_that_are_not_local(tmp_path: Path) -> None:
    path = write(tmp_path / "file.nwb.zarr")
    data = path / "acquisition" / "data" / "data" / "0"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    assert files_of(path) == {"dandi-symbolic-link"}
    assert check(path).findings == ()
    assert "dandi-not-local" in files_of(write(MemoryStore()))


def test_many_and_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "file.nwb.zarr")
    monkeypatch.setattr(dandi, "MANY_FILES", 10)
    monkeypatch.setattr(dandi, "LARGEST_FILE", 1000)
    assert files_of(path) == {"dandi-many-files", "dandi-large-file"}


@pytest.mark.usefixtures("packages")
def test_a_file_for_the_archive_has_no_errors_and_the_checksum_of_the_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from zarr_checksum import compute_zarr_checksum
    from zarr_checksum.generators import yield_files_local

    path = write(tmp_path / "file.nwb.zarr")
    report = check(path, dandi=True)
    assert report.is_clean
    assert codes_of(report.findings) == {"other-readers", "dandi-no-dandiset"}
    n_files = sum(file.is_file() for file in path.rglob("*"))
    assert report.archive["files"] == n_files
    assert report.archive["zarr_checksum"] == str(compute_zarr_checksum(yield_files_local(path)))
    capsys.readouterr()
    assert main(["check", "--dandi", "--quiet", "--json", str(path)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["archive"] == report.archive
    assert said.err == ""


@pytest.mark.usefixtures("packages")
def test_critical_findings_of_nwbinspector_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "file.nwb.zarr", nwbfile())
    report = check(path, dandi=True)
    assert not report.is_clean
    (finding,) = report.errors
    assert finding.code == "nwbinspector"
    assert "subject" in finding.message.lower()


@pytest.mark.usefixtures("packages")
def test_what_leads_to_another_store_is_an_error(tmp_path: Path) -> None:
    source = write(tmp_path / "source.nwb.zarr")
    file = nwbfile(subject=Subject(subject_id="s", species="Mus musculus", sex="F", age="P90D"))
    with NWBZarrIO(source, "r") as io:
        data = io.read().acquisition["data"].data
        file.add_acquisition(TimeSeries(name="linked", data=data, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "file.nwb.zarr", "w", zarr_format=2) as destination:
            destination.write(file)
    report = check(tmp_path / "file.nwb.zarr", dandi=True)
    (finding,) = report.errors
    assert finding.code == "dandi-external-link"
    assert finding.path == "/acquisition/linked/data"
    assert "source.nwb.zarr" in finding.message


@pytest.mark.usefixtures("packages")
def test_names_that_are_not_portable_are_errors_for_the_archive(tmp_path: Path) -> None:
    file = nwbfile(subject=Subject(subject_id="s", species="Mus musculus", sex="F", age="P90D"))
    file.add_acquisition(TimeSeries(name="good?", data=[1.0], unit="V", rate=1.0))
    path = write(tmp_path / "file.nwb.zarr", file)
    assert {f.code for f in check(path, dandi=True).errors} == {"not-portable-name"}
    assert check(path).is_clean


@pytest.mark.usefixtures("packages")
def test_a_store_that_is_no_nwb_file_is_an_error(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "file.nwb.zarr", zarr_format=2).create_group("group")
    zarr.consolidate_metadata(tmp_path / "file.nwb.zarr")
    assert {f.code for f in check(tmp_path / "file.nwb.zarr", dandi=True).errors} == {
        "nwbinspector"
    }


def test_packages_that_are_not_installed_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nwbinspector", None)
    with pytest.raises(MissingExtraError, match=r"hdmf-zarr\[dandi\]"):
        check(write(tmp_path / "file.nwb.zarr"), dandi=True)


# -- other readers ---------------------------------------------------------------------------------

ARRAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "int16": (np.arange(8, dtype="int16"), {}),
    "big-endian": (np.arange(8, dtype=">i4"), {}),
    "float64": (np.arange(8.0), {}),
    "complex128": (np.arange(8, dtype="complex128"), {}),
    "text": (np.array(["a", "µ"], dtype=object), {}),
    "fixed text": (np.array(["a", "µ"], dtype="<U3"), {}),
    "fixed bytes": (np.array([b"a", b"b"], dtype="S3"), {}),
    "compound": (np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]), {}),
    "zstd": (np.arange(8), {"compressors": [{"name": "zstd", "configuration": {"level": 1}}]}),
    "lz4": (
        np.arange(8),
        {"compressors": [{"name": "numcodecs.lz4", "configuration": {"acceleration": 1}}]},
    ),
    "fletcher32": (
        np.arange(8),
        {"compressors": [{"name": "numcodecs.fletcher32", "configuration": {}}]},
    ),
    "shards": (np.arange(8), {"shards": (4,), "chunks": (2,)}),
    "NaN": (np.arange(8), {"attributes": {"limit": float("nan")}}),
}


def write_array(path: Path, data: np.ndarray, more: dict[str, Any]) -> None:
    group = zarr.create_group(path, zarr_format=3)
    dtype: Any = str if data.dtype.kind == "O" else data.dtype
    array = group.create_array("data", shape=data.shape, dtype=dtype, **more)
    array[:] = data


def named_readers(path: Path) -> set[str]:
    found = check_other_readers(examine(locate(path)))
    messages = [finding.message for finding in found if finding.path == "/data"]
    return {reader for reader in ("TensorStore", "zarrita.js") if reader in " ".join(messages)}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
def test_the_table_agrees_with_tensorstore(name: str, tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    write_array(tmp_path / "file.zarr", *ARRAYS[name])
    kvstore = {"driver": "file", "path": str(tmp_path / "file.zarr" / "data") + "/"}
    try:
        opened = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}).result()
        is_read = np.array_equal(opened.read().result(), ARRAYS[name][0])
    except ValueError:
        is_read = False
    assert is_read == (TENSORSTORE not in named_readers(tmp_path / "file.zarr"))


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("int16", set()),
        ("text", {"TensorStore"}),
        ("fixed text", {"TensorStore", "zarrita.js"}),
        ("complex128", {"zarrita.js"}),
        ("lz4", {"TensorStore"}),
        ("fletcher32", {"TensorStore", "zarrita.js"}),
        ("NaN", {"TensorStore", "zarrita.js"}),
    ],
)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
def test_readers_that_cannot_open_an_array_are_named(
    name: str, readers: set[str], tmp_path: Path
) -> None:
    write_array(tmp_path / "file.zarr", *ARRAYS[name])
    assert named_readers(tmp_path / "file.zarr") == readers


def test_advice_is_a_sentence() -> None:
    assert all(obstacle.advice.endswith(".") for obstacle in DATA_TYPES.values())
