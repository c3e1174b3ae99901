"""Which parts of a Blosc chunk are cut out, and which chunks are left whole."""

from __future__ import annotations

import struct
from typing import Any

import numcodecs
import numpy as np
import pytest

from hdmf_zarr.codecs.blosc_blocks import part_of_blosc

BLOCK = 1024
VALUES = (np.arange(4000) // 7).astype("<i2")
WHOLE = VALUES.tobytes()  # eight blocks, the last one shorter
ENCODED = bytes(numcodecs.Blosc("zstd", 5, 1, blocksize=BLOCK).encode(VALUES))


def changed(offset: int, form: str, value: int) -> bytes:
    damaged = bytearray(ENCODED)
    struct.pack_into(form, damaged, offset, value)
    return bytes(damaged)


def decoded(part: Any) -> bytes:
    return bytes(numcodecs.Blosc().decode(part.encoded))


@pytest.mark.parametrize(
    ("start", "stop", "first", "end"),
    [
        (0, 1, 0, 1024),
        (0, 1024, 0, 1024),
        (0, 1025, 0, 2048),
        (1023, 1025, 0, 2048),
        (1024, 2048, 1024, 2048),
        (3000, 3001, 2048, 3072),
        (6000, 8000, 5120, 8000),
        (7999, 8000, 6144, 8000),  # a block more, since Blosc refuses a short one
        (0, 6144, 0, 6144),
    ],
)
def test_a_part_is_of_whole_blocks(start: int, stop: int, first: int, end: int) -> None:
    part = part_of_blosc(ENCODED, start, stop)
    assert part is not None
    assert (part.start, part.stop) == (first, end)
    assert decoded(part) == WHOLE[first:end]


def test_a_view_of_a_chunk_is_as_good() -> None:
    assert part_of_blosc(memoryview(ENCODED), 0, 5) == part_of_blosc(ENCODED, 0, 5)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 8000), (0, 6145), (1024, 8000), (0, 9000), (9000, 9001)]
)
def test_most_of_a_chunk_or_more_is_decoded_whole(start: int, stop: int) -> None:
    assert part_of_blosc(ENCODED, start, stop) is None


def test_a_chunk_of_one_block_is_decoded_whole() -> None:
    encoded = bytes(numcodecs.Blosc("lz4", 5, 1).encode(VALUES[:100]))
    assert part_of_blosc(encoded, 0, 2) is None


def test_a_chunk_that_is_not_compressed_has_no_blocks() -> None:
    noise = np.random.default_rng(0).bytes(8000)
    encoded = bytes(numcodecs.Blosc("zstd", 0, 0, blocksize=BLOCK).encode(noise))
    assert encoded[2] & 2
    assert part_of_blosc(encoded, 0, 2) is None


@pytest.mark.parametrize(
    "encoded",
    [
        changed(0, "<B", 3),  # of Blosc 2
        changed(8, "<I", 0),  # of no bytes
        changed(8, "<I", 2**32 - 1),  # more blocks than starts
        pytest.param(changed(8, "<I", 0)[:16], id="a header alone"),
        changed(12, "<I", 20),  # which ends in the starts
        changed(16, "<I", 3),  # a block in the header
        changed(16, "<I", 2**32 - 1),  # a block behind the end
    ],
)
def test_a_header_that_makes_no_sense_is_left_to_blosc(encoded: bytes) -> None:
    assert part_of_blosc(encoded, 0, 2) is None


def test_blocks_may_be_in_any_order() -> None:
    # As threads write them: the first two blocks change places.
    starts = list(struct.unpack_from("<8I", ENCODED, 16))
    first, second, third = starts[:3]
    body = ENCODED[second:third] + ENCODED[first:second]
    moved = bytearray(ENCODED[:first] + body + ENCODED[third:])
    struct.pack_into("<2I", moved, 16, first + third - second, first)
    assert bytes(numcodecs.Blosc().decode(bytes(moved))) == WHOLE
    for start in (0, 1024, 2048):
        part = part_of_blosc(bytes(moved), start, start + 1)
        assert part is not None
        assert decoded(part) == WHOLE[start : start + 1024]
