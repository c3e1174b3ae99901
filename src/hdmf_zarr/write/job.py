"""One write: everything is planned, then written, the document of the root last."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hdmf.build import Builder, BuildManager, DatasetBuilder
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.arrays.array import open_array
from hdmf_zarr.convention import Convention, convention_for_format
from hdmf_zarr.hdf5.hard_links import ChildNames
from hdmf_zarr.hdf5.linked import LinkedFiles
from hdmf_zarr.hdf5.source import UnchangedFiles
from hdmf_zarr.hierarchy.commit import stored_together
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.chunks.sources import EmptySource
from hdmf_zarr.write.execute import Execution
from hdmf_zarr.write.options import WriteOptions
from hdmf_zarr.write.planning.archive import (
    ZARR_FORMAT,
    check_archive_options,
    check_kept_for_archive,
    for_archive,
)
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.dataio import give_to_wrapper
from hdmf_zarr.write.planning.plan import TreePlan, summarize
from hdmf_zarr.write.planning.planner import (
    attributes_with,
    plan_piece,
    plan_tree,
    refuse_name_twice,
)
from hdmf_zarr.write.specifications import Specifications, write_specifications


@dataclass(frozen=True, kw_only=True)
class WriteSource:
    """The source of one write.

    Attributes
    ----------
    builder : Builder
        Builder of a root, or of a piece of a tree.
    manager : BuildManager or None
        Manager that has made the builder.
    specifications : callable
        Returns the specifications to cache in the store.
    location : Location or None
        Location of the exported file; None for a write.
    hdf5_file : h5py.File or None
        The exported file, open, if it is HDF5.
    hdf5_builder : callable or None
        Returns the builder that was read for an object of that file.
    child_names : ChildNames
        Names that are in an HDF5 file but not in its builders.
    unchanged : UnchangedFiles or None
        Raises if an HDF5 file is changed while it is read.
    """

    builder: Any
    manager: BuildManager | None
    specifications: Callable[[], Specifications] = dict
    location: Location | None = None
    hdf5_file: Any = None
    hdf5_builder: Callable[[Any], Builder] | None = None
    child_names: ChildNames = field(default_factory=ChildNames)
    unchanged: UnchangedFiles | None = None

    def watch(self, plan: TreePlan) -> None:
        """Record the present state of the HDF5 files that a plan reads."""
        if self.unchanged is not None:
            for node in plan.nodes:
                self.unchanged.watch_source(getattr(node, "source", None))


class Destination(Protocol):
    """The interface of a store that a write needs."""

    @property
    def location(self) -> Location:
        """Location of the store, which need not exist yet."""

    @property
    def asked_format(self) -> int | None:
        """Zarr format requested for a new store."""

    @property
    def convention(self) -> Convention:
        """Convention of a new store."""

    @property
    def hierarchy(self) -> Hierarchy | None:
        """Nodes of the store; None before it exists."""

    @property
    def is_new(self) -> bool:
        """Whether the store is new and was not committed yet."""

    def is_written(self, builder: Builder) -> bool:
        """Whether a builder was read from, or written to, the store."""

    def note_written(self, builders: Iterable[BaseBuilder]) -> None:
        """Remember that builders were written."""

    def note_written_tree(self, builders: Iterable[BaseBuilder]) -> None:
        """Remember that builders below a root were written, so that references to them resolve."""

    def refuse_other_root(self, builder: Builder | None) -> None:
        """Raise if the store has a root other than the builder."""

    def begin(self, zarr_format: int | None = None) -> Hierarchy:
        """Return the hierarchy of the store, which is created if there is none."""

    def transaction(
        self, *, consolidate: bool, durable: bool | None
    ) -> AbstractContextManager[None]:
        """Commit what the body of the context writes; undo it if it fails."""


# -- a whole tree ----------------------------------------------------------------------------------


def write_tree(destination: Destination, source: WriteSource, options: WriteOptions) -> None:
    """Plan a tree, write it and commit it; a failure leaves the store as it was."""
    destination.refuse_other_root(source.builder)
    check_kept_for_archive(destination.hierarchy, consolidate_metadata=options.consolidate_metadata)
    if options.dandi:
        options = _for_archive(destination, options)
    existing = None if destination.is_new else destination.hierarchy
    context = _context(destination, existing, source, options)
    with LinkedFiles() as linked:
        plan = plan_tree(source.builder, replace(context, linked=linked))
        source.watch(plan)
        specifications = source.specifications() if options.cache_spec else {}
        _tell_plan(plan, specifications, context.convention.zarr_format, options)
        hierarchy = destination.begin(context.convention.zarr_format)
        hierarchy.keeps_apart |= options.dandi
        with destination.transaction(
            consolidate=options.consolidate_metadata, durable=options.durable
        ):
            with stored_together(hierarchy):
                _execution(hierarchy, source, options).carry_out(plan)
                if specifications:
                    write_specifications(hierarchy, specifications)
            destination.note_written_tree(plan.builders)
        _hand_out_empty_arrays(hierarchy, plan)


def _for_archive(destination: Destination, options: WriteOptions) -> WriteOptions:
    """Return the options of a store for the DANDI archive; refuse options that contradict it."""
    check_archive_options(
        zarr_format=destination.asked_format,
        existing=destination.hierarchy,
        layout=options.layout,
        consolidate_metadata=options.consolidate_metadata,
        links_out=options.link_data or options.external_links == "keep",
    )
    return replace(options, strict_json=True, layout=for_archive(options.layout))


def _context(
    destination: Destination,
    existing: Hierarchy | None,
    source: WriteSource,
    options: WriteOptions,
) -> PlanContext:
    return PlanContext(
        destination=destination.location,
        existing=existing,
        convention=_convention(destination, options),
        is_written=destination.is_written,
        manager=source.manager,
        options=options,
        export_source=source.location,
        hdf5_file=source.hdf5_file,
        hdf5_builder=source.hdf5_builder,
        child_names=source.child_names,
    )


def _convention(destination: Destination, options: WriteOptions) -> Convention:
    """Return the convention of the store; a new store has the archive's, or the requested one."""
    if destination.hierarchy is not None:
        return destination.hierarchy.convention
    return convention_for_format(ZARR_FORMAT) if options.dandi else destination.convention


