"""What a worker is told, and how it carries that out.

A task names things: where the store is, which array, which region. Nothing that holds an open file
travels. What the regions are read from (an iterator) is sent to each process once, and kept there.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import pickle
import platform
import threading
import traceback
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import zarr
from hdmf.data_utils import GenericDataChunkIterator

from hdmf_zarr.convention import JSON
from hdmf_zarr.dtypes import ElementType
from hdmf_zarr.errors import EncodingError, OptionError
from hdmf_zarr.stores import Location, open_bytestore
from hdmf_zarr.stores.array import HDMFZarrArray
from hdmf_zarr.write.arrays import as_elements, writable_array, write_elements
from hdmf_zarr.write.threads import limit_threads, limit_threads_once

Region = tuple[slice, ...]

KEPT = 4
"""Sources and arrays that a process keeps open."""


class RegionSource(Protocol):
    """What regions are read from, in a worker."""

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Elements of a region, as the target takes them."""


class Target(Protocol):
    """An array that workers write."""

    @property
    def key(self) -> str:
        """Differs from that of every other target, and of the same array with another shape."""

    @property
    def where(self) -> str:
        """Store and path, for messages."""

    def open(self) -> zarr.Array[Any]:
        """Return zarr's array."""

    def empty(self, shape: tuple[int, ...], array: zarr.Array[Any]) -> npt.NDArray[Any]:
        """Return room for the elements of a region."""

    def write(self, array: zarr.Array[Any], region: Region, values: npt.NDArray[Any]) -> int:
        """Write elements and return their bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayTarget:
    """An array of a store that is being written; its document comes when its chunks are there.

    Attributes
    ----------
    key : str
    where : str
    location : Location
        Where the store is while it is written.
    path : str
    document : dict
        Without attributes.
    element : ElementType
    token : str or None
        Name of a file in the store's folder: a folder of another machine has none.
    """

    key: str
    where: str
    location: Location
    path: str
    document: dict[str, JSON]
    element: ElementType
    token: str | None = None

    def open(self) -> zarr.Array[Any]:
        """Return zarr's array.

        Raises
        ------
        OptionError
            If this machine does not have the store's folder.
        """
        if self.token is not None and not (Path(self.location.uri) / self.token).exists():
            raise OptionError(
                f"{platform.node()} does not see the folder {self.location.uri}, where the store is "
                "written: workers on other machines need a shared file system or a URL"
            )
        bytestore = open_bytestore(self.location, read_only=False)
        return writable_array(bytestore, self.path, self.document)

    def empty(self, shape: tuple[int, ...], array: zarr.Array[Any]) -> npt.NDArray[Any]:
        """Return room for the elements of a region."""
        return np.empty(shape, dtype=self.element.memory_dtype)

    def write(self, array: zarr.Array[Any], region: Region, values: npt.NDArray[Any]) -> int:
        """Write elements and return their bytes."""
        return write_elements(array, region, values, self.element)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTarget:
    """An array that is in its store already, such as one that a user has made.

    Attributes
    ----------
    key : str
    where : str
    store : zarr.abc.store.Store
    path : str
    """

    key: str
    where: str
    store: Any
    path: str

    def open(self) -> zarr.Array[Any]:
        """Return zarr's array, from the store."""
        return zarr.open_array(self.store, path=self.path, mode="r+")

    def empty(self, shape: tuple[int, ...], array: zarr.Array[Any]) -> npt.NDArray[Any]:
        """Return room for the elements of a region."""
        return np.empty(shape, dtype=array.dtype)

    def write(self, array: zarr.Array[Any], region: Region, values: npt.NDArray[Any]) -> int:
        """Write elements and return their bytes."""
        array[region] = values
        return values.nbytes


