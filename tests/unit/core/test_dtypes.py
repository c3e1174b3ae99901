"""Element types: every spelling of a specification resolves as HDF5IO does; what is unknown raises."""

from __future__ import annotations

import uuid
import warnings
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, TypeMap
from hdmf.spec import DtypeHelper, DtypeSpec, NamespaceCatalog, RefSpec

from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    DATA_DECIDES,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    as_bytes_elements,
    builder_dtype,
    declared_element_type,
    element_type_from_compound,
    element_type_from_name,
    element_type_from_numpy,
    field_dtype_name,
    header_name,
    stored_dtype,
    stored_numpy_dtype,
)
from hdmf_zarr.errors import DtypeError

SPELLINGS = sorted(DtypeHelper.valid_primary_dtypes)
"""Every dtype that a specification may name."""

NUMBERS = [
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "bool", "complex64", "complex128"),
]


def number(name: str) -> ElementType:
    return ElementType("number", np.dtype(name))


def as_hdf5_has_it(dtype: Any, data: Any) -> h5py.Dataset:
    """Write data with a builder's dtype into an HDF5 file in memory, as HDF5IO does."""
    file = h5py.File(f"in memory {uuid.uuid4()}", "w", driver="core", backing_store=False)
    manager = BuildManager(TypeMap(NamespaceCatalog()))
    io = HDF5IO(file.filename, mode="w", file=file, manager=manager)
    target = GroupBuilder("target")
    if dtype == "object":
        from hdmf.build import ReferenceBuilder

        data = [ReferenceBuilder(target)]
    builder = DatasetBuilder("data", data, dtype=dtype)
    io.write_builder(GroupBuilder("root", groups=[target], datasets=[builder]))
    return file["data"]


def sample(spelling: str) -> Any:
    if spelling in ("ascii", "bytes"):
        return [b"a", b"b"]
    if spelling in ("isodatetime", "datetime", "date") or spelling in (
        "text",
        "utf",
        "utf8",
        "utf-8",
    ):
        return ["2024-01-02", "b"]
    if spelling == "bool":
        return [True, False]
    return [1, 2]


# -- names of specifications -----------------------------------------------------------------------


@pytest.mark.parametrize("spelling", sorted(set(SPELLINGS) - DATA_DECIDES))
def test_a_spelling_resolves_as_hdf5_does(spelling: str) -> None:
    element = element_type_from_name(spelling)
    assert element is not None
    in_hdf5 = element_type_from_numpy(as_hdf5_has_it(spelling, sample(spelling)).dtype)
    # HDF5 has one type for text and one for bytes; we keep what the specification says of them.
    coarse = {"isodatetime": TEXT, "bytes": ASCII}
    if in_hdf5.numpy is not None and spelling == "bool":
        assert element == number("bool")
    else:
        assert coarse.get(element.kind, element) == in_hdf5


@pytest.mark.parametrize("spelling", sorted(set(SPELLINGS) - DATA_DECIDES))
def test_a_spelling_resolves_alike_in_a_compound(spelling: str) -> None:
    entries = [{"name": "a", "dtype": spelling}, {"name": "b", "dtype": "int8"}]
    element = element_type_from_compound(entries, None)
    assert element == ElementType(
        "compound",
        fields=(("a", element_type_from_name(spelling)), ("b", number("int8"))),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("spelling", sorted(DATA_DECIDES))
def test_a_spelling_that_leaves_the_type_to_the_data(spelling: str) -> None:
    assert element_type_from_name(spelling) is None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *[(name, name) for name in NUMBERS],
        ("float", "float32"),
        ("double", "float64"),
        ("long", "int64"),
        ("int", "int32"),
        ("short", "int16"),
        ("uint", "uint32"),
        ("<i8", "int64"),
        (">f4", ">f4"),
        ("|b1", "bool"),
        ("bool_", "bool"),
    ],
)
def test_numbers_by_name(spelling: str, name: str) -> None:
    assert element_type_from_name(spelling) == number(name)


@pytest.mark.parametrize(
    "name",
    [
        *("integer", "Int32", "text ", "", "float128x", "reference", "region", "number"),
        *("datetime64", "datetime64[s]", "timedelta64", "V4", "(2,)i4"),
        *("clongdouble", "object_", "O", "void"),
    ],
)
def test_an_unknown_name_is_refused_and_becomes_no_default(name: str) -> None:
    with pytest.raises(DtypeError):
        element_type_from_name(name)


def test_the_refusal_names_what_is_known() -> None:
    with pytest.raises(
        DtypeError, match=r"unknown dtype 'integer'; known are: any, ascii, bool, bytes"
    ):
        element_type_from_name("integer")


