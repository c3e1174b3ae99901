"""HDF5 -> Zarr: encoded chunks move as they are, alone or into shards."""

from __future__ import annotations

import logging
import math
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.common import get_manager

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.errors import LayoutError, MetadataError
from hdmf_zarr.hdf5.contiguous import ContiguousRows
from hdmf_zarr.hdf5.raw import RawChunks, can_copy_raw
from hdmf_zarr.hdf5.source import HDF5Source
from hdmf_zarr.write.planning.plan import Planned


def export(source: Path, target: Path, **options: Any) -> Planned:
    """Export a whole file and return what was planned."""
    planned: list[Planned] = []
    zarr_format = options.pop("zarr_format", 3)
    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io,
    ):
        io.export(src_io, on_plan=planned.append, cache_spec=False, **options)
    return planned[0]


def opened(target: Path, path: str) -> zarr.Array[Any]:
    """The array as zarr-python reads it, which warns of each codec that its specification lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr")
        return zarr.open_array(target, path=path, mode="r")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source.h5"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.zarr"


@contextmanager
def file_with(path: Path, data: Any, **options: Any) -> Iterator[h5py.Dataset]:
    with h5py.File(path, "w") as file:
        yield file.create_dataset("data", data=data, **options)


NUMBERS = np.arange(1000 * 7, dtype="<i2").reshape(1000, 7)


def stored_chunks(source: Path, name: str = "data") -> dict[tuple[int, ...], bytes]:
    """The bytes of each chunk as HDF5 has stored them."""
    with h5py.File(source) as file:
        raw = RawChunks(file[name])
        table = raw.table()
        return {tuple(table.coordinates[i].tolist()): raw.read(table, i) for i in range(len(table))}


def chunk_files(target: Path, name: str = "data") -> dict[tuple[int, ...], bytes]:
    """The bytes of each chunk file of an array."""
    found = {}
    for path in (target / name).iterdir():
        if path.name in ("zarr.json", ".zarray", ".zattrs"):
            continue
        parts = path.name.removeprefix("c.").split(".")
        found[tuple(map(int, parts))] = path.read_bytes()
    return found


def inner_chunks(target: Path, per_shard: tuple[int, ...]) -> dict[tuple[int, ...], bytes]:
    """The bytes of each chunk in the shards of an array, by the index at their ends."""
    found = {}
    for shard, content in chunk_files(target).items():
        count = math.prod(per_shard)
        index = np.frombuffer(content[-4 - 16 * count : -4], dtype="<u8").reshape(count, 2)
        for place, (offset, size) in enumerate(index.tolist()):
            if offset != 2**64 - 1:
                inside = np.unravel_index(place, per_shard)
                at = tuple(int(s * n + i) for s, n, i in zip(shard, per_shard, inside, strict=True))
                found[at] = content[offset : offset + size]
    return found


FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 2},
    "shuffle": {"shuffle": True},
    "shuffle, gzip": {"compression": "gzip", "shuffle": True},
    "fletcher32": {"fletcher32": True},
    "shuffle, gzip, fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_chunk_bytes_are_those_of_hdf5(
    source: Path, target: Path, filters: dict[str, Any], zarr_format: int
) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4), **filters):
        pass
    planned = export(source, target, zarr_format=zarr_format)
    assert planned.raw == ("/data",)
    assert planned.decoded == {}
    assert chunk_files(target) == stored_chunks(source)
    assert len(stored_chunks(source)) == 8
    array = opened(target, "data")
    assert (array.shape, array.chunks, array.dtype) == ((1000, 7), (300, 4), np.dtype("<i2"))
    np.testing.assert_array_equal(array[...], NUMBERS)


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_chunks_are_packed_into_shards_as_they_are(
    source: Path, target: Path, filters: dict[str, Any]
) -> None:
    with file_with(source, NUMBERS, chunks=(30, 4), **filters):
        pass
    planned = export(source, target, shards={"/data": (120, 8)})
    assert planned.raw == ("/data",)
    assert inner_chunks(target, (4, 2)) == stored_chunks(source)
    array = opened(target, "data")
    assert (array.chunks, array.shards) == ((30, 4), (120, 8))
    np.testing.assert_array_equal(array[...], NUMBERS)


def test_automatic_shards_hold_all_of_a_small_array(source: Path, target: Path) -> None:
    with file_with(source, NUMBERS, chunks=(30, 4), compression="gzip"):
        pass
    export(source, target, shards="auto")
    assert len(chunk_files(target)) == 1
    np.testing.assert_array_equal(opened(target, "data")[...], NUMBERS)


def test_large_arrays_have_hundreds_of_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    from hdmf_zarr.core.dtypes import element_type_from_numpy
    from hdmf_zarr.write.planning.layout import LARGE_SHARD_BYTES, LayoutRequest, decide_layout

    rows = 100_000_000_000 // 128
    layout = decide_layout(
        LayoutRequest(chunks=(512, 64), shards="auto"),
        element=element_type_from_numpy(np.dtype("i2")),
        stored_dtype=np.dtype("i2"),
        shape=(rows, 64),
        itemsize=2,
        fill_value=0,
        shard_bytes=100_000_000_000 / 500,
    )
    assert layout.shards is not None
    assert 400 < rows / layout.shards[0] < 600
    assert math.prod(layout.shards) * 2 < LARGE_SHARD_BYTES


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [None, "auto"])
def test_chunks_that_were_never_written_stay_missing(
    source: Path, target: Path, shards: str | None
) -> None:
    with file_with(source, None, shape=(100,), dtype="f4", chunks=(10,), fillvalue=2.5) as dataset:
        dataset[15:25] = np.arange(10)
    export(source, target, shards=shards)
    found = inner_chunks(target, (10,)) if shards else chunk_files(target)
    assert sorted(found) == [(1,), (2,)]
    codes = {finding.code for finding in check(target).findings}
    assert codes == (set() if shards else {"absent-chunks"})
    if not shards:
        # Of those that were written, one is lost.
        (target / "data" / "c.2").rename(target.parent / "lost")
        findings = check(target).findings
        assert [f.message for f in findings if f.severity == "error"] == [
            "1 chunks are there of 2 that were written"
        ]
        (target.parent / "lost").rename(target / "data" / "c.2")
    array = opened(target, "data")
    assert array.fill_value == 2.5
    with h5py.File(source) as file:
        np.testing.assert_array_equal(array[...], file["data"][...])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_hdf5_never_fills_is_read_as_h5py_reads_it(
    source: Path, target: Path, zarr_format: int
) -> None:
    layout = {"shape": (40,), "dtype": "i4", "chunks": (10,), "fillvalue": 7}
    with file_with(source, None, fill_time="never", **layout) as dataset:
        dataset[10:20] = np.arange(10)
        expected = dataset[...]
    assert expected.tolist() == [0] * 10 + [*range(10)] + [0] * 20
    assert export(source, target, zarr_format=zarr_format).raw == ("/data",)
    np.testing.assert_array_equal(opened(target, "data")[...], expected)
    with ZarrIO(target, "r", get_manager()) as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[...], expected)


@pytest.mark.parametrize("shards", [None, "auto"])
def test_a_chunk_with_a_filter_left_out_is_encoded_anew(
    source: Path, target: Path, shards: str | None
) -> None:
    with file_with(
        source, np.zeros((20, 6), "i4"), chunks=(10, 4), compression="gzip", shuffle=True
    ) as dataset:
        plain = np.arange(40, dtype="i4")
        # Mask 1: the first filter, shuffle, was not applied; 3: none was.
        dataset.id.write_direct_chunk((0, 0), numcodecs.Zlib(4).encode(plain), 1)
        dataset.id.write_direct_chunk((10, 4), plain.tobytes(), 3)
    export(source, target, shards=shards)
    array = opened(target, "data")
    with h5py.File(source) as file:
        assert file["data"][0, 3] == 3
        np.testing.assert_array_equal(array[...], file["data"][...])


@pytest.mark.parametrize(
    "dtype",
    ["bool", "i1", "u1", "<i2", ">i2", "<u4", ">u8", "<f2", "<f4", ">f8", "<c8", ">c16"],
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_types_of_numbers(source: Path, target: Path, dtype: str, zarr_format: int) -> None:
    numbers: Any = np.arange(60).reshape(10, 6)
    values = {"b": numbers % 2, "c": numbers * 2j - numbers}.get(np.dtype(dtype).kind, numbers)
    values = values.astype(dtype)
    with file_with(source, values, chunks=(4, 4), compression="gzip", shuffle=True):
        pass
    assert export(source, target, zarr_format=zarr_format).raw == ("/data",)
    array = opened(target, "data")
    assert array.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(array[...], values)


def test_enumerations_are_their_numbers(source: Path, target: Path) -> None:
    kind = h5py.enum_dtype({"red": 1, "green": 300}, basetype=">i2")
    with file_with(source, np.array([1, 300, 1], dtype=">i2"), dtype=kind, chunks=(2,)):
        pass
    assert export(source, target).raw == ("/data",)
    assert opened(target, "data")[...].tolist() == [1, 300, 1]


def test_numbers_with_bits_to_spare_are_decoded(source: Path, target: Path) -> None:
    kind = h5py.h5t.STD_I16LE.copy()
    kind.set_precision(12)
    with h5py.File(source, "w") as file:
        space = h5py.h5s.create_simple((100,))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((10,))
        made = h5py.h5d.create(file.id, b"data", kind, space, properties)
        h5py.Dataset(made)[...] = np.arange(-50, 50)
        assert can_copy_raw(file["data"]) == "numbers with bits to spare"
    planned = export(source, target)
    assert planned.decoded == {"/data": "numbers with bits to spare"}
    array = opened(target, "data")
    np.testing.assert_array_equal(array[...], np.arange(-50, 50))


def test_reasons(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.arange(5)
    with h5py.File(tmp_path / "reasons.h5", "w") as file:
        layout = h5py.VirtualLayout((5,), "i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", (5,))
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        reasons = {
            can_copy_raw(file.create_dataset("contiguous", data=np.arange(5))),
            can_copy_raw(
                h5py.Dataset(h5py.h5d.create(file.id, b"c", h5py.h5t.STD_I8LE, space, compact))
            ),
            can_copy_raw(file.create_virtual_dataset("virtual", layout)),
            can_copy_raw(file.create_dataset("text", data=["a", "b"], chunks=(2,))),
            can_copy_raw(file.create_dataset("record", (2,), dtype=[("a", "i4")], chunks=(2,))),
            can_copy_raw(file.create_dataset("chunked", data=np.arange(5), chunks=(2,))),
        }
    assert reasons == {
        "contiguous (no chunks)",
        "compact (no chunks)",
        "virtual (data in other files)",
        "elements other than plain numbers",
        None,
    }


@pytest.mark.parametrize("maxshape", [(None, 7), (5000, 7)])
def test_resizable_datasets(source: Path, target: Path, maxshape: tuple[int | None, int]) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4), maxshape=maxshape) as dataset:
        dataset.resize((450, 7))
    export(source, target)
    array = opened(target, "data")
    assert array.shape == (450, 7)
    assert sorted(chunk_files(target)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    np.testing.assert_array_equal(array[...], NUMBERS[:450])


def test_a_user_block_moves_the_chunks(source: Path, target: Path) -> None:
    with h5py.File(source, "w", userblock_size=1024) as file:
        file.create_dataset("data", data=NUMBERS, chunks=(300, 4))
    export(source, target)
    np.testing.assert_array_equal(opened(target, "data")[...], NUMBERS)


def test_a_file_that_is_open_for_writing_is_read_through_hdf5(source: Path, target: Path) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4), compression="gzip"):
        pass
    with (
        HDF5IO(str(source), "r+", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        src_io._file["data"][5] = -1
        io.export(src_io, cache_spec=False)
    expected = NUMBERS.copy()
    expected[5] = -1
    np.testing.assert_array_equal(opened(target, "data")[...], expected)


# -- contiguous datasets -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "i1", ">i2", "<f8", ">c16"])
@pytest.mark.parametrize("userblock", [0, 1024])
def test_contiguous_datasets_are_read_from_the_file(
    source: Path, target: Path, dtype: str, userblock: int
) -> None:
    values = (np.arange(700).reshape(100, 7) % 2).astype(dtype)
    with h5py.File(source, "w", userblock_size=userblock) as file:
        file["data"] = values
    with h5py.File(source) as file:
        rows = ContiguousRows.of(file["data"])
        assert rows is not None
        found = rows.rows((slice(3, 9), slice(0, 7)))
        assert found is not None
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values[3:9])
        assert rows.rows((slice(3, 9), slice(0, 6))) is None
        assert rows.rows((slice(3, 9, 2),)) is None
    export(source, target, chunks={"/data": (9, 4)})
    array = opened(target, "data")
    assert array.chunks == (9, 4)
    np.testing.assert_array_equal(array[...], values)


def test_contiguous_datasets_that_the_file_alone_does_not_tell(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["written"] = np.arange(5)
        file["empty"] = np.empty((0, 3))
        file["text"] = ["a", "b"]
        file["scalar"] = 5
        file.create_dataset("nothing written", (5,), "i4")
        file.create_dataset("chunked", data=np.arange(5), chunks=(2,))
        raw = np.arange(5, dtype="i4").tobytes()
        (tmp_path / "raw").write_bytes(raw)
        file.create_dataset("external", (5,), "i4", external=[(str(tmp_path / "raw"), 0, len(raw))])
        assert ContiguousRows.of(file["written"]) is None  # the file is open for writing
    with h5py.File(tmp_path / "a.h5") as file:
        known = {name for name in file if ContiguousRows.of(file[name]) is not None}
    assert known == {"written"}


def test_a_contiguous_dataset_that_is_cut_short(source: Path, target: Path) -> None:
    with h5py.File(source, "w") as file:
        file["data"] = np.arange(100_000)
    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        src_io.read_builder()
        os.truncate(source, 400_000)
        with pytest.raises(MetadataError, match="data: the file ends before row 100000"):
            io.export(src_io)
    assert not target.exists()


# -- options ---------------------------------------------------------------------------------------


@pytest.fixture
def two(source: Path) -> Path:
    with h5py.File(source, "w") as file:
        for name in ("a", "b"):
            file.create_dataset(f"{name}/data", data=NUMBERS, chunks=(300, 4), compression="gzip")
    return source


def layout_of(target: Path, path: str) -> tuple[tuple[int, ...], list[str]]:
    array = opened(target, path)
    np.testing.assert_array_equal(array[...], NUMBERS)
    return array.chunks, [type(codec).__name__ for codec in (*array.filters, *array.compressors)]


def test_default_codecs_keep_the_chunks(two: Path, target: Path) -> None:
    planned = export(two, target, codecs="default")
    assert planned.raw == ()
    assert set(planned.decoded.values()) == {"other codecs were asked for"}
    assert layout_of(target, "a/data") == ((300, 4), ["BloscCodec"])


@pytest.mark.parametrize(
    "codecs",
    [
        {"/a/data": zarr.codecs.ZstdCodec(level=1)},
        {"a/data": [zarr.codecs.ZstdCodec(level=1)]},
        {"/a/*": zarr.codecs.ZstdCodec(level=1)},
        lambda path, dataset: zarr.codecs.ZstdCodec(level=1) if path == "/a/data" else None,
        lambda path, dataset: [zarr.codecs.ZstdCodec(level=1)] if "/a/" in path else "keep",
    ],
)
def test_codecs_for_each_dataset(two: Path, target: Path, codecs: Any) -> None:
    planned = export(two, target, codecs=codecs)
    assert planned.raw == ("/b/data",)
    assert layout_of(target, "a/data") == ((300, 4), ["ZstdCodec"])
    assert layout_of(target, "b/data")[1] == ["Zlib"]


@pytest.mark.parametrize(
    "chunks",
    [{"/a/data": (500, 7)}, lambda path, dataset: (500, 7) if path == "/a/data" else None],
)
def test_chunks_for_each_dataset(two: Path, target: Path, chunks: Any) -> None:
    planned = export(two, target, chunks=chunks)
    assert planned.decoded == {"/a/data": "other chunks were asked for"}
    assert layout_of(target, "a/data") == ((500, 7), ["Zlib"])
    assert layout_of(target, "b/data") == ((300, 4), ["Zlib"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codecs": "best"}, "codecs must be 'keep' or 'default', found 'best'"),
        ({"codecs": 5}, "codecs must be 'keep', 'default', a mapping"),
        ({"chunks": (10, 10)}, "chunks must be a mapping"),
        ({"shards": "large"}, "shards must be 'auto', a mapping"),
        ({"chunks": {"/a/dat": (10, 10)}}, "chunks: '/a/dat' is the path of no dataset"),
        ({"codecs": {"/c/*": "default"}}, "codecs: '/c/\\*' is the path of no dataset"),
        ({"chunks": {"/a/data": (10,)}}, "1 dimensions, the data have 2"),
        ({"shards": {"/a/data": (301, 4)}}, "must be a multiple of the chunks"),
        ({"external_links": "cut"}, "external_links must be 'follow' or 'keep'"),
        ({"chunks": {"/a/data": 100}}, r"chunks \(100,\) have 1 dimensions, the data have 2"),
        ({"chunks": {"/a/data": "auto"}}, "chunks must be a tuple of positive integers"),
        ({"chunks": lambda path, dataset: (5.5, 4)}, "must be positive integers"),
        ({"codecs": {5: "default"}}, "codecs: a path must be text, found 5"),
        ({"codecs": {"/a/data": "best"}}, "a/data: expected a codec .* found 'best'"),
        ({"strict": "no"}, "strict must be True or False, found 'no'"),
        ({"verify": "no"}, "verify must be True or False, found 'no'"),
        ({"checksum": 1}, "checksum must be True or False, found 1"),
        ({"durable": "no"}, "durable must be True or False, found 'no'"),
        ({"number_of_jobs": 0}, "number_of_jobs must be a positive integer, found 0"),
        ({"shards": "auto", "zarr_format": 2}, "Zarr format 2 has no shards"),
    ],
)
def test_options_that_make_no_sense(
    two: Path, target: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export(two, target, **options)
    assert not target.exists()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunks": {"/data": (10**18, 10**18)}}, "/data: a chunk cannot be encoded"),
        ({"codecs": {"/names": numcodecs.Delta("i4")}}, "/names: no chunk can be written and read"),
    ],
)
def test_layouts_that_do_not_suit_the_elements(
    source: Path, target: Path, options: dict[str, Any], message: str, zarr_format: int
) -> None:
    with file_with(source, NUMBERS, chunks=(100, 7)) as dataset:
        dataset.file["names"] = ["a", "b"]
    with pytest.raises(LayoutError, match=f"target.zarr:{message}"):
        export(source, target, zarr_format=zarr_format, **options)
    assert not target.exists()


def test_a_filter_without_codec(
    source: Path, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4), scaleoffset=0):
        pass
    with caplog.at_level(logging.INFO, "hdmf_zarr"):
        planned = export(source, target)
    assert "scale" in planned.decoded["/data"]
    assert [r.levelname for r in caplog.records if "scale" in r.getMessage()] == ["INFO"]
    assert layout_of(target, "data") == ((1000, 7), ["BloscCodec"])
    before = sorted(target.rglob("*"))
    with pytest.raises(LayoutError, match=r"source\.h5:/data: .*scale.*; without strict=True"):
        export(source, target, strict=True)
    assert sorted(target.rglob("*")) == before


def test_jobs_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    with file_with(source, NUMBERS, chunks=(3, 4), compression="gzip"):
        pass
    export(source, tmp_path / "one.zarr")
    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(tmp_path / "four.zarr", "w", get_manager()) as io,
    ):
        io.export(src_io, number_of_jobs=4)
    assert chunk_files(tmp_path / "one.zarr") == chunk_files(tmp_path / "four.zarr")


def test_progress_counts_the_encoded_bytes(source: Path, target: Path) -> None:
    with file_with(source, NUMBERS, chunks=(3, 4), compression="gzip"):
        pass
    counts: list[int] = []
    planned = export(source, target, progress=counts.append)
    assert sum(counts) == planned.n_bytes == sum(map(len, stored_chunks(source).values()))
    n_files = sum(path.is_file() for path in target.rglob("*"))
    assert planned.n_files == n_files


@pytest.mark.parametrize(
    ("options", "at_least", "at_most"),
    [({}, 300, 1000), ({"chunks": (65_536, 64), "compression": "gzip"}, 1, 20)],
    ids=["contiguous", "chunks that were never written"],
)
def test_files_of_100_gigabytes_are_planned_in_the_hundreds(
    source: Path, target: Path, options: dict[str, Any], at_least: int, at_most: int
) -> None:
    with h5py.File(source, "w") as file:
        file.create_dataset("data", shape=(800_000_000, 64), dtype="i2", **options)

    class StopError(Exception):
        """Nothing is to be written."""

    planned: list[Planned] = []

    def stop(plan: Planned) -> None:
        planned.append(plan)
        raise StopError

    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager()) as io,
        pytest.raises(StopError),
    ):
        io.export(src_io, shards="auto", on_plan=stop, cache_spec=False)
    assert at_least <= planned[0].n_files <= at_most


def test_compounds_are_never_in_shards(source: Path, target: Path) -> None:
    """Which zarr-python 3.1 cannot read, whatever the version is that writes."""
    values = np.array([(n, n / 2) for n in range(100)], dtype=[("a", "<i4"), ("b", "<f8")])
    with file_with(source, values, chunks=(10,)):
        pass
    export(source, target, chunks={"/data": (10,)}, shards="auto")
    array = opened(target, "data")
    assert (array.chunks, array.shards) == ((10,), None)
    np.testing.assert_array_equal(array[...], values)
    assert check(target).is_clean
    with pytest.raises(LayoutError, match=r"no shards of compounds: leave shards=\(20,\) out"):
        export(source, target, chunks={"/data": (10,)}, shards={"/data": (20,)})


# -- bad input -------------------------------------------------------------------------------------


def corrupt_chunk(source: Path) -> None:
    with h5py.File(source) as file:
        raw = RawChunks(file["data"])
        address = int(raw.table().addresses[3])
    content = bytearray(source.read_bytes())
    content[address : address + 8] = b"\xff" * 8
    source.write_bytes(content)


@pytest.mark.parametrize("options", [{"verify": True}, {"codecs": "default"}])
def test_a_chunk_that_does_not_decode(source: Path, target: Path, options: dict[str, Any]) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4), compression="gzip"):
        pass
    export(source, target)
    before = chunk_files(target)
    corrupt_chunk(source)
    with pytest.raises(MetadataError, match=r"source\.h5:/data: the (chunk|elements) "):
        export(source, target, **options)
    assert chunk_files(target) == before
    assert [path.name for path in target.parent.iterdir() if "partial" in path.name] == []


DAMAGED: list[tuple[dict[str, Any], Any, str]] = [
    ({"compression": "gzip"}, lambda b: b"\xff\xff" + b[2:], "does not begin as the codec zlib"),
    ({"compression": "gzip"}, lambda b: bytes(len(b)), "does not begin as the codec zlib"),
    ({"compression": "gzip", "fletcher32": True}, lambda b: b[:9] + b"?" + b[10:], "checksum"),
    ({"fletcher32": True}, lambda b: b[:-1] + bytes([b[-1] ^ 1]), "checksum"),
    ({"fletcher32": True}, lambda b: b[:3], "no bytes before its checksum"),
    ({"shuffle": True}, lambda b: b[:-2], "becomes 2398 bytes in place of 2400"),
    ({"compression": "szip"}, lambda b: b"\x01" + b[1:], "becomes .* bytes in place of 2400"),
]


def plugin_cases() -> list[tuple[dict[str, Any], Any, str]]:
    try:
        import hdf5plugin
    except ImportError:
        return []

    def cut(encoded: bytes) -> bytes:
        return encoded[: len(encoded) // 2]

    def other_size(at: int) -> Any:
        return lambda b: b[:at] + bytes([b[at] ^ 0x10]) + b[at + 1 :]

    return [
        (dict(hdf5plugin.BZip2()), lambda b: b"x" + b[1:], "does not begin as the codec bz2"),
        (dict(hdf5plugin.Zstd()), lambda b: b"x" + b[1:], "does not begin as the codec zstd"),
        (dict(hdf5plugin.Zstd()), other_size(5), "in place of 2400"),
        (dict(hdf5plugin.Blosc()), cut, "truncated"),
        (dict(hdf5plugin.Blosc()), other_size(4), "in place of 2400"),
        (dict(hdf5plugin.LZ4()), other_size(7), "in place of 2400"),
        (dict(hdf5plugin.LZ4()), lambda b: b[:5], "ends in its header"),
        (dict(hdf5plugin.Bitshuffle(cname="lz4")), other_size(7), "in place of 2400"),
        (dict(hdf5plugin.Bitshuffle(cname="none")), cut, "in place of 2400"),
        (dict(hdf5plugin.Blosc2()), cut, "blosc2: it has .* bytes of"),
        (dict(hdf5plugin.Blosc2()), lambda b: b"x" * len(b), "it is no frame"),
    ]


@pytest.mark.parametrize("shards", [None, "auto"])
@pytest.mark.parametrize(("filters", "damage", "message"), [*DAMAGED, *plugin_cases()])
def test_a_chunk_that_contradicts_itself(
    source: Path, target: Path, filters: dict[str, Any], damage: Any, message: str, shards: Any
) -> None:
    with file_with(source, NUMBERS.astype("f4")[:, :2], chunks=(300, 2), **filters) as dataset:
        _, encoded = dataset.id.read_direct_chunk((300, 0))
        dataset.id.write_direct_chunk((300, 0), damage(encoded))
    with pytest.raises(MetadataError, match=rf"h5:/data: the chunk at \(300, 0\) is .*{message}"):
        export(source, target, shards=shards)
    assert not target.exists()


@pytest.mark.parametrize("filters", ["Blosc2", "Zfp"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_of_plugins_that_know_their_shape(
    source: Path, target: Path, filters: str, zarr_format: int
) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    pytest.importorskip("imagecodecs")
    pytest.importorskip("blosc2")
    values = np.random.default_rng(0).normal(size=(100, 7))
    with file_with(source, values, chunks=(30, 4), **getattr(hdf5plugin, filters)()):
        pass
    planned = export(source, target, zarr_format=zarr_format)
    assert planned.raw == ("/data",)
    assert planned.plugins == {"/data": "hdmf-zarr[hdf5-filters]"}
    assert chunk_files(target) == stored_chunks(source)
    with h5py.File(source) as file, ZarrIO(target, "r", get_manager()) as io:
        np.testing.assert_array_equal(io.read_builder()["data"].data[...], file["data"][...])
    assert check(target).is_clean


LOSSY_MEETS: dict[str, tuple[dict[str, Any], str]] = {
    "other chunks": (
        {"chunks": {"/data": (50, 7)}},
        "other chunks were asked for, and its filter would lose precision once more",
    ),
    "an unfiltered chunk": ({}, "chunks that a filter which loses precision has not seen"),
}


@pytest.mark.parametrize("case", LOSSY_MEETS)
def test_nothing_is_encoded_by_what_loses_precision(
    source: Path, target: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    options, reason = LOSSY_MEETS[case]
    values = np.random.default_rng(0).normal(size=(100, 7))
    with file_with(source, values, chunks=(30, 4), **hdf5plugin.Zfp(rate=8.0)) as dataset:
        if not options:
            dataset.id.write_direct_chunk((30, 4), values[30:60, :4].tobytes(), 1)
    with caplog.at_level(logging.INFO, "hdmf_zarr"):
        planned = export(source, target, **options)
    assert planned.decoded == {"/data": reason}
    assert reason in caplog.text
    array = opened(target, "data")
    assert [type(codec).__name__ for codec in array.compressors] == ["BloscCodec"]
    with h5py.File(source) as file:
        np.testing.assert_array_equal(array[...], file["data"][...])
    with pytest.raises(LayoutError, match=f"{reason}; without strict=True"):
        export(source, target, strict=True, **options)


# A process of its own: in this one the plugins may be there already.
IN_FRESH_PROCESS = """
import sys
if sys.argv[3] == "without":
    sys.modules["hdf5plugin"] = None