@dataclass(frozen=True, slots=True)
class IteratorRegions:
    """The regions of an iterator of HDMF.

    Attributes
    ----------
    iterator : GenericDataChunkIterator
    element : ElementType or None
        None hands on what the iterator gives.
    """

    iterator: GenericDataChunkIterator
    element: ElementType | None

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Elements of a region."""
        data = self.iterator._get_data(selection=region)
        return np.asarray(data) if self.element is None else as_elements(data, self.element)


@dataclass(frozen=True, slots=True)
class ArrayRegions:
    """The regions of an array of a Zarr store without references."""

    array: HDMFZarrArray

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Elements of a region."""
        return np.asarray(self.array[region], dtype=self.array.element_type.memory_dtype)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceName:
    """Names a source to workers.

    Attributes
    ----------
    key : str
    pickled : bytes or None
        For a process that may not have the source yet.
    held : RegionSource or None
        The source itself, for threads of this process.
    """

    key: str
    pickled: bytes | None = None
    held: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionTask:
    """One region of one array: a whole number of its write units, which nobody else writes.

    Attributes
    ----------
    target : Target
    region : tuple of slice
    source : SourceName or None
    pieces : tuple of regions
        What is read of the source, one after the other; within the region.
    fills : bool
        Whether the pieces fill the region, without an overlap: it is then written in one go.
    values : numpy.ndarray or None
        The elements, where there is no source.
    max_threads : int or None
    """

    target: Target
    region: Region
    source: SourceName | None = None
    pieces: tuple[Region, ...] = ()
    fills: bool = True
    values: npt.NDArray[Any] | None = None
    max_threads: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A task was carried out."""

    n_bytes: int


@dataclass(frozen=True, slots=True)
class SourceWanted:
    """The process does not have the source of a task yet."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task failed.

    Attributes
    ----------
    message : str
    traceback : str
    worker : str
        Machine and process.
    error : bytes or None
        The pickled exception, where it can be.
    """

    message: str
    traceback: str
    worker: str
    error: bytes | None


Outcome = Written | SourceWanted | Failed


class _Kept:
    """The last few sources or arrays of this process."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def keep(self, key: str, entry: Any) -> Any:
        with self._lock:
            self._entries[key] = entry
            while len(self._entries) > KEPT:
                self._entries.popitem(last=False)
        return entry

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


_sources, _arrays = _Kept(), _Kept()


def forget() -> None:
    """Give up what this process keeps open: a store in memory would stay as long."""
    _sources.clear()
    _arrays.clear()


def run_task(task: RegionTask) -> Outcome:
    """Carry a task out in this process; a failure is a result, too."""
    try:
        limit_threads_once(task.max_threads)
        source = _find_source(task)
        if source is None and task.source is not None:
            return SourceWanted()
        array = _arrays.get(task.target.key)
        if array is None:
            array = _arrays.keep(task.target.key, task.target.open())
        return Written(_write(task, array, source))
    except Exception as error:
        return Failed(
            f"{type(error).__name__}: {error}",
            "".join(traceback.format_exception(error)),
            f"process {os.getpid()} of {platform.node()}",
            _pickled_error(error),
        )


def _find_source(task: RegionTask) -> Any:
    name = task.source
    if name is None or name.held is not None:
        return name and name.held
    source = _sources.get(name.key)
    if source is None and name.pickled is not None:
        # An iterator that is made again would show its progress again.
        with contextlib.redirect_stderr(io.StringIO()):
            source = pickle.loads(name.pickled)
            iterator: Any = getattr(source, "iterator", None)
            if getattr(iterator, "display_progress", False):
                iterator.progress_bar.close()
                iterator.display_progress = False
        # It may have loaded libraries that have threads of their own.
        limit_threads(task.max_threads)
        _sources.keep(name.key, source)
    return source


def _write(task: RegionTask, array: zarr.Array[Any], source: RegionSource | None) -> int:
    target = task.target
    if source is None:
        assert task.values is not None
        return target.write(array, task.region, task.values)
    if len(task.pieces) == 1:
        return target.write(array, task.pieces[0], _read(source, task.pieces[0]))
    if not task.fills:
        return sum(target.write(array, piece, _read(source, piece)) for piece in task.pieces)
    values = target.empty(shape_of(task.region), array)
    for piece in task.pieces:
        inside = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(piece, task.region, strict=True)
        )
        values[inside] = _read(source, piece)
    return target.write(array, task.region, values)


def _read(source: RegionSource, piece: Region) -> npt.NDArray[Any]:
    values, shape = source.read(piece), shape_of(piece)
    if values.size != math.prod(shape):
        raise EncodingError(f"{shape} elements were asked for, and {values.shape} were given")
    return values.reshape(shape)


def shape_of(region: Region) -> tuple[int, ...]:
    """Return the number of elements of a region along each dimension."""
    return tuple(part.stop - part.start for part in region)


def _pickled_error(error: BaseException) -> bytes | None:
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        # Not every exception survives; its text does.
        return None
    return pickled
