"""Compound attributes <-> JSON: an object with the values of each field.

``np.array([(1, (2.5,))], [("n", "i4"), ("p", [("x", "f8")])])`` is ``{"n": [1], "p.x": [2.5]}``, and its
record is ``'compound {"shape": [1], "fields": [["n", "int32"], ["p", [["x", "float64"]]]]}'``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.convention.model import JSON
from hdmf_zarr.core.dtypes import enum_names_of, is_number, with_enum_names
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.core.nesting import Leaf, at_leaf, leaf_dtype, leaves_of, number_of_leaves
from hdmf_zarr.errors import DtypeError

COMPOUND = "compound "
"""Record of compounds, followed by the shape and the fields as JSON."""

MOST_LEAVES = 4096
"""Largest number of leaves of a compound in an attribute."""

MOST_BYTES = 64 * 1024
"""Largest size in bytes of fixed-length text in a compound attribute; HDF5 stores more only densely."""

REFERENCE = "object_reference"
_MARK = "hdmf_zarr"

_OBJECTS: dict[str, np.dtype[Any]] = {
    "str": np.dtype("O", metadata={"vlen": str}),
    "bytes": np.dtype("O", metadata={"vlen": bytes}),
    REFERENCE: np.dtype("O", metadata={_MARK: REFERENCE}),
}
"""Dtypes of text and ASCII text, as h5py marks them, and of references in the JSON form of a convention."""

Encode = Callable[[npt.NDArray[Any]], JSON]
Decode = Callable[[JSON, np.dtype[Any]], Any]


def is_compound(value: Any) -> bool:
    """Whether a value is a compound or an array of compounds."""
    return isinstance(value, (np.void, np.ndarray)) and value.dtype.names is not None


def is_reference(dtype: np.dtype[Any]) -> bool:
    """Whether the elements of a leaf are references, of HDF5 or of a store."""
    special: Mapping[str, Any] = dtype.metadata or {}
    held = special.get("ref")
    return special.get(_MARK) == REFERENCE or getattr(held, "__name__", None) == "Reference"


def reference_leaves(dtype: np.dtype[Any]) -> list[Leaf]:
    """Return the leaves of a compound that are references."""
    return [leaf for leaf in leaves_of(dtype) if is_reference(leaf_dtype(dtype, leaf))]


def with_references(
    value: Any, convert: Callable[[Any], Any], reference: np.dtype[Any] | None = None
) -> Any:
    """Return compounds in which references are replaced by other objects.

    Parameters
    ----------
    value : numpy.void or numpy.ndarray
    convert : callable
        Function that returns the replacement of a reference.
    reference : numpy.dtype, optional
        Dtype of references in the new compounds.
    """
    values = np.asarray(value)
    dtype = _dtype_of(_fields_of(values.dtype), reference or _OBJECTS[REFERENCE])
    changed = np.empty(values.shape, dtype)
    for leaf in leaves_of(dtype):
        column = at_leaf(values, leaf)
        if is_reference(leaf_dtype(dtype, leaf)):
            objects = np.empty(column.size, dtype=object)
            objects[:] = [convert(entry) for entry in column.ravel()]
            column = objects.reshape(column.shape)
        at_leaf(changed, leaf)[...] = column
    return changed[()]


def encode_compound(value: Any, encode: Encode) -> tuple[JSON, str]:
    """Return the JSON of compounds, and the record of their dtype and shape.

    Parameters
    ----------
    value : numpy.void or numpy.ndarray
    encode : callable
        Function that returns the JSON of numbers or text of one dtype.

    Raises
    ------
    DtypeError
        If a leaf is neither a number nor text.
    """
    if number_of_leaves(value.dtype) > MOST_LEAVES:
        raise DtypeError(
            f"an attribute cannot have a compound of more than {MOST_LEAVES} numbers and texts; store it as "
            "a dataset"
        )
    values = np.asarray(value)
    said = {"shape": list(values.shape), "fields": _fields_of(values.dtype)}
    leaves = leaves_of(values.dtype)
    encoded = {leaf.name: encode(at_leaf(values, leaf)) for leaf in leaves}
    return encoded, COMPOUND + json.dumps(said)


def decode_compound(value: JSON, recorded: str, decode: Decode) -> Any:
    """Return compounds from their JSON; text is ``bytes``, as in h5py.

    Raises
    ------
    TypeError, ValueError
        If the JSON does not match the record.
    """
    said = parsed_json(recorded.removeprefix(COMPOUND), "the fields of a compound")
    dtype = _dtype_of(said["fields"], _OBJECTS[REFERENCE])
    if not isinstance(value, dict) or number_of_leaves(dtype) != len(value):
        raise ValueError("a compound has one entry for each leaf")
    shape = tuple(said["shape"])
    columns = [
        (leaf, decode(value[leaf.name], leaf_dtype(dtype, leaf))) for leaf in leaves_of(dtype)
    ]
    if any(np.shape(column) != shape for _, column in columns):
        raise ValueError("the entries of a compound have its shape")
    values = np.empty(shape, dtype)
    for leaf, column in columns:
        at_leaf(values, leaf)[...] = column
    return values[()]


def entries_in(value: JSON) -> Iterator[JSON]:
    """Yield the objects in the JSON of compounds; each may be a reference."""
    if not isinstance(value, (dict, list)):
        return
    for entry in value.values() if isinstance(value, dict) else value:
        if isinstance(entry, list):
            yield from entries_in(entry)
        elif isinstance(entry, dict):
            yield entry


def _fields_of(dtype: np.dtype[Any]) -> list[JSON]:
    found = []
    for name in dtype.names or ():
        base, shape = dtype[name].base, list(dtype[name].shape)
        try:
            kind = _fields_of(base) if base.names is not None else _name_of(base)
        except DtypeError as error:
            raise DtypeError(f"field {name!r} of the compound: {error}") from error
        found.append([name, kind, shape] if shape else [name, kind])
    return found


def _name_of(dtype: np.dtype[Any]) -> JSON:
    special: Mapping[str, Any] = dtype.metadata or {}
    marked = special.get("vlen")
    if is_reference(dtype):
        return REFERENCE
    if dtype.kind in "UT" or marked is str or marked is bytes:
        return "bytes" if marked is bytes else "str"
    if dtype.kind == "S":
        return dtype.str.lstrip("|")
    if marked is not None or not is_number(dtype):
        raise DtypeError(
            f"an attribute cannot have a compound with the dtype {dtype}; store it as a dataset"
        )
    names = enum_names_of(dtype)
    return {"enum": names, "dtype": dtype.name} if names else dtype.name


def _dtype_of(fields: list[JSON], reference: np.dtype[Any]) -> np.dtype[Any]:
    if not fields:
        raise ValueError("a compound has fields")
    return np.dtype(
        [(name, _dtype_named(kind, reference), tuple(*shape)) for name, kind, *shape in fields]
    )


def _dtype_named(kind: JSON, reference: np.dtype[Any]) -> np.dtype[Any]:
    if isinstance(kind, list):
        return _dtype_of(kind, reference)
    if isinstance(kind, dict):
        return with_enum_names(np.dtype(kind["dtype"]), kind["enum"])
    if kind in _OBJECTS:
        return reference if kind == REFERENCE else _OBJECTS[kind]
    dtype = np.dtype(kind)
    if not is_number(dtype) and (dtype.kind != "S" or dtype.itemsize > MOST_BYTES):
        raise ValueError(f"{kind!r:.100} is no type of numbers or text")
    return dtype
