"""Chunks of objects <-> the texts through which they are read."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from typing import Any

import numcodecs
import numpy as np
import pytest
from zarr.registry import get_codec_class

from hdmf_zarr.codecs.objects.objects import LONGEST_TEXT, JSONObjectsCodec, PickledObjectsCodec
from hdmf_zarr.errors import EncodingError, MetadataError

REFERENCE = {"source": ".", "path": "/a", "object_id": None, "source_object_id": "7"}


def objects(*elements: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array if shape is None else array.reshape(shape)


def json2(array: np.ndarray) -> bytes:
    """A chunk as numcodecs makes it."""
    return bytes(numcodecs.json.JSON().encode(array))


def read_json(encoded: bytes, *shape: int) -> list[Any]:
    return JSONObjectsCodec().decode_texts(encoded, shape).tolist()


def read_pickle(array: Any, *shape: int) -> list[Any]:
    return PickledObjectsCodec().decode_texts(pickle.dumps(array, 5), shape).tolist()


# -- json2 -----------------------------------------------------------------------------------------


def test_references_are_their_json() -> None:
    texts = read_json(json2(objects(REFERENCE, {"path": "/b"})), 2)
    assert [json.loads(text) for text in texts] == [
        REFERENCE,
        {"source": None, "path": "/b", "object_id": None, "source_object_id": None},
    ]


def test_unknown_keys_of_a_reference_are_left_out() -> None:
    (text,) = read_json(json2(objects({**REFERENCE, "more": [1, {"x": 2}]})), 1)
    assert json.loads(text) == REFERENCE


def test_records_are_json_lists() -> None:
    rows = [[1, 2.5, "ä", REFERENCE], [-1, None, "", REFERENCE]]
    encoded = json.dumps([*rows, "|O", [2]]).encode()
    assert [json.loads(text) for text in read_json(encoded, 2)] == rows


def test_text_stays_text() -> None:
    assert read_json(json2(objects("ä", "", "[1", "/a")), 4) == ["ä", "", "[1", "/a"]


def test_a_specification_of_any_length_stands_alone() -> None:
    text = json.dumps({"doc": "x" * LONGEST_TEXT})
    assert read_json(json2(objects(text)), 1) == [text]


@pytest.mark.parametrize("fill", [None, 0])
def test_a_fill_value_refers_to_nothing(fill: Any) -> None:
    assert read_json(json2(objects(fill, fill)), 2) == ["", ""]


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 2, 2), (4, 1)])
def test_shapes_are_kept(shape: tuple[int, ...]) -> None:
    array = objects("a", "b", "c", "d", shape=shape)
    assert read_json(json2(array), *shape) == array.tolist()


def test_a_chunk_may_be_flat_in_another_shape() -> None:
    assert read_json(b'["a","b","|O",[2]]', 2, 1) == [["a"], ["b"]]


@pytest.mark.parametrize(
    "texts",
    [
        objects("a", "", "ä"),
        objects(json.dumps(REFERENCE), ""),
        objects(json.dumps([1, "a", REFERENCE]), json.dumps([2, "b", None])),
        objects("a", "b", "c", "d", shape=(2, 2)),
        objects(shape=(0,)),
    ],
)
def test_decoding_is_the_inverse_of_encoding(texts: np.ndarray) -> None:
    codec = JSONObjectsCodec()
    encoded = codec.encode_texts(texts)
    assert codec.decode_texts(encoded, texts.shape).tolist() == texts.tolist()


def test_numcodecs_reads_what_is_encoded() -> None:
    texts = objects(json.dumps(REFERENCE), json.dumps([1, "a", REFERENCE]), "", "text")
    decoded = numcodecs.json.JSON().decode(JSONObjectsCodec().encode_texts(texts))
    assert decoded.tolist() == [REFERENCE, [1, "a", REFERENCE], None, "text"]


def test_text_that_looks_like_json_is_written_as_text() -> None:
    codec = JSONObjectsCodec(is_text=True)
    texts = objects('{"doc": "a"}', "[1]")
    encoded = codec.encode_texts(texts)
    assert json.loads(encoded) == ['{"doc": "a"}', "[1]", "|O", [2]]
    assert codec.decode_texts(encoded, (2,)).tolist() == texts.tolist()


@pytest.mark.parametrize("codec", [JSONObjectsCodec(), JSONObjectsCodec(is_text=True)])
def test_the_codec_is_found_by_its_json(codec: JSONObjectsCodec) -> None:
    found = get_codec_class("hdmf_zarr.json2").from_dict(codec.to_dict())
    assert found == codec


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'"text"',
        b"{}",
        b'{"a":1,"b":2,"c":3}',
        b"[1]",
        b'["a","|O"]',
        b'["a","|O",2]',
        b'["a","|O","x"]',
        b'["a","|O",[null]]',
        b'["a","|O",["x"]]',
        b'["a","|O",[Infinity]]',
        b'["a","|O",[NaN]]',
        b'["a","|O",[2]]',
        b'["a","b","|O",[1]]',
        b'["a","|O",[-1]]',
        b'["a","b","|O",[-1,-2]]',
        b'["a","b","|O",[2,1]]',
        b'[["a"],["b","c"],"|O",[2,1]]',
        b'["a","|O",[' + b"9" * 5000 + b"]]",
        b"[" * 100_000,
        b'["a","|O",[' + b"1," * 10_000 + b"1]]",
    ],
)
def test_a_document_of_the_wrong_shape_is_refused(encoded: bytes) -> None:
    with pytest.raises(MetadataError) as info:
        read_json(encoded, 1)
    assert len(str(info.value)) < 1000


@pytest.mark.parametrize(
    "element",
    [
        {},
        {"path": None},
        {"path": 5},
        {"path": "/a", "source": ["."]},
        {"path": "/a", "object_id": {"x": 1}},
        {"path": "x" * (LONGEST_TEXT + 1)},
        "x" * (LONGEST_TEXT + 1),
        [[1]],
        [{"x": 1}],
        "\ud800",
        {"path": "/\ud800"},
    ],
)
@pytest.mark.parametrize("read", ["json", "pickle"])
def test_an_element_that_is_no_reference_is_refused(element: Any, read: str) -> None:
    array = objects(element)
    with pytest.raises(MetadataError):
        if read == "json":
            read_json(json.dumps([element, "|O", [1]]).encode(), 1)
        else:
            read_pickle(array, 1)


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (1, 1), (10**12,), (10**30, 10**30)])
def test_a_chunk_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MetadataError, match="shape"):
        read_json(b'["a","b","|O",[2]]', *shape)
    with pytest.raises(MetadataError, match="shape"):
        read_pickle(objects(1, 2), *shape)


# -- pickles ---------------------------------------------------------------------------------------


def test_pickled_elements_are_the_same_texts() -> None:
    elements = [REFERENCE, 0, None, "text", b"ascii"]
    reference, *others = read_pickle(objects(*elements), 5)
    assert json.loads(reference) == REFERENCE
    assert others == ["", "", "text", "ascii"]


def test_pickled_records_are_json_lists() -> None:
    dtype = np.dtype([("n", "<i4"), ("x", "<f8"), ("r", "O"), ("t", "O")])
    rows = np.array([(1, 0.1, REFERENCE, "ä"), (-2, np.inf, 0, "")], dtype=dtype)
    assert [json.loads(text) for text in read_pickle(rows, 2)] == [
        list(row) for row in rows.tolist()
    ]


def test_pickled_bytes_that_are_no_text_are_refused() -> None:
    for element in (b"\xff", (1, b"\xff")):
        with pytest.raises(MetadataError, match="UTF-8"):
            read_pickle(objects(element), 1)


def test_pickled_arrays_have_the_shape_of_the_chunk() -> None:
    array = objects("a", "b", "c", "d", shape=(2, 2))
    assert read_pickle(array, 2, 2) == [["a", "b"], ["c", "d"]]


def test_pickles_are_not_written() -> None:
    with pytest.raises(EncodingError, match="not written"):
        PickledObjectsCodec().encode_texts(objects("a"))


@pytest.mark.parametrize(
    "text", ["", "a", "{", '{"path": "/a"}', "[1]", "null", "0", "x" * (LONGEST_TEXT + 1), "\xe4\n"]
)
@pytest.mark.parametrize("as_bytes", [True, False])
def test_text_alone_is_text_whatever_it_reads_like(text: str, *, as_bytes: bool) -> None:
    element = text.encode() if as_bytes else text
    encoded = pickle.dumps(objects(element), 5)
    codec = PickledObjectsCodec(is_text=True)
    assert codec.decode_texts(encoded, (1,)).tolist() == [text]
    assert PickledObjectsCodec.from_dict(codec.to_dict()) == codec


@pytest.mark.parametrize("element", [REFERENCE, None, 0, 5, [1], ("a",), b"\xff", "\ud800"])
def test_what_is_no_text_alone_is_refused(element: Any) -> None:
    with pytest.raises(MetadataError):
        PickledObjectsCodec(is_text=True).decode_texts(pickle.dumps(objects(element), 5), (1,))


def shared(text: str, cells: int, rows: int) -> Any:
    """Pickles in a few bytes each time it is named again."""
    row = (text,) * cells
    array = np.empty(rows, dtype=object)
    for position in range(rows):
        array[position] = row
    return array


def test_few_bytes_that_become_gigabytes_are_refused_at_once() -> None:
    bomb = shared("x" * 60_000, 300, 10_000)  # 180 GB
    assert len(pickle.dumps(bomb, 5)) < 200_000
    tracemalloc.start()
    with pytest.raises(MetadataError, match="more than [0-9]+ characters"):
        read_pickle(bomb, 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**28


def test_a_row_of_very_many_cells_is_refused_at_once() -> None:
    bomb = shared("x" * 60_000, 100_000, 1)  # 6 GB
    tracemalloc.start()
    with pytest.raises(MetadataError, match="more than 1024 values"):
        read_pickle(bomb, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**28


def test_a_column_of_references_to_one_object_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdmf_zarr.codecs.objects.objects._LEAST_BELIEVED", 0)
    texts = read_pickle(objects(*[REFERENCE] * 20_000), 20_000)
    assert len(texts) == 20_000
    assert json.loads(texts[-1]) == REFERENCE


def test_tuples_that_share_their_entries_are_refused_at_once() -> None:
    entry: Any = ()
    for _ in range(100):
        entry = (entry, entry)
    with pytest.raises(MetadataError, match="a record holds a tuple"):
        read_pickle(objects(entry), 1)


def test_an_array_in_an_array_is_refused() -> None:
    with pytest.raises(MetadataError):
        read_pickle(objects(np.zeros(1, dtype=object)), 1)
    with pytest.raises(MetadataError):
        read_pickle(objects([np.zeros(1, dtype=object)]), 1)
