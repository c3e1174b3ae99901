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
"""Bytes of a source that go with every task; a larger one only with the first, and where it is wanted."""

TASKS_AHEAD = 4
"""Tasks without data that are handed out ahead, for each job."""

PATIENCE = 60.0
"""Seconds that running tasks of a user's executor are waited for after a failure."""


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
    """Carries tasks out with an executor; where it is ours, also here while its processes start.

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
        """Start the workers, if they are ours, and do not wait for them."""
        if self.options.executor is None:
            self.pool.begin()

    def close(self) -> None:
        """End the workers that were started here, and remove what was left for them."""
        self.pool.close()
        self.places.close()
        self._sources.clear()
        forget()

    @property
    def _executor(self) -> Executor | None:
        return self.options.executor or self.pool.executor

    def source(self, held: RegionSource) -> Source:
        """Return a source as tasks name it.

        Raises
        ------
        Exception
            If it cannot be pickled.
        """
        encoded = None if self.options.is_in_process else pickled(held, self.options)
        source = Source(held, encoded, self.options.n_jobs)
        self._sources[source.key] = source
        return source

    @cached_property
    def max_threads(self) -> ThreadLimit | None:
        """Limit for tasks; threads of this process are the user's."""
        count = self.options.max_threads_per_process
        return None if count is None or self.options.is_in_process else ThreadLimit(count)

    # -- run -------------------------------------------------------------------------------------

    def run(self, feeds: list[Feed]) -> None:
        """Write datasets.

        Raises
        ------
        WorkerError
            The first failure; whatever was not begun is not done.
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
        """Hand a task out; without a worker yet, carry it out."""
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
        # The limits of threads are those of workers; who ends this process means it.
        outcome = _checked(run_task(replace(task, max_threads=None), (Exception,)), task)
        assert isinstance(outcome, Written)
        self._on_written(feed, outcome.n_bytes)

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
