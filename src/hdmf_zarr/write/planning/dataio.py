"""`ZarrDataIO`: data with the layout that the user wants."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
from hdmf.backends.hdf5 import H5DataIO
from hdmf.data_utils import DataIO
from zarr.codecs import BytesCodec

from hdmf_zarr.codecs import CodecRequest, filters_of_dataset, to_zarr_codec
from hdmf_zarr.codecs.registry import LOSSLESS_FILTERS
from hdmf_zarr.core.dtypes import is_number
from hdmf_zarr.errors import LayoutError, OptionError
from hdmf_zarr.hdf5 import filter_pipeline, is_h5py_dataset, stored_dataset
from hdmf_zarr.hdf5.source import given_fill_value
from hdmf_zarr.write.planning.export_options import require_bool
from hdmf_zarr.write.planning.layout import LayoutRequest

COMPRESSOR_NAMES = ("compressor", "compressors")


class ZarrDataIO(DataIO):  # type: ignore[misc]
    """Wrap data to choose how they are stored: chunks, shards, codecs, fill value.

    Parameters
    ----------
    data : array_like, iterator, h5py.Dataset or zarr.Array
        The data to write.
    chunks : tuple of int, int or bool, optional
        Shape of a chunk, which is also kept when rows are appended. The default, also ``True``, is
        about 4 MB of whole rows; the only chunk of a small array grows with the array.
    fillvalue : scalar, optional
        Value of elements that are never written.
    compressor : codec, sequence of codecs or bool, optional
        Codecs of `numcodecs` or `zarr.codecs`; ``True`` is the default codec, ``False`` none.
    filters : sequence of codecs, optional
        Codecs that are applied before the compressor.
    shards : tuple of int or "auto", optional
        Shape of a shard, a multiple of the chunks; ``"auto"`` is about 64 MB.
    link_data : bool
        Link to the data instead of copying them, if they are an array of another Zarr store.
    compressors, serializer
        The names of zarr-python 3; ``compressors`` is another name of ``compressor``.
    checksum : bool
        End each encoded chunk with its CRC-32C, so that a damaged byte causes an error.

    Raises
    ------
    LayoutError
        If the shards are no multiple of the chunks, or the ranks differ.
    OptionError
        If an argument is invalid.
    """

    def __init__(
        self,
        data: Any = None,
        chunks: Any = None,
        fillvalue: Any = None,
        compressor: Any = None,
        filters: Any = None,
        shards: Any = None,
        link_data: bool = False,  # noqa: FBT001, FBT002 - positional since 0.4
        *,
        compressors: Any = None,
        serializer: Any = None,
        checksum: bool = False,
        dtype: Any = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        if compressor is not None and compressors is not None:
            raise OptionError("compressor and compressors are two names of one option: give one")
        for name, value in (("link_data", link_data), ("checksum", checksum)):
            require_bool(name, value)
        if link_data and not _is_linkable(data):
            raise OptionError(
                f"link_data=True needs a zarr array, found {type(data).__name__}: other data are copied"
            )
        if np.ndim(fillvalue):
            raise LayoutError(f"fillvalue must be one element, found {fillvalue!r:.100}")
        super().__init__(dtype=dtype, shape=shape)
        if data is not None:
            # The constructor of HDMF accepts neither dask nor other lazy arrays.
            self.data = _supported(data)
        self.__link_data = bool(link_data)
        self.__dataset: zarr.Array[Any] | None = None
        sizes = _sizes(chunks, "chunks")
        self.__request = LayoutRequest(
            chunks=sizes,
            are_chunks_given=sizes is not None,
            shards=_shards(shards),
            fill_value=fillvalue,
            codecs=CodecRequest(
                compressors=compressor if compressor is not None else compressors,
                filters=_codec_list(filters),
                serializer=serializer,
            ),
            checksum=bool(checksum),
        )
        _check_codecs(self.__request.codecs)
        _check_shards(self.__request)

    @property
    def link_data(self) -> bool:
        """Whether the array is linked instead of copied."""
        return self.__link_data

    @property
    def dataset(self) -> zarr.Array[Any] | None:
        """The empty array written for a `shape` and a `dtype`; None before, and for other data.

        It is the array of the last write, and can be filled while the file is open.

        Examples
        --------
        >>> wrapped = ZarrDataIO(shape=(5,), dtype=np.dtype("int64"))
        >>> wrapped.dataset is None
        True
        """
        return self.__dataset

    @property
    def layout_request(self) -> LayoutRequest:
        """The settings in the form for the planner."""
        return self.__request

    @property
    def io_settings(self) -> dict[str, Any]:
        """The given settings, as a new dict."""
        codecs = self.__request.codecs
        settings = {
            "chunks": self.__request.chunks,
            "fill_value": self.__request.fill_value,
            "compressor": codecs.compressors,
            "filters": codecs.filters,
            "serializer": codecs.serializer,
            "shards": self.__request.shards,
            "checksum": self.__request.checksum or None,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def get_io_params(self) -> dict[str, Any]:
        """Return the keyword arguments for an equal `ZarrDataIO` with other data."""
        settings = self.io_settings
        if "fill_value" in settings:
            settings["fillvalue"] = settings.pop("fill_value")
        return {**super().get_io_params(), **settings, "link_data": self.link_data}

    def __iter__(self) -> Iterator[Any]:
        # HDMF's wrapper calls `__iter__`, which arrays of zarr-python lack.
        is_plain = isinstance(self.data, zarr.Array) and not hasattr(self.data, "__iter__")
        rows: Iterator[Any] = _rows(self.data) if is_plain else super().__iter__()
        return rows

    def note_written(self, array: zarr.Array[Any]) -> None:
        """Keep the array that a write has created, see `dataset`."""
        self.__dataset = array

    def __copy__(self) -> ZarrDataIO:
        return ZarrDataIO(self.data, **self.get_io_params())

    def __deepcopy__(self, memo: dict[int, Any]) -> ZarrDataIO:
        import copy

        result = ZarrDataIO(copy.deepcopy(self.data, memo), **self.get_io_params())
        memo[id(self)] = result
        return result

    @staticmethod
    def from_h5py_dataset(h5dataset: Any, **kwargs: Any) -> ZarrDataIO:
        """Wrap an HDF5 dataset with its own chunks, fill value and filters.

        Parameters
        ----------
        h5dataset : h5py.Dataset
        **kwargs
            Arguments of `ZarrDataIO` that override the settings of the dataset. A compressor
            replaces all filters of the dataset except a checksum.
        """
        if not is_h5py_dataset(h5dataset):
            raise OptionError(f"expected an h5py.Dataset, found {type(h5dataset).__name__}")
        stored = stored_dataset(h5dataset)
        settings: dict[str, Any] = {"chunks": stored.chunks}
        is_compressed_anew = any(kwargs.get(name) is not None for name in COMPRESSOR_NAMES)
        if is_compressed_anew:
            settings["checksum"] = bool(stored.fletcher32)
        elif filters := ZarrDataIO.hdf5_to_zarr_filters(stored):
            # The filters already contain the compression of the HDF5 dataset.
            settings |= {"filters": filters, "compressor": False}
        fill_value = given_fill_value(stored)
        if fill_value is not None:
            settings["fillvalue"] = fill_value
        return ZarrDataIO(h5dataset, **{**settings, **kwargs})

    @staticmethod
    def hdf5_to_zarr_filters(h5dataset: Any) -> list[Any]:
        """Return the codecs of numcodecs that are equivalent to the dataset's HDF5 filters."""
        return filters_of_dataset(
            filter_pipeline(h5dataset), f"{h5dataset.file.filename}:{h5dataset.name}"
        )

    @staticmethod
    def is_h5py_dataset(obj: Any) -> bool:
        """Whether an object is a dataset of an HDF5 file."""
        return is_h5py_dataset(obj)


