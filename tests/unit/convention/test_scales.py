"""The lists of dimension scales: told from other attributes, and converted reference by reference."""

from __future__ import annotations

from typing import Any

import pytest

from hdmf_zarr.convention.scales import is_scale_list, targets_in, with_targets

LIST, RECORDS = "DIMENSION_LIST", "REFERENCE_LIST"


class Target(str):
    __slots__ = ()


A, B = Target("a"), Target("b")


def is_target(value: Any) -> bool:
    return isinstance(value, Target)


def record(target: Any, dimension: Any = 0, **more: Any) -> dict[str, Any]:
    return {"dataset": target, "dimension": dimension, **more}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (LIST, []),
        (LIST, [[]]),
        (LIST, [[A], [], [A, B]]),
        (RECORDS, []),
        (RECORDS, [record(A), record(B, 3)]),
    ],
)
def test_lists_and_records_of_targets_are_scale_lists(name: str, value: Any) -> None:
    assert is_scale_list(name, value, is_target)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (LIST, None),
        (LIST, "a"),
        (LIST, ([A],)),
        (LIST, [A]),
        (LIST, [["a"]]),
        (LIST, [[A, "a"]]),
        (LIST, [record(A)]),
        (RECORDS, [[A]]),
        (RECORDS, [A]),
        (RECORDS, [record("a")]),
        (RECORDS, [record(A), record("a")]),
        (RECORDS, [record(A, True)]),
        (RECORDS, [record(A, 1.0)]),
        (RECORDS, [record(A, "0")]),
        (RECORDS, [record(A, more=1)]),
        (RECORDS, [{"dataset": A}]),
        (RECORDS, record(A)),
        ("CLASS", [[A]]),
        ("dimension_list", [[A]]),
        ("other", []),
    ],
)
def test_nothing_else_is_one(name: str, value: Any) -> None:
    assert not is_scale_list(name, value, is_target)


def test_the_targets_come_in_order() -> None:
    assert list(targets_in([[A, B], [], [A]])) == [A, B, A]
    assert list(targets_in([record(B), record(A, 2)])) == [B, A]
    assert list(targets_in([])) == []


def test_each_target_is_converted_and_the_rest_stays() -> None:
    assert with_targets([[A, B], []], str.upper) == [["A", "B"], []]
    assert with_targets([record(A, 2)], str.upper) == [record("A", 2)]


def test_what_leads_to_nothing_is_left_out() -> None:
    def without_b(target: Any) -> Any:
        return None if target == "b" else target

    # A row is a dimension: it stays where it has no scale any more.
    assert with_targets([[A, B], [B]], without_b) == [[A], []]
    assert with_targets([record(A), record(B)], without_b) == [record(A)]


def test_what_is_converted_is_not_changed_itself() -> None:
    rows, records = [[A]], [record(A)]
    with_targets(rows, str.upper)
    with_targets(records, str.upper)
    assert (rows, records) == ([[A]], [record(A)])
