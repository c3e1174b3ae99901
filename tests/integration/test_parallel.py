"""Many workers write one store: processes, threads, a cluster; what becomes of failures."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.data_utils import DataChunkIterator
from numcodecs import blosc
from packaging.version import Version
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.errors import HDMFZarrError, OptionError, WorkerError
from hdmf_zarr.utils import ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.parallel.options import WorkerOptions
from hdmf_zarr.write.parallel.pool import _process_pool
from hdmf_zarr.write.parallel.tasks import (
    IteratorRegions,
    RegionTask,
    SourceName,
    _find_source,
    forget,
)
from tests.iterators import (
    ArrayIterator,
    Failing,
    Killed,
    Leaving,
    OpenFile,
    PeakMemory,
    SeveralWhereWritten,
    SlowToMake,
    ThreadsOfProcess,
    ThreadsOfZarrs,
    WhereWritten,
    WithoutPickling,
    WrongDtype,
    leftovers,
    read,
    write,
)

RECORDING = np.arange(4000 * 6, dtype=np.int32).reshape(4000, 6)
BUFFERS: dict[str, Any] = {"buffer_shape": (100, 6), "chunk_shape": (100, 6)}


def iterator(
    kind: type[ArrayIterator] = ArrayIterator, array: Any = RECORDING, **options: Any
) -> Any:
    return kind(array, **(BUFFERS | options))


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["generic", "rows"])
def test_buffers_smaller_than_chunks_lose_nothing(tmp_path, way):
    """Released versions let two processes change the same chunk, and lose half of the elements."""
    array = np.arange(4_000_000)
    if way == "generic":
        data: Any = ArrayIterator(array, buffer_shape=(100_000,), chunk_shape=(100_000,))
    else:
        data = DataChunkIterator(iter(array), buffer_size=100_000, dtype=array.dtype)
    write(tmp_path / "f.zarr", {"data": (data, {"chunks": (2_000_000,)})}, number_of_jobs=4)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), array)
    assert leftovers(tmp_path) == leftovers(tmp_path / "f.zarr") == []


@pytest.mark.parametrize("context", [None, "spawn", "forkserver", "fork"])
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_every_way_to_start_processes(tmp_path, context):
    started = threading.Event()
    thread = threading.Thread(target=started.wait)
    thread.start()
    try:
        data = (iterator(), {"chunks": (300, 4), "shards": (600, 4)})
        write(
            tmp_path / "f.zarr", {"data": data}, number_of_jobs=2, multiprocessing_context=context
        )
    finally:
        started.set()
        thread.join()
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="no fork server by default")
def test_what_the_user_has_a_fork_server_import_is_left(monkeypatch):
    server = importlib.import_module("multiprocessing.forkserver")._forkserver
    for chosen in (["__main__"], ["json"]):
        monkeypatch.setattr(server, "_preload_modules", chosen)
        _process_pool(WorkerOptions(number_of_jobs=2)).shutdown()
        assert ("hdmf_zarr.nwb" in server._preload_modules) == (chosen == ["__main__"])
    assert server._preload_modules == ["json"]


def test_several_processes_write_and_this_one_does_not(tmp_path):
    array = np.zeros((400, 1), dtype=np.int64)
    data = SeveralWhereWritten(array, buffer_shape=(10, 1), chunk_shape=(10, 1))
    write(tmp_path / "f.zarr", {"data": data}, number_of_jobs=2, are_started=True)
    writers = set(read(tmp_path / "f.zarr").ravel().tolist())
    assert len(writers) == 2
    assert os.getpid() not in writers


def test_several_datasets_are_written_at_the_same_time(tmp_path):
    datasets: dict[str, Any] = {f"data{i}": iterator(array=RECORDING + i) for i in range(3)}
    datasets["rows"] = DataChunkIterator(iter(RECORDING), buffer_size=70, maxshape=(None, 6),
                                         dtype=RECORDING.dtype)  # fmt: skip
    datasets["text"] = DataChunkIterator(iter(["a", "größer", ""]), maxshape=(None,), buffer_size=2)
    write(tmp_path / "f.zarr", datasets, number_of_jobs=2)
    for i in range(3):
        np.testing.assert_array_equal(read(tmp_path / "f.zarr", f"data{i}"), RECORDING + i)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr", "rows"), RECORDING)
    assert read(tmp_path / "f.zarr", "text").tolist() == ["a", "größer", ""]


def test_zarr_format_2(tmp_path):
    write(
        tmp_path / "f.zarr",
        {"data": (iterator(), {"chunks": (300, 4)})},
        spec={"zarr_format": 2},
        number_of_jobs=2,
    )
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "f.zarr", mode="r")["data"], RECORDING)


def test_an_iterator_is_appended_by_several_jobs(tmp_path):
    path = tmp_path / "f.nwb.zarr"
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    with NWBZarrIO(path, "w") as io:
        io.write(nwbfile, number_of_jobs=2)
    with NWBZarrIO(path, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(TimeSeries(name="ts", data=iterator(), unit="V", rate=1.0))
        io.write(nwbfile, number_of_jobs=2, max_threads_per_process=1)
    with NWBZarrIO(path, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], RECORDING)
    assert leftovers(path) == []


def test_the_users_own_array(tmp_path):
    array = zarr.create_array(tmp_path / "f.zarr", shape=(4000, 6), dtype="i4", chunks=(300, 4),
                              shards=(900, 4))  # fmt: skip
    array[...] = -1
    queue = ZarrIODataChunkIteratorQueue(number_of_jobs=2)
    queue.append(array, iterator())
    queue.exhaust_queue()
    assert len(queue) == 0
    np.testing.assert_array_equal(array[...], RECORDING)


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"number_of_jobs": 0},
        {"number_of_jobs": -1},
        {"number_of_jobs": 1.5},
        {"number_of_jobs": "2"},
        {"number_of_jobs": True},
        {"number_of_jobs": None},
        {"max_threads_per_process": 0},
        {"max_threads_per_process": "1"},
        {"multiprocessing_context": "threads"},
        {"executor": "dask"},
        {"executor": ThreadPoolExecutor},
    ],
)
def test_options_without_meaning_are_refused(tmp_path, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        ZarrIODataChunkIteratorQueue(**options)
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    with NWBZarrIO(tmp_path / "f.zarr", "w") as io, pytest.raises(OptionError):
        io.write(nwbfile, **options)
    assert list(tmp_path.iterdir()) == []


def test_threads_of_the_workers_are_limited(tmp_path):
    array = np.zeros((40, 4), dtype=np.int64)
    data = ThreadsOfProcess(array, buffer_shape=(10, 4), chunk_shape=(10, 4))
    write(
        tmp_path / "f.zarr",
        {"data": data},
        number_of_jobs=2,
        max_threads_per_process=1,
        are_started=True,
    )
    assert set(map(tuple, read(tmp_path / "f.zarr").tolist())) == {(1, 1, 1, 1)}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("context", [None, "spawn"])
def test_threads_that_zarrs_starts_in_the_workers_are_limited(tmp_path, limit, context):
    pytest.importorskip("zarrs")
    chunks = np.random.default_rng(0).random((200, 200))
    zarr.create_array(tmp_path / "other.zarr", data=chunks, chunks=(10, 10))
    data = ThreadsOfZarrs(
        np.zeros((40, 2), dtype=np.int64),
        str(tmp_path / "other.zarr"),
        buffer_shape=(10, 2),
        chunk_shape=(10, 2),
    )
    write(
        tmp_path / "f.zarr",
        {"data": data},
        number_of_jobs=2,
        max_threads_per_process=limit,
        multiprocessing_context=context,
        are_started=True,
    )
    found = read(tmp_path / "f.zarr")
    assert os.getpid() not in found[:, 0]
    for worker in np.unique(found[:, 0]):
        assert found[found[:, 0] == worker, 1].max() == limit


def test_this_process_writes_while_the_workers_start(tmp_path):
    array = np.zeros((4000, 1), dtype=np.int64)
    data = WhereWritten(array, buffer_shape=(10, 1), chunk_shape=(10, 1))
    write(tmp_path / "f.zarr", {"data": data}, number_of_jobs=2, max_threads_per_process=1)
    written = read(tmp_path / "f.zarr").ravel()
    assert written[0] == os.getpid()
    assert (written > 0).all()
    # The limit is that of the workers.
    assert zarr.config.get("threading.max_workers") != 1


def test_an_executor_starts_its_workers_itself():
    with ThreadPoolExecutor(1) as pool, pytest.warns(UserWarning, match="multiprocessing_context"):
        ZarrIODataChunkIteratorQueue(2, multiprocessing_context="spawn", executor=pool)


def test_threads_of_this_process_are_not_limited():
    with ThreadPoolExecutor(1) as pool, pytest.warns(UserWarning, match="max_threads_per_process"):
        ZarrIODataChunkIteratorQueue(2, 1, executor=pool)


def test_a_store_in_memory_is_given_up_when_it_is_written():
    store = MemoryStore()
    with ThreadPoolExecutor(2) as pool:
        write(store, {"data": iterator()}, executor=pool)
    reference = weakref.ref(store)
    del store
    gc.collect()
    assert reference() is None


def test_the_wrapper_initializes_the_processes_of_any_pool():
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(
        1,
        mp_context=get_context("spawn"),
        initializer=ZarrIODataChunkIteratorQueue.initializer_wrapper,
        initargs=(pow, _ten, (), 1),
    ) as pool:
        results = list(pool.map(ZarrIODataChunkIteratorQueue.function_wrapper, [(2,), (3,)]))
    assert results == [100, 1000]


def _ten() -> int:
    return 10


def test_a_process_that_was_not_initialized_says_so(monkeypatch):
    monkeypatch.setattr("hdmf_zarr.write.parallel.threads._operation", None)
    with pytest.raises(RuntimeError, match="initializer_wrapper"):
        ZarrIODataChunkIteratorQueue.function_wrapper((1,))


# -- executors -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as running,
        distributed.Client(running) as client,
    ):
        yield client.get_executor()


@pytest.mark.parametrize("way", ["generic", "rows"])
def test_a_cluster_of_dask_writes(tmp_path, cluster, way):
    if way == "generic":
        data: Any = iterator()
    else:
        data = DataChunkIterator(
            iter(RECORDING), buffer_size=70, maxshape=(None, 6), dtype=RECORDING.dtype
        )
    data = (data, {"chunks": (300, 4), "shards": (600, 4)})
    write(tmp_path / "f.zarr", {"data": data}, number_of_jobs=2, executor=cluster)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)
    # It is the user's, and goes on.
    assert cluster.submit(pow, 2, 3).result() == 8


def test_workers_of_a_cluster_are_other_processes(tmp_path, cluster):
    array = np.zeros((400, 1), dtype=np.int64)
    data = SeveralWhereWritten(array, buffer_shape=(10, 1), chunk_shape=(10, 1))
    write(tmp_path / "f.zarr", {"data": data}, executor=cluster, max_threads_per_process=1)
    writers = set(read(tmp_path / "f.zarr").ravel().tolist())
    assert len(writers) == 2
    assert os.getpid() not in writers


def test_a_cluster_in_this_process_leaves_its_settings_alone(tmp_path):
    """Its executor does not tell that its workers are threads."""
    distributed = pytest.importorskip("distributed")
    before = dict(os.environ), zarr.config.get("threading.max_workers"), blosc.get_nthreads()
    with (
        distributed.LocalCluster(processes=False, dashboard_address=":0") as running,
        distributed.Client(running) as client,
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always")
        write(
            tmp_path / "f.zarr",
            {"data": iterator()},
            executor=client.get_executor(),
            max_threads_per_process=1,
        )
    found = [str(one.message) for one in told if "is ignored" in str(one.message)]
    assert len(found) == 1
    assert found[0].startswith("max_threads_per_process is ignored")
    after = dict(os.environ), zarr.config.get("threading.max_workers"), blosc.get_nthreads()
    assert after == before
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)


def test_threads_that_are_sent_iterators_leave_the_standard_error_alone():
    before = sys.stderr
    sent = pickle.dumps(IteratorRegions(iterator(SlowToMake), None))

    def find(number: int) -> Any:
        time.sleep(0.01 * number)
        source = SourceName(key=f"{number}", pickled=sent)
        return _find_source(RegionTask(target=None, region=(), source=source))

    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(find, range(4)))
    forget()
    assert sys.stderr is before
    np.testing.assert_array_equal(found[3].read(np.s_[:5, :]), RECORDING[:5])


def test_an_iterator_larger_than_a_task_is_sent_where_it_is_wanted(tmp_path, cluster):
    array = np.arange(200_000).reshape(2000, 100)
    data = ArrayIterator(array, buffer_shape=(50, 100), chunk_shape=(50, 100))
    write(tmp_path / "f.zarr", {"data": data}, executor=cluster, number_of_jobs=2)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), array)


def test_a_failure_in_a_cluster_reaches_the_caller(tmp_path, cluster):
    with pytest.raises(WorkerError, match="the amplifier is off"):
        write(tmp_path / "f.zarr", {"data": iterator(Failing)}, executor=cluster)
    assert not (tmp_path / "f.zarr").exists()


def test_threads_write_what_cannot_be_pickled(tmp_path):
    with (
        h5py.File(tmp_path / "f.h5", "w") as file,
        ThreadPoolExecutor(2) as pool,
        warnings.catch_warnings(action="error"),
    ):
        dataset = file.create_dataset("d", data=RECORDING)
        write(tmp_path / "f.zarr", {"data": iterator(OpenFile, dataset)}, executor=pool)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)


def test_threads_write_into_memory():
    store = MemoryStore()
    with ThreadPoolExecutor(2) as pool, warnings.catch_warnings(action="error"):
        write(store, {"data": (iterator(), {"chunks": (300, 4)})}, executor=pool, number_of_jobs=2)
    np.testing.assert_array_equal(read(store), RECORDING)


def test_write_and_export_take_an_executor(tmp_path):
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    data = iterator(WhereWritten)
    nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="V", rate=1.0))
    names: set[str] = set()

    class Noting(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
            names.add(function.__name__)
            return super().submit(function, *args, **kwargs)

    with Noting(2) as pool:
        with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
            io.write(nwbfile, executor=pool)
        assert names == {"run_task"}
        with NWBZarrIO(tmp_path / "f.zarr", "r") as src, NWBZarrIO(tmp_path / "o.zarr", "w") as io:
            io.export(src, executor=pool)
        assert pool.submit(pow, 2, 3).result() == 8


# -- stores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", "fsspec", "obstore", "url"])
def test_stores_that_other_processes_reach(tmp_path, kind):
    fsspec = pytest.importorskip("fsspec")
    path = tmp_path / "f.zarr"
    if kind == "local":
        store: Any = LocalStore(path)
    elif kind == "fsspec":
        fs = fsspec.filesystem("file", auto_mkdir=True)
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

        store = FsspecStore(AsyncFileSystemWrapper(fs, asynchronous=True), path=str(path))
    elif kind == "obstore":
        obstore = pytest.importorskip("obstore")
        path.mkdir()
        store = ObjectStore(obstore.store.LocalStore(str(path)))
    else:
        store = f"local://{path}"
    options = {"storage_options": {"auto_mkdir": True}} if kind == "url" else {}
    array = np.zeros((400, 1), dtype=np.int64)
    data = SeveralWhereWritten(array, buffer_shape=(10, 1), chunk_shape=(10, 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*one process")
        write(store, {"data": data}, spec=options, number_of_jobs=2, are_started=True)
    writers = set(read(path).ravel().tolist())
    assert len(writers) == 2
    assert os.getpid() not in writers


@pytest.mark.parametrize("kind", ["zarr", "url", "obstore", "wrapped"])
def test_a_store_in_memory_is_written_here_with_a_warning(kind):
    pytest.importorskip("fsspec")
    if kind == "zarr":
        store: Any = MemoryStore()
    elif kind == "url":
        store = "memory://parallel/f.zarr"
    elif kind == "wrapped":
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
        from fsspec.implementations.dirfs import DirFileSystem
        from fsspec.implementations.memory import MemoryFileSystem

        inner = AsyncFileSystemWrapper(MemoryFileSystem(), asynchronous=True)
        store = FsspecStore(DirFileSystem("/wrapped", inner, asynchronous=True), path="f.zarr")
    else:
        store = ObjectStore(pytest.importorskip("obstore").store.MemoryStore())
    with pytest.warns(UserWarning, match="/data is written by one process: only this process"):
        write(store, {"data": iterator()}, number_of_jobs=2)
    np.testing.assert_array_equal(read(store), RECORDING)


def test_workers_that_do_not_see_the_folder_say_so(tmp_path):
    from hdmf_zarr.write.parallel.store_handles import Places

    class Elsewhere(Places):
        def _token(self, uri: str, bytestore: Any) -> str:
            return super()._token(uri, bytestore) + "-of-another-machine"

    queue = ZarrIODataChunkIteratorQueue(number_of_jobs=2)
    with queue.workers() as workers:
        workers.places = Elsewhere(queue.options)
        with pytest.raises(WorkerError, match="does not see the folder"):
            write(tmp_path / "f.zarr", {"data": iterator()}, queue=queue)
    assert not (tmp_path / "f.zarr").exists()


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "what"), [
    (OpenFile, r"its array \(h5py._hl.dataset.Dataset\): h5py objects cannot be pickled"),
    (WithoutPickling, "_to_dict"),
])  # fmt: skip
def test_an_iterator_that_cannot_be_pickled_is_written_here_with_a_warning(tmp_path, kind, what):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = iterator(kind, file.create_dataset("d", data=RECORDING))
        with pytest.warns(UserWarning, match=f"/data is written by one process: .*{what}"):
            write(tmp_path / "f.zarr", {"data": data, "other": iterator()}, number_of_jobs=2)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr", "other"), RECORDING)


def test_the_first_failure_stops_the_rest_and_reaches_the_caller(tmp_path):
    with pytest.raises(WorkerError) as caught:
        write(tmp_path / "f.zarr", {"data": iterator(Failing)}, number_of_jobs=2)
    message = str(caught.value)
    assert f"{tmp_path / 'f.zarr'}:/data: region [2000:2100, 0:6] failed" in message
    assert "RuntimeError: the amplifier is off" in message
    assert "in _get_data" in message  # the worker's traceback
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_store_that_was_there(tmp_path):
    write(tmp_path / "f.zarr", {"data": iterator()})
    with pytest.raises(WorkerError):
        write(tmp_path / "f.zarr", {"data": iterator(Failing)}, number_of_jobs=2)
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), RECORDING)
    assert [path.name for path in tmp_path.iterdir()] == ["f.zarr"]


def test_a_worker_that_leaves_python_is_a_failure(tmp_path):
    with pytest.raises(WorkerError, match=r"region \[2000:2100, 0:6\] failed .*SystemExit: 3"):
        write(
            tmp_path / "f.zarr",
            {"data": iterator(Leaving)},
            number_of_jobs=2,
            are_started=True,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("context", [None, "spawn"])
def test_a_killed_worker_is_a_failure(tmp_path, context):
    with pytest.raises(WorkerError, match=r"/data: region .* was ended from outside"):
        write(
            tmp_path / "f.zarr",
            {"data": iterator(Killed)},
            number_of_jobs=2,
            are_started=True,
            multiprocessing_context=context,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("given", [(), (1, 2), (49, 2), (100, 2), (2, 50)], ids=str)
@pytest.mark.parametrize("chunks", [(50, 2), (30, 1), (200, 1)], ids=str)
@pytest.mark.parametrize("columns", [2, 4])
def test_more_or_fewer_elements_than_an_iterator_says_are_an_error(
    tmp_path, jobs, given, chunks, columns
):
    """They are neither cut off nor repeated."""

    class WrongShape(ArrayIterator):
        def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
            return np.ones(given)

    data = WrongShape(np.ones((100, columns)), buffer_shape=(50, 2), chunk_shape=(50, 2))
    with ThreadPoolExecutor(2) as executor, pytest.raises(HDMFZarrError) as raised:
        workers = {"executor": executor} if jobs > 1 else {}
        write(tmp_path / "f.zarr", {"data": (data, {"chunks": chunks})}, **workers)
    assert "f.zarr:/data" in str(raised.value)
    assert str(given) in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_an_iterator_says_of_which(tmp_path):
    with pytest.raises(RuntimeError, match="the amplifier is off") as raised:
        write(tmp_path / "f.zarr", {"data": iterator(Failing)})
    assert any("f.zarr:/data" in note for note in raised.value.__notes__)


@pytest.mark.parametrize("jobs", [1, 2])
def test_values_that_the_declared_dtype_cannot_hold_are_an_error(tmp_path, jobs):
    with pytest.raises(
        (WorkerError, ValueError), match="float64 with values that int32 cannot hold"
    ):
        write(tmp_path / "f.zarr", {"data": iterator(WrongDtype)}, number_of_jobs=jobs)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
    import sys, time
    import numpy as np
    from tests.iterators import ArrayIterator, write
    class Slow(ArrayIterator):
        def _get_data(self, selection):
            time.sleep({seconds})
            return super()._get_data(selection)
    def main():
        array = np.arange(4000)
        data = Slow(array, buffer_shape=(100,), chunk_shape=(100,))
        write(sys.argv[1], {{"data": data}}, number_of_jobs=2)
        print("done")
    {guard}
        main()
"""


