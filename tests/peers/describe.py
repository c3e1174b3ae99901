"""What a file holds, as JSON that does not depend on the backend that read it.

Also a script, which an environment with a released version runs: it uses what every version has.
What the releases do not keep is left out: the difference between text, ASCII and dates, and the
dtypes of attributes.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder

Description = dict[str, Any]


def describe(root: GroupBuilder) -> Description:
    """Return one entry for each object and attribute of a file, by its path."""
    return dict(_entries(root, ""))


def _entries(builder: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, value in builder.attributes.items():
        if not name.startswith(("_", ".")):
            yield f"{path}@{name}", _value(value)[1]
    if isinstance(builder, DatasetBuilder):
        yield path, list(_dataset(builder))
        return
    yield path or "/", "group"
    for name, link in builder.links.items():
        yield f"{path}/{name}", _link(link, builder)
    for name, child in {**builder.groups, **builder.datasets}.items():
        yield from _entries(child, f"{path}/{name}")


def _link(link: LinkBuilder, group: GroupBuilder) -> Any:
    """Return the target's path, or, of a dataset of another store, what it holds.

    The release gives an object of another store no more than its name.
    """
    target = link.builder
    if target.source == group.source or not isinstance(target, DatasetBuilder):
        return f"-> {_target(target)}"
    return ["elsewhere", target.name, *_dataset(target)]


def _dataset(builder: DatasetBuilder) -> tuple[Any, Any]:
    """Return the dtype, where it is one of numbers, and the values."""
    dtype, values = _value(builder.data)
    if values in (None, []):
        return None, None  # HDF5 gives nothing for an empty text, so neither its type nor its shape
    return dtype, values


def _value(value: Any) -> tuple[Any, Any]:
    """Return the dtype of numbers (else None), and a value as what JSON knows."""
    if isinstance(value, (ReferenceBuilder, GroupBuilder, DatasetBuilder, LinkBuilder)):
        return None, f"-> {_target(getattr(value, 'builder', value))}"
    if isinstance(value, (bytes, np.bytes_)):
        return None, bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, (str, type(None))):
        return None, value if value is None else str(value)
    if isinstance(value, np.void):
        return None, [_value(entry) for entry in value]
    if isinstance(value, (np.generic, bool, int, float)):
        return np.asarray(value).dtype.name, repr(np.asarray(value).item())
    if hasattr(value, "shape") and not isinstance(value, np.ndarray):
        value = value[()] if value.shape == () else value[:]
        if not isinstance(value, (np.ndarray, list)):
            return _value(value)
    if isinstance(value, np.ndarray) and value.shape == ():
        return _value(value[()])
    entries = [_value(entry) for entry in value]
    if isinstance(value, np.ndarray) and value.dtype.names is None and value.dtype.kind in "biuf":
        return value.dtype.name, [entry for _, entry in entries]
    return _one_dtype(entries), [entry for _, entry in entries]


def _one_dtype(entries: list[tuple[Any, Any]]) -> Any:
    """Dtype of the entries of a list; those of records one by one, as each field has its own."""
    return entries[0][0] if entries and len({repr(dtype) for dtype, _ in entries}) == 1 else None


def _target(builder: Any) -> str:
    path = str(builder.path)
    return "/" + path.removeprefix("root").strip("/")


def main(path: str, mode: str, output: str) -> None:
    """Read a store with the installed hdmf-zarr and write its description."""
    from hdmf_zarr import NWBZarrIO

    warnings.simplefilter("ignore")
    with NWBZarrIO(path, mode) as io:
        Path(output).write_text(json.dumps(describe(io.read_builder())))


if __name__ == "__main__":
    main(*sys.argv[1:])
