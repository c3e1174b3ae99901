"""One chunk in place: exact bytes, exact values, and every way to be damaged."""

from __future__ import annotations

import bz2
import gzip
import zlib
from typing import Any

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.core.limits import MOST_ENCODED_TEXT_BYTES, most_encoded_bytes
from hdmf_zarr.errors import ChunkError, EncodingError

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
PLAIN = {"name": "bytes"}
TURNED = {"name": "transpose", "configuration": {"order": [1, 0]}}
TEXT = {"name": "vlen-utf8"}
VALUES = np.arange(6, dtype="<i2").reshape(2, 3)

COMPRESSORS: dict[str, dict[str, Any]] = {
    "blosc": {"typesize": 2, "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0},
    "zstd": {"level": 1, "checksum": False},
    "gzip": {"level": 1},
    "crc32c": {},
    "numcodecs.zlib": {"level": 1},
    "numcodecs.bz2": {"level": 1},
    "numcodecs.shuffle": {"elementsize": 2},
    "numcodecs.crc32": {},
    "numcodecs.adler32": {},
    "numcodecs.fletcher32": {},
}


def named(name: str) -> dict[str, Any]:
    return {"name": name, "configuration": COMPRESSORS[name]}


def chain(*codecs: Any, data_type: Any = "int16", shape: tuple[int, ...] = (2, 3)) -> DirectChain:
    found = DirectChain.for_codecs(data_type, shape, list(codecs))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("codecs", "encoded"),
    [
        ([LITTLE], "000001000200030004000500"),
        ([BIG], "000000010002000300040005"),
        ([TURNED, LITTLE], "000003000100040002000500"),
        ([TURNED, BIG], "000000030001000400020005"),
    ],
    ids=str,
)
def test_elements_have_exact_bytes(codecs: list[Any], encoded: str) -> None:
    found = chain(*codecs)
    assert bytes(found.encode(VALUES)).hex() == encoded
    decoded = found.decode(bytes.fromhex(encoded))
    assert decoded.dtype == VALUES.dtype
    assert decoded.tolist() == VALUES.tolist()
    assert found.nbytes == 12


def test_an_order_of_three_dimensions_is_undone() -> None:
    cube = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    order = {"name": "transpose", "configuration": {"order": [2, 0, 1]}}
    found = chain(order, LITTLE, shape=(2, 3, 4))
    assert bytes(found.encode(cube)) == cube.transpose(2, 0, 1).tobytes()
    assert found.decode(cube.transpose(2, 0, 1).tobytes()).tolist() == cube.tolist()


@pytest.mark.parametrize("name", ["gzip", "numcodecs.zlib", "numcodecs.bz2"])
def test_a_stream_without_its_end_is_cut_off(name: str) -> None:
    found = chain(LITTLE, named(name))
    whole = bytes(found.encode(VALUES))
    for length in range(1, len(whole)):
        with pytest.raises(ChunkError):
            found.decode(whole[:length])


@pytest.mark.parametrize("name", list(COMPRESSORS))
@given(values=st.lists(st.integers(-(2**15), 2**15 - 1), min_size=6, max_size=6))
def test_a_chunk_comes_back(name: str, values: list[int]) -> None:
    given_ones = np.array(values, dtype="<i2").reshape(2, 3)
    for first in (LITTLE, BIG):
        found = chain(first, named(name))
        encoded = bytes(found.encode(given_ones))
        assert len(encoded) <= found.most_encoded
        assert found.decode(encoded).tolist() == given_ones.tolist()
        out = np.full((2, 3), 77, dtype="<i2")
        found.decode_into(encoded, out)
        assert out.tolist() == given_ones.tolist()


@given(texts=st.lists(st.text(), min_size=4, max_size=4))
def test_texts_come_back(texts: list[str]) -> None:
    found = chain(TEXT, named("zstd"), data_type="string", shape=(4,))
    encoded = found.encode(np.array(texts, dtype=object))
    assert found.decode(bytes(encoded)).tolist() == texts
    assert (found.nbytes, found.most_encoded) == (None, MOST_ENCODED_TEXT_BYTES)


