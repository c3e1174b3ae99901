"""Codecs of numcodecs that zarr-python does not know, made codecs of format 3.

Format 2 accepts any registered codec, from a package (for example flac-numcodecs) or from the user. In
format 3 the name of the codec is ``numcodecs.<id>``. A trial finds its place in a chain: a codec from array
to array is a filter, a codec that encodes plain bytes is a compressor, and any other codec is a serializer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, ClassVar, Self

import numcodecs
import numpy as np
import numpy.typing as npt
import zarr.dtype
from numcodecs.compat import ensure_bytes, ensure_ndarray
from numcodecs.registry import codec_registry
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.registry import get_codec_class, register_codec

from hdmf_zarr.codecs.registry import FORMAT2_CODECS, NUMCODECS
from hdmf_zarr.errors import EncodingError, LayoutError, MissingExtraError

OF_OBJECTS = {
    codec_id
    for codec_id, known in FORMAT2_CODECS.items()
    if known.role == "objects" or codec_id.startswith("vlen-")
}
"""Codecs for arrays of objects, which format 3 lacks; a pickle could run code."""

PACKAGES = {
    "flac": "flac-numcodecs",
    "wavpack": "wavpack-numcodecs",
    "zfpy": "zfpy",
    "pcodec": "pcodec",
}
"""Id of a codec -> package that contains it."""

_IMAGES, _IMAGECODECS = "imagecodecs_", "imagecodecs"

_KEPT_TRIALS = 1000

_TRIAL_DTYPES = ("<f8", "<f4", "<i2", "<i4", "<i8", "<u2", "<u4", "|u1", "|i1")
"""Dtypes of the trial arrays, tried in order, since a codec may accept elements of only one type."""


def registered_codec(document: Mapping[str, Any]) -> Face | None:
    """Return a format 3 document's codec that numcodecs knows and zarr-python does not.

    The codec is also registered with zarr-python.

    Parameters
    ----------
    document : mapping
        The codec's JSON, with a ``name``.

    Returns
    -------
    Face or None
        None if zarr-python knows the codec, or it is no codec of numcodecs for format 3.

    Raises
    ------
    MissingExtraError
        If the codec is not installed.
    """
    name = document["name"]
    codec_id = name.removeprefix(NUMCODECS)
    if not name.startswith(NUMCODECS) or codec_id in OF_OBJECTS:
        return None
    configuration = document.get("configuration") or {}
    if _is_known_to_zarr(name):
        if codec_id in PACKAGES:
            numcodec({**configuration, "id": codec_id})
        return None
    face = as_zarr_codec(numcodec({**configuration, "id": codec_id}))
    register_codec(name, _named_class(codec_id))
    return face


def numcodec(configuration: Mapping[str, Any]) -> Any:
    """Return the codec of numcodecs for its JSON.

    Raises
    ------
    MissingExtraError
        If the codec is not installed.
    """
    codec_id = str(configuration["id"])
    try:
        return numcodecs.get_codec(dict(configuration))
    except (ValueError, ImportError) as error:
        if codec_id in codec_registry:
            raise
        raise MissingExtraError(missing_codec(codec_id)) from error


def missing_codec(codec_id: str) -> str:
    """Return the error message for an id that is not registered with numcodecs."""
    package = _IMAGECODECS if codec_id.startswith(_IMAGES) else PACKAGES.get(codec_id)
    install = (
        f"install the package {package} (pip install {package})"
        if package is not None
        else "install and import the package that registers it with numcodecs (numcodecs.register_codec)"
    )
    return (
        f"the codec {codec_id!r} is not known to numcodecs {numcodecs.__version__} here: {install}"
    )


def as_zarr_codec(codec: Any) -> Face:
    """Wrap a codec of numcodecs that zarr-python does not know as a codec of Zarr format 3.

    Raises
    ------
    LayoutError
        If the codec's settings are no JSON.
    """
    of_class: Any = type(codec)
    return _kind_of(of_class, _as_json(codec))(codec)


def is_registered(codec: Any) -> bool:
    """Whether a codec of zarr wraps a registered codec of numcodecs."""
    return isinstance(codec, Face)


def _is_known_to_zarr(name: str) -> bool:
    try:
        found: Any = get_codec_class(name)
    except (KeyError, ValueError):  # depends on the version of zarr-python
        return False
    return not issubclass(found, _Named)


class _Named:
    """Base of the classes that are registered with zarr-python under the name of a codec."""

    codec_id: ClassVar[str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Face:
        """Make the codec from its JSON."""
        configuration = data.get("configuration") or {}
        return as_zarr_codec(numcodec({**configuration, "id": cls.codec_id}))


@cache
def _named_class(codec_id: str) -> Any:
    return type(f"Registered_{codec_id}", (_Named,), {"codec_id": codec_id})


# -- in other processes ----------------------------------------------------------------------------


def classes_in(codecs: Iterable[Mapping[str, Any]]) -> tuple[type[Any], ...]:
    """Return the classes of a document's codecs that another process may not have registered.

    Parameters
    ----------
    codecs : iterable of mapping
        The codecs' JSON; codecs inside shards are included.
    """
    found: list[type[Any]] = []
    for document in codecs:
        inner = (document.get("configuration") or {}).get("codecs") or ()
        found += classes_in(inner)
        registered = registered_codec(document)
        # A process of multiprocessing runs the main module again, if that is a file.
        if registered is not None and type(registered.codec).__module__ != "__main__":
            found.append(type(registered.codec))
    return tuple(found)


def register_classes(classes: Iterable[type[Any]]) -> None:
    """Register classes of numcodecs in this process."""
    for of_codec in classes:
        numcodecs.register_codec(of_codec)


# -- the three places in a chain -------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False)
class Face:
    """A codec of numcodecs with the interface of zarr-python.

    Attributes
    ----------
    codec : numcodecs.abc.Codec
    """

    codec: Any
    is_fixed_size: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.codec.codec_id!r}, {_as_json(self.codec)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Face) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its JSON."""
        codec_id = data["name"].removeprefix(NUMCODECS)
        return cls(numcodec({**(data.get("configuration") or {}), "id": codec_id}))

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's JSON."""
        configuration = json.loads(_as_json(self.codec))
        return {"name": NUMCODECS + configuration.pop("id"), "configuration": configuration}

    def evolve_from_array_spec(self, array_spec: Any) -> Self:
        """Return the codec itself: nothing depends on the array."""
        return self

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: Any) -> int:
        """Raise `NotImplementedError`: encoded chunks differ in size."""
        raise NotImplementedError(f"{self!r} has no fixed size ({input_byte_length})")

    async def _encode_single(self, chunk: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk, chunk_spec)

    async def _decode_single(self, chunk: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk, chunk_spec)

    def _encode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        raise NotImplementedError

    def _decode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        raise NotImplementedError


