"""The fingerprint of a local store, which changes if another store replaces it."""

from __future__ import annotations

import logging
import os
import weakref
from pathlib import Path
from typing import Any

from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    ZATTRS,
    ZMETADATA,
)

logger = logging.getLogger(__name__)

Stamp = tuple[Any, ...]
"""Identity of the store's folder, then the state of its root documents."""

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NONBLOCK", 0)
"""Flags that open a folder, and do not block on anything else."""

MOST_HELD = 64
"""Maximum number of folders kept open: some systems limit a process to 256 open files."""

_held: weakref.WeakSet[HeldFolder] = weakref.WeakSet()


class HeldFolder:
    """A folder kept open, so that no other folder can get its inode number.

    A file system reuses the inode number of a removed folder: a store that was replaced twice may have the
    number that it had before.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        descriptor = os.open(path, _FOLDER)
        self.release = weakref.finalize(self, os.close, descriptor)
        found = os.fstat(descriptor)
        self.number = (found.st_dev, found.st_ino)
        _held.add(self)

    @property
    def is_held(self) -> bool:
        """Whether the folder is still open."""
        return self.release.alive


def hold_folder(bytestore: ByteStore) -> HeldFolder | None:
    """Keep the folder of a local store open, if the system can open folders and not too many are open."""
    if not isinstance(bytestore, LocalByteStore):
        return None
    if sum(held.is_held for held in _held) >= MOST_HELD:
        logger.debug("%s is not kept open: %d others are", bytestore.root, MOST_HELD)
        return None
    try:
        return HeldFolder(bytestore.root)
    except OSError as error:
        logger.debug("%s is not kept open: %s", bytestore.root, error)
        return None


def stamp_of(bytestore: ByteStore, held: HeldFolder | None = None) -> Stamp | None:
    """Return the fingerprint of a local store, with two system calls.

    Parameters
    ----------
    bytestore : ByteStore
    held : HeldFolder or None
        Open folder from which metadata will be read.
    """
    if not isinstance(bytestore, LocalByteStore):
        return None
    if held is not None:
        number = held.number
    else:
        try:
            folder = os.stat(bytestore.root)
        except OSError:
            return None
        number = (folder.st_dev, folder.st_ino)
    documents = []
    for name in (DOCUMENT, ZMETADATA, ZATTRS):
        try:
            found = os.stat(f"{bytestore.root}/{name}")
        except OSError:
            continue
        documents.append((name, found.st_ino, found.st_mtime_ns, found.st_size))
        if name != ZATTRS:
            break
    return number, *documents


def is_newer(bytestore: ByteStore, key: str, stamp: Stamp | None) -> bool:
    """Return whether an object was written after the root document of a stamp, which a commit writes last."""
    if stamp is None or len(stamp) < 2 or not isinstance(bytestore, LocalByteStore):
        return False
    try:
        written = os.stat(f"{bytestore.root}/{key}").st_mtime_ns
    except OSError:
        return False
    return bool(written > max(document[2] for document in stamp[1:]))
