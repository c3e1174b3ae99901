"""Stores of Zarr format 2 read as the HDF5 files made from the same content, however they are spelled."""

from __future__ import annotations

import json
import shutil
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.build import Builder, GroupBuilder, LinkBuilder, ReferenceBuilder
from pynwb import NWBHDF5IO, validate
from zarr.storage import LocalStore, MemoryStore, WrapperStore

from hdmf_zarr import NWBZarrIO, ZarrIO, is_zarr_v2_file
from hdmf_zarr.errors import BrokenLinkError, DtypeError
from hdmf_zarr.read.tree import PATHS_READ_BY_CONSTRUCTORS, TYPES_READ_BY_CONSTRUCTORS
from hdmf_zarr.stores import event_loop
from hdmf_zarr.transfer.upgrading import upgrade
from tests.compare import differences, path_of
from tests.format2 import (
    BLOSC,
    JSON2,
    PICKLE,
    VLEN_BYTES,
    VLEN_UTF8,
    Format2Store,
    objects,
    reference,
)

DATA = Path(__file__).parents[1] / "data"
RELEASES = ["v0.6.0", "v0.13.0"]

# What the file of 0.6 holds, with one warning: a compound that was expanded.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pixel_mask is a compound that was stored expanded"
)


class Released(NamedTuple):
    """A store of a released version and its twin, which has object ids of its own."""

    store: Path
    twin: Path


