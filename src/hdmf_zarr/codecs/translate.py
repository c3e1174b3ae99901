"""A numcodecs codec <-> the Zarr codec that does the same; Zarr codecs pass through."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numcodecs
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec
from zarr.errors import ZarrUserWarning
from zarr.registry import get_codec_class

from hdmf_zarr.codecs.hdf5.codecs import PREFIX
from hdmf_zarr.codecs.registered import missing_codec, registered_codec
from hdmf_zarr.codecs.registry import NUMCODECS
from hdmf_zarr.errors import LayoutError, MissingExtraError, OptionError

ZarrCodec = ArrayArrayCodec | ArrayBytesCodec | BytesBytesCodec

_BLOSC_SHUFFLE = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
_BLOSC_AUTOSHUFFLE = -1


def to_zarr_codec(codec: Any, itemsize: int) -> ZarrCodec:
    """Return the codec of Zarr format 3 for a codec of numcodecs or of zarr.

    Parameters
    ----------
    codec : zarr.abc.codec.Codec, numcodecs.abc.Codec or dict
        Codec, or a dict with its JSON.
    itemsize : int
        Number of bytes of one element, for the shuffle of Blosc.

    Raises
    ------
    OptionError
        If ``codec`` is no codec.
    LayoutError
        If Zarr has no equivalent codec.
    MissingExtraError
        If the JSON names a codec of numcodecs that is not installed.
    """
    if isinstance(codec, (ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec)):
        return codec
    if isinstance(codec, dict) and "name" in codec:
        return _from_name(codec["name"], codec.get("configuration", {}))
    if isinstance(codec, dict) and "id" in codec:
        try:
            codec = numcodecs.get_codec(dict(codec))
        except ValueError as error:
            reason = missing_codec(codec["id"])
            raise LayoutError(f"there is no codec {codec['id']!r} ({error}): {reason}") from error
    if not isinstance(codec, numcodecs.abc.Codec):
        raise OptionError(
            f"expected a codec of numcodecs or of zarr.codecs, found {codec!r:.100} of type "
            f"{type(codec).__name__}"
        )
    own = _OWN_CODECS.get(codec.codec_id)
    if own is not None:
        return own(codec, itemsize)
    configuration = {key: value for key, value in codec.get_config().items() if key != "id"}
    prefix = "" if codec.codec_id.startswith(PREFIX) else NUMCODECS
    try:
        return _from_name(prefix + codec.codec_id, configuration)
    except MissingExtraError as error:
        raise LayoutError(f"no reader can make {codec!r:.200}: {error}") from error
    except TypeError as error:
        raise LayoutError(
            f"no reader can make {codec!r:.200}: its settings do not make it again ({error})"
        ) from error


def makes_bytes(document: Mapping[str, Any]) -> bool:
    """Whether a codec of numcodecs, given by its JSON of Zarr format 3, turns an array into bytes.

    In format 2 such a codec is a compressor.
    """
    if not document["name"].startswith(NUMCODECS):
        return False
    codec = _from_name(document["name"], document.get("configuration") or {})
    return isinstance(codec, ArrayBytesCodec)


def _from_name(name: str, configuration: dict[str, Any]) -> ZarrCodec:
    registered: Any = registered_codec({"name": name, "configuration": configuration})
    if registered is not None:
        return registered  # type: ignore[no-any-return]
    try:
        codec_class = get_codec_class(name)
    except (KeyError, ValueError):  # depends on the version of zarr-python
        raise LayoutError(f"Zarr has no codec {name!r}; choose another compressor") from None
    with warnings.catch_warnings():
        # zarr warns at each use that codecs of numcodecs are not part of its specification; a user
        # who names one has chosen it.
        warnings.simplefilter("ignore", ZarrUserWarning)
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr")
        codec: Any = codec_class.from_dict({"name": name, "configuration": configuration})
    assert isinstance(codec, (ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec))
    return codec


def _blosc(codec: Any, itemsize: int) -> ZarrCodec:
    shuffle = codec.shuffle
    if shuffle == _BLOSC_AUTOSHUFFLE:
        shuffle = 2 if itemsize == 1 else 1
    return BloscCodec(
        cname=codec.cname,
        clevel=codec.clevel,
        shuffle=_BLOSC_SHUFFLE[shuffle],  # type: ignore[arg-type]
        typesize=min(itemsize, 255),
        blocksize=codec.blocksize,
    )


def _zstd(codec: Any, _itemsize: int) -> ZarrCodec:
    return ZstdCodec(level=codec.level, checksum=bool(codec.checksum))


def _gzip(codec: Any, _itemsize: int) -> ZarrCodec:
    return GzipCodec(level=codec.level)


def _crc32c(_codec: Any, _itemsize: int) -> ZarrCodec:
    return Crc32cCodec()


_OWN_CODECS: dict[str, Callable[[Any, int], ZarrCodec]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "gzip": _gzip,
    "crc32c": _crc32c,
}


# -- and back --------------------------------------------------------------------------------------

_SHUFFLES = {name: number for number, name in _BLOSC_SHUFFLE.items()}


def to_numcodecs(codec: Any) -> Any:
    """Return the codec of numcodecs that is equivalent to a codec of zarr, or else the codec itself.

    Parameters
    ----------
    codec : zarr.abc.codec.Codec

    Examples
    --------
    >>> to_numcodecs(GzipCodec(level=1)) == numcodecs.GZip(level=1)
    True
    """
    document = codec.to_dict()
    try:
        configuration = numcodecs_configuration(
            document["name"], document.get("configuration") or {}
        )
        return numcodecs.get_codec(configuration)
    except (LayoutError, ValueError, TypeError):  # unknown to numcodecs, or not installed
        return codec


def numcodecs_configuration(name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the JSON of a codec of zarr to that of the codec of numcodecs; inverse of `to_zarr_codec`.

    Raises
    ------
    LayoutError
        If numcodecs has no equivalent codec, so that Zarr format 2 cannot name it.
    """
    if name == "blosc":
        return {
            "id": "blosc",
            "cname": configuration["cname"],
            "clevel": configuration["clevel"],
            "shuffle": _SHUFFLES[configuration["shuffle"]],
            "blocksize": configuration.get("blocksize", 0),
        }
    if name == "zstd":
        # numcodecs before 0.13 knows no checksum.
        checksum = {"checksum": True} if configuration.get("checksum") else {}
        return {"id": "zstd", "level": configuration["level"], **checksum}
    if name in ("gzip", "crc32c"):
        return {"id": name, **configuration}
    if name.startswith(NUMCODECS):
        return {"id": name.removeprefix(NUMCODECS), **configuration}
    if name.startswith(PREFIX):
        return {"id": name, **configuration}  # the codec of numcodecs has the same name
    raise LayoutError(f"the codec {name!r} has no representation in Zarr format 2")
