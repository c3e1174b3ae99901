"""A chunk that is not there: lost, not known, or never written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.chunks.missing import (
    WatchedStore,
    count_chunks,
    count_keys,
    meaning_of_missing,
    resized,
    stored_chunks,
    tell_missing,
    watched,
    with_count,
)
from hdmf_zarr.convention.common import EVERY_CHUNK, STORED_CHUNKS
from hdmf_zarr.core.zarr_private import default_buffer_prototype
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS, FORMAT2_CHUNK_KEYS
from hdmf_zarr.metadata.node import array_node, made_document, with_attributes
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate

BUFFER = default_buffer_prototype()


def array(count: Any = None, **options: Any) -> dict[str, Any]:
    """An array of six chunks."""
    made = made_document(
        **{
            "shape": (5, 4),
            "chunk": (2, 2),
            "data_type": "int16",
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "chunk_keys": CHUNK_KEYS,
            **options,
        }
    )
    return made if count is None else with_attributes(made, {STORED_CHUNKS: count, "unit": "V"})


def of_format2(count: Any = None) -> dict[str, Any]:
    return array(count, chunk_keys=FORMAT2_CHUNK_KEYS, format2_filters={"filters": None})


@pytest.mark.parametrize(
    ("count", "stored"),
    [
        (EVERY_CHUNK, 6),
        (6, 6),
        (0, 0),
        (2, 2),
        (None, None),
        ("6", None),
        (True, None),
        (6.0, None),
    ],
)
def test_an_array_says_how_many_chunks_it_has(count: Any, stored: int | None) -> None:
    assert stored_chunks(array(count)) == stored


@pytest.mark.parametrize(
    ("document", "meaning"),
    [
        (array(EVERY_CHUNK), "lost"),
        (array(6), "lost"),
        (array(7), "lost"),
        (array(5), "absent"),
        (array(0), "absent"),
        (array(), "absent"),
        (array("six"), "absent"),
        (of_format2(), "untold"),
        (of_format2(EVERY_CHUNK), "lost"),
        (of_format2(3), "absent"),
    ],
    ids=range(10),
)
def test_what_a_missing_chunk_means(document: dict[str, Any], meaning: str) -> None:
    assert meaning_of_missing(document) == meaning


def test_a_lost_chunk_is_an_error_and_an_unknown_one_a_warning() -> None:
    with pytest.raises(ChunkError, match="^s:/a/c.0.0: the chunk was written and is not there any"):
        tell_missing(array(EVERY_CHUNK), "s:/a/c.0.0")
    with pytest.warns(UserWarning, match="^s:/a/0.0: the chunk is not there and reads as the fill"):
        tell_missing(of_format2(), "s:/a/0.0")
    tell_missing(array(3), "s:/a/c.0.0")


@pytest.mark.parametrize(
    ("n_written", "told"), [(None, EVERY_CHUNK), (6, EVERY_CHUNK), (9, EVERY_CHUNK), (5, 5), (0, 0)]
)
def test_a_document_tells_how_many_were_written(n_written: int | None, told: Any) -> None:
    before = array(1)
    after = with_count(before, n_written)
    assert after["attributes"] == {STORED_CHUNKS: told, "unit": "V"}
    assert before["attributes"] == {STORED_CHUNKS: 1, "unit": "V"}
    assert with_count(after, n_written) is after


@pytest.mark.parametrize(
    ("count", "shape", "is_written", "told"),
    [
        (EVERY_CHUNK, [7, 4], True, EVERY_CHUNK),
        (EVERY_CHUNK, [7, 4], False, 6),
        (EVERY_CHUNK, [6, 4], False, EVERY_CHUNK),  # within the last chunk
        (EVERY_CHUNK, [2, 4], False, EVERY_CHUNK),
        (EVERY_CHUNK, [2, 8], True, EVERY_CHUNK),
        (EVERY_CHUNK, [2, 8], False, 2),
        (3, [9, 4], True, 7),
        (3, [9, 4], False, 3),
        (3, [2, 4], True, EVERY_CHUNK),  # at most the two that are left
        (0, [5, 6], True, 3),
    ],
)
def test_a_count_follows_the_shape(
    count: Any, shape: list[int], told: Any, *, is_written: bool
) -> None:
    after = resized(array(count), shape, is_written=is_written)
    assert array_node(after).shape == tuple(shape)
    assert after["attributes"][STORED_CHUNKS] == told


def test_what_is_not_told_stays_so() -> None:
    after = resized(array(), [7, 4], is_written=True)
    assert after["shape"] == [7, 4]
    assert STORED_CHUNKS not in after["attributes"]


def test_only_chunks_are_counted() -> None:
    store = open_bytestore(locate(MemoryStore()), read_only=False)
    keys = [
        "a/zarr.json",
        "a/c.0.0",
        "a/c.2.1",
        "a/c.3.0",
        "a/c.0",
        "a/0.0",
        "a/b/c.0.0",
        "ab/c.0.0",
    ]
    for key in keys:
        store.set(key, b"x")
    assert count_chunks(store, "a", array()) == 2
    assert count_keys([], "a", array()) == 0
    assert count_keys(["a/0.0", "a/c.0.0"], "a", of_format2()) == 1


# -- a store that watches --------------------------------------------------------------------------


def watching(document: dict[str, Any], **values: bytes) -> Any:
    store = MemoryStore()
    for key, value in values.items():
        name = key.replace("__", "/").replace("_", ".")
        asyncio.run(store.set(name, BUFFER.buffer.from_bytes(value)))
    return watched(store, "s", "a", document)


def get(store: Any, key: str) -> bytes | None:
    value = asyncio.run(store.get(key, BUFFER))
    return None if value is None else value.to_bytes()


def test_a_chunk_that_is_there_is_read() -> None:
    assert get(watching(array(EVERY_CHUNK), a__c_0_0=b"chunk"), "a/c.0.0") == b"chunk"


def test_a_lost_chunk_is_told_of_by_its_key() -> None:
    store = watching(array(EVERY_CHUNK))
    with pytest.raises(ChunkError, match="^s:/a/c.2.1: the chunk was written"):
        get(store, "a/c.2.1")
    assert get(store, "a/zarr.json") is None
    assert get(store, "a/c.3.0") is None  # beyond the end
    assert get(watching(array(2)), "a/c.0.0") is None


def test_an_empty_chunk_is_damaged() -> None:
    store = watching(array(2), a__c_0_0=b"", a__zarr_json=b"")
    with pytest.raises(ChunkError, match="^s:/a/c.0.0: the chunk is empty"):
        get(store, "a/c.0.0")
    assert get(store, "a/zarr.json") == b""


def test_a_store_that_reads_at_once_is_watched_too() -> None:
    if not hasattr(MemoryStore, "get_sync"):
        pytest.skip("of later versions of zarr-python")
    store = watching(array(EVERY_CHUNK), a__c_0_0=b"chunk")
    assert store.get_sync("a/c.0.0", prototype=BUFFER).to_bytes() == b"chunk"
    with pytest.raises(ChunkError, match="s:/a/c.0.1"):
        store.get_sync("a/c.0.1", prototype=BUFFER)


def test_who_reads_past_the_store_asks_it_first() -> None:
    store = watching(array(EVERY_CHUNK))
    store.look(["a/c.0.0", "a/zarr.json"], lambda key: key == "a/c.0.0")
    with pytest.raises(ChunkError, match="s:/a/c.0.1"):
        store.look(["a/c.0.0", "a/c.0.1"], lambda key: key == "a/c.0.0")


def test_a_view_of_a_store_watches() -> None:
    view = watching(array(EVERY_CHUNK))._with_store(MemoryStore())
    assert isinstance(view, WatchedStore)
    with pytest.raises(ChunkError, match="s:/a/c.0.0"):
        get(view, "a/c.0.0")
