"""One writer at a time to a local store: a lock file next to it, and the leftovers of writers.

For a store ``a.zarr`` these are hidden files and folders in the same folder:

* ``.a.zarr.lock``: held by the writer from its first change to the commit, then removed. The system drops
  the lock of a process that dies, so its file does not block other writers. The file names the writer.
* ``.a.zarr.<12 hex digits>.partial``: a new store before it is complete.
* ``.a.zarr.<12 hex digits>.old``: the replaced store, while it is removed.

They are next to the store and not in it, so that a copy of the store has no lock. Over NFS the lock works
between machines if the server supports locks. If the file system has no locks, the writer continues without
one and logs a warning.

The folder of the store is also locked, if its file system supports that: it is the same folder for every
path that leads to it, and remains locked if the lock file is removed.

If one process has two writers, the second one asks the first for the lock. The first one hands it over,
unless one of its calls is running, and its uncommitted changes are undone.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import logging
import os
import re
import shutil
import socket
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hdmf_zarr.errors import LockedError

logger = logging.getLogger(__name__)

TRIES = 4
"""Number of tries, since a check whether a store is locked holds the lock itself for a moment."""

PAUSE_SECONDS = 0.01

OPENING_SECONDS = 60.0
"""Time that a writer waits for another one that locks the store only to open it."""

_REFUSED = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
"""Error codes when another writer has the lock; all others mean that there are no locks."""


def lock_path(store: Path) -> Path:
    """Return the path of the lock of a local store."""
    return store.with_name(f".{store.name}.lock")


def staging_path(store: Path) -> Path:
    """Return an unused path next to a store, where a new store is built."""
    return store.with_name(f".{store.name}.{uuid.uuid4().hex[:12]}.partial")


def retired_path(store: Path) -> Path:
    """Return an unused path next to a store, for the store that is replaced."""
    return store.with_name(f".{store.name}.{uuid.uuid4().hex[:12]}{RETIRED}")


RETIRED = ".old"
"""Suffix of the name of a store that is replaced."""


def leftovers_beside(store: Path, *, lock: bool = False) -> list[Path]:
    """Return leftovers of writers next to a store; with ``lock``, also their lock file.

    Files of dead and of living writers look the same: call `writer_of` first, or hold the lock.
    """
    start = f".{store.name}."
    found = [
        name
        for name in _names(store.parent)
        if name.startswith(start)
        and (_LEFTOVER.fullmatch(name, len(start)) or (lock and name == lock_path(store).name))
    ]
    return [store.parent / name for name in sorted(found)]


def unfinished_documents(store: Path) -> list[Path]:
    """Return the unfinished files of documents of a store's root, or of its journal."""
    return [store / name for name in sorted(_names(store)) if _UNFINISHED.fullmatch(name)]


_LEFTOVER = re.compile(r"[0-9a-f]{12}\.(partial|old)")

_UNFINISHED = re.compile(
    r"(zarr(\.json)?|\.z(array|attrs|group|metadata)?|\.append\.partial)\.[0-9a-f]{32}\.partial"
)
"""Zarr-python replaces the part after the last dot of a key by a suffix of the same form."""


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - the folder may have thousands of entries
    except OSError:
        return []


