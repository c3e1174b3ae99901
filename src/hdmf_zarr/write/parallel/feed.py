"""A dataset that workers write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hdmf_zarr.write.parallel.tasks import RegionTask


@dataclass(eq=False, kw_only=True)
class Feed:
    """A dataset that is written by workers.

    Attributes
    ----------
    name : str
        Name of the dataset, for its progress bar.
    iterator : AbstractDataChunkIterator or None
    n_bytes : int or None
        Bytes of the elements, if known.
    progress : callable
        Called with the bytes just written.
    begin : callable
        Called once before the first task.
    tasks : iterator of RegionTask or None
        Tasks that workers read and write; None if this process reads, by `step`.
    step : callable or None
        Reads one chunk and sends complete write units to workers; returns whether there may be
        more.
    """

    name: str
    iterator: Any = None
    n_bytes: int | None = None
    progress: Callable[[int], None] = lambda _count: None
    begin: Callable[[], None] = lambda: None
    tasks: Iterator[RegionTask] | None = None
    step: Callable[[], bool] | None = None
    n_running: int = 0
