"""Objects of zarr-python, made from the documents in memory without a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.storage import StorePath

from hdmf_zarr.chunks import pipeline
from hdmf_zarr.chunks.missing import watched
from hdmf_zarr.codecs.checked import checked_codecs, checked_format2
from hdmf_zarr.convention import JSON
from hdmf_zarr.core import limits
from hdmf_zarr.errors import MetadataError, MissingExtraError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.metadata import array_document, format2
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import (
    ArrayNode,
    array_node,
    node_of,
    why_unreadable,
    with_attributes,
    with_codecs,
    with_consolidated,
)
from hdmf_zarr.stores.bounded import BoundedStore, bounded
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore
from hdmf_zarr.stores.contained import ContainedStore, most_bytes_of
from hdmf_zarr.stores.wrappers import read_only_view


def async_array(
    nodes: Nodes, path: str, *, present: dict[str, JSON] | None = None
) -> zarr.AsyncArray[Any]:
    """Return zarr's array of a node, made from the document without a request.

    Parameters
    ----------
    nodes : Nodes
    path : str
    present : dict, optional
        Document whose chunks must exist: a lost chunk is not read as the fill value.
    """
    node = array_node(nodes.documents[path])
    if node.why_unreadable is not None:
        raise MetadataError(f"{nodes.uri}:/{path}: {node.why_unreadable}")
    config: Any = {"write_empty_chunks": True}
    try:
        document: Any = array_document.readable_document(nodes.documents[path])
        if node.is_native:
            # The document gets the present shape.
            document = checked_format2(format2.array_metadata(nodes.documents[path]))
        with array_document.without_specification_warnings():
            if document.get("zarr_format") == 3:
                # zarr gets a copy of the attributes, since it empties them before it replaces them.
                document = with_attributes(document, document.get("attributes") or {})
                document = with_codecs(document, checked_codecs(list(node.codecs)))
            # Every written chunk exists, so that a missing chunk differs from one of fill values.
            inner = store_of_chunks(nodes.bytestore)
            store = inner
            if present is not None:
                store = watched(store, nodes.uri, path, present)
            array: zarr.AsyncArray[Any] = zarr.AsyncArray(document, StorePath(store, path), config)
    except MissingExtraError as error:
        raise MissingExtraError(f"{nodes.uri}:/{path}: {error}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise MetadataError(
            f"{nodes.uri}:/{path} has metadata that zarr cannot read: {error}"
        ) from error
    dtype = array.metadata.dtype.to_native_dtype()
    if isinstance(inner, ContainedStore | BoundedStore):
        inner.most = most_bytes_of(array)
    if document.get("zarr_format") != 2:
        limits.check_chunk(node.chunk, dtype.itemsize, f"{nodes.uri}:/{path}")
    if nodes.bytestore.zarr_store.read_only:
        pipeline.choose_pipeline(array)
    return array


def encoded_chunks(nodes: Nodes, path: str, keys: Iterable[str]) -> dict[str, bytes]:
    """Return the encoded chunks of an array that exist, by key.

    Raises
    ------
    ChunkError
        If one is longer than a chunk of the array can be.
    """
    chain = direct_chain(nodes.array(path))
    most = most_bytes_of(async_array(nodes, path)) if chain is None else chain.most_encoded
    wanted = list(keys)
    return nodes.bytestore.get_many(wanted, dict.fromkeys(wanted, most))


def zarr_group(nodes: Nodes) -> zarr.Group:
    """Return zarr's read-only group of the root; changes through it would bypass the commit."""
    entries: dict[str, Any] = {
        path: array_document.readable_document(document)
        for path, document in nodes.documents.items()
        if path and why_unreadable(document) is None
    }
    for path in entries:
        node = node_of(nodes.documents[path])
        if isinstance(node, ArrayNode) and node.is_native:
            entries[path] = {**(node.format2 or {}), "attributes": node.attributes}
    root = dict(nodes.documents[""])
    if nodes.is_consolidated or nodes.zarr_format == 2:
        root = with_consolidated(root, entries)
    store_path = StorePath(read_only_view(nodes.bytestore.zarr_store), "")
    with array_document.without_specification_warnings():
        return zarr.Group(zarr.AsyncGroup.from_dict(store_path, root))


def store_of_chunks(bytestore: ByteStore) -> Store:
    """Return the store in which zarr-python reads and writes the chunks of one array."""
    if isinstance(bytestore, LocalByteStore):
        return bytestore.contained_store()
    return bounded(bytestore.zarr_store, bytestore.location.uri)
