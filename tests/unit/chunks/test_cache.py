"""What is read of chunks that are kept is what zarr gives, whatever is selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.chunks import cache
from hdmf_zarr.core.dtypes import ASCII, REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import ChunkError

from ..conftest import MakeArray, rows

INT16 = ElementType("number", np.dtype("int16"))
RECORD = ElementType(
    "compound",
    fields=(
        ("start", ElementType("number", np.dtype("int32"))),
        ("name", TEXT),
        ("target", REFERENCE),
    ),
)

ARRAYS: dict[str, tuple[Any, ElementType, dict[str, Any]]] = {
    "numbers": (np.arange(7, dtype="int16"), INT16, {}),
    "chunked numbers": (np.arange(7, dtype="int16"), INT16, {"chunks": (3,)}),
    "big-endian": (
        np.arange(6, dtype=">i4").reshape(3, 2),
        ElementType("number", np.dtype(">i4")),
        {},
    ),
    "table": (np.arange(12, dtype="int16").reshape(4, 3), INT16, {"chunks": (3, 2)}),
    "cube": (np.arange(24, dtype="int16").reshape(2, 3, 4), INT16, {}),
    "one": (np.array([5], dtype="int16"), INT16, {}),
    "none": (np.empty(0, dtype="int16"), INT16, {}),
    "text": (np.array(["a", "", "nul", "µ"], dtype=object), TEXT, {}),
    "chunked text": (np.array(["a", "bc", "d", "e"], dtype=object), TEXT, {"chunks": (3,)}),
    "text table": (np.array([["a", "b"], ["c", "d"]], dtype=object), TEXT, {}),
    "ascii": (np.array([b"a", b"bcd", b""], dtype=object), ASCII, {}),
    "records": (
        np.array(
            [(1, "one", "/a"), (2, "two", "/b"), (3, "", "")], dtype=RECORD.memory_dtype
        ),
        RECORD,
        {},
    ),
}  # fmt: skip


def entries(size: int) -> st.SearchStrategy[Any]:
    bounds = st.none() | st.integers(-size - 2, size + 2)
    indices = st.lists(st.integers(-size - 1, size), max_size=4)
    return st.one_of(
        st.integers(-size - 1, size),
        st.integers(-size - 1, size).map(np.int64),
        st.integers(0, size).map(np.uint8),
        st.builds(slice, bounds, bounds, st.none() | st.integers(-2, 3)),
        st.builds(slice, bounds, st.integers(0, size).map(np.uint8)),
        indices,
        indices.map(lambda found: np.array(found, dtype="int64")),
        st.lists(st.integers(0, size), max_size=3).map(lambda found: np.array(found, dtype="u2")),
        st.lists(st.booleans(), min_size=size, max_size=size),
        st.lists(st.booleans(), min_size=size, max_size=size).map(np.array),
        st.lists(st.booleans(), max_size=size + 1).map(np.array),
        st.sampled_from([..., None, "field", 1.5, True, np.array(1)]),
    )


@st.composite
def selections(draw: Any, shape: tuple[int, ...]) -> Any:
    drawn = tuple(draw(entries(size)) for size in shape[: draw(st.integers(0, len(shape)))])
    if draw(st.booleans()):
        at = draw(st.integers(0, len(drawn)))
        drawn = (*drawn[:at], ..., *drawn[at:])
    if draw(st.integers(0, 9)) == 0:
        drawn = (*drawn, 0)
    return drawn[0] if len(drawn) == 1 and draw(st.booleans()) else drawn


def of_zarr(array: HDMFZarrArray, read: Callable[[], Any]) -> Any:
    """What is read while nothing is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.ChunkCache, "select", lambda *_: None)
        return read()


def outcome(array: HDMFZarrArray, selection: Any) -> Any:
    try:
        return array[selection]
    except Exception as error:  # whatever it is, it is to be the same
        return type(error)


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_every_selection_is_what_zarr_makes_of_it(name: str, make_array: MakeArray) -> None:
    data, element, options = ARRAYS[name]
    array = make_array(data, element, **options)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(selections(array.shape))
    def check(selection: Any) -> None:
        array.hierarchy.cache.forget(array.node_path)
        found = [outcome(array, selection), outcome(array, selection)]
        expected = of_zarr(array, lambda: outcome(array, selection))
        for one in found:
            assert_identical(one, expected)

    check()
    if name != "none":
        assert len(array[...])
        assert array.hierarchy.cache._kept


