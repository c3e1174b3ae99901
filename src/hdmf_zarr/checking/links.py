"""Checks of links and references: each leads to an object, and to the right one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.report import Finding, Kind
from hdmf_zarr.convention import JSON, Reference
from hdmf_zarr.convention.records import COMPOUND, entries_in
from hdmf_zarr.convention.scales import is_scale_list, targets_in
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import reference_columns
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import BrokenLinkError, HDMFZarrError, MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.tree import LINKS_FOLLOWED, open_array, open_linked_hierarchy
from hdmf_zarr.stores.location import Location

READ_ROWS = 65536
"""Number of rows of references read in one batch."""

LISTED_BROKEN = 100
"""Most broken references of one dataset that are each reported as a finding."""

Target = tuple[Hierarchy, str]
"""A store, and the path of a node in it."""


def _is_object(value: JSON) -> bool:
    return isinstance(value, Mapping)


class MissingStoreError(BrokenLinkError):
    """A link leads to a store that cannot be opened."""


class Resolver:
    """Resolves links and references, each once; opens every other store once."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.main = hierarchy
        self._stores: dict[Location, Hierarchy | HDMFZarrError] = {hierarchy.location: hierarchy}
        self._found: dict[tuple[str, str], Target | HDMFZarrError] = {}
        self._steps: dict[tuple[Hierarchy, str], Target] = {}

    def target(self, reference: Reference) -> Target:
        """Return the node to which a reference of the store leads, through links and other stores.

        Raises
        ------
        BrokenLinkError, MetadataError
            If there is no such node.
        """
        asked = (reference.source, reference.path)
        if asked not in self._found:
            try:
                self._found[asked] = self._follow(reference)
            except HDMFZarrError as error:
                self._found[asked] = error
        found = self._found[asked]
        if isinstance(found, HDMFZarrError):
            raise found
        return found

    def _follow(self, reference: Reference) -> Target:
        hierarchy = self._store(self.main, reference.source)
        path = reference.path.strip("/")
        for _ in range(LINKS_FOLLOWED):
            if path in hierarchy.documents:
                return hierarchy, path
            hierarchy, path = self._step(hierarchy, path)
        raise BrokenLinkError(f"{reference.path} leads through more than {LINKS_FOLLOWED} links")

    def _step(self, hierarchy: Hierarchy, path: str) -> Target:
        """Resolve the first link in a path; cache the result if the path is the link itself."""
        step = self._steps.get((hierarchy, path))
        if step is not None:
            return step
        found = hierarchy.find_link(path)
        if found is None:
            raise BrokenLinkError(f"{hierarchy.uri} has no object at /{path}")
        link, rest = found
        leads_to = "/".join([link.path.strip("/"), *rest]).strip("/")
        step = self._store(hierarchy, link.source), leads_to
        if not rest:  # paths below a link may become longer with every step
            self._steps[hierarchy, path] = step
        return step

    def _store(self, hierarchy: Hierarchy, source: str) -> Hierarchy:
        location = hierarchy.locate_source(source)
        if location not in self._stores:
            try:
                opened = open_linked_hierarchy(location, read_only=True, consolidated=True)
                self._stores[location] = opened
            except (HDMFZarrError, OSError, ImportError) as error:
                self._stores[location] = MissingStoreError(
                    f"the store {location.uri} cannot be opened: {error}"
                )
        found = self._stores[location]
        if isinstance(found, HDMFZarrError):
            raise found
        return found


TypeCheck = Callable[[str, str, Target], str | None]
"""Called with path of the holder, name and target of a link; returns what is wrong, or None."""


