"""What filters make of values, and which values they can hold."""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
import pytest

from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.typed_filters import check_kept, round_trip, rounding_filters
from hdmf_zarr.errors import EncodingError


def documents(*codecs: Any) -> list[Any]:
    return [to_zarr_codec(codec, 2).to_dict() for codec in codecs]


TRANSPOSE = {"name": "transpose", "configuration": {"order": [1, 0]}}


def test_values_go_through_filters_and_back() -> None:
    values = np.arange(12, dtype="<f8").reshape(3, 4) / 7
    filters = documents(numcodecs.FixedScaleOffset(0, 10, "<f8", "<i4"), numcodecs.Delta("<i4"))
    found = round_trip(values, [TRANSPOSE, *filters])
    np.testing.assert_allclose(found, values.round(1), atol=1e-12)
    assert found.shape == values.shape
    np.testing.assert_array_equal(round_trip(found, [TRANSPOSE, *filters]), found)


def test_what_is_no_filter_of_numcodecs_has_no_round_trip() -> None:
    with pytest.raises(ValueError, match="no filter of numcodecs"):
        round_trip(np.arange(3), [{"name": "somebody.else"}])


def test_filters_are_found_in_both_formats_up_to_one_that_keeps_what_it_is_given() -> None:
    filters = [numcodecs.AsType("<f4", "<f8"), numcodecs.BitRound(3), numcodecs.Delta("<f4")]
    serializer = {"name": "bytes", "configuration": {"endian": "little"}}
    found = rounding_filters([TRANSPOSE, *documents(*filters), serializer])
    assert found == tuple(filters[:2])
    assert rounding_filters([codec.get_config() for codec in filters]) == tuple(filters[:2])
    assert rounding_filters([serializer]) == ()


KEPT = [
    (numcodecs.AsType("<f4", "<f8"), [0.0, 0.1, 1e30, -np.inf, np.nan, 1e-40]),
    (numcodecs.AsType("|i1", "<i4"), [-128, 0, 127]),
    (numcodecs.AsType("<i4", "<f8"), [0.9, -0.9, 2**31 - 1.0]),
    (numcodecs.FixedScaleOffset(1000, 10, "<f8", "|u1"), [1000.0, 1025.5, 1000.04]),
    (numcodecs.FixedScaleOffset(0, 0.1, "<i2", "|i1"), [0, 5, 1270, -1280]),
    (numcodecs.FixedScaleOffset(0, 100, "<f4"), [0.1, 1e9, np.nan, np.inf]),
    (numcodecs.Quantize(1, "<f8", "<f4"), [0.15, -3.14, 1e5, np.nan]),
    (numcodecs.BitRound(3), [0.1, 1e300, -1e-300, np.inf]),
]

LOST = [
    (numcodecs.AsType("<f4", "<f8"), [1e39], "inf"),
    (numcodecs.AsType("|i1", "<i4"), [0, 128], "-128"),
    (numcodecs.AsType("<i4", "<f8"), [2.0**31], "2147483648"),
    (numcodecs.AsType("<i4", "<f8"), [np.nan], "nan"),
    (numcodecs.FixedScaleOffset(1000, 10, "<f8", "|u1"), [999.0], "999"),
    (numcodecs.FixedScaleOffset(0, 10, "<i2", "<i2"), [5000], "5000"),
    (numcodecs.FixedScaleOffset(0, 0, "<f8"), [1.0], "nan"),
    (numcodecs.Quantize(1, "<f8", "<f4"), [1e39], "inf"),
    (numcodecs.Quantize(300, "<f8"), [1e100], "inf"),
    (numcodecs.BitRound(3), [np.finfo("f8").max], "inf"),
]


def _typed(codec: Any, values: list[Any]) -> np.ndarray[Any, Any]:
    dtype = getattr(codec, "dtype", getattr(codec, "decode_dtype", "<f8"))
    return np.array(values, dtype=dtype)


@pytest.mark.parametrize(("codec", "values"), KEPT, ids=repr)
def test_values_that_a_filter_can_hold(codec: Any, values: list[Any]) -> None:
    given = _typed(codec, values)
    before = given.copy()
    check_kept(given, [codec])
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(("codec", "values", "said"), LOST, ids=repr)
def test_values_that_a_filter_cannot_hold(codec: Any, values: list[Any], said: str) -> None:
    with pytest.raises(EncodingError, match=f"1 of .*{said}"):
        check_kept(_typed(codec, values), [codec])


def test_each_filter_is_given_what_the_one_before_has_made() -> None:
    filters = [numcodecs.FixedScaleOffset(0, 100, "<f8", "<i4"), numcodecs.AsType("|i1", "<i4")]
    check_kept(np.array([1.27, -1.28]), filters)
    with pytest.raises(EncodingError, match="AsType"):
        check_kept(np.array([1.28]), filters)


def test_a_value_at_the_end_of_many_is_seen() -> None:
    values = np.zeros((2**20 + 3, 2), dtype="<i2")
    check_kept(values, [numcodecs.AsType("|i1", "<i2")])
    values[-1, -1] = 1000
    with pytest.raises(EncodingError, match="1000"):
        check_kept(values, [numcodecs.AsType("|i1", "<i2")])
