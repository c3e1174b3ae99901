"""The journal of an append, with which the next writer undoes the changes of a killed one.

While nodes are added to a store, its readers see the consolidated metadata, which do not contain them yet.
The journal is an object in the store from before the first change until after the commit. If it exists
without a writer, a writer was killed: objects that the consolidated metadata do not name are removed, and
documents are restored from the consolidated metadata. If these are missing, or do not match the nodes, the
journal itself contains the documents from before the append.

If an array of format 2 is rewritten, its new chunks take the names of the old ones at the commit: format 2
has no second set of names for one dimension. The old chunks are saved first, and named in the journal.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from hdmf_zarr.convention import JSON
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.chunk_keys import coordinates_of, format2_chunk_keys
from hdmf_zarr.metadata.consolidated import entries_of
from hdmf_zarr.metadata.node import array_node, consolidated_in, is_array, is_node
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    METADATA_KEYS,
    ZARRAY,
    ZGROUP,
    ZMETADATA,
    is_node_path,
)

logger = logging.getLogger(__name__)

JOURNAL = ".append.partial"
"""Key of the journal."""

TEMPORARY = re.compile(r".+\.[0-9a-f]{32}\.partial")
"""Name of a file that becomes an object when it is complete; zarr-python uses names of the same form."""

SAVED = ".replaced.partial"
"""Folder of the saved chunks whose names new chunks have taken; the journal lists them."""

_CHUNK = re.compile(r"(?:^|.*/)(?P<chunk>c(?:[./]\d+)*|\d+(?:[./]\d+)*)")
"""A key of a chunk, in any form."""

_CHUNK_NAME = re.compile(r"c(?:[./]\d+)*|\d+(?:[./]\d+)*")
"""A name of a chunk in the folder of its array."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The steps that undo an interrupted append.

    Attributes
    ----------
    removed : tuple of str
        Keys that the earlier store did not have.
    restored : dict of str to JSON
        Documents of the earlier store that are missing or changed, by key.
    replaced : dict of str to list of str
        Path of each array whose chunks may be replaced -> names of its earlier chunks, which are saved.
    """

    removed: tuple[str, ...] = ()
    restored: dict[str, JSON] = field(default_factory=dict)
    replaced: dict[str, list[str]] = field(default_factory=dict)


def encode_journal(
    before: Mapping[str, JSON] | None,
    replaced: Mapping[str, list[str]] | None = None,
    commit: JSON = None,
    kept: Sequence[str] | None = None,
) -> bytes:
    """Return the content of a journal.

    Parameters
    ----------
    before : mapping of str to JSON, or None
        All metadata documents by key; None if the consolidated metadata are sufficient. An empty mapping
        means that there was no store: all objects are removed unless the new store has its root.
    replaced : mapping of str to list of str, optional
        Arrays whose chunks are replaced, see `Recovery`.
    commit : JSON, optional
        Document whose writing is the commit: if the store has it, nothing is undone.
    kept : sequence of str, optional
        Keys that existed before and do not belong to a store: no recovery removes them.
    """
    content: dict[str, JSON] = {"append": 1, "before": before}
    if kept:
        content["kept"] = list(kept)
    if replaced:
        content["replaced"] = replaced
    if commit is not None:
        content["commit"] = _digest(commit)
    return json.dumps(content).encode("utf-8")


def _digest(document: JSON) -> str:
    return hashlib.sha256(_encode(document)).hexdigest()


def documents_in(bytestore: ByteStore, keys: Iterable[str]) -> dict[str, JSON]:
    """Read documents; those that are not JSON are left out."""
    found = {}
    for key, encoded in bytestore.get_many(keys).items():
        document = _parse(encoded)
        if document is not None:
            found[key] = document
    return found


def documents_before(bytestore: ByteStore) -> dict[str, JSON]:
    """Return every metadata document of a store, by key."""
    return documents_in(bytestore, bytestore.metadata_keys(METADATA_KEYS))


def recover(bytestore: ByteStore, *, is_committed: bool = False) -> Recovery | None:
    """Undo an interrupted append; without a journal, return None after one request.

    No other process may be writing to the store.

    Parameters
    ----------
    bytestore : ByteStore
    is_committed : bool
        Whether the append is committed, so that only the leftovers of a failure are removed.
    """
    journal = bytestore.get(JOURNAL)
    if journal is None:
        return None
    keys = list(bytestore.list_prefix(""))
    found = documents_in(bytestore, [key for key in keys if _name(key) in METADATA_KEYS])
    recovery = plan_recovery(keys, found, journal)
    _refuse_escapes(bytestore, recovery)
    try:
        # Documents first: chunks that no document names are harmless.
        _restore(bytestore, recovery)
        _remove(bytestore, recovery)
    except OSError as error:
        # If the append has filled the disk, removing objects frees space for the restored ones.
        logger.debug("%s: objects are removed before others are restored: %s", JOURNAL, error)
        _remove(bytestore, recovery)
        _restore(bytestore, recovery)
    if any(key.startswith(SAVED + "/") for key in keys):
        bytestore.delete_prefix(SAVED)
    bytestore.delete(JOURNAL)
    logger.log(
        logging.DEBUG if is_committed else logging.WARNING,
        "%s: %s (%d objects removed, %d put back)",
        bytestore.location.uri,
        "what a failure has left" if is_committed else "an append that was stopped has been undone",
        len(recovery.removed),
        len(recovery.restored),
    )
    return recovery


def _refuse_escapes(bytestore: ByteStore, recovery: Recovery) -> None:
    """Raise `EscapeError`, before any change, if a changed object is behind a symbolic link."""
    if not isinstance(bytestore, LocalByteStore):
        return
    chunks = (f"{path}/{name}" for path, names in recovery.replaced.items() for name in names)
    for key in chain(recovery.restored, chunks):
        bytestore.check_own(key)
        bytestore.check_own(f"{SAVED}/{key}")


def _restore(bytestore: ByteStore, recovery: Recovery) -> None:
    put_back(bytestore, recovery.replaced)
    for key, document in recovery.restored.items():
        bytestore.set(
            key, format2.encode(document) if _name(key) != DOCUMENT else _encode(document)
        )


def _remove(bytestore: ByteStore, recovery: Recovery) -> None:
    for key in recovery.removed:
        if not key.startswith(SAVED + "/"):
            bytestore.delete(key)


def save_chunks(bytestore: ByteStore, path: str, names: Iterable[str]) -> None:
    """Save chunks of an array for `put_back`."""
    for name in names:
        bytestore.copy(f"{path}/{name}", f"{SAVED}/{path}/{name}")


def put_back(bytestore: ByteStore, replaced: Mapping[str, Iterable[str]]) -> None:
    """Copy saved chunks back to their names; chunks that are not saved already have them."""
    for path, names in replaced.items():
        for name in names:
            bytestore.copy(f"{SAVED}/{path}/{name}", f"{path}/{name}")


def plan_recovery(keys: Iterable[str], found: Mapping[str, JSON], journal: bytes) -> Recovery:
    """Return the steps that undo an append.

    Parameters
    ----------
    keys : iterable of str
        Keys of all objects in the store.
    found : mapping of str to JSON
        Metadata documents of the store by key.
    journal : bytes
    """
    keys = list(keys)
    there = _folders(keys)
    truth = documents_of_truth(found, journal)
    is_settled = truth is None  # committed: only unnamed objects are removed
    documents = dict(found if truth is None else truth)
    restored = {
        key: document
        for key, document in documents.items()
        if not is_settled
        and not _same(found.get(key), document)
        # An append removes no node: if a node is gone with all its objects, someone else removed it.
        and (key in found or "/" not in key or key.rpartition("/")[0] in there)
    }
    arrays = _grids(documents)
    is_settled |= is_committed(found, journal)
    replaced = {} if is_settled else _replaced(journal, arrays)
    kept = {f"{path}/{name}" for path, names in replaced.items() for name in names}
    spared = {JOURNAL, *_kept(journal)}
    removed = []
    for key in keys:
        if key in spared:
            continue
        is_stray = _name(key) in METADATA_KEYS and key not in documents
        is_stray |= key.startswith(SAVED + "/") or TEMPORARY.fullmatch(_name(key)) is not None
        if is_stray or _is_stray_chunk(key, arrays) or _is_new_chunk(key, replaced, kept):
            removed.append(key)
    return Recovery(tuple(removed), restored, replaced)


def _kept(journal: bytes) -> list[str]:
    kept = (_parse(journal) or {}).get("kept")
    return [key for key in kept if isinstance(key, str)] if isinstance(kept, list) else []


def _replaced(journal: bytes, arrays: Iterable[str]) -> dict[str, list[str]]:
    replaced = (_parse(journal) or {}).get("replaced")
    if not isinstance(replaced, dict):
        return {}
    return {
        path: [name for name in names if isinstance(name, str) and _CHUNK_NAME.fullmatch(name)]
        for path, names in replaced.items()
        if isinstance(names, list) and path in arrays and is_node_path(path)
    }


def _is_new_chunk(key: str, replaced: Mapping[str, list[str]], kept: set[str]) -> bool:
    """Return whether a chunk of an array whose chunks were being replaced has no earlier chunk."""
    if not replaced or key in kept:
        return False
    match = _CHUNK.fullmatch(key)
    return match is not None and any(key.startswith(path + "/") for path in replaced)


def _folders(keys: Iterable[str]) -> set[str]:
    """Return all folders that are not empty."""
    folders: set[str] = set()
    for key in keys:
        while (key := key.rpartition("/")[0]) and key not in folders:
            folders.add(key)
    return folders


def documents_of_truth(found: Mapping[str, JSON], journal: bytes) -> dict[str, JSON] | None:
    """Return the documents of the earlier store, by key; None if they are the present ones.

    If the store has the commit that the journal announces, they are the documents of the commit.
    """
    before = (_parse(journal) or {}).get("before")
    if is_committed(found, journal):
        return _consolidated(found)
    if before == {} and not {DOCUMENT, ZMETADATA, ZGROUP}.isdisjoint(found):
        return None  # a new store, which is complete
    if isinstance(before, dict):
        return {key: document for key, document in before.items() if _is_document_key(key)}
    return _consolidated(found)


def is_committed(found: Mapping[str, JSON], journal: bytes) -> bool:
    """Return whether the store has the document that a journal announces as the commit."""
    root = found.get(DOCUMENT, found.get(ZMETADATA))
    return root is not None and (_parse(journal) or {}).get("commit") == _digest(root)


def _consolidated(found: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """Return the documents in the consolidated metadata, by key, and the document that contains them."""
    root = found.get(DOCUMENT)
    if root is not None:
        entries = (consolidated_in(root) or {}).get("metadata")
        if not isinstance(entries, dict):
            return None
        nodes = {f"{path.strip('/')}/{DOCUMENT}": document for path, document in entries.items()}
        inside = {key: document for key, document in nodes.items() if _is_document_key(key)}
        return {DOCUMENT: root, **inside}
    held = found.get(ZMETADATA)
    entries = entries_of(held)
    if not isinstance(entries, dict):
        return None
    inside = {key: document for key, document in entries.items() if _is_document_key(key)}
    return {**inside, ZMETADATA: held}


def _is_document_key(key: str) -> bool:
    """Return whether a metadata document of a store can have a key."""
    path, _, name = key.rpartition("/")
    return name in METADATA_KEYS and is_node_path(path)


def _same(found: JSON, document: JSON) -> bool:
    # Empty and missing attributes are equal, and NaN equals NaN.
    return (found or {}) == (document or {}) or _encode(found) == _encode(document)


def _grids(documents: Mapping[str, JSON]) -> dict[str, tuple[Mapping[str, Any], list[int]]]:
    """Return, by path of each array, the encoding of its chunk keys and the shape of its grid of chunks."""
    grids = {}
    for key, document in documents.items():
        path, _, name = key.rpartition("/")
        try:
            if name == DOCUMENT and is_node(document) and is_array(document):
                node = array_node(document)
                shape, unit, encoding = node.shape, node.stored_chunk, node.chunk_keys
            elif name == ZARRAY:
                shape, unit = document["shape"], document["chunks"]
                encoding = format2_chunk_keys(document.get("dimension_separator", "."))
            else:
                continue
            if not encoding:
                continue
            sizes = zip(shape, unit, strict=True)
            grids[path] = (encoding, [-(-size // step) for size, step in sizes])
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
            continue  # invalid metadata: no chunk of the array is removed
    return grids


class Named:
    """The keys that the documents of a store name: their own, and those of the chunks of its arrays.

    Parameters
    ----------
    documents : mapping of str to JSON
        Documents by key.
    """

    def __init__(self, documents: Mapping[str, JSON]) -> None:
        self._documents = documents
        self._arrays = _grids(documents)

    def __contains__(self, key: str) -> bool:
        if key in self._documents:
            return True
        is_chunk = _CHUNK.fullmatch(key) is not None and _name(key) not in METADATA_KEYS
        return is_chunk and self._is_in_array(key)

    def _is_in_array(self, key: str) -> bool:
        path = key
        while path:
            path = path.rpartition("/")[0]
            if path in self._arrays:
                return not _is_stray_chunk(key, {path: self._arrays[path]})
        return False


def _is_stray_chunk(key: str, arrays: Mapping[str, tuple[Mapping[str, Any], list[int]]]) -> bool:
    match = _CHUNK.fullmatch(key)
    if match is None:
        return False
    path = key
    while path:
        path = path.rpartition("/")[0]
        if path in arrays:
            encoding, counts = arrays[path]
            inside = key[len(path) + 1 :] if path else key
            at = coordinates_of(encoding, inside, len(counts))
            return at is None or any(i >= n for i, n in zip(at, counts, strict=True))
    return "/" in key


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _parse(encoded: bytes) -> dict[str, JSON] | None:
    try:
        document = json.loads(encoded)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _encode(document: JSON) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("utf-8")
