"""A new store in a bucket that holds another one uses no name of it until the commit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.errors import StoreExistsError
from hdmf_zarr.hierarchy.replacement import (
    Replacement,
    are_same,
    put_root,
    root_versions,
    what_is_there,
)
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS, FORMAT2_CHUNK_KEYS
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import with_consolidated
from hdmf_zarr.stores.bytestore import ZarrByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions.append import OpenAppend
from hdmf_zarr.transactions.journal import JOURNAL

ROOT = group_document({})
SLASHED = {"name": "default", "configuration": {"separator": "/"}}
NESTED = {"name": "v2", "configuration": {"separator": "/"}}
ZARRAY = {"zarr_format": 2, "shape": [4, 4], "chunks": [2, 2], "dimension_separator": "/"}


def stored(values: dict[str, Any]) -> ZarrByteStore:
    store = open_bytestore(locate(MemoryStore()), read_only=False)
    assert isinstance(store, ZarrByteStore)
    for key, value in values.items():
        store.set(key, value if isinstance(value, bytes) else json.dumps(value).encode())
    return store


def replacement(
    store: ZarrByteStore, *, zarr_format: int = 3, is_forced: bool = False
) -> Replacement:
    append = OpenAppend(store)
    made = Replacement(store, append, zarr_format=zarr_format, is_forced=is_forced)
    made.open_append = append  # type: ignore[attr-defined]
    return made


def journal(store: ZarrByteStore) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(store.get(JOURNAL) or b"{}")
    return said


def test_where_nothing_is_nothing_is_in_the_way() -> None:
    store = stored({})
    made = replacement(store)
    assert (made.keys, made.before) == (frozenset(), {})
    assert journal(store)["before"] == {}
    assert made.unused_keys("a", CHUNK_KEYS, 2) is CHUNK_KEYS
    assert made.chunk_names("a") == []


def test_what_is_no_store_is_replaced_only_by_force() -> None:
    store = stored({"README": b"text", "a/c.0": b"x"})
    with pytest.raises(
        StoreExistsError, match=r"holds 2 objects \('README'\) and is no Zarr store"
    ):
        replacement(store)
    assert store.get(JOURNAL) is None
    made = replacement(store, is_forced=True)
    assert made.keys == {"README", "a/c.0"}
    assert journal(store)["kept"] == ["README", "a/c.0"]
    assert what_is_there("s", ["b", "a"]).startswith("s holds 2 objects ('a') and is no")


def test_a_store_whose_root_has_all_documents_is_known_by_it() -> None:
    store = stored({"zarr.json": with_consolidated(ROOT, {"a": ROOT}), "a/zarr.json": ROOT})
    made = replacement(store)
    assert made.before is None
    assert journal(store)["before"] is None
    assert made.keys == {"zarr.json", "a/zarr.json"}


def test_any_other_store_has_its_documents_in_the_journal() -> None:
    made = replacement(
        stored({"zarr.json": ROOT, "a/zarr.json": ROOT, "a/.zattrs": {}, "a/c.0": b""})
    )
    assert made.before == {"zarr.json": ROOT, "a/zarr.json": ROOT}
    older = replacement(stored({".zgroup": {"zarr_format": 2}, "a/.zarray": ZARRAY}))
    assert older.before == {".zgroup": {"zarr_format": 2}, "a/.zarray": ZARRAY}


def test_new_chunks_have_names_that_are_not_there() -> None:
    store = stored({"zarr.json": ROOT, "a/c.0.0": b"x", "a/c/0/1": b"y", "b/0.0": b"z"})
    made = replacement(store)
    assert sorted(made.chunk_names("a")) == ["c.0.0", "c/0/1"]
    assert made.unused_keys("a", CHUNK_KEYS, 2) == FORMAT2_CHUNK_KEYS
    assert made.unused_keys("b", CHUNK_KEYS, 2) == CHUNK_KEYS
    assert made.unused_keys("c", CHUNK_KEYS, 2, CHUNK_KEYS) == FORMAT2_CHUNK_KEYS
    assert made.unused_keys("c", CHUNK_KEYS, 2) == CHUNK_KEYS


def test_new_chunks_of_format_2_have_names_that_are_not_there() -> None:
    made = replacement(stored({".zgroup": {}, "a/0.0": b"x", "b/0": b"y"}), zarr_format=2)
    assert made.unused_keys("a", FORMAT2_CHUNK_KEYS, 2) == NESTED
    assert made.unused_keys("b", FORMAT2_CHUNK_KEYS, 1) == CHUNK_KEYS


def test_chunks_of_format_2_are_named_as_their_array_says() -> None:
    store = stored({".zgroup": {}, "a/.zarray": ZARRAY, "a/0/0": b"x", "b/0.0": b"y"})
    made = replacement(store, zarr_format=2)
    assert made.encoding_before("a") == NESTED
    with pytest.raises(
        StoreExistsError, match=":/b has objects with names that the new array needs"
    ):
        made.encoding_before("b")
    entries = {"metadata": {".zgroup": {}, "a/.zarray": {**ZARRAY, "dimension_separator": "."}}}
    held = replacement(stored({".zmetadata": entries, "a/0.0": b"x"}), zarr_format=2)
    assert held.encoding_before("a") == FORMAT2_CHUNK_KEYS
    other = replacement(stored({"zarr.json": ROOT, "a/.zarray": ZARRAY}), zarr_format=2)
    with pytest.raises(StoreExistsError, match="not those of an array of Zarr format 2"):
        other.encoding_before("a")


def test_what_was_there_is_covered_until_the_commit() -> None:
    store = stored({"zarr.json": ROOT, "a/c.0": b"x"})
    made = replacement(store)
    assert store.get("a/c.0") is None
    made.uncover()
    assert store.get("a/c.0") == b"x"


def test_what_the_new_store_does_not_name_goes() -> None:
    store = stored({"zarr.json": ROOT, "a/zarr.json": ROOT, "a/c.0": b"x", "b/zarr.json": ROOT})
    made = replacement(store)
    made.uncover()
    made.remove_obsolete({"zarr.json": ROOT, "b/zarr.json": ROOT})
    assert set(store.list_prefix("")) - {JOURNAL} == {"zarr.json", "b/zarr.json"}


def test_undone_is_what_is_new() -> None:
    store = stored({"zarr.json": ROOT, "a/c.0": b"x"})
    made = replacement(store)
    store.set("a/0", b"new")
    made.undo()
    assert set(store.list_prefix("")) == {"zarr.json", "a/c.0", JOURNAL}


def test_a_root_that_others_have_written_is_not_replaced() -> None:
    store = stored({"zarr.json": ROOT})
    known = root_versions(store)
    assert are_same(root_versions(store), known)
    assert put_root(store, "zarr.json", b"mine", known)
    assert not are_same(root_versions(store), known)
    assert not put_root(store, "zarr.json", b"late", known)
    assert store.get("zarr.json") == b"mine"
    assert put_root(store, "zarr.json", b"now", None)
    assert store.get("zarr.json") == b"now"


def test_a_root_that_is_new_is_put_where_none_is() -> None:
    store = stored({})
    known = root_versions(store)
    store.set(".zattrs", b"{}")
    assert not are_same(root_versions(store), known)
    assert put_root(store, "zarr.json", b"mine", known)
    assert not put_root(store, "zarr.json", b"late", known)
