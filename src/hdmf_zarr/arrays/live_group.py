"""Zarr groups of a store that is being written: they show its present state and can change it.

zarr's own groups and arrays keep the metadata with which they were made. These read the hierarchy each time,
so that an older object does not restore old metadata. Checked with zarr-python 3.1.3, 3.1.6 and 3.4.2: every
method of `zarr.Group` uses ``_async_group``; ``tests/unit/test_compat.py`` fails when that changes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, MutableMapping
from typing import Any, Self

import zarr
from zarr.storage import StorePath

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray, open_array
from hdmf_zarr.arrays.live_store import LiveStore
from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import EncodingError, MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import why_unreadable

Node = Any
"""A `LiveGroup` or an `HDMFZarrArray`."""


class LiveGroup(zarr.Group):
    """A group of a store that is being written; see `of_node`."""

    _hierarchy: Hierarchy
    _node_path: str
    _owner: object

    @classmethod
    def of_node(cls, hierarchy: Hierarchy, path: str, owner: object = None) -> Self:
        """Return the group at a path.

        Parameters
        ----------
        hierarchy : Hierarchy
        path : str
        owner : object
            Object that commits the changes, and is kept as long as the group exists.
        """
        group = cls.__new__(cls)
        group.__dict__.update(_hierarchy=hierarchy, _node_path=path, _owner=owner)
        return group

    @property
    def _async_group(self) -> zarr.AsyncGroup:
        live = LiveStore(self._hierarchy, zarr_view.store_of_chunks(self._hierarchy.bytestore))
        document = live.document_of(self._node_path)
        return zarr.AsyncGroup.from_dict(StorePath(live, self._node_path), document)

    def _open(self, path: str) -> Node:
        """Return the node at a path of the store."""
        if self._hierarchy.node_type(path) == "array":
            return open_array(self._hierarchy, path)
        return LiveGroup.of_node(self._hierarchy, path, self._owner)

    # -- attributes ------------------------------------------------------------------------------

    @property
    def attrs(self) -> Any:
        """The attributes, which can be changed."""
        return LiveAttributes(self)

    def attributes(self) -> dict[str, JSON]:
        """Return a copy of the attributes."""
        return dict(self._hierarchy.document_of(self._node_path).get("attributes") or {})

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        """Replace all attributes.

        Raises
        ------
        EncodingError
            If they cannot be stored as JSON.
        """
        path = self._node_path
        try:
            plain = json.loads(json.dumps(attributes))
        except (TypeError, ValueError) as error:
            raise EncodingError(
                f"{self._hierarchy.uri}:/{path}: attributes are stored as JSON: {error}; write_attributes() "
                "takes numbers of numpy, references and others"
            ) from error
        document = self._hierarchy.document_of(path)
        self._hierarchy.set_document(path, {**document, "attributes": plain})

    def update_attributes(self, new_attributes: dict[str, Any]) -> Self:
        """Set attributes, and keep the others."""
        self.set_attributes({**self.attributes(), **new_attributes})
        return self

    async def update_attributes_async(self, new_attributes: dict[str, Any]) -> Self:
        """Set attributes, and keep the others."""
        return self.update_attributes(new_attributes)

    # -- nodes -----------------------------------------------------------------------------------

    def __getitem__(self, path: str) -> Node:
        full = f"{self._node_path}/{path.strip('/')}".strip("/")
        if full not in self._hierarchy.documents:
            raise KeyError(path)
        return self._open(full)

    def __contains__(self, member: object) -> bool:
        return isinstance(member, str) and self.get(member) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.members()])

    def __len__(self) -> int:
        return len(self.members())

    def keys(self) -> Any:
        """Yield the names of the members."""
        yield from self

    def members(
        self, max_depth: int | None = 0, *, use_consolidated_for_children: bool = True
    ) -> tuple[tuple[str, Node], ...]:
        """Return names and nodes below the group.

        Parameters
        ----------
        max_depth : int or None
            Maximum depth: 0 for the members of the group itself, None for all descendants.
        use_consolidated_for_children : bool
            Ignored option of zarr; all metadata are in memory.
        """
        start = f"{self._node_path}/" if self._node_path else ""
        found = []
        for path, document in list(self._hierarchy.documents.items()):
            name = path.removeprefix(start)
            is_below = path.startswith(start) and path != self._node_path
            is_wanted = max_depth is None or name.count("/") <= max_depth
            if is_below and is_wanted and why_unreadable(document) is None:
                found.append((name, self._open(path)))
        return tuple(found)

    def groups(self) -> Any:
        """Yield the names and the groups."""
        yield from (one for one in self.members() if isinstance(one[1], LiveGroup))

    def arrays(self) -> Any:
        """Yield the names and the arrays."""
        yield from (one for one in self.members() if isinstance(one[1], HDMFZarrArray))

    def group_keys(self) -> Any:
        """Yield the names of the groups."""
        yield from (name for name, _ in self.groups())

    def array_keys(self) -> Any:
        """Yield the names of the arrays."""
        yield from (name for name, _ in self.arrays())

    def group_values(self) -> Any:
        """Yield the groups."""
        yield from (group for _, group in self.groups())

    def array_values(self) -> Any:
        """Yield the arrays."""
        yield from (array for _, array in self.arrays())

    def require_groups(self, *names: str) -> tuple[Any, ...]:
        """Return groups; missing ones are created."""
        return tuple(self.require_group(name) for name in names)


class LiveAttributes(MutableMapping[str, Any]):
    """The attributes of a group of a store that is being written.

    Parameters
    ----------
    group : LiveGroup
    """

    def __init__(self, group: LiveGroup) -> None:
        self._group = group

    def __getitem__(self, name: str) -> Any:
        return self._group.attributes()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._group.update_attributes({name: value})

    def __delitem__(self, name: str) -> None:
        kept = self._group.attributes()
        del kept[name]
        self.put(kept)

    def __iter__(self) -> Iterator[str]:
        return iter(self._group.attributes())

    def __len__(self) -> int:
        return len(self._group.attributes())

    def update(self, *args: Any, **named: Any) -> None:
        """Set several attributes at once."""
        self._group.update_attributes(dict(*args, **named))

    def put(self, d: dict[str, Any]) -> None:
        """Replace all attributes."""
        self._group.set_attributes(dict(d))

    def asdict(self) -> dict[str, Any]:
        """Return a copy of the attributes as a dict."""
        return self._group.attributes()


MAKERS = (
    *("create_group", "require_group", "create_array", "create", "create_dataset"),
    *("require_array", "require_dataset", "array", "empty", "zeros", "ones", "full"),
    *("empty_like", "zeros_like", "ones_like", "full_like"),
)
"""Methods of `zarr.Group` that create a node, or return an existing one."""


def _opening(name: str) -> Any:
    """Return a method of zarr's group that returns its new node as a `LiveGroup` or `HDMFZarrArray`."""
    make = getattr(zarr.Group, name)

    @functools.wraps(make)
    def opening(self: LiveGroup, *args: Any, **options: Any) -> Node:
        made = make(self, *args, **options)
        if made.path not in self._hierarchy.documents:
            raise MetadataError(f"{self._hierarchy.uri}:/{made.path} was not made")
        return self._open(made.path)

    return opening


for _name in MAKERS:
    if hasattr(zarr.Group, _name):
        setattr(LiveGroup, _name, _opening(_name))
