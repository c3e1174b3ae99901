"""The values that conventions encode: what makes two of them equal, and what they have by default."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from hdmf_zarr.convention import convention_for_format
from hdmf_zarr.convention.model import SELF, ArrayHeader, Link, Reference


def test_a_reference_leads_to_its_own_store_unless_it_says_otherwise() -> None:
    assert SELF == "."
    assert Reference(path="/a").source == SELF
    assert Link(name="l", path="/a").source == SELF


def test_references_to_one_place_are_equal_whatever_ids_they_record() -> None:
    one = Reference(path="/a", object_id="1", source_object_id="2")
    assert one == Reference(path="/a")
    assert hash(one) == hash(Reference(path="/a"))
    assert one != Reference(path="/b", object_id="1")
    assert one != Reference(source="../b", path="/a")


def test_links_are_equal_with_their_names() -> None:
    assert Link(name="l", path="/a") == Link(name="l", path="/a")
    assert Link(name="l", path="/a") != Link(name="m", path="/a")


@pytest.mark.parametrize("value", [Reference(path="/a"), Link(name="l", path="/a"), ArrayHeader()])
def test_values_do_not_change(value: Reference | Link | ArrayHeader) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, "other")


def test_an_empty_header_says_nothing() -> None:
    assert ArrayHeader() == ArrayHeader(
        element_type=None,
        reference_fields=(),
        fields=None,
        field_types=None,
        dimension_names=None,
        scalar=False,
        bytes_type="bytes",
        are_chunks_given=False,
        enum_names=None,
        nesting=None,
        fill_settings=None,
    )


@pytest.mark.parametrize(
    "header",
    [
        ArrayHeader(element_type="int16"),
        ArrayHeader(element_type="str", are_chunks_given=True),
        ArrayHeader(element_type="int8", enum_names={"A": 0}),
        ArrayHeader(element_type="int8", fill_settings={"value": "given"}),
        ArrayHeader(reference_fields=("r",), field_types={"t": "ascii"}),
        ArrayHeader(nesting=["n", {"name": "p", "fields": ["x"]}]),
    ],
)
def test_a_header_is_read_as_it_was_written(header: ArrayHeader) -> None:
    convention = convention_for_format(3)
    attributes = convention.encode_header(header)
    assert convention.decode_header(attributes) == header
    assert set(attributes) <= convention.reserved