def run_script(folder: Path, *, guard: str, seconds: float) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(guard=guard, seconds=seconds)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder / "f.zarr")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_script_may_define_its_iterator(tmp_path):
    process = run_script(tmp_path, guard='if __name__ == "__main__":', seconds=0)
    output, errors = process.communicate(timeout=120)
    assert output.splitlines() == ["done"], errors
    assert "one process" not in errors
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), np.arange(4000))


def test_a_script_without_a_guard_is_told_and_works(tmp_path):
    process = run_script(tmp_path, guard="if True:", seconds=0)
    output, errors = process.communicate(timeout=120)
    assert output.splitlines() == ["done"], errors
    assert "if __name__ ==" in errors
    assert "number_of_jobs=2 is ignored" in errors
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), np.arange(4000))


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    psutil = pytest.importorskip("psutil")
    process = run_script(tmp_path, guard='if __name__ == "__main__":', seconds=0.5)
    deadline = time.monotonic() + 60
    staging: list[Path] = []
    while time.monotonic() < deadline and not staging:
        staging = [path for path in tmp_path.rglob("c.*") if ".partial" in str(path)]
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert workers
    assert alive == []
    assert not (tmp_path / "f.zarr").exists()


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("buffer", "chunk", "unit", "is_noise"),
    [
        (8, 8, 8, True),
        (32, 4, 4, True),
        (8, 32, 32, False),
        (8, 32, 32, True),
        (20, 32, 32, False),
        (4, 4, 32, True),
        (12, 4, 32, True),
        (32, 4, 32, True),
        (20, 1, 32, True),
    ],
)
def test_a_worker_needs_two_buffers_and_a_unit(tmp_path, buffer, chunk, unit, is_noise):
    """In megabytes, of the memory that a worker really has."""
    rows = 65_536  # a megabyte
    shape = (buffer * rows, 2)
    data = PeakMemory(320 * rows, buffer_shape=shape, chunk_shape=shape)
    shuffle = numcodecs.Blosc.NOSHUFFLE if is_noise else numcodecs.Blosc.SHUFFLE
    options: dict[str, Any] = {
        "chunks": (chunk * rows, 2),
        "compressor": numcodecs.Blosc("lz4", clevel=1, shuffle=shuffle),
    }
    if unit != chunk:
        options["shards"] = (unit * rows, 2)
    write(tmp_path / "f.zarr", {"data": (data, options)}, number_of_jobs=2, are_started=True)
    found = read(tmp_path / "f.zarr") >> PeakMemory.NOISE_BITS
    assert (found > 0).all()
    bound = float(2 * buffer + unit)
    if chunk > buffer:
        # A codec has a whole chunk before itself and behind.
        encoded = chunk * (PeakMemory.NOISE if is_noise else PeakMemory.SHUFFLED)
        bound = max(bound, chunk + encoded)
        if Version(numcodecs.__version__) < Version("0.16"):
            # It has room for a chunk that does not become smaller, and for some more.
            bound = max(bound, 2 * (chunk + buffer))
    for worker in np.unique(found[:, 0]):
        peaks = found[found[:, 0] == worker, 1]
        # What is loaded once, and small pieces that the allocator keeps.
        assert (peaks.max() - peaks.min()) / 1024 <= bound + 3


