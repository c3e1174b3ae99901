"""Which containers differ from the builders from which they were read.

HDMF relies on the modified flag of a container. A user's ``fields[...] = value`` does not set it,
and each resolved reference, and each second read, clears it. So the contents of a container are
compared here with its builder, by the specification of its type: attributes, datasets, children,
links. Lazy data are compared by identity; stored data are read only to compare a few elements with
data in memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import zarr
from hdmf.build import BuildManager, GroupBuilder, LinkBuilder, ReferenceBuilder, TypeMap
from hdmf.build.builders import BaseBuilder
from hdmf.common import DynamicTable, VectorIndex
from hdmf.container import AbstractContainer, Data
from hdmf.query import HDMFDataset
from hdmf.spec import AttributeSpec, DatasetSpec, GroupSpec
from hdmf.utils import get_docval

from hdmf_zarr.hdf5 import is_h5py_dataset, stored_dataset

Pair = tuple[AbstractContainer, BaseBuilder]

COMPARED_ELEMENTS = 10_000
"""Most elements of stored data that are read for a comparison; larger data count as different."""

REPLACED = "other data are in memory than in the store, which an append does not replace"
REMOVED = "the object was removed in memory, which an append does not do in the store"
MOVED = "the object was moved in memory, of which an append makes a link in the store"

IMPLIED: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "colnames": (DynamicTable, lambda table: [column.name for column in table.columns]),
    "description": (VectorIndex, lambda index: f"Index for VectorData '{index.target.name}'"),
}
"""Values that HDMF's classes set themselves if the file has none, by Python attribute."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A difference between a container and its builder.

    Attributes
    ----------
    container : AbstractContainer
    path : str
        Path of the edited part, relative to the container.
    kept : str
        Message if an append cannot make the edit, since it replaces and removes no data of the
        file; empty if it can.
    """

    container: AbstractContainer
    path: str
    kept: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """An attribute or dataset in the specification of a type, and its place in a builder."""

    steps: tuple[str, ...]
    spec: Any
    name: str
    """Name of the container's Python attribute."""
    has_function: bool
    """Whether HDMF's mapper computes the value instead of reading the attribute."""
    of_dataset: bool
    """Whether it is an attribute of a dataset, which is only written with the dataset."""
    is_argument: bool
    """Whether the constructor has this argument; other values are dropped by a read."""
    defaults: tuple[Any, ...]

    @property
    def path(self) -> str:
        return "/".join((*self.steps, str(self.spec.name)))


@dataclass(slots=True)
class _Held:
    """A Python attribute that contains other containers."""

    spec: Any
    """One of its specifications."""
    places: set[tuple[str, ...]] = field(default_factory=set)
    """Paths of the untyped groups with these children; () is the builder itself."""


@dataclass(slots=True)
class _Type:
    """The parts that are compared for the containers of a class."""

    mapper: Any
    rows: list[_Row] = field(default_factory=list)
    held: dict[str, _Held] = field(default_factory=dict)
    """Python attributes that contain other containers."""


class _NotRead(Exception):
    """A mapper has requested the builder of a container that is in no file yet."""


class _Lookup(BuildManager):  # type: ignore[misc]
    """Returns the builders that were read to mappers that request them; builds nothing."""

    def __init__(self, type_map: TypeMap, builders: Mapping[int, BaseBuilder]) -> None:
        super().__init__(type_map)
        self._read = builders

    def build(self, container: AbstractContainer, **_options: Any) -> BaseBuilder:
        if id(container) not in self._read:
            raise _NotRead
        return self._read[id(container)]

    def get_builder(self, container: AbstractContainer) -> BaseBuilder | None:
        return self._read.get(id(container))


