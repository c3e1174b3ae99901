"""Shards that this package puts together are those of zarr's sharding codec."""

from __future__ import annotations

from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec
from zarr.storage import MemoryStore

from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.write.chunks.shards import ShardIndex, inner_document

MISSING = 2**64 - 1


def made(store: Any, **options: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"shape": (10, 4), "chunks": (2, 4), "dtype": "int16", "name": "a"}
    array = zarr.create_array(store, **{**said, **options})
    return array.metadata.to_dict()  # type: ignore[return-value]


def sharded(codec: ShardingCodec, **options: Any) -> dict[str, Any]:
    return made({}, chunks=(6, 4), serializer=codec, compressors=None, filters=None, **options)


# -- the index -------------------------------------------------------------------------------------


def test_an_empty_index_has_no_chunk() -> None:
    encoded = ShardIndex(2).encoded()
    entries = np.frombuffer(encoded[:-4], "<u8").reshape(2, 2)
    assert entries.tolist() == [[MISSING, MISSING]] * 2
    assert int.from_bytes(encoded[-4:], "little") == google_crc32c.value(encoded[:-4])


def test_chunks_stand_one_behind_the_other() -> None:
    index = ShardIndex(3)
    index.add(2, 10)
    index.add(0, 5)
    assert index.end == 15
    assert np.frombuffer(index.encoded()[:-4], "<u8").reshape(3, 2).tolist() == [
        [10, 5],
        [MISSING, MISSING],
        [0, 10],
    ]


def test_a_place_outside_of_the_shard_is_an_error() -> None:
    with pytest.raises(IndexError):
        ShardIndex(3).add(3, 1)


def test_a_checksum_is_of_these_entries() -> None:
    one, other = ShardIndex(1), ShardIndex(1)
    one.add(0, 3)
    other.add(0, 4)
    assert one.encoded()[-4:] != other.encoded()[-4:]


@given(st.permutations(range(3)), st.sets(st.integers(0, 2)))
def test_zarr_reads_a_shard_whatever_the_order_of_its_chunks(
    order: list[int], left_out: set[int]
) -> None:
    store = MemoryStore()
    values = np.arange(1, 25, dtype="<i2").reshape(6, 4)
    made(store, shape=(6, 4), shards=(6, 4), compressors=None)
    index, shard = ShardIndex(3), b""
    for place in order:
        if place not in left_out:
            encoded = values[2 * place : 2 * place + 2].tobytes()
            index.add(place, len(encoded))
            shard += encoded
    store._store_dict["a/c/0/0"] = zarr.core.buffer.cpu.Buffer.from_bytes(shard + index.encoded())
    found = zarr.open_array(store, path="a", mode="r")[...]
    expected = values.copy()
    for place in left_out:
        expected[2 * place : 2 * place + 2] = 0
    np.testing.assert_array_equal(found, expected)


# -- the array of what is in shards ----------------------------------------------------------------


def test_the_document_is_that_of_an_array_without_shards() -> None:
    document = made({}, shards=(6, 4), compressors=GzipCodec())
    inner = inner_document(document)
    assert inner is not None
    plain = array_node(made({}, compressors=GzipCodec()))
    node = array_node(inner)
    assert (node.shape, node.stored_chunk, node.chunk) == ((10, 4), (2, 4), (2, 4))
    assert not node.is_sharded
    assert [codec["name"] for codec in node.codecs] == [codec["name"] for codec in plain.codecs]
    assert array_node(document).is_sharded


def test_an_array_without_shards_has_none() -> None:
    assert inner_document(made({})) is None


@pytest.mark.parametrize(
    "codec",
    [
        ShardingCodec(chunk_shape=(2, 4), index_location="start"),
        ShardingCodec(chunk_shape=(2, 4), index_codecs=[BytesCodec(endian="little")]),
        ShardingCodec(chunk_shape=(2, 4), index_codecs=[BytesCodec(endian="big"), Crc32cCodec()]),
    ],
)
def test_an_index_of_another_kind_is_left_alone(codec: ShardingCodec) -> None:
    assert inner_document(sharded(codec)) is None


def test_shards_of_the_usual_kind_are_known() -> None:
    found = inner_document(sharded(ShardingCodec(chunk_shape=(2, 4))))
    assert found is not None
    assert array_node(found).stored_chunk == (2, 4)


def test_shards_that_are_encoded_once_more_are_left_alone() -> None:
    codec = ShardingCodec(chunk_shape=(2, 4))
    document = sharded(codec)
    assert inner_document(document) is not None
    document = {**document, "codecs": [*document["codecs"], {"name": "crc32c"}]}
    assert inner_document(document) is None


def test_the_document_that_is_given_is_not_changed() -> None:
    document = made({}, shards=(6, 4), filters=TransposeCodec(order=(1, 0)))
    before = repr(document)
    inner_document(document)
    assert repr(document) == before
