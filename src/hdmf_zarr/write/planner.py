"""A builder -> the plan of what is written; reads the source, never touches the destination."""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import (
    Builder,
    BuildManager,
    DatasetBuilder,
    GroupBuilder,
    LinkBuilder,
    ReferenceBuilder,
)
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer
from hdmf.data_utils import AbstractDataChunkIterator, DataIO
from hdmf.query import HDMFDataset

from hdmf_zarr.codecs import CodecRequest, chain_from_codecs
from hdmf_zarr.codecs.hdf5_codecs import for_other_chunks
from hdmf_zarr.codecs.hdf5_filters import LOSSY_CODECS
from hdmf_zarr.codecs.translate import to_zarr_codec
from hdmf_zarr.convention import JSON, Convention, Link, Reference
from hdmf_zarr.convention.attributes import encode_attribute, spell_out
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.dtypes import (
    ASCII,
    BYTES,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    declared_element_type,
    element_type_from_compound,
    element_type_from_numpy,
    is_number,
)
from hdmf_zarr.elements import (
    REFERENCE_TYPES,
    bytes_where_not_text,
    check_storable,
    encode_elements,
    encoded_size,
    first_leaf,
    infer_element_type,
    nested_shape,
    to_memory,
)
from hdmf_zarr.errors import (
    BrokenLinkError,
    DtypeError,
    EncodingError,
    HDMFZarrError,
    LayoutError,
    OptionError,
)
from hdmf_zarr.hdf5 import (
    HDF5Source,
    convert_attribute,
    is_h5py_dataset,
    is_h5py_reference,
    is_hdf5_file,
    stored_dataset,
)
from hdmf_zarr.hdf5.names import ChildNames
from hdmf_zarr.hdf5.raw import RawChunks, can_copy_raw, filter_chain
from hdmf_zarr.hdf5.source import fill_value_of, row_blocks
from hdmf_zarr.stores import Hierarchy, Location, compat, names, relative_source
from hdmf_zarr.stores.array import HDMFZarrArray
from hdmf_zarr.stores.location import can_link, location_of_uri
from hdmf_zarr.write.dataio import layout_of_array, unwrap
from hdmf_zarr.write.dimensions import DimensionNames
from hdmf_zarr.write.layout import (
    ENCODED_SHARD_BYTES,
    LARGE_SHARD_BYTES,
    SHARD_BYTES,
    SHARDS_OF_ARRAY,
    LayoutRequest,
    decide_layout,
    has_checksum,
)
from hdmf_zarr.write.options import DEFAULT, KEEP, DatasetOptions, LayoutOptions
from hdmf_zarr.write.plan import ArrayPlan, AttributesPlan, GroupPlan, Plan, TreePlan
from hdmf_zarr.write.shards import inner_document
from hdmf_zarr.write.sources import (
    ArraySource,
    ChunkCopySource,
    EmptySource,
    IteratorSource,
    LazySource,
    MemorySource,
    RawSource,
    ZarrSource,
    note_begun,
    was_begun,
    widths_of,
)
from hdmf_zarr.write.storage import storage_of_format
from hdmf_zarr.write.zarr_chunks import ZarrChunks

logger = logging.getLogger(__name__)

ROOT_NAME = "root"

ExternalLinks = Literal["follow", "keep"]

CONVERTED_SUFFIX = ".zarr"
"""Of the store to which an HDF5 file is converted, after the name of the file."""


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """What the planner needs to know besides the builder.

    Attributes
    ----------
    destination : Location
    existing : Hierarchy or None
        The nodes that are there already, where the store is appended to.
    convention : Convention
    is_written : callable
        Whether a builder was read from, or written to, the destination.
    manager : BuildManager or None
    link_data : bool
        Link arrays of other Zarr stores rather than copy them.
    export_source : Location or None
        The file that is exported; None for a write.
    hdf5_file : h5py.File or None
        The open file that is exported, where it is HDF5.
    hdf5_builder : callable or None
        Returns the builder that was read for an object of that file.
    child_names : ChildNames
        Names that an HDF5 file has and its builders have not.
    options : LayoutOptions
        How the datasets of an export are laid out.
    external_links : {"follow", "keep"}
        Whether what an exported file links to in others is copied, or linked to in the stores that
        these are converted to.
    checksum : bool
        Whether each encoded chunk of every array ends with its CRC-32C.
    strict_json : bool
        Whether NaN and infinities in attributes are spelled as text.
    """

    destination: Location
    existing: Hierarchy | None
    convention: Convention
    is_written: Callable[[Builder], bool]
    manager: BuildManager | None
    link_data: bool
    export_source: Location | None = None
    hdf5_file: Any = None
    hdf5_builder: Callable[[Any], Builder] | None = None
    child_names: ChildNames = field(default_factory=ChildNames)
    options: LayoutOptions = field(default_factory=LayoutOptions)
    external_links: ExternalLinks = "follow"
    checksum: bool = False
    strict_json: bool = False


@dataclass(frozen=True, slots=True)
class _Copy:
    """A link whose target is written in its place."""

    target: BaseBuilder


def plan_tree(root: GroupBuilder, context: PlanContext) -> TreePlan:
    """Return what has to be written so that the destination holds a builder's tree.

    Raises
    ------
    HDMFZarrError
        If something cannot be kept as it is; nothing was written then.
    """
    return _Planner(context).plan(root)


def plan_piece(builder: Builder, context: PlanContext, parent: str) -> TreePlan:
    """Return what has to be written so that a group of the destination holds a builder.

    Parameters
    ----------
    builder : GroupBuilder, DatasetBuilder or LinkBuilder
    context : PlanContext
    parent : str
        Path of the group, which must be there.
    """
    return _Planner(context).plan_piece(builder, parent)


