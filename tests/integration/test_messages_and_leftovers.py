"""What users are advised to do is what they can do, and nothing of a killed write is left for long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdmf_zarr import NWBZarrIO
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import LockedError, StoreExistsError
from hdmf_zarr.transactions.lock import WriterLock
from hdmf_zarr.transfer.upgrading import upgrade
from tests.integration.test_odd_input import make_file


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "a.nwb.zarr"
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(make_file(t=np.arange(3.0)))
    return path


@pytest.mark.parametrize("action", ["convert", "upgrade"])
@pytest.mark.parametrize("name", ["b.nwb.zarr", "b.nwb"])
def test_overwriting_is_named_as_it_can_be_asked_for(
    store: Path, action: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = store.with_name(name)
    if action == "upgrade" and name == "b.nwb":
        pytest.skip("an upgrade writes Zarr")
    call = convert if action == "convert" else upgrade
    call(store, destination)
    with pytest.raises(StoreExistsError, match=r"only with overwrite=True$") as caught:
        call(store, destination)
    assert "--overwrite" not in str(caught.value)
    assert main([action, "--quiet", str(store), str(destination)]) == 1
    message = capsys.readouterr().err
    assert message.endswith("only with --overwrite\n")
    assert "overwrite=True" not in message
    assert main([action, "--quiet", "--overwrite", str(store), str(destination)]) == 0


def leave(store: Path) -> list[Path]:
    """Lay beside a store what killed writes leave: a folder, a file, and others' that stay."""
    left = [store.with_name(f".{store.name}.{'ab12' * 3}.{kind}") for kind in ("partial", "old")]
    left[0].mkdir()
    (left[0] / "zarr.json").write_text("{}")
    left[1].write_text("")
    store.with_name(f".other.zarr.{'ab12' * 3}.partial").mkdir()
    return left


@pytest.mark.parametrize("mode", ["r+", "a"])
def test_an_append_removes_what_a_killed_write_left(store: Path, mode: str) -> None:
    left = leave(store)
    with NWBZarrIO(store, mode) as io:
        assert io.read().acquisition["t"].data[:].tolist() == [0.0, 1.0, 2.0]
    assert not any(path.exists() for path in left)
    names = {path.name for path in store.parent.iterdir()}
    assert names == {store.name, f".other.zarr.{'ab12' * 3}.partial"}


def test_a_reader_removes_nothing(store: Path) -> None:
    left = leave(store)
    with NWBZarrIO(store, "r") as io:
        io.read()
    assert all(path.exists() for path in left)


def test_nothing_is_removed_while_another_one_writes(store: Path) -> None:
    left = leave(store)
    with WriterLock.acquire(store), pytest.raises(LockedError):
        NWBZarrIO(store, "r+")
    assert all(path.exists() for path in left)