class LinkCheck:
    """Checks the links and references of a store.

    Parameters
    ----------
    examined : Examined
    type_check : callable
        Returns why a target does not have the type in the specification, or None.
    """

    def __init__(self, examined: Examined, type_check: TypeCheck) -> None:
        self._examined = examined
        self._hierarchy = examined.hierarchy
        self._resolver = Resolver(examined.hierarchy)
        self._type_check = type_check
        self.external: dict[str, str] = {}
        """Place of each link or reference to another store -> its source."""

    def _leaves(self, reference: Reference) -> bool:
        try:
            return self._hierarchy.locate_source(reference.source) != self._hierarchy.location
        except HDMFZarrError:
            return True

    def _decoded(self, name: str, value: JSON) -> list[Reference]:
        values = value if isinstance(value, list) else [value]
        if is_scale_list(name, value, is_target=_is_object):
            values = list(targets_in(value))
        decoded = [
            self._hierarchy.convention.decode_reference(entry)
            for entry in values
            if isinstance(entry, Mapping)
        ]
        return [reference for reference in decoded if reference is not None]

    def check_links(self) -> Iterator[Finding]:
        """Check that every link of a group leads to an object."""
        for path in self._examined.nodes():
            try:
                links = self._hierarchy.convention.decode_links(self._hierarchy.attributes(path))
            except MetadataError as error:
                yield Finding.of(rules.BROKEN_LINK, path, error)
                continue
            for link in links:
                reference = Reference(source=link.source, path=link.path)
                where = f"{path}/{link.name}"
                yield from self._check(rules.BROKEN_LINK, where, path, link.name, reference, None)

    def check_attributes(self) -> Iterator[Finding]:
        """Check that every attribute that is a reference leads to an object."""
        for path in self._examined.nodes():
            attributes = self._hierarchy.attributes(path)
            for name, value in self._hierarchy.convention.user_attributes(attributes).items():
                recorded = (attributes.get(ATTRIBUTE_TYPES) or {}).get(name)
                if str(recorded).startswith(COMPOUND):
                    value = list(entries_in(value))
                try:
                    references = self._decoded(name, value)
                except MetadataError as error:
                    message = f"attribute {name!r}: {error}"
                    yield Finding.of(rules.BROKEN_REFERENCE, path, message)
                    continue
                object_id = _object_id(value)
                for reference in references:
                    yield from self._check(
                        rules.BROKEN_REFERENCE, path, path, name, reference, object_id
                    )

    def check_datasets(self) -> Iterator[Finding]:
        """Check that every reference in an element leads to an object; reads the chunks."""
        for path in self._examined.arrays():
            if self._examined.is_specification(path):
                continue
            try:
                array = open_array(self._hierarchy, path)
            except HDMFZarrError:
                continue  # the check of metadata reports it
            if holds_references(array.element_type):
                yield from self._check_dataset(array)

    def _check_dataset(self, array: HDMFZarrArray) -> Iterator[Finding]:
        path = array.node_path
        n_broken = 0
        try:
            for position, field, element in _elements(array):
                for finding in self._check_element(path, position, field, element):
                    n_broken += 1
                    if n_broken <= LISTED_BROKEN:
                        yield finding
        except Exception as error:
            yield Finding.of(rules.BROKEN_REFERENCE, path, f"its elements cannot be read: {error}")
        if n_broken > LISTED_BROKEN:
            yield Finding.of(
                rules.BROKEN_REFERENCE, path, f"{n_broken} of its references are broken"
            )

    def _check_element(
        self, path: str, position: int, field: str, element: str
    ) -> Iterator[Finding]:
        where = f"element {position}{f', field {field!r}' if field else ''}"
        try:
            reference = self._hierarchy.convention.decode_element(element)
        except MetadataError as error:
            yield Finding.of(rules.BROKEN_REFERENCE, path, f"{where}: {error}")
            return
        if reference is not None:
            yield from self._check(
                rules.BROKEN_REFERENCE, path, path, field, reference, _element_id(element), where
            )

    def _check(
        self,
        kind: Kind,
        where: str,
        holder: str,
        name: str,
        reference: Reference,
        object_id: str | None,
        place: str = "",
    ) -> Iterator[Finding]:
        place = place or (f"attribute {name!r}" if kind is rules.BROKEN_REFERENCE else "the link")
        if self._leaves(reference):
            self.external[where] = reference.source
        try:
            target = self._resolver.target(reference)
        except MissingStoreError as error:
            yield Finding.of(rules.MISSING_STORE, where, f"{place}: {error}")
            return
        except HDMFZarrError as error:
            yield Finding.of(kind, where, f"{place}: {error}")
            return
        hierarchy, path = target
        held = hierarchy.attributes(path).get("object_id")
        if object_id is not None and held is not None and held != object_id:
            message = f"{place} is to the object {object_id!r:.60}; /{path} is {held!r:.60}"
            yield Finding.of(rules.WRONG_TARGET, where, message)
        wrong = self._type_check(holder, name, target)
        if wrong is not None:
            yield Finding.of(rules.WRONG_TARGET, where, f"{place}: {wrong}")


def holds_references(element: ElementType) -> bool:
    """Whether elements are or contain references."""
    return "reference" in element.kinds


def _elements(array: HDMFZarrArray) -> Iterator[tuple[int, str, str]]:
    """Yield position, field and text of each reference of an array; read in batches of rows."""
    flat = array.element_type.flat
    fields = [name for name, field in flat.fields if field.kind == "reference"]
    rows = 1 if not array.shape else min(READ_ROWS, max(1, array.chunks[0]))
    starts = range(0, array.shape[0], rows) if array.shape else range(1)
    for start in starts:
        block = np.asarray(array[start : start + rows] if array.shape else array[()], dtype=object)
        if fields:
            values = np.asarray(array[start : start + rows] if array.shape else array[()])
            found = reference_columns(values, array.element_type)
            columns = {name: np.ravel(column) for name, column in zip(fields, found, strict=True)}
        else:
            columns = {"": np.ravel(block)}
        for field, column in columns.items():
            for position, element in enumerate(column, start):
                yield position, field, str(element)


def _object_id(value: JSON) -> str | None:
    """Return the target's object id, which format 2 stores next to the path of a reference."""
    if not isinstance(value, Mapping):
        return None
    for entry in value.values():
        if isinstance(entry, Mapping) and isinstance(entry.get("object_id"), str):
            found: str = entry["object_id"]
            return found
    return None


def _element_id(element: str) -> str | None:
    if not element.startswith("{"):
        return None
    return _object_id({"": parsed_json(element, f"reference {element!r:.200}")})


def no_type_check(_holder: str, _name: str, _target: Target) -> None:
    """Accept every target."""
