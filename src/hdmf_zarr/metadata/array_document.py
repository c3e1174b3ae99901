"""The document of an array, as zarr-python makes and parses it."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import zarr.dtype
from zarr.codecs import ShardingCodec
from zarr.errors import UnstableSpecificationWarning

from hdmf_zarr.core.zarr_private import ArrayV2Metadata, ArrayV3Metadata, default_buffer_prototype

KNOWN_KEYS = {
    "group": frozenset({"zarr_format", "node_type", "attributes", "consolidated_metadata"}),
    "array": frozenset(
        {
            *("zarr_format", "node_type", "attributes", "shape", "data_type", "chunk_grid"),
            *("chunk_key_encoding", "fill_value", "codecs", "dimension_names"),
        }
    ),
}
"""Keys of a document of Zarr format 3 that all readers know."""

HAS_STRUCT = hasattr(zarr.dtype, "Struct")
"""Whether zarr-python (>= 3.2) has compounds named ``struct``, not only ``structured``."""


@contextmanager
def without_specification_warnings() -> Iterator[None]:
    """Suppress zarr's warnings that a data type or codec has no accepted specification.

    zarr warns each time a document is parsed or made. The format requires fixed-length text and
    compounds, and users choose codecs of numcodecs by name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr", UserWarning)
        # `choose_pipeline` gives the pipeline a supported store, if there is one.
        warnings.filterwarnings("ignore", "Array is unsupported by ZarrsCodecPipeline", UserWarning)
        yield


def array_document(
    *,
    shape: Sequence[int],
    data_type: Any,
    chunk_grid_shape: Sequence[int],
    fill_value: Any,
    codecs: Sequence[Any],
    dimension_names: Sequence[str | None] | None,
    chunk_key_encoding: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the ``zarr.json`` document of an array, without attributes."""
    key = _template_key(len(shape), data_type, fill_value, codecs, chunk_key_encoding)
    template = _TEMPLATES.get(key) if key is not None else None
    if template is None:
        with without_specification_warnings():
            metadata = ArrayV3Metadata(
                shape=shape,
                data_type=data_type,
                chunk_grid={
                    "name": "regular",
                    "configuration": {"chunk_shape": list(chunk_grid_shape)},
                },
                chunk_key_encoding=dict(chunk_key_encoding),
                fill_value=fill_value,
                codecs=codecs,
                attributes={},
                dimension_names=None,
            )
            template = metadata.to_buffer_dict(default_buffer_prototype())["zarr.json"].to_bytes()
        if key is not None and len(_TEMPLATES) < MOST_TEMPLATES:
            _TEMPLATES[key] = template
    document: dict[str, Any] = json.loads(template)
    document["shape"] = [int(size) for size in shape]
    document["chunk_grid"]["configuration"]["chunk_shape"] = [int(n) for n in chunk_grid_shape]
    if dimension_names is not None:
        document["dimension_names"] = list(dimension_names)
    return document


MOST_TEMPLATES = 1000


_TEMPLATES: dict[str, bytes] = {}
"""Documents of arrays that differ only in sizes and names; zarr-python takes 0.5 ms to make one."""


def _template_key(
    ndim: int, data_type: Any, fill_value: Any, codecs: Sequence[Any], keys: Mapping[str, Any]
) -> str | None:
    """Return a key of all inputs of a document except sizes and names; None if they are not known."""
    fill = np.asarray(fill_value)
    said = (data_type, *codecs)
    # The ``repr`` of a dataclass contains all fields; shards depend on the sizes.
    if (
        fill.dtype.hasobject
        or not all(is_dataclass(value) for value in said)
        or any(isinstance(codec, ShardingCodec) for codec in codecs)
    ):
        return None
    return repr((ndim, said, fill.dtype.str, fill.dtype.descr, fill.tobytes(), dict(keys)))


def why_not_parsed_as_format2(metadata: dict[str, Any]) -> str | None:
    """Return why zarr-python cannot parse a ``.zarray``; None if it can."""
    try:
        with without_specification_warnings():
            ArrayV2Metadata.from_dict(metadata)
    except Exception as error:
        return f"zarr-python cannot parse its metadata: {error!s:.200}"
    return None


def fill_value(document: dict[str, Any]) -> Any:
    """Return the fill value of an array as a scalar of its dtype."""
    with without_specification_warnings():
        return ArrayV3Metadata.from_dict(readable_document(document)).fill_value


def data_type_json(data_type: Any) -> Any:
    """Return a data type as JSON of a document of format 3."""
    with without_specification_warnings():
        return data_type.to_json(zarr_format=3)


def empty_scalar(data_type: Any) -> Any:
    """Return zero, or the empty text, of a data type; for a record, that of each field.

    zarr-python before 3.2 uses the text ``"0"`` for a field of text.
    """
    dtype = data_type.to_native_dtype()
    return np.zeros((), dtype=dtype)[()] if dtype.names is not None else data_type.default_scalar()


def readable_data_type(data_type: Any) -> Any:
    """Return the JSON of a data type in the form that the installed zarr-python can parse."""
    return readable_document({"data_type": data_type})["data_type"]


def readable_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return an array's document in the form that the installed zarr-python can parse.

    zarr-python before 3.2 has compounds as ``structured`` with ``[name, type]`` pairs and a base64
    fill value; later versions write ``struct`` with objects. Notes of this package and extensions are
    removed, since some versions of zarr-python refuse even those that need not be understood.
    """
    if not KNOWN_KEYS["array"].issuperset(document):
        document = {key: value for key, value in document.items() if key in KNOWN_KEYS["array"]}
    data_type = document.get("data_type")
    if HAS_STRUCT or not isinstance(data_type, dict):
        return document
    if data_type.get("name") not in ("struct", "structured"):
        return document
    fields = [
        [field["name"], field["data_type"]] if isinstance(field, dict) else field
        for field in data_type["configuration"]["fields"]
    ]
    structured = {"name": "structured", "configuration": {"fields": fields}}
    fill_value = document.get("fill_value")
    if isinstance(fill_value, dict):
        dtype = zarr.dtype.parse_dtype(structured, zarr_format=3).to_native_dtype()  # type: ignore[arg-type]
        record = np.zeros((), dtype=dtype)
        for name, value in fill_value.items():
            record[name] = value
        fill_value = base64.b64encode(record.tobytes()).decode("ascii")
    return {**document, "data_type": structured, "fill_value": fill_value}
