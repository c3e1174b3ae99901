"""Chunks that were damaged in HDF5 and moved undecoded: an error, or exactly what HDF5 makes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5 import HDF5IO
from hdmf.common import get_manager

from hdmf_zarr import ZarrIO
from hdmf_zarr.errors import ChunkError, MetadataError
from hdmf_zarr.write.planning.plan import Planned

BUILT_IN: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip": {"compression": "gzip"},
    "shuffle": {"shuffle": True},
    "shuffle, gzip": {"compression": "gzip", "shuffle": True},
    "fletcher32": {"fletcher32": True},
    "gzip, fletcher32": {"compression": "gzip", "fletcher32": True},
}
OF_IMAGECODECS: dict[str, dict[str, Any]] = {
    "lzf": {"compression": "lzf"},
    "szip": {"compression": "szip"},
}


def filters() -> Iterator[Any]:
    """Every filter whose chunks move undecoded, with its options."""
    for name, options in BUILT_IN.items():
        yield pytest.param(options, id=name)
    for name, options in OF_IMAGECODECS.items():
        yield pytest.param(options, id=name)
    try:
        import hdf5plugin
    except ImportError:
        return
    yield from (
        pytest.param(dict(options), id=name)
        for name, options in {
            "bzip2": hdf5plugin.BZip2(),
            "zstd": hdf5plugin.Zstd(),
            **{
                f"blosc {name}": hdf5plugin.Blosc(cname=name)
                for name in ("blosclz", "lz4", "zlib", "zstd")
            },
            "lz4": hdf5plugin.LZ4(),
            **{
                f"bitshuffle {name}": hdf5plugin.Bitshuffle(cname=name)
                for name in ("none", "lz4", "zstd")
            },
            "blosc2": hdf5plugin.Blosc2(),
            "zfp": hdf5plugin.Zfp(reversible=True),
        }.items()
    )


FILTERS = list(filters())

VALUES = (
    (np.arange(2400) // 7 + np.random.default_rng(0).integers(0, 3, 2400))
    .astype("<f4")
    .reshape(600, 4)
)


def write(path: Path, options: dict[str, Any]) -> bytes:
    """Write a file of two chunks and return the second one as it is stored."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("data", data=VALUES, chunks=(300, 4), **options)
        return bytes(dataset.id.read_direct_chunk((300, 0))[1])


def export(source: Path, target: Path, **options: Any) -> Planned:
    planned: list[Planned] = []
    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        io.export(src_io, on_plan=planned.append, cache_spec=False, **options)
    return planned[0]


def damages(encoded: bytes) -> Iterator[bytes]:
    """The chunk with one bit changed, in its header and behind, and cut off."""
    generator = random.Random(5)
    places = [*range(0, 24, 5), *(generator.randrange(24, len(encoded)) for _ in range(7))]
    for place in places:
        changed = bytearray(encoded)
        changed[place] ^= 1 << generator.randrange(8)
        yield bytes(changed)
    for size in (5, len(encoded) // 2, len(encoded) - 1):
        yield encoded[:size]


@pytest.mark.parametrize("shards", [None, "auto"])
@pytest.mark.parametrize("options", FILTERS)
def test_damage_is_an_error_or_what_hdf5_reads(
    tmp_path: Path, options: dict[str, Any], shards: str | None
) -> None:
    pytest.importorskip("imagecodecs")
    pytest.importorskip("blosc2")
    source, target = tmp_path / "source.h5", tmp_path / "target.zarr"
    encoded = write(source, options)
    n_errors = 0
    for damaged in damages(encoded):
        with h5py.File(source, "r+") as file:
            file["data"].id.write_direct_chunk((300, 0), damaged)
        try:
            export(source, target, shards=shards)
        except MetadataError as error:
            assert "source.h5:/data: the chunk at (300, 0) " in str(error)  # noqa: PT017
            n_errors += 1
            continue
        with ZarrIO(target, "r", get_manager()) as io:
            data = io.read_builder()["data"].data
            np.testing.assert_array_equal(data[:300], VALUES[:300])
            try:
                found = data[...]
            except ChunkError as error:
                place = (
                    "/data/c.0.0: the chunk at (300, 0)" if shards else "/data/c.1.0: the chunk "
                )
                assert f"target.zarr:{place[:100]}" in str(error)  # noqa: PT017
                n_errors += 1
                continue
        # HDF5 is asked last: its filters loop forever, or worse, over some of what was an error.
        with h5py.File(source) as file:
            assert found.tobytes() == file["data"][...].tobytes()
    if "fletcher32" in options or options.get("compression") == "gzip":
        assert n_errors == len(list(damages(encoded)))


@pytest.mark.parametrize("options", FILTERS)
def test_verify_finds_what_readers_would(tmp_path: Path, options: dict[str, Any]) -> None:
    pytest.importorskip("imagecodecs")
    pytest.importorskip("blosc2")
    source, target = tmp_path / "source.h5", tmp_path / "target.zarr"
    encoded = write(source, options)
    assert export(source, target, verify=True).n_unverified == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in target.rglob("*"))
    for damaged in damages(encoded):
        with h5py.File(source, "r+") as file:
            file["data"].id.write_direct_chunk((300, 0), damaged)
        try:
            export(source, tmp_path / "plain.zarr")
            with ZarrIO(tmp_path / "plain.zarr", "r", get_manager()) as io:
                io.read_builder()["data"].data[...]
        except MetadataError:
            with pytest.raises(
                MetadataError,
                match=r"source\.h5:/data: the chunk at \(300, 0\) .*(deco|is damaged)",
            ):
                export(source, target, verify=True)
            assert sorted((path, path.stat().st_mtime_ns) for path in target.rglob("*")) == before


def test_a_plan_tells_how_many_chunks_nobody_looks_at(tmp_path: Path) -> None:
    source = tmp_path / "source.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset("gzip", data=VALUES, chunks=(100, 4), compression="gzip")
        file.create_dataset("sum", data=VALUES, chunks=(100, 4), fletcher32=True)
        file.create_dataset("contiguous", data=VALUES)
        file.create_dataset("gaps", (100,), "i4", chunks=(10,))[35:55] = 1
    assert export(source, tmp_path / "a.zarr").n_unverified == 6 + 3
    assert export(source, tmp_path / "a.zarr", verify=True).n_unverified == 0
    assert export(source, tmp_path / "a.zarr", codecs="default").n_unverified == 0
