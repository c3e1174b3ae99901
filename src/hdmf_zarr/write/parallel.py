"""Writing with many workers: who may, what they get, and what becomes of a failure.

Every write unit of an array (its shard, else its chunk) is written by one task: no two workers ever
read and change the same one.
"""

from __future__ import annotations

import functools
import io
import logging
import multiprocessing
import os
import pickle
import queue
import sys
import traceback
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import zarr
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk, GenericDataChunkIterator
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, ObjectStore

from hdmf_zarr.dtypes import ElementType
from hdmf_zarr.errors import OptionError, WorkerError
from hdmf_zarr.hdf5 import HDF5Source
from hdmf_zarr.stores import ByteStore, LocalByteStore, Location
from hdmf_zarr.write.growing import GrowingArray
from hdmf_zarr.write.progress import Bars
from hdmf_zarr.write.regions import Cut, cut, plain_selections, regions_of, task_shape
from hdmf_zarr.write.sources import ZarrSource
from hdmf_zarr.write.tasks import (
    ArrayRegions,
    ArrayTarget,
    Failed,
    IteratorRegions,
    Outcome,
    Region,
    RegionSource,
    RegionTask,
    SourceName,
    SourceWanted,
    StoredTarget,
    Target,
    Written,
    forget,
    run_task,
)
from hdmf_zarr.write.threads import follow_parent, initialize

logger = logging.getLogger(__name__)

Context = Literal["fork", "spawn", "forkserver"]

SENT_ALWAYS = 64 * 1024
"""Bytes of a source that go with every task; a larger one only with the first, and where it is wanted."""

TASKS_AHEAD = 4
"""Tasks without data that are handed out ahead, for each job."""

PATIENCE = 60.0
"""Seconds that running tasks of a user's executor are waited for after a failure."""


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Who writes.

    Attributes
    ----------
    number_of_jobs : int
    max_threads_per_process : int or None
    multiprocessing_context : {"fork", "spawn", "forkserver"} or None
    executor : concurrent.futures.Executor or None
    """

    number_of_jobs: int = 1
    max_threads_per_process: int | None = None
    multiprocessing_context: Context | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        _check_count("number_of_jobs", self.number_of_jobs)
        if self.max_threads_per_process is not None:
            _check_count("max_threads_per_process", self.max_threads_per_process)
        context = self.multiprocessing_context
        if context is not None and context not in get_args(Context):
            raise OptionError(
                f"multiprocessing_context must be one of {get_args(Context)} or None, found "
                f"{context!r:.100}"
            )
        if context is not None and context not in multiprocessing.get_all_start_methods():
            raise OptionError(f"this system has no multiprocessing_context {context!r}")
        if self.executor is not None and not isinstance(self.executor, Executor):
            raise OptionError(
                "executor must be a concurrent.futures.Executor, found "
                f"{type(self.executor).__name__}; of a dask Client it is client.get_executor()"
            )
        if self.max_threads_per_process is not None and self.is_in_process:
            warnings.warn(
                "max_threads_per_process is set aside: the executor's workers are threads of this "
                "process, whose limits are yours",
                UserWarning,
                stacklevel=2,
            )
        if self.number_of_jobs > 1 and self.executor is None and _is_main_imported_by_worker():
            raise OptionError(
                "number_of_jobs > 1 was reached while a worker imported the script: put what the "
                "script does under 'if __name__ == \"__main__\":'"
            )

    @property
    def is_parallel(self) -> bool:
        """Whether others than this thread write."""
        return self.number_of_jobs > 1 or self.executor is not None

    @property
    def n_jobs(self) -> int:
        """Tasks at a time; of a user's executor, as many as this machine has cores if it is not said."""
        if self.executor is None or self.number_of_jobs > 1:
            return self.number_of_jobs
        return os.cpu_count() or 1

    @property
    def is_in_process(self) -> bool:
        """Whether the workers are threads of this process."""
        interpreters: Any = getattr(futures, "InterpreterPoolExecutor", ())
        return isinstance(self.executor, ThreadPoolExecutor) and not isinstance(
            self.executor, interpreters
        )


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise OptionError(f"{name} must be a positive integer, found {value!r:.100}")


