"""Names of chunks in the folder of their array.

An array that is rewritten keeps its old chunks until the commit, so that a reader of the old
metadata still finds them: the new chunks get names of another form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hdmf_zarr.errors import ChunkError, MetadataError

CHUNK_KEYS: dict[str, Any] = {"name": "default", "configuration": {"separator": "."}}
"""Keys like ``c.0.0``: one path component, since the DANDI archive allows seven."""

FORMAT2_CHUNK_KEYS: dict[str, Any] = {"name": "v2", "configuration": {"separator": "."}}
"""Keys like ``0.0``, the usual form of Zarr format 2."""

_NESTED: dict[str, Any] = {"name": "v2", "configuration": {"separator": "/"}}
"""Keys like ``0/0``, the other form of format 2."""

_STAGED: tuple[dict[str, Any], ...] = (
    CHUNK_KEYS,
    {"name": "default", "configuration": {"separator": "/"}},
)
"""Forms that format 2 does not have: these chunks get their final names at the commit."""

_FORMS: tuple[dict[str, Any], ...] = (CHUNK_KEYS, FORMAT2_CHUNK_KEYS, *_STAGED[1:])
"""Forms without common keys: ``c.0.0``, ``0.0``, ``c/0/0``."""


def format2_chunk_keys(separator: str) -> dict[str, Any]:
    """Return the encoding of chunk keys of Zarr format 2 with a separator between coordinates."""
    return {"name": "v2", "configuration": {"separator": separator}}


def chunk_key(encoding: Mapping[str, Any], coordinates: tuple[int, ...]) -> str:
    """Return the key of a chunk in the folder of its array."""
    separator = _separator(encoding)
    parts = [str(coordinate) for coordinate in coordinates]
    if encoding["name"] == "default":
        return separator.join(["c", *parts])
    return separator.join(parts) if parts else "0"


def is_known_form(encoding: Any) -> bool:
    """Return whether Zarr knows an encoding, which comes from a document."""
    if not isinstance(encoding, Mapping) or encoding.get("name") not in ("default", "v2"):
        return False
    configuration = encoding.get("configuration") or {}
    return isinstance(configuration, Mapping) and configuration.get("separator", ".") in (".", "/")


def coordinates_of(
    encoding: Mapping[str, Any], key: str, n_dimensions: int
) -> tuple[int, ...] | None:
    """Return the coordinates of the chunk with a key, or None; inverse of `chunk_key`.

    Examples
    --------
    >>> coordinates_of(CHUNK_KEYS, "c.0.12", 2)
    (0, 12)
    """
    separator = _separator(encoding)
    if encoding["name"] == "default":
        start, *parts = key.split(separator)
        if start != "c":
            return None
    else:
        parts = key.split(separator)
        if not n_dimensions:
            return () if key == "0" else None
    if len(parts) != n_dimensions or not all(map(_is_index, parts)):
        return None
    return tuple(map(int, parts))


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and len(part) < 20


def has_form(encoding: Mapping[str, Any], key: str) -> bool:
    """Return whether a key in the folder of an array has the form that an encoding gives to chunks."""
    if encoding["name"] == "default":
        return key == "c" or key.startswith("c" + _separator(encoding))
    other = {".": "/", "/": "."}[_separator(encoding)]
    return key[:1].isdigit() and other not in key


def other_form(*taken: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first encoding that shares no keys with at most two others."""
    return _unlike(_FORMS, taken)


def other_format2_form(n_dimensions: int, *taken: Mapping[str, Any]) -> dict[str, Any]:
    """Return, for an array of format 2, an encoding that shares no keys with at most two others.

    Keys of one dimension are the same with any separator. Their chunks get a form that format 2 does
    not have, and their final names at the commit. This is also true for chunks that are rewritten twice.
    """
    forms = (FORMAT2_CHUNK_KEYS, _NESTED, *_STAGED) if n_dimensions > 1 else _STAGED
    return _unlike(forms, taken)


def unused_form(encoding: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return an encoding that matches none of the existing names, preferably the given one.

    If every form is in use, it is the given one, and storing the first chunk raises an error.
    """
    return _first_unused((dict(encoding), *_FORMS, _NESTED), names)


def unused_format2_form(
    n_dimensions: int, encoding: Mapping[str, Any], names: Sequence[str]
) -> dict[str, Any]:
    """Return an unused encoding for an array of format 2; a form of format 3 if there is no other one."""
    spelled = (
        (dict(encoding), FORMAT2_CHUNK_KEYS, _NESTED) if n_dimensions > 1 else (dict(encoding),)
    )
    return _first_unused((*spelled, *_STAGED), names)


def _first_unused(forms: tuple[dict[str, Any], ...], names: Sequence[str]) -> dict[str, Any]:
    unused = (form for form in forms if not any(has_form(form, name) for name in names))
    return next(unused, forms[0])


def is_staged(encoding: Mapping[str, Any]) -> bool:
    """Return whether format 2 does not have an encoding."""
    return bool(encoding["name"] == "default")


def toggled(encoding: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoding of format 2 with the other separator.

    The keys of one dimension stay the same, but readers of the old metadata see the difference.
    """
    return FORMAT2_CHUNK_KEYS if _separator(encoding) == "/" else _NESTED


def _unlike(
    forms: tuple[dict[str, Any], ...], taken: tuple[Mapping[str, Any], ...]
) -> dict[str, Any]:
    sample = (0, 0)
    used = {chunk_key(encoding, sample) for encoding in taken}
    return next(form for form in forms if chunk_key(form, sample) not in used)


def _separator(encoding: Mapping[str, Any]) -> str:
    default = "/" if encoding["name"] == "default" else "."
    separator: str = (encoding.get("configuration") or {}).get("separator", default)
    if separator not in (".", "/"):
        raise MetadataError(
            f"the keys of chunks are separated by '.' or '/', found {separator!r:.100}"
        )
    return separator


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Add the name of a damaged chunk, or shard, to its error."""
    try:
        yield
    except ChunkError as error:
        if str(error).startswith(name):
            raise
        raise ChunkError(f"{name}: {error}") from error
