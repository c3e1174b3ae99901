"""The task of a worker, and how the worker carries it out.

A task names things: where the store is, which array, which region. Nothing that holds an open file
travels. What the regions are read from (an iterator) is sent to each process once, and kept there.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import platform
import threading
import traceback
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import zarr
from hdmf.data_utils import GenericDataChunkIterator

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs.registered import register_classes
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import to_memory
from hdmf_zarr.core.hdmf_private import read_region
from hdmf_zarr.core.regions import Region, are_elements_of, relative, shape_of
from hdmf_zarr.errors import EncodingError, OptionError
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.chunks.arrays import ArrayWriter, Pieces, as_elements
from hdmf_zarr.write.parallel.threads import ThreadLimit, threads_of_process

KEPT = 4
"""Sources and arrays that a process keeps open."""


class RegionSource(Protocol):
    """What regions are read from, in a worker."""

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Elements of a region, as the target takes them."""


class OpenTarget(Protocol):
    """An array that this process writes."""

    def write(self, selection: Region, values: npt.NDArray[Any]) -> int:
        """Write elements and return their bytes."""

    def fill(self, region: Region, pieces: Pieces) -> int:
        """Write whole write units from pieces that fill them, and return their bytes."""


class Target(Protocol):
    """An array that workers write."""

    @property
    def key(self) -> str:
        """Differs from that of every other target, and of the same array with another shape."""

    @property
    def where(self) -> str:
        """Store and path, for messages."""

    def open(self) -> OpenTarget:
        """Return what writes the array in this process."""


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
        A key of the store: another one that only has the same name has none.
    codec_classes : tuple of type
        Codecs that a user has registered with numcodecs, sent by name.
    """

    key: str
    where: str
    location: Location
    path: str
    document: dict[str, JSON]
    element: ElementType
    token: str | None = None
    codec_classes: tuple[type[Any], ...] = ()

    def open(self) -> ArrayWriter:
        """Return what writes the array in this process.

        Raises
        ------
        OptionError
            If this process does not reach the same store.
        """
        register_classes(self.codec_classes)
        bytestore = open_bytestore(self.location, read_only=False)
        if self.token is not None and bytestore.get(self.token) is None:
            raise OptionError(
                f"{platform.node()} does not see the folder or store {self.location.uri} that is "
                "written: workers on other machines need a shared file system or a URL"
            )
        return ArrayWriter(
            bytestore, self.path, self.document, self.element, threads_of_process() or 1
        )


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

    def open(self) -> StoredArray:
        """Return what writes the array in this process."""
        return StoredArray(zarr.open_array(self.store, path=self.path, mode="r+"))


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Writes into an array of zarr, as it is configured."""

    array: zarr.Array[Any]

    def write(self, selection: Region, values: npt.NDArray[Any]) -> int:
        """Write elements and return their bytes."""
        self.array[selection] = values
        return values.size * int(self.array.dtype.itemsize)

    def fill(self, region: Region, pieces: Pieces) -> int:
        """Write whole write units from pieces that fill them, and return their bytes."""
        values = np.empty(shape_of(region), dtype=self.array.dtype)
        for piece, part in pieces:
            values[relative(piece, region)] = part
        return self.write(region, values)


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
        data = read_region(self.iterator, region)
        return np.asarray(data) if self.element is None else as_elements(data, self.element)


@dataclass(frozen=True, slots=True)
class ArrayRegions:
    """The regions of an array of a Zarr store without references."""

    array: HDMFZarrArray

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Elements of a region."""
        return np.asarray(self.array[region], dtype=self.array.element_type.memory_dtype)


@dataclass(frozen=True, slots=True)
class PlainRegions:
    """The regions of an array of zarr's own."""

    array: zarr.Array[Any]
    element: ElementType

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Elements of a region."""
        return to_memory(np.asarray(self.array[region]), self.element, str)


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


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements of a region that are sent to a worker: as bytes, which it uses as they come.

    An array would be copied once more on either side.
    """

    elements: npt.NDArray[Any]

    def __reduce__(self) -> tuple[Any, ...]:
        values = self.elements
        if values.dtype.hasobject or values.dtype.kind == "T":
            return Elements, (values,)
        return _received, (values.tobytes(), values.dtype, values.shape)


def _received(encoded: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Elements:
    return Elements(np.frombuffer(encoded, dtype).reshape(shape))


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
    values : Elements or None
        Where there is no source.
    max_threads : ThreadLimit or None
    """

    target: Target
    region: Region
    source: SourceName | None = None
    pieces: tuple[Region, ...] = ()
    fills: bool = True
    values: Elements | None = None
    max_threads: ThreadLimit | None = None


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

_making = threading.Lock()


def forget() -> None:
    """Give up what this process keeps open: a store in memory would stay as long."""
    _sources.clear()
    _arrays.clear()


def run_task(
    task: RegionTask, failures: tuple[type[BaseException], ...] = (Exception, SystemExit)
) -> Outcome:
    """Carry a task out in this process; a failure is a result, too.

    Parameters
    ----------
    task : RegionTask
    failures : tuple of classes
        What is one. A worker whose iterator leaves Python would have its parent leave, too, in silence.
    """
    try:
        if task.max_threads is not None:
            task.max_threads.take_effect()
        source = _find_source(task)
        if source is None and task.source is not None:
            return SourceWanted()
        array = _arrays.get(task.target.key)
        if array is None:
            array = _arrays.keep(task.target.key, task.target.open())
        return Written(_write(task, array, source))
    except failures as error:
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
    # One at a time: the standard error is one for all threads.
    with _making:
        source = _sources.get(name.key)
        if source is None and name.pickled is not None:
            source = _sources.keep(name.key, _made_source(name.pickled))
            if task.max_threads is not None:
                task.max_threads.take_effect(again=True)
    return source


def _made_source(pickled: bytes) -> Any:
    # An iterator that is made again would show its progress again.
    with contextlib.redirect_stderr(io.StringIO()):
        source = pickle.loads(pickled)
        iterator: Any = getattr(source, "iterator", None)
        if getattr(iterator, "display_progress", False):
            iterator.progress_bar.close()
            iterator.display_progress = False
    return source


def _write(task: RegionTask, array: OpenTarget, source: RegionSource | None) -> int:
    if source is None:
        assert task.values is not None
        return array.write(task.region, task.values.elements)
    if not task.fills:
        return sum(array.write(piece, _read(source, piece)) for piece in task.pieces)
    # One piece after the other, and each encoded before the next one is read.
    return array.fill(task.region, ((piece, _read(source, piece)) for piece in task.pieces))


def _read(source: RegionSource, piece: Region) -> npt.NDArray[Any]:
    values, shape = source.read(piece), shape_of(piece)
    if not are_elements_of(values.shape, shape):
        raise EncodingError(f"{shape} elements were asked for, and {values.shape} were given")
    return values.reshape(shape)


def _pickled_error(error: BaseException) -> bytes | None:
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        # Not every exception survives; its text does.
        return None
    return pickled
