"""Which names and keys are safe, portable, inside of their store, and the same for a file system."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.stores.keys import (
    LONGEST_NAME,
    METADATA_KEYS,
    differing_in_case,
    folded,
    is_inside,
    is_node_path,
    why_changed,
    why_not_portable,
    why_unsafe,
)

TOKEN = "0123456789abcdef" * 2
GOOD = [
    *("data", "µ of the 2nd day", "a.b", ".hidden", "...", "..a", "c.0", "0", "-", "日本語"),
    *(
        "console",
        "com",
        "com10",
        "com0",
        "nul_",
        "lpt",
        "a" * LONGEST_NAME,
        "µ" * 127,
        "~",
        "a,b;c",
    ),
    *("a.partial", f".{TOKEN}.partial", f"a.{TOKEN[1:]}.partial", f"a.{TOKEN}.partial.old"),
    *("zgroup", "zarr.jso", ".append"),
]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_safe_and_portable(name: str) -> None:
    assert why_unsafe(name) is None
    assert why_changed(name) is None or name == "..."
    assert why_not_portable(name) == (why_changed(name) if name == "..." else None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        (".", "it leads out of its group"),
        ("..", "it leads out of its group"),
        ("a/b", "it holds a slash, which separates names"),
        ("/", "it holds a slash, which separates names"),
        ("a\0", "it holds a NUL"),
        *((name, "Zarr keeps it for metadata") for name in sorted(METADATA_KEYS)),
        (".append.partial", "this package keeps it for what a writer leaves"),
        (".replaced.partial", "this package keeps it for what a writer leaves"),
        (f"c.0.{TOKEN}.partial", "this package keeps it for what a writer leaves"),
        ("\ud800", "it is not text"),
        ("a" * 256, "it takes 256 bytes; file systems allow 255"),
        ("µ" * 128, "it takes 256 bytes; file systems allow 255"),
    ],
    ids=range(17),
)
def test_a_name_that_no_store_can_have_is_unsafe(name: str, reason: str) -> None:
    assert why_unsafe(name) == reason
    assert why_not_portable(name) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Zarr.JSON", "it differs only in case from a name of Zarr's metadata"),
        (".ZGROUP", "it differs only in case from a name of Zarr's metadata"),
        ("a\\b", "it holds a backslash, which Windows takes for a slash"),
        ("c:data", "Windows takes its first letter for a drive"),
        ("a\nb", "it holds a control character"),
        ("a\x7f", "it holds a control character"),
        ("\x1f", "it holds a control character"),
        ("a.", "Windows drops dots and spaces at the end of names"),
        ("a ", "Windows drops dots and spaces at the end of names"),
        ("con", "Windows keeps it for a device"),
        ("NUL.txt", "Windows keeps it for a device"),
        ("Com1.a.b", "Windows keeps it for a device"),
        ("lpt³", "Windows keeps it for a device"),
        ("aux .txt", "Windows keeps it for a device"),
    ],
)
def test_a_name_that_some_system_changes_is_safe_and_not_portable(name: str, reason: str) -> None:
    assert why_unsafe(name) is None
    assert why_changed(name) == reason
    assert why_not_portable(name) == reason


@pytest.mark.parametrize(
    ("name", "found"), [("good?", "?"), ("a<b>*c|", "* < > |"), ('say "it"', '"'), ("ab:", ":")]
)
def test_a_character_that_windows_does_not_allow_is_named(name: str, found: str) -> None:
    assert why_changed(name) is None
    assert why_not_portable(name) == f"Windows does not allow {found} in names"


@pytest.mark.parametrize(
    "key", ["", "a", "a/b", "a/zarr.json", "..a/b..", "a..b", "...", "./a", "a/", "a//b", "ab:c"]
)
def test_a_key_stays_inside(key: str) -> None:
    assert is_inside(key)


@pytest.mark.parametrize(
    "key",
    ["..", "../a", "a/..", "a/../b", "a\\..\\b", "..\\a", "/a", "\\a", "/", "c:/a", "c:", "a\0b"],
)
def test_a_key_that_leads_out_does_not(key: str) -> None:
    assert not is_inside(key)


@pytest.mark.parametrize("path", ["", "a", "a/b", "zarr.json2/a", "a/.zarr", ".../a", "a..b"])
def test_a_node_has_a_path_of_names(path: str) -> None:
    assert is_node_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("a//b", "/a", "a/", ".", "a/.", "./a", "a/./b", "..", "a/../b", "c:a"),
        *("zarr.json", "a/zarr.json", "zarr.json/a", ".zgroup", "a/.zarray", "a/.zattrs/b"),
        *(".zmetadata", "a\0"),
    ],
)
def test_no_node_has_another_path(path: str) -> None:
    assert not is_node_path(path)


NAMES = st.text(alphabet="ab./\\:\0zZ ü", max_size=6) | st.sampled_from(sorted(METADATA_KEYS))


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_a_path_of_safe_names_is_one_of_a_node(names: list[str]) -> None:
    path = "/".join(names)
    if all(why_unsafe(name) is None for name in names) and is_inside(path):
        assert is_node_path(path)
    if is_node_path(path) and path:
        assert is_inside(path)
        assert all(why_unsafe(name) is None for name in path.split("/"))


def test_a_file_system_folds_case_and_accents() -> None:
    assert folded("Units") == "units"
    assert folded("É") == folded("e\u0301") == "\xe9"
    assert folded("ﬁ") == "fi"
    assert folded("ß") == folded("SS")


@given(st.text(max_size=5))
def test_what_is_folded_is_so_of_every_spelling(name: str) -> None:
    assert folded(unicodedata.normalize("NFC", name)) == folded(unicodedata.normalize("NFD", name))


def test_names_that_differ_in_case_are_paired_with_the_first() -> None:
    names = ["Units", "trials", "units", "UNITS", "Trials", "units"]
    assert list(differing_in_case(names)) == [
        ("Units", "units"),
        ("Units", "UNITS"),
        ("trials", "Trials"),
        ("Units", "units"),
    ]
    assert list(differing_in_case(["a", "a", "b"])) == []
    assert list(differing_in_case([])) == []
