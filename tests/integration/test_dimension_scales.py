"""Dimension scales of HDF5, as every netCDF-4 file has them: kept in Zarr, and scales again in HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.conversion import convert
from hdmf_zarr.transfer.upgrading import upgrade
from tests.integration.test_odd_input import make_file

NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.         4"


def make_source(path: Path) -> Path:
    """Write an HDF5 file with scales as h5py and netCDF-4 make them."""
    with h5py.File(path, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        group = file.create_group("grid")
        group["x"] = np.arange(3.0)
        group["x"].make_scale("longitude")
        group["y"] = np.zeros(4, "f4")
        group["y"].make_scale(NO_VARIABLE)
        group["y"].attrs["_Netcdf4Dimid"] = np.int32(1)
        group["values"] = np.arange(24.0).reshape(3, 4, 2)
        group["values"].dims[0].attach_scale(group["x"])
        group["values"].dims[1].attach_scale(group["y"])
        group["values"].dims[0].label = "lon"
        group["more"] = np.arange(3)
        group["more"].dims[0].attach_scale(group["x"])
        group["free"] = np.arange(4)
        no_scales = np.empty(1, h5py.vlen_dtype(h5py.ref_dtype))
        no_scales[0] = np.empty(0, h5py.ref_dtype)
        group["free"].attrs["DIMENSION_LIST"] = no_scales
    return path


def scales_of(path: Path) -> dict[str, Any]:
    """Describe the scales of a file as the HDF5 library sees them."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        for name, dataset in file["grid"].items():
            attributes = dataset.attrs
            users = [
                (file[row["dataset"]].name, int(row["dimension"]))
                for row in attributes.get("REFERENCE_LIST", ())
            ]
            found[name] = {
                "values": dataset[()].tolist(),
                "is_scale": h5py.h5ds.is_scale(dataset.id),
                "name": attributes.get("NAME"),
                "dimid": attributes.get("_Netcdf4Dimid"),
                "scales": [[scale.name for scale in dim.values()] for dim in dataset.dims],
                "labels": [dim.label for dim in dataset.dims],
                "attributes": sorted(attributes),
                "users": sorted(users),
            }
    return found


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_scales_come_back_to_hdf5(tmp_path: Path, zarr_format: int) -> None:
    source = make_source(tmp_path / "source.h5")
    store, copy, back = (tmp_path / name for name in ("a.zarr", "b.zarr", "back.h5"))
    convert(source, store, zarr_format=zarr_format)
    convert(store, copy)  # from one Zarr format to another
    for each in (store, copy):
        assert not [one for one in check(each).findings if one.severity != "note"]
        convert(each, back, overwrite=True)
        assert scales_of(back) == scales_of(source)
    if zarr_format == 2:
        upgrade(store, tmp_path / "upgraded.zarr")
        convert(tmp_path / "upgraded.zarr", back, overwrite=True)
        assert scales_of(back) == scales_of(source)


def test_reader_gives_builders_for_the_references(tmp_path: Path) -> None:
    convert(make_source(tmp_path / "source.h5"), tmp_path / "a.zarr")
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        grid = io.read_builder().groups["grid"].datasets
        attributes = grid["values"].attributes
        x, y = attributes["DIMENSION_LIST"][0][0], attributes["DIMENSION_LIST"][1][0]
        assert (x, y) == (grid["x"], grid["y"])
        assert x is grid["x"]
        assert attributes["DIMENSION_LIST"][2] == []
        users = grid["x"].attributes["REFERENCE_LIST"]
        assert [(row["dataset"].name, row["dimension"]) for row in users] == [
            ("values", 0),
            ("more", 0),
        ]


def test_scales_name_dimensions_that_have_no_other_name(tmp_path: Path) -> None:
    convert(make_source(tmp_path / "source.h5"), tmp_path / "a.zarr")
    grid = zarr.open_group(tmp_path / "a.zarr", mode="r")["grid"]
    names = {name: array.metadata.dimension_names for name, array in grid.arrays()}
    assert names == {
        "x": ("longitude",),
        "y": ("y",),
        "values": ("longitude", "y", "values_dim_2"),
        "more": ("longitude",),
        "free": ("free_dim_0",),
    }


def test_names_of_the_specification_win(tmp_path: Path) -> None:
    source, store = tmp_path / "source.nwb", tmp_path / "a.nwb.zarr"
    with NWBHDF5IO(source, "w") as io:
        io.write(make_file(t=np.arange(5.0)))
    with h5py.File(source, "a") as file:
        group = file["acquisition/t"]
        group["scale"] = np.arange(5.0)
        group["scale"].make_scale("length")
        group["data"].dims[0].attach_scale(group["scale"])
    with NWBHDF5IO(source, "r") as io, NWBZarrIO(store, "w") as out:
        out.export(io, write_args={"link_data": False})
    arrays = zarr.open_group(store, mode="r")["acquisition/t"]
    assert arrays["data"].metadata.dimension_names == ("num_times",)
    assert arrays["scale"].metadata.dimension_names == ("length",)
    with NWBZarrIO(store, "r") as io:
        assert io.read().acquisition["t"].data[:].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_scale_that_is_gone_is_left_out_with_a_warning(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.h5")
    with h5py.File(source, "a") as file:
        del file["grid/x"]
    with pytest.warns(BrokenLinkWarning, match="DIMENSION_LIST"):
        convert(source, tmp_path / "a.zarr")
    convert(tmp_path / "a.zarr", tmp_path / "back.h5")
    expected, found = (scales_of(path)["values"] for path in (source, tmp_path / "back.h5"))
    assert found["scales"] == [[], ["/grid/y"], []]
    assert found["values"] == expected["values"]


@pytest.mark.parametrize("value", ["text", [1, 2], [{"dataset": 5, "dimension": 0}]])
def test_other_attributes_of_these_names_stay(tmp_path: Path, value: Any) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
    names = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS")
    array = group.create_array("x", data=np.arange(3))
    array.attrs.update(dict.fromkeys(names, value))
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        attributes = io.read_builder().datasets["x"].attributes
        for name in names:
            found = attributes[name]
            assert (found.tolist() if isinstance(found, np.ndarray) else found) == value


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_scales_stay_through_appends_copies_and_upgrades(tmp_path: Path, zarr_format: int) -> None:
    source, store = make_source(tmp_path / "source.h5"), tmp_path / "a.zarr"
    expected = scales_of(source)
    convert(source, store, zarr_format=zarr_format)
    with ZarrIO(store, "r+") as io:
        root = io.read_builder()
        root.set_dataset(DatasetBuilder("new", np.arange(3)))
        io.write_builder(root)
    convert(store, tmp_path / "copy.zarr", zarr_format=5 - zarr_format)
    if zarr_format == 2:
        upgrade(store)
    for number, each in enumerate((store, tmp_path / "copy.zarr")):
        assert [one for one in check(each).findings if one.severity != "note"] == []
        convert(each, tmp_path / f"{number}.h5")
        assert scales_of(tmp_path / f"{number}.h5") == expected


def test_xarray_opens_what_has_scales(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    convert(make_source(tmp_path / "source.h5"), tmp_path / "a.zarr")
    with xarray.open_zarr(tmp_path / "a.zarr", group="grid", consolidated=False) as found:
        assert found["values"].dims == ("longitude", "y", "values_dim_2")
        with h5py.File(tmp_path / "source.h5") as file:
            assert np.array_equal(found["values"].values, file["grid/values"][:])
