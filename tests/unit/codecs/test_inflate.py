"""What zlib has deflated is inflated, by whichever library, and damage is an error."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from hdmf_zarr.codecs import inflate
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.errors import ChunkError
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import array_node

VALUES = (np.arange(3000) % 97).astype("<i2")
ENCODED = {
    "gzip": gzip.compress(VALUES.tobytes(), 4),
    "numcodecs.zlib": zlib.compress(VALUES.tobytes(), 4),
}


@pytest.fixture(params=["isal", "zlib"])
def library(request, monkeypatch):
    if request.param == "zlib":
        monkeypatch.setattr(inflate, "_fastest", zlib)
    else:
        isal_zlib = pytest.importorskip("isal.isal_zlib")
        assert inflate._fastest is isal_zlib
    return request.param


def chain_of(codec: str) -> DirectChain:
    chain = direct_chain(
        array_node(
            {
                "data_type": "int16",
                "shape": [3000],
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3000]}},
                "codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": codec, "configuration": {"level": 4}},
                ],
            }
        )
    )
    assert chain is not None
    return chain


@pytest.mark.parametrize("codec", ENCODED)
@pytest.mark.usefixtures("library")
def test_values_are_those_that_were_deflated(codec):
    np.testing.assert_array_equal(chain_of(codec).decode(ENCODED[codec]), VALUES)
    np.testing.assert_array_equal(chain_of(codec).decode(memoryview(ENCODED[codec])), VALUES)


@pytest.mark.parametrize("codec", ENCODED)
@pytest.mark.parametrize("position", [0, 1, 10, -1, -5])
@pytest.mark.usefixtures("library")
def test_a_damaged_byte_is_an_error(codec, position):
    damaged = bytearray(ENCODED[codec])
    damaged[position] ^= 0xFF
    with pytest.raises(ChunkError):
        chain_of(codec).decode(bytes(damaged))


@pytest.mark.parametrize("codec", ENCODED)
@pytest.mark.usefixtures("library")
def test_a_chunk_that_is_cut_off_is_an_error(codec):
    with pytest.raises(ChunkError, match="truncated"):
        chain_of(codec).decode(ENCODED[codec][:-6])


@pytest.mark.parametrize("codec", ENCODED)
@pytest.mark.usefixtures("library")
def test_a_chunk_that_becomes_too_much_is_an_error(codec):
    pack = gzip.compress if codec == "gzip" else zlib.compress
    with pytest.raises(ChunkError, match="more than the 6000 bytes"):
        chain_of(codec).decode(pack(bytes(10_000_000)))