def test_bytes_come_back() -> None:
    found = chain({"name": "vlen-bytes"}, data_type="variable_length_bytes", shape=(3,))
    given_ones = [b"", b"\0\xff", b"abc"]
    encoded = found.encode(np.array(given_ones, dtype=object))
    assert found.decode(bytes(encoded)).tolist() == given_ones


def test_what_a_standard_tool_has_compressed_is_read() -> None:
    raw = VALUES.tobytes()
    for name, encoded in (
        ("gzip", gzip.compress(raw)),
        ("gzip", gzip.compress(raw[:5]) + gzip.compress(raw[5:])),  # in two members
        ("numcodecs.zlib", zlib.compress(raw)),
        ("numcodecs.bz2", bz2.compress(raw[:5]) + bz2.compress(raw[5:])),
        ("numcodecs.crc32", zlib.crc32(raw).to_bytes(4, "little") + raw),
    ):
        assert chain(LITTLE, named(name)).decode(encoded).tolist() == VALUES.tolist()


@pytest.mark.parametrize(
    ("data_type", "shape", "codecs"),
    [
        ("int16", (2, 3), []),
        ("int16", (2, 3), [{"name": "not.known"}]),
        ("int16", (2, 3), [LITTLE, {"name": "not.known"}]),
        ("int16", (2, 3), [PLAIN]),
        ("int16", (2, 3), [{"name": "bytes", "configuration": {"endian": "middle"}}]),
        ("int16", (2, 3), [TURNED]),
        ("int16", (2, 3, 4), [TURNED, LITTLE]),
        ("int16", (2, 3), [{"name": "transpose", "configuration": {"order": [0, 0]}}, LITTLE]),
        ("int16", (2, 3), [LITTLE, {"name": "gzip", "configuration": {"level": 1, "new": 2}}]),
        ("int16", (2, 3), [TEXT]),
        ("string", (2, 3), [LITTLE]),
        ("string", (2, 3), [TURNED, TEXT]),
        ("variable_length_bytes", (2, 3), [TEXT]),
        ("no type", (2, 3), [LITTLE]),
        ("datetime64", (2, 3), [LITTLE]),
        ("int16", (2, 3), [3]),
        ("int16", (2, 3), [None]),
        ("int16", ("x",), [LITTLE]),
        ("int16", (2, 3), [object()]),
        ("string", (2,), [TEXT, {"name": "numcodecs.shuffle"}]),
    ],
    ids=range(20),
)
def test_what_is_not_known_is_left_to_zarr(data_type: Any, shape: Any, codecs: Any) -> None:
    assert DirectChain.for_codecs(data_type, shape, codecs) is None


def test_one_byte_has_no_order() -> None:
    found = chain(PLAIN, data_type="uint8", shape=(3,))
    assert found.decode(b"\1\2\3").tolist() == [1, 2, 3]


def test_records_have_an_order_of_bytes_that_all_versions_know() -> None:
    record = {"name": "structured", "configuration": {"fields": [["x", "int16"], ["y", "uint8"]]}}
    found = chain(LITTLE, data_type=record, shape=(2,))
    assert found.decode(b"\1\0\2\3\0\4").tolist() == [(1, 2), (3, 4)]
    assert DirectChain.for_codecs(record, (2,), [BIG]) is None


@pytest.mark.parametrize("name", list(COMPRESSORS))
@pytest.mark.parametrize("damage", ["empty", "half", "none of it", "another size"])
def test_a_damaged_chunk_is_an_error(name: str, damage: str) -> None:
    found = chain(LITTLE, named(name))
    whole = bytes(found.encode(VALUES))
    larger = chain(LITTLE, named(name), shape=(20, 3)).encode(np.zeros((20, 3), "<i2"))
    encoded = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "none of it": b"\x55" * 40,
        "another size": bytes(larger),
    }[damage]
    with pytest.raises(ChunkError):
        found.decode(encoded)
    with pytest.raises(ChunkError):
        found.decode_into(encoded, np.empty((2, 3), "<i2"))


