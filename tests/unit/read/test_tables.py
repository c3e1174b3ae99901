"""Tables whose columns differ in length are found, and cut to the rows that all columns have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.arrays.array import open_array
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.read.tables import (
    UnevenTable,
    cut_to_whole_rows,
    see_whole_rows,
    uneven_tables,
)
from tests.unit.conftest import MakeArray

INT64 = ElementType("number", np.dtype("<i8"))


@pytest.fixture
def make_table(hierarchy: Hierarchy, make_array: MakeArray) -> Any:
    """Returns the hierarchy with the table ``t``; each column is its values, or its length."""

    def make(colnames: Any = None, **columns: Any) -> Hierarchy:
        for name, values in columns.items():
            values = np.arange(values) if isinstance(values, int) else np.asarray(values)
            make_array(values.astype("<i8"), INT64, path=f"t/{name}")
        names = [name for name in columns if name != "id" and not name.endswith("_index")]
        hierarchy.set_document(
            "t", group_document({"colnames": names if colnames is None else colnames})
        )
        return hierarchy

    return make


def found(hierarchy: Hierarchy, **options: bool) -> list[dict[str, int]]:
    return [table.lengths for table in uneven_tables(hierarchy, **options)]


def length(hierarchy: Hierarchy, name: str) -> int:
    return array_node(hierarchy.documents[f"t/{name}"]).shape[0]


# -- which tables are uneven -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "uneven"),
    [
        ({"id": 3, "a": 3, "b": 3}, []),
        ({"id": 3, "a": 3, "b": 2}, [{"id": 3, "a": 3, "b": 2}]),
        ({"id": 2, "a": 3}, [{"id": 2, "a": 3}]),
        ({"id": 0, "a": 3}, []),
        ({"id": 0, "a": 0}, []),
        ({"id": 3, "a": 0}, [{"id": 3, "a": 0}]),
        ({"a": 3, "b": 2}, [{"a": 3, "b": 2}]),
        ({"a": 3}, []),
        ({"id": 2, "a": 9, "a_index": [3, 9]}, []),
        ({"id": 3, "a": 9, "a_index": [3, 9]}, [{"id": 3, "a_index": 2}]),
        ({"id": 2, "a": 9, "a_index": [2, 5, 9], "a_index_index": [1, 3]}, []),
    ],
)
def test_the_columns_of_a_table_have_one_length(
    make_table: Any, columns: dict[str, Any], uneven: Any
) -> None:
    assert found(make_table(**columns)) == uneven


def test_a_group_without_columns_is_no_table(hierarchy: Hierarchy, make_array: MakeArray) -> None:
    make_array([1, 2], INT64, path="t/a")
    make_array([1], INT64, path="t/b")
    assert found(hierarchy) == []


@pytest.mark.parametrize("colnames", [[], ["a", "elsewhere", 3, None], ["a"]])
def test_columns_that_are_not_there_do_not_count(make_table: Any, colnames: list[Any]) -> None:
    assert found(make_table(colnames=colnames, id=3, a=3)) == []


def test_elements_that_are_missing_are_seen_only_where_that_is_asked(make_table: Any) -> None:
    hierarchy = make_table(id=3, a=5, a_index=[2, 4, 7])
    assert found(hierarchy) == []
    assert found(hierarchy, with_elements=True) == [{"id": 3, "a_index": 3, "a": 2}]
    (table,) = uneven_tables(hierarchy, with_elements=True)
    assert table.n_rows == 2


def test_a_table_says_how_its_columns_differ() -> None:
    table = UnevenTable(path="t", lengths={"id": 3, "a": 2}, columns=(("id",), ("a",)))
    assert str(table) == ("the columns differ in their number of rows: 'id' has 3, 'a' has 2")
    assert table.n_rows == 2


# -- whole rows ------------------------------------------------------------------------------------


def test_every_column_is_cut_to_the_shortest(make_table: Any) -> None:
    hierarchy = make_table(id=4, a=2, b=3)
    (table,) = uneven_tables(hierarchy)
    assert cut_to_whole_rows(hierarchy, table) == 2
    assert [length(hierarchy, name) for name in ("id", "a", "b")] == [2, 2, 2]
    assert open_array(hierarchy, "t/b")[...].tolist() == [0, 1]
    assert found(hierarchy) == []


def test_ragged_columns_keep_the_elements_of_the_rows_that_stay(make_table: Any) -> None:
    hierarchy = make_table(id=2, a=9, a_index=[2, 5, 9])
    (table,) = uneven_tables(hierarchy)
    assert cut_to_whole_rows(hierarchy, table) == 2
    assert (length(hierarchy, "a_index"), length(hierarchy, "a")) == (2, 5)


def test_an_index_of_an_index_is_followed(make_table: Any) -> None:
    hierarchy = make_table(id=1, a=9, a_index=[2, 5, 9], a_index_index=[2, 3])
    (table,) = uneven_tables(hierarchy)
    assert table.columns == (("id",), ("a_index_index", "a_index", "a"))
    assert cut_to_whole_rows(hierarchy, table) == 1
    assert [length(hierarchy, name) for name in ("a_index_index", "a_index", "a")] == [1, 2, 5]


def test_a_row_without_all_its_elements_goes(make_table: Any) -> None:
    hierarchy = make_table(id=3, a=5, a_index=[2, 4, 7])
    (table,) = uneven_tables(hierarchy, with_elements=True)
    assert cut_to_whole_rows(hierarchy, table) == 2
    assert [length(hierarchy, name) for name in ("id", "a_index", "a")] == [2, 2, 4]


def test_a_table_may_have_no_whole_row(make_table: Any) -> None:
    hierarchy = make_table(id=3, a=0, b=9, b_index=[2, 5, 9])
    (table,) = uneven_tables(hierarchy)
    assert cut_to_whole_rows(hierarchy, table) == 0
    assert [length(hierarchy, name) for name in ("id", "a", "b_index", "b")] == [0, 0, 0, 0]


def test_who_reads_is_warned_once_for_each_table(make_table: Any) -> None:
    hierarchy = make_table(id=3, a=2)
    with pytest.warns(
        UserWarning, match=r":/t: the columns differ .*; the 2 rows that all"
    ) as told:
        see_whole_rows(hierarchy)
    assert len(told) == 1
    see_whole_rows(hierarchy)
    assert length(hierarchy, "id") == 2


def test_an_index_that_cannot_be_read_is_told(make_table: Any) -> None:
    hierarchy = make_table(id=3, a=5, a_index=[2, 5])
    hierarchy.bytestore.set("t/a_index/c.0", b"nonsense")
    (table,) = uneven_tables(hierarchy)
    with pytest.raises(MetadataError, match="the index /t/a_index cannot be read"):
        cut_to_whole_rows(hierarchy, table)
    with pytest.warns(UserWarning, match="and the index /t/a_index cannot be read"):
        see_whole_rows(hierarchy)
    assert length(hierarchy, "id") == 3


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 12), st.integers(1, 5))
def test_the_rows_that_stay_are_those_that_are_whole(
    counts: list[int], n_elements: int, n_ids: int
) -> None:
    """Compared with what a loop over the rows finds."""
    from hdmf_zarr.read import tables

    ends = np.cumsum(counts)
    whole = sum(int(end) <= n_elements for end in ends[:n_ids])
    assert int(np.searchsorted(ends, n_elements, side="right")) >= whole
    table = UnevenTable(
        path="t", lengths={"id": n_ids, "a_index": len(counts)}, columns=(("a_index", "a"),)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_length", lambda _hierarchy, _path: n_elements)
        patch.setattr(tables, "_index", lambda _hierarchy, _path, rows: ends[rows])
        hierarchy: Any = None
        assert tables._rows_of_column(hierarchy, table, ("a_index", "a")) == whole
