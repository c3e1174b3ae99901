"""Chains of codecs are tried once, and what is wrong with one is said."""

from __future__ import annotations

import warnings
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr.dtype
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    VLenBytesCodec,
    VLenUTF8Codec,
    ZstdCodec,
)
from zarr.storage import MemoryStore

from hdmf_zarr.arrays import codec_proof
from hdmf_zarr.arrays.codec_proof import prove_chain
from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec
from hdmf_zarr.core.dtypes import BYTES, REFERENCE, stored_dtype
from hdmf_zarr.errors import LayoutError
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS, FORMAT2_CHUNK_KEYS
from hdmf_zarr.stores import event_loop

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")

LITTLE = BytesCodec(endian="little")
DELTA = to_zarr_codec(numcodecs.Delta("<i2"), 2)
RECORD = np.dtype([("a", "<i4"), ("b", "<f8"), ("c", "S5")])


def document(
    dtype: Any, *codecs: Any, chunks: tuple[int, ...] = (4, 3), zarr_format: int = 3
) -> dict[str, Any]:
    data_type = dtype
    if not isinstance(dtype, zarr.dtype.ZDType):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data_type = zarr.dtype.parse_dtype(np.dtype(dtype), zarr_format=3)
    return array_document.array_document(
        shape=chunks,
        data_type=data_type,
        chunk_grid_shape=chunks,
        fill_value=array_document.empty_scalar(data_type),
        codecs=codecs,
        dimension_names=None,
        chunk_key_encoding=CHUNK_KEYS if zarr_format == 3 else FORMAT2_CHUNK_KEYS,
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(), (5,), (4, 3), (2, 3, 4), (1, 2, 3, 4), (2,) * 6])
@pytest.mark.parametrize(
    "dtype", ["?", "i1", "<u8", "<f2", "<f8", "<c16", "S3", "<U2", RECORD], ids=str
)
def test_elements_of_each_kind_and_rank_are_proved(
    dtype: Any, chunks: tuple[int, ...], zarr_format: int
) -> None:
    given = document(dtype, LITTLE, GzipCodec(), chunks=chunks, zarr_format=zarr_format)
    prove_chain(given, zarr_format)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("data_type", "serializers"),
    [
        (zarr.dtype.VariableLengthUTF8(), [VLenUTF8Codec()]),
        (stored_dtype(BYTES), [VLenBytesCodec()]),
    ],
    ids=["text", "bytes"],
)
def test_text_is_proved(data_type: Any, serializers: list[Any], zarr_format: int) -> None:
    for chunks in ((), (3,), (2, 2)):
        if chunks == () and zarr_format == 2:
            continue  # which has no array of such a shape
        prove_chain(
            document(data_type, *serializers, ZstdCodec(), chunks=chunks, zarr_format=zarr_format),
            zarr_format,
        )


def test_objects_of_format_2_are_proved() -> None:
    assert REFERENCE.kind == "reference"
    codecs = [VLenUTF8Codec(), JSONObjectsCodec(), GzipCodec()]
    given = document(zarr.dtype.VariableLengthUTF8(), *codecs, zarr_format=2)
    prove_chain(given, 2)


def test_each_chain_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codec_proof._why_wrong.cache_clear()
    tried: list[Any] = []
    real = codec_proof._try
    monkeypatch.setattr(codec_proof, "_try", lambda trial: (tried.append(trial), real(trial)))
    for rows in range(1, 50):
        prove_chain(
            document("<i2", TransposeCodec(order=(1, 0)), DELTA, LITTLE, chunks=(rows, 7)), 3
        )
    assert len(tried) == 1
    prove_chain(document("<i2", DELTA, LITTLE), 3)
    prove_chain(document("<i2", DELTA, LITTLE, chunks=(3,)), 3)
    assert len(tried) == 3


def test_the_codecs_of_shards_are_tried_in_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    codec_proof._why_wrong.cache_clear()
    tried: list[Any] = []
    real = codec_proof._try
    monkeypatch.setattr(codec_proof, "_try", lambda trial: (tried.append(trial), real(trial)))
    inner = (TransposeCodec(order=(1, 0)), DELTA, LITTLE)
    prove_chain(document("<i2", ShardingCodec(chunk_shape=(2, 3), codecs=inner)), 3)
    assert [codec["name"] for codec in tried[0].document["codecs"]] == ["sharding_indexed"]


def test_a_large_chunk_costs_no_more_than_a_small_one() -> None:
    given = document("<f8", TransposeCodec(order=(1, 0)), LITTLE, chunks=(10**9, 10**6))
    prove_chain(given, 3)


@pytest.mark.parametrize(
    ("dtype", "codecs", "reason"),
    [
        ("<f8", [to_zarr_codec(numcodecs.Delta("<f8"), 8), LITTLE], "is not what was written"),
        (
            "<i2",
            [to_zarr_codec(numcodecs.Delta("<i2", "<i1"), 2), LITTLE],
            "no chunk can be written and read|is not what was written",
        ),
        ("<i2", [DELTA, TransposeCodec(order=(1, 0)), LITTLE], "no chunk can be written and read"),
    ],
)
def test_what_is_wrong_is_said(dtype: str, codecs: list[Any], reason: str) -> None:
    with pytest.raises(LayoutError, match=reason) as raised:
        prove_chain(document(dtype, *codecs), 3)
    for codec in codecs:
        assert codec.to_dict()["name"] in str(raised.value)


def test_a_chain_that_only_this_package_reads_is_refused() -> None:
    array = zarr.create_array(MemoryStore(), shape=(4,), chunks=(4,), dtype="<i2", filters=[DELTA])
    big = {
        **array.metadata.to_dict(),
        "codecs": [DELTA.to_dict(), BytesCodec(endian="big").to_dict()],
    }
    plain = zarr.Array(zarr.AsyncArray(big, array.store_path))
    chunk = np.array([1, 1, 1, 1], dtype=">i2").tobytes()
    event_loop.run(array.store_path.store.set("c/0", event_loop.to_buffer(chunk)))
    given = document("<i2", DELTA, BytesCodec(endian="big"))
    if plain[...].tolist() == [1, 2, 3, 4]:  # since zarr-python 3.4
        prove_chain(given, 3)
        return
    with pytest.raises(LayoutError, match="zarr-python reads something else than is there"):
        prove_chain(given, 3)


def test_a_wrong_encoder_of_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    codec_proof._why_wrong.cache_clear()
    real = codec_proof.DirectChain.encode
    monkeypatch.setattr(
        codec_proof.DirectChain, "encode", lambda self, array: real(self, np.flip(array))
    )
    with pytest.raises(LayoutError):
        prove_chain(document("<i2", LITTLE, BloscCodec(typesize=2)), 3)
    codec_proof._why_wrong.cache_clear()
