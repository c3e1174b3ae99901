"""A Zarr storage backend for HDMF, and so for NWB."""

from __future__ import annotations

from importlib.metadata import version

from hdmf_zarr.backend import ZarrIO
from hdmf_zarr.checking import Report, check
from hdmf_zarr.nwb import NWBZarrIO
from hdmf_zarr.utils import ZarrDataIO
from hdmf_zarr.v2 import NWBZarrV2IO, ZarrV2IO, is_zarr_v2_file

__version__ = version("hdmf-zarr")

__all__ = [
    "NWBZarrIO",
    "NWBZarrV2IO",
    "Report",
    "ZarrDataIO",
    "ZarrIO",
    "ZarrV2IO",
    "__version__",
    "check",
    "is_zarr_v2_file",
]
