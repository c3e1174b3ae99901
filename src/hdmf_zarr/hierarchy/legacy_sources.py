"""The sources of links in Zarr format 2, which releases wrote in several forms.

The source of a link to the store itself is ``"."``, its absolute path (0.1), which changes when it is moved,
or the name of its folder (0.10), which changes when it is renamed. The source of a link to another store is
relative to the store, or to the folder that contains it (0.10).
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
    """Return the location of the ``source`` of a link or reference of a store of format 2.

    Parameters
    ----------
    source : str
    location : Location
        Location of the store.
    names_of_before : iterable of str
        Earlier names from `names_of_before`, used if the source is not found.

    Raises
    ------
    BrokenLinkError
        If a remote store links to this machine's disk, or the store exists only in this process.
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
        # What is next to a remote store cannot be listed, but another store is never inside the store.
        return resolve_source("../" + source, location)
    return resolve_source(source, location)


def _is_own_name(source: str, location: Location) -> bool:
    """Return whether a missing source has the name of the store, in a folder where the store once was."""
    folder, _, name = source.replace("\\", "/").rstrip("/").rpartition("/")
    if name != location.uri.rpartition("/")[2]:
        return False
    # What is next to a remote store cannot be listed.
    return location.is_local or not folder or _is_absolute(source)


def _is_absolute(source: str) -> bool:
    return PurePosixPath(source).is_absolute() or PureWindowsPath(source).is_absolute()


def names_of_before(
    attributes: Iterable[Mapping[str, Any]], convention: Convention, object_id: Any
) -> frozenset[str]:
    """Return earlier names of a store's folder, from its references to objects of its own root.

    Parameters
    ----------
    attributes : iterable of mapping
        Attributes of its nodes.
    convention : Convention
    object_id : str or None
        Object ID of its root.
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
