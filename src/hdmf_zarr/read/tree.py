"""The nodes of a store -> builders, in one pass over the metadata in memory."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import (
    Builder,
    DatasetBuilder,
    GroupBuilder,
    LinkBuilder,
    ReferenceBuilder,
)
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray, array_of_node, open_array
from hdmf_zarr.chunks import single
from hdmf_zarr.convention import JSON, SELF, ArrayHeader, Link, Reference, data_type_of
from hdmf_zarr.convention.attributes import ENUM, decode_attribute, recorded_enum_names
from hdmf_zarr.convention.records import is_compound, reference_leaves, with_references
from hdmf_zarr.convention.scales import SCALE_LISTS, is_scale_list, with_targets
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.core.dtypes import TEXT, ElementType, builder_dtype, with_enum_names
from hdmf_zarr.core.elements import (
    decode_elements,
    give_nested_text_as_bytes,
    reference_columns,
)
from hdmf_zarr.core.enumerations import keep_names
from hdmf_zarr.errors import BrokenLinkError, HDMFZarrError, MetadataError
from hdmf_zarr.hdf5 import empty_attribute
from hdmf_zarr.hdf5.source import marked_dtype
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.metadata.node import ArrayNode, array_node, is_array, unreadable
from hdmf_zarr.read.builders import make_dataset, make_group, set_attribute
from hdmf_zarr.read.lazy import BuilderZarrReferenceDataset, BuilderZarrTableDataset, ZarrDataset
from hdmf_zarr.read.references import ReadingIO
from hdmf_zarr.read.tables import see_whole_rows
from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location

ROOT_NAME = "root"

LINKS_FOLLOWED = 32
"""Largest number of links that are resolved for one path."""

TYPES_READ_BY_CONSTRUCTORS = frozenset(
    {"ElementIdentifiers", "DynamicTableRegion", "ImageReferences"}
)
"""Types of datasets whose data HDMF reads when it constructs the container."""

PATHS_READ_BY_CONSTRUCTORS = frozenset(
    {"file_create_date", "general/experimenter", "general/related_publications", "general/keywords"}
)
"""Paths of datasets without a type whose data `pynwb.NWBFile` receives."""

SpecifiedAsFloat = Callable[[Mapping[str, Any], str], bool]
"""Function that returns whether the specification of a node with these attributes has a float attribute."""


class StoreReader:
    """The builders of a store and of the stores to which it links.

    Parameters
    ----------
    hierarchy : Hierarchy
        Hierarchy of the store that is read.
    io : ReadingIO
        IO through which datasets of references are resolved.
    on_built : callable
        Function that receives every new builder.
    open_linked : callable
        Function that opens the hierarchy at the location of a linked store.
    specified_as_float : callable
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        *,
        io: ReadingIO,
        on_built: Callable[[Builder], None],
        open_linked: Callable[[Location], Hierarchy],
        specified_as_float: SpecifiedAsFloat,
    ) -> None:
        self.trees: dict[Location, TreeReader] = {}
        self._io = io
        self._on_built = on_built
        self._open_linked = open_linked
        self._specified_as_float = specified_as_float
        self._steps: dict[tuple[TreeReader, str], tuple[TreeReader, str]] = {}
        self.main = self._add(hierarchy)

    def _add(self, hierarchy: Hierarchy) -> TreeReader:
        tree = TreeReader(hierarchy, self, self._io, self._on_built, self._specified_as_float)
        self.trees[hierarchy.location] = tree
        return tree

    def read(self) -> GroupBuilder:
        """Return the builder of the root."""
        self.main.build()
        self.main.check_unchanged()
        return cast("GroupBuilder", self.main.builders[""])

    def tree(self, location: Location) -> TreeReader:
        """Return the builders of a store; open the store if it is not open yet.

        Raises
        ------
        BrokenLinkError
            If the store cannot be opened.
        """
        if location in self.trees:
            return self.trees[location]
        try:
            hierarchy = self._open_linked(location)
        except (HDMFZarrError, OSError, ImportError) as error:
            raise BrokenLinkError(f"the store {location.uri} cannot be opened: {error}") from error
        tree = self._add(hierarchy)
        tree.build()
        tree.check_unchanged()
        return tree

    def builder(self, hierarchy: Hierarchy, reference: Reference) -> BaseBuilder:
        """Return the builder of a reference's or link's target, resolving links and other stores.

        Raises
        ------
        BrokenLinkError
            If the target does not exist.
        """
        tree = self.tree(hierarchy.locate_source(reference.source))
        path = reference.path.strip("/")
        for _ in range(LINKS_FOLLOWED):
            if path in tree.builders:
                return tree.builders[path]
            tree, path = self._step(tree, path)
        raise BrokenLinkError(
            f"{hierarchy.uri}: {reference.path} leads through more than {LINKS_FOLLOWED} links"
        )

    def _step(self, tree: TreeReader, path: str) -> tuple[TreeReader, str]:
        """Resolve the first link on a path; a path that is itself a link is resolved only once."""
        step = self._steps.get((tree, path))
        if step is not None:
            return step
        found = tree.hierarchy.find_link(path)
        if found is None:
            raise BrokenLinkError(f"{tree.hierarchy.uri} has no object at /{path}")
        link, rest = found
        leads_to = "/".join([link.path.strip("/"), *rest]).strip("/")
        step = self.tree(tree.hierarchy.locate_source(link.source)), leads_to
        if not rest:  # other paths may become longer with every step
            self._steps[tree, path] = step
        return step


