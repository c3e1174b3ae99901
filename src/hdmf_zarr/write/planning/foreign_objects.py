"""Objects of other files, copied to their own paths with the objects that they need."""

from __future__ import annotations

import itertools
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer
from hdmf.query import HDMFDataset

from hdmf_zarr.convention import full_type_of
from hdmf_zarr.convention.records import is_compound
from hdmf_zarr.hdf5 import is_h5py_dataset
from hdmf_zarr.hdf5.linked import referred_objects
from hdmf_zarr.hdf5.source import row_blocks
from hdmf_zarr.stores import keys
from hdmf_zarr.write.planning.addresses import Addresses, Origin, PendingLink, join
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.dataio import unwrap
from hdmf_zarr.write.planning.link_specs import LinkSpecifications

READ_ROWS = 65536
"""Number of rows of references read in one batch."""


class ForeignObjects:
    """Finds the objects of other files that are copied to their own paths, and assigns these paths.

    These are the objects that a specification requires as targets of links, and all objects that
    copied objects refer to. An object that may replace a link is not one of them.

    Parameters
    ----------
    context : PlanContext
    addresses : Addresses
    """

    def __init__(self, context: PlanContext, addresses: Addresses) -> None:
        self._context = context
        self._addresses = addresses
        self._specifications = LinkSpecifications(context.manager)
        self._wanted: dict[Origin, BaseBuilder] = {}
        self._walked: set[Origin] = set()
        self._waiting: deque[tuple[BaseBuilder, Origin]] = deque()

    def find(self, links: Iterable[PendingLink]) -> None:
        """Find the link targets that need their own paths, and recursively what they need."""
        for pending in links:
            self._consider_link(pending.holder, pending.link)
        while self._waiting:
            self._walk(*self._waiting.popleft())

    def is_wanted(self, origin: Origin) -> bool:
        """Return whether an object, or one that contains it, is copied to its own path."""
        while origin.path and origin not in self._wanted:
            origin = origin.above
        return origin in self._wanted

    def place(self) -> None:
        """Assign paths to the objects that were found, outer objects first."""
        wanted, self._wanted = self._wanted, {}
        for origin, target in sorted(wanted.items(), key=lambda one: one[0].path.count("/")):
            if self._addresses.path_inside(target) is None:
                parent = self._group_for(self._addresses.holder_of(target, origin), origin.above)
                name = self._free_name(parent, origin.name)
                self._addresses.place(target, parent, name, origin)

    # -- required objects -------------------------------------------------------------------------

    def _consider_link(self, holder: GroupBuilder, link: LinkBuilder) -> None:
        target = link.builder
        origin = self._origin_to_copy(target)
        if origin is None:
            return
        if self._specifications.wants_link(holder, link.name, target):
            self._want(target, origin)
        self._waiting.append((target, origin))

    def _consider_reference(self, target: BaseBuilder) -> None:
        origin = self._origin_to_copy(target)
        if origin is not None and origin.path and origin not in self._walked:
            self._want(target, origin)

    def _origin_to_copy(self, target: BaseBuilder) -> Origin | None:
        """Return the origin of an object that has to be copied; None if it need not be."""
        if self._addresses.path_inside(target) is not None:
            return None
        origin = self._addresses.origin(target)
        if origin is None or not self._addresses.must_copy(origin.location):
            return None
        return None if self._addresses.take_for(target, origin) else origin

    def _want(self, target: BaseBuilder, origin: Origin) -> None:
        target, origin = self._readable(target, origin)
        self._wanted.setdefault(origin, target)
        self._waiting.append((target, origin))

    def _readable(self, target: BaseBuilder, origin: Origin) -> tuple[BaseBuilder, Origin]:
        """Return an object, or an object around it that could not be read with this part alone."""
        part, place = target, origin
        while place.above.path:
            holder = self._addresses.holder_of(part, place)
            place = place.above
            if holder is None or self._is_group_of_type(place.path, holder):
                break
            if self._specifications.needs_more(holder, part):
                target, origin = holder, place
            part = holder
        return target, origin

    def _walk(self, target: BaseBuilder, origin: Origin) -> None:
        """Follow the links and references of a copied object, and of the objects in it."""
        if origin in self._walked:
            return
        below = list(self._below(target, origin))
        self._walked.update(place for _builder, place in below)
        for builder, place in below:
            for referred in self._referred(builder):
                self._consider_reference(referred)
            if isinstance(builder, GroupBuilder):
                for _name, child in self._addresses.children(builder, place.path):
                    if isinstance(child, LinkBuilder):
                        self._consider_link(builder, child)

    def _below(self, builder: BaseBuilder, origin: Origin) -> Iterator[tuple[BaseBuilder, Origin]]:
        yield builder, origin
        if isinstance(builder, GroupBuilder):
            for child in (*builder.groups.values(), *builder.datasets.values()):
                yield from self._below(child, origin.child(child.name))

    def _referred(self, builder: BaseBuilder) -> Iterator[BaseBuilder]:
        """Yield the builders that the attributes and elements of a builder refer to."""
        for value in builder.attributes.values():
            yield from self._targets_in(value)
        if isinstance(builder, DatasetBuilder):
            yield from self._targets_of_elements(builder.data)

    def _targets_of_elements(self, data: Any) -> Iterator[BaseBuilder]:
        data, _request, _link_data = unwrap(data)
        stored = data.dataset if isinstance(data, HDMFDataset) else data
        if is_h5py_dataset(stored):
            yield from self._hdf5_targets(stored, data)
        elif isinstance(data, HDMFDataset):
            for region in row_blocks(data.shape, READ_ROWS):
                yield from self._targets_in(data[region[0] if region else ()])
        elif isinstance(data, (list, tuple, np.ndarray, ReferenceBuilder, BaseBuilder)):
            yield from self._targets_in(data)

    def _hdf5_targets(self, dataset: Any, data: Any) -> Iterator[BaseBuilder]:
        """Yield the builders that a dataset of an HDF5 file refers to; reads them if necessary."""
        for found in referred_objects(dataset):
            try:
                builder = data.io.get_builder(found)
            except (AttributeError, ValueError):
                builder = self._context.linked.builder_of(found)
            if builder is not None:
                yield builder

    def _targets_in(self, value: Any) -> Iterator[BaseBuilder]:
        """Yield the builders among values, which may be nested."""
        if isinstance(value, ReferenceBuilder):
            value = value.builder
        if isinstance(value, AbstractContainer) and self._context.manager is not None:
            value = self._context.manager.get_builder(value)
        if isinstance(value, BaseBuilder):
            yield value
        elif is_compound(value):
            for name in value.dtype.names:
                yield from self._targets_in(value[name])
        elif isinstance(value, (list, tuple)) or _holds_objects(value):
            for entry in value.ravel() if isinstance(value, np.ndarray) else value:
                yield from self._targets_in(entry)

    # -- paths of copies -------------------------------------------------------------------------

    def _group_for(self, holder: GroupBuilder | None, origin: Origin) -> str:
        """Return the path of the group for a copied object; add the group if it is missing.

        Parameters
        ----------
        holder : GroupBuilder or None
            Group that contains the object in its own file.
        origin : Origin
            Origin of this group.
        """
        if not origin.path:
            return ""
        above = None if holder is None else self._addresses.holder_of(holder, origin)
        parent = self._group_for(above, origin.above)
        path = join(parent, origin.name)
        if self._is_group_of_type(path, holder):
            return path
        name = self._free_name(parent, origin.name)
        self._addresses.place(_without_parts(name, holder), parent, name)
        return join(parent, name)

    def _is_group_of_type(self, path: str, holder: GroupBuilder | None) -> bool:
        """Return whether the destination has a group of the same type as another file's."""
        wanted = None if holder is None else full_type_of(holder.attributes)
        there, existing = self._addresses.builder_at(path), self._context.existing
        if there is not None:
            return isinstance(there, GroupBuilder) and full_type_of(there.attributes) == wanted
        if existing is None or path not in existing or existing.node_type(path) != "group":
            return False
        return full_type_of(existing.attributes(path)) == wanted

    def _free_name(self, parent: str, name: str) -> str:
        """Return an unused name in a group: the given name, with a number appended if necessary."""
        taken = {keys.folded(each) for each in self._names_in(parent)}
        every = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        return next(each for each in every if keys.folded(each) not in taken)

    def _names_in(self, path: str) -> Iterator[str]:
        builder, existing = self._addresses.builder_at(path), self._context.existing
        if isinstance(builder, GroupBuilder):
            yield from builder.attributes
            yield from (name for name, _child in self._addresses.children(builder, path))
        else:
            yield from (name for name, _child in self._addresses.placed_in(path))
        if existing is not None and path in existing:
            yield from existing.children().get(path, ())
            links = existing.convention.decode_links(existing.attributes(path))
            yield from (link.name for link in links)


def _without_parts(name: str, holder: GroupBuilder | None) -> GroupBuilder:
    """Return an empty group with another group's attributes, and a new object id."""
    attributes = {} if holder is None else dict(holder.attributes)
    if "object_id" in attributes:
        attributes["object_id"] = str(uuid.uuid4())
    return GroupBuilder(name=name, attributes=attributes)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"
