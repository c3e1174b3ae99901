"""Sources of links as earlier releases spelled them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hdmf_zarr.convention import Reference, convention_for_format
from hdmf_zarr.hierarchy.legacy_sources import locate_spelled, names_of_before
from hdmf_zarr.stores.location import Location, locate

CONVENTION = convention_for_format(2)


@pytest.fixture
def store(tmp_path: Path) -> Location:
    (tmp_path / "now.zarr").mkdir()
    (tmp_path / "other.zarr").mkdir()
    return locate(tmp_path / "now.zarr")


def spelled(source: str, store: Location, *before: str) -> str:
    folder = store.uri.rpartition("/")[0]
    return locate_spelled(source, store, before).uri.removeprefix(folder + "/")


@pytest.mark.parametrize(
    "source", [".", "", "now.zarr", "../now.zarr", "/moved/away/now.zarr", "now.zarr/"]
)
def test_a_store_is_named_in_many_ways(source: str, store: Location) -> None:
    assert spelled(source, store) == "now.zarr"
    assert spelled(store.uri, store) == "now.zarr"


@pytest.mark.parametrize("source", ["other.zarr", "../other.zarr"])
def test_another_store_is_beside_it(source: str, store: Location) -> None:
    assert spelled(source, store) == "other.zarr"


def test_a_name_of_before_is_the_store_unless_it_is_there(store: Location) -> None:
    assert spelled("before.zarr", store, "before.zarr") == "now.zarr"
    assert spelled("before.zarr", store) == "now.zarr/before.zarr"
    assert spelled("other.zarr", store, "other.zarr") == "other.zarr"


def test_a_source_that_is_nowhere_is_relative_to_the_store(store: Location) -> None:
    assert spelled("../gone.zarr", store) == "gone.zarr"


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        (".", "memory://data/now.zarr"),
        ("now.zarr", "memory://data/now.zarr"),
        ("/home/me/now.zarr", "memory://data/now.zarr"),
        ("C:\\data\\now.zarr", "memory://data/now.zarr"),
        ("other.zarr", "memory://data/other.zarr"),
        ("../other.zarr", "memory://data/other.zarr"),
        ("../now.zarr", "memory://data/now.zarr"),
        ("before.zarr", "memory://data/now.zarr"),
    ],
)
def test_a_store_elsewhere_is_not_asked_what_is_beside_it(source: str, uri: str) -> None:
    store = locate("memory://data/now.zarr")
    assert locate_spelled(source, store, ["before.zarr"]).uri.replace("///", "//") == uri


def reference(source: str, object_id: str | None) -> dict[str, Any]:
    made = Reference(source=source, path="/a", object_id="x", source_object_id=object_id)
    encoded: dict[str, Any] = CONVENTION.encode_reference(made)
    return encoded


def test_references_to_the_own_root_tell_earlier_names() -> None:
    attributes = [
        {"a": reference("before.zarr", "me"), "b": 3, "c": "text"},
        {"list": [reference("earlier.zarr", "me"), [reference("first.zarr", "me")]]},
        {"other": reference("other.zarr", "another"), "path": reference("x/y.zarr", "me")},
        {"untold": reference("untold.zarr", None)},
        {"damaged": {**reference("damaged.zarr", "me"), "value": 3}},
    ]
    found = names_of_before(attributes, CONVENTION, "me")
    assert found == {"before.zarr", "earlier.zarr", "first.zarr"}


@pytest.mark.parametrize("object_id", [None, 3, ["me"]])
def test_a_root_without_an_id_had_no_names(object_id: Any) -> None:
    assert names_of_before([{"a": reference("before.zarr", "me")}], CONVENTION, object_id) == set()