@pytest.fixture(scope="module", params=RELEASES)
def released(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(DATA / f"{request.param}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return Released(next(folder.glob("*.nwb.zarr")), next(folder.glob("*.nwb")))


@pytest.fixture
def copy(released: Released, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(released.store, tmp_path / "copy.nwb.zarr"))


def unequal(store: Any, twin: Path, mode: str = "r") -> list[str]:
    with NWBZarrIO(store, mode) as zarr_io, NWBHDF5IO(twin, "r") as hdf5_io:
        return list(
            differences(
                zarr_io.read_builder(),
                hdf5_io.read_builder(),
                ignore=lambda path: path.endswith("@object_id"),
            )
        )


def in_memory(store: Path) -> MemoryStore:
    """The files of a store in memory."""
    return MemoryStore(
        {
            path.relative_to(store).as_posix(): event_loop.to_buffer(path.read_bytes())
            for path in store.rglob("*")
            if path.is_file()
        }
    )


def reading(store: Any, mode: str = "r") -> GroupBuilder:
    with ZarrIO(store, mode) as io:
        return io.read_builder()


def in_another(path: Path, way: str | int) -> Path:
    """A store as it is (``"read"``), upgraded (and exported ``"back"``), or exported to a Zarr format."""
    if way == "read":
        return path
    if way == "back":
        return in_another(in_another(path, "upgrade"), 2)
    new = path.with_name(f"{way}.zarr")
    if way == "upgrade":
        upgrade(path, new)
        return new
    with ZarrIO(path, "r") as source, ZarrIO(new, "w", zarr_format=way) as io:
        io.export(source)
    return new


def values(builder: Any) -> Any:
    """Return the data of a dataset, builders as the paths of their objects."""
    data = builder.data
    data = data[:] if getattr(data, "shape", ()) else data
    if isinstance(data, np.ndarray) and data.dtype.names is None:
        return data.tolist()
    return (
        [_plain(entry) for entry in data] if isinstance(data, (list, np.ndarray)) else _plain(data)
    )


def _plain(entry: Any) -> Any:
    if isinstance(entry, np.void):
        return tuple(_plain(entry[name]) for name in entry.dtype.names)
    entry = getattr(entry, "builder", entry)
    if isinstance(entry, Builder):
        return f"-> {path_of(entry)}"
    return entry.item() if isinstance(entry, np.generic) else entry


# -- stores of the releases ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a"])
@pytest.mark.parametrize("consolidated", [True, False])
def test_a_released_store_equals_its_twin(
    copy: Path, released: Released, mode: str, *, consolidated: bool
) -> None:
    if not consolidated:
        (copy / ".zmetadata").unlink()
    assert unequal(copy, released.twin, mode) == []


@pytest.mark.parametrize("mode", ["r", "r-"])
def test_a_released_store_in_memory_equals_its_twin(released: Released, mode: str) -> None:
    assert unequal(in_memory(released.store), released.twin, mode) == []


def test_a_released_store_behind_a_store_object_equals_its_twin(released: Released) -> None:
    assert unequal(LocalStore(released.store, read_only=True), released.twin) == []


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_released_store_at_a_url_equals_its_twin(
    released: Released, *, consolidated: bool
) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    url = f"memory://{released.store.name}-{consolidated}"
    files.put(str(released.store), url, recursive=True)
    if not consolidated:
        files.rm(f"{url}/.zmetadata")
    for mode in ("r", "r-"):
        assert unequal(url, released.twin, mode) == []


def test_a_released_store_that_was_renamed_equals_its_twin(
    released: Released, tmp_path: Path
) -> None:
    shutil.copytree(released.store, tmp_path / "elsewhere" / "renamed.zarr")
    assert unequal(tmp_path / "elsewhere" / "renamed.zarr", released.twin) == []


def test_a_released_store_is_known_by_its_format(released: Released) -> None:
    assert is_zarr_v2_file(released.store)
    assert NWBZarrIO.can_read(released.store)


def test_the_containers_of_a_released_store_equal_those_of_its_twin(released: Released) -> None:
    with NWBZarrIO(released.store, "r") as zarr_io, NWBHDF5IO(released.twin, "r") as hdf5_io:
        a, b = zarr_io.read(), hdf5_io.read()
        tables = [*(file.trials for file in (a, b))]
        assert tables[0]["tag"][:].tolist() == list(tables[1]["tag"][:])
        for file_a, file_b in ((a, b),):
            assert [
                [_series(entry) for entry in row] for row in file_a.trials["timeseries"][:]
            ] == [[_series(entry) for entry in row] for row in file_b.trials["timeseries"][:]]
            assert [
                _series(e) for e in file_a.intracellular_recordings["responses"]["response"][:]
            ] == [_series(e) for e in file_b.intracellular_recordings["responses"]["response"][:]]
            for name in ("x", "label", "location", "group_name"):
                x, y = file_a.electrodes[name][:], file_b.electrodes[name][:]
                assert [str(entry) for entry in x] == [str(entry) for entry in y]
            assert [g.name for g in file_a.electrodes["group"][:]] == [
                g.name for g in file_b.electrodes["group"][:]
            ]
            assert len(file_a.units) == len(file_b.units)
            for row in range(len(file_a.units)):
                for name in ("spike_times", "quality"):
                    assert np.all(file_a.units[name][row] == file_b.units[name][row])
                assert list(file_a.units["electrodes"][row].index) == list(
                    file_b.units["electrodes"][row].index
                )
                groups = [file.units["electrode_group"][row].name for file in (file_a, file_b)]
                assert groups[0] == groups[1]
            planes = [
                file.processing["ophys"]["ImageSegmentation"]["ps"]["pixel_mask"][:]
                for file in (file_a, file_b)
            ]
            assert [m.dtype for m in planes[0]] == [m.dtype for m in planes[1]]
            assert [m.tolist() for m in planes[0]] == [m.tolist() for m in planes[1]]
            assert file_a.session_start_time == file_b.session_start_time
            assert file_a.file_create_date == file_b.file_create_date


def _series(entry: Any) -> tuple[int, int, str]:
    return int(entry.idx_start), int(entry.count), entry.timeseries.name


def test_links_and_references_of_a_released_store_lead_to_the_same_objects(
    released: Released,
) -> None:
    with NWBZarrIO(released.store, "r") as io:
        nwbfile = io.read()
        acquisition = nwbfile.acquisition
        linked = acquisition["linked_ts"]
        assert acquisition["shares_timestamps"].timestamps is linked.timestamps
        assert acquisition["shares_data"].data is linked.data
        group = nwbfile.electrode_groups["shank0"]
        assert all(entry is group for entry in nwbfile.electrodes["group"][:])
        assert all(entry is group for entry in nwbfile.units["electrode_group"][:])
        assert nwbfile.trials["timeseries"][0][0].timeseries is acquisition["es"]
        assert acquisition["es"].electrodes.table is nwbfile.electrodes
        response = nwbfile.intracellular_recordings["responses"]["response"][0]
        assert response.timeseries is acquisition["resp"]
        assert acquisition["resp"].electrode is nwbfile.icephys_electrodes["ic"]


def test_a_released_store_is_as_valid_as_its_twin(released: Released) -> None:
    def errors(io: Any) -> list[str]:
        with io:
            return sorted(str(error) for error in validate(io=io))

    twin = errors(NWBHDF5IO(released.twin, "r"))
    assert errors(NWBZarrIO(released.store, "r")) == twin


def test_the_cached_specifications_of_a_released_store_are_found(released: Released) -> None:
    names = {"core", "hdmf-common", "hdmf-experimental"}
    assert set(NWBZarrIO.get_namespaces(released.store)) == names
    with NWBZarrIO(released.store, "r", load_namespaces=True) as io:
        assert io.read().identifier
        assert "specifications" not in io.read_builder().groups


def test_specifications_that_were_cached_later_than_the_metadata_are_exported(
    released: Released, tmp_path: Path
) -> None:
    with NWBZarrIO(released.store, "r") as source, NWBZarrIO(tmp_path / "new.zarr", "w") as io:
        io.export(source)
    with NWBHDF5IO(released.twin, "r") as twin:
        cached = twin.get_namespaces(str(released.twin))
    exported = NWBZarrIO.get_namespaces(tmp_path / "new.zarr")
    assert {name: str(version) for name, version in exported.items()} == cached


def test_reserved_attributes_are_not_shown(released: Released) -> None:
    def names(builder: Any) -> Iterator[str]:
        yield from builder.attributes
        for kind in ("groups", "datasets"):
            for child in getattr(builder, kind, {}).values():
                yield from names(child)

    shown = set(names(reading(released.store)))
    assert not [name for name in shown if name.startswith(("_", ".", "zarr_"))]


def test_the_expanded_compound_of_release_0_6_is_one_warning(
    tmp_path: Path,
) -> None:
    with tarfile.open(DATA / "v0.6.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reading(next(tmp_path.glob("*.nwb.zarr")))
    said = [str(entry.message) for entry in caught]
    assert len([text for text in said if "stored expanded" in text]) == 1
    assert any(
        "s0.6.0.nwb.zarr:/processing/ophys/ImageSegmentation/ps/pixel_mask" in t for t in said
    )


# -- requests --------------------------------------------------------------------------------------


class CountingStore(WrapperStore):  # type: ignore[type-arg]
    """Notes the keys that are asked for."""

    def __init__(self, store: Any, requests: list[str] | None = None) -> None:
        super().__init__(store)
        self.requests: list[str] = [] if requests is None else requests

    def _with_store(self, store: Any) -> CountingStore:
        return CountingStore(store, self.requests)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        self.requests.append(key)
        return await super().get(key, prototype, byte_range)


def test_opening_a_consolidated_store_asks_for_its_root_alone(released: Released) -> None:
    store = CountingStore(in_memory(released.store))
    with ZarrIO(store, "r"):
        assert set(store.requests) <= {"zarr.json", ".zmetadata", ".zgroup", ".zarray"}
        assert len(store.requests) == len(set(store.requests))


def asked_arrays(store: CountingStore) -> set[str]:
    """Paths of the arrays of which chunks were asked for."""
    return {key.rpartition("/")[0] for key in store.requests if key.rpartition("/")[2][0].isdigit()}


def test_reading_builders_asks_for_scalars_and_what_constructors_look_at(
    released: Released,
) -> None:
    store = CountingStore(in_memory(released.store))
    with NWBZarrIO(store, "r") as io:
        io.read_builder()
    for path in asked_arrays(store):
        attributes = json.loads((released.store / path / ".zattrs").read_text())
        assert (
            attributes["zarr_dtype"] == "scalar"
            or path.startswith("specifications")
            or attributes.get("neurodata_type") in TYPES_READ_BY_CONSTRUCTORS
            or path in PATHS_READ_BY_CONSTRUCTORS
        )


def test_reading_containers_asks_for_no_large_column(released: Released) -> None:
    store = CountingStore(in_memory(released.store))
    with NWBZarrIO(store, "r") as io:
        nwbfile = io.read()
        assert not asked_arrays(store) & {
            *("intervals/trials/timeseries", "intervals/trials/tag", "units/electrode_group"),
            *("units/quality", "units/spike_times", "acquisition/es/data"),
            *("general/extracellular_ephys/electrodes/group", "acquisition/linked_ts/timestamps"),
        }
        store.requests.clear()
        assert nwbfile.acquisition["es"].data[3, 1] == nwbfile.acquisition["es"].data[:][3, 1]
        assert asked_arrays(store) == {"acquisition/es/data"}


def test_references_and_text_are_decoded_chunk_by_chunk() -> None:
    made = Format2Store()
    made.group("target", neurodata_type="X")
    made.references("references", [reference("/target")] * 10, chunks=(2,))
    made.references("json", [reference("/target")] * 10, chunks=(2,), codec=JSON2)
    made.text("text", [str(n) for n in range(10)], chunks=(2,))
    files = {key: event_loop.to_buffer(content) for key, content in made.files().items()}
    store = CountingStore(MemoryStore(files))
    with ZarrIO(store, "r") as io:
        builder = io.read_builder()
        store.requests.clear()
        assert path_of(builder["references"].data[5]) == "/target"
        assert path_of(builder["json"].data[9]) == "/target"
        assert builder["text"].data[4:6].tolist() == ["4", "5"]
        assert store.requests == ["references/2", "json/4", "text/2"]


# -- stores made by hand ---------------------------------------------------------------------------


@pytest.fixture
def made() -> Format2Store:
    return Format2Store()


SaveStore = Callable[[], Any]


@pytest.fixture(params=["consolidated", "not consolidated", "memory"])
def saved(request: pytest.FixtureRequest, made: Format2Store, tmp_path: Path) -> SaveStore:
    """Saves the store in one of several ways."""

    def save() -> Any:
        if request.param == "memory":
            files = {key: event_loop.to_buffer(content) for key, content in made.files().items()}
            return MemoryStore(files)
        return made.save(tmp_path / "made.zarr", consolidated=request.param == "consolidated")

    return save


def test_dimension_names_are_not_attributes(made: Format2Store, saved: SaveStore) -> None:
    names = {"_ARRAY_DIMENSIONS": ["time", "channel"], "unit": "V"}
    made.array("data", np.zeros((3, 2)), "float64", attributes=names)
    builder = reading(saved())["data"]
    assert dict(builder.attributes) == {"unit": "V"}
    assert builder.dimension_labels == ("time", "channel")


@pytest.mark.parametrize("way", ["read", "upgrade", "back", 2, 3])
def test_a_length_in_the_place_of_a_dimension_name_is_no_name(
    made: Format2Store, tmp_path: Path, way: str | int
) -> None:
    """As specifications of extensions have it, and releases recorded it."""
    made.array("data", np.arange(3.0), "float64", attributes={"_ARRAY_DIMENSIONS": [3]})
    path = in_another(made.save(tmp_path / "made.zarr"), way)
    builder = reading(path)["data"]
    assert builder.data[:].tolist() == [0, 1, 2]
    assert {type(name) for name in builder.dimension_labels or ()} <= {str}
    for node in path.glob("data/zarr.json"):
        names = json.loads(node.read_text()).get("dimension_names") or []
        assert {type(name) for name in names} <= {str, type(None)}


@pytest.mark.parametrize("separator", [None, ".", "/"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", ">i2", "<u4", "|i1", "|b1", ">f2", "<c8", ">c16"])
@pytest.mark.parametrize("way", ["read", "upgrade"])
def test_arrays_are_read_in_every_layout(
    made: Format2Store, tmp_path: Path, separator: str | None, order: str, dtype: str, way: str
) -> None:
    data = (np.arange(35).reshape(5, 7) % 3).astype(dtype)
    if data.dtype.kind == "c":
        data.imag = -np.arange(35).reshape(5, 7)
    made.array("data", data, chunks=(2, 3), separator=separator, order=order, fill_value=None)
    builder = reading(in_another(made.save(tmp_path / "made.zarr"), way))["data"]
    assert builder.data.shape == (5, 7)
    assert builder.data[:].tolist() == data.tolist()
    assert builder.data[1:4, ::2].tolist() == data[1:4, ::2].tolist()
    assert np.dtype(builder.dtype) == data.dtype


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "filters",
    [
        [{"id": "delta", "dtype": "<i4"}],
        [{"id": "shuffle", "elementsize": 4}],
        [{"id": "delta", "dtype": "<i4"}, {"id": "shuffle", "elementsize": 4}],
        [{"id": "fixedscaleoffset", "offset": 0, "scale": 2, "dtype": "<i4", "astype": "<i8"}],
        [{"id": "zlib", "level": 3}],
        [{"id": "astype", "encode_dtype": "<i8", "decode_dtype": "<i4"}],
    ],
    ids=lambda filters: "+".join(entry["id"] for entry in filters),
)
def test_filters_are_undone(
    made: Format2Store, tmp_path: Path, filters: list[dict[str, Any]], order: str
) -> None:
    data = np.arange(-30, 30, dtype="<i4").reshape(10, 6) ** 3
    made.array("data", data, "int32", chunks=(4, 4), filters=filters, order=order)
    read = reading(made.save(tmp_path / "made.zarr"))["data"].data
    assert read[:].tolist() == data.tolist()
    assert read[:].dtype == np.int32


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "made_of",
    [
        {"id": "delta", "dtype": "|u1", "astype": "<i8"},
        {"id": "astype", "encode_dtype": "<i2", "decode_dtype": "|u1"},
        {"id": "delta", "dtype": ">i2", "astype": "<i4"},
        {"id": "quantize", "digits": 5, "dtype": ">f8", "astype": ">f8"},
        {"id": "fixedscaleoffset", "offset": 0, "scale": 1, "dtype": "<f4", "astype": ">i2"},
        {"id": "astype", "encode_dtype": ">i4", "decode_dtype": "<i2"},
    ],
    ids=lambda entry: entry["id"] + entry.get("dtype", entry.get("decode_dtype", "")),
)
@pytest.mark.parametrize("way", ["read", "upgrade", 2, 3])
def test_a_filter_that_changes_the_order_of_bytes_is_undone(
    made: Format2Store, tmp_path: Path, made_of: dict[str, Any], order: str, way: str | int
) -> None:
    dtype = made_of.get("dtype", made_of.get("decode_dtype"))
    data = np.arange(60, dtype=dtype).reshape(10, 6)
    made.array("data", data, chunks=(4, 4), filters=[made_of], order=order, fill_value=None)
    found = reading(in_another(made.save(tmp_path / "made.zarr"), way))["data"].data
    np.testing.assert_array_equal(found[:], data)
    assert found.dtype.newbyteorder("=") == data.dtype.newbyteorder("=")


WIDER = [
    {"id": "delta", "dtype": "<i2"},
    {"id": "astype", "encode_dtype": "<i4", "decode_dtype": "<i2"},
    {"id": "fixedscaleoffset", "offset": 0, "scale": 1, "dtype": "<i2", "astype": "<i2"},
    {"id": "base64"},
]


@pytest.mark.parametrize("made_of", WIDER, ids=lambda entry: entry["id"])
@pytest.mark.parametrize("way", ["read", "upgrade"])
def test_rows_that_filters_cannot_hold_are_refused_and_others_appended(
    made: Format2Store, tmp_path: Path, made_of: dict[str, Any], way: str
) -> None:
    data = np.arange(6, dtype="<i2")
    made.array("data", data, "int16", chunks=(4,), filters=[made_of], compressor=None)
    path = in_another(made.save(tmp_path / "made.zarr"), way)
    with ZarrIO(path, "r+") as io:
        array = io.read_builder()["data"].data
        array.append(np.arange(6, 15, dtype="<i2"))
        if not (made_of["id"] == "base64" and way == "upgrade"):  # it was decoded and written anew
            with pytest.raises(DtypeError, match=r":/data is too narrow .* filters"):
                array.append(np.array([70_000]))
    found = reading(path)["data"].data
    np.testing.assert_array_equal(found[:], np.arange(15))
    assert found.dtype == np.int16


@pytest.mark.parametrize(
    "rounded",
    [
        {"id": "quantize", "digits": 2, "dtype": "<f8", "astype": "<f8"},
        {"id": "fixedscaleoffset", "offset": 0, "scale": 10, "dtype": "<f8", "astype": "<i2"},
        {"id": "astype", "encode_dtype": "<f4", "decode_dtype": "<f8"},
    ],
    ids=lambda entry: entry["id"],
)
def test_rows_are_appended_where_a_filter_rounds_them(
    made: Format2Store, tmp_path: Path, rounded: dict[str, Any]
) -> None:
    made.array("data", np.arange(6.0), "float64", chunks=(4,), filters=[rounded])
    path = made.save(tmp_path / "made.zarr")
    rows = [1.123456789, 2.34567891, 3.3]
    with ZarrIO(path, "r+") as io:
        io.read_builder()["data"].data.append(rows)
    found = reading(path)["data"].data[:]
    np.testing.assert_allclose(found, [*range(6), *rows], atol=0.05)
    assert found[6:].tolist() != rows


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("way", ["read", "upgrade", 2, 3])
def test_records_of_big_endian_fields_are_read_in_either_order(
    made: Format2Store, tmp_path: Path, order: str, way: str | int
) -> None:
    data = np.zeros((3, 4), dtype=[("a", ">i4"), ("b", "<f8")])
    data["a"], data["b"] = np.arange(12).reshape(3, 4), np.arange(12).reshape(3, 4) / 4
    made.array("data", data, chunks=(2, 3), order=order, fill_value=None)
    found = reading(in_another(made.save(tmp_path / "made.zarr"), way))["data"].data
    assert found[...].tolist() == data.tolist()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["<i4", ">i4"])
def test_chunks_in_folders_are_exported(
    made: Format2Store, tmp_path: Path, order: str, zarr_format: int, dtype: str
) -> None:
    data = np.arange(1, 36, dtype=dtype).reshape(5, 7)
    made.array("data", data, chunks=(2, 3), separator="/", order=order)
    new = in_another(made.save(tmp_path / "made.zarr"), zarr_format)
    found = reading(new)["data"].data
    np.testing.assert_array_equal(found[:], data)
    group = zarr.open_group(new, mode="r", use_consolidated=False)
    np.testing.assert_array_equal(group["data"][:], data)


@pytest.mark.parametrize(
    "compressor",
    [
        None,
        BLOSC,
        {**BLOSC, "cname": "zstd", "shuffle": 2},
        {**BLOSC, "shuffle": -1},
        {"id": "zlib", "level": 1},
        {"id": "gzip", "level": 1},
        {"id": "zstd", "level": 3},
        {"id": "lz4", "acceleration": 1},
        {"id": "bz2", "level": 1},
        {"id": "lzma", "format": 1, "check": -1, "preset": None, "filters": None},
    ],
    ids=lambda entry: "none" if entry is None else entry["id"],
)
def test_compressors_are_undone(
    made: Format2Store, tmp_path: Path, compressor: dict[str, Any] | None
) -> None:
    made.array("numbers", np.arange(50.0), "float64", chunks=(20,), compressor=compressor)
    made.text("text", ["ä", "", "b"], compressor=compressor)
    made.references("references", [reference("/numbers")], compressor=compressor)
    builder = reading(made.save(tmp_path / "made.zarr"))
    assert values(builder["numbers"]) == np.arange(50.0).tolist()
    assert values(builder["text"]) == ["ä", "", "b"]
    assert values(builder["references"]) == ["-> /numbers"]


@pytest.mark.parametrize("fill_value", [0, None, "", "0"])
def test_any_fill_value_of_text_is_taken(
    made: Format2Store, saved: SaveStore, fill_value: Any
) -> None:
    made.text("text", ["ä", "", "日本"], chunks=(2,), fill_value=fill_value)
    builder = reading(saved())["text"]
    assert values(builder) == ["ä", "", "日本"]
    assert builder.data.dtype == object


def test_scalars_of_every_kind_are_read(made: Format2Store, saved: SaveStore) -> None:
    given = {
        "int8": np.int8(-3),
        "uint64": np.uint64(2**64 - 1),
        "float32": np.float32(0.1),
        "float64": np.float64("nan"),
        "bool": np.bool_(1),
        "text": "hä\nllo",
        "empty": "",
        "date": b"2024-01-01T00:00:00+00:00",
    }
    for name, value in given.items():
        made.scalar(name, value)
    builder = reading(saved())
    for name, value in given.items():
        found = builder[name].data
        expected = value.decode() if isinstance(value, bytes) else value
        assert np.asarray(found).shape == ()
        assert repr(found) == repr(expected)
    assert {builder[name].maxshape for name in given} == {()}


@pytest.mark.parametrize(
    ("zarr_dtype", "dtype"),
    [
        *(("int16", "<i2"), ("<i2", "<i2"), ("int", "<i8"), ("float", "<f8"), ("float64", "<f8")),
        *(("bool", "|b1"), ("bool_", "|b1"), ("|b1", "|b1"), (">f4", ">f4"), ("uint8", "|u1")),
        *((None, "<u2"), ("unknown", "<u2")),
    ],
)
def test_element_types_are_read_in_every_spelling(
    made: Format2Store, saved: SaveStore, zarr_dtype: str | None, dtype: str
) -> None:
    data = np.array([1, 0, 1], dtype=dtype)
    made.array("data", data, zarr_dtype)
    builder = reading(saved())["data"]
    assert np.dtype(builder.dtype) == data.dtype
    assert values(builder) == data.tolist()


@pytest.mark.parametrize(
    "text", ["text", "", '{"source": ".", "path": "/data"}', "{", "x" * 70_000]
)
@pytest.mark.parametrize("way", ["read", "upgrade", "back", 2, 3])
def test_pickled_text_that_stands_alone_is_text(
    made: Format2Store, tmp_path: Path, text: str, way: str | int
) -> None:
    made.array("data", np.arange(3))
    made.array("text", objects(text), "scalar", filters=[PICKLE])
    path = in_another(made.save(tmp_path / "made.zarr"), way)
    found = reading(path)["text"]
    assert found.data == text
    assert found.maxshape == ()
    if way != "read":
        assert b"pickle" not in b"".join(node.read_bytes() for node in path.glob("text/*"))


@pytest.mark.parametrize("codec", [PICKLE, JSON2], ids=["pickle", "json2"])
def test_references_are_resolved(
    made: Format2Store, saved: SaveStore, codec: dict[str, Any]
) -> None:
    made.array("group/data", np.arange(3))
    entries = [
        reference("/group"),
        reference("/group/data", object_id="8"),
        reference("group"),
        {"source": ".", "path": "/"},
        reference("/group/data/", unknown="key") if codec is JSON2 else reference("/group/data/"),
    ]
    made.references("references", entries, codec=codec, chunks=(2,))
    builder = reading(saved())["references"]
    assert builder.dtype == "object"
    assert values(builder) == ["-> /group", "-> /group/data", "-> /group", "-> /", "-> /group/data"]
    assert path_of(builder.data[1]) == "/group/data"


COMPOUND = [
    {"name": "start", "dtype": "int32"},
    {"name": "count", "dtype": "int32"},
    {"name": "series", "dtype": "object"},
]
ROWS = [(0, 5, "-> /group"), (-1, 2**31 - 1, "-> /other")]


def _rows() -> list[tuple[int, int, dict[str, Any]]]:
    return [(a, b, reference(target.removeprefix("-> "))) for a, b, target in ROWS]


def _check_rows(builder: Any) -> None:
    assert values(builder) == ROWS
    assert [field["dtype"] for field in builder.dtype] == ["int32", "int32", "object"]
    assert builder.data.shape == (2,)
    row = builder.data[1]
    assert (int(row["start"]), path_of(row["series"])) == (-1, "/other")


def test_compounds_with_references_are_read_from_pickles(
    made: Format2Store, saved: SaveStore
) -> None:
    made.group("group")
    made.group("other")
    data = np.array(_rows(), dtype=[("start", "<i4"), ("count", "<i4"), ("series", "O")])
    made.array("rows", data, COMPOUND, filters=[PICKLE], fill_value="gAVLAC4=", chunks=(1,))
    _check_rows(reading(saved())["rows"])


def test_compounds_with_references_are_read_from_records_in_json(
    made: Format2Store, saved: SaveStore
) -> None:
    made.group("group")
    made.group("other")
    made.array("rows", objects(*map(list, _rows())), COMPOUND, filters=[JSON2])
    _check_rows(reading(saved())["rows"])


def test_compounds_with_references_are_read_from_rows_of_objects(
    made: Format2Store, saved: SaveStore
) -> None:
    made.group("group")
    made.group("other")
    made.array("rows", objects(*map(list, _rows())), COMPOUND, filters=[PICKLE], chunks=(1,))
    _check_rows(reading(saved())["rows"])


@pytest.mark.parametrize("codec", [PICKLE, JSON2], ids=["pickle", "json2"])
def test_compounds_with_references_are_read_from_a_table_of_objects(
    made: Format2Store, saved: SaveStore, codec: dict[str, Any]
) -> None:
    made.group("group")
    made.group("other")
    cells = [cell for row in _rows() for cell in row]
    made.array("rows", objects(*cells, shape=(2, 3)), COMPOUND, filters=[codec])
    with pytest.warns(UserWarning, match=":/rows is a compound that was stored expanded") as said:
        builder = reading(saved())["rows"]
    assert len(said) == 1
    _check_rows(builder)


def test_compounds_of_text_are_read(made: Format2Store, saved: SaveStore) -> None:
    made.group("group")
    fields = [("n", "int32"), ("x", "float64"), ("t", "str"), ("a", "bytes_"), ("r", "object")]
    recorded = [{"name": name, "dtype": dtype} for name, dtype in fields]
    rows = [[1, 0.5, "ä", "abc", reference("/group")], [2, -1e300, "", "", reference("/group")]]
    made.array("rows", objects(*rows), recorded, filters=[JSON2])
    assert values(reading(saved())["rows"]) == [
        (1, 0.5, "ä", b"abc", "-> /group"),
        (2, -1e300, "", b"", "-> /group"),
    ]


def test_compounds_of_numbers_are_read(made: Format2Store, saved: SaveStore) -> None:
    data = np.array([(1, 2, 0.5), (3, 4, np.nan)], dtype=[("x", "<u4"), ("y", ">u2"), ("w", "<f4")])
    fields = [("x", "uint32"), ("y", "uint16"), ("w", "float32")]
    recorded = [{"name": name, "dtype": dtype} for name, dtype in fields]
    made.array("rows", data, recorded, fill_value="AAAAAAAAAAAAAA==", chunks=(1,))
    builder = reading(saved())["rows"]
    assert repr(values(builder)) == repr(data.tolist())
    assert [field["name"] for field in builder.dtype] == ["x", "y", "w"]


def test_an_expanded_compound_is_restored_with_one_warning(
    made: Format2Store, saved: SaveStore
) -> None:
    dtype = np.dtype([("x", "<u4"), ("y", "<u4"), ("w", "<f4")])
    rows = np.array([(n, 10 * n, n / 4) for n in range(5)], dtype=dtype)
    expanded = np.full((5, 3), np.array((99, 98, 97), dtype=dtype))
    for position, name in enumerate(dtype.names or ()):
        expanded[name][:, position] = rows[name]
    recorded = [{"name": name, "dtype": str(dtype[name])} for name in dtype.names or ()]
    made.array("table/rows", expanded, recorded, fill_value=None, chunks=(2, 2))
    with pytest.warns(UserWarning, match="stored expanded by a release") as said:
        builder = reading(saved())
    assert [str(entry.message).partition(" ")[0].endswith(":/table/rows") for entry in said] == [
        True
    ]
    data = builder["table/rows"].data
    assert data.shape == (5,)
    assert len(data) == 5
    assert data[:].tolist() == rows.tolist()
    assert data[:].dtype == dtype
    assert data[1:3].tolist() == rows[1:3].tolist()
    assert data[-1].tolist() == rows[-1].tolist()


def test_a_missing_chunk_holds_the_fill_value(made: Format2Store, saved: SaveStore) -> None:
    made.array("numbers", np.arange(1, 7, dtype="i4"), chunks=(2,), fill_value=-1)
    made.array("nan", np.arange(4.0), chunks=(2,), fill_value="NaN")
    made.array("none", np.arange(1, 5), chunks=(2,), fill_value=None)
    made.text("text", ["a", "b", "c"], chunks=(2,))
    made.references("references", [reference("/numbers")] * 3, chunks=(2,))
    for key in ("numbers/1", "nan/0", "none/1", "text/1", "references/0"):
        del made.chunks[key]
    builder = reading(saved())
    with pytest.warns(
        UserWarning, match=":/numbers/1: the chunk is not there and reads as the fill"
    ):
        assert values(builder["numbers"]) == [1, 2, -1, -1, 5, 6]
    warnings.filterwarnings("ignore", ".*the chunk is not there and reads as the fill value")
    assert repr(values(builder["nan"])) == repr([np.nan, np.nan, 2.0, 3.0])
    assert values(builder["none"]) == [1, 2, 0, 0]
    assert values(builder["text"]) == ["a", "b", ""]
    assert values(builder["references"]) == [None, None, "-> /numbers"]


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (np.array([b"a", b"b", b"c"]), {"fill_value": "eg=="}, [b"a", b"z", b"c"]),
        (np.array([1j, 2j, 3j]), {"fill_value": [1.0, -2.0]}, [1j, 1 - 2j, 3j]),
        (np.array([1j, 2j, 3j]), {"fill_value": 0}, [1j, 0, 3j]),
        (np.array([1j, 2j, 3j]), {"fill_value": None}, [1j, 0, 3j]),
        (np.array(["a", "b", "c"]), {"fill_value": "z"}, ["a", "z", "c"]),
        (np.array(["a", "b", "c"]), {"fill_value": 0}, ["a", "", "c"]),
        (objects("a", "b", "c"), {"fill_value": "z", "filters": [VLEN_UTF8]}, ["a", "z", "c"]),
        (
            objects(b"a", b"b", b"c"),
            {"fill_value": "eg==", "filters": [VLEN_BYTES]},
            [b"a", b"z", b"c"],
        ),
        (
            np.array([(1, 2.0), (3, 4.0), (5, 6.0)], dtype="<i4,<f4"),
            {"fill_value": "BwAAAAAAgL8="},
            [(1, 2.0), (7, -1.0), (5, 6.0)],
        ),
        (
            np.array([(1, "a"), (3, "b"), (5, "c")], dtype="<i4,<U1"),
            {"fill_value": None},
            [(1, "a"), (0, ""), (5, "c")],
        ),
    ],
    ids=[
        *("bytes", "complex", "complex-zero", "complex-none"),
        *("unicode", "zero", "text", "variable", "record", "empty-record"),
    ],
)
@pytest.mark.parametrize("way", ["read", "upgrade", "back", 2, 3])
@pytest.mark.filterwarnings("ignore:.*chunk")
@pytest.mark.filterwarnings("ignore:.*chunks; the others")
def test_a_missing_chunk_of_no_real_numbers_holds_the_fill_value(
    made: Format2Store,
    tmp_path: Path,
    data: np.ndarray,
    options: dict[str, Any],
    expected: list[Any],
    way: str | int,
) -> None:
    made.array("data", data, chunks=(1,), **options)
    del made.chunks["data/1"]
    found = reading(in_another(made.save(tmp_path / "made.zarr"), way))["data"].data
    assert found[:].tolist() == expected


