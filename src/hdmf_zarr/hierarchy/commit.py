"""The commit: readers see all changes at once; and the way back from a failed one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hdmf_zarr.convention import JSON
from hdmf_zarr.core import limits
from hdmf_zarr.core.system import make_durable
from hdmf_zarr.errors import HDMFZarrError, LockedError, LostWriteError
from hdmf_zarr.hierarchy.metadata_writer import MetadataWriter
from hdmf_zarr.hierarchy.replacement import Replacement, put_root
from hdmf_zarr.hierarchy.rewrites import Rewrites
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.documents import encode_document
from hdmf_zarr.metadata.node import with_consolidated
from hdmf_zarr.stores.batching import GatheringByteStore
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    NODE_DOCUMENTS,
    ZATTRS,
    ZGROUP,
    ZMETADATA,
)
from hdmf_zarr.transactions.writers import changed_since


class Commit:
    """Commits the changes of a store, or undoes them.

    Parameters
    ----------
    nodes : MetadataWriter
    rewrites : Rewrites
        Arrays that were rewritten next to their old chunks.
    """

    def __init__(self, nodes: MetadataWriter, rewrites: Rewrites) -> None:
        self._nodes, self._rewrites = nodes, rewrites
        self._is_restored = True

    def restore(self, before: dict[str, dict[str, JSON]]) -> None:
        """Restore earlier documents: remove new nodes, and write the changed ones again.

        Committed changes are kept, even if something has failed after the commit.
        """
        if self._nodes.is_committed:
            return
        if self._nodes.is_outdated or self._nodes.open_append.is_lost:
            self._nodes.documents, self._nodes.is_changed = dict(before), False
            return
        self._nodes.open_append.has_failed = True  # there may be chunks of nodes without a document
        self._is_restored = False
        self._rewrites.put_back()
        for path in sorted(set(self._nodes.documents) - set(before)):
            self._nodes.bytestore.delete_prefix(path)
        for path, document in before.items():
            if path and self._nodes.documents.get(path) is not document:
                self._nodes.cache.forget(path)
                self._nodes.write_document(path, document)
        self._nodes.open_append.put_documents_back()
        self._nodes.documents = dict(before)
        self._rewrites.remove_failed()
        self._is_restored = True

    def undo_all(self) -> None:
        """Remove all objects of a new store that is not a folder; the store at its place is unchanged."""
        assert self._nodes.replacement is not None
        if self._nodes.is_committed or self._nodes.open_append.is_lost:
            return
        self._rewrites.put_back()
        self._nodes.open_append.put_documents_back()
        self._nodes.replacement.undo()

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
        if not self._is_restored:
            raise LostWriteError(
                f"{self._nodes.uri}: a write has failed, and removing what it has left was interrupted or "
                "failed, too; nothing is committed, and the next writer goes back to the last commit: open "
                "the store again"
            )
        if self._nodes.is_outdated:
            raise LockedError(changed_since(self._nodes.uri, " by another writer"))
        if self._nodes.is_live:
            self._nodes.begin()
            self._nodes.open_append.check_own(with_root=True)
        self._nodes.count_chunks()
        if self._nodes.replacement is not None:
            self._nodes.replacement.uncover()
        # Old objects are removed once all readers see the new store, which needs one document.
        is_one_document = consolidate or self._nodes.documents_wait
        self._rewrites.name_chunks(consolidate=is_one_document, durable=durable)
        if self._nodes.open_append.is_enough or self._nodes.documents_wait:
            # The commit can be undone until the journal marks it as final.
            roots = [ZMETADATA, ZATTRS, ZGROUP]
            self._nodes.open_append.keep([DOCUMENT] if self._nodes.zarr_format == 3 else roots)
        if durable and isinstance(self._nodes.bytestore, LocalByteStore):
            make_durable(self._nodes.bytestore.root)
        if not isinstance(self._nodes.bytestore, LocalByteStore) or self._nodes.is_live:
            self._rewrites.check()
        if self._nodes.is_live:
            # Obsolete objects are then removed, and the next writer reads the nodes' own documents.
            nodes = self._nodes.open_append.changed & set(self._nodes.documents)
            self._nodes.settle_documents(sorted(nodes - {""}))
            self._nodes.open_append.check_own()
        is_announced = self._announce_commit() or self._rewrites.has_named
        self._write_root(consolidate=is_one_document)
        self._nodes.is_committed = is_announced or not self._nodes.open_append.is_enough
        if durable and isinstance(self._nodes.bytestore, LocalByteStore):
            make_durable(self._nodes.bytestore.root)
        self._note_commit(consolidate=consolidate)

    def commit_or_undo(self, *, consolidate: bool, durable: bool) -> None:
        """Commit; if that fails, undo all changes, and raise."""
        try:
            with self._nodes.open_append.at_work():
                self.commit(consolidate=consolidate, durable=durable)
        except BaseException as error:
            try:
                self._nodes.open_append.undo()
            except OSError as another:
                error.add_note(
                    f"the next writer undoes what was changed, which failed now: {another}"
                )
            raise

    def _announce_commit(self) -> bool:
        """Announce the commit's document in the journal, so that nothing is undone once it is written."""
        before = None if self._nodes.replacement is None else self._nodes.replacement.before
        if not before or self._rewrites.has_named:
            return False
        root: JSON = self._nodes.consolidated_format2()
        if self._nodes.zarr_format == 3:
            root = json.loads(self._encoded_root(consolidate=True))
        self._nodes.open_append.rewrite_journal(before, {}, root)
        return True

    def _write_root(self, *, consolidate: bool) -> None:
        """Write the root's documents, and check that the store has them."""
        if self._nodes.zarr_format == 2:
            self._commit_format2(dict(self._nodes.documents[""]), consolidate=consolidate)
            return
        self._put_root(DOCUMENT, self._encoded_root(consolidate=consolidate))

    def _encoded_root(self, *, consolidate: bool) -> bytes:
        root = dict(self._nodes.documents[""])
        if consolidate:
            entries = self._nodes.consolidated_entries()
            root = with_consolidated(root, entries)
        return encode_document(root)

    def _put_root(self, key: str, encoded: bytes) -> None:
        """Write the document that is the commit, unless another writer has written it meanwhile."""
        limits.check_document_size(len(encoded), f"{self._nodes.uri}/{key}")
        bytestore = self._nodes.bytestore
        if not isinstance(bytestore, ZarrByteStore):
            bytestore.set(key, encoded)
        else:
            self._nodes.open_append.check_own()
            known = (
                self._nodes.replacement.root
                if self._nodes.replacement is not None
                else self._nodes.root
            )
            if not put_root(bytestore, key, encoded, known):
                self._nodes.give_up()
            self._nodes.staleness.watch.begin(encoded)
        self._nodes.check_objects({key: encoded})

    def _commit_format2(self, root: dict[str, JSON], *, consolidate: bool) -> None:
        encoded = format2.encode(self._nodes.consolidated_format2())
        limits.check_document_size(len(encoded), f"{self._nodes.uri}/{ZMETADATA}")
        if self._nodes.documents_wait:
            self._replace_by_format2(encoded)
            return
        self._nodes.write_document("", root)
        self._nodes.check_objects(self._nodes.encoded_documents("", root))
        # This one operation makes the changes visible to readers.
        if consolidate:
            self._put_root(ZMETADATA, encoded)
        else:
            self._nodes.bytestore.delete(ZMETADATA)
            self._nodes.check_objects({ZMETADATA: None})

    def _replace_by_format2(self, encoded: bytes) -> None:
        """Commit in place of another store, whose documents remain until then."""
        assert self._nodes.replacement is not None
        if self._nodes.replacement.root[DOCUMENT] is None:
            self._put_root(ZMETADATA, encoded)
            return
        # No name conflicts with a store of format 3; when its root is removed, readers see the new one.
        for path in sorted(self._nodes.documents, reverse=True):
            for key, document in self._nodes.encoded_documents(
                path, self._nodes.documents[path]
            ).items():
                self._nodes.bytestore.set(key, document)
        self._put_root(ZMETADATA, encoded)
        bytestore = self._nodes.bytestore
        assert isinstance(bytestore, ZarrByteStore)
        if bytestore.version(DOCUMENT) != self._nodes.replacement.root[DOCUMENT]:
            self._nodes.give_up()
        self._nodes.bytestore.delete(DOCUMENT)
        self._nodes.check_objects({DOCUMENT: None})

    def _note_commit(self, *, consolidate: bool) -> None:
        self._nodes.open_append.note_root()
        if not self._nodes.is_committed:
            self._nodes.settle()
        self._nodes.is_committed = True
        self._nodes.open_append.forget_documents()
        self._nodes.is_consolidated = self._nodes.was_consolidated = (
            self._nodes.is_consolidated_true
        ) = consolidate
        self._nodes.is_changed = False
        self._nodes.open_append.changed.clear()
        self._nodes.root = None
        if not consolidate:
            self._nodes.staleness.watch.begin(None)
        try:
            self._tidy(consolidate=consolidate)
        except (OSError, HDMFZarrError) as error:
            if isinstance(self._nodes.bytestore, LocalByteStore):
                raise
            self._warn_untidied(error)

    def _tidy(self, *, consolidate: bool) -> None:
        """After a commit, write the nodes' own documents, and remove obsolete objects and the journal."""
        replacement, self._nodes.replacement = self._nodes.replacement, None
        self._nodes.settle()
        if replacement is not None and replacement.keys:
            self._write_documents_over(replacement)
            replacement.remove_obsolete(self._named_documents())
            if not consolidate:
                self._write_root(consolidate=False)
        self._rewrites.remove_obsolete()
        self._nodes.removals.carry_out()
        self._nodes.end()

    def _write_documents_over(self, replacement: Replacement) -> None:
        """Write the documents of all nodes, and check that no document of the replaced store is left."""
        paths = [
            path for path in sorted(self._nodes.documents) if path or self._nodes.zarr_format == 2
        ]
        with stored_together(self._nodes):
            for path in reversed(paths):
                self._nodes.write_document(path, self._nodes.documents[path])
        encoded = {
            path: self._nodes.encoded_documents(path, self._nodes.documents[path]) for path in paths
        }
        self._nodes.check_kept(
            path for path in paths if not replacement.keys.isdisjoint(encoded[path])
        )

    def _named_documents(self) -> dict[str, JSON]:
        """Return the documents of all nodes in the form of the store, by key."""
        named = {
            key: json.loads(encoded)
            for path, document in self._nodes.documents.items()
            for key, encoded in self._nodes.encoded_documents(path, document).items()
        }
        return named if self._nodes.zarr_format == 3 else {**named, ZMETADATA: {}}

    def _warn_untidied(self, error: Exception) -> None:
        message = (
            f"{self._nodes.uri} is committed, and readers see what was written; what is obsolete could not "
            f"be removed and is left ({error}): the next writer, or 'hdmf-zarr check --repair', removes it"
        )
        self._nodes.open_append.abandon()
        warnings.warn(message, UserWarning, stacklevel=3)


@contextmanager
def stored_together(nodes: MetadataWriter) -> Iterator[None]:
    """Store values in batches, if the store is not a folder; the last batch is stored at the end.

    The journal of an append exists before. After a failure, waiting values are not stored.
    """
    bytestore: ByteStore = nodes.bytestore
    if not isinstance(bytestore, ZarrByteStore):
        yield
        return
    nodes.begin()
    gathering = GatheringByteStore(bytestore, frozenset({DOCUMENT}) | NODE_DOCUMENTS)
    nodes.bytestore = gathering
    try:
        yield
        gathering.finish()
    finally:
        nodes.bytestore = bytestore
