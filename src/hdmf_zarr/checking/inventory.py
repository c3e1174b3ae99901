"""All metadata and keys of a store, read without trust: nonsense becomes a finding, not an error."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.report import Finding, Kind
from hdmf_zarr.convention import JSON
from hdmf_zarr.core import limits
from hdmf_zarr.errors import MetadataError, NotAStoreError, StoreNotFoundError
from hdmf_zarr.hdf5 import is_hdf5_file
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.loading import refuse_missing, refuse_store_below
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.consolidated import entries_of, keeps_apart
from hdmf_zarr.metadata.documents import group_document, why_no_node
from hdmf_zarr.metadata.node import (
    consolidated_in,
    has_consolidated,
    is_array,
    why_unreadable,
    without_consolidated,
)
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, open_bytestore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    METADATA_KEYS,
    NODE_DOCUMENTS,
    ZARRAY,
    ZGROUP,
    ZMETADATA,
    is_inside,
    is_node_path,
)
from hdmf_zarr.stores.location import Location
from hdmf_zarr.transactions.fingerprint import HeldFolder, hold_folder, stamp_of
from hdmf_zarr.transactions.journal import JOURNAL, Recovery, documents_in, plan_recovery
from hdmf_zarr.transactions.lock import writer_of

logger = logging.getLogger(__name__)

READ_TOGETHER = 256
"""Number of metadata documents read in one batch."""


@dataclass(kw_only=True)
class Examined:
    """A store, its metadata, and the findings made while reading them.

    Attributes
    ----------
    bytestore : ByteStore
    zarr_format : int
    sizes : dict of str to int, or None
        Bytes of every object, by key; None if the store cannot list its objects.
    own : dict of str to JSON
        Metadata documents of the nodes, each read from its own object, by key.
    held : dict of str to JSON, or None
        Metadata documents in the consolidated metadata; None if there are none.
    keeps_apart : bool
        Whether the consolidated metadata of format 2 keep entries separate that zarr-python 3
        cannot parse.
    hierarchy : Hierarchy
        Hierarchy of the valid documents: those of the nodes, then the consolidated ones.
    findings : list of Finding
    folder : HeldFolder or None
        Open folder of a local store, held while the store is examined.
    before : tuple
        State of the store before the first read.
    """

    bytestore: ByteStore
    zarr_format: int
    sizes: dict[str, int] | None
    own: dict[str, JSON] = field(default_factory=dict)
    held: dict[str, JSON] | None = None
    keeps_apart: bool = False
    hierarchy: Hierarchy = field(init=False)
    findings: list[Finding] = field(default_factory=list)
    folder: HeldFolder | None = None
    before: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.hierarchy = Hierarchy(self.bytestore, {}, zarr_format=self.zarr_format)

    @property
    def uri(self) -> str:
        """Absolute path or URL of the store."""
        return self.bytestore.location.uri

    @property
    def root_key(self) -> str:
        """Key of the root's metadata document."""
        return DOCUMENT if self.zarr_format == 3 else ZGROUP

    def is_changed(self) -> bool:
        """Whether a writer has changed the store since, or has begun to."""
        return _state_of(self.bytestore, None) != self.before

    def note(self, kind: Kind, path: str, message: object, **more: Any) -> None:
        """Add a finding."""
        self.findings.append(Finding.of(kind, path, message, **more))

    def nodes(self) -> Iterator[str]:
        """Yield the paths of all nodes except the cached specifications."""
        return (path for path in self.hierarchy.documents if not self.is_specification(path))

    def arrays(self) -> Iterator[str]:
        """Yield the paths of arrays with valid metadata, including cached specifications."""
        for path, document in self.hierarchy.documents.items():
            if is_array(document) and why_unreadable(document) is None:
                yield path

    def is_specification(self, path: str) -> bool:
        """Whether a node is one of the cached specifications."""
        base = self.hierarchy.specification_path
        return base is not None and (path == base or path.startswith(base + "/"))


def examine(location: Location) -> Examined:
    """Read all metadata of a store.

    Raises
    ------
    StoreNotFoundError, NotAStoreError
        If there is no store.
    """
    _refuse_what_is_no_store(location)
    bytestore = open_bytestore(location, read_only=True)
    folder = hold_folder(bytestore)
    before = _state_of(bytestore, folder)
    sizes = object_sizes(bytestore)
    recovery = _recovery(bytestore, sizes)
    if recovery is not None and sizes is not None:
        # Readers see the store in this state, and the next writer restores it.
        for key in (*recovery.removed, JOURNAL):
            sizes.pop(key, None)
        sizes |= {key: len(json.dumps(recovery.restored[key])) for key in recovery.restored}
    zarr_format = _format_of(bytestore, sizes)
    examined = Examined(
        bytestore=bytestore, zarr_format=zarr_format, sizes=sizes, folder=folder, before=before
    )
    if sizes is None:
        examined.note(rules.NOT_LISTED, "", "its objects cannot be listed")
    if recovery is not None:
        examined.note(rules.UNFINISHED_APPEND, "", _unfinished(location, recovery))
    _read_documents(examined)
    examined.own |= {} if recovery is None else _own_documents(recovery)
    _make_hierarchy(examined)
    return examined


