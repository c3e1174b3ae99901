"""The errors of this package; imported by every room, imports none.

Each error is also the builtin (or HDMF) error that a caller would expect::

    HDMFZarrError
    ├── StoreNotFoundError        FileNotFoundError      nothing is at the path
    ├── NotAStoreError            ValueError             something is there, but no Zarr hierarchy
    ├── StoreExistsError          FileExistsError        something is there and may not be replaced
    ├── ObjectExistsError         ValueError             the store has an object of that name already
    ├── NoDataError               UnsupportedOperation   a Zarr hierarchy without HDMF data
    ├── ModeError                 UnsupportedOperation   the mode does not allow the operation
    ├── LockedError               BlockingIOError        another writer is at work on the store
    ├── ForbiddenError            PermissionError        a store that may not be read or written
    ├── RemoteStoreError          OSError                a service that does not answer as it should
    ├── UnsupportedFormatError    NotImplementedError    a Zarr format or document that is not known
    ├── MetadataError             ValueError             a metadata document that makes no sense
    ├── ChunkError                MetadataError, RuntimeError  a chunk that is damaged
    ├── SpecialFileError          ChunkError, OSError    a pipe or device in the place of an object
    ├── EscapeError               PermissionError        a change that would leave the store by a link
    ├── BrokenLinkError           KeyError, ValueError   a link or reference without a target
    ├── DtypeError                TypeError, ValueError  a data type that has no representation
    ├── EncodingError             ValueError             a value that its data type cannot hold
    ├── LayoutError               ValueError             chunks, shards or codecs that do not fit
    ├── OptionError               ValueError, TypeError  an option that has no meaning here
    ├── MissingExtraError         ImportError            an optional dependency is not installed
    ├── LostWriteError            OSError                a store did not keep what it had confirmed
    └── WorkerError               RuntimeError           a worker that writes failed, or was ended
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
    """Something is at the given path that the mode does not allow to replace."""


class ObjectExistsError(HDMFZarrError, ValueError):
    """The store has another object of that name already, which an append does not replace."""


class NoDataError(HDMFZarrError, UnsupportedOperation):  # type: ignore[misc]
    """The store is a Zarr hierarchy that holds no HDMF data."""


class ModeError(HDMFZarrError, UnsupportedOperation):  # type: ignore[misc]
    """The mode in which the store was opened does not allow the operation."""


class LockedError(HDMFZarrError, BlockingIOError):
    """Another process, or another IO of this one, is writing to the store."""


class ForbiddenError(HDMFZarrError, PermissionError):
    """A service says that something may not be read, or written, with the given credentials."""


class RemoteStoreError(HDMFZarrError, OSError):
    """A service cannot be reached, or does not answer as it should."""


class UnsupportedFormatError(HDMFZarrError, NotImplementedError):
    """A Zarr format or metadata document that this version does not know."""


class MetadataError(HDMFZarrError, ValueError):
    """A metadata document that makes no sense."""


class ChunkError(MetadataError, RuntimeError):
    """A chunk that is damaged, or that does not fit the metadata of its array."""


class SpecialFileError(ChunkError, OSError):
    """A pipe, a device or a socket lies in the place of an object of the store."""


class EscapeError(HDMFZarrError, PermissionError):
    """A change would follow a symbolic link below the store, which may lead out of it."""


class BrokenLinkError(HDMFZarrError, KeyError, ValueError):
    """A link or reference whose target does not exist."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0]) if self.args else ""


class DtypeError(HDMFZarrError, TypeError, ValueError):
    """A data type that has no representation in the store."""


class EncodingError(HDMFZarrError, ValueError):
    """A value that cannot be represented in its data type."""


class LayoutError(HDMFZarrError, ValueError):
    """Chunks, shards or codecs that do not fit each other or the data."""


class OptionError(HDMFZarrError, ValueError, TypeError):
    """An option or a combination of options that has no meaning here."""


class MissingExtraError(HDMFZarrError, ImportError):
    """An optional dependency is needed and not installed."""


class LostWriteError(HDMFZarrError, OSError):
    """A store has confirmed that it stored something, and does not have it."""


class WorkerError(HDMFZarrError, RuntimeError):
    """A worker that writes a part of an array failed, or was ended from outside."""
