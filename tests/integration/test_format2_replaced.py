"""Arrays of format 2 that are written anew on append: their chunks take the names of the old ones.

After every change of the store that is the last one a reader finds the old values, the new ones or an
error, and the next writer goes back to the one or the other.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager
from zarr.storage import LocalStore, MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.errors import HDMFZarrError, MetadataError
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.transactions.journal import JOURNAL, SAVED
from tests.faults import FAULTS, Fault, FaultyStore
from tests.integration.test_transactions import open_until_stopped, stop_after

State = dict[str, tuple[str, list[Any]]]

INDEX = np.arange(5, dtype="uint8")
TEXT = np.array([b"a", b"bb", b"ccc"], dtype="S3")
MATRIX = np.arange(12, dtype="uint8").reshape(4, 3)
NUMBERS = np.arange(5, dtype="float64")
OTHER_NUMBERS = NUMBERS[:3] + 100


def tree() -> GroupBuilder:
    root = GroupBuilder("root", attributes={"value": 1.0})
    group = GroupBuilder("group")
    root.set_group(group)
    for name, data, chunks in (
        ("index", INDEX, (3,)),
        ("text", zarr.create_array({}, data=TEXT, zarr_format=2), (3,)),
        ("matrix", MATRIX, (5, 2)),
        ("numbers", NUMBERS, (2,)),
    ):
        group.set_dataset(DatasetBuilder(name, ZarrDataIO(data, chunks=chunks)))
    return root


def make(target: Any, *, consolidated: bool = True) -> Any:
    with ZarrIO(target, "w", get_manager(), zarr_format=2) as io:
        io.write_builder(tree(), consolidate_metadata=consolidated)
    return target


def widen(target: Any) -> None:
    """Append what needs other dtypes, and replace the numbers by fewer others of the same dtype."""
    with open_until_stopped(target) as io:
        group = io.read_builder()["group"]
        group["index"].data.append(np.array([300, 301], dtype="uint16"))
        group["index"].data.append(np.array([302], dtype="uint16"))
        group["text"].data.append(np.array([b"longer"]))
        group["matrix"].data.append(np.array([[1000, 1, 2]], dtype="uint16"))
        numbers = ZarrDataIO(OTHER_NUMBERS, chunks=(2,))
        io.write_dataset("group", DatasetBuilder("numbers", numbers))


OLD: State = {
    "index": ("uint8", INDEX.tolist()),
    "text": ("|S3", TEXT.tolist()),
    "matrix": ("uint8", MATRIX.tolist()),
    "numbers": ("float64", NUMBERS.tolist()),
}
NEW: State = {
    "index": ("uint16", [*INDEX.tolist(), 300, 301, 302]),
    "text": ("|S6", [*TEXT.tolist(), b"longer"]),
    "matrix": ("uint16", [*MATRIX.tolist(), [1000, 1, 2]]),
    "numbers": ("float64", OTHER_NUMBERS.tolist()),
}


LEFT_OVER = {"not-consolidated", "stale-chunk"}
"""What may be found afterwards: nothing that a reader sees. `check --repair` removes it."""


def read(target: Any, mode: str = "r") -> tuple[State, list[str]]:
    """Every dataset that can be read, and the errors of the others."""
    found: State = {}
    errors = []
    with ZarrIO(target, mode, get_manager()) as io:
        for name, builder in io.read_builder()["group"].datasets.items():
            try:
                values = builder.data[:]
            except MetadataError as error:
                errors.append(f"{name}: {error}")
            else:
                dtype = str(values.dtype if values.dtype.kind != "S" else values.dtype.str)
                found[name] = (dtype, values.tolist())
    return found, errors


def view(target: Any, mode: str = "r") -> str:
    """Which of the two states a reader finds; every dataset that it can read is of that one."""
    found, errors = read(target, mode)
    if not errors:
        assert found in (OLD, NEW)
        return "old" if found == OLD else "new"
    for name, error in (entry.split(": ", 1) for entry in errors):
        assert (
            f":/group/{name}: it is being written anew, or was when an append was stopped" in error
        )
    of_old = all(OLD[name] == state for name, state in found.items())
    of_new = all(NEW[name] == state for name, state in found.items())
    assert of_old or of_new
    return "refused"


def assert_whole(target: Any, states: tuple[State, ...]) -> None:
    """The next writer leaves one of some states, of which nothing is left over."""
    with ZarrIO(target, "r+", get_manager()):
        pass
    found, errors = read(target)
    assert errors == []
    assert found in states
    assert {finding.code for finding in check(target).findings} <= LEFT_OVER


@pytest.mark.parametrize("consolidated", [True, False])
def test_it_is_written_anew(tmp_path: Path, *, consolidated: bool) -> None:
    target = make(tmp_path / "file.zarr", consolidated=consolidated)
    widen(target)
    for mode in ("r", "r-"):
        assert read(target, mode) == (NEW, [])
    names = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    index = {name for name in names if name.startswith("group/index/")}
    assert index == {f"group/index/{name}" for name in (".zarray", ".zattrs", *"012")}
    assert not [name for name in names if "partial" in name or "/c" in name]
    assert json.loads((target / "group/numbers/.zarray").read_text())["shape"] == [3]
    assert "group/numbers/2" not in names
    assert check(target).findings == () or not consolidated


@pytest.mark.slow
@pytest.mark.parametrize("consolidated", [True, False])
def test_an_append_that_is_stopped_anywhere_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, consolidated: bool
) -> None:
    seen = set()
    for count in range(200):
        target = make(tmp_path / f"{count}.zarr", consolidated=consolidated)
        was_stopped = stop_after(count, monkeypatch, lambda target=target: widen(target))
        if consolidated:
            seen.add(view(target))
            bad = {f.severity for f in check(target).findings} - {"note"}
            assert not bad or view(target) == "refused"
        assert_whole(target, (OLD, NEW))
        if read(target)[0] == OLD:
            widen(target)
            assert read(target) == (NEW, [])
        if not was_stopped:
            break
    else:
        pytest.fail("the append has no end")
    assert count > 40
    if consolidated:
        assert seen == {"old", "refused", "new"}


def every_fault(work: Callable[[int], bool], limit: int = 120) -> int:
    """Do something with a fault at each of its changes, until there is none at which it can be."""
    for at in range(limit):
        if not work(at):
            return at
    pytest.fail("it has no end")


def test_a_recovery_that_is_stopped_goes_on_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a store that was left in the middle: stopped once more after every change."""

    half_way = tmp_path / "half_way.zarr"
    for count in range(40, 200):
        make(half_way)
        assert stop_after(count, monkeypatch, lambda: widen(half_way))
        if view(half_way) == "refused" and (half_way / "group/index/2").exists():
            break

    def reopen(target: Path) -> None:
        ZarrIO(target, "r+", get_manager()).close()

    for count in range(200):
        target = shutil.copytree(half_way, tmp_path / f"{count}.zarr")
        was_stopped = stop_after(count, monkeypatch, lambda target=target: reopen(target))
        assert view(target) in ("refused", "old")
        assert_whole(target, (OLD,))
        if not was_stopped:
            break
    assert count > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* is committed, and readers see:UserWarning")
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "lose"])
def test_an_append_in_memory_was_or_was_not(fault: str, *, consolidated: bool) -> None:
    def work(at: int) -> bool:
        memory = make(MemoryStore(), consolidated=consolidated)
        struck = Fault(at, fault)
        faulty = FaultyStore(memory, struck)
        try:
            widen(faulty)
        except OSError:
            pass
        else:
            assert read(memory) == (NEW, [])
        if consolidated:
            try:
                assert view(memory) in ("old", "new", "refused")
            except HDMFZarrError:
                assert fault == "tear"
        with ZarrIO(memory, "r+", get_manager()):
            pass
        found, errors = read(memory)
        assert errors == []
        for name, state in found.items():  # steps before the one that failed are kept
            assert state in (OLD[name], NEW[name]) or name == "index"
        assert found["index"][1][:5] == OLD["index"][1]
        assert {f.code for f in check(memory).findings} <= LEFT_OVER
        assert {f.code for f in check(memory, repair=True).findings} == set()
        assert read(memory) == (found, [])
        return struck.count > at

    assert every_fault(work, limit=200) > 30


