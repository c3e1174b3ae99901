"""Which codecs of a document are applied in place, and which are left to zarr."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.codec_chain import direct_chain, shard_codec
from hdmf_zarr.metadata.node import array_node, made_document, with_shards

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": False}}
INDEX = [LITTLE, {"name": "crc32c"}]


def document(**changes: Any) -> dict[str, Any]:
    made = made_document(
        shape=(5, 4),
        chunk=(2, 4),
        data_type="int16",
        fill_value=0,
        codecs=[LITTLE],
        chunk_keys=CHUNK_KEYS,
    )
    return {**made, **changes}


def test_a_chain_has_the_chunks_and_the_data_type_of_the_document() -> None:
    chain = direct_chain(array_node(document()))
    assert chain is not None
    values = np.arange(8, dtype="<i2").reshape(2, 4)
    assert bytes(chain.encode(values)) == values.tobytes()
    decoded = chain.decode(values.tobytes())
    assert (decoded.shape, decoded.dtype) == ((2, 4), np.dtype("<i2"))
    assert decoded.tolist() == values.tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [5]},
        {"chunk_grid": None},
        {"codecs": [LITTLE, {"name": "not.known"}]},
        {"codecs": []},
        {"data_type": "string"},
    ],
    ids=str,
)
def test_what_is_not_known_is_left_to_zarr(changes: dict[str, Any]) -> None:
    assert direct_chain(array_node(document(**changes))) is None


def test_only_shards_have_a_codec_of_shards() -> None:
    assert shard_codec(array_node(document())) is None
    sharded = with_shards(document(codecs=[LITTLE, ZSTD]), (4, 4), INDEX)
    codec = shard_codec(array_node(sharded))
    assert codec is not None
    assert direct_chain(array_node(sharded)) is None
    unknown = with_shards(document(codecs=[LITTLE, {"name": "not.known"}]), (4, 4), INDEX)
    assert shard_codec(array_node(unknown)) is None
