"""Moves the chunk files of an array into another store: linked, cloned, or copied."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Literal

from hdmf_zarr.core.system import n_cores
from hdmf_zarr.errors import OptionError
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.contained import check_regular

logger = logging.getLogger(__name__)

Way = Literal["copy", "link"]

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of the system that mean: no hard link is possible there."""

COPIED_TOGETHER = 16

COPIED_AT_ONCE = 256 * 1024
"""Most bytes of a file that is copied at once: handing it to another thread would take longer."""

MOST_THREADS = 3
"""Most threads that copy files, in addition to the caller."""


class ChunkMover:
    """Moves chunks into a store while its caller does other work.

    Threads copy large files by system calls, while the caller writes metadata on its own core. In
    `finish`, the caller copies, too.

    Parameters
    ----------
    way : {"copy", "link"}
        ``"copy"`` copies the files, as clones if the file system can, which takes no time;
        ``"link"`` makes hard links, so that both stores share their files.
    """

    def __init__(self, way: Way = "copy") -> None:
        self.way = way
        self._pool = ThreadPoolExecutor(
            min(MOST_THREADS, max(n_cores() - 1, 1)), thread_name_prefix="hdmf-zarr-chunks"
        )
        self._waiting: deque[Callable[[], int]] = deque()
        self._moving: list[Future[int]] = []
        self._n_moved = 0

    def start(
        self,
        source: ByteStore,
        destination: ByteStore,
        path: str,
        is_chunk: Callable[[str], bool],
        most: int,
    ) -> list[str]:
        """Start to move the chunks of the array at a path, and return their keys.

        Parameters
        ----------
        source, destination : ByteStore
        path : str
        is_chunk : callable
            Returns whether a name in the folder of the array is that of a chunk.
        most : int
            Most bytes of a chunk that is read into memory.
        """
        keys = [key for key in source.list_prefix(path) if is_chunk(key.removeprefix(path + "/"))]
        if isinstance(source, LocalByteStore) and isinstance(destination, LocalByteStore):
            for folder in {key.rpartition("/")[0] for key in keys}:
                destination.make_folder(folder)
            for key in keys:
                self._start_file(f"{source.root}/{key}", f"{destination.root}/{key}")
            return keys
        for first in range(0, len(keys), COPIED_TOGETHER):
            batch = keys[first : first + COPIED_TOGETHER]
            self._begin(partial(_move_values, source, destination, batch, most))
        return keys

    def finish(self) -> Iterator[int]:
        """Wait for the steps that were started, and yield the bytes that each has moved.

        Raises
        ------
        OSError
            If a step fails; no further step is begun.
        """
        try:
            yield self._n_moved
            while self._waiting:
                yield self._move_next()
            for step in self._moving:
                yield step.result()
        finally:
            self.stop()

    def stop(self) -> None:
        """Begin no further step, and wait for those that have begun."""
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, step: Callable[[], int]) -> None:
        """Queue a step for the first free thread, or for `finish`."""
        self._waiting.append(step)
        self._moving.append(self._pool.submit(self._move_next))

    def _move_next(self) -> int:
        """Run the next step; return the bytes that it moved, 0 if no step is left."""
        try:
            step = self._waiting.popleft()
        except IndexError:
            return 0
        return step()

    def _start_file(self, source: str, target: str) -> None:
        found = os.stat(source)
        check_regular(source, found)
        if self.way == "link" or found.st_size <= COPIED_AT_ONCE:
            self._n_moved += self._move_file(source, target)
        else:
            self._begin(partial(self._move_file, source, target))

    def _move_file(self, source: str, target: str) -> int:
        return _copy_file(source, target) if self.way == "copy" else _link_file(source, target)


def _link_file(source: str, target: str) -> int:
    """Make a hard link to a file; return its bytes.

    Raises
    ------
    OptionError
        If the file system cannot make the link.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise OptionError(
            f"{source} gets no hard link at {target}: {error.strerror}. Both have to be on one file system "
            "that has such links; copy the chunks instead (way='copy', without --link)"
        ) from error
    return os.stat(target).st_size


def _copy_file(source: str, target: str) -> int:
    """Copy a file, as a clone if the file system can; return its bytes."""
    if not _copied_by_system(source, target):
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            if error.filename is None:  # for example on a full disk
                raise OSError(error.errno, error.strerror, target) from error
            raise
    return os.stat(target).st_size


def _copied_by_system(source: str, target: str) -> bool:
    """Copy a file by Linux's own call, as a clone if possible; return whether it succeeded."""
    if not hasattr(os, "copy_file_range"):
        return False
    old = os.open(source, os.O_RDONLY)
    try:
        new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            remaining = os.fstat(old).st_size
            # Some file systems report for every file that nothing is left to copy.
            while remaining and (count := os.copy_file_range(old, new, remaining)):
                remaining -= count
        finally:
            os.close(new)
    except OSError as error:  # between two file systems; shutil.copyfile raises any other
        logger.debug("%s is not copied by the system: %s", source, error)
        return False
    finally:
        os.close(old)
    return not remaining


def _move_values(source: ByteStore, destination: ByteStore, keys: list[str], most: int) -> int:
    moved = source.get_many(keys, dict.fromkeys(keys, most))
    for key, encoded in moved.items():
        destination.set(key, encoded)
    return sum(map(len, moved.values()))
