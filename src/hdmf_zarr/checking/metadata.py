"""Checks of metadata documents: each by itself, and the consolidated ones against the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.report import Finding
from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.attributes import decode_attribute
from hdmf_zarr.convention.unified import ATTRIBUTE_TYPES
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.hdf5 import empty_attribute
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.metadata.node import array_node, is_array, without_consolidated
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    ZATTRS,
)

SHOWN_DIFFERENCES = 6


def check_consolidated(examined: Examined) -> Iterator[Finding]:
    """Check that the consolidated metadata are those of the nodes."""
    if examined.held is None:
        if not any(f.code == rules.BROKEN_CONSOLIDATED.code for f in examined.findings):
            yield Finding.of(rules.NOT_CONSOLIDATED, "", "the store has no consolidated metadata")
        return
    held = {key: _comparable(document) for key, document in examined.held.items()}
    own = {
        key: _comparable(document)
        for key, document in examined.own.items()
        if examined.zarr_format == 2 or key != DOCUMENT
    }
    broken = {finding.key for finding in examined.findings if finding.key is not None}
    for key in sorted((held.keys() | own.keys()) - broken):
        message = _difference(held, own, key)
        if message is None:
            continue
        kind = rules.CONSOLIDATED_DIFFERS
        if _is_old_omission(examined, key, key in held):
            kind = rules.SPECIFICATIONS_NOT_CONSOLIDATED
        yield Finding.of(kind, key.rpartition("/")[0], message, key=key)


def _comparable(document: JSON) -> JSON:
    """Return a document without empty attributes and consolidated metadata."""
    if not isinstance(document, dict):
        return document
    return {
        name: value
        for name, value in without_consolidated(document).items()
        if not (name == "attributes" and not value)
    }


def _difference(held: dict[str, JSON], own: dict[str, JSON], key: str) -> str | None:
    if key not in own:
        # zarr-python consolidates missing attributes as empty ones.
        is_empty = key.endswith(ZATTRS) and not held[key]
        return None if is_empty else "is in the consolidated metadata, and not in the store"
    if key not in held:
        is_empty = key.endswith(ZATTRS) and not own[key]
        return None if is_empty else "is in the store, and not in the consolidated metadata"
    found = list(_differences(held[key], own[key], ""))
    if not found:
        return None
    more = f" and {len(found) - SHOWN_DIFFERENCES} more" if len(found) > SHOWN_DIFFERENCES else ""
    return "the consolidated metadata say otherwise: " + "; ".join(found[:SHOWN_DIFFERENCES]) + more


def _differences(held: JSON, own: JSON, name: str) -> Iterator[str]:
    if isinstance(held, dict) and isinstance(own, dict):
        for key in sorted(held.keys() | own.keys()):
            inner = f"{name}.{key}" if name else str(key)
            if key not in held:
                yield f"{inner} is missing there"
            elif key not in own:
                yield f"{inner} is only there"
            else:
                yield from _differences(held[key], own[key], inner)
    elif type(held) is not type(own) or not _same(held, own):
        yield f"{name} is {held!r:.60} there, {own!r:.60} in the node"


def _same(held: Any, own: Any) -> bool:
    if isinstance(held, list):
        return len(held) == len(own) and all(
            not list(_differences(a, b, "")) for a, b in zip(held, own, strict=True)
        )
    return bool(held == own) or (held != held and own != own)  # NaN is NaN


def _is_old_omission(examined: Examined, key: str, is_held: bool) -> bool:  # noqa: FBT001
    """Whether releases up to 0.6 omitted this: they wrote the specifications at the very end."""
    if examined.zarr_format != 2:
        return False
    path = key.rpartition("/")[0]
    if examined.is_specification(path):
        return not is_held
    if key != ZATTRS or not is_held or key not in examined.own:
        return False
    assert examined.held is not None
    held, own = examined.held[key], examined.own[key]
    base = {name for name in own if name not in held}
    return all(own[name] == held.get(name) for name in own if name not in base) and (
        examined.hierarchy.specification_path is not None
        and {own[name] for name in base if isinstance(own[name], str)}
        == {examined.hierarchy.specification_path}
        and not held.keys() - own.keys()
    )


def check_nodes(examined: Examined) -> Iterator[Finding]:
    """Check that every document is valid by itself, and for zarr."""
    hierarchy = examined.hierarchy
    for path, document in hierarchy.documents.items():
        parent = path.rpartition("/")[0]
        while parent and parent not in hierarchy.documents:
            yield Finding.of(rules.MISSING_GROUP, parent, "the group has no metadata")
            parent = parent.rpartition("/")[0]
        if parent in hierarchy.documents and hierarchy.node_type(parent) == "array" and path:
            yield Finding.of(rules.NODE_IN_ARRAY, path, f"it lies in the array /{parent}")
        yield from _check_attributes(examined, path)
        if is_array(document):
            yield from _check_array(examined, path)


def _check_attributes(examined: Examined, path: str) -> Iterator[Finding]:
    convention = examined.hierarchy.convention
    attributes = examined.hierarchy.attributes(path)
    recorded = attributes.get(ATTRIBUTE_TYPES) or {}
    if not isinstance(recorded, dict):
        yield Finding.of(rules.BROKEN_ATTRIBUTE, path, f"{ATTRIBUTE_TYPES} is no object")
        return
    for name, value in convention.user_attributes(attributes).items():
        if isinstance(value, dict):
            continue  # references have their own check
        try:
            decode_attribute(value, recorded.get(name), empty=empty_attribute)
        except HDMFZarrError as error:
            yield Finding.of(rules.BROKEN_ATTRIBUTE, path, f"attribute {name!r}: {error}")


def _check_array(examined: Examined, path: str) -> Iterator[Finding]:
    hierarchy = examined.hierarchy
    document = hierarchy.documents[path]
    node = array_node(document)
    if node.why_unreadable is not None:
        yield Finding.of(rules.BROKEN_ARRAY, path, node.why_unreadable)
        return
    try:
        header = hierarchy.convention.decode_header(hierarchy.attributes(path))
        element_type_of_array(document, header)
        zarr_view.async_array(hierarchy, path)
    except HDMFZarrError as error:
        yield Finding.of(rules.BROKEN_ARRAY, path, error)
        return
    names = node.dimension_names or header.dimension_names
    if names is not None and len(names) != len(node.shape) and not header.scalar:
        yield Finding.of(
            rules.DIMENSION_NAMES,
            path,
            f"{len(names)} names of dimensions {list(names)!r:.100} for the shape {list(node.shape)}",
        )


def itemsize_of(array: Any) -> int:
    """Return the bytes of an element; 1 for elements of varying size."""
    dtype = array.metadata.dtype.to_native_dtype()
    return 1 if dtype.kind in "OT" else int(dtype.itemsize)
