"""Every private name of HDMF that this package needs.

Checked with hdmf 6.2.0 (the newest) and pynwb 4.2.0; ``tests/unit/test_compat.py`` fails when one of them
moves. The newest version has a public way for none of them.

* ``BuildManager.__containers`` and ``BuildManager.__builders``: what a manager has constructed.
  `BuildManager.construct` clears the modified flag of a container that it has constructed before.
* ``VectorIndex.__maxval`` and ``VectorIndex.__uint``: the largest value that an index believes its data to
  hold, and their type; it cannot widen an array that is not in memory.
* ``Data.__data``: the data of a column, of which hdmf makes another array for each row in memory.
* ``Data._validate_new_data``: what `Data.extend` checks before it calls `hdmf.data_utils.extend_data`, which
  refuses Zarr arrays.
* ``DynamicTable._validate_new_row``: what `DynamicTable.add_row` calls before any column grows. It is
  replaced on the instance, since `add_unit`, `add_trial` and others bypass an ``add_row`` of the instance.
* ``HDF5IO._file``: the open file, of which HDMF reads neither filters nor every name.
* ``GenericDataChunkIterator._get_data``: any region of an iterator; the method that its subclasses define.
* ``GenericDataChunkIterator._to_dict``: what subclasses define to be pickled.

What calls `_validate_new_row`, and in which order, stands in `hdmf_zarr.read.rows`.
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
    """Let an index believe that its data hold values up to this one."""
    index._VectorIndex__maxval = value


def set_index_type(index: VectorIndex, dtype: type[Any]) -> None:
    """Let an index believe that its data are of a type of integers."""
    index._VectorIndex__uint = dtype


def set_data(column: Data, data: Any) -> None:
    """Give a column other data."""
    column._Data__data = data


def validate_new_data(column: Data, values: Any) -> None:
    """Raise what HDMF raises for values that a column cannot be extended by."""
    column._validate_new_data(values)


def validate_new_row(table: DynamicTable, row: Mapping[str, Any]) -> None:
    """Raise what HDMF raises for a row that a table cannot have, even where the check is replaced."""
    type(table)._validate_new_row(table, row)


def replace_row_check(table: DynamicTable, check: Callable[[Mapping[str, Any]], None]) -> None:
    """Let one table call a function before each row that is added to it."""
    table._validate_new_row = check


def hdf5_file(io: Any) -> Any:
    """Return the `h5py.File` of an `HDF5IO`; None where it is closed."""
    return io._file


def read_region(iterator: GenericDataChunkIterator, selection: tuple[slice, ...]) -> Any:
    """Return the elements of any region of an iterator."""
    return iterator._get_data(selection=selection)


def pickled_state(iterator: Any) -> Any:
    """Return what an iterator says of itself when it is pickled."""
    return iterator._to_dict()
