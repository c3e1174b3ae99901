"""An append that goes on: its journal, and what it takes to go back where it fails."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from hdmf_zarr.convention import JSON
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.stores.journal import JOURNAL, documents_before, encode_journal, recover

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

    def begin(self, *, is_consolidated_true: bool) -> None:
        """Say, in a journal in the store, that changes follow; nothing where they have begun.

        Parameters
        ----------
        is_consolidated_true : bool
            The consolidated metadata are the store as it was. Elsewhere the journal has it.
        """
        if self._has_journal:
            return
        self._has_journal = True
        self.is_enough = not is_consolidated_true
        before = documents_before(self.bytestore) if self.is_enough else None
        self.bytestore.set(JOURNAL, encode_journal(before))

    def rewrite_journal(
        self,
        before: Mapping[str, JSON] | None,
        replaced: Mapping[str, list[str]],
        commit: JSON,
    ) -> None:
        """Let the journal say also which chunks are going to be replaced, see `encode_journal`."""
        self.bytestore.set(JOURNAL, encode_journal(before, replaced, commit))
        self.is_enough = True

    def attempt(self) -> _Attempt:
        """Change something in the store; where that fails, what it has left is looked for later."""
        return _Attempt(self)

    def settle(self) -> None:
        """Let the journal say that the changes are not undone any more; what is obsolete can go."""
        if self.is_enough:
            self.bytestore.set(JOURNAL, encode_journal(None))
            self.is_enough = False

    def forget_documents(self) -> None:
        """Note that the kept documents are not wanted any more."""
        self._kept = {}

    def end(self) -> None:
        """Remove the journal: what is in the store is what is to be seen."""
        if self._has_journal:
            if self.has_failed:
                # Of chunks that are written at the same time one fails, and the others may still come.
                time.sleep(SECONDS_UNTIL_OTHERS_ARE_WRITTEN)
                recover(self.bytestore)
            self.bytestore.delete(JOURNAL)
            self._has_journal = self.has_failed = False

    def keep(self, keys: Iterable[str]) -> None:
        """Read the documents that the commit changes, for `put_documents_back`."""
        wanted = [key for key in keys if key not in self._kept]
        found = self.bytestore.get_many(wanted)
        self._kept |= {key: found.get(key) for key in wanted}

    def put_documents_back(self) -> None:
        """Bring the kept documents back."""
        for key, encoded in self._kept.items():
            if encoded is None:
                self.bytestore.delete(key)
            else:
                self.bytestore.set(key, encoded)
        self._kept = {}


class _Attempt:
    """Notes a failure; not a generator, which takes as long as the small write that it watches."""

    def __init__(self, append: OpenAppend) -> None:
        self._append = append

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._append.has_failed = True
