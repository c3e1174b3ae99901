"""Single objects of a bucket: versions, conditional puts, exact deletes.

zarr's stores do not offer these operations. S3 (through s3fs and obstore) has conditional puts. A store in
memory belongs to one process, which needs only a lock. In all other stores an object is compared just before
it is replaced, so that two processes can interfere.

fsspec and s3fs have these operations under private names, see `hdmf_zarr.core.other_private`.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zarr.abc.store import Store
from zarr.storage import FsspecStore, MemoryStore, ObjectStore

from hdmf_zarr.core import other_private
from hdmf_zarr.core.other_private import call_s3, has_call_s3
from hdmf_zarr.stores import event_loop, wrappers
from hdmf_zarr.stores.bounded import Wanted, read_value

TOGETHER = 64
"""Number of concurrent requests, where each concerns one object."""

MOST_AT_ONCE = 1000
"""Maximum number of keys that one request of S3 removes."""

PROCESS_LOCK = threading.Lock()
"""Lock for compare and replace, where the store cannot do both in one step."""

_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
"""Codes of S3 for a condition that is not met."""

_UNKNOWN = frozenset({"NotImplemented", "501"})
"""Codes of services that have no conditional puts."""


@dataclass(frozen=True, slots=True)
class Version:
    """Identifies one of the values that an object has had.

    Attributes
    ----------
    tag : str
        ETag, or a digest of the value.
    modified : str or None
        Time when the value was stored. An object that is stored again with an equal value may keep its tag.
    """

    tag: str
    modified: str | None = None

    def is_same(self, other: Version | None) -> bool:
        """Return whether another version can be the same as this one."""
        if other is None or self.tag != other.tag:
            return False
        return None in (self.modified, other.modified) or self.modified == other.modified

    def is_later_than(self, seconds: float) -> bool:
        """Return whether the value was stored after a time, by the service's clock; False if unknown."""
        if self.modified is None:
            return False
        try:
            return datetime.fromisoformat(self.modified).timestamp() > seconds
        except ValueError:
            return False


class NoConditionsError(Exception):
    """The service answers that it has no conditional puts."""


