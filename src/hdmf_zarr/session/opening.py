"""Opens existing stores and reads their metadata."""

from __future__ import annotations

import os
from typing import Any

from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.session.modes import READING_MODES
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location, locate


def has_data(hierarchy: Hierarchy) -> bool:
    """Whether a store contains HDMF data: its root has a data type."""
    attributes = hierarchy.attributes("")
    return "neurodata_type" in attributes or "data_type" in attributes


def load_hierarchy(location: Location, mode: str) -> Hierarchy:
    """Read the metadata of an existing store in the way that a mode requires."""
    bytestore = open_bytestore(location, read_only=mode in READING_MODES)
    return Hierarchy.load(bytestore, consolidated=mode == "r")


def try_to_open(path: Any, storage_options: dict[str, Any] | None) -> Hierarchy | None:
    """Read the metadata of a store; return None if there is none."""
    try:
        location = locate(path, storage_options)
        if (
            location.is_local
            and not os.path.isdir(location.uri)
            and not location.uri.endswith(".zip")
        ):
            return None
        return Hierarchy.load(open_bytestore(location, read_only=True), consolidated=True)
    except (HDMFZarrError, OSError):
        return None
