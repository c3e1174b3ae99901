"""Whole write units: plain zarr reads them, whatever pieces they come in and however many threads encode."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore, MemoryStore

from hdmf_zarr.core.regions import parts_of
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.chunks.region_encoder import UnitWriter
from hdmf_zarr.write.chunks.shards import inner_document

SHAPE = (23, 10)
VALUES = np.random.default_rng(0).integers(1, 9, SHAPE, dtype=np.int16)


def made(store: Any, **options: Any) -> dict[str, Any]:
    """Make an array with zarr and return its document."""
    array = zarr.create_array(store, name="a", shape=SHAPE, dtype="int16", chunks=(4, 3),
                              fill_value=-1, **options)  # fmt: skip
    return array.metadata.to_dict()  # type: ignore[return-value]


@pytest.mark.parametrize("piece", [(23, 10), (4, 3), (5, 10), (3, 2), (23, 1)])
@pytest.mark.parametrize("shards", [None, (8, 6), (24, 12)])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("compressors", ["auto", None])
@pytest.mark.parametrize("kind", ["memory", "local"])
def test_plain_zarr_reads_what_was_written(tmp_path, piece, shards, n_threads, kind, compressors):
    store: Any = MemoryStore() if kind == "memory" else LocalStore(tmp_path / "a.zarr")
    document = made(store, shards=shards, compressors=compressors)
    bytestore = open_bytestore(locate(store), read_only=False)
    writer = UnitWriter.of(bytestore, "a", document, n_threads)
    assert writer is not None
    whole = tuple(slice(0, size) for size in SHAPE)
    memory = np.empty(SHAPE, dtype=np.int16)

    def pieces() -> Any:
        for region in parts_of(whole, piece):
            # As of an iterator that uses its memory again.
            shape = tuple(part.stop - part.start for part in region)
            room = memory.ravel()[: np.prod(shape)].reshape(shape)
            room[...] = VALUES[region]
            yield region, room

    writer.write(whole, pieces())
    memory[...] = 0
    array = zarr.open_array(store, path="a", mode="r+")
    np.testing.assert_array_equal(array[...], VALUES)
    # What is beyond the end is fill value, which is seen when the array grows.
    array.resize((24, 12))
    assert (array[23:] == -1).all()
    assert (array[:, 10:] == -1).all()


def test_a_chunk_that_is_not_there_is_missing_only_beyond_the_end():
    store = MemoryStore()
    document = made(store, shards=(8, 6), compressors=None)
    writer = UnitWriter.of(open_bytestore(locate(store), read_only=False), "a", document, 1)
    assert writer is not None
    whole = tuple(slice(0, size) for size in SHAPE)
    writer.write(whole, [(whole, VALUES)])
    sizes = {
        at: len(store._store_dict[f"a/c/{at[0]}/{at[1]}"].to_bytes())
        for at in itertools.product(range(3), range(2))
    }
    chunk, index = 4 * 3 * 2, 4 * 16 + 4
    # 23 rows are six chunks, 10 columns four: every shard has all of its four.
    assert set(sizes.values()) == {4 * chunk + index}


def test_units_are_whole_or_end_with_the_array():
    document = made(MemoryStore(), shards=(8, 6))
    writer = UnitWriter.of(None, "a", document, 1)  # type: ignore[arg-type]
    assert writer is not None
    assert writer.are_whole((slice(8, 16), slice(0, 6)))
    assert writer.are_whole((slice(16, 23), slice(6, 10)))
    assert not writer.are_whole((slice(4, 8), slice(0, 6)))
    assert not writer.are_whole((slice(0, 8), slice(0, 3)))


@pytest.mark.parametrize("change", ["start", "index", "beside"])
def test_other_shards_than_ours_are_left_to_zarr(change):
    document = made(MemoryStore(), shards=(8, 6))
    assert inner_document(document) is not None
    sharding = document["codecs"][0]
    if change == "start":
        sharding["configuration"]["index_location"] = "start"
    elif change == "index":
        sharding["configuration"]["index_codecs"] = [
            {"name": "bytes", "configuration": {"endian": "little"}}
        ]
    else:
        document["codecs"] = (*document["codecs"], {"name": "gzip", "configuration": {"level": 1}})
    assert inner_document(document) is None
    assert UnitWriter.of(None, "a", document, 1) is None  # type: ignore[arg-type]


def test_a_store_that_fails_is_an_error_of_the_write():
    class Full(MemoryStore):
        async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
            if "c/1" in key:
                raise OSError("no space left")
            await super().set(key, value, byte_range)

    store = Full()
    document = made(store, shards=None)
    writer = UnitWriter.of(open_bytestore(locate(store), read_only=False), "a", document, 2)
    assert writer is not None
    whole = tuple(slice(0, size) for size in SHAPE)
    with pytest.raises(OSError, match="no space left"):
        writer.write(whole, [(whole, VALUES)])
