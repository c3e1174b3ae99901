"""The consolidated document of format 2: its entries, and those that are kept apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.metadata.consolidated import (
    APART,
    consolidated_document,
    entries_of,
    keeps_apart,
    unreadable_arrays,
    why_unreadable,
    with_entries,
)

ARRAY: dict[str, Any] = {
    "zarr_format": 2,
    "shape": [5, 4],
    "chunks": [2, 4],
    "dtype": "<i4",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
    "filters": None,
}
OBJECTS = {**ARRAY, "dtype": "|O", "filters": [{"id": "json2"}], "fill_value": None}
UNKNOWN = {**ARRAY, "compressor": {"id": "nothing_has_this"}}


def entries() -> dict[str, Any]:
    return {
        ".zgroup": {"zarr_format": 2},
        "a/.zarray": ARRAY,
        "a/.zattrs": {"x": 1},
        "b/.zarray": UNKNOWN,
        "b/.zattrs": {"y": 2},
        "ba/.zattrs": {"z": 3},
    }


def test_a_document_has_all_entries() -> None:
    given_ones = entries()
    made = consolidated_document(given_ones, is_apart=False)
    assert made == {"metadata": entries(), "zarr_consolidated_format": 1}
    assert not keeps_apart(made)
    assert entries_of(made) == entries()
    made["metadata"].clear()
    assert given_ones == entries()


def test_entries_of_arrays_that_others_cannot_parse_are_kept_apart() -> None:
    made = consolidated_document(entries(), is_apart=True)
    assert made.keys() == {"metadata", "zarr_consolidated_format", APART}
    assert list(made[APART]) == ["b/.zarray", "b/.zattrs"]
    assert list(made["metadata"]) == [".zgroup", "a/.zarray", "a/.zattrs", "ba/.zattrs"]
    assert entries_of(made) == entries()
    assert list(entries_of(made)) == list(entries())  # in the order of the nodes


def test_a_store_without_such_entries_keeps_apart_too() -> None:
    made = consolidated_document({"a/.zarray": ARRAY}, is_apart=True)
    assert made[APART] == {}
    assert keeps_apart(made)
    assert entries_of(made) == {"a/.zarray": ARRAY}


def test_other_entries_are_divided_as_before() -> None:
    more = {"c/.zarray": UNKNOWN}
    apart = {**consolidated_document(entries(), is_apart=True), "of another": 1}
    assert with_entries(apart, more) == {
        "metadata": {},
        "zarr_consolidated_format": 1,
        APART: more,
        "of another": 1,
    }
    plain = consolidated_document(entries(), is_apart=False)
    assert with_entries(plain, more) == {"metadata": more, "zarr_consolidated_format": 1}


@given(
    arrays=st.dictionaries(
        st.sampled_from(["", "a", "a/b", "b", "ab"]),
        st.sampled_from([ARRAY, UNKNOWN]),
    ),
    is_apart=st.booleans(),
)
def test_entries_come_back(arrays: dict[str, Any], *, is_apart: bool) -> None:
    made = {f"{path}/.zarray".lstrip("/"): array for path, array in sorted(arrays.items())}
    held = consolidated_document(made, is_apart=is_apart)
    assert entries_of(held) == made
    assert keeps_apart(held) is is_apart


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (None, None),
        ([], None),
        (3, None),
        ({}, None),
        ({"metadata": 3}, 3),
        ({"metadata": [1], APART: {"a": 1}}, [1]),
        ({"metadata": {"a": 1}, APART: [2]}, [2]),
        ({"metadata": {"a": 1}, APART: None}, {"a": 1}),
        ({"metadata": {"a": 1}, APART: {}}, {"a": 1}),
        ({"metadata": {"a": 1}, APART: {"a": 2}}, {"a": 1}),  # what all readers see
    ],
    ids=str,
)
def test_what_makes_no_sense_is_returned_as_it_is(held: Any, expected: Any) -> None:
    assert entries_of(held) == expected


@pytest.mark.parametrize(("held", "keeps"), [(None, False), ([APART], False), ({APART: 0}, True)])
def test_only_a_document_keeps_apart(held: Any, *, keeps: bool) -> None:
    assert keeps_apart(held) is keeps


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"shape": [], "chunks": []},
        {"compressor": {"id": "zstd", "level": 1}},
        {"filters": [{"id": "delta", "dtype": "<i4"}]},
        {"order": "F"},
        {"fill_value": None},
        {"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "fill_value": ""},
        {"dtype": [["x", "<i4"], ["y", "<f8"]], "fill_value": None},
        {"dtype": "|u1"},
        {"dimension_separator": "/"},
    ],
    ids=str,
)
def test_an_array_that_zarr_parses_is_readable(change: dict[str, Any]) -> None:
    assert why_unreadable({**ARRAY, **change}) is None


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "it is no object"),
        ([ARRAY], "it is no object"),
        (UNKNOWN, "zarr-python 3 alone has no codec 'nothing_has_this' for it"),
        ({**ARRAY, "compressor": {}, "filters": [{}]}, "zarr-python 3 alone has no codec 'None'"),
        ({**ARRAY, "filters": [{"id": "z"}, {"id": "y"}]}, "zarr-python 3 alone has no codec 'y'"),
        ({**ARRAY, "filters": [{"id": [1]}]}, "zarr-python 3 alone has no codec '[1]'"),
        ({**ARRAY, "dtype": ">u1"}, "zarr-python 3.1 has no data type '>u1'"),
        (
            {**ARRAY, "dtype": [["p", [["x", "<i4"]]]]},
            "zarr-python 3.1 has no data type [['p', [['x', '<i4']]]]",
        ),
        ({**ARRAY, "dtype": "<i3"}, "zarr-python cannot parse its metadata: "),
        ({**ARRAY, "shape": None}, "zarr-python cannot parse its metadata: "),
        ({**ARRAY, "order": "X"}, "zarr-python cannot parse its metadata: "),
        ({"zarr_format": 2}, "zarr-python cannot parse its metadata: "),
    ],
    ids=str,
)
def test_any_other_array_says_why(metadata: Any, message: str) -> None:
    assert (why_unreadable(metadata) or "").startswith(message)


def test_arrays_are_named_by_their_paths() -> None:
    assert unreadable_arrays(entries()) == {
        "b": "zarr-python 3 alone has no codec 'nothing_has_this' for it"
    }
    assert unreadable_arrays({".zarray": None, "a/.zattrs": None}) == {"": "it is no object"}
    assert unreadable_arrays({"a/b.zarray": None}) == {}
