"""Zarr stores that wrap another store."""

from __future__ import annotations

from zarr.abc.store import Store

from hdmf_zarr.core.zarr_private import mapping_of, wrapped_store

__all__ = ["innermost_store", "mapping_of", "read_only_view", "wrapped_store"]


def innermost_store(store: Store) -> Store:
    """Return the store inside all wrappers."""
    while (inner := wrapped_store(store)) is not None:
        store = inner
    return store


def read_only_view(store: Store) -> Store:
    """Return a read-only view of a store; the store itself if its class cannot make one.

    Subclasses of zarr's stores with another constructor raise `TypeError`.
    """
    try:
        return store if store.read_only else store.with_read_only(read_only=True)
    except (NotImplementedError, TypeError):
        return store
