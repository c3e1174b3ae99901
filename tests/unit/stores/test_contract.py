"""What every kind of byte store does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from zarr.storage import LocalStore, MemoryStore, ObjectStore

from hdmf_zarr.errors import ChunkError, MetadataError, ModeError
from hdmf_zarr.stores.batching import GatheringByteStore
from hdmf_zarr.stores.bytestore import ByteStore, ZarrByteStore, open_bytestore
from hdmf_zarr.stores.keys import DOCUMENT
from hdmf_zarr.stores.location import locate


def of_object(store: Any) -> ByteStore:
    return open_bytestore(locate(store), read_only=False)


def batched(inner: ByteStore) -> ByteStore:
    assert isinstance(inner, ZarrByteStore)
    return GatheringByteStore(inner, frozenset({DOCUMENT}))


def of_obstore() -> ByteStore:
    obstore = pytest.importorskip("obstore")
    return of_object(ObjectStore(obstore.store.MemoryStore()))


def of_fsspec(path: Path) -> ByteStore:
    return open_bytestore(locate(f"memory://{path}"), read_only=False)


STORES: dict[str, Callable[[Path], ByteStore]] = {
    "folder": lambda path: open_bytestore(locate(path), read_only=False),
    "LocalStore": lambda path: of_object(LocalStore(path)),
    "MemoryStore": lambda _: of_object(MemoryStore()),
    "memory URL": of_fsspec,
    "ObjectStore": lambda _: of_obstore(),
    "batches": lambda _: batched(of_object(MemoryStore())),
}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ByteStore]:
    made = STORES[request.param](tmp_path / "store")
    made.set("zarr.json", b"{}")
    yield made
    made.flush()


def filled(store: ByteStore) -> dict[str, bytes]:
    values = {
        "zarr.json": b"{}",
        "a/zarr.json": b"group",
        "a/b/zarr.json": b"array",
        "a/b/c.0.0": b"chunk",
        "ab/zarr.json": b"neighbour",
    }
    for key, value in values.items():
        store.set(key, value)
    return values


@pytest.mark.parametrize("value", [b"", b"x", bytes(range(256)) * 5000], ids=len)
def test_a_value_comes_back_as_it_was_set(store: ByteStore, value: bytes) -> None:
    store.set("a/c.0", value)
    assert store.get("a/c.0") == value
    store.set("a/c.0", memoryview(b"another"))
    assert store.get("a/c.0") == b"another"


def test_a_key_that_is_not_there_has_no_value(store: ByteStore) -> None:
    assert store.get("nothing") is None
    assert store.get("nothing/below") is None
    filled(store)
    assert store.get("a") is None  # a prefix is no key
    assert store.get_many(["zarr.json", "nothing", "a/b/c.0.0"]) == {
        "zarr.json": b"{}",
        "a/b/c.0.0": b"chunk",
    }


def test_a_value_that_is_longer_than_allowed_is_an_error(store: ByteStore) -> None:
    store.set("a/c.0", b"0123456789")
    assert store.get("a/c.0", 10) == b"0123456789"
    with pytest.raises((ChunkError, MetadataError), match="bytes"):
        store.get("a/c.0", 9)
    with pytest.raises((ChunkError, MetadataError), match="bytes"):
        store.get_many(["a/c.0"], {"a/c.0": 9})


def test_keys_are_listed_below_a_prefix_and_not_beside_it(store: ByteStore) -> None:
    values = filled(store)
    assert sorted(store.list_prefix("")) == sorted(values)
    assert sorted(store.list_prefix("a")) == ["a/b/c.0.0", "a/b/zarr.json", "a/zarr.json"]
    assert list(store.list_prefix("nothing")) == []
    assert sorted(store.metadata_keys(frozenset({DOCUMENT}))) == sorted(
        key for key in values if key.endswith(DOCUMENT)
    )


def test_sizes_are_those_of_the_values(store: ByteStore) -> None:
    values = filled(store)
    assert store.sizes() == {key: len(value) for key, value in values.items()}
    assert store.sizes("ab") == {"ab/zarr.json": 9}


def test_what_is_removed_is_gone_and_nothing_else(store: ByteStore) -> None:
    values = filled(store)
    store.delete("a/b/c.0.0")
    store.delete("a/b/c.0.0")  # which is not there any more
    assert store.get("a/b/c.0.0") is None
    store.delete_many(["a/b/zarr.json", "nothing"])
    store.delete_prefix("a")
    assert sorted(store.list_prefix("")) == ["ab/zarr.json", "zarr.json"]
    assert store.get("ab/zarr.json") == values["ab/zarr.json"]
    store.delete_prefix("")
    assert list(store.list_prefix("")) == []


def test_a_value_is_copied_to_another_key(store: ByteStore) -> None:
    store.set("a/c.0", b"first")
    store.set("a/c.1", b"second")
    store.copy("a/c.0", "a/c.1")
    assert store.get_many(["a/c.0", "a/c.1"]) == {"a/c.0": b"first", "a/c.1": b"first"}
    store.copy("nothing", "a/c.2")
    assert store.get("a/c.2") is None


def test_a_file_is_stored_when_it_is_closed_without_error(store: ByteStore) -> None:
    with store.writer("a/c.0") as file:
        file.write(b"one ")
        file.write(b"two")
    assert store.get("a/c.0") == b"one two"

    def stopped() -> None:
        with store.writer("a/c.0") as file:
            file.write(b"half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert store.get("a/c.0") == b"one two"


def test_what_waits_is_there_after_a_flush(store: ByteStore) -> None:
    for number in range(5):
        store.set(f"a/c.{number}", b"value")
    store.flush()
    assert len(store.get_many(f"a/c.{number}" for number in range(5))) == 5


@pytest.mark.parametrize("make", [LocalStore, MemoryStore], ids=lambda make: make.__name__)
def test_a_store_that_was_given_read_only_is_not_opened_for_writing(
    make: Any, tmp_path: Path
) -> None:
    given = make(tmp_path, read_only=True) if make is LocalStore else make(read_only=True)
    with pytest.raises(ModeError, match="read-only"):
        open_bytestore(locate(given), read_only=False)


def test_a_value_is_as_it_was_when_it_was_set(store: ByteStore) -> None:
    memory = bytearray(b"before")
    store.set("a/c.0", memoryview(memory))
    memory[:] = b"behind"
    assert store.get("a/c.0") == b"before"
