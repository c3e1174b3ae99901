"""Where a new store is built, and how it takes the place of what was there before.

On a local path the store is built beside its place and renamed into it at the end: until then the
old file is whole, afterwards the new one is. On any other store the root's document, written last,
is the commit: without it nothing opens.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from hdmf_zarr.errors import StoreExistsError
from hdmf_zarr.stores import (
    DOCUMENT,
    ByteStore,
    Hierarchy,
    LocalByteStore,
    Location,
    group_document,
    open_bytestore,
)


class NewStore:
    """A store that is being written and is not there yet.

    Attributes
    ----------
    hierarchy : Hierarchy
        Empty at first.
    """

    def __init__(self, location: Location, zarr_format: int = 3) -> None:
        self.location = location
        bytestore = open_bytestore(location, read_only=False)
        if isinstance(bytestore, LocalByteStore):
            target = bytestore.root
            target.parent.mkdir(parents=True, exist_ok=True)
            staging = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
            bytestore.moved_to(staging, unseen=True)
        else:
            _clear(bytestore)
        self._bytestore = bytestore
        self.hierarchy = Hierarchy(bytestore, {"": group_document({})}, zarr_format=zarr_format)

    def commit(self, *, consolidate: bool) -> None:
        """Write the root's document and put the store in its place."""
        self.hierarchy.commit(consolidate=consolidate)
        if isinstance(self._bytestore, LocalByteStore):
            target = Path(self.location.uri)
            put_in_place(self._bytestore.root, target)
            self._bytestore.moved_to(target)

    def abandon(self) -> None:
        """Remove what was written; what was there before was not touched."""
        if isinstance(self._bytestore, LocalByteStore):
            shutil.rmtree(self._bytestore.root, ignore_errors=True)
        else:
            _clear(self._bytestore)


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
    return any((path / name).exists() for name in names)


def _clear(bytestore: ByteStore) -> None:
    if not bytestore.zarr_store.supports_deletes:
        if bytestore.get(DOCUMENT) is not None:
            raise StoreExistsError(
                f"{bytestore.location.uri} holds a store, and nothing can be removed from its kind of "
                "store: write to another one"
            )
        return
    # The root's document first: nothing opens that is half removed.
    bytestore.delete(DOCUMENT)
    bytestore.delete_prefix("")


def put_in_place(built: Path, target: Path) -> None:
    """Rename a folder or file to a place where something may be."""
    if not os.path.lexists(target) or (built.is_file() and not target.is_dir()):
        os.replace(built, target)
        return
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.old")
    os.rename(target, aside)
    try:
        os.rename(built, target)
    except OSError:
        os.rename(aside, target)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink()
