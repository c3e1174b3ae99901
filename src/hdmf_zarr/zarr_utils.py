"""The lazy datasets, under the module name of releases up to 0.14."""

from __future__ import annotations

from hdmf_zarr.read.lazy import (
    AbstractZarrReferenceDataset,
    AbstractZarrTableDataset,
    BuilderResolverMixin,
    BuilderZarrReferenceDataset,
    BuilderZarrTableDataset,
    ContainerResolverMixin,
    ContainerZarrReferenceDataset,
    ContainerZarrTableDataset,
    DatasetOfReferences,
    ZarrDataset,
)

__all__ = [
    "AbstractZarrReferenceDataset",
    "AbstractZarrTableDataset",
    "BuilderResolverMixin",
    "BuilderZarrReferenceDataset",
    "BuilderZarrTableDataset",
    "ContainerResolverMixin",
    "ContainerZarrReferenceDataset",
    "ContainerZarrTableDataset",
    "DatasetOfReferences",
    "ZarrDataset",
]
