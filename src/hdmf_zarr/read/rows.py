"""Adds rows to a table that was read: to all columns or to none.

`hdmf.common.DynamicTable.add_row` appends to one column after the other. A `RowGuard` checks the values
before the first column grows, and removes the appended values if the row stays incomplete.

Checked with hdmf 6.2.0; ``tests/unit/test_compat.py`` fails when this changes: ``DynamicTable.add_row``
validates the row on the table (`hdmf_zarr.core.hdmf_private.validate_new_row`) before anything grows, and
then calls, on the columns, ``id.append``, ``VectorData.add_row`` and ``VectorIndex.add_vector``. These are
replaced on the instances: `add_unit`, `add_trial` and others bypass an ``add_row`` of the instance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from hdmf.common import AlignedDynamicTable, DynamicTable, EnumData, VectorData, VectorIndex
from hdmf.container import AbstractContainer, Data
from hdmf.data_utils import DataIO

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.core.hdmf_private import replace_row_check, set_data, validate_new_row
from hdmf_zarr.errors import HDMFZarrError, OptionError
from hdmf_zarr.read.lazy import ZarrDataset

Undo = Callable[[], None]
Stored = HDMFZarrArray | ZarrDataset


class RowGuard:
    """Keeps the columns of a table, and of its categories, at the same number of rows.

    Parameters
    ----------
    table : DynamicTable
        Table whose columns grow with a store.
    aligned : RowGuard, optional
        Guard of the aligned table of which this table is a category.
    """

    def __init__(self, table: DynamicTable, aligned: RowGuard | None = None) -> None:
        self.table = table
        self._aligned = aligned
        self._is_expected = False
        self._undo: list[Undo] = []
        self._waiting: set[int] = set()
        self._categories: dict[int, RowGuard] = {}
        self._stored: dict[int, tuple[Data, Stored]] = {}
        replace_row_check(table, self._expect)
        table.id.append = partial(self._append_id, table.id)

    def settle(self, *, warn: bool = False) -> None:
        """Remove the values of a row that was not added to all columns, if there is one.

        Parameters
        ----------
        warn : bool
            Warn the user if a row is removed.
        """
        undo, self._undo, self._is_expected = self._undo, [], False
        self._waiting.clear()
        if not undo or len(set(_lengths(self.table))) == 1:
            return
        for go_back in undo:
            go_back()
        if warn:
            warnings.warn(
                f"{_where(self.table)}: a row was interrupted before all columns had it; it is removed",
                UserWarning,
                stacklevel=3,
            )

    # -- columns in memory that were written -----------------------------------------------------

    def note_written(self, find: Callable[[Data], Stored | None]) -> None:
        """Record the arrays to which columns in memory were written.

        Parameters
        ----------
        find : callable
            Function that returns the array of a column; None for a column that was not written.
        """
        for column in self._columns_in_memory():
            stored = None if id(column) in self._stored else find(column)
            if stored is not None:
                self._stored[id(column)] = (column, stored)

    def catch_up(self) -> None:
        """Write the elements that columns in memory have gained since they were written."""
        for column, stored in self._stored.values():
            if len(column.data) > len(stored):
                stored.extend(column.data[len(stored) :])

    def forget_written(self) -> None:
        """Discard the recorded arrays, when the store is closed."""
        self._stored.clear()

    def _columns_in_memory(self) -> Iterator[Data]:
        for table in _tables(self.table):
            for column in _every_column(table):
                if isinstance(column.data, (list, np.ndarray)):
                    yield column

    def data_of(self, column: Data) -> Any:
        """Return the data to which a column's values are added, now or at the next write."""
        return self._stored[id(column)][1] if id(column) in self._stored else column.data

    # -- methods that HDMF calls -----------------------------------------------------------------

    def _expect(self, data: Mapping[str, Any]) -> None:
        """Check the values of the row that is about to be added."""
        owner = self._owner()
        if owner is self:
            self.settle()
        try:
            validate_new_row(self.table, data)
            _check_names(self.table, data)
            self._check_values(data)
        except BaseException:
            owner.settle()
            raise
        self._is_expected = owner is self

    def _check_values(self, row: Mapping[str, Any]) -> None:
        """Raise an error if a column cannot hold its value of the row."""
        for name in self.table.colnames:
            column, depth = _innermost(self.table[name])
            data = self._owner_of_stored().data_of(column)
            if name not in row or not isinstance(data, (HDMFZarrArray, ZarrDataset)):
                continue
            if not _takes_values_as_they_are(column):
                continue
            try:
                for elements in _elements(row[name], depth):
                    data.check_rows(elements)
            except HDMFZarrError as error:
                where = f"{_where(self.table)}, column {name!r}"
                raise type(error)(f"{where}: {error}") from error

    def _owner_of_stored(self) -> RowGuard:
        return self if self._aligned is None else self._aligned

    def _append_id(self, column: Data, *args: Any, **options: Any) -> None:
        if self._is_expected:
            self._begin()
        self._grow(column, partial(type(column).append, column, *args, **options))

    def _begin(self) -> None:
        """Record the end of every column."""
        self._is_expected = False
        for table in _tables(self.table):
            guard = self if table is self.table else self._guard_of(table)
            for column in _row_columns(table):
                self._waiting.add(id(column))
                guard.watch(column)
            self._undo += [_undo_of(column) for column in _every_column(table)]

    def _guard_of(self, category: DynamicTable) -> RowGuard:
        if id(category) not in self._categories:
            self._categories[id(category)] = RowGuard(category, self)
        return self._categories[id(category)]

    def watch(self, column: Data) -> None:
        """Replace the methods of a column, so that it grows through this guard."""
        name = "add_vector" if isinstance(column, VectorIndex) else "add_row"
        if isinstance(column, VectorData) and name not in vars(column):
            add = getattr(type(column), name)
            setattr(column, name, partial(self._add_to, column, add))

    def _add_to(self, column: Data, add: Callable[..., Any], *args: Any, **options: Any) -> None:
        self._grow(column, partial(add, column, *args, **options))

    def _grow(self, column: Data, add: Callable[[], Any]) -> None:
        owner = self._owner()
        try:
            add()
        except BaseException:
            owner.settle()
            raise
        owner.note_grown(column)

    def note_grown(self, column: Data) -> None:
        """Record that a column has its value of the row; the row is complete when all columns have theirs."""
        self._waiting.discard(id(column))
        if not self._waiting:
            self._undo = []

    @property
    def is_adding(self) -> bool:
        """Whether some columns may have a row that others lack."""
        return bool(self._undo)

    def _owner(self) -> RowGuard:
        """Return the guard that is adding the current row."""
        aligned = self._aligned
        return aligned if aligned is not None and aligned.is_adding else self


