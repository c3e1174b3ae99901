"""Every name of fsspec, s3fs and Python's own library that is not public and that this package needs.

Checked with fsspec and s3fs 2024.6.0 and 2026.9.0, and with Python 3.11 and 3.13;
``tests/unit/test_compat.py`` fails when one of them moves. The newest versions offer no public replacement.

* ``AsyncFileSystem._pipe_file``, ``_rm_file``, ``_find`` and ``_info``: coroutines that work on one object,
  on the store's event loop. The public methods of the same names wait for another event loop, and `rm` and
  `expand_path` interpret the name of an object as a pattern.
* ``AsyncFileSystem._cat_file``: the module that defines it identifies the client that reads a value.
* ``S3FileSystem._call_s3``: one S3 request, with the client's own retries; s3fs has no other way to do a
  conditional put, or to remove exactly the given objects.
* ``multiprocessing.forkserver._forkserver._preload_modules``: whether the user has chosen the modules that a
  fork server imports; ``set_forkserver_preload`` has no counterpart.
* ``sys._getframe``: the caller of a function; `inspect.stack` reads the source of every caller.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Coroutine
from typing import Any

__all__ = [
    "call_s3",
    "can_create",
    "find",
    "forkserver_preload",
    "has_call_s3",
    "info",
    "module_of_caller",
    "module_that_reads",
    "pipe_file",
    "remove_file",
]


def can_create(filesystem: Any) -> bool:
    """Whether a file system can store an object on the condition that none exists."""
    return "mode" in inspect.signature(filesystem._pipe_file).parameters


def pipe_file(filesystem: Any, path: str, value: bytes, **options: Any) -> Coroutine[Any, Any, Any]:
    """Store one object."""
    return filesystem._pipe_file(path, value, **options)  # type: ignore[no-any-return]


def remove_file(filesystem: Any, path: str) -> Coroutine[Any, Any, Any]:
    """Remove one object; its name is not a pattern."""
    return filesystem._rm_file(path)  # type: ignore[no-any-return]


def find(filesystem: Any, path: str, *, detail: bool) -> Coroutine[Any, Any, Any]:
    """List every object below a path, with details or by name only."""
    return filesystem._find(path, detail=detail, withdirs=False)  # type: ignore[no-any-return]


def info(filesystem: Any, path: str) -> Coroutine[Any, Any, Any]:
    """Return a file system's information about one object."""
    return filesystem._info(path)  # type: ignore[no-any-return]


def module_that_reads(filesystem: Any) -> str:
    """Return the name of the module whose class reads the values of a file system."""
    return getattr(getattr(type(filesystem), "_cat_file", None), "__module__", "")


def has_call_s3(filesystem: Any) -> bool:
    """Whether a file system can send single S3 requests."""
    return hasattr(filesystem, "_call_s3")


def call_s3(filesystem: Any, method: str, **options: Any) -> Coroutine[Any, Any, Any]:
    """Send one S3 request."""
    return filesystem._call_s3(method, **options)  # type: ignore[no-any-return]


def forkserver_preload() -> list[str]:
    """Return the modules that a fork server imports; ``["__main__"]`` unless the user chose others."""
    server = getattr(importlib.import_module("multiprocessing.forkserver"), "_forkserver", None)
    return getattr(server, "_preload_modules", ["__main__"])


def module_of_caller(depth: int) -> str:
    """Return the name of a caller's module; depth 1 is the caller of the function that calls this one."""
    return str(sys._getframe(depth + 1).f_globals.get("__name__", ""))
