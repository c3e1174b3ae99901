"""Element types: HDMF name <-> numpy <-> Zarr data type; pure.

An `ElementType` describes the elements of a dataset as HDMF sees them. It holds more than a numpy dtype
(text, ASCII text, dates and references are all "object" to numpy) and less than a layout.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr.dtype
from zarr.errors import UnstableSpecificationWarning

from hdmf_zarr.core.nesting import leaf_dtype, leaves_of
from hdmf_zarr.errors import DtypeError, EncodingError

Kind = Literal[
    "number", "fixed_bytes", "text", "ascii", "isodatetime", "bytes", "reference", "compound"
]

TEXT_KINDS = frozenset({"text", "ascii", "isodatetime"})
"""Kinds whose elements are UTF-8 text in the store."""

BYTES_ELEMENT_KINDS = frozenset({"ascii", "isodatetime", "bytes"})
"""Kinds whose elements HDMF expects as ``bytes``, as h5py returns them."""


OBJECT_BYTES = 256
"""Estimated bytes of a text or a reference in memory; a reference as JSON takes 170."""

BYTES_TYPE = "variable_length_bytes"
"""Zarr data type of ``bytes``, and of text that is stored as bytes (in format 2)."""


@dataclass(frozen=True, slots=True)
class ElementType:
    """The type of one element of a dataset.

    Attributes
    ----------
    kind : str
        ``"number"`` (integers, floats, complex numbers, bool), ``"fixed_bytes"`` (numpy ``S``), ``"text"``,
        ``"ascii"``, ``"isodatetime"``, ``"bytes"`` (of variable length), ``"reference"`` or
        ``"compound"``.
    numpy : numpy.dtype or None
        Dtype of numbers and fixed bytes.
    fields : tuple of (str, ElementType)
        Names and types of the fields of a compound.
    shape : tuple of int
        Shape of a field that is an array of this type; empty for a dataset.
    """

    kind: Kind
    numpy: np.dtype[Any] | None = None
    fields: tuple[tuple[str, ElementType], ...] = ()
    shape: tuple[int, ...] = ()

    @property
    def is_nested(self) -> bool:
        """Whether a field of a compound is a compound or an array; Zarr has no type for these."""
        return any(field.kind == "compound" or field.shape for _, field in self.fields)

    @property
    def flat(self) -> ElementType:
        """The stored type: a compound has a field for each leaf (see `hdmf_zarr.core.nesting`)."""
        return _flat(self) if self.is_nested else self

    @property
    def entry(self) -> ElementType:
        """The element type of a field that is an array; otherwise the type itself."""
        return replace(self, shape=()) if self.shape else self

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kind of the elements, and for a compound the kinds of all its fields."""
        return frozenset({self.kind}).union(*(field.kinds for _, field in self.fields))

    @property
    def holds_variable(self) -> bool:
        """Whether a compound holds elements that differ in size."""
        return any(field.is_variable or field.holds_variable for _, field in self.fields)

    @property
    def is_variable(self) -> bool:
        """Whether elements differ in size; such a field of a compound needs a width from the data."""
        return self.kind not in ("number", "fixed_bytes", "compound")

    @property
    def memory_bytes(self) -> int:
        """Bytes of an element in memory; an estimate for text."""
        if self.shape:
            return math.prod(self.shape) * self.entry.memory_bytes
        if self.kind == "compound":
            return sum(field.memory_bytes for _, field in self.fields)
        return OBJECT_BYTES if self.memory_dtype.hasobject else self.memory_dtype.itemsize

    @property
    def memory_dtype(self) -> np.dtype[Any]:
        """Dtype of the arrays that hold these elements inside the package."""
        if self.shape:
            return np.dtype((self.entry.memory_dtype, self.shape))
        if self.kind == "compound":
            return np.dtype([(name, field.memory_dtype) for name, field in self.fields])
        return np.dtype(object) if self.numpy is None else self.numpy


@lru_cache(maxsize=128)
def _flat(element: ElementType) -> ElementType:
    """Return a compound with a field for each of its leaves."""
    leaves = leaves_of(element.memory_dtype)
    return ElementType(
        "compound", fields=tuple((leaf.name, _at(element, leaf.path)) for leaf in leaves)
    )


def _at(element: ElementType, path: Sequence[str | tuple[int, ...]]) -> ElementType:
    for step in path:
        element = dict(element.fields)[step] if isinstance(step, str) else element.entry
    return element


TEXT = ElementType("text")
ASCII = ElementType("ascii")
ISODATETIME = ElementType("isodatetime")
BYTES = ElementType("bytes")
REFERENCE = ElementType("reference")

_BYTES_ELEMENTS = {"isodatetime": ISODATETIME, "bytes": BYTES}
_KIND = "hdmf_zarr"
"""Key in the metadata of a builder's dtype: the kind of elements that h5py treats as ASCII text."""

