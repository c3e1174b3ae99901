"""Makes the columns of containers that were read for appending grow with the store.

HDMF appends to a `zarr.Array` row by row, but knows no way to *extend* one, and its `VectorIndex`
cannot widen the integers of an index that is not in memory. Both are needed for `add_unit` and every
other ragged row. Checked with hdmf 6.2.0; ``tests/unit/test_compat.py`` fails when a name moves:

* ``VectorIndex.__maxval`` and ``VectorIndex.__uint``: the largest value, and the type, that the index
  believes its data to hold. `HDMFZarrArray.append` widens the array itself, so the index may give any.
* ``Data.extend``: replaced on the instance, since `hdmf.data_utils.extend_data` refuses Zarr arrays.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import numpy as np
from hdmf.common import VectorIndex
from hdmf.container import AbstractContainer, Data

from hdmf_zarr.arrays.array import HDMFZarrArray
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
            container._VectorIndex__maxval = np.iinfo(np.uint64).max
            container._VectorIndex__uint = np.uint64
    return guard_tables(root)


def _extend(container: Any, arg: Any, **_kwargs: Any) -> None:
    """Add all elements of an iterable to the end of the data, in one write."""
    values = list(arg) if not hasattr(arg, "__len__") else arg
    container._validate_new_data(values)
    container.data.extend(values)
