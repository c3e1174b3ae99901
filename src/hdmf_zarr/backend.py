"""`ZarrIO`: HDMF's files as Zarr hierarchies."""

from __future__ import annotations

import logging
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast, get_args

import numpy as np
import zarr
from hdmf.backends.hdf5 import HDF5IO
from hdmf.backends.io import HDMFIO
from hdmf.backends.utils import WriteStatusTracker
from hdmf.build import (
    Builder,
    BuildManager,
    GroupBuilder,
    LinkBuilder,
    OrphanContainerBuildError,
    ReferenceBuilder,
    TypeMap,
)
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer, Container, Data
from hdmf.spec import NamespaceCatalog
from hdmf.utils import generate_array_html_repr, get_basic_array_info
from zarr.abc.store import Store

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.arrays.live_group import LiveGroup
from hdmf_zarr.convention import (
    Reference,
    convention_for_format,
    data_type_of,
    one_text,
    reference_from_object,
)
from hdmf_zarr.convention.unified import SPECIFICATION_GROUP, SPECIFICATION_LOCATION
from hdmf_zarr.core.elements import plain_text
from hdmf_zarr.core.hdmf_private import hdf5_file
from hdmf_zarr.core.progress import Progress, no_progress
from hdmf_zarr.core.system import can_sync_at_once
from hdmf_zarr.errors import (
    BrokenLinkError,
    HDMFZarrError,
    LockedError,
    MetadataError,
    ModeError,
    NoDataError,
    ObjectExistsError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
)
from hdmf_zarr.hdf5 import read_specifications as read_hdf5_specifications
from hdmf_zarr.hdf5.errors import reading
from hdmf_zarr.hdf5.hard_links import lost_names
from hdmf_zarr.hdf5.linked import LinkedFiles
from hdmf_zarr.hdf5.source import UnchangedFiles
from hdmf_zarr.hierarchy.commit import stored_together
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.new_store import (
    NewStore,
    check_replaceable,
    remove_leftovers,
    store_exists,
)
from hdmf_zarr.read.appendable import make_appendable
from hdmf_zarr.read.constructed import Constructed, Known
from hdmf_zarr.read.lazy import ZarrDataset
from hdmf_zarr.read.rows import RowGuard, guard_tables
from hdmf_zarr.read.specifications import (
    latest_versions,
    load_cached_namespaces,
    read_specifications,
)
from hdmf_zarr.read.tables import cut_to_whole_rows, uneven_tables
from hdmf_zarr.read.tree import (
    ROOT_NAME,
    StoreReader,
    lazy_data,
    open_array,
    open_linked_hierarchy,
)
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.identity import Relation, refuse_overlap, relation_of
from hdmf_zarr.stores.location import (
    SUPPORTED_ZARR_STORES,
    Location,
    locate,
    location_of_uri,
    relative_source,
)
from hdmf_zarr.transactions.lock import check_not_locked
from hdmf_zarr.write.chunks.sources import EmptySource
from hdmf_zarr.write.execute import Execution
from hdmf_zarr.write.planning.addresses import identified
from hdmf_zarr.write.planning.archive import (
    ZARR_FORMAT,
    check_archive_options,
    check_kept_for_archive,
    for_archive,
)
from hdmf_zarr.write.planning.context import ExternalLinks, PlanContext
from hdmf_zarr.write.planning.dataio import give_to_wrapper
from hdmf_zarr.write.planning.edits import Edit, Edits, build_to_export
from hdmf_zarr.write.planning.export_options import LayoutOptions, require_bool
from hdmf_zarr.write.planning.plan import Planned, TreePlan, summarize
from hdmf_zarr.write.planning.planner import (
    attributes_with,
    plan_piece,
    plan_tree,
    refuse_name_twice,
)
from hdmf_zarr.write.queue import Context, ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.specifications import (
    Specifications,
    specifications_of_catalog,
    write_specifications,
)

__all__ = [
    "DEFAULT_SPEC_LOC_DIR",
    "ROOT_NAME",
    "SPEC_LOC_ATTR",
    "SUPPORTED_ZARR_STORES",
    "ZarrIO",
]

logger = logging.getLogger(__name__)

SPEC_LOC_ATTR = SPECIFICATION_LOCATION
DEFAULT_SPEC_LOC_DIR = SPECIFICATION_GROUP

Mode = Literal["r", "r-", "r+", "a", "w", "w-", "x"]
MODES: dict[str, str] = {
    "r": "read",
    "r-": "read without the consolidated metadata",
    "r+": "read and append; the store must exist",
    "a": "read and append; the store is created if need be",
    "w": "write; a store that exists is replaced",
    "w-": "write; the store must not exist",
    "x": "write; the store must not exist",
}
CREATING_MODES = frozenset({"w", "w-", "x"})
READING_MODES = frozenset({"r", "r-"})
APPENDING_MODES = frozenset({"r+", "a"})

WRITE_OPTIONS = frozenset({"link_data", "exhaust_dci", "consolidate_metadata"})
"""What ``write_args`` of an export may hold."""


