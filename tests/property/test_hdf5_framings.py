"""The framings of HDF5 filters: what is encoded comes back, and damaged bytes do no harm."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.registry import get_codec_class
from zarr.storage import MemoryStore

from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.codecs.hdf5.block_codecs import Blosc2Framing, ZFPFraming
from hdmf_zarr.codecs.hdf5.codecs import (
    BitshuffleCodec,
    Blosc2Codec,
    LZ4Codec,
    LZFCodec,
    NumcodecsBitshuffle,
    NumcodecsBlosc2,
    NumcodecsLZ4,
    NumcodecsLZF,
    NumcodecsSzip,
    NumcodecsZFP,
    SzipCodec,
    ZFPCodec,
)
from hdmf_zarr.codecs.hdf5.stream_codecs import (
    BitshuffleFraming,
    Framing,
    LZ4Framing,
    LZFFraming,
    SzipFraming,
)
from hdmf_zarr.errors import EncodingError, LayoutError, MetadataError

imagecodecs = pytest.importorskip("imagecodecs")

NAMES = ["lzf", "lz4", "bitshuffle", "szip"]

# Noise, runs, and both: what shrinks, what does not, sizes around 8 elements and around blocks.
DATA = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda value, count: value * count, st.binary(max_size=9), st.integers(0, 9000)),
    st.builds(
        lambda seed, n: np.random.default_rng(seed).bytes(n),
        st.integers(0, 9),
        st.integers(0, 40000),
    ),
)

ELEMENT_SIZES = st.sampled_from([1, 2, 3, 4, 7, 8, 16, 100, 300])


def whole(data: bytes, itemsize: int) -> bytes:
    return data[: len(data) // itemsize * itemsize]


def szip_framings() -> st.SearchStrategy[SzipFraming]:
    return st.builds(
        lambda mask, block, pixel, line: SzipFraming(mask, block, pixel, line),
        st.sampled_from([169, 141]),
        st.sampled_from([2, 8, 10, 16, 32]),
        st.sampled_from([8, 16, 32, 64]),
        st.integers(1, 128).map(lambda n: 4 * n),
    ).filter(lambda f: f.pixels_per_scanline >= f.pixels_per_block)


FRAMINGS: st.SearchStrategy[Framing] = st.one_of(
    st.just(LZFFraming()),
    st.builds(LZ4Framing, st.sampled_from([0, 1, 7, 64, 1000, 10**6])),
    st.builds(
        BitshuffleFraming,
        ELEMENT_SIZES,
        st.sampled_from([0, 8, 24, 128, 10**6]),
        st.sampled_from(["none", "lz4", "zstd"]),
    ),
    szip_framings(),
)


def element_size(framing: Framing) -> int:
    if isinstance(framing, SzipFraming):
        whole_lines = framing.pixels_per_scanline % framing.pixels_per_block
        return framing.bits_per_pixel // 8 * (framing.pixels_per_scanline if whole_lines else 1)
    return framing.elementsize if isinstance(framing, BitshuffleFraming) else 1


@given(framing=FRAMINGS, data=DATA)
def test_what_is_encoded_comes_back(framing: Framing, data: bytes) -> None:
    data = whole(data, element_size(framing))
    encoded = framing.encode_bytes(data)
    assert bytes(framing.decode_bytes(encoded)) == data
    assert bytes(framing.decode_bytes(encoded, len(data))) == data
    assert bytes(framing.decode_bytes(bytearray(encoded), 10**7)) == data


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 2047, 2048, 2049, 8191, 8192, 8193])
@pytest.mark.parametrize(
    "framing",
    [
        LZFFraming(),
        LZ4Framing(),
        LZ4Framing(1024),
        *(BitshuffleFraming(1, cname=n) for n in ("none", "lz4", "zstd")),
        SzipFraming(141, 16, 8, 64),
    ],
    ids=str,
)
def test_sizes_around_blocks(framing: Framing, size: int) -> None:
    data = (np.arange(size) // 3 % 256).astype("u1").tobytes()
    assert bytes(framing.decode_bytes(framing.encode_bytes(data))) == data


@given(framing=FRAMINGS, data=DATA, cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_chunk_is_never_taken_for_a_whole_one(
    framing: Framing, data: bytes, cut: float
) -> None:
    data = whole(data, element_size(framing))
    encoded = bytes(framing.encode_bytes(data))
    encoded = encoded[: int(len(encoded) * cut)]
    try:
        decoded = framing.decode_bytes(encoded, len(data))
    except MetadataError:
        pass
    else:
        # LZF does not say its size, and bits that fill up the last byte of szip may be missing.
        assert len(decoded) < len(data) or bytes(decoded) == data


@given(
    framing=FRAMINGS,
    data=DATA,
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_changed_bytes_cost_no_more_than_an_error(
    framing: Framing, data: bytes, changes: list[tuple[float, int]]
) -> None:
    data = whole(data, element_size(framing))
    encoded = bytearray(framing.encode_bytes(data))
    for place, value in changes:
        if encoded:
            encoded[int(place * len(encoded))] = value
    most = len(data) + 100
    with suppress(MetadataError):
        assert len(framing.decode_bytes(encoded, most)) <= most


@given(framing=FRAMINGS, noise=st.binary(max_size=200))
def test_noise_is_no_chunk(framing: Framing, noise: bytes) -> None:
    with suppress(MetadataError):
        assert len(framing.decode_bytes(noise, 1000)) <= 1000


# -- those that know the shape of a chunk ----------------------------------------------------------

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
CUTS = st.floats(0, 1, exclude_max=True)


needs_blosc2 = pytest.mark.skipif(
    not Blosc2Framing((1,), 1).is_usable, reason="blosc2 is not installed"
)


@st.composite
def frames(draw: Any) -> tuple[Blosc2Framing, bytes]:
    """A framing of Blosc2 and the bytes of a chunk."""
    framing = Blosc2Framing(
        shape=draw(SHAPES),
        typesize=draw(st.sampled_from([1, 2, 4, 8, 16])),
        cname=draw(st.sampled_from(["blosclz", "lz4", "lz4hc", "zlib", "zstd"])),
        clevel=draw(st.integers(0, 9)),
        shuffle=draw(st.sampled_from(["none", "byte", "bit", "delta"])),
    )
    generator = np.random.default_rng(draw(st.integers(0, 9)))
    size = int(np.prod(framing.shape)) * framing.typesize
    return framing, generator.integers(0, draw(st.sampled_from([1, 3, 256])), size, "u1").tobytes()


def header_of(values: np.ndarray[Any, Any], mode: str, level: float | None) -> ZFPFraming:
    """The framing that HDF5's filter would have for a chunk."""
    whole = imagecodecs.zfp_encode(values, level, mode=imagecodecs.ZFP.MODE[mode], header=True)
    return ZFPFraming(header=whole[:12].hex())


