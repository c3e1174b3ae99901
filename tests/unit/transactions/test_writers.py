"""The writer of a folder: named in its journal, refused where another one is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hdmf_zarr.errors import LockedError
from hdmf_zarr.stores.bytestore import LocalByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions import writers
from hdmf_zarr.transactions.journal import JOURNAL, encode_journal
from hdmf_zarr.transactions.writers import (
    DROPPED,
    FolderClaim,
    ask_to_hand_over,
    changed_since,
    lives_here,
    recover_folder,
    this_writer,
    warn_of_dropped,
    warn_undone,
    writer_in,
)

JOURNALED = encode_journal(None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalByteStore]:
    made = open_bytestore(locate(tmp_path / "store"), read_only=False)
    assert isinstance(made, LocalByteStore)
    made.set("zarr.json", b'{"zarr_format": 3, "node_type": "group"}')
    yield made
    writers.LIVING.clear()


def dead(**changes: Any) -> dict[str, Any]:
    return {**this_writer("f" * 32), **changes}


# -- who writes ------------------------------------------------------------------------------------


def test_a_journal_names_its_writer() -> None:
    journal = json.dumps({"append": 1, "writer": this_writer("abc")}).encode()
    found = writer_in(journal)
    assert (found["token"], found["process"]) == ("abc", os.getpid())
    assert found["machine"] == socket.gethostname()


@pytest.mark.parametrize(
    "journal",
    [None, b"", b"{", b"[]", b"3", b"{}", b'{"writer": 3}', b'{"writer": null}', b"[" * 100_000],
    ids=range(9),
)
def test_a_journal_that_names_none_has_none(journal: bytes | None) -> None:
    assert writer_in(journal) == {}
    assert not lives_here(writer_in(journal))


def test_a_writer_lives_as_long_as_its_process_and_its_claim(store: LocalByteStore) -> None:
    claim = FolderClaim(store)
    assert not lives_here(this_writer(claim.token))
    writers.LIVING[claim.token] = claim
    assert lives_here(this_writer(claim.token))
    assert not lives_here(dead(host="another machine", token=claim.token))
    token = claim.token
    del claim
    assert not lives_here(this_writer(token))


@pytest.mark.parametrize("process", [None, "1", 2**22 + 1])
def test_a_writer_without_a_process_is_dead(process: Any) -> None:
    assert not lives_here(dead(pid=process))


@pytest.mark.skipif(not Path("/proc/1/stat").is_file(), reason="needs /proc")
def test_a_process_is_told_by_when_it_started() -> None:
    parent = os.getppid()
    start = writers._start_of(parent)
    assert start is not None
    assert lives_here(dead(pid=parent, start=start))
    assert not lives_here(dead(pid=parent, start="1"))
    assert writers._start_of(2**22 + 1) is None


# -- messages --------------------------------------------------------------------------------------


def test_what_is_undone_is_named_up_to_five() -> None:
    with pytest.warns(UserWarning, match=r"^s has another writer .*undone \(/a, /b\)\. Close"):
        warn_undone("s", ["a", "b"])
    with pytest.warns(UserWarning, match=r"\(/a, /b, /c, /d, /e and 2 more\)"):
        warn_undone("s", list("abcdefg"))


def test_what_a_dropped_writer_had_changed_is_told_of_once() -> None:
    DROPPED["token"] = {"b", "a"}
    with pytest.warns(UserWarning, match=r"undone \(/a, /b\)"):
        warn_of_dropped("s", {"token": "token"})
    warn_of_dropped("s", {"token": "token"})
    DROPPED["token"] = set()
    warn_of_dropped("s", {"token": "token"})
    assert "token" not in DROPPED


def test_a_change_is_told_with_who_made_it() -> None:
    assert changed_since("s").startswith("s was changed since it was read; open it again")
    assert changed_since("s", " by it").startswith("s was changed by it since")


# -- taking a folder -------------------------------------------------------------------------------


def test_a_claim_is_the_journal_with_its_writer(store: LocalByteStore) -> None:
    claim = FolderClaim(store)
    claim.take(JOURNALED)
    said = json.loads(store.get(JOURNAL) or b"")
    assert said["append"] == 1
    assert said["writer"] == this_writer(claim.token)
    assert list(store.list_prefix("")) != []
    claim.check(with_root=True)
    claim.write(encode_journal({"a": 1}))
    assert json.loads(store.get(JOURNAL) or b"")["before"] == {"a": 1}
    claim.check(with_root=True)
    claim.release()
    assert sorted(store.list_prefix("")) == ["zarr.json"]
    assert claim.token not in writers.LIVING


def test_a_folder_has_one_writer(store: LocalByteStore) -> None:
    first, second = FolderClaim(store), FolderClaim(store)
    first.take(JOURNALED)
    with pytest.raises(LockedError):
        second.take(JOURNALED)
    first.check(with_root=True)
    first.release()
    second.take(JOURNALED)
    second.release()


def test_a_writer_that_lost_its_journal_commits_nothing(store: LocalByteStore) -> None:
    claim = FolderClaim(store)
    claim.take(JOURNALED)
    store.set(JOURNAL, json.dumps({"append": 1, "writer": dead(host="elsewhere", pid=7)}).encode())
    with pytest.raises(LockedError, match="was changed by process 7 on elsewhere since"):
        claim.check(with_root=False)
    assert claim.is_lost
    claim.release()
    assert store.get(JOURNAL) is not None  # which is not its own
    store.delete(JOURNAL)
    with pytest.raises(LockedError, match="was changed since"):
        claim.take(JOURNALED)


def test_a_writer_whose_root_was_changed_commits_nothing(store: LocalByteStore) -> None:
    claim = FolderClaim(store)
    claim.note_root()
    claim.take(JOURNALED)
    claim.check(with_root=True)
    store.set("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    claim.check(with_root=False)
    with pytest.raises(LockedError, match="was changed since it was read"):
        claim.check(with_root=True)


def test_a_root_that_was_changed_before_the_first_change_is_refused(store: LocalByteStore) -> None:
    claim = FolderClaim(store)
    claim.note_root()
    store.set("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(LockedError, match="was changed since it was read"):
        claim.take(JOURNALED)
    assert store.get(JOURNAL) is None
    other = FolderClaim(store)
    other.take(JOURNALED)  # the lock was given back
    other.release()


# -- what others have left -------------------------------------------------------------------------


def test_what_a_dead_writer_has_left_is_undone(store: LocalByteStore) -> None:
    store.set(JOURNAL, json.dumps({**json.loads(encode_journal(None)), "writer": dead()}).encode())
    store.set("a/c.0." + "0" * 32 + ".partial", b"half")
    recovery = recover_folder(store)
    assert recovery is not None
    assert sorted(store.list_prefix("")) == ["zarr.json"]
    assert recover_folder(store) is None


def test_what_a_living_writer_has_is_left(store: LocalByteStore) -> None:
    claim = FolderClaim(store)
    writers.LIVING[claim.token] = claim
    journal = json.dumps({"append": 1, "writer": this_writer(claim.token)}).encode()
    store.set(JOURNAL, journal)
    with pytest.raises(LockedError, match="is being written to by this process; close it there"):
        recover_folder(store)
    assert store.get(JOURNAL) == journal


def test_a_writer_of_this_process_may_hand_over(store: LocalByteStore) -> None:
    asked: list[str] = []
    claim = FolderClaim(store, lambda: asked.append("asked"))
    writer = this_writer(claim.token)
    assert not ask_to_hand_over(writer)  # which has begun nothing
    writers.LIVING[claim.token] = claim
    assert not ask_to_hand_over({**writer, "pid": os.getppid()})
    assert not ask_to_hand_over({})
    assert asked == []
    assert ask_to_hand_over(writer)
    assert asked == ["asked"]
    claim.hand_over = None
    assert not ask_to_hand_over(writer)
