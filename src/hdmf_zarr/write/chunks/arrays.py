"""Writes elements into an array whose document is not in the store yet."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.codec_proof import rounding_filters_of
from hdmf_zarr.codecs.typed_filters import check_kept
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import ElementType
from hdmf_zarr.core.elements import check_width, encode_elements, to_memory
from hdmf_zarr.core.regions import Region, plain_selections, relative, shape_of
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.stores.bytestore import ByteStore
from hdmf_zarr.write.chunks.region_encoder import UnitWriter, encoding

Pieces = Iterable[tuple[Region, npt.NDArray[Any]]]
"""Regions, and their elements as in memory."""


class ArrayWriter:
    """Writes elements: whole write units itself, parts of units by zarr.

    Parameters
    ----------
    bytestore : ByteStore
    path : str
    document : dict
        The ``zarr.json`` of the array; its attributes are ignored.
    element : ElementType
    n_threads : int
        Number of threads that encode.
    """

    def __init__(
        self,
        bytestore: ByteStore,
        path: str,
        document: dict[str, JSON],
        element: ElementType,
        n_threads: int,
    ) -> None:
        self.shape: tuple[int, ...] = array_node(document).shape
        self._element = element
        self._bytestore = bytestore
        self._path = path
        self._document = document
        self._units = UnitWriter.of(bytestore, path, document, n_threads)

    @cached_property
    def _array(self) -> zarr.Array[Any]:
        documents: dict[str, dict[str, JSON]] = {"": {}, self._path: self._document}
        return zarr.Array(zarr_view.async_array(Nodes(self._bytestore, documents), self._path))

    @cached_property
    def _rounding_filters(self) -> tuple[Any, ...]:
        return rounding_filters_of(self._document)

    @cached_property
    def _stored_dtype(self) -> np.dtype[Any]:
        known = self._units.chain.dtype if self._units is not None else None
        return known if known is not None else np.dtype(self._array.dtype)

    @property
    def itemsize(self) -> int:
        """Bytes of an element; an estimate for text."""
        stored = self._stored_dtype
        return stored.itemsize if stored.kind not in "OT" else 64

    def write(self, selection: Any, values: npt.NDArray[Any]) -> int:
        """Write elements, given as in memory, and return their bytes."""
        whole = self._whole_units(selection)
        if whole is not None and self._units is not None:
            stored = self._encoded(values).reshape(shape_of(whole))
            self._units.write(whole, [(whole, stored)])
        else:
            self._write_by_zarr(selection, values)
        return values.size * self.itemsize

    def fill(self, region: Region, pieces: Pieces) -> int:
        """Write whole write units from pieces that fill them, and return their bytes.

        Parameters
        ----------
        region : tuple of slice
        pieces : iterable of (region, numpy.ndarray)
            Pieces within the region, without overlap, in any order.
        """
        if self._units is not None:
            self._units.write(region, map(self._encoded_piece, pieces))
        else:
            values = np.empty(shape_of(region), dtype=self._element.memory_dtype)
            for piece, part in pieces:
                values[relative(piece, region)] = part
            self._write_by_zarr(region, values)
        return int(np.prod(shape_of(region), dtype=np.int64)) * self.itemsize

    def _write_by_zarr(self, selection: Any, values: npt.NDArray[Any]) -> None:
        # Zarr reads the units that it changes from the store.
        self._bytestore.flush()
        stored = self._encoded(values)
        with encoding():
            check_kept(stored, self._rounding_filters)
            self._array[selection] = stored

    def _whole_units(self, selection: Any) -> Region | None:
        if selection is Ellipsis or self._units is None:
            return None
        plain = plain_selections([selection], len(self.shape))
        if not plain or not self._units.are_whole(plain[0]):
            return None
        return plain[0]

    def _encoded_piece(
        self, given: tuple[Region, npt.NDArray[Any]]
    ) -> tuple[Region, npt.NDArray[Any]]:
        piece, values = given
        return piece, self._encoded(values)

    def _encoded(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        stored = self._stored_dtype
        return encode_elements(values, self._element, stored if stored.names is not None else None)


def as_elements(data: Any, element: ElementType, giver: str = "an iterator") -> npt.NDArray[Any]:
    """Return the data of an iterator or lazy array as elements in memory of its declared type.

    Raises
    ------
    EncodingError
        If an element does not fit the type, or its value would change.
    """
    values = to_memory(data, element, str)
    if element.kind == "number" and element.numpy is not None and values.dtype != element.numpy:
        raise EncodingError(
            f"{giver} that had declared {element.numpy.name} gave {values.dtype.name} with values "
            f"that {element.numpy.name} cannot hold: give it the dtype of what it yields"
        )
    if element.kind == "fixed_bytes" and element.numpy is not None:
        check_width(values, element.numpy, f"{giver} that had declared {element.numpy.str}")
        return values.astype(element.numpy, copy=False)
    return values
