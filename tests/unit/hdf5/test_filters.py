"""The filters of a dataset, and whether HDF5 can undo them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hdmf_zarr.errors import MissingExtraError
from hdmf_zarr.hdf5 import filters
from hdmf_zarr.hdf5.filters import filter_pipeline, require_filters


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        yield made


def numbers(dataset: h5py.Dataset) -> list[tuple[int, tuple[int, ...], int]]:
    return [(one.number, one.values, one.itemsize) for one in filter_pipeline(dataset)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"chunks": (2,)}, []),
        ({"compression": 4}, [(1, (4,))]),
        ({"shuffle": True}, [(2, (2,))]),
        ({"fletcher32": True}, [(3, ())]),
        ({"compression": "gzip", "shuffle": True, "fletcher32": True}, [2, 1, 3]),
        ({"compression": "lzf"}, [32000]),
    ],
)
def test_filters_come_in_the_order_in_which_they_encode(
    file: h5py.File, options: dict[str, Any], expected: list[Any]
) -> None:
    dataset = file.create_dataset("x", data=np.arange(4, dtype="<i2"), **options)
    found = numbers(dataset)
    assert [one[0] for one in found] == [
        one if isinstance(one, int) else one[0] for one in expected
    ]
    for (_, values, itemsize), one in zip(found, expected, strict=True):
        assert itemsize == 2
        assert isinstance(one, int) or values == one[1]


def test_a_filter_has_the_name_that_the_file_gives_it(file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=[1, 2], compression="gzip")
    assert "deflate" in str(filter_pipeline(dataset)[0].name)


def with_unknown_filter(file: h5py.File, *, is_written: bool) -> h5py.Dataset:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((2,))
    creation.set_filter(404, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple((4,))
    made = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I16LE, space, creation)
    dataset = h5py.Dataset(made)
    if is_written:
        dataset.id.write_direct_chunk((0,), b"1234")
    return dataset


def test_a_filter_that_is_not_installed_is_told_with_what_brings_it(file: h5py.File) -> None:
    dataset = with_unknown_filter(file, is_written=True)
    with pytest.raises(MissingExtraError) as caught:
        require_filters(dataset)
    message = str(caught.value)
    assert message.startswith(f"{file.filename}:/x has to be decoded, and its HDF5 filter")
    assert "(number 404) is not installed" in message
    assert "pip install" in message


def test_a_dataset_without_chunks_needs_no_filter(file: h5py.File) -> None:
    require_filters(with_unknown_filter(file, is_written=False))
    require_filters(file.create_dataset("y", data=[1], compression="gzip"))


def test_filters_of_the_plugins_are_there_once_they_are_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    available: set[int] = set()

    def load(name: str) -> None:
        assert name == filters.PLUGINS
        available.add(405)

    monkeypatch.setattr(filters.h5py.h5z, "filter_avail", available.__contains__)
    monkeypatch.setattr(filters.importlib, "import_module", load)
    assert filters._is_available(405)
    assert not filters._is_available(406)

    def fail(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(filters.importlib, "import_module", fail)
    assert filters._is_available(405)
    assert not filters._is_available(407)
