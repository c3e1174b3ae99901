"""HDF5 or Zarr -> Zarr or HDF5, all or nothing."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from hdmf.backends.hdf5 import HDF5IO
from hdmf.backends.io import HDMFIO
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager as get_common_manager
from pynwb import NWBHDF5IO

from hdmf_zarr.backend import ZarrIO
from hdmf_zarr.convention import convention_for_format, one_text
from hdmf_zarr.convention.unified import SPECIFICATION_LOCATION
from hdmf_zarr.core.elements import TEXT_BYTES
from hdmf_zarr.core.hdmf_private import hdf5_file
from hdmf_zarr.core.progress import Progress, no_progress
from hdmf_zarr.errors import (
    MetadataError,
    NoDataError,
    NotAStoreError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
)
from hdmf_zarr.hdf5 import is_hdf5_file, write_specifications
from hdmf_zarr.hdf5 import read_specifications as read_hdf5_specifications
from hdmf_zarr.hdf5.errors import reading, root_attribute, version_in_root
from hdmf_zarr.hdf5.hard_links import lost_names
from hdmf_zarr.hdf5.unreadable import unreadable_objects
from hdmf_zarr.hdf5.writer import HDF5TreeWriter
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.new_store import check_replaceable, put_in_place, store_exists
from hdmf_zarr.nwb import NWBZarrIO
from hdmf_zarr.read.specifications import read_specifications
from hdmf_zarr.session.session import session_of
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.identity import refuse_overlap
from hdmf_zarr.stores.location import Location, locate
from hdmf_zarr.transfer.to_hdf5 import move_chunks
from hdmf_zarr.write.planning.addresses import Addresses
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.export_options import ExternalLinks, PlanOptions, require_bool
from hdmf_zarr.write.planning.links import LinkDecisions
from hdmf_zarr.write.planning.plan import Planned

__all__ = ["SUFFIXES", "Written", "convert"]

Kind = Literal["hdf5", "zarr"]

DANDI_SUFFIX = ".nwb.zarr"

SUFFIXES: dict[str, Kind] = {".zarr": "zarr", ".nwb": "hdf5", ".h5": "hdf5", ".hdf5": "hdf5"}
"""Suffix -> kind of file."""

KIND_NAMES: dict[Kind, str] = {"hdf5": "HDF5", "zarr": "Zarr"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """The result of a conversion.

    Attributes
    ----------
    path : str
    n_files : int
        Number of files, or of objects in a store that is no folder.
    n_bytes : int
    planned : Planned or None
        Summary of the plan: the datasets that were copied unchanged, and why others were not; None
        for HDF5.
    """

    path: str
    n_files: int
    n_bytes: int
    planned: Planned | None = None


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    zarr_format: int | None = None,
    codecs: Any = None,
    chunks: Any = None,
    shards: Any = None,
    strict: bool = False,
    verify: bool = False,
    external_links: ExternalLinks | None = None,
    number_of_jobs: int = 1,
    checksum: bool = False,
    strict_json: bool = False,
    dandi: bool = False,
    durable: bool = False,
    on_plan: Callable[[Planned], None] | None = None,
    progress: Callable[[int], Progress] | None = None,
) -> Written:
    """Copy a file of HDMF data (for example NWB) to another format, without changing its contents.

    The content of the source shows whether it is HDF5 or Zarr; the suffix determines the format of
    the destination: ``.zarr``, or ``.nwb``, ``.h5`` and ``.hdf5`` for HDF5. A conversion that fails
    or is stopped leaves the destination as it was.

    Parameters
    ----------
    source, destination : str or Path
        Paths; Zarr stores may be URLs.
    overwrite : bool
        Replace an HDF5 file or a Zarr store at the destination.
    zarr_format : int, optional
        Zarr format of a new store; by default 3, or 2 with ``dandi``.
    codecs, chunks, shards, strict, verify, external_links, number_of_jobs
        Layout of a new Zarr store, as for `ZarrIO.export`; not allowed for an HDF5 file.
    checksum : bool
        End each encoded chunk of a new Zarr store with its CRC-32C.
    strict_json : bool
        Write NaN and infinities in attributes as text, as for `ZarrIO.write`.
    dandi : bool
        Write a store for the DANDI archive, as for `ZarrIO.export`; the name of the destination
        must end with ``.nwb.zarr``.
    durable : bool
        Return only when a new Zarr store is on the disk, as for `ZarrIO.export`.
    on_plan : callable, optional
        Called with the summary of the plan before a new Zarr store is written.
    progress : callable, optional
        Called once with the expected number of bytes; returns a function that is called with the
        bytes just written.

    Raises
    ------
    StoreNotFoundError, NotAStoreError, NoDataError
        If the source does not exist, or contains no HDMF data.
    StoreExistsError
        If the destination exists, and ``overwrite`` is False or it is a folder but no Zarr store.
    MetadataError
        If a part of the source cannot be read.
    OptionError
        If the suffix of the destination is unknown, or source and destination overlap.
    """
    source, destination = os.fspath(source), os.fspath(destination)
    for name, value in (("overwrite", overwrite), ("dandi", dandi)):
        require_bool(name, value)
    given = {
        "zarr_format": zarr_format,
        "codecs": codecs,
        "chunks": chunks,
        "shards": shards,
        "strict": strict,
        "verify": verify,
        "external_links": external_links,
        "number_of_jobs": number_of_jobs,
        "checksum": checksum,
        "strict_json": strict_json,
        "dandi": dandi,
        "durable": durable,
    }
    kind = kind_of_destination(destination)
    options = _zarr_options(given, destination) if kind == "zarr" else {}
    if kind == "hdf5":
        _refuse_zarr_options(given, destination)
    refuse_overlap(locate(source), locate(destination))
    _check_destination(destination, overwrite=overwrite)
    with open_source(source) as src_io:
        builder = _read_all(src_io, kind)
        if kind == "zarr":
            reporter = _Reporter(on_plan, progress)
            return _to_zarr(src_io, destination, options, reporter, overwrite=overwrite)
        return _to_hdf5(src_io, builder, destination, progress)


def _refuse_zarr_options(given: dict[str, Any], destination: str) -> None:
    for name, value in given.items():
        is_left_out = value is None or value is False
        if name == "number_of_jobs":
            is_left_out = value == 1 and not isinstance(value, bool)
        if not is_left_out:
            raise OptionError(f"{name} is for Zarr; {destination!r} is to be an HDF5 file")


def _zarr_options(given: dict[str, Any], destination: str) -> dict[str, Any]:
    """Return the options of a new Zarr store and its export that are not None."""
    if given["dandi"]:
        _check_name_for_dandi(destination)
    return {name: value for name, value in given.items() if value is not None}


def _to_zarr(
    src_io: HDMFIO,
    destination: str,
    options: dict[str, Any],
    reporter: _Reporter,
    *,
    overwrite: bool,
) -> Written:
    with ZarrIO(
        destination,
        "w" if overwrite else "w-",
        src_io.manager,
        force_overwrite=overwrite,
        zarr_format=options.pop("zarr_format", None),
    ) as io:
        io.export(src_io, on_plan=reporter.start, progress=reporter.advance, **options)
    return _measure(destination, reporter.planned)


def _to_hdf5(
    src_io: HDMFIO,
    builder: GroupBuilder,
    destination: str,
    progress: Callable[[int], Progress] | None,
) -> Written:
    advance = progress(expected_bytes(builder)) if progress else no_progress
    _write_hdf5(src_io, destination, advance)
    return _measure(destination, None)


def _check_name_for_dandi(destination: str) -> None:
    if not destination.rstrip("/").endswith(DANDI_SUFFIX):
        raise OptionError(
            f"the DANDI archive takes stores whose names end with {DANDI_SUFFIX!r}, found {destination!r}"
        )


class _Reporter:
    """Passes on the summary of the plan, and then the bytes written."""

    def __init__(
        self,
        on_plan: Callable[[Planned], None] | None,
        progress: Callable[[int], Progress] | None,
    ) -> None:
        self.planned: Planned | None = None
        self._on_plan = on_plan
        self._start_progress = progress
        self._progress: Progress = no_progress

    def start(self, planned: Planned) -> None:
        self.planned = planned
        if self._on_plan is not None:
            self._on_plan(planned)
        if self._start_progress is not None:
            self._progress = self._start_progress(planned.n_bytes)

    def advance(self, count: int) -> None:
        self._progress(count)


def kind_of_destination(destination: str) -> Kind:
    """Return the kind of a destination by its suffix.

    Raises
    ------
    OptionError
        If the suffix is unknown.

    Examples
    --------
    >>> kind_of_destination("session.nwb.zarr"), kind_of_destination("session.nwb")
    ('zarr', 'hdf5')
    """
    suffix = Path(destination.rstrip("/")).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(f"{suffix} ({KIND_NAMES[kind]})" for suffix, kind in SUFFIXES.items())
        raise OptionError(
            f"destination {destination!r} has the suffix {suffix!r}, neither of HDF5 nor of Zarr; "
            f"known suffixes: {known}"
        )
    return SUFFIXES[suffix]


def open_source(path: str) -> HDMFIO:
    """Open a file of HDMF data, HDF5 or Zarr, for reading.

    Raises
    ------
    StoreNotFoundError, NotAStoreError, NoDataError, UnsupportedFormatError, MetadataError
        If there is no file with HDMF data that can be read.
    """
    location = locate(path)
    if location.is_local and not os.path.exists(location.uri):
        raise StoreNotFoundError(f"{location.uri} does not exist; check the path")
    if is_hdf5_file(path):
        return _open_hdf5(path)
    if os.path.isfile(location.uri) and not location.uri.endswith(".zip"):
        raise NotAStoreError(f"{location.uri} is a file, but no HDF5 file; nothing else is read")
    hierarchy = Hierarchy.load(open_bytestore(location, read_only=True), consolidated=True)
    with warnings.catch_warnings():
        # Files other than NWB are converted, too: ignore the warning that pynwb cannot read them.
        warnings.simplefilter("ignore", UserWarning)
        if NWBZarrIO.can_read(path):
            return NWBZarrIO(path, "r")
    if not ZarrIO.can_read(path):
        raise NoDataError(
            f"{hierarchy.uri} is a Zarr hierarchy, but holds no HDMF data: its root has no data "
            "type"
        )
    return ZarrIO(path, "r", get_common_manager())


def _open_hdf5(path: str) -> HDMFIO:
    with reading(path):
        return _opened_hdf5(path)


def _opened_hdf5(path: str) -> HDMFIO:
    _refuse_nwb_1(path)
    if _is_nwb(path):
        return NWBHDF5IO(path, "r")
    src_io = HDF5IO(path, mode="r", manager=get_common_manager())
    attributes = hdf5_file(src_io).attrs
    signs = ("data_type", "neurodata_type", "nwb_version", SPECIFICATION_LOCATION)
    if any(name in attributes for name in signs):
        return src_io
    src_io.close()
    raise NoDataError(f"{path} is an HDF5 file, but holds no HDMF data: its root has no data type")


def _refuse_nwb_1(path: str) -> None:
    """Raise `NoDataError` for a file of NWB 1, whose version is in a dataset or an attribute."""
    version = one_text(version_in_root(path)) or ""
    if version.upper().removeprefix("NWB-").startswith(("0.", "1.")):
        raise NoDataError(
            f"{path} is a file of NWB 1 ({version}), which neither pynwb nor hdmf-zarr reads; write it as "
            "NWB 2 first, with the tools of the lab or of the acquisition system that it is from"
        )


def _is_nwb(path: str) -> bool:
    """Whether an HDF5 file is a file of NWB 2 or later.

    pynwb does not recognize a version stored as an array of one text, as MatNWB wrote it until
    2019.
    """
    version = root_attribute(path, "nwb_version") if is_hdf5_file(path) else None
    if isinstance(version, np.ndarray):
        return (one_text(version) or "").removeprefix("NWB-")[:1] not in ("", "0", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return bool(NWBHDF5IO.can_read(path))


def _read_all(src_io: HDMFIO, kind: Kind) -> GroupBuilder:
    """Return the builder of a file, after a check that it is complete."""
    if not isinstance(src_io, HDF5IO):
        builder: GroupBuilder = src_io.read_builder()
        return builder
    with reading(str(src_io.source), hdf5_file(src_io)):
        builder = src_io.read_builder()
        _check_complete(src_io, builder, kind)
    return builder


def _check_complete(src_io: HDF5IO, builder: GroupBuilder, kind: Kind) -> None:
    """Raise if a part of an HDF5 file cannot be read, which HDF5IO would omit."""
    added = lost_names(src_io, builder).added if kind == "zarr" else {}
    known = {f"/{path}/{link.name}".replace("//", "/") for path in added for link in added[path]}
    missing = [path for path in unreadable_objects(hdf5_file(src_io), builder) if path not in known]
    if missing:
        raise MetadataError(
            f"{src_io.source} has {len(missing)} objects that the installed HDF5 library cannot "
            f"open, the first is {missing[0]}; a newer h5py may read it, or the file is damaged"
        )


def expected_bytes(builder: GroupBuilder) -> int:
    """Return the bytes of the elements of all arrays below a group, estimated for text."""
    total = sum(expected_bytes(group) for group in builder.groups.values())
    return total + sum(_dataset_bytes(dataset) for dataset in builder.datasets.values())


def _dataset_bytes(builder: DatasetBuilder) -> int:
    data = builder.data
    size = getattr(data, "size", None)
    if not isinstance(size, int):
        return 0
    dtype = getattr(data, "dtype", None)
    itemsize = getattr(dtype, "itemsize", None)
    return size * (
        TEXT_BYTES if itemsize is None or getattr(dtype, "kind", "") == "O" else int(itemsize)
    )


# -- destinations ----------------------------------------------------------------------------------


def _check_destination(destination: str, *, overwrite: bool) -> None:
    location = locate(destination)
    if not store_exists(location):
        return
    if not overwrite:
        raise StoreExistsError(f"{location.uri} exists; it is replaced only with overwrite=True")
    # A folder that is no Zarr store may contain anything: it is never removed.
    if os.path.isdir(location.uri):
        try:
            check_replaceable(location, force=False)
        except StoreExistsError as error:
            raise StoreExistsError(
                f"{location.uri} is a folder that is no Zarr store: it is not overwritten; move it "
                "away, or choose another destination"
            ) from error


def _write_hdf5(src_io: HDMFIO, destination: str, progress: Progress) -> None:
    """Write a partial file, then rename it: the destination is always complete."""
    location = locate(destination)
    if not location.is_local:
        raise OptionError(f"{location.uri} is a URL: an HDF5 file is written to this machine only")
    target = Path(location.uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        with HDF5IO(str(partial), mode="w", manager=src_io.manager) as io:
            if isinstance(src_io, ZarrIO):
                root = src_io.read_builder()
                placement = _placement(src_io, root, location)
                HDF5TreeWriter(hdf5_file(io), progress, move_chunks, placement).write(root)
            else:
                io.export(src_io, cache_spec=False)
            write_specifications(hdf5_file(io), _cached_specifications(src_io))
        put_in_place(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _placement(src_io: ZarrIO, root: GroupBuilder, destination: Location) -> Addresses:
    """Return the paths at which the linked objects of other stores are written."""
    context = PlanContext(
        destination=destination,
        existing=None,
        convention=convention_for_format(3),
        is_written=lambda _builder: True,  # HDF5 allows every name
        manager=src_io.manager,
        options=PlanOptions(link_data=False),
        export_source=locate(src_io.path),
    )
    addresses = Addresses(context)
    addresses.assign(root, "")
    LinkDecisions(context, addresses).decide()
    return addresses


def _cached_specifications(src_io: HDMFIO) -> dict[str, dict[str, dict[str, str]]]:
    session = session_of(src_io)
    if session is not None:
        assert session.hierarchy is not None
        return read_specifications(session.hierarchy)
    return read_hdf5_specifications(hdf5_file(src_io))


def _measure(destination: str, planned: Planned | None) -> Written:
    location = locate(destination)
    if os.path.isfile(location.uri):
        return Written(path=location.uri, n_files=1, n_bytes=os.path.getsize(location.uri))
    sizes = open_bytestore(location, read_only=True).sizes()
    n_bytes = sum(sizes.values())
    return Written(path=location.uri, n_files=len(sizes), n_bytes=n_bytes, planned=planned)
