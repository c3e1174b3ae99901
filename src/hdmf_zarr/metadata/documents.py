"""Metadata documents by themselves: parsed, checked, encoded."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping

from hdmf_zarr.convention import JSON
from hdmf_zarr.core import limits
from hdmf_zarr.errors import MetadataError, UnsupportedFormatError
from hdmf_zarr.metadata import array_document, format2
from hdmf_zarr.stores.keys import is_node_path

logger = logging.getLogger(__name__)


def group_document(attributes: dict[str, JSON]) -> dict[str, JSON]:
    """Return the ``zarr.json`` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def encode_document(document: dict[str, JSON]) -> bytes:
    """Return a document as the bytes of a ``zarr.json``; NaN and infinities as bare tokens."""
    public = public_document(document)
    return json.dumps(public, separators=(",", ":"), allow_nan=True).encode("utf-8")


def public_document(document: dict[str, JSON]) -> dict[str, JSON]:
    """Return a document without the notes of this package."""
    if format2.NOTES.isdisjoint(document):
        return document
    return {key: value for key, value in document.items() if key not in format2.NOTES}


def check_document(document: dict[str, JSON], where: str) -> None:
    """Raise `MetadataError` unless a document has the keys that its readers rely on."""
    if not isinstance(document.get("attributes") or {}, dict):
        raise MetadataError(f"{where} has attributes that are no object")
    if document["node_type"] == "array" and not (
        _is_shape(document.get("shape")) and "data_type" in document
    ):
        raise MetadataError(f"{where} is an array without a shape and a data type")


def why_not_read(document: dict[str, JSON]) -> str | None:
    """Return why the node of a document of format 3 is not read; None if it is.

    An unknown key may change the meaning of the bytes of a chunk, unless its value has
    ``"must_understand": false``.
    """
    unknown = [
        key
        for key, value in document.items()
        if key not in array_document.KNOWN_KEYS[document["node_type"]]
        and not (key == "storage_transformers" and not value)
        and not (isinstance(value, dict) and value.get("must_understand") is False)
    ]
    if unknown:
        return (
            f"its metadata have {sorted(unknown)!r:.200}, which a reader must understand, and this one does "
            "not; open it with the program that wrote it"
        )
    if document["node_type"] == "group":
        return None
    return _why_no_grid(document) or _why_no_records(document)


def extensions_of(document: dict[str, JSON]) -> dict[str, JSON]:
    """Return the keys and values of a document that are neither of the format nor notes of this package."""
    known = array_document.KNOWN_KEYS[document["node_type"]] | format2.NOTES
    return {key: value for key, value in document.items() if key not in known}


def _why_no_grid(document: dict[str, JSON]) -> str | None:
    grid = document.get("chunk_grid")
    if not isinstance(grid, dict) or grid.get("name") != "regular":
        return f"its chunks are cut as {grid!r:.200} says, and only the grid 'regular' is known"
    unit: JSON = _settings(grid).get("chunk_shape")
    is_shape = _is_shape(unit) and 0 not in unit and len(unit) == len(document["shape"])
    return None if is_shape else f"{unit!r:.200} is no shape of its chunks"


def _why_no_records(document: dict[str, JSON]) -> str | None:
    """Return why big-endian records are not read: versions of zarr-python write them differently."""
    name = data_type.get("name") if isinstance(data_type := document["data_type"], dict) else None
    if name not in ("struct", "structured") or not is_big_endian(document):
        return None
    if name == "structured":
        return "nothing tells in which order the bytes of its big-endian records are"
    if array_document.HAS_STRUCT:
        return None
    return "zarr-python before 3.2 cannot read its big-endian records; install a later one"


def is_big_endian(document: Mapping[str, JSON]) -> bool:
    """Return whether the numbers of an array are stored big-endian, in shards too."""
    codecs = _as_list(document.get("codecs"))
    while codecs:
        codec = codecs.pop()
        configuration = _settings(codec)
        codecs += _as_list(configuration.get("codecs"))
        if isinstance(codec, dict) and codec.get("name") == "bytes":
            return bool(configuration.get("endian") == "big")
    return False


def _settings(part: JSON) -> dict[str, JSON]:
    """Return the configuration of a part of a document; empty where it has none that makes sense."""
    settings = part.get("configuration") if isinstance(part, dict) else None
    return settings if isinstance(settings, dict) else {}


def _as_list(value: JSON) -> list[JSON]:
    return list(value) if isinstance(value, list) else []


def _is_shape(value: JSON) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def check_node(path: str, document: dict[str, JSON], where: str) -> None:
    """Raise `MetadataError` if the path or the attributes of a node exceed the limits of readers."""
    limits.check_path_depth(path, where)
    limits.check_json_depth(document.get("attributes") or {}, where)


