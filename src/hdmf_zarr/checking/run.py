"""All checks of one store, in order; each is a row of a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from hdmf.spec import NamespaceCatalog
from zarr.abc.store import Store

from hdmf_zarr.checking import (
    chunks,
    keys,
    links,
    metadata,
    rules,
    specifications,
    tables,
)
from hdmf_zarr.checking import dandi as archive
from hdmf_zarr.checking.fill_missing import accept_missing as accept
from hdmf_zarr.checking.inventory import Examined, examine
from hdmf_zarr.checking.other_readers import check_other_readers
from hdmf_zarr.checking.repair import locked, writable
from hdmf_zarr.checking.repair import repair as repair_store
from hdmf_zarr.checking.report import Finding, Report, in_order
from hdmf_zarr.checking.validator import validate
from hdmf_zarr.errors import OptionError
from hdmf_zarr.stores.location import Location, locate

Advance = Callable[[int], None]

Progress = Callable[[int], Advance]
"""Called with the bytes to read; returns a function that is called with the bytes just read."""


@dataclass(kw_only=True)
class Checking:
    """State that the checks of one store share."""

    examined: Examined
    arrays: dict[str, chunks.ArrayChunks]
    others: list[str]
    links: links.LinkCheck
    decoded: chunks.Decoded
    jobs: int
    progress: Progress | None
    catalog: NamespaceCatalog | None

    def contents(self) -> Iterator[Finding]:
        """Decode every chunk, and report the progress."""
        sizes = self.examined.sizes or {}
        total = sum(sizes[key] for array in self.arrays.values() for key in array.present)
        advance = self.progress(total) if self.progress is not None else lambda _count: None
        yield from chunks.check_contents(
            self.examined, self.arrays, jobs=self.jobs, advance=advance, decoded=self.decoded
        )


FAST_CHECKS: tuple[Callable[[Checking], Iterator[Finding]], ...] = (
    lambda checking: metadata.check_nodes(checking.examined),
    lambda checking: metadata.check_consolidated(checking.examined),
    lambda checking: keys.check_names(checking.examined),
    lambda checking: keys.check_keys(checking.examined, checking.others),
    lambda checking: chunks.check_presence(checking.examined, checking.arrays),
    lambda checking: chunks.check_stale(checking.arrays),
    lambda checking: checking.links.check_links(),
    lambda checking: checking.links.check_attributes(),
    lambda checking: specifications.check_cached(checking.examined),
    lambda checking: tables.check_rows(checking.examined),
)
"""Checks that read no chunk."""

CHECKS_OF_CHUNKS: tuple[Callable[[Checking], Iterator[Finding]], ...] = (
    lambda checking: checking.contents(),
    lambda checking: checking.links.check_datasets(),
    lambda checking: tables.check_elements(checking.examined),
    lambda checking: specifications.check_complete(checking.examined),
    lambda checking: specifications.check_places(checking.examined, checking.catalog),
)
"""Checks that read chunks."""


CHECKS_OF_ARCHIVE: tuple[Callable[[Checking], Iterator[Finding]], ...] = (
    lambda checking: archive.check_files(checking.examined),
    lambda checking: archive.check_apart(checking.examined),
    lambda checking: archive.check_external(checking.links),
    lambda checking: check_other_readers(checking.examined),
    lambda checking: archive.check_nwb(checking.examined),
)
"""Checks for the DANDI archive, which run after all others."""


def check(
    path: str | os.PathLike[str] | Store,
    *,
    fast: bool = False,
    jobs: int = 1,
    repair: bool = False,
    dandi: bool = False,
    accept_missing: Iterable[str] = (),
    storage_options: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check that a store is whole: metadata, chunks, links, references, specifications, names.

    The store is changed only by ``repair`` and ``accept_missing``. Memory is bounded by the
    metadata and, in each thread, one chunk.

    Parameters
    ----------
    path : str, Path or zarr.abc.store.Store
        Folder, zip file, URL or store.
    fast : bool
        Read no chunk: neither decode chunks nor resolve references in the elements of datasets.
    jobs : int
        Number of threads that read and decode chunks; at least 16 if the store is no folder, since
        they wait for answers most of the time.
    repair : bool
        Rebuild the consolidated metadata, cut tables to the rows that all columns have, and remove
        leftovers of stopped writes and unused chunks; nothing else. With ``dandi``, the
        consolidated metadata of Zarr format 2 are rebuilt so that the archive's readers open the
        store. The report lists the repairs and describes the repaired store.
    dandi : bool
        Check also the requirements of the DANDI archive, and report what readers outside of Python
        cannot open; needs the packages of ``hdmf-zarr[dandi]``.
    accept_missing : iterable of str
        Paths of arrays whose missing chunks are written with fill values: chunks that zarr-python
        omitted, or that are lost for good.
    storage_options : dict, optional
        Options for fsspec, if the path is a URL.
    progress : callable, optional
        Called with the number of bytes to read; returns a function that is called with the number
        of bytes just read.

    Returns
    -------
    Report
        Report with the `findings`; its `is_clean` is True if none of them is an error.

    Raises
    ------
    StoreNotFoundError, NotAStoreError
        If there is no store to check.
    ModeError
        If a change of the store was requested and the store cannot be written to.
    LockedError
        If a change of the store was requested and another writer has it open.
    MissingExtraError
        If packages for the check for the archive are not installed.
    OptionError
        If an option is invalid, or a path in ``accept_missing`` is no array.
    """
    if jobs < 1:
        raise OptionError(f"jobs must be at least 1, found {jobs}")
    if dandi:
        archive.needed_packages()
    location = locate(path, storage_options)
    accepted = (accept_missing,) if isinstance(accept_missing, str) else tuple(accept_missing)
    done, kept = _repair(location, jobs, for_archive=dandi) if repair else ([], [])
    if accepted:
        bytestore = writable(location)
        with locked(location) as (lock, _removed):
            done += accept(bytestore, accepted, lock)
    examined = examine(location)
    checking = prepare(examined, fast=fast, jobs=jobs, progress=progress)
    report = run(checking, fast=fast)
    if examined.is_changed():
        # The findings may mix two states of the store, and be true of neither.
        found = Finding.of(rules.CHANGED_MEANWHILE, "", "it was changed while it was checked")
        return replace(report, repaired=tuple(done), findings=(found,))
    report = replace(report, repaired=tuple(done), findings=in_order([*report.findings, *kept]))
    return _with_archive(report, checking) if dandi else report


