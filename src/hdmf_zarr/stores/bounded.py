"""Reads values of remote stores in pieces up to a limit, and retries while the server is busy.

The clients return a value when all of it is in memory, so that a server that sends without end fills the
memory. Here the clients of fsspec for HTTP and S3, and obstore, read the body in pieces. Other clients, and
store objects of a user's class, read the whole value, whose size is checked afterwards.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.storage import FsspecStore, ObjectStore, WrapperStore

from hdmf_zarr.core.limits import check_size_of_key
from hdmf_zarr.core.other_private import call_s3, module_that_reads
from hdmf_zarr.errors import RemoteStoreError

BUSY = frozenset({429, 503})
"""HTTP statuses of an overloaded server: the same request may succeed later."""

TRIES = 3
"""Number of tries of one request, where its client does not retry."""

FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
"""Seconds between two tries: doubled after each try, or as the server requests, up to the maximum."""

PIECE_BYTES = 2**20

T = TypeVar("T")

CheckSize = Callable[[int], None]
"""Function that raises for a number of bytes that is too large."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for a value of a store.

    Attributes
    ----------
    key : str
    uri : str
        URI of the store, for messages.
    most : int or None
        Maximum number of bytes of the value; None means the limit for the name of the key.
    part : ByteRequest or None
        Byte range of the value; None means the whole value.
    """

    key: str
    uri: str
    most: int | None = None
    part: ByteRequest | None = None

    @property
    def where(self) -> str:
        """The store and the key, for messages."""
        return f"{self.uri}:/{self.key}"

    def check_size(self, n_bytes: int) -> None:
        """Raise an error if an answer has too many bytes."""
        asked = _bytes_of(self.part)
        if asked is None:
            check_size_of_key(self.key, n_bytes, self.most, self.where)
        elif n_bytes > asked:
            raise RemoteStoreError(
                errno.EIO,
                f"{self.where}: the server sends at least {n_bytes} bytes where {asked} were asked for: it "
                "has no byte ranges, or is broken. Copy the store to another server, or download it",
            )


def _bytes_of(part: ByteRequest | None) -> int | None:
    """Return the maximum number of bytes of a byte range; None if the range has no limit."""
    if isinstance(part, RangeByteRequest):
        return part.end - part.start
    return part.suffix if isinstance(part, SuffixByteRequest) else None


async def read_value(store: Store, wanted: Wanted, prototype: Any) -> Any:
    """Return the value of a key as a buffer; None if the key does not exist.

    Parameters
    ----------
    store : zarr.abc.store.Store
    wanted : Wanted
    prototype : BufferPrototype

    Raises
    ------
    ChunkError or MetadataError
        If the value is longer than its limit.
    RemoteStoreError
        If the server is still busy at the last try, or sends more than was requested.
    """
    read = _reader_of(store)
    if read is None:
        return await tried(store, wanted, lambda: _get(store, wanted, prototype))
    if _bytes_of(wanted.part) == 0:
        return prototype.buffer.from_bytes(b"")
    value = await tried(store, wanted, lambda: read(store, wanted))
    return None if value is None else prototype.buffer.from_bytes(value)


async def first_failure_ends(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of coroutines that run concurrently; the first failure cancels the others."""
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _get(store: Store, wanted: Wanted, prototype: Any) -> Any:
    buffer = await store.get(wanted.key, prototype=prototype, byte_range=wanted.part)
    if buffer is not None and wanted.part is None:
        wanted.check_size(len(buffer))
    return buffer


# -- tries -----------------------------------------------------------------------------------------


