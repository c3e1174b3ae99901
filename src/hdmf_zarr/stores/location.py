"""The location of a store: one value for a path, a URL or a store object."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ZipStore

from hdmf_zarr.convention import SELF
from hdmf_zarr.errors import BrokenLinkError, OptionError
from hdmf_zarr.stores.urls import BUCKETS, check_spelling

OBJECT_PREFIX = "object:"
"""Prefix of the name of a store that exists only in this process."""

REMOTE_SCHEMES = frozenset(
    {"http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "hf"}
)
"""URL schemes to which a link may lead: those of services, none that wraps another file system."""

SAME_SCHEMES = {"s3a": "s3", "gcs": "gs"}
"""Aliases of schemes, and the schemes that they mean."""

_FILE_URL = re.compile(r"file:(//(localhost(?=/))?(?=/[A-Za-z]:)/|//(localhost(?=/))?|(?=/))", re.I)
"""The part of a local file's URL before the path, with the slash before a drive of Windows."""

SUPPORTED_ZARR_STORES = (LocalStore, FsspecStore, MemoryStore, ZipStore, Store)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is.

    Attributes
    ----------
    uri : str
        Absolute path with symbolic links resolved, URL without a trailing slash, or, for a store
        that exists only in this process, a unique name.
    is_local : bool
        Whether it is a folder of this machine.
    is_linkable : bool
        Whether another store can link to it: it is a folder or a URL.
    store : zarr.abc.store.Store or None
        The store object that the user gave.
    storage_options : dict or None
        Options for fsspec.
    given : str or None
        The path or URL as the user gave it.
    """

    uri: str
    is_local: bool
    is_linkable: bool = True
    store: Store | None = field(default=None, compare=False)
    storage_options: dict[str, Any] | None = field(default=None, compare=False)
    given: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.uri

    @property
    def spelling(self) -> str:
        """The path or URL as the user wrote it, for messages."""
        return self.given or self.uri


def locate(
    path: str | os.PathLike[str] | Store, storage_options: dict[str, Any] | None = None
) -> Location:
    """Return the location of a user's path, URL or store object.

    Parameters
    ----------
    path : str, os.PathLike or zarr.abc.store.Store
    storage_options : dict, optional
        Options for fsspec; only with a URL.

    Raises
    ------
    OptionError
        If ``path`` is none of these, or ``storage_options`` is given without a URL.
    """
    if isinstance(path, Store):
        if storage_options:
            raise OptionError(
                "storage_options are for URLs; a store object brings its own configuration"
            )
        return _locate_store(path)
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        raise OptionError(
            f"path must be a str, a Path or a zarr store, found {type(path).__name__}"
        )
    check_spelling(path)
    if is_url(path):
        return Location(
            _normalized_url(path), is_local=False, storage_options=storage_options, given=path
        )
    if storage_options:
        raise OptionError(
            f"storage_options are for URLs; {path!r} is a path of this machine: leave them out"
        )
    return Location(normalized_path(_without_file_scheme(path)), is_local=True, given=path)


def get_store_path(store: Store) -> str:
    """Return the absolute path or URL of a store."""
    return locate(store).uri


def _normalized_url(url: str) -> str:
    """Return the canonical form of a URL for which fsspec knows several."""
    scheme, separator, path = url.rstrip("/").partition("://")
    if scheme == "memory":
        path = path.lstrip("/")
    return f"{SAME_SCHEMES.get(scheme, scheme)}{separator}{path}"


def _without_file_scheme(path: str) -> str:
    """Return the path of a ``file:`` URL, in any of its forms; other paths as they are."""
    match = _FILE_URL.match(path)
    return path if match is None else path[match.end() :]


def is_url(path: str) -> bool:
    """Whether a path is a URL that fsspec opens (``s3://``, ``https://``, ``memory://``)."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.lower() != "file" and len(scheme) > 1


def is_bucket(location: Location) -> bool:
    """Return whether a location is a whole bucket, not a place in it."""
    inner = getattr(location.store, "store", None)  # the store of an `ObjectStore`
    if inner is not None and not location.is_linkable:
        return getattr(inner, "prefix", "") is None and "bucket" in getattr(inner, "config", {})
    scheme, _, path = location.uri.partition("://")
    return scheme in BUCKETS and "/" not in path.strip("/")


def options_of_each(
    paths: Sequence[Any], storage_options: dict[str, Any] | None
) -> list[dict[str, Any] | None]:
    """Return the storage options for each of several paths: all URLs among them get the options.

    If none is a URL, the last path gets them, so that `locate` raises an error.
    """
    are_urls = [isinstance(path, str) and is_url(path) for path in paths]
    if not any(are_urls):
        are_urls[-1] = True
    return [storage_options if is_one else None for is_one in are_urls]


def normalized_path(path: str | os.PathLike[str]) -> str:
    """Return the canonical form of a local path: absolute, without symbolic links or ``..``."""
    return os.path.realpath(os.path.expanduser(path))


def _locate_store(store: Store) -> Location:
    if isinstance(store, LocalStore):
        return Location(normalized_path(store.root), is_local=True, store=store)
    if isinstance(store, FsspecStore):
        url = _normalized_url(store.fs.unstrip_protocol(store.path))
        return Location(url, is_local=False, is_linkable=not url.startswith("memory:"), store=store)
    return Location(
        f"{OBJECT_PREFIX}{store!s}#{id(store)}", is_local=False, is_linkable=False, store=store
    )


def location_of_uri(uri: str) -> Location:
    """Return the location for a ``uri`` of `locate`, for example the source of a builder."""
    if uri.startswith(OBJECT_PREFIX):
        return Location(uri, is_local=False, is_linkable=False)
    return locate(uri)


def can_link(target: Location, base: Location) -> bool:
    """Return whether a store can contain a link to another one that its readers resolve.

    A remote store cannot link to this machine's disk, see `resolve_source`.
    """
    if target == base:
        return True
    if target.is_local or not target.is_linkable:
        return target.is_linkable and base.is_local
    return _are_beside(target, base) or _is_followed(target.uri, base)


def relative_source(target: Location, base: Location) -> str:
    """Return the ``source`` of a link to a store: ``"."``, a relative path, or an absolute URL.

    This is the inverse of `resolve_source`. A path is relative to ``base`` itself, with slashes on
    every system, so that both stores can be moved together.

    Raises
    ------
    OptionError
        If no other store can link to the target, because it exists only in this process.
    """
    if target == base:
        return SELF
    if not target.is_linkable:
        raise OptionError(f"{base.uri} cannot link to {target.uri}, which only this process has")
    if target.is_local and base.is_local:
        try:
            return Path(os.path.relpath(target.uri, base.uri)).as_posix()
        except ValueError:  # Windows: on another drive
            return Path(target.uri).as_posix()
    if _are_beside(target, base):
        paths = urlsplit(target.uri).path or "/", urlsplit(base.uri).path or "/"
        return posixpath.relpath(*paths)
    return Path(target.uri).as_uri() if target.is_local else target.uri


def resolve_source(source: str, base: Location) -> Location:
    """Return the location to which a link's ``source`` leads; inverse of `relative_source`.

    Raises
    ------
    BrokenLinkError
        If a link may not lead to the source, or the store exists only in this process.
    """
    if source in (SELF, ""):
        return base
    if is_url(source):
        return _resolve_url(source, base)
    source = _without_file_scheme(source).replace("\\", "/")
    if base.is_local:
        return Location(normalized_path(os.path.join(base.uri, source)), is_local=True)
    if not base.is_linkable:
        raise BrokenLinkError(
            f"{base.uri}: a store that only this process has cannot hold a link to {source!r}"
        )
    if os.path.isabs(source):
        raise BrokenLinkError(
            f"{base.uri}: a link to {source!r} would leave the remote store for this machine's disk; "
            "it is not followed"
        )
    if "::" in source:
        raise BrokenLinkError(_not_followed(source, base))
    url = _join(base.uri, source).rstrip("/")
    return Location(url, is_local=False, storage_options=base.storage_options)


def _are_beside(target: Location, base: Location) -> bool:
    """Return whether two URLs differ only in their paths."""
    if target.is_local or base.is_local:
        return False
    return urlsplit(target.uri)[:2] == urlsplit(base.uri)[:2]


def _is_followed(url: str, base: Location) -> bool:
    """Return whether a link of a store may lead to a URL.

    fsspec has URLs of this machine's disk (``local://``, ``simplecache::file://``), and file systems that
    execute instructions from a file (``reference::``).
    """
    scheme = urlsplit(url).scheme
    is_memory = scheme == "memory" and (base.is_local or base.uri.startswith("memory:"))
    return "::" not in url and (scheme in REMOTE_SCHEMES or is_memory)


def _not_followed(source: str, base: Location) -> str:
    allowed = ", ".join(sorted(REMOTE_SCHEMES))
    return (
        f"{base.uri}: a link to {source!r:.200} is not followed: it could lead to this machine's disk, or "
        f"run what a file says. Links lead to paths of the store's own kind, and to URLs of {allowed}"
    )


def _resolve_url(url: str, base: Location) -> Location:
    url = _normalized_url(url)
    target, own = urlsplit(url), urlsplit(base.uri)
    if not _is_followed(url, base):
        raise BrokenLinkError(_not_followed(url, base))
    # Options may contain a password, which only the service that the user named may receive.
    is_same_service = target.scheme == own.scheme and (
        target.netloc == own.netloc or not target.scheme.startswith("http")
    )
    options = base.storage_options if is_same_service else None
    return Location(url, is_local=False, storage_options=options)


def _join(url: str, relative: str) -> str:
    scheme, _, path = url.partition("://")
    bucket, slash, key = path.partition("/")
    joined = posixpath.normpath(posixpath.join("/" + key, relative)).lstrip("/")
    return f"{scheme}://{bucket}{slash or '/'}{joined}"
