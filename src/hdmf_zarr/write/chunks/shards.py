"""The bytes of a shard: encoded chunks, one after the other, and at the end where each of them is.

As Zarr's ``sharding_indexed`` codec specifies it, with the index at the end and a checksum of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdmf_zarr.codecs.shards import MISSING, crc32c
from hdmf_zarr.metadata.node import array_node, sharding_of, with_codecs, with_stored_chunk

_INDEX_CODECS = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]


class ShardIndex:
    """Where the chunks of a shard are.

    Parameters
    ----------
    n_chunks : int
        Of a whole shard, those that are missing included.
    """

    def __init__(self, n_chunks: int) -> None:
        self._entries = np.full((n_chunks, 2), MISSING, dtype="<u8")
        self.end = 0
        """Bytes of the chunks so far."""

    def add(self, place: int, n_bytes: int) -> None:
        """Note a chunk that was put behind the others.

        Parameters
        ----------
        place : int
            Of the chunk in the shard, in C order.
        n_bytes : int
        """
        self._entries[place] = self.end, n_bytes
        self.end += n_bytes

    def encoded(self) -> bytes:
        """Return what stands at the end of the shard."""
        entries = self._entries.tobytes()
        return entries + crc32c(entries)


def inner_document(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the document of an array whose chunks are those inside of the shards of another one.

    Parameters
    ----------
    document : mapping
        The ``zarr.json`` of an array.

    Returns
    -------
    dict or None
        None where there are no shards, or no such as this module makes.
    """
    node = array_node(document)
    sharding = sharding_of(node.codecs)
    if sharding is None:
        return None
    index_codecs = [
        {name: value for name, value in codec.items() if value}
        for codec in sharding.get("index_codecs", ())
    ]
    is_at_end = sharding.get("index_location", "end") == "end"
    if len(node.codecs) > 1 or index_codecs != _INDEX_CODECS or not is_at_end:
        return None
    return with_stored_chunk(with_codecs(dict(document), node.chunk_codecs), node.chunk)
