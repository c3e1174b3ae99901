"""The path of each builder in the store, and the references to it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer
from hdmf.query import HDMFDataset

from hdmf_zarr.convention import Reference, full_type_of
from hdmf_zarr.core.elements import plain_text
from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.hdf5 import is_h5py_reference, is_hdf5_file
from hdmf_zarr.hdf5.hard_links import ChildNames
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.location import Location, can_link, location_of_uri, relative_source
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.naming import NameCheck

ROOT_NAME = "root"

CONVERTED_SUFFIX = ".zarr"
"""Suffix that a converted HDF5 file's store has after the name of the file."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The file of an object, and its path there without slashes at the ends."""

    location: Location
    path: str

    @property
    def name(self) -> str:
        """Name of the object in its group."""
        return self.path.rpartition("/")[2]

    @property
    def above(self) -> Origin:
        """Origin of the group that contains the object."""
        return Origin(self.location, self.path.rpartition("/")[0])

    def child(self, name: str) -> Origin:
        """Return the origin of an object in this group."""
        return Origin(self.location, join(self.path, name))


@dataclass(frozen=True, slots=True, eq=False)
class PendingLink:
    """A link that is not yet decided: it may stay a link, or its target may be copied.

    Attributes
    ----------
    holder : GroupBuilder
        Group that contains the link.
    parent : str
        Path of the group.
    link : LinkBuilder
    """

    holder: GroupBuilder
    parent: str
    link: LinkBuilder

    @property
    def path(self) -> str:
        """Path of the link."""
        return join(self.parent, self.link.name)


