"""A task names a region of an array; the worker reads, writes, and returns what came of it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis.extra import numpy as hnp
from zarr.storage import MemoryStore

from hdmf_zarr.core.dtypes import TEXT, ElementType
from hdmf_zarr.errors import EncodingError, OptionError
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.parallel import tasks
from hdmf_zarr.write.parallel.tasks import (
    KEPT,
    ArrayRegions,
    ArrayTarget,
    Elements,
    Failed,
    IteratorRegions,
    PlainRegions,
    RegionTask,
    SourceName,
    SourceWanted,
    StoredTarget,
    Written,
    forget,
    run_task,
)
from tests.iterators import ArrayIterator
from tests.unit.conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))
VALUES = np.arange(1, 13, dtype="<i2").reshape(4, 3)
WHOLE = (slice(0, 4), slice(0, 3))


class Regions:
    """Reads an array, and counts."""

    made = 0

    def __init__(self, values: Any = VALUES) -> None:
        self.values, self.n_read = values, 0

    def __reduce__(self) -> Any:
        return _made_again, (self.values,)

    def read(self, region: Any) -> Any:
        self.n_read += 1
        return self.values[region]


def _made_again(values: Any) -> Regions:
    Regions.made += 1
    return Regions(values)


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    Regions.made = 0
    forget()
    yield
    forget()


@pytest.fixture
def array() -> zarr.Array[Any]:
    return zarr.create_array(MemoryStore(), name="a", shape=(4, 3), chunks=(2, 3), dtype="<i2")


def target(array: Any, key: str = "a") -> StoredTarget:
    return StoredTarget(key=key, where="here", store=array.store, path="a")


def task(array: Any, region: Any = WHOLE, **more: Any) -> RegionTask:
    return RegionTask(target=target(array), region=region, **more)


def halves() -> Any:
    return (slice(0, 2), slice(0, 3)), (slice(2, 4), slice(0, 3))


# -- elements that are sent ------------------------------------------------------------------------


@given(
    hnp.arrays(
        hnp.scalar_dtypes() | hnp.byte_string_dtypes(min_len=1),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
    )
)
def test_elements_arrive_as_they_were_sent(values: Any) -> None:
    found = pickle.loads(pickle.dumps(Elements(values))).elements
    assert (found.dtype, found.shape) == (values.dtype, values.shape)
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "values",
    [
        np.array(["a", "ü"], object),
        np.array(["a", "ü"], np.dtypes.StringDType()),
        np.array([(1, "a")], [("n", "i4"), ("t", object)]),
        VALUES.T,
        VALUES[::2],
    ],
)
def test_text_and_other_orders_arrive_too(values: Any) -> None:
    found = pickle.loads(pickle.dumps(Elements(values))).elements
    assert found.tolist() == values.tolist()
    assert found.dtype == values.dtype


# -- tasks -----------------------------------------------------------------------------------------


def test_values_are_written(array: Any) -> None:
    assert run_task(task(array, values=Elements(VALUES))) == Written(24)
    np.testing.assert_array_equal(array[...], VALUES)


@pytest.mark.parametrize("fills", [True, False])
def test_pieces_are_read_and_written(array: Any, fills: Any) -> None:
    source = Regions()
    name = SourceName(key="s", held=source)
    found = run_task(task(array, source=name, pieces=halves(), fills=fills))
    assert found == Written(24)
    assert source.n_read == 2
    np.testing.assert_array_equal(array[...], VALUES)


def test_pieces_that_do_not_fill_leave_the_rest(array: Any) -> None:
    name = SourceName(key="s", held=Regions())
    found = run_task(task(array, source=name, pieces=halves()[1:], fills=False))
    assert found == Written(12)
    assert array[:2].tolist() == [[0] * 3] * 2
    np.testing.assert_array_equal(array[2:], VALUES[2:])


def test_a_source_is_wanted_and_kept(array: Any) -> None:
    nameless = task(array, source=SourceName(key="s"), pieces=halves())
    assert run_task(nameless) == SourceWanted()
    pickled = SourceName(key="s", pickled=pickle.dumps(Regions()))
    assert run_task(task(array, source=pickled, pieces=halves())) == Written(24)
    assert run_task(nameless) == Written(24)
    assert run_task(task(array, source=pickled, pieces=halves())) == Written(24)
    assert Regions.made == 1
    forget()
    assert run_task(nameless) == SourceWanted()


def test_only_the_last_few_sources_are_kept(array: Any) -> None:
    def name(number: int, *, pickled: bool = True) -> SourceName:
        encoded = pickle.dumps(Regions()) if pickled else None
        return SourceName(key=f"s{number}", pickled=encoded)

    for number in range(KEPT):
        run_task(task(array, source=name(number), pieces=halves()))
    run_task(task(array, source=name(0, pickled=False), pieces=halves()))
    run_task(task(array, source=name(KEPT), pieces=halves()))
    assert run_task(task(array, source=name(0, pickled=False), pieces=halves())) == Written(24)
    assert run_task(task(array, source=name(1, pickled=False), pieces=halves())) == SourceWanted()


def test_a_progress_bar_is_not_shown_again(array: Any, capfd: Any) -> None:
    iterator = ArrayIterator(VALUES, buffer_shape=(4, 3), chunk_shape=(2, 3), display_progress=True)
    iterator.progress_bar.close()
    capfd.readouterr()
    made = tasks._made_source(pickle.dumps(IteratorRegions(iterator, INT16)))
    assert made.iterator.display_progress is False
    assert capfd.readouterr().err == ""
    np.testing.assert_array_equal(made.read(WHOLE), VALUES)


# -- failures --------------------------------------------------------------------------------------


class Odd(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    ("error", "is_sent"),
    [(ValueError("no"), True), (SystemExit("leaves"), True), (Odd(1, 2), False)],
)
def test_a_failure_is_a_result(array: Any, error: BaseException, *, is_sent: bool) -> None:
    class Failing:
        def read(self, _region: Any) -> Any:
            raise error

    found = run_task(task(array, source=SourceName(key="s", held=Failing()), pieces=halves()))
    assert isinstance(found, Failed)
    assert found.message == f"{type(error).__name__}: {error}"
    assert "in read" in found.traceback
    assert found.worker.startswith("process ")
    assert (found.error is not None) is is_sent
    if found.error is not None:
        again = pickle.loads(found.error)
        assert (type(again), str(again)) == (type(error), str(error))


def test_an_interrupt_is_no_result(array: Any) -> None:
    class Interrupted:
        def read(self, _region: Any) -> Any:
            raise KeyboardInterrupt

    stopped = task(array, source=SourceName(key="s", held=Interrupted()), pieces=halves())
    with pytest.raises(KeyboardInterrupt):
        run_task(stopped)
    with pytest.raises(SystemExit):
        run_task(
            task(array, source=SourceName(key="t", held=_Leaving()), pieces=halves()), (Exception,)
        )


class _Leaving:
    def read(self, _region: Any) -> Any:
        raise SystemExit


@pytest.mark.parametrize("gives", [VALUES[:1], VALUES[:2].T, VALUES])
def test_elements_of_another_shape_are_refused(array: Any, gives: Any) -> None:
    class Wrong:
        def read(self, _region: Any) -> Any:
            return gives

    found = run_task(task(array, source=SourceName(key="s", held=Wrong()), pieces=halves()))
    assert isinstance(found, Failed)
    assert f"(2, 3) elements were asked for, and {gives.shape} were given" in found.message


# -- targets ---------------------------------------------------------------------------------------


def array_target(array: Any, **more: Any) -> ArrayTarget:
    said: dict[str, Any] = {
        "key": "t",
        "where": "here",
        "location": locate(array.store),
        "path": "a",
        "document": array.metadata.to_dict(),
        "element": INT16,
    }
    return ArrayTarget(**{**said, **more})


def test_an_array_of_a_store_is_written_by_its_document(array: Any) -> None:
    opened = array_target(array).open()
    assert opened.fill(WHOLE, [(piece, VALUES[piece]) for piece in halves()]) == 24
    np.testing.assert_array_equal(array[...], VALUES)


def test_another_store_of_the_same_name_is_noticed(array: Any) -> None:
    with pytest.raises(OptionError, match="does not see the folder or store .* that is written"):
        array_target(array, token="the-token").open()
    array_target(array, token="a/zarr.json").open()
    found = run_task(
        RegionTask(target=array_target(array, token="x"), region=WHOLE, values=Elements(VALUES))
    )
    assert isinstance(found, Failed)
    assert found.message.startswith("OptionError: ")


# -- sources ---------------------------------------------------------------------------------------


def test_an_iterator_gives_any_region() -> None:
    iterator = ArrayIterator(VALUES, buffer_shape=(2, 3), chunk_shape=(2, 3))
    region = (slice(1, 4), slice(0, 2))
    np.testing.assert_array_equal(IteratorRegions(iterator, INT16).read(region), VALUES[1:4, :2])
    wide = IteratorRegions(iterator, ElementType("number", np.dtype("<i8"))).read(region)
    assert wide.dtype == np.dtype("<i8")
    assert IteratorRegions(iterator, None).read(region).dtype == np.dtype("<i2")
    halves_ = ArrayIterator(VALUES + 0.5, buffer_shape=(2, 3), chunk_shape=(2, 3))
    with pytest.raises(EncodingError, match="an iterator that had declared int16 gave float64"):
        IteratorRegions(halves_, INT16).read(region)


def test_arrays_of_stores_give_any_region(make_array: MakeArray) -> None:
    region = (slice(1, 3), slice(0, 3))
    stored = ArrayRegions(make_array(VALUES, INT16)).read(region)
    np.testing.assert_array_equal(stored, VALUES[1:3])
    plain = zarr.create_array(MemoryStore(), data=VALUES)
    np.testing.assert_array_equal(PlainRegions(plain, INT16).read(region), VALUES[1:3])
    text = zarr.create_array(MemoryStore(), data=np.array(["a", "b"], dtype="T"))
    found = PlainRegions(text, TEXT).read((slice(0, 2),))
    assert (found.dtype, found.tolist()) == (np.dtype(object), ["a", "b"])
