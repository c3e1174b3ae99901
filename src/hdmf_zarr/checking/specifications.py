"""Checks of cached specifications: all used namespaces are complete, and targets have their types."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from typing import Any

from hdmf.spec import NamespaceCatalog
from hdmf.spec.spec import RefSpec
from pynwb.spec import NWBDatasetSpec, NWBGroupSpec, NWBNamespace

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.links import Target, TypeCheck, no_type_check
from hdmf_zarr.checking.report import Finding, Kind
from hdmf_zarr.convention import full_type_of, one_text
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.specifications import (
    latest_versions,
    load_cached_namespaces,
    missing_sources,
    read_specifications,
)
from hdmf_zarr.write.planning.link_specs import has_part, link_for, part_group, types_of


def check_cached(examined: Examined) -> Iterator[Finding]:
    """Check that every namespace whose types the file uses is cached; reads no chunk."""
    hierarchy = examined.hierarchy
    used: dict[str, str] = {}
    for path in examined.nodes():
        namespace = hierarchy.attributes(path).get("namespace")
        if (namespace := one_text(namespace)) is not None:
            used.setdefault(namespace, path)
    cached = latest_versions(hierarchy)
    for namespace, path in sorted(used.items()):
        if namespace not in cached:
            message = f"the namespace {namespace!r:.80} is used and not cached"
            yield Finding.of(rules.NOT_CACHED, path, message)


def check_complete(examined: Examined) -> Iterator[Finding]:
    """Check that every cached namespace has its sources and the namespaces that it includes."""
    try:
        cached = read_specifications(examined.hierarchy)
    except Exception as error:
        path = examined.hierarchy.specification_path or ""
        yield Finding.of(rules.BROKEN_SPECIFICATION, path, f"they cannot be read: {error}")
        return
    for namespace, versions in sorted(cached.items()):
        for version, sources in sorted(versions.items()):
            path = f"{examined.hierarchy.specification_path}/{namespace}/{version}"
            for kind, message in _problems(namespace, sources, set(cached)):
                yield Finding.of(kind, path, message)


def _problems(
    name: str, sources: dict[str, str], namespaces: set[str]
) -> Iterator[tuple[Kind, str]]:
    broken = rules.BROKEN_SPECIFICATION
    parsed: dict[str, Any] = {}
    for source, text in sources.items():
        try:
            parsed[source] = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield broken, f"{source!r} is no valid JSON: {error}"
    if "namespace" not in sources:
        yield broken, "it has no document 'namespace'"
    try:
        declared = parsed.get("namespace", {"namespaces": []})["namespaces"]
        has_own = any(namespace["name"] == name for namespace in declared)
        for namespace in declared:
            is_other = has_own and namespace["name"] != name
            found = list(_lacking(namespace, sources, namespaces))
            if is_other and found:
                message = (
                    f"its document declares the namespace {namespace['name']!r:.80}, too, and "
                )
                yield rules.DECLARED_ELSEWHERE, message + "; ".join(found)
            else:
                yield from ((broken, message) for message in found)
    except (AttributeError, KeyError, TypeError) as error:
        yield broken, f"its document 'namespace' makes no sense: {error!r}"


def _lacking(namespace: Any, sources: dict[str, str], namespaces: set[str]) -> Iterator[str]:
    missing = missing_sources(namespace, sources)
    if missing:
        yield f"it has no sources {missing}"
    included = {entry["namespace"] for entry in namespace["schema"] if "namespace" in entry}
    if included - namespaces:
        yield f"it includes namespaces that are not cached: {sorted(included - namespaces)}"


def catalog_of(examined: Examined) -> NamespaceCatalog | None:
    """Load the cached specifications; return None if they do not load."""
    hierarchy = examined.hierarchy
    is_nwb = any("neurodata_type" in hierarchy.attributes(path) for path in examined.nodes())
    classes = (NWBGroupSpec, NWBDatasetSpec, NWBNamespace) if is_nwb else ()
    catalog = NamespaceCatalog(*classes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return catalog if load_cached_namespaces(hierarchy, catalog) else None
    except Exception:
        return None


def type_check_of(examined: Examined, catalog: NamespaceCatalog | None) -> TypeCheck:
    """Return the check of target types, which accepts all without specifications."""
    return no_type_check if catalog is None else _TargetTypes(examined, catalog)


# -- objects in the place of links -----------------------------------------------------------------


def check_places(examined: Examined, catalog: NamespaceCatalog | None) -> Iterator[Finding]:
    """Check that no group holds an object where its specification has a link."""
    if catalog is None:
        return
    hierarchy = examined.hierarchy
    specs: dict[str, list[Any]] = {}
    for path, children in sorted(hierarchy.children().items()):
        parent, _, name = path.rpartition("/")
        above = specs.get(parent, []) if path else []
        specs[path] = _group_specs(hierarchy, path, name, above, catalog)
        for child in children if any(spec.links for spec in specs[path]) else ():
            place = f"{path}/{child}".strip("/")
            wanted = _link_in_place_of(hierarchy, place, child, specs[path], catalog)
            if wanted is not None:
                message = f"an object is here, where the specification has a link to a {wanted}"
                yield Finding.of(rules.OBJECT_FOR_LINK, place, message)


def _group_specs(
    hierarchy: Hierarchy, path: str, name: str, above: list[Any], catalog: NamespaceCatalog
) -> list[Any]:
    """Return the specifications of a group: by its own type, and by the types of groups above."""
    if path not in hierarchy or hierarchy.node_type(path) != "group":
        return []
    found = [part_group(spec, name) for spec in above]
    data_type = full_type_of(hierarchy.attributes(path))
    if data_type is not None:
        with contextlib.suppress(KeyError, ValueError):
            found.append(catalog.get_spec(*data_type))
    return [spec for spec in found if hasattr(spec, "links")]


def _link_in_place_of(
    hierarchy: Hierarchy, path: str, name: str, specs: list[Any], catalog: NamespaceCatalog
) -> str | None:
    """Return the target type of the link that should replace an object, or None."""
    if path not in hierarchy:
        return None
    data_type = full_type_of(hierarchy.attributes(path))
    types = () if data_type is None else types_of(catalog, data_type)
    links = [link for spec in specs if (link := link_for(spec, name, types)) is not None]
    if not links or any(has_part(spec, name, types) for spec in specs):
        return None
    return str(links[0].target_type)


# -- types of targets ------------------------------------------------------------------------------


class _TargetTypes:
    """Checks the target types of links and references by the specification of their holder."""

    def __init__(self, examined: Examined, catalog: NamespaceCatalog) -> None:
        self._hierarchy = examined.hierarchy
        self._catalog = catalog
        self._expected: dict[tuple[str, str, str], str | None] = {}

    def __call__(self, holder: str, name: str, target: Target) -> str | None:
        of_holder = full_type_of(self._hierarchy.attributes(holder))
        of_target = full_type_of(target[0].attributes(target[1]))
        if of_holder is None:
            return None
        asked = (*of_holder, name)
        if asked not in self._expected:
            self._expected[asked] = self._expected_type(*asked)
        expected = self._expected[asked]
        if expected is None or (of_target is not None and self._is_a(of_target, expected)):
            return None
        found = "an object without a type" if of_target is None else f"a {of_target[1]}"
        return f"it leads to {found} (/{target[1]}), where {of_holder[1]} has a {expected}"

    def _is_a(self, of_target: tuple[str, str], expected: str) -> bool:
        try:
            return expected in self._catalog.get_hierarchy(*of_target)
        except (KeyError, ValueError):
            return True  # its namespace is unknown here

    def _expected_type(self, namespace: str, data_type: str, name: str) -> str | None:
        try:
            spec: Any = self._catalog.get_spec(namespace, data_type)
        except (KeyError, ValueError):
            return None
        for link in getattr(spec, "links", ()):
            if link.name == name:
                return str(link.target_type)
        for attribute in spec.attributes:
            if attribute.name == name and isinstance(attribute.dtype, RefSpec):
                return str(attribute.dtype.target_type)
        return _element_target(getattr(spec, "dtype", None), name)


def _element_target(dtype: Any, field: str) -> str | None:
    if isinstance(dtype, RefSpec):
        return str(dtype.target_type) if not field else None
    for entry in dtype if isinstance(dtype, list) else ():
        if entry.name == field and isinstance(entry.dtype, RefSpec):
            return str(entry.dtype.target_type)
    return None
