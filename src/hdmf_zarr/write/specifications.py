"""Writes the specifications that a file caches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import zarr
from hdmf.backends.utils import NamespaceToBuilderHelper
from hdmf.build import BuildManager
from hdmf.spec import NamespaceCatalog, SpecWriter

from hdmf_zarr.chunks import single
from hdmf_zarr.chunks.missing import with_count
from hdmf_zarr.codecs import CodecRequest
from hdmf_zarr.convention import JSON, ArrayHeader, convention_for_format, legacy
from hdmf_zarr.convention.unified import SPECIFICATION_GROUP, SPECIFICATION_LOCATION
from hdmf_zarr.core.dtypes import TEXT, stored_dtype
from hdmf_zarr.core.elements import encode_elements
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata import array_document
from hdmf_zarr.metadata.chunk_keys import chunk_key
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import array_node, with_chunk_keys
from hdmf_zarr.write.planning.element_storage import storage_of_format
from hdmf_zarr.write.planning.layout import LayoutRequest, decide_layout

Specifications = dict[str, dict[str, dict[str, str]]]
"""Namespace -> version -> source -> JSON text."""


class ZarrSpecWriter(SpecWriter):  # type: ignore[misc]
    """Writes specifications as JSON text.

    Parameters
    ----------
    group : zarr.Group, Hierarchy or dict
        Group that the texts are written into, or a dict that collects them: path -> text.
    """

    def __init__(self, group: zarr.Group | Hierarchy | dict[str, str]) -> None:
        self._write: Callable[[str, str], Any] = _write_function(group)

    @staticmethod
    def stringify(spec: Any) -> str:
        """Return a specification as JSON text."""
        return json.dumps(spec, separators=(",", ":"))

    def write_spec(self, spec: Any, path: str) -> Any:
        """Write the specification of one source; return its array if the group is a zarr group."""
        return self.write_text(self.stringify(spec), path)

    def write_namespace(self, namespace: Any, path: str) -> Any:
        """Write a namespace, see `write_spec`."""
        return self.write_text(self.stringify({"namespaces": [namespace]}), path)

    def write_text(self, text: str, path: str) -> Any:
        """Write a specification given as JSON text, see `write_spec`."""
        return self._write(path, text)


def _write_function(group: zarr.Group | Hierarchy | dict[str, str]) -> Callable[[str, str], Any]:
    if isinstance(group, zarr.Group):
        return partial(_write_in_group, group)
    if isinstance(group, Hierarchy):
        return partial(_write_in_hierarchy, group)
    return group.__setitem__


def _write_in_group(group: zarr.Group, path: str, text: str) -> zarr.Array[Any]:
    array = group.create_array(path, shape=(), dtype="string")
    array[...] = text
    return array


def _write_in_hierarchy(hierarchy: Hierarchy, path: str, text: str) -> None:
    """Write a text without creating a zarr array."""
    plain = _text_document(hierarchy.zarr_format)
    node = array_node(plain)
    n_dimensions = len(node.shape)
    _ensure_group(hierarchy, path.rpartition("/")[0])
    keys = hierarchy.unused_keys(path, dict(node.chunk_keys), n_dimensions)
    document = with_chunk_keys(plain, keys)
    chunk = chunk_key(keys, (0,) * n_dimensions)
    stored = text if hierarchy.zarr_format == 3 else legacy.padded(text)
    encoded = encode_elements(np.asarray(stored, dtype=object), TEXT)
    hierarchy.bytestore.set(f"{path}/{chunk}", single.encode_scalar(document, encoded))
    hierarchy.set_document(path, {**document, "attributes": dict(document["attributes"])})


def specifications_of_manager(manager: BuildManager) -> Specifications:
    """Return the specifications of every namespace of a manager."""
    catalog: NamespaceCatalog = manager.namespace_catalog
    collected: Specifications = {}
    for name in catalog.namespaces:
        texts: dict[str, str] = {}
        writer = ZarrSpecWriter(texts)
        NamespaceToBuilderHelper.convert_namespace(catalog, name).export("namespace", writer=writer)
        version = str(catalog.get_namespace(name).version)
        collected[name] = {version: texts}
    return collected


def write_specifications(
    hierarchy: Hierarchy, specifications: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> None:
    """Write the specifications that the store lacks, and the attribute with their location."""
    base = hierarchy.specification_path or SPECIFICATION_GROUP
    _ensure_group(hierarchy, base)
    texts = {
        f"{base}/{namespace}/{version}/{source}": text
        for namespace, versions in specifications.items()
        for version, sources in versions.items()
        if f"{base}/{namespace}/{version}" not in hierarchy
        for source, text in sources.items()
    }
    writer = ZarrSpecWriter(hierarchy)
    for path, text in texts.items():
        writer.write_text(text, path)
    root = hierarchy.documents[""]
    attributes = dict(root.get("attributes") or {})
    attributes.setdefault(SPECIFICATION_LOCATION, SPECIFICATION_GROUP)
    hierarchy.set_document("", {**root, "attributes": attributes})


def _ensure_group(hierarchy: Hierarchy, path: str) -> None:
    if path and path not in hierarchy:
        _ensure_group(hierarchy, path.rpartition("/")[0])
        hierarchy.set_document(path, group_document({}))


@cache
def _text_document(zarr_format: int) -> dict[str, JSON]:
    """Return the document of a scalar text of a common type; uncompressed in format 2."""
    storage = storage_of_format(zarr_format)
    layout = decide_layout(
        LayoutRequest(codecs=CodecRequest(compressors=zarr_format == 3)),
        element=TEXT,
        stored_dtype=None,
        shape=storage.scalar_shape,
        itemsize=1,
        fill_value="",
    )
    # In format 3 the data type already shows that it is text.
    header = ArrayHeader() if zarr_format == 3 else storage.header(TEXT, is_scalar=True, names=None)
    document = array_document.array_document(
        shape=storage.scalar_shape,
        data_type=stored_dtype(TEXT),
        chunk_grid_shape=layout.write_unit,
        fill_value=layout.fill_value,
        codecs=layout.codecs,
        dimension_names=None,
        chunk_key_encoding=storage.chunk_keys,
    )
    document["attributes"] = convention_for_format(zarr_format).encode_header(header)
    return with_count(document, None)
