"""HDF5 -> Zarr -> HDF5: how a dataset is stored comes back, too, where HDF5 needs no plugin for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hdmf_zarr import check
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import ChunkError, EncodingError

DATA = (np.arange(300_000, dtype="<i2") // 70).reshape(15_000, 20)

KEPT: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip", "compression_opts": 9},
    "all": {"compression": "gzip", "compression_opts": 2, "shuffle": True, "fletcher32": True},
    "shuffled": {"shuffle": True},
    "checked": {"fletcher32": True},
    "plain": {},
    "filled": {"fillvalue": -5},
}

BY_DEFAULT = {"shuffle": True, "compression": "gzip", "compression_opts": 4}


def layout(dataset: h5py.Dataset) -> dict[str, Any]:
    names = ("chunks", "compression", "compression_opts", "shuffle", "fletcher32", "fillvalue")
    return {name: getattr(dataset, name) for name in names}


def there_and_back(
    tmp_path: Path, datasets: dict[str, tuple[Any, dict[str, Any]]], **options: Any
) -> tuple[Path, Path]:
    source, store, back = (tmp_path / name for name in ("source.h5", "store.zarr", "back.h5"))
    with h5py.File(source, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        for name, (data, creation) in datasets.items():
            file.create_dataset(name, data=data, **creation)
    convert(source, store, **options)
    convert(store, back)
    return source, back


@pytest.mark.parametrize("options", [{}, {"zarr_format": 2}, {"shards": "auto"}])
@pytest.mark.parametrize("n_rows", [15_000, 100])
def test_chunks_filters_and_fill_values_come_back(
    tmp_path: Path, options: dict[str, Any], n_rows: int
) -> None:
    names = KEPT if n_rows > 100 else {name for name, creation in KEPT.items() if creation}
    datasets = {name: (DATA[:n_rows], {"chunks": (64, 20), **KEPT[name]}) for name in names}
    source, back = there_and_back(tmp_path, datasets, **options)
    with h5py.File(source) as before, h5py.File(back) as after:
        for name in datasets:
            np.testing.assert_array_equal(after[name][:], before[name][:])
            expected = layout(before[name])
            if name == "filled" and n_rows == 100:
                expected["chunks"] = None  # small, and without a filter that needs them
            assert layout(after[name]) == expected, name


def test_lzf_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    datasets = {"data": (DATA, {"chunks": (64, 20), "compression": "lzf", "shuffle": True})}
    source, back = there_and_back(tmp_path, datasets)
    with h5py.File(source) as before, h5py.File(back) as after:
        np.testing.assert_array_equal(after["data"][:], DATA)
        assert layout(after["data"]) == layout(before["data"])


@pytest.mark.parametrize(
    ("creation", "options", "expected"),
    [
        ({}, {}, BY_DEFAULT),  # contiguous: Blosc in Zarr
        ({"chunks": (64, 20), **KEPT["gzip"]}, {"codecs": "default"}, BY_DEFAULT),
        (
            {"chunks": (64, 20), **KEPT["gzip"]},
            {"checksum": True},
            {"compression": "gzip", "compression_opts": 9, "fletcher32": True},
        ),
    ],
)
def test_what_hdf5_lacks_becomes_gzip(
    tmp_path: Path, creation: dict[str, Any], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    _, back = there_and_back(tmp_path, {"data": (DATA, creation)}, **options)
    with h5py.File(back) as after:
        np.testing.assert_array_equal(after["data"][:], DATA)
        found = layout(after["data"])
        assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("value", [np.nan, -5.0, 2 - 1j])
def test_elements_that_were_never_written_stay_the_fill_value(tmp_path: Path, value: Any) -> None:
    dtype = np.dtype(type(value))
    _, back = there_and_back(
        tmp_path,
        {"data": (None, {"shape": (300,), "chunks": (50,), "fillvalue": value, "dtype": dtype})},
    )
    with h5py.File(back) as after:
        np.testing.assert_array_equal(after["data"][:], np.full(300, value))
        np.testing.assert_array_equal(after["data"].fillvalue, value)


def test_encoded_chunks_move_as_they_are(tmp_path: Path) -> None:
    creation = {"shape": DATA.shape, "chunks": (64, 20), "dtype": "<i2", **KEPT["all"]}
    source, store, back = (tmp_path / name for name in ("source.h5", "store.zarr", "back.h5"))
    with h5py.File(source, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        file.create_dataset("data", **creation)[:1000] = DATA[:1000]  # the others are missing
    told: list[int] = []
    convert(source, store)
    convert(store, back, progress=lambda _expected: told.append)
    with h5py.File(source) as before, h5py.File(back) as after:
        old, new = before["data"], after["data"]
        np.testing.assert_array_equal(new[:], old[:])
        assert new.id.get_num_chunks() == old.id.get_num_chunks() == 16
        for row in range(0, 1000, 64):
            assert new.id.read_direct_chunk((row, 0)) == old.id.read_direct_chunk((row, 0))
    assert sum(told) == DATA.nbytes


def test_a_damaged_chunk_is_no_chunk_of_hdf5(tmp_path: Path) -> None:
    _, back = there_and_back(tmp_path, {"data": (DATA, {"chunks": (64, 20), **KEPT["gzip"]})})
    back.unlink()
    chunk = tmp_path / "store.zarr" / "data" / "c.3.0"
    encoded = bytearray(chunk.read_bytes())
    encoded[len(encoded) // 2] ^= 0xFF
    chunk.write_bytes(encoded)
    with pytest.raises(
        ChunkError, match=r"store\.zarr:/data: the chunk at \(192, 0\) does not decode"
    ):
        convert(tmp_path / "store.zarr", back)
    assert not list(tmp_path.glob("*back.h5*"))


def test_a_chunk_that_was_lost_is_no_fill_value(tmp_path: Path) -> None:
    _, back = there_and_back(tmp_path, {"data": (DATA, {"chunks": (64, 20), **KEPT["gzip"]})})
    back.unlink()
    (tmp_path / "store.zarr" / "data" / "c.3.0").unlink()
    with pytest.raises(ChunkError, match=r"/data/c\.3\.0"):
        convert(tmp_path / "store.zarr", back)
    assert not list(tmp_path.glob("*back.h5*"))


def test_text_that_is_not_unicode_comes_back(tmp_path: Path) -> None:
    source, store, back = (tmp_path / name for name in ("source.h5", "store.zarr", "back.h5"))
    text = h5py.string_dtype()
    with h5py.File(source, "w") as file:
        file.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
        file.attrs.create("one", b"caf\xe9", dtype=text)
        file.attrs.create("several", np.array([b"caf\xe9", "ü".encode()], dtype=object), dtype=text)
    convert(source, store)
    convert(store, back)
    with h5py.File(source) as before, h5py.File(back) as after:
        assert after.attrs["one"] == before.attrs["one"] == "caf\udce9"
        assert list(after.attrs["several"]) == ["caf\udce9", "ü"]
        for name in ("one", "several"):
            types = [file.attrs.get_id(name).get_type() for file in (before, after)]
            assert types[0] == types[1]
    with pytest.raises(EncodingError, match="attribute 'one': .* has bytes that are not UTF-8"):
        convert(source, store, overwrite=True, strict_json=True)
    assert "metadata with text that is not Unicode" in str(check(store, dandi=True))
