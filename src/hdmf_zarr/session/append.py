"""What a write adds to a store that holds a file already."""

from __future__ import annotations

import warnings
from functools import partial

from hdmf.container import Container, Data

from hdmf_zarr.arrays.array import HDMFZarrArray, open_array
from hdmf_zarr.read.constructed import Known
from hdmf_zarr.read.lazy import ZarrDataset
from hdmf_zarr.read.references import ReadingIO
from hdmf_zarr.read.tree import lazy_data
from hdmf_zarr.session.modes import APPENDING_MODES
from hdmf_zarr.session.opening import has_data
from hdmf_zarr.session.paths import builder_path
from hdmf_zarr.session.session import Session
from hdmf_zarr.write.planning.edits import Edit, Edits


def prepare_append(session: Session, container: Container) -> None:
    """Have HDMF build what was edited since it was read; refuse what is no part of the store."""
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
        stacklevel=4,
    )


def note_written_columns(session: Session, container: Container, io: ReadingIO) -> None:
    """Let the columns that an append has written from memory grow with the store, too."""
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
