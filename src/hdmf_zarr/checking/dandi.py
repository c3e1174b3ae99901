"""Checks for an upload to the DANDI archive."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.keys import symbolic_links
from hdmf_zarr.checking.links import LinkCheck
from hdmf_zarr.checking.report import Finding
from hdmf_zarr.errors import MissingExtraError
from hdmf_zarr.metadata.consolidated import unreadable_arrays
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.stores.contained import open_regular

MANY_FILES = 100_000
"""Number of files above which a warning is given: each file is one request in the upload and in
every check of it. The archive publishes no limit."""

LARGEST_FILE = 5 * 1024**4
"""Most bytes of an object in S3, where the archive keeps its files."""

MOST_PARTS = 7
"""Most parts of a file's path in a Zarr store that dandi-cli accepts (``MAX_ZARR_DEPTH``)."""

SUFFIX = ".nwb.zarr"

ERRORS_OF_ARCHIVE = frozenset({rules.NOT_PORTABLE_NAME.code, rules.NAMES_DIFFER_IN_CASE.code})
"""Findings that are warnings elsewhere: a file may be downloaded to any operating system."""


def needed_packages() -> tuple[Any, Any]:
    """Return nwbinspector and zarr_checksum.

    Raises
    ------
    MissingExtraError
        If one of them is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nwbinspector
            import zarr_checksum
    except ImportError as error:
        raise MissingExtraError(
            f"a check for the DANDI archive needs packages that are not installed ({error}): "
            "pip install 'hdmf-zarr[dandi]'"
        ) from error
    return nwbinspector, zarr_checksum


def check_files(examined: Examined) -> Iterator[Finding]:
    """Check name, number, size and depth of the files."""
    name = examined.uri.rpartition("/")[2]
    if not name.endswith(SUFFIX):
        yield Finding.of(rules.DANDI_NAME, "", f"the name {name!r} does not end with {SUFFIX!r}")
    if not isinstance(examined.bytestore, LocalByteStore):
        yield Finding.of(rules.DANDI_NOT_LOCAL, "", "the store is no folder of this machine")
    sizes = examined.sizes or {}
    if len(sizes) > MANY_FILES:
        yield Finding.of(rules.DANDI_FILES, "", f"the store has {len(sizes)} files")
    for key, n_bytes in sizes.items():
        if n_bytes > LARGEST_FILE:
            yield Finding.of(rules.DANDI_LARGE_FILE, "", f"the file has {n_bytes} bytes", key=key)
        if key.count("/") >= MOST_PARTS:
            message = f"its path has {key.count('/') + 1} parts, more than {MOST_PARTS}"
            yield Finding.of(rules.DANDI_DEPTH, "", message, key=key)
    for key in symbolic_links(examined):
        yield Finding.of(rules.DANDI_SYMLINK, "", "the file is a symbolic link", key=key)


def check_apart(examined: Examined) -> Iterator[Finding]:
    """Report arrays that only this package reads: the consolidated metadata keep them separate."""
    if not examined.keeps_apart or examined.held is None:
        return
    for path, reason in unreadable_arrays(examined.held).items():
        yield Finding.of(rules.DANDI_HIDDEN, path, f"other readers do not see it: {reason}")


def check_external(links: LinkCheck) -> Iterator[Finding]:
    """Check that no link or reference leads to another store; runs after all were resolved."""
    for where, source in links.external.items():
        message = f"a link or reference leads to another store, {source!r:.200}"
        yield Finding.of(rules.DANDI_LINK, where, message)


def check_nwb(examined: Examined) -> Iterator[Finding]:
    """Check that nwbinspector, with the archive's own configuration, has no critical finding."""
    nwbinspector, _ = needed_packages()
    from hdmf_zarr.nwb import NWBZarrIO

    location = examined.bytestore.location
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with NWBZarrIO(
                location.store or location.uri, "r", storage_options=location.storage_options
            ) as io:
                messages = list(
                    nwbinspector.inspect_nwbfile_object(
                        io.read(),
                        config=nwbinspector.load_config("dandi"),
                        importance_threshold="CRITICAL",
                    )
                )
    except Exception as error:
        yield Finding.of(rules.DANDI_INSPECTOR, "", f"the file cannot be read as NWB: {error}")
        return
    for found in messages:
        message = f"{found.check_function_name}: {found.message}"
        yield Finding.of(rules.DANDI_INSPECTOR, found.location or "", message)


def as_the_archive_sees(findings: list[Finding]) -> list[Finding]:
    """Return the findings with the severity that the archive gives them."""
    return [
        replace(found, severity="error") if found.code in ERRORS_OF_ARCHIVE else found
        for found in findings
    ]


def archive_facts(examined: Examined) -> dict[str, Any]:
    """Return number and bytes of the files and, for a local folder, the archive's checksum."""
    _, zarr_checksum = needed_packages()
    sizes = examined.sizes or {}
    facts: dict[str, Any] = {"files": len(sizes), "bytes": sum(sizes.values())}
    if isinstance(examined.bytestore, LocalByteStore):
        files = _digests(examined.bytestore, sizes)
        facts["zarr_checksum"] = str(zarr_checksum.compute_zarr_checksum(files))
    return facts


def _digests(bytestore: LocalByteStore, sizes: dict[str, int]) -> Iterator[Any]:
    """Yield each file in the form of zarr_checksum, whose own generator draws a progress bar."""
    from zarr_checksum.generators import ZarrArchiveFile

    for key, n_bytes in sizes.items():
        descriptor, _ = open_regular(bytestore.path_of(key))
        with os.fdopen(descriptor, "rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        yield ZarrArchiveFile(path=Path(key), size=n_bytes, digest=digest)
