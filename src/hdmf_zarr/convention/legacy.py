"""The convention of Zarr format 2, as hdmf-zarr up to 0.13 writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hdmf_zarr.convention.common import (
    ARRAY_DIMENSIONS,
    CHUNKS_GIVEN,
    ENUM_NAMES,
    FIELD_TYPES,
    FILL_SETTINGS,
    NESTED_FIELDS,
    STORED_CHUNKS,
    CommonConvention,
    dimension_names,
    enum_names,
    field_types,
    fill_settings,
    nested_fields,
)
from hdmf_zarr.convention.model import JSON, ArrayHeader, Reference
from hdmf_zarr.convention.references import ZarrReference, absolute, reference_from_object
from hdmf_zarr.convention.unified import (
    ATTRIBUTE_TYPES,
    SPECIFICATION_LOCATION,
)
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import MetadataError

ELEMENT_TYPE = "zarr_dtype"
LINKS = "zarr_link"
OBJECT = "object"
BYTES = "bytes"
ASCII = "ascii"
SCALAR = "scalar"
VALUE = "value"
SCALAR_DIMENSION = "_scalar"
"""Dimension name of a scalar; xarray cannot open a group with an array without dimension names."""
RECORD = "_SCALAR"
"""Attribute of a scalar record with text or references: earlier releases need its fields and read one row."""
BYTES_TYPE = "_DTYPE"
"""Attribute with the type of elements that are stored as bytes and are no ASCII text."""

RESERVED_ATTRIBUTES = frozenset(
    {
        ELEMENT_TYPE,
        LINKS,
        RECORD,
        BYTES_TYPE,
        FIELD_TYPES,
        ARRAY_DIMENSIONS,
        ATTRIBUTE_TYPES,
        SPECIFICATION_LOCATION,
        STORED_CHUNKS,
        CHUNKS_GIVEN,
        ENUM_NAMES,
        NESTED_FIELDS,
        FILL_SETTINGS,
    }
)

RECORDED_TYPES = (BYTES, "isodatetime")

_ELEMENT_TYPES = {"object_reference": OBJECT, ASCII: BYTES, "isodatetime": BYTES}
"""HDMF name -> name in this convention, if they differ."""


class LegacyConvention(CommonConvention):
    """Zarr format 2, as hdmf-zarr 0.1 to 0.13 write and read it."""

    zarr_format = 2
    reserved = RESERVED_ATTRIBUTES
    links_word = LINKS

    def encode_reference(self, reference: Reference) -> JSON:
        """Return the value of an attribute that is a reference."""
        return {ELEMENT_TYPE: OBJECT, VALUE: dict(ZarrReference.of(reference))}

    def decode_reference(self, value: JSON) -> Reference | None:
        """Return the target of an attribute's value; None if the value is not a reference."""
        if not isinstance(value, Mapping) or value.get(ELEMENT_TYPE) != OBJECT:
            return None
        return reference_from_object(value.get(VALUE))

    def encode_element(self, reference: Reference | None) -> str:
        """Return an element of a dataset of references: the JSON text of an object."""
        return "" if reference is None else json.dumps(ZarrReference.of(reference))

    def decode_element(self, element: str) -> Reference | None:
        """Return the target of an element of a dataset of references; None for an empty reference."""
        if element == "":
            return None
        if not element.startswith("{"):
            return Reference(path=absolute(element))
        return reference_from_object(parsed_json(element, f"reference {element!r:.200}"))

    def encode_header(self, header: ArrayHeader) -> dict[str, JSON]:
        """Return the reserved attributes of an array."""
        attributes: dict[str, JSON] = {}
        if header.fields is not None:
            attributes[ELEMENT_TYPE] = [
                {"name": name, "dtype": _field_spelling(dtype)} for name, dtype in header.fields
            ]
            attributes |= {RECORD: True} if header.scalar else {}
        elif header.scalar:
            attributes[ELEMENT_TYPE] = SCALAR
        elif header.element_type is not None:
            attributes[ELEMENT_TYPE] = _ELEMENT_TYPES.get(header.element_type, header.element_type)
        if header.element_type in RECORDED_TYPES:
            attributes[BYTES_TYPE] = header.element_type
        if header.field_types:
            attributes[FIELD_TYPES] = dict(header.field_types)
        if header.are_chunks_given:
            attributes[CHUNKS_GIVEN] = True
        if header.enum_names:
            attributes[ENUM_NAMES] = dict(header.enum_names)
        if header.nesting is not None:
            attributes[NESTED_FIELDS] = header.nesting
        if header.fill_settings:
            attributes[FILL_SETTINGS] = dict(header.fill_settings)
        if header.dimension_names is not None:
            attributes[ARRAY_DIMENSIONS] = list(header.dimension_names)
        elif header.scalar:
            attributes[ARRAY_DIMENSIONS] = [SCALAR_DIMENSION]
        return attributes

    def decode_header(self, attributes: Mapping[str, JSON]) -> ArrayHeader:
        """Return the header in the reserved attributes of an array.

        Raises
        ------
        MetadataError
            If the type is neither a name nor a list of fields.
        """
        spelled = attributes.get(ELEMENT_TYPE)
        fields = None
        if isinstance(spelled, list):
            try:
                fields = tuple(_field(entry["name"], entry["dtype"]) for entry in spelled)
                if len(dict(fields)) < len(fields):
                    raise ValueError("two fields of one name")
            except (TypeError, KeyError, ValueError) as error:
                raise MetadataError(
                    f"attribute {ELEMENT_TYPE!r} must list names and dtypes, found {spelled!r:.200}"
                ) from error
        elif spelled is not None and not isinstance(spelled, str):
            raise MetadataError(
                f"attribute {ELEMENT_TYPE!r} must be a name or a list, found {spelled!r:.200}"
            )
        element_type = spelled if isinstance(spelled, str) and spelled != SCALAR else None
        recorded = attributes.get(BYTES_TYPE)
        if element_type in (None, BYTES) and recorded in RECORDED_TYPES:
            element_type = recorded
        elif element_type == BYTES:
            element_type = ASCII
        return ArrayHeader(
            element_type=element_type,
            fields=fields,
            reference_fields=tuple(name for name, dtype in fields or () if dtype == OBJECT),
            dimension_names=_dimension_names(attributes),
            field_types=field_types(attributes),
            bytes_type=ASCII,
            scalar=spelled == SCALAR or (fields is not None and attributes.get(RECORD) is True),
            are_chunks_given=attributes.get(CHUNKS_GIVEN) is True,
            enum_names=enum_names(attributes),
            nesting=nested_fields(attributes),
            fill_settings=fill_settings(attributes),
        )


