"""Names of chunks: made, understood, and never the same in two forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.errors import ChunkError, MetadataError
from hdmf_zarr.metadata.chunk_keys import (
    CHUNK_KEYS,
    FORMAT2_CHUNK_KEYS,
    chunk_key,
    coordinates_of,
    format2_chunk_keys,
    has_form,
    is_known_form,
    is_staged,
    naming,
    other_form,
    other_format2_form,
    toggled,
    unused_form,
    unused_format2_form,
)

Encoding = dict[str, Any]


def default(separator: str) -> Encoding:
    return {"name": "default", "configuration": {"separator": separator}}


NESTED = format2_chunk_keys("/")
ENCODINGS = [CHUNK_KEYS, default("/"), FORMAT2_CHUNK_KEYS, NESTED]
PLACES = st.lists(st.integers(0, 2**62), max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (CHUNK_KEYS, ["c", "c.3", "c.0.12"]),
        (default("/"), ["c", "c/3", "c/0/12"]),
        (FORMAT2_CHUNK_KEYS, ["0", "3", "0.12"]),
        (NESTED, ["0", "3", "0/12"]),
        ({"name": "default"}, ["c", "c/3", "c/0/12"]),
        ({"name": "default", "configuration": None}, ["c", "c/3", "c/0/12"]),
        ({"name": "v2"}, ["0", "3", "0.12"]),
        ({"name": "v2", "configuration": {}}, ["0", "3", "0.12"]),
    ],
    ids=str,
)
def test_keys_are_those_of_the_format(encoding: Encoding, expected: list[str]) -> None:
    assert [chunk_key(encoding, at) for at in [(), (3,), (0, 12)]] == expected
    assert [
        coordinates_of(encoding, key, n_dimensions) for n_dimensions, key in enumerate(expected)
    ] == [(), (3,), (0, 12)]


@given(st.sampled_from(ENCODINGS), PLACES)
def test_a_key_leads_back_to_its_place(encoding: Encoding, at: tuple[int, ...]) -> None:
    key = chunk_key(encoding, at)
    assert coordinates_of(encoding, key, len(at)) == at
    assert has_form(encoding, key)
    if at:  # the scalar of format 2 has the key of a first row
        assert coordinates_of(encoding, key, len(at) + 1) is None


@given(
    st.sampled_from(ENCODINGS),
    st.text(alphabet="c0123456789./-+_ ٣²", max_size=9),
    st.integers(0, 3),
)
def test_a_name_with_a_place_is_its_only_key(encoding: Encoding, name: str, rank: int) -> None:
    at = coordinates_of(encoding, name, rank)
    assert at is None or chunk_key(encoding, at) == name


@pytest.mark.parametrize(
    ("encoding", "name", "rank"),
    [
        (CHUNK_KEYS, "c.01", 1),
        (CHUNK_KEYS, "c.+1", 1),
        (CHUNK_KEYS, "c.-1", 1),
        (CHUNK_KEYS, "c.1_0", 1),
        (CHUNK_KEYS, "c.٣", 1),
        (CHUNK_KEYS, "c.²", 1),
        (CHUNK_KEYS, "c.", 1),
        (CHUNK_KEYS, "c", 1),
        (CHUNK_KEYS, "c.0.0", 1),
        (CHUNK_KEYS, "d.0", 1),
        (CHUNK_KEYS, "c/0", 1),
        (CHUNK_KEYS, "c." + "1" * 20, 1),
        (CHUNK_KEYS, "c.0", 0),
        (CHUNK_KEYS, "zarr.json", 1),
        (FORMAT2_CHUNK_KEYS, "1", 0),
        (FORMAT2_CHUNK_KEYS, "0/0", 2),
        (FORMAT2_CHUNK_KEYS, "", 1),
        (FORMAT2_CHUNK_KEYS, ".zarray", 2),
        (NESTED, "0.0", 2),
    ],
)
def test_other_names_are_of_no_chunk(encoding: Encoding, name: str, rank: int) -> None:
    assert coordinates_of(encoding, name, rank) is None


@pytest.mark.parametrize("separator", ["", "-", "..", None, 3, ["."], {}])
@pytest.mark.parametrize("name", ["default", "v2"])
def test_a_separator_that_is_not_known_is_an_error(name: str, separator: Any) -> None:
    encoding = {"name": name, "configuration": {"separator": separator}}
    with pytest.raises(MetadataError, match="separated by '.' or '/'"):
        chunk_key(encoding, (0,))
    with pytest.raises(MetadataError, match="found"):
        coordinates_of(encoding, "0", 1)


@pytest.mark.parametrize(
    ("encoding", "is_known"),
    [
        *((encoding, True) for encoding in ENCODINGS),
        ({"name": "default"}, True),
        ({"name": "v2", "configuration": None}, True),
        ({"name": "v2", "configuration": {}}, True),
        (None, False),
        ("default", False),
        ([], False),
        ({}, False),
        ({"name": "v3"}, False),
        ({"name": ["v2"]}, False),
        ({"name": "v2", "configuration": 3}, False),
        ({"name": "v2", "configuration": ["."]}, False),
        ({"name": "v2", "configuration": {"separator": "-"}}, False),
        ({"name": "v2", "configuration": {"separator": ["."]}}, False),
    ],
    ids=str,
)
def test_only_encodings_of_zarr_are_known(encoding: Any, *, is_known: bool) -> None:
    assert is_known_form(encoding) is is_known


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("c", [True, True, False, False]),
        ("c.0", [True, False, False, False]),
        ("c.anything", [True, False, False, False]),
        ("c/0", [False, True, False, False]),
        ("0", [False, False, True, True]),
        ("0.0", [False, False, True, False]),
        ("0/0", [False, False, False, True]),
        ("cat", [False, False, False, False]),
        ("zarr.json", [False, False, False, False]),
        (".zarray", [False, False, False, False]),
        ("", [False, False, False, False]),
    ],
)
def test_a_name_tells_its_forms(name: str, has: list[bool]) -> None:
    assert [has_form(encoding, name) for encoding in ENCODINGS] == has


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], CHUNK_KEYS),
        ([FORMAT2_CHUNK_KEYS], CHUNK_KEYS),
        ([CHUNK_KEYS], FORMAT2_CHUNK_KEYS),
        ([CHUNK_KEYS, FORMAT2_CHUNK_KEYS], default("/")),
        ([FORMAT2_CHUNK_KEYS, CHUNK_KEYS], default("/")),
        ([CHUNK_KEYS, default("/")], FORMAT2_CHUNK_KEYS),
        ([{"name": "default"}], CHUNK_KEYS),  # whose separator is the slash
    ],
    ids=str,
)
def test_new_chunks_get_another_form(taken: list[Encoding], expected: Encoding) -> None:
    assert other_form(*taken) == expected


@pytest.mark.parametrize(
    ("rank", "taken", "expected"),
    [
        (2, [], FORMAT2_CHUNK_KEYS),
        (2, [FORMAT2_CHUNK_KEYS], NESTED),
        (2, [NESTED], FORMAT2_CHUNK_KEYS),
        (2, [FORMAT2_CHUNK_KEYS, NESTED], CHUNK_KEYS),
        (1, [FORMAT2_CHUNK_KEYS], CHUNK_KEYS),
        (1, [NESTED, CHUNK_KEYS], default("/")),
        (0, [FORMAT2_CHUNK_KEYS], CHUNK_KEYS),
    ],
    ids=str,
)
def test_new_chunks_of_format_2_get_another_form(
    rank: int, taken: list[Encoding], expected: Encoding
) -> None:
    assert other_format2_form(rank, *taken) == expected


@given(st.lists(st.sampled_from(ENCODINGS), max_size=2), PLACES, st.data())
def test_another_form_shares_no_key(
    taken: list[Encoding], at: tuple[int, ...], data: st.DataObject
) -> None:
    rank = len(at)
    if rank < 2 and any(encoding["name"] == "v2" for encoding in taken):
        taken = [one if one["name"] == "default" else FORMAT2_CHUNK_KEYS for one in taken]
    other = other_format2_form(rank, *taken) if data.draw(st.booleans()) else other_form(*taken)
    keys = {chunk_key(encoding, at) for encoding in taken}
    if rank:  # of a scalar the forms with "c" have one key
        assert chunk_key(other, at) not in keys


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], NESTED),
        (["zarr.json", "table"], NESTED),
        (["0"], CHUNK_KEYS),
        (["0", "c.0"], default("/")),
        (["0", "c.0", "c"], NESTED),  # each is in use
        (["0/0", "c.0", "c"], FORMAT2_CHUNK_KEYS),
    ],
    ids=str,
)
def test_a_form_is_used_of_which_no_name_is_there(names: list[str], expected: Encoding) -> None:
    assert unused_form(NESTED, names) == expected


@pytest.mark.parametrize(
    ("rank", "names", "expected"),
    [
        (2, [], FORMAT2_CHUNK_KEYS),
        (2, ["0.0"], NESTED),
        (2, ["0.0", "1"], CHUNK_KEYS),
        (2, ["0.0", "1", "c.0"], default("/")),
        (2, ["0.0", "1", "c"], FORMAT2_CHUNK_KEYS),
        (1, ["5"], CHUNK_KEYS),
        (1, [], FORMAT2_CHUNK_KEYS),
        (0, ["0", "c.0"], default("/")),
    ],
    ids=str,
)
def test_a_form_of_format_2_is_used_of_which_no_name_is_there(
    rank: int, names: list[str], expected: Encoding
) -> None:
    assert unused_format2_form(rank, FORMAT2_CHUNK_KEYS, names) == expected


def test_an_encoding_that_is_returned_is_not_the_one_that_was_given() -> None:
    given_one = dict(NESTED)
    assert unused_form(given_one, []) is not given_one
    assert unused_format2_form(2, given_one, []) is not given_one


def test_format_2_has_two_forms() -> None:
    assert [is_staged(encoding) for encoding in ENCODINGS] == [True, True, False, False]
    assert toggled(FORMAT2_CHUNK_KEYS) == NESTED
    assert toggled(NESTED) == FORMAT2_CHUNK_KEYS
    assert toggled({"name": "v2"}) == NESTED


def test_a_damaged_chunk_is_named_once() -> None:
    with pytest.raises(ChunkError, match="^shard a/c.0: a/c.0.1: it is cut off$") as caught:
        with naming("shard a/c.0"), naming("a/c.0.1"):
            raise ChunkError("it is cut off")
    assert isinstance(caught.value.__cause__, ChunkError)
    with pytest.raises(ChunkError, match="^a/c.0: it is cut off$"):
        with naming("a/c.0"), naming("a/c.0"):
            raise ChunkError("it is cut off")


def test_another_error_is_not_of_a_chunk() -> None:
    with pytest.raises(KeyError, match="^'it'$"), naming("a/c.0"):
        raise KeyError("it")
