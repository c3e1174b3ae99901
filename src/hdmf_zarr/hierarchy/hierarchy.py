"""All nodes of one store: loaded, resolved, changed and committed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from hdmf_zarr.convention import JSON, SELF, Link
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.commit import Commit
from hdmf_zarr.hierarchy.legacy_sources import locate_spelled, names_of_before
from hdmf_zarr.hierarchy.links import LinkTable
from hdmf_zarr.hierarchy.loading import Loaded, load_documents, lost_document
from hdmf_zarr.hierarchy.metadata_writer import MetadataWriter
from hdmf_zarr.hierarchy.replacement import root_versions
from hdmf_zarr.hierarchy.rewrites import Rewrites
from hdmf_zarr.metadata.chunk_keys import is_staged
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.location import Location, resolve_source
from hdmf_zarr.transactions.append import OpenAppend
from hdmf_zarr.transactions.claims import recover_for_writing
from hdmf_zarr.transactions.lock import WriterLock

logger = logging.getLogger(__name__)


class Hierarchy(MetadataWriter):
    """The nodes of one store: loaded, resolved, changed and committed.

    Parameters
    ----------
    bytestore : ByteStore
    documents : dict of str to dict
        Document of each node, as for `Nodes`.
    zarr_format : int
        Format of the store.
    """

    def __init__(
        self,
        bytestore: ByteStore,
        documents: dict[str, dict[str, JSON]],
        *,
        zarr_format: int = 3,
    ) -> None:
        super().__init__(bytestore, documents, zarr_format=zarr_format)
        self._links = LinkTable(self)
        self._rewrites = Rewrites(self)
        self._commit = Commit(self, self._rewrites)

    # -- loading ---------------------------------------------------------------------------------

    @classmethod
    def load(cls, bytestore: ByteStore, *, consolidated: bool) -> Hierarchy:
        """Read the metadata of a store, from the consolidated metadata if they exist and are requested.

        Raises
        ------
        StoreNotFoundError, NotAStoreError, MetadataError, UnsupportedFormatError
        """
        found = load_documents(bytestore, consolidated=consolidated)
        hierarchy = cls(bytestore, found.documents, zarr_format=found.zarr_format)
        hierarchy.is_consolidated = found.is_consolidated
        hierarchy.was_consolidated = found.was_consolidated
        hierarchy.keeps_apart = found.keeps_apart
        hierarchy.is_consolidated_true = found.is_consolidated_true
        hierarchy.staleness.begin(found)
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
        """Read the metadata of a store that will be changed, node by node.

        The changes of a killed writer are undone first; no other writer may be active.

        Parameters
        ----------
        bytestore : ByteStore
        lock : WriterLock, optional
            Lock of a local store that the caller already holds. Otherwise a lock is taken while the
            metadata are read, and again at the first change.
        when_locked : callable, optional
            Function that is called with the folder and that lock, after the reading.
        takes_over : bool
            Whether to ask an idle writer of this process for the store.

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
        hierarchy.root = root
        hierarchy.is_live = True
        return hierarchy

    def refuse_lost_documents(self) -> None:
        """Raise if a node's document is only in the consolidated metadata, while other objects of it exist.

        Metadata that are read node by node lack this node, so that a commit would lose it. A removed node
        has no objects left.
        """
        if self.is_consolidated_true or not self.was_consolidated:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # for names that are not used
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
        """Return a hierarchy of one array whose document another process has sent.

        The document is compared with the store at the first read.

        Parameters
        ----------
        bytestore : ByteStore
        path : str
            Path of the array.
        document : dict
        zarr_format : int
        is_consolidated : bool
            Whether the document came from consolidated metadata.
        """
        documents = {"": group_document({}), path: document}
        hierarchy = cls(bytestore, documents, zarr_format=zarr_format)
        hierarchy.is_consolidated = is_consolidated
        hierarchy.staleness.expect_sent(path)
        return hierarchy

    # -- resolving -------------------------------------------------------------------------------

    def resolve(self, path: str, *, limit: int = 32) -> str:
        """Return the path of the node to which a path leads, by resolving links of this store.

        Parameters
        ----------
        path : str
        limit : int
            Maximum number of links to resolve.

        Raises
        ------
        BrokenLinkError
            If there is no such node, or the links lead in a circle.
        """
        return self._links.resolve(path, limit)

    def find_link(self, path: str) -> tuple[Link, list[str]] | None:
        """Return the first link on the way to a path, and the parts of the path after it."""
        return self._links.find(path)

    def locate_source(self, source: str) -> Location:
        """Return the location of the ``source`` of a link or reference of this store."""
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

    # -- whether the store is unchanged ----------------------------------------------------------

    def check_unchanged(self, *paths: str, has_failed: bool = False) -> bool:
        """Raise if the elements that were just read may not match the metadata in memory.

        Another process may replace a local store, or write an array in it again: chunks with the same
        names then have other elements, or are missing. A store that is not a folder is checked at most
        once in a second.

        Parameters
        ----------
        *paths : str
            Paths of the arrays that were read.
        has_failed : bool
            Whether reading has failed, so that the store is checked in any case.

        Returns
        -------
        bool
            False if elements may have changed in place, so that the result may mix cached and new chunks.

        Raises
        ------
        MetadataError
        """
        if self.open_append.has_begun:
            return True
        self._refuse_undone(paths)
        return self.staleness.check(*paths, has_failed=has_failed)

    def _refuse_undone(self, paths: Iterable[str]) -> None:
        """Raise if changes of an array were undone for another writer of this process."""
        undone = self.open_append.changed.intersection(paths) if self.open_append.is_taken else ()
        for path in undone:
            raise MetadataError(
                f"{self.uri}:/{path}: what was changed and not committed is undone, since another writer of "
                "this process has the store; open it again"
            )

    def check_untouched(self) -> None:
        """Raise if a local store was changed since its metadata were read, or is being written.

        Raises
        ------
        MetadataError
        """
        self.staleness.check_untouched()

    # -- changing --------------------------------------------------------------------------------

    def unused_keys(
        self, path: str, encoding: dict[str, JSON], n_dimensions: int
    ) -> dict[str, JSON]:
        """Return an encoding of chunk keys for a new array that the replaced store does not use.

        Parameters
        ----------
        path : str
        encoding : dict
            Encoding to use if no existing name conflicts with it.
        n_dimensions : int
        """
        if self.replacement is None:
            return encoding
        keys = self.replacement.unused_keys(path, encoding, n_dimensions)
        if self.zarr_format == 2 and is_staged(keys):
            self._rewrites.stage(path, self.replacement.encoding_before(path))
        return keys

    def keys_for_rewrite(self, path: str, n_dimensions: int) -> dict[str, JSON]:
        """Return an encoding of chunk keys for an array that is rewritten next to its old chunks.

        The chunks that the last commit, or the present document, names are kept. Other chunks are removed
        now, and the old ones at the commit.

        Parameters
        ----------
        path : str
        n_dimensions : int
            Number of dimensions of the new array.
        """
        path = path.strip("/")
        self.begin()
        return self._rewrites.keys_for(path, n_dimensions)

    def restore(self, before: dict[str, dict[str, JSON]]) -> None:
        """Restore earlier documents: remove new nodes, and write the changed ones again.

        Committed changes are kept, even if something has failed after the commit.
        """
        self._commit.restore(before)

    def undo_all(self) -> None:
        """Remove all objects of a new store that is not a folder; the store at its place is unchanged."""
        self._commit.undo_all()

    def commit(self, *, consolidate: bool, durable: bool = False) -> None:
        """Commit all changes by writing the root's document, optionally with those of all nodes in it.

        The consolidated metadata are never outdated: without ``consolidate`` they are removed.

        Parameters
        ----------
        consolidate : bool
            Whether to consolidate the metadata.
        durable : bool
            Whether to wait until the changes, and then the commit, are on the disk.

        Raises
        ------
        LostWriteError
            If the store lacks written objects, or leftovers of a failed write were not removed.
        LockedError
            If another writer has committed meanwhile, or has considered this one dead.
        """
        self._commit.commit(consolidate=consolidate, durable=durable)

    def commit_or_undo(self, *, consolidate: bool, durable: bool) -> None:
        """Commit; if that fails, undo all changes, and raise."""
        self._commit.commit_or_undo(consolidate=consolidate, durable=durable)

    def close(self) -> None:
        """End the transaction, and release the store's folder."""
        self.open_append.end()
        self.staleness.release()
