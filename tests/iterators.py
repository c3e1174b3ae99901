"""Iterators of data for tests, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk, GenericDataChunkIterator

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.write.job import WriteSource, write_tree
from hdmf_zarr.write.options import WriteOptions


class ArrayIterator(GenericDataChunkIterator):
    """Gives an array in buffers; can be pickled."""

    def __init__(self, array: np.ndarray, **options: Any) -> None:
        self.array, self.options = array, options
        super().__init__(**options)

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return self.array[selection]

    def _get_maxshape(self) -> tuple[int, ...]:
        return self.array.shape

    def _get_dtype(self) -> np.dtype:
        return self.array.dtype

    def _to_dict(self) -> dict[str, Any]:
        return {"array": self.array, **self.options}

    @classmethod
    def _from_dict(cls, state: dict[str, Any]) -> ArrayIterator:  # type: ignore[override]
        return cls(**state)


class WhereWritten(ArrayIterator):
    """Gives the process that reads each element."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return np.full_like(self.array[selection], os.getpid())


class SlowToMake(ArrayIterator):
    """Takes its time to be made again, so that others are made meanwhile."""

    @classmethod
    def _from_dict(cls, state: dict[str, Any]) -> ArrayIterator:  # type: ignore[override]
        time.sleep(0.1)
        return super()._from_dict(state)


class SeveralWhereWritten(WhereWritten):
    """Takes its time, so that every worker gets something."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        time.sleep(0.05)
        return super()._get_data(selection)


class ThreadsOfProcess(ArrayIterator):
    """Gives the limits of threads of the process that reads."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        from numcodecs import blosc
        from threadpoolctl import threadpool_info

        pools = [pool["num_threads"] for pool in threadpool_info()]
        data = np.zeros_like(self.array[selection])
        data[..., 0] = max(pools, default=1)
        data[..., 1] = blosc.set_nthreads(blosc.get_nthreads())
        data[..., 2] = zarr.config.get("threading.max_workers") or 0
        data[..., 3] = int(os.environ.get("RAYON_NUM_THREADS", "0"))
        return data


class ThreadsOfZarrs(ArrayIterator):
    """Gives the process that reads, and how many threads zarrs has started in it.

    Reads an array of many chunks with zarr's own pipeline before, whose threads do not count.
    """

    def __init__(self, array: np.ndarray, other: str, **options: Any) -> None:
        self.other = other
        super().__init__(array, **options)

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        data = np.zeros_like(self.array[selection])
        data[:, 0] = os.getpid()
        data[:, 1] = self._n_started(zarr.open_array(self.other, mode="r"))
        return data

    def _n_started(self, array: zarr.Array) -> int:
        array[...]
        before = len(list(Path("/proc/self/task").iterdir()))
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            zarr.open_array(array.store, mode="r")[...]
        return len(list(Path("/proc/self/task").iterdir())) - before

    def _to_dict(self) -> dict[str, Any]:
        return {"array": self.array, "other": self.other, **self.options}


class PeakMemory(GenericDataChunkIterator):
    """Gives pairs of the process that reads and the most kilobytes it has had so far.

    Both are above `NOISE_BITS` of noise, which no quick codec makes smaller.
    """

    NOISE_BITS = 20
    NOISE, SHUFFLED = 0.64, 0.38  # what Blosc's lz4 leaves of them

    def __init__(self, rows: int, **options: Any) -> None:
        self.rows, self.options = rows, options
        self.noise = np.random.default_rng(0).integers(0, 1 << self.NOISE_BITS, (65_536, 2))
        super().__init__(**options)

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        status = Path("/proc/self/status").read_text().split()
        data = np.empty((selection[0].stop - selection[0].start, 2), dtype=np.int64)
        data[:] = os.getpid(), int(status[status.index("VmHWM:") + 1])
        data <<= self.NOISE_BITS
        data.reshape(-1, *self.noise.shape)[:] |= self.noise
        return data

    def _get_maxshape(self) -> tuple[int, ...]:
        return (self.rows, 2)

    def _get_dtype(self) -> np.dtype:
        return np.dtype("i8")

    def _to_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, **self.options}

    @staticmethod
    def _from_dict(state: dict[str, Any]) -> PeakMemory:
        return PeakMemory(**state)


