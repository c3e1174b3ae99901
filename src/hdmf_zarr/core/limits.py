"""Every limit on what the metadata of a store can make a reader do; pure.

A file that exceeds a limit is damaged or hostile: its reader raises an error that says so, before it takes
memory. The limits are far above the sizes in real files; a program changes them by assignment to this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from hdmf_zarr.errors import ChunkError, EncodingError, MetadataError

MOST_DOCUMENT_BYTES = 256 * 1024**2
"""Largest size in bytes of a metadata document; the root's holds those of all nodes (250 000 of 1 kB)."""

DEEPEST_PATH = 128
"""Largest number of groups within each other."""

DEEPEST_JSON = 64
"""Largest number of lists and objects within each other, in an attribute or a document."""

MOST_CHUNK_BYTES = 64 * 1024**3
"""Largest size in bytes of one decoded chunk.

Compressors stop at 2 GB, HDF5 at 4 GB; an uncompressed array may be one chunk.
"""

MOST_TEXT_CHUNK_BYTES = 4 * 1024**3
"""Largest size in bytes of one decoded chunk of text, whose size is not in the metadata."""

MOST_ENCODED_TEXT_BYTES = 1024**3
"""Largest size in bytes of one encoded chunk of text or objects, whose size is not in the metadata."""

_ENCODED_BEYOND = 2**16
_INDEX_OF_CHUNK = 1024
"""Extra bytes beyond 1.1 times the elements: for an encoded chunk, and for each chunk in a shard."""

LONGEST_TEXT_BYTES = 1024**3
"""Largest size in bytes of a text or bytes element of a dataset: longer ones are neither written nor read."""

_TEXT_BEYOND = 2**16
_TEXT_PER_BYTE = 64
_TEXT_PER_ELEMENT = 4096
"""Terms of the largest decoded size of a chunk of text.

The terms are the longest text, a ratio above that of any compressed text for each encoded byte, and a page
for each element, since equal elements compress without limit.
"""


def check_document_size(n_bytes: int, where: str) -> None:
    """Raise `MetadataError` if a metadata document is too large."""
    if n_bytes > MOST_DOCUMENT_BYTES:
        raise MetadataError(
            f"{where} has {n_bytes} bytes of metadata or more, at most {MOST_DOCUMENT_BYTES} are read. "
            "Large values belong into datasets, not into attributes"
        )


def most_encoded_bytes(decoded: int | None, n_inner: int = 0) -> int:
    """Return the largest number of bytes for which an encoded chunk or a shard is read.

    Parameters
    ----------
    decoded : int or None
        Number of bytes of its elements; None for elements that vary in length.
    n_inner : int
        Number of chunks in a shard.
    """
    if decoded is None:
        return MOST_ENCODED_TEXT_BYTES if n_inner <= 1 else MOST_CHUNK_BYTES
    return decoded + decoded // 10 + _ENCODED_BEYOND + n_inner * _INDEX_OF_CHUNK


def check_encoded_size(n_bytes: int, most: int, where: str) -> None:
    """Raise `ChunkError` if an encoded chunk is longer than any chunk of its array can be."""
    if n_bytes > most:
        raise ChunkError(
            f"{where} has {n_bytes} bytes or more, a chunk of its array has at most {most}: it is not read. "
            "It is damaged, or no chunk of this array; bring it back from a copy"
        )


def most_bytes_of_key(name: str) -> int:
    """Return the largest number of bytes for which an object is read, if only its name is known."""
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
        Largest number of bytes of a chunk; None if only its name is known.
    where : str

    Raises
    ------
    MetadataError
        If the object is a metadata document.
    ChunkError
        If the object is anything else.
    """
    name = key.rpartition("/")[2]
    if _is_document(name):
        check_document_size(n_bytes, where)
    else:
        check_encoded_size(n_bytes, most_bytes_of_key(name) if most is None else most, where)


def parsed_json(encoded: str | bytes, where: str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    MetadataError
        If the text is no JSON, is nested too deeply, or has an integer of too many digits for Python.
    """
    try:
        return json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{where} is not valid JSON: {error}") from error


def check_path_depth(path: str, where: str) -> None:
    """Raise `MetadataError` if a node is below too many groups."""
    if path.count("/") >= DEEPEST_PATH:
        raise MetadataError(
            f"{where} has a node {path.count('/') + 1} groups deep ({path[:60]}...); more than "
            f"{DEEPEST_PATH} are not followed"
        )


def check_json_depth(value: Any, where: str) -> None:
    """Raise `MetadataError` if lists and objects are nested too deeply."""
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
    """Raise `MetadataError` if one chunk of an array is too large.

    Parameters
    ----------
    chunk : sequence of int
        Shape of the unit of decoding: the chunk, or the inner chunk of a shard.
    itemsize : int
        Number of bytes of an element.
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
    """Return the largest decoded size of a chunk whose elements vary in length.

    Parameters
    ----------
    n_encoded : int
        Number of bytes of the stored chunk.
    count : int
        Number of its elements.
    """
    believed = LONGEST_TEXT_BYTES + _TEXT_BEYOND + _TEXT_PER_BYTE * n_encoded
    believed += _TEXT_PER_ELEMENT * count
    return min(MOST_TEXT_CHUNK_BYTES, believed)


def check_text_length(n: int) -> None:
    """Raise `EncodingError` if a text of ``n`` characters or bytes is too long to be read."""
    if n > LONGEST_TEXT_BYTES:
        raise EncodingError(
            f"a text of {n} characters is longer than {LONGEST_TEXT_BYTES} bytes, and would not be read; "
            "store it in parts"
        )


def check_decoded_size(n_bytes: int, expected: int | None, most_text: int | None = None) -> None:
    """Raise `MetadataError` if decompressed data are larger than the chunk can be.

    Parameters
    ----------
    n_bytes : int
        Decompressed size that the compressed bytes announce.
    expected : int or None
        Size of the elements of the chunk; None for elements that vary in size.
    most_text : int, optional
        Largest size of elements that vary in size.
    """
    most = most_decoded_bytes(expected, most_text)
    if n_bytes > most:
        raise MetadataError(
            f"the chunk becomes {n_bytes} bytes when it is decompressed, expected at most {most}"
        )


def most_decoded_bytes(expected: int | None, most_text: int | None = None) -> int:
    """Return the largest decompressed size, see `check_decoded_size`."""
    if expected is None:
        return MOST_TEXT_CHUNK_BYTES if most_text is None else most_text
    # The input of a compressor may be the output of another one, which can be a little larger.
    return expected + expected // 16 + 2**16