class Edits:
    """Compares containers with their builders.

    Parameters
    ----------
    type_map : TypeMap
    containers : mapping
        Id of a builder -> its container.
    builders : mapping
        Id of a container -> its builder.
    """

    def __init__(
        self,
        type_map: TypeMap,
        containers: Mapping[int, AbstractContainer],
        builders: Mapping[int, BaseBuilder],
    ) -> None:
        self._type_map = type_map
        self._containers = containers
        self._builders = builders
        self._lookup = _Lookup(type_map, builders)
        self._types: dict[type, _Type] = {}
        self.has_moves = False
        """Whether `changed` has found a container that was moved."""

    def of(self, pairs: Iterable[Pair]) -> list[Edit]:
        """Return every edit of the containers, given in pairs with their builders."""
        with warnings.catch_warnings():
            # HDMF's mappers warn again when the written containers are built.
            warnings.simplefilter("ignore")
            return [
                edit for container, builder in pairs for edit in self._edits(container, builder)
            ]

    def changed(self, pairs: Iterable[Pair]) -> set[int]:
        """Return the ids of the containers that an export must build, and of their ancestors."""
        pairs = list(pairs)
        changed: set[int] = set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for container, builder in pairs:
                edits = list(self._edits(container, builder))
                if edits or container.modified or _has_waiting_rows(container):
                    _add_with_ancestors(container, changed)
                self.has_moves |= any(edit.kept == MOVED for edit in edits)
        self._add_linking(pairs, changed)
        return changed

    def _add_linking(self, pairs: list[Pair], changed: set[int]) -> None:
        """Add containers with links to changed containers of other files."""
        linking = [
            (
                container,
                {id(self._containers.get(id(target))) for target in _foreign_targets(builder)},
            )
            for container, builder in pairs
            if isinstance(builder, GroupBuilder)
        ]
        n_before = -1
        while len(changed) != n_before:
            n_before = len(changed)
            for container, targets in linking:
                if id(container) not in changed and targets & changed:
                    _add_with_ancestors(container, changed)

    # -- one container ---------------------------------------------------------------------------

    def _edits(self, container: AbstractContainer, builder: BaseBuilder) -> Iterator[Edit]:
        compared = self._type_of(container)
        id_key = compared.mapper.spec.id_key()
        if builder.attributes.get(id_key) not in (None, container.object_id):
            yield Edit(container, id_key)
        for row in compared.rows:
            if self._is_edited(row, compared, container, builder):
                yield Edit(container, row.path, REPLACED if _is_data(row, builder) else "")
        if isinstance(container, Data) and not self._same(container.data, builder.get("data")):
            yield Edit(container, "", REPLACED)
        if isinstance(builder, GroupBuilder):
            yield from self._moved(container, builder)
            yield from self._linked(compared, container, builder)

    def _is_edited(
        self, row: _Row, compared: _Type, container: AbstractContainer, builder: BaseBuilder
    ) -> bool:
        # A link's target has the attributes; a missing dataset is compared by its own row.
        node = _node(builder, row.steps)
        if isinstance(node, LinkBuilder) or (node is None and row.of_dataset):
            return False
        stored = None if node is None else _stored(node, row.spec)
        if not row.has_function and self._same(getattr(container, row.name, None), stored):
            return False
        try:
            value = compared.mapper.get_attr_value(row.spec, container, self._lookup)
        except _NotRead:
            return True
        if stored is None or _is_empty(stored):
            defaults = (*row.defaults, _implied(container, row.name))
            if _is_empty(value) or any(value is d or _equal(value, d) for d in defaults):
                return False
        if value is None and not row.is_argument:
            return False
        return not self._same(value, stored)

    def _moved(self, container: AbstractContainer, builder: GroupBuilder) -> Iterator[Edit]:
        """Yield the children that were added, removed or replaced."""
        own = {id(b): b for b in self._children_of(builder)}
        # The parent of an object in another file is the container that links to it.
        linked = {
            id(link.builder) for link in _links(builder) if link.builder.source != builder.source
        }
        for child in container.children:
            child_builder = self._builders.get(id(child))
            if id(child_builder) not in own and id(child_builder) not in linked:
                yield Edit(container, child.name, "" if child_builder is None else MOVED)
        for child_builder in own.values():
            child = self._containers[id(child_builder)]
            # The parent of an object read only by a link or reference may not be a container yet.
            if child.parent is None or (
                isinstance(child.parent, AbstractContainer) and child.parent is not container
            ):
                yield Edit(container, child.name, REMOVED)

    def _children_of(self, builder: GroupBuilder) -> Iterator[BaseBuilder]:
        for child in (*builder.groups.values(), *builder.datasets.values()):
            if id(child) in self._containers:
                yield child
            elif isinstance(child, GroupBuilder):
                yield from self._children_of(child)

    def _linked(
        self, compared: _Type, container: AbstractContainer, builder: GroupBuilder
    ) -> Iterator[Edit]:
        """Yield the containers that were linked, unlinked, or moved to another untyped group."""
        stored = {id(link.builder): link for link in _links(builder)}
        held: set[int] = set()
        filled: set[str | None] = set()
        for name, specified in compared.held.items():
            for other in self._held(compared, container, name, specified.spec):
                target = self._builders.get(id(other))
                held.add(id(target))
                filled.add(specified.spec.name)
                if other.parent is not container:
                    if id(target) not in stored:
                        yield Edit(container, other.name)
                elif specified.places and self._place(target, builder) not in (
                    None,
                    *specified.places,
                ):
                    yield Edit(container, other.name, MOVED)
        for key, link in stored.items():
            if key in self._containers and key not in held:
                yield Edit(container, link.name, "" if link.name in filled else REMOVED)

    def _place(self, child: Any, builder: GroupBuilder) -> tuple[str, ...] | None:
        """Return the names of the untyped groups above a child; None for another's child."""
        names: list[str] = []
        parent = None if child is None else child.parent
        while parent is not None and parent is not builder:
            if id(parent) in self._containers:
                return None
            names.append(parent.name)
            parent = parent.parent
        return None if parent is None else tuple(reversed(names))

    def _held(
        self, compared: _Type, container: AbstractContainer, name: str, spec: Any
    ) -> Iterator[AbstractContainer]:
        value = getattr(container, name, None)
        if name in compared.mapper.obj_attrs:
            value = compared.mapper.get_attr_value(spec, container, self._lookup)
        if isinstance(value, AbstractContainer):
            yield value
        elif isinstance(value, Mapping):
            yield from (v for v in value.values() if isinstance(v, AbstractContainer))
        elif isinstance(value, (list, tuple, set)):
            yield from (v for v in value if isinstance(v, AbstractContainer))

    # -- specifications of types -----------------------------------------------------------------

    def _type_of(self, container: AbstractContainer) -> _Type:
        cls = type(container)
        if cls not in self._types:
            self._types[cls] = self._compared(container)
        return self._types[cls]

    def _compared(self, container: AbstractContainer) -> _Type:
        mapper = self._type_map.get_map(container)
        compared = _Type(mapper)
        initial = {
            argument["name"]: argument.get("default")
            for argument in get_docval(type(container).__init__)
        }
        self._collect(mapper.spec, (), compared, initial)
        return compared

    def _collect(
        self, spec: Any, steps: tuple[str, ...], compared: _Type, initial: dict[str, Any]
    ) -> None:
        for attribute in spec.attributes:
            if attribute.value is None:
                self._add_row(attribute, steps, compared, initial)
        if not isinstance(spec, GroupSpec):
            return
        for dataset in spec.datasets:
            if _is_typed(dataset):
                self._add_held(dataset, steps, compared)
            else:
                self._add_row(dataset, steps, compared, initial)
                self._collect(dataset, (*steps, dataset.name), compared, initial)
        for group in spec.groups:
            if _is_typed(group):
                self._add_held(group, steps, compared)
            else:
                self._collect(group, (*steps, group.name), compared, initial)
        for link in spec.links:
            self._add_held(link, None, compared)

    def _add_row(
        self, spec: Any, steps: tuple[str, ...], compared: _Type, initial: dict[str, Any]
    ) -> None:
        name = compared.mapper.get_attribute(spec)
        if name is None:
            return
        argument = compared.mapper.get_const_arg(spec)
        defaults = (None, spec.default_value, initial.get(argument))
        compared.rows.append(
            _Row(
                steps,
                spec,
                name,
                has_function=name in compared.mapper.obj_attrs,
                of_dataset=bool(steps) and isinstance(spec.parent, DatasetSpec),
                is_argument=argument in initial,
                defaults=defaults,
            )
        )

    def _add_held(self, spec: Any, steps: tuple[str, ...] | None, compared: _Type) -> None:
        name = compared.mapper.get_attribute(spec)
        if name is None:
            return
        held = compared.held.setdefault(name, _Held(spec))
        if steps is not None:
            held.places.add(steps)

    # -- values ----------------------------------------------------------------------------------

    def _same(self, value: Any, stored: Any) -> bool:
        """Whether a value is equal to the builder's."""
        if value is stored:
            return True
        if value is None or stored is None:
            return False
        if isinstance(value, AbstractContainer):
            value = self._builders.get(id(value))
            return value is not None and value is _target(stored)
        if isinstance(value, LinkBuilder):
            return isinstance(stored, LinkBuilder) and value.builder is stored.builder
        return _same_data(value, stored)


