"""Zarr -> Zarr: encoded chunks move as they are, into shards and with checksums too."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import numpy as np
import pytest
import zarr
from hdmf.common import get_manager

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.errors import LayoutError, MetadataError
from hdmf_zarr.write.planning.plan import Planned
from tests.integration.test_raw_export import NUMBERS, chunk_files, inner_chunks, opened
from tests.integration.test_raw_export import export as export_hdf5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A store whose chunks are those of HDF5."""
    with h5py.File(tmp_path / "source.h5", "w") as file:
        options = {"chunks": (30, 4), "compression": "gzip", "shuffle": True}
        file.create_dataset("data", data=NUMBERS, **options)
        sparse = file.create_dataset("sparse", (1000, 7), ">f4", fillvalue=-1.5, **options)
        sparse[100:200] = np.arange(7)
        file["names"] = ["a", "b"]
    export_hdf5(tmp_path / "source.h5", tmp_path / "source.zarr")
    return tmp_path / "source.zarr"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.zarr"


def export(source: Path, target: Path, **options: Any) -> Planned:
    planned: list[Planned] = []
    zarr_format = options.pop("zarr_format", 3)
    with (
        ZarrIO(source, "r", get_manager()) as src_io,
        ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io,
    ):
        io.export(src_io, on_plan=planned.append, cache_spec=False, **options)
    return planned[0]


def test_chunks_are_packed_into_shards_as_they_are(source: Path, target: Path) -> None:
    planned = export(source, target, shards={"/data": (120, 8), "/sparse": [300, 4]})
    assert set(planned.raw) == {"/data", "/sparse", "/names"}
    assert planned.decoded == {}
    assert inner_chunks(target, (4, 2)) == chunk_files(source)
    array, sparse = opened(target, "data"), opened(target, "sparse")
    assert (array.chunks, array.shards) == ((30, 4), (120, 8))
    np.testing.assert_array_equal(array[...], NUMBERS)
    assert sparse.shards == (300, 4)
    assert sparse.fill_value == -1.5
    np.testing.assert_array_equal(sparse[...], opened(source, "sparse")[...])
    # Shards of which nothing was ever written stay missing, and are counted.
    assert sorted(chunk_files(target, "sparse")) == [(0, 0), (0, 1)]
    assert check(target).is_clean


