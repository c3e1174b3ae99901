"""Attributes of builders become those of nodes, with their dtypes and references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.convention import convention_for_format
from hdmf_zarr.convention.attributes import decode_attribute
from hdmf_zarr.core import limits
from hdmf_zarr.errors import BrokenLinkError, DtypeError, EncodingError
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.planning.addresses import Addresses
from hdmf_zarr.write.planning.attributes import (
    AttributeEncoder,
    check_decodable,
    merged,
    refuse_like_reference,
)
from hdmf_zarr.write.planning.export_options import PlanOptions
from tests.unit.write.planning.conftest import MakeContext

TYPES = "_ATTRIBUTE_DTYPES"
UNIFIED = convention_for_format(3)


def encoder(context: Any, *targets: Any) -> AttributeEncoder:
    """An encoder for a store that has some groups at its root."""
    addresses = Addresses(context)
    addresses.assign(GroupBuilder(name="root", groups={one.name: one for one in targets}), "")
    return AttributeEncoder(context, addresses)


def encoded(context: Any, *targets: Any, **attributes: Any) -> dict[str, Any]:
    return encoder(context, *targets).encode(GroupBuilder(name="g", attributes=attributes))


def reference(path: str) -> dict[str, Any]:
    return {"_REFERENCE": {"source": ".", "path": path}}


# -- values ----------------------------------------------------------------------------------------


def test_dtypes_that_json_loses_are_recorded(make_context: MakeContext) -> None:
    assert encoded(
        make_context(), text="a", whole=1, real=0.5, small=np.int8(3), many=np.arange(2, dtype="f4")
    ) == {
        "text": "a",
        "whole": 1,
        "real": 0.5,
        "small": 3,
        "many": [0.0, 1.0],
        TYPES: {"small": "int8", "many": "float32"},
    }


def test_without_dtypes_nothing_is_recorded(make_context: MakeContext) -> None:
    assert encoded(make_context(), a="b") == {"a": "b"}
    assert encoded(make_context()) == {}


@pytest.mark.parametrize("name", sorted(UNIFIED.reserved))
def test_a_reserved_name_is_refused(make_context: MakeContext, name: str) -> None:
    with pytest.raises(EncodingError, match=f"attribute '{name}' has a name that the format"):
        encoded(make_context(), **{name: 1})


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([1, "a"], EncodingError),
        ([1, None], EncodingError),
        (object(), EncodingError),
        (np.zeros(2, "V3"), DtypeError),
        ([[1], [1, 2]], EncodingError),
    ],
)
def test_a_value_without_json_is_refused_by_its_name(
    make_context: MakeContext, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="attribute 'bad': "):
        encoded(make_context(), bad=value)


def test_what_was_read_from_a_store_may_be_mixed(make_context: MakeContext) -> None:
    context = make_context(is_written=lambda _: True)
    assert encoded(context, old=[1, "a"]) == {"old": [1, "a"]}


@pytest.mark.parametrize(
    ("value", "spelled"), [(np.float32("nan"), "NaN"), (float("inf"), "Infinity")]
)
def test_strict_json_spells_what_json_has_not(
    make_context: MakeContext, value: Any, spelled: str
) -> None:
    found = encoded(make_context(options=PlanOptions(strict_json=True)), x=value)
    assert found["x"] == spelled
    assert not np.isfinite(decode_attribute(found["x"], found[TYPES]["x"]))
    plain = encoded(make_context(), x=value)["x"]
    assert isinstance(plain, float)


# -- references ------------------------------------------------------------------------------------


def test_builders_become_references(make_context: MakeContext) -> None:
    x, y = GroupBuilder(name="x"), GroupBuilder(name="y")
    found = encoded(make_context(), x, y, one=x, other=ReferenceBuilder(y), many=[x, y])
    assert found == {
        "one": reference("/x"),
        "other": reference("/y"),
        "many": [reference("/x"), reference("/y")],
    }


def test_an_array_of_builders_becomes_a_list(make_context: MakeContext) -> None:
    x = GroupBuilder(name="x")
    array = np.empty(2, object)
    array[:] = [x, x]
    assert encoded(make_context(), x, many=array) == {"many": [reference("/x")] * 2}


@pytest.mark.parametrize("other", ["a", 1, None])
def test_nothing_else_stands_among_references(make_context: MakeContext, other: Any) -> None:
    x = GroupBuilder(name="x")
    with pytest.raises(EncodingError, match="attribute 'many': found .* beside references"):
        encoded(make_context(), x, many=[x, other])


def test_a_reference_out_of_what_is_written_is_an_error(make_context: MakeContext) -> None:
    with pytest.raises(BrokenLinkError, match="a reference to 'x'"):
        encoded(make_context(), one=GroupBuilder(name="x"))


@pytest.mark.parametrize(
    "value",
    [
        {"_REFERENCE": {"source": ".", "path": "/a"}},
        [{"_REFERENCE": {"source": ".", "path": "/a"}}],
        {"_REFERENCE": 3},
        {"_REFERENCE": {}},
    ],
)
def test_a_mapping_that_would_be_read_as_a_reference_is_refused(
    make_context: MakeContext, value: Any
) -> None:
    with pytest.raises(EncodingError, match="would be read as a reference; give the object"):
        refuse_like_reference(value, UNIFIED)
    with pytest.raises(EncodingError, match="attribute 'x': .* would be read as a reference"):
        encoded(make_context(), x=value)


@pytest.mark.parametrize("value", [{}, {"a": 1}, [{"a": 1}], "a", None, [], [1]])
def test_other_values_are_no_references(value: Any) -> None:
    refuse_like_reference(value, UNIFIED)


def test_references_in_a_compound_are_kept_at_their_places(make_context: MakeContext) -> None:
    x = GroupBuilder(name="x")
    dtype = np.dtype([("n", "<i4"), ("to", h5py.ref_dtype)])
    value = np.array([(1, None), (2, None)], dtype)
    value["to"][1] = x
    found = encoded(make_context(), x, c=value)
    assert found["c"] == {"n": [1, 2], "to": [None, reference("/x")]}
    assert found[TYPES]["c"].startswith("compound ")


# -- HDF5 ------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Any:
    with h5py.File(tmp_path / "a.nwb", "w") as made:
        x = made.create_group("x")
        made.create_dataset("scale", data=[1]).make_scale("s")
        made.create_group("gone")
        g = made.create_group("g")
        g.attrs["many"] = np.array([x.ref, made["scale"].ref], dtype=h5py.ref_dtype)
        colors = h5py.enum_dtype({"GREEN": 0, "RED": 1}, basetype="i1")
        g.attrs.create("color", 1, dtype=colors)
        g.attrs["region"] = made["scale"].regionref[:1]
        yield made


def hdf5_context(make_context: MakeContext, file: h5py.File) -> Any:
    return make_context(
        export_source=Location(file.filename, is_local=True),
        hdf5_file=file,
    )


def hdf5_encoded(make_context: MakeContext, file: h5py.File, **attributes: Any) -> dict[str, Any]:
    x, scale = GroupBuilder(name="x"), GroupBuilder(name="scale")
    builder = GroupBuilder(name="g", attributes=attributes, source=file.filename)
    builder.location = "/"
    root = GroupBuilder(name="root", groups={"g": builder, "x": x, "scale": scale})
    if attributes.get("region") == "x":
        builder.set_attribute("region", x)
    addresses = Addresses(hdf5_context(make_context, file))
    addresses.assign(root, "")
    return AttributeEncoder(addresses.context, addresses).encode(builder)


def test_an_array_of_references_of_hdf5_becomes_a_list(
    make_context: MakeContext, file: h5py.File
) -> None:
    found = hdf5_encoded(make_context, file, many=file["g"].attrs["many"])
    assert found == {"many": [reference("/x"), reference("/scale")]}


def test_the_names_of_an_enumeration_are_kept(make_context: MakeContext, file: h5py.File) -> None:
    found = hdf5_encoded(make_context, file, color=np.int8(1), other=np.int8(1))
    assert (found["color"], found["other"]) == (1, 1)
    assert found[TYPES] == {"color": 'enum int8 {"GREEN": 0, "RED": 1}', "other": "int8"}


def test_a_region_is_not_taken_for_the_whole(make_context: MakeContext, file: h5py.File) -> None:
    with pytest.raises(DtypeError, match="attribute 'region': it holds region references"):
        hdf5_encoded(make_context, file, region="x")


def test_references_of_scales_are_kept_and_those_to_nothing_left_out(
    make_context: MakeContext, file: h5py.File
) -> None:
    lists = np.empty(2, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    lists[0] = np.array([file["scale"].ref], h5py.ref_dtype)
    lists[1] = np.array([file["gone"].ref, file["x"].ref], h5py.ref_dtype)
    del file["gone"]
    with pytest.warns(BrokenLinkWarning, match="'DIMENSION_LIST' of dimension scales leads to no"):
        found = hdf5_encoded(make_context, file, DIMENSION_LIST=lists)
    assert found == {"DIMENSION_LIST": [[reference("/scale")], [reference("/x")]]}


def test_scales_of_builders_are_references_too(make_context: MakeContext) -> None:
    x = GroupBuilder(name="x")
    found = encoded(
        make_context(),
        x,
        DIMENSION_LIST=[[x], []],
        REFERENCE_LIST=[{"dataset": x, "dimension": 1}],
    )
    assert found == {
        "DIMENSION_LIST": [[reference("/x")], []],
        "REFERENCE_LIST": [{"dataset": reference("/x"), "dimension": 1}],
    }


def test_an_attribute_that_is_only_named_as_a_scale_is_a_value(make_context: MakeContext) -> None:
    assert encoded(make_context(), DIMENSION_LIST="a", REFERENCE_LIST=[1, 2]) == {
        "DIMENSION_LIST": "a",
        "REFERENCE_LIST": [1, 2],
    }


# -- what would be read otherwise ------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a", 1, 0.5, True, None, float("nan")])
def test_plain_values_are_what_they_are(value: Any) -> None:
    check_decodable(value, None, UNIFIED)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2], None),
        ({"a": [1, "b"]}, None),
        ([float("nan")], "float32"),
        (3, "int8"),
        ({"_REFERENCE": {"source": ".", "path": "/a"}}, None),
    ],
)
def test_what_is_read_as_it_was_passes(value: Any, dtype: str | None) -> None:
    check_decodable(value, dtype, UNIFIED)


@pytest.mark.parametrize(
    ("value", "dtype"), [(300, "int8"), ("a", "int16"), ([1], "no dtype"), ([0.1], "float32")]
)
def test_what_is_read_otherwise_is_refused(value: Any, dtype: str) -> None:
    with pytest.raises(EncodingError, match="could not be read again|would be read as"):
        check_decodable(value, dtype, UNIFIED)


def test_what_goes_beyond_the_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(EncodingError, match="could not be read again"):
        check_decodable(deep, None, UNIFIED)

    def refuse(n_bytes: int, _where: str) -> None:
        if n_bytes > 3:
            raise limits.MetadataError("too large")

    monkeypatch.setattr(limits, "check_document_size", refuse)
    check_decodable("abc", None, UNIFIED)
    with pytest.raises(EncodingError, match="'abcd' could not be read again: too large"):
        check_decodable("abcd", None, UNIFIED)


PLAIN = st.one_of(
    st.text("aé\0€ N", max_size=5),
    st.integers(-(2**31), 2**31),
    st.floats(allow_nan=False),
    st.booleans(),
    st.builds(np.int8, st.integers(-128, 127)),
    st.builds(np.float32, st.floats(width=32, allow_nan=False)),
    st.lists(st.integers(-100, 100), min_size=1, max_size=4),
    st.lists(st.text("aé\0€ N", max_size=3), min_size=1, max_size=4),
    st.lists(st.floats(allow_nan=False), min_size=1).map(np.array),
)


@given(PLAIN)
def test_an_attribute_is_read_as_it_was_given(value: Any) -> None:
    from hdmf_zarr.write.planning.context import PlanContext

    context = PlanContext(
        destination=Location("/new.zarr", is_local=True),
        existing=None,
        convention=UNIFIED,
        is_written=lambda _: False,
        manager=None,
        options=PlanOptions(),
    )
    found = encoded(context, x=value)
    again = decode_attribute(found["x"], found.get(TYPES, {}).get("x"))
    assert np.array_equal(again, value)
    if isinstance(value, np.generic | np.ndarray):
        assert np.asarray(again).dtype == value.dtype


# -- new attributes over old ones ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        (
            {"a": 1, "b": 2, TYPES: {"a": "int8", "b": "int16"}},
            {"a": "text"},
            {"a": "text", "b": 2, TYPES: {"b": "int16"}},
        ),
        ({"a": 1, TYPES: {"a": "int8"}}, {"a": "text"}, {"a": "text"}),
        (
            {"a": 1, TYPES: {"a": "int8"}},
            {"b": 2, TYPES: {"b": "uint8"}},
            {"a": 1, "b": 2, TYPES: {"a": "int8", "b": "uint8"}},
        ),
        ({"a": 1, TYPES: None}, {"b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_dtypes_stay_with_the_attributes_that_stay(old: Any, new: Any, found: Any) -> None:
    assert merged(old, new) == found


def test_the_attributes_that_were_there_are_not_changed() -> None:
    old = {"a": 1, TYPES: {"a": "int8"}}
    merged(old, {"a": 2, TYPES: {"a": "int16"}})
    assert old == {"a": 1, TYPES: {"a": "int8"}}


def test_the_data_of_a_dataset_are_no_attributes(make_context: MakeContext) -> None:
    builder = DatasetBuilder(name="d", data=[1], attributes={"unit": "V"})
    assert encoder(make_context()).encode(builder) == {"unit": "V"}
