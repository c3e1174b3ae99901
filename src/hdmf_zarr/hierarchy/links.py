"""Resolves the links of a store to their targets."""

from __future__ import annotations

from hdmf_zarr.convention import JSON, SELF, Link
from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.hierarchy.nodes import Nodes

_NO_ATTRIBUTES: dict[str, JSON] = {}


class LinkTable:
    """The links of the groups of a store, decoded once, since a group may have thousands.

    Parameters
    ----------
    nodes : Nodes
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._decoded: dict[str, tuple[dict[str, JSON], dict[str, Link]]] = {}

    def resolve(self, path: str, limit: int) -> str:
        """Return the path of the node to which a path leads, see `Hierarchy.resolve`."""
        wanted = path.strip("/")
        for _ in range(limit):
            if wanted in self._nodes.documents:
                return wanted
            followed = self._follow_one(wanted)
            if followed is None:
                raise BrokenLinkError(f"{self._nodes.uri} has no object at /{wanted}")
            wanted = followed
        raise BrokenLinkError(
            f"{self._nodes.uri}:/{path.strip('/')} leads through more than {limit} links"
        )

    def _follow_one(self, path: str) -> str | None:
        step = self.find(path)
        if step is None or step[0].source != SELF:
            return None
        link, rest = step
        return "/".join([link.path, *rest]).strip("/")

    def find(self, path: str) -> tuple[Link, list[str]] | None:
        """Return the first link on the way to a path, and the parts of the path after it."""
        parts = path.split("/")
        for depth in range(len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in self._nodes.documents:
                return None
            link = self._of(parent).get(parts[depth])
            if link is not None:
                return link, parts[depth + 1 :]
        return None

    def _of(self, path: str) -> dict[str, Link]:
        """Return the links of a group by their names."""
        attributes = self._nodes.documents[path].get("attributes") or _NO_ATTRIBUTES
        decoded = self._decoded.get(path)
        if decoded is None or decoded[0] is not attributes:
            links: dict[str, Link] = {}
            for link in self._nodes.convention.decode_links(attributes):
                links.setdefault(link.name, link)
            decoded = self._decoded[path] = attributes, links
        return decoded[1]
