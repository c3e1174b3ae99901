"""Writers of one store, one after the other: who holds a lock, who takes over, who is refused."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.errors import LockedError, MetadataError, ModeError
from hdmf_zarr.hierarchy import new_store
from hdmf_zarr.transactions.lock import leftovers_beside, writer_of
from hdmf_zarr.transfer.upgrading import upgrade

OLD = list(range(20))

KINDS = ["folder 2", "folder 3", "memory 2", "memory 3", "url 3"]


@pytest.fixture(params=KINDS)
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A store of each kind: what `NWBZarrIO` takes."""
    kind, zarr_format = request.param.split()
    places: dict[str, Any] = {
        "folder": tmp_path / "a.zarr",
        "memory": MemoryStore(),
        "url": f"memory://{tmp_path.name}/a.zarr",
    }
    place = places[kind]
    with NWBZarrIO(place, "w", zarr_format=int(zarr_format)) as io:
        io.write(made("first", OLD))
    yield place
    gc.collect()


@pytest.fixture(params=[2, 3])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "a.zarr"
    with NWBZarrIO(path, "w", zarr_format=request.param) as io:
        io.write(made("first", OLD))
    return path


def made(name: str, values: list[int]) -> NWBFile:
    nwbfile = NWBFile(name, name, datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(series("raw", values))
    nwbfile.add_trial(start_time=0.0, stop_time=1.0)
    return nwbfile


def series(name: str, values: list[int]) -> TimeSeries:
    return TimeSeries(name=name, data=np.array(values), unit="V", rate=1.0)


def opened(place: Any, mode: str = "r+") -> tuple[Any, NWBFile]:
    io = NWBZarrIO(place, mode)
    return io, io.read()


def content(place: Any) -> dict[str, list[Any]]:
    """What a new reader finds."""
    errors = [found for found in check(place).findings if found.severity == "error"]
    assert errors == []
    with NWBZarrIO(place, "r") as io:
        nwbfile = io.read()
        found = {name: one.data[:].tolist() for name, one in nwbfile.acquisition.items()}
        return {**found, "starts": nwbfile.trials["start_time"][:].tolist()}


BEFORE = {"raw": OLD, "starts": [0.0]}


# -- who keeps others out --------------------------------------------------------------------------


def test_a_file_that_is_only_read_locks_nobody_out(folder: Path) -> None:
    first_io, first = opened(folder)
    assert writer_of(folder) is None
    assert list(folder.parent.glob(".*")) == []
    second_io, second = opened(folder, "a")
    second.acquisition["raw"].data.append([-1])
    second_io.close()
    assert first.trials["start_time"][:].tolist() == [0.0]
    first_io.close()
    assert content(folder) == {**BEFORE, "raw": [*OLD, -1]}


def test_a_lock_goes_with_the_commit(folder: Path) -> None:
    io, nwbfile = opened(folder)
    for number in range(2):
        nwbfile.add_acquisition(series(f"new{number}", [number]))
        nwbfile.acquisition["raw"].data.append([-1])
        assert "this process" in str(writer_of(folder))
        io.write(nwbfile)
        assert writer_of(folder) is None
        assert nwbfile.acquisition["raw"].data[:].tolist() == OLD + [-1] * (number + 1)
    other_io, other = opened(folder)
    other.acquisition["raw"].data.append([-2])
    other_io.close()
    io.close()
    assert content(folder) == {**BEFORE, "raw": [*OLD, -1, -1, -2], "new0": [0], "new1": [1]}


def test_a_written_file_that_nobody_has_closed_locks_nobody_out(target: Any) -> None:
    written = NWBZarrIO(target, "w")
    written.write(made("second", [1, 2]))
    io, nwbfile = opened(target)
    nwbfile.acquisition["raw"].data.append([3])
    io.close()
    again = NWBZarrIO(target, "w")
    again.write(made("third", [7]))
    assert content(target) == {**BEFORE, "raw": [7]}
    written.close()
    again.close()
    assert content(target) == {**BEFORE, "raw": [7]}


def test_export_and_upgrade_go_on_beside_files_that_are_open(tmp_path: Path) -> None:
    path, source = tmp_path / "a.zarr", tmp_path / "a.nwb"
    with NWBHDF5IO(source, "w") as io:
        io.write(made("source", [5]))
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(made("first", OLD))
    reading_io, _ = opened(path)
    upgrade(path)
    assert content(path) == BEFORE
    with NWBHDF5IO(source, "r") as src_io, NWBZarrIO(path, "w") as io:
        io.export(src_io)
    assert content(path) == {**BEFORE, "raw": [5]}
    reading_io.close()
    assert content(path) == {**BEFORE, "raw": [5]}


# -- who is refused --------------------------------------------------------------------------------


def change_rows(io: Any, nwbfile: NWBFile) -> None:
    nwbfile.acquisition["raw"].data.append([-9])


def change_elements(io: Any, nwbfile: NWBFile) -> None:
    nwbfile.acquisition["raw"].data[0] = -9


def change_table(io: Any, nwbfile: NWBFile) -> None:
    nwbfile.add_trial(start_time=9.0, stop_time=9.5)


def change_objects(io: Any, nwbfile: NWBFile) -> None:
    nwbfile.add_acquisition(series(f"late{len(nwbfile.acquisition)}", [9]))
    io.write(nwbfile)


def change_attributes(io: Any, nwbfile: NWBFile) -> None:
    io.write_attributes("acquisition/raw", {"comments": "late"})


CHANGES = [change_rows, change_elements, change_table, change_objects, change_attributes]


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_writer_whose_view_is_old_is_refused_before_anything_is_written(
    target: Any, change: Any
) -> None:
    late_io, late = opened(target)
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        nwbfile.acquisition["raw"].data.append([-1])
        nwbfile.add_trial(start_time=2.0, stop_time=3.0)
    expected = {"raw": [*OLD, -1], "starts": [0.0, 2.0]}
    before = objects_of(target)
    for _ in range(2):
        with pytest.raises(LockedError, match="changed.*since it was (read|opened).*open"):
            change(late_io, late)
    assert objects_of(target) == before
    late_io.close()
    assert objects_of(target) == before
    assert content(target) == expected


def test_a_writer_is_refused_after_its_own_commit_where_others_have_followed(target: Any) -> None:
    io, nwbfile = opened(target)
    nwbfile.add_acquisition(series("own", [1]))
    io.write(nwbfile)
    other_io, other = opened(target)
    other.add_acquisition(series("theirs", [2]))
    other_io.write(other)
    other_io.close()
    nwbfile.add_acquisition(series("late", [3]))
    with pytest.raises(LockedError, match="open"):
        io.write(nwbfile)
    io.close()
    assert content(target) == {**BEFORE, "own": [1], "theirs": [2]}


def test_a_writer_of_a_store_that_was_replaced_is_refused(target: Any) -> None:
    io, nwbfile = opened(target)
    with NWBZarrIO(target, "w") as other:
        other.write(made("second", [7]))
    with pytest.raises((LockedError, MetadataError)):
        nwbfile.acquisition["raw"].data.append([-1])
    io.close()
    assert content(target) == {**BEFORE, "raw": [7]}


def test_what_was_read_before_another_commit_is_not_mixed_with_what_is_there_now(
    folder: Path,
) -> None:
    io, nwbfile = opened(folder)
    data = nwbfile.acquisition["raw"].data
    assert data[:].tolist() == OLD
    with NWBZarrIO(folder, "w") as other:
        other.write(made("second", [7] * 20))
    with pytest.raises(MetadataError, match="open it again"):
        data[:]
    io.close()


def objects_of(place: Any) -> dict[str, bytes]:
    from hdmf_zarr.stores.bytestore import open_bytestore
    from hdmf_zarr.stores.location import locate

    bytestore = open_bytestore(locate(place), read_only=True)
    return dict(bytestore.get_many(list(bytestore.list_prefix(""))))


# -- who takes over --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES[:1] + CHANGES[2:3])
@pytest.mark.parametrize("mode", ["r+", "a"])
def test_a_second_writer_of_the_process_takes_over(target: Any, mode: str, change: Any) -> None:
    first_io, first = opened(target)
    change(first_io, first)
    with pytest.warns(UserWarning, match=r"what an earlier one has changed.*undone \(/") as warned:
        second_io, second = opened(target, mode)
    assert len(warned) == 1
    assert objects_are_those_of(target, second)
    before = objects_of(target)
    for again in CHANGES:
        with pytest.raises(LockedError, match="changed by this process since it was read; open"):
            again(first_io, first)
    assert objects_of(target) == before
    second.acquisition["raw"].data.append([-2])
    first_io.close()
    second_io.close()
    assert content(target) == {**BEFORE, "raw": [*OLD, -2]}


def objects_are_those_of(place: Any, nwbfile: NWBFile) -> bool:
    assert content(place) == BEFORE
    return bool(nwbfile.acquisition["raw"].data[:].tolist() == OLD)


def test_a_new_store_takes_over_where_an_append_is_not_committed(target: Any) -> None:
    first_io, first = opened(target)
    first.acquisition["raw"].data.append([-1])
    second_io = NWBZarrIO(target, "w")
    with pytest.warns(UserWarning, match=r"undone \(/acquisition/raw/data\)"):
        second_io.write(made("second", [7]))
    with pytest.raises(LockedError, match="open it again"):
        first.acquisition["raw"].data.append([-1])
    first_io.close()
    second_io.close()
    assert content(target) == {**BEFORE, "raw": [7]}


@pytest.mark.parametrize("second_mode", ["w", "r+"])
def test_a_new_store_that_is_not_committed_is_taken_over(target: Any, second_mode: str) -> None:
    first = NWBZarrIO(target, "w")
    first.write_attributes("", {"note": "new"})
    with pytest.warns(UserWarning, match="is undone"):
        second = NWBZarrIO(target, second_mode)
        if second_mode == "w":
            second.write(made("second", [7]))
        else:
            second.read().acquisition["raw"].data.append([7])
    with pytest.raises(LockedError, match="open it again"):
        first.write_attributes("", {"note": "late"})
    first.close()
    second.close()
    assert content(target)["raw"] == ([7] if second_mode == "w" else [*OLD, 7])
    if isinstance(target, Path):
        assert leftovers_beside(target, lock=True) == []


def test_what_was_undone_is_not_read(folder: Path) -> None:
    first_io, first = opened(folder)
    data = first.acquisition["raw"].data
    data.append([-1])
    with pytest.warns(UserWarning, match="is undone"):
        second_io, _ = opened(folder)
    with pytest.raises(MetadataError, match="is undone.*open it again"):
        data[:]
    assert first.trials["start_time"][:].tolist() == [0.0]
    first_io.close()
    second_io.close()


def test_nothing_is_warned_of_where_nothing_is_undone(folder: Path) -> None:
    first_io, first = opened(folder)
    first.acquisition["raw"].data[0] = 5
    second_io, second = opened(folder)
    assert second.acquisition["raw"].data[0] == 5, "elements are written where they are"
    first_io.close()
    second_io.close()


def test_a_cell_that_is_run_twice_adds_its_rows_once(target: Any) -> None:
    """The notebook has forgotten to close, and its names are those of the second file."""
    opened_ios = []
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            io, nwbfile = opened(target)
        nwbfile.add_trial(start_time=2.0, stop_time=3.0)
        opened_ios.append(io)
    for io in reversed(opened_ios):
        io.close()
    assert content(target) == {**BEFORE, "starts": [0.0, 2.0]}


def test_a_call_that_has_not_returned_is_not_taken_over(target: Any) -> None:
    first = NWBZarrIO(target, "w")
    seen: list[BaseException] = []

    def open_another() -> None:
        try:
            io = NWBZarrIO(target, "r+")
            io.read().acquisition["raw"].data.append([1])
            io.close()
        except LockedError as error:
            seen.append(error)

    def progress(_n_bytes: int) -> None:
        if not seen:
            thread = threading.Thread(target=open_another)
            thread.start()
            thread.join()

    first.write(made("second", [7]), progress=progress)
    first.close()
    assert len(seen) == 1
    assert "has not returned" in str(seen[0])
    assert content(target) == {**BEFORE, "raw": [7]}


def test_a_close_waits_for_the_calls_of_other_threads(target: Any) -> None:
    io = NWBZarrIO(target, "w")
    started, go_on = threading.Event(), threading.Event()

    def progress(_n_bytes: int) -> None:
        started.set()
        go_on.wait(20)

    thread = threading.Thread(target=lambda: io.write(made("second", [7]), progress=progress))
    thread.start()
    assert started.wait(20)
    closing = threading.Thread(target=io.close)
    closing.start()
    closing.join(0.2)
    has_waited = closing.is_alive()
    go_on.set()
    thread.join()
    closing.join()
    assert has_waited
    assert content(target) == {**BEFORE, "raw": [7]}


def test_a_call_does_not_close_its_own_file(target: Any) -> None:
    io = NWBZarrIO(target, "w")
    with pytest.raises(ModeError, match="by what one of its own calls calls"):
        io.write(made("second", [7]), progress=lambda _n_bytes: io.close())
    io.close()
    assert content(target) == BEFORE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_a_child_writes_nothing_of_its_parent(folder: Path) -> None:
    io, nwbfile = opened(folder)
    nwbfile.acquisition["raw"].data.append([-1])
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        status = 1
        try:
            for work in (
                lambda: nwbfile.acquisition["raw"].data.append([-2]),
                lambda: nwbfile.add_trial(start_time=5.0, stop_time=6.0),
                lambda: io.write(nwbfile),
            ):
                with pytest.raises(LockedError, match="of which this one is a child"):
                    work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    io.close()
    assert content(folder) == {**BEFORE, "raw": [*OLD, -1]}


def test_an_export_over_its_own_source_undoes_nothing(folder: Path) -> None:
    io, nwbfile = opened(folder)
    nwbfile.acquisition["raw"].data.append([-1])
    with NWBZarrIO(folder, "w") as target, pytest.raises(LockedError, match="not committed"):
        target.export(io)
    io.close()
    assert content(folder) == {**BEFORE, "raw": [*OLD, -1]}


def test_a_new_store_that_cannot_take_its_place_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(new_store, "put_in_place", fail)
    with pytest.raises(KeyboardInterrupt), NWBZarrIO(folder, "w") as io:
        io.write(made("second", [7]))
    assert leftovers_beside(folder, lock=True) == []
    assert content(folder) == BEFORE


def test_threads_of_one_file_begin_together(target: Any) -> None:
    names = [f"s{number}" for number in range(8)]
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        for name in names:
            nwbfile.add_acquisition(series(name, [1]))
        io.write(nwbfile)
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        gate = threading.Barrier(len(names))

        def grow(name: str) -> None:
            gate.wait()
            nwbfile.acquisition[name].data.append([2])

        threads = [threading.Thread(target=grow, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert content(target) == {**BEFORE, **{name: [1, 2] for name in names}}


def test_repair_and_upgrade_take_nothing_over(folder: Path) -> None:
    io, nwbfile = opened(folder)
    nwbfile.acquisition["raw"].data.append([-1])
    with pytest.raises(LockedError, match="this process"):
        check(folder, repair=True)
    if (folder / ".zgroup").exists():
        with pytest.raises(LockedError, match="this process"):
            upgrade(folder)
    io.close()
    assert content(folder) == {**BEFORE, "raw": [*OLD, -1]}


def test_a_linked_store_is_not_taken_over(tmp_path: Path) -> None:
    raw, file = tmp_path / "raw.zarr", tmp_path / "file.zarr"
    with NWBZarrIO(raw, "w") as io:
        io.write(made("raw", OLD))
    with NWBZarrIO(raw, "r") as raw_io, NWBZarrIO(file, "w") as io:
        linking = made("file", [1])
        linked = TimeSeries(
            name="linked", data=raw_io.read().acquisition["raw"].data, unit="V", rate=1.0
        )
        linking.add_acquisition(linked)
        io.write(linking)
    io, nwbfile = opened(file)
    nwbfile.acquisition["linked"].data.append([-1])
    assert "this process" in str(writer_of(raw))
    nwbfile.add_acquisition(series("new", [2]))
    io.close()
    assert writer_of(raw) is None
    assert content(raw)["raw"] == [*OLD, -1]
    raw_io, raw_file = opened(raw)
    raw_file.acquisition["raw"].data.append([-2])
    io, nwbfile = opened(file)
    with pytest.raises(ValueError, match="read-only"):
        nwbfile.acquisition["linked"].data.append([-3])
    io.close()
    raw_io.close()
    assert content(raw)["raw"] == [*OLD, -1, -2]
