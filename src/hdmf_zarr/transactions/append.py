"""One append: its journal, and the way back where it fails."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import LockedError, ModeError
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.transactions.claims import Claim
from hdmf_zarr.transactions.journal import documents_before, encode_journal, recover
from hdmf_zarr.transactions.lock import WriterLock
from hdmf_zarr.transactions.writers import (
    DROPPED,
    FolderClaim,
    HandOver,
    changed_since,
    warn_undone,
)

SECONDS_UNTIL_OTHERS_ARE_WRITTEN = 0.02
"""Chunks that are written later are leftovers, which the next write removes."""


class OpenAppend:
    """The state of a live store's changes since its last commit.

    Parameters
    ----------
    bytestore : ByteStore
    lock : WriterLock, optional
        Lock of a local store that the caller already holds.

    Attributes
    ----------
    is_enough : bool
        Whether the journal itself, and not the consolidated metadata, contains the earlier documents.
    has_failed : bool
        Whether an operation has failed; its leftovers are removed at the end.
    changed : set of str
        Paths of the nodes that were changed since the last commit.
    has_begun : bool
        Whether a transaction is open: other writers are excluded until its changes are committed.
    is_taken : bool
        Whether another writer of this process has the store now. Uncommitted changes are undone.
    tells_when_dropped : bool
        Whether the next writer warns about undone changes if the file of this one was never closed.
    """

    def __init__(self, bytestore: ByteStore, lock: WriterLock | None = None) -> None:
        self.bytestore = bytestore
        self.is_enough = self.has_failed = self.has_begun = self.is_taken = False
        self.changed: set[str] = set()
        self._kept: dict[str, bytes | None] = {}
        self._idle = threading.Condition()
        self._at_work: Counter[int] = Counter()
        self._closing: int | None = None
        self._dropped: weakref.finalize[..., Any] | None = None
        self.tells_when_dropped = False
        self._process = os.getpid()
        self._claim = _claim_of(bytestore, weak_call(self.hand_over), lock)

    def begin(self, *, is_consolidated_true: bool) -> bool:
        """Open a transaction with a journal in the store; return False if one is already open.

        Parameters
        ----------
        is_consolidated_true : bool
            Whether the consolidated metadata match the store. If not, the journal contains the documents.

        Raises
        ------
        LockedError
            If another writer has begun, or has committed since the store was opened.
        """
        if self.has_begun:
            return False
        self.refuse_taken()
        before = None if is_consolidated_true else documents_before(self.bytestore)
        self.begin_with(encode_journal(before))
        self.is_enough = not is_consolidated_true
        return True

    def begin_with(self, journal: bytes) -> None:
        """Put a journal into the store, see `begin`.

        Raises
        ------
        LockedError
            If another writer is writing to the store.
        """
        try:
            self._claim.take(journal)
            self.has_begun, self._process = True, os.getpid()
        except BaseException:
            if not self.has_begun:
                self._claim.give_back()
            raise
        if self.tells_when_dropped and self._closing is None:
            # If this writer is garbage-collected, the next one warns about the undone changes.
            note = weakref.finalize(self, DROPPED.__setitem__, self._claim.token, self.changed)
            note.atexit = False
            self._dropped = note

    def _rewrite(self, journal: bytes) -> None:
        self._claim.write(journal)

    def note_root(self) -> None:
        """Record that the present documents of the root are those of this writer."""
        self._claim.note_root()

    def check_own(self, *, with_root: bool = False) -> None:
        """Raise `LockedError` if another writer has taken over, see `FolderClaim.check`."""
        if self.has_begun:
            self._claim.check(with_root=with_root)

    @property
    def is_lost(self) -> bool:
        """Whether another writer has taken over the store, so that this one must not change it."""
        return self.is_taken or self._claim.is_lost

    # -- another writer of this process ----------------------------------------------------------

    def refuse_taken(self) -> None:
        """Raise if another writer has the store now, or another thread is closing the file.

        Raises
        ------
        LockedError
            If another writer of this process has the store, or this is a child of the writer's process.
        ModeError
            If another thread is closing the file.
        """
        uri = self.bytestore.location.uri
        if self.is_taken:
            raise LockedError(changed_since(uri, " by this process"))
        if self.has_begun and self._process != os.getpid():
            raise LockedError(
                f"{uri} is being written to by process {self._process}, of which this one is a child: open "
                "the store again here, when that one has closed it"
            )
        own = threading.get_ident()
        if self._closing not in (None, own) and not self._at_work.get(own):
            raise ModeError(f"{uri} is being closed by another thread; open it again to change it")

    def at_work(self) -> _Attempt:
        """Return a context in which no other writer of this process can take over the store."""
        return _Attempt(self, notes_failure=False)

    def enter(self) -> None:
        """Begin a call during which the store is not handed over.

        Raises
        ------
        LockedError
            If another writer of this process has the store now.
        """
        with self._idle:
            self.refuse_taken()
            self._at_work[threading.get_ident()] += 1

    def leave(self) -> None:
        """End a call during which the store is not handed over."""
        with self._idle:
            self._at_work[threading.get_ident()] -= 1
            self._at_work += Counter()  # removes threads without calls
            self._idle.notify_all()

    def _forget_drop(self) -> None:
        if self._dropped is not None:
            self._dropped.detach()
            self._dropped = None

    def begin_closing(self) -> None:
        """Wait until the calls of other threads have returned, and refuse new ones.

        Raises
        ------
        ModeError
            If this thread is itself in a call that writes to the store.
        """
        own = threading.get_ident()
        with self._idle:
            if self._at_work.get(own):
                raise ModeError(
                    f"{self.bytestore.location.uri} cannot be closed by what one of its own calls calls"
                )
            self._closing = own
            self._forget_drop()
            self._idle.wait_for(lambda: not +self._at_work)

    def be_taken(self) -> None:
        """Record that another writer of this process has the store from now on.

        Raises
        ------
        LockedError
            If a call is running.
        """
        with self._idle:
            if +self._at_work:
                raise LockedError(
                    f"{self.bytestore.location.uri} is being written to by a call of this process that has "
                    "not returned: wait for it"
                )
            self.is_taken = True

    def hand_over(self) -> None:
        """Hand the store over to another writer of this process; uncommitted changes are undone.

        Raises
        ------
        LockedError
            If a call is running.
        """
        self.be_taken()
        try:
            self.undo()
        except OSError:
            self.abandon()  # the next writer meets the same failure, and reports it
        if self.changed:
            warn_undone(self.bytestore.location.uri, sorted(self.changed))

    def rewrite_journal(
        self,
        before: Mapping[str, JSON] | None,
        replaced: Mapping[str, list[str]],
        commit: JSON,
    ) -> None:
        """Add the chunks that will be replaced to the journal, see `encode_journal`."""
        self._rewrite(encode_journal(before, replaced, commit))
        self.is_enough = True

    def attempt(self) -> _Attempt:
        """Return a context for a change of the store; after a failure, leftovers are removed at the end."""
        return _Attempt(self)

    def settle(self) -> None:
        """Mark the changes in the journal as final, so that obsolete objects can be removed."""
        if self.is_enough:
            self._rewrite(encode_journal(None))
            self.is_enough = False

    def forget_documents(self) -> None:
        """Drop the kept documents."""
        self._kept = {}

    def end(self) -> None:
        """End the transaction: remove the leftovers of failures, then the journal."""
        try:
            if self.has_begun and self.has_failed and not self.is_lost:
                # If one of several concurrent writes of chunks fails, the others may still be running.
                time.sleep(SECONDS_UNTIL_OTHERS_ARE_WRITTEN)
                recover(self.bytestore, is_committed=True)
            self.release()
        except OSError:
            self.abandon()
            raise

    def release(self) -> None:
        """Remove the journal, without removing the leftovers of failures."""
        if not self.has_begun:
            return
        self._claim.release()
        self._forget_drop()
        self.has_begun = self.has_failed = False

    def undo(self) -> None:
        """Undo all changes since the last commit, unless another writer has taken over."""
        if self.has_begun and not self._claim.is_lost:
            recover(self.bytestore)
            self.release()

    def abandon(self) -> None:
        """Leave the journal, if it is still there, to the next writer."""
        self._claim.leave()
        self._forget_drop()
        self.has_begun = self.has_failed = False

    def keep(self, keys: Iterable[str]) -> None:
        """Read the documents that the commit changes, for `put_documents_back`."""
        wanted = [key for key in keys if key not in self._kept]
        found = self.bytestore.get_many(wanted)
        self._kept |= {key: found.get(key) for key in wanted}

    def put_documents_back(self) -> None:
        """Restore the kept documents that have changed."""
        found = self.bytestore.get_many(self._kept)
        for key, encoded in self._kept.items():
            if found.get(key) == encoded:
                continue
            if encoded is None:
                self.bytestore.delete(key)
            else:
                self.bytestore.set(key, encoded)
        if self._kept:
            self.note_root()
        self._kept = {}


def _claim_of(
    bytestore: ByteStore, hand_over: HandOver, lock: WriterLock | None
) -> Claim | FolderClaim:
    """Return the claim on a store, for a bucket or for a folder."""
    if isinstance(bytestore, ZarrByteStore):
        return Claim(bytestore, hand_over)
    return FolderClaim(cast("LocalByteStore", bytestore), hand_over, lock)


def weak_call(method: Callable[[], None]) -> HandOver:
    """Return a function that calls a method as long as its object exists, without keeping the object."""
    weak = weakref.WeakMethod(method)

    def call() -> None:
        found = weak()
        if found is not None:
            found()

    return call


class _Attempt:
    """Context that keeps the store and records a failure; a generator would be as slow as a small write."""

    def __init__(self, append: OpenAppend, *, notes_failure: bool = True) -> None:
        self._append, self._notes_failure = append, notes_failure

    def __enter__(self) -> None:
        self._append.enter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None and self._notes_failure:
                self._append.has_failed = True
        finally:
            self._append.leave()
