"""What one chunk is to the direct chain is what it is to zarr, both ways."""

from __future__ import annotations

import json
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from packaging.version import Version
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
from zarr.dtype import VariableLengthBytes, VariableLengthUTF8, parse_dtype
from zarr.storage import MemoryStore, StorePath

from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec
from hdmf_zarr.errors import ChunkError, EncodingError
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores import event_loop

from .strategies import NUMBER_DTYPES, text

KEYS = {"name": "v2", "configuration": {"separator": "."}}

NAMED: dict[str, Any] = {
    "blosc lz4": BloscCodec(cname="lz4", shuffle="shuffle", typesize=2),
    "blosc zstd": BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=8, clevel=3),
    "blosc blosclz": BloscCodec(cname="blosclz", shuffle="noshuffle", typesize=1, blocksize=256),
    "blosc zlib": BloscCodec(cname="zlib", shuffle="shuffle", typesize=4, clevel=0),
    "zstd": ZstdCodec(level=3),
    "zstd checksum": ZstdCodec(level=1, checksum=True),
    "gzip": GzipCodec(level=4),
    "crc32c": Crc32cCodec(),
    **{
        codec.codec_id: to_zarr_codec(codec, 4)
        for codec in (
            *(numcodecs.Zlib(2), numcodecs.Shuffle(4), numcodecs.CRC32(), numcodecs.Adler32()),
            numcodecs.Fletcher32(),
        )
    },
}

chains = st.lists(st.sampled_from(sorted(set(NAMED) - {"shuffle"})), max_size=3)

sides = st.lists(st.integers(1, 5), max_size=3).map(tuple)


def document_of(
    data_type: Any, shape: tuple[int, ...], codecs: list[Any], fill_value: Any = None
) -> dict[str, Any]:
    return array_document.array_document(
        shape=shape,
        data_type=data_type,
        chunk_grid_shape=shape,
        fill_value=data_type.default_scalar() if fill_value is None else fill_value,
        codecs=codecs,
        dimension_names=None,
        chunk_key_encoding=KEYS,
    )


def zarrs_array(document: dict[str, Any], store: Any) -> zarr.Array:
    with array_document.without_specification_warnings():
        config: Any = {"write_empty_chunks": True}
        readable = array_document.readable_document(document)
        return zarr.Array(zarr.AsyncArray(readable, StorePath(store, ""), config))


def all_of(array: zarr.Array) -> Any:
    """All elements as an array; of a scalar, too, for which zarr gives one without its dtype."""
    return np.asarray(array[...], dtype=array.dtype)


def key_of(shape: tuple[int, ...]) -> str:
    return ".".join("0" for _ in shape) or "0"


def check_both_ways(document: dict[str, Any], values: Any) -> None:
    chain = direct_chain(array_node(document))
    assert chain is not None
    store = MemoryStore()
    zarrs_array(document, store)[...] = values
    written = store._store_dict[key_of(values.shape)].to_bytes()
    decoded = chain.decode(written)
    by_zarr = all_of(zarrs_array(document, store))
    assert_same(decoded, by_zarr)
    own = MemoryStore()
    encoded = chain.encode(values)
    event_loop.run(own.set(key_of(values.shape), event_loop.to_buffer(encoded)))
    assert_same(all_of(zarrs_array(document, own)), by_zarr)
    assert_same(chain.decode(encoded), by_zarr)


def assert_same(one: Any, other: Any) -> None:
    """Bit by bit; objects are those of text, in whatever array zarr has them."""
    assert one.shape == other.shape
    if other.dtype.kind in "OT":
        assert one.astype(object).tolist() == other.astype(object).tolist()
        return
    assert one.dtype == other.dtype
    assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


@st.composite
def fixed_size(draw: Any) -> tuple[Any, Any]:
    shape = draw(sides)
    kinds = [*NUMBER_DTYPES, np.dtype("S3"), np.dtype("<U4")]
    records = np.dtype([("a", "<i4"), ("b", "<U3"), ("c", "<f8"), ("d", "?"), ("e", "S2")])
    dtype = draw(st.sampled_from([*kinds, records]))
    if dtype.kind in "SU":
        letters = st.text("aéµ" if dtype.kind == "U" else "ab", max_size=3)
        elements = letters if dtype.kind == "U" else letters.map(str.encode)
        return dtype, draw(npst.arrays(dtype, shape, elements=elements))
    return dtype, draw(npst.arrays(dtype, shape))