class RegisteredCompressor(Face, BytesBytesCodec):
    """A registered codec from bytes to bytes."""

    def _encode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        encoded = self.codec.encode(chunk.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(ensure_bytes(encoded))

    def _decode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        decoded = self.codec.decode(chunk.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(ensure_bytes(decoded))


class RegisteredSerializer(Face, ArrayBytesCodec):
    """A registered codec from an array to bytes."""

    def _encode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        encoded = self.codec.encode(_little_endian(chunk.as_numpy_array()))
        return chunk_spec.prototype.buffer.from_bytes(ensure_bytes(encoded))

    def _decode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        decoded = self.codec.decode(chunk.as_numpy_array())
        return _elements(decoded, chunk_spec)


class RegisteredFilter(Face, ArrayArrayCodec):
    """A registered codec from an array to an array."""

    def resolve_metadata(self, chunk_spec: Any) -> Any:
        """Return the metadata of encoded chunks, found by a trial."""
        given: np.dtype[Any] = chunk_spec.dtype.to_native_dtype()
        encoded = np.asarray(self.codec.encode(np.ones((2,) * len(chunk_spec.shape), dtype=given)))
        if encoded.dtype == given:
            return chunk_spec
        return replace(chunk_spec, dtype=zarr.dtype.parse_dtype(encoded.dtype, zarr_format=3))

    def _encode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        given = _little_endian(chunk.as_numpy_array())
        encoded = np.asarray(self.codec.encode(given))
        expected = self.resolve_metadata(chunk_spec).dtype.to_native_dtype()
        if encoded.size != given.size or encoded.dtype != expected:
            raise EncodingError(
                f"the filter {self.codec.codec_id!r} gives {encoded.size} elements of {encoded.dtype} for "
                f"{given.size} of {given.dtype}; in Zarr format 3 it gives as many, of {expected}"
            )
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(encoded.reshape(given.shape))

    def _decode_sync(self, chunk: Any, chunk_spec: Any) -> Any:
        decoded = self.codec.decode(np.ascontiguousarray(chunk.as_numpy_array()))
        return _elements(decoded, chunk_spec)


def _little_endian(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def _elements(decoded: Any, chunk_spec: Any) -> Any:
    """Return the elements of a chunk; a codec may return only their bytes."""
    dtype: np.dtype[Any] = chunk_spec.dtype.to_native_dtype()
    flat = np.ascontiguousarray(ensure_ndarray(decoded)).reshape(-1)
    elements = flat.view(dtype.newbyteorder("<")).reshape(chunk_spec.shape)
    return chunk_spec.prototype.nd_buffer.from_ndarray_like(elements.astype(dtype, copy=False))


# -- finding the place of a codec ------------------------------------------------------------------


@lru_cache(maxsize=_KEPT_TRIALS)
def _kind_of(_class: Hashable, said: str) -> Callable[[Any], Face]:
    """Return the wrapper class for a codec, from its class and its settings as JSON."""
    codec = numcodecs.get_codec(json.loads(said))
    if any(_is_filter(codec, np.dtype(dtype)) for dtype in _TRIAL_DTYPES):
        return RegisteredFilter
    return RegisteredCompressor if _keeps_bytes(codec) else RegisteredSerializer


def _is_filter(codec: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a codec encodes an array to an array, and not to bytes."""
    given = np.arange(30).reshape(6, 5).astype(dtype)
    found = _tried(codec.encode, given)
    if not isinstance(found, np.ndarray) or found.size != given.size:
        return False
    is_same = found.dtype == dtype and found.shape == given.shape
    return bool(found.dtype != np.uint8 or is_same)


def _keeps_bytes(codec: Any) -> bool:
    """Whether a codec encodes bytes and decodes them unchanged."""
    given = np.random.default_rng(0).integers(0, 256, 600, dtype=np.uint8)
    encoded = _tried(codec.encode, given)
    if encoded is None:
        return False
    decoded = _tried(codec.decode, np.frombuffer(ensure_bytes(encoded), dtype=np.uint8))
    return decoded is not None and bytes(ensure_bytes(decoded)) == given.tobytes()


def _tried(function: Callable[[Any], Any], given: npt.NDArray[Any]) -> Any:
    """Return a codec's result for an array; None if the codec refuses it."""
    try:
        with np.errstate(all="ignore"):
            return function(given.copy())
    except Exception:
        return None


def _as_json(codec: Any) -> str:
    try:
        return json.dumps(codec.get_config(), default=_plain)
    except (TypeError, ValueError) as error:
        raise LayoutError(
            f"the settings of the codec {codec.codec_id!r} are no JSON ({error}), which the metadata of an "
            "array are"
        ) from error


def _plain(value: Any) -> Any:
    """Convert a value of numpy to one that JSON can hold."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, np.dtype):
        return value.str
    raise TypeError(f"{type(value).__name__} {value!r:.100}")
