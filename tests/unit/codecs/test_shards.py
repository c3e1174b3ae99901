"""The index of a shard: where each chunk is, and what a damaged one says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.codecs.shards import MISSING, ShardCodec, crc32c
from hdmf_zarr.errors import ChunkError

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
CRC = {"name": "crc32c"}


def sharding(**changes: Any) -> dict[str, Any]:
    said = {"chunk_shape": [2, 2], "codecs": [LITTLE], "index_codecs": [LITTLE, CRC], **changes}
    return {"name": "sharding_indexed", "configuration": said}


def codec(shard: tuple[int, ...] = (4, 6), **changes: Any) -> ShardCodec:
    found = ShardCodec.for_codecs("int16", shard, [sharding(**changes)])
    assert found is not None
    return found


def encoded(entries: list[tuple[int, int]], *, checksum: bool = True) -> bytes:
    held = np.array(entries, dtype="<u8").tobytes()
    return held + (crc32c(held) if checksum else b"")


def test_a_checksum_is_that_of_the_format() -> None:
    assert crc32c(b"123456789").hex() == "839206e3"  # e3069283, the lowest byte first
    assert crc32c(b"") == bytes(4)


def test_a_shard_has_a_grid_and_an_index() -> None:
    found = codec()
    assert found.grid == (2, 3)
    assert (found.index_bytes, found.index_start) == (6 * 16 + 4, -100)
    assert found.chain.shape == (2, 2)
    first = codec(index_location="start", index_codecs=[LITTLE])
    assert (first.index_bytes, first.index_start) == (96, 0)
    assert (first.is_index_first, first.has_checksum) == (True, False)
    assert codec(index_codecs=[LITTLE, {**CRC, "configuration": {}}]).has_checksum


@pytest.mark.parametrize(
    ("data_type", "shard", "codecs"),
    [
        ("int16", (4, 6), []),
        ("int16", (4, 6), [LITTLE]),
        ("int16", (4, 6), [sharding(), {"name": "gzip"}]),
        ("int16", (4, 6), [sharding(index_codecs=[BIG, CRC])]),
        ("int16", (4, 6), [sharding(index_codecs=[LITTLE, {"name": "gzip"}])]),
        ("int16", (4, 6), [sharding(index_codecs=3)]),
        ("int16", (4, 6), [sharding(index_location="middle")]),
        ("int16", (4, 6), [sharding(codecs=[sharding()])]),
        ("int16", (4, 6), [sharding(codecs=[LITTLE, {"name": "not.known"}])]),
        ("int16", (4, 6), [sharding(chunk_shape=[2, 4])]),
        ("int16", (4, 6), [sharding(chunk_shape=[2])]),
        ("int16", (4, 6), [sharding(chunk_shape=[2, 0])]),
        ("int16", (4, 6), [sharding(chunk_shape=None)]),
        ("int16", (4, 6), [{"name": "sharding_indexed"}]),
        ("int16", (4, 6), [{"name": "sharding_indexed", "configuration": None}]),
        ("int16", (4, 6), [None]),
        ("int16", (4, 6), None),
        ("not a type", (4, 6), [sharding()]),
    ],
    ids=range(18),
)
def test_other_shards_are_left_to_zarr(data_type: Any, shard: Any, codecs: Any) -> None:
    assert ShardCodec.for_codecs(data_type, shard, codecs) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=6, max_size=6
    ),
    st.booleans(),
)
def test_an_index_is_read_as_it_was_written(entries: Any, has_checksum: Any) -> None:
    found = codec(index_codecs=[LITTLE, CRC] if has_checksum else [LITTLE])
    assert found.index(encoded(entries, checksum=has_checksum)).tolist() == [
        list(entry) for entry in entries
    ]


def test_a_damaged_index_is_refused() -> None:
    whole = encoded([(0, 8)] * 6)
    with pytest.raises(ChunkError, match="its index has 99 bytes, expected 100"):
        codec().index(whole[:-1])
    with pytest.raises(ChunkError, match="its index has 101 bytes"):
        codec().index(whole + b"x")
    with pytest.raises(ChunkError, match="its index has 0 bytes"):
        codec().index(b"")
    for at in (0, 50, 99):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        with pytest.raises(ChunkError, match="the index of the shard has the checksum"):
            codec().index(bytes(damaged))


def test_chunks_are_counted_in_their_shard() -> None:
    found = codec()
    assert found.shard_of((0, 0)) == found.shard_of((1, 2)) == (0, 0)
    assert found.shard_of((2, 3)) == (1, 1)
    assert found.shard_of((5, 1)) == (2, 0)
    assert found.first_element((5, 1)) == (10, 2)


def test_bounds_are_those_of_the_chunk() -> None:
    found = codec()
    index = found.index(encoded([(number * 8, 8) for number in range(6)]))
    places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [found.bounds(index, at) for at in places] == [(8 * n, 8) for n in range(6)]
    assert found.bounds(index, (2 + 1, 3 + 1)) == (32, 8)  # in another shard
    assert found.bounds(index, (1, 2), 48) == (40, 8)


def test_a_chunk_that_is_not_there_has_no_bounds() -> None:
    found = codec()
    index = found.index(encoded([(MISSING, MISSING)] * 6))
    assert found.bounds(index, (0, 0)) is None
    assert found.bounds(index, (0, 0), 100) is None


@pytest.mark.parametrize(
    ("entry", "n_bytes"),
    [
        ((41, 8), 48),
        ((0, 49), 48),
        ((MISSING, 8), 48),
        ((0, MISSING), 48),
        ((MISSING, 8), None),
        ((0, MISSING), None),
        ((2**63, 1), None),
    ],
)
def test_an_index_that_leads_out_of_the_shard_is_damaged(
    entry: tuple[int, int], n_bytes: int | None
) -> None:
    found = codec()
    index = found.index(encoded([entry] * 6))
    with pytest.raises(ChunkError, match="by its index the chunk 4 in it begins at"):
        found.bounds(index, (1, 1), n_bytes)


def test_a_chunk_has_no_more_bytes_than_it_can() -> None:
    found = codec()
    most = found.chain.most_encoded
    assert most >= math.prod(found.chain.shape) * 2
    index = found.index(encoded([(0, most), (0, most + 1), *[(0, 1)] * 4]))
    assert found.bounds(index, (0, 0)) == (0, most)
    with pytest.raises(ChunkError, match=f"the chunk 1 of the shard has {most + 1} bytes or more"):
        found.bounds(index, (0, 1))
