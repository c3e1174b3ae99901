"""Elements: what users supply -> one form in memory <-> what Zarr stores."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.build import GroupBuilder, ReferenceBuilder

from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    stored_numpy_dtype,
)
from hdmf_zarr.core.elements import (
    bytes_where_not_text,
    check_storable,
    decode_elements,
    encode_elements,
    encoded_size,
    field_widths,
    first_leaf,
    infer_element_type,
    to_memory,
    undecodable,
)
from hdmf_zarr.errors import DtypeError, EncodingError


def number(name: str) -> ElementType:
    return ElementType("number", np.dtype(name))


def name_of(target: Any) -> str:
    return f"/{target.builder.name if isinstance(target, ReferenceBuilder) else target}"


def memory(data: Any, element: ElementType) -> Any:
    return to_memory(data, element, name_of)


TARGET = GroupBuilder("target")
COMPOUND = ElementType("compound", fields=(("start", number("int32")), ("label", TEXT)))
ROWS = np.array([(1, "a"), (2, "bc")], dtype=COMPOUND.memory_dtype)


# -- which type data have --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "element"),
    [
        (1, number("int64")),
        (1.5, number("float64")),
        (True, number("bool")),
        ([1, 2], number("int64")),
        ([[1.5], [2]], number("float64")),
        ([], number("float64")),
        ([[], []], number("float64")),
        (np.int8(1), number("int8")),
        ([np.float32(1), np.float32(2)], number("float32")),
        (np.zeros(3, "u2"), number("uint16")),
        (np.array([1, 2], dtype=object), number("int64")),
        ("text", TEXT),
        (["a", "b"], TEXT),
        ([["a"], ["b"]], TEXT),
        ([None, "a"], TEXT),
        (np.array(["a"]), TEXT),
        (np.array(["a"], dtype=object), TEXT),
        (np.array(["a"], dtype=np.dtypes.StringDType()), TEXT),
        (b"bytes", ASCII),
        ([b"a"], ASCII),
        (np.array([b"a"]), ASCII),
        (np.array([b"a"], dtype=object), ASCII),
        (date(2024, 1, 2), ISODATETIME),
        ([datetime(2024, 1, 2, tzinfo=UTC)], ISODATETIME),
        (TARGET, REFERENCE),
        ([ReferenceBuilder(TARGET)], REFERENCE),
        (np.zeros(1, [("a", "i1")]), ElementType("compound", fields=(("a", number("int8")),))),
        (np.zeros(0, h5py.string_dtype()), TEXT),
    ],
    ids=repr,
)
def test_the_type_of_data_is(data: Any, element: ElementType) -> None:
    assert infer_element_type(data) == element


@pytest.mark.parametrize("data", [np.timedelta64(1, "s"), object(), [object()], {"a": 1}, [None]])
def test_data_without_a_type_are_refused(data: Any) -> None:
    with pytest.raises(DtypeError):
        infer_element_type(data)


@pytest.mark.parametrize(
    ("data", "leaf"),
    [
        ([[None, 1], [2]], 1),
        ([], None),
        ([[], ["x"]], "x"),
        ("text", "text"),
        (np.zeros((2, 0)), None),
        (np.array([[3, 4]]), 3),
        (np.array([None, "a"], dtype=object), "a"),
        (5, 5),
    ],
)
def test_the_first_leaf_of_data_is(data: Any, leaf: Any) -> None:
    assert first_leaf(data) == leaf


# -- to memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "element", "expected"),
    [
        ([1, 2], number("int16"), np.array([1, 2], "i2")),
        (5, number("int8"), np.array(5, "i1")),
        ([[1, 2], [3, 4]], number("float64"), np.array([[1.0, 2], [3, 4]])),
        ((1, 2), number("uint8"), np.array([1, 2], "u1")),
        ([2**63 + 1, 0], number("uint64"), np.array([2**63 + 1, 0], "u8")),
        (np.zeros((0, 3)), number("int8"), np.zeros((0, 3), "i1")),
        ([1.5], number("float32"), np.array([1.5], "f4")),
        ([np.nan], number("float32"), np.array([np.nan], "f4")),
        ([1.0, 2.0], number("int32"), np.array([1, 2], "i4")),
        (["a", "é"], TEXT, np.array(["a", "é"], object)),
        ([b"a", "b"], TEXT, np.array(["a", "b"], object)),
        (np.array([["a"], ["b"]]), TEXT, np.array([["a"], ["b"]], object)),
        ("text", TEXT, np.array("text", object)),
        ([], TEXT, np.array([], object)),
        ([date(2024, 1, 2)], TEXT, np.array(["2024-01-02"], object)),
        (["a", b"b", "é"], ASCII, np.array([b"a", b"b", b"\xc3\xa9"], object)),
        (date(2024, 1, 2), ISODATETIME, np.array(b"2024-01-02", object)),
        ([b"\xff"], BYTES, np.array([b"\xff"], object)),
        ([bytearray(b"\x00")], BYTES, np.array([b"\x00"], object)),
        ([ReferenceBuilder(TARGET), None], REFERENCE, np.array(["/target", ""], object)),
        ([["x"], ["y"]], REFERENCE, np.array([["/x"], ["/y"]], object)),
        (
            ["a", b"bc"],
            ElementType("fixed_bytes", np.dtype("S1")),
            np.array([b"a", b"bc"], "S2"),
        ),
        (
            np.array([b"a"], "S5"),
            ElementType("fixed_bytes", np.dtype("S1")),
            np.array([b"a"], "S5"),
        ),
    ],
)
def test_data_in_memory_are(data: Any, element: ElementType, expected: Any) -> None:
    values = memory(data, element)
    assert isinstance(values, np.ndarray)
    assert values.dtype == expected.dtype
    assert values.shape == expected.shape
    np.testing.assert_array_equal(values, expected)
    if values.dtype.kind == "O":
        assert list(map(type, values.ravel())) == list(map(type, expected.ravel()))


@pytest.mark.parametrize(
    ("data", "name", "kept"),
    [
        ([300], "int8", "int64"),
        ([-1], "uint8", "int64"),
        ([1.5], "int32", "float64"),
        ([np.nan], "int32", "float64"),
        ([2**53 + 1], "float64", "int64"),
        ([np.inf], "int64", "float64"),
        ([2**63], "int64", "uint64"),
        ([2], "bool", "int64"),
    ],
)
def test_numbers_that_a_dtype_does_not_hold_stay_in_their_own(
    data: Any, name: str, kept: str
) -> None:
    values = memory(data, number(name))
    assert values.dtype == np.dtype(kept)
    np.testing.assert_array_equal(values, np.array(data))


@pytest.mark.parametrize(
    "data",
    [
        [(1, "a"), (2, "bc")],
        [[1, "a"], [2, "bc"]],
        ((1, "a"), (2, "bc")),
        [(np.int32(1), np.str_("a")), (np.int64(2), b"bc")],
        np.array([(1, "a"), (2, "bc")], dtype=[("start", "i4"), ("label", "U2")]),
        np.array([(1, "a"), (2, "bc")], dtype=[("x", "i2"), ("y", "O")]),
        np.rec.array([(1, "a"), (2, "bc")], dtype=[("start", "i8"), ("label", "U5")]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_rows_in_memory_are_records(data: Any) -> None:
    values = memory(data, COMPOUND)
    assert values.dtype == COMPOUND.memory_dtype
    assert values.tolist() == ROWS.tolist()


def test_one_row_is_one_row() -> None:
    assert memory([(1, "a")], COMPOUND).shape == (1,)
    assert memory((1, "a"), COMPOUND).shape == ()
    assert memory(ROWS[0], COMPOUND).shape == ()
    assert memory(ROWS[:1], COMPOUND).shape == (1,)


def test_no_rows_are_no_rows() -> None:
    values = memory([], COMPOUND)
    assert values.shape == (0,)
    assert values.dtype == COMPOUND.memory_dtype


@pytest.mark.parametrize(
    ("data", "element", "message"),
    [
        ([[1, 2], [3]], number("int8"), "ragged"),
        ([1, [2]], number("int8"), "ragged"),
        ([["a"], ["b", "c"]], TEXT, "ragged"),
        (["a", ["b"]], TEXT, "ragged"),
        ([["a"], "b"], TEXT, "ragged"),
        ([["a"], [["b"]]], TEXT, "ragged"),
        ([1], TEXT, "expected text, found 1"),
        ([None], TEXT, "expected text, found None"),
        ([b"\xff"], TEXT, "not UTF-8"),
        (["\ud800"], ASCII, "cannot be encoded"),
        (["a"], number("int8"), "expected int8, found 'a'"),
        ([object()], number("int8"), "expected int8"),
        ([2**63, -1], number("int64"), "no integer type holds all"),
        ([None, 1], number("int8"), "expected int8"),
        ([(1,), (2,)], COMPOUND, "a row has 1 values, the compound 2 fields"),
        ([(1, 2)], COMPOUND, "field 'label': expected text"),
        ([("a", "b")], COMPOUND, "field 'start': expected int32"),
        ([(2**40, "b")], COMPOUND, "field 'start': int64 values do not fit int32"),
        ([(1, "a"), (1, "a", 2)], COMPOUND, "ragged"),
        ([(1, "a"), 5], COMPOUND, "row"),
        (5, COMPOUND, "row"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Any, element: ElementType, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        memory(data, element)


def test_the_data_of_the_caller_are_not_changed() -> None:
    data = np.array([(1, "a")], dtype=[("start", "i4"), ("label", "O")])
    values = memory(data, COMPOUND)
    values["label"] = "changed"
    assert data["label"].tolist() == ["a"]


# -- to the store and back -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "element", "stored"),
    [
        (np.array([1, 2], "i2"), number("int16"), np.array([1, 2], "i2")),
        (np.array(["a", "é"], object), TEXT, np.array(["a", "é"], object)),
        (np.array([b"a", b"\xc3\xa9"], object), ASCII, np.array(["a", "é"], object)),
        (np.array([b"2024"], object), ISODATETIME, np.array(["2024"], object)),
        (np.array([b"\xff"], object), BYTES, np.array([b"\xff"], object)),
        (np.array(["/a", ""], object), REFERENCE, np.array(["/a", ""], object)),
        (np.array("x", object), TEXT, np.array("x", object)),
    ],
)
def test_elements_are_stored_as(values: Any, element: ElementType, stored: Any) -> None:
    encoded = encode_elements(values, element)
    assert encoded.dtype == stored.dtype
    assert encoded.tolist() == stored.tolist()
    assert decode_elements(encoded, element).tolist() == values.tolist()


def test_records_are_stored_in_their_widths() -> None:
    dtype = stored_numpy_dtype(COMPOUND, field_widths(ROWS, COMPOUND))
    assert dtype == np.dtype([("start", "i4"), ("label", "U2")])
    encoded = encode_elements(ROWS, COMPOUND, dtype)
    assert encoded.dtype == dtype
    decoded = decode_elements(encoded, COMPOUND)
    assert decoded.dtype == COMPOUND.memory_dtype
    assert decoded.tolist() == ROWS.tolist()


@pytest.mark.parametrize(
    ("values", "element", "message"),
    [
        (np.array(["\ud800"], object), TEXT, "cannot be encoded as UTF-8"),
        (np.array([b"\xff"], object), ASCII, "not UTF-8"),
    ],
)
def test_text_that_cannot_be_encoded_is_refused(
    values: Any, element: ElementType, message: str
) -> None:
    with pytest.raises(EncodingError, match=message):
        encode_elements(values, element)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("abc", "field 'label' holds 2 characters, 'abc' has 3"),
        ("a\0", "ends with NUL"),
        ("\ud800", "cannot be encoded"),
    ],
)
def test_text_that_does_not_fit_its_field_is_refused_and_never_cut(
    label: str, message: str
) -> None:
    rows = np.array([(1, label)], dtype=COMPOUND.memory_dtype)
    with pytest.raises(EncodingError, match=message):
        encode_elements(rows, COMPOUND, np.dtype([("start", "i4"), ("label", "U2")]))


def test_widths_are_counted_in_characters_of_text_and_bytes_of_bytes() -> None:
    element = ElementType(
        "compound", fields=(("t", TEXT), ("a", ASCII), ("b", BYTES), ("n", number("int8")))
    )
    rows = np.array(
        [("ééé", "éé".encode(), b"\xff\xfe\xfd\xfc", 1), ("", b"", b"", 2)],
        dtype=element.memory_dtype,
    )
    assert field_widths(rows, element) == {"t": 3, "a": 2, "b": 4}
    assert field_widths(rows[1:], element) == {"t": 1, "a": 1, "b": 1}
    assert field_widths(rows[:0], element) == {"t": 1, "a": 1, "b": 1}


# -- what is no text -------------------------------------------------------------------------------


def test_ascii_that_is_no_text_becomes_bytes() -> None:
    good = np.array([b"a", b"\xc3\xa9"], object)
    bad = np.array([b"a", b"\xff"], object)
    assert not undecodable(good)
    assert undecodable(bad)
    assert bytes_where_not_text(ASCII, good) is ASCII
    assert bytes_where_not_text(ASCII, bad) is BYTES
    assert bytes_where_not_text(TEXT, bad) is TEXT


def test_only_the_field_that_is_no_text_becomes_bytes() -> None:
    element = ElementType("compound", fields=(("a", ASCII), ("b", ASCII)))
    rows = np.array([(b"a", b"\xff")], dtype=element.memory_dtype)
    assert bytes_where_not_text(element, rows).fields == (("a", ASCII), ("b", BYTES))


def test_the_size_of_elements() -> None:
    assert encoded_size(np.zeros(3, "i2")) == 6
    assert encoded_size(np.array(["abc", ""], object)) == 11


def test_a_compound_with_too_many_leaves_is_refused() -> None:
    for count, is_storable in ((1, True), (2048, True), (2049, False), (10**7, False)):
        inner = replace(COMPOUND, shape=(count,))
        with (
            contextlib.nullcontext() if is_storable else pytest.raises(DtypeError, match="at most")
        ):
            check_storable(ElementType("compound", fields=(("inner", inner),)))
    check_storable(COMPOUND)
