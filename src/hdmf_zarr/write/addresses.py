"""Where each builder is written, and how links and references lead to it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer

from hdmf_zarr.convention import Link, Reference
from hdmf_zarr.errors import BrokenLinkError, EncodingError
from hdmf_zarr.hdf5 import is_h5py_reference, is_hdf5_file
from hdmf_zarr.stores import Hierarchy, Location, names, relative_source
from hdmf_zarr.stores.location import can_link, location_of_uri
from hdmf_zarr.write.context import PlanContext

ROOT_NAME = "root"

CONVERTED_SUFFIX = ".zarr"
"""Of the store to which an HDF5 file is converted, after the name of the file."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A link whose target is written in its place."""

    target: BaseBuilder


class Addresses:
    """Where each builder is written, and how links and references lead to it.

    Parameters
    ----------
    context : PlanContext
    """

    def __init__(self, context: PlanContext) -> None:
        self.context = context
        self._paths: dict[int, str] = {}
        self._by_path: dict[str, BaseBuilder] = {}
        self._links: list[tuple[str, LinkBuilder]] = []
        self._decided: dict[int, Link | Copy] = {}
        self._copied: dict[tuple[Location, str], str] = {}

    def path_of(self, builder: BaseBuilder) -> str:
        """Return the path of a builder that has one."""
        return self._paths[id(builder)]

    def builder_at(self, path: str) -> BaseBuilder | None:
        """Return the builder that is written at a path, or None."""
        return self._by_path.get(path)

    # -- paths -----------------------------------------------------------------------------------

    def assign(self, builder: BaseBuilder, path: str) -> None:
        """Give each builder its path; the first place of a builder that has two is the true one."""
        if id(builder) in self._paths:
            return
        self._paths[id(builder)] = path
        self._by_path[path] = builder
        if not isinstance(builder, GroupBuilder):
            return
        with self.context.at(path):
            self._check_names(self.children(builder, path))
        for child in self.children(builder, path):
            if isinstance(child, LinkBuilder):
                self._links.append((path, child))
            else:
                self.assign(child, join(path, child.name))

    def children(self, builder: GroupBuilder, path: str) -> list[Any]:
        """What is in a group, links first, under the names that it has in its file."""
        in_file = self.context.child_names
        children = (
            *builder.links.values(),
            *in_file.added.get(path, ()),
            *builder.groups.values(),
            *builder.datasets.values(),
        )
        return [child for child in children if (path, child.name) not in in_file.absent]

    def _check_names(self, every: Sequence[Any]) -> None:
        """Refuse names of new objects that a store, or a system to which it may go, cannot keep."""
        new = {child.name for child in every if not self.context.is_written(child)}
        for name in new:
            self.check_name(name)
        for first, second in names.differing_in_case(child.name for child in every):
            if first in new or second in new:
                self._refuse_name(
                    f"{first!r} and {second!r} differ only in case, or in how their letters are composed"
                )

    def check_name(self, name: str) -> None:
        """Refuse a name that a store cannot keep.

        Raises
        ------
        EncodingError
            If it cannot be a name, or, of an object that is in no file yet, should not be one.
        """
        if reason := names.why_unsafe(name):
            raise EncodingError(f"an object cannot have the name {name!r}: {reason}")
        if reason := names.why_refused(name):
            self._refuse_name(f"{name!r} is a name that not every system keeps: {reason}")

    def _refuse_name(self, reason: str) -> None:
        """What is in a file already is kept under its name, with a warning."""
        if self.context.export_source is None:
            raise EncodingError(f"{reason}; choose another name")
        where = f"{self.context.destination.uri} (from {self.context.export_source.uri})"
        message = f"{where}: {reason}; it is kept, and may be lost where the store is copied to"
        warnings.warn(message, UserWarning, stacklevel=2)

    # -- links -----------------------------------------------------------------------------------

    def decide_links(self) -> None:
        """Decide of every link among the builders that have addresses whether it stays one."""
        while self._links:
            path, link = self._links.pop(0)
            with self.context.at(join(path, link.name)):
                self._decided[id(link)] = self._decide_link(link, join(path, link.name))

    def decision(self, link: LinkBuilder, path: str) -> Link | Copy:
        """Return the link that a builder becomes at a path, or what is written in its place."""
        if id(link) not in self._decided:
            with self.context.at(path):
                self._decided[id(link)] = self._decide_link(link, path)
        return self._decided[id(link)]

    def _decide_link(self, link: LinkBuilder, path: str) -> Link | Copy:
        target = link.builder
        inside = self._path_inside(target)
        if inside is not None:
            return Link(name=link.name, path="/" + inside)
        location = location_of_uri(target.source)
        is_export = self.context.export_source is not None
        is_hdf5 = location.is_local and is_hdf5_file(location.uri)
        is_edited = is_export and location == self.context.destination
        if is_export and self.context.external_links == "keep" and not is_edited:
            return self._kept_link(link, target, location, is_hdf5=is_hdf5)
        if (
            (is_export and not self.context.link_data)
            or is_hdf5
            or not can_link(location, self.context.destination)
            or (location == self.context.destination and self.context.existing is None)
        ):
            if not is_export:
                warnings.warn(
                    f"{self.context.destination.uri}:/{path}: a Zarr store cannot link to "
                    f"{location.uri}; the target is copied",
                    UserWarning,
                    stacklevel=2,
                )
            self.assign(target, path)
            self._note_origins(target, path)
            return Copy(target)
        return Link(
            name=link.name,
            source=relative_source(location, self.context.destination),
            path="/" + _path_in_source(target),
        )

    def _kept_link(
        self, link: LinkBuilder, target: BaseBuilder, location: Location, *, is_hdf5: bool
    ) -> Link:
        """Return the link to what another file holds; to its conversion, where it is HDF5."""
        if is_hdf5:
            location = location_of_uri(location.uri + CONVERTED_SUFFIX)
            if not os.path.isdir(location.uri):
                warnings.warn(
                    f"{self.context.destination.uri} links to {location.uri}, which does not exist "
                    "yet: convert the file of that name to it",
                    BrokenLinkWarning,
                    stacklevel=2,
                )
        if not can_link(location, self.context.destination):
            raise BrokenLinkError(f"a link to {location.uri} cannot be kept: it cannot be reached")
        return Link(
            name=link.name,
            source=relative_source(location, self.context.destination),
            path="/" + _path_in_source(target),
        )

    def _note_origins(self, builder: BaseBuilder, path: str) -> None:
        """Remember where a followed link's target comes from: others may refer to it there."""
        origin = (location_of_uri(builder.source), _path_in_source(builder))
        self._copied.setdefault(origin, path)
        if isinstance(builder, GroupBuilder):
            for child in (*builder.groups.values(), *builder.datasets.values()):
                self._note_origins(child, join(path, child.name))

    def _path_inside(self, target: BaseBuilder) -> str | None:
        """Path of a builder in the destination, or None where it is not there."""
        if id(target) in self._paths:
            return self._paths[id(target)]
        if target.source is not None:
            location = location_of_uri(target.source)
        elif self.context.is_written(target):
            location = self.context.destination
        else:
            return None
        path = _path_in_source(target)
        if not path and target.name != ROOT_NAME:
            return None  # in no file: the path is not that of the root
        if location in (self.context.destination, self.context.export_source):
            if path in self._by_path:
                return path
            existing = self.context.existing
            if location == self.context.destination and existing is not None and path in existing:
                return path
        return None

    # -- references ------------------------------------------------------------------------------

    def reference(self, target: Any) -> Reference:
        """Return the reference to a builder or container.

        Raises
        ------
        BrokenLinkError
            If the target is not part of what is written and cannot be reached from it.
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
        inside = self._path_inside(target)
        if inside is not None:
            # What is written may have another id than the builder that was read.
            written = self._by_path.get(inside, target)
            return identified(Reference(path="/" + inside), written, self._by_path.get(""))
        if target.source is not None:
            location = location_of_uri(target.source)
            is_own = location in (self.context.destination, self.context.export_source)
            is_kept = not is_own and self.context.external_links == "keep"
            if is_kept and is_hdf5_file(location.uri):
                location = location_of_uri(location.uri + CONVERTED_SUFFIX)
            is_reachable = can_link(location, self.context.destination)
            if not is_own and is_reachable and not is_hdf5_file(location.uri):
                source = relative_source(location, self.context.destination)
                reference = Reference(source=source, path="/" + _path_in_source(target))
                return identified(reference, target)
        raise BrokenLinkError(
            f"a reference to {target.name!r} of {target.source}, which is not part of what is "
            "written and cannot be reached from a Zarr store"
        )

    def reference_text(self, target: Any) -> str:
        """Return the element of a dataset of references for a builder, container or h5py reference.

        Raises
        ------
        BrokenLinkError
            As for `reference`.
        """
        if is_h5py_reference(target):
            # Of one record; HDF5IO resolves those of columns and of attributes.
            if not target:
                return self.context.convention.encode_element(None)
            if self.context.hdf5_file is None:
                raise BrokenLinkError("a reference of an HDF5 file cannot be kept outside of it")
            return self.hdf5_target_text(self.context.hdf5_file[target])
        return self.context.convention.encode_element(self.reference(target))

    def hdf5_target_text(self, target: Any) -> str:
        """Return the element for an object of the HDF5 file that is exported."""
        path = target.name.strip("/")
        if path in self._by_path:
            return self._element_inside(path)
        # An object with several names may have been read under another one.
        if self.context.hdf5_builder is None:
            raise BrokenLinkError(
                f"a reference to {target.file.filename}:{target.name}, an object of an HDF5 file, "
                "cannot be kept outside of it"
            )
        try:
            return self.reference_text(self.context.hdf5_builder(target))
        except ValueError as error:
            raise BrokenLinkError(
                f"a reference to {target.file.filename}:{target.name}, which is not part of what is "
                "written"
            ) from error

    def retarget(self, hierarchy: Hierarchy, reference: Reference) -> str:
        """Return the element for a reference that another Zarr store holds."""
        convention, destination = self.context.convention, self.context.destination
        if hierarchy.locate_source(reference.source) == hierarchy.location:
            path = reference.path.strip("/")
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
        location = hierarchy.locate_source(reference.source)
        copied = self._copied.get((location, reference.path.strip("/")))
        if copied is not None:
            return self._element_inside(copied)
        source = relative_source(location, destination)
        return convention.encode_element(replace(reference, source=source))

    def _element_inside(self, path: str) -> str:
        """Return the element for an object that is written."""
        reference = Reference(path="/" + path)
        target = self._by_path.get(path)
        if target is not None:
            reference = identified(reference, target, self._by_path.get(""))
        return self.context.convention.encode_element(reference)


def identified(
    reference: Reference, target: BaseBuilder, root: BaseBuilder | None = None
) -> Reference:
    """Return a reference with the ids of the builder to which it leads, and of the root above it."""
    if root is None:
        root = target
        while root.parent is not None:
            root = root.parent
    return replace(reference, object_id=_object_id(target), source_object_id=_object_id(root))


def _object_id(builder: BaseBuilder) -> str | None:
    object_id = builder.attributes.get("object_id")
    return object_id if isinstance(object_id, str) else None


def join(parent: str, name: str) -> str:
    """Return the path of an object in a group."""
    return f"{parent}/{name}" if parent else name


def _path_in_source(builder: BaseBuilder) -> str:
    if builder.parent is None and builder.name == ROOT_NAME:
        return ""
    if builder.location is not None:
        return f"{builder.location}/{builder.name}".strip("/")
    parts = []
    current: Any = builder
    while current.parent is not None:
        parts.append(current.name)
        current = current.parent
    return "/".join(reversed(parts))
