"""Names of chunks in the folder of their array.

An array that is written anew keeps its old chunks until the commit, so that a reader of the old
metadata still finds them: the new ones get names of another form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHUNK_KEYS: dict[str, Any] = {"name": "default", "configuration": {"separator": "."}}
"""Keys like ``c.0.0``: one path component, since the DANDI archive allows seven."""

FORMAT2_CHUNK_KEYS: dict[str, Any] = {"name": "v2", "configuration": {"separator": "."}}
"""Keys like ``0.0``, those of Zarr format 2."""

_FORMS: tuple[dict[str, Any], ...] = (
    CHUNK_KEYS,
    FORMAT2_CHUNK_KEYS,
    {"name": "default", "configuration": {"separator": "/"}},
)
"""Forms that share no key: ``c.0.0``, ``0.0``, ``c/0/0``."""


def chunk_key(encoding: Mapping[str, Any], coordinates: tuple[int, ...]) -> str:
    """Return the key of a chunk in the folder of its array."""
    separator = _separator(encoding)
    parts = [str(coordinate) for coordinate in coordinates]
    if encoding["name"] == "default":
        return separator.join(["c", *parts])
    return separator.join(parts) if parts else "0"


def is_known_form(encoding: Any) -> bool:
    """Whether an encoding, as a document has it, is one of those that Zarr knows."""
    if not isinstance(encoding, Mapping) or encoding.get("name") not in ("default", "v2"):
        return False
    configuration = encoding.get("configuration") or {}
    return isinstance(configuration, Mapping) and configuration.get("separator", ".") in (".", "/")


def has_form(encoding: Mapping[str, Any], key: str) -> bool:
    """Whether a key in the folder of an array is one that an encoding gives to chunks."""
    if encoding["name"] == "default":
        return key == "c" or key.startswith("c" + _separator(encoding))
    return key[:1].isdigit()


def other_form(*taken: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first encoding whose keys are those of none of at most two others."""
    sample = (0, 0)
    used = {chunk_key(encoding, sample) for encoding in taken}
    return next(form for form in _FORMS if chunk_key(form, sample) not in used)


def _separator(encoding: Mapping[str, Any]) -> str:
    default = "/" if encoding["name"] == "default" else "."
    separator: str = (encoding.get("configuration") or {}).get("separator", default)
    return separator