def _tell_plan(
    plan: TreePlan, specifications: Specifications, zarr_format: int, options: WriteOptions
) -> None:
    if options.on_plan is not None:
        verify = options.layout.verify
        options.on_plan(summarize(plan, zarr_format, specifications, verify=verify))


def _execution(hierarchy: Hierarchy, source: WriteSource, options: WriteOptions) -> Execution:
    return Execution(
        hierarchy=hierarchy,
        queue=options.queue,
        exhaust_dci=options.exhaust_dci,
        progress=options.reporter,
        verify=options.layout.verify,
        after_array=None if source.unchanged is None else source.unchanged.check,
    )


def _hand_out_empty_arrays(hierarchy: Hierarchy, plan: TreePlan) -> None:
    """Give each wrapper without data its array, which the user fills."""
    for node in plan.nodes:
        source = getattr(node, "source", None)
        if isinstance(source, EmptySource):
            give_to_wrapper(source.wrapper, open_array(hierarchy, node.path))


# -- a piece of a tree -----------------------------------------------------------------------------


def write_piece(
    destination: Destination, parent: str, source: WriteSource, options: WriteOptions
) -> None:
    """Write an object and its contents below a group; the close commits it."""
    hierarchy = destination.begin()
    context = _context(destination, hierarchy, source, options)
    before = dict(hierarchy.documents)
    try:
        with LinkedFiles() as linked, hierarchy.open_append.at_work():
            plan = plan_piece(source.builder, replace(context, linked=linked), parent)
            _execution(hierarchy, source, options).carry_out(plan)
    except BaseException:
        hierarchy.restore(before)
        raise
    destination.note_written(plan.builders)
    _hand_out_empty_arrays(hierarchy, plan)


def write_attributes(
    destination: Destination, path: str, attributes: dict[str, Any], manager: BuildManager
) -> None:
    """Set attributes of a node; the close commits them."""
    hierarchy = destination.begin()
    for name in attributes:
        refuse_name_twice(hierarchy, path, name, as_what="attribute")
    source = WriteSource(builder=None, manager=manager)
    context = _context(destination, hierarchy, source, WriteOptions())
    merged = attributes_with(hierarchy.attributes(path), attributes, context)
    hierarchy.set_document(path, {**hierarchy.documents[path], "attributes": merged})


def with_data(builder: Any, data: Any) -> DatasetBuilder:
    """Return a copy of a dataset's builder with other data."""
    result = DatasetBuilder(
        name=builder.name,
        data=data,
        dtype=builder.dtype,
        attributes=dict(builder.attributes),
        dimension_labels=builder.dimension_labels,
    )
    result.matched_spec = builder.matched_spec
    return result
