"""Which datasets become links to arrays that a store holds already."""

from __future__ import annotations

import json
import warnings
from typing import Any

import zarr
from hdmf.build import DatasetBuilder
from hdmf.query import HDMFDataset

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.convention import SELF, Link
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.errors import HDMFZarrError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.identity import refuse_overlap
from hdmf_zarr.stores.location import Location, can_link, locate, relative_source
from hdmf_zarr.write.planning.addresses import Addresses
from hdmf_zarr.write.planning.attributes import AttributeEncoder
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.dataio import unwrap
from hdmf_zarr.write.planning.link_specs import DATA_TYPE_ATTRIBUTES


class ArrayLinks:
    """Finds the arrays to which datasets become links.

    Parameters
    ----------
    context : PlanContext
    addresses : Addresses
    attributes : AttributeEncoder
    """

    def __init__(
        self, context: PlanContext, addresses: Addresses, attributes: AttributeEncoder
    ) -> None:
        self.context = context
        self.addresses = addresses
        self.attributes = attributes
        self._apart: set[Location] = set()

    def link_of(
        self, builder: DatasetBuilder, data: Any, path: str, *, link_data: bool | None
    ) -> Link | None:
        """Return the link that replaces a dataset, or None if its data are written.

        Parameters
        ----------
        builder : DatasetBuilder
        data : array or sequence
            Data of the builder, without a wrapper.
        path : str
        link_data : bool or None
            Request of the wrapper; an impossible link that was requested causes a warning.
        """
        link = self._link_to_array(data, path, link_data=link_data)
        reason = None if link is None else self._why_not(link, builder, data)
        if link is not None and reason is None:
            return link
        if link_data:
            reason = reason or self._why_no_link(data)
            asked_for = f"a link to {link.source}:{link.path}" if link else "a link"
            warnings.warn(
                f"{self.context.destination.uri}:/{path}: {asked_for} was asked for, but {reason}; the data "
                "are copied",
                UserWarning,
                stacklevel=2,
            )
        return None

    def _link_to_array(self, data: Any, path: str, *, link_data: bool | None) -> Link | None:
        """Return the link that replaces a dataset whose data are an array of a Zarr store."""
        if not isinstance(data, zarr.Array):
            return None
        location, array_path = _whereabouts(data)
        if location is None:
            return None
        name = path.rpartition("/")[2]
        is_export = self.context.export_source is not None
        self._check_apart(location)
        if location == self.context.destination:
            if self._is_there(data):
                return Link(name=name, path="/" + array_path)
            self._check_readable_meanwhile()
            return self._link_to_home(array_path, path) if is_export else None
        if (
            location == self.context.export_source
            and not self.context.options.link_data
            and not link_data
        ):
            return self._link_to_home(array_path, path)
        wanted = self.context.options.link_data if link_data is None else link_data
        if (
            not wanted
            or not can_link(location, self.context.destination)
            or (is_export and not self.context.options.link_data)
        ):
            return None
        return Link(
            name=name,
            source=relative_source(location, self.context.destination),
            path="/" + array_path,
        )

    def _why_not(self, link: Link, builder: DatasetBuilder, array: zarr.Array[Any]) -> str | None:
        """Return what a link would lose, or None if it loses nothing."""
        if not self._says_the_same(builder, array):
            return "the attributes there are others"
        if link.source != SELF and not _is_found_by_readers(array):
            return "readers of links find only arrays that objects of HDMF hold"
        return None

    def _why_no_link(self, data: Any) -> str:
        if not isinstance(data, zarr.Array):
            return f"{type(data).__name__} is no zarr array"
        location = _whereabouts(data)[0]
        if location is None or not can_link(location, self.context.destination):
            return "the store cannot be reached from there"
        return "this is an export without link_data, which links to no other file"

    def _is_there(self, data: zarr.Array[Any]) -> bool:
        """Whether an array at the destination stays there: a replaced store loses its arrays."""
        existing = self.context.existing
        if existing is None:
            return False
        return existing.is_live or getattr(data, "hierarchy", None) is existing

    def _check_readable_meanwhile(self) -> None:
        """Raise unless a replaced store exists until the new one takes its place."""
        if not self.context.destination.is_local:
            raise OptionError(
                f"{self.context.destination.uri} would be emptied before its own data are read: write to "
                "another place"
            )

    def _check_apart(self, location: Location) -> None:
        """Raise if a store that is read, under any name, would be emptied for the new one."""
        destination = self.context.destination
        is_emptied = self.context.existing is None and not destination.is_local
        if not is_emptied or location in (destination, self.context.export_source, *self._apart):
            return
        refuse_overlap(location, destination)
        self._apart.add(location)

    def _says_the_same(self, builder: DatasetBuilder, array: zarr.Array[Any]) -> bool:
        """Whether a link to an array keeps the type and the attributes of the builder.

        A dataset with a data type (a column) is never linked: it has its own object id, and its
        attributes refer to objects of its own file.
        """
        attributes = self.attributes.encode(builder)
        if "neurodata_type" in attributes or "data_type" in attributes:
            return False
        convention = self.context.convention
        if isinstance(array, HDMFZarrArray):
            convention = array.hierarchy.convention
        held = convention.user_attributes(dict(array.attrs))
        types = dict(array.attrs).get(ATTRIBUTE_TYPES) or {}
        own_types = attributes.pop(ATTRIBUTE_TYPES, {})
        is_numeric = not isinstance(array, HDMFZarrArray) or array.element_type.numpy is not None
        # Compare as text: NaN is not equal to itself.
        same = json.dumps(attributes, sort_keys=True) == json.dumps(held, sort_keys=True)
        return is_numeric and same and own_types == types

    def _link_to_home(self, array_path: str, path: str) -> Link | None:
        """Return a link to the copy of an array that is also exported at its own path."""
        home = self.addresses.builder_at(array_path)
        if array_path == path or not isinstance(home, DatasetBuilder):
            return None
        data = unwrap(home.data)[0]
        data = data.dataset if isinstance(data, HDMFDataset) else data
        if not isinstance(data, zarr.Array):
            return None
        if _whereabouts(data) != (self.context.export_source, array_path):
            return None
        return Link(name=path.rpartition("/")[2], path="/" + array_path)


def _is_found_by_readers(array: zarr.Array[Any]) -> bool:
    """Whether readers of links find an array: it is in its store's metadata, and in an HDMF object.

    pynwb constructs the object that contains the target of a link.
    """
    if isinstance(array, HDMFZarrArray):
        return True
    location, path = _whereabouts(array)
    assert location is not None
    try:
        bytestore = open_bytestore(location, read_only=True)
        hierarchy = Hierarchy.load(bytestore, consolidated=True)
    except (HDMFZarrError, OSError):
        return False
    if not path or path not in hierarchy:
        return False
    attributes = hierarchy.attributes(path.rpartition("/")[0])
    return any(name in attributes for name in DATA_TYPE_ATTRIBUTES)


def _whereabouts(array: zarr.Array[Any]) -> tuple[Location | None, str]:
    """Return store and path of an array; the store is None if only this process can open it."""
    if isinstance(array, HDMFZarrArray):
        return array.hierarchy.location, array.node_path
    return locate(array.store), array.path
