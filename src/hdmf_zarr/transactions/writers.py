"""The writer of a local store: named in its journal, compared before the commit.

A lock lies beside a store, and two paths may lead to one store (a folder that is mounted twice), or the
lock's file may have been removed. The folder itself is locked, too, where its file system can do that. Where
it cannot, the journal tells: it names its writer, only one can put it there, and a writer that does not
find its own any more, or another root document than the one that it knows, commits nothing.

The lock and the journal are taken at the first change and given back at the commit. Other writers may have
committed between the opening of a store and the first change: the root's documents are compared then.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import uuid
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from hdmf_zarr.errors import LockedError
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    ZATTRS,
    ZMETADATA,
)
from hdmf_zarr.transactions.journal import JOURNAL, Recovery, recover
from hdmf_zarr.transactions.lock import WriterLock, holds_folder, in_words

WRITER = "writer"
"""Key of a journal below which its writer stands."""

HandOver = Callable[[], None]
"""Lets another writer of this process have a store, or raises `LockedError`."""


class LivingClaim(Protocol):
    """A claim of this process."""

    hand_over: HandOver | None


LIVING: weakref.WeakValueDictionary[str, LivingClaim] = weakref.WeakValueDictionary()
"""The claims of this process, by the tokens of their writers."""

DROPPED: dict[str, set[str]] = {}
"""What writers of this process had changed that were never closed and are no more, by their tokens."""

MOST_NAMED = 5
"""How many nodes a warning names."""

RootState = tuple[tuple[str, int, int], ...]


class FolderClaim:
    """The journal of a folder, by which this writer and no other one appends to it.

    Parameters
    ----------
    bytestore : LocalByteStore
    hand_over : callable, optional
        Lets another writer of this process have the store.
    lock : WriterLock, optional
        Under which everything happens that the writer does; otherwise one is taken with the journal.

    Attributes
    ----------
    is_lost : bool
        Whether another writer was found to have taken over: nothing there is this one's any more.
    """

    def __init__(
        self,
        bytestore: LocalByteStore,
        hand_over: HandOver | None = None,
        lock: WriterLock | None = None,
    ) -> None:
        self._bytestore = bytestore
        self.token = uuid.uuid4().hex
        self._root: RootState | None = None
        self._lent = lock
        self._lock: WriterLock | None = None
        self.hand_over = hand_over
        self.is_lost = False

    def note_root(self) -> None:
        """Note that the root's documents, as they are now, are known or were written by this writer."""
        self._root = _root_state(self._bytestore)

    def take(self, content: bytes) -> None:
        """Lock the store, and put the journal where there is none.

        Raises
        ------
        LockedError
            If another writer has put one there, or has committed something since the store was opened.
        """
        if self._lent is None:
            self._lock = WriterLock.acquire(self._bytestore.root)
            self._lock.hand_over = self.hand_over
        try:
            recover_folder(self._bytestore)
            if self.is_lost or not self._is_root_known():
                self._refuse({})
            if not _put_new(self._bytestore, self._signed(content)):
                self._refuse(writer_in(self._bytestore.get(JOURNAL)))
        except BaseException:
            self._unlock()
            raise
        LIVING[self.token] = self

    def give_back(self) -> None:
        """Let others write, after an interrupt: what is there is left to the next writer."""
        self.forget()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def write(self, content: bytes) -> None:
        """Replace the content of the journal."""
        self.check(with_root=False)
        self._bytestore.set(JOURNAL, self._signed(content))

    def check(self, *, with_root: bool) -> None:
        """Raise `LockedError` if the journal is not this writer's any more, or others have committed.

        Parameters
        ----------
        with_root : bool
            Compare the root's documents, too, which this writer has not changed yet.
        """
        found = self._bytestore.get(JOURNAL)
        is_own = found is not None and self.token.encode() in found
        if is_own and (not with_root or self._is_root_known()):
            return
        self.is_lost = True
        self.forget()
        self._refuse({} if is_own else writer_in(found))

    def _is_root_known(self) -> bool:
        return self._root is None or _root_state(self._bytestore) == self._root

    def _refuse(self, writer: Mapping[str, Any]) -> NoReturn:
        by = f" by {in_words(writer)}" if writer else ""
        raise LockedError(changed_since(self._bytestore.location.uri, by))

    def release(self) -> None:
        """Remove the journal, unless it is another writer's."""
        if not self.is_lost:
            self._bytestore.delete(JOURNAL)
        self.forget()

    def leave(self) -> None:
        """Let the journal be that of a dead writer, where it is there still."""
        self.forget()

    def forget(self) -> None:
        """Let the journal be that of a dead writer, which the next one undoes."""
        LIVING.pop(self.token, None)
        self._unlock()

    def _signed(self, content: bytes) -> bytes:
        return json.dumps({**json.loads(content), WRITER: this_writer(self.token)}).encode("utf-8")


def changed_since(uri: str, by: str = "") -> str:
    """Return the message for a writer whose view of a store is not what the store is now.

    Parameters
    ----------
    uri : str
    by : str
        Who has changed it, as ``" by process 1"``, where that is known.
    """
    return (
        f"{uri} was changed{by} since it was read; open it again: nothing of this writer is committed, and "
        "what is missing has to be written again"
    )


