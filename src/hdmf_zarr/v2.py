"""The names by which release 0.14 reads Zarr format 2; `ZarrIO` reads both formats."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pynwb import NWBFile
from zarr.abc.store import Store

from hdmf_zarr.backend import ZarrIO
from hdmf_zarr.errors import HDMFZarrError, ModeError
from hdmf_zarr.nwb import NWBZarrIO
from hdmf_zarr.session.modes import READING_MODES
from hdmf_zarr.session.opening import try_to_open
from hdmf_zarr.stores.location import options_of_each
from hdmf_zarr.utils import ZarrSpecReader

__all__ = [
    "NWBZarrV2IO",
    "UnsafePickleCodecError",
    "ZarrV2IO",
    "ZarrV2SpecReader",
    "is_zarr_v2_file",
]


class UnsafePickleCodecError(HDMFZarrError, ValueError):
    """Never raised: pickled references are read without running them; kept for old code."""


class FormatTwoWriteError(ModeError, NotImplementedError):
    """A class for reading format 2 cannot write; `ZarrIO` with ``zarr_format=2`` can."""


def is_zarr_v2_file(
    path: str | os.PathLike[str] | Store, storage_options: dict[str, Any] | None = None
) -> bool:
    """Whether a path is a store of Zarr format 2.

    Parameters
    ----------
    path : str, Path or Store
    storage_options : dict, optional
        Options for fsspec, if the path is a URL.
    """
    hierarchy = try_to_open(path, storage_options)
    return hierarchy is not None and hierarchy.zarr_format == 2


class _ReadOnly(ZarrIO):
    """Base of the read-only classes."""

    def __init__(
        self,
        path: str | os.PathLike[str] | Store | None = None,
        mode: str = "r",
        manager: Any = None,
        *positional: Any,
        allow_pickle: bool = False,
        **options: Any,
    ) -> None:
        _check_reading(mode)
        self._allow_pickle = allow_pickle
        super().__init__(path, mode, manager, *positional, **options)

    @property
    def allow_pickle(self) -> bool:
        """The given value; it has no effect."""
        return self._allow_pickle

    def write(self, *_args: Any, **_options: Any) -> None:
        """Raise `FormatTwoWriteError`."""
        raise _write_error(self)

    def export(self, *_args: Any, **_options: Any) -> None:
        """Raise `FormatTwoWriteError`."""
        raise _write_error(self)


class ZarrV2IO(_ReadOnly):
    """`ZarrIO` for reading.

    Parameters
    ----------
    path, mode, manager, **options
        Arguments as for `ZarrIO`; the mode is ``"r"`` or ``"r-"``.
    allow_pickle : bool
        Ignored: pickled references are read without running them.
    """


class NWBZarrV2IO(_ReadOnly, NWBZarrIO):
    """`NWBZarrIO` for reading, with an export to Zarr format 3.

    Parameters
    ----------
    path, mode, manager, load_namespaces, extensions, **options
        Arguments as for `NWBZarrIO`; the mode is ``"r"`` or ``"r-"``.
    allow_pickle : bool
        Ignored: pickled references are read without running them.
    """

    def export_to_v3(
        self,
        path: str | os.PathLike[str] | Store,
        nwbfile: NWBFile | None = None,
        write_args: Mapping[str, Any] | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Export the file to a store of Zarr format 3, as a self-contained copy.

        Parameters
        ----------
        path : str, Path or Store
        nwbfile : NWBFile, optional
            NWB file that was read, with edits; None exports the file unchanged.
        write_args : mapping, optional
            Options as for `NWBZarrIO.export`; data are always copied, and ``link_data`` is ignored.
        storage_options : dict, optional
            Options for fsspec, if the path is a URL.
        """
        copied = {**(write_args or {}), "link_data": False}
        with NWBZarrIO(path, "w", storage_options=storage_options) as io:
            io.export(self, nwbfile, copied)

    @staticmethod
    def convert_to_v3(
        source_path: str | os.PathLike[str] | Store,
        dest_path: str | os.PathLike[str] | Store,
        write_args: Mapping[str, Any] | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Export a file of Zarr format 2 to a store of format 3, see `export_to_v3`.

        ``storage_options`` apply to each of the paths that is a URL.
        """
        of_source, of_destination = options_of_each((source_path, dest_path), storage_options)
        with NWBZarrV2IO(source_path, "r", storage_options=of_source) as io:
            io.export_to_v3(dest_path, write_args=write_args, storage_options=of_destination)

    @staticmethod
    def read_nwb(
        path: str | os.PathLike[str] | Store,
        storage_options: dict[str, Any] | None = None,
        allow_pickle: bool = False,  # noqa: FBT001, FBT002 - as release 0.14
    ) -> NWBFile:
        """Open a path, URL or store and return its NWB file; the file keeps its IO alive."""
        io = NWBZarrV2IO(path, "r", storage_options=storage_options, allow_pickle=allow_pickle)
        return io.read()


class ZarrV2SpecReader(ZarrSpecReader):
    """`ZarrSpecReader` with the argument ``allow_pickle``, which is ignored.

    Parameters
    ----------
    group : zarr.Group
    allow_pickle : bool
    """

    def __init__(self, group: Any, allow_pickle: bool = False) -> None:  # noqa: FBT001, FBT002
        super().__init__(group)
        self.allow_pickle = allow_pickle


def _check_reading(mode: str) -> None:
    if mode not in READING_MODES:
        raise ModeError(
            f"this class reads (modes 'r' and 'r-'), found mode {mode!r}; ZarrIO and NWBZarrIO append to "
            "a store of Zarr format 2, and write one with zarr_format=2"
        )


def _write_error(io: ZarrIO) -> FormatTwoWriteError:
    return FormatTwoWriteError(
        f"{type(io).__name__} reads {io.source} only; write with ZarrIO or NWBZarrIO (zarr_format=2 "
        "writes Zarr format 2)"
    )
