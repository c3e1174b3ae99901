"""Findings as values, as JSON and as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hdmf_zarr.checking.report import (
    SEVERITIES,
    SHOWN_OF_A_KIND,
    Finding,
    Kind,
    Report,
    in_order,
    render,
)

ERROR = Kind("bad", "error", "Mend it.")
WARNING = Kind("odd", "warning", "Look at it.")
NOTE = Kind("known", "note", "Nothing.")


def report(*findings: Finding, **more: Any) -> Report:
    return Report(uri="/a.zarr", zarr_format=3, findings=findings, **more)


# -- one finding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["a/b", "/a/b", "a/b/", "/a/b/"])
def test_a_path_has_one_slash_at_its_start(path: str) -> None:
    assert Finding.of(ERROR, path, "m").path == "/a/b"


def test_the_root_is_a_slash() -> None:
    assert Finding.of(ERROR, "", "m").path == "/"
    assert Finding.of(ERROR, "", "m").place == "/"


def test_a_finding_is_of_its_kind() -> None:
    assert Finding.of(ERROR, "a", "m") == Finding(
        severity="error", code="bad", path="/a", key=None, message="m", advice="Mend it."
    )
    assert Finding.of(ERROR, "a", "m", severity="note").severity == "note"


def test_a_key_is_its_place() -> None:
    assert Finding.of(ERROR, "a", "m", key="a/c/0").place == "/a/c/0"
    assert Finding.of(ERROR, "a", "m").place == "/a"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("two\nlines  and \t more ", "two lines and more"),
        (ValueError("an error"), "an error"),
        (3, "3"),
        ("a" * 600, "a" * 600),
        ("a" * 601, "a" * 597 + "..."),
    ],
)
def test_a_message_is_one_line_of_bounded_length(message: Any, text: str) -> None:
    assert Finding.of(ERROR, "a", message).message == text


# -- order -----------------------------------------------------------------------------------------


def test_findings_come_worst_first_and_each_once() -> None:
    note, odd = Finding.of(NOTE, "a", "m"), Finding.of(WARNING, "a", "m")
    b, a = Finding.of(ERROR, "b", "m"), Finding.of(ERROR, "a", "m", key="a/1")
    a0 = Finding.of(ERROR, "a", "m")
    given = [note, b, odd, a, a0, b]
    assert in_order(given) == (a0, a, b, odd, note)
    assert in_order(iter(given)) == in_order(given[::-1])
    assert in_order([]) == ()


def test_severities_are_worst_first() -> None:
    assert SEVERITIES == ("error", "warning", "note")
    assert set(SHOWN_OF_A_KIND) == set(SEVERITIES)


# -- a report --------------------------------------------------------------------------------------


def test_a_report_without_errors_is_clean() -> None:
    assert report().is_clean
    assert report(Finding.of(WARNING, "a", "m"), Finding.of(NOTE, "a", "m")).is_clean
    bad = Finding.of(ERROR, "a", "m")
    found = report(Finding.of(NOTE, "a", "m"), bad)
    assert not found.is_clean
    assert found.errors == (bad,)
    assert found.where(bad) == "/a.zarr:/a"


def test_the_json_has_everything() -> None:
    found = report(
        Finding.of(ERROR, "a", "m", key="a/0"), Finding.of(NOTE, "b", "n"), repaired=("done",)
    )
    described = json.loads(json.dumps(found.to_json()))
    assert described == {
        "uri": "/a.zarr",
        "zarr_format": 3,
        "is_fast": False,
        "n_nodes": 0,
        "n_chunks": 0,
        "n_bytes": 0,
        "findings": [
            {
                "severity": "error",
                "code": "bad",
                "path": "/a",
                "key": "a/0",
                "message": "m",
                "advice": "Mend it.",
            },
            {
                "severity": "note",
                "code": "known",
                "path": "/b",
                "key": None,
                "message": "n",
                "advice": "Nothing.",
            },
        ],
        "repaired": ["done"],
        "archive": {},
        "is_clean": False,
        "counts": {"error": 1, "warning": 0, "note": 1},
    }


# -- text ------------------------------------------------------------------------------------------


def test_a_clean_report_is_one_line() -> None:
    assert render(report(n_nodes=1, n_chunks=2)) == (
        "/a.zarr: nothing found (Zarr format 3, 1 node, 2 chunks decoded)"
    )
    assert render(report(n_nodes=3, n_chunks=1)) == (
        "/a.zarr: nothing found (Zarr format 3, 3 nodes, 1 chunk decoded)"
    )
    assert render(report(is_fast=True)) == (
        "/a.zarr: nothing found (Zarr format 3, 0 nodes, no chunk read)"
    )


def test_each_kind_is_told_once_with_what_to_do() -> None:
    found = report(
        Finding.of(ERROR, "a", "one"), Finding.of(ERROR, "b", "two"), Finding.of(NOTE, "", "three")
    )
    assert render(found).split("\n") == [
        "error: bad (2)",
        "  /a: one",
        "  /b: two",
        "  to do: Mend it.",
        "",
        "note: known",
        "  /: three",
        "  to do: Nothing.",
        "",
        "/a.zarr: 2 errors, 1 note (Zarr format 3, 0 nodes, 0 chunks decoded)",
    ]


def test_advice_that_differs_stands_below_each_place() -> None:
    other = Kind("bad", "error", "Another way.")
    text = render(report(Finding.of(ERROR, "a", "one"), Finding.of(other, "b", "two")))
    assert text.split("\n")[:5] == [
        "error: bad (2)",
        "  /a: one",
        "    to do: Mend it.",
        "  /b: two",
        "    to do: Another way.",
    ]


@pytest.mark.parametrize("kind", [ERROR, NOTE])
def test_of_many_findings_the_first_are_listed(kind: Kind) -> None:
    most = SHOWN_OF_A_KIND[kind.severity]
    many = [Finding.of(kind, f"p{number}", "m") for number in range(most + 2)]
    text = render(report(*many))
    assert f"  /p{most - 1}: m" in text
    assert f"/p{most}:" not in text
    assert "  ... and 2 more (--json lists all)" in text
    assert "more (--json" not in render(report(*many[:most]))


def test_what_was_repaired_and_the_archive_are_told() -> None:
    text = render(report(repaired=("one", "two"), archive={"files": 3, "checksum": "abc"}))
    assert text.split("\n")[:3] == [
        "repaired: one",
        "repaired: two",
        "for the archive: files 3, checksum abc",
    ]
