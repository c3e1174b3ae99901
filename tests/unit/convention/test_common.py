"""What both conventions share: links, reserved words, and what is recorded of an array's elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.convention import convention_for_format
from hdmf_zarr.convention.common import (
    ARRAY_DIMENSIONS,
    ENUM_NAMES,
    FIELD_TYPES,
    FILL_SETTINGS,
    NESTED_FIELDS,
    CommonConvention,
    data_type_of,
    dimension_names,
    enum_names,
    field_types,
    fill_settings,
    full_type_of,
    nested_fields,
    one_text,
)
from hdmf_zarr.convention.model import Link
from hdmf_zarr.errors import MetadataError, UnsupportedFormatError


class Spelled(CommonConvention):
    links_word = "LINKS"
    reserved = frozenset({"LINKS", "OTHER"})


# -- links -----------------------------------------------------------------------------------------


def test_links_are_a_list_of_objects() -> None:
    links = [Link(name="a", path="/x"), Link(name="b", source="../other.zarr", path="/")]
    assert Spelled().encode_links(links) == {
        "LINKS": [
            {"name": "a", "source": ".", "path": "/x"},
            {"name": "b", "source": "../other.zarr", "path": "/"},
        ]
    }


def test_a_group_without_links_has_no_attribute_for_them() -> None:
    assert Spelled().encode_links([]) == {}
    assert Spelled().decode_links({}) == ()
    assert Spelled().decode_links({"LINKS": []}) == ()


@pytest.mark.parametrize(
    ("entry", "link"),
    [
        ({"name": "a", "source": ".", "path": "/x"}, Link(name="a", path="/x")),
        ({"name": "a", "path": "/x"}, Link(name="a", path="/x")),
        ({"name": "a", "source": "", "path": "/x"}, Link(name="a", path="/x")),
        ({"name": "a", "source": None, "path": "/x"}, Link(name="a", path="/x")),
        ({"name": "a", "source": "o", "path": "x/y"}, Link(name="a", source="o", path="/x/y")),
        ({"name": "a", "path": "/x", "object_id": 3}, Link(name="a", path="/x")),
    ],
)
def test_a_link_may_leave_out_its_source_and_have_other_keys(entry: Any, link: Link) -> None:
    assert Spelled().decode_links({"LINKS": [entry]}) == (link,)


@pytest.mark.parametrize(
    "entries",
    [
        None,
        3,
        "a",
        {},
        {"name": "a", "path": "/x"},
        [3],
        ["a"],
        [None],
        [[]],
        [{}],
        [{"name": "a"}],
        [{"path": "/x"}],
        [{"name": 1, "path": "/x"}],
        [{"name": "a", "path": None}],
        [{"name": "a", "path": "/x", "source": 3}],
        [{"name": "a", "path": "/x"}, 3],
    ],
)
def test_links_that_make_no_sense_are_refused(entries: Any) -> None:
    with pytest.raises(MetadataError, match="attribute 'LINKS' must be a list of objects with"):
        Spelled().decode_links({"LINKS": entries})


LINKS = st.lists(
    st.builds(
        Link,
        name=st.text(min_size=1, max_size=8),
        source=st.sampled_from([".", "../a.zarr", "s3://b/c.zarr"]),
        path=st.text("ab/é", max_size=8).map(lambda path: "/" + path.strip("/")),
    ),
    max_size=4,
)


@given(LINKS, st.sampled_from([2, 3]))
def test_links_are_read_as_they_were_written(links: list[Link], zarr_format: int) -> None:
    convention = convention_for_format(zarr_format)
    assert convention.decode_links(convention.encode_links(links)) == tuple(links)


def test_the_reserved_attributes_are_not_the_user_s() -> None:
    given_ = {"LINKS": [], "a": 1, "OTHER": 2, "b": None}
    assert Spelled().user_attributes(given_) == {"a": 1, "b": None}
    assert given_ == {"LINKS": [], "a": 1, "OTHER": 2, "b": None}


@pytest.mark.parametrize("zarr_format", [1, 4, "3", None])
def test_another_format_has_no_convention(zarr_format: Any) -> None:
    with pytest.raises(UnsupportedFormatError, match="is not supported; choose one of: 3, 2"):
        convention_for_format(zarr_format)


# -- types of objects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (b"a", "a"),
        (b"\xff", "\ufffd"),
        (["a"], "a"),
        ([b"a"], "a"),
        (np.array(["a"]), "a"),
        (np.array([b"a"], object), "a"),
        (np.str_("a"), "a"),
        ("", ""),
        (["a", "b"], None),
        ([], None),
        ([["a"]], None),
        (np.array(["a", "b"]), None),
        (3, None),
        (None, None),
        ({"a": "b"}, None),
    ],
)
def test_one_text_may_be_alone_in_an_array(value: Any, text: str | None) -> None:
    assert one_text(value) == text


@pytest.mark.parametrize(
    ("attributes", "data_type", "full"),
    [
        ({}, None, None),
        ({"data_type": "T"}, "T", None),
        ({"neurodata_type": "T"}, "T", None),
        ({"neurodata_type": "T", "data_type": "U"}, "T", None),
        ({"neurodata_type": 3, "data_type": "U"}, None, None),
        ({"namespace": "n"}, None, None),
        ({"namespace": "n", "data_type": "T"}, "T", ("n", "T")),
        ({"namespace": ["n"], "neurodata_type": [b"T"]}, "T", ("n", "T")),
        ({"namespace": 3, "neurodata_type": "T"}, "T", None),
    ],
)
def test_a_type_has_a_namespace_and_a_name(
    attributes: dict[str, Any], data_type: str | None, full: Any
) -> None:
    assert data_type_of(attributes) == data_type
    assert full_type_of(attributes) == full


# -- what is recorded of an array ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "names"),
    [
        (["time", "x"], ("time", "x")),
        (["time", None], ("time", None)),
        (["time", 3], ("time", None)),
        ([3, 4], None),
        ([None], None),
        ([""], None),
        ([], None),
        ("time", None),
        (None, None),
    ],
)
def test_names_of_dimensions_are_text(recorded: Any, names: Any) -> None:
    assert dimension_names({ARRAY_DIMENSIONS: recorded}) == names
    assert dimension_names({}) is None


GOOD: list[tuple[Callable[[Any], Any], str, Any]] = [
    (field_types, FIELD_TYPES, {"a": "ascii"}),
    (field_types, FIELD_TYPES, {}),
    (enum_names, ENUM_NAMES, {"RED": 0, "BLUE": -3}),
    (enum_names, ENUM_NAMES, {"color": {"RED": 0}, "other": {}}),
    (enum_names, ENUM_NAMES, {}),
    (fill_settings, FILL_SETTINGS, {"value": "undefined", "time": "never"}),
    (fill_settings, FILL_SETTINGS, {"value": "given"}),
    (fill_settings, FILL_SETTINGS, {"time": "alloc"}),
    (fill_settings, FILL_SETTINGS, {}),
    (nested_fields, NESTED_FIELDS, ["n", {"name": "p", "fields": ["x", "y"]}]),
    (nested_fields, NESTED_FIELDS, [{"name": "w", "shape": [2, 3]}]),
    (nested_fields, NESTED_FIELDS, [{"name": "w", "shape": [2], "fields": [{"name": "x"}]}]),
]


@pytest.mark.parametrize(("read", "word", "recorded"), GOOD)
def test_what_is_recorded_is_read(read: Callable[[Any], Any], word: str, recorded: Any) -> None:
    assert read({word: recorded}) == recorded
    assert read({word: None}) is None
    assert read({}) is None


@pytest.mark.parametrize(
    ("read", "word", "recorded"),
    [
        *[
            (read, word, bad)
            for read, word in (
                (field_types, FIELD_TYPES),
                (enum_names, ENUM_NAMES),
                (fill_settings, FILL_SETTINGS),
            )
            for bad in (3, "a", [], [1], True, {"a": None}, {"a": [1]})
        ],
        (field_types, FIELD_TYPES, {"a": "ascii", "b": 3}),
        (enum_names, ENUM_NAMES, {"RED": "0"}),
        (enum_names, ENUM_NAMES, {"RED": 0.0}),
        (enum_names, ENUM_NAMES, {"RED": True}),
        (enum_names, ENUM_NAMES, {"color": {"RED": 0}, "BLUE": 1}),
        (enum_names, ENUM_NAMES, {"color": {"RED": {"x": 0}}}),
        (fill_settings, FILL_SETTINGS, {"value": "never"}),
        (fill_settings, FILL_SETTINGS, {"time": "undefined"}),
        (fill_settings, FILL_SETTINGS, {"place": "given"}),
        *[
            (nested_fields, NESTED_FIELDS, bad)
            for bad in (
                "ab",
                {},
                [],
                [3],
                [None],
                ["n", "n"],
                [{}],
                [{"name": 3}],
                ["n", {"name": "n"}],
                [{"name": "p", "fields": []}],
                [{"name": "p", "fields": None}],
                [{"name": "p", "fields": ["x", "x"]}],
                [{"name": "w", "shape": [0]}],
                [{"name": "w", "shape": [-1]}],
                [{"name": "w", "shape": [True]}],
                [{"name": "w", "shape": [2.0]}],
                [{"name": "w", "shape": 2}],
                [{"name": "w", "shape": None}],
            )
        ],
    ],
)
def test_what_makes_no_sense_is_refused(
    read: Callable[[Any], Any], word: str, recorded: Any
) -> None:
    with pytest.raises(MetadataError, match=f"attribute '{word}'.*found"):
        read({word: recorded})
