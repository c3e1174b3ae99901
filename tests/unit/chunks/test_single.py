"""One chunk, or one element that varies in length, encoded outside of zarr's array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from hdmf_zarr.chunks import single
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.stores.event_loop import prototype, run, to_buffer

TEXTS = ["", "a", "ä\0", "\0", "text " * 5000]
COMPRESSORS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "zstd": [{"name": "zstd", "configuration": {"level": 3, "checksum": True}}],
    "gzip": [{"name": "gzip", "configuration": {"level": 1}}],
    "blosc": [
        {
            "name": "blosc",
            "configuration": {
                "cname": "lz4",
                "clevel": 5,
                "shuffle": "noshuffle",
                "typesize": 1,
                "blocksize": 0,
            },
        }
    ],
    "crc32c": [{"name": "crc32c"}],
}


def _document(data_type: str, codecs: list[dict[str, Any]]) -> dict[str, Any]:
    serializer = {"string": "vlen-utf8", "variable_length_bytes": "vlen-bytes"}[data_type]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [],
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": []}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "",
        "codecs": [{"name": serializer}, *codecs],
        "attributes": {},
    }


def _scalar(element: str | bytes) -> np.ndarray[Any, Any]:
    return np.asarray(element, dtype=object)


def _read_by_zarr(document: dict[str, Any], chunk: bytes) -> Any:
    """Return the element of a chunk, as zarr-python decodes a row of one."""
    store = MemoryStore({"c/0": to_buffer(chunk)})
    row = {**document, "shape": [1]}
    row["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": [1]}}
    return zarr.Array(zarr.AsyncArray(row, zarr.storage.StorePath(store, "")))[:].item()


@pytest.mark.parametrize("text", TEXTS, ids=["empty", "one", "NUL at its end", "NUL", "long"])
@pytest.mark.parametrize("compressors", COMPRESSORS.values(), ids=COMPRESSORS)
def test_text_without_dimensions_is_a_row_of_one(
    text: str, compressors: list[dict[str, Any]]
) -> None:
    document = _document("string", compressors)
    assert _read_by_zarr(document, single.encode_scalar(document, _scalar(text))) == text


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("value", [b"", b"\0\xff", b"text\0"])
def test_bytes_without_dimensions_are_a_row_of_one(value: bytes) -> None:
    document = {**_document("variable_length_bytes", COMPRESSORS["zstd"]), "fill_value": ""}
    assert _read_by_zarr(document, single.encode_scalar(document, _scalar(value))) == value


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("compressors", COMPRESSORS.values(), ids=COMPRESSORS)
def test_zarr_encodes_a_chain_that_is_not_known_to_the_same_text(
    monkeypatch: pytest.MonkeyPatch, text: str, compressors: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(DirectChain, "for_codecs", lambda *_args: None)
    document = _document("string", compressors)
    assert _read_by_zarr(document, single.encode_scalar(document, _scalar(text))) == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_as_it_was_encoded(text: str) -> None:
    document = _document("string", COMPRESSORS["zstd"])
    chunk = single.encode_scalar(document, _scalar(text))
    store = MemoryStore({"c": to_buffer(chunk)})
    array = zarr.AsyncArray(document, zarr.storage.StorePath(store, ""))
    assert run(single.read_scalar(array)).item() == text


def test_a_whole_chunk_is_the_one_that_zarr_stores() -> None:
    store = MemoryStore()
    values = np.arange(6, dtype="int16").reshape(2, 3)
    array = zarr.create_array(store, data=values, chunks=(2, 3))
    chunk = single.encode_chunk(dict(array.metadata.to_dict()), values)
    stored = run(store.get("c/0/0", prototype=prototype()))
    assert stored is not None
    assert chunk == stored.to_bytes()
