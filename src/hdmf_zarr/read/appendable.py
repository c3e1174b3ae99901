"""Lets the columns of containers that were read grow with the store.

HDMF appends to a `zarr.Array` row by row, but cannot *extend* one, and its `VectorIndex` cannot widen the
integers of an index that is not in memory. Both are needed for `add_unit` and every other ragged row:
`HDMFZarrArray.append` widens the array itself, so that the index may hold any integer, and ``Data.extend`` is
replaced on the instance.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import numpy as np
from hdmf.common import VectorIndex
from hdmf.container import AbstractContainer, Data

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.core.hdmf_private import set_index_type, set_largest_index, validate_new_data
from hdmf_zarr.read.lazy import ZarrDataset
from hdmf_zarr.read.rows import RowGuard, guard_tables


def make_appendable(root: AbstractContainer) -> list[RowGuard]:
    """Prepare every dataset below a container for appending; return the guards of its tables."""
    for container in (root, *root.all_children()):
        if not isinstance(container, Data):
            continue
        if isinstance(container.data, (HDMFZarrArray, ZarrDataset)):
            container.extend = MethodType(_extend, container)
        if isinstance(container, VectorIndex) and isinstance(container.data, HDMFZarrArray):
            set_largest_index(container, np.iinfo(np.uint64).max)
            set_index_type(container, np.uint64)
    return guard_tables(root)


def _extend(container: Any, arg: Any, **_kwargs: Any) -> None:
    """Add all elements of an iterable to the end of the data, in one write."""
    values = list(arg) if not hasattr(arg, "__len__") else arg
    validate_new_data(container, values)
    container.data.extend(values)
