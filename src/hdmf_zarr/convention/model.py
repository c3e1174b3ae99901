"""The values that conventions encode and decode; pure, imports nothing of the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

JSON = Any
"""A value that ``json.dumps`` takes."""

SELF = "."
"""The ``source`` that means "this store"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The target of a reference.

    Attributes
    ----------
    source : str
        Where the target's store is, relative to the store that holds the reference; ``"."`` is that
        store itself.
    path : str
        Absolute path of the target in its store, with a leading slash.
    object_id : str or None
        Of the target, where the convention records it; two references to one place are equal all
        the same.
    source_object_id : str or None
        Of the root of the target's store.
    """

    source: str = SELF
    path: str
    object_id: str | None = field(default=None, compare=False)
    source_object_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A named link from a group to an object: its source, its path and its name in the group."""

    name: str
    source: str = SELF
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayHeader:
    """What the reserved attributes of an array say about its elements.

    Attributes
    ----------
    element_type : str or None
        HDMF name of the type (``"int16"``, ``"str"``, ``"ascii"``, ``"isodatetime"``, ``"bytes"``,
        ``"object_reference"``); None where the data type of the array says it all.
    reference_fields : tuple of str
        The fields of a compound whose elements are references.
    fields : tuple of (str, str), or None
        Name and type of each field of a compound, where the convention records them.
    field_types : mapping of str to str
        The fields of a compound whose type is not that of their storage (``{"label": "ascii"}``).
    dimension_names : tuple of str or None, or None
        Names recorded in an attribute rather than in Zarr's own place.
    scalar : bool
        True where an array of one element stands for a scalar.
    bytes_type : str
        What elements that are stored as bytes are, where no more is recorded of them.
    are_chunks_given : bool
        Whether a user asked for the shape of the chunks, and it could grow otherwise.
    enum_names : mapping, or None
        Names of the values of an HDF5 enumeration; of a compound, those of each field that is one.
    nesting : list, or None
        Of a compound whose fields hold compounds or arrays: how its fields in the store belong together.
    fill_settings : mapping of str to str, or None
        What HDF5 says of the fill value besides the value: that it is undefined, say.
    """

    element_type: str | None = None
    reference_fields: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] | None = None
    field_types: Mapping[str, str] | None = None
    dimension_names: tuple[str | None, ...] | None = None
    scalar: bool = False
    bytes_type: str = "bytes"
    are_chunks_given: bool = False
    enum_names: Mapping[str, JSON] | None = None
    nesting: list[JSON] | None = None
    fill_settings: Mapping[str, str] | None = None


class Convention(Protocol):
    """How HDMF's concepts are spelled in the metadata of one Zarr format."""

    zarr_format: int
    reserved: frozenset[str]

    def encode_links(self, links: Sequence[Link]) -> dict[str, JSON]:
        """Attributes of a group that hold its links."""

    def decode_links(self, attributes: Mapping[str, JSON]) -> tuple[Link, ...]:
        """Links of a group."""

    def encode_reference(self, reference: Reference) -> JSON:
        """Value of an attribute that is a reference."""

    def decode_reference(self, value: JSON) -> Reference | None:
        """Target of an attribute's value, or None where the value is not a reference."""

    def encode_element(self, reference: Reference | None) -> str:
        """Element of a dataset of references."""

    def decode_element(self, element: str) -> Reference | None:
        """Target of an element of a dataset of references; None where it refers to nothing."""

    def encode_header(self, header: ArrayHeader) -> dict[str, JSON]:
        """Reserved attributes of an array."""

    def decode_header(self, attributes: Mapping[str, JSON]) -> ArrayHeader:
        """What the reserved attributes of an array say."""

    def user_attributes(self, attributes: Mapping[str, JSON]) -> dict[str, JSON]:
        """The attributes without the reserved ones."""
