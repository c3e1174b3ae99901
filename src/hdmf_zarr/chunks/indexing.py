"""Indices of arrays, as numpy and zarr accept them; pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt


def plain_selection(selection: Any, shape: tuple[int, ...]) -> Any:
    """Return a selection in the form that zarr accepts.

    zarr does not accept unsigned, empty and dimensionless index arrays, nor masks of one of several
    dimensions.

    Parameters
    ----------
    selection : object
    shape : tuple of int
        Shape of the array.

    Raises
    ------
    IndexError
        If an index is larger than any array.
    """
    if not isinstance(selection, tuple):
        return _plain_entry(selection, shape[0] if len(shape) > 1 else None)
    if sum(entry is Ellipsis for entry in selection) == 1:
        selection = without_ellipsis(selection, len(shape))
    # For several masks zarr selects every combination.
    is_alone = sum(isinstance(entry, (list, np.ndarray)) for entry in selection) == 1
    sizes = shape if is_alone else ()
    pairs = itertools.zip_longest(selection, sizes[: len(selection)])
    return tuple(_plain_entry(entry, size) for entry, size in pairs)


def _plain_entry(entry: Any, size: int | None) -> Any:
    """Return the entry for one dimension; a mask becomes indices if the size is given."""
    if isinstance(entry, (list, np.ndarray)):
        indices = np.asarray(entry)
        if indices.size == 0 and indices.dtype != bool and indices.ndim == 1:
            return slice(0, 0)
        if indices.dtype.kind in "iu":
            positions = _as_positions(indices)
            return positions if positions.ndim else int(positions)
        if indices.dtype == bool and indices.shape == (size,):
            return np.flatnonzero(indices) if indices.any() else slice(0, 0)
        return indices
    return int(entry) if isinstance(entry, np.integer) else entry


def own_indices(selection: Any) -> Any:
    """Return coordinates, or a mask, with copies of all arrays."""
    if isinstance(selection, tuple):
        return tuple(own_indices(entry) for entry in selection)
    if isinstance(selection, (list, np.ndarray)):
        indices = np.asarray(selection)
        is_index = indices.dtype.kind in "iu" and indices.size
        return _as_positions(indices) if is_index else indices.copy()
    return selection


def _as_positions(indices: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return indices of numpy's index type, as a copy, since zarr changes negative ones in place."""
    largest = np.iinfo(np.intp).max
    if indices.dtype.kind == "u" and indices.size and indices.max() > largest:
        raise IndexError(f"index {indices.max()} is out of bounds for any array")
    return indices.astype(np.intp)


def split_fields(selection: Any) -> tuple[Any, Any]:
    """Return the fields of a compound that a selection names, or None, and the rest of the selection.

    Examples
    --------
    >>> split_fields(("label", 3))
    ('label', (3,))
    >>> split_fields(slice(2))
    (None, slice(None, 2, None))
    """
    if _is_fields(selection):
        return selection, Ellipsis
    if not isinstance(selection, tuple) or not any(map(_is_fields, selection)):
        return None, selection
    fields = [entry for entry in selection if _is_fields(entry)]
    rest = tuple(entry for entry in selection if not _is_fields(entry))
    return fields[0] if len(fields) == 1 else fields, rest or Ellipsis


def _is_fields(entry: Any) -> bool:
    return isinstance(entry, str) or (
        isinstance(entry, list) and bool(entry) and all(isinstance(name, str) for name in entry)
    )


