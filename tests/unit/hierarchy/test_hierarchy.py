"""The documents of a store: read with and without consolidation, resolved through links, committed."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.errors import (
    BrokenLinkError,
    MetadataError,
    NotAStoreError,
    StoreNotFoundError,
    UnsupportedFormatError,
)
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.documents import encode_document, group_document
from hdmf_zarr.read.tree import open_array
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate


def link(name: str, path: str, source: str = ".") -> dict[str, str]:
    return {"name": name, "source": source, "path": path}


def consolidate_by_zarr(bytestore: ByteStore) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(bytestore.zarr_store)


@pytest.fixture
def filled(bytestore: ByteStore) -> ByteStore:
    """A store made by zarr itself, without consolidated metadata."""
    root = zarr.create_group(
        bytestore.zarr_store, attributes={"unit": "V", "nothing": float("nan")}
    )
    group = root.create_group("a", attributes={"_LINKS": [link("l", "/b/data")]})
    group.create_group("inner")
    root.create_group("b").create_array("data", data=np.arange(4), chunks=(2,))
    return bytestore


def tree(links: dict[str, list[dict[str, str]]], *paths: str) -> Hierarchy:
    documents = {
        path: group_document({"_LINKS": links[path]} if path in links else {})
        for path in ("", *paths)
    }
    return Hierarchy(open_bytestore(locate(MemoryStore()), read_only=False), documents)


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("is_there", [True, False])
def test_every_node_is_found(filled: ByteStore, *, consolidated: bool, is_there: bool) -> None:
    if is_there:
        consolidate_by_zarr(filled)
    hierarchy = Hierarchy.load(filled, consolidated=consolidated)
    assert set(hierarchy.documents) == {"", "a", "a/inner", "b", "b/data"}
    assert hierarchy.is_consolidated == (consolidated and is_there)
    assert hierarchy.was_consolidated == is_there
    assert hierarchy.attributes("")["unit"] == "V"
    assert np.isnan(hierarchy.attributes("/")["nothing"])
    assert hierarchy.node_type("b/data") == "array"
    assert hierarchy.node_type("/b/") == "group"
    assert "/b/data" in hierarchy
    assert "b/nothing" not in hierarchy
    assert not hierarchy.is_changed


def test_consolidated_metadata_are_one_request(filled: ByteStore) -> None:
    consolidate_by_zarr(filled)
    requests: list[str] = []

    class Counting:
        location = filled.location

        def get(self, key: str) -> bytes | None:
            requests.append(key)
            return filled.get(key)

    Hierarchy.load(Counting(), consolidated=True)  # type: ignore[arg-type]
    assert requests == ["zarr.json"]


def test_an_array_is_opened_without_a_request(filled: ByteStore) -> None:
    hierarchy = Hierarchy.load(filled, consolidated=False)
    assert zarr.Array(zarr_view.async_array(hierarchy, "b/data"))[...].tolist() == [0, 1, 2, 3]


def test_the_group_of_zarr_is_the_root(filled: ByteStore) -> None:
    group = zarr_view.zarr_group(Hierarchy.load(filled, consolidated=False))
    assert group["b/data"][...].tolist() == [0, 1, 2, 3]
    assert group.attrs["unit"] == "V"


def test_the_children_of_every_node(filled: ByteStore) -> None:
    children = Hierarchy.load(filled, consolidated=False).children()
    assert {path: sorted(names) for path, names in children.items()} == {
        "": ["a", "b"],
        "a": ["inner"],
        "a/inner": [],
        "b": ["data"],
        "b/data": [],
    }


def test_a_node_below_groups_without_documents_is_found() -> None:
    children = tree({}, "x/y/z", "x/y/w").children()
    assert children[""] == ["x"]
    assert children["x"] == ["y"]
    assert sorted(children["x/y"]) == ["w", "z"]


# -- documents that make no sense ------------------------------------------------------------------


def stored(content: bytes | dict[str, Any], key: str = "zarr.json", **more: Any) -> ByteStore:
    bytestore = open_bytestore(locate(MemoryStore()), read_only=False)
    bytestore.set("zarr.json", encode_document(group_document({})))
    for name, value in {key: content, **more}.items():
        bytestore.set(name, value if isinstance(value, bytes) else json.dumps(value).encode())
    return bytestore


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", MetadataError, "not valid JSON"),
        (b"{", MetadataError, "not valid JSON"),
        (b"\xff\xfe", MetadataError, "not valid JSON"),
        (b"[" * 100_000, MetadataError, "not valid JSON"),
        (b"[]", MetadataError, "must be a JSON object, found list"),
        (b"null", MetadataError, "must be a JSON object"),
        ({}, UnsupportedFormatError, "Zarr format None"),
        ({"zarr_format": 4, "node_type": "group"}, UnsupportedFormatError, "Zarr format 4"),
        ({"zarr_format": 3}, NotAStoreError, "no type"),
        ({"zarr_format": 3, "node_type": "array"}, NotAStoreError, "a Zarr array at its root"),
        (
            {**group_document({}), "consolidated_metadata": {"metadata": []}},
            MetadataError,
            "no object",
        ),
        (
            {**group_document({}), "consolidated_metadata": {"metadata": {"a": {}}}},
            MetadataError,
            "/a is neither a group nor an array",
        ),
        (
            {**group_document({}), "consolidated_metadata": {"metadata": {"a": 5}}},
            MetadataError,
            "/a is neither",
        ),
        ({**group_document({}), "consolidated_metadata": "text"}, MetadataError, "consolidated"),
        ({**group_document({}), "attributes": "text"}, MetadataError, "attributes"),
        (
            {
                **group_document({}),
                "consolidated_metadata": {
                    "metadata": {"a": {"zarr_format": 3, "node_type": "group", "attributes": [1]}}
                },
            },
            MetadataError,
            "/a has attributes",
        ),
        (
            {
                **group_document({}),
                "consolidated_metadata": {
                    "metadata": {"a": {"zarr_format": 3, "node_type": "array"}}
                },
            },
            MetadataError,
            "/a .*shape",
        ),
    ],
)
def test_a_root_that_makes_no_sense_is_refused(content: Any, error: Any, message: str) -> None:
    bytestore = stored(content)
    with pytest.raises(error, match=message) as caught:
        Hierarchy.load(bytestore, consolidated=True)
    assert bytestore.location.uri in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", {"zarr_format": 3}, {"zarr_format": 3, "node_type": 5}]
)
def test_a_node_that_makes_no_sense_is_refused_by_its_path(content: Any) -> None:
    with pytest.raises(MetadataError, match="/a/b"):
        Hierarchy.load(stored(content, "a/b/zarr.json"), consolidated=True)


def test_what_is_no_store_is_refused() -> None:
    store = MemoryStore()
    bytestore = open_bytestore(locate(store), read_only=True)
    with pytest.raises(StoreNotFoundError, match="nothing is there"):
        Hierarchy.load(bytestore, consolidated=True)
    open_bytestore(locate(store), read_only=False).set("a", b"other")
    with pytest.raises(NotAStoreError, match=r"no 'zarr\.json' at its root"):
        Hierarchy.load(bytestore, consolidated=True)


def test_an_array_that_zarr_cannot_read_is_refused(filled: ByteStore) -> None:
    hierarchy = Hierarchy.load(filled, consolidated=False)
    hierarchy.documents["b/data"] = {
        **hierarchy.documents["b/data"],
        "codecs": [{"name": "no such"}],
    }
    with pytest.raises(MetadataError, match="/b/data"):
        zarr_view.async_array(hierarchy, "b/data")


# -- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", "a"),
        ("/a/", "a"),
        ("", ""),
        ("/", ""),
        ("b/to_a", "a"),
        ("b/to_a/x", "a/x"),
        ("b/to_to_a", "a"),
        ("b/to_to_a/x", "a/x"),
        ("to_b/to_to_a/x", "a/x"),
        ("to_root/b/to_a", "a"),
        ("to_root/to_root/a", "a"),
    ],
)
def test_a_path_is_resolved_through_links(path: str, target: str) -> None:
    links = {
        "": [link("to_b", "/b"), link("to_root", "/")],
        "b": [link("to_a", "/a"), link("to_to_a", "/b/to_a")],
    }
    assert tree(links, "a", "a/x", "b").resolve(path) == target


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "no object at /nothing"),
        ("a/nothing", "no object at /a/nothing"),
        ("a/dangling", "no object at /gone"),
        ("a/outside", "no object at /a/outside"),
        ("a/self", "more than 32 links"),
        ("a/ping", "more than 32 links"),
        ("a/deeper", "more than 32 links"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, message: str) -> None:
    links = {
        "a": [
            link("dangling", "/gone"),
            link("outside", "/b", "../other.zarr"),
            link("self", "/a/self"),
            link("ping", "/a/pong"),
            link("pong", "/a/ping"),
            link("deeper", "/a/deeper/and/deeper"),
        ]
    }
    hierarchy = tree(links, "a")
    with pytest.raises(BrokenLinkError, match=message) as caught:
        hierarchy.resolve(path)
    assert hierarchy.uri in str(caught.value)


def test_the_first_link_on_a_path_is_told_with_the_rest() -> None:
    hierarchy = tree({"a": [link("l", "/x", "../other.zarr")]}, "a")
    found = hierarchy.find_link("a/l/more/parts")
    assert found is not None
    assert (found[0].source, found[0].path, found[1]) == ("../other.zarr", "/x", ["more", "parts"])
    assert hierarchy.find_link("a/nothing") is None
    assert hierarchy.find_link("nothing/l") is None


# -- changing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("consolidate", [True, False])
def test_what_is_committed_is_read_back(bytestore: ByteStore, *, consolidate: bool) -> None:
    hierarchy = Hierarchy(bytestore, {"": group_document({"unit": "V"})})
    hierarchy.set_document("a", group_document({"x": float("inf")}))
    assert bytestore.get("zarr.json") is None, "the root is the commit"
    assert hierarchy.is_changed
    hierarchy.commit(consolidate=consolidate)
    assert not hierarchy.is_changed
    for consolidated in (True, False):
        fresh = Hierarchy.load(bytestore, consolidated=consolidated)
        assert fresh.documents == hierarchy.documents
        assert fresh.was_consolidated == consolidate
    group = zarr.open_group(bytestore.zarr_store, mode="r")
    assert group["a"].attrs["x"] == float("inf")


def test_consolidated_metadata_are_never_left_stale(filled: ByteStore) -> None:
    consolidate_by_zarr(filled)
    hierarchy = Hierarchy.load(filled, consolidated=True)
    hierarchy.set_document("c", group_document({}))
    hierarchy.commit(consolidate=False)
    assert "c" in Hierarchy.load(filled, consolidated=True)


def test_an_equal_document_is_not_written_again(filled: ByteStore) -> None:
    hierarchy = Hierarchy.load(filled, consolidated=False)
    hierarchy.set_document("a", json.loads(json.dumps(hierarchy.documents["a"])))
    assert not hierarchy.is_changed


def test_a_failed_change_is_undone(filled: ByteStore) -> None:
    hierarchy = Hierarchy.load(filled, consolidated=False)
    before = dict(hierarchy.documents)
    keys = set(filled.list_prefix(""))
    hierarchy.set_document("a", group_document({"changed": True}))
    hierarchy.set_document("new/node", group_document({}))
    hierarchy.restore(before)
    assert hierarchy.documents == before
    assert set(filled.list_prefix("")) == keys
    assert Hierarchy.load(filled, consolidated=False).documents == before


@pytest.mark.parametrize("value", ["NaN", float("inf"), "é😀\0", 2**64 - 1, 0.1])
def test_a_document_is_encoded_without_loss(value: Any) -> None:
    document = group_document({"value": value})
    assert json.loads(encode_document(document)) == document


# -- what a reader must understand -----------------------------------------------------------------

FOREIGN = {
    "a key": {"shift": 3},
    "a key that must be understood": {"shift": {"must_understand": True}},
    "a storage transformer": {"storage_transformers": [{"name": "cipher"}]},
}


def add_to_document(bytestore: ByteStore, key: str, more: dict[str, Any]) -> None:
    encoded = bytestore.get(key)
    assert encoded is not None
    bytestore.set(key, json.dumps({**json.loads(encoded), **more}).encode())


@pytest.mark.parametrize("more", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("is_consolidated", [False, True])
def test_an_array_that_must_be_understood_costs_itself_alone(
    filled: ByteStore, more: dict[str, Any], *, is_consolidated: bool
) -> None:
    filled_group = zarr.open_group(filled.zarr_store)
    filled_group.create_array("whole", data=np.arange(3), chunks=(3,))
    if is_consolidated:
        consolidate_by_zarr(filled)
        root = json.loads(filled.get("zarr.json") or b"")
        root["consolidated_metadata"]["metadata"]["b/data"].update(more)
        filled.set("zarr.json", json.dumps(root).encode())
    add_to_document(filled, "b/data/zarr.json", more)
    hierarchy = Hierarchy.load(filled, consolidated=is_consolidated)
    assert open_array(hierarchy, "whole")[:].tolist() == [0, 1, 2]
    array = open_array(hierarchy, "b/data")
    for read in (lambda: array[:], lambda: array[0], lambda: array.oindex[:], lambda: list(array)):
        with pytest.raises(MetadataError, match=f"b/data.*'{next(iter(more))}'.*must understand"):
            read()


@pytest.mark.parametrize(
    "more",
    [
        {"note": {"must_understand": False}},
        {"_note": {"must_understand": False, "n": 1}},
        {"storage_transformers": []},
    ],
    ids=str,
)
def test_what_need_not_be_understood_is_kept(filled: ByteStore, more: dict[str, Any]) -> None:
    add_to_document(filled, "b/data/zarr.json", more)
    hierarchy = Hierarchy.load_for_writing(filled)
    array = open_array(hierarchy, "b/data")
    assert array[:].tolist() == [0, 1, 2, 3]
    array.append([4])
    hierarchy.commit(consolidate=True)
    own = json.loads(filled.get("b/data/zarr.json") or b"")
    root = json.loads(filled.get("zarr.json") or b"")
    for document in (own, root["consolidated_metadata"]["metadata"]["b/data"]):
        assert {key: document[key] for key in more} == more


@pytest.mark.parametrize("key", ["zarr.json", "a/zarr.json"])
def test_a_group_that_must_be_understood_is_refused(filled: ByteStore, key: str) -> None:
    add_to_document(filled, key, {"layout": {"must_understand": True}})
    with pytest.raises(MetadataError, match="'layout'.*must understand"):
        Hierarchy.load(filled, consolidated=False)


def test_no_document_speaks_for_this_package(filled: ByteStore) -> None:
    add_to_document(filled, "b/data/zarr.json", {"_native": {"must_understand": False}})
    hierarchy = Hierarchy.load(filled, consolidated=False)
    assert open_array(hierarchy, "b/data")[:].tolist() == [0, 1, 2, 3]


GRIDS = {
    "none": None,
    "another": {"name": "rectilinear", "configuration": {"chunk_shapes": [[2, 2]]}},
    **{
        f"{unit}": {"name": "regular", "configuration": {"chunk_shape": unit}}
        for unit in ([0], [-1], [2.0], [True], [2, 2], None)
    },
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_chunks_of_no_shape_cost_their_array_alone(filled: ByteStore, grid: Any) -> None:
    add_to_document(filled, "b/data/zarr.json", {"chunk_grid": grid})
    array = open_array(Hierarchy.load(filled, consolidated=False), "b/data")
    with pytest.raises(MetadataError, match="b/data: .*(chunks are cut as|no shape of its chunks)"):
        array[:]


FIELDS = [{"name": "a", "data_type": "int32"}, {"name": "b", "data_type": "float64"}]
RECORDS = np.array([(1, 2.5), (4, -5.5)], dtype=[("a", "i4"), ("b", "f8")])


def put_records(bytestore: ByteStore, name: str, endian: str) -> None:
    fields: Any = FIELDS if name == "struct" else [list(field.values()) for field in FIELDS]
    add_to_document(
        bytestore,
        "b/data/zarr.json",
        {
            "shape": [2],
            "data_type": {"name": name, "configuration": {"fields": fields}},
            "fill_value": {"a": 0, "b": 0} if name == "struct" else "A" * 16,
            "codecs": [{"name": "bytes", "configuration": {"endian": endian}}],
        },
    )
    order = RECORDS.dtype.newbyteorder(">" if endian == "big" else "<")
    bytestore.set("b/data/c/0", RECORDS.astype(order).tobytes())


@pytest.mark.parametrize("name", ["struct", "structured"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_records_are_what_they_are_or_refused(filled: ByteStore, name: str, endian: str) -> None:
    """zarr-python before 3.2 wrote big-endian records, which it calls ``structured``, as little-endian."""
    put_records(filled, name, endian)
    array = open_array(Hierarchy.load(filled, consolidated=False), "b/data")
    if endian == "little" or (name == "struct" and array_document.HAS_STRUCT):
        assert array[:].tolist() == RECORDS.tolist()
        assert array.oindex[[1]].tolist() == RECORDS[[1]].tolist()
        return
    with pytest.raises(MetadataError, match="b/data: .*its big-endian records"):
        array[:]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_fill_value_that_the_dtype_cannot_hold_costs_its_array_alone(
    bytestore: ByteStore, zarr_format: Any
) -> None:
    root = zarr.create_group(bytestore.zarr_store, zarr_format=zarr_format)
    for name in ("small", "whole"):
        root.create_array(name, data=np.arange(4, dtype="uint8"), chunks=(2,))
    name = "zarr.json" if zarr_format == 3 else ".zarray"
    add_to_document(bytestore, f"small/{name}", {"fill_value": 300})
    bytestore.delete("small/c/1" if zarr_format == 3 else "small/1")
    hierarchy = Hierarchy.load(bytestore, consolidated=False)
    assert open_array(hierarchy, "whole")[:].tolist() == [0, 1, 2, 3]
    with pytest.raises(MetadataError, match="/small.*300"):
        open_array(hierarchy, "small")[:]
