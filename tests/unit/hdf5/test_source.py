"""HDF5 datasets as sources of elements: their types, their values, and the file that they are in."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.warnings import BrokenLinkWarning
from hdmf.utils import StrDataset

from hdmf_zarr.core.dtypes import (
    ASCII,
    BYTES,
    REFERENCE,
    TEXT,
    ElementType,
    element_type_from_numpy,
)
from hdmf_zarr.errors import DtypeError, EncodingError, MetadataError
from hdmf_zarr.hdf5.fill import creation_options
from hdmf_zarr.hdf5.source import (
    NO_REGIONS,
    HDF5Source,
    UnchangedFiles,
    attribute_dtype,
    convert_attribute,
    empty_attribute,
    fill_value_of,
    given_fill_value,
    is_h5py_dataset,
    is_h5py_reference,
    is_hdf5_file,
    is_region,
    marked_dtype,
    row_blocks,
    stored_dataset,
)

TEXTS, ASCIIS = h5py.string_dtype(), h5py.string_dtype("ascii")
VALUES = np.arange(12, dtype="<i2").reshape(4, 3)
Make = Callable[..., h5py.Dataset]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Returns a dataset ``x`` of a file that is open for reading."""
    files = []

    def made(*args: Any, **options: Any) -> h5py.Dataset:
        path = tmp_path / f"{len(files)}.h5"
        with h5py.File(path, "w") as file:
            file.create_group("target")
            if callable(args[0] if args else None):
                args[0](file)
            else:
                file.create_dataset("x", *args, **options)
        files.append(h5py.File(path, "r"))
        return files[-1]["x"]

    yield made
    for file in files:
        file.close()


def text_of(target: Any) -> str:
    return f"to {target.name}"


# -- pure functions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "rows", "blocks"),
    [
        ((), 2, [()]),
        ((0,), 2, []),
        ((3,), 2, [(slice(0, 2),), (slice(2, 3),)]),
        ((4, 9), 2, [(slice(0, 2),), (slice(2, 4),)]),
        ((1,), 9, [(slice(0, 1),)]),
    ],
)
def test_blocks_cover_a_shape(shape: Any, rows: int, blocks: Any) -> None:
    assert row_blocks(shape, rows) == blocks


def test_objects_of_h5py_are_known(make: Make, tmp_path: Path) -> None:
    dataset = make(data=[1])
    assert is_h5py_dataset(dataset)
    assert not is_h5py_dataset(dataset.parent)
    assert is_h5py_reference(dataset.ref)
    assert not is_h5py_reference(None)
    assert stored_dataset(StrDataset(make(data=["a"]), "utf-8")).name == "/x"
    assert stored_dataset(dataset) is dataset
    assert is_hdf5_file(dataset.file.filename)
    assert not is_hdf5_file(tmp_path)
    assert not is_hdf5_file(tmp_path / "nothing.h5")
    (tmp_path / "a.txt").write_text("a")
    assert not is_hdf5_file(tmp_path / "a.txt")
    assert isinstance(empty_attribute("f4"), h5py.Empty)


@pytest.mark.parametrize(
    "dtype", [np.dtype("<i2"), TEXTS, ASCIIS, h5py.ref_dtype, np.dtype([("t", TEXTS), ("n", "i1")])]
)
def test_elements_are_marked_as_h5py_marks_them(dtype: np.dtype[Any]) -> None:
    marked = marked_dtype(element_type_from_numpy(dtype))
    assert marked == dtype
    assert h5py.check_string_dtype(marked) == h5py.check_string_dtype(dtype)
    assert h5py.check_ref_dtype(marked) is h5py.check_ref_dtype(dtype)
    assert marked_dtype(ElementType("text", shape=(2,))).shape == (2,)


# -- fill values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "value", "given"),
    [
        ({"dtype": "i2"}, 0, None),
        ({"dtype": "i2", "fillvalue": 7}, 7, 7),
        ({"dtype": "i2", "fillvalue": 7, "fill_time": "never"}, 0, None),
        ({"dtype": "f8", "fillvalue": 0.0}, 0.0, None),
        ({"dtype": TEXTS, "fillvalue": "n/a"}, b"n/a", "n/a"),
        ({"dtype": TEXTS, "fillvalue": b"\xff"}, b"\xff", None),
        ({"dtype": "S3", "fillvalue": b"ab"}, b"ab", b"ab"),
        ({"dtype": TEXTS}, b"", None),
    ],
)
def test_a_fill_value_is_what_reads_where_nothing_was_written(
    make: Make, options: dict[str, Any], value: Any, given: Any
) -> None:
    dataset = make(shape=(3,), **options)
    assert fill_value_of(dataset) == value
    assert given_fill_value(dataset) == given


