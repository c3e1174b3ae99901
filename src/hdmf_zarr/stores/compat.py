"""Every name of zarr-python that is not public and that this package needs, in one place.

Checked with zarr 3.1.3, 3.1.6 and 3.4.2; ``tests/unit/test_compat.py`` fails when one of them moves.

* ``zarr.core.sync.sync``: runs a coroutine on zarr's own event loop, on which the sessions of remote
  stores live; there is no public way to use a store's coroutines from synchronous code.
* ``zarr.core.buffer.default_buffer_prototype``: the argument that every ``Store.get`` wants.
* ``Store._is_open`` and ``Store._ensure_open``: a `zarr.storage.ZipStore` opens itself for no
  operation, and there is no public way to open a store that exists.
* ``WrapperStore._store`` and ``MemoryStore._store_dict``: what a store object leads to; two that lead to
  the same are one store, and neither class says so.
* ``AsyncArray.codec_pipeline``, ``zarr.core.codec_pipeline.FusedCodecPipeline`` (3.4),
  ``zarr.core.array_spec.ArraySpec``, ``ArrayConfig``: the pipeline is otherwise taken from the
  configuration of the whole process, which belongs to the user.
* The modules of zarr-python, by which `zarr.from_array` is told from clients: it asks its source for the
  filters of the new array.
* ``zarr.core.metadata.v3.ArrayV3Metadata``: makes and checks the document of an array without a
  round trip to the store.
* ``zarr.core.metadata.v2.ArrayV2Metadata``: tells whether zarr-python can parse a ``.zarray``, likewise.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, TypeVar

import numpy as np
import zarr
import zarr.core.codec_pipeline
import zarr.dtype
from zarr.abc.store import Store
from zarr.codecs import ShardingCodec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.metadata.v2 import ArrayV2Metadata
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.core.sync import sync
from zarr.errors import UnstableSpecificationWarning
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

from hdmf_zarr.codecs.contiguous import in_c_order
from hdmf_zarr.codecs.variable import encode_one
from hdmf_zarr.stores.names import KNOWN_KEYS
from hdmf_zarr.stores.system import n_cores

logger = logging.getLogger(__name__)

T = TypeVar("T")

HAS_STRUCT = hasattr(zarr.dtype, "Struct")
"""Whether zarr-python (>= 3.2) knows compounds as ``struct`` and not only as ``structured``."""


@contextmanager
def without_specification_warnings() -> Iterator[None]:
    """Do not repeat zarr's warnings that a data type or codec has no accepted specification.

    zarr gives them each time a document is parsed or made. Fixed-length text and compounds are what
    the format prescribes, and who uses a codec of numcodecs has named it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr", UserWarning)
        # `choose_pipeline` gives it a store that it knows, where there is one.
        warnings.filterwarnings("ignore", "Array is unsupported by ZarrsCodecPipeline", UserWarning)
        yield


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on zarr's event loop and return its result."""
    return sync(coroutine)


def ensure_open(store: Store) -> None:
    """Open a store object that its user has made and not opened."""
    if not store._is_open:
        run(store._ensure_open())


def wrapped_store(store: Store) -> Store | None:
    """Return the store that a wrapper hands everything on to; None of a store that is no wrapper."""
    return store._store if isinstance(store, WrapperStore) else None


def innermost_store(store: Store) -> Store:
    """Return the store that all wrappers around it lead to."""
    while (inner := wrapped_store(store)) is not None:
        store = inner
    return store


def mapping_of(store: MemoryStore) -> object:
    """Return the mapping in which a store in memory has its objects."""
    return store._store_dict


def to_buffer(value: bytes) -> Buffer:
    """Wrap bytes for ``Store.set``."""
    return default_buffer_prototype().buffer.from_bytes(value)


def prototype() -> Any:
    """Return the buffer prototype for ``Store.get``."""
    return default_buffer_prototype()


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
"""Documents of arrays that differ in nothing but sizes and names: zarr-python takes 0.5 ms for each."""


def _template_key(
    ndim: int, data_type: Any, fill_value: Any, codecs: Sequence[Any], keys: Mapping[str, Any]
) -> str | None:
    """Return what a document depends on beside sizes and names, or None where that is not known."""
    fill = np.asarray(fill_value)
    said = (data_type, *codecs)
    # The ``repr`` of a dataclass says all of it; shards depend on the sizes.
    if (
        fill.dtype.hasobject
        or not all(is_dataclass(value) for value in said)
        or any(isinstance(codec, ShardingCodec) for codec in codecs)
    ):
        return None
    return repr((ndim, said, fill.dtype.str, fill.dtype.descr, fill.tobytes(), dict(keys)))


