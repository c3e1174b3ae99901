"""Two writers of one store, by two paths or without the file of the lock: no rows vanish unnoticed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO
from hdmf_zarr.checking import check
from hdmf_zarr.errors import LockedError
from hdmf_zarr.hierarchy import new_store
from hdmf_zarr.hierarchy.new_store import NewStore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions import lock as lock_module
from hdmf_zarr.transactions.journal import JOURNAL
from hdmf_zarr.transactions.lock import lock_path, writer_of
from hdmf_zarr.transfer.upgrading import upgrade

posix = pytest.mark.skipif(os.name == "nt", reason="a folder is not locked by Windows")

OLD = list(range(20))


@pytest.fixture(params=[2, 3])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "a.zarr"
    made = NWBFile("two", "two", datetime(2024, 1, 1, tzinfo=UTC))
    made.add_acquisition(TimeSeries(name="raw", data=np.arange(20), unit="V", rate=1.0))
    with NWBZarrIO(path, "w", zarr_format=request.param) as io:
        io.write(made)
    return path


def rows(path: Path) -> list[int]:
    assert [found for found in check(path).findings if found.severity == "error"] == []
    with NWBZarrIO(path, "r") as io:
        found: list[int] = io.read().acquisition["raw"].data[:].tolist()
        return found


def opened(path: Path, mode: str = "r+") -> tuple[Any, Any]:
    io = NWBZarrIO(path, mode)
    return io, io.read().acquisition["raw"].data


WRITER = """
import sys, numpy as np
from hdmf_zarr import NWBZarrIO
io = NWBZarrIO({path!r}, "r+")
data = io.read().acquisition["raw"].data
if {does_append}:
    data.append(np.full(3, -1))
else:
    data[0] = 0
