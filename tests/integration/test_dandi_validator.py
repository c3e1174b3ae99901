"""``check --dandi`` and ``dandi validate`` find the same; the program has an environment of its own.

``HDMF_ZARR_DANDI`` names the program (``tox -e dandi`` makes its environment), or it is on the PATH;
beside it is the Python that has zarr 3.1.5. Nothing is uploaded, and nothing is asked of the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import BuildManager
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.checking.validator import KINDS, SEVERITIES
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from tests.conftest import corpus_files
from tests.integration.test_dandi_stores import append_table, held_by, rewrite, small
from tests.rich import rich_nwbfile, rich_type_map

VARIABLE = "HDMF_ZARR_DANDI"
CODES = {kind.code for kind in KINDS.values()}


@pytest.fixture(scope="module")
def program() -> Path:
    """The archive's program."""
    named = os.environ.get(VARIABLE) or shutil.which("dandi")
    if named is None:
        pytest.skip(f"no program 'dandi' is on the PATH, and {VARIABLE} names none: tox -e dandi")
    return Path(named).absolute()


@pytest.fixture(scope="module")
def dandiset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dandiset."""
    folder = tmp_path_factory.mktemp("000123")
    (folder / "dandiset.yaml").write_text("identifier: DANDI:000123\nname: x\n")
    (folder / "sub-M1").mkdir()
    return folder


def validated(program: Path, path: Path) -> str:
    """Return what the program says."""
    environment = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], "DANDI_NO_ET": "1"}
    done = subprocess.run(
        [program, "validate", path], capture_output=True, text=True, check=False, env=environment
    )
    return f"{done.returncode}: {done.stdout.strip()}"


VALID = "0: No errors found."


# -- everything that is written for the archive ----------------------------------------------------


@pytest.mark.parametrize("source", corpus_files(), ids=lambda path: path.stem)
def test_every_file_of_the_corpus_is_valid(source: Path, program: Path, dandiset: Path) -> None:
    target = dandiset / "sub-M1" / f"{source.stem}.nwb.zarr"
    convert(source, target, dandi=True)
    assert validated(program, target) == VALID
    shutil.rmtree(target)


@pytest.fixture(scope="module")
def rich(dandiset: Path) -> Path:
    path = dandiset / "sub-M1" / "sub-M1_rich.nwb.zarr"
    type_map = rich_type_map()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(hdmf|pynwb)\.")
        with NWBZarrIO(path, "w", manager=BuildManager(type_map)) as io:
            io.write(rich_nwbfile(type_map), dandi=True)
    return path


def test_the_rich_file_is_valid(rich: Path, program: Path) -> None:
    assert validated(program, rich) == VALID


@pytest.mark.parametrize("way", ["written", "exported", "appended", "made by an append"])
def test_every_way_is_valid(way: str, program: Path, dandiset: Path, tmp_path: Path) -> None:
    target = dandiset / "sub-M1" / f"{way.replace(' ', '-')}.nwb.zarr"
    if way == "exported":
        with NWBHDF5IO(tmp_path / "a.nwb", "w") as hdf5:
            hdf5.write(small())
        with NWBHDF5IO(tmp_path / "a.nwb", "r") as src, NWBZarrIO(target, "w") as io:
            io.export(src, dandi=True)
    else:
        is_late = way == "made by an append"
        with NWBZarrIO(target, "w", zarr_format=2) as io:
            io.write(small(), dandi=not is_late)
        if way != "written":
            append_table(target, dandi=is_late)
    assert validated(program, target) == VALID


READ = """
import json, sys, zarr
from zarr.core.buffer import default_buffer_prototype
group = zarr.open(sys.argv[1], mode="r")
nodes = dict(group.members(max_depth=None))
arrays = {path: node for path, node in nodes.items() if isinstance(node, zarr.Array)}
for array in arrays.values():
    array[...]
