"""Dimension scales: read as attributes, and made again in a new file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hdmf_zarr.hdf5.scales import make_scale, scale_list, scale_names, stored_list, target_of

LIST, RECORDS = "DIMENSION_LIST", "REFERENCE_LIST"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    """A file with ``data``, of whose dimensions the second has two scales."""
    with h5py.File(tmp_path / "a.h5", "w") as made:
        data = made.create_dataset("data", data=np.zeros((3, 4)))
        for name, title in (("depth", "depth of the probe"), ("time", "")):
            made.create_dataset(name, data=np.arange(4)).make_scale(title)
            data.dims[1].attach_scale(made[name])
        yield made


# -- reading ---------------------------------------------------------------------------------------


def test_the_scales_of_each_dimension_are_listed(file: h5py.File) -> None:
    found = scale_list(LIST, file["data"].attrs[LIST])
    assert found is not None
    assert [[file[one].name for one in row] for row in found] == [[], ["/depth", "/time"]]


def test_a_scale_tells_where_it_is_attached(file: h5py.File) -> None:
    found = scale_list(RECORDS, file["depth"].attrs[RECORDS])
    assert found is not None
    ((record),) = found
    assert file[record["dataset"]].name == "/data"
    assert (type(record["dimension"]), record["dimension"]) == (int, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (LIST, None),
        (LIST, "text"),
        (LIST, [[1]]),
        (LIST, np.array([1, 2])),
        (LIST, np.zeros((2, 2), h5py.vlen_dtype(h5py.ref_dtype))),
        (LIST, np.zeros(2, h5py.vlen_dtype("i4"))),
        (LIST, np.zeros(2, h5py.ref_dtype)),
        (LIST, np.zeros(2, h5py.vlen_dtype(h5py.regionref_dtype))),
        (RECORDS, np.zeros(2, [("dataset", "i4"), ("dimension", "i4")])),
        (RECORDS, np.zeros(2, [("dataset", h5py.ref_dtype), ("other", "i4")])),
        (RECORDS, np.zeros(2, h5py.vlen_dtype(h5py.ref_dtype))),
        ("other", np.zeros(2, h5py.vlen_dtype(h5py.ref_dtype))),
    ],
)
def test_any_other_attribute_is_none(name: str, value: Any) -> None:
    assert scale_list(name, value) is None


def test_a_dimension_is_called_as_its_first_scale(file: h5py.File) -> None:
    assert scale_names(file["data"]) == (None, "depth of the probe")
    assert scale_names(file["depth"]) == ("depth of the probe",)
    # Without a title it is called as the dataset.
    assert scale_names(file["time"]) == ("time",)
    assert scale_names(file.create_dataset("other", data=[1])) == ()


def test_the_placeholder_of_netcdf_is_no_name(file: h5py.File) -> None:
    text = "This is a netCDF dimension but not a netCDF variable         4"
    file.create_dataset("rows", data=[1]).make_scale(text)
    assert scale_names(file["rows"]) == ("rows",)


def test_a_scale_of_two_dimensions_names_none(file: h5py.File) -> None:
    file.create_dataset("grid", data=np.zeros((2, 2))).make_scale("grid")
    assert scale_names(file["grid"]) == ()


def test_a_scale_that_was_removed_has_no_name(file: h5py.File) -> None:
    del file["depth"]
    assert scale_names(file["data"]) == (None, None)


def test_a_reference_leads_to_an_object_that_is_there(file: h5py.File) -> None:
    reference = file["depth"].ref
    assert target_of(reference, file) == file["depth"]
    assert target_of(reference, None) is None
    assert target_of(h5py.Reference(), file) is None
    del file["depth"]
    assert target_of(reference, file) is None


# -- writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "done"),
    [
        ({"CLASS": "DIMENSION_SCALE", "NAME": "a title"}, {"CLASS", "NAME"}),
        ({"CLASS": b"DIMENSION_SCALE", "NAME": [b"a title"]}, {"CLASS", "NAME"}),
        ({"CLASS": "DIMENSION_SCALE"}, {"CLASS"}),
        ({"CLASS": "IMAGE", "NAME": "a title"}, set()),
        ({"NAME": "a title"}, set()),
        ({}, set()),
    ],
)
def test_a_dataset_is_made_a_scale_where_its_attributes_say_so(
    file: h5py.File, attributes: dict[str, Any], done: set[str]
) -> None:
    dataset = file.create_dataset("new", data=[1])
    assert make_scale(dataset, attributes) == done
    assert dataset.is_scale is ("CLASS" in done)
    assert set(dataset.attrs) == done
    if "NAME" in done:
        assert dataset.attrs["NAME"] == b"a title"


def test_a_group_is_no_scale(file: h5py.File) -> None:
    assert make_scale(file.create_group("g"), {"CLASS": "DIMENSION_SCALE"}) == frozenset()


def test_lists_and_records_are_stored_as_they_were_read(file: h5py.File) -> None:
    for path, name in (("data", LIST), ("depth", RECORDS)):
        found = scale_list(name, file[path].attrs[name])
        assert found is not None
        stored = stored_list(found, lambda reference: reference)
        file.attrs[name] = stored
        again = scale_list(name, file.attrs[name])
        assert repr(again and [_names(file, row) for row in again]) == repr(
            [_names(file, row) for row in found]
        )
    assert stored_list([], str).shape == (0,)


def _names(file: h5py.File, row: Any) -> Any:
    if isinstance(row, list):
        return [file[one].name for one in row]
    return file[row["dataset"]].name, row["dimension"]