def _repair(location: Location, jobs: int, *, for_archive: bool) -> tuple[list[str], list[Finding]]:
    """Repair the store; return the repairs, and findings about repairs that were too risky."""
    writable(location)
    with locked(location) as (lock, removed):
        examined = examine(location)
        checking = prepare(examined, fast=True, jobs=jobs)
        before = run(checking, fast=True)
        before = replace(before, findings=(*before.findings, *_of_changed(checking, before)))
        done, kept = repair_store(examined, before, lock, for_archive=for_archive)
    return [*done, *removed], kept


def _of_changed(checking: Checking, report: Report) -> Iterator[Finding]:
    """Decode the chunks of arrays whose consolidated metadata differ from their own."""
    differing = {
        found.path.strip("/")
        for found in report.findings
        if found.code == rules.CONSOLIDATED_DIFFERS.code
    }
    arrays = {path: array for path, array in checking.arrays.items() if path in differing}
    yield from replace(checking, arrays=arrays, progress=None).contents()


def _with_archive(report: Report, checking: Checking) -> Report:
    """Return a report with the findings and facts for the DANDI archive."""
    findings = list(report.findings)
    for one in CHECKS_OF_ARCHIVE:
        findings += one(checking)
    verdict = validate(checking.examined)
    findings = archive.as_the_archive_sees([*findings, *verdict.findings])
    facts = {**archive.archive_facts(checking.examined), "validated_by": verdict.by}
    return replace(report, findings=in_order(findings), archive=facts)


def prepare(
    examined: Examined, *, fast: bool, jobs: int, progress: Progress | None = None
) -> Checking:
    """Return the state that the checks of a store share."""
    found, others = chunks.sort_chunks(
        examined.sizes or {},
        examined.hierarchy.documents,
        lambda key: keys.is_metadata(examined, key),
    )
    catalog = None if fast else specifications.catalog_of(examined)
    type_check = specifications.type_check_of(examined, catalog)
    return Checking(
        examined=examined,
        arrays=found,
        others=others,
        links=links.LinkCheck(examined, type_check),
        decoded=chunks.Decoded(),
        jobs=jobs,
        progress=progress,
        catalog=catalog,
    )


def run(checking: Checking, *, fast: bool) -> Report:
    """Run the checks, and return the report."""
    examined = checking.examined
    checks = FAST_CHECKS if fast else FAST_CHECKS + CHECKS_OF_CHUNKS
    findings = list(examined.findings)
    for one in checks:
        findings += one(checking)
    return Report(
        uri=examined.uri,
        zarr_format=examined.zarr_format,
        is_fast=fast,
        n_nodes=len(examined.hierarchy.documents),
        n_chunks=checking.decoded.n_chunks,
        n_bytes=checking.decoded.n_bytes,
        findings=in_order(findings),
    )
