"""Stores that are far away get many values at the same time, in an order that is safe."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager
from hdmf.data_utils import DataChunk
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore, WrapperStore

from hdmf_zarr import ZarrIO
from hdmf_zarr.errors import RemoteStoreError
from hdmf_zarr.stores.batching import ALONE_BYTES, BATCH_BYTES, BATCH_KEYS, GatheringByteStore
from hdmf_zarr.stores.bytestore import ZarrByteStore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transactions.journal import JOURNAL
from hdmf_zarr.write.prefetch import KEYS_AHEAD
from tests import iterators

N_ARRAYS = 100
DOCUMENTS = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


class FarStore(WrapperStore[Any]):
    """A store that takes a moment for each value, and notes what was set when."""

    def __init__(self, store: Store, fails_at: int | None = None) -> None:
        super().__init__(store)
        self.fails_at = fails_at
        self.running = self.most_running = 0
        self.reading = self.most_reading = 0
        self.keys: list[str] = []
        self.keys_read: list[str] = []

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        self.keys_read.append(key)
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            await asyncio.sleep(0.002)
            return await super().get(key, *args, **kwargs)
        finally:
            self.reading -= 1

    def with_read_only(self, read_only: bool = False) -> FarStore:  # noqa: FBT001, FBT002 - as zarr
        # The same one: what it notes is looked at.
        return self

    async def set(self, key: str, value: Any) -> None:
        self.keys.append(key)
        number = len(self.keys)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0.002)
            if number == self.fails_at:
                raise ConnectionError("the line is down")
            await super().set(key, value)
        finally:
            self.running -= 1


def tree() -> GroupBuilder:
    root = GroupBuilder("root", attributes={"data_type": "Root"})
    for number in range(N_ARRAYS):
        group = GroupBuilder(f"group{number}")
        data = DatasetBuilder("data", np.arange(10.0) + number, attributes={"number": number})
        group.set_dataset(data)
        root.set_group(group)
    return root


def write(store: Any, builder: GroupBuilder, mode: str = "w", zarr_format: int = 3) -> None:
    with ZarrIO(store, mode, get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(builder)


def assert_whole(store: Any) -> None:
    for mode in ("r", "r-"):
        with ZarrIO(store, mode, get_manager()) as io:
            read = io.read_builder()
            for number in range(N_ARRAYS):
                data = read[f"group{number}"]["data"]
                np.testing.assert_array_equal(data.data[:], np.arange(10.0) + number)
                assert data.attributes["number"] == number


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_values_are_stored_at_the_same_time_and_documents_after_chunks(zarr_format):
    far = FarStore(MemoryStore())
    write(far, tree(), zarr_format=zarr_format)
    assert far.most_running > N_ARRAYS / 4
    assert far.most_running <= BATCH_KEYS
    are_documents = [key.rpartition("/")[2] in DOCUMENTS for key in far.keys]
    assert are_documents == sorted(are_documents)
    assert len(set(far.keys)) == len(far.keys)
    last = {2: {".zgroup", ".zattrs", ".zmetadata"}, 3: {"zarr.json"}}[zarr_format]
    assert far.keys[-1] in last
    assert_whole(far)


def test_an_export_stores_at_the_same_time(tmp_path):
    write(tmp_path / "a.zarr", tree())
    far = FarStore(MemoryStore())
    with (
        ZarrIO(tmp_path / "a.zarr", "r", get_manager()) as source,
        ZarrIO(far, "w", get_manager()) as io,
    ):
        io.export(source)
    assert far.most_running > N_ARRAYS / 4
    assert far.keys[-1] == "zarr.json"
    assert_whole(far)


def test_the_journal_of_an_append_is_there_first():
    memory = MemoryStore()
    write(memory, GroupBuilder("root"))
    far = FarStore(memory)
    write(far, tree(), mode="r+")
    assert far.keys[0] == JOURNAL
    assert far.keys[-1] == "zarr.json"
    assert far.most_running > N_ARRAYS / 4
    assert_whole(memory)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_export_reads_small_arrays_at_the_same_time_and_once(tmp_path, zarr_format):
    memory = MemoryStore()
    write(memory, tree(), zarr_format=zarr_format)
    far = FarStore(memory)
    with (
        ZarrIO(far, "r", get_manager()) as source,
        ZarrIO(tmp_path / "a.zarr", "w", get_manager(), zarr_format=zarr_format) as io,
    ):
        io.export(source)
    assert far.most_reading == KEYS_AHEAD
    chunks = [key for key in far.keys_read if "/data/" in key and "z" not in key]
    assert len(chunks) == N_ARRAYS
    assert_whole(tmp_path / "a.zarr")


def test_an_export_of_chunks_that_are_missing_keeps_them_missing(tmp_path):
    write(tmp_path / "a.zarr", tree())
    memory = MemoryStore()
    with (
        ZarrIO(tmp_path / "a.zarr", "r", get_manager()) as source,
        ZarrIO(memory, "w", get_manager()) as io,
    ):
        io.export(source)
    for number in (0, 50, 99):
        key = f"group{number}/data/zarr.json"
        document = json.loads(memory._store_dict[key].to_bytes())
        document["attributes"]["_STORED_CHUNKS"] = 0
        memory._store_dict[key] = default_buffer_prototype().buffer.from_bytes(
            json.dumps(document).encode()
        )
        del memory._store_dict[f"group{number}/data/c.0"]
    with (
        ZarrIO(memory, "r-", get_manager()) as source,
        ZarrIO(tmp_path / "b.zarr", "w", get_manager()) as io,
    ):
        io.export(source)
    missing = {path.parent.parent.name for path in (tmp_path / "b.zarr").rglob("data/c.0")}
    assert missing == {f"group{n}" for n in range(N_ARRAYS)} - {"group0", "group50", "group99"}


@pytest.mark.parametrize("fails_at", [1, 40, 64, 65, 101, 150, 300, 301])
def test_what_fails_among_others_is_told_and_leaves_nothing(fails_at):
    memory = MemoryStore()
    far = FarStore(memory, fails_at=fails_at)
    with pytest.raises(RemoteStoreError, match="the line is down"):
        write(far, tree())
    assert far.running == 0
    assert "zarr.json" not in memory._store_dict
    with pytest.raises(RemoteStoreError):
        write(FarStore(memory, fails_at=fails_at), tree())
    write(memory, tree())
    assert_whole(memory)


@pytest.mark.parametrize("fails_at", [2, 66, 120, 250])
def test_an_append_that_fails_among_others_is_undone(fails_at):
    memory = MemoryStore()
    write(memory, GroupBuilder("root"))
    before = {key: value.to_bytes() for key, value in memory._store_dict.items()}
    with pytest.raises(RemoteStoreError) as caught:
        write(FarStore(memory, fails_at=fails_at), tree(), mode="r+")
    assert re.search(r":/[\w./]+: .*the line is down", str(caught.value))
    assert {key: value.to_bytes() for key, value in memory._store_dict.items()} == before


# -- the byte store itself -------------------------------------------------------------------------


@pytest.fixture
def gathering():
    far = FarStore(MemoryStore())
    inner = ZarrByteStore(locate(far), far)
    return GatheringByteStore(inner, frozenset({"zarr.json"}))


def keys_of(gathering: GatheringByteStore) -> list[str]:
    return gathering.zarr_store.keys


def test_nothing_waits_for_what_looks_at_the_store(gathering):
    looks = {
        "get": lambda: gathering.get("a"),
        "get_many": lambda: gathering.get_many(["a", "zarr.json"]),
        "list_prefix": lambda: list(gathering.list_prefix("")),
        "metadata_keys": lambda: gathering.metadata_keys(frozenset({"zarr.json"})),
        "sizes": gathering.sizes,
        "copy": lambda: gathering.copy("a", "b"),
        "delete": lambda: gathering.delete("other"),
        "delete_prefix": lambda: gathering.delete_prefix("other"),
    }
    expected = {
        "get": b"1",
        "get_many": {"a": b"1", "zarr.json": b"2"},
        "list_prefix": ["a", "zarr.json"],
        "metadata_keys": ["zarr.json"],
        "sizes": {"a": 1, "zarr.json": 1},
    }
    for name, look in looks.items():
        gathering.set("zarr.json", b"2")
        gathering.set("a", b"1")
        found = look()
        stored = [key for key in keys_of(gathering) if key != "b"]
        assert stored[-2:] == ["a", "zarr.json"], name
        assert (sorted(found) if name == "list_prefix" else found) == expected.get(name), name


def test_what_tells_others_of_the_writer_does_not_wait(gathering):
    gathering.set("a", memoryview(b"1"))
    gathering.set(".token.partial", b"2")
    gathering.delete(".token.partial")
    assert keys_of(gathering) == [".token.partial"]
    gathering.finish()
    assert keys_of(gathering) == [".token.partial", "a"]
    assert gathering.get("a") == b"1"


def test_the_last_value_of_a_key_is_stored(gathering):
    gathering.set("a", b"1")
    gathering.set("a", b"2")
    gathering.finish()
    assert keys_of(gathering) == ["a"]
    assert gathering.get("a") == b"2"


@pytest.mark.parametrize("name", ["a", "zarr.json"])
@pytest.mark.parametrize("way", ["large", "file"])
def test_what_is_stored_at_once_is_later_than_what_waits(gathering, name, way):
    gathering.set(name, b"1")
    newer = bytes(ALONE_BYTES)
    if way == "large":
        gathering.set(name, newer)
    else:
        with gathering.writer(name) as file:
            file.write(newer)
    gathering.finish()
    assert keys_of(gathering) == [name]
    assert gathering.get(name) == newer


class Numbered(iterators.Unordered):
    """Gives each selection its own number."""

    number = 0

    def __next__(self) -> DataChunk:
        chunk = super().__next__()
        self.number += 1
        return DataChunk(np.full_like(chunk.data, self.number), chunk.selection)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("options", [{}, {"shards": (6, 4)}], ids=["chunks", "shards"])
@pytest.mark.parametrize(
    "selections",
    [[np.s_[0:6, 4:8], np.s_[2:3, 3:6]], [np.s_[0:6, 4:8], np.s_[0:6, 0:8]]],
    ids=["part", "rows"],
)
def test_what_comes_later_is_written_over_what_waits(jobs, options, selections):
    """Parts of units are written by zarr, whole rows by workers; neither sees what waits."""
    expected = np.zeros((6, 8), dtype="i4")
    data = (Numbered(expected.copy(), selections), {"chunks": (3, 2), **options})
    for number, selection in enumerate(selections, start=1):
        expected[selection] = number
    store = MemoryStore()
    with ThreadPoolExecutor(jobs) as executor:
        workers = {"executor": executor} if jobs > 1 else {}
        iterators.write(store, {"data": data}, number_of_jobs=jobs, **workers)
    np.testing.assert_array_equal(iterators.read(store), expected)


def test_what_waits_is_bounded(gathering):
    size = ALONE_BYTES - 1
    for number in range(BATCH_BYTES // size + 3):
        gathering.set(f"a{number}", bytes(size))
    n_stored = -(-BATCH_BYTES // size)
    assert keys_of(gathering) == [f"a{number}" for number in range(n_stored)]
    gathering.set("large", bytes(ALONE_BYTES))
    assert keys_of(gathering)[n_stored:] == ["large"]
    gathering.finish()
    gathering.finish()
    assert len(keys_of(gathering)) == BATCH_BYTES // size + 4


def test_an_upgrade_stores_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import fsspec

    from hdmf_zarr.transfer.upgrading import upgrade

    write(tmp_path / "old.zarr", tree(), zarr_format=2)
    running: list[int] = []
    true = GatheringByteStore._store

    def stored(self: GatheringByteStore, values: dict[str, bytes]) -> None:
        running.append(len(values))
        true(self, values)

    monkeypatch.setattr(GatheringByteStore, "_store", stored)
    try:
        upgrade(tmp_path / "old.zarr", "memory://upgraded.zarr")
        assert max(running) == BATCH_KEYS
        assert_whole("memory://upgraded.zarr")
    finally:
        fsspec.filesystem("memory").rm("/upgraded.zarr", recursive=True)
        shutil.rmtree(tmp_path / "old.zarr")
