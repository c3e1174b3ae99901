"""The options of a store for the DANDI archive, and what contradicts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.registry import FOR_ARCHIVE
from hdmf_zarr.errors import OptionError
from hdmf_zarr.hdf5 import is_h5py_dataset
from hdmf_zarr.hdf5.raw import filter_chain
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.write.planning.export_options import KEEP, LayoutOptions
from hdmf_zarr.write.planning.layout import default_chunks

ZARR_FORMAT = 2
"""Zarr format for the archive: it opens format 3 with TensorStore, which reads no text."""

DANDI_CHUNK_BYTES = 16 * 1024**2
"""Bytes before compression of chunks that are encoded again: few files, but small requests."""


def check_archive_options(
    *,
    zarr_format: int | None,
    existing: Hierarchy | None,
    layout: LayoutOptions,
    consolidate_metadata: bool,
    links_out: bool,
) -> None:
    """Raise `OptionError` if another option contradicts ``dandi=True``.

    Parameters
    ----------
    zarr_format : int or None
        Requested format, if any.
    existing : Hierarchy or None
        The store, if it exists.
    layout : LayoutOptions
    consolidate_metadata : bool
    links_out : bool
        Whether links to other stores are requested.
    """
    found = zarr_format if existing is None else existing.zarr_format
    if found not in (None, ZARR_FORMAT):
        advice = "leave zarr_format out" if existing is None else "export it with dandi=True"
        raise OptionError(
            f"the DANDI archive takes Zarr format {ZARR_FORMAT}, found {found}: {advice}, or write without "
            "dandi"
        )
    contrary = {
        "shards: the DANDI archive takes Zarr format 2, which has no shards": layout.shards
        is not None,
        "consolidate_metadata=False: the archive's readers need these": not consolidate_metadata,
        "links to other stores: the archive holds one store an asset": links_out,
    }
    for what, is_asked_for in contrary.items():
        if is_asked_for:
            raise OptionError(f"dandi=True contradicts {what}; leave one of the two out")


def check_kept_for_archive(existing: Hierarchy | None, *, consolidate_metadata: bool) -> None:
    """Raise `OptionError` if an append would make a store unfit for the archive."""
    if existing is not None and existing.keeps_apart and not consolidate_metadata:
        raise OptionError(
            f"{existing.uri} was written for the DANDI archive (dandi=True), whose readers need its "
            "consolidated metadata: append without consolidate_metadata=False, or export it without dandi"
        )


def for_archive(layout: LayoutOptions) -> LayoutOptions:
    """Return the options of an export; codecs and chunks that are not given are the archive's."""
    codecs = dandi_codecs if layout.codecs in (None, KEEP) else layout.codecs
    chunks = dandi_chunks if layout.chunks is None else layout.chunks
    return replace(layout, codecs=codecs, chunks=chunks)


def dandi_codecs(_path: str, dataset: Any) -> str:
    """Return ``"keep"`` if every reader knows the codecs of a dataset, otherwise ``"default"``."""
    if is_h5py_dataset(dataset):
        chain = filter_chain(dataset)
        names = [to_zarr_codec(codec, 1).to_dict()["name"] for codec in chain.codecs]
        is_missing = chain.missing is not None
    else:
        document = dataset.hierarchy.documents[dataset.node_path] if _is_ours(dataset) else {}
        names = [codec["name"] for codec in array_node(document).codecs]
        is_missing = False
    return "keep" if not is_missing and set(names) <= FOR_ARCHIVE else "default"


def dandi_chunks(path: str, dataset: Any) -> tuple[int, ...] | None:
    """Return None to keep the chunks of a dataset, or larger chunks if it is encoded again."""
    shape, itemsize = tuple(dataset.shape), getattr(np.dtype(dataset.dtype), "itemsize", 8)
    chunks = getattr(dataset, "chunks", None)
    if chunks is None or not shape or dandi_codecs(path, dataset) == "keep":
        return None
    return default_chunks(shape, itemsize, DANDI_CHUNK_BYTES)


def _is_ours(dataset: Any) -> bool:
    return hasattr(dataset, "hierarchy") and hasattr(dataset, "node_path")
