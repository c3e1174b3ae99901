"""Loads the metadata documents of a store: consolidated or node by node, of either format."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from hdmf_zarr.convention import JSON
from hdmf_zarr.core.system import collection_paused
from hdmf_zarr.errors import (
    ForbiddenError,
    MetadataError,
    NotAStoreError,
    StoreNotFoundError,
)
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.consolidated import entries_of, keeps_apart
from hdmf_zarr.metadata.documents import (
    check_document,
    check_node,
    comparable,
    group_document,
    inside,
    parse,
    parse_or_empty,
    public_document,
    why_not_read,
)
from hdmf_zarr.metadata.node import (
    consolidated_in,
    is_array,
    is_node,
    unreadable,
    without_consolidated,
)
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    METADATA_KEYS,
    NODE_DOCUMENTS,
    ZARRAY,
    ZATTRS,
    ZGROUP,
    ZMETADATA,
)
from hdmf_zarr.transactions.fingerprint import HeldFolder, Stamp, hold_folder, stamp_of
from hdmf_zarr.transactions.journal import JOURNAL

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Loaded:
    """The loaded metadata of a store.

    Attributes
    ----------
    documents : dict of str to dict
        Document of each node in Zarr format 3, by path.
    zarr_format : int
    stamp : tuple or None
        Fingerprint of a local store, see `stamp_of`.
    folder : HeldFolder or None
        Open folder to which the stamp belongs.
    is_consolidated : bool
        Whether the documents came from the root's consolidated metadata.
    was_consolidated : bool
        Whether the root had consolidated metadata, used or not.
    is_consolidated_true : bool
        Whether they are equal to the nodes' own documents, if both were read.
    keeps_apart : bool
        Whether the consolidated metadata keep entries apart, see `hdmf_zarr.metadata.consolidated`.
    root : bytes or None
        Unparsed document of the root whose writing is a commit.
    """

    documents: dict[str, dict[str, JSON]]
    zarr_format: int = 3
    stamp: Stamp | None = None
    folder: HeldFolder | None = None
    is_consolidated: bool = False
    was_consolidated: bool = True
    is_consolidated_true: bool = True
    keeps_apart: bool = False
    root: bytes | None = None


def load_documents(bytestore: ByteStore, *, consolidated: bool) -> Loaded:
    """Read the metadata of a store: with one request, or with one listing and one request per node.

    Parameters
    ----------
    bytestore : ByteStore
    consolidated : bool
        Whether to use the consolidated metadata if they exist.

    Raises
    ------
    NotAStoreError, MetadataError, UnsupportedFormatError
    """
    folder = hold_folder(bytestore)
    stamp = stamp_of(bytestore, folder)
    try:
        encoded = bytestore.get(DOCUMENT)
    except PermissionError as error:  # see `_of_root`, which reads the others
        _refuse_listed(bytestore, error)
        encoded = None
    load = _load_format2 if encoded is None else partial(_load_format3, encoded)
    loaded = load(bytestore, consolidated=consolidated)
    loaded.stamp, loaded.folder = stamp, folder
    loaded.root = loaded.root if encoded is None else encoded
    return loaded


def _refuse_listed(bytestore: ByteStore, error: PermissionError) -> None:
    """Raise `ForbiddenError` if the root's document is listed, but access to it is refused."""
    uri = bytestore.location.uri
    logger.debug("%s: %s", uri, error)
    try:
        is_there = DOCUMENT in bytestore.list_prefix("")
    except (OSError, NotImplementedError):
        return
    if is_there:
        raise ForbiddenError(
            errno.EACCES,
            f"{uri}:/{DOCUMENT} is there and may not be read; give other credentials (storage_options, or "
            f"the environment), or ask for the right",
        ) from error


def _of_root(bytestore: ByteStore, keys: list[str]) -> dict[str, bytes]:
    """Return the existing documents of the root.

    A bucket whose objects can be read, but not listed, answers that missing objects are forbidden.
    """
    try:
        return bytestore.get_many(keys)
    except PermissionError as error:
        refused = error  # at least one key is refused
    found: dict[str, bytes] = {}
    for key in keys:
        try:
            found |= bytestore.get_many([key])
        except PermissionError as error:
            refused = error
    if not found:
        raise NotAStoreError(
            f"{bytestore.location.uri} has no metadata that may be read: it is no Zarr store, or wants other "
            f"credentials (storage_options): {refused}"
        ) from refused
    return found


