"""Stores whose n-th change fails, tears, is slow, or is lost: it is confirmed, and nothing happened."""

from __future__ import annotations

import errno
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from zarr.abc.store import Store
from zarr.storage import LocalStore, WrapperStore

from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.transfer.files import ChunkMover

FAULTS = ("fail", "tear", "delay", "lose")


class Fault:
    """What happens to the ``at``-th change.

    Parameters
    ----------
    at : int
    kind : str
        ``"fail"``: it is an error, and nothing is changed. ``"tear"``: half of the value is there, and an
        error. ``"delay"``: it takes longer. ``"lose"``: nothing is changed, and no error. ``"full"``: this
        and every later one is an error.
    """

    def __init__(self, at: int, kind: str) -> None:
        self.at = at
        self.kind = kind
        self.count = 0
        self.struck: list[str] = []
        self._lock = threading.Lock()

    def next(self, key: str) -> str | None:
        """What happens to the next change."""
        with self._lock:
            self.count += 1
            is_struck = self.count - 1 == self.at or (self.kind == "full" and self.count > self.at)
            if is_struck:
                self.struck.append(key)
        if is_struck and self.kind == "delay":
            time.sleep(0.002)
            return None
        return self.kind if is_struck else None


def end_as_if_killed(io: Any) -> None:
    """Let an IO be what it is for others when its process was killed: the system takes its locks away."""
    for hierarchy in io._session.hierarchies():
        if isinstance(hierarchy.bytestore, LocalByteStore):
            hierarchy.open_append.abandon()
    new_store = io._session.new_store
    if new_store is not None and new_store.lock is not None:
        new_store.lock.release()
    io._session.is_open = False


def broken() -> OSError:
    return OSError(errno.EIO, "the store broke")


class FaultyStore(WrapperStore[Any]):
    """A store with a fault."""

    def __init__(self, store: Store, fault: Fault) -> None:
        super().__init__(store)
        self.fault = fault

    def _with_store(self, store: Any) -> FaultyStore:
        return FaultyStore(store, self.fault)

    async def set(self, key: str, value: Any) -> None:
        what = self.fault.next(key)
        if what == "lose":
            return
        if what == "tear":
            await self._store.set(key, value[: len(value) // 2])
        if what is not None:
            raise broken()
        await self._store.set(key, value)

    async def _remove(self, key: str, remove: Callable[[], Any]) -> None:
        what = self.fault.next(key)
        if what is None:
            await remove()
        elif what != "lose":
            raise broken()

    async def delete(self, key: str) -> None:
        await self._remove(key, lambda: self._store.delete(key))

    async def delete_dir(self, prefix: str) -> None:
        await self._remove(prefix, lambda: self._store.delete_dir(prefix))

    async def clear(self) -> None:
        await self._remove("", self._store.clear)


@contextmanager
def faulty_disk(fault: Fault) -> Iterator[None]:
    """Give the disk a fault: whoever changes files of a store, this package or zarr."""
    with pytest.MonkeyPatch.context() as patch:
        plain_set, plain_writer = LocalByteStore.set, LocalByteStore.writer

        def set_(self: LocalByteStore, key: str, value: bytes) -> None:
            what = fault.next(key)
            if what == "lose":
                return
            if what == "tear" and self.is_unseen:  # elsewhere a value comes by a rename
                plain_set(self, key, value[: len(value) // 2])
            if what is not None:
                raise broken()
            plain_set(self, key, value)

        @contextmanager
        def writer(self: LocalByteStore, key: str) -> Iterator[Any]:
            what = fault.next(key)
            if what == "lose":
                yield io.BytesIO()
                return
            with plain_writer(self, key) as file:
                yield file
                if what is not None:
                    raise broken()

        patch.setattr(LocalByteStore, "set", set_)
        patch.setattr(LocalByteStore, "writer", writer)
        for owner, name in (
            (LocalByteStore, "delete"),
            (LocalByteStore, "delete_prefix"),
        ):
            patch.setattr(owner, name, _sync(fault, getattr(owner, name)))
        for name in ("set", "delete"):
            patch.setattr(LocalStore, name, _async(fault, getattr(LocalStore, name)))
        patch.setattr(ChunkMover, "_move_file", _moved(fault, ChunkMover._move_file))
        yield


def _sync(fault: Fault, plain: Callable[..., Any]) -> Callable[..., Any]:
    def changed(self: Any, key: str) -> Any:
        what = fault.next(key)
        if what is None:
            return plain(self, key)
        if what != "lose":
            raise broken()
        return None

    return changed


def _async(fault: Fault, plain: Callable[..., Any]) -> Callable[..., Any]:
    async def changed(self: LocalStore, key: str, *value: Any) -> Any:
        what = fault.next(key)
        if what is None:
            return await plain(self, key, *value)
        if what != "lose":
            raise broken()
        return None

    return changed


def _moved(fault: Fault, plain: Callable[..., int]) -> Callable[..., int]:
    def moved(self: ChunkMover, source: str, target: str) -> int:
        what = fault.next(Path(target).name)
        if what is None:
            return plain(self, source, target)
        if what == "tear":
            Path(target).write_bytes(Path(source).read_bytes()[:5])
        if what != "lose":
            raise broken()
        return Path(source).stat().st_size

    return moved
