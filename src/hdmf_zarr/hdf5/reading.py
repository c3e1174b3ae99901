"""What goes wrong while an HDF5 file is read, said as one error that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py

from hdmf_zarr.errors import HDMFZarrError, MetadataError, NotAStoreError


@contextmanager
def reading(where: str, file: h5py.File | None = None) -> Iterator[None]:
    """Name the file in every error: of a damaged one, h5py and HDMF raise what they stumble over.

    Errors of ours, and those of the system (no permission, a lock), pass as they are.

    Parameters
    ----------
    where : str
        The file, and the object if it is known.
    file : h5py.File, optional
        Where text that is none is looked for, which HDMF does not name.
    """
    try:
        yield
    except HDMFZarrError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, UnicodeDecodeError) and file is not None:
            where += file.visititems(_path_where_not_text) or ""
        raise MetadataError(
            f"{where} cannot be read ({type(error).__name__}: {error!s:.300}); the file is damaged, or "
            "holds what HDMF does not know"
        ) from error


def root_attribute(path: str, name: str) -> Any:
    """Return an attribute of a file's root, or None where it has none.

    Raises
    ------
    NotAStoreError
        If the file is damaged: h5py cannot open it.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if error.errno is not None:  # of the system: no permission, a lock
            raise
        raise NotAStoreError(f"{path} is a damaged HDF5 file: {error}") from error
    with file:
        return file.attrs.get(name)


def _path_where_not_text(name: str, node: h5py.Group | h5py.Dataset) -> str | None:
    """Return the path of a scalar whose bytes are not the text that its type says, for a message."""
    is_scalar = isinstance(node, h5py.Dataset) and node.shape == ()
    if not is_scalar or h5py.check_string_dtype(node.dtype) is None:
        return None
    try:
        bytes(node[()]).decode("utf-8")
    except UnicodeDecodeError:
        return f":/{name}"
    return None