_BY_NAME: dict[str, ElementType] = {
    # Widths are those of HDF5IO: "float" and "int" are 32 bits.
    "float": ElementType("number", np.dtype(np.float32)),
    "double": ElementType("number", np.dtype(np.float64)),
    "long": ElementType("number", np.dtype(np.int64)),
    "int": ElementType("number", np.dtype(np.int32)),
    "short": ElementType("number", np.dtype(np.int16)),
    "uint": ElementType("number", np.dtype(np.uint32)),
    "bool": ElementType("number", np.dtype(np.bool_)),
    "text": TEXT,
    "utf": TEXT,
    "utf8": TEXT,
    "utf-8": TEXT,
    "str": TEXT,
    "str_": TEXT,
    "ascii": ASCII,
    "bytes": BYTES,
    "isodatetime": ISODATETIME,
    "datetime": ISODATETIME,
    "date": ISODATETIME,
    "object": REFERENCE,
    "object_reference": REFERENCE,
    **{
        name: ElementType("number", np.dtype(name))
        for name in (
            *("int8", "int16", "int32", "int64"),
            *("uint8", "uint16", "uint32", "uint64"),
            *("float16", "float32", "float64", "complex64", "complex128"),
        )
    },
}

_LARGEST_NUMBER = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}
"""Bytes of Zarr's largest type of a kind; Zarr has no extended precision."""

DATA_DECIDES = frozenset({"numeric", "any"})
"""Names of specifications that leave the type to the data."""

_HEADER_NAMES: dict[Kind, str] = {
    "text": "str",
    "ascii": "ascii",
    "isodatetime": "isodatetime",
    "bytes": "bytes",
    "reference": "object_reference",
}


def element_type_from_name(name: str) -> ElementType | None:
    """Return the element type for the dtype name of a specification.

    Returns
    -------
    ElementType or None
        None if the name leaves the type to the data (``"numeric"``).

    Raises
    ------
    DtypeError
        If the name is unknown; there is no default type.
    """
    if name in DATA_DECIDES:
        return None
    if name in _BY_NAME:
        return _BY_NAME[name]
    try:
        return element_type_from_numpy(np.dtype(name))
    except TypeError:
        known = ", ".join(sorted({*_BY_NAME, *DATA_DECIDES}))
        raise DtypeError(f"unknown dtype {name!r}; known are: {known}") from None


def element_type_from_numpy(dtype: np.dtype[Any]) -> ElementType:
    """Return the element type of a numpy dtype, h5py's special ones included.

    Raises
    ------
    DtypeError
        If the dtype has no element type: extended precision, sub-arrays, dates of numpy.
    """
    if dtype.names is not None:
        fields = tuple((name, _type_of_field(name, dtype[name])) for name in dtype.names)
        return ElementType("compound", fields=fields)
    special: Mapping[str, Any] = dtype.metadata or {}
    if special.get("vlen") is str:
        return TEXT
    if special.get("vlen") is bytes:
        return _BYTES_ELEMENTS.get(special.get(_KIND, ""), ASCII)
    if "ref" in special and special["ref"].__name__ == "Reference":
        return REFERENCE
    if dtype.kind in "UT":
        return TEXT
    if dtype.kind == "S":
        return ElementType("fixed_bytes", dtype)
    if is_number(dtype) and dtype.subdtype is None and "vlen" not in special:
        # Drops metadata of the dtype, for example the names of an enumeration.
        return ElementType("number", np.dtype(dtype.str))
    raise DtypeError(f"{_description(dtype)} cannot be stored; {_advice(dtype)}")


def _type_of_field(name: str, dtype: np.dtype[Any]) -> ElementType:
    try:
        return _held_in_field(dtype)
    except DtypeError as error:
        raise DtypeError(f"field {name!r} of the compound: {error}") from error


def _held_in_field(dtype: np.dtype[Any]) -> ElementType:
    return replace(element_type_from_numpy(dtype.base), shape=dtype.shape)


def _advice(dtype: np.dtype[Any]) -> str:
    """Return advice for elements that cannot be stored."""
    special: Mapping[str, Any] = dtype.metadata or {}
    if "ref" in special:
        return "refer to the whole object, or leave the dataset out"
    if "vlen" in special:
        return "store them one after the other, with an index of where each ends (a ragged column)"
    if dtype.subdtype is not None:
        return "make each of their numbers a field, or store them as a dataset of their own"
    return "convert them to a type of numbers or text, or leave the dataset out"


