"""Store objects that hand everything on to another one, as zarr-python has them."""

from __future__ import annotations

from zarr.abc.store import Store

from hdmf_zarr.core.zarr_private import mapping_of, wrapped_store

__all__ = ["innermost_store", "mapping_of", "wrapped_store"]


def innermost_store(store: Store) -> Store:
    """Return the store that all wrappers around it lead to."""
    while (inner := wrapped_store(store)) is not None:
        store = inner
    return store