_DEFAULT_PIPELINE = "zarr.core.codec_pipeline.BatchedCodecPipeline"


def is_asked_by_zarr() -> bool:
    """Whether zarr-python itself has called the function that calls this one."""
    return str(sys._getframe(2).f_globals.get("__name__", "")).startswith("zarr.")


def has_default_pipeline() -> bool:
    """Whether the user has left it to zarr-python, and so to us, how chunks are decoded."""
    return bool(zarr.config.get("codec_pipeline.path", _DEFAULT_PIPELINE) == _DEFAULT_PIPELINE)


_CODECS_OF_ZARRS = frozenset(
    {"bytes", "blosc", "zstd", "gzip", "crc32c", "sharding_indexed", "transpose"}
)
"""What the package ``zarrs`` decodes as zarr-python does; checked with zarrs 0.2.3."""


PATH_OF_ZARRS = "zarrs.ZarrsCodecPipeline"
"""What a user names in zarr's configuration to have chunks decoded by the package ``zarrs``."""


def choose_pipeline(array: Any) -> None:
    """Give an array of numbers, of a store that is only read, the pipeline that decodes its chunks.

    The fused one of zarr-python 3.4 where the user has chosen none; that of ``zarrs`` only where the user
    names it, since a forked process hangs on its first read after its parent has read with it. The pipeline
    is a plain attribute of the array: the configuration, which is that of the whole process, is not touched.
    """
    if array.metadata.zarr_format != 3:
        return
    pipeline = None
    if has_default_pipeline():
        pipeline = _fused_pipeline(array)
    elif zarr.config.get("codec_pipeline.path") == PATH_OF_ZARRS:
        pipeline = _zarrs_pipeline(array)
    if pipeline is not None:
        object.__setattr__(array, "codec_pipeline", pipeline)


def _zarrs_pipeline(array: Any) -> Any:
    dtype = array.metadata.dtype.to_native_dtype()
    if not _are_known(array.metadata.codecs) or dtype.kind not in "iuf" or not dtype.isnative:
        return None
    given = array.store_path.store
    watched = given if hasattr(given, "look") else None
    store = given if watched is None else watched._store
    if not isinstance(store, LocalStore):
        return None
    check_file = getattr(store, "check_file", None)
    if check_file is None:
        return None  # of a class of the user's own
    store = LocalStore(store.root, read_only=store.read_only)  # which zarrs knows by its class
    from zarrs import (
        ZarrsCodecPipeline as pipeline,
    )  # the user has named it, so that it is installed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = pipeline.from_array_metadata_and_store(array.metadata, store)
    except (UserWarning, ValueError, TypeError, RuntimeError) as error:
        logger.debug("%s is left to zarr-python: %s", array.store_path, error)
        return None
    return _ZarrsPipeline(made, watched, check_file)