@st.composite
def streams(draw: Any) -> tuple[ZFPFraming, bytes, bool]:
    """A framing of ZFP, the bytes of a chunk, and whether all of it is kept."""
    dtype = np.dtype(draw(st.sampled_from(["<i4", "<i8", "<f4", "<f8"])))
    generator = np.random.default_rng(draw(st.integers(0, 9)))
    # Dimensions of length 1 are none of ZFP.
    shape = draw(st.lists(st.integers(2, 9), min_size=1, max_size=4).map(tuple))
    values = (generator.normal(size=shape) * 1000).astype(dtype)
    modes: list[tuple[str, float | None]] = [
        ("REVERSIBLE", None),
        ("FIXED_RATE", 8.0),
        ("FIXED_PRECISION", 20),
    ]
    if dtype.kind == "f":
        modes.append(("FIXED_ACCURACY", 0.25))
    mode, level = draw(st.sampled_from(modes))
    return header_of(values, mode, level), values.tobytes(), mode == "REVERSIBLE"


@needs_blosc2
@given(case=frames())
def test_frames_come_back(case: tuple[Blosc2Framing, bytes]) -> None:
    framing, data = case
    encoded = framing.encode_bytes(data)
    for most in (None, len(data), 10**7):
        assert bytes(framing.decode_bytes(encoded, most)) == data
    with pytest.raises(MetadataError, match="filter blosc2"):
        framing.decode_bytes(encoded, len(data) // 2**4 - 1)


@given(case=streams())
def test_streams_of_zfp_come_back(case: tuple[ZFPFraming, bytes, bool]) -> None:
    framing, data, is_whole = case
    encoded = framing.encode_bytes(data)
    decoded = bytes(framing.decode_bytes(encoded, len(data)))
    assert len(decoded) == len(data)
    if is_whole:
        assert decoded == data
    # What was decoded once is not told from the stream: it decodes to the same again.
    assert bytes(framing.decode_bytes(bytearray(encoded))) == decoded
    with pytest.raises(MetadataError, match="filter zfp"):
        framing.decode_bytes(encoded, len(data) - 1)


@needs_blosc2
@given(case=frames(), cut=CUTS)
def test_a_frame_that_was_cut_off_is_refused(case: tuple[Blosc2Framing, bytes], cut: float) -> None:
    framing, data = case
    encoded = bytes(framing.encode_bytes(data))
    with pytest.raises(MetadataError, match="filter blosc2"):
        framing.decode_bytes(encoded[: int(len(encoded) * cut)], len(data))


@given(case=streams(), cut=CUTS)
def test_a_stream_of_zfp_that_was_cut_off_is_refused_or_whole(
    case: tuple[ZFPFraming, bytes, bool], cut: float
) -> None:
    framing, data, _ = case
    encoded = bytes(framing.encode_bytes(data))
    decoded = framing.decode_bytes(encoded, len(data))
    try:
        found = framing.decode_bytes(encoded[: int(len(encoded) * cut)], len(data))
    except MetadataError:
        return
    assert found == decoded  # only the bits that fill up the last word were missing


@needs_blosc2
def test_a_frame_whose_type_of_elements_makes_no_sense_is_refused() -> None:
    framing = Blosc2Framing(shape=(1, 2), typesize=16, cname="blosclz", clevel=1, shuffle="none")
    encoded = bytes(framing.encode_bytes(bytes(32)))
    assert encoded.count(b"V16") == 1
    with pytest.raises(MetadataError, match="filter blosc2"):
        framing.decode_bytes(encoded.replace(b"V16", b"V'("), 32)


def test_a_stream_of_zfp_with_a_fixed_rate_has_all_of_its_bits() -> None:
    """What was lost of it here does not depend on what comes behind."""
    framing = ZFPFraming(header="7a667005400000000000f001")
    values = np.array([345, 821, 330, -1303, 905], "<i4")
    encoded = bytes(framing.encode_bytes(values.tobytes()))
    assert len(framing.decode_bytes(encoded, values.nbytes)) == values.nbytes
    with pytest.raises(MetadataError, match="filter zfp: it ends too early"):
        framing.decode_bytes(encoded[: int(len(encoded) * 0.625)], values.nbytes)


CHANGES = st.lists(st.tuples(CUTS, st.integers(0, 255)), max_size=4)


@needs_blosc2
@given(case=st.one_of(frames(), streams()), changes=CHANGES)
def test_changed_frames_and_streams_cost_no_more_than_an_error(
    case: tuple[Any, ...], changes: list[tuple[float, int]]
) -> None:
    framing, data = case[:2]
    encoded = bytearray(framing.encode_bytes(data))
    for place, value in changes:
        encoded[int(place * len(encoded))] = value
    with suppress(MetadataError):
        assert len(framing.decode_bytes(encoded, len(data))) <= len(data)


def bombs() -> list[Any]:
    huge = struct.Struct(">QI")
    zstd = BitshuffleFraming(1, cname="zstd")
    return [
        pytest.param(LZ4Framing(), huge.pack(2**62, 2**31), id="lz4: size"),
        pytest.param(LZ4Framing(), huge.pack(2**62, 1) + bytes(100), id="lz4: small blocks"),
        pytest.param(LZ4Framing(), huge.pack(2000, 2**32 - 1) + b"\0\0\0\x01a", id="lz4: block"),
        pytest.param(LZ4Framing(), huge.pack(8, 0) + bytes(100), id="lz4: no block"),
        pytest.param(LZ4Framing(), huge.pack(8, 8) + b"\xff\xff\xff\xff", id="lz4: length"),
        pytest.param(zstd, huge.pack(2**62, 8192), id="bitshuffle: size"),
        pytest.param(zstd, huge.pack(2**20, 2**32 - 8) + bytes(20), id="bitshuffle: block"),
        pytest.param(zstd, huge.pack(2**20, 0), id="bitshuffle: no block"),
        pytest.param(zstd, huge.pack(2**20, 12), id="bitshuffle: half a block"),
        pytest.param(BitshuffleFraming(4), bytes(7), id="bitshuffle: half an element"),
        pytest.param(SzipFraming(141, 8, 8, 64), b"\xff\xff\xff\xff" + bytes(9), id="szip: size"),
        pytest.param(SzipFraming(141, 8, 32, 64), b"\7\0\0\0" + bytes(9), id="szip: half"),
    ]


@pytest.mark.parametrize("most", [None, 4096])
@pytest.mark.parametrize(("framing", "encoded"), bombs())
def test_a_size_is_not_believed(framing: Framing, encoded: bytes, most: int | None) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(
            MetadataError, match=r"the chunk is not one of the filter|takes whole|found"
        ):
            framing.decode_bytes(encoded, most)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "framing",
    [
        LZFFraming(),
        LZ4Framing(),
        BitshuffleFraming(4, cname="lz4"),
        BitshuffleFraming(4, cname="zstd"),
        SzipFraming(141, 8, 32, 64),
    ],
    ids=str,
)
def test_a_chunk_that_becomes_more_than_is_possible_is_refused(framing: Framing) -> None:
    encoded = framing.encode_bytes(bytes(2**20))
    assert len(framing.decode_bytes(encoded, 2**20)) == 2**20
    with pytest.raises(MetadataError, match="the chunk is not one of the filter"):
        framing.decode_bytes(encoded, 2**20 - 1)


