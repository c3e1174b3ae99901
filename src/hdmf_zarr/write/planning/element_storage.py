"""How each Zarr format stores elements: data type, codecs, shape of a scalar, names of chunks.

Documents have the form of format 3 here, for both formats; `hdmf_zarr.metadata.format2` converts
those of format 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import zarr.dtype
from zarr.abc.codec import BytesBytesCodec

from hdmf_zarr.codecs.objects.objects import PICKLE_CODEC, JSONObjectsCodec
from hdmf_zarr.codecs.registry import OBJECT_CODECS
from hdmf_zarr.convention import JSON, ArrayHeader
from hdmf_zarr.core.dtypes import (
    BYTES,
    BYTES_ELEMENT_KINDS,
    BYTES_TYPE,
    TEXT_KINDS,
    ElementType,
    field_dtype_name,
    header_name,
    stored_dtype,
    stored_numpy_dtype,
)
from hdmf_zarr.core.nesting import nesting_of
from hdmf_zarr.errors import LayoutError, UnsupportedFormatError
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS, FORMAT2_CHUNK_KEYS
from hdmf_zarr.metadata.node import array_node, with_chunk_keys


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredType:
    """The stored form of elements of a type.

    Attributes
    ----------
    element : ElementType
        Element type in the store.
    data_type : zarr.dtype.ZDType
    numpy : numpy.dtype or None
        Dtype of the stored elements; None if they vary in length.
    codecs : tuple of BytesBytesCodec
        Codecs between the serializer and the compressor.
    """

    element: ElementType
    data_type: Any
    numpy: np.dtype[Any] | None
    codecs: tuple[BytesBytesCodec, ...] = ()


class Storage(Protocol):
    """The storage of elements in a Zarr format."""

    @property
    def chunk_keys(self) -> dict[str, Any]:
        """Chunk key encoding, as in Zarr's metadata."""

    @property
    def scalar_shape(self) -> tuple[int, ...]:
        """Shape of the array that stores a scalar."""

    @property
    def has_dimension_names(self) -> bool:
        """Whether a document has a field for dimension names."""

    def stored_type(self, element: ElementType, widths: Mapping[str, int]) -> StoredType:
        """Return the stored form of a type; ``widths`` are those of a compound's text."""

    def header(
        self, element: ElementType, *, is_scalar: bool, names: tuple[str | None, ...] | None
    ) -> ArrayHeader:
        """Return the header: the contents of the reserved attributes of an array."""

    def check_shards(self, shards: Any) -> None:
        """Raise `LayoutError` if shards are requested and the format has none."""

    def can_hold(self, document: Mapping[str, Any], element: ElementType) -> bool:
        """Whether the encoded chunks of an array can be kept unchanged."""


class Format3Storage:
    """Native types; names of dimensions in the document."""

    chunk_keys = CHUNK_KEYS
    scalar_shape: tuple[int, ...] = ()
    has_dimension_names = True

    def stored_type(self, element: ElementType, widths: Mapping[str, int]) -> StoredType:
        """Return the stored form of a type; ``widths`` are those of a compound's text."""
        has_dtype = element.kind in ("number", "fixed_bytes", "compound")
        return StoredType(
            element=element,
            data_type=stored_dtype(element, widths),
            numpy=stored_numpy_dtype(element, widths) if has_dtype else None,
        )

    def header(
        self,
        element: ElementType,
        *,
        is_scalar: bool,
        names: tuple[str | None, ...] | None,
    ) -> ArrayHeader:
        """Return the header: the contents of the reserved attributes of an array."""
        if element.kind != "compound":
            return ArrayHeader(element_type=header_name(element))
        flat = element.flat
        return ArrayHeader(
            reference_fields=tuple(n for n, field in flat.fields if field.kind == "reference"),
            field_types=_types_of_text_fields(flat),
            nesting=_nesting(element),
        )

    def check_shards(self, shards: Any) -> None:
        """Accept shards, which format 3 has."""

    def can_hold(self, document: Mapping[str, Any], element: ElementType) -> bool:
        """Whether the encoded chunks of an array can be kept unchanged: all except objects."""
        node = array_node(document)
        names = list(map(_name, node.codecs))
        if element.kind in TEXT_KINDS and node.data_type == BYTES_TYPE:
            return False
        return bool(names) and OBJECT_CODECS.isdisjoint(names)


