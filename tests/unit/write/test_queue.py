"""The queue of iterators: in turns, growing, in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.data_utils import DataChunk, DataChunkIterator
from zarr.storage import MemoryStore

from hdmf_zarr.utils import ZarrIODataChunkIteratorQueue


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


def test_one_job_is_no_reason_to_warn() -> None:
    queue = ZarrIODataChunkIteratorQueue(1, None, None)
    assert (queue.number_of_jobs, queue.max_threads_per_process) == (1, None)


def test_several_jobs_are_set_aside_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="number_of_jobs=4 is set aside"):
        ZarrIODataChunkIteratorQueue(4).append(
            Recorder("a", (5,), []), iterator(np.arange(5), buffer_size=1)
        )