def _is_main_imported_by_worker() -> bool:
    """Whether this is reached from the top level of a script that a worker process imports."""
    return any(
        frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__mp_main__"
        for frame, _ in traceback.walk_stack(sys._getframe())
    )


# -- datasets and their tasks ----------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class Feed:
    """A dataset that is written by workers.

    Attributes
    ----------
    name : str
        For its progress bar.
    iterator : AbstractDataChunkIterator or None
    n_bytes : int or None
        Bytes of its elements, where they are known.
    progress : callable
        Told the bytes that were written.
    begin : callable
        Called once when workers are there.
    tasks : iterator of RegionTask or None
        None where the parent reads, by `step`.
    step : callable or None
        Reads one chunk and hands on what is complete; returns whether there may be more.
    """

    name: str
    iterator: Any = None
    n_bytes: int | None = None
    progress: Callable[[int], None] = lambda _count: None
    begin: Callable[[], None] = lambda: None
    tasks: Iterator[RegionTask] | None = None
    step: Callable[[], bool] | None = None
    n_running: int = 0


@dataclass
class Source:
    """What regions are read from, pickled once.

    Attributes
    ----------
    held : RegionSource
    pickled : bytes or None
        None where the workers are threads of this process.
    n_first : int
        Tasks that take it along, if it is large.
    """

    held: RegionSource
    pickled: bytes | None
    n_first: int
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def name(self) -> SourceName:
        """Return how the next task names it."""
        if self.pickled is None:
            return SourceName(key=self.key, held=self.held)
        if len(self.pickled) > SENT_ALWAYS and self.n_first <= 0:
            return SourceName(key=self.key)
        self.n_first -= 1
        return SourceName(key=self.key, pickled=self.pickled)

    def full_name(self) -> SourceName:
        """Return the name with the source itself."""
        return SourceName(key=self.key, pickled=self.pickled)


