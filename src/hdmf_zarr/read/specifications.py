"""The specifications that a store caches."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
from hdmf.build import TypeMap
from hdmf.spec import NamespaceCatalog, SpecReader
from packaging.version import InvalidVersion, Version

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.convention import legacy
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import ChunkError, MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.read.tree import open_array

logger = logging.getLogger(__name__)

UNVERSIONED = ("None", "unversioned")
"""Versions under which HDMF cached namespaces that have none; older than any other."""


class _CachedSpecReader(SpecReader):  # type: ignore[misc]
    """Reads the specifications of one version of one namespace."""

    def __init__(self, hierarchy: Hierarchy, path: str, namespaces: Any = None) -> None:
        super().__init__(source=f"{hierarchy.uri}:/{path}")
        self._hierarchy = hierarchy
        self._path = path
        self._namespaces = namespaces

    def read_spec(self, spec_path: str) -> Any:
        return _parse(self._hierarchy, f"{self._path}/{spec_path}")

    def read_namespace(self, ns_path: str) -> Any:
        if self._namespaces is None:
            declared = _parse(self._hierarchy, f"{self._path}/{ns_path}")["namespaces"]
            name = self._path.split("/")[-2]
            own = [one for one in declared if one.get("name") == name]
            self._namespaces = own + [one for one in declared if one not in own and self._has(one)]
        return self._namespaces

    def _has(self, namespace: Any) -> bool:
        """Whether the sources of a namespace are here, as those of another one are not in MatNWB's files."""
        return not missing_sources(namespace, self._names())

    def _names(self) -> frozenset[str]:
        above = self._path + "/"
        documents = self._hierarchy.documents
        return frozenset(path.removeprefix(above) for path in documents if path.startswith(above))


def missing_sources(namespace: Any, names: Collection[str]) -> list[str]:
    """Return the sources that a namespace declares and that are not among the names of those cached.

    Raises
    ------
    KeyError, TypeError, AttributeError
        If it makes no sense.
    """
    wanted = {entry["source"] for entry in namespace["schema"] if "source" in entry}
    return sorted(one for one in wanted if not {one, one.removesuffix(".yaml")} & set(names))


def load_cached_namespaces(
    hierarchy: Hierarchy,
    catalog: NamespaceCatalog | TypeMap,
    namespaces: list[str] | None = None,
) -> dict[str, Any]:
    """Load the latest version of each cached namespace into a catalog.

    Of a namespace that the catalog has, nothing is read: its version is in the path. Those of the
    others are read at the same time.

    Returns
    -------
    dict
        Name of each loaded namespace -> the namespaces it includes -> their types.

    Raises
    ------
    MetadataError
        If a wanted namespace is not cached.
    """
    versions = latest_versions(hierarchy)
    wanted = list(versions) if namespaces is None else list(namespaces)
    missing = sorted(set(wanted) - set(versions))
    if missing:
        raise MetadataError(
            f"{hierarchy.uri} caches no namespace {missing}; it has {sorted(versions)}"
        )
    if not wanted:
        return {}
    base = hierarchy.specification_path
    assert base is not None
    paths = {name: f"{base}/{name}/{versions[name]}" for name in wanted}
    known = set(_namespaces_of(catalog).namespaces)
    not_read = {name for name in wanted if name in known and versions[name] not in UNVERSIONED}
    hierarchy.cache.fetch(
        path
        for path in hierarchy.documents
        if any(path.startswith(paths[name] + "/") for name in wanted if name not in not_read)
        and hierarchy.node_type(path) == "array"
    )
    readers = {
        name: _CachedSpecReader(
            hierarchy,
            paths[name],
            [{"name": name, "version": versions[name], "schema": []}] if name in not_read else None,
        )
        for name in wanted
    }
    loaded: dict[str, Any] = catalog.load_namespaces("namespace", reader=readers)
    return loaded


