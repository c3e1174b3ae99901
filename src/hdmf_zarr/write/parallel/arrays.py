"""Arrays of files as feeds of workers, and the tasks of any feed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import zarr

from hdmf_zarr.codecs.registered import classes_in
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.regions import Cut, Shape, parts_of, regions_of, task_shape
from hdmf_zarr.hdf5 import HDF5Source
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.write.chunks.sources import ArraySource, LazySource, MemorySource, ZarrSource
from hdmf_zarr.write.parallel.feed import Feed
from hdmf_zarr.write.parallel.store_handles import is_memory, is_reachable
from hdmf_zarr.write.parallel.tasks import (
    ArrayRegions,
    ArrayTarget,
    PlainRegions,
    RegionSource,
    RegionTask,
    Target,
)
from hdmf_zarr.write.parallel.workers import Source, Workers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The shapes of the regions in which an array is read and written.

    Attributes
    ----------
    shape : tuple of int
        Shape of the array.
    unit : tuple of int
        Shape of a write unit.
    buffer : tuple of int
        Shape of a region that is written at once: whole units.
    piece : tuple of int
        Shape of a region that is read at once: whole chunks, or whole inner chunks of a shard.
    """

    shape: Shape
    unit: Shape
    buffer: Shape
    piece: Shape


def array_feed(
    path: str,
    source: ArraySource,
    workers: Workers,
    make_target: Callable[[], Target] | None,
    steps: Steps,
) -> Feed | None:
    """Return the feed for workers to read and write an array of a file; None if this process must.

    Parameters
    ----------
    path : str
        Path of the array, for messages.
    source : ArraySource
    workers : Workers
    make_target : callable or None
    steps : Steps
    """
    held = regions_source(source, workers)
    if held is None or make_target is None:
        why = (
            "only this one can open the store"
            if make_target is None
            else "its elements are in memory"
            if isinstance(source, MemorySource)
            else "only this one can open the source"
        )
        n_threads = workers.options.n_threads
        logger.info("/%s is written by %d threads of this process: %s", path, n_threads, why)
        return None
    region_shape = task_shape(steps.shape, steps.unit, steps.buffer, workers.options.n_jobs)
    cuts = (
        Cut(region, tuple(parts_of(region, steps.piece)), fills=True)
        for region in regions_of(steps.shape, region_shape)
    )
    return Feed(name=path, tasks=tasks_of(cuts, make_target(), workers.source(held), workers))


def regions_source(source: ArraySource, workers: Workers) -> RegionSource | None:
    """Return a source that other processes can read, or None if only this process can."""
    if isinstance(source, HDF5Source):
        return source.reopened()
    if isinstance(source, LazySource):
        return _plain_regions(source, workers)
    if not isinstance(source, ZarrSource):
        return None
    location = source.array.hierarchy.location
    is_shared = workers.options.is_in_process or (
        not is_memory(location.uri) if location.store is None else is_reachable(location.store)
    )
    return (
        ArrayRegions(source.array)
        if is_shared and "reference" not in source.element.kinds
        else None
    )


def _plain_regions(source: LazySource, workers: Workers) -> RegionSource | None:
    """Return the regions of a zarr array; other lazy arrays may hold anything, and return None."""
    array = source.array
    if not isinstance(array, zarr.Array):
        return None
    is_shared = workers.options.is_in_process or is_reachable(array.store)
    return PlainRegions(array, source.element) if is_shared else None


def tasks_of(
    cuts: Iterator[Cut], target: Target, source: Source, workers: Workers
) -> Iterator[RegionTask]:
    """Yield tasks that read their regions from the source."""
    for one in cuts:
        yield RegionTask(
            target=target,
            region=one.region,
            source=source.name(),
            pieces=one.pieces,
            fills=one.fills,
            max_threads=workers.max_threads,
        )


def target_maker(
    bytestore: ByteStore,
    path: str,
    document: Callable[[], dict[str, Any]],
    element: ElementType,
    workers: Workers,
) -> Callable[[], Target] | None:
    """Return a function that makes an array's target, or None if workers cannot reach it."""
    place = workers.places.of(bytestore)
    if place is None:
        return None
    location, token = place

    def make() -> Target:
        made = document()
        return ArrayTarget(
            key=uuid.uuid4().hex,
            where=f"{bytestore.location.uri}:/{path}",
            location=location,
            path=path,
            document=made,
            element=element,
            token=token,
            codec_classes=classes_in(list(array_node(made).codecs)),
        )

    return make
