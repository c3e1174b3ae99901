"""Names of an HDF5 file that HDF5IO loses are found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager, TypeMap
from hdmf.spec import NamespaceCatalog

from hdmf_zarr.hdf5.hard_links import ChildNames, lost_names


def found(path: Path) -> tuple[ChildNames, Any]:
    manager = BuildManager(TypeMap(NamespaceCatalog()))
    with HDF5IO(str(path), mode="r", manager=manager) as io:
        root = io.read_builder()
        return lost_names(io, root), root


def added(names: ChildNames) -> dict[str, list[tuple[str, str]]]:
    return {
        path: [(link.name, link.builder.name) for link in links]
        for path, links in names.added.items()
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("g").create_dataset("data", data=[1, 2])
    return tmp_path / "a.h5"


def test_a_plain_file_loses_no_name(path: Path) -> None:
    assert found(path)[0] == ChildNames()


def test_a_second_name_of_a_dataset_is_found(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["g/other"] = file["g/data"]
        file.create_group("h")["third"] = file["g/data"]
    names, root = found(path)
    assert added(names) == {"g": [("other", "data")], "h": [("third", "data")]}
    (link,) = names.added["h"]
    assert link.builder is root["g/data"]
    assert link.source == str(path)
    # HDF5IO calls it "data" in these groups, too.
    assert ("h", "data") in names.absent


def test_a_link_is_called_by_its_own_name(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["soft"] = h5py.SoftLink("/g/data")
    names, root = found(path)
    assert "soft" in {*root.links, *(name for name, _ in added(names).get("", []))}


def test_a_link_to_nothing_is_no_name(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["gone"] = h5py.SoftLink("/nothing")
        file["away"] = h5py.ExternalLink("nothing.h5", "/x")
    import warnings

    with warnings.catch_warnings(action="ignore"):
        names, _ = found(path)
    assert added(names) == {}


def test_groups_in_a_circle_are_looked_at_once(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["g"].create_group("inner")
        file["h"] = file["g/inner"]
    names, _ = found(path)
    assert sum(len(links) for links in names.added.values()) == 1


def test_nothing_is_lost_by_default() -> None:
    assert (ChildNames().added, ChildNames().absent) == ({}, frozenset())
