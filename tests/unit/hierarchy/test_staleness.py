"""Whether a store is still the one of the metadata in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


def write(path: Path, n_rows: int = 5, name: str = "data") -> None:
    data = ZarrDataIO(np.arange(n_rows), chunks=(2,))
    group = GroupBuilder("group", datasets=[DatasetBuilder(name, data)])
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root", groups=[group]))


def append(path: Path) -> None:
    with ZarrIO(path, "r+") as io:
        io.read_builder()["group/data"].data.append(np.array([9]))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "file.zarr")
    return tmp_path / "file.zarr"


@pytest.fixture
def reader(store: Path) -> Hierarchy:
    return Hierarchy.load(open_bytestore(locate(store), read_only=True), consolidated=True)


def test_a_store_that_nobody_has_changed_is_the_same(reader: Hierarchy) -> None:
    assert reader.check_unchanged("group/data")
    assert reader.n_changes == 0
    reader.staleness.check_untouched()


def test_rows_that_were_added_make_what_was_just_read_doubtful_once(
    store: Path, reader: Hierarchy
) -> None:
    append(store)
    assert reader.check_unchanged("group/data") is False
    assert reader.n_changes == 1
    assert reader.check_unchanged("group/data") is True
    with pytest.raises(MetadataError, match="was changed while it was read"):
        reader.staleness.check_untouched()


def test_another_store_at_the_place_is_an_error(store: Path, reader: Hierarchy) -> None:
    write(store)
    with pytest.raises(MetadataError, match="was replaced while it was read"):
        reader.check_unchanged("group/data")


def test_a_store_that_is_gone_is_an_error(store: Path, reader: Hierarchy) -> None:
    shutil.rmtree(store)
    with pytest.raises(MetadataError, match="was replaced while it was read"):
        reader.check_unchanged("group/data")


def test_changes_of_this_writer_are_no_changes(store: Path) -> None:
    with ZarrIO(store, "r+") as io:
        data = io.read_builder()["group/data"].data
        data.append(np.array([9]))
        assert data.hierarchy.check_unchanged("group/data")
        assert data.hierarchy.n_changes == 0
