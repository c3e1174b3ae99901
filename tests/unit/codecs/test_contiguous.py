"""Codecs of numcodecs are given chunks in C order, in whatever order they lie in memory."""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, TransposeCodec
from zarr.registry import get_codec_class
from zarr.storage import MemoryStore

from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.checked import checked_codecs
from hdmf_zarr.codecs.contiguous import in_c_order

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")

ARRAY_CODECS = [
    numcodecs.Delta("<i2"),
    numcodecs.FixedScaleOffset(0, 1, "<i2", "<i2"),
    numcodecs.AsType("<i4", "<i2"),
]
VALUES = np.arange(12, dtype="<i2").reshape(4, 3) ** 2


def both(codec: Any) -> tuple[Any, Any]:
    """A codec of zarr-python, and the one that is given chunks in C order."""
    plain = to_zarr_codec(codec, 2)
    return plain, in_c_order(plain.to_dict())


@pytest.mark.parametrize("codec", [*ARRAY_CODECS, TransposeCodec(order=(1, 0))], ids=repr)
def test_a_codec_is_equal_to_the_one_of_zarr(codec: Any) -> None:
    plain, ordered = both(codec)
    assert (ordered == plain, plain == ordered, ordered != plain) == (True, True, False)
    assert ordered == in_c_order(ordered.to_dict())
    assert isinstance(ordered, type(plain))
    assert type(ordered).__name__ == type(plain).__name__
    assert ordered.to_dict() == plain.to_dict()
    assert hash(ordered) == hash(in_c_order(ordered.to_dict()))
    assert ordered != BytesCodec()


@pytest.mark.parametrize("name", ["bytes", "numcodecs.zlib", "blosc"])
def test_what_takes_bytes_stays(name: str) -> None:
    assert in_c_order({"name": name}) is None


@pytest.mark.parametrize("codec", ARRAY_CODECS, ids=repr)
@pytest.mark.parametrize("before", [[], [TransposeCodec(order=(1, 0))]])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_chunk_in_any_order_is_encoded(codec: Any, before: list[Any], order: Any) -> None:
    codecs = [given.to_dict() for given in (*before, to_zarr_codec(codec, 2), BytesCodec())]
    store = MemoryStore()
    array = zarr.create_array(store, shape=(4, 3), chunks=(4, 3), dtype="<i2")
    document = {**array.metadata.to_dict(), "codecs": checked_codecs(codecs)}
    ours = zarr.Array(zarr.AsyncArray(document, array.store_path))
    ours[...] = np.asarray(VALUES, order=order)
    np.testing.assert_array_equal(ours[...], VALUES)
    plain = zarr.Array(zarr.AsyncArray({**document, "codecs": codecs}, array.store_path))
    np.testing.assert_array_equal(plain[...], VALUES)


@pytest.mark.parametrize("order", ["<i2", ">i2"])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_a_filter_finds_the_order_of_bytes_that_it_names(order: str, endian: Any) -> None:
    codecs = [to_zarr_codec(numcodecs.Delta(order), 2), BytesCodec(endian=endian)]
    array = zarr.create_array(MemoryStore(), shape=(4, 3), chunks=(4, 3), dtype="<i2")
    document = {
        **array.metadata.to_dict(),
        "codecs": checked_codecs([codec.to_dict() for codec in codecs]),
    }
    ours = zarr.Array(zarr.AsyncArray(document, array.store_path))
    differences = np.diff(VALUES.ravel(), prepend=0).astype(">i2" if endian == "big" else "<i2")
    ours[...] = VALUES
    stored = array.store_path.store._store_dict["c/0/0"].to_bytes()
    assert stored == differences.tobytes()
    np.testing.assert_array_equal(ours[...], VALUES)


def test_what_zarr_completes_still_takes_chunks_in_c_order() -> None:
    # Its dtype is that of the array.
    document = {"name": "numcodecs.fixedscaleoffset", "configuration": {"offset": 0, "scale": 1}}
    array = zarr.create_array(MemoryStore(), shape=(4, 3), chunks=(4, 3), dtype="<i2")
    codecs = checked_codecs([document, BytesCodec().to_dict()])
    made: Any = zarr.AsyncArray({**array.metadata.to_dict(), "codecs": codecs}, array.store_path)
    completed = made.codec_pipeline.array_array_codecs[0]
    assert completed.to_dict()["configuration"]["dtype"] == "int16"
    assert type(completed) is type(in_c_order(document))


@pytest.mark.parametrize("name", ["transpose", "numcodecs.delta", "numcodecs.pcodec"])
def test_the_methods_that_are_replaced_are_there(name: str) -> None:
    try:
        plain: Any = get_codec_class(name)
    except KeyError:
        pytest.skip(f"zarr {zarr.__version__} has no {name}")
    # Up to 3.1 those of numcodecs have the second pair only; see ``codecs/contiguous.py``.
    assert hasattr(plain, "_encode_sync") or hasattr(plain, "_encode_single")
    assert hasattr(plain, "_encode_sync") == hasattr(plain, "_decode_sync")
    assert hasattr(plain, "evolve_from_array_spec")
