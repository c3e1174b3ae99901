"""The rules of `dandi validate`: by that program where it is installed, else by the same rules here.

The archive's program is not imported, and no extra installs it: it pins zarr-python, and is
installed in its own environment. The rules here are those of dandi 0.81: in Zarr format 2, plain
zarr-python opens the root with the consolidated metadata; in format 3, TensorStore opens each
array.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.report import Finding, Kind, Severity
from hdmf_zarr.codecs.registry import IN_TENSORSTORE
from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.attributes import holds_no_unicode, holds_not_finite
from hdmf_zarr.metadata.consolidated import unreadable_arrays
from hdmf_zarr.metadata.documents import parse_or_empty, why_not_read
from hdmf_zarr.metadata.node import array_node, codec_names, is_array, missing_keys, says_its_type
from hdmf_zarr.stores.bounded import bounded
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    ZMETADATA,
)

PROGRAM = "dandi"

OFFLINE = {"DANDI_NO_ET": "1"}
"""Environment that keeps the program from asking a server for its newest version."""

SUFFIXES = (".zarr", ".ngff")
"""Suffixes of folders that the program treats as Zarr stores; it ignores others silently."""

MARK_OF_DANDISET = "dandiset.yaml"

KINDS: dict[str, Kind] = {
    "DANDI.NO_DANDISET_FOUND": rules.DANDI_NO_DANDISET,
    "dandi_zarr.empty_group": rules.DANDI_EMPTY,
    "dandi_zarr.tree_depth_exceeded": rules.DANDI_DEPTH,
    "zarr.cannot_open": rules.DANDI_CANNOT_OPEN,
    "zarr.invalid_zarr_json": rules.DANDI_ZARR_JSON,
    "zarr.missing_zarr_json": rules.DANDI_ZARR_JSON,
    "zarr.tensorstore_cannot_open": rules.DANDI_TENSORSTORE,
}
"""Identifier in the program's output -> kind of finding."""

SEVERITIES: dict[str, Severity] = {"CRITICAL": "error", "ERROR": "error", "WARNING": "warning"}
"""Severity in the program's output -> severity of the finding; all others are notes."""

