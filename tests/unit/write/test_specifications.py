"""`ZarrSpecWriter`: groups as users give them, the hierarchy of the backend, and a dict that collects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zarr
from hdmf.common import get_manager
from zarr.storage import MemoryStore

from hdmf_zarr import utils
from hdmf_zarr.arrays.live_group import LiveGroup
from hdmf_zarr.convention.unified import SPECIFICATION_GROUP
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.specifications import ZarrSpecReader, read_specifications
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.specifications import (
    ZarrSpecWriter,
    specifications_of_manager,
    write_specifications,
)

SPEC = {"groups": [{"doc": "ä group", "data_type_def": "A"}]}
NAMESPACE = {"name": "n", "version": "1.0", "schema": [{"source": "n.types"}]}


def test_the_class_is_the_one_that_users_import() -> None:
    assert utils.ZarrSpecWriter is ZarrSpecWriter
    assert utils.ZarrSpecReader is ZarrSpecReader


def test_a_specification_is_json_without_spaces() -> None:
    assert ZarrSpecWriter.stringify({"a": [1, None]}) == '{"a":[1,null]}'


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_of_zarr_gets_arrays_of_text(zarr_format: int) -> None:
    group = zarr.create_group(MemoryStore(), zarr_format=zarr_format).create_group("s/n/1.0")
    writer = ZarrSpecWriter(group)
    array = writer.write_spec(SPEC, "n.types")
    assert isinstance(array, zarr.Array)
    assert (array.path, array.shape) == ("s/n/1.0/n.types", ())
    assert json.loads(str(array[()])) == SPEC
    writer.write_namespace(NAMESPACE, "namespace")
    assert sorted(group) == ["n.types", "namespace"]
    assert ZarrSpecReader(group).read_namespace("namespace") == [NAMESPACE]
    assert ZarrSpecReader(group).read_spec("n.types") == SPEC


def test_a_dict_collects_the_texts() -> None:
    texts: dict[str, str] = {}
    writer = ZarrSpecWriter(texts)
    writer.write_spec(SPEC, "n.types")
    writer.write_namespace(NAMESPACE, "namespace")
    assert {path: json.loads(text) for path, text in texts.items()} == {
        "n.types": SPEC,
        "namespace": {"namespaces": [NAMESPACE]},
    }


def _new_hierarchy(path: Path, zarr_format: int) -> Hierarchy:
    zarr.create_group(str(path), zarr_format=zarr_format)  # type: ignore[arg-type]
    return Hierarchy.load_for_writing(open_bytestore(locate(str(path)), read_only=False))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_hierarchy_gets_the_same_texts_as_a_group(tmp_path: Path, zarr_format: int) -> None:
    hierarchy = _new_hierarchy(tmp_path / "a.zarr", zarr_format)
    writer = ZarrSpecWriter(hierarchy)
    assert writer.write_spec(SPEC, "s/n/1.0/n.types") is None
    writer.write_namespace(NAMESPACE, "s/n/1.0/namespace")
    hierarchy.commit_or_undo(consolidate=True, durable=False)
    hierarchy.close()
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["s/n/1.0"]
    assert isinstance(group, zarr.Group)
    assert sorted(group) == ["n.types", "namespace"]
    for reader in (ZarrSpecReader(group), ZarrSpecReader(hierarchy, "s/n/1.0")):
        assert reader.read_spec("n.types") == SPEC
        assert reader.read_namespace("namespace") == [NAMESPACE]


def test_a_group_of_a_store_that_is_being_written_gets_them(tmp_path: Path) -> None:
    hierarchy = _new_hierarchy(tmp_path / "a.zarr", 3)
    live = LiveGroup.of_node(hierarchy, "")
    ZarrSpecWriter(live.require_group("s")).write_spec(SPEC, "n.types")
    assert ZarrSpecReader(hierarchy, "s").read_spec("n.types") == SPEC
    assert ZarrSpecReader(live["s"]).read_spec("n.types") == SPEC
    hierarchy.commit_or_undo(consolidate=False, durable=False)
    hierarchy.close()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_cached_is_not_written_again(tmp_path: Path, zarr_format: int) -> None:
    hierarchy = _new_hierarchy(tmp_path / "a.zarr", zarr_format)
    specifications = specifications_of_manager(get_manager())
    write_specifications(hierarchy, specifications)
    assert read_specifications(hierarchy) == specifications
    before = dict(hierarchy.documents)
    other = {
        name: {version: dict.fromkeys(texts, "{}") for version, texts in versions.items()}
        for name, versions in specifications.items()
    }
    write_specifications(hierarchy, {**other, "new": {"1": {"namespace": "{}"}}})
    assert read_specifications(hierarchy) == {**specifications, "new": {"1": {"namespace": "{}"}}}
    added = set(hierarchy.documents) - set(before)
    assert added == {f"{SPECIFICATION_GROUP}/new{rest}" for rest in ("", "/1", "/1/namespace")}
    hierarchy.commit_or_undo(consolidate=False, durable=False)
    hierarchy.close()


def test_the_writer_of_hdmf_takes_it(tmp_path: Path) -> None:
    """As authors of extensions use it: `NamespaceBuilder.export` with a writer."""
    from hdmf.backends.utils import NamespaceToBuilderHelper

    manager = get_manager()
    group = zarr.create_group(MemoryStore())
    builder = NamespaceToBuilderHelper.convert_namespace(manager.namespace_catalog, "hdmf-common")
    builder.export("namespace", writer=ZarrSpecWriter(group))
    (texts,) = specifications_of_manager(manager)["hdmf-common"].values()
    assert {name: str(group[name][()]) for name in group} == texts  # type: ignore[index]
    with pytest.raises(ValueError, match="exist|contains"):
        builder.export("namespace", writer=ZarrSpecWriter(group))