def test_references_and_compounds_have_no_given_fill_value(make: Make) -> None:
    for dtype in (h5py.ref_dtype, np.dtype([("n", "i1")])):
        assert given_fill_value(make(shape=(3,), dtype=dtype)) is None


def test_text_without_fill_value_is_read_only_where_it_was_written(make: Make) -> None:
    options = creation_options({"value": "undefined"}, TEXTS)
    for more in ({}, {"chunks": (2,)}):
        with pytest.raises(MetadataError, match="/x: some elements were never written"):
            HDF5Source(make(shape=(3,), dtype=TEXTS, **more, **options), text_of)
        whole = make(data=["a", "b", "c"], dtype=TEXTS, **more, **options)
        assert HDF5Source(whole, text_of).read((slice(0, 3),)).tolist() == ["a", "b", "c"]
    HDF5Source(make(shape=(0,), dtype=TEXTS, **options), text_of)


# -- attributes ------------------------------------------------------------------------------------


def test_an_attribute_is_known_by_its_dtype(make: Make) -> None:
    def fill(file: h5py.File) -> None:
        x = file.create_dataset("x", data=[1])
        x.attrs["n"] = np.int8(3)
        x.attrs["region"] = x.regionref[:]
        x.attrs["many"] = np.array([file["target"].ref, x.ref], h5py.ref_dtype)
        x.attrs["regions"] = np.array([x.regionref[:]], h5py.regionref_dtype)

    dataset = make(fill)
    file = dataset.file
    assert attribute_dtype(file, "/x", "n") == np.dtype("i1")
    assert attribute_dtype(file, "/x", "other") is None
    assert attribute_dtype(file, "/gone", "n") is None
    assert attribute_dtype(None, "/x", "n") is None
    assert is_region(attribute_dtype(file, "/x", "region"))
    assert not is_region(attribute_dtype(file, "/x", "n"))
    assert not is_region(None)
    many = dataset.attrs["many"]
    assert convert_attribute(many, file, text_of).tolist() == ["to /target", "to /x"]
    assert convert_attribute(many, None, text_of) is many
    for value in (3, "a", np.arange(2), [many]):
        assert convert_attribute(value, file, text_of) is value
    with pytest.raises(DtypeError, match=NO_REGIONS[:40]):
        convert_attribute(dataset.attrs["regions"], file, text_of)


# -- elements --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype", "element", "values"),
    [
        ([1, 2], "<i2", ElementType("number", np.dtype("<i2")), [1, 2]),
        ([1, 2], ">i4", ElementType("number", np.dtype(">i4")), [1, 2]),
        ([True], "?", ElementType("number", np.dtype("?")), [True]),
        ([1], h5py.enum_dtype({"A": 1}, "i1"), ElementType("number", np.dtype("i1")), [1]),
        (["a", "ü"], TEXTS, TEXT, ["a", "ü"]),
        (["a"], ASCIIS, ASCII, [b"a"]),
        ([b"\xff", b"a"], TEXTS, BYTES, [b"\xff", b"a"]),
        ([b"ab"], "S3", ElementType("fixed_bytes", np.dtype("S3")), [b"ab"]),
    ],
)
def test_elements_come_in_their_form_in_memory(
    make: Make, data: Any, dtype: Any, element: ElementType, values: Any
) -> None:
    source = HDF5Source(make(data=np.array(data, dtype=dtype)), text_of)
    assert source.element == element
    found = source.read((slice(0, len(data)),))
    assert found.tolist() == values
    assert found.dtype == element.memory_dtype
    assert h5py.check_enum_dtype(found.dtype) is None


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 2)}, {"chunks": (2, 2), "compression": 1}])
@pytest.mark.parametrize(
    "region", [(slice(1, 3),), (slice(1, 3), slice(0, 3)), (slice(0, 4), slice(1, 2))]
)
def test_a_region_is_that_of_numpy(make: Make, options: Any, region: Any) -> None:
    source = HDF5Source(make(data=VALUES, **options), text_of)
    np.testing.assert_array_equal(source.read(region), VALUES[region])
    assert source.shape == (4, 3)


@pytest.mark.parametrize(("data", "value"), [(3, 3), ("ü", "ü"), (b"a", "a")])
def test_a_scalar_is_an_array_of_no_dimension(make: Make, data: Any, value: Any) -> None:
    found = HDF5Source(make(data=data), text_of).read(())
    assert found.shape == ()
    assert found[()] in (value, data)


def test_a_compound_is_read_field_by_field(make: Make) -> None:
    dtype = np.dtype([("n", "<i4"), ("t", TEXTS), ("to", h5py.ref_dtype)])

    def fill(file: h5py.File) -> None:
        rows = np.array([(1, "ü", file["target"].ref), (2, "", h5py.Reference())], dtype)
        file.create_dataset("x", data=rows)

    source = HDF5Source(make(fill), text_of)
    assert source.read((slice(0, 2),)).tolist() == [(1, "ü", "to /target"), (2, "", "")]
    assert [field.kind for _, field in source.element.fields] == ["number", "text", "reference"]


