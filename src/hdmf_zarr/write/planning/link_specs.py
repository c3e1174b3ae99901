"""The objects of a group that the specifications require as links."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from hdmf.build import BuildManager, GroupBuilder
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.convention import full_type_of

DataType = tuple[str, str]
"""Namespace and name of a data type."""


DATA_TYPE_ATTRIBUTES = ("namespace", "neurodata_type", "data_type")
"""Attributes with the data type of a node."""


def types_of(catalog: Any, data_type: DataType) -> tuple[str, ...]:
    """Return the name of a data type, and of the known types that it extends."""
    try:
        return tuple(catalog.get_hierarchy(*data_type))
    except (KeyError, ValueError):
        return (data_type[1],)


def link_for(spec: Any, name: str, types: Collection[str]) -> Any:
    """Return the link that a group's specification has for an object, or None.

    Parameters
    ----------
    spec : GroupSpec
    name : str
        Name of the object in the group.
    types : collection of str
        Data type of the object, and the types that it extends.
    """
    named = next((link for link in spec.links if link.name == name), None)
    if named is not None or _named_parts(spec, name):
        return named
    unnamed = (link for link in spec.links if link.name is None and link.target_type in types)
    return next(unnamed, None)


def has_part(spec: Any, name: str, types: Collection[str]) -> bool:
    """Return whether a group's specification has the object as a part; see `link_for`."""
    return bool(_named_parts(spec, name)) or any(
        part.name is None and _part_type(part) in types for part in (*spec.groups, *spec.datasets)
    )


def _named_parts(spec: Any, name: str) -> list[Any]:
    # `get_group` of HDMF also returns links with the name.
    return [part for part in (*spec.groups, *spec.datasets) if part.name == name]


def part_group(spec: Any, name: str) -> Any:
    """Return the specification of a subgroup by its name, or None."""
    return next((group for group in spec.groups if group.name == name), None)


def _part_type(part: Any) -> str | None:
    data_type: str | None = part.data_type_def or part.data_type_inc
    return data_type


class LinkSpecifications:
    """Looks up the links and parts of groups in the loaded specifications.

    Parameters
    ----------
    manager : BuildManager or None
        Manager with the specifications of the written file, if there are any.
    """

    def __init__(self, manager: BuildManager | None) -> None:
        self._catalog = None if manager is None else manager.namespace_catalog
        self._specs: dict[DataType, Any] = {}

    def wants_link(self, holder: GroupBuilder, name: str, target: BaseBuilder) -> bool:
        """Return whether readers of a group may require a link to an object.

        Every reader accepts a link, but a part only if the specification has one: an unknown type
        may require the link.

        Parameters
        ----------
        holder : GroupBuilder
            Group that contains the link.
        name : str
            Name of the link.
        target : BaseBuilder
        """
        of_target = full_type_of(target.attributes)
        if of_target is None:
            return False  # in specifications, the targets of links have types
        specs = list(self._specs_of(holder))
        if not specs:
            return full_type_of(holder.attributes) is not None
        types = types_of(self._catalog, of_target)
        return any(link_for(spec, name, types) is not None for spec in specs)

    def needs_more(self, holder: GroupBuilder, part: BaseBuilder) -> bool:
        """Return whether a typed group has other required parts than the given one."""
        of_holder = full_type_of(holder.attributes)
        if of_holder is None:
            return False
        spec = self._spec(of_holder)
        if spec is None:
            return True
        of_part = full_type_of(part.attributes)
        types = () if of_part is None else types_of(self._catalog, of_part)
        return any(
            each.required
            and each.name != part.name
            and not (each.name is None and _is(each, types))
            for each in (*spec.groups, *spec.datasets, *spec.links)
        )

    def _specs_of(self, holder: GroupBuilder) -> Iterator[Any]:
        """Yield the specifications of a group: of its own type, and by its name in groups above."""
        of_holder = full_type_of(holder.attributes)
        own = None if of_holder is None else self._spec(of_holder)
        if own is not None:
            yield own
        if isinstance(holder.parent, GroupBuilder):
            for above in self._specs_of(holder.parent):
                part = part_group(above, holder.name)
                if part is not None:
                    yield part

    def _spec(self, data_type: DataType) -> Any:
        if data_type not in self._specs:
            self._specs[data_type] = self._loaded_spec(data_type)
        return self._specs[data_type]

    def _loaded_spec(self, data_type: DataType) -> Any:
        if self._catalog is None:
            return None
        try:
            return self._catalog.get_spec(*data_type)
        except (KeyError, ValueError):  # the namespace of the type is not loaded
            return None


def _is(part: Any, types: Collection[str]) -> bool:
    """Whether a part of a specification, or the target of its link, has one of the types."""
    wanted = part.target_type if hasattr(part, "target_type") else _part_type(part)
    return wanted in types
