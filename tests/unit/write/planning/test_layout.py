"""Chunks, shards and codecs by default and on request; what does not fit is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from zarr.codecs import GzipCodec, ShardingCodec

from hdmf_zarr.codecs import CodecRequest
from hdmf_zarr.core.dtypes import TEXT, ElementType
from hdmf_zarr.errors import LayoutError
from hdmf_zarr.write.planning.layout import (
    CHUNK_BYTES,
    CHUNKS_IN_SHARD,
    SHARD_BYTES,
    Layout,
    LayoutRequest,
    decide_layout,
    default_chunks,
)

INT16 = ElementType("number", np.dtype("<i2"))


def decide(shape: tuple[int | None, ...], itemsize: float = 2, **request: Any) -> Layout:
    return decide_layout(
        LayoutRequest(**request),
        element=INT16,
        stored_dtype=np.dtype("<i2"),
        shape=shape,
        itemsize=itemsize,
        fill_value=0,
    )


# -- chunks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunks"),
    [
        ((), 8, ()),
        ((10,), 8, (10,)),
        ((10, 3), 8, (10, 3)),
        ((0,), 8, (1,)),
        ((0, 3), 8, (1, 3)),
        ((3, 0), 8, (3, 1)),
        ((2**21,), 2, (2**21,)),
        ((2**21 + 1,), 2, (2**21,)),
        ((108_000_000, 384), 2, (5461, 384)),
        ((1000, 2048, 2048), 2, (1, 1024, 2048)),
        ((5, 2**30), 1, (1, 2**22)),
        ((None,), 4, (2**20,)),
        ((None, 100), 4, (10485, 100)),
        ((10, None), 4, (10, 1)),
        ((10,), 0.1, (10,)),
        ((100_000_000,), 16.0, (2**18,)),
    ],
)
def test_the_default_chunks_are(
    shape: tuple[int | None, ...], itemsize: float, chunks: tuple[int, ...]
) -> None:
    assert default_chunks(shape, itemsize) == chunks


@pytest.mark.parametrize("itemsize", [1, 2, 8, 16])
@pytest.mark.parametrize(
    "shape",
    [(1,), (7, 5), (10**8, 384), (10**6, 3000, 2), (40, 5000, 5000), (3, 10**9), (2, 3, 4, 5)],
)
def test_default_chunks_hold_four_megabytes_of_whole_rows(
    shape: tuple[int, ...], itemsize: int
) -> None:
    chunks = default_chunks(shape, itemsize)
    assert len(chunks) == len(shape)
    assert all(1 <= chunk <= size for chunk, size in zip(chunks, shape, strict=True))
    assert math.prod(chunks) * itemsize <= CHUNK_BYTES
    row_bytes = math.prod(shape[1:]) * itemsize
    if row_bytes <= CHUNK_BYTES:
        assert chunks[1:] == shape[1:], "a row is whole"
        assert chunks[0] == shape[0] or (chunks[0] + 1) * row_bytes > CHUNK_BYTES, "as many as fit"
    else:
        assert chunks[0] == 1
        assert 4 * math.prod(chunks) * itemsize >= CHUNK_BYTES, "not much smaller than need be"


def test_an_array_of_less_than_four_megabytes_is_one_chunk() -> None:
    assert decide((1000, 2000)).chunks == (1000, 2000)


def test_chunks_are_as_asked_for() -> None:
    assert decide((100, 4), chunks=(7, 3)).chunks == (7, 3)
    assert decide((100,), chunks=(np.int64(7),)).chunks == (7,)
    assert type(decide((100,), chunks=(np.int64(7),)).chunks[0]) is int


def test_chunks_may_be_larger_than_the_array_which_may_grow() -> None:
    assert decide((3,), chunks=(10,)).chunks == (10,)


def test_chunks_that_the_data_recommend_count_before_the_default() -> None:
    layout = decide_layout(
        LayoutRequest(),
        element=INT16,
        stored_dtype=np.dtype("<i2"),
        shape=(100, 4),
        itemsize=2,
        fill_value=0,
        recommended_chunks=(10, 2),
    )
    assert layout.chunks == (10, 2)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("chunks", (2,), "1 dimensions, the data have 2"),
        ("chunks", (2, 2, 2), "3 dimensions, the data have 2"),
        ("chunks", (), "0 dimensions, the data have 2"),
        ("chunks", (0, 2), "positive integers"),
        ("chunks", (-1, 2), "positive integers"),
        ("chunks", (2.0, 2), "positive integers"),
        ("chunks", ("2", 2), "positive integers"),
        ("chunks", (None, 2), "positive integers"),
        ("chunks", (True, 2), "positive integers"),
        ("shards", (2,), "1 dimensions, the data have 2"),
        ("shards", (0, 2), "positive integers"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name: str, sizes: Any, message: str) -> None:
    with pytest.raises(LayoutError, match=f"{name} .*{message}"):
        decide((100, 4), **{name: sizes})


# -- shards ----------------------------------------------------------------------------------------


def test_there_are_no_shards_by_default() -> None:
    layout = decide((10**9,))
    assert layout.shards is None
    assert layout.write_unit == layout.chunks


def test_shards_are_as_asked_for() -> None:
    layout = decide((100, 4), chunks=(5, 2), shards=(20, 4))
    assert layout.shards == (20, 4)
    assert layout.write_unit == (20, 4)
    (sharding,) = layout.codecs
    assert isinstance(sharding, ShardingCodec)
    assert sharding.chunk_shape == (5, 2)


def test_without_chunks_the_default_is_fitted_into_the_shards() -> None:
    layout = decide((10**8,), shards=(3 * 10**6,))
    assert layout.shards == (3 * 10**6,)
    assert layout.shards[0] % layout.chunks[0] == 0
    assert layout.chunks[0] * 2 <= CHUNK_BYTES


@pytest.mark.parametrize("shards", [(12, 4), (10, 3), (4, 2)])
def test_shards_that_are_no_multiple_of_the_chunks_are_refused(shards: tuple[int, ...]) -> None:
    with pytest.raises(LayoutError, match="must be a multiple of the chunks"):
        decide((100, 4), chunks=(5, 2), shards=shards)


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunks"),
    [
        ((10**9,), 2, None),
        ((108_000_000, 384), 2, None),
        ((10**6, 3000), 8, (100, 100)),
        ((50, 5000, 5000), 2, (1, 500, 500)),
        ((None, 100), 4, (1000, 100)),
        ((10**6, 100), 4, (30, 70)),
    ],
)
def test_automatic_shards_are_whole_chunks_of_about_64_megabytes(
    shape: tuple[int | None, ...], itemsize: int, chunks: tuple[int, ...] | None
) -> None:
    layout = decide(shape, itemsize, chunks=chunks, shards="auto")
    assert layout.shards is not None
    assert not any(s % c for s, c in zip(layout.shards, layout.chunks, strict=True))
    size = math.prod(layout.shards) * itemsize
    assert SHARD_BYTES / 2 < size <= SHARD_BYTES


@pytest.mark.parametrize("shape", [(None,), (10**9,)])
def test_automatic_shards_of_tiny_chunks_hold_a_bounded_number_of_them(shape: Any) -> None:
    assert decide(shape, chunks=(1,), shards="auto").shards == (CHUNKS_IN_SHARD,)
    assert decide((*shape, 100), chunks=(1, 1), shards="auto").shards == (163, 100)


def test_automatic_shards_of_a_small_array_end_with_it() -> None:
    assert decide((100, 4), chunks=(30, 3), shards="auto").shards == (120, 6)


def test_automatic_shards_of_an_array_of_one_chunk_are_none() -> None:
    assert decide((100, 4), shards="auto").shards is None


def test_a_scalar_has_no_shards() -> None:
    assert decide((), shards="auto").shards is None
    assert decide((), shards=()).shards is None
    with pytest.raises(LayoutError, match="1 dimensions, the data have 0"):
        decide((), shards=(1,))


@pytest.mark.parametrize("shards", ["AUTO", "automatic", True, 1.5])
def test_shards_that_are_neither_sizes_nor_auto_are_refused(shards: Any) -> None:
    with pytest.raises(LayoutError, match="shards"):
        decide((100, 4), shards=shards)


# -- the rest --------------------------------------------------------------------------------------


def test_the_fill_value_is_as_asked_for() -> None:
    assert decide((3,)).fill_value == 0
    assert decide((3,), fill_value=7).fill_value == 7


def test_codecs_are_as_asked_for() -> None:
    layout = decide((3,), codecs=CodecRequest(compressors=GzipCodec(level=2)))
    assert layout.codecs[-1] == GzipCodec(level=2)


def test_text_is_cut_by_its_mean_size() -> None:
    layout = decide_layout(
        LayoutRequest(),
        element=TEXT,
        stored_dtype=None,
        shape=(10**7,),
        itemsize=100.0,
        fill_value="",
    )
    assert layout.chunks == (CHUNK_BYTES // 100,)


def test_an_empty_request_says_so() -> None:
    assert LayoutRequest().is_empty
    assert not LayoutRequest(chunks=(1,)).is_empty
    assert not LayoutRequest(codecs=CodecRequest(compressors=False)).is_empty
