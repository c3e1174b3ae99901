"""Every private name of HDMF that this package needs.

Checked with hdmf 6.2.0 (the newest) and pynwb 4.2.0; ``tests/unit/test_compat.py`` fails when one of them
moves. The newest version has a public way for none of them.

* ``BuildManager.__containers`` and ``BuildManager.__builders``: the objects a manager has constructed.
  `BuildManager.construct` clears the modified flag of a container that it has constructed before.
* ``VectorIndex.__maxval`` and ``VectorIndex.__uint``: the largest value that an index assumes in its data,
  and their type; the index cannot widen an array that is not in memory.
* ``Data.__data``: the data of a column; for data in memory, HDMF makes a new array for each added row.
* ``Data._validate_new_data``: the check in `Data.extend` before it calls `hdmf.data_utils.extend_data`,
  which refuses Zarr arrays.
* ``DynamicTable._validate_new_row``: the check in `DynamicTable.add_row` before any column grows. It is
  replaced on the instance, since `add_unit`, `add_trial` and others bypass an ``add_row`` of the instance.
* ``HDF5IO._file``: the open file; HDMF reads neither its filters nor all of its names.
* ``GenericDataChunkIterator._get_data``: reads any region of an iterator; subclasses define it.
* ``GenericDataChunkIterator._to_dict``: the state that subclasses define for pickling.

`hdmf_zarr.read.rows` describes the callers of `_validate_new_row` and their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hdmf.build import BuildManager
    from hdmf.build.builders import BaseBuilder
    from hdmf.common import DynamicTable, VectorIndex
    from hdmf.container import AbstractContainer, Data
    from hdmf.data_utils import GenericDataChunkIterator

__all__ = [
    "builders_of",
    "containers_of",
    "hdf5_file",
    "pickled_state",
    "read_region",
    "replace_row_check",
    "set_data",
    "set_index_type",
    "set_largest_index",
    "validate_new_data",
    "validate_new_row",
]


def containers_of(manager: BuildManager) -> dict[int, AbstractContainer]:
    """Return the manager's own dictionary: id of a builder -> its container."""
    containers: dict[int, AbstractContainer] = manager._BuildManager__containers
    return containers


def builders_of(manager: BuildManager) -> dict[int, BaseBuilder]:
    """Return the manager's own dictionary: id of a container -> its builder."""
    builders: dict[int, BaseBuilder] = manager._BuildManager__builders
    return builders


def set_largest_index(index: VectorIndex, value: int) -> None:
    """Set the largest value that an index assumes in its data."""
    index._VectorIndex__maxval = value


def set_index_type(index: VectorIndex, dtype: type[Any]) -> None:
    """Set the integer type that an index assumes for its data."""
    index._VectorIndex__uint = dtype


def set_data(column: Data, data: Any) -> None:
    """Replace the data of a column."""
    column._Data__data = data


def validate_new_data(column: Data, values: Any) -> None:
    """Raise HDMF's error if a column cannot be extended by these values."""
    column._validate_new_data(values)


def validate_new_row(table: DynamicTable, row: Mapping[str, Any]) -> None:
    """Raise HDMF's error if a table cannot have this row, even where the check is replaced."""
    type(table)._validate_new_row(table, row)


def replace_row_check(table: DynamicTable, check: Callable[[Mapping[str, Any]], None]) -> None:
    """Make one table call a function before each row that is added to it."""
    table._validate_new_row = check


def hdf5_file(io: Any) -> Any:
    """Return the `h5py.File` of an `HDF5IO`; None if it is closed."""
    return io._file


def read_region(iterator: GenericDataChunkIterator, selection: tuple[slice, ...]) -> Any:
    """Return the elements of any region of an iterator."""
    return iterator._get_data(selection=selection)


def pickled_state(iterator: Any) -> Any:
    """Return the state with which an iterator is pickled."""
    return iterator._to_dict()
