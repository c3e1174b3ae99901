"""HDF5 files that HDMF's own reader cannot read: the error names the file, the object and what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import DtypeError, MetadataError, NoDataError
from tests.integration.test_odd_input import make_file


def null_space(group: h5py.Group) -> None:
    group.create_dataset("bad", data=h5py.Empty("f8"))


def committed_type(group: h5py.Group) -> None:
    group["bad"] = np.dtype([("a", "i4")])


def region_reference(group: h5py.Group) -> None:
    target = group.create_dataset("target", data=np.arange(5))
    group.create_dataset("bad", data=target.regionref[1:3], dtype=h5py.regionref_dtype)


def region_references(group: h5py.Group) -> None:
    target = group.create_dataset("target", data=np.arange(5))
    regions = group.create_dataset("bad", (2,), h5py.regionref_dtype)
    regions[:] = [target.regionref[1:3], target.regionref[0:1]]


def lists_of_numbers(group: h5py.Group) -> None:
    lists = group.create_dataset("bad", (2,), h5py.vlen_dtype("i4"))
    lists[0], lists[1] = [1, 2, 3], [4]


UNREADABLE: dict[Callable[[h5py.Group], None], tuple[type[Exception], str]] = {
    null_space: (MetadataError, "null dataspace"),
    committed_type: (MetadataError, "committed data type"),
    region_reference: (MetadataError, "region references"),
    region_references: (DtypeError, "region references"),
    lists_of_numbers: (DtypeError, "variable length, of int32"),
}


@pytest.fixture(params=UNREADABLE, ids=lambda make: make.__name__)
def unreadable(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any, str]:
    path = tmp_path / "source.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(make_file(t=np.arange(3.0)))
    with h5py.File(path, "a") as file:
        request.param(file["analysis"].create_group("odd"))
    return (path, *UNREADABLE[request.param])


def test_conversion_names_the_object(
    tmp_path: Path, unreadable: tuple[Path, Any, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, kind, what = unreadable
    with pytest.raises(kind, match=what) as caught:
        convert(path, tmp_path / "a.zarr")
    assert "/analysis/odd/bad" in str(caught.value)
    assert main(["convert", "--quiet", str(path), str(tmp_path / "a.zarr")]) == 1
    message = capsys.readouterr().err
    assert "/analysis/odd/bad" in message
    assert what in message
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["source.nwb"]


def test_export_names_the_object(tmp_path: Path, unreadable: tuple[Path, Any, str]) -> None:
    path, kind, what = unreadable
    with (
        NWBHDF5IO(path, "r") as io,
        NWBZarrIO(tmp_path / "a.zarr", "w") as out,
        pytest.raises(kind, match=what) as caught,
    ):
        out.export(io, write_args={"link_data": False})
    assert "/analysis/odd/bad" in str(caught.value)


@pytest.mark.parametrize("text", ["NWB-1.0.6", b"NWB-1.0.5_beta", "1.0.6"])
@pytest.mark.parametrize("place", ["dataset", "array", "attribute"])
def test_a_file_of_nwb_1_is_called_so(tmp_path: Path, text: Any, place: str) -> None:
    path = tmp_path / "old.nwb"
    with h5py.File(path, "w") as file:
        file.create_dataset("session_description", data="old")
        if place == "attribute":
            file.attrs["nwb_version"] = text
        else:
            file.create_dataset("nwb_version", data=[text] if place == "array" else text)
    with pytest.raises(NoDataError, match=r"NWB 1 \(.*write it as NWB 2"):
        convert(path, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_a_dataset_of_that_name_is_no_version(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        file["nwb_version"] = np.arange(3)
    convert(path, tmp_path / "a.zarr")
