"""Chunks that end with their checksum, and conversions for the DANDI archive."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import OptionError
from hdmf_zarr.hdf5.raw import RawChunks

DATA = np.arange(1000 * 7, dtype="<i2").reshape(1000, 7)
SAMPLE = Path(__file__).parents[2] / "docs" / "gallery" / "resources" / "sample_ecephys.nwb"


def plain(path: Path, name: str = "data") -> zarr.Array[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr")
        return zarr.open_array(path, path=name, mode="r")


def last_codec(path: Path, name: str = "data") -> str:
    array = plain(path, name)
    if array.metadata.zarr_format == 2:
        return str(array.metadata.compressor.codec_id)
    codec = array.metadata.codecs[-1]
    inner = codec.codecs[-1] if hasattr(codec, "codecs") else codec
    return str(inner.to_dict()["name"])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def write(path: Path, **options: Any) -> None:
    data = options.pop("data", DATA)
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", data)], attributes={"data_type": "Root"}
    )
    zarr_format = options.pop("zarr_format", 3)
    with HDF5IO(path.with_suffix(".h5"), "w", manager=get_manager()) as io:
        io.write_builder(root)
    with (
        HDF5IO(path.with_suffix(".h5"), "r", manager=get_manager()) as source,
        ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io,
    ):
        io.export(source, cache_spec=False, **options)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_every_array_of_an_export_has_checksums(target: Path, zarr_format: int) -> None:
    write(target, checksum=True, zarr_format=zarr_format)
    assert last_codec(target) == "crc32c"
    np.testing.assert_array_equal(plain(target)[...], DATA)
    with ZarrIO(target, "r") as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[...], DATA)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_damaged_byte_is_an_error(target: Path, zarr_format: int) -> None:
    options: dict[str, Any] = {"checksum": True, "zarr_format": zarr_format}
    write(target, codecs=lambda _path, _data: False, **options)
    chunk = "c.0.0" if zarr_format == 3 else "0.0"
    flip(target / "data" / chunk)
    with ZarrIO(target, "r") as io:
        with pytest.raises((ValueError, RuntimeError), match="checksum"):
            io.read_builder()["data"].data[...]
    assert {f.code for f in check(target).findings if f.severity == "error"} == {"broken-chunk"}


@pytest.mark.parametrize("shards", [None, {"/data": (600, 8)}])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_chunks_of_hdf5_move_with_a_checksum(
    tmp_path: Path, target: Path, shards: Any, compression: str | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=DATA, chunks=(300, 4), compression=compression)
    planned: list[Any] = []
    with (
        HDF5IO(str(tmp_path / "a.h5"), "r", manager=get_manager()) as source,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        io.export(source, checksum=True, shards=shards, on_plan=planned.append, cache_spec=False)
    assert planned[0].raw == ("/data",)
    assert last_codec(target) == "crc32c"
    np.testing.assert_array_equal(plain(target)[...], DATA)
    if shards is None:
        with h5py.File(tmp_path / "a.h5") as file:
            raw = RawChunks(file["data"])
            table = raw.table()
            for index in range(len(table)):
                at = ".".join(map(str, table.coordinates[index].tolist()))
                stored = (target / "data" / f"c.{at}").read_bytes()
                assert stored[:-4] == raw.read(table, index)


@pytest.mark.parametrize("shards", [None, (600, 8)])
def test_arrays_of_another_store_get_checksums(tmp_path: Path, target: Path, shards: Any) -> None:
    data = ZarrDataIO(DATA, chunks=(300, 4), shards=shards, compressor=zarr.codecs.ZstdCodec())
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", data)], attributes={"data_type": "Root"}
    )
    with ZarrIO(tmp_path / "source.zarr", "w", get_manager()) as io:
        io.write_builder(root)
    with (
        ZarrIO(tmp_path / "source.zarr", "r", get_manager()) as source,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        io.export(source, checksum=True, cache_spec=False)
    array = plain(target)
    assert (array.chunks, array.shards) == ((300, 4), shards)
    assert last_codec(target) == "crc32c"
    np.testing.assert_array_equal(array[...], DATA)


def test_one_dataset_has_checksums(target: Path) -> None:
    data = ZarrDataIO(DATA, checksum=True)
    assert data.io_settings["checksum"] is True
    root = GroupBuilder(
        "root",
        datasets=[DatasetBuilder("data", data), DatasetBuilder("other", DATA)],
        attributes={"data_type": "Root"},
    )
    with ZarrIO(target, "w") as io:
        io.write_builder(root)
    assert [last_codec(target), last_codec(target, "other")] == ["crc32c", "blosc"]


def test_the_command_adds_checksums(target: Path) -> None:
    assert main(["convert", str(SAMPLE), str(target), "--quiet", "--checksum"]) == 0
    assert last_codec(target, "acquisition/raw/data") == "crc32c"


# -- for the archive -------------------------------------------------------------------------------


def test_a_store_for_the_archive(tmp_path: Path) -> None:
    pytest.importorskip("nwbinspector")
    target = tmp_path / "sample.nwb.zarr"
    assert main(["convert", str(SAMPLE), str(target), "--quiet", "--dandi"]) == 0
    array = plain(target, "acquisition/raw/data")
    assert array.metadata.zarr_format == 2
    assert array.metadata.compressor.codec_id == "blosc"
    assert not array.metadata.filters
    with h5py.File(SAMPLE) as file:
        np.testing.assert_array_equal(array[...], file["acquisition/raw/data"][...])
    report = check(target, dandi=True)
    assert [finding for finding in report.findings if finding.severity == "error"] == []
    assert "shuffle" not in str(report.findings)


def test_codecs_that_every_reader_knows_are_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "a.h5", tmp_path / "a.nwb.zarr"
    with h5py.File(source, "w") as file:
        file.attrs["data_type"] = "Container"
        file.create_dataset("gzip", data=DATA, chunks=(300, 4), compression="gzip")
        file.create_dataset(
            "shuffled", data=DATA, chunks=(300, 4), compression="gzip", shuffle=True
        )
    convert(source, target, dandi=True)
    assert plain(target, "gzip").chunks == (300, 4)
    assert plain(target, "gzip").metadata.compressor.codec_id == "zlib"  # type: ignore[union-attr]
    assert plain(target, "shuffled").chunks == (1000, 7)
    for name in ("gzip", "shuffled"):
        np.testing.assert_array_equal(plain(target, name)[...], DATA)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.zarr", {}),
        ("a.nwb", {}),
        ("a.nwb.zarr", {"zarr_format": 3}),
        ("a.nwb.zarr", {"shards": "auto"}),
    ],
)
def test_what_the_archive_does_not_take_is_refused(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match="DANDI archive takes|dandi is for Zarr"):
        convert(SAMPLE, tmp_path / name, dandi=True, **options)
    assert list(tmp_path.iterdir()) == []
