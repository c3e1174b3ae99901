"""Chains of codecs that users give: the right values for every reader, or an error and nothing written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBFile, TimeSeries
from zarr.abc.codec import ArrayArrayCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, TransposeCodec, ZstdCodec
from zarr.registry import register_codec
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.cli import main
from hdmf_zarr.codecs.hdf5.codecs import LZFCodec
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import EncodingError, LayoutError

pytestmark = pytest.mark.filterwarnings(
    "ignore:Numcodecs codecs are not in the Zarr", "ignore:Object at"
)

RANDOM = np.random.default_rng(7)
INTEGERS = RANDOM.integers(-500, 500, (31, 7)).astype("<i2")
CUBE = RANDOM.integers(-500, 500, (9, 5, 6)).astype("<i4")
FLOATS = np.round(RANDOM.standard_normal((31, 7)) * 50, 1)
BOOLS = INTEGERS > 0
COMPLEX = (FLOATS + 1j * FLOATS[::-1]).astype("<c8")
T = TransposeCodec(order=(1, 0))


def write(target: Any, data: Any, zarr_format: int = 3, **options: Any) -> None:
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", data)])
    with ZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write_builder(root, **options)


def write_series(target: Any, data: Any, **options: Any) -> None:
    file = NWBFile("description", "identifier", datetime(2024, 1, 1, tzinfo=UTC))
    file.add_acquisition(TimeSeries(name="t", data=data, unit="V", rate=1.0))
    zarr_format = options.pop("zarr_format", 3)
    with NWBZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write(file, **options)


def assert_series_is(target: Path, values: np.ndarray[Any, Any]) -> None:
    with NWBZarrIO(target, "r") as io:
        np.testing.assert_array_equal(np.asarray(io.read().acquisition["t"].data[...]), values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array: Any = zarr.open_array(target / "acquisition" / "t" / "data", mode="r")
        np.testing.assert_array_equal(array[...], values)


def read_by_us(target: Any) -> np.ndarray[Any, Any]:
    with ZarrIO(target, "r") as io:
        return np.asarray(io.read_builder()["data"].data[...])


def read_by_zarr(target: Any) -> np.ndarray[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(zarr.open_array(target, path="data", mode="r")[...])


def assert_is(target: Any, values: np.ndarray[Any, Any]) -> None:
    """Both readers read these values, of this dtype."""
    for found in (read_by_us(target), read_by_zarr(target)):
        assert found.dtype.newbyteorder("=") == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, values)


EXACT = {
    "delta": (INTEGERS, [numcodecs.Delta("<i2")]),
    "transposed delta": (INTEGERS, [T, numcodecs.Delta("<i2")]),
    "wider delta": (INTEGERS, [T, numcodecs.Delta("<i2", "<i4")]),
    "delta of bytes": (INTEGERS.astype("u1"), [T, numcodecs.Delta("|u1")]),
    "scale of one": (INTEGERS, [T, numcodecs.FixedScaleOffset(0, 1, "<i2", "<i2")]),
    "tenths": (
        FLOATS,
        [T, numcodecs.FixedScaleOffset(0, 10, "<f8", "<i4"), numcodecs.Delta("<i4")],
    ),
    "all bits": (FLOATS.astype("<f4"), [T, numcodecs.BitRound(23)]),
    "wider type": (INTEGERS, [T, numcodecs.AsType("<i4", "<i2"), numcodecs.Delta("<i4")]),
    "unsigned type": (INTEGERS, [T, numcodecs.AsType("<u2", "<i2")]),
    "bits": (BOOLS, [T, numcodecs.PackBits()]),
    "shuffle": (INTEGERS, [T, numcodecs.Shuffle(2)]),
    "complex": (COMPLEX, [T]),
    "reversed cube": (CUBE, [TransposeCodec(order=(2, 1, 0)), numcodecs.Delta("<i4")]),
    "row": (INTEGERS[0], [TransposeCodec(order=(0,)), numcodecs.Delta("<i2")]),
    "empty": (INTEGERS[:0], [T, numcodecs.Delta("<i2")]),
}
"""Name -> values, and filters that keep them."""

LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda values: np.repeat(np.repeat(values, 2, axis=0), 3, axis=-1)[::2, ..., ::3],
}


def _strided(layout: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if layout == "strided" and values.ndim == 1:
        return np.repeat(values, 2)[::2]
    return LAYOUTS[layout](values)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_one_chunk", [True, False])
@pytest.mark.parametrize("name", EXACT)
def test_filters_give_back_what_they_are_given(
    name: str, layout: str, zarr_format: int, *, is_one_chunk: bool
) -> None:
    values, filters = EXACT[name]
    chunks = tuple(max(1, n) if is_one_chunk else 4 for n in values.shape)
    target = MemoryStore()
    given = _strided(layout, values)
    before = given.copy(order="K")
    write(target, ZarrDataIO(given, chunks=chunks, filters=filters), zarr_format)
    assert_is(target, values)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
)
@pytest.mark.parametrize("shards", [None, (8, 4, 4)])
def test_each_order_of_three_dimensions(order: tuple[int, ...], shards: Any) -> None:
    filters = [TransposeCodec(order=order), numcodecs.Delta("<i4")]
    target = MemoryStore()
    write(target, ZarrDataIO(CUBE, chunks=(4, 2, 4), shards=shards, filters=filters))
    assert_is(target, CUBE)


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("others", [[], [numcodecs.Delta("<i4")]])
def test_format_2_refuses_what_it_cannot_say(
    tmp_path: Path, order: tuple[int, ...], others: list[Any]
) -> None:
    data = ZarrDataIO(CUBE, filters=[TransposeCodec(order=order), *others])
    with pytest.raises(LayoutError, match="reverses all dimensions"):
        write(tmp_path / "a.zarr", data, 2)
    assert not (tmp_path / "a.zarr").exists()
    write(
        tmp_path / "a.zarr", ZarrDataIO(CUBE, filters=[TransposeCodec(order=(0, 1, 2)), *others]), 2
    )
    assert_is(tmp_path / "a.zarr", CUBE)


BYTES = {
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "lz4": {"compressor": numcodecs.LZ4()},
    "zlib after a checksum": {"compressors": [Crc32cCodec(), numcodecs.Zlib(3)]},
    "checksum, then zstd": {"compressors": [numcodecs.Adler32(), ZstdCodec()]},
    "fletcher32, lzma": {"compressors": [numcodecs.Fletcher32(), numcodecs.LZMA()]},
    "elements of another size": {"compressor": BloscCodec(typesize=3, shuffle="shuffle")},
    "bz2": {"compressor": numcodecs.BZ2(2)},
    "lzf": {"compressors": [LZFCodec()]},
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", BYTES)
@pytest.mark.parametrize("values", [INTEGERS, FLOATS, BOOLS, COMPLEX], ids=lambda v: v.dtype.name)
def test_compressors_and_checksums_after_a_transpose(
    values: np.ndarray[Any, Any], name: str, zarr_format: int
) -> None:
    target = MemoryStore()
    write(target, ZarrDataIO(values, chunks=(4, 4), filters=[T], **BYTES[name]), zarr_format)
    assert_is(target, values)


ROUNDING = {
    "bits": (numcodecs.BitRound(10), 2.0**-10, 0.0),
    "digits": (numcodecs.Quantize(1, "<f8"), 0.0, 0.1),
    "integers": (numcodecs.FixedScaleOffset(0, 4, "<f8", "<i2"), 0.0, 0.125),
    "floats": (numcodecs.AsType("<f4", "<f8"), 1e-6, 0.0),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", ROUNDING)
def test_filters_that_round_give_the_same_to_every_reader(name: str, zarr_format: int) -> None:
    codec, relative, absolute = ROUNDING[name]
    target, again = MemoryStore(), MemoryStore()
    write(target, ZarrDataIO(FLOATS, chunks=(4, 4), filters=[T, codec]), zarr_format)
    found = read_by_us(target)
    np.testing.assert_allclose(found, FLOATS, rtol=relative, atol=absolute)
    assert_is(target, found)
    write(again, ZarrDataIO(found, chunks=(4, 4), filters=[T, codec]), zarr_format)
    assert_is(again, found)


REFUSED = {
    "a filter that flattens before a transpose": (
        INTEGERS,
        {"filters": [numcodecs.Delta("<i2"), T]},
    ),
    "bits before a transpose": (BOOLS, {"filters": [numcodecs.PackBits(), T]}),
    "scale before a transpose": (
        FLOATS,
        {"filters": [numcodecs.FixedScaleOffset(0, 10, "<f8", "<f8"), T]},
    ),
    "differences that overflow": (INTEGERS, {"filters": [numcodecs.Delta("<i2", "<i1")]}),
    "differences of floats": (FLOATS, {"filters": [numcodecs.Delta("<f8")]}),
    "differences of complex numbers": (COMPLEX, {"filters": [numcodecs.Delta("<c8")]}),
    "differences behind which the order of bytes changes": (
        INTEGERS,
        {"filters": [T, numcodecs.Delta("<i2")], "serializer": BytesCodec(endian="big")},
    ),
    "a type that is too narrow": (INTEGERS, {"filters": [T, numcodecs.AsType("<i1", "<i2")]}),
    "digits in another type": (FLOATS, {"filters": [numcodecs.Quantize(2, "<f8", "<f4")]}),
    "a scale that overflows": (
        FLOATS,
        {"filters": [T, numcodecs.FixedScaleOffset(0, 10, "<f8", "|u1")]},
    ),
    "no scale": (FLOATS, {"filters": [numcodecs.FixedScaleOffset(0, 0, "<f8")]}),
    "no number in an integer": (
        np.where(BOOLS, np.nan, 1.0),
        {"filters": [numcodecs.FixedScaleOffset(0, 10, "<f8", "<i4")]},
    ),
    "bits of integers": (INTEGERS, {"filters": [numcodecs.BitRound(3)]}),
    "an order of another rank": (INTEGERS, {"filters": [TransposeCodec(order=(2, 0, 1))]}),
    "differences of text": (["a", "b"], {"filters": [numcodecs.Delta("<i2")]}),
    "a serializer of numbers, of text": (["a", "b"], {"serializer": BytesCodec()}),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_read_as_other_values_is_refused(
    tmp_path: Path, name: str, zarr_format: int
) -> None:
    values, settings = REFUSED[name]
    with pytest.raises((LayoutError, EncodingError), match="a.zarr:/data: "):
        write(tmp_path / "a.zarr", ZarrDataIO(values, **settings), zarr_format)
    assert list(tmp_path.iterdir()) == []


def test_a_narrow_type_holds_what_fits() -> None:
    target = MemoryStore()
    values = np.arange(-100, 100, dtype="<i8").reshape(20, 10)
    write(target, ZarrDataIO(values, chunks=(7, 4), filters=[T, numcodecs.AsType("<i1", "<i8")]))
    assert_is(target, values)
    celsius = np.linspace(1000, 1025, 251).round(
        1
    )  # of which zero, that fills the last chunk, is none
    filters = [numcodecs.FixedScaleOffset(1000, 10, "<f8", "|u1")]
    write(target, ZarrDataIO(celsius, chunks=(100,), filters=filters))
    np.testing.assert_allclose(read_by_us(target), celsius, rtol=1e-12)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_values_in_memory_that_a_filter_cannot_hold_write_nothing(zarr_format: int) -> None:
    target = _CountingStore()
    with pytest.raises(EncodingError, match="outside of what the filter"):
        data = ZarrDataIO(INTEGERS, chunks=(4, 4), filters=[numcodecs.AsType("<i1", "<i2")])
        root = GroupBuilder("root", datasets=[DatasetBuilder("a", CUBE), DatasetBuilder("b", data)])
        with ZarrIO(target, "w", zarr_format=zarr_format) as io:
            io.write_builder(root)
    assert target.n_set == 0


class _CountingStore(MemoryStore):
    """A store that counts what is ever written to it."""

    n_set = 0

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        self.n_set += "lock" not in key
        await super().set(key, value, byte_range)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_iterator_is_written_through_filters(
    tmp_path: Path, zarr_format: int, n_jobs: int
) -> None:
    data = ZarrDataIO(
        DataChunkIterator(data=INTEGERS, buffer_size=3),
        chunks=(4, 4),
        filters=[T, numcodecs.Delta("<i2")],
    )
    target = tmp_path / "a.zarr"
    write_series(target, data, zarr_format=zarr_format, number_of_jobs=n_jobs)
    assert_series_is(target, INTEGERS)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_iterator_of_values_that_do_not_fit_writes_nothing(
    tmp_path: Path, zarr_format: int
) -> None:
    data = ZarrDataIO(
        DataChunkIterator(data=INTEGERS, buffer_size=3), filters=[numcodecs.AsType("<i1", "<i2")]
    )
    with pytest.raises(EncodingError, match="can hold"):
        write(tmp_path / "a.zarr", data, zarr_format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_array_in_memory_is_written_by_workers(tmp_path: Path, n_jobs: int) -> None:
    data = ZarrDataIO(
        np.asfortranarray(INTEGERS),
        chunks=(4, 4),
        shards=(8, 8),
        filters=[T, numcodecs.Delta("<i2")],
    )
    write_series(tmp_path / "a.zarr", data, number_of_jobs=n_jobs)
    assert_series_is(tmp_path / "a.zarr", INTEGERS)


# -- arrays that are there -------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_rows_are_appended_and_set_through_filters(zarr_format: int) -> None:
    target = MemoryStore()
    data = ZarrDataIO(INTEGERS[:10], chunks=(4, 4), filters=[T, numcodecs.Delta("<i2")])
    write(target, data, zarr_format)
    expected = INTEGERS.copy()
    with ZarrIO(target, "r+") as io:
        array = io.read_builder()["data"].data
        array.append(np.asfortranarray(INTEGERS[10:]))
        array[3:9, 2:5] = expected[3:9, 2:5] = np.asfortranarray(INTEGERS[20:26, 1:4])
        array.oindex[[0, 30], :] = expected[[0, 30]] = INTEGERS[[5, 6]]
    assert_is(target, expected)


def test_rows_that_a_filter_cannot_hold_are_not_appended(tmp_path: Path) -> None:
    target, values = tmp_path / "a.zarr", np.arange(-20, 20, dtype="<i2").reshape(10, 4)
    write(target, ZarrDataIO(values, chunks=(4, 4), filters=[numcodecs.AsType("<i1", "<i2")]))
    with ZarrIO(target, "r+") as io:
        array = io.read_builder()["data"].data
        for change in (
            lambda: array.append(values + 200),
            lambda: array.append(values + 200, axis=1),
            lambda: array.__setitem__(slice(0, 2), values[:2] + 200),
            lambda: array.set_basic_selection(0, 200),
        ):
            with pytest.raises(EncodingError, match=r"a.zarr:/data: .* outside of what the filter"):
                change()
        assert array.shape == values.shape
    assert_is(target, values)


def test_nothing_is_appended_where_zarr_reads_other_values(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    write(target, ZarrDataIO(FLOATS, chunks=(4, 4), compressor=False))
    delta = {"name": "numcodecs.delta", "configuration": {"dtype": "<f8"}}
    _with_codecs(target, [delta, {"name": "bytes", "configuration": {"endian": "little"}}])
    with ZarrIO(target, "r+") as io:
        array = io.read_builder()["data"].data
        with pytest.raises(LayoutError, match=r"a.zarr:/data: .*numcodecs.delta"):
            array.append(FLOATS[:1])
        assert array.shape == FLOATS.shape


def test_rows_are_appended_to_what_zarr_has_written_in_its_own_way(tmp_path: Path) -> None:
    target, n_before = tmp_path / "a.zarr", 10
    options = {"chunks": (4, 7), "filters": [T, numcodecs.Delta("<i2")]}
    write(target, ZarrDataIO(INTEGERS[:n_before], **options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Before 3.4 elements change their places here.
        zarr.open_array(target, path="data", mode="r+")[...] = INTEGERS[:n_before]
    before = read_by_zarr(target)
    with ZarrIO(target, "r+") as io:
        io.read_builder()["data"].data.append(INTEGERS[n_before:])
    assert_is(target, np.concatenate([before, INTEGERS[n_before:]]))


def _with_codecs(target: Path, codecs: list[Any]) -> None:
    """Replace an array's codecs in its document, and in the consolidated ones."""
    for path, where in (
        ("zarr.json", ("consolidated_metadata", "metadata", "data")),
        ("data/zarr.json", ()),
    ):
        root = document = json.loads((target / path).read_text())
        for name in where:
            document = document[name]
        document["codecs"] = codecs
        (target / path).write_text(json.dumps(root))