def test_numbers_that_are_not_finite_are_read(made: Format2Store, saved: SaveStore) -> None:
    given = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": [1.0, float("nan")]}
    made.group("", **given)
    assert b"NaN" in made.files()[".zattrs"]
    assert b"-Infinity" in made.files()[".zattrs"]
    found = reading(saved()).attributes
    assert repr({name: np.asarray(found[name]).tolist() for name in given}) == repr(given)


def test_references_in_attributes_are_resolved(made: Format2Store, saved: SaveStore) -> None:
    made.group("group")
    value = {"zarr_dtype": "object", "value": reference("/group")}
    made.array("data", np.zeros(1), attributes={"table": value})
    made.group("", points=value)
    builder = reading(saved())
    assert builder["data"].attributes["table"] is builder["group"]
    assert builder.attributes["points"] is builder["group"]


def test_links_lead_to_their_targets(made: Format2Store, saved: SaveStore) -> None:
    made.array("group/data", np.arange(3))
    made.link("group", "beside", "/group/data")
    made.link("other", "up", "group", object_id="extra", unknown=[1])
    made.link("other", "through", "/other/up/data")
    builder = reading(saved())
    assert builder["group"].links["beside"].builder is builder["group/data"]
    assert builder["other"].links["up"].builder is builder["group"]
    assert builder["other"].links["through"].builder is builder["group/data"]
    assert "zarr_link" not in builder["group"].attributes


