"""Builds a new store and puts it in the place of the old one.

On a local path the store is built next to its place and exchanged with the old file at the end, so that there
is a complete file at every moment. In any other store the root's document is the commit, and the new chunks
have names that the old store does not use, see `hierarchy.replacement`. For all of them, `what_is_at` decides
what may be replaced.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zarr.storage import ZipStore

from hdmf_zarr.core.system import exchange, make_durable, sync_folder
from hdmf_zarr.errors import StoreExistsError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.replacement import Replacement
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores import wrappers
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore, open_bytestore
from hdmf_zarr.stores.keys import DOCUMENT
from hdmf_zarr.stores.location import Location, is_bucket
from hdmf_zarr.transactions.append import SECONDS_UNTIL_OTHERS_ARE_WRITTEN, weak_call
from hdmf_zarr.transactions.journal import JOURNAL
from hdmf_zarr.transactions.lock import (
    RETIRED,
    WriterLock,
    leftovers_beside,
    remove_beside,
    retired_path,
    staging_path,
    unfinished_documents,
)
from hdmf_zarr.transactions.writers import warn_undone

logger = logging.getLogger(__name__)


class NewStore:
    """A store that is being written and is not visible yet.

    Parameters
    ----------
    location : Location
    zarr_format : int
    is_forced : bool
        Whether objects that are not a store may be replaced.

    Attributes
    ----------
    hierarchy : Hierarchy
        Hierarchy of the new store, empty at first.
    lock : WriterLock or None
        Lock of a local store, until it is committed or abandoned.

    Raises
    ------
    LockedError
        If another writer has the local store that this one will replace.
    StoreExistsError
        If it would be inside another store, or replace objects that are not a store.
    """

    def __init__(
        self, location: Location, zarr_format: int = 3, *, is_forced: bool = False
    ) -> None:
        self.location = location
        bytestore = open_bytestore(location, read_only=False)
        self.lock: WriterLock | None = None
        self._is_in_place = False
        if isinstance(bytestore, LocalByteStore):
            target = bytestore.root
            _check_outside(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.lock = WriterLock.acquire(target)
            self.lock.hand_over = weak_call(self._hand_over)
            try:
                remove_leftovers(target, self.lock)
            except BaseException:
                self.lock.release()
                raise
            bytestore.moved_to(staging_path(target), unseen=True)
        self._bytestore = bytestore
        self.hierarchy = Hierarchy(bytestore, {"": group_document({})}, zarr_format=zarr_format)
        if not isinstance(bytestore, LocalByteStore):
            _begin_elsewhere(self.hierarchy, is_forced=is_forced)

    def commit(self, *, consolidate: bool, durable: bool = False) -> None:
        """Write the root's document and move the store to its place.

        Parameters
        ----------
        consolidate : bool
            Whether to consolidate the metadata.
        durable : bool
            Whether to wait until the store, and then its new place, are on the disk.
        """
        self.hierarchy.commit(consolidate=consolidate)
        if isinstance(self._bytestore, LocalByteStore):
            target = Path(self.location.uri)
            if durable:
                make_durable(self._bytestore.root)
            if self.lock is not None:
                self.lock.hold(target)  # another store may be there now, with a writer
                self.lock.hold(self._bytestore.root)
            put_in_place(self._bytestore.root, target)
            self._is_in_place = True
            if durable:
                sync_folder(target.parent)
            self._bytestore.moved_to(target)
            self.hierarchy.look_again()
        self._is_in_place = self.hierarchy.is_live = True
        self._release()

    def _hand_over(self) -> None:
        """Hand the place over to another writer of this process; the unfinished store is removed.

        Raises
        ------
        LockedError
            If a call is running.
        """
        self.hierarchy.open_append.be_taken()
        self.abandon()
        warn_undone(self.location.uri, sorted(self.hierarchy.open_append.changed))

    def abandon(self) -> None:
        """Remove the unfinished store; the old one is unchanged."""
        is_folder = isinstance(self._bytestore, LocalByteStore)
        if self._is_in_place or (self.hierarchy.is_committed and not is_folder):
            self._release()
            return
        self._remove()
        # If one of several concurrent writes of chunks fails, the others may still be running.
        time.sleep(SECONDS_UNTIL_OTHERS_ARE_WRITTEN)
        self._remove()
        self.hierarchy.open_append.release()
        self._release()

    def _remove(self) -> None:
        try:
            if isinstance(self._bytestore, LocalByteStore):
                shutil.rmtree(self._bytestore.root, ignore_errors=True)
            elif self.hierarchy.replacement is not None:
                self.hierarchy.undo_all()
        except OSError as error:
            logger.warning("%s: what was written is left: %s", self._bytestore.location.uri, error)
            self.hierarchy.open_append.abandon()

    def _release(self) -> None:
        """Release the lock, so that others can write to the store."""
        if self.lock is not None:
            self.lock.release()


def remove_leftovers(target: Path, lock: WriterLock) -> None:
    """Remove the leftovers of killed writers next to a local store, and in its root folder.

    Leftovers deeper in the store are listed in a journal, and removed by recovery before.

    Parameters
    ----------
    target : Path
    lock : WriterLock
        Lock of the store. While it is held, there is no other writer; without it, nothing is removed.

    Raises
    ------
    StoreExistsError
        If a writer was killed after it had moved the old store and before it moved the new one.
    """
    if not lock.is_held:
        return
    beside = leftovers_beside(target)
    if not os.path.lexists(target):
        _refuse_moved_aside(target, beside)
    for path in [*beside, *unfinished_documents(target)]:
        _remove_replaced(path)


def _refuse_moved_aside(target: Path, beside: list[Path]) -> None:
    for path in beside:
        if path.suffix == RETIRED and _is_store(path):
            raise StoreExistsError(
                f"{target} is not there, and {path} is the store that was: a writer was killed while it "
                f"replaced it. Rename it to {target.name} to have it back, or remove it"
            )


def _begin_elsewhere(hierarchy: Hierarchy, *, is_forced: bool) -> None:
    """Begin a new store that is not a folder."""
    bytestore = hierarchy.bytestore
    if not bytestore.zarr_store.supports_deletes:
        if bytestore.get(DOCUMENT) is not None:
            raise StoreExistsError(
                f"{bytestore.location.uri} holds a store, and nothing can be removed from its kind of "
                "store: write to another one"
            )
        return
    _check_outside_elsewhere(bytestore)
    assert isinstance(bytestore, ZarrByteStore)
    hierarchy.replacement = Replacement(
        bytestore,
        hierarchy.open_append,
        zarr_format=hierarchy.zarr_format,
        is_forced=is_forced,
    )


# -- existing objects ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The kind of objects at a location.

    Attributes
    ----------
    kind : {"nothing", "store", "other"}
        Nothing, a Zarr store, or something else. Leftovers of a dead writer count as nothing.
    words : str
        Description for messages, if it is something else.
    """

    kind: Literal["nothing", "store", "other"]
    words: str = ""


