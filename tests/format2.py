"""Stores of Zarr format 2 made by hand, file by file, as the releases up to 0.13 wrote them."""

from __future__ import annotations

import itertools
import json
import pickle
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numcodecs
import numcodecs.json
import numpy as np

BLOSC = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
PICKLE = {"id": "pickle", "protocol": 5}
JSON2 = {"id": "json2"}
VLEN_UTF8 = {"id": "vlen-utf8"}
VLEN_BYTES = {"id": "vlen-bytes"}


def reference(path: str, source: str = ".", **more: Any) -> dict[str, Any]:
    """Return a reference; `pickled` makes it an instance of the class of the releases."""
    return {"source": source, "path": path, "object_id": None, "source_object_id": "7", **more}


def objects(*elements: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return an array of objects."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array if shape is None else array.reshape(shape)


def pickled(array: np.ndarray, protocol: int = 5) -> bytes:
    """Return the pickle of an array in which the references name the class of the releases."""
    kind = types.new_class("ZarrReference", (dict,))
    kind.__module__ = "hdmf_zarr.utils"

    def convert(entry: Any) -> Any:
        return kind(entry) if type(entry) is dict else entry

    converted = array.copy()
    if array.dtype.names is None:
        flat = converted.reshape(-1)
        for position, entry in enumerate(flat):
            flat[position] = convert(entry)
    for name in array.dtype.names or ():
        if array.dtype[name].hasobject:
            converted[name] = [convert(entry) for entry in array[name]]
    with mock.patch("hdmf_zarr.utils.ZarrReference", kind, create=True):
        return pickle.dumps(converted, protocol)


def encoded_chunk(chunk: np.ndarray, metadata: Mapping[str, Any]) -> bytes:
    """Return a chunk as zarr-python 2 wrote it."""
    if chunk.ndim > 1:
        chunk = np.array(chunk, order=metadata["order"])
        if metadata["order"] == "F":
            # The bytes are those of memory in Fortran order.
            chunk = chunk.T
    encoded: Any = chunk
    for codec in metadata["filters"] or []:
        if codec["id"] == "pickle":
            encoded = pickled(encoded)
        else:
            encoded = numcodecs.get_codec(dict(codec)).encode(encoded)
    if metadata["compressor"] is not None:
        if isinstance(encoded, np.ndarray):
            encoded = np.ascontiguousarray(encoded)
        encoded = numcodecs.get_codec(dict(metadata["compressor"])).encode(encoded)
    return bytes(encoded) if not isinstance(encoded, np.ndarray) else encoded.tobytes()


def dtype_of(array: np.ndarray) -> Any:
    """Return the spelling of a dtype in a ``.zarray``."""
    if array.dtype.names is None:
        return array.dtype.str
    return [[name, array.dtype[name].str] for name in array.dtype.names]


class Format2Store:
    """The files of a store, to be changed before they are saved."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.chunks: dict[str, bytes] = {}
        self.group("")

    def group(self, path: str, **attributes: Any) -> None:
        """Add a group; and those above it."""
        parts = path.split("/")
        for depth in range(len(parts)):
            prefix = "".join(part + "/" for part in parts[: depth + 1] if part)
            self.documents.setdefault(prefix + ".zgroup", {"zarr_format": 2})
        prefix = path + "/" if path else ""
        self.documents.setdefault(prefix + ".zattrs", {}).update(attributes)

    def array(
        self,
        path: str,
        data: Any,
        zarr_dtype: Any = None,
        *,
        chunks: tuple[int, ...] | None = None,
        filters: list[dict[str, Any]] | None = None,
        compressor: dict[str, Any] | None = BLOSC,
        order: str = "C",
        separator: str | None = None,
        fill_value: Any = 0,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an array, chunk by chunk."""
        data = np.asarray(data)
        self.group(path.rpartition("/")[0])
        metadata = {
            "zarr_format": 2,
            "shape": list(data.shape),
            "chunks": list(chunks or (max(1, size) for size in data.shape)),
            "dtype": dtype_of(data),
            "compressor": compressor,
            "fill_value": fill_value,
            "filters": filters,
            "order": order,
        }
        if separator is not None:
            metadata["dimension_separator"] = separator
        self.documents[f"{path}/.zarray"] = metadata
        written = dict(attributes or {})
        if zarr_dtype is not None:
            written["zarr_dtype"] = zarr_dtype
        self.documents[f"{path}/.zattrs"] = written
        counts = [
            -(-size // step) for size, step in zip(data.shape, metadata["chunks"], strict=True)
        ]
        for at in itertools.product(*map(range, counts)):
            chunk = np.zeros(metadata["chunks"], dtype=data.dtype)
            region = tuple(
                slice(i * step, (i + 1) * step)
                for i, step in zip(at, metadata["chunks"], strict=True)
            )
            part = data[region]
            chunk[tuple(slice(0, size) for size in part.shape)] = part
            if VLEN_UTF8 in (filters or []) or VLEN_BYTES in (filters or []):
                empty = "" if VLEN_UTF8 in (filters or []) else b""
                chunk[chunk == 0] = empty
            key = (separator or ".").join(map(str, at)) or "0"
            self.chunks[f"{path}/{key}"] = encoded_chunk(chunk, metadata)

    def text(self, path: str, data: Any, **options: Any) -> None:
        """Add a dataset of text."""
        self.array(path, objects(*data), "str", filters=[VLEN_UTF8], **options)

    def scalar(self, path: str, value: Any, **options: Any) -> None:
        """Add a scalar."""
        filters = {str: [VLEN_UTF8], bytes: [VLEN_BYTES]}.get(type(value))
        data = objects(value) if filters else np.array([value])
        self.array(path, data, "scalar", filters=filters, **options)

    def references(self, path: str, data: Any, *, codec: Any = PICKLE, **options: Any) -> None:
        """Add a dataset of references."""
        self.array(path, objects(*data), "object", filters=[codec], **options)

    def link(self, group: str, name: str, path: str, source: str = ".", **more: Any) -> None:
        """Add a link."""
        self.group(group)
        prefix = group + "/" if group else ""
        links = self.documents[prefix + ".zattrs"].setdefault("zarr_link", [])
        links.append({"name": name, "source": source, "path": path, **more})

    def files(self, *, consolidated: bool = True) -> dict[str, bytes]:
        """Return all files, by their keys."""
        files = {key: json.dumps(document).encode() for key, document in self.documents.items()}
        files |= self.chunks
        if consolidated:
            held = {"metadata": self.documents, "zarr_consolidated_format": 1}
            files[".zmetadata"] = json.dumps(held).encode()
        return files

    def save(self, folder: Path, *, consolidated: bool = True) -> Path:
        """Write the files into a folder."""
        for key, content in self.files(consolidated=consolidated).items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder
