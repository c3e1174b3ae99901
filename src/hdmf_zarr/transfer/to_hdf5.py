"""Zarr -> HDF5: encoded chunks move unchanged where HDF5 has the same filters.

The filters of the new dataset are converted to codecs as in an export from HDF5
(`hdmf_zarr.hdf5.raw`); if these are the codecs of the array, a chunk has the same bytes in both.
Each chunk is decoded once as a check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.core.progress import Progress
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.hdf5.raw import can_copy_raw, filter_chain
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.write.chunks.zarr_chunks import ZarrChunks


def move_chunks(array: HDMFZarrArray, dataset: Any, progress: Progress) -> bool:
    """Fill a new HDF5 dataset with the encoded chunks of an array; missing chunks stay missing.

    Parameters
    ----------
    array : HDMFZarrArray
    dataset : h5py.Dataset
        Empty dataset of the same shape.
    progress : callable
        Called with the bytes of elements just written.

    Returns
    -------
    bool
        False if the chunks have other bytes in HDF5; then nothing is written.

    Raises
    ------
    ChunkError
        If a chunk does not decode.
    MetadataError
        If the array was replaced meanwhile.
    """
    document = array.hierarchy.documents[array.node_path]
    chain = direct_chain(array_node(document))
    if chain is None or chain.nbytes is None or not _has_same_bytes(array, document, dataset):
        return False
    chunks = ZarrChunks(array)
    table = chunks.table()
    for index, encoded in enumerate(chunks.read_many(table, range(len(table)))):
        start = tuple((table.coordinates[index] * np.array(chunks.chunks)).tolist())
        if encoded is not None:
            _check(chain, encoded, f"{chunks.where}: the chunk at {start}")
            dataset.id.write_direct_chunk(start, encoded)
        ends = np.minimum(np.array(start) + chunks.chunks, chunks.shape)
        progress(int(np.prod(ends - start)) * array.element_type.memory_dtype.itemsize)
    array.hierarchy.check_unchanged(array.node_path)
    return True


def _check(chain: DirectChain, encoded: bytes, where: str) -> None:
    try:
        chain.decode(encoded)
    except ChunkError as error:
        raise ChunkError(f"{where} does not decode: {error}") from error


def _has_same_bytes(array: HDMFZarrArray, document: Mapping[str, Any], dataset: Any) -> bool:
    node = array_node(document)
    if node.is_native or array.shards is not None or dataset.chunks != array.chunks:
        return False
    if array.element_type.numpy != dataset.dtype or can_copy_raw(dataset) is not None:
        return False
    serializer, *codecs = node.codecs
    if serializer["name"] != "bytes" or not _has_order(serializer, dataset.dtype):
        return False
    itemsize = dataset.dtype.itemsize
    expected = [_named(codec, itemsize) for codec in filter_chain(dataset).codecs]
    return [_named(codec, itemsize) for codec in codecs] == expected


def _has_order(serializer: Mapping[str, Any], dtype: np.dtype[Any]) -> bool:
    endian = (serializer.get("configuration") or {}).get("endian")
    return dtype.itemsize == 1 or endian == {"<": "little", ">": "big"}[dtype.str[0]]


def _named(codec: Any, itemsize: int) -> Any:
    return to_zarr_codec(codec, itemsize).to_dict()
