"""Inflates zlib and gzip data with the fastest installed library.

``isal`` takes two thirds of the time of zlib and checks the same checksums. It is not available for every
machine; without it, zlib is used.
"""

from __future__ import annotations

import importlib
import logging
import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)


def _fastest_module() -> ModuleType:
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        logger.info("isal is not installed: zlib inflates chunks, which takes longer")
        return zlib


_fastest = _fastest_module()

INFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error, _fastest.error)
"""Errors that are raised for bytes that are not deflated data."""


_LEAST_PIECE = 256
_MOST_PIECE = 2**18
"""Largest input of one step: bytes that a stream leaves for the next stream are copied."""


def streams(start: Callable[[], Any], encoded: Any, most: int) -> Iterator[bytes]:
    """Yield the decoded pieces of consecutive streams, in time linear in their bytes.

    Parameters
    ----------
    start : callable
        Function that makes the decompressor of one stream, as in `zlib`, `bz2` or `lzma`.
    encoded : bytes-like
    most : int
        Largest number of bytes of a piece.

    Raises
    ------
    EOFError
        If the last stream is truncated.
    """
    view = memoryview(encoded).cast("B")
    end = 0
    while end < len(view):
        stream, size = start(), _LEAST_PIECE
        while not stream.eof:
            given = getattr(stream, "unconsumed_tail", b"")
            if not given and getattr(stream, "needs_input", True):
                given = view[end : end + size]
                end += len(given)
                size = min(2 * size, _MOST_PIECE)
            piece = stream.decompress(given, most)
            if not (piece or len(given) or stream.eof):
                raise EOFError
            yield piece
        end -= len(stream.unused_data)


def inflater(window_bits: int) -> Any:
    """Return an object like that of `zlib.decompressobj`.

    Parameters
    ----------
    window_bits : int
        Argument of zlib: 15 for zlib's own header, 31 for that of gzip.
    """
    return _fastest.decompressobj(window_bits)
