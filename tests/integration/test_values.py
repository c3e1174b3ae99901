"""Small files with one value each: what HDF5 keeps, Zarr keeps, whatever way it was supplied."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.backends.hdf5 import HDF5IO, H5DataIO
from hdmf.build import (
    BuildManager,
    DatasetBuilder,
    GroupBuilder,
    LinkBuilder,
    ReferenceBuilder,
    TypeMap,
)
from hdmf.data_utils import DataChunkIterator
from hdmf.spec import NamespaceCatalog
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.errors import DtypeError
from tests.compare import assert_builders_equal, attribute_value, dataset_value
from tests.iterators import ArrayIterator
from tests.rich import START

UTF8 = np.dtype("O", metadata={"vlen": str})
ASCII = np.dtype("O", metadata={"vlen": bytes})


def empty_manager() -> BuildManager:
    return BuildManager(TypeMap(NamespaceCatalog()))


@pytest.fixture(params=[3, 2], ids=["format 3", "format 2"])
def zarr_format(request: pytest.FixtureRequest) -> int:
    """Either format of Zarr."""
    return int(request.param)


def write(path: Path, root: GroupBuilder, zarr_format: int) -> Path:
    with ZarrIO(path, "w", manager=empty_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root)
    return path


def assert_twins(folder: Path, make: Any, zarr_format: int) -> None:
    """Equal builders, written to HDF5 and to Zarr, are read equal, and so is a copy in the other format."""
    with HDF5IO(str(folder / "f.h5"), "w", manager=empty_manager()) as io:
        io.write_builder(make())
    write(folder / "f.zarr", make(), zarr_format)
    with ZarrIO(folder / "f.zarr", "r", manager=empty_manager()) as src:
        copy, other_format = folder / "copy.zarr", 5 - zarr_format
        with ZarrIO(copy, "w", manager=empty_manager(), zarr_format=other_format) as io:
            io.export(src)
    with HDF5IO(str(folder / "f.h5"), "r", manager=empty_manager()) as src:
        for path in (folder / "f.zarr", copy):
            with ZarrIO(path, "r", manager=empty_manager()) as io:
                assert_builders_equal(src.read_builder(), io.read_builder())


def read_one(path: Path, name: str = "data") -> Any:
    with ZarrIO(path, "r", manager=empty_manager()) as io:
        return dataset_value(io.read_builder()[name])


# -- datasets --------------------------------------------------------------------------------------

DATASETS: dict[str, tuple[Any, Any]] = {
    "list of int": ([1, 2, 3], None),
    "list of float": ([1.5, float("nan")], None),
    "list of bool": ([True, False], None),
    "list of text": (["a", "µ", ""], None),
    "list of bytes": ([b"a", b""], None),
    "nested text": ([["a", "b"], ["c", "d"]], None),
    "nested numbers": ([[1, 2], [3, 4]], None),
    "U array": (np.array(["a", "long µ"]), "text"),
    "object array of text": (np.array(["a", "µ"], dtype=object), "text"),
    "object array of bytes": (np.array([b"a", b"b"], dtype=object), "ascii"),
    "object array, 2-D": (np.array([["a", "µ"], ["", "d"]], dtype=object), "text"),
    "list of bytes as text": ([b"a", b"bb"], "text"),
    "S array": (np.array([b"a", b"bb"]), "text"),
    "S array as ASCII": (np.array([b"a", b"bb"]), "ascii"),
    "U array, 2-D": (np.array([["a", "µ"], ["", "d"]]), "text"),
    "text NaN": (["NaN", "Infinity", "nan"], "text"),
    "one bytes as text": (b"scalar", "text"),
    "one int": (3, "int64"),
    "one float": (2.5, "float64"),
    "one bool": (True, "bool"),
    "one text": ("µ", "text"),
    "no text": ("", "text"),
    "one narrow number": (np.uint8(7), "uint8"),
    "3-D": (np.arange(24, dtype=np.int16).reshape(2, 3, 4), "int16"),
    "big-endian": (np.arange(3, dtype=">i4"), None),
    **{
        name: (np.array([0, 1], dtype=name), None)
        for name in (
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float16",
            "float32",
            "float64",
            "bool",
        )
    },
    **{
        f"no rows of {name}": (np.zeros((0,), dtype=name), None)
        for name in ("int8", "uint64", "float32", "bool")
    },
    "no rows, 2-D": (np.zeros((0, 3), dtype=np.int16), None),
    "no columns": (np.zeros((3, 0), dtype=np.int16), None),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_what_it_is_in_hdf5(name: str, tmp_path: Path, zarr_format: int) -> None:
    data, dtype = DATASETS[name]
    assert_twins(
        tmp_path,
        lambda: GroupBuilder("root", datasets=[DatasetBuilder("data", data, dtype=dtype)]),
        zarr_format,
    )


@pytest.mark.parametrize("dtype", ["text", "ascii", "isodatetime"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_one_text_is_given_as_text(
    dtype: str, as_bytes: Any, tmp_path: Path, zarr_format: int
) -> None:
    data = b"2024-01-01" if as_bytes else "2024-01-01"
    builder = GroupBuilder("root", datasets=[DatasetBuilder("data", data, dtype=dtype)])
    write(tmp_path / "f.zarr", builder, zarr_format)
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.elements) == ("text" if dtype == "text" else "ascii", ["2024-01-01"])


@pytest.mark.parametrize(
    ("dtype", "empty", "kind"),
    [
        ("text", [], "text"),
        ("ascii", [], "ascii"),
        ("isodatetime", [], "ascii"),
        ("bytes", [], "ascii"),
        ("object", [], "reference"),
        ("uint8", [], "uint8"),
        ("float32", np.zeros((0, 2), dtype="f4"), "float32"),
    ],
)
def test_no_rows_of_a_declared_type_are_kept(
    dtype: str, empty: Any, kind: str, tmp_path: Path, zarr_format: int
) -> None:
    builder = GroupBuilder("root", datasets=[DatasetBuilder("data", empty, dtype=dtype)])
    write(tmp_path / "f.zarr", builder, zarr_format)
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.elements) == (kind, [])
    assert value.shape == np.shape(empty)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_records_keep_fields_and_rows(rows: int, tmp_path: Path, zarr_format: int) -> None:
    dtype = [
        {"name": "n", "dtype": "int32", "doc": "d"},
        {"name": "x", "dtype": "float64", "doc": "d"},
    ]
    records = np.array([(n, n / 3) for n in range(rows)], dtype=[("n", "i4"), ("x", "f8")])
    builder = GroupBuilder("root", datasets=[DatasetBuilder("data", records, dtype=dtype)])
    write(tmp_path / "f.zarr", builder, zarr_format)
    value = read_one(tmp_path / "f.zarr")
    assert value.kind == "compound n: int32, x: float64"
    assert (value.shape, value.elements) == ((rows,), [(n, n / 3) for n in range(rows)])


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_records_with_references_keep_their_rows(
    rows: int, tmp_path: Path, zarr_format: int
) -> None:
    target = DatasetBuilder("target", [1, 2])
    dtype = [
        {"name": "n", "dtype": "int32", "doc": "d"},
        {"name": "t", "dtype": {"reftype": "object", "target_type": "X"}, "doc": "d"},
        {"name": "s", "dtype": "text", "doc": "d"},
    ]
    records = [(n, ReferenceBuilder(target), "µ" * n) for n in range(rows)]
    builder = GroupBuilder("root", datasets=[target, DatasetBuilder("data", records, dtype=dtype)])
    write(tmp_path / "f.zarr", builder, zarr_format)
    value = read_one(tmp_path / "f.zarr")
    assert value.kind == "compound n: int32, t: object, s: utf"
    assert (value.shape, value.elements) == (
        (rows,),
        [(n, "/target", "µ" * n) for n in range(rows)],
    )


def test_a_scalar_record_with_text_and_a_reference_is_kept(
    tmp_path: Path, zarr_format: int
) -> None:
    target = DatasetBuilder("target", [1, 2])
    dtype = [
        {"name": "n", "dtype": "uint8", "doc": "d"},
        {"name": "t", "dtype": {"reftype": "object", "target_type": "X"}, "doc": "d"},
        {"name": "s", "dtype": "ascii", "doc": "d"},
    ]
    record = np.empty((), dtype=[("n", "u1"), ("t", "O"), ("s", "O")])
    record[()] = (7, ReferenceBuilder(target), b"abc")
    builder = GroupBuilder("root", datasets=[target, DatasetBuilder("data", record, dtype=dtype)])
    write(tmp_path / "f.zarr", builder, zarr_format)
    value = read_one(tmp_path / "f.zarr")
    assert value.kind == "compound n: uint8, t: object, s: ascii"
    assert (value.shape, value.elements) == ((), [(7, "/target", b"abc")])


def test_references_of_every_kind_are_those_of_hdf5(tmp_path: Path, zarr_format: int) -> None:
    def make() -> GroupBuilder:
        target = DatasetBuilder("target", [1, 2])
        group = GroupBuilder("group", attributes={"points_to": target, "id": "x"})
        references = [ReferenceBuilder(group), ReferenceBuilder(target), ReferenceBuilder(group)]
        return GroupBuilder(
            "root",
            groups=[group],
            datasets=[target, DatasetBuilder("references", references, dtype="object")],
            links=[LinkBuilder(group, "link"), LinkBuilder(target, "other")],
        )

    assert_twins(tmp_path, make, zarr_format)


def test_one_reference_is_kept(tmp_path: Path, zarr_format: int) -> None:
    target = DatasetBuilder("target", [1, 2])
    data = DatasetBuilder("data", ReferenceBuilder(target), dtype="object")
    write(tmp_path / "f.zarr", GroupBuilder("root", datasets=[target, data]), zarr_format)
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.shape, value.elements) == ("reference", (), ["/target"])


@pytest.mark.parametrize("is_record", [False, True])
def test_a_reference_may_have_a_colon_in_its_name(tmp_path: Path, *, is_record: bool) -> None:
    targets = [DatasetBuilder(name, [1, 2]) for name in ("ref", "target")]
    data, dtype = ReferenceBuilder(targets[1]), "object"
    if is_record:
        dtype = [
            {"name": "n", "dtype": "uint8", "doc": "d"},
            {"name": "to", "dtype": {"reftype": "object", "target_type": "X"}, "doc": "d"},
        ]
        record = np.empty((), dtype=[("n", "u1"), ("to", "O")])
        record[()] = (7, data)
        data = record
    builder = GroupBuilder("root", datasets=[*targets, DatasetBuilder("ref:to", data, dtype=dtype)])
    with ZarrIO(tmp_path / "f.zarr", "w", manager=empty_manager()) as io:
        io.write_builder(builder)
    with ZarrIO(tmp_path / "f.zarr", "r", manager=empty_manager()) as io:
        root = io.read_builder()
        found = root["ref:to"].data
        assert (found["to"].item() if is_record else found.builder) is root["target"]
        assert root["ref"].data[:].tolist() == [1, 2]


def test_a_string_of_numpy_is_text(tmp_path: Path, zarr_format: int) -> None:
    data = np.array(["a", "longer µ"], dtype=np.dtypes.StringDType())
    write(
        tmp_path / "f.zarr",
        GroupBuilder("root", datasets=[DatasetBuilder("data", data)]),
        zarr_format,
    )
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.elements) == ("text", ["a", "longer µ"])


def test_bytes_that_are_no_text_are_kept_as_they_are(tmp_path: Path, zarr_format: int) -> None:
    data = [b"\xff\xfe\x00", b"plain"]
    write(
        tmp_path / "f.zarr",
        GroupBuilder("root", datasets=[DatasetBuilder("data", data, dtype="ascii")]),
        zarr_format,
    )
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.elements) == ("ascii", data)


# -- attributes ------------------------------------------------------------------------------------

ATTRIBUTES: dict[str, Any] = {
    "int": 3,
    "large": 2**62,
    "float": 0.1,
    "bool": True,
    "text": "µ",
    "no text": "",
    "text NaN": "NaN",
    "text Infinity": "-Infinity",
    "nan": float("nan"),
    "inf": float("-inf"),
    "numpy nan": np.float32("nan"),
    "list": [1, 2],
    "list of text": ["a", "µ"],
    "list of nan": [1.0, float("nan"), float("inf")],
    "nested nan": [[1.0, float("nan")], [float("-inf"), 2.0]],
    "list of text NaN": ["NaN", "Infinity", "-Infinity", "nan"],
    "2-D text NaN": np.array([["NaN", "a"], ["Infinity", "b"]], dtype=object),
    "U array NaN": np.array(["NaN", "x"]),
    "2-D": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "2-D text": np.array([["a", "b"], ["c", "µ"]], dtype=object),
    "0-d": np.array(3, dtype=np.int16),
    "0-d nan": np.array(np.nan, dtype=np.float32),
    "0-d inf": np.array(np.inf),
    "narrow inf": np.float16("-inf"),
    "array of nan": np.array([np.nan, 1.0], dtype=np.float32),
    "one in a list": [5],
    "bools": np.array([True, False]),
    "no numbers": np.array([], dtype=np.float64),
    **{
        name: np.ones((), dtype=name)[()]
        for name in (
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "float16",
            "float32",
            "float64",
        )
    },
    **{f"array of {name}": np.array([0, 1], dtype=name) for name in ("int8", "uint32", "float32")},
}


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("holder", ["group", "dataset"])
def test_an_attribute_is_what_it_is_in_hdf5(
    name: str, holder: str, tmp_path: Path, zarr_format: int
) -> None:
    def make() -> GroupBuilder:
        attributes = {"attribute": ATTRIBUTES[name]}
        if holder == "group":
            return GroupBuilder("root", groups=[GroupBuilder("group", attributes=attributes)])
        return GroupBuilder("root", datasets=[DatasetBuilder("data", [1], attributes=attributes)])

    assert_twins(tmp_path, make, zarr_format)


@pytest.mark.parametrize("name", ["uint32", "float32", "array of int8", "0-d"])
def test_an_attribute_survives_many_exports(name: str, tmp_path: Path) -> None:
    value = ATTRIBUTES[name]
    with ZarrIO(tmp_path / "0.zarr", "w", manager=empty_manager()) as io:
        io.write_builder(GroupBuilder("root", attributes={"a": value}))
    for n in range(3):
        with ZarrIO(tmp_path / f"{n}.zarr", "r", manager=empty_manager()) as src:
            with ZarrIO(tmp_path / f"{n + 1}.zarr", "w", manager=empty_manager()) as io:
                io.export(src)
    with ZarrIO(tmp_path / "3.zarr", "r", manager=empty_manager()) as io:
        found = attribute_value(io.read_builder().attributes["a"], None)
    expected = attribute_value(value, None)
    assert (found.kind, found.shape, found.elements) == (
        expected.kind,
        expected.shape,
        expected.elements,
    )


# -- names of types --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    [
        "float",
        "float32",
        "double",
        "float64",
        "long",
        "int64",
        "int",
        "int32",
        "short",
        "int16",
        "int8",
        "uint",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
        "numeric",
    ],
)
def test_every_spelling_of_a_dtype_means_what_it_means_in_hdf5(
    dtype: str, tmp_path: Path, zarr_format: int
) -> None:
    declared = None if dtype == "numeric" else dtype
    assert_twins(
        tmp_path,
        lambda: GroupBuilder("root", datasets=[DatasetBuilder("data", [0, 1], dtype=declared)]),
        zarr_format,
    )


def test_an_unknown_dtype_is_refused_before_anything_is_written(
    tmp_path: Path, zarr_format: int
) -> None:
    builder = GroupBuilder("root", datasets=[DatasetBuilder("data", [0, 1], dtype="quux")])
    with pytest.raises(DtypeError, match="quux"):
        write(tmp_path / "f.zarr", builder, zarr_format)
    assert not (tmp_path / "f.zarr").exists()


# -- supplied in many ways -------------------------------------------------------------------------


def in_hdf5(array: Any) -> h5py.Dataset:
    file = h5py.File(f"in memory {uuid.uuid4()}", "w", driver="core", backing_store=False)
    is_text = isinstance(array[0], str)
    dtype = h5py.string_dtype() if is_text else None
    return file.create_dataset(
        "data", data=np.asarray(array, dtype=object if is_text else None), dtype=dtype
    )


def recorded_type(path: Path, zarr_format: int) -> Any:
    if zarr_format == 3:
        return json.loads((path / "zarr.json").read_text())["attributes"]["_DTYPE"]
    return json.loads((path / ".zattrs").read_text())["zarr_dtype"]


WAYS: dict[str, Any] = {
    "array": lambda array: array,
    "list": list,
    "wrapped": ZarrDataIO,
    "wrapped for HDF5": H5DataIO,
    "iterator": lambda array: DataChunkIterator(data=array, buffer_size=3),
    "wrapped iterator": lambda array: ZarrDataIO(DataChunkIterator(data=array, buffer_size=3)),
    "generic iterator": lambda array: ArrayIterator(array, buffer_shape=(2,), chunk_shape=(2,)),
    "zarr": lambda array: zarr.array(array, store=zarr.storage.MemoryStore()),
    "HDF5": in_hdf5,
    "dask": lambda array: pytest.importorskip("dask.array").from_array(array),
}


@pytest.mark.parametrize("dtype", ["int16", "float64", "bool", "uint32"])
@pytest.mark.parametrize("way", WAYS)
def test_the_recorded_type_does_not_depend_on_the_way(
    way: str, dtype: str, tmp_path: Path, zarr_format: int
) -> None:
    array = np.array([0, 1, 1, 0], dtype=dtype)
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", WAYS[way](array))])
    write(tmp_path / "f.zarr", root, zarr_format)
    assert recorded_type(tmp_path / "f.zarr/data", zarr_format) == dtype
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.elements) == (dtype, array.tolist())


TEXT_WAYS: dict[str, Any] = {
    "list": lambda texts: texts,
    "tuple": tuple,
    "U array": np.array,
    "object array": lambda texts: np.array(texts, dtype=object),
    "StringDType": lambda texts: np.array(texts, dtype=np.dtypes.StringDType()),
    "bytes": lambda texts: [text.encode() for text in texts],
    "wrapped": ZarrDataIO,
    "iterator": lambda texts: DataChunkIterator(iter(texts), maxshape=(None,), buffer_size=2),
    "iterator of a list": lambda texts: DataChunkIterator(data=texts, buffer_size=2),
    "HDF5": in_hdf5,
    "zarr": lambda texts: zarr.array(
        np.array(texts, dtype=object), dtype="string", store=zarr.storage.MemoryStore()
    ),
}


@pytest.mark.parametrize("way", TEXT_WAYS)
def test_text_is_text_whatever_the_way(way: str, tmp_path: Path, zarr_format: int) -> None:
    texts = ["a", "größer", ""]
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", TEXT_WAYS[way](texts), dtype="text")]
    )
    write(tmp_path / "f.zarr", root, zarr_format)
    assert recorded_type(tmp_path / "f.zarr/data", zarr_format) == "str"
    value = read_one(tmp_path / "f.zarr")
    assert (value.kind, value.elements) == ("text", texts)


def test_builders_are_not_changed_by_a_write(tmp_path: Path, zarr_format: int) -> None:
    target = DatasetBuilder("target", [1, 2], attributes={"a": 1})
    builder = GroupBuilder("root", datasets=[target], attributes={"points_to": target})
    before = (dict(builder.attributes), dict(target.attributes), target.data, target.dtype)
    write(tmp_path / "f.zarr", builder, zarr_format)
    assert (dict(builder.attributes), dict(target.attributes), target.data, target.dtype) == before


# -- store operations ------------------------------------------------------------------------------


class CountingStore(zarr.storage.MemoryStore):
    """A store that remembers the keys that were set."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_set: list[str] = []

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        self.keys_set.append(key)
        await super().set(key, value, byte_range)