def give_to_wrapper(wrapper: Any, array: zarr.Array[Any]) -> None:
    """Give nested wrappers without data their written array, see `ZarrDataIO.dataset`."""
    while isinstance(wrapper, DataIO):
        if isinstance(wrapper, ZarrDataIO):
            wrapper.note_written(array)
        wrapper = wrapper.data


def unwrap(data: Any) -> tuple[Any, LayoutRequest, bool | None]:
    """Return wrapped data, the request for their layout, and ``link_data`` (or None).

    If wrappers are nested (``set_data_io`` puts another one around the first), the outer one takes
    precedence.
    """
    request, link_data = LayoutRequest(), None
    while isinstance(data, DataIO):
        if isinstance(data, ZarrDataIO):
            request = _completed(request, data.layout_request)
            link_data = data.link_data if link_data is None else link_data
        elif isinstance(data, H5DataIO):
            request = _completed(request, _request_of_hdf5_wrapper(data))
        if data.data is None:
            return None, request, link_data
        data = data.data
    return data, request, link_data


def _completed(outer: LayoutRequest, inner: LayoutRequest) -> LayoutRequest:
    """Return the outer request, completed by the inner one."""
    has_layout = outer.chunks is not None or outer.shards is not None
    return LayoutRequest(
        # Shards are multiples of the chunks in the same request.
        chunks=outer.chunks if has_layout else inner.chunks,
        are_chunks_given=outer.are_chunks_given if has_layout else inner.are_chunks_given,
        shards=outer.shards if has_layout else inner.shards,
        fill_value=inner.fill_value if outer.fill_value is None else outer.fill_value,
        codecs=inner.codecs if outer.codecs.is_empty else outer.codecs,
        checksum=outer.checksum or inner.checksum,
    )


