"""The builders that a session has read, and how references lead to them and to their containers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from hdmf.build import BuildManager, ReferenceBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer
from hdmf.query import HDMFDataset

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.convention import Reference, data_type_of, one_text, reference_from_object
from hdmf_zarr.errors import BrokenLinkError, HDMFZarrError, LockedError, ModeError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.references import ReadingIO
from hdmf_zarr.read.tree import StoreReader, open_linked_hierarchy
from hdmf_zarr.session.modes import READING_MODES
from hdmf_zarr.session.paths import builder_path
from hdmf_zarr.session.session import Session
from hdmf_zarr.stores.location import Location, location_of_uri, relative_source
from hdmf_zarr.write.planning.addresses import identified

logger = logging.getLogger(__name__)

FLOATS = frozenset({"float", "float32", "float64", "double", "numeric"})
"""Data types in a specification that are floats."""


class SessionReferences:
    """Resolves references of one session, see `hdmf_zarr.read.references`.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- requests of lazy datasets ---------------------------------------------------------------

    def builder_of_element(self, array: HDMFZarrArray, element: str) -> BaseBuilder:
        """Return the builder to which an element of a dataset of references leads.

        Raises
        ------
        BrokenLinkError
            If there is no such object.
        """
        reference = array.hierarchy.convention.decode_element(element)
        reader = self._session.reader
        assert reader is not None
        assert reference is not None
        try:
            return reader.builder(array.hierarchy, reference)
        except BrokenLinkError as error:
            raise BrokenLinkError(
                f"{array.hierarchy.uri}:/{array.node_path} has a reference without a target: {error}"
            ) from error

    def container_of(self, builder: BaseBuilder) -> Any:
        """Return the container of a builder; a container constructed earlier keeps its edits."""
        return self._session.constructed.get(builder)

    def element_of_target(self, array: HDMFZarrArray, target: Any) -> str | None:
        """Return the element for a container or builder; None if it has no path yet."""
        if isinstance(target, ReferenceBuilder):
            target = target.builder
        builder = (
            self._builder_of_target(target) if isinstance(target, AbstractContainer) else target
        )
        if builder is None or builder.source is None:
            return None
        location, path = location_of_uri(builder.source), builder_path(builder)
        if location == self._session.location and not self._is_there(path):
            return None
        source = relative_source(location, array.hierarchy.location)
        reference = Reference(source=source, path="/" + path)
        return array.hierarchy.convention.encode_element(identified(reference, builder))

    def _is_there(self, path: str) -> bool:
        return self._session.hierarchy is not None and path in self._session.hierarchy

    def _builder_of_target(self, target: AbstractContainer) -> BaseBuilder | None:
        """Return the builder of a container in its own file, not in one to which it was exported."""
        manager = self._session.manager
        builder = manager.get_builder(target)
        if builder is not None and builder.source != target.container_source:
            self._session.constructed.reinstate()
            builder = manager.get_builder(target)
        return builder

    def note_pending(self, dataset: HDMFDataset) -> None:
        """Remember a dataset with rows that are pending until the next write."""
        self._session.rows.note_pending(dataset)

    # -- requests of the IO ----------------------------------------------------------------------

    def reader(self, io: ReadingIO) -> StoreReader:
        """Return the reader of the store's builders; each call returns the same one.

        Parameters
        ----------
        io : ReadingIO
            IO for the lazy datasets that the reader creates.

        Raises
        ------
        ModeError
            If the store is closed, or contains nothing yet.
        """
        session = self._session
        session.require_open()
        if session.hierarchy is None:
            raise ModeError(f"{session.uri} has nothing to read yet (mode {session.mode!r})")
        if session.reader is None:
            session.reader = StoreReader(
                session.hierarchy,
                io=io,
                on_built=session.written.set_written,
                open_linked=partial(_open_linked, session.mode),
                specified_as_float=partial(_specified_as_float, session.manager),
            )
        return session.reader

    def builder_at(self, path: str) -> BaseBuilder:
        """Return the builder that was read for the object at a path.

        Raises
        ------
        BrokenLinkError
            If the object was not read.
        """
        reader = self._session.reader
        builder = None if reader is None else reader.main.builders.get(path)
        if builder is None:
            raise BrokenLinkError(f"{self._session.uri}:/{path} has not been built")
        return builder

    def resolve(self, reference: Reference) -> tuple[str, Hierarchy, str]:
        """Return the name of a reference's target, the hierarchy of its store, and its path there.

        Raises
        ------
        BrokenLinkError
            If there is no such object.
        """
        reader = self._session.reader
        assert reader is not None
        try:
            builder = reader.builder(reader.main.hierarchy, reference)
        except BrokenLinkError as error:
            raise BrokenLinkError(
                f"Found bad link to object {reference.path} in file {reference.source} from "
                f"{self._session.uri}: {error}"
            ) from error
        tree = reader.trees[location_of_uri(builder.source)]
        return builder.name, tree.hierarchy, builder_path(builder)


def reference_of(zarr_ref: Mapping[str, Any] | str, uri: str) -> Reference:
    """Return the reference that a user has given as a mapping or a path.

    Parameters
    ----------
    zarr_ref : mapping or str
    uri : str
        Absolute path or URL of the store, for the message.

    Raises
    ------
    BrokenLinkError
        If the mapping has no path.
    """
    if isinstance(zarr_ref, str):
        zarr_ref = {"path": zarr_ref}
    if zarr_ref.get("path") is None:
        raise BrokenLinkError(f"{uri}: the reference {dict(zarr_ref)} has no path")
    return reference_from_object(zarr_ref)


def _open_linked(mode: str, location: Location) -> Hierarchy:
    """Open a store that the session's store links to, for writing if possible."""
    read_only = mode in READING_MODES
    if not read_only:
        try:
            return open_linked_hierarchy(location, read_only=False, consolidated=False)
        except (HDMFZarrError, OSError, NotImplementedError) as error:
            # A folder may be locked by another writer; web servers and buckets may be read-only.
            if location.is_local and not isinstance(error, LockedError):
                raise
            logger.warning("%s is opened for reading only: %s", location.uri, error)
            read_only = True
    return open_linked_hierarchy(
        location, read_only=read_only, consolidated=mode == "r" or read_only
    )


def _specified_as_float(manager: BuildManager, attributes: Mapping[str, Any], name: str) -> bool:
    """Whether the specification of a node defines an attribute as a float."""
    data_type, namespace = data_type_of(attributes), one_text(attributes.get("namespace"))
    if data_type is None or namespace is None:
        return False
    try:
        spec = manager.namespace_catalog.get_spec(namespace, data_type)
    except (KeyError, ValueError):
        return False
    attribute = spec.get_attribute(name)
    return attribute is not None and str(attribute.dtype) in FLOATS