def memory_index(selection: Any, shape: tuple[int, ...]) -> tuple[Any, ...] | None:
    """Return the index that selects the same elements of an array in memory as zarr of a stored one.

    Parameters
    ----------
    selection : object
        Index for `zarr.Array`.
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    tuple or None
        Index; None for selections with other semantics in zarr, and for those that zarr refuses.
    """
    entries = selection if isinstance(selection, tuple) else (selection,)
    has_ellipsis = any(entry is Ellipsis for entry in entries)
    if has_ellipsis:
        entries = without_ellipsis(entries, len(shape))
    if len(entries) > len(shape):
        return None
    index = []
    for entry, size in zip(entries, shape, strict=False):
        if type(entry) is slice:
            plain: Any = _plain_slice(entry)
        elif type(entry) is int:
            plain = entry if -size <= entry < size else None
        elif isinstance(entry, np.ndarray):
            plain = entry if _is_known_array(entry, size, len(shape)) else None
        else:
            plain = None
        if plain is None:
            return None
        index.append(plain)
    arrays = sum(isinstance(entry, np.ndarray) for entry in index)
    if arrays > 1 or (arrays and (has_ellipsis or any(type(entry) is int for entry in index))):
        return None
    return tuple(index)


def without_ellipsis(entries: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Return an index whose first ellipsis is replaced by slices."""
    at = next(position for position, entry in enumerate(entries) if entry is Ellipsis)
    missing = ndim - (len(entries) - 1)
    return (*entries[:at], *(slice(None),) * missing, *entries[at + 1 :])


def _plain_slice(entry: slice) -> slice | None:
    if entry.start is None and entry.stop is None and entry.step is None:
        return entry
    bounds = [
        int(bound) if isinstance(bound, np.integer) else bound
        for bound in (entry.start, entry.stop, entry.step)
    ]
    if not all(bound is None or type(bound) is int for bound in bounds):
        return None
    return slice(*bounds) if bounds[2] is None or bounds[2] > 0 else None


def _is_known_array(entry: npt.NDArray[Any], size: int, ndim: int) -> bool:
    if entry.ndim != 1:
        return False
    if entry.dtype.kind == "b":
        return ndim == 1 and len(entry) == size
    if entry.dtype.kind != "i" or not len(entry):
        return False
    return bool(entry.min() >= -size and entry.max() < size)


def integers_as_slices(selection: Any, shape: tuple[int, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return an orthogonal selection without integers, and the index that drops their dimensions.

    zarr-python 3.1.3 reads integers in combination with lists of indices wrong if an array has shards.

    Parameters
    ----------
    selection : Any
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    tuple
        The selection with a slice instead of each integer, and the index that selects their one element;
        the unchanged selection and an empty index, if it has no integers or one is out of bounds.
    """
    entries = selection if isinstance(selection, tuple) else ()
    are_known = len(entries) == len(shape) and not any(entry is Ellipsis for entry in entries)
    integers = [isinstance(entry, (int, np.integer)) for entry in entries]
    if not are_known or not any(integers) or all(integers):
        return selection, ()
    places = list(zip(entries, shape, integers, strict=True))
    if not all(-size <= entry < size for entry, size, is_one in places if is_one):
        return selection, ()
    slices = tuple(
        slice(entry % size, entry % size + 1) if is_one else entry for entry, size, is_one in places
    )
    return slices, tuple(0 if is_one else slice(None) for is_one in integers)


def chunk_regions(
    index: tuple[Any, ...], shape: tuple[int, ...], chunks: tuple[int, ...]
) -> Iterator[tuple[slice, ...]]:
    """Yield the chunks in which an index selects elements, as slices of the array."""
    if not shape:
        yield ()
        return
    entry, size, step = (index or (slice(None),))[0], shape[0], chunks[0]
    for number in _chunk_numbers(entry, size, step):
        first = slice(number * step, min((number + 1) * step, size))
        # A generator, since the metadata of a hostile store may claim more chunks than fit in a list.
        for others in chunk_regions(index[1:], shape[1:], chunks[1:]):
            yield (first, *others)


def _chunk_numbers(entry: Any, size: int, step: int) -> Iterable[int]:
    """Return the numbers of the chunks along one dimension in which an entry selects elements."""
    if isinstance(entry, slice):
        start, stop, _ = entry.indices(size)
        return range(start // step, -(-stop // step))
    if isinstance(entry, np.ndarray):
        places = np.flatnonzero(entry) if entry.dtype.kind == "b" else entry % size
        return cast("list[int]", np.unique(places // step).tolist())
    return (entry % size // step,)
