"""Names of enumerations, kept beside the attributes of a builder.

An array has them in its dtype, as h5py marks it (`hdmf_zarr.core.dtypes.enum_names_of`).
"""

from __future__ import annotations

from collections.abc import Mapping

from hdmf.build.builders import BaseBuilder

Names = Mapping[str, int]
"""Names of the values of an enumeration."""

_KEPT = "_hdmf_zarr_enum_names"


def keep_names(builder: BaseBuilder, names: Mapping[str, Names]) -> None:
    """Remember with a builder the names of the values of its attributes, each an enumeration in HDF5."""
    vars(builder)[_KEPT] = dict(names)


def kept_names(builder: BaseBuilder) -> Mapping[str, Names]:
    """Return what `keep_names` has remembered with a builder."""
    kept: Mapping[str, Names] = vars(builder).get(_KEPT, {})
    return kept
