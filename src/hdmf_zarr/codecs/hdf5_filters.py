"""HDF5 filter -> the codecs that do the same, one small registered function a filter.

Takes what h5py tells of a filter (its number and its values), so that h5py is not imported here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numcodecs


@dataclass(frozen=True, slots=True)
class FilterDescription:
    """One entry of a dataset's filter pipeline.

    Attributes
    ----------
    number : int
        Registered number of the filter.
    values : tuple of int
        Its client data.
    name : str
    itemsize : int
        Bytes of one element of the dataset.
    """

    number: int
    values: tuple[int, ...]
    name: str
    itemsize: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChain:
    codecs: tuple[Any, ...]
    missing: str | None = None
    plugin: str | None = None


def chain_of_pipeline(pipeline: list[FilterDescription]) -> FilterChain:
    codecs: list[Any] = []
    for description in pipeline:
        function = _REGISTRY.get(description.number)
        if function is None:
            return FilterChain(
                codecs=(),
                missing=f"the filter {description.name or description.number} has no Zarr codec",
            )
        codecs += function(description)
    return FilterChain(codecs=tuple(codecs))


FilterFunction = Callable[[FilterDescription], list[Any]]

_REGISTRY: dict[int, FilterFunction] = {}


def register(number: int) -> Callable[[FilterFunction], FilterFunction]:
    """Register the function for a filter number."""

    def add(function: FilterFunction) -> FilterFunction:
        _REGISTRY[number] = function
        return function

    return add


def filters_of_dataset(pipeline: list[FilterDescription], where: str) -> list[Any]:
    """Return numcodecs codecs for a dataset's filter pipeline, in the order in which they encode.

    A filter without a codec is left out with a warning that names it: the data are written
    without it.
    """
    codecs: list[Any] = []
    for description in pipeline:
        function = _REGISTRY.get(description.number)
        if function is None:
            warnings.warn(
                f"{where}: the HDF5 filter {description.name or description.number!r} has no Zarr "
                "codec; the data are written without it",
                UserWarning,
                stacklevel=3,
            )
            continue
        codecs += function(description)
    return codecs


@register(1)
def _deflate(description: FilterDescription) -> list[Any]:
    return [numcodecs.Zlib(level=description.values[0])]


@register(2)
def _shuffle(description: FilterDescription) -> list[Any]:
    itemsize = description.values[0] if description.values else description.itemsize
    return [numcodecs.Shuffle(elementsize=itemsize)]


@register(3)
def _fletcher32(_description: FilterDescription) -> list[Any]:
    return [numcodecs.Fletcher32()]


@register(307)
def _bzip2(description: FilterDescription) -> list[Any]:
    return [numcodecs.BZ2(level=description.values[0] if description.values else 9)]


@register(32001)
def _blosc(description: FilterDescription) -> list[Any]:
    names = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
    # Values 0-3 are set by the filter itself; then level, shuffle and compressor.
    given = description.values[4:7]
    level, shuffle, compressor = (*given, *(5, 1, 0)[len(given) :])
    return [numcodecs.Blosc(cname=names[compressor], clevel=level, shuffle=shuffle)]


@register(32015)
def _zstandard(description: FilterDescription) -> list[Any]:
    return [numcodecs.Zstd(level=description.values[0] if description.values else 3)]
