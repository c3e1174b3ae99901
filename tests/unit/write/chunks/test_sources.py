"""Sources give the elements of a region in their form in memory, and refuse what they did not declare."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from hdmf_zarr.convention import Reference
from hdmf_zarr.core.dtypes import ASCII, BYTES, REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.write.chunks import sources
from hdmf_zarr.write.chunks.sources import (
    ChunkCopySource,
    EmptySource,
    LazySource,
    MemorySource,
    RawSource,
    ZarrSource,
    check_unchanged,
    note_begun,
    was_begun,
    widths_of,
)
from tests.unit.conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))
VALUES = np.arange(12, dtype="<i2").reshape(4, 3)


def rows(start: int, stop: int) -> tuple[slice, ...]:
    return (slice(start, stop),)


# -- memory ----------------------------------------------------------------------------------------


def test_memory_gives_regions() -> None:
    source = MemorySource(VALUES, INT16)
    assert source.shape == (4, 3)
    assert source.read(rows(1, 3)).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert source.read((slice(0, 1), slice(2, 3))).tolist() == [[2]]
    assert source.read(()).tolist() == VALUES.tolist()


def test_a_scalar_in_memory_is_an_array_of_no_dimension() -> None:
    found = MemorySource(np.array(3, "<i2"), INT16).read(())
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.tolist()) == ((), 3)


def test_nothing_is_read_of_an_empty_array() -> None:
    with pytest.raises(AssertionError, match="an empty array has no region"):
        EmptySource((3,), INT16).read(rows(0, 1))


# -- lazy arrays -----------------------------------------------------------------------------------


class Lazy:
    """Gives what it is told to, whatever is asked for."""

    def __init__(self, gives: Any, shape: Any = (4, 3), dtype: Any = "<i2") -> None:
        self.gives, self.shape, self.dtype = gives, shape, dtype

    def __getitem__(self, key: Any) -> Any:
        return self.gives[key] if isinstance(self.gives, np.ndarray) else self.gives


def test_a_lazy_array_is_read_region_by_region() -> None:
    source = LazySource(Lazy(VALUES))
    assert (source.shape, source.element) == ((4, 3), INT16)
    assert source.read(rows(1, 2)).tolist() == [[3, 4, 5]]


def test_an_array_of_zarr_is_lazy() -> None:
    array = zarr.create_array({}, data=VALUES)
    assert LazySource(array).read(rows(2, 4)).tolist() == VALUES[2:].tolist()


def test_what_is_computed_later_is_computed_for_the_region() -> None:
    later = SimpleNamespace(compute=lambda: VALUES[:2])
    assert LazySource(Lazy(later)).read(rows(0, 2)).tolist() == VALUES[:2].tolist()


def test_a_wider_type_may_be_declared() -> None:
    wide = ElementType("number", np.dtype("<i8"))
    found = LazySource(Lazy(VALUES), wide).read(rows(0, 1))
    assert (found.dtype, found.tolist()) == (np.dtype("<i8"), [[0, 1, 2]])


def test_dimensions_of_one_element_do_not_matter() -> None:
    given = Lazy(SimpleNamespace(compute=lambda: VALUES[0]))
    assert LazySource(given).read(rows(0, 1)).shape == (1, 3)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (VALUES[:1], r"gave elements of the shape \(1, 3\) in place of \(2, 3\)"),
        (VALUES[:2].T, r"gave elements of the shape \(3, 2\) in place of \(2, 3\)"),
        (VALUES[:0], r"gave elements of the shape \(0, 3\)"),
        (VALUES[:2] * 10_000.0, "a lazy array that had declared int16 gave float64"),
        (np.full((2, 3), 0.5), "a lazy array that had declared int16 gave float64"),
        (np.full((2, 3), "a"), "expected int16, found"),
        (np.ma.masked_less(VALUES[:2], 3), "some elements are masked"),
    ],
)
def test_others_than_were_declared_are_refused(gives: Any, message: str) -> None:
    given = Lazy(SimpleNamespace(compute=lambda: gives))
    with pytest.raises(EncodingError, match=message):
        LazySource(given).read(rows(0, 2))


def test_text_of_fixed_length_must_fit() -> None:
    element = ElementType("fixed_bytes", np.dtype("S2"))
    fits = Lazy(np.array([b"a", b"ab"]), (2,), "S2")
    assert LazySource(fits, element).read(rows(0, 2)).tolist() == [b"a", b"ab"]
    with pytest.raises(EncodingError, match="a lazy array that had declared"):
        LazySource(Lazy(np.array([b"abc", b""]), (2,), "S3"), element).read(rows(0, 2))


@pytest.mark.parametrize("shape", [(float("nan"), 3), (None,), ("a",)])
def test_an_array_that_does_not_know_its_size_is_refused(shape: Any) -> None:
    with pytest.raises(EncodingError, match="does not know its size; compute it first"):
        LazySource(Lazy(VALUES, shape))


# -- another store ---------------------------------------------------------------------------------


def retarget(reference: Reference) -> str:
    return f"/new{reference.path}"


def test_numbers_of_another_store_are_as_they_were(make_array: MakeArray) -> None:
    source = ZarrSource(make_array(VALUES, INT16), retarget)
    assert (source.shape, source.element) == ((4, 3), INT16)
    assert source.read(rows(1, 2)).tolist() == [[3, 4, 5]]


def test_references_are_told_anew_and_each_once(make_array: MakeArray) -> None:
    told: list[str] = []

    def once(reference: Reference) -> str:
        told.append(reference.path)
        return retarget(reference)

    source = ZarrSource(make_array(["/a", "", "/b", "/a"], REFERENCE), once)
    assert source.read(rows(0, 4)).tolist() == ["/new/a", "", "/new/b", "/new/a"]
    assert source.read(rows(3, 4)).tolist() == ["/new/a"]
    assert told == ["/a", "/b"]


def test_references_in_compounds_are_told_anew(make_array: MakeArray) -> None:
    element = ElementType("compound", fields=(("n", INT16), ("to", REFERENCE)))
    source = ZarrSource(make_array([(1, "/a"), (2, "")], element), retarget)
    assert source.read(rows(0, 2)).tolist() == [(1, "/new/a"), (2, "")]


@pytest.mark.parametrize("element", [TEXT, ASCII])
def test_text_of_another_store_stays_text(make_array: MakeArray, element: ElementType) -> None:
    source = ZarrSource(make_array(["a", "ü"], element), retarget)
    assert source.element == element
    assert source.read(rows(0, 2)).tolist() == (
        ["a", "ü"] if element == TEXT else [b"a", "ü".encode()]
    )


def test_a_scalar_of_another_store_is_read(make_array: MakeArray) -> None:
    found = ZarrSource(make_array(np.array(3, "<i2"), INT16), retarget).read(())
    assert (found.shape, found.tolist()) == ((), 3)


def test_what_is_recorded_as_text_and_is_none_is_bytes(make_array: MakeArray) -> None:
    array = make_array([b"a", b"\xff"], BYTES)
    array.element_type = ASCII
    assert ZarrSource(array, retarget).element == BYTES
    fine = make_array([b"a", b"b"], BYTES, path="group/fine")
    fine.element_type = ASCII
    assert ZarrSource(fine, retarget).element == ASCII


# -- encoded chunks --------------------------------------------------------------------------------


def test_chunks_that_move_count_as_they_are_encoded(make_array: MakeArray) -> None:
    chunks: Any = SimpleNamespace(shape=(4, 3), n_bytes=7)
    raw = RawSource(chunks, INT16)
    assert (raw.shape, raw.n_bytes, raw.has_checksum) == ((4, 3), 7, False)
    copied = ChunkCopySource(make_array(VALUES, INT16), INT16)
    assert (copied.shape, copied.n_bytes) == ((4, 3), 24)


# -- widths ----------------------------------------------------------------------------------------

RECORD = ElementType("compound", fields=(("n", INT16), ("t", TEXT), ("u", TEXT)))


def test_the_longest_text_of_each_field_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MEASURED_ROWS", 2)
    values = np.zeros(5, RECORD.memory_dtype)
    values["t"], values["u"] = ["a", "abc", "ab", "ü", ""], [""] * 5
    assert widths_of(MemorySource(values, RECORD)) == {"t": 3, "u": 1}


@pytest.mark.parametrize(
    "source",
    [
        MemorySource(VALUES, INT16),
        MemorySource(np.array(["a"], object), TEXT),
        EmptySource((3,), RECORD),
        MemorySource(np.zeros(2, [("n", "<i2")]), ElementType("compound", fields=(("n", INT16),))),
    ],
)
def test_only_text_in_compounds_has_a_width(source: Any) -> None:
    assert widths_of(source) == {}


# -- iterators that were begun ---------------------------------------------------------------------


class Thing:
    pass


def test_an_iterator_that_was_begun_is_known_as_long_as_it_lives() -> None:
    one, other = Thing(), Thing()
    assert not was_begun(one)
    note_begun(one)
    note_begun(one)
    assert was_begun(one)
    assert not was_begun(other)
    key = id(one)
    assert key in sources._begun
    del one
    gc.collect()
    assert key not in sources._begun


def test_what_nobody_can_refer_to_weakly_is_not_noted() -> None:
    iterator = iter([1])
    note_begun(iterator)
    assert not was_begun(iterator)


# -- another store in the place of the one ---------------------------------------------------------


def test_the_store_that_was_read_is_looked_at(
    make_array: MakeArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = make_array(VALUES, INT16)
    looked: list[str] = []
    monkeypatch.setattr(array.hierarchy, "check_unchanged", looked.append)
    chunks: Any = SimpleNamespace(array=array)
    for source in (
        ZarrSource(array, retarget),
        ChunkCopySource(array, INT16),
        RawSource(chunks, INT16),
    ):
        check_unchanged(source)
    assert looked == ["group/data"] * 3
    for other in (
        MemorySource(VALUES, INT16),
        LazySource(zarr.create_array({}, data=VALUES)),
        None,
    ):
        check_unchanged(other)
    assert len(looked) == 3


def test_a_store_in_memory_is_a_store() -> None:
    array = zarr.create_array(MemoryStore(), data=VALUES)
    assert LazySource(array, ElementType("number", np.dtype("<i4"))).element.numpy == np.dtype(
        "<i4"
    )
