"""Rows of a contiguous dataset, read from the file by several threads.

The file is read rather than mapped into memory: if it is truncated meanwhile, a read raises an error, while a
memory map would end the process.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hdf5.raw_file import differing_elements, open_plain, pread


@dataclass(frozen=True, kw_only=True, slots=True)
class ContiguousRows:
    """Location of a dataset's elements in its file.

    Attributes
    ----------
    file : h5py.File
    where : str
        File and path of the dataset.
    offset : int
        Position of the first byte.
    shape : tuple of int
    dtype : numpy.dtype
    """

    file: h5py.File
    where: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> ContiguousRows | None:
        """Return the location of a dataset; None if its elements cannot be read without HDF5."""
        properties = dataset.id.get_create_plist()
        if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
            return None
        offset = dataset.id.get_offset()
        if offset is None or not dataset.size or not dataset.shape or differing_elements(dataset):
            return None
        found = cls(
            file=dataset.file,
            where=f"{dataset.file.filename}:{dataset.name}",
            offset=int(offset),
            shape=dataset.shape,
            dtype=np.dtype(dataset.dtype.str),
        )
        # Versions of HDF5 return different offsets for a file with a user block, so compare the last row.
        last = (slice(dataset.shape[0] - 1, dataset.shape[0]),)
        rows = found.rows(last)
        return found if rows is not None and rows.tobytes() == dataset[last].tobytes() else None

    def rows(self, region: tuple[slice, ...]) -> npt.NDArray[Any] | None:
        """Return the elements of a region of whole rows, read-only; None for another region.

        Raises
        ------
        MetadataError
            If the file ends before the region.
        """
        rows, *others = region
        is_whole = all(
            part.indices(size) == (0, size, 1)
            for part, size in zip(others, self.shape[1:], strict=False)
        )
        start, stop, step = rows.indices(self.shape[0])
        descriptor = open_plain(self.file) if is_whole and step == 1 and start < stop else None
        if descriptor is None:
            return None
        per_row = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            encoded = pread(descriptor, (stop - start) * per_row, self.offset + start * per_row)
        finally:
            os.close(descriptor)
        if len(encoded) != (stop - start) * per_row:
            raise MetadataError(
                f"{self.where}: the file ends before row {stop}; it is truncated, or was changed "
                "meanwhile"
            )
        return np.frombuffer(encoded, self.dtype).reshape((stop - start, *self.shape[1:]))