def test_a_block_of_zstd_that_grows_beyond_its_size_is_refused() -> None:
    zeros = BitshuffleFraming(1, 8 * 10**5, "zstd").encode_bytes(bytes(8 * 10**5))
    small = struct.pack(">QI", 8192, 8192) + bytes(zeros)[12:]
    with pytest.raises(MetadataError, match="filter bitshuffle"):
        BitshuffleFraming(1, cname="zstd").decode_bytes(small)


@pytest.mark.parametrize(
    "framing",
    [BitshuffleFraming(4), BitshuffleFraming(4, cname="lz4"), SzipFraming(141, 8, 32, 64)],
)
def test_half_an_element_is_not_encoded(framing: Framing) -> None:
    with pytest.raises(EncodingError, match="whole elements of 4 bytes, found 7 bytes"):
        framing.encode_bytes(bytes(7))


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("lzf", {"level": 3}),
        ("lz4", {"blocksize": -1}),
        ("lz4", {"blocksize": "1"}),
        ("lz4", {"blocksize": 2**40}),
        ("bitshuffle", {}),
        ("bitshuffle", {"elementsize": 0}),
        ("bitshuffle", {"elementsize": True}),
        ("bitshuffle", {"elementsize": 2, "blocksize": 9}),
        ("bitshuffle", {"elementsize": 2, "cname": "gzip"}),
        ("bitshuffle", {"elementsize": 2, "cname": ["lz4"]}),
        ("bitshuffle", {"elementsize": 2, "clevel": 99}),
        ("szip", {"options_mask": 1}),
        (
            "szip",
            {
                "options_mask": 1,
                "pixels_per_block": 0,
                "bits_per_pixel": 8,
                "pixels_per_scanline": 8,
            },
        ),
    ],
)
def test_a_configuration_that_makes_no_sense(name: str, configuration: dict[str, Any]) -> None:
    full = f"hdmf_zarr.{name}"
    with pytest.raises(LayoutError):
        get_codec_class(full).from_dict({"name": full, "configuration": configuration})
    with pytest.raises(LayoutError):
        numcodecs.get_codec({"id": full, **configuration})


