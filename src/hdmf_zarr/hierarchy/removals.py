"""Nodes that were removed, and stay in the store until the commit."""

from __future__ import annotations

from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import ObjectExistsError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.stores.keys import METADATA_KEYS


class Removals:
    """The nodes of a store that were removed since the last commit.

    Parameters
    ----------
    nodes : Nodes
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._removed: dict[str, dict[str, dict[str, JSON]]] = {}

    def __bool__(self) -> bool:
        return bool(self._removed)

    def take_out(self, path: str) -> list[str]:
        """Remove a node and its descendants from the documents; return the paths of all of them."""
        documents = self._nodes.documents
        below = [one for one in documents if one == path or one.startswith(f"{path}/")]
        self._removed[path] = {one: documents.pop(one) for one in below}
        for one in below:
            self._nodes.cache.forget(one)
        return below

    def refuse_new(self, path: str) -> None:
        """Raise `ObjectExistsError` for a new node at the path of a removed one.

        A removed node is in the store until the commit, and the new one would take its place.
        """
        for above in self._above(path):
            raise ObjectExistsError(
                f"{self._nodes.uri}:/{above} was removed, and is in the store until that is committed: "
                "nothing else can be made there before; write() or close the file, and make the other one "
                "then"
            )

    def take_back(self, path: str) -> None:
        """Restore the nodes that were removed at a path, or above it, if there are any."""
        for above in self._above(path):
            self._nodes.documents.update(self._removed.pop(above))

    def _above(self, path: str) -> list[str]:
        return [one for one in self._removed if path == one or path.startswith(f"{one}/")]

    def carry_out(self) -> None:
        """Remove all objects of removed nodes from the store."""
        for path, below in self._removed.items():
            for one in below:
                for name in METADATA_KEYS:
                    self._nodes.bytestore.delete(f"{one}/{name}")
            self._nodes.bytestore.delete_prefix(path)
        self._removed.clear()
