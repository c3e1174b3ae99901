"""Attribute values <-> JSON, with a record of the dtypes that JSON loses.

JSON has one integer type, one real number type, and lists. A value is encoded as the nearest JSON. If
reading that JSON would give another dtype, the dtype is also returned; it is recorded in the node's reserved
attribute ``_ATTRIBUTE_DTYPES``. A complex number is the list of its two parts, as in Zarr's fill values.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from hdmf_zarr.convention.model import JSON
from hdmf_zarr.convention.records import (
    COMPOUND,
    decode_compound,
    encode_compound,
    is_compound,
    is_reference,
)
from hdmf_zarr.core.dtypes import (
    check_not_masked,
    enum_names_of,
    is_number,
    text_of_date,
    with_enum_names,
)
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import DtypeError, EncodingError, MetadataError

BINARY = "base64"
"""Record of bytes that are not UTF-8; their JSON is base64 text."""

EMPTY = "empty "
"""Record of an attribute with a type and no value, followed by a numpy type."""

VARIABLE = "vlen:"
"""Record of an array of arrays of different lengths (HDF5's vlen), followed by a numpy type.

The JSON is a list of lists. Unless the outer array has one dimension, its shape precedes the record:
``"(2, 2)vlen:int32"``.
"""

ENUM = "enum "
"""Record of an enumeration, followed by the record of its integers and the names of its values:
``'enum uint8 {"RED": 0}'``."""

_INT64_MAX = 2**63 - 1


def encode_attribute(value: Any) -> tuple[JSON, str | None]:
    """Return an attribute's JSON, and the name of its dtype if the JSON does not imply it.

    Raises
    ------
    EncodingError
        If the value is a ragged list or an object that has no JSON.
    DtypeError
        If the dtype (compound, extended precision) has no JSON.
    """
    if type(value) is str:  # the most common case
        return value, None
    if isinstance(value, Mapping):
        return {_key(key): _encode_entry(entry) for key, entry in value.items()}, None
    if _is_empty_with_type(value):
        return None, recorded_enum(EMPTY + _name_of_empty(value.dtype), enum_names_of(value.dtype))
    if is_compound(value):
        check_not_masked(value)
        return encode_compound(value, _encode_leaf)
    if is_variable(value):
        encoded, dtype = _encode_variable(value)
        return encoded, recorded_enum(dtype, enum_names_of(_marked(value.dtype)))
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.dtype.metadata:
        name = _empty_name(value, value.dtype.name)
        return value.tolist(), recorded_enum(name, enum_names_of(value.dtype))
    if isinstance(value, np.ndarray | list | tuple | AbstractSet):
        array = _as_array(list(value) if isinstance(value, AbstractSet) else value)
        return _encode_scalar(array[()]) if array.ndim == 0 else _encode_array(array)
    if _is_like_array(value):
        return encode_attribute(np.asarray(value))
    return _encode_scalar(value)


def _encode_leaf(values: npt.NDArray[Any]) -> JSON:
    if values.dtype.kind == "S":
        values = values.astype(object)
    if values.dtype.kind in "OUT":
        flat = np.empty(values.size, dtype=object)
        is_text = not is_reference(values.dtype)
        flat[:] = [_text_in_compound(one) if is_text else one for one in values.ravel()]
        return flat.reshape(values.shape).tolist()
    return _parts(values) if values.dtype.kind == "c" else values.tolist()


def _text_in_compound(entry: Any) -> str:
    if isinstance(entry, bytes):
        return _text_of_bytes(entry)
    if isinstance(entry, str):
        return str.__str__(entry)
    raise EncodingError(f"{entry!r:.100} is no text")


def _decode_leaf(value: JSON, dtype: np.dtype[Any]) -> Any:
    if dtype.kind not in "OS":
        return np.asarray(_of_dtype(value, np.dtype(dtype.str)))
    texts = np.array(value, dtype=object)
    if is_reference(dtype):
        return texts
    encoded = np.empty(texts.size, dtype=object)
    encoded[:] = [text.encode("utf-8", "surrogateescape") for text in texts.ravel()]
    return encoded.reshape(texts.shape)


def is_variable(value: Any) -> bool:
    """Whether a value is an array of arrays of different lengths, as h5py returns and marks them."""
    mark = _marked(value.dtype) if isinstance(value, np.ndarray) else None
    # numpy also accepts None as a dtype: it is equal to float64.
    return isinstance(mark, (np.dtype, str)) or (
        isinstance(mark, type) and mark not in (str, bytes)
    )


def _marked(dtype: np.dtype[Any]) -> Any:
    """Return the type of elements of variable length from h5py's mark on a dtype."""
    special: Mapping[str, Any] = dtype.metadata or {}
    return special.get("vlen")


def refuse_mixed(value: JSON) -> None:
    """Raise `EncodingError` if the entries of an encoded list are of different kinds.

    HDF5 has no array that mixes numbers with text or None, and its readers expect none.
    """
    if not isinstance(value, list):
        if value is None:
            raise EncodingError("None is no value of an attribute; leave the attribute out")
        return
    kinds = set(map(_kind_of_entry, _leaves(value)))
    if "nothing" in kinds:
        raise EncodingError(
            f"None is no entry of an array, found {value!r:.200}; use NaN in numbers, or an empty text"
        )
    if len(kinds) > 1:
        raise EncodingError(
            f"{' and '.join(sorted(kinds))} are the entries of one array, found {value!r:.200}; make all of "
            "them text, or all of them numbers"
        )


def _leaves(value: JSON) -> Iterator[JSON]:
    for entry in value:
        if isinstance(entry, list):
            yield from _leaves(entry)
        else:
            yield entry


def _kind_of_entry(entry: JSON) -> str:
    if entry is None:
        return "nothing"
    if isinstance(entry, str):
        return "text"
    return "objects" if isinstance(entry, dict) else "numbers"


def _key(key: Any) -> str:
    return str.__str__(key) if isinstance(key, str) else str(key)


def _name_of_empty(dtype: Any) -> str:
    """Return the type name of an attribute without a value; h5py marks text, which numpy has no type for."""
    if np.dtype(dtype).kind in "VmM":
        raise DtypeError(f"an attribute without a value cannot have the dtype {dtype}")
    special = _marked(np.dtype(dtype))
    return str(special.__name__) if special is str or special is bytes else np.dtype(dtype).str


def _is_like_array(value: Any) -> bool:
    """Whether numpy can convert a value to an array of numbers or text, for example a range."""
    if isinstance(value, (str, bytes, np.generic)):
        return False
    if isinstance(value, (Sequence, memoryview)) or hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.dtype.kind != "O" or array.ndim > 0
    return False


def recorded_enum(dtype: str, names: Mapping[str, int]) -> str:
    """Return the record of an attribute whose values have names; without names, the dtype."""
    return f"{ENUM}{dtype} {json.dumps(names)}" if names else dtype


def recorded_enum_names(dtype: str | None) -> dict[str, int]:
    """Return the names of an enumeration from the record of an attribute; empty for other records.

    Raises
    ------
    ValueError
        If the record does not map names to integers.
    """
    return _names_and_dtype(dtype)[0] if dtype is not None and dtype.startswith(ENUM) else {}


def _names_and_dtype(recorded: str) -> tuple[dict[str, int], str]:
    dtype, brace, text = recorded.removeprefix(ENUM).partition("{")
    names = parsed_json(brace + text, "the names of an enumeration")
    if not isinstance(names, dict) or not all(type(number) is int for number in names.values()):
        raise ValueError("names of an enumeration are of integers")
    return names, dtype.rstrip()


def _decode_enum(value: JSON, recorded: str, empty: Callable[[npt.DTypeLike], Any] | None) -> Any:
    """Return integers; an array has the names in its dtype, as in h5py."""
    names, dtype = _names_and_dtype(recorded)
    if dtype.startswith(ENUM):
        raise ValueError("an enumeration is recorded twice")

    def empty_enum(target: npt.DTypeLike) -> Any:
        return None if empty is None else empty(with_enum_names(np.dtype(target), names))

    found = decode_attribute(value, dtype, empty=empty_enum)
    if not isinstance(found, np.ndarray):
        return found
    if is_variable(found):
        base = with_enum_names(np.dtype(_marked(found.dtype)), names)
        return found.astype(np.dtype("O", metadata={"vlen": base}))
    return found.astype(with_enum_names(found.dtype, names))


def _encode_variable(value: npt.NDArray[Any]) -> tuple[JSON, str]:
    base = np.dtype(_marked(value.dtype))
    _refuse_unrepresentable(base)
    entries = [np.asarray(entry, dtype=base) for entry in value.ravel()]
    if base.kind in "USO" or any(entry.ndim != 1 for entry in entries):
        raise DtypeError(f"an attribute cannot have arrays of {base} in an array")
    flat = np.empty(value.size, dtype=object)
    flat[:] = [_parts(entry) if base.kind == "c" else entry.tolist() for entry in entries]
    shape = "" if value.ndim == 1 else str(value.shape)
    return flat.reshape(value.shape).tolist(), f"{shape}{VARIABLE}{base.name}"


def _decode_variable(value: JSON, dtype: str) -> npt.NDArray[Any]:
    shape_text, _, name = dtype.partition(VARIABLE)
    base = np.dtype(name)
    sizes = [int(size) for size in re.findall(r"\d+", shape_text)]
    shape = tuple(sizes) if shape_text else (len(value),)
    entries = value
    for _ in shape[1:]:
        entries = [entry for row in entries for entry in row]
    flat = np.empty(len(entries), dtype=np.dtype("O", metadata={"vlen": base}))
    for position, entry in enumerate(entries):
        if not isinstance(entry, list):
            raise TypeError("found a number instead of a list")
        flat[position] = _of_dtype(entry, base) if entry else np.empty(0, base)
    return flat.reshape(shape)


def spell_out(value: JSON, dtype: str | None) -> tuple[JSON, str | None]:
    """Return an encoded attribute in which NaN and infinities are text, as strict JSON requires.

    The recorded dtype distinguishes them from equal text.

    Raises
    ------
    EncodingError
        If NaN or infinity is in an object or next to text; if a text is not Unicode.
    """
    if holds_no_unicode(value):
        raise EncodingError(
            f"{value!r:.200} has bytes that are not UTF-8, which strict JSON cannot hold; correct the text, "
            "or write without strict_json"
        )
    if not holds_not_finite(value):
        return value, dtype
    if dtype is not None and dtype.startswith(COMPOUND):
        return {name: _spelled(column) for name, column in value.items()}, dtype
    if not _is_numeric(value):
        raise EncodingError(
            f"{value!r:.200} has NaN or infinity in an object or beside text, which strict JSON cannot tell "
            "from text; make it numbers alone, or write without strict_json"
        )
    return _spelled(value), dtype or "float64"


def holds_not_finite(value: JSON) -> bool:
    """Whether a value contains NaN or infinity, for which JSON has no number."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(holds_not_finite, value.values()))
    return isinstance(value, list) and any(map(holds_not_finite, value))


def holds_no_unicode(value: JSON) -> bool:
    """Whether a value contains a lone surrogate, which h5py uses for a byte that is not UTF-8."""
    if isinstance(value, str):
        return not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return any(map(holds_no_unicode, value)) or any(map(holds_no_unicode, value.values()))
    return isinstance(value, list) and any(map(holds_no_unicode, value))


def _is_numeric(value: JSON) -> bool:
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _spelled(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_spelled(entry) for entry in value]
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def decode_attribute(
    value: JSON, dtype: str | None, *, empty: Callable[[npt.DTypeLike], Any] | None = None
) -> Any:
    """Return an attribute's value as HDMF expects it: a scalar, or an array for a JSON list.

    Parameters
    ----------
    value : JSON
        Value in the node's attributes.
    dtype : str or None
        Record in ``_ATTRIBUTE_DTYPES`` for the attribute.
    empty : callable, optional
        Function that makes the object for "a type and no value" from a dtype.

    Raises
    ------
    MetadataError
        If the recorded dtype does not fit the value.
    """
    try:
        if dtype is None:
            return _natural_array(value) if isinstance(value, list) else value
        if dtype.startswith(ENUM):
            return _decode_enum(value, dtype, empty)
        if dtype.startswith(COMPOUND):
            return decode_compound(value, dtype, _decode_leaf)
        if dtype == BINARY:
            return base64.b64decode(value)
        if dtype.startswith(EMPTY):
            target = _type_of_empty(dtype.removeprefix(EMPTY))
            return empty(target) if empty is not None else None
        if VARIABLE in dtype:
            return _decode_variable(value, dtype)
        if dtype == "str":
            return np.array(value, dtype=object)
        target = np.dtype(dtype)
        if target.subdtype is not None:
            if 0 not in target.shape or not isinstance(value, list) or np.size(value):
                raise ValueError("a shape is recorded for arrays without elements only")
            return np.empty(target.shape, object if target.base.kind == "U" else target.base)
        if target.kind == "S":
            encoded = np.char.encode(np.array(value, dtype=np.str_), "utf-8", "surrogateescape")
            return encoded.astype(target)
        return _of_dtype(value, target)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise MetadataError(
            f"value {value!r:.200} is not of the recorded dtype {dtype!r}"
        ) from error


def _type_of_empty(name: str) -> np.dtype[Any]:
    if name in ("str", "bytes"):
        return np.dtype("O", metadata={"vlen": str if name == "str" else bytes})
    return np.dtype(name)


def _of_dtype(value: JSON, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "c" and np.size(value):
        parts = np.array(value, dtype=np.empty(0, dtype).real.dtype)
        if parts.shape[-1:] != (2,):
            raise ValueError("a complex number has two parts")
        return parts.view(dtype)[..., 0][()]
    if dtype.kind in "iu" and np.any(np.asarray(value) % 1):
        raise ValueError("a fraction is no integer")
    if isinstance(value, list):
        return np.array(value, dtype=dtype)
    # Text is NaN or infinity in strict JSON: for float64 return the type that plain JSON gives.
    return float(value) if dtype == np.float64 and isinstance(value, str) else dtype.type(value)


def _encode_scalar(value: Any) -> tuple[JSON, str | None]:
    if isinstance(value, (bytes, bytearray)):
        return _encode_bytes(value)
    if isinstance(value, str):
        return str.__str__(value), None
    if isinstance(value, date):
        return text_of_date(value), None
    if isinstance(value, np.generic):
        _refuse_unrepresentable(value.dtype)
        plain = _parts(value) if value.dtype.kind == "c" else value.item()
        return plain, _recorded_name(value.dtype)
    if isinstance(value, complex):
        return _parts(value), "complex128"
    if value is None or type(value) in (bool, float):
        return value, None
    if isinstance(value, (int, float)) and type(value) is not int:
        return _encode_scalar(np.asarray(value).item())  # for example a member of an enumeration
    if isinstance(value, int):
        if not -_INT64_MAX - 1 <= value <= 2**64 - 1:
            raise EncodingError(f"integer {value} fits no 64-bit type")
        return value, "uint64" if value > _INT64_MAX else None
    raise EncodingError(f"a value of type {type(value).__name__} cannot be an attribute")


def _encode_bytes(value: bytes | bytearray) -> tuple[JSON, str | None]:
    # HDF5IO returns bytes as text, and bytes of numpy unchanged. Bytes that are no text to HDF5 stay bytes.
    text = _text_of_bytes(value)
    is_kept = "\0" in text or isinstance(value, np.bytes_)
    if is_kept and holds_no_unicode(text):
        return base64.b64encode(value).decode("ascii"), BINARY
    return text, None


def _text_of_bytes(value: bytes | bytearray) -> str:
    """Return bytes as h5py does: as text, with bytes that are not UTF-8 as lone surrogates."""
    return bytes(memoryview(value)).decode("utf-8", "surrogateescape")


def _encode_array(array: npt.NDArray[Any]) -> tuple[JSON, str | None]:
    if array.dtype.kind in "UT":
        return array.astype(object).tolist(), _empty_name(array, "str") if array.size == 0 else None
    if array.dtype.kind == "O":
        return _encode_object_array(array)
    _refuse_unrepresentable(array.dtype)
    if array.dtype.kind == "S":
        name = _empty_name(array, array.dtype.str.lstrip("|"))
        return np.char.decode(array, "utf-8", "surrogateescape").tolist(), name
    recorded = _recorded_name(array.dtype)
    if array.size == 0 and (array.dtype != np.float64 or not _shape_shows(array)):
        recorded = _empty_name(array, array.dtype.name)
    return _parts(array) if array.dtype.kind == "c" else array.tolist(), recorded


def _parts(value: Any) -> JSON:
    """Return complex numbers as pairs of real and imaginary parts."""
    pairs: JSON = np.stack([np.real(value), np.imag(value)], axis=-1).tolist()
    return pairs


def _shape_shows(array: npt.NDArray[Any]) -> bool:
    """Whether nested lists show the shape of an array: an empty list hides the remaining dimensions."""
    return 0 not in array.shape[:-1]


def _empty_name(array: npt.NDArray[Any], name: str) -> str:
    """Return the name to record for a dtype, with the shape (``"(0, 3)int8"``) if the JSON hides it."""
    if _shape_shows(array):
        return name
    return f"{array.shape}{'U1' if name == 'str' else name}"


def _encode_object_array(array: npt.NDArray[Any]) -> tuple[JSON, str | None]:
    if array.size == 0:
        return array.tolist(), _empty_name(array, "str")

    def encode(element: Any) -> JSON:
        if isinstance(element, bytes):
            return _text_of_bytes(element)
        if isinstance(element, (list, tuple, np.ndarray)):
            raise EncodingError(f"list {array!r:.200} is not rectangular")
        return _encode_entry(element)

    flat = np.empty(array.size, dtype=object)
    flat[:] = [encode(element) for element in array.ravel()]
    return flat.reshape(array.shape).tolist(), None


def _natural_array(value: list[Any]) -> Any:
    if _contains_mapping(value):
        return value
    array = np.array(value)
    # numpy would turn numbers next to text into text, and drop trailing NULs.
    return np.array(value, dtype=object) if array.dtype.kind == "U" else array


def _contains_mapping(value: list[Any]) -> bool:
    return any(
        isinstance(entry, dict) or (isinstance(entry, list) and _contains_mapping(entry))
        for entry in value
    )


def _encode_entry(value: Any) -> JSON:
    """Return the JSON of an entry of an object or of a list with text, whose dtype is not recorded."""
    encoded, dtype = encode_attribute(value)
    if dtype is not None and dtype.startswith("complex"):
        raise EncodingError(f"the complex number {value!r:.200} can be no entry of an object")
    if isinstance(value, bytes) and (dtype == BINARY or holds_no_unicode(encoded)):
        raise EncodingError(f"bytes {value!r:.200} are not UTF-8")
    return encoded


def _as_array(value: Any) -> npt.NDArray[Any]:
    check_not_masked(value)
    # numpy would turn mixed text and numbers into text; as in HDF5IO, text may be given as bytes.
    begins_with_text = not isinstance(value, np.ndarray) and isinstance(_first(value), (str, bytes))
    try:
        array = np.asarray(value, dtype=object if begins_with_text else None)
    except ValueError as error:
        raise EncodingError(f"list {value!r:.200} is not rectangular") from error
    if array.dtype.kind == "U" and not isinstance(value, np.ndarray):
        return np.asarray(value, dtype=object)
    if array.dtype.kind == "S" and not isinstance(value, np.ndarray):
        flat = np.asarray(value, dtype=object).ravel()
        return (
            array if all(isinstance(entry, bytes) for entry in flat) else flat.reshape(array.shape)
        )
    if array.dtype.kind == "f" and _holds_large_integers(value):
        return _exact_integers(value, array)
    return array


def _first(value: Any) -> Any:
    return value[0] if len(value) else None


def _exact_integers(value: Any, floats: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the integers that numpy converted to floats: the floats, if they are the same numbers.

    Raises
    ------
    EncodingError
        If the floats differ from the integers, and no integer type holds all of them.
    """
    integers = np.asarray(value, dtype=object)
    pairs = zip(floats.ravel(), integers.ravel(), strict=True)
    if all(int(one) == int(other) for one, other in pairs):
        return floats
    try:
        return integers.astype(np.uint64)
    except OverflowError as error:
        raise EncodingError(f"no integer type holds all of {value!r:.200}") from error


def _holds_large_integers(value: Any) -> bool:
    """Whether nested lists hold only integers; numpy converts these to floats if no type holds all."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(map(_holds_large_integers, value))
    return isinstance(value, (int, np.integer))


def _recorded_name(dtype: np.dtype[Any]) -> str | None:
    """Return the name to record for a dtype; None if reading the JSON gives the same dtype."""
    natural = (np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.bool_))
    if dtype.kind in "UT" or dtype.newbyteorder("=") in natural:
        return None
    return dtype.name


def _refuse_unrepresentable(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "US" and not is_number(dtype):
        raise DtypeError(f"an attribute cannot have the dtype {dtype}")


def _is_empty_with_type(value: Any) -> bool:
    """Whether a value is like ``h5py.Empty``: it has a dtype, and its shape is None."""
    return hasattr(value, "dtype") and getattr(value, "shape", ()) is None
