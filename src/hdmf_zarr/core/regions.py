"""Cuts an array into regions of whole write units; pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Region = tuple[slice, ...]
Shape = tuple[int, ...]

TASKS_PER_JOB = 4
"""Smallest number of regions for each job, so that all jobs end at about the same time."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A region of whole write units, and the pieces that are read for it.

    Attributes
    ----------
    region : tuple of slice
    pieces : tuple of regions
        Pieces within the region, in the order in which they are written.
    fills : bool
        Whether the pieces fill the region without an overlap.
    """

    region: Region
    pieces: tuple[Region, ...]
    fills: bool


def task_shape(shape: Shape, unit: Shape, buffer: Shape, n_jobs: int) -> Shape:
    """Return the shape of the regions: whole units, at most a buffer or one unit.

    Parameters
    ----------
    shape, unit, buffer : tuple of int
        Shapes of the array, of its write unit, and of one read.
    n_jobs : int
        Number of jobs; each gets a region, if there are enough units.

    Examples
    --------
    >>> task_shape((100, 8), (10, 4), (35, 8), 1)
    (30, 8)
    >>> task_shape((100, 8), (10, 4), (5, 8), 1)
    (10, 8)
    """
    units = [-(-max(1, size) // step) for size, step in zip(shape, unit, strict=True)]
    counts = [
        n if room >= size else min(n, max(1, room // step))
        for n, size, step, room in zip(units, shape, unit, buffer, strict=True)
    ]
    while _n_regions(units, counts) < TASKS_PER_JOB * n_jobs and max(counts) > 1:
        axis = next(axis for axis, count in enumerate(counts) if count > 1)
        counts[axis] = -(-counts[axis] // 2)
    return tuple(count * step for count, step in zip(counts, unit, strict=True))


def _n_regions(units: Sequence[int], counts: Sequence[int]) -> int:
    return math.prod(-(-n // count) for n, count in zip(units, counts, strict=True))


def cut(
    selections: Sequence[Region], shape: Shape, unit: Shape, buffer: Shape, n_jobs: int
) -> Iterator[Cut]:
    """Cut an array into regions of whole write units.

    Parameters
    ----------
    selections : sequence of tuples of slice
        Selections of an iterator's buffers, in their order.
    shape, unit, buffer : tuple of int
        Shapes of the array, of its write unit, and of the buffers.
    n_jobs : int

    Yields
    ------
    Cut
        No unit is in two regions; a region that no selection touches is left out.
    """
    steps = task_shape(shape, unit, buffer, n_jobs)
    grid = _Grid.of(selections, shape, buffer)
    if grid is not None:
        for region in regions_of(shape, steps):
            pieces = tuple(grid.pieces(region))
            if pieces:
                yield Cut(region, pieces, fills=sum(map(size_of, pieces)) == size_of(region))
        return
    found: dict[tuple[int, ...], list[Region]] = {}
    for selection in selections:
        for corner in itertools.product(*cells_of(selection, steps)):
            found.setdefault(corner, []).append(selection)
    for corner in sorted(found):
        region = tuple(
            slice(at * step, min((at + 1) * step, size))
            for at, step, size in zip(corner, steps, shape, strict=True)
        )
        # Selections may overlap: each is written separately, a later one over an earlier one.
        pieces = tuple(intersection(selection, region) for selection in found[corner])
        yield Cut(region, pieces, fills=False)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Selections that are distinct cells of a regular grid."""

    shape: Shape
    steps: Shape
    present: frozenset[tuple[int, ...]] | None
    """The cells that are selected; None if all are."""

    @classmethod
    def of(cls, selections: Sequence[Region], shape: Shape, steps: Shape) -> _Grid | None:
        """Return the grid of the selections, or None if they are not cells of a grid."""
        present = set()
        for selection in selections:
            corner = tuple(part.start // step for part, step in zip(selection, steps, strict=True))
            cell = tuple(
                slice(at * step, min((at + 1) * step, size))
                for at, step, size in zip(corner, steps, shape, strict=True)
            )
            if selection != cell:
                return None
            present.add(corner)
        if len(present) != len(selections):
            return None
        n_cells = math.prod(-(-size // step) for size, step in zip(shape, steps, strict=True))
        return cls(shape, steps, None if len(present) == n_cells else frozenset(present))

    def pieces(self, region: Region) -> Iterator[Region]:
        """Yield the parts of a region, each within one selected cell."""
        for corner in itertools.product(*cells_of(region, self.steps)):
            if self.present is None or corner in self.present:
                cell = tuple(
                    slice(at * step, min((at + 1) * step, size))
                    for at, step, size in zip(corner, self.steps, self.shape, strict=True)
                )
                yield intersection(cell, region)


def regions_of(shape: Shape, steps: Shape) -> Iterator[Region]:
    """Yield regions of one shape that cover an array; those at its ends are smaller."""
    starts = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, size))
            for start, step, size in zip(corner, steps, shape, strict=True)
        )