def what_is_at(location: Location) -> Found:
    """Return the kind of objects at a location: a folder, a prefix in a bucket, memory, a store object."""
    if location.is_local and location.store is None:
        return _what_is_at_path(location.uri)
    if location.is_local:
        return _what_is_at_path(location.uri) if _has_entries(location.uri) else Found("nothing")
    bytestore = open_bytestore(location, read_only=True)
    if is_bucket(location):
        return _what_is_in_bucket(bytestore)
    if _has_root(bytestore):
        return Found("store")
    keys = list(bytestore.list_prefix("")) if bytestore.zarr_store.supports_listing else []
    if not keys or JOURNAL in keys:
        return Found("nothing")
    return Found("other", f"holds {len(keys)} objects and is no Zarr store (nothing is its root)")


def _has_root(bytestore: ByteStore) -> bool:
    if isinstance(bytestore, ZarrByteStore):
        return any(version is not None for version in bytestore.versions(ROOTS).values())
    return bool(bytestore.get_many(ROOTS))


def _what_is_in_bucket(bytestore: ByteStore) -> Found:
    """Return the kind of objects in a whole bucket, since the user may have meant a place in it."""
    count = sum(key != JOURNAL for key in bytestore.list_prefix(""))
    words = f"is a whole bucket, and all {count} objects in it would be deleted"
    return Found("other", words) if count else Found("nothing")