def test_the_location_of_the_specifications_is_a_plain_string(
    made: Format2Store, saved: SaveStore
) -> None:
    text = json.dumps({"groups": []})
    made.group("", **{".specloc": "specifications"})
    for name in ("namespace", "extension"):
        path = f"specifications/ns/1.0/{name}"
        made.array(path, objects(text), filters=[JSON2], compressor=None, fill_value=0)
    store = saved()
    builder = reading(store)
    assert dict(builder.attributes) == {}
    assert set(builder.groups) == set()
    assert (
        made.chunks["specifications/ns/1.0/namespace/0"]
        == json.dumps([text, "|O", [1]], separators=(",", ":")).encode()
    )


def test_an_empty_array_is_read(made: Format2Store, saved: SaveStore) -> None:
    made.array("numbers", np.zeros((0, 3)), "float64", chunks=(1, 3))
    made.text("text", [])
    made.references("references", [])
    builder = reading(saved())
    assert builder["numbers"].data[:].shape == (0, 3)
    assert values(builder["text"]) == []
    assert values(builder["references"]) == []


def test_chunks_of_no_elements_are_read(made: Format2Store, saved: SaveStore) -> None:
    made.array("numbers", np.zeros((0, 3)), "float64", chunks=(1, 3))
    made.documents["numbers/.zarray"]["chunks"] = [0, 3]
    assert reading(saved())["numbers"].data[:].shape == (0, 3)


