"""One open store: its mode and lock, new or there already, from open to close."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hdmf.backends.utils import WriteStatusTracker
from hdmf.build import Builder, BuildManager
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.convention import convention_for_format
from hdmf_zarr.core.system import can_sync_at_once
from hdmf_zarr.errors import (
    ModeError,
    NoDataError,
    ObjectExistsError,
    StoreExistsError,
    StoreNotFoundError,
)
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.new_store import (
    NewStore,
    check_replaceable,
    remove_leftovers,
    store_exists,
)
from hdmf_zarr.read.constructed import Constructed
from hdmf_zarr.read.tree import StoreReader
from hdmf_zarr.session.modes import CREATING_MODES, READING_MODES
from hdmf_zarr.session.opening import has_data, load_hierarchy
from hdmf_zarr.session.paths import builder_path
from hdmf_zarr.session.rows import Rows
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location
from hdmf_zarr.transactions.lock import check_not_locked


class Session:
    """One store that an IO reads or writes.

    Parameters
    ----------
    location : Location
    mode : str
    manager : BuildManager
    zarr_format : int, optional
        Zarr format requested for a new store.
    is_forced : bool
        Whether mode ``w`` may replace a path that is not a Zarr store.
    loaded : Hierarchy, optional
        Metadata of the store, if they were already read in the way that the mode requires.

    Attributes
    ----------
    hierarchy : Hierarchy or None
        Nodes of the store; None before it exists, and after the close.
    new_store : NewStore or None
        The new store, until it is committed.
    reader : StoreReader or None
        Reader with the builders that were read.
    is_open : bool
    written : WriteStatusTracker
        Builders that were read from or written to the store.
    rows : Rows
    constructed : Constructed
        Containers that were constructed from the store.
    """

    def __init__(
        self,
        location: Location,
        mode: str,
        manager: BuildManager,
        *,
        zarr_format: int | None = None,
        is_forced: bool = False,
        loaded: Hierarchy | None = None,
    ) -> None:
        self.location = location
        self.mode = mode
        self.manager = manager
        self.asked_format = zarr_format
        self.convention = convention_for_format(3 if zarr_format is None else zarr_format)
        self.hierarchy: Hierarchy | None = None
        self.new_store: NewStore | None = None
        self.reader: StoreReader | None = None
        self.is_open = False
        self.written = WriteStatusTracker()
        self.rows = Rows(location.uri)
        self.constructed = Constructed(manager)
        self._is_forced = is_forced
        self._loaded = loaded
        self._process = os.getpid()

    @property
    def uri(self) -> str:
        """Absolute path or URL of the store."""
        return self.location.uri

    @property
    def is_for_reading(self) -> bool:
        """Whether the mode allows no change."""
        return self.mode in READING_MODES

    @property
    def is_new(self) -> bool:
        """Whether the store is new and was not committed yet."""
        return self.new_store is not None

    @property
    def is_of_this_process(self) -> bool:
        """Whether this process has opened the store, not its parent process."""
        return self._process == os.getpid()

    def hierarchies(self) -> list[Hierarchy]:
        """Return the hierarchies of the store and of every open store that it links to."""
        trees = self.reader.trees.values() if self.reader is not None else ()
        opened = [tree.hierarchy for tree in trees]
        if self.hierarchy is not None and self.hierarchy not in opened:
            opened.append(self.hierarchy)
        return opened

    # -- open ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store; a mode that creates one only checks that it can be created."""
        if self.is_open:
            return
        loaded, self._loaded = self._loaded, None
        if self.mode in CREATING_MODES:
            self._check_creatable()
        elif self.mode == "a" and not store_exists(self.location):
            pass
        elif self.location.is_local and not store_exists(self.location):
            raise StoreNotFoundError(
                f"{self.uri} does not exist (mode {self.mode!r}); check the path, or write it with "
                "mode 'w'"
            )
        elif self.is_for_reading:
            is_loaded = loaded is not None
            self.hierarchy = loaded if is_loaded else load_hierarchy(self.location, self.mode)
        else:
            self._open_for_appending()
        self.is_open = True

    def _open_for_appending(self) -> None:
        bytestore = open_bytestore(self.location, read_only=False)
        self.hierarchy = Hierarchy.load_for_writing(bytestore, when_locked=remove_leftovers)
        self.hierarchy.open_append.tells_when_dropped = True

    def _check_creatable(self) -> None:
        if self.location.is_local:
            check_not_locked(Path(self.uri))
        if self.mode == "w":
            check_replaceable(self.location, force=self._is_forced)
        elif store_exists(self.location):
            raise StoreExistsError(
                f"{self.uri} exists, and mode {self.mode!r} does not replace it; use mode 'w' to "
                "replace it, or 'r+' to append to it"
            )

    # -- allowed operations ----------------------------------------------------------------------

    def require_open(self) -> None:
        """Raise `ModeError` if the store is closed."""
        if not self.is_open:
            raise ModeError(f"{self.uri} is closed")

    def require_writable(self) -> None:
        """Raise `ModeError` if the store is closed or was opened for reading."""
        self.require_open()
        if self.is_for_reading:
            raise ModeError(
                f"cannot write to {self.uri} in mode {self.mode!r}; use mode 'r+', 'a', 'w', 'w-' "
                "or 'x'"
            )

    def require_readable(self) -> None:
        """Raise `ModeError` if the mode creates a store."""
        if self.mode in CREATING_MODES:
            raise ModeError(
                f"cannot read from {self.uri} in mode {self.mode!r}; use mode 'r', 'r+' or 'a'"
            )

    def require_data(self) -> None:
        """Raise `NoDataError` if the store contains no HDMF data."""
        if self.hierarchy is not None and not has_data(self.hierarchy):
            raise NoDataError(
                f"{self.uri} is a Zarr hierarchy, but holds no HDMF data: its root has no data type"
            )

    def refuse_other_root(self, builder: Builder | None) -> None:
        """Refuse to write another root into a store that has one: the store would mix both."""
        existing = self.hierarchy
        if existing is None or not has_data(existing):
            return
        if builder is None or builder.parent is not None or not self.is_written(builder):
            attributes = existing.attributes("")
            kind = attributes.get("neurodata_type", attributes.get("data_type"))
            raise ObjectExistsError(
                f"{self.uri} holds a file already ({kind} {attributes.get('object_id')}), and what "
                f"is to be written is not the container that this IO has read from it or written to "
                f"it: nothing was written. Add to what read() of this IO returns, or write to another "
                f"path, or replace the store (mode 'w')"
            )

    # -- written builders ------------------------------------------------------------------------

    def is_written(self, builder: Builder) -> bool:
        """Whether a builder was read from, or written to, the store."""
        return bool(self.written.get_written(builder))

    def note_written(self, builders: Iterable[BaseBuilder]) -> None:
        """Remember that builders were written."""
        for builder in builders:
            self.written.set_written(builder)

    def note_written_tree(self, builders: Iterable[BaseBuilder]) -> None:
        """Remember that builders below a root were written, so that references to them resolve."""
        for builder in builders:
            self.written.set_written(builder)
            if self.reader is not None and builder.source == self.uri:
                self.reader.main.builders.setdefault(builder_path(builder), builder)

    # -- change and commit -----------------------------------------------------------------------

    def begin(self, zarr_format: int | None = None) -> Hierarchy:
        """Return the hierarchy of the store, which is created if there is none.

        Parameters
        ----------
        zarr_format : int, optional
            Zarr format of a new store; by default the requested one.
        """
        if self.hierarchy is None:
            zarr_format = zarr_format or self.convention.zarr_format
            self.new_store = NewStore(self.location, zarr_format, is_forced=self._is_forced)
            self.hierarchy = self.new_store.hierarchy
        return self.hierarchy

    @contextmanager
    def transaction(self, *, consolidate: bool, durable: bool | None) -> Iterator[None]:
        """Commit what the body of the context writes; undo it if it fails."""
        hierarchy = self.begin()
        before, wait_again = dict(hierarchy.documents), self.rows.waiting()
        try:
            with hierarchy.open_append.at_work():
                yield
                self.rows.flush()
                self.commit(consolidate=consolidate, durable=durable)
        except BaseException:
            self._undo(before)
            wait_again()
            raise

    def commit(self, *, consolidate: bool, durable: bool | None) -> None:
        """Commit the writes; ``durable=None`` waits for the disk if one system call is enough."""
        hierarchy = self.begin()
        if durable is None:
            durable = can_sync_at_once()
        if self.new_store is not None:
            self.new_store.commit(consolidate=consolidate, durable=durable)
            self.new_store = None
        else:
            hierarchy.commit(consolidate=consolidate, durable=durable)

    def _undo(self, before: dict[str, Any]) -> None:
        """Remove the new and restore the changed objects after a failed write."""
        if self.new_store is not None:
            self.new_store.abandon()
            self.new_store = self.hierarchy = None
            return
        assert self.hierarchy is not None
        self.hierarchy.restore(before)
        if not self.hierarchy.is_changed:
            self.hierarchy.end()

    def discard_new_store(self) -> None:
        """Remove a new store that is incomplete because of an error."""
        if self.new_store is not None and self.is_of_this_process:
            self.new_store.hierarchy.open_append.begin_closing()
            self._undo({})

    # -- close -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the store, and commit what was appended to its arrays."""
        if not self.is_of_this_process and not self.is_for_reading:
            # A child process of the writer must not change the store.
            self.is_open, self.new_store, self.hierarchy = False, None, None
            return
        for hierarchy in self.hierarchies():
            hierarchy.open_append.begin_closing()
        self.is_open = False
        try:
            if not self._is_taken_over:
                self.rows.settle(self.hierarchy)
                self.rows.drop()
            if self.new_store is not None:
                self._finish_new_store(self.new_store)
            for hierarchy in self.hierarchies():
                if self._is_to_be_committed(hierarchy):
                    hierarchy.commit_or_undo(
                        consolidate=hierarchy.was_consolidated, durable=can_sync_at_once()
                    )
                hierarchy.close()
        finally:
            self.rows.forget_written()
            for hierarchy in self.hierarchies():
                hierarchy.open_append.abandon()  # has an effect only after a failure
                hierarchy.is_closed = True
            self.hierarchy = None

    def _is_to_be_committed(self, hierarchy: Hierarchy) -> bool:
        is_ours = not self.is_for_reading and not hierarchy.open_append.is_taken
        return is_ours and hierarchy.is_changed

    @property
    def _is_taken_over(self) -> bool:
        """Whether another writer of this process has taken over, and undone uncommitted changes."""
        return self.hierarchy is not None and self.hierarchy.open_append.is_taken

    def _finish_new_store(self, new_store: NewStore) -> None:
        """Commit a store that was written piece by piece; discard it if nothing was written."""
        self.new_store = None
        hierarchy = new_store.hierarchy
        if hierarchy.open_append.is_taken:
            pass  # the other writer has removed it
        elif len(hierarchy.documents) > 1 or hierarchy.attributes(""):
            with hierarchy.open_append.at_work():
                new_store.commit(consolidate=True)
        else:
            new_store.abandon()
        self.hierarchy = None


def session_of(io: Any) -> Session | None:
    """Return the session of an IO of this package; None for any other IO."""
    session = getattr(io, "_session", None)
    return session if isinstance(session, Session) else None
