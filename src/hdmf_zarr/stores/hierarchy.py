"""The metadata documents of one store, parsed once and kept; the only reader and writer of them."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import zarr
from zarr.storage import StorePath

from hdmf_zarr import limits
from hdmf_zarr.codecs.checked import checked_codecs, checked_format2
from hdmf_zarr.convention import (
    JSON,
    SELF,
    Convention,
    Link,
    convention_for_format,
    specification_path,
)
from hdmf_zarr.errors import (
    BrokenLinkError,
    LostWriteError,
    MetadataError,
    NotAStoreError,
    StoreNotFoundError,
)
from hdmf_zarr.stores import compat, format2
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.cache import ChunkCache
from hdmf_zarr.stores.chunk_keys import (
    chunk_key,
    coordinates_of,
    has_form,
    is_staged,
    other_form,
    other_format2_form,
    toggled,
)
from hdmf_zarr.stores.documents import (
    check_document,
    check_node,
    comparable,
    encode_document,
    group_document,
    inside,
    layout_of,
    parse,
    parse_or_empty,
    public_document,
)
from hdmf_zarr.stores.journal import (
    JOURNAL,
    SAVED,
    documents_before,
    documents_in,
    documents_of_truth,
    encode_journal,
    put_back,
    recover,
    save_chunks,
)
from hdmf_zarr.stores.location import Location, resolve_source
from hdmf_zarr.stores.names import DOCUMENT, METADATA_KEYS, is_node_path
from hdmf_zarr.stores.presence import (
    count_chunks,
    grid_of,
    meaning_of_missing,
    watched,
    with_count,
)
from hdmf_zarr.stores.system import make_durable

logger = logging.getLogger(__name__)

_NO_ATTRIBUTES: dict[str, JSON] = {}

NodeType = Literal["group", "array"]


class Hierarchy:
    """The nodes of one store: path (without slashes at its ends, the root is ``""``) -> document.

    Attributes
    ----------
    bytestore : ByteStore
    documents : dict of str to dict
        The document of each node, attributes included, as that of Zarr format 3 whatever the
        format of the store is.
    zarr_format : int
        Format of the store.
    is_consolidated : bool
        Whether the documents came from (or are also in) the root's consolidated metadata.
    was_consolidated : bool
        Whether the root had consolidated metadata when it was read, used or not.
    is_changed : bool
        Whether documents were changed since the last commit.
    is_live : bool
        Whether readers may see the store: what changes it says so in its journal first.
    cache : ChunkCache
        Chunks of its arrays, decoded.
    """

    def __init__(
        self,
        bytestore: ByteStore,
        documents: dict[str, dict[str, JSON]],
        *,
        zarr_format: int = 3,
    ) -> None:
        self.bytestore = bytestore
        self.zarr_format = zarr_format
        self.documents = documents
        self.is_consolidated = False
        self.was_consolidated = True
        self.is_changed = False
        self.is_live = False
        self._has_journal = self._journal_is_enough = self._has_failed = False
        self._is_consolidated_true = True
        self._stamp: tuple[Any, ...] | None = None
        self.cache = ChunkCache(self)
        self._decoded_links: dict[str, tuple[dict[str, JSON], dict[str, Link]]] = {}
        self._committed_keys: dict[str, dict[str, JSON]] = {}
        self._replaced: dict[str, list[str]] = {}
        self._documents_on_failure: dict[str, bytes | None] = {}
        self._is_committed = self._names_commit = False
        self._uncounted: set[str] = set()
        self._changed_paths: set[str] = set()

    # -- reading ---------------------------------------------------------------------------------

    @classmethod
    def load(cls, bytestore: ByteStore, *, consolidated: bool) -> Hierarchy:
        """Read the metadata of a store: one request, or one listing and one request a node.

        Parameters
        ----------
        bytestore : ByteStore
        consolidated : bool
            Use the consolidated metadata where there are any.

        Raises
        ------
        StoreNotFoundError, NotAStoreError, MetadataError, UnsupportedFormatError
        """
        _check_sizes(bytestore, [DOCUMENT, format2.CONSOLIDATED])
        stamp = _stamp_of(bytestore)
        encoded = bytestore.get(DOCUMENT)
        if encoded is None:
            return cls._load_format2(bytestore, consolidated=consolidated)
        root = cls._parse_root(bytestore, encoded)
        held = root.pop("consolidated_metadata", None) or {}
        if not isinstance(held, dict):
            raise MetadataError(
                f"{bytestore.location.uri}:/ has consolidated metadata that are no object"
            )
        entries = held.get("metadata")
        hierarchy = cls(bytestore, {"": root})
        hierarchy._stamp = stamp
        hierarchy.was_consolidated = entries is not None
        if consolidated and entries is not None:
            hierarchy.is_consolidated = True
            hierarchy._add_all(entries)
        else:
            hierarchy._discover()
            hierarchy._compare_with(entries)
        return hierarchy

    def _compare_with(self, entries: JSON) -> None:
        """Note whether the consolidated metadata say what the nodes do."""
        self._is_consolidated_true = isinstance(entries, dict) and (
            {path.strip("/"): comparable(document) for path, document in entries.items()}
            == {path: comparable(document) for path, document in self.documents.items() if path}
        )

    @classmethod
    def load_for_writing(cls, bytestore: ByteStore) -> Hierarchy:
        """Read the metadata of a store that is going to be changed, node by node.

        What a writer that was killed has left is removed first; nobody else may be writing.

        Raises
        ------
        StoreNotFoundError, NotAStoreError, MetadataError, UnsupportedFormatError
        """
        recover(bytestore)
        hierarchy = cls.load(bytestore, consolidated=False)
        hierarchy.refuse_lost_documents()
        hierarchy.is_live = True
        return hierarchy

    def refuse_lost_documents(self) -> None:
        """Raise where the consolidated metadata alone have a document of which the rest is there.

        For metadata that were read node by node: what is written from them would forget it. Who removes a
        node removes what is below it, too.
        """
        if self._is_consolidated_true or not self.was_consolidated:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that nobody uses
                known = type(self).load(self.bytestore, consolidated=True)
        except MetadataError as error:
            logger.debug("%s: its consolidated metadata say nothing: %s", self.uri, error)
            return
        for path, document in known.documents.items():
            key = self._lost_document(path, document) if path else None
            if key is not None:
                raise MetadataError(
                    f"{self.uri}:/{key} is missing, and is in the consolidated metadata only: nothing can be "
                    "added to the store without losing it. Export the store to another place, or bring the "
                    "document back from a copy"
                )

    def _lost_document(self, path: str, known: dict[str, JSON]) -> str | None:
        """Key of a document of a node that is missing, while others of its objects are there."""
        if path not in self.documents:
            name = DOCUMENT
            if self.zarr_format == 2:
                name = format2.ARRAY if known["node_type"] == "array" else format2.GROUP
            is_there = next(self.bytestore.list_prefix(path), None) is not None
            return f"{path}/{name}" if is_there else None
        key = f"{path}/{format2.ATTRIBUTES}"
        if self.zarr_format == 3 or not known.get("attributes") or self.attributes(path):
            return None
        return key if self.bytestore.get(key) is None else None

    @classmethod
    def _load_format2(cls, bytestore: ByteStore, *, consolidated: bool) -> Hierarchy:
        uri = bytestore.location.uri
        stamp = _stamp_of(bytestore)
        found = bytestore.get_many([format2.CONSOLIDATED, format2.GROUP, format2.ARRAY])
        if not found:
            return cls._load_unfinished(bytestore, is_wanted=not consolidated)
        if format2.ARRAY in found:
            raise NotAStoreError(f"{uri} holds a Zarr array at its root, not a group")
        held = found.get(format2.CONSOLIDATED, b"{}")
        entries = parse_or_empty(held, f"{uri}:/{format2.CONSOLIDATED}").get("metadata")
        hierarchy = cls(bytestore, {}, zarr_format=2)
        hierarchy._stamp = stamp
        hierarchy.was_consolidated = format2.CONSOLIDATED in found
        if consolidated and isinstance(entries, dict):
            hierarchy.is_consolidated = True
        else:
            if consolidated and hierarchy.was_consolidated and bytestore.get(JOURNAL) is not None:
                raise MetadataError(
                    f"{uri} has broken consolidated metadata, and what its nodes say is not complete: "
                    "an append was stopped; open the store with mode 'r+', which undoes it"
                )
            keys = bytestore.metadata_keys(format2.NODE_DOCUMENTS)
            _check_sizes(bytestore, keys)
            encoded = bytestore.get_many(keys)
            found_entries = {
                key: parse_or_empty(encoded[key], f"{uri}:/{key}") for key in sorted(encoded)
            }
            hierarchy._is_consolidated_true = entries == found_entries
            entries = found_entries
        hierarchy.documents = format2.node_documents(inside(entries, uri, is_key=True))
        for path, document in hierarchy.documents.items():
            check_node(path, document, f"{uri}:/{path}")
        if "" not in hierarchy.documents:
            raise MetadataError(
                f"{uri} is a store of Zarr format 2 whose root group is not in its metadata; if its "
                "nodes cannot be listed (plain HTTP), consolidate the store where it was written"
            )
        return hierarchy

    @classmethod
    def _load_unfinished(cls, bytestore: ByteStore, *, is_wanted: bool) -> Hierarchy:
        """Look for nodes in a store without a root: its write did not finish."""
        uri = bytestore.location.uri
        try:
            keys = bytestore.metadata_keys(METADATA_KEYS)
        except (OSError, NotImplementedError) as error:
            logger.debug("%s cannot be listed: %s", uri, error)
            keys = []
        if not keys:
            raise NotAStoreError(f"{uri} is not a Zarr store: it has no {DOCUMENT!r} at its root")
        if not is_wanted or not _is_read_only(bytestore):
            raise NotAStoreError(
                f"{uri} is not complete: its write did not finish, so that its root has no metadata "
                "(write it anew from its source; mode 'r-' shows what is there)"
            )
        hierarchy = cls(bytestore, {"": group_document({})})
        if any(key.endswith("/" + DOCUMENT) for key in keys):
            encoded = bytestore.get_many([key for key in keys if key.endswith("/" + DOCUMENT)])
            hierarchy._add_all(
                {
                    key.removesuffix("/" + DOCUMENT): parse(encoded[key], f"{uri}:/{key}")
                    for key in sorted(encoded)
                }
            )
            return hierarchy
        encoded = bytestore.get_many(keys)
        entries = {key: parse_or_empty(encoded[key], f"{uri}:/{key}") for key in sorted(encoded)}
        hierarchy.zarr_format = 2
        hierarchy.documents |= format2.node_documents(inside(entries, uri, is_key=True))
        return hierarchy

    @staticmethod
    def _parse_root(bytestore: ByteStore, encoded: bytes) -> dict[str, JSON]:
        uri = bytestore.location.uri
        root = parse(encoded, f"{uri}:/{DOCUMENT}")
        if root.get("node_type") != "group":
            raise NotAStoreError(
                f"{uri} holds a Zarr {root.get('node_type', 'document of no type')} at its root, not "
                "a group"
            )
        check_document(root, f"{uri}:/")
        check_node("", root, f"{uri}:/")
        return root

    def _discover(self) -> None:
        listed = self.bytestore.metadata_keys(frozenset({DOCUMENT}))
        if DOCUMENT not in listed:
            raise MetadataError(
                f"{self.uri} has no consolidated metadata, and its nodes cannot be listed (plain HTTP "
                "cannot list): consolidate the store where it was written, or open it where it can be "
                "listed"
            )
        keys = [key for key in listed if key != DOCUMENT]
        _check_sizes(self.bytestore, keys)
        found = self.bytestore.get_many(keys)
        where = self.bytestore.location.uri
        self._add_all(
            {
                key.removesuffix("/" + DOCUMENT): parse(encoded, f"{where}:/{key}")
                for key, encoded in sorted(found.items())
            }
        )

    def _add_all(self, entries: JSON) -> None:
        if not isinstance(entries, dict):
            raise MetadataError(f"{self.uri}:/ has consolidated metadata that are no object")
        for path, document in inside(entries, self.uri, is_key=False).items():
            if not isinstance(document, dict) or document.get("node_type") not in (
                "group",
                "array",
            ):
                raise MetadataError(f"{self.uri}:/{path} is neither a group nor an array")
            check_document(document, f"{self.uri}:/{path}")
            check_node(path, document, f"{self.uri}:/{path}")
            document.pop("consolidated_metadata", None)
            self.documents[path.strip("/")] = document

    # -- asking ----------------------------------------------------------------------------------

    @property
    def location(self) -> Location:
        """Where the store is."""
        return self.bytestore.location

    @property
    def uri(self) -> str:
        """Absolute path or URL of the store."""
        return self.location.uri

    @property
    def convention(self) -> Convention:
        """How this store spells HDMF's concepts."""
        return convention_for_format(self.zarr_format)

    def __contains__(self, path: str) -> bool:
        return path.strip("/") in self.documents

    def node_type(self, path: str) -> NodeType:
        """Whether a node is a group or an array."""
        node_type: NodeType = self.documents[path.strip("/")]["node_type"]
        return node_type

    def attributes(self, path: str) -> dict[str, JSON]:
        """All attributes of a node, reserved ones included."""
        return self.documents[path.strip("/")].get("attributes") or {}

    def children(self) -> dict[str, list[str]]:
        """Names of the children of each node, in one pass over all nodes."""
        children: dict[str, dict[str, None]] = {path: {} for path in self.documents}
        for path in self.documents:
            if path:
                parent, _, name = path.rpartition("/")
                # A node whose parent has no document is reached through implicit groups.
                while parent not in children:
                    logger.debug("%s:/%s has no document", self.uri, parent)
                    children[parent] = {name: None}
                    parent, _, name = parent.rpartition("/")
                children[parent][name] = None
        return {path: list(names) for path, names in children.items()}

    @property
    def specification_path(self) -> str | None:
        """Path of the group of cached specifications, or None."""
        return specification_path(self.attributes(""))

    def find_specifications(self) -> None:
        """Add the cached specifications, of which old consolidated metadata know nothing.

        Up to release 0.6 they, and where they are, were written after the metadata were consolidated.
        """
        if self.zarr_format != 2 or not self.is_consolidated:
            return
        if self.specification_path is None:
            written = self.bytestore.get(format2.ATTRIBUTES) or b"{}"
            attributes = parse_or_empty(written, f"{self.uri}:/{format2.ATTRIBUTES}")
            base = specification_path(attributes)
            root = self.documents[""]
            self.documents[""] = {**root, "attributes": {**attributes, **self.attributes("")}}
        else:
            base = self.specification_path
        if base is None or base in self.documents or not is_node_path(base):
            return
        try:
            listed = list(self.bytestore.list_prefix(base))
        except (OSError, NotImplementedError) as error:
            logger.debug("%s:/%s cannot be listed: %s", self.uri, base, error)
            return
        keys = [key for key in listed if key.rpartition("/")[2] in format2.NODE_DOCUMENTS]
        encoded = self.bytestore.get_many(keys)
        entries = {
            key: parse_or_empty(encoded[key], f"{self.uri}:/{key}") for key in sorted(encoded)
        }
        self.documents.update(format2.node_documents(entries))

    def resolve(self, path: str, *, limit: int = 32) -> str:
        """Return the path of the node that a path leads to, following links of this store.

        Parameters
        ----------
        path : str
        limit : int
            Number of links to follow.

        Raises
        ------
        BrokenLinkError
            If there is no such node, or the links lead in a circle.
        """
        wanted = path.strip("/")
        for _ in range(limit):
            if wanted in self.documents:
                return wanted
            followed = self._follow_one_link(wanted)
            if followed is None:
                raise BrokenLinkError(f"{self.uri} has no object at /{wanted}")
            wanted = followed
        raise BrokenLinkError(
            f"{self.uri}:/{path.strip('/')} leads through more than {limit} links"
        )

    def _follow_one_link(self, path: str) -> str | None:
        step = self.find_link(path)
        if step is None or step[0].source != SELF:
            return None
        link, rest = step
        return "/".join([link.path, *rest]).strip("/")

    def find_link(self, path: str) -> tuple[Link, list[str]] | None:
        """Return the first link on the way to a path, and what of the path comes after it."""
        parts = path.split("/")
        for depth in range(len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in self.documents:
                return None
            link = self._links(parent).get(parts[depth])
            if link is not None:
                return link, parts[depth + 1 :]
        return None

    def _links(self, path: str) -> dict[str, Link]:
        """The links of a group by their names, decoded once: a group may have thousands."""
        attributes = self.documents[path].get("attributes") or _NO_ATTRIBUTES
        decoded = self._decoded_links.get(path)
        if decoded is None or decoded[0] is not attributes:
            links: dict[str, Link] = {}
            for link in self.convention.decode_links(attributes):
                links.setdefault(link.name, link)
            decoded = self._decoded_links[path] = attributes, links
        return decoded[1]

    def check_unchanged(self, path: str) -> None:
        """Raise if what was just read may be of another store than the metadata in memory.

        A local store that is read may be replaced, or an array in it written anew, by another process:
        the chunks at the same names are others then, or are missing.

        Raises
        ------
        MetadataError
        """
        if self._stamp is None or self.is_live:
            return
        stamp = _stamp_of(self.bytestore)
        if stamp == self._stamp:
            return
        self.cache.forget(path)  # what was read may be in it
        if stamp is None or stamp[0] != self._stamp[0]:
            raise MetadataError(
                f"{self.uri} was replaced while it was read; open it again to read what is there now"
            )
        now = type(self).load(self.bytestore, consolidated=self.is_consolidated)
        if layout_of(now.documents.get(path)) != layout_of(self.documents.get(path)):
            raise MetadataError(
                f"{self.uri}:/{path} was written anew while it was read; open the file again to read "
                "what is there now"
            )
        # Rows may have been added to it, and what is known of it is still there.
        self._stamp = stamp

    # -- zarr's objects --------------------------------------------------------------------------

    def async_array(
        self, path: str, *, present: dict[str, JSON] | None = None
    ) -> zarr.AsyncArray[Any]:
        """Return zarr's array of a node, made from the document without a request.

        Parameters
        ----------
        path : str
        present : dict, optional
            The document whose chunks must be there: one that is missing is not read as the fill value.
        """
        if format2.BROKEN in self.documents[path]:
            raise MetadataError(f"{self.uri}:/{path}: {self.documents[path][format2.BROKEN]}")
        config: Any = {"write_empty_chunks": True}
        try:
            document: Any = compat.readable_document(self.documents[path])
            if self.documents[path].get(format2.NATIVE):
                document = checked_format2(self.documents[path][format2.ORIGINAL])
            with compat.without_specification_warnings():
                if document.get("zarr_format") == 3:
                    document = {**document, "codecs": checked_codecs(document["codecs"])}
                # A chunk that was written is there: a missing one can then be told from an empty one.
                store = self.bytestore.zarr_store
                if present is not None:
                    store = watched(store, self.uri, path, present)
                array: zarr.AsyncArray[Any] = zarr.AsyncArray(
                    document, StorePath(store, path), config
                )
        except (ValueError, KeyError, TypeError) as error:
            raise MetadataError(
                f"{self.uri}:/{path} has metadata that zarr cannot read: {error}"
            ) from error
        if document.get("zarr_format") != 2:
            dtype = array.metadata.dtype.to_native_dtype()
            limits.check_chunk(document, dtype.itemsize, f"{self.uri}:/{path}")
        if self.bytestore.zarr_store.read_only:
            compat.choose_pipeline(array)
        return array

    def locate_source(self, source: str) -> Location:
        """Return the location that the ``source`` of a link or reference of this store names.

        Stores of Zarr format 2 spell it in several ways: relative to the store, relative to the
        folder in which it is, or, for the store itself, by its name; the first that exists is meant.
        """
        if source == SELF:
            return self.location
        location = resolve_source(source, self.location)
        if self.zarr_format != 2 or location == self.location or not self.location.is_local:
            return location
        beside = resolve_source("../" + source, self.location)
        for candidate in (location, beside):
            if candidate.is_local and os.path.isdir(candidate.uri):
                return candidate
        own_name = self.uri.rpartition("/")[2]
        return self.location if source.rstrip("/").rpartition("/")[2] == own_name else location

    def zarr_group(self) -> zarr.Group:
        """Return zarr's group of the root."""
        entries: dict[str, Any] = {
            path: compat.readable_document(document)
            for path, document in self.documents.items()
            if path and format2.BROKEN not in document
        }
        for path in entries:
            if self.documents[path].get(format2.NATIVE):
                native = {"attributes": self.documents[path]["attributes"]}
                entries[path] = {**self.documents[path][format2.ORIGINAL], **native}
        consolidated = {"kind": "inline", "must_understand": False, "metadata": entries}
        root = dict(self.documents[""])
        if self.is_consolidated or self.zarr_format == 2:
            root["consolidated_metadata"] = consolidated
        store_path = StorePath(self.bytestore.zarr_store, "")
        with compat.without_specification_warnings():
            return zarr.Group(zarr.AsyncGroup.from_dict(store_path, root))

    # -- changing --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say, in a journal in the store, that changes follow; nothing where they have begun.

        The consolidated metadata are the store as it was. Where there are none, the journal has them.
        """
        self._is_committed = False
        if self._has_journal or not self.is_live:
            return
        self._has_journal = True
        self._journal_is_enough = not self._is_consolidated_true
        before = documents_before(self.bytestore) if self._journal_is_enough else None
        self.bytestore.set(JOURNAL, encode_journal(before))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Change something in the store; where that fails, what it has left is looked for later."""
        try:
            yield
        except BaseException:
            self._has_failed = True
            raise

    def settle(self) -> None:
        """Let the journal say that the changes are not undone any more; what is obsolete can go."""
        if self._journal_is_enough:
            self.bytestore.set(JOURNAL, encode_journal(None))
            self._journal_is_enough = False

    def end(self) -> None:
        """Remove the journal: what is in the store is what is to be seen."""
        if self._has_journal:
            if self._has_failed:
                recover(self.bytestore)
            self.bytestore.delete(JOURNAL)
            self._has_journal = self._has_failed = False

    def set_document(self, path: str, document: dict[str, JSON]) -> None:
        """Write the document of a node, unless it is there already; the root's waits for `commit`."""
        path = path.strip("/")
        self.cache.forget(path)
        if self.documents.get(path) == document:
            return
        self.begin()
        if path:
            self._changed_paths.add(path)
            with self.attempt():
                self._write_document(path, document)
        self.documents[path] = document
        self.is_changed = True

    def _write_document(self, path: str, document: dict[str, JSON]) -> None:
        if self._is_staged(document):
            return  # until its chunks have their names, the old one is there
        for key, encoded in self._encoded(path, document).items():
            self.bytestore.set(key, encoded)

    def _encoded(self, path: str, document: dict[str, JSON]) -> dict[str, bytes]:
        """Return the objects of a node's metadata, in the order in which they are written."""
        prefix = path + "/" if path else ""
        if self.zarr_format == 3:
            return {prefix + DOCUMENT: encode_document(document)}
        documents = format2.documents_of_node(document)
        # .zgroup last: it makes a group of a folder.
        names = sorted(documents, reverse=True)
        return {prefix + name: format2.encode(documents[name]) for name in names}

    def _settle_documents(self, paths: list[str]) -> None:
        """See to it that the store has the documents of nodes; what a failure has torn is put right."""
        if self._has_failed:
            for path in paths:
                encoded = self._encoded(path, self.documents[path])
                if self.bytestore.get_many(encoded) != encoded:
                    self._write_document(path, self.documents[path])
        self.check_kept(paths)

    def check_kept(self, paths: Iterable[str]) -> None:
        """Raise `LostWriteError` unless the store has the documents of nodes as they were written."""
        expected: dict[str, bytes] = {}
        for path in paths:
            expected |= self._encoded(path, self.documents[path])
        self._check_objects(expected)

    def check_chunks(self, path: str) -> None:
        """Raise `LostWriteError` unless an array has the chunks that it should have."""
        document = self.documents[path]
        count, grid = count_chunks(self.bytestore, path, document), grid_of(document)
        if count < math.prod(grid) and meaning_of_missing(document) != "absent":
            raise LostWriteError(
                f"{self.uri}:/{path} was written anew, and the store has {count} of its {math.prod(grid)} "
                "chunks; its old ones are kept: look at the store and its disk, and write again"
            )

    def _check_objects(self, expected: Mapping[str, bytes | None]) -> None:
        found = self.bytestore.get_many(expected)
        for key, encoded in expected.items():
            if found.get(key) != encoded:
                raise LostWriteError(
                    f"{self.uri}:/{key} was written, and the store does not have it; what was there before "
                    "is kept where there was something: look at the store and its disk, and write again"
                )

    def count_later(self, path: str) -> None:
        """Note that an array may have chunks that are never written; the commit counts the others."""
        self._uncounted.add(path.strip("/"))

    def _count_chunks(self) -> None:
        for path in sorted(self._uncounted & set(self.documents)):
            document = self.documents[path]
            n_chunks = count_chunks(self.bytestore, path, document)
            counted = with_count(document, n_chunks, zarr_format=self.zarr_format)
            self.set_document(path, counted)
        self._uncounted.clear()

    def note_document(self, path: str, document: dict[str, JSON]) -> None:
        """Take over a document that zarr has written itself."""
        self.cache.forget(path.strip("/"))
        self.documents[path.strip("/")] = document
        self.is_changed = True

    def keys_for_rewrite(self, path: str, n_dimensions: int) -> dict[str, JSON]:
        """Return how to name the chunks of an array that is written anew beside its old ones.

        The chunks that the last commit, or the present document, names stay as they are; whatever
        else is there is removed now, the old ones at the commit.

        Parameters
        ----------
        path : str
        n_dimensions : int
            Of the array as it will be.
        """
        path = path.strip("/")
        self.begin()
        document = self.documents[path]
        current: dict[str, JSON] = document["chunk_key_encoding"]
        committed = self._committed_keys.setdefault(path, current)
        if self.zarr_format == 2:
            least = min(n_dimensions, len(document["shape"]))
            keys = other_format2_form(least, current, committed)
        else:
            keys = other_form(current, committed)
        self._remove_chunks(path, lambda key: has_form(keys, key))
        return keys

    def _remove_chunks(self, path: str, is_obsolete: Callable[[str], bool]) -> None:
        for key in list(self.bytestore.list_prefix(path)):
            name = key.removeprefix(path + "/")
            if name not in METADATA_KEYS and is_obsolete(name):
                self.bytestore.delete(key)

    def restore(self, before: dict[str, dict[str, JSON]]) -> None:
        """Go back to earlier documents: remove nodes that are new, rewrite those that were changed.

        What was committed stays: it is what readers see, whatever has failed after that.
        """
        if self._is_committed:
            return
        self._has_failed = True  # there may be chunks of nodes that have no document yet
        put_back(self.bytestore, self._replaced)
        for path in sorted(set(self.documents) - set(before)):
            self.bytestore.delete_prefix(path)
        for path, document in before.items():
            if path and self.documents.get(path) is not document:
                self.cache.forget(path)
                self._write_document(path, document)
        self._put_documents_back()
        self.documents = dict(before)
        for path, committed in list(self._committed_keys.items()):
            if path not in self.documents:
                del self._committed_keys[path]
                continue
            present = self.documents[path]["chunk_key_encoding"]
            self._remove_chunks(path, lambda key, keep=(committed, present): _has_none(keep, key))  # type: ignore[misc]
            if present == committed:
                del self._committed_keys[path]

    def _keep_on_failure(self, keys: Iterable[str]) -> None:
        """Read the documents that the commit changes, for `restore`."""
        wanted = [key for key in keys if key not in self._documents_on_failure]
        found = self.bytestore.get_many(wanted)
        self._documents_on_failure |= {key: found.get(key) for key in wanted}

    def _put_documents_back(self) -> None:
        for key, encoded in self._documents_on_failure.items():
            if encoded is None:
                self.bytestore.delete(key)
            else:
                self.bytestore.set(key, encoded)
        self._documents_on_failure = {}

    def commit(self, *, consolidate: bool, durable: bool = False) -> None:
        """Write the root's document, with the documents of all nodes in it where asked to.

        The consolidated metadata are never left stale: without ``consolidate`` they are dropped.

        Parameters
        ----------
        consolidate : bool
        durable : bool
            Wait until everything else is on the disk first, and until this is.
        """
        if self.is_live:
            self.begin()
        self._count_chunks()
        self._names_commit = False
        self._name_staged_chunks(consolidate=consolidate, durable=durable)
        if self._journal_is_enough:
            # Until the journal says so, too, the commit is undone.
            roots = [format2.CONSOLIDATED, format2.ATTRIBUTES, format2.GROUP]
            self._keep_on_failure([DOCUMENT] if self.zarr_format == 3 else roots)
        if durable and isinstance(self.bytestore, LocalByteStore):
            make_durable(self.bytestore.root)
        if self.is_live:
            # What is obsolete then goes, and who writes next goes by the nodes' own documents.
            self._check_rewritten()
            self._settle_documents(sorted(self._changed_paths & set(self.documents)))
        self._write_root(consolidate=consolidate)
        self._is_committed = self._names_commit or not self._journal_is_enough
        if durable and isinstance(self.bytestore, LocalByteStore):
            make_durable(self.bytestore.root)
        self._note_commit(consolidate=consolidate)

    def _write_root(self, *, consolidate: bool) -> None:
        """Write the root's documents, and see to it that the store has them."""
        if self.zarr_format == 2:
            self._commit_format2(dict(self.documents[""]), consolidate=consolidate)
            return
        root = dict(self.documents[""])
        if consolidate:
            entries = self._consolidated()
            root["consolidated_metadata"] = {
                "kind": "inline",
                "must_understand": False,
                "metadata": entries,
            }
        encoded = encode_document(root)
        self.bytestore.set(DOCUMENT, encoded)
        self._check_objects({DOCUMENT: encoded})

    # -- names of chunks that format 2 has only once ---------------------------------------------

    def _is_staged(self, document: dict[str, JSON]) -> bool:
        """Whether the chunks of an array get the names of format 2 at the commit."""
        keys = document.get("chunk_key_encoding")
        return self.zarr_format == 2 and keys is not None and is_staged(keys)

    def _name_staged_chunks(self, *, consolidate: bool, durable: bool) -> None:
        """Let the chunks of arrays that were written anew take the names of the old ones.

        The old chunks are saved before, and the journal tells of them; meanwhile no reader reads
        these arrays.
        """
        staged = {
            path: self.documents[path]["chunk_key_encoding"]
            for path in self._committed_keys
            if self._is_staged(self.documents[path])
        }
        for path in staged:
            final = toggled(self._committed_keys[path])
            self.documents[path] = {**self.documents[path], "chunk_key_encoding": final}
        if staged and self.is_live:
            self._save_before_renaming(list(staged), consolidate=consolidate, durable=durable)
        for path, keys in staged.items():
            self._name_chunks(path, keys)

    def _save_before_renaming(self, paths: list[str], *, consolidate: bool, durable: bool) -> None:
        before = documents_of_truth(
            documents_in(self.bytestore, [format2.CONSOLIDATED]),
            self.bytestore.get(JOURNAL) or b"{}",
        )
        for path in paths:
            self._replaced[path] = self._chunk_names(path, self._committed_keys[path])
            save_chunks(self.bytestore, path, self._replaced[path])
        names = (format2.ARRAY, format2.ATTRIBUTES)
        self._keep_on_failure(f"{path}/{name}" for path in paths for name in names)
        self._keep_on_failure([format2.CONSOLIDATED])
        commit = self._consolidated_format2() if consolidate else None
        self.bytestore.set(JOURNAL, encode_journal(before, self._replaced, commit))
        self._journal_is_enough = True
        self._names_commit = consolidate
        if durable and isinstance(self.bytestore, LocalByteStore):
            make_durable(self.bytestore.root)
        self._let_nobody_read(paths, before or {})

    def _let_nobody_read(self, paths: list[str], before: dict[str, JSON]) -> None:
        """Let every reader refuse arrays, and nothing else."""
        keys = [f"{path}/{format2.ARRAY}" for path in paths]
        marked = {key: format2.being_replaced(before[key]) for key in keys if key in before}
        if (held := before.get(format2.CONSOLIDATED)) is not None:
            entries = {key: marked.get(key, entry) for key, entry in held["metadata"].items()}
            self.bytestore.set(format2.CONSOLIDATED, format2.encode({**held, "metadata": entries}))
        for key, metadata in marked.items():
            self.bytestore.set(key, format2.encode(metadata))

    def _chunk_names(self, path: str, encoding: dict[str, JSON]) -> list[str]:
        names = (key.removeprefix(path + "/") for key in self.bytestore.list_prefix(path))
        return sorted(name for name in names if has_form(encoding, name))

    def _name_chunks(self, path: str, staged: dict[str, JSON]) -> None:
        """Give the staged chunks of an array their names, then write the document of these."""
        document = self.documents[path]
        final = document["chunk_key_encoding"]
        obsolete = set(self._chunk_names(path, final))
        for name in self._chunk_names(path, staged):
            at = coordinates_of(staged, name, len(document["shape"]))
            if at is not None:
                new = chunk_key(final, at)
                self.bytestore.copy(f"{path}/{name}", f"{path}/{new}")
                obsolete.discard(new)
        for name in obsolete:
            self.bytestore.delete(f"{path}/{name}")
        self._write_document(path, document)

    def _consolidated(self) -> dict[str, JSON]:
        """Return the documents of all nodes, as the consolidated metadata of the format have them."""
        if self.zarr_format == 3:
            return {
                path: public_document(self.documents[path])
                for path in sorted(self.documents)
                if path
            }
        return {
            f"{path}/{name}" if path else name: document
            for path in sorted(self.documents)
            for name, document in format2.documents_of_node(self.documents[path]).items()
        }

    def _consolidated_format2(self) -> dict[str, JSON]:
        return {"metadata": self._consolidated(), "zarr_consolidated_format": 1}

    def _commit_format2(self, root: dict[str, JSON], *, consolidate: bool) -> None:
        encoded = format2.encode(self._consolidated_format2())
        self._write_document("", root)
        self._check_objects(self._encoded("", root))
        # What readers see changes in this one operation.
        if consolidate:
            self.bytestore.set(format2.CONSOLIDATED, encoded)
            self._check_objects({format2.CONSOLIDATED: encoded})
        else:
            self.bytestore.delete(format2.CONSOLIDATED)
            self._check_objects({format2.CONSOLIDATED: None})

    def _note_commit(self, *, consolidate: bool) -> None:
        self.settle()
        self._is_committed = True
        self._documents_on_failure = {}
        self.is_consolidated = self.was_consolidated = self._is_consolidated_true = consolidate
        self.is_changed = False
        self._changed_paths.clear()
        self._remove_obsolete_chunks()
        self.end()

    def _check_rewritten(self) -> None:
        """Raise `LostWriteError` unless arrays that were written anew have all of their chunks."""
        for path in self._committed_keys:
            self.check_chunks(path)

    def _remove_obsolete_chunks(self) -> None:
        """Remove the chunks of rewritten arrays that the present documents do not name."""
        if self._replaced:
            self.bytestore.delete_prefix(SAVED)
            self._replaced = {}
        for path in self._committed_keys:
            keys = self.documents[path]["chunk_key_encoding"]
            self._remove_chunks(path, lambda key, keys=keys: not has_form(keys, key))  # type: ignore[misc]
        self._committed_keys.clear()


def _has_none(encodings: Iterable[dict[str, JSON]], key: str) -> bool:
    return not any(has_form(encoding, key) for encoding in encodings)


def _stamp_of(bytestore: ByteStore) -> tuple[Any, ...] | None:
    """Return what tells whether a local store is the one that it was: two system calls.

    First which folder it is, then which root document is in it.
    """
    if not isinstance(bytestore, LocalByteStore):
        return None
    try:
        folder = os.stat(bytestore.root)
    except OSError:
        return None
    documents = []
    for name in (DOCUMENT, format2.CONSOLIDATED, format2.ATTRIBUTES):
        try:
            found = os.stat(f"{bytestore.root}/{name}")
        except OSError:
            continue
        documents.append((name, found.st_ino, found.st_mtime_ns, found.st_size))
        if name != format2.ATTRIBUTES:
            break
    return (folder.st_dev, folder.st_ino), *documents


def _is_read_only(bytestore: ByteStore) -> bool:
    if isinstance(bytestore, LocalByteStore):
        return bytestore.read_only
    return bytestore.zarr_store.read_only


def _check_sizes(bytestore: ByteStore, keys: Iterable[str]) -> None:
    """Raise `MetadataError` before a document of a local store is read that is too large."""
    if not isinstance(bytestore, LocalByteStore):
        return
    for key in keys:
        try:
            n_bytes = (bytestore.root / key).stat().st_size
        except OSError:
            continue  # which is told where it is read
        limits.check_document_size(n_bytes, f"{bytestore.location.uri}:/{key}")


def missing_store_error(location: Location) -> StoreNotFoundError:
    """Return the error for a path at which nothing is."""
    return StoreNotFoundError(
        f"{location.uri} does not exist; check the path, or write it with mode 'w'"
    )
