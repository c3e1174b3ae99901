"""What an export reads: which builders, of which file, with which specifications."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from hdmf.backends.hdf5 import HDF5IO
from hdmf.backends.io import HDMFIO
from hdmf.build import BuildManager, GroupBuilder
from hdmf.container import Container

from hdmf_zarr.core.hdmf_private import hdf5_file
from hdmf_zarr.errors import LockedError, ModeError, OptionError
from hdmf_zarr.hdf5 import read_specifications as read_hdf5_specifications
from hdmf_zarr.hdf5.errors import reading
from hdmf_zarr.hdf5.hard_links import lost_names
from hdmf_zarr.hdf5.source import UnchangedFiles
from hdmf_zarr.read.constructed import Known
from hdmf_zarr.read.specifications import read_specifications
from hdmf_zarr.session.containers import naming_orphans
from hdmf_zarr.session.modes import CREATING_MODES
from hdmf_zarr.session.session import Session, session_of
from hdmf_zarr.stores.identity import Relation, refuse_overlap, relation_of
from hdmf_zarr.stores.location import Location, location_of_uri
from hdmf_zarr.write.job import WriteSource
from hdmf_zarr.write.options import ExportOptions
from hdmf_zarr.write.planning.edits import build_to_export
from hdmf_zarr.write.specifications import Specifications, specifications_of_manager


def check_exportable(session: Session, src_io: HDMFIO, options: ExportOptions) -> None:
    """Raise if an IO cannot be exported into the store of a session.

    Raises
    ------
    ModeError
        If the mode does not create a store, or links to HDF5 data are requested.
    LockedError
        If the export would discard uncommitted changes of its source.
    OptionError
        If one store is inside the other.
    """
    if session.mode not in CREATING_MODES:
        raise ModeError(
            f"cannot export to {session.uri} in mode {session.mode!r}; use mode 'w', 'w-' or 'x'"
        )
    session.require_writable()
    source_session, source = session_of(src_io), _location_of(src_io)
    if source_session is not None:
        _refuse_uncommitted(source_session, session)
    if source is not None:
        refuse_overlap(source, session.location, is_built_beside=True)
    if options.link_data and source_session is None:
        raise ModeError(
            f"a Zarr store cannot link to the data of {src_io.source} ("
            f"{type(src_io).__name__}); export it with link_data=False"
        )


def _location_of(io: HDMFIO) -> Location | None:
    session = session_of(io)
    if session is not None:
        return session.location
    return location_of_uri(str(io.source)) if io.source is not None else None


def _refuse_uncommitted(source: Session, destination: Session) -> None:
    """Raise `LockedError` if an export over its own source would discard uncommitted changes."""
    nodes = source.hierarchy
    if nodes is None or not (nodes.open_append.has_begun and nodes.open_append.changed):
        return
    if relation_of(source.location, destination.location) is Relation.SAME:
        raise LockedError(
            f"{destination.uri} is the source of the export, too, and has changes that are not committed: "
            "write() or close the source before"
        )


def source_of_export(
    src_io: HDMFIO, container: Container | None, options: ExportOptions, *, uri: str
) -> WriteSource:
    """Return what an export writes.

    Parameters
    ----------
    src_io : HDMFIO
    container : Container or None
        Root container that ``src_io`` has read, with edits; None exports the file unchanged.
    options : ExportOptions
    uri : str
        Absolute path or URL of the destination.

    Raises
    ------
    OptionError
        If the container is not the root of the file of ``src_io``.
    MetadataError
        If the file cannot be read.
    BrokenLinkError
        If a link leads to an object that is in no file.
    """
    builder, manager = _builder_to_export(src_io, container, options, uri=uri)
    is_edited = manager is not src_io.manager
    source = WriteSource(
        builder=builder,
        manager=manager,
        specifications=partial(_specifications_to_export, src_io, is_edited=is_edited),
        location=_location_of(src_io),
    )
    return _with_file(source, src_io, is_edited=is_edited) if _is_hdf5(src_io) else source


def _is_hdf5(io: HDMFIO) -> bool:
    return isinstance(io, HDF5IO)


def _with_file(source: WriteSource, src_io: HDF5IO, *, is_edited: bool) -> WriteSource:
    """Return a write source with the HDF5 file from which it was read."""
    unchanged = UnchangedFiles(hdf5_file(src_io))
    in_file = replace(
        source,
        hdf5_file=hdf5_file(src_io),
        hdf5_builder=src_io.get_builder,
        unchanged=unchanged,
    )
    if is_edited:
        return in_file
    with reading(str(src_io.source)):
        return replace(in_file, child_names=lost_names(src_io, source.builder))


def _builder_to_export(
    src_io: HDMFIO, container: Container | None, options: ExportOptions, *, uri: str
) -> tuple[GroupBuilder, BuildManager | None]:
    """Return the builder to export and its manager; with edits, not that of ``src_io``."""
    if container is None and options.clear_cache:
        container = src_io.read()
    if container is None:
        with reading(str(src_io.source), hdf5_file(src_io)) if _is_hdf5(src_io) else nullcontext():
            return src_io.read_builder(), src_io.manager
    old = _builder_of_root(src_io, container)
    # HDF5IO replaces the builders that it has read by those of its own exports.
    is_replaced = _is_hdf5(src_io) and old is not src_io.read_builder()
    known = Known.of(src_io.manager)
    with naming_orphans(uri):
        return build_to_export(
            container,
            src_io.manager,
            known.containers,
            known.builders,
            source=uri,
            rebuild=options.clear_cache or is_replaced,
        )


def _builder_of_root(src_io: HDMFIO, container: Container) -> GroupBuilder:
    """Return the builder of a container, which must be the root of the file of an IO."""
    if src_io.manager is None:
        raise OptionError("a container can be exported only by a src_io with a manager")
    session = session_of(src_io)
    if session is not None:
        session.constructed.reinstate()
    builder = src_io.manager.get_builder(container)
    if builder is None:
        raise OptionError("the container to export was not read by src_io")
    if builder.parent is not None:
        raise OptionError("the container to export must be the root of the file of src_io")
    return builder


def _specifications_to_export(src_io: HDMFIO, *, is_edited: bool) -> Specifications:
    """Return the specifications of the exported file, and those that its edits need."""
    cached = _cached_specifications(src_io)
    if src_io.manager is None or (cached and not is_edited):
        return cached
    for name, versions in specifications_of_manager(src_io.manager).items():
        for version, texts in versions.items():
            cached.setdefault(name, {}).setdefault(version, texts)
    return cached


def _cached_specifications(src_io: HDMFIO) -> Specifications:
    session = session_of(src_io)
    if session is not None and session.hierarchy is not None:
        return read_specifications(session.hierarchy)
    if isinstance(src_io, HDF5IO) and hdf5_file(src_io) is not None:
        return read_hdf5_specifications(hdf5_file(src_io))
    return {}
