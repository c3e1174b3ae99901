"""What packages in the wild do with our objects, each as a test that says who does it."""

from __future__ import annotations

import importlib
import io as python_io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.backends.io import HDMFIO
from hdmf.build import TypeMap
from hdmf.common import VectorData, VectorIndex
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, get_manager, read_nwb, validate
from pynwb.misc import Units
from pynwb.testing.mock.ecephys import mock_ElectricalSeries
from pynwb.testing.mock.file import mock_NWBFile
from zarr.storage import LocalStore, MemoryStore

import hdmf_zarr
from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.errors import EncodingError
from tests.conftest import nwb_catalog
from tests.iterators import ArrayIterator

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:(hdmf|pynwb)\.")


def small_file() -> NWBFile:
    nwbfile = NWBFile(
        session_description="habits",
        identifier="habits",
        session_start_time=datetime(2024, 1, 1, tzinfo=UTC),
    )
    nwbfile.add_acquisition(
        TimeSeries(name="ts", data=np.arange(60, dtype="i2").reshape(20, 3), unit="V", rate=10.0)
    )
    nwbfile.add_unit_column("quality", "text")
    for unit in range(3):
        nwbfile.add_unit(spike_times=np.arange(unit + 1) / 10, quality="gööd")
    return nwbfile


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with NWBZarrIO(tmp_path / "habits.nwb.zarr", "w") as io:
        io.write(small_file())
    return tmp_path / "habits.nwb.zarr"


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    with NWBHDF5IO(tmp_path / "habits.nwb", "w") as io:
        io.write(small_file())
    return tmp_path / "habits.nwb"


# -- hdmf and pynwb --------------------------------------------------------------------------------


def test_the_public_names_are_where_they_were() -> None:
    from hdmf_zarr import backend, nwb, utils

    assert hdmf_zarr.NWBZarrIO is nwb.NWBZarrIO
    assert hdmf_zarr.ZarrIO is backend.ZarrIO
    assert hdmf_zarr.ZarrDataIO is utils.ZarrDataIO
    assert (backend.ROOT_NAME, backend.SPEC_LOC_ATTR) == ("root", ".specloc")
    assert backend.DEFAULT_SPEC_LOC_DIR == "specifications"
    assert issubclass(LocalStore, backend.SUPPORTED_ZARR_STORES)
    reference = utils.ZarrReference(source=".", path="/a")
    assert (reference["source"], reference["path"]) == (reference.source, reference.path)
    assert issubclass(ZarrIO, HDMFIO)


def test_data_are_wrapped_again_with_their_io_parameters() -> None:
    """hdmf makes a new wrapper around changed data."""
    wrapped = ZarrDataIO(np.arange(6), (3,), None, numcodecs.GZip(1))
    again = type(wrapped)(wrapped.data[:3], **wrapped.get_io_params())
    assert again.get_io_params() == wrapped.get_io_params()


@pytest.mark.parametrize("kind", [str, Path])
def test_can_read_takes_str_and_path(store: Path, hdf5: Path, tmp_path: Path, kind: Any) -> None:
    assert NWBZarrIO.can_read(kind(store)) is True
    assert NWBZarrIO.can_read(kind(hdf5)) is False
    assert NWBZarrIO.can_read(kind(tmp_path / "nothing")) is False


def test_pynwb_opens_the_store(store: Path) -> None:
    nwbfile = read_nwb(str(store))
    assert nwbfile.acquisition["ts"].data[-1].tolist() == [57, 58, 59]
    assert isinstance(nwbfile.get_read_io(), NWBZarrIO)


def test_namespaces_load_through_the_class_with_the_arguments_of_hdf5io(store: Path) -> None:
    """pynwb.validate passes all of them to whichever backend reads the file."""
    catalog = nwb_catalog()
    loaded = NWBZarrIO.load_namespaces(
        namespace_catalog=catalog, path=str(store), file=None, driver=None, aws_region=None
    )
    assert "core" in loaded
    assert "core" in catalog.namespaces


