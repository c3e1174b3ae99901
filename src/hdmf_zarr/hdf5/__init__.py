"""Everything HDF5: the only room that imports h5py."""

from __future__ import annotations

from hdmf_zarr.hdf5.filters import filter_pipeline
from hdmf_zarr.hdf5.source import (
    HDF5Source,
    convert_attribute,
    empty_attribute,
    is_h5py_dataset,
    is_h5py_reference,
    is_hdf5_file,
    stored_dataset,
)
from hdmf_zarr.hdf5.specifications import read_specifications, write_specifications

__all__ = [
    "HDF5Source",
    "convert_attribute",
    "empty_attribute",
    "filter_pipeline",
    "is_h5py_dataset",
    "is_h5py_reference",
    "is_hdf5_file",
    "read_specifications",
    "stored_dataset",
    "write_specifications",
]
