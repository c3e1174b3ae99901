"""Keys of a folder as bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hdmf_zarr.stores import bytestore, open_files
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate


@pytest.mark.parametrize("n_bytes", [0, 1, 4096, 3_000_001])
def test_a_value_comes_back_as_it_was_set(tmp_path: Path, n_bytes: int) -> None:
    store = open_bytestore(locate(tmp_path), read_only=False)
    value = os.urandom(n_bytes)
    store.set("group/array/0", value)
    assert store.get("group/array/0") == value
    assert store.get_many(["group/array/0", "group/array/1"]) == {"group/array/0": value}
    assert (tmp_path / "group/array/0").read_bytes() == value


def test_elements_of_more_than_a_byte_are_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may write less than it was given."""
    store = open_bytestore(locate(tmp_path), read_only=False)
    write = os.write
    monkeypatch.setattr(
        bytestore.os, "write", lambda descriptor, value: write(descriptor, value[:5])
    )
    store.set("0", memoryview(bytes(range(64))).cast("H"))
    monkeypatch.undo()
    assert store.get("0") == bytes(range(64))


def test_what_is_no_file_has_no_value(tmp_path: Path) -> None:
    store = open_bytestore(locate(tmp_path), read_only=False)
    store.set("group/file", b"value")
    assert store.get("group") is None
    assert store.get("nothing") is None
    assert store.get("group/file/below") is None


@pytest.mark.skipif(sys.platform != "linux", reason="files of the system that say they are empty")
def test_a_file_that_is_longer_than_it_said_is_read_to_its_end() -> None:
    store = open_bytestore(locate("/proc/self"), read_only=True)
    assert Path("/proc/self/cmdline").stat().st_size == 0
    assert store.get("cmdline") == Path("/proc/self/cmdline").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: path.write_bytes(b"0123456789" * 3), id="longer"),
        pytest.param(lambda path: path.write_bytes(b"0123"), id="shorter"),
    ],
)
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    """What is there when it is read; not what was there when its size was asked."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fstat = os.fstat

    def changed_after(descriptor: int) -> os.stat_result:
        asked = fstat(descriptor)
        change(path)
        return asked

    monkeypatch.setattr(bytestore.os, "fstat", changed_after)
    found = open_bytestore(locate(tmp_path), read_only=True).get("file")
    monkeypatch.undo()
    assert found == path.read_bytes()


@pytest.mark.parametrize("n_bytes", [10, 3 * open_files.READ_ON_BYTES])
def test_a_file_that_grows_is_read_in_few_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    path = tmp_path / "file"
    path.touch()
    fstat, read = os.fstat, os.read
    calls = []

    def grown(descriptor: int) -> os.stat_result:
        asked = fstat(descriptor)
        path.write_bytes(bytes(n_bytes))
        return asked

    def counted(descriptor: int, size: int) -> bytes:
        calls.append(size)
        return read(descriptor, size)

    monkeypatch.setattr(bytestore.os, "fstat", grown)
    monkeypatch.setattr(bytestore.os, "read", counted)
    found = open_bytestore(locate(tmp_path), read_only=True).get("file")
    monkeypatch.undo()
    assert found == bytes(n_bytes)
    assert len(calls) <= 3 + n_bytes // open_files.READ_ON_BYTES
