"""HDF5 filters -> codecs: one row a filter, and chunks that HDF5 wrote decoded by the chain."""

from __future__ import annotations

import sys
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

from hdmf_zarr.codecs import (
    CodecRequest,
    chain_of_pipeline,
    complete_chain,
    filters_of_dataset,
)
from hdmf_zarr.codecs.hdf5.codecs import (
    NumcodecsBitshuffle,
    NumcodecsBlosc2,
    NumcodecsLZ4,
    NumcodecsLZF,
    NumcodecsSzip,
    NumcodecsZFP,
)
from hdmf_zarr.codecs.hdf5.filters import FilterDescription
from hdmf_zarr.core.dtypes import element_type_from_numpy
from hdmf_zarr.errors import MissingExtraError
from hdmf_zarr.hdf5 import filter_pipeline
from hdmf_zarr.stores import event_loop

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
            event_loop.run(store.set(f"c/{row}/{column}", event_loop.to_buffer(raw)))
    np.testing.assert_array_equal(array[...], DATA)
    assert len(found) == len(codecs)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"scaleoffset": 4}, "scaleoffset")],
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


def test_the_other_filters_stay_beside_one_without_a_codec() -> None:
    pipeline = [
        FilterDescription(number=2, values=(4,), name="shuffle", itemsize=4),
        FilterDescription(number=5, values=(8,), name="nbit", itemsize=4),
        FilterDescription(number=1, values=(4,), name="deflate", itemsize=4),
    ]
    with pytest.warns(UserWarning, match="'nbit' has no Zarr codec"):
        codecs = filters_of_dataset(pipeline, "file:/data")
    assert codecs == [numcodecs.Shuffle(4), numcodecs.Zlib(4)]


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
@pytest.mark.parametrize("name", ["FciDecomp", "SZ3", "Sperr"])
def test_a_filter_of_a_plugin_without_a_codec_is_left_out(file: h5py.File, name: str) -> None:
    data = DATA.astype({"FciDecomp": "u1", "SZ3": "f4", "Sperr": "f4"}.get(name, "i4"))
    options = dict(getattr(hdf5plugin, name)())
    dataset = file.create_dataset("data", data=data, chunks=CHUNKS, **options)
    pipeline = filter_pipeline(dataset)
    with pytest.warns(UserWarning, match="has no Zarr codec"):
        assert filters_of_dataset(pipeline, "file:/data") == []
    assert chain_of_pipeline(pipeline).codecs == ()
    assert "has no Zarr codec" in str(chain_of_pipeline(pipeline).missing)


@needs_plugin
def test_a_filter_that_loses_precision_is_not_applied_once_more(file: h5py.File) -> None:
    options = dict(hdf5plugin.Zfp(rate=8.0))
    dataset = file.create_dataset("data", data=DATA.astype("f4"), chunks=CHUNKS, **options)
    pipeline = filter_pipeline(dataset)
    chain = chain_of_pipeline(pipeline)
    assert (chain.missing, chain.is_lossy) == (None, True)
    assert [codec.codec_id for codec in chain.codecs] == ["hdmf_zarr.zfp"]
    with pytest.warns(UserWarning, match="may lose precision once more; the data are written with"):
        assert filters_of_dataset(pipeline, "file:/data") == []


def described(number: int, *values: int, name: str = "f") -> FilterDescription:
    return FilterDescription(number=number, values=values, name=name, itemsize=8)


@pytest.mark.parametrize(
    ("pipeline", "codecs"),
    [
        ([(1, 4294967295)], [numcodecs.Zlib(0)]),
        ([(1, 200)], [numcodecs.Zlib(9)]),
        ([(307, 0)], [numcodecs.BZ2(1)]),
        ([(32000, 4, 261, 4000)], [NumcodecsLZF()]),
        ([(32004,)], [NumcodecsLZ4()]),
        ([(32004, 4096)], [NumcodecsLZ4(blocksize=4096)]),
        ([(32008,)], [NumcodecsBitshuffle(elementsize=8)]),
        ([(32008, 0, 4, 2, 64, 2)], [NumcodecsBitshuffle(2, 64, "lz4", 0)]),
        ([(32008, 0, 4, 2, 0, 3, 9)], [NumcodecsBitshuffle(2, 0, "zstd", 9)]),
        ([(32008, 0, 4, 2, 0, 3, 2**32 - 5)], [NumcodecsBitshuffle(2, 0, "zstd", -5)]),
        ([(32015, 2**32 - 3)], [numcodecs.Zstd(-3)]),
        ([(4, 169, 8, 32, 1000)], [NumcodecsSzip(169, 8, 32, 1000)]),
        ([(32026, 1, 0, 4, 4000)], [NumcodecsBlosc2((1000,), 4, "blosclz", 5, "byte")]),
        (
            [(32026, 1, 0, 4, 4000, 9, 2, 5, 2, 10, 100)],
            [NumcodecsBlosc2((10, 100), 4, "zstd", 9, "bit")],
        ),
        (
            [(32013, 0x10105111, 0x570667A, 0xF0000177, 0x7F00001)],
            [NumcodecsZFP("7a667005770100f00100f007")],
        ),
        (
            [(32013, 1, 0x570667A, 0xF0000177, 0xFFF00001, 0xE0888000, 0x787AF)],
            [NumcodecsZFP("7a667005770100f00100f0ff008088e0af8707")],
        ),
        (
            [(2, 300), (1, 4), (3,)],
            [numcodecs.Shuffle(300), numcodecs.Zlib(4), numcodecs.Fletcher32()],
        ),
    ],
    ids=str,
)
def test_values_become_the_configuration(
    pipeline: list[tuple[int, ...]], codecs: list[Any]
) -> None:
    chain = chain_of_pipeline([described(*entry) for entry in pipeline])
    assert list(chain.codecs) == codecs
    assert chain.missing is None