FACES = [
    (LZFCodec(), NumcodecsLZF()),
    (LZ4Codec(100), NumcodecsLZ4(100)),
    (BitshuffleCodec(4, 8, "zstd", 3), NumcodecsBitshuffle(4, 8, "zstd", 3)),
    (SzipCodec(141, 16, 32, 24), NumcodecsSzip(141, 16, 32, 24)),
]

# A chunk of 4 by 24 int32, kept whole.
ZFP_HEADER = "7a6670057401003000000088"
SHAPED_FACES = [
    (Blosc2Codec((4, 24), 4), NumcodecsBlosc2((4, 24), 4)),
    (ZFPCodec(ZFP_HEADER), NumcodecsZFP(ZFP_HEADER)),
]


@pytest.mark.parametrize(("codec", "other"), [*FACES, *SHAPED_FACES], ids=[*NAMES, "blosc2", "zfp"])
def test_both_faces_are_found_by_name(codec: Any, other: Any) -> None:
    document = codec.to_dict()
    assert get_codec_class(document["name"]).from_dict(document) == codec
    assert numcodecs.get_codec(other.get_config()) == other
    assert to_zarr_codec(other, 4) == codec
    assert to_zarr_codec(other.get_config(), 4) == codec
    assert to_zarr_codec(document, 4) == codec
    with pytest.raises(NotImplementedError):
        codec.compute_encoded_size(1, None)


