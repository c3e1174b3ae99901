"""Decodes a part of a Blosc chunk without the rest.

Blosc splits data into blocks and compresses each block separately. The needed blocks, with a header and block
starts of their own, form a smaller chunk, which Blosc decodes as any other. The format is that of Blosc 1,
https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_VERSION = 2
"""Version of the format, in the first byte; Blosc 2 writes higher ones."""

_COPIED = 0x2
"""Flag of an uncompressed chunk, which has no blocks."""

_MOST_OF_CHUNK = 0.75
"""Fraction of a chunk's blocks above which the whole chunk is decoded."""


class _Header(NamedTuple):
    """The first 16 bytes of a chunk, in order."""

    version: int
    codec_version: int
    flags: int
    itemsize: int
    n_bytes: int
    block_bytes: int
    encoded_bytes: int


_HEADER = struct.Struct("<BBBBIII")


@dataclass(frozen=True, slots=True)
class BloscPart:
    """A chunk made of some blocks of another one.

    Attributes
    ----------
    encoded : bytes
    start, stop : int
        Range of these blocks in the decoded bytes of the whole chunk.
    """

    encoded: bytes
    start: int
    stop: int


def part_of_blosc(encoded: bytes | memoryview, start: int, stop: int) -> BloscPart | None:
    """Return the blocks of a chunk that hold a range of its decoded bytes.

    Parameters
    ----------
    encoded : bytes-like
        The whole chunk, already checked for truncation.
    start, stop : int
        Range of decoded bytes that are needed, ``start < stop``.

    Returns
    -------
    BloscPart or None
        None if the whole chunk must be decoded: most of it is needed, it has one block, or its header
        is unknown.
    """
    view = memoryview(encoded)
    header = _Header(*_HEADER.unpack_from(view))
    if header.version != _VERSION or header.flags & _COPIED or not header.block_bytes:
        return None
    n_blocks = -(-header.n_bytes // header.block_bytes)
    first, end = start // header.block_bytes, -(-stop // header.block_bytes)
    if end == n_blocks and first == n_blocks - 1 and header.n_bytes % header.block_bytes:
        # Blosc refuses a chunk that is shorter than a block.
        first -= 1
    if first < 0 or end > n_blocks or end - first > _MOST_OF_CHUNK * n_blocks:
        return None
    starts_end = _HEADER.size + 4 * n_blocks
    if starts_end > header.encoded_bytes:
        return None
    starts = np.frombuffer(view, dtype="<u4", count=n_blocks, offset=_HEADER.size)
    # Compressing threads write their blocks in the order in which they finish.
    borders = np.append(np.sort(starts), header.encoded_bytes)
    if borders[0] < starts_end or borders[-2] >= header.encoded_bytes:
        return None
    wanted = starts[first:end]
    ends = borders[np.searchsorted(borders, wanted, side="right")]
    blocks = [view[at:to] for at, to in zip(wanted.tolist(), ends.tolist(), strict=True)]
    sizes = np.array([len(block) for block in blocks])
    new_starts = _HEADER.size + 4 * len(blocks) + np.append(0, np.cumsum(sizes)[:-1])
    bytes_start = first * header.block_bytes
    bytes_stop = min(end * header.block_bytes, header.n_bytes)
    part = header._replace(
        n_bytes=bytes_stop - bytes_start,
        encoded_bytes=_HEADER.size + 4 * len(blocks) + int(sizes.sum()),
    )
    made = b"".join((_HEADER.pack(*part), new_starts.astype("<u4").tobytes(), *blocks))
    return BloscPart(made, bytes_start, bytes_stop)
