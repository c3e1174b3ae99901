"""Finds the containers that a `BuildManager` has constructed, without constructing them again.

`BuildManager.construct` clears the modified flag of a container that it has constructed before, so a second
call would lose the user's changes. After `BuildManager.clear_cache` it constructs a second container. HDMF
has no public way from a builder to its container.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hdmf.build import BuildManager, LinkBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer

from hdmf_zarr.core.hdmf_private import builders_of, containers_of


@dataclass(frozen=True, slots=True)
class Known:
    """The builders and containers of a manager: its own dictionaries, not copies.

    Attributes
    ----------
    containers : dict
        Id of a builder -> its container.
    builders : dict
        Id of a container -> its builder.
    """

    containers: dict[int, AbstractContainer]
    builders: dict[int, BaseBuilder]

    @classmethod
    def of(cls, manager: BuildManager) -> Known:
        """Return the dictionaries of a manager."""
        return cls(containers_of(manager), builders_of(manager))

    def pairs(self) -> Iterator[tuple[AbstractContainer, BaseBuilder]]:
        """Yield each container with its builder."""
        for container in list(self.containers.values()):
            builder = self.builders.get(id(container))
            if builder is not None:
                yield container, builder


class Constructed:
    """The containers that one IO has constructed, kept when the cache of its manager is cleared.

    Parameters
    ----------
    manager : BuildManager
    """

    def __init__(self, manager: BuildManager) -> None:
        self._manager = manager
        self._known = Known.of(manager)
        # Each container is kept with its builder, so that no other builder gets the same id.
        self._pairs: dict[int, tuple[AbstractContainer, BaseBuilder]] = {}
        self._written: dict[int, tuple[AbstractContainer, BaseBuilder]] = {}

    def pairs(self) -> list[tuple[AbstractContainer, BaseBuilder]]:
        """Return each constructed container with its builder."""
        return list(self._pairs.values())

    @contextmanager
    def remembering(self, source: str) -> Iterator[None]:
        """Record the containers that are constructed from a source in this context."""
        before = set(self._known.containers)
        yield
        for key, container in self._known.containers.items():
            builder = self._known.builders.get(id(container))
            if key not in before and builder is not None and builder.source == source:
                self._pairs.setdefault(key, (container, builder))

    def note_written(self, source: str) -> None:
        """Record the builders that were written to a source, since an export may replace them."""
        written = (pair for pair in self._known.pairs() if pair[1].source == source)
        self._written |= {id(builder): (container, builder) for container, builder in written}

    def find(self, builder: Any) -> Any:
        """Return the container that was constructed from a builder, or None."""
        container = self._known.containers.get(id(builder))
        if container is None and id(builder) in self._pairs:
            container = self._pairs[id(builder)][0]
        return container

    def get(self, builder: Any) -> Any:
        """Return the container of a builder; construct it only if there is none yet."""
        if isinstance(builder, LinkBuilder):
            builder = builder.builder
        container = self.find(builder)
        return self._manager.construct(builder) if container is None else container

    def reinstate(self) -> None:
        """Restore the builders of this IO in the manager where an export has replaced them."""
        self._forget_unwritten()
        containers, builders = self._known.containers, self._known.builders
        for container, builder in (*self._pairs.values(), *self._written.values()):
            other = builders.get(id(container))
            if other is builder:
                continue
            if other is not None:
                containers.pop(id(other), None)
            self._manager.prebuilt(container, builder)

    def _forget_unwritten(self) -> None:
        """Remove from the manager the builders that an export to HDF5 made for containers in no file.

        The source of these builders is the exported file, so a write would link to that file.
        """
        containers, builders = self._known.containers, self._known.builders
        for key, container in list(containers.items()):
            if container.container_source is None and builders.pop(id(container), None) is not None:
                del containers[key]
