"""What both conventions share: links as lists of objects, reserved words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hdmf_zarr.convention.model import JSON, SELF, Link
from hdmf_zarr.convention.references import absolute
from hdmf_zarr.errors import MetadataError

STORED_CHUNKS = "_STORED_CHUNKS"
"""Attribute of an array: the number of its stored chunks, or shards if it has any.

Missing chunks read as the fill value. The value is `EVERY_CHUNK` for an array with every chunk, so that the
loss of a chunk is detected. Other writers, which may omit chunks, do not record the number.
"""

EVERY_CHUNK = "all"
"""Value of `STORED_CHUNKS` for an array that has every chunk."""

CHUNKS_GIVEN = "_CHUNKS_GIVEN"
"""Attribute of an array whose user chose the chunk shape: ``true``. Appended rows keep the shape.

It is written only if the chunks are so small that they would otherwise grow with the array.
"""

ARRAY_DIMENSIONS = "_ARRAY_DIMENSIONS"
"""Attribute with the names of dimensions: in formats without a place for them, and in release 0.14."""

FIELD_TYPES = "_FIELD_DTYPES"
"""Attribute of a compound: the fields whose type is not that of their storage."""


ENUM_NAMES = "_ENUM_NAMES"
"""Attribute with the value names of an HDF5 enumeration, ``{"RED": 0}``, or those of a compound's fields."""

NESTED_FIELDS = "_NESTED_FIELDS"
"""Attribute of a compound with compounds or arrays in its fields: the nesting of its stored fields.

``["n", {"name": "p", "fields": ["x", "y"]}, {"name": "w", "shape": [2]}]`` has the fields ``n``, ``p.x``,
``p.y``, ``w[0]``, ``w[1]`` in the store, in this order.
"""

FILL_SETTINGS = "_HDF5_FILL_VALUE"
"""Attribute with HDF5's settings of a fill value: ``{"value": "undefined", "time": "never"}``.

``value`` may be ``given`` for a zero that was set, and ``time`` may be ``alloc``.
"""

_FILL_WORDS = {"value": ("undefined", "given"), "time": ("alloc", "never")}


class CommonConvention:
    """Links and reserved attributes, with the attribute names of a convention.

    Attributes
    ----------
    links_word : str
        Attribute of a group that holds its links.
    reserved : frozenset of str
        Attributes that belong to the convention.
    """

    links_word: str
    reserved: frozenset[str]

    def encode_links(self, links: Sequence[Link]) -> dict[str, JSON]:
        """Return the attributes of a group that hold its links."""
        if not links:
            return {}
        entries = [{"name": link.name, "source": link.source, "path": link.path} for link in links]
        return {self.links_word: entries}

    def decode_links(self, attributes: Mapping[str, JSON]) -> tuple[Link, ...]:
        """Return the links of a group; extra keys of an entry are ignored.

        Raises
        ------
        MetadataError
            If the attribute is not a list of objects with a name and a path.
        """
        entries = attributes.get(self.links_word, [])
        try:
            return tuple(_link(entry) for entry in _checked_list(entries))
        except (TypeError, KeyError, AttributeError) as error:
            raise MetadataError(
                f"attribute {self.links_word!r} must be a list of objects with 'name', 'source' and "
                f"'path', found {entries!r:.200}"
            ) from error

    def user_attributes(self, attributes: Mapping[str, JSON]) -> dict[str, JSON]:
        """Return the attributes without the reserved ones."""
        return {name: value for name, value in attributes.items() if name not in self.reserved}


def one_text(value: object) -> str | None:
    """Return the text of an attribute, or of an array of one text, as old MatNWB writes it; otherwise None.

    Parameters
    ----------
    value : JSON or decoded value
        Value of the attribute.
    """
    if isinstance(value, (list, np.ndarray)) and len(value) == 1:
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def data_type_of(attributes: Mapping[str, object]) -> str | None:
    """Return HDMF's data type of an object from its attributes; None if it has none."""
    return one_text(attributes.get("neurodata_type", attributes.get("data_type")))


