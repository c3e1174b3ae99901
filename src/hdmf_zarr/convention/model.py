"""The values that conventions encode and decode; pure, imports nothing of the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

JSON = Any
"""A value that ``json.dumps`` accepts."""

SELF = "."
"""The ``source`` that means "this store"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The target of a reference.

    Attributes
    ----------
    source : str
        Location of the target's store, relative to the store that holds the reference; ``"."`` is
        that store itself.
    path : str
        Absolute path of the target in its store, with a leading slash.
    object_id : str or None
        Object id of the target, if the convention records it; ignored when references are compared.
    source_object_id : str or None
        Object id of the root of the target's store; ignored when references are compared.
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
    """The content of an array's reserved attributes, which describe its elements.

    Attributes
    ----------
    element_type : str or None
        HDMF name of the type (``"int16"``, ``"str"``, ``"ascii"``, ``"isodatetime"``, ``"bytes"``,
        ``"object_reference"``); None if the data type of the array determines it.
    reference_fields : tuple of str
        Fields of a compound whose elements are references.
    fields : tuple of (str, str), or None
        Name and type of each field of a compound, if the convention records them.
    field_types : mapping of str to str
        Fields of a compound whose type is not that of their storage (``{"label": "ascii"}``).
    dimension_names : tuple of str or None, or None
        Dimension names recorded in an attribute instead of Zarr's own field.
    scalar : bool
        Whether an array of one element represents a scalar.
    bytes_type : str
        Type of elements that are stored as bytes, unless a type is recorded.
    are_chunks_given : bool
        Whether a user chose the chunk shape, which could grow otherwise.
    enum_names : mapping, or None
        Value names of an HDF5 enumeration, or of each such field of a compound.
    nesting : list, or None
        Nesting of the stored fields of a compound whose fields hold compounds or arrays.
    fill_settings : mapping of str to str, or None
        HDF5's settings of the fill value, for example that it is undefined.
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
    """How HDMF's concepts are written in the metadata of one Zarr format."""

    zarr_format: int
    reserved: frozenset[str]

    def encode_links(self, links: Sequence[Link]) -> dict[str, JSON]:
        """Return the attributes of a group that hold its links."""

    def decode_links(self, attributes: Mapping[str, JSON]) -> tuple[Link, ...]:
        """Return the links of a group."""

    def encode_reference(self, reference: Reference) -> JSON:
        """Return the value of an attribute that is a reference."""

    def decode_reference(self, value: JSON) -> Reference | None:
        """Return the target of an attribute's value; None if the value is not a reference."""

    def encode_element(self, reference: Reference | None) -> str:
        """Return an element of a dataset of references."""

    def decode_element(self, element: str) -> Reference | None:
        """Return the target of an element of a dataset of references; None for an empty reference."""

    def encode_header(self, header: ArrayHeader) -> dict[str, JSON]:
        """Return the reserved attributes of an array."""

    def decode_header(self, attributes: Mapping[str, JSON]) -> ArrayHeader:
        """Return the header in the reserved attributes of an array."""

    def user_attributes(self, attributes: Mapping[str, JSON]) -> dict[str, JSON]:
        """Return the attributes without the reserved ones."""
