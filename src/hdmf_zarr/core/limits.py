"""PURE: how much the metadata of a store can make a reader do; every limit is here.

A file that asks for more is damaged or hostile: its reader gets an error that says so, before memory is
taken. The limits are far above what files hold; who needs more changes them here, by assignment.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from hdmf_zarr.errors import ChunkError, EncodingError, MetadataError

MOST_DOCUMENT_BYTES = 256 * 1024**2
"""Of one metadata document; that of the root holds those of all nodes (1 kB each, so 250 000)."""

DEEPEST_PATH = 128
"""Groups within groups."""

DEEPEST_JSON = 64
"""Lists and objects within each other, in an attribute or a document."""

MOST_CHUNK_BYTES = 64 * 1024**3
"""Of one decoded chunk. Compressors stop at 2 GB, HDF5 at 4 GB; an uncompressed array may be one chunk."""

MOST_TEXT_CHUNK_BYTES = 4 * 1024**3
"""Of one decoded chunk of text, whose size the metadata do not tell."""

MOST_ENCODED_TEXT_BYTES = 1024**3
"""Of one encoded chunk of text or objects, whose size the metadata do not tell."""

_ENCODED_BEYOND = 2**16
_INDEX_OF_CHUNK = 1024
"""Bytes beyond 1.1 times the elements of an encoded chunk, and in a shard for each chunk in it."""

LONGEST_TEXT_BYTES = 1024**3
"""Of one text, or of bytes, in a dataset: longer ones are neither written nor believed."""

_TEXT_BEYOND = 2**16
_TEXT_PER_BYTE = 64
_TEXT_PER_ELEMENT = 4096
"""What a chunk of text may become: the longest text, more than text is compressed for each of its bytes,
and a page for each element, however well equal ones are compressed."""


def check_document_size(n_bytes: int, where: str) -> None:
    """Raise `MetadataError` if a metadata document is larger than any should be."""
    if n_bytes > MOST_DOCUMENT_BYTES:
        raise MetadataError(
            f"{where} has {n_bytes} bytes of metadata or more, at most {MOST_DOCUMENT_BYTES} are read. "
            "Large values belong into datasets, not into attributes"
        )


def most_encoded_bytes(decoded: int | None, n_inner: int = 0) -> int:
    """Return how many bytes an encoded chunk, or a shard, may have to be read.

    Parameters
    ----------
    decoded : int or None
        Bytes of its elements; None where they vary in length.
    n_inner : int
        Chunks in it, of a shard.
    """
    if decoded is None:
        return MOST_ENCODED_TEXT_BYTES if n_inner <= 1 else MOST_CHUNK_BYTES
    return decoded + decoded // 10 + _ENCODED_BEYOND + n_inner * _INDEX_OF_CHUNK


def check_encoded_size(n_bytes: int, most: int, where: str) -> None:
    """Raise `ChunkError` if an encoded chunk is longer than any of its array can be."""
    if n_bytes > most:
        raise ChunkError(
            f"{where} has {n_bytes} bytes or more, a chunk of its array has at most {most}: it is not read. "
            "It is damaged, or no chunk of this array; bring it back from a copy"
        )


def most_bytes_of_key(name: str) -> int:
    """Return how many bytes an object may have to be read, where its name is all that is known of it."""
    if _is_document(name):
        return MOST_DOCUMENT_BYTES
    return MOST_ENCODED_TEXT_BYTES if name.endswith(".partial") else MOST_CHUNK_BYTES


def _is_document(name: str) -> bool:
    return name.startswith(".z") or name == "zarr.json"


def check_size_of_key(key: str, n_bytes: int, most: int | None, where: str) -> None:
    """Raise an error if an object has more bytes than it may have.

    Parameters
    ----------
    key : str
    n_bytes : int
    most : int or None
        Of a chunk: bytes that it may have; None where only its name is known.
    where : str

    Raises
    ------
    MetadataError
        If it is a metadata document.
    ChunkError
        If it is anything else.
    """
    name = key.rpartition("/")[2]
    if _is_document(name):
        check_document_size(n_bytes, where)
    else:
        check_encoded_size(n_bytes, most_bytes_of_key(name) if most is None else most, where)


def parsed_json(encoded: str | bytes, where: str) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    MetadataError
        If it is no JSON, is nested too deeply, or has an integer of more digits than Python reads.
    """
    try:
        return json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{where} is not valid JSON: {error}") from error


def check_path_depth(path: str, where: str) -> None:
    """Raise `MetadataError` if a node lies deeper than any should."""
    if path.count("/") >= DEEPEST_PATH:
        raise MetadataError(
            f"{where} has a node {path.count('/') + 1} groups deep ({path[:60]}...); more than "
            f"{DEEPEST_PATH} are not followed"
        )


def check_json_depth(value: Any, where: str) -> None:
    """Raise `MetadataError` if lists and objects are nested deeper than any should be."""
    level = [value]
    for _ in range(DEEPEST_JSON):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or (type(inner) is list and inner)
        ]
        if not level:
            return
    raise MetadataError(f"{where} has values nested more than {DEEPEST_JSON} deep")


def check_chunk(chunk: Sequence[int], itemsize: int, where: str) -> None:
    """Raise `MetadataError` if one chunk of an array is larger than any should be.

    Parameters
    ----------
    chunk : sequence of int
        Shape of what is decoded at once: the chunk, or the chunk inside of a shard.
    itemsize : int
        Bytes of an element.
    where : str
    """
    n_bytes = math.prod(chunk) * max(1, itemsize)
    if n_bytes > MOST_CHUNK_BYTES:
        raise MetadataError(
            f"{where}: one chunk of shape {tuple(chunk)} would take {n_bytes:.3g} bytes, more than "
            f"{MOST_CHUNK_BYTES}: the metadata are damaged, or the array must be written in smaller "
            "chunks"
        )


def most_text_bytes(n_encoded: int, count: int) -> int:
    """Return how many bytes a chunk of elements that vary in length may become.

    Parameters
    ----------
    n_encoded : int
        Bytes of the chunk as it is stored.
    count : int
        Of its elements.
    """
    believed = LONGEST_TEXT_BYTES + _TEXT_BEYOND + _TEXT_PER_BYTE * n_encoded
    believed += _TEXT_PER_ELEMENT * count
    return min(MOST_TEXT_CHUNK_BYTES, believed)


def check_text_length(n: int) -> None:
    """Raise `EncodingError` if one text (of that many characters or bytes) is longer than what is read."""
    if n > LONGEST_TEXT_BYTES:
        raise EncodingError(
            f"a text of {n} characters is longer than {LONGEST_TEXT_BYTES} bytes, and would not be read; "
            "store it in parts"
        )


def check_decoded_size(n_bytes: int, expected: int | None, most_text: int | None = None) -> None:
    """Raise `MetadataError` if what comes out of a compressor is more than there should be.

    Parameters
    ----------
    n_bytes : int
        What the compressed bytes say that they become.
    expected : int or None
        What the elements of the chunk take; None where their sizes vary.
    most_text : int, optional
        What they may take in that case.
    """
    most = most_decoded_bytes(expected, most_text)
    if n_bytes > most:
        raise MetadataError(
            f"the chunk becomes {n_bytes} bytes when it is decompressed, expected at most {most}"
        )


def most_decoded_bytes(expected: int | None, most_text: int | None = None) -> int:
    """Return how many bytes may come out of a compressor, see `check_decoded_size`."""
    if expected is None:
        return MOST_TEXT_CHUNK_BYTES if most_text is None else most_text
    # A compressor may follow another one, which made its bytes a little more.
    return expected + expected // 16 + 2**16