class Format2Storage:
    """Scalars of shape (1,); references, and compounds that hold text or references, as JSON."""

    chunk_keys = FORMAT2_CHUNK_KEYS
    scalar_shape: tuple[int, ...] = (1,)
    has_dimension_names = False

    def stored_type(self, element: ElementType, widths: Mapping[str, int]) -> StoredType:
        """Return the stored form of a type; ``widths`` are ignored."""
        if element.kind in ("ascii", "isodatetime"):
            element = BYTES  # the header records the exact type
        if element.kind == "reference" or element.holds_variable:
            return StoredType(
                element=element,
                data_type=zarr.dtype.VariableLengthUTF8(),
                numpy=None,
                codecs=(JSONObjectsCodec(),),
            )
        has_dtype = element.kind in ("number", "fixed_bytes", "compound")
        return StoredType(
            element=element,
            data_type=stored_dtype(element, widths),
            numpy=stored_numpy_dtype(element, widths) if has_dtype else None,
        )

    def header(
        self, element: ElementType, *, is_scalar: bool, names: tuple[str | None, ...] | None
    ) -> ArrayHeader:
        """Return the header: the contents of the reserved attributes of an array."""
        if element.kind == "compound":
            flat = element.flat
            types = _types_of_text_fields(flat) | _widths_in_rows(flat)
            return ArrayHeader(
                fields=tuple((name, field_dtype_name(field)) for name, field in flat.fields),
                nesting=_nesting(element),
                # The names of field types already distinguish ASCII.
                field_types={name: kind for name, kind in types.items() if kind != "ascii"},
                scalar=is_scalar,
                dimension_names=names,
            )
        return ArrayHeader(
            element_type=header_name(element), scalar=is_scalar, dimension_names=names
        )

    def check_shards(self, shards: Any) -> None:
        """Raise `LayoutError` if shards are requested."""
        if shards is not None:
            raise LayoutError(
                f"Zarr format 2 has no shards, found shards={shards!r}: leave them out, or write "
                "format 3"
            )

    def can_hold(self, document: Mapping[str, Any], element: ElementType) -> bool:
        """Whether the encoded chunks of an array can be kept unchanged."""
        is_text = element.kind in ("ascii", "isodatetime")
        node = array_node(document)
        if not node.shape or (is_text and node.data_type != BYTES_TYPE):
            return False
        names = list(map(_name, node.codecs))
        if element.holds_variable or PICKLE_CODEC in names:
            return False
        try:
            format2.array_metadata(with_chunk_keys(dict(document), self.chunk_keys))
        except LayoutError:
            return False
        return True


def _name(codec: Mapping[str, Any]) -> str:
    return str(codec.get("name", ""))


def _nesting(element: ElementType) -> list[JSON] | None:
    return nesting_of(element.memory_dtype) if element.is_nested else None


def _types_of_text_fields(element: ElementType) -> dict[str, str]:
    """Return the text fields of a compound that are stored as bytes, with their types."""
    return {name: field.kind for name, field in element.fields if field.kind in BYTES_ELEMENT_KINDS}


def _widths_in_rows(element: ElementType) -> dict[str, str]:
    """Return the widths of fixed bytes in rows stored as JSON, which does not fix their length."""
    if not element.holds_variable:
        return {}
    return {
        name: field.numpy.str.lstrip("|")
        for name, field in element.fields
        if field.kind == "fixed_bytes" and field.numpy is not None
    }


_STORAGES: dict[int, Storage] = {3: Format3Storage(), 2: Format2Storage()}


def storage_of_format(zarr_format: int) -> Storage:
    """Return the storage of a Zarr format."""
    try:
        return _STORAGES[zarr_format]
    except KeyError:
        raise UnsupportedFormatError(f"Zarr format {zarr_format!r} is not written") from None
