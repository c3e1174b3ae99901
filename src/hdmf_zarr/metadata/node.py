"""Typed nodes, made from the documents of either format of Zarr.

A document is the stored JSON; a node is its parsed content. The functions of this module also change
documents, so that only `hdmf_zarr.metadata` contains the keys of Zarr's JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hdmf_zarr.convention import JSON
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.chunk_keys import FORMAT2_CHUNK_KEYS, chunk_key, coordinates_of

Document = dict[str, JSON]

_SHARDING = "sharding_indexed"


@dataclass(frozen=True, slots=True)
class GroupNode:
    """A group.

    Attributes
    ----------
    document : mapping
        Document in Zarr format 3, whatever the format of the store is.
    attributes : mapping
        All attributes, including those that a convention reserves.
    """

    document: Mapping[str, JSON] = field(repr=False)
    attributes: Mapping[str, JSON]


class ArrayNode(NamedTuple):
    """An array.

    Attributes
    ----------
    document : mapping
        Document in Zarr format 3, whatever the format of the store is.
    attributes : mapping
        All attributes, including those that a convention reserves.
    shape : tuple of int
    stored_chunk : tuple of int
        Shape of one object in the store: of a shard, or of a chunk if there are no shards.
    chunk : tuple of int
        Shape of a chunk, in a shard or not.
    is_sharded : bool
    codecs : tuple of mapping
        Codecs of an object in the store, as in the document.
    chunk_codecs : tuple of mapping
        Codecs of a chunk, in a shard or not.
    chunk_keys : mapping
        Encoding of chunk keys, as in the document; see `hdmf_zarr.metadata.chunk_keys`.
    data_type : str or mapping
        Data type, as in the document.
    fill_value : JSON
        Fill value, as in the document.
    dimension_names : tuple of (str or None), or None
    why_unreadable : str or None
        Reason why the array cannot be read, or None. Codecs, chunks and data type are then empty.
    format2 : mapping or None
        The ``.zarray`` of an array that was read from a store of format 2.
    is_native : bool
        Whether zarr-python reads the array in format 2, since format 3 has no codec for one of its filters.
    """

    document: Mapping[str, JSON]
    attributes: Mapping[str, JSON]
    shape: tuple[int, ...]
    stored_chunk: tuple[int, ...] = ()
    chunk: tuple[int, ...] = ()
    codecs: tuple[Mapping[str, JSON], ...] = ()
    chunk_codecs: tuple[Mapping[str, JSON], ...] = ()
    chunk_keys: Mapping[str, JSON] = {}
    data_type: JSON = None
    fill_value: JSON = None
    dimension_names: tuple[str | None, ...] | None = None
    why_unreadable: str | None = None
    format2: Mapping[str, JSON] | None = None
    is_native: bool = False

    @property
    def is_sharded(self) -> bool:
        """Whether several chunks are one object in the store."""
        return self.chunk_codecs is not self.codecs

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Shape of a shard; None for an array without shards."""
        return self.stored_chunk if self.is_sharded else None

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of stored chunks along each dimension."""
        return tuple(
            -(-size // step) for size, step in zip(self.shape, self.stored_chunk, strict=True)
        )

    @property
    def n_chunks(self) -> int:
        """Number of stored chunks."""
        return math.prod(self.grid)

    def key(self, at: tuple[int, ...]) -> str:
        """Return the key of a stored chunk in the folder of the array.

        Parameters
        ----------
        at : tuple of int
            Coordinates of the chunk in the grid.
        """
        return chunk_key(self.chunk_keys, at)

    def place(self, key: str) -> tuple[int, ...] | None:
        """Return the coordinates of the stored chunk with a key; None if no chunk has the key."""
        grid = self.grid
        at = coordinates_of(self.chunk_keys, key, len(grid))
        is_inside = at is not None and all(i < n for i, n in zip(at, grid, strict=True))
        return at if is_inside else None

    def region(self, at: tuple[int, ...]) -> tuple[slice, ...]:
        """Return the region of a stored chunk, as slices that end with the array.

        Parameters
        ----------
        at : tuple of int
            Coordinates of the chunk in the grid.
        """
        return tuple(
            slice(index * step, min((index + 1) * step, size))
            for index, step, size in zip(at, self.stored_chunk, self.shape, strict=True)
        )


def array_node(document: Mapping[str, JSON]) -> ArrayNode:
    """Return the node of an array's document.

    Parameters
    ----------
    document : mapping
        Document of an array that passes `hdmf_zarr.metadata.documents.check_document`.
    """
    attributes = document.get("attributes") or {}
    shape = tuple(document.get("shape") or ())
    original = document.get(format2.ORIGINAL)
    if format2.BROKEN in document:
        reason = document[format2.BROKEN]
        return ArrayNode(document, attributes, shape, why_unreadable=reason, format2=original)
    codecs = _sequence(document.get("codecs"))
    stored = _stored_chunk(document)
    chunk, chunk_codecs = stored, codecs
    if (inner := sharding_of(codecs)) is not None:
        chunk, chunk_codecs = _sequence(inner.get("chunk_shape")), _sequence(inner.get("codecs"))
    names = document.get("dimension_names")
    return ArrayNode(
        document,
        attributes,
        shape,
        stored,
        chunk,
        codecs,
        chunk_codecs,
        document.get("chunk_key_encoding") or {},
        document.get("data_type"),
        document.get("fill_value"),
        None if names is None else _sequence(names),
        None,
        original,
        bool(document.get(format2.NATIVE)),
    )


def _stored_chunk(document: Mapping[str, JSON]) -> tuple[int, ...]:
    grid = document.get("chunk_grid")
    if not isinstance(grid, dict) or grid.get("name") != "regular":
        return ()
    configuration = grid.get("configuration")
    return _sequence(configuration.get("chunk_shape") if isinstance(configuration, dict) else ())


def _sequence(value: JSON) -> tuple[JSON, ...]:
    """Return a list as a tuple; empty for any other value, which zarr-python refuses when it is used."""
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def node_of(document: Mapping[str, JSON]) -> ArrayNode | GroupNode:
    """Return the node of a document."""
    if is_array(document):
        return array_node(document)
    return GroupNode(document, document.get("attributes") or {})


def is_array(document: Mapping[str, JSON]) -> bool:
    """Return whether a document is that of an array."""
    return bool(document["node_type"] == "array")


def is_node(document: JSON) -> bool:
    """Return whether a parsed document is that of a group or of an array."""
    return isinstance(document, dict) and document.get("node_type") in ("group", "array")


def says_its_type(document: JSON) -> bool:
    """Return whether a parsed document contains a node type that is text."""
    return isinstance(document, dict) and isinstance(document.get("node_type"), str)


def missing_keys(document: Mapping[str, JSON]) -> list[str]:
    """Return the required keys of an array's document that are missing."""
    return [name for name in _ARRAY_KEYS if name not in document]


