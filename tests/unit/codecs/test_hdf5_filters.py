"""HDF5 filters -> codecs: one row a filter, and chunks that HDF5 wrote decoded by the chain."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from hdmf_zarr.codecs import CodecRequest, complete_chain, filters_of_dataset
from hdmf_zarr.codecs.hdf5_filters import FilterDescription
from hdmf_zarr.dtypes import element_type_from_numpy
from hdmf_zarr.hdf5 import filter_pipeline
from hdmf_zarr.stores import compat

try:
    import hdf5plugin
except ImportError:
    hdf5plugin = None

needs_plugin = pytest.mark.skipif(hdf5plugin is None, reason="hdf5plugin is not installed")

DATA = (np.arange(600, dtype="<i4") // 50).reshape(30, 20)
CHUNKS = (16, 8)


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(f"in memory {uuid.uuid4()}", "w", driver="core", backing_store=False) as opened:
        yield opened


def plugin_rows() -> list[Any]:
    if hdf5plugin is None:
        return []
    rows = [
        (
            dict(hdf5plugin.Blosc(cname=cname, clevel=level, shuffle=shuffle)),
            [numcodecs.Blosc(cname, level, shuffle)],
        )
        for cname, level, shuffle in [
            ("blosclz", 5, 1),
            ("lz4", 1, 0),
            ("lz4hc", 9, 2),
            ("zlib", 4, 1),
            ("zstd", 3, 2),
        ]
    ]
    rows += [
        (dict(hdf5plugin.Zstd(clevel=7)), [numcodecs.Zstd(7)]),
        (dict(hdf5plugin.Zstd()), [numcodecs.Zstd(3)]),
        (dict(hdf5plugin.BZip2(blocksize=4)), [numcodecs.BZ2(4)]),
        ({"shuffle": True, **hdf5plugin.Zstd(clevel=2)}, [numcodecs.Shuffle(4), numcodecs.Zstd(2)]),
    ]
    return rows


ROWS = [
    ({}, []),
    ({"compression": "gzip", "compression_opts": 6}, [numcodecs.Zlib(6)]),
    ({"compression": "gzip", "compression_opts": 0}, [numcodecs.Zlib(0)]),
    ({"compression": 9}, [numcodecs.Zlib(9)]),
    ({"shuffle": True}, [numcodecs.Shuffle(4)]),
    ({"fletcher32": True}, [numcodecs.Fletcher32()]),
    ({"shuffle": True, "compression": "gzip"}, [numcodecs.Shuffle(4), numcodecs.Zlib(4)]),
    (
        {"shuffle": True, "compression": "gzip", "fletcher32": True},
        [numcodecs.Shuffle(4), numcodecs.Zlib(4), numcodecs.Fletcher32()],
    ),
    *plugin_rows(),
]


@pytest.mark.parametrize(("options", "codecs"), ROWS, ids=str)
def test_a_filter_becomes_its_codec(file: h5py.File, options: Any, codecs: list[Any]) -> None:
    dataset = file.create_dataset("data", data=DATA, chunks=CHUNKS, **options)
    assert filters_of_dataset(filter_pipeline(dataset), "file:/data") == codecs


@pytest.mark.parametrize(("options", "codecs"), ROWS, ids=str)
def test_a_chunk_of_hdf5_is_decoded_by_the_chain(
    file: h5py.File, options: Any, codecs: list[Any]
) -> None:
    dataset = file.create_dataset("data", data=DATA, chunks=CHUNKS, **options)
    found = filters_of_dataset(filter_pipeline(dataset), "file:/data")
    request = CodecRequest(filters=found, compressors=False)
    chain = complete_chain(
        request, element_type_from_numpy(DATA.dtype), DATA.dtype, is_scalar=False
    )
    store = MemoryStore()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr")
        array = zarr.create_array(
            store,
            shape=DATA.shape,
            dtype=DATA.dtype,
            chunks=CHUNKS,
            filters=chain.filters,
            serializer=chain.serializer,
            compressors=chain.compressors,
        )
    for row in range(2):
        for column in range(3):
            mask, raw = dataset.id.read_direct_chunk((row * CHUNKS[0], column * CHUNKS[1]))
            assert mask == 0
            compat.run(store.set(f"c/{row}/{column}", compat.to_buffer(raw)))
    np.testing.assert_array_equal(array[...], DATA)
    assert len(found) == len(codecs)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"compression": "lzf"}, "lzf"), ({"scaleoffset": 4}, "scaleoffset")],
)
def test_a_filter_without_a_codec_is_left_out_with_one_warning(
    file: h5py.File, options: Any, name: str
) -> None:
    dataset = file.create_dataset("data", data=DATA, chunks=CHUNKS, **options)
    pipeline = filter_pipeline(dataset)
    with pytest.warns(UserWarning, match=rf"file:/data: the HDF5 filter .*{name}") as caught:
        codecs = filters_of_dataset(pipeline, "file:/data")
    assert codecs == []
    assert len(caught) == 1


def test_the_other_filters_stay_beside_one_without_a_codec(file: h5py.File) -> None:
    dataset = file.create_dataset("data", data=DATA, chunks=CHUNKS, compression="lzf", shuffle=True)
    with pytest.warns(UserWarning, match="lzf"):
        codecs = filters_of_dataset(filter_pipeline(dataset), "file:/data")
    assert codecs == [numcodecs.Shuffle(4)]


def test_a_filter_without_a_name_is_called_by_its_number() -> None:
    description = FilterDescription(number=4711, values=(), name="", itemsize=4)
    with pytest.warns(UserWarning, match="filter 4711 has no Zarr codec"):
        assert filters_of_dataset([description], "file:/data") == []


@pytest.mark.parametrize(
    ("number", "values", "codecs"),
    [
        (2, (), [numcodecs.Shuffle(8)]),
        (307, (), [numcodecs.BZ2(9)]),
        (32001, (), [numcodecs.Blosc("blosclz", 5, 1)]),
        (32001, (2, 2, 8, 800), [numcodecs.Blosc("blosclz", 5, 1)]),
        (32001, (2, 2, 8, 800, 9), [numcodecs.Blosc("blosclz", 9, 1)]),
        (32001, (2, 2, 8, 800, 9, 2), [numcodecs.Blosc("blosclz", 9, 2)]),
        (32001, (2, 2, 8, 800, 9, 2, 5), [numcodecs.Blosc("zstd", 9, 2)]),
        (32015, (), [numcodecs.Zstd(3)]),
    ],
)
def test_values_that_a_file_leaves_out_have_the_default_of_the_filter(
    number: int, values: tuple[int, ...], codecs: list[Any]
) -> None:
    description = FilterDescription(number=number, values=values, name="f", itemsize=8)
    assert filters_of_dataset([description], "file:/data") == codecs


@needs_plugin
@pytest.mark.parametrize("name", ["LZ4", "Bitshuffle", "FciDecomp"])
def test_a_filter_of_a_plugin_without_a_codec_is_left_out(file: h5py.File, name: str) -> None:
    data = DATA.astype("u1") if name == "FciDecomp" else DATA
    options = dict(getattr(hdf5plugin, name)())
    dataset = file.create_dataset("data", data=data, chunks=CHUNKS, **options)
    with pytest.warns(UserWarning, match="has no Zarr codec"):
        assert filters_of_dataset(filter_pipeline(dataset), "file:/data") == []
