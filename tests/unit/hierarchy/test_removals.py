"""Nodes that are removed stay in the store until the commit, and can come back."""

from __future__ import annotations

from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.errors import ObjectExistsError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.hierarchy.removals import Removals
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate

PATHS = ("", "a", "a/b", "a/b/c", "ab", "d")


@pytest.fixture
def nodes() -> Nodes:
    store = open_bytestore(locate(MemoryStore()), read_only=False)
    documents: dict[str, Any] = {path: group_document({"path": path}) for path in PATHS}
    for path in PATHS:
        store.set(f"{path}/zarr.json".lstrip("/"), b"{}")
    store.set("a/b/c.0", b"chunk")
    return Nodes(store, documents)


def test_a_node_is_taken_out_with_all_below_it(nodes: Nodes) -> None:
    removals = Removals(nodes)
    assert not removals
    before = set(nodes.bytestore.list_prefix(""))
    assert removals.take_out("a") == ["a", "a/b", "a/b/c"]
    assert removals
    assert sorted(nodes.documents) == ["", "ab", "d"]
    assert set(nodes.bytestore.list_prefix("")) == before


def test_nothing_new_takes_the_place_before_the_commit(nodes: Nodes) -> None:
    removals = Removals(nodes)
    removals.take_out("a/b")
    for path in ("a/b", "a/b/c", "a/b/new/data"):
        with pytest.raises(ObjectExistsError, match=":/a/b was removed, and is in the store until"):
            removals.refuse_new(path)
    for path in ("a", "a/bc", "ab", "d", ""):
        removals.refuse_new(path)


@pytest.mark.parametrize("path", ["a/b", "a/b/c"])
def test_what_was_removed_comes_back(nodes: Nodes, path: str) -> None:
    removals = Removals(nodes)
    kept = nodes.documents["a/b/c"]
    removals.take_out("a/b")
    removals.take_back(path)
    assert nodes.documents["a/b/c"] is kept
    assert sorted(nodes.documents) == sorted(PATHS)
    assert not removals
    removals.take_back(path)  # nothing any more


def test_only_what_is_at_or_above_the_path_comes_back(nodes: Nodes) -> None:
    removals = Removals(nodes)
    removals.take_out("a/b")
    removals.take_out("d")
    removals.take_back("a")
    assert sorted(nodes.documents) == ["", "a", "ab"]
    removals.take_back("d")
    assert sorted(nodes.documents) == ["", "a", "ab", "d"]
    assert removals


def test_the_commit_removes_what_nodes_have_left(nodes: Nodes) -> None:
    removals = Removals(nodes)
    removals.take_out("a/b")
    removals.carry_out()
    assert sorted(nodes.bytestore.list_prefix("")) == [
        *("a/zarr.json", "ab/zarr.json", "d/zarr.json", "zarr.json"),
    ]
    assert not removals
    removals.refuse_new("a/b")
    removals.carry_out()