def _add_with_ancestors(container: AbstractContainer, changed: set[int]) -> None:
    current: Any = container
    while isinstance(current, AbstractContainer) and id(current) not in changed:
        changed.add(id(current))
        current = current.parent


def _has_waiting_rows(container: AbstractContainer) -> bool:
    """Whether rows of references are pending in memory until their targets are written."""
    data = getattr(container, "data", None)
    return isinstance(data, HDMFDataset) and len(data) != len(data.dataset)


def _implied(container: AbstractContainer, name: str) -> Any:
    kind, implied = IMPLIED.get(name, (AbstractContainer, _nothing))
    return implied(container) if isinstance(container, kind) else None


def _nothing(_container: Any) -> None:
    return None


def _is_typed(spec: Any) -> bool:
    return spec.data_type_def is not None or spec.data_type_inc is not None


def _links(builder: GroupBuilder) -> list[LinkBuilder]:
    """Return the links of a group, and of the untyped groups in it."""
    found = list(builder.links.values())
    for group in builder.groups.values():
        if not ("neurodata_type" in group.attributes or "data_type" in group.attributes):
            found += _links(group)
    return found


def _foreign_targets(builder: GroupBuilder) -> list[BaseBuilder]:
    targets = (link.builder for link in _links(builder))
    return [target for target in targets if target.source != builder.source]