class StoredObjects:
    """The objects of a store of zarr, of any kind.

    Parameters
    ----------
    store : zarr.abc.store.Store

    Attributes
    ----------
    is_exclusive : bool
        Whether only one of two writers that create an object can succeed.
    has_cheap_versions : bool
        Whether the version of an object is known without reading it.
    """

    has_cheap_versions = False

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_exclusive = isinstance(wrappers.innermost_store(store), MemoryStore)

    async def version(self, key: str) -> Version | None:
        """Return the version of an object; None if it does not exist."""
        value = await self._value(key)
        return None if value is None else Version(hashlib.sha256(value).hexdigest())

    async def _value(self, key: str) -> bytes | None:
        wanted = Wanted(key, str(self.store))
        buffer = await read_value(self.store, wanted, event_loop.prototype())
        return None if buffer is None else bytes(buffer.to_bytes())

    async def put_if(self, key: str, value: bytes, expected: Version | None) -> bool:
        """Store an object if it has the expected version; return whether it was stored.

        Parameters
        ----------
        key : str
        value : bytes
        expected : Version or None
            Version that the object must have; None if the object must not exist.

        Raises
        ------
        NoConditionsError
            If the service has no conditional puts; nothing is stored.
        """
        found = await self.version(key)
        if (expected is None) != (found is None):
            return False
        if expected is not None and not expected.is_same(found):
            return False
        await self.store.set(key, event_loop.to_buffer(value))
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove exactly these objects; missing objects are ignored."""
        for start in range(0, len(keys), TOGETHER):
            part = keys[start : start + TOGETHER]
            await _all_done(*(self._delete_one(key) for key in part))

    async def _delete_one(self, key: str) -> None:
        await self.store.delete(key)

    async def list_below(self) -> list[str]:
        """Return the keys of all objects of the store."""
        try:
            return [key async for key in self.store.list_prefix("")]
        except FileNotFoundError:
            return []

    async def sizes(self, start: str = "") -> dict[str, int]:
        """Return the bytes of each object whose key begins with ``start``, by key: one request for each.

        Raises
        ------
        NotImplementedError, OSError
            If the store cannot list its objects.
        """
        keys = [key async for key in self.store.list_prefix(start) if key.startswith(start)]
        gate = asyncio.Semaphore(TOGETHER)

        async def size(key: str) -> int:
            async with gate:
                return await self.store.getsize(key)

        return dict(zip(keys, await asyncio.gather(*map(size, keys)), strict=True))

    async def why_missing(self) -> str | None:
        """Return why the store has no objects; None if it has some, or if the reason is unknown."""
        try:
            return None if await self.list_below() else "nothing is there"
        except (OSError, NotImplementedError):
            return None

    def forget_listings(self) -> None:
        """Drop cached listings, since other processes may have changed the store."""


class FsspecObjects(StoredObjects):
    """Objects behind a file system of fsspec, whose public methods to remove objects expand patterns."""

    store: FsspecStore

    def __init__(self, store: FsspecStore) -> None:
        super().__init__(store)
        self._fs: Any = store.fs
        self._root = store.path.rstrip("/")
        self.is_exclusive = self._is_memory or self._can_create

    @property
    def _is_memory(self) -> bool:
        protocol = self._fs.protocol
        return "memory" in ((protocol,) if isinstance(protocol, str) else protocol)

    @property
    def _can_create(self) -> bool:
        return other_private.can_create(self._fs)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    async def put_if(self, key: str, value: bytes, expected: Version | None) -> bool:
        """Store an object if it has the expected version, see `StoredObjects.put_if`."""
        if expected is not None or self._is_memory or not self._can_create:
            return await super().put_if(key, value, expected)
        try:
            await other_private.pipe_file(self._fs, self._path(key), value, mode="create")
        except FileExistsError:
            return False
        return True

    async def _delete_one(self, key: str) -> None:
        try:
            await other_private.remove_file(self._fs, self._path(key))
        except FileNotFoundError:
            return

    async def list_below(self) -> list[str]:
        """Return the keys of all objects of the store."""
        start = self._root + "/"
        try:
            found = await other_private.find(self._fs, self._root, detail=False)
        except FileNotFoundError:
            return []
        return [
            path.removeprefix(start) for path in found if path.startswith(start) and path != start
        ]

    async def sizes(self, start: str = "") -> dict[str, int]:
        """Return the bytes of each object from listings, see `StoredObjects.sizes`."""
        folder = self._root + "/"
        found = await other_private.find(self._fs, self._path(start).rstrip("/"), detail=True)
        sizes = {
            path.removeprefix(folder): info.get("size")
            for path, info in found.items()
            if path.startswith(folder + start) and path != folder
        }
        return sizes if None not in sizes.values() else await super().sizes(start)

    async def why_missing(self) -> str | None:
        """Return why no objects exist, see `StoredObjects.why_missing`; web servers may not list objects."""
        return None if "http" in self._fs.protocol else await super().why_missing()

    def forget_listings(self) -> None:
        """Drop cached listings: s3fs reports an object as missing if a cached listing lacks it."""
        self._fs.invalidate_cache()


class S3Objects(FsspecObjects):
    """Objects in a bucket of S3, or of a compatible service."""

    has_cheap_versions = True

    async def why_missing(self) -> str | None:
        """Return what is missing, the bucket or objects in it, see `StoredObjects.why_missing`."""
        bucket, _ = self._split("")
        try:
            await call_s3(self._fs, "head_bucket", Bucket=bucket)
        except FileNotFoundError:
            return f"there is no bucket {bucket!r}"
        except PermissionError:
            return None
        return await super().why_missing()

    async def version(self, key: str) -> Version | None:
        """Return the version of an object, with one HEAD request."""
        bucket, name = self._split(key)
        try:
            head = await call_s3(self._fs, "head_object", Bucket=bucket, Key=name)
        except FileNotFoundError:
            return None
        modified = str(head.get("LastModified"))
        return Version(head.get("ETag") or f"{modified}-{head.get('ContentLength')}", modified)

    async def put_if(self, key: str, value: bytes, expected: Version | None) -> bool:
        """Store an object if it has the expected version, see `StoredObjects.put_if`."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected.tag}
        await self._check_known(condition)
        bucket, name = self._split(key)
        try:
            await call_s3(self._fs, "put_object", Bucket=bucket, Key=name, Body=value, **condition)
        except OSError as error:
            if _code(error) in _UNKNOWN:
                raise NoConditionsError(str(error)) from error
            is_gone = expected is not None and isinstance(error, FileNotFoundError)
            if not is_gone and _code(error) not in _REFUSED:
                raise
            # If the client has sent the request twice, the first one may have succeeded.
            return await self._value(key) == value
        finally:
            self._fs.invalidate_cache(self._path(key))
        return True

    async def _check_known(self, condition: dict[str, str]) -> None:
        """Raise if botocore is too old for a condition, which s3fs would drop without an error."""
        client = await self._fs.set_session()
        known = client.meta.service_model.operation_model("PutObject").input_shape.members
        if not set(condition) <= set(known):
            raise NoConditionsError("this version of botocore has no conditional puts")

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove exactly these objects, up to a thousand with one request."""
        for start in range(0, len(keys), MOST_AT_ONCE):
            part = [self._split(key) for key in keys[start : start + MOST_AT_ONCE]]
            for key in keys[start : start + MOST_AT_ONCE]:
                self._fs.invalidate_cache(self._path(key).rpartition("/")[0])
            wanted = {"Objects": [{"Key": name} for _, name in part], "Quiet": True}
            out = await call_s3(self._fs, "delete_objects", Bucket=part[0][0], Delete=wanted)
            if errors := (out or {}).get("Errors"):
                raise _delete_error(self._root, errors)

    def _split(self, key: str) -> tuple[str, str]:
        """Return the bucket and the key in it, literally: no part is read as a pattern or a version."""
        bucket, _, name = self._path(key).lstrip("/").partition("/")
        return bucket, name


class ObstoreObjects(StoredObjects):
    """Objects behind a store of obstore."""

    store: ObjectStore[Any]
    has_cheap_versions = True

    def __init__(self, store: ObjectStore[Any]) -> None:
        super().__init__(store)
        self._inner: Any = store.store
        self.is_exclusive = True

    async def version(self, key: str) -> Version | None:
        """Return the version of an object, with one HEAD request."""
        try:
            head = await self._inner.head_async(key)
        except FileNotFoundError:
            return None
        modified = str(head.get("last_modified"))
        return Version(head.get("e_tag") or f"{modified}-{head['size']}", modified)

    async def sizes(self, start: str = "") -> dict[str, int]:
        """Return the bytes of each object from listings, see `StoredObjects.sizes`."""
        listed = self._inner.list(start or None)
        return {item["path"]: item["size"] async for part in listed for item in part}

    async def put_if(self, key: str, value: bytes, expected: Version | None) -> bool:
        """Store an object if it has the expected version, see `StoredObjects.put_if`."""
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        mode: Any = "create" if expected is None else {"e_tag": expected.tag}
        try:
            await self._inner.put_async(key, value, mode=mode)
        except (AlreadyExistsError, PreconditionError, FileExistsError):
            return await self._value(key) == value
        except FileNotFoundError:
            if expected is None:
                raise
            return False
        except (NotSupportedError, NotImplementedError) as error:
            if expected is None:
                raise NoConditionsError(str(error)) from error
            return await super().put_if(key, value, expected)  # for example a local folder
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove exactly these objects, many with one request."""
        for start in range(0, len(keys), MOST_AT_ONCE):
            part = list(keys[start : start + MOST_AT_ONCE])
            try:
                await self._inner.delete_async(part)
            except FileNotFoundError:  # one is missing, and the others may still exist
                await super().delete(part)


def objects_of(store: Store) -> StoredObjects:
    """Return the objects of a store, by its kind."""
    if isinstance(store, FsspecStore):
        return S3Objects(store) if _is_s3(store.fs) else FsspecObjects(store)
    if isinstance(store, ObjectStore):
        return ObstoreObjects(store)
    return StoredObjects(store)


def _is_s3(filesystem: Any) -> bool:
    return "s3" in filesystem.protocol and has_call_s3(filesystem)


async def _all_done(*coroutines: Any) -> None:
    """Wait for all coroutines, then raise the first failure; none of them still runs then."""
    for outcome in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _code(error: BaseException) -> str | None:
    """Return the error code in the answer of S3."""
    response = getattr(error.__cause__, "response", None) or {}
    code = response.get("Error", {}).get("Code")
    return None if code is None else str(code)


def _delete_error(root: str, errors: Sequence[dict[str, Any]]) -> OSError:
    first = errors[0]
    number = errno.EACCES if first.get("Code") == "AccessDenied" else errno.EIO
    return OSError(
        number,
        f"{root}: {len(errors)} objects were not removed; of {first.get('Key')!r:.200} the service says "
        f"{first.get('Code')}: {first.get('Message')}",
    )
