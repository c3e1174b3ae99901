"""How HDMF's concepts are written on disk.

Pure: JSON-able values in, frozen dataclasses out, and back. No Zarr I/O, no h5py, no builders.
"""

from __future__ import annotations

from hdmf_zarr.convention.common import data_type_of, full_type_of, one_text
from hdmf_zarr.convention.legacy import LegacyConvention
from hdmf_zarr.convention.model import (
    JSON,
    SELF,
    ArrayHeader,
    Convention,
    Link,
    Reference,
)
from hdmf_zarr.convention.references import ZarrReference, reference_from_object
from hdmf_zarr.convention.unified import UnifiedConvention, specification_path
from hdmf_zarr.errors import UnsupportedFormatError

__all__ = [
    "JSON",
    "SELF",
    "ArrayHeader",
    "Convention",
    "Link",
    "Reference",
    "ZarrReference",
    "convention_for_format",
    "data_type_of",
    "full_type_of",
    "one_text",
    "reference_from_object",
    "specification_path",
]

_CONVENTIONS: dict[int, Convention] = {3: UnifiedConvention(), 2: LegacyConvention()}


def convention_for_format(zarr_format: int) -> Convention:
    """Return the convention of a Zarr format.

    Raises
    ------
    UnsupportedFormatError
        If the format has no convention.
    """
    try:
        return _CONVENTIONS[zarr_format]
    except KeyError:
        known = ", ".join(map(str, _CONVENTIONS))
        raise UnsupportedFormatError(
            f"Zarr format {zarr_format!r} is not supported; choose one of: {known}"
        ) from None
