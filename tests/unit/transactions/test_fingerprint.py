"""What tells a local store from another one at its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions import fingerprint
from hdmf_zarr.transactions.fingerprint import HeldFolder, hold_folder, is_newer, stamp_of


@pytest.fixture
def store(tmp_path: Path) -> ByteStore:
    made = open_bytestore(locate(tmp_path / "store"), read_only=False)
    made.set("zarr.json", b"{}")
    return made


def age(path: Path, seconds: int) -> None:
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9))


def test_a_stamp_is_the_same_until_the_root_is_another(store: ByteStore, tmp_path: Path) -> None:
    stamp = stamp_of(store)
    assert stamp is not None
    assert stamp_of(store) == stamp
    store.set("a/c.0", b"chunk")
    assert stamp_of(store) == stamp
    store.set("zarr.json", b"{ }")
    assert stamp_of(store) != stamp
    shutil.copytree(tmp_path / "store", tmp_path / "copy", copy_function=shutil.copy2)
    before = stamp_of(store)
    (tmp_path / "store").rename(tmp_path / "old")
    (tmp_path / "copy").rename(tmp_path / "store")
    assert stamp_of(store) != before


def test_a_stamp_has_the_documents_that_are_a_commit(store: ByteStore, tmp_path: Path) -> None:
    def names() -> list[str]:
        return [document[0] for document in (stamp_of(store) or ())[1:]]

    assert names() == ["zarr.json"]
    store.set(".zattrs", b"{}")
    store.set(".zmetadata", b"{}")
    assert names() == ["zarr.json"]
    store.delete("zarr.json")
    assert names() == [".zmetadata"]
    store.delete(".zmetadata")
    assert names() == [".zattrs"]
    store.delete(".zattrs")
    assert names() == []
    shutil.rmtree(tmp_path / "store")
    assert stamp_of(store) is None


def test_only_a_local_store_has_a_stamp() -> None:
    store = open_bytestore(locate(MemoryStore()), read_only=False)
    store.set("zarr.json", b"{}")
    assert stamp_of(store) is None
    assert hold_folder(store) is None
    assert not is_newer(store, "zarr.json", ((1, 1), ("zarr.json", 1, 1, 1)))


def test_a_held_folder_has_the_number_that_it_had(store: ByteStore, tmp_path: Path) -> None:
    held = hold_folder(store)
    assert held is not None
    assert held.is_held
    assert stamp_of(store, held) == stamp_of(store)
    (tmp_path / "store").rename(tmp_path / "old")
    (tmp_path / "store").mkdir()
    assert (stamp_of(store, held) or ())[0] == held.number
    assert (stamp_of(store) or ())[0] != held.number
    held.release()
    assert not held.is_held
    held.release()  # once more, which is nothing


def test_what_is_no_folder_is_not_held(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        HeldFolder(tmp_path / "nothing")
    (tmp_path / "file").write_bytes(b"")
    if hasattr(os, "O_DIRECTORY"):
        with pytest.raises(NotADirectoryError):
            HeldFolder(tmp_path / "file")
    assert hold_folder(open_bytestore(locate(tmp_path / "nothing"), read_only=False)) is None


def test_no_more_folders_are_held_than_allowed(
    store: ByteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    already = sum(held.is_held for held in fingerprint._held)
    monkeypatch.setattr(fingerprint, "MOST_HELD", already + 2)
    first, second = hold_folder(store), hold_folder(store)
    assert first is not None
    assert second is not None
    assert hold_folder(store) is None
    first.release()
    third = hold_folder(store)
    assert third is not None
    third.release()
    second.release()


def test_an_object_is_newer_than_the_last_document(store: ByteStore, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store.set("a/c.0", b"chunk")
    age(folder / "zarr.json", 2000)
    stamp = stamp_of(store)
    for seconds, newer in ((1999, False), (2000, False), (2001, True)):
        age(folder / "a" / "c.0", seconds)
        assert is_newer(store, "a/c.0", stamp) is newer
    assert not is_newer(store, "a/c.1", stamp)
    assert not is_newer(store, "a/c.0", None)
    assert not is_newer(store, "a/c.0", (stamp or ())[:1])
