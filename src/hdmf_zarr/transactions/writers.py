"""The writer of a local store: named in its journal, compared before the commit.

A lock file is next to its store. Two paths may lead to one store (a folder that is mounted twice), or the
lock file may have been removed. The folder itself is also locked, if its file system supports that. If not,
the journal excludes other writers: it names its writer, and only one writer can create it. A writer that
finds another journal, or another root document than the one that it knows, commits nothing.

The lock and the journal are taken at the first change and released at the commit. Since other writers may
have committed between the opening of a store and the first change, the root's documents are compared then.
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
"""Key of the writer in a journal."""

HandOver = Callable[[], None]
"""Function that hands a store over to another writer of this process, or raises `LockedError`."""


class LivingClaim(Protocol):
    """A claim of this process."""

    hand_over: HandOver | None


LIVING: weakref.WeakValueDictionary[str, LivingClaim] = weakref.WeakValueDictionary()
"""The claims of this process, by the tokens of their writers."""

DROPPED: dict[str, set[str]] = {}
"""Nodes that garbage-collected writers of this process had changed without a close, by tokens."""

MOST_NAMED = 5
"""Maximum number of nodes that a warning names."""

RootState = tuple[tuple[str, int, int], ...]


class FolderClaim:
    """The journal of a folder, which gives only this writer the right to append to it.

    Parameters
    ----------
    bytestore : LocalByteStore
    hand_over : callable, optional
        Function that hands the store over to another writer of this process.
    lock : WriterLock, optional
        Lock that the caller already holds; otherwise a lock is taken with the journal.

    Attributes
    ----------
    is_lost : bool
        Whether another writer has taken over the store, so that this one must not change it.
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
        """Record the present state of the root's documents as known to this writer."""
        self._root = _root_state(self._bytestore)

    def take(self, content: bytes) -> None:
        """Lock the store, and create the journal.

        Raises
        ------
        LockedError
            If another writer has created one, or has committed since the store was opened.
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
        """Release the store after an interrupt; the next writer undoes the changes."""
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
        """Raise `LockedError` if the journal is another writer's now, or others have committed.

        Parameters
        ----------
        with_root : bool
            Whether to compare also the root's documents, which this writer has not changed yet.
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
        """Leave the journal in the store, if it is still there, for the next writer to undo."""
        self.forget()

    def forget(self) -> None:
        """Release the lock and leave the journal, so that the next writer treats this one as dead."""
        LIVING.pop(self.token, None)
        self._unlock()

    def _signed(self, content: bytes) -> bytes:
        return json.dumps({**json.loads(content), WRITER: this_writer(self.token)}).encode("utf-8")


def changed_since(uri: str, by: str = "") -> str:
    """Return the message for a writer whose view of a store is outdated.

    Parameters
    ----------
    uri : str
    by : str
        Writer that has changed it, for example ``" by process 1"``, if it is known.
    """
    return (
        f"{uri} was changed{by} since it was read; open it again: nothing of this writer is committed, and "
        "what is missing has to be written again"
    )


def warn_undone(uri: str, paths: Sequence[str]) -> None:
    """Warn that uncommitted changes of a writer are undone, since another writer has its store now.

    Parameters
    ----------
    uri : str
    paths : sequence of str
        Paths of the nodes that had been changed.
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
    """Ask a writer of this process, which a journal names, to hand over its store.

    Parameters
    ----------
    writer : mapping
        Writer as returned by `writer_in`.

    Returns
    -------
    bool
        Whether it did. False if the writer is in another process, or keeps its store.

    Raises
    ------
    LockedError
        If a call of the writer is running.
    """
    if writer.get("pid") != os.getpid() or not lives_here(writer):
        return False
    claim = LIVING.get(str(writer.get("token")))
    if claim is None or claim.hand_over is None:
        return False
    claim.hand_over()
    return True


def recover_folder(bytestore: ByteStore, *, takes_over: bool = True) -> Recovery | None:
    """Undo the changes of a dead writer of a folder, see `journal.recover`, but not of a living one.

    Parameters
    ----------
    bytestore : ByteStore
    takes_over : bool
        Whether to ask an idle writer of this process for the folder.

    Raises
    ------
    LockedError
        If the writer may be alive.
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
    """Warn if the undone changes were made by a writer of this process that was never closed.

    Parameters
    ----------
    uri : str
    writer : mapping
        Writer as returned by `writer_in`.
    """
    changed = DROPPED.pop(str(writer.get("token")), None)
    if changed:
        warn_undone(uri, sorted(changed))


def this_writer(token: str) -> dict[str, Any]:
    """Return the entry in a journal for a writer of this process."""
    process = os.getpid()
    return {
        "token": token,
        "host": socket.gethostname(),
        "pid": process,
        "start": _start_of(process),
    }


def writer_in(journal: bytes | None) -> dict[str, Any]:
    """Return the writer of a journal for `lock.in_words`; an empty mapping if the journal names none."""
    try:
        writer = json.loads(journal or b"{}").get(WRITER)
    except (ValueError, AttributeError, RecursionError):
        return {}
    if not isinstance(writer, dict):
        return {}
    return {**writer, "process": writer.get("pid"), "machine": writer.get("host")}


def lives_here(writer: Mapping[str, Any]) -> bool:
    """Return whether a writer is alive on this machine; False if the journal does not name its writer."""
    process = writer.get("pid")
    if not isinstance(process, int) or writer.get("host") != socket.gethostname():
        return False
    if process == os.getpid():
        if writer.get("token") in LIVING:
            gc.collect()  # removes a writer that is no longer referenced
        return writer.get("token") in LIVING
    return _is_running(process) and _start_of(process) == writer.get("start")


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # a signal would end the process there; see `_start_of`
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # a process of another user
    return True


def _start_of(process: int) -> str | None:
    """Return the start time of a process, which differs if its number is reused; None if unknown."""
    try:
        found = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return found[19] if len(found) > 19 and found[0] != "Z" else None


def _root_state(bytestore: LocalByteStore) -> RootState:
    """Return a state that changes when the root's documents are written; it contains no inodes.

    Some network file systems report another inode at each request.
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
    """Create the complete journal in one step; return False if there already is one."""
    if bytestore.get(JOURNAL) is not None:
        return False
    temporary = f"{JOURNAL}.{uuid.uuid4().hex}.partial"
    try:
        bytestore.set(temporary, journal)
        os.link(bytestore.root / temporary, bytestore.root / JOURNAL)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links, or a full disk: this raises then
        bytestore.set(JOURNAL, journal)
    finally:
        (bytestore.root / temporary).unlink(missing_ok=True)
    return True
