"""What both conventions share: links as lists of objects, reserved words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hdmf_zarr.convention.model import JSON, SELF, Link
from hdmf_zarr.convention.references import absolute
from hdmf_zarr.errors import MetadataError

STORED_CHUNKS = "_STORED_CHUNKS"
"""Of an array: how many of its chunks there are (shards, where it has any).

Those that are not there read as the fill value. Of an array that has every chunk it is `EVERY_CHUNK`, so that
a lost one can be told. Other writers, which may leave some out, say nothing.
"""

EVERY_CHUNK = "all"
"""What `STORED_CHUNKS` is of an array that has every chunk."""

CHUNKS_GIVEN = "_CHUNKS_GIVEN"
"""Of an array whose chunks have the shape that its user asked for: ``true``. Rows that are appended keep it.

It is written only where the chunks are so small that they would otherwise grow with the array.
"""

ARRAY_DIMENSIONS = "_ARRAY_DIMENSIONS"
"""Names of dimensions where the format has no place for them, and where release 0.14 puts them."""

FIELD_TYPES = "_FIELD_DTYPES"
"""Of a compound: the fields whose type is not that of their storage."""


ENUM_NAMES = "_ENUM_NAMES"
"""Names of the values of an HDF5 enumeration, ``{"RED": 0}``; of a compound, those of each such field."""

NESTED_FIELDS = "_NESTED_FIELDS"
"""Of a compound with compounds or arrays in its fields: how its fields in the store belong together.

``["n", {"name": "p", "fields": ["x", "y"]}, {"name": "w", "shape": [2]}]`` has the fields ``n``, ``p.x``,
``p.y``, ``w[0]``, ``w[1]`` in the store, in this order.
"""

FILL_SETTINGS = "_HDF5_FILL_VALUE"
"""What HDF5 says of a fill value besides the value: ``{"value": "undefined", "time": "never"}``.

``value`` may be ``given`` for a zero that was set, and ``time`` may be ``alloc``.
"""

_FILL_WORDS = {"value": ("undefined", "given"), "time": ("alloc", "never")}


class CommonConvention:
    """Links and reserved attributes, under the words of a convention.

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
        """Attributes of a group that hold its links."""
        if not links:
            return {}
        entries = [{"name": link.name, "source": link.source, "path": link.path} for link in links]
        return {self.links_word: entries}

    def decode_links(self, attributes: Mapping[str, JSON]) -> tuple[Link, ...]:
        """Links of a group; extra keys of an entry are ignored.

        Raises
        ------
        MetadataError
            If the entry is not a list of objects with a name and a path.
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
        """The attributes without the reserved ones."""
        return {name: value for name, value in attributes.items() if name not in self.reserved}


def one_text(value: object) -> str | None:
    """Return the text that an attribute is, or that is alone in an array, as old MatNWB writes it; else None.

    Parameters
    ----------
    value : JSON or decoded value
        Of the attribute.
    """
    if isinstance(value, (list, np.ndarray)) and len(value) == 1:
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def data_type_of(attributes: Mapping[str, object]) -> str | None:
    """Return HDMF's data type of an object, by its attributes; None where it has none."""
    return one_text(attributes.get("neurodata_type", attributes.get("data_type")))


def full_type_of(attributes: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the namespace and the data type of an object, by its attributes; None where it lacks one."""
    namespace, data_type = one_text(attributes.get("namespace")), data_type_of(attributes)
    return None if namespace is None or data_type is None else (namespace, data_type)


def dimension_names(attributes: Mapping[str, JSON]) -> tuple[str | None, ...] | None:
    """Return the names of dimensions that releases recorded, or None where there are none.

    Specifications of extensions give lengths in their place, which were recorded as they are.
    """
    recorded = attributes.get(ARRAY_DIMENSIONS)
    if not isinstance(recorded, list):
        return None
    names = tuple(entry if isinstance(entry, str) else None for entry in recorded)
    return names if any(names) else None


def field_types(attributes: Mapping[str, JSON]) -> Mapping[str, str] | None:
    """Return the recorded types of a compound's fields, or None where there are none.

    Raises
    ------
    MetadataError
        If they are no names.
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
    """Return the recorded names of an enumeration, or of those in a compound, or None where there are none.

    Raises
    ------
    MetadataError
        If they are no names of integers.
    """
    recorded = attributes.get(ENUM_NAMES)
    if recorded is not None and not _is_enum(recorded) and not _is_object_of_enums(recorded):
        raise MetadataError(
            f"attribute {ENUM_NAMES!r} must be an object of integers, found {recorded!r:.200}"
        )
    return recorded


def fill_settings(attributes: Mapping[str, JSON]) -> Mapping[str, str] | None:
    """Return what is recorded of a fill value, or None where it is as any other.

    Raises
    ------
    MetadataError
        If it is in other words than those of HDF5.
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
    """Return how the fields of a compound belong together, or None where all of them are plain.

    Raises
    ------
    MetadataError
        If it is not a list of names and objects.
    """
    recorded = attributes.get(NESTED_FIELDS)
    if recorded is None:
        return None
    _check_nesting(recorded)
    checked: list[JSON] = recorded
    return checked


def _check_nesting(fields: JSON) -> None:
    names = [entry.get("name") if isinstance(entry, Mapping) else entry for entry in fields or ()]
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
