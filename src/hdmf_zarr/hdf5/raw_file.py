"""The bytes of an HDF5 file, read outside of the HDF5 library and its lock."""

from __future__ import annotations

import os

import h5py
import numpy as np

from hdmf_zarr.core.dtypes import is_number


def open_plain(file: h5py.File) -> int | None:
    """Return a descriptor of the file of an open `h5py.File`, or None where it may not be read itself.

    It may be where it is one plain file that nobody here writes to: what is written may still be in
    the memory of the HDF5 library. It is the library's own descriptor, doubled: at the path of the file
    another one may be by now.
    """
    if not is_plain(file) or not hasattr(os, "pread"):
        return None
    return os.dup(file.id.get_vfd_handle())


def is_plain(file: h5py.File) -> bool:
    """Whether a file is one of this machine that HDF5 reads itself, and that nobody here writes to."""
    return bool(file.mode == "r" and file.driver == "sec2")


FileState = tuple[int, int, int]
"""The number of a file, its bytes, and when it was changed."""


def state_of(file: int | str) -> FileState | None:
    """Return what a file is, by its descriptor or its path; None where there is none."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read bytes at a place of a file, fewer only at its end."""
    parts: list[bytes] = []
    while size and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def differing_elements(dataset: h5py.Dataset) -> str | None:
    """Why the elements have other bytes in HDF5 than in Zarr, or None."""
    dtype = dataset.dtype
    if not is_number(dtype) or (dtype.metadata and "vlen" in dtype.metadata):
        return "elements other than plain numbers"
    stored = dataset.id.get_type()
    if stored.get_class() == h5py.h5t.ENUM:
        stored = stored.get_super()
    expected = np.dtype(np.int8) if dtype.kind == "b" else np.dtype(dtype.str)
    # A type may have padding, another precision or another order of bits and the same numpy dtype.
    return None if stored.equal(h5py.h5t.py_create(expected)) else "numbers with bits to spare"
