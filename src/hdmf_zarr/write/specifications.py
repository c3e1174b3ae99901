"""The specifications that a file carries with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
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
from hdmf_zarr.write.planning.element_storage import storage_of_format
from hdmf_zarr.write.planning.layout import LayoutRequest, decide_layout

Specifications = dict[str, dict[str, dict[str, str]]]
"""Namespace -> version -> source -> JSON text."""


class _CollectingWriter(SpecWriter):  # type: ignore[misc]
    """Collects the text of each source in place of writing it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def write_spec(self, spec: Any, path: str) -> None:
        self.texts[path] = stringify(spec)

    def write_namespace(self, namespace: Any, path: str) -> None:
        self.texts[path] = stringify({"namespaces": [namespace]})


def stringify(spec: Any) -> str:
    """Return a specification as JSON text."""
    return json.dumps(spec, separators=(",", ":"))


def specifications_of_manager(manager: BuildManager) -> Specifications:
    """Return the specifications of every namespace that a manager knows."""
    catalog: NamespaceCatalog = manager.namespace_catalog
    collected: Specifications = {}
    for name in catalog.namespaces:
        writer = _CollectingWriter()
        NamespaceToBuilderHelper.convert_namespace(catalog, name).export("namespace", writer=writer)
        version = str(catalog.get_namespace(name).version)
        collected[name] = {version: writer.texts}
    return collected


def write_specifications(
    hierarchy: Hierarchy, specifications: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> None:
    """Write the specifications that the store does not have, and where they are."""
    base = hierarchy.specification_path or SPECIFICATION_GROUP
    _ensure_group(hierarchy, base)
    texts = {
        f"{base}/{namespace}/{version}/{source}": text
        for namespace, versions in specifications.items()
        for version, sources in versions.items()
        if f"{base}/{namespace}/{version}" not in hierarchy
        for source, text in sources.items()
    }
    plain = _text_document(hierarchy.zarr_format)
    n_dimensions = len(plain["shape"])
    for path, text in texts.items():
        _ensure_group(hierarchy, path.rpartition("/")[0])
        keys = hierarchy.unused_keys(path, plain["chunk_key_encoding"], n_dimensions)
        document = {**plain, "chunk_key_encoding": keys}
        chunk = chunk_key(keys, (0,) * n_dimensions)
        stored = text if hierarchy.zarr_format == 3 else legacy.padded(text)
        encoded = encode_elements(np.asarray(stored, dtype=object), TEXT)
        hierarchy.bytestore.set(f"{path}/{chunk}", single.encode_scalar(document, encoded))
        hierarchy.set_document(path, {**document, "attributes": dict(document["attributes"])})
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
    """Of a scalar text; every reader of either format knows the type. In format 2 it is not compressed."""
    storage = storage_of_format(zarr_format)
    layout = decide_layout(
        LayoutRequest(codecs=CodecRequest(compressors=zarr_format == 3)),
        element=TEXT,
        stored_dtype=None,
        shape=storage.scalar_shape,
        itemsize=1,
        fill_value="",
    )
    # In format 3 the data type says it.
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
