"""Makes builders without the checks of each argument that HDMF makes.

HDMF checks every argument of every call against its documented type, in each base class of a builder. This
takes 0.2 ms for each builder, most of the time of reading thousands of objects. Here the constructor makes
one builder of each kind, and the others are copies of it with another name, source and data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdmf.build import Builder, DatasetBuilder, GroupBuilder

_GROUPS, _DATASETS, _ATTRIBUTES = "groups", "datasets", "attributes"


class _Copies:
    """Makes builders of a kind by copying; it finds the field of each argument in a template."""

    def __init__(self, kind: type[Builder], **marks: Any) -> None:
        self._kind = kind
        template = kind(**marks)
        fields = vars(template)
        self._places = {
            argument: [field for field, held in fields.items() if held is mark]
            for argument, mark in marks.items()
        }
        self._items = list(dict.items(template))
        self._item_places = {
            argument: [key for key, held in self._items if held is mark]
            for argument, mark in marks.items()
        }
        self._fields = dict(fields)
        self.is_understood = all(
            self._places[argument] or self._item_places[argument] for argument in marks
        )

    def make(self, arguments: Mapping[str, Any]) -> Any:
        if not self.is_understood:
            return self._kind(**arguments)
        builder: Any = dict.__new__(self._kind)
        fields = vars(builder)
        for field, held in self._fields.items():
            fields[field] = dict(held) if type(held) is dict else held
        for key, held in self._items:
            dict.__setitem__(builder, key, dict(held) if type(held) is dict else held)
        for argument, value in arguments.items():
            for field in self._places[argument]:
                fields[field] = value
            for key in self._item_places[argument]:
                dict.__setitem__(builder, key, value)
        return builder


_groups = _Copies(GroupBuilder, name="the name of a group", source="the source of a group")
_datasets = _Copies(
    DatasetBuilder,
    name="the name of a dataset",
    source="the source of a dataset",
    data=["the data"],
    dtype=["the dtype"],
    maxshape=("the shape",),
    dimension_labels=("the labels",),
)


def make_group(
    name: str, source: str, groups: list[GroupBuilder], datasets: list[DatasetBuilder]
) -> GroupBuilder:
    """Return the builder of a group with its members, without attributes."""
    builder: GroupBuilder = _groups.make({"name": name, "source": source})
    for kind, held, members in (
        (_GROUPS, builder.groups, groups),
        (_DATASETS, builder.datasets, datasets),
    ):
        for member in members:
            held[member.name] = member
            builder.obj_type[member.name] = kind
            member.parent = builder
    return builder


def make_dataset(
    *,
    name: str,
    source: str,
    data: Any,
    dtype: Any,
    maxshape: tuple[int, ...],
    dimension_labels: tuple[Any, ...] | None,
) -> DatasetBuilder:
    """Return the builder of a dataset, without attributes."""
    builder: DatasetBuilder = _datasets.make(
        {
            "name": name,
            "source": source,
            "data": data,
            "dtype": dtype,
            "maxshape": maxshape,
            "dimension_labels": dimension_labels,
        }
    )
    return builder


def set_attribute(builder: GroupBuilder | DatasetBuilder, name: str, value: Any) -> None:
    """Set an attribute of a builder.

    Raises
    ------
    ValueError
        If the group has a member of that name.
    """
    if isinstance(builder, GroupBuilder):
        if builder.obj_type.get(name, _ATTRIBUTES) != _ATTRIBUTES:
            builder.set_attribute(name, value)  # raises HDMF's error
        builder.obj_type[name] = _ATTRIBUTES
    builder.attributes[name] = value
