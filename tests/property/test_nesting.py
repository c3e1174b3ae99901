"""Compounds of any depth: made flat and nested again, with their types, their names and their values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hdmf_zarr.core.dtypes import (
    ElementType,
    element_type_from_numpy,
    enum_names_of,
    with_enum_names,
)
from hdmf_zarr.core.elements import decode_elements, encode_elements, field_widths
from hdmf_zarr.core.nesting import (
    at_leaf,
    flattened,
    leaf_dtype,
    leaves_of,
    nested,
    nesting_of,
    number_of_leaves,
)
from hdmf_zarr.metadata.element_types import nested_type

NUMBERS = ("i1", "u2", "f8", "c8", "?", "S3")

ENUM = np.dtype("i2", metadata={"enum": {"A": 0, "B": 1}})

# Few names, so that joined ones collide: "a.b" is a field, too, and so is "a[0]".
names = st.sampled_from(["a", "b", "a.b", "a.b_", "a[0]", "b[1].a", "", ".", "ä b", "c"])
shapes = st.one_of(st.just(()), st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple))


def compound_of(fields: Any) -> np.dtype[Any]:
    given_names, dtypes, sizes = zip(*fields, strict=True)
    return np.dtype(
        [
            (name or "empty", dtype, shape)
            for name, dtype, shape in zip(given_names, dtypes, sizes, strict=True)
        ]
    )


def compounds(leaves: Any) -> Any:
    def extended(children: Any) -> Any:
        field = st.tuples(names, children, shapes)
        fields = st.lists(field, min_size=1, max_size=4, unique_by=lambda one: one[0])
        return fields.map(compound_of)

    return extended(st.recursive(leaves, extended, max_leaves=6)).filter(
        lambda dtype: number_of_leaves(dtype) < 300
    )


def values_of(dtype: np.dtype[Any], seed: int, shape: tuple[int, ...] = (4,)) -> Any:
    """Return compounds that are different in every leaf."""
    values, random = np.zeros(shape, dtype), np.random.default_rng(seed)
    for leaf in leaves_of(dtype):
        column = at_leaf(values, leaf)
        numbers = random.integers(0, 100, shape)
        if column.dtype.kind == "O":
            numbers = np.array([f"t{n}é" for n in numbers.ravel()], object).reshape(shape)
        column[...] = numbers.astype(column.dtype)
    return values


@given(compounds(st.sampled_from([np.dtype(name) for name in NUMBERS])), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_a_compound_is_the_same_again(dtype: np.dtype[Any], seed: int) -> None:
    element = element_type_from_numpy(dtype)
    assert element.memory_dtype == dtype
    flat = element.flat
    leaves = [name for name, _ in flat.fields]
    assert len(set(leaves)) == len(leaves) == number_of_leaves(dtype)
    assert {name for name, field in element.fields if not field.fields and not field.shape} <= {
        *leaves
    }
    assert not flat.is_nested
    nesting = json.loads(json.dumps(nesting_of(dtype)))
    assert nested_type(flat, nesting) == element
    for shape in ((4,), (2, 3), (), (0,)):
        values = values_of(dtype, seed, shape)
        stored = flattened(values, flat.memory_dtype)
        assert stored.dtype.names == tuple(leaves)
        assert nested(stored, dtype).tobytes() == values.tobytes()
        encoded = encode_elements(values, element, flat.memory_dtype)
        assert decode_elements(encoded, element).tobytes() == values.tobytes()


@given(compounds(st.just(np.dtype("i2"))), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_text_in_a_compound_is_the_same_again(dtype: np.dtype[Any], seed: int) -> None:
    element = _with_text(element_type_from_numpy(dtype))
    values = values_of(element.memory_dtype, seed)
    flat = element.flat
    widths = field_widths(values, element)
    stored = np.dtype(
        [
            (name, f"U{widths[name]}" if name in widths else field.memory_dtype)
            for name, field in flat.fields
        ]
    )
    for kept in (stored, None):  # rows as JSON, too
        encoded = encode_elements(values, element, kept)
        decoded = decode_elements(encoded, element)
        assert decoded.dtype == element.memory_dtype
        for leaf in leaves_of(values.dtype):
            assert at_leaf(decoded, leaf).tolist() == at_leaf(values, leaf).tolist()


def _with_text(element: ElementType) -> ElementType:
    """Return a compound with text in every second field that is a number."""
    fields = []
    for position, (name, field) in enumerate(element.fields):
        new = _with_text(field) if field.fields else field
        if not field.fields and position % 2 == 0:
            new = ElementType("text", shape=field.shape)
        fields.append((name, new))
    return ElementType("compound", fields=tuple(fields), shape=element.shape)


@given(compounds(st.sampled_from([np.dtype("i2"), ENUM, np.dtype("f4")])))
@settings(max_examples=60, deadline=None)
def test_names_of_enumerations_are_those_of_leaves(dtype: np.dtype[Any]) -> None:
    names = enum_names_of(dtype)
    marked = with_enum_names(element_type_from_numpy(dtype).memory_dtype, names)
    assert marked == dtype
    for leaf in leaves_of(dtype):
        held = leaf_dtype(dtype, leaf).metadata
        assert leaf_dtype(marked, leaf).metadata == held
        assert names.get(leaf.name, {}) == (held or {"enum": {}})["enum"]
