"""A new store in a bucket that holds another one: it uses unused names until the commit.

In a bucket nothing can be renamed. So the new chunks have names that the store before does not use, and the
new documents wait in memory. The root's document is the commit: with the documents of all nodes in it, it is
all that readers need. The documents of the nodes by themselves follow, and what is obsolete goes. A journal
says so meanwhile; the next writer undoes, or completes, what a dead one has begun.
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
    """What is at the place of a new store until that is committed.

    Parameters
    ----------
    bytestore : ZarrByteStore
        Of the new store, in which nothing is yet.
    open_append : OpenAppend
        Puts the journal of the new store, and is told how to go back.
    zarr_format : int
        Format of the new store.
    is_forced : bool
        Whether what is no store may be replaced.

    Attributes
    ----------
    keys : frozenset of str
        All objects that were there.
    root : dict of str to Version
        Which documents the root had.
    before : dict of str to JSON, or None
        All documents of the store that was there, by key; None where those of its root are enough.

    Raises
    ------
    LockedError
        If somebody else is writing there.
    StoreExistsError
        If something is there that is no store, and it may not be replaced.
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
        # In this order: what is listed then belongs to the root that is known.
        self.root = root_versions(bytestore)
        self.keys = self._listed()
        is_store = any(version is not None for version in self.root.values())
        if self.keys and not is_store and not is_forced:
            raise StoreExistsError(what_is_there(bytestore.location.uri, self.keys))
        self.before = self._documents_before() if is_store else {}
        # What was no store is not put back, and nobody but its replacement removes it.
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
        """Whether nobody has written a store before this writer had the journal."""
        if is_store:
            return are_same(root_versions(self._bytestore), self.root)
        return self._listed() == self.keys

    def _documents_before(self) -> dict[str, JSON] | None:
        """Return the documents of the store that is there, by key; None where its root has them all."""
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
        """Return how to name the chunks of a new array, so that they are at the place of nothing.

        Parameters
        ----------
        path : str
        encoding : dict
            How they are named where nothing is in the way.
        n_dimensions : int
        *taken : dict
            Encodings of chunks that the new store has there already.
        """
        names = [*self._names_below.get(path, ()), *(chunk_key(keys, (0, 0)) for keys in taken)]
        if not names:
            return encoding
        if self._zarr_format == 3:
            return unused_form(encoding, names)
        return unused_format2_form(n_dimensions, encoding, names)

    def encoding_before(self, path: str) -> dict[str, JSON]:
        """Return how the chunks of an array of format 2 are named whose names a new one wants.

        Raises
        ------
        StoreExistsError
            If they are not those of such an array: its readers could not be kept from the new chunks.
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
        """Documents of arrays that are there, by key."""
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
        """Return the names, in the folder of an array, of objects that can be chunks of one."""
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
        """Take note of which documents the root has, after it was marked by this writer itself."""
        self.root = root_versions(self._bytestore)

    def uncover(self) -> None:
        """Let the new store see what was there: from now on the journal, or the new root, tells what goes."""
        self._bytestore.covered = frozenset()

    def remove_obsolete(self, documents: Mapping[str, JSON]) -> None:
        """Remove what was there, but for what the new store names.

        Parameters
        ----------
        documents : mapping of str to JSON
            Of the new store, by key.
        """
        named = Named(documents)
        self._bytestore.delete_many([key for key in sorted(self.keys) if key not in named])

    def undo(self) -> None:
        """Remove everything that is new."""
        self.uncover()
        written = [key for key in self._bytestore.list_prefix("") if key not in self.keys]
        self._bytestore.delete_many([key for key in written if key != JOURNAL])


def root_versions(bytestore: ZarrByteStore) -> RootVersions:
    """Return which documents a root has, asked for at the same time."""
    return bytestore.versions(ROOT_KEYS)


def put_root(
    bytestore: ZarrByteStore, key: str, encoded: bytes, known: RootVersions | None
) -> bool:
    """Write the document that is a commit; return False where it is not the one that was known.

    Parameters
    ----------
    bytestore : ZarrByteStore
    key : str
    encoded : bytes
    known : dict of str to Version, or None
        Which documents the root had; None where that was looked at when the journal was put.
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
    """Whether no document of a root was stored since its versions were known."""
    return all(
        found[key] is known[key] is None or (found[key] or _NO_VERSION).is_same(known[key])
        for key in ROOT_KEYS
    )


_NO_VERSION = Version("")


def what_is_there(uri: str, keys: Collection[str]) -> str:
    """Return what to tell who would replace objects that are no store."""
    return (
        f"{uri} holds {len(keys)} objects ({min(keys)!r:.200}) and is no Zarr store (it has no "
        "metadata at its root); mode 'w' deletes them all only with force_overwrite=True"
    )
