"""A new store in a bucket that holds another one: it uses unused names until the commit.

Objects in a bucket cannot be renamed. Therefore the new chunks have names that the old store does not use,
and the new documents wait in memory. The root's document is the commit: it contains the documents of all
nodes, so that readers need nothing else. The nodes' own documents are written afterwards, and obsolete
objects are removed. A journal records this; the next writer undoes, or completes, the changes of a dead one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import cached_property

from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import LockedError, StoreExistsError
from hdmf_zarr.metadata.chunk_keys import (
    chunk_key,
    format2_chunk_keys,
    unused_form,
    unused_format2_form,
)
from hdmf_zarr.metadata.consolidated import entries_of
from hdmf_zarr.metadata.node import consolidated_in
from hdmf_zarr.stores.bytestore import ZarrByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    METADATA_KEYS,
    ZARRAY,
    ZATTRS,
    ZGROUP,
    ZMETADATA,
)
from hdmf_zarr.stores.objects import NoConditionsError, Version
from hdmf_zarr.transactions.append import OpenAppend
from hdmf_zarr.transactions.claims import recover_for_writing
from hdmf_zarr.transactions.journal import JOURNAL, Named, documents_in, encode_journal
from hdmf_zarr.transactions.writers import changed_since

logger = logging.getLogger(__name__)

ROOT_KEYS = (DOCUMENT, ZMETADATA, ZATTRS, ZGROUP)
"""Documents of a root, of both formats."""

RootVersions = dict[str, Version | None]


class Replacement:
    """The old objects at the place of a new store, until the new store is committed.

    Parameters
    ----------
    bytestore : ZarrByteStore
        Byte store of the new store, which is still empty.
    open_append : OpenAppend
        Transaction of the new store, which writes the journal.
    zarr_format : int
        Format of the new store.
    is_forced : bool
        Whether objects that are not a store may be replaced.

    Attributes
    ----------
    keys : frozenset of str
        Keys of all old objects.
    root : dict of str to Version
        Versions of the old root's documents.
    before : dict of str to JSON, or None
        All documents of the old store, by key; None if those of its root are sufficient.

    Raises
    ------
    LockedError
        If another writer is active there.
    StoreExistsError
        If the old objects are not a store, and may not be replaced.
    """

    def __init__(
        self,
        bytestore: ZarrByteStore,
        open_append: OpenAppend,
        *,
        zarr_format: int,
        is_forced: bool,
    ) -> None:
        self._bytestore, self._zarr_format = bytestore, zarr_format
        recover_for_writing(bytestore)
        # The root is read before the listing, so that the listed objects belong to a known root.
        self.root = root_versions(bytestore)
        self.keys = self._listed()
        is_store = any(version is not None for version in self.root.values())
        if self.keys and not is_store and not is_forced:
            raise StoreExistsError(what_is_there(bytestore.location.uri, self.keys))
        self.before = self._documents_before() if is_store else {}
        # Objects that are not a store are not restored, and only their replacement removes them.
        kept = None if is_store else sorted(self.keys)
        open_append.begin_with(encode_journal(self.before, kept=kept))
        open_append.is_enough = bool(self.before)
        if not self._is_unchanged(is_store=is_store):
            open_append.release()
            raise LockedError(changed_since(bytestore.location.uri, " by another writer"))
        bytestore.covered = self.keys

    def _listed(self) -> frozenset[str]:
        return frozenset(self._bytestore.list_prefix("")) - {JOURNAL}

    def _is_unchanged(self, *, is_store: bool) -> bool:
        """Return whether no other writer has written a store before this one had the journal."""
        if is_store:
            return are_same(root_versions(self._bytestore), self.root)
        return self._listed() == self.keys

    def _documents_before(self) -> dict[str, JSON] | None:
        """Return the documents of the old store, by key; None if its root has all of them."""
        names = METADATA_KEYS - {DOCUMENT} if self.root[DOCUMENT] is None else {DOCUMENT}
        root = documents_in(self._bytestore, [key for key in ROOT_KEYS if key in names])
        held = consolidated_in(root.get(DOCUMENT, {})) or root.get(ZMETADATA)
        if isinstance((held or {}).get("metadata"), dict):
            return None
        wanted = [key for key in sorted(self.keys) if key.rpartition("/")[2] in names]
        return documents_in(self._bytestore, wanted)

    def unused_keys(
        self, path: str, encoding: dict[str, JSON], n_dimensions: int, *taken: dict[str, JSON]
    ) -> dict[str, JSON]:
        """Return an encoding of chunk keys for a new array that no existing object uses.

        Parameters
        ----------
        path : str
        encoding : dict
            Encoding to use if no existing name conflicts with it.
        n_dimensions : int
        *taken : dict
            Encodings of chunks that the new store already has there.
        """
        names = [*self._names_below.get(path, ()), *(chunk_key(keys, (0, 0)) for keys in taken)]
        if not names:
            return encoding
        if self._zarr_format == 3:
            return unused_form(encoding, names)
        return unused_format2_form(n_dimensions, encoding, names)

    def encoding_before(self, path: str) -> dict[str, JSON]:
        """Return the encoding of chunk keys of the old array of format 2 whose names a new one needs.

        Raises
        ------
        StoreExistsError
            If there is no old array of format 2, whose readers could be kept from the new chunks.
        """
        key = f"{path}/{ZARRAY}"
        document = self._format2_documents.get(key)
        if self.root[DOCUMENT] is not None or document is None:
            raise StoreExistsError(
                f"{self._bytestore.location.uri}:/{path} has objects with names that the new array needs, "
                "and which are not those of an array of Zarr format 2; write to another place, or remove the "
                "store first"
            )
        separator = document.get("dimension_separator", ".")
        return format2_chunk_keys(separator)

    @cached_property
    def _format2_documents(self) -> dict[str, JSON]:
        """Documents of the old arrays, by key."""
        covered, self._bytestore.covered = self._bytestore.covered, frozenset()
        try:
            held = documents_in(self._bytestore, [ZMETADATA]).get(ZMETADATA)
            found = entries_of(held)
            if isinstance(found, dict):
                return found
            arrays = [key for key in self.keys if key.rpartition("/")[2] == ZARRAY]
            return documents_in(self._bytestore, arrays)
        finally:
            self._bytestore.covered = covered

    def chunk_names(self, path: str) -> list[str]:
        """Return the names, in the folder of an array, of objects that may be its chunks."""
        return self._names_below.get(path, [])

    @cached_property
    def _names_below(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self.keys:
            parts = key.split("/")
            for index in range(len(parts) - 1, 0, -1):
                if not (parts[index][:1] == "c" or parts[index][:1].isdigit()):
                    break
                found.setdefault("/".join(parts[:index]), []).append("/".join(parts[index:]))
        return found

    def look_again(self) -> None:
        """Record the versions of the root's documents, after this writer itself has marked them."""
        self.root = root_versions(self._bytestore)

    def uncover(self) -> None:
        """Show the old objects to the new store; the journal, or the new root, now decides what is kept."""
        self._bytestore.covered = frozenset()

    def remove_obsolete(self, documents: Mapping[str, JSON]) -> None:
        """Remove the old objects that the new store does not name.

        Parameters
        ----------
        documents : mapping of str to JSON
            Documents of the new store, by key.
        """
        named = Named(documents)
        self._bytestore.delete_many([key for key in sorted(self.keys) if key not in named])

    def undo(self) -> None:
        """Remove all new objects."""
        self.uncover()
        written = [key for key in self._bytestore.list_prefix("") if key not in self.keys]
        self._bytestore.delete_many([key for key in written if key != JOURNAL])


