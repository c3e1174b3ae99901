"""Whoever is stopped, whenever: the old store or the new one is there, and never anything else."""

from __future__ import annotations

import errno
import gc
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder
from hdmf.common import get_manager
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.core import system
from hdmf_zarr.errors import LockedError, NotAStoreError
from hdmf_zarr.hierarchy import new_store, staleness
from hdmf_zarr.hierarchy.new_store import put_in_place
from hdmf_zarr.read.tree import TreeReader
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.transactions import fingerprint
from hdmf_zarr.transactions import lock as lock_module
from hdmf_zarr.transactions.fingerprint import HeldFolder
from hdmf_zarr.transactions.journal import JOURNAL
from hdmf_zarr.transactions.lock import WriterLock, leftovers_beside, lock_path, writer_of
from hdmf_zarr.transfer.files import ChunkMover
from hdmf_zarr.transfer.upgrading import upgrade
from hdmf_zarr.write.execute import Execution
from tests.faults import end_as_if_killed

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def tree(value: float) -> GroupBuilder:
    """A store that says everywhere which one it is."""
    root = GroupBuilder("root", attributes={"value": value})
    group = GroupBuilder("group", attributes={"value": value})
    root.set_group(group)
    for name in ("a", "b"):
        group.set_dataset(_dataset(name, np.full(50, value)))
    return root


def _dataset(name: str, data: Any) -> Any:
    return DatasetBuilder(name, data, attributes={"unit": "V"})


def write(target: Any, value: float, mode: str = "w", **options: Any) -> Any:
    with ZarrIO(target, mode, get_manager(), **options) as io:
        io.write_builder(tree(value))
    return target


def value_of(target: Any, mode: str = "r") -> float:
    """The one value that a store has in every place."""
    with ZarrIO(target, mode, get_manager()) as io:
        root = io.read_builder()
        group = root["group"]
        values = {root.attributes["value"], group.attributes["value"]}
        for name in ("a", "b"):
            values |= set(np.asarray(group[name].data[:]).tolist())
    assert len(values) == 1
    return float(values.pop())


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write(tmp_path / "file.zarr", 1.0)


def run_python(code: str, *arguments: Any) -> subprocess.Popen[str]:
    """Run a program that has the helpers of this file."""
    start = "from tests.integration.test_transactions import *\n"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", start + textwrap.dedent(code), *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def other_writer(store: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has changed the store, and not committed it."""
    code = """
        io = ZarrIO(sys.argv[1], "r+", get_manager())
        io.write_group("", GroupBuilder("lost"))
        print("open", flush=True)
        time.sleep(60)
    """
    process = run_python(code, store)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


# -- a new store -----------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_new_store_leaves_nothing_beside_it(tmp_path: Path, zarr_format: int) -> None:
    target = write(tmp_path / "file.zarr", 1.0, zarr_format=zarr_format)
    write(target, 2.0, zarr_format=zarr_format)
    assert value_of(target) == 2.0
    assert names_in(tmp_path) == {"file.zarr"}
    assert check(target).findings == ()


