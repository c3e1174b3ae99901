"""Writes many small values to a remote store in batches.

A request to a bucket takes tens of milliseconds, however small the value is, and a file of a thousand objects
takes five thousand requests. Chunks are stored first, in batches; metadata documents are stored after all
chunks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from zarr.abc.store import Store

from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.answers import answers
from hdmf_zarr.stores.bytestore import ZarrByteStore

BATCH_KEYS = 64
"""Number of values that are stored concurrently."""

BATCH_BYTES = 16 * 2**20
"""Maximum number of bytes that wait for a batch."""

ALONE_BYTES = 2**20
"""Values of this size or more are stored at once; callers store large values in several threads."""

TEMPORARY = ".partial"
"""Suffix of the keys that show other processes that the store is being written."""


def is_temporary(key: str) -> bool:
    """Return whether a key exists only while the store is written."""
    return key.endswith(TEMPORARY)


class GatheringByteStore:
    """Stores values in batches; reading, copying, listing and removing first store all waiting values.

    Parameters
    ----------
    inner : ZarrByteStore
    last : frozenset of str
        Names (last parts of keys) of the values that are stored after all others.
    """

    def __init__(self, inner: ZarrByteStore, last: frozenset[str]) -> None:
        self.inner = inner
        self.location = inner.location
        self._last = last
        self._values: dict[str, bytes] = {}
        self._documents: dict[str, bytes] = {}
        self._n_bytes = 0
        self._lock = threading.RLock()

    @property
    def zarr_store(self) -> Store:
        """The store as an object of zarr-python."""
        return self.inner.zarr_store

    def set(self, key: str, value: bytes | memoryview) -> None:
        """Store a value in a later batch; store a large or temporary value at once."""
        if is_temporary(key) or len(value) >= ALONE_BYTES:
            self._forget(key)
            self.inner.set(key, value)
            return
        value = bytes(value)
        with self._lock:
            self._forget(key)
            if key.rpartition("/")[2] in self._last:
                self._documents[key] = value
                return
            self._values[key] = value
            self._n_bytes += len(value)
            if len(self._values) >= BATCH_KEYS or self._n_bytes >= BATCH_BYTES:
                self._store_values()

    def _forget(self, key: str) -> None:
        """Drop the waiting value of a key that is stored at once now, and would be overwritten later."""
        with self._lock:
            self._n_bytes -= len(self._values.pop(key, b""))
            self._documents.pop(key, None)

    def flush(self) -> None:
        """Store the waiting values; documents continue to wait."""
        with self._lock:
            self._store_values()

    def finish(self) -> None:
        """Store all waiting values and documents.

        Raises
        ------
        Exception
            The first failure of the store; the other values of its batch may be stored.
        """
        with self._lock:
            self._store_values()
            documents = list(self._documents.items())
            for start in range(0, len(documents), BATCH_KEYS):
                self._store(dict(documents[start : start + BATCH_KEYS]))
            self._documents.clear()

    def _store_values(self) -> None:
        values, self._values, self._n_bytes = self._values, {}, 0
        self._store(values)

    def _store(self, values: dict[str, bytes]) -> None:
        if not values:
            return
        for key in values:
            self.inner.refuse_covered(key)
        store = self.inner.zarr_store

        async def gather() -> list[Any]:
            # All requests of a batch have ended when its failure is raised.
            return await asyncio.gather(
                *(store.set(key, event_loop.to_buffer(value)) for key, value in values.items()),
                return_exceptions=True,
            )

        for key, outcome in zip(values, event_loop.run(gather()), strict=True):
            if isinstance(outcome, BaseException):
                outcome.add_note(f"while {self.location.uri}:/{key} was stored")
                with answers(f"{self.location.uri}:/{key}"):
                    raise outcome

    # -- operations on all values ----------------------------------------------------------------

    def get(self, key: str, most: int | None = None) -> bytes | None:
        """Return the value of a key; None if the key does not exist."""
        self.finish()
        return self.inner.get(key, most)

    def get_many(
        self, keys: Iterable[str], most: Mapping[str, int] | None = None
    ) -> dict[str, bytes]:
        """Return the values of the keys that exist."""
        self.finish()
        return self.inner.get_many(keys, most)

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        """Return a file whose content is stored when it is closed without error."""
        self._forget(key)
        with self.inner.writer(key) as file:
            yield file

    def delete(self, key: str) -> None:
        """Remove a key if it exists."""
        if not is_temporary(key):
            self.finish()
        self.inner.delete(key)

    def copy(self, key: str, new_key: str) -> None:
        """Store the value of a key under another key."""
        self.finish()
        self.inner.copy(key, new_key)

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove keys if they exist."""
        self.finish()
        self.inner.delete_many(keys)

    def delete_prefix(self, prefix: str) -> None:
        """Remove every key below a prefix."""
        self.finish()
        self.inner.delete_prefix(prefix)

    def list_prefix(self, prefix: str) -> Iterator[str]:
        """Return an iterator over the keys below a prefix, in no particular order."""
        self.finish()
        return self.inner.list_prefix(prefix)

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        """Return the keys whose last part is one of ``names``."""
        self.finish()
        return self.inner.metadata_keys(names)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the number of bytes of each object below a prefix, by key."""
        self.finish()
        return self.inner.sizes(prefix)
