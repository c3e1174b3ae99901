"""What Python has no function for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zarr.dtype
from zarr.codecs import BytesCodec, ZstdCodec

from hdmf_zarr.core.system import collection_paused
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import FORMAT2_CHUNK_KEYS
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_collection_goes_on_afterwards() -> None:
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_goes_on_after_a_failure() -> None:
    with pytest.raises(KeyError), collection_paused():
        raise KeyError
    assert gc.isenabled()


def test_who_does_not_want_collection_gets_none() -> None:
    gc.disable()
    with collection_paused():
        assert not gc.isenabled()
    assert not gc.isenabled()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_metadata_are_read_without_looking_for_cycles(
    tmp_path: Path, zarr_format: int, *, consolidated: bool
) -> None:
    bytestore = open_bytestore(locate(tmp_path), read_only=False)
    written = Hierarchy(bytestore, {"": group_document({})}, zarr_format=zarr_format)
    array = array_document.array_document(
        shape=(3,),
        data_type=zarr.dtype.Int16(),
        chunk_grid_shape=(3,),
        fill_value=0,
        codecs=(BytesCodec(), ZstdCodec()),
        dimension_names=None,
        chunk_key_encoding=FORMAT2_CHUNK_KEYS,
    )
    for number in range(1000):
        attributes: dict[str, Any] = {f"attribute {n}": [[n], {"n": n}] for n in range(5)}
        written.set_document(f"array{number}", {**array, "attributes": attributes})
    written.commit(consolidate=True)
    collections: list[str] = []
    callback = lambda phase, _: collections.append(phase)  # noqa: E731
    gc.collect()
    gc.callbacks.append(callback)
    try:
        read = Hierarchy.load(bytestore, consolidated=consolidated)
    finally:
        gc.callbacks.remove(callback)
    assert len(read.documents) == 1001
    # Each is told twice. One follows at the end of each pause; without pauses there are dozens.
    assert len(collections) <= 2 * 4