def full_type_of(attributes: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the namespace and the data type of an object from its attributes; None if one is missing."""
    namespace, data_type = one_text(attributes.get("namespace")), data_type_of(attributes)
    return None if namespace is None or data_type is None else (namespace, data_type)


def dimension_names(attributes: Mapping[str, JSON]) -> tuple[str | None, ...] | None:
    """Return the dimension names that earlier releases recorded; None if there are none.

    Specifications of extensions may have lengths instead of names; these were recorded unchanged.
    """
    recorded = attributes.get(ARRAY_DIMENSIONS)
    if not isinstance(recorded, list):
        return None
    names = tuple(entry if isinstance(entry, str) else None for entry in recorded)
    return names if any(names) else None


def field_types(attributes: Mapping[str, JSON]) -> Mapping[str, str] | None:
    """Return the recorded types of a compound's fields; None if there are none.

    Raises
    ------
    MetadataError
        If the types are not names.
    """
    recorded = attributes.get(FIELD_TYPES)
    if recorded is not None and not (
        isinstance(recorded, Mapping) and all(isinstance(name, str) for name in recorded.values())
    ):
        raise MetadataError(
            f"attribute {FIELD_TYPES!r} must be an object of names, found {recorded!r:.200}"
        )
    return recorded


def enum_names(attributes: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
    """Return the recorded names of an enumeration, or of those in a compound; None if there are none.

    Raises
    ------
    MetadataError
        If the record does not map names to integers.
    """
    recorded = attributes.get(ENUM_NAMES)
    if recorded is not None and not _is_enum(recorded) and not _is_object_of_enums(recorded):
        raise MetadataError(
            f"attribute {ENUM_NAMES!r} must be an object of integers, found {recorded!r:.200}"
        )
    return recorded


def fill_settings(attributes: Mapping[str, JSON]) -> Mapping[str, str] | None:
    """Return the recorded settings of a fill value; None if there are none.

    Raises
    ------
    MetadataError
        If a setting is not one of HDF5's.
    """
    recorded = attributes.get(FILL_SETTINGS)
    if recorded is not None and not (
        isinstance(recorded, Mapping)
        and all(value in _FILL_WORDS.get(name, ()) for name, value in recorded.items())
    ):
        raise MetadataError(
            f"attribute {FILL_SETTINGS!r} must have values out of {_FILL_WORDS}, found {recorded!r:.200}"
        )
    return recorded


def nested_fields(attributes: Mapping[str, JSON]) -> list[JSON] | None:
    """Return the nesting of a compound's fields; None if all of them are plain.

    Raises
    ------
    MetadataError
        If the record is not a list of names and objects.
    """
    recorded = attributes.get(NESTED_FIELDS)
    if recorded is None:
        return None
    _check_nesting(recorded)
    checked: list[JSON] = recorded
    return checked


def _check_nesting(fields: JSON) -> None:
    entries = fields if isinstance(fields, list) else ()
    names = [entry.get("name") if isinstance(entry, Mapping) else entry for entry in entries]
    is_list = isinstance(fields, list) and all(isinstance(name, str) for name in names)
    if not is_list or len(set(names)) != len(names) or not names:
        raise MetadataError(
            f"attribute {NESTED_FIELDS!r} must be a list of fields, each with a name of its own, found "
            f"{fields!r:.200}"
        )
    for entry in fields:
        if isinstance(entry, Mapping):
            _check_nested_entry(entry)


def _check_nested_entry(entry: Mapping[str, JSON]) -> None:
    shape = entry.get("shape", [])
    sizes = shape if isinstance(shape, list) else [None]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise MetadataError(
            f"attribute {NESTED_FIELDS!r}: a shape is a list of positive integers, found {shape!r:.200}"
        )
    if "fields" in entry:
        _check_nesting(entry["fields"])


def _is_enum(value: JSON) -> bool:
    return isinstance(value, Mapping) and all(type(number) is int for number in value.values())


def _is_object_of_enums(value: JSON) -> bool:
    return isinstance(value, Mapping) and all(map(_is_enum, value.values()))


def _link(entry: JSON) -> Link:
    return Link(
        name=_text(entry["name"]),
        source=_text(entry.get("source") or SELF),
        path=absolute(_text(entry["path"])),
    )


def _checked_list(entries: JSON) -> list[JSON]:
    if not isinstance(entries, list):
        raise TypeError(f"expected a list, found {type(entries).__name__}")
    return entries


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r:.100}")
    return value