# -- progress --------------------------------------------------------------------------------------


class Bar:
    """Notes what a progress bar is told."""

    made: list[Bar] = []  # noqa: RUF012

    def __init__(self, total: int | None = None, **options: Any) -> None:
        self.total, self.options, self.n, self.is_closed = total, options, 0, False
        self.made.append(self)

    def update(self, n: int = 1) -> None:
        if not self.is_closed:  # as tqdm
            self.n += n

    def close(self) -> None:
        self.is_closed = True

    def write(self, _text: str) -> None:
        """Take a line of text."""


@pytest.mark.parametrize("jobs", [1, 2])
def test_bars_count_each_byte_once(tmp_path, capfd, jobs):
    Bar.made = []
    shown = {"display_progress": True, "progress_bar_class": Bar}
    datasets = {
        "a": iterator(**shown, progress_bar_options={"desc": "mine"}),
        "b": iterator(**shown),
    }
    told: list[int] = []
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    for name, data in datasets.items():
        nwbfile.add_acquisition(TimeSeries(name=name, data=data, unit="V", rate=1.0))
    with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
        # One job writes them in turn where they are not exhausted one by one.
        io.write(nwbfile, number_of_jobs=jobs, progress=told.append, exhaust_dci=jobs > 1)
    own, bars = Bar.made[:2], Bar.made[2:]
    assert [(bar.n, bar.is_closed) for bar in own] == [(0, True), (0, True)]
    assert [(bar.n, bar.total) for bar in bars] == [(RECORDING.nbytes, RECORDING.nbytes)] * 2
    assert sorted(bar.options["desc"] for bar in bars) == ["/acquisition/b/data", "mine"]
    assert all(bar.options["unit"] == "B" and bar.is_closed for bar in bars)
    errors = capfd.readouterr().err
    assert "all datasets: 100%" in errors
    assert "192k/192k" in errors
    assert sum(told) >= 2 * RECORDING.nbytes


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kind", ["text", "stored wider"])
def test_a_bar_ends_where_it_said(tmp_path, kind, jobs):
    Bar.made = []
    values = np.array(["a", "größer"] * 50) if kind == "text" else np.arange(100, dtype="i2")
    data = ArrayIterator(
        values,
        buffer_shape=(15,),
        chunk_shape=(5,),
        display_progress=True,
        progress_bar_class=Bar,
    )
    with ThreadPoolExecutor(2) as executor:
        options = {"number_of_jobs": jobs, "executor": executor} if jobs > 1 else {}
        if kind == "text":
            write(tmp_path / "f.zarr", {"data": data}, **options)
        else:
            queue = ZarrIODataChunkIteratorQueue(**options)
            array = zarr.create_array(tmp_path / "a", shape=(100,), dtype="f8", chunks=(10,))
            queue.append(array, data)
            queue.exhaust_queue()
            np.testing.assert_array_equal(array[:], values)
    (bar,) = Bar.made[1:]
    assert bar.n == bar.total > 0