@given(fixed_size(), chains, st.sampled_from(["little", "big"]), st.data())
def test_elements_of_fixed_size(drawn: Any, chain: Any, endian: Any, data: Any) -> None:
    dtype, values = drawn
    has_fields = dtype.names is not None
    serializer = BytesCodec(endian="little" if has_fields else endian)
    order = data.draw(st.permutations(range(values.ndim)))
    before = [TransposeCodec(order=order)] if values.ndim and data.draw(st.booleans()) else []
    shuffle = [to_zarr_codec(numcodecs.Shuffle(dtype.itemsize), 1)] * data.draw(st.integers(0, 1))
    codecs = [*before, serializer, *shuffle, *(NAMED[name] for name in chain)]
    with array_document.without_specification_warnings():
        data_type = parse_dtype(dtype, zarr_format=3)
    check_both_ways(document_of(data_type, values.shape, codecs), values)


@pytest.mark.parametrize("shuffle", ["noshuffle", "shuffle", "bitshuffle"])
@pytest.mark.parametrize("dtype", ["<i2", "<i4", ">f8", "S3", "<i4,<i2"])
def test_blosc_shuffles_whole_elements(dtype: str, shuffle: Any) -> None:
    """As what zarr writes: of elements that are taken for bytes nothing is shuffled."""
    values = np.arange(60_000).astype(dtype)
    size = values.dtype.itemsize
    codecs = [BytesCodec(), BloscCodec(cname="zstd", shuffle=shuffle, typesize=size)]
    with array_document.without_specification_warnings():
        document = document_of(parse_dtype(values.dtype, zarr_format=3), values.shape, codecs)
    store = MemoryStore()
    zarrs_array(document, store)[...] = values
    chain = direct_chain(array_node(document))
    assert chain is not None
    encoded = chain.encode(values)
    assert encoded[3] == size
    np.testing.assert_array_equal(chain.decode(encoded), values)
    # Before, zarr takes elements for bytes, too.
    if Version(numcodecs.__version__) >= Version("0.16"):
        assert bytes(encoded) == store._store_dict["0"].to_bytes()


@given(sides, chains, st.data())
def test_text(shape: Any, chain: Any, data: Any) -> None:
    values = data.draw(npst.arrays(object, shape, elements=text))
    codecs = [VLenUTF8Codec(), *(NAMED[name] for name in chain)]
    if shape == ():
        return  # zarr-python drops NULs of these, see `single.encode_scalar`
    check_both_ways(document_of(VariableLengthUTF8(), shape, codecs), values)


@given(sides, chains, st.data())
def test_bytes(shape: Any, chain: Any, data: Any) -> None:
    values = data.draw(npst.arrays(object, shape, elements=st.binary(max_size=6)))
    codecs = [VLenBytesCodec(), *(NAMED[name] for name in chain)]
    if shape == ():
        return
    check_both_ways(document_of(VariableLengthBytes(), shape, codecs), values)


@given(sides.filter(len), st.data())
def test_objects_as_json(shape: Any, data: Any) -> None:
    entries = st.sampled_from(["", "plain", '{"path": "/a", "source": "."}', '["x", 1]'])
    values = data.draw(npst.arrays(object, shape, elements=entries))
    codecs = [VLenUTF8Codec(), JSONObjectsCodec(), ZstdCodec(level=1)]
    document = document_of(VariableLengthUTF8(), shape, codecs)
    chain = direct_chain(array_node(document))
    store = MemoryStore()
    zarrs_array(document, store)[...] = values
    written = store._store_dict[key_of(shape)].to_bytes()
    assert chain.decode(written).tolist() == zarrs_array(document, store)[...].tolist()
    assert chain.encode(values) == written


def test_json_of_bytes_is_that_of_zarr() -> None:
    document = document_of(VariableLengthBytes(), (2,), [VLenBytesCodec(), JSONObjectsCodec()])
    encoded, store = b'["one","two","|O",[2]]', MemoryStore()
    event_loop.run(store.set(key_of((2,)), event_loop.to_buffer(encoded)))
    chain = direct_chain(array_node(document))
    assert chain is not None
    assert chain.decode(encoded).tolist() == [b"one", b"two"]
    assert zarrs_array(document, store)[...].tolist() == [b"one", b"two"]


def test_json_of_what_is_compressed_is_no_text() -> None:
    codecs = [VLenUTF8Codec(), ZstdCodec(level=1), JSONObjectsCodec()]
    chain = direct_chain(array_node(document_of(VariableLengthUTF8(), (1,), codecs)))
    assert chain is not None
    with pytest.raises(ChunkError):
        chain.decode(b'["one","|O",[1]]')


NUMBERS = np.arange(200, dtype="int32").reshape(20, 10)