class Addresses:
    """The path at which each builder is written, and the references to it.

    Parameters
    ----------
    context : PlanContext

    Attributes
    ----------
    pending : list of PendingLink
        Undecided links of the builders that have paths.
    names : NameCheck
        Check of the names of new objects.
    """

    def __init__(self, context: PlanContext) -> None:
        self.context = context
        self.names = NameCheck(context)
        self.pending: list[PendingLink] = []
        self._paths: dict[int, str] = {}
        self._by_path: dict[str, BaseBuilder] = {}
        self._by_id: dict[str, str] = {}
        self._placed: dict[str, list[tuple[str, BaseBuilder]]] = {}
        self._origins: dict[int, Origin | None] = {}
        self._copied: dict[Origin, str] = {}
        self._names: dict[int, tuple[ChildNames, str]] = {}
        self._are_hdf5: dict[Location, bool] = {}

    def path_of(self, builder: BaseBuilder) -> str:
        """Return the path of a builder that has one."""
        return self._paths[id(builder)]

    def builder_at(self, path: str) -> BaseBuilder | None:
        """Return the builder that is written at a path, or None."""
        return self._by_path.get(path)

    # -- paths -----------------------------------------------------------------------------------

    def assign(self, builder: BaseBuilder, path: str, origin: Origin | None = None) -> None:
        """Give a builder, and those below it, their paths; the first of two paths is kept.

        Parameters
        ----------
        builder : GroupBuilder or DatasetBuilder
        path : str
        origin : Origin, optional
            Origin of the object, if it is copied from another file.
        """
        if id(builder) in self._paths or self._is_copied_already(builder, origin):
            return
        self._paths[id(builder)] = path
        self._by_path[path] = builder
        if (object_id := object_id_of(builder)) is not None:
            self._by_id.setdefault(object_id, path)
        if origin is not None:
            self._copied.setdefault(origin, path)
        if isinstance(builder, GroupBuilder):
            self._assign_children(builder, path, origin)

    def _assign_children(self, builder: GroupBuilder, path: str, origin: Origin | None) -> None:
        children = self.children(builder, path)
        with self.context.at(path):
            self._check_names(path, children)
        for name, child in children:
            if isinstance(child, LinkBuilder):
                self.pending.append(PendingLink(builder, path, child))
            else:
                self.assign(child, join(path, name), origin and origin.child(name))

    def _is_copied_already(self, builder: BaseBuilder, origin: Origin | None) -> bool:
        """Whether another builder of the same object of another file already has a path."""
        copied = None if origin is None else self._copied.get(origin)
        if copied is None:
            return False
        self._paths[id(builder)] = copied
        return True

    def place(
        self, builder: BaseBuilder, parent: str, name: str, origin: Origin | None = None
    ) -> None:
        """Add a builder to a group whose own builder does not contain it.

        Parameters
        ----------
        builder : GroupBuilder or DatasetBuilder
        parent : str
            Path of the group.
        name : str
            Name of the object in the group.
        origin : Origin, optional
            Origin of the object, as for `assign`.
        """
        with self.context.at(parent):
            self._check_names(parent, [(name, builder)])
        self._placed.setdefault(parent, []).append((name, builder))
        self.assign(builder, join(parent, name), origin)

    def placed_in(self, path: str) -> list[tuple[str, BaseBuilder]]:
        """Return the names and builders that `place` has added to a group."""
        return self._placed.get(path, [])

    def placed(self) -> list[tuple[str, str, BaseBuilder]]:
        """Return group path, name and builder of each object that `place` has added."""
        return [(path, *one) for path, found in self._placed.items() for one in found]

    def children(self, builder: GroupBuilder, path: str) -> list[tuple[str, Any]]:
        """Return the children of a group, links first, with their names in the file."""
        in_file, place = self._names.get(id(builder), (self.context.child_names, path))
        children = (
            *builder.links.values(),
            *in_file.added.get(place, ()),
            *builder.groups.values(),
            *builder.datasets.values(),
        )
        named = [
            (plain_text(child.name), child)
            for child in children
            if (place, child.name) not in in_file.absent
        ]
        return named + self.placed_in(path)

    def _check_names(self, parent: str, every: Sequence[tuple[str, Any]]) -> None:
        """Refuse names of new objects that the store cannot keep."""
        new = dict.fromkeys(name for name, child in every if not self.context.is_written(child))
        for name in new:
            self.names.check(parent, name)
        self.names.check_together((name for name, _child in every), set(new))

    # -- objects of other files ------------------------------------------------------------------

    def is_hdf5(self, location: Location) -> bool:
        """Return whether an HDF5 file of this machine is at a location."""
        if location not in self._are_hdf5:
            self._are_hdf5[location] = location.is_local and is_hdf5_file(location.uri)
        return self._are_hdf5[location]

    def must_copy(self, location: Location) -> bool:
        """Return whether the target of a link to a file has to be copied."""
        context = self.context
        is_export = context.export_source is not None
        is_edited = is_export and location == context.destination
        if is_export and context.options.external_links == "keep" and not is_edited:
            return False
        return (
            (is_export and not context.options.link_data)
            or self.is_hdf5(location)
            or not can_link(location, context.destination)
            or (location == context.destination and context.existing is None)
        )

    def origin(self, target: BaseBuilder) -> Origin | None:
        """Return the origin of a builder's object, or None if it is in no file."""
        if id(target) not in self._origins:
            self._origins[id(target)] = self._find_origin(target)
        return self._origins[id(target)]

    def _find_origin(self, target: BaseBuilder) -> Origin | None:
        path = path_in_source(target)
        if target.source is None or (not path and target.name != ROOT_NAME):
            return None
        location = location_of_uri(target.source)
        if self.context.export_source is not None and location == self.context.destination:
            return Origin(location, path)  # it was edited, and built again for the export
        if location.is_local and not os.path.exists(location.uri):
            return None
        is_known = is_rooted(target) or not self.is_hdf5(location) or not self.must_copy(location)
        if is_known or _holds_values(target):
            return Origin(location, path)
        # HDF5IO records an object behind an external link with the path of the link.
        found = self.context.linked.builder(location.uri, path)
        origin = Origin(location, path if found is None else path_in_source(found))
        self._note_names(target, origin)
        return origin

    def _note_names(self, builder: BaseBuilder, origin: Origin) -> None:
        """Record the names that the children of an HDF5 file's groups have in the file."""
        if isinstance(builder, GroupBuilder):
            child_names = self.context.linked.child_names(origin.location.uri)
            self._names[id(builder)] = (child_names, origin.path)
            for child in (*builder.groups.values(), *builder.datasets.values()):
                self._note_names(child, origin.child(child.name))

    def holder_of(self, target: BaseBuilder, origin: Origin) -> GroupBuilder | None:
        """Return the group around an object of another file; None for the root, or if unknown."""
        parent = target.parent
        if parent is None and self.is_hdf5(origin.location):
            parent = self.context.linked.builder(origin.location.uri, origin.above.path)
        return parent if isinstance(parent, GroupBuilder) else None

    def take_for(self, target: BaseBuilder, origin: Origin) -> bool:
        """Use a written object with the same id and type in place of another file's object.

        Returns
        -------
        bool
            Whether there is a written object with this id.
        """
        path = self._path_with_id(target, origin)
        if path is None:
            return False
        self._note_copied(target, origin, path)
        return True

    def _path_with_id(self, target: BaseBuilder, origin: Origin) -> str | None:
        object_id, existing = object_id_of(target), self.context.existing
        if object_id is None:
            return None
        path = self._by_id.get(object_id)
        if path is not None:
            is_same = full_type_of(self._by_path[path].attributes) == full_type_of(
                target.attributes
            )
            return path if is_same else None
        if existing is None or origin.path not in existing:
            return None
        is_same = existing.attributes(origin.path).get("object_id") == object_id
        return origin.path if is_same else None

    def _note_copied(self, target: BaseBuilder, origin: Origin, path: str) -> None:
        if path not in self._by_path and not self._exists(path):
            return
        self._copied.setdefault(origin, path)
        if isinstance(target, GroupBuilder):
            for child in (*target.groups.values(), *target.datasets.values()):
                self._note_copied(child, origin.child(child.name), join(path, child.name))

    def _exists(self, path: str) -> bool:
        return self.context.existing is not None and path in self.context.existing

    def path_inside(self, target: BaseBuilder) -> str | None:
        """Return the path of a builder's object in the destination, or None if it is not there."""
        if id(target) in self._paths:
            return self._paths[id(target)]
        if target.source is not None:
            location = location_of_uri(target.source)
        elif self.context.is_written(target):
            location = self.context.destination
        else:
            return None
        path = path_in_source(target)
        if not path and target.name != ROOT_NAME:
            return None  # it is in no file: an empty path does not mean the root
        if location in (self.context.destination, self.context.export_source):
            if path in self._by_path:
                return path
            if location == self.context.destination and self._exists(path):
                return path
        origin = self.origin(target) if self._copied else None
        return None if origin is None else self._copied.get(origin)

    # -- references ------------------------------------------------------------------------------

    def reference(self, target: Any) -> Reference:
        """Return the reference to a builder or container.

        Raises
        ------
        BrokenLinkError
            If the target is neither written nor reachable from the destination.
        """
        if isinstance(target, ReferenceBuilder):
            target = target.builder
        if isinstance(target, AbstractContainer):
            manager = self.context.manager
            built = manager.get_builder(target) if manager is not None else None
            if built is None:
                raise BrokenLinkError(
                    f"a reference to {type(target).__name__} {target.name!r}, which is not part of "
                    "the file: add it to the file first"
                )
            target = built
        if isinstance(target, LinkBuilder):
            target = target.builder
        inside = self.path_inside(target)
        if inside is not None:
            # The written object may have another id than the builder that was read.
            written = self._by_path.get(inside, target)
            return identified(Reference(path="/" + inside), written, self._by_path.get(""))
        if target.source is not None:
            location = location_of_uri(target.source)
            is_own = location in (self.context.destination, self.context.export_source)
            is_kept = not is_own and self.context.options.external_links == "keep"
            if is_kept and self.is_hdf5(location):
                location = location_of_uri(location.uri + CONVERTED_SUFFIX)
            is_reachable = can_link(location, self.context.destination)
            if not is_own and is_reachable and not self.is_hdf5(location):
                source = relative_source(location, self.context.destination)
                reference = Reference(source=source, path="/" + path_in_source(target))
                return identified(reference, target)
        raise BrokenLinkError(
            f"a reference to {target.name!r} of {target.source}, which is not part of what is "
            "written and cannot be reached from a Zarr store"
        )

    def reference_text(self, target: Any, holder: BaseBuilder | None = None) -> str:
        """Return the element of a dataset of references for a builder, container or h5py reference.

        Parameters
        ----------
        target : builder, container or h5py.Reference
        holder : BaseBuilder, optional
            Builder of the dataset; an h5py reference is resolved in its file.

        Raises
        ------
        BrokenLinkError
            If the target cannot be reached, as for `reference`.
        """
        if is_h5py_reference(target):
            # A reference in a record; HDF5IO resolves those in columns and attributes.
            if not target:
                return self.context.convention.encode_element(None)
            file = self.hdf5_file_of(holder)
            if file is None:
                raise BrokenLinkError("a reference of an HDF5 file cannot be kept outside of it")
            return self.hdf5_target_text(file[target])
        return self.context.convention.encode_element(self.reference(target))

    def hdf5_file_of(self, holder: BaseBuilder | None) -> Any:
        """Return the open HDF5 file that contains an object, or None if no HDF5 file does.

        Parameters
        ----------
        holder : BaseBuilder or None
            Builder of the object; None means an object of the exported file.
        """
        if holder is None or holder.source is None:
            return self.context.hdf5_file
        location = location_of_uri(holder.source)
        if location == self.context.export_source or not self.is_hdf5(location):
            return self.context.hdf5_file
        return self.context.linked.file(location.uri)

    def hdf5_target_text(self, target: Any) -> str:
        """Return the element for an object of the exported HDF5 file, or of a linked one."""
        if not self._is_exported_file(target.file):
            return self._other_hdf5_target_text(target)
        path = target.name.strip("/")
        if path in self._by_path:
            return self._element_inside(path)
        # An object with several names may have been read under another one.
        if self.context.hdf5_builder is None:
            raise self._unreachable(target)
        try:
            return self.reference_text(self.context.hdf5_builder(target))
        except ValueError as error:
            raise self._unreachable(target) from error

    def _is_exported_file(self, file: Any) -> bool:
        exported = self.context.hdf5_file
        if exported is not None and file.filename == exported.filename:
            return True
        return location_of_uri(file.filename) == self.context.export_source

    def _other_hdf5_target_text(self, target: Any) -> str:
        """Return the element for an object of another HDF5 file; the object must be copied, too."""
        origin = Origin(location_of_uri(target.file.filename), target.name.strip("/"))
        copied = self._copied.get(origin)
        if copied is None and self._copied:
            builder = self.context.linked.builder_of(target)
            copied = None if builder is None else self.path_inside(builder)
        if copied is None:
            raise self._unreachable(target)
        return self._element_inside(copied)

    @staticmethod
    def _unreachable(target: Any) -> BrokenLinkError:
        return BrokenLinkError(
            f"a reference to {target.file.filename}:{target.name}, an object of an HDF5 file that is "
            "not part of what is written, cannot be kept outside of it"
        )

    def retarget(self, hierarchy: Hierarchy, reference: Reference) -> str:
        """Return the element for another Zarr store's reference, rewritten for the destination."""
        convention, destination = self.context.convention, self.context.destination
        location, path = hierarchy.locate_source(reference.source), reference.path.strip("/")
        if location == hierarchy.location:
            is_own = hierarchy.location in (destination, self.context.export_source)
            if is_own and path not in self._by_path:
                try:
                    path = hierarchy.resolve(path)
                except BrokenLinkError as error:
                    warnings.warn(
                        f"{error}; the reference is kept", BrokenLinkWarning, stacklevel=2
                    )
                    return convention.encode_element(reference)
                if path not in self._by_path:
                    raise BrokenLinkError(
                        f"a reference to {hierarchy.uri}:/{path}, which is not part of what is written"
                    )
            if is_own:
                return self._element_inside(path)
        copied = self._copied_target(hierarchy, Origin(location, path))
        if copied is not None:
            return self._element_inside(copied)
        source = relative_source(location, destination)
        return convention.encode_element(replace(reference, source=source))

    def _copied_target(self, hierarchy: Hierarchy, origin: Origin) -> str | None:
        """Return the path of the copy of another store's reference's target, or None."""
        copied = self._copied.get(origin)
        if copied is not None or not self._copied or origin.location != hierarchy.location:
            return copied
        try:
            return self._copied.get(Origin(origin.location, hierarchy.resolve(origin.path)))
        except BrokenLinkError:
            return None  # the reference is broken in its own store, too

    def _element_inside(self, path: str) -> str:
        """Return the element for an object of the destination."""
        reference = Reference(path="/" + path)
        target = self._by_path.get(path)
        if target is not None:
            reference = identified(reference, target, self._by_path.get(""))
        return self.context.convention.encode_element(reference)


