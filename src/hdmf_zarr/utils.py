"""The objects that users make: data with their layout, references, the writer's queue."""

from __future__ import annotations

from typing import Any

import zarr
from hdmf.spec import SpecReader, SpecWriter
from zarr.abc.store import Store

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.planning.dataio import ZarrDataIO
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.specifications import stringify

__all__ = [
    "HDMFZarrArray",
    "ZarrDataIO",
    "ZarrIODataChunkIteratorQueue",
    "ZarrReference",
    "ZarrSpecReader",
    "ZarrSpecWriter",
    "get_store_path",
]


class ZarrReference(dict[str, Any]):
    """A reference as a dict, as it is in stores of Zarr format 2.

    Parameters
    ----------
    source : str, optional
        The store of the target, relative to that of the reference; ``"."`` is the same store.
    path : str, optional
        Absolute path of the target in its store.
    object_id : str, optional
        Id of the target.
    source_object_id : str, optional
        Id of the root of the target's store.
    """

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

    @property
    def source(self) -> str | None:
        """The store of the target."""
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
        """Id of the target."""
        return self["object_id"]  # type: ignore[no-any-return]

    @object_id.setter
    def object_id(self, value: str | None) -> None:
        self["object_id"] = value

    @property
    def source_object_id(self) -> str | None:
        """Id of the root of the target's store."""
        return self["source_object_id"]  # type: ignore[no-any-return]

    @source_object_id.setter
    def source_object_id(self, value: str | None) -> None:
        self["source_object_id"] = value


class ZarrSpecWriter(SpecWriter):  # type: ignore[misc]
    """Writes specifications into a group as JSON text.

    Parameters
    ----------
    group : zarr.Group
    """

    def __init__(self, group: zarr.Group) -> None:
        self._group = group

    @staticmethod
    def stringify(spec: Any) -> str:
        """Return a specification as JSON text."""
        return stringify(spec)

    def write_spec(self, spec: Any, path: str) -> Any:
        """Write the specification of one source."""
        return self._write(path, stringify(spec))

    def write_namespace(self, namespace: Any, path: str) -> Any:
        """Write a namespace."""
        return self._write(path, stringify({"namespaces": [namespace]}))

    def _write(self, path: str, text: str) -> Any:
        array = self._group.create_array(path, shape=(), dtype="string")
        array[...] = text
        return array


class ZarrSpecReader(SpecReader):  # type: ignore[misc]
    """Reads specifications from a group.

    Parameters
    ----------
    group : zarr.Group
    """

    def __init__(self, group: zarr.Group) -> None:
        self._group = group
        self._namespaces: Any = None
        super().__init__(source=f"{get_store_path(group.store)}:{group.name}")

    def read_spec(self, spec_path: str) -> Any:
        """Return the specification of one source."""
        return self._read(spec_path)

    def read_namespace(self, ns_path: str) -> Any:
        """Return the namespaces that are cached under a name."""
        if self._namespaces is None:
            self._namespaces = self._read(ns_path)["namespaces"]
        return self._namespaces

    def _read(self, path: str) -> Any:
        import numpy as np

        if path not in self._group:
            raise MetadataError(f"{self.source} has no specification {path!r}")
        text = np.asarray(self._group[path][...]).ravel()[0]  # type: ignore[index]
        return parsed_json(text, f"{self.source}:/{path}")


def get_store_path(store: Store) -> str:
    """Return the absolute path or URL of a store."""
    return locate(store).uri
