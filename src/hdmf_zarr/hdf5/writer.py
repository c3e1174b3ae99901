"""A tree of builders -> an HDF5 file, node by node.

Large arrays pass through a bounded buffer. Objects of other stores to which a builder links are copied, since
an HDF5 file cannot link to a Zarr store. A copy is written to the path that a `Placement` gives for it, or to
the path of the first link to it.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.build.builders import BaseBuilder
from hdmf.query import HDMFDataset

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs.hdf5.to_hdf5 import filters_of_codecs
from hdmf_zarr.convention.attributes import holds_no_unicode, is_variable
from hdmf_zarr.convention.records import is_compound, reference_leaves, with_references
from hdmf_zarr.convention.scales import is_scale_list
from hdmf_zarr.core.dtypes import (
    TEXT_KINDS,
    ElementType,
    declared_element_type,
    element_type_from_compound,
    enum_names_of,
    with_enum_names,
)
from hdmf_zarr.core.elements import TEXT_BYTES, plain_text
from hdmf_zarr.core.enumerations import kept_names
from hdmf_zarr.core.nesting import at_leaf, leaf_dtype, leaves_of, nested
from hdmf_zarr.core.progress import Progress
from hdmf_zarr.errors import BrokenLinkError, EncodingError, HDMFZarrError
from hdmf_zarr.hdf5.fill import creation_options
from hdmf_zarr.hdf5.scales import make_scale, stored_list
from hdmf_zarr.metadata.node import array_node

BUFFER_BYTES = 16 * 1024**2
"""Number of bytes of elements in memory at once."""

COMPRESSED_BYTES = 512 * 1024
"""Size above which arrays of numbers are chunked; below it, chunks cost more than they save."""

COMPRESSED: Mapping[str, Any] = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
"""Filters of large arrays of numbers whose codecs HDF5 lacks."""


MoveChunks = Callable[[HDMFZarrArray, h5py.Dataset, Progress], bool]

_TYPE_ATTRIBUTES = ("neurodata_type", "data_type")


class Placement(Protocol):
    """Paths at which linked objects of other stores are written."""

    def path_inside(self, target: BaseBuilder) -> str | None:
        """Return the path of a builder in the file, without slashes at its ends; None if it has none."""

    def placed_in(self, path: str) -> Sequence[tuple[str, BaseBuilder]]:
        """Return the names and builders of other stores' objects that are written into a group."""