def identified(
    reference: Reference, target: BaseBuilder, root: BaseBuilder | None = None
) -> Reference:
    """Return a reference with the ids of its target's builder, and of the root above that."""
    if root is None:
        root = target
        while root.parent is not None:
            root = root.parent
    return replace(reference, object_id=object_id_of(target), source_object_id=object_id_of(root))


def object_id_of(builder: BaseBuilder) -> str | None:
    """Return the id of a builder's object, or None if it has none."""
    object_id = builder.attributes.get("object_id")
    return object_id if isinstance(object_id, str) else None


def join(parent: str, name: str) -> str:
    """Return the path of an object in a group."""
    name = plain_text(name)
    return f"{parent}/{name}" if parent else name


def _holds_values(builder: BaseBuilder) -> bool:
    """Whether a builder is a dataset without a data type and without references."""
    if not isinstance(builder, DatasetBuilder) or isinstance(builder.data, HDMFDataset):
        return False
    return full_type_of(builder.attributes) is None


def is_rooted(builder: BaseBuilder) -> bool:
    """Return whether a builder is below, or is, the root of a file."""
    current: Any = builder
    while current.parent is not None:
        current = current.parent
    return bool(current.name == ROOT_NAME)


def path_in_source(builder: BaseBuilder) -> str:
    """Return the path of a builder's object in its file, without slashes at its ends.

    The path is empty for a root, and for an object that is in no file.
    """
    if builder.parent is None and builder.name == ROOT_NAME:
        return ""
    if builder.location is not None:
        return join(builder.location, builder.name).strip("/")
    parts = []
    current: Any = builder
    while current.parent is not None:
        parts.append(current.name)
        current = current.parent
    return "/".join(reversed(parts))