def test_fixed_bytes_are_read(made: Format2Store, saved: SaveStore) -> None:
    data = np.array([b"ab", b"c", b""], dtype="S4")
    made.array("data", data, fill_value="", chunks=(2,))
    assert values(reading(saved())["data"]) == data.tolist()


def test_bytes_are_read(made: Format2Store, saved: SaveStore) -> None:
    made.array("dates", objects(b"2024-01-01", b"x"), "bytes", filters=[VLEN_BYTES], chunks=(1,))
    builder = reading(saved())["dates"]
    assert values(builder) == [b"2024-01-01", b"x"]


def test_text_of_many_dimensions_is_read(made: Format2Store, saved: SaveStore) -> None:
    data = objects("a", "", "ä", "b", "日", "x", shape=(2, 3))
    made.array("text", data, "str", filters=[VLEN_UTF8], chunks=(2, 2))
    assert values(reading(saved())["text"]) == data.tolist()


# -- sources ---------------------------------------------------------------------------------------


def _pointing(source: str, path: str = "/data") -> Format2Store:
    made = Format2Store()
    made.array("data", np.array([1, 2]), "int64", attributes={"of": "this store"})
    made.link("group", "link", path, source)
    made.references("pickled", [reference(path, source)])
    made.references("json", [reference(path, source)], codec=JSON2)
    made.group("group", points={"zarr_dtype": "object", "value": reference(path, source)})
    return made


