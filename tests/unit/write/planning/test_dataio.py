"""`ZarrDataIO`: what it takes, tells and refuses."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import H5DataIO
from hdmf.data_utils import DataChunkIterator
from zarr.codecs import BytesCodec, GzipCodec, ZstdCodec
from zarr.storage import MemoryStore

from hdmf_zarr.errors import HDMFZarrError, LayoutError, OptionError
from hdmf_zarr.utils import ZarrDataIO
from hdmf_zarr.write.planning.dataio import unwrap
from hdmf_zarr.write.planning.layout import LayoutRequest

DATA = np.arange(12, dtype="<i4").reshape(4, 3)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"chunks": (2, 3)},
    {"chunks": (2, 3), "shards": (4, 3)},
    {"shards": "auto"},
    {"fillvalue": 7},
    {"fillvalue": 0},
    {"compressor": True},
    {"compressor": False},
    {"compressor": numcodecs.Blosc()},
    {"compressor": GzipCodec(level=1)},
    {"compressor": [GzipCodec(level=1), ZstdCodec()]},
    {"filters": [numcodecs.Delta("<i4")]},
    {"filters": [numcodecs.Delta("<i4")], "compressor": False},
    {"compressors": [GzipCodec(level=1)]},
    {"serializer": BytesCodec(endian="big")},
]


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(f"in memory {uuid.uuid4()}", "w", driver="core", backing_store=False) as opened:
        yield opened


def zarr_array() -> Any:
    return zarr.create_array(MemoryStore(), data=DATA, chunks=(2, 3))


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_its_parameters_make_an_equal_one(settings: dict[str, Any]) -> None:
    first = ZarrDataIO(DATA, **settings)
    second = ZarrDataIO(DATA, **first.get_io_params())
    assert second.layout_request == first.layout_request
    assert second.get_io_params() == first.get_io_params()
    assert second.link_data == first.link_data


def test_its_parameters_keep_a_link() -> None:
    first = ZarrDataIO(zarr_array(), link_data=True)
    assert ZarrDataIO(zarr_array(), **first.get_io_params()).link_data


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_has_its_settings(how: Any, settings: dict[str, Any]) -> None:
    first = ZarrDataIO(DATA.copy(), **settings)
    second = how(first)
    assert isinstance(second, ZarrDataIO)
    assert second.layout_request == first.layout_request
    np.testing.assert_array_equal(second.data, DATA)
    assert (second.data is first.data) == (how is copy.copy)


def test_what_is_told_is_a_dictionary_of_its_own() -> None:
    wrapped = ZarrDataIO(DATA, chunks=(2, 3))
    wrapped.io_settings["chunks"] = (1, 1)
    wrapped.get_io_params()["chunks"] = (1, 1)
    assert wrapped.io_settings == {"chunks": (2, 3)}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (None, None),
        (True, None),
        (5, (5,)),
        (np.int64(5), (5,)),
        ([2, 3], (2, 3)),
        ((2, 3), (2, 3)),
    ],
)
def test_chunks_in_every_spelling(chunks: Any, expected: Any) -> None:
    assert ZarrDataIO(DATA, chunks=chunks).layout_request.chunks == expected


def test_one_filter_is_a_list_of_one() -> None:
    delta = numcodecs.Delta("<i4")
    assert ZarrDataIO(DATA, filters=delta).layout_request.codecs.filters == [delta]


def test_positional_arguments_are_those_of_the_signature() -> None:
    wrapped = ZarrDataIO(DATA, (2, 3), 7, False, None, (4, 3), False)
    assert wrapped.io_settings == {
        "chunks": (2, 3),
        "fill_value": 7,
        "compressor": False,
        "shards": (4, 3),
    }


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"chunks": False}, OptionError, "every Zarr array has chunks"),
        ({"chunks": "auto"}, LayoutError, "chunks must be"),
        ({"chunks": 1.5}, LayoutError, "chunks must be"),
        ({"shards": False}, OptionError, "shards=False"),
        ({"shards": True}, OptionError, "shards=True"),
        ({"checksum": "no"}, OptionError, "checksum must be True or False"),
        ({"link_data": "no"}, OptionError, "link_data must be True or False"),
        ({"shards": "automatic"}, LayoutError, "shards must be"),
        ({"chunks": (2, 3), "shards": (3, 3)}, LayoutError, "multiple of the chunks"),
        ({"chunks": (2, 3), "shards": (4,)}, LayoutError, "same rank"),
        ({"chunks": (0, 3), "shards": (4, 3)}, LayoutError, "positive"),
        ({"compressor": "gzip"}, OptionError, "expected a codec"),
        ({"compressor": 5}, OptionError, "expected a codec"),
        ({"compressor": [GzipCodec(), "gzip"]}, OptionError, "expected a codec"),
        ({"compressor": {"name": "no such codec"}}, LayoutError, "no codec"),
        ({"filters": [5]}, OptionError, "expected a codec"),
        ({"filters": "shuffle"}, OptionError, "expected a codec"),
        ({"serializer": "bytes"}, OptionError, "expected a codec"),
        ({"compressor": True, "compressors": True}, OptionError, "two names of one option"),
        ({"link_data": True}, OptionError, "link_data=True needs a zarr array"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_at_once(
    arguments: dict[str, Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        ZarrDataIO(DATA, **arguments)


@pytest.mark.parametrize("data", ["text", b"bytes"])
def test_what_is_no_array_is_refused(data: Any) -> None:
    with pytest.raises(HDMFZarrError, match="wraps arrays"):
        ZarrDataIO(data)


def test_an_argument_that_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError, match="chunk"):
        ZarrDataIO(DATA, chunk=(2, 3))  # type: ignore[call-arg]


# -- data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [DATA, [1, 2], [[1], [2]], (1, 2)], ids=lambda d: type(d).__name__)
def test_it_behaves_as_its_data(data: Any) -> None:
    wrapped = ZarrDataIO(data)
    assert wrapped.data is data
    assert len(wrapped) == len(data)
    np.testing.assert_array_equal(wrapped[0], data[0])


def test_rows_are_appended_to_its_data() -> None:
    wrapped = ZarrDataIO([1, 2])
    wrapped.append(3)
    wrapped.extend([4, 5])
    assert wrapped.data == [1, 2, 3, 4, 5]


def test_an_iterator_is_kept_as_it_is() -> None:
    iterator = DataChunkIterator(data=iter([1, 2]), dtype=np.dtype("i4"))
    assert ZarrDataIO(iterator).data is iterator


def test_data_may_come_later() -> None:
    wrapped = ZarrDataIO(chunks=(2, 3), dtype=np.dtype("i4"), shape=(4, 3))
    assert wrapped.dtype == np.dtype("i4")
    assert wrapped.shape == (4, 3)
    assert unwrap(wrapped)[0] is None


# -- unwrapping ------------------------------------------------------------------------------------


def test_what_is_wrapped_is_found_below_every_wrapper() -> None:
    data, request, link_data = unwrap(ZarrDataIO(DATA, chunks=(2, 3)))
    assert data is DATA
    assert request.chunks == (2, 3)
    assert not link_data
    assert unwrap(DATA) == (DATA, LayoutRequest(), None)


@pytest.mark.parametrize(
    ("options", "compressor"),
    [
        ({}, None),
        ({"compression": "gzip"}, GzipCodec(level=4)),
        ({"compression": "gzip", "compression_opts": 7}, GzipCodec(level=7)),
        ({"compression": True}, GzipCodec(level=4)),
        ({"compression": "gzip", "compression_opts": 0}, GzipCodec(level=0)),
    ],
)
def test_a_wrapper_for_hdf5_is_understood(options: dict[str, Any], compressor: Any) -> None:
    data, request, _ = unwrap(H5DataIO(DATA, chunks=(2, 3), fillvalue=7, **options))
    assert data is DATA
    assert request.chunks == (2, 3)
    assert request.fill_value == 7
    assert request.codecs.compressors == compressor


# -- from HDF5 -------------------------------------------------------------------------------------


def test_the_layout_of_an_hdf5_dataset_is_taken_over(file: h5py.File) -> None:
    dataset = file.create_dataset(
        "data", data=DATA, chunks=(2, 3), fillvalue=7, compression="gzip", shuffle=True
    )
    wrapped = ZarrDataIO.from_h5py_dataset(dataset)
    assert wrapped.data is dataset
    assert wrapped.io_settings == {
        "chunks": (2, 3),
        "fill_value": 7,
        "compressor": False,
        "filters": [numcodecs.Shuffle(4), numcodecs.Zlib(4)],
    }


def test_a_contiguous_dataset_gets_the_defaults(file: h5py.File) -> None:
    assert ZarrDataIO.from_h5py_dataset(file.create_dataset("data", data=DATA)).io_settings == {}


def test_an_argument_counts_before_the_layout_in_hdf5(file: h5py.File) -> None:
    dataset = file.create_dataset("data", data=DATA, chunks=(2, 3), compression="gzip")
    wrapped = ZarrDataIO.from_h5py_dataset(
        dataset, chunks=(4, 1), compressor=GzipCodec(level=1), filters=[]
    )
    assert wrapped.io_settings == {
        "chunks": (4, 1),
        "compressor": GzipCodec(level=1),
        "filters": [],
    }


def test_the_filters_of_hdf5_are_told(file: h5py.File) -> None:
    dataset = file.create_dataset("data", data=DATA, chunks=(2, 3), compression="gzip")
    assert ZarrDataIO.hdf5_to_zarr_filters(dataset) == [numcodecs.Zlib(4)]


def test_what_is_a_dataset_of_hdf5(file: h5py.File) -> None:
    assert ZarrDataIO.is_h5py_dataset(file.create_dataset("data", data=DATA))
    assert not ZarrDataIO.is_h5py_dataset(file)
    assert not ZarrDataIO.is_h5py_dataset(DATA)
    assert not ZarrDataIO.is_h5py_dataset(zarr_array())


def test_what_is_no_dataset_of_hdf5_is_refused() -> None:
    with pytest.raises(OptionError, match=r"expected an h5py\.Dataset"):
        ZarrDataIO.from_h5py_dataset(DATA)


# -- wrappers in wrappers --------------------------------------------------------------------------


def test_of_two_wrappers_the_outer_one_counts_first() -> None:
    inner = H5DataIO(DATA, chunks=(1, 3), compression="gzip", fillvalue=7)
    data, request, link_data = unwrap(ZarrDataIO(inner, chunks=(2, 3), shards=(4, 3)))
    assert data is DATA
    assert (request.chunks, request.shards) == ((2, 3), (4, 3))
    assert request.fill_value == 7
    assert request.codecs.compressors == GzipCodec(level=4)
    assert link_data is False


def test_what_the_outer_wrapper_leaves_open_is_that_of_the_inner_one() -> None:
    inner = ZarrDataIO(DATA, chunks=(2, 3), shards=(4, 3), compressor=False, checksum=True)
    request = unwrap(ZarrDataIO(inner, fillvalue=5))[1]
    assert request == replace(inner.layout_request, fill_value=5)
    other = unwrap(ZarrDataIO(inner, chunks=(3, 3), compressor=GzipCodec(level=1)))[1]
    assert (other.chunks, other.shards) == ((3, 3), None)
    assert other.codecs.compressors == GzipCodec(level=1)
    assert other.checksum


def test_a_checksum_of_hdf5_is_one_of_zarr() -> None:
    assert unwrap(H5DataIO(DATA, fletcher32=True))[1].checksum
    assert not unwrap(H5DataIO(DATA))[1].checksum
