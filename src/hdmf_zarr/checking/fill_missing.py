"""Replaces missing chunks by fill values, where the user has accepted their loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import zarr

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.checking.chunks import places
from hdmf_zarr.chunks.missing import meaning_of_missing, stored_chunks, with_count
from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import ChunkError, HDMFZarrError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.transactions.lock import WriterLock

MOST_FILLED = 100_000
"""Most missing chunks of one array that are filled; so many are unlikely to be unimportant."""


@dataclass(frozen=True, kw_only=True)
class _Accepted:
    """An array, and which of its chunks are present.

    Attributes
    ----------
    path : str
    document : dict
    present : set of tuple of int
        Places in the grid of the chunks in the store.
    """

    path: str
    document: dict[str, JSON]
    present: set[tuple[int, ...]]

    @property
    def n_missing(self) -> int:
        """Number of missing chunks."""
        return array_node(self.document).n_chunks - len(self.present)

    @property
    def is_counted(self) -> bool:
        """Whether some chunks were never written: lost ones cannot be told from them."""
        return meaning_of_missing(self.document) == "absent"


def accept_missing(
    bytestore: ByteStore, paths: Iterable[str], lock: WriterLock | None = None
) -> list[str]:
    """Accept missing chunks of arrays as fill values; return what was done.

    Where every chunk was written, missing chunks are written with fill values, so that a chunk lost
    later is still noticed. Where some were never written, only the recorded number is changed.

    Parameters
    ----------
    bytestore : ByteStore
        Store without another writer.
    paths : iterable of str
        Paths of the arrays.
    lock : WriterLock, optional
        Lock of a local store, held by the caller.

    Raises
    ------
    OptionError
        If there is no such array, or too many of its chunks are missing; nothing is changed.
    ChunkError
        If the chunks of an array cannot be written.
    """
    hierarchy = Hierarchy.load_for_writing(bytestore, lock)
    wanted = [_missing_of(hierarchy, path) for path in dict.fromkeys(paths)]
    done = [_fill(hierarchy, one) for one in wanted]
    before = dict(hierarchy.documents)
    try:
        for one in wanted:
            count = len(one.present) if one.is_counted else None
            document = with_count(one.document, count)
            if one.n_missing:
                hierarchy.set_document(one.path, document)
        if hierarchy.is_changed:
            hierarchy.commit(consolidate=hierarchy.was_consolidated)
    except BaseException:
        hierarchy.restore(before)
        hierarchy.end()
        raise
    return done


def _missing_of(hierarchy: Hierarchy, path: str) -> _Accepted:
    where = f"{hierarchy.uri}:/{path.strip('/')}"
    path = path.strip("/")
    if path not in hierarchy or hierarchy.node_type(path) != "array":
        raise OptionError(f"{where} is no array, of which missing chunks could be accepted")
    document = hierarchy.documents[path]
    node = array_node(document)
    if node.why_unreadable is not None:
        raise OptionError(f"{where} cannot be read: {node.why_unreadable}")
    zarr_view.async_array(hierarchy, path)  # raises if its metadata are invalid
    listed = hierarchy.bytestore.list_prefix(path)
    found = (node.place(key[len(path) + 1 :]) for key in listed)
    present = {at for at in found if at is not None}
    one = _Accepted(path=path, document=document, present=present)
    if one.n_missing > MOST_FILLED and not one.is_counted:
        raise OptionError(
            f"{where}: {one.n_missing} chunks are missing, and at most {MOST_FILLED} are written with "
            "fill values; restore them from a copy, or write the store again from its source"
        )
    return one


def _fill(hierarchy: Hierarchy, one: _Accepted) -> str:
    """Write the missing chunks, and return what was done."""
    if not one.n_missing:
        return f"/{one.path} lacks no chunk: nothing was accepted"
    if one.is_counted:
        stored = stored_chunks(one.document)
        if stored is None or stored <= len(one.present):
            return f"/{one.path} lacks no chunk that was written: nothing was accepted"
        return f"/{one.path}: {stored - len(one.present)} chunks more read as the fill value"
    array = zarr.Array(zarr_view.async_array(hierarchy, one.path))
    node = array_node(one.document)
    written = []
    for at in places(node.grid):
        if at in one.present:
            continue
        _fill_one(hierarchy, one.path, array, node.region(at))
        written.append(at)
    shown = _listed(written)
    return f"/{one.path}: wrote fill values at {shown}, where {one.n_missing} of its chunks were missing"


def _fill_one(
    hierarchy: Hierarchy, path: str, array: zarr.Array[Any], region: tuple[slice, ...]
) -> None:
    try:
        # zarr reads the fill value for a missing chunk.
        array[region if region else ...] = array[region if region else ...]
    except (HDMFZarrError, ValueError, TypeError, NotImplementedError) as error:
        raise ChunkError(
            f"{hierarchy.uri}:/{path}: a chunk that is missing cannot be written with fill values: {error}"
        ) from error


def _listed(places_of_chunks: Sequence[tuple[int, ...]]) -> str:
    shown = ", ".join(str(list(at)) for at in places_of_chunks[:10])
    more = len(places_of_chunks) - 10
    return shown if more <= 0 else f"{shown} and {more} more places"
