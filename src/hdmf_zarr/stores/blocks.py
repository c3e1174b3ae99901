"""Large selections of numbers: chunks decoded by several threads, straight into what is handed out.

Each chunk through zarr costs new memory for its bytes and its elements, which takes as long as decoding
them. What is not a block of whole numbers on this machine's disk, or has codecs that are not known here,
is left to zarr, and so is everything where the user has chosen a codec pipeline.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.dtypes import is_number
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.stores import compat
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.chunk_keys import chunk_key, is_known_form
from hdmf_zarr.stores.presence import tell_missing

MOST_THREADS = 8

LARGEST_CHUNK = 256 * 2**20
"""Bytes of a decoded chunk; each thread holds one."""

_scratch = threading.local()


@dataclass(frozen=True, kw_only=True)
class BlockReader:
    """Reads blocks of one array.

    Attributes
    ----------
    bytestore : LocalByteStore
    path : str
    document : mapping
    chain : DirectChain
    """

    bytestore: LocalByteStore
    path: str
    document: Mapping[str, Any]
    chain: DirectChain

    @classmethod
    def of(cls, bytestore: ByteStore, path: str, document: Mapping[str, Any]) -> BlockReader | None:
        """Return the reader of an array, or None for one that is left to zarr."""
        if not isinstance(bytestore, LocalByteStore) or not compat.has_default_pipeline():
            return None
        if not is_known_form(document.get("chunk_key_encoding")) or 0 in document["shape"]:
            return None
        chain = DirectChain.for_document(document)
        if chain is None or chain.nbytes is None or chain.nbytes > LARGEST_CHUNK:
            return None
        if chain.dtype is None or not is_number(chain.dtype) or not chain.shape:
            return None
        if len(chain.shape) != len(document["shape"]):
            return None
        return cls(bytestore=bytestore, path=path, document=document, chain=chain)

    def read(self, index: tuple[Any, ...]) -> npt.NDArray[Any] | None:
        """Return what an index of numbers and slices selects; None for another one.

        Parameters
        ----------
        index : tuple
            As `hdmf_zarr.stores.selections.memory_index` gives it.

        Raises
        ------
        ChunkError
            If a chunk is damaged.
        """
        spans = _spans(index, self.document["shape"])
        if spans is None:
            return None
        assert self.chain.dtype is not None
        out = np.empty([stop - start for start, stop in spans], dtype=self.chain.dtype)
        grid = [
            range(start // step, -(-stop // step))
            for (start, stop), step in zip(spans, self.chain.shape, strict=True)
        ]
        places = itertools.product(*grid)
        n_threads = min(compat.most_threads(MOST_THREADS), math.prod(map(len, grid)))
        if n_threads > 1:
            with ThreadPoolExecutor(n_threads, thread_name_prefix="hdmf-zarr-read") as pool:
                for done in [pool.submit(self._bring, at, spans, out) for at in places]:
                    done.result()
        else:
            for at in places:
                self._bring(at, spans, out)
        return out[tuple(0 if isinstance(entry, int) else slice(None) for entry in index)]

    def _bring(
        self, at: tuple[int, ...], spans: Sequence[tuple[int, int]], out: npt.NDArray[Any]
    ) -> None:
        """Decode one chunk into its place."""
        into, part = [], []
        for place, step, (start, stop) in zip(at, self.chain.shape, spans, strict=True):
            first, end = max(place * step, start), min((place + 1) * step, stop)
            into.append(slice(first - start, end - start))
            part.append(slice(first - place * step, end - place * step))
        target = out[tuple(into)]
        key = f"{self.path}/{chunk_key(self.document['chunk_key_encoding'], at)}"
        encoded = self.bytestore.get_into(key, _room)
        if encoded is None:
            tell_missing(self.document, f"{self.bytestore.location.uri}:/{key}")
            target[...] = self._fill_value
            return
        is_whole = target.shape == self.chain.shape and target.flags.c_contiguous
        chunk = target if is_whole else scratch(self.chain)
        try:
            self.chain.decode_into(encoded, chunk, None if is_whole else part[0])
        except ChunkError as error:
            raise ChunkError(f"{self.bytestore.location.uri}:/{key}: {error}") from error
        if not is_whole:
            target[...] = chunk[tuple(part)]

    @property
    def _fill_value(self) -> Any:
        return compat.fill_value(dict(self.document))


def _room(size: int) -> memoryview:
    """Return memory for encoded bytes, of this thread, until the next call in it."""
    held = getattr(_scratch, "encoded", None)
    if held is None or len(held) < size:
        held = _scratch.encoded = memoryview(bytearray(size))
    return memoryview(held)[:size]


def scratch(chain: DirectChain) -> npt.NDArray[Any]:
    """Return memory for one decoded chunk, of this thread, until the next call in it."""
    held = getattr(_scratch, "chunk", None)
    if held is None or held.shape != chain.shape or held.dtype != chain.dtype:
        held = _scratch.chunk = np.empty(chain.shape, dtype=chain.dtype)
    return held


def _spans(index: tuple[Any, ...], shape: Sequence[int]) -> list[tuple[int, int]] | None:
    """First and end along each dimension; None for what is no block, or empty."""
    spans = []
    for position, size in enumerate(shape):
        entry = index[position] if position < len(index) else slice(None)
        if isinstance(entry, slice):
            start, stop, step = entry.indices(size)
        elif isinstance(entry, int):
            start, stop, step = entry % size, entry % size + 1, 1
        else:
            return None
        if step != 1 or start >= stop:
            return None
        spans.append((start, stop))
    return spans