def operations(store: CountingStore, folder: str) -> list[str]:
    """Keys of the chunks of an array that were set, each as often as it was."""
    prefix = folder + "/"
    names = [key.removeprefix(prefix) for key in store.keys_set if key.startswith(prefix)]
    return sorted(name for name in names if not name.startswith((".z", "zarr.json")))


ROWS = range(500)

COLUMNS: dict[str, tuple[Any, Any]] = {
    "text": (lambda _target: [f"text {n}" for n in ROWS], None),
    "bytes": (lambda _target: [b"\xff%d" % n for n in ROWS], "bytes"),
    "references": (lambda target: [ReferenceBuilder(target) for _ in ROWS], None),
    "records": (
        lambda target: [(n, f"text {n}", ReferenceBuilder(target)) for n in ROWS],
        [
            {"name": "n", "dtype": "int"},
            {"name": "text", "dtype": "text"},
            {"name": "to", "dtype": {"reftype": "object"}},
        ],
    ),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_is_one_store_operation_a_chunk(kind: str, zarr_format: int) -> None:
    store = CountingStore()
    rows, dtype = COLUMNS[kind]
    target = DatasetBuilder("target", [1])
    column = DatasetBuilder("data", ZarrDataIO(rows(target), chunks=(100,)), dtype=dtype)
    with ZarrIO(store, "w", manager=empty_manager(), zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", datasets=[target, column]))
    start = "" if zarr_format == 2 else "c."
    assert operations(store, "data") == [f"{start}{n}" for n in range(5)]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_attributes_of_a_node_are_one_store_operation(zarr_format: int) -> None:
    store = CountingStore()
    attributes = {f"a{n}": n for n in range(20)}
    with ZarrIO(store, "w", manager=empty_manager(), zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", groups=[GroupBuilder("g", attributes=attributes)]))
    assert store.keys_set.count({2: "g/.zattrs", 3: "g/zarr.json"}[zarr_format]) == 1


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_no_key_is_written_twice(zarr_format: int) -> None:
    store = CountingStore()
    nwbfile = NWBFile("d", "i", START)
    nwbfile.add_acquisition(TimeSeries(name="ts", data=np.arange(10), unit="m", rate=1.0))
    with NWBZarrIO(store, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    assert sorted(store.keys_set) == sorted(set(store.keys_set))


def test_the_document_of_the_root_is_written_last() -> None:
    store = CountingStore()
    with NWBZarrIO(store, "w") as io:
        io.write(NWBFile("d", "i", START))
    assert store.keys_set[-1] == "zarr.json"
