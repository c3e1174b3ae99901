"""The documents of Zarr format 2 <-> those by which nodes are known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hdmf_zarr.errors import LayoutError, MetadataError
from hdmf_zarr.metadata.format2 import (
    BROKEN,
    NATIVE,
    ORIGINAL,
    array_document,
    array_metadata,
    broken_document,
    documents_of_node,
    encode,
    node_documents,
)

ARRAY: dict[str, Any] = {
    "zarr_format": 2,
    "shape": [5, 4],
    "chunks": [2, 4],
    "dtype": "<i4",
    "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
    "fill_value": 0,
    "order": "C",
    "filters": None,
}


def codec_names(**change: Any) -> list[str]:
    return [codec["name"] for codec in array_document({**ARRAY, **change})["codecs"]]


def test_a_document_says_what_the_metadata_say() -> None:
    document = array_document(ARRAY)
    assert document["shape"] == [5, 4]
    assert document["data_type"] == "int32"
    assert document["chunk_grid"]["configuration"] == {"chunk_shape": [2, 4]}
    assert document["chunk_key_encoding"] == {"name": "v2", "configuration": {"separator": "."}}
    assert document["codecs"][0] == {"name": "bytes", "configuration": {"endian": "little"}}
    assert document["codecs"][1]["configuration"]["typesize"] == 4
    assert document["fill_value"] == 0


def test_documents_of_arrays_that_are_encoded_alike_are_apart() -> None:
    first = array_document(ARRAY)
    other = array_document({**ARRAY, "shape": [7, 4]})
    first["codecs"].clear()
    assert other["shape"] == [7, 4]
    assert other["codecs"] == array_document(ARRAY)["codecs"] != []
    assert array_document({**ARRAY, "fill_value": 3})["fill_value"] == 3
    assert array_document({**ARRAY, "dtype": ">i4"})["codecs"][0]["configuration"] == {
        "endian": "big"
    }


def test_the_separator_is_that_of_the_keys() -> None:
    document = array_document({**ARRAY, "dimension_separator": "/"})
    assert document["chunk_key_encoding"]["configuration"] == {"separator": "/"}
    assert array_metadata(document)["dimension_separator"] == "/"


def test_filters_come_after_the_order() -> None:
    filters = [{"id": "delta", "dtype": "<i4"}, {"id": "shuffle", "elementsize": 4}]
    names = codec_names(order="F", filters=filters)
    assert names == ["transpose", "numcodecs.delta", "bytes", "numcodecs.shuffle", "blosc"]


@pytest.mark.parametrize(
    ("filter_id", "names"),
    [
        ("vlen-utf8", ["vlen-utf8", "blosc"]),
        ("vlen-bytes", ["vlen-bytes", "blosc"]),
        ("json2", ["vlen-utf8", "hdmf_zarr.json2", "blosc"]),
        ("pickle", ["vlen-utf8", "hdmf_zarr.pickle", "blosc"]),
    ],
)
def test_objects_are_read_through_text_or_bytes(filter_id: str, names: list[str]) -> None:
    assert codec_names(dtype="|O", filters=[{"id": filter_id}]) == names


def test_big_endian_fields_are_left_to_zarr() -> None:
    fields = {"dtype": [["x", "<u4"], ["y", ">u2"]], "fill_value": None}
    assert array_document({**ARRAY, **fields})[NATIVE] is True
    fields["dtype"] = [["x", "<u4"], ["y", "<u2"]]
    assert NATIVE not in array_document({**ARRAY, **fields})


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [5]},
        {"shape": [2**63, 4]},
        {"shape": [True, 4]},
        {"dtype": None},
        {"dtype": "|O"},
        {"dtype": "<i4", "filters": [{"id": "pickle"}]},
        {"dtype": "|O", "filters": [{"id": "pickle"}], "fill_value": "Y29zCnN5c3RlbQou"},
    ],
)
def test_metadata_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MetadataError):
        array_document({**ARRAY, **change})


def test_nodes_are_found_by_their_keys() -> None:
    nodes = node_documents(
        {
            ".zgroup": {"zarr_format": 2},
            ".zattrs": {"a": 1},
            "group/.zgroup": {"zarr_format": 2},
            "group/data/.zarray": ARRAY,
            "group/data/.zattrs": {"b": 2},
            "lost/.zattrs": {"c": 3},
            "group/0.0": {},
        }
    )
    assert set(nodes) == {"", "group", "group/data"}
    assert nodes[""] == {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}
    assert nodes["group"]["attributes"] == {}
    assert nodes["group/data"]["attributes"] == {"b": 2}
    assert nodes["group/data"][ORIGINAL] == ARRAY


@pytest.mark.parametrize("metadata", [{}, 5, None, [], {**ARRAY, "dtype": "nonsense"}])
def test_a_broken_array_costs_itself_alone(metadata: Any) -> None:
    nodes = node_documents({".zgroup": {}, "bad/.zarray": metadata, "good/.zarray": ARRAY})
    assert nodes["bad"][BROKEN]
    assert BROKEN not in nodes["good"]
    assert documents_of_node(nodes["good"])[".zarray"] == ARRAY


def test_a_broken_document_is_an_array() -> None:
    assert broken_document([3], "why")["node_type"] == "array"
    assert broken_document([3], "why")[BROKEN] == "why"


def test_a_group_is_two_documents() -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}
    assert documents_of_node(group) == {".zgroup": {"zarr_format": 2}, ".zattrs": {"a": 1}}


def test_shards_have_no_representation() -> None:
    document = array_document(ARRAY)
    document["codecs"] = [{"name": "sharding_indexed", "configuration": {"codecs": []}}]
    with pytest.raises(LayoutError, match="format 2|sharding"):
        array_metadata(document)


@pytest.mark.parametrize("name", ["zfp", "unheard.of"])
def test_codecs_without_a_representation_are_named(name: str) -> None:
    document = array_document(ARRAY)
    document["codecs"].append({"name": name, "configuration": {}})
    with pytest.raises(LayoutError, match=name):
        array_metadata(document)


def test_numbers_that_are_not_finite_are_bare_tokens() -> None:
    encoded = encode({"a": float("nan"), "b": -float("inf")})
    assert b"NaN" in encoded
    assert b"-Infinity" in encoded
    assert json.loads(encoded)["b"] == -float("inf")