def _targets(builder: GroupBuilder) -> set[tuple[str, str]]:
    found = [
        builder["group"].links["link"].builder,
        builder["pickled"].data[0],
        builder["json"].data[0],
        builder["group"].attributes["points"],
    ]
    targets = [getattr(entry, "builder", entry) for entry in found]
    return {(entry.source, path_of(entry)) for entry in targets}


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        *(".", "", "store.zarr", "./store.zarr", "../store.zarr", "../../old/store.zarr"),
        *("old/store.zarr", "/somewhere/else/store.zarr", "store.zarr/"),
    ],
)
def test_the_store_itself_is_found_in_every_spelling(
    tmp_path: Path, source: str, *, consolidated: bool
) -> None:
    path = _pointing(source).save(tmp_path / "store.zarr", consolidated=consolidated)
    assert _targets(reading(path)) == {(str(path), "/data")}


def test_a_source_of_nothing_is_the_store_itself(tmp_path: Path) -> None:
    made = _pointing(".")
    del made.documents["group/.zattrs"]["zarr_link"][0]["source"]
    made.documents["group/.zattrs"]["points"]["value"]["source"] = None
    path = made.save(tmp_path / "store.zarr")
    assert _targets(reading(path)) == {(str(path), "/data")}


@pytest.mark.parametrize("source", ["../other.zarr", "other.zarr", "./other.zarr"])
def test_another_store_is_found_beside_the_store_or_its_folder(tmp_path: Path, source: str) -> None:
    other = _pointing(".").save(tmp_path / "other.zarr")
    path = _pointing(source).save(tmp_path / "store.zarr")
    assert _targets(reading(path)) == {(str(other), "/data")}


