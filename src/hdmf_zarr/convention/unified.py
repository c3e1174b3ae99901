"""The convention of Zarr format 3: every word that it writes to disk is defined here."""

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
from hdmf_zarr.convention.model import JSON, SELF, ArrayHeader, Reference
from hdmf_zarr.convention.references import absolute, reference_from_object
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import MetadataError

ELEMENT_TYPE = "_DTYPE"
LINKS = "_LINKS"
REFERENCE = "_REFERENCE"
REFERENCE_FIELDS = "_REFERENCE_FIELDS"
SCALAR = "_SCALAR"
COMPOUND_ELEMENT_TYPE = "_COMPOUND_DTYPE"
ATTRIBUTE_TYPES = "_ATTRIBUTE_DTYPES"
SPECIFICATION_LOCATION = ".specloc"
SPECIFICATION_GROUP = "specifications"

OBJECT_REFERENCE = "object_reference"

RESERVED_ATTRIBUTES = frozenset(
    {
        ELEMENT_TYPE,
        LINKS,
        REFERENCE_FIELDS,
        FIELD_TYPES,
        SCALAR,
        COMPOUND_ELEMENT_TYPE,
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


class UnifiedConvention(CommonConvention):
    """Zarr format 3, as hdmf-zarr 0.14 writes it."""

    zarr_format = 3
    reserved = RESERVED_ATTRIBUTES
    links_word = LINKS

    def encode_reference(self, reference: Reference) -> JSON:
        """Return the value of an attribute that is a reference."""
        return {REFERENCE: {"source": reference.source, "path": reference.path}}

    def decode_reference(self, value: JSON) -> Reference | None:
        """Return the target of an attribute's value; None if the value is not a reference."""
        if not isinstance(value, Mapping) or REFERENCE not in value:
            return None
        return reference_from_object(value[REFERENCE])

    def encode_element(self, reference: Reference | None) -> str:
        """Return an element of a dataset of references: a path, or a JSON object for another store."""
        if reference is None:
            return ""
        if reference.source == SELF:
            return reference.path
        return json.dumps({"source": reference.source, "path": reference.path})

    def decode_element(self, element: str) -> Reference | None:
        """Return the target of an element of a dataset of references; None for an empty reference."""
        if element == "":
            return None
        if element.startswith("{"):
            return reference_from_object(parsed_json(element, f"reference {element!r:.200}"))
        return Reference(path=absolute(element))

    def encode_header(self, header: ArrayHeader) -> dict[str, JSON]:
        """Return the reserved attributes of an array."""
        attributes: dict[str, JSON] = {}
        if header.element_type is not None:
            attributes[ELEMENT_TYPE] = header.element_type
        if header.reference_fields:
            attributes[REFERENCE_FIELDS] = list(header.reference_fields)
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
        return attributes

    def decode_header(self, attributes: Mapping[str, JSON]) -> ArrayHeader:
        """Return the header in the reserved attributes of an array.

        Raises
        ------
        MetadataError
            If an attribute is not a list of names.
        """
        element_type = attributes.get(ELEMENT_TYPE)
        fields = _names(attributes, REFERENCE_FIELDS) or ()
        if isinstance(compound := attributes.get(COMPOUND_ELEMENT_TYPE), list):
            entries = [
                entry.get("name")
                for entry in compound
                if isinstance(entry, Mapping) and entry.get("dtype") in (OBJECT_REFERENCE, "object")
            ]
            fields = fields or _names({COMPOUND_ELEMENT_TYPE: entries}, COMPOUND_ELEMENT_TYPE) or ()
        return ArrayHeader(
            element_type=element_type if isinstance(element_type, str) else None,
            reference_fields=fields,
            field_types=field_types(attributes),
            dimension_names=dimension_names(attributes),
            scalar=bool(attributes.get(SCALAR, False)),
            are_chunks_given=attributes.get(CHUNKS_GIVEN) is True,
            enum_names=enum_names(attributes),
            nesting=nested_fields(attributes),
            fill_settings=fill_settings(attributes),
        )


def specification_path(attributes: Mapping[str, JSON]) -> str | None:
    """Return the path of the group of cached specifications, without slashes at its ends, or None."""
    location = attributes.get(SPECIFICATION_LOCATION)
    if isinstance(location, Mapping):
        location = location.get(REFERENCE, location)
        location = location.get("path") if isinstance(location, Mapping) else None
    return location.strip("/") if isinstance(location, str) else None


def _names(attributes: Mapping[str, JSON], name: str) -> tuple[str, ...] | None:
    """Return an attribute that is a list of names; None if there is no such attribute."""
    names = attributes.get(name)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(entry, str) for entry in names):
        raise MetadataError(f"attribute {name!r} must be a list of names, found {names!r:.200}")
    return tuple(names)
