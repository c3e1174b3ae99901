"""What is known of each codec, in one table; all other tables of codecs are views of it. Pure.

The modules `direct`, `checked`, `translate` and `hdf5` implement the codecs by name; a test compares them
with the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

NUMCODECS = "numcodecs."
"""Prefix of the names of numcodecs' codecs in Zarr format 3."""

OWN = "hdmf_zarr."
"""Prefix of the names of this package's codecs, in both formats."""

SHARDING = "sharding_indexed"

TENSORSTORE, ZARRITA, MATLAB = "TensorStore", "zarrita.js", "MATLAB"
"""Readers in other languages than Python."""

Role = Literal["serializer", "filter", "compressor", "checksum", "objects", "shards"]
"""Purpose of a codec: to bytes, to other elements, to fewer bytes, a checksum, for objects, or shards."""

Loss = Literal["none", "once", "each time", "unknown"]
"""Loss of a codec: none; rounding once, after which values stay the same; some rounding each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecInfo:
    """The properties of a codec.

    Attributes
    ----------
    name : str
        Name in the documents of Zarr format 3.
    numcodecs_id : str or None
        Name in the documents of Zarr format 2; None if format 2 cannot have the codec.
    role : str
    loss : str
    settings : frozenset of str, or None
        Settings that this package understands when it decodes without zarr-python; None for all settings.
    depends_on_shape : bool
        Whether the settings depend on the shape of a chunk.
    is_bundled : bool
        Whether numcodecs alone includes the codec, so that zarr-python 3 can use it in format 2.
    is_for_archive : bool
        Whether every reader of Zarr format 2 knows the codec; stores for the DANDI archive may use it.
    is_in_zarrs : bool
        Whether the package ``zarrs`` decodes the codec as zarr-python does; checked with zarrs 0.2.3.
    unknown_to : tuple of str
        Other readers that cannot open the codec in Zarr format 3.
    unknown_in_format2_to : tuple of str
        Other readers that cannot open the codec in Zarr format 2.
    """

    name: str
    numcodecs_id: str | None = None
    role: Role = "compressor"
    loss: Loss = "none"
    settings: frozenset[str] | None = None
    depends_on_shape: bool = False
    is_bundled: bool = False
    is_for_archive: bool = False
    is_in_zarrs: bool = False
    unknown_to: tuple[str, ...] = ()
    unknown_in_format2_to: tuple[str, ...] = ()


_FEW = (TENSORSTORE, ZARRITA)
_ALL = (TENSORSTORE, ZARRITA, MATLAB)
_KIN = (TENSORSTORE, MATLAB)


def _of_zarr(name: str, *, settings: str = "", **known: Any) -> CodecInfo:
    """Return the properties of a codec that the format itself names."""
    return CodecInfo(
        name=name,
        settings=frozenset(settings.split()),
        is_in_zarrs=known.pop("is_in_zarrs", True),
        **known,
    )


def _of_numcodecs(codec_id: str, *, settings: str | None = None, **known: Any) -> CodecInfo:
    """Return the properties of a codec that zarr-python takes from numcodecs."""
    return CodecInfo(
        name=NUMCODECS + codec_id,
        numcodecs_id=codec_id,
        settings=None if settings is None else frozenset(settings.split()),
        is_bundled=known.pop("is_bundled", True),
        unknown_to=known.pop("unknown_to", (TENSORSTORE,)),
        **known,
    )


def _of_hdf5(name: str, **known: Any) -> CodecInfo:
    """Return the properties of a codec of this package for an HDF5 filter."""
    return CodecInfo(name=OWN + name, numcodecs_id=OWN + name, unknown_to=_FEW, **known)


_ROWS = (
    _of_zarr("bytes", settings="endian", role="serializer", is_for_archive=True),
    _of_zarr("transpose", settings="order", role="filter"),
    CodecInfo(name=SHARDING, role="shards", is_in_zarrs=True),
    _of_zarr(
        "blosc",
        settings="typesize cname clevel shuffle blocksize",
        numcodecs_id="blosc",
        is_for_archive=True,
    ),
    _of_zarr("zstd", settings="level checksum", numcodecs_id="zstd", is_for_archive=True),
    _of_zarr("gzip", settings="level", numcodecs_id="gzip", is_for_archive=True),
    _of_zarr("crc32c", numcodecs_id="crc32c", role="checksum", is_for_archive=True),
    _of_zarr(
        "vlen-utf8",
        numcodecs_id="vlen-utf8",
        role="serializer",
        is_in_zarrs=False,
        is_bundled=True,
    ),
    _of_zarr(
        "vlen-bytes",
        numcodecs_id="vlen-bytes",
        role="serializer",
        is_in_zarrs=False,
        unknown_in_format2_to=_ALL,
        is_bundled=True,
    ),
    _of_numcodecs("blosc"),
    _of_numcodecs("zstd", settings="level checksum"),
    _of_numcodecs("gzip", settings="level"),
    _of_numcodecs("zlib", settings="level", is_for_archive=True),
    _of_numcodecs("bz2", settings="level", unknown_to=_FEW, unknown_in_format2_to=(ZARRITA,)),
    _of_numcodecs("lzma", unknown_to=_FEW, unknown_in_format2_to=_ALL),
    _of_numcodecs("lz4", unknown_in_format2_to=_KIN),
    _of_numcodecs("pcodec", is_bundled=False),
    _of_numcodecs("zfpy", is_bundled=False, loss="each time"),
    _of_numcodecs("shuffle", settings="elementsize", role="filter", unknown_in_format2_to=_KIN),
    _of_numcodecs("delta", role="filter", unknown_in_format2_to=_KIN),
    _of_numcodecs("packbits", role="filter"),
    _of_numcodecs("astype", role="filter", loss="once"),
    _of_numcodecs("bitround", role="filter", loss="once"),
    _of_numcodecs("fixedscaleoffset", role="filter", loss="once"),
    _of_numcodecs("quantize", role="filter", loss="once"),
    _of_numcodecs("adler32", role="checksum"),
    _of_numcodecs("crc32", role="checksum"),
    _of_numcodecs("crc32c", role="checksum"),
    _of_numcodecs("fletcher32", role="checksum", unknown_to=_FEW, unknown_in_format2_to=_ALL),
    _of_numcodecs("jenkins_lookup3", role="checksum"),
    _of_numcodecs("base64", loss="unknown"),
    _of_numcodecs("categorize", role="objects", loss="unknown"),
    *(
        _of_numcodecs(codec_id, role="objects", loss="unknown", is_bundled=False)
        for codec_id in ("json", "msgpack", "msgpack2", "vlen-array")
    ),
    _of_hdf5("lzf"),
    _of_hdf5("lz4"),
    _of_hdf5("bitshuffle"),
    _of_hdf5("szip", depends_on_shape=True),
    _of_hdf5("blosc2", depends_on_shape=True),
    _of_hdf5("zfp", loss="each time"),
    CodecInfo(name=OWN + "json2", numcodecs_id="json2", role="objects", unknown_to=_FEW),
    CodecInfo(
        name=OWN + "pickle",
        numcodecs_id="pickle",
        role="objects",
        unknown_to=_FEW,
        unknown_in_format2_to=_ALL,
    ),
)

CODECS: Mapping[str, CodecInfo] = {row.name: row for row in _ROWS}
"""Name in Zarr format 3 -> codec."""

FORMAT2_CODECS: Mapping[str, CodecInfo] = {
    row.numcodecs_id: row for row in reversed(_ROWS) if row.numcodecs_id is not None
}
"""Name in Zarr format 2 -> codec; of two rows with one name, the row of the format's own codec."""


