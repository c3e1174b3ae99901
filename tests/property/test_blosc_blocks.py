"""Parts of Blosc chunks are what decoding the whole chunk gives there."""

from __future__ import annotations

import struct

import numcodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.codecs.blosc_blocks import part_of_blosc

NAMES = ["blosclz", "lz4", "lz4hc", "zlib", "zstd"]


def decode(encoded: bytes) -> bytes:
    return bytes(numcodecs.Blosc().decode(encoded))


@given(
    dtype=st.sampled_from(["u1", "<i2", "<f4", "<f8"]),
    count=st.integers(1, 40_000),
    name=st.sampled_from(NAMES),
    level=st.integers(0, 9),
    shuffle=st.sampled_from([0, 1, 2]),
    block=st.sampled_from([0, 128, 1000, 4096, 2**16]),
    ends=st.tuples(st.integers(0, 2**20), st.integers(1, 2**18)),
    step=st.sampled_from([0, 1, 3, 977]),
)
def test_a_part_is_that_of_the_whole(dtype, count, name, level, shuffle, block, ends, step):
    values = (np.arange(count) * step % 251).astype(dtype)
    encoded = numcodecs.Blosc(name, level, shuffle, blocksize=block).encode(values)
    whole = values.tobytes()
    start = ends[0] % len(whole)
    stop = min(start + ends[1], len(whole))
    part = part_of_blosc(encoded, start, stop)
    if part is not None:
        assert part.start <= start
        assert stop <= part.stop
        assert decode(part.encoded) == whole[part.start : part.stop]


@pytest.mark.parametrize("n_threads", [1, 4])
def test_few_blocks_are_decoded(n_threads):
    # Several threads write their blocks in no order.
    values = np.random.default_rng(0).integers(0, 50, 2**20).astype("<i2")
    before = numcodecs.blosc.set_nthreads(n_threads)
    try:
        encoded = numcodecs.Blosc("zstd", 1, 1, blocksize=2**15).encode(values)
    finally:
        numcodecs.blosc.set_nthreads(before)
    whole = values.tobytes()
    for start in range(0, len(whole), 77_777):
        part = part_of_blosc(encoded, start, start + 1)
        assert part is not None
        assert part.stop - part.start == 2**15
        assert len(part.encoded) < len(encoded) / 32
        assert decode(part.encoded) == whole[part.start : part.stop]


def test_the_end_that_is_no_whole_block_takes_the_block_before_it():
    values = np.arange(100_100, dtype="<i4")
    encoded = numcodecs.Blosc("lz4", 5, 1, blocksize=4096).encode(values)
    (block,) = struct.unpack_from("<I", encoded, 8)
    assert values.nbytes % block
    part = part_of_blosc(encoded, values.nbytes - 1, values.nbytes)
    assert part is not None
    assert (part.start, part.stop) == ((values.nbytes // block - 1) * block, values.nbytes)
    assert decode(part.encoded) == values.tobytes()[part.start :]


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [
        pytest.param(0, "B", 5, id="another version"),
        pytest.param(8, "<I", 0, id="blocks without bytes"),
        pytest.param(16, "<I", 3, id="a block in the header"),
        pytest.param(16, "<I", 2**31, id="a block beyond the end"),
        pytest.param(12, "<I", 20, id="an end before the blocks"),
    ],
)
def test_what_contradicts_itself_is_left_to_blosc(offset, form, value):
    encoded = bytearray(
        numcodecs.Blosc("zstd", 5, 1, blocksize=4096).encode(np.arange(50_000, dtype="<i4"))
    )
    assert part_of_blosc(encoded, 0, 10) is not None
    struct.pack_into(form, encoded, offset, value)
    assert part_of_blosc(encoded, 0, 10) is None
