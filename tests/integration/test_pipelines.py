"""What decodes the chunks that zarr reads for us: what zarr-python has, or what the user has chosen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.core.codec_pipeline
from hdmf.build import DatasetBuilder, GroupBuilder
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.chunks.pipeline import PATH_OF_ZARRS
from hdmf_zarr.errors import ChunkError, HDMFZarrError

HAS_FUSED = hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline")

FUSED_OR_DEFAULT = "FusedCodecPipeline" if HAS_FUSED else "BatchedCodecPipeline"
DATA = np.arange(90 * 20, dtype="<i2").reshape(90, 20)


def write(store: Any, data: Any = DATA, **options: Any) -> Any:
    wrapped = ZarrDataIO(data, **{"chunks": (8, 20), "shards": (32, 20), **options})
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", wrapped)], attributes={"data_type": "Root"}
    )
    with ZarrIO(store, "w") as io:
        io.write_builder(root)
    return store


def opened(store: Any, mode: str = "r") -> HDMFZarrArray:
    io = ZarrIO(store, mode)
    io.open()
    array: HDMFZarrArray = io.read_builder()["data"].data
    return array


def pipeline_of(array: HDMFZarrArray) -> str:
    pipeline = array._async_array.codec_pipeline
    return type(getattr(pipeline, "_pipeline", pipeline)).__name__


def test_shards_of_a_folder(tmp_path: Path) -> None:
    array = opened(write(tmp_path / "a.zarr"))
    assert pipeline_of(array) == FUSED_OR_DEFAULT
    for selection in (..., 5, slice(3, 70), (slice(None), 4), [1, 30, 70], DATA[:, 0] > 300):
        np.testing.assert_array_equal(array[selection], DATA[selection])


def test_a_shard_that_is_missing_is_no_fill_value(tmp_path: Path) -> None:
    shards = sorted((write(tmp_path / "a.zarr") / "data").glob("c.*"))
    assert len(shards) > 1
    shards[-1].unlink()
    array = opened(tmp_path / "a.zarr")
    np.testing.assert_array_equal(array[:3, :2], DATA[:3, :2])
    for selection in (..., [-1], (slice(None), -1)):
        with pytest.raises(
            ChunkError, match=r":/data/c\..*: the chunk was written and is not there"
        ):
            array[selection]


@pytest.mark.parametrize("dtype", ["bool", ">i4", "<f2", "<u8"])
def test_types(tmp_path: Path, dtype: str) -> None:
    data = (DATA % 2).astype(dtype)
    array = opened(write(tmp_path / "a.zarr", data))
    np.testing.assert_array_equal(array[3:70], data[3:70])
    assert array[3:70].dtype.newbyteorder("=") == data.dtype.newbyteorder("=")


def test_shards_of_another_store() -> None:
    store = write(MemoryStore())
    array = opened(store)
    assert pipeline_of(array) == FUSED_OR_DEFAULT
    np.testing.assert_array_equal(array[...], DATA)


def test_a_store_that_is_written_has_the_default(tmp_path: Path) -> None:
    array = opened(write(tmp_path / "a.zarr"), "r+")
    assert pipeline_of(array) == "BatchedCodecPipeline"
    np.testing.assert_array_equal(array[...], DATA)


def test_the_users_choice_stays(tmp_path: Path) -> None:
    from zarr.core.codec_pipeline import BatchedCodecPipeline
    from zarr.registry import register_pipeline

    class Chosen(BatchedCodecPipeline):
        pass

    register_pipeline(Chosen)
    path = f"{Chosen.__module__}.{Chosen.__qualname__}"
    write(tmp_path / "a.zarr")
    with zarr.config.set({"codec_pipeline.path": path}):
        assert pipeline_of(opened(tmp_path / "a.zarr")) == "Chosen"


@pytest.fixture
def zarrs_is_named() -> Iterator[None]:
    pytest.importorskip("zarrs")
    with zarr.config.set({"codec_pipeline.path": PATH_OF_ZARRS}):
        yield


@pytest.mark.usefixtures("zarrs_is_named")
def test_zarrs_is_used_where_the_user_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    array = opened(write(tmp_path / "a.zarr"))
    assert pipeline_of(array) == "ZarrsCodecPipeline"
    caplog.set_level(logging.DEBUG, "hdmf_zarr")
    for selection in (..., 5, slice(3, 70), (slice(None), 4), [1, 30, 70], DATA[:, 0] > 300):
        np.testing.assert_array_equal(array[selection], DATA[selection])
    assert "zarrs refuses" not in caplog.text
    # Legal selections that zarrs 0.2.3 refuses.
    np.testing.assert_array_equal(array[0, [0, 1, 4]], DATA[0, [0, 1, 4]])
    np.testing.assert_array_equal(array.vindex[[0, 70, 1], [0, 3, 1]], DATA[[0, 70, 1], [0, 3, 1]])


@pytest.mark.usefixtures("zarrs_is_named")
def test_what_zarrs_cannot_read_is_left_to_zarr_python(tmp_path: Path) -> None:
    for number, data in enumerate((DATA.astype(">i4"), DATA % 2 == 0)):
        array = opened(write(tmp_path / f"{number}.zarr", data))
        np.testing.assert_array_equal(array[3:70], data[3:70])
    array = opened(
        write(tmp_path / "text.zarr", [f"t{row}" for row in range(90)], chunks=(8,), shards=(32,))
    )
    assert array[5] == "t5"
    store = write(MemoryStore())
    np.testing.assert_array_equal(opened(store)[...], DATA)


@pytest.mark.usefixtures("zarrs_is_named")
def test_damage_is_an_error_with_zarrs(tmp_path: Path) -> None:
    shards = sorted((write(tmp_path / "a.zarr") / "data").glob("c.*"))
    content = shards[0].read_bytes()
    shards[0].write_bytes(content[:30] + content[70:])
    shards[-1].unlink()
    array = opened(tmp_path / "a.zarr")
    with pytest.raises((HDMFZarrError, RuntimeError, ValueError)):
        array[:20]
    with pytest.raises(ChunkError, match="the chunk was written and is not there"):
        array[-1]


def test_the_configuration_is_not_touched(tmp_path: Path) -> None:
    before = zarr.config.get("codec_pipeline")
    np.testing.assert_array_equal(opened(write(tmp_path / "a.zarr"))[...], DATA)
    assert zarr.config.get("codec_pipeline") == before


def test_codecs_that_only_we_have(tmp_path: Path) -> None:
    import numcodecs

    chain = [numcodecs.Shuffle(2), numcodecs.Zlib(1)]
    array = opened(write(tmp_path / "a.zarr", compressor=chain))
    assert pipeline_of(array) in ("FusedCodecPipeline", "BatchedCodecPipeline")
    np.testing.assert_array_equal(array[...], DATA)


def test_a_chunk_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    array = opened(write(tmp_path / "a.zarr", shards=None, chunks=(90, 20)))
    chunk = tmp_path / "a.zarr" / "data" / "c.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-40])
    with pytest.raises((HDMFZarrError, RuntimeError, ValueError)):
        zarr.Array(array._async_array)[...]


def test_a_shard_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    array = opened(write(tmp_path / "a.zarr"))
    shard = tmp_path / "a.zarr" / "data" / "c.0.0"
    content = shard.read_bytes()
    shard.write_bytes(content[:30] + content[70:])
    with pytest.raises((HDMFZarrError, RuntimeError, ValueError)):
        array[...]
