"""Values that hypothesis draws: text, arrays, element types, layouts."""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from hdmf_zarr.core.dtypes import ASCII, BYTES, ISODATETIME, REFERENCE, TEXT, ElementType
from hdmf_zarr.stores.keys import why_changed, why_unsafe

NUMBER_DTYPES = [
    np.dtype(name)
    for name in (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "bool", "complex64", "complex128"),
    )
]

number_dtypes = st.sampled_from(NUMBER_DTYPES)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Every text that UTF-8 has: NULs, combining marks, text from right to left, emoji."""

tricky_text = text | st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "null", "", "\0", "{}", "1", "/"]
)

fixed_text = text.map(lambda value: value.rstrip("\0"))
"""Text without a NUL at its end, which text of fixed length cannot have."""

utf8 = text.map(lambda value: value.encode("utf-8"))

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))

node_names = names.filter(lambda name: not (why_unsafe(name) or why_changed(name)))
"""Names under which objects are written."""

paths = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))


def shapes(max_dims: int = 4, min_dims: int = 0, max_side: int = 5) -> Any:
    return st.lists(st.integers(0, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def number_arrays(draw: Any, max_dims: int = 4, min_dims: int = 0, max_side: int = 5) -> Any:
    """Arrays of every dtype that has a number, with NaN, infinities and empty dimensions."""
    dtype = draw(number_dtypes)
    return draw(npst.arrays(dtype, draw(shapes(max_dims, min_dims, max_side))))


@st.composite
def object_arrays(draw: Any, elements: Any, max_dims: int = 3, min_dims: int = 0) -> Any:
    shape = draw(shapes(max_dims, min_dims, 3))
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = draw(elements)
    return array


KIND_ELEMENTS: dict[str, tuple[ElementType, Any]] = {
    "text": (TEXT, text),
    "ascii": (ASCII, utf8),
    "isodatetime": (ISODATETIME, st.datetimes().map(lambda d: d.isoformat().encode())),
    "bytes": (BYTES, st.binary(max_size=8)),
    "reference": (REFERENCE, st.just("") | paths),
}

FIELD_ELEMENTS: dict[str, tuple[ElementType, Any]] = {
    "text": (TEXT, fixed_text),
    "ascii": (ASCII, fixed_text.map(lambda value: value.encode("utf-8"))),
    "isodatetime": KIND_ELEMENTS["isodatetime"],
    "bytes": (BYTES, st.binary(max_size=8).map(lambda value: value.rstrip(b"\0"))),
    "reference": (REFERENCE, st.just("") | paths.map(lambda value: value.rstrip("\0"))),
}


@st.composite
def compounds(draw: Any) -> tuple[ElementType, Any]:
    """An element type of random fields, and an array of its records."""
    field_names = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    count = draw(st.integers(0, 4))
    fields, columns = [], []
    for name in field_names:
        kind = draw(st.sampled_from([*FIELD_ELEMENTS, "number", "number"]))
        if kind == "number":
            dtype = draw(number_dtypes)
            fields.append((name, ElementType("number", dtype)))
            columns.append(draw(npst.arrays(dtype, (count,))))
        else:
            element, values = FIELD_ELEMENTS[kind]
            fields.append((name, element))
            column = np.empty(count, dtype=object)
            column[:] = draw(st.lists(values, min_size=count, max_size=count))
            columns.append(column)
    element = ElementType("compound", fields=tuple(fields))
    records = np.empty(count, dtype=element.memory_dtype)
    for (name, _), column in zip(fields, columns, strict=True):
        records[name] = column
    return element, records


compressors = st.sampled_from(
    [
        *(None, True, False, [], GzipCodec(level=1), ZstdCodec(level=1)),
        *(BloscCodec(cname="lz4"), numcodecs.Blosc("zstd", 1, -1), numcodecs.GZip(1)),
        [GzipCodec(level=1), ZstdCodec(level=1)],
    ]
)


@st.composite
def layouts(draw: Any, ndim: int) -> dict[str, Any]:
    """Options of `ZarrDataIO` that fit any array of a number of dimensions."""
    options: dict[str, Any] = {"compressor": draw(compressors)}
    if ndim == 0:
        return options
    if draw(st.booleans()):
        options["chunks"] = tuple(draw(st.lists(st.integers(1, 6), min_size=ndim, max_size=ndim)))
        kind = draw(st.sampled_from(["none", "auto", "multiples"]))
        if kind == "auto":
            options["shards"] = "auto"
        elif kind == "multiples":
            factors = draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim))
            options["shards"] = tuple(
                c * f for c, f in zip(options["chunks"], factors, strict=True)
            )
    return options


def assert_equal_arrays(actual: Any, expected: Any) -> None:
    """Equal in dtype, shape and every element, NaN included."""
    actual = np.asarray(actual)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.kind == "O" or expected.dtype.names:
        assert_equal_objects(actual, expected)
    else:
        np.testing.assert_array_equal(actual, expected)


def assert_equal_objects(actual: Any, expected: Any) -> None:
    if expected.dtype.names:
        for name in expected.dtype.names:
            assert_equal_arrays(actual[name], expected[name])
        return
    for one, other in zip(actual.ravel(), expected.ravel(), strict=True):
        assert type(one) is type(other)
        assert one == other