class Workers:
    """Carries tasks out with an executor, which is started when it is first needed.

    Parameters
    ----------
    options : WorkerOptions
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self._pool: ProcessPoolExecutor | None = None
        self._done: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self._running: dict[Future[Outcome], tuple[RegionTask, Feed]] = {}
        self._sources: dict[str, Source] = {}
        self._tokens: dict[Path, str] = {}
        self._on_written: Callable[[Feed, int], None] = lambda _feed, _count: None
        self._is_refused = False

    # -- start and end ---------------------------------------------------------------------------

    def start(self) -> bool:
        """Start the workers; False, with a warning, where this system cannot."""
        if self.options.executor is not None or self._pool is not None:
            return True
        if self._is_refused:
            return False
        pool = _process_pool(self.options)
        try:
            # A script without a guard ends its workers while they import it.
            pool.submit(os.getpid).result()
        except futures.BrokenExecutor:
            pool.shutdown(wait=True)
            self._is_refused = True
            warnings.warn(
                f"number_of_jobs={self.options.number_of_jobs} is set aside: worker processes cannot "
                "start, see above for what ended them. A script that uses them has what it does under "
                "'if __name__ == \"__main__\":'. One process writes",
                UserWarning,
                stacklevel=2,
            )
            return False
        self._pool = pool
        return True

    def close(self) -> None:
        """End the workers that were started here, and remove what was left for them."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        for root, token in self._tokens.items():
            (root / token).unlink(missing_ok=True)
        self._tokens.clear()
        self._sources.clear()
        if self.options.is_in_process:
            forget()

    @property
    def _executor(self) -> Executor:
        executor = self.options.executor or self._pool
        assert executor is not None
        return executor

    # -- what workers can reach ------------------------------------------------------------------

    def place_of(self, bytestore: ByteStore) -> tuple[Location, str | None] | None:
        """Return where workers find a store, and the file by which they know its folder.

        None where only this process has the store.
        """
        location = bytestore.location
        if self.options.is_in_process:
            return Location(location.uri, is_local=False, store=bytestore.zarr_store), None
        if isinstance(bytestore, LocalByteStore):
            return Location(str(bytestore.root), is_local=True), self._token(bytestore.root)
        if location.store is not None:
            return (location, None) if is_reachable(location.store) else None
        return None if is_memory(location.uri) else (location, None)

    def _token(self, root: Path) -> str:
        if root not in self._tokens:
            root.mkdir(parents=True, exist_ok=True)
            token = f".{uuid.uuid4().hex}.partial"
            (root / token).touch()
            self._tokens[root] = token
        return self._tokens[root]

    def source(self, held: RegionSource) -> Source:
        """Return a source as tasks name it.

        Raises
        ------
        Exception
            If it cannot be pickled.
        """
        pickled = None if self.options.is_in_process else _pickled(held, self.options)
        source = Source(held, pickled, self.options.n_jobs)
        self._sources[source.key] = source
        return source

    @property
    def max_threads(self) -> int | None:
        """Limit for tasks; threads of this process are the user's."""
        return None if self.options.is_in_process else self.options.max_threads_per_process

    # -- run -------------------------------------------------------------------------------------

    def run(self, feeds: list[Feed]) -> None:
        """Write datasets.

        Raises
        ------
        WorkerError
            The first failure; whatever was not begun is not done.
        """
        for feed in feeds:
            feed.begin()
        shown = Bars(feeds)

        def written(feed: Feed, count: int) -> None:
            feed.progress(count)
            shown.advance(feed, count)

        self._on_written = written
        pulled = deque(feed for feed in feeds if feed.tasks is not None)
        pushed = deque(feed for feed in feeds if feed.step is not None)
        try:
            while pulled or pushed or self._running:
                while pulled and len(self._running) < TASKS_AHEAD * self.options.n_jobs:
                    self._submit_next(pulled)
                if pushed:
                    # The parent reads meanwhile; several datasets do not wait for one that is slow.
                    step = pushed[0].step
                    if step is not None and not step():
                        pushed.popleft()
                    self._collect(wait=False)
                elif self._running:
                    self._collect(wait=True)
        except BaseException:
            self._abort()
            raise
        finally:
            shown.close()

    def note(self, feed: Feed, count: int) -> None:
        """Count bytes of a dataset that were written, by whomever."""
        self._on_written(feed, count)

    def _submit_next(self, pulled: deque[Feed]) -> None:
        feed = pulled[0]
        task = next(feed.tasks or iter(()), None)
        if task is None:
            pulled.popleft()
        else:
            self.submit(task, feed)

    def submit(self, task: RegionTask, feed: Feed) -> None:
        """Hand a task out."""
        try:
            future = self._executor.submit(run_task, task)
        except futures.BrokenExecutor as error:
            raise _ended(task, error) from error
        self._running[future] = (task, feed)
        feed.n_running += 1
        future.add_done_callback(self._done.put)

    def submit_values(self, task: RegionTask, feed: Feed) -> None:
        """Hand out a task that carries elements, when not too many others do."""
        while len(self._running) >= self.options.n_jobs:
            self._collect(wait=True)
        self.submit(task, feed)

    def drain(self, feed: Feed) -> None:
        """Wait until every task of a dataset is done."""
        while feed.n_running:
            self._collect(wait=True)

    def _collect(self, *, wait: bool) -> None:
        """Take note of tasks that are done: those that are, or, if asked to wait, at least one."""
        while True:
            try:
                future = self._done.get(block=wait)
            except queue.Empty:
                return
            wait = False
            entry = self._running.pop(future, None)
            if entry is None:
                continue
            task, feed = entry
            feed.n_running -= 1
            outcome = _outcome(future, task)
            if isinstance(outcome, SourceWanted):
                assert task.source is not None
                name = self._sources[task.source.key].full_name()
                self.submit(replace(task, source=name), feed)
                continue
            self._on_written(feed, outcome.n_bytes)

    def _abort(self) -> None:
        """After a failure: begin nothing more, and wait until what was begun is over."""
        running = [future for future in self._running if not future.cancel()]
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        elif running:
            _, unfinished = futures.wait(running, timeout=PATIENCE)
            if unfinished:
                logger.warning("%d tasks still run after a failure", len(unfinished))
        self._running.clear()
        self._done = queue.SimpleQueue()