def refuse_name_twice(
    existing: Hierarchy, parent: str, name: str, *, as_what: Literal["link", "object", "attribute"]
) -> None:
    """Raise `EncodingError` if something else in a group has a name; HDMF knows all by it.

    Parameters
    ----------
    existing : Hierarchy
    parent : str
        Path of the group.
    name : str
    as_what : {"link", "object", "attribute"}
        What gets the name; one of the same kind is replaced.
    """
    if existing.node_type(parent) != "group":
        return
    attributes, convention = existing.attributes(parent), existing.convention
    has_it = {
        "an object": _join(parent, name) in existing,
        "a link": any(link.name == name for link in convention.decode_links(attributes)),
        "an attribute": name in convention.user_attributes(attributes),
    }
    for what, is_there in has_it.items():
        if is_there and not what.endswith(as_what):
            raise EncodingError(f"the name {name!r} is that of {what} there; choose another name")


def attributes_with(
    old: dict[str, JSON], attributes: dict[str, Any], context: PlanContext
) -> dict[str, JSON]:
    """Return a node's attributes with others set, encoded."""
    holder = GroupBuilder(name="holder", attributes=attributes)
    return _merged(old, _Planner(context).attributes(holder))


class _Planner:
    def __init__(self, context: PlanContext) -> None:
        self.context = context
        self.dimension_names = DimensionNames(context.manager)
        self.storage = storage_of_format(context.convention.zarr_format)
        self._paths: dict[int, str] = {}
        self._by_path: dict[str, BaseBuilder] = {}
        self._links: list[tuple[str, LinkBuilder]] = []
        self._decided: dict[int, Link | _Copy] = {}
        self._copied: dict[tuple[Location, str], str] = {}
        self._nodes: list[Plan] = []
        self._builders: list[Builder] = []
        self._laid_out: list[str] = []
        self._iterators: dict[int, str] = {}

    def plan(self, root: GroupBuilder) -> TreePlan:
        self._assign_paths(root, "")
        self._decide_links()
        self._plan_group(root, "")
        self.context.options.check_paths(self._laid_out)
        return TreePlan(nodes=tuple(self._nodes), builders=tuple(self._builders))

    def plan_piece(self, builder: Builder, parent: str) -> TreePlan:
        path = _join(parent, builder.name)
        existing = self.context.existing
        if existing is None or parent not in existing:
            raise BrokenLinkError(f"{self.context.destination.uri} has no group at /{parent}")
        kind = "array" if isinstance(builder, DatasetBuilder) else "group"
        with self._at(parent):
            self._check_name(builder.name)
            if path in existing and kind != existing.node_type(path):
                raise EncodingError(
                    f"{builder.name!r} is another kind of object there; choose another name"
                )
        if isinstance(builder, BaseBuilder):
            self._assign_paths(builder, path)
        top: Any = builder
        while top.parent is not None:
            top = top.parent
        if isinstance(top, BaseBuilder):
            self._assign_paths(top, "")
        self._decide_links()
        links = self._plan_children([builder], parent)
        with self._at(parent):
            refuse_name_twice(existing, parent, builder.name, as_what="link" if links else "object")
        if links:
            old = existing.attributes(parent)
            new = {link.name for link in links}
            kept = [k for k in self.context.convention.decode_links(old) if k.name not in new]
            encoded = self.context.convention.encode_links(kept + links)
            self._nodes.append(AttributesPlan(path=parent, attributes=_merged(old, encoded)))
        return TreePlan(nodes=tuple(self._nodes), builders=tuple(self._builders))

    def _decide_links(self) -> None:
        while self._links:
            path, link = self._links.pop(0)
            with self._at(_join(path, link.name)):
                self._decided[id(link)] = self._decide_link(link, _join(path, link.name))

    @contextmanager
    def _at(self, path: str) -> Iterator[None]:
        """Say in every error of ours where it happened."""
        where = f"{self.context.destination.uri}:/{path}"
        try:
            yield
        except HDMFZarrError as error:
            message = str(error)
            if message.startswith(self.context.destination.uri + ":/"):
                raise
            raise type(error)(f"{where}: {message}") from error

    # -- paths -----------------------------------------------------------------------------------

    def _assign_paths(self, builder: BaseBuilder, path: str) -> None:
        """Give each builder its path; the first place of a builder that has two is the true one."""
        if id(builder) in self._paths:
            return
        self._paths[id(builder)] = path
        self._by_path[path] = builder
        if not isinstance(builder, GroupBuilder):
            return
        with self._at(path):
            self._check_names(self._children(builder, path))
        for child in self._children(builder, path):
            if isinstance(child, LinkBuilder):
                self._links.append((path, child))
            else:
                self._assign_paths(child, _join(path, child.name))

    def _children(self, builder: GroupBuilder, path: str) -> list[Any]:
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
            self._check_name(name)
        for first, second in names.differing_in_case(child.name for child in every):
            if first in new or second in new:
                self._refuse_name(
                    f"{first!r} and {second!r} differ only in case, or in how their letters are composed"
                )

    def _check_name(self, name: str) -> None:
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

    def _path_in_source(self, builder: BaseBuilder) -> str:
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

    # -- links and references --------------------------------------------------------------------

    def _decide_link(self, link: LinkBuilder, path: str) -> Link | _Copy:
        target = link.builder
        inside = self._path_inside(target)
        if inside is not None:
            return Link(name=link.name, path="/" + inside)
        location = location_of_uri(target.source)
        is_export = self.context.export_source is not None
        is_hdf5 = location.is_local and is_hdf5_file(location.uri)
        if is_export and self.context.external_links == "keep":
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
            self._assign_paths(target, path)
            self._note_origins(target, path)
            return _Copy(target)
        return Link(
            name=link.name,
            source=relative_source(location, self.context.destination),
            path="/" + self._path_in_source(target),
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
            path="/" + self._path_in_source(target),
        )

    def _note_origins(self, builder: BaseBuilder, path: str) -> None:
        """Remember where a followed link's target comes from: others may refer to it there."""
        origin = (location_of_uri(builder.source), self._path_in_source(builder))
        self._copied.setdefault(origin, path)
        if isinstance(builder, GroupBuilder):
            for child in (*builder.groups.values(), *builder.datasets.values()):
                self._note_origins(child, _join(path, child.name))

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
        path = self._path_in_source(target)
        if not path and target.name != ROOT_NAME:
            return None  # in no file: the path is not that of the root
        if location in (self.context.destination, self.context.export_source):
            if path in self._by_path:
                return path
            existing = self.context.existing
            if location == self.context.destination and existing is not None and path in existing:
                return path
        return None

    def _reference(self, target: Any) -> Reference:
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
            return identified(Reference(path="/" + inside), target, self._by_path.get(""))
        if target.source is not None:
            location = location_of_uri(target.source)
            is_own = location in (self.context.destination, self.context.export_source)
            is_kept = not is_own and self.context.external_links == "keep"
            if is_kept and is_hdf5_file(location.uri):
                location = location_of_uri(location.uri + CONVERTED_SUFFIX)
            is_reachable = can_link(location, self.context.destination)
            if not is_own and is_reachable and not is_hdf5_file(location.uri):
                source = relative_source(location, self.context.destination)
                reference = Reference(source=source, path="/" + self._path_in_source(target))
                return identified(reference, target)
        raise BrokenLinkError(
            f"a reference to {target.name!r} of {target.source}, which is not part of what is "
            "written and cannot be reached from a Zarr store"
        )

    def _reference_text(self, target: Any) -> str:
        if is_h5py_reference(target):
            # Of one record; HDF5IO resolves those of columns and of attributes.
            if not target:
                return self.context.convention.encode_element(None)
            if self.context.hdf5_file is None:
                raise BrokenLinkError("a reference of an HDF5 file cannot be kept outside of it")
            return self._hdf5_target_text(self.context.hdf5_file[target])
        return self.context.convention.encode_element(self._reference(target))

    def _hdf5_target_text(self, target: Any) -> str:
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
            return self._reference_text(self.context.hdf5_builder(target))
        except ValueError as error:
            raise BrokenLinkError(
                f"a reference to {target.file.filename}:{target.name}, which is not part of what is "
                "written"
            ) from error

    def _retarget(self, hierarchy: Hierarchy, reference: Reference) -> str:
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

    # -- groups ----------------------------------------------------------------------------------

    def _plan_group(self, builder: GroupBuilder, path: str) -> None:
        position = len(self._nodes)
        links = self._plan_children(self._children(builder, path), path)
        with self._at(path):
            self._nodes.insert(position, self._group_plan(builder, path, links))
        self._builders.append(builder)

    def _plan_children(self, children: Sequence[Builder], path: str) -> list[Link]:
        """Plan what is in a group, and return the links that the group gets."""
        links: list[Link] = []
        for child in children:
            child_path = _join(path, child.name)
            if isinstance(child, LinkBuilder):
                decision = self._decision(child, child_path)
                self._builders.append(child)
                if isinstance(decision, Link):
                    links.append(decision)
                    continue
                child = decision.target
            home = self._paths[id(child)]
            if home != child_path:
                links.append(Link(name=child_path.rpartition("/")[2], path="/" + home))
            elif isinstance(child, GroupBuilder):
                self._plan_group(child, child_path)
            else:
                with self._at(child_path):
                    plan = self._plan_dataset(child, child_path)
                if isinstance(plan, Link):
                    links.append(plan)
                else:
                    self._nodes.append(plan)
                self._builders.append(child)
        return links

    def _decision(self, link: LinkBuilder, path: str) -> Link | _Copy:
        if id(link) not in self._decided:
            with self._at(path):
                self._decided[id(link)] = self._decide_link(link, path)
        return self._decided[id(link)]

    def _group_plan(self, builder: GroupBuilder, path: str, links: list[Link]) -> Plan:
        attributes = self.attributes(builder)
        existing = self.context.existing
        if existing is not None and path in existing:
            old = existing.attributes(path)
            named = {link.name for link in links}
            # A link whose target is missing was not read, and stays as it was.
            kept = [
                link for link in self.context.convention.decode_links(old) if link.name not in named
            ]
            merged = _merged(
                old, {**attributes, **self.context.convention.encode_links(links + kept)}
            )
            return AttributesPlan(path=path, attributes=merged)
        attributes.update(self.context.convention.encode_links(links))
        return GroupPlan(path=path, attributes=attributes)

    def attributes(self, builder: BaseBuilder) -> dict[str, JSON]:
        encoded: dict[str, JSON] = {}
        types: dict[str, str] = {}
        for name, value in builder.attributes.items():
            if name in self.context.convention.reserved:
                raise EncodingError(f"attribute {name!r} has a name that the format reserves")
            try:
                encoded[name], dtype = self._encode_attribute(value)
                if self.context.strict_json:
                    encoded[name], dtype = spell_out(encoded[name], dtype)
            except (DtypeError, EncodingError) as error:
                raise type(error)(f"attribute {name!r}: {error}") from error
            if dtype is not None:
                types[name] = dtype
        if types:
            encoded[ATTRIBUTE_TYPES] = types
        return encoded

    def _encode_attribute(self, value: Any) -> tuple[JSON, str | None]:
        convention = self.context.convention
        if isinstance(value, REFERENCE_TYPES):
            return convention.encode_reference(self._reference(value)), None
        texts = convert_attribute(value, self.context.hdf5_file, self._hdf5_target_text)
        if texts is not value:
            references = [convention.decode_element(text) for text in texts.ravel()]
            return [r and convention.encode_reference(r) for r in references], None
        if _holds_references(value):
            return [self._encode_reference(entry) for entry in value], None
        return encode_attribute(value)

    def _encode_reference(self, entry: Any) -> JSON:
        if not isinstance(entry, REFERENCE_TYPES):
            raise EncodingError(
                f"found {entry!r:.100} beside references; a list of references holds nothing else"
            )
        return self.context.convention.encode_reference(self._reference(entry))

    # -- datasets --------------------------------------------------------------------------------

    def _plan_dataset(self, builder: DatasetBuilder, path: str) -> Plan | Link:
        existing = self.context.existing
        is_there = existing is not None and path in existing
        if existing is not None and is_there and self.context.is_written(builder):
            old = existing.attributes(path)
            return AttributesPlan(path=path, attributes=_merged(old, self.attributes(builder)))
        data, request, link_data = unwrap(builder.data)
        if isinstance(data, HDMFDataset):
            data = data.dataset
        link = self._link_to_array(data, path, link_data=link_data)
        if link is not None and self._says_the_same(builder, data):
            return link
        if link is not None and link_data:
            warnings.warn(
                f"{self.context.destination.uri}:/{path}: a link to {link.source}:{link.path} was asked "
                "for, but the attributes there are others; the data are copied",
                UserWarning,
                stacklevel=2,
            )
        if link is None and link_data:
            warnings.warn(
                f"{self.context.destination.uri}:/{path}: a link was asked for, but "
                f"{self._why_no_link(data)}; the data are copied",
                UserWarning,
                stacklevel=2,
            )
        choice = self._choose_layout(data, path, request)
        if self.context.checksum:
            choice = self._with_checksum(choice, data)
        source = self._source(data, builder, choice)
        if isinstance(source, ChunkCopySource):
            return self._copy_plan(builder, path, source)
        return self._array_plan(builder, path, source, choice)

    # -- layout of what is exported --------------------------------------------------------------

    def _choose_layout(self, data: Any, path: str, request: LayoutRequest) -> _Choice:
        """Decide how a dataset is laid out, and why its chunks are not moved as they are."""
        zarr_format = self.context.convention.zarr_format
        of_users = isinstance(data, zarr.Array) and not isinstance(data, HDMFZarrArray)
        own = layout_of_array(data, zarr_format) if of_users else LayoutRequest()
        if not request.is_empty or self.context.export_source is None:
            request = own if request.is_empty else request
            return _Choice(request=request, decoded="a layout was asked for")
        described = _described(data)
        if described.shape == ():
            return _Choice(request=request, decoded="a scalar")
        self._laid_out.append(path)
        options = self.context.options.of(path, described)
        if is_h5py_dataset(data):
            return self._choose_for_hdf5(stored_dataset(data), options)
        if isinstance(data, HDMFZarrArray):
            return self._choose_for_zarr(data, options)
        request = own
        if options != DatasetOptions():
            request = _request(options, own.chunks, own.codecs)
        return _Choice(request=request, decoded="data that are in no file")

    def _with_checksum(self, choice: _Choice, data: Any) -> _Choice:
        """Add a checksum to each chunk: as it is moved, where that can be, and else by encoding it anew."""
        request = choice.request
        if not isinstance(data, HDMFZarrArray) or not request.is_empty:
            return replace(choice, request=replace(request, checksum=True))
        if _has_own_checksum(data) and self._why_not_copied(data) is None:
            return choice
        if choice.decoded is not None:
            return replace(choice, request=replace(request, checksum=True))
        decoded = self._why_not_raw(data, "a checksum was asked for")
        if data.element_type.kind == "number" and not data.is_restored and _codecs_of(data):
            request = LayoutRequest(
                chunks=tuple(data.chunks),
                shards=data.shards,
                codecs=self._kept_codecs(data, decoded),
            )
        return replace(choice, request=replace(request, checksum=True), decoded=decoded)

    def _choose_for_hdf5(self, dataset: Any, options: DatasetOptions) -> _Choice:
        chain = filter_chain(dataset)
        unlike = can_copy_raw(dataset)
        is_kept = options.codecs == KEEP
        reason = None if dataset.chunks is None else _asked_for(options, dataset.chunks)
        if is_kept and chain.is_lossy and unlike is None and reason is not None:
            unlike = f"{reason}, and its filter would lose precision once more"
        lost = chain.missing or (unlike if chain.is_lossy else None)
        if is_kept and lost is not None:
            self._give_up_codecs(f"{dataset.file.filename}:{dataset.name}", lost)
        if unlike is not None and (dataset.chunks is None or chain.missing or is_kept):
            request = _request(options, None, CodecRequest())
            return _Choice(request=request, decoded=unlike, plugin=None)
        codecs = list(chain.codecs) if reason is None else for_other_chunks(chain.codecs)
        kept = CodecRequest(filters=codecs, compressors=False)
        request = _request(options, dataset.chunks, kept)
        return _Choice(request=request, decoded=reason, plugin=chain.plugin if is_kept else None)

    def _give_up_codecs(self, where: str, reason: str) -> None:
        """Tell that the filters of a dataset cannot be kept, or refuse to go on without them."""
        if self.context.options.strict:
            raise LayoutError(
                f"{where}: {reason}; without strict=True it is decoded and encoded with the default codec"
            )
        logger.info("%s: %s: written with the default codec", where, reason)

    def _choose_for_zarr(self, array: HDMFZarrArray, options: DatasetOptions) -> _Choice:
        chunks = tuple(array.chunks)
        reason = _asked_for(options, chunks)
        is_kept = options.shards in (None, array.shards)
        if options.shards == "auto":
            is_kept = array.shards is not None or math.prod(array.cdata_shape) <= 1
        if reason is None and is_kept:
            return self._copied_whole(array)
        decoded = reason or self._why_not_raw(array, "shards were asked for")
        request = _request(options, chunks, self._kept_codecs(array, decoded))
        return _Choice(request=request, decoded=decoded)

    def _copied_whole(self, array: HDMFZarrArray) -> _Choice:
        """The choice for an array that is kept as it is, or as nearly so as the format allows."""
        decoded = self._why_not_copied(array)
        document = array.hierarchy.documents[array.node_path]
        inner = inner_document(document) if array.shards is not None else None
        if decoded is None or inner is None or not self.storage.can_hold(inner, array.element_type):
            return _Choice(request=LayoutRequest(), decoded=decoded)
        # A format without shards: the chunks that are inside of them.
        codecs = self._kept_codecs(array, decoded)
        chunks = tuple(array.chunks) if not codecs.is_empty else None
        return _Choice(request=LayoutRequest(chunks=chunks, codecs=codecs), decoded=decoded)

    def _why_not_copied(self, array: HDMFZarrArray) -> str | None:
        """Return None if an array can be copied as it is, its metadata and all its files, or why not."""
        element = array.element_type
        if array.is_restored:
            return "a compound that was stored expanded"
        kinds = [element.kind, *(field.kind for _, field in element.fields)]
        if "reference" in kinds:
            return "references"
        document = array.hierarchy.documents[array.node_path]
        if self.storage.can_hold(document, element):
            return None
        return f"what Zarr format {self.context.convention.zarr_format} stores otherwise"

    def _why_not_raw(self, array: HDMFZarrArray, reason: str) -> str | None:
        """Return a reason, or None where encoded chunks can be moved into another layout as they are."""
        document = array.hierarchy.documents[array.node_path]
        is_plain = array.element_type.kind == "number" and not array.is_restored
        can_hold = bool(document.get("codecs")) and array.shards is None
        if is_plain and can_hold and self.storage.can_hold(document, array.element_type):
            return None
        return reason

    def _kept_codecs(self, array: HDMFZarrArray, decoded: str | None) -> CodecRequest:
        """The request for the codecs that an array has, in shards or not."""
        codecs = _inner(_codecs_of(array))
        if array.element_type.kind != "number" or array.is_restored:
            return CodecRequest()
        if decoded is not None and not LOSSY_CODECS.isdisjoint(codec["name"] for codec in codecs):
            where = f"{array.hierarchy.uri}:/{array.node_path}"
            self._give_up_codecs(where, f"{decoded}, and its codec would lose precision once more")
            return CodecRequest()
        kept = [to_zarr_codec(codec, 1) for codec in codecs]
        chain = chain_from_codecs(kept if decoded is None else for_other_chunks(kept))
        return CodecRequest(
            filters=list(chain.filters),
            serializer=chain.serializer,
            compressors=list(chain.compressors) or False,
        )

    def _link_to_array(self, data: Any, path: str, *, link_data: bool | None) -> Link | None:
        """Return the link that stands for a dataset whose data are an array of a Zarr store."""
        if not isinstance(data, zarr.Array):
            return None
        location, array_path = _whereabouts(data)
        if location is None:
            return None
        name = path.rpartition("/")[2]
        is_export = self.context.export_source is not None
        if location == self.context.destination:
            if self._is_there(data):
                return Link(name=name, path="/" + array_path)
            self._check_readable_meanwhile()
            return self._link_to_home(array_path, path) if is_export else None
        if location == self.context.export_source and not self.context.link_data and not link_data:
            return self._link_to_home(array_path, path)
        wanted = self.context.link_data if link_data is None else link_data
        if (
            not wanted
            or not can_link(location, self.context.destination)
            or (is_export and not self.context.link_data)
        ):
            return None
        return Link(
            name=name,
            source=relative_source(location, self.context.destination),
            path="/" + array_path,
        )

    def _why_no_link(self, data: Any) -> str:
        if not isinstance(data, zarr.Array):
            return f"{type(data).__name__} is no zarr array"
        location = _whereabouts(data)[0]
        if location is None or not can_link(location, self.context.destination):
            return "the store cannot be reached from there"
        return "this is an export without link_data, which links to no other file"

    def _is_there(self, data: zarr.Array[Any]) -> bool:
        """Whether an array at the destination stays there: one of a store that is replaced goes with it."""
        existing = self.context.existing
        if existing is None:
            return False
        return existing.is_live or getattr(data, "hierarchy", None) is existing

    def _check_readable_meanwhile(self) -> None:
        """Raise unless a store that is replaced is there until the new one takes its place."""
        if not self.context.destination.is_local:
            raise OptionError(
                f"{self.context.destination.uri} would be emptied before its own data are read: write to "
                "another place"
            )

    def _says_the_same(self, builder: DatasetBuilder, array: zarr.Array[Any]) -> bool:
        """Whether a link to an array loses nothing of the builder: its type and its attributes.

        A dataset with a data type of its own (a column) is never linked: its object id is its own,
        and what its attributes refer to is in its own file.
        """
        attributes = self.attributes(builder)
        if "neurodata_type" in attributes or "data_type" in attributes:
            return False
        convention = self.context.convention
        if isinstance(array, HDMFZarrArray):
            convention = array.hierarchy.convention
        held = convention.user_attributes(dict(array.attrs))
        types = dict(array.attrs).get(ATTRIBUTE_TYPES) or {}
        own_types = attributes.pop(ATTRIBUTE_TYPES, {})
        is_numeric = not isinstance(array, HDMFZarrArray) or array.element_type.numpy is not None
        # As text: NaN is not equal to itself.
        same = json.dumps(attributes, sort_keys=True) == json.dumps(held, sort_keys=True)
        return is_numeric and same and own_types == types

    def _link_to_home(self, array_path: str, path: str) -> Link | None:
        """Link to the copy of an array that is exported under its own path, too."""
        home = self._by_path.get(array_path)
        if array_path == path or not isinstance(home, DatasetBuilder):
            return None
        data = unwrap(home.data)[0]
        data = data.dataset if isinstance(data, HDMFDataset) else data
        if not isinstance(data, zarr.Array):
            return None
        if _whereabouts(data) != (self.context.export_source, array_path):
            return None
        return Link(name=path.rpartition("/")[2], path="/" + array_path)

    def _source(
        self, data: Any, builder: DatasetBuilder, choice: _Choice
    ) -> ArraySource | IteratorSource | RawSource | ChunkCopySource:
        declared = _declared(builder, data)
        if data is None:
            element = declared or element_type_from_numpy(_empty_dtype(builder))
            return EmptySource(_empty_shape(builder), element)
        if isinstance(data, AbstractDataChunkIterator):
            self._check_fresh(data, builder)
            return _iterator_source(data, declared)
        if isinstance(data, HDMFZarrArray):
            return self._zarr_source(data, choice)
        if is_h5py_dataset(data) and choice.decoded is None:
            return RawSource(RawChunks(data), element_type_from_numpy(data.dtype))
        if is_h5py_dataset(data):
            return HDF5Source(data, self._hdf5_target_text)
        if _is_lazy(data):
            is_text = declared in (TEXT, ASCII, ISODATETIME, BYTES)
            own = None if is_text else element_type_from_numpy(np.dtype(data.dtype))
            return LazySource(data, declared if own is None else _widened(own, declared))
        if isinstance(data, ReferenceBuilder | BaseBuilder | AbstractContainer):
            declared = REFERENCE
        if not isinstance(data, (list, tuple, np.ndarray)) and not np.isscalar(data):
            data = _as_data(data)
        return self._memory_source(data, declared)

    def _check_fresh(self, iterator: AbstractDataChunkIterator, builder: DatasetBuilder) -> None:
        """Raise for an iterator of which something was or will be given to another dataset."""
        _check_not_begun(iterator)
        other = self._iterators.setdefault(id(iterator), self._paths[id(builder)])
        if other != self._paths[id(builder)]:
            raise EncodingError(
                f"the iterator is that of /{other}, too, and gives its data once; make one for each dataset"
            )

    def _memory_source(self, data: Any, declared: ElementType | None) -> MemorySource:
        element = declared or infer_element_type(data)
        if isinstance(first_leaf(data), REFERENCE_TYPES) and element.kind != "compound":
            element = REFERENCE
        if element.kind == "number" and isinstance(first_leaf(data), (str, bytes)):
            element = infer_element_type(data)
        values = to_memory(data, element, self._reference_text)
        element = bytes_where_not_text(element, values)
        if element.numpy is not None and values.dtype != element.numpy:
            element = element_type_from_numpy(values.dtype)
        return MemorySource(values, element)

    def _zarr_source(
        self, array: HDMFZarrArray, choice: _Choice
    ) -> ZarrSource | RawSource | ChunkCopySource:
        element = array.element_type
        if choice.request.is_empty and self._why_not_copied(array) is None:
            return ChunkCopySource(array, element)
        if choice.decoded is None and not choice.request.is_empty:
            return RawSource(ZarrChunks(array), element, has_checksum=_has_own_checksum(array))
        return ZarrSource(array, lambda reference: self._retarget(array.hierarchy, reference))

    def _copy_plan(self, builder: DatasetBuilder, path: str, source: ChunkCopySource) -> ArrayPlan:
        document = dict(source.array.hierarchy.documents[source.array.node_path])
        header = source.array.hierarchy.convention.decode_header(
            document.pop("attributes", None) or {}
        )
        attributes = {
            **self.attributes(builder),
            **self._encoded_header(source.element, builder, source.shape, header.dimension_names),
        }
        names = document.get("dimension_names") or header.dimension_names
        names = names or self.dimension_names.of(builder, len(source.shape))
        document.pop("dimension_names", None)
        if names and self.storage.has_dimension_names:
            document["dimension_names"] = list(names)
        document["chunk_key_encoding"] = self.storage.chunk_keys
        return ArrayPlan(
            path=path,
            element=source.element,
            data_type=None,
            shape=source.shape,
            layout=None,
            attributes=attributes,
            dimension_names=names,
            source=source,
            document=document,
        )

    def _array_plan(
        self,
        builder: DatasetBuilder,
        path: str,
        source: ArraySource | IteratorSource | RawSource,
        choice: _Choice,
    ) -> ArrayPlan:
        request = choice.request
        check_storable(source.element)
        self.storage.check_shards(request.shards)
        iterator = source.iterator if isinstance(source, IteratorSource) else None
        is_read = not isinstance(source, (IteratorSource, RawSource))
        widths = widths_of(source) if is_read else {}  # type: ignore[arg-type]
        stored = self.storage.stored_type(source.element, widths)
        element, numpy_dtype = stored.element, stored.numpy
        if isinstance(source, MemorySource):
            encode_elements(
                source.values, element, numpy_dtype
            )  # what cannot be encoded, fails here
        shape = source.shape or self.storage.scalar_shape
        layout = decide_layout(
            request,
            element=element,
            stored_dtype=numpy_dtype,
            shape=shape if iterator is None else iterator.maxshape,
            itemsize=numpy_dtype.itemsize if numpy_dtype is not None else _mean_size(source),
            fill_value=_fill_value(source, stored.data_type),
            shard_bytes=self._shard_bytes(source, numpy_dtype),
            recommended_chunks=None if iterator is None else iterator.recommended_chunk_shape(),
        )
        names = _names_in_store(source) or self.dimension_names.of(builder, len(shape))
        attributes = {
            **self.attributes(builder),
            **self._encoded_header(
                source.element, builder, source.shape, names if source.shape else None
            ),
        }
        has_names = self.storage.has_dimension_names
        return ArrayPlan(
            path=path,
            element=element,
            data_type=stored.data_type,
            shape=shape,
            layout=layout.with_codecs(stored.codecs),
            attributes=attributes,
            dimension_names=names if has_names else None,
            chunk_keys=self.storage.chunk_keys,
            source=source,
            decoded=choice.decoded,
            plugin=choice.plugin,
        )

    def _shard_bytes(self, source: Any, dtype: np.dtype[Any] | None) -> float:
        """Bytes before compression of a shard, where its shape is left to us."""
        if isinstance(source, IteratorSource):
            return SHARD_BYTES
        if not isinstance(source, RawSource) or not source.chunks.n_bytes:
            n_bytes = math.prod(source.shape) * (dtype.itemsize if dtype is not None else 64)
            return float(min(ENCODED_SHARD_BYTES, max(SHARD_BYTES, n_bytes / SHARDS_OF_ARRAY)))
        # Packed on disk rather than in memory, a shard may hold as many encoded bytes.
        n_bytes = source.chunks.n_bytes
        at_most = LARGE_SHARD_BYTES if self.context.destination.is_local else SHARD_BYTES
        encoded = min(at_most, max(SHARD_BYTES, n_bytes / SHARDS_OF_ARRAY))
        chunk_bytes = math.prod(source.chunks.chunks) * source.element.memory_dtype.itemsize
        return encoded * max(1.0, source.chunks.n_chunks * chunk_bytes / n_bytes)

    def _encoded_header(
        self,
        element: ElementType,
        builder: DatasetBuilder,
        shape: tuple[int, ...],
        names: tuple[str | None, ...] | None = None,
    ) -> dict[str, JSON]:
        names = names or self.dimension_names.of(builder, len(shape))
        header = self.storage.header(element, is_scalar=not shape, names=names)
        return self.context.convention.encode_header(header)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """How a dataset is laid out.

    Attributes
    ----------
    request : LayoutRequest
    decoded : str or None
        Why its chunks are not moved as they are; None where they are.
    plugin : str or None
        What a reader of the chunks needs to have installed.
    """

    request: LayoutRequest
    decoded: str | None
    plugin: str | None = None


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


