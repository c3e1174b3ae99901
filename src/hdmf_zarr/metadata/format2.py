"""Documents of Zarr format 2 <-> those of format 3, by which this package knows all nodes.

Every node has a document of format 3 in memory, whichever format its store has: an array of format 2 is
an array of format 3 with other chunk keys (``v2``) and equivalent codecs. Only this module reads and writes
the contents of ``.zgroup``, ``.zarray``, ``.zattrs`` and ``.zmetadata``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

import numpy as np
import zarr.dtype
from zarr.abc.codec import ArrayArrayCodec, BytesBytesCodec

from hdmf_zarr.codecs.chain import misfit
from hdmf_zarr.codecs.objects.pickles import read_pickled_scalar
from hdmf_zarr.codecs.registered import is_registered
from hdmf_zarr.codecs.translate import makes_bytes, numcodecs_configuration, to_zarr_codec
from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.legacy import ELEMENT_TYPE
from hdmf_zarr.core.dtypes import is_number
from hdmf_zarr.errors import HDMFZarrError, LayoutError, MetadataError
from hdmf_zarr.metadata.array_document import (
    empty_scalar,
    readable_document,
    without_specification_warnings,
)
from hdmf_zarr.metadata.chunk_keys import is_staged
from hdmf_zarr.stores.keys import NODE_DOCUMENTS, ZARRAY, ZATTRS, ZGROUP

BROKEN = "_broken"
"""Key of the reason why an array's metadata are invalid; the error is raised when the array is used."""

ORIGINAL = "_format2"
"""Key of the unchanged ``.zarray`` of an array that was read."""

NATIVE = "_native"
"""Key of a flag: format 3 has no codec for a filter of the array, so zarr reads it as format 2."""

NOTES = frozenset({BROKEN, ORIGINAL, NATIVE})
"""Keys that this package adds to documents in memory, and never writes."""

OBJECT_CODECS: dict[str, tuple[str, ...]] = {
    "vlen-utf8": ("string", "vlen-utf8"),
    "vlen-bytes": ("variable_length_bytes", "vlen-bytes"),
    "json2": ("string", "vlen-utf8", "hdmf_zarr.json2"),
    "pickle": ("string", "vlen-utf8", "hdmf_zarr.pickle"),
}
"""Filter that encodes objects -> data type and codecs of format 3 that decode its chunks."""


BEING_REPLACED = "hdmf_zarr.being_replaced"
"""Filter that no reader has, for an array whose new chunks are being renamed to the old names."""


def node_documents(entries: Mapping[str, JSON]) -> dict[str, dict[str, JSON]]:
    """Return the documents of all nodes from the documents of format 2, by path.

    With invalid metadata only that node becomes unreadable: its document has the reason, see `BROKEN`.
    """
    nodes: dict[str, dict[str, JSON]] = {}
    for key, document in entries.items():
        path, _, name = key.rpartition("/")
        if name in NODE_DOCUMENTS:
            nodes.setdefault(path, {})[name] = document
    return {
        path: _node_document(found)
        for path, found in nodes.items()
        if ZGROUP in found or ZARRAY in found
    }


