"""Errors of reading an HDF5 file, as one error that names the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from hdmf_zarr.errors import HDMFZarrError, MetadataError, NotAStoreError


@contextmanager
def reading(where: str, file: h5py.File | None = None) -> Iterator[None]:
    """Name the file in every error: h5py and HDMF raise arbitrary errors for a damaged file.

    Errors of this package and of the system (no permission, a lock) pass unchanged.

    Parameters
    ----------
    where : str
        Name of the file, and of the object if it is known.
    file : h5py.File, optional
        File in which to find text that is not UTF-8, which HDMF does not name.
    """
    try:
        yield
    except HDMFZarrError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, UnicodeDecodeError) and file is not None:
            place, advice = where + (file.visititems(_path_where_not_text) or ""), _UNKNOWN
        else:
            place, advice = _place_and_advice(where, error)
        raise MetadataError(
            f"{place} cannot be read ({type(error).__name__}: {error!s:.300}); {advice}"
        ) from error


_UNKNOWN = "the file is damaged, or holds what HDMF does not know"

_HDMF_READER = "hdmf.backends.hdf5"


def _place_and_advice(where: str, error: Exception) -> tuple[str, str]:
    """Return the file and the object that HDMF was reading, and advice."""
    found = _object_being_read(error.__traceback__)
    if found is None or found.name == "/":
        return where, _UNKNOWN
    return f"{found.file.filename}:{found.name}", _advice(found)


def _object_being_read(traceback: TracebackType | None) -> Any:
    """Return the HDF5 object that HDMF was reading when it failed; None if that is unknown.

    HDMF does not name the object. The functions of its reader receive it as an argument, so it is the first
    object among the variables of the innermost function (seen in HDMF 4 to 6).
    """
    found = None
    for frame, _line in walk_tb(traceback):
        if str(frame.f_globals.get("__name__")).startswith(_HDMF_READER):
            objects = (value for value in frame.f_locals.values() if _is_named(value))
            found = next(objects, found)
    return found


def _is_named(value: Any) -> bool:
    is_object = isinstance(value, (h5py.Group, h5py.Dataset, h5py.Datatype))
    return is_object and not isinstance(value, h5py.File) and bool(value) and value.name is not None


def _advice(found: Any) -> str:
    """Return the reason why an object cannot be read, if it is known."""
    if isinstance(found, h5py.Datatype):
        return f"it is a committed data type, {_REMOVE}"
    if (name := _attribute_in_the_way(found)) is not None:
        return f"its attribute {name!r} is a reference to nothing, or of a type {_REMOVE}"
    if not isinstance(found, h5py.Dataset):
        return _UNKNOWN
    dtype = _dtype_of(found)
    if dtype is None:
        return f"its type is none that numpy has, {_REMOVE}"
    return next((text for is_so, text in _IN_THE_WAY if is_so(found, dtype)), _UNKNOWN)


_REMOVE = "which HDMF cannot read; remove it from a copy of the file"

_IN_THE_WAY: tuple[tuple[Callable[[h5py.Dataset, np.dtype[Any]], bool], str], ...] = (
    (
        lambda dataset, _dtype: dataset.shape is None,
        f"it has a type and no elements (a null dataspace), as MatNWB writes empty data, {_REMOVE}, or "
        "write an array of length 0 in its place",
    ),
    (lambda _dataset, dtype: _holds_regions(dtype), f"it holds region references, {_REMOVE}"),
    (
        lambda _dataset, dtype: dtype.subdtype is not None,
        f"each of its elements is an array (H5T_ARRAY), {_REMOVE}, or write an array of more dimensions",
    ),
    (
        lambda _dataset, dtype: dtype.kind == "V" and dtype.names is None,
        f"it holds opaque bytes, {_REMOVE}, or write them as numbers (uint8)",
    ),
    (
        lambda dataset, dtype: not dataset.shape and h5py.check_ref_dtype(dtype) is not None,
        f"it is a reference to nothing, {_REMOVE}",
    ),
    (
        lambda dataset, dtype: dtype.hasobject and 0 in dataset.shape[1:],
        "it has text or references, and no element behind its first dimension, "
        f"{_REMOVE}, or write it with the first dimension of length 0",
    ),
)
"""Test for a dataset that HDMF cannot read -> reason and advice."""


def _dtype_of(found: Any) -> np.dtype[Any] | None:
    """Return the dtype of a dataset or an attribute; None if numpy has no such type."""
    try:
        dtype: np.dtype[Any] = found.dtype
    except TypeError:
        return None
    return dtype


def _attribute_in_the_way(found: Any) -> str | None:
    """Return the name of an attribute that h5py or HDMF cannot read; None if there is none."""
    for name in found.attrs:
        attribute = found.attrs.get_id(name)
        dtype = _dtype_of(attribute)
        if dtype is None:
            return str(name)
        is_reference = h5py.check_ref_dtype(dtype) is not None and attribute.shape == ()
        if is_reference and not found.attrs[name]:
            return str(name)
    return None


def _holds_regions(dtype: np.dtype[Any]) -> bool:
    names = dtype.names or ()
    return h5py.check_ref_dtype(dtype) is h5py.RegionReference or any(
        _holds_regions(dtype[name]) for name in names
    )


def _opened(path: str) -> h5py.File:
    """Open a file for reading.

    Raises
    ------
    NotAStoreError
        If the file is damaged: h5py cannot open it.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno is not None:  # a system error: no permission, a lock
            raise
        raise NotAStoreError(f"{path} is a damaged HDF5 file: {error}") from error


def root_attribute(path: str, name: str) -> Any:
    """Return an attribute of a file's root; None if it is missing."""
    with _opened(path) as file:
        return file.attrs.get(name)


def version_in_root(path: str) -> Any:
    """Return the NWB version from the root's attribute, in NWB 1 from a dataset; None if it is missing."""
    with _opened(path) as file:
        dataset = file.get("nwb_version")
        if not isinstance(dataset, h5py.Dataset) or dataset.size != 1:
            return file.attrs.get("nwb_version")
        return np.ravel(dataset[()])[0]


def _path_where_not_text(name: str, node: h5py.Group | h5py.Dataset) -> str | None:
    """Return the path of a text scalar whose bytes are not UTF-8, for a message."""
    is_scalar = isinstance(node, h5py.Dataset) and node.shape == ()
    if not is_scalar or h5py.check_string_dtype(node.dtype) is None:
        return None
    try:
        bytes(node[()]).decode("utf-8")
    except UnicodeDecodeError:
        return f":/{name}"
    return None
