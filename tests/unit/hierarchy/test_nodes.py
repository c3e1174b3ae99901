"""The nodes of a store by their paths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.convention import convention_for_format
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import made_document, with_shape
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


def array(**attributes: Any) -> dict[str, Any]:
    made = made_document(
        shape=(5,),
        chunk=(2,),
        data_type="int16",
        fill_value=0,
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
        chunk_keys=CHUNK_KEYS,
    )
    return {**made, "attributes": attributes}


def nodes(documents: dict[str, Any], zarr_format: int = 3, **stored: Any) -> Nodes:
    store = open_bytestore(locate(MemoryStore()), read_only=False)
    for key, value in stored.items():
        store.set(key.replace("__", "/"), json.dumps(value).encode())
    return Nodes(store, documents, zarr_format=zarr_format)


@pytest.fixture
def tree() -> Nodes:
    return nodes({"": group_document({}), "g": group_document({"a": 1}), "g/data": array(unit="V")})


def test_nodes_are_found_by_their_paths(tree: Nodes) -> None:
    for path in ("", "/", "g", "/g/", "g/data", "/g/data"):
        assert path in tree
    assert "data" not in tree
    assert tree.uri == tree.location.uri == tree.bytestore.location.uri


def test_nodes_have_a_type_and_attributes(tree: Nodes) -> None:
    assert (tree.node_type("/g"), tree.node_type("/g/data/")) == ("group", "array")
    assert tree.attributes("/g/data") == {"unit": "V"}
    tree.documents["g"]["attributes"] = None
    assert tree.attributes("g") == {}
    with pytest.raises(KeyError):
        tree.node_type("nothing")


def test_a_node_that_was_removed_is_an_error(tree: Nodes) -> None:
    assert tree.document_of("g") is tree.documents["g"]
    for ask in (tree.document_of, tree.array):
        with pytest.raises(MetadataError, match=":/x/y is not in the store; it was removed$"):
            ask("x/y")


def test_a_document_is_parsed_once(tree: Nodes) -> None:
    first = tree.array("g/data")
    assert first.shape == (5,)
    assert tree.array("g/data") is first
    tree.documents["g/data"] = with_shape(tree.documents["g/data"], (7,))
    assert tree.array("g/data").shape == (7,)


def test_children_are_in_the_order_of_the_nodes(tree: Nodes) -> None:
    tree.documents["b"] = group_document({})
    assert tree.children() == {"": ["g", "b"], "g": ["data"], "g/data": [], "b": []}


def test_groups_without_a_document_are_on_the_way() -> None:
    found = nodes({"": group_document({}), "x/y/data": array(), "x/y/z/more": array()})
    assert found.children() == {
        "": ["x"],
        "x": ["y"],
        "x/y": ["data", "z"],
        "x/y/data": [],
        "x/y/z": ["more"],
        "x/y/z/more": [],
    }


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_convention_is_that_of_the_format(zarr_format: int) -> None:
    found = nodes({"": group_document({})}, zarr_format)
    assert type(found.convention) is type(convention_for_format(zarr_format))


def test_changes_by_others_are_counted(tree: Nodes) -> None:
    assert tree.n_changes == 0
    tree.note_change()
    tree.note_change()
    assert tree.n_changes == 2


SPECIFICATION = {"zarr_format": 2}
STORED = {
    ".zattrs": {".specloc": "specifications", "kept": 1},
    "specifications__.zgroup": SPECIFICATION,
    "specifications__core__.zgroup": SPECIFICATION,
    "other__.zgroup": SPECIFICATION,
}


def test_specifications_that_consolidated_metadata_lack_are_found() -> None:
    found = nodes({"": group_document({"own": 2})}, 2, **STORED)
    found.is_consolidated = True
    assert found.specification_path is None
    found.find_specifications()
    assert found.specification_path == "specifications"
    assert found.attributes("") == {".specloc": "specifications", "kept": 1, "own": 2}
    assert sorted(found.documents) == ["", "specifications", "specifications/core"]


@pytest.mark.parametrize(
    ("zarr_format", "is_consolidated", "location"),
    [(3, True, "specifications"), (2, False, "specifications"), (2, True, "../out"), (2, True, "")],
)
def test_specifications_are_not_looked_for_elsewhere(
    zarr_format: int, location: str, *, is_consolidated: bool
) -> None:
    stored = {**STORED, ".zattrs": {".specloc": location} if location else {}}
    found = nodes({"": group_document({})}, zarr_format, **stored)
    found.is_consolidated = is_consolidated
    found.find_specifications()
    assert sorted(found.documents) == [""]


def test_specifications_that_are_known_stay_as_they_are() -> None:
    known = group_document({"known": True})
    found = nodes(
        {"": group_document({".specloc": "specifications"}), "specifications": known}, 2, **STORED
    )
    found.is_consolidated = True
    found.find_specifications()
    assert sorted(found.documents) == ["", "specifications"]
    found.find_every_specification()
    assert sorted(found.documents) == ["", "specifications", "specifications/core"]
    assert found.documents["specifications"] is known