def _state_of(bytestore: ByteStore, folder: HeldFolder | None) -> tuple[Any, ...]:
    """Return a value that differs once a writer has changed a local store, or has begun to."""
    if not isinstance(bytestore, LocalByteStore):
        return ()
    return stamp_of(bytestore, folder), (bytestore.root / JOURNAL).exists()


def _recovery(bytestore: ByteStore, sizes: dict[str, int] | None) -> Recovery | None:
    """Return the recovery of an unfinished append, or None if there is none."""
    if sizes is None or JOURNAL not in sizes:
        return None
    journal = bytestore.get(JOURNAL)
    if journal is None:
        return None  # the append has just finished
    found = documents_in(bytestore, [key for key in sizes if _is_document(key)])
    return plan_recovery(sizes, found, journal)


def _is_document(key: str) -> bool:
    return key.rpartition("/")[2] in METADATA_KEYS


def _own_documents(recovery: Recovery) -> dict[str, JSON]:
    return {
        key: without_consolidated(document)
        for key, document in recovery.restored.items()
        if key.rpartition("/")[0] not in recovery.replaced
        if key != ZMETADATA and isinstance(document, dict)
    }


def _unfinished(location: Location, recovery: Recovery) -> str:
    writer = writer_of(Path(location.uri)) if location.is_local else None
    if writer is not None:
        return f"{writer} is appending to the store"
    return (
        f"an append was stopped; {len(recovery.removed)} of its objects and {len(recovery.restored)} "
        "changed documents are not counted"
    )


def _refuse_what_is_no_store(location: Location) -> None:
    if not location.is_local:
        return
    if not os.path.exists(location.uri):
        raise StoreNotFoundError(f"{location.uri} does not exist; check the path")
    if os.path.isfile(location.uri) and is_hdf5_file(location.uri):
        raise NotAStoreError(f"{location.uri} is an HDF5 file; only Zarr stores can be checked")
    if os.path.isfile(location.uri) and not location.uri.endswith(".zip"):
        raise NotAStoreError(f"{location.uri} is a file, but no Zarr store")


def object_sizes(bytestore: ByteStore) -> dict[str, int] | None:
    """Return the bytes of every object, by key; None if the store cannot list its objects."""
    try:
        sizes = bytestore.sizes()
    except (NotImplementedError, OSError) as error:
        logger.debug("%s cannot be listed: %s", bytestore.location.uri, error)
        return None
    # Zip files have entries for folders, and bucket consoles create objects for them.
    found = {key: size for key, size in sizes.items() if not key.endswith("/")}
    return found if found or isinstance(bytestore, LocalByteStore) else None


def _format_of(bytestore: ByteStore, sizes: dict[str, int] | None) -> int:
    uri = bytestore.location.uri
    if sizes is None:
        names_of_root = set(bytestore.get_many([DOCUMENT, ZGROUP, ZMETADATA]))
    else:
        names_of_root = {key for key in sizes if "/" not in key}
    if DOCUMENT in names_of_root:
        return 3
    if names_of_root & {ZGROUP, ZMETADATA}:
        return 2
    if ZARRAY in names_of_root:
        raise NotAStoreError(f"{uri} holds a Zarr array at its root, not a group")
    refuse_store_below(bytestore, sizes or ())
    found = {key.rpartition("/")[2] for key in sizes or ()}
    if DOCUMENT in found:
        return 3
    if found & NODE_DOCUMENTS:
        return 2
    if not sizes:
        refuse_missing(bytestore)
    raise NotAStoreError(f"{uri} is not a Zarr store: it has no metadata")


# -- documents -------------------------------------------------------------------------------------


def _read_documents(examined: Examined) -> None:
    format3 = examined.zarr_format == 3
    document_names = frozenset({DOCUMENT}) if format3 else NODE_DOCUMENTS
    if format3:
        root = _read(examined, [DOCUMENT]).get(DOCUMENT)
        if isinstance(root, dict) and has_consolidated(root):
            examined.held = _held_in_root(examined, root)
    else:
        held = _read(examined, [ZMETADATA], rules.BROKEN_CONSOLIDATED)
        if ZMETADATA in held:
            examined.held = _entries(examined, held[ZMETADATA])
            examined.keeps_apart = keeps_apart(held[ZMETADATA])
    if examined.sizes is not None:
        keys = [key for key in examined.sizes if key.rpartition("/")[2] in document_names]
    else:
        keys = [
            key
            for key in {DOCUMENT if format3 else ZGROUP, *(examined.held or {})}
            if is_inside(key)
        ]
    examined.own = _read(examined, keys)
    root_document = examined.own.get(examined.root_key)
    if isinstance(root_document, dict):
        examined.own[examined.root_key] = without_consolidated(root_document)


