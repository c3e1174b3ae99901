"""Hands out tasks, counts the bytes that were written, and raises failures."""

from __future__ import annotations

import logging
import pickle
import queue
import uuid
from collections import deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import cached_property

from hdmf_zarr.core.regions import Region
from hdmf_zarr.errors import WorkerError
from hdmf_zarr.write.parallel.feed import Feed
from hdmf_zarr.write.parallel.options import WorkerOptions
from hdmf_zarr.write.parallel.pickling import pickled
from hdmf_zarr.write.parallel.pool import Pool
from hdmf_zarr.write.parallel.store_handles import Places
from hdmf_zarr.write.parallel.tasks import (
    Failed,
    Outcome,
    RegionSource,
    RegionTask,
    SourceName,
    SourceWanted,
    Written,
    forget,
    run_task,
)
from hdmf_zarr.write.parallel.threads import ThreadLimit
from hdmf_zarr.write.progress import Bars

logger = logging.getLogger(__name__)

SENT_ALWAYS = 64 * 1024
"""Most bytes of a source sent with every task; a larger one is sent first, and on request."""

TASKS_AHEAD = 4
"""Number of tasks without data that are submitted ahead, per job."""

PATIENCE = 60.0
"""Seconds to wait for running tasks of a user's executor after a failure."""


@dataclass
class Source:
    """The source of regions, pickled once.

    Attributes
    ----------
    held : RegionSource
    pickled : bytes or None
        Pickled source; None if the workers are threads of this process.
    n_first : int
        Number of further tasks that contain a large source.
    """

    held: RegionSource
    pickled: bytes | None
    n_first: int
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def name(self) -> SourceName:
        """Return the name of the source for the next task."""
        if self.pickled is None:
            return SourceName(key=self.key, held=self.held)
        if len(self.pickled) > SENT_ALWAYS and self.n_first <= 0:
            return SourceName(key=self.key)
        self.n_first -= 1
        return SourceName(key=self.key, pickled=self.pickled)

    def full_name(self) -> SourceName:
        """Return the name, with the pickled source."""
        return SourceName(key=self.key, pickled=self.pickled)


class Workers:
    """Carries out tasks with an executor; in this process while its own worker processes start.

    Parameters
    ----------
    options : WorkerOptions
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self.places = Places(options)
        self.pool = Pool(options)
        self._done: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self._running: dict[Future[Outcome], tuple[RegionTask, Feed]] = {}
        self._sources: dict[str, Source] = {}
        self._on_written: Callable[[Feed, int], None] = lambda _feed, _count: None

    # -- start and end ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the workers without waiting for them, unless the user has given an executor."""
        if self.options.executor is None:
            self.pool.begin()

    def close(self) -> None:
        """End the workers that were started here, and remove the keys written for them."""
        self.pool.close()
        self.places.close()
        self._sources.clear()
        forget()

    @property
    def _executor(self) -> Executor | None:
        return self.options.executor or self.pool.executor

    def source(self, held: RegionSource) -> Source:
        """Pickle a source and return it for tasks.

        Raises
        ------
        Exception
            If the source cannot be pickled.
        """
        encoded = None if self.options.is_in_process else pickled(held, self.options)
        source = Source(held, encoded, self.options.n_jobs)
        self._sources[source.key] = source
        return source

    @cached_property
    def max_threads(self) -> ThreadLimit | None:
        """Thread limit for tasks; None if the workers are threads of this process."""
        count = self.options.max_threads_per_process
        return None if count is None or self.options.is_in_process else ThreadLimit(count)

    # -- run -------------------------------------------------------------------------------------

    def run(self, feeds: list[Feed]) -> None:
        """Write datasets.

        Raises
        ------
        WorkerError
            If a task fails; tasks that have not begun are cancelled.
        """
        self.begin()
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
                    # Read here while workers write; then no dataset waits for a slow one.
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
        """Count bytes of a dataset that were written by a worker or by this process."""
        self._on_written(feed, count)

    def _submit_next(self, pulled: deque[Feed]) -> None:
        feed = pulled[0]
        task = next(feed.tasks or iter(()), None)
        if task is None:
            pulled.popleft()
        else:
            self.submit(task, feed)

    def submit(self, task: RegionTask, feed: Feed) -> None:
        """Submit a task; carry it out here if no worker has started yet."""
        executor = self._executor
        if executor is None:
            self._carry_out_here(task, feed)
            return
        try:
            future = executor.submit(run_task, task)
        except futures.BrokenExecutor as error:
            raise _ended(task, error) from error
        self._running[future] = (task, feed)
        feed.n_running += 1
        future.add_done_callback(self._done.put)

    def _carry_out_here(self, task: RegionTask, feed: Feed) -> None:
        if task.source is not None:
            held = self._sources[task.source.key].held
            task = replace(task, source=SourceName(key=task.source.key, held=held))
        # Thread limits are for workers only; SystemExit here is intended, and not caught.
        outcome = _checked(run_task(replace(task, max_threads=None), (Exception,)), task)
        assert isinstance(outcome, Written)
        self._on_written(feed, outcome.n_bytes)

    def submit_values(self, task: RegionTask, feed: Feed) -> None:
        """Submit a task with elements, after waiting until fewer tasks than jobs are running."""
        while len(self._running) >= self.options.n_jobs:
            self._collect(wait=True)
        self.submit(task, feed)

    def drain(self, feed: Feed) -> None:
        """Wait until every task of a dataset is done."""
        while feed.n_running:
            self._collect(wait=True)

    def _collect(self, *, wait: bool) -> None:
        """Process the outcomes of finished tasks; with ``wait``, of at least one."""
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
        """After a failure, cancel tasks that have not begun, and wait for the others."""
        running = [future for future in self._running if not future.cancel()]
        self.pool.close()
        if self.options.executor is not None and running:
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
    return _checked(outcome, task)


def _checked(outcome: Outcome, task: RegionTask) -> Written | SourceWanted:
    if not isinstance(outcome, Failed):
        return outcome
    cause = None if outcome.error is None else pickle.loads(outcome.error)
    raise WorkerError(
        f"{task.target.where}: region {_spelled(task.region)} failed in {outcome.worker}: "
        f"{outcome.message}\n\n{outcome.traceback}"
    ) from cause


def _ended(task: RegionTask, error: BaseException) -> WorkerError:
    return WorkerError(
        f"{task.target.where}: region {_spelled(task.region)} was not written: a worker "
        f"was ended from outside ({type(error).__name__}: {error}); it may have been killed, or have run "
        "out of memory"
    )


def _spelled(region: Region) -> str:
    return "[" + ", ".join(f"{part.start}:{part.stop}" for part in region) + "]"
