"""HDF5 filter -> the codecs that do the same, one small registered function for each filter.

The functions receive a filter's number and values as h5py reports them, so that h5py is not imported here.
A chain decodes HDF5's chunks unchanged; ``docs/filters.md`` has the table of all filters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numcodecs
import numcodecs.blosc

from hdmf_zarr.codecs.hdf5.block_codecs import BLOSC2_CODECS, BLOSC2_SHUFFLES, ZFPFraming
from hdmf_zarr.codecs.hdf5.codecs import (
    NumcodecsBitshuffle,
    NumcodecsBlosc2,
    NumcodecsLZ4,
    NumcodecsLZF,
    NumcodecsSzip,
    NumcodecsZFP,
)
from hdmf_zarr.codecs.hdf5.stream_codecs import EXTRA
from hdmf_zarr.errors import LayoutError

PACKAGE = "hdmf-zarr"

LOSSY_CODECS = frozenset({NumcodecsZFP.codec_id})
"""Names of the codecs, of either format, that lose precision when they encode."""


@dataclass(frozen=True, slots=True)
class FilterDescription:
    """One entry of a dataset's filter pipeline.

    Attributes
    ----------
    number : int
        Registered number of the filter.
    values : tuple of int
        Client data of the filter.
    name : str
    itemsize : int
        Number of bytes of one element of the dataset.
    """

    number: int
    values: tuple[int, ...]
    name: str
    itemsize: int

    def __str__(self) -> str:
        # The name of some filters is a sentence.
        name = self.name.partition(";")[0].strip()
        return repr(name[:100]) if name else str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChain:
    """The codecs that decode HDF5's chunks.

    Attributes
    ----------
    codecs : tuple of codec
        Codecs in the order in which they encode. `to_zarr_codec` accepts each, and each turns bytes into
        bytes, so that the serializer, with the dataset's byte order, precedes all of them.
    missing : str or None
        Reason why HDF5's bytes cannot be kept; ``codecs`` is empty then.
    plugin : str or None
        Package that a reader needs in addition to zarr.
    is_lossy : bool
        Whether encoding loses precision, so that the codecs are used only for HDF5's own chunks.
    """

    codecs: tuple[Any, ...]
    missing: str | None = None
    plugin: str | None = None
    is_lossy: bool = False


FilterFunction = Callable[[FilterDescription], FilterChain]

_REGISTRY: dict[int, FilterFunction] = {}

_SHUFFLE = 2
_TAKE_WHOLE_ELEMENTS = frozenset({_SHUFFLE, 4, 32008, 32013, 32026})
"""Filters whose codecs need whole elements: no compression or checksum can precede them."""


def register(number: int) -> Callable[[FilterFunction], FilterFunction]:
    """Register the function for a filter number."""

    def add(function: FilterFunction) -> FilterFunction:
        _REGISTRY[number] = function
        return function

    return add


def chain_of_pipeline(pipeline: Sequence[FilterDescription]) -> FilterChain:
    """Return the chain that decodes the chunks of a dataset with a filter pipeline.

    Parameters
    ----------
    pipeline : sequence of FilterDescription
        Filters in the order in which they encode.
    """
    codecs: list[Any] = []
    plugins: set[str] = set()
    is_lossy = False
    for chain in _chains(pipeline):
        if chain.missing is not None:
            return chain
        is_lossy |= chain.is_lossy
        codecs += chain.codecs
        plugins |= {chain.plugin} if chain.plugin else set()
    return FilterChain(
        codecs=tuple(codecs),
        # The extra includes the package.
        plugin=max(plugins, key=len, default=None),
        is_lossy=is_lossy,
    )


def filters_of_dataset(pipeline: Sequence[FilterDescription], where: str) -> list[Any]:
    """Return numcodecs codecs for a dataset's filter pipeline, in the order in which they encode.

    A filter whose codec does not exist, cannot encode here, or would lose precision is left out with
    a warning that names the filter.
    """
    codecs: list[Any] = []
    for description, chain in zip(pipeline, _chains(pipeline), strict=True):
        missing = chain.missing
        if chain.is_lossy:
            missing = f"the HDF5 filter {description} may lose precision once more"
        elif not all(getattr(codec, "is_usable", True) for codec in chain.codecs):
            missing = f"the HDF5 filter {description} needs a package (pip install '{EXTRA}')"
        if missing is None:
            codecs += chain.codecs
            continue
        warnings.warn(
            f"{where}: {missing}; the data are written without it", UserWarning, stacklevel=3
        )
    return codecs


def _chains(pipeline: Sequence[FilterDescription]) -> Iterator[FilterChain]:
    """Yield the chain of each filter of a pipeline."""
    before: FilterDescription | None = None
    for description in pipeline:
        if before is not None and description.number in _TAKE_WHOLE_ELEMENTS:
            yield _missing(description, f"no Zarr codec for its place after {before}")
            continue
        yield _chain_of_filter(description)
        if description.number != _SHUFFLE:
            before = description


def _chain_of_filter(description: FilterDescription) -> FilterChain:
    function = _REGISTRY.get(description.number)
    if function is None:
        return _missing(description)
    try:
        return function(description)
    except (LayoutError, IndexError, ValueError) as error:
        return _missing(description, f"values {description.values} that make no sense ({error})")


def _missing(description: FilterDescription, what: str = "no Zarr codec") -> FilterChain:
    return FilterChain(codecs=(), missing=f"the HDF5 filter {description} has {what}")


def _found(*codecs: Any, plugin: str | None = None) -> FilterChain:
    return FilterChain(codecs=codecs, plugin=plugin)


def _level(value: int, least: int, most: int) -> int:
    """Return a compression level within its limits; HDF5 stores a negative one as a large number."""
    signed = value - 2**32 if value >= 2**31 else value
    return min(max(signed, least), most)


@register(1)
def _deflate(description: FilterDescription) -> FilterChain:
    # A zlib stream; its header differs from gzip's.
    return _found(numcodecs.Zlib(level=_level(description.values[0], 0, 9)))


@register(_SHUFFLE)
def _shuffle(description: FilterDescription) -> FilterChain:
    itemsize = description.values[0] if description.values else description.itemsize
    if itemsize < 1:
        raise LayoutError("elements have at least one byte")
    return _found(numcodecs.Shuffle(elementsize=itemsize))


@register(3)
def _fletcher32(_description: FilterDescription) -> FilterChain:
    return _found(numcodecs.Fletcher32())


@register(4)
def _szip(description: FilterDescription) -> FilterChain:
    values = description.values
    codec = NumcodecsSzip(
        options_mask=values[0],
        pixels_per_block=values[1],
        bits_per_pixel=values[2],
        pixels_per_scanline=values[3],
    )
    return _found(codec, plugin=EXTRA)


@register(307)
def _bzip2(description: FilterDescription) -> FilterChain:
    level = description.values[0] if description.values else 9
    return _found(numcodecs.BZ2(level=_level(level, 1, 9)))


@register(32000)
def _lzf(_description: FilterDescription) -> FilterChain:
    return _found(NumcodecsLZF(), plugin=EXTRA)


@register(32001)
def _blosc(description: FilterDescription) -> FilterChain:
    names = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
    # The filter itself sets values 0-3; then follow level, shuffle and compressor.
    given = description.values[4:7]
    level, shuffle, compressor = (*given, *(5, 1, 0)[len(given) :])
    name = names[compressor]
    if name not in numcodecs.blosc.list_compressors():
        return _missing(description, f"no Zarr codec for its compressor {name!r}")
    if shuffle not in (0, 1, 2):
        raise LayoutError(f"{shuffle} is no shuffle of Blosc")
    return _found(numcodecs.Blosc(cname=name, clevel=_level(level, 0, 9), shuffle=shuffle))


@register(32004)
def _lz4(description: FilterDescription) -> FilterChain:
    blocksize = description.values[0] if description.values else 0
    return _found(NumcodecsLZ4(blocksize=blocksize), plugin=PACKAGE)


@register(32008)
def _bitshuffle(description: FilterDescription) -> FilterChain:
    # Values 0-1 are the filter's version; then follow element size, block size, compressor and level.
    given = description.values[2:6]
    itemsize, blocksize, compressor, level = (
        *given,
        *(description.itemsize, 0, 0, 0)[len(given) :],
    )
    names = {0: "none", 2: "lz4", 3: "zstd"}
    if compressor not in names:
        return _missing(description, f"no Zarr codec for its compressor {compressor}")
    codec = NumcodecsBitshuffle(
        elementsize=itemsize,
        blocksize=blocksize,
        cname=names[compressor],
        clevel=_level(level, -(2**17), 22),
    )
    return _found(codec, plugin=EXTRA)


@register(32015)
def _zstandard(description: FilterDescription) -> FilterChain:
    level = description.values[0] if description.values else 3
    return _found(numcodecs.Zstd(level=_level(level, -(2**17), 22)))


@register(32013)
def _zfp(description: FilterDescription) -> FilterChain:
    codec = NumcodecsZFP(header=ZFPFraming.of_values(description.values).header)
    if codec.dtype.itemsize != description.itemsize:
        raise LayoutError(f"its elements are {codec.dtype}")
    return FilterChain(codecs=(codec,), plugin=EXTRA, is_lossy=True)


@register(32026)
def _blosc2(description: FilterDescription) -> FilterChain:
    # Values 0-1 are versions; then follow element size and chunk size; the other values are optional.
    typesize, nbytes = description.values[2:4]
    given = description.values[4:7]
    level, shuffle, compressor = (*given, *(5, 1, 0)[len(given) :])
    names = {number: name for name, number in BLOSC2_CODECS.items()}
    if compressor not in names or shuffle not in BLOSC2_SHUFFLES:
        return _missing(
            description, f"no Zarr codec for its compressor {compressor} with filter {shuffle}"
        )
    shape = description.values[8:] or (nbytes // max(1, typesize),)
    codec = NumcodecsBlosc2(
        shape=shape,
        typesize=typesize,
        cname=names[compressor],
        clevel=_level(level, 0, 9),
        shuffle=BLOSC2_SHUFFLES[shuffle],
    )
    return _found(codec, plugin=EXTRA)
