"""Inflates zlib and gzip data with the fastest installed library.

``isal`` takes two thirds of the time of zlib, and checks the same checksums. It is not built for every
machine; where it is not there, zlib does the same.
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
"""What is raised for bytes that nobody has deflated."""


_LEAST_PIECE = 256
_MOST_PIECE = 2**18
"""Bytes that a stream is given at once: what it leaves of them, as of another one after it, is copied."""


def streams(start: Callable[[], Any], encoded: Any, most: int) -> Iterator[bytes]:
    """Yield what streams after each other become, piece by piece, in time that grows with their bytes.

    Parameters
    ----------
    start : callable
        Makes what decompresses one stream, as of `zlib`, `bz2` or `lzma`.
    encoded : bytes-like
    most : int
        Bytes of a piece.

    Raises
    ------
    EOFError
        If the last stream is cut off.
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
        As zlib takes them: 15 for zlib's own header, 31 for that of gzip.
    """
    return _fastest.decompressobj(window_bits)
