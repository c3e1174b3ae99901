"""Options of the public signatures, checked before anything is done."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from hdmf_zarr.errors import OptionError

WRITE_ARGS = frozenset({"link_data", "exhaust_dci", "consolidate_metadata"})
"""Names allowed in ``write_args`` of an export."""


def warn_without_effect(**options: Any) -> None:
    """Warn about each given option that only zarr-python 2 used."""
    for name, value in options.items():
        if value is not None:
            warnings.warn(
                f"{name} had a meaning with zarr-python 2 and has no effect now: leave it out",
                UserWarning,
                stacklevel=4,
            )


def warn_ignored(name: str, reason: str) -> None:
    """Warn that an option is ignored, and why."""
    warnings.warn(f"{name} is ignored: {reason}", UserWarning, stacklevel=4)


def refuse_hdf5_options(**options: Any) -> None:
    """Raise `OptionError` for an option that only applies to HDF5."""
    for name, value in options.items():
        if value is not None:
            raise OptionError(
                f"{name}={value!r} is an option for HDF5 files; for a Zarr store on S3 give its URL and "
                "storage_options"
            )


def checked_write_args(
    write_args: Mapping[str, Any] | None, *, consolidate_metadata: Any
) -> dict[str, Any]:
    """Return the options of ``write_args``, which override options of the same name.

    Raises
    ------
    OptionError
        If an option is unknown.
    """
    unknown = sorted(set(write_args or ()) - WRITE_ARGS)
    if unknown:
        raise OptionError(f"unknown write_args {unknown}; known are {sorted(WRITE_ARGS)}")
    return {"consolidate_metadata": consolidate_metadata, **(write_args or {})}
