"""The layout of a dataset: requested, or kept from its source."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zarr
from hdmf.data_utils import AbstractDataChunkIterator

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs import CodecRequest, chain_from_codecs
from hdmf_zarr.codecs.hdf5.codecs import for_other_chunks
from hdmf_zarr.codecs.hdf5.filters import LOSSY_CODECS
from hdmf_zarr.codecs.translate import to_zarr_codec
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import is_number
from hdmf_zarr.core.elements import first_leaf, nested_shape
from hdmf_zarr.errors import LayoutError
from hdmf_zarr.hdf5 import is_h5py_dataset, stored_dataset
from hdmf_zarr.hdf5.raw import can_copy_raw, filter_chain
from hdmf_zarr.metadata.node import array_node
from hdmf_zarr.write.chunks.shards import inner_document
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.dataio import layout_of_array
from hdmf_zarr.write.planning.element_storage import storage_of_format
from hdmf_zarr.write.planning.export_options import DEFAULT, KEEP, DatasetOptions
from hdmf_zarr.write.planning.layout import LayoutRequest, has_checksum

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The layout that was chosen for a dataset.

    Attributes
    ----------
    request : LayoutRequest
    decoded : str or None
        Reason for decoding the chunks; None if they are copied unchanged.
    plugin : str or None
        Package that readers of the chunks need.
    """

    request: LayoutRequest
    decoded: str | None
    plugin: str | None = None


