"""The task of a worker, and how the worker carries it out.

A task contains names: of the store, the array and the region. No object with an open file is sent.
The source of the regions (an iterator) is sent to each process once, and kept there.
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
"""Most sources, and most arrays, that a process keeps open."""


class RegionSource(Protocol):
    """The source of regions in a worker."""

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region, in the form for the target."""


class OpenTarget(Protocol):
    """A writer of an array in this process."""

    def write(self, selection: Region, values: npt.NDArray[Any]) -> int:
        """Write elements and return their bytes."""

    def fill(self, region: Region, pieces: Pieces) -> int:
        """Write whole write units from pieces that fill them, and return their bytes."""


class Target(Protocol):
    """An array that workers write."""

    @property
    def key(self) -> str:
        """Unique key of the target; the same array with another shape has another key."""

    @property
    def where(self) -> str:
        """Store and path, for messages."""

    def open(self) -> OpenTarget:
        """Return a writer of the array for this process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayTarget:
    """An array of a store that is being written; its document is written after its chunks.

    Attributes
    ----------
    key : str
    where : str
    location : Location
        Location of the store during the write.
    path : str
    document : dict
        Metadata document without attributes.
    element : ElementType
    token : str or None
        Key that exists only in this store: another store with the same name lacks it.
    codec_classes : tuple of type
        Codec classes that a user has registered with numcodecs, sent by name.
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
        """Return a writer of the array for this process.

        Raises
        ------
        OptionError
            If this process cannot open the same store.
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
    """An array that exists in its store, for example one that a user has created.

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
        """Return a writer of the array for this process."""
        return StoredArray(zarr.open_array(self.store, path=self.path, mode="r+"))


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Writes into an open zarr array."""

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
        Type to which the data are converted; None passes them on unchanged.
    """

    iterator: GenericDataChunkIterator
    element: ElementType | None

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region."""
        data = read_region(self.iterator, region)
        return np.asarray(data) if self.element is None else as_elements(data, self.element)


@dataclass(frozen=True, slots=True)
class ArrayRegions:
    """The regions of an array of a Zarr store without references."""

    array: HDMFZarrArray

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region."""
        return np.asarray(self.array[region], dtype=self.array.element_type.memory_dtype)


@dataclass(frozen=True, slots=True)
class PlainRegions:
    """The regions of a zarr array."""

    array: zarr.Array[Any]
    element: ElementType

    def read(self, region: Region) -> npt.NDArray[Any]:
        """Return the elements of a region."""
        return to_memory(np.asarray(self.array[region]), self.element, str)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceName:
    """The name of a source in tasks.

    Attributes
    ----------
    key : str
    pickled : bytes or None
        Pickled source, for a process that may not have it yet.
    held : RegionSource or None
        The source itself, for threads of this process.
    """

    key: str
    pickled: bytes | None = None
    held: Any = None


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements of a region that are sent to a worker as bytes, which it uses without a copy.

    A pickled array would be copied once more on either side.
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
    """One region of one array: whole write units that no other task writes.

    Attributes
    ----------
    target : Target
    region : tuple of slice
    source : SourceName or None
    pieces : tuple of regions
        Parts of the region, which are read from the source one after the other.
    fills : bool
        Whether the pieces fill the region without overlap: it is then written at once.
    values : Elements or None
        Elements of the region, if there is no source.
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
    """The outcome of a successful task."""

    n_bytes: int


@dataclass(frozen=True, slots=True)
class SourceWanted:
    """The outcome of a task whose source the process does not have yet."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a failed task.

    Attributes
    ----------
    message : str
    traceback : str
    worker : str
        Process and machine of the worker.
    error : bytes or None
        Pickled exception; None if it cannot be pickled.
    """

    message: str
    traceback: str
    worker: str
    error: bytes | None


Outcome = Written | SourceWanted | Failed


class _Kept:
    """The sources or arrays that this process used last."""

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
    """Drop the sources and arrays of this process, which would keep a store in memory alive."""
    _sources.clear()
    _arrays.clear()


def run_task(
    task: RegionTask, failures: tuple[type[BaseException], ...] = (Exception, SystemExit)
) -> Outcome:
    """Carry out a task in this process; return a failure as an outcome.

    Parameters
    ----------
    task : RegionTask
    failures : tuple of classes
        Exceptions that count as failures. ``SystemExit`` is one in a worker: if an iterator raised
        it there, the parent process would exit silently, too.
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
    # One at a time: all threads share the standard error.
    with _making:
        source = _sources.get(name.key)
        if source is None and name.pickled is not None:
            source = _sources.keep(name.key, _made_source(name.pickled))
            if task.max_threads is not None:
                task.max_threads.take_effect(again=True)
    return source


def _made_source(pickled: bytes) -> Any:
    # An unpickled iterator would show a second progress bar.
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
    # Each piece is encoded before the next one is read.
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
        # Not every exception can be pickled; its text is sent anyway.
        return None
    return pickled