def test_a_field_that_is_no_text_is_named(make: Make) -> None:
    rows = np.array([(b"\xff",)], [("t", TEXTS)])
    source = HDF5Source(make(data=rows), text_of)
    with pytest.raises(EncodingError, match=r"field 't': bytes b'\\xff' are not UTF-8 text"):
        source.read((slice(0, 1),))


def test_references_are_told_by_their_targets(make: Make) -> None:
    told: list[str] = []

    def tell(target: Any) -> str:
        told.append(target.name)
        return text_of(target)

    def fill(file: h5py.File) -> None:
        refs = [file["target"].ref, h5py.Reference(), file["target"].ref]
        file.create_dataset("x", data=np.array(refs, h5py.ref_dtype))

    source = HDF5Source(make(fill), tell)
    assert source.element == REFERENCE
    assert source.read((slice(0, 3),)).tolist() == ["to /target", "", "to /target"]
    assert told == ["/target"]
    assert source.reopened() is None


def test_a_reference_to_what_was_removed_is_one_to_nothing(make: Make) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("x", data=np.array([file["target"].ref], h5py.ref_dtype))
        del file["target"]

    source = HDF5Source(make(fill), text_of)
    with pytest.warns(
        BrokenLinkWarning, match="/x has a reference to an object that is not in the"
    ):
        assert source.read((slice(0, 1),)).tolist() == [""]


def test_chunks_of_text_that_were_never_written_are_the_fill_value(make: Make) -> None:
    def fill(file: h5py.File) -> None:
        x = file.create_dataset("x", (5,), TEXTS, chunks=(2,), fillvalue="n/a")
        x[2:3] = "a"

    source = HDF5Source(make(fill), text_of)
    assert source.read((slice(0, 5),)).tolist() == ["n/a", "n/a", "a", "n/a", "n/a"]
    assert source.read((slice(1, 3),)).tolist() == ["n/a", "a"]


def test_a_damaged_file_is_named(make: Make) -> None:
    dataset = make(data=VALUES, chunks=(2, 3), compression="gzip")
    path = Path(dataset.file.filename)
    at = dataset.id.get_chunk_info(1).byte_offset
    dataset.file.close()
    encoded = bytearray(path.read_bytes())
    encoded[at : at + 4] = b"\0\0\0\0"
    path.write_bytes(bytes(encoded))
    with h5py.File(path, "r") as file:
        source = HDF5Source(file["x"], text_of)
        np.testing.assert_array_equal(source.read((slice(0, 2),)), VALUES[:2])
        message = rf"{path}:/x: the elements \[2:4\] cannot be read: .* damaged or truncated"
        with pytest.raises(MetadataError, match=message):
            source.read((slice(2, 4),))
        assert source.where == f"{path}:/x"


# -- other processes -------------------------------------------------------------------------------


def test_a_plain_file_is_read_by_others_too(make: Make) -> None:
    source = HDF5Source(make(data=VALUES), text_of)
    regions = source.reopened()
    assert regions is not None
    again = pickle.loads(pickle.dumps(regions))
    np.testing.assert_array_equal(again.read((slice(1, 3),)), VALUES[1:3])


def test_another_file_in_its_place_is_noticed(make: Make, tmp_path: Path) -> None:
    source = HDF5Source(make(data=VALUES), text_of)
    regions = source.reopened()
    assert regions is not None
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = VALUES + 1
    os.replace(tmp_path / "other.h5", regions.path)
    with pytest.raises(MetadataError, match=":/x: another file has taken the place of the one"):
        regions.read((slice(0, 1),))


def test_a_file_that_may_be_written_is_not_reopened(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = VALUES
        assert HDF5Source(file["x"], text_of).reopened() is None


# -- changes ---------------------------------------------------------------------------------------


def test_a_file_that_is_changed_while_it_is_read_is_noticed(make: Make) -> None:
    main, linked = make(data=VALUES), make(data=VALUES)
    watched = UnchangedFiles(main.file)
    watched.watch_source(HDF5Source(linked, text_of))
    watched.watch_source(None)
    watched.check("x")
    with open(linked.file.filename, "ab") as file:
        file.write(b"more")
    with pytest.raises(MetadataError, match=r"1.h5 \(by way of /x\): the file was changed while"):
        watched.check("x")
    with open(main.file.filename, "ab") as file:
        file.write(b"more")
    with pytest.raises(MetadataError, match="0.h5:/x: the file was changed while it was read"):
        watched.check("x")


def test_a_file_that_its_owner_writes_is_not_watched(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        watched = UnchangedFiles(file)
        file["x"] = VALUES
        file.flush()
        watched.check("x")
