"""The data of a builder -> the source of its elements, and their type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, ReferenceBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer
from hdmf.data_utils import AbstractDataChunkIterator, DataIO

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    declared_element_type,
    element_type_from_compound,
    element_type_from_numpy,
)
from hdmf_zarr.core.elements import (
    REFERENCE_TYPES,
    bytes_where_not_text,
    first_leaf,
    infer_element_type,
    to_memory,
)
from hdmf_zarr.errors import DtypeError, EncodingError
from hdmf_zarr.hdf5 import HDF5Source, is_h5py_dataset
from hdmf_zarr.hdf5.raw import RawChunks
from hdmf_zarr.write.chunks.sources import (
    ArraySource,
    ChunkCopySource,
    EmptySource,
    IteratorSource,
    LazySource,
    MemorySource,
    RawSource,
    ZarrSource,
    note_begun,
    was_begun,
)
from hdmf_zarr.write.chunks.zarr_chunks import ZarrChunks
from hdmf_zarr.write.planning.addresses import Addresses
from hdmf_zarr.write.planning.layout_resolution import Choice, LayoutChooser, has_own_checksum


class Intake:
    """Makes the sources of the datasets of a file.

    Parameters
    ----------
    addresses : Addresses
        Paths of the objects that the elements refer to.
    layouts : LayoutChooser
    """

    def __init__(self, addresses: Addresses, layouts: LayoutChooser) -> None:
        self.addresses = addresses
        self.layouts = layouts
        self._iterators: dict[int, str] = {}

    def source_of(
        self, data: Any, builder: DatasetBuilder, choice: Choice
    ) -> ArraySource | IteratorSource | RawSource | ChunkCopySource:
        """Return the source of a dataset's elements.

        Parameters
        ----------
        data : array, sequence, iterator or None
            Data of the builder, without a wrapper.
        builder : DatasetBuilder
        choice : Choice

        Raises
        ------
        DtypeError, EncodingError
            If a store cannot hold the data.
        """
        if isinstance(data, HDMFZarrArray):
            return self._zarr_source(data, choice)
        declared = _declared(builder, data)
        if data is None:
            element = declared or element_type_from_numpy(_empty_dtype(builder))
            return EmptySource(_empty_shape(builder), element, wrapper=builder.data)
        if isinstance(data, AbstractDataChunkIterator):
            self._check_fresh(data, builder)
            return _iterator_source(data, declared)
        if is_h5py_dataset(data) and choice.decoded is None:
            return RawSource(RawChunks(data), element_type_from_numpy(data.dtype))
        if is_h5py_dataset(data):
            return HDF5Source(data, self.addresses.hdf5_target_text)
        if _is_lazy(data):
            is_text = declared in (TEXT, ASCII, ISODATETIME, BYTES)
            own = None if is_text else element_type_from_numpy(np.dtype(data.dtype))
            return LazySource(data, declared if own is None else _widened(own, declared))
        if isinstance(data, ReferenceBuilder | BaseBuilder | AbstractContainer):
            declared = REFERENCE
        if not isinstance(data, (list, tuple, np.ndarray)) and not np.isscalar(data):
            data = _as_data(data)
        return self._memory_source(data, declared, builder)

    def _check_fresh(self, iterator: AbstractDataChunkIterator, builder: DatasetBuilder) -> None:
        """Raise for an iterator that has begun, or that is also the data of another dataset."""
        _check_not_begun(iterator)
        other = self._iterators.setdefault(id(iterator), self.addresses.path_of(builder))
        if other != self.addresses.path_of(builder):
            raise EncodingError(
                f"the iterator is that of /{other}, too, and gives its data once; make one for each dataset"
            )

    def _memory_source(
        self, data: Any, declared: ElementType | None, builder: DatasetBuilder
    ) -> MemorySource:
        element = declared or infer_element_type(data)
        if isinstance(first_leaf(data), REFERENCE_TYPES) and element.kind != "compound":
            element = REFERENCE
        if element.kind == "number" and isinstance(first_leaf(data), (str, bytes)):
            element = infer_element_type(data)
        values = to_memory(
            data, element, lambda target: self.addresses.reference_text(target, builder)
        )
        element = bytes_where_not_text(element, values)
        if element.numpy is not None and values.dtype != element.numpy:
            element = element_type_from_numpy(values.dtype)
        return MemorySource(values, element)

    def _zarr_source(
        self, array: HDMFZarrArray, choice: Choice
    ) -> ZarrSource | RawSource | ChunkCopySource:
        element = array.element_type
        if choice.request.is_empty and self.layouts.why_not_copied(array) is None:
            return ChunkCopySource(array, element)
        if choice.decoded is None and not choice.request.is_empty:
            return RawSource(ZarrChunks(array), element, has_checksum=has_own_checksum(array))
        return ZarrSource(
            array, lambda reference: self.addresses.retarget(array.hierarchy, reference)
        )


def _declared(builder: DatasetBuilder, data: Any) -> ElementType | None:
    """Return the element type that the builder declares, refined by its specification."""
    if isinstance(builder.dtype, list):
        dtype = getattr(data, "dtype", None)
        if not isinstance(dtype, np.dtype):
            dtype = None
        if dtype is not None and len(dtype.names or ()) > len(builder.dtype):
            # HDF5IO omits fields of fixed text and of enumerations; seen in HDMF 4 to 6.
            return element_type_from_numpy(dtype)
        return element_type_from_compound(builder.dtype, dtype)
    declared = declared_element_type(builder.dtype)
    spec = builder.matched_spec
    if declared is not None and declared.kind in ("ascii", "text") and spec is not None:
        if getattr(spec, "dtype", None) in ("isodatetime", "datetime"):
            return ISODATETIME
        if getattr(spec, "dtype", None) == "bytes":
            return BYTES
    return declared


def _empty_shape(builder: DatasetBuilder) -> tuple[int, ...]:
    """Return the shape of a dataset without data: HDF5IO has none for empty text."""
    shape = getattr(builder.data, "shape", None) or builder.maxshape
    if shape is None:
        return (0,)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if getattr(builder.data, "shape", None):
        return shape
    empty = tuple(size or 0 for size in shape)
    return empty if 0 in empty or not empty else (0, *empty[1:])


def _empty_dtype(builder: DatasetBuilder) -> np.dtype[Any]:
    """Return the dtype of a dataset without data and declared dtype: that of its wrapper."""
    return np.dtype(builder.data.dtype if isinstance(builder.data, DataIO) else np.float64)


def _widened(
    own: ElementType, declared: ElementType | None, *, other_sign: bool = False
) -> ElementType:
    """Return the type of numbers that are read later: the declared one, unless it is narrower.

    Parameters
    ----------
    own, declared : ElementType
    other_sign : bool
        Accept signed integers as unsigned ones and vice versa: each value is checked when it is
        read.
    """
    if declared is None or own.numpy is None or declared.numpy is None:
        return own
    if not own.kind == declared.kind == "number":
        return own
    if other_sign and own.numpy.kind in "iu" and declared.numpy.kind in "iu":
        return declared if declared.numpy.itemsize >= own.numpy.itemsize else own
    return declared if np.can_cast(own.numpy, declared.numpy, "safe") else own


def _check_not_begun(iterator: Any) -> None:
    if was_begun(iterator):
        raise EncodingError(
            "the iterator has given data to another write, which it does not give again; make a new one"
        )


def _iterator_source(
    iterator: AbstractDataChunkIterator, declared: ElementType | None
) -> IteratorSource:
    dtype = iterator.dtype
    own = None
    if dtype is not None and np.dtype(dtype).kind != "O":
        own = element_type_from_numpy(np.dtype(dtype))
    element = declared
    if declared is None or (own is not None and own.kind == "number"):
        element = None if own is None else _widened(own, declared, other_sign=True)
    if element is None:
        raise DtypeError(f"an iterator that gives objects ({dtype}) needs a dtype")
    if element.kind == "fixed_bytes" and declared is not None:
        element = declared
    known = tuple(size or 0 for size in iterator.maxshape)
    return IteratorSource(iterator, element, known)


def _is_lazy(data: Any) -> bool:
    """Whether data are a lazy array: with a shape, and not in memory."""
    if isinstance(data, (np.ndarray, np.generic, list, tuple, str, bytes)):
        return False
    has_array_interface = hasattr(data, "shape") and _is_numpy_dtype(getattr(data, "dtype", None))
    return has_array_interface and hasattr(data, "__getitem__") and not hasattr(data, "iloc")


def _is_numpy_dtype(dtype: Any) -> bool:
    """Whether a dtype is numpy's; the dtypes of pandas, whose arrays are in memory, are not."""
    try:
        return dtype is not None and np.dtype(dtype) is not None
    except TypeError:
        return False


def _as_data(data: Any) -> Any:
    if isinstance(data, Mapping) and not isinstance(data, REFERENCE_TYPES):
        raise EncodingError(
            f"{type(data).__name__} objects are no data: their values would be lost"
        )
    if isinstance(data, Iterator):
        _check_not_begun(data)
        note_begun(data)
    if hasattr(data, "__array__") and not isinstance(data, REFERENCE_TYPES):
        return np.asarray(data)
    is_iterable = hasattr(data, "__iter__") and not isinstance(data, (str, bytes, *REFERENCE_TYPES))
    return list(data) if is_iterable else data