def chain_of_numbers(*codecs: Any) -> DirectChain:
    document = document_of(
        parse_dtype(NUMBERS.dtype, zarr_format=3),
        NUMBERS.shape,
        [BytesCodec(endian="little"), *codecs],
    )
    chain = direct_chain(array_node(document))
    assert chain is not None
    return chain


@pytest.mark.parametrize("name", sorted({"none": None, **NAMED}))
@given(st.data())
def test_a_damaged_chunk_is_an_error_of_ours_or_of_the_right_size(name: str, data: Any) -> None:
    chain = chain_of_numbers(*([NAMED[name]] if name in NAMED else []))
    encoded = bytes(chain.encode(NUMBERS))
    kind = data.draw(st.sampled_from(["cut", "more", "flipped", "empty"]))
    at = data.draw(st.integers(0, len(encoded) - 1))
    damaged = {
        "cut": encoded[:at],
        "more": encoded + b"more",
        "flipped": encoded[:at] + bytes([encoded[at] ^ 0x41]) + encoded[at + 1 :],
        "empty": b"",
    }[kind]
    try:
        decoded = chain.decode(damaged)
    except ChunkError:
        return
    assert decoded.shape == NUMBERS.shape


@pytest.mark.parametrize("name", ["blosc zstd", "zstd", "gzip", "zlib"])
def test_a_chunk_that_becomes_more_than_its_array_has_is_refused_before_it_does(name: str) -> None:
    document = document_of(
        parse_dtype(np.dtype("uint8"), zarr_format=3), (2**27,), [BytesCodec(), NAMED[name]]
    )
    bomb = direct_chain(array_node(document)).encode(np.zeros(2**27, "uint8"))
    with pytest.raises(ChunkError, match="expected"):
        chain_of_numbers(NAMED[name]).decode(bomb)


def test_text_of_another_number_is_refused() -> None:
    document = document_of(VariableLengthUTF8(), (3,), [VLenUTF8Codec()])
    with pytest.raises(ChunkError, match="holds 4294967295 elements in 4 bytes, expected 3"):
        direct_chain(array_node(document)).decode(b"\xff\xff\xff\xff")


def test_an_array_of_another_shape_or_dtype_is_not_encoded() -> None:
    chain = chain_of_numbers()
    with pytest.raises(EncodingError, match="shape"):
        chain.encode(NUMBERS[:3])
    with pytest.raises(EncodingError, match="int64"):
        chain.encode(NUMBERS.astype("int64"))
    assert chain.encode(NUMBERS.astype(">i4")) == NUMBERS.tobytes()


def test_a_chunk_is_padded_with_the_fill_value() -> None:
    padded = chain_of_numbers().padded(NUMBERS[:3, :2], -1)
    assert padded.dtype == NUMBERS.dtype
    assert padded[:3, :2].tolist() == NUMBERS[:3, :2].tolist()
    assert np.all(padded[3:] == -1)
    assert np.all(padded[:, 2:] == -1)


def big_endian_records() -> dict[str, Any]:
    document = document_of(
        parse_dtype(np.dtype([("a", "<i4")]), zarr_format=3), (2,), [BytesCodec(endian="little")]
    )
    return {**document, "codecs": [{"name": "bytes", "configuration": {"endian": "big"}}]}


@pytest.mark.parametrize(
    "change",
    [
        {"codecs": []},
        {"codecs": [{"name": "bytes"}]},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "new"}]},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "little", "swap": 2}}]},
        {
            "codecs": [
                BytesCodec(endian="little").to_dict(),
                {"name": "crc32c", "configuration": {"n": 1}},
            ]
        },
        {"codecs": [ShardingCodec(chunk_shape=(1, 1)).to_dict()]},
        {"codecs": "text"},
        {"data_type": "int33"},
        {"data_type": {"name": "struct"}},
        {"chunk_grid": {"name": "rectilinear", "configuration": {"chunk_shape": [1]}}},
        {"chunk_grid": None},
    ],
    ids=str,
)
def test_what_is_not_known_is_left_to_zarr(change: Any) -> None:
    document = document_of(
        parse_dtype(NUMBERS.dtype, zarr_format=3), NUMBERS.shape, [BytesCodec(endian="little")]
    )
    assert direct_chain(array_node(document)) is not None
    change = json.loads(json.dumps(change))
    assert direct_chain(array_node({**document, **change})) is None


def test_records_in_big_endian_are_left_to_zarr() -> None:
    with array_document.without_specification_warnings():
        assert direct_chain(array_node(big_endian_records())) is None
