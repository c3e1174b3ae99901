"""Which codec pipeline decodes the chunks of an array, and with how many threads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import zarr
from zarr.codecs import BytesCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.storage import MemoryStore

from hdmf_zarr.chunks import pipeline
from hdmf_zarr.chunks.pipeline import (
    PATH_OF_ZARRS,
    choose_pipeline,
    has_default_pipeline,
    most_threads,
)
from hdmf_zarr.core.system import n_cores
from hdmf_zarr.core.zarr_private import fused_pipeline_class

LITTLE, BIG = BytesCodec(endian="little"), BytesCodec(endian="big")


def asynchronous(**options: Any) -> Any:
    given = {"shape": (4, 4), "chunks": (2, 2), "dtype": "int16", **options}
    return zarr.create_array(MemoryStore(), **given)._async_array


def test_the_pipeline_is_the_users_where_one_is_named() -> None:
    assert has_default_pipeline()
    with zarr.config.set({"codec_pipeline.path": "mine.Pipeline"}):
        assert not has_default_pipeline()


def test_an_array_of_numbers_gets_the_fused_one_where_there_is_one() -> None:
    array = asynchronous()
    before = array.codec_pipeline
    choose_pipeline(array)
    fused = fused_pipeline_class()
    if fused is None:
        assert array.codec_pipeline is before
    else:
        assert isinstance(array.codec_pipeline, fused)
    found = asyncio.run(array.getitem((slice(None), 0)))
    assert found.tolist() == [0, 0, 0, 0]


def test_an_array_of_format_2_keeps_its_pipeline() -> None:
    array = asynchronous(zarr_format=2)
    before = array.codec_pipeline
    choose_pipeline(array)
    assert array.codec_pipeline is before


@pytest.mark.parametrize("path", [PATH_OF_ZARRS, "mine.Pipeline"])
def test_a_store_in_memory_is_not_left_to_zarrs(path: str) -> None:
    array = asynchronous()
    before = array.codec_pipeline
    with zarr.config.set({"codec_pipeline.path": path}):
        choose_pipeline(array)
    assert array.codec_pipeline is before


@pytest.mark.parametrize(
    ("codecs", "are"),
    [
        ([LITTLE, ZstdCodec()], True),
        ([TransposeCodec(order=(1, 0)), LITTLE], True),
        ([BIG], False),
        ([ShardingCodec(chunk_shape=(2, 2), codecs=[LITTLE])], True),
        ([ShardingCodec(chunk_shape=(2, 2), codecs=[BIG])], False),
        ([SimpleNamespace(to_dict=lambda: {"name": "numcodecs.delta"})], False),
        ([], True),
    ],
    ids=range(7),
)
def test_zarrs_decodes_what_is_known_to_be_the_same(codecs: list[Any], *, are: bool) -> None:
    assert pipeline._are_known(codecs) is are


@pytest.mark.parametrize(
    ("at_most", "told", "expected"),
    [(8, 3, 3), (2, 3, 2), (8, 0, 1), (0, 3, 1), (10**6, None, None), (8, "3", None)],
)
def test_threads_are_as_many_as_the_user_has_told(
    at_most: int, told: Any, expected: int | None
) -> None:
    with zarr.config.set({"threading.max_workers": told}):
        assert most_threads(at_most) == (min(at_most, n_cores()) if expected is None else expected)