def remove_beside(path: Path) -> None:
    """Remove a leftover: a folder, a file or a symbolic link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class WriterLock:
    """The right to write to a local store; see `acquire`.

    Attributes
    ----------
    path : Path
        Path of the lock file.
    is_held : bool
        Whether the lock is held. False if the file system has no locks, and after the release.
    hand_over : callable or None
        Function that hands the lock over to another writer of this process, or raises `LockedError`; None
        if the holder keeps the lock.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.hand_over: Callable[[], None] | None = None
        self._folders: dict[tuple[int, int], int] = {}
        # Also releases the lock if the writer is garbage-collected, since HDMF does not close it then.
        self._release = weakref.finalize(
            self, _give_up, descriptor, path, os.getpid(), self._folders
        )
        self._has_file = descriptor is not None
        _HELD.add(self)

    @classmethod
    def acquire(
        cls, store: Path, *, is_opening: bool = False, takes_over: bool = True
    ) -> WriterLock:
        """Lock a local store, whose folder need not exist yet.

        Parameters
        ----------
        store : Path
        is_opening : bool
            Whether the lock is only for opening the store. Other writers wait for its release.
        takes_over : bool
            Whether to ask an idle writer of this process for the lock.

        Raises
        ------
        LockedError
            If another process, or this one, is writing to the store.
        """
        waiting = _Waiting(store, takes_over=takes_over)
        lock = cls._acquire_file(store, waiting, is_opening=is_opening)
        try:
            lock.hold(store, takes_over=takes_over)
        except BaseException:
            lock.release()
            raise
        return lock

    @classmethod
    def _acquire_file(cls, store: Path, waiting: _Waiting, *, is_opening: bool) -> Self:
        path = lock_path(store)
        while True:
            descriptor = _open(path)
            if descriptor is None:
                return cls(path, None)
            try:
                lock = cls._locked(path, descriptor, waiting, is_opening=is_opening)
            except BaseException:  # an interrupt: an open file keeps its lock
                with contextlib.suppress(OSError):
                    os.close(descriptor)
                raise
            if lock is not None:
                return lock
            os.close(descriptor)

    @classmethod
    def _locked(
        cls, path: Path, descriptor: int, waiting: _Waiting, *, is_opening: bool
    ) -> Self | None:
        """Lock an open file; return None if the caller must try again with another file."""
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _REFUSED:
                logger.warning("%s cannot be locked: %s", path, error)
                os.close(descriptor)
                return cls(path, None)
            waiting.wait_for(_read_owner(descriptor), lambda lock: lock.path == path)
            return None
        if _is_at(descriptor, path):
            _write_owner(descriptor, is_opening=is_opening)
            return cls(path, descriptor)
        # The writer has just removed this file.
        waiting.wait_for({}, lambda _lock: False)
        return None

    def hold(self, folder: Path, *, takes_over: bool = True) -> None:
        """Also lock a folder itself, whatever path leads to it, if it exists.

        Parameters
        ----------
        folder : Path
        takes_over : bool
            Whether to ask an idle writer of this process for the lock.

        Raises
        ------
        LockedError
            If another writer has it.
        """
        waiting = _Waiting(folder, takes_over=takes_over)
        while not self.has(folder):
            try:
                descriptor = _lock_folder(folder)
            except OSError:
                waiting.wait_for(_holder_of(folder), lambda lock: lock.has(folder))
                continue
            if descriptor is not None:
                self._folders[_number(os.fstat(descriptor))] = descriptor
            return

    def has(self, folder: Path) -> bool:
        """Return whether this lock includes a folder itself."""
        try:
            return _number(os.stat(folder)) in self._folders
        except OSError:
            return False

    @property
    def is_held(self) -> bool:
        """Whether the lock is held, so that no other writer can write to the store."""
        return self._has_file and self._release.alive

    def release(self) -> None:
        """Release the lock; in a child of the process that has the lock, only close the files."""
        _HELD.discard(self)
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class _Waiting:
    """Waits while another writer has the lock.

    Parameters
    ----------
    store : Path
    takes_over : bool
        See `WriterLock.acquire`.
    """

    def __init__(self, store: Path, *, takes_over: bool) -> None:
        self._store, self._takes_over = store, takes_over
        self._tries = 0
        self._until = time.monotonic() + OPENING_SECONDS

    def wait_for(self, holder: dict[str, Any], is_meant: Callable[[WriterLock], bool]) -> None:
        """Wait for a moment; ask the holder for its lock if the holder is in this process.

        Parameters
        ----------
        holder : dict
            Holder of the lock, as far as it is known.
        is_meant : callable
            Function that returns whether a lock of this process is the blocking one.

        Raises
        ------
        LockedError
            If the holder keeps the lock for more than opening the store, or refuses to hand it over.
        """
        if not (holder.get("opening") and time.monotonic() < self._until):
            refused = _ask(is_meant) if self._takes_over else None
            self._tries += 1
            if self._tries == TRIES:
                raise refused or LockedError(_message(self._store, holder)) from None
            gc.collect()  # an unreferenced writer releases its lock
        time.sleep(PAUSE_SECONDS)


def _ask(is_meant: Callable[[WriterLock], bool]) -> LockedError | None:
    """Ask writers of this process to hand over their locks; return the error of one that refuses."""
    try:
        for lock in list(_HELD):
            if lock.hand_over is not None and is_meant(lock):
                lock.hand_over()
    except LockedError as error:
        return error
    return None


