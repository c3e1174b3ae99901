"""Errors of services and their clients, as errors of this package that name the store."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hdmf_zarr.errors import (
    ForbiddenError,
    HDMFZarrError,
    OptionError,
    RemoteStoreError,
    StoreNotFoundError,
)

CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "obstore", "urllib3"})
"""Packages whose errors belong to classes that callers do not expect."""

BROKEN = (ConnectionError, TimeoutError, EOFError)
"""Errors that clients raise when the connection to a server breaks off."""

_MAKERS_OF_CLIENTS = CLIENTS | {"adlfs", "fsspec", "gcsfs", "s3fs"}
"""Packages that make clients from the user's options, at the first request."""

_REFUSALS = frozenset({401, 403})


@contextmanager
def answers(where: str) -> Iterator[None]:
    """Convert errors of a service or its client to errors of this package.

    Parameters
    ----------
    where : str
        Store, or an object of it, for messages.

    Raises
    ------
    StoreNotFoundError
        If the bucket or the object does not exist.
    ForbiddenError
        If the service refuses access.
    OptionError
        If a client rejects the storage options.
    RemoteStoreError
        If the service answers with another error, or the transfer is broken off.
    """
    try:
        yield
    except HDMFZarrError:
        raise
    except Exception as error:
        named = _named(error, where)
        if named is None:
            raise
        raise named from error


def _named(error: Exception, where: str) -> HDMFZarrError | None:
    """Return the error of this package for an error of a service; None for other errors."""
    return next((name(error, where) for is_one, name in _KINDS if is_one(error)), None)


def _missing(error: Exception, where: str) -> HDMFZarrError:
    return StoreNotFoundError(f"{where}: {error}; check the URL")


def _mistyped(error: Exception, where: str) -> HDMFZarrError:
    return OptionError(f"{where}: its client does not take the storage_options ({error})")


def _refused(error: Exception, where: str) -> HDMFZarrError:
    return ForbiddenError(
        errno.EACCES,
        f"{where}: the service refuses access ({error}); give other credentials (storage_options, or the "
        "environment), or ask for the right",
    )


def _answered(error: Exception, where: str) -> HDMFZarrError:
    status = _status_of(error)
    message = f"{where}: the server answers {status} ({error}){_tries_of(error)}"
    if status in _REFUSALS:
        return ForbiddenError(errno.EACCES, message)
    return RemoteStoreError(errno.EIO, message)


def _broken_off(error: Exception, where: str) -> HDMFZarrError:
    said = f"{type(error).__name__}: {error}"
    return RemoteStoreError(
        errno.EIO, f"{where}: the transfer was broken off ({said}); read it again"
    )


def _failed(error: Exception, where: str) -> HDMFZarrError:
    return RemoteStoreError(errno.EIO, f"{where}: {type(error).__name__}: {error}")


def _is_of_makers(error: Exception) -> bool:
    """Return whether an error was raised by a package that makes clients, and not by this package."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = str(trace.tb_frame.f_globals.get("__name__", "")) if trace is not None else ""
    return name.partition(".")[0] in _MAKERS_OF_CLIENTS


_KINDS: tuple[
    tuple[Callable[[Exception], bool], Callable[[Exception, str], HDMFZarrError]], ...
] = (
    (lambda error: isinstance(error, FileNotFoundError), _missing),
    (lambda error: isinstance(error, TypeError) and _is_of_makers(error), _mistyped),
    (lambda error: isinstance(error, PermissionError), _refused),
    (lambda error: isinstance(_status_of(error), int), _answered),
    (lambda error: isinstance(error, BROKEN), _broken_off),
    (lambda error: type(error).__module__.partition(".")[0] in CLIENTS, _failed),
)
"""Tests of errors and the functions that convert them; the first test that is true decides."""


def _status_of(error: Exception) -> Any:
    """Return the HTTP status of an answer; s3fs keeps it in the error of botocore that caused its own."""
    if type(error) is OSError:
        return _answer_of(error).get("HTTPStatusCode")
    return getattr(error, "status", None)


def _tries_of(error: Exception) -> str:
    again = _answer_of(error).get("RetryAttempts")
    return "" if again is None else f"; its client has tried the last request {again + 1} times"


def _answer_of(error: Exception) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(error.__cause__, "response", None) or {}
    return answer.get("ResponseMetadata") or {}
