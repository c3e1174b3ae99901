"""What HDF5 datasets have besides their elements: fill values of each kind, and names of enumerations."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.transfer.upgrading import upgrade

COLOURS = {"RED": 0, "GREEN": 1, "NONE": 200}
ENUM = h5py.enum_dtype(COLOURS, "u1")


def new_file(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
    return file


# -- enumerations --------------------------------------------------------------------------------


def make_enums(path: Path) -> Path:
    with new_file(path) as file:
        file.create_dataset("plain", data=np.array([0, 1, 200], "u1"), dtype=ENUM)
        file.create_dataset("chunked", data=np.array([1, 0, 1], "u1"), dtype=ENUM, chunks=(2,))
        file.create_dataset(
            "packed", (300, 2), ENUM, chunks=(100, 2), compression="gzip", fillvalue=200
        )
        file["packed"][:] = 1
        signed = h5py.enum_dtype({"LOW": -(2**40), "HIGH": 2**40}, "<i8")
        file.create_dataset("signed", data=np.array([2**40, -(2**40)]), dtype=signed)
        fields = np.dtype([("colour", ENUM), ("x", "f4")])
        file.create_dataset("record", data=np.array([(1, 2.5), (200, 0)], fields))
        file.create_dataset("flag", data=np.array([True, False]))
        file.create_dataset("number", data=np.array([1, 2], "u1"))
    return path


def enums_of(path: Path) -> dict[str, Any]:
    found = {}
    with h5py.File(path) as file:
        for name, dataset in file.items():
            if not isinstance(dataset, h5py.Dataset):
                continue
            dtype = dataset.dtype["colour"] if dataset.dtype.names else dataset.dtype
            names = h5py.check_enum_dtype(dtype)
            found[name] = (dataset.dtype, names, dataset[()].tolist())
    return found


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_names_of_enumerations_come_back_to_hdf5(tmp_path: Path, zarr_format: int) -> None:
    source = make_enums(tmp_path / "source.h5")
    store, copy, back = (tmp_path / name for name in ("a.zarr", "b.zarr", "back.h5"))
    convert(source, store, zarr_format=zarr_format)
    convert(store, copy, zarr_format=5 - zarr_format)
    for each in (store, copy):
        convert(each, back, overwrite=True)
        assert enums_of(back) == enums_of(source)
        with h5py.File(back) as file:
            assert file["packed"].fillvalue == 200
    if zarr_format == 2:
        upgrade(store, tmp_path / "upgraded.zarr")
        convert(tmp_path / "upgraded.zarr", back, overwrite=True)
        assert enums_of(back) == enums_of(source)


def test_names_of_an_enumeration_are_no_attribute_of_the_user(tmp_path: Path) -> None:
    convert(make_enums(tmp_path / "source.h5"), tmp_path / "a.zarr")
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        builder = io.read_builder().datasets["plain"]
        assert builder.attributes == {}
        assert builder.data[:].tolist() == [0, 1, 200]
        assert builder.data.dtype == np.uint8


def test_names_stay_where_rows_are_appended(tmp_path: Path) -> None:
    convert(make_enums(tmp_path / "source.h5"), tmp_path / "a.zarr")
    with ZarrIO(tmp_path / "a.zarr", "a") as io:
        io.read_builder().datasets["chunked"].data.append(np.array([0], "u1"))
    convert(tmp_path / "a.zarr", tmp_path / "back.h5")
    assert enums_of(tmp_path / "back.h5")["chunked"][1:] == (COLOURS, [1, 0, 1, 0])


@pytest.mark.parametrize("names", ["RED", {"RED": "0"}, {"a": {"b": {"c": 1}}}])
def test_names_that_are_none_are_an_error(tmp_path: Path, names: Any) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("x", data=np.arange(3)).attrs["_ENUM_NAMES"] = names
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        data = io.read_builder().datasets["x"].data
        with pytest.raises(MetadataError, match="_ENUM_NAMES"):
            data[:]


# -- fill values ---------------------------------------------------------------------------------


def create_without_fill_value(
    group: h5py.Group, name: str, *, chunks: Any, level: int | None
) -> Any:
    """Create a dataset whose fill value is undefined, for which h5py has no call."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if chunks:
        creation.set_chunk(chunks)
    if level:
        creation.set_deflate(level)
    dtype, space = h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((6,))
    library = next(Path(h5py.__file__).parents[1].glob("h5py.libs/libhdf5-*.so*"), None)
    if library is None:
        pytest.skip("h5py is not installed with its own HDF5 library")
    undefine = ctypes.CDLL(str(library)).H5Pset_fill_value
    undefine.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    assert undefine(creation.id, dtype.id, None) >= 0
    dataset = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), dtype, space, dcpl=creation))
    found = dataset.id.get_create_plist().fill_value_defined()
    assert found == h5py.h5d.FILL_VALUE_UNDEFINED
    return dataset


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("chunks", "level"), [(None, None), ((4,), None), ((4,), 4)])
def test_undefined_fill_value_is_zero(
    tmp_path: Path, chunks: Any, level: int | None, zarr_format: int
) -> None:
    with new_file(tmp_path / "source.h5") as file:
        dataset = create_without_fill_value(file, "x", chunks=chunks, level=level)
        dataset[:] = np.arange(6.0)
        wrapped = ZarrDataIO.from_h5py_dataset(dataset)
        assert "fillvalue" not in wrapped.get_io_params()
    convert(tmp_path / "source.h5", tmp_path / "a.zarr", zarr_format=zarr_format)
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        array = io.read_builder().datasets["x"].data
        assert array.fill_value == 0
        assert array[:].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    convert(tmp_path / "a.zarr", tmp_path / "back.h5")
    with h5py.File(tmp_path / "back.h5") as file:
        assert file["x"][:].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


