"""The codecs of an array that are applied in place, by what its document says."""

from __future__ import annotations

from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.shards import ShardCodec
from hdmf_zarr.metadata.node import ArrayNode


def direct_chain(node: ArrayNode) -> DirectChain | None:
    """Return the codecs of the stored chunks of an array; None if zarr has to apply them."""
    if len(node.stored_chunk) != len(node.shape):
        return None  # zarr raises the error for invalid metadata
    return DirectChain.for_codecs(node.data_type, node.stored_chunk, node.codecs)


def shard_codec(node: ArrayNode) -> ShardCodec | None:
    """Return the codec of an array's shards; None if it has none, or if zarr has to decode them."""
    if not node.is_sharded:
        return None
    return ShardCodec.for_codecs(node.data_type, node.stored_chunk, node.codecs)
