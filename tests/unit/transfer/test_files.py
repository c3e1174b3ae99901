"""Chunks of an array into another store."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transfer.files import (
    COPIED_AT_ONCE,
    MOST_THREADS,
    ChunkMover,
    _copied_by_system,
    _copy_file,
    _link_file,
)

SIZES = [0, 1, COPIED_AT_ONCE, COPIED_AT_ONCE + 1, 3 * COPIED_AT_ONCE]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[ByteStore, ByteStore]:
    """A store with an array of chunks of several sizes, and an empty one."""
    old, new = (open_bytestore(locate(tmp_path / name), read_only=False) for name in ("old", "new"))
    for number, size in enumerate(SIZES):
        old.set(f"array/{number}", os.urandom(size))
    return old, new


def start(mover: ChunkMover, old: ByteStore, new: ByteStore) -> list[str]:
    return mover.start(old, new, "array", str.isdigit, max(SIZES))


@pytest.mark.parametrize("way", ["copy", "link"])
def test_all_chunks_are_brought(stores: tuple[ByteStore, ByteStore], way: str) -> None:
    old, new = stores
    mover = ChunkMover(way)  # type: ignore[arg-type]
    keys = start(mover, old, new)
    assert sum(mover.finish()) == sum(SIZES)
    assert sorted(keys) == sorted(new.list_prefix("array"))
    assert new.get_many(keys) == old.get_many(keys)


def test_the_caller_copies_what_no_thread_has_begun(stores: tuple[ByteStore, ByteStore]) -> None:
    old, new = stores
    mover = ChunkMover()
    gate = threading.Event()
    threads = [mover._pool.submit(gate.wait, 10) for _ in range(MOST_THREADS)]
    keys = start(mover, old, new)
    finishing = mover.finish()
    at_once, by_caller = next(finishing), [next(finishing), next(finishing)]
    assert at_once == sum(size for size in SIZES if size <= COPIED_AT_ONCE)
    assert not any(thread.done() for thread in threads)
    assert sorted(by_caller) == [size for size in SIZES if size > COPIED_AT_ONCE]
    assert new.get_many(keys) == old.get_many(keys)
    gate.set()
    assert sum(finishing) == 0


def test_nothing_is_begun_after_a_failure(
    stores: tuple[ByteStore, ByteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = stores
    mover = ChunkMover()
    gate = threading.Event()
    for _ in range(MOST_THREADS):
        mover._pool.submit(gate.wait, 10)
    start(mover, old, new)

    def refused(*_: object) -> int:
        gate.set()
        raise OSError("no space left")

    monkeypatch.setattr(mover, "_move_file", refused)
    mover._waiting[0] = refused
    with pytest.raises(OSError, match="no space left"):
        list(mover.finish())
    large = sum(size > COPIED_AT_ONCE for size in SIZES)
    assert len(list(new.list_prefix("array"))) <= len(SIZES) - large + 1
    assert not mover._waiting


# -- one file --------------------------------------------------------------------------------------


def other_file_system(path: Path) -> Path:
    """A folder that is on another file system, where this machine has one."""
    for candidate in (Path("/dev/shm"), Path("/tmp"), Path("/var/tmp"), Path.cwd()):
        if candidate.is_dir() and candidate.stat().st_dev != path.stat().st_dev:
            return candidate
    pytest.skip("there is one file system only")


@pytest.mark.parametrize("size", [0, 1, 5000, COPIED_AT_ONCE + 1])
def test_a_file_is_copied_over_what_was_there(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size))
    target.write_bytes(b"x" * 2 * size)
    assert _copy_file(str(source), str(target)) == size
    assert target.read_bytes() == source.read_bytes()


def test_a_file_is_copied_to_another_file_system(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5000))
    with tempfile.TemporaryDirectory(dir=other_file_system(tmp_path)) as folder:
        target = Path(folder, "target")
        assert not _copied_by_system(str(source), str(target))
        assert _copy_file(str(source), str(target)) == 5000
        assert target.read_bytes() == source.read_bytes()


def test_no_file_is_linked_to_another_file_system(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1234")
    with tempfile.TemporaryDirectory(dir=other_file_system(tmp_path)) as folder:
        target = Path(folder, "target")
        with pytest.raises(OptionError, match=f"no hard link at {target}: .*--link"):
            _link_file(str(source), str(target))
        assert not target.exists()
    assert _link_file(str(source), str(tmp_path / "target")) == 4
    assert (tmp_path / "target").samefile(source)
    with pytest.raises(FileExistsError):
        _link_file(str(source), str(tmp_path / "target"))


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="Linux has the call")
@pytest.mark.parametrize(("counts", "by_system"), [([999] * 6, True), ([2000, 0], False)])
def test_what_the_system_copies_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: list[int], *, by_system: bool
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(5000))
    call, most = os.copy_file_range, iter(counts * 2)
    monkeypatch.setattr(
        os, "copy_file_range", lambda old, new, n: call(old, new, min(n, next(most)))
    )
    assert _copied_by_system(str(source), str(target)) is by_system
    assert _copy_file(str(source), str(target)) == 5000
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has the device")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5000))
    with pytest.raises(OSError, match="/dev/full") as raised:
        _copy_file(str(source), "/dev/full")
    assert raised.value.errno == errno.ENOSPC


def test_a_source_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"):
        _copy_file(str(tmp_path / "source"), str(tmp_path / "target"))
    assert not (tmp_path / "target").exists()
