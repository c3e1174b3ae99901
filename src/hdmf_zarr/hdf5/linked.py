"""The files to which HDF5 files link, each read by itself.

HDF5IO reads only the target of a link in another file, and not the groups that hold it or the objects to
which its datasets refer. The classes here open the other file when one of these is needed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from hdmf.backends.hdf5 import HDF5IO
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import GroupBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.utils import StrDataset

from hdmf_zarr.core.hdmf_private import hdf5_file
from hdmf_zarr.core.nesting import Leaf, at_leaf, leaf_dtype, leaves_of
from hdmf_zarr.hdf5.errors import reading
from hdmf_zarr.hdf5.hard_links import ChildNames, lost_names

READ_ROWS = 65536
"""Number of rows of references in memory at once."""


class LinkedFiles:
    """Files that others link to, opened for reading once each and closed together."""

    def __init__(self) -> None:
        self._opened: dict[str, HDF5IO] = {}
        self._names: dict[str, ChildNames] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files."""
        while self._opened:
            self._opened.popitem()[1].close()
        self._names.clear()

    def builder(self, filename: str, path: str) -> BaseBuilder | None:
        """Return the builder of an object of a file, in the tree of the file's builders; or None.

        Parameters
        ----------
        filename : str
        path : str
            One of the paths of the object, without slashes at its ends.
        """
        found = self.file(filename).get("/" + path)
        return None if found is None else self.builder_of(found)

    def builder_of(self, found: h5py.Group | h5py.Dataset) -> BaseBuilder | None:
        """Return the builder of an object that was opened directly or through another file; or None."""
        io = self._io(found.file.filename)
        try:
            builder: BaseBuilder = io.get_builder(hdf5_file(io)[found.name])
        except (KeyError, ValueError):
            return None  # a cached specification, or an object that HDF5IO could not read
        return builder

    def child_names(self, filename: str) -> ChildNames:
        """Return the names of children that are missing or wrong in the builders of a file."""
        self._io(filename)
        return self._names[os.path.abspath(filename)]

    def file(self, filename: str) -> h5py.File:
        """Return a file, open for reading."""
        return hdf5_file(self._io(filename))

    def _io(self, filename: str) -> HDF5IO:
        filename = os.path.abspath(filename)
        if filename not in self._opened:
            with reading(filename), warnings.catch_warnings():
                # Only copied objects need a warning, and reading the linking file gives it.
                warnings.simplefilter("ignore", BrokenLinkWarning)
                io = self._opened[filename] = HDF5IO(filename, mode="r")
                root: GroupBuilder = io.read_builder()
                self._names[filename] = lost_names(io, root)
        return self._opened[filename]


def referred_objects(dataset: Any) -> Iterator[h5py.Group | h5py.Dataset]:
    """Yield, once each, the objects of a file to which the elements of a dataset refer."""
    dataset = dataset.dset if isinstance(dataset, StrDataset) else dataset
    leaves = _reference_leaves(dataset.dtype)
    if not leaves:
        return
    seen: set[bytes] = set()
    rows = dataset.shape[0] if dataset.shape else 1
    for start in range(0, rows, READ_ROWS):
        block = dataset[start : start + READ_ROWS] if dataset.shape else np.asarray(dataset[()])
        for leaf in leaves:
            for reference in np.ravel(at_leaf(block, leaf)):
                name = h5py.h5r.get_name(reference, dataset.file.id) if reference else None
                if name and name not in seen:
                    seen.add(name)
                    yield dataset.file[reference]


def _reference_leaves(dtype: np.dtype[Any]) -> list[Leaf]:
    """Return the leaves of a dataset's elements that are references."""
    return [
        leaf
        for leaf in leaves_of(dtype)
        if h5py.check_ref_dtype(leaf_dtype(dtype, leaf)) is h5py.Reference
    ]
