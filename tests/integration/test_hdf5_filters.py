"""Datasets of HDF5 written with the codecs of their filters, in both formats, through the public classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrIO
from hdmf_zarr.conversion import convert
from hdmf_zarr.transfer.upgrading import upgrade
from hdmf_zarr.utils import ZarrDataIO

hdf5plugin = pytest.importorskip("hdf5plugin")
pytest.importorskip("imagecodecs")

OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "lzf": (
        {"compression": "lzf", "shuffle": True, "fletcher32": True},
        ["shuffle", "hdmf_zarr.lzf", "fletcher32"],
    ),
    "lz4": (dict(hdf5plugin.LZ4()), ["hdmf_zarr.lz4"]),
    "bitshuffle": (dict(hdf5plugin.Bitshuffle(cname="zstd")), ["hdmf_zarr.bitshuffle"]),
    "szip": ({"compression": "szip"}, ["hdmf_zarr.szip"]),
}

DATA = (np.arange(6000, dtype="<i2") // 70).reshape(300, 20)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_codecs_of_a_dataset_are_written_and_read(tmp_path: Path, zarr_format: int) -> None:
    path = str(tmp_path / "store.zarr")
    with h5py.File(tmp_path / "file.h5", "w") as file:
        wrapped = {
            name: ZarrDataIO.from_h5py_dataset(
                file.create_dataset(name, data=DATA, chunks=(64, 20), **options)
            )
            for name, (options, _) in OPTIONS.items()
        }
        datasets = {name: DatasetBuilder(name, data) for name, data in wrapped.items()}
        with ZarrIO(path, "w", zarr_format=zarr_format) as io:
            io.write_builder(GroupBuilder("root", datasets=datasets))
    with ZarrIO(path, "r") as io:
        read = io.read_builder()
        for name in OPTIONS:
            np.testing.assert_array_equal(read[name].data[...], DATA)
    for name, (_, ids) in OPTIONS.items():
        assert codecs_of(Path(path) / name, zarr_format) == ids


def test_an_upgrade_keeps_their_chunks(tmp_path: Path) -> None:
    test_the_codecs_of_a_dataset_are_written_and_read(tmp_path, 2)
    upgrade(tmp_path / "store.zarr", tmp_path / "new.zarr")
    for name, (_, ids) in OPTIONS.items():
        old, new = tmp_path / "store.zarr" / name, tmp_path / "new.zarr" / name
        assert codecs_of(new, 3) == ids
        chunk = (old / "0.0").read_bytes()
        assert chunk in [file.read_bytes() for file in new.rglob("*") if file.is_file()]
    with ZarrIO(str(tmp_path / "new.zarr"), "r") as io:
        read = io.read_builder()
        for name in OPTIONS:
            np.testing.assert_array_equal(read[name].data[...], DATA)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_szip_with_chunks_that_are_no_whole_lines(tmp_path: Path, zarr_format: int) -> None:
    source, copy, other = (str(tmp_path / name) for name in ("a.h5", "a.zarr", "b.zarr"))
    with h5py.File(source, "w") as file:
        file.attrs.update({"data_type": "Container", "namespace": "hdmf-common"})
        # A line has 27 elements, which are no whole number of blocks of 8.
        szip = {"compression": "szip", "compression_opts": ("nn", 8)}
        file.create_dataset("data", data=DATA.reshape(-1, 30), chunks=(10, 27), **szip)
    convert(source, copy, zarr_format=zarr_format)
    for start in (source, copy):
        chunks = {"/data": (7, 11)}
        convert(start, other, zarr_format=zarr_format, chunks=chunks, overwrite=True)
        array = zarr.open_array(other, path="data", mode="r")
        assert array.chunks == (7, 11)
        assert codecs_of(Path(other) / "data", zarr_format) == ["hdmf_zarr.szip"]
        np.testing.assert_array_equal(array[...], DATA.reshape(-1, 30))


def codecs_of(folder: Path, zarr_format: int) -> list[str]:
    """Names of the codecs after the serializer, without numcodecs' prefix."""
    if zarr_format == 2:
        metadata = json.loads((folder / ".zarray").read_text())
        return [codec["id"] for codec in [*(metadata["filters"] or []), metadata["compressor"]]]
    codecs = json.loads((folder / "zarr.json").read_text())["codecs"]
    return [codec["name"].removeprefix("numcodecs.") for codec in codecs[1:]]