def root_versions(bytestore: ZarrByteStore) -> RootVersions:
    """Return the versions of a root's documents, with concurrent requests."""
    return bytestore.versions(ROOT_KEYS)


def put_root(
    bytestore: ZarrByteStore, key: str, encoded: bytes, known: RootVersions | None
) -> bool:
    """Write the document that is a commit; return False if the existing one is not the known one.

    Parameters
    ----------
    bytestore : ZarrByteStore
    key : str
    encoded : bytes
    known : dict of str to Version, or None
        Known versions of the root's documents; None if they were checked when the journal was written.
    """
    expected = bytestore.version(key) if known is None else known[key]
    try:
        return bytestore.put_if(key, encoded, expected)
    except NoConditionsError as error:
        logger.debug("%s: %s", bytestore.location.uri, error)
    found = bytestore.version(key)
    if (found is None) != (expected is None) or (expected and not expected.is_same(found)):
        return False
    bytestore.set(key, encoded)
    return True


def are_same(found: RootVersions, known: RootVersions) -> bool:
    """Return whether all documents of a root still have their known versions."""
    return all(
        found[key] is known[key] is None or (found[key] or _NO_VERSION).is_same(known[key])
        for key in ROOT_KEYS
    )


_NO_VERSION = Version("")


def what_is_there(uri: str, keys: Collection[str]) -> str:
    """Return the message for replacing objects that are not a store."""
    return (
        f"{uri} holds {len(keys)} objects ({min(keys)!r:.200}) and is no Zarr store (it has no "
        "metadata at its root); mode 'w' deletes them all only with force_overwrite=True"
    )