class _ZarrsPipeline:
    """The pipeline of ``zarrs``, and that of zarr-python for the selections that it refuses.

    It reads past the store of its array, which is asked first what must be there, and can be read.
    """

    def __init__(self, pipeline: Any, watched: Any, check_file: Callable[[str], bool]) -> None:
        self._pipeline = pipeline
        self._watched = watched
        self._check_file = check_file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    async def read(self, batch_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Read chunks."""
        batch = list(batch_info)
        keys = [chunk[0].path for chunk in batch]
        if self._watched is not None:
            self._watched.look(keys, self._check_file)
        else:
            for key in keys:
                self._check_file(key)
        try:
            return await self._pipeline.read(batch, *args, **kwargs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            # A legal selection, or a damaged chunk, which zarr-python then tells of.
            fallback = self._pipeline.python_impl
            if fallback is None:
                raise
            logger.debug("zarrs refuses a selection, zarr-python reads it: %s", error)
        return await fallback.read(batch, *args, **kwargs)


def _are_known(codecs: Sequence[Any]) -> bool:
    for codec in codecs:
        if isinstance(codec, ShardingCodec) and not _are_known(codec.codecs):
            return False
        said = codec.to_dict()
        if said["name"] not in _CODECS_OF_ZARRS or _is_big_endian(said):
            return False
    return True


def _is_big_endian(codec: Mapping[str, Any]) -> bool:
    return bool((codec.get("configuration") or {}).get("endian") == "big")


def _fused_pipeline(array: Any) -> Any:
    fused = getattr(zarr.core.codec_pipeline, "FusedCodecPipeline", None)
    grid = array.metadata.chunk_grid
    if fused is None or not hasattr(grid, "chunk_shape"):
        return None
    specification = ArraySpec(
        shape=grid.chunk_shape,
        dtype=array.metadata.data_type,
        fill_value=array.metadata.fill_value,
        config=ArrayConfig.from_dict({}),
        prototype=default_buffer_prototype(),
    )
    pipeline = fused.from_codecs(array.metadata.codecs)
    evolved = pipeline.evolve_from_array_spec(specification)
    return evolved if evolved.sync_transform is not None else None


def most_threads(at_most: int) -> int:
    """Threads that may decode: as the user has told zarr-python, or one a core."""
    told = zarr.config.get("threading.max_workers", None)
    return max(1, min(at_most, told if isinstance(told, int) else n_cores()))


def why_not_parsed_as_format2(metadata: dict[str, Any]) -> str | None:
    """Return why zarr-python cannot parse a ``.zarray``, or None; it raises errors of any kind."""
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
    """Return a data type as documents of format 3 have it."""
    with without_specification_warnings():
        return data_type.to_json(zarr_format=3)


def empty_scalar(data_type: Any) -> Any:
    """Return zero, or the empty text, of a data type; of a record that of each field.

    zarr-python before 3.2 takes the text ``"0"`` for a field of text.
    """
    dtype = data_type.to_native_dtype()
    return np.zeros((), dtype=dtype)[()] if dtype.names is not None else data_type.default_scalar()


def encode_scalar(document: dict[str, Any], value: np.ndarray[Any, Any]) -> bytes:
    """Return the chunk of an array without dimensions whose element varies in length.

    zarr-python makes numpy text or bytes of such an element, which drops the NULs at its end, or
    fails; it encodes a row of one element as it should.
    """
    encoded = encode_one(value.item(), document["codecs"])
    if encoded is not None:
        return encoded
    store = MemoryStore()
    array = zarr.AsyncArray(
        _as_one_row(document), StorePath(store, ""), config={"write_empty_chunks": True}
    )
    run(array.setitem(slice(None), value.reshape(1)))
    chunk = run(store.get("0", prototype=prototype()))
    assert chunk is not None
    return chunk.to_bytes()


def encode_chunk(document: dict[str, Any], values: np.ndarray[Any, Any]) -> bytes:
    """Return one whole chunk as the codecs of an array (of its shards' chunks) encode it."""
    codecs = document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    single: Any = {
        **readable_document(document),
        "shape": list(values.shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(values.shape)}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "codecs": [in_c_order(codec) or codec for codec in codecs],
        "dimension_names": None,
        "attributes": {},
    }
    store = MemoryStore()
    with without_specification_warnings():
        array: Any = zarr.AsyncArray(
            single,
            StorePath(store, ""),
            config={"write_empty_chunks": True},
        )
        run(array.setitem(..., values))
    chunk = run(store.get(".".join("0" * values.ndim), prototype=prototype()))
    assert chunk is not None
    return chunk.to_bytes()


async def read_scalar(array: zarr.AsyncArray[Any]) -> Any:
    """Return the element of an array without dimensions; see `encode_scalar`."""
    metadata: Any = array.metadata
    if metadata.shape or metadata.dtype.to_native_dtype().kind not in "OT":
        return await array.getitem(...)
    chunk = await (array.store_path / metadata.encode_chunk_key(())).get(prototype=prototype())
    store = MemoryStore({} if chunk is None else {"0": chunk})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        document = metadata.to_dict()
    row = zarr.AsyncArray(_as_one_row(document), StorePath(store, ""))
    return np.asarray(await row.getitem(slice(None))).astype(object).reshape(())


def _as_one_row(document: dict[str, Any]) -> Any:
    return {
        **readable_document(document),
        "shape": [1],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "dimension_names": None,
        "attributes": {},
    }


def readable_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return an array's document as the installed zarr-python can parse it.

    zarr-python before 3.2 knows compounds as ``structured`` with ``[name, type]`` pairs and a
    base64 fill value; later ones write ``struct`` with objects. What this package keeps beside the
    metadata is not for zarr, and what need not be understood is refused by some versions.
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