@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ([(1,)], "'f' has values () that make no sense"),
        ([(2, 0)], "'f' has values (0,) that make no sense"),
        ([(4, 169, 8)], "'f' has values (169, 8) that make no sense"),
        ([(4, 169, 8, 32, 0)], "'pixels_per_scanline' of the codec szip must be"),
        ([(5, 8)], "'f' has no Zarr codec"),
        ([(6, 8)], "'f' has no Zarr codec"),
        ([(32001, 2, 2, 8, 800, 9, 2, 3)], "no Zarr codec for its compressor 'snappy'"),
        ([(32001, 2, 2, 8, 800, 9, 2, 77)], "that make no sense"),
        ([(32001, 2, 2, 8, 800, 9, 7)], "7 is no shuffle of Blosc"),
        ([(32004, 2**32 - 1)], "'blocksize' of the codec lz4 must be"),
        ([(32013,)], "'header' of the codec zfp must be hexadecimal digits"),
        ([(32013, 1, 0x570667B, 0xF0000177, 0x7F00001)], "is no header of ZFP"),
        ([(32013, 1, 0x570667A, 0xF0000176, 0x7F00001)], "its elements are float32"),
        ([(32013, 1, 0x570667A, 0xF0000177, 0xFFF00001)], "is no header of ZFP"),
        ([(32026, 1, 0, 4)], "that make no sense"),
        ([(32026, 1, 0, 0, 4000)], "'typesize' of the codec blosc2 must be"),
        ([(32026, 1, 0, 4, 4000, 5, 4, 0)], "no Zarr codec for its compressor 0 with filter 4"),
        ([(32026, 1, 0, 4, 4000, 5, 1, 33)], "no Zarr codec for its compressor 33 with filter 1"),
        ([(1, 4), (32026, 1, 0, 4, 4000)], "no Zarr codec for its place after"),
        ([(32008, 0, 4, 0)], "'elementsize' of the codec bitshuffle must be"),
        ([(32008, 0, 4, 4, 7)], "'blocksize' must be a multiple of 8"),
        ([(32008, 0, 4, 4, 0, 1)], "no Zarr codec for its compressor 1"),
        ([(1, 4), (2, 8)], "'f' has no Zarr codec for its place after 'f'"),
        ([(3,), (2, 8)], "'f' has no Zarr codec for its place after 'f'"),
        ([(2, 8), (3,), (32008,)], "'f' has no Zarr codec for its place after 'f'"),
        ([(1, 4), (5, 8), (3,)], "'f' has no Zarr codec"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_has_a_reason(pipeline: list[tuple[int, ...]], reason: str) -> None:
    chain = chain_of_pipeline([described(*entry) for entry in pipeline])
    assert chain.codecs == ()
    assert reason in str(chain.missing)
    assert chain.plugin is None


def test_shuffles_may_stand_before_a_shuffle() -> None:
    chain = chain_of_pipeline([described(2, 8), described(2, 4), described(32008, 0, 4, 8)])
    assert chain.missing is None
    assert len(chain.codecs) == 3


@pytest.mark.parametrize(
    ("pipeline", "plugin"),
    [
        ([(1, 4)], None),
        ([(32004,)], "hdmf-zarr"),
        ([(32000,)], "hdmf-zarr[hdf5-filters]"),
        ([(32004,), (32000,), (3,)], "hdmf-zarr[hdf5-filters]"),
    ],
)
def test_a_reader_is_told_what_to_install(
    pipeline: list[tuple[int, ...]], plugin: str | None
) -> None:
    assert chain_of_pipeline([described(*entry) for entry in pipeline]).plugin == plugin


def test_without_the_library_a_filter_is_kept_raw_and_left_out_of_what_is_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    pipeline = [described(2, 4), described(32000, name="lzf")]
    assert chain_of_pipeline(pipeline).missing is None
    with pytest.warns(UserWarning, match=r"'lzf' needs a package \(pip install .*hdf5-filters"):
        assert filters_of_dataset(pipeline, "file:/data") == [numcodecs.Shuffle(4)]
    with pytest.raises(MissingExtraError, match=r"lzf need .*imagecodecs.*hdf5-filters"):
        NumcodecsLZF().decode(b"\0a")
