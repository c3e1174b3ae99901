"""Chunks of an array into another store."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hdmf_zarr.stores import ByteStore, locate, open_bytestore
from hdmf_zarr.transfer.files import COPIED_AT_ONCE, MOST_THREADS, ChunkMover

SIZES = [0, 1, COPIED_AT_ONCE, COPIED_AT_ONCE + 1, 3 * COPIED_AT_ONCE]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[ByteStore, ByteStore]:
    """A store with an array of chunks of several sizes, and an empty one."""
    old, new = (open_bytestore(locate(tmp_path / name), read_only=False) for name in ("old", "new"))
    for number, size in enumerate(SIZES):
        old.set(f"array/{number}", os.urandom(size))
    return old, new


def start(mover: ChunkMover, old: ByteStore, new: ByteStore) -> list[str]:
    return mover.start(old, new, "array", str.isdigit)


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