def _outcome(future: Future[Outcome], task: RegionTask) -> Written | SourceWanted:
    try:
        outcome = future.result()
    except (Exception, futures.CancelledError) as error:
        raise _ended(task, error) from error
    if not isinstance(outcome, Failed):
        return outcome
    cause = None if outcome.error is None else pickle.loads(outcome.error)
    raise WorkerError(
        f"{task.target.where}: region {_spelled(task.region)} failed in {outcome.worker}: "
        f"{outcome.message}\n\n{outcome.traceback}"
    ) from cause


def _ended(task: RegionTask, error: BaseException) -> WorkerError:
    return WorkerError(
        f"{task.target.where}: region {_spelled(task.region)}: the worker that wrote it was ended "
        f"from outside ({type(error).__name__}: {error}); it may have been killed, or have run out of "
        "memory"
    )


def _spelled(region: Region) -> str:
    return "[" + ", ".join(f"{part.start}:{part.stop}" for part in region) + "]"


# -- processes -------------------------------------------------------------------------------------


def default_context() -> Context:
    """Return how worker processes are started by default.

    Never by forking this process, which would copy the locks that its other threads hold. A server
    that has imported this package forks them quickly, where the system has one.
    """
    methods = multiprocessing.get_all_start_methods()
    return "forkserver" if "forkserver" in methods and sys.platform != "darwin" else "spawn"


def _process_pool(options: WorkerOptions) -> ProcessPoolExecutor:
    name = options.multiprocessing_context or default_context()
    context: Any = multiprocessing.get_context(name)
    if options.multiprocessing_context is None and name == "forkserver":
        context.set_forkserver_preload(["hdmf_zarr.write.tasks"])
    return ProcessPoolExecutor(
        options.number_of_jobs,
        mp_context=context,
        initializer=initialize,
        initargs=(run_task, follow_parent, (), options.max_threads_per_process),
    )


# -- pickling --------------------------------------------------------------------------------------


def _pickled(held: RegionSource, options: WorkerOptions) -> bytes:
    main = sys.modules.get("__main__")
    is_script = getattr(main, "__file__", None) is not None
    if options.executor is None and is_script:
        # The processes of this machine import the script.
        return pickle.dumps(held, protocol=pickle.HIGHEST_PROTOCOL)
    try:
        import cloudpickle
    except ImportError:
        return _pickled_without_main(held)
    return bytes(cloudpickle.dumps(held))


def _pickled_without_main(held: RegionSource) -> bytes:
    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type) and obj.__module__ == "__main__":
                raise pickle.PicklingError(
                    f"the class {obj.__qualname__} is defined in __main__, which workers do not have: "
                    "define it in a module, or install cloudpickle"
                )
            return NotImplemented

    file = io.BytesIO()
    Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(held)
    return file.getvalue()


def what_is_not_picklable(iterator: Any, error: BaseException) -> str:
    """Return what of an iterator cannot be pickled, for a message."""
    for name, value in _state(iterator).items():
        try:
            pickle.dumps(value)
        except Exception as own:
            return f"its {name} ({type(value).__module__}.{type(value).__qualname__}): {own}"
    return f"{type(error).__name__}: {error}"


