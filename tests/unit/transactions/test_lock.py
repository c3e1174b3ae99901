"""What writers lie beside a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdmf_zarr.transactions.lock import leftovers_beside, lock_path, retired_path, staging_path


@pytest.mark.parametrize("name", ["a.zarr", "a", "a+b.zarr", "a (1).nwb.zarr", "µ.zarr", ".a.zarr"])
def test_leftovers_are_those_of_the_store_alone(tmp_path: Path, name: str) -> None:
    store = tmp_path / name
    own = [staging_path(store), retired_path(store), staging_path(store)]
    others = [
        staging_path(tmp_path / f"{name}x"),
        staging_path(tmp_path / f"x{name}"),
        retired_path(tmp_path / "b.zarr"),
        tmp_path / f".{name}.0123456789a.partial",
        tmp_path / f".{name}.0123456789abc.partial",
        tmp_path / f".{name}.0123456789aB.partial",
        tmp_path / f".{name}.0123456789ab.partial.old",
        tmp_path / f".{name}.0123456789ab.lock",
        tmp_path / f"{name}.0123456789ab.partial",
        store,
    ]
    for path in [*own, *others, lock_path(store)]:
        path.mkdir()
    assert leftovers_beside(store) == sorted(own)
    assert leftovers_beside(store, lock=True) == sorted([*own, lock_path(store)])


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert leftovers_beside(tmp_path / "nowhere" / "a.zarr", lock=True) == []
