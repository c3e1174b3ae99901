"""Kinds of value that users give, and the places where they put them."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
from hdmf.build import DatasetBuilder, GroupBuilder


class Letter(str, enum.Enum):  # noqa: UP042 - of which `str` gives something else
    """`str` gives ``Letter.B`` for it."""

    A = "a"
    B = "b"


class Word(enum.StrEnum):
    B = "b"


class OddText(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


class OddBytes(bytes):
    def __bytes__(self) -> bytes:
        return b"other bytes"


class BytesLetter(bytes, enum.Enum):
    B = b"b"


class Number(enum.IntEnum):
    A = 1
    B = 2


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Other(enum.Enum):
    A = 1


class Real(float, enum.Enum):
    A = 2.5


class Whole(int):
    pass


class Pair(NamedTuple):
    a: int
    b: int


STRINGS = np.dtypes.StringDType()
UTC = datetime.UTC


def objects(*entries: Any) -> np.ndarray:
    """An array of objects, whatever they are."""
    made = np.empty(len(entries), object)
    for place, entry in enumerate(entries):
        made[place] = entry
    return made


def variable(dtype: str, *entries: Any) -> np.ndarray:
    """Arrays of different lengths in an array, as h5py has them."""
    made = np.empty(len(entries), h5py.vlen_dtype(dtype))
    for place, entry in enumerate(entries):
        made[place] = np.array(entry, dtype)
    return made


RECORD = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])

ONE: dict[str, Any] = {
    "str": "a",
    "no text": "",
    "UTF-8": "µ",
    "NaN as text": "NaN",
    "NUL at the end": "a\0",
    "NUL inside": "a\0b",
    "a lone surrogate": "a\udcff",
    "str enum": Letter.B,
    "StrEnum": Word.B,
    "str subclass": OddText("x"),
    "numpy.str_": np.str_("a"),
    "bytes": b"a",
    "no bytes": b"",
    "bytes that are no text": b"\xff",
    "bytes with NUL": b"\xff\0a",
    "bytes subclass": OddBytes(b"x"),
    "bytes enum": BytesLetter.B,
    "numpy.bytes_": np.bytes_(b"a"),
    "numpy.bytes_ that are no text": np.bytes_(b"\xff"),
    "bytearray": bytearray(b"ab"),
    "int": 3,
    "negative": -3,
    "large": 2**40,
    "2**63": 2**63,
    "2**64": 2**64,
    "bool": True,
    "numpy.bool": np.bool_(True),
    "IntEnum": Number.B,
    "IntFlag": Flags.A | Flags.B,
    "Enum": Other.A,
    "int subclass": Whole(7),
    "float enum": Real.A,
    "float": 1.5,
    "NaN": float("nan"),
    "infinity": float("-inf"),
    **{name: np.dtype(name).type(1) for name in ("float16", "float32", "int8", "uint64", "int64")},
    "complex64": np.complex64(1 + 2j),
    "None": None,
    "Ellipsis": ...,
    "an object": object(),
    "datetime": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    "date": datetime.date(2024, 1, 2),
    "time": datetime.time(1, 2),
    "timedelta": datetime.timedelta(1),
    "datetime64": np.datetime64("2024-01-02"),
    "timedelta64": np.timedelta64(3, "s"),
    "Timestamp": pd.Timestamp("2024-01-02"),
    "NaT": pd.NaT,
    "NA": pd.NA,
    "Decimal": decimal.Decimal("1.5"),
    "Fraction": fractions.Fraction(1, 2),
    "Path": pathlib.PurePosixPath("/a/b"),
    "UUID": uuid.UUID(int=1),
}

SEVERAL: dict[str, Any] = {
    "dict": {"a": 1},
    "like a reference": {"_REFERENCE": {"path": "/a"}},
    "like a reference of format 2": {"zarr_dtype": "object", "value": {"path": "/a"}},
    "set": {1},
    "range": range(3),
    "named tuple": Pair(1, 2),
    "deque": collections.deque([1, 2]),
    "array of Python": array.array("i", [1, 2]),
    "texts": ["a", "bc"],
    "tuple of text": ("a",),
    "str, enum": ["x", Letter.B],
    "enum, str": [Letter.B, "x"],
    "text, None": ["a", None],
    "None, text": [None, "a"],
    "None alone": [None],
    "text, NaN": ["a", float("nan")],
    "NaN, text": [float("nan"), "a"],
    "text, int": ["a", 1],
    "int, text": [1, "a"],
    "text, bytes": ["a", b"b"],
    "bytes, text": [b"b", "a"],
    "text, bad bytes": ["x", b"\xff"],
    "text, Path": ["a", pathlib.PurePosixPath("b")],
    "text, bool": ["a", True],
    "text, NA": ["a", pd.NA],
    "text, NaT": ["a", pd.NaT],
    "many bytes": [b"a", b"bc"],
    "many bad bytes": [b"\xff"],
    "ints": [1, 2],
    "int, None": [1, None],
    "None, int": [None, 1],
    "float, None": [1.5, None],
    "NaN, None": [float("nan"), None],
    "int, bool": [1, True],
    "bools": [True, False],
    "float, text": [1.5, "a"],
    "many IntEnum": [Number.A, Number.B],
    "2**63 and 1": [2**63, 1],
    "2**63 and -1": [-1, 2**63],
    "many 2**64": [2**64],
    "int8, int16": [np.int8(1), np.int16(300)],
    "complex numbers": [1 + 2j],
    "no columns, list": [[]],
    "table": [[1, 2], [3, 4]],
    "ragged": [[1], [2, 3]],
    "ragged text": [["a"], ["b", "c"]],
    "table of text": [["a"], ["b"]],
    "list, None": [[1], None],
    "int, list": [1, [2]],
    "text, list": ["a", ["b"]],
    "None in a table": [[1, None]],
    "None in a table of text": [["a", None]],
    "many dates": [datetime.date(2024, 1, 2)],
    "many datetime64": [np.datetime64("2024-01-02")],
    "many Decimal": [decimal.Decimal("1.5")],
    "many NA": [pd.NA],
}

ARRAYS: dict[str, Any] = {
    "0-d int": np.array(3),
    "0-d U": np.array("abc"),
    "0-d U, empty": np.array(""),
    "0-d S": np.array(b"abc"),
    "0-d text object": np.array("a", object),
    "0-d bytes object": np.array(b"a", object),
    "0-d None": np.array(None, object),
    "0-d StringDType": np.array("a", STRINGS),
    "0-d enum": np.array(Letter.B, object),
    "0-d bool": np.array(True),
    "U": np.array(["a", "bcd"]),
    "U, 2-d": np.array([["a", "b"], ["c", "d"]]),
    "S": np.array([b"a", b"bcd"]),
    "S that is no text": np.array([b"\xff"]),
    "S with NUL": np.array([b"a\0b"]),
    "S of no width": np.array([b""], "S"),
    "objects of text": objects("a", "b"),
    "objects of text and None": objects("a", None),
    "objects of bytes": objects(b"a", b"b"),
    "objects of bad bytes": objects(b"\xff", b"a"),
    "objects of text and int": objects("a", 1),
    "objects of int and None": objects(1, None),
    "objects of ints": objects(1, 2),
    "objects of text and NaN": objects("a", float("nan")),
    "objects of enums": objects("x", Letter.B),
    "objects of lists": objects([1], [2, 3]),
    "objects of arrays": objects(np.array([1], "i4"), np.array([2, 3], "i4")),
    "StringDType": np.array(["a", "bc"], STRINGS),
    "StringDType with None": np.array(["a", None], np.dtypes.StringDType(na_object=None)),
    "h5py's text": np.array(["a", "b"], dtype=h5py.string_dtype()),
    "h5py's ASCII": np.array([b"a", b"b"], dtype=h5py.string_dtype("ascii")),
    "h5py's fixed text": np.array([b"a"], dtype=h5py.string_dtype("utf-8", 5)),
    "h5py's enumeration": np.array([0, 1], dtype=h5py.enum_dtype({"A": 0, "B": 1}, "i1")),
    "vlen int": variable("i4", [1], [2, 3]),
    "vlen float": variable("f8", [1.5, np.nan], []),
    "vlen of one length": variable("u8", [1, 2], [3, 2**63]),
    "vlen bool": variable("?", [True], [False, True]),
    "vlen, 2-d": variable("i2", [1], [2, 3], [], [4]).reshape(2, 2),
    "vlen, empty": variable("i2"),
    "int32": np.array([1, 2], "i4"),
    "big-endian": np.array([1, 2], ">i4"),
    "floats with NaN": np.array([np.nan, 1.0]),
    "bool array": np.array([True, False]),
    "longdouble": np.array([1.5], "g"),
    "datetime64 array": np.array(["2024-01-02"], "M8[D]"),
    "records": RECORD,
    "a record": RECORD[0],
    "no floats": np.zeros(0),
    "no int32": np.zeros(0, "i4"),
    "no U": np.zeros(0, "U1"),
    "no S": np.zeros(0, "S3"),
    "no objects": np.zeros(0, object),
    "no rows": np.zeros((0, 3), "i2"),
    "no columns": np.zeros((3, 0), "i2"),
    "masked": np.ma.array([1, 2], mask=[0, 1]),
    "not masked": np.ma.array([1, 2]),
    "matrix": np.ones((1, 2)).view(np.matrix),
    "empty float": h5py.Empty("f4"),
    "empty text": h5py.Empty(h5py.string_dtype()),
    "empty ASCII": h5py.Empty(h5py.string_dtype("ascii")),
    "empty S": h5py.Empty("S5"),
    "Series": pd.Series([1, 2]),
    "Series of text": pd.Series(["a", "b"]),
    "Series of text and None": pd.Series(["a", None], dtype=object),
    "Categorical": pd.Categorical(["a", "b"]),
    "Int64": pd.array([1, 2], dtype="Int64"),
    "Int64 with NA": pd.array([1, None], dtype="Int64"),
    "string": pd.array(["a", "b"], dtype="string"),
    "string with NA": pd.array(["a", None], dtype="string"),
    "Index": pd.Index([1, 2]),
    "Index of text": pd.Index(["a", "b"]),
    "DataFrame": pd.DataFrame({"a": [1]}),
}

VALUES: dict[str, Any] = {**ONE, **SEVERAL, **ARRAYS}

Make = Callable[[Any, Any], GroupBuilder]


def _attribute(value: Any) -> GroupBuilder:
    return GroupBuilder("root", attributes={"v": value})


def _dataset(data: Any, dtype: Any = None) -> GroupBuilder:
    return GroupBuilder("root", datasets=[DatasetBuilder("data", data, dtype=dtype)])


def _row(value: Any, dtype: str) -> GroupBuilder:
    return _dataset([(1, value)], [{"name": "n", "dtype": "int32"}, {"name": "s", "dtype": dtype}])


PLACES: dict[str, Make] = {
    "attribute of a group": lambda v, _io: _attribute(v),
    "attribute of a dataset": lambda v, _io: GroupBuilder(
        "root", datasets=[DatasetBuilder("data", [1], attributes={"v": v})]
    ),
    "attribute [v]": lambda v, _io: _attribute([v]),
    "attribute ['x', v]": lambda v, _io: _attribute(["x", v]),
    "attribute of objects": lambda v, _io: _attribute(objects(v)),
    "dataset": lambda v, _io: _dataset(v),
    "dataset of text": lambda v, _io: _dataset(v, "text"),
    "dataset of ASCII": lambda v, _io: _dataset(v, "ascii"),
    "[v]": lambda v, _io: _dataset([v]),
    "['x', v] of text": lambda v, _io: _dataset(["x", v], "text"),
    "['x', v]": lambda v, _io: _dataset(["x", v]),
    "[['x', v]] of text": lambda v, _io: _dataset([["x", v]], "text"),
    "objects ['x', v] of text": lambda v, _io: _dataset(objects("x", v), "text"),
    "[1.5, v] of floats": lambda v, _io: _dataset([1.5, v], "float64"),
    "field of text": lambda v, _io: _row(v, "text"),
    "field of ASCII": lambda v, _io: _row(v, "ascii"),
    "field of floats": lambda v, _io: _row(v, "float64"),
    "wrapped, of text": lambda v, io: _dataset(io(v), "text"),
}
"""Each makes a tree of a value and the class that wraps data for a backend."""
