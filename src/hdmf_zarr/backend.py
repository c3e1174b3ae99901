"""`ZarrIO`: HDMF's files as Zarr hierarchies."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import zarr
from hdmf.backends.io import HDMFIO
from hdmf.build import Builder, BuildManager, GroupBuilder, LinkBuilder, TypeMap
from hdmf.build.builders import BaseBuilder
from hdmf.container import AbstractContainer, Container
from hdmf.spec import NamespaceCatalog
from zarr.abc.store import Store

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray, open_array
from hdmf_zarr.arrays.live_group import LiveGroup
from hdmf_zarr.convention.unified import SPECIFICATION_GROUP, SPECIFICATION_LOCATION
from hdmf_zarr.core.progress import Progress
from hdmf_zarr.errors import OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.read.specifications import latest_versions, load_cached_namespaces
from hdmf_zarr.read.tree import ROOT_NAME
from hdmf_zarr.session.containers import container_read_before, write_container
from hdmf_zarr.session.export_source import check_exportable, source_of_export
from hdmf_zarr.session.html import dataset_html
from hdmf_zarr.session.modes import READING_MODES, checked_mode
from hdmf_zarr.session.namespaces import nodes_with_namespaces
from hdmf_zarr.session.opening import has_data, try_to_open
from hdmf_zarr.session.options import (
    checked_write_args,
    refuse_hdf5_options,
    warn_ignored,
    warn_without_effect,
)
from hdmf_zarr.session.paths import builder_path, node_path, parent_path
from hdmf_zarr.session.references import SessionReferences, reference_of
from hdmf_zarr.session.session import Session
from hdmf_zarr.stores.location import SUPPORTED_ZARR_STORES, locate, location_of_uri
from hdmf_zarr.write.job import WriteSource, with_data, write_attributes, write_piece, write_tree
from hdmf_zarr.write.options import ExportOptions, WriteOptions
from hdmf_zarr.write.planning.export_options import ExternalLinks, LayoutOptions, require_bool
from hdmf_zarr.write.planning.plan import Planned
from hdmf_zarr.write.queue import Context, ZarrIODataChunkIteratorQueue

__all__ = [
    "DEFAULT_SPEC_LOC_DIR",
    "ROOT_NAME",
    "SPEC_LOC_ATTR",
    "SUPPORTED_ZARR_STORES",
    "ZarrIO",
]

SPEC_LOC_ATTR = SPECIFICATION_LOCATION
DEFAULT_SPEC_LOC_DIR = SPECIFICATION_GROUP


class ZarrIO(HDMFIO):  # type: ignore[misc]
    """Reads and writes HDMF's data as a Zarr hierarchy.

    Parameters
    ----------
    path : str, Path or zarr.abc.store.Store
        Path of a folder, URL that fsspec supports, or open store.
    mode : {"r", "r-", "r+", "a", "w", "w-", "x"}
        ``r`` reads, ``r-`` without the consolidated metadata; ``r+`` and ``a`` append, ``a``
        creates a missing store; ``w`` creates or replaces a store, ``w-`` and ``x`` only create
        one.
    manager : BuildManager or TypeMap, optional
    storage_options : dict, optional
        Options for fsspec, if the path is a URL.
    force_overwrite : bool
        Allow mode ``w`` to replace a path that is not a Zarr store: an HDF5 file, or another
        folder.
    zarr_format : int, optional
        Zarr format of a new store; by default 3, or 2 if it is written with ``dandi=True``.
    synchronizer, object_codec_class
        Options of zarr-python 2 without effect.
    driver, aws_region
        Options of `HDF5IO`; must be None.
    herd_path : str, optional
        Path at which HDMF's external resources are read and written.

    Raises
    ------
    StoreNotFoundError
        If a store to read or append to does not exist.
    NotAStoreError
        If something else is at the path.
    StoreExistsError
        If something exists at the path that the mode does not replace.
    LockedError
        If the mode writes to the store and another writer has it open.
    OptionError
        If an option or the mode is invalid.
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
        # `_ZarrIO__file`; the first is this attribute, the second a property below.
        self.__mode = checked_mode(mode)
        require_bool("force_overwrite", force_overwrite)
        warn_without_effect(synchronizer=synchronizer, object_codec_class=object_codec_class)
        refuse_hdf5_options(driver=driver, aws_region=aws_region)
        if path is None:
            raise OptionError("path is missing: give a folder, a URL or a zarr store")
        self._given_path = path
        if manager is None:
            manager = TypeMap(NamespaceCatalog())
        if isinstance(manager, TypeMap):
            manager = BuildManager(manager)
        loaded, self._found_hierarchy = self._found_hierarchy, None
        self._session = Session(
            locate(path, storage_options),
            mode,
            manager,
            zarr_format=zarr_format,
            is_forced=force_overwrite,
            loaded=loaded,
        )
        self.references = SessionReferences(self._session)
        super().__init__(manager, source=self._session.uri, herd_path=herd_path)

    # -- properties ------------------------------------------------------------------------------

    @property
    def path(self) -> Any:
        """The given path as text, or the given store."""
        given = self._given_path
        return os.fspath(given) if isinstance(given, os.PathLike) else given

    @property
    def abspath(self) -> str:
        """Absolute path or URL of the store."""
        return self._session.uri

    @property
    def source(self) -> str:
        """Absolute path or URL of the store, as in builders and containers."""
        return self._session.uri

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
        """The root as a zarr group; None if no store is open."""
        session = self._session
        if session.is_open and not session.is_for_reading:
            session.begin()
        return None if session.hierarchy is None else self._root_of(session.hierarchy)

    @property
    def _hierarchy(self) -> Hierarchy | None:
        """Nodes of the store; None before it exists."""
        return self._session.hierarchy

    def _root_of(self, hierarchy: Hierarchy) -> zarr.Group:
        """Return the root as a zarr group, which shows later writes if the store is writable."""
        if hierarchy.bytestore.zarr_store.read_only:
            return zarr_view.zarr_group(hierarchy)
        return LiveGroup.of_node(hierarchy, "", self)

    # See the comment in `__init__`.
    _ZarrIO__file = _file

    def is_remote(self) -> bool:
        """Whether the store is not a folder of this machine."""
        return not self._session.location.is_local

    # -- open and close --------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store; a mode that creates one only checks that it can be created."""
        self._session.open()

    def is_open(self) -> bool:
        """Whether the store is open."""
        session: Session | None = getattr(self, "_session", None)
        return session is not None and session.is_open

    def close(self) -> None:
        """Close the store, and commit what was appended to its arrays."""
        if self.is_open():
            self._session.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store; remove a new store that is incomplete because of an error."""
        if error is not None:
            self._session.discard_new_store()
        self.close()

    def __del__(self) -> None:
        # A store that is only read has nothing to release.
        if getattr(self, "_ZarrIO__mode", "r") not in READING_MODES:
            super().__del__()

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
        """Write a container, or the additions since it was read or written.

        An append writes new objects, columns, rows and links, and attributes of existing objects.
        It replaces no data and removes nothing: a warning names data that differ in memory, and
        objects that were removed or moved there.

        Parameters
        ----------
        container : Container
        cache_spec : bool
            Store the specifications with the data.
        link_data : bool
            Link to data that are an array of another Zarr store, instead of copying them.
        exhaust_dci : bool
            Exhaust iterators one at a time; otherwise, and with several jobs, all at the end.
        number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            Workers that write the data of iterators, see `ZarrIODataChunkIteratorQueue`.
        consolidate_metadata : bool
            Store the metadata of all nodes in one document, so that one request opens the file.
        herd : HERD, optional
            External resources to write to ``herd_path``.
        checksum : bool
            End each encoded chunk with its CRC-32C, so that a damaged byte causes an error.
        strict_json : bool
            Write NaN and infinities in attributes as text, which readers outside of Python need;
            hdmf-zarr reads the same values.
        dandi : bool
            Write a store for the DANDI archive: of Zarr format 2, valid for ``dandi validate`` and
            readable by plain zarr-python, with NaN and infinities in attributes as text
            (``strict_json``). Data that are arrays of other stores are copied. See the page on
            DANDI in ``docs``.
        durable : bool, optional
            Return only when all files of a local store are on the disk, so that a power failure
            cannot undo or damage the write. None does so if one system call is enough (Linux).
        progress : callable, optional
            Called with the bytes just written.

        Raises
        ------
        ModeError
            If the store was opened for reading.
        ObjectExistsError
            If the store contains another file, or another object with the name of a new one.
        HDMFZarrError
            If something cannot be stored; the store is then unchanged.
        WorkerError
            If one of several workers fails; the store is then unchanged.
        """
        self._session.require_writable()
        options = WriteOptions(
            cache_spec=cache_spec,
            link_data=link_data,
            exhaust_dci=exhaust_dci,
            consolidate_metadata=consolidate_metadata,
            queue=ZarrIODataChunkIteratorQueue(
                number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            ),
            checksum=checksum,
            strict_json=strict_json,
            dandi=dandi,
            durable=durable,
            progress=progress,
        )
        write_container(self, self._session, container, herd, options)

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
        """Write what another IO has read: a self-contained copy, unless links are requested.

        Encoded chunks of numbers are copied unchanged, from HDF5 and from Zarr, if a Zarr array can
        have the same chunks.

        Parameters
        ----------
        src_io : HDMFIO
            IO of any backend that has read the data.
        container : Container, optional
            Container that the IO has read; all its edits are exported, whether it is marked as
            modified or not. None exports the file unchanged.
        write_args : mapping, optional
            Options ``link_data`` (default False; True links to the arrays of a Zarr source),
            ``exhaust_dci`` and ``consolidate_metadata``.
        clear_cache : bool
            Build every builder from the container, not only those of edited containers.
        cache_spec : bool
            Store the specifications with the data.
        number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            Workers, as for `write`; they also write datasets whose elements have to be encoded
            again.
        consolidate_metadata
            Store the metadata of all nodes in one document, as for `write`.
        codecs : {"keep", "default"}, mapping or callable
            ``"keep"`` keeps the codecs (and chunks) of the source, ``"default"`` encodes again with
            the default codecs. A mapping of paths (``"/acquisition/raw/data"``, or patterns, for
            example ``"*/data"``), or a function of path and dataset, gives ``"keep"``,
            ``"default"``, a codec or a list of codecs for each dataset.
        chunks : mapping or callable, optional
            Shape of chunks, for each dataset in the same way; None keeps the chunks of the source.
        shards : "auto", mapping or callable, optional
            Shape of shards, for each dataset in the same way; ``"auto"`` packs chunks into files of
            about 64 MB, except those of compounds, whose shards zarr-python 3.1 does not read.
        strict : bool
            Raise if a dataset's HDF5 filters have no Zarr codec, instead of encoding it again.
        verify : bool
            Decode every chunk that is copied unchanged, as a check.
        external_links : {"follow", "keep"}
            ``"follow"`` copies the targets of links to other files; ``"keep"`` links to them in
            their Zarr store, or, for HDF5, in the store of the same name with ``.zarr`` appended.
            If the schema specifies a link, the copy has the path of the object in its own file
            (``x_2`` if that is taken); otherwise it replaces the link.
        checksum : bool
            End each encoded chunk with its CRC-32C; chunks of HDF5 get it as they are copied.
        strict_json : bool
            Write NaN and infinities in attributes as text, as for `write`.
        dandi : bool
            Write a store for the DANDI archive, as for `write`. Codecs that every reader of Zarr
            format 2 knows are kept; datasets with other codecs are encoded again with the default
            codec, in chunks of about 16 MB.
        durable : bool
            Return only when all files of a local store are on the disk. The default is False: the
            source still exists, and a large export would wait for the disk.
        on_plan : callable, optional
            Called with the summary of the plan before anything is written.
        progress : callable, optional
            Called with the bytes just written.

        Raises
        ------
        ModeError
            If the mode does not create a store, or links to HDF5 data are requested.
        OptionError, LayoutError
            If the requested layout is invalid, or (with ``strict``) a filter has no codec.
        MetadataError
            If the source cannot be read, or was changed meanwhile; nothing is written then.
        BrokenLinkError
            If a link leads to an object that is in no file; nothing is written then.
        """
        options = ExportOptions(
            **checked_write_args(write_args, consolidate_metadata=consolidate_metadata),
            clear_cache=clear_cache,
            cache_spec=cache_spec,
            queue=ZarrIODataChunkIteratorQueue(
                number_of_jobs, max_threads_per_process, multiprocessing_context, executor
            ),
            layout=LayoutOptions(
                codecs=codecs, chunks=chunks, shards=shards, strict=strict, verify=verify
            ),
            external_links=external_links,
            checksum=checksum,
            strict_json=strict_json,
            dandi=dandi,
            durable=durable,
            on_plan=on_plan,
            progress=progress,
        )
        check_exportable(self._session, src_io, options)
        if self.herd_path is not None:
            warn_ignored("herd_path", "an export writes no external resources")
        source = source_of_export(src_io, container, options, uri=self.source)
        write_tree(self._session, source, options)

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
            Options as for `write`.
        export_source : str, optional
            In an export, path or URL of the file from which the builder was read.
        """
        self._session.require_writable()
        options = WriteOptions(
            link_data=link_data,
            exhaust_dci=exhaust_dci,
            consolidate_metadata=consolidate_metadata,
            durable=durable,
        )
        write_tree(self._session, self._source_of(builder, export_source), options)

    def _source_of(self, builder: Builder, export_source: str | None) -> WriteSource:
        location = None if export_source is None else location_of_uri(export_source)
        return WriteSource(builder=builder, manager=self.manager, location=location)

    # -- write piece by piece --------------------------------------------------------------------

    def write_group(
        self,
        parent: zarr.Group | str,
        builder: GroupBuilder,
        link_data: bool = True,  # noqa: FBT001, FBT002 - as HDF5IO
        exhaust_dci: bool = True,  # noqa: FBT001, FBT002
        export_source: str | None = None,
    ) -> zarr.Group:
        """Write a group and its contents below a parent; the close commits it."""
        path = self._write_piece(parent, builder, link_data, exhaust_dci, export_source)
        return cast("zarr.Group", self._root_of(self._session.begin())[path])

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
            Options as for `write_builder`.
        force_data : array_like, optional
            Data to write instead of the builder's.

        Returns
        -------
        HDMFZarrArray or None
            The written array; None if a link was written.
        """
        if force_data is not None:
            builder = with_data(builder, force_data)
        path = self._write_piece(parent, builder, link_data, exhaust_dci, export_source)
        hierarchy = self._session.begin()
        return open_array(hierarchy, path) if path in hierarchy else None

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
        self._session.require_writable()
        write_attributes(self._session, node_path(obj), attributes, self.manager)

    def _write_piece(
        self,
        parent: zarr.Group | str,
        builder: Builder,
        link_data: bool,  # noqa: FBT001 - private
        exhaust_dci: bool,  # noqa: FBT001
        export_source: str | None,
    ) -> str:
        self._session.require_writable()
        options = WriteOptions(link_data=link_data, exhaust_dci=exhaust_dci)
        path = node_path(parent)
        write_piece(self._session, path, self._source_of(builder, export_source), options)
        return f"{path}/{builder.name}".strip("/")

    # -- written builders ------------------------------------------------------------------------

    def get_written(self, builder: Builder, check_on_disk: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Whether a builder was read from or written to the store by this IO.

        Parameters
        ----------
        builder : Builder
        check_on_disk : bool
            Check the metadata of the store, too.
        """
        written = self._session.is_written(builder)
        return written and (not check_on_disk or self.get_builder_exists_on_disk(builder))

    def get_builder_exists_on_disk(self, builder: Builder) -> bool:
        """Whether the store has an object at a builder's path."""
        hierarchy = self._session.hierarchy
        return hierarchy is not None and builder_path(builder) in hierarchy

    def get_builder_disk_path(self, builder: Builder, filepath: str | None = None) -> str:
        """Return the path of a builder's object in the store or another folder."""
        return os.path.join(self.source if filepath is None else filepath, builder_path(builder))

    # -- read ------------------------------------------------------------------------------------

    def read(self) -> Container:
        """Read the root's container.

        Raises
        ------
        ModeError
            If the mode creates a store.
        NoDataError
            If the store contains no HDMF data.
        """
        self._builder_to_read()
        self._session.require_data()
        container = container_read_before(self._session, self.read_builder())
        if container is None:
            with self._session.constructed.remembering(self.read_builder().source):
                container = super().read()
            if not self._session.is_for_reading:
                self._session.rows.guard_read(container)
        return cast("Container", container)

    def _builder_to_read(self) -> GroupBuilder:
        self._session.require_readable()
        return self.read_builder()

    def read_builder(self) -> GroupBuilder:
        """Return the builder of the root; each call returns the same one."""
        return self.references.reader(self).read()

    def get_builder(self, zarr_obj: zarr.Group | zarr.Array[Any]) -> BaseBuilder:
        """Return the builder that was read for a group or array.

        Raises
        ------
        BrokenLinkError
            If none was read.
        """
        self.read_builder()
        return self.references.builder_at(node_path(zarr_obj))

    def get_container(self, zarr_obj: zarr.Group | zarr.Array[Any]) -> AbstractContainer:
        """Return the container of a group or array."""
        container = self.references.container_of(self.get_builder(zarr_obj))
        return cast("AbstractContainer", container)

    def resolve_ref(self, zarr_ref: Mapping[str, Any] | str) -> tuple[str, Any]:
        """Return the name of a reference's target and the target, an array or group.

        Parameters
        ----------
        zarr_ref : mapping or str
            Mapping with ``source`` and ``path``, for example a `ZarrReference`, or a path in this
            store.

        Raises
        ------
        BrokenLinkError
            If there is no such object.
        """
        self._session.require_open()
        reference = reference_of(zarr_ref, self.source)
        self.read_builder()
        name, hierarchy, path = self.references.resolve(reference)
        if hierarchy.node_type(path) == "array":
            return name, open_array(hierarchy, path)
        root = self._root_of(hierarchy)
        return name, root[path] if path else root

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
            Namespaces to load; by default all, each in its latest version.
        io : ZarrIO, optional
            Open IO, instead of a path.
        file : zarr.Group, optional
            Open root group, instead of a path.
        storage_options : dict, optional
        driver, aws_region
            Options of `HDF5IO`; must be None.

        Returns
        -------
        dict
            Name of each loaded namespace -> the namespaces that it includes -> their types.
        """
        refuse_hdf5_options(driver=driver, aws_region=aws_region)
        hierarchy = nodes_with_namespaces(path, file, storage_options, io)
        return load_cached_namespaces(hierarchy, namespace_catalog, namespaces)

    def load_namespaces_io(
        self, namespace_catalog: NamespaceCatalog | TypeMap, namespaces: list[str] | None = None
    ) -> dict[str, Any]:
        """Load the namespaces that this file caches into a catalog, like `load_namespaces`."""
        self._session.require_open()
        hierarchy = self._session.hierarchy
        if hierarchy is None:
            return {}
        return load_cached_namespaces(hierarchy, namespace_catalog, namespaces)

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
        refuse_hdf5_options(driver=driver, aws_region=aws_region)
        return latest_versions(nodes_with_namespaces(path, file, storage_options))

    # -- helpers of clients ----------------------------------------------------------------------

    @staticmethod
    def can_read(
        path: str | os.PathLike[str] | Store, storage_options: dict[str, Any] | None = None
    ) -> bool:
        """Whether a path is a Zarr store with HDMF data; raises no error for anything else."""
        hierarchy = try_to_open(path, storage_options)
        return hierarchy is not None and has_data(hierarchy)

    @staticmethod
    def get_zarr_parent_path(zarr_object: zarr.Group | zarr.Array[Any]) -> str:
        """Return the path of the group that holds a group or array."""
        return parent_path(zarr_object)

    @staticmethod
    def generate_dataset_html(dataset: Any) -> str:
        """Return a table that describes a dataset, for notebooks."""
        return dataset_html(dataset)
