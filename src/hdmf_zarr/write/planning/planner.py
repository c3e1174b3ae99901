"""A builder -> the plan; the source is read, the destination is not touched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from hdmf.build import Builder, DatasetBuilder, GroupBuilder, LinkBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.query import HDMFDataset

from hdmf_zarr.arrays.array import HDMFZarrArray, may_grow
from hdmf_zarr.arrays.codec_proof import prove_chain, rounding_filters_of
from hdmf_zarr.codecs.typed_filters import check_kept
from hdmf_zarr.convention import JSON, Link
from hdmf_zarr.core.dtypes import ElementType, enum_names_of
from hdmf_zarr.core.elements import check_storable, encode_elements, encoded_size
from hdmf_zarr.errors import BrokenLinkError, EncodingError, LayoutError, ObjectExistsError
from hdmf_zarr.hdf5 import is_h5py_dataset
from hdmf_zarr.hdf5.fill import fill_settings
from hdmf_zarr.hdf5.source import row_blocks
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.node import array_node, with_chunk_keys, with_dimension_names
from hdmf_zarr.write.chunks.sources import (
    ArraySource,
    ChunkCopySource,
    EmptySource,
    IteratorSource,
    LazySource,
    MemorySource,
    RawSource,
    ZarrSource,
    widths_of,
)
from hdmf_zarr.write.chunks.zarr_chunks import ZarrChunks
from hdmf_zarr.write.planning.addresses import Addresses, PendingLink, join
from hdmf_zarr.write.planning.array_links import ArrayLinks
from hdmf_zarr.write.planning.attributes import AttributeEncoder, merged
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.data_sources import Intake
from hdmf_zarr.write.planning.dataio import unwrap
from hdmf_zarr.write.planning.dimensions import DimensionNames
from hdmf_zarr.write.planning.element_storage import StoredType, storage_of_format
from hdmf_zarr.write.planning.fill_values import fill_value_for
from hdmf_zarr.write.planning.layout import (
    ENCODED_SHARD_BYTES,
    LARGE_SHARD_BYTES,
    SHARD_BYTES,
    SHARDS_OF_ARRAY,
    Layout,
    LayoutRequest,
    decide_layout,
)
from hdmf_zarr.write.planning.layout_resolution import Choice, LayoutChooser
from hdmf_zarr.write.planning.link_specs import DATA_TYPE_ATTRIBUTES
from hdmf_zarr.write.planning.links import LinkDecisions
from hdmf_zarr.write.planning.plan import ArrayPlan, AttributesPlan, GroupPlan, Plan, TreePlan
from hdmf_zarr.write.planning.readability import check_readable


def plan_tree(root: GroupBuilder, context: PlanContext) -> TreePlan:
    """Return the plan that writes a builder's tree to the destination.

    Raises
    ------
    HDMFZarrError
        If something cannot be stored unchanged; nothing is written then.
    """
    return _Planner(context).plan(root)


def plan_piece(builder: Builder, context: PlanContext, parent: str) -> TreePlan:
    """Return the plan that writes a builder into a group of the destination.

    Parameters
    ----------
    builder : GroupBuilder, DatasetBuilder or LinkBuilder
    context : PlanContext
    parent : str
        Path of the group, which must exist.
    """
    return _Planner(context).plan_piece(builder, parent)


def refuse_name_twice(
    existing: Hierarchy, parent: str, name: str, *, as_what: Literal["link", "object", "attribute"]
) -> None:
    """Raise `EncodingError` if a name in a group is taken; HDMF identifies everything by its name.

    Parameters
    ----------
    existing : Hierarchy
    parent : str
        Path of the group.
    name : str
    as_what : {"link", "object", "attribute"}
        Kind of what gets the name; one of the same kind may be replaced.
    """
    if existing.node_type(parent) != "group":
        return
    attributes, convention = existing.attributes(parent), existing.convention
    has_it = {
        "an object": join(parent, name) in existing,
        "a link": any(link.name == name for link in convention.decode_links(attributes)),
        "an attribute": name in convention.user_attributes(attributes),
    }
    for what, is_there in has_it.items():
        if is_there and not what.endswith(as_what):
            raise EncodingError(f"the name {name!r} is that of {what} there; choose another name")


def attributes_with(
    old: dict[str, JSON], attributes: dict[str, Any], context: PlanContext
) -> dict[str, JSON]:
    """Return a node's attributes, merged with encoded new ones."""
    holder = GroupBuilder(name="holder", attributes=attributes)
    return merged(old, AttributeEncoder(context, Addresses(context)).encode(holder))


