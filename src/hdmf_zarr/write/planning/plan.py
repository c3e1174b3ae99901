"""The plan of a write, as frozen values.

`plan_tree` (in `hdmf_zarr.write.planning.planner`) makes a `TreePlan` from a builder;
`hdmf_zarr.write.execute` carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdmf.build import Builder

from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import TEXT_BYTES
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.write.chunks.sources import ArraySource, ChunkCopySource, IteratorSource, RawSource
from hdmf_zarr.write.planning.layout import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPlan:
    """A group to write, with its attributes and links."""

    path: str
    attributes: dict[str, JSON]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributesPlan:
    """An existing node that gets these attributes."""

    path: str
    attributes: dict[str, JSON]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayPlan:
    """An array to write.

    Attributes
    ----------
    path : str
    element : ElementType
    data_type : zarr.dtype.ZDType
    shape : tuple of int
        Initial shape; an iterator may make the array grow.
    layout : Layout
    attributes : dict
    dimension_names : tuple of str or None, or None
    source : ArraySource, IteratorSource, RawSource or ChunkCopySource
    chunk_keys : dict
        Chunk key encoding, as in Zarr's metadata.
    document : dict or None
        Document of a copied array; None if the document is made from the layout.
    decoded : str or None
        Reason for decoding the chunks of the source; None if they are copied unchanged.
    plugin : str or None
        Package that readers of the chunks need.
    """

    path: str
    element: ElementType
    data_type: Any
    shape: tuple[int, ...]
    layout: Layout | None
    attributes: dict[str, JSON]
    dimension_names: tuple[str | None, ...] | None
    source: ArraySource | IteratorSource | RawSource | ChunkCopySource
    chunk_keys: dict[str, JSON] = field(default_factory=lambda: CHUNK_KEYS)
    document: dict[str, JSON] | None = None
    decoded: str | None = None
    plugin: str | None = None


Plan = GroupPlan | AttributesPlan | ArrayPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class TreePlan:
    """All steps of one write, in order; parents before their children.

    Attributes
    ----------
    nodes : tuple of plans
    builders : tuple of Builder
        Builders that the plan writes.
    """

    nodes: tuple[Plan, ...]
    builders: tuple[Builder, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """The summary of a plan.

    Attributes
    ----------
    n_files : int
        Approximate number of files (keys of the store); unknown in advance for iterators.
    n_bytes : int
        Bytes that the progress will count: of encoded chunks, or of elements.
    raw : tuple of str
        Paths of the datasets whose encoded chunks are copied unchanged.
    decoded : dict of str to str
        Path of each other dataset of a file -> reason for decoding its chunks.
    plugins : dict of str to str
        Path of each dataset whose readers need another package -> that package.
    n_unverified : int
        Number of chunks that are copied without a check that they can be decoded: neither by
        ``verify`` nor by a checksum of the source.
    """

    n_files: int
    n_bytes: int
    raw: tuple[str, ...]
    decoded: dict[str, str]
    plugins: dict[str, str]
    n_unverified: int = 0


def summarize(
    plan: TreePlan,
    zarr_format: int,
    specifications: Mapping[str, Mapping[str, Any]],
    *,
    verify: bool = False,
) -> Planned:
    """Return the summary of a plan.

    Parameters
    ----------
    plan : TreePlan
    zarr_format : int
    specifications : mapping
        Cached specifications to write: namespace -> version -> source -> text.
    verify : bool
        Whether each chunk that is copied unchanged is decoded once.
    """
    documents_of_node = 1 if zarr_format == 3 else 2
    versions = [texts for namespace in specifications.values() for texts in namespace.values()]
    n_texts = sum(map(len, versions))
    n_groups = len(specifications) + len(versions) + bool(specifications)
    arrays = [node for node in plan.nodes if isinstance(node, ArrayPlan)]
    is_raw = {id(node): isinstance(node.source, (RawSource, ChunkCopySource)) for node in arrays}
    return Planned(
        n_files=(len(plan.nodes) + n_groups + n_texts) * documents_of_node
        + n_texts
        + sum(map(_chunk_files, arrays)),
        n_bytes=sum(map(_reported_bytes, arrays)),
        raw=tuple("/" + node.path for node in arrays if is_raw[id(node)]),
        decoded={
            "/" + node.path: node.decoded
            for node in arrays
            if node.decoded is not None and node.source.shape and not is_raw[id(node)]
        },
        plugins={"/" + node.path: node.plugin for node in arrays if node.plugin is not None},
        n_unverified=0 if verify else sum(map(_unverified_chunks, arrays)),
    )


def _unverified_chunks(plan: ArrayPlan) -> int:
    """Return the number of chunks copied without decoding or checking a checksum."""
    if isinstance(plan.source, RawSource):
        return 0 if plan.source.chunks.is_checked else plan.source.chunks.n_chunks
    return _chunk_files(plan) if isinstance(plan.source, ChunkCopySource) else 0


def _chunk_files(plan: ArrayPlan) -> int:
    if plan.layout is not None:
        unit = plan.layout.write_unit
    else:
        assert plan.document is not None
        unit = array_node(plan.document).stored_chunk
    n_units = math.prod(-(-size // step) for size, step in zip(plan.shape, unit, strict=False))
    if isinstance(plan.source, RawSource):
        # Chunks that were never written stay missing.
        return min(n_units, plan.source.chunks.n_chunks)
    return n_units


def _reported_bytes(plan: ArrayPlan) -> int:
    if isinstance(plan.source, (RawSource, ChunkCopySource)):
        return plan.source.n_bytes
    itemsize = plan.element.memory_dtype.itemsize
    return math.prod(plan.shape) * (TEXT_BYTES if plan.element.memory_dtype.hasobject else itemsize)
