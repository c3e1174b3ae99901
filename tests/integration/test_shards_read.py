"""Shards that this package reads itself: every form of their index, chunks that are not there, damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs.shards import MISSING, crc32c
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.metadata.codec_chain import shard_codec
from hdmf_zarr.metadata.node import array_node

DATA = np.arange(90 * 20, dtype="<i2").reshape(90, 20)
CHUNKS, SHARDS = (8, 10), (32, 20)
N_INDEX = 8 * 16 + 4
ALL = (..., 5, slice(3, 70), (slice(None), 4), [1, 30, 70], (slice(9, 90, 7), slice(3, 15)))


def opened(store: Any) -> HDMFZarrArray:
    io = ZarrIO(store, "r")
    io.open()
    array: HDMFZarrArray = io.read_builder()["data"].data
    return array


@pytest.fixture
def store(tmp_path: Path) -> Path:
    data = ZarrDataIO(DATA, chunks=CHUNKS, shards=SHARDS)
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", data)], attributes={"data_type": "Root"}
    )
    with ZarrIO(tmp_path / "a.zarr", "w") as io:
        io.write_builder(root)
    return tmp_path / "a.zarr"


def by_zarr(store: Any, data: Any = DATA, **options: Any) -> Any:
    """A store of which zarr-python has written the array."""
    group = zarr.create_group(store, attributes={"data_type": "Root"}, overwrite=True)
    array = group.create_array(
        "data", shape=data.shape, dtype=data.dtype, **{"fill_value": -1, **options}
    )
    array[...] = data
    return store


def assert_read(array: HDMFZarrArray, expected: Any = DATA) -> None:
    for selection in ALL:
        np.testing.assert_array_equal(array[selection], expected[selection])
    for row in (0, 31, 32, 89, -1):
        np.testing.assert_array_equal(array[row], expected[row])


def is_ours(array: HDMFZarrArray) -> bool:
    return shard_codec(array_node(array.hierarchy.documents["data"])) is not None


INDEXES: dict[str, dict[str, Any]] = {
    "end": {},
    "start": {"index_location": "start"},
    "no checksum": {"index_codecs": [BytesCodec()]},
    "start, no checksum": {"index_codecs": [BytesCodec()], "index_location": "start"},
    "big": {"index_codecs": [BytesCodec(endian="big"), Crc32cCodec()]},
}


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("codecs", [[BytesCodec()], [BytesCodec(), ZstdCodec()]], ids=str)
@pytest.mark.parametrize("kind", ["local", "memory"])
def test_every_form_of_an_index(tmp_path: Path, index: str, codecs: Any, kind: str) -> None:
    sharding = ShardingCodec(chunk_shape=CHUNKS, codecs=codecs, **INDEXES[index])
    place = tmp_path / "a.zarr" if kind == "local" else zarr.storage.MemoryStore()
    by_zarr(place, chunks=SHARDS, serializer=sharding, compressors=None, filters=None)
    array = opened(place)
    assert is_ours(array) == (index != "big")
    assert_read(array)


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_chunks_and_shards_that_were_never_written(tmp_path: Path, kind: str) -> None:
    """Zarr-python leaves out chunks, in shards or not, that hold nothing but the fill value."""
    data = DATA.copy()
    data[:8, :10] = -1
    data[32:64] = -1
    data[64:72] = -1
    place = tmp_path / "a.zarr" if kind == "local" else zarr.storage.MemoryStore()
    by_zarr(place, data, chunks=CHUNKS, shards=SHARDS)
    array = opened(place)
    assert is_ours(array)
    assert_read(array, data)


def test_shards_in_shards_are_left_to_zarr(tmp_path: Path) -> None:
    inner = ShardingCodec(chunk_shape=(4, 10), codecs=[BytesCodec()])
    outer = ShardingCodec(chunk_shape=(8, 20), codecs=[inner])
    by_zarr(tmp_path / "a.zarr", chunks=(32, 20), serializer=outer, compressors=None, filters=None)
    array = opened(tmp_path / "a.zarr")
    assert not is_ours(array)
    try:
        zarr.open_array(tmp_path / "a.zarr" / "data", mode="r")[:]
    except AssertionError:  # zarr-python 3.1.3 does not read them
        with pytest.raises(AssertionError, match="byte_range"):
            array[:]
        return
    assert_read(array)


@pytest.mark.parametrize("dtype", ["bool", ">i4", "<f2", "<u8", "<c8"])
def test_types(tmp_path: Path, dtype: str) -> None:
    data = (DATA % 2).astype(dtype)
    by_zarr(tmp_path / "a.zarr", data, chunks=CHUNKS, shards=SHARDS, fill_value=0)
    array = opened(tmp_path / "a.zarr")
    for selection in ALL:
        np.testing.assert_array_equal(array[selection], data[selection])
        assert array[selection].dtype.newbyteorder("=") == data.dtype.newbyteorder("=")


def test_text_in_shards(tmp_path: Path) -> None:
    text = [f"t{row}" * (row % 3) for row in range(90)]
    data = ZarrDataIO(text, chunks=(8,), shards=(32,))
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", data)], attributes={"data_type": "Root"}
    )
    with ZarrIO(tmp_path / "a.zarr", "w") as io:
        io.write_builder(root)
    array = opened(tmp_path / "a.zarr")
    assert [array[row] for row in range(90)] == text
    assert array[...].tolist() == text
    assert array[[3, 50, 7]].tolist() == [text[3], text[50], text[7]]


# -- damage ----------------------------------------------------------------------------------------


def damaged(store: Path, change: Any) -> HDMFZarrArray:
    shard = store / "data" / "c.0.0"
    shard.write_bytes(change(shard.read_bytes()))
    return opened(store)


def with_index(content: bytes, entries: dict[int, tuple[int, int]]) -> bytes:
    index = np.frombuffer(content[-N_INDEX:-4], dtype="<u8").reshape(-1, 2).copy()
    for number, entry in entries.items():
        index[number] = entry
    encoded = index.tobytes()
    return content[:-N_INDEX] + encoded + crc32c(encoded)


DAMAGE: dict[str, Any] = {
    "a bit of the index": lambda c: c[:-20] + bytes([c[-20] ^ 1]) + c[-19:],
    "the checksum of the index": lambda c: c[:-1] + bytes([c[-1] ^ 1]),
    "cut off": lambda c: c[:-40],
    "shorter than its index": lambda c: c[-50:],
    "a chunk beyond the end": lambda c: with_index(c, {0: (len(c), 10)}),
    "a chunk of too many bytes": lambda c: with_index(c, {0: (0, 2**62)}),
    "a chunk that begins nowhere": lambda c: with_index(c, {0: (MISSING, 10)}),
    "a chunk that ends nowhere": lambda c: with_index(c, {0: (0, MISSING)}),
    "a chunk of no bytes": lambda c: with_index(c, {0: (0, 0)}),
    "bytes of a chunk": lambda c: bytes(20) + c[20:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "selection", [0, slice(0, 3), ..., (slice(0, 90), [0, 3])], ids=["row", "rows", "all", "list"]
)
def test_damage_names_the_shard(store: Path, damage: str, selection: Any) -> None:
    array = damaged(store, DAMAGE[damage])
    with pytest.raises(ChunkError, match=r"a\.zarr:/data/c\.0\.0: the (shard|index|chunk)"):
        array[selection]
    np.testing.assert_array_equal(array[40:90], DATA[40:90])


def test_a_damaged_chunk_is_named_by_where_it_begins(store: Path) -> None:
    array = damaged(store, lambda content: with_index(content, {3: (0, 5)}))
    np.testing.assert_array_equal(array[:8], DATA[:8])
    for selection in (8, slice(0, 32), (slice(0, 32), [15])):
        with pytest.raises(ChunkError, match=r"/data/c\.0\.0: the chunk at \(8, 10\): the chunk"):
            array[selection]


def test_an_empty_shard_is_an_error(store: Path) -> None:
    array = damaged(store, lambda _content: b"")
    for selection in (0, ..., slice(0, 3)):
        with pytest.raises(ChunkError, match=r"c\.0\.0"):
            array[selection]


def test_a_shard_that_is_missing_is_an_error(store: Path) -> None:
    (store / "data" / "c.0.0").unlink()
    array = opened(store)
    for selection in (0, ..., slice(0, 3), (slice(None), [1])):
        with pytest.raises(ChunkError, match="was written and is not there"):
            array[selection]


def test_what_makes_no_sense_is_left_to_zarr(store: Path) -> None:
    document = json.loads((store / "data" / "zarr.json").read_text())
    assert shard_codec(array_node(document)) is not None
    for key, value in (
        ("index_location", "middle"),
        ("chunk_shape", [7, 10]),
        ("chunk_shape", [8]),
        ("chunk_shape", [0, 10]),
        ("chunk_shape", None),
        ("index_codecs", []),
        ("codecs", []),
        ("codecs", [{"name": "unknown"}]),
    ):
        changed = json.loads(json.dumps(document))
        changed["codecs"][0]["configuration"][key] = value
        assert shard_codec(array_node(changed)) is None, (key, value)
    assert shard_codec(array_node({**document, "codecs": []})) is None
    more = [*document["codecs"], {"name": "crc32c"}]
    assert shard_codec(array_node({**document, "codecs": more})) is None
