"""Limits: what is at one is read, what is beyond it is refused with its size and its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from hdmf_zarr.core import limits
from hdmf_zarr.errors import ChunkError, EncodingError, MetadataError


@pytest.mark.parametrize(
    ("check", "most", "error", "message"),
    [
        (
            lambda n: limits.check_document_size(n, "s:/zarr.json"),
            limits.MOST_DOCUMENT_BYTES,
            MetadataError,
            "s:/zarr.json has 268435457 bytes of metadata or more, at most 268435456 are read. ",
        ),
        (
            lambda n: limits.check_encoded_size(n, 10, "s:/a/c.0"),
            10,
            ChunkError,
            "s:/a/c.0 has 11 bytes or more, a chunk of its array has at most 10: it is not read. ",
        ),
        (
            limits.check_text_length,
            limits.LONGEST_TEXT_BYTES,
            EncodingError,
            "a text of 1073741825 characters is longer than 1073741824 bytes",
        ),
        (
            lambda n: limits.check_decoded_size(n, 160),
            160 + 10 + 2**16,
            MetadataError,
            "the chunk becomes 65707 bytes when it is decompressed, expected at most 65706",
        ),
        (
            lambda n: limits.check_decoded_size(n, None, 7),
            7,
            MetadataError,
            "the chunk becomes 8 bytes when it is decompressed, expected at most 7",
        ),
        (
            lambda n: limits.check_chunk((n,), 1, "s:/a"),
            limits.MOST_CHUNK_BYTES,
            MetadataError,
            "s:/a: one chunk of shape (68719476737,) would take 6.87e+10 bytes, more than 68719476736",
        ),
    ],
    ids=["document", "encoded", "text", "decoded", "decoded text", "chunk"],
)
def test_a_size_is_at_most_the_limit(
    check: Callable[[int], None], most: int, error: type[Exception], message: str
) -> None:
    check(0)
    check(most)
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        check(most + 1)


def test_a_limit_is_changed_by_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_DOCUMENT_BYTES", 3)
    monkeypatch.setattr(limits, "MOST_CHUNK_BYTES", 5)
    with pytest.raises(MetadataError, match="has 4 bytes"):
        limits.check_document_size(4, "s")
    assert limits.most_bytes_of_key("zarr.json") == 3
    assert limits.most_bytes_of_key("c.0") == 5
    with pytest.raises(MetadataError, match="more than 5"):
        limits.check_chunk((3,), 2, "s")


@pytest.mark.parametrize(
    ("decoded", "n_inner", "most"),
    [
        (0, 0, 2**16),
        (1000, 0, 1100 + 2**16),
        (1009, 0, 1109 + 2**16),
        (1000, 3, 1100 + 2**16 + 3 * 1024),
        (None, 0, limits.MOST_ENCODED_TEXT_BYTES),
        (None, 1, limits.MOST_ENCODED_TEXT_BYTES),
        (None, 2, limits.MOST_CHUNK_BYTES),
    ],
)
def test_an_encoded_chunk_has_little_more_than_its_elements(
    decoded: int | None, n_inner: int, most: int
) -> None:
    assert limits.most_encoded_bytes(decoded, n_inner) == most


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("zarr.json", limits.MOST_DOCUMENT_BYTES),
        (".zarray", limits.MOST_DOCUMENT_BYTES),
        (".zmetadata", limits.MOST_DOCUMENT_BYTES),
        (".append.partial", limits.MOST_ENCODED_TEXT_BYTES),
        ("c.0", limits.MOST_CHUNK_BYTES),
        ("my.zarr.json", limits.MOST_CHUNK_BYTES),
        ("0.0", limits.MOST_CHUNK_BYTES),
    ],
)
def test_a_name_says_how_long_an_object_may_be(name: str, most: int) -> None:
    assert limits.most_bytes_of_key(name) == most


def test_the_size_of_a_key_is_that_of_its_last_name() -> None:
    most = limits.MOST_DOCUMENT_BYTES
    limits.check_size_of_key("a/zarr.json", most, 1, "s")  # a document is no chunk
    with pytest.raises(MetadataError, match="of metadata") as caught:
        limits.check_size_of_key("a/zarr.json", most + 1, None, "s")
    assert not isinstance(caught.value, ChunkError)
    limits.check_size_of_key("zarr.json/c.0", most + 1, None, "s")
    with pytest.raises(ChunkError, match="^s has 5 bytes or more, .* at most 4:"):
        limits.check_size_of_key("a/c.0", 5, 4, "s")
    with pytest.raises(ChunkError, match="at most 0"):
        limits.check_size_of_key("a/c.0", 1, 0, "s")


@pytest.mark.parametrize(
    ("encoded", "value"), [("3", 3), (b"[1, null]", [1, None]), ('{"a": "b"}', {"a": "b"})]
)
def test_json_says_a_value(encoded: str | bytes, value: Any) -> None:
    assert limits.parsed_json(encoded, "s") == value


@pytest.mark.parametrize(
    "encoded", ["", "{", "[1,]", b"\xff\xfe\xff", "[" * 100_000, "1" * 5000, "nul"], ids=range(7)
)
def test_any_other_text_is_no_json(encoded: str | bytes) -> None:
    with pytest.raises(MetadataError, match="^s:/a is not valid JSON: ") as caught:
        limits.parsed_json(encoded, "s:/a")
    assert caught.value.__cause__ is not None


def test_a_path_has_at_most_so_many_groups() -> None:
    deepest = "/".join(["group"] * limits.DEEPEST_PATH)
    limits.check_path_depth("", "s")
    limits.check_path_depth(deepest, "s")
    with pytest.raises(
        MetadataError, match=r"^s has a node 129 groups deep \(group/group/.*\.\.\.\)"
    ):
        limits.check_path_depth(deepest + "/data", "s")


def nested(depth: int, innermost: Any, *, in_objects: bool) -> Any:
    value = innermost
    for _ in range(depth):
        value = {"a": value} if in_objects else [value]
    return value


@pytest.mark.parametrize("in_objects", [True, False])
def test_values_are_nested_so_deep_at_most(*, in_objects: bool) -> None:
    deepest = nested(limits.DEEPEST_JSON, 1, in_objects=in_objects)
    limits.check_json_depth(deepest, "s")
    limits.check_json_depth({"a": 1, "b": [], "c": "text"}, "s")
    limits.check_json_depth({}, "s")
    for wider in ([deepest], {"x": 0, "y": deepest}, [1, "text", deepest]):
        with pytest.raises(MetadataError, match="^s has values nested more than 64 deep$"):
            limits.check_json_depth(wider, "s")


def test_a_chunk_is_as_large_as_its_elements() -> None:
    limits.check_chunk((2**20, 2**13), 8, "s")
    limits.check_chunk((), 2**36, "s")
    limits.check_chunk((0, 2**60), 8, "s")
    with pytest.raises(MetadataError, match=r"one chunk of shape \(1048576, 8193\)"):
        limits.check_chunk([2**20, 2**13 + 1], 8, "s")
    with pytest.raises(MetadataError, match="one chunk of shape"):
        limits.check_chunk((2**36 + 1,), 0, "s")  # an element takes a byte


def test_text_becomes_more_than_its_bytes_but_not_anything() -> None:
    base = limits.LONGEST_TEXT_BYTES + 2**16
    assert limits.most_text_bytes(0, 0) == base
    assert limits.most_text_bytes(100, 3) == base + 64 * 100 + 4096 * 3
    assert limits.most_text_bytes(2**40, 1) == limits.MOST_TEXT_CHUNK_BYTES
    assert limits.most_text_bytes(1, 2**40) == limits.MOST_TEXT_CHUNK_BYTES


@pytest.mark.parametrize(
    ("expected", "most_text", "most"),
    [
        (None, None, limits.MOST_TEXT_CHUNK_BYTES),
        (None, 0, 0),
        (None, 5, 5),
        (0, None, 2**16),
        (240, 5, 255 + 2**16),
    ],
)
def test_so_much_comes_out_of_a_compressor(
    expected: int | None, most_text: int | None, most: int
) -> None:
    assert limits.most_decoded_bytes(expected, most_text) == most