def _namespaces_of(catalog: NamespaceCatalog | TypeMap) -> NamespaceCatalog:
    return catalog.namespace_catalog if isinstance(catalog, TypeMap) else catalog


def latest_versions(hierarchy: Hierarchy) -> dict[str, str]:
    """Return the latest version of each cached namespace, by version order."""
    return {
        name: max(versions, key=_version_order)
        for name, versions in _cached_versions(hierarchy).items()
    }


def read_specifications(hierarchy: Hierarchy) -> dict[str, dict[str, dict[str, str]]]:
    """Return the JSON text of every cached specification: namespace -> version -> source."""
    hierarchy.find_specifications()
    hierarchy.find_every_specification()
    base = hierarchy.specification_path
    found: dict[str, dict[str, dict[str, str]]] = {}
    paths = [
        path
        for path in hierarchy.documents
        if base is not None and path.startswith(base + "/") and hierarchy.node_type(path) == "array"
    ]
    for path, text in _texts(hierarchy, paths).items():
        assert base is not None
        namespace, version, source = path.removeprefix(base + "/").split("/", 2)
        found.setdefault(namespace, {}).setdefault(version, {})[source] = text
    return found


def _texts(hierarchy: Hierarchy, paths: list[str]) -> dict[str, str]:
    """Every text, of one state of the store."""
    while True:
        hierarchy.cache.fetch(paths)
        found = {path: _text(hierarchy, path) for path in paths}
        if hierarchy.check_unchanged(*paths):
            break
    if hierarchy.zarr_format == 3:
        return found
    return {path: legacy.unpadded(text) for path, text in found.items()}


def _cached_versions(hierarchy: Hierarchy) -> dict[str, list[str]]:
    hierarchy.find_specifications()
    base = hierarchy.specification_path
    versions: dict[str, list[str]] = {}
    for path in hierarchy.documents:
        if base is not None and path.startswith(base + "/"):
            parts = path.removeprefix(base + "/").split("/")
            if len(parts) > 1 and parts[1] not in versions.setdefault(parts[0], []):
                versions[parts[0]].append(parts[1])
    return {name: found for name, found in versions.items() if found}


def _version_order(version: str) -> tuple[int, Version, str]:
    """Sort key: versions without a number first, those that are no version by their text."""
    if version in UNVERSIONED:
        return 0, Version("0"), version
    try:
        return 2, Version(version), version
    except InvalidVersion:
        return 1, Version("0"), version


def _text(hierarchy: Hierarchy, path: str) -> str:
    if path not in hierarchy:
        raise MetadataError(f"{hierarchy.uri} has no specification at /{path}")
    try:
        stored = hierarchy.cache.stored(path)
        if stored is None:
            stored = np.asarray(open_array(hierarchy, path)[...], dtype=object)
    except ChunkError as error:
        return _edited_text(hierarchy, path, error)
    return _as_text(stored)


def _edited_text(hierarchy: Hierarchy, path: str, error: ChunkError) -> str:
    """Return a specification whose text was edited in its file, so that the length before it is another one.

    Raises
    ------
    ChunkError
        The one given, where what is there is no JSON.
    """
    node = array_node(hierarchy.documents[path])
    if hierarchy.zarr_format == 3 or [codec["name"] for codec in node.codecs] != ["vlen-utf8"]:
        raise error
    key = f"{path}/{node.key((0,) * len(node.shape))}"
    encoded = zarr_view.encoded_chunks(hierarchy, path, [key]).get(key, b"")
    try:
        text = encoded[legacy.BYTES_BEFORE_TEXT :].decode("utf-8")
        parsed_json(text, key)
    except ValueError:
        raise error from None
    logger.warning("%s:/%s was edited: its length is not the one before it", hierarchy.uri, path)
    return text


def _as_text(array: npt.NDArray[Any]) -> str:
    value = array.ravel()[0]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _parse(hierarchy: Hierarchy, path: str) -> Any:
    return parsed_json(_text(hierarchy, path), f"{hierarchy.uri}:/{path}")
