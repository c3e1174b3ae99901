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