_ARRAY_KEYS = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")


def why_unreadable(document: Mapping[str, JSON]) -> str | None:
    """Return why an array cannot be read; None if it can."""
    reason: str | None = document.get(format2.BROKEN)
    return reason


def sharding_of(codecs: Sequence[Mapping[str, JSON]]) -> Mapping[str, JSON] | None:
    """Return the configuration of the sharding codec of a chain; None if the chain has none."""
    first = codecs[0] if codecs else None
    if not isinstance(first, dict) or first.get("name") != _SHARDING:
        return None
    configuration = first.get("configuration")
    return configuration if isinstance(configuration, dict) else {}


def codec_names(codecs: JSON) -> Iterator[str]:
    """Yield the names of codecs, including those in shards; an invalid codec yields its text."""
    for codec in codecs if isinstance(codecs, list | tuple) else ():
        is_named = isinstance(codec, Mapping)
        yield str(codec.get("name") if is_named else codec)
        configuration = codec.get("configuration") if is_named else None
        yield from codec_names((configuration or {}).get("codecs"))


def made_document(
    *,
    shape: Sequence[int],
    chunk: Sequence[int],
    data_type: JSON,
    fill_value: JSON,
    codecs: Sequence[Mapping[str, JSON]],
    chunk_keys: Mapping[str, JSON],
    format2_filters: Mapping[str, JSON] | None = None,
) -> Document:
    """Return the document of an array from the values of its keys, unchecked.

    Parameters
    ----------
    format2_filters : mapping, optional
        The ``.zarray`` of an array that zarr-python reads in format 2; its sizes are replaced.
    """
    sizes, chunk_sizes = [int(size) for size in shape], [int(size) for size in chunk]
    native: Document = {}
    if format2_filters is not None:
        original = {**format2_filters, "shape": sizes, "chunks": chunk_sizes}
        native = {format2.NATIVE: True, format2.ORIGINAL: original}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": sizes,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_sizes}},
        "chunk_key_encoding": chunk_keys,
        "fill_value": fill_value,
        "codecs": list(codecs),
        "storage_transformers": [],
        "attributes": {},
        **native,
    }