def _description(dtype: np.dtype[Any]) -> str:
    """Describe elements; numpy reports types that h5py only marks as "object"."""
    special: Mapping[str, Any] = dtype.metadata or {}
    if "ref" in special:
        return "region references"
    if "vlen" in special:
        return f"arrays of variable length, of {special['vlen']},"
    if dtype.subdtype is not None:
        return f"arrays of the shape {dtype.shape}, of {dtype.base},"
    if dtype.kind == "V":
        return f"opaque bytes ({dtype.itemsize} in each element)"
    return f"elements of dtype {dtype!r}"


def enum_names_of(dtype: Any) -> dict[str, Any]:
    """Return the names of an enumeration with their values; for a compound, those of each such leaf.

    h5py marks a dtype with the names. Any other type has none. Leaves are named as in `leaves_of`.
    """
    if not isinstance(dtype, np.dtype):
        return {}
    if dtype.names is not None:
        fields = {leaf.name: enum_names_of(leaf_dtype(dtype, leaf)) for leaf in leaves_of(dtype)}
        return {name: names for name, names in fields.items() if names}
    special: Mapping[str, Any] = dtype.metadata or {}
    return {name: int(value) for name, value in (special.get("enum") or {}).items()}


def with_enum_names(dtype: np.dtype[Any], names: Mapping[str, Any] | None) -> np.dtype[Any]:
    """Return a dtype whose integers, or integer fields, are marked as h5py marks enumerations."""
    if not names:
        return dtype
    if dtype.names is not None:
        by_path = {leaf.path: names.get(leaf.name) for leaf in leaves_of(dtype)}
        return _with_names_at(dtype, (), by_path)
    return np.dtype(dtype.str, metadata={"enum": dict(names)}) if dtype.kind in "iu" else dtype


def _with_names_at(
    dtype: np.dtype[Any], path: tuple[Any, ...], names: Mapping[Any, Any]
) -> np.dtype[Any]:
    if dtype.subdtype is not None:
        first = (0,) * len(dtype.shape)  # all elements of an array are of one type
        return np.dtype((_with_names_at(dtype.base, (*path, first), names), dtype.shape))
    if dtype.names is not None:
        fields = [(name, _with_names_at(dtype[name], (*path, name), names)) for name in dtype.names]
        return np.dtype(fields)
    return with_enum_names(dtype, names[path])


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether the elements of a dtype are numbers or booleans that a store holds unchanged."""
    return dtype.itemsize <= _LARGEST_NUMBER.get(dtype.kind, -1)


def element_type_from_compound(
    entries: Sequence[Any], data_dtype: np.dtype[Any] | None
) -> ElementType:
    """Return the type of a compound in a builder's form: a list of names with dtypes.

    Parameters
    ----------
    entries : sequence
        ``DtypeSpec`` objects or mappings, each with ``"name"`` and ``"dtype"``.
    data_dtype : numpy.dtype or None
        Dtype of the data, which has widths that the entries lack.

    Raises
    ------
    DtypeError
        If a field has an unknown dtype; the message names it.
    """
    fields = []
    for position, entry in enumerate(entries):
        name = entry["name"]
        try:
            fields.append((name, _field_type(entry["dtype"], name, position, data_dtype)))
        except DtypeError as error:
            raise DtypeError(f"field {name!r} of the compound: {error}") from error
    return ElementType("compound", fields=tuple(fields))


def _field_type(
    spec: Any, name: str, position: int, data_dtype: np.dtype[Any] | None
) -> ElementType:
    names = data_dtype.names if data_dtype is not None else None
    from_data = None
    if names is not None and data_dtype is not None:
        held = data_dtype[name] if name in names else data_dtype[position]
        if held.kind != "O" or held.metadata:
            from_data = _held_in_field(held)
    declared = declared_element_type(spec)
    if declared is None:
        if from_data is None:
            raise DtypeError(f"dtype {spec!r} leaves the type to data that have none")
        return from_data
    if from_data is None:
        return declared
    if from_data.kind == "fixed_bytes" and declared.numpy is None:
        return from_data
    if declared.kind == "fixed_bytes":
        return from_data
    return replace(declared, shape=from_data.shape)


def declared_element_type(dtype: Any) -> ElementType | None:
    """Return the element type that a builder's or a field's ``dtype`` declares.

    Parameters
    ----------
    dtype : None, str, type, numpy.dtype, mapping, RefSpec or list

    Returns
    -------
    ElementType or None
        None if the data decide.
    """
    if dtype is None or dtype is object:
        return None
    if isinstance(dtype, str):
        if dtype in ("bytes_", "void"):
            return None
        return element_type_from_name(dtype)
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O" and not dtype.metadata:
            return None
        return element_type_from_numpy(dtype)
    if isinstance(dtype, type):
        if issubclass(dtype, (str, np.str_)):
            return TEXT
        if issubclass(dtype, (bytes, np.bytes_)):
            return None
        return element_type_from_numpy(np.dtype(dtype))
    if isinstance(dtype, Mapping) and "reftype" in dtype:
        return element_type_from_name(dtype["reftype"])
    if isinstance(dtype, Mapping) and "dtype" in dtype:
        return declared_element_type(dtype["dtype"])
    raise DtypeError(f"unknown dtype {dtype!r}")


def header_name(element: ElementType) -> str | None:
    """Return the value of ``_DTYPE`` for an element type; None for compounds."""
    if element.kind == "compound":
        return None
    if element.numpy is not None:
        return element.numpy.name
    return _HEADER_NAMES[element.kind]


def stored_dtype(element: ElementType, widths: Mapping[str, int] | None = None) -> Any:
    """Return the Zarr data type (of format 3) in which elements are stored.

    Parameters
    ----------
    element : ElementType
    widths : mapping of str to int, optional
        Number of characters that each variable field of a compound needs.
    """
    if element.kind in TEXT_KINDS or element.kind == "reference":
        return zarr.dtype.VariableLengthUTF8()
    if element.kind == "bytes":
        return zarr.dtype.VariableLengthBytes()
    return _parsed_dtype(stored_numpy_dtype(element, widths or {}))


@cache
def _parsed_dtype(dtype: np.dtype[Any]) -> Any:
    with warnings.catch_warnings():
        # See `hdmf_zarr.metadata.array_document`.
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        return zarr.dtype.parse_dtype(dtype, zarr_format=3)


def stored_numpy_dtype(element: ElementType, widths: Mapping[str, int]) -> np.dtype[Any]:
    """Return the numpy dtype of encoded numbers, fixed bytes and compounds."""
    if element.kind == "compound":
        fields: list[Any] = []
        for name, field in element.flat.fields:
            if field.kind == "bytes":
                fields.append((name, f"S{max(widths.get(name, 1), 1)}"))
            elif field.is_variable:
                fields.append((name, f"<U{max(widths.get(name, 1), 1)}"))
            else:
                fields.append((name, stored_numpy_dtype(field, widths)))
        return np.dtype(fields)
    if element.numpy is None:
        raise DtypeError(f"elements of kind {element.kind!r} have no numpy dtype")
    # An empty column of bytes has the dtype S0; Zarr requires at least one byte.
    return np.dtype("S1") if element.numpy.itemsize == 0 else element.numpy


@lru_cache(maxsize=1024)
def _vlen_dtype(kind: Kind) -> np.dtype[Any]:
    """Return the dtype with which h5py and HDMF mark text (`str`) and ASCII text (`bytes`).

    For h5py and HDMF dates and bytes are also ASCII text; an export needs the exact kind.
    """
    if kind not in BYTES_ELEMENT_KINDS:
        return np.dtype("O", metadata={"vlen": str})
    more = {_KIND: kind} if kind != "ascii" else {}
    return np.dtype("O", metadata={"vlen": bytes, **more})


def builder_dtype(element: ElementType) -> Any:
    """Return a builder's ``dtype`` for an element type, as HDF5IO sets it."""
    if element.kind == "compound":
        return [{"name": name, "dtype": field_dtype_name(field)} for name, field in element.fields]
    if element.kind == "reference":
        return "object"
    if element.numpy is not None:
        return element.numpy
    return _vlen_dtype(element.kind)


