"""Which objects of a group the specifications want as links, and which as parts."""

from __future__ import annotations

from typing import Any

import pytest
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, TypeMap
from hdmf.spec import DatasetSpec, GroupSpec, LinkSpec, NamespaceCatalog, SpecCatalog, SpecNamespace

from hdmf_zarr.write.planning.link_specs import (
    LinkSpecifications,
    has_part,
    link_for,
    part_group,
    types_of,
)


def specs() -> dict[str, Any]:
    base = GroupSpec("Any", data_type_def="Base")
    child = GroupSpec("A child", data_type_def="Child", data_type_inc="Base")
    values = DatasetSpec("Numbers", data_type_def="Values", dtype="float")
    holder = GroupSpec(
        "A holder",
        data_type_def="Holder",
        data_type_inc="Base",
        groups=[
            GroupSpec("Without a type", name="plain", links=[LinkSpec("b", "Base", name="inner")]),
            GroupSpec("Any values", data_type_inc="Values", quantity="*"),
        ],
        datasets=[DatasetSpec("Own values", name="own", data_type_inc="Values", quantity="?")],
        links=[
            LinkSpec("A base by name", "Base", name="named"),
            LinkSpec("Any base", "Base", quantity="*"),
        ],
    )
    both = GroupSpec(
        "A part or a link of one name",
        data_type_def="Both",
        groups=[GroupSpec("A part", name="x", data_type_inc="Child", quantity="?")],
        links=[LinkSpec("A base", "Base", quantity="?")],
    )
    needy = GroupSpec(
        "Needs two parts",
        data_type_def="Needy",
        groups=[GroupSpec("One", name="one", data_type_inc="Child")],
        datasets=[DatasetSpec("Some", data_type_inc="Values", quantity="+")],
    )
    made = (base, child, values, holder, both, needy)
    return {spec.data_type_def: spec for spec in made}


@pytest.fixture
def manager() -> BuildManager:
    catalog = SpecCatalog()
    for spec in specs().values():
        catalog.register_spec(spec, "test.yaml")
    namespace = SpecNamespace(
        "doc",
        "test",
        [{"source": "test.yaml"}],
        version="1",
        author="a",
        contact="b",
        catalog=catalog,
    )
    namespaces = NamespaceCatalog()
    namespaces.add_namespace("test", namespace)
    return BuildManager(TypeMap(namespaces))


def group(
    name: str, data_type: str | None = None, *, namespace: str = "test", **more: Any
) -> GroupBuilder:
    types = {} if data_type is None else {"namespace": namespace, "data_type": data_type}
    return GroupBuilder(name=name, attributes=types, **more)


def dataset(name: str, data_type: str | None = None) -> DatasetBuilder:
    types = {} if data_type is None else {"namespace": "test", "data_type": data_type}
    return DatasetBuilder(name=name, data=1, attributes=types)


# -- pure functions --------------------------------------------------------------------------------


def test_a_type_comes_with_those_that_it_extends(manager: BuildManager) -> None:
    catalog = manager.namespace_catalog
    assert types_of(catalog, ("test", "Child")) == ("Child", "Base")
    assert types_of(catalog, ("test", "Base")) == ("Base",)


@pytest.mark.parametrize("data_type", [("test", "Unknown"), ("other", "Child")])
def test_a_type_that_is_not_loaded_is_known_by_its_name(
    manager: BuildManager, data_type: tuple[str, str]
) -> None:
    assert types_of(manager.namespace_catalog, data_type) == (data_type[1],)


@pytest.mark.parametrize(
    ("of", "name", "types", "found"),
    [
        ("Holder", "named", ("Values",), "A base by name"),
        ("Holder", "other", ("Child", "Base"), "Any base"),
        ("Holder", "other", ("Child",), None),
        ("Holder", "own", ("Base",), None),
        ("Holder", "plain", ("Base",), None),
        ("Both", "x", ("Child", "Base"), None),
        ("Both", "y", ("Child", "Base"), "A base"),
        ("Base", "x", ("Base",), None),
    ],
)
def test_a_link_is_found_by_its_name_and_then_by_its_type(
    of: str, name: str, types: tuple[str, ...], found: str | None
) -> None:
    link = link_for(specs()[of], name, types)
    assert (None if link is None else link.doc) == found


