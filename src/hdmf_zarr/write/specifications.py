"""The specifications that a file carries with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hdmf.backends.utils import NamespaceToBuilderHelper
from hdmf.spec import NamespaceCatalog, SpecWriter

from hdmf_zarr.codecs import CodecRequest
from hdmf_zarr.codecs.objects import JSONObjectsCodec
from hdmf_zarr.convention import ArrayHeader, convention_for_format
from hdmf_zarr.convention.unified import SPECIFICATION_GROUP, SPECIFICATION_LOCATION
from hdmf_zarr.dtypes import TEXT, stored_dtype
from hdmf_zarr.stores import group_document
from hdmf_zarr.write.layout import LayoutRequest, decide_layout
from hdmf_zarr.write.plan import ArrayPlan
from hdmf_zarr.write.sources import MemorySource
from hdmf_zarr.write.storage import storage_of_format
from hdmf_zarr.write.tree import Execution

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


def specifications_of_catalog(
    catalog: NamespaceCatalog, namespaces: Iterable[str]
) -> Specifications:
    """Return the specifications of loaded namespaces."""
    collected: Specifications = {}
    for name in namespaces:
        writer = _CollectingWriter()
        NamespaceToBuilderHelper.convert_namespace(catalog, name).export("namespace", writer=writer)
        version = str(catalog.get_namespace(name).version)
        collected[name] = {version: writer.texts}
    return collected


def write_specifications(
    execution: Execution, specifications: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> None:
    """Write the specifications that the store does not have, and where they are."""
    hierarchy = execution.hierarchy
    base = hierarchy.specification_path or SPECIFICATION_GROUP
    _ensure_group(execution, base)
    texts = {
        f"{base}/{namespace}/{version}/{source}": text
        for namespace, versions in specifications.items()
        for version, sources in versions.items()
        if f"{base}/{namespace}/{version}" not in hierarchy
        for source, text in sources.items()
    }
    # Every text has the same layout and the same document: they are made once.
    plan = _text_plan(hierarchy.zarr_format)
    for path, text in texts.items():
        _ensure_group(execution, path.rpartition("/")[0])
        execution.write_array(replace(plan, path=path, source=_text_source(text)))
        if plan.document is None:
            plan = replace(plan, document={**hierarchy.documents[path], "attributes": {}})
    root = hierarchy.documents[""]
    attributes = dict(root.get("attributes") or {})
    attributes.setdefault(SPECIFICATION_LOCATION, SPECIFICATION_GROUP)
    hierarchy.set_document("", {**root, "attributes": attributes})


def _ensure_group(execution: Execution, path: str) -> None:
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        parent = "/".join(parts[:depth])
        if parent not in execution.hierarchy:
            execution.hierarchy.set_document(parent, group_document({}))


def _text_source(text: str) -> MemorySource:
    value = np.empty((), dtype=object)
    value[()] = text
    return MemorySource(value, TEXT)


def _text_plan(zarr_format: int) -> ArrayPlan:
    """Of a scalar text; in format 2 as the JSON of hdmf-zarr 0.13, which is not compressed."""
    is_format2 = zarr_format == 2
    storage = storage_of_format(zarr_format)
    layout = decide_layout(
        LayoutRequest(codecs=CodecRequest(compressors=not is_format2)),
        element=TEXT,
        stored_dtype=None,
        shape=storage.scalar_shape,
        itemsize=1,
        fill_value="",
    )
    header = storage.header(TEXT, is_scalar=True, names=None) if is_format2 else ArrayHeader()
    return ArrayPlan(
        path="",
        element=TEXT,
        data_type=stored_dtype(TEXT),
        shape=storage.scalar_shape,
        layout=layout.with_codecs((JSONObjectsCodec(is_text=True),)) if is_format2 else layout,
        attributes=convention_for_format(zarr_format).encode_header(header),
        dimension_names=None,
        chunk_keys=storage.chunk_keys,
        source=_text_source(""),
    )