class HDF5TreeWriter:
    """Writes the builders that a `ZarrIO` has read into an empty HDF5 file.

    Parameters
    ----------
    file : h5py.File
    progress : callable
        Function that receives the number of bytes of elements just written.
    move_chunks : callable
        Function that copies an array's encoded chunks to a dataset; if it returns False, the writer
        writes the elements.
    placement : Placement, optional
        Paths of objects of other stores; by default the path of the first link.
    """

    def __init__(
        self,
        file: h5py.File,
        progress: Progress,
        move_chunks: MoveChunks | None = None,
        placement: Placement | None = None,
    ) -> None:
        self._file = file
        self._progress = progress
        self._move_chunks = move_chunks
        self._placement = placement
        self._paths: dict[int, str] = {}
        self._links: deque[tuple[str, LinkBuilder]] = deque()
        self._nodes: list[tuple[str, BaseBuilder]] = []

    def write(self, root: GroupBuilder) -> None:
        """Write a root and everything below it: first the nodes, then their elements and attributes.

        Raises
        ------
        BrokenLinkError
            If the target of a reference is not in the tree.
        EncodingError
            If HDF5 cannot hold a value.
        """
        self._place(root, "")
        while self._links:
            path, link = self._links.popleft()
            self._link(path, link)
        for path, builder in self._nodes:
            try:
                if isinstance(builder, DatasetBuilder):
                    self._fill(path, builder)
                self._set_attributes(path, builder)
            except (HDMFZarrError, TypeError, ValueError, OverflowError) as error:
                kind = type(error) if isinstance(error, HDMFZarrError) else EncodingError
                raise kind(f"{builder.source}:{path or '/'}: {error}") from error

    # -- nodes and links -------------------------------------------------------------------------

    def _place(self, builder: BaseBuilder, path: str) -> None:
        """Create a group with everything below it, or a dataset without its elements."""
        home = self._path_of(builder)
        if home not in (None, path):
            self._file[path] = h5py.SoftLink(home or "/")
            return
        self._paths[id(builder)] = path
        self._nodes.append((path, builder))
        if isinstance(builder, DatasetBuilder):
            _create_dataset(self._file, path, builder)
            return
        if path:
            self._file.create_group(path)
        placed = () if self._placement is None else self._placement.placed_in(path.strip("/"))
        for name, child in (*builder.groups.items(), *builder.datasets.items(), *placed):
            self._place(child, f"{path}/{plain_text(name)}")
        self._links += [(f"{path}/{plain_text(n)}", link) for n, link in builder.links.items()]

    def _link(self, path: str, link: LinkBuilder) -> None:
        self._place(link.builder, path)

    def _path_of(self, builder: BaseBuilder) -> str | None:
        """Return the path at which an object is or will be written; None if it has none yet."""
        if id(builder) in self._paths or self._placement is None:
            return self._paths.get(id(builder))
        path = self._placement.path_inside(builder)
        return f"/{path}" if path else path

    # -- elements --------------------------------------------------------------------------------

    def _fill(self, path: str, builder: DatasetBuilder) -> None:
        dataset = self._file[path]
        if not _is_array(builder.data):
            value = self._scalar(builder.data, dataset.dtype)
            if value is not None:
                dataset[()] = value
            return
        array = _stored_array(builder.data)
        move = self._move_chunks if builder.data is array else None
        if move is not None and move(array, dataset, self._progress):
            return
        for region in regions(
            array.shape, _write_unit(array), _itemsize(array.element_type), BUFFER_BYTES
        ):
            values = builder.data[region]
            dataset[region] = self._elements(values, array.element_type, dataset.dtype)
            self._progress(
                math.prod(part.stop - part.start for part in region) * _itemsize(array.element_type)
            )

    def _elements(
        self, values: Any, element: ElementType, dtype: np.dtype[Any]
    ) -> npt.NDArray[Any]:
        if element.kind == "reference":
            return self._reference_array(values)
        if element.kind != "compound":
            return np.asarray(values)
        records = np.empty(np.shape(values), dtype=dtype)
        for leaf, (_, field) in zip(leaves_of(dtype), element.flat.fields, strict=True):
            column = at_leaf(np.asarray(values), leaf)
            if field.kind == "reference":
                column = self._reference_array(column)
            elif field.kind in ("ascii", "isodatetime", "bytes"):
                column = _as_bytes(column)
            at_leaf(records, leaf)[...] = column
        return records

    def _reference_array(self, targets: Any) -> npt.NDArray[Any]:
        flat, shape = _flat(targets)
        references = np.empty(len(flat), dtype=h5py.ref_dtype)
        references[:] = [None if target is None else self._reference(target) for target in flat]
        return references.reshape(shape)

    def _reference(self, target: Any) -> h5py.Reference:
        builder = target.builder if isinstance(target, ReferenceBuilder) else target
        path = self._path_of(builder)
        if path is None:
            raise BrokenLinkError(
                f"a reference leads to {builder.source}:{builder.location}/{builder.name}, which "
                "is not part of the file that is written; an HDF5 file cannot refer to it"
            )
        return self._file[path or "/"].ref

    def _scalar(self, data: Any, dtype: np.dtype[Any]) -> Any:
        if isinstance(data, (BaseBuilder, ReferenceBuilder)):
            return self._reference(data)
        if isinstance(data, np.ndarray) and data.dtype.names is not None:
            record = np.empty((), dtype=dtype)
            for leaf in leaves_of(dtype):
                value = at_leaf(data, leaf)[()]
                at_leaf(record, leaf)[()] = self._field(value, leaf_dtype(dtype, leaf))
            return record
        return data

    def _field(self, value: Any, dtype: np.dtype[Any]) -> Any:
        if h5py.check_ref_dtype(dtype) is None:
            return value
        return self._reference_or_none(value)

    def _reference_or_none(self, value: Any) -> h5py.Reference | None:
        return (
            self._reference(value) if isinstance(value, (BaseBuilder, ReferenceBuilder)) else None
        )

    # -- attributes ------------------------------------------------------------------------------

    def _set_attributes(self, path: str, builder: BaseBuilder) -> None:
        node = self._file[path or "/"]
        made = make_scale(node, builder.attributes)
        names = kept_names(builder)
        for name, value in builder.attributes.items():
            if name in made:
                continue
            try:
                stored = self._attribute(name, value)
                node.attrs.create(name, stored, dtype=_dtype_of(value, stored, names.get(name)))
            except (TypeError, ValueError, OverflowError, OSError, RuntimeError) as error:
                if isinstance(error, HDMFZarrError):
                    raise
                raise EncodingError(
                    f"attribute {name!r} cannot be stored in HDF5: {error}"
                ) from error

    def _attribute(self, name: str, value: Any) -> Any:
        if is_scale_list(name, value, is_target=_is_builder):
            return stored_list(value, self._reference)
        if isinstance(value, (BaseBuilder, ReferenceBuilder)):
            return self._reference(value)
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], BaseBuilder):
            return self._reference_array(value)
        if is_compound(value) and reference_leaves(value.dtype):
            return with_references(value, self._reference_or_none, h5py.ref_dtype)
        if is_variable(value):
            return value  # h5py reads the type from the dtype's mark
        if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
            texts = np.empty(value.shape, dtype=h5py.string_dtype())
            texts.flat[:] = [_stored_text(text) for text in value.flat]
            return texts
        return _stored_text(value)


