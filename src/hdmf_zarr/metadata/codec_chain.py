"""What encodes and decodes the chunks of an array in place, by its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.shards import ShardCodec
from hdmf_zarr.metadata.node import array_node


def direct_chain(document: Mapping[str, Any]) -> DirectChain | None:
    """Return the codecs of the stored chunks of an array, or None where these are left to zarr.

    Parameters
    ----------
    document : mapping
        The ``zarr.json`` of an array, parsed.
    """
    node = array_node(document)
    if len(node.stored_chunk) != len(node.shape):
        return None  # what makes no sense is zarr's to refuse
    return DirectChain.for_codecs(node.data_type, node.stored_chunk, node.codecs)


def shard_codec(document: Mapping[str, Any]) -> ShardCodec | None:
    """Return the shards of an array, or None where it has none, or such that are left to zarr.

    Parameters
    ----------
    document : mapping
        The ``zarr.json`` of an array, parsed.
    """
    node = array_node(document)
    if not node.is_sharded:
        return None
    return ShardCodec.for_codecs(node.data_type, node.stored_chunk, node.codecs)
