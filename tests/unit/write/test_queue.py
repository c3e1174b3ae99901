"""The queue of iterators: in turns, growing, in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
import zarr.dtype
from hdmf.data_utils import DataChunk, DataChunkIterator
from zarr.storage import MemoryStore

from hdmf_zarr.core.dtypes import element_type_from_numpy
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.array_document import array_document
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.utils import ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.chunks.append_buffer import GrowingArray
from hdmf_zarr.write.parallel.options import WorkerOptions


class Recorder:
    """Takes what the queue writes into an array, and notes what it was asked."""

    def __init__(self, name: str, shape: tuple[int, ...], log: list[Any]) -> None:
        self.name, self.shape, self.log = name, shape, log

    def resize(self, shape: tuple[int, ...]) -> None:
        self.log.append((self.name, "resize", tuple(shape)))
        self.shape = tuple(shape)

    def __setitem__(self, selection: Any, data: Any) -> None:
        self.log.append((self.name, "write", np.asarray(data).tolist()))


def iterator(values: Any, **options: Any) -> DataChunkIterator:
    return DataChunkIterator(data=iter(values), dtype=np.dtype("i4"), **options)


def test_iterators_are_written_in_turns() -> None:
    log: list[Any] = []
    queue = ZarrIODataChunkIteratorQueue()
    queue.append(Recorder("a", (9,), log), iterator([1, 2, 3], buffer_size=1))
    queue.append(Recorder("b", (9,), log), iterator([10, 20], buffer_size=1))
    queue.exhaust_queue()
    assert [(name, data) for name, _, data in log] == [
        ("a", [1]),
        ("b", [10]),
        ("a", [2]),
        ("b", [20]),
        ("a", [3]),
    ]
    assert len(queue) == 0


def test_an_array_grows_with_its_iterator() -> None:
    log: list[Any] = []
    queue = ZarrIODataChunkIteratorQueue()
    queue.append(Recorder("a", (0,), log), iterator([1, 2, 3], buffer_size=2))
    queue.exhaust_queue()
    assert log == [
        ("a", "resize", (2,)),
        ("a", "write", [1, 2]),
        ("a", "resize", (3,)),
        ("a", "write", [3]),
    ]


def test_an_array_that_is_large_enough_does_not_grow_or_shrink() -> None:
    log: list[Any] = []
    queue = ZarrIODataChunkIteratorQueue()
    queue.append(Recorder("a", (5, 9), log), iterator(np.ones((3, 2)), buffer_size=3))
    queue.exhaust_queue()
    assert [what for _, what, _ in log] == ["write"]


def test_the_data_are_those_of_the_iterators() -> None:
    queue = ZarrIODataChunkIteratorQueue()
    arrays = []
    sources = [np.arange(20).reshape(10, 2), np.arange(7).reshape(7, 1)]
    for position, source in enumerate(sources):
        array = zarr.create_array(
            MemoryStore(),
            name=f"a{position}",
            shape=(0, source.shape[1]),
            dtype="i4",
            chunks=(3, 1),
        )
        arrays.append(array)
        queue.append(array, iterator(source, buffer_size=2 + position))
    queue.exhaust_queue()
    for array, source in zip(arrays, sources, strict=True):
        np.testing.assert_array_equal(array[...], source)


def test_chunks_may_come_in_any_order() -> None:
    class Backwards:
        def __init__(self) -> None:
            self.rows = [3, 2, 1, 0]

        def __next__(self) -> DataChunk:
            if not self.rows:
                raise StopIteration
            row = self.rows.pop(0)
            return DataChunk(np.array([row * 10]), np.s_[row : row + 1])

    array = zarr.create_array(MemoryStore(), shape=(0,), dtype="i4", chunks=(3,))
    queue = ZarrIODataChunkIteratorQueue()
    queue.append(array, Backwards())  # type: ignore[arg-type]
    queue.exhaust_queue()
    assert array[...].tolist() == [0, 10, 20, 30]


def test_an_iterator_without_chunks_is_exhausted() -> None:
    queue = ZarrIODataChunkIteratorQueue()
    log: list[Any] = []
    queue.append(Recorder("a", (0,), log), iterator([]))
    queue.exhaust_queue()
    assert log == []


def test_an_empty_queue_is_exhausted() -> None:
    ZarrIODataChunkIteratorQueue().exhaust_queue()


def test_an_error_of_an_iterator_is_raised() -> None:
    def failing() -> Any:
        yield 1
        raise RuntimeError("the amplifier is off")

    queue = ZarrIODataChunkIteratorQueue()
    with pytest.raises(RuntimeError, match="the amplifier is off"):
        queue.append(Recorder("a", (5,), []), iterator(failing(), buffer_size=1))
        queue.exhaust_queue()


def test_the_options_of_a_queue_can_be_read() -> None:
    queue = ZarrIODataChunkIteratorQueue(1, None, None)
    assert (queue.number_of_jobs, queue.max_threads_per_process) == (1, None)
    assert (queue.multiprocessing_context, queue.executor) == (None, None)
    assert ZarrIODataChunkIteratorQueue(3, 2, "spawn").options == WorkerOptions(
        number_of_jobs=3, max_threads_per_process=2, multiprocessing_context="spawn"
    )


def test_several_jobs_write_what_is_no_array_with_one_process_and_a_warning() -> None:
    log: list[Any] = []
    queue = ZarrIODataChunkIteratorQueue(4)
    queue.append(Recorder("a", (5,), log), iterator(np.arange(5), buffer_size=2))
    with pytest.warns(UserWarning, match="a is written by one process"):
        queue.exhaust_queue()
    assert [data for _, _, data in log] == [[0, 1], [2, 3], [4]]


def test_workers_are_kept_until_the_outermost_context_ends() -> None:
    queue = ZarrIODataChunkIteratorQueue(2)
    with queue.workers() as outer, queue.workers() as inner:
        assert outer is inner
    with queue.workers() as later:
        assert later is not outer


class Growing:
    """What a growing array wrote, region by region."""

    def __init__(self, unit: int) -> None:
        document = array_document(
            shape=(0, 2),
            data_type=zarr.dtype.Int32(),
            chunk_grid_shape=(unit, 2),
            fill_value=0,
            codecs=({"name": "bytes", "configuration": {"endian": "little"}},),
            dimension_names=None,
            chunk_key_encoding={"name": "default"},
        )
        bytestore = open_bytestore(locate(MemoryStore()), read_only=False)
        element = element_type_from_numpy(np.dtype("i4"))
        self.log: list[Any] = []
        self.array = GrowingArray(
            Hierarchy(bytestore, {"": {}}), "a", document, element, n_threads=1
        )
        self.array.shipper = self

    def ship(self, region: tuple[slice, ...], values: np.ndarray) -> None:
        self.log.append((region[0].start, region[0].stop, values[:, 0].tolist()))

    def drain(self) -> None:
        self.log.append("drain")

    def give(self, start: int, stop: int) -> None:
        self.array.resize((max(stop, self.array.shape[0]), 2))
        self.array[start:stop] = np.repeat(np.arange(start, stop), 2).reshape(-1, 2)


def test_rows_are_shipped_in_whole_units() -> None:
    growing = Growing(unit=4)
    for start, stop in [(0, 3), (3, 5), (5, 6), (6, 17), (17, 18)]:
        growing.give(start, stop)
    assert growing.log == [(0, 4, [0, 1, 2, 3]), (4, 16, list(range(4, 16)))]
    growing.array.flush()
    assert growing.log[2:] == [(16, 18, [16, 17])]


def test_what_is_a_part_of_a_unit_is_written_here_after_the_others() -> None:
    growing = Growing(unit=4)
    growing.give(0, 4)
    growing.give(6, 9)
    growing.array.flush()
    assert growing.log == [(0, 4, [0, 1, 2, 3]), "drain", (8, 9, [8])]


def test_memory_that_is_used_again_does_not_change_rows_that_wait() -> None:
    growing = Growing(unit=4)
    memory = np.full((2, 2), 1, dtype="i4")
    growing.array.resize((4, 2))
    growing.array[0:2] = memory
    memory[...] = 2
    growing.array[2:4] = memory
    assert growing.log == [(0, 4, [1, 1, 2, 2])]