def test_there_is_a_store_at_every_moment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exchanges the two is one step: neither name is ever missing."""
    if not system.exchange(store, write(store.with_name("other.zarr"), 5.0)):
        pytest.skip("this system or file system has no exchange")
    assert value_of(store) == 5.0
    monkeypatch.setattr(os, "rename", lambda *_: pytest.fail("not in one step"))
    write(store, 2.0)
    assert value_of(store) == 2.0


def test_without_an_exchange_the_old_store_is_moved_aside(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_store, "exchange", lambda *_: False)
    write(store, 2.0)
    assert value_of(store) == 2.0
    assert names_in(store.parent) == {"file.zarr"}


def test_a_rename_that_fails_brings_the_old_store_back(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_store, "exchange", lambda *_: False)
    built = write(store.with_name("built.zarr"), 2.0)
    rename = os.rename

    def failing(source: Any, target: Any) -> None:
        if Path(source) == built:
            raise OSError(errno.EIO, "no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="no"):
        put_in_place(built, store)
    assert value_of(store) == 1.0


def test_the_next_write_removes_what_a_killed_one_left(store: Path) -> None:
    left = store.with_name(f".file.zarr.{'a' * 12}.partial")
    write(left, 3.0)
    old = store.with_name(f".file.zarr.{'b' * 12}.old")
    old.mkdir()
    other = store.with_name(f".other.zarr.{'a' * 12}.partial")
    other.mkdir()
    lock_path(store).write_text('{"process": 1}')
    write(store, 2.0)
    assert names_in(store.parent) == {"file.zarr", other.name}


def test_a_store_that_was_never_committed_says_so_and_can_be_looked_into() -> None:
    store = MemoryStore()
    write(store, 1.0)
    del store._store_dict["zarr.json"]
    with pytest.raises(NotAStoreError, match=r"did not finish.*mode 'r-'"):
        ZarrIO(store, "r", get_manager())
    with ZarrIO(store, "r-", get_manager()) as io:
        np.testing.assert_array_equal(io.read_builder()["group"]["a"].data[:], np.full(50, 1.0))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_unfinished_folder_says_so(tmp_path: Path, zarr_format: int) -> None:
    store = write(tmp_path / "file.zarr", 1.0, zarr_format=zarr_format)
    for name in ("zarr.json", ".zgroup", ".zmetadata", ".zattrs"):
        (store / name).unlink(missing_ok=True)
    with pytest.raises(NotAStoreError, match="did not finish"):
        ZarrIO(store, "r", get_manager())
    with ZarrIO(store, "r-", get_manager()) as io:
        np.testing.assert_array_equal(io.read_builder()["group"]["b"].data[:], np.full(50, 1.0))
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(NotAStoreError, match="is not a Zarr store"):
        ZarrIO(tmp_path / "empty.zarr", "r-", get_manager())


# -- the lock --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r+", "a", "w"])
def test_a_second_writer_is_refused_with_the_process_of_the_first(
    store: Path, other_writer: subprocess.Popen[str], mode: str
) -> None:
    with pytest.raises(LockedError, match=rf"process {other_writer.pid}, since"):
        ZarrIO(store, mode, get_manager())
    assert value_of(store) == value_of(store, "r-") == 1.0
    assert {found.severity for found in check(store).findings} <= {"note", "warning"}
    with pytest.raises(LockedError):
        check(store, repair=True)


def test_a_dead_process_keeps_nobody_out(store: Path, other_writer: subprocess.Popen[str]) -> None:
    other_writer.kill()
    other_writer.wait()
    assert lock_path(store).exists()
    assert {found.code for found in check(store).findings} >= {"leftover"}
    with ZarrIO(store, "r+", get_manager()) as io:
        assert writer_of(store) is None
        io.write_group("", GroupBuilder("new"))
        assert "this process" in str(writer_of(store))
    assert value_of(store) == 1.0
    assert names_in(store.parent) == {"file.zarr"}


def test_repair_removes_the_lock_of_a_dead_process(store: Path) -> None:
    lock_path(store).write_text("")
    report = check(store, repair=True)
    assert report.findings == ()
    assert report.repaired == (f"removed {lock_path(store)}",)
    assert names_in(store.parent) == {"file.zarr"}


def test_a_writer_that_nobody_has_any_more_keeps_nobody_out(store: Path) -> None:
    io = ZarrIO(store, "r+", get_manager())
    io.write_group("", GroupBuilder("new"))
    io.cycle = io  # it is collected some time, and not when its last name goes
    gc.disable()
    try:
        del io
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # HDMF's, for what was not closed
            with pytest.warns(UserWarning, match=r"is undone \(/new\)"):
                again = ZarrIO(store, "r+", get_manager())
        with again as io:
            assert "new" not in io.read_builder()
    finally:
        gc.enable()


def test_a_failed_open_keeps_no_lock(store: Path) -> None:
    (store / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        ZarrIO(store, "r+", get_manager())
    assert names_in(store.parent) == {"file.zarr"}


def test_a_failed_write_keeps_no_lock(store: Path) -> None:
    builder = tree(2.0)
    builder["group"].set_dataset(_dataset("bad", np.array([object()])))
    io = ZarrIO(store, "w", get_manager())
    with pytest.raises((TypeError, ValueError)):
        io.write_builder(builder)
    io.close()
    assert value_of(store) == 1.0
    assert names_in(store.parent) == {"file.zarr"}


@posix
def test_a_child_neither_keeps_the_lock_nor_ends_it(store: Path) -> None:
    io = ZarrIO(store, "r+", get_manager())
    io.write_group("", GroupBuilder("new"))
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        io.close()
        os._exit(0 if lock_path(store).exists() else 1)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(LockedError):
        WriterLock.acquire(store, takes_over=False)
    io.close()
    WriterLock.acquire(store).release()


def test_where_nothing_can_be_locked_writing_goes_on(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    left = store.with_name(f".file.zarr.{'a' * 12}.partial")
    left.mkdir()
    monkeypatch.setattr(lock_module, "_lock", unsupported)
    write(store, 2.0)
    assert value_of(store) == 2.0
    assert "cannot be locked" in caplog.text
    assert left.exists(), "it may be of a living writer"


def test_a_store_is_linked_read_only_while_somebody_writes_to_it(tmp_path: Path) -> None:
    raw, file = write(tmp_path / "raw.zarr", 1.0), tmp_path / "file.zarr"
    with ZarrIO(raw, "r", get_manager()) as raw_io, ZarrIO(file, "w", get_manager()) as io:
        root = GroupBuilder("root")
        root.set_dataset(_dataset("linked", raw_io.read_builder()["group"]["a"].data))
        io.write_builder(root)
    with ZarrIO(raw, "r+", get_manager()) as raw_io, ZarrIO(file, "r+", get_manager()) as io:
        raw_io.write_group("", GroupBuilder("new"))
        data = io.read_builder()["linked"].builder.data
        assert data[0] == 1.0
        with pytest.raises(ValueError, match="read-only"):
            data[0] = 2.0
    assert names_in(tmp_path) == {"raw.zarr", "file.zarr"}


# -- appending -------------------------------------------------------------------------------------


def append(target: Any, value: float) -> None:
    """Add a group, and rows to an array: short ones in place, then as many as need other chunks."""
    with ZarrIO(target, "r+", get_manager()) as io:
        data = io.read_builder()["group"]["a"].data
        data.append(np.full(3, value))
        new = GroupBuilder("new", attributes={"value": value})
        new.set_dataset(_dataset("x", np.full(5, value)))
        io.write_group("", new)
        data.append(np.full(100, value))


class Stopped(BaseException):
    """Stands for the end of the process: nothing of ours runs after it."""


def stop_after(count: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> bool:
    """Do something until the ``count``-th change of the disk; return whether it was stopped."""
    from zarr.storage import LocalStore

    from hdmf_zarr.stores.bytestore import LocalByteStore

    left = count
    with monkeypatch.context() as patch:

        def stopping(plain: Any) -> Any:
            def changed(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Stopped
                left -= 1
                return plain(*args, **kwargs)

            return changed

        for name in ("set", "copy", "delete", "delete_prefix"):
            patch.setattr(LocalByteStore, name, stopping(getattr(LocalByteStore, name)))
        patch.setattr(LocalStore, "set", stopping(LocalStore.set))
        try:
            work()
        except Stopped:
            return True
    return False


@contextmanager
def open_until_stopped(target: Any) -> Iterator[ZarrIO]:
    """Open a store for appending; where the process "ends", the system takes its lock away."""
    io = ZarrIO(target, "r+", get_manager())
    assert io._hierarchy is not None
    io._hierarchy.open_append.tells_when_dropped = False  # its process, as it were, is gone then
    try:
        yield io
        io.close()
    except Stopped:
        end_as_if_killed(io)
        raise


def stop_append_after(target: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Append until the ``count``-th change of the disk; return whether it was stopped."""

    def work() -> None:
        with open_until_stopped(target) as io:
            data = io.read_builder()["group"]["a"].data
            data.append(np.full(3, 2.0))
            new = GroupBuilder("new", attributes={"value": 2.0})
            new.set_dataset(_dataset("x", np.full(5, 2.0)))
            io.write_group("", new)
            data.append(np.full(100, 2.0))

    return stop_after(count, monkeypatch, work)