def load_node(bytestore: ByteStore, path: str, zarr_format: int) -> dict[str, JSON] | None:
    """Return the node's own document; None if it has none."""
    if zarr_format == 3:
        return _parsed_nodes(bytestore, [f"{path}/{DOCUMENT}"]).get(path)
    keys = [f"{path}/{name}" for name in NODE_DOCUMENTS]
    return format2.node_documents(_parsed_entries(bytestore, keys)).get(path)


def _load_format3(encoded: bytes, bytestore: ByteStore, *, consolidated: bool) -> Loaded:
    root = _parse_root(bytestore, encoded)
    held = consolidated_in(root) or {}
    root = without_consolidated(root)
    uri = bytestore.location.uri
    if not isinstance(held, dict):
        raise MetadataError(f"{uri}:/ has consolidated metadata that are no object")
    entries = held.get("metadata")
    if consolidated and entries is not None:
        nodes = _checked_nodes(entries, uri)
        return Loaded(documents={"": root, **nodes}, is_consolidated=True)
    nodes = _discovered(bytestore)
    return Loaded(
        documents={"": root, **nodes},
        was_consolidated=entries is not None,
        is_consolidated_true=_is_same(entries, nodes),
    )


def _is_same(entries: JSON, nodes: Mapping[str, dict[str, JSON]]) -> bool:
    """Return whether the consolidated metadata are equal to the nodes' own documents."""
    return isinstance(entries, dict) and (
        {path.strip("/"): comparable(document) for path, document in entries.items()}
        == {path: comparable(document) for path, document in nodes.items()}
    )


@collection_paused()
def _parse_root(bytestore: ByteStore, encoded: bytes) -> dict[str, JSON]:
    uri = bytestore.location.uri
    root = parse(encoded, f"{uri}:/{DOCUMENT}")
    if not is_node(root) or is_array(root):
        found = "array" if is_node(root) else "document of no type"
        raise NotAStoreError(f"{uri} holds a Zarr {found} at its root, not a group")
    check_document(root, f"{uri}:/")
    check_node("", root, f"{uri}:/")
    if (reason := why_not_read(root)) is not None:
        raise MetadataError(f"{uri}:/: {reason}")
    return root


def _discovered(bytestore: ByteStore) -> dict[str, dict[str, JSON]]:
    """Return the documents of all nodes except the root, each read by itself."""
    uri = bytestore.location.uri
    try:
        listed = bytestore.metadata_keys(frozenset({DOCUMENT}))
    except PermissionError as error:
        logger.debug("%s cannot be listed: %s", uri, error)
        listed = []
    if DOCUMENT not in listed:
        raise MetadataError(
            f"{uri} has no consolidated metadata, and its nodes cannot be listed (plain HTTP "
            "cannot list): consolidate the store where it was written, or open it where it can be "
            "listed"
        )
    keys = [key for key in listed if key != DOCUMENT]
    return _checked_nodes(_parsed_nodes(bytestore, keys), uri)


def _parsed_nodes(bytestore: ByteStore, keys: Iterable[str]) -> dict[str, dict[str, JSON]]:
    uri = bytestore.location.uri
    found = bytestore.get_many(keys)
    with collection_paused():
        return {
            key.removesuffix("/" + DOCUMENT): parse(encoded, f"{uri}:/{key}")
            for key, encoded in sorted(found.items())
        }


def _checked_nodes(entries: JSON, uri: str) -> dict[str, dict[str, JSON]]:
    """Return checked documents of format 3 by the paths of their nodes."""
    if not isinstance(entries, dict):
        raise MetadataError(f"{uri}:/ has consolidated metadata that are no object")
    nodes = {}
    for path, document in inside(entries, uri, is_key=False).items():
        where = f"{uri}:/{path}"
        if not is_node(document):
            raise MetadataError(f"{where} is neither a group nor an array")
        check_document(document, where)
        check_node(path, document, where)
        document = without_consolidated(document)
        reason = why_not_read(document)
        document = public_document(document)
        if reason is not None and not is_array(document):
            raise MetadataError(f"{where}: {reason}")
        if reason is not None:
            document = unreadable(document, reason)
        nodes[path.strip("/")] = document
    return nodes


