"""Runs coroutines of stores on the event loop of zarr-python."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from zarr.abc.store import Store

from hdmf_zarr.core.zarr_private import Buffer, default_buffer_prototype, is_open, open_store, sync

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on zarr's event loop and return its result."""
    return sync(coroutine)


def ensure_open(store: Store) -> None:
    """Open a store object that the user has created without opening it."""
    if not is_open(store):
        run(open_store(store))


def to_buffer(value: bytes) -> Buffer:
    """Wrap bytes for ``Store.set``."""
    return default_buffer_prototype().buffer.from_bytes(value)


def prototype() -> Any:
    """Return the buffer prototype for ``Store.get``."""
    return default_buffer_prototype()
