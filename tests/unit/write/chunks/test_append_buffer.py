"""Rows wait until their write unit is full, and all of them are in the array at the end."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from hdmf_zarr.core.dtypes import TEXT, ElementType
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.chunks.append_buffer import GrowingArray

INT16 = ElementType("number", np.dtype("<i2"))


class Buffered:
    """An array ``a`` that grows, and what plain zarr reads of it."""

    def __init__(
        self, shape: tuple[int, ...] = (0, 3), chunks: tuple[int, ...] = (4, 3), **options: Any
    ) -> None:
        self.store = MemoryStore()
        element = options.pop("element", INT16)
        dtype = "str" if element == TEXT else "int16"
        made = zarr.create_array(
            self.store, name="a", shape=shape, chunks=chunks, dtype=dtype, **options
        )
        document: Any = made.metadata.to_dict()
        bytestore = open_bytestore(locate(self.store), read_only=False)
        self.array = GrowingArray(
            Hierarchy(bytestore, {"": group_document({})}), "a", document, element, 1
        )
        self.written: list[int] = []
        self.array.progress = self.written.append

    def keys(self) -> set[str]:
        return {key for key in self.store._store_dict if "zarr.json" not in key}

    def values(self) -> Any:
        document: Any = self.array.document
        self.array.hierarchy.set_document("a", document)
        self.array.hierarchy.commit(consolidate=False)
        return zarr.open_array(self.store, path="a", mode="r")[...]


def rows(start: int, stop: int, width: int = 3) -> Any:
    return np.arange(start * width, stop * width, dtype="<i2").reshape(stop - start, width) + 1


def test_rows_wait_until_their_unit_is_full() -> None:
    it = Buffered()
    for row in range(3):
        it.array.resize((row + 1, 3))
        it.array[row : row + 1] = rows(row, row + 1)
        assert it.keys() == set()
    it.array.resize((5, 3))
    it.array[3:5] = rows(3, 5)
    assert it.keys() == {"a/c/0/0"}
    assert it.written == [4 * 3 * 2]
    np.testing.assert_array_equal(it.values(), rows(0, 5))
    assert it.keys() == {"a/c/0/0", "a/c/1/0"}
    assert sum(it.written) == 5 * 3 * 2


def test_a_row_may_be_given_by_its_number() -> None:
    it = Buffered()
    it.array.resize((2, 3))
    it.array[0] = rows(0, 1)[0]
    it.array[np.int64(1)] = rows(1, 2)[0]
    np.testing.assert_array_equal(it.values(), rows(0, 2))


def test_the_memory_of_a_chunk_may_be_used_again() -> None:
    it = Buffered((6, 3))
    memory = np.empty((1, 3), "<i2")
    for row in range(6):
        memory[...] = rows(row, row + 1)
        it.array[row : row + 1, 0:3] = memory
    memory[...] = -1
    np.testing.assert_array_equal(it.values(), rows(0, 6))


def test_rows_in_another_order_are_written_as_they_come() -> None:
    it = Buffered((8, 3))
    it.array[6:8] = rows(6, 8)
    it.array[0:2] = rows(0, 2)
    assert it.keys() == {"a/c/1/0"}
    it.array[2:6] = rows(2, 6)
    np.testing.assert_array_equal(it.values(), rows(0, 8))


@pytest.mark.parametrize(
    "selection", [(slice(0, 2), slice(0, 2)), (slice(0, 4, 2),), (slice(0, 4), [0, 2])]
)
def test_a_selection_of_another_kind_is_written_at_once(selection: Any) -> None:
    it = Buffered((8, 3))
    it.array[0:1] = rows(0, 1)
    expected = np.zeros((8, 3), "<i2")
    expected[0:1] = rows(0, 1)
    expected[selection] = -5
    it.array[selection] = np.full(expected[selection].shape, -5, "<i2")
    assert it.keys() == {"a/c/0/0"}
    np.testing.assert_array_equal(it.values(), expected)


def test_text_waits_too() -> None:
    it = Buffered((3,), (2,), element=TEXT)
    for row, text in enumerate(["a", "ü", ""]):
        it.array[row] = text
    assert it.values().tolist() == ["a", "ü", ""]


def test_a_shard_is_a_unit() -> None:
    it = Buffered((9, 3), (2, 3), shards=(4, 3))
    assert it.array.write_unit == (4, 3)
    it.array[0:3] = rows(0, 3)
    assert it.keys() == set()
    it.array[3:9] = rows(3, 9)
    assert it.keys() == {"a/c/0/0", "a/c/1/0"}
    np.testing.assert_array_equal(it.values(), rows(0, 9))


def test_another_width_is_written_with_what_waits_for_the_old_one() -> None:
    it = Buffered((1, 3))
    it.array[0:1] = rows(0, 1)
    it.array.resize((2, 5))
    assert it.array.shape == (2, 5)
    it.array[1:2] = rows(0, 1, width=5)
    expected = np.zeros((2, 5), "<i2")
    expected[0, :3], expected[1] = rows(0, 1), rows(0, 1, width=5)
    np.testing.assert_array_equal(it.values(), expected)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "given_"),
    [
        (slice(0, 2), rows(0, 1)),
        (slice(0, 2), rows(0, 3)),
        (slice(0, 3), rows(0, 2, width=4)),
        (0, np.zeros(4, "<i2")),
        ((slice(0, 2), slice(0, 2)), rows(0, 2)),
    ],
)
def test_elements_of_another_shape_are_refused(selection: Any, given_: Any) -> None:
    it = Buffered((8, 3))
    with pytest.raises(EncodingError, match=":/a: an iterator gave elements of the shape"):
        it.array[selection] = given_
    assert it.array.count_chunks() == 0


@pytest.mark.parametrize("value", [0.5, 40_000, "a", np.ma.masked_equal(rows(0, 1), 1)])
def test_elements_of_another_type_are_refused(value: Any) -> None:
    it = Buffered((8, 3))
    with pytest.raises(EncodingError):
        it.array[0:1] = np.ma.array([[value] * 3]) if not hasattr(value, "mask") else value


# -- what is said of it ----------------------------------------------------------------------------


def test_units_that_were_left_out_are_not_counted() -> None:
    it = Buffered((12, 3))
    assert it.array.count_chunks() == 0
    it.array[8:9] = rows(8, 9)
    it.array.note_written(slice(0, 4))
    assert it.array.count_chunks() == 2
    it.array.note_written(np.array([5]))
    it.array.flush()
    # Of a selection that is not understood, the store is asked.
    assert it.array.count_chunks() == 1


def test_the_array_is_named_for_messages() -> None:
    it = Buffered()
    assert it.array.name == f"{it.array.hierarchy.uri}:/a"
    assert it.array.itemsize == 2
    assert it.array.current_document["attributes"] == {}


# -- others that write -----------------------------------------------------------------------------


class Shipper:
    def __init__(self, it: Buffered) -> None:
        self.it, self.shipped, self.n_drained = it, [], 0

    def ship(self, region: tuple[slice, ...], values: Any) -> None:
        self.shipped.append((region, values.copy()))

    def drain(self) -> None:
        self.n_drained += 1


def test_whole_units_are_shipped_and_parts_are_written_here() -> None:
    it = Buffered((10, 3))
    it.array.shipper = shipper = Shipper(it)
    it.array[0:9] = rows(0, 9)
    ((region, values),) = shipper.shipped
    assert region == (slice(0, 8), slice(0, 3))
    np.testing.assert_array_equal(values, rows(0, 8))
    assert it.keys() == set()
    it.array[9:10] = rows(9, 10)
    it.array.flush()
    assert shipper.shipped[-1][0] == (slice(8, 10), slice(0, 3))
    it.array[1:2] = rows(1, 2)
    it.array.flush()
    assert (shipper.n_drained, it.keys()) == (1, {"a/c/0/0"})


# -- any order and any sizes -----------------------------------------------------------------------


@given(
    steps=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    unit=st.integers(1, 5),
    random=st.randoms(use_true_random=False),
    shuffled=st.booleans(),
)
def test_every_row_is_there_whatever_pieces_it_came_in(
    steps: list[int], unit: int, random: Any, *, shuffled: bool
) -> None:
    ends = np.cumsum([0, *steps]).tolist()
    it = Buffered((ends[-1], 3), (unit, 2))
    pieces = list(itertools.pairwise(ends))
    if shuffled:
        random.shuffle(pieces)
    for start, stop in pieces:
        it.array[start:stop] = rows(start, stop)
    n_units = -(-ends[-1] // unit) * 2
    assert it.array.count_chunks() == n_units
    np.testing.assert_array_equal(it.values(), rows(0, ends[-1]))
    assert len(it.keys()) == n_units
