"""Arrays of elements: as users and files supply them <-> in memory <-> as Zarr stores them.

In memory an array has `ElementType.memory_dtype`: numbers unchanged, text as objects of ``str``,
ASCII text and bytes as objects of ``bytes``, references as objects of ``str`` (the text of the
element on disk), compounds as records of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from hdmf.build import Builder, ReferenceBuilder
from hdmf.container import AbstractContainer
from hdmf.utils import StrDataset

from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    BYTES_ELEMENT_KINDS,
    ISODATETIME,
    REFERENCE,
    TEXT,
    TEXT_KINDS,
    ElementType,
    as_bytes_elements,
    check_not_masked,
    element_type_from_numpy,
    text_of_date,
)
from hdmf_zarr.core.limits import check_text_length
from hdmf_zarr.core.nesting import at_leaf, flattened, leaves_of, nested, number_of_leaves
from hdmf_zarr.errors import DtypeError, EncodingError, MetadataError

REFERENCE_TYPES = (ReferenceBuilder, Builder, AbstractContainer)

_ROW_TYPES = (tuple, list, np.void, np.ndarray)

ReferenceText = Callable[[Any], str]
"""Function that returns the text with which a dataset of references refers to a builder or container."""

TEXT_BYTES = 64
"""Estimated number of bytes of a text element of unknown length."""


def infer_element_type(data: Any) -> ElementType:
    """Infer the element type of data without a declared type.

    Raises
    ------
    DtypeError
        If the data have no common type that can be stored.
    """
    leaf = first_leaf(data)
    if isinstance(leaf, (datetime, date)):
        return ISODATETIME
    if isinstance(leaf, REFERENCE_TYPES):
        return REFERENCE
    if isinstance(data, (bytes, bytearray)):
        return ASCII
    if isinstance(data, str):
        return TEXT
    dtype = getattr(data, "dtype", None)
    if isinstance(data, np.ndarray) and data.dtype.kind == "S" and data.size:
        return ASCII  # of any length, as in HDF5IO
    if isinstance(dtype, np.dtype) and (dtype.kind != "O" or dtype.metadata):
        return element_type_from_numpy(dtype)
    if isinstance(leaf, (bytes, np.bytes_)):
        return ASCII
    if isinstance(leaf, str):
        return TEXT
    if leaf is None and _length(data) == 0:
        return element_type_from_numpy(np.dtype(np.float64))
    numbers = _as_numbers(data)
    if numbers.dtype.kind == "O" and isinstance(leaf, (float, np.floating)):
        return element_type_from_numpy(np.dtype(np.float64))  # some elements are None
    return element_type_from_numpy(numbers.dtype)


def first_leaf(data: Any) -> Any:
    """Return the first element of nested sequences that is not None, or None if there is none."""
    if isinstance(data, (str, bytes, *REFERENCE_TYPES, StrDataset)):
        return data
    if isinstance(data, np.ndarray):
        if data.dtype.kind != "O":
            return data.flat[0] if data.size else None
        data = data.ravel()
    if isinstance(data, (list, tuple, np.ndarray)):
        for entry in data:
            leaf = first_leaf(entry)
            if leaf is not None:
                return leaf
        return None
    return data


def to_memory(data: Any, element: ElementType, reference_text: ReferenceText) -> npt.NDArray[Any]:
    """Convert data of any kind to an array in the element type's form in memory.

    Parameters
    ----------
    data : scalar, sequence or array of shape ``(...)``
    element : ElementType
    reference_text : callable
        Function that returns the text of a reference, see `ReferenceText`.

    Raises
    ------
    EncodingError
        If an element does not fit the type, or is masked, or the data are ragged.
    """
    check_not_masked(data)
    if element.kind == "compound":
        return _records(data, element, reference_text)
    if element.kind == "reference":
        return _map_objects(data, lambda entry: "" if entry is None else reference_text(entry))
    if element.kind in BYTES_ELEMENT_KINDS:
        return _map_objects(data, _to_bytes)
    if element.kind == "text":
        return _map_objects(data, _to_text)
    assert element.numpy is not None
    if element.kind == "fixed_bytes":
        return _fixed_bytes(data, element.numpy)
    return _numbers(data, element.numpy)


def encode_elements(
    values: npt.NDArray[Any], element: ElementType, dtype: np.dtype[Any] | None = None
) -> npt.NDArray[Any]:
    """Convert an array in memory to the form in which Zarr stores it; inverse of `decode_elements`.

    Parameters
    ----------
    values : numpy.ndarray of shape ``(...)``
        Array with ``element.memory_dtype``.
    element : ElementType
    dtype : numpy.dtype, optional
        Stored dtype of a compound, with the width of each text.

    Raises
    ------
    EncodingError
        If text cannot be encoded, or does not fit the width of its field.
    """
    if element.kind in ("ascii", "isodatetime"):
        return _map_objects(values, _bytes_to_text)
    if element.kind in ("text", "reference"):
        return _map_objects(values, _checked_text)
    if element.kind != "compound":
        return values
    if element.is_nested:
        return encode_elements(flattened(values, element.flat.memory_dtype), element.flat, dtype)
    if dtype is None:
        return _texts_of_records(values, element)
    encoded = np.zeros(values.shape, dtype=dtype)
    for name, field in element.fields:
        column = values[name]
        if field.is_variable:
            column = encode_elements(column, field)
            _check_field_fits(column, dtype[name], name)
        encoded[name] = column
    return encoded


def decode_elements(stored: npt.NDArray[Any], element: ElementType) -> npt.NDArray[Any]:
    """Convert an array from Zarr to its form in memory; inverse of `encode_elements`."""
    if element.kind in ("text", "reference"):
        return stored.astype(object)
    if element.kind in ("ascii", "isodatetime"):
        return as_bytes_elements(stored.astype(object))
    if element.kind != "compound":
        return stored
    if element.is_nested:
        return nested(decode_elements(stored, element.flat), element.memory_dtype)
    if stored.dtype.names is None:
        return _records_of_texts(stored, element)
    decoded = np.empty(stored.shape, dtype=element.memory_dtype)
    for name, field in element.fields:
        column = stored[name]
        decoded[name] = decode_elements(column, field) if field.is_variable else column
    return decoded


def _texts_of_records(values: npt.NDArray[Any], element: ElementType) -> npt.NDArray[Any]:
    """Convert records to JSON lists, for stores whose compounds hold objects."""
    columns = []
    for name, field in element.fields:
        column = values[name].ravel()
        if field.kind == "reference":
            columns.append([json.loads(text) if text else None for text in column])
        elif field.is_variable:
            columns.append([_checked_text(entry) for entry in column])
        elif field.kind == "fixed_bytes":
            columns.append([_checked_text(bytes(entry)) for entry in column])
        elif column.dtype.kind == "c":
            raise EncodingError(
                f"field {name!r} is complex: rows with text or references are JSON in format 2, which has "
                "no such numbers; write format 3, or the two parts as two fields"
            )
        else:
            columns.append(column.tolist())
    texts = np.empty(values.size, dtype=object)
    texts[:] = [json.dumps(row) for row in zip(*columns, strict=True)]
    return texts.reshape(values.shape)


def _records_of_texts(texts: npt.NDArray[Any], element: ElementType) -> npt.NDArray[Any]:
    """Convert JSON lists to records; inverse of `_texts_of_records`.

    Raises
    ------
    MetadataError
        If a row does not have one value for each field.
    """
    records = np.zeros(texts.size, dtype=element.memory_dtype)
    for position, text in enumerate(texts.ravel()):
        try:
            row = json.loads(text) if text else [None] * len(element.fields)
        except (ValueError, RecursionError):
            row = text
        if not isinstance(row, list) or len(row) != len(element.fields):
            raise MetadataError(
                f"row {position} holds {text!r:.100}, expected {len(element.fields)} values"
            )
        try:
            records[position] = tuple(
                _cell(value, field) for value, (_, field) in zip(row, element.fields, strict=True)
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise MetadataError(f"row {position} holds {text!r:.100}: {error}") from error
    return records.reshape(texts.shape)


def _cell(value: Any, field: ElementType) -> Any:
    if field.kind == "reference":
        return json.dumps(value) if isinstance(value, dict) else value or ""
    if field.kind in BYTES_ELEMENT_KINDS or field.kind == "fixed_bytes":
        return ("" if value is None else value).encode("utf-8")
    if field.kind == "text":
        return "" if value is None else value
    return 0 if value is None else value


def field_widths(values: npt.NDArray[Any], element: ElementType) -> dict[str, int]:
    """Return the number of characters that each variable leaf of a compound needs, at least one."""
    if element.is_nested:
        return field_widths(flattened(values, element.flat.memory_dtype), element.flat)
    return {
        name: max((len(entry) for entry in _entries(values[name], field)), default=0) or 1
        for name, field in element.fields
        if field.is_variable
    }


def reference_columns(values: npt.NDArray[Any], element: ElementType) -> Iterator[npt.NDArray[Any]]:
    """Yield the references in compounds, leaf by leaf, as views of the compounds."""
    leaves = zip(leaves_of(values.dtype), element.flat.fields, strict=True)
    return (at_leaf(values, leaf) for leaf, (_, field) in leaves if field.kind == "reference")


def give_nested_text_as_bytes(values: npt.NDArray[Any], element: ElementType) -> None:
    """Convert text in nested fields of compounds to ``bytes``: HDF5IO decodes only top-level text."""
    leaves = zip(leaves_of(values.dtype), element.flat.fields, strict=True)
    for leaf, (_, field) in leaves:
        if field.kind == "text" and len(leaf.path) > 1:
            column = at_leaf(values, leaf)
            column[...] = as_bytes_elements(column)


def undecodable(values: npt.NDArray[Any]) -> bool:
    """Whether an object array holds ``bytes`` that are not UTF-8."""
    for entry in values.ravel():
        if isinstance(entry, bytes):
            try:
                entry.decode("utf-8")
            except UnicodeDecodeError:
                return True
    return False


def bytes_where_not_text(element: ElementType, values: npt.NDArray[Any]) -> ElementType:
    """Return the element type with ASCII text that is not UTF-8 turned into plain bytes."""
    if element.kind in ("ascii", "isodatetime") and undecodable(values):
        return replace(BYTES, shape=element.shape) if element.shape else BYTES
    if element.kind == "compound":
        fields = tuple(
            (name, bytes_where_not_text(field, values[name])) for name, field in element.fields
        )
        return replace(element, fields=fields)
    return element


def encoded_size(values: npt.NDArray[Any]) -> int:
    """Return the number of bytes of an array in memory; for objects, of their text."""
    if values.dtype.kind != "O":
        return values.nbytes
    return sum(len(entry) + 4 for entry in values.ravel() if entry is not None)


# -- one element -----------------------------------------------------------------------------------


def plain_text(text: str) -> str:
    """Return the characters of a text; ``str()`` of an enumeration member, for example, returns others."""
    return text if type(text) is str else str.__str__(text)


def _to_text(entry: Any) -> str:
    if isinstance(entry, str):
        check_text_length(len(entry))
        return plain_text(entry)
    if isinstance(entry, bytes):
        check_text_length(len(entry))
        try:
            return bytes.decode(entry, "utf-8")
        except UnicodeDecodeError as error:
            raise EncodingError(f"bytes {entry!r:.100} are not UTF-8 text") from error
    if isinstance(entry, date):
        return text_of_date(entry)
    raise EncodingError(f"expected text, found {entry!r:.100} of type {type(entry).__name__}")


def _to_bytes(entry: Any) -> bytes:
    if isinstance(entry, (bytes, bytearray)):
        check_text_length(len(entry))
        return bytes(memoryview(entry))
    return _checked_text(_to_text(entry)).encode("utf-8")


def _bytes_to_text(entry: Any) -> str:
    return _to_text(entry)


def _checked_text(entry: Any) -> str:
    text = _to_text(entry)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise EncodingError(f"text {text!r:.100} cannot be encoded as UTF-8") from error
    return text


# -- arrays ----------------------------------------------------------------------------------------


def _map_objects(data: Any, convert: Callable[[Any], Any]) -> npt.NDArray[Any]:
    array = _as_objects(data)
    converted = np.empty(array.size, dtype=object)
    converted[:] = [convert(entry) for entry in array.ravel()]
    return converted.reshape(array.shape)


def _as_objects(data: Any) -> npt.NDArray[Any]:
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind == "O" else data.astype(object)
    if isinstance(data, (list, tuple)):
        if data and _is_other_array(data[0]):
            data = [np.asarray(row) for row in data]
        shape = nested_shape(data)
        leaves = list(_leaves(data, len(shape)))
        array = np.empty(shape, dtype=object)
        if len(leaves) != array.size:
            raise EncodingError(f"the data are ragged: {len(leaves)} elements do not fill {shape}")
        array.reshape(-1)[:] = leaves
        return array
    if _is_other_array(data):
        return np.asarray(data).astype(object)
    array = np.empty((), dtype=object)
    array[()] = data
    return array


def _is_other_array(data: Any) -> bool:
    """Whether data are an array of a package other than numpy, for example pandas."""
    known = (np.ndarray, np.generic, *REFERENCE_TYPES)
    return hasattr(data, "__array__") and not isinstance(data, known)


def nested_shape(data: Any) -> tuple[int, ...]:
    """Return the shape of nested sequences from their first elements; `_leaves` checks the others."""
    shape: list[int] = []
    entries: Any = data
    while isinstance(entries, (list, tuple)) or (isinstance(entries, np.ndarray) and entries.ndim):
        shape.append(len(entries))
        if not shape[-1]:
            break
        # The first row of a numpy.matrix is also a matrix.
        entries = np.asarray(entries)[0] if isinstance(entries, np.ndarray) else entries[0]
    return tuple(shape)


def _leaves(data: Any, depth: int) -> Iterable[Any]:
    if depth == 0:
        if isinstance(data, (list, tuple)):
            raise EncodingError(f"the data are ragged: found the list {data!r:.100} as an element")
        yield data
        return
    if not isinstance(data, (list, tuple, np.ndarray)):
        raise EncodingError(f"the data are ragged: found {data!r:.100} in place of a list")
    for entry in data:
        yield from _leaves(entry, depth - 1)


def _numbers(data: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return numbers in the declared dtype, or in their own dtype if the cast would change a value."""
    array = _as_numbers(data)
    if array.dtype.kind == "O" and dtype.kind == "f":
        array = _floats(array)
    if array.dtype == dtype:
        return array
    if array.dtype.kind in "OSUTmMV" and array.size:
        raise EncodingError(f"expected {dtype.name}, found {first_leaf(data)!r:.100}")
    if array.size == 0:
        return np.empty(array.shape, dtype)
    if array.dtype.kind == dtype.kind and array.dtype.itemsize <= dtype.itemsize:
        return array.astype(dtype)
    if array.dtype.kind == "c" and dtype.kind != "c":
        return array  # an imaginary part is never dropped, even if all of it is zero
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        if array.dtype.kind in "fc" and dtype.kind in "fc":
            # Digits beyond the declared precision may be lost; numbers may not become infinite.
            same = np.isfinite(cast) == np.isfinite(array)
        else:
            # A round trip alone would accept -1 as the largest unsigned integer.
            same = (cast.real.astype(array.dtype) == array) & (cast == array)
    return cast if bool(np.all(same)) else array


