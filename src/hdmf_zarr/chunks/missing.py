"""Which chunks of an array must exist, so that a lost chunk differs from one never written.

Zarr reads a missing chunk as the fill value. Arrays of this package have every chunk, or a count of their
chunks, so that a chunk missing from them is lost, and its fill value would be wrong.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from zarr.abc.store import Store
from zarr.storage import WrapperStore

from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.common import EVERY_CHUNK, STORED_CHUNKS
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.metadata.node import array_node, with_attributes, with_shape
from hdmf_zarr.stores.answers import answers
from hdmf_zarr.stores.bytestore import ByteStore

Meaning = Literal["lost", "untold", "absent"]
"""State of a missing chunk: lost; unknown; never written, so that it reads as the fill value."""

EMPTY = "the chunk is empty, as none is that was written to its end; restore it from a copy"


def stored_chunks(document: Mapping[str, JSON]) -> int | None:
    """Return the number of stored chunks; None if the array does not record it."""
    node = array_node(document)
    count = node.attributes.get(STORED_CHUNKS)
    if count == EVERY_CHUNK:
        return node.n_chunks
    return count if type(count) is int else None


def meaning_of_missing(document: Mapping[str, JSON]) -> Meaning:
    """Return what a missing chunk of an array means.

    This package records the number of chunks of every array. Without the number, zarr-python and other
    writers may have left out chunks that contain only the fill value; in Zarr format 2 earlier releases may
    have left out chunks that an iterator skipped.
    """
    stored = stored_chunks(document)
    if stored is not None:
        return "lost" if stored >= array_node(document).n_chunks else "absent"
    return "untold" if array_node(document).format2 is not None else "absent"


def tell_missing(document: Mapping[str, JSON], where: str) -> None:
    """Raise or warn about a missing chunk; if this returns, the chunk reads as the fill value.

    Parameters
    ----------
    document : mapping
        Document of the array.
    where : str
        Store and key of the chunk.

    Raises
    ------
    ChunkError
        If the chunk was written and is lost.
    """
    meaning = meaning_of_missing(document)
    if meaning == "lost":
        raise ChunkError(
            f"{where}: the chunk was written and is not there any more; restore it from a copy, or "
            "write the store again from its source ('hdmf-zarr check' lists what is missing). If somebody "
            "has written to the array with zarr-python, which leaves out a chunk of nothing but fill values "
            "without write_empty_chunks=True, 'hdmf-zarr check --accept-missing ARRAY' lets it be that"
        )
    if meaning == "untold":
        message = (
            f"{where}: the chunk is not there and reads as the fill value; a store of Zarr format 2 does "
            "not tell whether it was lost or never written"
        )
        warnings.warn(message, UserWarning, stacklevel=2)


def with_count(document: dict[str, JSON], n_written: int | None) -> dict[str, JSON]:
    """Return the document of an array with the number of its stored chunks.

    Parameters
    ----------
    document : dict
    n_written : int or None
        Number of stored chunks; None for all of them.
    """
    node = array_node(document)
    n_chunks, attributes = node.n_chunks, dict(node.attributes)
    count = n_chunks if n_written is None else min(n_written, n_chunks)
    told: JSON = EVERY_CHUNK if count == n_chunks else count
    if attributes.get(STORED_CHUNKS) == told:
        return document
    return with_attributes(document, {**attributes, STORED_CHUNKS: told})


def resized(document: dict[str, JSON], shape: list[int], *, is_written: bool) -> dict[str, JSON]:
    """Return the document of an array with another shape.

    Parameters
    ----------
    document : dict
    shape : list of int
    is_written : bool
        Whether every new chunk is, or will be, written.
    """
    new = with_shape(document, shape)
    stored = stored_chunks(document)
    if stored is None:
        return new  # the number of chunks stays unknown
    old_grid, new_grid = array_node(document).grid, array_node(new).grid
    n_kept = math.prod(map(min, old_grid, new_grid))
    n_new = (math.prod(new_grid) - n_kept) * is_written
    return with_count(new, min(stored, n_kept) + n_new)


def count_chunks(bytestore: ByteStore, path: str, document: Mapping[str, JSON]) -> int:
    """Return the number of an array's chunks in the store, with one listing."""
    return count_keys(bytestore.list_prefix(path), path, document)


def count_keys(keys: Iterable[str], path: str, document: Mapping[str, JSON]) -> int:
    """Return the number of keys in the folder of an array that belong to its chunks."""
    node = array_node(document)
    return sum(node.place(key[len(path) + 1 :]) is not None for key in keys)


class WatchedStore(WrapperStore[Any]):
    """The store of one array, which reports missing and empty chunks.

    Parameters
    ----------
    store : zarr.abc.store.Store
    uri : str
    is_chunk : callable
        Function that returns whether the object of a key is a chunk.
    tell : callable
        Function that is called with the key of a missing chunk.
    """

    def __init__(
        self, store: Store, uri: str, is_chunk: Callable[[str], bool], tell: Callable[[str], None]
    ) -> None:
        super().__init__(store)
        self.uri = uri
        self.is_chunk = is_chunk
        self.tell = tell

    def _with_store(self, store: Any) -> WatchedStore:
        return type(self)(store, self.uri, self.is_chunk, self.tell)

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Return the value of a key."""
        with answers(f"{self.uri}:/{key}"):
            value = await self._store.get(key, *args, **kwargs)
        return self._found(key, value)

    def get_sync(self, key: str, **kwargs: Any) -> Any:
        """Return the value of a key, if the store can be read synchronously."""
        return self._found(key, self._store.get_sync(key, **kwargs))

    def look(self, keys: list[str], is_there: Callable[[str], bool]) -> None:
        """Report the missing ones of several objects, for a reader that bypasses this store."""
        for key in keys:
            if self.is_chunk(key) and not is_there(key):
                self.tell(key)

    def _found(self, key: str, value: Any) -> Any:
        if value is None and self.is_chunk(key):
            self.tell(key)
        elif value is not None and not len(value) and self.is_chunk(key):
            # Zarr-python before 3.2 reads an empty shard as one that was never written.
            raise ChunkError(f"{self.uri}:/{key}: {EMPTY}")
        return value


def watched(store: Store, uri: str, path: str, document: Mapping[str, JSON]) -> Store:
    """Return the store of an array that reports its missing and empty chunks.

    Parameters
    ----------
    store : zarr.abc.store.Store
    uri, path : str
        URI of the store, and path of the array in it.
    document : mapping
        Document of the array.
    """
    node = array_node(document)

    def is_chunk(key: str) -> bool:
        return node.place(key.removeprefix(path + "/")) is not None

    return WatchedStore(store, uri, is_chunk, lambda key: tell_missing(document, f"{uri}:/{key}"))