def warn_undone(uri: str, paths: Sequence[str]) -> None:
    """Warn that what a writer has not committed is undone, since another one has its store now.

    Parameters
    ----------
    uri : str
    paths : sequence of str
        Of the nodes that had been changed.
    """
    named = ", ".join(f"/{path}" for path in paths[:MOST_NAMED])
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    warnings.warn(
        f"{uri} has another writer in this process: what an earlier one has changed and not committed is "
        f"undone ({named}{more}). Close a file, or write it, before it is opened again",
        UserWarning,
        stacklevel=2,
    )


def ask_to_hand_over(writer: Mapping[str, Any]) -> bool:
    """Have a writer of this process, as a journal names it, hand its store over to another one.

    Parameters
    ----------
    writer : mapping
        As `writer_in` returns it.

    Returns
    -------
    bool
        False where the writer is of another process, or keeps its store.

    Raises
    ------
    LockedError
        If the writer is at work just now.
    """
    if writer.get("pid") != os.getpid() or not lives_here(writer):
        return False
    claim = LIVING.get(str(writer.get("token")))
    if claim is None or claim.hand_over is None:
        return False
    claim.hand_over()
    return True


def recover_folder(bytestore: ByteStore, *, takes_over: bool = True) -> Recovery | None:
    """Undo what a dead writer of a folder has left, see `journal.recover`, but not what a living one has.

    Parameters
    ----------
    bytestore : ByteStore
    takes_over : bool
        Ask another writer of this process, which is not at work just now, for the folder.

    Raises
    ------
    LockedError
        If the writer may live.
    """
    writer = writer_in(bytestore.get(JOURNAL))
    if isinstance(bytestore, LocalByteStore) and not holds_folder(bytestore.root):
        is_free = takes_over and ask_to_hand_over(writer)
        if not is_free and lives_here(writer):
            raise LockedError(
                f"{bytestore.location.uri} is being written to by {in_words(writer)}; close it there first "
                "(reading is possible at any time)"
            )
    recovery = recover(bytestore)
    warn_of_dropped(bytestore.location.uri, writer)
    return recovery


def warn_of_dropped(uri: str, writer: Mapping[str, Any]) -> None:
    """Warn where what is undone was changed by a writer of this process that was never closed.

    Parameters
    ----------
    uri : str
    writer : mapping
        As `writer_in` returns it.
    """
    changed = DROPPED.pop(str(writer.get("token")), None)
    if changed:
        warn_undone(uri, sorted(changed))


def this_writer(token: str) -> dict[str, Any]:
    """Return what a journal says of a writer of this process."""
    process = os.getpid()
    return {
        "token": token,
        "host": socket.gethostname(),
        "pid": process,
        "start": _start_of(process),
    }


def writer_in(journal: bytes | None) -> dict[str, Any]:
    """Return who has written a journal, as `lock.in_words` takes it; nothing where it does not say so."""
    try:
        writer = json.loads(journal or b"{}").get(WRITER)
    except (ValueError, AttributeError, RecursionError):
        return {}
    if not isinstance(writer, dict):
        return {}
    return {**writer, "process": writer.get("pid"), "machine": writer.get("host")}


def lives_here(writer: Mapping[str, Any]) -> bool:
    """Return whether a writer of this machine is at work still; older releases have not named theirs."""
    process = writer.get("pid")
    if not isinstance(process, int) or writer.get("host") != socket.gethostname():
        return False
    if process == os.getpid():
        if writer.get("token") in LIVING:
            gc.collect()  # a writer to which nothing refers any more
        return writer.get("token") in LIVING
    return _is_running(process) and _start_of(process) == writer.get("start")


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # a signal would end it there; see `_start_of`
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def _start_of(process: int) -> str | None:
    """Return when a process has started, which tells it from a later one of its number; None if unknown."""
    try:
        found = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return found[19] if len(found) > 19 and found[0] != "Z" else None


def _root_state(bytestore: LocalByteStore) -> RootState:
    """Return what tells whether the root's documents were written since, without their inodes.

    Some network file systems have another inode each time that they are asked.
    """
    states = []
    for name in (DOCUMENT, ZMETADATA, ZATTRS):
        try:
            found = os.stat(f"{bytestore.root}/{name}")
        except OSError:
            continue
        states.append((name, found.st_mtime_ns, found.st_size))
    return tuple(states)


def _put_new(bytestore: LocalByteStore, journal: bytes) -> bool:
    """Put the journal, complete from the first moment on; False where there is one."""
    if bytestore.get(JOURNAL) is not None:
        return False
    temporary = f"{JOURNAL}.{uuid.uuid4().hex}.partial"
    try:
        bytestore.set(temporary, journal)
        os.link(bytestore.root / temporary, bytestore.root / JOURNAL)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links, or a full disk, which is told then
        bytestore.set(JOURNAL, journal)
    finally:
        (bytestore.root / temporary).unlink(missing_ok=True)
    return True
