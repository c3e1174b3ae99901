"""The paths of the namespaces that a file caches."""

from __future__ import annotations

from typing import Any

import zarr
from hdmf.backends.io import HDMFIO

from hdmf_zarr.errors import OptionError, StoreNotFoundError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.new_store import store_exists
from hdmf_zarr.session.session import session_of
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


def nodes_with_namespaces(
    path: Any,
    file: zarr.Group | None,
    storage_options: dict[str, Any] | None,
    io: HDMFIO | None = None,
) -> Hierarchy:
    """Return the nodes of the file whose namespaces are requested.

    Parameters
    ----------
    path : str, Path, Store or None
    file : zarr.Group or None
        Open root group, instead of a path.
    storage_options : dict or None
    io : HDMFIO, optional
        Open IO, instead of path and file.

    Raises
    ------
    OptionError
        If none of them is given.
    StoreNotFoundError
        If there is nothing at the path.
    """
    session = session_of(io)
    if session is not None and session.hierarchy is not None:
        return session.hierarchy
    if file is not None:
        path = file.store
    if path is None:
        raise OptionError("give the path, or an open file, whose namespaces are wanted")
    location = locate(path, storage_options)
    if location.is_local and not store_exists(location):
        raise StoreNotFoundError(f"{location.uri} does not exist; check the path")
    return Hierarchy.load(open_bytestore(location, read_only=True), consolidated=True)
