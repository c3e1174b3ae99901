"""Containers of HDMF, built to be written into an open store, and found when they were read from it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from hdmf.backends.io import HDMFIO
from hdmf.build import GroupBuilder, OrphanContainerBuildError
from hdmf.container import Container, Data

from hdmf_zarr.arrays.array import HDMFZarrArray, open_array
from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.read.constructed import Known
from hdmf_zarr.read.lazy import ZarrDataset
from hdmf_zarr.read.references import ReadingIO
from hdmf_zarr.read.tree import lazy_data
from hdmf_zarr.session.external_resources import herd_beside
from hdmf_zarr.session.modes import APPENDING_MODES
from hdmf_zarr.session.opening import has_data
from hdmf_zarr.session.paths import builder_path
from hdmf_zarr.session.session import Session
from hdmf_zarr.write.job import WriteSource, write_tree
from hdmf_zarr.write.options import WriteOptions
from hdmf_zarr.write.planning.edits import Edit, Edits
from hdmf_zarr.write.specifications import specifications_of_manager


def container_read_before(session: Session, builder: GroupBuilder) -> Any:
    """Return the container that was read from a builder, with all edits; None before the first read."""
    container = session.constructed.find(builder)
    if container is not None and session.manager.get_builder(container) is None:
        session.constructed.reinstate()
    return container


def write_container(
    io: HDMFIO, session: Session, container: Container, herd: Any, options: WriteOptions
) -> None:
    """Write a container, or the additions since it was read or written.

    Parameters
    ----------
    io : HDMFIO
        IO of the session.
    session : Session
    container : Container
    herd : HERD or None
        External resources to write with the container.
    options : WriteOptions
    """
    session.rows.settle(session.hierarchy)
    _prepare_append(session, container)
    with herd_beside(io, container, herd):
        with naming_orphans(session.uri):
            builder = session.manager.build(container, source=session.uri, root=True)
        source = WriteSource(
            builder=builder,
            manager=session.manager,
            specifications=partial(specifications_of_manager, session.manager),
        )
        write_tree(session, source, options.copying_for_archive())
    _note_written_columns(session, container, io)


@contextmanager
def naming_orphans(uri: str) -> Iterator[None]:
    """Raise `BrokenLinkError` with the store's name for a link to a container in no file."""
    try:
        yield
    except OrphanContainerBuildError as error:
        raise BrokenLinkError(f"{uri}: {error}") from error


# -- what an append adds ---------------------------------------------------------------------------


def _prepare_append(session: Session, container: Container) -> None:
    """Mark edited containers, so that HDMF builds them; refuse a root that is not the store's."""
    if session.hierarchy is None or not has_data(session.hierarchy):
        return
    session.constructed.reinstate()
    session.refuse_other_root(session.manager.get_builder(container))
    known = Known.of(session.manager)
    edits = Edits(session.manager.type_map, known.containers, known.builders)
    for edit in edits.of(session.constructed.pairs()):
        edit.container.set_modified()
        if edit.kept:
            _warn_of_kept(session, edit)


def _warn_of_kept(session: Session, edit: Edit) -> None:
    builder = session.manager.get_builder(edit.container)
    path = f"{builder_path(builder)}/{edit.path}".strip("/")
    warnings.warn(
        f"{session.uri}:/{path}: {edit.kept}: export the file to another place to have it so",
        UserWarning,
        stacklevel=5,
    )


def _note_written_columns(session: Session, container: Container, io: ReadingIO) -> None:
    """Make the columns that an append has written from memory grow with the store, too."""
    if session.mode in APPENDING_MODES:
        session.constructed.note_written(session.uri)
        session.rows.guard_written(container, partial(_array_of_column, session, io))


def _array_of_column(
    session: Session, io: ReadingIO, column: Data
) -> HDMFZarrArray | ZarrDataset | None:
    """Return the array of a column that was written to this store."""
    builder = session.manager.get_builder(column)
    if builder is None or not session.is_written(builder) or session.hierarchy is None:
        return None
    path = builder_path(builder)
    is_here = builder.source == session.uri and path in session.hierarchy
    return lazy_data(open_array(session.hierarchy, path), io) if is_here else None
