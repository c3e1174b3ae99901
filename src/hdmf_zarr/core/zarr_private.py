"""Every private name of zarr-python that this package needs.

Checked with zarr 3.1.3, 3.1.6 and 3.4.2; ``tests/unit/test_compat.py`` fails when one of them moves.

* ``zarr.core.sync.sync``: runs a coroutine on zarr's own event loop, to which the sessions of remote
  stores belong; there is no public way to use a store's coroutines from synchronous code.
* ``zarr.core.buffer.default_buffer_prototype``: an argument that every ``Store.get`` requires.
* ``Store._is_open`` and ``Store._ensure_open``: no operation opens a `zarr.storage.ZipStore`, and there is
  no public way to open a store that exists.
* ``WrapperStore._store`` and ``MemoryStore._store_dict``: the target of a store object. Two objects with the
  same target are one store, which neither class reveals.
* ``zarr.core.codec_pipeline.FusedCodecPipeline`` (3.4), ``zarr.core.array_spec.ArraySpec``,
  ``ArrayConfig``: they set the codec pipeline of one array. Otherwise the pipeline comes from the
  configuration of the process, which belongs to the user. ``AsyncArray.codec_pipeline`` holds the pipeline.
* ``zarr.core.metadata.v3.ArrayV3Metadata``: makes and checks the document of an array without a
  round trip to the store.
* ``zarr.core.metadata.v2.ArrayV2Metadata``: checks, also without a round trip, that zarr-python can parse a
  ``.zarray``.
* ``_encode_sync``, ``_decode_sync``, ``_encode_single`` and ``_decode_single`` of codecs: the methods that
  the abstract classes of `zarr.abc.codec` require; in versions with the first two (3.1.6), the others call
  them.

Subclasses of zarr-python's classes define or read the following names directly; no function here wraps them:
``Array._async_array`` (`hdmf_zarr.arrays.readable`), ``Group._async_group`` (`hdmf_zarr.arrays.live_group`),
``WrapperStore._store`` and ``WrapperStore._with_store`` (`hdmf_zarr.arrays.live_store`,
`hdmf_zarr.chunks.missing`, `hdmf_zarr.stores.bounded`), and the methods of codecs (`hdmf_zarr.codecs`).
"""

from __future__ import annotations

from typing import Any

import zarr.core.codec_pipeline
from zarr.abc.store import Store
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.metadata.v2 import ArrayV2Metadata
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.core.sync import sync
from zarr.storage import MemoryStore, WrapperStore

__all__ = [
    "DECODE_SINGLE",
    "DECODE_SYNC",
    "ENCODE_SINGLE",
    "ENCODE_SYNC",
    "ArrayConfig",
    "ArraySpec",
    "ArrayV2Metadata",
    "ArrayV3Metadata",
    "Buffer",
    "default_buffer_prototype",
    "fused_pipeline_class",
    "is_open",
    "mapping_of",
    "open_store",
    "sync",
    "wrapped_store",
]

ENCODE_SYNC, DECODE_SYNC = "_encode_sync", "_decode_sync"
"""Names of the methods of a codec that work on one chunk; a codec may lack them."""

ENCODE_SINGLE, DECODE_SINGLE = "_encode_single", "_decode_single"
"""Names of the same methods as coroutines."""


def is_open(store: Store) -> bool:
    """Whether a store object is open."""
    return store._is_open


def open_store(store: Store) -> Any:
    """Return the coroutine that opens a store object."""
    return store._ensure_open()


def wrapped_store(store: Store) -> Store | None:
    """Return the store that a wrapper wraps; None for a store that is no wrapper."""
    return store._store if isinstance(store, WrapperStore) else None


def mapping_of(store: MemoryStore) -> object:
    """Return the mapping that holds the objects of a store in memory."""
    return store._store_dict


def fused_pipeline_class() -> Any:
    """Return the pipeline of zarr-python 3.4 that decodes chunks without its event loop, or None."""
    return getattr(zarr.core.codec_pipeline, "FusedCodecPipeline", None)
