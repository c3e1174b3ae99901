"""The path of each builder in the store, and the references that lead to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from pynwb import TimeSeries, get_manager

from hdmf_zarr.convention import Reference
from hdmf_zarr.errors import BrokenLinkError, EncodingError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.planning.addresses import (
    Addresses,
    Origin,
    PendingLink,
    identified,
    is_rooted,
    join,
    object_id_of,
    path_in_source,
)
from hdmf_zarr.write.planning.export_options import PlanOptions
from tests.unit.write.planning.conftest import MakeContext
from tests.values import Letter

OTHER = Location("/data/other.nwb.zarr", is_local=True)


def tree() -> GroupBuilder:
    """A root with ``a/b/data``, ``c``, and the link ``a/to_c``."""
    data = DatasetBuilder(name="data", data=[1, 2])
    c = GroupBuilder(name="c", attributes={"object_id": "id of c"})
    b = GroupBuilder(name="b", datasets={"data": data})
    a = GroupBuilder(name="a", groups={"b": b}, links={"to_c": LinkBuilder(builder=c, name="to_c")})
    return GroupBuilder(name="root", groups={"a": a, "c": c}, attributes={"object_id": "the root"})


def at(root: GroupBuilder, *names: str) -> Any:
    found: Any = root
    for name in names:
        found = found[name]
    return found


@pytest.fixture
def addresses(make_context: MakeContext) -> Addresses:
    return Addresses(make_context())


# -- pure functions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "name", "path"),
    [("", "a", "a"), ("a", "b", "a/b"), ("a/b", "c", "a/b/c"), ("a", Letter.B, "a/b")],
)
def test_names_are_joined_as_they_are(parent: str, name: str, path: str) -> None:
    joined = join(parent, name)
    assert joined == path
    assert type(joined) is str


def test_an_origin_knows_what_is_above_and_below() -> None:
    origin = Origin(OTHER, "a/b")
    assert origin.name == "b"
    assert origin.above == Origin(OTHER, "a")
    assert origin.above.above == Origin(OTHER, "")
    assert origin.child("c") == Origin(OTHER, "a/b/c")
    assert Origin(OTHER, "").child("c") == Origin(OTHER, "c")
    assert Origin(OTHER, "a").name == "a"


def test_a_pending_link_has_a_path() -> None:
    link = LinkBuilder(builder=GroupBuilder(name="t"), name="l")
    assert PendingLink(GroupBuilder(name="g"), "a/g", link).path == "a/g/l"
    assert PendingLink(GroupBuilder(name="root"), "", link).path == "l"


@pytest.mark.parametrize(("given", "found"), [("an id", "an id"), (None, None), (3, None)])
def test_an_id_is_text(given: Any, found: str | None) -> None:
    attributes = {} if given is None else {"object_id": given}
    assert object_id_of(GroupBuilder(name="g", attributes=attributes)) == found


def test_the_path_in_a_file_is_that_of_the_location_or_of_the_parents() -> None:
    root = tree()
    assert path_in_source(root) == ""
    assert path_in_source(at(root, "a", "b", "data")) == "a/b/data"
    alone = GroupBuilder(name="g")
    assert path_in_source(alone) == ""
    alone.location = "/x/y"
    assert path_in_source(alone) == "x/y/g"
    alone.location = "/"
    assert path_in_source(alone) == "g"


def test_a_builder_is_rooted_below_a_root() -> None:
    root = tree()
    assert is_rooted(root)
    assert is_rooted(at(root, "a", "b", "data"))
    assert not is_rooted(GroupBuilder(name="g"))


def test_a_reference_gets_the_ids_of_its_target_and_of_the_root() -> None:
    root = tree()
    found = identified(Reference(path="/c"), at(root, "c"))
    assert (found.object_id, found.source_object_id) == ("id of c", "the root")
    other = GroupBuilder(name="root", attributes={"object_id": "another"})
    assert identified(Reference(path="/c"), at(root, "c"), other).source_object_id == "another"
    assert identified(Reference(path="/a"), at(root, "a")).object_id is None


# -- paths -----------------------------------------------------------------------------------------


def test_each_builder_has_a_path_and_each_link_waits(addresses: Addresses) -> None:
    root = tree()
    addresses.assign(root, "")
    assert addresses.path_of(root) == ""
    assert addresses.path_of(at(root, "a", "b", "data")) == "a/b/data"
    assert addresses.builder_at("c") is at(root, "c")
    assert addresses.builder_at("a/to_c") is None
    (pending,) = addresses.pending
    assert (pending.path, pending.holder, pending.link) == (
        "a/to_c",
        at(root, "a"),
        root["a"].links["to_c"],
    )


def test_the_first_place_is_the_true_one(addresses: Addresses) -> None:
    shared = GroupBuilder(name="x")
    addresses.assign(shared, "first")
    addresses.assign(shared, "second")
    assert addresses.path_of(shared) == "first"
    assert addresses.builder_at("second") is None


def test_two_builders_of_one_object_of_another_file_have_one_place(addresses: Addresses) -> None:
    one, other = GroupBuilder(name="x"), GroupBuilder(name="x")
    addresses.assign(one, "first", Origin(OTHER, "x"))
    addresses.assign(other, "second", Origin(OTHER, "x"))
    assert addresses.path_of(other) == "first"
    assert addresses.builder_at("first") is one


@pytest.mark.parametrize("name", [".", "zarr.json", "a\0b"])
def test_a_name_that_no_store_keeps_is_refused_where_it_stands(
    make_context: MakeContext, destination: Location, name: str
) -> None:
    inner = GroupBuilder(name="a", groups={name: GroupBuilder(name=name)})
    root = GroupBuilder(name="root", groups={"a": inner})
    with pytest.raises(EncodingError) as caught:
        Addresses(make_context()).assign(root, "")
    assert str(caught.value).startswith(f"{destination.uri}:/a: an object cannot have the name")
    # What is in the store already is left as it is.
    Addresses(make_context(is_written=lambda _: True)).assign(root, "")


def test_what_is_placed_is_a_child_from_then_on(addresses: Addresses) -> None:
    root, new = tree(), DatasetBuilder(name="its own name", data=1)
    addresses.assign(root, "")
    addresses.place(new, "a", "copied", Origin(OTHER, "x/y"))
    assert addresses.path_of(new) == "a/copied"
    assert addresses.placed_in("a") == [("copied", new)]
    assert addresses.placed_in("c") == []
    assert addresses.placed() == [("a", "copied", new)]
    assert addresses.children(at(root, "a"), "a") == [
        ("to_c", root["a"].links["to_c"]),
        ("b", at(root, "a", "b")),
        ("copied", new),
    ]
    with pytest.raises(EncodingError, match=":/a: an object cannot have the name"):
        addresses.place(DatasetBuilder(name="x", data=1), "a", "..")


def test_names_that_are_text_of_another_class_are_plain(addresses: Addresses) -> None:
    group = GroupBuilder(name="g", groups={"b": GroupBuilder(name=Letter.B)})
    ((name, _),) = addresses.children(group, "g")
    assert type(name) is str
    assert name == "b"


# -- copies and links ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "is_copied"),
    [
        (OTHER, False),
        (Location("object:3", is_local=False, is_linkable=False), True),
        (Location("s3://b/x.zarr", is_local=False), False),
        (Location("ftp://b/x.zarr", is_local=False), True),
    ],
)
def test_a_write_copies_what_it_cannot_link_to(
    addresses: Addresses, location: Location, *, is_copied: bool
) -> None:
    assert addresses.must_copy(location) is is_copied


def test_a_write_copies_from_hdf5(addresses: Addresses, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nwb", "w"):
        pass
    location = Location(str(tmp_path / "a.nwb"), is_local=True)
    assert addresses.is_hdf5(location)
    assert addresses.must_copy(location)
    assert not addresses.is_hdf5(OTHER)
    assert not addresses.is_hdf5(Location("s3://b/a.nwb", is_local=False))


@pytest.mark.parametrize(
    ("options", "is_copied"),
    [({}, False), ({"link_data": False}, True), ({"external_links": "keep"}, False)],
)
def test_the_options_of_an_export_decide_what_is_copied(
    make_context: MakeContext, options: Any, *, is_copied: bool
) -> None:
    source = Location("/data/source.zarr", is_local=True)
    context = make_context(export_source=source, options=PlanOptions(**options))
    assert Addresses(context).must_copy(OTHER) is is_copied
    assert not Addresses(make_context(options=PlanOptions(**options))).must_copy(OTHER)


def test_what_is_built_for_the_destination_is_copied_unless_it_is_there(
    make_context: MakeContext, destination: Location, hierarchy: Hierarchy
) -> None:
    assert Addresses(make_context()).must_copy(destination)
    assert not Addresses(make_context(existing=hierarchy)).must_copy(destination)


def test_an_object_in_no_file_has_no_origin(addresses: Addresses, tmp_path: Path) -> None:
    assert addresses.origin(GroupBuilder(name="g")) is None
    assert addresses.origin(GroupBuilder(name="root")) is None
    gone = GroupBuilder(name="root", source=str(tmp_path / "gone.zarr"))
    assert addresses.origin(gone) is None
    (tmp_path / "there.zarr").mkdir()
    there = GroupBuilder(name="g", source=str(tmp_path / "there.zarr"))
    assert addresses.origin(there) is None
    GroupBuilder(name="root", groups={"g": there})
    assert Addresses(addresses.context).origin(there) == Origin(
        Location(str(tmp_path / "there.zarr"), is_local=True), "g"
    )


def test_an_origin_is_looked_for_once(addresses: Addresses, tmp_path: Path) -> None:
    root = GroupBuilder(name="root", source=str(tmp_path))
    found = addresses.origin(root)
    assert found is not None
    assert addresses.origin(root) is found


@pytest.mark.parametrize(("data_type", "is_taken"), [("T", True), ("Other", False), (None, False)])
def test_an_object_with_the_same_id_and_type_is_taken_for_another_file_s(
    addresses: Addresses, data_type: str | None, *, is_taken: bool
) -> None:
    types = {"namespace": "n", "data_type": "T"}
    own = GroupBuilder(name="x", attributes={"object_id": "1", **types})
    addresses.assign(own, "here/x")
    given = {} if data_type is None else {**types, "data_type": data_type}
    target = GroupBuilder(name="x", attributes={"object_id": "1", **given})
    assert addresses.take_for(target, Origin(OTHER, "there/x")) is is_taken
    assert not addresses.take_for(GroupBuilder(name="x"), Origin(OTHER, "there/y"))


def test_an_object_that_is_in_the_store_is_known_by_its_path_and_id(
    make_context: MakeContext, hierarchy: Hierarchy
) -> None:
    hierarchy.set_document("x", group_document({"object_id": "1"}))
    addresses = Addresses(make_context(existing=hierarchy))
    same = GroupBuilder(name="x", attributes={"object_id": "1"})
    other = GroupBuilder(name="x", attributes={"object_id": "2"})
    assert addresses.take_for(same, Origin(OTHER, "x"))
    assert not addresses.take_for(same, Origin(OTHER, "y"))
    assert not addresses.take_for(other, Origin(OTHER, "x"))


# -- where a builder is ----------------------------------------------------------------------------


def test_a_builder_that_was_read_from_the_destination_is_where_it_was(
    make_context: MakeContext, destination: Location, hierarchy: Hierarchy
) -> None:
    hierarchy.set_document("x", group_document({}))
    addresses = Addresses(make_context(existing=hierarchy))
    for name, found in (("x", "x"), ("y", None)):
        builder = GroupBuilder(name=name, source=destination.uri)
        builder.location = "/"
        assert addresses.path_inside(builder) == found


def test_a_builder_of_the_exported_file_is_where_another_builder_of_it_is_written(
    make_context: MakeContext,
) -> None:
    addresses = Addresses(make_context(export_source=OTHER))
    root = tree()
    addresses.assign(root, "")
    again = GroupBuilder(name="c", source=OTHER.uri)
    again.location = "/"
    assert addresses.path_inside(again) == "c"
    gone = GroupBuilder(name="d", source=OTHER.uri)
    gone.location = "/"
    assert addresses.path_inside(gone) is None


def test_a_builder_in_no_file_is_not_taken_for_the_root(
    make_context: MakeContext, destination: Location
) -> None:
    addresses = Addresses(make_context())
    addresses.assign(tree(), "")
    assert addresses.path_inside(GroupBuilder(name="g")) is None
    assert addresses.path_inside(GroupBuilder(name="g", source=destination.uri)) is None
    assert addresses.path_inside(GroupBuilder(name="root", source=destination.uri)) == ""


# -- references ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda b: b, ReferenceBuilder, lambda b: LinkBuilder(b, "l")])
def test_a_reference_leads_to_the_path_with_both_ids(
    addresses: Addresses, wrap: Callable[[Any], Any]
) -> None:
    root = tree()
    addresses.assign(root, "")
    found = addresses.reference(wrap(at(root, "c")))
    assert found == Reference(path="/c")
    assert (found.object_id, found.source_object_id) == ("id of c", "the root")


def test_a_reference_to_another_store_is_relative(
    addresses: Addresses, destination: Location
) -> None:
    beside = str(Path(destination.uri).parent / "other.nwb.zarr")
    builder = GroupBuilder(name="x", source=beside, attributes={"object_id": "7"})
    builder.location = "/a"
    found = addresses.reference(builder)
    assert found == Reference(source="../other.nwb.zarr", path="/a/x")
    assert found.object_id == "7"


def test_a_reference_into_hdf5_leads_to_the_converted_file_where_links_are_kept(
    make_context: MakeContext, destination: Location, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.nwb", "w"):
        pass
    builder = GroupBuilder(name="x", source=str(tmp_path / "a.nwb"))
    builder.location = "/"
    keep = make_context(export_source=OTHER, options=PlanOptions(external_links="keep"))
    assert Addresses(keep).reference(builder) == Reference(source="../a.nwb.zarr", path="/x")
    follow = make_context(export_source=OTHER)
    with pytest.raises(BrokenLinkError, match="a reference to 'x' of .*a.nwb, which is not part"):
        Addresses(follow).reference(builder)


@pytest.mark.parametrize(
    "builder",
    [
        GroupBuilder(name="x"),
        GroupBuilder(name="x", source="ftp://b/x.zarr"),
    ],
)
def test_a_reference_to_what_cannot_be_reached_is_an_error(
    addresses: Addresses, builder: GroupBuilder
) -> None:
    with pytest.raises(BrokenLinkError, match="a reference to 'x' of .* cannot be reached"):
        addresses.reference(builder)


def test_a_container_is_known_by_its_builder(make_context: MakeContext) -> None:
    manager = get_manager()
    series = TimeSeries(name="t", data=[1.0], unit="V", rate=1.0)
    addresses = Addresses(make_context(manager=manager))
    with pytest.raises(
        BrokenLinkError, match="a reference to TimeSeries 't', .* add it to the file"
    ):
        addresses.reference(series)
    builder = manager.build(series)
    addresses.assign(builder, "a/t")
    assert addresses.reference(series) == Reference(path="/a/t")
    assert addresses.reference_text(series) == "/a/t"
    with pytest.raises(BrokenLinkError, match="which is not part of the file"):
        Addresses(make_context()).reference(series)


def test_a_reference_of_h5py_is_kept_only_inside_of_a_file(addresses: Addresses) -> None:
    assert addresses.reference_text(h5py.Reference()) == ""
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as file:
        reference = file.create_group("g").ref
        with pytest.raises(BrokenLinkError, match="cannot be kept outside of it"):
            addresses.reference_text(reference)


def test_a_reference_of_the_exported_hdf5_file_leads_to_what_is_written(
    make_context: MakeContext, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        for name in ("c", "d"):
            file.create_group(name)
        source = Location(file.filename, is_local=True)
        known = {"export_source": source, "hdf5_file": file}
        addresses = Addresses(make_context(**known))
        addresses.assign(tree(), "")
        assert addresses.reference_text(file["c"].ref) == "/c"
        with pytest.raises(BrokenLinkError, match=f"a reference to {file.filename}:/d"):
            addresses.reference_text(file["d"].ref)
        # The object may have been read by another name.
        root = tree()
        other = Addresses(make_context(**known, hdf5_builder=lambda _found: at(root, "c")))
        other.assign(root, "")
        assert other.reference_text(file["d"].ref) == "/c"

        def fail(_found: Any) -> Any:
            raise ValueError("no builder")

        with pytest.raises(BrokenLinkError, match="that is not part of what is written"):
            Addresses(make_context(**known, hdf5_builder=fail)).reference_text(file["d"].ref)


def test_a_reference_of_an_hdf5_file_that_is_not_copied_is_an_error(
    make_context: MakeContext, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        addresses = Addresses(make_context(export_source=OTHER))
        with pytest.raises(BrokenLinkError, match="cannot be kept outside of it"):
            addresses.hdf5_target_text(file.create_group("g"))


# -- references of other stores --------------------------------------------------------------------


def test_a_reference_of_another_store_leads_there_still(
    make_context: MakeContext, hierarchy: Hierarchy
) -> None:
    reachable = make_context(destination=hierarchy.location)
    addresses = Addresses(reachable)
    addresses.assign(tree(), "")
    assert addresses.retarget(hierarchy, Reference(path="/c")) == "/c"
    with pytest.raises(BrokenLinkError, match="a reference to .*:/x, which is not part of what is"):
        hierarchy.set_document("x", group_document({}))
        addresses.retarget(hierarchy, Reference(path="/x"))


def test_a_reference_to_nothing_is_kept_with_a_warning(
    make_context: MakeContext, hierarchy: Hierarchy
) -> None:
    addresses = Addresses(make_context(export_source=hierarchy.location))
    with pytest.warns(UserWarning, match="the reference is kept"):
        assert addresses.retarget(hierarchy, Reference(path="/gone")) == "/gone"


def test_a_reference_to_what_was_copied_leads_to_the_copy(
    make_context: MakeContext, hierarchy: Hierarchy
) -> None:
    addresses = Addresses(make_context())
    addresses.assign(GroupBuilder(name="x"), "copies/x", Origin(hierarchy.location, "x"))
    assert addresses.retarget(hierarchy, Reference(path="/x")) == "/copies/x"
