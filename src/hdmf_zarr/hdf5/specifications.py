"""The cached specifications of an HDF5 file, copied as they are."""

from __future__ import annotations

from collections.abc import Mapping

import h5py

from hdmf_zarr.convention.unified import SPECIFICATION_GROUP, SPECIFICATION_LOCATION
from hdmf_zarr.hdf5.errors import reading

Specifications = dict[str, dict[str, dict[str, str]]]
"""Namespace -> version -> source -> JSON text."""


def read_specifications(file: h5py.File) -> Specifications:
    """Return the cached specifications of a file; empty if there are none."""
    location = file.attrs.get(SPECIFICATION_LOCATION)
    if location is None:
        return {}
    with reading(f"{file.filename}: the cached specifications"):
        return {
            namespace: {
                version: {source: _text(dataset) for source, dataset in _leaves(versions[version])}
                for version in versions
            }
            for namespace, versions in file[location].items()
        }


def write_specifications(
    file: h5py.File, specifications: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> None:
    """Cache specifications in a file in addition to its own."""
    group = file.require_group(SPECIFICATION_GROUP)
    file.attrs[SPECIFICATION_LOCATION] = group.ref
    text = h5py.string_dtype()
    for namespace, versions in specifications.items():
        for version, sources in versions.items():
            if f"{namespace}/{version}" in group:
                continue
            version_group = group.create_group(f"{namespace}/{version}")
            for source, content in sources.items():
                version_group.create_dataset(source, data=content, dtype=text)


def _leaves(group: h5py.Group) -> list[tuple[str, h5py.Dataset]]:
    found: list[tuple[str, h5py.Dataset]] = []
    group.visititems(
        lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None
    )
    return found


def _text(dataset: h5py.Dataset) -> str:
    value = dataset[()]
    if getattr(value, "shape", ()) == (1,):
        value = value[0]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