print(json.dumps([zarr.__version__, "hdmf_zarr" in sys.modules, sorted(nodes)]))
"""


def test_its_own_zarr_reads_every_array(rich: Path, program: Path) -> None:
    python = program.with_name("python")
    done = subprocess.run(
        [python, "-W", "ignore", "-c", READ, rich],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    version, has_ours, nodes = json.loads(done.stdout)
    assert version.startswith("3.1.")
    assert not has_ours
    paths = {key.rpartition("/")[0] for key in held_by(rich)["metadata"]} - {""}
    assert set(nodes) == paths


# -- what is wrong ---------------------------------------------------------------------------------


def format2(path: Path) -> None:
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(small())


def for_archive(path: Path) -> None:
    with NWBZarrIO(path, "w") as io:
        io.write(small(), dandi=True)


def format3(path: Path) -> None:
    with NWBZarrIO(path, "w") as io:
        io.write(small())


def too_deep(path: Path) -> None:
    for_archive(path)
    folder = path / "a" / "b" / "c" / "d" / "e" / "f" / "g"
    folder.mkdir(parents=True)
    (folder / "eight").write_text("")


def one_part_less(path: Path) -> None:
    too_deep(path)
    (path / "a/b/c/d/e/f/g/eight").rename(path / "a/b/c/d/e/f/seven")
    (path / "a/b/c/d/e/f/g").rmdir()


def changed(path: Path, key: str, **more: Any) -> None:
    for_archive(path)
    entries = held_by(path)["metadata"]
    rewrite(path, metadata={**entries, key: {**entries[key], **more}})


DATA = "acquisition/data/data/.zarray"


def empty(path: Path) -> None:
    zarr.create_group(path, zarr_format=2)
    zarr.consolidate_metadata(path)


def seemingly_empty(path: Path) -> None:
    for_archive(path)
    document = held_by(path)
    root = {key: document["metadata"].pop(key) for key in (".zgroup", ".zattrs")}
    rewrite(path, metadata=root, hdmf_zarr_metadata=document["metadata"])


def no_json(path: Path) -> None:
    for_archive(path)
    (path / ".zmetadata").write_text("{")


def unconsolidated(path: Path) -> None:
    format2(path)
    (path / ".zmetadata").unlink()


def arrays_of_format3(path: Path) -> None:
    group = zarr.create_group(path, zarr_format=3)
    for name in ("bool", "int8", "uint64", "float16", "float64", "complex128"):
        group.create_array(name, data=np.zeros(4, dtype=name))
    group.create_array("sharded", data=np.zeros(8), shards=(4,), chunks=(2,))


def nan_in_attributes(path: Path) -> None:
    arrays_of_format3(path)
    zarr.open_group(path)["bool"].attrs["limit"] = float("nan")


def nan_in_a_group(path: Path) -> None:
    arrays_of_format3(path)
    zarr.open_group(path).create_group("group").attrs["limit"] = float("nan")


def document_of(path: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    arrays_of_format3(path)
    document = json.loads((path / name / "zarr.json").read_text())
    change(document)
    (path / name / "zarr.json").write_text(json.dumps(document))


def broken_document(path: Path) -> None:
    arrays_of_format3(path)
    (path / "bool" / "zarr.json").write_text("{")


FAULTS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "right": (for_archive, set()),
    "ordinary": (format2, {"dandi-cannot-open"}),
    "unconsolidated": (unconsolidated, set()),
    "deep": (too_deep, {"dandi-depth"}),
    "less deep": (one_part_less, set()),
    "no JSON": (no_json, {"dandi-cannot-open"}),
    "empty": (empty, {"dandi-empty-group"}),
    "seemingly empty": (seemingly_empty, {"dandi-empty-group"}),
    "no codec": (
        lambda path: changed(path, DATA, compressor={"id": "flac", "level": 5}),
        {"dandi-cannot-open"},
    ),
    "our codec": (
        lambda path: changed(path, DATA, compressor={"id": "hdmf_zarr.lzf"}),
        {"dandi-cannot-open"},
    ),
    "no data type": (lambda path: changed(path, DATA, dtype="<f16"), {"dandi-cannot-open"}),
    "one byte in an order": (lambda path: changed(path, DATA, dtype=">u1"), {"dandi-cannot-open"}),
    "fill value": (lambda path: changed(path, DATA, fill_value="text"), {"dandi-cannot-open"}),
    "separator": (
        lambda path: changed(path, DATA, dimension_separator=None),
        {"dandi-cannot-open"},
    ),
    "format 3": (format3, {"dandi-tensorstore"}),
    "numbers of format 3": (arrays_of_format3, set()),
    "NaN": (nan_in_attributes, {"dandi-tensorstore"}),
    "NaN in a group": (nan_in_a_group, set()),
    "no shape": (
        lambda path: document_of(path, "bool", lambda found: found.pop("shape")),
        {"dandi-tensorstore"},
    ),
    "a codec of format 3": (
        lambda path: document_of(
            path, "bool", lambda found: found["codecs"].append({"name": "numcodecs.lz4"})
        ),
        {"dandi-tensorstore"},
    ),
    "an unknown key": (
        lambda path: document_of(path, "bool", lambda found: found.update(extension={"a": 1})),
        {"dandi-tensorstore"},
    ),
    "no node type": (
        lambda path: document_of(path, "bool", lambda found: found.pop("node_type")),
        {"dandi-zarr-json"},
    ),
    "a broken document": (broken_document, {"dandi-zarr-json"}),
}


def codes(report: Any) -> set[str]:
    return {finding.code for finding in report.findings} & CODES


def places(report: Any) -> set[tuple[str, str]]:
    return {(found.code, found.path) for found in report.findings if found.code in CODES}


@pytest.fixture
def packages() -> None:
    pytest.importorskip("nwbinspector")
    pytest.importorskip("zarr_checksum")


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("name", FAULTS)
def test_the_rules_find_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "dandiset.yaml").write_text("identifier: DANDI:000123\n")
    make, expected = FAULTS[name]
    make(tmp_path / "a.nwb.zarr")
    report = check(tmp_path / "a.nwb.zarr", fast=True, dandi=True)
    assert codes(report) == expected
    assert "no program 'dandi'" in report.archive["validated_by"]
    assert not expected or not report.is_clean


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("name", FAULTS)
def test_the_program_finds_the_same(
    name: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dandiset.yaml").write_text("identifier: DANDI:000123\n")
    make, expected = FAULTS[name]
    path = tmp_path / "a.nwb.zarr"
    make(path)
    monkeypatch.setenv("PATH", "")
    ours = check(path, fast=True, dandi=True)
    monkeypatch.setenv("PATH", str(program.parent))
    theirs = check(path, fast=True, dandi=True)
    assert codes(theirs) == expected == codes(ours)
    if "dandi-tensorstore" in expected:
        assert places(theirs) == places(ours)
    assert theirs.archive["validated_by"].startswith(str(program))


@pytest.mark.usefixtures("packages")
def test_outside_of_a_dandiset_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    for_archive(tmp_path / "a.nwb.zarr")
    assert main(["check", "--dandi", "--quiet", str(tmp_path / "a.nwb.zarr")]) == 0
    said = capsys.readouterr().out
    assert "dandi-no-dandiset" in said
    assert "validated_by the rules of dandi 0.81 (no program 'dandi' is on the PATH)" in said


@pytest.mark.usefixtures("packages")
def test_the_program_says_so_too(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_archive(tmp_path / "a.nwb.zarr")
    monkeypatch.setenv("PATH", str(program.parent))
    report = check(tmp_path / "a.nwb.zarr", dandi=True)
    assert codes(report) == {"dandi-no-dandiset"}
    assert report.is_clean


@pytest.mark.usefixtures("packages")
@pytest.mark.skipif(os.name == "nt", reason="a script of the shell")
@pytest.mark.parametrize("said", ["exit 3", "echo no JSON; exit 1", "echo '[1]'"])
def test_a_program_that_fails_is_a_finding(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dandi").write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / "bin" / "dandi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    format2(tmp_path / "a.nwb.zarr")
    report = check(tmp_path / "a.nwb.zarr", fast=True, dandi=True)
    assert {"dandi-program", "dandi-cannot-open"} <= {found.code for found in report.findings}
    assert report.archive["validated_by"].startswith("the rules of dandi 0.81")


def test_severities_are_ours() -> None:
    assert set(SEVERITIES.values()) == {"error", "warning"}
