"""The objects that users make: data with their layout, references, the queue of a writer."""

from __future__ import annotations

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.convention import ZarrReference
from hdmf_zarr.read.specifications import ZarrSpecReader
from hdmf_zarr.stores.location import get_store_path
from hdmf_zarr.write.planning.dataio import ZarrDataIO
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.specifications import ZarrSpecWriter

__all__ = [
    "HDMFZarrArray",
    "ZarrDataIO",
    "ZarrIODataChunkIteratorQueue",
    "ZarrReference",
    "ZarrSpecReader",
    "ZarrSpecWriter",
    "get_store_path",
]
