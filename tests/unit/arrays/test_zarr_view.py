"""Objects of zarr-python that are made of the documents, without a request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.arrays.zarr_view import async_array, encoded_chunks, store_of_chunks, zarr_group
from hdmf_zarr.convention.common import EVERY_CHUNK, STORED_CHUNKS
from hdmf_zarr.core.limits import MOST_CHUNK_BYTES
from hdmf_zarr.errors import ChunkError, MetadataError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import made_document, unreadable, with_attributes
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.contained import ContainedStore
from hdmf_zarr.stores.location import locate

CHUNKS = {"a/c.0": [1, 2], "a/c.1": [3, 4], "a/c.2": [5, 0]}


def array(**changes: Any) -> dict[str, Any]:
    made = made_document(
        shape=(5,),
        chunk=(2,),
        data_type="int16",
        fill_value=0,
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
        chunk_keys=CHUNK_KEYS,
    )
    return {**made, **changes}


def nodes(place: Any = None, **documents: Any) -> Nodes:
    """Nodes whose documents are not in the store, which has chunks alone."""
    store = open_bytestore(locate(MemoryStore() if place is None else place), read_only=False)
    for key, values in CHUNKS.items():
        store.set(key, np.array(values, dtype="<i2").tobytes())
    given = {path.replace("__", "/"): one for path, one in documents.items()}
    return Nodes(store, {"": group_document({"r": 1}), **given})


def values_of(found: Any) -> list[int]:
    values: list[int] = asyncio.run(found.getitem(...)).tolist()
    return values


@pytest.mark.parametrize("place", ["folder", "memory"])
def test_an_array_is_made_without_its_document_in_the_store(place: str, tmp_path: Path) -> None:
    held = nodes(tmp_path / "s" if place == "folder" else None, a=array(attributes={"u": "V"}))
    found = async_array(held, "a")
    assert (found.shape, found.chunks, found.dtype) == ((5,), (2,), np.dtype("<i2"))
    assert values_of(found) == [1, 2, 3, 4, 5]
    found.attrs["u"] = "changed"
    assert held.documents["a"]["attributes"] == {"u": "V"}


def test_a_missing_chunk_is_the_fill_value_unless_it_must_be_there() -> None:
    held = nodes(a=array(fill_value=9))
    held.bytestore.delete("a/c.1")
    assert values_of(async_array(held, "a")) == [1, 2, 9, 9, 5]
    present = with_attributes(held.documents["a"], {STORED_CHUNKS: EVERY_CHUNK})
    with pytest.raises(ChunkError, match="a/c.1: the chunk was written and is not there any more"):
        values_of(async_array(held, "a", present=present))


def test_an_array_that_cannot_be_read_says_why() -> None:
    held = nodes(a=unreadable(array(), "its codecs are no list"))
    with pytest.raises(MetadataError, match=":/a: its codecs are no list$"):
        async_array(held, "a")


@pytest.mark.parametrize(
    "change",
    [
        {"data_type": "int33"},
        {"codecs": []},
        {"codecs": [{"name": "not.known"}]},
        {"fill_value": "text"},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [-1]}}},
        {"shape": [-5]},
        {"chunk_key_encoding": {"name": "unknown"}},
    ],
    ids=str,
)
def test_metadata_that_zarr_cannot_read_are_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match=":/a has metadata that zarr cannot read: "):
        async_array(nodes(a=array(**change)), "a")


def test_a_chunk_that_is_too_large_is_refused() -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": [MOST_CHUNK_BYTES]}}
    with pytest.raises(MetadataError, match="one chunk of shape"):
        async_array(nodes(a=array(shape=[5], chunk_grid=grid)), "a")


def test_encoded_chunks_are_those_that_there_are() -> None:
    held = nodes(a=array())
    found = encoded_chunks(held, "a", ["a/c.0", "a/c.2", "a/c.9"])
    assert found == {"a/c.0": b"\1\0\2\0", "a/c.2": b"\5\0\0\0"}
    held.bytestore.set("a/c.0", bytes(2**17))
    with pytest.raises(ChunkError, match="a/c.0 has 131072 bytes or more"):
        encoded_chunks(held, "a", ["a/c.0"])


def test_chunks_of_a_folder_are_contained(tmp_path: Path) -> None:
    local = store_of_chunks(nodes(tmp_path / "s").bytestore)
    assert isinstance(local, ContainedStore)
    memory = nodes().bytestore
    assert store_of_chunks(memory) is memory.zarr_store


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_group_is_of_the_documents(*, consolidated: bool) -> None:
    held = nodes(a=array(attributes={"u": "V"}), b=unreadable(array(), "why"))
    held.is_consolidated = consolidated
    found = zarr_group(held)
    assert found.read_only
    assert dict(found.attrs) == {"r": 1}
    if consolidated:
        assert sorted(found) == ["a"]  # without what zarr cannot read
        member: Any = found["a"]
        assert member[:].tolist() == [1, 2, 3, 4, 5]
        assert dict(member.attrs) == {"u": "V"}