class _Planner:
    def __init__(self, context: PlanContext) -> None:
        self.context = context
        self.storage = storage_of_format(context.convention.zarr_format)
        self.dimension_names = DimensionNames(context.manager)
        self.addresses = Addresses(context)
        self.links = LinkDecisions(context, self.addresses)
        self.attributes = AttributeEncoder(context, self.addresses)
        self.array_links = ArrayLinks(context, self.addresses, self.attributes)
        self.layouts = LayoutChooser(context)
        self.intake = Intake(self.addresses, self.layouts)
        self._nodes: list[Plan] = []
        self._builders: list[Builder] = []
        self._replaces = False
        self._links_there: dict[str, set[str]] = {}

    def plan(self, root: GroupBuilder) -> TreePlan:
        self.addresses.assign(root, "")
        self.links.decide()
        self._plan_group(root, "")
        self.context.options.layout.check_paths(self.layouts.laid_out)
        check_readable(self._nodes, self.context)
        self.addresses.names.warn()
        return TreePlan(nodes=tuple(self._nodes), builders=tuple(self._builders))

    def plan_piece(self, builder: Builder, parent: str) -> TreePlan:
        self._replaces = True
        path = join(parent, builder.name)
        existing = self.context.existing
        if existing is None or parent not in existing:
            raise BrokenLinkError(f"{self.context.destination.uri} has no group at /{parent}")
        kind = "array" if isinstance(builder, DatasetBuilder) else "group"
        with self.context.at(parent):
            self.addresses.names.check(parent, builder.name)
            if path in existing and kind != existing.node_type(path):
                raise EncodingError(
                    f"{builder.name!r} is another kind of object there; choose another name"
                )
        if isinstance(builder, BaseBuilder):
            self.addresses.assign(builder, path)
        top: Any = builder
        while top.parent is not None:
            top = top.parent
        if isinstance(top, BaseBuilder):
            self.addresses.assign(top, "")
        if isinstance(builder, LinkBuilder):
            holder = GroupBuilder(name="holder", attributes=_types_in(existing.attributes(parent)))
            self.addresses.pending.append(PendingLink(holder, parent, builder))
        self.links.decide()
        links = self._plan_children([(builder.name, builder)], parent)
        self._plan_placed()
        with self.context.at(parent):
            refuse_name_twice(existing, parent, builder.name, as_what="link" if links else "object")
        if links:
            old = existing.attributes(parent)
            new = {link.name for link in links}
            kept = [k for k in self.context.convention.decode_links(old) if k.name not in new]
            encoded = self.context.convention.encode_links(kept + links)
            self._nodes.append(AttributesPlan(path=parent, attributes=merged(old, encoded)))
        check_readable(self._nodes, self.context)
        self.addresses.names.warn()
        return TreePlan(nodes=tuple(self._nodes), builders=tuple(self._builders))

    # -- groups ----------------------------------------------------------------------------------

    def _plan_group(self, builder: GroupBuilder, path: str) -> None:
        position = len(self._nodes)
        links = self._plan_children(self.addresses.children(builder, path), path)
        with self.context.at(path, builder):
            self._nodes.insert(position, self._group_plan(builder, path, links))
        self._builders.append(builder)

    def _plan_placed(self) -> None:
        """Plan the objects of other files that are copied into existing groups."""
        for path, name, builder in self.addresses.placed():
            if all(node.path != join(path, name) for node in self._nodes):
                self._plan_children([(name, builder)], path)

    def _plan_children(self, children: Sequence[tuple[str, Builder]], path: str) -> list[Link]:
        """Plan the children of a group, and return the links of the group."""
        links: list[Link] = []
        for name, child in children:
            child_path = join(path, name)
            self._refuse_taken(child, path, child_path)
            if isinstance(child, LinkBuilder):
                decision = self.links.decision(child)
                self._builders.append(child)
                if isinstance(decision, Link):
                    links.append(decision)
                    continue
                child = decision.target
            home = self.addresses.path_of(child)
            if home != child_path:
                links.append(Link(name=name, path="/" + home))
            elif isinstance(child, GroupBuilder):
                self._plan_group(child, child_path)
            else:
                with self.context.at(child_path, child):
                    plan = self._plan_dataset(child, child_path)
                if isinstance(plan, Link):
                    links.append(plan)
                else:
                    self._nodes.append(plan)
                self._builders.append(child)
        return links

    def _refuse_taken(self, child: Builder, parent: str, path: str) -> None:
        """Refuse a new object with the name of an existing one: the store would mix both."""
        existing = self.context.existing
        if existing is None or self._replaces or self.context.is_written(child):
            return
        is_link_there = path.rpartition("/")[2] in self._names_of_links(existing, parent)
        if path in existing or (is_link_there and not isinstance(child, LinkBuilder)):
            raise ObjectExistsError(
                f"{self.context.destination.uri}:/{path}: the store has another object of this name, "
                "which an append does not replace: choose another name, or export the file to "
                "another place"
            )

    def _names_of_links(self, existing: Hierarchy, parent: str) -> set[str]:
        if parent not in self._links_there:
            attributes = existing.attributes(parent) if parent in existing else {}
            links = self.context.convention.decode_links(attributes)
            self._links_there[parent] = {link.name for link in links}
        return self._links_there[parent]

    def _group_plan(self, builder: GroupBuilder, path: str, links: list[Link]) -> Plan:
        attributes = self.attributes.encode(builder)
        existing = self.context.existing
        if existing is not None and path in existing:
            old = existing.attributes(path)
            named = {link.name for link in links}
            # A link whose target is missing was not read, and is kept.
            kept = [
                link for link in self.context.convention.decode_links(old) if link.name not in named
            ]
            encoded = {**attributes, **self.context.convention.encode_links(links + kept)}
            return AttributesPlan(path=path, attributes=merged(old, encoded))
        attributes.update(self.context.convention.encode_links(links))
        return GroupPlan(path=path, attributes=attributes)

    # -- datasets --------------------------------------------------------------------------------

    def _plan_dataset(self, builder: DatasetBuilder, path: str) -> Plan | Link:
        existing = self.context.existing
        is_there = existing is not None and path in existing
        if existing is not None and is_there and self.context.is_written(builder):
            old = existing.attributes(path)
            return AttributesPlan(
                path=path, attributes=merged(old, self.attributes.encode(builder))
            )
        data, request, link_data = unwrap(builder.data)
        if isinstance(data, HDMFDataset):
            data = data.dataset
        link = self.array_links.link_of(builder, data, path, link_data=link_data)
        if link is not None:
            return link
        choice = self.layouts.choose(data, path, request)
        source = self.intake.source_of(data, builder, choice)
        if isinstance(source, ChunkCopySource):
            return self._copy_plan(builder, path, source)
        return self._array_plan(builder, path, source, choice)

    def _copy_plan(self, builder: DatasetBuilder, path: str, source: ChunkCopySource) -> ArrayPlan:
        document = dict(source.array.hierarchy.documents[source.array.node_path])
        header = source.array.hierarchy.convention.decode_header(
            document.pop("attributes", None) or {}
        )
        attributes = {
            **self.attributes.encode(builder),
            **self._encoded_header(
                source.element,
                builder,
                source.shape,
                header.dimension_names,
                are_chunks_given=source.array.are_chunks_given,
                enum_names=header.enum_names,
                fill_settings=header.fill_settings,
            ),
        }
        names = array_node(document).dimension_names or header.dimension_names
        names = names or self.dimension_names.of(builder, len(source.shape))
        if not self.storage.has_dimension_names:
            names = None
        document = with_dimension_names(document, names or None)
        document = with_chunk_keys(document, self.storage.chunk_keys)
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
        choice: Choice,
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
            )  # raises here if an element cannot be encoded
        shape = source.shape or self.storage.scalar_shape
        layout = decide_layout(
            request,
            element=element,
            stored_dtype=numpy_dtype,
            shape=shape if iterator is None else iterator.maxshape,
            itemsize=numpy_dtype.itemsize if numpy_dtype is not None else _mean_size(source),
            fill_value=fill_value_for(source, stored),
            shard_bytes=self._shard_bytes(source, numpy_dtype),
            recommended_chunks=None if iterator is None else iterator.recommended_chunk_shape(),
        )
        layout = layout.with_codecs(stored.codecs)
        if choice.decoded is not None and not request.codecs.is_empty:
            self._prove(layout, stored, source)
        names = _names_in_store(source) or self.dimension_names.of(builder, len(shape))
        attributes = {
            **self.attributes.encode(builder),
            **self._encoded_header(
                source.element,
                builder,
                source.shape,
                names if source.shape else None,
                are_chunks_given=_are_chunks_given(source, request, layout, numpy_dtype),
                enum_names=_enum_names(source, builder),
                fill_settings=_fill_settings(source),
            ),
        }
        has_names = self.storage.has_dimension_names
        return ArrayPlan(
            path=path,
            element=element,
            data_type=stored.data_type,
            shape=shape,
            layout=layout,
            attributes=attributes,
            dimension_names=names if has_names else None,
            chunk_keys=self.storage.chunk_keys,
            source=source,
            decoded=choice.decoded,
            plugin=choice.plugin,
        )

    def _prove(self, layout: Layout, stored: StoredType, source: Any) -> None:
        """Raise unless the requested codecs decode what they have encoded to the same values."""
        try:
            document = array_document.array_document(
                shape=layout.write_unit,
                data_type=stored.data_type,
                chunk_grid_shape=layout.write_unit,
                fill_value=layout.fill_value,
                codecs=layout.codecs,
                dimension_names=None,
                chunk_key_encoding=self.storage.chunk_keys,
            )
        except (TypeError, ValueError, KeyError) as error:
            raise LayoutError(f"zarr-python takes no such codecs for such data: {error}") from error
        prove_chain(document, self.context.convention.zarr_format)
        if isinstance(source, MemorySource) and stored.element.kind == "number":
            check_kept(source.values, rounding_filters_of(document))

    def _shard_bytes(self, source: Any, dtype: np.dtype[Any] | None) -> float:
        """Return the bytes of a shard before compression, for ``shards="auto"``."""
        if isinstance(source, IteratorSource):
            return SHARD_BYTES
        if not isinstance(source, RawSource) or not source.chunks.n_bytes:
            n_bytes = math.prod(source.shape) * (dtype.itemsize if dtype is not None else 64)
            return float(min(ENCODED_SHARD_BYTES, max(SHARD_BYTES, n_bytes / SHARDS_OF_ARRAY)))
        # Shards packed on disk, not in memory, are limited by their encoded bytes.
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
        *,
        are_chunks_given: bool,
        enum_names: Mapping[str, JSON] | None,
        fill_settings: Mapping[str, str] | None,
    ) -> dict[str, JSON]:
        names = names or self.dimension_names.of(builder, len(shape))
        header = self.storage.header(element, is_scalar=not shape, names=names)
        return self.context.convention.encode_header(
            replace(
                header,
                are_chunks_given=are_chunks_given,
                enum_names=enum_names,
                fill_settings=fill_settings,
            )
        )


