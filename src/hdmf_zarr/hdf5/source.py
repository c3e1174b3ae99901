"""HDF5 datasets as a source of elements, read in bounded blocks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.utils import StrDataset

from hdmf_zarr.core.dtypes import BYTES, ElementType, builder_dtype, element_type_from_numpy
from hdmf_zarr.errors import DtypeError, EncodingError, MetadataError
from hdmf_zarr.hdf5.by_chunk import has_every_chunk, is_filled_text, read_by_chunk
from hdmf_zarr.hdf5.contiguous import ContiguousRows
from hdmf_zarr.hdf5.filters import require_filters
from hdmf_zarr.hdf5.raw_file import FileState, is_plain, state_of

TargetText = Callable[[Any], str]
"""Function that returns the text with which a dataset of references refers to an h5py object."""


def is_hdf5_file(path: str | os.PathLike[str]) -> bool:
    """Whether an HDF5 file is at a path."""
    return os.path.isfile(path) and bool(h5py.is_hdf5(path))


def is_h5py_dataset(obj: Any) -> bool:
    """Whether an object is a dataset of an HDF5 file."""
    return isinstance(obj, h5py.Dataset)


def is_h5py_reference(obj: Any) -> bool:
    """Whether an object is an unresolved reference of an HDF5 file."""
    return isinstance(obj, h5py.Reference)


def stored_dataset(dataset: Any) -> h5py.Dataset:
    """Return h5py's own dataset from HDMF's wrapper that decodes text."""
    return dataset.dset if isinstance(dataset, StrDataset) else dataset


def fill_value_of(dataset: h5py.Dataset) -> Any:
    """Return the value that h5py reads for elements never written; zero if HDF5 does not fill them."""
    creation = dataset.id.get_create_plist()
    is_filled = creation.get_fill_time() != h5py.h5d.FILL_TIME_NEVER
    is_defined = creation.fill_value_defined() != h5py.h5d.FILL_VALUE_UNDEFINED
    return dataset.fillvalue if is_filled and is_defined else np.zeros((), dataset.dtype)[()]


def _require_fill_value(dataset: h5py.Dataset) -> None:
    """Raise `MetadataError` for elements of variable length that were never written and have no fill value.

    h5py would use uninitialized memory as the addresses of these elements, and end the process.
    """
    if not dataset.dtype.hasobject or not dataset.shape:
        return
    creation = dataset.id.get_create_plist()
    if creation.fill_value_defined() != h5py.h5d.FILL_VALUE_UNDEFINED:
        return
    is_chunked = dataset.chunks is not None
    is_whole = has_every_chunk(dataset) if is_chunked else dataset.id.get_storage_size() > 0
    if not is_whole and dataset.size:
        raise MetadataError(
            f"{dataset.file.filename}:{dataset.name}: some elements were never written, and the dataset has "
            "no fill value (H5D_FILL_VALUE_UNDEFINED), so that HDF5 does not say what they are; write them, "
            "or make the dataset anew with a fill value"
        )


def given_fill_value(dataset: h5py.Dataset) -> Any:
    """Return the fill value of a dataset of numbers or text; None if it is zero, empty or not UTF-8."""
    if dataset.dtype.kind not in "biufcS" and h5py.check_string_dtype(dataset.dtype) is None:
        return None
    value = fill_value_of(dataset)
    if isinstance(value, bytes) and dataset.dtype.kind == "O":
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return value or None


def attribute_dtype(file: h5py.File | None, path: str, name: str) -> np.dtype[Any] | None:
    """Return the dtype of an attribute with h5py's marks; None if there is no such attribute."""
    node = None if file is None else file.get(path)
    if node is None or name not in node.attrs:
        return None
    dtype: np.dtype[Any] = node.attrs.get_id(name).dtype
    return dtype


def marked_dtype(element: ElementType) -> np.dtype[Any]:
    """Return the dtype of elements in memory, with h5py's marks of types that numpy stores as objects."""
    if element.shape:
        return np.dtype((marked_dtype(element.entry), element.shape))
    if element.kind == "compound":
        return np.dtype([(name, marked_dtype(field)) for name, field in element.fields])
    dtype: np.dtype[Any] = h5py.ref_dtype if element.kind == "reference" else builder_dtype(element)
    return dtype


