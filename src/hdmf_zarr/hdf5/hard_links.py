"""Names of an HDF5 file that HDF5IO loses: hard links, and links.

HDF5IO knows an object by the name under which it has met it first, and a link by the name of its
target. A second hard link of another name, and the first of two links to objects of one name, are not
among the builders that it reads; checked with hdmf 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import h5py
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import GroupBuilder, LinkBuilder

from hdmf_zarr.core.hdmf_private import hdf5_file


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildNames:
    """What the children of groups are really called.

    Attributes
    ----------
    added : dict of str to list of LinkBuilder
        Path of a group -> links that stand for names that its builder does not have.
    absent : frozenset of (str, str)
        Path of a group and name of a child that it does not have under this name.
    """

    added: Mapping[str, tuple[LinkBuilder, ...]] = field(default_factory=dict)
    absent: frozenset[tuple[str, str]] = frozenset()


def lost_names(io: HDF5IO, root: GroupBuilder) -> ChildNames:
    """Return the names of children that a builder read by HDF5IO has lost or confused.

    Parameters
    ----------
    io : HDF5IO
        That has read the builder; open.
    root : GroupBuilder
        The builder of the file's root.
    """
    added: dict[str, tuple[LinkBuilder, ...]] = {}
    absent: set[tuple[str, str]] = set()
    for path, group, builder in _groups(hdf5_file(io), root):
        names = set(group)
        known = {*builder.groups, *builder.datasets, *builder.links}
        absent |= {(path, name) for name in known - names}
        links = tuple(_link(io, group, name) for name in sorted(names - known))
        if found := tuple(link for link in links if link is not None):
            added[path] = found
    return ChildNames(added=added, absent=frozenset(absent))


def _groups(file: h5py.File, root: GroupBuilder) -> Iterator[tuple[str, h5py.Group, GroupBuilder]]:
    """Each group once, with its path and builder; groups of other files are theirs to know."""
    waiting, seen = [("", root)], set()
    while waiting:
        path, builder = waiting.pop()
        group = file.get("/" + path)
        if id(builder) in seen or not isinstance(group, h5py.Group):
            continue
        seen.add(id(builder))
        yield path, group, builder
        waiting += [(f"{path}/{name}".strip("/"), child) for name, child in builder.groups.items()]


def _link(io: HDF5IO, group: h5py.Group, name: str) -> LinkBuilder | None:
    target = group.get(name)
    if target is None:
        return None  # a link to nothing, which HDF5IO has warned of
    try:
        builder = io.get_builder(target)
    except ValueError:
        return None  # cached specifications, or what cannot be opened
    return LinkBuilder(builder=builder, name=name, source=io.source)
