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
    warn_set_aside,
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

    # -- what it is ------------------------------------------------------------------------------

    @property
    def path(self) -> Any:
        """The path as text, or the store, that was given."""
        given = self._given_path
        return os.fspath(given) if isinstance(given, os.PathLike) else given

    @property
    def abspath(self) -> str:
        """Absolute path or URL of the store."""
        return self._session.uri

    @property
    def source(self) -> str:
        """Absolute path or URL of the store, as builders and containers have it."""
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
        """The root as zarr's group; None where nothing is open."""
        session = self._session
        if session.is_open and not session.is_for_reading:
            session.begin()
        return None if session.hierarchy is None else self._root_of(session.hierarchy)

    @property
    def _hierarchy(self) -> Hierarchy | None:
        """The nodes of the store; None where there is none yet."""
        return self._session.hierarchy

    def _root_of(self, hierarchy: Hierarchy) -> zarr.Group:
        """Return the root as zarr's group: where it can be written to, one that shows what was written."""
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
        """Open the store; a mode that creates one only checks that it may."""
        self._session.open()

    def is_open(self) -> bool:
        """Whether the store is open."""
        session: Session | None = getattr(self, "_session", None)
        return session is not None and session.is_open

    def close(self) -> None:
        """Close the store; what was appended to its arrays becomes part of its metadata."""
        if self.is_open():
            self._session.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store; a new one that an error has kept from being complete is removed."""
        if error is not None:
            self._session.discard_new_store()
        self.close()

    def __del__(self) -> None:
        # A store that is only read holds nothing that has to be released.
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
            warn_set_aside("herd_path", "an export writes no external resources")
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
            As for `write`.
        export_source : str, optional
            Path or URL of the file from which the builder was read, where it is exported.
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
        """Write a group and all that is in it below a parent; the close commits it."""
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
            As for `write_builder`.
        force_data : array_like, optional
            Written in place of the builder's data.

        Returns
        -------
        HDMFZarrArray or None
            None where a link was written.
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

    # -- what was written ------------------------------------------------------------------------

    def get_written(self, builder: Builder, check_on_disk: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Whether a builder was read from or written to the store by this IO.

        Parameters
        ----------
        builder : Builder
        check_on_disk : bool
            Ask the metadata of the store, too.
        """
        written = self._session.is_written(builder)
        return written and (not check_on_disk or self.get_builder_exists_on_disk(builder))

    def get_builder_exists_on_disk(self, builder: Builder) -> bool:
        """Whether the store has an object at a builder's path."""
        hierarchy = self._session.hierarchy
        return hierarchy is not None and builder_path(builder) in hierarchy

    def get_builder_disk_path(self, builder: Builder, filepath: str | None = None) -> str:
        """Path at which a builder's object is, or would be, in the store or in another folder."""
        return os.path.join(self.source if filepath is None else filepath, builder_path(builder))

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
        """Return the builder of the root; the same one each time."""
        return self.references.reader(self).read()

    def get_builder(self, zarr_obj: zarr.Group | zarr.Array[Any]) -> BaseBuilder:
        """Return the builder that was read for a group or array.

        Raises
        ------
        BrokenLinkError
            If there is none.
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
            ``{"source", "path"}``, such as a `ZarrReference`, or a path of this store.

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
        refuse_hdf5_options(driver=driver, aws_region=aws_region)
        hierarchy = nodes_with_namespaces(path, file, storage_options, io)
        return load_cached_namespaces(hierarchy, namespace_catalog, namespaces)

    def load_namespaces_io(
        self, namespace_catalog: NamespaceCatalog | TypeMap, namespaces: list[str] | None = None
    ) -> dict[str, Any]:
        """Load the namespaces that this file caches into a catalog, as `load_namespaces`."""
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
        """Whether HDMF data in Zarr are at a path; never raises for what is something else."""
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
