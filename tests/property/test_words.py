"""decode(encode(x)) == x for everything that the conventions spell, and for what is in memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hdmf_zarr.convention import ArrayHeader, Link, Reference
from hdmf_zarr.convention.attributes import decode_attribute, encode_attribute
from hdmf_zarr.convention.unified import UnifiedConvention
from hdmf_zarr.core.dtypes import ElementType, stored_numpy_dtype
from hdmf_zarr.core.elements import (
    decode_elements,
    encode_elements,
    field_widths,
    infer_element_type,
    to_memory,
)
from hdmf_zarr.stores.location import locate, relative_source, resolve_source

from .strategies import (
    KIND_ELEMENTS,
    assert_equal_arrays,
    compounds,
    names,
    number_arrays,
    number_dtypes,
    object_arrays,
    paths,
    text,
    tricky_text,
)

CONVENTION = UnifiedConvention()

sources = st.sampled_from([".", "../raw.nwb.zarr", "s3://bucket/é.zarr"]) | tricky_text.map(
    lambda value: "../" + value
)
references = st.builds(Reference, path=paths, source=sources)
links = st.builds(Link, name=names, path=paths, source=sources)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def attribute_round_trip(value: Any) -> Any:
    encoded, dtype = encode_attribute(value)
    return decode_attribute(through_json(encoded), through_json(dtype))


# -- attributes ------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(number_arrays())
def test_arrays_of_numbers_as_attributes(array: Any) -> None:
    result = attribute_round_trip(array)
    assert_equal_arrays(result, array)


@given(number_arrays(max_dims=0))
def test_numbers_as_attributes(array: Any) -> None:
    scalar = array[()]
    assert_equal_arrays(np.asarray(attribute_round_trip(scalar)), array)


@settings(max_examples=200)
@given(tricky_text)
def test_text_as_an_attribute(value: str) -> None:
    assert attribute_round_trip(value) == value
    assert type(attribute_round_trip(value)) is str


@given(object_arrays(tricky_text, min_dims=1))
def test_arrays_of_text_as_attributes(array: Any) -> None:
    assert_equal_arrays(attribute_round_trip(array), array)
    if array.size:
        assert_equal_arrays(attribute_round_trip(array.tolist()), array)


@given(st.binary(max_size=20))
def test_bytes_as_an_attribute(value: bytes) -> None:
    result = attribute_round_trip(value)
    # What is no UTF-8 is text with lone surrogates, as HDF5IO gives it.
    as_bytes = result.encode("utf-8", "surrogateescape") if isinstance(result, str) else result
    assert as_bytes == value


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | text,
        lambda inner: st.dictionaries(text, inner, max_size=3),
        max_leaves=5,
    ).filter(lambda value: isinstance(value, dict))
)
def test_objects_as_attributes(value: Any) -> None:
    assert attribute_round_trip(value) == value


# -- references, links, headers --------------------------------------------------------------------


@settings(max_examples=200)
@given(references)
def test_references(reference: Reference) -> None:
    assert (
        CONVENTION.decode_reference(through_json(CONVENTION.encode_reference(reference)))
        == reference
    )


@settings(max_examples=200)
@given(st.none() | references)
def test_elements_of_datasets_of_references(reference: Reference | None) -> None:
    assert CONVENTION.decode_element(CONVENTION.encode_element(reference)) == reference


@given(st.lists(links, max_size=4))
def test_links(given_links: list[Link]) -> None:
    encoded = through_json(CONVENTION.encode_links(given_links))
    assert CONVENTION.decode_links(encoded) == tuple(given_links)
    assert CONVENTION.user_attributes(encoded) == {}


@given(
    st.builds(
        ArrayHeader,
        element_type=st.none() | st.sampled_from(["int16", "str", "ascii", "object_reference"]),
        reference_fields=st.lists(names, max_size=3, unique=True).map(tuple),
        field_types=st.none()
        | st.dictionaries(names, st.sampled_from(["ascii", "bytes"]), min_size=1, max_size=3),
    )
)
def test_headers(header: ArrayHeader) -> None:
    encoded = through_json(CONVENTION.encode_header(header))
    assert CONVENTION.decode_header(encoded) == header
    assert CONVENTION.user_attributes(encoded) == {}


# -- where stores are ------------------------------------------------------------------------------

folders = st.lists(
    st.text("abcé .-_", min_size=1, max_size=4).filter(
        lambda name: name.strip(".") == name and name.strip() == name
    ),
    min_size=1,
    max_size=5,
)
bases = st.sampled_from(["/data", "s3://bucket", "https://host", "memory://m"])


@settings(max_examples=200)
@given(bases, folders, folders)
def test_sources_of_stores_in_one_place(base: str, target: list[str], own: list[str]) -> None:
    first = locate("/".join([base, *target]))
    second = locate("/".join([base, *own]))
    source = relative_source(first, second)
    assert resolve_source(source, second) == first
    assert "://" not in source
    assert "\\" not in source


@given(st.sampled_from(["s3://a", "https://host", "gs://b"]), folders, bases, folders)
def test_sources_of_stores_far_away(far: str, target: list[str], base: str, own: list[str]) -> None:
    first = locate("/".join([far, *target]))
    second = locate("/".join([base, *own]))
    assert resolve_source(relative_source(first, second), second) == first


# -- elements --------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(KIND_ELEMENTS)).flatmap(
        lambda kind: st.tuples(
            st.just(KIND_ELEMENTS[kind][0]), object_arrays(KIND_ELEMENTS[kind][1])
        )
    )
)
def test_elements_in_the_store(drawn: tuple[ElementType, Any]) -> None:
    element, values = drawn
    assert_equal_arrays(decode_elements(encode_elements(values, element), element), values)
    assert_equal_arrays(to_memory(values, element, str), values)


@settings(max_examples=150)
@given(compounds())
def test_compounds_in_the_store(drawn: tuple[ElementType, Any]) -> None:
    element, records = drawn
    dtype = stored_numpy_dtype(element, field_widths(records, element))
    encoded = encode_elements(records, element, dtype)
    assert encoded.dtype == dtype
    assert_equal_arrays(decode_elements(encoded, element), records)
    assert_equal_arrays(to_memory(records, element, str), records)


@settings(max_examples=100)
@given(compounds())
def test_rows_of_a_compound_are_taken_as_a_list_or_an_array(drawn: tuple[ElementType, Any]) -> None:
    element, records = drawn
    assert_equal_arrays(to_memory(records.tolist(), element, str), records)
    for row in records[:1]:
        assert_equal_arrays(
            to_memory(tuple(row.item()), element, str), np.array(row, records.dtype)
        )


@settings(max_examples=150)
@given(number_arrays(min_dims=1))
def test_numbers_are_taken_as_lists_or_arrays(array: Any) -> None:
    element = ElementType("number", array.dtype)
    assert_equal_arrays(to_memory(array, element, str), array)
    if 0 not in array.shape[:-1]:  # which nested lists cannot show
        assert_equal_arrays(to_memory(array.tolist(), element, str), array)
    assert infer_element_type(array) == element


@settings(max_examples=200)
@example(np.array([], "c8"), np.dtype("i1"))
@example(np.array([1 + 0j]), np.dtype("f8"))
@given(number_arrays(max_dims=1), number_dtypes)
def test_numbers_in_another_dtype_are_equal_or_stay_in_their_own(array: Any, dtype: Any) -> None:
    values = to_memory(array, ElementType("number", dtype), str)
    assert values.dtype in (dtype, array.dtype)
    if array.dtype.kind in "fc" and dtype.kind in "fc":
        np.testing.assert_array_equal(np.isfinite(values), np.isfinite(array))
        return
    for one, other in zip(values.ravel().tolist(), array.ravel().tolist(), strict=True):
        assert one == other or (one != one and other != other)


@settings(max_examples=60)
@given(object_arrays(text, min_dims=1))
def test_text_is_taken_as_lists_or_arrays(array: Any) -> None:
    element = KIND_ELEMENTS["text"][0]
    if 0 not in array.shape[:-1]:
        assert_equal_arrays(to_memory(array.tolist(), element, str), array)
    assert_equal_arrays(to_memory(array.astype(np.dtypes.StringDType()), element, str), array)
