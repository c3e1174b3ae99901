"""Reads the pickles of earlier releases without running anything in them.

A pickle is a program. This is an interpreter for the few instructions in pickles of earlier releases
(arrays of objects and of records, numbers of numpy, and `hdmf_zarr.utils.ZarrReference`); it imports
nothing, calls nothing and builds only lists, tuples, dicts, numbers and text. Any other instruction or
global is an error that names it.

`PICKLED_GLOBALS` lists the globals that hdmf-zarr 0.1 to 0.13 wrote.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from hdmf_zarr.errors import MetadataError


class _Global(Enum):
    RECONSTRUCT = "reconstruct"
    NDARRAY = "ndarray"
    DTYPE = "dtype"
    SCALAR = "scalar"
    TEXT = "str"
    BYTES = "bytes"
    REFERENCE = "reference"


PICKLED_GLOBALS: dict[tuple[str, str], _Global] = {
    ("numpy._core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy.core.multiarray", "_reconstruct"): _Global.RECONSTRUCT,
    ("numpy", "ndarray"): _Global.NDARRAY,
    ("numpy", "dtype"): _Global.DTYPE,
    # In numbers in rows that 0.1 to 0.5 exported from HDF5.
    ("numpy._core.multiarray", "scalar"): _Global.SCALAR,
    ("numpy.core.multiarray", "scalar"): _Global.SCALAR,
    # In the dtype metadata of records with text that 0.1 to 0.9 exported from HDF5; they are named and never
    # called.
    ("builtins", "str"): _Global.TEXT,
    ("builtins", "bytes"): _Global.BYTES,
    ("hdmf_zarr.utils", "ZarrReference"): _Global.REFERENCE,
}

_SCALAR_TYPE = re.compile(r"[biuf][1248]|[SU][0-9]{1,6}")
"""Names of the readable types of single values: numbers, bytes and text."""


@dataclass(slots=True)
class _Dtype:
    name: str
    order: Any = "="
    fields: tuple[str, ...] | None = None


@dataclass(slots=True)
class PickledArray:
    """The content of a pickled array.

    Attributes
    ----------
    shape : tuple of int
    fields : tuple of str or None
        Names of the fields, if the elements are records.
    elements : list
        Elements in C order; records are tuples, references are dicts.
    """

    shape: tuple[int, ...] = ()
    fields: tuple[str, ...] | None = None
    elements: list[Any] = field(default_factory=list)
    is_built: bool = False


class _Mark:
    """Marker of the start of a sequence on the stack."""


_MARK = _Mark()

_MOST_DIMENSIONS = 64
_MOST_FIELDS = 1024
"""Limits of an array: a few repeated bytes can claim more, and cost time for nothing."""


def read_pickled_array(encoded: bytes) -> PickledArray:
    """Return the array that a pickle describes.

    Raises
    ------
    MetadataError
        If the pickle has an unknown instruction or global, is truncated, or does not hold an array.
    """
    result = _interpreted(encoded)
    if not isinstance(result, PickledArray) or not result.is_built:
        raise MetadataError(f"the pickle holds a {type(result).__name__}, not an array")
    return result


def read_pickled_scalar(encoded: bytes) -> Any:
    """Return the number or text that a pickle describes.

    Raises
    ------
    MetadataError
        If the pickle describes anything else.
    """
    result = _interpreted(encoded)
    if result is not None and not isinstance(result, (int, float, str)):
        raise MetadataError(f"the pickle holds a {type(result).__name__}, not a number or text")
    return result


def _interpreted(encoded: bytes) -> Any:
    try:
        return _Interpreter().run(encoded)
    except MetadataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise MetadataError(f"the pickle is malformed: {error!s:.200}") from error


class _Interpreter:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, encoded: bytes) -> Any:
        """Return the object that the pickle leaves on the stack."""
        for opcode, argument, position in pickletools.genops(encoded):
            if opcode.name == "STOP":
                return self.stack.pop()
            instruction = _INSTRUCTIONS.get(opcode.name)
            if instruction is None:
                raise MetadataError(
                    f"the pickle has the instruction {opcode.name} at byte {position}, which references "
                    "are not made of; nothing of it was run"
                )
            instruction(self, argument)
        raise MetadataError("the pickle is truncated")

    def pop_to_mark(self) -> list[Any]:
        """Pop everything above the last mark off the stack."""
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                taken = self.stack[position + 1 :]
                del self.stack[position:]
                return taken
        raise MetadataError("the pickle is malformed: a sequence has no start")

    # -- instructions ----------------------------------------------------------------------------

    def skip(self, _argument: Any) -> None:
        """Do nothing, for protocol and frame."""

    def push(self, argument: Any) -> None:
        """Push a constant."""
        self.stack.append(argument)

    def mark(self, _argument: Any) -> None:
        self.stack.append(_MARK)

    def memoize(self, _argument: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def stack_global(self, _argument: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known_global(module, name))

    def named_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(_known_global(module, name))

    def tuple_of_marked(self, _argument: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def append(self, _argument: Any) -> None:
        entry = self.stack.pop()
        _expect(self.stack[-1], list).append(entry)

    def appends(self, _argument: Any) -> None:
        entries = self.pop_to_mark()
        _expect(self.stack[-1], list).extend(entries)

    def set_item(self, _argument: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _expect(self.stack[-1], dict)[_expect(key, str)] = value

    def set_items(self, _argument: Any) -> None:
        entries = self.pop_to_mark()
        target = _expect(self.stack[-1], dict)
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            target[_expect(key, str)] = value

    def reduce(self, _argument: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function is _Global.RECONSTRUCT and arguments[:1] == (_Global.NDARRAY,):
            self.stack.append(PickledArray())
        elif function is _Global.DTYPE and arguments and isinstance(arguments[0], str):
            self.stack.append(_Dtype(arguments[0]))
        elif function is _Global.SCALAR and isinstance(arguments, tuple):
            self.stack.append(_scalar(*arguments))
        elif function is _Global.REFERENCE and arguments == ():
            self.stack.append({})
        else:
            raise MetadataError(
                f"the pickle calls {_named(function)}, which references do not need"
            )

    def new_object(self, _argument: Any) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if kind is not _Global.REFERENCE or arguments != ():
            raise MetadataError(f"the pickle makes a {_named(kind)}, which references do not need")
        self.stack.append({})

    def build(self, _argument: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, PickledArray):
            _set_array_state(target, state)
        elif isinstance(target, _Dtype):
            target.order, target.fields = state[1], _field_names(state[3])
        elif not isinstance(target, dict) or state:
            raise MetadataError(f"the pickle sets the state of a {type(target).__name__}")


def _field_names(names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if len(_expect(names, tuple)) > _MOST_FIELDS:
        raise MetadataError(f"the pickle holds records of {len(names)} fields")
    return tuple(_expect(name, str) for name in names)


def _scalar(dtype: Any, raw: Any) -> Any:
    """Return a number, bytes or text from its bytes in a pickle, or a record from its array."""
    spelled = _expect(dtype, _Dtype).name
    if isinstance(raw, PickledArray) and raw.is_built and raw.shape == () and raw.fields:
        return raw.elements[0]
    if not _SCALAR_TYPE.fullmatch(spelled) or dtype.order not in ("<", ">", "=", "|"):
        raise MetadataError(f"the pickle holds one value of the dtype {spelled!r:.100}")
    of_numpy = np.dtype(spelled).newbyteorder(dtype.order)
    if len(_expect(raw, bytes)) != of_numpy.itemsize:
        raise MetadataError(f"the pickle holds {len(raw)} bytes for a value of {spelled!r}")
    if not raw:
        return b"" if of_numpy.kind == "S" else ""
    return np.frombuffer(raw, of_numpy)[0].item()


def _named(value: Any) -> str:
    """Return the name of a global, or the type of any other object, which may be too large to show."""
    return value.value if isinstance(value, _Global) else type(value).__name__


def _set_array_state(array: PickledArray, state: Any) -> None:
    _version, shape, dtype, is_fortran, elements = state
    if not isinstance(dtype, _Dtype) or not isinstance(elements, list):
        raise MetadataError("the pickle holds an array of plain bytes, not of objects")
    if is_fortran:
        raise MetadataError("the pickle holds an array in Fortran order, which was never written")
    if len(_expect(shape, tuple)) > _MOST_DIMENSIONS:
        raise MetadataError(f"the pickle holds an array of {len(shape)} dimensions")
    if any(_expect(size, int) < 0 for size in shape):
        raise MetadataError("the pickle holds an array of a negative size")
    count = math.prod(shape)
    if count != len(elements):
        raise MetadataError(
            f"the pickle holds {len(elements)} elements for the shape {shape!r:.200}"
        )
    array.shape, array.fields, array.elements = shape, dtype.fields, elements
    array.is_built = True


def _known_global(module: Any, name: Any) -> _Global:
    known = PICKLED_GLOBALS.get((_expect(module, str), _expect(name, str)))
    if known is None:
        raise MetadataError(
            f"the pickle names the global {module:.100}.{name:.100}, which references do not need; it was "
            "neither imported nor run"
        )
    return known


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise MetadataError(
            f"the pickle is malformed: {type(value).__name__} in place of {kind.__name__}"
        )
    return value


def _constant(make: Callable[[], Any]) -> Callable[[_Interpreter, Any], None]:
    def push(interpreter: _Interpreter, _argument: Any) -> None:
        interpreter.stack.append(make())

    return push


def _tuple_of(count: int) -> Callable[[_Interpreter, Any], None]:
    def push(interpreter: _Interpreter, _argument: Any) -> None:
        entries = tuple(interpreter.stack[-count:])
        if len(entries) != count or _MARK in entries:
            raise MetadataError("the pickle is malformed: a tuple has too few entries")
        del interpreter.stack[-count:]
        interpreter.stack.append(entries)

    return push


_INSTRUCTIONS: dict[str, Callable[[_Interpreter, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _Interpreter.skip),
    **dict.fromkeys(
        (
            *("BININT", "BININT1", "BININT2", "LONG1", "INT", "BINFLOAT"),
            *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"),
            *("BINBYTES", "SHORT_BINBYTES"),
        ),
        _Interpreter.push,
    ),
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_TUPLE": _constant(tuple),
    "EMPTY_LIST": _constant(list),
    "EMPTY_DICT": _constant(dict),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _Interpreter.tuple_of_marked,
    "MARK": _Interpreter.mark,
    "MEMOIZE": _Interpreter.memoize,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Interpreter.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Interpreter.get),
    "STACK_GLOBAL": _Interpreter.stack_global,
    "GLOBAL": _Interpreter.named_global,
    "APPEND": _Interpreter.append,
    "APPENDS": _Interpreter.appends,
    "SETITEM": _Interpreter.set_item,
    "SETITEMS": _Interpreter.set_items,
    "REDUCE": _Interpreter.reduce,
    "NEWOBJ": _Interpreter.new_object,
    "BUILD": _Interpreter.build,
}