def test_no_bar_is_shown_that_was_not_asked_for(tmp_path, capfd):
    write(tmp_path / "f.zarr", {"a": iterator(), "b": iterator()}, number_of_jobs=2)
    assert "%" not in capfd.readouterr().err


def test_workers_show_no_bars_of_their_own(tmp_path, capfd):
    write(tmp_path / "f.zarr", {"data": iterator(display_progress=True)}, number_of_jobs=2)
    errors = capfd.readouterr().err
    assert "/data: 100%" in errors
    assert errors.count("| 0/40") <= 1


# -- exports ---------------------------------------------------------------------------------------

LARGE = np.random.default_rng(0).integers(0, 100, (40_000, 64), dtype=np.int32)


@pytest.fixture(scope="module")
def hdf5_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hdf5") / "f.nwb"
    nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=UTC))
    wrapped = H5DataIO(LARGE, chunks=(1000, 64), compression="gzip", compression_opts=1)
    nwbfile.add_acquisition(TimeSeries(name="ts", data=wrapped, unit="V", rate=1.0))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


@pytest.mark.parametrize("source", ["hdf5", "zarr"])
@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_what_has_to_be_encoded_anew_is_exported_in_parallel(
    tmp_path, hdf5_file, source, kind, monkeypatch
):
    from hdmf_zarr.write.parallel import workers

    regions: list[Any] = []
    original = workers.Workers.submit

    def noting(self: Any, task: Any, feed: Any) -> None:
        regions.append(task.region)
        original(self, task, feed)

    monkeypatch.setattr(workers.Workers, "submit", noting)
    path = hdf5_file
    if source == "zarr":
        path = tmp_path / "source.zarr"
        with NWBHDF5IO(hdf5_file, "r") as src, NWBZarrIO(path, "w") as io:
            io.export(src)
        regions.clear()
    options: dict[str, Any] = {
        "codecs": "default",
        "chunks": {"/acquisition/ts/data": (700, 50)},
        "number_of_jobs": 2,
    }
    told: list[int] = []
    with (NWBHDF5IO if source == "hdf5" else NWBZarrIO)(path, "r") as src:
        with NWBZarrIO(tmp_path / "f.zarr", "w") as io:
            if kind == "threads":
                with ThreadPoolExecutor(2) as pool:
                    io.export(src, executor=pool, progress=told.append, **options)
            else:
                io.export(src, progress=told.append, **options)
    assert len(regions) >= 8
    assert sum(told) >= LARGE.nbytes
    with NWBZarrIO(tmp_path / "f.zarr", "r") as io:
        data = io.read().acquisition["ts"].data
        assert data.chunks == (700, 50)
        np.testing.assert_array_equal(data[:], LARGE)