def test_another_store_is_found_in_another_folder(tmp_path: Path) -> None:
    other = _pointing(".").save(tmp_path / "away" / "other.zarr")
    for name, source in (("a", "../away/other.zarr"), ("b", "away/other.zarr")):
        path = _pointing(source).save(tmp_path / f"{name}.zarr")
        assert _targets(reading(path)) == {(str(other), "/data")}


def _kept(made: Format2Store, place: str, path: str, name: str) -> str | Path:
    """Where a store was saved: on the disk, or behind a URL."""
    if place == "disk":
        return made.save(Path(path) / name)
    fsspec = pytest.importorskip("fsspec")
    url = f"memory://{Path(path).name}/{name}"
    for key, content in made.files().items():
        fsspec.filesystem("memory").pipe(f"{url}/{key}", content)
    return url


@pytest.mark.parametrize("place", ["disk", "URL"])
@pytest.mark.parametrize(
    ("source", "name", "object_id"),
    [
        ("old.zarr", "old.zarr", None),  # of release 0.10
        ("old.zarr", "new.zarr", "7"),
        ("/somewhere/old.zarr", "old.zarr", None),  # of release 0.1
        ("C:\\somewhere\\old.zarr", "old.zarr", None),
    ],
)
def test_a_store_that_was_moved_or_renamed_is_itself(
    tmp_path: Path, place: str, source: str, name: str, object_id: str | None
) -> None:
    made = _pointing(source)
    made.group("", object_id=object_id or "another")
    path = _kept(made, place, str(tmp_path), name)
    assert _targets(reading(path)) == {(str(path), "/data")}


