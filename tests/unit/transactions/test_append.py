"""One append: begun once, ended or undone, and kept from other threads and writers."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.errors import LockedError, ModeError
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions.append import OpenAppend, weak_call
from hdmf_zarr.transactions.journal import JOURNAL

ROOT = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
STRAY = "a/c.0." + "0" * 32 + ".partial"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ByteStore:
    place = tmp_path / "store" if request.param == "folder" else MemoryStore()
    made = open_bytestore(locate(place), read_only=False)
    made.set("zarr.json", ROOT)
    return made


@pytest.fixture
def append(store: ByteStore) -> Iterator[OpenAppend]:
    made = OpenAppend(store)
    yield made
    made.release()


def journal(store: ByteStore) -> object:
    encoded = store.get(JOURNAL)
    return None if encoded is None else json.loads(encoded)["before"]


@pytest.mark.parametrize("is_true", [True, False])
def test_changes_begin_once_with_a_journal(
    store: ByteStore, append: OpenAppend, *, is_true: bool
) -> None:
    assert append.begin(is_consolidated_true=is_true)
    assert not append.begin(is_consolidated_true=is_true)
    assert append.has_begun
    assert append.is_enough is not is_true
    assert store.get(JOURNAL) is not None
    assert journal(store) == (None if is_true else {"zarr.json": json.loads(ROOT)})
    append.check_own(with_root=True)
    append.settle()
    assert journal(store) is None
    assert not append.is_enough
    append.end()
    assert not append.has_begun
    assert sorted(store.list_prefix("")) == ["zarr.json"]


def test_what_has_not_begun_has_no_end(store: ByteStore, append: OpenAppend) -> None:
    append.check_own()
    append.undo()
    append.end()
    assert sorted(store.list_prefix("")) == ["zarr.json"]


def test_changes_are_undone(store: ByteStore, append: OpenAppend) -> None:
    append.begin(is_consolidated_true=False)
    store.set("zarr.json", b'{"changed": 1}')
    store.set("new/zarr.json", ROOT)
    append.undo()
    assert json.loads(store.get("zarr.json") or b"") == json.loads(ROOT)
    assert sorted(store.list_prefix("")) == ["zarr.json"]
    assert not append.has_begun


def test_what_a_failure_has_left_goes_at_the_end(store: ByteStore, append: OpenAppend) -> None:
    append.begin(is_consolidated_true=True)
    with pytest.raises(ValueError, match="of a write"), append.attempt():
        store.set(STRAY, b"half")
        raise ValueError("of a write")
    assert append.has_failed
    append.end()
    assert sorted(store.list_prefix("")) == ["zarr.json"]
    assert not append.has_failed


def test_without_a_failure_nothing_is_looked_for(store: ByteStore, append: OpenAppend) -> None:
    append.begin(is_consolidated_true=True)
    with append.attempt():
        store.set(STRAY, b"whole")
    with pytest.raises(ValueError, match="read"), append.at_work():
        raise ValueError("of a read")
    assert not append.has_failed
    append.end()
    assert STRAY in store.list_prefix("")


def test_documents_are_put_back(store: ByteStore, append: OpenAppend) -> None:
    append.begin(is_consolidated_true=True)
    append.keep(["zarr.json", "new/zarr.json"])
    store.set("zarr.json", b"other")
    store.set("new/zarr.json", b"new")
    append.keep(["zarr.json"])  # known already
    append.put_documents_back()
    assert store.get("zarr.json") == ROOT
    assert store.get("new/zarr.json") is None
    store.set("zarr.json", b"other")
    append.put_documents_back()  # which are not wanted any more
    assert store.get("zarr.json") == b"other"


def test_documents_that_are_not_wanted_are_forgotten(store: ByteStore, append: OpenAppend) -> None:
    append.keep(["zarr.json"])
    append.forget_documents()
    store.set("zarr.json", b"other")
    append.put_documents_back()
    assert store.get("zarr.json") == b"other"


def test_a_journal_says_what_is_going_to_be_replaced(store: ByteStore, append: OpenAppend) -> None:
    append.begin(is_consolidated_true=True)
    append.rewrite_journal({"zarr.json": 1}, {"a": ["0"]}, {"commit": 1})
    said = json.loads(store.get(JOURNAL) or b"")
    assert (said["before"], said["replaced"]) == ({"zarr.json": 1}, {"a": ["0"]})
    assert append.is_enough


def test_another_writer_of_this_process_takes_over(store: ByteStore, append: OpenAppend) -> None:
    append.begin(is_consolidated_true=False)
    append.changed |= {"new"}
    store.set("new/zarr.json", ROOT)
    with pytest.warns(UserWarning, match=r"undone \(/new\)"):
        append.hand_over()
    assert append.is_taken
    assert append.is_lost
    assert sorted(store.list_prefix("")) == ["zarr.json"]
    with pytest.raises(LockedError, match="was changed by this process since it was read"):
        append.begin(is_consolidated_true=True)
    with pytest.raises(LockedError), append.attempt():
        raise AssertionError("must not begin")


def test_a_call_at_work_keeps_the_store(append: OpenAppend) -> None:
    with append.at_work():
        with pytest.raises(LockedError, match="by a call of this process that has not returned"):
            append.be_taken()
        with pytest.raises(ModeError, match="cannot be closed by what one of its own calls calls"):
            append.begin_closing()
    assert not append.is_taken
    append.be_taken()
    assert append.is_taken


def test_closing_waits_for_calls_and_lets_none_begin(append: OpenAppend) -> None:
    inside, leave = threading.Event(), threading.Event()
    refused: list[str] = []

    def call() -> None:
        with append.at_work():
            inside.set()
            leave.wait(5)

    def late() -> None:
        try:
            append.refuse_taken()
        except ModeError as error:
            refused.append(str(error))

    first = threading.Thread(target=call)
    first.start()
    inside.wait(5)
    threading.Timer(0.02, leave.set).start()
    append.begin_closing()
    assert leave.is_set()
    first.join()
    second = threading.Thread(target=late)
    second.start()
    second.join()
    assert len(refused) == 1
    assert "is being closed by another thread" in refused[0]
    append.refuse_taken()  # of the thread that closes


def test_a_child_of_the_process_does_not_write(
    append: OpenAppend, monkeypatch: pytest.MonkeyPatch
) -> None:
    append.begin(is_consolidated_true=True)
    own = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: own + 1)
        with pytest.raises(LockedError, match=f"by process {own}, of which this one is a child"):
            append.refuse_taken()


def test_a_weak_call_does_not_keep_its_object() -> None:
    called: list[int] = []

    class Owner:
        def method(self) -> None:
            called.append(1)

    owner = Owner()
    call = weak_call(owner.method)
    call()
    del owner
    call()
    assert called == [1]
