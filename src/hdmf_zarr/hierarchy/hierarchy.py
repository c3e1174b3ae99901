"""The metadata documents of one store, parsed once and kept; the only reader and writer of them."""

from __future__ import annotations

import json
import logging
import math
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NoReturn

import zarr
from zarr.abc.store import Store
from zarr.storage import StorePath

from hdmf_zarr.chunks import pipeline
from hdmf_zarr.chunks.cache import ChunkCache
from hdmf_zarr.chunks.missing import (
    count_chunks,
    grid_of,
    meaning_of_missing,
    watched,
    with_count,
)
from hdmf_zarr.codecs.checked import checked_codecs, checked_format2
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.convention import (
    JSON,
    SELF,
    Convention,
    Link,
    convention_for_format,
    specification_path,
)
from hdmf_zarr.core import limits
from hdmf_zarr.core.system import make_durable
from hdmf_zarr.errors import (
    HDMFZarrError,
    LockedError,
    LostWriteError,
    MetadataError,
    MissingExtraError,
    ModeError,
    ObjectExistsError,
)
from hdmf_zarr.hierarchy.legacy_sources import locate_spelled, names_of_before
from hdmf_zarr.hierarchy.links import LinkTable
from hdmf_zarr.hierarchy.loading import (
    Loaded,
    load_documents,
    load_node,
    lost_document,
    specification_documents,
)
from hdmf_zarr.hierarchy.replacement import (
    Replacement,
    RootVersions,
    are_same,
    put_root,
    root_versions,
)
from hdmf_zarr.hierarchy.rewrites import Rewrites
from hdmf_zarr.hierarchy.root_watch import RootWatch
from hdmf_zarr.metadata import array_document, format2
from hdmf_zarr.metadata.chunk_keys import chunk_key, is_staged
from hdmf_zarr.metadata.consolidated import consolidated_document
from hdmf_zarr.metadata.documents import (
    encode_document,
    group_document,
    layout_of,
    parse_or_empty,
    public_document,
)
from hdmf_zarr.stores.batching import stored_together
from hdmf_zarr.stores.bounded import BoundedStore, bounded
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.contained import ContainedStore, most_bytes_of
from hdmf_zarr.stores.keys import DOCUMENT, METADATA_KEYS, is_node_path
from hdmf_zarr.stores.location import Location, resolve_source
from hdmf_zarr.transactions.append import OpenAppend
from hdmf_zarr.transactions.claims import recover_for_writing
from hdmf_zarr.transactions.fingerprint import HeldFolder, Stamp, hold_folder, is_newer, stamp_of
from hdmf_zarr.transactions.journal import JOURNAL
from hdmf_zarr.transactions.lock import WriterLock
from hdmf_zarr.transactions.writers import changed_since

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
    keeps_apart : bool
        Whether the consolidated metadata of format 2 keep apart what zarr-python 3 cannot parse.
    is_changed : bool
        Whether documents were changed since the last commit.
    is_live : bool
        Whether readers may see the store: what changes it says so in its journal first.
    is_closed : bool
        Whether its writer is done, so that arrays that it handed out take no more elements.
    n_changes : int
        How often it was found that somebody else has changed the store.
    cache : ChunkCache
        Chunks of its arrays, decoded.
    open_append : OpenAppend
        What is known of the changes since the last commit.
    replacement : Replacement or None
        Until its first commit: what a new store that is no folder replaces.
    is_committed : bool
        Whether the last changes are what readers see.
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
        self.keeps_apart = False
        self.is_changed = False
        self.is_live = False
        self.is_closed = False
        self.n_changes = 0
        self._is_consolidated_true = True
        self._stamp: Stamp | None = None
        self._folder: HeldFolder | None = None
        self._newer: Hierarchy | None = None
        self._sent_path: str | None = None
        self._checked: dict[str, Stamp | None] = {}
        self.cache = ChunkCache(self)
        self.open_append = OpenAppend(bytestore)
        self._watch = RootWatch(self)
        self._links = LinkTable(self)
        self._rewrites = Rewrites(self)
        self.replacement: Replacement | None = None
        self.is_committed = False
        self._is_restored = True
        self._is_outdated = False
        self._root: RootVersions | None = None
        self._beginning = threading.Lock()
        self._uncounted: set[str] = set()
        self._removed: dict[str, dict[str, dict[str, JSON]]] = {}
        self._shortened: set[str] = set()

    # -- reading ---------------------------------------------------------------------------------

    @classmethod
    def load(cls, bytestore: ByteStore, *, consolidated: bool) -> Hierarchy:
        """Read the metadata of a store, consolidated where there are such and they are wanted.

        Raises
        ------
        StoreNotFoundError, NotAStoreError, MetadataError, UnsupportedFormatError
        """
        found = load_documents(bytestore, consolidated=consolidated)
        hierarchy = cls(bytestore, found.documents, zarr_format=found.zarr_format)
        hierarchy.is_consolidated = found.is_consolidated
        hierarchy.was_consolidated = found.was_consolidated
        hierarchy.keeps_apart = found.keeps_apart
        hierarchy._is_consolidated_true = found.is_consolidated_true
        hierarchy._stamp, hierarchy._folder = found.stamp, found.folder
        hierarchy._watch.begin(found.root)
        return hierarchy

    @classmethod
    def load_for_writing(
        cls,
        bytestore: ByteStore,
        lock: WriterLock | None = None,
        when_locked: Callable[[Path, WriterLock], None] | None = None,
        *,
        takes_over: bool = True,
    ) -> Hierarchy:
        """Read the metadata of a store that is going to be changed, node by node.

        What a writer that was killed has left is removed first; nobody else may be writing.

        Parameters
        ----------
        bytestore : ByteStore
        lock : WriterLock, optional
            Of a local store, where everything happens under a lock that the caller has. Otherwise one is
            taken for the time of the reading, and again at the first change.
        when_locked : callable, optional
            Called with the folder and that lock, after the reading.
        takes_over : bool
            Ask another writer of this process, which is not at work just now, for the store.

        Raises
        ------
        StoreNotFoundError, NotAStoreError, MetadataError, UnsupportedFormatError
        """
        if lock is None and isinstance(bytestore, LocalByteStore):
            with WriterLock.acquire(
                bytestore.root, is_opening=True, takes_over=takes_over
            ) as opening:
                hierarchy = cls._load_for_writing(bytestore, None, takes_over=takes_over)
                if when_locked is not None:
                    when_locked(bytestore.root, opening)
                return hierarchy
        return cls._load_for_writing(bytestore, lock, takes_over=takes_over and lock is None)

    @classmethod
    def _load_for_writing(
        cls, bytestore: ByteStore, lock: WriterLock | None, *, takes_over: bool
    ) -> Hierarchy:
        recover_for_writing(bytestore, takes_over=takes_over)
        root = root_versions(bytestore) if isinstance(bytestore, ZarrByteStore) else None
        opened = OpenAppend(bytestore, lock)
        opened.note_root()
        hierarchy = cls.load(bytestore, consolidated=False)
        hierarchy.open_append = opened
        hierarchy.refuse_lost_documents()
        hierarchy._root = root
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
        own = Loaded(documents=self.documents, zarr_format=self.zarr_format)
        for path, document in known.documents.items():
            key = lost_document(self.bytestore, own, path, document) if path else None
            if key is not None:
                raise MetadataError(
                    f"{self.uri}:/{key} is missing, and is in the consolidated metadata only: nothing can be "
                    "added to the store without losing it. Export the store to another place, or bring the "
                    "document back from a copy"
                )

    @classmethod
    def sent(
        cls,
        bytestore: ByteStore,
        path: str,
        document: dict[str, JSON],
        *,
        zarr_format: int,
        is_consolidated: bool,
    ) -> Hierarchy:
        """Return a hierarchy of one array of which another process has told.

        What was told is compared with what is in the store when it is first read.

        Parameters
        ----------
        bytestore : ByteStore
        path : str
            Of the array.
        document : dict
        zarr_format : int
        is_consolidated : bool
            Whether the document came from consolidated metadata.
        """
        documents = {"": group_document({}), path: document}
        hierarchy = cls(bytestore, documents, zarr_format=zarr_format)
        hierarchy.is_consolidated = is_consolidated
        hierarchy._sent_path = path
        return hierarchy

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
        self.find_every_specification()

    def find_every_specification(self) -> None:
        """Add the cached specifications that the store has and its consolidated metadata do not know.

        Tools that merge stores leave such ones. The store is listed for them, which reading does without.
        """
        base = self.specification_path
        if not self.is_consolidated or base is None or not is_node_path(base):
            return
        found = specification_documents(self.bytestore, base, self.zarr_format)
        for path, document in found.items():
            self.documents.setdefault(path, document)

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
        return self._links.resolve(path, limit)

    def find_link(self, path: str) -> tuple[Link, list[str]] | None:
        """Return the first link on the way to a path, and what of the path comes after it."""
        return self._links.find(path)

    def check_unchanged(self, *paths: str, has_failed: bool = False) -> bool:
        """Raise if what was just read may be of another store than the metadata in memory.

        A local store that is read may be replaced, or an array in it written anew, by another process:
        the chunks at the same names are others then, or are missing. At a store that is no folder one look
        is for all reads of a second.

        Parameters
        ----------
        *paths : str
            Of the arrays from which something was read.
        has_failed : bool
            Reading has failed: look in any case.

        Returns
        -------
        bool
            False if elements may have changed where they are: what was just read may be some chunks that
            were kept from before, and some of now.

        Raises
        ------
        MetadataError
        """
        if self.open_append.has_begun:
            return True
        self._refuse_undone(paths)
        if (sent := self._sent_path) is not None:
            self._check_sent(sent)
        if self._stamp is None:
            seen = self.n_changes
            self._watch.check(*paths, is_urgent=has_failed)
            return seen == self.n_changes
        stamp = stamp_of(self.bytestore)
        changed = [path for path in paths if stamp != self._checked.get(path, self._stamp)]
        for path in changed:
            self._check_path(path, stamp)
        return not changed

    def _refuse_undone(self, paths: Iterable[str]) -> None:
        """Raise if an array was changed, and another writer of this process has had that undone."""
        undone = self.open_append.changed.intersection(paths) if self.open_append.is_taken else ()
        for path in undone:
            raise MetadataError(
                f"{self.uri}:/{path}: what was changed and not committed is undone, since another writer of "
                "this process has the store; open it again"
            )

    def _check_path(self, path: str, stamp: Stamp | None) -> None:
        """Raise if a node is not the one of the metadata in memory, in a store that has another stamp."""
        assert self._stamp is not None
        self.cache.clear()  # what was read may be in it
        self.n_changes += 1
        if stamp is None or stamp[0] != self._stamp[0]:
            raise MetadataError(
                f"{self.uri} was replaced while it was read; open it again to read what is there now"
            )
        if self._folder is None or not self._folder.is_held:
            # Another folder may have its number by now.
            raise MetadataError(
                f"{self.uri} was replaced or changed while it was read; open it again to read what is "
                "there now"
            )
        newer = self._load_newer(stamp)
        if layout_of(newer.documents.get(path)) != layout_of(
            self.documents.get(path)
        ) or self._has_other_elements(path, newer.documents.get(path)):
            raise MetadataError(
                f"{self.uri}:/{path} was written anew while it was read; open the file again to read "
                "what is there now"
            )
        # Rows may have been added to it, and what is known of it is still there. Of others nothing is said.
        self._checked[path] = newer._stamp

    def _check_sent(self, path: str) -> None:
        """Raise unless an array still is what the process that has sent it knew of it."""
        self._folder = hold_folder(self.bytestore)
        stamp = stamp_of(self.bytestore, self._folder)
        expected = layout_of(self.documents[path])
        if layout_of(load_node(self.bytestore, path, self.zarr_format)) != expected:
            # That of the node alone may be of an append that goes on.
            known = type(self).load(self.bytestore, consolidated=self.is_consolidated)
            known.close()
            if layout_of(known.documents.get(path)) != expected:
                self.cache.clear()
                raise MetadataError(
                    f"{self.uri}:/{path} was written anew since it was pickled; open the file to read what "
                    "is there now"
                )
        self._stamp, self._sent_path = stamp, None

    def _has_other_elements(self, path: str, newer: dict[str, Any] | None) -> bool:
        """Whether an array of the same layout has fewer rows, or chunks that no append has touched are new.

        Names of chunks return when an array is written anew for the second time.
        """
        old = self.documents.get(path)
        if old is None or newer is None or "chunk_grid" not in old:
            return False
        has_grown = newer["shape"] != old["shape"]
        if has_grown:
            rows, unit = old["shape"][0], old["chunk_grid"]["configuration"]["chunk_shape"][0]
            if newer["shape"][0] < rows or rows < unit:
                return bool(newer["shape"][0] < rows)  # else its first chunk has got more rows
        key = chunk_key(old["chunk_key_encoding"], (0,) * len(old["shape"]))
        return is_newer(self.bytestore, f"{path}/{key}", self._stamp)

    def check_untouched(self) -> None:
        """Raise if anything was written to a local store since its metadata were read, or is being written.

        Raises
        ------
        MetadataError
        """
        if self.bytestore.get(JOURNAL) is not None:
            raise MetadataError(
                f"{self.uri} is being appended to, or an append to it was stopped; try again when nobody "
                "writes to it ('hdmf-zarr check --repair' undoes what was stopped)"
            )
        if self._stamp is not None and stamp_of(self.bytestore) != self._stamp:
            raise MetadataError(
                f"{self.uri} was changed while it was read; try again when nobody writes to it"
            )

    def _load_newer(self, stamp: Stamp) -> Hierarchy:
        """The metadata as they are now, read once for all arrays."""
        if self._newer is None or self._newer._stamp != stamp:
            self._newer = type(self).load(self.bytestore, consolidated=self.is_consolidated)
            self._newer.close()
        return self._newer

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
            document: Any = array_document.readable_document(self.documents[path])
            if self.documents[path].get(format2.NATIVE):
                # With the shape that it has by now.
                document = checked_format2(format2.array_metadata(self.documents[path]))
            with array_document.without_specification_warnings():
                if document.get("zarr_format") == 3:
                    # A copy of the attributes, which zarr empties where it is to replace them.
                    own = {"attributes": dict(document.get("attributes") or {})}
                    document = {**document, **own, "codecs": checked_codecs(document["codecs"])}
                # A chunk that was written is there: a missing one can then be told from an empty one.
                inner = _store_of_array(self.bytestore)
                store = inner
                if present is not None:
                    store = watched(store, self.uri, path, present)
                array: zarr.AsyncArray[Any] = zarr.AsyncArray(
                    document, StorePath(store, path), config
                )
        except MissingExtraError as error:
            raise MissingExtraError(f"{self.uri}:/{path}: {error}") from error
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise MetadataError(
                f"{self.uri}:/{path} has metadata that zarr cannot read: {error}"
            ) from error
        dtype = array.metadata.dtype.to_native_dtype()
        if isinstance(inner, ContainedStore | BoundedStore):
            inner.most = most_bytes_of(array)
        if document.get("zarr_format") != 2:
            limits.check_chunk(document, dtype.itemsize, f"{self.uri}:/{path}")
        if self.bytestore.zarr_store.read_only:
            pipeline.choose_pipeline(array)
        return array

    def encoded_chunks(self, path: str, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the encoded chunks of an array that there are, by key.

        Raises
        ------
        ChunkError
            If one is longer than a chunk of the array can be.
        """
        chain = DirectChain.for_document(self.documents[path])
        most = most_bytes_of(self.async_array(path)) if chain is None else chain.most_encoded
        wanted = list(keys)
        return self.bytestore.get_many(wanted, dict.fromkeys(wanted, most))

    def locate_source(self, source: str) -> Location:
        """Return the location that the ``source`` of a link or reference of this store names."""
        if source == SELF:
            return self.location
        if self.zarr_format != 2:
            return resolve_source(source, self.location)
        is_name = "/" not in source
        return locate_spelled(source, self.location, self._names_of_before if is_name else ())

    @cached_property
    def _names_of_before(self) -> frozenset[str]:
        attributes = [self.attributes(path) for path in self.documents]
        return names_of_before(attributes, self.convention, self.attributes("").get("object_id"))

    def zarr_group(self) -> zarr.Group:
        """Return zarr's group of the root, to be read: changes made through it would miss the commit."""
        entries: dict[str, Any] = {
            path: array_document.readable_document(document)
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
        store_path = StorePath(_read_only(self.bytestore.zarr_store), "")
        with array_document.without_specification_warnings():
            return zarr.Group(zarr.AsyncGroup.from_dict(store_path, root))

    # -- changing --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say, in a journal in the store, that changes follow; nothing where they have begun.

        Raises
        ------
        ModeError
            If the file is closed.
        LockedError
            If another writer is at work, or has committed something since the store was read.
        """
        if self.is_closed:
            raise ModeError(f"{self.uri} is closed; open it with mode 'r+' to change what it holds")
        self.open_append.refuse_taken()
        if self.is_live:
            self._begin_live()
        self.is_committed = False
        if self._shortened:
            self.open_append.changed |= self._shortened
            self._shortened = set()
            self.open_append.has_failed = True  # what is outside of them is removed at the end

    def _begin_live(self) -> None:
        with self._beginning:  # several threads may begin
            if self.open_append.begin(is_consolidated_true=self._is_consolidated_true):
                self._check_root()

    def _check_root(self) -> None:
        """Raise `LockedError` if others have committed to a store that is no folder since it was opened."""
        bytestore = self.open_append.bytestore
        if not isinstance(bytestore, ZarrByteStore):
            return
        found = root_versions(bytestore)
        # After a commit only what was written is known, and not the version that the store has made of it.
        is_known = self._watch.is_last(found) if self._root is None else are_same(found, self._root)
        if not is_known:
            self.open_append.release()
            self._give_up()
        self._root = found

    def note_root(self) -> None:
        """Take note of which documents the root has, after this writer itself has marked it."""
        bytestore = self.bytestore
        if self.replacement is not None:
            self.replacement.look_again()
        elif isinstance(bytestore, ZarrByteStore) and self._root is not None:
            self._root = root_versions(bytestore)

    def _give_up(self) -> NoReturn:
        """Raise `LockedError`, and commit nothing any more."""
        self.is_changed = False
        self._is_outdated = self.open_append.has_failed = True
        raise LockedError(changed_since(self.uri, " by another writer"))

    def attempt(self) -> AbstractContextManager[None]:
        """Change something in the store; where that fails, what it has left is looked for later."""
        return self.open_append.attempt()

    def settle(self) -> None:
        """Let the journal say that the changes are not undone any more; what is obsolete can go."""
        self.open_append.settle()

    def end(self) -> None:
        """Remove the journal: what is in the store is what is to be seen, and others may change it."""
        if self.open_append.has_begun and not self.open_append.is_lost:
            self.look_again()
        self.open_append.end()

    def look_again(self) -> None:
        """Take note of which store there is: it is the one of the documents in memory."""
        if isinstance(self.bytestore, LocalByteStore):
            self._folder = self._folder or hold_folder(self.bytestore)
            self._stamp = stamp_of(self.bytestore, self._folder)
            self._checked.clear()
        elif isinstance(self.bytestore, ZarrByteStore) and not self.is_consolidated:
            self._root = root_versions(self.bytestore)

    def close(self) -> None:
        """End changes, and let go of the store's folder."""
        self.open_append.end()
        if self._folder is not None:
            self._folder.release()

    def set_document(self, path: str, document: dict[str, JSON]) -> None:
        """Write the document of a node, unless it is there already; the root's waits for `commit`."""
        path = path.strip("/")
        self.cache.forget(path)
        if self.documents.get(path) == document:
            return
        self.begin()
        self.open_append.changed.add(path)
        if path:
            with self.attempt():
                self.write_document(path, document)
        self.documents[path] = document
        self.is_changed = True

    def remove_later(self, path: str) -> None:
        """Remove a node and what is below it; its documents and chunks go when that is committed.

        Parameters
        ----------
        path : str
        """
        self.begin()
        below = [one for one in self.documents if one == path or one.startswith(f"{path}/")]
        removed = {one: self.documents[one] for one in below}
        for one in below:
            self.cache.forget(one)
            self._uncounted.discard(one)
            self.open_append.changed.add(one)
            del self.documents[one]
        self._removed[path] = removed
        self.is_changed = True

    @property
    def has_removed(self) -> bool:
        """Whether nodes were removed since the last commit."""
        return bool(self._removed)

    def refuse_removed(self, path: str) -> None:
        """Raise `ObjectExistsError` for a new node where one was removed.

        What was removed is in the store until the commit, where the new one would take its place.
        """
        for above in self._removed_at(path):
            raise ObjectExistsError(
                f"{self.uri}:/{above} was removed, and is in the store until that is committed: nothing else "
                "can be made there before; write() or close the file, and make the other one then"
            )

    def take_removal_back(self, path: str) -> None:
        """Bring back what was removed at a path, or above it; nothing where nothing was."""
        for above in self._removed_at(path):
            self.documents.update(self._removed.pop(above))

    def _removed_at(self, path: str) -> list[str]:
        return [one for one in self._removed if path == one or path.startswith(f"{one}/")]

    def document_of(self, path: str) -> dict[str, JSON]:
        """Return the document of a node.

        Raises
        ------
        MetadataError
            If there is none: it was removed.
        """
        try:
            return self.documents[path]
        except KeyError:
            raise MetadataError(f"{self.uri}:/{path} is not in the store; it was removed") from None

    def store_of_chunks(self) -> Store:
        """Return the store in which zarr-python reads and writes chunks."""
        return _store_of_array(self.bytestore)

    def _remove_removed(self) -> None:
        """Remove what nodes that are not in the store any more have left there."""
        for path, below in self._removed.items():
            for one in below:
                for name in METADATA_KEYS:
                    self.bytestore.delete(f"{one}/{name}")
            self.bytestore.delete_prefix(path)
        self._removed.clear()

    def write_document(self, path: str, document: dict[str, JSON]) -> None:
        """Write the document of a node, whatever is there."""
        if self._documents_wait or self._rewrites.is_staged(document):
            return  # until its chunks have their names, or the new store its root, the old one is there
        for key, encoded in self._encoded(path, document).items():
            self.bytestore.set(key, encoded)

    @property
    def _documents_wait(self) -> bool:
        """Whether documents are kept in memory, since a store that is being replaced may have them."""
        return (
            self.replacement is not None and bool(self.replacement.keys) and not self.is_committed
        )

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
        if self.open_append.has_failed:
            for path in paths:
                encoded = self._encoded(path, self.documents[path])
                if self.bytestore.get_many(encoded) != encoded:
                    self.write_document(path, self.documents[path])
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
            counted = with_count(document, n_chunks)
            self.set_document(path, counted)
        self._uncounted.clear()

    def put_document_back(self, path: str, document: dict[str, JSON]) -> None:
        """Go back to an earlier document of a node in memory; the commit writes it.

        Nothing is written now, so that this works after any failure. Chunks that only the later document
        named are removed when the changes end.
        """
        self.cache.forget(path)
        self.open_append.changed.add(path)
        self.documents[path] = document
        self.open_append.has_failed = True
        self.is_changed = True

    def see_shorter(self, path: str, document: dict[str, JSON]) -> None:
        """Use an array with fewer rows than it has in the store; a commit of other changes writes that."""
        self.cache.forget(path)
        self.documents[path] = document
        self._shortened.add(path)

    def note_document(self, path: str, document: dict[str, JSON]) -> None:
        """Take over a document that zarr has written itself."""
        self.cache.forget(path.strip("/"))
        self.documents[path.strip("/")] = document
        self.is_changed = True

    def unused_keys(
        self, path: str, encoding: dict[str, JSON], n_dimensions: int
    ) -> dict[str, JSON]:
        """Return how to name the chunks of a new array, whatever is in the store that it replaces.

        Parameters
        ----------
        path : str
        encoding : dict
            How they are named where nothing is in the way.
        n_dimensions : int
        """
        if self.replacement is None:
            return encoding
        keys = self.replacement.unused_keys(path, encoding, n_dimensions)
        if self.zarr_format == 2 and is_staged(keys):
            self._rewrites.stage(path, self.replacement.encoding_before(path))
        return keys

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
        return self._rewrites.keys_for(path, n_dimensions)

    def restore(self, before: dict[str, dict[str, JSON]]) -> None:
        """Go back to earlier documents: remove nodes that are new, rewrite those that were changed.

        What was committed stays: it is what readers see, whatever has failed after that.
        """
        if self.is_committed:
            return
        if self._is_outdated or self.open_append.is_lost:
            self.documents, self.is_changed = dict(before), False
            return
        self.open_append.has_failed = True  # there may be chunks of nodes that have no document yet
        self._is_restored = False
        self._rewrites.put_back()
        for path in sorted(set(self.documents) - set(before)):
            self.bytestore.delete_prefix(path)
        for path, document in before.items():
            if path and self.documents.get(path) is not document:
                self.cache.forget(path)
                self.write_document(path, document)
        self.open_append.put_documents_back()
        self.documents = dict(before)
        self._rewrites.remove_failed()
        self._is_restored = True

    def undo_all(self) -> None:
        """Remove everything of a new store that is no folder; what it was to replace is what it was."""
        assert self.replacement is not None
        if self.is_committed or self.open_append.is_lost:
            return
        self._rewrites.put_back()
        self.open_append.put_documents_back()
        self.replacement.undo()

    def commit(self, *, consolidate: bool, durable: bool = False) -> None:
        """Write the root's document, with the documents of all nodes in it where asked to.

        The consolidated metadata are never left stale: without ``consolidate`` they are dropped.

        Parameters
        ----------
        consolidate : bool
        durable : bool
            Wait until everything else is on the disk first, and until this is.

        Raises
        ------
        LostWriteError
            If the store does not have what was written, or what a failed write has left was not removed.
        LockedError
            If another writer has committed something meanwhile, or has taken this one for dead.
        """
        if not self._is_restored:
            raise LostWriteError(
                f"{self.uri}: a write has failed, and removing what it has left was interrupted or failed, "
                "too; nothing is committed, and the next writer goes back to the last commit: open the "
                "store again"
            )
        if self._is_outdated:
            raise LockedError(changed_since(self.uri, " by another writer"))
        if self.is_live:
            self.begin()
            self.open_append.check_own(with_root=True)
        self._count_chunks()
        if self.replacement is not None:
            self.replacement.uncover()
        # What is replaced goes when all readers can know the new store, which they do by one document.
        is_one_document = consolidate or self._documents_wait
        self._rewrites.name_chunks(consolidate=is_one_document, durable=durable)
        if self.open_append.is_enough or self._documents_wait:
            # Until the journal says so, too, the commit is undone.
            roots = [format2.CONSOLIDATED, format2.ATTRIBUTES, format2.GROUP]
            self.open_append.keep([DOCUMENT] if self.zarr_format == 3 else roots)
        if durable and isinstance(self.bytestore, LocalByteStore):
            make_durable(self.bytestore.root)
        if not isinstance(self.bytestore, LocalByteStore) or self.is_live:
            self._rewrites.check()
        if self.is_live:
            # What is obsolete then goes, and who writes next goes by the nodes' own documents.
            nodes = self.open_append.changed & set(self.documents)
            self._settle_documents(sorted(nodes - {""}))
            self.open_append.check_own()
        is_announced = self._announce_commit() or self._rewrites.has_named
        self._write_root(consolidate=is_one_document)
        self.is_committed = is_announced or not self.open_append.is_enough
        if durable and isinstance(self.bytestore, LocalByteStore):
            make_durable(self.bytestore.root)
        self._note_commit(consolidate=consolidate)

    def commit_or_undo(self, *, consolidate: bool, durable: bool) -> None:
        """Commit; where that fails, go back to what the store was, and raise."""
        try:
            with self.open_append.at_work():
                self.commit(consolidate=consolidate, durable=durable)
        except BaseException as error:
            try:
                self.open_append.undo()
            except OSError as another:
                error.add_note(
                    f"the next writer undoes what was changed, which failed now: {another}"
                )
            raise

    def _announce_commit(self) -> bool:
        """Let the journal say which document the commit is, so that nothing is undone when it is there."""
        before = None if self.replacement is None else self.replacement.before
        if not before or self._rewrites.has_named:
            return False
        root: JSON = self.consolidated_format2()
        if self.zarr_format == 3:
            root = json.loads(self._encoded_root(consolidate=True))
        self.open_append.rewrite_journal(before, {}, root)
        return True

    def _write_root(self, *, consolidate: bool) -> None:
        """Write the root's documents, and see to it that the store has them."""
        if self.zarr_format == 2:
            self._commit_format2(dict(self.documents[""]), consolidate=consolidate)
            return
        self._put_root(DOCUMENT, self._encoded_root(consolidate=consolidate))

    def _encoded_root(self, *, consolidate: bool) -> bytes:
        root = dict(self.documents[""])
        if consolidate:
            entries = self._consolidated()
            root["consolidated_metadata"] = {
                "kind": "inline",
                "must_understand": False,
                "metadata": entries,
            }
        return encode_document(root)

    def _put_root(self, key: str, encoded: bytes) -> None:
        """Write the document that is the commit, unless somebody else has done so meanwhile."""
        limits.check_document_size(len(encoded), f"{self.uri}/{key}")
        bytestore = self.bytestore
        if not isinstance(bytestore, ZarrByteStore):
            bytestore.set(key, encoded)
        else:
            self.open_append.check_own()
            known = self.replacement.root if self.replacement is not None else self._root
            if not put_root(bytestore, key, encoded, known):
                self._give_up()
            self._watch.begin(encoded)
        self._check_objects({key: encoded})

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

    def consolidated_format2(self) -> dict[str, JSON]:
        """Return the consolidated metadata of a store of format 2."""
        return consolidated_document(self._consolidated(), is_apart=self.keeps_apart)

    def _commit_format2(self, root: dict[str, JSON], *, consolidate: bool) -> None:
        encoded = format2.encode(self.consolidated_format2())
        limits.check_document_size(len(encoded), f"{self.uri}/{format2.CONSOLIDATED}")
        if self._documents_wait:
            self._replace_by_format2(encoded)
            return
        self.write_document("", root)
        self._check_objects(self._encoded("", root))
        # What readers see changes in this one operation.
        if consolidate:
            self._put_root(format2.CONSOLIDATED, encoded)
        else:
            self.bytestore.delete(format2.CONSOLIDATED)
            self._check_objects({format2.CONSOLIDATED: None})

    def _replace_by_format2(self, encoded: bytes) -> None:
        """Commit in place of another store, whose documents are there until then."""
        assert self.replacement is not None
        if self.replacement.root[DOCUMENT] is None:
            self._put_root(format2.CONSOLIDATED, encoded)
            return
        # Of a store of format 3 no name is in the way; when its root is gone readers see the new one.
        for path in sorted(self.documents, reverse=True):
            for key, document in self._encoded(path, self.documents[path]).items():
                self.bytestore.set(key, document)
        self._put_root(format2.CONSOLIDATED, encoded)
        if self.bytestore.version(DOCUMENT) != self.replacement.root[DOCUMENT]:  # type: ignore[attr-defined]
            self._give_up()
        self.bytestore.delete(DOCUMENT)
        self._check_objects({DOCUMENT: None})

    def _note_commit(self, *, consolidate: bool) -> None:
        self.open_append.note_root()
        if not self.is_committed:
            self.settle()
        self.is_committed = True
        self.open_append.forget_documents()
        self.is_consolidated = self.was_consolidated = self._is_consolidated_true = consolidate
        self.is_changed = False
        self.open_append.changed.clear()
        self._root = None
        if not consolidate:
            self._watch.begin(None)
        try:
            self._tidy(consolidate=consolidate)
        except (OSError, HDMFZarrError) as error:
            if isinstance(self.bytestore, LocalByteStore):
                raise
            self._warn_untidied(error)

    def _tidy(self, *, consolidate: bool) -> None:
        """After a commit: write what only some readers want, remove what is obsolete, and the journal."""
        replacement, self.replacement = self.replacement, None
        self.settle()
        if replacement is not None and replacement.keys:
            self._write_documents_over(replacement)
            replacement.remove_obsolete(self._named_documents())
            if not consolidate:
                self._write_root(consolidate=False)
        self._rewrites.remove_obsolete()
        self._remove_removed()
        self.end()

    def _write_documents_over(self, replacement: Replacement) -> None:
        """Write the documents of all nodes, and see to it that none of the store before is left."""
        paths = [path for path in sorted(self.documents) if path or self.zarr_format == 2]
        with stored_together(self):
            for path in reversed(paths):
                self.write_document(path, self.documents[path])
        encoded = {path: self._encoded(path, self.documents[path]) for path in paths}
        self.check_kept(path for path in paths if not replacement.keys.isdisjoint(encoded[path]))

    def _named_documents(self) -> dict[str, JSON]:
        """Return the documents of all nodes as the store has them, by key."""
        named = {
            key: json.loads(encoded)
            for path, document in self.documents.items()
            for key, encoded in self._encoded(path, document).items()
        }
        return named if self.zarr_format == 3 else {**named, format2.CONSOLIDATED: {}}

    def _warn_untidied(self, error: Exception) -> None:
        message = (
            f"{self.uri} is committed, and readers see what was written; what is obsolete could not be "
            f"removed and is left ({error}): the next writer, or 'hdmf-zarr check --repair', removes it"
        )
        self.open_append.abandon()
        warnings.warn(message, UserWarning, stacklevel=3)


def _read_only(store: Store) -> Store:
    """Return a store that refuses changes, where its class can make one."""
    if store.read_only:
        return store
    try:
        return store.with_read_only(read_only=True)
    except NotImplementedError:
        return store


def _store_of_array(bytestore: ByteStore) -> Store:
    """The store as zarr-python reads and writes one array of it."""
    if isinstance(bytestore, LocalByteStore):
        return bytestore.contained_store()
    return bounded(bytestore.zarr_store, bytestore.location.uri)
