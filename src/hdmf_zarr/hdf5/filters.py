"""The filters of a dataset, and whether the installed HDF5 library can undo them."""

from __future__ import annotations

import importlib
from contextlib import suppress

import h5py

from hdmf_zarr.codecs.hdf5.filters import FilterDescription
from hdmf_zarr.codecs.hdf5.stream_codecs import EXTRA
from hdmf_zarr.errors import MissingExtraError

PLUGINS = "hdf5plugin"
"""Package with the registered filters, which are available after its import."""


def filter_pipeline(dataset: h5py.Dataset) -> list[FilterDescription]:
    """Return the filters of a dataset in the order in which they encode."""
    properties = dataset.id.get_create_plist()
    described = []
    for position in range(properties.get_nfilters()):
        number, _flags, values, name = properties.get_filter(position)
        described.append(
            FilterDescription(
                number=number,
                values=tuple(values),
                name=name.decode("utf-8", "replace"),
                itemsize=dataset.dtype.itemsize,
            )
        )
    return described


def require_filters(dataset: h5py.Dataset) -> None:
    """Check that HDF5 can decode a dataset.

    Raises
    ------
    MissingExtraError
        If one of its filters is not installed.
    """
    if not dataset.id.get_storage_size():
        return
    for description in filter_pipeline(dataset):
        if not _is_available(description.number):
            raise MissingExtraError(
                f"{dataset.file.filename}:{dataset.name} has to be decoded, and its HDF5 filter "
                f"{description} (number {description.number}) is not installed: pip install '{EXTRA}' "
                f"brings those of {PLUGINS}, others have to be on HDF5_PLUGIN_PATH. Chunks that are "
                "copied as they are need none"
            )


def _is_available(number: int) -> bool:
    if h5py.h5z.filter_avail(number):
        return True
    with suppress(ImportError):
        importlib.import_module(PLUGINS)
    return bool(h5py.h5z.filter_avail(number))
