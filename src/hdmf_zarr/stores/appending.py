"""An append that goes on: its journal, and what it takes to go back where it fails."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import cast

from hdmf_zarr.convention import JSON
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.claims import Claim
from hdmf_zarr.stores.journal import documents_before, encode_journal, recover
from hdmf_zarr.stores.writers import FolderClaim

SECONDS_UNTIL_OTHERS_ARE_WRITTEN = 0.02
"""What comes later is a leftover, which the next write removes."""


class OpenAppend:
    """What is known of the changes of a live store since its last commit.

    Parameters
    ----------
    bytestore : ByteStore

    Attributes
    ----------
    is_enough : bool
        Whether the journal by itself, and not the consolidated metadata, says what was there before.
    has_failed : bool
        Whether something has failed: what it has left is looked for at the end.
    """

    def __init__(self, bytestore: ByteStore) -> None:
        self.bytestore = bytestore
        self.is_enough = self.has_failed = self._has_journal = False
        self._kept: dict[str, bytes | None] = {}
        self._claim = _claim_of(bytestore)

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
        if self._has_journal:
            return False
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
        self._claim.take(journal)
        self._has_journal = True

    def _rewrite(self, journal: bytes) -> None:
        self._claim.write(journal)

    def note_root(self) -> None:
        """Note that the root's documents, as they are now, are those of this writer."""
        self._claim.note_root()

    def check_own(self, *, with_root: bool = False) -> None:
        """Raise `LockedError` if another writer has taken over, see `FolderClaim.check`."""
        if self._has_journal:
            self._claim.check(with_root=with_root)

    @property
    def is_lost(self) -> bool:
        """Whether another writer has taken over: nothing in the store is this one's any more."""
        return self._claim.is_lost

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
            if self._has_journal and self.has_failed and not self.is_lost:
                # Of chunks that are written at the same time one fails, and the others may still come.
                time.sleep(SECONDS_UNTIL_OTHERS_ARE_WRITTEN)
                recover(self.bytestore, is_committed=True)
            self.release()
        except OSError:
            self.abandon()
            raise

    def release(self) -> None:
        """Remove the journal, without a look at what a failure has left."""
        if not self._has_journal:
            return
        self._claim.release()
        self._has_journal = self.has_failed = False

    def undo(self) -> None:
        """Go back to what the store was before the changes; nothing where another writer has taken over."""
        if self._has_journal and not self.is_lost:
            recover(self.bytestore)
            self.release()

    def abandon(self) -> None:
        """Leave the journal, where it is there still, to the next writer."""
        self._claim.leave()
        self._has_journal = self.has_failed = False

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


def _claim_of(bytestore: ByteStore) -> Claim | FolderClaim:
    """Return the right to append to a store, of the kind that its place has."""
    if isinstance(bytestore, ZarrByteStore):
        return Claim(bytestore)
    return FolderClaim(cast("LocalByteStore", bytestore))


class _Attempt:
    """Notes a failure; not a generator, which takes as long as the small write that it watches."""

    def __init__(self, append: OpenAppend) -> None:
        self._append = append

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._append.has_failed = True
