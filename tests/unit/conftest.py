"""Stores in memory, and lazy arrays in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs import CodecRequest
from hdmf_zarr.convention import ArrayHeader
from hdmf_zarr.convention.unified import UnifiedConvention
from hdmf_zarr.core.dtypes import ElementType, header_name, stored_dtype, stored_numpy_dtype
from hdmf_zarr.core.elements import encode_elements, field_widths, to_memory
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.array_document import array_document
from hdmf_zarr.metadata.documents import group_document
from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.location import locate
from hdmf_zarr.write.planning.layout import LayoutRequest, decide_layout

KEYS = {"name": "default", "configuration": {"separator": "."}}

MakeArray = Callable[..., HDMFZarrArray]


@pytest.fixture
def bytestore() -> ByteStore:
    return open_bytestore(locate(MemoryStore()), read_only=False)


@pytest.fixture
def hierarchy(bytestore: ByteStore) -> Hierarchy:
    return Hierarchy(bytestore, {"": group_document({})})


@pytest.fixture
def make_array(hierarchy: Hierarchy) -> MakeArray:
    """Returns a lazy array at ``group/data`` of the store, with the given data in it."""

    def make(
        data: Any, element: ElementType, *, path: str = "group/data", **request: Any
    ) -> HDMFZarrArray:
        codecs = CodecRequest(compressors=request.pop("compressors", None))
        values = to_memory(data, element, str)
        is_compound = element.kind == "compound"
        widths = field_widths(values, element) if is_compound else {}
        dtype = (
            stored_numpy_dtype(element, widths)
            if element.numpy is not None or is_compound
            else None
        )
        data_type = stored_dtype(element, widths)
        layout = decide_layout(
            LayoutRequest(codecs=codecs, **request),
            element=element,
            stored_dtype=dtype,
            shape=values.shape,
            itemsize=dtype.itemsize if dtype is not None else 16,
            fill_value=data_type.default_scalar(),
        )
        document = array_document(
            shape=values.shape,
            data_type=data_type,
            chunk_grid_shape=layout.write_unit,
            fill_value=layout.fill_value,
            codecs=layout.codecs,
            dimension_names=None,
            chunk_key_encoding=KEYS,
        )
        references = tuple(name for name, field in element.fields if field.kind == "reference")
        header = ArrayHeader(
            element_type=header_name(element),
            reference_fields=references,
            field_types={
                name: field.kind
                for name, field in element.fields
                if field.kind in ("ascii", "bytes")
            },
        )
        document["attributes"] = UnifiedConvention().encode_header(header)
        hierarchy.set_document("group", group_document({}))
        hierarchy.set_document(path, document)
        array = zarr_view.async_array(hierarchy, path)
        encoded = encode_elements(values, element, dtype)
        if encoded.size:
            event_loop.run(array.setitem(..., encoded))
        hierarchy.commit(consolidate=True)
        return HDMFZarrArray.of_node(hierarchy, path, element)

    return make


def reopened(array: HDMFZarrArray) -> HDMFZarrArray:
    """The array as another reader of the store finds it, after a commit."""
    from hdmf_zarr.metadata.element_types import element_type_of_array

    array.hierarchy.commit(consolidate=True)
    fresh = Hierarchy.load(array.hierarchy.bytestore, consolidated=True)
    header = fresh.convention.decode_header(fresh.attributes(array.node_path))
    element = element_type_of_array(fresh.documents[array.node_path], header)
    return HDMFZarrArray.of_node(fresh, array.node_path, element)


def rows(array: Any) -> Any:
    return np.asarray(array[...]).tolist()
