"""The element type of an array, from its document and its reserved attributes."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import zarr.dtype

from hdmf_zarr.codecs.registry import OBJECT_CODECS
from hdmf_zarr.convention import ArrayHeader
from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    BYTES_TYPE,
    ISODATETIME,
    REFERENCE,
    TEXT,
    ElementType,
    element_type_from_name,
    element_type_from_numpy,
)
from hdmf_zarr.errors import HDMFZarrError, MetadataError
from hdmf_zarr.metadata import array_document, format2
from hdmf_zarr.metadata.documents import is_big_endian

_TEXT_TYPES = {
    "object_reference": REFERENCE,
    "object": REFERENCE,
    "ascii": ASCII,
    "isodatetime": ISODATETIME,
    "bytes": ASCII,
}

_TYPES_IN_BYTES = {"ascii": ASCII, "isodatetime": ISODATETIME, "bytes": BYTES}
"""Types that elements stored as bytes, or recorded as bytes in a compound, may have."""


def element_type_of_array(document: dict[str, Any], header: ArrayHeader) -> ElementType:
    """Return the element type of an array, from its document and its reserved attributes.

    Raises
    ------
    MetadataError
        If zarr does not know the data type, or if the recorded type contradicts it.
    """
    try:
        stored = _stored_element_type(document, header)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        if isinstance(error, HDMFZarrError):
            raise
        raise MetadataError(
            f"data type {document.get('data_type')!r:.200} is not valid: {error!s:.200}"
        ) from error
    return stored if header.nesting is None else nested_type(stored, header.nesting)


def _stored_element_type(document: dict[str, Any], header: ArrayHeader) -> ElementType:
    if format2.BROKEN in document:
        return TEXT
    name = document["data_type"]
    if not isinstance(name, (str, dict)):
        raise MetadataError(f"data type {name!r:.200} is not known")
    name = name.get("name") if isinstance(name, dict) else name
    if header.fields is not None and name == "string":
        return _recorded_fields(header)
    _check_recorded_type(document, str(name), header)
    if name == "string" and header.scalar and _holds_references(document):
        return REFERENCE  # one text is stored as text
    if name == "string":
        return _TEXT_TYPES.get(header.element_type or "str", TEXT)
    if name == BYTES_TYPE:
        return _TYPES_IN_BYTES.get(header.element_type or header.bytes_type, BYTES)
    try:
        data_type = array_document.readable_document(document)["data_type"]
        element = _element_of_data_type(json.dumps(data_type))
    except (ValueError, KeyError, TypeError) as error:
        raise MetadataError(
            f"data type {document['data_type']!r:.200} is not known: {error}"
        ) from error
    if element.kind == "compound":
        return ElementType(
            "compound",
            fields=tuple(
                (field, _field_type(field, type_, header)) for field, type_ in element.fields
            ),
        )
    if element.kind == "text" and header.element_type:
        return _TEXT_TYPES.get(header.element_type, TEXT)
    if element.numpy is not None and is_big_endian(document):
        return ElementType(element.kind, element.numpy.newbyteorder(">"))
    return element


@lru_cache(maxsize=1024)
def _element_of_data_type(spelled: str) -> ElementType:
    data_type: Any = json.loads(spelled)
    dtype = zarr.dtype.parse_dtype(data_type, zarr_format=3).to_native_dtype()
    return element_type_from_numpy(cast("np.dtype[Any]", dtype))


def nested_type(flat: ElementType, nesting: list[Any]) -> ElementType:
    """Return the type of a nested compound whose leaves are the fields of a flat one.

    Parameters
    ----------
    flat : ElementType
        Flat type that is stored.
    nesting : list
        Structure of its fields (see `hdmf_zarr.core.nesting.nesting_of`).

    Raises
    ------
    MetadataError
        If the numbers of fields differ, or the elements of one array field have different types.
    """
    try:
        types = [field for _, field in flat.fields]
        element = _compound(nesting, types)
        if types:
            raise ValueError(f"{len(types)} fields are left over")
    except (IndexError, ValueError) as error:
        raise MetadataError(
            f"the fields {[name for name, _ in flat.fields]!r:.200} are none of a compound of "
            f"{nesting!r:.200}: {error}"
        ) from error
    return element


def _compound(nesting: list[Any], types: list[ElementType]) -> ElementType:
    """Return the compound of the first types in a list, which are removed from the list."""
    fields = []
    for entry in nesting:
        record = entry if isinstance(entry, dict) else {"name": entry}
        fields.append((record["name"], _nested_field(record, types)))
    return ElementType("compound", fields=tuple(fields))


def _nested_field(record: dict[str, Any], types: list[ElementType]) -> ElementType:
    shape = tuple(record.get("shape", ()))
    count = math.prod(shape)
    if count > len(types):
        raise IndexError(
            f"the field {record['name']!r:.100} has more elements than there are fields"
        )
    inside = record.get("fields")
    found = {types.pop(0) if inside is None else _compound(inside, types) for _ in range(count)}
    if len(found) != 1:
        raise ValueError(f"the elements of the array {record['name']!r:.100} are of several types")
    return replace(found.pop(), shape=shape)


def _recorded_fields(header: ArrayHeader) -> ElementType:
    """Return the recorded type of compounds whose rows are stored as objects."""
    types = []
    for name, spelled in header.fields or ():
        element = element_type_from_name(spelled) if spelled != "bytes_" else ASCII
        if element is ASCII:
            element = _bytes_in_rows((header.field_types or {}).get(name, "ascii"))
        if element is None:
            raise MetadataError(
                f"field {name!r} has the dtype {spelled!r}, which does not say its type"
            )
        types.append((name, element))
    return ElementType("compound", fields=tuple(types))


def _bytes_in_rows(recorded: str) -> ElementType:
    if re.fullmatch("S[1-9][0-9]{0,5}", recorded):
        return ElementType("fixed_bytes", np.dtype(recorded))
    return _TYPES_IN_BYTES.get(recorded, ASCII)


def _check_recorded_type(document: dict[str, Any], name: str, header: ArrayHeader) -> None:
    """Raise for a recorded type that the array cannot have, for example references in numbers."""
    holds_objects = name in ("string", BYTES_TYPE)
    if header.element_type in ("object", "object_reference") and not holds_objects:
        raise MetadataError(
            f"references are recorded for an array of {document['data_type']!r:.100}"
        )
    if header.fields is None:
        return
    if name not in ("struct", "structured"):
        raise MetadataError(
            f"a compound is recorded for an array of {document['data_type']!r:.100}"
        )
    stored = [
        field["name"] if isinstance(field, dict) else field[0]
        for field in document["data_type"]["configuration"]["fields"]
    ]
    recorded = [field for field, _ in header.fields]
    if stored != recorded:
        raise MetadataError(
            f"the fields {recorded!r:.200} are recorded for those of {stored!r:.200}"
        )


def _field_type(name: str, stored: ElementType, header: ArrayHeader) -> ElementType:
    if name in header.reference_fields:
        return REFERENCE
    recorded = (header.field_types or {}).get(name)
    if recorded == "bytes":
        return BYTES
    if recorded is not None and stored.kind == "text":
        return _TEXT_TYPES.get(recorded, TEXT)
    return stored


def _holds_references(document: dict[str, Any]) -> bool:
    return any(
        codec["name"] in OBJECT_CODECS and not (codec.get("configuration") or {}).get("is_text")
        for codec in document.get("codecs", ())
    )
