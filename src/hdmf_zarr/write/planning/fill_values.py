"""The fill value of an array, as in the dataset from which it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.core.dtypes import TEXT_KINDS, ElementType
from hdmf_zarr.core.nesting import flattened, is_nested
from hdmf_zarr.hdf5 import HDF5Source
from hdmf_zarr.hdf5.source import fill_value_of, given_fill_value
from hdmf_zarr.metadata import array_document
from hdmf_zarr.write.chunks.sources import RawSource, ZarrSource
from hdmf_zarr.write.planning.element_storage import StoredType


def fill_value_for(source: Any, stored: StoredType) -> Any:
    """Return the fill value of a new array: that of its source, if it has one that can be stored.

    Parameters
    ----------
    source : ArraySource, IteratorSource or RawSource
    stored : StoredType
        Stored form of the elements.
    """
    if isinstance(source, RawSource):
        found = source.chunks.fill_value  # may be None in format 2
    else:
        found = _converted(_held_by(source), stored, source.element)
    return array_document.empty_scalar(stored.data_type) if found is None else found


def _held_by(source: Any) -> Any:
    if isinstance(source, HDF5Source):
        is_text = source.element.kind in TEXT_KINDS
        return given_fill_value(source.dataset) if is_text else fill_value_of(source.dataset)
    if isinstance(source, ZarrSource) and not source.array.is_restored:
        return source.array.fill_value
    return None


def _converted(found: Any, stored: StoredType, own: ElementType | None) -> Any:
    """Return a fill value as a stored element; None if it cannot be stored."""
    if found is None or own is None:
        return None
    if own.kind == "number":
        return found
    if own.kind == "compound":
        return None if own.holds_variable else _record(np.asarray(found), stored, own)
    if stored.numpy is not None:
        return found
    if own.kind not in TEXT_KINDS:
        return None
    return _text(found) if stored.element.kind in TEXT_KINDS else _text(found).encode("utf-8")


def _record(found: npt.NDArray[Any], stored: StoredType, own: ElementType) -> Any:
    if is_nested(found.dtype):
        found = flattened(found.astype(own.memory_dtype), own.flat.memory_dtype)
    return found.astype(stored.numpy)[()]


def _text(found: Any) -> str:
    return found.decode("utf-8") if isinstance(found, bytes) else str(found)