def _are_chunks_given(
    source: Any, request: LayoutRequest, layout: Layout, dtype: np.dtype[Any] | None
) -> bool:
    """Whether the user or an iterator has chosen chunks that could grow otherwise."""
    if not source.shape or layout.shards is not None or not may_grow(layout.chunks, dtype):
        return False
    if request.chunks is None:
        return (
            isinstance(source, IteratorSource)
            and source.iterator.recommended_chunk_shape() is not None
        )
    held = source.chunks if isinstance(source, RawSource) else source
    array = held.array if isinstance(held, (ZarrSource, ZarrChunks)) else None
    if array is not None and array.are_chunks_given and tuple(array.chunks) == layout.chunks:
        return True
    return request.are_chunks_given


def _enum_names(source: Any, builder: DatasetBuilder) -> Mapping[str, JSON] | None:
    """Return the enum names of the source, of HDF5 or of a store that has kept them."""
    if isinstance(source, MemorySource):
        given = getattr(builder.data, "dtype", None)
        return enum_names_of(given) or enum_names_of(builder.dtype)
    array, dataset = _held_by(source)
    if array is not None:
        return array.enum_names
    return None if dataset is None else enum_names_of(dataset.dtype)


def _fill_settings(source: Any) -> Mapping[str, str] | None:
    """Return HDF5's fill value settings of the source, also if a store has kept them."""
    array, dataset = _held_by(source)
    if array is not None:
        return array.fill_settings
    return None if dataset is None else fill_settings(dataset)