# -- small decisions -------------------------------------------------------------------------------


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _merged(old: dict[str, JSON], new: dict[str, JSON]) -> dict[str, JSON]:
    """New attributes over old ones; dtypes that were recorded stay for attributes that stay."""
    types = {
        name: dtype for name, dtype in (old.get(ATTRIBUTE_TYPES) or {}).items() if name not in new
    }
    types.update(new.get(ATTRIBUTE_TYPES) or {})
    merged = {**old, **new}
    merged.pop(ATTRIBUTE_TYPES, None)
    return {**merged, ATTRIBUTE_TYPES: types} if types else merged


def _declared(builder: DatasetBuilder, data: Any) -> ElementType | None:
    """Element type that the builder declares, refined by its specification."""
    if isinstance(builder.dtype, list):
        dtype = getattr(data, "dtype", None)
        if not isinstance(dtype, np.dtype):
            dtype = None
        return element_type_from_compound(builder.dtype, dtype)
    declared = declared_element_type(builder.dtype)
    spec = builder.matched_spec
    if declared is not None and declared.kind in ("ascii", "text") and spec is not None:
        if getattr(spec, "dtype", None) in ("isodatetime", "datetime"):
            return ISODATETIME
        if getattr(spec, "dtype", None) == "bytes":
            return BYTES
    return declared


