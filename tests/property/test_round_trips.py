"""What is written into a store is what is read from it: any data, any layout, any iterator."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.codecs import CodecRequest, complete_chain
from hdmf_zarr.core.dtypes import element_type_from_numpy, field_dtype_name

from .strategies import (
    KIND_ELEMENTS,
    assert_equal_arrays,
    compounds,
    compressors,
    layouts,
    names,
    node_names,
    number_arrays,
    number_dtypes,
    object_arrays,
    text,
    tricky_text,
)


def write(builder: GroupBuilder) -> MemoryStore:
    store = MemoryStore()
    with ZarrIO(store, "w") as io:
        io.write_builder(builder)
    return store


def round_trip(dataset: DatasetBuilder, *, mode: str = "r") -> Any:
    """The dataset's builder, as it is read from a new store."""
    root = GroupBuilder("root", datasets=[dataset], attributes={"data_type": "Root"})
    io = ZarrIO(write(root), mode)
    io.open()
    return io.read_builder()[dataset.name]


def data_of(builder: Any) -> Any:
    data = builder.data
    return data[...] if hasattr(data, "chunks") else data


@st.composite
def laid_out(draw: Any, arrays: Any) -> tuple[Any, dict[str, Any]]:
    array = draw(arrays)
    return array, draw(layouts(array.ndim))


# -- arrays ----------------------------------------------------------------------------------------


@settings(max_examples=33)
@given(laid_out(number_arrays()))
def test_numbers_in_any_layout(drawn: Any) -> None:
    array, options = drawn
    read = round_trip(DatasetBuilder("data", ZarrDataIO(array, **options)))
    assert_equal_arrays(data_of(read), array)
    assert read.dtype == array.dtype


@settings(max_examples=15)
@given(
    npst.arrays(
        npst.byte_string_dtypes(max_len=5), npst.array_shapes(min_dims=1, max_dims=2, max_side=3)
    )
)
def test_bytes_of_fixed_length(array: Any) -> None:
    read = data_of(round_trip(DatasetBuilder("data", array)))
    assert np.asarray(read).tolist() == array.tolist()


@settings(max_examples=16)
@given(laid_out(object_arrays(text)))
def test_text_in_any_layout(drawn: Any) -> None:
    array, options = drawn
    read = round_trip(DatasetBuilder("data", ZarrDataIO(array, **options), dtype="text"))
    assert_equal_arrays(np.asarray(data_of(read), dtype=object), array)


@settings(max_examples=15)
@given(object_arrays(KIND_ELEMENTS["ascii"][1], min_dims=1))
def test_ascii_in_any_shape(array: Any) -> None:
    assert_equal_arrays(data_of(round_trip(DatasetBuilder("data", array, dtype="ascii"))), array)


@settings(max_examples=15)
@given(object_arrays(st.binary(max_size=6), min_dims=1))
def test_bytes_of_any_length(array: Any) -> None:
    assert_equal_arrays(data_of(round_trip(DatasetBuilder("data", array, dtype="bytes"))), array)


@settings(max_examples=15)
@given(st.binary(min_size=1, max_size=8) | text)
def test_one_text_or_bytes(value: Any) -> None:
    read = data_of(round_trip(DatasetBuilder("data", value)))
    as_bytes = [v.encode("utf-8") if isinstance(v, str) else bytes(v) for v in (read, value)]
    assert as_bytes[0] == as_bytes[1]


@settings(max_examples=20)
@given(compounds())
def test_compounds(drawn: Any) -> None:
    element, records = drawn
    fields = [(name, field) for name, field in element.fields if field.kind != "reference"]
    if not fields:
        return
    kinds = {"bytes": "bytes", "isodatetime": "isodatetime"}
    dtype = [
        {"name": name, "dtype": kinds.get(field.kind, field_dtype_name(field))}
        for name, field in fields
    ]
    rows = [tuple(row[name] for name, _ in fields) for row in records]
    read = round_trip(DatasetBuilder("data", rows, dtype=dtype)).data.dataset[...]
    for name, _ in fields:
        assert_equal_arrays(read[name], records[name])


@settings(max_examples=15)
@given(st.lists(node_names, min_size=1, max_size=4, unique_by=str.casefold), st.data())
def test_references_of_any_shape(targets: list[str], data: Any) -> None:
    groups = {name: GroupBuilder(name) for name in targets if name not in ("refs", "zarr.json")}
    if not groups:
        return
    chosen = data.draw(st.lists(st.sampled_from(sorted(groups)), max_size=5))
    refs = DatasetBuilder(
        "refs", [ReferenceBuilder(groups[name]) for name in chosen], dtype="object"
    )
    inner = GroupBuilder("inner", groups=groups)
    root = GroupBuilder("root", groups=[inner], datasets=[refs], attributes={"data_type": "Root"})
    with ZarrIO(write(root), "r") as io:
        read = io.read_builder()
        found = read["refs"].data[:]
        assert [target.name for target in found] == chosen
        assert all(target is read["inner"].groups[target.name] for target in found)