class TreeReader:
    """The builders of one store: first all nodes, then the links and references between them."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        stores: StoreReader,
        io: ReadingIO,
        on_built: Callable[[Builder], None],
        specified_as_float: SpecifiedAsFloat,
    ) -> None:
        self.hierarchy = hierarchy
        self.builders: dict[str, BaseBuilder] = {}
        self._stores = stores
        self._io = io
        self._on_built = on_built
        self._specified_as_float = specified_as_float
        self._children: dict[str, list[str]] = {}
        self._scalars: dict[str, Any] = {}
        self._links: dict[str, tuple[Link, ...]] = {}
        self._references: list[tuple[BaseBuilder, str, Any]] = []
        self._scalar_references: list[tuple[str, npt.NDArray[Any] | None, str]] = []

    def build(self) -> None:
        """Make the builders of every node."""
        if self.builders:
            return
        see_whole_rows(self.hierarchy)
        self._children = self.hierarchy.children()
        self._scalars = self._read_scalars()
        self._group("")
        for builder, name, value in self._references:
            self._set_reference(builder, name, value)
        for path, field, element in self._scalar_references:
            self._set_scalar_reference(path, field, element)
        for path, builder in list(self.builders.items()):
            if isinstance(builder, GroupBuilder):
                self._set_links(path, builder)

    def check_unchanged(self) -> None:
        """Raise `MetadataError` if the store may have changed between reading metadata and scalars."""
        self.hierarchy.check_unchanged("", *self._scalars)

    def _is_specification(self, path: str) -> bool:
        base = self.hierarchy.specification_path
        return base is not None and (path == base or path.startswith(base + "/"))

    # -- nodes -----------------------------------------------------------------------------------

    def _group(self, path: str) -> GroupBuilder:
        links = {link.name for link in self._links_of(path)}
        groups, datasets = [], []
        for name in sorted(self._children.get(path, ())):
            child = f"{path}/{name}" if path else name
            # A link has precedence over a child of the same name.
            if name in links or self._is_specification(child):
                continue
            if child in self.hierarchy and self.hierarchy.node_type(child) == "array":
                datasets.append(self._dataset(child, name))
            else:
                groups.append(self._group(child))
        name = path.rpartition("/")[2] or ROOT_NAME
        builder = make_group(name, self.hierarchy.uri, groups, datasets)
        return cast("GroupBuilder", self._finish(builder, path))

    def _dataset(self, path: str, name: str) -> DatasetBuilder:
        document = self.hierarchy.documents[path]
        try:
            header = self.hierarchy.convention.decode_header(self._attributes_of(path))
            element = element_type_of_array(document, header)
        except HDMFZarrError as error:
            self._break(path, error)
            document, header, element = self.hierarchy.documents[path], ArrayHeader(), TEXT
        if isinstance(reason := self._scalars.get(path), Exception):
            self._break(path, reason)
            document, header, element = self.hierarchy.documents[path], ArrayHeader(), TEXT
        node = array_node(document)
        is_scalar = node.why_unreadable is None and _is_scalar(node, header)
        array = array_of_node(self.hierarchy, path, header, element)
        if array.is_restored:
            warnings.warn(
                f"{self.hierarchy.uri}:/{path} is a compound that was stored expanded by a release "
                "before 0.11.2; its rows are restored",
                UserWarning,
                stacklevel=2,
            )
        names = node.dimension_names or header.dimension_names
        builder = make_dataset(
            name=name,
            data=(
                self._scalar_data(path, element, header.enum_names)
                if is_scalar
                else lazy_data(array, self._io)
            ),
            dtype=_with_names(builder_dtype(element), header.enum_names),
            maxshape=() if is_scalar else array.shape,
            dimension_labels=tuple(names) if names and not is_scalar else None,
            source=self.hierarchy.uri,
        )
        return cast("DatasetBuilder", self._finish(builder, path))

    def _finish(self, builder: BaseBuilder, path: str) -> BaseBuilder:
        builder.location = "/" + path.rpartition("/")[0]
        self.builders[path] = builder
        for name, value in self._decoded_attributes(path).items():
            if self._leads_to_others(name, value):
                self._references.append((builder, name, value))
            else:
                self._set(builder, name, value)
        self._keep_enum_names(builder, path)
        self._on_built(builder)
        return builder

    def _keep_enum_names(self, builder: BaseBuilder, path: str) -> None:
        recorded = self._attributes_of(path).get(ATTRIBUTE_TYPES) or {}
        found = [
            name
            for name, dtype in recorded.items()
            if dtype.startswith(ENUM) and name in builder.attributes
        ]
        if found:
            keep_names(builder, {name: recorded_enum_names(recorded[name]) for name in found})

    # -- scalars ---------------------------------------------------------------------------------

    def _read_scalars(self) -> dict[str, Any]:
        """Read every scalar of the store in one batch, and prefetch the data that constructors read.

        The value of a scalar that cannot be decoded is the error; the others are still read.
        """
        paths = [
            path
            for path, document in self.hierarchy.documents.items()
            if is_array(document)
            and not self._is_specification(path)
            and self._is_readable_scalar(path, document)
        ]

        self.hierarchy.cache.fetch([*paths, *self._wanted_by_constructors()])
        scalars = {path: self._scalar_in_place(path) for path in paths}
        left = [path for path, found in scalars.items() if found is None]

        async def read(path: str) -> Any:
            try:
                present = self.hierarchy.documents[path]
                return await single.read_scalar(
                    zarr_view.async_array(self.hierarchy, path, present=present)
                )
            except (HDMFZarrError, ValueError, RuntimeError) as error:
                return error

        async def gather() -> list[Any]:
            return list(await asyncio.gather(*map(read, left)))

        return (
            {**scalars, **dict(zip(left, event_loop.run(gather()), strict=True))}
            if left
            else scalars
        )

    def _scalar_in_place(self, path: str) -> Any:
        try:
            return self.hierarchy.cache.stored(path)
        except HDMFZarrError as error:
            return error

    def _wanted_by_constructors(self) -> list[str]:
        """Return the paths of datasets whose data are needed to construct the containers."""
        return [
            path
            for path, document in self.hierarchy.documents.items()
            if is_array(document)
            and (
                data_type_of(self._attributes_of(path)) in TYPES_READ_BY_CONSTRUCTORS
                or path in PATHS_READ_BY_CONSTRUCTORS
            )
        ]

    def _is_readable_scalar(self, path: str, document: Mapping[str, Any]) -> bool:
        try:
            return _is_scalar(
                array_node(document),
                self.hierarchy.convention.decode_header(self._attributes_of(path)),
            )
        except HDMFZarrError:
            return False

    def _break(self, path: str, error: Exception) -> None:
        """Mark one dataset unreadable, with the reason; the rest of the file stays usable."""
        document = self.hierarchy.documents[path]
        self.hierarchy.documents[path] = unreadable(document, str(error))

    def _scalar_data(
        self, path: str, element: ElementType, names: Mapping[str, JSON] | None
    ) -> Any:
        stored = np.asarray(self._scalars[path])
        value: Any = decode_elements(stored.reshape(()), element)[()]
        if element.kind == "reference":
            self._scalar_references.append((path, None, value))
            return None
        if element.kind == "compound":
            # A builder cannot describe nested fields: the dtype of the data must.
            dtype = marked_dtype(element) if element.is_nested else element.memory_dtype
            record = np.empty((), dtype=with_enum_names(dtype, names))
            record[()] = value
            if element.is_nested:
                give_nested_text_as_bytes(record, element)
            for place in reference_columns(record, element):
                target: Any = place[()]
                place[()] = None  # until its builder exists
                if target:
                    self._scalar_references.append((path, place, target))
            return record
        if isinstance(value, bytes):
            # As in HDF5IO, one text is always str.
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return value
        return value

    def _set_scalar_reference(
        self, path: str, place: npt.NDArray[Any] | None, element: str
    ) -> None:
        builder = cast("DatasetBuilder", self.builders[path])
        reference = self.hierarchy.convention.decode_element(element)
        if reference is None:
            return
        try:
            target = self._stores.builder(self.hierarchy, reference)
        except BrokenLinkError as error:
            self._warn(f"reference {self.hierarchy.uri}:/{path}", error)
            return
        if place is not None:
            place[()] = target
        else:
            builder.data = ReferenceBuilder(target)

    # -- attributes, references and links --------------------------------------------------------

    def _attributes_of(self, path: str) -> dict[str, JSON]:
        return self.hierarchy.attributes(path) if path in self.hierarchy else {}

    def _decoded_attributes(self, path: str) -> dict[str, Any]:
        attributes = self._attributes_of(path)
        recorded = attributes.get(ATTRIBUTE_TYPES) or {}
        user = self.hierarchy.convention.user_attributes(attributes)
        decoded = {}
        for name, value in user.items():
            try:
                is_reference = _is_reference(self.hierarchy, value) or self._is_scale_list(
                    name, value
                )
            except MetadataError as error:
                self._warn(f"attribute {name!r} of {self.hierarchy.uri}:/{path}", error)
                continue
            if is_reference:
                decoded[name] = value
                continue
            try:
                decoded[name] = decode_attribute(value, recorded.get(name), empty=empty_attribute)
            except HDMFZarrError as error:
                raise type(error)(
                    f"{self.hierarchy.uri}:/{path}: attribute {name!r}: {error}"
                ) from error
            is_spelled = name not in recorded and value in ("NaN", "Infinity", "-Infinity")
            if is_spelled and self._specified_as_float(user, name):
                decoded[name] = float(value)
        return decoded

    def _leads_to_others(self, name: str, value: Any) -> bool:
        if is_compound(value):
            return bool(reference_leaves(value.dtype))
        return _is_reference(self.hierarchy, value) or self._is_scale_list(name, value)

    def _is_scale_list(self, name: str, value: Any) -> bool:
        return name in SCALE_LISTS and is_scale_list(
            name, value, is_target=partial(_is_reference, self.hierarchy)
        )

    def _target_of(self, entry: JSON, *, builder: BaseBuilder, name: str) -> BaseBuilder | None:
        """Return the target of a reference in an attribute; None, with a warning, if it is broken."""
        try:
            reference = self.hierarchy.convention.decode_reference(entry)
            return None if reference is None else self._stores.builder(self.hierarchy, reference)
        except (BrokenLinkError, MetadataError) as error:
            self._warn(self._name_of_attribute(builder, name), error)
            return None

    def _name_of_attribute(self, builder: BaseBuilder, name: str) -> str:
        where = f"{builder.location}/{builder.name}".replace("//", "/")
        return f"attribute {name!r} of {self.hierarchy.uri}:{where}"

    def _set_reference(self, builder: BaseBuilder, name: str, value: Any) -> None:
        target_of = partial(self._target_of, builder=builder, name=name)
        if is_compound(value):
            self._set(builder, name, with_references(value, target_of))
            return
        if self._is_scale_list(name, value):
            self._set(builder, name, with_targets(value, target_of))
            return
        values = value if isinstance(value, list) else [value]
        try:
            targets = [
                self._stores.builder(self.hierarchy, cast("Reference", reference))
                for reference in map(self.hierarchy.convention.decode_reference, values)
            ]
        except BrokenLinkError as error:
            self._warn(self._name_of_attribute(builder, name), error)
            return
        self._set(builder, name, targets if isinstance(value, list) else targets[0])

    def _set(self, builder: BaseBuilder, name: str, value: Any) -> None:
        try:
            set_attribute(builder, name, value)
        except ValueError as error:
            raise self._clash(builder, name) from error

    def _clash(self, builder: BaseBuilder, name: str) -> MetadataError:
        where = f"{builder.location}/{builder.name}".replace("//", "/")
        return MetadataError(
            f"{self.hierarchy.uri}:{where} has the attribute {name!r} and an object of the same name, of "
            "which HDMF can have only one; rename one of them where the file is made"
        )

    def _set_links(self, path: str, group: GroupBuilder) -> None:
        for link in self._links_of(path):
            try:
                target = self._stores.builder(
                    self.hierarchy, Reference(source=link.source, path=link.path)
                )
            except BrokenLinkError as error:
                where = f"/{path}/{link.name}".replace("//", "/")
                self._warn(f"link {self.hierarchy.uri}:{where}", error)
                continue
            builder = LinkBuilder(builder=target, name=link.name, source=self.hierarchy.uri)
            builder.location = "/" + path
            if link.name in group.attributes:
                raise self._clash(group, link.name)
            group.set_link(builder)
            self._on_built(builder)

    def _links_of(self, path: str) -> tuple[Link, ...]:
        """Return the links of a group; none, with one warning, if the attribute is not valid."""
        if path not in self._links:
            try:
                links = self.hierarchy.convention.decode_links(self._attributes_of(path))
            except MetadataError as error:
                self._warn(f"what {self.hierarchy.uri}:/{path} links to", error)
                links = ()
            self._links[path] = links
        return self._links[path]

    def _warn(self, what: str, error: HDMFZarrError) -> None:
        warnings.warn(f"{what} is broken and left out: {error}", BrokenLinkWarning, stacklevel=2)


def lazy_data(array: HDMFZarrArray, io: ReadingIO) -> HDMFZarrArray | ZarrDataset:
    """Return an array as the data of a builder; arrays of references or compounds are resolved on access."""
    if array.element_type.kind == "reference":
        return BuilderZarrReferenceDataset(array, io)
    if array.element_type.kind == "compound":
        return BuilderZarrTableDataset(array, io)
    return array


def open_linked_hierarchy(location: Location, *, read_only: bool, consolidated: bool) -> Hierarchy:
    """Open a store to which another one links."""
    if not read_only:
        bytestore = open_bytestore(location, read_only=False)
        return Hierarchy.load_for_writing(bytestore, takes_over=False)
    return Hierarchy.load(open_bytestore(location, read_only=read_only), consolidated=consolidated)


def _with_names(dtype: Any, names: Mapping[str, JSON] | None) -> Any:
    """Return the dtype of a builder, marked with the names of an enumeration as in h5py."""
    is_marked = names and isinstance(dtype, np.dtype)
    return with_enum_names(dtype, names) if is_marked else dtype


def _is_scalar(node: ArrayNode, header: ArrayHeader) -> bool:
    return not node.shape or (header.scalar and node.shape == (1,))


def _is_reference(hierarchy: Hierarchy, value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_reference(hierarchy, entry) for entry in value)
    return isinstance(value, Mapping) and hierarchy.convention.decode_reference(value) is not None


__all__ = ["ROOT_NAME", "SELF", "StoreReader", "TreeReader", "open_array", "open_linked_hierarchy"]
