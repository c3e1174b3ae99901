"""The bytes of a shard: encoded chunks, and the index of their positions at the end.

The form is that of Zarr's ``sharding_indexed`` codec, with the index at the end, followed by its
checksum.
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
    """The positions of the chunks in a shard.

    Parameters
    ----------
    n_chunks : int
        Number of chunks of a whole shard, including missing ones.
    """

    def __init__(self, n_chunks: int) -> None:
        self._entries = np.full((n_chunks, 2), MISSING, dtype="<u8")
        self.end = 0
        """Bytes of the chunks added so far."""

    def add(self, place: int, n_bytes: int) -> None:
        """Record a chunk that was appended to the others.

        Parameters
        ----------
        place : int
            Number of the chunk in the shard, in C order.
        n_bytes : int
        """
        self._entries[place] = self.end, n_bytes
        self.end += n_bytes

    def encoded(self) -> bytes:
        """Return the bytes at the end of the shard."""
        entries = self._entries.tobytes()
        return entries + crc32c(entries)


def inner_document(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the document of an array whose chunks are the inner chunks of another array's shards.

    Parameters
    ----------
    document : mapping
        The ``zarr.json`` of an array.

    Returns
    -------
    dict or None
        None if there are no shards, or shards of another form than this module makes.
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
