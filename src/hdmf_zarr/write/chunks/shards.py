"""The bytes of a shard: encoded chunks, one after the other, and at the end where each of them is.

As Zarr's ``sharding_indexed`` codec specifies it, with the index at the end and a checksum of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdmf_zarr.codecs.shards import MISSING, crc32c
from hdmf_zarr.codecs.shards import inner_document as inner_document_of

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
    sharding, *others = document["codecs"]
    configuration = sharding.get("configuration") or {}
    index_codecs = [
        {name: value for name, value in codec.items() if value}
        for codec in configuration.get("index_codecs", ())
    ]
    if (
        sharding["name"] != "sharding_indexed"
        or others
        or index_codecs != _INDEX_CODECS
        or configuration.get("index_location", "end") != "end"
    ):
        return None
    return inner_document_of(document, configuration)
