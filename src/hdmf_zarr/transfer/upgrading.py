"""Zarr format 2 -> 3: chunks of numbers and text stay, metadata are written again.

For an array of numbers, only the metadata document differs between the formats. Data with another
encoding in format 3 (references, compounds that contain them, bytes, specifications) are written
again. In an upgrade in place they are written next to the old chunks, and the old and the new
metadata exist side by side until the new root document is written, which is the commit.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray, array_of_node
from hdmf_zarr.chunks.missing import (
    count_chunks,
    count_keys,
    stored_chunks,
    with_count,
)
from hdmf_zarr.codecs.registry import OBJECT_CODECS
from hdmf_zarr.convention import JSON, SELF, ArrayHeader, Link, Reference, convention_for_format
from hdmf_zarr.convention.attributes import decode_attribute
from hdmf_zarr.convention.records import COMPOUND
from hdmf_zarr.convention.scales import is_scale_list, with_targets
from hdmf_zarr.convention.unified import (
    ATTRIBUTE_TYPES,
    SPECIFICATION_GROUP,
    SPECIFICATION_LOCATION,
)
from hdmf_zarr.core.dtypes import BYTES_TYPE, ElementType
from hdmf_zarr.core.elements import bytes_where_not_text
from hdmf_zarr.core.progress import Progress
from hdmf_zarr.core.system import collection_paused
from hdmf_zarr.core.threads import bounded_map
from hdmf_zarr.errors import (
    ChunkError,
    HDMFZarrError,
    MetadataError,
    OptionError,
    StoreExistsError,
    StoreNotFoundError,
)
from hdmf_zarr.hdf5 import empty_attribute
from hdmf_zarr.hierarchy.commit import stored_together
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.hierarchy.new_store import NewStore, check_replaceable, store_exists
from hdmf_zarr.metadata.documents import group_document, public_document
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.metadata.node import (
    array_node,
    why_unreadable,
    with_attributes,
    with_dimension_names,
    with_shape,
    with_stored_chunk,
)
from hdmf_zarr.read.specifications import read_specifications
from hdmf_zarr.stores.bytestore import ByteStore, LocalByteStore, open_bytestore
from hdmf_zarr.stores.contained import most_bytes_of
from hdmf_zarr.stores.identity import refuse_overlap
from hdmf_zarr.stores.keys import (
    DOCUMENT,
    NODE_DOCUMENTS,
    ZMETADATA,
)
from hdmf_zarr.stores.location import Location, locate, options_of_each, relative_source
from hdmf_zarr.transactions.lock import WriterLock
from hdmf_zarr.transfer.files import ChunkMover, Way
from hdmf_zarr.write.chunks.sources import ArraySource, MemorySource, ZarrSource, widths_of
from hdmf_zarr.write.execute import Execution
from hdmf_zarr.write.planning.attributes import refuse_like_reference
from hdmf_zarr.write.planning.element_storage import Format3Storage
from hdmf_zarr.write.planning.fill_values import fill_value_for
from hdmf_zarr.write.planning.layout import LayoutRequest, decide_layout
from hdmf_zarr.write.planning.plan import ArrayPlan
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue
from hdmf_zarr.write.specifications import write_specifications

FILTER_WITHOUT_CODEC = "a filter without a codec of Zarr format 3"
"""Reason for which an array of numbers is decoded and written again."""

_NEW_CHUNK = re.compile(r"c(\.\d+)*")
"""Name of a chunk of format 3; those of format 2 begin with a digit."""

REMOVING_THREADS = 4
"""Threads that delete files: on a disk mounted with ``discard``, four take half the time of one."""


@dataclass(kw_only=True)
class Upgraded:
    """The result of an upgrade.

    Attributes
    ----------
    uri : str
        Absolute path or URL of the store of format 3.
    n_kept : int
        Number of arrays whose chunks were kept unchanged.
    n_bytes_kept : int
        Bytes of these chunks.
    rewritten : dict of str to str
        Path of each array that was written again -> reason.
    """

    uri: str
    n_kept: int = 0
    n_bytes_kept: int = 0
    rewritten: dict[str, str] = field(default_factory=dict)


def upgrade(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str] | None = None,
    *,
    way: Way = "copy",
    overwrite: bool = False,
    storage_options: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Upgraded:
    """Convert a store of Zarr format 2 to format 3, without decoding the chunks of numbers.

    Parameters
    ----------
    source : str or Path
        Store of format 2; a folder or a URL.
    destination : str or Path, optional
        Path of the store of format 3; None upgrades the folder in place.
    way : {"copy", "link"}
        How chunks are moved to ``destination``: as copies (clones if the file system can), or as
        hard links: then both stores share their files, and neither may be written to.
    overwrite : bool
        Replace an existing store at ``destination``.
    storage_options : dict, optional
        Options for fsspec, for each of the paths that is a URL.
    progress : callable, optional
        Called with the bytes of chunks just moved.

    Raises
    ------
    StoreNotFoundError, StoreExistsError
    OptionError
        If the source already has format 3, or the options contradict each other.
    MetadataError
        If an array cannot be read, or another writer changes the source meanwhile; the upgrade then
        leaves the source unchanged.
    """
    paths = (source,) if destination is None else (source, destination)
    of_source, *of_destination = options_of_each(paths, storage_options)
    location = locate(source, of_source)
    if location.is_local and not store_exists(location):
        raise StoreNotFoundError(f"{location.uri} does not exist; check the path")
    if destination is None:
        return _upgrade_in_place(location)
    hierarchy = Hierarchy.load(open_bytestore(location, read_only=True), consolidated=False)
    _refuse_format3(hierarchy)
    hierarchy.check_untouched()
    hierarchy.refuse_lost_documents()
    target = locate(destination, *of_destination)
    refuse_overlap(location, target, advice="leave DST out to upgrade it in place")
    if store_exists(target) and not overwrite:
        raise StoreExistsError(f"{target.uri} exists; it is replaced only with overwrite=True")
    check_replaceable(target, force=overwrite)
    if way == "link" and not (location.is_local and target.is_local):
        raise OptionError("hard links need a source and a destination on this machine")
    new_store, mover = NewStore(target, is_forced=overwrite), ChunkMover(way)
    try:
        upgrader = _Upgrader(hierarchy, new_store.hierarchy, target, mover, progress)
        with stored_together(new_store.hierarchy), _read_untouched(hierarchy):
            upgrader.run()
        new_store.commit(consolidate=True)
    except BaseException:
        mover.stop()
        new_store.abandon()
        raise
    return upgrader.report


@contextmanager
def _read_untouched(hierarchy: Hierarchy) -> Iterator[None]:
    """Raise if the store was changed meanwhile, also instead of errors caused by that."""
    try:
        yield
    except (HDMFZarrError, OSError):
        hierarchy.check_untouched()
        raise
    hierarchy.check_untouched()


def _refuse_format3(hierarchy: Hierarchy) -> None:
    if hierarchy.zarr_format != 2:
        raise OptionError(f"{hierarchy.uri} is of Zarr format 3 already")


def _upgrade_in_place(location: Location) -> Upgraded:
    """Write the new metadata next to the old; the new root document is the commit."""
    bytestore = open_bytestore(location, read_only=False)
    if not isinstance(bytestore, LocalByteStore):
        raise OptionError(f"{location.uri} is not a folder of this machine; give a destination")
    with WriterLock.acquire(bytestore.root, takes_over=False) as lock:
        # This removes the leftovers of an earlier upgrade that was stopped.
        hierarchy = Hierarchy.load_for_writing(bytestore, lock)
        _refuse_format3(hierarchy)
        return _upgrade_locked(hierarchy)


def _upgrade_locked(hierarchy: Hierarchy) -> Upgraded:
    _remove_new(hierarchy)
    hierarchy.begin()  # writes a journal of this upgrade
    new = Hierarchy(hierarchy.bytestore, {"": group_document({})})
    upgrader = _Upgrader(hierarchy, new, hierarchy.location, None, None)
    try:
        upgrader.run()
        _check_kept(new, upgrader.report.rewritten)
        hierarchy.open_append.check_own(with_root=True)
        new.commit(consolidate=True)
    except BaseException:
        if not hierarchy.open_append.is_lost:
            _remove_new(hierarchy)
        hierarchy.end()
        raise
    hierarchy.settle()
    _remove_old(hierarchy, upgrader.report.rewritten)
    hierarchy.end()
    return upgrader.report


def _check_kept(new: Hierarchy, rewritten: Mapping[str, str]) -> None:
    """Raise `LostWriteError` unless all new objects are stored: the old are removed next."""
    new.check_kept(path for path in new.documents if path)
    for path in rewritten:
        if path in new.documents:
            new.check_chunks(path)


def _remove_new(hierarchy: Hierarchy) -> None:
    """Remove documents and chunks of format 3 in a store of format 2."""
    bytestore = hierarchy.bytestore
    for key in list(bytestore.list_prefix("")):
        name = key.rpartition("/")[2]
        if name == DOCUMENT or _NEW_CHUNK.fullmatch(name):
            bytestore.delete(key)


def _remove_old(hierarchy: Hierarchy, rewritten: Mapping[str, str]) -> None:
    """Remove the documents of format 2, and the old chunks of arrays that were written again."""
    bytestore = hierarchy.bytestore
    chunks = [
        key
        for path in rewritten
        for key in bytestore.list_prefix(path)
        if key.removeprefix(path + "/")[:1].isdigit()
    ]
    _delete(bytestore, chunks)
    bytestore.delete(ZMETADATA)
    _delete(bytestore, bytestore.metadata_keys(NODE_DOCUMENTS))


def _delete(bytestore: ByteStore, keys: Sequence[str]) -> None:
    def delete(part: Sequence[str]) -> None:
        for key in part:
            bytestore.delete(key)

    parts = [keys[first::REMOVING_THREADS] for first in range(REMOVING_THREADS)]
    for _ in bounded_map(
        delete,
        parts,
        n_threads=REMOVING_THREADS,
        most_waiting=REMOVING_THREADS + 1,
        name="hdmf-zarr-remove",
    ):
        pass


class _Upgrader:
    """Writes the nodes of a store of format 2 as nodes of format 3.

    Parameters
    ----------
    old, new : Hierarchy
    target : Location
        Final location of the new store; links to other stores are relative to it.
    mover : ChunkMover or None
        Mover of chunks; None if they are already in their place.
    progress : callable or None
    """

    def __init__(
        self,
        old: Hierarchy,
        new: Hierarchy,
        target: Location,
        mover: ChunkMover | None,
        progress: Progress | None,
    ) -> None:
        self.old = old
        self.new = new
        self.target = target
        self.mover = mover
        self.report = Upgraded(uri=target.uri)
        self._progress = progress
        self._storage = Format3Storage()
        self._convention = convention_for_format(3)
        self._execution = Execution(hierarchy=new, queue=ZarrIODataChunkIteratorQueue())

    def run(self) -> None:
        """Write every node except the root document, which is the commit."""
        self.old.find_specifications()
        self.old.find_every_specification()
        with self._collection_paused():
            to_rewrite = self._keep_nodes()
        for path, (array, reason) in to_rewrite.items():
            with self._told_where(path):
                self._rewrite(path, array)
            self.report.rewritten[path] = reason
        self.report.rewritten = dict(sorted(self.report.rewritten.items()))
        if specifications := read_specifications(self.old):
            write_specifications(self.new, specifications)
        self._finish_moving()

    def _collection_paused(self) -> AbstractContextManager[None]:
        """Pause garbage collection, except where an event loop moves chunks meanwhile."""
        stores = self.old.bytestore, self.new.bytestore
        is_local = all(isinstance(store, LocalByteStore) for store in stores)
        return collection_paused() if is_local else nullcontext()

    def _keep_nodes(self) -> dict[str, tuple[HDMFZarrArray, str]]:
        """Write nodes whose document alone changes; return the other arrays and the reasons."""
        to_rewrite = {}
        base = self.old.specification_path
        for path in sorted(self.old.documents):
            if base is not None and (path == base or path.startswith(base + "/")):
                self.report.rewritten |= {path: "a specification"} if self._is_array(path) else {}
            elif not self._is_array(path):
                self.new.set_document(path, group_document(self._attributes(path)))
            else:
                with self._told_where(path):
                    array, header = self._array(path)
                    reason = self._reason_to_rewrite(array, self.old.documents[path])
                    if reason is None:
                        self._keep(path, array, header)
                    else:
                        to_rewrite[path] = array, reason
        return to_rewrite

    def _finish_moving(self) -> None:
        if self.mover is None:
            return
        for count in self.mover.finish():
            self.report.n_bytes_kept += count
            if self._progress is not None:
                self._progress(count)

    def _is_array(self, path: str) -> bool:
        return self.old.node_type(path) == "array"

    # -- arrays ----------------------------------------------------------------------------------

    @contextmanager
    def _told_where(self, path: str) -> Iterator[None]:
        where = f"{self.old.uri}:/{path}"
        try:
            yield
        except HDMFZarrError as error:
            raise error if where in str(error) else type(error)(f"{where}: {error}") from error

    def _array(self, path: str) -> tuple[HDMFZarrArray, ArrayHeader]:
        document = self.old.documents[path]
        if (reason := why_unreadable(document)) is not None:
            raise MetadataError(f"{self.old.uri}:/{path}: {reason}")
        header = self.old.convention.decode_header(self.old.attributes(path))
        element = element_type_of_array(document, header)
        return array_of_node(self.old, path, header, element), header

    def _reason_to_rewrite(self, array: HDMFZarrArray, document: Mapping[str, Any]) -> str | None:
        if array.is_restored:
            return "an expanded compound"
        node = array_node(document)
        if node.is_native:
            return FILTER_WITHOUT_CODEC
        if any(codec["name"] in OBJECT_CODECS for codec in node.codecs):
            return "references or records stored as objects"
        if node.data_type == BYTES_TYPE:
            return "text stored as bytes"
        return None

    def _keep(self, path: str, array: HDMFZarrArray, header: ArrayHeader) -> None:
        document = self.old.documents[path]
        shape = () if header.scalar else array.shape
        node = array_node(document)
        attributes = self._attributes(path) | self._header(array.element_type, shape, header)
        new = with_attributes(with_shape(public_document(document), shape), attributes)
        new = with_stored_chunk(new, () if header.scalar else node.stored_chunk)
        if header.dimension_names and len(header.dimension_names) == len(shape):
            new = with_dimension_names(new, header.dimension_names)
        n_chunks = self._keep_chunks(path, document)
        if stored_chunks(document) is None and n_chunks < node.n_chunks:
            message = (
                f"{self.old.uri}:/{path} has {n_chunks} of {node.n_chunks} chunks; the others "
                "read as the fill value, since Zarr format 2 does not tell whether they were lost"
            )
            warnings.warn(message, UserWarning, stacklevel=2)
        self.report.n_kept += 1
        self.new.set_document(path, with_count(new, n_chunks))

    def _keep_chunks(self, path: str, document: Mapping[str, Any]) -> int:
        """Move the chunks of an array to their place, and return their number."""
        if self.mover is None:
            n_chunks = count_chunks(self.old.bytestore, path, document)
        else:
            keys = self.mover.start(
                self.old.bytestore,
                self.new.bytestore,
                path,
                lambda name: name[:1].isdigit(),
                most_bytes_of(zarr_view.async_array(self.old, path)),
            )
            n_chunks = count_keys(keys, path, document)
        stored = stored_chunks(document)
        if stored is not None and n_chunks < stored:
            raise ChunkError(
                f"{n_chunks} chunks are there of {stored} that were written; restore the others from a "
                "copy, or write the store again from its source"
            )
        return n_chunks

    def _rewrite(self, path: str, array: HDMFZarrArray) -> None:
        header = self.old.convention.decode_header(self.old.attributes(path))
        source: ArraySource = ZarrSource(array, self._retargeted)
        if header.scalar:
            source = self._scalar(source)
        element, shape = source.element, source.shape
        stored = self._storage.stored_type(element, widths_of(source))
        is_given = header.are_chunks_given and bool(shape)
        layout = decide_layout(
            LayoutRequest(chunks=tuple(array.chunks) if is_given else None),
            element=element,
            stored_dtype=stored.numpy,
            shape=shape,
            itemsize=stored.numpy.itemsize if stored.numpy is not None else 64,
            fill_value=fill_value_for(source, stored),
        )
        names = header.dimension_names
        self._execution.write_array(
            ArrayPlan(
                path=path,
                element=element,
                data_type=stored.data_type,
                shape=shape,
                layout=layout,
                attributes={**self._attributes(path), **self._header(element, shape, header)},
                dimension_names=names if names and len(names) == len(shape) else None,
                source=source,
            )
        )

    def _scalar(self, source: ArraySource) -> MemorySource:
        """Return the element of a scalar that format 2 stores with a dimension, as a source."""
        values = source.read((slice(None),) * len(source.shape)).reshape(())
        return MemorySource(values, bytes_where_not_text(source.element, values))

    def _header(
        self, element: ElementType, shape: tuple[int, ...], old: ArrayHeader
    ) -> dict[str, JSON]:
        header = self._storage.header(element, is_scalar=not shape, names=None)
        return self._convention.encode_header(
            replace(
                header,
                are_chunks_given=old.are_chunks_given,
                enum_names=old.enum_names,
                fill_settings=old.fill_settings,
            )
        )

    # -- attributes, links and references --------------------------------------------------------

    def _attributes(self, path: str) -> dict[str, JSON]:
        old = self.old.attributes(path)
        attributes = {}
        for name, value in self.old.convention.user_attributes(old).items():
            recorded = (old.get(ATTRIBUTE_TYPES) or {}).get(name, "")
            attributes[name] = self._attribute(name, value, recorded)
            if attributes[name] == value:  # not a reference
                self._check_attribute(path, name, value, old.get(ATTRIBUTE_TYPES) or {})
        links = [
            Link(name=link.name, source=self._source(link.source), path=link.path)
            for link in self.old.convention.decode_links(old)
        ]
        attributes.update(self._convention.encode_links(links))
        if old.get(ATTRIBUTE_TYPES):
            attributes[ATTRIBUTE_TYPES] = old[ATTRIBUTE_TYPES]
        if not path and self.old.specification_path is not None:
            attributes[SPECIFICATION_LOCATION] = SPECIFICATION_GROUP
        return attributes

    def _check_attribute(self, path: str, name: str, value: JSON, types: Mapping[str, str]) -> None:
        """Raise if an attribute would be unreadable in the new store, or read as a reference."""
        if type(value) in (str, int, float, bool) and name not in types:
            return
        try:
            refuse_like_reference(value, self._convention)
            decode_attribute(value, types.get(name), empty=empty_attribute)
        except HDMFZarrError as error:
            raise type(error)(f"{self.old.uri}:/{path}: attribute {name!r}: {error}") from error

    def _attribute(self, name: str, value: JSON, recorded: str) -> JSON:
        if recorded.startswith(COMPOUND) and isinstance(value, dict):
            return {leaf: self._reference(column) for leaf, column in value.items()}
        if is_scale_list(name, value, is_target=self._is_reference):
            return with_targets(value, self._reference)
        return self._reference(value)

    def _is_reference(self, value: JSON) -> bool:
        return self.old.convention.decode_reference(value) is not None

    def _reference(self, value: JSON) -> JSON:
        if isinstance(value, list):
            return [self._reference(entry) for entry in value]
        reference = self.old.convention.decode_reference(value)
        if reference is None:
            return value
        source = self._source(reference.source)
        return self._convention.encode_reference(Reference(source=source, path=reference.path))

    def _source(self, source: str) -> str:
        location = self.old.locate_source(source)
        return SELF if location == self.old.location else relative_source(location, self.target)

    def _retargeted(self, reference: Reference) -> str:
        source = self._source(reference.source)
        return self._convention.encode_element(Reference(source=source, path=reference.path))