def layout_of_array(array: Any, zarr_format: int) -> LayoutRequest:
    """Return the layout of an array of zarr-python, as far as a copy can have it.

    Parameters
    ----------
    array : object
        Array of numbers of zarr-python; for any other object the request is empty.
    zarr_format : int
        Zarr format of the copy; if the array has another one, shards and codecs are not kept.
    """
    if not isinstance(array, zarr.Array) or not is_number(array.dtype) or not array.shape:
        return LayoutRequest()
    chunks = LayoutRequest(chunks=tuple(array.chunks), fill_value=array.fill_value)
    if array.metadata.zarr_format != zarr_format:
        return chunks
    chunks = replace(chunks, shards=array.shards)
    filters = [to_zarr_codec(codec, array.dtype.itemsize) for codec in array.filters or ()]
    serializer = array.serializer
    is_exact = LOSSLESS_FILTERS.issuperset(codec.to_dict()["name"] for codec in filters)
    is_native = array.dtype.isnative or not filters
    if not is_exact or not is_native or not isinstance(serializer, BytesCodec | None):
        return chunks
    codecs = CodecRequest(
        filters=filters,
        serializer=serializer if zarr_format > 2 else None,
        compressors=[to_zarr_codec(c, array.dtype.itemsize) for c in array.compressors] or False,
    )
    return replace(chunks, codecs=codecs)


def _request_of_hdf5_wrapper(data: H5DataIO) -> LayoutRequest:
    """Return the `H5DataIO` settings that apply to Zarr: chunks, fill value, gzip, checksum."""
    settings = data.io_settings
    chunks = settings.get("chunks")
    compressors: Any = None
    if settings.get("compression") in ("gzip", True) or isinstance(
        settings.get("compression"), int
    ):
        level = settings.get("compression_opts")
        given = settings["compression"]
        if isinstance(given, int) and not isinstance(given, bool):
            level = given
        compressors = {"name": "gzip", "configuration": {"level": 4 if level is None else level}}
        compressors = to_zarr_codec(compressors, 1)
    is_given = isinstance(chunks, (tuple, list))
    return LayoutRequest(
        chunks=tuple(chunks) if is_given else None,
        are_chunks_given=is_given,
        fill_value=settings.get("fillvalue"),
        codecs=CodecRequest(compressors=compressors),
        checksum=bool(settings.get("fletcher32")),
    )


def _rows(array: zarr.Array[Any]) -> Iterator[Any]:
    """Yield the rows of an array; decode each chunk once."""
    step = max(1, array.chunks[0])
    for start in range(0, array.shape[0], step):
        yield from array[start : start + step]  # type: ignore[misc]


def _is_linkable(data: Any) -> bool:
    return isinstance(data, zarr.Array) or is_h5py_dataset(data)


def _supported(data: Any) -> Any:
    """Refuse data that cannot be an array, with a clearer message than HDMF's."""
    if isinstance(data, (str, bytes, os.PathLike)):
        raise OptionError(f"ZarrDataIO wraps arrays, found {type(data).__name__}")
    if data is not None and not hasattr(data, "shape") and isinstance(data, Iterable):
        return data if hasattr(data, "__len__") or hasattr(data, "__next__") else list(data)
    return data


def _sizes(value: Any, name: str) -> tuple[int, ...] | None:
    if value is None or value is True:
        return None
    if value is False:
        raise OptionError(f"{name}=False has no meaning: every Zarr array has chunks")
    if isinstance(value, (int, np.integer)):
        return (int(value),)
    if not isinstance(value, (tuple, list)):
        raise LayoutError(f"{name} must be a tuple of integers, found {value!r:.100}")
    return tuple(value)


def _shards(value: Any) -> Any:
    if isinstance(value, str) and value == "auto":
        return value
    if value is True:
        raise OptionError("shards=True has no meaning: give their shape, or 'auto'")
    return _sizes(value, "shards")


def _codec_list(filters: Any) -> Any:
    if filters is None or isinstance(filters, (list, tuple)):
        return filters
    return [filters]


def _check_codecs(codecs: CodecRequest) -> None:
    """Raise for an invalid codec at the line of the user's call."""
    given = codecs.compressors
    if given is not None and not isinstance(given, bool):
        for codec in given if isinstance(given, (list, tuple)) else (given,):
            to_zarr_codec(codec, 1)
    for codec in (*(codecs.filters or ()), codecs.serializer):
        if codec is not None:
            to_zarr_codec(codec, 1)


def _check_shards(request: LayoutRequest) -> None:
    if request.chunks is None or not isinstance(request.shards, tuple):
        return
    if len(request.chunks) != len(request.shards):
        raise LayoutError(
            f"shards {request.shards} and chunks {request.chunks} must have the same rank"
        )
    if min((*request.chunks, *request.shards), default=1) < 1:
        raise LayoutError(
            f"shards {request.shards} and chunks {request.chunks} must be positive integers"
        )
    if any(shard % chunk for shard, chunk in zip(request.shards, request.chunks, strict=True)):
        raise LayoutError(
            f"shards {request.shards} must be a multiple of the chunks {request.chunks} in every "
            "dimension"
        )