# -- documents that differ in one thing ------------------------------------------------------------


def with_shape(document: Document, shape: Sequence[int]) -> Document:
    """Return the document of an array with another shape."""
    return {**document, "shape": [int(size) for size in shape]}


def with_attributes(document: Document, attributes: Mapping[str, JSON]) -> Document:
    """Return the document of a node with other attributes."""
    return {**document, "attributes": dict(attributes)}


def with_chunk_keys(document: Document, chunk_keys: Mapping[str, JSON]) -> Document:
    """Return the document of an array with other chunk keys."""
    return {**document, "chunk_key_encoding": chunk_keys}


def with_codecs(document: Document, codecs: Sequence[Mapping[str, JSON]]) -> Document:
    """Return the document of an array with other codecs."""
    return {**document, "codecs": list(codecs)}


def with_stored_chunk(document: Document, chunk: Sequence[int]) -> Document:
    """Return the document of an array with stored chunks of another shape."""
    grid = {"name": "regular", "configuration": {"chunk_shape": [int(size) for size in chunk]}}
    return {**document, "chunk_grid": grid}


def with_shards(
    document: Document, shard: Sequence[int], index_codecs: Sequence[Mapping[str, JSON]]
) -> Document:
    """Return the document of an array whose chunks are in shards, with the index at the end."""
    node = array_node(document)
    configuration = {
        "chunk_shape": list(node.stored_chunk),
        "codecs": list(node.codecs),
        "index_codecs": list(index_codecs),
        "index_location": "end",
    }
    sharding = {"name": _SHARDING, "configuration": configuration}
    return with_codecs(with_stored_chunk(document, shard), [sharding])


def with_dimension_names(document: Document, names: Sequence[str | None] | None) -> Document:
    """Return the document of an array with other dimension names, or without them."""
    rest = {key: value for key, value in document.items() if key != "dimension_names"}
    return rest if names is None else {**rest, "dimension_names": list(names)}


def consolidated_in(document: Mapping[str, JSON]) -> JSON:
    """Return the unchecked consolidated metadata in the document of a root; None if there are none."""
    return document.get("consolidated_metadata")


def has_consolidated(document: Mapping[str, JSON]) -> bool:
    """Return whether the document of a root has consolidated metadata, or null in their place."""
    return "consolidated_metadata" in document


def without_consolidated(document: Document) -> Document:
    """Return the document of a node without consolidated metadata; itself where it has none."""
    if "consolidated_metadata" not in document:
        return document
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


def with_consolidated(document: Document, entries: Mapping[str, JSON]) -> Document:
    """Return the document of a root with the documents of other nodes, by their paths."""
    held = {"kind": "inline", "must_understand": False, "metadata": dict(entries)}
    return {**document, "consolidated_metadata": held}


def unreadable(document: Document, reason: str) -> Document:
    """Return the document of an array that is marked unreadable, with the reason."""
    return {**document, format2.BROKEN: reason}


def one_chunk(
    document: Document, shape: Sequence[int], codecs: Sequence[Mapping[str, JSON]]
) -> Document:
    """Return the document of an array of one chunk, with the data type of another array.

    Parameters
    ----------
    document : dict
        Document of the other array.
    shape : sequence of int
        Shape of the chunk.
    codecs : sequence of mapping
        Codecs that encode the chunk.
    """
    sizes = [int(size) for size in shape]
    return {
        **document,
        "shape": sizes,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": sizes}},
        "chunk_key_encoding": FORMAT2_CHUNK_KEYS,
        "codecs": list(codecs),
        "dimension_names": None,
        "attributes": {},
    }
