"""Codecs that a package, or a user, has registered with numcodecs: in both formats, as they are."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from numcodecs.compat import ensure_bytes, ensure_ndarray, ndarray_copy
from numcodecs.registry import codec_registry
from pynwb import NWBFile, TimeSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO
from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.checking.run import check
from hdmf_zarr.cli import main
from hdmf_zarr.codecs.registered import (
    RegisteredCompressor,
    RegisteredFilter,
    RegisteredSerializer,
    classes_in,
    missing_codec,
    registered_codec,
)
from hdmf_zarr.codecs.translate import to_zarr_codec
from hdmf_zarr.errors import LayoutError, MissingExtraError
from tests.iterators import ArrayIterator

pytestmark = [
    pytest.mark.filterwarnings(r"ignore::UserWarning:(hdmf|pynwb)\."),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr"),
]

Format = Literal[2, 3]

VALUES = np.random.default_rng(1).integers(-500, 500, (200, 3)).astype("i4")
PATH = "acquisition/ts/data"


class Xor(numcodecs.abc.Codec):  # type: ignore[misc]
    """From bytes to bytes."""

    codec_id = "test_xor"

    def __init__(self, key: int = 7) -> None:
        self.key = key

    def encode(self, buf: Any) -> bytes:
        return (np.frombuffer(ensure_bytes(buf), "u1") ^ np.uint8(self.key)).tobytes()

    def decode(self, buf: Any, out: Any = None) -> Any:
        return ndarray_copy(np.frombuffer(self.encode(buf), "u1"), out)


class Offset(numcodecs.abc.Codec):  # type: ignore[misc]
    """From an array to an array."""

    codec_id = "test_offset"

    def __init__(self, dtype: str = "<i4", by: int = 3) -> None:
        self.dtype, self.by = dtype, by

    def encode(self, buf: Any) -> Any:
        return ensure_ndarray(buf).view(self.dtype) + np.dtype(self.dtype).type(self.by)

    def decode(self, buf: Any, out: Any = None) -> Any:
        values = ensure_ndarray(buf).view(self.dtype) - np.dtype(self.dtype).type(self.by)
        return ndarray_copy(values, out)


class Narrow(numcodecs.abc.Codec):  # type: ignore[misc]
    """From an array to one of another dtype."""

    codec_id = "test_narrow"

    def encode(self, buf: Any) -> Any:
        return ensure_ndarray(buf).view("<i4").astype("<i2")

    def decode(self, buf: Any, out: Any = None) -> Any:
        return ndarray_copy(ensure_ndarray(buf).view("<i2").astype("<i4"), out)


class Sound(numcodecs.abc.Codec):  # type: ignore[misc]
    """From an array of elements of one type to bytes, as FLAC and WavPack."""

    codec_id = "test_sound"
    taken: ClassVar[str] = "i4"

    def __init__(self, level: int = 1) -> None:
        self.level = level

    def encode(self, buf: Any) -> bytes:
        assert buf.dtype == self.taken, "Data type not supported"
        assert buf.ndim == 2, "(samples, channels)"
        return zlib.compress(np.ascontiguousarray(buf.T).tobytes() + bytes([buf.shape[1]]))

    def decode(self, buf: Any, out: Any = None) -> Any:
        data = zlib.decompress(buf)
        values = np.frombuffer(data[:-1], self.taken).reshape(data[-1], -1)
        return ndarray_copy(np.ascontiguousarray(values.T), out)


class Wrong(Xor):
    """Gives back something else."""

    codec_id = "test_wrong"

    def decode(self, buf: Any, out: Any = None) -> Any:
        return Xor(self.key + 1).decode(buf, out)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for codec in (Xor, Offset, Narrow, Sound, Wrong):
        monkeypatch.setitem(codec_registry, codec.codec_id, codec)


def write(data: Any, target: Any, zarr_format: Format, **options: Any) -> None:
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="V", rate=1.0))
    nwbfile.add_acquisition(TimeSeries(name="other", data=[1, 2], unit="V", rate=1.0))
    with NWBZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile, **options)


def read(target: Any) -> Any:
    return NWBZarrIO(target, "r").read().acquisition["ts"].data


GZIP, DELTA = numcodecs.GZip(1), numcodecs.Delta("<i4")

CHAINS: dict[str, dict[str, Any]] = {
    "bytes": {"compressor": Xor(3)},
    "bytes as a filter": {"filters": [Xor(3)], "compressor": GZIP},
    "bytes after others": {"filters": [DELTA, numcodecs.Shuffle(4)], "compressor": Xor(5)},
    "filter": {"filters": [Offset()], "compressor": GZIP},
    "filter to another type": {"filters": [Narrow()], "compressor": GZIP},
    "filter among others": {"filters": [DELTA, Offset()], "compressor": Xor()},
    "array to bytes": {"compressor": Sound(level=2)},
    "array to bytes as a filter": {"filters": [Sound()], "compressor": GZIP},
    "array to bytes with a checksum": {"compressor": Sound(), "checksum": True},
    "JSON": {"compressor": {"id": "test_xor", "key": 9}},
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", CHAINS)
def test_a_registered_codec_is_written_and_read(name: str, zarr_format: Format) -> None:
    options, store = CHAINS[name], MemoryStore()
    write(ZarrDataIO(VALUES, chunks=(64, 3), **options), store, zarr_format)
    array = read(store)
    assert array[...].tolist() == VALUES.tolist()
    assert array[70].tolist() == VALUES[70].tolist()
    given = options["compressor"]
    assert array.compressor == (numcodecs.get_codec(given) if isinstance(given, dict) else given)
    assert array.filters == options.get("filters")
    with_zarr: Any = zarr.open_array(store, path=PATH, mode="r")
    assert with_zarr[...].tolist() == VALUES.tolist()
    assert not check(store).errors


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_registered_codec_is_named_on_disk(zarr_format: Format) -> None:
    store = MemoryStore()
    write(ZarrDataIO(VALUES, compressor=Sound(level=2)), store, zarr_format)
    documents = {
        2: (".zarray", lambda found: found["compressor"], {"id": "test_sound", "level": 2}),
        3: (
            "zarr.json",
            lambda found: found["codecs"][0],
            {"name": "numcodecs.test_sound", "configuration": {"level": 2}},
        ),
    }
    name, get, expected = documents[zarr_format]
    found = json.loads(zarr_bytes(store, f"{PATH}/{name}"))
    assert get(found) == expected


def zarr_bytes(store: MemoryStore, key: str) -> bytes:
    found: bytes = store._store_dict[key].to_bytes()
    return found


@pytest.mark.parametrize("codec", [Xor(), Sound()], ids=lambda codec: codec.codec_id)
def test_chunks_in_shards_have_a_registered_codec(codec: Any) -> None:
    store = MemoryStore()
    data = ZarrDataIO(VALUES, chunks=(20, 3), shards=(100, 3), compressor=codec)
    write(data, store, 3)
    assert read(store)[...].tolist() == VALUES.tolist()
    assert read(store).compressor == codec


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("codec", [Xor(), Sound()], ids=lambda codec: codec.codec_id)
def test_rows_are_appended_and_the_file_exported(codec: Any, zarr_format: Format) -> None:
    store = MemoryStore()
    write(ZarrDataIO(VALUES, chunks=(64, 3), compressor=codec), store, zarr_format)
    with NWBZarrIO(store, "r+") as io:
        array = io.read().acquisition["ts"].data
        array.append(VALUES[:5])
        array[0] = VALUES[1]
    expected = np.concatenate([VALUES[1:2], VALUES[1:], VALUES[:5]])
    for target_format in (2, 3):
        target = MemoryStore()
        with (
            NWBZarrIO(store, "r") as source,
            NWBZarrIO(target, "w", zarr_format=target_format) as io,
        ):
            io.export(source)
        copy = read(target)
        assert copy[...].tolist() == expected.tolist()
        assert copy.compressor == codec or (zarr_format, target_format) == (2, 3)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_command_converts_a_registered_codec(zarr_format: Format, tmp_path: Path) -> None:
    source = str(tmp_path / "a.nwb.zarr")
    write(ZarrDataIO(VALUES, chunks=(64, 3), compressor=Sound()), source, zarr_format)
    for name, options in (("b.nwb", []), ("b.nwb.zarr", ["--codecs", "default"])):
        target = str(tmp_path / name)
        assert main(["convert", source, target, "--quiet", *options]) == 0
        opened: Any = h5py.File(target) if name == "b.nwb" else zarr.open_group(target, mode="r")
        assert opened[PATH][...].tolist() == VALUES.tolist()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_workers_have_a_registered_codec(zarr_format: Format, tmp_path: Path) -> None:
    values = np.tile(VALUES, (50, 1))
    iterator = ArrayIterator(values, buffer_shape=(2000, 3), chunk_shape=(1000, 3))
    data = ZarrDataIO(iterator, chunks=(1000, 3), compressor=Sound())
    write(data, tmp_path / "a.zarr", zarr_format, number_of_jobs=2)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr")[...], values)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compressor": Wrong()}, "what was read is written as something else"),
        ({"compressor": Xor(), "filters": [Sound(), Sound()]}, "one serializer|has no place"),
    ],
)
def test_a_chain_that_gives_other_values_is_refused(
    options: dict[str, Any], reason: str, zarr_format: Format
) -> None:
    store = MemoryStore()
    with pytest.raises(LayoutError, match=reason):
        write(ZarrDataIO(VALUES, **options), store, zarr_format)
    assert list(store._store_dict) == []


def test_data_that_a_codec_does_not_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="Data type not supported"):
        write(ZarrDataIO(VALUES.astype("f4"), compressor=Sound()), tmp_path / "a.zarr", 3)
    assert list(tmp_path.iterdir()) == []


# -- readers without the codec ---------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", ["bytes", "filter", "array to bytes"])
def test_a_reader_without_the_codec_names_it(
    name: str, zarr_format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    write(ZarrDataIO(VALUES, chunks=(64, 3), **CHAINS[name]), store, zarr_format)
    codec_id = {"bytes": "test_xor", "filter": "test_offset"}.get(name, "test_sound")
    monkeypatch.delitem(codec_registry, codec_id)
    with NWBZarrIO(store, "r") as io:
        nwbfile = io.read()
        assert nwbfile.acquisition["other"].data[:].tolist() == [1, 2]
        array = nwbfile.acquisition["ts"].data
        assert (array.shape, array.dtype, array.chunks) == ((200, 3), np.dtype("i4"), (64, 3))
        with pytest.raises(MissingExtraError, match=f"{PATH}.*'{codec_id}' is not known"):
            array[:]
        with pytest.raises(MissingExtraError, match=f"{PATH}.*'{codec_id}' is not known"):
            zarr_view.async_array(array.hierarchy, PATH)
        with pytest.raises(MissingExtraError, match=f"'{codec_id}' is not known"):
            _ = array.compressor, array.filters
    assert any(codec_id in finding.message for finding in check(store).findings)


@pytest.mark.parametrize(
    ("codec_id", "package"),
    [
        ("flac", "pip install flac-numcodecs"),
        ("wavpack", "pip install wavpack-numcodecs"),
        ("imagecodecs_jpeg2k", "pip install imagecodecs"),
        ("mine", "the package that registers it with numcodecs"),
    ],
)
def test_the_package_is_named(codec_id: str, package: str) -> None:
    assert package in missing_codec(codec_id)


def test_a_codec_of_numcodecs_that_needs_a_package_names_it() -> None:
    if "pcodec" in codec_registry:
        pytest.skip("pcodec is installed")
    with pytest.raises(MissingExtraError, match="pip install pcodec"):
        registered_codec({"name": "numcodecs.pcodec", "configuration": {}})


# -- one codec -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "kind"),
    [
        (Xor(), RegisteredCompressor),
        (numcodecs.Base64(), RegisteredCompressor),
        (Offset(), RegisteredFilter),
        (Offset("<f4"), RegisteredFilter),
        (Narrow(), RegisteredFilter),
        (Sound(), RegisteredSerializer),
    ],
)
def test_the_place_of_a_codec_is_found(codec: Any, kind: type[Any]) -> None:
    made = to_zarr_codec(codec, 4)
    assert type(made) is kind
    assert made == registered_codec(made.to_dict())
    assert hash(made) == hash(to_zarr_codec(codec, 4))
    assert classes_in([made.to_dict()]) == (type(codec),)


@pytest.mark.parametrize("codec", [numcodecs.Pickle(), numcodecs.JSON(), numcodecs.MsgPack()])
def test_codecs_of_objects_have_no_place(codec: Any) -> None:
    with pytest.raises(LayoutError, match="Zarr has no codec"):
        to_zarr_codec(codec, 4)
    assert registered_codec({"name": f"numcodecs.{codec.codec_id}"}) is None


def test_settings_that_are_no_json_are_refused() -> None:
    with pytest.raises(LayoutError, match="are no JSON"):
        to_zarr_codec(Xor(key=object()), 4)  # type: ignore[arg-type]


class Unregistered(Xor):
    codec_id = "test_unregistered"


class Incomplete(Xor):
    codec_id = "test_incomplete"

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, "other": 1}


@pytest.mark.parametrize(
    ("codec", "reason"),
    [(Unregistered(), "numcodecs.register_codec"), (Incomplete(), "its settings do not make it")],
)
def test_a_codec_that_no_reader_can_make_is_refused(
    codec: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(codec_registry, Incomplete.codec_id, Incomplete)
    with pytest.raises(LayoutError, match=reason):
        ZarrDataIO(VALUES, compressor=codec)
