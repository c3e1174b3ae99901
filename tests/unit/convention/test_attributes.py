"""Values of attributes -> JSON and the dtype that it loses -> values."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from hdmf_zarr.convention.attributes import decode_attribute, encode_attribute
from hdmf_zarr.errors import DtypeError, EncodingError, MetadataError


def round_trip(value: Any) -> Any:
    encoded, dtype = encode_attribute(value)
    return decode_attribute(json.loads(json.dumps(encoded)), dtype, empty=h5py.Empty)


def assert_same_array(actual: Any, expected: npt.NDArray[Any]) -> None:
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


# -- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "encoded", "dtype"),
    [
        ("text", "text", None),
        ("NaN", "NaN", None),
        ("", "", None),
        (b"text", "text", None),
        (np.bytes_(b"text"), "text", None),
        (np.str_("text"), "text", None),
        (True, True, None),
        (np.bool_(False), False, None),
        (5, 5, None),
        (2**64 - 1, 2**64 - 1, "uint64"),
        (-(2**63), -(2**63), None),
        (1.5, 1.5, None),
        (None, None, None),
        (np.int64(5), 5, None),
        (np.float64(1.5), 1.5, None),
        (np.int8(-5), -5, "int8"),
        (np.uint32(5), 5, "uint32"),
        (np.float32(0.5), 0.5, "float32"),
        (np.float16(0.5), 0.5, "float16"),
        (1 - 2j, [1.0, -2.0], "complex128"),
        (np.complex64(0.5j), [0.0, 0.5], "complex64"),
        ([[1j], [2]], [[[0.0, 1.0]], [[2.0, 0.0]]], "complex128"),
        (np.zeros((2, 0), "c8"), [[], []], "complex64"),
        (np.zeros((0, 2), "c8"), [], "(0, 2)complex64"),
        (b"\xff\x00", "/wA=", "base64"),
        (date(2024, 1, 2), "2024-01-02", None),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00", None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}, None),
        ([1, 2], [1, 2], None),
        ((1, 2), [1, 2], None),
        ([1.0, 2.0], [1.0, 2.0], None),
        (["a", "b"], ["a", "b"], None),
        ([b"a", b"b"], ["a", "b"], None),
        (np.array([b"a", b"b"]), ["a", "b"], "S1"),
        ([True, False], [True, False], None),
        ([2**63, 2**63 + 1], [2**63, 2**63 + 1], "uint64"),
        (np.array([1, 2], dtype="uint8"), [1, 2], "uint8"),
        (np.array([[1], [2]], dtype=">i4"), [[1], [2]], "int32"),
        (np.array(["a", "bc"]), ["a", "bc"], None),
        (np.array(["a", "bc"], dtype=object), ["a", "bc"], None),
        (np.array(5, dtype="int16"), 5, "int16"),
        (np.array("text"), "text", None),
        (np.array([], dtype="float64"), [], None),
        (np.array([], dtype="int64"), [], "int64"),
        (np.array([], dtype=object), [], "str"),
        ([], [], None),
        (h5py.Empty("f4"), None, "empty <f4"),
        ([{"a": 1}], [{"a": 1}], None),
    ],
    ids=repr,
)
def test_a_value_is_written_as(value: Any, encoded: Any, dtype: str | None) -> None:
    assert encode_attribute(value) == (encoded, dtype)
    assert type(encode_attribute(value)[0]) is type(encoded)


# -- what comes back -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "bool"),
    ],
)
def test_numbers_keep_their_dtype(name: str) -> None:
    dtype = np.dtype(name)
    scalar = round_trip(dtype.type(1))
    assert scalar == 1
    assert np.asarray(scalar).dtype == dtype
    for shape in [(3,), (2, 2), (0,), (1, 0)]:
        assert_same_array(round_trip(np.ones(shape, dtype)), np.ones(shape, dtype))


@pytest.mark.parametrize("shape", [(0, 3), (0, 0), (2, 0, 3), (2, 2, 0, 3), (2, 2, 0)])
@pytest.mark.parametrize("dtype", ["float64", "int16", "bool", "S3"])
def test_the_shape_of_an_empty_array_is_kept(shape: tuple[int, ...], dtype: str) -> None:
    assert_same_array(round_trip(np.zeros(shape, dtype)), np.zeros(shape, dtype))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
@pytest.mark.parametrize("dtype", ["U3", object])
def test_the_shape_of_empty_text_is_kept(shape: tuple[int, ...], dtype: Any) -> None:
    assert_same_array(round_trip(np.zeros(shape, dtype)), np.zeros(shape, object))


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_kept(name: str, value: float) -> None:
    dtype = np.dtype(name)
    scalar = round_trip(dtype.type(value))
    np.testing.assert_equal(scalar, dtype.type(value))
    assert np.asarray(scalar).dtype == dtype
    assert_same_array(round_trip(np.array([[value, 1]], dtype)), np.array([[value, 1]], dtype))


@pytest.mark.parametrize("value", [1 - 2j, np.complex128(1j), np.complex64(complex("nan-infj"))])
def test_a_complex_number_is_one_number(value: Any) -> None:
    found = round_trip(value)
    assert type(found) is type(np.asarray(value)[()])
    assert repr(found) == repr(np.asarray(value)[()])


def test_complex_numbers_keep_their_parts() -> None:
    """The sign of a zero, and what NaN has beside it."""
    values = np.array([[complex(-0.0, 1)], [complex("nan-infj")], [complex(0, -0.0)]], dtype="c8")
    found = round_trip(values)
    assert (found.dtype, found.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(np.signbit(found.real), np.signbit(values.real))
    np.testing.assert_array_equal(np.signbit(found.imag), np.signbit(values.imag))
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "null", "true", "1", "{}", "\0"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert round_trip(text) == text
    assert round_trip([text, text]).tolist() == [text, text]


def test_text_that_ends_with_nul_is_kept_in_a_list() -> None:
    assert round_trip(["a\0", "b"]).tolist() == ["a\0", "b"]


def test_text_beside_numbers_stays_what_each_is() -> None:
    assert round_trip(["a", 1, 2.5]).tolist() == ["a", 1, 2.5]


@pytest.mark.parametrize("text", ["é", "日本", "😀", "e\u0301", "\u202e", "\x7f", "\U0010ffff"])
def test_text_of_every_script_is_kept(text: str) -> None:
    assert round_trip(text) == text
    assert round_trip(np.array([text])).tolist() == [text]
    assert round_trip(np.array([text.encode()])).tolist() == [text.encode()]


def test_bytes_that_are_no_text_are_kept() -> None:
    assert round_trip(bytes(range(256))) == bytes(range(256))


def test_bytes_that_are_text_come_back_as_text_as_from_hdf5() -> None:
    assert round_trip(b"\xc3\xa9") == "é"


def test_fixed_bytes_keep_their_width() -> None:
    assert_same_array(round_trip(np.array([b"a", b"bc"], "S5")), np.array([b"a", b"bc"], "S5"))


def test_an_attribute_with_a_type_and_no_value_is_kept() -> None:
    empty = round_trip(h5py.Empty("f4"))
    assert isinstance(empty, h5py.Empty)
    assert empty.dtype == np.dtype("f4")


def test_without_a_maker_a_type_without_value_is_none() -> None:
    assert decode_attribute(None, "empty <f4") is None


def test_objects_are_given_as_they_are() -> None:
    assert round_trip({"a": [1, "x", None]}) == {"a": [1, "x", None]}
    assert round_trip([{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]


def test_sets_come_back_as_arrays() -> None:
    assert sorted(round_trip({"b", "a"})) == ["a", "b"]


def test_the_value_of_the_caller_is_not_changed() -> None:
    value = [[1, 2], [3, 4]]
    encode_attribute(value)
    assert value == [[1, 2], [3, 4]]


# -- what has no JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        [[1], [2, 3]],
        [[1], 2],
        object(),
        2**64,
        -(2**63) - 1,
        [2**64],
        [object()],
        np.array([[1], [2, 3], None], dtype=object),
        {"a": object()},
        {"a": 1j},
        np.array([1j, "a"], dtype=object),
        [1j, "a"],
    ],
)
def test_a_value_without_json_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError):
        encode_attribute(value)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, [("a", "m8[s]")]),
        np.zeros(2, [("a", [("b", "V4", (2,))])]),
        np.datetime64("2024-01-01"),
        np.zeros(2, "m8[s]"),
        np.zeros(2, "V4"),
    ],
    ids=repr,
)
def test_a_dtype_without_json_is_refused(value: Any) -> None:
    with pytest.raises(DtypeError, match="dtype"):
        encode_attribute(value)


@pytest.mark.skipif(np.dtype("longdouble").itemsize == 8, reason="longdouble is double here")
def test_extended_precision_is_refused() -> None:
    with pytest.raises(DtypeError, match="dtype"):
        encode_attribute(np.longdouble(1))
    with pytest.raises(DtypeError, match="dtype"):
        encode_attribute(np.clongdouble(1))


def test_mixed_integers_that_no_type_holds_are_refused() -> None:
    with pytest.raises(EncodingError):
        encode_attribute([2**63 + 1, -1])
    assert encode_attribute([2**63, -1]) == ([2.0**63, -1.0], None)  # the same numbers, as in HDF5


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (300, "int8"),
        (1.0, "complex128"),
        ([1.0], "complex128"),
        ([1.0, 2.0, 3.0], "complex128"),
        ([["a", "b"]], "complex128"),
        (-1, "uint8"),
        ([300], "uint8"),
        ("text", "int8"),
        (["text"], "float32"),
        (None, "int8"),
        ({"a": 1}, "int8"),
        (1, "no such type"),
        (1, ""),
        (1, 5),
        (1, ["int8"]),
        (5, "base64"),
        ("é", "base64"),
        ("a", "base64"),
        (None, "empty nonsense"),
        (float("nan"), "int8"),
        ([1.5], "int8"),
        (1.5, "int8"),
        ([[1], [2, 3]], "int8"),
        ([], "(1000000, 1000000)float64"),
        ([1], "(0, 3)float64"),
        (None, "(0, 3)float64"),
    ],
)
def test_a_recorded_dtype_that_does_not_fit_is_refused(value: Any, dtype: Any) -> None:
    with pytest.raises(MetadataError, match="recorded dtype"):
        decode_attribute(value, dtype)
