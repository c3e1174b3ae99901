"""Which links of builders stay links, and what replaces the others."""

from __future__ import annotations

import itertools
import operator
import os
import warnings
from dataclasses import dataclass

from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import LinkBuilder
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.convention import Link, full_type_of
from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.stores.location import Location, can_link, location_of_uri, relative_source
from hdmf_zarr.write.planning.addresses import CONVERTED_SUFFIX, Addresses, Origin, PendingLink
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.foreign_objects import ForeignObjects


@dataclass(frozen=True, slots=True)
class Copy:
    """A link whose target is written in its place."""

    target: BaseBuilder


class LinkDecisions:
    """Decides whether each link stays a link.

    Parameters
    ----------
    context : PlanContext
    addresses : Addresses
        Paths of builders, to which those of copied objects are added.
    """

    def __init__(self, context: PlanContext, addresses: Addresses) -> None:
        self.context = context
        self.addresses = addresses
        self._foreign = ForeignObjects(context, addresses)
        self._decided: dict[int, Link | Copy] = {}

    def decide(self) -> None:
        """Decide all pending links, and in turn the links of the objects that are copied."""
        while self.addresses.pending:
            links, self.addresses.pending = self.addresses.pending, []
            left = [pending for pending in links if not self._stays_link(pending)]
            self._foreign.find(left)
            have_own = [self._has_own_path(pending) for pending in left]
            for pending in itertools.compress(left, map(operator.not_, have_own)):
                self._replace(pending)
            self._foreign.place()
            for pending in itertools.compress(left, have_own):
                self._replace(pending)

    def decision(self, link: LinkBuilder) -> Link | Copy:
        """Return the link that is written for a builder, or the copy of its target."""
        return self._decided[id(link)]

    def _stays_link(self, pending: PendingLink) -> bool:
        """Keep a link if the destination can link to its target; return whether it can."""
        link = pending.link
        with self.context.at(pending.path):
            inside = self.addresses.path_inside(link.builder)
            if inside is not None:
                self._decided[id(link)] = Link(name=link.name, path="/" + inside)
                return True
            origin = self._origin(link)
            if self.addresses.must_copy(origin.location):
                return False
            self._decided[id(link)] = self._link_to_file(link, origin)
        return True

    def _origin(self, link: LinkBuilder) -> Origin:
        origin = self.addresses.origin(link.builder)
        is_gone = origin is not None and (
            origin.location == self.context.destination and self.context.existing is not None
        )
        if origin is None or is_gone:
            data_type = full_type_of(link.builder.attributes)
            what = f"{link.builder.name!r}" + ("" if data_type is None else f" ({data_type[1]})")
            raise BrokenLinkError(
                f"the link leads to {what}, which is in no file that is written: add the object to this "
                "file, or write the file that it is part of first"
            )
        return origin

    def _has_own_path(self, pending: PendingLink) -> bool:
        return self._foreign.is_wanted(self._origin(pending.link))

    def _replace(self, pending: PendingLink) -> None:
        """Replace a link to a copied target by a link to the copy, or by the copy itself."""
        link, target = pending.link, pending.link.builder
        with self.context.at(pending.path):
            origin = self._origin(link)
            self._warn_of_copy(pending, origin.location)
            inside = self.addresses.path_inside(target)
            if inside is None:
                self.addresses.assign(target, pending.path, origin)
                self._decided[id(link)] = Copy(target)
            else:
                self._decided[id(link)] = Link(name=link.name, path="/" + inside)

    def _warn_of_copy(self, pending: PendingLink, location: Location) -> None:
        if self.context.export_source is None:
            warnings.warn(
                f"{self.context.destination.uri}:/{pending.path}: a Zarr store cannot link to "
                f"{location.uri}; the target is copied",
                UserWarning,
                stacklevel=2,
            )

    def _link_to_file(self, link: LinkBuilder, origin: Origin) -> Link:
        """Return the link to an object of another file; of an HDF5 file, to its converted store."""
        location = origin.location
        if self.addresses.is_hdf5(location):
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
            path="/" + origin.path,
        )