def regions(
    shape: tuple[int, ...], unit: tuple[int, ...], itemsize: int, buffer: int
) -> Iterator[tuple[slice, ...]]:
    """Yield regions of whole units that cover a shape, each of about ``buffer`` bytes at most.

    Examples
    --------
    >>> list(regions((5, 2), (2, 2), 1, buffer=8))
    [(slice(0, 4, None), slice(0, 2, None)), (slice(4, 5, None), slice(0, 2, None))]
    """
    steps = list(unit)
    for axis in range(len(shape) - 1, -1, -1):
        room = buffer // max(1, math.prod(steps) * itemsize)
        steps[axis] *= max(1, min(room, -(-max(1, shape[axis]) // steps[axis])))
    starts = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, size))
            for start, step, size in zip(corner, steps, shape, strict=True)
        )


def hdf5_dtype(element: ElementType) -> np.dtype[Any]:
    """Return h5py's dtype for an element type."""
    if element.shape:
        return np.dtype((hdf5_dtype(element.entry), element.shape))
    if element.kind == "compound":
        return np.dtype([(name, hdf5_dtype(field)) for name, field in element.fields])
    if element.kind == "reference":
        reference: np.dtype[Any] = h5py.ref_dtype
        return reference
    if element.numpy is not None:
        return element.numpy
    text: np.dtype[Any] = h5py.string_dtype("utf-8" if element.kind == "text" else "ascii")
    return text


def _create_dataset(file: h5py.File, path: str, builder: DatasetBuilder) -> None:
    if not _is_array(builder.data):
        names = enum_names_of(getattr(builder.data, "dtype", None)) or enum_names_of(builder.dtype)
        dtype = with_enum_names(hdf5_dtype(_scalar_type(builder)), names)
        file.create_dataset(path, shape=(), dtype=dtype)
        return
    array = _stored_array(builder.data)
    dtype = with_enum_names(hdf5_dtype(array.element_type), array.enum_names)
    is_growable = any(name in builder.attributes for name in _TYPE_ATTRIBUTES)
    options = _layout(array, dtype, is_growable=is_growable)
    file.create_dataset(path, shape=array.shape, dtype=dtype, **options)


def _layout(array: HDMFZarrArray, dtype: np.dtype[Any], *, is_growable: bool) -> dict[str, Any]:
    """Return the source's chunks, and filters if HDF5 has them; columns of tables can grow, as in HDF5IO."""
    is_large = array.element_type.numpy is not None and array.nbytes > COMPRESSED_BYTES
    options = {**creation_options(array.fill_settings, dtype), **_fill_value(array)}
    own = _filters(array)
    filters: Mapping[str, Any] = own if own is not None else COMPRESSED if is_large else {}
    if not is_growable and not is_large and not filters:
        return options
    options |= {
        "chunks": tuple(
            max(1, min(chunk, size)) for chunk, size in zip(array.chunks, array.shape, strict=True)
        ),
        **filters,
    }
    if is_growable:
        options["maxshape"] = (None, *array.shape[1:])
    return options


