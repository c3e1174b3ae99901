"""Whatever a chunked HDF5 dataset holds, its copy as raw chunks holds the same."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.common import get_manager
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hdmf_zarr import ZarrIO
from hdmf_zarr.conversion import convert

try:
    import hdf5plugin
except ImportError:
    hdf5plugin = None

DTYPES = ["bool", "i1", "<u2", ">i2", "<i4", ">u8", "<f2", "<f4", ">f8"]


@st.composite
def datasets(draw: Any, dtypes: Sequence[str] = DTYPES) -> dict[str, Any]:
    """Shape, chunks, filters and what of a dataset is written: half of the time all, which is never empty."""
    rank = draw(st.integers(1, 5))
    largest = {1: 60, 2: 20, 3: 9, 4: 6, 5: 4}[rank]
    shape = tuple(draw(st.integers(1, largest)) for _ in range(rank))
    chunks = tuple(draw(st.integers(1, size + 2)) for size in shape)
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    written: Any = ...
    if draw(st.booleans()):
        written = tuple(
            slice(*sorted((draw(st.integers(0, size)), draw(st.integers(0, size)))))
            for size in shape
        )
    return {
        "shape": shape,
        "chunks": chunks,
        "dtype": dtype,
        "written": written,
        "seed": draw(st.integers(0, 99)),
        "fill": draw(st.sampled_from([None, 0, 1])),
        "mask": draw(st.sampled_from([None, 0, 1])),
        "shards": draw(st.sampled_from([None, "auto", 1, 2, 3])),
        "zarr_format": draw(st.sampled_from([2, 3])),
        "filters": {
            "compression": draw(st.sampled_from([None, "gzip"])),
            "shuffle": draw(st.booleans()),
            "fletcher32": draw(st.booleans()),
        },
    }


def write(path: Path, case: dict[str, Any]) -> None:
    shape, chunks, dtype = case["shape"], case["chunks"], case["dtype"]
    generator = np.random.default_rng(case["seed"])
    values = generator.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "data",
            shape,
            dtype,
            chunks=chunks,
            maxshape=(None,) * len(shape),
            fillvalue=case["fill"],
            **case["filters"],
        )
        dataset[case["written"]] = values[case["written"]]
        if case["mask"] is not None:
            # One chunk without its filters (all of them, or all but shuffle).
            chunk = generator.integers(0, 2, chunks).astype(dtype)
            count = dataset.id.get_create_plist().get_nfilters()
            encoded, mask = chunk.tobytes(), 2**count - 1
            if case["mask"] and case["filters"]["shuffle"]:
                encoded, mask = bytes(numcodecs.Shuffle(dtype.itemsize).encode(encoded)), mask - 1
            dataset.id.write_direct_chunk((0,) * len(shape), encoded, mask)


def compressors() -> dict[str, dict[str, Any]]:
    """Filters that compress, as options of h5py."""
    found: dict[str, dict[str, Any]] = {
        "none": {},
        "gzip": {"compression": "gzip"},
        "lzf": {"compression": "lzf"},
        "szip": {"compression": "szip"},
    }
    if hdf5plugin is None:
        return found
    found |= {
        "bzip2": hdf5plugin.BZip2(),
        "zstd": hdf5plugin.Zstd(),
        "blosc": hdf5plugin.Blosc(cname="lz4"),
        "blosc2": hdf5plugin.Blosc2(cname="lz4"),
        "lz4": hdf5plugin.LZ4(),
        "bitshuffle": hdf5plugin.Bitshuffle(cname="none"),
        "bitshuffle lz4": hdf5plugin.Bitshuffle(cname="lz4"),
        "bitshuffle zstd": hdf5plugin.Bitshuffle(cname="zstd"),
    }
    found["zfp"] = hdf5plugin.Zfp(reversible=True)
    return found


COMPRESSORS = compressors()


@st.composite
def filtered(draw: Any, name: str) -> dict[str, Any]:
    """A dataset with a filter that compresses and any others, which may be none that can be kept."""
    case: dict[str, Any] = draw(datasets(["<i4", "<f4", "<f8"] if name == "zfp" else DTYPES))
    dtype = case["dtype"]
    first = draw(st.sampled_from(["nothing", "shuffle", "fletcher32", "both", "scale-offset"]))
    case["filters"] = {**COMPRESSORS[name]}
    if first == "scale-offset" and dtype.kind in "iu":
        case["filters"] |= {"scaleoffset": 0}
    elif first in ("shuffle", "both") and name not in ("zfp", "blosc2", "bitshuffle"):
        case["filters"] |= {"shuffle": True}
    if first in ("fletcher32", "both"):
        case["filters"] |= {"fletcher32": True}
    case["name"], case["mask"] = name, draw(st.sampled_from([None, 0]))
    return case


@pytest.mark.parametrize("name", COMPRESSORS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_whatever_the_filters_are(name: str, data: Any) -> None:
    """Chunks that move, those that were left unfiltered, and data that have to be decoded."""
    case = data.draw(filtered(name))
    try:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder, "source.h5"), case)
    except (OSError, ValueError):
        reject()  # a filter does not take this shape or type
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.h5"), Path(folder, "target.zarr")
        write(source, case)
        planned: list[Any] = []
        with (
            HDF5IO(str(source), "r", manager=get_manager()) as src_io,
            ZarrIO(target, "w", get_manager(), zarr_format=case["zarr_format"]) as io,
        ):
            shards = "auto" if case["shards"] and case["zarr_format"] == 3 else None
            io.export(src_io, cache_spec=False, shards=shards, verify=True, on_plan=planned.append)
        # ZFP leaves out what is of more than four dimensions.
        is_kept = "scaleoffset" not in case["filters"] and case["name"] != "zfp"
        if is_kept and case["mask"] is None:
            assert planned[0].raw == ("/data",)
        with h5py.File(source) as file, ZarrIO(target, "r", get_manager()) as io:
            expected, found = file["data"][...], io.read_builder()["data"].data[...]
            assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, expected)


@given(datasets())
@settings(max_examples=50, deadline=None)
def test_raw_chunks_hold_what_the_dataset_holds(case: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.h5"), Path(folder, "target.zarr")
        write(source, case)
        shards = case["shards"] if case["zarr_format"] == 3 else None
        if isinstance(shards, int):
            shards = {"/data": tuple(size * shards for size in case["chunks"])}
        planned: list[Any] = []
        with (
            HDF5IO(str(source), "r", manager=get_manager()) as src_io,
            ZarrIO(target, "w", get_manager(), zarr_format=case["zarr_format"]) as io,
        ):
            io.export(src_io, cache_spec=False, shards=shards, on_plan=planned.append)
        assert planned[0].raw == ("/data",)
        with warnings.catch_warnings(), h5py.File(source) as file:
            warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr")
            array = zarr.open_array(target, path="data", mode="r")
            expected = file["data"][...]
            assert array.shape == expected.shape
            assert array.chunks == case["chunks"]
            assert array.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
            np.testing.assert_array_equal(array[...], expected)
            # Chunks that HDF5 has not are read as the fill value, here as there.
            np.testing.assert_array_equal(array.fill_value, file["data"].fillvalue)


@given(case=datasets())
@settings(max_examples=60, deadline=None)
def test_what_comes_back_is_what_was_there(case: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, store, back = (Path(folder, name) for name in ("a.h5", "a.zarr", "b.h5"))
        write(source, case)
        with h5py.File(source, "a") as file:
            file.attrs.update(data_type="Container", namespace="hdmf-common")
        shards = case["shards"] if case["shards"] == "auto" and case["zarr_format"] == 3 else None
        convert(source, store, zarr_format=case["zarr_format"], shards=shards)
        convert(store, back)
        with h5py.File(source) as before, h5py.File(back) as after:
            old, new = before["data"], after["data"]
            assert new.dtype == old.dtype
            np.testing.assert_array_equal(new[...], old[...])
            assert new.fillvalue == old.fillvalue
            if shards is None and new.chunks == old.chunks and case["mask"] is None:
                assert encoded_chunks(new) == encoded_chunks(old)


def encoded_chunks(dataset: h5py.Dataset) -> dict[tuple[int, ...], bytes]:
    """Encoded bytes of the chunks that a dataset has, by their place."""
    places = [
        dataset.id.get_chunk_info(number).chunk_offset
        for number in range(dataset.id.get_num_chunks())
    ]
    return {place: bytes(dataset.id.read_direct_chunk(place)[1]) for place in places}
