"""The fill value of a new array is that of its source, where it can say it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from hdmf_zarr.core.dtypes import ASCII, BYTES, TEXT, ElementType, element_type_from_numpy
from hdmf_zarr.hdf5 import HDF5Source
from hdmf_zarr.hdf5.raw import RawChunks
from hdmf_zarr.write.chunks.sources import EmptySource, MemorySource, RawSource, ZarrSource
from hdmf_zarr.write.planning.element_storage import storage_of_format
from hdmf_zarr.write.planning.fill_values import fill_value_for
from tests.unit.conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))


def fill_value(source: Any, zarr_format: int = 3, **widths: int) -> Any:
    return fill_value_for(
        source, storage_of_format(zarr_format).stored_type(source.element, widths)
    )


def hdf5_source(tmp_path: Path, **options: Any) -> HDF5Source:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", **options)
    dataset = h5py.File(tmp_path / "a.h5", "r")["x"]
    return HDF5Source(dataset, str)


def test_memory_has_no_fill_value_of_its_own() -> None:
    assert fill_value(MemorySource(np.ones(3, "<i2"), INT16)) == 0
    assert fill_value(MemorySource(np.array(["a"], object), TEXT)) == ""
    assert fill_value(EmptySource((3,), BYTES)) == b""


@pytest.mark.parametrize("value", [0, 7, -1])
def test_numbers_of_hdf5_keep_theirs(tmp_path: Path, value: int) -> None:
    found = fill_value(hdf5_source(tmp_path, shape=(3,), dtype="<i2", fillvalue=value))
    assert found == value
    assert found.dtype == np.dtype("<i2")


def test_a_nan_of_hdf5_is_kept(tmp_path: Path) -> None:
    assert np.isnan(fill_value(hdf5_source(tmp_path, shape=(3,), dtype="<f8", fillvalue=np.nan)))


@pytest.mark.parametrize(("given", "found"), [("n/a", "n/a"), ("", ""), ("ü", "ü")])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_text_of_hdf5_keeps_its(tmp_path: Path, given: str, found: str, zarr_format: int) -> None:
    source = hdf5_source(tmp_path, shape=(3,), dtype=h5py.string_dtype(), fillvalue=given)
    assert source.element == TEXT
    assert fill_value(source, zarr_format) == found


def test_ascii_text_of_hdf5_is_bytes_where_the_format_stores_bytes(tmp_path: Path) -> None:
    source = hdf5_source(tmp_path, shape=(3,), dtype=h5py.string_dtype("ascii"), fillvalue=b"n/a")
    assert source.element == ASCII
    assert fill_value(source, 2) == b"n/a"
    assert fill_value(source, 3) == "n/a"


def test_fixed_bytes_of_hdf5_keep_theirs(tmp_path: Path) -> None:
    assert fill_value(hdf5_source(tmp_path, shape=(3,), dtype="S3", fillvalue=b"ab")) == b"ab"


def test_a_compound_of_numbers_keeps_its(tmp_path: Path) -> None:
    dtype = np.dtype([("n", "<i4"), ("x", "<f8")])
    source = hdf5_source(tmp_path, shape=(3,), dtype=dtype, fillvalue=np.array((4, 0.5), dtype))
    found = fill_value(source)
    assert found.tolist() == (4, 0.5)
    assert found.dtype == dtype


def test_a_nested_compound_has_a_field_for_each_leaf(tmp_path: Path) -> None:
    dtype = np.dtype([("n", "<i4"), ("p", [("x", "<f8"), ("w", "<i2", (2,))])])
    given = np.array((4, (0.5, (1, 2))), dtype)
    found = fill_value(hdf5_source(tmp_path, shape=(3,), dtype=dtype, fillvalue=given))
    assert found.dtype.names == ("n", "p.x", "p.w[0]", "p.w[1]")
    assert found.tolist() == (4, 0.5, 1, 2)


def test_a_compound_with_text_has_none(tmp_path: Path) -> None:
    dtype = np.dtype([("n", "<i4"), ("t", h5py.string_dtype())])
    assert fill_value(hdf5_source(tmp_path, shape=(3,), dtype=dtype), t=3).tolist() == (0, "")


def test_references_have_none(tmp_path: Path) -> None:
    assert fill_value(hdf5_source(tmp_path, shape=(3,), dtype=h5py.ref_dtype)) == ""


@pytest.mark.parametrize("given", [None, 0, 5])
def test_chunks_that_move_keep_theirs(tmp_path: Path, given: int | None) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", (4,), "<i2", chunks=(2,), fillvalue=given)
        source = RawSource(RawChunks(dataset), element_type_from_numpy(dataset.dtype))
        assert fill_value(source) == (given or 0)


def test_chunks_without_one_get_zero() -> None:
    chunks: Any = SimpleNamespace(fill_value=None)
    found = fill_value(RawSource(chunks, INT16))
    assert found == 0
    assert found is not None


def test_an_array_of_a_store_keeps_its(make_array: MakeArray) -> None:
    array = make_array(np.arange(6, dtype="<i2"), INT16)
    document = array.hierarchy.documents["group/data"]
    array.hierarchy.set_document("group/data", {**document, "fill_value": 9})
    from tests.unit.conftest import reopened

    assert fill_value(ZarrSource(reopened(array), str)) == 9
