"""Reads only regular files, and follows no symbolic link out of the store.

A store may come from another person. A pipe in the place of a chunk makes its reader wait forever, a device
has no end, and a folder that is a symbolic link leads a writer to other files of the user.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable
from typing import Any

import zarr
from zarr.abc.store import ByteRequest
from zarr.codecs import TransposeCodec
from zarr.storage import LocalStore

from hdmf_zarr.core.limits import check_encoded_size, most_encoded_bytes
from hdmf_zarr.errors import EscapeError, SpecialFileError

BINARY = getattr(os, "O_BINARY", 0)
"""Flag for Windows, which otherwise translates line ends."""

_READ = os.O_RDONLY | BINARY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Flags to open a pipe without waiting for its writer; they do not change the reading of regular files."""

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """Open a file for reading, and return its descriptor and its status.

    Parameters
    ----------
    path : str

    Raises
    ------
    SpecialFileError
        If it is not a regular file.
    OSError
        If it cannot be opened; `IsADirectoryError` for a folder.
    """
    descriptor = os.open(path, _READ)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            check_regular(path, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def check_regular(path: str, found: os.stat_result) -> None:
    """Raise `SpecialFileError` for a pipe, device or socket, and `IsADirectoryError` for a folder."""
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(path)
    kind = next((word for is_one, word in _KINDS if is_one(found.st_mode)), "no file")
    raise SpecialFileError(
        f"{path} is {kind}, and no regular file: it is not read. Bring the object back from a copy of "
        "the store"
    )


class OwnFolders:
    """Checks that folders below a root are inside it: neither they nor their parents are symbolic links.

    Parameters
    ----------
    root : str
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: set[str] = {""}

    def check(self, key: str) -> None:
        """Raise `EscapeError` if a key is behind a symbolic link.

        Parameters
        ----------
        key : str
            Key whose last part may be a link: a change replaces or removes the link itself.
        """
        folder = key.rpartition("/")[0]
        if folder in self._known:
            return
        self._check_folder(folder)

    def check_folder(self, folder: str) -> None:
        """Raise `EscapeError` if a folder, or one above it, is a symbolic link."""
        self.check(f"{folder}/")

    def _check_folder(self, folder: str) -> None:
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            part = "/".join(parts[:depth])
            if part in self._known:
                continue
            try:
                mode = os.lstat(f"{self._root}/{part}").st_mode
            except OSError:
                return  # it does not exist yet; the writer makes it
            if stat.S_ISLNK(mode):
                raise EscapeError(
                    f"{self._root}:/{part} is a symbolic link: nothing is written, copied or removed behind "
                    "it, which may lie outside of the store; put the folder itself in its place, or open "
                    "the store to which it leads"
                )
            if stat.S_ISDIR(mode):
                self._known.add(part)


FILTER_GROWTH = 16
"""Maximum factor by which a filter of elements increases the size: from one byte to a complex number."""


def most_bytes_of(array: zarr.AsyncArray[Any]) -> int:
    """Return the maximum number of bytes of the file of a chunk, or shard, of an array."""
    dtype = array.metadata.dtype.to_native_dtype()
    shards, chunks = array.shards, array.chunks
    unit = math.prod(shards or chunks)
    n_inner = unit // max(1, math.prod(chunks)) if shards else 0
    if dtype.hasobject or dtype.kind in "OT":
        return most_encoded_bytes(None, n_inner)
    growth = FILTER_GROWTH if any(map(_changes_elements, array.filters)) else 1
    return most_encoded_bytes(unit * max(1, dtype.itemsize) * growth, n_inner)


def _changes_elements(codec: Any) -> bool:
    return not isinstance(codec, TransposeCodec)


class ContainedStore(LocalStore):
    """A `LocalStore` of zarr-python for one array, with the checks of `hdmf_zarr.stores.contained`.

    Attributes
    ----------
    most : int or None
        Maximum number of bytes of a file of the array; None until its document is parsed.
    """

    most: int | None = None

    def check_file(self, key: str) -> bool:
        """Return whether there is a file for a key.

        Raises
        ------
        SpecialFileError
            If it is not a regular file.
        MetadataError
            If it is longer than a chunk of the array can be.
        """
        path = f"{self.root}/{key}"
        try:
            found = os.stat(path)
            check_regular(path, found)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        if self.most is not None:
            check_encoded_size(found.st_size, self.most, f"{self.root}:/{key}")
        return True

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Return the value of a key."""
        return await super().get(key, *args, **kwargs) if self.check_file(key) else None

    def get_sync(self, key: str, **kwargs: Any) -> Any:
        """Return the value of a key."""
        return super().get_sync(key, **kwargs) if self.check_file(key) else None

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> Any:
        """Return parts of values."""
        wanted = list(key_ranges)
        for key, _ in wanted:
            self.check_file(key)
        return await super().get_partial_values(prototype, wanted)

    def _own(self, key: str) -> str:
        OwnFolders(str(self.root)).check(key)
        return key

    async def set(self, key: str, *args: Any, **kwargs: Any) -> None:
        """Store a value."""
        await super().set(self._own(key), *args, **kwargs)

    async def set_if_not_exists(self, key: str, *args: Any, **kwargs: Any) -> None:
        """Store a value where there is none."""
        await super().set_if_not_exists(self._own(key), *args, **kwargs)

    def set_sync(self, key: str, *args: Any, **kwargs: Any) -> None:
        """Store a value."""
        super().set_sync(self._own(key), *args, **kwargs)

    async def delete(self, key: str) -> None:
        """Remove a key."""
        await super().delete(self._own(key))

    def delete_sync(self, key: str) -> None:
        """Remove a key."""
        super().delete_sync(self._own(key))

    async def delete_dir(self, prefix: str) -> None:
        """Remove a folder."""
        OwnFolders(str(self.root)).check_folder(prefix.rstrip("/"))
        await super().delete_dir(prefix)
