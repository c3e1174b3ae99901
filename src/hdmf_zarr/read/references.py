"""What lazy datasets ask of the IO that read them: to resolve and encode references."""

from __future__ import annotations

from typing import Any, Protocol

from hdmf.build import BuildManager
from hdmf.build.builders import BaseBuilder
from hdmf.query import HDMFDataset

from hdmf_zarr.arrays.array import HDMFZarrArray


class References(Protocol):
    """Resolves elements of datasets of references, and encodes new elements."""

    def builder_of_element(self, array: HDMFZarrArray, element: str) -> BaseBuilder:
        """Return the builder to which an element of an array refers."""

    def container_of(self, builder: BaseBuilder) -> Any:
        """Return the container of a builder."""

    def element_of_target(self, array: HDMFZarrArray, target: Any) -> str | None:
        """Return the element of an array for a container or builder; None if the target has no path yet."""

    def note_pending(self, dataset: HDMFDataset) -> None:
        """Record a dataset with pending rows for the next write."""


class ReadingIO(Protocol):
    """The parts of an IO that a lazy dataset needs."""

    @property
    def manager(self) -> BuildManager:
        """Manager that constructs containers from builders."""

    @property
    def references(self) -> References:
        """Object that resolves references."""