class LayoutChooser:
    """Chooses the layout of one dataset after the other.

    Parameters
    ----------
    context : PlanContext

    Attributes
    ----------
    laid_out : list of str
        Paths of the datasets to which layout options of an export apply.
    """

    def __init__(self, context: PlanContext) -> None:
        self.context = context
        self.storage = storage_of_format(context.convention.zarr_format)
        self.laid_out: list[str] = []

    def choose(self, data: Any, path: str, request: LayoutRequest) -> Choice:
        """Return the layout of a dataset, with a checksum for each chunk if one is requested.

        Parameters
        ----------
        data : array or sequence
            Data without a wrapper.
        path : str
            Path of the dataset in the destination.
        request : LayoutRequest
            Request of the wrapper.

        Raises
        ------
        LayoutError
            If codecs cannot be kept although ``strict`` requires it.
        """
        choice = self._choose_layout(data, path, request)
        return self._with_checksum(choice, data) if self.context.options.checksum else choice

    def _choose_layout(self, data: Any, path: str, request: LayoutRequest) -> Choice:
        """Choose the layout of a dataset, and the reason if its chunks are not copied unchanged."""
        zarr_format = self.context.convention.zarr_format
        of_users = isinstance(data, zarr.Array) and not isinstance(data, HDMFZarrArray)
        own = layout_of_array(data, zarr_format) if of_users else LayoutRequest()
        if not request.is_empty or self.context.export_source is None:
            request = own if request.is_empty else request
            return Choice(request=request, decoded="a layout was asked for")
        described = _described(data)
        if described.shape == ():
            return Choice(request=request, decoded="a scalar")
        self.laid_out.append(path)
        options = self.context.options.layout.of(path, described)
        if is_h5py_dataset(data):
            return self._choose_for_hdf5(stored_dataset(data), options)
        if isinstance(data, HDMFZarrArray):
            return self._choose_for_zarr(data, options)
        request = own
        if options != DatasetOptions():
            request = _request(options, own.chunks, own.codecs)
        return Choice(request=request, decoded="data that are in no file")

    def _with_checksum(self, choice: Choice, data: Any) -> Choice:
        """Add a checksum to each chunk: during the copy, or by encoding it again."""
        request = choice.request
        if not isinstance(data, HDMFZarrArray) or not request.is_empty:
            return replace(choice, request=replace(request, checksum=True))
        if has_own_checksum(data) and self.why_not_copied(data) is None:
            return choice
        if choice.decoded is not None:
            return replace(choice, request=replace(request, checksum=True))
        decoded = self._why_not_raw(data, "a checksum was asked for")
        if data.element_type.kind == "number" and not data.is_restored and _chunk_codecs(data):
            request = LayoutRequest(
                chunks=tuple(data.chunks),
                shards=data.shards,
                codecs=self._kept_codecs(data, decoded),
            )
        return replace(choice, request=replace(request, checksum=True), decoded=decoded)

    def _choose_for_hdf5(self, dataset: Any, options: DatasetOptions) -> Choice:
        chain = filter_chain(dataset)
        unlike = can_copy_raw(dataset)
        is_kept = options.codecs == KEEP
        reason = None if dataset.chunks is None else _asked_for(options, dataset.chunks)
        if is_kept and chain.is_lossy and unlike is None and reason is not None:
            unlike = f"{reason}, and its filter would lose precision once more"
        lost = chain.missing or (unlike if chain.is_lossy else None)
        if is_kept and lost is not None:
            self._give_up_codecs(f"{dataset.file.filename}:{dataset.name}", lost)
        if unlike is not None and (dataset.chunks is None or chain.missing or is_kept):
            request = _request(options, None, CodecRequest())
            return Choice(request=request, decoded=unlike, plugin=None)
        codecs = list(chain.codecs) if reason is None else for_other_chunks(chain.codecs)
        kept = CodecRequest(filters=codecs, compressors=False)
        request = _request(options, dataset.chunks, kept)
        return Choice(request=request, decoded=reason, plugin=chain.plugin if is_kept else None)

    def _give_up_codecs(self, where: str, reason: str) -> None:
        """Log that the filters of a dataset cannot be kept, or raise if they must be."""
        if self.context.options.layout.strict:
            raise LayoutError(
                f"{where}: {reason}; without strict=True it is decoded and encoded with the default codec"
            )
        logger.info("%s: %s: written with the default codec", where, reason)

    def _choose_for_zarr(self, array: HDMFZarrArray, options: DatasetOptions) -> Choice:
        chunks = tuple(array.chunks)
        reason = _asked_for(options, chunks)
        is_kept = options.shards in (None, array.shards)
        if options.shards == "auto":
            is_kept = array.shards is not None or math.prod(array.cdata_shape) <= 1
        if reason is None and is_kept:
            return self._copied_whole(array)
        decoded = reason or self._why_not_raw(array, "shards were asked for")
        request = _request(options, chunks, self._kept_codecs(array, decoded))
        return Choice(request=request, decoded=decoded)

    def _copied_whole(self, array: HDMFZarrArray) -> Choice:
        """Return the choice for an array that is kept unchanged, as far as the format allows."""
        decoded = self.why_not_copied(array)
        document = array.hierarchy.document_of(array.node_path)
        inner = inner_document(document) if array.shards is not None else None
        if decoded is None or inner is None or not self.storage.can_hold(inner, array.element_type):
            return Choice(request=_given_chunks(array, decoded), decoded=decoded)
        # A format without shards keeps the inner chunks.
        codecs = self._kept_codecs(array, decoded)
        chunks = tuple(array.chunks) if not codecs.is_empty else None
        return Choice(request=LayoutRequest(chunks=chunks, codecs=codecs), decoded=decoded)

    def why_not_copied(self, array: HDMFZarrArray) -> str | None:
        """Return None if an array can be copied with its files unchanged, else the reason."""
        element = array.element_type
        if array.is_restored:
            return "a compound that was stored expanded"
        if "reference" in element.kinds:
            return "references"
        document = array.hierarchy.document_of(array.node_path)
        if self.storage.can_hold(document, element):
            return None
        return f"what Zarr format {self.context.convention.zarr_format} stores otherwise"

    def _why_not_raw(self, array: HDMFZarrArray, reason: str) -> str | None:
        """Return None if chunks can be copied unchanged into another layout, else the reason."""
        document = array.hierarchy.document_of(array.node_path)
        is_plain = array.element_type.kind == "number" and not array.is_restored
        can_hold = bool(array_node(document).codecs) and array.shards is None
        if is_plain and can_hold and self.storage.can_hold(document, array.element_type):
            return None
        return reason

    def _kept_codecs(self, array: HDMFZarrArray, decoded: str | None) -> CodecRequest:
        """Return a request for the codecs of an array's chunks, also if they are in shards."""
        codecs = _chunk_codecs(array)
        if array.element_type.kind != "number" or array.is_restored or not codecs:
            return CodecRequest()  # its codecs have no equivalent in format 3
        if decoded is not None and not LOSSY_CODECS.isdisjoint(codec["name"] for codec in codecs):
            where = f"{array.hierarchy.uri}:/{array.node_path}"
            self._give_up_codecs(where, f"{decoded}, and its codec would lose precision once more")
            return CodecRequest()
        kept = [to_zarr_codec(codec, 1) for codec in codecs]
        chain = chain_from_codecs(kept if decoded is None else for_other_chunks(kept))
        return CodecRequest(
            filters=list(chain.filters),
            serializer=chain.serializer,
            compressors=list(chain.compressors) or False,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _NewData:
    """Shape and dtype of data that are no array: an iterator, or nested sequences."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


def _described(data: Any) -> Any:
    """Return data in the form for the user's functions, with a shape and a dtype."""
    if isinstance(data, AbstractDataChunkIterator):
        return _NewData(shape=tuple(data.maxshape), dtype=np.dtype(data.dtype or object))
    if isinstance(data, (list, tuple)):
        leaf = np.asarray(first_leaf(data))
        dtype = leaf.dtype if is_number(leaf.dtype) else np.dtype(object)
        return _NewData(shape=nested_shape(data), dtype=dtype)
    return data if hasattr(data, "shape") else _NewData(shape=(), dtype=np.dtype(object))


def _asked_for(options: DatasetOptions, chunks: tuple[int, ...]) -> str | None:
    """Return which of the options changes the chunks of a dataset, or None."""
    if options.codecs != KEEP:
        return "other codecs were asked for"
    if options.chunks is not None and tuple(options.chunks) != tuple(chunks):
        return "other chunks were asked for"
    return None


def _request(
    options: DatasetOptions, chunks: tuple[int, ...] | None, kept: CodecRequest
) -> LayoutRequest:
    """Return the request for a dataset with chunks and codecs, changed by the options."""
    if options.codecs == KEEP:
        codecs = kept
    elif options.codecs == DEFAULT:
        codecs = CodecRequest()
    else:
        codecs = CodecRequest(compressors=options.codecs)
    return LayoutRequest(
        chunks=tuple(options.chunks) if options.chunks is not None else chunks,
        are_chunks_given=options.chunks is not None,
        shards=options.shards,
        codecs=codecs,
    )


def _given_chunks(array: HDMFZarrArray, decoded: str | None) -> LayoutRequest:
    """Return a request for the chunks of a decoded array, if a user has chosen them."""
    if decoded is None or not array.are_chunks_given:
        return LayoutRequest()
    return LayoutRequest(chunks=tuple(array.chunks), are_chunks_given=True)


def _chunk_codecs(array: HDMFZarrArray) -> list[JSON]:
    """Return the codecs of the chunks, or of the inner chunks of shards."""
    return list(array_node(array.hierarchy.documents[array.node_path]).chunk_codecs)


def has_own_checksum(array: HDMFZarrArray) -> bool:
    """Whether the chunks of an array end with their CRC-32C."""
    return has_checksum([to_zarr_codec(codec, 1) for codec in _chunk_codecs(array)[-1:]])
