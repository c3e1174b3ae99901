"""A Zarr storage backend for HDMF, and so for NWB."""

from __future__ import annotations

from importlib.metadata import version

from hdmf_zarr.backend import ZarrIO
from hdmf_zarr.nwb import NWBZarrIO
from hdmf_zarr.utils import ZarrDataIO

__version__ = version("hdmf-zarr")

__all__ = ["NWBZarrIO", "ZarrDataIO", "ZarrIO", "__version__"]
