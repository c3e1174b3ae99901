"""Objects of an HDF5 file that HDF5IO leaves out because it cannot read them."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
from hdmf.build import GroupBuilder

from hdmf_zarr.convention.unified import SPECIFICATION_LOCATION


def unreadable_objects(group: h5py.Group, builder: GroupBuilder) -> Iterator[str]:
    """Yield the paths of objects below a group that are missing from its builder.

    A broken soft or external link is not yielded: only the link itself is unusable.
    """
    location = group.attrs.get(SPECIFICATION_LOCATION)
    ignored = group[location].name if location is not None else None
    for name in group:
        path = f"{group.name.rstrip('/')}/{name}"
        if path == ignored or name in builder.datasets or name in builder.links:
            continue
        if name in builder.groups:
            yield from unreadable_objects(group[name], builder.groups[name])
        elif isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield path
