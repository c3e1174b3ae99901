"""Links of a store are followed to their targets."""

from __future__ import annotations

from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.convention import Link
from hdmf_zarr.convention.unified import UnifiedConvention
from hdmf_zarr.errors import BrokenLinkError, MetadataError
from hdmf_zarr.hierarchy.links import LinkTable
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


def group(*links: tuple[str, str], source: str = ".") -> dict[str, Any]:
    made = [Link(name=name, source=source, path=path) for name, path in links]
    return group_document(UnifiedConvention().encode_links(made))


def nodes(**documents: Any) -> Nodes:
    store = open_bytestore(locate(MemoryStore()), read_only=False)
    given = {"": group_document({}), **documents}
    return Nodes(store, {path.replace("__", "/"): one for path, one in given.items()})


def table(**documents: Any) -> LinkTable:
    return LinkTable(nodes(**documents))


TREE = {
    "a": group(("link", "/b"), ("twice", "/a/link"), ("deep", "/a/link/x"), ("gone", "/nothing")),
    "b": group(("back", "/a")),
    "b__x": group_document({}),
}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", ""),
        ("/", ""),
        ("a", "a"),
        ("/b/x/", "b/x"),
        ("a/link", "b"),
        ("a/link/x", "b/x"),
        ("a/twice", "b"),
        ("a/twice/x", "b/x"),
        ("a/deep", "b/x"),
        ("a/link/back/link/x", "b/x"),
    ],
)
def test_a_path_leads_to_its_node(path: str, target: str) -> None:
    assert table(**TREE).resolve(path, 8) == target


@pytest.mark.parametrize("path", ["c", "a/c", "c/d", "a/gone", "a/link/c", "b/x/y"])
def test_a_path_to_nothing_is_an_error(path: str) -> None:
    with pytest.raises(BrokenLinkError, match="has no object at /"):
        table(**TREE).resolve(path, 8)


def test_what_is_missing_is_named_where_the_link_leads() -> None:
    with pytest.raises(BrokenLinkError, match="has no object at /nothing$"):
        table(**TREE).resolve("a/gone", 8)


def test_links_in_a_circle_end() -> None:
    circle = table(a=group(("x", "/a/y"), ("y", "/a/x")))
    with pytest.raises(BrokenLinkError, match=":/a/x leads through more than 5 links$"):
        circle.resolve("/a/x", 5)


def test_no_more_links_are_followed_than_allowed() -> None:
    found = table(**TREE)
    assert found.resolve("a/twice", 3) == "b"
    with pytest.raises(BrokenLinkError, match="more than 2 links"):
        found.resolve("a/twice", 2)


def test_a_link_to_another_store_is_found_and_not_followed() -> None:
    found = table(a=group(("link", "/b"), source="../other"))
    with pytest.raises(BrokenLinkError, match="has no object at /a/link/x$"):
        found.resolve("a/link/x", 8)
    assert found.find("a/link/x/y") == (
        Link(name="link", source="../other", path="/b"),
        ["x", "y"],
    )


def test_the_first_link_on_the_way_is_found() -> None:
    found = table(**TREE)
    assert found.find("a/link") == (Link(name="link", path="/b"), [])
    assert found.find("a/link/back/x") == (Link(name="link", path="/b"), ["back", "x"])
    for path in ("", "a", "b/x", "c/d", "a/c"):
        assert found.find(path) is None


def test_of_links_of_one_name_the_first_is_followed() -> None:
    assert table(a=group(("x", "/b"), ("x", "/c")), b=group(), c=group()).resolve("a/x", 2) == "b"


def test_links_are_decoded_again_when_the_group_has_others() -> None:
    held = nodes(a=group(("x", "/b")), b=group(), c=group())
    found = LinkTable(held)
    assert found.resolve("a/x", 2) == "b"
    held.documents["a"] = group(("x", "/c"))
    assert found.resolve("a/x", 2) == "c"
    held.documents["a"] = {"node_type": "group", "attributes": None}
    assert found.find("a/x") is None


def test_links_that_make_no_sense_are_an_error() -> None:
    word = UnifiedConvention().links_word
    with pytest.raises(MetadataError, match="must be a list of objects"):
        table(a=group_document({word: 3})).find("a/x")
