"""`NWBZarrIO`: NWB files as Zarr hierarchies."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

from hdmf.backends.io import HDMFIO
from hdmf.build import BuildManager, TypeMap
from pynwb import NWBFile, get_manager, get_type_map
from zarr.abc.store import Store

from hdmf_zarr.backend import ZarrIO
from hdmf_zarr.convention import one_text
from hdmf_zarr.errors import HDMFZarrError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.new_store import store_exists
from hdmf_zarr.read.specifications import load_cached_namespaces
from hdmf_zarr.session.modes import CREATING_MODES, MODES
from hdmf_zarr.session.opening import has_data, load_hierarchy, try_to_open
from hdmf_zarr.stores.location import locate

__all__ = ["NWBZarrIO"]


class NWBMissingVersionError(HDMFZarrError, TypeError):
    """The store has no NWB version, or one that pynwb does not read."""


class NWBZarrIO(ZarrIO):
    """Reads and writes NWB files as Zarr hierarchies.

    The arguments are those of `ZarrIO`, and two more.

    Parameters
    ----------
    path, mode, manager, storage_options, force_overwrite, zarr_format, **options
        Arguments as for `ZarrIO`.
    load_namespaces : bool
        Load the specifications that the file caches. Ignored in a mode that creates a file, and if
        ``manager`` or ``extensions`` are given.
    extensions : str, Path, TypeMap or list of these, optional
        Extensions to use instead of those that the file caches: paths of YAML namespaces, or a type
        map.

    Raises
    ------
    OptionError
        If both ``manager`` and ``extensions`` are given, or ``extensions`` are of another type.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Store | None = None,
        mode: str = "r",
        manager: BuildManager | None = None,
        *positional: Any,
        load_namespaces: bool = True,
        extensions: Any = None,
        **options: Any,
    ) -> None:
        if manager is not None and extensions is not None:
            raise OptionError("give manager or extensions, not both: a manager has its extensions")
        if extensions is not None:
            manager = _manager_with(extensions)
        storage_options = positional[0] if positional else options.get("storage_options")
        if manager is None:
            found = _hierarchy_of(path, mode, storage_options) if load_namespaces else None
            manager = get_manager() if found is None else _manager_for(found)
            self._found_hierarchy = found
        super().__init__(path, mode, manager, *positional, **options)

    @staticmethod
    def can_read(
        path: str | os.PathLike[str] | Store, storage_options: dict[str, Any] | None = None
    ) -> bool:
        """Whether a path is an NWB file of version 2 or later in Zarr.

        Warns, as pynwb does for HDF5, if a Zarr store with HDMF data is no such file.
        """
        hierarchy = try_to_open(path, storage_options)
        if hierarchy is None or not has_data(hierarchy):
            return False
        version = _parsed_version(hierarchy.attributes("").get("nwb_version"))[1]
        if version is None:
            warnings.warn(
                f"cannot read {hierarchy.uri}: it has no NWB version", UserWarning, stacklevel=2
            )
            return False
        if not isinstance(version[0], int) or version[0] < 2:
            warnings.warn(
                f"cannot read {hierarchy.uri}: pynwb reads NWB 2 and later",
                UserWarning,
                stacklevel=2,
            )
            return False
        return True

    @property
    def nwb_version(self) -> tuple[str | None, tuple[int | str, ...] | None]:
        """NWB version of the file: its text, and its parts; (None, None) if there is none."""
        hierarchy = self._hierarchy
        return _parsed_version(
            None if hierarchy is None else hierarchy.attributes("").get("nwb_version")
        )

    def read(self, skip_version_check: bool = False) -> NWBFile:  # noqa: FBT001, FBT002 - as NWBHDF5IO
        """Read the NWB file.

        Parameters
        ----------
        skip_version_check : bool
            Do not check the file's NWB version.

        Raises
        ------
        NWBMissingVersionError
            If the file has no NWB version, or one before 2.
        """
        self._builder_to_read()
        if not skip_version_check and self._hierarchy is not None and has_data(self._hierarchy):
            text, version = self.nwb_version
            if version is None:
                raise NWBMissingVersionError(
                    f"{self.source} has no NWB version: it is not a valid NWB file"
                )
            if not isinstance(version[0], int) or version[0] < 2:
                raise NWBMissingVersionError(
                    f"{self.source} has NWB version {text}; pynwb reads version 2 and later"
                )
        return cast("NWBFile", super().read())

    def export(  # type: ignore[override]
        self,
        src_io: HDMFIO,
        nwbfile: NWBFile | None = None,
        write_args: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Write an NWB file that another IO has read, as `ZarrIO.export` does.

        Parameters
        ----------
        src_io : HDMFIO
        nwbfile : NWBFile, optional
            NWB file that the IO has read; its edits are exported, too. None exports the file
            unchanged.
        write_args : mapping, optional
        **options
            Every other option of `ZarrIO.export`.
        """
        if "container" in options:
            if nwbfile is not None:
                raise OptionError("nwbfile and container are two names of one argument: give one")
            nwbfile = options.pop("container")
        super().export(src_io, nwbfile, write_args, **options)

    @staticmethod
    def read_nwb(
        path: str | os.PathLike[str] | Store, storage_options: dict[str, Any] | None = None
    ) -> NWBFile:
        """Open a path, URL or store and return its NWB file; the file keeps its IO alive.

        Parameters
        ----------
        path : str, Path or Store
        storage_options : dict, optional
            Options for fsspec. Without options, ``s3://`` URLs are read by anonymous requests if
            the user has no credentials.
        """
        return NWBZarrIO(path, "r", storage_options=storage_options).read()


def _hierarchy_of(path: Any, mode: str, storage_options: dict[str, Any] | None) -> Hierarchy | None:
    """Return the metadata of a store that will be opened; None if it does not exist yet."""
    if mode in CREATING_MODES or path is None or mode not in MODES:
        return None
    location = locate(path, storage_options)
    if (location.is_local or mode == "a") and not store_exists(location):
        return None
    return load_hierarchy(location, mode)


def _manager_for(hierarchy: Hierarchy) -> BuildManager:
    """Return a manager with the specifications that a file caches."""
    type_map = get_type_map()
    load_cached_namespaces(hierarchy, type_map)
    return BuildManager(type_map)


def _manager_with(extensions: Any) -> BuildManager:
    """Return a manager with extensions; `pynwb.get_manager` accepts none since pynwb 4."""
    given = list(extensions) if isinstance(extensions, (list, tuple)) else [extensions]
    type_maps = [extension for extension in given if isinstance(extension, TypeMap)]
    if len(type_maps) > 1 or any("core" not in t.namespace_catalog.namespaces for t in type_maps):
        raise OptionError(
            "extensions hold at most one type map, which has the namespace 'core': begin with "
            "pynwb.get_type_map()"
        )
    type_map = deepcopy(type_maps[0]) if type_maps else get_type_map()
    for extension in given:
        if isinstance(extension, (str, os.PathLike)):
            type_map.load_namespaces(os.fspath(extension))
        elif not isinstance(extension, TypeMap):
            raise OptionError(
                "extensions are paths of namespaces in YAML, or a type map, found "
                f"{type(extension).__name__}"
            )
    return BuildManager(type_map)


def _parsed_version(attribute: Any) -> tuple[str | None, tuple[int | str, ...] | None]:
    text = one_text(attribute)
    if text is None:
        return None, None
    parts = text.replace("NWB-", "").replace("-", ".").replace("_", ".").split(".")
    return text, tuple(int(part) if part.isnumeric() else part for part in parts)
