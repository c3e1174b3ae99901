"""Checks of tables: all columns have the same number of rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.report import Finding
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.tables import UnevenTable, cut_to_whole_rows, uneven_tables
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.transactions.lock import WriterLock


def check_rows(examined: Examined) -> Iterator[Finding]:
    """Check that the columns of each table have the same number of rows; reads no chunk."""
    for table in uneven_tables(examined.hierarchy):
        yield Finding.of(rules.UNEVEN_TABLE, table.path, str(table))


def check_elements(examined: Examined) -> Iterator[Finding]:
    """Check that ragged columns have the elements of all rows, in tables that pass `check_rows`."""
    with contextlib.suppress(HDMFZarrError):  # another check reports unreadable indices
        for table in _without_elements(examined.hierarchy):
            kind = rules.UNEVEN_TABLE if table.n_rows else rules.SHORT_COLUMN
            yield Finding.of(kind, table.path, str(table))


def _without_elements(hierarchy: Hierarchy) -> Iterator[UnevenTable]:
    """Yield the tables with columns of equal length in which a ragged column lacks elements."""
    found = {table.path for table in uneven_tables(hierarchy)}
    for table in uneven_tables(hierarchy, with_elements=True):
        if table.path not in found:
            yield table


def cut_tables(
    bytestore: ByteStore, lock: WriterLock | None = None
) -> Iterator[tuple[str, str | None]]:
    """Cut every uneven table to its complete rows; yield each and, if it was kept, the reason.

    Parameters
    ----------
    bytestore : ByteStore
        Store whose consolidated metadata are those of its nodes.
    lock : WriterLock, optional
        Lock of a local store, held by the caller.
    """
    hierarchy = Hierarchy.load_for_writing(bytestore, lock)
    done = []
    # No write leaves a table of several rows without a complete one: its source already has it so.
    kept = {table.path for table in _without_elements(hierarchy) if not table.n_rows}
    for table in list(uneven_tables(hierarchy, with_elements=True)):
        if table.path in kept:
            continue
        try:
            n_rows = cut_to_whole_rows(hierarchy, table)
        except HDMFZarrError as error:
            yield f"the table /{table.path}", str(error)
        else:
            done.append(f"the table /{table.path} to its {n_rows} whole rows ({table})")
    if done:
        hierarchy.begin()
        hierarchy.commit(consolidate=hierarchy.was_consolidated)
    for name in done:
        yield name, None
