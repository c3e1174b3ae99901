"""Checks whether a store in a bucket is still the one that was opened: one check for many reads."""

from __future__ import annotations

import hashlib
import logging
import time

from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import HDMFZarrError, MetadataError
from hdmf_zarr.hierarchy.loading import Loaded, load_documents
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.hierarchy.replacement import RootVersions
from hdmf_zarr.metadata.documents import layout_of
from hdmf_zarr.metadata.node import array_node, is_array, why_unreadable
from hdmf_zarr.stores.bytestore import ZarrByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    ZMETADATA,
)
from hdmf_zarr.stores.objects import Version

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0
"""Time between two checks; each is one HEAD request for the root's document."""


class RootWatch:
    """Watches the root's document of a store that is not a folder, since the store was opened.

    Parameters
    ----------
    nodes : Nodes
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes, self._bytestore = nodes, nodes.bytestore
        self._key = DOCUMENT if nodes.zarr_format == 3 else ZMETADATA
        self._version: Version | None = None
        self._digest = b""
        self._looked = time.monotonic()
        self._opened = time.time()
        self._newer: tuple[Version, Loaded] | None = None
        self.is_watched = False

    def begin(self, encoded: bytes | None) -> None:
        """Record the root's document, without a request.

        Parameters
        ----------
        encoded : bytes or None
            Content of the document, as it was read.
        """
        bytestore = self._bytestore
        self._version, self._digest, self.is_watched = None, b"", False
        if encoded is None or not isinstance(bytestore, ZarrByteStore):
            return
        self.is_watched = bytestore.objects.has_cheap_versions
        self._digest = hashlib.md5(encoded, usedforsecurity=False).digest()

    def is_last(self, found: RootVersions) -> bool:
        """Return whether the root's document is the one that was read or written last.

        Parameters
        ----------
        found : dict of str to Version
            Present versions of the root's documents.
        """
        bytestore, version = self._bytestore, found[self._key]
        assert isinstance(bytestore, ZarrByteStore)
        return version is not None and self._is_known(bytestore, version)

    def check(self, *paths: str, is_urgent: bool = False) -> None:
        """Raise `MetadataError` if the root's document has changed, and the arrays in it differ.

        Parameters
        ----------
        *paths : str
            Paths of the arrays that were read.
        is_urgent : bool
            Whether to check even soon after the last check, because reading has failed.
        """
        is_soon = time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS
        if not self.is_watched or (is_soon and not is_urgent):
            return
        bytestore = self._bytestore
        assert isinstance(bytestore, ZarrByteStore)
        try:
            found = bytestore.version(self._key)
        except OSError as error:  # the read itself reports it
            logger.debug("%s:/%s cannot be looked at: %s", self._nodes.uri, self._key, error)
            return
        self._looked = time.monotonic()
        if found is not None and self._is_known(bytestore, found):
            return
        self._nodes.note_change()
        newer = None if found is None else self._load_newer(found)
        for path in paths:
            if newer is None or self._is_other(bytestore, path, newer):
                raise MetadataError(
                    f"{self._nodes.uri} was replaced or changed while it was read; open it again to read "
                    "what is there now"
                )

    def _is_known(self, bytestore: ZarrByteStore, found: Version) -> bool:
        if self._version is not None:
            return self._version.is_same(found)
        # First check: most services use the MD5 of the document as tag; for others the document is read.
        if found.tag.strip('"') != self._digest.hex():
            encoded = bytestore.get(self._key)
            if (
                encoded is None
                or hashlib.md5(encoded, usedforsecurity=False).digest() != self._digest
            ):
                return False
        self._version = found
        return True

    def _load_newer(self, found: Version) -> Loaded | None:
        """Return the present metadata, read once for all arrays; None if they are invalid."""
        if self._newer is None or not self._newer[0].is_same(found):
            try:
                newer = load_documents(self._bytestore, consolidated=self._nodes.is_consolidated)
            except (HDMFZarrError, OSError) as error:
                logger.debug("%s: %s", self._nodes.uri, error)
                return None
            self._newer = found, newer
        return self._newer[1]

    def _is_other(self, bytestore: ZarrByteStore, path: str, newer: Loaded) -> bool:
        """Return whether an array has changed in another way than by appended rows."""
        old, new = self._nodes.documents.get(path), newer.documents.get(path)
        own, theirs = (_object_id(one.documents) for one in (self._nodes, newer))
        if own != theirs or layout_of(old) != layout_of(new):
            return True
        if old is None or new is None or not is_array(old) or why_unreadable(old) is not None:
            return False
        was, now = array_node(old), array_node(new)
        if not was.shape:
            return False
        rows, unit = was.shape[0], was.stored_chunk[0]
        if now.shape[0] < rows:
            return True
        if now.shape[0] > rows and rows < unit:
            return False  # an append has changed its first chunk
        # When a store is replaced for the second time, its chunks get the first names again.
        key = was.key((0,) * len(was.shape))
        version = bytestore.version(f"{path}/{key}")
        return version is not None and version.is_later_than(self._opened)


def _object_id(documents: dict[str, dict[str, JSON]]) -> JSON:
    return (documents[""].get("attributes") or {}).get("object_id")