class ZarrIO(HDMFIO):  # type: ignore[misc]
    """Reads and writes HDMF's data as a Zarr hierarchy.

    Parameters
    ----------
    path : str, Path or zarr.abc.store.Store
        A folder, a URL that fsspec knows, or an open store.
    mode : {"r", "r-", "r+", "a", "w", "w-", "x"}
        ``r`` reads, ``r-`` without the consolidated metadata; ``r+`` and ``a`` append, ``a`` creates
        the store if need be; ``w`` replaces a store, ``w-`` and ``x`` refuse to.
    manager : BuildManager or TypeMap, optional
    storage_options : dict, optional
        Options for fsspec, with a URL.
    force_overwrite : bool
        Let mode ``w`` replace what is no Zarr store: an HDF5 file, another folder.
    zarr_format : int, optional
        Zarr format of a new store; by default 3, or 2 where it is written with ``dandi=True``.
    synchronizer, object_codec_class
        Had a meaning with zarr-python 2 and have none now.
    driver, aws_region
        Of `HDF5IO`; must be None.
    herd_path : str, optional
        Where HDMF's external resources are read and written.

    Raises
    ------
    StoreNotFoundError
        If a store to read or append to does not exist.
    NotAStoreError
        If something else is at the path.
    StoreExistsError
        If something is there that the mode does not allow to replace.
    LockedError
        If the store is to be written to, and somebody is writing to it already.
    OptionError
        If an option or the mode has no meaning.
    """

    _found_hierarchy: Hierarchy | None = None
    """Metadata that were read before the store was opened, to find its namespaces."""

    def __init__(
        self,
        path: str | os.PathLike[str] | Store | None = None,
        mode: str = "r",
        manager: BuildManager | TypeMap | None = None,
        storage_options: dict[str, Any] | None = None,
        force_overwrite: bool = False,  # noqa: FBT001, FBT002 - positional since 0.4
        zarr_format: int | None = None,
        *,
        synchronizer: Any = None,
        object_codec_class: Any = None,
        driver: str | None = None,
        aws_region: str | None = None,
        herd_path: str | None = None,
    ) -> None:
        self.logger = logging.getLogger(f"{type(self).__module__}.{type(self).__qualname__}")
        # nwbinspector 0.7 and neuroconv 0.10 read the mangled names `_ZarrIO__mode` and
        # `_ZarrIO__file`; the first is this one, the second a property below.
        self.__mode = _checked_mode(mode)
        _check_switches(force_overwrite=force_overwrite)
        _warn_without_effect(synchronizer=synchronizer, object_codec_class=object_codec_class)
        _refuse_hdf5_options(driver, aws_region)
        if path is None:
            raise OptionError("path is missing: give a folder, a URL or a zarr store")
        self._given_path = path
        self._location = locate(path, storage_options)
        self._force_overwrite = force_overwrite
        self._asked_format = zarr_format
        self._convention = convention_for_format(3 if zarr_format is None else zarr_format)
        self._hierarchy: Hierarchy | None = None
        self._new_store: NewStore | None = None
        self._reader: StoreReader | None = None
        self._is_open = False
        self._written_builders = WriteStatusTracker()
        self._pending: list[ZarrDataset] = []
        self._row_guards: list[RowGuard] = []
        self._process = os.getpid()
        if manager is None:
            manager = BuildManager(TypeMap(NamespaceCatalog()))
        elif isinstance(manager, TypeMap):
            manager = BuildManager(manager)
        self._constructed = Constructed(manager)
        super().__init__(manager, source=self._location.uri, herd_path=herd_path)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def path(self) -> Any:
        """The path as text, or the store, that was given."""
        given = self._given_path
        return os.fspath(given) if isinstance(given, os.PathLike) else given

    @property
    def abspath(self) -> str:
        """Absolute path or URL of the store."""
        return self._location.uri

    @property
    def source(self) -> str:
        """Absolute path or URL of the store, as builders and containers have it."""
        return self._location.uri

    @property
    def mode(self) -> str:
        """The mode in which the store was opened."""
        return self.__mode

    @property
    def synchronizer(self) -> None:
        """Always None: zarr-python 3 has no synchronizers."""
        return

    @property
    def object_codec_class(self) -> None:
        """Always None: objects are stored as text."""
        return

    @property
    def _file(self) -> zarr.Group | None:
        """The root as zarr's group; None where nothing is open."""
        if self._hierarchy is None and self._is_open and self.__mode not in READING_MODES:
            self._start_new_store()
        hierarchy = self._hierarchy
        return None if hierarchy is None else self._root_of(hierarchy)

    def _root_of(self, hierarchy: Hierarchy) -> zarr.Group:
        """Return the root as zarr's group: where it can be written to, one that shows what was written."""
        if hierarchy.bytestore.zarr_store.read_only:
            return zarr_view.zarr_group(hierarchy)
        return LiveGroup.of_node(hierarchy, "", self)

    # See the comment in `__init__`.
    _ZarrIO__file = _file

    def is_remote(self) -> bool:
        """Whether the store is not a folder of this machine."""
        return not self._location.is_local

    # -- open and close --------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store; a mode that creates one only checks that it may."""
        if self._is_open:
            return
        mode, location = self.__mode, self._location
        if mode in CREATING_MODES:
            self._check_creatable()
        elif mode == "a" and not store_exists(location):
            pass
        elif location.is_local and not store_exists(location):
            raise StoreNotFoundError(
                f"{location.uri} does not exist (mode {mode!r}); check the path, or write it with "
                "mode 'w'"
            )
        elif mode in READING_MODES:
            found, self._found_hierarchy = self._found_hierarchy, None
            self._hierarchy = found if found is not None else _load_hierarchy(location, mode)
        else:
            self._found_hierarchy = None
            self._open_for_appending()
        self._is_open = True

    def _open_for_appending(self) -> None:
        bytestore = open_bytestore(self._location, read_only=False)
        self._hierarchy = Hierarchy.load_for_writing(bytestore, when_locked=remove_leftovers)
        self._hierarchy.open_append.tells_when_dropped = True

    def _check_creatable(self) -> None:
        if self._location.is_local:
            check_not_locked(Path(self._location.uri))
        if self.mode == "w":
            check_replaceable(self._location, force=self._force_overwrite)
        elif store_exists(self._location):
            raise StoreExistsError(
                f"{self.source} exists, and mode {self.mode!r} does not replace it; use mode 'w' to "
                "replace it, or 'r+' to append to it"
            )

    def is_open(self) -> bool:
        """Whether the store is open."""
        return getattr(self, "_is_open", False)

    def close(self) -> None:
        """Close the store; what was appended to its arrays becomes part of its metadata."""
        if not self.is_open():
            return
        if self._process != os.getpid() and self.__mode not in READING_MODES:
            # The child of a writer: the store is its parent's.
            self._is_open, self._new_store, self._hierarchy = False, None, None
            return
        for hierarchy in self._open_hierarchies():
            hierarchy.open_append.begin_closing()
        self._is_open = False
        try:
            if not self._is_taken_over:
                self._settle_rows()
                self._drop_pending()
            if self._new_store is not None:
                self._finish_new_store()
            for hierarchy in self._open_hierarchies():
                if self._is_to_be_committed(hierarchy):
                    hierarchy.commit_or_undo(
                        consolidate=hierarchy.was_consolidated, durable=can_sync_at_once()
                    )
                hierarchy.close()
        finally:
            for guard in self._row_guards:
                guard.forget_written()
            for hierarchy in self._open_hierarchies():
                hierarchy.open_append.abandon()  # where something has failed
                hierarchy.is_closed = True
            self._hierarchy = None

    def _is_to_be_committed(self, hierarchy: Hierarchy) -> bool:
        is_ours = self.__mode not in READING_MODES and not hierarchy.open_append.is_taken
        return is_ours and hierarchy.is_changed

    @property
    def _is_taken_over(self) -> bool:
        """Whether another writer of this process has the store, which has undone what was not committed."""
        return self._hierarchy is not None and self._hierarchy.open_append.is_taken

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store; a new one that an error has kept from being complete is removed."""
        if error is not None and self._new_store is not None and self._process == os.getpid():
            self._new_store.hierarchy.open_append.begin_closing()
            self._undo({})
        self.close()

    def __del__(self) -> None:
        # A store that is only read holds nothing that has to be released.
        if getattr(self, "_ZarrIO__mode", "r") not in READING_MODES:
            super().__del__()

    def _open_hierarchies(self) -> list[Hierarchy]:
        trees = self._reader.trees.values() if self._reader is not None else ()
        found = [tree.hierarchy for tree in trees]
        if self._hierarchy is not None and self._hierarchy not in found:
            found.append(self._hierarchy)
        return found

    def _start_new_store(self) -> None:
        self._new_store = NewStore(
            self._location, self._convention.zarr_format, is_forced=self._force_overwrite
        )
        self._hierarchy = self._new_store.hierarchy

    def _finish_new_store(self) -> None:
        """Commit what was written piece by piece; nothing where nothing was."""
        assert self._new_store is not None
        new_store, self._new_store = self._new_store, None
        hierarchy = new_store.hierarchy
        if hierarchy.open_append.is_taken:
            pass  # it is removed already
        elif len(hierarchy.documents) > 1 or hierarchy.attributes(""):
            with hierarchy.open_append.at_work():
                new_store.commit(consolidate=True)
        else:
            new_store.abandon()
        self._hierarchy = None

    def _require_open(self) -> None:
        if not self.is_open():
            raise ModeError(f"{self.source} is closed")

    # -- write -----------------------------------------------------------------------------------

    def write(
        self,
        container: Container,
        cache_spec: bool = True,  # noqa: FBT001, FBT002 - as HDF5IO
        link_data: bool = True,  # noqa: FBT001, FBT002
        exhaust_dci: bool = True,  # noqa: FBT001, FBT002
        number_of_jobs: int = 1,
        max_threads_per_process: int | None = None,
        multiprocessing_context: Context | None = None,
        consolidate_metadata: bool = True,  # noqa: FBT001, FBT002
        herd: Any = None,
        *,
        executor: Executor | None = None,
        checksum: bool = False,
        strict_json: bool = False,
        dandi: bool = False,
        durable: bool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Write a container, or what has been added to it since it was read or written.

        An append writes objects, columns, rows, links, and attributes of what is in the store. It
        replaces no data and removes nothing: where other data are in memory, or an object was removed or
        moved there, a warning names it.

        Parameters
        ----------
        container : Container
        cache_spec : bool
            Store the specifications with the data.
        link_data : bool
            Where data are an array of another Zarr store: link to it rather than copy it.
        exhaust_dci : bool
            Exhaust iterators one at a time; otherwise, and by several jobs, all at the end.
        number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            Who writes what iterators give, see `ZarrIODataChunkIteratorQueue`.
        consolidate_metadata : bool
            Store the metadata of all nodes in one document, with which one request opens the file.
        herd : HERD, optional
            External resources to write to ``herd_path``.
        checksum : bool
            End each encoded chunk with its CRC-32C, so that one damaged byte is an error and no value.
        strict_json : bool
            Spell NaN and infinities in attributes as text, which other readers than Python's want; what is
            read is the same.
        dandi : bool
            Write what the DANDI archive takes: a store of Zarr format 2 that ``dandi validate`` finds valid
            and that plain zarr-python opens, with NaN and infinities in attributes as text (``strict_json``).
            Data that are arrays of other stores are copied. See the page on DANDI in ``docs``.
        durable : bool, optional
            Return when everything of a local store is on the disk, so that a power failure does not
            undo or damage it. None does so where one call of the system is enough (Linux).
        progress : callable, optional
            Told the bytes that were just written.

        Raises
        ------
        ModeError
            If the store was opened for reading.
        ObjectExistsError
            If the store holds another file, or another object of the name of a new one.
        HDMFZarrError
            If something cannot be stored; what was there before is unchanged then.
        WorkerError
            If one of several workers fails; what was there before is unchanged then.
        """
        self._require_writable()
        _check_switches(
            cache_spec=cache_spec,
            link_data=link_data,
            exhaust_dci=exhaust_dci,
            consolidate_metadata=consolidate_metadata,
            checksum=checksum,
            strict_json=strict_json,
            dandi=dandi,
            durable=durable is not None and durable,
        )
        self._settle_rows()
        self._prepare_append(container)
        with self._herd_beside(container, herd):
            with self._naming_orphans():
                builder = self.manager.build(container, source=self.source, root=True)
            self._write_tree(
                builder,
                link_data=link_data and not dandi,
                exhaust_dci=exhaust_dci,
                consolidate_metadata=consolidate_metadata,
                specifications=self._specifications_of_manager if cache_spec else dict,
                queue=ZarrIODataChunkIteratorQueue(
                    number_of_jobs, max_threads_per_process, multiprocessing_context, executor
                ),
                checksum=checksum,
                strict_json=strict_json,
                dandi=dandi,
                durable=durable,
                progress=progress,
            )
        self._note_written_columns(container)

    def _prepare_append(self, container: Container) -> None:
        """Have HDMF build what was edited since it was read; refuse what is no part of the store."""
        if self._hierarchy is None or not has_data(self._hierarchy):
            return
        self._constructed.reinstate()
        self._refuse_other_root(self.manager.get_builder(container))
        known = Known.of(self.manager)
        edits = Edits(self.manager.type_map, known.containers, known.builders)
        for edit in edits.of(self._constructed.pairs()):
            edit.container.set_modified()
            if edit.kept:
                self._warn_of_kept(edit)

    def _warn_of_kept(self, edit: Edit) -> None:
        builder = self.manager.get_builder(edit.container)
        path = f"{_builder_path(builder)}/{edit.path}".strip("/")
        warnings.warn(
            f"{self.source}:/{path}: {edit.kept}: export the file to another place to have it so",
            UserWarning,
            stacklevel=4,
        )

    def _refuse_other_root(self, builder: Builder | None) -> None:
        """Refuse to write another root into a store that has one; it would get parts of both."""
        existing = self._hierarchy
        if existing is None or not has_data(existing):
            return
        if builder is None or builder.parent is not None or not self.get_written(builder):
            attributes = existing.attributes("")
            kind = attributes.get("neurodata_type", attributes.get("data_type"))
            raise ObjectExistsError(
                f"{self.source} holds a file already ({kind} {attributes.get('object_id')}), and what "
                f"is to be written is not the container that this IO has read from it or written to "
                f"it: nothing was written. Add to what read() of this IO returns, or write to another "
                f"path, or replace the store (mode 'w')"
            )

    @contextmanager
    def _herd_beside(self, container: Container, herd: Any) -> Iterator[None]:
        """Write external resources beside their place, which they take if what is done meanwhile succeeds."""
        if self.herd_path is None:
            if herd is not None:
                _warn_set_aside(
                    "herd", f"{self.source} was opened without herd_path, where it would be"
                )
            yield
            return
        if herd is None:
            from hdmf.common import HERD

            herd = HERD(type_map=self.manager.type_map)
        herd.add_ref_container(container)
        partial_path = Path(f"{self.herd_path}.{uuid.uuid4().hex}.partial")
        try:
            herd.to_zip(path=str(partial_path))
            yield
            os.replace(partial_path, self.herd_path)
        finally:
            partial_path.unlink(missing_ok=True)

    def export(
        self,
        src_io: HDMFIO,
        container: Container | None = None,
        write_args: Mapping[str, Any] | None = None,
        clear_cache: bool = False,  # noqa: FBT001, FBT002 - as HDMFIO
        cache_spec: bool = True,  # noqa: FBT001, FBT002
        number_of_jobs: int = 1,
        max_threads_per_process: int | None = None,
        multiprocessing_context: Context | None = None,
        consolidate_metadata: bool = True,  # noqa: FBT001, FBT002
        *,
        executor: Executor | None = None,
        codecs: Any = "keep",
        chunks: Any = None,
        shards: Any = None,
        strict: bool = False,
        verify: bool = False,
        external_links: ExternalLinks = "follow",
        checksum: bool = False,
        strict_json: bool = False,
        dandi: bool = False,
        durable: bool = False,
        on_plan: Callable[[Planned], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Write what another IO has read: a self-contained copy, unless links are asked for.

        The chunks of datasets of numbers move as they are, from HDF5 as from Zarr, wherever a Zarr array
        can have the same ones.

        Parameters
        ----------
        src_io : HDMFIO
            The IO that read the data, of any backend.
        container : Container, optional
            The container that it read; what it holds is exported, whether it is marked as modified or
            not. None exports the file as it is.
        write_args : mapping, optional
            ``link_data`` (False; True links to the arrays of a source that is Zarr),
            ``exhaust_dci``, ``consolidate_metadata``.
        clear_cache : bool
            Build every builder from the container, not only those of what was edited.
        cache_spec : bool
            Store the specifications with the data.
        number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            As for `write`; datasets whose elements have to be encoded anew are written in parallel, too.
        consolidate_metadata
            As for `write`.
        codecs : {"keep", "default"}, mapping or callable
            ``"keep"`` has the codecs (and chunks) of the source, ``"default"`` encodes anew with the
            default ones. A mapping of paths (``"/acquisition/raw/data"``, or patterns such as
            ``"*/data"``), or a function of path and dataset, gives ``"keep"``, ``"default"``, a codec or
            a list of codecs for each dataset.
        chunks : mapping or callable, optional
            Likewise the shape of chunks; None keeps that of the source.
        shards : "auto", mapping or callable, optional
            Likewise the shape of shards; ``"auto"`` packs chunks into files of about 64 MB, all but those of
            compounds, whose shards zarr-python 3.1 does not read.
        strict : bool
            Raise where a dataset's HDF5 filters have no Zarr codec, rather than encode it anew.
        verify : bool
            Decode every chunk that moves as it is, to see that it can be.
        external_links : {"follow", "keep"}
            Copy what the file links to in others, or link to it: in a Zarr store, or, for HDF5, in the store
            of the same name with ``.zarr`` at its end. A copy has the path that the object has in its
            own file (``x_2``, where another object has it) if the schema has a link to it, and stands in
            the place of the link otherwise.
        checksum : bool
            End each encoded chunk with its CRC-32C; those of HDF5 get it as they are moved.
        strict_json : bool
            As for `write`.
        dandi : bool
            As for `write`. Codecs are kept that every reader of Zarr format 2 knows; datasets with others are
            encoded anew with the default one, in chunks of about 16 MB.
        durable : bool
            Return when everything of a local store is on the disk. An export does so only when asked to:
            its source is there still, and a large one would wait for the disk.
        on_plan : callable, optional
            Told, before anything is written, what will be.
        progress : callable, optional
            Told the bytes that were just written.

        Raises
        ------
        ModeError
            If the mode is not one that creates a store, or links to HDF5 are asked for.
        OptionError, LayoutError
            If a layout is asked for that makes no sense, or (``strict``) a filter has no codec.
        MetadataError
            If the source cannot be read, or was changed meanwhile; nothing is written then.
        BrokenLinkError
            If a link leads to an object that is in no file; nothing is written then.
        """
        options = _checked_write_args(write_args)
        link_data = options.get("link_data", False)
        _check_switches(
            **{"consolidate_metadata": consolidate_metadata, **options},
            clear_cache=clear_cache,
            cache_spec=cache_spec,
            checksum=checksum,
            durable=durable,
            strict_json=strict_json,
            dandi=dandi,
        )
        self._check_exportable(src_io, link_data=link_data)
        if self.herd_path is not None:
            _warn_set_aside("herd_path", "an export writes no external resources")
        _check_external_links(external_links)
        layout = LayoutOptions(
            codecs=codecs, chunks=chunks, shards=shards, strict=strict, verify=verify
        )
        builder, manager = self._builder_to_export(src_io, container, clear_cache=clear_cache)
        is_modified = manager is not src_io.manager
        cached = partial(_specifications_to_export, src_io, is_modified=is_modified)
        self._write_tree(
            builder,
            link_data=link_data,
            exhaust_dci=options.get("exhaust_dci", True),
            consolidate_metadata=options.get("consolidate_metadata", consolidate_metadata),
            specifications=cached if cache_spec else dict,
            queue=ZarrIODataChunkIteratorQueue(
                number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            ),
            src_io=src_io,
            manager=manager,
            layout=layout,
            external_links=external_links,
            checksum=checksum,
            strict_json=strict_json,
            dandi=dandi,
            durable=durable,
            on_plan=on_plan,
            progress=progress,
        )

    def _check_exportable(self, src_io: HDMFIO, *, link_data: bool) -> None:
        if self.mode not in CREATING_MODES:
            raise ModeError(
                f"cannot export to {self.source} in mode {self.mode!r}; use mode 'w', 'w-' or 'x'"
            )
        self._require_writable()
        source = _location_of_io(src_io)
        if isinstance(src_io, ZarrIO):
            self._refuse_uncommitted(src_io)
        if source is not None:
            refuse_overlap(source, self._location, is_built_beside=True)
        if link_data and not isinstance(src_io, ZarrIO):
            raise ModeError(
                f"a Zarr store cannot link to the data of {src_io.source} ("
                f"{type(src_io).__name__}); export it with link_data=False"
            )

    def _refuse_uncommitted(self, src_io: ZarrIO) -> None:
        """Raise `LockedError` if an export over its own source would undo what that has not committed."""
        source = src_io._hierarchy
        if source is None or not (source.open_append.has_begun and source.open_append.changed):
            return
        if relation_of(src_io._location, self._location) is Relation.SAME:
            raise LockedError(
                f"{self.source} is the source of the export, too, and has changes that are not committed: "
                "write() or close the source before"
            )

    def _builder_to_export(
        self, src_io: HDMFIO, container: Container | None, *, clear_cache: bool
    ) -> tuple[GroupBuilder, BuildManager | None]:
        """Return the builder to export and its manager: another one than that of ``src_io`` if edited."""
        if container is None and clear_cache:
            container = src_io.read()
        if container is None:
            is_hdf5 = isinstance(src_io, HDF5IO)
            with reading(str(src_io.source), hdf5_file(src_io)) if is_hdf5 else nullcontext():
                return src_io.read_builder(), src_io.manager
        manager = src_io.manager
        if manager is None:
            raise OptionError("a container can be exported only by a src_io with a manager")
        if isinstance(src_io, ZarrIO):
            src_io._constructed.reinstate()
        old = manager.get_builder(container)
        if old is None:
            raise OptionError("the container to export was not read by src_io")
        if old.parent is not None:
            raise OptionError("the container to export must be the root of the file of src_io")
        # HDF5IO puts the builders of its own exports in the place of those that it has read.
        is_replaced = isinstance(src_io, HDF5IO) and old is not src_io.read_builder()
        known = Known.of(manager)
        with self._naming_orphans():
            return build_to_export(
                container,
                manager,
                known.containers,
                known.builders,
                source=self.source,
                rebuild=clear_cache or is_replaced,
            )

    @contextmanager
    def _naming_orphans(self) -> Iterator[None]:
        """Raise an error of ours for a link to a container that is in no file."""
        try:
            yield
        except OrphanContainerBuildError as error:
            raise BrokenLinkError(f"{self.source}: {error}") from error

    def write_builder(
        self,
        builder: GroupBuilder,
        link_data: bool = True,  # noqa: FBT001, FBT002 - as HDF5IO
        exhaust_dci: bool = True,  # noqa: FBT001, FBT002
        export_source: str | None = None,
        consolidate_metadata: bool = True,  # noqa: FBT001, FBT002
        *,
        durable: bool | None = None,
    ) -> None:
        """Write the builder of a root.

        Parameters
        ----------
        builder : GroupBuilder
        link_data, exhaust_dci, consolidate_metadata, durable
            As for `write`.
        export_source : str, optional
            Path or URL of the file from which the builder was read, where it is exported.
        """
        self._require_writable()
        _check_switches(
            link_data=link_data,
            exhaust_dci=exhaust_dci,
            consolidate_metadata=consolidate_metadata,
            durable=durable is not None and durable,
        )
        self._write_tree(
            builder,
            link_data=link_data,
            exhaust_dci=exhaust_dci,
            consolidate_metadata=consolidate_metadata,
            specifications=dict,
            queue=ZarrIODataChunkIteratorQueue(),
            export_source=location_of_uri(export_source) if export_source is not None else None,
            durable=durable,
        )

    def _write_tree(
        self,
        builder: GroupBuilder,
        *,
        link_data: bool,
        exhaust_dci: bool,
        consolidate_metadata: bool,
        specifications: Callable[[], Specifications],
        queue: ZarrIODataChunkIteratorQueue,
        src_io: HDMFIO | None = None,
        export_source: Location | None = None,
        manager: BuildManager | None = None,
        layout: LayoutOptions | None = None,
        external_links: ExternalLinks = "follow",
        checksum: bool = False,
        strict_json: bool = False,
        dandi: bool = False,
        durable: bool | None = None,
        on_plan: Callable[[Planned], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Decide everything, then write it, the root's document last."""
        if src_io is not None:
            export_source = _location_of_io(src_io)
        layout = layout or LayoutOptions()
        self._refuse_other_root(builder)
        existing = None if self._new_store is not None else self._hierarchy
        check_kept_for_archive(self._hierarchy, consolidate_metadata=consolidate_metadata)
        if dandi:
            links_out = link_data or external_links == "keep"
            layout = self._layout_for_archive(
                layout, consolidate=consolidate_metadata, links_out=links_out
            )
        self._decide_format(dandi=dandi)
        context = replace(
            self._plan_context(existing, link_data, export_source, src_io, manager),
            options=layout,
            external_links=external_links,
            checksum=checksum,
            strict_json=strict_json or dandi,
        )
        unchanged = UnchangedFiles(hdf5_file(src_io)) if isinstance(src_io, HDF5IO) else None
        if isinstance(src_io, HDF5IO) and manager is src_io.manager:
            with reading(str(src_io.source)):
                context = replace(context, child_names=lost_names(src_io, builder))
        with LinkedFiles() as linked:
            plan = plan_tree(builder, replace(context, linked=linked))
            if unchanged is not None:
                for node in plan.nodes:
                    unchanged.watch_source(getattr(node, "source", None))
            to_cache = specifications()
            if on_plan is not None:
                zarr_format = context.convention.zarr_format
                on_plan(summarize(plan, zarr_format, to_cache, verify=layout.verify))
            if self._hierarchy is None:
                self._start_new_store()
            assert self._hierarchy is not None
            self._hierarchy.keeps_apart |= dandi
            execution = Execution(
                hierarchy=self._hierarchy,
                queue=queue,
                exhaust_dci=exhaust_dci,
                progress=progress or no_progress,
                verify=layout.verify,
                after_array=None if unchanged is None else unchanged.check,
            )
            self._carry_out(
                execution, plan, to_cache, consolidate=consolidate_metadata, durable=durable
            )
            self._hand_out_empty_arrays(plan)

    def _hand_out_empty_arrays(self, plan: TreePlan) -> None:
        """Let each wrapper without data have the array to fill."""
        assert self._hierarchy is not None
        for node in plan.nodes:
            source = getattr(node, "source", None)
            if isinstance(source, EmptySource):
                give_to_wrapper(source.wrapper, open_array(self._hierarchy, node.path))

    def _layout_for_archive(
        self,
        layout: LayoutOptions,
        *,
        consolidate: bool,
        links_out: bool,
    ) -> LayoutOptions:
        """Return the layout of a store for the DANDI archive; refuse what contradicts it."""
        check_archive_options(
            zarr_format=self._asked_format,
            existing=self._hierarchy,
            layout=layout,
            consolidate_metadata=consolidate,
            links_out=links_out,
        )
        return for_archive(layout)

    def _decide_format(self, *, dandi: bool) -> None:
        """Decide the Zarr format of a new store: that of the archive, or what was asked for."""
        if self._hierarchy is None:
            asked = 3 if self._asked_format is None else self._asked_format
            self._convention = convention_for_format(ZARR_FORMAT if dandi else asked)

    def _carry_out(
        self,
        execution: Execution,
        plan: TreePlan,
        to_cache: Specifications,
        *,
        consolidate: bool,
        durable: bool | None,
    ) -> None:
        """Write what is planned and commit it; what was there before is kept where that fails."""
        before = dict(execution.hierarchy.documents)
        waiting = [(dataset, dataset.pending()) for dataset in self._pending]
        try:
            with execution.hierarchy.open_append.at_work():
                with stored_together(execution.hierarchy):
                    execution.carry_out(plan)
                    execution.progress = no_progress
                    if to_cache:
                        write_specifications(execution.hierarchy, to_cache)
                for written in plan.builders:
                    self._written_builders.set_written(written)
                    self._find_at_its_path(written)
                self._flush_pending()
                self._commit(consolidate=consolidate, durable=durable)
        except BaseException:
            self._undo(before)
            for dataset, wait_again in waiting:
                wait_again()
                self._note_pending(dataset)
            raise

    def _find_at_its_path(self, written: BaseBuilder) -> None:
        """Let references to an object that an append has written lead to it."""
        if self._reader is not None and written.source == self.source:
            self._reader.main.builders.setdefault(_builder_path(written), written)

    def _plan_context(
        self,
        existing: Hierarchy | None,
        link_data: bool,  # noqa: FBT001 - private
        export_source: Location | None,
        src_io: HDMFIO | None,
        manager: BuildManager | None = None,
    ) -> PlanContext:
        hdf5_io = src_io if isinstance(src_io, HDF5IO) else None
        return PlanContext(
            destination=self._location,
            existing=existing,
            convention=self._convention if existing is None else existing.convention,
            is_written=self._written_builders.get_written,
            manager=self.manager if src_io is None else manager,
            link_data=link_data,
            export_source=export_source,
            hdf5_file=hdf5_file(hdf5_io) if hdf5_io is not None else None,
            hdf5_builder=hdf5_io.get_builder if hdf5_io is not None else None,
        )

    def _commit(self, *, consolidate: bool, durable: bool | None) -> None:
        assert self._hierarchy is not None
        if durable is None:
            durable = can_sync_at_once()
        if self._new_store is not None:
            self._new_store.commit(consolidate=consolidate, durable=durable)
            self._new_store = None
        else:
            self._hierarchy.commit(consolidate=consolidate, durable=durable)

    def _undo(self, before: dict[str, Any]) -> None:
        """After a failed write: remove what is new, restore what was changed."""
        if self._new_store is not None:
            self._new_store.abandon()
            self._new_store = self._hierarchy = None
            return
        assert self._hierarchy is not None
        self._hierarchy.restore(before)
        if not self._hierarchy.is_changed:
            self._hierarchy.end()

    def _specifications_of_manager(self) -> Specifications:
        catalog = self.manager.namespace_catalog
        assert self._hierarchy is not None or self._is_open
        return specifications_of_catalog(catalog, catalog.namespaces)

    def _require_writable(self) -> None:
        self._require_open()
        if self.mode in READING_MODES:
            raise ModeError(
                f"cannot write to {self.source} in mode {self.mode!r}; use mode 'r+', 'a', 'w', 'w-' "
                "or 'x'"
            )

    # -- write piece by piece --------------------------------------------------------------------

    def write_group(
        self,
        parent: zarr.Group | str,
        builder: GroupBuilder,
        link_data: bool = True,  # noqa: FBT001, FBT002 - as HDF5IO
        exhaust_dci: bool = True,  # noqa: FBT001, FBT002
        export_source: str | None = None,
    ) -> zarr.Group:
        """Write a group and all that is in it below a parent; the close commits it."""
        path = self._write_piece(parent, builder, link_data, exhaust_dci, export_source)
        assert self._hierarchy is not None
        return cast("zarr.Group", self._root_of(self._hierarchy)[path])

    def write_dataset(
        self,
        parent: zarr.Group | str,
        builder: BaseBuilder,
        link_data: bool = True,  # noqa: FBT001, FBT002 - as HDF5IO
        exhaust_dci: bool = True,  # noqa: FBT001, FBT002
        force_data: Any = None,
        export_source: str | None = None,
    ) -> HDMFZarrArray | None:
        """Write a dataset below a parent; the close commits it.

        Parameters
        ----------
        parent : zarr.Group or str
        builder : DatasetBuilder
        link_data, exhaust_dci, export_source
            As for `write_builder`.
        force_data : array_like, optional
            Written in place of the builder's data.

        Returns
        -------
        HDMFZarrArray or None
            None where a link was written.
        """
        if force_data is not None:
            builder = _with_data(builder, force_data)
        path = self._write_piece(parent, builder, link_data, exhaust_dci, export_source)
        assert self._hierarchy is not None
        return open_array(self._hierarchy, path) if path in self._hierarchy else None

    def write_link(
        self, parent: zarr.Group | str, builder: LinkBuilder, export_source: str | None = None
    ) -> None:
        """Write a link into a parent; the close commits it."""
        link_data = exhaust_dci = True
        self._write_piece(parent, builder, link_data, exhaust_dci, export_source)

    def write_attributes(
        self, obj: zarr.Group | zarr.Array[Any] | str, attributes: dict[str, Any]
    ) -> None:
        """Set attributes of a node; the close commits them."""
        self._require_writable()
        path = _node_path(obj)
        hierarchy = self._ensure_hierarchy()
        for name in attributes:
            refuse_name_twice(hierarchy, path, name, as_what="attribute")
        context = self._plan_context(hierarchy, link_data=True, export_source=None, src_io=None)
        merged = attributes_with(hierarchy.attributes(path), attributes, context)
        hierarchy.set_document(path, {**hierarchy.documents[path], "attributes": merged})

    def _write_piece(
        self,
        parent: zarr.Group | str,
        builder: Builder,
        link_data: bool,  # noqa: FBT001 - private
        exhaust_dci: bool,  # noqa: FBT001
        export_source: str | None,
    ) -> str:
        self._require_writable()
        _check_switches(link_data=link_data, exhaust_dci=exhaust_dci)
        hierarchy = self._ensure_hierarchy()
        source = location_of_uri(export_source) if export_source is not None else None
        context = self._plan_context(hierarchy, link_data, source, None)
        before = dict(hierarchy.documents)
        try:
            with LinkedFiles() as linked, hierarchy.open_append.at_work():
                plan = plan_piece(builder, replace(context, linked=linked), _node_path(parent))
                Execution(
                    hierarchy=hierarchy,
                    queue=ZarrIODataChunkIteratorQueue(),
                    exhaust_dci=exhaust_dci,
                ).carry_out(plan)
        except BaseException:
            hierarchy.restore(before)
            raise
        for written in plan.builders:
            self._written_builders.set_written(written)
        self._hand_out_empty_arrays(plan)
        return f"{_node_path(parent)}/{builder.name}".strip("/")

    def _ensure_hierarchy(self) -> Hierarchy:
        if self._hierarchy is None:
            self._start_new_store()
        assert self._hierarchy is not None
        return self._hierarchy

    # -- what was written ------------------------------------------------------------------------

    def get_written(self, builder: Builder, check_on_disk: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Whether a builder was read from or written to the store by this IO.

        Parameters
        ----------
        builder : Builder
        check_on_disk : bool
            Ask the metadata of the store, too.
        """
        written = bool(self._written_builders.get_written(builder))
        return written and (not check_on_disk or self.get_builder_exists_on_disk(builder))

    def get_builder_exists_on_disk(self, builder: Builder) -> bool:
        """Whether the store has an object at a builder's path."""
        return self._hierarchy is not None and _builder_path(builder) in self._hierarchy

    def get_builder_disk_path(self, builder: Builder, filepath: str | None = None) -> str:
        """Path at which a builder's object is, or would be, in the store or in another folder."""
        return os.path.join(self.source if filepath is None else filepath, _builder_path(builder))

    # -- read ------------------------------------------------------------------------------------

    def read(self) -> Container:
        """Read the root's container.

        Raises
        ------
        ModeError
            If the mode is one that creates a store.
        NoDataError
            If the store holds no HDMF data.
        """
        self._builder_to_read()
        assert self._hierarchy is not None
        if not has_data(self._hierarchy):
            raise NoDataError(
                f"{self.source} is a Zarr hierarchy, but holds no HDMF data: its root has no data type"
            )
        container = self._container_read_before()
        if container is None:
            with self._constructed.remembering(self.read_builder().source):
                container = super().read()
            if self.mode not in READING_MODES:
                self._row_guards += make_appendable(container)
        return cast("Container", container)

    def _container_read_before(self) -> Any:
        """Return what an earlier `read` returned, with all edits; None before the first."""
        builder = self.read_builder()
        container = self._constructed.find(builder)
        if container is not None and self.manager.get_builder(container) is None:
            self._constructed.reinstate()
        return container

    def _container_of(self, builder: Builder) -> Any:
        """Return the container of a builder; edits of one that was constructed before are kept."""
        return self._constructed.get(builder)

    def _builder_to_read(self) -> GroupBuilder:
        if self.mode in CREATING_MODES:
            raise ModeError(
                f"cannot read from {self.source} in mode {self.mode!r}; use mode 'r', 'r+' or 'a'"
            )
        return self.read_builder()

    def read_builder(self) -> GroupBuilder:
        """Return the builder of the root; the same one each time."""
        self._require_open()
        if self._hierarchy is None:
            raise ModeError(f"{self.source} has nothing to read yet (mode {self.mode!r})")
        if self._reader is None:
            self._reader = StoreReader(
                self._hierarchy,
                io=self,
                on_built=self._written_builders.set_written,
                open_linked=self._open_linked,
                specified_as_float=self._specified_as_float,
            )
        return self._reader.read()

    def _open_linked(self, location: Location) -> Hierarchy:
        read_only = self.mode in READING_MODES
        if not read_only:
            try:
                return open_linked_hierarchy(location, read_only=False, consolidated=False)
            except (HDMFZarrError, OSError, NotImplementedError) as error:
                # A folder may have another writer; others are web servers, or other people's buckets.
                if location.is_local and not isinstance(error, LockedError):
                    raise
                self.logger.warning("%s is opened for reading only: %s", location.uri, error)
                read_only = True
        return open_linked_hierarchy(
            location, read_only=read_only, consolidated=self.mode == "r" or read_only
        )

    def _specified_as_float(self, attributes: Mapping[str, Any], name: str) -> bool:
        data_type, namespace = data_type_of(attributes), one_text(attributes.get("namespace"))
        if data_type is None or namespace is None:
            return False
        try:
            spec = self.manager.namespace_catalog.get_spec(namespace, data_type)
        except (KeyError, ValueError):
            return False
        attribute = spec.get_attribute(name)
        return attribute is not None and str(attribute.dtype) in (
            "float",
            "float32",
            "float64",
            "double",
            "numeric",
        )

    def get_builder(self, zarr_obj: zarr.Group | zarr.Array[Any]) -> BaseBuilder:
        """Return the builder that was read for a group or array.

        Raises
        ------
        BrokenLinkError
            If there is none.
        """
        self.read_builder()
        assert self._reader is not None
        path = _node_path(zarr_obj)
        found = self._reader.main.builders.get(path)
        if found is None:
            raise BrokenLinkError(f"{self.source}:/{path} has not been built")
        return found

    def get_container(self, zarr_obj: zarr.Group | zarr.Array[Any]) -> AbstractContainer:
        """Return the container of a group or array."""
        return self._container_of(self.get_builder(zarr_obj))

    def resolve_ref(self, zarr_ref: Mapping[str, Any] | str) -> tuple[str, Any]:
        """Return the name of a reference's target and the target, an array or group.

        Parameters
        ----------
        zarr_ref : mapping or str
            ``{"source", "path"}``, such as a `ZarrReference`, or a path of this store.

        Raises
        ------
        BrokenLinkError
            If there is no such object.
        """
        self._require_open()
        if isinstance(zarr_ref, str):
            zarr_ref = {"path": zarr_ref}
        if zarr_ref.get("path") is None:
            raise BrokenLinkError(f"{self.source}: the reference {dict(zarr_ref)} has no path")
        reference = reference_from_object(zarr_ref)
        self.read_builder()
        assert self._reader is not None
        assert self._hierarchy is not None
        try:
            builder = self._reader.builder(self._hierarchy, reference)
        except BrokenLinkError as error:
            raise BrokenLinkError(
                f"Found bad link to object {reference.path} in file {reference.source} from "
                f"{self.source}: {error}"
            ) from error
        tree = self._reader.trees[location_of_uri(builder.source)]
        path = _builder_path(builder)
        if tree.hierarchy.node_type(path) == "group":
            group = self._root_of(tree.hierarchy)
            return builder.name, group[path] if path else group
        return builder.name, open_array(tree.hierarchy, path)

    # -- references of lazy datasets -------------------------------------------------------------

    def _builder_of_element(self, array: HDMFZarrArray, element: str) -> BaseBuilder:
        """Return the builder to which an element of a dataset of references leads."""
        reference = array.hierarchy.convention.decode_element(element)
        assert self._reader is not None
        assert reference is not None
        try:
            return self._reader.builder(array.hierarchy, reference)
        except BrokenLinkError as error:
            raise BrokenLinkError(
                f"{array.hierarchy.uri}:/{array.node_path} has a reference without a target: {error}"
            ) from error

    def _element_of_target(self, array: HDMFZarrArray, target: Any) -> str | None:
        """Return the element for a container or builder; None where it has no path yet."""
        if isinstance(target, ReferenceBuilder):
            target = target.builder
        builder = (
            self._builder_of_target(target) if isinstance(target, AbstractContainer) else target
        )
        if builder is None or builder.source is None:
            return None
        location, path = location_of_uri(builder.source), _builder_path(builder)
        base = array.hierarchy.location
        if location == self._location and (self._hierarchy is None or path not in self._hierarchy):
            return None
        reference = Reference(source=relative_source(location, base), path="/" + path)
        return array.hierarchy.convention.encode_element(identified(reference, builder))

    def _builder_of_target(self, target: AbstractContainer) -> BaseBuilder | None:
        """Return the builder of a container in its own file, not in one to which it was exported."""
        builder = self.manager.get_builder(target)
        if builder is not None and builder.source != target.container_source:
            self._constructed.reinstate()
            builder = self.manager.get_builder(target)
        return builder

    def _note_pending(self, dataset: ZarrDataset) -> None:
        if dataset not in self._pending:
            self._pending.append(dataset)

    def _flush_pending(self) -> None:
        waiting, self._pending = self._pending, []
        for dataset in waiting:
            dataset.flush_pending()

    def _drop_pending(self) -> None:
        """Remove the rows that refer to containers which were never written, from every column."""
        waiting, self._pending = self._pending, []
        for dataset in waiting:
            if dataset.n_pending:
                dataset.drop_pending()
                warnings.warn(
                    f"{self.source}:{dataset.name}: rows that refer to containers which were never written "
                    "are lost, in all columns; write the file before it is closed",
                    UserWarning,
                    stacklevel=3,
                )
        for hierarchy in dict.fromkeys(dataset.dataset.hierarchy for dataset in waiting):
            for table in list(uneven_tables(hierarchy, with_elements=True)):
                cut_to_whole_rows(hierarchy, table)
                hierarchy.begin()

    def _settle_rows(self) -> None:
        """Remove what rows have left that were interrupted; write what waits in memory of the others."""
        for guard in self._row_guards:
            try:
                guard.settle(warn=True)
                guard.catch_up()
            except MetadataError:
                if self._hierarchy is None or not self._hierarchy.removals:
                    raise  # else columns of the table were removed: it gets no more rows

    def _note_written_columns(self, container: Container) -> None:
        """Let the columns that an append has written from memory grow with the store, too."""
        if self.mode not in APPENDING_MODES:
            return
        self._constructed.note_written(self.source)
        self._row_guards += guard_tables(container)
        for guard in self._row_guards:
            guard.note_written(self._array_of_column)

    def _array_of_column(self, column: Data) -> HDMFZarrArray | ZarrDataset | None:
        """Return the array of a column that was written to this store."""
        builder = self.manager.get_builder(column)
        if builder is None or not self.get_written(builder) or self._hierarchy is None:
            return None
        path = _builder_path(builder)
        is_here = builder.source == self.source and path in self._hierarchy
        return lazy_data(open_array(self._hierarchy, path), self) if is_here else None

    # -- namespaces ------------------------------------------------------------------------------

    @classmethod
    def load_namespaces(
        cls,
        namespace_catalog: NamespaceCatalog | TypeMap,
        path: str | Path | Store | None = None,
        namespaces: list[str] | None = None,
        io: HDMFIO | None = None,
        *,
        file: zarr.Group | None = None,
        storage_options: dict[str, Any] | None = None,
        driver: str | None = None,
        aws_region: str | None = None,
    ) -> dict[str, Any]:
        """Load the namespaces that a file caches into a catalog.

        Parameters
        ----------
        namespace_catalog : NamespaceCatalog or TypeMap
        path : str, Path or Store, optional
        namespaces : list of str, optional
            Those to load; by default all, each in its latest version.
        io : ZarrIO, optional
            An open IO, in place of a path.
        file : zarr.Group, optional
            An open root, in place of a path.
        storage_options : dict, optional
        driver, aws_region
            Of `HDF5IO`; must be None.

        Returns
        -------
        dict
            Name of each loaded namespace -> the namespaces it includes -> their types.
        """
        hierarchy = cls._hierarchy_for(path, file, io, storage_options, driver, aws_region)
        return load_cached_namespaces(hierarchy, namespace_catalog, namespaces)

    def load_namespaces_io(
        self, namespace_catalog: NamespaceCatalog | TypeMap, namespaces: list[str] | None = None
    ) -> dict[str, Any]:
        """Load the namespaces that this file caches into a catalog, as `load_namespaces`."""
        self._require_open()
        if self._hierarchy is None:
            return {}
        return load_cached_namespaces(self._hierarchy, namespace_catalog, namespaces)

    @classmethod
    def get_namespaces(
        cls,
        path: str | Path | Store | None = None,
        file: zarr.Group | None = None,
        *,
        storage_options: dict[str, Any] | None = None,
        driver: str | None = None,
        aws_region: str | None = None,
    ) -> dict[str, str]:
        """Return the latest version of each namespace that a file caches."""
        return latest_versions(
            cls._hierarchy_for(path, file, None, storage_options, driver, aws_region)
        )

    @staticmethod
    def _hierarchy_for(
        path: str | Path | Store | None,
        file: zarr.Group | None,
        io: HDMFIO | None,
        storage_options: dict[str, Any] | None,
        driver: str | None,
        aws_region: str | None,
    ) -> Hierarchy:
        _refuse_hdf5_options(driver, aws_region)
        if isinstance(io, ZarrIO) and io._hierarchy is not None:
            return io._hierarchy
        if file is not None:
            path = file.store
        if path is None:
            raise OptionError("give the path, or an open file, whose namespaces are wanted")
        location = locate(path, storage_options)
        if location.is_local and not store_exists(location):
            raise StoreNotFoundError(f"{location.uri} does not exist; check the path")
        return Hierarchy.load(open_bytestore(location, read_only=True), consolidated=True)

    # -- helpers of clients ----------------------------------------------------------------------

    @staticmethod
    def can_read(
        path: str | os.PathLike[str] | Store, storage_options: dict[str, Any] | None = None
    ) -> bool:
        """Whether HDMF data in Zarr are at a path; never raises for what is something else."""
        hierarchy = _try_to_open(path, storage_options)
        if hierarchy is None:
            return False
        return has_data(hierarchy)

    @staticmethod
    def get_zarr_parent_path(zarr_object: zarr.Group | zarr.Array[Any]) -> str:
        """Return the path of the group that holds a group or array."""
        return "/" + _node_path(zarr_object).rpartition("/")[0]

    @staticmethod
    def generate_dataset_html(dataset: Any) -> str:
        """Return a table that describes a dataset, for notebooks."""
        array = dataset.dataset if isinstance(dataset, ZarrDataset) else dataset
        if not isinstance(array, zarr.Array):
            info = get_basic_array_info(array)
            return str(generate_array_html_repr(info, array, type(array).__name__))
        info = {
            "Data type": array.dtype,
            "Shape": array.shape,
            "Array size": f"{array.nbytes / 1024**2:.2f} MiB",
            "Chunk shape": array.chunks,
        }
        if isinstance(array, HDMFZarrArray):
            info |= {"Shard shape": array.shards, "Compressor": array.compressor}
            info |= _stored_sizes(array)
        preview = np.asarray(array[...]) if array.nbytes < 1024 else np.empty(1024)
        return str(generate_array_html_repr(info, preview, "Zarr array"))


def _stored_sizes(array: HDMFZarrArray) -> dict[str, Any]:
    """What an array takes in its store; nothing where that cannot list its objects."""
    try:
        sizes = array.hierarchy.bytestore.sizes(array.node_path)
    except (OSError, NotImplementedError) as error:
        logger.debug("%s cannot be listed: %s", array.hierarchy.uri, error)
        return {}
    if not sizes:  # not even its own document: a web server that lists nothing
        return {}
    stored = sum(sizes.values())
    ratio = f"{array.nbytes / stored:.2f}" if stored else "undefined"
    return {"Stored bytes": stored, "Stored objects": len(sizes), "Compression ratio": ratio}


def has_data(hierarchy: Hierarchy) -> bool:
    """Whether a store holds data of HDMF: its root has a data type."""
    attributes = hierarchy.attributes("")
    return "neurodata_type" in attributes or "data_type" in attributes


def _load_hierarchy(location: Location, mode: str) -> Hierarchy:
    """Read the metadata of a store that exists, as a mode wants them."""
    bytestore = open_bytestore(location, read_only=mode in READING_MODES)
    return Hierarchy.load(bytestore, consolidated=mode == "r")


# -- helpers ---------------------------------------------------------------------------------------


def _checked_mode(mode: str) -> str:
    if mode not in MODES:
        known = ", ".join(f"{name!r} ({what})" for name, what in MODES.items())
        raise OptionError(f"unknown mode {mode!r}; choose one of: {known}")
    return mode


def _warn_without_effect(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            warnings.warn(
                f"{name} had a meaning with zarr-python 2 and has no effect now: leave it out",
                UserWarning,
                stacklevel=4,
            )


def _warn_set_aside(name: str, reason: str) -> None:
    warnings.warn(f"{name} is set aside: {reason}", UserWarning, stacklevel=4)


def _check_switches(**options: Any) -> None:
    for name, value in options.items():
        require_bool(name, value)


def _refuse_hdf5_options(driver: str | None, aws_region: str | None) -> None:
    for name, value in (("driver", driver), ("aws_region", aws_region)):
        if value is not None:
            raise OptionError(
                f"{name}={value!r} is an option for HDF5 files; for a Zarr store on S3 give its URL and "
                "storage_options"
            )


def _check_external_links(external_links: str) -> None:
    if external_links not in get_args(ExternalLinks):
        raise OptionError(
            f"external_links must be 'follow' or 'keep', found {external_links!r:.100}"
        )


def _checked_write_args(write_args: Mapping[str, Any] | None) -> dict[str, Any]:
    options = dict(write_args or {})
    unknown = sorted(set(options) - WRITE_OPTIONS)
    if unknown:
        raise OptionError(f"unknown write_args {unknown}; known are {sorted(WRITE_OPTIONS)}")
    return options


def _location_of_io(io: HDMFIO) -> Location | None:
    if isinstance(io, ZarrIO):
        return io._location
    return location_of_uri(str(io.source)) if io.source is not None else None


def _specifications_to_export(src_io: HDMFIO, *, is_modified: bool) -> Specifications:
    """Specifications of an exported file: those of its source, and what a modification needs."""
    if isinstance(src_io, ZarrIO) and src_io._hierarchy is not None:
        cached = read_specifications(src_io._hierarchy)
    elif isinstance(src_io, HDF5IO) and hdf5_file(src_io) is not None:
        cached = read_hdf5_specifications(hdf5_file(src_io))
    else:
        cached = {}
    if src_io.manager is None or (cached and not is_modified):
        return cached
    catalog = src_io.manager.namespace_catalog
    for name, versions in specifications_of_catalog(catalog, catalog.namespaces).items():
        for version, texts in versions.items():
            cached.setdefault(name, {}).setdefault(version, texts)
    return cached


def _try_to_open(path: Any, storage_options: dict[str, Any] | None) -> Hierarchy | None:
    try:
        location = locate(path, storage_options)
        if (
            location.is_local
            and not os.path.isdir(location.uri)
            and not location.uri.endswith(".zip")
        ):
            return None
        return Hierarchy.load(open_bytestore(location, read_only=True), consolidated=True)
    except (HDMFZarrError, OSError):
        return None


def _builder_path(builder: Builder) -> str:
    """Path of a builder's object in its store, without slashes at its ends."""
    if builder.parent is None and builder.name == ROOT_NAME:
        return ""
    location = getattr(builder, "location", None)
    if location is not None:
        return f"{location}/{plain_text(builder.name)}".strip("/")
    parts = []
    current: Any = builder
    while current is not None and not (current.parent is None and current.name == ROOT_NAME):
        parts.append(current.name)
        current = current.parent
    return "/".join(reversed(parts))


def _node_path(obj: Any) -> str:
    """Path of a group or array in its store, without slashes at its ends."""
    if isinstance(obj, str):
        return obj.strip("/")
    return obj.node_path if isinstance(obj, HDMFZarrArray) else str(obj.path).strip("/")


def _with_data(builder: Any, data: Any) -> Any:
    from hdmf.build import DatasetBuilder

    result = DatasetBuilder(
        name=builder.name,
        data=data,
        dtype=builder.dtype,
        attributes=dict(builder.attributes),
        dimension_labels=builder.dimension_labels,
    )
    result.matched_spec = builder.matched_spec
    return result
