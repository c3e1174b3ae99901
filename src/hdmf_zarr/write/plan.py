"""What will be written, as values: nothing here touches the destination.

`plan_tree` (in `hdmf_zarr.write.planner`) makes a `TreePlan` of a builder; `hdmf_zarr.write.tree`
carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hdmf.build import Builder

from hdmf_zarr.convention import JSON
from hdmf_zarr.dtypes import ElementType
from hdmf_zarr.stores.chunk_keys import CHUNK_KEYS
from hdmf_zarr.write.layout import Layout
from hdmf_zarr.write.sources import ArraySource, ChunkCopySource, IteratorSource


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPlan:
    """A group that is written, with its attributes and links."""

    path: str
    attributes: dict[str, JSON]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributesPlan:
    """A node that is there already and gets these attributes."""

    path: str
    attributes: dict[str, JSON]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayPlan:
    """An array that is written.

    Attributes
    ----------
    path : str
    element : ElementType
    data_type : zarr.dtype.ZDType
    shape : tuple of int
        At the start; an iterator may make it grow.
    layout : Layout
    attributes : dict
    dimension_names : tuple of str or None, or None
    source : ArraySource, IteratorSource or ChunkCopySource
    chunk_keys : dict
        Names of the chunks, as Zarr's metadata have them.
    document : dict or None
        The document to write where it is not made from the layout (a copy of another array's).
    """

    path: str
    element: ElementType
    data_type: Any
    shape: tuple[int, ...]
    layout: Layout | None
    attributes: dict[str, JSON]
    dimension_names: tuple[str | None, ...] | None
    source: ArraySource | IteratorSource | ChunkCopySource
    chunk_keys: dict[str, JSON] = field(default_factory=lambda: CHUNK_KEYS)
    document: dict[str, JSON] | None = None


Plan = GroupPlan | AttributesPlan | ArrayPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class TreePlan:
    """Everything that one write does, in order; parents before their children.

    Attributes
    ----------
    nodes : tuple of plans
    builders : tuple of Builder
        The builders that are written once the plan is carried out.
    """

    nodes: tuple[Plan, ...]
    builders: tuple[Builder, ...]
