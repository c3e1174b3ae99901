"""The complete chain: the order of what is asked for, the default, one serializer."""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
import pytest
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    VLenBytesCodec,
    VLenUTF8Codec,
    ZstdCodec,
)

from hdmf_zarr.codecs import CodecRequest, chain_from_codecs, complete_chain
from hdmf_zarr.codecs.chain import default_compressor
from hdmf_zarr.core.dtypes import ASCII, BYTES, REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import LayoutError, OptionError

INT16 = ElementType("number", np.dtype("<i2"))
DEFAULT = default_compressor(2)
GZIP, ZSTD, CRC = GzipCodec(level=1), ZstdCodec(level=1), Crc32cCodec()
TRANSPOSE, BIG = TransposeCodec(order=(1, 0)), BytesCodec(endian="big")
LITTLE = BytesCodec(endian="little")


def chain(*, is_scalar: bool = False, **request: Any) -> Any:
    return complete_chain(CodecRequest(**request), INT16, np.dtype("<i2"), is_scalar=is_scalar)


@pytest.mark.parametrize(
    ("request_", "codecs"),
    [
        ({}, [LITTLE, DEFAULT]),
        ({"compressors": True}, [LITTLE, DEFAULT]),
        ({"compressors": False}, [LITTLE]),
        ({"compressors": []}, [LITTLE]),
        ({"compressors": ()}, [LITTLE]),
        ({"compressors": GZIP}, [LITTLE, GZIP]),
        ({"compressors": [GZIP, CRC]}, [LITTLE, GZIP, CRC]),
        ({"compressors": (CRC, GZIP)}, [LITTLE, CRC, GZIP]),
        ({"compressors": numcodecs.GZip(1)}, [LITTLE, GZIP]),
        ({"compressors": [numcodecs.GZip(1), ZSTD]}, [LITTLE, GZIP, ZSTD]),
        ({"filters": [TRANSPOSE]}, [TRANSPOSE, LITTLE, DEFAULT]),
        ({"filters": TRANSPOSE, "compressors": False}, [TRANSPOSE, LITTLE]),
        ({"filters": []}, [LITTLE, DEFAULT]),
        # As in HDF5, where what compresses is a filter, too.
        ({"filters": [CRC, GZIP], "compressors": False}, [LITTLE, CRC, GZIP]),
        ({"filters": [CRC], "compressors": GZIP}, [LITTLE, CRC, GZIP]),
        ({"filters": [GZIP, TRANSPOSE], "compressors": False}, [TRANSPOSE, LITTLE, GZIP]),
        ({"serializer": BIG}, [BIG, DEFAULT]),
        ({"serializer": BIG, "compressors": False}, [BIG]),
        ({"filters": [TRANSPOSE, BIG], "compressors": [ZSTD]}, [TRANSPOSE, BIG, ZSTD]),
    ],
    ids=str,
)
def test_a_request_becomes_the_chain(request_: dict[str, Any], codecs: list[Any]) -> None:
    assert list(chain(**request_).codecs) == codecs


def test_a_scalar_is_compressed_on_request_only() -> None:
    assert chain(is_scalar=True).compressors == ()
    assert chain(is_scalar=True, compressors=False).compressors == ()
    assert chain(is_scalar=True, compressors=True).compressors == (DEFAULT,)
    assert chain(is_scalar=True, compressors=GZIP).compressors == (GZIP,)


@pytest.mark.parametrize(
    ("element", "dtype", "serializer"),
    [
        (INT16, np.dtype("<i2"), LITTLE),
        (ElementType("number", np.dtype(">i2")), np.dtype(">i2"), BIG),
        (ElementType("number", np.dtype("bool")), np.dtype("bool"), LITTLE),
        (TEXT, None, VLenUTF8Codec()),
        (ASCII, None, VLenUTF8Codec()),
        (REFERENCE, None, VLenUTF8Codec()),
        (BYTES, None, VLenBytesCodec()),
        (ElementType("fixed_bytes", np.dtype("S3")), np.dtype("S3"), LITTLE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_elements_have_their_serializer(element: ElementType, dtype: Any, serializer: Any) -> None:
    made = complete_chain(CodecRequest(), element, dtype, is_scalar=False)
    assert made.serializer == serializer
    assert len(made.compressors) == 1


@pytest.mark.parametrize("element", [TEXT, ASCII, REFERENCE, BYTES])
def test_what_varies_in_length_is_compressed_without_a_shuffle(element: ElementType) -> None:
    made = complete_chain(CodecRequest(), element, None, is_scalar=False)
    assert [codec.to_dict()["name"] for codec in made.compressors] == ["zstd"]


@pytest.mark.parametrize(
    ("itemsize", "typesize"), [(1, 1), (2, 2), (8, 8), (255, 255), (256, 255), (4096, 255)]
)
def test_the_default_compressor_knows_the_size_of_elements(itemsize: int, typesize: int) -> None:
    codec = default_compressor(itemsize)
    configuration: Any = codec.to_dict()["configuration"]
    assert isinstance(codec, BloscCodec)
    assert configuration["cname"] == "zstd"
    assert configuration["shuffle"] != "noshuffle" or itemsize == 1
    assert configuration["typesize"] == typesize


@pytest.mark.parametrize(
    "request_",
    [
        {"serializer": BIG, "filters": [LITTLE]},
        {"serializer": BIG, "compressors": [LITTLE]},
        {"compressors": [LITTLE, BIG]},
    ],
)
def test_more_than_one_serializer_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(LayoutError, match="one serializer"):
        chain(**request_)


@pytest.mark.parametrize(
    "request_",
    [
        {"filters": True},
        {"filters": [True]},
        {"filters": 5},
        {"compressors": "gzip"},
        {"compressors": [None]},
    ],
    ids=str,
)
def test_what_is_no_codec_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        chain(**request_)


@pytest.mark.parametrize(
    "serializer", [GZIP, TRANSPOSE, numcodecs.GZip(1)], ids=lambda value: type(value).__name__
)
def test_a_serializer_that_does_not_serialize_is_refused(serializer: Any) -> None:
    with pytest.raises(LayoutError, match="serializer"):
        chain(serializer=serializer)


def test_a_list_of_codecs_is_a_chain() -> None:
    made = chain_from_codecs([TRANSPOSE, BIG, ZSTD, CRC])
    assert made.filters == (TRANSPOSE,)
    assert made.serializer == BIG
    assert made.compressors == (ZSTD, CRC)
    assert chain_from_codecs(made.codecs) == made


@pytest.mark.parametrize(
    "codecs", [[], [ZSTD], [BIG, LITTLE]], ids=lambda value: type(value).__name__
)
def test_a_list_without_one_serializer_is_no_chain(codecs: list[Any]) -> None:
    with pytest.raises(LayoutError, match="one serializer"):
        chain_from_codecs(codecs)


def test_a_shard_holds_chunks_of_the_chain() -> None:
    made = chain(compressors=GZIP)
    (sharding,) = made.sharded((2, 3))
    assert isinstance(sharding, ShardingCodec)
    assert sharding.chunk_shape == (2, 3)
    assert list(sharding.codecs) == [LITTLE, GZIP]


def test_an_empty_request_says_so() -> None:
    assert CodecRequest().is_empty
    assert not CodecRequest(compressors=False).is_empty
    assert not CodecRequest(filters=()).is_empty
