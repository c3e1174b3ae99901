"""Data types, codecs and attributes that readers outside of Python cannot open.

The entries come from a test: TensorStore 0.1.86 and zarrita.js 0.7.5 (in Node.js) read arrays of
each type and codec, written by zarr-python 3.1.6, and the values were compared. MATLAB means
MathWorks' "MATLAB Support for Zarr Files" 0.1.0, which uses TensorStore and, by its release notes,
reads only Zarr format 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hdmf_zarr.checking import rules
from hdmf_zarr.checking.inventory import Examined
from hdmf_zarr.checking.report import Finding
from hdmf_zarr.codecs import registry
from hdmf_zarr.codecs.registry import MATLAB, TENSORSTORE, ZARRITA
from hdmf_zarr.convention import JSON
from hdmf_zarr.convention.attributes import holds_no_unicode, holds_not_finite
from hdmf_zarr.metadata.node import GroupNode, codec_names, node_of

READERS = {3: (TENSORSTORE, ZARRITA), 2: (TENSORSTORE, ZARRITA, MATLAB)}
"""Zarr format -> readers that can open its stores."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A feature that some readers cannot open, and advice for the user."""

    readers: tuple[str, ...]
    advice: str


_AS_NUMBERS = "Python reads it. For the others, store numbers: a code in place of a text."
_PLAIN_CODECS = "Write it with Blosc, gzip or zstd alone, which every reader knows."
_NO_COMPOUND = "For these readers, store each field as an array of its own."

_TENSORSTORE_KIN = (TENSORSTORE, MATLAB)
_ALL = (TENSORSTORE, ZARRITA, MATLAB)

DATA_TYPES: dict[str, Obstacle] = {
    "string": Obstacle((TENSORSTORE,), _AS_NUMBERS),
    "fixed_length_utf32": Obstacle((TENSORSTORE, ZARRITA), _AS_NUMBERS),
    "null_terminated_bytes": Obstacle((TENSORSTORE, ZARRITA), _AS_NUMBERS),
    "variable_length_bytes": Obstacle((TENSORSTORE, ZARRITA), _AS_NUMBERS),
    "structured": Obstacle((TENSORSTORE, ZARRITA), _NO_COMPOUND),
    "struct": Obstacle((TENSORSTORE, ZARRITA), _NO_COMPOUND),
    "float16": Obstacle((ZARRITA,), "Store float32."),
    "complex64": Obstacle((ZARRITA,), "Store real and imaginary parts."),
    "complex128": Obstacle((ZARRITA,), "Store real and imaginary parts."),
}
"""Data type of Zarr format 3 -> readers that cannot open it. TensorStore reads a compound only field
by field, and none that contains text."""

FORMAT2_TYPES: dict[str, Obstacle] = {
    "O": Obstacle(_TENSORSTORE_KIN, _AS_NUMBERS),
    "U": Obstacle(_TENSORSTORE_KIN, _AS_NUMBERS),
    "V": Obstacle(_ALL, _NO_COMPOUND),
    "e": Obstacle((ZARRITA,), "Store float32."),
    "c": Obstacle((ZARRITA,), "Store real and imaginary parts."),
}
"""Kind of a data type of Zarr format 2 -> readers that cannot open it."""

_ADVICE = {
    "vlen-bytes": _AS_NUMBERS,
    "pickle": "Run 'hdmf-zarr upgrade': references become text.",
}
"""Codec of Zarr format 2 -> advice, where another codec does not help."""

NAN_TOKEN = Obstacle(
    _ALL,
    "JSON has no NaN and no infinity: convert with --strict-json (or --dandi), which spells them out.",
)

NOT_UNICODE = Obstacle(
    _ALL,
    "Correct the text in the source, and convert it again: its bytes are not UTF-8, as JSON is.",
)


def check_other_readers(examined: Examined) -> Iterator[Finding]:
    """Report once each type, codec and attribute that readers outside of Python cannot open."""
    found: dict[str, tuple[Obstacle, list[str]]] = {}
    if examined.zarr_format == 3:
        message = f"{MATLAB} cannot open Zarr format 3"
        yield _finding("", message, "Convert with 'hdmf-zarr convert --zarr-format 2' for MATLAB.")
    for path in examined.nodes():
        for what, obstacle in _obstacles(examined, path):
            found.setdefault(what, (obstacle, []))[1].append(path)
    for what, (obstacle, paths) in found.items():
        readers = _listed([r for r in obstacle.readers if r in READERS[examined.zarr_format]])
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        yield _finding(paths[0], f"{readers} cannot open {what}{more}", obstacle.advice)


def _finding(path: str, message: str, advice: str) -> Finding:
    return replace(Finding.of(rules.OTHER_READERS, path, message), advice=advice)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _obstacles(examined: Examined, path: str) -> Iterator[tuple[str, Obstacle]]:
    document = examined.hierarchy.documents[path]
    if holds_not_finite(examined.hierarchy.attributes(path)):
        yield "metadata with NaN or infinity in an attribute", NAN_TOKEN
    if holds_no_unicode(examined.hierarchy.attributes(path)):
        yield "metadata with text that is not Unicode in an attribute", NOT_UNICODE
    node = node_of(document)
    if isinstance(node, GroupNode) or node.why_unreadable is not None:
        return
    if node.format2 is not None:
        yield from _format2_obstacles(node.format2)
        return
    data_type = node.data_type
    name = data_type.get("name") if isinstance(data_type, Mapping) else data_type
    if name in DATA_TYPES:
        yield f"the data type {name}", DATA_TYPES[name]
    for codec in codec_names(node.codecs):
        if readers := registry.info(codec).unknown_to:
            yield f"the codec {codec}", Obstacle(readers, _PLAIN_CODECS)


def _format2_obstacles(metadata: Mapping[str, JSON]) -> Iterator[tuple[str, Obstacle]]:
    dtype = metadata["dtype"]
    kind = "V" if isinstance(dtype, list) else "e" if dtype[1:] == "f2" else dtype[1]
    if kind in FORMAT2_TYPES:
        shown = "compounds" if kind == "V" else f"the data type {dtype}"
        yield shown, FORMAT2_TYPES[kind]
    codecs = [*(metadata.get("filters") or ()), metadata.get("compressor") or {}]
    for codec in codecs:
        known = registry.FORMAT2_CODECS.get(codec.get("id", ""))
        if known is not None and known.unknown_in_format2_to:
            advice = _ADVICE.get(codec["id"], _PLAIN_CODECS)
            yield f"the codec {codec['id']}", Obstacle(known.unknown_in_format2_to, advice)
