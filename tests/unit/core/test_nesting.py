"""Nested compounds and their plain fields, there and back."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.core.nesting import (
    Leaf,
    at_leaf,
    flattened,
    is_nested,
    leaf_dtype,
    leaves_of,
    nested,
    nesting_of,
    number_of_leaves,
)

POINT = [("x", "f8"), ("y", "f4")]
DEEP = np.dtype([("n", "i1"), ("p", POINT, (2,)), ("w", "i2", (2, 2)), ("q", [("r", POINT)])])

FIELDS = st.recursive(
    st.sampled_from(["<i2", ">f8", "S3", "U2", "?"]),
    lambda inner: st.lists(
        st.tuples(inner, st.sampled_from([(), (1,), (2,), (2, 1)])), min_size=1, max_size=2
    ),
    max_leaves=4,
)


def as_dtype(fields: Any) -> Any:
    if isinstance(fields, str):
        return fields
    return [(f"f{at}", as_dtype(inner), shape) for at, (inner, shape) in enumerate(fields)]


RECORDS = FIELDS.filter(lambda found: isinstance(found, list)).map(as_dtype).map(np.dtype)


def filled(dtype: np.dtype[Any], n: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(3)
    values = np.zeros(n, dtype=dtype)
    for leaf in leaves_of(dtype):
        place = at_leaf(values, leaf)
        place[...] = rng.integers(0, 9, place.shape).astype(place.dtype)
    return values


def flat_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype([(leaf.name, leaf_dtype(dtype, leaf)) for leaf in leaves_of(dtype)])


@pytest.mark.parametrize(
    ("dtype", "nests"),
    [
        ("f8", False),
        ([("x", "f8")], False),
        ([("x", "f8", (2,))], True),
        ([("x", "f8"), ("p", POINT)], True),
    ],
    ids=str,
)
def test_a_compound_is_nested_if_a_field_is_no_leaf(dtype: Any, *, nests: bool) -> None:
    assert is_nested(np.dtype(dtype)) is nests


def test_leaves_are_named_by_the_way_to_them() -> None:
    assert [leaf.name for leaf in leaves_of(DEEP)] == [
        *("n", "p[0].x", "p[0].y", "p[1].x", "p[1].y"),
        *("w[0,0]", "w[0,1]", "w[1,0]", "w[1,1]", "q.r.x", "q.r.y"),
    ]
    assert leaves_of(DEEP)[2] == Leaf("p[0].y", ("p", (0,), "y"))
    assert number_of_leaves(DEEP) == 11


def test_what_is_no_compound_is_one_leaf() -> None:
    assert leaves_of(np.dtype("f8")) == (Leaf("", ()),)
    assert number_of_leaves(np.dtype("f8")) == 1
    assert leaf_dtype(np.dtype("f8"), Leaf("", ())) == np.dtype("f8")


def test_leaves_are_counted_without_being_made() -> None:
    assert number_of_leaves(np.dtype([("w", "i1", (2**15, 2**15))])) == 2**30


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([("p", [("x", "f8")]), ("p.x", "i1")], ["p.x_", "p.x"]),
        ([("w", "i1", (1,)), ("w[0]", "i1"), ("w[0]_", "i1")], ["w[0]__", "w[0]", "w[0]_"]),
        ([("a", [("b.c", "f8")]), ("a.b", [("c", "f8")])], ["a.b.c", "a.b.c_"]),
        ([(".a", "f8"), ("p", [(".a", "f8")])], [".a", "p..a"]),
    ],
    ids=str,
)
def test_names_of_leaves_are_made_unique(fields: Any, names: list[str]) -> None:
    assert [leaf.name for leaf in leaves_of(np.dtype(fields))] == names


def test_a_leaf_keeps_the_mark_that_h5py_gave_it() -> None:
    color = h5py.enum_dtype({"RED": 0, "BLUE": 7}, basetype="i1")
    dtype = np.dtype([("p", [("color", color)], (2,))])
    for leaf in leaves_of(dtype):
        assert h5py.check_enum_dtype(leaf_dtype(dtype, leaf)) == {"RED": 0, "BLUE": 7}


def test_a_leaf_is_a_view_of_the_values() -> None:
    values = np.zeros(3, dtype=DEEP)
    for number, leaf in enumerate(leaves_of(DEEP)):
        at_leaf(values, leaf)[...] = number
    assert values[1]["p"]["x"].tolist() == [1.0, 3.0]
    assert values[1]["w"].tolist() == [[5, 6], [7, 8]]
    assert values[1]["q"]["r"]["y"] == 10


def test_the_nesting_says_how_leaves_belong_together() -> None:
    assert nesting_of(DEEP) == [
        "n",
        {"name": "p", "shape": [2], "fields": ["x", "y"]},
        {"name": "w", "shape": [2, 2]},
        {"name": "q", "fields": [{"name": "r", "fields": ["x", "y"]}]},
    ]
    assert nesting_of(np.dtype("f8")) == []


@given(RECORDS, st.integers(0, 3))
def test_compounds_come_back_from_their_leaves(dtype: np.dtype[Any], n: int) -> None:
    values = filled(dtype, n)
    flat = flattened(values, flat_dtype(dtype))
    assert not is_nested(flat.dtype)
    assert all(at_leaf(values, leaf).dtype == leaf_dtype(dtype, leaf) for leaf in leaves_of(dtype))
    back = nested(flat, dtype)
    assert back.dtype == dtype
    assert str(back.tolist()) == str(values.tolist())
    assert len(leaves_of(dtype)) == number_of_leaves(dtype)
    assert len({leaf.name for leaf in leaves_of(dtype)}) == len(leaves_of(dtype))


def test_arrays_of_compounds_keep_their_shape() -> None:
    values = filled(DEEP, 6).reshape(2, 3)
    flat = flattened(values, flat_dtype(DEEP))
    assert flat.shape == (2, 3)
    assert flat["p[1].x"].tolist() == values["p"][..., 1]["x"].tolist()
    assert str(nested(flat, DEEP).tolist()) == str(values.tolist())


def test_fields_are_as_many_as_leaves() -> None:
    with pytest.raises(ValueError, match="zip"):
        flattened(np.zeros(1, dtype=DEEP), np.dtype([("n", "i1")]))
    with pytest.raises(ValueError, match="zip"):
        nested(np.zeros(1, dtype=[("n", "i1")]), DEEP)
