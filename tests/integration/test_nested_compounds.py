"""Compounds in compounds, and arrays in compounds: from HDF5 to Zarr and back, and what readers see."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrIO
from hdmf_zarr.checking import check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.core.nesting import at_leaf, leaf_dtype, leaves_of
from hdmf_zarr.description import describe
from hdmf_zarr.errors import DtypeError, EncodingError, HDMFZarrError, MetadataError
from hdmf_zarr.transfer.upgrading import upgrade

TEXT, ASCII = h5py.string_dtype(), h5py.string_dtype("ascii")
COLOUR = h5py.enum_dtype({"RED": 0, "GREEN": 1}, "i1")

NUMBERS = np.dtype(
    [
        ("x", "f8"),
        ("p", [("c", COLOUR), ("q", [("z", "i4"), ("flag", "?")])]),
        ("p.c", "u2"),  # as the store would call a leaf of "p"
        ("b", [("c", "f8"), ("d", "i2")], (3,)),
        ("w", "f4", (2, 2)),
        ("z", "c16"),
    ]
)

OBJECTS = np.dtype(
    [
        ("p", [("t", TEXT), ("a", ASCII), ("s", "S5"), ("r", h5py.ref_dtype), ("c", COLOUR)]),
        ("n", "i4"),
        ("b", [("t", TEXT, (2,)), ("r", h5py.ref_dtype, (2,)), ("c", COLOUR, (1, 2))], (2,)),
    ]
)


def value_of(dtype: np.dtype[Any], number: int, file: h5py.File) -> Any:
    if h5py.check_ref_dtype(dtype):
        return file["target"].ref if number % 2 else file["numbers"].ref
    if dtype.kind == "O":
        return f"é{number}" if h5py.check_string_dtype(dtype).encoding == "utf-8" else f"a{number}"
    if dtype.kind == "S":
        return b"x" * (number % 5)
    return number % 2 if dtype.kind == "b" or dtype.metadata else number


def filled(file: h5py.File, dtype: np.dtype[Any], count: int = 4) -> Any:
    """Return rows that differ in every leaf."""
    rows = np.zeros(count, dtype)
    for position, leaf in enumerate(leaves_of(dtype)):
        held = leaf_dtype(dtype, leaf)
        for row in range(count):
            at_leaf(rows, leaf)[row] = value_of(held, 7 * row + position, file)
    return rows


def make(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        file.create_group("target")
        file.create_dataset("numbers", data=filled(file, NUMBERS))
        file.create_dataset("chunked", data=filled(file, NUMBERS, 7), chunks=(2,), compression=4)
        file.create_dataset("grid", data=filled(file, NUMBERS, 4).reshape(2, 2))
        fill_value = filled(file, NUMBERS)[3]
        file.create_dataset("filled", (6,), NUMBERS, chunks=(2,), fillvalue=fill_value)[:2] = 0
        file.create_dataset("one", data=filled(file, NUMBERS)[2])
        file.create_dataset("objects", data=filled(file, OBJECTS))
        file.create_dataset("object", data=filled(file, OBJECTS)[1])
        file.create_dataset("nothing", (0,), OBJECTS, maxshape=(None,))
        file.create_dataset("unset", (), OBJECTS)
        file.create_dataset("flat", (), [("r", h5py.ref_dtype), ("t", TEXT), ("s", "S3")])
    return path


def facts(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return {
            name: (node.shape, str(node.dtype), node.id.get_type().get_size(), _leaves(node))
            for name, node in file.items()
            if isinstance(node, h5py.Dataset)
        }


def _leaves(node: h5py.Dataset) -> dict[Any, Any]:
    values = np.asarray(node[()], dtype=node.dtype)
    found = {}
    for leaf in leaves_of(node.dtype):
        dtype, column = leaf_dtype(node.dtype, leaf), at_leaf(values, leaf)
        elements = column.tolist()
        if h5py.check_ref_dtype(dtype):
            elements = [node.file[one].name if one else None for one in column.ravel()]
        marks = h5py.check_enum_dtype(dtype), h5py.check_string_dtype(dtype)
        fill_value = None if node.dtype.hasobject else at_leaf(np.asarray(node.fillvalue), leaf)
        found[leaf.path] = (dtype.str, marks, elements, str(fill_value))
    return found


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_they_come_back_to_hdf5(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "source.h5")
    store, copy, other, back = (
        tmp_path / f"{name}" for name in ("a.zarr", "b.zarr", "c.zarr", "z.h5")
    )
    convert(source, store, zarr_format=zarr_format)
    convert(store, copy, zarr_format=zarr_format)
    convert(copy, other, zarr_format=5 - zarr_format)
    for each in (store, copy, other):
        convert(each, back, overwrite=True)
        assert facts(back) == facts(source)
        assert check(each).findings == ()
    if zarr_format == 2:
        upgrade(store, tmp_path / "upgraded.zarr")
        convert(tmp_path / "upgraded.zarr", back, overwrite=True)
        assert facts(back) == facts(source)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_readers_see_what_hdf5io_gives_them(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "source.h5")
    convert(source, tmp_path / "a.zarr", zarr_format=zarr_format)
    with ZarrIO(tmp_path / "a.zarr", "r") as io, HDF5IO(source, "r") as hdf5:
        found, expected = io.read_builder(), hdf5.read_builder()
        for name in ("numbers", "chunked", "grid"):
            ours, theirs = found[name], expected[name]
            assert ours.dtype == theirs.dtype
            assert ours.data.dtype == theirs.data.dtype
            for selection in (0, slice(1, 3), slice(None), "p"):
                one = np.asarray(ours.data[selection])
                other = np.asarray(theirs.data.dataset[selection])
                assert one.dtype == other.dtype
                assert one.tobytes() == other.tobytes()
            assert set(ours.attributes) == set(theirs.attributes)
        assert found["one"].data.tobytes() == expected["one"].data.tobytes()
        row, single = found["objects"].data[1], found["object"].data
        for record in (row, single[()]):
            assert record["p"]["t"] == "é7".encode()
            assert record["p"]["a"] == b"a8"
            assert record["p"]["s"] == b"xxxx"
            assert record["p"]["r"] is found["numbers"]
            assert record["b"][1]["r"].tolist() == [found["target"], found["numbers"]]
        assert found["objects"].data[:]["p"]["r"][1] is found["numbers"]


def test_other_readers_see_the_leaves(tmp_path: Path) -> None:
    convert(make(tmp_path / "source.h5"), tmp_path / "a.zarr")
    array = zarr.open_array(tmp_path / "a.zarr" / "numbers", mode="r")
    assert array.dtype.names[:5] == ("x", "p.c_", "p.q.z", "p.q.flag", "p.c")
    assert array.dtype.names[5:7] == ("b[0].c", "b[0].d")
    assert array.dtype.names[-5:] == ("w[0,0]", "w[0,1]", "w[1,0]", "w[1,1]", "z")
    with h5py.File(tmp_path / "source.h5") as file:
        assert array[:]["p.q.z"].tolist() == file["numbers"][:]["p"]["q"]["z"].tolist()
    assert array.attrs["_NESTED_FIELDS"][1] == {
        "name": "p",
        "fields": ["c", {"name": "q", "fields": ["z", "flag"]}],
    }


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_rows_are_appended(tmp_path: Path, zarr_format: int) -> None:
    source = make(tmp_path / "source.h5")
    store, back = tmp_path / "a.zarr", tmp_path / "back.h5"
    convert(source, store, zarr_format=zarr_format)
    with h5py.File(source) as file:
        rows = filled(file, NUMBERS, 6)
    with ZarrIO(store, "a") as io:
        root = io.read_builder()
        root["numbers"].data.append(rows[4])
        root["numbers"].data.append(rows[5].tolist())
        given = (("a long text", "a", b"s", root["target"], 1), 5)
        arrays = [(["t", "u"], [root["target"], root["numbers"]], [[0, 1]])] * 2
        root["objects"].data.append((*given, arrays))
        assert root["objects"].data[4]["b"]["r"][1].tolist() == [root["target"], root["numbers"]]
        with pytest.raises(EncodingError, match="'b': expected an array of the shape"):
            root["objects"].data.append((*given, arrays[:1]))
    convert(store, back)
    found = facts(back)
    with h5py.File(back) as file:
        assert file["numbers"].dtype == NUMBERS
        assert file["numbers"][:].tobytes() == rows.tobytes()
        row = file["objects"][4]
        assert row["p"].tolist()[:3] == (b"a long text", b"a", b"s")
        assert file[row["p"]["r"]].name == "/target"
        assert row["b"]["t"].tolist() == [[b"t", b"u"]] * 2
    assert found["chunked"] == facts(source)["chunked"]


def test_data_in_memory_are_written(tmp_path: Path) -> None:
    with h5py.File(make(tmp_path / "source.h5")) as file:
        rows = file["numbers"][:]
    data = DatasetBuilder("x", rows, attributes={})
    listed = DatasetBuilder(
        "y",
        rows.astype(NUMBERS),
        dtype=[
            {
                "name": name,
                "dtype": "void" if rows.dtype[name].kind == "V" else rows.dtype[name].name,
            }
            for name in rows.dtype.names
        ],
    )
    with ZarrIO(tmp_path / "a.zarr", "w") as io:
        types = {"data_type": "Container", "namespace": "hdmf-common", "object_id": "a"}
        io.write_builder(GroupBuilder("root", datasets=[data, listed], attributes=types))
    convert(tmp_path / "a.zarr", tmp_path / "back.h5")
    with h5py.File(tmp_path / "back.h5") as file:
        for name in "xy":
            assert file[name].dtype == rows.dtype
            assert file[name][:].tobytes() == rows.tobytes()


def test_the_command_line_and_a_store_in_memory(tmp_path: Path) -> None:
    source = make(tmp_path / "source.h5")
    store, back = tmp_path / "a.zarr", tmp_path / "back.h5"
    assert main(["convert", "--quiet", str(source), str(store)]) == 0
    assert main(["info", str(store)]) == 0
    convert(store, "memory://nested/b.zarr")
    convert("memory://nested/b.zarr", back)
    assert facts(back) == facts(source)
    assert "b: {c: float64, d: int16}[3]" in str(describe(store))


# -- attributes ----------------------------------------------------------------------------------

ATTRIBUTE = np.dtype(
    [
        ("x", "f4"),
        ("t", TEXT),
        ("r", h5py.ref_dtype),
        ("p", [("a", ASCII), ("s", "S4"), ("c", COLOUR), ("u", TEXT, (2,)), ("z", "c8")], (2,)),
        ("q", [("r", h5py.ref_dtype, (2,)), ("flag", "?"), ("c", COLOUR, (1, 2))]),
        ("i", "u8"),
    ]
)


def make_attributes(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        file.create_group("target")
        for node in (file.create_group("g"), file.create_dataset("numbers", data=[1.0])):
            rows = filled(file, ATTRIBUTE)
            rows["x"][:2] = np.nan, np.inf
            rows["i"][0] = 2**64 - 1
            rows["r"][1] = h5py.Reference()
            node.attrs["rows"] = rows
            node.attrs["row"] = rows[0]
            node.attrs["grid"] = rows.reshape(2, 2)
            node.attrs.create("nothing", rows[:0], dtype=ATTRIBUTE)
            node.attrs["flat"] = np.array((1, -0.5), [("a", "i4"), ("b", "f8")])[()]
    return path


def attributes_of(path: Path) -> dict[Any, Any]:
    found = {}
    with h5py.File(path) as file:
        for name, node in file.items():
            for attribute, value in node.attrs.items():
                held = node.attrs.get_id(attribute)
                found[name, attribute] = (
                    held.shape,
                    str(held.dtype),
                    held.get_type().get_size(),
                    {
                        leaf.path: _leaf(file, held.dtype, np.asarray(value), leaf)
                        for leaf in leaves_of(held.dtype)
                    },
                )
    return found


def _leaf(file: h5py.File, dtype: np.dtype[Any], values: Any, leaf: Any) -> Any:
    held, column = leaf_dtype(dtype, leaf), at_leaf(values, leaf)
    marks = held.str, h5py.check_enum_dtype(held), h5py.check_string_dtype(held)
    if h5py.check_ref_dtype(held):
        return marks, [file[one].name if one else None for one in column.ravel()]
    return marks, str(column.tolist())


@pytest.mark.parametrize("options", [{}, {"strict_json": True}], ids=["plain", "strict"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_attributes_come_back_to_hdf5(
    tmp_path: Path, zarr_format: int, options: dict[str, Any]
) -> None:
    source = make_attributes(tmp_path / "source.h5")
    store, other, back = (tmp_path / name for name in ("a.zarr", "b.zarr", "back.h5"))
    convert(source, store, zarr_format=zarr_format, **options)
    convert(store, other, zarr_format=5 - zarr_format)
    stores = [store, other]
    if zarr_format == 2:
        upgrade(store, tmp_path / "upgraded.zarr")
        stores.append(tmp_path / "upgraded.zarr")
    for each in stores:
        convert(each, back, overwrite=True)
        assert attributes_of(back) == attributes_of(source)
        assert check(each).findings == ()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_readers_see_attributes_as_hdf5io_gives_them(tmp_path: Path, zarr_format: int) -> None:
    source = make_attributes(tmp_path / "source.h5")
    convert(source, tmp_path / "a.zarr", zarr_format=zarr_format)
    with ZarrIO(tmp_path / "a.zarr", "r") as io, HDF5IO(source, "r") as hdf5:
        root = io.read_builder()
        found, expected = root["g"].attributes, hdf5.read_builder()["g"].attributes
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert type(found[name]) is type(value)
            assert found[name].dtype == value.dtype
            assert found[name].shape == value.shape
            for leaf in leaves_of(value.dtype):
                if not h5py.check_ref_dtype(leaf_dtype(value.dtype, leaf)):
                    ours, theirs = (at_leaf(np.asarray(one), leaf) for one in (found[name], value))
                    assert str(ours.tolist()) == str(theirs.tolist())
        assert found["row"]["r"] is root["numbers"]
        assert found["rows"]["r"].tolist()[1] is None
        assert found["rows"]["q"]["r"][0].tolist() == [root["target"], root["numbers"]]


def test_a_reference_in_an_attribute_that_leads_to_nothing_is_found(tmp_path: Path) -> None:
    convert(make_attributes(tmp_path / "source.h5"), tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr" / "target")
    consolidated = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    del consolidated["consolidated_metadata"]["metadata"]["target"]
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps(consolidated))
    findings = {finding.code for finding in check(tmp_path / "a.zarr").findings}
    assert "broken-reference" in findings
    with (
        ZarrIO(tmp_path / "a.zarr", "r") as io,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        root = io.read_builder()
        assert {one.category for one in caught} == {BrokenLinkWarning}
        assert "attribute 'rows' of" in str([str(one.message) for one in caught])
        assert None in root["g"].attributes["rows"]["q"]["r"].ravel().tolist()


@pytest.mark.parametrize(
    "recorded",
    [
        "compound {",
        "compound []",
        'compound {"shape": [], "fields": []}',
        'compound {"shape": [], "fields": [["x", "float64"], ["y", "int32"]]}',
        'compound {"shape": [], "fields": [["y", "float64"]]}',
        'compound {"shape": [3], "fields": [["x", "float64"]]}',
        'compound {"shape": [], "fields": [["x", "object"]]}',
        'compound {"shape": [], "fields": [["x", "S999999999"]]}',
        'compound {"shape": [], "fields": [["x", "float64", [1000000000]]]}',
        'compound {"shape": [], "fields": [["x", "str"]]}',
    ],
)
def test_an_attribute_that_is_not_what_is_recorded_is_an_error(
    tmp_path: Path, recorded: str
) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.attrs.update({"bad": {"x": 1.5}, "_ATTRIBUTE_DTYPES": {"bad": recorded}})
    with (
        ZarrIO(tmp_path / "a.zarr", "r") as io,
        pytest.raises(MetadataError, match="attribute 'bad'"),
    ):
        io.read_builder()


def test_a_list_in_an_attribute_is_refused(tmp_path: Path) -> None:
    with h5py.File(make(tmp_path / "source.h5"), "a") as file:
        dtype = np.dtype([("p", [("v", h5py.vlen_dtype("i4"))]), ("n", "i4")])
        rows = np.empty(1, dtype)
        rows["p"]["v"][0], rows["n"] = np.arange(2, dtype="i4"), 1
        file["target"].attrs.create("bad", rows, dtype=dtype)
    with pytest.raises(DtypeError, match="'bad': field 'p' .*field 'v' .*store it as a dataset"):
        convert(tmp_path / "source.h5", tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


# -- metadata that make no sense -----------------------------------------------------------------

WRONG = {
    "no list": {"name": "x"},
    "two of one name": ["x", "x"],
    "no name": [{"fields": ["x"]}],
    "a shape of nothing": [{"name": "x", "shape": [0]}],
    "a huge shape": [{"name": "x", "shape": [2**62, 2**62]}],
    "too few": ["x"],
    "too many": ["x", "y", "z"],
    "several types in an array": [{"name": "x", "shape": [2]}],
    "no fields": ["x", "y", {"name": "z", "fields": []}],
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("recorded", WRONG.values(), ids=WRONG)
def test_nesting_that_makes_no_sense_costs_the_dataset_alone(
    tmp_path: Path, recorded: Any, zarr_format: int
) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    rows = np.zeros(2, [("x", "f8"), ("y", "i4")])
    group.create_array("bad", data=rows).attrs["_NESTED_FIELDS"] = recorded
    group.create_array("good", data=np.arange(3))
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        root = io.read_builder()
        assert root["good"].data[:].tolist() == [0, 1, 2]
        with pytest.raises(MetadataError, match="/bad.*(field|_NESTED_FIELDS)"):
            root["bad"].data[:]


def test_a_name_that_is_reserved_is_refused(tmp_path: Path) -> None:
    builder = DatasetBuilder("x", [1], attributes={"_NESTED_FIELDS": "x"})
    with (
        ZarrIO(tmp_path / "a.zarr", "w") as io,
        pytest.raises(HDMFZarrError, match="_NESTED_FIELDS"),
    ):
        io.write_builder(GroupBuilder("root", datasets=[builder]))


def test_text_that_only_the_data_could_tell_is_refused(tmp_path: Path) -> None:
    rows = np.array([(("a",),)], dtype=[("p", [("t", object)])])
    with ZarrIO(tmp_path / "a.zarr", "w") as io, pytest.raises(DtypeError, match="'p'.*'t'"):
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("x", rows)]))
