"""Cached specifications as other tools leave them: beside the consolidated metadata, or declared twice."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.specifications import load_cached_namespaces, read_specifications
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transfer.upgrading import upgrade
from tests.conftest import nwb_catalog
from tests.integration.test_odd_input import make_file

OLD = "2.0.0"


def specifications_of(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    hierarchy = Hierarchy.load(
        open_bytestore(locate(str(path)), read_only=True), consolidated=False
    )
    return read_specifications(hierarchy)


def consolidated(path: Path, zarr_format: int) -> tuple[Path, Callable[[Any], dict[str, Any]]]:
    if zarr_format == 2:
        return path / ".zmetadata", lambda document: document["metadata"]
    return path / "zarr.json", lambda document: document["consolidated_metadata"]["metadata"]


@pytest.fixture(params=[2, 3])
def merged(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int, str]:
    """Return a store whose consolidated metadata know an older version of the core alone."""
    path, zarr_format = tmp_path / "merged.nwb.zarr", request.param
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(make_file(t=np.arange(3.0)))
    core = path / "specifications" / "core"
    (new,) = (entry.name for entry in core.iterdir() if entry.is_dir())
    shutil.copytree(core / new, core / OLD)
    file, entries_of = consolidated(path, zarr_format)
    document = json.loads(file.read_text())
    entries = entries_of(document)
    for key in [key for key in entries if f"core/{new}" in key]:
        entries[key.replace(f"core/{new}", f"core/{OLD}")] = entries.pop(key)
    file.write_text(json.dumps(document))
    return path, zarr_format, new


def test_a_copy_has_every_version(merged: tuple[Path, int, str], tmp_path: Path) -> None:
    path, zarr_format, new = merged
    expected = specifications_of(path)
    assert set(expected["core"]) == {OLD, new}
    for each in (2, 3):
        convert(path, tmp_path / f"{each}.nwb.zarr", zarr_format=each)
        assert specifications_of(tmp_path / f"{each}.nwb.zarr") == expected
    convert(path, tmp_path / "back.nwb")
    with h5py.File(tmp_path / "back.nwb") as file:
        assert set(file["specifications/core"]) == {OLD, new}
    with NWBZarrIO(path, "r") as io, NWBZarrIO(tmp_path / "copy.nwb.zarr", "w") as out:
        nwbfile = io.read()
        nwbfile.add_scratch(1.0, name="new", description="an edit")
        out.export(io, nwbfile)
    assert specifications_of(tmp_path / "copy.nwb.zarr") == expected
    if zarr_format == 2:
        upgrade(path)
        assert specifications_of(path) == expected


# -- documents that declare two namespaces ---------------------------------------------------------


@pytest.fixture
def declared_twice(tmp_path: Path) -> Path:
    """Return an HDF5 file in which the document of hdmf-common declares hdmf-experimental, too."""
    path = tmp_path / "matnwb.nwb"
    nwbfile = make_file(t=np.arange(3.0))
    nwbfile.add_trial(start_time=0.0, stop_time=1.0)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    with h5py.File(path, "a") as file:
        cached = file["specifications"]
        documents = {}
        for name in ("hdmf-common", "hdmf-experimental"):
            (version,) = cached[name]
            documents[name] = json.loads(cached[f"{name}/{version}/namespace"][()])["namespaces"]
            if name == "hdmf-common":
                place = f"{name}/{version}/namespace"
        del cached["hdmf-experimental"], cached[place]
        cached[place] = json.dumps({"namespaces": [*itertools.chain(*documents.values())]})
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_second_namespace_without_sources_is_a_warning(
    declared_twice: Path, tmp_path: Path, zarr_format: int
) -> None:
    path = tmp_path / "a.nwb.zarr"
    convert(declared_twice, path, zarr_format=zarr_format)
    (finding,) = [one for one in check(path).findings if one.severity != "note"]
    assert (finding.severity, finding.code) == ("warning", "namespace-without-sources")
    assert "'hdmf-experimental'" in finding.message
    assert main(["check", "--quiet", str(path)]) == 0
    with NWBZarrIO(path, "r", load_namespaces=True) as io:
        assert len(io.read().trials.to_dataframe()) == 1
    convert(path, tmp_path / "back.nwb")
    with NWBHDF5IO(tmp_path / "back.nwb", "r", load_namespaces=True) as io:
        assert len(io.read().trials.to_dataframe()) == 1


def test_the_first_namespace_loads_into_an_empty_catalog(
    declared_twice: Path, tmp_path: Path
) -> None:
    convert(declared_twice, tmp_path / "a.nwb.zarr")
    store = open_bytestore(locate(str(tmp_path / "a.nwb.zarr")), read_only=True)
    catalog = nwb_catalog()
    load_cached_namespaces(Hierarchy.load(store, consolidated=True), catalog)
    assert set(catalog.namespaces) == {"core", "hdmf-common"}
    assert catalog.get_spec("hdmf-common", "DynamicTable")["neurodata_type_def"] == "DynamicTable"


def test_a_namespace_without_its_own_sources_is_an_error(
    declared_twice: Path, tmp_path: Path
) -> None:
    with h5py.File(declared_twice, "a") as file:
        (version,) = file["specifications/hdmf-common"]
        del file[f"specifications/hdmf-common/{version}/table"]
    convert(declared_twice, tmp_path / "a.nwb.zarr")
    found = {one.code: one.message for one in check(tmp_path / "a.nwb.zarr").findings}
    assert found["broken-specification"] == "it has no sources ['table']"
    assert main(["check", "--quiet", str(tmp_path / "a.nwb.zarr")]) == 1


def test_a_specification_that_was_edited_in_its_file_is_read(tmp_path: Path) -> None:
    """The file is text, as that of earlier releases was; the length before it is another one then."""
    path = tmp_path / "edited.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(make_file(t=np.arange(3.0)))
    before = specifications_of(path)
    (version,) = before["core"]
    file = path / "specifications" / "core" / version / "namespace" / "0"
    text = file.read_text(encoding="utf-8")
    assert json.loads(text[8:]) == json.loads(before["core"][version]["namespace"])
    file.write_text(text.replace("author", "written by"), encoding="utf-8")
    found = specifications_of(path)["core"][version]["namespace"]
    assert found.rstrip(" ") == before["core"][version]["namespace"].replace("author", "written by")
    convert(path, tmp_path / "copy.nwb")
    with h5py.File(tmp_path / "copy.nwb") as copy:
        assert "written by" in copy[f"specifications/core/{version}/namespace"][()].decode()
    file.write_text(text.rstrip(" ")[:-40], encoding="utf-8")
    with pytest.raises(ChunkError, match="damaged"):
        specifications_of(path)
