"""Which names objects of a store can have, and which keys stay inside of the store; pure.

A name is one part of a path: of a file on a disk, of a key in a bucket, of a URL. A store that is moved from
one to another keeps its names only if all of them allow these names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

DOCUMENT = "zarr.json"
"""Name of the metadata document of a node of Zarr format 3."""

ZGROUP, ZARRAY, ZATTRS, ZMETADATA = ".zgroup", ".zarray", ".zattrs", ".zmetadata"
"""Names of the metadata documents of Zarr format 2."""

NODE_DOCUMENTS = frozenset({ZGROUP, ZARRAY, ZATTRS})
"""Documents of Zarr format 2 that belong to one node."""

METADATA_KEYS = frozenset({DOCUMENT, ZMETADATA}) | NODE_DOCUMENTS
"""Names that the Zarr formats reserve for metadata; an object of this name would replace a document."""

_KEPT_FOR_WRITERS = re.compile(r"\.append\.partial|\.replaced\.partial|.+\.[0-9a-f]{32}\.partial")
"""The journal, saved chunks, and incomplete files: recovery removes files with these names."""

LONGEST_NAME = 255
"""Maximum number of bytes of a name in file systems."""

_NOT_ON_WINDOWS = frozenset('<>:"|?*')

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in "123456789¹²³"}
)
"""Names that Windows reserves for devices, with any suffix."""


def why_unsafe(name: str) -> str | None:
    """Return why no object of any store can have a name; None if an object can have it.

    An unsafe name leads out of its group or out of the store, or replaces metadata.

    Examples
    --------
    >>> why_unsafe(".."), why_unsafe("data")
    ('it leads out of its group', None)
    """
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return "it leads out of its group"
    if "/" in name:
        return "it holds a slash, which separates names"
    if "\0" in name:
        return "it holds a NUL"
    if name in METADATA_KEYS:
        return "Zarr keeps it for metadata"
    if _KEPT_FOR_WRITERS.fullmatch(name):
        return "this package keeps it for what a writer leaves"
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:
        return "it is not text"
    if len(encoded) > LONGEST_NAME:
        return f"it takes {len(encoded)} bytes; file systems allow {LONGEST_NAME}"
    return None


def why_changed(name: str) -> str | None:
    """Return why some system silently changes or misreads a safe name; None if none does.

    Examples
    --------
    >>> why_changed("com1.txt"), why_changed("good?")
    ('Windows keeps it for a device', None)
    """
    if folded(name) in METADATA_KEYS:
        return "it differs only in case from a name of Zarr's metadata"
    if "\\" in name:
        return "it holds a backslash, which Windows takes for a slash"
    if name[1:2] == ":":
        return "Windows takes its first letter for a drive"
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "it holds a control character"
    if name[-1] in ". ":
        return "Windows drops dots and spaces at the end of names"
    if name.partition(".")[0].rstrip(" ").lower() in _DEVICES:
        return "Windows keeps it for a device"
    return None


def why_not_portable(name: str) -> str | None:
    """Return why some system cannot keep a name; None if every system can.

    Examples
    --------
    >>> why_not_portable("good?"), why_not_portable("µ of the 2nd day")
    ('Windows does not allow ? in names', None)
    """
    if reason := why_unsafe(name) or why_changed(name):
        return reason
    if found := sorted(_NOT_ON_WINDOWS.intersection(name)):
        return f"Windows does not allow {' '.join(found)} in names"
    return None


def is_inside(key: str) -> bool:
    """Return whether a key or path stays inside its store; the empty one is the store itself.

    Examples
    --------
    >>> is_inside("a/zarr.json"), is_inside("a/../../b"), is_inside("/etc/hosts")
    (True, False, False)
    """
    if not key:
        return True
    if "\0" in key or key[0] in "/\\" or key[1:2] == ":":
        return False
    return ".." not in key or ".." not in key.replace("\\", "/").split("/")


_UNSAFE_PART = re.compile(r"(?:^|/)(?:\.{0,2}|zarr\.json|\.z(?:group|array|attrs|metadata))(?:/|$)")


def is_node_path(path: str) -> bool:
    """Return whether a node can have a path, which has no slashes at its ends.

    Examples
    --------
    >>> is_node_path("a/b"), is_node_path("a/../b"), is_node_path("a/zarr.json")
    (True, False, False)
    """
    return not path or (is_inside(path) and _UNSAFE_PART.search(path) is None)


def folded(name: str) -> str:
    """Return the form of a name that a file system without case compares.

    Examples
    --------
    >>> folded("Units")
    'units'
    """
    lower = name.casefold()
    return lower if lower.isascii() else unicodedata.normalize("NFC", lower)


def differing_in_case(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names of one group that some file systems do not distinguish.

    These file systems ignore case, or treat an accented letter as the letter followed by the accent.

    Examples
    --------
    >>> list(differing_in_case(["Units", "trials", "units"]))
    [('Units', 'units')]
    >>> len(list(differing_in_case(["caf\\u00e9", "cafe\\u0301"])))
    1
    """
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(folded(name), name)
        if first != name:
            yield first, name