@settings(max_examples=20)
@given(
    st.dictionaries(
        names.filter(lambda name: not name.startswith("_") and name != ".specloc"),
        number_arrays(max_dims=2)
        | tricky_text
        | object_arrays(tricky_text, min_dims=1, max_dims=1),
        max_size=4,
    )
)
def test_attributes(attributes: dict[str, Any]) -> None:
    read = round_trip(DatasetBuilder("data", [1], attributes=attributes))
    assert set(read.attributes) == set(attributes)
    for name, value in attributes.items():
        if isinstance(value, str):
            assert read.attributes[name] == value
        else:
            assert_equal_arrays(np.asarray(read.attributes[name]), value)


# -- rows that come later --------------------------------------------------------------------------


@settings(max_examples=20)
@given(number_dtypes, st.data())
def test_rows_that_are_appended(dtype: Any, data: Any) -> None:
    columns = data.draw(st.integers(1, 3))
    blocks = data.draw(
        st.lists(
            st.integers(0, 4).flatmap(lambda n: npst.arrays(dtype, (n, columns))),
            min_size=1,
            max_size=4,
        )
    )
    options = data.draw(layouts(2))
    builder = round_trip(DatasetBuilder("data", ZarrDataIO(blocks[0], **options)), mode="r+")
    for block in blocks[1:]:
        builder.data.append(block)
    assert_equal_arrays(builder.data[...], np.concatenate(blocks))


@settings(max_examples=15)
@given(number_arrays(min_dims=1, max_dims=2), st.data())
def test_rows_that_are_selected(array: Any, data: Any) -> None:
    lazy = round_trip(DatasetBuilder("data", ZarrDataIO(array, chunks=(2,) * array.ndim))).data
    count = array.shape[0]
    selections = [st.slices(count)]
    if count:
        selections.append(st.integers(-count, count - 1))
        selections.append(st.lists(st.integers(0, count - 1), max_size=4))
        selections.append(npst.arrays(bool, (count,)))
        selections.append(
            npst.arrays("uint64", st.integers(0, 4), elements=st.integers(0, count - 1))
        )
    selection = data.draw(st.one_of(selections))
    if isinstance(selection, slice) and (selection.step or 1) < 1:
        return  # which Zarr does not have
    index = np.asarray(selection, dtype=np.intp) if isinstance(selection, list) else selection
    expected = array[index]
    assert_equal_arrays(np.asarray(lazy[selection], dtype=array.dtype), np.asarray(expected))


# -- iterators -------------------------------------------------------------------------------------


class OfArray(GenericDataChunkIterator):  # type: ignore[misc]
    """Gives an array in buffers of any shape."""

    def __init__(self, array: Any, **options: Any) -> None:
        self.array = array
        super().__init__(**options)

    def _get_data(self, selection: Any) -> Any:
        return self.array[selection]

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    def _get_dtype(self) -> Any:
        return self.array.dtype


@settings(max_examples=20)
@given(number_arrays(min_dims=1, max_dims=3), st.data())
def test_an_iterator_over_rows(array: Any, data: Any) -> None:
    if 0 in array.shape:
        return
    buffer_size = data.draw(st.integers(1, 7))
    options = data.draw(layouts(array.ndim))
    iterator = DataChunkIterator(data=iter(array), buffer_size=buffer_size, dtype=array.dtype)
    if data.draw(st.booleans()):
        iterator = DataChunkIterator(data=array, buffer_size=buffer_size)
    read = round_trip(DatasetBuilder("data", ZarrDataIO(iterator, **options)))
    assert_equal_arrays(data_of(read), array)


@settings(max_examples=20)
@given(number_arrays(min_dims=1, max_dims=3, max_side=7), st.data())
def test_an_iterator_of_any_buffers(array: Any, data: Any) -> None:
    if 0 in array.shape:
        return
    chunk_shape = tuple(data.draw(st.integers(1, size)) for size in array.shape)
    buffer_shape = tuple(
        min(size, chunk * data.draw(st.integers(1, 3)))
        for size, chunk in zip(array.shape, chunk_shape, strict=True)
    )
    iterator = OfArray(array, buffer_shape=buffer_shape, chunk_shape=chunk_shape)
    options = data.draw(st.just({}) | layouts(array.ndim))
    read = round_trip(DatasetBuilder("data", ZarrDataIO(iterator, **options)))
    assert_equal_arrays(data_of(read), array)


# -- codecs ----------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(number_arrays(min_dims=1), compressors)
def test_any_chain_of_codecs(array: Any, compressor: Any) -> None:
    import zarr

    element = element_type_from_numpy(array.dtype)
    chain = complete_chain(
        CodecRequest(compressors=compressor), element, array.dtype, is_scalar=False
    )
    stored = zarr.create_array(
        MemoryStore(),
        shape=array.shape,
        dtype=array.dtype,
        chunks=(2,) * array.ndim,
        filters=chain.filters,
        serializer=chain.serializer,
        compressors=chain.compressors,
    )
    stored[...] = array
    assert_equal_arrays(stored[...], array)
