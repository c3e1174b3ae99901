"""Compressors that look before they decompress."""

from __future__ import annotations

import tracemalloc

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, VLenBytesCodec, VLenUTF8Codec, ZstdCodec
from zarr.storage import MemoryStore

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.codecs import checked as own
from hdmf_zarr.codecs.checked import check_compressed, check_count, checked_codecs
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate

BLOSC = {"cname": "lz4", "typesize": 2, "clevel": 5, "shuffle": "shuffle", "blocksize": 0}

NUMCODECS = {
    "blosc": numcodecs.Blosc(),
    "zstd": numcodecs.Zstd(),
    "gzip": numcodecs.GZip(),
}


@pytest.mark.parametrize("n_bytes", [16, 100, 255, 256, 70_000, 3_000_000])
@pytest.mark.parametrize("name", NUMCODECS)
def test_the_decoded_size_is_known_before(name: str, n_bytes: int) -> None:
    encoded = bytes(NUMCODECS[name].encode(bytes(n_bytes)))
    check_compressed(name, encoded, n_bytes)
    check_compressed(name, encoded, None)
    if n_bytes > 66_000:
        with pytest.raises(MetadataError, match=f"becomes {n_bytes} bytes"):
            check_compressed(name, encoded, 100)


@pytest.mark.parametrize("name", NUMCODECS)
@pytest.mark.parametrize("content", [b"", b"x", bytes(4), b"\x28\xb5\x2f\xfd", bytes(40)])
def test_nonsense_is_left_to_the_codec_or_refused(name: str, content: bytes) -> None:
    if name == "blosc" and len(content) < 16:
        with pytest.raises(MetadataError, match="truncated"):
            check_compressed(name, content, 8)
    else:
        check_compressed(name, content, 8)


def test_a_chunk_that_becomes_less_than_nothing_is_refused() -> None:
    encoded = bytearray(numcodecs.Blosc().encode(bytes(100)))
    encoded[4:8] = b"\xff\xff\xff\xff"
    with pytest.raises(MetadataError, match="becomes -1 bytes"):
        check_compressed("blosc", bytes(encoded), None)


def read(codec: object, change: object) -> np.ndarray:
    """Read an array whose chunk was changed, as every reader of a store does."""
    store = MemoryStore()
    group = zarr.create_group(store, zarr_format=3)
    array = group.create_array(
        "data", shape=(1000,), chunks=(1000,), dtype="int64", compressors=[codec]
    )
    array[:] = np.arange(1000) ** 3
    (key,) = [key for key in store._store_dict if "/c" in key]
    buffer = store._store_dict[key]
    changed = change(buffer.to_bytes())
    store._store_dict[key] = type(buffer).from_bytes(changed)
    hierarchy = Hierarchy.load(open_bytestore(locate(store), read_only=True), consolidated=False)
    return np.asarray(zarr.Array(zarr_view.async_array(hierarchy, "data"))[:])


@pytest.mark.parametrize("cut", [1, 10, 500])
def test_a_chunk_that_was_cut_off_is_never_read_as_values(cut: int) -> None:
    with pytest.raises(MetadataError, match="truncated"):
        read(BloscCodec(), lambda content: content[:-cut])
    np.testing.assert_array_equal(read(BloscCodec(), bytes), np.arange(1000) ** 3)


@pytest.mark.parametrize(
    ("codec", "numcodec"),
    [
        (BloscCodec(), NUMCODECS["blosc"]),
        (GzipCodec(), NUMCODECS["gzip"]),
        (ZstdCodec(), NUMCODECS["zstd"]),
    ],
)
def test_a_chunk_that_becomes_too_much_is_not_decompressed(codec, numcodec) -> None:
    bomb = bytes(numcodec.encode(bytes(50_000_000)))
    with pytest.raises(MetadataError, match="becomes 50000000 bytes"):
        read(codec, lambda _content: bomb)


@pytest.mark.parametrize(
    ("plain", "checked"),
    [
        (BloscCodec(**BLOSC), own.BloscCodec(**BLOSC)),
        (GzipCodec(level=3), own.GzipCodec(level=3)),
        (ZstdCodec(level=4), own.ZstdCodec(level=4)),
    ],
)
def test_they_are_equal_to_those_of_zarr(plain, checked) -> None:
    assert plain == checked
    assert checked == plain
    assert checked == type(checked).from_dict(plain.to_dict())
    assert isinstance(checked, type(plain))
    assert hash(checked) == hash(type(checked).from_dict(plain.to_dict()))
    assert checked != BloscCodec(cname="zlib")
    assert checked_codecs([plain.to_dict()]) == [checked]


def test_compressors_in_shards_are_checked() -> None:
    inner = {"chunk_shape": [2], "codecs": [{"name": "bytes"}, BloscCodec(**BLOSC).to_dict()]}
    shards = {"name": "sharding_indexed", "configuration": inner}
    (checked,) = checked_codecs([shards])
    assert isinstance(checked["configuration"]["codecs"][1], own.BloscCodec)
    assert isinstance(inner["codecs"][1], dict)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x02\0\0", b"\x02\0\0\0" + bytes(4), b"\xff\xff\xff\xff" + bytes(8), bytes(12)],
)
def test_text_of_another_number_of_elements_is_refused(content: bytes) -> None:
    with pytest.raises(MetadataError, match="expected 2"):
        check_count(content, 2)
    check_count(b"\x02\0\0\0" + bytes(8), 2)


def test_a_text_that_claims_four_billion_elements_takes_no_memory() -> None:
    store = MemoryStore()
    group = zarr.create_group(store, zarr_format=3)
    array = group.create_array("data", shape=(2,), chunks=(2,), dtype=str, compressors=None)
    array[:] = np.array(["a", "b"], dtype=object)
    buffer = store._store_dict["data/c/0"]
    store._store_dict["data/c/0"] = type(buffer).from_bytes(b"\xff" * 4 + buffer.to_bytes()[4:])
    hierarchy = Hierarchy.load(open_bytestore(locate(store), read_only=True), consolidated=False)
    tracemalloc.start()
    try:
        with pytest.raises(MetadataError, match="holds 4294967295 elements"):
            zarr.Array(zarr_view.async_array(hierarchy, "data"))[:]
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_codecs_of_text_are_equal_to_those_of_zarr() -> None:
    for plain in (VLenUTF8Codec(), VLenBytesCodec()):
        (checked,) = checked_codecs([plain.to_dict()])
        assert checked == plain
        assert plain == checked
        assert type(checked) is not type(plain)
