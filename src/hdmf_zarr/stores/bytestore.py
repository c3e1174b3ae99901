"""Synchronous access to the keys of a store: get, set, list, delete.

Local folders are read and written as plain files: handing one small file over to zarr's event loop
costs fifty times the file itself. Every other store goes through its zarr object.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from hdmf_zarr.errors import MetadataError, MissingExtraError, ModeError, NotAStoreError
from hdmf_zarr.stores import compat
from hdmf_zarr.stores.location import Location
from hdmf_zarr.stores.names import is_inside


class ByteStore(Protocol):
    """Synchronous access to the keys of a store."""

    location: Location

    @property
    def zarr_store(self) -> Store:
        """The store as zarr-python takes it."""

    def get(self, key: str) -> bytes | None:
        """Value of a key, or None where there is none."""

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Values of the keys that exist, read concurrently where the store is remote."""

    def set(self, key: str, value: bytes) -> None:
        """Store a value in one operation."""

    def delete(self, key: str) -> None:
        """Remove a key if it exists."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every key below a prefix; the empty prefix is everything."""

    def list_prefix(self, prefix: str) -> Iterator[str]:
        """Keys below a prefix, in no order."""

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        """Keys whose last part is one of ``names``, without a look into the chunks of arrays."""

    def size(self, prefix: str) -> tuple[int, int]:
        """Number of keys below a prefix, and their bytes."""


class LocalByteStore:
    """A folder of this machine."""

    def __init__(self, location: Location, *, read_only: bool) -> None:
        self.location = location
        self.root = Path(location.uri)
        self.read_only = read_only
        self._zarr_store: Store | None = location.store

    @property
    def zarr_store(self) -> Store:
        if self._zarr_store is None:
            self._zarr_store = LocalStore(self.root, read_only=self.read_only)
        return self._zarr_store

    def moved_to(self, root: Path) -> None:
        """Follow the folder to the place to which it was renamed."""
        self.root = root
        self._zarr_store = None

    def _path(self, key: str) -> Path:
        if not is_inside(key):
            raise MetadataError(
                f"{self.location.uri}: the key {key!r:.200} leads out of the store; it is not used"
            )
        return self.root / key

    def get(self, key: str) -> bytes | None:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = ((key, self.get(key)) for key in keys)
        return {key: value for key, value in found if value is not None}

    def set(self, key: str, value: bytes) -> None:
        self._refuse_read_only(key)
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            try:
                temporary.write_bytes(value)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(value)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def delete(self, key: str) -> None:
        self._refuse_read_only(key)
        self._path(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        self._refuse_read_only(prefix)
        path = self._path(prefix)
        shutil.rmtree(path, ignore_errors=not path.exists())

    def list_prefix(self, prefix: str) -> Iterator[str]:
        base = self._path(prefix)
        for folder, _, files in os.walk(base):
            relative = Path(folder).relative_to(self.root)
            for name in files:
                yield (relative / name).as_posix()

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self.root):
            present = names.intersection(files)
            relative = Path(folder).relative_to(self.root)
            found += [(relative / name).as_posix() for name in present]
            # The chunks of an array with nested keys are in a folder "c" beside its document.
            if present and "c" in folders and not _has_any(Path(folder, "c"), names):
                folders.remove("c")
        return found

    def size(self, prefix: str) -> tuple[int, int]:
        sizes = [self._path(key).stat().st_size for key in self.list_prefix(prefix)]
        return len(sizes), sum(sizes)

    def _refuse_read_only(self, key: str) -> None:
        if self.read_only:
            raise ModeError(f"{self.location.uri}:/{key} cannot be written: the store is read-only")


class ZarrByteStore:
    """Any store of zarr-python."""

    def __init__(self, location: Location, store: Store) -> None:
        compat.ensure_open(store)
        self.location = location
        self.zarr_store = store

    def get(self, key: str) -> bytes | None:
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        wanted = list(keys)

        async def gather() -> list[Any]:
            prototype = compat.prototype()
            return await asyncio.gather(
                *(self.zarr_store.get(key, prototype=prototype) for key in wanted)
            )

        buffers = compat.run(gather())
        return {
            key: buffer.to_bytes()
            for key, buffer in zip(wanted, buffers, strict=True)
            if buffer is not None
        }

    def set(self, key: str, value: bytes) -> None:
        compat.run(self._set(key, value))

    async def _set(self, key: str, value: bytes) -> None:
        await self.zarr_store.set(key, compat.to_buffer(value))

    def delete(self, key: str) -> None:
        compat.run(self.zarr_store.delete(key))

    def delete_prefix(self, prefix: str) -> None:
        if prefix:
            compat.run(self.zarr_store.delete_dir(prefix))
        else:
            compat.run(self.zarr_store.clear())

    def list_prefix(self, prefix: str) -> Iterator[str]:
        async def collect() -> list[str]:
            start = prefix + "/" if prefix else ""
            try:
                return [key async for key in self.zarr_store.list_prefix(start)]
            except FileNotFoundError:
                return []

        yield from compat.run(collect())

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        return [key for key in self.list_prefix("") if key.rpartition("/")[2] in names]

    def size(self, prefix: str) -> tuple[int, int]:
        async def collect() -> list[int]:
            start = prefix + "/" if prefix else ""
            keys = [key async for key in self.zarr_store.list_prefix(start)]
            return list(await asyncio.gather(*(self.zarr_store.getsize(key) for key in keys)))

        sizes = compat.run(collect())
        return len(sizes), sum(sizes)


def _has_any(folder: Path, names: frozenset[str]) -> bool:
    return any((folder / name).exists() for name in names)


def open_bytestore(location: Location, *, read_only: bool) -> ByteStore:
    """Open a store without a request to it.

    Raises
    ------
    ModeError
        If it is to be written and the store object that the user gave is read-only.
    MissingExtraError
        If the URL needs a package that is not installed.
    """
    if location.is_local and not _is_zip(location):
        if location.store is not None and location.store.read_only and not read_only:
            raise ModeError(f"{location.uri}: the given store is read-only; open it with mode 'r'")
        return LocalByteStore(location, read_only=read_only)
    return ZarrByteStore(location, _zarr_store(location, read_only=read_only))


def _is_zip(location: Location) -> bool:
    return location.store is None and location.uri.endswith(".zip") and os.path.isfile(location.uri)


def _zarr_store(location: Location, *, read_only: bool) -> Store:
    store = location.store
    if store is not None:
        if store.read_only and not read_only:
            raise ModeError(f"{location.uri}: the given store is read-only; open it with mode 'r'")
        return _read_only(store) if read_only else store
    if _is_zip(location):
        return _open_zip(location)
    try:
        options: Mapping[str, Any] = location.storage_options or {}
        return FsspecStore.from_url(
            location.uri, storage_options=dict(options), read_only=read_only
        )
    except ImportError as error:
        raise MissingExtraError(
            f"{location.uri} needs packages that are not installed ({error}): "
            "pip install 'hdmf-zarr[remote]'"
        ) from error


def _read_only(store: Store) -> Store:
    try:
        return store if store.read_only else store.with_read_only(read_only=True)
    except NotImplementedError:
        return store


def _open_zip(location: Location) -> Store:
    import zipfile

    from zarr.storage import ZipStore

    if not zipfile.is_zipfile(location.uri):
        raise NotAStoreError(f"{location.uri} is a file, but no zip file: it holds no Zarr store")
    return ZipStore(location.uri, mode="r", read_only=True)