def _what_is_at_path(path: str) -> Found:
    if not os.path.lexists(path):
        return Found("nothing")
    if not os.path.isdir(path):
        return Found("other", "is a file")
    return (
        Found("store")
        if _is_store(Path(path))
        else Found("other", "is a folder that is no Zarr store")
    )


def _has_entries(path: str) -> bool:
    return os.path.isdir(path) and any(Path(path).iterdir())


def check_replaceable(location: Location, *, force: bool) -> None:
    """Raise `StoreExistsError` if mode ``w`` may not replace the objects at a location.

    A Zarr store is replaced; anything else (an HDF5 file, a folder of other files, other objects in a bucket)
    only with ``force_overwrite=True``.
    """
    if force or _is_zip(location):
        return
    found = what_is_at(location)
    if found.kind != "other" or (location.is_local and _is_empty_folder(location.uri)):
        return
    raise StoreExistsError(
        f"{location.uri} {found.words}; mode 'w' replaces it only with force_overwrite=True"
    )


def _is_zip(location: Location) -> bool:
    """Return whether a location is an open zip file, which reading in mode ``w`` would empty."""
    return location.store is not None and isinstance(
        wrappers.innermost_store(location.store), ZipStore
    )


def _is_empty_folder(path: str) -> bool:
    return os.path.isdir(path) and not any(Path(path).iterdir())


def _check_outside(target: Path) -> None:
    """Raise `StoreExistsError` for a place inside a store, whose metadata would lack the new store."""
    for folder in reversed(target.resolve().parents):
        if _is_store(folder):
            raise StoreExistsError(
                f"{target} lies in {folder}, which is a store; write to a place outside of it"
            )


def _check_outside_elsewhere(bytestore: ByteStore) -> None:
    """Raise `StoreExistsError` for a place inside a store in a bucket, see `_check_outside`."""
    assert isinstance(bytestore, ZarrByteStore)
    for above, outer in bytestore.roots_above(ROOTS[:3]):
        raise StoreExistsError(
            f"{bytestore.location.uri} lies in {outer}, which is a store (it has {above!r}); write to a "
            "place outside of it"
        )


def store_exists(location: Location) -> bool:
    """Return whether there is something at a location."""
    return what_is_at(location).kind != "nothing"


ROOTS = (DOCUMENT, ".zgroup", ".zarray", ".zmetadata")
"""Documents of a root; a place with one of them is a store."""


def _is_store(path: Path) -> bool:
    return any(os.path.exists(f"{path}/{name}") for name in ROOTS)


def put_in_place(built: Path, target: Path) -> None:
    """Rename a folder or file to a place that may be in use.

    If the system supports it, old and new are exchanged in one step. Otherwise the old one is moved aside
    just before, and moved back if the rename fails.
    """
    if not os.path.lexists(target) or (built.is_file() and not target.is_dir()):
        os.replace(built, target)
        return
    if exchange(built, target):
        _remove_replaced(built)
        return
    aside = retired_path(target)
    os.rename(target, aside)
    try:
        os.rename(built, target)
    except OSError:
        os.rename(aside, target)
        raise
    _remove_replaced(aside)


def _remove_replaced(path: Path) -> None:
    """Remove a replaced store; if that fails, only warn, since the new store is already in place."""
    try:
        remove_beside(path)
    except OSError as error:
        message = f"{path}, which was replaced, cannot be removed: {error}; remove it by hand"
        warnings.warn(message, UserWarning, stacklevel=2)
