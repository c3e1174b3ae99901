"""Documents by themselves: what is checked, refused, compared and left out."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.core.limits import DEEPEST_JSON, DEEPEST_PATH
from hdmf_zarr.errors import MetadataError, UnsupportedFormatError
from hdmf_zarr.metadata import array_document as array_documents
from hdmf_zarr.metadata import documents
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.format2 import BROKEN, NATIVE, ORIGINAL
from hdmf_zarr.metadata.node import made_document

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def array(**changes: Any) -> dict[str, Any]:
    made = made_document(
        shape=(5, 4),
        chunk=(2, 4),
        data_type="int16",
        fill_value=0,
        codecs=[LITTLE],
        chunk_keys=CHUNK_KEYS,
    )
    return {**made, **changes}


def group(**changes: Any) -> dict[str, Any]:
    return {**documents.group_document({}), **changes}


def grid(configuration: Any, name: Any = "regular") -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


def test_the_document_of_a_group() -> None:
    attributes = {"a": [1]}
    assert documents.group_document(attributes) == {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"a": [1]},
    }


def test_a_document_is_encoded_without_spaces_and_notes() -> None:
    document = {"zarr_format": 3, "a": [1, math.nan, -math.inf], BROKEN: "why", NATIVE: True}
    encoded = documents.encode_document(document)
    assert encoded == b'{"zarr_format":3,"a":[1,NaN,-Infinity]}'
    assert document.keys() == {"zarr_format", "a", BROKEN, NATIVE}


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_an_encoded_document_is_parsed_as_it_was(attributes: dict[str, Any]) -> None:
    document = documents.group_document(attributes)
    encoded = documents.encode_document(document)
    # NaN differs from itself; its text does not.
    assert json.dumps(documents.parse(encoded, "here")) == json.dumps(document)


def test_a_document_without_notes_is_public_as_it_is() -> None:
    document = group()
    assert documents.public_document(document) is document
    assert documents.public_document({**document, ORIGINAL: {}}) == document


@pytest.mark.parametrize("document", [group(), array(), group(attributes=None), array(shape=[])])
def test_a_document_with_what_readers_count_on_is_not_refused(document: dict[str, Any]) -> None:
    documents.check_document(document, "s:/a")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (group(attributes=[1]), "s:/a has attributes that are no object"),
        (array(attributes="x"), "s:/a has attributes that are no object"),
        (array(shape=None), "s:/a is an array without a shape and a data type"),
        (array(shape="33"), "without a shape"),
        (array(shape=[-1]), "without a shape"),
        (array(shape=[True]), "without a shape"),
        (array(shape=[1.0]), "without a shape"),
        ({"node_type": "array", "shape": [1]}, "without a shape and a data type"),
        ({"node_type": "array", "data_type": "int8"}, "without a shape and a data type"),
    ],
    ids=str,
)
def test_a_document_without_it_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(MetadataError, match=message):
        documents.check_document(document, "s:/a")


@pytest.mark.parametrize(
    "document",
    [
        group(),
        array(),
        group(consolidated_metadata={}),
        array(storage_transformers=[]),
        array(other={"must_understand": False}),
        array(dimension_names=["x", "y"]),
        array(shape=[], chunk_grid=grid({"chunk_shape": []})),
        array(data_type={"name": "structured"}),
    ],
    ids=str,
)
def test_a_node_of_the_format_is_read(document: dict[str, Any]) -> None:
    assert documents.why_not_read(document) is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (group(shape=[]), "['shape'], which a reader must understand"),
        (array(b=1, a=2), "['a', 'b'], which a reader must understand"),
        (array(a={}), "['a'], which"),
        (array(a={"must_understand": True}), "['a'], which"),
        (array(a={"must_understand": 0}), "['a'], which"),
        (array(storage_transformers=[{}]), "['storage_transformers'], which"),
        (array(chunk_grid=None), "cut as None says"),
        (array(chunk_grid=grid({}, "rectilinear")), "only the grid 'regular' is known"),
        (array(chunk_grid=grid({})), "None is no shape of its chunks"),
        (array(chunk_grid=grid(None)), "None is no shape of its chunks"),
        (array(chunk_grid=grid({"chunk_shape": [2]})), "[2] is no shape of its chunks"),
        (array(chunk_grid=grid({"chunk_shape": [2, 0]})), "[2, 0] is no shape of its chunks"),
        (array(chunk_grid=grid({"chunk_shape": [2, -1]})), "[2, -1] is no shape of its chunks"),
        (array(chunk_grid=grid({"chunk_shape": [2, 1.5]})), "[2, 1.5] is no shape of its chunks"),
        (array(chunk_grid=grid({"chunk_shape": "24"})), "'24' is no shape of its chunks"),
        (
            array(data_type={"name": "structured"}, codecs=[BIG]),
            "in which order the bytes of its big-endian records are",
        ),
    ],
    ids=str,
)
def test_any_other_node_is_left_alone(document: dict[str, Any], message: str) -> None:
    assert message in (documents.why_not_read(document) or "")


@pytest.mark.parametrize("has_struct", [True, False])
def test_big_endian_records_want_a_zarr_that_knows_them(
    monkeypatch: pytest.MonkeyPatch, *, has_struct: bool
) -> None:
    monkeypatch.setattr(array_documents, "HAS_STRUCT", has_struct)
    document = array(data_type={"name": "struct"}, codecs=[BIG])
    expected = "zarr-python before 3.2 cannot read its big-endian records; install a later one"
    assert documents.why_not_read(document) == (None if has_struct else expected)
    assert documents.why_not_read(array(data_type={"name": "struct"})) is None


def test_extensions_are_neither_of_the_format_nor_notes() -> None:
    assert documents.extensions_of(group(**{"a": 1, BROKEN: "x"})) == {"a": 1}
    assert documents.extensions_of(array(b=None)).keys() - {"storage_transformers"} == {"b"}
    assert documents.extensions_of(group(shape=[1], consolidated_metadata={})) == {"shape": [1]}


@pytest.mark.parametrize(
    ("codecs", "is_big"),
    [
        ([BIG], True),
        ([LITTLE], False),
        ([{"name": "transpose"}, BIG, {"name": "zstd"}], True),
        ([{"name": "sharding_indexed", "configuration": {"codecs": [BIG]}}], True),
        ([{"name": "sharding_indexed", "configuration": {"codecs": [LITTLE]}}], False),
        ([{"name": "bytes"}], False),
        ([{"name": "bytes", "configuration": None}], False),
        ([{"name": "zstd"}, "bytes"], False),
        ([], False),
        (None, False),
    ],
    ids=str,
)
def test_the_codec_of_bytes_says_their_order(codecs: Any, *, is_big: bool) -> None:
    assert documents.is_big_endian({"codecs": codecs}) is is_big


def test_a_node_that_asks_for_too_much_is_refused() -> None:
    deepest = "/".join("g" * DEEPEST_PATH)
    documents.check_node(deepest, group(), "s")
    with pytest.raises(MetadataError, match=f"{DEEPEST_PATH + 1} groups deep"):
        documents.check_node(f"{deepest}/g", group(), "s")
    value: Any = 1
    for _ in range(DEEPEST_JSON + 1):
        value = [value]
    with pytest.raises(MetadataError, match="nested"):
        documents.check_node("a", group(attributes={"a": value}), "s")
    documents.check_node("a", group(attributes=None), "s")


def test_what_stands_for_nothing_is_not_compared() -> None:
    left_out = {BROKEN: 1, NATIVE: 2, ORIGINAL: 3, "consolidated_metadata": {}, "attributes": {}}
    assert documents.comparable({"a": 1, **left_out}) == {"a": 1}
    assert documents.comparable({"attributes": {"b": 1}}) == {"attributes": {"b": 1}}
    assert documents.comparable([1]) == [1]
    assert documents.comparable(None) is None


def test_the_layout_says_where_elements_are_and_not_how_many_rows() -> None:
    assert documents.layout_of(None) is None
    assert documents.layout_of(array()) == documents.layout_of(array(shape=[9, 4], fill_value=3))
    for change in (
        {"shape": [5, 5]},
        {"data_type": "int32"},
        {"codecs": [BIG]},
        {"chunk_grid": grid({"chunk_shape": [5, 4]})},
        {"chunk_key_encoding": {"name": "v2"}},
        {ORIGINAL: {"order": "F"}},
    ):
        assert documents.layout_of(array()) != documents.layout_of(array(**change))
    own = {"order": "F", "shape": [5, 4]}
    longer = array(**{ORIGINAL: {**own, "shape": [6, 4]}})
    assert documents.layout_of(array(**{ORIGINAL: own})) == documents.layout_of(longer)
    assert own["shape"] == [5, 4]


def test_names_that_lead_out_of_the_store_are_left_out_with_a_word() -> None:
    entries = {"a/.zarray": 1, "../b/.zarray": 2, ".zgroup": 3, "a/zarr.json/.zarray": 4}
    with pytest.warns(UserWarning, match="is no path of an object") as caught:
        assert documents.inside(entries, "s", is_key=True) == {"a/.zarray": 1, ".zgroup": 3}
    assert [str(one.message)[:30] for one in caught] == [
        "s: '../b' is no path of an obj",
        "s: 'a/zarr.json' is no path of",
    ]
    with pytest.warns(UserWarning, match="'a//b'"):
        kept = documents.inside({"/a/": 1, "a//b": 2, "": 3}, "s", is_key=False)
    assert kept == {"/a/": 1, "": 3}


@pytest.mark.parametrize("encoded", [b"", b"{", b"\xff", b"{'a': 1}", b"[" * 100_000])
def test_what_is_no_json_is_refused(encoded: bytes) -> None:
    with pytest.raises(MetadataError, match="^s:/zarr.json is not valid JSON"):
        documents.parse_json(encoded, "s:/zarr.json")


@pytest.mark.parametrize(
    ("encoded", "kind"), [(b"[]", "list"), (b"null", "NoneType"), (b"3", "int")]
)
def test_a_document_is_an_object(encoded: bytes, kind: str) -> None:
    with pytest.raises(MetadataError, match=f"^s must be a JSON object, found {kind}$"):
        documents.parse(encoded, "s")


@pytest.mark.parametrize(("encoded", "found"), [(b"{}", "None"), (b'{"zarr_format": 2}', "2")])
def test_another_format_is_not_parsed(encoded: bytes, found: str) -> None:
    with pytest.raises(
        UnsupportedFormatError, match=f"^s has the Zarr format {found}, expected 3$"
    ):
        documents.parse(encoded, "s")
    assert documents.parse_json(encoded, "s") == json.loads(encoded)


def test_a_document_that_is_no_json_is_logged_and_empty(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert documents.parse_or_empty(b"{", "s:/a") == {}
        assert documents.parse_or_empty(b"[]", "s:/b") == {}
    assert [record.getMessage()[:18] for record in caplog.records] == [
        "s:/a is not valid ",
        "s:/b must be a JSO",
    ]
    assert documents.parse_or_empty(b'{"a":1}', "s") == {"a": 1}


@pytest.mark.parametrize(
    "document",
    [
        group(),
        array(),
        array(shape=[0, 4]),
        array(chunk_key_encoding={"name": "default"}),
        array(chunk_key_encoding={"name": "v2", "configuration": None}),
    ],
    ids=str,
)
def test_a_node_is_one(document: dict[str, Any]) -> None:
    assert documents.why_no_node(document) is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "must be a JSON object, found NoneType"),
        ([], "must be a JSON object, found list"),
        ({}, "has the Zarr format None, expected 3"),
        (group(zarr_format="3"), "has the Zarr format '3', expected 3"),
        (group(attributes=[1]), "has attributes that are no object"),
        (group(node_type="file"), "has the node type 'file', expected group or array"),
        ({"zarr_format": 3, "node_type": "array", "codecs": []}, "is an array without"),
        (array(chunk_grid=[]), "has chunks in a grid that is not known: []"),
        (array(chunk_grid=grid({}, "hexagonal")), "has chunks in a grid that is not known"),
        (array(chunk_grid=grid({"chunk_shape": [2, 0]})), "chunks of [2, 0]"),
        (array(chunk_grid=grid({"chunk_shape": [2]})), "has the shape [5, 4] and chunks of [2]"),
        (array(chunk_grid=grid(None)), "has the shape [5, 4] and chunks of None"),
        (array(shape=[5, -4]), "has the shape [5, -4]"),
        (array(shape=[5, True]), "has the shape [5, True]"),
        (array(shape=[5, 2**63]), "has the shape"),
        (array(shape="54"), "has the shape '54'"),
        (array(chunk_key_encoding=None), "names its chunks in a way that is not known: None"),
        (array(chunk_key_encoding={"name": "v4"}), "names its chunks in a way"),
        (
            array(chunk_key_encoding={"name": "v2", "configuration": {"separator": "-"}}),
            "names its chunks in a way",
        ),
        (array(codecs=None), "has codecs that are no list of names: None"),
        (array(codecs=[3]), "has codecs that are no list of names: [3]"),
        (array(codecs=[{}]), "has codecs that are no list of names: [{}]"),
        (array(codecs=[{"name": 3}]), "has codecs that are no list of names"),
    ],
    ids=str,
)
def test_what_is_no_node_says_why(document: Any, message: str) -> None:
    assert (documents.why_no_node(document) or "").startswith(message.partition("chunks of")[0])
    assert message in (documents.why_no_node(document) or "")


def test_what_an_array_lacks_is_named_in_order() -> None:
    document = {"zarr_format": 3, "node_type": "array", "codecs": []}
    assert documents.why_no_node(document) == "is an array without chunk_grid, data_type, shape"