BYTES_BEFORE_TEXT = 8
"""Number of bytes before the text of a cached specification: the number of texts, and its length."""


def padded(specification: str) -> str:
    """Append spaces to a cached specification, so that its whole file is UTF-8 text.

    The file of a specification was plain JSON up to release 0.13, and people and scripts search and edit it.
    Now eight bytes precede the JSON: the number of texts, and the length of this one. Up to 127 spaces keep
    the bytes of the length below 128.

    Examples
    --------
    >>> padded("{}"), len(padded("x" * 130))
    ('{}', 256)
    """
    length = len(specification.encode("utf-8"))
    wanted = (length | 0x7F) + 1 if length & 0x80 else length
    is_text = all(byte < 0x80 for byte in wanted.to_bytes(8, "little"))
    return specification + " " * (wanted - length if is_text else 0)


def unpadded(specification: str) -> str:
    """Return a cached specification without the spaces of `padded`."""
    bare = specification.rstrip(" ")
    return bare if padded(bare) == specification else specification


def _dimension_names(attributes: Mapping[str, JSON]) -> tuple[str | None, ...] | None:
    names = dimension_names(attributes)
    return None if names == (SCALAR_DIMENSION,) else names


def _field(name: JSON, dtype: JSON) -> tuple[str, str]:
    if not isinstance(name, str) or not isinstance(dtype, str):
        raise TypeError("a field is neither named nor typed by text")
    return name, dtype


def _field_spelling(dtype: str) -> str:
    return {"object_reference": OBJECT, "utf": "str", "ascii": "bytes_"}.get(dtype, dtype)