def field_dtype_name(field: ElementType) -> str:
    """Return HDMF's name of a compound field's type, as HDF5IO sets it."""
    if field.kind == "compound" or field.shape:
        return "void"
    if field.kind == "reference":
        return "object"
    if field.kind == "text":
        return "utf"
    if field.kind in BYTES_ELEMENT_KINDS:
        return "ascii"
    assert field.numpy is not None
    return field.numpy.type.__name__


def check_not_masked(data: Any) -> None:
    """Raise `EncodingError` if elements are masked: a store has no mask, and masked values are arbitrary."""
    if not isinstance(data, np.ma.MaskedArray):
        return
    mask = np.ma.getmask(data)
    flat = np.ma.flatten_mask(mask) if mask.dtype.names else mask
    if flat.any():
        raise EncodingError(
            "some elements are masked, and a store has no mask: choose what is stored in their place "
            "(numpy.ma.filled)"
        )


def text_of_date(value: date) -> str:
    """Return the ISO 8601 text of a date, or of a date with a time.

    Raises
    ------
    EncodingError
        If the date is pandas' "not a time".
    """
    if value != value:
        raise EncodingError(
            "NaT is no date; leave the value out, or choose what is stored in its place"
        )
    return value.isoformat()


def as_bytes_elements(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert an object array of text to an object array of UTF-8 encoded ``bytes``."""
    encoded = np.empty(values.size, dtype=object)
    encoded[:] = [
        element.encode("utf-8") if isinstance(element, str) else element
        for element in values.ravel()
    ]
    return encoded.reshape(values.shape)
