"""Repairs: consolidated metadata, uneven tables, leftovers, unused chunks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.keys import is_temporary
from hdmf_zarr.checking.report import Finding, Report
from hdmf_zarr.checking.tables import check_elements, check_rows, cut_tables
from hdmf_zarr.checking.unused_chunks import unused_chunks
from hdmf_zarr.errors import ModeError
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.consolidated import consolidated_document, unreadable_arrays
from hdmf_zarr.metadata.node import with_consolidated
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, open_bytestore
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    ZATTRS,
    ZMETADATA,
)
from hdmf_zarr.stores.location import Location
from hdmf_zarr.transactions.claims import recover_for_writing
from hdmf_zarr.transactions.lock import WriterLock, lock_path, remove_beside
from hdmf_zarr.transactions.lock import leftovers_beside as beside

QUIET_SECONDS = 600
"""A leftover changed within this time may belong to a write in progress: it is kept."""

_UNSOUND = frozenset(
    kind.code
    for kind in (
        rules.BROKEN_DOCUMENT,
        rules.BEYOND_LIMITS,
        rules.UNSAFE_NAME,
        rules.UNFINISHED,
        rules.UNREADABLE_OBJECT,
    )
)

_OF_CONSOLIDATED = frozenset(
    kind.code
    for kind in (
        rules.CONSOLIDATED_DIFFERS,
        rules.BROKEN_CONSOLIDATED,
        rules.NOT_CONSOLIDATED,
        rules.SPECIFICATIONS_NOT_CONSOLIDATED,
    )
)

_WORSE = frozenset(
    kind.code
    for kind in (
        rules.BROKEN_ARRAY,
        rules.BROKEN_ATTRIBUTE,
        rules.BROKEN_CHUNK,
        rules.BROKEN_LINK,
        rules.BROKEN_REFERENCE,
        rules.MISSING_CHUNK,
        rules.NODE_IN_ARRAY,
        rules.STALE_CHUNK,
        rules.UNKNOWN_KEY,
    )
)
"""Faults of nodes whose consolidated metadata differ: a rebuild would expose readers to them."""


def repair(
    examined: Examined,
    report: Report,
    lock: WriterLock | None = None,
    *,
    for_archive: bool = False,
) -> tuple[list[str], list[Finding]]:
    """Rebuild the consolidated metadata and remove leftovers, where that loses nothing.

    Parameters
    ----------
    examined : Examined
        The store to repair.
    report : Report
        Findings in the store.
    lock : WriterLock, optional
        Lock of a local store, held by the caller.
    for_archive : bool
        Keep entries that zarr-python 3 cannot parse separate in the consolidated metadata of
        format 2.

    Returns
    -------
    done : list of str
        Repairs that were made.
    kept : list of Finding
        Repairs that were not made, and why.

    Raises
    ------
    ModeError
        If the store cannot be written to.
    """
    bytestore = writable(examined.bytestore.location)
    done: list[str] = []
    kept: list[Finding] = []
    if (recovery := recover_for_writing(bytestore, takes_over=False)) is not None:
        done.append(
            f"undid an append that was stopped: removed {len(recovery.removed)} objects, put "
            f"{len(recovery.restored)} documents back"
        )
    is_moved = for_archive and not examined.keeps_apart and _has_unreadable(examined)
    examined.keeps_apart |= for_archive
    if is_moved or any(found.code in _OF_CONSOLIDATED for found in report.findings):
        reason = _why_not_rebuilt(examined, report)
        if reason is None:
            count = _rebuild(examined, bytestore)
            done.append(f"rebuilt the consolidated metadata from {count} documents")
        else:
            message = f"the consolidated metadata were not rebuilt: {reason}"
            kept.append(Finding.of(rules.NOT_REPAIRED, "", message))
    if [*check_rows(examined), *check_elements(examined)]:
        for name, error in _cut_tables(report, bytestore, kept, lock):
            if error is None:
                done.append(f"cut {name}")
            else:
                kept.append(Finding.of(rules.NOT_REPAIRED, "", f"{name} was not cut: {error}"))
    removed = [*_remove_leftovers(examined, bytestore)]
    if not any(found.code in _UNSOUND for found in report.findings):
        removed += _remove_unused(bytestore)
    for name, error in removed:
        if error is None:
            done.append(f"removed {name}")
        else:
            kept.append(Finding.of(rules.NOT_REPAIRED, "", f"{name} was kept: {error}"))
    return done, kept


def _cut_tables(
    report: Report, bytestore: ByteStore, kept: list[Finding], lock: WriterLock | None
) -> Iterator[tuple[str, str | None]]:
    """Cut uneven tables if the metadata are valid; see `cut_tables`."""
    if kept or any(found.code in _UNSOUND for found in report.findings):
        yield "every uneven table", "other metadata are broken, or differ"
    else:
        yield from cut_tables(bytestore, lock)


@contextmanager
def locked(location: Location) -> Iterator[tuple[WriterLock | None, list[str]]]:
    """Lock a local store against other writers; yield the lock, and what acquiring it has removed.

    Yields
    ------
    lock : WriterLock or None
        Lock of the store; None if it is no folder.
    removed : list of str
        Sentence about the removed lock file of a dead writer, if there was one.

    Raises
    ------
    LockedError
        If a process, possibly this one, is writing to the store.
    """
    if not location.is_local or not os.path.isdir(location.uri):
        yield None, []
        return
    path = lock_path(Path(location.uri))
    was_there = path.exists()
    with WriterLock.acquire(Path(location.uri), takes_over=False) as lock:
        yield lock, [f"removed {path}"] if was_there and lock.is_held else []


def writable(location: Location) -> ByteStore:
    """Open a store to write to it.

    Raises
    ------
    ModeError
        If the store cannot be written to.
    """
    uri = location.uri
    if uri.endswith(".zip") or uri.startswith(("http://", "https://")):
        raise ModeError(f"{uri} cannot be repaired: nothing can be written to this kind of store")
    if location.is_local and not os.access(uri, os.W_OK):
        raise ModeError(f"{uri} cannot be repaired: the folder cannot be written to")
    return open_bytestore(replace(location), read_only=False)


# -- consolidated metadata -------------------------------------------------------------------------


def _why_not_rebuilt(examined: Examined, report: Report) -> str | None:
    if examined.sizes is None:
        return "the nodes cannot be listed"
    bad = [found for found in report.findings if found.code in _UNSOUND]
    if bad:
        return f"other metadata are broken ({bad[0].place}); they may be the only copy"
    changed = set()
    for found in report.findings:
        if found.code != rules.CONSOLIDATED_DIFFERS.code or found.key is None:
            continue
        if (alone := _only_there(examined, found.key)) is not None:
            return (
                f"{alone} is nowhere else; restore it, or, if it was removed on purpose, have "
                "zarr.consolidate_metadata forget it"
            )
        changed.add(found.path)
    for found in report.findings:
        # A finding about a link has the path of the link.
        is_worse = bool(changed & {found.path, found.path.rpartition("/")[0] or "/"})
        if is_worse and found.code in _WORSE:
            return (
                f"by the document of the node itself {found.place} would be worse: {found.message}"
            )
    return None


def _only_there(examined: Examined, key: str) -> str | None:
    """Describe what is only in the consolidated metadata of a document; None if nothing is."""
    if key not in examined.own:
        return f"/{key}"
    held, own = ((found or {}).get(key) for found in (examined.held, examined.own))
    if not key.endswith(ZATTRS):
        held, own = ((document or {}).get("attributes") for document in (held, own))
    if not isinstance(held, dict):
        return None
    lost = sorted(held.keys() - (own if isinstance(own, dict) else {}))
    return f"the attribute {lost[0]!r:.80} of /{key}" if lost else None


def _has_unreadable(examined: Examined) -> bool:
    return examined.zarr_format == 2 and bool(unreadable_arrays(examined.held or {}))


def _rebuild(examined: Examined, bytestore: ByteStore) -> int:
    """Write the unchanged documents of the nodes into the consolidated metadata at once."""
    if examined.zarr_format == 2:
        held = {key: examined.own[key] for key in sorted(examined.own)}
        document = consolidated_document(held, is_apart=examined.keeps_apart)
        bytestore.set(ZMETADATA, format2.encode(document))
        return len(held)
    nodes = {
        key.removesuffix("/" + DOCUMENT): examined.own[key]
        for key in sorted(examined.own)
        if key != DOCUMENT
    }
    root = with_consolidated(examined.own[DOCUMENT], nodes)
    bytestore.set(DOCUMENT, json.dumps(root, separators=(",", ":")).encode("utf-8"))
    return len(nodes)


# -- leftovers -------------------------------------------------------------------------------------


def _remove_unused(bytestore: ByteStore) -> Iterator[tuple[str, str | None]]:
    """Remove unused chunks; yield each and, if it was kept, the reason."""
    for key in unused_chunks(bytestore):
        path = bytestore.root / key if isinstance(bytestore, LocalByteStore) else None
        error = None if path is None else _why_kept(path)
        if error is None:
            bytestore.delete(key)
        yield f"/{key}", error


def _remove_leftovers(examined: Examined, bytestore: ByteStore) -> Iterator[tuple[str, str | None]]:
    """Remove leftovers; yield each and, if it was kept, the reason."""
    for key in examined.sizes or ():
        if is_temporary(key):
            path = bytestore.root / key if isinstance(bytestore, LocalByteStore) else None
            error = None if path is None else _why_kept(path)
            if error is None:
                bytestore.delete(key)
            yield f"/{key}", error
    for path in beside(Path(examined.uri)) if isinstance(bytestore, LocalByteStore) else ():
        error = _why_kept(path)
        if error is None:
            remove_beside(path)
        yield str(path), error


def _why_kept(path: Path) -> str | None:
    try:
        age = time.time() - _last_change(path)
    except OSError as error:
        return str(error)
    if age < QUIET_SECONDS:
        return (
            f"it was changed {max(age, 0):.0f} s ago, maybe by a write that goes on; it is removed "
            f"after {QUIET_SECONDS // 60} minutes"
        )
    return None


def _last_change(path: Path) -> float:
    """Return the time of the last change of a file, or of anything in a folder."""
    newest = path.lstat().st_mtime
    if path.is_symlink():
        return newest
    for folder, _, files in os.walk(path):
        inside = Path(folder)
        newest = max([newest, inside.stat().st_mtime, *(_mtime(inside / name) for name in files)])
    return newest


def _mtime(path: Path) -> float:
    return path.lstat().st_mtime
