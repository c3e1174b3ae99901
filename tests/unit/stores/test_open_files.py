"""Files that are read in parts, and stamps that tell of a change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hdmf_zarr.errors import SpecialFileError
from hdmf_zarr.stores import open_files
from hdmf_zarr.stores.open_files import OpenedFile, file_stamp, is_settled, is_unchanged, read_on

DATA = bytes(range(256)) * 4


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "c.0").write_bytes(DATA)
    return str(tmp_path / "c.0")


def test_a_file_is_read_whole(path: str) -> None:
    with OpenedFile(path) as file:
        assert (file.path, file.size) == (path, len(DATA))
        assert file.whole() == DATA


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [
        (0, 4, DATA[:4]),
        (1000, 24, DATA[1000:]),
        (1000, 99, DATA[1000:]),
        (1024, 5, b""),
        (5000, 5, b""),
        (3, 0, b""),
        (-4, 4, DATA[-4:]),
        (-4, 2, DATA[-4:-2]),
        (-4, 99, DATA[-4:]),
        (-5000, 2, DATA[:2]),
    ],
)
def test_a_part_is_of_the_place_and_ends_with_the_file(
    path: str, start: int, count: int, expected: bytes
) -> None:
    with OpenedFile(path) as file:
        assert file.part(start, count) == expected
        assert file.part(0, 2) == DATA[:2]  # whatever was read before


@pytest.mark.parametrize(
    ("start", "n_bytes"), [(0, 1024), (7, 10), (1000, 24), (1020, 4), (2000, 0)]
)
def test_a_part_is_read_into_memory(path: str, start: int, n_bytes: int) -> None:
    room = bytearray(b"x" * 1100)
    with OpenedFile(path) as file:
        count = n_bytes if n_bytes == 10 else 1100
        assert file.part_into(start, memoryview(room)[:count]) == n_bytes
        assert bytes(room) == DATA[start : start + n_bytes] + b"x" * (1100 - n_bytes)
        assert file.part(0, 2) == DATA[:2]  # the file is open still


def test_parts_that_come_in_pieces_are_joined(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.read
    monkeypatch.setattr(open_files.os, "read", lambda file, count: read(file, min(count, 7)))
    with OpenedFile(path) as file:
        assert file.part(3, 50) == DATA[3:53]
        assert file.part(1020, 50) == DATA[1020:]
        os.lseek(file._descriptor, 0, os.SEEK_SET)
        assert file.whole() == DATA


@pytest.mark.parametrize("said", [0, 1, 1023, 1024, 1025, 9999])
def test_a_file_is_read_to_its_end_whatever_it_had_said(
    path: str, said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_files, "READ_ON_BYTES", 3)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert read_on(descriptor, said) == DATA
    finally:
        os.close(descriptor)


def test_a_file_is_closed_once_it_was_read(path: str) -> None:
    with OpenedFile(path) as file:
        file.part_into(0, memoryview(bytearray(2)))
        descriptor = file._descriptor
        assert not file._file.closefd  # or another file of its number would be closed later
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OpenedFile(str(tmp_path / "nothing"))
    with pytest.raises((IsADirectoryError, PermissionError)):
        OpenedFile(str(tmp_path))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SpecialFileError, match="is a pipe"):
            OpenedFile(str(tmp_path / "pipe"))


def test_a_stamp_tells_of_a_change(path: str) -> None:
    with OpenedFile(path) as file:
        stamp = file.stamp
    assert stamp == file_stamp(os.stat(path))
    assert is_unchanged(path, stamp)
    with open(path, "ab") as more:
        more.write(b"x")
    assert not is_unchanged(path, stamp)


def test_a_stamp_tells_of_a_file_that_was_replaced_or_removed(path: str) -> None:
    stamp = file_stamp(os.stat(path))
    other = f"{path}.new"
    Path(other).write_bytes(DATA)
    os.utime(other, ns=(stamp[0], stamp[0]))
    os.replace(other, path)
    assert not is_unchanged(path, stamp)
    Path(path).unlink()
    assert not is_unchanged(path, stamp)
    assert not is_unchanged(f"{path}/below", stamp)


@pytest.mark.parametrize(
    ("age_of_content", "age_of_name", "is_sure"),
    [
        (10.0003, 10.0003, True),
        (0.2003, 0.2003, True),
        (0.0003, 10, False),
        (10.0003, 0.0003, False),  # a name that was given just now
        (-10.0003, -10.0003, True),  # the clock of another machine
    ],
)
def test_a_file_is_settled_once_the_clock_has_gone_on(
    age_of_content: float, age_of_name: float, monkeypatch: pytest.MonkeyPatch, *, is_sure: bool
) -> None:
    now = 1_700_000_000_000_000_001
    monkeypatch.setattr(time, "time_ns", lambda: now)
    stamp = (now - int(age_of_content * 1e9), now - int(age_of_name * 1e9), 1, 1)
    assert is_settled(stamp) is is_sure


@pytest.mark.parametrize(("seconds", "is_sure"), [(1, False), (2, False), (3, True)])
def test_a_time_of_whole_seconds_may_be_a_coarse_one(
    seconds: int, monkeypatch: pytest.MonkeyPatch, *, is_sure: bool
) -> None:
    now = 1_700_000_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    changed = now - seconds * 10**9
    assert is_settled((changed, changed, 1, 1)) is is_sure
