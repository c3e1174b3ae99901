"""Tables whose columns differ in length, and their complete rows.

HDMF cannot open such a table. Only the complete rows, which every column has, can be used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hdmf_zarr.arrays.array import open_array
from hdmf_zarr.chunks.missing import resized
from hdmf_zarr.errors import HDMFZarrError, MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node, is_array

INDEX_SUFFIX = "_index"
"""Suffix of the name of a ragged column's index, after the name of the column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnevenTable:
    """A table whose columns differ in length.

    Attributes
    ----------
    path : str
        Path of the table's group.
    lengths : dict of str to int
        Number of rows of the identifiers and of each column, by the name of the array with one element for
        each row. For a ragged column also the number of rows with all elements, by the name of its data.
    columns : tuple of tuple of str
        Arrays of each column, from the one with one element for each row to the data.
    """

    path: str
    lengths: dict[str, int]
    columns: tuple[tuple[str, ...], ...]

    @property
    def n_rows(self) -> int:
        """Number of rows that all columns have, according to their lengths."""
        return min(self.lengths.values())

    def __str__(self) -> str:
        counts = ", ".join(f"{name!r} has {length}" for name, length in self.lengths.items())
        return f"the columns differ in their number of rows: {counts}"


def uneven_tables(hierarchy: Hierarchy, *, with_elements: bool = False) -> Iterator[UnevenTable]:
    """Yield each table whose columns differ in length.

    Parameters
    ----------
    hierarchy : Hierarchy
    with_elements : bool
        Also check that ragged columns have the elements of all rows, which reads the indexes. No chunk
        is read otherwise.
    """
    for path in list(hierarchy.documents):
        if hierarchy.attributes(path).get("colnames") is not None:
            table = _table(hierarchy, path)
            if with_elements:
                table = replace(table, lengths=table.lengths | _with_elements(hierarchy, table))
            if len(set(table.lengths.values())) > 1:
                yield table


def _with_elements(hierarchy: Hierarchy, table: UnevenTable) -> dict[str, int]:
    ragged = [column for column in table.columns if len(column) > 1]
    return {column[-1]: _rows_of_column(hierarchy, table, column) for column in ragged}


def _table(hierarchy: Hierarchy, path: str) -> UnevenTable:
    names = hierarchy.attributes(path)["colnames"]
    chains = [_chain(hierarchy, path, name) for name in ["id", *names] if isinstance(name, str)]
    columns = tuple(chain for chain in chains if chain)
    lengths = {chain[0]: _length(hierarchy, f"{path}/{chain[0]}") for chain in columns}
    if not lengths.get("id", 1):
        del lengths["id"]  # HDMF numbers the rows itself
    return UnevenTable(path=path, lengths=lengths, columns=columns)


def _chain(hierarchy: Hierarchy, path: str, name: str) -> tuple[str, ...]:
    """Return the names of a column's arrays, the outer index first; empty if the group has no such column."""
    chain: list[str] = []
    while _is_column(hierarchy, f"{path}/{name}"):
        chain.insert(0, name)
        name += INDEX_SUFFIX
    return tuple(chain)


def _is_column(hierarchy: Hierarchy, path: str) -> bool:
    document = hierarchy.documents.get(path)
    if document is None or not is_array(document):
        return False
    node = array_node(document)
    return bool(node.shape) and node.why_unreadable is None


def _length(hierarchy: Hierarchy, path: str) -> int:
    return array_node(hierarchy.documents[path]).shape[0]


def see_whole_rows(hierarchy: Hierarchy) -> None:
    """Cut every uneven table to its complete rows, with a warning for each."""
    for table in uneven_tables(hierarchy):
        where = f"{hierarchy.uri}:/{table.path}"
        try:
            n_rows = cut_to_whole_rows(hierarchy, table)
        except HDMFZarrError as error:
            warnings.warn(f"{where}: {table}, and {error}", UserWarning, stacklevel=2)
            continue
        warnings.warn(
            f"{where}: {table}; the {n_rows} rows that all columns have are used ('hdmf-zarr check "
            "--repair' removes the rest)",
            UserWarning,
            stacklevel=2,
        )


def cut_to_whole_rows(hierarchy: Hierarchy, table: UnevenTable) -> int:
    """Cut the columns of a table to its complete rows, in memory; return the number of rows.

    The next commit, if there is one, writes the change.
    """
    n_rows = min(_rows_of_column(hierarchy, table, column) for column in table.columns)
    for column in table.columns:
        length = n_rows
        for name in column:
            path = f"{table.path}/{name}"
            _shorten(hierarchy, path, min(length, _length(hierarchy, path)))
            if name != column[-1]:
                length = int(_index(hierarchy, path, slice(length - 1, length))[0]) if length else 0
    return n_rows


def _rows_of_column(hierarchy: Hierarchy, table: UnevenTable, column: tuple[str, ...]) -> int:
    """Return the number of rows whose elements a column has, at most the rows that all columns have."""
    *indexes, data = column
    count = _length(hierarchy, f"{table.path}/{data}")
    for name in reversed(indexes):
        ends = _index(hierarchy, f"{table.path}/{name}", slice(None))
        count = int(np.searchsorted(ends, count, side="right"))
    return min(count, table.n_rows)


def _index(hierarchy: Hierarchy, path: str, rows: slice) -> npt.NDArray[np.int64]:
    try:
        return np.asarray(open_array(hierarchy, path)[rows]).astype(np.int64)
    except (HDMFZarrError, OSError, ValueError) as error:
        raise MetadataError(f"the index /{path} cannot be read: {error}") from error


def _shorten(hierarchy: Hierarchy, path: str, length: int) -> None:
    document = hierarchy.documents[path]
    shape = array_node(document).shape
    if shape[0] != length:
        shape = (length, *shape[1:])
        shorter = resized(document, list(shape), is_written=False)
        hierarchy.see_shorter(path, shorter)
