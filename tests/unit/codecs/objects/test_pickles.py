"""The interpreter of pickles gives what numpy has pickled, and runs nothing of any other pickle."""

from __future__ import annotations

import os
import pickle
import pickletools
import subprocess
import sys
import tracemalloc
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.codecs.objects.pickles import (
    PICKLED_GLOBALS,
    read_pickled_array,
    read_pickled_scalar,
)
from hdmf_zarr.errors import MetadataError

PROTOCOLS = range(3, pickle.HIGHEST_PROTOCOL + 1)
"""Those of Python 3; before, bytes are the call of another global."""


class ZarrReference(dict):  # type: ignore[type-arg]
    """What the releases made references of."""


@pytest.fixture
def reference() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Makes references whose pickles name the class of the releases."""
    import hdmf_zarr.utils

    before = hdmf_zarr.utils.__dict__.get("ZarrReference")
    kind = types.new_class("ZarrReference", (dict,))
    kind.__module__ = "hdmf_zarr.utils"
    hdmf_zarr.utils.ZarrReference = kind

    def make(path: str, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = kind(source=".", path=path, object_id=None, source_object_id="7")
        found.update(more)
        return found

    yield make
    if before is None:
        del hdmf_zarr.utils.ZarrReference
    else:
        hdmf_zarr.utils.ZarrReference = before


def objects(*elements: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array if shape is None else array.reshape(shape)


# -- what the releases wrote -----------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_references_are_read(protocol: int, reference: Any) -> None:
    array = objects(reference("/a"), reference("/b", source="../o.zarr"), reference("/a"))
    read = read_pickled_array(pickle.dumps(array, protocol))
    assert read.shape == (3,)
    assert read.fields is None
    assert read.elements == [dict(entry) for entry in array]
    assert {type(entry) for entry in read.elements} == {dict}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_records_with_references_are_read(protocol: int, reference: Any) -> None:
    dtype = np.dtype([("start", "<i4"), ("count", "<i4"), ("series", "O")])
    rows = [(0, 5, reference("/a")), (-7, 2**31 - 1, reference("/b"))]
    read = read_pickled_array(pickle.dumps(np.array(rows, dtype=dtype), protocol))
    assert read.fields == ("start", "count", "series")
    assert read.elements == rows


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rows_of_objects_are_read(protocol: int, reference: Any) -> None:
    array = objects(0, 5, reference("/a"), 1, 6, reference("/b"), shape=(2, 3))
    read = read_pickled_array(pickle.dumps(array, protocol))
    assert read.shape == (2, 3)
    assert read.elements == array.ravel().tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "entry", [0, 1, -1, 255, 65536, 2**40, -(2**70), True, False, None, 0.5, "ä\n", "x" * 300]
)
def test_constants_are_read(protocol: int, entry: Any) -> None:
    assert read_pickled_array(pickle.dumps(objects(entry, entry), protocol)).elements == [entry] * 2
    assert read_pickled_scalar(pickle.dumps(entry, protocol)) == entry


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 1, 2)])
def test_shapes_are_read(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, dtype=object)
    read = read_pickled_array(pickle.dumps(array, 5))
    assert read.shape == shape
    assert read.elements == array.ravel().tolist()


def test_a_chunk_may_hold_nothing_but_the_fill_value() -> None:
    assert read_pickled_array(pickle.dumps(np.full(4, 0, dtype=object), 5)).elements == [0] * 4


def test_one_object_that_is_named_twice_is_there_twice(reference: Any) -> None:
    one = reference("/a")
    assert read_pickled_array(pickle.dumps(objects(one, one), 5)).elements == [dict(one)] * 2


NUMBERS_OF_NUMPY = [
    *(np.int32(-7), np.uint8(255), np.int64(-(2**63)), np.uint64(2**64 - 1), np.float16(0.5)),
    *(np.float32(0.1), np.float64("inf"), np.bool_(True), np.bool_(False)),
    *(np.bytes_(b"ab\0c"), np.bytes_(b""), np.str_("h\xe4\n"), np.str_("")),
    np.array([5], ">i4")[0],
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", NUMBERS_OF_NUMPY, ids=repr)
def test_numbers_of_numpy_are_read(protocol: int, value: Any, reference: Any) -> None:
    row = [value, value, reference("/a")]
    (read,) = read_pickled_array(pickle.dumps(objects(row), protocol)).elements
    assert read == [value.item(), value.item(), dict(row[2])]
    assert [type(entry) for entry in read[:2]] == [type(value.item())] * 2


def test_a_number_in_the_other_order_of_bytes_is_read() -> None:
    little = pickle.dumps(np.int32(1), 3)
    big = little.replace(b"<", b">").replace(b"\x01\x00\x00\x00q", b"\x00\x00\x00\x01q")
    assert big != little
    assert read_pickled_scalar(big) == read_pickled_scalar(little) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_records_of_numpy_with_text_are_read(protocol: int) -> None:
    """As h5py marks text: the types that it names are read past, and not called."""
    text, ascii_text = (np.dtype("O", metadata={"vlen": kind}) for kind in (str, bytes))
    dtype = np.dtype([("a", "i4"), ("b", text), ("c", ascii_text)])
    rows = [(1, "x\xe9", b"y"), (2, "", b"")]
    encoded = pickle.dumps(objects(*np.array(rows, dtype=dtype)), protocol)
    if protocol > 3:
        assert {"vlen", "scalar", "builtins"} <= {
            argument for _, argument, _ in pickletools.genops(encoded) if isinstance(argument, str)
        }
    assert read_pickled_array(encoded).elements == rows


def test_the_module_of_older_releases_of_numpy_is_known(reference: Any) -> None:
    encoded = pickle.dumps(objects([np.int32(7), reference("/a")]), 3)
    older = encoded.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert older != encoded
    assert read_pickled_array(older).elements == read_pickled_array(encoded).elements


def test_only_the_globals_of_references_are_known() -> None:
    assert set(PICKLED_GLOBALS) == {
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.multiarray", "scalar"),
        ("builtins", "str"),
        ("builtins", "bytes"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("hdmf_zarr.utils", "ZarrReference"),
    }


# -- hostile pickles -------------------------------------------------------------------------------


class Calls:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.system, r"(posix|nt)\.system"),
        (eval, r"builtins\.eval"),
        (exec, r"builtins\.exec"),
        (__import__, r"builtins\.__import__"),
        (getattr, r"builtins\.getattr"),
        (subprocess.call, r"subprocess\.call"),
    ],
)
def test_a_call_is_refused_by_name_and_not_made(
    tmp_path: Path, protocol: int, function: Any, named: str
) -> None:
    sentinel = tmp_path / "ran"
    call = Calls(function, f"touch {sentinel}")
    for value in (call, objects(call)):
        encoded = pickle.dumps(value, protocol, fix_imports=False)
        with pytest.raises(MetadataError, match=f"names the global {named}, .* neither"):
            read_pickled_array(encoded)
        with pytest.raises(MetadataError):
            read_pickled_scalar(encoded)
    assert not sentinel.exists()


@pytest.mark.parametrize("protocol", range(3))
def test_pickles_of_python_2_are_refused(protocol: int) -> None:
    with pytest.raises(MetadataError, match="instruction|_codecs.encode"):
        read_pickled_array(pickle.dumps(objects(1), protocol))


def test_a_module_that_is_named_is_not_imported() -> None:
    name = "this"
    sys.modules.pop(name, None)
    with pytest.raises(MetadataError, match=r"this\.s, .* neither imported nor run"):
        read_pickled_array(b"\x80\x04\x8c\x04this\x8c\x01s\x93.")
    assert name not in sys.modules


def test_dotted_names_do_not_reach_into_known_modules() -> None:
    with pytest.raises(MetadataError, match=r"numpy\.ndarray\.tofile"):
        read_pickled_array(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.")


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("INST", b"(S'x'\nios\nsystem\n."),
        ("INST", b"(ios\nsystem\n."),
        ("OBJ", b"\x80\x02(cnumpy\nndarray\no."),
        ("EXT1", b"\x80\x02\x82\x01."),
        ("EXT2", b"\x80\x02\x83\x01\x00."),
        ("EXT4", b"\x80\x02\x84\x01\x00\x00\x00."),
        ("PERSID", b"Pid\n."),
        ("BINPERSID", b"\x80\x02NQ."),
        ("NEWOBJ_EX", b"\x80\x04cnumpy\nndarray\n)}\x92."),
        ("NEXT_BUFFER", b"\x80\x05\x97."),
        ("READONLY_BUFFER", b"\x80\x05N\x98."),
        ("BYTEARRAY8", b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a."),
        ("DUP", b"\x80\x02N2."),
        ("POP", b"\x80\x02NN0."),
        ("POP_MARK", b"\x80\x02N(N1."),
        ("EMPTY_SET", b"\x80\x04\x8f."),
        ("FROZENSET", b"\x80\x04(\x91."),
        ("LONG4", b"\x80\x02\x8b\x01\x00\x00\x00\x01."),
    ],
)
def test_instructions_that_references_do_not_need_are_refused_by_name(
    name: str, encoded: bytes
) -> None:
    with pytest.raises(MetadataError, match=f"instruction ({name}|STRING) .*nothing of it was run"):
        read_pickled_array(encoded)


GLOBALS = {
    "ndarray": b"cnumpy\nndarray\n",
    "dtype": b"cnumpy\ndtype\n",
    "reconstruct": b"cnumpy.core.multiarray\n_reconstruct\n",
    "reference": b"chdmf_zarr.utils\nZarrReference\n",
    "scalar": b"cnumpy.core.multiarray\nscalar\n",
    "str": b"cbuiltins\nstr\n",
}


def dtype_of(spelled: str, order: str = "<") -> bytes:
    """A dtype, as numpy pickles it."""
    name = b"X" + len(spelled).to_bytes(4, "little") + spelled.encode()
    state = (
        b"(K\x03X\x01\x00\x00\x00"
        + order.encode()
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    return GLOBALS["dtype"] + name + b"K\x00K\x01\x87R" + state


FOUR = b"C\x04\x01\x00\x00\x00"
EIGHT = b"C\x08\x01\x00\x00\x00\x00\x00\x00\x00"


def test_the_number_that_others_are_made_of() -> None:
    """That what is refused below is refused for what is other there."""
    assert (
        read_pickled_scalar(b"\x80\x03" + GLOBALS["scalar"] + dtype_of("i4") + FOUR + b"\x86R.")
        == 1
    )


@pytest.mark.parametrize(
    "encoded",
    [
        GLOBALS["ndarray"] + b"K\x05\x85R.",  # numpy.ndarray(5)
        GLOBALS["ndarray"] + b"K\x05\x85\x81.",
        GLOBALS["dtype"] + b"K\x05\x85R.",
        GLOBALS["reference"] + b"K\x05\x85R.",
        GLOBALS["reference"] + b"K\x05\x85\x81.",
        GLOBALS["reconstruct"] + GLOBALS["dtype"] + b"K\x00\x85C\x01b\x87R.",
        GLOBALS["reference"] + b"X\x01\x00\x00\x00xb.",  # the state of a class
        GLOBALS["reference"] + b")\x81}X\x01\x00\x00\x00aNsb.",  # __dict__ of a reference
        b"]Nb.",
        b"K\x01K\x02R.",
        GLOBALS["scalar"] + dtype_of("i8") + FOUR + b"\x86R.",  # of another size
        GLOBALS["scalar"] + dtype_of("i4") + EIGHT + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("M8[ns]") + EIGHT + b"\x86R.",  # a number of nanoseconds
        GLOBALS["scalar"] + dtype_of("i3") + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("i4", "x") + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("O8", "|") + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("V4", "|") + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("M8") + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("S99999999999", "|") + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("i4") + b"NN\x87R.",
        GLOBALS["scalar"] + b"N" + FOUR + b"\x86R.",
        GLOBALS["scalar"] + dtype_of("i4") + b"\x85R.",
        GLOBALS["scalar"] + b"NR.",
        GLOBALS["scalar"] + b")\x81.",
        GLOBALS["str"] + b"K\x05\x85R.",  # str(5)
        GLOBALS["str"] + b")\x81.",
        GLOBALS["str"] + b".",
    ],
)
def test_calls_and_states_that_references_do_not_need_are_refused(encoded: bytes) -> None:
    for read in (read_pickled_array, read_pickled_scalar):
        with pytest.raises(MetadataError):
            read(b"\x80\x02" + encoded)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 2**31, 2**32 - 1])
def test_an_index_of_the_memo_costs_no_memory(index: int) -> None:
    number = index.to_bytes(4, "little")
    tracemalloc.start()
    assert read_pickled_scalar(b"\x80\x02K\x07r" + number + b"j" + number + b".") == 7
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_what_was_not_memoized_is_refused() -> None:
    with pytest.raises(MetadataError, match="malformed"):
        read_pickled_scalar(b"\x80\x02h\x07.")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_truncated_pickle_is_refused_wherever_it_ends(protocol: int, reference: Any) -> None:
    dtype = np.dtype([("n", "<i4"), ("r", "O")])
    encoded = pickle.dumps(np.array([(1, reference("/a")), (2, 0)], dtype=dtype), protocol)
    for length in range(len(encoded)):
        with pytest.raises(MetadataError):
            read_pickled_array(encoded[:length])
        with pytest.raises(MetadataError):
            read_pickled_scalar(encoded[:length])


@pytest.mark.parametrize("value", [5, "text", None, [], {}, (), [1], {"a": 1}])
def test_a_pickle_without_an_array_is_refused(value: Any) -> None:
    with pytest.raises(MetadataError, match="not an array"):
        read_pickled_array(pickle.dumps(value, 4))


@pytest.mark.parametrize("value", [[], {}, (), b"bytes"])
def test_a_pickle_of_more_than_a_scalar_is_refused(value: Any) -> None:
    with pytest.raises(MetadataError, match="not a number or text"):
        read_pickled_scalar(pickle.dumps(value, 4))


@pytest.mark.parametrize("dtype", ["i4", "f8", "S3", "U2", "M8[s]", "i4,f8"])
def test_an_array_of_plain_bytes_is_refused(dtype: str) -> None:
    with pytest.raises(MetadataError):
        read_pickled_array(pickle.dumps(np.zeros(3, dtype=dtype), 4))


def with_state(shape: bytes, elements: bytes = b"]K\x01a") -> bytes:
    """The pickle of an array of objects with any shape."""
    dtype = GLOBALS["dtype"] + b"X\x02\x00\x00\x00O8\x89\x88\x87R"
    return b"\x80\x02%b%b(K\x00tC\x01b\x87R(K\x01%b%b\x89%btb." % (
        GLOBALS["reconstruct"],
        GLOBALS["ndarray"],
        shape,
        dtype,
        elements,
    )


def test_a_state_made_by_hand_is_read() -> None:
    assert read_pickled_array(with_state(b"(K\x01t")).elements == [1]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (b"(K\x02t", "1 elements for the shape"),
        (b"(K\x00t", "1 elements for the shape"),
        (b"(\x8a\x09" + b"\xff" * 8 + b"\x00t", "1 elements for the shape"),
        (b"(J\xff\xff\xff\xffJ\xff\xff\xff\xfft", "negative"),
        (b"(" + b"K\x01" * 65 + b"t", "65 dimensions"),
        (b"K\x01", "int in place of tuple"),
        (b"(Nt", "NoneType in place of int"),
        (b"(G?\xf0\x00\x00\x00\x00\x00\x00t", "float in place of int"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(shape: bytes, reason: str) -> None:
    with pytest.raises(MetadataError, match=reason):
        read_pickled_array(with_state(shape))


def test_a_huge_claim_costs_no_memory() -> None:
    shape = b"(" + (b"\x8a\xff" + b"\xff" * 254 + b"\x00") * 60 + b"t"
    tracemalloc.start()
    with pytest.raises(MetadataError) as info:
        read_pickled_array(with_state(shape))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21
    assert len(str(info.value)) < 1000


BOMB = b"\x80\x02)" + b"q\x00h\x00\x86" * 200
"""Tuples of two of the tuple before: 2**200 entries in a kilobyte."""


@pytest.mark.parametrize(
    "rest",
    [
        b".",
        b"NR.",  # called
        b"N\x81.",
        b"q\x01h\x01R.",
        b"q\x01h\x01\x93.",  # as the names of a global
        b"X\x01\x00\x00\x00a\x93.",
        b"Nb.",
        b"q\x01h\x01b.",
        b"}h\x00Ns.",  # as a key
        b"]h\x00a.",
        GLOBALS["dtype"] + b"h\x00R.",
        GLOBALS["reconstruct"] + b"h\x00R.",
        GLOBALS["dtype"] + b"X\x02\x00\x00\x00O8\x89\x88\x87R(NNNh\x00tb.",  # names of fields
    ],
)
def test_tuples_that_share_their_entries_are_refused_at_once(rest: bytes) -> None:
    with pytest.raises(MetadataError) as info:
        read_pickled_array(BOMB + rest)
    assert len(str(info.value)) < 1000


@pytest.mark.parametrize("length", [100, 10**6])
def test_the_name_of_a_global_is_shown_in_part(length: int) -> None:
    with pytest.raises(MetadataError, match="names the global") as info:
        read_pickled_array(b"\x80\x02c" + b"m" * length + b"\n" + b"n" * length + b"\n.")
    assert len(str(info.value)) < 1000


def test_records_of_very_many_fields_are_refused() -> None:
    names = b"(" + b"X\x01\x00\x00\x00a" * 1025 + b"t"
    with pytest.raises(MetadataError, match="1025 fields"):
        read_pickled_array(
            b"\x80\x02"
            + GLOBALS["dtype"]
            + b"X\x02\x00\x00\x00V8\x89\x88\x87R(NNN"
            + names
            + b"tb."
        )


def test_a_number_of_very_many_digits_is_refused() -> None:
    with pytest.raises(MetadataError, match="malformed"):
        read_pickled_scalar(b"I" + b"9" * 10**6 + b"\n.")


def test_every_instruction_of_the_pickle_module_is_known_or_refused() -> None:
    from hdmf_zarr.codecs.objects.pickles import _INSTRUCTIONS

    known = {opcode.name for opcode in pickletools.opcodes}
    assert set(_INSTRUCTIONS) < known