# -- format 2 --------------------------------------------------------------------------------------


def _root_of_format2(bytestore: ByteStore) -> dict[str, bytes]:
    """Return the consolidated document of a root; if there is none, the other documents that exist."""
    try:
        encoded = bytestore.get(ZMETADATA)
    except PermissionError as error:  # see `_of_root`, which reads the others
        logger.debug("%s:/%s: %s", bytestore.location.uri, ZMETADATA, error)
        encoded = None
    if encoded is not None:
        return {ZMETADATA: encoded}
    return _of_root(bytestore, [ZGROUP, ZARRAY])


def _load_format2(bytestore: ByteStore, *, consolidated: bool) -> Loaded:
    uri = bytestore.location.uri
    found = _root_of_format2(bytestore)
    if not found:
        return _load_unfinished(bytestore, is_wanted=not consolidated)
    if ZARRAY in found:
        raise NotAStoreError(f"{uri} holds a Zarr array at its root, not a group")
    encoded = found.get(ZMETADATA, b"{}")
    with collection_paused():
        held = parse_or_empty(encoded, f"{uri}:/{ZMETADATA}")
        entries = entries_of(held)
    loaded = Loaded(documents={}, zarr_format=2, keeps_apart=keeps_apart(held))
    loaded.was_consolidated = ZMETADATA in found
    loaded.root = found.get(ZMETADATA)
    loaded.is_consolidated = consolidated and isinstance(entries, dict)
    if not loaded.is_consolidated:
        if consolidated and loaded.was_consolidated and bytestore.get(JOURNAL) is not None:
            raise MetadataError(
                f"{uri} has broken consolidated metadata, and what its nodes say is not complete: "
                "an append was stopped; open the store with mode 'r+', which undoes it"
            )
        own = _entries_of_nodes(bytestore)
        loaded.is_consolidated_true = entries == own
        entries = own
    assert isinstance(entries, dict)
    with collection_paused():
        loaded.documents = format2.node_documents(inside(entries, uri, is_key=True))
    for path, document in loaded.documents.items():
        check_node(path, document, f"{uri}:/{path}")
    if "" not in loaded.documents:
        raise MetadataError(
            f"{uri} is a store of Zarr format 2 whose root group is not in its metadata; if its "
            "nodes cannot be listed (plain HTTP), consolidate the store where it was written"
        )
    return loaded


def _entries_of_nodes(bytestore: ByteStore) -> dict[str, JSON]:
    """Return all documents of format 2 by key, each read by itself."""
    try:
        keys = bytestore.metadata_keys(NODE_DOCUMENTS)
    except PermissionError as error:
        logger.debug("%s cannot be listed: %s", bytestore.location.uri, error)
        return {}
    return _parsed_entries(bytestore, keys)


def _parsed_entries(bytestore: ByteStore, keys: Iterable[str]) -> dict[str, JSON]:
    uri = bytestore.location.uri
    encoded = bytestore.get_many(keys)
    with collection_paused():
        return {key: parse_or_empty(encoded[key], f"{uri}:/{key}") for key in sorted(encoded)}


def specification_documents(
    bytestore: ByteStore, base: str, zarr_format: int
) -> dict[str, dict[str, JSON]]:
    """Return the documents of a group and its descendants, from the nodes' own metadata."""
    try:
        listed = list(bytestore.list_prefix(base))
    except (OSError, NotImplementedError) as error:
        logger.debug("%s:/%s cannot be listed: %s", bytestore.location.uri, base, error)
        return {}
    names = NODE_DOCUMENTS if zarr_format == 2 else {DOCUMENT}
    entries = _parsed_entries(bytestore, [k for k in listed if k.rpartition("/")[2] in names])
    if zarr_format == 2:
        return format2.node_documents(entries)
    return {
        key.removesuffix("/" + DOCUMENT): document
        for key, document in entries.items()
        if is_node(document)
    }


# -- stores that were never committed, that lost a document, that were replaced ------------------------


