"""What readers would refuse, or take for something else, is refused before anything is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    REFERENCE,
    TEXT,
    ElementType,
    element_type_from_numpy,
)
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.chunks.sources import EmptySource
from hdmf_zarr.write.planning.element_storage import storage_of_format
from hdmf_zarr.write.planning.layout import LayoutRequest, decide_layout
from hdmf_zarr.write.planning.plan import ArrayPlan, AttributesPlan, GroupPlan
from hdmf_zarr.write.planning.readability import check_readable
from tests.unit.write.planning.conftest import MakeContext

INT16 = ElementType("number", np.dtype("<i2"))
NESTED = element_type_from_numpy(np.dtype([("n", "<i4"), ("p", [("x", "<f8")])]))
RECORD = ElementType("compound", fields=(("t", TEXT), ("r", REFERENCE), ("n", INT16)))

ELEMENTS = [INT16, TEXT, ASCII, BYTES, REFERENCE, NESTED, RECORD]


def array(element: ElementType, zarr_format: int, context: Any) -> ArrayPlan:
    storage = storage_of_format(zarr_format)
    stored = storage.stored_type(element, {"t": 3, "r": 10})
    layout = decide_layout(
        LayoutRequest(),
        element=stored.element,
        stored_dtype=stored.numpy,
        shape=(3,),
        itemsize=8,
        fill_value=stored.data_type.default_scalar(),
    ).with_codecs(stored.codecs)
    header = storage.header(element, is_scalar=False, names=None)
    return ArrayPlan(
        path="g/data",
        element=stored.element,
        data_type=stored.data_type,
        shape=(3,),
        layout=layout,
        attributes=context.convention.encode_header(header),
        dimension_names=None,
        source=EmptySource((3,), element),
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.kind)
def test_an_array_that_is_read_as_it_was_written_passes(
    make_context: MakeContext, element: ElementType, zarr_format: int
) -> None:
    context = make_context(zarr_format=zarr_format)
    check_readable([array(element, zarr_format, context)], context)


@pytest.mark.parametrize(
    ("source", "found"), [(ASCII, "text"), (REFERENCE, "text"), (BYTES, "text")]
)
def test_elements_that_would_be_read_as_others_are_refused(
    make_context: MakeContext, destination: Location, source: ElementType, found: str
) -> None:
    context = make_context()
    plan = replace(array(TEXT, 3, context), source=EmptySource((3,), source))
    with pytest.raises(EncodingError) as caught:
        check_readable([plan], context)
    assert str(caught.value) == (
        f"{destination.uri}:/g/data would not be read again: elements of {source.kind} would be read "
        f"as those of {found}"
    )


def test_a_field_that_would_be_read_as_another_is_refused(make_context: MakeContext) -> None:
    context = make_context()
    other = ElementType("compound", fields=(("t", ASCII), ("r", REFERENCE), ("n", INT16)))
    plan = replace(array(RECORD, 3, context), source=EmptySource((3,), other))
    with pytest.raises(EncodingError, match="would be read as those of"):
        check_readable([plan], context)


def test_a_lost_word_of_the_header_is_noticed(make_context: MakeContext) -> None:
    context = make_context()
    plan = replace(array(REFERENCE, 3, context), attributes={})
    with pytest.raises(EncodingError, match="elements of reference would be read as"):
        check_readable([plan], context)


def test_the_document_that_is_copied_is_looked_at(make_context: MakeContext) -> None:
    context = make_context()
    plan = array(INT16, 3, context)
    document = {"data_type": "string", "codecs": [{"name": "vlen-utf8"}]}
    with pytest.raises(EncodingError, match="elements of number would be read as those of text"):
        check_readable([replace(plan, document=document)], context)


@pytest.mark.parametrize("plan", [GroupPlan, AttributesPlan])
@pytest.mark.parametrize(
    "links", [3, {"a": "b"}, [3], [{"name": "a"}], [{"name": 1, "path": "/a"}]]
)
def test_links_that_make_no_sense_are_refused(
    make_context: MakeContext, destination: Location, plan: Any, links: Any
) -> None:
    node = plan(path="a", attributes={"_LINKS": links})
    with pytest.raises(
        EncodingError, match="would not be read again: attribute '_LINKS'"
    ) as caught:
        check_readable([node], make_context())
    assert str(caught.value).startswith(f"{destination.uri}:/a would not")


def test_a_path_that_is_too_deep_is_refused(make_context: MakeContext) -> None:
    deep = "/".join("a" * 1 for _ in range(2000))
    with pytest.raises(EncodingError, match="would not be read again"):
        check_readable([GroupPlan(path=deep, attributes={})], make_context())


def test_nothing_and_plain_groups_pass(make_context: MakeContext) -> None:
    check_readable([], make_context())
    check_readable([GroupPlan(path="", attributes={"a": [1, {"b": None}]})], make_context())