@pytest.mark.parametrize(
    "name", ["crc32c", "numcodecs.crc32", "numcodecs.adler32", "numcodecs.fletcher32"]
)
def test_a_checksum_tells_of_one_bit(name: str) -> None:
    found = chain(LITTLE, named(name))
    whole = bytes(found.encode(VALUES))
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        with pytest.raises(ChunkError):
            found.decode(bytes(damaged))


def test_a_chunk_of_another_length_says_so() -> None:
    with pytest.raises(ChunkError, match="^the chunk becomes 11 bytes, expected 12$"):
        chain(LITTLE).decode(bytes(11))
    with pytest.raises(ChunkError, match="^the chunk becomes 13 bytes, expected 12$"):
        chain(LITTLE).decode(bytes(13))


def test_a_chunk_has_as_many_texts_as_elements() -> None:
    three = chain(TEXT, data_type="string", shape=(3,))
    encoded = bytes(three.encode(np.array(["a", "b", "c"], dtype=object)))
    with pytest.raises(ChunkError):
        chain(TEXT, data_type="string", shape=(2,)).decode(encoded)
    with pytest.raises(ChunkError):
        chain(TEXT, data_type="string", shape=(4,)).decode(encoded)


def test_another_array_is_not_encoded() -> None:
    with pytest.raises(EncodingError, match=r"a chunk has the shape \(2, 3\), found \(3, 2\)"):
        chain(LITTLE).encode(VALUES.T)
    with pytest.raises(EncodingError, match="elements of a chunk are int16, found int32"):
        chain(LITTLE).encode(VALUES.astype("i4"))
    assert bytes(chain(LITTLE).encode(VALUES.astype(">i2"))) == VALUES.tobytes()


def test_an_array_that_is_smaller_is_padded() -> None:
    found = chain(LITTLE)
    assert found.padded(VALUES, 9) is VALUES
    assert found.padded(VALUES[:1, :2], 9).tolist() == [[0, 1, 9], [9, 9, 9]]
    texts = chain(TEXT, data_type="string", shape=(3,))
    padded = texts.padded(np.array(["a"], dtype=object), "-")
    assert (padded.tolist(), padded.dtype) == (["a", "-", "-"], np.dtype(object))


def test_what_cannot_be_compressed_is_read_all_the_same() -> None:
    found = chain(LITTLE, *[named("crc32c")] * 3)
    assert found.most_encoded == most_encoded_bytes(12)
    noise = np.frombuffer(np.random.default_rng(0).bytes(12), "<i2").reshape(2, 3)
    twice = chain(LITTLE, named("gzip"), named("numcodecs.bz2"), named("zstd"))
    assert twice.decode(bytes(twice.encode(noise))).tolist() == noise.tolist()


def test_some_rows_of_blosc_are_decoded_without_the_others() -> None:
    large = (np.arange(40_000) // 7).astype("<i4").reshape(400, 100)
    blosc = {**named("blosc"), "configuration": {**COMPRESSORS["blosc"], "cname": "zstd"}}
    blosc["configuration"].update(typesize=4, blocksize=4096)
    found = chain(LITTLE, blosc, data_type="int32", shape=(400, 100))
    assert found.decodes_parts
    encoded = bytes(found.encode(large))
    out = np.full((400, 100), -1, dtype="<i4")
    found.decode_into(encoded, out, slice(200, 205))
    assert out[200:205].tolist() == large[200:205].tolist()
    assert (out[:100] == -1).all()
    assert not chain(LITTLE, named("zstd")).decodes_parts
    assert not chain(BIG, named("blosc")).decodes_parts
    assert chain(LITTLE).decodes_parts


def test_bytes_are_those_of_numcodecs() -> None:
    options = {"cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    large = np.arange(1000, dtype="<i2")
    encoded = chain(LITTLE, named("blosc"), shape=(1000,)).encode(large)
    assert bytes(encoded) == bytes(numcodecs.Blosc(**options).encode(large))
