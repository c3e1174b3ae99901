"""A process that was forked reads what its parent has read before, and does not hang."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.arrays.array import HDMFZarrArray

pytestmark = [
    pytest.mark.skipif(
        "fork" not in multiprocessing.get_all_start_methods(), reason="nothing is forked here"
    ),
    # Python 3.12 and later warn of every fork in a process with threads.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

SECONDS = 30
DATA = np.arange(4000, dtype="i8").reshape(1000, 4)
LAYOUTS: dict[str, dict[str, Any]] = {
    "shards": {"chunks": (10, 4), "shards": (500, 4)},
    "one shard": {"chunks": (100, 4), "shards": (1000, 4)},
    "chunks": {"chunks": (10, 4)},
    "one chunk": {"chunks": (1000, 4)},
}
READS: dict[str, Any] = {
    "all": lambda array: array[...],
    "row": lambda array: [array[row] for row in (0, 7, 999)],
    "rows": lambda array: array[5:600],
    "channels": lambda array: array[:, [0, 2]],
    "coordinates": lambda array: array.vindex[[0, 999, 1], [0, 1, 2]],
}


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place = str(tmp_path / "a.zarr") if request.param == "local" else "memory://forked.zarr"
    datasets = [DatasetBuilder(name, ZarrDataIO(DATA, **how)) for name, how in LAYOUTS.items()]
    datasets.append(DatasetBuilder("text", ZarrDataIO([f"t{n}" for n in range(50)], chunks=(10,))))
    root = GroupBuilder("root", datasets=datasets, attributes={"data_type": "Root"})
    with ZarrIO(place, "w") as io:
        io.write_builder(root)
    return place


def opened(place: str) -> dict[str, HDMFZarrArray]:
    io = ZarrIO(place, "r")
    io.open()
    built = io.read_builder()
    return {name: built[name].data for name in (*LAYOUTS, "text")}


def everything(arrays: dict[str, HDMFZarrArray]) -> list[Any]:
    found = [np.asarray(read(arrays[name])).tolist() for name in LAYOUTS for read in READS.values()]
    return [*found, [arrays["text"][row] for row in range(50)], arrays["text"][...].tolist()]


def in_a_child(arrays: dict[str, HDMFZarrArray]) -> Any:
    """What a forked process reads; it is ended where it takes too long."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(everything(arrays)), daemon=True)
    child.start()
    try:
        assert receiver.poll(SECONDS), "the forked process hangs, or has failed"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


def test_what_the_parent_has_read(place: str) -> None:
    arrays = opened(place)
    expected = everything(arrays)
    assert in_a_child(arrays) == expected
    assert everything(arrays) == expected


def test_what_the_parent_has_not_read(place: str) -> None:
    arrays = opened(place)
    assert in_a_child(arrays) == everything(arrays)


def test_a_fork_while_another_thread_changes_what_is_kept(place: str) -> None:
    arrays = opened(place)
    expected = everything(arrays)
    with arrays["chunks"].hierarchy.cache._lock:
        assert in_a_child(arrays) == expected
    assert everything(arrays) == expected


def test_a_fork_while_another_thread_reads(place: str) -> None:
    arrays = opened(place)
    expected = everything(arrays)
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            arrays["chunks"].hierarchy.cache.clear()
            [arrays["chunks"][row] for row in range(0, 1000, 10)]

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        for _ in range(5):
            assert in_a_child(arrays) == expected
    finally:
        is_over.set()
        thread.join()