def _node(builder: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if not isinstance(builder, GroupBuilder):
            return None
        builder = _child(builder, step)
    return builder


def _child(builder: GroupBuilder, name: str) -> Any:
    for kind in (builder.groups, builder.datasets, builder.links):
        if name in kind:
            return kind[name]
    return None


def _stored(node: Any, spec: Any) -> Any:
    """Return the value or link that a builder has for a specification."""
    if isinstance(spec, AttributeSpec):
        return node.attributes.get(spec.name)
    if not isinstance(node, GroupBuilder):
        return None
    found = _child(node, spec.name)
    return found if found is None or isinstance(found, LinkBuilder) else found.get("data")


def _is_data(row: _Row, builder: BaseBuilder) -> bool:
    if not isinstance(row.spec, DatasetSpec):
        return False
    return _stored(_node(builder, row.steps) or {}, row.spec) is not None


def _target(stored: Any) -> Any:
    return stored.builder if isinstance(stored, (ReferenceBuilder, LinkBuilder)) else stored


def _is_lazy(value: Any) -> bool:
    return is_h5py_dataset(value) or isinstance(value, (zarr.Array, HDMFDataset))


def _same_data(value: Any, stored: Any) -> bool:
    if _is_lazy(value):
        return _is_lazy(stored) and _same_array(value, stored)
    if not _is_lazy(stored):
        return _equal(value, stored)
    if isinstance(stored, HDMFDataset) or np.prod(stored.shape) > COMPARED_ELEMENTS:
        return False
    return _equal(value, stored[()])


def _same_array(value: Any, stored: Any) -> bool:
    """Whether two lazy datasets are the same."""
    value = value.dataset if isinstance(value, HDMFDataset) else value
    stored = stored.dataset if isinstance(stored, HDMFDataset) else stored
    if is_h5py_dataset(value) and is_h5py_dataset(stored):
        return bool(stored_dataset(value).id == stored_dataset(stored).id)
    return value is stored


def _equal(value: Any, stored: Any) -> bool:
    """Whether two values in memory are equal: text as bytes, dates as text, sequences as arrays."""
    value, stored = _plain(value), _plain(stored)
    if _is_sequence(value) or _is_sequence(stored):
        return _equal_sequences(value, stored)
    if isinstance(value, (date, datetime)):
        return bool(value == _as_time(stored, type(value)))
    if isinstance(value, bool) != isinstance(stored, bool):
        return False
    both_nan = value != value and stored != stored
    return bool(both_nan or value == stored)


def _equal_sequences(value: Any, stored: Any) -> bool:
    if not (_is_sequence(value) and _is_sequence(stored)) or len(value) != len(stored):
        return False
    if isinstance(value, np.ndarray) and isinstance(stored, np.ndarray) and value.dtype.kind != "O":
        if value.dtype != stored.dtype:
            return False
        return bool(np.array_equal(value, stored, equal_nan=value.dtype.kind in "fc"))
    return all(_equal(mine, other) for mine, other in zip(value, stored, strict=True))


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _is_empty(value: Any) -> bool:
    return _is_sequence(_plain(value)) and len(value) == 0


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _as_time(stored: Any, kind: type) -> Any:
    if not isinstance(stored, str):
        return stored
    try:
        time = datetime.fromisoformat(stored)
    except ValueError:
        return stored
    return time if kind is datetime else time.date()


class _ExportManager(BuildManager):  # type: ignore[misc]
    """Builds for an export; the manager of the source keeps its builders.

    Parameters
    ----------
    origin : BuildManager
        Manager of the source, with the builders of referenced objects that are not exported.
    """

    def __init__(self, origin: BuildManager) -> None:
        super().__init__(origin.type_map)
        self._origin = origin
        self._resolves = False

    def get_builder(self, container: AbstractContainer) -> BaseBuilder | None:
        found = super().get_builder(container)
        if found is None and self._resolves:
            found = self._origin.get_builder(container)
        return found

    def queue_ref(self, func: Callable[[], None]) -> None:
        """Queue a function that resolves references after the build."""

        def resolve() -> None:
            self._resolves = True
            func()

        super().queue_ref(resolve)


def build_to_export(
    root: AbstractContainer,
    manager: BuildManager,
    containers: Mapping[int, AbstractContainer],
    builders: Mapping[int, BaseBuilder],
    *,
    source: str,
    rebuild: bool,
) -> tuple[GroupBuilder, BuildManager]:
    """Return a builder of the root with all edits of its containers, and the builder's manager.

    Parameters
    ----------
    root : AbstractContainer
    manager : BuildManager
        Manager that has read the root. Neither it nor any container is changed.
    containers, builders : mapping
        Containers and builders of the manager, as for `Edits`.
    source : str
        Destination, which becomes the source of new builders.
    rebuild : bool
        Build everything below the root, not only edited containers.
    """
    pairs = [
        (container, builders[id(container)])
        for container in containers.values()
        if id(container) in builders
    ]
    changed = _tree_of(root) if rebuild else set()
    edits = Edits(manager.type_map, containers, builders)
    changed |= edits.changed(pair for pair in pairs if id(pair[0]) not in changed)
    if edits.has_moves:  # builders that refer to the former places are outdated, too
        changed |= _tree_of(root)
    if id(root) not in changed:
        return builders[id(root)], manager
    export_manager = _ExportManager(manager)
    for container, builder in pairs:
        if id(container) not in changed:
            export_manager.prebuilt(container, builder)
    builder = export_manager.build(root, source=source, root=True, export=True)
    _note_places(export_manager, (pair for pair in pairs if id(pair[0]) in changed))
    return builder, export_manager


def _note_places(manager: BuildManager, pairs: Iterable[Pair]) -> None:
    """Give new builders without a parent, of objects in other files, their locations there."""
    for container, old in pairs:
        builder = manager.get_builder(container)
        if builder is not None and builder is not old and builder.parent is None:
            builder.location = old.location


def _tree_of(root: AbstractContainer) -> set[int]:
    found: set[int] = set()
    waiting = [root]
    while waiting:
        container = waiting.pop()
        found.add(id(container))
        waiting += container.children
    return found