# -- export, conversion ----------------------------------------------------------------------------


def test_an_export_with_filters(tmp_path: Path) -> None:
    codecs = [T, numcodecs.Delta("<i2"), numcodecs.Zlib(1)]
    write_series(tmp_path / "a.zarr", ZarrDataIO(INTEGERS, chunks=(8, 7)))
    data = "/acquisition/t/data"
    convert(tmp_path / "a.zarr", tmp_path / "b.zarr", codecs={data: codecs}, chunks={data: (4, 4)})
    assert_series_is(tmp_path / "b.zarr", INTEGERS)
    # Of an array that has them already, with other chunks and with shards.
    for name, options in (("c", {"chunks": {data: (5, 3)}}), ("d", {"shards": {data: (8, 8)}})):
        convert(tmp_path / "b.zarr", tmp_path / f"{name}.zarr", **options)
        assert_series_is(tmp_path / f"{name}.zarr", INTEGERS)
    convert(tmp_path / "b.zarr", tmp_path / "e.nwb")
    with h5py.File(tmp_path / "e.nwb") as file:
        np.testing.assert_array_equal(file[data][()], INTEGERS)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LayoutError, match="f.zarr:/acquisition/t/data"):
        wrong = {data: [numcodecs.Delta("<i2"), T]}
        convert(tmp_path / "a.zarr", tmp_path / "f.zarr", codecs=wrong)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("zarr_format", ["2", "3"])
