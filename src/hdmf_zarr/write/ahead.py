"""Encoded chunks of small arrays of a remote store, read together before it is their turn."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from hdmf_zarr.stores import ByteStore, Hierarchy, LocalByteStore
from hdmf_zarr.stores.chunk_keys import chunk_key
from hdmf_zarr.write.plan import ArrayPlan, Plan
from hdmf_zarr.write.sources import ChunkCopySource

KEYS_AHEAD = 64
"""Chunks that are read at the same time."""

SMALL_BYTES = 2**18
"""Decoded bytes of a chunk that is read ahead, so that what is held has a bound."""


class ReadAhead:
    """Gets chunks that a plan copies, of stores that are far away many at a time.

    Parameters
    ----------
    nodes : iterable of plans
        In the order in which they are carried out.
    """

    def __init__(self, nodes: Iterable[Plan]) -> None:
        self._coming: deque[tuple[ByteStore, str]] = deque(
            (node.source.array.hierarchy.bytestore, key)
            for node in nodes
            if isinstance(node, ArrayPlan) and isinstance(node.source, ChunkCopySource)
            for key in _small_chunk(node.source)
        )
        self._held: dict[str, bytes | None] = {}

    def get_many(self, origin: Hierarchy, path: str, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of the keys that exist, of chunks of the array at a path."""
        keys = list(keys)
        if len(keys) == 1 and self._coming:
            bytestore, key = self._coming[0]
            if bytestore is origin.bytestore and key == keys[0]:
                self._fetch(bytestore)
        if len(keys) == 1 and keys[0] in self._held:
            value = self._held.pop(keys[0])
            return {} if value is None else {keys[0]: value}
        return origin.encoded_chunks(path, keys)

    def _fetch(self, bytestore: ByteStore) -> None:
        wanted: list[str] = []
        while self._coming and len(wanted) < KEYS_AHEAD and self._coming[0][0] is bytestore:
            wanted.append(self._coming.popleft()[1])
        found = bytestore.get_many(wanted)
        self._held = {key: found.get(key) for key in wanted}


def _small_chunk(source: ChunkCopySource) -> list[str]:
    """The key of the only chunk of an array of a store that is no folder; none of another array."""
    array = source.array
    if isinstance(array.hierarchy.bytestore, LocalByteStore):
        return []
    document = array.hierarchy.documents[array.node_path]
    unit = document["chunk_grid"]["configuration"]["chunk_shape"]
    is_one = all(0 < size <= step for size, step in zip(array.shape, unit, strict=True))
    itemsize = 64 if array.dtype.hasobject else array.dtype.itemsize
    if not is_one or math.prod(unit) * itemsize > SMALL_BYTES:
        return []
    at = (0,) * len(array.shape)
    return [f"{array.node_path}/{chunk_key(document['chunk_key_encoding'], at)}"]
