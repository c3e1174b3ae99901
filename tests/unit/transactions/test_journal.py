"""What a journal says, and what undoes an append by it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.errors import EscapeError
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import made_document, with_consolidated
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions.journal import (
    JOURNAL,
    SAVED,
    Named,
    Recovery,
    documents_before,
    documents_in,
    documents_of_truth,
    encode_journal,
    is_committed,
    plan_recovery,
    put_back,
    recover,
    save_chunks,
)

TEMPORARY = "a/c.0." + "0123456789abcdef" * 2 + ".partial"
ROOT = group_document({})
ZARRAY = {"zarr_format": 2, "shape": [5], "chunks": [2], "dtype": "<i2"}


def array(*shape: int) -> dict[str, Any]:
    return made_document(
        shape=shape,
        chunk=(2,) * len(shape),
        data_type="int16",
        fill_value=0,
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
        chunk_keys=CHUNK_KEYS,
    )


def consolidated(**entries: Any) -> dict[str, Any]:
    return with_consolidated(ROOT, entries)


def stored(values: dict[str, Any], place: Any = None) -> ByteStore:
    store = open_bytestore(locate(MemoryStore() if place is None else place), read_only=False)
    for key, value in values.items():
        store.set(key, value if isinstance(value, bytes) else json.dumps(value).encode())
    return store


def content(store: ByteStore) -> dict[str, bytes]:
    return store.get_many(list(store.list_prefix("")))


# -- what a journal says ---------------------------------------------------------------------------


def test_a_journal_says_what_was_there() -> None:
    assert json.loads(encode_journal(None)) == {"append": 1, "before": None}
    said = json.loads(encode_journal({"zarr.json": 1}, {"a": ["0"]}, {"x": 1}, ["other"]))
    assert said.pop("commit").isalnum()
    assert said == {
        "append": 1,
        "before": {"zarr.json": 1},
        "kept": ["other"],
        "replaced": {"a": ["0"]},
    }


@pytest.mark.parametrize("name", ["zarr.json", ".zmetadata"])
def test_a_commit_is_told_by_its_document(name: str) -> None:
    journal = encode_journal({}, commit={"a": 1})
    assert is_committed({name: {"a": 1}}, journal)
    assert not is_committed({name: {"a": 2}}, journal)
    assert not is_committed({}, journal)
    assert not is_committed({name: {"a": 1}}, encode_journal({}))
    assert not is_committed({name: {"a": 1}}, b"no JSON")


NO_JOURNALS = [b"", b"[]", b"{", b"null", b"[" * 100_000]


@pytest.mark.parametrize("journal", NO_JOURNALS, ids=range(5))
def test_of_a_journal_that_is_none_the_consolidated_metadata_are_true(journal: bytes) -> None:
    root = consolidated(a=array(4))
    assert documents_of_truth({"zarr.json": root}, journal) == {
        "zarr.json": root,
        "a/zarr.json": array(4),
    }
    assert documents_of_truth({"zarr.json": ROOT}, journal) is None


def test_the_truth_is_what_was_there_before() -> None:
    before = {"zarr.json": ROOT, "a/.zarray": ZARRAY, "../b/zarr.json": 1, "a/c.0": 2, "a": 3}
    journal = encode_journal(before)
    expected = {"zarr.json": ROOT, "a/.zarray": ZARRAY}
    assert documents_of_truth({"zarr.json": consolidated(b=array(1))}, journal) == expected


@pytest.mark.parametrize("root", ["zarr.json", ".zgroup", ".zmetadata"])
def test_a_new_store_with_a_root_is_complete(root: str) -> None:
    journal = encode_journal({})
    assert documents_of_truth({root: {}, "a/zarr.json": {}}, journal) is None
    assert documents_of_truth({"a/zarr.json": {}}, journal) == {}


def test_consolidated_metadata_of_format_2_have_their_own_keys() -> None:
    held = {"metadata": {".zgroup": 1, "a/.zarray": ZARRAY, "../x/.zarray": 2, "a/0": 3}}
    truth = documents_of_truth({".zmetadata": held}, encode_journal(None))
    assert truth == {".zgroup": 1, "a/.zarray": ZARRAY, ".zmetadata": held}
    assert documents_of_truth({".zmetadata": {"metadata": 3}}, encode_journal(None)) is None


# -- what undoes an append -------------------------------------------------------------------------


def plan(keys: list[str], found: dict[str, Any], journal: bytes | None = None) -> Recovery:
    return plan_recovery([*keys, *found], found, journal or encode_journal(None))


def test_nodes_and_chunks_that_no_document_names_are_removed() -> None:
    found = {
        "zarr.json": consolidated(a=array(5), g=ROOT),
        "a/zarr.json": array(5),
        "g/zarr.json": ROOT,
        "new/zarr.json": array(5),
    }
    keys = ["a/c.0", "a/c.2", "a/c.3", "a/c.0.0", "a/c/0", "a/0", "new/c.0", "g/c.0", JOURNAL]
    keys += [TEMPORARY, f"{SAVED}/a/c.0", "a/notes.txt", "README", "c.0", "0"]
    recovery = plan(keys, found)
    assert set(recovery.removed) == {
        *("a/c.3", "a/c.0.0", "a/c/0", "a/0", "new/zarr.json", "new/c.0", "g/c.0"),
        *(TEMPORARY, f"{SAVED}/a/c.0"),
    }
    assert recovery.restored == {}
    assert recovery.replaced == {}


def test_documents_are_put_back_as_they_were() -> None:
    root = consolidated(a=array(5), lost=array(3), gone=array(2))
    found = {"zarr.json": root, "a/zarr.json": array(9)}
    recovery = plan(["lost/c.0"], found)
    # Of a node that is gone with everything in it others have disposed.
    assert recovery.restored == {"a/zarr.json": array(5), "lost/zarr.json": array(3)}


def test_documents_that_say_the_same_are_left() -> None:
    root = consolidated(a={**ROOT, "attributes": {"x": float("nan")}})
    found = {"zarr.json": root, "a/zarr.json": {"attributes": {"x": float("nan")}, **ROOT}}
    found["a/zarr.json"] = {**ROOT, "attributes": {"x": float("nan")}}
    assert plan([], found).restored == {}
    held = {"metadata": {".zgroup": {}, ".zattrs": {}}}
    assert plan([], {".zmetadata": held, ".zgroup": {}}).restored == {}


def test_of_a_store_without_truth_only_what_its_documents_do_not_name_goes() -> None:
    found = {"zarr.json": ROOT, "a/zarr.json": array(5)}
    recovery = plan(["a/c.0", "a/c.9", TEMPORARY], found, encode_journal({}))
    assert set(recovery.removed) == {"a/c.9", TEMPORARY}
    assert recovery.restored == {}


def test_of_a_new_store_that_got_no_root_all_goes_but_what_is_kept() -> None:
    found = {"a/zarr.json": array(5), "b/zarr.json": ROOT}
    keys = ["a/c.0", "kept/c.0", "README"]
    recovery = plan(keys, found, encode_journal({}, kept=["kept/c.0", "b/zarr.json"]))
    assert set(recovery.removed) == {"a/zarr.json", "a/c.0"}


def test_chunks_that_were_being_replaced_get_their_names_again() -> None:
    before = {".zgroup": {"zarr_format": 2}, "a/.zarray": ZARRAY}
    journal = encode_journal(before, {"a": ["0", "1", "zarr.json", 3], "b": ["0"], "../c": ["0"]})  # type: ignore[list-item]
    found = {".zgroup": {"zarr_format": 2}, "a/.zarray": ZARRAY}
    recovery = plan(["a/0", "a/1", "a/2", "a/9"], found, journal)
    assert recovery.replaced == {"a": ["0", "1"]}
    assert set(recovery.removed) == {"a/2", "a/9"}  # a third chunk was not there


def test_after_the_commit_nothing_is_put_back() -> None:
    root = consolidated(a=array(9))
    found = {"zarr.json": root, "a/zarr.json": array(9)}
    journal = encode_journal({"zarr.json": ROOT}, {"a": ["c.0"]}, root)
    recovery = plan(["a/c.4", "a/c.5", f"{SAVED}/a/c.0"], found, journal)
    assert recovery.replaced == {}
    assert recovery.restored == {}
    assert set(recovery.removed) == {"a/c.5", f"{SAVED}/a/c.0"}


@pytest.mark.parametrize(
    "document",
    [
        {**array(5), "chunk_grid": None},
        {**array(5), "shape": "x"},
        {**array(5), "chunk_grid": {"configuration": {"chunk_shape": [0]}}},
        {**array(5), "chunk_grid": {"configuration": {"chunk_shape": [1, 1]}}},
        {**array(5), "chunk_key_encoding": None},
    ],
    ids=range(5),
)
def test_of_an_array_that_makes_no_sense_named_chunks_stay(document: dict[str, Any]) -> None:
    found = {"zarr.json": ROOT, "a/zarr.json": document}
    assert "a/zarr.json" not in plan(["a/c.0"], found, encode_journal({})).removed


# -- in a store ------------------------------------------------------------------------------------


def test_a_store_without_a_journal_is_left_alone() -> None:
    store = stored({"zarr.json": ROOT, "stray/zarr.json": array(1)})
    before = content(store)
    assert recover(store) is None
    assert content(store) == before


@pytest.mark.parametrize("place", ["memory", "local"])
def test_an_append_that_was_stopped_is_undone(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = consolidated(a=array(5))
    values = {
        "zarr.json": root,
        "a/zarr.json": array(9),
        "a/c.0": b"new",
        "a/c.4": b"more",
        f"{SAVED}/a/c.0": b"old",
        "b/zarr.json": array(1),
        JOURNAL: encode_journal({"zarr.json": root, "a/zarr.json": array(5)}, {"a": ["c.0"]}),
    }
    store = stored(values, None if place == "memory" else tmp_path / "s")
    with caplog.at_level(logging.WARNING):
        recovery = recover(store)
    assert recovery is not None
    found = content(store)
    assert found.keys() == {"zarr.json", "a/zarr.json", "a/c.0"}
    assert found["a/c.0"] == b"old"
    assert json.loads(found["a/zarr.json"]) == array(5)
    assert (
        "an append that was stopped has been undone (3 objects removed, 1 put back)" in caplog.text
    )


def test_what_a_failure_has_left_is_removed_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = stored({"zarr.json": ROOT, TEMPORARY: b"", JOURNAL: encode_journal(None)})
    with caplog.at_level(logging.WARNING):
        assert recover(store, is_committed=True) == Recovery((TEMPORARY,))
    assert caplog.text == ""
    assert content(store).keys() == {"zarr.json"}


def test_nothing_is_changed_where_a_change_would_leave_the_store(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "zarr.json").write_bytes(b"of the user")
    store = stored({"zarr.json": consolidated(a=array(5)), "b/zarr.json": array(1)}, tmp_path / "s")
    before = {"zarr.json": ROOT, "a/zarr.json": array(5)}
    store.set(JOURNAL, encode_journal(before, {"a": ["c.0"]}))
    try:
        (tmp_path / "s" / "a").symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("needs symbolic links")
    with pytest.raises(EscapeError):
        recover(store)
    assert (outside / "zarr.json").read_bytes() == b"of the user"
    assert store.get("b/zarr.json") is not None
    assert store.get(JOURNAL) is not None


def test_saved_chunks_are_put_back() -> None:
    store = stored({"a/0": b"first", "a/1": b"second"})
    save_chunks(store, "a", ["0", "1", "2"])
    store.set("a/0", b"new")
    put_back(store, {"a": ["0", "2"], "b": ["0"]})
    assert store.get("a/0") == b"first"
    assert content(store).keys() == {"a/0", "a/1", f"{SAVED}/a/0", f"{SAVED}/a/1"}


def test_documents_are_those_that_can_be_read() -> None:
    store = stored({"zarr.json": ROOT, "a/.zattrs": b"{", "a/zarr.json": b"[]", "a/c.0": b"{}"})
    assert documents_before(store) == {"zarr.json": ROOT}
    assert documents_in(store, ["a/.zattrs", "nothing"]) == {}


def test_documents_name_themselves_and_their_chunks() -> None:
    named = Named({"zarr.json": ROOT, "a/zarr.json": array(5, 3), "b/.zarray": ZARRAY})
    for key in ("zarr.json", "a/zarr.json", "a/c.0.0", "a/c.2.1", "b/.zarray", "b/0", "b/2"):
        assert key in named
    for key in ("a/c.3.0", "a/c.0", "a/0.0", "b/3", "b/c.0", "g/c.0", "c.0", "b/zarr.json", "a"):
        assert key not in named