def _empty_shape(builder: DatasetBuilder) -> tuple[int, ...]:
    """Shape of a dataset without data: HDF5IO gives none for empty text and references."""
    shape = getattr(builder.data, "shape", None) or builder.maxshape
    if shape is None:
        return (0,)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if getattr(builder.data, "shape", None):
        return shape
    empty = tuple(size or 0 for size in shape)
    return empty if 0 in empty or not empty else (0, *empty[1:])


def _empty_dtype(builder: DatasetBuilder) -> np.dtype[Any]:
    """Dtype of a dataset without data whose builder declares none: that of its wrapper."""
    return np.dtype(builder.data.dtype if isinstance(builder.data, DataIO) else np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class _NewData:
    """Shape and dtype of data that are no array: of an iterator, or of nested sequences."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


def _described(data: Any) -> Any:
    """Return data as the functions of a user know them, with a shape and a dtype."""
    if isinstance(data, AbstractDataChunkIterator):
        return _NewData(shape=tuple(data.maxshape), dtype=np.dtype(data.dtype or object))
    if isinstance(data, (list, tuple)):
        leaf = np.asarray(first_leaf(data))
        dtype = leaf.dtype if is_number(leaf.dtype) else np.dtype(object)
        return _NewData(shape=nested_shape(data), dtype=dtype)
    return data if hasattr(data, "shape") else _NewData(shape=(), dtype=np.dtype(object))


def _holds_references(value: Any) -> bool:
    """Whether a list, or one in it, has builders or containers among its entries."""
    if isinstance(value, np.ndarray):
        value = value.ravel() if value.dtype.kind == "O" else ()
    elif not isinstance(value, (list, tuple)):
        return False
    return any(isinstance(one, REFERENCE_TYPES) or _holds_references(one) for one in value)


def _widened(
    own: ElementType, declared: ElementType | None, *, other_sign: bool = False
) -> ElementType:
    """Type of numbers that come as they are asked for: the declared one, unless it is narrower.

    Parameters
    ----------
    own, declared : ElementType
    other_sign : bool
        Take integers with a sign for those without and the other way around: each is looked at when it comes.
    """
    if declared is None or own.numpy is None or declared.numpy is None:
        return own
    if not own.kind == declared.kind == "number":
        return own
    if other_sign and own.numpy.kind in "iu" and declared.numpy.kind in "iu":
        return declared if declared.numpy.itemsize >= own.numpy.itemsize else own
    return declared if np.can_cast(own.numpy, declared.numpy, "safe") else own


def _check_not_begun(iterator: Any) -> None:
    if was_begun(iterator):
        raise EncodingError(
            "the iterator has given data to another write, which it does not give again; make a new one"
        )


def _iterator_source(
    iterator: AbstractDataChunkIterator, declared: ElementType | None
) -> IteratorSource:
    dtype = iterator.dtype
    own = None
    if dtype is not None and np.dtype(dtype).kind != "O":
        own = element_type_from_numpy(np.dtype(dtype))
    element = declared
    if declared is None or (own is not None and own.kind == "number"):
        element = None if own is None else _widened(own, declared, other_sign=True)
    if element is None:
        raise DtypeError(f"an iterator that gives objects ({dtype}) needs a dtype")
    if element.kind == "fixed_bytes" and declared is not None:
        element = declared
    known = tuple(size or 0 for size in iterator.maxshape)
    return IteratorSource(iterator, element, known)


def _is_lazy(data: Any) -> bool:
    """Whether data have a shape and are not in memory."""
    if isinstance(data, (np.ndarray, np.generic, list, tuple, str, bytes)):
        return False
    has_array_interface = hasattr(data, "shape") and hasattr(data, "dtype")
    return has_array_interface and hasattr(data, "__getitem__") and not hasattr(data, "iloc")


def _as_data(data: Any) -> Any:
    if isinstance(data, Mapping) and not isinstance(data, REFERENCE_TYPES):
        raise EncodingError(
            f"{type(data).__name__} objects are no data: their values would be lost"
        )
    if isinstance(data, Iterator):
        _check_not_begun(data)
        note_begun(data)
    if hasattr(data, "__array__") and not isinstance(data, REFERENCE_TYPES):
        return np.asarray(data)
    is_iterable = hasattr(data, "__iter__") and not isinstance(data, (str, bytes, *REFERENCE_TYPES))
    return list(data) if is_iterable else data


def _whereabouts(array: zarr.Array[Any]) -> tuple[Location | None, str]:
    """Store and path of an array; no store where only this process has it."""
    if isinstance(array, HDMFZarrArray):
        return array.hierarchy.location, array.node_path
    from hdmf_zarr.stores import locate

    return locate(array.store), array.path


def _asked_for(options: DatasetOptions, chunks: tuple[int, ...]) -> str | None:
    """What of the options makes other chunks of a dataset than it has."""
    if options.codecs != KEEP:
        return "other codecs were asked for"
    if options.chunks is not None and tuple(options.chunks) != tuple(chunks):
        return "other chunks were asked for"
    return None


def _request(
    options: DatasetOptions, chunks: tuple[int, ...] | None, kept: CodecRequest
) -> LayoutRequest:
    """The layout that options ask for, of a dataset that has chunks and codecs."""
    if options.codecs == KEEP:
        codecs = kept
    elif options.codecs == DEFAULT:
        codecs = CodecRequest()
    else:
        codecs = CodecRequest(compressors=options.codecs)
    return LayoutRequest(
        chunks=tuple(options.chunks) if options.chunks is not None else chunks,
        shards=options.shards,
        codecs=codecs,
    )


def _names_in_store(source: Any) -> tuple[str | None, ...] | None:
    """Names of the dimensions of an array of another store, where it has some."""
    held = source.chunks if isinstance(source, RawSource) else source
    if isinstance(source, LazySource) and isinstance(source.array, zarr.Array):
        return getattr(source.array.metadata, "dimension_names", None)
    if not isinstance(held, (ZarrSource, ZarrChunks)):
        return None
    hierarchy, path = held.array.hierarchy, held.array.node_path
    document = hierarchy.documents[path]
    header = hierarchy.convention.decode_header(document.get("attributes") or {})
    names = document.get("dimension_names") or header.dimension_names
    return tuple(names) if names and len(names) == len(held.shape) else None


def _codecs_of(array: HDMFZarrArray) -> list[JSON]:
    return list(array.hierarchy.documents[array.node_path].get("codecs") or ())


def _has_own_checksum(array: HDMFZarrArray) -> bool:
    """Whether the chunks of an array end with their CRC-32C."""
    return has_checksum([to_zarr_codec(codec, 1) for codec in _inner(_codecs_of(array))[-1:]])


def _inner(codecs: list[JSON]) -> list[JSON]:
    """The codecs of chunks, in shards or not."""
    is_sharded = bool(codecs) and codecs[0]["name"] == "sharding_indexed"
    return list(codecs[0]["configuration"]["codecs"]) if is_sharded else codecs


def _mean_size(source: ArraySource | IteratorSource | RawSource) -> float:
    """Mean bytes of a variable element, by the first rows."""
    if isinstance(source, (IteratorSource, EmptySource, RawSource)) or math.prod(source.shape) == 0:
        return 16.0
    region = row_blocks(source.shape, 1024)[0]
    values: npt.NDArray[Any] = source.read(region)
    return max(1.0, encoded_size(values) / max(1, values.size))


def _fill_value(source: ArraySource | IteratorSource | RawSource, data_type: Any) -> Any:
    fill_value = None  # as an array of format 2 may have it
    if isinstance(source, RawSource):
        fill_value = source.chunks.fill_value
    elif isinstance(source, HDF5Source) and source.element.kind == "number":
        fill_value = fill_value_of(source.dataset)
    elif (
        isinstance(source, ZarrSource)
        and source.element.kind == "number"
        and not source.array.is_restored
    ):
        fill_value = source.array.fill_value
    return compat.empty_scalar(data_type) if fill_value is None else fill_value
