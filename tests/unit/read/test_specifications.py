"""`ZarrSpecReader`, and what a catalog loads of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zarr
from hdmf.common import get_manager
from hdmf.spec import NamespaceCatalog
from zarr.storage import MemoryStore

from hdmf_zarr import utils
from hdmf_zarr.convention import unified
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.specifications import ZarrSpecReader, latest_versions, load_cached_namespaces
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.v2 import ZarrV2SpecReader
from hdmf_zarr.write.specifications import ZarrSpecWriter, specifications_of_manager


def _group(zarr_format: Any, texts: dict[str, str]) -> zarr.Group:
    """Return the root of a store with cached specifications: path below them -> text."""
    attributes = {unified.SPECIFICATION_LOCATION: unified.SPECIFICATION_GROUP}
    root = zarr.create_group(MemoryStore(), zarr_format=zarr_format, attributes=attributes)
    writer = ZarrSpecWriter(root.create_group(unified.SPECIFICATION_GROUP))
    for path, text in texts.items():
        writer.write_text(text, path)
    return root


def _hierarchy(group: zarr.Group) -> Hierarchy:
    bytestore = open_bytestore(locate(group.store), read_only=True)
    return Hierarchy.load(bytestore, consolidated=False)


def _namespaces(*namespaces: tuple[str, str]) -> str:
    entries = [
        {"name": name, "version": "1.0", "doc": "d", "schema": [{"source": source}]}
        for name, source in namespaces
    ]
    return json.dumps({"namespaces": entries})


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_and_a_hierarchy_are_read_alike(zarr_format: int) -> None:
    texts = {"n/1.0/namespace": _namespaces(("n", "t")), "n/1.0/t": '{"datasets":[]}'}
    root = _group(zarr_format, texts)
    path = f"{unified.SPECIFICATION_GROUP}/n/1.0"
    uri = utils.get_store_path(root.store)
    of_group = ZarrSpecReader(root[path])  # type: ignore[arg-type]
    of_hierarchy = ZarrSpecReader(_hierarchy(root), path)
    for reader in (of_group, of_hierarchy, ZarrV2SpecReader(root[path], allow_pickle=True)):
        assert reader.source == f"{uri}:/{path}"
        assert reader.read_spec("t") == {"datasets": []}
        assert [one["name"] for one in reader.read_namespace("namespace")] == ["n"]
        with pytest.raises(MetadataError, match=r"no specification at .*:/.*/missing"):
            reader.read_spec("missing")


def test_what_is_declared_is_read_once() -> None:
    root = _group(3, {"n/1.0/namespace": _namespaces(("n", "t"))})
    reader = ZarrSpecReader(root[f"{unified.SPECIFICATION_GROUP}/n/1.0"])  # type: ignore[arg-type]
    first = reader.read_namespace("namespace")
    assert reader.read_namespace("namespace") is first
    known = ZarrSpecReader(root, namespaces=[{"name": "given"}])
    assert known.read_namespace("namespace") == [{"name": "given"}]


def test_text_that_is_no_json_names_its_place() -> None:
    root = _group(3, {"n/1.0/t": '{"datasets": ['})
    path = f"{unified.SPECIFICATION_GROUP}/n/1.0"
    for reader in (ZarrSpecReader(root[path]), ZarrSpecReader(_hierarchy(root), path)):  # type: ignore[arg-type]
        with pytest.raises(MetadataError, match="/n/1.0/t"):
            reader.read_spec("t")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_catalog_loads_the_types_of_its_latest_version(zarr_format: int) -> None:
    common = get_manager().namespace_catalog
    (texts,) = specifications_of_manager(get_manager())["hdmf-common"].values()
    root = _group(
        zarr_format,
        {
            **{f"hdmf-common/1.10.0/{name}": text for name, text in texts.items()},
            "hdmf-common/1.9.0/namespace": "{}",
        },
    )
    hierarchy = _hierarchy(root)
    assert latest_versions(hierarchy) == {"hdmf-common": "1.10.0"}
    catalog = NamespaceCatalog()
    load_cached_namespaces(hierarchy, catalog)
    expected = common.get_namespace("hdmf-common").get_registered_types()
    assert set(catalog.get_namespace("hdmf-common").get_registered_types()) == set(expected)


def test_of_another_namespace_that_is_declared_the_sources_must_be_there() -> None:
    """MatNWB caches with an extension what its namespace includes, without the sources."""
    own = {"n/1.0/t": '{"datasets":[]}', "n/1.0/u": '{"datasets":[]}'}
    for others, expected in (
        ([("other", "gone")], ["n"]),
        ([("other", "u")], ["n", "other"]),
        ([], ["n"]),
    ):
        root = _group(3, {**own, "n/1.0/namespace": _namespaces(*others, ("n", "t"))})
        catalog = NamespaceCatalog()
        load_cached_namespaces(_hierarchy(root), catalog)
        assert sorted(catalog.namespaces) == expected


def test_a_namespace_that_is_not_cached_is_refused() -> None:
    root = _group(3, {"n/1.0/namespace": _namespaces()})
    with pytest.raises(MetadataError, match=r"caches no namespace \['m'\]; it has \['n'\]"):
        load_cached_namespaces(_hierarchy(root), NamespaceCatalog(), ["m"])


def test_of_a_namespace_that_the_catalog_has_nothing_is_read() -> None:
    root = _group(3, {"hdmf-common/99.0.0/namespace": "no JSON"})
    catalog = get_manager().namespace_catalog
    with pytest.warns(UserWarning, match="hdmf-common"):
        assert load_cached_namespaces(_hierarchy(root), catalog) == {}