from hdmf_zarr.cli import main
sys.exit(main(["convert", "--quiet", sys.argv[1], sys.argv[2], *sys.argv[4:]]))
"""


@pytest.mark.parametrize(
    ("plugin", "options", "error"),
    [
        ("with", ["--codecs", "default"], None),
        ("with", ["--verify"], None),
        ("without", [], None),
        ("without", ["--shards", "auto"], None),
        ("without", ["--codecs", "default"], "has to be decoded"),
        ("without", ["--verify"], None),
        ("without", ["--chunks", "/data=100,7"], "has to be decoded"),
    ],
)
def test_a_filter_that_is_not_loaded(
    source: Path, target: Path, plugin: str, options: list[str], error: str | None
) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with file_with(source, NUMBERS, chunks=(300, 4), **hdf5plugin.Zstd()) as dataset:
        dataset.file.attrs["data_type"] = "Container"
    done = subprocess.run(
        [sys.executable, "-c", IN_FRESH_PROCESS, str(source), str(target), plugin, *options],
        env={**os.environ, "HDF5_PLUGIN_PATH": str(source.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if error is None else 1), done.stderr
    if error is None:
        np.testing.assert_array_equal(opened(target, "data")[...], NUMBERS)
        return
    assert f"source.h5:/data {error}, and its HDF5 filter" in done.stderr
    assert "(number 32015) is not installed" in done.stderr
    assert "pip install 'hdmf-zarr[hdf5-filters]'" in done.stderr
    assert not target.exists()


def test_a_chunk_beyond_the_end_of_the_file(source: Path, target: Path) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4)) as dataset:
        file_id = dataset.file.id
        assert file_id.valid
    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        builder = src_io.read_builder()
        assert "data" in builder.datasets
        # Cut short by somebody else once it is open.
        os.truncate(source, source.stat().st_size - 4000)
        with pytest.raises(MetadataError, match=r"data: the chunk at .* has \d+ bytes in place of"):
            io.export(src_io)
    assert not target.exists()


def test_a_file_that_changes_while_it_is_read(source: Path, target: Path) -> None:
    with h5py.File(source, "w") as file:
        for name in "abc":
            file.create_dataset(name, data=NUMBERS, chunks=(300, 4))

    def touch(_count: int) -> None:
        with source.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))

    with pytest.raises(
        MetadataError, match=r"source\.h5:/a: the file was changed while it was read"
    ):
        export(source, target, progress=touch)
    assert not target.exists()


def test_a_linked_file_that_changes_while_it_is_read(tmp_path: Path, target: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("data", data=NUMBERS, chunks=(300, 4))
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file.create_dataset("own", data=NUMBERS, chunks=(300, 4))
        file["linked"] = h5py.ExternalLink("other.h5", "/data")

    def touch(_count: int) -> None:
        os.utime(tmp_path / "other.h5", ns=(0, 0))

    with pytest.raises(MetadataError, match=r"other\.h5 \(by way of /\w+\): the file was changed"):
        export(tmp_path / "source.h5", target, progress=touch)
    assert not target.exists()


@pytest.mark.parametrize("change", ["grown", "rewritten", "replaced", "removed"])
def test_a_file_that_is_another_one_at_the_end(source: Path, target: Path, change: str) -> None:
    with file_with(source, NUMBERS, chunks=(300, 4), maxshape=(None, 7), compression="gzip"):
        pass

    def alter(_count: int) -> None:
        copy = source.with_suffix(".copy")
        shutil.copyfile(source, copy)
        if change in ("grown", "rewritten"):
            with h5py.File(copy, "r+", locking=False) as file:
                if change == "grown":
                    file["data"].resize((1300, 7))
                file["data"][-300:] = 5
            source.write_bytes(copy.read_bytes())
        elif change == "replaced":
            copy.replace(source)
        else:
            source.unlink()

    with pytest.raises(MetadataError, match=r"source\.h5:/data: .* changed"):
        export(source, target, progress=alter)
    assert not target.exists()


# -- names and links -------------------------------------------------------------------------------


def test_hard_links_are_links(source: Path, target: Path) -> None:
    with h5py.File(source, "w") as file:
        file.create_dataset("a/x", data=NUMBERS, chunks=(300, 4))
        file["a/z"] = file["a/x"]
        file["b/x"] = file["a/x"]
        file["b/y"] = file["a/x"]
        file.create_group("d")
        file["d/y"] = file["a/x"]
        file["e"] = file["b"]
    export(source, target)
    group = zarr.open_group(target, mode="r")
    links = {
        path: {link["name"]: link["path"] for link in group[path].attrs["_LINKS"]}
        for path in ("a", "b", "d")
    }
    assert links == {"a": {"z": "/a/x"}, "b": {"x": "/a/x", "y": "/a/x"}, "d": {"y": "/a/x"}}
    assert [link["name"] for link in group.attrs["_LINKS"]] == ["e"]
    assert sorted(key for key, _ in group.arrays()) == []
    assert sorted(group["a"].array_keys()) == ["x"]
    np.testing.assert_array_equal(group["a/x"][...], NUMBERS)


def test_two_links_to_objects_of_one_name(source: Path, target: Path) -> None:
    with h5py.File(source, "w") as file:
        file["a/data"] = 1 + NUMBERS
        file["b/data"] = 2 + NUMBERS
        file["links/first"] = h5py.SoftLink("/a/data")
        file["links/second"] = h5py.SoftLink("/b/data")
    export(source, target)
    links = zarr.open_group(target, mode="r")["links"].attrs["_LINKS"]
    assert {link["name"]: link["path"] for link in links} == {
        "first": "/a/data",
        "second": "/b/data",
    }


@pytest.fixture
def linking(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file.create_dataset("data", data=NUMBERS, chunks=(300, 4))
    with h5py.File(tmp_path / "source.nwb", "w") as file:
        file["linked"] = h5py.ExternalLink("other.nwb", "/data")
    return tmp_path / "source.nwb"


def test_external_links_are_followed(linking: Path, target: Path) -> None:
    planned = export(linking, target)
    assert planned.raw == ("/linked",)
    np.testing.assert_array_equal(opened(target, "linked")[...], NUMBERS)


def test_external_links_are_kept(linking: Path, target: Path) -> None:
    export(linking.with_name("other.nwb"), linking.with_name("other.nwb.zarr"))
    export(linking, target, external_links="keep")
    (link,) = zarr.open_group(target, mode="r").attrs["_LINKS"]
    assert (link["source"], link["path"]) == ("../other.nwb.zarr", "/data")
    with ZarrIO(target, "r", get_manager()) as io:
        np.testing.assert_array_equal(io.read_builder().links["linked"].builder.data[...], NUMBERS)


def test_a_kept_link_to_what_is_not_converted_yet_warns(linking: Path, target: Path) -> None:
    with pytest.warns(UserWarning, match=r"links to .*other\.nwb\.zarr, which does not exist yet"):
        export(linking, target, external_links="keep")


# -- another file at the path of the one that is open ----------------------------------------------


def replaced_and_exported(source: Path, target: Path, jobs: int, **creation: Any) -> np.ndarray:
    """Export a file in whose place another one is moved after it was opened; return its values."""
    generator = np.random.default_rng(0)
    values = generator.integers(0, 1000, (4000, 8), dtype=np.int16)
    values[:1000] = values[-1000:] = 0  # both files begin and end with the same elements
    other = source.with_name("other.h5")
    for path, content in ((source, values), (other, values[::-1])):
        with h5py.File(path, "w") as file:
            file.attrs.update(namespace="hdmf-common", data_type="DynamicTable")
            file.attrs.update(object_id="a", description="b", colnames=["x"])
            file.create_dataset("id", data=np.arange(4000)).attrs.update(
                namespace="hdmf-common", data_type="ElementIdentifiers", object_id="c"
            )
            file.create_dataset("x", data=content, **creation).attrs.update(
                namespace="hdmf-common", data_type="VectorData", object_id="d", description="e"
            )
    with (
        HDF5IO(str(source), "r", manager=get_manager()) as src_io,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        src_io.read()
        other.replace(source)
        io.export(src_io, cache_spec=False, number_of_jobs=jobs)
    return values


@pytest.mark.parametrize(
    ("creation", "jobs"),
    [
        ({}, 1),
        ({"chunks": (1000, 8), "compression": "gzip"}, 1),
        ({"chunks": (1000, 8), "compression": "gzip"}, 2),
        ({"chunks": (1000, 8)}, 1),
    ],
)
def test_what_is_read_is_the_file_that_is_open(
    source: Path, target: Path, creation: dict[str, Any], jobs: int
) -> None:
    values = replaced_and_exported(source, target, jobs, **creation)

    np.testing.assert_array_equal(opened(target, "x")[:], values)


def test_workers_refuse_another_file_than_the_one_that_is_open(source: Path) -> None:
    other = source.with_name("other.h5")
    for path in (source, other):
        with h5py.File(path, "w") as file:
            file["x"] = np.arange(8) + (path == other)
    with h5py.File(source, "r") as file:
        sent = pickle.dumps(HDF5Source(file["x"], str).reopened())
        np.testing.assert_array_equal(pickle.loads(sent).read((slice(2, 4),)), [2, 3])
        other.replace(source)

        with pytest.raises(MetadataError, match=r"source\.h5:/x: another file has taken the place"):
            pickle.loads(sent).read((slice(2, 4),))


PEAK = """
import sys
from hdmf.backends.hdf5 import HDF5IO
from hdmf.common import get_manager
from hdmf_zarr import ZarrIO

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

