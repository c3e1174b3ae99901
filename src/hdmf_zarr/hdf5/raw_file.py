"""The bytes of an HDF5 file, read outside of the HDF5 library and its lock."""

from __future__ import annotations

import os

import h5py
import numpy as np

from hdmf_zarr.core.dtypes import is_number


def open_plain(file: h5py.File) -> int | None:
    """Return a descriptor of an open `h5py.File`; None if the file may not be read outside of HDF5.

    Reading is allowed for one plain file that is open for reading only: otherwise the HDF5 library may hold
    unwritten data in memory. The descriptor duplicates the library's own, since another file may be at the
    path by now.
    """
    if not is_plain(file) or not hasattr(os, "pread"):
        return None
    return os.dup(file.id.get_vfd_handle())


def is_plain(file: h5py.File) -> bool:
    """Whether a file is a local file that HDF5 reads directly and that is open for reading only."""
    return bool(file.mode == "r" and file.driver == "sec2")


FileState = tuple[int, int, int]
"""Inode number, size in bytes and modification time of a file."""


def state_of(file: int | str) -> FileState | None:
    """Return the state of a file from its descriptor or its path; None if there is no file."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read ``size`` bytes at an offset of a file, fewer only at its end."""
    parts: list[bytes] = []
    while size and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def differing_elements(dataset: h5py.Dataset) -> str | None:
    """Return why elements have different bytes in HDF5 and in Zarr; None if they have the same."""
    dtype = dataset.dtype
    if not is_number(dtype) or (dtype.metadata and "vlen" in dtype.metadata):
        return "elements other than plain numbers"
    stored = dataset.id.get_type()
    if stored.get_class() == h5py.h5t.ENUM:
        stored = stored.get_super()
    expected = np.dtype(np.int8) if dtype.kind == "b" else np.dtype(dtype.str)
    # Types with padding, another precision or another bit order may have the same numpy dtype.
    return None if stored.equal(h5py.h5t.py_create(expected)) else "numbers with bits to spare"
