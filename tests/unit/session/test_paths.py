"""Paths of builders and of zarr's objects in their stores."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder
from zarr.storage import MemoryStore

from hdmf_zarr.session.paths import builder_path, node_path, parent_path


@pytest.fixture
def root() -> GroupBuilder:
    data = DatasetBuilder("data", [1])
    inner = GroupBuilder("inner", datasets=[data])
    link = LinkBuilder(builder=data, name="link")
    return GroupBuilder("root", groups=[GroupBuilder("outer", groups=[inner], links=[link])])


def test_the_path_of_a_root_is_empty(root: GroupBuilder) -> None:
    assert builder_path(root) == ""


def test_a_path_has_the_names_of_the_builders_above(root: GroupBuilder) -> None:
    outer = root["outer"]
    inner = outer["inner"]
    paths = [builder_path(one) for one in (outer, inner, inner["data"], outer.links["link"])]
    assert paths == ["outer", "outer/inner", "outer/inner/data", "outer/link"]


@pytest.mark.parametrize("location", ["/", "/a", "/a/b"])
def test_where_a_builder_was_read_goes_before_the_builders_above(
    root: GroupBuilder, location: str
) -> None:
    root["outer"].location = location
    assert builder_path(root["outer"]) == f"{location}/outer".strip("/")


def test_a_root_of_another_name_is_a_part_of_the_path() -> None:
    piece = GroupBuilder("piece", datasets=[DatasetBuilder("data", [1])])
    assert builder_path(piece) == "piece"
    assert builder_path(piece["data"]) == "piece/data"


def test_a_group_called_root_below_another_is_no_root() -> None:
    outer = GroupBuilder("root", groups=[GroupBuilder("root")])
    assert builder_path(outer["root"]) == "root"


@pytest.mark.parametrize("text", ["a/b", "/a/b", "a/b/", "//a/b//"])
def test_text_is_a_path_without_slashes_at_its_ends(text: str) -> None:
    assert node_path(text) == "a/b"
    assert parent_path(text) == "/a"


def test_groups_and_arrays_have_their_path_in_the_store() -> None:
    group = zarr.create_group(MemoryStore())
    array = group.create_array("a/b", data=np.arange(2))
    assert [node_path(one) for one in (group, group["a"], array)] == ["", "a", "a/b"]
    assert [parent_path(one) for one in (group, group["a"], array)] == ["/", "/", "/a"]
