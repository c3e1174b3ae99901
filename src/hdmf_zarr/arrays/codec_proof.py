"""Tries a chain of codecs on a sample: this package and zarr-python must read the written values.

Users combine codecs of different authors, with different settings, that nobody has tested in one chain. A
bad combination often raises no error: elements are read in other places, or with other values. Therefore each
chain is tried once before it encodes any user data. The sample is small unless the chain depends on the shape
of a chunk.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.codec import ArrayArrayCodec
from zarr.registry import get_codec_class
from zarr.storage import MemoryStore

from hdmf_zarr.arrays import zarr_view
from hdmf_zarr.codecs.direct import DirectChain
from hdmf_zarr.codecs.registered import registered_codec
from hdmf_zarr.codecs.registry import APPROXIMATE, EXACT, NUMCODECS, OBJECT_CODECS, ROUNDING, SHAPED
from hdmf_zarr.codecs.typed_filters import round_trip, rounding_filters
from hdmf_zarr.convention import JSON
from hdmf_zarr.core.dtypes import BYTES_TYPE
from hdmf_zarr.errors import LayoutError
from hdmf_zarr.hierarchy.nodes import Nodes
from hdmf_zarr.metadata import array_document, format2
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.documents import public_document
from hdmf_zarr.metadata.node import array_node, made_document, with_shards
from hdmf_zarr.stores import event_loop
from hdmf_zarr.stores.bytestore import ByteStore, open_bytestore
from hdmf_zarr.stores.keys import DOCUMENT
from hdmf_zarr.stores.location import locate

_SAMPLE, _SEED = "sample", 20260101

_CHUNKS: tuple[tuple[int, ...], ...] = ((), (37,), (6, 5), (4, 3, 5))
"""Shape of a chunk of the sample by rank; all sizes differ, so that moved elements are detected."""

_OF_ANY_SHAPE = (EXACT | ROUNDING) - SHAPED
"""Codecs whose settings do not depend on the shape of a chunk."""

_TEXTS = (
    "",
    "a",
    "\u00e9\u00e8",
    "longer than the others",
    "\U0001d11e",
    "0",
    "a b",
    "z" * 70,
    "b",
    "c",
    "-",
)
"""Elements for a sample of texts."""

_LARGE = 10_000
"""Number of elements of a chunk above which a sample has as few chunks as possible."""

_SHARD_INDEX: list[JSON] = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]

MOST_KEPT_PROOFS = 1000


class _OtherValuesError(Exception):
    """The values that are read differ from the written ones."""


def prove_chain(document: Mapping[str, JSON], zarr_format: int) -> None:
    """Raise `LayoutError` unless every reader decodes the values that the codecs of an array encode.

    Parameters
    ----------
    document : mapping
        The ``zarr.json`` of the array, which need not be in a store.
    zarr_format : int
        Format of the store.
    """
    node = array_node(document)
    inner, chunk = list(node.chunk_codecs), node.chunk
    is_any_shape = {codec["name"] for codec in inner} <= _OF_ANY_SHAPE
    shape = _chunk_of_rank(len(chunk)) if is_any_shape else tuple(chunk)
    if not shape and node.data_type in ("string", BYTES_TYPE):
        shape = (1,)  # a single text is encoded as a row, see `single.encode_scalar`
    native = None
    if node.is_native:
        native = {**(node.format2 or {}), "shape": None, "chunks": None}
    said = json.dumps([node.data_type, dict(node.chunk_keys), inner, native], sort_keys=True)
    is_sharded = node.is_sharded
    classes = tuple(map(_class_of, inner))
    reason = _why_wrong(said, classes, shape, zarr_format=zarr_format, is_sharded=is_sharded)
    if reason is not None:
        names = " -> ".join(_spelled(codec) for codec in inner) or str(native or "")[:500]
        raise LayoutError(
            f"{reason}, as a trial of the codecs {names:.500} with zarr {zarr.__version__} shows; leave one "
            "of them out, or choose others"
        )


def _chunk_of_rank(rank: int) -> tuple[int, ...]:
    return _CHUNKS[rank] if rank < len(_CHUNKS) else (*_CHUNKS[-1], *(2,) * (rank - 3))


def rounding_filters_of(document: Mapping[str, JSON]) -> tuple[Any, ...]:
    """Return the filters of an array that cannot hold every value of its type, see `check_kept`."""
    node = array_node(document)
    if node.is_native:
        return rounding_filters((node.format2 or {}).get("filters") or ())
    return rounding_filters(node.chunk_codecs)


def _class_of(codec: Mapping[str, JSON]) -> type[Any] | None:
    """Return the class of a codec, given its JSON; a user may register another class."""
    registered = registered_codec(codec)
    if registered is not None:
        return type(registered.codec)
    try:
        return get_codec_class(codec["name"])
    except (KeyError, ValueError):
        return None


def _spelled(codec: Mapping[str, JSON]) -> str:
    settings = codec.get("configuration") or {}
    return f"{codec['name']}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"


@lru_cache(maxsize=MOST_KEPT_PROOFS)
def _why_wrong(
    said: str,
    _classes: tuple[type[Any] | None, ...],
    chunk: tuple[int, ...],
    *,
    zarr_format: int,
    is_sharded: bool,
) -> str | None:
    """Return the reason why a chain is wrong; None if it is correct."""
    try:
        _try(_Trial.of(json.loads(said), chunk, zarr_format, is_sharded=is_sharded))
    except _OtherValuesError as error:
        return str(error)
    except Exception as error:  # codecs and settings of users raise any error
        return f"no chunk can be written and read ({type(error).__name__}: {error})"[:500]
    return None


def _try(trial: _Trial) -> None:
    with np.errstate(all="ignore"):
        sample = trial.sample()
    # In a direct chain all elements are put into C order before they are encoded.
    is_computed = trial.chain is None and sample.ndim > 1
    orders: tuple[Literal["C", "F"], ...] = ("C", "F") if is_computed else ("C",)
    for order in orders:
        given = np.asarray(sample, order=order)
        found = trial.written_and_read(given)
        if trial.is_known:
            trial.require_same(found, given, "what is read is not what was written")
            continue
        again = trial.written_and_read(np.asarray(found, order=order))
        if trial.names & APPROXIMATE:
            _require_close(again, found, given)
        else:
            trial.require_same(again, found, "what was read is written as something else")


def _require_close(again: Any, found: Any, given: Any) -> None:
    once, twice = (np.abs(a - b).max(initial=0) for a, b in ((found, given), (again, found)))
    if not twice <= once:
        raise _OtherValuesError(
            f"what was read is written as something else: by {twice}, after {once} the first time"
        )


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """An array in memory, with a complete chunk and incomplete ones at its ends.

    Attributes
    ----------
    document : dict
        The ``zarr.json`` of the array.
    zarr_format : int
    chain : DirectChain or None
        Codecs that encode whole chunks in place, if all of them are known.
    names : frozenset of str
        Names of the codecs of a chunk.
    """

    document: dict[str, JSON]
    zarr_format: int
    chain: DirectChain | None
    names: frozenset[str]

    @classmethod
    def of(
        cls, said: list[JSON], chunk: tuple[int, ...], zarr_format: int, *, is_sharded: bool
    ) -> _Trial:
        """Return a trial for a description of an array, with chunks of the given shape."""
        data_type, chunk_keys, codecs, original = said
        document = made_document(
            shape=_ragged(chunk, is_sharded=is_sharded),
            chunk=chunk,
            data_type=data_type,
            fill_value=_fill_value(data_type),
            codecs=codecs,
            chunk_keys=chunk_keys,
            format2_filters=original,
        )
        chain = direct_chain(array_node(document)) if codecs else None
        names = frozenset(codec["name"] for codec in codecs)
        if original is not None:
            filters = [*(original.get("filters") or ()), original.get("compressor")]
            names |= {NUMCODECS + str(codec["id"]) for codec in filters if codec}
        if is_sharded:
            shard = [2 * chunk[0], *chunk[1:]]
            document = with_shards(document, shard, _SHARD_INDEX)
        return cls(document=document, zarr_format=zarr_format, chain=chain, names=names)

    @property
    def _dtype(self) -> np.dtype[Any] | None:
        """Dtype of the elements; None if they vary in length."""
        dtype: np.dtype[Any] = _parsed(array_node(self.document).data_type).to_native_dtype()
        return None if dtype.kind in "OT" else dtype

    def sample(self) -> npt.NDArray[Any]:
        """Return different elements in the shape of the array, which its filters can hold."""
        shape, dtype = array_node(self.document).shape, self._dtype
        random = np.random.default_rng(_SEED)
        if dtype is None:
            texts = map(str if OBJECT_CODECS.isdisjoint(self.names) else json.dumps, _TEXTS)
            is_bytes = array_node(self.document).data_type == BYTES_TYPE
            kinds = [text.encode() if is_bytes else text for text in texts]
            return np.resize(np.array(kinds, dtype=object), shape)
        values = _elements(random, shape, dtype, is_small=not self.names <= EXACT)
        if self.names <= EXACT or not self.is_known:
            return values
        return round_trip(values, self._filters).astype(dtype, copy=False)

    @property
    def is_known(self) -> bool:
        """Whether the codecs are known to return all values that their filters can hold."""
        return self.names <= EXACT | ROUNDING

    @property
    def _filters(self) -> list[JSON]:
        node = array_node(self.document)
        if node.is_native:
            return list((node.format2 or {}).get("filters") or ())
        return list(itertools.takewhile(_is_filter, node.chunk_codecs))

    def written_and_read(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Write elements, read them again, and return them.

        Raises
        ------
        _OtherValuesError
            If zarr-python reads other values than this package.
        """
        documents = self._documents()
        parsed = {
            key: event_loop.to_buffer(format2.encode(value)) for key, value in documents.items()
        }
        store = MemoryStore(parsed)
        bytestore = open_bytestore(locate(store), read_only=False)
        zarr.Array(self._array(bytestore, self.document))[...] = values
        if self.chain is not None and not self._is_sharded:
            self._put_directly(bytestore, self.chain, values)
        # The array is read by its stored documents, which a reader may parse differently.
        known = format2.node_documents(documents) if self.zarr_format == 2 else {}
        read = zarr.Array(self._array(bytestore, known.get(_SAMPLE, self.document)))
        found = np.asarray(read[...])
        if OBJECT_CODECS.isdisjoint(self.names):  # zarr-python does not know object codecs
            with array_document.without_specification_warnings():
                plain: Any = zarr.open_array(
                    store,
                    path=_SAMPLE,
                    mode="r",
                    zarr_format=cast("Literal[2, 3]", self.zarr_format),
                )
                self.require_same(
                    plain[...], found, "zarr-python reads something else than is there"
                )
        return found

    def _array(self, bytestore: ByteStore, document: dict[str, JSON]) -> zarr.AsyncArray[Any]:
        nodes: dict[str, dict[str, JSON]] = {"": {}, _SAMPLE: document}
        return zarr_view.async_array(Nodes(bytestore, nodes, zarr_format=self.zarr_format), _SAMPLE)

    @property
    def _is_sharded(self) -> bool:
        return array_node(self.document).is_sharded

    def _put_directly(
        self, bytestore: ByteStore, chain: DirectChain, values: npt.NDArray[Any]
    ) -> None:
        """Store the first chunk, encoded without zarr-python."""
        key = f"{_SAMPLE}/{array_node(self.document).key((0,) * values.ndim)}"
        first = values[tuple(map(slice, chain.shape))]
        stored = first if chain.dtype is None else first.astype(chain.dtype)
        encoded = bytes(
            chain.encode(chain.padded(stored, array_document.fill_value(self.document)))
        )
        self.require_same(chain.decode(encoded), first, "a chunk is not what was encoded")
        bytestore.set(key, encoded)

    def _documents(self) -> dict[str, Any]:
        """Return the documents of a store that contains only this array, by key."""
        if self.zarr_format == 3:
            return {f"{_SAMPLE}/{DOCUMENT}": public_document(self.document)}
        return {
            f"{_SAMPLE}/{name}": document
            for name, document in format2.documents_of_node(self.document).items()
        }

    def require_same(self, found: Any, given: Any, what: str) -> None:
        """Raise `_OtherValuesError` if two arrays are not bit-identical."""
        dtype = self._dtype
        if dtype is None:
            is_same = found.astype(object).tolist() == given.astype(object).tolist()
        else:
            plain = dtype.newbyteorder("=")
            is_same = found.astype(plain).tobytes() == given.astype(plain).tobytes()
        if not is_same:
            raise _OtherValuesError(what)


