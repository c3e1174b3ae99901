"""Codecs: what users ask for and what HDF5 files have, as complete chains of Zarr codecs."""

from __future__ import annotations

from hdmf_zarr.codecs.chain import CodecChain, CodecRequest, chain_from_codecs, complete_chain
from hdmf_zarr.codecs.hdf5.filters import FilterChain, chain_of_pipeline, filters_of_dataset
from hdmf_zarr.codecs.translate import to_zarr_codec

__all__ = [
    "CodecChain",
    "CodecRequest",
    "FilterChain",
    "chain_from_codecs",
    "chain_of_pipeline",
    "complete_chain",
    "filters_of_dataset",
    "to_zarr_codec",
]
