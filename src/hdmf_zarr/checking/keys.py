"""Checks of objects that are neither metadata nor chunks, and of leftovers next to the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.report import Finding
from hdmf_zarr.stores import keys
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    NODE_DOCUMENTS,
    ZMETADATA,
)
from hdmf_zarr.transactions.journal import SAVED, TEMPORARY
from hdmf_zarr.transactions.lock import leftovers_beside as beside
from hdmf_zarr.transactions.lock import writer_of

METADATA_NAMES = {3: frozenset({DOCUMENT}), 2: NODE_DOCUMENTS}


def is_metadata(examined: Examined, key: str) -> bool:
    """Whether a key names a metadata document."""
    name = key.rpartition("/")[2]
    if examined.zarr_format == 2 and key == ZMETADATA:
        return True
    return name in METADATA_NAMES[examined.zarr_format]


def is_temporary(key: str) -> bool:
    """Whether a key names a temporary file or a saved chunk: neither is read."""
    is_saved = key.startswith(SAVED + "/")
    return is_saved or TEMPORARY.fullmatch(key.rpartition("/")[2]) is not None


def leftovers_beside(examined: Examined) -> list[Path]:
    """Return folders and files next to a local store that stopped writes have left behind."""
    if not isinstance(examined.bytestore, LocalByteStore):
        return []
    root = Path(examined.uri)
    if writer_of(root) is not None:
        return []  # a write is in progress
    return beside(root, lock=True)


def check_keys(examined: Examined, others: list[str]) -> Iterator[Finding]:
    """Check that the store and its surroundings hold no unused objects."""
    for key in others:
        if is_temporary(key):
            message = "a file that was not written to its end"
            yield Finding.of(rules.LEFTOVER, _folder(key), message, key=key)
        else:
            message = "the object is neither metadata nor a chunk"
            yield Finding.of(rules.UNKNOWN_KEY, _folder(key), message, key=key)
    for path in leftovers_beside(examined):
        yield Finding.of(
            rules.LEFTOVER, "", f"{path} is next to the store: a leftover of a stopped write"
        )


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


def check_names(examined: Examined) -> Iterator[Finding]:
    """Check that the names of all objects are valid on every operating system."""
    hierarchy = examined.hierarchy
    for parent, children in hierarchy.children().items():
        links: tuple[str, ...] = ()
        if parent in hierarchy:
            try:
                decoded = hierarchy.convention.decode_links(hierarchy.attributes(parent))
                links = tuple(link.name for link in decoded)
            except ValueError:
                pass  # the check of links reports it
        yield from _check_distinct(examined, parent, children, links)
        for name in links:
            if reason := keys.why_unsafe(name):
                yield Finding.of(
                    rules.UNSAFE_NAME, parent, f"a link has the name {name!r}: {reason}"
                )
        together = sorted({*children, *links})
        for name in together:
            if reason := keys.why_not_portable(name):
                path = f"{parent}/{name}"
                yield Finding.of(rules.NOT_PORTABLE_NAME, path, f"the name {name!r:.80}: {reason}")
        for first, second in keys.differing_in_case(together):
            message = f"{first!r} and {second!r} differ only in case, or in how their letters are composed"
            yield Finding.of(rules.NAMES_DIFFER_IN_CASE, parent, message)


def _check_distinct(
    examined: Examined, path: str, children: Iterable[str], links: Iterable[str]
) -> Iterator[Finding]:
    """Check that the attributes, objects and links of a group have different names, for HDMF."""
    objects, linked = set(children), set(links)
    for name in sorted(objects & linked):
        message = f"the link hides the object /{path}/{name}, which has its name"
        yield Finding.of(rules.BROKEN_LINK, f"{path}/{name}", message)
    hierarchy = examined.hierarchy
    if path not in hierarchy or hierarchy.node_type(path) != "group":
        return
    attributes = hierarchy.convention.user_attributes(hierarchy.attributes(path))
    for name in sorted(attributes.keys() & (objects | linked)):
        message = f"the attribute {name!r:.80} has the name of an object in the group"
        yield Finding.of(rules.BROKEN_ATTRIBUTE, path, message)


def symbolic_links(examined: Examined) -> list[str]:
    """Return the keys of a local store that are symbolic links."""
    if not isinstance(examined.bytestore, LocalByteStore):
        return []
    root = examined.bytestore.root
    return [key for key in examined.sizes or () if (root / key).is_symlink()]