def _node_document(found: Mapping[str, JSON]) -> dict[str, JSON]:
    attributes = found.get(ZATTRS)
    attributes = attributes if isinstance(attributes, dict) else {}
    if ZARRAY not in found:
        return {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    try:
        document = array_document(found[ZARRAY], is_scalar=attributes.get(ELEMENT_TYPE) == "scalar")
    except (
        HDMFZarrError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ArithmeticError,
    ) as error:
        shape = found[ZARRAY].get("shape") if isinstance(found[ZARRAY], dict) else None
        is_shape = isinstance(shape, list) and all(map(_is_size, shape))
        document = broken_document(shape if is_shape else [0], str(error))
    return {**document, ORIGINAL: found[ZARRAY], "attributes": attributes}


def broken_document(shape: Any, reason: str) -> dict[str, JSON]:
    """Return the document of an array that cannot be read."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "string",
        BROKEN: reason,
    }


def array_document(metadata: Mapping[str, JSON], *, is_scalar: bool = False) -> dict[str, JSON]:
    """Return the document of format 3 for a ``.zarray``, without attributes.

    Parameters
    ----------
    metadata : mapping
        The ``.zarray``, parsed.
    is_scalar : bool
        Whether the array holds a scalar: a pickle in it is a pickle of text.

    Raises
    ------
    MetadataError, LayoutError
        If it is invalid, or format 3 has no codec for one of its filters.
    """
    shape, chunks = _sizes(metadata, "shape"), _sizes(metadata, "chunks")
    if len(shape) != len(chunks):
        raise MetadataError(f"the chunks {chunks} do not have the rank of the shape {shape}")
    said = json.dumps({**{name: metadata.get(name) for name in _ENCODING}, _IS_SCALAR: is_scalar})
    encoding_of = _kept_encoding if len(said) <= MOST_KEPT_CHARACTERS else _encoding
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {
            "name": "v2",
            "configuration": {"separator": metadata.get("dimension_separator") or "."},
        },
        "storage_transformers": [],
        **json.loads(encoding_of(said, len(shape))),
    }


_ENCODING = ("dtype", "filters", "compressor", "fill_value", "order")
"""Keys of a ``.zarray`` that describe how a chunk is encoded."""

_IS_SCALAR = "is_scalar"


MOST_KEPT_CHARACTERS = 4096


def _encoding(said: str, n_dimensions: int) -> str:
    """Return the encoding for the document of format 3; both encodings are JSON text."""
    metadata: dict[str, JSON] = json.loads(said)
    filters = list(metadata.get("filters") or [])
    if any(f.get("id") == BEING_REPLACED for f in filters):
        raise MetadataError(
            "it is being written anew, or was when an append was stopped; try again when nobody writes to "
            "the store, or open it with mode 'r+', which goes back to what was there"
        )
    object_filter = next((f for f in filters if f.get("id") in OBJECT_CODECS), None)
    if object_filter is not None:
        filters.remove(object_filter)
    _refuse_pickles([*filters, metadata.get("compressor")])
    dtype = _numpy_dtype(metadata["dtype"])
    if dtype.hasobject != (object_filter is not None):
        raise MetadataError(
            f"the dtype {metadata['dtype']!r:.200} and the filters {metadata.get('filters')!r:.200} "
            "do not fit each other"
        )
    if object_filter is not None:
        data_type, *names = OBJECT_CODECS[object_filter["id"]]
        codecs: list[Any] = [{"name": name, "configuration": {}} for name in names]
        if object_filter["id"] == "pickle" and metadata[_IS_SCALAR]:
            codecs[-1]["configuration"] = {"is_text": True}
        fill_value: JSON = _object_fill_value(metadata.get("fill_value"), object_filter["id"])
        itemsize = 1
    else:
        with without_specification_warnings():
            zarr_dtype = zarr.dtype.parse_dtype(dtype, zarr_format=3)
            data_type = cast("Any", zarr_dtype.to_json(zarr_format=3))
            scalar = _fill_scalar(zarr_dtype, metadata.get("fill_value"))
            fill_value = zarr_dtype.to_json_scalar(scalar, zarr_format=3)
        codecs = [_bytes_codec(dtype)]
        itemsize = dtype.itemsize
    try:
        before, after = _translated(filters, metadata.get("compressor"), itemsize)
        is_native = False
    except LayoutError:
        if object_filter is not None:
            raise
        before, after, codecs, is_native = [], [], [], True
    if _has_big_endian_field(dtype) or (before and misfit(dtype, filters)):
        # Format 3 has one byte order for all fields, which zarr-python loses.
        before, after, codecs, is_native = [], [], [], True
    if metadata.get("order") == "F" and n_dimensions > 1 and not is_native:
        order = list(range(n_dimensions))[::-1]
        # The filters receive the elements in the order in which they are in memory.
        before.insert(0, {"name": "transpose", "configuration": {"order": order}})
    encoding = {
        "data_type": data_type,
        "fill_value": fill_value,
        "codecs": [*before, *codecs, *after],
        **({NATIVE: True} if is_native else {}),
    }
    return json.dumps(encoding)


def _refuse_pickles(others: Iterable[JSON]) -> None:
    """Raise for a pickle that is not the filter of objects: zarr would read the array and execute it."""
    if any(isinstance(codec, dict) and codec.get("id") == "pickle" for codec in others):
        raise MetadataError(
            "its chunks are pickles where there are no references; unpickling them could run code from the "
            "file, so that they are not read"
        )


_kept_encoding = lru_cache(maxsize=1000)(_encoding)
"""Cached, since a file has few kinds of chunks, and zarr-python takes a millisecond for each."""


def _sizes(metadata: Mapping[str, JSON], name: str) -> list[int]:
    sizes: Any = metadata.get(name)
    if not isinstance(sizes, list) or not all(map(_is_size, sizes)):
        raise MetadataError(f"{name!r} must be a list of sizes, found {sizes!r:.200}")
    # A dimension without elements may have chunks of size 0, which format 3 does not allow.
    return [max(1, size) if name == "chunks" else size for size in sizes]


def _is_size(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _numpy_dtype(spelled: JSON) -> np.dtype[Any]:
    if not isinstance(spelled, (str, list)):
        raise MetadataError(f"'dtype' must be a name or a list of fields, found {spelled!r:.200}")
    if isinstance(spelled, list):
        return np.dtype([(name, kind, *map(tuple, rest)) for name, kind, *rest in spelled])
    return np.dtype(spelled)


def _has_big_endian_field(dtype: np.dtype[Any]) -> bool:
    return any(dtype[name].byteorder == ">" for name in dtype.names or ())


def _bytes_codec(dtype: np.dtype[Any]) -> dict[str, JSON]:
    endian = "big" if dtype.byteorder == ">" else "little"
    return {"name": "bytes", "configuration": {"endian": endian}}


def _fill_scalar(zarr_dtype: Any, value: JSON) -> Any:
    is_number = zarr_dtype.to_native_dtype().kind in "biuf"
    if value is None or (not is_number and value in (0, "")):
        return empty_scalar(zarr_dtype)
    return zarr_dtype.from_json_scalar(value, zarr_format=2)


def _object_fill_value(value: JSON, object_codec: str) -> str:
    """Return text, or bytes in base64; it is empty for other objects. A hostile pickle raises an error."""
    if not isinstance(value, str) or object_codec == "json2":
        return ""
    if object_codec == "vlen-utf8":
        return value
    try:
        raw = base64.b64decode(value, validate=True)
        if object_codec == "pickle":
            read_pickled_scalar(raw)
    except ValueError as error:
        if object_codec != "pickle":
            return ""
        raise MetadataError(f"the fill value is not that of references: {error}") from error
    return value if object_codec == "vlen-bytes" else ""


def _translated(
    filters: Iterable[JSON], compressor: JSON, itemsize: int
) -> tuple[list[JSON], list[JSON]]:
    """Return the codecs before and after the serializer, in the order in which they encode."""
    before: list[JSON] = []
    after: list[JSON] = []
    for configuration in [*filters, *([compressor] if compressor else [])]:
        codec = to_zarr_codec(dict(configuration), itemsize)
        if is_registered(codec):
            raise LayoutError(
                f"zarr-python reads the codec {configuration!r:.200} as format 2 has it"
            )
        if isinstance(codec, ArrayArrayCodec) and not after:
            before.append(codec.to_dict())
        elif isinstance(codec, BytesBytesCodec):
            after.append(codec.to_dict())
        else:
            raise LayoutError(
                f"the filter {configuration!r:.200} has no place in a chain of format 3"
            )
    return before, after


# -- format 3 -> format 2 --------------------------------------------------------------------------

_JSON2 = {
    "id": "json2",
    "allow_nan": True,
    "check_circular": True,
    "encoding": "utf-8",
    "ensure_ascii": True,
    "indent": None,
    "separators": [",", ":"],
    "skipkeys": False,
    "sort_keys": True,
    "strict": True,
}

_OBJECT_FILTERS: dict[str, dict[str, JSON]] = {
    "vlen-utf8": {"id": "vlen-utf8"},
    "vlen-bytes": {"id": "vlen-bytes"},
    "hdmf_zarr.json2": _JSON2,
    "hdmf_zarr.pickle": {"id": "pickle", "protocol": 5},
}


def documents_of_node(document: Mapping[str, JSON]) -> dict[str, dict[str, JSON]]:
    """Return the documents of format 2 for a node, by name; inverse of `node_documents`.

    Raises
    ------
    LayoutError
        If format 2 does not support the array, for example its shards or a codec.
    """
    attributes = dict(document.get("attributes") or {})
    if document["node_type"] == "group":
        return {ZGROUP: {"zarr_format": 2}, ZATTRS: attributes}
    return {ZARRAY: array_metadata(document), ZATTRS: attributes}


def being_replaced(metadata: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a ``.zarray`` with which no reader reads any chunk."""
    return {**metadata, "filters": [{"id": BEING_REPLACED}]}


def array_metadata(document: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the ``.zarray`` of an array; inverse of `array_document`.

    Raises
    ------
    LayoutError
        If format 2 does not support the array.
    """
    if (original := document.get(ORIGINAL)) is not None:
        if BROKEN in document:
            return dict(original)
        separator = document["chunk_key_encoding"]["configuration"]["separator"]
        changed: dict[str, JSON] = {"shape": list(document["shape"])}
        if (original.get("dimension_separator") or ".") != separator:
            changed["dimension_separator"] = separator
        return {**original, **changed}
    if is_staged(document["chunk_key_encoding"]):
        raise LayoutError("Zarr format 2 has no chunks with names that begin with 'c'")
    order = "C"
    filters: list[JSON] = []
    compressors: list[JSON] = []
    serializer: Mapping[str, JSON] | None = None
    for codec in document["codecs"]:
        name, configuration = codec["name"], codec.get("configuration") or {}
        if name == "transpose":
            order = _order_of_transpose(codec, document)
        elif name == "bytes" or name in _OBJECT_FILTERS:
            serializer = codec  # of two, the codec after vlen-utf8 makes the bytes of the chunk
        elif serializer is None and makes_bytes(codec):
            serializer = codec
            compressors.append(numcodecs_configuration(name, configuration))
        else:
            target = filters if serializer is None else compressors
            target.append(numcodecs_configuration(name, configuration))
    if serializer is None:
        raise LayoutError("a sharded array has no representation in Zarr format 2")
    compressor = compressors.pop() if compressors else None
    if serializer["name"] in _OBJECT_FILTERS:
        filters.append(_OBJECT_FILTERS[serializer["name"]])
        dtype: JSON = "|O"
        # zarr-python 3 cannot parse a number here; other objects are read by this package only.
        is_vlen = serializer["name"].startswith("vlen")
        fill_value: JSON = document.get("fill_value") or "" if is_vlen else 0
    else:
        dtype, fill_value = _format2_dtype(document, serializer)
    return {
        "zarr_format": 2,
        "shape": list(document["shape"]),
        "chunks": list(document["chunk_grid"]["configuration"]["chunk_shape"]),
        "dtype": dtype,
        "compressor": compressor,
        "fill_value": fill_value,
        "order": order,
        "filters": [*filters, *compressors] or None,
        "dimension_separator": document["chunk_key_encoding"]["configuration"]["separator"],
    }


def _order_of_transpose(codec: Mapping[str, JSON], document: Mapping[str, JSON]) -> str:
    """Return the equivalent order of format 2, which is the order of elements before all filters."""
    order, n_dimensions = list(codec["configuration"]["order"]), len(document["shape"])
    orders = {"F": [*range(n_dimensions)][::-1], "C": [*range(n_dimensions)]}
    found = next((name for name, meant in orders.items() if meant == order), None)
    if found is None or document["codecs"][0] != codec or _n_transposed(document) > 1:
        raise LayoutError(
            f"Zarr format 2 has no transpose with the order {order} at that place of a chain: it reverses "
            "all dimensions, before all filters; leave it out, or write format 3"
        )
    return found


def _n_transposed(document: Mapping[str, JSON]) -> int:
    return sum(codec["name"] == "transpose" for codec in document["codecs"])


def _format2_dtype(
    document: Mapping[str, JSON], serializer: Mapping[str, JSON]
) -> tuple[JSON, JSON]:
    data_type = cast("Any", readable_document(dict(document))["data_type"])
    with without_specification_warnings():
        zarr_dtype: Any = zarr.dtype.parse_dtype(data_type, zarr_format=3)
    dtype: np.dtype[Any] = zarr_dtype.to_native_dtype()
    if (serializer.get("configuration") or {}).get("endian") == "big":
        dtype = dtype.newbyteorder(">")
    spelled: JSON = dtype.str
    if dtype.names is not None:
        spelled = [[name, dtype[name].str] for name in dtype.names]
    if not is_number(dtype):
        fill_value = zarr_dtype.from_json_scalar(
            readable_document(dict(document))["fill_value"], zarr_format=3
        )
        if dtype.kind == "U":
            return spelled, str(fill_value)
        raw = np.array(fill_value, dtype=dtype).tobytes()
        return spelled, base64.b64encode(raw).decode("ascii")
    return spelled, document["fill_value"]


def encode(document: Mapping[str, JSON]) -> bytes:
    """Return a document as bytes; NaN and infinities as bare tokens."""
    return json.dumps(document, indent=4, allow_nan=True).encode("utf-8")