def _give_up(
    descriptor: int | None, path: Path, owner: int, folders: dict[tuple[int, int], int]
) -> None:
    while folders:
        os.close(folders.popitem()[1])  # unlocked once no process has it open
    if descriptor is None:
        return
    if os.getpid() == owner and os.name != "nt" and _is_at(descriptor, path):
        # Removed while it is locked, so that no writer locks a file without a name; see `_is_at`.
        with contextlib.suppress(OSError):  # Windows does not remove an open file
            path.unlink()
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            _unlock(descriptor)
    os.close(descriptor)
    if os.name == "nt":
        with contextlib.suppress(OSError):
            path.unlink()


def _lock_folder(folder: Path) -> int | None:
    """Open and lock a folder; return None if it does not exist, or the file system cannot lock it.

    Raises
    ------
    OSError
        If another writer has it.
    """
    flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(folder, flags)
    except OSError:
        return None  # a file, or Windows
    try:
        _lock(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _REFUSED:
            raise
        logger.debug("%s itself cannot be locked: %s", folder, error)
        return None
    return descriptor


def _number(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def holds_folder(folder: Path) -> bool:
    """Return whether this process has locked a folder itself, so that it has no other writer."""
    return any(lock.has(folder) for lock in list(_HELD))


def _holder_of(folder: Path) -> dict[str, Any]:
    """Return the holder of a folder's lock, as far as it is known: the lock file may be elsewhere."""
    if holds_folder(folder):
        return {"process": os.getpid(), "machine": socket.gethostname()}
    return {}


def writer_of(store: Path) -> str | None:
    """Return a description of the writer of a local store; None if there is none.

    The lock file of a dead writer is ignored.
    """
    holder = _find_holder(store)
    return None if holder is None else in_words(holder)


def _find_holder(store: Path) -> dict[str, Any] | None:
    """Return the holder of a store's lock, as far as it is known; None if the store is not locked."""
    try:
        descriptor = os.open(lock_path(store), os.O_RDWR)
    except OSError:
        return _find_holder_of_folder(store)
    try:
        _lock(descriptor)
    except OSError as error:
        return _read_owner(descriptor) if error.errno in _REFUSED else None
    else:
        _unlock(descriptor)
        return _find_holder_of_folder(store)
    finally:
        os.close(descriptor)


def _find_holder_of_folder(store: Path) -> dict[str, Any] | None:
    try:
        descriptor = _lock_folder(store)
    except OSError:
        return _holder_of(store)
    if descriptor is not None:
        os.close(descriptor)
    return None


def _is_own(holder: Mapping[str, Any]) -> bool:
    """Return whether the holder of a lock is this process."""
    is_here = holder.get("machine") == socket.gethostname()
    return is_here and holder.get("process") == os.getpid()


def check_not_locked(store: Path) -> None:
    """Raise `LockedError` if another process is writing to a local store; nothing is changed."""
    waiting = _Waiting(store, takes_over=False)
    while (holder := _find_holder(store)) is not None and not _is_own(holder):
        waiting.wait_for(holder, lambda _lock: False)


_ADVICE = "close it there first (reading is possible at any time)"


def _message(store: Path, holder: dict[str, Any]) -> str:
    return f"{store} is being written to by {in_words(holder)}; {_ADVICE}"


def in_words(holder: Mapping[str, Any]) -> str:
    """Return a description of the holder of a lock, or of the writer of a journal."""
    process, machine = holder.get("process"), holder.get("machine")
    if not isinstance(process, int):
        return "another process"
    where = "" if machine == socket.gethostname() else f" on {machine!s:.100}"
    who = "this process" if process == os.getpid() and not where else f"process {process}"
    started = holder.get("since")
    return f"{who}{where}, since {started!s:.40}" if started else f"{who}{where}"


def _open(path: Path) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        # A read-only folder, or a file of another user: writing to the store may still be possible.
        logger.warning("%s cannot be locked: %s", path, error)
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still at a path: its writer may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _write_owner(descriptor: int, *, is_opening: bool) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    owner: dict[str, Any] = {
        "process": os.getpid(),
        "machine": socket.gethostname(),
        "since": since,
    }
    if is_opening:
        owner["opening"] = True
    with contextlib.suppress(OSError):  # a full disk: the lock holds without it
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(owner).encode("utf-8"))


def _read_owner(descriptor: int) -> dict[str, Any]:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        owner = json.loads(os.read(descriptor, 4096))
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


if os.name == "nt":
    import msvcrt

    _FAR = 2**30
    """The byte that is locked, far after the text, so that other processes can read the text."""

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    # This lock belongs to the open file, not the process: two writers of one process exclude each other.
    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_HELD: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    """Release locks in a child process, which shares open files and would keep locks of a dead writer."""
    for lock in list(_HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
