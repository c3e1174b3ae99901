"""Where stores are, and how their keys are reached."""

from __future__ import annotations

from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, open_bytestore
from hdmf_zarr.stores.keys import DOCUMENT
from hdmf_zarr.stores.location import (
    SUPPORTED_ZARR_STORES,
    Location,
    is_url,
    locate,
    normalized_path,
    options_of_each,
    relative_source,
    resolve_source,
)

__all__ = [
    "DOCUMENT",
    "SUPPORTED_ZARR_STORES",
    "ByteStore",
    "LocalByteStore",
    "Location",
    "is_url",
    "locate",
    "normalized_path",
    "open_bytestore",
    "options_of_each",
    "relative_source",
    "resolve_source",
]