def _floats(objects: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert numbers of any class to floats, None to NaN, as HDF5IO does; return other objects unchanged."""
    leaves = objects.ravel()
    if not all(leaf is None or isinstance(leaf, (Real, Decimal)) for leaf in leaves):
        return objects
    floats: npt.NDArray[Any] = objects.astype(np.float64)
    for given, stored in zip(leaves, floats.ravel(), strict=True):
        if isinstance(given, int) and int(stored) != given:
            raise EncodingError(f"the integer {given} is another number as a float64")
    return floats


def _as_numbers(data: Any) -> npt.NDArray[Any]:
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise EncodingError(f"the data are ragged: {error}") from error
    if array.dtype.kind == "O" and array.size:
        data = array.tolist()
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise EncodingError(f"the data are ragged: {error}") from error
    is_list = isinstance(data, (list, tuple))
    if is_list and array.dtype.kind == "f" and isinstance(first_leaf(data), (int, np.integer)):
        return _exact_integers(data, array)
    return array


def _exact_integers(data: Any, floats: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return exact integers where numpy made floats, since some exceed the largest signed integer."""
    leaves = np.array(data, dtype=object)
    if not all(isinstance(leaf, (int, np.integer)) for leaf in leaves.ravel()):
        return floats
    try:
        return leaves.astype(np.uint64)
    except OverflowError as error:
        raise EncodingError(f"no integer type holds all of {data!r:.100}") from error


def _fixed_bytes(data: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if isinstance(data, np.ndarray) and data.dtype.kind == "S":
        return data
    array = _map_objects(data, _to_bytes)
    longest = max((len(entry) for entry in array.ravel()), default=1)
    return array.astype(f"S{max(longest, dtype.itemsize, 1)}")


def _records(data: Any, element: ElementType, reference_text: ReferenceText) -> npt.NDArray[Any]:
    if not isinstance(data, np.ndarray):
        data = np.asarray(data) if hasattr(data, "dtype") else data
    shape = data.shape if isinstance(data, np.ndarray) else _record_shape(data, element)
    records = np.empty(shape, dtype=element.memory_dtype)
    columns = _columns_of(data, shape, element)
    for (name, field), column in zip(element.fields, columns, strict=True):
        try:
            values = _field_values(column, field, reference_text)
        except EncodingError as error:
            raise EncodingError(f"field {name!r}: {error}") from error
        dtype = records.dtype[name].base
        if values.dtype.kind not in "OS" and values.dtype != dtype:
            raise EncodingError(
                f"field {name!r}: {values.dtype.name} values do not fit {dtype.name}"
            )
        check_width(values, dtype, f"field {name!r}")
        if values.size != records[name].size:
            raise EncodingError(f"field {name!r}: found arrays in place of one value")
        records[name] = values.reshape((*shape, *field.shape))
    return records


def _columns_of(
    data: Any, shape: tuple[int, ...], element: ElementType
) -> Sequence[npt.NDArray[Any] | list[Any]]:
    """Return the values of each field over all rows; as objects if the rows are sequences."""
    columns: Sequence[npt.NDArray[Any] | list[Any]]
    if isinstance(data, np.ndarray) and data.dtype.names is not None:
        columns = [data[name] for name in _names_in_order(data.dtype.names, element)]
    else:
        rows = [data] if shape == () else list(data)
        columns = [list(entries) for entries in _transposed(rows, element)]
        columns = columns if rows else [[] for _ in element.fields]
    if len(columns) != len(element.fields):
        raise EncodingError(
            f"a row has {len(columns)} values, the compound {len(element.fields)} fields"
        )
    return columns


def _field_values(
    column: npt.NDArray[Any] | list[Any], field: ElementType, reference_text: ReferenceText
) -> npt.NDArray[Any]:
    """Return the values of a field, or the values of all elements if the field is an array."""
    if isinstance(column, list):
        column = _column([one for entry in column for one in _elements_in(entry, field.shape)])
    elif column.size and column.shape[column.ndim - len(field.shape) :] != field.shape:
        raise EncodingError(f"expected arrays of the shape {field.shape}, found {column.shape}")
    values = to_memory(column, field.entry, reference_text)
    if values.shape != column.shape:
        raise EncodingError(
            f"found a list in place of one value, such as {first_leaf(column)!r:.100}"
        )
    return values


def _elements_in(entry: Any, shape: tuple[int, ...]) -> Iterable[Any]:
    """Yield the elements of an array field that is given as nested sequences."""
    if not shape:
        yield entry
        return
    if not isinstance(entry, (list, tuple, np.ndarray)) or len(entry) != shape[0]:
        raise EncodingError(f"expected an array of the shape {shape}, found {entry!r:.100}")
    for part in entry:
        yield from _elements_in(part, shape[1:])


def _names_in_order(given: tuple[str, ...], element: ElementType) -> tuple[str, ...]:
    """Return the field names of the data in the order of the type's fields, matched by name or by position.

    Raises
    ------
    EncodingError
        If the names differ from those of the type, and one of them names a field at another position.
    """
    wanted = tuple(name for name, _ in element.fields)
    if sorted(given) == sorted(wanted):
        return wanted
    places = {name: place for place, name in enumerate(wanted)}
    if any(places.get(name, place) != place for place, name in enumerate(given)):
        raise EncodingError(
            f"the data have the fields {list(given)}, the compound has {list(wanted)}: give them the same "
            "names, or the same order"
        )
    return given


def check_width(values: npt.NDArray[Any], dtype: np.dtype[Any], what: str) -> None:
    """Raise `EncodingError` if bytes are longer than a dtype allows; numpy would truncate them."""
    if values.dtype.kind != "S" or dtype.kind != "S" or values.dtype.itemsize <= dtype.itemsize:
        return
    longest = int(np.char.str_len(values).max(initial=0))
    if longest > dtype.itemsize:
        raise EncodingError(f"{what} holds {dtype.itemsize} bytes, and was given {longest}")


def _record_shape(data: Any, element: ElementType) -> tuple[int, ...]:
    """Return ``()`` for one row, else the number of rows; a tuple is one row, unless it holds rows."""
    if isinstance(data, np.void):
        return ()
    if not isinstance(data, (list, tuple)):
        raise EncodingError(f"expected rows of a compound, found {data!r:.100}")
    is_row = isinstance(data, tuple) and len(data) and _depth_given(data) <= _depth(element)
    return () if is_row else (len(data),)


def _depth_given(data: Any) -> int:
    """Return the number of sequences around the first element of data."""
    if not isinstance(data, _ROW_TYPES) or (isinstance(data, np.ndarray) and not data.ndim):
        return 0
    entries: Any = data
    return 1 + (_depth_given(entries[0]) if len(entries) else 0)


def _depth(element: ElementType) -> int:
    """Return the number of sequences around the first number or text of one element."""
    inside = 1 + _depth(element.fields[0][1]) if element.fields else 0
    return len(element.shape) + inside


def _transposed(rows: list[Any], element: ElementType) -> Iterable[tuple[Any, ...]]:
    for row in rows:
        if not isinstance(row, _ROW_TYPES):
            raise EncodingError(f"expected a row of a compound, found {row!r:.100}")
    plain = [_values_in_order(row, element) for row in rows]
    for values in plain:
        if len(values) != len(plain[0]):
            raise EncodingError(
                f"the rows are ragged: they have {len(plain[0])} and {len(values)} values"
            )
    return zip(*plain, strict=True)


def _values_in_order(row: Any, element: ElementType) -> tuple[Any, ...]:
    names = row.dtype.names if isinstance(row, np.void) else None
    if names is None:
        return tuple(row)
    return tuple(row[name] for name in _names_in_order(names, element))


def _column(entries: Sequence[Any]) -> npt.NDArray[Any]:
    column = np.empty(len(entries), dtype=object)
    column[:] = [
        entry.item() if isinstance(entry, np.generic) and not entry.dtype.names else entry
        for entry in entries
    ]
    return column


def _entries(column: npt.NDArray[Any], field: ElementType) -> Iterable[Any]:
    if field.kind in TEXT_KINDS and field.kind != "text":
        return (_to_text(entry) for entry in column.ravel())
    return iter(column.ravel())


def _check_field_fits(column: npt.NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    width = dtype.itemsize // (4 if dtype.kind == "U" else 1)
    for entry in column.ravel():
        if len(entry) > width:
            raise EncodingError(
                f"field {name!r} holds {width} characters, {entry!r:.100} has {len(entry)}"
            )
        if entry and entry[-1] in ("\0", 0):
            raise EncodingError(
                f"field {name!r}: {entry!r:.100} ends with NUL, which text of fixed length drops"
            )


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError:
        return 1


MOST_LEAVES = 4096
"""Largest number of plain fields in a compound; zarr-python takes a second to make such a data type."""


def check_storable(element: ElementType) -> None:
    """Raise `DtypeError` if a compound has no leaves, or more than a Zarr data type may have fields."""
    n_leaves = number_of_leaves(element.memory_dtype) if element.is_nested else 1
    if not 0 < n_leaves <= MOST_LEAVES:
        raise DtypeError(
            f"with what is in its fields a compound has {n_leaves} numbers and texts, and at least 1 and at "
            f"most {MOST_LEAVES} can be stored; store what is in its arrays as datasets of their own"
        )