TENSORSTORE_TYPES = frozenset(
    (
        *("bool", "int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("bfloat16", "float16", "float32", "float64", "complex64", "complex128"),
    )
)
"""Data types of Zarr format 3 that TensorStore 0.1.86 opens."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the archive's validator.

    Attributes
    ----------
    by : str
        Description of the validator.
    findings : tuple of Finding
    """

    by: str
    findings: tuple[Finding, ...]


def validate(examined: Examined) -> Verdict:
    """Return the findings of ``dandi validate`` except the depth of files, see `check_files`."""
    program = shutil.which(PROGRAM)
    is_taken = isinstance(examined.bytestore, LocalByteStore) and examined.uri.endswith(SUFFIXES)
    if program is None:
        return _by_rules(examined, f"no program {PROGRAM!r} is on the PATH")
    if not is_taken:
        return _by_rules(examined, f"{PROGRAM!r} takes folders of this machine named *.zarr alone")
    return _by_program(examined, program)


# -- the program -----------------------------------------------------------------------------------


def _by_program(examined: Examined, program: str) -> Verdict:
    path = os.path.realpath(examined.uri)  # the program ignores symbolic links
    done = subprocess.run(
        [program, "validate", "--format", "json_lines", path],
        env={**os.environ, **OFFLINE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    results = _results(done.stdout)
    if results is None or (done.returncode and not results):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        verdict = _by_rules(examined, f"{program} has failed")
        failed = Finding.of(rules.DANDI_PROGRAM, "", f"{program} validate has failed: {said}")
        return Verdict(verdict.by, (failed, *verdict.findings))
    versions = {_of(result, "origin", "validator_version") for result in results}
    findings = tuple(_finding(result, path) for result in results)
    return Verdict(f"{program} validate" + _listed(versions), findings)


def _results(output: str) -> list[dict[str, Any]] | None:
    """Parse the program's output, one JSON object per line; return None for other output."""
    try:
        results = [json.loads(line) for line in output.splitlines() if line.strip()]
    except ValueError:
        return None
    return results if all(isinstance(one, dict) and "id" in one for one in results) else None


def _of(result: dict[str, Any], *names: str) -> str:
    value: Any = result
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return str(value or "")


def _listed(versions: set[str]) -> str:
    known = sorted(versions - {""})
    return f" ({', '.join(known)})" if known else ""


def _finding(result: dict[str, Any], path: str) -> Finding:
    """Convert a result of the program to a finding."""
    identifier = _of(result, "id")
    kind = KINDS.get(identifier, rules.DANDI_VALIDATE)
    severity = SEVERITIES.get(_of(result, "severity").upper(), "note")
    known = rules.DANDI_NO_DANDISET.severity if kind is rules.DANDI_NO_DANDISET else severity
    where = os.path.relpath(_of(result, "path") or path, path)
    node = "" if where.startswith(".") else where.replace(os.sep, "/").removesuffix("/" + DOCUMENT)
    return Finding.of(kind, node, f"[{identifier}] {_of(result, 'message')}", severity=known)


# -- its rules -------------------------------------------------------------------------------------


def _by_rules(examined: Examined, reason: str) -> Verdict:
    rules = (_rule_of_place, *RULES[examined.zarr_format])
    findings = tuple(found for rule in rules for found in rule(examined))
    return Verdict(f"the rules of {PROGRAM} 0.81 ({reason})", findings)


def _rule(kind: Kind, path: str, identifier: str, message: object) -> Finding:
    return Finding.of(kind, path, f"[{identifier}] {message}")


def _rule_of_place(examined: Examined) -> Iterator[Finding]:
    """Check that the store is in the folder of a dandiset."""
    if not isinstance(examined.bytestore, LocalByteStore):
        return
    parents = Path(os.path.abspath(examined.uri)).parents
    if not any((folder / MARK_OF_DANDISET).exists() for folder in parents):
        message = f"no folder above the store has a {MARK_OF_DANDISET!r}"
        yield _rule(rules.DANDI_NO_DANDISET, "", "DANDI.NO_DANDISET_FOUND", message)


def _rules_of_format2(examined: Examined) -> Iterator[Finding]:
    """Check that plain zarr-python opens the root, and finds nodes in it."""
    encoded = examined.bytestore.get(ZMETADATA) or b"{}"
    visible = parse_or_empty(encoded, examined.uri).get("metadata")
    unreadable = unreadable_arrays(visible) if isinstance(visible, dict) else {}
    for path, reason in unreadable.items():
        yield _rule(rules.DANDI_CANNOT_OPEN, path, "zarr.cannot_open", reason)
    if unreadable:
        return
    try:
        group = zarr.open_group(_store_of(examined), mode="r")
    except Exception as error:  # zarr-python raises many kinds
        yield _rule(rules.DANDI_CANNOT_OPEN, "", "zarr.cannot_open", error)
        return
    if _is_empty(group):
        message = "the group is empty for plain zarr-python"
        yield _rule(rules.DANDI_EMPTY, "", "dandi_zarr.empty_group", message)


def _store_of(examined: Examined) -> Any:
    bytestore = examined.bytestore
    if isinstance(bytestore, LocalByteStore):
        return bytestore.contained_store()
    return bounded(bytestore.zarr_store, examined.uri)


def _is_empty(group: zarr.Group) -> bool:
    try:
        return len(group) == 0
    except Exception:  # the group has a node, though zarr-python cannot open it
        return False


def _rules_of_format3(examined: Examined) -> Iterator[Finding]:
    """Check that TensorStore opens every array, and every document has its type."""
    for found in examined.findings:
        is_parsed = found.key is None or found.key in examined.own
        if found.code == rules.BROKEN_DOCUMENT.code and not is_parsed:
            message = f"{found.key}: {found.message}"
            yield _rule(rules.DANDI_ZARR_JSON, found.path, "zarr.invalid_zarr_json", message)
    for key, document in sorted(examined.own.items()):
        path = key.rpartition("/")[0]
        if not says_its_type(document):
            message = f"{key} has no node type"
            yield _rule(rules.DANDI_ZARR_JSON, path, "zarr.invalid_zarr_json", message)
        elif is_array(document) and (reason := why_not_for_tensorstore(document)) is not None:
            yield _rule(rules.DANDI_TENSORSTORE, path, "zarr.tensorstore_cannot_open", reason)


RULES: dict[int, tuple[Callable[[Examined], Iterator[Finding]], ...]] = {
    2: (_rules_of_format2,),
    3: (_rules_of_format3,),
}


def why_not_for_tensorstore(document: dict[str, JSON]) -> str | None:
    """Return why TensorStore cannot open an array of Zarr format 3, or None.

    Parameters
    ----------
    document : dict
        The ``zarr.json`` of the array.
    """
    missing = missing_keys(document)
    if missing or document.get("zarr_format") != 3:
        return f"its metadata have no {(missing or ['zarr_format 3'])[0]!r}"
    node = array_node(document)
    if not isinstance(name := node.data_type, str) or name not in TENSORSTORE_TYPES:
        return f"TensorStore has no data type {name!r:.100}"
    unknown = sorted(set(codec_names(node.codecs)) - IN_TENSORSTORE)
    if unknown:
        return f"TensorStore has no codec {unknown[0]!r}"
    attributes = node.attributes
    if holds_not_finite(attributes) or holds_no_unicode(attributes):
        return "its attributes have NaN, infinity or text that is not Unicode, which JSON has not"
    return why_not_read(document)
