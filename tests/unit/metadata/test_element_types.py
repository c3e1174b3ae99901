"""What the elements of an array are, by its document and its reserved attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.convention import ArrayHeader
from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    BYTES_TYPE,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    element_type_from_numpy,
)
from hdmf_zarr.core.nesting import leaves_of, nesting_of
from hdmf_zarr.errors import DtypeError, MetadataError
from hdmf_zarr.metadata.element_types import element_type_of_array, nested_type
from hdmf_zarr.metadata.format2 import BROKEN

BIG = {"name": "bytes", "configuration": {"endian": "big"}}
PAIR = {
    "name": "structured",
    "configuration": {"fields": [["x", "int32"], ["y", "float64"]]},
}


def number(dtype: str) -> ElementType:
    return ElementType("number", np.dtype(dtype))


def compound(*fields: tuple[str, ElementType], **more: Any) -> ElementType:
    return ElementType("compound", fields=tuple(fields), **more)


X, Y = ("x", number("<i4")), ("y", number("<f8"))


def element(data_type: Any, codecs: Any = (), **header: Any) -> ElementType:
    return element_type_of_array(
        {"data_type": data_type, "codecs": list(codecs)}, ArrayHeader(**header)
    )


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        ("int32", number("<i4")),
        ("bool", number("?")),
        ("complex128", number("<c16")),
        ("string", TEXT),
        (BYTES_TYPE, BYTES),
        (PAIR, compound(X, Y)),
    ],
    ids=str,
)
def test_a_data_type_says_what_elements_are(data_type: Any, expected: ElementType) -> None:
    assert element(data_type) == expected


def test_numbers_are_as_they_are_stored() -> None:
    found = element("int32", [BIG])
    assert found == number(">i4")
    assert found.numpy is not None
    assert found.numpy.byteorder == ">"


@pytest.mark.parametrize(
    ("data_type", "recorded", "expected"),
    [
        ("string", None, TEXT),
        ("string", "str", TEXT),
        ("string", "ascii", ASCII),
        ("string", "bytes", ASCII),
        ("string", "isodatetime", ISODATETIME),
        ("string", "object", REFERENCE),
        ("string", "object_reference", REFERENCE),
        ("string", "anything", TEXT),
        (BYTES_TYPE, None, BYTES),
        (BYTES_TYPE, "bytes", BYTES),
        (BYTES_TYPE, "ascii", ASCII),
        (BYTES_TYPE, "isodatetime", ISODATETIME),
        (BYTES_TYPE, "anything", BYTES),
        ("int32", "str", number("<i4")),
    ],
)
def test_a_recorded_type_says_more_of_text(
    data_type: str, recorded: str | None, expected: ElementType
) -> None:
    assert element(data_type, element_type=recorded) == expected


def test_bytes_are_what_the_convention_says_of_them() -> None:
    assert element(BYTES_TYPE, bytes_type="ascii") == ASCII
    assert element(BYTES_TYPE, bytes_type="ascii", element_type="bytes") == BYTES


def test_text_of_a_fixed_length_is_what_is_recorded() -> None:
    fixed = {"name": "fixed_length_utf32", "configuration": {"length_bytes": 16}}
    assert element(fixed).kind == "text"
    assert element(fixed, element_type="isodatetime") == ISODATETIME
    assert element(fixed, element_type="anything") == TEXT


def test_a_scalar_of_objects_is_a_reference() -> None:
    objects = [{"name": "hdmf_zarr.json2"}]
    assert element("string", objects, scalar=True) == REFERENCE
    assert element("string", objects) == TEXT
    assert element("string", [{"name": "vlen-utf8"}], scalar=True) == TEXT
    text = [{"name": "hdmf_zarr.json2", "configuration": {"is_text": True}}]
    assert element("string", text, scalar=True) == TEXT


def test_fields_are_what_is_recorded_of_them() -> None:
    text = {"name": "fixed_length_utf32", "configuration": {"length_bytes": 16}}
    fields = [["x", "int32"], *([name, text] for name in "rabt")]
    found = element(
        {"name": "structured", "configuration": {"fields": fields}},
        reference_fields=("r",),
        field_types={"a": "ascii", "b": "bytes", "x": "ascii"},
    )
    assert found == compound(X, ("r", REFERENCE), ("a", ASCII), ("b", BYTES), ("t", element(text)))


def test_rows_that_are_objects_have_the_recorded_fields() -> None:
    fields = (("n", "int32"), ("r", "object"), ("t", "str"), *((name, "bytes_") for name in "abcd"))
    found = element("string", fields=fields, field_types={"b": "bytes", "c": "S12", "d": "S0"})
    assert found == compound(
        ("n", number("<i4")),
        ("r", REFERENCE),
        ("t", TEXT),
        ("a", ASCII),
        ("b", BYTES),
        ("c", ElementType("fixed_bytes", np.dtype("S12"))),
        ("d", ASCII),
    )


def test_a_field_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(MetadataError, match="field 'n' has the dtype 'numeric'"):
        element("string", fields=(("n", "numeric"),))
    with pytest.raises(DtypeError, match="unknown dtype 'void99'"):
        element("string", fields=(("n", "void99"),))


def test_an_array_that_makes_no_sense_is_of_text() -> None:
    document = {BROKEN: "why", "data_type": 7}
    assert element_type_of_array(document, ArrayHeader()) == TEXT


@pytest.mark.parametrize("data_type", [None, 3, ["int32"]], ids=str)
def test_a_data_type_is_a_name_or_an_object(data_type: Any) -> None:
    with pytest.raises(MetadataError, match="data type .* is not known$"):
        element(data_type)


@pytest.mark.parametrize("data_type", ["int33", {"name": "int33"}, {}, {"name": None}], ids=str)
def test_a_data_type_that_zarr_does_not_know_is_an_error(data_type: Any) -> None:
    with pytest.raises(MetadataError, match="data type .* is not known: ") as caught:
        element(data_type)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("recorded", ["object", "object_reference"])
def test_references_are_not_numbers(recorded: str) -> None:
    with pytest.raises(MetadataError, match="references are recorded for an array of 'int32'"):
        element("int32", element_type=recorded)


def test_recorded_fields_are_those_of_the_store() -> None:
    names = (("x", "int32"), ("y", "float64"))
    assert element(PAIR, fields=names) == compound(X, Y)
    with pytest.raises(MetadataError, match="a compound is recorded for an array of 'int32'"):
        element("int32", fields=names)
    with pytest.raises(MetadataError, match=r"fields \['y', 'x'\] are recorded for .*'x', 'y'"):
        element(PAIR, fields=names[::-1])


def test_a_recorded_nesting_puts_fields_together() -> None:
    nesting = ["x", {"name": "p", "fields": ["y"]}]
    assert element(PAIR, nesting=nesting) == compound(X, ("p", compound(Y)))


def test_elements_of_an_array_are_of_one_type() -> None:
    flat = compound(("n", number("<i4")), ("w[0]", number("<f8")), ("w[1]", number("<f8")))
    wide = ElementType("number", np.dtype("<f8"), shape=(2,))
    nesting = ["n", {"name": "w", "shape": [2]}]
    assert nested_type(flat, nesting) == compound(("n", number("<i4")), ("w", wide))
    with pytest.raises(MetadataError, match="the elements of the array 'w' are of several types"):
        nested_type(flat, [{"name": "w", "shape": [2]}, "n"])


@pytest.mark.parametrize(
    ("nesting", "message"),
    [
        (["a"], "1 fields are left over"),
        (["a", "b", "c"], "the field 'c' has more elements than there are fields"),
        (["a", {"name": "p", "fields": ["b", "c"]}], "the field 'c' has more elements"),
        (["a", {"name": "p", "shape": [2**40]}], "the field 'p' has more elements"),
        ([{"name": "p", "shape": [0]}], "the elements of the array 'p' are of several types"),
    ],
    ids=str,
)
def test_a_nesting_of_other_fields_is_refused(nesting: list[Any], message: str) -> None:
    with pytest.raises(MetadataError, match=message):
        nested_type(compound(X, Y), nesting)


LEAVES = st.sampled_from(["<i2", "<f8", "S3"])
RECORDS = st.recursive(
    LEAVES,
    lambda inner: st.lists(
        st.tuples(inner, st.sampled_from([(), (2,), (1, 2)])), min_size=1, max_size=3
    ),
    max_leaves=6,
).filter(lambda found: isinstance(found, list))


def as_numpy(record: Any) -> Any:
    if isinstance(record, str):
        return record
    return [(f"f{at}", as_numpy(inner), shape) for at, (inner, shape) in enumerate(record)]


@given(RECORDS)
def test_a_nested_type_comes_back_from_its_leaves(record: Any) -> None:
    dtype = np.dtype(as_numpy(record))
    whole = element_type_from_numpy(dtype)
    assert len(whole.flat.fields) == len(leaves_of(dtype))
    assert nested_type(whole.flat, nesting_of(dtype)) == whole
