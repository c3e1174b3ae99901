"""Iterators of HDMF as feeds: workers request regions, or this process reads them."""

from __future__ import annotations

import functools
import logging
import math
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import zarr
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk, GenericDataChunkIterator

from hdmf_zarr.core.hdmf_private import read_region
from hdmf_zarr.core.regions import cut, plain_selections, size_of
from hdmf_zarr.write.chunks.append_buffer import GrowingArray
from hdmf_zarr.write.chunks.sources import note_begun
from hdmf_zarr.write.parallel.arrays import target_maker, tasks_of
from hdmf_zarr.write.parallel.dispatch import Shipper
from hdmf_zarr.write.parallel.feed import Feed
from hdmf_zarr.write.parallel.pickling import what_is_not_picklable
from hdmf_zarr.write.parallel.store_handles import is_reachable
from hdmf_zarr.write.parallel.tasks import IteratorRegions, StoredTarget, Target
from hdmf_zarr.write.parallel.workers import Source, Workers

logger = logging.getLogger(__name__)


def feed_of(dataset: Any, data: AbstractDataChunkIterator, workers: Workers) -> Feed | None:
    """Return the feed of a queued iterator; None, with a warning, if workers cannot write it."""
    maker = _target_maker(dataset, workers)
    if maker is None:
        _warn_one_process(dataset, f"only this process has the store {_store_name(dataset)}")
        return None
    feed = Feed(
        name=_path_of(dataset),
        iterator=data,
        progress=dataset.progress if isinstance(dataset, GrowingArray) else lambda _count: None,
    )
    if _is_generic(data):
        return _pull_feed(feed, dataset, data, workers, maker)
    return _push_feed(feed, dataset, data, workers, maker)


def feed_here(dataset: Any, data: AbstractDataChunkIterator) -> Feed:
    """Return a feed, for `Bars`, of a queued iterator that this process writes."""
    shape: tuple[int | None, ...] = getattr(data, "maxshape", None) or (None,)
    known = [size for size in shape if size is not None]
    n_bytes = math.prod(known) * _itemsize(dataset) if len(known) == len(shape) else None
    return Feed(name=_path_of(dataset), iterator=data, n_bytes=n_bytes)


def _path_of(dataset: Any) -> str:
    path = dataset.path if isinstance(dataset, (GrowingArray, zarr.Array)) else _name(dataset)
    return "/" + str(path).strip("/")


def _itemsize(dataset: Any) -> int:
    """Return the bytes of a stored element, whatever dtype the iterator yields.

    For an array without a dtype, which a user may pass, each element counts as one.
    """
    if isinstance(dataset, GrowingArray):
        return dataset.itemsize
    return int(getattr(getattr(dataset, "dtype", None), "itemsize", 1))


def _is_generic(data: Any) -> bool:
    """Whether any region can be requested from an iterator."""
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
        # Pickling a user's object may raise any exception.
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
    """Get the remaining regions of an iterator, and split them into tasks."""
    note_begun(data)
    given = list(data.buffer_selection_generator)
    selections = plain_selections(given, len(dataset.shape))
    if selections is None:
        # The selections are not slices: this process reads them.
        rest = (DataChunk(read_region(data, one), one) for one in given)
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
    feed.n_bytes = sum(map(size_of, selections)) * _itemsize(dataset)
    cuts = cut(
        selections,
        tuple(dataset.shape),
        _write_unit_of(dataset),
        tuple(data.buffer_shape),
        workers.options.n_jobs,
    )
    feed.tasks = tasks_of(cuts, make_target(), source, workers)


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
    """Return a function that reads the next chunk and sends the complete write units."""
    shipper = Shipper(workers, feed, dataset, make_target)

    def step() -> bool:
        if not isinstance(dataset, GrowingArray):
            return write_next(dataset, data) is not None
        dataset.shipper, dataset.progress = shipper, functools.partial(workers.note, feed)
        try:
            if write_next(dataset, data) is not None:
                return True
            dataset.flush()
            return False
        finally:
            dataset.shipper, dataset.progress = None, feed.progress

    return step


def write_next(dataset: Any, data: Any) -> int | None:
    """Write the next chunk of an iterator into an array, which grows if necessary.

    Returns
    -------
    int or None
        Bytes of the chunk's elements; None if there is no next chunk.
    """
    note_begun(data)
    try:
        chunk = next(data)
    except StopIteration:
        return None
    except Exception as error:
        error.add_note(f"while the iterator of {_name(dataset)} was read")
        raise
    bounds = chunk.get_min_bounds()
    bounds = (bounds,) if isinstance(bounds, int) else tuple(bounds)
    if any(bound > size for bound, size in zip(bounds, dataset.shape, strict=False)):
        grown = [max(pair) for pair in zip(bounds, dataset.shape, strict=False)]
        dataset.resize((*grown, *dataset.shape[len(grown) :]))
    dataset[chunk.selection] = chunk.data
    logger.debug("wrote %s of %s", chunk.selection, getattr(dataset, "name", dataset))
    return int(np.size(chunk.data)) * _itemsize(dataset)


def _target_maker(dataset: Any, workers: Workers) -> Callable[[], Target] | None:
    """Return a function that makes a target of the dataset's current shape, or None."""
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


def _write_unit_of(dataset: Any) -> tuple[int, ...]:
    """Return the shape of a shard, or of a chunk if there are no shards."""
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
