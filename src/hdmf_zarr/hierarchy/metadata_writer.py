"""Nodes that can be changed: documents are written, changes are announced in the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NoReturn

from hdmf_zarr.chunks.missing import count_chunks, meaning_of_missing, with_count
from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import LockedError, LostWriteError, ModeError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.hierarchy.removals import Removals
from hdmf_zarr.hierarchy.replacement import Replacement, RootVersions, are_same, root_versions
from hdmf_zarr.hierarchy.staleness import Staleness
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.chunk_keys import is_staged
from hdmf_zarr.metadata.consolidated import consolidated_document
from hdmf_zarr.metadata.documents import encode_document, public_document
from hdmf_zarr.metadata.node import array_node, is_array, why_unreadable
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, ZarrByteStore
from hdmf_zarr.stores.keys import DOCUMENT
from hdmf_zarr.transactions.append import OpenAppend
from hdmf_zarr.transactions.writers import changed_since


class MetadataWriter(Nodes):
    """The nodes of one store, and the methods that change them.

    Parameters
    ----------
    bytestore : ByteStore
    documents : dict of str to dict
        Document of each node, as for `Nodes`.
    zarr_format : int
        Format of the store.

    Attributes
    ----------
    was_consolidated : bool
        Whether the root had consolidated metadata when it was read, used or not.
    is_consolidated_true : bool
        Whether the consolidated metadata are equal to the documents of the nodes.
    keeps_apart : bool
        Whether the consolidated metadata of format 2 keep arrays apart that zarr-python 3 cannot parse.
    is_changed : bool
        Whether documents were changed since the last commit.
    is_live : bool
        Whether readers may see the store, so that changes must be announced in its journal first.
    is_closed : bool
        Whether its writer is closed, so that its arrays cannot be changed any more.
    is_committed : bool
        Whether readers see the last changes.
    is_outdated : bool
        Whether another writer has committed, so that this one must not commit.
    open_append : OpenAppend
        State of the changes since the last commit.
    replacement : Replacement or None
        Store that a new store replaces, if it is not a folder; None after the first commit.
    root : dict of str to Version, or None
        Known versions of the root's documents of a store that is not a folder.
    staleness : Staleness
        Checks whether the store still matches the documents in memory.
    removals : Removals
        Nodes that were removed since the last commit.
    """

    def __init__(
        self,
        bytestore: ByteStore,
        documents: dict[str, dict[str, JSON]],
        *,
        zarr_format: int = 3,
    ) -> None:
        super().__init__(bytestore, documents, zarr_format=zarr_format)
        self.was_consolidated = self.is_consolidated_true = True
        self.keeps_apart = False
        self.is_changed = self.is_live = self.is_closed = False
        self.is_committed = self.is_outdated = False
        self.open_append = OpenAppend(bytestore)
        self.replacement: Replacement | None = None
        self.root: RootVersions | None = None
        self.staleness = Staleness(self)
        self.removals = Removals(self)
        self._beginning = threading.Lock()
        self._uncounted: set[str] = set()
        self._shortened: set[str] = set()

    # -- begin and end of a transaction ----------------------------------------------------------

    def begin(self) -> None:
        """Open a transaction with a journal in the store, unless one is open.

        Raises
        ------
        ModeError
            If the file is closed.
        LockedError
            If another writer is active, or has committed since the store was read.
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
            self.open_append.has_failed = True  # chunks outside of them are removed at the end

    def _begin_live(self) -> None:
        with self._beginning:  # several threads may begin
            if self.open_append.begin(is_consolidated_true=self.is_consolidated_true):
                self._check_root()

    def _check_root(self) -> None:
        """Raise `LockedError` if others have committed to a store that is not a folder since its opening."""
        bytestore = self.open_append.bytestore
        if not isinstance(bytestore, ZarrByteStore):
            return
        found = root_versions(bytestore)
        # After a commit only the content of the root's document is known, not its version in the store.
        is_known = (
            self.staleness.watch.is_last(found) if self.root is None else are_same(found, self.root)
        )
        if not is_known:
            self.open_append.release()
            self.give_up()
        self.root = found

    def note_root(self) -> None:
        """Record the versions of the root's documents, after this writer itself has marked them."""
        bytestore = self.bytestore
        if self.replacement is not None:
            self.replacement.look_again()
        elif isinstance(bytestore, ZarrByteStore) and self.root is not None:
            self.root = root_versions(bytestore)

    def give_up(self) -> NoReturn:
        """Raise `LockedError`, and prevent all further commits."""
        self.is_changed = False
        self.is_outdated = self.open_append.has_failed = True
        raise LockedError(changed_since(self.uri, " by another writer"))

    def attempt(self) -> AbstractContextManager[None]:
        """Return a context for a change of the store; after a failure, leftovers are removed later."""
        return self.open_append.attempt()

    def settle(self) -> None:
        """Mark the changes in the journal as final, so that obsolete objects can be removed."""
        self.open_append.settle()

    def end(self) -> None:
        """End the transaction and remove the journal, so that other writers can change the store."""
        if self.open_append.has_begun and not self.open_append.is_lost:
            self.look_again()
        self.open_append.end()

    def look_again(self) -> None:
        """Record the present store as the one of the documents in memory."""
        if isinstance(self.bytestore, LocalByteStore):
            self.staleness.look_again()
        elif isinstance(self.bytestore, ZarrByteStore) and not self.is_consolidated:
            self.root = root_versions(self.bytestore)

    # -- documents -------------------------------------------------------------------------------

    def set_document(self, path: str, document: dict[str, JSON]) -> None:
        """Write the document of a node if it differs; the root's document is written by `commit`."""
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

    def put_document_back(self, path: str, document: dict[str, JSON]) -> None:
        """Restore an earlier document of a node in memory; the commit writes it.

        Nothing is written now, so that this works after any failure. Chunks that only the later document
        named are removed at the end of the transaction.
        """
        self.cache.forget(path)
        self.open_append.changed.add(path)
        self.documents[path] = document
        self.open_append.has_failed = True
        self.is_changed = True

    def see_shorter(self, path: str, document: dict[str, JSON]) -> None:
        """Use an array with fewer rows than in the store; a commit of other changes writes the new shape."""
        self.cache.forget(path)
        self.documents[path] = document
        self._shortened.add(path)

    def remove_later(self, path: str) -> None:
        """Remove a node and its descendants; their documents and chunks are removed after the commit.

        Parameters
        ----------
        path : str
        """
        self.begin()
        removed = self.removals.take_out(path)
        self._uncounted.difference_update(removed)
        self.open_append.changed.update(removed)
        self.is_changed = True

    def count_later(self, path: str) -> None:
        """Mark an array that may have chunks that are never written; the commit counts its chunks."""
        self._uncounted.add(path.strip("/"))

    def count_chunks(self) -> None:
        for path in sorted(self._uncounted & set(self.documents)):
            document = self.documents[path]
            n_chunks = count_chunks(self.bytestore, path, document)
            counted = with_count(document, n_chunks)
            self.set_document(path, counted)
        self._uncounted.clear()

    def write_document(self, path: str, document: dict[str, JSON]) -> None:
        """Write the document of a node, even if it is the same."""
        if self.documents_wait or self.is_staged(document):
            return  # the old document stays until the chunks have their names, or the new store its root
        for key, encoded in self.encoded_documents(path, document).items():
            self.bytestore.set(key, encoded)

    @property
    def documents_wait(self) -> bool:
        """Whether documents are kept in memory, since the store that is replaced uses their keys."""
        return (
            self.replacement is not None and bool(self.replacement.keys) and not self.is_committed
        )

    def encoded_documents(self, path: str, document: dict[str, JSON]) -> dict[str, bytes]:
        """Return the objects of a node's metadata, in the order in which they are written."""
        prefix = path + "/" if path else ""
        if self.zarr_format == 3:
            return {prefix + DOCUMENT: encode_document(document)}
        documents = format2.documents_of_node(document)
        # .zgroup is last, because it makes the folder a group.
        names = sorted(documents, reverse=True)
        return {prefix + name: format2.encode(documents[name]) for name in names}

    def is_staged(self, document: dict[str, JSON]) -> bool:
        """Return whether the chunks of an array get the names of format 2 at the commit."""
        if self.zarr_format != 2 or not is_array(document) or why_unreadable(document) is not None:
            return False
        return is_staged(array_node(document).chunk_keys)

    def consolidated_entries(self) -> dict[str, JSON]:
        """Return the documents of all nodes in the form of the format's consolidated metadata."""
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
        return consolidated_document(self.consolidated_entries(), is_apart=self.keeps_apart)

    # -- whether the store has the written objects -----------------------------------------------

    def settle_documents(self, paths: list[str]) -> None:
        """Check that the store has the documents of nodes; after a failure, write damaged ones again."""
        if self.open_append.has_failed:
            for path in paths:
                encoded = self.encoded_documents(path, self.documents[path])
                if self.bytestore.get_many(encoded) != encoded:
                    self.write_document(path, self.documents[path])
        self.check_kept(paths)

    def check_kept(self, paths: Iterable[str]) -> None:
        """Raise `LostWriteError` unless the store has the documents of nodes as they were written."""
        expected: dict[str, bytes] = {}
        for path in paths:
            expected |= self.encoded_documents(path, self.documents[path])
        self.check_objects(expected)

    def check_chunks(self, path: str) -> None:
        """Raise `LostWriteError` unless an array has all chunks that it should have."""
        document = self.documents[path]
        count, n_chunks = (
            count_chunks(self.bytestore, path, document),
            array_node(document).n_chunks,
        )
        if count < n_chunks and meaning_of_missing(document) != "absent":
            raise LostWriteError(
                f"{self.uri}:/{path} was written anew, and the store has {count} of its {n_chunks} "
                "chunks; its old ones are kept: look at the store and its disk, and write again"
            )

    def check_objects(self, expected: Mapping[str, bytes | None]) -> None:
        found = self.bytestore.get_many(expected)
        for key, encoded in expected.items():
            if found.get(key) != encoded:
                raise LostWriteError(
                    f"{self.uri}:/{key} was written, and the store does not have it; what was there before "
                    "is kept where there was something: look at the store and its disk, and write again"
                )
