"""What is known of a write or an export besides the builders."""

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
    """What whoever makes a plan needs to know besides the builder.

    Attributes
    ----------
    destination : Location
    existing : Hierarchy or None
        The nodes that are there already, where the store is appended to.
    convention : Convention
    is_written : callable
        Whether a builder was read from, or written to, the destination.
    manager : BuildManager or None
    options : PlanOptions
    export_source : Location or None
        The file that is exported; None for a write.
    hdf5_file : h5py.File or None
        The open file that is exported, where it is HDF5.
    hdf5_builder : callable or None
        Returns the builder that was read for an object of that file.
    child_names : ChildNames
        Names that an HDF5 file has and its builders have not.
    linked : LinkedFiles
        HDF5 files to which what is written links.
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
        """Say in every error of ours where it happened, and from where the builder was read."""
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