def _state(iterator: Any) -> dict[str, Any]:
    try:
        state = iterator._to_dict()
    except Exception:
        # The method that hdmf asks for is not there: the error that pickle gave says so.
        return {}
    return dict(state) if isinstance(state, dict) else {}


# -- stores ----------------------------------------------------------------------------------------


def is_memory(url: str) -> bool:
    """Whether a URL names the memory of this process."""
    return any(part.startswith("memory:") for part in url.split("::"))


def is_reachable(store: Store) -> bool:
    """Whether other processes reach the same data by a store object that they are sent.

    Only of stores of which that is known: one in memory would be copied, and written for nobody.
    """
    if isinstance(store, LocalStore):
        return True
    if isinstance(store, FsspecStore):
        protocol = store.fs.protocol
        return "memory" not in ((protocol,) if isinstance(protocol, str) else protocol)
    if isinstance(store, ObjectStore):
        try:
            pickle.dumps(store)
        except TypeError:
            return False
        return type(store.store).__name__ != "MemoryStore"
    return False


# -- feeds -----------------------------------------------------------------------------------------


class _Shipper:
    """Sends rows that the parent has read to workers, in regions of whole write units."""

    def __init__(
        self, workers: Workers, feed: Feed, array: Any, make_target: Callable[[], Target]
    ) -> None:
        self._workers = workers
        self._feed = feed
        self._array = array
        self._make_target = make_target
        self._target: Target | None = None
        self._shape: tuple[int, ...] | None = None
        self._rows_shipped = 0

    def ship(self, region: Region, values: npt.NDArray[Any]) -> None:
        """Have rows written that nobody else writes."""
        if region[0].start < self._rows_shipped:
            self.drain()
        self._rows_shipped = region[0].stop
        if self._target is None or self._shape != self._array.shape:
            self._target, self._shape = self._make_target(), self._array.shape
        for part in self._parts(region):
            inside = slice(part[0].start - region[0].start, part[0].stop - region[0].start)
            # A copy: the iterator may use the memory for its next chunk.
            task = RegionTask(
                target=self._target,
                region=part,
                values=values[inside].copy(),
                max_threads=self._workers.max_threads,
            )
            self._workers.submit_values(task, self._feed)

    def _parts(self, region: Region) -> Iterator[Region]:
        """Rows in as many parts of whole units as there are jobs."""
        first, *others = region
        unit = self._array.write_unit[0]
        n_units = -(-(first.stop - first.start) // unit)
        step = -(-n_units // self._workers.options.n_jobs) * unit
        for start in range(first.start, first.stop, step):
            yield slice(start, min(start + step, first.stop)), *others

    def drain(self) -> None:
        """Wait until everything that was shipped is written."""
        self._workers.drain(self._feed)


def feed_of(dataset: Any, data: AbstractDataChunkIterator, workers: Workers) -> Feed | None:
    """Return how workers write a queued iterator; None, with a warning, where one process does."""
    maker = _target_maker(dataset, workers)
    if maker is None:
        _warn_one_process(dataset, f"only this process has the store {_store_name(dataset)}")
        return None
    path = dataset.path if isinstance(dataset, (GrowingArray, zarr.Array)) else _name(dataset)
    feed = Feed(
        name="/" + path.strip("/"),
        iterator=data,
        progress=dataset.progress if isinstance(dataset, GrowingArray) else lambda _count: None,
    )
    if _is_generic(data):
        return _pull_feed(feed, dataset, data, workers, maker)
    return _push_feed(feed, dataset, data, workers, maker)


def source_feed(
    source: Any,
    workers: Workers,
    make_target: Callable[[], Target] | None,
    shape: tuple[int, ...],
    unit: tuple[int, ...],
    buffer: tuple[int, ...],
) -> Feed | None:
    """Return how workers decode and write an array of a file; None where only this process can.

    Parameters
    ----------
    source : ArraySource
    workers : Workers
    make_target : callable or None
    shape, unit : tuple of int
        Of the array, of its write unit.
    buffer : tuple of int
        Shape of the elements that a worker has at once.
    """
    held = regions_source(source, workers)
    if held is None or make_target is None:
        where = "the source" if held is None else "the store"
        logger.info("written by one process: only this one can open %s", where)
        return None
    steps = task_shape(shape, unit, buffer, workers.options.n_jobs)
    cuts = (Cut(region, (region,), fills=True) for region in regions_of(shape, steps))
    tasks = tasks_of(cuts, make_target(), workers.source(held), workers)
    return Feed(name=type(source).__name__, tasks=tasks)


def regions_source(source: Any, workers: Workers) -> RegionSource | None:
    """Return what reads an array of a file in another process, or None if nothing can."""
    if isinstance(source, HDF5Source):
        return source.reopened()
    if not isinstance(source, ZarrSource):
        return None
    kinds = {source.element.kind, *(field.kind for _, field in source.element.fields)}
    location = source.array.hierarchy.location
    is_shared = workers.options.is_in_process or (
        not is_memory(location.uri) if location.store is None else is_reachable(location.store)
    )
    return ArrayRegions(source.array) if is_shared and "reference" not in kinds else None


def _is_generic(data: Any) -> bool:
    """Whether any region of an iterator can be asked for."""
    return (
        isinstance(data, GenericDataChunkIterator)
        and type(data).__next__ is GenericDataChunkIterator.__next__
    )


def _pull_feed(
    feed: Feed,
    dataset: Any,
    data: GenericDataChunkIterator,
    workers: Workers,
    make_target: Callable[[], Target],
) -> Feed | None:
    element = dataset.element if isinstance(dataset, GrowingArray) else None
    try:
        source = workers.source(IteratorRegions(data, element))
    except Exception as error:
        # Whatever the pickling of a user's object raises.
        _warn_one_process(
            dataset, f"its iterator cannot be pickled: {what_is_not_picklable(data, error)}"
        )
        return None
    feed.begin = functools.partial(_begin_pull, feed, dataset, data, workers, make_target, source)
    return feed


def _begin_pull(
    feed: Feed,
    dataset: Any,
    data: GenericDataChunkIterator,
    workers: Workers,
    make_target: Callable[[], Target],
    source: Source,
) -> None:
    """Ask an iterator for what it has still to give, and cut it into tasks."""
    given = list(data.buffer_selection_generator)
    selections = plain_selections(given, len(dataset.shape))
    if selections is None:
        # Not by slices: the parent reads.
        rest = (DataChunk(data._get_data(selection=one), one) for one in given)
        feed.step = _steps(feed, dataset, rest, workers, make_target)
        return
    grown = [
        max([size, *(s[axis].stop for s in selections)]) for axis, size in enumerate(dataset.shape)
    ]
    if tuple(grown) != tuple(dataset.shape):
        dataset.resize(tuple(grown))
    if isinstance(dataset, GrowingArray):
        for selection in selections:
            dataset.note_written(selection)
    itemsize = np.dtype(data.dtype).itemsize
    feed.n_bytes = sum(_n_elements(selection) for selection in selections) * itemsize
    cuts = cut(
        selections,
        tuple(dataset.shape),
        write_unit_of(dataset),
        tuple(data.buffer_shape),
        workers.options.n_jobs,
    )
    feed.tasks = tasks_of(cuts, make_target(), source, workers)


def _n_elements(region: Region) -> int:
    return int(np.prod([part.stop - part.start for part in region], dtype=np.int64))


def tasks_of(
    cuts: Iterator[Cut], target: Target, source: Source, workers: Workers
) -> Iterator[RegionTask]:
    """Tasks that read their regions themselves."""
    for one in cuts:
        yield RegionTask(
            target=target,
            region=one.region,
            source=source.name(),
            pieces=one.pieces,
            fills=one.fills,
            max_threads=workers.max_threads,
        )


def _push_feed(
    feed: Feed, dataset: Any, data: Any, workers: Workers, make_target: Callable[[], Target]
) -> Feed | None:
    if not isinstance(dataset, GrowingArray):
        _warn_one_process(dataset, "its iterator gives its chunks one after the other")
        return None
    feed.step = _steps(feed, dataset, data, workers, make_target)
    return feed


def _steps(
    feed: Feed, dataset: Any, data: Any, workers: Workers, make_target: Callable[[], Target]
) -> Callable[[], bool]:
    """Return what reads the next chunk and ships the write units that are complete."""
    shipper = _Shipper(workers, feed, dataset, make_target)

    def step() -> bool:
        if not isinstance(dataset, GrowingArray):
            return write_next(dataset, data)
        dataset.shipper, dataset.progress = shipper, functools.partial(workers.note, feed)
        try:
            if write_next(dataset, data):
                return True
            dataset.flush()
            return False
        finally:
            dataset.shipper, dataset.progress = None, feed.progress

    return step


def write_next(dataset: Any, data: Any) -> bool:
    """Write the next chunk of an iterator into an array, which grows if need be."""
    try:
        chunk = next(data)
    except StopIteration:
        return False
    bounds = chunk.get_min_bounds()
    bounds = (bounds,) if isinstance(bounds, int) else tuple(bounds)
    if any(bound > size for bound, size in zip(bounds, dataset.shape, strict=False)):
        grown = [max(pair) for pair in zip(bounds, dataset.shape, strict=False)]
        dataset.resize((*grown, *dataset.shape[len(grown) :]))
    dataset[chunk.selection] = chunk.data
    logger.debug("wrote %s of %s", chunk.selection, getattr(dataset, "name", dataset))
    return True


def _target_maker(dataset: Any, workers: Workers) -> Callable[[], Target] | None:
    """Return what makes the target of a dataset with its present shape, or None if nothing can."""
    if isinstance(dataset, GrowingArray):
        return target_maker(
            dataset.hierarchy.bytestore,
            dataset.path,
            lambda: dataset.current_document,
            dataset.element,
            workers,
        )
    if isinstance(dataset, zarr.Array) and (
        workers.options.is_in_process or is_reachable(dataset.store)
    ):
        return functools.partial(
            StoredTarget,
            key=uuid.uuid4().hex,
            where=_name(dataset),
            store=dataset.store,
            path=dataset.path,
        )
    return None


def target_maker(
    bytestore: ByteStore,
    path: str,
    document: Callable[[], dict[str, Any]],
    element: ElementType,
    workers: Workers,
) -> Callable[[], Target] | None:
    """Return what makes the target of an array of a store, or None if workers cannot reach it."""
    place = workers.place_of(bytestore)
    if place is None:
        return None
    location, token = place

    def make() -> Target:
        return ArrayTarget(
            key=uuid.uuid4().hex,
            where=f"{bytestore.location.uri}:/{path}",
            location=location,
            path=path,
            document=document(),
            element=element,
            token=token,
        )

    return make


def write_unit_of(dataset: Any) -> tuple[int, ...]:
    """Return the shape of the shard, else of the chunk."""
    if isinstance(dataset, GrowingArray):
        return dataset.write_unit
    return tuple(dataset.shards or dataset.chunks)


def _name(dataset: Any) -> str:
    if isinstance(dataset, zarr.Array):
        return f"{dataset.store_path}"
    return str(getattr(dataset, "name", dataset))


def _store_name(dataset: Any) -> str:
    if isinstance(dataset, GrowingArray):
        return dataset.hierarchy.uri
    return str(getattr(dataset, "store", type(dataset).__name__))


def _warn_one_process(dataset: Any, reason: str) -> None:
    warnings.warn(
        f"{_name(dataset)} is written by one process: {reason}", UserWarning, stacklevel=2
    )
