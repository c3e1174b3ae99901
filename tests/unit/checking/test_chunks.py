"""Each chunk is there, decodes to the size that the metadata say, and is of some array."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

from hdmf_zarr.checking import chunks as checked
from hdmf_zarr.checking.chunks import (
    ArrayChunks,
    Decoded,
    check_contents,
    check_presence,
    check_stale,
    looks_like_chunk,
    places,
    sort_chunks,
)
from hdmf_zarr.checking.inventory import Examined, examine
from hdmf_zarr.metadata.node import unreadable
from hdmf_zarr.stores.location import locate

VALUES = np.arange(1, 21, dtype="<i2").reshape(5, 4)


class Store:
    """A store with one array ``a`` of 3 times 2 chunks."""

    def __init__(self, path: Path, values: Any = VALUES, **options: Any) -> None:
        self.path = path
        said: dict[str, Any] = {"chunks": (2, 3), "compressors": None}
        zarr_format = options.pop("zarr_format", 3)
        root = zarr.create_group(str(path), zarr_format=zarr_format)
        root.create_array("a", data=values, **{**said, **options})

    def say(self, **attributes: Any) -> None:
        document = self.path / "a" / "zarr.json"
        said = json.loads(document.read_text())
        document.write_text(json.dumps({**said, "attributes": attributes}))

    def examined(self) -> tuple[Examined, dict[str, ArrayChunks], list[str]]:
        examined = examine(locate(self.path))
        sizes = examined.sizes or {}
        found, others = sort_chunks(
            sizes,
            examined.hierarchy.documents,
            lambda key: key.endswith("zarr.json") or "/.z" in key or key.startswith(".z"),
        )
        return examined, found, others

    def presence(self) -> list[tuple[str, str | None, str]]:
        examined, found, _ = self.examined()
        return [(one.code, one.key, one.message) for one in check_presence(examined, found)]

    def contents(self, jobs: int = 1) -> tuple[list[tuple[str, str | None, str]], Decoded]:
        examined, found, _ = self.examined()
        decoded, told = Decoded(), []
        findings = [
            (one.code, one.key, one.message)
            for one in check_contents(
                examined, found, jobs=jobs, advance=told.append, decoded=decoded
            )
        ]
        assert sum(told) == decoded.n_bytes
        return findings, decoded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.zarr")


# -- pure functions --------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(), (0,), (3,), (2, 3), (2, 0), (2, 1, 3)])
def test_the_places_of_a_grid_come_in_order(grid: tuple[int, ...]) -> None:
    assert list(places(grid)) == list(itertools.product(*map(range, grid)))


def test_the_places_of_a_huge_grid_are_not_held_in_memory() -> None:
    assert next(places((10**12, 10**12))) == (0, 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0", True),
        ("c/0", True),
        ("c/0/1", True),
        ("c.0.1", True),
        ("0.1", True),
        ("0/1", True),
        ("c", True),
        ("12", True),
        ("c/a", False),
        ("c/-1", False),
        ("data", False),
        ("0.a", False),
        ("c/c/0", False),
        ("0.", False),
    ],
)
def test_a_key_looks_like_that_of_a_chunk(name: str, *, expected: bool) -> None:
    assert looks_like_chunk(name) is expected


# -- which keys are whose --------------------------------------------------------------------------


def test_each_key_is_that_of_its_array(store: Store) -> None:
    for name in ("a/c/9/9", "a/0.0", "a/notes.txt", "b/c/0", "stray"):
        file = store.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    _, found, others = store.examined()
    assert set(found) == {"a"}
    assert found["a"].present == {f"a/c/{i}/{j}": (i, j) for i in range(3) for j in range(2)}
    assert sorted(found["a"].stale) == ["a/0.0", "a/c/9/9"]
    assert sorted(others) == ["a/notes.txt", "b/c/0", "stray"]
    assert [(one.code, one.path, one.key) for one in check_stale(found)] == [
        ("stale-chunk", "/a", key) for key in found["a"].stale
    ]


def test_of_an_array_that_is_not_understood_no_key_is_judged(store: Store) -> None:
    examined, _, _ = store.examined()
    documents = {"a": unreadable(examined.hierarchy.documents["a"], "its shape is none")}
    found, others = sort_chunks({"a/whatever": 1}, documents, lambda _key: False)
    assert (found["a"].present, found["a"].stale, others) == ({}, [], [])


# -- which chunks are there ------------------------------------------------------------------------


def test_a_whole_array_has_no_finding(store: Store) -> None:
    store.say(_STORED_CHUNKS="all")
    assert store.presence() == []


def test_a_chunk_that_was_lost_is_named(store: Store) -> None:
    store.say(_STORED_CHUNKS="all")
    (store.path / "a/c/1/0").unlink()
    assert store.presence() == [
        ("missing-chunk", "a/c/1/0", "the chunk at [1, 0] of the grid [3, 2] is missing")
    ]


def test_of_many_that_were_lost_the_first_are_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "LISTED_MISSING", 2)
    store.say(_STORED_CHUNKS="all")
    for key in ("0/0", "1/1", "2/0"):
        (store.path / "a/c" / key).unlink()
    assert [one[1:] for one in store.presence()] == [
        ("a/c/0/0", "the chunk at [0, 0] of the grid [3, 2] is missing"),
        ("a/c/1/1", "the chunk at [1, 1] of the grid [3, 2] is missing"),
        (None, "3 of 6 chunks are missing"),
    ]


@pytest.mark.parametrize(
    ("stored", "code", "message"),
    [
        (4, "absent-chunks", "2 of 6 chunks are not there and read as the fill value"),
        (5, "missing-chunk", "4 chunks are there of 5 that were written"),
        (None, "absent-chunks", "2 of 6 chunks are not there and read as the fill value"),
    ],
)
def test_a_chunk_that_was_never_written_is_a_note(
    store: Store, stored: Any, code: str, message: str
) -> None:
    for key in ("1/0", "2/1"):
        (store.path / "a/c" / key).unlink()
    if stored is not None:
        store.say(_STORED_CHUNKS=stored)
    assert store.presence() == [(code, None, message)]


# -- what is in them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compressors": GzipCodec()},
        {"compressors": (ZstdCodec(), Crc32cCodec())},
        {"shards": (4, 6)},
        {"zarr_format": 2},
        {"zarr_format": 2, "compressors": "auto"},
    ],
)
@pytest.mark.parametrize("jobs", [1, 3])
def test_chunks_that_are_sound_are_counted(tmp_path: Path, options: Any, jobs: int) -> None:
    findings, decoded = Store(tmp_path / "s.zarr", **options).contents(jobs)
    assert findings == []
    assert decoded.n_chunks == (2 if "shards" in options else 6)
    assert decoded.n_bytes > 0


def test_text_is_decoded(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.zarr", np.array(["a", "bb", ""], dtype="T"), chunks=(2,))
    assert store.contents()[0] == []


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"", "it is empty"),
        (b"123", "it holds 3 bytes, expected 12"),
        (b"1" * 13, "it holds 13 bytes, expected 12"),
    ],
)
def test_a_chunk_of_another_size_is_broken(store: Store, encoded: bytes, message: str) -> None:
    (store.path / "a/c/1/1").write_bytes(encoded)
    findings, decoded = store.contents()
    ((code, key, found),) = findings
    assert (code, key) == ("broken-chunk", "a/c/1/1")
    assert message in found
    assert decoded.n_chunks >= 5


@pytest.mark.parametrize("compressor", [GzipCodec(), ZstdCodec(), Crc32cCodec()])
def test_a_chunk_that_does_not_decode_is_broken(tmp_path: Path, compressor: Any) -> None:
    store = Store(tmp_path / "s.zarr", compressors=compressor)
    chunk = store.path / "a/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-3] + b"xyz1234")
    findings, _ = store.contents()
    assert [one[:2] for one in findings] == [("broken-chunk", "a/c/0/0")]


def test_a_chunk_that_cannot_be_read_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    examined, found, _ = store.examined()
    get = type(examined.bytestore).get

    def fail(self: Any, key: str, most: Any = None) -> Any:
        if key == "a/c/1/1":
            raise PermissionError("no permission")
        return None if key == "a/c/2/0" else get(self, key, most)

    monkeypatch.setattr(type(examined.bytestore), "get", fail)
    findings = list(
        check_contents(examined, found, jobs=1, advance=lambda _n: None, decoded=Decoded())
    )
    assert [(one.code, one.key) for one in findings] == [
        ("unreadable-object", "a/c/1/1"),
        ("absent-chunks", "a/c/2/0"),
    ]


def test_a_chunk_that_is_far_too_large_is_not_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined, found, _ = store.examined()
    assert examined.sizes is not None
    examined.sizes["a/c/1/1"] = 10**15
    findings = list(
        check_contents(examined, found, jobs=1, advance=lambda _n: None, decoded=Decoded())
    )
    assert [(one.code, one.key) for one in findings] == [("broken-chunk", "a/c/1/1")]


def test_only_the_arrays_that_are_asked_for_are_decoded(store: Store) -> None:
    examined, _, _ = store.examined()
    decoded = Decoded()
    assert list(check_contents(examined, {}, jobs=1, advance=print, decoded=decoded)) == []
    assert decoded.n_chunks == 0


def test_a_large_shard_is_decoded_chunk_by_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "DECODED_TOGETHER", 1)
    store = Store(tmp_path / "s.zarr", shards=(4, 6), compressors=GzipCodec())
    assert store.contents()[0] == []
    shard = store.path / "a/c/0/0"
    flipped = bytearray(shard.read_bytes())
    flipped[0] ^= 0xFF
    shard.write_bytes(bytes(flipped))
    assert [one[:2] for one in store.contents()[0]] == [("broken-chunk", "a/c/0/0")]
