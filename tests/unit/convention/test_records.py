"""Compound attributes are JSON with the values of each leaf, and are read as they were."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hdmf_zarr.convention.attributes import decode_attribute, encode_attribute
from hdmf_zarr.convention.records import (
    COMPOUND,
    MOST_BYTES,
    MOST_LEAVES,
    decode_compound,
    encode_compound,
    entries_in,
    is_compound,
    is_reference,
    reference_leaves,
    with_references,
)
from hdmf_zarr.core.dtypes import enum_names_of, with_enum_names
from hdmf_zarr.errors import DtypeError, HDMFZarrError, MetadataError

POINT = np.dtype([("n", "<i4"), ("p", [("x", "<f8")])])
TEXTS = h5py.string_dtype()
ASCII = h5py.string_dtype("ascii")


def lists(values: Any) -> Any:
    return values.tolist()


def arrays(value: Any, dtype: np.dtype[Any]) -> Any:
    return np.array(value, dtype=dtype)


def recorded(shape: list[int], fields: list[Any]) -> str:
    return COMPOUND + json.dumps({"shape": shape, "fields": fields})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((), POINT)[()], True),
        (np.zeros(2, POINT), True),
        (np.zeros(2, "i4"), False),
        (np.void(b"ab"), False),
        ((1, 2.0), False),
        ({"n": 1}, False),
        (None, False),
    ],
)
def test_a_compound_has_names(value: Any, *, expected: bool) -> None:
    assert is_compound(value) is expected


# -- encoding --------------------------------------------------------------------------------------


def test_the_json_has_an_entry_for_each_leaf() -> None:
    value = np.array([(1, (2.5,)), (3, (4.5,))], POINT)
    encoded, said = encode_compound(value, lists)
    assert encoded == {"n": [1, 3], "p.x": [2.5, 4.5]}
    assert said == recorded([2], [["n", "int32"], ["p", [["x", "float64"]]]])


def test_one_record_has_no_dimension() -> None:
    encoded, said = encode_compound(np.array((1, (2.5,)), POINT)[()], lists)
    assert encoded == {"n": 1, "p.x": 2.5}
    assert said == recorded([], [["n", "int32"], ["p", [["x", "float64"]]]])


def test_an_array_in_a_field_has_an_entry_for_each_element() -> None:
    dtype = np.dtype([("w", "<i2", (2,)), ("c", [("x", "i1")], (1, 1))])
    encoded, said = encode_compound(np.array(((1, 2), [[(3,)]]), dtype), lists)
    assert list(encoded) == ["w[0]", "w[1]", "c[0,0].x"]
    assert list(encoded.values()) == [1, 2, 3]
    assert said == recorded([], [["w", "int16", [2]], ["c", [["x", "int8"]], [1, 1]]])


def test_the_kinds_of_text_and_of_numbers_are_told_apart() -> None:
    colors = h5py.enum_dtype({"A": 0, "B": 1}, basetype="i1")
    dtype = np.dtype(
        [("t", TEXTS), ("a", ASCII), ("s", "S3"), ("u", "U2"), ("e", colors), ("r", h5py.ref_dtype)]
    )
    said = encode_compound(np.zeros(0, dtype), lists)[1]
    fields = json.loads(said.removeprefix(COMPOUND))["fields"]
    assert fields == [
        ["t", "str"],
        ["a", "bytes"],
        ["s", "S3"],
        ["u", "str"],
        ["e", {"enum": {"A": 0, "B": 1}, "dtype": "int8"}],
        ["r", "object_reference"],
    ]


@pytest.mark.parametrize(
    "dtype", ["O", "V3", "M8[s]", h5py.vlen_dtype("i4"), h5py.regionref_dtype, np.longdouble]
)
def test_a_leaf_that_is_neither_number_nor_text_is_refused(dtype: Any) -> None:
    value = np.zeros(1, [("p", [("bad", dtype)])])
    with pytest.raises(DtypeError, match="field 'p' of the compound: field 'bad' of the compound"):
        encode_compound(value, lists)


def test_a_compound_with_very_many_leaves_is_refused() -> None:
    fits = np.zeros((), [("w", "i1", (MOST_LEAVES,))])
    assert len(encode_compound(fits, lists)[0]) == MOST_LEAVES
    with pytest.raises(DtypeError, match=f"more than {MOST_LEAVES} numbers and texts; store it as"):
        encode_compound(np.zeros((), [("w", "i1", (MOST_LEAVES + 1,))]), lists)


# -- decoding --------------------------------------------------------------------------------------


def test_what_is_recorded_is_read() -> None:
    found = decode_compound(
        {"n": [1, 3], "p.x": [2.5, 4.5]},
        recorded([2], [["n", "int32"], ["p", [["x", "float64"]]]]),
        arrays,
    )
    assert found.dtype == POINT
    assert found.tolist() == [(1, (2.5,)), (3, (4.5,))]
    one = decode_compound({"n": 1}, recorded([], [["n", "int8"]]), arrays)
    assert isinstance(one, np.void)
    assert one.tolist() == (1,)


def test_text_is_marked_as_h5py_marks_it() -> None:
    fields = [["t", "str"], ["a", "bytes"], ["s", "S3"], ["e", {"enum": {"A": 0}, "dtype": "int8"}]]
    value = {"t": ["x"], "a": [b"y"], "s": [b"z"], "e": [0]}
    dtype = decode_compound(value, recorded([1], fields), arrays).dtype
    assert h5py.check_string_dtype(dtype["t"]).encoding == "utf-8"
    assert h5py.check_string_dtype(dtype["a"]).encoding == "ascii"
    assert dtype["s"] == np.dtype("S3")
    assert h5py.check_enum_dtype(dtype["e"]) == {"A": 0}


N = [["n", "int8"]]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, recorded([], N)),
        ([1], recorded([1], N)),
        ({}, recorded([], N)),
        ({"n": 1, "m": 2}, recorded([], N)),
        ({"m": 1}, recorded([], N)),
        ({"n": [1]}, recorded([], N)),
        ({"n": [1]}, recorded([2], N)),
        ({"n": 1}, recorded([1], N)),
        ({}, recorded([], [])),
        ({"n": 1}, recorded([], [["n", "O"]])),
        ({"n": 1}, recorded([], [["n", "V3"]])),
        ({"n": 1}, recorded([], [["n", "M8[s]"]])),
        ({"n": 1}, recorded([], [["n", "longdouble"]])),
        ({"n": 1}, recorded([], [["n", f"S{MOST_BYTES + 1}"]])),
        ({"n": 1}, recorded([], [["n", "no such dtype"]])),
        ({"n": 1}, recorded([], [["n", None, [3]]])),
        ({"n": 1}, recorded([], [["n"]])),
        ({"n": 1}, recorded([], [["n", {"dtype": "int8"}]])),
        ({"n": 1}, recorded([], [["n", "int8", [-1]]])),
        ({"n": 1}, COMPOUND + "{}"),
        ({"n": 1}, COMPOUND + "[]"),
        ({"n": 1}, COMPOUND + "not json"),
        ({"n": 1}, COMPOUND),
    ],
)
def test_json_that_is_not_what_is_recorded_is_refused(value: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        decode_compound(value, said, arrays)
    with pytest.raises(HDMFZarrError):
        decode_attribute(value, said)


def test_json_that_claims_very_many_leaves_is_refused() -> None:
    huge = recorded([], [["n", "int8", [10**6, 10**6]]])
    with pytest.raises(MetadataError):
        decode_attribute({"n": 1}, huge)


# -- there and back --------------------------------------------------------------------------------

NUMBERS = st.sampled_from(["i1", "<i4", "<u8", "<f4", "<f8", "?", "<c8"])
LEAVES = st.one_of(NUMBERS, st.tuples(NUMBERS, st.sampled_from([(2,), (1, 2)])))
FIELDS = st.lists(LEAVES, min_size=1, max_size=3).map(
    lambda kinds: [
        (f"f{at}", *(kind if isinstance(kind, tuple) else (kind,))) for at, kind in enumerate(kinds)
    ]
)
DTYPES = st.one_of(
    FIELDS.map(np.dtype), FIELDS.map(lambda fields: np.dtype([("a", "<i2"), ("in", fields)]))
)


@given(st.data(), DTYPES, st.sampled_from([(), (0,), (2,), (2, 1)]))
def test_numbers_are_read_as_they_were_written(data: Any, dtype: Any, shape: Any) -> None:
    value = data.draw(hnp.arrays(dtype, shape))[()]
    json_value, said = encode_attribute(value)
    again = decode_attribute(json.loads(json.dumps(json_value)), said)
    assert again.dtype == value.dtype
    assert again.shape == value.shape
    for (name, one), (_, other) in zip(
        encode_attribute(again)[0].items(), json_value.items(), strict=True
    ):
        assert json.dumps(one) == json.dumps(other), name


@given(
    hnp.arrays(object, (3,), elements=st.text("aé\U0001f600 ", max_size=4)),
    st.sampled_from([TEXTS, ASCII]),
)
def test_text_is_read_as_bytes(texts: Any, kind: Any) -> None:
    value = np.zeros(3, [("n", "i1"), ("t", kind)])
    value["t"] = texts
    found = decode_attribute(*encode_attribute(value))
    assert [entry.decode() for entry in found["t"]] == texts.tolist()


def test_names_of_an_enumeration_are_read_as_they_were() -> None:
    dtype = with_enum_names(np.dtype([("e", "i1")]), {"e": {"A": 0, "B": 1}})
    found = decode_attribute(*encode_attribute(np.array([(1,)], dtype)))
    assert enum_names_of(found.dtype) == {"e": {"A": 0, "B": 1}}


# -- references ------------------------------------------------------------------------------------


def test_leaves_that_are_references_are_known() -> None:
    dtype = np.dtype([("n", "i1"), ("r", h5py.ref_dtype), ("g", h5py.regionref_dtype)])
    assert [leaf.name for leaf in reference_leaves(dtype)] == ["r"]
    assert is_reference(h5py.ref_dtype)
    assert not is_reference(h5py.regionref_dtype)
    assert not is_reference(np.dtype("O"))


def test_other_objects_stand_for_references() -> None:
    dtype = np.dtype([("n", "i1"), ("p", [("r", h5py.ref_dtype, (2,))])])
    value = np.zeros(2, dtype)
    value["n"] = [1, 2]
    value["p"]["r"] = [["a", "b"], ["c", None]]
    changed = with_references(value, lambda entry: entry and {"to": entry})
    assert changed["n"].tolist() == [1, 2]
    assert changed["p"]["r"].tolist() == [[{"to": "a"}, {"to": "b"}], [{"to": "c"}, None]]
    assert [leaf.name for leaf in reference_leaves(changed.dtype)] == ["p.r[0]", "p.r[1]"]
    assert value["p"]["r"][0].tolist() == ["a", "b"]
    hdf5 = with_references(value, lambda _: None, h5py.ref_dtype)
    assert h5py.check_ref_dtype(hdf5.dtype["p"]["r"].base) is h5py.Reference
    assert isinstance(with_references(value[0], str), np.void)


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        (None, []),
        ("a", []),
        (3, []),
        ({"n": [1, 2], "r": [{"a": 1}, None, {"b": 2}]}, [{"a": 1}, {"b": 2}]),
        ({"r": {"a": 1}}, [{"a": 1}]),
        ([{"a": 1}, [[{"b": 2}]]], [{"a": 1}, {"b": 2}]),
    ],
)
def test_objects_in_the_json_may_be_references(value: Any, entries: list[Any]) -> None:
    assert list(entries_in(value)) == entries
