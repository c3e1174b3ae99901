"""Builders that are made quickly are those that HDMF's constructors make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hdmf.build import Builder, DatasetBuilder, GroupBuilder, LinkBuilder

from hdmf_zarr.read import builders
from hdmf_zarr.read.builders import make_dataset, make_group, set_attribute


def dataset_arguments(data: Any) -> dict[str, Any]:
    return {
        "name": "data",
        "source": "/file",
        "data": data,
        "dtype": np.dtype("int16"),
        "maxshape": (3,),
        "dimension_labels": ("time",),
    }


def assert_alike(one: Builder, other: Builder) -> None:
    assert type(one) is type(other)
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(other).items():
        if not isinstance(value, Builder):
            assert vars(one)[name] == value, name
    assert list(dict.keys(one)) == list(dict.keys(other))
    for key, value in dict.items(other):
        assert type(dict.__getitem__(one, key)) is type(value)


@pytest.mark.parametrize("data", [[1, 2, 3], None, "text"])
def test_a_dataset_is_that_of_the_constructor(data: Any) -> None:
    arguments = dataset_arguments(data)
    made = make_dataset(**arguments)
    expected = DatasetBuilder(**arguments)
    assert_alike(made, expected)
    assert made == expected
    assert made.data is data


def test_a_group_is_that_of_the_constructor() -> None:
    def members() -> tuple[list[GroupBuilder], list[DatasetBuilder]]:
        return [GroupBuilder("inner", source="/file")], [
            DatasetBuilder(**dataset_arguments([1, 2, 3]))
        ]

    groups, datasets = members()
    made = make_group("outer", "/file", groups, datasets)
    expected = GroupBuilder("outer", *members(), source="/file")
    assert_alike(made, expected)
    assert made == expected
    assert made.obj_type == expected.obj_type
    assert made["inner"].parent is made
    assert made["data"].parent is made
    assert made["data"].path == "outer/data"


def test_builders_share_nothing() -> None:
    one, other = (make_group("group", "/file", [], []) for _ in range(2))
    set_attribute(one, "name", 1)
    one.set_link(LinkBuilder(other, "link"))
    assert other == GroupBuilder("group", source="/file")
    assert not other.attributes
    assert not other.obj_type
    assert make_group("group", "/file", [], []) == other
    first, second = (make_dataset(**dataset_arguments([1])) for _ in range(2))
    set_attribute(first, "name", 1)
    assert not second.attributes


def test_attributes_are_those_that_hdmf_sets() -> None:
    made, expected = make_group("g", "/f", [], []), GroupBuilder("g", source="/f")
    for value in (1, 2):
        set_attribute(made, "name", value)
        expected.set_attribute("name", value)
    assert_alike(made, expected)
    assert made.attributes == {"name": 2}
    assert made["name"] == 2


def test_an_attribute_with_the_name_of_a_member_is_refused_as_by_hdmf() -> None:
    group = make_group("g", "/f", [GroupBuilder("member")], [])
    with pytest.raises(ValueError, match="'member' already exists in g.groups"):
        set_attribute(group, "member", 1)


def test_what_hdmf_keeps_is_understood() -> None:
    assert builders._groups.is_understood
    assert builders._datasets.is_understood


def test_what_is_not_understood_is_made_by_the_constructor() -> None:
    class Other(GroupBuilder):  # type: ignore[misc]
        def __init__(self, name: str, source: str) -> None:
            super().__init__(name.upper(), source=source)

    copies = builders._Copies(Other, name="some name", source="some source")
    assert not copies.is_understood
    assert copies.make({"name": "a", "source": "/f"}).name == "A"
