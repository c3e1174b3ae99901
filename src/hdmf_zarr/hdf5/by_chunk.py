"""Text datasets with a fill value and chunks that were never written.

The HDF5 library cannot read these chunks from a file that is open for reading only ("no write intent on
file", seen in 2.0): they are not read, and their elements are the fill value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt


def has_every_chunk(dataset: h5py.Dataset) -> bool:
    """Whether every chunk of a dataset with chunks was written."""
    grid = (-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    return bool(dataset.id.get_num_chunks() >= math.prod(grid))


def is_filled_text(dataset: h5py.Dataset) -> bool:
    """Whether a dataset holds text of any length in chunks, and some chunks were never written."""
    if dataset.chunks is None or h5py.check_string_dtype(dataset.dtype) is None:
        return False
    return bool(dataset.dtype.hasobject) and not has_every_chunk(dataset)


def read_by_chunk(dataset: h5py.Dataset, region: tuple[slice, ...]) -> npt.NDArray[Any]:
    """Return the elements of a region; those in chunks that were never written are the fill value."""
    parts = (*region, *(slice(0, size) for size in dataset.shape[len(region) :]))
    bounds = [part.indices(size)[:2] for part, size in zip(parts, dataset.shape, strict=True)]
    found = np.full([stop - start for start, stop in bounds], dataset.fillvalue, dtype=object)
    for chunk in _chunks_in(bounds, dataset.chunks):
        if dataset.id.get_chunk_info_by_coord(tuple(start for start, _ in chunk)).size:
            inside = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(chunk, bounds, strict=True)]
            starts = [start for start, _ in bounds]
            place = tuple(slice(a - at, b - at) for (a, b), at in zip(inside, starts, strict=True))
            found[place] = dataset[tuple(slice(a, b) for a, b in inside)]
    return found


def _chunks_in(
    bounds: list[tuple[int, int]], sizes: tuple[int, ...]
) -> Iterator[tuple[tuple[int, int], ...]]:
    axes = [
        [(at, at + size) for at in range(start - start % size, stop, size)]
        for (start, stop), size in zip(bounds, sizes, strict=True)
    ]
    yield from itertools.product(*axes)
