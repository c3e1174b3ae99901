"""The consolidated document of Zarr format 2, with entries for other readers and for this package.

zarr-python 3 cannot open a group whose consolidated metadata contain an array that it cannot parse:
references, which are objects as JSON, or an array with a codec that is not installed. A store that is
written for the DANDI archive has the entries of these arrays under a key of this package, `APART`, in the
same document. Other readers ignore that key; this package merges all entries in `entries_of`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from hdmf_zarr.codecs.registry import BUNDLED
from hdmf_zarr.convention import JSON
from hdmf_zarr.metadata import array_document
from hdmf_zarr.stores.keys import ZARRAY

APART = "hdmf_zarr_metadata"
"""Key, next to ``metadata``, of the entries that are kept apart; it exists even if there are none."""

_ENCODING = ("dtype", "filters", "compressor", "fill_value", "order", "dimension_separator")
"""Keys of a ``.zarray`` that zarr-python parses, without those for sizes."""


def entries_of(held: JSON) -> JSON:
    """Return all entries of a consolidated document, including those that are kept apart.

    Parameters
    ----------
    held : JSON
        Document as found in a store; it may be invalid.

    Returns
    -------
    JSON
        Documents by key, in the order of their nodes; invalid entries, or None, are returned unchanged.
    """
    if not isinstance(held, Mapping):
        return None
    entries, apart = held.get("metadata"), held.get(APART)
    if not apart or not isinstance(entries, Mapping):
        return entries
    if not isinstance(apart, Mapping):
        return apart
    together = {**apart, **entries}
    return {key: together[key] for key in sorted(together, key=_path)}


def keeps_apart(held: JSON) -> bool:
    """Return whether a consolidated document belongs to a store that keeps entries apart."""
    return isinstance(held, Mapping) and APART in held


def consolidated_document(entries: Mapping[str, JSON], *, is_apart: bool) -> dict[str, JSON]:
    """Return the consolidated document of a store.

    Parameters
    ----------
    entries : mapping of str to JSON
        Documents by key.
    is_apart : bool
        Whether to keep entries of arrays that zarr-python 3 cannot parse apart.
    """
    if not is_apart:
        return {"metadata": dict(entries), "zarr_consolidated_format": 1}
    paths = set(unreadable_arrays(entries))
    return {
        "metadata": {key: entry for key, entry in entries.items() if _path(key) not in paths},
        "zarr_consolidated_format": 1,
        APART: {key: entry for key, entry in entries.items() if _path(key) in paths},
    }


def with_entries(held: Mapping[str, JSON], entries: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a consolidated document with other entries, kept apart as before."""
    return {**held, **consolidated_document(entries, is_apart=keeps_apart(held))}


def unreadable_arrays(entries: Mapping[str, JSON]) -> dict[str, str]:
    """Return why zarr-python 3 cannot parse arrays, by their paths.

    Parameters
    ----------
    entries : mapping of str to JSON
        Documents by key.
    """
    reasons = {
        _path(key): why_unreadable(document)
        for key, document in entries.items()
        if key.rpartition("/")[2] == ZARRAY
    }
    return {path: reason for path, reason in reasons.items() if reason is not None}


def why_unreadable(metadata: JSON) -> str | None:
    """Return why zarr-python 3 with only numcodecs cannot parse a ``.zarray``; None if it can.

    Parameters
    ----------
    metadata : JSON
        The ``.zarray``.
    """
    if not isinstance(metadata, dict):
        return "it is no object"
    said = json.dumps({name: metadata[name] for name in _ENCODING if name in metadata})
    rank = len(shape) if isinstance(shape := metadata.get("shape"), list) else -1
    return _why_unreadable(said, rank)


@lru_cache(maxsize=1000)
def _why_unreadable(said: str, rank: int) -> str | None:
    """Return the cached reason for JSON: a file has few kinds of arrays, and zarr-python parses slowly."""
    metadata = json.loads(said)
    names = [codec.get("id") for codec in _codecs(metadata) if isinstance(codec, dict)]
    unknown = sorted({str(name) for name in names} - BUNDLED)
    if unknown:
        return f"zarr-python 3 alone has no codec {unknown[0]!r} for it"
    if _is_of_later_versions(metadata.get("dtype")):
        return f"zarr-python 3.1 has no data type {metadata['dtype']!r:.100}"
    return array_document.why_not_parsed_as_format2({"zarr_format": 2, **metadata, **_sizes(rank)})


def _codecs(metadata: dict[str, JSON]) -> list[JSON]:
    filters = metadata.get("filters")
    return [
        *(filters if isinstance(filters, list) else ()),
        *([metadata["compressor"]] if metadata.get("compressor") else ()),
    ]


def _sizes(rank: int) -> dict[str, JSON]:
    return {"shape": [1] * rank, "chunks": [1] * rank} if rank >= 0 else {}


def _is_of_later_versions(dtype: JSON) -> bool:
    """Return whether a data type needs zarr-python 3.2: nested records, one byte with a byte order."""
    if isinstance(dtype, list):
        pairs = [field for field in dtype if isinstance(field, list) and len(field) > 1]
        return any(isinstance(data_type, list) for _, data_type, *_ in pairs)
    return dtype in (">u1", ">i1", "<u1", "<i1")


def _path(key: str) -> str:
    return key.rpartition("/")[0]
