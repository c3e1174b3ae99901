"""A row is added to all columns of a table or to none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hdmf.common import AlignedDynamicTable, DynamicTable, EnumData, VectorData, VectorIndex
from hdmf.container import Data
from hdmf.data_utils import DataIO

from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.errors import DtypeError, EncodingError, OptionError
from hdmf_zarr.read.appendable import make_appendable
from hdmf_zarr.read.rows import RowGuard, _elements, _innermost, _undo_of, guard_tables
from tests.unit.conftest import MakeArray

INT64 = ElementType("number", np.dtype("<i8"))
INT8 = ElementType("number", np.dtype("i1"))


def in_memory() -> DynamicTable:
    table = DynamicTable(name="t", description="d")
    table.add_column("a", "numbers")
    table.add_column("r", "ragged", index=True)
    table.add_row(a=1, r=[1, 2])
    return table


@pytest.fixture
def stored(make_array: MakeArray) -> DynamicTable:
    """A table with its columns in a store: ``a`` holds int8, ``r`` is ragged."""

    def column(values: Any, name: str, element: ElementType = INT64) -> Any:
        return make_array(values, element, path=f"t/{name}")

    a = VectorData(name="a", description="a", data=column([1], "a", INT8))
    r = VectorData(name="r", description="r", data=column([1, 2], "r"))
    index = VectorIndex(name="r_index", target=r, data=column([2], "r_index"))
    return DynamicTable(
        name="t", description="d", columns=[a, r, index], colnames=["a", "r"], id=column([0], "id")
    )


def lengths(table: DynamicTable) -> dict[str, int]:
    every = {column.name: len(column.data) for column in (table.id, *table.columns)}
    return {name: every[name] for name in sorted(every)}


ONE = {"a": 1, "id": 1, "r": 2, "r_index": 1}
TWO = {"a": 2, "id": 2, "r": 5, "r_index": 2}


@pytest.fixture(params=["memory", "stored"])
def table(request: pytest.FixtureRequest) -> DynamicTable:
    return in_memory() if request.param == "memory" else request.getfixturevalue("stored")


class Odd:
    """No column takes it."""


def guarded(table: DynamicTable) -> RowGuard:
    (guard,) = make_appendable(table)
    return guard


# -- all or none -----------------------------------------------------------------------------------


def test_a_row_goes_to_every_column(table: DynamicTable) -> None:
    guard = guarded(table)
    table.add_row(a=2, r=[3, 4, 5])
    assert lengths(table) == TWO
    assert not guard.is_adding
    assert list(table["a"].data[:]) == [1, 2]


@pytest.mark.parametrize("column", ["a", "r"])
def test_a_failure_in_a_later_column_takes_the_others_back(
    table: DynamicTable, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise OSError("the disk is full")

    kind = VectorIndex if column == "r" else VectorData
    guarded(table)
    with monkeypatch.context() as patch:
        patch.setattr(kind, "add_vector" if column == "r" else "add_row", fail)
        with pytest.raises(OSError, match="the disk is full"):
            table.add_row(a=2, r=[3])
    assert lengths(table) == ONE
    assert list(table["a"].data[:]) == [1]


def test_a_row_that_was_interrupted_is_removed_before_the_next(table: DynamicTable) -> None:
    guard = guarded(table)
    guard._expect({"a": 2, "r": [3]})
    table.id.append(1)
    assert guard.is_adding
    assert lengths(table)["id"] == 2
    with pytest.warns(UserWarning, match="table 't': adding a row was interrupted"):
        guard.settle(warn=True)
    assert lengths(table) == ONE
    table.id.append(1)
    guard.settle()
    table.add_row(a=2, r=[3, 4, 5])


def test_settling_without_a_row_does_nothing(table: DynamicTable) -> None:
    guard = guarded(table)
    guard.settle(warn=True)
    table.add_row(a=2, r=[3, 4, 5])
    guard.settle(warn=True)
    assert lengths(table) == TWO


# -- what is refused before anything grows ---------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": "text", "r": [3]}, "column 'a'"),
        ({"a": 0.5, "r": [3]}, "column 'a'"),
        ({"a": 2, "r": ["text"]}, "column 'r'"),
        ({"a": Odd(), "r": [3]}, "column 'a'"),
    ],
)
def test_a_value_that_a_column_cannot_hold_is_named(
    stored: DynamicTable, row: dict[str, Any], message: str
) -> None:
    guarded(stored)
    with pytest.raises((DtypeError, EncodingError), match=f"table 't', {message}: "):
        stored.add_row(**row)
    assert lengths(stored) == ONE


def test_a_value_without_a_column_is_refused(table: DynamicTable) -> None:
    guarded(table)
    with pytest.raises(OptionError, match=r"table 't': row data keys don't match .* \['other'\]"):
        table.add_row(a=2, r=[3], other=4)
    assert lengths(table) == ONE


def test_a_missing_value_is_refused(table: DynamicTable) -> None:
    guarded(table)
    with pytest.raises(ValueError, match="r"):
        table.add_row(a=2)
    assert lengths(table) == ONE


# -- categories ------------------------------------------------------------------------------------


def test_the_categories_of_an_aligned_table_grow_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    category = DynamicTable(name="c", description="d")
    category.add_column("x", "numbers")
    table = AlignedDynamicTable(name="t", description="d", category_tables=[category])
    table.add_column("a", "numbers")
    assert len(guard_tables(table)) == 1
    table.add_row(a=1, c={"x": 2})
    assert (len(table.id), len(category.id), len(category["x"])) == (1, 1, 1)

    def fail(*_args: Any, **_options: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(category["x"], "add_row", fail)
    with pytest.raises(OSError, match="the disk is full"):
        table.add_row(a=2, c={"x": 3})


def test_each_table_is_guarded_once() -> None:
    table = in_memory()
    assert len(guard_tables(table)) == 1
    assert guard_tables(table) == []


# -- columns that were written ---------------------------------------------------------------------


def test_what_a_column_in_memory_got_is_written_later(make_array: MakeArray) -> None:
    table = in_memory()
    guard = guarded(table)
    stored = {"a": make_array([1], INT8, path="t/a")}
    guard.note_written(lambda column: stored.get(column.name))
    assert guard.data_of(table["a"]) is stored["a"]
    assert guard.data_of(table.id) is table.id.data
    table.add_row(a=2, r=[3])
    assert stored["a"][...].tolist() == [1]
    guard.catch_up()
    assert stored["a"][...].tolist() == [1, 2]
    # The store has int8: what it cannot hold is refused at once.
    with pytest.raises(DtypeError, match="column 'a'"):
        table.add_row(a=0.5, r=[3])
    guard.forget_written()
    table.add_row(a=0.5, r=[3])
    guard.catch_up()
    assert stored["a"][...].tolist() == [1, 2]


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "depth", "batches"),
    [
        (3, 0, [[3]]),
        ([1, 2], 0, [[[1, 2]]]),
        ([1, 2], 1, [[1, 2]]),
        ([], 1, []),
        (3, 1, []),
        (iter([1]), 1, []),
        ([[1], [2, 3], []], 2, [[1], [2, 3]]),
        ([[[1]], [[2], [3]]], 3, [[1], [2], [3]]),
    ],
)
def test_a_value_of_a_ragged_column_has_elements(value: Any, depth: int, batches: Any) -> None:
    assert list(_elements(value, depth)) == batches


def test_the_innermost_column_holds_the_elements() -> None:
    data = VectorData(name="x", description="d", data=[1])
    index = VectorIndex(name="x_index", target=data, data=[1])
    outer = VectorIndex(name="x_index_index", target=index, data=[1])
    assert _innermost(data) == (data, 0)
    assert _innermost(index) == (data, 1)
    assert _innermost(outer) == (data, 2)


@pytest.mark.parametrize("wrap", [list, np.array, DataIO])
def test_what_is_added_from_now_on_can_be_taken_back(wrap: Any) -> None:
    column = VectorData(name="x", description="d", data=wrap([1, 2]))
    undo = _undo_of(column)
    column.append(3)
    assert len(column.data) == 3
    undo()
    assert list(column.data[:]) == [1, 2]


def test_the_names_of_an_enumeration_are_a_column_too(make_array: MakeArray) -> None:
    column = EnumData(name="e", description="d", data=[0, 1], elements=["A", "B"])
    table = DynamicTable(name="t", description="d", columns=[column])
    guarded(table)
    table.add_row(e="B")
    assert list(column.data) == [0, 1, 1]
    assert isinstance(column.elements, Data)
