"""What arrays are indexed with: indices of any integer type mean what they mean to numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hdmf_zarr.chunks.indexing import own_indices, plain_selection, split_fields
from hdmf_zarr.core.dtypes import TEXT, ElementType

from ..conftest import MakeArray

LONG = np.arange(300, dtype="int32")


@pytest.mark.parametrize("chunks", [(300,), (7,)])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u8"])
def test_small_integers_index_long_columns(make_array: MakeArray, kind: str, chunks: Any) -> None:
    array = make_array(LONG, ElementType("number", LONG.dtype), chunks=chunks)
    wanted = np.array([3, 0, 120], dtype=kind)
    for _ in range(2):  # read, and kept
        assert array[wanted].tolist() == [3, 0, 120]
        assert array.oindex[wanted].tolist() == [3, 0, 120]
        assert array.vindex[wanted].tolist() == [3, 0, 120]
        array[:]


@pytest.mark.parametrize("kind", ["i1", "i8"])
def test_negative_integers_count_from_the_end_of_long_columns(
    make_array: MakeArray, kind: str
) -> None:
    array = make_array(LONG, ElementType("number", LONG.dtype))
    wanted = np.array([-1, -100], dtype=kind)
    assert array[wanted].tolist() == [299, 200]
    assert array.vindex[wanted].tolist() == [299, 200]
    assert wanted.tolist() == [-1, -100]


@pytest.mark.parametrize("how", ["array", "oindex", "vindex"])
def test_an_index_beyond_any_array_does_not_count_from_the_end(
    make_array: MakeArray, how: str
) -> None:
    array = make_array(LONG, ElementType("number", LONG.dtype))
    wanted = np.array([2**64 - 1], dtype="uint64")
    with pytest.raises(IndexError, match="index 18446744073709551615 is out of bounds"):
        (array if how == "array" else getattr(array, how))[wanted]


TABLE = np.arange(900, dtype="int32").reshape(300, 3)


@pytest.mark.parametrize("chunks", [(300, 3), (7, 2)])
@pytest.mark.parametrize(
    "selection",
    [
        (slice(None), [True, False, True]),
        (slice(None), np.zeros(3, dtype=bool)),
        (np.arange(300) % 7 == 0, slice(None)),
        (np.arange(300) % 7 == 0, 1),
        (np.arange(300) % 7 == 0,),
        (..., np.array([True, False, True])),
        np.array(3),
        np.array(3, dtype="u1"),
        (np.array(-1, dtype="i1"), 2),
        np.array([3, 120], dtype="i1"),
    ],
    ids=repr,
)
def test_masks_and_single_indices_mean_what_they_mean_to_numpy(
    make_array: MakeArray, selection: Any, chunks: Any
) -> None:
    array = make_array(TABLE, ElementType("number", TABLE.dtype), chunks=chunks)
    expected = TABLE[selection]
    for _ in range(2):  # read, and kept
        found = array[selection]
        assert np.shape(found) == expected.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "selection", [(..., ...), (slice(None), [True, False]), (0, 0, 0)], ids=repr
)
def test_what_numpy_refuses_is_refused(make_array: MakeArray, selection: Any) -> None:
    array = make_array(TABLE, ElementType("number", TABLE.dtype))
    with pytest.raises(IndexError):
        array[selection]


@pytest.mark.parametrize("selection", [(..., 1), (1, ...)], ids=repr)
def test_an_ellipsis_beside_an_index_leaves_one_text_whole(
    make_array: MakeArray, selection: Any
) -> None:
    array = make_array(["a", "b\0"], TEXT, chunks=(1,), shards=(2,))
    assert array[selection] == array[1] == "b\0"


def test_indices_that_are_handed_on_are_a_copy() -> None:
    given = np.array([1, -2])
    for taken in (plain_selection(given, (3,)), own_indices(given), own_indices((given,))[0]):
        taken[...] = 7
    assert given.tolist() == [1, -2]


@pytest.mark.parametrize(
    ("selection", "fields", "rest"),
    [
        ("a", "a", ...),
        (["a", "b"], ["a", "b"], ...),
        (("a", 3), "a", (3,)),
        ((slice(2), "a"), "a", (slice(2),)),
        (("a", "b", 0), ["a", "b"], (0,)),
        ([], None, []),
        ([0, 1], None, [0, 1]),
        (3, None, 3),
        ((), None, ()),
    ],
    ids=repr,
)
def test_fields_are_told_from_the_rest(selection: Any, fields: Any, rest: Any) -> None:
    assert split_fields(selection) == (fields, rest)
