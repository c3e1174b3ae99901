"""Cached specifications are copied as they are, beside those that a file has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hdf5.specifications import read_specifications, write_specifications

CORE = {"core": {"2.8.0": {"nwb.base": '{"a": 1}', "nwb.file": '{"ü": 2}'}}}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        yield made


@pytest.mark.parametrize(
    "specifications",
    [
        {},
        CORE,
        {**CORE, "x": {"1": {"x": "{}"}, "2": {"x": "{}", "y/z": "{}"}}},
        {"x": {"1": {}}},
    ],
)
def test_what_was_written_is_read(file: h5py.File, specifications: Any) -> None:
    write_specifications(file, specifications)
    assert read_specifications(file) == specifications
    assert file[file.attrs[".specloc"]].name == "/specifications"


def test_a_file_without_specifications_has_none(file: h5py.File) -> None:
    assert read_specifications(file) == {}


def test_what_is_there_is_not_replaced(file: h5py.File) -> None:
    write_specifications(file, CORE)
    write_specifications(file, {"core": {"2.8.0": {"nwb.base": "other"}, "3": {"nwb.base": "new"}}})
    assert read_specifications(file) == {"core": {**CORE["core"], "3": {"nwb.base": "new"}}}


@pytest.mark.parametrize("value", ["text", b"text", ["text"], [b"text"]])
def test_text_may_be_alone_in_an_array(file: h5py.File, value: Any) -> None:
    write_specifications(file, {"x": {"1": {}}})
    file["specifications/x/1"].create_dataset("x", data=value)
    assert read_specifications(file) == {"x": {"1": {"x": "text"}}}


@pytest.mark.parametrize("bad", ["dataset in the place of a version", "no text", "location"])
def test_specifications_that_cannot_be_read_are_one_error(file: h5py.File, bad: str) -> None:
    write_specifications(file, CORE)
    if bad == "location":
        del file["specifications"]
    elif bad == "no text":
        file["specifications/core/2.8.0"].create_dataset("x", data=b"\xff")
    else:
        file["specifications"].create_dataset("x", data=3)
    with pytest.raises(MetadataError, match=f"{file.filename}: the cached specifications"):
        read_specifications(file)
