"""The lazy array: indexing, rows, growing, widening; what may not be written is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, GzipCodec

from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.codecs import to_zarr_codec
from hdmf_zarr.convention import ArrayHeader
from hdmf_zarr.core.dtypes import ASCII, BYTES, REFERENCE, TEXT, ElementType
from hdmf_zarr.errors import DtypeError, EncodingError, MetadataError, ModeError, OptionError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from hdmf_zarr.metadata.element_types import element_type_of_array
from hdmf_zarr.stores.bytestore import open_bytestore
from hdmf_zarr.stores.location import locate

from ..conftest import MakeArray, reopened, rows

NUMBERS = np.arange(60, dtype="<i2").reshape(20, 3)
INT16 = ElementType("number", np.dtype("<i2"))
COMPOUND = ElementType(
    "compound",
    fields=(
        ("start", ElementType("number", np.dtype("<i4"))),
        ("label", TEXT),
        ("target", REFERENCE),
    ),
)
RECORDS = [(1, "a", "/x"), (2, "bc", "/y"), (3, "", "")]


def number(name: str) -> ElementType:
    return ElementType("number", np.dtype(name))


@pytest.fixture
def numbers(make_array: MakeArray) -> HDMFZarrArray:
    return make_array(NUMBERS, INT16, chunks=(7, 2))


# -- as a dataset ----------------------------------------------------------------------------------


def test_it_is_an_array_of_zarr_with_a_length(numbers: HDMFZarrArray) -> None:
    assert isinstance(numbers, zarr.Array)
    assert len(numbers) == 20
    assert numbers.shape == (20, 3)
    assert numbers.maxshape == (None, None)
    assert numbers.ndim == 2
    assert numbers.size == 60
    assert numbers.dtype == np.dtype("<i2")
    assert numbers.name == "/group/data"
    assert numbers.path == "group/data"
    assert numbers.chunks == (7, 2)
    assert numbers.nbytes == 120


def test_it_is_told_without_a_request_to_the_store(numbers: HDMFZarrArray) -> None:
    fresh = HDMFZarrArray.of_node(numbers.hierarchy, "group/data", INT16)
    assert (fresh.shape, fresh.dtype, len(fresh), bool(fresh)) == (
        (20, 3),
        np.dtype("<i2"),
        20,
        True,
    )
    assert "_made_array" not in vars(fresh)


@pytest.mark.parametrize(
    "selection",
    [
        0,
        -1,
        np.int64(3),
        np.uint64(3),
        slice(None),
        slice(2, 9),
        slice(1, None, 4),
        slice(-3, None),
        slice(5, 5),
        Ellipsis,
        (0, 0),
        (slice(2, 4), 1),
        (slice(None), -1),
        (Ellipsis, 2),
        (3, Ellipsis),
        (np.uint8(3), np.uint16(1)),
        [0, 5, 19],
        [5, 0],
        [1, 1, 1],
        [-1, -20],
        [],
        (),
        np.array([0, 5], dtype="uint64"),
        np.array([], dtype="uint64"),
        np.array([], dtype="float64"),
        np.array([3], dtype="int8"),
        [True, False] * 10,
        np.arange(20) % 3 == 0,
        np.zeros(20, dtype=bool),
        (slice(None), [0, 2]),
        (slice(3, 9), np.array([2, 0], dtype="uint32")),
        ([0, 5], slice(None)),
        ([0, 5], 1),
        (slice(None), []),
        ([], slice(None)),
    ],
    ids=repr,
)
def test_it_is_indexed_as_numpy_is(numbers: HDMFZarrArray, selection: Any) -> None:
    plain = (
        np.asarray(selection, dtype=np.intp)
        if isinstance(selection, np.ndarray) and selection.size == 0 and selection.dtype != bool
        else selection
    )
    expected = NUMBERS[plain]
    actual = numbers[selection]
    assert np.shape(actual) == expected.shape
    np.testing.assert_array_equal(actual, expected)
    assert np.asarray(actual).dtype == NUMBERS.dtype


@pytest.mark.parametrize(
    "selection", [20, -21, (0, 3), [0, 20], np.array([20], dtype="uint64")], ids=repr
)
def test_what_is_out_of_bounds_is_refused(numbers: HDMFZarrArray, selection: Any) -> None:
    with pytest.raises(IndexError):
        numbers[selection]


def test_one_number_is_a_scalar(numbers: HDMFZarrArray) -> None:
    assert isinstance(numbers[0, 0], np.int16)


def test_its_rows_are_iterated_over_in_order(numbers: HDMFZarrArray) -> None:
    found = list(numbers)
    assert len(found) == 20
    np.testing.assert_array_equal(np.stack(found), NUMBERS)


def test_an_array_of_indices_is_not_changed(numbers: HDMFZarrArray) -> None:
    # zarr-python counts negative indices from the beginning, in the array that it is given.
    wanted = np.array([-1, -2, -3])
    outside = np.array([-1, -21])
    with pytest.raises(IndexError):
        numbers[wanted, outside]
    numbers[wanted, wanted]
    assert wanted.tolist() == [-1, -2, -3]
    assert outside.tolist() == [-1, -21]


def test_the_chunks_of_a_small_array_are_read_once_for_all_of_their_rows(
    numbers: HDMFZarrArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[str] = []
    bytestore = numbers.hierarchy.bytestore
    original = bytestore.get_many

    def counting(keys: Any, *most: Any) -> Any:
        requests.extend(keys)
        return original(keys, *most)

    monkeypatch.setattr(bytestore, "get_many", counting)
    assert sum(1 for _ in numbers) == 20
    assert len(requests) == len(set(requests)) == 6


def test_it_is_an_array_of_numpy_on_request(numbers: HDMFZarrArray) -> None:
    np.testing.assert_array_equal(np.asarray(numbers), NUMBERS)
    assert np.asarray(numbers, dtype="f8").dtype == np.float64
    assert numbers.astype("f4").dtype == np.float32


@pytest.mark.parametrize("data", [[1], [], 5, 0])
def test_it_is_true_as_a_dataset_of_hdf5_is(make_array: MakeArray, data: Any) -> None:
    assert bool(make_array(data, INT16))


def test_a_scalar_has_no_length_and_no_rows(make_array: MakeArray) -> None:
    scalar = make_array(5, INT16)
    assert scalar.shape == ()
    assert scalar[()] == 5
    assert scalar[...] == 5
    with pytest.raises(TypeError, match=r"len\(\) of the scalar"):
        len(scalar)
    with pytest.raises(TypeError):
        list(scalar)


@pytest.mark.parametrize(
    ("element", "data", "first"),
    [
        (TEXT, ["a", "é", ""], "a"),
        (ASCII, [b"a", b"\xc3\xa9", b""], b"a"),
        (BYTES, [b"\xff\x00", b"", b"b"], b"\xff\x00"),
        (REFERENCE, ["/a", "/b", ""], "/a"),
        (ElementType("fixed_bytes", np.dtype("S3")), [b"abc", b"d", b""], b"abc"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_text_and_bytes_are_given_as_hdf5_gives_them(
    make_array: MakeArray, element: ElementType, data: Any, first: Any
) -> None:
    array = make_array(data, element)
    assert array[0] == first
    assert type(array[0]) is type(first) or isinstance(array[0], np.bytes_)
    assert array[:].tolist() == data
    assert array[[0, 2]].tolist() == [data[0], data[2]]
    assert list(array) == data
    assert array.dtype == element.memory_dtype
    assert rows(reopened(array)) == data


def test_records_are_given_with_objects_for_their_text(make_array: MakeArray) -> None:
    array = make_array(RECORDS, COMPOUND)
    assert array.dtype == COMPOUND.memory_dtype
    assert array[...].tolist() == RECORDS
    assert array[1].item() == RECORDS[1]
    assert type(array[1]["label"]) is str
    assert reopened(array).element_type == COMPOUND


SHUFFLE = to_zarr_codec(numcodecs.Shuffle(2), 2)


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({}, "Blosc"),
        ({"compressors": False}, None),
        ({"compressors": GzipCodec(level=2)}, "GZip"),
        ({"compressors": GzipCodec(level=2), "chunks": (5, 3), "shards": (10, 3)}, "GZip"),
        ({"compressors": False, "chunks": (5, 3), "shards": (10, 3)}, None),
        ({"compressors": [SHUFFLE, GzipCodec(level=2)]}, "GZip"),
        ({"compressors": SHUFFLE}, "Shuffle"),
        ({"compressors": [GzipCodec(level=2), Crc32cCodec()]}, "GZip"),
        ({"compressors": Crc32cCodec()}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
def test_its_compressor_is_told(make_array: MakeArray, request_: Any, name: str | None) -> None:
    compressor = make_array(NUMBERS, INT16, **request_).compressor
    assert (None if compressor is None else type(compressor).__name__) == name


# -- pickling --------------------------------------------------------------------------------------


def test_it_is_pickled_with_what_it_needs_to_be_read(tmp_path: Path) -> None:
    bytestore = open_bytestore(locate(tmp_path / "store.zarr"), read_only=False)
    zarr.create_array(bytestore.zarr_store, name="data", data=np.array(NUMBERS), chunks=(7, 2))
    zarr.open_group(bytestore.zarr_store, mode="a")
    hierarchy = Hierarchy.load(bytestore, consolidated=False)
    array = HDMFZarrArray.of_node(hierarchy, "data", INT16)
    copy = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(copy[...], NUMBERS)
    assert copy.element_type == INT16
    assert copy.name == "/data"
    with pytest.raises(ModeError, match="read-only"):
        copy[0] = 1


# -- writing ---------------------------------------------------------------------------------------


def test_elements_are_set(numbers: HDMFZarrArray) -> None:
    numbers[0] = [7, 8, 9]
    numbers[-1, 0] = 5
    numbers[np.array([2], dtype="uint64")] = 1
    assert rows(numbers)[0] == [7, 8, 9]
    assert rows(numbers)[-1][0] == 5
    assert rows(numbers)[2] == [1, 1, 1]


def test_text_and_records_are_set(make_array: MakeArray) -> None:
    text = make_array(["a", "b"], TEXT, path="group/text")
    text[1] = "longer"
    assert rows(text) == ["a", "longer"]
    records = make_array(RECORDS, COMPOUND)
    records[0] = (9, "z", "/z")
    assert rows(records) == [(9, "z", "/z"), *RECORDS[1:]]


def test_text_that_is_set_widens_its_field_and_is_never_cut(make_array: MakeArray) -> None:
    array = make_array(RECORDS, COMPOUND)
    array[0] = (9, "a much longer label", "/a/much/longer/path")
    expected = [(9, "a much longer label", "/a/much/longer/path"), *RECORDS[1:]]
    assert rows(array) == expected
    assert rows(reopened(array)) == expected


@pytest.mark.parametrize("grown", [(25, 3), (20, 5), (21, 4)])
def test_it_grows_with_the_fill_value(numbers: HDMFZarrArray, grown: tuple[int, ...]) -> None:
    numbers.resize(grown)
    assert numbers.shape == grown
    expected = np.zeros(grown, "i2")
    expected[:20, :3] = NUMBERS
    np.testing.assert_array_equal(numbers[...], expected)
    np.testing.assert_array_equal(reopened(numbers)[...], expected)


@pytest.mark.parametrize("shrunk", [(5, 3), (20, 1), (3, 2)])
def test_it_shrinks_and_what_was_cut_off_does_not_come_back(
    numbers: HDMFZarrArray, shrunk: tuple[int, ...]
) -> None:
    numbers.resize(shrunk)
    expected = NUMBERS[: shrunk[0], : shrunk[1]]
    np.testing.assert_array_equal(numbers[...], expected)
    np.testing.assert_array_equal(reopened(numbers)[...], expected)


def test_one_dimension_is_resized_by_a_number(make_array: MakeArray) -> None:
    array = make_array([1, 2, 3], INT16)
    array.resize(4)
    assert rows(array) == [1, 2, 3, 0]
    array.shape = (2,)
    assert rows(array) == [1, 2]


@pytest.mark.parametrize("shape", [(5,), (5, 3, 1)])
def test_it_keeps_its_number_of_dimensions(numbers: HDMFZarrArray, shape: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        numbers.resize(shape)
    assert numbers.shape == (20, 3)


@pytest.mark.parametrize(
    ("element", "data", "more"),
    [
        (INT16, [1, 2], [3, 4]),
        (number("bool"), [True], [False, True]),
        (number("float32"), [0.5], [1.5, float("inf")]),
        (TEXT, ["a"], ["longer than before", ""]),
        (ASCII, [b"a"], [b"bc"]),
        (BYTES, [b"\xff"], [b"\x00\x00"]),
        (REFERENCE, ["/a"], ["/b", ""]),
        (ElementType("fixed_bytes", np.dtype("S1")), [b"a"], [b"longer", b""]),
        (COMPOUND, RECORDS, [(4, "much longer text", "/a/much/longer/path")]),
        (COMPOUND, [], RECORDS),
        (INT16, [], [1]),
        (TEXT, [], ["a"]),
    ],
)
def test_rows_are_appended(
    make_array: MakeArray, element: ElementType, data: Any, more: Any
) -> None:
    array = make_array(data, element)
    assert array.append(more) == (len(data) + len(more),)
    assert rows(array) == data + more
    assert rows(reopened(array)) == data + more
    assert reopened(array).element_type == array.element_type


def test_single_rows_are_appended(make_array: MakeArray, numbers: HDMFZarrArray) -> None:
    numbers.append([7, 8, 9])
    assert rows(numbers)[20:] == [[7, 8, 9]]
    array = make_array([1], INT16, path="group/other")
    array.append(2)
    array.append(np.int16(3))
    assert rows(array) == [1, 2, 3]
    text = make_array(["a"], TEXT, path="group/text")
    text.append("b")
    assert rows(text) == ["a", "b"]
    records = make_array(RECORDS, COMPOUND, path="group/records")
    records.append((4, "d", "/z"))
    assert rows(records) == [*RECORDS, (4, "d", "/z")]


def test_many_rows_one_by_one(make_array: MakeArray) -> None:
    array = make_array([0], INT16)
    text = make_array(["0"], TEXT, path="group/text")
    for row in range(1, 100):
        array.append(row)
        text.append(str(row))
    assert rows(reopened(array)) == list(range(100))
    assert rows(reopened(text)) == [str(row) for row in range(100)]
    assert array.chunks[0] > 16, "a small column does not get a chunk for each row"


@pytest.mark.parametrize("value", [3, 300])
def test_the_fill_value_is_kept_when_a_column_is_rewritten(
    make_array: MakeArray, value: int
) -> None:
    array = make_array([1, 2], number("uint8"), fill_value=np.uint8(7))
    array.append(value)
    array.resize(5)
    assert rows(reopened(array)) == [1, 2, value, 7, 7]


def test_no_rows_are_appended(numbers: HDMFZarrArray) -> None:
    before = numbers.hierarchy.documents["group/data"]
    assert numbers.append(np.zeros((0, 3), "i2")) == (20, 3)
    numbers.extend([])
    assert numbers.hierarchy.documents["group/data"] is before


def test_several_rows_extend_it(numbers: HDMFZarrArray) -> None:
    numbers.extend([[1, 2, 3], [4, 5, 6]])
    assert rows(numbers)[20:] == [[1, 2, 3], [4, 5, 6]]


def test_numbers_are_appended_along_another_axis(numbers: HDMFZarrArray) -> None:
    assert numbers.append(np.ones((20, 1), "i2"), axis=1) == (20, 4)
    np.testing.assert_array_equal(reopened(numbers)[:, 3], np.ones(20))


def test_shards_are_appended_to(make_array: MakeArray) -> None:
    array = make_array(NUMBERS, INT16, chunks=(5, 3), shards=(10, 3))
    array.append(NUMBERS)
    np.testing.assert_array_equal(reopened(array)[...], np.concatenate([NUMBERS, NUMBERS]))
    assert array.shards == (10, 3)


@pytest.mark.parametrize(
    ("start", "value", "wide"),
    [
        ("uint8", 255, "uint8"),
        ("uint8", 256, "uint16"),
        ("uint8", 2**16, "uint32"),
        ("uint8", 2**32, "uint64"),
        ("uint16", 2**16, "uint32"),
        ("uint32", 2**63, "uint64"),
        ("int8", 200, "int16"),
        ("int8", -129, "int16"),
        ("int16", 2**40, "int64"),
    ],
)
def test_an_index_that_is_too_narrow_is_widened(
    make_array: MakeArray, start: str, value: int, wide: str
) -> None:
    array = make_array([1, 2], number(start))
    array.append(value)
    for found in (array, reopened(array)):
        assert found.dtype == np.dtype(wide)
        assert rows(found) == [1, 2, value]
    header = array.hierarchy.convention.decode_header(array.hierarchy.attributes("group/data"))
    assert header.element_type == wide


@pytest.mark.parametrize(
    ("start", "value"),
    [
        ("uint8", -1),
        ("uint8", 1.5),
        ("int64", 2**63),
        ("int8", float("nan")),
        ("bool", 2),
        ("uint64", -1),
        ("int32", True),
        ("float64", 2**53 + 1),
    ],
)
def test_numbers_that_would_change_are_refused(
    make_array: MakeArray, start: str, value: Any
) -> None:
    array = make_array([1], number(start))
    if value is True:
        array.append(value)
        assert rows(array) == [1, 1]
        return
    with pytest.raises(DtypeError, match="without loss"):
        array.append(value)
    assert rows(array) == [1]
    assert array.dtype == np.dtype(start)


def test_text_that_fits_does_not_rewrite_the_column(make_array: MakeArray) -> None:
    array = make_array([(1, "abc", "/x")] * 20, COMPOUND, chunks=(100,))
    keys = set(array.hierarchy.bytestore.list_prefix("group/data"))
    array.append([(2, "ab", "/y")])
    assert set(array.hierarchy.bytestore.list_prefix("group/data")) == keys


def test_short_bytes_do_not_rewrite_the_column(make_array: MakeArray) -> None:
    array = make_array([b"abc"] * 20, ElementType("fixed_bytes", np.dtype("S3")), chunks=(100,))
    keys = set(array.hierarchy.bytestore.list_prefix("group/data"))
    array.append(np.array([b"a"]))
    assert set(array.hierarchy.bytestore.list_prefix("group/data")) == keys
    assert rows(array)[-1] == b"a"


def test_the_old_rows_stay_readable_until_the_commit(make_array: MakeArray) -> None:
    array = make_array(RECORDS, COMPOUND)
    before = Hierarchy.load(array.hierarchy.bytestore, consolidated=True)
    array.append([(4, "much longer text", "/z")])
    old = HDMFZarrArray.of_node(before, "group/data", COMPOUND)
    assert rows(old) == RECORDS
    array.append([(5, "and another text that is much longer still", "/z")])
    assert rows(HDMFZarrArray.of_node(before, "group/data", COMPOUND)) == RECORDS
    assert len(rows(reopened(array))) == 5


def test_a_sharded_column_that_is_too_narrow_is_refused(make_array: MakeArray) -> None:
    array = make_array([1] * 20, number("uint8"), chunks=(5,), shards=(10,))
    with pytest.raises(DtypeError, match="sharded and too narrow"):
        array.append(300)
    assert rows(array) == [1] * 20


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([[1, 2]], OptionError),
        ([[[1, 2, 3]]], OptionError),
        (["a"], EncodingError),
        ([[1], [2, 3]], EncodingError),
    ],
)
def test_rows_that_do_not_fit_are_refused(numbers: HDMFZarrArray, data: Any, error: Any) -> None:
    with pytest.raises(error):
        numbers.append(data)
    assert numbers.shape == (20, 3)


def test_nothing_is_appended_to_a_scalar(make_array: MakeArray) -> None:
    with pytest.raises(OptionError, match="scalar"):
        make_array(5, INT16).append(6)


def test_text_is_appended_along_its_first_axis_only(make_array: MakeArray) -> None:
    with pytest.raises(OptionError, match="only numbers"):
        make_array([["a"]], TEXT).append([["b"]], axis=1)


def test_a_dataset_of_references_takes_paths(make_array: MakeArray) -> None:
    with pytest.raises(OptionError, match="takes paths"):
        make_array(["/a"], REFERENCE).append([object()])


def test_attributes_are_set_beside_the_reserved_ones(numbers: HDMFZarrArray) -> None:
    numbers.update_attributes({"unit": "V"})
    numbers.attrs["gain"] = 2
    document = reopened(numbers).hierarchy.attributes("group/data")
    assert document == {"_DTYPE": "int16", "unit": "V", "gain": 2}


# -- read-only -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda array: array.__setitem__(0, 1),
        lambda array: array.append([[1, 2, 3]]),
        lambda array: array.append(np.zeros((20, 1)), axis=1),
        lambda array: array.extend([[1, 2, 3]]),
        lambda array: array.resize((30, 3)),
        lambda array: array.resize((3, 3)),
        lambda array: array.update_attributes({"unit": "V"}),
    ],
)
def test_a_read_only_array_is_not_written(numbers: HDMFZarrArray, write: Any) -> None:
    bytestore = open_bytestore(numbers.hierarchy.location, read_only=True)
    array = HDMFZarrArray.of_node(Hierarchy.load(bytestore, consolidated=True), "group/data", INT16)
    with pytest.raises(ModeError, match="read-only"):
        write(array)
    np.testing.assert_array_equal(array[...], NUMBERS)
    np.testing.assert_array_equal(numbers[...], NUMBERS)


# -- what the elements are -------------------------------------------------------------------------


def document(data_type: Any, endian: str | None = "little") -> dict[str, Any]:
    configuration = {"endian": endian} if endian else {}
    return {
        "shape": [2],
        "data_type": data_type,
        "codecs": [{"name": "bytes", "configuration": configuration}],
        "fill_value": 0,
    }


UTF32 = {"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}}
NULL_BYTES = {"name": "null_terminated_bytes", "configuration": {"length_bytes": 3}}
FIELDS = [["n", "int32"], ["t", UTF32]]
STRUCTURED = {"name": "structured", "configuration": {"fields": FIELDS}}
STRUCT = {
    "name": "struct",
    "configuration": {"fields": [{"name": n, "data_type": t} for n, t in FIELDS]},
}


@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize(
    ("data_type", "header", "element"),
    [
        ("int16", {}, INT16),
        ("int16", {"element_type": "<i8"}, INT16),
        ("bool", {"element_type": "bool_"}, number("bool")),
        ("string", {}, TEXT),
        ("string", {"element_type": "str"}, TEXT),
        ("string", {"element_type": "str_"}, TEXT),
        ("string", {"element_type": "ascii"}, ASCII),
        ("string", {"element_type": "object_reference"}, REFERENCE),
        ("string", {"element_type": "object"}, REFERENCE),
        ("string", {"element_type": "anything else"}, TEXT),
        ("variable_length_bytes", {"element_type": "bytes"}, BYTES),
        ("variable_length_bytes", {}, BYTES),
        (UTF32, {}, TEXT),
        (NULL_BYTES, {}, ElementType("fixed_bytes", np.dtype("S3"))),
        *[
            (kind, {}, ElementType("compound", fields=(("n", number("int32")), ("t", TEXT))))
            for kind in (STRUCTURED, STRUCT)
        ],
        (
            STRUCT,
            {"reference_fields": ("t",)},
            ElementType("compound", fields=(("n", number("int32")), ("t", REFERENCE))),
        ),
        (
            STRUCTURED,
            {"field_types": {"t": "ascii"}},
            ElementType("compound", fields=(("n", number("int32")), ("t", ASCII))),
        ),
    ],
)
def test_the_elements_of_a_document_are(data_type: Any, header: Any, element: ElementType) -> None:
    assert element_type_of_array(document(data_type), ArrayHeader(**header)) == element


def test_the_byte_order_of_the_codec_counts() -> None:
    element = element_type_of_array(document("int16", "big"), ArrayHeader())
    assert element.numpy is not None
    assert element.numpy.byteorder in (">", "=" if np.little_endian is False else ">")


@pytest.mark.parametrize("data_type", ["int17", {"name": "no such type"}, {}, None, 5, ["int16"]])
def test_a_data_type_that_is_not_known_is_refused(data_type: Any) -> None:
    with pytest.raises(MetadataError, match="not known"):
        element_type_of_array(document(data_type), ArrayHeader())
