"""Elements that another process changes in place: a reader that has kept chunks sees them in the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.stores.open_files import file_stamp, is_settled

FORMATS = (2, 3)
N = 12
NUMBERS = np.arange(N, dtype="int32")
CHANGED = NUMBERS + 100

WAYS: dict[str, Any] = {
    "one by one": lambda array: [array[row] for row in range(N)],
    "from the end": lambda array: [array[row] for row in range(-N, 0)],
    "all": lambda array: list(array[...]),
    "in slices": lambda array: [*array[:3], *array[3:8], *array[8:]],
    "several chunks": lambda array: [*array[:7], *array[7:]],
    "index arrays": lambda array: list(array[list(range(N))]),
    "iterated": lambda array: list(array),
    "orthogonal": lambda array: list(array.oindex[list(range(N))]),
    "coordinates": lambda array: list(array.vindex[list(range(N))]),
    "strided": lambda array: np.stack([array[::2], array[1::2]], axis=1).reshape(-1).tolist(),
}


def written(store: Any, *, zarr_format: int = 3, **options: Any) -> Any:
    data = ZarrDataIO(NUMBERS, **{"chunks": (5,), **options})
    text = ZarrDataIO([f"a{n}" for n in range(N)], chunks=(5,))
    datasets = [DatasetBuilder("data", data), DatasetBuilder("text", text)]
    datasets.append(DatasetBuilder("one", ZarrDataIO(NUMBERS, chunks=(N,))))
    root = GroupBuilder("root", datasets=datasets, attributes={"data_type": "Root"})
    with ZarrIO(store, "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    if isinstance(store, Path):
        settle(store)
    return store


def settle(store: Path) -> None:
    """Let the files of a store be old, as they are when a reader keeps them."""
    while not all(is_settled(file_stamp(path.stat())) for path in store.rglob("*")):
        time.sleep(0.01)


def opened(store: Any, name: str = "data", mode: str = "r") -> HDMFZarrArray:
    io = ZarrIO(store, mode)
    io.open()
    array: HDMFZarrArray = io.read_builder()[name].data
    return array


def by_zarr(store: Path, name: str, rows: slice, values: Any) -> None:
    array = zarr.open_group(store, mode="r+")[name]
    assert isinstance(array, zarr.Array)
    array[rows] = values


def by_another_process(store: Path, name: str, rows: slice, values: Any) -> None:
    program = (
        "import sys, numpy; from hdmf_zarr import ZarrIO\n"
        "with ZarrIO(sys.argv[1], 'r+') as io:\n"
        f"    io.read_builder()[{name!r}].data[{rows.start}:{rows.stop}] = {np.asarray(values).tolist()!r}\n"
    )
    subprocess.run([sys.executable, "-c", program, str(store)], check=True)


def into_the_file(store: Path, name: str, rows: slice, values: Any) -> None:
    """Write the bytes of the chunks into their files, as who does not rename does."""
    aside = store.with_name("aside.zarr")
    shutil.copytree(store, aside)
    by_zarr(aside, name, rows, values)
    for new in (aside / name).rglob("*"):
        old = store / new.relative_to(aside)
        if new.is_file() and new.read_bytes() != old.read_bytes():
            old.write_bytes(new.read_bytes())


CHANGES = {"zarr": by_zarr, "process": by_another_process, "file": into_the_file}


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", [slice(0, 1), slice(0, N)], ids=["one kept", "all kept"])
def test_what_was_changed_is_read(
    tmp_path: Path, zarr_format: int, way: str, before: slice
) -> None:
    store = written(tmp_path / "a.zarr", zarr_format=zarr_format)
    array = opened(store)
    for _ in range(2):
        for row in range(N)[before]:
            assert array[row] == NUMBERS[row]
    by_zarr(store, "data", slice(0, N), CHANGED)
    assert WAYS[way](array) == CHANGED.tolist()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rows", [slice(3, 7), slice(0, 5), slice(5, 10), slice(0, N)], ids=str)
def test_who_changes_it_and_how_does_not_matter(tmp_path: Path, change: str, rows: slice) -> None:
    store = written(tmp_path / "a.zarr")
    array = opened(store)
    assert [array[row] for row in range(N)] == NUMBERS.tolist()
    expected = NUMBERS.copy()
    expected[rows] = CHANGED[rows]
    CHANGES[change](store, "data", rows, CHANGED[rows])
    assert [array[row] for row in range(N)] == expected.tolist()
    np.testing.assert_array_equal(array[...], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"shards": (10,)},
        {"shards": (20,)},
        {"compressor": False},
        {"compressor": False, "shards": (10,)},
        {"chunks": (N,)},
        {"chunks": (N,), "compressor": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("change", ["zarr", "file"])
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_layouts(tmp_path: Path, options: dict[str, Any], change: str, mode: str) -> None:
    store = written(tmp_path / "a.zarr", **options)
    array = opened(store, mode=mode)
    for _ in range(2):
        assert [array[row] for row in range(N)] == NUMBERS.tolist()
    CHANGES[change](store, "data", slice(3, 7), CHANGED[3:7])
    expected = [*NUMBERS[:3].tolist(), *CHANGED[3:7].tolist(), *NUMBERS[7:].tolist()]
    for _ in range(2):
        assert [array[row] for row in range(N)] == expected
    assert array[...].tolist() == expected


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_text(tmp_path: Path, zarr_format: int) -> None:
    store = written(tmp_path / "a.zarr", zarr_format=zarr_format)
    array = opened(store, "text")
    assert [array[row] for row in range(5)] == [f"a{row}" for row in range(5)]
    by_another_process(store, "text", slice(3, 7), ["new"] * 4)
    expected = [f"a{row}" for row in range(N)]
    expected[3:7] = ["new"] * 4
    assert [array[row] for row in range(N)] == expected
    assert array[...].tolist() == expected


def test_a_writer_of_this_process(tmp_path: Path) -> None:
    store = written(tmp_path / "a.zarr")
    reader, writer = opened(store), opened(store, mode="r+")
    assert [reader[row] for row in range(N)] == NUMBERS.tolist()
    writer[3:7] = CHANGED[3:7]
    expected = [*NUMBERS[:3].tolist(), *CHANGED[3:7].tolist(), *NUMBERS[7:].tolist()]
    for array in (reader, writer):
        assert [array[row] for row in range(N)] == expected


def test_a_file_that_was_changed_just_now_is_not_trusted(tmp_path: Path) -> None:
    """Two changes within one tick of the clock leave the same time, and the size is the same, too."""
    store = written(tmp_path / "a.zarr", chunks=(N,), compressor=False)
    (chunk,) = (store / "data").glob("c*")
    array = opened(store)
    for number in range(200):
        with open(chunk, "r+b") as file:
            file.write(np.int32(number).tobytes())
        assert array[0] == number


def test_a_file_whose_time_is_put_back_is_another_one(tmp_path: Path) -> None:
    store = written(tmp_path / "a.zarr", chunks=(N,), compressor=False)
    (chunk,) = (store / "data").glob("c*")
    array = opened(store)
    assert array[0] == 0
    before = chunk.stat()
    chunk.write_bytes(CHANGED.tobytes())
    time.sleep(0.001)  # more than `TRUSTED_SECONDS`
    os.utime(chunk, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert array[0] == 100


def test_what_was_not_changed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = opened(written(tmp_path / "a.zarr"))
    assert [array[row] for row in range(N)] == NUMBERS.tolist()
    bytestore = array.hierarchy.bytestore
    monkeypatch.setattr(bytestore, "open_file", lambda key: pytest.fail(f"{key} is read again"))
    for _ in range(3):
        time.sleep(0.001)
        assert [array[row] for row in range(N)] == NUMBERS.tolist()


def test_a_store_that_is_not_local_stays_as_it_was_read() -> None:
    store = zarr.storage.MemoryStore()
    written(store)
    array = opened(store)
    assert array[:5].tolist() == NUMBERS[:5].tolist()
    changed = zarr.open_group(store, mode="r+")["data"]
    assert isinstance(changed, zarr.Array)
    changed[:] = CHANGED
    assert array[:5].tolist() == NUMBERS[:5].tolist()
    assert opened(store)[...].tolist() == CHANGED.tolist()
