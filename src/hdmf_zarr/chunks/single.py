"""One chunk or one element, encoded and decoded by zarr-python outside of its array."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import zarr
from zarr.errors import UnstableSpecificationWarning
from zarr.storage import MemoryStore, StorePath

from hdmf_zarr.codecs.contiguous import in_c_order
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.metadata.array_document import readable_document, without_specification_warnings
from hdmf_zarr.metadata.node import array_node, one_chunk
from hdmf_zarr.stores.event_loop import prototype, run


def encode_scalar(document: dict[str, Any], value: np.ndarray[Any, Any]) -> bytes:
    """Return the chunk of an array without dimensions whose element varies in length.

    zarr-python converts the element to numpy text or bytes, which drops NULs at its end, or fails; it
    encodes a row of one element correctly.
    """
    node = array_node(document)
    chain = DirectChain.for_codecs(node.data_type, (1,), node.codecs)
    if chain is not None:  # fast, since a file caches dozens of specifications
        return bytes(chain.encode(value.reshape(1)))
    store = MemoryStore()
    array = zarr.AsyncArray(
        _as_one_row(document), StorePath(store, ""), config={"write_empty_chunks": True}
    )
    run(array.setitem(slice(None), value.reshape(1)))
    chunk = run(store.get("0", prototype=prototype()))
    assert chunk is not None
    return chunk.to_bytes()


def encode_chunk(document: dict[str, Any], values: np.ndarray[Any, Any]) -> bytes:
    """Return one whole chunk, encoded by the codecs of an array (of chunks in its shards)."""
    codecs = [in_c_order(codec) or codec for codec in array_node(document).chunk_codecs]
    single: Any = one_chunk(readable_document(document), values.shape, codecs)
    store = MemoryStore()
    with without_specification_warnings():
        array: Any = zarr.AsyncArray(
            single,
            StorePath(store, ""),
            config={"write_empty_chunks": True},
        )
        run(array.setitem(..., values))
    chunk = run(store.get(".".join("0" * values.ndim), prototype=prototype()))
    assert chunk is not None
    return chunk.to_bytes()


async def read_scalar(array: zarr.AsyncArray[Any]) -> Any:
    """Return the element of an array without dimensions; see `encode_scalar`."""
    metadata: Any = array.metadata
    if metadata.shape or metadata.dtype.to_native_dtype().kind not in "OT":
        return await array.getitem(...)
    chunk = await (array.store_path / metadata.encode_chunk_key(())).get(prototype=prototype())
    store = MemoryStore({} if chunk is None else {"0": chunk})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        document = metadata.to_dict()
    row = zarr.AsyncArray(_as_one_row(document), StorePath(store, ""))
    return np.asarray(await row.getitem(slice(None))).astype(object).reshape(())


def _as_one_row(document: dict[str, Any]) -> Any:
    return one_chunk(readable_document(document), (1,), array_node(document).codecs)
