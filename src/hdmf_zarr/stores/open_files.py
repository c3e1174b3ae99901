"""Files of a local store that are read in parts, and whether they were changed since."""

from __future__ import annotations

import io
import os
import time
from functools import cached_property
from types import TracebackType
from typing import Self

from hdmf_zarr.stores.contained import open_regular

FileStamp = tuple[int, int, int, int]
"""Times of the last change of a file's content and of its inode, its size and its inode number."""

_SETTLED_NS = 50_000_000
"""Two changes of a file within one tick of the system's clock (10 ms at most) have the same time."""

_SETTLED_OF_SECONDS_NS = 2_100_000_000
"""The same time for file systems that store times in steps of one or two seconds."""

_SECOND_NS = 1_000_000_000

READ_ON_BYTES = 2**20
"""Number of bytes per read of a file that is longer than its reported size."""


def file_stamp(found: os.stat_result) -> FileStamp:
    """Return a value that differs after the file is changed or replaced."""
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def is_unchanged(path: str, stamp: FileStamp) -> bool:
    """Return whether a file still has a stamp, with one system call."""
    try:
        return file_stamp(os.stat(path)) == stamp
    except OSError:
        return False


def is_settled(stamp: FileStamp) -> bool:
    """Return whether the next change of a file will give it another stamp.

    A file that was changed just now may be changed again without a later time.
    """
    changed = max(stamp[0], stamp[1])
    tick = _SETTLED_OF_SECONDS_NS if stamp[0] % _SECOND_NS == 0 else _SETTLED_NS
    return abs(time.time_ns() - changed) > tick


class OpenedFile:
    """A file that is open for reading.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    path : str
    size : int
        Size in bytes.
    stamp : FileStamp
        Stamp of the file before the first read.

    Raises
    ------
    OSError
        If it cannot be opened; `IsADirectoryError` for a folder.
    SpecialFileError
        If it is not a regular file.
    """

    def __init__(self, path: str) -> None:
        self._descriptor, found = open_regular(path)
        self.path = path
        self.size = found.st_size
        self.stamp = file_stamp(found)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def whole(self) -> bytes:
        """Return the content of the file from its beginning; it can be called once."""
        return read_on(self._descriptor, self.size)

    def part(self, start: int, count: int) -> bytes:
        """Return a part of the file; it is shorter if the file ends before.

        Parameters
        ----------
        start : int
            Start of the part, counted from the end of the file if negative.
        count : int
            Number of bytes.
        """
        os.lseek(self._descriptor, start if start >= 0 else max(0, self.size + start), os.SEEK_SET)
        parts = [os.read(self._descriptor, count)]
        while (missing := count - sum(map(len, parts))) and parts[-1]:
            parts.append(os.read(self._descriptor, missing))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def part_into(self, start: int, view: memoryview) -> int:
        """Read bytes into existing memory, and return their number.

        Parameters
        ----------
        start : int
        view : memoryview
        """
        file, end = self._file, 0
        file.seek(start)
        while end < len(view) and (count := file.readinto(view[end:])):
            end += count
        return end

    @cached_property
    def _file(self) -> io.FileIO:
        return io.FileIO(self._descriptor, closefd=False)


def read_on(descriptor: int, size: int) -> bytes:
    """Return the content of an open file, given its reported size."""
    parts = [os.read(descriptor, size + 1)]
    end = len(parts[0])
    while end != size and parts[-1]:  # it has changed meanwhile, or is too large for one call
        parts.append(os.read(descriptor, max(size - end + 1, READ_ON_BYTES)))
        end += len(parts[-1])
    return parts[0] if len(parts) == 1 else b"".join(parts)
