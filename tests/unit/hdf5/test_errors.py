"""Errors of reading an HDF5 file become one that names the file, the object, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager, TypeMap
from hdmf.spec import NamespaceCatalog

from hdmf_zarr.errors import EncodingError, MetadataError, NotAStoreError
from hdmf_zarr.hdf5.errors import _advice, reading, root_attribute, version_in_root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.nwb"


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("odd"), KeyError("odd"), OSError("odd"), TypeError("odd")]
)
def test_any_error_becomes_one_that_names_the_file(error: Exception) -> None:
    with pytest.raises(MetadataError) as caught, reading("/data/a.nwb"):
        raise error
    name = type(error).__name__
    assert str(caught.value) == (
        f"/data/a.nwb cannot be read ({name}: {error}); the file is damaged, or holds what HDMF does "
        "not know"
    )
    assert caught.value.__cause__ is error


def test_errors_of_ours_and_of_the_system_pass() -> None:
    ours = EncodingError("ours")
    with pytest.raises(EncodingError) as caught, reading("/data/a.nwb"):
        raise ours
    assert caught.value is ours
    system = PermissionError(errno.EACCES, "no permission")
    with pytest.raises(PermissionError) as refused, reading("/data/a.nwb"):
        raise system
    assert refused.value is system
    with pytest.raises(KeyboardInterrupt), reading("/data/a.nwb"):
        raise KeyboardInterrupt
    with reading("/data/a.nwb"):
        pass


def test_text_that_is_none_is_looked_for(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("fine", data="a")
        file.create_dataset("g/numbers", data=[1])
        file.create_dataset("g/odd", data=b"\xff", dtype=h5py.string_dtype())
        message = rf"{path}:/g/odd cannot be read \(UnicodeDecodeError"
        with pytest.raises(MetadataError, match=message), reading(str(path), file):
            b"\xff".decode()
        del file["g/odd"]
        with (
            pytest.raises(MetadataError, match=rf"{path} cannot be read"),
            reading(str(path), file),
        ):
            b"\xff".decode()


# -- what is in the way ----------------------------------------------------------------------------


def void(file: h5py.File) -> None:
    file["g/x"] = np.zeros(2, "V3")


def null(file: h5py.File) -> None:
    file.create_dataset("g/x", dtype="f4")


def region(file: h5py.File) -> None:
    file["g/y"] = [1]
    file.create_dataset("g/x", data=file["g/y"].regionref[:], dtype=h5py.regionref_dtype)


def subarray(file: h5py.File) -> None:
    file.create_dataset("g/x", (2,), np.dtype(("f4", (3,))))


def reference(file: h5py.File) -> None:
    file.create_dataset("g/x", data=h5py.Reference(), dtype=h5py.ref_dtype)


def empty_text(file: h5py.File) -> None:
    file.create_dataset("g/x", (3, 0), h5py.string_dtype())


def attribute(file: h5py.File) -> None:
    file["g/x"] = [1]
    file["g/x"].attrs.create("bad", h5py.Reference(), dtype=h5py.ref_dtype)


def committed(file: h5py.File) -> None:
    file["g/x"] = np.dtype("i4")


def plain(file: h5py.File) -> None:
    file["g/x"] = [1]


def group(file: h5py.File) -> None:
    file.create_group("g/x")


@pytest.mark.parametrize(
    ("fill", "advice"),
    [
        (void, "it holds opaque bytes, which HDMF cannot read"),
        (null, "it has a type and no elements (a null dataspace)"),
        (region, "it holds region references"),
        (subarray, "each of its elements is an array (H5T_ARRAY)"),
        (reference, "it is a reference to nothing"),
        (empty_text, "it has text or references, and no element behind its first dimension"),
        (attribute, "its attribute 'bad' is a reference to nothing"),
        (committed, "it is a committed data type"),
        (plain, "the file is damaged, or holds what HDMF does not know"),
        (group, "the file is damaged, or holds what HDMF does not know"),
    ],
)
def test_what_is_in_the_way_is_said(path: Path, fill: Any, advice: str) -> None:
    with h5py.File(path, "w") as file:
        fill(file)
        assert _advice(file["g/x"]).startswith(advice)


@pytest.mark.parametrize("fill", [reference, attribute])
def test_the_object_that_hdmf_was_reading_is_named(path: Path, fill: Any) -> None:
    with h5py.File(path, "w") as file:
        fill(file)
    manager = BuildManager(TypeMap(NamespaceCatalog()))
    with HDF5IO(str(path), mode="r", manager=manager) as io:
        with pytest.raises(MetadataError, match=f"{path}:/g/x cannot be read"), reading(str(path)):
            io.read_builder()


# -- the root --------------------------------------------------------------------------------------


def test_an_attribute_of_the_root_is_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["a"] = "text"
    assert root_attribute(str(path), "a") == "text"
    assert root_attribute(str(path), "b") is None


@pytest.mark.parametrize(
    ("attribute_", "dataset", "version"),
    [
        ("2.8.0", None, "2.8.0"),
        (None, "NWB-1.0.6", b"NWB-1.0.6"),
        (None, ["NWB-1.0.6"], b"NWB-1.0.6"),
        ("2.8.0", ["a", "b"], "2.8.0"),
        ("2.8.0", "NWB-1.0.6", b"NWB-1.0.6"),
        (None, None, None),
    ],
)
def test_the_version_is_an_attribute_or_a_dataset(
    path: Path, attribute_: Any, dataset: Any, version: Any
) -> None:
    with h5py.File(path, "w") as file:
        if attribute_ is not None:
            file.attrs["nwb_version"] = attribute_
        if dataset is not None:
            file["nwb_version"] = dataset
    assert version_in_root(str(path)) == version


def test_a_group_in_its_place_is_no_version(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("nwb_version")
    assert version_in_root(str(path)) is None


def test_a_damaged_file_is_no_store(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(1000)
    path.write_bytes(path.read_bytes()[:200])
    for read in (version_in_root, lambda name: root_attribute(name, "a")):
        with pytest.raises(NotAStoreError, match=f"{path} is a damaged HDF5 file: "):
            read(str(path))
    with pytest.raises(FileNotFoundError):
        version_in_root(str(path) + ".gone")