def assert_identical(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(other, (np.ndarray, np.void)):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tolist() == other.tolist()
        if isinstance(other, np.ndarray):
            assert one.flags.writeable == other.flags.writeable
    else:
        assert one == other


@pytest.mark.parametrize("name", sorted(set(ARRAYS) - {"none"}))
@pytest.mark.parametrize("selection", [..., slice(None), 0, (0,), [0], slice(0, 1)], ids=str)
def test_what_a_caller_does_to_a_result_is_not_seen_by_the_next(
    name: str, selection: Any, make_array: MakeArray
) -> None:
    data, element, options = ARRAYS[name]
    array = make_array(data, element, **options)
    before = rows(array)
    taken = array[selection]
    if isinstance(taken, np.void):
        taken["start"] = 99
    elif isinstance(taken, np.ndarray):
        taken[...] = taken.ravel()[-1]
        if taken.dtype.names:
            taken["start"] = 99
    assert rows(array) == before


WRITES: dict[str, Any] = {
    "item": lambda array: array.__setitem__(1, 70),
    "slice": lambda array: array.__setitem__(slice(0, 2), 70),
    "mask": lambda array: array.__setitem__(np.arange(7) == 2, 70),
    "list": lambda array: array.__setitem__([0, 3], 70),
    "oindex": lambda array: array.oindex.__setitem__(([1, 2],), 70),
    "vindex": lambda array: array.vindex.__setitem__(([1, 2],), 70),
    "blocks": lambda array: array.blocks.__setitem__(0, 70),
    "append": lambda array: array.append(np.array([70, 71], dtype="int16")),
    "append wide": lambda array: array.append(np.array([70_000], dtype="int32")),
    "shrink and grow": lambda array: (array.resize((3,)), array.resize((7,))),
    "grow": lambda array: array.resize((9,)),
}


@pytest.mark.parametrize("how", sorted(WRITES))
def test_what_is_written_is_read(how: str, make_array: MakeArray) -> None:
    array = make_array(np.arange(7, dtype="int16"), INT16, compressors=[BloscCodec()])
    before = rows(array)
    WRITES[how](array)
    kept = rows(array)
    assert kept != before or how == "shrink and grow"
    assert kept == of_zarr(array, lambda: rows(array))


def count_requests(array: HDMFZarrArray, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    requests: list[str] = []
    bytestore = array.hierarchy.bytestore
    get_many = bytestore.get_many

    def counting(key: str, most: int | None = None) -> Any:
        requests.append(key)
        return get_many([key], most and {key: most}).get(key)

    def counting_many(keys: Any, *most: Any) -> Any:
        requests.extend(keys)
        return get_many(keys, *most)

    monkeypatch.setattr(bytestore, "get", counting)
    monkeypatch.setattr(bytestore, "get_many", counting_many)
    return requests


def test_rows_are_decoded_once(make_array: MakeArray, monkeypatch: pytest.MonkeyPatch) -> None:
    array = make_array(np.arange(50, dtype="int16"), INT16)
    requests = count_requests(array, monkeypatch)
    assert [array[row] for row in range(50)] == list(range(50))
    assert requests == ["group/data/c.0"]


def test_the_least_recently_used_are_dropped(
    make_array: MakeArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "KEPT_BYTES", 250)
    arrays = [
        make_array(np.arange(50, dtype="int16"), INT16, path=f"group/data{number}")
        for number in range(3)
    ]
    for array in (arrays[0], arrays[1], arrays[0], arrays[2]):
        array[...]
    kept = arrays[0].hierarchy.cache
    assert list(kept._kept) == [("group/data0", (0,)), ("group/data2", (0,))]
    assert kept._nbytes == 200


def test_of_large_chunks_the_last_of_an_array_are_kept(
    make_array: MakeArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SMALL_BYTES", 19)
    monkeypatch.setattr(cache, "LARGE_BYTES_OF_ARRAY", 50)
    array = make_array(np.arange(50, dtype="int16"), INT16, chunks=(10,))
    assert [array[row] for row in range(50)] == list(range(50))
    kept = array.hierarchy.cache
    assert list(kept._kept) == [("group/data", (3,)), ("group/data", (4,))]
    assert kept._nbytes == 40
    assert array[5:25].tolist() == list(range(5, 25)), "several large chunks are left to zarr"
    assert len(kept._kept) == 2
    kept.forget("group/data")
    assert (kept._nbytes, kept._large) == (0, {"group/data": []})


def test_only_the_chunks_that_are_selected_are_read(
    make_array: MakeArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = make_array(np.arange(50, dtype="int16"), INT16, chunks=(10,))
    requests = count_requests(array, monkeypatch)
    assert array[12:18].tolist() == list(range(12, 18))
    assert requests == ["group/data/c.1"]
    assert array[35:45:2].tolist() == list(range(35, 45, 2))
    assert requests == ["group/data/c.1", "group/data/c.3", "group/data/c.4"]
    assert array[-1] == 49
    assert array[30:].tolist() == list(range(30, 50))
    assert len(requests) == 3


def test_what_is_too_large_is_left_to_zarr(
    make_array: MakeArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 99)
    array = make_array(np.arange(50, dtype="int16"), INT16)
    assert rows(array) == list(range(50))
    assert not array.hierarchy.cache._kept


def test_a_chunk_that_is_missing_is_no_fill_value(make_array: MakeArray) -> None:
    array = make_array(np.arange(7, dtype="int16"), INT16, chunks=(3,))
    array._document["attributes"] = {"_STORED_CHUNKS": "all"}
    array.hierarchy.bytestore.delete("group/data/c.1")
    assert rows(array[:3]) == [0, 1, 2]
    for selection in (..., 4, slice(2, 5), [0, 5]):
        with pytest.raises(ChunkError, match=r":/group/data/c\.1: the chunk was written and is"):
            array[selection]


def test_a_damaged_chunk_is_named(make_array: MakeArray) -> None:
    array = make_array(np.arange(7, dtype="int16"), INT16, compressors=[BloscCodec()])
    array.hierarchy.bytestore.set("group/data/c.0", b"damaged" * 9)
    with pytest.raises(ChunkError, match=r"memory://.*:/group/data/c\.0: the chunk") as caught:
        array[0]
    assert str(caught.value).count("group/data") == 1


def test_fetched_chunks_are_not_asked_for_again(
    make_array: MakeArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_array(np.arange(7, dtype="int16"), INT16)
    other = make_array(np.arange(5, dtype="int16"), INT16, path="group/other")
    requests = count_requests(one, monkeypatch)
    one.hierarchy.cache.fetch(["group/data", "group/other"])
    assert requests == ["group/data/c.0", "group/other/c.0"]
    assert rows(one) == list(range(7))
    assert rows(other) == list(range(5))
    assert len(requests) == 2


def test_nuls_at_the_end_of_text_are_kept(make_array: MakeArray) -> None:
    array = make_array(np.array(["a", "nul\0"], dtype=object), TEXT)
    assert array[..., 1] == "nul\0"
    assert rows(array) == ["a", "nul\0"]
