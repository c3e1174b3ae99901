"""Every change of every operation fails, tears, waits or is lost: the old store, the new one, or an error."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.common import get_manager
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.checking import repair
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.transactions.lock import leftovers_beside
from hdmf_zarr.transfer.upgrading import upgrade
from tests.faults import FAULTS, Fault, FaultyStore, end_as_if_killed, faulty_disk
from tests.integration.test_transactions import OLD, append, content, tree, value_of, write

ROWS = 30

Content = dict[str, Any]


def small(value: int) -> GroupBuilder:
    """A store of every kind of object that says everywhere which one it is."""
    root = GroupBuilder("root", attributes={"value": value})
    group = GroupBuilder("group", attributes={"text": f"text {value}"})
    root.set_group(group)
    numbers = DatasetBuilder(
        "numbers", ZarrDataIO(np.full(ROWS, value), chunks=(20,)), attributes={"value": value}
    )
    group.set_dataset(numbers)
    group.set_dataset(DatasetBuilder("texts", [f"text {value}"] * 3))
    group.set_dataset(DatasetBuilder("scalar", float(value)))
    reference = ReferenceBuilder(numbers)
    group.set_dataset(DatasetBuilder("references", [reference] * 2, dtype="object"))
    root.set_link(LinkBuilder(numbers, "link"))
    return root


def expected(value: int, rows: int = 0, *, has_new: bool = False) -> Content:
    """What reading such a store gives."""
    groups = {"group": {"text": f"text {value}"}}
    found = {
        "value": value,
        "link": "numbers",
        "numbers": [value] * ROWS + [2] * rows,
        "numbers.value": value,
        "texts": [f"text {value}"] * 3,
        "scalar": float(value),
        "references": ["numbers"] * 2,
    }
    if has_new:
        groups["new"] = {"value": 2}
        found["new"] = [2] * 5
    return {**found, "groups": groups}


def read(target: Any) -> Content:
    """Everything in a store."""
    with ZarrIO(target, "r", get_manager()) as io:
        root = io.read_builder()
        group = root["group"]
        found = {
            "value": root.attributes["value"],
            "link": root.links["link"].builder.name,
            "numbers": group["numbers"].data[:].tolist(),
            "numbers.value": group["numbers"].attributes["value"],
            "texts": list(group["texts"].data[:]),
            "scalar": float(np.asarray(group["scalar"].data)),
            "references": [getattr(one, "name", None) for one in group["references"].data[:]],
            "groups": {name: dict(one.attributes) for name, one in root.groups.items()},
        }
        if "new" in root.groups:
            found["new"] = root["new"]["x"].data[:].tolist()
    return found


def read_numbers(target: Any) -> Content:
    with ZarrIO(target, "r", get_manager()) as io:
        root = io.read_builder()
        return {"numbers": root["numbers"].data[:].tolist(), **root.attributes}


# -- operations ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is done to a store.

    Attributes
    ----------
    prepare : callable
        Makes what is there before, in a folder or in memory, and returns what `act` is given beside the
        target.
    act : callable
    before, after : tuple of contents
        What may be there, as ``read`` gives it: if it failed, if it did not. None is: nothing opens.
    """

    prepare: Callable[[Any, Path, int], Any]
    act: Callable[[Any, Any, int], None]
    before: tuple[Content | None, ...]
    after: tuple[Content, ...]
    read: Callable[[Any], Content] = read
    places: tuple[str, ...] = ("memory", "disk")
    zarr_formats: tuple[int, ...] = (2, 3)


def write_small(target: Any, value: int, zarr_format: int) -> Any:
    with ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(small(value), durable=False)
    return target


def append_small(target: Any, _source: Any, _zarr_format: int) -> None:
    """Rows into a chunk that is there, a group, more rows into new chunks, an attribute."""
    with ZarrIO(target, "r+", get_manager()) as io:
        data = io.read_builder()["group"]["numbers"].data
        data.append(np.full(3, 2))
        new = GroupBuilder("new", attributes={"value": 2})
        new.set_dataset(DatasetBuilder("x", np.full(5, 2)))
        io.write_group("", new)
        data.append(np.full(20, 2))


def old_index(target: Any, _folder: Path, zarr_format: int) -> None:
    root = GroupBuilder("root", attributes={"value": 1})
    root.set_dataset(DatasetBuilder("numbers", np.arange(3, dtype=np.uint8)))
    with ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root, durable=False)