_NOT_COMPARED = format2.NOTES | {"consolidated_metadata"}


def comparable(document: JSON) -> JSON:
    """Return a document without notes and empty attributes, to compare it with another one."""
    if not isinstance(document, dict):
        return document
    return {
        key: value
        for key, value in document.items()
        if key not in _NOT_COMPARED and not (key == "attributes" and not value)
    }


def layout_of(document: dict[str, JSON] | None) -> JSON:
    """Return the part of an array's document that sets where its elements are, without the number of rows."""
    if document is None:
        return None
    names = ("data_type", "chunk_grid", "chunk_key_encoding", "codecs", format2.ORIGINAL)
    found = {name: document.get(name) for name in names}
    if isinstance(original := found[format2.ORIGINAL], dict):
        found[format2.ORIGINAL] = {k: v for k, v in original.items() if k != "shape"}
    return [found, document.get("shape", [])[1:]]


def inside(entries: dict[str, JSON], uri: str, *, is_key: bool) -> dict[str, JSON]:
    """Return the entries of consolidated metadata without those whose names lead out of the store."""
    kept = {}
    for key, document in entries.items():
        path = key.rpartition("/")[0] if is_key else key.strip("/")
        if is_node_path(path):
            kept[key] = document
        else:
            message = f"{uri}: {path!r:.200} is no path of an object in a store; it is left out"
            warnings.warn(message, UserWarning, stacklevel=3)
    return kept


def parse(encoded: bytes, where: str) -> dict[str, JSON]:
    document = parse_json(encoded, where)
    zarr_format = document.get("zarr_format")
    if zarr_format != 3:
        raise UnsupportedFormatError(f"{where} has the Zarr format {zarr_format!r}, expected 3")
    return document


def parse_json(encoded: bytes, where: str) -> dict[str, JSON]:
    document = limits.parsed_json(encoded, where)
    if not isinstance(document, dict):
        raise MetadataError(f"{where} must be a JSON object, found {type(document).__name__}")
    return document


def parse_or_empty(encoded: bytes, where: str) -> dict[str, JSON]:
    """Return a parsed document; an empty one if it is not JSON, so that only its node becomes unreadable."""
    try:
        return parse_json(encoded, where)
    except MetadataError as error:
        logger.warning("%s", error)
        return {}


def why_no_node(document: JSON) -> str | None:
    """Return why a document of format 3 is not that of a node; None if it is."""
    if not isinstance(document, dict):
        return f"must be a JSON object, found {type(document).__name__}"
    if document.get("zarr_format") != 3:
        return f"has the Zarr format {document.get('zarr_format')!r:.100}, expected 3"
    if not isinstance(document.get("attributes") or {}, dict):
        return "has attributes that are no object"
    if document.get("node_type") == "group":
        return None
    if document.get("node_type") != "array":
        return f"has the node type {document.get('node_type')!r:.100}, expected group or array"
    return _why_no_array(document)


def _why_no_array(document: dict[str, JSON]) -> str | None:
    if missing := {"shape", "data_type", "chunk_grid", "codecs"} - document.keys():
        return f"is an array without {', '.join(sorted(missing))}"
    grid, keys = document["chunk_grid"], document.get("chunk_key_encoding")
    if not isinstance(grid, dict) or grid.get("name") != "regular":
        return f"has chunks in a grid that is not known: {grid!r:.100}"
    unit: JSON = _settings(grid).get("chunk_shape")
    if not _are_sizes(document["shape"], 0) or not _are_sizes(unit, 1):
        return f"has the shape {document['shape']!r:.100} and chunks of {unit!r:.100}"
    if len(document["shape"]) != len(unit):
        return f"has the shape {document['shape']!r:.100} and chunks of {unit!r:.100}"
    if not isinstance(keys, dict) or keys.get("name") not in ("default", "v2"):
        return f"names its chunks in a way that is not known: {keys!r:.100}"
    if not isinstance(keys.get("configuration") or {}, dict) or (
        _settings(keys).get("separator", "/") not in (".", "/")
    ):
        return f"names its chunks in a way that is not known: {keys!r:.100}"
    if not isinstance(document["codecs"], list) or not all(
        isinstance(codec, dict) and isinstance(codec.get("name"), str)
        for codec in document["codecs"]
    ):
        return f"has codecs that are no list of names: {document['codecs']!r:.200}"
    return None


def _are_sizes(sizes: JSON, least: int) -> bool:
    return isinstance(sizes, list) and all(
        isinstance(size, int) and not isinstance(size, bool) and least <= size < 2**63
        for size in sizes
    )
