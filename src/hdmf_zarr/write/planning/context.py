"""The inputs of a plan in addition to the builders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hdmf.build import Builder, BuildManager

from hdmf_zarr.convention import Convention
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.hdf5.hard_links import ChildNames
from hdmf_zarr.hdf5.linked import LinkedFiles
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.planning.export_options import PlanOptions


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """The inputs of a plan in addition to the builder.

    Attributes
    ----------
    destination : Location
    existing : Hierarchy or None
        Existing nodes, in an append.
    convention : Convention
    is_written : callable
        Returns whether a builder was read from, or written to, the destination.
    manager : BuildManager or None
    options : PlanOptions
    export_source : Location or None
        Location of the exported file; None for a write.
    hdf5_file : h5py.File or None
        The exported file, open, if it is HDF5.
    hdf5_builder : callable or None
        Returns the builder that was read for an object of that file.
    child_names : ChildNames
        Names that are in an HDF5 file but not in its builders.
    linked : LinkedFiles
        HDF5 files that the written objects link to.
    """

    destination: Location
    existing: Hierarchy | None
    convention: Convention
    is_written: Callable[[Builder], bool]
    manager: BuildManager | None
    options: PlanOptions
    export_source: Location | None = None
    hdf5_file: Any = None
    hdf5_builder: Callable[[Any], Builder] | None = None
    child_names: ChildNames = field(default_factory=ChildNames)
    linked: LinkedFiles = field(default_factory=LinkedFiles)

    @contextmanager
    def at(self, path: str, builder: Builder | None = None) -> Iterator[None]:
        """Add the path, and the source of the builder, to every error of this package."""
        where = f"{self.destination.uri}:/{path}"
        try:
            yield
        except HDMFZarrError as error:
            message = str(error)
            if message.startswith(self.destination.uri + ":/"):
                raise
            raise type(error)(f"{where}: {message}{self._origin(builder, message)}") from error

    def _origin(self, builder: Builder | None, message: str) -> str:
        source = str(getattr(builder, "source", None) or self.destination.uri)
        if builder is None or source == self.destination.uri or source in message:
            return ""
        place = "/" if builder.parent is None else f"{builder.location}/{builder.name}"
        return f" (read from {source}:{place.replace('//', '/')})"
