"""The layout of a dataset: what was asked for, and what is kept of its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ZstdCodec

from hdmf_zarr.codecs import CodecRequest
from hdmf_zarr.core.dtypes import REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import LayoutError
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.planning.export_options import LayoutOptions, PlanOptions
from hdmf_zarr.write.planning.layout import LayoutRequest
from hdmf_zarr.write.planning.layout_resolution import Choice, LayoutChooser, has_own_checksum
from tests.iterators import ArrayIterator
from tests.unit.conftest import MakeArray
from tests.unit.write.planning.conftest import MakeContext

SOURCE = Location("/data/source.nwb", is_local=True)
INT16 = ElementType("number", np.dtype("<i2"))
VALUES = np.arange(24, dtype="<i2").reshape(6, 4)


@pytest.fixture
def chooser(make_context: MakeContext) -> Any:
    """Returns a chooser for an export with options, or for a write where there is no source."""

    def make(*, is_export: bool = True, zarr_format: int = 3, **options: Any) -> LayoutChooser:
        checksum = options.pop("checksum", False)
        return LayoutChooser(
            make_context(
                zarr_format=zarr_format,
                export_source=SOURCE if is_export else None,
                options=PlanOptions(layout=LayoutOptions(**options), checksum=checksum),
            )
        )

    return make


@pytest.fixture
def file(tmp_path: Path) -> Iterator[h5py.File]:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        yield made


def choose(chooser: LayoutChooser, data: Any, request: LayoutRequest | None = None) -> Choice:
    return chooser.choose(data, "a/data", request or LayoutRequest())


# -- a write ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [[1, 2], VALUES, 3, "a"])
def test_a_write_lays_out_as_it_was_asked_to(chooser: Any, data: Any) -> None:
    asked = LayoutRequest(chunks=(2, 2))
    writing = chooser(is_export=False)
    assert choose(writing, data, asked) == Choice(request=asked, decoded="a layout was asked for")
    assert choose(writing, data).request == LayoutRequest()
    assert writing.laid_out == []


def test_an_array_of_zarr_keeps_its_layout_unless_another_was_asked_for(chooser: Any) -> None:
    array = zarr.create_array({}, shape=(6, 4), chunks=(2, 4), dtype="i2", compressors=GzipCodec())
    asked = LayoutRequest(chunks=(3, 3))
    assert choose(chooser(is_export=False), array).request.chunks == (2, 4)
    assert choose(chooser(is_export=False), array, asked).request == asked


def test_a_wrapper_counts_more_than_the_options_of_an_export(chooser: Any) -> None:
    asked = LayoutRequest(chunks=(2, 2))
    exporting = chooser(chunks={"a/data": (3, 3)})
    assert choose(exporting, VALUES, asked).request == asked
    assert exporting.laid_out == []


# -- an export of what is in memory ----------------------------------------------------------------


@pytest.mark.parametrize("data", [3, "a", np.array(3), np.int8(3)])
def test_a_scalar_has_no_layout(chooser: Any, data: Any) -> None:
    exporting = chooser(chunks={"*": (3, 3)})
    assert choose(exporting, data) == Choice(request=LayoutRequest(), decoded="a scalar")
    assert exporting.laid_out == []


@pytest.mark.parametrize(
    "data",
    [
        VALUES,
        VALUES.tolist(),
        [("a", "b")] * 6,
        ArrayIterator(VALUES, buffer_shape=(2, 4), chunk_shape=(2, 4)),
    ],
    ids=["array", "list", "text", "iterator"],
)
def test_data_in_no_file_are_laid_out_by_the_options(chooser: Any, data: Any) -> None:
    seen: list[Any] = []

    def chunks(path: str, dataset: Any) -> Any:
        seen.append((path, tuple(dataset.shape), dataset.dtype))
        return (3, 2)

    exporting = chooser(chunks=chunks)
    found = choose(exporting, data)
    assert found.decoded == "data that are in no file"
    assert (found.request.chunks, found.request.are_chunks_given) == ((3, 2), True)
    assert exporting.laid_out == ["a/data"]
    ((path, shape, dtype),) = seen
    assert (path, shape[1]) == ("/a/data", len(data[0]) if isinstance(data, list) else 4)
    assert isinstance(dtype, np.dtype)


def test_without_options_data_in_no_file_have_the_default(chooser: Any) -> None:
    assert choose(chooser(), VALUES).request == LayoutRequest()
    assert choose(chooser(codecs="default"), VALUES).request.codecs == CodecRequest()


# -- an export of HDF5 -----------------------------------------------------------------------------


def test_chunks_of_hdf5_move_with_their_codecs(chooser: Any, file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=VALUES, chunks=(2, 4), compression="gzip", shuffle=True)
    exporting = chooser()
    found = choose(exporting, dataset)
    assert (found.decoded, found.plugin) == (None, None)
    assert (found.request.chunks, found.request.are_chunks_given) == ((2, 4), False)
    assert [codec.codec_id for codec in found.request.codecs.filters] == ["shuffle", "zlib"]
    assert found.request.codecs.compressors is False
    assert exporting.laid_out == ["a/data"]


@pytest.mark.parametrize(
    ("options", "decoded"),
    [
        ({"codecs": "default"}, "other codecs were asked for"),
        ({"codecs": {"*": GzipCodec()}}, "other codecs were asked for"),
        ({"chunks": {"*": (3, 4)}}, "other chunks were asked for"),
        ({"chunks": {"*": (2, 4)}}, None),
        ({"shards": {"*": (4, 4)}}, None),
        ({"shards": "auto"}, None),
    ],
)
def test_what_is_asked_for_decides_whether_chunks_move(
    chooser: Any, file: h5py.File, options: Any, decoded: str | None
) -> None:
    dataset = file.create_dataset("x", data=VALUES, chunks=(2, 4), compression="gzip")
    found = choose(chooser(**options), dataset)
    assert found.decoded == decoded
    if options.get("codecs") == "default":
        assert found.request.codecs == CodecRequest()
    assert found.request.chunks == options.get("chunks", {}).get("*", (2, 4))
    assert found.request.shards == (
        options["shards"]["*"] if isinstance(options.get("shards"), dict) else options.get("shards")
    )


def test_a_contiguous_dataset_is_decoded(chooser: Any, file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=VALUES)
    found = choose(chooser(), dataset)
    assert found == Choice(request=LayoutRequest(), decoded="contiguous (no chunks)")
    assert choose(chooser(chunks={"*": (3, 4)}), dataset).request.chunks == (3, 4)


def test_text_of_hdf5_is_decoded_with_the_default_codec(chooser: Any, file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=["a", "b"], chunks=(1,), compression="gzip")
    found = choose(chooser(), dataset)
    assert found.decoded == "elements other than plain numbers"
    assert found.request == LayoutRequest()


def scale_offset(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", data=VALUES / 7, chunks=(2, 4), dtype="f4", scaleoffset=3)


def test_a_filter_without_codec_is_an_error_only_where_that_is_wanted(
    chooser: Any, file: h5py.File
) -> None:
    dataset = scale_offset(file)
    found = choose(chooser(), dataset)
    assert found.decoded is not None
    assert found.request.codecs == CodecRequest()
    with pytest.raises(LayoutError, match=f"{file.filename}:/x: .*; without strict=True"):
        choose(chooser(strict=True), dataset)
    # Other codecs were asked for: nothing is given up.
    assert choose(chooser(strict=True, codecs="default"), dataset).decoded is not None


def test_a_checksum_is_added_to_what_moves(chooser: Any, file: h5py.File) -> None:
    dataset = file.create_dataset("x", data=VALUES, chunks=(2, 4), compression="gzip")
    found = choose(chooser(checksum=True), dataset)
    assert found.request.checksum
    assert found.decoded is None
    assert choose(chooser(is_export=False, checksum=True), VALUES).request.checksum


# -- an export of another store --------------------------------------------------------------------


def test_an_array_of_a_store_is_copied_whole(chooser: Any, make_array: MakeArray) -> None:
    array = make_array(VALUES, INT16, chunks=(2, 4))
    assert choose(chooser(), array) == Choice(request=LayoutRequest(), decoded=None)
    assert chooser().why_not_copied(array) is None


def test_references_are_told_anew(chooser: Any, make_array: MakeArray) -> None:
    array = make_array(["/a", ""], REFERENCE)
    assert choose(chooser(), array) == Choice(request=LayoutRequest(), decoded="references")


def test_another_format_takes_what_it_can(chooser: Any, make_array: MakeArray) -> None:
    array = make_array(VALUES, INT16, chunks=(2, 4), compressors=GzipCodec())
    assert choose(chooser(zarr_format=2), array).decoded is None
    scalar = make_array(np.array(3, "<i2"), INT16, path="group/scalar")
    assert choose(chooser(zarr_format=2), scalar).decoded == "a scalar"


@pytest.mark.parametrize(
    ("options", "decoded", "chunks", "shards"),
    [
        ({"chunks": {"*": (2, 4)}}, None, None, None),
        ({"chunks": {"*": (3, 4)}}, "other chunks were asked for", (3, 4), None),
        ({"codecs": "default"}, "other codecs were asked for", (2, 4), None),
        ({"shards": {"*": (4, 4)}}, None, (2, 4), (4, 4)),
        ({"shards": "auto"}, None, (2, 4), "auto"),
    ],
)
def test_what_is_asked_for_decides_whether_an_array_is_copied(
    chooser: Any, make_array: MakeArray, options: Any, decoded: Any, chunks: Any, shards: Any
) -> None:
    array = make_array(VALUES, INT16, chunks=(2, 4), compressors=GzipCodec())
    found = choose(chooser(**options), array)
    assert (found.decoded, found.request.chunks, found.request.shards) == (decoded, chunks, shards)
    if options.get("codecs") != "default" and chunks is not None:
        assert found.request.codecs.compressors == [GzipCodec()]
        assert found.request.codecs.serializer == BytesCodec()


def test_an_array_of_one_chunk_needs_no_shards(chooser: Any, make_array: MakeArray) -> None:
    array = make_array(VALUES, INT16, chunks=(6, 4))
    assert choose(chooser(shards="auto"), array) == Choice(request=LayoutRequest(), decoded=None)


def test_shards_are_kept_and_in_format_2_their_chunks(chooser: Any, make_array: MakeArray) -> None:
    array = make_array(VALUES, INT16, chunks=(2, 4), shards=(4, 4), compressors=GzipCodec())
    for options in ({}, {"shards": "auto"}, {"shards": {"*": (4, 4)}}):
        assert choose(chooser(**options), array) == Choice(request=LayoutRequest(), decoded=None)
    other = choose(chooser(shards={"*": (6, 4)}), array)
    assert (other.decoded, other.request.chunks) == ("shards were asked for", (2, 4))
    old = choose(chooser(zarr_format=2), array)
    assert old.decoded == "what Zarr format 2 stores otherwise"
    assert (old.request.chunks, old.request.shards) == ((2, 4), None)
    assert old.request.codecs.compressors == [GzipCodec()]


def test_a_checksum_is_added_to_an_array_that_has_none(chooser: Any, make_array: MakeArray) -> None:
    plain = make_array(VALUES, INT16, chunks=(2, 4), compressors=GzipCodec())
    assert not has_own_checksum(plain)
    found = choose(chooser(checksum=True), plain)
    assert (found.decoded, found.request.chunks, found.request.checksum) == (None, (2, 4), True)
    checked = make_array(
        VALUES, INT16, path="group/checked", chunks=(2, 4), compressors=(GzipCodec(), Crc32cCodec())
    )
    assert has_own_checksum(checked)
    assert choose(chooser(checksum=True), checked) == Choice(request=LayoutRequest(), decoded=None)


def test_text_gets_its_checksum_by_encoding_it_anew(chooser: Any, make_array: MakeArray) -> None:
    text = make_array(["a", "b"], TEXT, compressors=ZstdCodec())
    found = choose(chooser(checksum=True), text)
    assert found.decoded == "a checksum was asked for"
    assert found.request == LayoutRequest(checksum=True)


def test_a_codec_that_loses_precision_is_not_applied_twice(
    chooser: Any, make_array: MakeArray
) -> None:
    element = ElementType("number", np.dtype("<f8"))
    array = make_array(VALUES / 7, element, chunks=(2, 4))
    document = array.hierarchy.documents["group/data"]
    rounding = {"name": "hdmf_zarr.zfp", "configuration": {}}
    array.hierarchy.set_document(
        "group/data", {**document, "codecs": [*document["codecs"], rounding]}
    )
    kept = choose(chooser(), array)
    assert kept == Choice(request=LayoutRequest(), decoded=None)
    found = choose(chooser(chunks={"*": (3, 4)}), array)
    assert found.decoded == "other chunks were asked for"
    assert found.request.codecs == CodecRequest()
    with pytest.raises(LayoutError, match="its codec would lose precision once more"):
        choose(chooser(strict=True, chunks={"*": (3, 4)}), array)
