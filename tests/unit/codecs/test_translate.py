"""Codecs of numcodecs -> those of Zarr that do the same, and the data through an array with them."""

from __future__ import annotations

import warnings
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.abc.codec import ArrayArrayCodec
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.storage import MemoryStore

from hdmf_zarr.codecs import CodecRequest, complete_chain, to_zarr_codec
from hdmf_zarr.core.dtypes import element_type_from_numpy
from hdmf_zarr.errors import LayoutError, OptionError

DATA = np.arange(600, dtype="<i2").reshape(30, 20)

ROWS = [
    (numcodecs.Blosc(), BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=2)),
    (
        numcodecs.Blosc("zstd", 7, numcodecs.Blosc.BITSHUFFLE, 1024),
        BloscCodec(cname="zstd", clevel=7, shuffle="bitshuffle", typesize=2, blocksize=1024),
    ),
    (
        numcodecs.Blosc("blosclz", 1, numcodecs.Blosc.NOSHUFFLE),
        BloscCodec(cname="blosclz", clevel=1, shuffle="noshuffle", typesize=2),
    ),
    (
        numcodecs.Blosc("lz4hc", 3, numcodecs.Blosc.AUTOSHUFFLE),
        BloscCodec(cname="lz4hc", clevel=3, shuffle="shuffle", typesize=2),
    ),
    (
        numcodecs.Blosc("zlib", 3),
        BloscCodec(cname="zlib", clevel=3, shuffle="shuffle", typesize=2),
    ),
    (numcodecs.Zstd(5), ZstdCodec(level=5, checksum=False)),
    (numcodecs.Zstd(1, checksum=True), ZstdCodec(level=1, checksum=True)),
    (numcodecs.GZip(4), GzipCodec(level=4)),
]

BY_NAME = [
    (numcodecs.Zlib(3), "numcodecs.zlib", {"level": 3}),
    (numcodecs.BZ2(4), "numcodecs.bz2", {"level": 4}),
    (numcodecs.LZMA(), "numcodecs.lzma", {}),
    (numcodecs.LZ4(2), "numcodecs.lz4", {"acceleration": 2}),
    (numcodecs.Shuffle(2), "numcodecs.shuffle", {"elementsize": 2}),
    (numcodecs.Fletcher32(), "numcodecs.fletcher32", {}),
    (numcodecs.CRC32(), "numcodecs.crc32", {}),
    (numcodecs.Adler32(), "numcodecs.adler32", {}),
    (numcodecs.Delta("<i2"), "numcodecs.delta", {"dtype": "<i2"}),
    (
        numcodecs.FixedScaleOffset(offset=0, scale=1, dtype="<i2"),
        "numcodecs.fixedscaleoffset",
        {"offset": 0, "scale": 1},
    ),
]


def through_an_array(codec: Any, data: Any = DATA) -> Any:
    """Write data with a codec and read them back."""
    is_filter = isinstance(to_zarr_codec(codec, data.itemsize), ArrayArrayCodec)
    request = CodecRequest(**{"filters" if is_filter else "compressors": [codec]})
    chain = complete_chain(
        request, element_type_from_numpy(data.dtype), data.dtype, is_scalar=False
    )
    array = zarr.create_array(
        MemoryStore(),
        shape=data.shape,
        dtype=data.dtype,
        chunks=(16, 16)[: data.ndim],
        filters=chain.filters,
        serializer=chain.serializer,
        compressors=chain.compressors,
    )
    array[...] = data
    return array[...]


def ignoring_that_it_is_no_specification(function: Any, *arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr")
        return function(*arguments)


@pytest.mark.parametrize(("codec", "expected"), ROWS, ids=lambda value: type(value).__name__)
def test_a_codec_that_zarr_has_becomes_its_own(codec: Any, expected: Any) -> None:
    translated = to_zarr_codec(codec, 2)
    assert type(translated) is type(expected)
    assert translated.to_dict() == expected.to_dict()


@pytest.mark.parametrize("codec", [row[0] for row in ROWS], ids=lambda value: type(value).__name__)
def test_data_are_equal_through_a_codec_of_zarr(codec: Any) -> None:
    np.testing.assert_array_equal(through_an_array(codec), DATA)


@pytest.mark.parametrize(
    ("codec", "name", "configuration"),
    BY_NAME,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_codec_keeps_its_name_and_configuration(
    codec: Any, name: str, configuration: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = to_zarr_codec(codec, 2).to_dict()
    assert document["name"] == name
    assert configuration.items() <= document.get("configuration", {}).items()


@pytest.mark.parametrize(
    "codec", [row[0] for row in BY_NAME], ids=lambda value: type(value).__name__
)
def test_data_are_equal_through_a_codec_of_numcodecs(codec: Any) -> None:
    data = ignoring_that_it_is_no_specification(through_an_array, codec)
    np.testing.assert_array_equal(data, DATA)


def test_crc32c_becomes_the_one_of_zarr() -> None:
    translated = to_zarr_codec({"name": "crc32c"}, 1)
    assert isinstance(translated, Crc32cCodec)
    np.testing.assert_array_equal(through_an_array({"name": "crc32c"}), DATA)


@pytest.mark.parametrize(
    "codec",
    [BytesCodec(), GzipCodec(level=1), TransposeCodec(order=(1, 0)), BloscCodec(), ZstdCodec()],
    ids=lambda value: type(value).__name__,
)
def test_a_codec_of_zarr_passes_through(codec: Any) -> None:
    assert to_zarr_codec(codec, 2) is codec


@pytest.mark.parametrize(
    "document",
    [
        {"name": "gzip", "configuration": {"level": 3}},
        {"id": "gzip", "level": 3},
    ],
)
def test_a_codec_may_be_its_json(document: dict[str, Any]) -> None:
    before = dict(document)
    assert to_zarr_codec(document, 2) == GzipCodec(level=3)
    assert document == before


@pytest.mark.parametrize(
    ("itemsize", "shuffle"), [(1, "bitshuffle"), (2, "shuffle"), (8, "shuffle")]
)
def test_blosc_shuffles_automatically_by_the_size_of_elements(itemsize: int, shuffle: str) -> None:
    codec: Any = to_zarr_codec(numcodecs.Blosc(shuffle=numcodecs.Blosc.AUTOSHUFFLE), itemsize)
    assert codec.to_dict()["configuration"]["shuffle"] == shuffle
    assert codec.typesize == itemsize


@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize("itemsize", [256, 4096])
def test_blosc_takes_elements_of_any_size(itemsize: int) -> None:
    data = np.zeros(5, f"S{itemsize}")
    data[1] = b"text"
    np.testing.assert_array_equal(through_an_array(numcodecs.Blosc(), data), data)


@pytest.mark.parametrize("codec", [5, "gzip", object(), {}, {"level": 3}, numcodecs.Blosc, None])
def test_what_is_no_codec_is_refused(codec: Any) -> None:
    with pytest.raises(OptionError, match="expected a codec"):
        to_zarr_codec(codec, 2)


@pytest.mark.parametrize(
    "codec",
    [{"name": "no such codec"}, numcodecs.VLenUTF8(), numcodecs.Pickle(), {"id": "no such codec"}],
    ids=lambda value: type(value).__name__,
)
def test_a_codec_that_zarr_does_not_have_is_refused(codec: Any) -> None:
    with pytest.raises(LayoutError, match="no codec"):
        to_zarr_codec(codec, 2)
