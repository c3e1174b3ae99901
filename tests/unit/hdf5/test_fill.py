"""What HDF5 says of a fill value besides the value, read and given to a new dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hdmf_zarr.hdf5.fill import creation_options, fill_settings

TEXT = h5py.string_dtype()
UNDEFINED = {"value": "undefined"}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        yield made


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({"fillvalue": 7}, {}),
        ({"fillvalue": 0}, {"value": "given"}),
        ({"fillvalue": 0.0, "dtype": "f8"}, {"value": "given"}),
        ({"fillvalue": -0.0, "dtype": "f8"}, {}),
        ({"fill_time": "never"}, {"time": "never"}),
        ({"fill_time": "alloc"}, {"time": "alloc"}),
        ({"fill_time": "ifset"}, {}),
        ({"fillvalue": 0, "fill_time": "alloc"}, {"value": "given", "time": "alloc"}),
        ({"fillvalue": 7, "fill_time": "never"}, {"value": "given", "time": "never"}),
        ({"fillvalue": "", "dtype": TEXT, "fill_time": "ifset"}, {"value": "given"}),
        ({"fillvalue": "n/a", "dtype": TEXT, "fill_time": "ifset"}, {}),
        ({"dtype": h5py.ref_dtype}, {}),
    ],
)
def test_the_settings_of_a_dataset(
    file: h5py.File, options: dict[str, Any], settings: dict[str, str]
) -> None:
    dataset = file.create_dataset("x", shape=(4,), **{"dtype": "i2", **options})
    assert fill_settings(dataset) == settings


def test_a_fill_value_may_be_undefined(file: h5py.File) -> None:
    dataset = file.create_dataset("x", (4,), "i2", **creation_options(UNDEFINED, np.dtype("i2")))
    assert fill_settings(dataset) == UNDEFINED
    dataset[...] = 3
    assert dataset[...].tolist() == [3] * 4


@pytest.mark.parametrize("chunks", [None, (2,)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"time": "never"},
        {"time": "alloc"},
        {"value": "undefined"},
        {"value": "undefined", "time": "never"},
    ],
)
def test_a_new_dataset_has_the_settings_of_the_old_one(
    file: h5py.File, settings: dict[str, str], chunks: Any
) -> None:
    options = creation_options(settings, np.dtype("i2"))
    dataset = file.create_dataset("x", (4,), "i2", chunks=chunks, **options)
    assert fill_settings(dataset) == settings
    # What one dataset was given is not that of the next one.
    assert fill_settings(file.create_dataset("y", (4,), "i2")) == {}


def test_what_one_dataset_was_given_is_not_that_of_the_next(file: h5py.File) -> None:
    more = {**UNDEFINED, "time": "never"}
    first = creation_options(more, np.dtype("i2"))
    file.create_dataset("x", (4,), "i2", chunks=(2,), compression="gzip", **first)
    second = creation_options(UNDEFINED, np.dtype("i2"))
    dataset = file.create_dataset("y", (4,), "i2", **second)
    assert (fill_settings(dataset), dataset.chunks) == (UNDEFINED, None)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"time": "never"}, {}),
        ({"time": "alloc"}, {"fill_time": "alloc"}),
        ({"value": "given"}, {}),
        ({}, {}),
    ],
)
def test_text_is_always_filled(settings: dict[str, str], options: dict[str, Any]) -> None:
    assert creation_options(settings, np.dtype(object)) == options


def test_an_undefined_value_is_not_written_when_space_is_allocated() -> None:
    found = creation_options({"value": "undefined", "time": "alloc"}, np.dtype("i2"))
    assert set(found) == {"dcpl"}