def test_a_source_that_only_this_process_can_open_is_written_here(tmp_path, caplog):
    store = MemoryStore()
    with ZarrIO(store, "w") as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", LARGE)]))
    with ZarrIO(store, "r") as src, caplog.at_level(logging.INFO, "hdmf_zarr"):
        with ZarrIO(tmp_path / "f.zarr", "w") as io:
            io.export(src, chunks={"/data": (700, 50)}, number_of_jobs=2)
    assert "only this one can open the source" in caplog.text
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), LARGE)


@pytest.mark.parametrize("shards", [None, (1400, 50)])
def test_an_array_of_the_users_store_is_read_by_the_workers(tmp_path, caplog, shards):
    array = zarr.create_array(tmp_path / "u.zarr", shape=LARGE.shape, dtype="i4", chunks=(999, 64))
    array[...] = LARGE
    data = (array, {"chunks": (700, 50)} | ({"shards": shards} if shards else {}))
    with caplog.at_level(logging.INFO, "hdmf_zarr"):
        write(tmp_path / "f.zarr", {"data": data}, number_of_jobs=2, are_started=True)
    assert "of this process" not in caplog.text
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), LARGE)


@pytest.mark.parametrize("kind", ["numpy", "zarr", "dask", "open"])
def test_arrays_in_memory_are_encoded_by_threads_and_the_log_says_so(tmp_path, caplog, kind):
    with h5py.File(tmp_path / "u.h5", "w") as file, contextlib.ExitStack() as stack:
        if kind == "numpy":
            array: Any = LARGE
        elif kind == "zarr":
            array = zarr.create_array(MemoryStore(), data=LARGE)
        elif kind == "dask":
            array = pytest.importorskip("dask.array").from_array(LARGE, chunks=(9999, 64))
            # Whatever cluster another test has started.
            stack.enter_context(pytest.importorskip("dask").config.set(scheduler="threads"))
        else:
            array = file.create_dataset("d", data=LARGE)
        with caplog.at_level(logging.INFO, "hdmf_zarr"), warnings.catch_warnings(action="error"):
            data = (array, {"chunks": (700, 50), "shards": (2100, 50)})
            write(tmp_path / "f.zarr", {"data": data}, number_of_jobs=11)
    assert "/data is written by 11 threads of this process" in caplog.text
    np.testing.assert_array_equal(read(tmp_path / "f.zarr"), LARGE)
    np.testing.assert_array_equal(
        LARGE, np.random.default_rng(0).integers(0, 100, LARGE.shape, "i4")
    )


