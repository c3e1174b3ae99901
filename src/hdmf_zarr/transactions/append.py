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
"""What comes later is a leftover, which the next write removes."""


class OpenAppend:
    """What is known of the changes of a live store since its last commit.

    Parameters
    ----------
    bytestore : ByteStore
    lock : WriterLock, optional
        Of a local store, where everything happens under a lock that the caller has.

    Attributes
    ----------
    is_enough : bool
        Whether the journal by itself, and not the consolidated metadata, says what was there before.
    has_failed : bool
        Whether something has failed: what it has left is looked for at the end.
    changed : set of str
        Paths of the nodes that were changed since the last commit.
    has_begun : bool
        Whether changes follow, or have been made, that are not committed: no other writer is at work.
    is_taken : bool
        Whether another writer of this process has the store now. What was not committed is undone.
    tells_when_dropped : bool
        Whether the next writer warns of what is undone, where nobody has closed the file of this one.
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
        """Say, in a journal in the store, that changes follow; nothing, and False, where they have begun.

        Parameters
        ----------
        is_consolidated_true : bool
            The consolidated metadata are the store as it was. Elsewhere the journal has it.

        Raises
        ------
        LockedError
            If another writer has begun, or has committed something since the store was opened.
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
            # Where nothing refers to this writer any more, the next one says what is undone.
            note = weakref.finalize(self, DROPPED.__setitem__, self._claim.token, self.changed)
            note.atexit = False
            self._dropped = note

    def _rewrite(self, journal: bytes) -> None:
        self._claim.write(journal)

    def note_root(self) -> None:
        """Note that the root's documents, as they are now, are those of this writer."""
        self._claim.note_root()

    def check_own(self, *, with_root: bool = False) -> None:
        """Raise `LockedError` if another writer has taken over, see `FolderClaim.check`."""
        if self.has_begun:
            self._claim.check(with_root=with_root)

    @property
    def is_lost(self) -> bool:
        """Whether another writer has taken over: nothing in the store is this one's any more."""
        return self.is_taken or self._claim.is_lost

    # -- another writer of this process ----------------------------------------------------------

    def refuse_taken(self) -> None:
        """Raise if the store is another writer's now, or its file is being closed by another thread.

        Raises
        ------
        LockedError
            If another writer of this process has the store, or this is a child of the writer's process.
        ModeError
            If another thread closes the file.
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
        """Let no other writer of this process take the store over meanwhile."""
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
            self._at_work += Counter()  # without those that are done
            self._idle.notify_all()

    def _forget_drop(self) -> None:
        if self._dropped is not None:
            self._dropped.detach()
            self._dropped = None

    def begin_closing(self) -> None:
        """Wait until the calls of other threads have returned, and let none begin from then on.

        Raises
        ------
        ModeError
            If this thread is in a call that writes to the store.
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
        """Note that another writer of this process has the store from now on.

        Raises
        ------
        LockedError
            If a call is at work just now.
        """
        with self._idle:
            if +self._at_work:
                raise LockedError(
                    f"{self.bytestore.location.uri} is being written to by a call of this process that has "
                    "not returned: wait for it"
                )
            self.is_taken = True

    def hand_over(self) -> None:
        """Let another writer of this process have the store; what was not committed is undone.

        Raises
        ------
        LockedError
            If a call is at work just now.
        """
        self.be_taken()
        try:
            self.undo()
        except OSError:
            self.abandon()  # the next writer meets what has failed here, and says so
        if self.changed:
            warn_undone(self.bytestore.location.uri, sorted(self.changed))

    def rewrite_journal(
        self,
        before: Mapping[str, JSON] | None,
        replaced: Mapping[str, list[str]],
        commit: JSON,
    ) -> None:
        """Let the journal say also which chunks are going to be replaced, see `encode_journal`."""
        self._rewrite(encode_journal(before, replaced, commit))
        self.is_enough = True

    def attempt(self) -> _Attempt:
        """Change something in the store; where that fails, what it has left is looked for later."""
        return _Attempt(self)

    def settle(self) -> None:
        """Let the journal say that the changes are not undone any more; what is obsolete can go."""
        if self.is_enough:
            self._rewrite(encode_journal(None))
            self.is_enough = False

    def forget_documents(self) -> None:
        """Note that the kept documents are not wanted any more."""
        self._kept = {}

    def end(self) -> None:
        """Remove the journal: what is in the store is what is to be seen."""
        try:
            if self.has_begun and self.has_failed and not self.is_lost:
                # Of chunks that are written at the same time one fails, and the others may still come.
                time.sleep(SECONDS_UNTIL_OTHERS_ARE_WRITTEN)
                recover(self.bytestore, is_committed=True)
            self.release()
        except OSError:
            self.abandon()
            raise

    def release(self) -> None:
        """Remove the journal, without a look at what a failure has left."""
        if not self.has_begun:
            return
        self._claim.release()
        self._forget_drop()
        self.has_begun = self.has_failed = False

    def undo(self) -> None:
        """Go back to what the store was before the changes; nothing where another writer has taken over."""
        if self.has_begun and not self._claim.is_lost:
            recover(self.bytestore)
            self.release()

    def abandon(self) -> None:
        """Leave the journal, where it is there still, to the next writer."""
        self._claim.leave()
        self._forget_drop()
        self.has_begun = self.has_failed = False

    def keep(self, keys: Iterable[str]) -> None:
        """Read the documents that the commit changes, for `put_documents_back`."""
        wanted = [key for key in keys if key not in self._kept]
        found = self.bytestore.get_many(wanted)
        self._kept |= {key: found.get(key) for key in wanted}

    def put_documents_back(self) -> None:
        """Bring the kept documents back, those that are others now."""
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
    """Return the right to append to a store, of the kind that its place has."""
    if isinstance(bytestore, ZarrByteStore):
        return Claim(bytestore, hand_over)
    return FolderClaim(cast("LocalByteStore", bytestore), hand_over, lock)


def weak_call(method: Callable[[], None]) -> HandOver:
    """Return a function that calls a method as long as its object is there, and does not keep it."""
    weak = weakref.WeakMethod(method)

    def call() -> None:
        found = weak()
        if found is not None:
            found()

    return call


class _Attempt:
    """Keeps the store, and notes a failure; a generator takes as long as the small write that it watches."""

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