@pytest.mark.slow
@pytest.mark.parametrize("consolidated", [True, False])
def test_an_old_chunk_that_has_stayed_is_removed_by_a_repair(*, consolidated: bool) -> None:
    """Of each change that a store has confirmed, and not made: none that is in use is removed."""
    n_removed = 0

    def work(at: int) -> bool:
        nonlocal n_removed
        memory = make(MemoryStore(), consolidated=consolidated)
        struck = Fault(at, "lose")
        with contextlib.suppress(OSError, HDMFZarrError):
            widen(FaultyStore(memory, struck))
        with ZarrIO(memory, "r+", get_manager()):
            pass
        before = check(memory)
        found = read(memory)
        report = check(memory, repair=True)
        assert read(memory) == found
        is_whole = before.is_clean
        if is_whole:
            assert report.findings == ()
        stale = [f.key for f in before.findings if f.code == "stale-chunk"]
        n_removed += len(stale) if is_whole else 0
        return struck.count > at

    assert every_fault(work, limit=200) > 30
    assert n_removed > 3


@pytest.mark.filterwarnings("ignore:.*has another writer in this process:UserWarning")
def test_an_append_to_a_full_disk_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every change from one on fails, then there is room again."""

    def failing(at: int) -> Any:
        count = 0

        def changing(plain: Any) -> Any:
            def changed(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count > at:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return plain(*args, **kwargs)

            return changed

        return changing

    def work(at: int) -> bool:
        target = make(tmp_path / f"{at}.zarr")
        with monkeypatch.context() as patch:
            changing = failing(at)
            patch.setattr(LocalByteStore, "set", changing(LocalByteStore.set))
            patch.setattr(LocalStore, "set", changing(LocalStore.set))
            try:
                widen(target)
            except OSError:
                failed = True
            else:
                failed = False
        assert view(target) in ("old", "refused", "new")
        assert_whole(target, (OLD, NEW) if failed else (NEW,))
        return failed

    assert every_fault(work) > 10


def test_a_commit_that_fails_goes_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`write` undoes what it has begun; the same session can write again."""
    target = make(tmp_path / "file.zarr")
    plain = LocalByteStore.copy
    left = 2

    def failing(self: LocalByteStore, key: str, new_key: str) -> None:
        nonlocal left
        if "/c." in key:
            left -= 1
            if left == 0:
                raise OSError(errno.EIO, "the disk broke")
        plain(self, key, new_key)

    with ZarrIO(target, "r+", get_manager()) as io:
        root = io.read_builder()
        with monkeypatch.context() as patch:
            patch.setattr(LocalByteStore, "copy", failing)
            group = root["group"]
            group["index"].data.append(np.array([300, 301], dtype="uint16"))
            with pytest.raises(OSError, match="the disk broke"):
                io.write_builder(root)
        assert read(target)[0] == OLD
        group["index"].data.append(np.array([302], dtype="uint16"))
        assert group["index"].data[:].tolist() == NEW["index"][1]
    assert read(target) == ({**OLD, "index": NEW["index"]}, [])
    assert not (target / JOURNAL).exists()
    assert not (target / SAVED).exists()
    assert check(target).findings == ()


