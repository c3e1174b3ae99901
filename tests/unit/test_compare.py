"""The comparison that other tests rely on notices each kind of difference, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from pynwb import NWBHDF5IO

from tests.compare import assert_builders_equal, differences

UTF8 = np.dtype("O", metadata={"vlen": str})
ASCII = np.dtype("O", metadata={"vlen": bytes})
RECORD = [{"name": "n", "dtype": "int32"}, {"name": "target", "dtype": "object"}]


class References(list):  # type: ignore[type-arg]
    """References to builders in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As datasets have it."""
        return (len(self),)


def make_tree() -> GroupBuilder:
    first = DatasetBuilder("first", np.array([1.0, np.nan]), dtype=np.dtype("float64"))
    second = DatasetBuilder("second", np.array([1, 2], dtype="int16"), dtype=np.dtype("int16"))
    scalar = np.empty((), dtype=[("n", "i4"), ("target", "O")])
    scalar[()] = (3, first)
    datasets = [
        first,
        second,
        DatasetBuilder("text", np.array(["a", "µ"], dtype=object), dtype=UTF8),
        DatasetBuilder("ascii", np.array([b"a", b"b"], dtype=object), dtype=ASCII),
        DatasetBuilder("one", "text", dtype=UTF8),
        DatasetBuilder("references", References([first, second]), dtype="object"),
        DatasetBuilder("record", scalar, dtype=copy.deepcopy(RECORD)),
        DatasetBuilder("empty", None, dtype=UTF8),
    ]
    attributes = {
        "integer": 3,
        "real": np.nan,
        "flag": True,
        "text": "a",
        "narrow": np.uint8(1),
        "list": [1, 2],
        "labels": np.array(["a", "b"], dtype=object),
        "reference": first,
    }
    group = GroupBuilder("group", attributes=attributes)
    group.set_link(LinkBuilder(first, "link"))
    return GroupBuilder("root", datasets=datasets, groups=[group])


def set_attribute(name: str, value: Any) -> Callable[[GroupBuilder], None]:
    return lambda tree: tree.groups["group"].attributes.__setitem__(name, value)


def set_data(name: str, data: Any) -> Callable[[GroupBuilder], None]:
    return lambda tree: setattr_data(tree.datasets[name], data)


def setattr_data(builder: DatasetBuilder, data: Any) -> None:
    builder._DatasetBuilder__data = data
    builder["data"] = data


def replace_dataset(name: str, data: Any, dtype: Any) -> Callable[[GroupBuilder], None]:
    def replace(tree: GroupBuilder) -> None:
        del tree.datasets[name]
        dict.pop(tree, name, None)
        builder = DatasetBuilder(name, data, dtype=dtype)
        tree.datasets[name] = builder
        builder.parent = tree

    return replace


def other_link(tree: GroupBuilder) -> None:
    link = LinkBuilder(tree.datasets["second"], "link")
    tree.groups["group"].links["link"] = link


def other_record_target(tree: GroupBuilder) -> None:
    tree.datasets["record"].data["target"][()] = tree.datasets["second"]


def other_reference(tree: GroupBuilder) -> None:
    tree.datasets["references"].data[1] = ReferenceBuilder(tree.datasets["first"])


def other_attribute_reference(tree: GroupBuilder) -> None:
    tree.groups["group"].attributes["reference"] = tree.datasets["second"]


CHANGES: dict[str, tuple[Callable[[GroupBuilder], None], str]] = {
    "a value": (set_data("first", np.array([1.5, np.nan])), "/first: 1 of 2 values differ"),
    "a NaN": (set_data("first", np.array([1.0, 0.0])), "/first: 1 of 2 values differ"),
    "a shape": (set_data("first", np.array([[1.0, np.nan]])), r"/first: shape"),
    "a dtype": (
        replace_dataset("second", np.array([1, 2], dtype="int32"), np.dtype("int32")),
        "/second: dtype int16 != int32",
    ),
    "data not of the declared dtype": (
        set_data("second", np.array([1, 2], dtype="int32")),
        "/second: dtype",
    ),
    "text": (set_data("text", np.array(["a", "u"], dtype=object)), "/text: 1 of 2"),
    "text for ascii": (
        replace_dataset("ascii", np.array(["a", "b"], dtype=object), UTF8),
        "/ascii: dtype ascii != text",
    ),
    "text in place of bytes": (
        set_data("ascii", np.array(["a", "b"], dtype=object)),
        "/ascii: dtype",
    ),
    "one text": (set_data("one", "other"), "/one: 1 of 1 values differ"),
    "the type of one text": (replace_dataset("one", "text", ASCII), "/one: dtype text != ascii"),
    "rows where none were": (
        set_data("empty", np.array(["a"], dtype=object)),
        "/empty: shape",
    ),
    "a reference": (other_reference, "/references: 1 of 2 values differ"),
    "a record's number": (
        lambda tree: tree.datasets["record"].data["n"].__setitem__((), 4),
        "/record: 1 of 1 values differ",
    ),
    "a record's reference": (other_record_target, "/record: 1 of 1 values differ"),
    "a record's dtype": (
        lambda tree: tree.datasets["record"].dtype[0].update(dtype="int64"),
        "/record: dtype",
    ),
    "a record's field name": (
        replace_dataset(
            "record",
            np.zeros((), dtype=[("m", "i4"), ("target", "O")]),
            [{"name": "m", "dtype": "int32"}, RECORD[1]],
        ),
        "/record: dtype",
    ),
    "a missing dataset": (
        lambda tree: tree.datasets.pop("one"),
        "/one: dataset only in the first",
    ),
    "a missing group": (lambda tree: tree.groups.pop("group"), "/group: group only in the first"),
    "a missing link": (
        lambda tree: tree.groups["group"].links.pop("link"),
        "/group/link: link only in the first",
    ),
    "a link's target": (other_link, "/group/link: link to /first != /second"),
    "an attribute's value": (set_attribute("integer", 4), "/group@integer: 1 of 1"),
    "an attribute's dtype": (
        set_attribute("narrow", np.int8(1)),
        "/group@narrow: dtype uint8 != int8",
    ),
    "a real number for an integer": (set_attribute("integer", 3.0), "/group@integer: dtype"),
    "a number for a bool": (set_attribute("flag", 1), "/group@flag: dtype"),
    "an array of one for a scalar": (set_attribute("integer", [3]), "/group@integer: shape"),
    "text for a NaN": (set_attribute("real", "NaN"), "/group@real: dtype"),
    "an attribute's text": (set_attribute("text", "b"), "/group@text: 1 of 1"),
    "a list's length": (set_attribute("list", [1, 2, 3]), "/group@list: shape"),
    "an additional attribute": (
        set_attribute("new", 1),
        "/group@new: attribute only in the second",
    ),
    "a missing attribute": (
        lambda tree: tree.groups["group"].attributes.pop("text"),
        "/group@text: attribute only in the first",
    ),
    "an attribute's target": (other_attribute_reference, "/group@reference: 1 of 1"),
    "a path for a reference": (set_attribute("reference", "/first"), "/group@reference: dtype"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_noticed_with_its_path(name: str) -> None:
    change, message = CHANGES[name]
    tree = make_tree()
    change(tree)
    with pytest.raises(AssertionError, match=message):
        assert_builders_equal(make_tree(), tree)


def test_every_difference_is_reported() -> None:
    tree = make_tree()
    set_attribute("integer", 4)(tree)
    set_data("one", "other")(tree)
    found = list(differences(make_tree(), tree))
    assert [line.partition(":")[0] for line in found] == ["/group@integer", "/one"]


def test_equal_trees_are_equal() -> None:
    assert_builders_equal(make_tree(), make_tree())


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("integer", np.int64(3)),
        ("real", np.float64("nan")),
        ("flag", np.bool_(True)),
        ("list", np.array([1, 2])),
        ("list", (1, 2)),
        ("labels", ["a", "b"]),
        ("labels", np.array(["a", "b"])),
        ("text", np.str_("a")),
    ],
)
def test_spellings_of_one_attribute_are_equal(name: str, spelling: Any) -> None:
    tree = make_tree()
    set_attribute(name, spelling)(tree)
    assert_builders_equal(make_tree(), tree)


def test_an_ignored_path_is_not_compared() -> None:
    tree = make_tree()
    set_attribute("integer", 4)(tree)
    assert_builders_equal(make_tree(), tree, ignore=lambda path: path == "/group@integer")


def test_datasets_of_a_file_are_compared_by_value(rich_hdf5: Path) -> None:
    with NWBHDF5IO(str(rich_hdf5), "r") as io, NWBHDF5IO(str(rich_hdf5), "r") as again:
        tree, other = io.read_builder(), again.read_builder()
        assert_builders_equal(tree, other)
        data = other["acquisition/raw/data"]
        values = copy.copy(data.data[...])
        values[7, 1] += 1
        setattr_data(data, values)
        assert list(differences(tree, other)) == [
            f"/acquisition/raw/data: 1 of 900 values differ, the first at 22: "
            f"{values[7, 1] - 1} != {values[7, 1]}"
        ]
