"""Finds chunks that no reader uses and that can be removed safely."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

from hdmf_zarr.checking.chunks import ArrayChunks, sort_chunks
from hdmf_zarr.chunks.missing import stored_chunks
from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import HDMFZarrError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.documents import comparable
from hdmf_zarr.metadata.node import why_unreadable
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.stores.keys import METADATA_KEYS

logger = logging.getLogger(__name__)


def unused_chunks(bytestore: ByteStore) -> list[str]:
    """Return the keys of chunks outside of the grid of their array, or with names of another form.

    Arrays that lack chunks are ignored, since an unused chunk may be a missing one; so are arrays
    whose consolidated metadata differ from their own.

    Parameters
    ----------
    bytestore : ByteStore
        Store without another writer of this package.
    """
    # List the objects first: other programs change the metadata before they add chunks.
    try:
        keys = list(bytestore.list_prefix(""))
        documents = _documents(bytestore)
    except (HDMFZarrError, OSError, NotImplementedError) as error:
        logger.debug("%s: unused chunks are kept: %s", bytestore.location.uri, error)
        return []
    arrays, _ = sort_chunks(
        dict.fromkeys(keys, 0), documents, lambda key: key.rpartition("/")[2] in METADATA_KEYS
    )
    return [key for path, array in arrays.items() for key in _unused(array, documents[path])]


def _documents(bytestore: ByteStore) -> dict[str, dict[str, JSON]]:
    """Return the documents of nodes whose consolidated metadata are the same as their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid names
        own = Hierarchy.load(bytestore, consolidated=False)
        held = Hierarchy.load(bytestore, consolidated=True).documents
    return {
        path: document
        for path, document in own.documents.items()
        if why_unreadable(document) is None
        and path in held
        and comparable(held[path]) == comparable(document)
    }


def _unused(array: ArrayChunks, document: dict[str, JSON]) -> Iterator[str]:
    stored = stored_chunks(document)
    if stored is not None and len(array.present) >= stored:
        yield from array.stale