@pytest.mark.parametrize(
    ("of", "name", "types", "is_part"),
    [
        ("Holder", "own", (), True),
        ("Holder", "plain", ("Child",), True),
        ("Holder", "some", ("Values",), True),
        ("Holder", "some", ("Base",), False),
        ("Holder", "named", ("Base",), False),
        ("Needy", "some", ("Values",), True),
        ("Needy", "one", (), True),
        ("Base", "some", ("Values",), False),
    ],
)
def test_a_part_is_found_by_its_name_or_its_type(
    of: str, name: str, types: tuple[str, ...], *, is_part: bool
) -> None:
    assert has_part(specs()[of], name, types) is is_part


def test_a_group_of_a_specification_is_found_by_its_name() -> None:
    holder = specs()["Holder"]
    assert part_group(holder, "plain").doc == "Without a type"
    assert part_group(holder, "own") is None
    assert part_group(holder, "nothing") is None


# -- what is loaded --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "name", "target", "wants"),
    [
        ("Holder", "named", "Child", True),
        ("Holder", "other", "Child", True),
        ("Holder", "own", "Child", False),
        ("Holder", "named", None, False),
        ("Both", "x", "Child", False),
        ("Both", "y", "Child", True),
        ("Base", "y", "Child", False),
        ("Unknown", "y", "Child", True),
        (None, "y", "Child", False),
        (None, "y", None, False),
    ],
)
def test_a_link_is_wanted_by_the_type_of_the_group(
    manager: BuildManager, of: str | None, name: str, target: str | None, *, wants: bool
) -> None:
    found = LinkSpecifications(manager).wants_link(group("g", of), name, group("t", target))
    assert found is wants


def test_a_group_without_a_type_is_known_by_the_one_above(manager: BuildManager) -> None:
    plain = group("plain")
    group("g", "Holder", groups={"plain": plain})
    specifications = LinkSpecifications(manager)
    assert specifications.wants_link(plain, "inner", group("t", "Child"))
    assert not specifications.wants_link(plain, "another", group("t", "Child"))


def test_a_type_of_another_namespace_may_want_every_link(manager: BuildManager) -> None:
    foreign = group("g", "Holder", namespace="other")
    assert LinkSpecifications(manager).wants_link(foreign, "own", group("t", "Child"))


def test_without_specifications_typed_groups_want_links() -> None:
    nothing = LinkSpecifications(None)
    assert nothing.needs_more(group("g", "Holder"), group("t", "Child"))
    assert not nothing.needs_more(group("g"), group("t", "Child"))
    assert not nothing.wants_link(group("g"), "x", group("t"))


@pytest.mark.parametrize(
    ("of", "part", "needs"),
    [
        ("Needy", group("one", "Child"), True),
        ("Needy", dataset("some", "Values"), True),
        ("Needy", group("other"), True),
        ("Both", group("x", "Child"), False),
        ("Base", group("x", "Child"), False),
        ("Holder", group("named", "Base"), True),
        ("Unknown", group("x", "Child"), True),
        (None, group("x", "Child"), False),
    ],
)
def test_a_group_needs_more_where_another_part_is_required(
    manager: BuildManager, of: str | None, part: Any, *, needs: bool
) -> None:
    assert LinkSpecifications(manager).needs_more(group("g", of), part) is needs


def test_a_part_of_the_only_required_type_is_enough(manager: BuildManager) -> None:
    catalog = manager.namespace_catalog.get_namespace("test").catalog
    spec = GroupSpec(
        "Needs values",
        data_type_def="Simple",
        datasets=[DatasetSpec("Some", data_type_inc="Values", quantity="+")],
    )
    catalog.register_spec(spec, "test.yaml")
    specifications = LinkSpecifications(manager)
    assert not specifications.needs_more(group("g", "Simple"), dataset("some", "Values"))
    assert specifications.needs_more(group("g", "Simple"), group("some", "Child"))
    assert specifications.needs_more(group("g", "Simple"), dataset("some"))