def test_progress_and_files_are_counted(source: Path, target: Path) -> None:
    counts: list[int] = []
    planned = export(source, target, shards="auto", progress=counts.append)
    names = ("data", "sparse", "names")
    stored = sum(sum(map(len, chunk_files(source, name).values())) for name in names)
    assert sum(counts) <= stored <= planned.n_bytes
    assert planned.n_files == sum(path.is_file() for path in target.rglob("*"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_checksum_is_added_without_decoding(
    source: Path, target: Path, tmp_path: Path, zarr_format: int
) -> None:
    planned = export(source, target, checksum=True, zarr_format=zarr_format)
    assert {"/data", "/sparse"} <= set(planned.raw)
    expected = {
        at: encoded + google_crc32c.value(encoded).to_bytes(4, "little")
        for at, encoded in chunk_files(source).items()
    }
    assert chunk_files(target) == expected
    assert sorted(chunk_files(target, "sparse")) == sorted(chunk_files(source, "sparse"))
    np.testing.assert_array_equal(opened(target, "data")[...], NUMBERS)
    # Chunks that have one get no second one, in shards either.
    again = export(target, tmp_path / "again.zarr", checksum=True)
    assert "/data" in again.raw
    assert chunk_files(tmp_path / "again.zarr") == expected
    export(target, tmp_path / "shards.zarr", checksum=True, shards={"/data": (120, 8)})
    assert inner_chunks(tmp_path / "shards.zarr", (4, 2)) == expected
    assert check(tmp_path / "shards.zarr").is_clean


def test_other_shards_are_made(source: Path, target: Path, tmp_path: Path) -> None:
    export(source, target, shards={"/data": (120, 8)})
    planned = export(target, tmp_path / "other.zarr", shards={"/data": (60, 4)})
    assert planned.decoded == {"/data": "shards were asked for"}
    assert opened(tmp_path / "other.zarr", "data").shards == (60, 4)
    np.testing.assert_array_equal(opened(tmp_path / "other.zarr", "data")[...], NUMBERS)
    kept = export(target, tmp_path / "kept.zarr", shards="auto")
    assert "/data" in kept.raw
    assert opened(tmp_path / "kept.zarr", "data").shards == (120, 8)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
def test_fill_value_and_names_of_dimensions_stay_with_other_chunks(
    source: Path, target: Path
) -> None:
    store = zarr.open_group(source, mode="r+")
    store.create_array(
        "named", shape=(50, 7), chunks=(10, 7), dtype="i2", fill_value=7, dimension_names=["t", "x"]
    )
    zarr.consolidate_metadata(source)
    export(source, target, chunks={"/named": (25, 7)})
    named = opened(target, "named")
    assert (named.chunks, named.fill_value) == ((25, 7), 7)
    assert named.metadata.dimension_names == ("t", "x")
    np.testing.assert_array_equal(named[...], np.full((50, 7), 7))


@pytest.mark.parametrize("options", [{}, {"shards": "auto"}, {"checksum": True}])
def test_a_damaged_chunk_is_found_when_asked_for(
    source: Path, target: Path, options: dict[str, Any]
) -> None:
    export(source, target, verify=True, **options)
    before = chunk_files(target)
    (source / "data" / "c.3.1").write_bytes(b"\x78\x9c damaged")
    export(source, target, **options)
    with pytest.raises(MetadataError, match=r"source\.zarr:/data/c\.3\.1: the chunk .*is damaged"):
        export(source, target, verify=True, **options)
    assert before != chunk_files(target) != {}


def test_nothing_is_encoded_by_what_loses_precision(
    tmp_path: Path, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    pytest.importorskip("imagecodecs")
    values = np.random.default_rng(0).normal(size=(100, 7))
    with h5py.File(tmp_path / "zfp.h5", "w") as file:
        file.create_dataset("data", data=values, chunks=(30, 4), **hdf5plugin.Zfp(rate=8.0))
    export_hdf5(tmp_path / "zfp.h5", tmp_path / "zfp.zarr")
    expected = opened(tmp_path / "zfp.zarr", "data")[...]
    assert np.abs(expected - values).max() > 0
    assert export(tmp_path / "zfp.zarr", target, shards={"/data": (60, 8)}).decoded == {}
    assert inner_chunks(target, (2, 2)) == chunk_files(tmp_path / "zfp.zarr")
    with caplog.at_level(logging.INFO, "hdmf_zarr"):
        export(tmp_path / "zfp.zarr", target, chunks={"/data": (50, 7)})
    assert "its codec would lose precision once more" in caplog.text
    array = opened(target, "data")
    assert [type(codec).__name__ for codec in array.compressors] == ["BloscCodec"]
    np.testing.assert_array_equal(array[...], expected)
    with pytest.raises(LayoutError, match="would lose precision once more; without strict=True"):
        export(tmp_path / "zfp.zarr", target, chunks={"/data": (50, 7)}, strict=True)


@pytest.mark.parametrize("checksum", [False, True])
def test_shards_become_the_chunks_inside_of_them_where_the_format_has_none(
    source: Path, target: Path, tmp_path: Path, *, checksum: bool
) -> None:
    sharded = tmp_path / "sharded.zarr"
    export(source, sharded, shards="auto")
    planned = export(sharded, target, zarr_format=2, checksum=checksum)
    assert planned.decoded["/data"] == "what Zarr format 2 stores otherwise"
    array = opened(target, "data")
    assert array.chunks == (30, 4)
    document = json.loads((target / "data" / ".zarray").read_text())
    ids = [codec["id"] for codec in [*document["filters"], document["compressor"]]]
    assert ids == ["shuffle", "zlib", *(["crc32c"] if checksum else [])]
    np.testing.assert_array_equal(array[...], NUMBERS)


@pytest.mark.parametrize("formats", [(2, 3), (3, 2)])
def test_what_is_encoded_anew_has_the_checksum_that_was_asked_for(
    target: Path, tmp_path: Path, formats: tuple[int, int]
) -> None:
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file.create_dataset("ascii", data=[b"a", b"b"], dtype=h5py.string_dtype("ascii"))
        file.create_dataset("data", data=NUMBERS, chunks=(30, 4))
    options = {"shards": "auto"} if formats[0] == 3 else {}
    first = tmp_path / "first.zarr"
    export_hdf5(tmp_path / "text.h5", first, zarr_format=formats[0], checksum=True, **options)
    planned = export(first, target, zarr_format=formats[1], checksum=True)
    assert planned.decoded["/ascii"] == f"what Zarr format {formats[1]} stores otherwise"
    for name in ("ascii", "data"):
        document = "zarr.json" if formats[1] == 3 else ".zarray"
        assert '"crc32c"' in (target / name / document).read_text()
    with ZarrIO(target, "r", get_manager()) as io:
        root = io.read_builder()
        assert root["ascii"].data[...].tolist() == [b"a", b"b"]
        np.testing.assert_array_equal(root["data"].data[...], NUMBERS)


@pytest.mark.parametrize("checksum", [False, True])
def test_shards_of_what_loses_precision_are_encoded_by_other_codecs(
    target: Path, tmp_path: Path, *, checksum: bool
) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "zfp.h5", "w") as file:
        values = np.linspace(0, 1, 4000, dtype="f4").reshape(1000, 4)
        zfp = hdf5plugin.Zfp(accuracy=0.01)
        file.create_dataset("data", data=values, chunks=(100, 4), **zfp)
    with h5py.File(tmp_path / "zfp.h5") as file:
        expected = file["data"][...]
    sharded = tmp_path / "sharded.zarr"
    assert export_hdf5(tmp_path / "zfp.h5", sharded, shards="auto").raw == ("/data",)
    export(sharded, target, zarr_format=2, checksum=checksum)
    text = (target / "data" / ".zarray").read_text()
    assert "zfp" not in text
    assert ("crc32c" in text) is checksum
    with ZarrIO(target, "r", get_manager()) as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[...], expected)
