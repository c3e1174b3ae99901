"""The attributes of HDF5 dimension scales: references in lists and in records.

``DIMENSION_LIST`` of an array has, for each dimension, the list of its scales. ``REFERENCE_LIST`` of a scale
has one record for each dimension to which the scale is attached. In JSON both are lists of references in the
convention's form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

DIMENSION_LIST = "DIMENSION_LIST"
REFERENCE_LIST = "REFERENCE_LIST"
CLASS = "CLASS"
SCALE = "DIMENSION_SCALE"
"""Value of `CLASS` for a scale."""
NAME = "NAME"
DATASET = "dataset"
DIMENSION = "dimension"

SCALE_LISTS = frozenset({DIMENSION_LIST, REFERENCE_LIST})

_FIELDS = frozenset({DATASET, DIMENSION})


def is_scale_list(name: str, value: Any, is_target: Callable[[Any], bool]) -> bool:
    """Whether an attribute is one of `SCALE_LISTS`, with lists or records of targets.

    Parameters
    ----------
    name : str
    value : Any
        JSON, or lists and records that hold other objects instead of references.
    is_target : callable
        Function that returns whether an object represents a reference.
    """
    if not isinstance(value, list):
        return False
    if name == DIMENSION_LIST:
        return all(isinstance(row, list) and all(map(is_target, row)) for row in value)
    return name == REFERENCE_LIST and all(
        _is_record(row) and is_target(row[DATASET]) for row in value
    )


def _is_record(value: Any) -> bool:
    is_object = isinstance(value, Mapping) and frozenset(value) == _FIELDS
    return is_object and type(value[DIMENSION]) is int


def targets_in(value: list[Any]) -> Iterator[Any]:
    """Yield the targets in an attribute for which `is_scale_list` is true."""
    for row in value:
        yield from row if isinstance(row, list) else [row[DATASET]]


def with_targets(value: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    """Return an attribute for which `is_scale_list` is true with each target converted.

    An entry for which ``convert`` returns None is left out.
    """
    return [entry for row in value if (entry := _converted(row, convert)) is not None]


def _converted(row: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(row, list):
        return [target for target in map(convert, row) if target is not None]
    target = convert(row[DATASET])
    return None if target is None else {**row, DATASET: target}
