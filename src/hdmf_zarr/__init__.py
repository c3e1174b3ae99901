"""A Zarr storage backend for HDMF, and so for NWB."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hdmf_zarr.backend import ZarrIO
from hdmf_zarr.checking import Report, check
from hdmf_zarr.nwb import NWBZarrIO
from hdmf_zarr.utils import ZarrDataIO
from hdmf_zarr.v2 import NWBZarrV2IO, ZarrV2IO, is_zarr_v2_file

if TYPE_CHECKING:
    from hdmf_zarr.conversion import convert
    from hdmf_zarr.description import describe as info
    from hdmf_zarr.transfer import upgrade

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
    "convert",
    "info",
    "is_zarr_v2_file",
    "upgrade",
]

_LAZY = {
    "convert": ("hdmf_zarr.conversion", "convert"),
    "info": ("hdmf_zarr.description", "describe"),
    "upgrade": ("hdmf_zarr.transfer", "upgrade"),
}
"""Functions whose modules are imported on first use."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, function = _LAZY[name]
    return getattr(import_module(module), function)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
