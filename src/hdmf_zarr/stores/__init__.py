"""Where stores are, how their keys are reached, and what their metadata say."""

from __future__ import annotations

from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, open_bytestore
from hdmf_zarr.stores.documents import encode_document, group_document
from hdmf_zarr.stores.hierarchy import Hierarchy
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
from hdmf_zarr.stores.names import DOCUMENT

__all__ = [
    "DOCUMENT",
    "SUPPORTED_ZARR_STORES",
    "ByteStore",
    "Hierarchy",
    "LocalByteStore",
    "Location",
    "encode_document",
    "group_document",
    "is_url",
    "locate",
    "normalized_path",
    "open_bytestore",
    "options_of_each",
    "relative_source",
    "resolve_source",
]