def test_a_reader_of_an_array_that_is_replaced_gets_an_error(tmp_path: Path) -> None:
    """Also where the new one has the same dtype and the same names of chunks."""
    target = make(tmp_path / "file.zarr")
    with ZarrIO(target, "r", get_manager()) as io:
        numbers = io.read_builder()["group"]["numbers"].data
        assert numbers[0] == 0.0
        widen(target)
        numbers.hierarchy.cache.forget("group/numbers")
        with pytest.raises(MetadataError, match="was rewritten while it was read"):
            numbers[:]


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_reader_of_before_gets_an_old_value_or_an_error_wherever_an_append_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, consolidated: bool
) -> None:
    refused = []
    for count in range(200):
        target = make(tmp_path / f"{count}.zarr", consolidated=consolidated)
        with ZarrIO(target, "r", get_manager()) as io:
            group = io.read_builder()["group"]
            was_stopped = stop_after(count, monkeypatch, lambda target=target: widen(target))
            for name, (_, values) in OLD.items():
                group[name].data.hierarchy.cache.forget(f"group/{name}")
                try:
                    assert group[name].data[:].tolist() == values
                except MetadataError as error:
                    refused.append(str(error))
        if not was_stopped:
            break
    assert not was_stopped
    assert len(refused) > 10
    assert all("while it was read" in error for error in refused)


def test_the_rest_of_the_file_is_read_while_an_array_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in range(200):
        target = make(tmp_path / f"{count}.zarr")
        assert stop_after(count, monkeypatch, lambda target=target: widen(target))
        if view(target) == "refused":
            break
    found, errors = read(target)
    assert found == {"matrix": OLD["matrix"]}
    assert len(errors) == 3
    assert "mode 'r+'" in errors[0]
    codes = {finding.code for finding in check(target).findings}
    assert "unfinished-append" in codes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(target, repair=True).findings == ()
    assert read(target) == (OLD, [])


def test_an_array_is_replaced_again_and_again(tmp_path: Path) -> None:
    """In one session and in several; each separator is taken in its turn."""
    target = make(tmp_path / "file.zarr")
    expected, rows = INDEX.tolist(), MATRIX.tolist()
    separators = []
    for _ in range(3):
        with ZarrIO(target, "r+", get_manager()) as io:
            group = io.read_builder()["group"]
            for _ in range(2):
                top = 2 * int(np.max(group["matrix"].data[:])) + 1
                for name in ("index", "matrix"):
                    bits = group[name].data.dtype.itemsize * 8
                    wide = f"uint{min(64, bits * 2)}"
                    value = min(2**bits, 2**62) + top % 7
                    if name == "index":
                        group[name].data.append(np.array([value], dtype=wide))
                        expected.append(value)
                    else:
                        group[name].data.append(np.array([[value, 1, 2]], dtype=wide))
                        rows.append([value, 1, 2])
            assert group["index"].data[:].tolist() == expected
            assert group["matrix"].data[:].tolist() == rows
        found, errors = read(target)
        assert errors == []
        assert found["index"] == ("uint64" if len(expected) > 7 else "uint32", expected)
        assert found["matrix"][1] == rows
        assert check(target).findings == ()
        document = json.loads((target / "group/matrix/.zarray").read_text())
        separators.append(document["dimension_separator"])
    assert separators[0] == "/"