def content(target: Path) -> tuple[Any, ...]:
    with ZarrIO(target, "r", get_manager()) as io:
        root = io.read_builder()
        return (
            sorted(root.groups),
            root["group"]["a"].data[:].tolist(),
            root["group"]["b"].data[:].tolist(),
            dict(root.attributes),
        )


OLD = (["group"], [1.0] * 50, [1.0] * 50, {"value": 1.0})
NEW = (["group", "new"], [1.0] * 50 + [2.0] * 103, [1.0] * 50, {"value": 1.0})


@pytest.mark.parametrize("consolidated", [True, False])
def test_an_append_that_is_stopped_anywhere_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, consolidated: bool
) -> None:
    """After every number of changes: readers see old or new, check agrees, the next writer tidies."""
    seen = set()
    for count in range(60):
        target = tmp_path / f"{count}.zarr"
        with ZarrIO(target, "w", get_manager()) as io:
            io.write_builder(tree(1.0), consolidate_metadata=consolidated)
        was_stopped = stop_append_after(target, count, monkeypatch)
        if consolidated:
            found = content(target)
            assert found in (OLD, NEW)
            report = check(target)
            assert {finding.severity for finding in report.findings} <= {"note"}, report
            seen.add(found == NEW)
        with ZarrIO(target, "r+", get_manager()):
            pass
        found = content(target)
        assert found in (OLD, NEW)
        assert {f.code for f in check(target).findings} <= {"not-consolidated"}
        assert not (target / JOURNAL).exists()
        append(target, 2.0) if found == OLD else None
        assert content(target) == NEW
        if not was_stopped:
            break
    else:
        pytest.fail("the append has no end")
    assert count > 8
    if consolidated:
        assert seen == {True, False}


