"""The sources of links in Zarr format 2, which releases wrote in several forms.

Of the store itself: ``"."``; its absolute path (0.1), which is another one after a move; the name of its
folder (0.10), which is another one after it was renamed. Of another store: relative to the store, or to
the folder in which it is (0.10).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from hdmf_zarr.convention import SELF, Convention
from hdmf_zarr.convention.scales import DATASET
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.stores.location import Location, is_url, resolve_source


def locate_spelled(
    source: str, location: Location, names_of_before: Iterable[str] = ()
) -> Location:
    """Return the location that the ``source`` of a link or reference of a store of format 2 names.

    Parameters
    ----------
    source : str
    location : Location
        Of the store.
    names_of_before : iterable of str
        See `names_of_before`; looked at where the source is nowhere to be found.

    Raises
    ------
    BrokenLinkError
        If a store elsewhere points to this machine's disk, or only this process has the store.
    """
    if source in (SELF, "") or is_url(source):
        return resolve_source(source, location)
    if location.is_local:
        for spelled in (source, "../" + source):
            candidate = resolve_source(spelled, location)
            if candidate == location or os.path.isdir(candidate.uri):
                return candidate
    if _is_own_name(source, location) or source in names_of_before:
        return location
    if not location.is_local and not source.startswith(".") and not _is_absolute(source):
        # A store elsewhere cannot be asked what is beside it; but what is beside a store is never in it.
        return resolve_source("../" + source, location)
    return resolve_source(source, location)


def _is_own_name(source: str, location: Location) -> bool:
    """Whether a source that is not there has the name of the store, in the folder that it once had."""
    folder, _, name = source.replace("\\", "/").rstrip("/").rpartition("/")
    if name != location.uri.rpartition("/")[2]:
        return False
    # A store elsewhere cannot be asked whether another one is beside it.
    return location.is_local or not folder or _is_absolute(source)


def _is_absolute(source: str) -> bool:
    return PurePosixPath(source).is_absolute() or PureWindowsPath(source).is_absolute()


def names_of_before(
    attributes: Iterable[Mapping[str, Any]], convention: Convention, object_id: Any
) -> frozenset[str]:
    """Return the names of folders that a store has had, by its references to objects of its own root.

    Parameters
    ----------
    attributes : iterable of mapping
        Of its nodes.
    convention : Convention
    object_id : str or None
        Of its root.
    """
    if not isinstance(object_id, str):
        return frozenset()
    return frozenset(
        reference.source
        for of_node in attributes
        for reference in _references(of_node.values(), convention)
        if reference.source_object_id == object_id and "/" not in reference.source
    )


def _references(values: Iterable[Any], convention: Convention) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict) and isinstance(value.get(DATASET), dict):
            value = value[DATASET]  # a record of a dimension scale
        if isinstance(value, list):
            yield from _references(value, convention)
        elif isinstance(value, dict):
            try:
                reference = convention.decode_reference(value)
            except MetadataError:
                continue
            if reference is not None:
                yield reference
