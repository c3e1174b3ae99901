"""Stores that fail, tear or lose an operation: afterwards the old store or the new one, or an error."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.common import get_manager
from zarr.abc.store import Store
from zarr.storage import LocalStore, MemoryStore, WrapperStore

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.errors import HDMFZarrError, NotAStoreError
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.transfer.upgrade import upgrade
from tests.integration.test_transactions import (
    NEW,
    OLD,
    append,
    content,
    tree,
    value_of,
    write,
)

PARTS = (
    OLD,
    (["group"], [1.0] * 50 + [2.0] * 3, [1.0] * 50, {"value": 1.0}),
    (["group", "new"], [1.0] * 50 + [2.0] * 3, [1.0] * 50, {"value": 1.0}),
    NEW,
)
"""An append of three steps that was given up after some, and closed."""

FAULTS = ("fail", "tear", "delay")


class FaultyStore(WrapperStore[Any]):
    """A store whose n-th change fails, tears (half a value is there, and an error) or is slow."""

    def __init__(self, store: Store, at: int, fault: str) -> None:
        super().__init__(store)
        self.at = at
        self.fault = fault
        self.count = 0

    async def _change(self, key: str = "", value: Any = None) -> None:
        self.count += 1
        if self.count - 1 != self.at:
            return
        if self.fault == "delay":
            import asyncio

            await asyncio.sleep(0.02)
            return
        if self.fault == "tear" and value is not None:
            await self._store.set(key, value[: len(value) // 2])
        raise OSError(errno.EIO, "the store broke")

    async def set(self, key: str, value: Any) -> None:
        await self._change(key, value)
        await super().set(key, value)

    async def delete(self, key: str) -> None:
        await self._change()
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        await self._change()
        await super().delete_dir(prefix)

    async def clear(self) -> None:
        await self._change()
        await super().clear()


def every_fault(work: Callable[[int], bool], limit: int = 120) -> int:
    """Do something with a fault at each of its changes, until there is none at which it can be."""
    for at in range(limit):
        if not work(at):
            return at
    pytest.fail("it has no end")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_in_memory_is_whole_or_refused_after_any_fault(
    fault: str, zarr_format: int
) -> None:
    def work(at: int) -> bool:
        memory = MemoryStore()
        faulty = FaultyStore(memory, at, fault)
        try:
            write(faulty, 1.0, zarr_format=zarr_format)
        except OSError:
            with pytest.raises(HDMFZarrError):
                value_of(memory)
        else:
            assert value_of(memory) == 1.0
            assert check(memory).findings == ()
        return faulty.count > at

    assert every_fault(work) > 5


@pytest.mark.parametrize("fault", FAULTS)
def test_an_append_in_memory_was_or_was_not(fault: str) -> None:
    """The failed append undoes itself, or the next writer does; readers see the old view meanwhile."""

    def work(at: int) -> bool:
        memory = MemoryStore()
        write(memory, 1.0)
        faulty = FaultyStore(memory, at, fault)
        try:
            append(faulty, 2.0)
        except OSError:
            pass
        else:
            assert content(memory) == NEW
        try:
            assert content(memory) in PARTS
            bad = {f.severity for f in check(memory).findings} - {"note"}
            assert not bad, check(memory)
        except HDMFZarrError:
            assert fault == "tear"  # half of the root's document: refused, and told why
            return faulty.count > at
        with ZarrIO(memory, "r+", get_manager()):
            pass
        assert content(memory) in PARTS
        assert check(memory).findings == ()
        return faulty.count > at

    assert every_fault(work) > 5


@pytest.fixture
def failing_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """Let the n-th change of local stores, and all after it (a full disk), fail or tear."""
    plain = {name: getattr(LocalByteStore, name) for name in ("set", "delete")}
    plain_zarr = LocalStore.set

    def arm(at: int, fault: str) -> None:
        count = 0

        def hit() -> bool:
            nonlocal count
            count += 1
            return count > at >= 0

        def set_(self: LocalByteStore, key: str, value: bytes) -> None:
            if hit():
                if fault == "tear" and self.is_unseen:  # elsewhere a value comes by a rename
                    plain["set"](self, key, value[: len(value) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            plain["set"](self, key, value)

        async def set_zarr(self: LocalStore, key: str, value: Any) -> None:
            if hit():
                raise OSError(errno.ENOSPC, "No space left on device")
            await plain_zarr(self, key, value)

        monkeypatch.setattr(LocalByteStore, "set", set_)
        monkeypatch.setattr(LocalStore, "set", set_zarr)

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("fault", ["fail", "tear"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_full_disk_leaves_the_old_store(
    tmp_path: Path, failing_disk: Any, fault: str, zarr_format: int
) -> None:
    target = write(tmp_path / "file.zarr", 1.0, zarr_format=zarr_format)

    def work(at: int) -> bool:
        failing_disk(at, fault)
        try:
            write(target, 2.0, zarr_format=zarr_format)
        except OSError:
            failed = True
        else:
            failed = False
        failing_disk(-1, fault)
        assert value_of(target) == (1.0 if failed else 2.0)
        assert check(target).findings == ()
        assert [path.name for path in tmp_path.iterdir()] == ["file.zarr"]
        return failed

    assert every_fault(work) > 5


def test_an_append_to_a_full_disk_never_was(tmp_path: Path, failing_disk: Any) -> None:
    def work(at: int) -> bool:
        target = write(tmp_path / f"{at}.zarr", 1.0)
        failing_disk(at, "fail")
        try:
            append(target, 2.0)
        except OSError:
            failed = True
        else:
            failed = False
        failing_disk(-1, "fail")
        assert content(target) in ((OLD, NEW) if failed else (NEW,))
        assert {f.severity for f in check(target).findings} <= {"note"}
        with ZarrIO(target, "r+", get_manager()):
            pass
        assert content(target) in (OLD, NEW)
        assert check(target).findings == ()
        return failed

    assert every_fault(work) > 5


def test_an_upgrade_on_a_full_disk_leaves_a_store_of_either_format(
    tmp_path: Path, failing_disk: Any
) -> None:
    def work(at: int) -> bool:
        target = write(tmp_path / f"{at}.zarr", 1.0, zarr_format=2)
        failing_disk(at, "fail")
        try:
            upgrade(target)
        except OSError:
            failed = True
        else:
            failed = False
        failing_disk(-1, "fail")
        assert value_of(target) == 1.0
        assert {f.severity for f in check(target).findings} <= {"note"}
        return failed

    assert every_fault(work) > 3


def test_an_export_whose_source_breaks_leaves_the_old_store(tmp_path: Path) -> None:
    target, memory = write(tmp_path / "file.zarr", 1.0), MemoryStore()
    write(memory, 2.0)
    del memory._store_dict["group/b/c.0"]
    memory._store_dict["group/a/c.0"] = memory._store_dict["zarr.json"]
    with (
        ZarrIO(memory, "r", get_manager()) as source,
        ZarrIO(target, "w", get_manager()) as io,
        pytest.raises(HDMFZarrError),
    ):
        io.export(source, codecs="default")
    assert value_of(target) == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["file.zarr"]


# -- real disks ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    target = write(small_disk / "file.zarr", 1.0)
    builder = tree(2.0)
    from hdmf.build import DatasetBuilder

    data = np.random.default_rng(0).random(300_000)
    builder["group"].set_dataset(DatasetBuilder("large", data))
    io = ZarrIO(target, "w", get_manager())
    with pytest.raises(OSError, match="No space left") as caught:
        io.write_builder(builder)
    assert caught.value.errno == errno.ENOSPC
    io.close()
    assert value_of(target) == 1.0
    assert [path.name for path in small_disk.iterdir()] == ["file.zarr"]


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Take the right to change a folder away, from root as well (``chattr +i``)."""
    changed: list[Path] = []

    def take(folder: Path) -> None:
        if os.name == "nt":
            pytest.skip("needs the permissions of POSIX")
        if os.getuid() != 0:
            changed.append(folder)
            folder.chmod(0o500)
            return
        command = ["chattr", "+i", str(folder)]
        if (
            shutil.which("chattr") is None
            or subprocess.run(command, capture_output=True).returncode
        ):
            pytest.skip("root may write everywhere, and chattr does not work here")
        changed.append(folder)

    yield take
    for folder in changed:
        if os.getuid() == 0:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        else:
            folder.chmod(0o700)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, immutable: Any) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    target = write(folder / "file.zarr", 1.0)
    immutable(folder)
    assert value_of(target) == 1.0
    assert check(target).findings == ()
    with pytest.raises(PermissionError), ZarrIO(target, "w", get_manager()) as io:
        io.write_builder(tree(2.0))
    assert value_of(target) == 1.0


def test_permissions_that_are_lost_half_way(tmp_path: Path, immutable: Any) -> None:
    """An append that may write some folders and not others never was."""
    target = write(tmp_path / "file.zarr", 1.0)
    immutable(target / "group" / "a")
    with pytest.raises(PermissionError):
        append(target, 2.0)
    assert content(target) == OLD
    assert {f.severity for f in check(target).findings} <= {"note"}


def test_a_lost_chunk_is_found(tmp_path: Path) -> None:
    """A store that loses what it said it has stored: nothing can help but a check."""
    target = write(tmp_path / "file.zarr", 1.0)
    (target / "group" / "a" / "c.0").unlink()
    assert [f.code for f in check(target).findings] == ["missing-chunk"]
    with pytest.raises(NotAStoreError):
        value_of(tmp_path / "file.zarr" / "group" / "a")
