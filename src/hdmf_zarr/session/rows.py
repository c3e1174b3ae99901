"""Rows of the tables of an open store: waiting for the next write, or interrupted."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from hdmf.container import AbstractContainer, Data
from hdmf.query import HDMFDataset

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.appendable import make_appendable
from hdmf_zarr.read.lazy import ZarrDataset
from hdmf_zarr.read.rows import RowGuard, guard_tables
from hdmf_zarr.read.tables import cut_to_whole_rows, uneven_tables


class Rows:
    """The rows that are added to the tables of one store.

    Parameters
    ----------
    uri : str
        Absolute path or URL of the store.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._pending: list[HDMFDataset] = []
        self._guards: list[RowGuard] = []

    # -- pending rows ----------------------------------------------------------------------------

    def note_pending(self, dataset: HDMFDataset) -> None:
        """Remember a dataset with rows whose targets have no path yet."""
        if dataset not in self._pending:
            self._pending.append(dataset)

    def flush(self) -> None:
        """Write the pending rows."""
        waiting, self._pending = self._pending, []
        for dataset in waiting:
            dataset.flush_pending()

    def waiting(self) -> Callable[[], None]:
        """Return a function that makes the rows that are pending now pending again."""
        waiting = [(dataset, dataset.pending()) for dataset in self._pending]

        def wait_again() -> None:
            for dataset, rows_wait_again in waiting:
                rows_wait_again()
                self.note_pending(dataset)

        return wait_again

    def drop(self) -> None:
        """Remove rows that refer to containers which were never written, from every column."""
        waiting, self._pending = self._pending, []
        for dataset in waiting:
            if dataset.n_pending:
                dataset.drop_pending()
                warnings.warn(
                    f"{self._uri}:{dataset.name}: rows that refer to containers which were never written "
                    "are lost, in all columns; write the file before it is closed",
                    UserWarning,
                    stacklevel=4,
                )
        for hierarchy in dict.fromkeys(dataset.dataset.hierarchy for dataset in waiting):
            for table in list(uneven_tables(hierarchy, with_elements=True)):
                cut_to_whole_rows(hierarchy, table)
                hierarchy.begin()

    # -- tables whose columns grow ---------------------------------------------------------------

    def guard_read(self, container: AbstractContainer) -> None:
        """Make the columns below a container that was read grow with the store."""
        self._guards += make_appendable(container)

    def guard_written(
        self,
        container: AbstractContainer,
        array_of_column: Callable[[Data], HDMFZarrArray | ZarrDataset | None],
    ) -> None:
        """Make columns below a container that were written from memory grow with the store."""
        self._guards += guard_tables(container)
        for guard in self._guards:
            guard.note_written(array_of_column)

    def settle(self, hierarchy: Hierarchy | None) -> None:
        """Remove the parts of interrupted rows; write other rows that are pending in memory."""
        for guard in self._guards:
            try:
                guard.settle(warn=True)
                guard.catch_up()
            except MetadataError:
                if hierarchy is None or not hierarchy.removals:
                    raise  # otherwise columns of the table were removed, and no rows are added

    def forget_written(self) -> None:
        """Forget where columns were written, after the store was closed."""
        for guard in self._guards:
            guard.forget_written()
