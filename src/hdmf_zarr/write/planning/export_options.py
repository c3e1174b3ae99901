"""The options that decide what is planned, those of single datasets included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import numpy as np

from hdmf_zarr.errors import OptionError
from hdmf_zarr.write.planning.layout import checked_sizes

PerDataset = Mapping[str, Any] | Callable[[str, Any], Any]
"""A value for each dataset: by path (or pattern of paths), or by a function of path and dataset."""

ExternalLinks = Literal["follow", "keep"]

KEEP, DEFAULT = "keep", "default"


@dataclass(frozen=True, kw_only=True)
class LayoutOptions:
    """The layout of the datasets of an export.

    Attributes
    ----------
    codecs : {"keep", "default"}, mapping or callable
        ``"keep"`` keeps the codecs of the source, ``"default"`` encodes again with the default
        codecs. A mapping of paths (``"/acquisition/raw/data"``, or patterns, for example
        ``"*/data"``) or a function of path and dataset gives ``"keep"``, ``"default"``, a codec, or
        a list of codecs; None, or a path that is not in the mapping, keeps the codecs.
    chunks : mapping, callable or None
        Shape of chunks, by path in the same way; None keeps the chunks of the source.
    shards : "auto", mapping, callable or None
        Shape of shards, by path in the same way; ``"auto"`` packs chunks into shards of about 64
        MB, None writes each chunk to a file.
    strict : bool
        Raise if the HDF5 filters of a dataset have no Zarr codec, instead of encoding it with the
        default codec.
    verify : bool
        Decode each chunk that is copied unchanged once, as a check.
    """

    codecs: Any = KEEP
    chunks: PerDataset | None = None
    shards: Any = None
    strict: bool = False
    verify: bool = False

    def __post_init__(self) -> None:
        for name in ("strict", "verify"):
            require_bool(name, getattr(self, name))
        if isinstance(self.codecs, str) and self.codecs not in (KEEP, DEFAULT):
            raise OptionError(f"codecs must be 'keep' or 'default', found {self.codecs!r}")
        for name, allowed in (("codecs", (KEEP, DEFAULT)), ("chunks", ()), ("shards", ("auto",))):
            value = getattr(self, name)
            is_per_dataset = isinstance(value, Mapping) or callable(value) or value is None
            if not is_per_dataset and not (isinstance(value, str) and value in allowed):
                spelled = "".join(f"{word!r}, " for word in allowed)
                raise OptionError(
                    f"{name} must be {spelled}a mapping of paths or a function of path and dataset, "
                    f"found {value!r:.100}"
                )
            for path in value if isinstance(value, Mapping) else ():
                if not isinstance(path, str):
                    raise OptionError(f"{name}: a path must be text, found {path!r:.100}")

    def of(self, path: str, dataset: Any) -> DatasetOptions:
        """Return the options of one dataset.

        Parameters
        ----------
        path : str
            Path of the dataset, without a leading slash.
        dataset : array
            Dataset of the source, with a shape and a dtype.
        """
        codecs = self._value("codecs", path, dataset)
        chunks = self._value("chunks", path, dataset)
        shards = self._value("shards", path, dataset)
        rank = len(dataset.shape)
        is_left_to_us = shards is None or (isinstance(shards, str) and shards == "auto")
        return DatasetOptions(
            codecs=KEEP if codecs is None else codecs,
            chunks=None if chunks is None else checked_sizes("chunks", chunks, rank),
            shards=shards if is_left_to_us else checked_sizes("shards", shards, rank),
        )

    def check_paths(self, paths: Iterable[str]) -> None:
        """Raise `OptionError` if a mapping has a pattern that matches none of the paths."""
        known = list(paths)
        for name in ("codecs", "chunks", "shards"):
            value = getattr(self, name)
            for pattern in value if isinstance(value, Mapping) else ():
                if not any(_fits(path, pattern) for path in known):
                    raise OptionError(
                        f"{name}: {pattern!r} is the path of no dataset whose layout can be chosen"
                    )

    def _value(self, name: str, path: str, dataset: Any) -> Any:
        value = getattr(self, name)
        if callable(value):
            return value("/" + path, dataset)
        if not isinstance(value, Mapping):
            return value
        return next((entry for pattern, entry in value.items() if _fits(path, pattern)), None)


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """The options of a write or an export that affect the plan.

    Attributes
    ----------
    link_data : bool
        Link to arrays of other Zarr stores instead of copying them.
    external_links : {"follow", "keep"}
        ``"follow"`` copies the targets of links to other files, ``"keep"`` links to the stores that
        these files are converted to.
    checksum : bool
        End each encoded chunk of every array with its CRC-32C.
    strict_json : bool
        Write NaN and infinities in attributes as text.
    layout : LayoutOptions
        Layout of the datasets of an export.

    Raises
    ------
    OptionError
        If the value of an option is invalid.
    """

    link_data: bool = True
    external_links: ExternalLinks = "follow"
    checksum: bool = False
    strict_json: bool = False
    layout: LayoutOptions = field(default_factory=LayoutOptions)

    def __post_init__(self) -> None:
        check_switches(self, "link_data", "checksum", "strict_json")
        if self.external_links not in get_args(ExternalLinks):
            raise OptionError(
                f"external_links must be 'follow' or 'keep', found {self.external_links!r:.100}"
            )


def check_switches(options: object, *names: str) -> None:
    """Raise `OptionError` if one of these attributes is neither True nor False."""
    for name in names:
        require_bool(name, getattr(options, name))


def require_bool(name: str, value: object) -> None:
    """Raise `OptionError` for a value other than True and False: ``"no"`` would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{name} must be True or False, found {value!r:.100}")


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern.lstrip("/"))


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetOptions:
    """The options of one dataset; see `LayoutOptions`."""

    codecs: Any = KEEP
    chunks: tuple[int, ...] | None = None
    shards: Any = None
