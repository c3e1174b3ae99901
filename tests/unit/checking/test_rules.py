"""Every kind of finding has a stable code of its own, and says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hdmf_zarr
from hdmf_zarr.checking import rules
from hdmf_zarr.checking.report import SEVERITIES, Kind

KINDS = {name: kind for name, kind in vars(rules).items() if isinstance(kind, Kind)}


def test_every_kind_is_known_by_its_code() -> None:
    assert len(rules.ALL) == len(KINDS)
    assert {kind.code: kind for kind in KINDS.values()} == rules.ALL


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_a_kind_has_a_code_a_severity_and_advice(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.severity in SEVERITIES
    assert kind.advice[0].isupper() or kind.advice.startswith("hdmf-zarr ")
    assert kind.advice.endswith(".")
    assert "  " not in kind.advice


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_is_used(name: str) -> None:
    package = Path(hdmf_zarr.__file__).parent
    used = re.compile(rf"\b(rules\.)?{name}\b")
    assert any(
        used.search(path.read_text("utf-8"))
        for path in package.rglob("*.py")
        if path.name != "rules.py"
    )


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("missing-chunk", "error"),
        ("broken-chunk", "error"),
        ("absent-chunks", "note"),
        ("stale-chunk", "warning"),
        ("broken-link", "error"),
        ("unfinished-append", "note"),
        ("uneven-table", "error"),
        ("short-column", "warning"),
        ("unsafe-name", "error"),
        ("unknown-key", "warning"),
    ],
)
def test_codes_on_which_scripts_rely_stay(code: str, severity: str) -> None:
    assert rules.ALL[code].severity == severity
