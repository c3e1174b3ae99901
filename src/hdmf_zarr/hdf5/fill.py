"""Fill values in HDF5: undefined, default or given, and when they are written."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import h5py
import numpy as np

from hdmf_zarr.hdf5.source import fill_value_of

_TIMES = {h5py.h5d.FILL_TIME_ALLOC: "alloc", h5py.h5d.FILL_TIME_NEVER: "never"}
"""h5py's names of the fill times other than the default ("ifset")."""


def fill_settings(dataset: h5py.Dataset) -> dict[str, str]:
    """Return the fill settings that the value itself does not show: undefined, a given zero, or the time.

    Returns
    -------
    dict of str to str
        ``"value"`` is ``"undefined"`` or ``"given"``, ``"time"`` is ``"alloc"`` or ``"never"``; HDF5's
        defaults are left out.
    """
    creation = dataset.id.get_create_plist()
    state, found = creation.fill_value_defined(), {}
    if state == h5py.h5d.FILL_VALUE_UNDEFINED:
        found["value"] = "undefined"
    elif state == h5py.h5d.FILL_VALUE_USER_DEFINED and _is_read_as_zero(dataset):
        found["value"] = "given"
    if creation.get_fill_time() in _TIMES:
        found["time"] = _TIMES[creation.get_fill_time()]
    return found


def creation_options(settings: Mapping[str, str], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the options of ``h5py.Group.create_dataset`` for a new dataset with these settings.

    Parameters
    ----------
    settings : mapping
        Settings from `fill_settings`.
    dtype : numpy.dtype
        Dtype of the new dataset. HDF5 always fills text and references.
    """
    is_undefined, time = settings.get("value") == "undefined", settings.get("time")
    options: dict[str, Any] = {"dcpl": _without_fill_value().copy()} if is_undefined else {}
    if time == "never" and not dtype.hasobject:
        options["fill_time"] = time
    if time == "alloc" and not is_undefined:
        options["fill_time"] = time
    return options


def _is_read_as_zero(dataset: h5py.Dataset) -> bool:
    """Whether all bits of the fill value are zero; False for references and records with text."""
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if dataset.dtype.hasobject and not is_text:
        return False
    value = fill_value_of(dataset)
    return not value if is_text else not any(np.asarray(value).tobytes())


@cache
def _without_fill_value() -> h5py.h5p.PropDCID:
    """Return the creation properties of a dataset with an undefined fill value; h5py has no call for it."""
    image = zlib.decompress(base64.b64decode(_FILE_WITHOUT_FILL_VALUE))
    file = h5py.h5f.open_file_image(image)
    try:
        return h5py.h5d.open(file, b"x").get_create_plist()
    finally:
        file.close()


_FILE_WITHOUT_FILL_VALUE = (
    "eNrr9HBx4+WS4mLi4GCAgf9QcJ4RwjeAiidWN4r5e7gEMSmUzuDJRsYVTELIGmGAi4kBaAQbDwOQYqw4DDPfg4Fq4PWmdbvATgJa"
    "wMjCwMAERMw8DIwCHCA7QYCDgRXoCmYpDqALmRlhLoMbcIJh2ICF6hkMAHK3NDY="
)
"""A file with the dataset "x", an int8 without elements, made with ``H5Pset_fill_value(..., NULL)``."""