# -- numpy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "element"),
    [
        *[(np.dtype(name), number(name)) for name in NUMBERS],
        (np.dtype(">i4"), number(">i4")),
        (np.dtype("S5"), ElementType("fixed_bytes", np.dtype("S5"))),
        (np.dtype("U5"), TEXT),
        (np.dtypes.StringDType(), TEXT),
        (h5py.string_dtype(), TEXT),
        (h5py.string_dtype("ascii"), ASCII),
        (h5py.ref_dtype, REFERENCE),
        (h5py.enum_dtype({"A": 1, "B": 2}, "i1"), number("int8")),
        (
            np.dtype([("a", "i4"), ("b", h5py.string_dtype()), ("c", h5py.ref_dtype)]),
            ElementType("compound", fields=(("a", number("int32")), ("b", TEXT), ("c", REFERENCE))),
        ),
    ],
    ids=repr,
)
def test_a_numpy_dtype_is(dtype: Any, element: ElementType) -> None:
    assert element_type_from_numpy(dtype) == element


def test_the_names_of_an_enumeration_do_not_travel_along() -> None:
    element = element_type_from_numpy(h5py.enum_dtype({"A": 1}, "i1"))
    assert element.numpy is not None
    assert element.numpy.metadata is None


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype("M8[s]"),
        np.dtype("m8[s]"),
        np.dtype("V4"),
        np.dtype("O"),
        np.dtype(("i4", (2,))),
        h5py.vlen_dtype(np.dtype("i4")),
        h5py.regionref_dtype,
        np.dtype([("a", "m8[s]")]),
        np.dtype([("a", "m8[s]", (2,))]),
    ],
    ids=repr,
)
def test_a_numpy_dtype_that_cannot_be_stored_is_refused(dtype: Any) -> None:
    with pytest.raises(DtypeError, match="cannot be stored"):
        element_type_from_numpy(dtype)


@pytest.mark.skipif(np.dtype("longdouble").itemsize == 8, reason="longdouble is double here")
def test_extended_precision_is_refused() -> None:
    with pytest.raises(DtypeError):
        element_type_from_numpy(np.dtype("longdouble"))
    with pytest.raises(DtypeError):
        element_type_from_numpy(np.dtype("clongdouble"))


# -- what a builder declares -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "element"),
    [
        (None, None),
        (object, None),
        (np.dtype("O"), None),
        (bytes, None),
        (np.bytes_, None),
        ("bytes_", None),
        ("numeric", None),
        ("int8", number("int8")),
        (np.dtype("f4"), number("float32")),
        (np.float32, number("float32")),
        (int, number("int64")),
        (float, number("float64")),
        (bool, number("bool")),
        (str, TEXT),
        (np.str_, TEXT),
        (h5py.string_dtype(), TEXT),
        (h5py.string_dtype("ascii"), ASCII),
        ("object", REFERENCE),
        (RefSpec("TimeSeries", "object"), REFERENCE),
        (DtypeSpec("x", "doc", "isodatetime"), ISODATETIME),
        (DtypeSpec("x", "doc", RefSpec("TimeSeries", "object")), REFERENCE),
        ({"name": "x", "dtype": "uint"}, number("uint32")),
    ],
    ids=repr,
)
def test_a_declared_dtype_is(declared: Any, element: ElementType | None) -> None:
    assert declared_element_type(declared) == element


@pytest.mark.parametrize("declared", [5, {}, {"name": "x"}, [], "integer", np.clongdouble, dict])
def test_a_declared_dtype_that_is_unknown_is_refused(declared: Any) -> None:
    with pytest.raises(DtypeError):
        declared_element_type(declared)


# -- compounds -------------------------------------------------------------------------------------


def test_a_field_takes_its_width_from_the_data() -> None:
    data = np.dtype([("a", "f4"), ("b", "S7"), ("c", "U3")])
    entries = [
        {"name": "a", "dtype": "numeric"},
        {"name": "b", "dtype": "ascii"},
        {"name": "c", "dtype": "text"},
    ]
    assert element_type_from_compound(entries, data) == ElementType(
        "compound",
        fields=(
            ("a", number("float32")),
            ("b", ElementType("fixed_bytes", np.dtype("S7"))),
            ("c", TEXT),
        ),
    )


def test_a_field_is_found_by_position_where_the_data_name_it_otherwise() -> None:
    entries = [{"name": "x", "dtype": "numeric"}]
    element = element_type_from_compound(entries, np.dtype([("f0", "i2")]))
    assert element.fields == (("x", number("int16")),)


@pytest.mark.parametrize(
    "entries",
    [
        [{"name": "good", "dtype": "int8"}, {"name": "bad", "dtype": "integer"}],
        [{"name": "good", "dtype": "int8"}, {"name": "bad", "dtype": "numeric"}],
        [{"name": "good", "dtype": "int8"}, {"name": "bad", "dtype": None}],
    ],
)
def test_the_refusal_of_a_compound_names_the_field(entries: Any) -> None:
    with pytest.raises(DtypeError, match="field 'bad'"):
        element_type_from_compound(entries, None)