def append_at_once(target: Any, _source: Any, _zarr_format: int) -> None:
    """A number that the type does not hold, so that the array is written anew, and a group: one write."""
    with ZarrIO(target, "r+", get_manager()) as io:
        root = io.read_builder()
        root["numbers"].data.append(np.array([300]))
        new = GroupBuilder("new", attributes={"value": 2})
        new.set_dataset(DatasetBuilder("x", np.full(5, 2)))
        root.set_group(new)
        io.write_builder(root, durable=False)


def read_index(target: Any) -> Content:
    with ZarrIO(target, "r", get_manager()) as io:
        root = io.read_builder()
        new = {"new": root["new"]["x"].data[:].tolist()} if "new" in root.groups else {}
        return {"numbers": root["numbers"].data[:].tolist(), **new}


OLD_INDEX = {"numbers": [0, 1, 2]}
MIDDLE_INDEX = {"numbers": [0, 1, 2, 300]}  # given up before the group, and closed
NEW_INDEX = {"numbers": [0, 1, 2, 300], "new": [2] * 5}


def export_zarr(target: Any, source: Any, zarr_format: int) -> None:
    with (
        ZarrIO(source, "r", get_manager()) as src_io,
        ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io,
    ):
        io.export(src_io)


def export_hdf5(shards: Any) -> Callable[[Any, Any, int], None]:
    def act(target: Any, source: Any, zarr_format: int) -> None:
        with (
            HDF5IO(str(source), "r", manager=get_manager()) as src_io,
            ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io,
        ):
            io.export(src_io, cache_spec=False, shards=shards)

    return act


def old_store(target: Any, _folder: Path, zarr_format: int) -> None:
    write_small(target, 1, zarr_format)


def old_store_and_source(target: Any, _folder: Path, zarr_format: int) -> Any:
    write_small(target, 1, zarr_format)
    return write_small(MemoryStore(), 2, zarr_format)


def old_numbers_and_hdf5(target: Any, folder: Path, zarr_format: int) -> Path:
    root = GroupBuilder("root", attributes={"value": 1})
    root.set_dataset(DatasetBuilder("numbers", np.full(ROWS, 1)))
    with ZarrIO(target, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root, durable=False)
    with h5py.File(folder / "source.h5", "w") as file:
        file.attrs["value"] = 2
        file.create_dataset("numbers", data=np.full(ROWS, 2), chunks=(8,), compression="gzip")
    return folder / "source.h5"


def source_of_format_2(_target: Any, folder: Path, _zarr_format: int) -> Path:
    return write_small(folder / "source.zarr", 2, 2)


HDF5_CONTENTS = ({"value": 1, "numbers": [1] * ROWS}, {"value": 2, "numbers": [2] * ROWS})

OPERATIONS: dict[str, Operation] = {
    "write": Operation(
        prepare=old_store,
        act=lambda target, _source, zarr_format: write_small(target, 2, zarr_format),
        before=(expected(1), None),
        after=(expected(2),),
    ),
    "append": Operation(
        prepare=old_store,
        act=append_small,
        before=(
            expected(1),
            expected(1, 3),
            expected(1, 3, has_new=True),  # given up after some steps, and closed
            expected(1, 23, has_new=True),
        ),
        after=(expected(1, 23, has_new=True),),
    ),
    "append at once": Operation(
        prepare=old_index,
        act=append_at_once,
        before=(OLD_INDEX, MIDDLE_INDEX, NEW_INDEX),
        after=(NEW_INDEX,),
        read=read_index,
        zarr_formats=(3,),
    ),
    "append at once to format 2": Operation(
        prepare=old_index,
        act=append_at_once,
        # Names of chunks are the same before and after: while they are given, readers are refused.
        before=(OLD_INDEX, MIDDLE_INDEX, NEW_INDEX, None),
        after=(NEW_INDEX,),
        read=read_index,
        zarr_formats=(2,),
    ),
    "export": Operation(
        prepare=old_store_and_source,
        act=export_zarr,
        before=(expected(1), None),
        after=(expected(2),),
    ),
    "export HDF5": Operation(
        prepare=old_numbers_and_hdf5,
        act=export_hdf5(None),
        before=(HDF5_CONTENTS[0], None),
        after=(HDF5_CONTENTS[1],),
        read=read_numbers,
    ),
    "export HDF5 into shards": Operation(
        prepare=old_numbers_and_hdf5,
        act=export_hdf5({"numbers": (16,)}),
        before=(HDF5_CONTENTS[0], None),
        after=(HDF5_CONTENTS[1],),
        read=read_numbers,
        zarr_formats=(3,),
    ),
    "upgrade": Operation(
        prepare=source_of_format_2,
        act=lambda target, source, _zarr_format: upgrade(source, target, overwrite=True),
        before=(None,),
        after=(expected(2),),
        zarr_formats=(3,),
    ),
    "upgrade by links": Operation(
        prepare=source_of_format_2,
        act=lambda target, source, _zarr_format: upgrade(source, target, way="link"),
        before=(None,),
        after=(expected(2),),
        places=("disk",),
        zarr_formats=(3,),
    ),
    "upgrade in place": Operation(
        prepare=lambda target, _folder, _zarr_format: write_small(target, 2, 2),
        act=lambda target, _source, _zarr_format: upgrade(target),
        before=(expected(2),),
        after=(expected(2),),
        places=("disk",),
        zarr_formats=(2,),
    ),
}

