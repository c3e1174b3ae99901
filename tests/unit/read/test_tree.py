"""The nodes of a store become builders; what is broken costs itself alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.build import DatasetBuilder, GroupBuilder, ReferenceBuilder
from zarr.storage import MemoryStore

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.convention import Reference
from hdmf_zarr.core.dtypes import ASCII, REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import BrokenLinkError, MetadataError, StoreNotFoundError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.read.lazy import BuilderZarrReferenceDataset, BuilderZarrTableDataset
from hdmf_zarr.read.tree import LINKS_FOLLOWED, StoreReader, open_linked_hierarchy
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import Location, locate
from tests.unit.conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))
TYPES = "_ATTRIBUTE_DTYPES"
OTHER = Location("s3://bucket/other.zarr", is_local=False)


def no_store(location: Location) -> Hierarchy:
    raise StoreNotFoundError(f"{location.uri} does not exist")


def reader(
    hierarchy: Hierarchy,
    *,
    open_linked: Callable[[Location], Hierarchy] = no_store,
    on_built: Callable[[Any], None] = lambda _builder: None,
    is_float: Callable[[Any, str], bool] = lambda _attributes, _name: False,
) -> StoreReader:
    io: Any = object()
    return StoreReader(
        hierarchy, io=io, on_built=on_built, open_linked=open_linked, specified_as_float=is_float
    )


def add(hierarchy: Hierarchy, path: str, **attributes: Any) -> None:
    hierarchy.set_document(path, group_document(attributes))


def link(name: str, path: str, source: str = ".") -> dict[str, str]:
    return {"name": name, "source": source, "path": path}


def reference(path: str, source: str = ".") -> dict[str, Any]:
    return {"_REFERENCE": {"source": source, "path": path}}


def with_attributes(hierarchy: Hierarchy, path: str, **attributes: Any) -> None:
    document = hierarchy.documents[path]
    merged = {**(document.get("attributes") or {}), **attributes}
    hierarchy.set_document(path, {**document, "attributes": merged})


# -- nodes -----------------------------------------------------------------------------------------


def test_groups_and_arrays_become_builders(hierarchy: Hierarchy, make_array: MakeArray) -> None:
    make_array([[1, 2], [3, 4]], INT16, path="a/data")
    add(hierarchy, "a", unit="V")
    built: list[Any] = []
    root = reader(hierarchy, on_built=built.append).read()
    assert (root.name, root.source, root.location) == ("root", hierarchy.uri, "/")
    data = root["a/data"]
    assert isinstance(data, DatasetBuilder)
    assert (data.location, data.dtype, data.maxshape) == ("/a", np.dtype("<i2"), (2, 2))
    assert isinstance(data.data, HDMFZarrArray)
    assert data.data[...].tolist() == [[1, 2], [3, 4]]
    assert root["a"].attributes == {"unit": "V"}
    assert data.attributes == {}
    assert {builder.name for builder in built} == {"root", "a", "data", "group"}
    assert data.parent is root["a"]


def test_the_root_is_read_once(hierarchy: Hierarchy) -> None:
    stores = reader(hierarchy)
    assert stores.read() is stores.read()


def test_names_of_dimensions_are_labels(hierarchy: Hierarchy, make_array: MakeArray) -> None:
    make_array([[1, 2]], INT16)
    document = hierarchy.documents["group/data"]
    hierarchy.set_document("group/data", {**document, "dimension_names": ["time", None]})
    assert reader(hierarchy).read()["group/data"].dimension_labels == ("time", None)


@pytest.mark.parametrize(
    ("value", "element", "found"),
    [
        (np.array(3, "<i2"), INT16, 3),
        (np.array("ü", object), TEXT, "ü"),
        (np.array(b"a", object), ASCII, "a"),
    ],
)
def test_a_scalar_is_its_value(
    hierarchy: Hierarchy, make_array: MakeArray, value: Any, element: ElementType, found: Any
) -> None:
    make_array(value, element)
    builder = reader(hierarchy).read()["group/data"]
    assert builder.data == found
    assert builder.maxshape == ()


def test_references_and_compounds_are_resolved_later(
    hierarchy: Hierarchy, make_array: MakeArray
) -> None:
    make_array(["/group"], REFERENCE, path="group/refs")
    make_array([(1,)], ElementType("compound", fields=(("n", INT16),)), path="group/table")
    root = reader(hierarchy).read()
    assert isinstance(root["group/refs"].data, BuilderZarrReferenceDataset)
    assert isinstance(root["group/table"].data, BuilderZarrTableDataset)
    assert root["group/refs"].dtype == "object"
    assert root["group/table"].dtype == [{"name": "n", "dtype": "int16"}]


def test_a_scalar_reference_is_its_target(hierarchy: Hierarchy, make_array: MakeArray) -> None:
    make_array(np.array("/group", object), REFERENCE)
    root = reader(hierarchy).read()
    found = root["group/data"].data
    assert isinstance(found, ReferenceBuilder)
    assert found.builder is root["group"]


def test_a_scalar_record_holds_its_targets(hierarchy: Hierarchy, make_array: MakeArray) -> None:
    element = ElementType("compound", fields=(("n", INT16), ("to", REFERENCE), ("no", REFERENCE)))
    make_array((1, "/group", ""), element)
    root = reader(hierarchy).read()
    record = root["group/data"].data
    assert (record["n"], record["no"][()]) == (1, None)
    assert record["to"][()] is root["group"]


def test_a_scalar_reference_to_nothing_is_left_out(
    hierarchy: Hierarchy, make_array: MakeArray
) -> None:
    make_array(np.array("/gone", object), REFERENCE)
    with pytest.warns(BrokenLinkWarning, match="reference .*:/group/data is broken and left out"):
        assert reader(hierarchy).read()["group/data"].data is None


def test_specifications_are_no_builders(hierarchy: Hierarchy) -> None:
    with_attributes(hierarchy, "", **{".specloc": "specifications"})
    add(hierarchy, "specifications")
    add(hierarchy, "specifications/core")
    add(hierarchy, "specifications_of_mine")
    hierarchy.find_specifications()
    root = reader(hierarchy).read()
    assert set(root.groups) == {"specifications_of_mine"}
    assert ".specloc" not in root.attributes


# -- attributes ------------------------------------------------------------------------------------


def test_attributes_have_the_recorded_dtype(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", x=3, y=[1.5], z="text", **{TYPES: {"x": "int8", "y": "float32"}})
    found = reader(hierarchy).read()["a"].attributes
    assert set(found) == {"x", "y", "z"}
    assert (type(found["x"]), found["x"]) == (np.int8, 3)
    assert (found["y"].dtype, found["y"].tolist()) == (np.dtype("f4"), [1.5])


@pytest.mark.parametrize("spelled", ["NaN", "Infinity", "-Infinity"])
def test_a_spelled_float_is_one_where_the_specification_says_so(
    hierarchy: Hierarchy, spelled: str
) -> None:
    add(
        hierarchy,
        "a",
        x=spelled,
        y=spelled,
        z="other",
        known=spelled,
        **{TYPES: {"known": "float64"}},
    )
    asked: list[str] = []

    def is_float(_attributes: Any, name: str) -> bool:
        asked.append(name)
        return name == "x"

    found = reader(hierarchy, is_float=is_float).read()["a"].attributes
    np.testing.assert_equal(found["x"], float(spelled))
    assert (found["y"], found["z"]) == (spelled, "other")
    np.testing.assert_equal(found["known"], float(spelled))
    assert asked == ["x", "y"]


def test_references_in_attributes_are_builders(hierarchy: Hierarchy) -> None:
    add(hierarchy, "b")
    add(hierarchy, "a", one=reference("/b"), many=[reference("/b"), reference("/a")])
    root = reader(hierarchy).read()
    found = root["a"].attributes
    assert found["one"] is root["b"]
    assert found["many"] == [root["b"], root["a"]]


@pytest.mark.parametrize(
    "value",
    [reference("/gone"), [reference("/b"), reference("/gone")], {"_REFERENCE": 3}],
)
def test_an_attribute_that_leads_to_nothing_is_left_out(hierarchy: Hierarchy, value: Any) -> None:
    add(hierarchy, "b")
    add(hierarchy, "a", bad=value, good=1)
    with pytest.warns(BrokenLinkWarning, match="attribute 'bad' of .*:/a is broken and left out"):
        found = reader(hierarchy).read()["a"].attributes
    assert found == {"good": 1}


def test_a_scale_that_leads_to_nothing_costs_itself_alone(hierarchy: Hierarchy) -> None:
    add(hierarchy, "b")
    add(hierarchy, "a", DIMENSION_LIST=[[reference("/gone"), reference("/b")], []])
    with pytest.warns(BrokenLinkWarning, match="attribute 'DIMENSION_LIST' of .*:/a"):
        root = reader(hierarchy).read()
    assert root["a"].attributes == {"DIMENSION_LIST": [[root["b"]], []]}


def test_an_attribute_that_cannot_be_decoded_is_an_error(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", bad=300, **{TYPES: {"bad": "int8"}})
    with pytest.raises(MetadataError, match=":/a: attribute 'bad': "):
        reader(hierarchy).read()


def test_a_name_cannot_be_an_attribute_and_an_object(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a/b")
    add(hierarchy, "a", b=1)
    with pytest.raises(MetadataError, match=":/a has the attribute 'b' and an object of the same"):
        reader(hierarchy).read()


# -- links -----------------------------------------------------------------------------------------


def test_links_lead_to_builders(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", _LINKS=[link("to_b", "/b"), link("over", "/a/to_b")])
    add(hierarchy, "b")
    root = reader(hierarchy).read()
    found = root["a"].links
    assert found["to_b"].builder is root["b"]
    assert found["over"].builder is root["b"]
    assert (found["to_b"].source, found["to_b"].location) == (hierarchy.uri, "/a")
    assert root["a"].attributes == {}


def test_a_link_wins_over_an_object_of_its_name(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", _LINKS=[link("x", "/b")])
    add(hierarchy, "a/x")
    add(hierarchy, "b")
    root = reader(hierarchy).read()
    assert root["a"].groups == {}
    assert root["a"].links["x"].builder is root["b"]


def test_a_link_to_nothing_is_left_out(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", _LINKS=[link("gone", "/gone"), link("b", "/b")])
    add(hierarchy, "b")
    with pytest.warns(BrokenLinkWarning, match="link .*:/a/gone is broken and left out"):
        root = reader(hierarchy).read()
    assert set(root["a"].links) == {"b"}


def test_links_that_make_no_sense_are_left_out_with_one_warning(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", _LINKS=3)
    with pytest.warns(BrokenLinkWarning, match="what .*:/a links to is broken") as caught:
        root = reader(hierarchy).read()
    assert len(caught) == 1
    assert root["a"].links == {}


def test_a_link_of_the_name_of_an_attribute_is_an_error(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", b=1, _LINKS=[link("b", "/c")])
    add(hierarchy, "c")
    with pytest.raises(MetadataError, match=":/a has the attribute 'b' and an object"):
        reader(hierarchy).read()


def test_links_in_a_circle_lead_to_nothing(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a", _LINKS=[link("x", "/b/y")])
    add(hierarchy, "b", _LINKS=[link("y", "/a/x")])
    with pytest.warns(BrokenLinkWarning, match=f"leads through more than {LINKS_FOLLOWED} links"):
        root = reader(hierarchy).read()
    assert root["a"].links == root["b"].links == {}


# -- other stores ----------------------------------------------------------------------------------


def other_store(**attributes: Any) -> Hierarchy:
    bytestore = open_bytestore(locate(MemoryStore()), read_only=False)
    documents = {"": group_document({}), "x": group_document(attributes)}
    return Hierarchy(bytestore, documents)


def linking(hierarchy: Hierarchy, source: str) -> None:
    add(hierarchy, "a", _LINKS=[link("to", "/x", source)])


def test_a_link_leads_to_another_store_which_is_opened_once(
    hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    linking(hierarchy, "other")
    other, opened = other_store(unit="V"), []
    places = {".": hierarchy.location, "other": other.location}
    monkeypatch.setattr(hierarchy, "locate_source", places.get)

    def open_linked(location: Location) -> Hierarchy:
        opened.append(location)
        return other

    stores = reader(hierarchy, open_linked=open_linked)
    found = stores.read()["a"].links["to"].builder
    assert found.attributes == {"unit": "V"}
    assert found.source == other.uri
    assert stores.builder(hierarchy, Reference(source=".", path="/a/to")) is found
    assert opened == [other.location]


@pytest.mark.parametrize("error", [StoreNotFoundError, OSError, ImportError])
def test_a_store_that_cannot_be_opened_costs_the_link(
    hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    linking(hierarchy, "other")
    monkeypatch.setattr(hierarchy, "locate_source", {".": hierarchy.location, "other": OTHER}.get)

    def fail(_location: Location) -> Hierarchy:
        raise error("no such thing")

    message = f"the store {OTHER.uri} cannot be opened: no such thing"
    with pytest.warns(BrokenLinkWarning, match=message):
        assert reader(hierarchy, open_linked=fail).read()["a"].links == {}


def test_a_path_of_no_object_is_an_error(hierarchy: Hierarchy) -> None:
    stores = reader(hierarchy)
    stores.read()
    with pytest.raises(BrokenLinkError, match="has no object at /gone"):
        stores.builder(hierarchy, Reference(path="/gone"))


# -- what is broken --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [{"_REFERENCE_FIELDS": 3}, {"_FIELD_DTYPES": [1]}, {"_ENUM_NAMES": 3}]
)
def test_a_dataset_that_is_not_understood_costs_itself_alone(
    hierarchy: Hierarchy, make_array: MakeArray, bad: dict[str, Any]
) -> None:
    make_array([1, 2], INT16, path="group/bad")
    make_array([1, 2], INT16, path="group/good")
    with_attributes(hierarchy, "group/bad", **bad)
    root = reader(hierarchy).read()
    assert root["group/good"].data[...].tolist() == [1, 2]
    with pytest.raises(MetadataError, match=next(iter(bad))):
        root["group/bad"].data[...]


def test_a_scalar_that_does_not_decode_costs_itself_alone(
    hierarchy: Hierarchy, make_array: MakeArray
) -> None:
    array = make_array(np.array("a", object), TEXT, path="group/bad")
    make_array(np.array(3, "<i2"), INT16, path="group/good")
    array.hierarchy.bytestore.set("group/bad/c", b"nonsense")
    root = reader(hierarchy).read()
    assert root["group/good"].data == 3
    with pytest.raises(MetadataError):
        root["group/bad"].data[...]


def test_a_store_to_which_another_links_is_opened(hierarchy: Hierarchy, tmp_path: Any) -> None:
    import zarr

    zarr.create_group(str(tmp_path / "b.zarr"), attributes={"a": 1})
    location = locate(str(tmp_path / "b.zarr"))
    for read_only in (True, False):
        found = open_linked_hierarchy(location, read_only=read_only, consolidated=True)
        assert found.attributes("") == {"a": 1}
        assert found.is_live is not read_only


def test_a_group_is_no_dataset(hierarchy: Hierarchy) -> None:
    add(hierarchy, "a")
    assert isinstance(reader(hierarchy).read()["a"], GroupBuilder)