def _parsed(data_type: JSON) -> Any:
    with array_document.without_specification_warnings():
        readable = array_document.readable_data_type(data_type)
        return zarr.dtype.parse_dtype(readable, zarr_format=3)


def _fill_value(data_type: JSON) -> JSON:
    parsed = _parsed(data_type)
    return parsed.to_json_scalar(array_document.empty_scalar(parsed), zarr_format=3)


def _ragged(chunk: tuple[int, ...], *, is_sharded: bool) -> list[int]:
    """Return the shape of an array with incomplete chunks at the end of its first and last dimension."""
    shape = list(chunk)
    if shape and math.prod(chunk) <= _LARGE:
        shape[-1] += 1
    if shape:
        shape[0] += (chunk[0] if is_sharded else 0) + 1
    return shape


def _is_filter(codec: Mapping[str, JSON]) -> bool:
    kind = _class_of(codec)
    return kind is not None and issubclass(kind, ArrayArrayCodec)


def _elements(
    random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], *, is_small: bool
) -> npt.NDArray[Any]:
    """Return elements of a fixed size; integers from the whole range of their type, or small ones."""
    if dtype.names is not None:
        records = np.zeros(shape, dtype)
        for name in dtype.names:
            inside = dtype[name].shape
            records[name] = _elements(random, shape + inside, dtype[name].base, is_small=is_small)
        return records
    size = math.prod(shape)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        least, most = (max(bounds.min, -100), 100) if is_small else (bounds.min, bounds.max)
        native = dtype.newbyteorder("=")
        values = random.integers(least, most, size, native.type, endpoint=True)
        values[:2] = [least, most][:size]
    elif dtype.kind in "fc":
        values = 100 * random.standard_normal(size)
        values = values + 1j * random.standard_normal(size) if dtype.kind == "c" else values
    elif dtype.kind in "SUb":
        values = random.integers(0, 2 if dtype.kind == "b" else 10**9, size)
    else:
        values = np.frombuffer(random.bytes(size * dtype.itemsize), dtype)
    return np.asarray(values.astype(dtype)).reshape(shape)