def guard_tables(root: AbstractContainer) -> list[RowGuard]:
    """Guard every table below a container that is not guarded yet; return the new guards."""
    tables = [table for table in (root, *root.all_children()) if isinstance(table, DynamicTable)]
    return [
        RowGuard(table)
        for table in tables
        if "_validate_new_row" not in vars(table)
        and not isinstance(table.parent, AlignedDynamicTable)
    ]


# -- the columns of a table ------------------------------------------------------------------------


def _tables(table: DynamicTable) -> list[DynamicTable]:
    """Return the table and its categories, which have the same number of rows."""
    is_aligned = isinstance(table, AlignedDynamicTable)
    return [table, *table.category_tables.values()] if is_aligned else [table]


def _row_columns(table: DynamicTable) -> list[Data]:
    """Return the identifiers and the columns with one element for each row (outer index if ragged)."""
    return [table.id, *(table[name] for name in table.colnames)]


def _every_column(table: DynamicTable) -> list[Data]:
    elements = [column.elements for column in table.columns if isinstance(column, EnumData)]
    every = {id(column): column for column in (table.id, *table.columns, *elements)}
    return list(every.values())


def _lengths(table: DynamicTable) -> Iterator[int]:
    for one in _tables(table):
        yield from map(len, _row_columns(one))


def _undo_of(column: Data) -> Undo:
    """Return a function that removes the elements added to a column after this call."""
    data = column.data
    if isinstance(data, (HDMFZarrArray, ZarrDataset)):
        return data.mark()
    inner = data.data if isinstance(data, DataIO) else data
    if isinstance(inner, list):
        return partial(inner.__delitem__, slice(len(inner), None))
    return partial(set_data, column, data)


# -- the values of a row ---------------------------------------------------------------------------


def _check_names(table: DynamicTable, row: Mapping[str, Any]) -> None:
    """Raise `OptionError` for a value without a column, before HDMF would raise an error."""
    predefined = {column["name"] for column in table.__columns__}
    unknown = sorted(set(row) - {"id", *table.colnames} - predefined)
    if unknown:
        raise OptionError(
            f"{_where(table)}: row data keys don't match available columns: {unknown}"
        )


def _takes_values_as_they_are(column: Data) -> bool:
    """Whether a column passes its values to its data unchanged."""
    kind = type(column)
    return bool(kind.add_row is VectorData.add_row and kind.append is Data.append)


def _innermost(column: Data) -> tuple[Data, int]:
    """Return the column that holds the elements, and the number of indexes above it."""
    depth = 0
    while isinstance(column, VectorIndex):
        column, depth = column.target, depth + 1
    return column, depth


def _elements(value: Any, depth: int) -> Iterator[Any]:
    """Yield the elements that a value adds to the column below ``depth`` indexes, in batches.

    An iterator is skipped, since reading would exhaust it.
    """
    if depth == 0:
        yield [value]
    elif not hasattr(value, "__len__"):
        return
    elif depth == 1:
        if len(value):
            yield value
    else:
        for entry in value:
            yield from _elements(entry, depth - 1)


def _where(table: DynamicTable) -> str:
    return f"{table.container_source}: table {table.name!r}"
