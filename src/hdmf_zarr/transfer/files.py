"""The chunks of one array into another store: linked, cloned, or copied; never decoded."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Literal

from hdmf_zarr.stores import ByteStore, LocalByteStore
from hdmf_zarr.stores.system import n_cores

Way = Literal["copy", "link"]

_FICLONE = 0x40049409
"""Linux: let a file share the blocks of another one until either is written."""

_NO_CLONES = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}

COPIED_TOGETHER = 16

COPIED_AT_ONCE = 256 * 1024
"""Up to so many bytes a file is copied in less time than it takes to tell another thread."""

MOST_THREADS = 3
"""That copy files, beside the caller."""


class ChunkMover:
    """Brings chunks into a store, beside whatever else its caller does.

    Large files are copied by threads: the system does it, and the caller can write metadata meanwhile, with
    a core of its own. When it has finished, it copies as well.

    Parameters
    ----------
    way : {"copy", "link"}
        ``"copy"`` clones the files where the file system can, which costs nothing; ``"link"`` makes
        hard links, so that both stores share their files.
    """

    def __init__(self, way: Way = "copy") -> None:
        self.way = way
        self._can_clone = sys.platform.startswith("linux")
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
    ) -> list[str]:
        """Start to bring the chunks of the array at a path, and return their keys."""
        keys = [key for key in source.list_prefix(path) if is_chunk(key.removeprefix(path + "/"))]
        if isinstance(source, LocalByteStore) and isinstance(destination, LocalByteStore):
            for folder in {key.rpartition("/")[0] for key in keys}:
                os.makedirs(f"{destination.root}/{folder}", exist_ok=True)
            for key in keys:
                self._start_file(f"{source.root}/{key}", f"{destination.root}/{key}")
            return keys
        for first in range(0, len(keys), COPIED_TOGETHER):
            batch = keys[first : first + COPIED_TOGETHER]
            self._begin(partial(_move_values, source, destination, batch))
        return keys

    def finish(self) -> Iterator[int]:
        """Wait for what was started, and yield the bytes that each step has brought.

        Raises
        ------
        OSError
            The first failure; what has not begun is not begun any more.
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
        """Begin nothing more, and wait for what has begun."""
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, step: Callable[[], int]) -> None:
        """Leave a step to whoever is free first."""
        self._waiting.append(step)
        self._moving.append(self._pool.submit(self._move_next))

    def _move_next(self) -> int:
        """Take the next step; return the bytes that it brought, 0 if others have taken all of them."""
        try:
            step = self._waiting.popleft()
        except IndexError:
            return 0
        return step()

    def _start_file(self, source: str, target: str) -> None:
        if self.way == "link" or os.stat(source).st_size <= COPIED_AT_ONCE:
            self._n_moved += self._move_file(source, target)
        else:
            self._begin(partial(self._move_file, source, target))

    def _move_file(self, source: str, target: str) -> int:
        if self.way == "link":
            os.link(source, target)
        elif not (self._can_clone and self._clone(source, target)):
            shutil.copyfile(source, target)
        return os.stat(source).st_size

    def _clone(self, source: str, target: str) -> bool:
        import fcntl

        with open(source, "rb") as old, open(target, "wb") as new:
            try:
                fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            except OSError as error:
                if error.errno not in _NO_CLONES:
                    raise
                # Asked once: a file system without clones has none for the next file either.
                self._can_clone = False
                return False
        return True


def _move_values(source: ByteStore, destination: ByteStore, keys: list[str]) -> int:
    moved = source.get_many(keys)
    for key, encoded in moved.items():
        destination.set(key, encoded)
    return sum(map(len, moved.values()))
