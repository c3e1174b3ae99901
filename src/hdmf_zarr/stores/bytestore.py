"""Synchronous access to the keys of a store: get, set, list, delete.

Local folders are read and written as plain files, since reading a small file through zarr's event loop
takes fifty times as long. Every other store is used through its zarr object.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

from zarr.abc.store import ByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.storage import FsspecStore, LocalStore

from hdmf_zarr.core.limits import check_encoded_size, check_size_of_key
from hdmf_zarr.errors import (
    MetadataError,
    MissingExtraError,
    ModeError,
    NotAStoreError,
    OptionError,
    StoreExistsError,
)
from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.anonymous import S3_SCHEMES, with_unsigned
from hdmf_zarr.stores.answers import answers
from hdmf_zarr.stores.bounded import CheckSize, Wanted, first_failure_ends, read_value
from hdmf_zarr.stores.contained import BINARY, ContainedStore, OwnFolders, open_regular
from hdmf_zarr.stores.keys import is_inside
from hdmf_zarr.stores.location import Location
from hdmf_zarr.stores.objects import PROCESS_LOCK, StoredObjects, Version, objects_of
from hdmf_zarr.stores.open_files import OpenedFile, read_on
from hdmf_zarr.stores.wrappers import read_only_view


class ByteStore(Protocol):
    """Synchronous access to the keys of a store."""

    location: Location

    @property
    def zarr_store(self) -> Store:
        """The store as an object of zarr-python."""

    def get(self, key: str, most: int | None = None) -> bytes | None:
        """Return the value of a key; None if the key does not exist.

        Parameters
        ----------
        key : str
        most : int, optional
            Maximum number of bytes of a chunk; by default, the limit for the name of the key.

        Raises
        ------
        ChunkError or MetadataError
            If the value is longer; raised before the whole value is in memory.
        """

    def get_many(
        self, keys: Iterable[str], most: Mapping[str, int] | None = None
    ) -> dict[str, bytes]:
        """Return the values of the keys that exist; a remote store reads them concurrently; see `get`."""

    def set(self, key: str, value: bytes | memoryview) -> None:
        """Store a value in one operation. The memory of a view can be reused afterwards."""

    def copy(self, key: str, new_key: str) -> None:
        """Store the value of a key under another key in one operation, if the key exists."""

    def writer(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """Return a file whose content is stored, in one operation, when it is closed without error."""

    def flush(self) -> None:
        """Store the values that wait for a batch, before the store is read in another way."""

    def delete(self, key: str) -> None:
        """Remove a key if it exists."""

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove exactly these keys, in batches where the store is remote; missing keys are ignored."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every key below a prefix; the empty prefix means all keys."""

    def list_prefix(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a prefix, in no particular order."""

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        """Return the keys whose last part is one of ``names``; local stores skip folders of chunks."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the number of bytes of each object below a prefix, by key."""


Part = tuple[str, int, int]
"""Part of a value: the key, the start (counted from the end if negative), the number of bytes."""


class LocalByteStore:
    """A folder of this machine."""

    def __init__(self, location: Location, *, read_only: bool) -> None:
        self.location = location
        self.root = Path(location.uri)
        self.read_only = read_only
        self.is_unseen = False
        self._made: set[str] = set()
        self._own = OwnFolders(str(self.root))
        self._zarr_store: Store | None = location.store

    @property
    def zarr_store(self) -> Store:
        if self._zarr_store is None:
            self._zarr_store = LocalStore(self.root, read_only=self.read_only)
            # zarr-python 2 has this attribute; neuroconv uses it to find what a file already contains.
            vars(self._zarr_store)["path"] = str(self.root)
        return self._zarr_store

    def moved_to(self, root: Path, *, unseen: bool = False) -> None:
        """Use the path to which the folder was renamed.

        Parameters
        ----------
        root : Path
        unseen : bool
            Whether the folder has no readers yet. Files are then written in place, without a rename.
        """
        self.root = root
        self.is_unseen = unseen
        self._made.clear()
        self._own = OwnFolders(str(root))
        self._zarr_store = None

    def _path(self, key: str) -> Path:
        return Path(self._file(key)) if key else self.root

    def _file(self, key: str) -> str:
        if not is_inside(key):
            raise MetadataError(
                f"{self.location.uri}: the key {key!r:.200} leads out of the store; it is not used"
            )
        return f"{self.root}/{key}"

    def _file_to_change(self, key: str) -> str:
        """Return the path of the file of a key that will be written or removed."""
        self._refuse_read_only(key)
        path = self._file(key)
        if not self.is_unseen:
            self._own.check(key)
        return path

    def check_own(self, key: str) -> None:
        """Raise `EscapeError` if a key is behind a symbolic link, where nothing is changed."""
        self._file(key)
        self._own.check(key)

    def contained_store(self) -> Store:
        """Return a store for one array that reads only regular files; see `ContainedStore`."""
        store = self.zarr_store
        if type(store) is not LocalStore:  # a class of the user
            return store
        return ContainedStore(self.root, read_only=store.read_only)

    def get(self, key: str, most: int | None = None) -> bytes | None:
        where = f"{self.location.uri}:/{key}"
        try:
            return _read_file(
                self._file(key), lambda size: check_size_of_key(key, size, most, where)
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def open_file(self, key: str) -> OpenedFile | None:
        """Open the file of a key to read parts of it; return None if it does not exist."""
        try:
            return OpenedFile(self._file(key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def path_of(self, key: str) -> str:
        """Return the path of the file of a key."""
        return self._file(key)

    def get_into(self, key: str, room: Callable[[int], memoryview], most: int) -> memoryview | None:
        """Read the value of a key into existing memory; return None if the key does not exist.

        Parameters
        ----------
        key : str
        room : callable
            Function that returns memory for a number of bytes.
        most : int
            Maximum number of bytes of the value.

        Raises
        ------
        ChunkError
            If the value is longer.
        """
        try:
            descriptor, found = open_regular(self._file(key))
            with io.FileIO(descriptor) as file:
                size = found.st_size
                check_encoded_size(size, most, f"{self.location.uri}:/{key}")
                view, end = room(size + 1), 0
                while count := file.readinto(view[end:]):
                    end += count
                    if end == len(view):  # the file has grown meanwhile
                        return memoryview(bytes(view) + file.readall())
                return view[:end]
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def get_many(
        self, keys: Iterable[str], most: Mapping[str, int] | None = None
    ) -> dict[str, bytes]:
        limits = most or {}
        found = ((key, self.get(key, limits.get(key))) for key in keys)
        return {key: value for key, value in found if value is not None}

    def set(self, key: str, value: bytes | memoryview) -> None:
        path = self._file_to_change(key)
        if self.is_unseen:
            self._make_folder(os.path.dirname(path))
            _write_file(path, value)
            return
        temporary = f"{path}.{uuid.uuid4().hex}.partial"
        try:
            _write_file(temporary, value)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def make_folder(self, prefix: str) -> None:
        """Make the folder of a prefix and its parent folders."""
        self._make_folder(self._file_to_change(f"{prefix}/").rstrip("/"))

    def _make_folder(self, folder: str) -> None:
        if self.is_unseen and folder in self._made:
            return
        _make_folder(folder)
        self._made.add(folder)

    def copy(self, key: str, new_key: str) -> None:
        path, source = self._file_to_change(new_key), self._file(key)
        self._own.check(key)
        if not _is_file_or_link(source):
            return
        temporary = f"{path}.{uuid.uuid4().hex}.partial"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            try:
                # Files are only replaced, so a hard link is a copy that takes no space.
                # A symbolic link is copied as a link.
                os.link(source, temporary, follow_symlinks=False)
            except (OSError, NotImplementedError):
                shutil.copyfile(source, temporary, follow_symlinks=False)
            os.replace(temporary, path)
        finally:
            # A rename between two hard links of the same file does nothing and leaves both.
            Path(temporary).unlink(missing_ok=True)

    def flush(self) -> None:
        pass

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        path = self._file_to_change(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex}.partial"
        try:
            with open(temporary, "wb") as file:
                yield file
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def delete(self, key: str) -> None:
        path = self._file_to_change(key)
        try:
            os.unlink(path)  # noqa: PTH108 - called for thousands of keys
        except FileNotFoundError:
            return

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        path = Path(self._file_to_change(prefix)) if prefix else self._path(prefix)
        self._refuse_read_only(prefix)
        self._made.clear()
        if path.is_symlink() and prefix:
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=not path.exists())

    def list_prefix(self, prefix: str) -> Iterator[str]:
        prefix = prefix.rstrip("/")
        waiting = [prefix + "/" if prefix else ""]
        while waiting:
            start = waiting.pop()
            folders, files = _listed(self._file(start) if start else str(self.root))
            waiting += [f"{start}{name}/" for name in folders]
            for name in files:
                yield start + name

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        found = []
        waiting = [""]
        while waiting:
            start = waiting.pop()
            folders, files = _listed(f"{self.root}/{start}")
            present = names.intersection(files)
            found += [start + name for name in present]
            # The chunks of an array with nested keys are in a folder "c" next to its document.
            if present and "c" in folders and not _has_any(f"{self.root}/{start}c", names):
                folders.remove("c")
            waiting += [f"{start}{name}/" for name in folders]
        return found

    def sizes(self, prefix: str = "") -> dict[str, int]:
        return {key: _file_size(f"{self.root}/{key}") for key in self.list_prefix(prefix)}

    def _refuse_read_only(self, key: str) -> None:
        if self.read_only:
            raise ModeError(f"{self.location.uri}:/{key} cannot be written: the store is read-only")


def _file_size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # a symbolic link without a target


def _request(start: int, count: int) -> ByteRequest:
    return SuffixByteRequest(-start) if start < 0 else RangeByteRequest(start, start + count)


def _is_file_or_link(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _make_folder(folder: str) -> None:
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)


def _read_file(path: str, check_size: CheckSize) -> bytes:
    """Return the content of a file with three system calls; a file object takes six."""
    descriptor, found = open_regular(path)
    try:
        size = found.st_size
        check_size(size)
        return read_on(descriptor, size)
    finally:
        os.close(descriptor)


def _write_file(path: str, value: bytes | memoryview) -> None:
    """Write a file and its missing folders; without ``pathlib``, which is slow for thousands of files."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    try:
        try:
            remaining = memoryview(value).cast("B")
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
        finally:
            os.close(descriptor)
    except OSError as error:  # without a path, for example when the disk is full
        raise OSError(error.errno, error.strerror, path) from error


class ZarrByteStore:
    """Any store of zarr-python.

    Attributes
    ----------
    covered : frozenset of str
        Keys of the store that this one will replace. Until then they are hidden and kept.
    """

    def __init__(self, location: Location, store: Store) -> None:
        event_loop.ensure_open(store)
        self.location = location
        self.zarr_store = store
        self.covered: frozenset[str] = frozenset()

    @cached_property
    def objects(self) -> StoredObjects:
        """Access to single objects and their versions."""
        return objects_of(self.zarr_store)

    def get(self, key: str, most: int | None = None) -> bytes | None:
        return self.get_many([key], None if most is None else {key: most}).get(key)

    def get_many(
        self, keys: Iterable[str], most: Mapping[str, int] | None = None
    ) -> dict[str, bytes]:
        limits, uri = most or {}, self.location.uri
        wanted = [Wanted(key, uri, limits.get(key)) for key in keys if key not in self.covered]
        return {one.key: value for one, value in self._read(wanted) if value is not None}

    def get_parts(self, parts: Iterable[Part]) -> dict[Part, bytes]:
        """Return parts of values, for the keys that exist; they are read concurrently."""
        asked = list(parts)
        wanted = [Wanted(part[0], self.location.uri, None, _request(*part[1:])) for part in asked]
        found = zip(asked, self._read(wanted), strict=True)
        return {part: value for part, (_, value) in found if value is not None}

    def _read(self, wanted: Sequence[Wanted]) -> list[tuple[Wanted, bytes | None]]:
        prototype = event_loop.prototype()

        async def get(one: Wanted) -> bytes | None:
            with answers(one.where):
                buffer = await read_value(self.zarr_store, one, prototype)
            return None if buffer is None else buffer.to_bytes()

        async def gather() -> list[bytes | None]:
            return await first_failure_ends(get(one) for one in wanted)

        return list(zip(wanted, event_loop.run(gather()), strict=True))

    def set(self, key: str, value: bytes | memoryview) -> None:
        self.refuse_covered(key)
        # A store in memory keeps the given object, so a view is copied.
        event_loop.run(self._set(key, bytes(value) if isinstance(value, memoryview) else value))

    def refuse_covered(self, key: str) -> None:
        """Raise `StoreExistsError` for a key of the store that will be replaced."""
        if key in self.covered:
            raise StoreExistsError(
                f"{self.location.uri}:/{key} is an object of the store that is there, which stays until the "
                "new one is complete, and the new one needs the same name; write to another place"
            )

    def copy(self, key: str, new_key: str) -> None:
        value = self.get(key)
        if value is not None:
            self.set(new_key, value)

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        buffer = io.BytesIO()
        yield buffer
        self.set(key, buffer.getvalue())

    async def _set(self, key: str, value: bytes) -> None:
        with answers(f"{self.location.uri}:/{key}"):
            await self.zarr_store.set(key, event_loop.to_buffer(value))

    def flush(self) -> None:
        pass

    def delete(self, key: str) -> None:
        self.delete_many([key])

    def delete_many(self, keys: Iterable[str]) -> None:
        wanted = [key for key in keys if key not in self.covered]
        if wanted:
            with answers(self.location.uri):
                event_loop.run(self.objects.delete(wanted))

    def delete_prefix(self, prefix: str) -> None:
        self.delete_many(list(self.list_prefix(prefix)))

    def list_prefix(self, prefix: str) -> Iterator[str]:
        async def collect() -> list[str]:
            with answers(f"{self.location.uri}:/{prefix}"):
                if not prefix:
                    return await self.objects.list_below()
                start = prefix + "/"
                try:
                    found = [key async for key in self.zarr_store.list_prefix(start)]
                except FileNotFoundError:
                    return []
                # If nothing is below the prefix, some stores list the object named like the prefix.
                return [key for key in found if key.startswith(start)]

        found = event_loop.run(collect())
        self.objects.forget_listings()
        yield from (key for key in found if key not in self.covered)

    def metadata_keys(self, names: frozenset[str]) -> list[str]:
        return [key for key in self.list_prefix("") if key.rpartition("/")[2] in names]

    def sizes(self, prefix: str = "") -> dict[str, int]:
        with answers(f"{self.location.uri}:/{prefix}"):
            found = event_loop.run(self.objects.sizes(prefix + "/" if prefix else ""))
        self.objects.forget_listings()
        return {key: size for key, size in found.items() if key not in self.covered}

    def roots_above(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return name and folder of the root documents of stores that contain this one.

        The folders above it are known only for file systems of fsspec.
        """
        store = self.zarr_store
        if not isinstance(store, FsspecStore):
            return []
        parts, start = store.path.strip("/").split("/"), "/" * store.path.startswith("/")
        folders = [start + "/".join(parts[:count]) for count in range(1, len(parts))]
        wanted = [(name, folder) for folder in folders for name in names]

        async def is_there(name: str, folder: str) -> bool:
            outer = FsspecStore(store.fs, path=folder, read_only=True)
            try:
                return await objects_of(outer).version(name) is not None
            except PermissionError:  # a folder that the user cannot read is not searched
                return False

        async def gather() -> list[bool]:
            return list(await asyncio.gather(*(is_there(*one) for one in wanted)))

        with answers(self.location.uri):
            found = event_loop.run(gather())
        return [one for one, is_one in zip(wanted, found, strict=True) if is_one]

    def version(self, key: str) -> Version | None:
        """Return the version of an object; None if it does not exist."""
        return self.versions([key])[key]

    def versions(self, keys: Iterable[str]) -> dict[str, Version | None]:
        """Return the versions of several objects, with concurrent requests."""
        wanted = list(keys)

        async def gather() -> list[Version | None]:
            return list(await asyncio.gather(*map(self.objects.version, wanted)))

        with answers(self.location.uri):
            return dict(zip(wanted, event_loop.run(gather()), strict=True))

    def why_missing(self) -> str | None:
        """Return why the store has no objects; None if it has some, or if the reason is unknown."""
        with answers(self.location.uri):
            return event_loop.run(self.objects.why_missing())

    def put_if(self, key: str, value: bytes, expected: Version | None) -> bool:
        """Store an object if it has the expected version (None: no object); return whether it was stored.

        Raises
        ------
        NoConditionsError
            If the service has no conditional puts.
        """
        with answers(f"{self.location.uri}:/{key}"), PROCESS_LOCK:
            return event_loop.run(self.objects.put_if(key, value, expected))


def _has_any(folder: str, names: frozenset[str]) -> bool:
    return any(os.path.exists(f"{folder}/{name}") for name in names)


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder, without links to folders.

    ``os.walk`` skips unreadable folders without an error, and takes twice the time.
    """
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir():
                    files.append(entry.name)
                elif not entry.is_symlink():
                    folders.append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    return folders, files


def open_bytestore(location: Location, *, read_only: bool) -> ByteStore:
    """Open a store without a request to it.

    Raises
    ------
    ModeError
        If the store is opened for writing and the user's store object is read-only.
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
        return read_only_view(store) if read_only else store
    if _is_zip(location):
        return _open_zip(location)
    options = with_unsigned(location.uri, location.storage_options, read_only=read_only)
    try:
        return FsspecStore.from_url(location.uri, storage_options=options, read_only=read_only)
    except ImportError as error:
        raise MissingExtraError(
            f"{location.uri} needs packages that are not installed ({error}): install "
            f"{_packages_for(location.uri)}"
        ) from error
    except ValueError as error:
        raise OptionError(
            f"{location.uri} is not a URL that fsspec opens with the storage_options "
            f"{sorted(options)}: {error}"
        ) from error


def _packages_for(uri: str) -> str:
    """Return what to install for a URL; the extra of this package has clients for HTTP and S3 only."""
    of_extra = ("http://", "https://", *S3_SCHEMES)
    return "'hdmf-zarr[remote]'" if uri.startswith(of_extra) else "them beside 'hdmf-zarr[remote]'"


def _open_zip(location: Location) -> Store:
    import zipfile

    from zarr.storage import ZipStore

    if not zipfile.is_zipfile(location.uri):
        raise NotAStoreError(f"{location.uri} is a file, but no zip file: it holds no Zarr store")
    return ZipStore(location.uri, mode="r", read_only=True)