def test_the_command_line_converts_what_has_filters(tmp_path: Path, zarr_format: str) -> None:
    write_series(tmp_path / "a.zarr", ZarrDataIO(INTEGERS, filters=[T, numcodecs.Delta("<i2")]))
    for name, codecs in (("b", "keep"), ("c", "default")):
        target = tmp_path / f"{name}.zarr"
        arguments = ["convert", str(tmp_path / "a.zarr"), str(target), "--codecs", codecs]
        assert main([*arguments, "--zarr-format", zarr_format]) == 0
        assert_series_is(target, INTEGERS)


# -- codecs of users -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _InMemoryOrder(ArrayArrayCodec):
    """A codec of a user, which takes elements as they lie in memory."""

    is_fixed_size = True
    rolled: int = 0

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> _InMemoryOrder:
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        return {"name": "test.in_memory_order", "configuration": {"rolled": self.rolled}}

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: Any) -> int:
        return input_byte_length

    def _encode_sync(self, chunk_array: Any, chunk_spec: Any) -> Any:
        array = chunk_array.as_ndarray_like()
        flat = np.roll(array.reshape(-1, order="A"), self.rolled)
        return type(chunk_array).from_ndarray_like(flat.reshape(array.shape))

    def _decode_sync(self, chunk_array: Any, chunk_spec: Any) -> Any:
        array = np.ascontiguousarray(chunk_array.as_ndarray_like())
        return type(chunk_array).from_ndarray_like(array.reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_array: Any, chunk_spec: Any) -> Any:
        return self._encode_sync(chunk_array, chunk_spec)

    async def _decode_single(self, chunk_array: Any, chunk_spec: Any) -> Any:
        return self._decode_sync(chunk_array, chunk_spec)


@pytest.fixture
def _registered() -> Iterator[None]:
    register_codec("test.in_memory_order", _InMemoryOrder)
    yield


@pytest.mark.usefixtures("_registered")
def test_a_codec_of_a_user_is_tried() -> None:
    target = MemoryStore()
    for filters in ([_InMemoryOrder()], [T, _InMemoryOrder()]):
        for values in (INTEGERS, np.asfortranarray(INTEGERS)):
            write(target, ZarrDataIO(values, chunks=(31, 7), filters=filters))
            assert_is(target, INTEGERS)
    with pytest.raises(LayoutError, match=r"written as something else.*test.in_memory_order"):
        write(target, ZarrDataIO(INTEGERS, filters=[T, _InMemoryOrder(rolled=1)]))
