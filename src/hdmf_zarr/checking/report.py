"""The findings of a check as values, as JSON, and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Severities, worst first. Errors: data are wrong or cannot be read. Warnings: data may be wrong, or
cost time or space. Notes: something is unknown or only unusual."""

SHOWN_OF_A_KIND: dict[Severity, int] = {"error": 10, "warning": 10, "note": 3}
"""Most findings of one kind in the text; the JSON has them all."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding.

    Attributes
    ----------
    code : str
        Stable name for scripts.
    severity : {"error", "warning", "note"}
    advice : str
        Advice for the user.
    """

    code: str
    severity: Severity
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
    code : str
        Stable name of the kind of finding.
    path : str
        Path of the node, with a leading slash.
    key : str or None
        Key of the chunk or other object in the store, if the finding is about one.
    message : str
        Description of the finding.
    advice : str
        Advice for the user.
    """

    severity: Severity
    code: str
    path: str
    key: str | None = None
    message: str
    advice: str

    @classmethod
    def of(
        cls,
        kind: Kind,
        path: str,
        message: object,
        *,
        key: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding of a kind; the path may have a leading slash."""
        text = " ".join(str(message).split())
        return cls(
            severity=severity or kind.severity,
            code=kind.code,
            path="/" + path.strip("/"),
            key=key,
            message=text if len(text) <= 600 else text[:597] + "...",
            advice=kind.advice,
        )

    @property
    def place(self) -> str:
        """Path of the node, or key of the object below it."""
        return self.path if self.key is None else "/" + self.key


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The findings of a check, and what it examined.

    Attributes
    ----------
    uri : str
        Absolute path or URL of the store.
    zarr_format : int
    is_fast : bool
        Whether no chunk was read.
    n_nodes, n_chunks, n_bytes : int
        Numbers of nodes, of decoded chunks, and of their bytes in the store.
    findings : tuple of Finding
        Findings, worst first, then by path.
    repaired : tuple of str
        Sentences about the repairs.
    archive : dict
        Facts for an upload to the DANDI archive (files, bytes, checksum), and the program that has
        validated it (``validated_by``); empty unless requested.
    """

    uri: str
    zarr_format: int
    is_fast: bool = False
    n_nodes: int = 0
    n_chunks: int = 0
    n_bytes: int = 0
    findings: tuple[Finding, ...] = ()
    repaired: tuple[str, ...] = ()
    archive: dict[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings of severity ``"error"``."""
        return tuple(found for found in self.findings if found.severity == "error")

    @property
    def is_clean(self) -> bool:
        """Whether there is no finding of severity ``"error"``."""
        return not self.errors

    def where(self, finding: Finding) -> str:
        """Return the ``store:/path`` of a finding."""
        return f"{self.uri}:{finding.place}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object for ``json.dumps``."""
        counts = Counter(found.severity for found in self.findings)
        described = asdict(self)
        described["findings"] = [asdict(found) for found in self.findings]
        described["repaired"] = list(self.repaired)
        return {
            **described,
            "is_clean": self.is_clean,
            "counts": {severity: counts[severity] for severity in SEVERITIES},
        }


def in_order(findings: Iterator[Finding] | list[Finding]) -> tuple[Finding, ...]:
    """Return the findings sorted by severity, kind and place, without duplicates."""
    unique = dict.fromkeys(findings)
    return tuple(
        sorted(unique, key=lambda f: (SEVERITIES.index(f.severity), f.code, f.path, f.key or ""))
    )


# -- text ------------------------------------------------------------------------------------------


def render(report: Report) -> str:
    """Return a report as text: each kind of finding once, followed by its places."""
    lines: list[str] = []
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    for (severity, code), found in groups.items():
        count = f" ({len(found)})" if len(found) > 1 else ""
        lines += [f"{severity}: {code}{count}", *_places(found, SHOWN_OF_A_KIND[severity]), ""]
    lines += [f"repaired: {done}" for done in report.repaired]
    if report.archive:
        facts = ", ".join(f"{name} {value}" for name, value in report.archive.items())
        lines.append(f"for the archive: {facts}")
    lines.append(_summary(report))
    return "\n".join(lines)


def _places(found: list[Finding], most: int) -> list[str]:
    """Return the lines of one kind of finding; advice that differs follows each finding."""
    places = [f"  {one.place}: {one.message}" for one in found]
    if len({one.advice for one in found}) > 1:
        todo = [f"    to do: {one.advice}" for one in found]
        return [line for pair in zip(places, todo, strict=True) for line in pair]
    more = [f"  ... and {len(found) - most} more (--json lists all)"] if len(found) > most else []
    return [*places[:most], *more, f"  to do: {found[0].advice}"]


def _summary(report: Report) -> str:
    counts = Counter(found.severity for found in report.findings)
    found = [_plural(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    chunks = "no chunk read" if report.is_fast else f"{_plural(report.n_chunks, 'chunk')} decoded"
    looked = f"Zarr format {report.zarr_format}, {_plural(report.n_nodes, 'node')}, {chunks}"
    return f"{report.uri}: {', '.join(found) or 'nothing found'} ({looked})"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
