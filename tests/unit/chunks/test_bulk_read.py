"""Blocks of numbers that several threads decode: the same elements as zarr reads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.chunks import bulk_read, cache
from hdmf_zarr.convention.common import STORED_CHUNKS
from hdmf_zarr.errors import ChunkError

COMPRESSORS: dict[str, Any] = {
    "blosc": True,
    "none": False,
    "zstd": zarr.codecs.ZstdCodec(level=1),
    "gzip": zarr.codecs.GzipCodec(level=1),
    "shuffle, zlib": [numcodecs.Shuffle(2), numcodecs.Zlib(1)],
    "blosc, crc32c": [zarr.codecs.BloscCodec(typesize=2), zarr.codecs.Crc32cCodec()],
    "transposed": [zarr.codecs.TransposeCodec(order=(1, 0)), zarr.codecs.ZstdCodec()],
}


def write(path: Path, data: Any, **options: Any) -> None:
    wrapped = ZarrDataIO(data, **options)
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", wrapped)], attributes={"data_type": "Root"}
    )
    with ZarrIO(path, "w") as io:
        io.write_builder(root)


def opened(path: Path) -> HDMFZarrArray:
    io = ZarrIO(path, "r")
    io.open()
    array = io.read_builder()["data"].data
    assert isinstance(array, HDMFZarrArray)
    return array


@pytest.fixture(autouse=True)
def _no_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is a large one here."""
    monkeypatch.setattr(cache, "SMALL_BYTES", -1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was read in blocks."""
    found: list[Any] = []
    true = bulk_read.BlockReader.read

    def reading(self: bulk_read.BlockReader, index: Any) -> Any:
        result = true(self, index)
        if result is not None:
            found.append(index)
        return result

    monkeypatch.setattr(bulk_read.BlockReader, "read", reading)
    return found


DATA = np.arange(50 * 30, dtype="i2").reshape(50, 30) % 251

SELECTIONS: list[Any] = [
    ...,
    slice(None),
    slice(7, 33),
    5,
    -1,
    (slice(3, 40), slice(2, 29)),
    (slice(3, 40), 4),
    (7, slice(1, 20)),
    (-3, -4),
]


@pytest.mark.parametrize("compressor", COMPRESSORS.values(), ids=COMPRESSORS)
@pytest.mark.parametrize("chunks", [(8, 30), (8, 7), (50, 30), (60, 40)])
def test_blocks_are_what_was_written(
    tmp_path: Path,
    compressor: Any,
    chunks: tuple[int, int],
    read: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", -1)  # no chunk is kept
    write(tmp_path / "a.zarr", DATA, chunks=chunks, compressor=compressor)
    for selection in SELECTIONS:
        array = opened(tmp_path / "a.zarr")
        before = len(read)
        found = array[selection]
        assert len(read) == before + 1
        assert np.asarray(found).dtype == DATA.dtype
        assert np.ndim(found) == DATA[selection].ndim
        np.testing.assert_array_equal(found, DATA[selection])


@pytest.mark.parametrize("compressor", ["blosc", "none", "blosc, crc32c"])
def test_rows_of_large_chunks(tmp_path: Path, compressor: str, read: list[Any]) -> None:
    data = np.random.default_rng(0).integers(0, 99, (300_000, 4)).astype("i2")
    write(tmp_path / "a.zarr", data, chunks=(140_000, 4), compressor=COMPRESSORS[compressor])
    for start in (0, 1, 70_000, 139_000, 139_999, 140_000, 279_990, 299_000):
        for count in (1, 100, 1000, 20_000):
            found = opened(tmp_path / "a.zarr")[start : start + count, 1:3]
            np.testing.assert_array_equal(found, data[start : start + count, 1:3])
    assert len(read) == 32


def test_blocks_of_blosc_that_are_not_needed_are_not_decoded(
    tmp_path: Path, read: list[Any]
) -> None:
    data = np.random.default_rng(0).integers(0, 99, (300_000, 4)).astype("i2")
    write(tmp_path / "a.zarr", data, chunks=(150_000, 4), compressor=COMPRESSORS["blosc"])
    (chunk,) = (tmp_path / "a.zarr").rglob("c.0.0")
    held = bytearray(chunk.read_bytes())
    held[-len(held) // 4 :] = bytes(-(-len(held) // 4))
    chunk.write_bytes(held)
    found = opened(tmp_path / "a.zarr")[1000:2000]
    np.testing.assert_array_equal(found, data[1000:2000])
    with pytest.raises(ChunkError, match=r"a\.zarr:/data/c\.0\.0"):
        opened(tmp_path / "a.zarr")[149_000:150_000]


@pytest.mark.parametrize("dtype", ["bool", "u1", ">i4", "<f2", ">f8"])
def test_types(tmp_path: Path, dtype: str, read: list[Any]) -> None:
    data = (DATA % 2).astype(dtype)
    write(tmp_path / "a.zarr", data, chunks=(8, 7))
    found = opened(tmp_path / "a.zarr")[2:40]
    assert len(read) == 1
    plain = zarr.open_array(tmp_path / "a.zarr", path="data", mode="r")[2:40]
    assert found.dtype == plain.dtype
    np.testing.assert_array_equal(found, data[2:40])


@st.composite
def cases(draw: Any) -> tuple[Any, Any, Any]:
    rank = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 9)) for _ in range(rank))
    chunks = tuple(draw(st.integers(1, size + 2)) for size in shape)
    index = []
    for size in shape[: draw(st.integers(0, rank))]:
        if draw(st.booleans()):
            index.append(draw(st.integers(-size, size - 1)))
        else:
            index.append(slice(draw(st.integers(0, size)), draw(st.integers(0, size + 2))))
    return shape, chunks, tuple(index)


@given(cases())
@settings(max_examples=80, deadline=None)
def test_any_block(case: tuple[Any, Any, Any]) -> None:
    shape, chunks, index = case
    data = np.random.default_rng(0).integers(0, 99, shape)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "a.zarr"), data, chunks=chunks)
        array = opened(Path(folder, "a.zarr"))
        for _ in range(3):  # the second and third time from what is kept
            found = array[index]
            np.testing.assert_array_equal(found, data[index])
            assert np.shape(found) == data[index].shape


def test_a_chunk_that_is_not_there_is_fill_value(tmp_path: Path, read: list[Any]) -> None:
    write(tmp_path / "a.zarr", DATA.astype("f4"), chunks=(8, 7), fillvalue=np.nan)
    (tmp_path / "a.zarr" / "data" / "c.1.2").unlink()
    with pytest.raises(ChunkError, match=r"a\.zarr:/data/c\.1\.2: the chunk was written"):
        opened(tmp_path / "a.zarr")[...]
    read.clear()
    array = opened(tmp_path / "a.zarr")
    array._document["attributes"][STORED_CHUNKS] = 31
    expected = DATA.astype("f4")
    expected[8:16, 14:21] = np.nan
    np.testing.assert_array_equal(array[...], expected)
    assert len(read) == 1


@pytest.mark.parametrize("content", [b"", b"\x02\x01\x31\x02", bytes(1000)])
def test_a_damaged_chunk_is_named(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "a.zarr", DATA, chunks=(8, 7))
    (tmp_path / "a.zarr" / "data" / "c.1.2").write_bytes(content)
    with pytest.raises(ChunkError, match=r"a\.zarr:/data/c\.1\.2: the chunk"):
        opened(tmp_path / "a.zarr")[...]
    np.testing.assert_array_equal(opened(tmp_path / "a.zarr")[:8], DATA[:8])


def test_what_is_read_is_the_callers_own(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", DATA, chunks=(8, 30))
    array = opened(tmp_path / "a.zarr")
    for _ in range(3):
        first = array[3:5]
        second = array[3:5]
        assert first.flags.writeable
        first[...] = -1
        np.testing.assert_array_equal(second, DATA[3:5])
        np.testing.assert_array_equal(array[3:5], DATA[3:5])


def test_many_threads_read_at_a_time(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    write(tmp_path / "a.zarr", DATA, chunks=(8, 7))
    array = opened(tmp_path / "a.zarr")

    def check(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(30):
            start = int(generator.integers(0, 49))
            np.testing.assert_array_equal(array[start : start + 9], DATA[start : start + 9])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(8)))


def test_a_pipeline_that_the_user_has_chosen_reads(tmp_path: Path, read: list[Any]) -> None:
    write(tmp_path / "a.zarr", DATA, chunks=(8, 7))
    from zarr.core.codec_pipeline import BatchedCodecPipeline
    from zarr.registry import register_pipeline

    class Chosen(BatchedCodecPipeline):
        pass

    register_pipeline(Chosen)
    path = f"{Chosen.__module__}.{Chosen.__qualname__}"
    with zarr.config.set({"codec_pipeline.path": path}):
        np.testing.assert_array_equal(opened(tmp_path / "a.zarr")[...], DATA)
    assert read == []


def test_an_array_without_a_copy_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", DATA)
    array = opened(tmp_path / "a.zarr")
    np.testing.assert_array_equal(np.array(array), DATA)
    with pytest.raises(ValueError, match="not in memory"):
        np.asarray(array, copy=False)
