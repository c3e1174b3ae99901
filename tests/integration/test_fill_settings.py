"""What HDF5 says of fill values besides the value: undefined, given or by default, and when they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO

from hdmf_zarr import ZarrIO
from hdmf_zarr.checking import check
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hdf5.fill import creation_options
from hdmf_zarr.transfer.upgrading import upgrade

TEXT = h5py.string_dtype()
PAIR = np.dtype([("x", "f4"), ("n", "i2", (2,))])
RECORD = np.dtype([("t", TEXT), ("n", "i4")])

UNDEFINED, DEFAULT, GIVEN = (
    h5py.h5d.FILL_VALUE_UNDEFINED,
    h5py.h5d.FILL_VALUE_DEFAULT,
    h5py.h5d.FILL_VALUE_USER_DEFINED,
)

VALUES: dict[str, tuple[Any, Any, Any]] = {
    "float": ("f8", 0, -1.5),
    "integer": ("i4", 0, 7),
    "flag": ("?", False, True),
    "fixed": ("S4", b"", b"no"),
    "text": (TEXT, "", "no data"),
    "enum": (h5py.enum_dtype({"RED": 0, "GREEN": 3}, "u1"), 0, 3),
    "pair": (PAIR, np.zeros((), PAIR)[()], np.array((1, 2), PAIR)[()]),
}
"""Types of elements, with a fill value of zero and another one."""

LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "packed": {"chunks": (4,), "compression": "gzip", "shuffle": True},
}


def elements(dtype: Any) -> Any:
    if dtype == TEXT and np.dtype(dtype).metadata == TEXT.metadata:
        return ["a", "b", "", "c", "d", "é"]
    return np.array([0, 1, 0, 1, 1, 0]).astype(dtype if dtype != PAIR else "i4")


def make(path: Path) -> Path:
    undefined = {"value": "undefined"}
    with h5py.File(path, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        for kind, (dtype, zero, other) in VALUES.items():
            for layout, options in LAYOUTS.items():
                cases: dict[str, dict[str, Any]] = {
                    "undefined": creation_options(undefined, np.dtype(dtype)),
                    "default": {},
                    "zero": {"fillvalue": zero},
                    "other": {"fillvalue": other},
                }
                if dtype is not TEXT:
                    cases["never"] = {"fill_time": "never"}
                    cases["zero never"] = {"fillvalue": zero, "fill_time": "never"}
                cases["other alloc"] = {"fillvalue": other, "fill_time": "alloc"}
                for case, more in cases.items():
                    name = f"{kind} {layout} {case}"
                    node = file.create_dataset(name, (6,), dtype, **options, **more)
                    if dtype is PAIR:
                        node[:] = np.array([(n, n) for n in range(6)], PAIR)
                    else:
                        node[:] = elements(dtype)
        more = creation_options(undefined, RECORD)
        rows = np.array([("a", 1), ("", 2)], RECORD)
        file.create_dataset("record", (2,), RECORD, **more)[:] = rows
        target = file.create_group("target")
        more = creation_options(undefined, h5py.ref_dtype)
        file.create_dataset("reference", (2,), h5py.ref_dtype, **more)[:] = [target.ref] * 2
        more = creation_options(undefined, np.dtype("f8"))
        file.create_dataset("some", (8,), "f8", chunks=(2,), **more)[2:4] = 1
        file.create_dataset("empty", (0,), "f8", maxshape=(None,), **more)
    return path


def facts(path: Path) -> dict[str, Any]:
    found = {}
    with h5py.File(path) as file:
        for name, node in file.items():
            if isinstance(node, h5py.Dataset):
                creation = node.id.get_create_plist()
                state = creation.fill_value_defined()
                value = None
                if state == GIVEN:
                    value = str(np.asarray(node.fillvalue).tolist())
                elements = [None] if name == "reference" else node[:].tolist()
                found[name] = state, value, creation.get_fill_time(), str(elements)
    return found


def test_the_cases_are_what_they_are_called(tmp_path: Path) -> None:
    found = facts(make(tmp_path / "source.h5"))
    for name, (state, *_) in found.items():
        case = name.rpartition(" ")[2] if " " in name else "undefined"
        expected = {"undefined": UNDEFINED, "default": DEFAULT, "zero": GIVEN, "other": GIVEN}
        assert state == expected.get(case, state), name
    assert {state for state, *_ in found.values()} == {UNDEFINED, DEFAULT, GIVEN}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_they_come_back_to_hdf5(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "source.h5")
    store, same, other = (tmp_path / name for name in ("a.zarr", "b.zarr", "c.zarr"))
    back = tmp_path / "back.h5"
    convert(source, store, zarr_format=zarr_format)
    convert(store, same, zarr_format=zarr_format)
    convert(same, other, zarr_format=5 - zarr_format)
    stores = [store, same, other]
    if zarr_format == 2:
        upgrade(store, tmp_path / "upgraded.zarr")
        stores.append(tmp_path / "upgraded.zarr")
    for each in stores:
        convert(each, back, overwrite=True)
        expected, found = facts(source), facts(back)
        assert {
            name: (expected[name], found[name])
            for name in expected
            if expected[name] != found[name]
        } == {}
        # Chunks of "some" were never written.
        assert {finding.path for finding in check(each).findings} <= {"/some"}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_they_come_back_from_an_export(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "source.h5")
    with (
        HDF5IO(source, "r") as src,
        ZarrIO(tmp_path / "a.zarr", "w", zarr_format=zarr_format) as io,
    ):
        io.export(src_io=src)
    with ZarrIO(tmp_path / "a.zarr", "r") as src:
        assert src.read_builder()["float packed undefined"].attributes == {}
        with ZarrIO(tmp_path / "b.zarr", "w", zarr_format=zarr_format) as io:
            io.export(src_io=src)
    convert(tmp_path / "b.zarr", tmp_path / "back.h5")
    assert facts(tmp_path / "back.h5") == facts(source)


def test_rows_that_are_appended_keep_them(tmp_path: Path) -> None:
    convert(make(tmp_path / "source.h5"), tmp_path / "a.zarr")
    names = ["text packed undefined", "float packed undefined", "pair packed zero", "empty"]
    with ZarrIO(tmp_path / "a.zarr", "a") as io:
        root = io.read_builder()
        for name in names:
            data = root[name].data
            data.append(
                "a much longer text" if "text" in name else (2, (3, 4)) if "pair" in name else 1.0
            )
    convert(tmp_path / "a.zarr", tmp_path / "back.h5")
    expected, found = facts(tmp_path / "source.h5"), facts(tmp_path / "back.h5")
    for name in names:
        assert found[name][:3] == expected[name][:3]
        assert found[name][3] != expected[name][3]


def test_a_plain_file_says_nothing_of_them(tmp_path: Path) -> None:
    convert(make(tmp_path / "source.h5"), tmp_path / "a.zarr")
    words = {
        node.name: json.loads((node / "zarr.json").read_text())["attributes"].get(
            "_HDF5_FILL_VALUE"
        )
        for node in (tmp_path / "a.zarr").iterdir()
        if node.is_dir()
    }
    assert words["float packed default"] is None
    assert words["integer packed other"] is None
    assert words["float packed undefined"] == {"value": "undefined"}
    assert words["float packed zero never"] == {"value": "given", "time": "never"}


@pytest.mark.parametrize(
    "recorded", ["undefined", {"value": "zero"}, {"when": "never"}, {"time": 1}]
)
def test_other_words_cost_the_dataset_alone(tmp_path: Path, recorded: Any) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("x", data=np.arange(3)).attrs["_HDF5_FILL_VALUE"] = recorded
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        data = io.read_builder().datasets["x"].data
        with pytest.raises(MetadataError, match="_HDF5_FILL_VALUE"):
            data[:]