def info(name: str) -> CodecInfo:
    """Return the properties of a codec by its name in Zarr format 3; for unknown codecs, by its prefix.

    Examples
    --------
    >>> info("zstd").numcodecs_id
    'zstd'
    >>> info("numcodecs.of_others").unknown_to
    ('TensorStore',)
    """
    if name in CODECS:
        return CODECS[name]
    if name.startswith(NUMCODECS):
        codec_id = name.removeprefix(NUMCODECS)
        return CodecInfo(
            name=name, numcodecs_id=codec_id, loss="unknown", unknown_to=(TENSORSTORE,)
        )
    return CodecInfo(name=name, loss="unknown")


# -- views -----------------------------------------------------------------------------------------


def _named(rows: Iterator[CodecInfo]) -> frozenset[str]:
    return frozenset(row.name for row in rows)


SERIALIZERS = _named(row for row in _ROWS if row.role == "serializer")
"""Codecs that turn elements into bytes."""

OBJECT_CODECS = _named(row for row in _ROWS if row.role == "objects" and row.name.startswith(OWN))
"""Codecs of this package for the chunks of objects of Zarr format 2."""

CRC32C = _named(row for row in _ROWS if row.numcodecs_id == "crc32c")
"""Names of the last codec of arrays whose user asked for a checksum."""

EXACT = _named(row for row in _ROWS if row.loss == "none" and row.role != "shards")
"""Codecs that decode exactly what they encoded."""

ROUNDING = _named(row for row in _ROWS if row.loss == "once")
"""Filters that round values once and then keep them."""

APPROXIMATE = _named(row for row in _ROWS if row.loss == "each time")
"""Codecs that round values each time."""

SHAPED = _named(row for row in _ROWS if row.depends_on_shape)
"""Codecs whose settings depend on the shape of a chunk."""

LOSSLESS_FILTERS = _named(row for row in _ROWS if row.role == "filter" and row.loss == "none")
"""Filters that lose nothing."""

FOR_ARCHIVE = _named(row for row in _ROWS if row.is_for_archive)
"""Codecs that every reader of Zarr format 2 knows."""

IN_ZARRS = _named(row for row in _ROWS if row.is_in_zarrs)
"""Codecs that the package ``zarrs`` decodes as zarr-python does."""

IN_TENSORSTORE = _named(
    row
    for row in _ROWS
    if TENSORSTORE not in row.unknown_to and row.role != "objects" and row.name[:5] != "vlen-"
)
"""Codecs of Zarr format 3 that TensorStore opens."""

BUNDLED = frozenset(row.numcodecs_id for row in _ROWS if row.is_bundled)
"""Codecs of Zarr format 2 that numcodecs includes without other packages."""

SETTINGS = {row.name: row.settings for row in _ROWS if row.settings is not None}
"""Codec -> settings that this package understands; any other setting may change the meaning of the bytes."""
