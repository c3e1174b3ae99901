"""Zarr format 2: documents, pickles and arrays of any kind come back as they were."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrIO
from hdmf_zarr.codecs.objects.objects import JSONObjectsCodec, PickledObjectsCodec
from hdmf_zarr.codecs.objects.pickles import read_pickled_array, read_pickled_scalar
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.metadata.format2 import NATIVE, ORIGINAL, array_document, array_metadata
from tests.format2 import pickled

# -- documents -------------------------------------------------------------------------------------

DTYPES = [
    *(f"{order}{kind}" for order in "<>" for kind in ("i2", "i4", "i8", "u2", "u4", "u8")),
    *(f"{order}f{size}" for order in "<>" for size in (2, 4, 8)),
    *("|i1", "|u1", "|b1"),
]

COMPRESSORS = st.one_of(
    st.none(),
    st.builds(
        lambda cname, level, shuffle: {
            "id": "blosc",
            "cname": cname,
            "clevel": level,
            "shuffle": shuffle,
            "blocksize": 0,
        },
        st.sampled_from(["lz4", "zstd", "blosclz", "lz4hc", "zlib"]),
        st.integers(0, 9),
        st.integers(0, 2),
    ),
    st.builds(lambda level: {"id": "gzip", "level": level}, st.integers(0, 9)),
    st.builds(lambda level: {"id": "zlib", "level": level}, st.integers(0, 9)),
    st.builds(lambda level: {"id": "bz2", "level": level}, st.integers(1, 9)),
    st.builds(lambda level: {"id": "zstd", "level": level}, st.integers(0, 9)),
)


@st.composite
def zarray(draw: st.DrawFn) -> dict[str, Any]:
    """The ``.zarray`` of an array of numbers."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
    filters = []
    if dtype.kind in "iu" and draw(st.booleans()):
        filters.append({"id": "delta", "dtype": dtype.str, "astype": dtype.str})
    if draw(st.booleans()):
        filters.append({"id": "shuffle", "elementsize": dtype.itemsize})
    fill_values = {"b": st.booleans(), "f": st.sampled_from(["NaN", "Infinity", 0.0, -1.5])}
    return {
        "zarr_format": 2,
        "shape": shape,
        "chunks": [draw(st.integers(1, 2**20)) for _ in shape],
        "dtype": dtype.str,
        "compressor": draw(COMPRESSORS),
        "fill_value": draw(fill_values.get(dtype.kind, st.integers(0, 100))),
        "order": draw(st.sampled_from("CF")) if len(shape) > 1 else "C",
        "filters": filters or None,
        "dimension_separator": draw(st.sampled_from("./")),
    }


@given(metadata=zarray())
def test_metadata_are_the_inverse_of_the_document(metadata: dict[str, Any]) -> None:
    document = array_document(metadata)
    assume(NATIVE not in document)  # it has no codecs, and is never without what was read
    found = array_metadata(document)
    if metadata["compressor"] is None and metadata["filters"]:
        # A filter that makes bytes of bytes may also be said to be the compressor.
        chains = [
            [*(m["filters"] or []), *filter(None, [m["compressor"]])] for m in (found, metadata)
        ]
        assert chains[0] == chains[1]
        found = {**found, "filters": metadata["filters"], "compressor": None}
    assert found == metadata


@given(metadata=zarray(), rows=st.integers(0, 2**40))
def test_a_document_that_was_read_is_written_as_it_was(metadata: dict[str, Any], rows: int) -> None:
    metadata["unknown"] = "key"
    document = {**array_document(metadata), ORIGINAL: metadata}
    assert array_metadata(document) == metadata
    document["shape"] = [rows, *metadata["shape"][1:]]
    assert array_metadata(document) == {**metadata, "shape": document["shape"]}


# -- pickles ---------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
REFERENCES = st.fixed_dictionaries(
    {"source": TEXT, "path": TEXT, "object_id": st.none() | TEXT, "source_object_id": TEXT}
)
CELLS = st.one_of(
    REFERENCES,
    TEXT,
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
)