ROWS_OF_TABLE = [
    pytest.param(name, place, zarr_format, fault, id=f"{name}, {place}, {zarr_format}, {fault}")
    for name, operation in OPERATIONS.items()
    for place in operation.places
    for zarr_format in operation.zarr_formats
    for fault in (FAULTS if place == "memory" else ("fail", "tear", "lose", "full"))
]


# -- the table -------------------------------------------------------------------------------------


def try_reading(operation: Operation, target: Any) -> tuple[Content | None, list[str]]:
    """What a store holds, None where it is refused; and what reading it was warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = operation.read(target)
        except (HDMFZarrError, OSError):
            found = None
    return found, [str(one.message) for one in said]


def problems(target: Any) -> set[str] | None:
    """Codes of what a check finds beside notes; None where there is no store."""
    try:
        found = check(target).findings
    except HDMFZarrError:
        return None
    return {one.code for one in found if one.severity != "note"}


def one_fault(
    operation: Operation, place: str, zarr_format: int, fault: Fault, folder: Path
) -> None:
    folder.mkdir()
    target: Any = MemoryStore() if place == "memory" else folder / "file.zarr"
    source = operation.prepare(target, folder, zarr_format)
    error = None
    try:
        if place == "memory":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".* is committed, and readers see", UserWarning)
                operation.act(FaultyStore(target, fault), source, zarr_format)
        else:
            with faulty_disk(fault):
                operation.act(target, source, zarr_format)
    except OSError as caught:
        error = caught
    found, said = try_reading(operation, target)
    bad = problems(target)
    what = f"change {fault.at} ({fault.struck}): {error!r}, {bad}, {said}, {found}"
    assert not any("the chunk is not there" in text for text in said), what
    if found is None:
        assert bad is None or bad, f"refused, and nothing is found; {what}"
        assert error is not None or fault.kind == "lose", what
        # What was there before is refused only where half of its metadata took their place, or where a
        # new chunk was lost in silence.
        is_chunk = all(re.search(r"[/.](c|\d+)$", key) for key in fault.struck)
        may_be_lost = (
            fault.kind == "lose" and is_chunk and operation.act in (append_small, append_at_once)
        )
        assert None in operation.before or fault.kind == "tear" or may_be_lost, what
    else:
        allowed = operation.after if error is None else operation.before + operation.after
        assert found in allowed, what
        # Of what was written at the same time some may come after the failed write has tidied up; half
        # a document is there only where a store does not put it in its place at once.
        torn = (
            {"broken-document", "broken-consolidated-metadata"} if fault.kind == "tear" else set()
        )
        assert fault.kind == "lose" or bad <= {"leftover", "stale-chunk"} | torn, what
        assert_repair_keeps(operation, target, found, what)


def assert_repair_keeps(operation: Operation, target: Any, found: Content, what: str) -> None:
    """A repair removes what nobody uses, and changes nothing that is read."""
    report = check(target, repair=True)
    assert try_reading(operation, target)[0] == found, f"{report.repaired}; {what}"
    left = {one.code for one in report.findings}
    assert "stale-chunk" not in left or left & {"missing-chunk", "broken-document"}, what


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place", "zarr_format", "fault"), ROWS_OF_TABLE)
def test_the_old_store_or_the_new_one_or_an_error(
    name: str,
    place: str,
    zarr_format: int,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repair, "QUIET_SECONDS", 0)
    for at in range(200):
        here = Fault(at, fault)
        one_fault(OPERATIONS[name], place, zarr_format, here, tmp_path / str(at))
        if here.count <= at:
            break
    else:
        pytest.fail("it has no end")
    assert at > 3


# -- real disks ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    # Lazily: a writer that was left as if it had been killed still holds its folder.
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    target = write(small_disk / "file.zarr", 1.0)
    builder = tree(2.0)
    data = np.random.default_rng(0).random(300_000)
    builder["group"].set_dataset(DatasetBuilder("large", data))
    io = ZarrIO(target, "w", get_manager())
    with pytest.raises(OSError, match="No space left") as caught:
        io.write_builder(builder)
    assert caught.value.errno == errno.ENOSPC
    assert str(small_disk) in str(caught.value.filename)
    io.close()
    assert value_of(target) == 1.0
    assert [path.name for path in small_disk.iterdir()] == ["file.zarr"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_append_that_has_filled_a_disk_is_undone(small_disk: Path, zarr_format: int) -> None:
    """What goes gives room for what comes back, so that nothing has to be removed by hand."""
    target = small_disk / "file.zarr"
    write_small(target, 1, zarr_format)
    before = [path for path in target.rglob("*") if path.is_file()]
    io = ZarrIO(target, "r+", get_manager())
    io.open()
    io.read_builder()["group/numbers"].data.append(np.full(7, 1))
    io.write_group("", GroupBuilder("lost", datasets={"x": DatasetBuilder("x", np.ones(9))}))
    end_as_if_killed(io)
    with (
        (small_disk / "large").open("wb", buffering=0) as file,
        pytest.raises(OSError, match="left"),
    ):
        while True:
            file.write(bytes(4096))
    report = check(target, repair=True)
    assert report.findings == ()
    assert any("undid an append" in done for done in report.repaired)
    assert sorted(path for path in target.rglob("*") if path.is_file()) == sorted(before)
    with ZarrIO(target, "r", get_manager()) as io:
        assert set(io.read_builder()["group/numbers"].data[:].tolist()) == {1}


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Take the right to change a folder away, from root as well (``chattr +i``)."""
    changed: list[Path] = []

    def take(folder: Path) -> None:
        if os.name == "nt":
            pytest.skip("needs the permissions of POSIX")
        if os.getuid() != 0:
            changed.append(folder)
            folder.chmod(0o500)
            return
        command = ["chattr", "+i", str(folder)]
        if (
            shutil.which("chattr") is None
            or subprocess.run(command, capture_output=True).returncode
        ):
            pytest.skip("root may write everywhere, and chattr does not work here")
        changed.append(folder)

    yield take
    for folder in changed:
        if os.getuid() == 0:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        else:
            folder.chmod(0o700)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, immutable: Any) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    target = write(folder / "file.zarr", 1.0)
    immutable(folder)
    assert value_of(target) == 1.0
    assert check(target).findings == ()
    with pytest.raises(PermissionError), ZarrIO(target, "w", get_manager()) as io:
        io.write_builder(tree(2.0))
    assert value_of(target) == 1.0


def test_a_store_is_replaced_that_cannot_be_removed(tmp_path: Path, immutable: Any) -> None:
    target = write(tmp_path / "file.zarr", 1.0)
    immutable(target / "group" / "a")
    for value in (2.0, 3.0):
        with pytest.warns(UserWarning, match="which was replaced, cannot be removed"):
            write(target, value)
        assert value_of(target) == value
    assert {found.code for found in check(target).findings} == {"leftover"}
    (left,) = leftovers_beside(target)
    target.rename(tmp_path / "new.zarr")
    left.rename(target)  # where it gets its permissions back


def test_permissions_that_are_lost_half_way(tmp_path: Path, immutable: Any) -> None:
    """An append that may write some folders and not others never was."""
    target = write(tmp_path / "file.zarr", 1.0)
    immutable(target / "group" / "a")
    with pytest.raises(PermissionError):
        append(target, 2.0)
    assert content(target) == OLD
    assert {f.severity for f in check(target).findings} <= {"note"}
