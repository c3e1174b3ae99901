"""Nested compounds <-> compounds of plain fields; pure.

Zarr has plain fields only. So a store has one field for each leaf: ``("p", [("x", "f8"), ("y", "f8")])`` has
the leaves ``p.x`` and ``p.y``, and ``("w", "f8", (2,))`` has ``w[0]`` and ``w[1]``. An attribute records the
nesting (`nesting_of`), by the order of the leaves and not by their names, which are made unique.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Step = str | tuple[int, ...]
"""One step of the path to a leaf: the name of a field, or the position in an array."""

JSON = Any


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field without fields that is no array: its name in the store, and the path to it."""

    name: str
    path: tuple[Step, ...]


def is_nested(dtype: np.dtype[Any]) -> bool:
    """Whether a field of a compound is itself a compound or an array."""
    return any(dtype[name].names or dtype[name].subdtype for name in dtype.names or ())


def number_of_leaves(dtype: np.dtype[Any]) -> int:
    """Return the number of leaves of a dtype, without making the leaves."""
    if dtype.subdtype is not None:
        return math.prod(dtype.shape) * number_of_leaves(dtype.base)
    if dtype.names is None:
        return 1
    return sum(number_of_leaves(dtype[name]) for name in dtype.names)


@lru_cache(maxsize=128)
def leaves_of(dtype: np.dtype[Any]) -> tuple[Leaf, ...]:
    """Return the leaves of a compound, in the order of its fields; any other dtype is its own leaf.

    Examples
    --------
    >>> [leaf.name for leaf in leaves_of(np.dtype([("p", [("x", "f8")]), ("w", "i1", (2,)), ("p.x", "i1")]))]
    ['p.x_', 'w[0]', 'w[1]', 'p.x']
    """
    paths = list(_paths(dtype))
    taken: set[Step] = {path[0] for path in paths if len(path) == 1}
    leaves = []
    for path in paths:
        name = _joined(path)
        while len(path) > 1 and name in taken:
            name += "_"
        taken.add(name)
        leaves.append(Leaf(str(name), path))
    return tuple(leaves)


def leaf_dtype(dtype: np.dtype[Any], leaf: Leaf) -> np.dtype[Any]:
    """Return the dtype of a leaf, with h5py's metadata."""
    for step in leaf.path:
        dtype = dtype[step] if isinstance(step, str) else dtype.base
    return dtype


def at_leaf(values: npt.NDArray[Any], leaf: Leaf) -> npt.NDArray[Any]:
    """Return the values of a leaf as a view of the compounds."""
    for step in leaf.path:
        index: Any = step if isinstance(step, str) else (..., *step)
        values = values[index]
    return values


def flattened(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return compounds with the leaves as fields; inverse of `nested`.

    Parameters
    ----------
    values : numpy.ndarray
    dtype : numpy.dtype
        Dtype with one field for each leaf, in the order of the leaves.
    """
    flat = np.empty(values.shape, dtype=dtype)
    for name, leaf in zip(dtype.names or (), leaves_of(values.dtype), strict=True):
        flat[name] = at_leaf(values, leaf)
    return flat


def nested(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return compounds with the leaves in their original places; inverse of `flattened`."""
    found = np.empty(values.shape, dtype=dtype)
    for name, leaf in zip(values.dtype.names or (), leaves_of(dtype), strict=True):
        at_leaf(found, leaf)[...] = values[name]
    return found


def nesting_of(dtype: np.dtype[Any]) -> list[JSON]:
    """Return the nesting of a compound: the name of each field, with its fields and its shape.

    Examples
    --------
    >>> nesting_of(np.dtype([("n", "i1"), ("p", [("x", "f8")], (3,))]))
    ['n', {'name': 'p', 'shape': [3], 'fields': ['x']}]
    """
    return [_entry(name, dtype[name]) for name in dtype.names or ()]


def _entry(name: str, dtype: np.dtype[Any]) -> JSON:
    shape = {"shape": list(dtype.shape)} if dtype.shape else {}
    fields = {"fields": nesting_of(dtype.base)} if dtype.base.names is not None else {}
    return {"name": name, **shape, **fields} if shape or fields else name


def _paths(dtype: np.dtype[Any]) -> Iterator[tuple[Step, ...]]:
    if dtype.subdtype is not None:
        for place in product(*map(range, dtype.shape)):
            yield from ((place, *path) for path in _paths(dtype.base))
    elif dtype.names is not None:
        for name in dtype.names:
            yield from ((name, *path) for path in _paths(dtype[name]))
    else:
        yield ()


def _joined(path: tuple[Step, ...]) -> str:
    parts = (
        f".{step}" if isinstance(step, str) else f"[{','.join(map(str, step))}]" for step in path
    )
    return "".join(parts).removeprefix(".")
