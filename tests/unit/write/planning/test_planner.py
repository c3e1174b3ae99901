"""A builder becomes a plan: its nodes in order, with layouts, links and attributes; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from zarr.codecs import GzipCodec, ZstdCodec

from hdmf_zarr import ZarrDataIO
from hdmf_zarr.core.dtypes import REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import (
    BrokenLinkError,
    DtypeError,
    EncodingError,
    LayoutError,
    ObjectExistsError,
)
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.chunks.sources import ChunkCopySource, MemorySource, RawSource
from hdmf_zarr.write.planning.export_options import LayoutOptions, PlanOptions
from hdmf_zarr.write.planning.plan import ArrayPlan, AttributesPlan, GroupPlan, TreePlan
from hdmf_zarr.write.planning.planner import (
    attributes_with,
    plan_piece,
    plan_tree,
    refuse_name_twice,
)
from tests.iterators import ArrayIterator
from tests.unit.conftest import MakeArray
from tests.unit.write.planning.conftest import MakeContext

INT16 = ElementType("number", np.dtype("<i2"))


def group(name: str = "root", *members: Any, **attributes: Any) -> GroupBuilder:
    made = GroupBuilder(name=name, attributes=attributes)
    for member in members:
        if isinstance(member, GroupBuilder):
            made.set_group(member)
        elif isinstance(member, DatasetBuilder):
            made.set_dataset(member)
        else:
            made.set_link(member)
    return made


def data(name: str = "data", values: Any = (1, 2), **more: Any) -> DatasetBuilder:
    values = list(values) if isinstance(values, tuple) else values
    return DatasetBuilder(name=name, data=values, **more)


def arrays(plan: TreePlan) -> dict[str, ArrayPlan]:
    return {node.path: node for node in plan.nodes if isinstance(node, ArrayPlan)}


def links(attributes: Any) -> list[tuple[str, str, str]]:
    return [(one["name"], one["source"], one["path"]) for one in attributes.get("_LINKS", [])]


# -- a tree ----------------------------------------------------------------------------------------


def test_parents_come_before_their_children(make_context: MakeContext, tmp_path: Path) -> None:
    root = group("root", group("a", group("b", data()), unit="V"), group("c"), x=1)
    plan = plan_tree(root, make_context())
    assert [node.path for node in plan.nodes] == ["", "a", "a/b", "a/b/data", "c"]
    assert [type(node) for node in plan.nodes] == [
        *([GroupPlan] * 3),
        ArrayPlan,
        GroupPlan,
    ]
    assert plan.nodes[0].attributes == {"x": 1}
    assert plan.nodes[1].attributes == {"unit": "V"}
    assert {builder.name for builder in plan.builders} == {"root", "a", "b", "c", "data"}
    assert list(tmp_path.iterdir()) == []


def test_an_object_with_two_places_is_written_once(make_context: MakeContext) -> None:
    shared = data("shared")
    root = group("root", group("a", shared), group("b"))
    root["b"].set_link(LinkBuilder(builder=shared, name="to_it"))
    plan = plan_tree(root, make_context())
    assert list(arrays(plan)) == ["a/shared"]
    (b,) = (node for node in plan.nodes if node.path == "b")
    assert links(b.attributes) == [("to_it", ".", "/a/shared")]


def test_references_lead_to_what_is_written(make_context: MakeContext) -> None:
    x = group("x")
    root = group("root", x, data("refs", [ReferenceBuilder(x)]))
    root.set_attribute("one", x)
    plan = plan_tree(root, make_context())
    found = arrays(plan)["refs"]
    assert found.element == REFERENCE
    assert isinstance(found.source, MemorySource)
    assert found.source.values.tolist() == ["/x"]
    assert plan.nodes[0].attributes == {"one": {"_REFERENCE": {"source": ".", "path": "/x"}}}


def test_the_elements_and_the_layout_of_an_array(make_context: MakeContext) -> None:
    values = np.zeros((10, 4), "<i2")
    wrapped = ZarrDataIO(values, chunks=(5, 4), compressors=[GzipCodec(level=1)])
    plan = plan_tree(group("root", data("data", wrapped), data("text", ["a"])), make_context())
    found = arrays(plan)["data"]
    assert (found.element, found.shape) == (INT16, (10, 4))
    assert found.layout is not None
    assert found.layout.chunks == (5, 4)
    assert found.layout.codecs[-1] == GzipCodec(level=1)
    assert found.dimension_names == ("data_dim_0", "data_dim_1")
    assert found.attributes == {"_DTYPE": "int16", "_CHUNKS_GIVEN": True}
    assert found.decoded == "a layout was asked for"
    text = arrays(plan)["text"]
    assert (text.element, text.attributes) == (TEXT, {"_DTYPE": "str"})


def test_a_scalar_has_the_shape_that_its_format_gives_it(make_context: MakeContext) -> None:
    root = group("root", data("x", 3), data("t", "a"))
    new = arrays(plan_tree(root, make_context()))
    assert (new["x"].shape, new["t"].shape, new["x"].dimension_names) == ((), (), None)
    old = arrays(plan_tree(root, make_context(zarr_format=2)))
    assert (old["x"].shape, old["t"].shape) == ((1,), (1,))


def test_an_iterator_begins_with_what_is_known(make_context: MakeContext) -> None:
    iterator = ArrayIterator(np.zeros((6, 4), "<i2"), buffer_shape=(2, 4), chunk_shape=(2, 4))
    found = arrays(plan_tree(group("root", data("data", iterator)), make_context()))["data"]
    assert (found.shape, found.element) == ((6, 4), INT16)
    assert found.layout is not None
    assert found.layout.chunks == (2, 4)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("builder", "error", "message"),
    [
        (data("x", [[1], [1, 2]]), (EncodingError, DtypeError), ":/g/x: "),
        (data("x", ["\ud800"]), EncodingError, ":/g/x: "),
        (data("x", np.zeros(2, "V3")), DtypeError, ":/g/x: "),
        (data("x", ZarrDataIO([1, 2], chunks=(1, 1))), LayoutError, ":/g/x: chunks"),
        (data("x", [ReferenceBuilder(group("gone"))]), BrokenLinkError, "a reference to 'gone'"),
        (group("x", _DTYPE="a"), EncodingError, ":/g/x: attribute '_DTYPE'"),
        (group("zarr.json"), EncodingError, ":/g: an object cannot have the name"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_stands(
    make_context: MakeContext, builder: Any, error: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        plan_tree(group("root", group("g", builder)), make_context())
    assert list(tmp_path.iterdir()) == []


def test_shards_are_refused_in_format_2(make_context: MakeContext) -> None:
    wrapped = ZarrDataIO(np.zeros((4, 4), "<i2"), chunks=(2, 4), shards=(4, 4))
    root = group("root", data("data", wrapped))
    found = arrays(plan_tree(root, make_context()))["data"].layout
    assert found is not None
    assert found.shards == (4, 4)
    with pytest.raises(LayoutError, match=":/data: Zarr format 2 has no shards"):
        plan_tree(root, make_context(zarr_format=2))


def test_an_error_names_the_file_that_was_read(make_context: MakeContext) -> None:
    builder = data("x", ["\ud800"], source="/data/old.nwb")
    builder.location = "/g"
    root = group("root", group("g", builder))
    with pytest.raises(EncodingError, match=r"\(read from /data/old.nwb:/g/x\)"):
        plan_tree(root, make_context())


def test_a_path_of_the_options_that_is_not_there_is_an_error(make_context: MakeContext) -> None:
    context = make_context(
        export_source=Location("/data/old.zarr", is_local=True),
        options=PlanOptions(layout=LayoutOptions(chunks={"/data": (1,), "/other": (1,)})),
    )
    with pytest.raises(ValueError, match="chunks: '/other' is the path of no dataset"):
        plan_tree(group("root", data()), context)


# -- an export of a store --------------------------------------------------------------------------


def test_an_array_of_a_store_is_copied_with_its_document(
    make_context: MakeContext, make_array: MakeArray
) -> None:
    array = make_array(np.arange(6, dtype="<i2"), INT16, chunks=(2,), compressors=ZstdCodec())
    source = array.hierarchy.location
    builder = data("data", array, attributes={"unit": "V"})
    plan = plan_tree(group("root", builder), make_context(export_source=source))
    found = arrays(plan)["data"]
    assert isinstance(found.source, ChunkCopySource)
    assert (found.layout, found.data_type) == (None, None)
    assert found.document is not None
    assert "attributes" not in found.document
    assert found.document["codecs"] == array.hierarchy.documents["group/data"]["codecs"]
    assert found.attributes == {"unit": "V", "_DTYPE": "int16"}
    options = PlanOptions(layout=LayoutOptions(shards={"data": (4,)}))
    moved = arrays(
        plan_tree(group("root", builder), make_context(export_source=source, options=options))
    )["data"]
    assert isinstance(moved.source, RawSource)
    assert moved.layout is not None
    assert moved.layout.shards == (4,)


def test_names_of_dimensions_of_an_array_of_zarr_are_kept(make_context: MakeContext) -> None:
    array = zarr.create_array({}, shape=(3, 2), dtype="<i2", dimension_names=("time", None))
    found = arrays(plan_tree(group("root", data("data", array)), make_context()))["data"]
    assert found.dimension_names == ("time", None)


# -- an append -------------------------------------------------------------------------------------


@pytest.fixture
def appended(make_context: MakeContext, hierarchy: Hierarchy) -> Any:
    """The context of an append to a store with the groups ``g`` and ``g/inner``."""
    link = {"name": "gone", "source": ".", "path": "/nothing"}
    hierarchy.set_document("g", group_document({"a": 1, "_LINKS": [link]}))
    hierarchy.set_document("g/inner", group_document({}))
    written: set[int] = set()
    context = make_context(
        destination=hierarchy.location,
        existing=hierarchy,
        is_written=lambda builder: id(builder) in written,
    )
    return context, written


def test_a_group_that_is_there_gets_attributes_and_keeps_its_links(appended: Any) -> None:
    context, written = appended
    g = group("g", data("new"), b=2)
    root = group("root", g)
    written |= {id(root), id(g)}
    plan = plan_tree(root, context)
    assert [(type(node), node.path) for node in plan.nodes] == [
        (AttributesPlan, ""),
        (AttributesPlan, "g"),
        (ArrayPlan, "g/new"),
    ]
    assert plan.nodes[1].attributes["a"] == 1
    assert plan.nodes[1].attributes["b"] == 2
    assert links(plan.nodes[1].attributes) == [("gone", ".", "/nothing")]


@pytest.mark.parametrize("name", ["inner", "gone"])
def test_a_new_object_of_a_name_that_is_there_is_refused(appended: Any, name: str) -> None:
    context, written = appended
    g = group("g", group(name))
    root = group("root", g)
    written |= {id(root), id(g)}
    with pytest.raises(ObjectExistsError, match=f":/g/{name}: the store has another object"):
        plan_tree(root, context)


def test_a_piece_is_planned_alone(appended: Any) -> None:
    context, _ = appended
    plan = plan_piece(group("new", data()), context, "g")
    assert [node.path for node in plan.nodes] == ["g/new", "g/new/data"]


def test_a_piece_replaces_one_of_its_kind(appended: Any) -> None:
    context, _ = appended
    plan = plan_piece(group("inner", x=1), context, "g")
    assert plan.nodes[0].path == "g/inner"
    with pytest.raises(EncodingError, match="'inner' is another kind of object there"):
        plan_piece(data("inner"), context, "g")


def test_a_piece_needs_its_group(appended: Any, make_context: MakeContext) -> None:
    context, _ = appended
    for parent, known in (("nowhere", context), ("g", make_context())):
        with pytest.raises(BrokenLinkError, match=f"has no group at /{parent}"):
            plan_piece(group("x"), known, parent)
    with pytest.raises(EncodingError, match=":/g: an object cannot have the name '..'"):
        plan_piece(group(".."), context, "g")


def test_a_link_is_added_to_those_of_its_group(appended: Any) -> None:
    context, written = appended
    target = group("inner")
    target.location = "/g"
    target.source = context.destination.uri
    written.add(id(target))
    plan = plan_piece(LinkBuilder(builder=target, name="new"), context, "g")
    (node,) = plan.nodes
    assert isinstance(node, AttributesPlan)
    assert links(node.attributes) == [("gone", ".", "/nothing"), ("new", ".", "/g/inner")]
    again = plan_piece(LinkBuilder(builder=target, name="gone"), context, "g")
    assert links(again.nodes[0].attributes) == [("gone", ".", "/g/inner")]
    for name, what in (("inner", "an object"), ("a", "an attribute")):
        with pytest.raises(EncodingError, match=f"the name '{name}' is that of {what} there"):
            plan_piece(LinkBuilder(builder=target, name=name), context, "g")


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "as_what", "refused"),
    [
        ("inner", "object", None),
        ("inner", "link", "an object"),
        ("inner", "attribute", "an object"),
        ("gone", "link", None),
        ("gone", "object", "a link"),
        ("a", "attribute", None),
        ("a", "object", "an attribute"),
        ("a", "link", "an attribute"),
        ("new", "object", None),
        ("_LINKS", "object", None),
    ],
)
def test_a_name_is_that_of_one_thing(
    appended: Any, name: str, as_what: Any, refused: str | None
) -> None:
    existing = appended[0].existing
    if refused is None:
        refuse_name_twice(existing, "g", name, as_what=as_what)
    else:
        with pytest.raises(EncodingError, match=f"the name '{name}' is that of {refused} there"):
            refuse_name_twice(existing, "g", name, as_what=as_what)


def test_an_array_has_no_members(make_array: MakeArray) -> None:
    array = make_array([1, 2], INT16)
    refuse_name_twice(array.hierarchy, "group/data", "_DTYPE", as_what="object")


def test_attributes_are_set_beside_those_that_are_there(make_context: MakeContext) -> None:
    old = {"a": 1, "b": 2, "_ATTRIBUTE_DTYPES": {"a": "int8", "b": "int16"}}
    assert attributes_with(old, {"a": np.float32(0.5)}, make_context()) == {
        "a": 0.5,
        "b": 2,
        "_ATTRIBUTE_DTYPES": {"a": "float32", "b": "int16"},
    }
    with pytest.raises(EncodingError, match="'_LINKS' has a name that the format reserves"):
        attributes_with(old, {"_LINKS": []}, make_context())
