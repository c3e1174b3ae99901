"""The errors of this package; imported by every room, imports none.

Each error is also the builtin (or HDMF) error that a caller would expect::

    HDMFZarrError
    ├── StoreNotFoundError        FileNotFoundError      nothing is at the path
    ├── NotAStoreError            ValueError             the path holds no Zarr hierarchy
    ├── StoreExistsError          FileExistsError        the path exists and may not be replaced
    ├── ObjectExistsError         ValueError             the store already has an object of that name
    ├── NoDataError               UnsupportedOperation   a Zarr hierarchy without HDMF data
    ├── ModeError                 UnsupportedOperation   the mode does not allow the operation
    ├── LockedError               BlockingIOError        another writer is writing to the store
    ├── ForbiddenError            PermissionError        a store that may not be read or written
    ├── RemoteStoreError          OSError                a service that is unreachable or fails
    ├── UnsupportedFormatError    NotImplementedError    an unknown Zarr format or document
    ├── MetadataError             ValueError             an invalid metadata document
    ├── ChunkError                MetadataError, RuntimeError  a damaged chunk
    ├── SpecialFileError          ChunkError, OSError    a pipe or device where an object should be
    ├── EscapeError               PermissionError        a change that would follow a link out of the store
    ├── BrokenLinkError           KeyError, ValueError   a link or reference without a target
    ├── DtypeError                TypeError, ValueError  a data type that has no representation
    ├── EncodingError             ValueError             a value that its data type cannot hold
    ├── LayoutError               ValueError             chunks, shards or codecs that do not fit
    ├── OptionError               ValueError, TypeError  an option that is not valid here
    ├── MissingExtraError         ImportError            an optional dependency is not installed
    ├── LostWriteError            OSError                a store confirmed a write and lost it
    └── WorkerError               RuntimeError           a writing worker failed or was killed
"""

from __future__ import annotations

from hdmf.backends.errors import UnsupportedOperation

__all__ = [
    "BrokenLinkError",
    "ChunkError",
    "DtypeError",
    "EncodingError",
    "EscapeError",
    "ForbiddenError",
    "HDMFZarrError",
    "LayoutError",
    "LockedError",
    "LostWriteError",
    "MetadataError",
    "MissingExtraError",
    "ModeError",
    "NoDataError",
    "NotAStoreError",
    "ObjectExistsError",
    "OptionError",
    "RemoteStoreError",
    "SpecialFileError",
    "StoreExistsError",
    "StoreNotFoundError",
    "UnsupportedFormatError",
    "WorkerError",
]


class HDMFZarrError(Exception):
    """Base of every error that this package raises on purpose."""


class StoreNotFoundError(HDMFZarrError, FileNotFoundError):
    """Nothing is at the given path."""


class NotAStoreError(HDMFZarrError, ValueError):
    """Something is at the given path, but it is not a Zarr hierarchy."""


class StoreExistsError(HDMFZarrError, FileExistsError):
    """Something exists at the given path, and the mode does not allow replacing it."""


class ObjectExistsError(HDMFZarrError, ValueError):
    """The store already has another object of that name; an append does not replace it."""


class NoDataError(HDMFZarrError, UnsupportedOperation):  # type: ignore[misc]
    """The store is a Zarr hierarchy that holds no HDMF data."""


class ModeError(HDMFZarrError, UnsupportedOperation):  # type: ignore[misc]
    """The mode in which the store was opened does not allow the operation."""


class LockedError(HDMFZarrError, BlockingIOError):
    """Another process, or another IO of this one, is writing to the store."""


class ForbiddenError(HDMFZarrError, PermissionError):
    """A service refuses to read or write an object with the given credentials."""


class RemoteStoreError(HDMFZarrError, OSError):
    """A service cannot be reached, or fails to answer a request."""


class UnsupportedFormatError(HDMFZarrError, NotImplementedError):
    """This version does not know the Zarr format or the metadata document."""


class MetadataError(HDMFZarrError, ValueError):
    """A metadata document is not valid."""


class ChunkError(MetadataError, RuntimeError):
    """A chunk is damaged, or does not fit the metadata of its array."""


class SpecialFileError(ChunkError, OSError):
    """A pipe, a device or a socket is found where the store should have an object."""


class EscapeError(HDMFZarrError, PermissionError):
    """A change would follow a symbolic link below the store, which may lead out of it."""


class BrokenLinkError(HDMFZarrError, KeyError, ValueError):
    """The target of a link or reference does not exist."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0]) if self.args else ""


class DtypeError(HDMFZarrError, TypeError, ValueError):
    """A data type has no representation in the store."""


class EncodingError(HDMFZarrError, ValueError):
    """A value cannot be represented in its data type."""


class LayoutError(HDMFZarrError, ValueError):
    """Chunks, shards or codecs do not fit each other or the data."""


class OptionError(HDMFZarrError, ValueError, TypeError):
    """An option or a combination of options is not valid here."""


class MissingExtraError(HDMFZarrError, ImportError):
    """A required optional dependency is not installed."""


class LostWriteError(HDMFZarrError, OSError):
    """A store confirmed that it stored an object, but does not have the object."""


class WorkerError(HDMFZarrError, RuntimeError):
    """A worker that writes a part of an array failed or was killed."""
