"""The nodes of one store: path -> document."""

from __future__ import annotations

import logging
from typing import Literal

from hdmf_zarr.chunks.cache import ChunkCache
from hdmf_zarr.convention import JSON, Convention, convention_for_format, specification_path
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.loading import specification_documents
from hdmf_zarr.metadata.documents import parse_or_empty
from hdmf_zarr.metadata.node import ArrayNode, array_node, is_array
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.stores.keys import (
    ZATTRS,
    is_node_path,
)
from hdmf_zarr.stores.location import Location

logger = logging.getLogger(__name__)

NodeType = Literal["group", "array"]


class Nodes:
    """The nodes of one store: path (without slashes at its ends, the root is ``""``) -> document.

    Parameters
    ----------
    bytestore : ByteStore
    documents : dict of str to dict
        Document of each node with its attributes, in Zarr format 3 whatever the format of the store is.
    zarr_format : int
        Format of the store.

    Attributes
    ----------
    is_consolidated : bool
        Whether the documents came from (or are also in) the root's consolidated metadata.
    n_changes : int
        Number of detected changes of the store by other processes.
    cache : ChunkCache
        Decoded chunks of the arrays.
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
        self.n_changes = 0
        self.cache = ChunkCache(self)
        self._arrays: dict[str, ArrayNode] = {}

    @property
    def location(self) -> Location:
        """Location of the store."""
        return self.bytestore.location

    @property
    def uri(self) -> str:
        """Absolute path or URL of the store."""
        return self.location.uri

    @property
    def convention(self) -> Convention:
        """Convention by which this store encodes HDMF's concepts."""
        return convention_for_format(self.zarr_format)

    def __contains__(self, path: str) -> bool:
        return path.strip("/") in self.documents

    def node_type(self, path: str) -> NodeType:
        """Return whether a node is a group or an array."""
        return "array" if is_array(self.documents[path.strip("/")]) else "group"

    def attributes(self, path: str) -> dict[str, JSON]:
        """Return all attributes of a node, including reserved ones."""
        return self.documents[path.strip("/")].get("attributes") or {}

    def document_of(self, path: str) -> dict[str, JSON]:
        """Return the document of a node.

        Raises
        ------
        MetadataError
            If the node was removed.
        """
        try:
            return self.documents[path]
        except KeyError:
            raise MetadataError(f"{self.uri}:/{path} is not in the store; it was removed") from None

    def array(self, path: str) -> ArrayNode:
        """Return the node of an array; each document is parsed once.

        Raises
        ------
        MetadataError
            If the array was removed.
        """
        document = self.document_of(path)
        known = self._arrays.get(path)
        if known is None or known.document is not document:
            known = self._arrays[path] = array_node(document)
        return known

    def children(self) -> dict[str, list[str]]:
        """Return the names of the children of each node, in one pass over all nodes."""
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
        """Path of the group of cached specifications; None if there is none."""
        return specification_path(self.attributes(""))

    def find_specifications(self) -> None:
        """Add the cached specifications that are missing in old consolidated metadata.

        Up to release 0.6 the specifications and their path were written after the consolidation.
        """
        if self.zarr_format != 2 or not self.is_consolidated:
            return
        if self.specification_path is None:
            written = self.bytestore.get(ZATTRS) or b"{}"
            attributes = parse_or_empty(written, f"{self.uri}:/{ZATTRS}")
            base = specification_path(attributes)
            root = self.documents[""]
            self.documents[""] = {**root, "attributes": {**attributes, **self.attributes("")}}
        else:
            base = self.specification_path
        if base is None or base in self.documents or not is_node_path(base):
            return
        self.find_every_specification()

    def find_every_specification(self) -> None:
        """Add the cached specifications of the store that are missing in its consolidated metadata.

        Tools that merge stores leave them out. This lists the store, which normal reading does not need.
        """
        base = self.specification_path
        if not self.is_consolidated or base is None or not is_node_path(base):
            return
        found = specification_documents(self.bytestore, base, self.zarr_format)
        for path, document in found.items():
            self.documents.setdefault(path, document)

    def note_change(self) -> None:
        """Drop the decoded chunks, since another process has changed the store."""
        self.cache.clear()
        self.n_changes += 1
