"""The fastest way there is to inflate what zlib or gzip has deflated.

``isal`` takes two thirds of the time of zlib, and checks the same checksums. It is not built for every
machine; where it is not there, zlib does the same.
"""

from __future__ import annotations

import importlib
import logging
import zlib
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


def inflater(window_bits: int) -> Any:
    """Return an object like that of `zlib.decompressobj`.

    Parameters
    ----------
    window_bits : int
        As zlib takes them: 15 for zlib's own header, 31 for that of gzip.
    """
    return _fastest.decompressobj(window_bits)
