"""What the metadata of a store say, consolidated or node by node, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.errors import (
    MetadataError,
    NotAStoreError,
    StoreNotFoundError,
    UnsupportedFormatError,
)
from hdmf_zarr.hierarchy.loading import (
    Loaded,
    load_documents,
    load_node,
    lost_document,
    refuse_store_below,
    specification_documents,
)
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.documents import comparable, group_document
from hdmf_zarr.metadata.node import array_node, made_document, unreadable, with_consolidated
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions.journal import JOURNAL

ROOT = group_document({"r": 1})
ZGROUP = {"zarr_format": 2}
ZARRAY = {
    "zarr_format": 2,
    "shape": [5],
    "chunks": [2],
    "dtype": "<i2",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
    "filters": None,
}


def array(**changes: Any) -> dict[str, Any]:
    made = made_document(
        shape=(5,),
        chunk=(2,),
        data_type="int16",
        fill_value=0,
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
        chunk_keys=CHUNK_KEYS,
    )
    return {**made, **changes}


def stored(values: dict[str, Any], place: Any = None, *, read_only: bool = False) -> ByteStore:
    place = MemoryStore() if place is None else place
    store = open_bytestore(locate(place), read_only=False)
    for key, value in values.items():
        store.set(key, value if isinstance(value, bytes) else json.dumps(value).encode())
    return open_bytestore(locate(place), read_only=True) if read_only else store


def consolidated(**entries: Any) -> dict[str, Any]:
    return with_consolidated(ROOT, {path.replace("__", "/"): one for path, one in entries.items()})


def load(values: dict[str, Any], *, use: bool = True) -> Loaded:
    return load_documents(stored(values), consolidated=use)


# -- format 3 --------------------------------------------------------------------------------------


def test_consolidated_metadata_are_enough() -> None:
    root = consolidated(g=ROOT, g__data=array())
    found = load({"zarr.json": root, "g/other/zarr.json": ROOT})
    assert found.documents == {"": ROOT, "g": ROOT, "g/data": array()}
    assert (found.zarr_format, found.is_consolidated, found.was_consolidated) == (3, True, True)
    assert json.loads(found.root or b"") == root
    assert found.stamp is None


def test_nodes_say_it_themselves() -> None:
    values = {"zarr.json": ROOT, "g/zarr.json": ROOT, "g/data/zarr.json": array()}
    found = load(values)
    assert found.documents == {"": ROOT, "g": ROOT, "g/data": array()}
    assert (found.is_consolidated, found.was_consolidated) == (False, False)


@pytest.mark.parametrize(
    ("entries", "is_true"),
    [
        ({"g": ROOT}, True),
        ({"g": {**ROOT, "consolidated_metadata": {}}}, True),
        ({}, False),
        ({"g": array()}, False),
        ({"g": ROOT, "h": ROOT}, False),
    ],
    ids=range(5),
)
def test_what_is_consolidated_is_compared_with_the_nodes(
    entries: dict[str, Any], *, is_true: bool
) -> None:
    values = {"zarr.json": consolidated(**entries), "g/zarr.json": ROOT}
    found = load(values, use=False)
    assert found.documents == {"": ROOT, "g": ROOT}
    assert (found.was_consolidated, found.is_consolidated_true) == (True, is_true)


@pytest.mark.parametrize(
    ("root", "error", "message"),
    [
        (b"{", MetadataError, "is not valid JSON"),
        ([], MetadataError, "must be a JSON object"),
        ({**ROOT, "zarr_format": 4}, UnsupportedFormatError, "has the Zarr format 4"),
        (array(), NotAStoreError, "holds a Zarr array at its root"),
        ({"zarr_format": 3}, NotAStoreError, "holds a Zarr document of no type at its root"),
        ({**ROOT, "attributes": []}, None, ""),
        ({**ROOT, "attributes": [1]}, MetadataError, "has attributes that are no object"),
        ({**ROOT, "new": 1}, MetadataError, "which a reader must understand"),
        ({**ROOT, "consolidated_metadata": 3}, MetadataError, "metadata that are no object"),
        ({**ROOT, "consolidated_metadata": {"metadata": 3}}, MetadataError, "that are no object"),
        (consolidated(g=3), MetadataError, ":/g is neither a group nor an array"),
        (consolidated(g={**ROOT, "new": 1}), MetadataError, ":/g: its metadata have"),
        (consolidated(g=array(shape=None)), MetadataError, ":/g is an array without a shape"),
    ],
    ids=range(13),
)
def test_a_root_that_makes_no_sense_is_refused(root: Any, error: Any, message: str) -> None:
    if error is None:
        assert load({"zarr.json": root}).documents.keys() == {""}
        return
    with pytest.raises(error, match=message):
        load({"zarr.json": root})


def test_an_array_that_is_not_understood_costs_itself_alone() -> None:
    found = load({"zarr.json": consolidated(a=array(new=1), b=array())})
    assert array_node(found.documents["b"]).why_unreadable is None
    assert "['new'], which a reader must understand" in str(
        array_node(found.documents["a"]).why_unreadable
    )
    expected = unreadable(array(new=1), "x")
    assert comparable(found.documents["a"]) == comparable(expected)


def test_names_that_lead_out_are_left_out() -> None:
    with pytest.warns(UserWarning, match="'../x' is no path of an object"):
        found = load({"zarr.json": consolidated(**{"../x": ROOT, "/g/": ROOT})})
    assert found.documents == {"": ROOT, "g": ROOT}


# -- format 2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", [True, False])
def test_documents_of_format_2_are_known_as_those_of_format_3(*, use: bool) -> None:
    nodes = {".zgroup": ZGROUP, ".zattrs": {"r": 1}, "a/.zarray": ZARRAY, "a/.zattrs": {"u": "V"}}
    found = load({**nodes, ".zmetadata": {"metadata": nodes}}, use=use)
    assert found.documents.keys() == {"", "a"}
    assert found.documents[""]["attributes"] == {"r": 1}
    assert array_node(found.documents["a"]).shape == (5,)
    assert found.documents["a"]["attributes"] == {"u": "V"}
    assert (found.zarr_format, found.is_consolidated, found.was_consolidated) == (2, use, True)
    assert found.is_consolidated_true


def test_format_2_without_consolidated_metadata() -> None:
    found = load({".zgroup": ZGROUP, "a/.zarray": ZARRAY})
    assert found.documents.keys() == {"", "a"}
    assert (found.is_consolidated, found.was_consolidated, found.root) == (False, False, None)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({".zarray": ZARRAY}, NotAStoreError, "holds a Zarr array at its root"),
        (
            {".zmetadata": {"metadata": {}}},
            MetadataError,
            "whose root group is not in its metadata",
        ),
        (
            {".zmetadata": b"{", ".zgroup": ZGROUP, JOURNAL: b"{}"},
            MetadataError,
            "an append was stopped; open the store with mode 'r\\+'",
        ),
    ],
    ids=range(3),
)
def test_a_root_of_format_2_that_makes_no_sense_is_refused(
    values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(values)


def test_broken_consolidated_metadata_are_passed_over() -> None:
    found = load({".zmetadata": b"{", ".zgroup": ZGROUP, "a/.zarray": ZARRAY})
    assert found.documents.keys() == {"", "a"}
    assert not found.is_consolidated_true


# -- stores without a root -------------------------------------------------------------------------


def test_nothing_is_no_store() -> None:
    with pytest.raises(StoreNotFoundError):
        load({})
    with pytest.raises(NotAStoreError, match="it has no 'zarr.json' at its root"):
        load({"README": b"text"})


def test_a_store_in_a_folder_is_named(tmp_path: Path) -> None:
    values = {
        "deep/er/zarr.json": consolidated(),
        "b/zarr.json": ROOT,
        "c/zarr.json": consolidated(),
    }
    with pytest.raises(NotAStoreError, match="it holds a store in the folder 'c'; open .*/s/c$"):
        load_documents(stored(values, tmp_path / "s"), consolidated=True)
    store = stored({"a/b/.zmetadata": {}})
    with pytest.raises(NotAStoreError, match="in the folder 'a/b'"):
        refuse_store_below(store, ["a/b/.zmetadata"])
    refuse_store_below(store, ["a/.zgroup", "zarr.json", "c.0"])


def test_a_write_that_did_not_finish_is_shown_to_who_wants_it() -> None:
    values = {"a/zarr.json": array(), "g/zarr.json": ROOT}
    with pytest.raises(NotAStoreError, match="is not complete: its write did not finish"):
        load(values)
    with pytest.raises(NotAStoreError, match="is not complete"):
        load(values, use=False)
    found = load_documents(stored(values, read_only=True), consolidated=False)
    assert found.documents == {"": group_document({}), "a": array(), "g": ROOT}
    older = stored({"a/.zarray": ZARRAY}, read_only=True)
    found = load_documents(older, consolidated=False)
    assert (found.zarr_format, found.documents.keys()) == (2, {"", "a"})


# -- one node --------------------------------------------------------------------------------------


def test_one_node_says_what_it_is() -> None:
    store = stored({"a/zarr.json": array(), "b/.zarray": ZARRAY, "b/.zattrs": {"u": 1}})
    assert load_node(store, "a", 3) == array()
    assert load_node(store, "nothing", 3) is None
    found = load_node(store, "b", 2)
    assert found is not None
    assert (found["shape"], found["attributes"]) == ([5], {"u": 1})
    assert load_node(store, "nothing", 2) is None


def test_specifications_are_all_below_their_group() -> None:
    store = stored(
        {
            "specs/zarr.json": ROOT,
            "specs/core/zarr.json": ROOT,
            "specs/bad/zarr.json": b"{",
            "specs2/zarr.json": ROOT,
            "specs/.zgroup": ZGROUP,
        }
    )
    assert specification_documents(store, "specs", 3) == {"specs": ROOT, "specs/core": ROOT}
    assert specification_documents(store, "specs", 2).keys() == {"specs"}
    assert specification_documents(store, "nothing", 3) == {}


def test_a_document_is_lost_where_its_chunks_are_there() -> None:
    store = stored({"a/c.0": b"x", "b/0": b"x", "c/.zarray": ZARRAY})
    own3 = Loaded(documents={"": ROOT})
    assert lost_document(store, own3, "a", array()) == "a/zarr.json"
    assert lost_document(store, own3, "gone", array()) is None
    own2 = Loaded(documents={"c": {"attributes": {}}}, zarr_format=2)
    assert lost_document(store, own2, "b", array()) == "b/.zarray"
    assert lost_document(store, own2, "a", ROOT) == "a/.zgroup"
    assert lost_document(store, own2, "c", array(attributes={"u": 1})) == "c/.zattrs"
    assert lost_document(store, own2, "c", array(attributes={})) is None
    store.set("c/.zattrs", b"{}")
    assert lost_document(store, own2, "c", array(attributes={"u": 1})) is None
    own3.documents["c"] = group_document({})
    assert lost_document(store, own3, "c", array(attributes={"u": 1})) is None
