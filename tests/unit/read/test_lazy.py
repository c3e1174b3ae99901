"""Datasets of references and of compounds: resolved as they are indexed, and grown row by row."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hdmf.build import GroupBuilder, ReferenceBuilder
from hdmf.container import Container

from hdmf_zarr.core.dtypes import ASCII, REFERENCE, TEXT, ElementType, element_type_from_numpy
from hdmf_zarr.errors import EncodingError, OptionError
from hdmf_zarr.read.lazy import (
    BuilderZarrReferenceDataset,
    BuilderZarrTableDataset,
    ContainerZarrReferenceDataset,
    ContainerZarrTableDataset,
)
from tests.unit.conftest import MakeArray

INT16 = ElementType("number", np.dtype("<i2"))
RECORD = ElementType("compound", fields=(("n", INT16), ("to", REFERENCE), ("t", TEXT)))


class Session:
    """Knows a builder for each path but ``/late``, which has no path until it is written."""

    def __init__(self) -> None:
        self.builders = {f"/{name}": GroupBuilder(name=name) for name in ("a", "b")}
        self.noted: list[Any] = []
        self.late_is_written = False
        self.manager = SimpleNamespace(get_builder=lambda _container: self.builders["/a"])

    @property
    def references(self) -> Any:
        return self

    def builder_of_element(self, _array: Any, element: str) -> Any:
        return self.builders[element]

    def container_of(self, builder: Any) -> Any:
        return f"container of {builder.name}"

    def element_of_target(self, _array: Any, target: Any) -> str | None:
        if target.name == "late" and not self.late_is_written:
            return None
        return f"/{target.name}"

    def note_pending(self, dataset: Any) -> None:
        self.noted.append(dataset)


LATE = GroupBuilder(name="late")


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def references(make_array: MakeArray, session: Session) -> BuilderZarrReferenceDataset:
    io: Any = session
    return BuilderZarrReferenceDataset(make_array(["/a", "", "/b"], REFERENCE), io)


@pytest.fixture
def make_records(make_array: MakeArray, session: Session) -> Callable[..., Any]:
    def make(rows: Any, element: ElementType = RECORD) -> BuilderZarrTableDataset:
        io: Any = session
        return BuilderZarrTableDataset(make_array(rows, element), io)

    return make


ROWS = [(1, "/a", "x"), (2, "", "yy")]


# -- references ------------------------------------------------------------------------------------


def test_references_are_resolved_as_they_are_indexed(
    references: BuilderZarrReferenceDataset, session: Session
) -> None:
    a, b = session.builders.values()
    assert references[0] is a
    assert references[-1] is b
    assert references[1] is None
    assert references[1:] == [None, b]
    assert references[[0, 2]] == [a, b]
    assert references[np.array([True, False, True])] == [a, b]
    assert list(references) == references[...] == [a, None, b]


def test_a_dataset_of_references_says_what_it_is(references: BuilderZarrReferenceDataset) -> None:
    assert (len(references), references.shape, references.ndim, references.size) == (3, (3,), 1, 3)
    assert (references.dtype, references.name, references.maxshape) == (
        "object",
        "/group/data",
        (None,),
    )


def test_references_of_two_dimensions_are_nested(make_array: MakeArray, session: Session) -> None:
    io: Any = session
    found = BuilderZarrReferenceDataset(make_array([["/a", ""], ["/b", "/a"]], REFERENCE), io)
    a, b = session.builders.values()
    assert found[...] == [[a, None], [b, a]]
    assert found[1, 0] is b


def test_the_inverse_resolves_to_containers_and_is_the_same_dataset(
    references: BuilderZarrReferenceDataset, session: Session
) -> None:
    inverse = references.invert()
    assert type(inverse) is ContainerZarrReferenceDataset
    assert inverse[0] == "container of a"
    assert inverse[1] is None
    assert inverse.invert() is references
    assert references.invert() is inverse
    inverse.append(LATE)
    assert (len(references), references.n_pending) == (4, 1)


# -- rows that are added ---------------------------------------------------------------------------


def test_a_reference_to_what_has_a_path_is_written(
    references: BuilderZarrReferenceDataset, session: Session
) -> None:
    a = session.builders["/a"]
    references.extend([a, ReferenceBuilder(a).builder, None])
    assert references[3:] == [a, a, None]
    assert references.n_pending == 0
    assert references.dataset[3:].tolist() == ["/a", "/a", ""]


def test_a_row_waits_until_its_target_is_written(
    references: BuilderZarrReferenceDataset, session: Session
) -> None:
    a = session.builders["/a"]
    references.append(LATE)
    references.append(a)
    assert (len(references), references.n_pending, len(references.dataset)) == (5, 2, 3)
    assert session.noted == [references, references]
    session.late_is_written = True
    session.builders["/late"] = LATE
    references.flush_pending()
    assert (references.n_pending, len(references.dataset)) == (0, 5)
    assert references[3:] == [LATE, a]


def test_containers_that_wait_are_seen_with_the_others(
    references: BuilderZarrReferenceDataset, session: Session
) -> None:
    late = Container(name="late")
    references.append(late)
    inverse = references.invert()
    assert inverse[:] == ["container of a", None, "container of b", late]
    assert inverse[-1] is late
    assert references[-1] is session.builders["/a"]  # what its manager has for it


@pytest.mark.parametrize("target", [1, "/a", ["a"], 0.5, object()])
def test_a_reference_is_to_an_object(references: BuilderZarrReferenceDataset, target: Any) -> None:
    for add in (references.append, lambda row: references.check_rows([row])):
        with pytest.raises(
            EncodingError, match="a reference is to a container or a builder, found"
        ):
            add(target)
    assert (len(references), references.n_pending) == (3, 0)


def test_checking_rows_adds_none(references: BuilderZarrReferenceDataset) -> None:
    references.check_rows([LATE, None])
    assert (len(references), references.n_pending) == (3, 0)


def test_all_rows_wait_again_where_one_cannot_be_written(
    references: BuilderZarrReferenceDataset, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    references.append(LATE)
    references.append(session.builders["/a"])
    session.late_is_written = True
    written: list[Any] = []
    append = type(references.dataset).append

    def fail_at_second(array: Any, rows: Any) -> Any:
        written.append(rows)
        if len(written) == 2:
            raise OSError("the disk is full")
        return append(array, rows)

    monkeypatch.setattr(type(references.dataset), "append", fail_at_second)
    with pytest.raises(OSError, match="the disk is full"):
        references.flush_pending()
    assert (len(references.dataset), references.n_pending, len(references)) == (3, 2, 5)


def test_rows_from_a_mark_on_can_be_taken_back(
    references: BuilderZarrReferenceDataset, session: Session
) -> None:
    references.append(LATE)
    go_back = references.mark()
    references.append(LATE)
    go_back()
    assert (references.n_pending, len(references)) == (1, 4)
    references.drop_pending()
    go_back = references.mark()
    references.append(session.builders["/a"])
    assert len(references.dataset) == 4
    go_back()
    assert len(references.dataset) == 3


def test_what_waits_now_can_wait_again(references: BuilderZarrReferenceDataset) -> None:
    references.append(LATE)
    again = references.pending()
    references.drop_pending()
    assert references.n_pending == 0
    again()
    assert references.n_pending == 1


# -- compounds -------------------------------------------------------------------------------------


def test_compounds_are_resolved_field_by_field(make_records: Any, session: Session) -> None:
    table = make_records(ROWS)
    a = session.builders["/a"]
    assert table[0].tolist() == (1, a, "x")
    assert isinstance(table[0], np.void)
    assert table[...].tolist() == [(1, a, "x"), (2, None, "yy")]
    assert [row.tolist() for row in table] == table.resolve(None).tolist()
    assert table["n"].tolist() == [1, 2]
    assert table["to"].tolist() == [a, None]
    assert table.invert()[0]["to"] == "container of a"
    assert type(table.invert()) is ContainerZarrTableDataset
    assert table.invert().invert() is table


def test_a_compound_says_what_its_fields_are(make_records: Any) -> None:
    table = make_records(ROWS)
    assert table.types == [np.int16, ReferenceBuilder, str]
    assert table.dtype == ["int16", "object", "utf"]


def test_a_nested_compound_has_fields_that_are_void(make_records: Any) -> None:
    element = element_type_from_numpy(
        np.dtype([("n", "<i2"), ("p", [("x", "<f8")]), ("w", "i1", 2)])
    )
    table = make_records(np.array([(1, (0.5,), [1, 2])], element.memory_dtype), element)
    assert table.types == [np.int16, np.void, np.void]
    assert table[0]["p"]["x"] == 0.5


def test_rows_are_added_to_a_compound(make_records: Any, session: Session) -> None:
    table = make_records(ROWS)
    a = session.builders["/a"]
    table.append((3, a, "a longer text"))
    table.append([4, LATE, "z"])
    assert (len(table), table.n_pending) == (4, 1)
    assert table[2].tolist() == (3, a, "a longer text")
    session.late_is_written = True
    session.builders["/late"] = LATE
    table.flush_pending()
    assert table[3].tolist() == (4, LATE, "z")
    assert table.dataset[3].tolist() == (4, "/late", "z")


@pytest.mark.parametrize("row", [(1,), (1, None), (1, None, "a", 2), ()])
def test_a_row_has_a_value_for_each_field(make_records: Any, row: Any) -> None:
    table = make_records(ROWS)
    with pytest.raises(OptionError, match=f"a row has {len(row)} values, the compound 3 fields"):
        table.append(row)
    assert len(table) == 2


@pytest.mark.parametrize(
    "row", [("a", None, "x"), (40_000.5, None, "x"), (1, "/a", "x"), (1, None, 3)]
)
def test_values_that_a_field_cannot_hold_are_refused(make_records: Any, row: Any) -> None:
    table = make_records(ROWS)
    with pytest.raises(EncodingError):
        table.check_rows([row])
    assert len(table) == 2


def test_references_inside_of_nested_fields_wait_too(make_records: Any, session: Session) -> None:
    inner = ElementType("compound", fields=(("to", REFERENCE), ("t", ASCII)))
    element = ElementType("compound", fields=(("n", INT16), ("p", inner)))
    a = session.builders["/a"]
    table = make_records([(1, ("/a", b"x"))], element)
    assert table[0]["p"]["to"] is a
    table.append((2, (a, b"y")))
    assert (table.n_pending, len(table)) == (0, 2)
    assert table[1]["p"]["to"] is a
    table.append((3, (LATE, b"z")))
    assert (table.n_pending, len(table)) == (1, 3)
