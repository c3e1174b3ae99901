"""Names that a store cannot keep are refused; names that another system changes are warned of, once."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hdmf_zarr.errors import EncodingError
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.planning import naming
from hdmf_zarr.write.planning.naming import MOST_NAMED, NameCheck
from tests.unit.write.planning.conftest import MakeContext

REMOTE = Location("s3://bucket/new.zarr", is_local=False)


def warned(check: NameCheck) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check.warn()
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "it leads out of its group"),
        ("..", "it leads out of its group"),
        ("a/b", "it holds a slash"),
        ("a\0b", "it holds a NUL"),
        ("zarr.json", "Zarr keeps it for metadata"),
        (".zarray", "Zarr keeps it for metadata"),
        (".append.partial", "this package keeps it"),
        ("a" * 256, "it takes 256 bytes"),
        ("é" * 128, "it takes 256 bytes"),
        ("\ud800", "it is not text"),
    ],
)
def test_a_name_that_breaks_a_store_is_refused(
    make_context: MakeContext, name: str, reason: str
) -> None:
    with pytest.raises(EncodingError) as caught:
        NameCheck(make_context()).check("group", name)
    assert str(caught.value).startswith(f"an object cannot have the name {name!r}: {reason}")
    assert str(caught.value).endswith("; choose another name")


def test_a_parent_that_leads_out_of_the_store_is_refused(make_context: MakeContext) -> None:
    with pytest.raises(EncodingError, match="it leads out of the store"):
        NameCheck(make_context()).check("a/../..", "data")


@pytest.mark.parametrize("parent", ["", "a", "a/b"])
@pytest.mark.parametrize("name", ["data", "Units", "µ of the 2nd day", ".hidden", "a" * 255, "..a"])
def test_an_ordinary_name_is_kept_without_a_word(
    make_context: MakeContext, parent: str, name: str
) -> None:
    check = NameCheck(make_context())
    check.check(parent, name)
    assert warned(check) == []


def test_one_warning_tells_all_names_that_another_system_changes(
    make_context: MakeContext, destination: Location
) -> None:
    check = NameCheck(make_context())
    for name in ("con", "end.", "con", "ZARR.JSON"):
        check.check("", name)
    assert warned(check) == [
        f"{destination.uri}: not every system keeps the names 'con' (Windows keeps it for a device), "
        "'end.' (Windows drops dots and spaces at the end of names), 'ZARR.JSON' (it differs only in "
        "case from a name of Zarr's metadata); they are kept here, and may be lost where the store is "
        "copied to"
    ]


def test_a_warning_names_the_file_that_is_exported(make_context: MakeContext) -> None:
    check = NameCheck(make_context(export_source=Location("/data/old.nwb", is_local=True)))
    check.check("", "con")
    (message,) = warned(check)
    assert " (from /data/old.nwb): not every system keeps" in message


def test_a_warning_of_many_names_tells_the_first_and_counts_the_others(
    make_context: MakeContext,
) -> None:
    check = NameCheck(make_context())
    for number in range(1, MOST_NAMED + 3):
        check.check("", f"com{number}")
    (message,) = warned(check)
    assert f"'com{MOST_NAMED}'" in message
    assert f"'com{MOST_NAMED + 1}'" not in message
    assert " and 2 more; they are kept" in message


# -- names of one group ----------------------------------------------------------------------------


def test_new_names_that_differ_in_case_are_warned_of_where_both_are_kept(
    make_context: MakeContext,
) -> None:
    check = NameCheck(make_context(destination=REMOTE))
    check.check_together(["Units", "units", "trials"], {"Units", "units", "trials"})
    (message,) = warned(check)
    assert "'Units' and 'units' (they differ only in case" in message
    assert "trials" not in message


def test_new_names_that_differ_in_case_are_refused_where_one_is_kept(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "keeps_case", lambda _folder: False)
    check = NameCheck(make_context())
    with pytest.raises(EncodingError, match="'Units' and 'units' .* keeps only one of the two"):
        check.check_together(["Units", "units"], {"units"})
    NameCheck(make_context(destination=REMOTE)).check_together(["Units", "units"], {"units"})


@pytest.mark.parametrize("new", [set(), {"trials"}])
def test_names_that_are_in_the_store_already_are_left_alone(
    make_context: MakeContext, new: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "keeps_case", lambda _folder: False)
    check = NameCheck(make_context())
    check.check_together(["Units", "units", "trials"], new)
    assert warned(check) == []


def test_letters_that_are_composed_otherwise_are_one_name(make_context: MakeContext) -> None:
    check = NameCheck(make_context(destination=REMOTE))
    names = ["caf\u00e9", "cafe\u0301"]
    check.check_together(names, set(names))
    assert len(warned(check)) == 1


@pytest.mark.parametrize(
    ("system", "where", "is_refused"),
    [("nt", None, True), ("posix", None, False), ("nt", REMOTE, False)],
)
def test_names_that_windows_does_not_allow_are_refused_on_its_disks(
    make_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    where: Location | None,
    *,
    is_refused: bool,
) -> None:
    context = make_context() if where is None else make_context(destination=where)

    class System:
        name = system

    given: Any = System
    monkeypatch.setattr(naming, "os", given)
    check = NameCheck(context)
    if is_refused:
        with pytest.raises(EncodingError, match="Windows does not allow [?] in names"):
            check.check("", "why?")
    else:
        check.check("", "why?")