source, target, zarr_format, codecs = sys.argv[1:]
before = peak()
with HDF5IO(source, "r", manager=get_manager()) as src_io:
    with ZarrIO(target, "w", get_manager(), zarr_format=int(zarr_format)) as io:
        io.export(src_io, codecs=codecs, cache_spec=False)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("compression", "codecs", "zarr_format"),
    [("gzip", "keep", "2"), ("gzip", "default", "3"), (None, "keep", "3"), (None, "default", "2")],
)
def test_an_export_takes_a_part_of_the_memory_of_its_dataset(
    source: Path, target: Path, compression: str | None, codecs: str, zarr_format: str
) -> None:
    options: dict[str, Any] = {"chunks": (8000, 128), "compression_opts": 1} if compression else {}
    rows = np.random.default_rng(0).integers(0, 9, (50_000, 128), dtype="i2")
    with h5py.File(source, "w") as file:
        made = file.create_dataset(
            "data", shape=(1_600_000, 128), dtype="i2", compression=compression, **options
        )
        made[:50_000] = made[-50_000:] = rows
    megabytes = 1_600_000 * 128 * 2 / 2**20
    script = [sys.executable, "-c", PEAK, str(source), str(target), zarr_format, codecs]
    done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout) < megabytes / 2
    found = opened(target, "data")
    assert found.shape == (1_600_000, 128)
    np.testing.assert_array_equal(found[-50_000:], rows)
