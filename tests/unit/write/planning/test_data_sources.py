"""The data of a builder become a source of elements, of the type that was declared or that they have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from hdmf.data_utils import DataChunkIterator
from zarr.codecs import GzipCodec

from hdmf_zarr import ZarrDataIO
from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    element_type_from_numpy,
)
from hdmf_zarr.errors import DtypeError, EncodingError
from hdmf_zarr.hdf5 import HDF5Source
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.chunks.sources import (
    ChunkCopySource,
    EmptySource,
    IteratorSource,
    LazySource,
    MemorySource,
    RawSource,
    ZarrSource,
)
from hdmf_zarr.write.planning.addresses import Addresses
from hdmf_zarr.write.planning.data_sources import Intake
from hdmf_zarr.write.planning.dataio import unwrap
from hdmf_zarr.write.planning.layout_resolution import LayoutChooser
from tests.iterators import ArrayIterator
from tests.unit.conftest import MakeArray
from tests.unit.write.planning.conftest import MakeContext

SOURCE = Location("/data/source.nwb", is_local=True)


_kept: list[Any] = []
"""Builders of these tests: what is known of one is known by its id."""


def number(dtype: str) -> ElementType:
    return ElementType("number", np.dtype(dtype))


@pytest.fixture
def intake(make_context: MakeContext) -> Intake:
    context = make_context()
    addresses = Addresses(context)
    addresses.assign(GroupBuilder(name="root", groups={"x": GroupBuilder(name="x")}), "")
    return Intake(addresses, LayoutChooser(context))


@pytest.fixture
def exporting(make_context: MakeContext) -> Intake:
    context = make_context(export_source=SOURCE)
    return Intake(Addresses(context), LayoutChooser(context))


def source_of(
    intake: Intake, data: Any, dtype: Any = None, *, name: str = "data", **more: Any
) -> Any:
    spec = more.pop("spec_dtype", None)
    builder = DatasetBuilder(name=name, data=data, dtype=dtype, **more)
    if spec is not None:
        builder.matched_spec = SimpleNamespace(dtype=spec)
    _kept.append(builder)
    intake.addresses.assign(builder, name)
    unwrapped, request, _ = unwrap(data)
    return intake.source_of(unwrapped, builder, intake.layouts.choose(unwrapped, name, request))


# -- in memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype", "element", "values"),
    [
        ([1, 2], None, number("<i8"), [1, 2]),
        ([1, 2], "int8", number("i1"), [1, 2]),
        ([1.5, 2], None, number("<f8"), [1.5, 2.0]),
        (np.arange(2, dtype=">i2"), None, number(">i2"), [0, 1]),
        (range(2), None, number("<i8"), [0, 1]),
        ((i for i in (1, 2)), "int16", number("<i2"), [1, 2]),
        ({"a": 1}.keys(), None, TEXT, ["a"]),
        (["a", "ü"], None, TEXT, ["a", "ü"]),
        (["a"], "ascii", ASCII, [b"a"]),
        ([b"a"], None, ASCII, [b"a"]),
        ([b"\xff"], None, BYTES, [b"\xff"]),
        ([b"\xff"], "ascii", BYTES, [b"\xff"]),
        (["1"], "int8", TEXT, ["1"]),
        ([b"1"], "float", ASCII, [b"1"]),
        ([date(2020, 1, 2)], None, ISODATETIME, [b"2020-01-02"]),
        (pd.Series([1, 2]), None, number("<i8"), [1, 2]),
        ([], None, number("<f8"), []),
        ([], "text", TEXT, []),
    ],
)
def test_data_in_memory_have_the_declared_type_or_their_own(
    intake: Intake, data: Any, dtype: Any, element: ElementType, values: list[Any]
) -> None:
    found = source_of(intake, data, dtype)
    assert isinstance(found, MemorySource)
    assert found.element == element
    assert found.values.tolist() == values


def test_a_time_is_text_in_bytes(intake: Intake) -> None:
    found = source_of(intake, datetime(2020, 1, 2, tzinfo=UTC), "isodatetime")
    assert found.element == ISODATETIME
    assert found.values[()] == b"2020-01-02T00:00:00+00:00"


@pytest.mark.parametrize(
    ("spec_dtype", "element"),
    [("isodatetime", ISODATETIME), ("datetime", ISODATETIME), ("bytes", BYTES), ("text", TEXT)],
)
def test_text_is_refined_by_its_specification(
    intake: Intake, spec_dtype: str, element: ElementType
) -> None:
    assert source_of(intake, ["2020-01-02"], "text", spec_dtype=spec_dtype).element == element


def test_builders_become_references(intake: Intake) -> None:
    target = intake.addresses.builder_at("x")
    for data in (target, ReferenceBuilder(target)):
        found = source_of(intake, data)
        assert (found.element, found.values[()]) == (REFERENCE, "/x")
    many = source_of(intake, [ReferenceBuilder(target), None])
    assert (many.element, many.values.tolist()) == (REFERENCE, ["/x", ""])


def test_a_compound_has_the_declared_fields(intake: Intake) -> None:
    target = intake.addresses.builder_at("x")
    dtype = [{"name": "n", "dtype": "int8"}, {"name": "to", "dtype": "object"}]
    found = source_of(intake, [(1, ReferenceBuilder(target)), (2, None)], dtype)
    assert found.element.fields == (("n", number("i1")), ("to", REFERENCE))
    assert found.values.tolist() == [(1, "/x"), (2, "")]


def test_fields_that_the_builder_leaves_out_are_kept(intake: Intake) -> None:
    data = np.array([(1, b"ab")], [("n", "<i4"), ("t", "S2")])
    found = source_of(intake, data, [{"name": "n", "dtype": "int32"}])
    assert [name for name, _ in found.element.fields] == ["n", "t"]
    assert found.values.tolist() == [(1, b"ab")]


@pytest.mark.parametrize("data", [{"a": 1}, pd.Series([1]).to_dict()])
def test_a_mapping_is_no_data(intake: Intake, data: Any) -> None:
    with pytest.raises(EncodingError, match="dict objects are no data: their values would be lost"):
        source_of(intake, data)


@pytest.mark.parametrize("data", [[object()], np.zeros(2, "V3"), [[1], [1, 2]]])
def test_what_no_store_holds_is_refused(intake: Intake, data: Any) -> None:
    with pytest.raises((DtypeError, EncodingError)):
        source_of(intake, data)


def test_an_iterator_of_python_is_taken_once(intake: Intake) -> None:
    given = iter([1, 2])
    assert source_of(intake, given).values.tolist() == [1, 2]

    def rows() -> Iterator[int]:
        yield from (1, 2)

    generator = rows()
    source_of(intake, generator)
    with pytest.raises(EncodingError, match="the iterator has given data to another write"):
        source_of(intake, generator)


# -- without data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maxshape", "shape"),
    [
        (None, (0,)),
        (3, (0,)),
        ((None,), (0,)),
        ((None, 3), (0, 3)),
        ((4, 3), (0, 3)),
        ((4, None), (4, 0)),
        ((), ()),
    ],
)
def test_a_dataset_without_data_is_empty(intake: Intake, maxshape: Any, shape: Any) -> None:
    found = source_of(intake, None, "int8", maxshape=maxshape)
    assert isinstance(found, EmptySource)
    assert (found.shape, found.element) == (shape, number("i1"))


def test_a_dataset_without_data_has_the_shape_and_dtype_of_its_wrapper(intake: Intake) -> None:
    wrapper = ZarrDataIO(data=None, shape=(4, 3), dtype=np.dtype("int16"))
    found = source_of(intake, wrapper)
    assert (found.shape, found.element) == ((4, 3), number("<i2"))
    assert found.wrapper is wrapper
    assert source_of(intake, wrapper, "int64").element == number("<i8")
    assert source_of(intake, None).element == number("<f8")


# -- iterators of HDMF -----------------------------------------------------------------------------


def iterator(dtype: str = "<i2", *, n: int = 3) -> Any:
    return ArrayIterator(np.zeros((n, 2), dtype), buffer_shape=(1, 2), chunk_shape=(1, 2))


@pytest.mark.parametrize(
    ("dtype", "declared", "element"),
    [
        ("<i2", None, "<i2"),
        ("<i2", "int64", "<i8"),
        ("<i8", "int16", "<i8"),
        ("<i2", "uint32", "<u4"),
        ("<u4", "int16", "<u4"),
        ("<u4", "int32", "<i4"),
        ("<f4", "float64", "<f8"),
        ("<f8", "float32", "<f8"),
        ("<i2", "float32", "<f4"),
        ("<i8", "float32", "<i8"),
        ("<f4", "int64", "<f4"),
    ],
)
def test_numbers_of_an_iterator_are_widened_and_never_narrowed(
    intake: Intake, dtype: str, declared: str | None, element: str
) -> None:
    found = source_of(intake, iterator(dtype), declared)
    assert isinstance(found, IteratorSource)
    assert (found.element, found.shape) == (number(element), (3, 2))


def test_an_iterator_of_text_needs_a_dtype(intake: Intake) -> None:
    texts = DataChunkIterator(data=iter([["a"]]), maxshape=(None,), dtype=np.dtype(object))
    with pytest.raises(
        DtypeError, match=r"an iterator that gives objects \(object\) needs a dtype"
    ):
        source_of(intake, texts)
    found = source_of(intake, texts, "text")
    assert (found.element, found.shape) == (TEXT, (0,))


def test_fixed_bytes_of_an_iterator_are_what_was_declared(intake: Intake) -> None:
    found = source_of(intake, iterator("S3"), "text")
    assert found.element == TEXT
    assert source_of(intake, iterator("S3")).element == element_type_from_numpy(np.dtype("S3"))


def test_an_iterator_fills_one_dataset(intake: Intake) -> None:
    given = iterator()
    source_of(intake, given, name="one")
    source_of(intake, given, name="one")
    with pytest.raises(
        EncodingError, match="the iterator is that of /one, too, and gives its data"
    ):
        source_of(intake, given, name="other")


# -- lazy arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "element"),
    [
        (None, number("<i2")),
        ("int64", number("<i8")),
        ("int8", number("<i2")),
        ("uint16", number("<i2")),
        ("text", TEXT),
    ],
)
def test_a_lazy_array_is_not_read_and_not_narrowed(
    intake: Intake, declared: str | None, element: ElementType
) -> None:
    array = zarr.create_array({}, shape=(3, 2), dtype="<i2")
    found = source_of(intake, array, declared)
    assert isinstance(found, LazySource)
    assert (found.element, found.shape) == (element, (3, 2))


# -- HDF5 ------------------------------------------------------------------------------------------


def test_chunks_of_hdf5_move_in_an_export_and_are_read_in_a_write(
    intake: Intake, exporting: Intake, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.arange(6, dtype="<i2"), chunks=(2,))
        raw = source_of(exporting, dataset)
        assert isinstance(raw, RawSource)
        assert (raw.element, raw.shape, raw.n_bytes) == (number("<i2"), (6,), 12)
        read = source_of(intake, dataset)
        assert isinstance(read, HDF5Source)
        assert read.read((slice(1, 3),)).tolist() == [1, 2]


# -- another store ---------------------------------------------------------------------------------


def test_an_array_of_a_store_is_copied_moved_or_read(
    exporting: Intake, make_context: MakeContext, make_array: MakeArray
) -> None:
    array = make_array(np.arange(6, dtype="<i2"), number("<i2"), chunks=(2,))
    copied = source_of(exporting, array)
    assert isinstance(copied, ChunkCopySource)
    assert copied.array is array
    from hdmf_zarr.write.planning.export_options import LayoutOptions, PlanOptions

    def with_layout(**options: Any) -> Any:
        context = make_context(
            export_source=SOURCE, options=PlanOptions(layout=LayoutOptions(**options))
        )
        return source_of(Intake(Addresses(context), LayoutChooser(context)), array)

    moved = with_layout(shards={"*": (4,)})
    assert isinstance(moved, RawSource)
    assert (moved.shape, moved.has_checksum) == ((6,), False)
    read = with_layout(codecs={"*": GzipCodec()})
    assert isinstance(read, ZarrSource)
    assert read.read((slice(0, 2),)).tolist() == [0, 1]


def test_references_of_a_store_are_read_and_told_anew(
    exporting: Intake, make_array: MakeArray
) -> None:
    found = source_of(exporting, make_array(["", ""], REFERENCE))
    assert isinstance(found, ZarrSource)
    assert found.read((slice(None),)).tolist() == ["", ""]
