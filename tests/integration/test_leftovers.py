"""What killed writers leave: the next writer removes it, and never a file of somebody else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.errors import StoreExistsError
from tests.integration.test_odd_input import make_file

DIGITS = "0123456789abcdef" * 2


@pytest.fixture(params=[2, 3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=request.param) as io:
        io.write(make_file(t=np.arange(3.0)))
    return path


@pytest.mark.parametrize("mode", ["r+", "a"])
def test_unfinished_documents_are_removed(store: Path, mode: str) -> None:
    ours = ["zarr.json", "zarr", ".zmetadata", ".zattrs", ".zgroup", ".append.partial"]
    names = [f"{name}.{DIGITS}.partial" for name in ours]
    others = ["notes.partial", f"movie.mp4.{DIGITS}.partial", f"zarr.json.{DIGITS[:31]}.partial"]
    for name in [*names, *others]:
        (store / name).write_text("x")
    with NWBZarrIO(store, mode) as io:
        assert io.read().acquisition["t"].data[:].tolist() == [0.0, 1.0, 2.0]
    found = {entry.name for entry in store.iterdir()}
    assert found.isdisjoint(names)
    assert found >= set(others)
    for name in others:
        (store / name).unlink()
    assert list(check(store).findings) == []


@pytest.mark.parametrize("mode", ["w", "a", "w-"])
def test_a_store_that_was_moved_aside_is_not_removed(store: Path, mode: str) -> None:
    aside = store.with_name(f".{store.name}.{DIGITS[:12]}.old")
    store.rename(aside)
    with pytest.raises(StoreExistsError, match="Rename it to a.nwb.zarr"):
        with NWBZarrIO(store, mode) as io:
            io.write(make_file(t=np.arange(5.0)))
    assert not store.exists()
    aside.rename(store)
    with NWBZarrIO(store, "r") as io:
        assert io.read().acquisition["t"].data[:].tolist() == [0.0, 1.0, 2.0]


def test_what_was_replaced_is_removed(store: Path) -> None:
    aside = store.with_name(f".{store.name}.{DIGITS[:12]}.old")
    shutil.copytree(store, aside)
    with NWBZarrIO(store, "w") as io:
        io.write(make_file(t=np.arange(5.0)))
    assert not aside.exists()
