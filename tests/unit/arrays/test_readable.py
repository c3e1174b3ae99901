"""Every way to read elements gives the same ones, in the same form; every way to set them keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.arrays.array import ExpandedCompoundArray, HDMFZarrArray
from hdmf_zarr.core.dtypes import ASCII, BYTES, ISODATETIME, REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import EncodingError, ModeError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.stores.bytestore import open_bytestore

from ..conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))
RECORD = ElementType(
    "compound", fields=(("start", INT16), ("label", ASCII), ("note", TEXT), ("target", REFERENCE))
)
ELEMENTS: dict[str, tuple[ElementType, list[Any]]] = {
    "number": (INT16, [1, -2, 3, 4, 5]),
    "text": (TEXT, ["a", "é\0", "", "nul\0\0", "e"]),
    "ascii": (ASCII, [b"a", b"bc\0", b"", b"d", b"\0"]),
    "bytes": (BYTES, [b"\xff\0", b"", b"b\0", b"c", b"d"]),
    "isodatetime": (ISODATETIME, [b"2024-01-01", b"2024-01-02", b"3", b"4", b"5"]),
    "reference": (REFERENCE, ["/a", "", "/b", "/c", "/d"]),
    "compound": (RECORD, [(n, b"l%d" % n, f"n{n}", f"/x{n}") for n in range(5)]),
}
WAYS: dict[str, Callable[[HDMFZarrArray], Any]] = {
    "[...]": lambda array: array[...],
    "slices": lambda array: np.concatenate([array[:2], array[2:]]),
    "list": lambda array: array[[0, 1, 2, 3, 4]],
    "mask": lambda array: array[np.ones(5, dtype=bool)],
    "rows": lambda array: objects([array[row] for row in range(5)]),
    "iteration": lambda array: objects(list(array)),
    "numpy": lambda array: np.asarray(array),
    "oindex": lambda array: array.oindex[[0, 1, 2, 3, 4]],
    "oindex of a slice": lambda array: array.oindex[:],
    "oindex one by one": lambda array: objects([array.oindex[row] for row in range(5)]),
    "vindex": lambda array: array.vindex[[0, 1, 2, 3, 4]],
    "vindex of a mask": lambda array: array.vindex[np.ones(5, dtype=bool)],
    "blocks": lambda array: np.concatenate([array.blocks[0], array.blocks[1:]]),
    "basic": lambda array: array.get_basic_selection(),
    "basic one by one": lambda array: objects([array.get_basic_selection(row) for row in range(5)]),
    "orthogonal": lambda array: array.get_orthogonal_selection(slice(None)),
    "mask by name": lambda array: array.get_mask_selection(np.ones(5, dtype=bool)),
    "coordinates": lambda array: array.get_coordinate_selection([0, 1, 2, 3, 4]),
    "negative coordinates": lambda array: array.vindex[np.array([-5, -4, -3, -2, -1])],
}


def objects(values: list[Any]) -> Any:
    taken = np.empty(len(values), dtype=object)
    taken[:] = [value.item() if isinstance(value, np.void) else value for value in values]
    return taken


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("element", "data"), ELEMENTS.values(), ids=ELEMENTS)
def test_every_way_gives_the_same_elements(
    way: Callable[[HDMFZarrArray], Any],
    element: ElementType,
    data: list[Any],
    make_array: MakeArray,
) -> None:
    array = make_array(data, element, chunks=(2,))
    found = way(array)
    assert found.tolist() == data
    if found.dtype != object:
        assert found.dtype == element.memory_dtype


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_shards_are_read_every_way(
    way: Callable[[HDMFZarrArray], Any], make_array: MakeArray
) -> None:
    array = make_array(ELEMENTS["number"][1], INT16, chunks=(1,), shards=(2,))
    assert way(array).tolist() == ELEMENTS["number"][1]


@pytest.mark.parametrize("data", ["a\0", b"b\0"])
def test_one_text_without_dimensions_keeps_its_end(data: Any, make_array: MakeArray) -> None:
    array = make_array(data, TEXT if isinstance(data, str) else ASCII)
    taken = np.asarray(array)
    assert taken.dtype == object
    assert taken.shape == ()
    assert taken[()] == array[()] == array.get_basic_selection(()) == data


FIELDS: dict[str, Callable[[HDMFZarrArray], Any]] = {
    "[field]": lambda array: array["label"],
    "[field, rows]": lambda array: array["label", :],
    "oindex": lambda array: array.oindex["label", [0, 1, 2, 3, 4]],
    "vindex": lambda array: array.vindex["label", [0, 1, 2, 3, 4]],
    "basic": lambda array: array.get_basic_selection(fields="label"),
}


@pytest.mark.parametrize("way", FIELDS.values(), ids=FIELDS)
def test_a_field_of_records_is_given_as_its_elements_are(
    way: Callable[[HDMFZarrArray], Any], make_array: MakeArray
) -> None:
    array = make_array(ELEMENTS["compound"][1], RECORD, chunks=(2,))
    assert way(array).tolist() == [b"l0", b"l1", b"l2", b"l3", b"l4"]


def test_several_fields_of_records_are_records(make_array: MakeArray) -> None:
    array = make_array(ELEMENTS["compound"][1], RECORD)
    assert array[["note", "start"]][1:3].tolist() == [("n1", 1), ("n2", 2)]
    assert array["start", 3] == 3


def test_memory_for_text_is_refused(make_array: MakeArray) -> None:
    from zarr.core.buffer import default_buffer_prototype

    array = make_array(ELEMENTS["ascii"][1], ASCII)
    out = default_buffer_prototype().nd_buffer.from_numpy_array(np.empty(5, dtype=object))
    with pytest.raises(OptionError, match="'out' takes numbers only"):
        array.get_basic_selection(out=out)
    numbers = make_array(ELEMENTS["number"][1], INT16, path="group/numbers")
    out = default_buffer_prototype().nd_buffer.from_numpy_array(np.zeros(5, dtype="i2"))
    numbers.get_basic_selection(out=out)
    assert out.as_numpy_array().tolist() == ELEMENTS["number"][1]


def test_a_restored_compound_is_read_by_its_rows_every_way(make_array: MakeArray) -> None:
    cells = np.array([["1", "a"], ["2", "b"], ["3", "c"]], dtype=object)
    stored = make_array(cells, TEXT)
    element = ElementType("compound", fields=(("n", INT16), ("label", TEXT)))
    array = ExpandedCompoundArray.of_node(stored.hierarchy, stored.node_path, element)
    rows = [(1, "a"), (2, "b"), (3, "c")]
    for found in (array[:], array.oindex[:], array.vindex[[0, 1, 2]], array.get_basic_selection()):
        assert found.tolist() == rows
    assert array["label"].tolist() == ["a", "b", "c"]
    with pytest.raises(OptionError, match="is read by its rows"):
        array.blocks[0]


SETS: dict[str, Callable[[HDMFZarrArray, Any], None]] = {
    "oindex": lambda array, value: array.oindex.__setitem__([1, 3], value),
    "vindex": lambda array, value: array.vindex.__setitem__([1, 3], value),
    "mask": lambda array, value: array.set_mask_selection(np.arange(5) % 2 == 1, value),
    "orthogonal": lambda array, value: array.set_orthogonal_selection(np.array([1, 3]), value),
}


@pytest.mark.parametrize("set_", SETS.values(), ids=SETS)
@pytest.mark.parametrize("name", sorted(ELEMENTS))
def test_elements_are_set_every_way(name: str, set_: Any, make_array: MakeArray) -> None:
    element, data = ELEMENTS[name]
    array = make_array(data, element, chunks=(2,))
    set_(array, [data[4], data[0]])
    assert array[:].tolist() == [data[0], data[4], data[2], data[0], data[4]]


@pytest.mark.parametrize("set_", SETS.values(), ids=SETS)
def test_text_of_records_is_not_cut_any_way(set_: Any, make_array: MakeArray) -> None:
    data = ELEMENTS["compound"][1]
    array = make_array(data, RECORD, chunks=(2,))
    long = (7, b"longer than it was", "much longer than it was", "/elsewhere")
    set_(array, [long, long])
    assert array[:].tolist() == [data[0], long, data[2], long, data[4]]


def test_what_is_no_text_is_not_set(make_array: MakeArray) -> None:
    array = make_array(ELEMENTS["text"][1], TEXT)
    with pytest.raises(EncodingError, match="expected text, found 3"):
        array.oindex[[1]] = [3]
    assert array[:].tolist() == ELEMENTS["text"][1]


def test_fields_are_not_set_alone(make_array: MakeArray) -> None:
    array = make_array(ELEMENTS["compound"][1], RECORD)
    with pytest.raises(OptionError, match="whole rows are set"):
        array.oindex["label", [0]] = [b"x"]
    assert array[:].tolist() == ELEMENTS["compound"][1]


@pytest.mark.parametrize("set_", SETS.values(), ids=SETS)
def test_nothing_is_set_in_an_array_that_is_read(set_: Any, make_array: MakeArray) -> None:
    array = make_array(ELEMENTS["number"][1], INT16)
    bytestore = open_bytestore(array.hierarchy.location, read_only=True)
    fresh = Hierarchy.load(bytestore, consolidated=True)
    reader = HDMFZarrArray.of_node(fresh, array.node_path, INT16)
    with pytest.raises(ModeError, match="is read-only"):
        set_(reader, [7, 7])
    assert array[:].tolist() == ELEMENTS["number"][1]


@pytest.mark.parametrize("rows", [[6, 7], [70_000]], ids=["more", "wider"])
def test_an_array_that_was_changed_by_another_of_the_same_node_is_read_as_it_is(
    rows: list[int], make_array: MakeArray
) -> None:
    data = ELEMENTS["number"][1]
    array = make_array(data, INT16, chunks=(2,), shards=(4,) if len(rows) > 1 else None)
    other = HDMFZarrArray.of_node(array.hierarchy, array.node_path, INT16)
    assert other.vindex[[0, 1]].tolist() == data[:2]
    array.append(rows)
    assert other.shape == array.shape
    assert other.vindex[[0, len(array) - 1]].tolist() == [data[0], rows[-1]]
    assert other[:].tolist() == [*data, *rows]