def _held_in_root(examined: Examined, root: dict[str, JSON]) -> dict[str, JSON] | None:
    entries = _entries(examined, consolidated_in(root) or {})
    if entries is None:
        return None
    return {f"{path.strip('/')}/{DOCUMENT}": document for path, document in entries.items()}


def _entries(examined: Examined, held: JSON) -> dict[str, JSON] | None:
    entries = entries_of(held) if isinstance(held, dict) else held
    if isinstance(entries, dict):
        return entries
    if entries is not None:
        examined.note(rules.BROKEN_CONSOLIDATED, "", "the consolidated metadata are no object")
    return None


def _read(
    examined: Examined, keys: Iterable[str], kind: Kind = rules.BROKEN_DOCUMENT
) -> dict[str, JSON]:
    """Parse documents; report each that is no JSON object once."""
    documents: dict[str, JSON] = {}
    wanted = [key for key in keys if _has_good_size(examined, key)]
    for first in range(0, len(wanted), READ_TOGETHER):
        batch = wanted[first : first + READ_TOGETHER]
        try:
            found = examined.bytestore.get_many(batch)
        except (OSError, MetadataError):
            found = _one_by_one(examined, batch)
        for key, encoded in found.items():
            try:
                documents[key] = _parsed(encoded)
            except MetadataError as error:
                examined.note(kind, key.rpartition("/")[0], error, key=key)
    return documents


def _has_good_size(examined: Examined, key: str) -> bool:
    try:
        limits.check_document_size((examined.sizes or {}).get(key, 0), f"/{key}")
    except MetadataError as error:
        examined.note(rules.BEYOND_LIMITS, key.rpartition("/")[0], error, key=key)
        return False
    return True


def _one_by_one(examined: Examined, keys: list[str]) -> dict[str, bytes]:
    found = {}
    for key in keys:
        try:
            value = examined.bytestore.get(key)
        except (OSError, MetadataError) as error:
            is_too_large = isinstance(error, MetadataError)
            kind = rules.BEYOND_LIMITS if is_too_large else rules.UNREADABLE_OBJECT
            examined.note(kind, key.rpartition("/")[0], error, key=key)
            continue
        if value is not None:
            found[key] = value
    return found


def _parsed(encoded: bytes) -> dict[str, JSON]:
    document = limits.parsed_json(encoded, "the document")
    if not isinstance(document, dict):
        raise MetadataError(f"must be a JSON object, found {type(document).__name__}")
    limits.check_json_depth(document, "the document")
    return document


# -- the hierarchy ---------------------------------------------------------------------------------


def _make_hierarchy(examined: Examined) -> None:
    together = {**(examined.held or {}), **examined.own}
    sound = {key: document for key, document in together.items() if _is_node(examined, key)}
    if examined.zarr_format == 3:
        documents = {
            key.rpartition("/")[0]: document
            for key, document in sorted(sound.items())
            if _makes_sense(examined, key, document)
        }
    else:
        documents = format2.node_documents(dict(sorted(sound.items())))
    if "" not in documents:
        _miss_root(examined)
        documents = {"": group_document({}), **documents}
    if is_array(documents[""]):
        raise NotAStoreError(f"{examined.uri} holds a Zarr array at its root, not a group")
    examined.hierarchy.documents = documents
    examined.hierarchy.is_consolidated = examined.held is not None


def _miss_root(examined: Examined) -> None:
    if not any(f.key == examined.root_key for f in examined.findings):
        examined.note(rules.UNFINISHED, "", f"the store has no {examined.root_key!r} at its root")


def _is_node(examined: Examined, key: str) -> bool:
    path = key.rpartition("/")[0]
    if not is_node_path(path):
        examined.note(rules.UNSAFE_NAME, path, f"{path!r:.200} is no path of an object in a store")
        return False
    try:
        limits.check_path_depth(path, f"/{path[:100]}")
    except MetadataError as error:
        examined.note(rules.BEYOND_LIMITS, path[:100], error)
        return False
    return True


def _makes_sense(examined: Examined, key: str, document: JSON) -> bool:
    reason = why_no_node(document)
    if reason is not None:
        examined.note(rules.BROKEN_DOCUMENT, key.rpartition("/")[0], reason, key=key)
    return reason is None
