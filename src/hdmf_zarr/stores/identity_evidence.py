"""Evidence that two locations are one store, if nothing proves it.

Two stores are the same if their root documents have the same content and the same modification time, version
or ETag. The documents are only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from zarr.abc.store import Store
from zarr.storage import FsspecStore, MemoryStore, ObjectStore

from hdmf_zarr.core.other_private import info as info_of
from hdmf_zarr.stores import event_loop, wrappers
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.identity_proofs import is_view
from hdmf_zarr.stores.keys import DOCUMENT, ZARRAY, ZATTRS, ZGROUP, ZMETADATA

ROOT_DOCUMENTS = (DOCUMENT, ZMETADATA, ZGROUP, ZATTRS, ZARRAY)

SECONDS_APART = 1.0
"""Two stores may report the time of one object with and without a fraction of a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The root documents that are found at a place.

    Attributes
    ----------
    documents : dict of str to bytes
        Documents by their names.
    time : float or None
        Modification time of the first document, in seconds since 1970.
    tag : str or None
        Version or ETag of the first document.
    memory : object
        Memory of the first document in this process, if the store gives access to it.
    """

    documents: Mapping[str, bytes]
    time: float | None = None
    tag: str | None = None
    memory: Any = field(default=None, compare=False)

    def is_same(self, other: Root | None) -> bool:
        """Return whether two roots are the same; True if only their documents, which are equal, are known."""
        if other is None or self.documents != other.documents:
            return False
        if self.memory is not None and other.memory is not None:
            return bool(
                self.memory.__array_interface__["data"] == other.memory.__array_interface__["data"]
            )
        if self.time is not None and other.time is not None:
            return abs(self.time - other.time) < SECONDS_APART
        return self.tag is None or other.tag is None or self.tag == other.tag


def root_at(bytestore: ByteStore, prefix: str = "") -> Root | None:
    """Return the root documents below a prefix of a store; None where there are none.

    Parameters
    ----------
    bytestore : ByteStore
    prefix : str
        Path of the root, without slashes at its ends.
    """
    keys = {f"{prefix}/{name}".lstrip("/"): name for name in ROOT_DOCUMENTS}
    found = {keys[key]: value for key, value in bytestore.get_many(keys).items()}
    if not found:
        return None
    first = next(key for key, name in keys.items() if name in found)
    time, tag = _version(bytestore, first)
    memory = _memory(bytestore.zarr_store, first)
    return Root(documents=found, time=time, tag=tag, memory=memory)


def _version(bytestore: ByteStore, key: str) -> tuple[float | None, str | None]:
    """Return the modification time of an object, and its version or ETag, if its store reports them."""
    if isinstance(bytestore, LocalByteStore):
        return (bytestore.root / key).stat().st_mtime, None
    store = wrappers.innermost_store(bytestore.zarr_store)
    if is_view(bytestore.zarr_store):
        return None, None  # the object may have another name in the inner store
    info: Mapping[str, Any] = {}
    if isinstance(store, FsspecStore):
        path = f"{store.path.rstrip('/')}/{key}".removeprefix("/" if not store.path else "")
        info = event_loop.run(info_of(store.fs, path))
    elif isinstance(store, ObjectStore):
        info = event_loop.run(_head(store, key))
    return _first_time(info), _first_tag(info)


async def _head(store: ObjectStore[Any], key: str) -> Mapping[str, Any]:
    import obstore

    return cast("Mapping[str, Any]", await obstore.head_async(store.store, key))


_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_TAGS = ("VersionId", "version", "generation", "ETag", "e_tag", "etag")


def _first_time(info: Mapping[str, Any]) -> float | None:
    for name in _TIMES:
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None


def _first_tag(info: Mapping[str, Any]) -> str | None:
    found = (info.get(name) for name in _TAGS)
    return next((str(tag).removeprefix("W/").strip('"') for tag in found if tag), None)


def _memory(store: Store, key: str) -> Any:
    """Return the memory of an object of a store in memory; None if each read returns other memory."""
    if not isinstance(wrappers.innermost_store(store), MemoryStore):
        return None
    first, second = (
        event_loop.run(store.get(key, prototype=event_loop.prototype())) for _ in range(2)
    )
    if first is None or second is None:
        return None
    one, other = first.as_numpy_array(), second.as_numpy_array()
    is_handed_out = one.__array_interface__["data"] == other.__array_interface__["data"]
    return one if is_handed_out else None