FILLED: dict[str, tuple[Any, Any, Any]] = {
    "fixed": ("S10", b"No Data", b"No Data"),
    "text": (h5py.string_dtype(), "No Data", "No Data"),
    "ascii": (h5py.string_dtype("ascii"), b"No Data", "No Data"),
    "integer": ("i4", 7, 7),
    "none": ("S4", b"", None),
}


@pytest.mark.parametrize("kind", FILLED)
def test_wrapped_dataset_keeps_its_fill_value(tmp_path: Path, kind: str) -> None:
    dtype, given, expected = FILLED[kind]
    with new_file(tmp_path / "source.h5") as file:
        dataset = file.create_dataset("x", (10,), dtype, fillvalue=given, chunks=(5,))
        assert ZarrDataIO.from_h5py_dataset(dataset).get_io_params().get("fillvalue") == expected


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", FILLED)
def test_fill_value_of_a_wrapped_dataset_is_written(
    tmp_path: Path, kind: str, zarr_format: int
) -> None:
    dtype, given, _ = FILLED[kind]
    with new_file(tmp_path / "source.h5") as file:
        dataset = file.create_dataset("x", (10,), dtype, fillvalue=given, chunks=(5,))
        dataset[2:4] = dataset[2:4]
        expected = dataset[:].tolist()
        root = GroupBuilder(
            "root", datasets={"x": DatasetBuilder("x", ZarrDataIO.from_h5py_dataset(dataset))}
        )
        with ZarrIO(tmp_path / "a.zarr", "w", zarr_format=zarr_format) as io:
            io.write_builder(root)
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        found = io.read_builder().datasets["x"].data[:].tolist()
    as_bytes = [one.encode() if isinstance(one, str) else one for one in found]
    assert as_bytes == expected
    stored = zarr.open_group(tmp_path / "a.zarr", mode="r")["x"].fill_value
    stored = stored.encode() if isinstance(stored, str) else stored
    stored = stored.rstrip(b"\0") if isinstance(stored, bytes) else stored
    assert stored == (given.encode() if isinstance(given, str) else given)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_bytes_as_a_fill_value_come_back_to_hdf5(tmp_path: Path, zarr_format: int) -> None:
    with new_file(tmp_path / "source.h5") as file:
        file.create_dataset("x", (10,), "S10", fillvalue=b"No Data", chunks=(5,))[0] = b"one"
        file.create_dataset("y", (10,), "S10", fillvalue=b"No Data", chunks=(5,))[:] = b"all"
    convert(tmp_path / "source.h5", tmp_path / "a.zarr", zarr_format=zarr_format)
    convert(tmp_path / "a.zarr", tmp_path / "back.h5")
    with h5py.File(tmp_path / "back.h5") as file:
        assert file["x"][:].tolist() == [b"one"] + [b"No Data"] * 9
        assert file["y"][:].tolist() == [b"all"] * 10
        assert [file[name].fillvalue for name in "xy"] == [b"No Data"] * 2
