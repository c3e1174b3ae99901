"""Locations at which other processes open a store."""

from __future__ import annotations

import logging
import pickle
import uuid
from typing import Any

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, ObjectStore

from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.parallel.options import WorkerOptions

logger = logging.getLogger(__name__)


class Places:
    """The locations at which workers open stores.

    Parameters
    ----------
    options : WorkerOptions
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._tokens: dict[str, tuple[str, ByteStore]] = {}

    def of(self, bytestore: ByteStore) -> tuple[Location, str | None] | None:
        """Return the store's location for workers, and a key by which they verify its identity.

        None if only this process can open the store.
        """
        location = bytestore.location
        if self._options.is_in_process:
            return Location(location.uri, is_local=False, store=bytestore.zarr_store), None
        if isinstance(bytestore, LocalByteStore):
            location = Location(str(bytestore.root), is_local=True)
        elif not (
            is_reachable(location.store)
            if location.store is not None
            else not is_memory(location.uri)
        ):
            return None
        return location, self._token(location.uri, bytestore)

    def _token(self, uri: str, bytestore: ByteStore) -> str:
        if uri not in self._tokens:
            token = f".{uuid.uuid4().hex}.partial"
            bytestore.set(token, b"\n")
            self._tokens[uri] = token, bytestore
        return self._tokens[uri][0]

    def close(self) -> None:
        """Remove the keys that were written for workers."""
        for token, bytestore in self._tokens.values():
            try:
                bytestore.delete(token)
            except Exception as error:
                # A store that allows writes but no deletes may raise any exception.
                logger.warning(
                    "%s:/%s cannot be removed and may be: %s", bytestore.location.uri, token, error
                )
        self._tokens.clear()


def is_memory(url: str) -> bool:
    """Whether a URL refers to the memory of this process."""
    return any(part.startswith("memory:") for part in url.split("::"))


def is_reachable(store: Store) -> bool:
    """Whether other processes access the same data through a pickled copy of a store object.

    This is True only for known stores: a store in memory would be copied, and writes to it lost.
    """
    if isinstance(store, LocalStore):
        return True
    if isinstance(store, FsspecStore):
        return not _is_in_memory(store.fs)
    if isinstance(store, ObjectStore):
        try:
            pickle.dumps(store)
        except TypeError:
            return False
        return type(store.store).__name__ != "MemoryStore"
    return False


def _is_in_memory(filesystem: Any) -> bool:
    """Whether an fsspec file system, or one that it wraps, is in the memory of this process."""
    protocol = filesystem.protocol
    wrapped = (getattr(filesystem, name, None) for name in ("fs", "sync_fs"))
    return "memory" in ((protocol,) if isinstance(protocol, str) else protocol) or any(
        _is_in_memory(inner) for inner in wrapped if hasattr(inner, "protocol")
    )