def parts_of(region: Region, steps: Shape) -> Iterator[Region]:
    """Yield parts of one shape that cover a region, counted from its beginning."""
    for part in regions_of(shape_of(region), steps):
        yield tuple(
            slice(whole.start + inside.start, whole.start + inside.stop)
            for whole, inside in zip(region, part, strict=True)
        )


def cells_of(region: Region, steps: Shape) -> list[range]:
    """Return the indices of the grid cells that a region touches, along each dimension."""
    return [
        range(part.start // step, -(-part.stop // step))
        for part, step in zip(region, steps, strict=True)
    ]


def intersection(first: Region, second: Region) -> Region:
    """Return the intersection of two regions that overlap."""
    return tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )


def relative(part: Region, whole: Region) -> Region:
    """Return the position of a part of a region relative to the whole region."""
    return tuple(
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, whole, strict=True)
    )


def shape_of(region: Region) -> Shape:
    """Return the number of elements of a region along each dimension."""
    return tuple(part.stop - part.start for part in region)


def size_of(region: Region) -> int:
    """Return the number of elements of a region."""
    return math.prod(part.stop - part.start for part in region)


def are_elements_of(given: Shape, wanted: Shape) -> bool:
    """Whether two shapes hold the same elements in the same order.

    Dimensions of length 1 are ignored.

    Examples
    --------
    >>> are_elements_of((50, 2), (1, 50, 2))
    True
    >>> are_elements_of((2, 50), (50, 2))
    False
    """
    if 0 in given or 0 in wanted:
        return 0 in given and 0 in wanted
    return [size for size in given if size != 1] == [size for size in wanted if size != 1]


def selected_shape(selection: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that slices and numbers select; None for a selection of another kind."""
    parts = list(selection) if isinstance(selection, tuple) else [selection]
    if len(parts) > len(shape) or not all(isinstance(p, (int, np.integer, slice)) for p in parts):
        return None
    along = zip(parts, shape, strict=False)
    selected = (len(range(size)[part]) if isinstance(part, slice) else 1 for part, size in along)
    return (*selected, *shape[len(parts) :])


def plain_selections(selections: Sequence[Any], ndim: int) -> list[Region] | None:
    """Return selections as slices with both ends, or None if one is something else.

    Empty selections are left out.
    """
    plain = []
    for selection in selections:
        parts = selection if isinstance(selection, tuple) else (selection,)
        if len(parts) != ndim or not all(_is_plain(part) for part in parts):
            return None
        region = tuple(slice(int(part.start), int(part.stop)) for part in parts)
        if size_of(region) > 0:
            plain.append(region)
    return plain


def _is_plain(part: Any) -> bool:
    return (
        isinstance(part, slice)
        and part.step in (None, 1)
        and part.start is not None
        and part.stop is not None
        and 0 <= part.start <= part.stop
    )


def _units(part: Any, size: int, unit: int) -> Sequence[int]:
    """Return the write units along one dimension that a slice or number touches, in order."""
    rows = range(size)[part if isinstance(part, slice) else slice(part, part + 1 or None)]
    if not rows or abs(rows.step) <= unit:
        return range(min(rows) // unit, max(rows) // unit + 1) if rows else ()
    return sorted({row // unit for row in rows})


class Coverage:
    """Record of which write units of an array were written, with one Boolean for each.

    Parameters
    ----------
    unit : tuple of int
        Shape of a write unit.
    """

    def __init__(self, unit: tuple[int, ...]) -> None:
        self._unit = unit
        self._is_written = np.zeros((0,) * len(unit), dtype=bool)
        self._is_known = True

    def note(self, selection: Any, shape: tuple[int, ...]) -> None:
        """Record that a selection of an array of this shape is written."""
        parts = list(selection) if isinstance(selection, tuple) else [selection]
        parts += [slice(None)] * (len(shape) - len(parts))
        if len(parts) != len(shape) or not all(
            isinstance(p, (int, np.integer, slice)) for p in parts
        ):
            self._is_known = False
            return
        units = [_units(*along) for along in zip(parts, shape, self._unit, strict=True)]
        if all(map(len, units)):
            self._make_room([along[-1] + 1 for along in units])
            self._is_written[np.ix_(*units)] = True

    def _make_room(self, needed: list[int]) -> None:
        held = self._is_written.shape
        if all(size <= room for size, room in zip(needed, held, strict=True)):
            return
        # Doubled, so that the record of an array that grows row by row is not copied for each row.
        grown = [
            room if n <= room else max(n, 2 * room) for n, room in zip(needed, held, strict=True)
        ]
        written = np.zeros(grown, dtype=bool)
        written[tuple(map(slice, held))] = self._is_written
        self._is_written = written

    def count(self, grid: tuple[int, ...]) -> int | None:
        """Return the number of units that were written; None if a selection was not understood."""
        if not self._is_known:
            return None
        return int(np.count_nonzero(self._is_written[tuple(map(slice, grid))]))
