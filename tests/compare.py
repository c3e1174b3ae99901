"""Strict comparison of two HDMF builder trees, wherever each was read from.

Every difference is collected as one line that begins with the path of the builder, so that a failing
test shows all of them. What a backend cannot know is left out: chunks, ``maxshape`` and, of an empty
text or reference dataset (for which HDF5IO gives no data), the shape beyond "no elements".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5Dataset
from hdmf.build import Builder, DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.query import HDMFDataset

SHOWN = 120
"""Characters of a value that a difference shows."""


@dataclass(frozen=True)
class Value:
    """What a value is, in words that do not depend on the backend.

    Attributes
    ----------
    kind : str
        A numpy dtype name, ``"text"``, ``"ascii"``, ``"reference"``, ``"S5"``..., ``"empty"``, or
        for compounds the names and kinds of the fields.
    shape : tuple of int or None
        None where it is not known, of a dataset without elements.
    elements : list
        All elements, flat; references as the paths of their targets.
    """

    kind: str
    shape: tuple[int, ...] | None
    elements: list[Any]


def assert_builders_equal(
    a: Builder, b: Builder, *, ignore: Callable[[str], bool] | None = None
) -> None:
    """Fail with every difference between two builder trees.

    Parameters
    ----------
    a, b : Builder
    ignore : callable, optional
        Told the path of a builder, or of an attribute as ``/path@name``; where it says True, that
        object (and what is below it) is not compared.
    """
    found = list(differences(a, b, ignore=ignore))
    assert not found, f"{len(found)} differences:\n" + "\n".join(found)


def differences(
    a: Builder, b: Builder, path: str = "/", *, ignore: Callable[[str], bool] | None = None
) -> Iterator[str]:
    """Yield a line for each difference between two builder trees."""
    ignore = ignore or (lambda _path: False)
    if ignore(path):
        return
    kinds = [type(builder).__name__ for builder in (a, b)]
    if kinds[0] != kinds[1]:
        yield f"{path}: {kinds[0]} != {kinds[1]}"
        return
    if a.name != b.name:
        yield f"{path}: name {a.name!r} != {b.name!r}"
    if isinstance(a, LinkBuilder):
        if target_of(a.builder, a.source) != target_of(b.builder, b.source):
            yield (
                f"{path}: link to {target_of(a.builder, a.source)} "
                f"!= {target_of(b.builder, b.source)}"
            )
        return
    yield from _attribute_differences(a, b, path, ignore)
    if isinstance(a, GroupBuilder):
        for kind in ("groups", "datasets", "links"):
            yield from _child_differences(
                getattr(a, kind), getattr(b, kind), path, kind[:-1], ignore
            )
    else:
        yield from _value_differences(dataset_value(a), dataset_value(b), path)


def target_of(builder: Builder, source: str | None) -> str:
    """Return the path of a builder in its file; with the file before it where that is not `source`."""
    path = path_of(builder)
    return path if builder.source == source else f"{builder.source}:{path}"


def path_of(builder: Builder) -> str:
    """Return the absolute path of a builder in its file."""
    location = getattr(builder, "location", None)
    if location is not None and builder.name != "root":
        return f"{location}/{builder.name}".replace("//", "/")
    return "/" + builder.path.removeprefix("root").lstrip("/")


def _child_differences(
    a: Any, b: Any, path: str, what: str, ignore: Callable[[str], bool]
) -> Iterator[str]:
    for name in sorted(set(a) | set(b)):
        child = f"{path.rstrip('/')}/{name}"
        if name in a and name in b:
            yield from differences(a[name], b[name], child, ignore=ignore)
        elif not ignore(child):
            yield f"{child}: {what} only in the {'first' if name in a else 'second'}"


def _attribute_differences(
    a: Any, b: Any, path: str, ignore: Callable[[str], bool]
) -> Iterator[str]:
    for name in sorted(set(a.attributes) | set(b.attributes)):
        where = f"{path}@{name}"
        if ignore(where):
            continue
        if name in a.attributes and name in b.attributes:
            yield from _value_differences(
                attribute_value(a.attributes[name], a.source),
                attribute_value(b.attributes[name], b.source),
                where,
            )
        else:
            side = "first" if name in a.attributes else "second"
            yield f"{where}: attribute only in the {side}"


def _value_differences(a: Value, b: Value, where: str) -> Iterator[str]:
    if a.kind != b.kind:
        yield f"{where}: dtype {a.kind} != {b.kind}"
    if None in (a.shape, b.shape):
        sizes = [0 if v.shape is None else math.prod(v.shape) for v in (a, b)]
        if sizes != [0, 0]:
            yield f"{where}: shape {a.shape} != {b.shape}"
        return
    if a.shape != b.shape:
        yield f"{where}: shape {a.shape} != {b.shape}"
        return
    unequal = [
        i for i, (x, y) in enumerate(zip(a.elements, b.elements, strict=True)) if not _same(x, y)
    ]
    if unequal:
        first = unequal[0]
        yield (
            f"{where}: {len(unequal)} of {len(a.elements)} values differ, the first at {first}: "
            f"{a.elements[first]!r:.{SHOWN}} != {b.elements[first]!r:.{SHOWN}}"
        )


def same_values(a: Value, b: Value) -> bool:
    """Whether two values are of the same kind, shape and elements."""
    return not list(_value_differences(a, b, ""))


def _same(x: Any, y: Any) -> bool:
    if isinstance(x, tuple) and isinstance(y, tuple):
        return len(x) == len(y) and all(_same(i, j) for i, j in zip(x, y, strict=True))
    if type(x) is not type(y):
        return False
    if isinstance(x, np.ndarray) or isinstance(
        y, np.ndarray
    ):  # of different lengths, in an attribute
        return type(x) is type(y) and x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True)
    return bool(x == y) or (isinstance(x, float) and math.isnan(x) and math.isnan(y))


# -- values ----------------------------------------------------------------------------------------


def attribute_value(value: Any, source: str | None) -> Value:
    """Return what an attribute is; a reference is one whatever class of object stands for it."""
    if isinstance(value, ReferenceBuilder):
        value = value.builder
    if isinstance(value, Builder):
        return Value("reference", (), [target_of(value, source)])
    if isinstance(value, h5py.Empty):
        return Value(f"empty {value.dtype}", None, [])
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Builder):
        return Value("reference", (len(value),), [target_of(entry, source) for entry in value])
    return _plain(np.asarray(value, dtype=object if _holds_text(value) else None))


def dataset_value(builder: DatasetBuilder) -> Value:
    """Return what a dataset is, with all of its elements read."""
    kind = _declared_kind(builder.dtype)
    data = builder.data
    if data is None:
        return Value(kind, None, [])
    if isinstance(builder.dtype, list):
        return Value(kind, *_records(data, builder))
    if kind == "reference":
        return Value(kind, *_references(data, builder))
    is_scalar = getattr(data, "shape", None) == () or isinstance(data, (str, bytes))
    plain = _plain(np.asarray(data[()] if hasattr(data, "shape") else data, dtype=_object_if(kind)))
    if is_scalar and kind == "ascii" and plain.kind == "text":
        # One text is given as str, whatever it is on disk.
        return Value(kind, (), plain.elements)
    if kind != plain.kind and plain.elements:
        return Value(f"{kind}, elements of which are {plain.kind}", plain.shape, plain.elements)
    held = getattr(data, "dtype", None)
    if isinstance(held, np.dtype) and held.kind not in "OU" and held != builder.dtype:
        return Value(f"{kind}, data of which are {held}", plain.shape, plain.elements)
    return plain if plain.elements else Value(kind, plain.shape, [])


def _object_if(kind: str) -> Any:
    return object if kind in ("text", "ascii") else None


def _holds_text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_text(entry) for entry in value)
    return isinstance(value, (str, bytes)) and not isinstance(value, np.bytes_)


def _plain(array: np.ndarray) -> Value:
    """An array without references; the kind of objects is told by the elements themselves."""
    flat = array.ravel()
    if array.dtype.kind in "UT":
        return Value("text", array.shape, [str(entry) for entry in flat])
    if array.dtype.kind != "O":
        return Value(_number_kind(array.dtype), array.shape, flat.tolist())
    names = {str: "text", np.str_: "text", bytes: "ascii", np.bytes_: "ascii"}
    kinds = sorted({names.get(type(entry), type(entry).__name__) for entry in flat})
    elements = [str(e) if isinstance(e, str) else e for e in flat]
    return Value(" and ".join(kinds) or "text", array.shape, elements)


def _number_kind(dtype: np.dtype) -> str:
    return dtype.str.lstrip("|") if dtype.kind == "S" else dtype.name


def _declared_kind(dtype: Any) -> str:
    if isinstance(dtype, list):
        return "compound " + ", ".join(f"{field['name']}: {field['dtype']}" for field in dtype)
    if isinstance(dtype, np.dtype):
        if h5py.check_ref_dtype(dtype) is not None:
            return "reference"
        text = h5py.check_string_dtype(dtype)
        if text is not None and text.length is None:
            return "ascii" if text.encoding == "ascii" else "text"
        return _number_kind(dtype)
    if dtype == "object":
        return "reference"
    return str(dtype)


def _references(data: Any, builder: DatasetBuilder) -> tuple[tuple[int, ...], list[Any]]:
    if isinstance(data, ReferenceBuilder):
        return (), [target_of(data.builder, builder.source)]
    found = data[:] if isinstance(data, HDMFDataset) else data
    flat = np.empty(len(found), dtype=object)
    flat[:] = [_target(entry, builder) for entry in found]
    return tuple(data.shape), flat.tolist()


def _records(data: Any, builder: DatasetBuilder) -> tuple[tuple[int, ...], list[Any]]:
    names = [field["name"] for field in builder.dtype]
    if isinstance(data, np.ndarray) and data.shape == ():
        return (), [tuple(_field(data[name][()], builder) for name in names)]
    assert isinstance(data, HDMFDataset), type(data)
    rows = data[:]
    if isinstance(data, H5Dataset) and isinstance(rows, np.void):
        rows = np.array([rows])
    return tuple(data.shape), [tuple(_field(row[name], builder) for name in names) for row in rows]


def _field(value: Any, builder: DatasetBuilder) -> Any:
    if isinstance(value, (Builder, ReferenceBuilder)):
        return _target(value, builder)
    if isinstance(value, h5py.Reference):
        return f"unresolved {value}"
    return value.item() if isinstance(value, np.generic) else value


def _target(value: Any, builder: DatasetBuilder) -> str | None:
    if value is None:
        return None
    value = value.builder if isinstance(value, ReferenceBuilder) else value
    return target_of(value, builder.source)