@pytest.mark.parametrize(
    ("jobs", "limit", "expected"), [(1, 3, 3), (4, 2, 8), (50, None, 50), (1, 1, 1)]
)
def test_threads_of_this_process_that_encode(jobs, limit, expected):
    assert ZarrIODataChunkIteratorQueue(jobs, limit).options.n_threads == expected


def test_a_unit_that_is_larger_than_memory_should_be_is_exported_in_pieces(tmp_path, hdf5_file):
    """The whole dataset is one shard, read in pieces of whole chunks."""
    options: dict[str, Any] = {
        "codecs": "default",
        "chunks": {"/acquisition/ts/data": (700, 50)},
        "shards": {"/acquisition/ts/data": (40_600, 100)},
    }
    for jobs in (1, 2):
        with NWBHDF5IO(hdf5_file, "r") as src, NWBZarrIO(tmp_path / f"{jobs}.zarr", "w") as io:
            io.export(src, number_of_jobs=jobs, **options)
        with NWBZarrIO(tmp_path / f"{jobs}.zarr", "r") as io:
            np.testing.assert_array_equal(io.read().acquisition["ts"].data[:], LARGE)


def test_the_same_bytes_with_one_job_and_with_several(tmp_path):
    options = {"chunks": (300, 4), "shards": (900, 4)}
    for jobs in (1, 2):
        data = ZarrDataIO(iterator(), **options)
        write(tmp_path / f"{jobs}.zarr", {"data": data}, number_of_jobs=jobs)
    files = [
        {
            path.relative_to(tmp_path / f"{jobs}.zarr"): path.read_bytes()
            for path in (tmp_path / f"{jobs}.zarr").rglob("*")
            if path.is_file()
        }
        for jobs in (1, 2)
    ]
    assert files[0] == files[1]
