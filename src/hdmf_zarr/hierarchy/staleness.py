"""Checks whether a store is still the one whose metadata are in memory."""

from __future__ import annotations

from typing import Any

from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.loading import Loaded, load_documents, load_node
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.hierarchy.root_watch import RootWatch
from hdmf_zarr.metadata.documents import layout_of
from hdmf_zarr.metadata.node import array_node, is_array, why_unreadable
from hdmf_zarr.transactions.fingerprint import (
    HeldFolder,
    Stamp,
    hold_folder,
    is_newer,
    stamp_of,
)
from hdmf_zarr.transactions.journal import JOURNAL


class Staleness:
    """The state of the store when its metadata were read, and checks that it is still the same.

    Parameters
    ----------
    nodes : Nodes

    Attributes
    ----------
    watch : RootWatch
        Watch on the root's document of a store that is not a folder.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._stamp: Stamp | None = None
        self._folder: HeldFolder | None = None
        self._newer: Loaded | None = None
        self._sent_path: str | None = None
        self._checked: dict[str, Stamp | None] = {}
        self.watch = RootWatch(nodes)

    def begin(self, loaded: Loaded) -> None:
        """Record the fingerprint of the store when its metadata were read."""
        self._stamp, self._folder = loaded.stamp, loaded.folder
        self.watch.begin(loaded.root)

    def expect_sent(self, path: str) -> None:
        """Mark the document of an array as sent by another process; the first check compares it."""
        self._sent_path = path

    def look_again(self) -> None:
        """Record the present local store as the one of the documents in memory."""
        self._folder = self._folder or hold_folder(self._nodes.bytestore)
        self._stamp = stamp_of(self._nodes.bytestore, self._folder)
        self._checked.clear()

    def release(self) -> None:
        """Close the store's folder."""
        if self._folder is not None:
            self._folder.release()

    def check(self, *paths: str, has_failed: bool = False) -> bool:
        """Raise if the last read may be of another store, see `Hierarchy.check_unchanged`."""
        if (sent := self._sent_path) is not None:
            self._check_sent(sent)
        if self._stamp is None:
            seen = self._nodes.n_changes
            self.watch.check(*paths, is_urgent=has_failed)
            return seen == self._nodes.n_changes
        stamp = stamp_of(self._nodes.bytestore)
        changed = [path for path in paths if stamp != self._checked.get(path, self._stamp)]
        for path in changed:
            self._check_path(path, stamp)
        return not changed

    def _check_path(self, path: str, stamp: Stamp | None) -> None:
        """Raise if a node differs from the metadata in memory, in a store whose stamp has changed."""
        assert self._stamp is not None
        self._nodes.note_change()  # decoded chunks may be outdated
        if stamp is None or stamp[0] != self._stamp[0]:
            raise MetadataError(
                f"{self._nodes.uri} was replaced while it was read; open it again to read what is there now"
            )
        if self._folder is None or not self._folder.is_held:
            # Another folder may have its inode number by now.
            raise MetadataError(
                f"{self._nodes.uri} was replaced or changed while it was read; open it again to read what is "
                "there now"
            )
        newer = self._load_newer(stamp)
        if layout_of(newer.documents.get(path)) != layout_of(
            self._nodes.documents.get(path)
        ) or self._has_other_elements(path, newer.documents.get(path)):
            raise MetadataError(
                f"{self._nodes.uri}:/{path} was rewritten while it was read; open the file again to read "
                "what is there now"
            )
        # Rows may have been added; the known part of this array is unchanged. Other arrays are not checked.
        self._checked[path] = newer.stamp

    def _check_sent(self, path: str) -> None:
        """Raise if an array has changed since another process has sent its document."""
        self._folder = hold_folder(self._nodes.bytestore)
        stamp = stamp_of(self._nodes.bytestore, self._folder)
        expected = layout_of(self._nodes.documents[path])
        if layout_of(load_node(self._nodes.bytestore, path, self._nodes.zarr_format)) != expected:
            # The node's own document may belong to an uncommitted append.
            known = self._load_now()
            if layout_of(known.documents.get(path)) != expected:
                self._nodes.cache.clear()
                raise MetadataError(
                    f"{self._nodes.uri}:/{path} was rewritten since it was pickled; open the file to read "
                    "what is there now"
                )
        self._stamp, self._sent_path = stamp, None

    def _has_other_elements(self, path: str, newer: dict[str, Any] | None) -> bool:
        """Return whether an array of the same layout has fewer rows, or new chunks that no append touches.

        When an array is rewritten for the second time, its chunks get the first names again.
        """
        old = self._nodes.documents.get(path)
        if old is None or newer is None or not is_array(old) or why_unreadable(old) is not None:
            return False
        was, now = array_node(old), array_node(newer)
        if now.shape != was.shape:
            rows, unit = was.shape[0], was.stored_chunk[0]
            if now.shape[0] < rows or rows < unit:
                return now.shape[0] < rows  # an append may have changed its first chunk
        key = was.key((0,) * len(was.shape))
        return is_newer(self._nodes.bytestore, f"{path}/{key}", self._stamp)

    def check_untouched(self) -> None:
        """Raise if a local store was changed since its metadata were read, or is being written.

        Raises
        ------
        MetadataError
        """
        if self._nodes.bytestore.get(JOURNAL) is not None:
            raise MetadataError(
                f"{self._nodes.uri} is being appended to, or an append to it was stopped; try again when "
                "nobody writes to it ('hdmf-zarr check --repair' undoes what was stopped)"
            )
        if self._stamp is not None and stamp_of(self._nodes.bytestore) != self._stamp:
            raise MetadataError(
                f"{self._nodes.uri} was changed while it was read; try again when no writer is active"
            )

    def _load_newer(self, stamp: Stamp) -> Loaded:
        """Return the present metadata, read once for all arrays."""
        if self._newer is None or self._newer.stamp != stamp:
            self._newer = self._load_now()
        return self._newer

    def _load_now(self) -> Loaded:
        loaded = load_documents(self._nodes.bytestore, consolidated=self._nodes.is_consolidated)
        if loaded.folder is not None:
            loaded.folder.release()
        return loaded
