"""Zarr stores that wrap another store."""

from __future__ import annotations

from zarr.abc.store import Store

from hdmf_zarr.core.zarr_private import mapping_of, wrapped_store

__all__ = ["innermost_store", "mapping_of", "read_only_view", "wrapped_store"]


def innermost_store(store: Store) -> Store:
    """Return the store that all wrappers around it lead to."""
    while (inner := wrapped_store(store)) is not None:
        store = inner
    return store


def read_only_view(store: Store) -> Store:
    """Return a store for reading; as it is where its class makes no copies of its stores.

    A class that is derived from one of zarr's and has a constructor of its own raises `TypeError`.
    """
    try:
        return store if store.read_only else store.with_read_only(read_only=True)
    except (NotImplementedError, TypeError):
        return store
