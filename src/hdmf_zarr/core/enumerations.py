"""Names of enumerations, kept with the attributes of a builder.

The dtype of an array holds the names, as h5py marks it (`hdmf_zarr.core.dtypes.enum_names_of`).
"""

from __future__ import annotations

from collections.abc import Mapping

from hdmf.build.builders import BaseBuilder

Names = Mapping[str, int]
"""Names of the values of an enumeration."""

_KEPT = "_hdmf_zarr_enum_names"


def keep_names(builder: BaseBuilder, names: Mapping[str, Names]) -> None:
    """Attach to a builder the value names of those attributes that are enumerations in HDF5."""
    vars(builder)[_KEPT] = dict(names)


def kept_names(builder: BaseBuilder) -> Mapping[str, Names]:
    """Return the names that `keep_names` attached to a builder."""
    kept: Mapping[str, Names] = vars(builder).get(_KEPT, {})
    return kept
