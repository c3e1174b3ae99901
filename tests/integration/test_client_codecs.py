"""The codecs of an array that was read, as clients of zarr-python 2 and 3 know them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import numcodecs
import numpy as np
import pytest
import zarr
from pynwb import NWBFile, TimeSeries
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO
from hdmf_zarr.codecs.translate import to_numcodecs, to_zarr_codec

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::UserWarning:(hdmf|pynwb)\."),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr"),
]

Format = Literal[2, 3]

VALUES = np.arange(600, dtype="i4").reshape(200, 3)
DELTA, SHUFFLE, GZIP = numcodecs.Delta("<i4"), numcodecs.Shuffle(4), numcodecs.GZip(level=1)
REVERSED = TransposeCodec(order=(1, 0))


def write(data: Any, zarr_format: Format = 3) -> MemoryStore:
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="V", rate=1.0))
    store = MemoryStore()
    with NWBZarrIO(store, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    return store


def read(store: MemoryStore) -> Any:
    return NWBZarrIO(store, "r").read().acquisition["ts"].data


CHAINS: dict[str, tuple[dict[str, Any], list[Any] | None, Any]] = {
    "default": ({}, None, numcodecs.Blosc("zstd", 5, numcodecs.Blosc.SHUFFLE)),
    "none": ({"compressor": False}, None, None),
    "gzip": ({"compressor": GZIP}, None, GZIP),
    "gzip of zarr": ({"compressors": GzipCodec(level=1)}, None, GZIP),
    "zstd": ({"compressor": numcodecs.Zstd(3)}, None, numcodecs.Zstd(3)),
    "lz4": ({"compressor": numcodecs.LZ4()}, None, numcodecs.LZ4()),
    "delta": ({"filters": [DELTA], "compressor": GZIP}, [DELTA], GZIP),
    "delta alone": ({"filters": [DELTA], "compressor": False}, [DELTA], None),
    "shuffle": ({"filters": [SHUFFLE], "compressor": GZIP}, [SHUFFLE], GZIP),
    "both": ({"filters": [DELTA, SHUFFLE], "compressor": GZIP}, [DELTA, SHUFFLE], GZIP),
    "shuffle alone": ({"compressor": SHUFFLE}, None, SHUFFLE),
    "reversed": ({"filters": [REVERSED], "compressor": GZIP}, [REVERSED], GZIP),
    "checksum": ({"compressor": GZIP, "checksum": True}, None, GZIP),
    "checksum alone": ({"compressor": False, "checksum": True}, None, None),
    "checksum of numcodecs": (
        {"compressor": [GZIP, numcodecs.Fletcher32()]},
        [GZIP],
        numcodecs.Fletcher32(),
    ),
    "shards": (
        {"chunks": (50, 3), "shards": (100, 3), "filters": [SHUFFLE], "compressor": GZIP},
        [SHUFFLE],
        GZIP,
    ),
}
"""What is asked for, and the filters and the compressor that are read."""


@pytest.mark.parametrize(
    ("name", "zarr_format"),
    [(name, 3) for name in CHAINS] + [(name, 2) for name in CHAINS if name != "shards"],
)
def test_codecs_are_those_of_numcodecs(name: str, zarr_format: Format) -> None:
    options, filters, compressor = CHAINS[name]
    array = read(write(ZarrDataIO(VALUES, **options), zarr_format))
    assert array.compressor == compressor
    assert array.filters == filters
    assert compressor is None or isinstance(array.compressor, numcodecs.abc.Codec)
    # What is read can be asked for again, as neuroconv does.
    again = ZarrDataIO(VALUES, filters=array.filters, compressor=array.compressor or False)
    copy = read(write(again, zarr_format))
    assert (copy.filters, copy.compressor) == (filters, compressor)
    assert copy[...].tolist() == VALUES.tolist()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_text_has_no_filters(zarr_format: Format) -> None:
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_unit_column("quality", "d")
    nwbfile.add_unit(quality="good")
    store = MemoryStore()
    with NWBZarrIO(store, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    with NWBZarrIO(store, "r") as io:
        text = io.read().units["quality"].data
        assert (text.filters, text.compressor) == (None, numcodecs.Zstd(3))


def test_other_names_are_those_of_zarr() -> None:
    options = {"chunks": (50, 3), "shards": (100, 3), "filters": [REVERSED], "compressor": GZIP}
    array = read(write(ZarrDataIO(VALUES, checksum=True, **options)))
    plain = zarr.open_array(array.store, path="acquisition/ts/data", mode="r")
    assert array.compressors == (GzipCodec(level=1), Crc32cCodec()) == plain.compressors
    assert array.serializer == plain.serializer
    assert (array.chunks, array.shards) == ((50, 3), (100, 3))
    assert array.metadata.zarr_format == 3


# -- who takes our arrays --------------------------------------------------------------------------


def of_zarr(array: Any) -> Any:
    return zarr.from_array(MemoryStore(), data=array)


def created(array: Any) -> Any:
    return zarr.create_array(MemoryStore(), data=array)


def of_dask(array: Any) -> Any:
    return pytest.importorskip("dask.array").from_zarr(array)


def of_dask_as_any(array: Any) -> Any:
    return pytest.importorskip("dask.array").from_array(array)


def of_xarray(array: Any) -> Any:
    return pytest.importorskip("xarray").DataArray(array)


@pytest.mark.parametrize("take", [of_zarr, created, of_dask, of_dask_as_any, of_xarray])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", ["default", "both", "checksum", "reversed", "delta alone"])
def test_others_take_an_array(name: str, zarr_format: Format, take: Callable[[Any], Any]) -> None:
    array = read(write(ZarrDataIO(VALUES, **CHAINS[name][0]), zarr_format))
    taken = take(array)
    assert (taken.shape, taken.dtype) == (array.shape, array.dtype)
    assert np.asarray(taken).tolist() == VALUES.tolist()


def test_zarr_keeps_the_chain_of_an_array() -> None:
    options = {"filters": [REVERSED, DELTA], "compressor": [SHUFFLE, GZIP], "checksum": True}
    array = read(write(ZarrDataIO(VALUES, chunks=(50, 3), **options)))
    assert array.filters == [REVERSED, DELTA, SHUFFLE]
    taken: Any = zarr.from_array(MemoryStore(), data=array)
    assert taken.chunks == (50, 3)
    names = [codec.to_dict()["name"] for codec in (*taken.filters, *taken.compressors)]
    numcodecs_ = ["numcodecs.delta", "numcodecs.shuffle"]
    assert names == ["transpose", *numcodecs_, "gzip", "crc32c"]


def test_an_array_is_pickled_with_its_codecs() -> None:
    array = read(write(ZarrDataIO(VALUES, filters=[DELTA], compressor=GZIP)))
    array = pickle.loads(pickle.dumps(array.compressor)), pickle.loads(pickle.dumps(array.filters))
    assert array == (GZIP, [DELTA])


# -- one codec -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "codec",
    [
        GZIP,
        numcodecs.Blosc("lz4hc", 7, numcodecs.Blosc.BITSHUFFLE, 4096),
        numcodecs.Blosc("zstd", 1, numcodecs.Blosc.NOSHUFFLE),
        numcodecs.Zstd(level=4),
        numcodecs.Zstd(level=4, checksum=True),
        numcodecs.BZ2(level=2),
        numcodecs.LZMA(preset=1),
        DELTA,
        numcodecs.FixedScaleOffset(offset=1, scale=10, dtype="<f8", astype="<i2"),
        numcodecs.CRC32(),
        numcodecs.get_codec({"id": "hdmf_zarr.lzf"}),
    ],
    ids=lambda codec: codec.codec_id,
)
def test_a_codec_of_numcodecs_is_itself_again(codec: Any) -> None:
    assert to_numcodecs(to_zarr_codec(codec, 4)) == codec


@pytest.mark.parametrize(
    "codec", [GzipCodec(level=3), ZstdCodec(level=2), BloscCodec(typesize=4, shuffle="shuffle")]
)
def test_a_codec_of_zarr_is_itself_again(codec: Any) -> None:
    assert to_zarr_codec(to_numcodecs(codec), 4) == codec


def test_a_codec_that_numcodecs_has_not_is_given_as_it_is() -> None:
    assert to_numcodecs(REVERSED) is REVERSED