def test_a_compound_in_a_compound_is_stored_by_its_leaves() -> None:
    inner = ElementType("compound", fields=(("x", number("int8")), ("t", TEXT)), shape=(2,))
    outer = ElementType("compound", fields=(("inner", inner),))
    assert stored_numpy_dtype(outer, {"inner[1].t": 3}) == np.dtype(
        [("inner[0].x", "i1"), ("inner[0].t", "U1"), ("inner[1].x", "i1"), ("inner[1].t", "U3")]
    )
    assert outer.flat.fields[1] == ("inner[0].t", TEXT)
    assert outer.kinds == {"compound", "number", "text"}
    assert outer.holds_variable
    assert outer.memory_bytes == 2 * (1 + TEXT.memory_bytes)
    assert field_dtype_name(inner) == "void"


# -- in the store, in memory, in a builder ---------------------------------------------------------

COMPOUND = ElementType(
    "compound",
    fields=(
        ("n", number("int32")),
        ("t", TEXT),
        ("a", ASCII),
        ("d", ISODATETIME),
        ("b", BYTES),
        ("r", REFERENCE),
        ("s", ElementType("fixed_bytes", np.dtype("S4"))),
    ),
)


@pytest.mark.parametrize(
    ("element", "header", "stored", "memory"),
    [
        *[(number(name), name, name, name) for name in NUMBERS],
        (number(">i4"), "int32", "int32", ">i4"),
        (TEXT, "str", "string", "O"),
        (ASCII, "ascii", "string", "O"),
        (ISODATETIME, "isodatetime", "string", "O"),
        (REFERENCE, "object_reference", "string", "O"),
        (BYTES, "bytes", "variable_length_bytes", "O"),
    ],
    ids=repr,
)
def test_an_element_type_is_told_and_stored_as(
    element: ElementType, header: str, stored: str, memory: str
) -> None:
    assert header_name(element) == header
    assert type(stored_dtype(element)) is type(zarr.dtype.parse_dtype(stored, zarr_format=3))
    assert element.memory_dtype == np.dtype(memory)


def test_a_compound_is_stored_with_the_widths_that_it_needs() -> None:
    dtype = stored_numpy_dtype(COMPOUND, {"t": 5, "a": 0, "b": 3})
    assert dtype == np.dtype(
        [("n", "i4"), ("t", "U5"), ("a", "U1"), ("d", "U1"), ("b", "S3"), ("r", "U1"), ("s", "S4")]
    )
    assert header_name(COMPOUND) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data_type = stored_dtype(COMPOUND, {"t": 5})
    assert isinstance(data_type, zarr.dtype.Structured) or type(data_type).__name__ == "Struct"
    assert COMPOUND.memory_dtype == np.dtype(
        [("n", "i4"), *[(name, "O") for name in "tadbr"], ("s", "S4")]
    )


def test_bytes_of_no_width_get_one() -> None:
    assert stored_numpy_dtype(ElementType("fixed_bytes", np.dtype("S0")), {}) == np.dtype("S1")


@pytest.mark.parametrize("element", [TEXT, BYTES, REFERENCE], ids=repr)
def test_what_varies_has_no_numpy_dtype(element: ElementType) -> None:
    with pytest.raises(DtypeError, match="no numpy dtype"):
        stored_numpy_dtype(element, {})


def test_a_builder_has_the_dtype_that_hdf5_gives() -> None:
    assert builder_dtype(number("int8")) == np.dtype("int8")
    assert builder_dtype(REFERENCE) == "object"
    assert h5py.check_string_dtype(builder_dtype(TEXT)).encoding == "utf-8"
    assert h5py.check_string_dtype(builder_dtype(ASCII)).encoding == "ascii"
    assert builder_dtype(COMPOUND)[:2] == [
        {"name": "n", "dtype": "int32"},
        {"name": "t", "dtype": "utf"},
    ]


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (TEXT, "utf"),
        (ASCII, "ascii"),
        (ISODATETIME, "ascii"),
        (BYTES, "ascii"),
        (REFERENCE, "object"),
        (number("uint16"), "uint16"),
        (number("bool"), "bool"),
    ],
)
def test_a_field_has_the_name_that_hdf5_gives(element: ElementType, name: str) -> None:
    assert field_dtype_name(element) == name


def test_the_fields_of_a_compound_are_named_as_hdf5_names_them() -> None:
    entries = [
        {"name": "n", "dtype": "uint16"},
        {"name": "t", "dtype": "text"},
        {"name": "a", "dtype": "ascii"},
        {"name": "f", "dtype": "float"},
    ]
    dataset = as_hdf5_has_it(entries, [(1, "x", b"y", 0.5)])
    manager = BuildManager(TypeMap(NamespaceCatalog()))
    io = HDF5IO(dataset.file.filename, mode="r", file=dataset.file, manager=manager)
    expected = io.read_builder()["data"].dtype
    ours = builder_dtype(element_type_from_numpy(dataset.dtype))
    assert [(e["name"], e["dtype"]) for e in ours] == [(e["name"], e["dtype"]) for e in expected]


def test_text_becomes_bytes_element_by_element() -> None:
    values = np.array([["é", "b"], [b"\xff", ""]], dtype=object)
    assert as_bytes_elements(values).tolist() == [[b"\xc3\xa9", b"b"], [b"\xff", b""]]