def test_repair_undoes_an_append_that_was_stopped(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stop_append_after(store, 6, monkeypatch)
    (found,) = check(store).findings
    assert found.code == "unfinished-append"
    report = check(store, repair=True)
    assert report.findings == ()
    assert report.repaired[0].startswith("undid an append that was stopped")
    assert content(store) == OLD


def test_a_journal_is_there_only_while_something_is_changed(store: Path) -> None:
    with ZarrIO(store, "r+", get_manager()) as io:
        data = io.read_builder()["group"]["a"].data
        assert not (store / JOURNAL).exists()
        data[0] = 1.0
        assert (store / JOURNAL).exists()
    assert not (store / JOURNAL).exists()


def test_what_others_have_added_survives_an_append_that_is_stopped(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that zarr has added without consolidating is in the journal."""
    import zarr

    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    root["group"].create_array("foreign", data=np.arange(3))
    assert stop_append_after(store, 6, monkeypatch)
    with ZarrIO(store, "r+", get_manager()) as io:
        assert sorted(io.read_builder().groups) == ["group"]
        np.testing.assert_array_equal(io.read_builder()["group"]["foreign"].data[:], [0, 1, 2])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_others_have_removed_stays_removed_when_an_append_is_undone(
    tmp_path: Path, zarr_format: int
) -> None:
    import zarr

    store = write(tmp_path / "file.zarr", 1.0, zarr_format=zarr_format)
    io = ZarrIO(store, "r+", get_manager())
    io.write_group("", GroupBuilder("lost"))
    end_as_if_killed(io)
    del zarr.open_group(store, mode="r+", use_consolidated=False)["group"]["b"]
    with ZarrIO(store, "r+", get_manager()) as io:
        assert set(io.read_builder()["group"].datasets) == {"a"}
        io.write_group("", GroupBuilder("new"))
    with ZarrIO(store, "r", get_manager()) as io:
        root = io.read_builder()
        assert set(root.groups) == {"group", "new"}
        np.testing.assert_array_equal(root["group"]["a"].data[:], np.full(50, 1.0))
    assert check(store).findings == ()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_document_that_is_in_the_consolidated_metadata_alone_is_not_forgotten(
    tmp_path: Path, zarr_format: int
) -> None:
    store = write(tmp_path / "file.zarr", 1.0, zarr_format=zarr_format)
    names = ("zarr.json",) if zarr_format == 3 else (".zattrs", ".zarray")
    for name in names:
        lost = (store / "group" / "a" / name).read_bytes()
        (store / "group" / "a" / name).unlink()
        assert value_of(store) == 1.0
        assert not check(store).is_clean
        with pytest.raises(
            ValueError, match=rf"/group/a/{name} is missing, and is in the consolidated"
        ):
            ZarrIO(store, "r+", get_manager())
        (store / "group" / "a" / name).write_bytes(lost)
    append(store, 2.0)
    assert content(store) == NEW


# -- processes that are killed ---------------------------------------------------------------------


KILLED = """
    for value in range(2, 1000):
        write(sys.argv[1], float(value))
"""


@posix
@pytest.mark.parametrize("seconds", [0.02, 0.11, 0.33])
def test_a_killed_write_leaves_a_whole_store(store: Path, seconds: float) -> None:
    process = run_python("print('go', flush=True)" + textwrap.dedent(KILLED), store)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    value_of(store)
    assert {f.code for f in check(store).findings} <= {"leftover"}
    write(store, 7.0)
    assert value_of(store) == 7.0
    assert names_in(store.parent) == {"file.zarr"}
    assert leftovers_beside(store, lock=True) == []


# -- durable ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_syncfs", [True, False])
def test_a_durable_write_is_on_the_disk_before_it_takes_its_place(
    store: Path, monkeypatch: pytest.MonkeyPatch, *, has_syncfs: bool
) -> None:
    steps: list[str] = []
    if not has_syncfs:
        monkeypatch.setattr(system, "_sync_file_system", lambda _folder: False)
    plain_durable, plain_place = new_store.make_durable, new_store.put_in_place

    def durable(folder: Path) -> None:
        assert json.loads((folder / "zarr.json").read_text())["consolidated_metadata"]
        plain_durable(folder)
        steps.append("durable")

    def place(built: Path, target: Path) -> None:
        plain_place(built, target)
        steps.append("in place")

    monkeypatch.setattr(new_store, "make_durable", durable)
    monkeypatch.setattr(new_store, "put_in_place", place)
    with ZarrIO(store, "w", get_manager()) as io:
        io.write_builder(tree(2.0), durable=True)
    assert steps == ["durable", "in place"]
    assert value_of(store) == 2.0


# -- readers of what changes -----------------------------------------------------------------------


def open_reader(target: Path) -> tuple[ZarrIO, Any]:
    io = ZarrIO(target, "r", get_manager())
    return io, io.read_builder()["group"]["a"].data


def test_a_reader_of_a_store_that_is_replaced_gets_an_error_and_no_value_of_the_new(
    store: Path,
) -> None:
    io, data = open_reader(store)
    write(store, 2.0)
    for _ in range(2):  # also not from what is kept in memory
        with pytest.raises(ValueError, match="was replaced while it was read"):
            data[:]
    io.close()
    assert value_of(store) == 2.0


def test_a_store_that_was_replaced_twice_is_not_taken_for_the_first(store: Path) -> None:
    """A system may give the number of a removed folder to the next one."""
    io, data = open_reader(store)
    for value in (2.0, 3.0, 4.0):
        write(store, value)
        data.hierarchy.cache.forget("group/a")
        with pytest.raises(ValueError, match="was replaced while it was read"):
            data[:]
    io.close()
    assert value_of(store) == 4.0


def test_no_folder_gets_the_number_of_one_that_is_held(tmp_path: Path) -> None:
    root = tmp_path / "held"
    root.mkdir()
    held = HeldFolder(root)
    root.rmdir()
    numbers = set()
    for _ in range(100):
        root.mkdir()
        found = root.stat()
        numbers.add((found.st_dev, found.st_ino))
        root.rmdir()
    assert held.number not in numbers
    assert held.is_held
    held.release()
    assert not held.is_held


def descriptors_of(folder: Path) -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += entry.readlink() == folder
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_a_store_is_held_until_it_is_closed(store: Path) -> None:
    io, data = open_reader(store)
    assert descriptors_of(store) == 1
    io.close()
    assert descriptors_of(store) == 0
    assert data[3] == 1.0
    check(store)
    gc.collect()
    assert descriptors_of(store) == 0


def test_not_more_folders_are_held_than_a_process_can_open(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.collect()
    monkeypatch.setattr(
        fingerprint, "MOST_HELD", sum(held.is_held for held in fingerprint._held) + 1
    )
    first, data = open_reader(store)
    second, unheld = open_reader(store)
    with ZarrIO(store, "r+", get_manager()) as writer:
        writer.read_builder()["group"]["b"].data.append(np.full(100, 2.0))
    for array in (data, unheld):
        array.hierarchy.cache.forget("group/a")
    np.testing.assert_array_equal(data[:], np.full(50, 1.0))
    with pytest.raises(ValueError, match="was replaced or changed while it was read"):
        unheld[:]  # whose folder may be another one by now
    first.close()
    second.close()


def test_a_reader_keeps_its_view_while_rows_are_added(store: Path) -> None:
    io, data = open_reader(store)
    with ZarrIO(store, "r+", get_manager()) as writer:
        writer.read_builder()["group"]["b"].data.append(np.full(100, 2.0))
        assert data[3] == 1.0
    data.hierarchy.cache.forget("group/a")
    np.testing.assert_array_equal(data[:], np.full(50, 1.0))
    io.close()


def test_a_reader_of_an_array_that_is_written_anew_gets_an_error(store: Path) -> None:
    io, data = open_reader(store)
    append(store, 2.0)
    with pytest.raises(ValueError, match="was rewritten while it was read"):
        data[:]
    io.close()


def write_columns(target: Path, dtype: str = "i8", value: int = 1, **options: Any) -> None:
    columns = [
        DatasetBuilder(name, ZarrDataIO(np.full(40, value, dtype=dtype), chunks=(size,)))
        for name, size in (("cut", 10), ("whole", 40))
    ]
    with ZarrIO(target, "w", get_manager(), **options) as io:
        io.write_builder(GroupBuilder("root", datasets=columns))


def change_columns(target: Path, value: int) -> None:
    """Change elements where they are."""
    with ZarrIO(target, "r+", get_manager()) as io:
        root = io.read_builder()
        for name in ("cut", "whole"):
            root[name].data[...] = np.full(40, value)
        io.write_builder(root)


def test_chunks_that_were_kept_are_not_mixed_with_those_that_were_changed(store: Path) -> None:
    write_columns(store)
    with ZarrIO(store, "r", get_manager()) as io:
        root = io.read_builder()
        cut, whole = root["cut"].data, root["whole"].data
        assert cut[0:10].tolist() == [1] * 10  # kept
        assert whole[3] == 1
        change_columns(store, 2)
        with pytest.raises(ValueError, match="cut was rewritten while it was read"):
            cut[5:15]
        with pytest.raises(ValueError, match="whole was rewritten while it was read"):
            whole[3]  # what one array tells of the store is known of all


def test_a_chunk_that_was_kept_is_not_mixed_with_one_that_was_changed(store: Path) -> None:
    """Of changes to later chunks alone nobody can tell whether they were not there always."""
    write_columns(store)
    with ZarrIO(store, "r", get_manager()) as io:
        cut = io.read_builder()["cut"].data
        assert cut[10:20].tolist() == [1] * 10  # kept
        with ZarrIO(store, "r+", get_manager()) as writer:
            writer.read_builder()["cut"].data[10:30] = 2
            writer.write_attributes("", {"changed": 1})
        assert cut[5:25].tolist() == [1] * 5 + [2] * 15


def test_a_change_that_another_thread_has_found_counts_for_all(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_columns(store)
    with ZarrIO(store, "r", get_manager()) as io:
        cut = io.read_builder()["cut"].data
        assert cut[10:20].tolist() == [1] * 10  # kept
        open_file, asked = LocalByteStore.open_file, []

        def changed_before(self: LocalByteStore, key: str) -> Any:
            if key == "cut/c.2" and not asked:
                asked.append(key)
                with ZarrIO(store, "r+", get_manager()) as writer:
                    writer.read_builder()["cut"].data[10:30] = 2
                    writer.write_attributes("", {"changed": 1})
                other = threading.Thread(target=lambda: cut[0:5])
                other.start()
                other.join()
            return open_file(self, key)

        monkeypatch.setattr(LocalByteStore, "open_file", changed_before)
        assert cut[15:25].tolist() == [2] * 10
        assert asked


SELECTIONS = {
    "oindex": lambda array: array.oindex[[1, 2]],
    "vindex": lambda array: array.vindex[[1, 2]],
    "blocks": lambda array: array.blocks[0],
    "mask": lambda array: array.vindex[np.arange(40) < 2],
    "basic": lambda array: array.get_basic_selection(slice(2)),
}


@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_no_way_to_select_gives_a_value_of_another_store(
    store: Path, select: Callable[[Any], Any]
) -> None:
    write_columns(store)
    with ZarrIO(store, "r", get_manager()) as io:
        array = io.read_builder()["cut"].data
        assert set(select(array).tolist()) == {1}
        write_columns(store, "f8")
        with pytest.raises(ValueError, match="was replaced while it was read"):
            select(array)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_pickled_array_is_not_read_from_another_one(store: Path, zarr_format: Any) -> None:
    options = {"zarr_format": zarr_format}
    write_columns(store, **options)
    with ZarrIO(store, "r", get_manager()) as io:
        sent = pickle.dumps(io.read_builder()["cut"].data)
    change_columns(store, 2)
    received = pickle.loads(sent)
    assert received[5:15].tolist() == [2] * 10
    with ZarrIO(store, "r+", get_manager()) as io:
        root = io.read_builder()
        root["cut"].data.append(np.full(3, 2**40))
        assert pickle.loads(sent)[:].tolist() == [2] * 40
        io.write_builder(root)
    write_columns(store, "f8", **options)
    for array, what in ((received, "was replaced"), (pickle.loads(sent), "was rewritten since")):
        with pytest.raises(ValueError, match=f"{what}.*; open"):
            array[:]
    shutil.rmtree(store)
    with pytest.raises(ValueError, match="is not a Zarr store"):
        pickle.loads(sent)[:]


def test_a_pickled_array_of_a_store_without_consolidated_metadata(store: Path) -> None:
    write_columns(store)
    (store / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with ZarrIO(store, "r", get_manager()) as io:
        sent = pickle.dumps(io.read_builder()["cut"].data)
    assert pickle.loads(sent)[5:15].tolist() == [1] * 10
    write_columns(store, "f8")
    with pytest.raises(ValueError, match="was rewritten since it was pickled"):
        pickle.loads(sent)[5:15]


def test_what_is_known_of_one_array_is_not_believed_of_another(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    io, data = open_reader(store)
    other = io.read_builder()["group"]["b"].data
    append(store, 2.0)
    loaded: list[Any] = []
    load = staleness.load_documents

    def counted(bytestore: Any, **options: Any) -> Any:
        loaded.append(bytestore)
        return load(bytestore, **options)

    monkeypatch.setattr(staleness, "load_documents", counted)
    for _ in range(3):
        data.hierarchy.cache.forget("group/b")
        np.testing.assert_array_equal(other[:], np.full(50, 1.0))
        with pytest.raises(ValueError, match="group/a was rewritten while it was read"):
            data[:]
    assert len(loaded) == 1
    io.close()


@pytest.mark.parametrize(
    "read",
    [
        lambda data: data.oindex[[0, 1]],
        lambda data: data.vindex[[0, 1]],
        lambda data: data.blocks[0],
        lambda data: data.get_basic_selection(slice(0, 2)),
        lambda data: data.get_orthogonal_selection(slice(0, 2)),
        lambda data: data.get_coordinate_selection([0, 1]),
        lambda data: data.get_mask_selection(np.arange(50) < 2),
    ],
)
def test_no_way_to_read_gives_values_of_another_store(
    store: Path, read: Callable[[Any], Any]
) -> None:
    io, data = open_reader(store)
    assert set(np.asarray(read(data)).tolist()) == {1.0}
    write(store, 2.0)
    with pytest.raises(ValueError, match="was replaced while it was read"):
        read(data)
    io.close()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("rows", [5, 50, 70])
def test_an_array_that_was_written_anew_twice_is_not_taken_for_the_first(
    tmp_path: Path, zarr_format: int, rows: int
) -> None:
    """The names of its chunks are those that they were."""
    store = tmp_path / "file.zarr"
    with ZarrIO(store, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", datasets=[_chunked(50, 1.0)]))
    reader = ZarrIO(store, "r", get_manager())
    data = reader.read_builder()["a"].data
    for value in (2.0, 3.0):
        with ZarrIO(store, "r+", get_manager()) as io:
            io.read_builder()
            io.write_dataset("", _chunked(rows, value))
        data.hierarchy.cache.forget("a")
        with pytest.raises(ValueError, match="/a was rewritten while it was read"):
            data[:5]
    reader.close()


def _chunked(rows: int, value: float) -> Any:
    return _dataset("a", ZarrDataIO(np.full(rows, value), chunks=(20,)))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_scalar_of_another_type_is_not_read_with_the_metadata_of_the_old(
    tmp_path: Path, zarr_format: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "file.zarr"
    with ZarrIO(store, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", datasets=[_dataset("scalar", 1)]))

    def change() -> None:
        for value in (2.0, 3.0):
            with ZarrIO(store, "r+", get_manager()) as io:
                io.read_builder()
                io.write_dataset("", _dataset("scalar", value))

    _once_before(monkeypatch, change)
    with ZarrIO(store, "r", get_manager()) as io:
        with pytest.raises(ValueError, match="/scalar was rewritten while it was read"):
            io.read_builder()


def test_a_linked_store_that_is_replaced_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked, store = tmp_path / "linked.zarr", tmp_path / "file.zarr"

    def write_linked(value: float) -> None:
        root = GroupBuilder("root", datasets=[_dataset("scalar", value)])
        with ZarrIO(linked, "w", get_manager()) as io:
            io.write_builder(root)

    write_linked(1.0)
    with ZarrIO(linked, "r", get_manager()) as source, ZarrIO(store, "w", get_manager()) as io:
        target = source.read_builder()["scalar"]
        root = GroupBuilder("root", links=[LinkBuilder(target, "scalar")])
        io.write_builder(root)
    _once_before(monkeypatch, lambda: write_linked(2.0), of=linked)
    with ZarrIO(store, "r", get_manager()) as io:
        with pytest.raises(ValueError, match="linked.zarr was replaced while it was read"):
            io.read_builder()


def _once_before(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[], None], of: Path | None = None
) -> None:
    """Change a store after the metadata of the first that is read, and before its scalars."""
    read_scalars, waiting = TreeReader._read_scalars, [change]

    def changed(tree: TreeReader) -> Any:
        if waiting and (of is None or tree.hierarchy.uri == str(of)):
            waiting.pop()()
        return read_scalars(tree)

    monkeypatch.setattr(TreeReader, "_read_scalars", changed)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("change", [write, append], ids=["replaced", "appended"])
@pytest.mark.parametrize(
    "options",
    [{}, {"codecs": "default"}, {"number_of_jobs": 2}, {"zarr_format": 2}, {"shards": "auto"}],
    ids=str,
)
def test_an_export_is_of_one_store(
    store: Path,
    zarr_format: int,
    change: Any,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of which another process has made another one by the time that the second array is read."""
    if options.get("shards") and zarr_format == 2:
        options = {"chunks": {"/group/a": (5,)}}
    write(store, 1.0, zarr_format=zarr_format)
    write_array = Execution.write_array
    seen: list[str] = []

    def changed_first(execution: Execution, plan: Any) -> None:
        seen.append(plan.path)
        if len(seen) == 1:
            change(store, 2.0)
        write_array(execution, plan)

    target = store.with_name("target.zarr")
    options = dict(options)
    target_format = options.pop("zarr_format", zarr_format)
    # Rows are added in place there: what the reader knows of is there still.
    is_well = change is append and zarr_format == 2
    with (
        ZarrIO(store, "r", get_manager()) as source,
        ZarrIO(target, "w", get_manager(), zarr_format=target_format) as io,
    ):
        source.read_builder()
        monkeypatch.setattr(Execution, "write_array", changed_first)
        if is_well:
            io.export(source, **options)
        else:
            with pytest.raises(ValueError, match="was (replaced|rewritten) while it was read"):
                io.export(source, **options)
    monkeypatch.undo()
    assert len(seen) > 1
    assert target.exists() == is_well
    if is_well:
        assert value_of(target) == 1.0


@pytest.mark.parametrize("way", ["copy", "link"])
@pytest.mark.parametrize("change", [write, append])
def test_an_upgrade_is_of_one_store(
    store: Path, way: Any, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, 1.0, zarr_format=2)
    target = store.with_name("target.zarr")
    finish = ChunkMover.finish

    def changed_first(mover: ChunkMover) -> Iterator[int]:
        change(store, 2.0)
        return finish(mover)

    monkeypatch.setattr(ChunkMover, "finish", changed_first)
    with pytest.raises(ValueError, match="was changed while it was read; try again"):
        upgrade(store, target, way=way)
    assert not target.exists()
    assert [path.name for path in store.parent.iterdir()] == [store.name]


def test_an_append_that_goes_on_is_not_upgraded(store: Path) -> None:
    write(store, 1.0, zarr_format=2)
    target = store.with_name("target.zarr")
    with ZarrIO(store, "r+", get_manager()) as io:
        io.write_group("", GroupBuilder("new"))
        with pytest.raises(
            ValueError, match="is being appended to, or an append to it was stopped"
        ):
            upgrade(store, target)
    assert not target.exists()
    upgrade(store, target)
    assert value_of(target) == 1.0


@pytest.mark.parametrize("flags", [["--durable"], ["--no-durable"], []])
def test_the_command_takes_the_option(store: Path, flags: list[str], monkeypatch: Any) -> None:
    from hdmf_zarr.cli import main

    synced: list[Path] = []
    monkeypatch.setattr(new_store, "make_durable", synced.append)
    with ZarrIO(store, "r+", get_manager()) as io:
        io.write_attributes("", {"data_type": "Container", "namespace": "hdmf-common"})
    target = store.with_name("copy.zarr")
    assert main(["convert", str(store), str(target), "--quiet", *flags]) == 0
    expected = flags == ["--durable"]
    assert bool(synced) == expected
