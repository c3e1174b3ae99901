"""Where a new store is built, and how it takes the place of what was there before.

On a local path the store is built beside its place and exchanged with what is there at the end: until
then the old file is whole, afterwards the new one is, and at no moment is there none. On any other store
the root's document, written last, is the commit: without it nothing opens.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from pathlib import Path

from hdmf_zarr.errors import LostWriteError, StoreExistsError
from hdmf_zarr.stores import (
    DOCUMENT,
    ByteStore,
    Hierarchy,
    LocalByteStore,
    Location,
    format2,
    group_document,
    open_bytestore,
)
from hdmf_zarr.stores.appending import SECONDS_UNTIL_OTHERS_ARE_WRITTEN
from hdmf_zarr.stores.lock import (
    WriterLock,
    leftovers_beside,
    remove_beside,
    retired_path,
    staging_path,
)
from hdmf_zarr.stores.system import exchange, make_durable, sync_folder

logger = logging.getLogger(__name__)


class NewStore:
    """A store that is being written and is not there yet.

    Parameters
    ----------
    location : Location
    zarr_format : int

    Attributes
    ----------
    hierarchy : Hierarchy
        Empty at first.
    lock : WriterLock or None
        Of a local store: kept by the one who made this, also after the commit; see `release`.

    Raises
    ------
    LockedError
        If somebody is writing to the local store that this one is to replace.
    StoreExistsError
        If it would lie inside of another store.
    """

    def __init__(self, location: Location, zarr_format: int = 3) -> None:
        self.location = location
        bytestore = open_bytestore(location, read_only=False)
        self.lock: WriterLock | None = None
        if isinstance(bytestore, LocalByteStore):
            target = bytestore.root
            _check_outside(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.lock = WriterLock.acquire(target)
            if self.lock.is_held:
                # No other writer lives: whatever lies here is of one that was killed.
                _remove_leftovers(target)
            bytestore.moved_to(staging_path(target), unseen=True)
        else:
            _clear(bytestore)
        self._bytestore = bytestore
        self.hierarchy = Hierarchy(bytestore, {"": group_document({})}, zarr_format=zarr_format)

    def commit(self, *, consolidate: bool, durable: bool = False) -> None:
        """Write the root's document and put the store in its place.

        Parameters
        ----------
        consolidate : bool
        durable : bool
            Wait until everything is on the disk before the store takes its place, and until it has it.
        """
        self.hierarchy.commit(consolidate=consolidate)
        if isinstance(self._bytestore, LocalByteStore):
            target = Path(self.location.uri)
            if durable:
                make_durable(self._bytestore.root)
            if self.lock is not None:
                self.lock.hold(target)  # another one may be there by now, and be written to
                self.lock.hold(self._bytestore.root)
            put_in_place(self._bytestore.root, target)
            if durable:
                sync_folder(target.parent)
            self._bytestore.moved_to(target)
        self.hierarchy.is_live = True

    def abandon(self) -> None:
        """Remove what was written; what was there before was not touched."""
        self._remove()
        # Of chunks that are written at the same time one fails, and the others may still come.
        time.sleep(SECONDS_UNTIL_OTHERS_ARE_WRITTEN)
        self._remove()

    def _remove(self) -> None:
        try:
            if isinstance(self._bytestore, LocalByteStore):
                shutil.rmtree(self._bytestore.root, ignore_errors=True)
            else:
                _clear(self._bytestore)
        except OSError as error:
            logger.warning("%s: what was written is left: %s", self._bytestore.location.uri, error)

    def release(self) -> None:
        """Let others write to the store."""
        if self.lock is not None:
            self.lock.release()


def _remove_leftovers(target: Path) -> None:
    for path in leftovers_beside(target):
        _remove_replaced(path)


def check_replaceable(location: Location, *, force: bool) -> None:
    """Raise `StoreExistsError` if something is at a location that mode ``w`` may not replace.

    A Zarr store is replaced; anything else (an HDF5 file, a folder of other files) only with
    ``force_overwrite=True``.
    """
    path = Path(location.uri)
    if force or not location.is_local or not os.path.lexists(path):
        return
    if path.is_dir() and (_is_store(path) or not any(path.iterdir())):
        return
    what = "a folder that is no Zarr store" if path.is_dir() else "a file"
    raise StoreExistsError(
        f"{location.uri} is {what}; mode 'w' replaces it only with force_overwrite=True"
    )


def _check_outside(target: Path) -> None:
    """Raise `StoreExistsError` for a place inside of a store, whose metadata would not know what is there."""
    for folder in reversed(target.resolve().parents):
        if _is_store(folder):
            raise StoreExistsError(
                f"{target} lies in {folder}, which is a store; write to a place outside of it"
            )


def store_exists(location: Location) -> bool:
    """Whether something is at a location."""
    if location.is_local and location.store is None:
        return os.path.lexists(location.uri)
    if location.is_local:
        return os.path.isdir(location.uri) and any(Path(location.uri).iterdir())
    bytestore = open_bytestore(location, read_only=True)
    return bool(bytestore.get_many([DOCUMENT, ".zgroup", ".zmetadata", ".zarray"]))


def _is_store(path: Path) -> bool:
    names = (DOCUMENT, ".zgroup", ".zarray", ".zmetadata")
    return any(os.path.exists(f"{path}/{name}") for name in names)


def _clear(bytestore: ByteStore) -> None:
    if not bytestore.zarr_store.supports_deletes:
        if bytestore.get(DOCUMENT) is not None:
            raise StoreExistsError(
                f"{bytestore.location.uri} holds a store, and nothing can be removed from its kind of "
                "store: write to another one"
            )
        return
    # The root's documents first: nothing opens that is half removed.
    for key in (DOCUMENT, format2.CONSOLIDATED, format2.GROUP):
        bytestore.delete(key)
    bytestore.delete_prefix("")
    left = next(bytestore.list_prefix(""), None)
    if left is not None:
        raise LostWriteError(
            f"{bytestore.location.uri}:/{left} was removed and is still there: what is left of another "
            "store would become a part of this one; empty it, or write to another place"
        )


def put_in_place(built: Path, target: Path) -> None:
    """Rename a folder or file to a place where something may be.

    What is there is exchanged with the new one in one step where the system can do that, and else moved
    aside just before; if that fails it is put back.
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
    """Remove what was replaced; the new store has its place whether that can be removed or not."""
    try:
        remove_beside(path)
    except OSError as error:
        message = f"{path}, which was replaced, cannot be removed: {error}; remove it by hand"
        warnings.warn(message, UserWarning, stacklevel=2)
