"""Codecs for chunks of objects, which only Zarr format 2 has.

Arrays of objects are read through a view of data type ``string``: each element is the JSON text of a
reference (``{"source", "path", ...}``), of a record of a compound (a list), or text itself. zarr requires
``vlen-utf8`` to serialize strings, so these codecs come after it and turn its bytes into those of the chunk.
Entry points register the codecs with zarr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numcodecs.vlen import VLenUTF8
from zarr.abc.codec import BytesBytesCodec

from hdmf_zarr.codecs.objects.pickles import read_pickled_array
from hdmf_zarr.core.limits import parsed_json
from hdmf_zarr.errors import EncodingError, MetadataError

PICKLE_CODEC = "hdmf_zarr.pickle"

LONGEST_TEXT = 2**16
"""Largest number of characters of a path, or of another text of a reference."""

MOST_CELLS = 1024
"""Largest number of values in a record."""

_LEAST_BELIEVED = 2**26
_MOST_PER_BYTE = 256
"""Largest number of characters of a decoded chunk: a constant, plus a number for each encoded byte.

A pickle repeats an object in two bytes. Columns of references to one object, or of one text, are below this
limit; a few bytes that decode to gigabytes are not.
"""

_REFERENCE_KEYS = ("source", "path", "object_id", "source_object_id")


@dataclass(frozen=True)
class _ObjectsCodec(BytesBytesCodec):
    """Base of both codecs; the conversion itself is synchronous."""

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its JSON."""
        return cls(**data.get("configuration", {}))

    def evolve_from_array_spec(self, array_spec: Any) -> Self:
        """Return the codec itself: it does not depend on the array."""
        return self

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: Any) -> int:
        """Raise `NotImplementedError`: objects differ in size."""
        raise NotImplementedError(f"{type(self).__name__} has no fixed size ({input_byte_length})")

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        texts = self.decode_texts(chunk_bytes.to_bytes(), tuple(chunk_spec.shape))
        return chunk_spec.prototype.buffer.from_bytes(VLenUTF8().encode(texts.ravel()))

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        return self._decode_sync(chunk_bytes, chunk_spec)

    def _encode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        texts = VLenUTF8().decode(chunk_bytes.to_bytes()).reshape(tuple(chunk_spec.shape))
        return chunk_spec.prototype.buffer.from_bytes(self.encode_texts(texts))

    async def _encode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        return self._encode_sync(chunk_bytes, chunk_spec)

    def decode_texts(self, encoded: bytes, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the elements of a chunk as an object array of ``str``."""
        raise NotImplementedError

    def encode_texts(self, texts: npt.NDArray[Any]) -> bytes:
        """Return the chunk that holds elements; inverse of `decode_texts`."""
        raise NotImplementedError


@dataclass(frozen=True)
class PickledObjectsCodec(_ObjectsCodec):
    """Pickled arrays of references, as hdmf-zarr 0.1 to 0.13 wrote them; read only.

    Attributes
    ----------
    is_text : bool
        Whether the elements are text of any length, even if it looks like JSON. Versions 0.1 to 0.9
        pickled scalar text in this way when they exported from HDF5.
    """

    is_text: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's JSON."""
        configuration = {"is_text": True} if self.is_text else {}
        return {"name": PICKLE_CODEC, "configuration": configuration}

    def decode_texts(self, encoded: bytes, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the elements of a chunk as an object array of ``str``.

        Raises
        ------
        MetadataError
            If the pickle is not one of references or records (or text), or does not fill the chunk.
        """
        array = read_pickled_array(encoded)
        believed = _LEAST_BELIEVED + _MOST_PER_BYTE * len(encoded)
        text_of = _text_alone if self.is_text else _text_of
        return _texts_of(array.elements, array.shape, shape, believed, text_of)

    def encode_texts(self, texts: npt.NDArray[Any]) -> bytes:
        """Raise `EncodingError`: pickles are not written."""
        raise EncodingError(f"pickles are not written ({texts.size} elements)")


@dataclass(frozen=True)
class JSONObjectsCodec(_ObjectsCodec):
    """Chunks of numcodecs' ``json2``: the elements, a dtype and the shape in one JSON list.

    Attributes
    ----------
    is_text : bool
        Whether elements that look like JSON are also written as text.
    """

    is_text: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's JSON."""
        configuration = {"is_text": True} if self.is_text else {}
        return {"name": "hdmf_zarr.json2", "configuration": configuration}

    def decode_texts(self, encoded: bytes, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the elements of a chunk as an object array of ``str``.

        Raises
        ------
        MetadataError
            If the document is not a list of elements, a dtype and a shape that fits the chunk.
        """
        try:
            document = json.loads(encoded)
            *items, _dtype, held = document
            held = tuple(int(size) for size in held)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise MetadataError(f"the chunk is not a json2 document: {error!s:.200}") from error
        count = math.prod(held)
        elements = items[:1] if not held else _flattened(items, len(held))
        if len(elements) != count:
            raise MetadataError(
                f"the chunk holds {len(elements)} elements for the shape {held!r:.200}"
            )
        return _texts_of(elements, held, shape, None)

    def encode_texts(self, texts: npt.NDArray[Any]) -> bytes:
        """Return the chunk that holds elements; inverse of `decode_texts`."""
        objects = list(texts.ravel()) if self.is_text else [_object_of(t) for t in texts.ravel()]
        nested = _nested(objects, texts.shape)
        document = [*nested, "|O", list(texts.shape)]
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")


def _texts_of(
    elements: list[Any],
    held: tuple[int, ...],
    shape: tuple[int, ...],
    believed: int | None,
    text_of: Callable[[Any], str] | None = None,
) -> npt.NDArray[Any]:
    if math.prod(held) != math.prod(shape):
        raise MetadataError(
            f"the chunk holds elements of the shape {held!r:.200}, expected {shape}"
        )
    texts = np.empty(len(elements), dtype=object)
    characters = 0
    for position, element in enumerate(elements):
        texts[position] = text = (text_of or _text_of)(element)
        characters += len(text)
        if believed is not None and characters > believed:
            raise MetadataError(f"the chunk becomes more than {believed} characters of text")
    return texts.reshape(shape)


def _text_of(element: Any) -> str:
    if isinstance(element, (str, bytes)):
        return _checked(_checked_cell(element))
    if isinstance(element, dict):
        return json.dumps(_checked_reference(element))
    if isinstance(element, (list, tuple)):
        if len(element) > MOST_CELLS:
            raise MetadataError(f"a record holds more than {MOST_CELLS} values")
        return json.dumps([_checked_cell(cell) for cell in element])
    if element is None or element == 0:
        return ""  # the fill value, and the padding of a chunk beyond the end of its array
    return json.dumps(_checked_cell(element))


def _text_alone(element: Any) -> str:
    """Return an element that is text, of any length."""
    if not isinstance(element, (str, bytes)):
        raise MetadataError(f"the chunk holds a {type(element).__name__}, expected text")
    try:
        return element.decode("utf-8") if isinstance(element, bytes) else _encodable(element)
    except UnicodeDecodeError as error:
        raise MetadataError(f"{element!r:.100} is not UTF-8: {error.reason}") from error


def _object_of(text: str) -> Any:
    """Return the object that a chunk holds for an element; inverse of `_text_of`."""
    if text == "":
        return None
    return parsed_json(text, "an element") if text[:1] in "{[" else text


def _checked_cell(cell: Any) -> Any:
    if isinstance(cell, dict):
        return _checked_reference(cell)
    if isinstance(cell, str):
        return _encodable(cell)
    if isinstance(cell, bytes):
        try:
            return cell.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MetadataError(f"{cell!r:.100} is not UTF-8: {error.reason}") from error
    if cell is None or isinstance(cell, (bool, int, float)):
        return cell
    raise MetadataError(
        f"a record holds a {type(cell).__name__}, expected a number, text or reference"
    )


def _checked_reference(reference: dict[str, Any]) -> dict[str, Any]:
    """Return the known keys of a reference, each text or None; other keys are ignored."""
    checked = {key: reference.get(key) for key in _REFERENCE_KEYS}
    for key, value in checked.items():
        if value is not None and not isinstance(value, str):
            raise MetadataError(
                f"{key!r} of a reference must be text, found {type(value).__name__}"
            )
        if value is not None:
            _checked(value)
    if checked["path"] is None:
        raise MetadataError(f"a reference has no path; its keys are {sorted(reference)[:8]}")
    return checked


def _checked(text: str) -> str:
    # Specifications are scalar text of any length; a path is short.
    if len(text) > LONGEST_TEXT and text[:1] != "{":
        raise MetadataError(f"a text of {len(text)} characters is too long for a path")
    return _encodable(text)


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MetadataError(f"{text!r:.100} is not text: {error.reason}") from error
    return text


def _flattened(items: Iterable[Any], depth: int) -> list[Any]:
    elements = list(items)
    for _ in range(depth - 1):
        if not all(isinstance(entry, list) for entry in elements):
            raise MetadataError("the lists of a json2 document are not nested as its shape says")
        elements = [entry for row in elements for entry in row]
    return elements


def _nested(objects: list[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) < 2:
        return objects
    step = math.prod(shape[1:])
    rows = [objects[start : start + step] for start in range(0, len(objects), step)]
    return [_nested(row, shape[1:]) for row in rows]
