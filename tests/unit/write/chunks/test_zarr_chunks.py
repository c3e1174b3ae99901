"""The encoded chunks of another store: where they are, as they are, and whether they decode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from zarr.codecs import GzipCodec

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.errors import ChunkError, MetadataError
from hdmf_zarr.write.chunks import zarr_chunks
from hdmf_zarr.write.chunks.zarr_chunks import ZarrChunks
from tests.unit.conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))
VALUES = np.arange(1, 21, dtype="<i2").reshape(5, 4)


@pytest.fixture
def array(make_array: MakeArray) -> HDMFZarrArray:
    return make_array(VALUES, INT16, chunks=(2, 3), compressors=())


def put(array: HDMFZarrArray, key: str, value: bytes | None) -> None:
    """Change an object behind the back of the array."""
    bytestore = array.hierarchy.bytestore
    if value is None:
        bytestore.delete(key)
    else:
        bytestore.set(key, value)
    bytestore.flush()


def test_an_array_says_what_its_chunks_are(array: HDMFZarrArray) -> None:
    chunks = ZarrChunks(array)
    assert (chunks.shape, chunks.chunks, chunks.n_chunks) == ((5, 4), (2, 3), 6)
    assert chunks.where == f"{array.hierarchy.uri}:/group/data"
    assert chunks.fill_value == 0
    assert not chunks.is_checked
    # In memory nothing is asked: as if nothing were compressed.
    assert chunks.n_bytes == 6 * 2 * 3 * 2


def test_the_table_is_the_whole_grid_in_order(array: HDMFZarrArray) -> None:
    table = ZarrChunks(array).table()
    assert table.coordinates.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]
    assert table.sizes.tolist() == [12] * 6
    assert table.is_whole.all()
    assert len(table) == 6


def test_a_scalar_has_one_chunk(make_array: MakeArray) -> None:
    chunks = ZarrChunks(make_array(np.array(7, "<i2"), INT16, compressors=()))
    table = chunks.table()
    assert (len(table), table.coordinates.shape) == (1, (1, 0))
    assert chunks.decoded(table, 0).tolist() == 7
    assert list(chunks.read_many(table, [0])) == [b"\x07\x00"]


def test_an_empty_array_has_no_chunk(make_array: MakeArray) -> None:
    chunks = ZarrChunks(make_array(np.zeros((0, 4), "<i2"), INT16))
    assert (chunks.n_chunks, len(chunks.table())) == (0, 0)
    chunks.decode_all()


def test_a_chunk_is_named_by_its_key(array: HDMFZarrArray) -> None:
    chunks = ZarrChunks(array)
    name = chunks.name_of(chunks.table(), 3)
    assert name == f"{array.hierarchy.uri}:/group/data/c.1.1: the chunk"


def test_shards_are_the_chunks_of_an_array_that_has_some(make_array: MakeArray) -> None:
    array = make_array(VALUES, INT16, chunks=(1, 2), shards=(2, 4), compressors=())
    chunks = ZarrChunks(array)
    assert (chunks.chunks, chunks.n_chunks) == ((2, 4), 3)
    np.testing.assert_array_equal(chunks.decoded(chunks.table(), 2), VALUES[4:])


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 4, 16])
def test_encoded_chunks_come_in_the_order_of_the_indices(
    array: HDMFZarrArray, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_chunks, "READ_TOGETHER", together)
    chunks = ZarrChunks(array)
    table = chunks.table()
    found = list(chunks.read_many(table, [4, 0, 3]))
    assert [len(one or b"") for one in found] == [12, 12, 12]
    decoded = [np.frombuffer(one or b"", "<i2").reshape(2, 3) for one in found]
    np.testing.assert_array_equal(decoded[1], VALUES[:2, :3])
    np.testing.assert_array_equal(decoded[0][:1], VALUES[4:, :3])
    np.testing.assert_array_equal(decoded[2][:, :1], VALUES[2:4, 3:])
    assert list(chunks.read_many(table, [])) == []


def test_a_chunk_is_decoded_as_far_as_it_lies_in_the_array(array: HDMFZarrArray) -> None:
    chunks = ZarrChunks(array)
    table = chunks.table()
    np.testing.assert_array_equal(chunks.decoded(table, 0), VALUES[:2, :3])
    np.testing.assert_array_equal(chunks.decoded(table, 5), VALUES[4:, 3:])
    chunks.decode_all()


def told(array: HDMFZarrArray, count: Any) -> HDMFZarrArray:
    """The array whose document tells how many of its chunks there are."""
    hierarchy = array.hierarchy
    document = hierarchy.documents["group/data"]
    attributes = {**document["attributes"], "_STORED_CHUNKS": count}
    hierarchy.set_document("group/data", {**document, "attributes": attributes})
    return array


def test_a_chunk_that_was_lost_is_an_error(array: HDMFZarrArray) -> None:
    put(told(array, "all"), "group/data/c.1.0", None)
    chunks = ZarrChunks(array)
    with pytest.raises(
        ChunkError, match="/group/data/c.1.0: the chunk was written and is not there"
    ):
        list(chunks.read_many(chunks.table(), [0, 2]))


def test_a_chunk_that_was_never_written_is_none(array: HDMFZarrArray) -> None:
    put(told(array, 5), "group/data/c.1.0", None)
    chunks = ZarrChunks(array)
    first, second = chunks.read_many(chunks.table(), [0, 2])
    assert first is not None
    assert second is None


@pytest.mark.parametrize("encoded", [b"no gzip", b""])
def test_a_chunk_that_does_not_decode_is_named(make_array: MakeArray, encoded: bytes) -> None:
    array = make_array(VALUES, INT16, chunks=(2, 3), compressors=GzipCodec())
    put(array, "group/data/c.0.1", encoded)
    chunks = ZarrChunks(array)
    with pytest.raises(MetadataError, match="/group/data"):
        chunks.decoded(chunks.table(), 1)
    with pytest.raises(MetadataError, match="/group/data"):
        chunks.decode_all()
    chunks.decoded(chunks.table(), 0)


def test_any_failure_of_a_codec_is_one_error(
    array: HDMFZarrArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Any, _key: Any) -> Any:
        raise KeyError("some codec")

    monkeypatch.setattr(HDMFZarrArray, "__getitem__", fail)
    chunks = ZarrChunks(array)
    message = r":/group/data: the chunk at \(2, 3\) does not decode: 'some codec'"
    with pytest.raises(MetadataError, match=message):
        chunks.decoded(chunks.table(), 3)


def test_nothing_has_to_be_opened(array: HDMFZarrArray) -> None:
    chunks = ZarrChunks(array)
    chunks.open_file(chunks.table())
    chunks.close_file()
    assert len(list(chunks.read_many(chunks.table(), [0]))) == 1
