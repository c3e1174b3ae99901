"""Proofs of the identity of a store: device and inode, the mapping behind it, bucket and prefix.

Nothing is proved for an unknown file system or store, see `stores.identity_evidence`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, ZipStore

from hdmf_zarr.stores import wrappers
from hdmf_zarr.stores.anonymous import with_unsigned
from hdmf_zarr.stores.location import Location, normalized_path

logger = logging.getLogger(__name__)

FOLDER = "folder"
MEMORY = "memory"
S3 = "s3"

THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})
"""Host names of servers on this machine."""

AWS = "amazonaws.com"

PORTS = {"http": 80, "https": 443}

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Environment variables with the URL of an S3 server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The proof of where a store is.

    Attributes
    ----------
    kind : str
        `FOLDER`, `MEMORY`, or the scheme of a file system.
    keys : tuple
        One key for each enclosing folder, the outermost first; the last key is that of the store.
    service : object
        Name of the service that holds the store. Two names can mean the same service.
    is_view : bool
        Whether an unknown class of store may give the objects other names.
    """

    kind: str
    keys: tuple[Hashable, ...]
    service: Hashable = None
    is_view: bool = False


def place_of(location: Location) -> Place | None:
    """Return the proof of where a store is, or would be; None if there is none. It makes no request.

    Parameters
    ----------
    location : Location
    """
    if location.store is not None:
        return place_of_store(location.store)
    if location.is_local:
        return _folder(location.uri)
    try:
        return _of_url(location)
    except (ImportError, ValueError, NotImplementedError) as error:  # opening reports it
        logger.debug("%s: nothing is known of the place: %s", location.uri, error)
        return None


def place_of_store(store: Store) -> Place | None:
    """Return the proof of where a store object has its objects; None if there is none."""
    inner = wrappers.innermost_store(store)
    describe = next((known for kind, known in _DESCRIBED.items() if isinstance(inner, kind)), None)
    place = None if describe is None else describe(inner)
    return place if place is None else replace(place, is_view=is_view(store))


def is_view(store: Store) -> bool:
    """Return whether a store, or one that it wraps, may rename objects: its class is not zarr's."""
    inner = wrappers.wrapped_store(store)
    is_of_zarr = type(store).__module__.partition(".")[0] == "zarr"
    return not is_of_zarr or (inner is not None and is_view(inner))


def _folder(path: str | os.PathLike[str]) -> Place:
    """Return the place of a folder or file, by device and inode of the folders that exist."""
    own = Path(normalized_path(path))
    keys: list[Hashable] = []
    for folder in (*reversed(own.parents), own):
        try:
            found = os.stat(folder)
        except OSError:
            keys.append((*keys[-1:], folder.name))
        else:
            keys.append((found.st_dev, found.st_ino) if found.st_ino else str(folder))
    return Place(kind=FOLDER, keys=tuple(keys))


def _below(kind: str, root: Hashable, path: str, service: Hashable = None) -> Place:
    """Return the place of a path below a root, for example a prefix in a bucket."""
    parts = [part for part in path.split("/") if part]
    keys = tuple((root, *parts[:count]) for count in range(len(parts) + 1))
    return Place(kind=kind, keys=keys, service=service)


# -- store objects ---------------------------------------------------------------------------------


def _of_memory(store: Any) -> Place:
    return _below(MEMORY, id(wrappers.mapping_of(store)), "")


def _of_url(location: Location) -> Place | None:
    """Return the place of a URL; fsspec's cache has the same file system when the store is opened."""
    from fsspec.core import url_to_fs

    options = with_unsigned(location.uri, location.storage_options, read_only=True)
    return _of_file_system(*url_to_fs(location.uri, **{"asynchronous": True, **options}))


def _of_file_system(file_system: Any, path: str) -> Place | None:
    """Return the place of a path in a file system of fsspec."""
    while (inner := _inner_file_system(file_system, path)) is not None:
        file_system, path = inner
    kind = _protocol(file_system)
    if kind == "file":
        return _folder(path)
    if kind == MEMORY:
        return _below(MEMORY, id(file_system.store), path)
    if kind == S3:
        bucket, _, key = path.partition("/")
        return _below(S3, bucket, key, _service(_endpoint_of_s3fs(file_system)))
    return _below(kind, "", path, file_system)


def _inner_file_system(file_system: Any, path: str) -> tuple[Any, str] | None:
    """Return the file system that another one wraps, and the path in it; None if it wraps none."""
    inner = getattr(file_system, "sync_fs", None)  # zarr wraps synchronous file systems
    if inner is not None:
        return inner, path
    inner = getattr(file_system, "fs", None)
    if inner is None:
        return None
    if _protocol(file_system) == "dir":
        return inner, f"{file_system.path}/{path}" if file_system.path else path
    return (inner, path) if _is_cache(file_system) else None


def _is_cache(file_system: Any) -> bool:
    return any("cache" in name for name in _protocols(file_system))


def _protocols(file_system: Any) -> tuple[str, ...]:
    protocol = file_system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _protocol(file_system: Any) -> str:
    return _protocols(file_system)[0]


def _of_object_store(store: Any) -> Place | None:
    """Return the place of a store of obstore, by the name of its class."""
    inner = store.store
    name, prefix = type(inner).__name__, str(getattr(inner, "prefix", None) or "")
    if name == "LocalStore":
        return _folder(prefix or os.sep)
    if name == "MemoryStore":
        return _below(MEMORY, id(inner), "")
    if name == "S3Store":
        bucket, endpoint = _setting(inner, "bucket"), _setting(inner, "endpoint")
        return _below(S3, bucket, prefix, _service(endpoint))
    if name == "GCSStore":
        return _below("gs", "", f"{_setting(inner, 'bucket')}/{prefix}", name)
    if name == "AzureStore":
        return _below("abfs", "", f"{_setting(inner, 'container')}/{prefix}", name)
    return None


def _setting(store: Any, name: str) -> str | None:
    """Return a setting of a store of obstore, where each setting has several names."""
    found = (value for key, value in store.config.items() if name in key)
    return next((str(value) for value in found), None)


_DESCRIBED: dict[type[Store], Callable[[Any], Place | None]] = {
    LocalStore: lambda store: _folder(store.root),
    ZipStore: lambda store: _folder(store.path),
    MemoryStore: _of_memory,
    FsspecStore: lambda store: _of_file_system(store.fs, store.path),
    ObjectStore: _of_object_store,
}


# -- services --------------------------------------------------------------------------------------


def _endpoint_of_s3fs(file_system: Any) -> str | None:
    given = getattr(file_system, "endpoint_url", None)
    return given or (getattr(file_system, "client_kwargs", None) or {}).get("endpoint_url")


def _service(endpoint: str | None) -> str | None:
    """Return the unique name of an S3 service; None if its client reads it from configuration files."""
    endpoint = endpoint or next(filter(None, map(os.environ.get, ENDPOINT_VARIABLES)), None)
    if endpoint is None:
        return None
    url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    host = url.hostname or ""
    if host == AWS or host.endswith((f".{AWS}", f".{AWS}.cn")):
        return AWS
    host = "localhost" if host in THIS_MACHINE else host
    return f"{host}:{url.port or PORTS.get(url.scheme)}{url.path.rstrip('/')}"
