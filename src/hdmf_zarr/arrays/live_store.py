"""The store that zarr-python sees while a file is written: its changes join the next commit.

zarr's groups and arrays read and write objects of a store. This store reads metadata documents from the
hierarchy in memory, passes documents that zarr writes to it, and opens a transaction before a chunk changes.
All documents are in Zarr format 3, as the hierarchy has them.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, Store
from zarr.storage import WrapperStore

from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import (
    EncodingError,
    LayoutError,
    MetadataError,
    ObjectExistsError,
    OptionError,
)
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import is_staged
from hdmf_zarr.metadata.documents import encode_document
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.metadata.node import array_node, is_array, why_unreadable, without_consolidated
from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.bytestore import ZarrByteStore
from hdmf_zarr.stores.keys import DOCUMENT, METADATA_KEYS, is_node_path, why_unsafe

if TYPE_CHECKING:
    from hdmf_zarr.hierarchy.hierarchy import Hierarchy


Keys = list[str]

CHANGEABLE = frozenset({"attributes", "shape"})
"""Keys of an existing node's document that zarr may change."""


class LiveStore(WrapperStore[Any]):
    """The store that zarr reads and writes while a file is being written.

    Parameters
    ----------
    hierarchy : Hierarchy
    store : zarr.abc.store.Store
        Store with the chunks.
    """

    def __init__(self, hierarchy: Hierarchy, store: Store) -> None:
        super().__init__(store)
        self._hierarchy = hierarchy
        self._writing = threading.Lock()
        self._refused: ObjectExistsError | None = None

    def _with_store(self, store: Any) -> LiveStore:
        return type(self)(self._hierarchy, store)

    # -- documents -------------------------------------------------------------------------------

    def document_of(self, path: str) -> dict[str, Any]:
        """Return the document of a node in a form that zarr reads.

        Raises
        ------
        MetadataError
            If zarr cannot read the array with a document of format 3.
        """
        document = self._hierarchy.documents[path]
        where = f"{self._hierarchy.uri}:/{path}"
        if (reason := why_unreadable(document)) is not None:
            raise MetadataError(f"{where}: {reason}")
        if is_array(document) and array_node(document).is_native:
            raise MetadataError(
                f"{where} has filters of Zarr format 2 alone: read it with read() or read_builder(), or open "
                "the store with mode 'r'"
            )
        found = json.loads(encode_document(array_document.readable_document(document)))
        return without_consolidated(found)

    def _encoded(self, path: str, prototype: Any) -> Any:
        if path not in self._hierarchy.documents:
            return None
        return prototype.buffer.from_bytes(encode_document(self.document_of(path)))

    def _set_document(self, path: str, value: Any, *, is_only_new: bool = False) -> None:
        """Pass the document of a node that zarr writes to the hierarchy."""
        given = json.loads(value.to_bytes())
        with self._writing:  # zarr writes the documents of several nodes concurrently
            if self._refused is not None:  # another document of the same operation
                raise self._refused
            is_new = path not in self._hierarchy.documents
            if is_new:
                self._check_new(path, given)
            if is_new or not is_only_new:
                self._merge_document(path, given)

    def _merge_document(self, path: str, given: dict[str, JSON]) -> None:
        hierarchy = self._hierarchy
        before = hierarchy.documents.get(path)
        if before is None:
            hierarchy.set_document(path, given)
        else:
            shown = self.document_of(path)
            changed = {key: new for key, new in given.items() if shown.get(key) != new}
            if stale := sorted(set(changed) - CHANGEABLE):
                raise MetadataError(
                    f"{hierarchy.uri}:/{path} has another {stale[0]} by now than the array that is used: "
                    "take it from the group again"
                )
            hierarchy.set_document(path, {**before, **changed})
        if before is None or before.get("shape") != hierarchy.documents[path].get("shape"):
            self._count_chunks(path)

    def _check_new(self, path: str, given: dict[str, JSON]) -> None:
        """Raise for a new node with an invalid path, or one that no reader could read."""
        hierarchy = self._hierarchy
        where = f"{hierarchy.uri}:/{path}"
        name = path.rpartition("/")[2]
        if path and (reason := why_unsafe(name)) is not None:
            raise EncodingError(f"{where}: an object cannot have this name: {reason}")
        if not is_node_path(path):
            raise EncodingError(
                f"{where}: an object cannot have this name: it leads out of the store"
            )
        try:
            hierarchy.removals.refuse_new(path)
        except ObjectExistsError as error:
            # zarr has removed the node that it overwrites; it is restored, since the new one is refused.
            hierarchy.removals.take_back(path)
            self._refused = error
            raise
        if not is_array(given):
            return
        if hierarchy.zarr_format == 2 and is_staged(array_node(given).chunk_keys):
            raise LayoutError(
                f"{where}: the store has Zarr format 2, whose chunks are called '0.0': make the array with "
                "chunk_key_encoding={'name': 'v2', 'separator': '.'}, or with write_dataset()"
            )
        header = hierarchy.convention.decode_header(given.get("attributes") or {})
        element_type_of_array(given, header)  # raises for types that HDMF does not support

    def _count_chunks(self, path: str) -> None:
        """Make the commit count the chunks of an array, since zarr may leave out chunks of fill values."""
        if self._hierarchy.node_type(path) == "array":
            self._hierarchy.count_later(path)
            self._hierarchy.is_changed = True

    # -- chunks ----------------------------------------------------------------------------------

    def _array_of(self, key: str) -> str:
        """Return the path of the array to which a chunk belongs.

        Raises
        ------
        MetadataError
            If the key does not belong to an array.
        """
        path = key
        while path:
            path = path.rpartition("/")[0]
            if path in self._hierarchy.documents:
                if self._hierarchy.node_type(path) == "array":
                    return path
                break
        raise MetadataError(f"{self._hierarchy.uri}:/{key} is no chunk of an array of the store")

    def _begin(self, key: str) -> str:
        """Open a transaction before a chunk changes; return the path of its array."""
        path = self._array_of(key)
        bytestore = self._hierarchy.bytestore
        if isinstance(bytestore, ZarrByteStore):
            bytestore.refuse_covered(key)
        self._hierarchy.begin()
        return path

    @contextmanager
    def _changing(self, path: str) -> Iterator[None]:
        """Drop cached chunks of an array before and after one of its chunks changes."""
        cache = self._hierarchy.cache
        cache.forget(path)
        try:
            with self._hierarchy.attempt():
                yield
        finally:
            cache.forget(path)

    def _is_hidden(self, key: str) -> bool:
        """Return whether zarr must not see a key: it is of the replaced store, or a metadata document."""
        bytestore = self._hierarchy.bytestore
        is_covered = isinstance(bytestore, ZarrByteStore) and key in bytestore.covered
        return is_covered or key.rpartition("/")[2] in METADATA_KEYS

    # -- methods that zarr calls -----------------------------------------------------------------

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:
        """Return the value of a key."""
        path = _node_of(key)
        if path is not None:
            return self._encoded(path, prototype)
        return None if self._is_hidden(key) else await super().get(key, prototype, byte_range)

    def get_sync(self, key: str, **kwargs: Any) -> Any:
        """Return the value of a key."""
        path = _node_of(key)
        if path is not None:
            return self._encoded(path, kwargs.get("prototype") or event_loop.prototype())
        return None if self._is_hidden(key) else self._store.get_sync(key, **kwargs)

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Any]:
        """Return parts of values."""
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    if hasattr(Store, "get_ranges"):
        # In zarr-python 3.2 and later the method of the wrapper bypasses `get`.
        get_ranges = Store.get_ranges

    async def exists(self, key: str) -> bool:
        """Return whether a key has a value."""
        path = _node_of(key)
        if path is not None:
            return path in self._hierarchy.documents
        return not self._is_hidden(key) and await super().exists(key)

    async def set(self, key: str, value: Any) -> None:
        """Store a value."""
        path = _node_of(key)
        if path is not None:
            await asyncio.to_thread(self._set_document, path, value)
            return
        array = await asyncio.to_thread(self._begin, key)
        with self._changing(array):
            await super().set(key, value)

    def set_sync(self, key: str, value: Any) -> None:
        """Store a value."""
        path = _node_of(key)
        if path is not None:
            self._set_document(path, value)
            return
        with self._changing(self._begin(key)):
            self._store.set_sync(key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        """Store a value where there is none."""
        path = _node_of(key)
        if path is not None:
            await asyncio.to_thread(self._set_document, path, value, is_only_new=True)
        elif not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Remove a key."""
        path = _node_of(key)
        if path is not None:
            await self.delete_dir(path)
            return
        if self._is_hidden(key):
            return
        array = await asyncio.to_thread(self._begin, key)
        self._count_chunks(array)
        with self._changing(array):
            await super().delete(key)

    def delete_sync(self, key: str) -> None:
        """Remove the key of a chunk."""
        array = self._begin(key)
        self._count_chunks(array)
        with self._changing(array):
            self._store.delete_sync(key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove a node and its descendants; their objects are removed after the commit."""
        path = prefix.strip("/")
        if not path:
            self._refuse_clear()
        if path in self._hierarchy.documents:
            await asyncio.to_thread(self._hierarchy.remove_later, path)

    async def clear(self) -> None:
        """Raise `OptionError`, since a file is replaced by writing another one."""
        self._refuse_clear()

    def _refuse_clear(self) -> None:
        raise OptionError(
            f"{self._hierarchy.uri} is open: it is not emptied through its group; write another file to its "
            "place (mode 'w')"
        )

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield all keys that begin with a prefix."""
        for path in list(self._hierarchy.documents):
            key = f"{path}/{DOCUMENT}".lstrip("/")
            if key.startswith(prefix):
                yield key
        path = prefix.strip("/")
        folder = path if path in self._hierarchy.documents else prefix.rpartition("/")[0]
        for key in await asyncio.to_thread(self._chunks_below, folder):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names of the entries in a group or array."""
        path = prefix.strip("/")
        start = f"{path}/" if path else ""
        names = dict.fromkeys(
            one[len(start) :].partition("/")[0]
            for one, document in list(self._hierarchy.documents.items())
            if one != path and one.startswith(start) and not _is_unreadable(document)
        )
        if path in self._hierarchy.documents:
            names[DOCUMENT] = None
        for key in await asyncio.to_thread(self._chunks_below, path):
            names[key[len(start) :].partition("/")[0]] = None
        for name in names:
            yield name

    def _chunks_below(self, path: str) -> Keys:
        """Return the keys of an array's chunks; groups are not searched."""
        hierarchy = self._hierarchy
        if path not in hierarchy.documents or hierarchy.node_type(path) != "array":
            return []
        return [key for key in hierarchy.bytestore.list_prefix(path) if not self._is_hidden(key)]


def _is_unreadable(document: dict[str, JSON]) -> bool:
    """Return whether zarr cannot read an array with a document of format 3."""
    if why_unreadable(document) is not None:
        return True
    return is_array(document) and array_node(document).is_native


def _node_of(key: str) -> str | None:
    """Return the path of the node to whose document a key belongs; None for other keys."""
    path, _, name = key.rpartition("/")
    return path if name == DOCUMENT else None
