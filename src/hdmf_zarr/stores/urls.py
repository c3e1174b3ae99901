"""Refuses mistyped URLs before any request is made."""

from __future__ import annotations

import os
import re

from hdmf_zarr.errors import OptionError

BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss"})
"""Schemes of URLs whose first part is a bucket, which may contain many other objects."""

_SCHEMES = BUCKETS | {"http", "https", "hf", "memory"}
_LACKS_SLASH = re.compile(r"([A-Za-z0-9]+):/?[^/\\]")


def check_spelling(path: str) -> None:
    """Raise `OptionError` for a URL without a place, or a path that looks like a mistyped URL."""
    scheme, separator, rest = path.partition("://")
    if not separator:
        _check_path(path)
        return
    small = scheme.lower()
    if scheme != small and small in _SCHEMES:
        raise OptionError(f"{path!r}: the scheme of a URL is in small letters: {small}://{rest}")
    if small not in BUCKETS:
        return
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise OptionError(f"{path!r} names no bucket: give {small}://BUCKET/NAME")
    if "//" in key.rstrip("/") or key.startswith("/"):
        raise OptionError(
            f"{path!r} has an empty part: two slashes follow each other; leave one of them out"
        )


def _check_path(path: str) -> None:
    match = _LACKS_SLASH.match(path)
    if match and match[1].lower() in _SCHEMES - {"memory"} and not os.path.lexists(path):
        scheme, rest = match[1].lower(), path[len(match[1]) + 1 :].lstrip("/")
        raise OptionError(
            f"{path!r} would be a folder of this machine with the name {match[1]!r}: a URL has two slashes, "
            f"{scheme}://{rest}"
        )
