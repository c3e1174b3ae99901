"""The chunks of one array into another store: linked, cloned, or copied; never decoded."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from hdmf_zarr.stores import ByteStore, LocalByteStore

Way = Literal["copy", "link"]

_FICLONE = 0x40049409
"""Linux: let a file share the blocks of another one until either is written."""

_NO_CLONES = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}

COPIED_TOGETHER = 16


class ChunkMover:
    """Brings chunks into a store.

    Parameters
    ----------
    way : {"copy", "link"}
        ``"copy"`` clones the files where the file system can, which costs nothing; ``"link"`` makes
        hard links, so that both stores share their files.
    """

    def __init__(self, way: Way = "copy") -> None:
        self.way = way
        self._can_clone = sys.platform.startswith("linux")

    def move(
        self,
        source: ByteStore,
        destination: ByteStore,
        path: str,
        is_chunk: Callable[[str], bool],
    ) -> Iterator[int]:
        """Bring the chunks of the array at a path, and yield the bytes of each."""
        if isinstance(source, LocalByteStore) and isinstance(destination, LocalByteStore):
            for key in source.list_prefix(path):
                if is_chunk(key.removeprefix(path + "/")):
                    yield self._move_file(source.root / key, destination.root / key)
            return
        keys = [key for key in source.list_prefix(path) if is_chunk(key.removeprefix(path + "/"))]
        for start in range(0, len(keys), COPIED_TOGETHER):
            for key, encoded in source.get_many(keys[start : start + COPIED_TOGETHER]).items():
                destination.set(key, encoded)
                yield len(encoded)

    def _move_file(self, source: Path, target: Path) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.way == "link":
            os.link(source, target)
        elif not (self._can_clone and self._clone(source, target)):
            shutil.copyfile(source, target)
        return source.stat().st_size

    def _clone(self, source: Path, target: Path) -> bool:
        import fcntl

        with source.open("rb") as old, target.open("wb") as new:
            try:
                fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            except OSError as error:
                if error.errno not in _NO_CLONES:
                    raise
                # Asked once: a file system without clones has none for the next file either.
                self._can_clone = False
                return False
        return True
