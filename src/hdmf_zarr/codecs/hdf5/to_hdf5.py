"""Zarr codecs -> the filters that do the same, where HDF5 has them without a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hdmf_zarr.codecs.hdf5.codecs import PREFIX
from hdmf_zarr.codecs.registry import SERIALIZERS

FilterOptions = dict[str, Any]
"""Arguments of ``h5py.Group.create_dataset`` for filters."""


def filters_of_codecs(
    codecs: Sequence[Mapping[str, Any]], itemsize: int | None
) -> FilterOptions | None:
    """Return HDF5's own filters for the codecs of an array; None if one codec has no such filter.

    Parameters
    ----------
    codecs : sequence of dict
        Codecs in the array's document of Zarr format 3, or those inside its shards.
    itemsize : int or None
        Number of bytes of an element; None for elements that vary in size.

    Examples
    --------
    >>> filters_of_codecs([{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 9}}], 2)
    {'compression': 'gzip', 'compression_opts': 9}
    >>> filters_of_codecs([{"name": "bytes"}], 2)
    {}
    >>> filters_of_codecs([{"name": "bytes"}, {"name": "blosc"}], 2)
    """
    options: FilterOptions = {}
    reached = 0
    for codec in codecs:
        if codec["name"] in SERIALIZERS and not reached:
            continue
        stage, function = _FILTERS.get(codec["name"], (0, _nothing))
        found = function(codec.get("configuration") or {}, itemsize)
        # h5py has a fixed order: shuffle, compression, checksum.
        if found is None or stage <= reached:
            return None
        reached = stage
        options |= found
    return options


def _nothing(_configuration: Mapping[str, Any], _itemsize: int | None) -> None:
    return None


def _shuffle(configuration: Mapping[str, Any], itemsize: int | None) -> FilterOptions | None:
    return {"shuffle": True} if configuration.get("elementsize") == itemsize else None


def _deflate(configuration: Mapping[str, Any], _itemsize: int | None) -> FilterOptions | None:
    level = configuration.get("level")
    is_level = isinstance(level, int) and 0 <= level <= 9
    return {"compression": "gzip", "compression_opts": level} if is_level else None


def _lzf(_configuration: Mapping[str, Any], _itemsize: int | None) -> FilterOptions:
    return {"compression": "lzf"}


def _checksum(_configuration: Mapping[str, Any], _itemsize: int | None) -> FilterOptions:
    return {"fletcher32": True}


_Function = Callable[[Mapping[str, Any], int | None], FilterOptions | None]

_FILTERS: dict[str, tuple[int, _Function]] = {
    "numcodecs.shuffle": (1, _shuffle),
    "numcodecs.zlib": (2, _deflate),
    "gzip": (2, _deflate),
    f"{PREFIX}lzf": (2, _lzf),
    "numcodecs.fletcher32": (3, _checksum),
    "crc32c": (3, _checksum),
}
"""Name of a codec -> its position among the filters, and the function that returns h5py's options."""
