"""Zarr's array of a document that is not in the store yet, and how elements get into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from hdmf_zarr.convention import JSON
from hdmf_zarr.dtypes import ElementType
from hdmf_zarr.elements import encode_elements, to_memory
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.stores import ByteStore, Hierarchy


def writable_array(bytestore: ByteStore, path: str, document: dict[str, JSON]) -> zarr.Array[Any]:
    """Return zarr's array of a document that is not in the store yet."""
    return zarr.Array(Hierarchy(bytestore, {"": {}, path: document}).async_array(path))


def bytes_per_element(stored: np.dtype[Any]) -> int:
    """Return the bytes of an element; of text, a guess."""
    return stored.itemsize if stored.kind not in "OT" else 64


def write_elements(
    array: zarr.Array[Any], selection: Any, values: npt.NDArray[Any], element: ElementType
) -> int:
    """Write elements, given in their form in memory, and return their bytes."""
    stored = np.dtype(array.dtype)
    records = stored if stored.names is not None else None
    array[selection] = encode_elements(values, element, records)
    return values.size * bytes_per_element(stored)


def as_elements(data: Any, element: ElementType) -> npt.NDArray[Any]:
    """Return what an iterator gave in the form in memory of the type that it had declared.

    Raises
    ------
    EncodingError
        If an element is not what the type wants, or its value would change.
    """
    values = to_memory(data, element, str)
    if element.kind == "number" and element.numpy is not None and values.dtype != element.numpy:
        raise EncodingError(
            f"an iterator that had declared {element.numpy.name} gave {values.dtype.name} with values "
            f"that {element.numpy.name} cannot hold: give it the dtype of what it yields"
        )
    return values
