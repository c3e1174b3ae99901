"""The encoded chunks of an HDF5 dataset, as they are in the file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hdmf_zarr.codecs.hdf5.filters import FilterChain, chain_of_pipeline
from hdmf_zarr.codecs.hdf5.validate import check_encoded
from hdmf_zarr.errors import ChunkError, MetadataError
from hdmf_zarr.hdf5.filters import filter_pipeline, require_filters
from hdmf_zarr.hdf5.raw_file import differing_elements, open_plain, pread
from hdmf_zarr.hdf5.source import fill_value_of, stored_dataset

LAYOUTS = {
    h5py.h5d.COMPACT: "compact (no chunks)",
    h5py.h5d.CONTIGUOUS: "contiguous (no chunks)",
    h5py.h5d.VIRTUAL: "virtual (data in other files)",
}
"""Layout without chunks -> reason why it cannot be copied raw."""


def can_copy_raw(dataset: Any) -> str | None:
    """Return None if the encoded chunks of a dataset are valid chunks of a Zarr array; otherwise the reason.

    Parameters
    ----------
    dataset : h5py.Dataset

    Returns
    -------
    str or None
        Reason, for example ``"contiguous (no chunks)"`` or ``"the filter szip has no Zarr codec"``.
    """
    dataset = stored_dataset(dataset)
    properties = dataset.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CHUNKED:
        return LAYOUTS.get(properties.get_layout(), "a layout without chunks")
    if (reason := differing_elements(dataset)) is not None:
        return reason
    chain = filter_chain(dataset)
    if chain.is_lossy and not RawChunks(dataset).table().is_whole.all():
        return "chunks that a filter which loses precision has not seen"
    return chain.missing


def filter_chain(dataset: Any) -> FilterChain:
    """Return the codecs that are equivalent to the filters of a dataset."""
    return chain_of_pipeline(filter_pipeline(stored_dataset(dataset)))


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """Locations of the chunks of a dataset; chunks that were never written are left out.

    Attributes
    ----------
    coordinates : numpy.ndarray of int64, (n_chunks, n_dimensions)
        Position of each chunk in the grid of chunks.
    addresses, sizes : numpy.ndarray of int64, (n_chunks,)
        Position of each chunk's first byte in the file, and number of its bytes.
    is_whole : numpy.ndarray of bool, (n_chunks,)
        Whether every filter was applied to the chunk.
    """

    coordinates: npt.NDArray[np.int64]
    addresses: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    is_whole: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sizes)


class RawChunks:
    """The encoded chunks of a dataset for which `can_copy_raw` returns None.

    Attributes
    ----------
    dataset : h5py.Dataset
    shape, chunks : tuple of int
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = stored_dataset(dataset)
        self.shape: tuple[int, ...] = self.dataset.shape
        self.chunks: tuple[int, ...] = self.dataset.chunks
        self._descriptor: int | None = None
        self._codecs = filter_chain(self.dataset).codecs
        self._chunk_bytes = math.prod(self.chunks) * self.dataset.dtype.itemsize
        self._can_decode = False

    @property
    def where(self) -> str:
        """File and path of the dataset."""
        return f"{self.dataset.file.filename}:{self.dataset.name}"

    @property
    def fill_value(self) -> Any:
        """Value of elements in chunks that were never written."""
        return fill_value_of(self.dataset)

    @property
    def n_chunks(self) -> int:
        """Number of chunks that were written."""
        return int(self.dataset.id.get_num_chunks())

    @property
    def n_bytes(self) -> int:
        """Number of bytes of the encoded chunks."""
        return int(self.dataset.id.get_storage_size())

    @property
    def is_checked(self) -> bool:
        """Whether each chunk ends with a checksum, which `read` checks."""
        return bool(self._codecs) and self._codecs[-1].codec_id == "fletcher32"

    def table(self) -> ChunkTable:
        """Return the locations of all chunks, in one pass."""
        count, rank = self.n_chunks, len(self.shape)
        rows = np.empty((count, rank + 3), dtype=np.int64)
        position = iter(range(count))

        def note(chunk: Any) -> None:
            rows[next(position)] = (
                *chunk.chunk_offset,
                chunk.byte_offset if chunk.byte_offset is not None else -1,
                chunk.size,
                chunk.filter_mask,
            )

        if count:
            self.dataset.id.chunk_iter(note)
        coordinates = rows[:, :rank] // np.array(self.chunks)
        whole = rows[:, rank + 2] == 0
        if self.dataset.id.get_create_plist().get_nfilters():
            # HDF5 can leave chunks at the edge unfiltered without a flag: only their size shows it.
            is_plain = rows[:, rank + 1] == self._chunk_bytes
            whole &= ~(self._at_edge(coordinates) & is_plain)
        return ChunkTable(
            coordinates=coordinates,
            addresses=rows[:, rank].copy(),
            sizes=rows[:, rank + 1].copy(),
            is_whole=whole,
        )

    def _at_edge(self, coordinates: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        ends = (coordinates + 1) * np.array(self.chunks)
        return np.asarray((ends > np.array(self.shape)).any(axis=1))

    def open_file(self, table: ChunkTable) -> None:
        """Open the file for reads outside HDF5 if that is safe; many threads can read it at a time then."""
        descriptor = open_plain(self.dataset.file) if len(table) else None
        if descriptor is None:
            return
        try:
            first = self._through_hdf5(table, 0)
            at = int(table.addresses[0])
            is_same = at >= 0 and pread(descriptor, len(first), at) == first
        except BaseException:
            os.close(descriptor)
            raise
        if is_same:
            self._descriptor = descriptor
        else:
            os.close(descriptor)

    def close_file(self) -> None:
        """Close the file that `open_file` opened."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, table: ChunkTable, index: int) -> bytes:
        """Return an encoded chunk as it is in the file.

        Raises
        ------
        MetadataError
            If the file does not hold the whole chunk, or the chunk is recognizably damaged.
        """
        size = int(table.sizes[index])
        if self._descriptor is None:
            encoded = self._through_hdf5(table, index)
        else:
            encoded = pread(self._descriptor, size, int(table.addresses[index]))
        if len(encoded) != size:
            raise MetadataError(
                f"{self.name_of(table, index)} has {len(encoded)} bytes in "
                f"place of {size}; the file is truncated, or was changed meanwhile"
            )
        if table.is_whole[index]:
            try:
                check_encoded(self._codecs, encoded, self._chunk_bytes)
            except ChunkError as error:
                raise MetadataError(f"{self.name_of(table, index)} is damaged: {error}") from error
        return encoded

    def read_many(self, table: ChunkTable, indices: Sequence[int]) -> Iterator[bytes | None]:
        """Return an iterator over encoded chunks, as from `read`."""
        return (self.read(table, index) for index in indices)

    def decoded(self, table: ChunkTable, index: int) -> npt.NDArray[Any]:
        """Return the elements of a chunk; those beyond the end of the dataset are its fill value.

        Raises
        ------
        MetadataError
            If the chunk does not decode.
        MissingExtraError
            If a filter is not installed.
        """
        if not self._can_decode:
            require_filters(self.dataset)
            self._can_decode = True
        values = np.full(self.chunks, self.fill_value, dtype=self.dataset.dtype.str)
        start = self._offset(table, index)
        region = tuple(
            slice(first, min(first + step, size))
            for first, step, size in zip(start, self.chunks, self.shape, strict=True)
        )
        inside = tuple(slice(0, part.stop - part.start) for part in region)
        try:
            values[inside] = self.dataset[region]
        except OSError as error:
            raise MetadataError(f"{self.name_of(table, index)} does not decode: {error}") from error
        return values

    def _through_hdf5(self, table: ChunkTable, index: int) -> bytes:
        try:
            return bytes(self.dataset.id.read_direct_chunk(self._offset(table, index))[1])
        except OSError as error:
            raise MetadataError(f"{self.name_of(table, index)} cannot be read: {error}") from error

    def name_of(self, table: ChunkTable, index: int) -> str:
        """Return the file, the dataset and the position of a chunk, for messages."""
        return f"{self.where}: the chunk at {self._offset(table, index)}"

    def _offset(self, table: ChunkTable, index: int) -> tuple[int, ...]:
        coordinates: Sequence[int] = table.coordinates[index].tolist()
        return tuple(at * step for at, step in zip(coordinates, self.chunks, strict=True))
