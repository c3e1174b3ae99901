"""The encoded chunks of a dataset, as they are in the file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.errors import MetadataError, MissingExtraError
from hdmf_zarr.hdf5.raw import RawChunks, can_copy_raw, filter_chain
from hdmf_zarr.hdf5.raw_file import open_plain, pread

VALUES = np.arange(1, 21, dtype="<i2").reshape(5, 4)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        yield made


def reading(tmp_path: Path, **options: Any) -> h5py.Dataset:
    with h5py.File(tmp_path / "r.h5", "w") as made:
        made.create_dataset("x", **{"data": VALUES, "chunks": (2, 3), **options})
    return h5py.File(tmp_path / "r.h5", "r")["x"]


# -- which datasets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip"},
        {"compression": "lzf"},
        {"shuffle": True, "fletcher32": True, "compression": 1},
        {"data": VALUES.astype(">f8")},
        {"data": VALUES > 3},
        {"data": VALUES.astype("c8")},
        {"dtype": h5py.enum_dtype({"A": 1}, "<i2")},
    ],
)
def test_chunks_of_numbers_can_be_copied(file: h5py.File, options: Any) -> None:
    dataset = file.create_dataset("x", **{"data": VALUES, "chunks": (2, 3), **options})
    assert can_copy_raw(dataset) is None


def test_what_cannot_be_copied_says_why(file: h5py.File) -> None:
    source = file.create_dataset("a", data=VALUES)
    layout = h5py.VirtualLayout(source.shape, source.dtype)
    layout[...] = h5py.VirtualSource(source)
    reasons = {
        "contiguous (no chunks)": source,
        "virtual (data in other files)": file.create_virtual_dataset("v", layout),
        "elements other than plain numbers": file.create_dataset("t", data=["a"], chunks=(1,)),
    }
    for reason, dataset in reasons.items():
        assert can_copy_raw(dataset) == reason
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    compact = h5py.h5d.create(
        file.id, b"c", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((4,)), creation
    )
    assert can_copy_raw(h5py.Dataset(compact)) == "compact (no chunks)"


def test_numbers_with_bits_to_spare_have_other_bytes(file: h5py.File) -> None:
    odd = h5py.h5t.STD_I16LE.copy()
    odd.set_precision(12)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((2,))
    made = h5py.h5d.create(file.id, b"x", odd, h5py.h5s.create_simple((4,)), creation)
    assert can_copy_raw(h5py.Dataset(made)) == "numbers with bits to spare"


def test_the_filters_become_codecs(file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=VALUES, compression=3, shuffle=True, chunks=(2, 3))
    chain = filter_chain(dataset)
    assert [codec.codec_id for codec in chain.codecs] == ["shuffle", "zlib"]
    assert (chain.missing, chain.is_lossy) == (None, False)


# -- where the chunks are --------------------------------------------------------------------------


def test_a_dataset_says_what_its_chunks_are(file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=VALUES, chunks=(2, 3), fillvalue=9)
    chunks = RawChunks(dataset)
    assert (chunks.shape, chunks.chunks, chunks.n_chunks) == ((5, 4), (2, 3), 6)
    assert chunks.n_bytes == 6 * 12
    assert (chunks.fill_value, chunks.is_checked) == (9, False)
    assert chunks.where == f"{file.filename}:/x"
    checked = file.create_dataset("y", data=VALUES, chunks=(2, 3), fletcher32=True)
    assert RawChunks(checked).is_checked


def test_the_table_has_the_chunks_that_were_written(file: h5py.File) -> None:
    dataset = file.create_dataset("x", (5, 4), "<i2", chunks=(2, 3))
    assert len(RawChunks(dataset).table()) == 0
    dataset[4, 3] = 1
    dataset[0, 0] = 2
    table = RawChunks(dataset).table()
    assert sorted(table.coordinates.tolist()) == [[0, 0], [2, 1]]
    assert table.sizes.tolist() == [12, 12]
    assert table.is_whole.all()
    assert (table.addresses > 0).all()


def test_a_chunk_that_a_filter_has_not_seen_is_not_whole(file: h5py.File) -> None:
    dataset = file.create_dataset("x", (4, 3), "<i2", chunks=(2, 3), compression="gzip")
    dataset[:2] = 1
    dataset.id.write_direct_chunk((2, 0), b"\1\0" * 6, filter_mask=1)
    table = RawChunks(dataset).table()
    places = map(tuple, table.coordinates.tolist())
    whole = dict(zip(places, table.is_whole.tolist(), strict=True))
    assert whole == {(0, 0): True, (1, 0): False}


def test_a_chunk_is_named_by_its_first_element(file: h5py.File) -> None:
    chunks = RawChunks(file.create_dataset("x", data=VALUES, chunks=(2, 3)))
    table = chunks.table()
    index = table.coordinates.tolist().index([2, 1])
    assert chunks.name_of(table, index) == f"{file.filename}:/x: the chunk at (4, 3)"


# -- reading ---------------------------------------------------------------------------------------


def all_read(chunks: RawChunks) -> dict[tuple[int, ...], bytes]:
    table = chunks.table()
    found = chunks.read_many(table, range(len(table)))
    return {
        tuple(at): encoded or b""
        for at, encoded in zip(table.coordinates.tolist(), found, strict=True)
    }


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"fletcher32": True}])
def test_chunks_are_the_same_from_the_file_and_through_hdf5(tmp_path: Path, options: Any) -> None:
    dataset = reading(tmp_path, **options)
    chunks = RawChunks(dataset)
    through_hdf5 = all_read(chunks)
    table = chunks.table()
    chunks.open_file(table)
    assert chunks._descriptor is not None
    assert all_read(chunks) == through_hdf5
    chunks.close_file()
    chunks.close_file()
    assert chunks._descriptor is None
    first = through_hdf5[0, 0]
    plain = zlib.decompress(first) if "compression" in options else first[:12]
    np.testing.assert_array_equal(np.frombuffer(plain, "<i2").reshape(2, 3), VALUES[:2, :3])


def test_a_file_that_is_written_is_read_through_hdf5(file: h5py.File) -> None:
    chunks = RawChunks(file.create_dataset("x", data=VALUES, chunks=(2, 3)))
    chunks.open_file(chunks.table())
    assert chunks._descriptor is None
    assert len(all_read(chunks)) == 6
    assert open_plain(file) is None


def test_a_file_with_something_before_it_is_read_at_the_right_place(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "u.h5", "w", userblock_size=512) as made:
        made.create_dataset("x", data=VALUES, chunks=(2, 3))
    with h5py.File(tmp_path / "u.h5", "r") as opened:
        chunks = RawChunks(opened["x"])
        chunks.open_file(chunks.table())
        found = np.frombuffer(all_read(chunks)[0, 0], "<i2").reshape(2, 3)
        np.testing.assert_array_equal(found, VALUES[:2, :3])
        chunks.close_file()


def test_a_chunk_is_decoded_whole_with_the_fill_value_beyond_the_end(file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=VALUES, chunks=(2, 3), fillvalue=9, compression=1)
    chunks = RawChunks(dataset)
    table = chunks.table()
    found = chunks.decoded(table, table.coordinates.tolist().index([2, 1]))
    assert found.tolist() == [[VALUES[4, 3], 9, 9], [9, 9, 9]]


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    dataset = reading(tmp_path, compression="gzip", fletcher32=True)
    path, at = Path(dataset.file.filename), dataset.id.get_chunk_info(0).byte_offset
    dataset.file.close()
    encoded = bytearray(path.read_bytes())
    encoded[at + 3] ^= 0xFF
    path.write_bytes(bytes(encoded))
    with h5py.File(path, "r") as opened:
        chunks = RawChunks(opened["x"])
        table = chunks.table()
        with pytest.raises(MetadataError, match=r":/x: the chunk at \(0, 0\) is damaged"):
            chunks.read(table, 0)
        with pytest.raises(MetadataError, match=r":/x: the chunk at \(0, 0\) does not decode"):
            chunks.decoded(table, 0)
        assert chunks.read(table, 1)


def test_a_file_that_ends_before_a_chunk_is_truncated(tmp_path: Path) -> None:
    dataset = reading(tmp_path)
    chunks = RawChunks(dataset)
    table = chunks.table()
    chunks.open_file(table)
    last = int(np.argmax(table.addresses))
    with open(dataset.file.filename, "r+b") as raw:
        raw.truncate(int(table.addresses[last]) + 5)
    with pytest.raises(MetadataError, match="has 5 bytes in place of 12; the file is truncated"):
        chunks.read(table, last)
    chunks.close_file()


def test_a_filter_that_is_not_installed_is_needed_only_to_decode(file: h5py.File) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((2,))
    creation.set_filter(404, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((2,))
    dataset = h5py.Dataset(h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I16LE, space, creation))
    dataset.id.write_direct_chunk((0,), b"1234")
    assert "404" in (can_copy_raw(dataset) or "")
    with pytest.raises(MissingExtraError, match="number 404"):
        RawChunks(dataset).decoded(RawChunks(dataset).table(), 0)


@given(st.binary(max_size=40), st.integers(0, 45), st.integers(0, 45))
def test_bytes_at_a_place_are_read_as_far_as_there_are_some(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int, offset: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    with open(path, "rb") as opened:
        assert pread(opened.fileno(), size, offset) == content[offset : offset + size]
