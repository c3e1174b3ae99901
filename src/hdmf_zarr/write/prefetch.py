"""Prefetches small encoded chunks of a remote store, in batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.core.elements import TEXT_BYTES
from hdmf_zarr.core.limits import most_encoded_bytes
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.contained import FILTER_GROWTH
from hdmf_zarr.write.chunks.sources import ChunkCopySource
from hdmf_zarr.write.planning.plan import ArrayPlan, Plan

KEYS_AHEAD = 64
"""Number of chunks read in one batch."""

SMALL_BYTES = 2**18
"""Most decoded bytes of a chunk that is prefetched, which bounds the memory."""


class ReadAhead:
    """Gets the chunks that a plan copies; prefetches small ones from remote stores in batches.

    Parameters
    ----------
    nodes : iterable of plans
        Plans, in the order in which they are carried out.
    """

    def __init__(self, nodes: Iterable[Plan]) -> None:
        self._coming: deque[tuple[ByteStore, str, int]] = deque(
            (node.source.array.hierarchy.bytestore, key, most)
            for node in nodes
            if isinstance(node, ArrayPlan) and isinstance(node.source, ChunkCopySource)
            for key, most in _small_chunk(node.source)
        )
        self._held: dict[str, bytes | None] = {}

    def get_many(self, origin: Hierarchy, path: str, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the encoded chunks of the array at a path, for the keys that exist."""
        keys = list(keys)
        if len(keys) == 1 and self._coming:
            bytestore, key, _ = self._coming[0]
            if bytestore is origin.bytestore and key == keys[0]:
                self._fetch(bytestore)
        if len(keys) == 1 and keys[0] in self._held:
            value = self._held.pop(keys[0])
            return {} if value is None else {keys[0]: value}
        return zarr_view.encoded_chunks(origin, path, keys)

    def _fetch(self, bytestore: ByteStore) -> None:
        most: dict[str, int] = {}
        while self._coming and len(most) < KEYS_AHEAD and self._coming[0][0] is bytestore:
            _, key, most_bytes = self._coming.popleft()
            most[key] = most_bytes
        found = bytestore.get_many(most, most)
        self._held = {key: found.get(key) for key in most}


def _small_chunk(source: ChunkCopySource) -> list[tuple[str, int]]:
    """Return key and most bytes of a small one-chunk array's chunk in a remote store."""
    array = source.array
    if isinstance(array.hierarchy.bytestore, LocalByteStore):
        return []
    node = array_node(array.hierarchy.documents[array.node_path])
    unit = node.stored_chunk
    is_one = all(0 < size <= step for size, step in zip(array.shape, unit, strict=True))
    itemsize = TEXT_BYTES if array.dtype.hasobject else array.dtype.itemsize
    if not is_one or math.prod(unit) * itemsize > SMALL_BYTES:
        return []
    at = (0,) * len(array.shape)
    most = most_encoded_bytes(None if array.dtype.hasobject else SMALL_BYTES * FILTER_GROWTH)
    return [(f"{array.node_path}/{node.key(at)}", most)]
