"""What is in memory while units are written: each element once, but where a codec has it on both sides."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.core.regions import cut, size_of
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.chunks.region_encoder import UnitWriter

ROWS = 65_536
"""Of one byte: what is called one below."""

BLOSC = {
    "name": "blosc",
    "configuration": {
        "cname": "lz4", "clevel": 1, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0,
    },
}  # fmt: skip
INDEX = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


def document(n_rows: int, chunk: int, unit: int) -> dict[str, Any]:
    codecs: list[dict[str, Any]] = [{"name": "bytes"}, BLOSC]
    if unit != chunk:
        sharding = {"chunk_shape": [chunk], "codecs": codecs, "index_codecs": INDEX}
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    return {
        "shape": [n_rows],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [unit]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": codecs,
        "zarr_format": 3,
        "node_type": "array",
    }


def written(writer: UnitWriter, buffer: int, noise: np.ndarray) -> None:
    """Write all regions, as one worker does."""
    (n_rows,) = writer.shape
    buffers = [(slice(at, min(at + buffer, n_rows)),) for at in range(0, n_rows, buffer)]
    for one in cut(buffers, writer.shape, writer.unit, (buffer,), n_jobs=1):
        assert one.fills
        writer.write(one.region, ((piece, noise[: size_of(piece)].copy()) for piece in one.pieces))


@pytest.mark.parametrize(
    ("buffer", "chunk", "unit"),
    [
        (8, 8, 8),
        (32, 4, 4),
        (8, 32, 32),
        (20, 32, 32),
        (4, 4, 32),
        (12, 4, 32),
        (32, 4, 32),
        (20, 1, 32),
    ],
)
def test_a_buffer_and_a_unit_are_kept_and_nothing_else(tmp_path, buffer, chunk, unit):
    """Of noise, which is as large encoded, with a codec that makes room for all of it."""
    n_rows = 160 * ROWS
    store = open_bytestore(Location(str(tmp_path / "f.zarr"), is_local=True), read_only=False)
    writer = UnitWriter.of(store, "a", document(n_rows, chunk * ROWS, unit * ROWS), 1)
    assert writer is not None
    noise = np.random.default_rng(0).integers(0, 256, buffer * ROWS, dtype=np.uint8)
    # The first time also what is made once and kept.
    written(writer, buffer * ROWS, noise)
    tracemalloc.start()
    try:
        written(writer, buffer * ROWS, noise)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(list(Path(tmp_path, "f.zarr", "a").iterdir())) == 160 // unit
    # A chunk that is larger than a buffer is there on both sides of its codec.
    needed = max(buffer + unit, 2 * chunk)
    assert needed - 1 <= peak / ROWS <= needed + 1.5
    assert kept / ROWS <= 1.5
