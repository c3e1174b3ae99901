"""Reads the specifications that a store caches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
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
from hdmf_zarr.stores.location import get_store_path

logger = logging.getLogger(__name__)

NAMESPACE = "namespace"
"""Name of the dataset that declares the namespaces."""

UNVERSIONED = ("None", "unversioned")
"""Versions of cached namespaces that have no version; they are older than any other version."""


class ZarrSpecReader(SpecReader):  # type: ignore[misc]
    """Reads the specifications of one version of one namespace.

    Parameters
    ----------
    group : zarr.Group or Hierarchy
    path : str
        Path of the group in its hierarchy; empty for a `zarr.Group`.
    namespaces : list of dict, optional
        Namespaces that the group declares, if they are already known.
    """

    def __init__(
        self, group: zarr.Group | Hierarchy, path: str = "", *, namespaces: Any = None
    ) -> None:
        where = get_store_path(group.store) if isinstance(group, zarr.Group) else group.uri
        name = group.name if isinstance(group, zarr.Group) else f"/{path}"
        super().__init__(source=f"{where}:{name}")
        self._text = _text_function(group, path)
        self._namespaces = namespaces

    def read_spec(self, spec_path: str) -> Any:
        """Return the specification of one source."""
        return parsed_json(self._text(spec_path), f"{self.source}/{spec_path}")

    def read_namespace(self, ns_path: str) -> Any:
        """Return the namespaces that the group declares under a name."""
        if self._namespaces is None:
            self._namespaces = self.read_spec(ns_path)["namespaces"]
        return self._namespaces


def _text_function(group: zarr.Group | Hierarchy, path: str) -> Callable[[str], str]:
    if isinstance(group, zarr.Group):
        return partial(_text_in_group, group)
    return lambda name: _text(group, f"{path}/{name}")


def _text_in_group(group: zarr.Group, name: str) -> str:
    if name not in group:
        raise _missing(f"{get_store_path(group.store)}:{group.name}/{name}")
    return _as_text(np.asarray(group[name][...]))  # type: ignore[index]


def _missing(where: str) -> MetadataError:
    return MetadataError(f"there is no specification at {where}")


def _declared_namespaces(hierarchy: Hierarchy, path: str) -> list[Any]:
    """Return the declared namespaces of one version whose sources are cached, its own namespace first.

    MatNWB's files lack the sources of the other namespaces.
    """
    declared = ZarrSpecReader(hierarchy, path).read_namespace(NAMESPACE)
    own = [one for one in declared if one.get("name") == path.split("/")[-2]]
    others = [one for one in declared if one not in own]
    names = _names_below(hierarchy, path) if others else frozenset()
    return own + [one for one in others if not missing_sources(one, names)]


def _names_below(hierarchy: Hierarchy, path: str) -> frozenset[str]:
    above, documents = path + "/", hierarchy.documents
    return frozenset(path.removeprefix(above) for path in documents if path.startswith(above))


def missing_sources(namespace: Any, names: Collection[str]) -> list[str]:
    """Return the sources that a namespace declares and that are not among the cached names.

    Raises
    ------
    KeyError, TypeError, AttributeError
        If the namespace is not valid.
    """
    wanted = {entry["source"] for entry in namespace["schema"] if "source" in entry}
    return sorted(one for one in wanted if not {one, one.removesuffix(".yaml")} & set(names))


def load_cached_namespaces(
    hierarchy: Hierarchy,
    catalog: NamespaceCatalog | TypeMap,
    namespaces: list[str] | None = None,
) -> dict[str, Any]:
    """Load the latest version of each cached namespace into a catalog.

    Namespaces that are already in the catalog are not read: their version is in the path. All others
    are fetched in one batch.

    Returns
    -------
    dict
        Name of each loaded namespace -> the namespaces it includes -> their types.

    Raises
    ------
    MetadataError
        If a requested namespace is not cached.
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
    declared = {
        name: [{"name": name, "version": versions[name], "schema": []}]
        if name in not_read
        else _declared_namespaces(hierarchy, paths[name])
        for name in wanted
    }
    readers = {
        name: ZarrSpecReader(hierarchy, paths[name], namespaces=declared[name]) for name in wanted
    }
    loaded: dict[str, Any] = catalog.load_namespaces(NAMESPACE, reader=readers)
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
    """Return every text, all from one state of the store."""
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
    """Return a sort key: missing versions first, then invalid ones by their text, then valid ones."""
    if version in UNVERSIONED:
        return 0, Version("0"), version
    try:
        return 2, Version(version), version
    except InvalidVersion:
        return 1, Version("0"), version


def _text(hierarchy: Hierarchy, path: str) -> str:
    if path not in hierarchy:
        raise _missing(f"{hierarchy.uri}:/{path}")
    try:
        stored = hierarchy.cache.stored(path)
        if stored is None:
            stored = np.asarray(open_array(hierarchy, path)[...], dtype=object)
    except ChunkError as error:
        return _edited_text(hierarchy, path, error)
    return _as_text(stored)


def _edited_text(hierarchy: Hierarchy, path: str, error: ChunkError) -> str:
    """Return a specification whose text was edited in its file, so that the length before it is wrong.

    Raises
    ------
    ChunkError
        The given error, if the text is no JSON.
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