class Failing(ArrayIterator):
    """Fails in the middle."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        if selection[0].start <= len(self.array) // 2 < selection[0].stop:
            raise RuntimeError("the amplifier is off")
        return super()._get_data(selection)


class Leaving(ArrayIterator):
    """Leaves Python in the middle."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        if selection[0].start <= len(self.array) // 2 < selection[0].stop:
            raise SystemExit(3)
        return super()._get_data(selection)


class Killed(ArrayIterator):
    """Kills the worker that reads the middle."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        if selection[0].start <= len(self.array) // 2 < selection[0].stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._get_data(selection)


class OpenFile(ArrayIterator):
    """Holds an open HDF5 dataset, which cannot be pickled."""

    def __init__(self, dataset: h5py.Dataset, **options: Any) -> None:
        super().__init__(dataset, **options)


class WithoutPickling(ArrayIterator):
    """Has not the methods that hdmf asks for."""

    def _to_dict(self) -> dict[str, Any]:
        return GenericDataChunkIterator._to_dict(self)


class WrongDtype(ArrayIterator):
    """Gives what its dtype cannot hold."""

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return self.array[selection] + 0.5


class Unordered(AbstractDataChunkIterator):
    """Gives any chunks, one after the other, in memory that it uses again."""

    def __init__(self, array: np.ndarray, selections: list[tuple[slice, ...]]) -> None:
        self.array, self.selections = array, iter(selections)
        self.memory = np.empty(array.size, array.dtype)

    def __iter__(self) -> Iterator[DataChunk]:
        return self

    def __next__(self) -> DataChunk:
        selection = next(self.selections)
        data = self.array[selection]
        room = self.memory[: data.size].reshape(data.shape)
        room[...] = data
        return DataChunk(room, selection)

    def recommended_chunk_shape(self) -> None:
        return None

    def recommended_data_shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def maxshape(self) -> tuple[int, ...]:
        return self.array.shape


class SomeSelections(ArrayIterator):
    """Gives some selections only, which may overlap; each with a value of its own."""

    def __init__(
        self, array: np.ndarray, selections: list[tuple[slice, ...]], **options: Any
    ) -> None:
        super().__init__(array, **options)
        self.selections = selections
        self.buffer_selection_generator = iter(selections)

    def _to_dict(self) -> dict[str, Any]:
        return {"array": self.array, "selections": self.selections, **self.options}


def write(
    path: Any,
    datasets: dict[str, Any],
    *,
    spec: Any = None,
    are_started: bool = False,
    **options: Any,
) -> None:
    """Write datasets into a new store; a value may be (data, options of ZarrDataIO).

    ``are_started`` waits for the workers, so that this process writes nothing.
    """
    builders = []
    for name, data in datasets.items():
        if isinstance(data, tuple):
            data = ZarrDataIO(data[0], **data[1])
        builders.append(DatasetBuilder(name, data))
    exhaust_dci = options.pop("exhaust_dci", True)
    queue = _queue(options)
    with ZarrIO(path, "w", **(spec or {})) as io, queue.workers() as workers:
        if are_started:
            workers.begin()
            workers.pool.wait()
        root = GroupBuilder("root", datasets=builders)
        source = WriteSource(builder=root, manager=io.manager)
        write_tree(io._session, source, WriteOptions(exhaust_dci=exhaust_dci, queue=queue))


def _queue(options: dict[str, Any]) -> Any:
    from hdmf_zarr.utils import ZarrIODataChunkIteratorQueue

    if "queue" in options:
        return options["queue"]
    return ZarrIODataChunkIteratorQueue(**options)


def read(path: Any, name: str = "data", **options: Any) -> np.ndarray:
    """Return a dataset of a store."""
    with ZarrIO(path, "r", **options) as io:
        return np.asarray(io.read_builder()[name].data[...])


def leftovers(folder: Path) -> list[str]:
    """What a failed write may have left."""
    return sorted(path.name for path in folder.iterdir() if "partial" in path.name)