@pytest.mark.parametrize(("_codec", "other"), FACES, ids=NAMES)
@pytest.mark.parametrize("dtype", ["<i4", ">f4", "M8[s]", "i4,f4"])
def test_the_face_of_numcodecs_takes_arrays_and_fills_them(
    _codec: Any, other: Any, dtype: str
) -> None:
    values = np.arange(96).reshape(4, 24).astype("<i8").astype(dtype)
    encoded = other.encode(values)
    assert bytes(other.decode(encoded)) == values.tobytes()
    out = np.empty_like(values)
    other.decode(encoded, out=out)
    np.testing.assert_array_equal(out, values)
    assert bytes(other.decode(other.encode(values[:0]))) == b""


@pytest.mark.parametrize(("codec", "_other"), FACES, ids=NAMES)
def test_a_damaged_chunk_of_an_array_is_an_error_of_ours(codec: Any, _other: Any) -> None:
    store = MemoryStore()
    array = zarr.create_array(
        store, shape=(48,), chunks=(24,), dtype="<i4", compressors=[codec], fill_value=0
    )
    array[...] = np.arange(48)
    np.testing.assert_array_equal(array[...], np.arange(48))
    encoded = asyncio.run(store.get("c/1", default_buffer_prototype())).to_bytes()
    for damaged in (encoded[:3], b"\xff" * len(encoded)):
        buffer = default_buffer_prototype().buffer.from_bytes(damaged)
        asyncio.run(store.set("c/1", buffer))
        with pytest.raises(ValueError, match="chunk|reshape"):
            array[...]
