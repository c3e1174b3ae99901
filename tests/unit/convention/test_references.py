"""References as objects of JSON."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from hdmf_zarr import utils
from hdmf_zarr.convention import Reference, ZarrReference, reference_from_object
from hdmf_zarr.errors import MetadataError

WHOLE = Reference(source="../other.zarr", path="/a/b", object_id="1", source_object_id="2")


@pytest.mark.parametrize(
    "reference", [WHOLE, Reference(path="/"), Reference(source="x", path="/é")]
)
def test_a_reference_becomes_a_dict_and_a_reference_again(reference: Reference) -> None:
    entry = ZarrReference.of(reference)
    again = reference_from_object(entry)
    assert again == reference
    assert (again.object_id, again.source_object_id) == (
        reference.object_id,
        reference.source_object_id,
    )
    assert reference_from_object(json.loads(json.dumps(entry))) == reference


def test_the_dict_has_the_keys_of_format_2_in_their_order() -> None:
    assert list(ZarrReference.of(WHOLE).items()) == [
        ("source", "../other.zarr"),
        ("path", "/a/b"),
        ("object_id", "1"),
        ("source_object_id", "2"),
    ]
    assert dict(ZarrReference(path="/a")) == {
        "source": None,
        "path": "/a",
        "object_id": None,
        "source_object_id": None,
    }


def test_the_entries_are_attributes() -> None:
    entry = ZarrReference(source=".", path="/a")
    entry.source, entry.path = "other", "/b"
    entry.object_id, entry.source_object_id = "3", "4"
    assert (entry.source, entry.path) == ("other", "/b")
    assert (entry.object_id, entry.source_object_id) == ("3", "4")
    assert entry == {"source": "other", "path": "/b", "object_id": "3", "source_object_id": "4"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_its_pickle_names_the_module_of_the_releases(protocol: int) -> None:
    encoded = pickle.dumps(ZarrReference(source=".", path="/a"), protocol)
    assert b"hdmf_zarr.utils" in encoded
    assert b"convention" not in encoded
    again = pickle.loads(encoded)
    assert type(again) is utils.ZarrReference
    assert again == ZarrReference(source=".", path="/a")


def test_its_copy_is_another_one() -> None:
    entry = ZarrReference(source=".", path="/a")
    for other in (copy.copy(entry), copy.deepcopy(entry)):
        other.path = "/b"
        assert type(other) is ZarrReference
        assert entry.path == "/a"


def test_a_path_gets_one_slash_and_no_source_is_the_same_store() -> None:
    assert reference_from_object({"path": "a/b/"}) == Reference(source=".", path="/a/b")
    assert reference_from_object({"path": "/a", "source": None}) == Reference(path="/a")


@pytest.mark.parametrize(
    "entry", [None, "text", [], {}, {"path": None}, {"path": 3}, {"path": "/a", "source": 3}]
)
def test_what_is_no_reference_is_refused(entry: object) -> None:
    with pytest.raises(MetadataError, match=r"a reference must be|'source' of a reference"):
        reference_from_object(entry)  # type: ignore[arg-type]
