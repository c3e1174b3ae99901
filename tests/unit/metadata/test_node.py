"""What documents say, as typed nodes; and documents that differ in one thing."""

from __future__ import annotations

from typing import Any

import pytest

from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS, FORMAT2_CHUNK_KEYS
from hdmf_zarr.metadata.node import (
    ArrayNode,
    GroupNode,
    array_node,
    codec_names,
    consolidated_in,
    is_array,
    is_node,
    made_document,
    node_of,
    one_chunk,
    unreadable,
    with_attributes,
    with_chunk_keys,
    with_codecs,
    with_consolidated,
    with_dimension_names,
    with_shape,
    with_shards,
    with_stored_chunk,
    without_consolidated,
)

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": False}}
INDEX = [LITTLE, {"name": "crc32c"}]


def document(**changes: Any) -> dict[str, Any]:
    made = made_document(
        shape=(5, 4),
        chunk=(2, 4),
        data_type="int16",
        fill_value=0,
        codecs=[LITTLE, ZSTD],
        chunk_keys=CHUNK_KEYS,
    )
    return {**made, **changes}


def test_an_array_says_what_its_document_does() -> None:
    node = array_node(document(dimension_names=["time", None], attributes={"a": 1}))
    assert (node.shape, node.stored_chunk, node.chunk) == ((5, 4), (2, 4), (2, 4))
    assert (node.is_sharded, node.shards) == (False, None)
    assert node.codecs == node.chunk_codecs == (LITTLE, ZSTD)
    assert (node.data_type, node.fill_value) == ("int16", 0)
    assert node.dimension_names == ("time", None)
    assert node.attributes == {"a": 1}
    assert node.why_unreadable is None
    assert (node.grid, node.n_chunks) == ((3, 1), 3)


def test_shards_are_the_stored_chunks() -> None:
    node = array_node(with_shards(document(), (4, 4), INDEX))
    assert (node.stored_chunk, node.chunk, node.shards) == ((4, 4), (2, 4), (4, 4))
    assert node.is_sharded
    assert node.chunk_codecs == (LITTLE, ZSTD)
    assert list(codec_names(node.codecs)) == [
        *("sharding_indexed", "bytes", "zstd"),
    ]
    assert node.grid == (2, 1)


@pytest.mark.parametrize(
    ("keys", "key"), [(CHUNK_KEYS, "c.2.0"), (FORMAT2_CHUNK_KEYS, "2.0")], ids=["3", "2"]
)
def test_chunks_are_named_and_found(keys: dict[str, Any], key: str) -> None:
    node = array_node(with_chunk_keys(document(), keys))
    assert node.key((2, 0)) == key
    assert node.place(key) == (2, 0)
    assert node.place(node.key((3, 0))) is None  # outside of the grid
    assert node.place("zarr.json") is None
    assert node.region((2, 0)) == (slice(4, 5), slice(0, 4))


def test_a_scalar_is_one_chunk() -> None:
    scalar = with_stored_chunk(with_shape(document(), ()), ())
    node = array_node(scalar)
    assert (node.grid, node.n_chunks, node.region(())) == ((), 1, ())
    assert node.place("c") == ()


def test_an_array_that_cannot_be_read_says_why() -> None:
    node = array_node(unreadable(document(), "its codecs are no list"))
    assert node.why_unreadable == "its codecs are no list"
    assert node.shape == (5, 4)
    assert node.codecs == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"codecs": None},
        {"codecs": [3]},
        {"codecs": [{"name": "sharding_indexed"}]},
        {"codecs": [{"name": "sharding_indexed", "configuration": 4}]},
        {"chunk_grid": None},
        {"chunk_grid": {"name": "regular"}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": 3}}},
        {"chunk_key_encoding": None},
        {"dimension_names": 7},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_no_error(changes: dict[str, Any]) -> None:
    """zarr-python refuses it where the array is used; the rest of the store stays readable."""
    assert array_node(document(**changes)).shape == (5, 4)


def test_chunks_of_an_unknown_grid_have_no_shape() -> None:
    grid = {"name": "rectilinear", "configuration": {"chunk_shape": [2, 4]}}
    assert array_node(document(chunk_grid=grid)).stored_chunk == ()


def test_an_array_of_format_2_keeps_its_own_document() -> None:
    own = {"filters": [{"id": "x"}], "zarr_format": 2}
    node = array_node(
        made_document(
            shape=(3,),
            chunk=(2,),
            data_type="int16",
            fill_value=0,
            codecs=[],
            chunk_keys=FORMAT2_CHUNK_KEYS,
            format2_filters=own,
        )
    )
    assert node.is_native
    assert node.format2 == {**own, "shape": [3], "chunks": [2]}
    assert {format2.NATIVE, format2.ORIGINAL} <= node.document.keys()


def test_groups_and_arrays_are_told_apart() -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}
    node = node_of(group)
    assert isinstance(node, GroupNode)
    assert node.attributes == {"a": 1}
    assert isinstance(node_of(document()), ArrayNode)
    assert (is_array(group), is_array(document())) == (False, True)
    assert [is_node(one) for one in (group, document(), {}, None, [], {"node_type": 3})] == [
        *(True, True, False, False, False, False)
    ]


def test_a_document_that_differs_leaves_the_other_as_it_was() -> None:
    before = document()
    copy = document()
    assert array_node(with_shape(before, (7, 4))).shape == (7, 4)
    assert array_node(with_codecs(before, [LITTLE])).codecs == (LITTLE,)
    assert array_node(with_attributes(before, {"b": 2})).attributes == {"b": 2}
    assert array_node(with_dimension_names(before, ("x", "y"))).dimension_names == ("x", "y")
    assert "dimension_names" not in with_dimension_names(before, None)
    one = array_node(one_chunk(before, (2, 4), [LITTLE]))
    assert (one.shape, one.stored_chunk, one.n_chunks) == ((2, 4), (2, 4), 1)
    root = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    held = with_consolidated(root, {"a": before})
    assert consolidated_in(held)["metadata"] == {"a": before}
    assert without_consolidated(held) == root
    assert before == copy