def test_namespaces_load_from_an_open_root(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        type_map = TypeMap(nwb_catalog())
        assert "core" in ZarrIO.load_namespaces(type_map, file=io._file)


def test_namespaces_load_from_a_path_given_by_position(store: Path) -> None:
    type_map = TypeMap(nwb_catalog())
    ZarrIO.load_namespaces(type_map, str(store))
    assert "core" in type_map.namespace_catalog.namespaces


def test_validation_takes_the_path_and_the_io(store: Path) -> None:
    assert validate(path=str(store)) == []
    with NWBZarrIO(store, "r") as io:
        assert validate(io=io) == []


def test_a_notebook_shows_the_layout_of_lazy_data(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        nwbfile = io.read()
        table = NWBZarrIO.generate_dataset_html(nwbfile.acquisition["ts"].data)
        assert "Chunk shape" in table
        assert "Zarr" in nwbfile._repr_html_()


def test_the_io_has_manager_and_builders(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        nwbfile = io.read()
        builder = io.manager.get_builder(nwbfile)
        assert builder is io.read_builder()
        assert io.manager.construct(builder) is nwbfile


# -- nwbinspector ----------------------------------------------------------------------------------


def lazy_arrays(nwbfile: NWBFile) -> list[Any]:
    series = nwbfile.acquisition["ts"]
    units = nwbfile.units
    columns = [units["quality"].data, units["spike_times"].target.data, units["spike_times"].data]
    return [series.data, units.id.data, *columns]


def test_every_lazy_array_answers_as_a_dataset(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        for array in lazy_arrays(io.read()):
            assert isinstance(array, zarr.Array)
            assert array.compressor is not None
            assert array.size == np.prod(array.shape)
            assert array.dtype == array[:].dtype
            assert array.name.startswith("/")
            assert len(array) == array.shape[0]
            assert len(list(array)) == len(array)


def test_an_uncompressed_array_has_no_compressor(tmp_path: Path) -> None:
    nwbfile = small_file()
    nwbfile.add_acquisition(
        TimeSeries(name="raw", data=ZarrDataIO(np.arange(5), compressor=False), unit="V", rate=1.0)
    )
    with NWBZarrIO(tmp_path / "raw.zarr", "w") as io:
        io.write(nwbfile)
    with NWBZarrIO(tmp_path / "raw.zarr", "r") as io:
        assert io.read().acquisition["raw"].data.compressor is None


@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint8", "bool"])
def test_arrays_are_indexed_by_arrays(store: Path, dtype: str) -> None:
    with NWBZarrIO(store, "r") as io:
        for array in lazy_arrays(io.read()):
            index = np.array([1, 0, 1] if dtype == "bool" else [0, 2], dtype=dtype)
            if dtype == "bool":
                index = np.concatenate([index, np.zeros(len(array) - 3, dtype=bool)])
            assert np.array_equal(array[index], array[:][index])


def test_arrays_are_indexed_by_whatever_numpy_gives(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        data = io.read().acquisition["ts"].data
        whole = data[:]
        for selection in (
            np.int64(2),
            -1,
            np.uint64(3),
            slice(None, None, 4),
            slice(-5, None),
            (slice(0, 10), 1),
            (slice(0, 10), slice(0, 2)),
            (slice(None), np.array([0, 2], dtype="uint64")),
            [3, 1, 1],
            Ellipsis,
        ):
            assert np.array_equal(data[selection], whole[selection]), selection
        assert np.array_equal(np.asarray(data), whole)
        assert np.array_equal(np.diff(data, axis=0), np.diff(whole, axis=0))


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a", "w"])
def test_the_names_that_clients_reach_for_are_kept(store: Path, mode: str) -> None:
    with NWBZarrIO(store, mode) as io:
        assert io._ZarrIO__mode == mode
        assert isinstance(io._ZarrIO__file, zarr.Group)
        assert isinstance(io._file, zarr.Group)
        assert io.source == str(store)
        assert io.path == io.abspath == str(store)


def test_the_root_gives_the_attributes_and_arrays(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        root = io._ZarrIO__file
        assert root.attrs["nwb_version"]
        assert root["acquisition/ts/data"][0].tolist() == [0, 1, 2]
        assert "acquisition" in root


# -- neuroconv -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "compressor",
    [
        numcodecs.GZip(level=2),
        numcodecs.Blosc("zstd", clevel=3),
        numcodecs.Zstd(level=3),
        numcodecs.LZ4(),
        numcodecs.Zlib(1),
        False,
    ],
    ids=str,
)
def test_the_layout_of_data_is_set_before_writing(tmp_path: Path, compressor: Any) -> None:
    nwbfile = small_file()
    expected = nwbfile.acquisition["ts"].data
    nwbfile.acquisition["ts"].set_data_io(
        "data",
        data_io_class=ZarrDataIO,
        data_io_kwargs={
            "chunks": (10, 3),
            "filters": [numcodecs.Delta(dtype="i2")],
            "compressor": compressor,
        },
    )
    with NWBZarrIO(tmp_path / "set.zarr", "w") as io:
        io.write(nwbfile)
    with NWBZarrIO(tmp_path / "set.zarr", "r") as io:
        array = io.read().acquisition["ts"].data
        assert array.chunks == (10, 3)
        assert array.compressor == (compressor or None)
        assert array.filters == [numcodecs.Delta(dtype="i2")]
        assert np.array_equal(array[:], expected)
        assert Path(array.store.root if hasattr(array.store, "root") else array.store.path) == (
            tmp_path / "set.zarr"
        )


def test_columns_are_set_before_writing(tmp_path: Path) -> None:
    nwbfile = small_file()
    nwbfile.units["spike_times"].target.set_data_io(
        data_io_class=ZarrDataIO, data_io_kwargs={"chunks": (2,)}
    )
    with NWBZarrIO(tmp_path / "set.zarr", "w") as io:
        io.write(nwbfile)
    with NWBZarrIO(tmp_path / "set.zarr", "r") as io:
        column = io.read().units["spike_times"]
        assert column.target.data.chunks == (2,)
        assert column[2].tolist() == [0.0, 0.1, 0.2]


@pytest.mark.parametrize("clear_cache", [True, False])
def test_an_hdf5_file_is_exported_after_changing_the_layout(
    hdf5: Path, tmp_path: Path, *, clear_cache: bool
) -> None:
    """HDMF takes no new wrapper for a modification: clients say that something has changed."""
    with NWBHDF5IO(hdf5, "r") as source:
        nwbfile = source.read()
        nwbfile.acquisition["ts"].set_data_io(
            "data", data_io_class=ZarrDataIO, data_io_kwargs={"chunks": (5, 3)}
        )
        if not clear_cache:
            nwbfile.acquisition["ts"].set_modified()
        with NWBZarrIO(tmp_path / "new.zarr", mode="w") as io:
            io.export(
                nwbfile=nwbfile,
                src_io=source,
                write_args={"link_data": False},
                clear_cache=clear_cache,
            )
    with NWBZarrIO(tmp_path / "new.zarr", "r") as io:
        data = io.read().acquisition["ts"].data
        assert data.chunks == (5, 3)
        assert data[:].tolist() == np.arange(60).reshape(20, 3).tolist()


def test_a_store_is_exported_to_hdf5_with_what_was_added(store: Path, tmp_path: Path) -> None:
    with NWBZarrIO(store, "r") as source, NWBHDF5IO(tmp_path / "new.nwb", "w") as io:
        nwbfile = source.read()
        nwbfile.add_acquisition(TimeSeries(name="added", data=[1.0], unit="V", rate=1.0))
        io.export(nwbfile=nwbfile, src_io=source, write_args={"link_data": False})
    with h5py.File(tmp_path / "new.nwb") as file:
        assert file["acquisition/added/data"][:].tolist() == [1.0]
        assert h5py.check_string_dtype(file["units/quality"].dtype).encoding == "utf-8"
        assert file["units/quality"][0].decode() == "gööd"


def test_a_file_is_read_added_to_and_written_with_one_manager(store: Path) -> None:
    with NWBZarrIO(path=str(store), mode="r+", load_namespaces=True) as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(TimeSeries(name="added", data=[1.0], unit="V", rate=1.0))
        io.write(nwbfile)
    with NWBZarrIO(path=str(store), mode="r", manager=get_manager()) as io:
        assert io.read().acquisition["added"].data[:].tolist() == [1.0]


def iterated(array: np.ndarray, kind: str) -> Any:
    if kind == "generic":
        return ArrayIterator(array, chunk_shape=(2,), buffer_shape=(4,))
    return DataChunkIterator(array, buffer_size=3)


def with_iterators(index: np.ndarray, times: np.ndarray, kind: str) -> NWBFile:
    nwbfile = mock_NWBFile()
    nwbfile.add_acquisition(
        TimeSeries(
            name="ts", data=iterated(times, kind), unit="V", timestamps=iterated(times, kind)
        )
    )
    values = VectorData(name="spike_times", description="d", data=np.arange(20.0))
    column = VectorIndex(name="spike_times_index", data=iterated(index, kind), target=values)
    ids = np.arange(len(index))
    nwbfile.units = Units(name="units", description="d", id=ids, columns=[values, column])
    return nwbfile


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("mode", ["r", "r+", "a"])
def test_the_store_of_data_says_where_it_is(tmp_path: Path, mode: str, zarr_format: int) -> None:
    """An append asks data whether they are of its own file, as in zarr-python 2 and with h5py."""
    path = tmp_path / "said.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(small_file())
    with NWBZarrIO(path, mode) as io:
        nwbfile = io.read()
        for data in (nwbfile.acquisition["ts"].data, nwbfile.units["quality"].data):
            assert Path(data.store.path) == Path(io.source) == path
            assert type(data.store) is LocalStore


def test_a_store_object_of_the_caller_is_not_changed(store: Path) -> None:
    given = LocalStore(store, read_only=True)
    before = dict(vars(given))
    with NWBZarrIO(given, "r") as io:
        assert io.read().acquisition["ts"].data.store is given
    assert vars(given).keys() == before.keys()


@pytest.mark.filterwarnings("ignore::hdmf.build.warnings.DtypeConversionWarning")
@pytest.mark.parametrize("kind", ["simple", "generic"])
def test_iterators_have_the_dtype_of_the_specification(tmp_path: Path, kind: str) -> None:
    """neuroconv wraps what it exports into iterators, whatever its dtype is in the source."""
    index, times = np.arange(1, 10), np.arange(10, dtype="i4")
    dtypes = {}
    for io_class in (NWBHDF5IO, NWBZarrIO):
        path = str(tmp_path / f"{io_class.__name__}.nwb")
        with io_class(path, "w") as io:
            io.write(with_iterators(index, times, kind))
        with io_class(path, "r") as io:
            nwbfile = io.read()
            series, column = nwbfile.acquisition["ts"], nwbfile.units["spike_times"]
            dtypes[io_class] = [series.data.dtype, series.timestamps.dtype, column.data.dtype]
            assert series.timestamps[:].tolist() == times.tolist()
            assert column.data[:].tolist() == index.tolist()
    assert dtypes[NWBZarrIO] == dtypes[NWBHDF5IO] == ["int32", "float64", "uint64"]


@pytest.mark.filterwarnings("ignore::hdmf.build.warnings.DtypeConversionWarning")
def test_no_value_is_changed_for_the_dtype_of_the_specification(tmp_path: Path) -> None:
    """HDF5IO would write 2**64 - 1 for -1."""
    nwbfile = with_iterators(np.array([-1, 2]), np.arange(3.0), "simple")
    with pytest.raises(EncodingError, match="uint64 cannot hold"):
        with NWBZarrIO(tmp_path / "negative.nwb.zarr", "w") as io:
            io.write(nwbfile)
    assert not (tmp_path / "negative.nwb.zarr").exists()


# -- spikeinterface --------------------------------------------------------------------------------


def test_a_store_object_is_read(store: Path) -> None:
    opened = LocalStore(store, read_only=True)
    with NWBZarrIO(path=opened, mode="r", load_namespaces=True) as io:
        data = io.read().acquisition["ts"].data
        assert data.name == "/acquisition/ts/data"
        assert data.path == "acquisition/ts/data"


def test_a_store_in_memory_is_written_and_read() -> None:
    store = MemoryStore()
    with NWBZarrIO(path=store, mode="w") as io:
        io.write(small_file())
    with NWBZarrIO(path=store, mode="r", load_namespaces=True) as io:
        assert io.read().acquisition["ts"].data[0].tolist() == [0, 1, 2]


def test_links_are_found_in_the_attributes(tmp_path: Path) -> None:
    nwbfile = mock_NWBFile()
    series = mock_ElectricalSeries(nwbfile=nwbfile, name="a", data=np.zeros((5, 5)))
    nwbfile.add_acquisition(
        TimeSeries(name="b", data=np.zeros(5), unit="V", timestamps=np.arange(5.0))
    )
    nwbfile.add_acquisition(
        TimeSeries(name="c", data=series, unit="V", timestamps=nwbfile.acquisition["b"])
    )
    with NWBZarrIO(tmp_path / "links.zarr", "w") as io:
        io.write(nwbfile)
    links = zarr.open_group(tmp_path / "links.zarr", mode="r")["acquisition/c"].attrs["_LINKS"]
    assert {(link["name"], link["source"], link["path"]) for link in links} == {
        ("data", ".", "/acquisition/a/data"),
        ("timestamps", ".", "/acquisition/b/timestamps"),
    }


# -- dandi -----------------------------------------------------------------------------------------


def test_keys_are_short_and_zarr_alone_opens_the_store(store: Path) -> None:
    root = zarr.open(store, mode="r")
    assert isinstance(root, zarr.Group)
    assert root["acquisition/ts/data"][:].shape == (20, 3)
    for path in store.rglob("*"):
        if path.is_file() and "specifications" not in path.parts:
            parts = path.relative_to(store).parts
            assert not any(part.startswith("c.") for part in parts[:-1])


# -- hands in notebooks ----------------------------------------------------------------------------


def test_lazy_data_print_what_they_are(store: Path) -> None:
    with NWBZarrIO(store, "r") as io:
        nwbfile = io.read()
        written = python_io.StringIO()
        print(nwbfile, nwbfile.acquisition["ts"], nwbfile.acquisition["ts"].data, file=written)
        assert "shape=(20, 3)" in written.getvalue()
        assert nwbfile.units.to_dataframe()["quality"].tolist() == ["gööd"] * 3
        assert nwbfile.acquisition["ts"].data.info is not None


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("hdmf_zarr", "ZarrIO ZarrDataIO NWBZarrIO ZarrV2IO NWBZarrV2IO is_zarr_v2_file"),
        (
            "hdmf_zarr.backend",
            "ROOT_NAME SPEC_LOC_ATTR DEFAULT_SPEC_LOC_DIR SUPPORTED_ZARR_STORES ZarrIO",
        ),
        ("hdmf_zarr.nwb", "NWBZarrIO"),
        (
            "hdmf_zarr.utils",
            "ZarrDataIO ZarrReference ZarrSpecWriter ZarrSpecReader ZarrIODataChunkIteratorQueue "
            "HDMFZarrArray get_store_path",
        ),
        (
            "hdmf_zarr.zarr_utils",
            "ZarrDataset DatasetOfReferences BuilderResolverMixin ContainerResolverMixin "
            "BuilderZarrTableDataset ContainerZarrTableDataset BuilderZarrReferenceDataset "
            "ContainerZarrReferenceDataset",
        ),
    ],
)
def test_the_names_of_released_versions_are_there(module: str, names: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []
