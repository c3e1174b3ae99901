"""Any chain of filters gives back what it was given, to both readers, or is refused."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, GzipCodec, TransposeCodec
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.errors import EncodingError, LayoutError

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")

DTYPES = ["|u1", "|i1", "<i2", "<u4", "<i8", "<f4", "<f8", "|b1"]


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of whole numbers, some in Fortran order, some not contiguous."""
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    random = np.random.default_rng(draw(st.integers(0, 100)))
    low = 0 if dtype.kind in "ub" else -100
    values = random.integers(low, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
    layout = draw(st.sampled_from(["C", "F", "strided"]))
    if layout == "strided":
        return np.repeat(values, 2, axis=0)[::2]
    return np.asarray(values, order=layout)  # type: ignore[call-overload]


def chains(values: np.ndarray[Any, Any]) -> st.SearchStrategy[list[Any]]:
    """Chains of filters that round no whole number, in any order, whether they go together or not."""
    dtype = values.dtype.str
    orders = itertools.permutations(range(values.ndim))
    filters = [
        *(TransposeCodec(order=order) for order in orders),
        numcodecs.Delta(dtype) if dtype != "|b1" else numcodecs.PackBits(),
        numcodecs.Shuffle(values.dtype.itemsize),
    ]
    if values.dtype.kind in "iuf":
        filters += [
            numcodecs.FixedScaleOffset(3, 2, dtype, dtype),
            numcodecs.AsType("<f8" if dtype[0] == "<" else dtype, dtype),
            numcodecs.AsType("|i1", dtype) if values.dtype.kind != "f" else numcodecs.BitRound(10),
        ]
    return st.lists(st.sampled_from(filters), max_size=3)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_both_readers_have_the_values_or_nothing_is_written(
    zarr_format: int, data: st.DataObject
) -> None:
    values = data.draw(arrays())
    chunks = tuple(data.draw(st.integers(1, size)) for size in values.shape)
    per_shard = data.draw(st.sampled_from([None, 2])) if zarr_format == 3 else None
    wrapped = ZarrDataIO(
        values,
        chunks=chunks,
        shards=None if per_shard is None else tuple(per_shard * size for size in chunks),
        filters=data.draw(chains(values)),
        serializer=data.draw(st.sampled_from([None, BytesCodec(endian="big")])),
        compressor=data.draw(st.sampled_from([False, GzipCodec(), numcodecs.LZ4()])),
    )
    store = MemoryStore()
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", wrapped)])
    try:
        with ZarrIO(store, "w", zarr_format=zarr_format) as io:
            io.write_builder(root)
    except (LayoutError, EncodingError):
        assert not store._store_dict
        return
    with ZarrIO(store, "r") as io:
        np.testing.assert_array_equal(np.asarray(io.read_builder()["data"].data[...]), values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = zarr.open_array(store, path="data", mode="r")
        np.testing.assert_array_equal(found[...], values)
