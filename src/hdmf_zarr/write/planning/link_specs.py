"""Which objects of a group the specifications want as links."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from hdmf.build import BuildManager, GroupBuilder
from hdmf.build.builders import BaseBuilder

from hdmf_zarr.convention import full_type_of

DataType = tuple[str, str]
"""Namespace and name of a data type."""


DATA_TYPE_ATTRIBUTES = ("namespace", "neurodata_type", "data_type")
"""Attributes that say what type a node has."""


def types_of(catalog: Any, data_type: DataType) -> tuple[str, ...]:
    """Return the name of a data type, and of those that it extends as far as they are known."""
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
        Of the object in the group.
    types : collection of str
        Its data type and those that this one extends.
    """
    named = next((link for link in spec.links if link.name == name), None)
    if named is not None or _named_parts(spec, name):
        return named
    unnamed = (link for link in spec.links if link.name is None and link.target_type in types)
    return next(unnamed, None)


def has_part(spec: Any, name: str, types: Collection[str]) -> bool:
    """Return whether a group's specification has an object itself; parameters as for `link_for`."""
    return bool(_named_parts(spec, name)) or any(
        part.name is None and _part_type(part) in types for part in (*spec.groups, *spec.datasets)
    )


def _named_parts(spec: Any, name: str) -> list[Any]:
    # `get_group` of HDMF returns a link of the name, too.
    return [part for part in (*spec.groups, *spec.datasets) if part.name == name]


def part_group(spec: Any, name: str) -> Any:
    """Return the specification of a group in a group by its name, or None."""
    return next((group for group in spec.groups if group.name == name), None)


def _part_type(part: Any) -> str | None:
    data_type: str | None = part.data_type_def or part.data_type_inc
    return data_type


class LinkSpecifications:
    """Looks up what the loaded specifications say of the links and parts of groups.

    Parameters
    ----------
    manager : BuildManager or None
        With the specifications of the file that is written; None where there are none.
    """

    def __init__(self, manager: BuildManager | None) -> None:
        self._catalog = None if manager is None else manager.namespace_catalog
        self._specs: dict[DataType, Any] = {}

    def wants_link(self, holder: GroupBuilder, name: str, target: BaseBuilder) -> bool:
        """Return whether a reader of a group opens an object only by a link.

        A link is right for every reader, a part only for those whose specification has one: a type
        that is not known here may want the link.

        Parameters
        ----------
        holder : GroupBuilder
            The group that has the link.
        name : str
            Of the link.
        target : BaseBuilder
        """
        of_target = full_type_of(target.attributes)
        if of_target is None:
            return False  # the target of a link in a specification has a type
        specs = list(self._specs_of(holder))
        if not specs:
            return full_type_of(holder.attributes) is not None
        types = types_of(self._catalog, of_target)
        return any(link_for(spec, name, types) is not None for spec in specs)

    def needs_more(self, holder: GroupBuilder, part: BaseBuilder) -> bool:
        """Return whether a group of some type needs more than one of its parts to be read."""
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
        """Yield the specification of a group's type, and what those above say of it by its name."""
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
        except (KeyError, ValueError):  # a type of a namespace that is not loaded
            return None


def _is(part: Any, types: Collection[str]) -> bool:
    """Whether a part, or the target of a link, that a specification has is of one of some types."""
    wanted = part.target_type if hasattr(part, "target_type") else _part_type(part)
    return wanted in types
