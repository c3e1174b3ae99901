"""A table that describes a dataset, for notebooks."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import zarr
from hdmf.utils import generate_array_html_repr, get_basic_array_info

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.read.lazy import ZarrDataset

logger = logging.getLogger(__name__)

SHOWN_BYTES = 1024
"""Arrays of fewer bytes are shown with their values."""


def dataset_html(dataset: Any) -> str:
    """Return a table that describes a dataset: a lazy one or any other array."""
    array = dataset.dataset if isinstance(dataset, ZarrDataset) else dataset
    if not isinstance(array, zarr.Array):
        info = get_basic_array_info(array)
        return str(generate_array_html_repr(info, array, type(array).__name__))
    info = {
        "Data type": array.dtype,
        "Shape": array.shape,
        "Array size": f"{array.nbytes / 1024**2:.2f} MiB",
        "Chunk shape": array.chunks,
    }
    if isinstance(array, HDMFZarrArray):
        info |= {"Shard shape": array.shards, "Compressor": array.compressor}
        info |= _stored_sizes(array)
    is_shown = array.nbytes < SHOWN_BYTES
    preview = np.asarray(array[...]) if is_shown else np.empty(SHOWN_BYTES)
    return str(generate_array_html_repr(info, preview, "Zarr array"))


def _stored_sizes(array: HDMFZarrArray) -> dict[str, Any]:
    """Return the size of an array in its store; empty if the store cannot list its objects."""
    try:
        sizes = array.hierarchy.bytestore.sizes(array.node_path)
    except (OSError, NotImplementedError) as error:
        logger.debug("%s cannot be listed: %s", array.hierarchy.uri, error)
        return {}
    if not sizes:  # not even its own document is listed, for example by a web server
        return {}
    stored = sum(sizes.values())
    ratio = f"{array.nbytes / stored:.2f}" if stored else "undefined"
    return {"Stored bytes": stored, "Stored objects": len(sizes), "Compression ratio": ratio}