print("ready", flush=True)
sys.stdin.readline()
io.close()
"""


@contextmanager
def other_process(path: Path, *, does_append: bool) -> Iterator[subprocess.Popen[str]]:
    code = WRITER.format(path=str(path), does_append=does_append)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


# -- one folder by two paths -----------------------------------------------------------------------


@pytest.fixture
def mounted(store: Path) -> Iterator[Path]:
    """The same folder by another path."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root of Linux mounts a folder twice")
    path = store.with_name("b.zarr")
    path.mkdir()
    done = subprocess.run(
        ["mount", "--bind", str(store), str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a folder cannot be mounted twice here: {done.stderr}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["r+", "a", "w"])
@pytest.mark.parametrize("does_append", [False, True])
def test_a_writer_by_another_path_is_refused(
    store: Path, mounted: Path, mode: str, *, does_append: bool
) -> None:
    with other_process(store, does_append=does_append) as process:
        with pytest.raises(LockedError, match="is being written to by"):
            NWBZarrIO(mounted, mode)
        with pytest.raises(LockedError):
            check(mounted, repair=True)
        process.communicate("\n")
        assert process.returncode == 0
    assert rows(store) == OLD + [-1] * 3 * does_append
    io, data = opened(mounted)
    data.append(np.full(2, -2))
    io.close()
    assert rows(store) == OLD + [-1] * 3 * does_append + [-2] * 2


def test_a_folder_that_is_mounted_twice_is_not_exported_onto_itself(
    store: Path, mounted: Path
) -> None:
    with NWBZarrIO(store, "r") as src_io, NWBZarrIO(mounted, "w") as io:
        with pytest.raises(ValueError, match="both source and destination"):
            io.export(src_io)
    assert rows(store) == OLD


# -- without the file of the lock ------------------------------------------------------------------


@pytest.mark.slow
@posix
@pytest.mark.parametrize("mode", ["r+", "a", "w"])
def test_a_writer_is_refused_where_the_file_of_the_lock_was_removed(store: Path, mode: str) -> None:
    with other_process(store, does_append=True) as process:
        lock_path(store).unlink()
        with pytest.raises(LockedError, match="is being written to by"):
            NWBZarrIO(store, mode)
        with pytest.raises(LockedError):
            check(store, repair=True)
        process.communicate("\n")
        assert process.returncode == 0
    assert rows(store) == [*OLD, -1, -1, -1]
    assert sorted(path.name for path in store.parent.iterdir()) == ["a.zarr"]


@posix
@pytest.mark.parametrize("store", [2], indirect=True)
def test_an_upgrade_is_refused_where_the_file_of_the_lock_was_removed(store: Path) -> None:
    io, data = opened(store)
    data.append(np.full(3, -1))
    lock_path(store).unlink()
    with pytest.raises(LockedError):
        upgrade(store)
    io.close()
    assert rows(store) == [*OLD, -1, -1, -1]


@posix
def test_a_new_store_is_locked_as_soon_as_it_has_its_place(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replacing = NewStore(locate(store))
    lock_path(store).unlink()
    seen = []

    def look(path: Path) -> None:
        seen.append(writer_of(store))

    monkeypatch.setattr(new_store, "sync_folder", look)
    replacing.commit(consolidate=True, durable=True)
    assert "this process" in str(seen[0])
    assert writer_of(store) is None


@posix
def test_a_writer_removes_no_lock_but_its_own(store: Path) -> None:
    io, data = opened(store)
    data.append(np.full(3, -1))
    path = lock_path(store)
    path.unlink()
    path.write_text("of another one")
    io.close()
    assert path.read_text() == "of another one"


# -- without locks: the journal tells --------------------------------------------------------------


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "_lock", unsupported)


@pytest.mark.usefixtures("no_locks")
def test_who_begins_after_another_one_has_committed_gets_an_error(store: Path) -> None:
    (first_io, first), (second_io, second) = opened(store), opened(store)
    first.append(np.full(3, -1))
    first_io.close()
    with pytest.raises(LockedError, match="changed since it was read; open it again"):
        second.append(np.full(5, -2))
    second_io.close()
    assert rows(store) == [*OLD, -1, -1, -1]


@pytest.mark.usefixtures("no_locks")
def test_who_begins_while_another_one_of_the_process_has_begun_takes_over(store: Path) -> None:
    (first_io, first), (second_io, second) = opened(store), opened(store)
    first.append(np.full(3, -1))
    with pytest.warns(UserWarning, match="is undone \\(/acquisition/raw/data"):
        second.append(np.full(5, -2))
    with pytest.raises(LockedError, match="changed by this process since it was read"):
        first.append(np.full(3, -1))
    first_io.close()
    second_io.close()
    assert rows(store) == [*OLD, -2, -2, -2, -2, -2]


@pytest.mark.usefixtures("no_locks")
def test_what_a_living_writer_has_begun_is_not_undone(store: Path) -> None:
    with other_process(store, does_append=True) as process:
        for mode in ("r+", "a"):
            with pytest.raises(LockedError, match=f"process {process.pid}"):
                NWBZarrIO(store, mode)
        with pytest.raises(LockedError):
            check(store, repair=True)
        process.communicate("\n")
        assert process.returncode == 0
    assert rows(store) == [*OLD, -1, -1, -1]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc when a process has started")
@pytest.mark.usefixtures("no_locks")
def test_what_a_dead_process_has_begun_is_undone(store: Path) -> None:
    with other_process(store, does_append=True) as process:
        with pytest.raises(LockedError, match=f"process {process.pid}"):
            NWBZarrIO(store, "r+")
        process.kill()
        process.wait()
        NWBZarrIO(store, "r+").close()
    assert rows(store) == OLD


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("journal", [None, b"{}", b'{"append": 1, "writer": {"token": "x"}}'])
def test_a_writer_whose_journal_is_gone_commits_nothing(store: Path, journal: bytes | None) -> None:
    io, data = opened(store)
    data.append(np.full(3, -1))
    if journal is None:
        (store / JOURNAL).unlink()
    else:
        (store / JOURNAL).write_bytes(journal)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with pytest.raises(LockedError, match="nothing of this writer is committed"):
        io.close()
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    with NWBZarrIO(store, "r") as reader:
        assert reader.read().acquisition["raw"].data[:].tolist() == OLD


@pytest.mark.usefixtures("no_locks")
def test_a_store_that_is_replaced_during_an_append_is_left_alone(store: Path) -> None:
    io, data = opened(store)
    data.append(np.full(3, -1))
    made = NWBFile("new", "new", datetime(2024, 1, 1, tzinfo=UTC))
    made.add_acquisition(TimeSeries(name="raw", data=np.arange(7), unit="V", rate=1.0))
    with NWBZarrIO(store, "w") as other:
        other.write(made)
    with pytest.raises(LockedError, match="nothing of this writer is committed"):
        io.close()
    assert rows(store) == list(range(7))


@pytest.mark.usefixtures("no_locks")
def test_a_writer_that_fails_leaves_its_journal_to_the_next_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hdmf_zarr.hierarchy.commit import Commit

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    io, data = opened(store)
    data.append(np.full(3, -1))
    with monkeypatch.context() as patch:
        patch.setattr(Commit, "_write_root", full)
        with pytest.raises(OSError, match="No space left"):
            io.close()
    io, data = opened(store)
    data.append(np.full(2, -2))
    io.close()
    assert rows(store) == [*OLD, -2, -2]


def test_one_writer_commits_again_and_again(store: Path) -> None:
    with NWBZarrIO(store, "r+") as io:
        nwbfile = io.read()
        for number in range(3):
            nwbfile.acquisition["raw"].data.append(np.full(2, -1))
            nwbfile.add_acquisition(
                TimeSeries(name=f"more{number}", data=np.arange(3), unit="V", rate=1.0)
            )
            io.write(nwbfile)
            assert not (store / JOURNAL).exists()
    assert rows(store) == OLD + [-1] * 6
    with NWBZarrIO(store, "r") as io:
        assert {"more0", "more1", "more2", "raw"} == set(io.read().acquisition)