@st.composite
def arrays_of_objects(draw: st.DrawFn) -> np.ndarray:
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = np.empty(shape, dtype=object)
    shared = draw(st.lists(CELLS, min_size=1, max_size=3))
    for position in np.ndindex(*shape):
        array[position] = draw(st.sampled_from(shared) | CELLS)
    return array


@st.composite
def records(draw: st.DrawFn) -> np.ndarray:
    kinds = {
        "<i4": st.integers(-(2**31), 2**31 - 1),
        "<f8": st.floats(allow_nan=False),
        "|O": CELLS,
    }
    fields = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=0, max_size=4))
    dtype = np.dtype([("ref", "|O"), *((f"f{n}", kind) for n, kind in enumerate(fields))])
    rows = draw(
        st.lists(st.tuples(REFERENCES, *(kinds[kind] for kind in fields)), min_size=1, max_size=5)
    )
    return np.array(rows, dtype=dtype)


@given(array=arrays_of_objects() | records(), protocol=st.integers(3, 5))
def test_a_pickle_is_read_as_pickle_reads_it(array: np.ndarray, protocol: int) -> None:
    read = read_pickled_array(pickled(array, protocol))
    assert read.shape == array.shape
    assert read.fields == array.dtype.names
    expected = pickle.loads(pickle.dumps(array, protocol)).ravel().tolist()
    assert repr(read.elements) == repr(expected)


@given(content=st.binary(max_size=200))
def test_noise_is_never_more_than_an_error_of_ours(content: bytes) -> None:
    for read in (read_pickled_array, read_pickled_scalar):
        for encoded in (content, b"\x80\x05" + content, content + b"."):
            try:
                read(encoded)
            except MetadataError:
                continue


@given(array=arrays_of_objects(), at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_changed_byte_is_never_more_than_an_error_of_ours(
    array: np.ndarray, at: int, byte: int
) -> None:
    encoded = bytearray(pickled(array))
    encoded[at % len(encoded)] = byte
    try:
        PickledObjectsCodec().decode_texts(bytes(encoded), array.shape)
    except MetadataError:
        return


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_noise_in_json_is_never_more_than_an_error_of_ours(content: bytes) -> None:
    for encoded in (content, b"[" + content + b',"|O",[1]]', b'["a","|O",' + content + b"]"):
        try:
            JSONObjectsCodec().decode_texts(encoded, (1,))
        except MetadataError:
            continue


# -- arrays ----------------------------------------------------------------------------------------


@given(
    data=st.sampled_from(DTYPES).flatmap(
        lambda dtype: npst.arrays(
            np.dtype(dtype), npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)
        )
    )
)
def test_an_array_comes_back_as_it_was(data: np.ndarray) -> None:
    store = MemoryStore()
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", data)])
    with ZarrIO(store, "w", zarr_format=2) as io:
        io.write_builder(root)
    for mode in ("r", "r-"):
        with ZarrIO(store, mode) as io:
            found = io.read_builder()["data"].data
            assert found.shape == data.shape
            assert found.dtype == data.dtype
            assert found[...].tobytes() == data.astype(found[...].dtype).tobytes()


@given(text=st.lists(TEXT, max_size=10), dtype=st.sampled_from(["text", "ascii"]))
def test_text_comes_back_as_it_was(text: list[str], dtype: str) -> None:
    if dtype == "ascii":
        text = [entry.encode("ascii", "ignore").decode() for entry in text]
    store = MemoryStore()
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", text, dtype=dtype)])
    with ZarrIO(store, "w", zarr_format=2) as io:
        io.write_builder(root)
    with ZarrIO(store, "r") as io:
        found = [
            e.decode() if isinstance(e, bytes) else e for e in io.read_builder()["data"].data[:]
        ]
        assert found == text