async def tried(store: Store, wanted: Wanted, ask: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a request; it is repeated, after a wait, while the server is busy.

    Raises
    ------
    RemoteStoreError
        If the server is still busy at the last try.
    """
    tries = TRIES if _has_no_tries(store) else 1
    for number in range(1, tries + 1):
        try:
            return await ask()
        except Exception as error:
            status = getattr(error, "status", None)
            if status not in BUSY:
                raise
            if number == tries:
                raise RemoteStoreError(
                    errno.EIO,
                    f"{wanted.where}: the server is busy: it answered {status} to each of {tries} tries "
                    f"({error}); read it again later, or with fewer readers",
                ) from error
            await asyncio.sleep(_wait(error, number))
    raise AssertionError("the last try returns or raises")


def _has_no_tries(store: Store) -> bool:
    """Return whether the client of a store does not retry; the user's own clients are left as they are."""
    made = getattr(getattr(store, "fs", None), "get_client", None)
    return made is None or made.__module__ == "fsspec.implementations.http"


def _wait(error: Exception, number: int) -> float:
    """Return the number of seconds to wait after a try."""
    told = (getattr(error, "headers", None) or {}).get("Retry-After", "")
    wait = float(told) if told.isdecimal() else FIRST_WAIT * 2 ** (number - 1)
    return min(wait, LONGEST_WAIT)


# -- clients ---------------------------------------------------------------------------------------


async def _read_http(store: Any, wanted: Wanted) -> bytes | None:
    """Read a value with the session and the request options of fsspec's file system ``http``."""
    options = dict(store.fs.kwargs)
    if wanted.part is not None:
        options["headers"] = {**(options.get("headers") or {}), "Range": _header(wanted.part)}
    session = await store.fs.set_session()
    url = store.fs.encode_url(_path(store, wanted.key))
    async with session.get(url, **options) as answer:
        if answer.status == 404:
            return None
        answer.raise_for_status()
        # Leaving the context closes a connection whose body was not read to its end.
        return await _joined(answer.content.iter_any(), answer.content_length, wanted)


async def _read_s3(store: Any, wanted: Wanted) -> bytes | None:
    """Read a value with s3fs, which retries failed requests; a body that breaks off is read again here."""
    from s3fs.core import S3_RETRYABLE_ERRORS

    for number in range(1, store.fs.retries + 1):
        try:
            return await _read_s3_once(store, wanted)
        except store.allowed_exceptions:
            return None
        except S3_RETRYABLE_ERRORS:
            if number == store.fs.retries:
                raise
            await asyncio.sleep(min(FIRST_WAIT * 2 ** (number - 1), LONGEST_WAIT))
        except OSError as error:
            if "not satisfiable" not in str(error):
                raise
            return b""  # as in zarr-python: the byte range begins after the end
    raise AssertionError("the last try returns or raises")


async def _read_s3_once(store: Any, wanted: Wanted) -> bytes:
    bucket, name, version = store.fs.split_path(_path(store, wanted.key))
    options = {} if version is None else {"VersionId": version}
    if wanted.part is not None:
        options["Range"] = _header(wanted.part)
    answer = await call_s3(store.fs, "get_object", Bucket=bucket, Key=name, **options)
    body = answer["Body"]
    try:
        return await _joined(body.iter_chunks(PIECE_BYTES), answer.get("ContentLength"), wanted)
    finally:
        await _closed(body)


async def _closed(body: Any) -> None:
    done = body.close()  # a coroutine in aiobotocore's clients for httpx
    if done is not None:
        await done


async def _read_obstore(store: Any, wanted: Wanted) -> bytes | None:
    """Read a value with obstore."""
    try:
        answer = await store.store.get_async(wanted.key, options=_options_of_obstore(wanted.part))
        start, end = answer.range
        return await _joined(answer.stream(), end - start, wanted)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _options_of_obstore(part: ByteRequest | None) -> Any:
    if isinstance(part, RangeByteRequest):
        return {"range": (part.start, part.end)}
    if isinstance(part, OffsetByteRequest):
        return {"range": {"offset": part.offset}}
    return {} if part is None else {"range": {"suffix": part.suffix}}


async def _joined(pieces: AsyncIterator[Any], length: int | None, wanted: Wanted) -> bytes:
    """Return the body of an answer.

    Parameters
    ----------
    pieces : asynchronous iterator
    length : int or None
        Number of bytes that the server announces.
    wanted : Wanted
    """
    wanted.check_size(length or 0)
    found, n_bytes = [], 0
    async for piece in pieces:
        found.append(piece)
        n_bytes += len(piece)
        wanted.check_size(n_bytes)
    return b"".join(found)


def _header(part: ByteRequest) -> str:
    if isinstance(part, RangeByteRequest):
        return f"bytes={part.start}-{part.end - 1}"
    return (
        f"bytes=-{part.suffix}" if isinstance(part, SuffixByteRequest) else f"bytes={part.offset}-"
    )


def _path(store: FsspecStore, key: str) -> str:
    root = store.path.rstrip("/")
    return f"{root}/{key}" if root else key


Reader = Callable[[Any, Wanted], Awaitable[bytes | None]]

_READERS: Mapping[str, Reader] = {
    "fsspec.implementations.http": _read_http,
    "s3fs.core": _read_s3,
}
"""Readers by the module that defines how a file system reads; other classes use their own methods."""


def _reader_of(store: Store) -> Reader | None:
    """Return the function that reads values of a store in pieces; None if there is none."""
    get = type(store).get
    if get is ObjectStore.get:
        return _read_obstore
    if get is not FsspecStore.get or not isinstance(store, FsspecStore):
        return None
    return _READERS.get(module_that_reads(store.fs))


class BoundedStore(WrapperStore[Any]):
    """The store of one array, which never reads more of a value than its limit.

    Parameters
    ----------
    store : zarr.abc.store.Store
    uri : str
    most : int, optional
        Maximum number of bytes of a value; until the document is parsed, the limit for the name of the key.
    """

    def __init__(self, store: Store, uri: str, most: int | None = None) -> None:
        super().__init__(store)
        self.uri = uri
        self.most = most

    def _with_store(self, store: Any) -> BoundedStore:
        return type(self)(store, self.uri, self.most)

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:
        """Return the value of a key."""
        wanted = Wanted(key, self.uri, self.most, byte_range)
        return await read_value(self._store, wanted, prototype)

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Any]:
        """Return parts of values."""
        asked = (self.get(key, prototype, part) for key, part in key_ranges)
        return await first_failure_ends(asked)

    if hasattr(Store, "get_ranges"):
        # In zarr-python 3.2 and later the method of the wrapper bypasses `get`.
        get_ranges = Store.get_ranges


def bounded(store: Store, uri: str) -> Store:
    """Return the store of an array as a `BoundedStore`, if its client can read in pieces."""
    return store if _reader_of(store) is None else BoundedStore(store, uri)
