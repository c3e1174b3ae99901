"""The table of codecs, and that every other table of codecs names only what is in it."""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
import pytest
from numcodecs.registry import codec_registry
from zarr.registry import get_codec_class

from hdmf_zarr.codecs import checked, direct, registry, translate
from hdmf_zarr.codecs.hdf5 import to_hdf5, validate
from hdmf_zarr.codecs.hdf5.codecs import ZARR_CODECS
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec, PickledObjectsCodec
from hdmf_zarr.errors import LayoutError


def test_every_codec_that_is_done_in_place_is_in_the_table() -> None:
    names = {*direct._STEPS, *direct._OBJECT_CODECS, *checked._CHECKED, *to_hdf5._FILTERS}
    names |= {*ZARR_CODECS, *checked._NAMED, *translate._OWN_CODECS}
    assert names <= registry.CODECS.keys()
    assert {*validate._BEGINNINGS, *checked._DECODED_SIZES} <= registry.FORMAT2_CODECS.keys()


def test_settings_are_known_of_every_codec_of_the_format_that_is_done_in_place() -> None:
    for name in direct._STEPS:
        is_checksum = registry.CODECS[name].role == "checksum"
        assert name in registry.SETTINGS or is_checksum, name


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, known in registry.CODECS.items()
        if not name.startswith((registry.NUMCODECS, registry.OWN)) and known.role != "shards"
    ),
)
def test_the_formats_own_codecs_are_those_of_zarr(name: str) -> None:
    assert get_codec_class(name) is not None


@pytest.mark.parametrize("codec_id", sorted(registry.BUNDLED))  # type: ignore[type-var]
def test_bundled_codecs_are_in_numcodecs(codec_id: str) -> None:
    assert codec_id in codec_registry
    assert numcodecs.__name__ in codec_registry[codec_id].__module__


@pytest.mark.parametrize("codec", [JSONObjectsCodec, PickledObjectsCodec])
def test_codecs_of_objects_have_the_names_of_the_table(codec: type) -> None:
    assert codec().to_dict()["name"] in registry.OBJECT_CODECS


@pytest.mark.parametrize("name", sorted(registry.CODECS))
def test_the_name_in_format_2_is_that_of_the_translation(name: str) -> None:
    """Codecs of objects are translated with their data type, see `metadata.format2`."""
    known = registry.CODECS[name]
    configuration = {"cname": "zstd", "clevel": 5, "shuffle": "shuffle", "level": 1}
    if known.role in ("objects", "serializer", "shards", "filter") and "." not in name:
        return
    if name in registry.OBJECT_CODECS:
        return
    try:
        found = translate.numcodecs_configuration(name, configuration)["id"]
    except LayoutError:
        found = None
    assert found == known.numcodecs_id


def test_a_codec_of_others_is_known_by_its_prefix() -> None:
    other = registry.info("numcodecs.of_others")
    assert (other.numcodecs_id, other.loss) == ("of_others", "unknown")
    assert other.unknown_to == (registry.TENSORSTORE,)
    assert registry.info("of_nobody").numcodecs_id is None
    assert registry.info("zstd") is registry.CODECS["zstd"]


def test_the_own_codec_of_the_format_stands_for_a_name_of_format_2() -> None:
    assert registry.FORMAT2_CODECS["zstd"].name == "zstd"
    assert registry.FORMAT2_CODECS["zlib"].name == "numcodecs.zlib"


def test_losses_are_apart() -> None:
    assert not registry.EXACT & registry.ROUNDING
    assert not (registry.EXACT | registry.ROUNDING) & registry.APPROXIMATE
    assert "zstd" in registry.EXACT
    assert "numcodecs.quantize" in registry.ROUNDING
    assert {"hdmf_zarr.zfp", "numcodecs.zfpy"} == registry.APPROXIMATE


SETTINGS_OF_TRIALS: dict[str, dict[str, Any]] = {
    "astype": {"encode_dtype": "<f4", "decode_dtype": "<f8"},
    "bitround": {"keepbits": 7},
    "delta": {"dtype": "<i8"},
    "fixedscaleoffset": {"offset": 0, "scale": 10, "dtype": "<f8", "astype": "<i4"},
    "quantize": {"digits": 1, "dtype": "<f8"},
    "shuffle": {"elementsize": 8},
}


def round_trip(codec: Any, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    decoded = codec.decode(np.asarray(codec.encode(values.copy())))
    return np.frombuffer(decoded, values.dtype).reshape(values.shape)


@pytest.mark.parametrize(
    "known",
    [
        known
        for known in registry.CODECS.values()
        if known.name.startswith(registry.NUMCODECS)
        and known.is_bundled
        and known.role != "objects"
        and known.loss != "unknown"
    ],
    ids=lambda known: known.numcodecs_id,
)
def test_a_codec_loses_what_the_table_says(known: registry.CodecInfo) -> None:
    codec_id = str(known.numcodecs_id)
    codec = numcodecs.get_codec({"id": codec_id, **SETTINGS_OF_TRIALS.get(codec_id, {})})
    values: np.ndarray[Any, Any] = np.random.default_rng(1).normal(size=64) * 100
    if codec_id in ("delta", "packbits"):
        values = values.astype("<i8") if codec_id == "delta" else values > 0
    once = round_trip(codec, values)
    is_same = np.array_equal(once, values)
    assert is_same == (known.loss == "none")
    if known.loss == "once":
        np.testing.assert_array_equal(round_trip(codec, once), once)