def _held_by(source: Any) -> tuple[HDMFZarrArray | None, Any]:
    """Return the Zarr array and the HDF5 dataset that a source reads; one or both are None."""
    held = source.chunks if isinstance(source, RawSource) else source
    if isinstance(held, (ZarrSource, ZarrChunks)):
        return held.array, None
    dataset = getattr(held, "dataset", None)
    return None, dataset if is_h5py_dataset(dataset) else None


def _types_in(attributes: dict[str, JSON]) -> dict[str, JSON]:
    """Return the attributes with the data type of a group."""
    return {name: attributes[name] for name in DATA_TYPE_ATTRIBUTES if name in attributes}


def _names_in_store(source: Any) -> tuple[str | None, ...] | None:
    """Return the dimension names of an array of another store, if it has any."""
    held = source.chunks if isinstance(source, RawSource) else source
    if isinstance(source, LazySource) and isinstance(source.array, zarr.Array):
        return getattr(source.array.metadata, "dimension_names", None)
    if not isinstance(held, (ZarrSource, ZarrChunks)):
        return None
    hierarchy, path = held.array.hierarchy, held.array.node_path
    document = hierarchy.documents[path]
    header = hierarchy.convention.decode_header(document.get("attributes") or {})
    names = array_node(document).dimension_names or header.dimension_names
    return tuple(names) if names and len(names) == len(held.shape) else None


def _mean_size(source: ArraySource | IteratorSource | RawSource) -> float:
    """Return the mean bytes of a variable element in the first rows."""
    if isinstance(source, (IteratorSource, EmptySource, RawSource)) or math.prod(source.shape) == 0:
        return 16.0
    region = row_blocks(source.shape, 1024)[0]
    values: npt.NDArray[Any] = source.read(region)
    return max(1.0, encoded_size(values) / max(1, values.size))
