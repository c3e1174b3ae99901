"""References <-> JSON objects, in the forms of both conventions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdmf_zarr.convention.model import JSON, SELF, Reference
from hdmf_zarr.errors import MetadataError

__all__ = ["ZarrReference", "absolute", "reference_from_object"]


class ZarrReference(dict[str, Any]):
    """A reference as a dict, the form in stores of Zarr format 2.

    Parameters
    ----------
    source : str, optional
        Store of the target, relative to that of the reference; ``"."`` is the same store.
    path : str, optional
        Absolute path of the target in its store.
    object_id : str, optional
        Object id of the target.
    source_object_id : str, optional
        Object id of the root of the target's store.
    """

    # Earlier releases pickled the class under this name, and users import it from there.
    __module__ = "hdmf_zarr.utils"

    def __init__(
        self,
        source: str | None = None,
        path: str | None = None,
        object_id: str | None = None,
        source_object_id: str | None = None,
    ) -> None:
        super().__init__(
            source=source, path=path, object_id=object_id, source_object_id=source_object_id
        )

    @classmethod
    def of(cls, reference: Reference) -> ZarrReference:
        """Return the dict of a reference."""
        return cls(
            reference.source, reference.path, reference.object_id, reference.source_object_id
        )

    @property
    def source(self) -> str | None:
        """Store of the target."""
        return self["source"]  # type: ignore[no-any-return]

    @source.setter
    def source(self, value: str | None) -> None:
        self["source"] = value

    @property
    def path(self) -> str | None:
        """Path of the target in its store."""
        return self["path"]  # type: ignore[no-any-return]

    @path.setter
    def path(self, value: str | None) -> None:
        self["path"] = value

    @property
    def object_id(self) -> str | None:
        """Object id of the target."""
        return self["object_id"]  # type: ignore[no-any-return]

    @object_id.setter
    def object_id(self, value: str | None) -> None:
        self["object_id"] = value

    @property
    def source_object_id(self) -> str | None:
        """Object id of the root of the target's store."""
        return self["source_object_id"]  # type: ignore[no-any-return]

    @source_object_id.setter
    def source_object_id(self, value: str | None) -> None:
        self["source_object_id"] = value


def reference_from_object(entry: JSON) -> Reference:
    """Convert an object with ``source`` and ``path`` to a reference.

    Raises
    ------
    MetadataError
        If ``entry`` is not such an object.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str):
        raise MetadataError(
            f"a reference must be an object with 'source' and 'path', found {entry!r:.200}"
        )
    source = entry.get("source") or SELF
    if not isinstance(source, str):
        raise MetadataError(f"the 'source' of a reference must be text, found {source!r:.200}")
    object_id, source_object_id = entry.get("object_id"), entry.get("source_object_id")
    return Reference(
        source=source,
        path=absolute(entry["path"]),
        object_id=object_id if isinstance(object_id, str) else None,
        source_object_id=source_object_id if isinstance(source_object_id, str) else None,
    )


def absolute(path: str) -> str:
    """Return a path with one slash at its start and none at its end."""
    return "/" + path.strip("/")