def _filters(array: HDMFZarrArray) -> dict[str, Any] | None:
    """Return the filters of an array; None if HDF5 has no equivalent filters of its own."""
    document = array.hierarchy.documents[array.node_path]
    node = array_node(document)
    if node.is_native or not array.size or not array.shape:
        return None
    codecs = node.chunk_codecs
    numbers = array.element_type.numpy
    return filters_of_codecs(codecs, None if numbers is None else numbers.itemsize)


def _fill_value(array: HDMFZarrArray) -> dict[str, Any]:
    """Return the option for the fill value; empty for a zero that was not given."""
    fill, element = array.fill_value, array.element_type
    is_given = array.fill_settings.get("value") == "given"
    if fill is None or element.kind in ("reference", "bytes"):
        return {}
    if element.kind in TEXT_KINDS:
        return {"fillvalue": _stored_text(fill)} if fill or is_given else {}
    if element.holds_variable:
        return {}
    value = np.asarray(fill)
    if element.is_nested:
        value = nested(value, element.memory_dtype)
    value = value.astype(with_enum_names(hdf5_dtype(element), array.enum_names))
    return {"fillvalue": value[()]} if is_given or any(value.tobytes()) else {}


def _is_array(data: Any) -> bool:
    return isinstance(data, (HDMFZarrArray, HDMFDataset))


def _stored_array(data: Any) -> HDMFZarrArray:
    array: HDMFZarrArray = data.dataset if isinstance(data, HDMFDataset) else data
    return array


def _write_unit(array: HDMFZarrArray) -> tuple[int, ...]:
    """Return the shape that the source decodes at once, or the chunk if that exceeds the buffer."""
    unit = array.shards if array.shards is not None else array.chunks
    is_small = math.prod(unit) * _itemsize(array.element_type) <= BUFFER_BYTES
    return tuple(unit) if is_small else tuple(array.chunks)


def _itemsize(element: ElementType) -> int:
    if element.kind == "compound":
        return sum(math.prod(field.shape) * _itemsize(field) for _, field in element.fields)
    return TEXT_BYTES if element.numpy is None else max(1, element.numpy.itemsize)


def _scalar_type(builder: DatasetBuilder) -> ElementType:
    if isinstance(builder.dtype, list):
        return element_type_from_compound(builder.dtype, builder.data.dtype)
    element = declared_element_type(builder.dtype)
    if element is None:
        raise EncodingError(f"{builder.source}: scalar {builder.name!r} has no dtype")
    return element


def _dtype_of(value: Any, stored: Any, names: Mapping[str, int] | None) -> np.dtype[Any] | None:
    """Return the dtype of an attribute if h5py would choose another one, else None."""
    if is_compound(stored):
        own: np.dtype[Any] = stored.dtype
        return own
    if isinstance(stored, np.integer):
        return with_enum_names(stored.dtype, names)
    # h5py would store bytes as text of another type.
    is_text = isinstance(stored, bytes) and isinstance(value, str)
    return h5py.string_dtype() if is_text else None


def _is_builder(value: Any) -> bool:
    return isinstance(value, BaseBuilder)


def _as_bytes(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    encoded = np.empty(column.shape, dtype=object)
    for position, entry in np.ndenumerate(column):
        encoded[position] = entry.encode("utf-8") if isinstance(entry, str) else entry
    return encoded


def _stored_text(text: Any) -> Any:
    """Return text in the form that h5py accepts, with the original bytes if these are not UTF-8."""
    is_other = isinstance(text, str) and holds_no_unicode(text)
    return text.encode("utf-8", "surrogateescape") if is_other else text


def _flat(targets: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Return nested lists of builders as a flat list and a shape; numpy would treat builders as mappings."""
    if isinstance(targets, np.ndarray):
        return list(targets.ravel()), targets.shape
    shape = [len(targets)]
    while targets and isinstance(targets[0], list):
        shape.append(len(targets[0]))
        targets = [entry for row in targets for entry in row]
    return list(targets), tuple(shape)
