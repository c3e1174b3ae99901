"""Paths of builders and of zarr's objects in their stores, without slashes at their ends."""

from __future__ import annotations

from typing import Any

from hdmf.build import Builder

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.core.elements import plain_text
from hdmf_zarr.read.tree import ROOT_NAME


def builder_path(builder: Builder) -> str:
    """Return the path of a builder's object in its store."""
    if builder.parent is None and builder.name == ROOT_NAME:
        return ""
    location = getattr(builder, "location", None)
    if location is not None:
        return f"{location}/{plain_text(builder.name)}".strip("/")
    parts = []
    current: Any = builder
    while current is not None and not (current.parent is None and current.name == ROOT_NAME):
        parts.append(current.name)
        current = current.parent
    return "/".join(reversed(parts))


def node_path(obj: Any) -> str:
    """Return the path of a group or array; a path given as text is returned normalized."""
    if isinstance(obj, str):
        return obj.strip("/")
    return obj.node_path if isinstance(obj, HDMFZarrArray) else str(obj.path).strip("/")


def parent_path(obj: Any) -> str:
    """Return the path of the group that holds a group or array, with a leading slash."""
    return "/" + node_path(obj).rpartition("/")[0]
