"""System calls that Python does not offer: exchange of two names, syncfs, freeing of memory.

This is the only module that calls the C library. Where a system or a file system lacks a call, the function
or its caller takes a slower way.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_HERE = -100
"""``AT_FDCWD`` of Linux: paths are relative to the current folder."""

_LINUX_EXCHANGE = _MACOS_SWAP = 2
"""``RENAME_EXCHANGE`` of ``linux/fs.h``, ``RENAME_SWAP`` of macOS's ``sys/stdio.h``."""


@cache
def _library() -> Any:
    if sys.platform not in ("linux", "darwin"):
        return None
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError as error:
        logger.debug("the C library cannot be called: %s", error)
        return None


def _function(name: str) -> Any:
    return getattr(_library(), name, None)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths atomically; return False where the system cannot."""
    one, other = os.fsencode(first), os.fsencode(second)
    if sys.platform == "linux":
        call = _function("renameat2")
        status = -1 if call is None else call(_HERE, one, _HERE, other, _LINUX_EXCHANGE)
    elif sys.platform == "darwin":
        call = _function("renamex_np")
        status = -1 if call is None else call(one, other, _MACOS_SWAP)
    else:
        return False
    if status == 0:
        return True
    logger.debug("%s: no exchange: %s", second, os.strerror(ctypes.get_errno()))
    return False


def can_sync_at_once() -> bool:
    """Whether `make_durable` is one system call, which costs less than a tenth of a write."""
    return sys.platform == "linux" and _function("syncfs") is not None


def make_durable(folder: Path) -> None:
    """Return when everything below a folder, and its own name, is on the disk.

    Call ``syncfs`` once where the system has it, which also writes other programs' data on the same file
    system to the disk; otherwise call ``fsync`` for each file and folder.
    """
    if not _sync_file_system(folder):
        for where, _, files in os.walk(folder):
            for name in files:
                sync_file(Path(where, name))
            sync_folder(Path(where))
    sync_folder(folder.parent)


def _sync_file_system(folder: Path) -> bool:
    if not can_sync_at_once():
        return False
    call = _function("syncfs")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if call(descriptor) == 0:
            return True
        error = ctypes.get_errno()
    finally:
        os.close(descriptor)
    raise OSError(error, os.strerror(error), str(folder))


def sync_file(path: Path) -> None:
    """Return when a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk; Windows needs no call for that."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems support fsync for files only
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keeps_case(folder: Path) -> bool:
    """Return whether a folder, or its closest existing parent, distinguishes "a" from "A".

    An empty temporary file is made there, since folders of one file system may differ in this.
    """
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".case-", suffix="-a") as file:
            return not os.path.exists(f"{file.name[:-1]}A")
    except OSError:
        return sys.platform not in ("win32", "darwin")


def give_back_memory() -> None:
    """Return unused memory from the C library to the system, where the library has a call for that.

    Otherwise the library keeps freed memory for later use: all of a buffer of up to 32 MB.
    """
    call = _function("malloc_trim") if sys.platform == "linux" else None
    if call is not None:
        call(ctypes.c_size_t(0))


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Pause Python's garbage collection while many objects are made that are all kept.

    The collector would visit every object again and again, which takes a third of the time of reading the
    metadata of thousands of nodes. Do not read chunks here: an event loop leaves cycles that hold them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def n_cores() -> int:
    """Return the number of cores that this process may use, which a cluster or `taskset` can limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
