"""Dimension scales of HDF5: read as attributes, and written to a new file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hdmf_zarr.convention import one_text
from hdmf_zarr.convention.scales import (
    CLASS,
    DATASET,
    DIMENSION,
    DIMENSION_LIST,
    NAME,
    REFERENCE_LIST,
    SCALE,
)

_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
"""Start of the name of a scale that netCDF made for a dimension without coordinates."""

_RECORD = np.dtype([(DATASET, h5py.ref_dtype), (DIMENSION, np.int32)])


def scale_list(name: str, value: Any) -> list[Any] | None:
    """Return h5py's value of ``DIMENSION_LIST`` or ``REFERENCE_LIST`` as lists or records.

    These hold h5py's references. None is returned for any other attribute.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 1:
        return None
    if name == DIMENSION_LIST and _is_reference(h5py.check_vlen_dtype(value.dtype)):
        return [list(row) for row in value]
    if name != REFERENCE_LIST or value.dtype.names != (DATASET, DIMENSION):
        return None
    if not _is_reference(value.dtype[DATASET]):
        return None
    return [{DATASET: row[DATASET], DIMENSION: int(row[DIMENSION])} for row in value]


def target_of(reference: h5py.Reference, file: h5py.File | None) -> Any:
    """Return the target of a reference; None if it was removed or no file is given."""
    if file is None or not reference:
        return None
    # A removed object can be opened as long as others refer to it, but it has no name.
    return file[reference] if h5py.h5r.get_name(reference, file.id) else None


def _is_reference(dtype: Any) -> bool:
    return dtype is not None and h5py.check_ref_dtype(np.dtype(dtype)) is h5py.Reference


def scale_names(dataset: Any) -> tuple[str | None, ...]:
    """Return a name for each dimension of a dataset from its scales; None for a dimension without a scale.

    A scale of one dimension names its own dimension.
    """
    if _text(dataset, CLASS) == SCALE and dataset.ndim == 1:
        return (_name_of(dataset),)
    rows = scale_list(DIMENSION_LIST, dataset.attrs.get(DIMENSION_LIST)) or ()
    return tuple(_name_of_first(row, dataset.file) for row in rows)


def _name_of_first(references: list[Any], file: h5py.File) -> str | None:
    scale = target_of(references[0], file) if references else None
    return None if scale is None else _name_of(scale)


def _name_of(scale: Any) -> str:
    name = _text(scale, NAME)
    if name and not name.startswith(_NO_VARIABLE):
        return name
    return str(scale.name).rpartition("/")[2]


def _text(dataset: Any, name: str) -> str | None:
    return one_text(dataset.attrs.get(name))


def make_scale(dataset: h5py.Dataset, attributes: Mapping[str, Any]) -> frozenset[str]:
    """Make a dataset a scale if its attributes say so; return the names of the attributes this sets.

    The HDF5 library recognizes a scale by the exact type of ``CLASS``, which only this call writes.
    """
    if one_text(attributes.get(CLASS)) != SCALE or not isinstance(dataset, h5py.Dataset):
        return frozenset()
    name = one_text(attributes.get(NAME))
    h5py.h5ds.set_scale(dataset.id, (name or "").encode("utf-8", "surrogateescape"))
    if name is None:
        del dataset.attrs[NAME]
        return frozenset({CLASS})
    return frozenset({CLASS, NAME})


def stored_list(value: list[Any], reference: Callable[[Any], Any]) -> npt.NDArray[Any]:
    """Return lists or records of targets as h5py stores them.

    Parameters
    ----------
    value : list
        Value for which `hdmf_zarr.convention.scales.is_scale_list` is true.
    reference : callable
        Function that returns the reference to a target.
    """
    if value and not isinstance(value[0], list):
        rows = [(reference(row[DATASET]), row[DIMENSION]) for row in value]
        return np.array(rows, dtype=_RECORD)
    lists = np.empty(len(value), dtype=h5py.vlen_dtype(h5py.ref_dtype))
    for position, row in enumerate(value):
        lists[position] = np.array([reference(target) for target in row], dtype=h5py.ref_dtype)
    return lists
