"""A folder for benchmarks that make many files: nothing in it is removed before the end.

ext4 keeps the inode of a removed file back for minutes, and looks at all that it keeps back before it finds
one for a new file (``recently_deleted`` in Linux's ``fs/ext4/ialloc.c``). A new file took 25 us of the
system's time on a disk where nothing had been removed, and 150 to 300 us after 16 000 files had been. A
benchmark that removes what a run wrote thus measures its own removals, and most in what makes many files.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BATCH_FOLDERS = 500
MOST_BATCHES = 100
SETTLED_BATCHES = 5
"""So many batches in a row that cost about the same: what was removed before is used up."""

_numbers = itertools.count()


@contextmanager
def working_folder(parent: Path | None = None) -> Iterator[Path]:
    """Give a folder on a disk that has settled; it is removed at the end."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        settle(folder)
        yield folder


def settle(folder: Path) -> None:
    """Make empty files until a file costs what it did a moment before."""
    costs: list[float] = []
    for batch in range(MOST_BATCHES):
        started = time.process_time()
        for number in range(BATCH_FOLDERS):
            ballast = folder / f".ballast{batch}" / str(number)
            ballast.mkdir(parents=True)
            for name in ("first", "second", "third"):
                (ballast / name).touch()
        costs.append(time.process_time() - started)
        last = costs[-SETTLED_BATCHES:]
        if len(last) == SETTLED_BATCHES and max(last) < 1.5 * min(costs):
            break


def set_aside(path: Path) -> None:
    """Make room for another file or store of this name; the old one keeps its inodes, not its bytes."""
    if not path.exists():
        return
    aside = path.with_name(f".aside{next(_numbers)}")
    path.rename(aside)
    for file in [aside] if aside.is_file() else aside.rglob("*"):
        if file.is_file() and file.stat().st_nlink == 1:  # A linked chunk is the source's, too.
            os.truncate(file, 0)
