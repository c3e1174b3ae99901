"""Every file of the corpus: HDF5 -> Zarr -> HDF5, equal builder by builder, validated alike."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest
from hdmf.build import BuildManager
from hdmf.testing import TestCase
from pynwb import NWBHDF5IO, get_type_map, read_nwb, validate

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.conversion import convert
from hdmf_zarr.hdf5 import read_specifications as read_hdf5_specifications
from hdmf_zarr.read.specifications import read_specifications
from tests.compare import assert_builders_equal, differences
from tests.conftest import corpus_files
from tests.integration.test_corpus_options import differences as hdf5_differences

pytestmark = [
    pytest.mark.skipif(not corpus_files(), reason="the corpus is not on this machine"),
    pytest.mark.filterwarnings("ignore"),
]


@dataclass(frozen=True)
class Copied:
    """A file of the corpus and its copies."""

    source: Path
    zarr: Path
    back_by_builder: Path
    back_by_export: Path
    twin_by_export: Path


def _name(path: Path) -> str:
    return path.stem


@pytest.fixture(scope="module", params=corpus_files(), ids=_name)
def copied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Copied]:
    source: Path = request.param
    folder = tmp_path_factory.mktemp("corpus")
    files = Copied(
        source=source,
        zarr=folder / f"{source.stem}.nwb.zarr",
        back_by_builder=folder / "builder.nwb",
        back_by_export=folder / "export.nwb",
        twin_by_export=folder / "twin.nwb",
    )
    with NWBHDF5IO(str(source), "r") as src, NWBZarrIO(files.zarr, "w") as io:
        io.export(src)
    with NWBZarrIO(files.zarr, "r") as src:
        with NWBHDF5IO(str(files.back_by_builder), "w", manager=src.manager) as back:
            back.write_builder(src.read_builder(), link_data=False, export_source=src.source)
    with NWBZarrIO(files.zarr, "r") as src, NWBHDF5IO(str(files.back_by_export), "w") as back:
        back.export(src, write_args={"link_data": False})
    with NWBHDF5IO(str(source), "r") as src, NWBHDF5IO(str(files.twin_by_export), "w") as back:
        back.export(src, write_args={"link_data": False})
    yield files
    shutil.rmtree(folder)


def test_the_zarr_copy_has_the_builders_of_its_source(copied: Copied) -> None:
    with NWBHDF5IO(str(copied.source), "r") as src, NWBZarrIO(copied.zarr, "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_the_zarr_copy_read_without_consolidated_metadata_is_the_same(copied: Copied) -> None:
    with NWBHDF5IO(str(copied.source), "r") as src, NWBZarrIO(copied.zarr, "r-") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_the_builders_written_back_to_hdf5_are_those_of_the_source(copied: Copied) -> None:
    with (
        NWBHDF5IO(str(copied.source), "r") as src,
        NWBHDF5IO(str(copied.back_by_builder), "r") as io,
    ):
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_an_export_back_to_hdf5_is_that_of_the_source(copied: Copied) -> None:
    # pynwb builds every container anew when it exports, so the source is exported by it, too.
    with (
        NWBHDF5IO(str(copied.twin_by_export), "r") as twin,
        NWBHDF5IO(str(copied.back_by_export), "r") as io,
    ):
        found = list(differences(twin.read_builder(), io.read_builder(), ignore=_is_made_anew))
    assert [line for line in found if not OF_THE_SPECIFICATION.search(line)] == []


# HDF5IO copies HDF5 datasets with the dtype of the file; others get that of the specification.
OF_THE_SPECIFICATION = re.compile(
    r"_index: dtype int(\d+) != uint\1$|: dtype ascii != text$|: b'(.*)' != '\2'$"
)


def _is_made_anew(path: str) -> bool:
    """Objects of the oldest files have no id, and get one when they are read."""
    return path.endswith("@object_id")


@pytest.mark.parametrize(
    ("expected", "copy"), [("source", "zarr"), ("twin_by_export", "back_by_export")]
)
def test_the_containers_of_a_copy_are_those_of_the_source(
    copied: Copied, expected: str, copy: str
) -> None:
    # The columns of aqNWB are ASCII text: see OF_THE_SPECIFICATION.
    has_ascii = copied.source.stem.startswith("aqnwb")
    other_text = pytest.raises(AssertionError, match="b'unknown'") if has_ascii else nullcontext()
    with NWBHDF5IO(str(getattr(copied, expected)), "r") as src:
        # Each load of an extension makes classes of its own: both are read with one type map.
        manager = BuildManager(src.manager.type_map)
        path = getattr(copied, copy)
        io_class = NWBZarrIO if copy == "zarr" else NWBHDF5IO
        with io_class(str(path), "r", manager=manager) as io:
            with other_text if copy == "back_by_export" else nullcontext():
                TestCase().assertContainerEqual(io.read(), src.read(), ignore_hdmf_attrs=True)


def test_the_nwb_version_stays(copied: Copied) -> None:
    with NWBHDF5IO(str(copied.source), "r") as src, NWBZarrIO(copied.zarr, "r") as io:
        assert io.nwb_version == src.nwb_version


def test_the_cached_specifications_stay(copied: Copied) -> None:
    with NWBHDF5IO(str(copied.source), "r") as src, NWBZarrIO(copied.zarr, "r") as io:
        expected = read_hdf5_specifications(src._file)
        assert read_specifications(io._hierarchy) == expected


def test_the_cached_namespaces_are_the_same(copied: Copied) -> None:
    expected = NWBHDF5IO.get_namespaces(path=str(copied.source))
    assert NWBZarrIO.get_namespaces(path=copied.zarr) == expected


def test_loading_the_cached_namespaces_says_the_same(copied: Copied) -> None:
    expected = NWBHDF5IO.load_namespaces(get_type_map(), path=str(copied.source))
    assert ZarrIO.load_namespaces(get_type_map(), path=copied.zarr) == expected


def test_validation_finds_the_same_errors(copied: Copied) -> None:
    def errors(path: Path) -> list[str]:
        try:
            return sorted(map(str, validate(path=str(path), verbose=False)))
        except ValueError as error:  # pynwb does not accept the file's own specifications
            return [f"{type(error).__name__}: {error}"]

    assert errors(copied.zarr) == errors(copied.source)


def test_pynwb_reads_the_zarr_copy(copied: Copied) -> None:
    nwbfile = read_nwb(str(copied.zarr))
    assert isinstance(nwbfile.read_io, NWBZarrIO)
    with NWBHDF5IO(str(copied.source), "r") as src:
        # pynwb changes the builders of old types when it makes containers of them.
        assert sorted(nwbfile.acquisition) == sorted(src.read().acquisition)
        assert_builders_equal(src.read_builder(), nwbfile.read_io.read_builder())


def test_a_second_generation_is_the_same(copied: Copied, tmp_path: Path) -> None:
    with NWBZarrIO(copied.zarr, "r") as src, NWBZarrIO(tmp_path / "again.zarr", "w") as io:
        io.export(src)
    with NWBZarrIO(copied.zarr, "r") as src, NWBZarrIO(tmp_path / "again.zarr", "r") as io:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_an_export_built_anew_is_that_of_hdf5(copied: Copied, tmp_path: Path) -> None:
    with NWBHDF5IO(str(copied.source), "r") as src, NWBZarrIO(tmp_path / "again.zarr", "w") as io:
        io.export(src, src.read(), clear_cache=True)
    with (
        NWBHDF5IO(str(copied.twin_by_export), "r") as twin,
        NWBZarrIO(tmp_path / "again.zarr", "r") as io,
    ):
        assert_builders_equal(twin.read_builder(), io.read_builder(), ignore=_is_made_anew)


def test_installed_specifications_read_the_copy_alike(copied: Copied) -> None:
    with NWBZarrIO(copied.zarr, "r", load_namespaces=False) as io:
        loaded = io.manager.namespace_catalog.get_namespace("core")["version"]
        assert loaded == get_type_map().namespace_catalog.get_namespace("core")["version"]


FOUND = {"aibs": {"short-column"}}
"""What `check` finds of files whose source is so itself: warnings."""


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("source", corpus_files(), ids=_name)
def test_a_file_comes_back_through_either_format(
    tmp_path: Path, source: Path, zarr_format: int
) -> None:
    store, back = tmp_path / "a.nwb.zarr", tmp_path / "back.nwb"
    convert(source, store, zarr_format=zarr_format)
    convert(store, back)
    found = {one.code for one in check(store).findings}
    assert found == FOUND.get(source.stem, set())
    assert check(store).is_clean
    with h5py.File(source) as expected, h5py.File(back) as file:
        assert list(hdf5_differences(expected, file, set())) == []
