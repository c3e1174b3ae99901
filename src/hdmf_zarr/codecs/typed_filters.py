"""What the filters of numcodecs do to values, and which values a filter can hold.

A filter that rounds, or that stores a narrower type, has a range. numcodecs does not check it: a value
outside of the range is read back as an arbitrary value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numcodecs
import numpy as np
import numpy.typing as npt

from hdmf_zarr.codecs.registry import NUMCODECS
from hdmf_zarr.errors import EncodingError

_BLOCK = 1 << 20
"""Number of elements that are checked at once."""

_ROUNDING = 8
"""Number of float rounding steps that a scale and an offset can lose."""


def round_trip(values: npt.NDArray[Any], codecs: Sequence[Mapping[str, Any]]) -> npt.NDArray[Any]:
    """Encode and decode a chunk by filters; each filter receives a chunk in C order.

    Parameters
    ----------
    values : numpy.ndarray
    codecs : sequence of mapping
        JSON of filters of zarr and of numcodecs, in the order in which they encode; in format 2 they have an
        ``id`` instead of a name.

    Raises
    ------
    ValueError, TypeError
        If a codec is no filter of zarr or numcodecs, or refuses its input.
    """
    if not codecs:
        return values
    first, *others = codecs
    if first.get("name") == "transpose":
        order = first["configuration"]["order"]
        inner = round_trip(np.ascontiguousarray(values.transpose(order)), others)
        return np.ascontiguousarray(inner.transpose(np.argsort(order)))
    codec = _numcodec(first)
    if codec is None:
        raise ValueError(f"{first!r:.200} is no filter of numcodecs")
    with np.errstate(all="ignore"):
        encoded = np.asarray(codec.encode(values))
        decoded = np.asarray(codec.decode(np.ascontiguousarray(round_trip(encoded, others))))
    return decoded.reshape(values.shape)


def rounding_filters(codecs: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Return the leading numcodecs filters of a chain whose values have a range or a precision.

    Parameters
    ----------
    codecs : sequence of mapping
        The codecs' JSON; those of format 2 have an ``id`` instead of a name.
    """
    found: list[Any] = []
    for document in codecs:
        if document.get("name") == "transpose":
            continue
        codec = _numcodec(document)
        if codec is None or codec.codec_id not in _BOUNDS:
            break
        found.append(codec)
    return tuple(found)


def check_kept(values: npt.NDArray[Any], filters: Sequence[Any]) -> None:
    """Raise `EncodingError` if filters change values by more than their rounding.

    Parameters
    ----------
    values : numpy.ndarray
        Array of numbers.
    filters : sequence of numcodecs.abc.Codec
        Filters from `rounding_filters`.
    """
    if not filters or values.size == 0:
        return
    flat = np.ascontiguousarray(values).reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        given = flat[start : start + _BLOCK]
        for codec in filters:
            given = _checked(codec, given)


def _checked(codec: Any, given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Encode values; raise `EncodingError` if they decode to other values."""
    with np.errstate(all="ignore"):
        encoded = np.asarray(codec.encode(given))
        found = np.asarray(codec.decode(encoded)).reshape(given.shape)
        given_typed = given.view(found.dtype) if given.dtype != found.dtype else given
        kept = _is_kept(codec, given_typed, found)
    if not kept.all():
        at = int(np.argmin(kept))
        raise EncodingError(
            f"{int(np.count_nonzero(~kept))} of {given.size} values are outside of what the filter "
            f"{codec!r:.200} can hold: {given_typed[at]!r} would be read as {found[at]!r}; "
            "choose another dtype, scale or offset for the filter, or leave it out"
        )
    return encoded


def _is_kept(codec: Any, given: npt.NDArray[Any], found: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    is_same = (found == given) | ((found != found) & (given != given))
    wide = np.complex128 if given.dtype.kind == "c" else np.float64
    numbers = given.astype(wide)
    bound = _BOUNDS[codec.codec_id](codec, np.abs(numbers))
    if bound is None or is_same.all():
        return np.asarray(is_same)
    return np.asarray(is_same | (np.abs(found.astype(wide) - numbers) <= bound))


def _bound_of_type(codec: Any, sizes: npt.NDArray[Any]) -> Any:
    narrow, given = codec.encode_dtype, codec.decode_dtype
    if narrow.kind in "fc":
        return _precision(narrow) * sizes + _smallest(narrow)
    # The filter truncates fractions on purpose; it must not change the integer part.
    return np.nextafter(1.0, 0.0) if given.kind == "f" and narrow.kind in "iu" else None


def _bound_of_scale(codec: Any, sizes: npt.NDArray[Any]) -> Any:
    precision = max(map(_precision, (codec.dtype, codec.astype, np.dtype("f8"))))
    step = 0.5 / abs(codec.scale) if codec.scale else 0.0
    cut = 1.0 if codec.dtype.kind in "iu" else 0.0
    return step + cut + _ROUNDING * precision * (sizes + abs(codec.offset) + step)


def _bound_of_digits(codec: Any, sizes: npt.NDArray[Any]) -> Any:
    return 10.0**-codec.digits + _precision(codec.astype) * sizes + _smallest(codec.astype)


def _bound_of_bits(codec: Any, sizes: npt.NDArray[Any]) -> Any:
    return 2.0**-codec.keepbits * sizes + np.finfo(np.float32).tiny


def _precision(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


def _smallest(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).tiny)


_BOUNDS: dict[str, Callable[[Any, npt.NDArray[Any]], Any]] = {
    "astype": _bound_of_type,
    "fixedscaleoffset": _bound_of_scale,
    "quantize": _bound_of_digits,
    "bitround": _bound_of_bits,
}
"""Element-wise filter -> function that returns the largest change of values of given sizes, or None."""


def _numcodec(document: Mapping[str, Any]) -> Any:
    """Return the codec of numcodecs for the JSON of either format; None if it is no such codec."""
    name = document.get("name", NUMCODECS + str(document.get("id")))
    if not name.startswith(NUMCODECS):
        return None
    configuration = document.get("configuration", document) or {}
    try:
        return numcodecs.get_codec({**configuration, "id": name.removeprefix(NUMCODECS)})
    except (ValueError, TypeError):  # not installed, or settings are missing
        return None
