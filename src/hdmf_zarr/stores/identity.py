"""Checks whether two locations are one store, or one contains the other: by proof, else by evidence.

The proof for two folders is their device and inode, for two stores in memory the mapping behind them, for two
places in a bucket service, bucket and prefix (`stores.identity_proofs`). Where this proves nothing, the
root documents are compared (`stores.identity_evidence`). Nothing is written.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Sequence
from enum import Enum

from zarr.storage import ZipStore

from hdmf_zarr.errors import HDMFZarrError, OptionError
from hdmf_zarr.stores import wrappers
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.identity_evidence import ROOT_DOCUMENTS, Root, root_at
from hdmf_zarr.stores.identity_proofs import MEMORY, Place, place_of
from hdmf_zarr.stores.location import Location

logger = logging.getLogger(__name__)

MOST_LEVELS = 8
"""Maximum number of folders above a store that are compared with a destination of another name."""


class Relation(Enum):
    """Relation of one place to another."""

    APART = "apart"
    SAME = "same"
    INSIDE = "inside"
    AROUND = "around"


def refuse_overlap(
    source: Location,
    destination: Location,
    *,
    is_built_beside: bool = False,
    advice: str = "write to another place",
) -> None:
    """Raise if the destination of writing is the source that is read, contains it or is inside it.

    Parameters
    ----------
    source, destination : Location
    is_built_beside : bool
        Whether a new folder is built next to its place. It can replace the source if both are the same
        path; whether it may be inside a store is checked when it is made.
    advice : str
        Advice to the user if both are the same store.

    Raises
    ------
    OptionError
        If they overlap; nothing is written.
    """
    is_folder = is_built_beside and destination.is_local
    if is_folder and source == destination:
        return
    relation = relation_of(source, destination)
    if relation is not Relation.APART and not (is_folder and relation is Relation.AROUND):
        raise OptionError(
            _REFUSALS[relation].format(
                source=source.spelling, destination=destination.spelling, advice=advice
            )
        )


_REFUSALS = {
    Relation.SAME: "{destination} is both source and destination: what is read is {source}, the same "
    "store, which would be replaced meanwhile; {advice}",
    Relation.INSIDE: "{source} is inside of {destination}, which would be replaced while it is read; "
    "choose another destination",
    Relation.AROUND: "{destination} is inside of {source}, which is read meanwhile; choose another "
    "destination",
}


def relation_of(first: Location, second: Location) -> Relation:
    """Return the relation of a store to a place, which need not exist.

    Parameters
    ----------
    first, second : Location
    """
    if first.store is not None and first.store is second.store:
        return Relation.SAME
    one, other = place_of(first), place_of(second)
    if one is None or other is None:
        return _by_evidence(first, second, None)
    if one.kind != other.kind:
        is_proved = MEMORY in (one.kind, other.kind)  # only one is in the memory of this process
        return Relation.APART if is_proved else _by_evidence(first, second, None)
    relation = _compared(one.keys, other.keys)
    if relation is Relation.APART or _is_proof(one, other):
        return relation
    return _by_evidence(first, second, relation)


def _is_proof(one: Place, other: Place) -> bool:
    """Return whether equal keys mean the same place in both."""
    return one.service == other.service and not (one.is_view or other.is_view)


def _compared(first: Sequence[Hashable], second: Sequence[Hashable]) -> Relation:
    if first[-1] == second[-1]:
        return Relation.SAME
    if second[-1] in first:
        return Relation.INSIDE
    return Relation.AROUND if first[-1] in second else Relation.APART


# -- evidence --------------------------------------------------------------------------------------


def _by_evidence(first: Location, second: Location, expected: Relation | None) -> Relation:
    """Return the relation of a store to a place by their contents.

    Parameters
    ----------
    first, second : Location
    expected : Relation or None
        Relation if equal keys mean the same place in both.
    """
    if _is_zip(first) or _is_zip(second):
        return Relation.APART  # a zip file contains its own objects only
    root = _root_of(first)
    if root is None:  # an HDF5 file: only its name can be compared
        return expected or Relation.APART
    destination = open_bytestore(second, read_only=True)
    if root.is_same(root_at(destination)):
        return Relation.SAME
    if any(root.is_same(root_at(destination, path)) for path in _paths(first, root, destination)):
        return Relation.INSIDE
    is_named_so = expected is Relation.AROUND and not _is_view(first, second)
    return Relation.AROUND if is_named_so else Relation.APART


def _root_of(location: Location) -> Root | None:
    """Return the root documents of a store; None if it is not read as Zarr."""
    try:
        return root_at(open_bytestore(location, read_only=True))
    except (HDMFZarrError, OSError) as error:
        logger.debug("%s has no root document that can be read: %s", location.uri, error)
        return None


def _is_zip(location: Location) -> bool:
    store = location.store
    if store is None:
        return location.uri.endswith(".zip") and os.path.isfile(location.uri)
    return isinstance(wrappers.innermost_store(store), ZipStore)


def _is_view(*locations: Location) -> bool:
    return any(place is not None and place.is_view for place in map(place_of, locations))


def _paths(location: Location, root: Root, destination: ByteStore) -> list[str]:
    """Return the paths in a destination where a store may be, because its root document is there.

    Parameters
    ----------
    location : Location
        Location of the store.
    root : Root
    destination : ByteStore
    """
    name = next(name for name in ROOT_DOCUMENTS if name in root.documents)
    paths = []
    if location.is_linkable:
        parts = [part for part in location.uri.rpartition("://")[2].split("/") if part]
        paths = ["/".join(parts[-count:]) for count in range(1, min(len(parts), MOST_LEVELS) + 1)]
    if _is_view(location, destination.location):
        keys = destination.metadata_keys(frozenset({name}))
        paths += [key.removesuffix(name).strip("/") for key in keys]
    wanted = root.documents[name]
    found = destination.get_many(f"{path}/{name}" for path in paths if path)
    return [key.removesuffix(f"/{name}") for key, value in found.items() if value == wanted]
