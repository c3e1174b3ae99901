"""Names of an HDF5 file that HDF5IO loses: hard links, and links.

HDF5IO identifies an object by the first name that it reads, and a link by the name of its target. A second
hard link with another name, and the first of two links to objects of one name, are missing from the builders
that it reads; checked with hdmf 6.2.
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
    """Corrections of the names of children in the builders of groups.

    Attributes
    ----------
    added : dict of str to list of LinkBuilder
        Path of a group -> links for the names that its builder lacks.
    absent : frozenset of (str, str)
        Path of a group, and name in its builder that the group does not have.
    """

    added: Mapping[str, tuple[LinkBuilder, ...]] = field(default_factory=dict)
    absent: frozenset[tuple[str, str]] = frozenset()


def lost_names(io: HDF5IO, root: GroupBuilder) -> ChildNames:
    """Return the names of children that are missing or wrong in a builder read by HDF5IO.

    Parameters
    ----------
    io : HDF5IO
        Open IO that read the builder.
    root : GroupBuilder
        Builder of the file's root.
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
    """Yield each group of the file once, with its path and builder; groups of other files are skipped."""
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
        return None  # a broken link, for which HDF5IO has warned
    try:
        builder = io.get_builder(target)
    except ValueError:
        return None  # cached specifications, or an object that cannot be opened
    return LinkBuilder(builder=builder, name=name, source=io.source)
