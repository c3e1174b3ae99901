"""Reads values of remote stores in pieces up to a limit, and retries while the server is busy.

The clients return a value when all of it is in memory, so that a server that sends without end takes all of
it. Here the clients of fsspec for HTTP and S3, and obstore, are asked for the body in pieces. Other clients,
and store objects of a class of the user's own, are asked for the whole value, which is measured afterwards.
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
"""What a server answers that has too much to do: the same request may succeed later."""

TRIES = 3
"""Of one request, where its client has no tries of its own."""

FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
"""Seconds between two tries; twice as long each time, or as the server says, up to the longest."""

PIECE_BYTES = 2**20

T = TypeVar("T")

CheckSize = Callable[[int], None]
"""Raises for a number of bytes that is too large."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a store.

    Attributes
    ----------
    key : str
    uri : str
        Of the store, for messages.
    most : int or None
        Bytes that the value may have; by its name where that is None.
    part : ByteRequest or None
        The part of the value that is wanted.
    """

    key: str
    uri: str
    most: int | None = None
    part: ByteRequest | None = None

    @property
    def where(self) -> str:
        """The place of the value, for messages."""
        return f"{self.uri}:/{self.key}"

    def check_size(self, n_bytes: int) -> None:
        """Raise an error if an answer has more bytes than it may have."""
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
    """Return how many bytes a part has at most; None where its request does not say so."""
    if isinstance(part, RangeByteRequest):
        return part.end - part.start
    return part.suffix if isinstance(part, SuffixByteRequest) else None


async def read_value(store: Store, wanted: Wanted, prototype: Any) -> Any:
    """Return what a store has for a key, as a buffer; None where it has nothing.

    Parameters
    ----------
    store : zarr.abc.store.Store
    wanted : Wanted
    prototype : BufferPrototype

    Raises
    ------
    ChunkError or MetadataError
        If the value has more bytes than it may have.
    RemoteStoreError
        If the server is still busy at the last try, or sends more than it was asked for.
    """
    read = _reader_of(store)
    if read is None:
        return await tried(store, wanted, lambda: _get(store, wanted, prototype))
    if _bytes_of(wanted.part) == 0:
        return prototype.buffer.from_bytes(b"")
    value = await tried(store, wanted, lambda: read(store, wanted))
    return None if value is None else prototype.buffer.from_bytes(value)


async def first_failure_ends(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of coroutines that run at the same time; where one fails, the others are stopped."""
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
    """Return what a request gives; it is repeated, after a wait, while the server is busy.

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
    """Whether the client of a store asks once; a user who has given another client has chosen its tries."""
    made = getattr(getattr(store, "fs", None), "get_client", None)
    return made is None or made.__module__ == "fsspec.implementations.http"


def _wait(error: Exception, number: int) -> float:
    """Return how many seconds to wait after a try."""
    told = (getattr(error, "headers", None) or {}).get("Retry-After", "")
    wait = float(told) if told.isdecimal() else FIRST_WAIT * 2 ** (number - 1)
    return min(wait, LONGEST_WAIT)


# -- clients ---------------------------------------------------------------------------------------


async def _read_http(store: Any, wanted: Wanted) -> bytes | None:
    """Read a value with the session of the file system ``http`` of fsspec, and its options of requests."""
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
    """Read a value with s3fs, which repeats a request that fails itself, and a body that breaks off here."""
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
            return b""  # as zarr-python has it: the part begins behind the end
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
    done = body.close()  # which the clients of aiobotocore for httpx have as a coroutine
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
        How many bytes it has, as the server says.
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
"""By the module that has the file system's own way to read: a class with another one is used as it is."""


def _reader_of(store: Store) -> Reader | None:
    """Return what reads values of a store in pieces; None where that is not known."""
    get = type(store).get
    if get is ObjectStore.get:
        return _read_obstore
    if get is not FsspecStore.get or not isinstance(store, FsspecStore):
        return None
    return _READERS.get(module_that_reads(store.fs))


class BoundedStore(WrapperStore[Any]):
    """The store of one array, of whose values no more is read than they may have.

    Parameters
    ----------
    store : zarr.abc.store.Store
    uri : str
    most : int, optional
        Bytes that a value of the array may have; by its name until the document was understood.
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
        # Of zarr-python 3.2 and later: the wrapper's own leads past `get`.
        get_ranges = Store.get_ranges


def bounded(store: Store, uri: str) -> Store:
    """Return the store of an array, bounded where its client can be; see `BoundedStore`."""
    return store if _reader_of(store) is None else BoundedStore(store, uri)