@pytest.mark.parametrize("place", ["disk", "URL"])
@pytest.mark.parametrize("object_id", ["another", None])
def test_a_store_that_is_away_is_not_taken_for_the_one_that_names_it(
    tmp_path: Path, place: str, object_id: str | None
) -> None:
    made = _pointing("away.zarr")
    made.group("", object_id=object_id)
    path = _kept(made, place, str(tmp_path), "store.zarr")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        builder = reading(path)
    assert "away.zarr" in str(caught[0].message)
    assert "link" not in builder["group"].links
    for name in ("pickled", "json"):
        with pytest.raises(BrokenLinkError, match=r"away\.zarr"):
            builder[name].data[0]


@pytest.mark.parametrize("source", ["../other.zarr", "other.zarr", "./../other.zarr"])
def test_another_store_is_found_beside_the_store_on_a_server(tmp_path: Path, source: str) -> None:
    other = _kept(_pointing("."), "URL", str(tmp_path), "other.zarr")
    path = _kept(_pointing(source), "URL", str(tmp_path), "store.zarr")
    assert _targets(reading(path)) == {(other, "/data")}


def test_a_store_of_the_same_name_in_another_folder_of_a_server_is_another(tmp_path: Path) -> None:
    path = _kept(_pointing("../away/store.zarr"), "URL", str(tmp_path), "store.zarr")
    with pytest.raises(BrokenLinkError, match=r"away/store\.zarr"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reading(path)["pickled"].data[0]


def test_a_renamed_store_beside_its_old_name_leads_to_the_one_that_exists(tmp_path: Path) -> None:
    other = _pointing(".").save(tmp_path / "old.zarr")
    path = _pointing("old.zarr").save(tmp_path / "new.zarr")
    assert _targets(reading(path)) == {(str(other), "/data")}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_links_to_a_store_of_format_2(tmp_path: Path, zarr_format: int) -> None:
    other = _pointing(".").save(tmp_path / "other.zarr")
    with ZarrIO(other, "r") as source:
        builder = source.read_builder()
        root = GroupBuilder("root", source=str(tmp_path / "linking.zarr"))
        linking = GroupBuilder("linking")
        root.set_group(linking)
        linking.set_link(LinkBuilder(builder["data"], name="link"))
        linking.set_attribute("points", ReferenceBuilder(builder["data"]))
        with ZarrIO(tmp_path / "linking.zarr", "w", zarr_format=zarr_format) as io:
            io.write_builder(root)
    with ZarrIO(tmp_path / "linking.zarr", "r") as io:
        assert is_zarr_v2_file(tmp_path / "linking.zarr") == (zarr_format == 2)
        found = io.read_builder()["linking"]
        target = found.links["link"].builder
        assert (target.source, path_of(target)) == (str(other), "/data")
        assert target.data[:].tolist() == [1, 2]
        assert dict(target.attributes) == {"of": "this store"}
        assert path_of(found.attributes["points"]) == "/data"


def test_a_link_to_a_store_that_is_away_costs_that_link_alone(tmp_path: Path) -> None:
    path = _pointing(".").save(tmp_path / "store.zarr")
    made = _pointing(".")
    made.link("group", "away", "/data", "../away.zarr")
    path = made.save(tmp_path / "store.zarr")
    with pytest.warns(UserWarning, match="away"):
        builder = reading(path)
    assert set(builder["group"].links) == {"link"}


# -- nothing else changes --------------------------------------------------------------------------


def test_reading_changes_no_file(copy: Path, released: Released) -> None:
    def snapshot() -> dict[str, bytes]:
        return {str(p.relative_to(copy)): p.read_bytes() for p in copy.rglob("*") if p.is_file()}

    before = snapshot()
    for mode in ("r", "r-", "r+"):
        with NWBZarrIO(copy, mode) as io:
            io.read()
    assert snapshot() == before
    assert released.store != copy


def test_reading_changes_nothing_of_numcodecs(released: Released) -> None:
    before = dict(numcodecs.registry.codec_registry)
    unequal(released.store, released.twin)
    assert numcodecs.registry.codec_registry == before
    assert numcodecs.registry.get_codec({"id": "zlib"}).codec_id == "zlib"


def test_zarrs_own_group_of_the_store_holds_its_arrays(made: Format2Store, tmp_path: Path) -> None:
    made.array("group/data", np.arange(3))
    data = np.array([(1, 2)], dtype=[("x", ">u2"), ("y", "<f4")])
    made.array("rows", data, fill_value=None)
    with ZarrIO(made.save(tmp_path / "made.zarr"), "r") as io:
        group = io._file
        assert group["group/data"][:].tolist() == [0, 1, 2]
        assert group["rows"][:].tolist() == [(1, 2)]