NO_REGIONS = (
    "it holds region references, which cannot be stored; remove it from a copy of the file, or refer to the "
    "whole dataset"
)
"""Error message for an attribute with region references."""


def is_region(dtype: np.dtype[Any] | None) -> bool:
    """Whether a dtype is that of region references."""
    return dtype is not None and h5py.check_ref_dtype(dtype) is h5py.RegionReference


def empty_attribute(dtype: npt.DTypeLike) -> h5py.Empty:
    """Return h5py's object for an attribute that has a type and no value."""
    return h5py.Empty(dtype)


def convert_attribute(value: Any, file: h5py.File | None, target_text: TargetText) -> Any:
    """Return an attribute's value with h5py's references replaced by the text of their targets.

    HDF5IO resolves a single reference, but not an array of references.
    """
    if not isinstance(value, np.ndarray) or h5py.check_ref_dtype(value.dtype) is None:
        return value
    if file is None:
        return value
    if is_region(value.dtype):
        raise DtypeError(NO_REGIONS)
    flat = [target_text(file[reference]) for reference in value.ravel()]
    return np.array(flat, dtype=object).reshape(value.shape)


class HDF5Source:
    """The elements of an HDF5 dataset, in their form in memory.

    Attributes
    ----------
    element : ElementType
    shape : tuple of int
    """

    def __init__(
        self, dataset: Any, target_text: TargetText, element: ElementType | None = None
    ) -> None:
        self.dataset = stored_dataset(dataset)
        require_filters(self.dataset)
        _require_fill_value(self.dataset)
        self.shape: tuple[int, ...] = self.dataset.shape
        self._target_text = target_text
        self._references: dict[str, str] = {}
        self.element = element or element_type_from_numpy(self.dataset.dtype)
        if element is None and self.element.kind in ("text", "ascii") and self._has_undecodable():
            self.element = BYTES
        self._contiguous = ContiguousRows.of(self.dataset)

    @property
    def where(self) -> str:
        """File and path of the dataset."""
        return f"{self.dataset.file.filename}:{self.dataset.name}"

    def reopened(self) -> HDF5Regions | None:
        """Return an object that reads the dataset in another process; None if only this process can.

        References need the builders of this process. A file that is open for writing, or that a Python
        object reads, cannot be opened again.
        """
        file = self.dataset.file
        if not is_plain(file) or "reference" in self.element.kinds:
            return None
        state = state_of(file.id.get_vfd_handle())
        return HDF5Regions(os.path.abspath(file.filename), self.dataset.name, self.element, state)

    def read(self, region: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Return the elements of a region in the form that `hdmf_zarr.core.elements` describes.

        Raises
        ------
        MetadataError
            If HDF5 cannot read or decode the elements.
        """
        rows = self._contiguous.rows(region) if self._contiguous is not None and region else None
        if rows is not None:
            return rows
        raw = self._stored(region)
        values = np.asarray(raw) if self.shape else _scalar_array(raw, self.dataset.dtype)
        return self._to_memory(values, self.element)

    def _stored(self, region: tuple[slice, ...]) -> Any:
        try:
            return self.dataset[region]
        except (OSError, RuntimeError) as error:
            if is_filled_text(self.dataset):
                return read_by_chunk(self.dataset, region)
            ends = ", ".join(
                f"{part.start or 0}:{'' if part.stop is None else part.stop}" for part in region
            )
            raise MetadataError(
                f"{self.where}: the elements [{ends}] cannot be read: {error}; the file is damaged or "
                "truncated"
            ) from error

    def _to_memory(self, values: npt.NDArray[Any], element: ElementType) -> npt.NDArray[Any]:
        if element.kind == "compound":
            records = np.empty(values.shape, dtype=element.memory_dtype)
            for name, field in element.fields:
                try:
                    records[name] = self._to_memory(values[name], field.entry)
                except EncodingError as error:
                    raise EncodingError(f"field {name!r}: {error}") from error
            return records
        if element.kind == "reference":
            return _map(values, self._reference_text)
        if element.kind == "text":
            return _map(values, _decoded)
        if element.kind in ("ascii", "bytes"):
            return _map(values, _as_bytes)
        # The cast removes the names of an enumeration from the dtype.
        return values if values.dtype == element.numpy else values.astype(element.numpy)

    def _reference_text(self, reference: Any) -> str:
        if not reference:
            return ""
        file = self.dataset.file
        name = h5py.h5r.get_name(reference, file.id)
        key = name.decode("utf-8") if name else ""
        if key not in self._references:
            if not key:
                warnings.warn(
                    f"{self.where} has a reference to an object that is not in the file any more; it "
                    "is written as a reference to nothing",
                    BrokenLinkWarning,
                    stacklevel=2,
                )
                return ""
            self._references[key] = self._target_text(file[reference])
        return self._references[key]

    def _has_undecodable(self) -> bool:
        for region in row_blocks(self.shape, 4096):
            values = self._stored(region)
            for entry in np.asarray(values, dtype=object).ravel():
                if isinstance(entry, bytes):
                    try:
                        entry.decode("utf-8")
                    except UnicodeDecodeError:
                        return True
        return False


class HDF5Regions:
    """The regions of a dataset without references; each process opens the file itself.

    Parameters
    ----------
    path : str
    name : str
        Name of the dataset in the file.
    element : ElementType
    state : tuple of int, or None
        State of the expected file, since another file may be at its path by now.
    """

    def __init__(self, path: str, name: str, element: ElementType, state: FileState | None) -> None:
        self.path, self.name, self.element, self.state = path, name, element, state
        self._source: HDF5Source | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return HDF5Regions, (self.path, self.name, self.element, self.state)

    def read(self, region: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Return the elements of a region in the form that `hdmf_zarr.core.elements` describes.

        Raises
        ------
        MetadataError
            If another file is at the path, or the file was changed.
        """
        if self._source is None:
            # h5py closes the file with the last object that belongs to it.
            file = h5py.File(self.path, "r")
            if state_of(file.id.get_vfd_handle()) != self.state:
                raise MetadataError(
                    f"{self.path}:{self.name}: another file has taken the place of the one that is open, "
                    "or it was changed; open it anew"
                )
            self._source = HDF5Source(file[self.name], _no_text, self.element)
        return self._source.read(region)


class UnchangedFiles:
    """Detects that another program changed a file while it is read.

    Parameters
    ----------
    file : h5py.File
    """

    def __init__(self, file: h5py.File) -> None:
        self._main = file.filename
        self._before: dict[str, FileState | None] = {}
        self.watch(file)

    def watch(self, file: h5py.File) -> None:
        """Record the state of a file that is open for reading; a file open for writing may change."""
        if file.mode == "r":
            self._before.setdefault(file.filename, state_of(file.filename))

    def watch_source(self, source: Any) -> None:
        """Record the state of the file of a dataset that will be read, which may be another file."""
        dataset: Any = getattr(getattr(source, "chunks", source), "dataset", None)
        if is_h5py_dataset(dataset):
            self.watch(dataset.file)

    def check(self, path: str) -> None:
        """Raise `MetadataError` if a file's state differs from the recorded one.

        Parameters
        ----------
        path : str
            Path of the dataset that was just read, for the message.
        """
        for filename, before in self._before.items():
            if state_of(filename) != before:
                place = f":/{path}" if filename == self._main else f" (by way of /{path})"
                raise MetadataError(
                    f"{filename}{place}: the file was changed while it was read; what was read is not "
                    "written. Try again when nobody writes to it"
                )


def row_blocks(shape: tuple[int, ...], rows: int) -> list[tuple[slice, ...]]:
    """Return the regions of ``rows`` whole rows that cover a shape."""
    if not shape:
        return [()]
    return [(slice(start, min(start + rows, shape[0])),) for start in range(0, shape[0], rows)]


def _scalar_array(value: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    array = np.empty((), dtype=dtype)
    array[()] = value
    return array


def _map(values: npt.NDArray[Any], convert: Callable[[Any], Any]) -> npt.NDArray[Any]:
    converted = np.empty(values.size, dtype=object)
    converted[:] = [convert(entry) for entry in values.ravel()]
    return converted.reshape(values.shape)


def _decoded(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    try:
        return bytes(entry).decode("utf-8")
    except UnicodeDecodeError as error:
        raise EncodingError(f"bytes {bytes(entry)!r:.100} are not UTF-8 text") from error


def _as_bytes(entry: Any) -> bytes:
    return entry.encode("utf-8") if isinstance(entry, str) else bytes(entry)


def _no_text(target: Any) -> str:
    raise AssertionError(f"{target} is referred to where there are no references")