def _load_unfinished(bytestore: ByteStore, *, is_wanted: bool) -> Loaded:
    """Load the nodes of a store without a root, whose write did not finish."""
    uri = bytestore.location.uri
    try:
        keys = bytestore.metadata_keys(METADATA_KEYS)
    except (OSError, NotImplementedError) as error:
        logger.debug("%s cannot be listed: %s", uri, error)
        keys = []
    if not keys:
        refuse_missing(bytestore)
        raise NotAStoreError(f"{uri} is not a Zarr store: it has no {DOCUMENT!r} at its root")
    refuse_store_below(bytestore, keys)
    if not is_wanted or not _is_read_only(bytestore):
        raise NotAStoreError(
            f"{uri} is not complete: its write did not finish, so that its root has no metadata "
            "(write it again from its source; mode 'r-' shows what is there)"
        )
    root = group_document({})
    nodes = [key for key in keys if key.endswith("/" + DOCUMENT)]
    if nodes:
        return Loaded(documents={"": root, **_checked_nodes(_parsed_nodes(bytestore, nodes), uri)})
    entries = inside(_parsed_entries(bytestore, keys), uri, is_key=True)
    return Loaded(documents={"": root, **format2.node_documents(entries)}, zarr_format=2)


def refuse_missing(bytestore: ByteStore) -> None:
    """Raise `StoreNotFoundError` if a store that is not a folder has no objects at all."""
    missing = bytestore.why_missing() if isinstance(bytestore, ZarrByteStore) else None
    if missing is not None:
        raise StoreNotFoundError(f"{bytestore.location.uri}: {missing}; check the path")


def refuse_store_below(bytestore: ByteStore, keys: Iterable[str]) -> None:
    """Raise `NotAStoreError`, with the name of the folder, if a store is in a folder below the root.

    A zip file of a folder contains that folder, and a folder may contain several stores.

    Parameters
    ----------
    bytestore : ByteStore
        Byte store without a document at its root.
    keys : iterable of str
        Keys of its metadata documents, or of all objects.
    """
    folders = sorted(
        {folder for key in keys if (folder := _folder_of_root(key)) is not None}, key=_depth
    )
    below = [one for one in folders[:FOLDERS_LOOKED_AT] if _is_whole_root(bytestore, one)]
    if not below:
        return
    uri, folder = bytestore.location.uri, below[0]
    advice = f"open {uri}/{folder}"
    if uri.endswith(".zip"):
        advice = "unpack the file and open that folder, or zip what is in the folder"
    raise NotAStoreError(
        f"{uri} is not a Zarr store itself: it holds a store in the folder {folder!r}; {advice}"
    )


FOLDERS_LOOKED_AT = 8
"""Maximum number of groups that are checked for the root of a store."""

ROOT_KEYS = frozenset({DOCUMENT, ZMETADATA})
"""Documents by which a root is recognized, since they contain the consolidated metadata."""


def _folder_of_root(key: str) -> str | None:
    folder, _, name = key.rpartition("/")
    return folder if folder and name in ROOT_KEYS else None


def _depth(folder: str) -> tuple[int, str]:
    return folder.count("/"), folder


def _is_whole_root(bytestore: ByteStore, folder: str) -> bool:
    """Return whether a group has consolidated metadata, which groups inside a store do not have."""
    if bytestore.get(f"{folder}/{ZMETADATA}") is not None:
        return True
    document = parse_or_empty(bytestore.get(f"{folder}/{DOCUMENT}") or b"{}", folder)
    return isinstance(consolidated_in(document), dict)


def lost_document(
    bytestore: ByteStore, own: Loaded, path: str, known: dict[str, JSON]
) -> str | None:
    """Return the key of a missing document of a node that has other objects; None if none is missing.

    Parameters
    ----------
    bytestore : ByteStore
    own : Loaded
        The nodes' own documents.
    path : str
        Path of the node.
    known : dict
        Document of the node in the consolidated metadata.
    """
    if path not in own.documents:
        name = DOCUMENT
        if own.zarr_format == 2:
            name = ZARRAY if is_array(known) else ZGROUP
        is_there = next(bytestore.list_prefix(path), None) is not None
        return f"{path}/{name}" if is_there else None
    key = f"{path}/{ZATTRS}"
    has_attributes = own.documents[path].get("attributes")
    if own.zarr_format == 3 or not known.get("attributes") or has_attributes:
        return None
    return key if bytestore.get(key) is None else None


def _is_read_only(bytestore: ByteStore) -> bool:
    if isinstance(bytestore, LocalByteStore):
        return bytestore.read_only
    return bytestore.zarr_store.read_only
