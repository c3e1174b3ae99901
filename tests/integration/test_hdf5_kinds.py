"""Odd datasets and attributes of HDF5 come back as they were, or are refused before anything is written."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.convention.attributes import decode_attribute, encode_attribute
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import DtypeError, HDMFZarrError, MetadataError
from hdmf_zarr.transfer.upgrading import upgrade
from tests.integration.test_corpus_options import described
from tests.integration.test_hdf5_types import ENUM
from tests.integration.test_odd_input import make_file

TEXT = h5py.string_dtype()
WIDE = h5py.enum_dtype({"Zürich {": 0, "B": 2**40}, "i8")
RECORD = np.dtype([("colour", ENUM), ("flag", "?"), ("name", "S3")])
PAIR = np.dtype([("x", "f4"), ("y", "f4")])


def place_in(file: h5py.File) -> h5py.Group:
    return file["analysis"].create_group("odd")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(make_file(t=np.arange(3.0)))
    return path


def to_zarr(source: Path, target: Path, way: str, zarr_format: int) -> Path:
    if way == "convert":
        convert(source, target, zarr_format=zarr_format)
        return target
    with NWBHDF5IO(source, "r") as io, NWBZarrIO(target, "w", zarr_format=zarr_format) as out:
        out.export(io, io.read(), write_args={"link_data": False})
    return target


# -- what comes back -------------------------------------------------------------------------------


def enum_scalars(group: h5py.Group) -> None:
    group.create_dataset("one", data=np.uint8(200), dtype=ENUM)
    group.create_dataset("other", data=np.uint8(7), dtype=ENUM)
    group.create_dataset("record", data=np.array((200, True, b"ab"), RECORD))
    group.create_dataset("two", data=np.array((200, 3), np.dtype([("c", ENUM), ("n", "i4")])))


def enum_attributes(group: h5py.Group) -> None:
    set_attribute = group.create_dataset("data", data=np.arange(3)).attrs.create
    for make in (set_attribute, group.attrs.create):
        make("one", np.uint8(200), dtype=ENUM)
        make("wide", np.int64(2**40), dtype=WIDE)
        make("many", np.array([[0, 200], [7, 1]], "u1"), dtype=ENUM)
        make("none", np.zeros((0, 2), "u1"), dtype=ENUM)
        make("empty", h5py.Empty(ENUM))
        lists = np.empty(2, dtype=object)
        lists[:] = [np.array([0, 200], "u1"), np.array([1], "u1")]
        make("lists", lists, dtype=h5py.vlen_dtype(ENUM))
        make("flag", np.True_)
        make("number", np.uint8(200))


def fill_values(group: h5py.Group) -> None:
    def filled(name: str, dtype: Any, fill: Any, first: Any) -> None:
        dataset = group.create_dataset(name, (6, 3), dtype, fillvalue=fill, chunks=(2, 2))
        dataset[0, 0] = first

    filled("text", TEXT, "füll", "a")
    filled("ascii", h5py.string_dtype("ascii"), b"none", b"a")
    filled(
        "record", RECORD, np.array((200, True, b"xy"), RECORD), np.array((0, False, b"a"), RECORD)
    )
    filled("numbers", PAIR, np.array((7, -0.5), PAIR), np.array((1, 2), PAIR))
    group.create_dataset("unwritten", (4,), TEXT, fillvalue="none", chunks=(2,))


def empty_records(group: h5py.Group) -> None:
    for shape in ((0,), (0, 3), (2, 0), (2, 0, 3)):
        dtypes = (RECORD, PAIR, [("n", "i4"), ("t", TEXT)], [("r", h5py.ref_dtype), ("n", "i4")])
        for number, dtype in enumerate(dtypes):
            group.create_dataset(f"{shape}{number}", shape, np.dtype(dtype))


KEPT = [enum_scalars, enum_attributes, fill_values, empty_records]


def found_in(path: Path) -> dict[str, Any]:
    """Return type, shape, elements and fill value of all that is there, and all attributes."""
    found: dict[str, Any] = {}
    # The HDF5 library does not read all text with a fill value where a file is open for reading.
    with h5py.File(path, "r+") as file:
        group = file["analysis/odd"]
        nodes = {"": group, **group}
        for path_, node in nodes.items():
            for name in node.attrs:
                value, dtype = node.attrs[name], node.attrs.get_id(name).dtype
                plain = repr(value.tolist() if isinstance(value, np.ndarray) else value)
                base = h5py.check_vlen_dtype(dtype)
                types = described(base if isinstance(base, np.dtype) else dtype)
                found[f"{path_}@{name}"] = (types, np.shape(value), plain)
            if isinstance(node, h5py.Dataset):
                fill = np.asarray(node.fillvalue).tolist()
                elements = np.asarray(node[()]).tolist()
                found[path_] = (described(node.dtype), node.shape, elements, fill)
    return found


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("way", ["convert", "export"])
@pytest.mark.parametrize("make", KEPT, ids=lambda make: make.__name__)
def test_it_comes_back(
    tmp_path: Path, source: Path, make: Callable[[Any], None], way: str, zarr_format: int
) -> None:
    with h5py.File(source, "a") as file:
        make(place_in(file))
    expected = found_in(source)
    store = to_zarr(source, tmp_path / "a.nwb.zarr", way, zarr_format)
    assert [one for one in check(store).findings if one.severity != "note"] == []
    convert(store, tmp_path / "back.nwb")
    assert found_in(tmp_path / "back.nwb") == expected
    convert(store, tmp_path / "copy.nwb.zarr", zarr_format=5 - zarr_format)
    convert(tmp_path / "copy.nwb.zarr", tmp_path / "again.nwb")
    assert found_in(tmp_path / "again.nwb") == expected
    if zarr_format == 2:
        upgrade(store)
        convert(store, tmp_path / "upgraded.nwb")
        assert found_in(tmp_path / "upgraded.nwb") == expected


def test_an_attribute_of_an_enumeration_is_read_as_by_h5py(tmp_path: Path, source: Path) -> None:
    with h5py.File(source, "a") as file:
        enum_attributes(place_in(file))
    convert(source, tmp_path / "a.nwb.zarr")
    with ZarrIO(tmp_path / "a.nwb.zarr", "r") as io, h5py.File(source) as file:
        found = io.read_builder()["analysis"]["odd"].attributes
        for name, expected in file["analysis/odd"].attrs.items():
            if name == "flag":
                continue  # as HDMF gives it
            assert type(found[name]) is type(expected), name
            assert h5py.check_enum_dtype(found[name].dtype) == h5py.check_enum_dtype(expected.dtype)


@pytest.mark.parametrize(
    "value",
    [
        np.array([0, 200], ENUM),
        np.zeros((2, 0), ENUM),
        np.array(200, ENUM),
        np.array([2**40], WIDE),
    ],
)
def test_arrays_of_enumerations_are_attributes(value: Any) -> None:
    encoded, dtype = encode_attribute(value)
    decoded = np.asarray(decode_attribute(encoded, dtype))
    assert decoded.tolist() == value.tolist()
    assert decoded.shape == value.shape


@pytest.mark.parametrize(
    "recorded", ["enum uint8", 'enum uint8 {"a": "b"}', "enum uint8 {", "enum enum uint8 {}{}"]
)
def test_names_that_are_none_are_an_error(recorded: str) -> None:
    with pytest.raises(MetadataError):
        decode_attribute([1], recorded)


# -- what is refused -------------------------------------------------------------------------------


def without_fill_value(dtype: Any) -> Callable[[h5py.Group], None]:
    def make(group: h5py.Group) -> None:
        (library,) = {
            line.split()[-1]
            for line in Path("/proc/self/maps").read_text().splitlines()
            if "libhdf5" in line and "hl" not in line.rpartition("/")[2]
        }
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((2,))
        kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
        set_fill_value = ctypes.CDLL(library).H5Pset_fill_value
        set_fill_value(ctypes.c_int64(creation.id), ctypes.c_int64(kind.id), None)
        space = h5py.h5s.create_simple((6,))
        h5py.h5d.create(group.id, b"bad", kind, space, creation)
        if np.dtype(dtype).names is None:
            group["bad"][:2] = ["a", "b"]

    return make


def region_attribute(group: h5py.Group) -> None:
    target = group.create_dataset("target", data=np.arange(4))
    group.attrs.create("bad", target.regionref[1:2], dtype=h5py.regionref_dtype)


def region_attributes(group: h5py.Group) -> None:
    target = group.create_dataset("target", data=np.arange(4))
    regions = np.array([target.regionref[1:2]], dtype=h5py.regionref_dtype)
    group.attrs.create("bad", regions, dtype=h5py.regionref_dtype)


def empty_compound_attribute(group: h5py.Group) -> None:
    group.attrs.create("bad", h5py.Empty(PAIR))


def dataset(**options: Any) -> Callable[[h5py.Group], None]:
    return lambda group: group.create_dataset("bad", **options)


def of_type(kind: Any) -> Callable[[h5py.Group], None]:
    """Return what makes a dataset of a type of HDF5 that h5py does not make."""
    return lambda group: h5py.h5d.create(group.id, b"bad", kind(), h5py.h5s.create_simple((4,)))


def three_bytes() -> h5py.h5t.TypeID:
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(24)
    kind.set_size(3)
    return kind


def attribute_of_three_bytes(group: h5py.Group) -> None:
    h5py.h5a.create(group.id, b"bad", three_bytes(), h5py.h5s.create(h5py.h5s.SCALAR))


def reference_to_nothing(group: h5py.Group) -> None:
    group.attrs.create("bad", h5py.h5r.Reference(), dtype=h5py.ref_dtype)


LIST = h5py.vlen_dtype("i4")

REFUSED: dict[str, tuple[Callable[[h5py.Group], None], type[HDMFZarrError], str]] = {
    "region": (region_attribute, DtypeError, "'bad': it .*region reference"),
    "regions": (region_attributes, DtypeError, "'bad': it .*region reference"),
    "empty compound": (empty_compound_attribute, DtypeError, "'bad': .*without a value"),
    "reference to nothing": (
        reference_to_nothing,
        MetadataError,
        "'bad' is a reference to nothing",
    ),
    "no type of numpy": (of_type(three_bytes), MetadataError, "odd/bad .*none that numpy has"),
    "time": (
        of_type(lambda: h5py.h5t.UNIX_D32LE),
        MetadataError,
        "odd/bad .*none that numpy has",
    ),
    "attribute of no type": (attribute_of_three_bytes, MetadataError, "its attribute 'bad'"),
    "opaque": (dataset(data=np.zeros(2, "V4")), MetadataError, "opaque bytes"),
    "array": (dataset(shape=(2,), dtype=np.dtype(("i4", (3,)))), MetadataError, "is an array"),
    "null reference": (dataset(shape=(), dtype=h5py.ref_dtype), MetadataError, "to nothing"),
    "no text behind": (dataset(shape=(2, 0), dtype=TEXT), MetadataError, "length 0"),
    "array of many": (
        dataset(data=np.zeros(2, [("v", "i4", (5000,)), ("n", "i4")])),
        DtypeError,
        "5001 numbers and texts.*at most 4096",
    ),
    "region in a record in a record": (
        dataset(shape=(1,), dtype=np.dtype([("p", [("r", h5py.regionref_dtype)]), ("n", "i4")])),
        DtypeError,
        "field 'p' .*field 'r' .*region references",
    ),
    "list in a record in a record": (
        dataset(shape=(1,), dtype=np.dtype([("p", [("v", LIST)], (2,)), ("n", "i4")])),
        DtypeError,
        "field 'p' .*field 'v' .*variable length.*ragged",
    ),
    "extended in a record in a record": (
        dataset(shape=(), dtype=np.dtype([("p", [("x", np.longdouble)]), ("n", "i4")])),
        DtypeError,
        "field 'p' .*field 'x' .*f16.*convert",
    ),
    "region in a record": (
        dataset(shape=(1,), dtype=np.dtype([("r", h5py.regionref_dtype), ("n", "i4")])),
        DtypeError,
        "field 'r' .*region references",
    ),
    "list in a record": (
        dataset(shape=(1,), dtype=np.dtype([("v", LIST), ("n", "i4")])),
        DtypeError,
        "field 'v' .*variable length.*ragged",
    ),
    "lists": (dataset(shape=(2,), dtype=LIST), DtypeError, "variable length.*ragged"),
    "list": (dataset(shape=(), dtype=LIST), DtypeError, "variable length.*ragged"),
    "opaque field": (
        dataset(data=np.zeros(2, [("v", "V4"), ("n", "i4")])),
        DtypeError,
        "field 'v' .*opaque",
    ),
    "extended": (dataset(data=np.zeros(2, np.longdouble)), DtypeError, "f16.*convert"),
    "text without fill value": (
        without_fill_value(TEXT),
        MetadataError,
        "odd/bad: .*never written",
    ),
    "record without fill value": (
        without_fill_value([("t", TEXT), ("n", "i4")]),
        MetadataError,
        "odd/bad: .*never written",
    ),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused(tmp_path: Path, source: Path, kind: str, zarr_format: int) -> None:
    make, error, message = REFUSED[kind]
    with h5py.File(source, "a") as file:
        make(place_in(file))
    with pytest.raises(error, match=message) as caught:
        convert(source, tmp_path / "a.nwb.zarr", zarr_format=zarr_format)
    assert f"{source}:/analysis/odd" in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["source.nwb"]


def test_a_written_text_without_fill_value_is_read(tmp_path: Path, source: Path) -> None:
    with h5py.File(source, "a") as file:
        group = place_in(file)
        without_fill_value(TEXT)(group)
        group["bad"][:] = list("abcdef")
    convert(source, tmp_path / "a.nwb.zarr")
    with ZarrIO(tmp_path / "a.nwb.zarr", "r") as io:
        found = io.read_builder()["analysis"]["odd"]["bad"].data[:]
    assert found.tolist() == list("abcdef")
