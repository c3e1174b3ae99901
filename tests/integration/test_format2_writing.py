"""What is written with ``zarr_format=2``: read as the HDF5 twin, never a pickle, always format 2."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.common import get_manager
from pynwb import NWBHDF5IO, TimeSeries, validate
from zarr.storage import MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, is_zarr_v2_file
from hdmf_zarr.arrays.array import HDMFZarrArray
from hdmf_zarr.conversion import convert
from hdmf_zarr.core.dtypes import element_type_from_numpy
from hdmf_zarr.errors import EncodingError, LayoutError
from hdmf_zarr.hdf5.writer import HDF5TreeWriter
from hdmf_zarr.transfer.upgrading import upgrade
from tests.compare import assert_builders_equal, path_of
from tests.rich import rich_manager, rich_nwbfile, rich_type_map

DATA = Path(__file__).parents[1] / "data"

pytestmark = pytest.mark.filterwarnings("ignore:.*is a compound that was stored expanded")


def documents(store: Path, name: str) -> dict[str, Any]:
    """Return the documents of a name, by the paths of their nodes."""
    return {
        path.parent.relative_to(store).as_posix(): json.loads(path.read_text())
        for path in store.rglob(name)
    }


def assert_is_format_2(store: Path) -> None:
    """All is format 2, nothing is a pickle, and the consolidated metadata are what the nodes have."""
    assert is_zarr_v2_file(store)
    assert list(store.rglob("zarr.json")) == []
    arrays = documents(store, ".zarray")
    filters = {entry["id"] for array in arrays.values() for entry in array["filters"] or []}
    assert "pickle" not in filters
    for path, array in arrays.items():
        assert array["zarr_format"] == 2
        assert array["dtype"] != "|O" or filters & {"json2", "vlen-utf8", "vlen-bytes"}, path
        for chunk in (store / path).iterdir():
            assert b"ZarrReference" not in chunk.read_bytes()
    consolidated = json.loads((store / ".zmetadata").read_text())
    assert consolidated["zarr_consolidated_format"] == 1
    on_disk = {
        path.relative_to(store).as_posix(): json.loads(path.read_text())
        for name in (".zgroup", ".zarray", ".zattrs")
        for path in store.rglob(name)
    }
    assert consolidated["metadata"] == on_disk


def written(path: Path, source: str, rich_hdf5: Path, rich_zarr: Path) -> Path:
    """The rich file in format 2, made in one of several ways."""
    if source == "containers":
        type_map = rich_type_map()
        with NWBZarrIO(path, "w", manager=BuildManager(type_map), zarr_format=2) as io:
            io.write(rich_nwbfile(type_map))
        return path
    if source == "format 2":
        exported = path.with_name("first.nwb.zarr")
        written(exported, "containers", rich_hdf5, rich_zarr)
        source_io: Any = NWBZarrIO(exported, "r", manager=rich_manager())
    elif source == "format 3":
        source_io = NWBZarrIO(rich_zarr, "r", manager=rich_manager())
    else:
        source_io = NWBHDF5IO(str(rich_hdf5), "r", manager=rich_manager())
    with source_io, NWBZarrIO(path, "w", manager=rich_manager(), zarr_format=2) as io:
        io.export(source_io)
    return path


SOURCES = ["containers", "hdf5", "format 3", "format 2"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_rich_file_reads_as_its_twin(
    tmp_path: Path, rich_hdf5: Path, rich_zarr: Path, source: str
) -> None:
    store = written(tmp_path / "rich.nwb.zarr", source, rich_hdf5, rich_zarr)
    assert_is_format_2(store)
    for mode in ("r", "r-"):
        with (
            NWBZarrIO(store, mode, manager=rich_manager()) as io,
            NWBHDF5IO(str(rich_hdf5), "r", manager=rich_manager()) as twin,
        ):
            # Format 2 has one word for text of ASCII, and none for dates.
            assert_builders_equal(io.read_builder(), twin.read_builder())
            assert io.read().identifier == "rich"


def test_a_file_of_format_2_goes_back_to_hdf5_and_format_3(
    tmp_path: Path, rich_hdf5: Path, rich_zarr: Path
) -> None:
    store = written(tmp_path / "rich.nwb.zarr", "containers", rich_hdf5, rich_zarr)
    for kind, name in ((NWBHDF5IO, "back.nwb"), (NWBZarrIO, "back.nwb.zarr")):
        with (
            NWBZarrIO(store, "r", manager=rich_manager()) as source,
            kind(str(tmp_path / name), "w", manager=rich_manager()) as io,
        ):
            io.export(source, write_args={"link_data": False})
        with (
            kind(str(tmp_path / name), "r", manager=rich_manager()) as io,
            NWBHDF5IO(str(rich_hdf5), "r", manager=rich_manager()) as twin,
        ):
            # HDF5IO writes no names of columns for a table without rows.
            assert_builders_equal(
                io.read_builder(),
                twin.read_builder(),
                ignore=lambda path: path == "/analysis/no_rows@colnames",
            )
    assert not is_zarr_v2_file(tmp_path / "back.nwb.zarr")


def test_a_file_of_format_2_is_valid(tmp_path: Path) -> None:
    with NWBZarrIO(tmp_path / "rich.nwb.zarr", "w", zarr_format=2) as io:
        io.write(rich_nwbfile())
    assert validate(path=tmp_path / "rich.nwb.zarr") == []


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    stores = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    for store in stores:
        with NWBZarrIO(store, "w", zarr_format=2) as io:
            io.write(rich_nwbfile())
    found = [
        {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}
        for store in stores
    ]
    assert found[0].keys() == found[1].keys()
    assert [key for key in found[0] if found[0][key] != found[1][key]] == []


def test_a_store_in_memory_is_written(tmp_path: Path) -> None:
    store = MemoryStore()
    with NWBZarrIO(store, "w", zarr_format=2) as io:
        io.write(rich_nwbfile())
    assert ".zmetadata" in store._store_dict
    assert not [key for key in store._store_dict if key.endswith("zarr.json")]
    with NWBZarrIO(store, "r") as io:
        assert io.read().trials["choice"][0] == "left"


# -- builders --------------------------------------------------------------------------------------


def write_builders(path: Any, *datasets: DatasetBuilder, **attributes: Any) -> None:
    root = GroupBuilder("root", attributes=attributes, source=str(path))
    for dataset in datasets:
        root.set_dataset(dataset)
    with ZarrIO(path, "w", zarr_format=2) as io:
        io.write_builder(root)


@pytest.mark.parametrize(
    "dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?"]
)
def test_dtypes_of_attributes_are_kept(tmp_path: Path, dtype: str) -> None:
    one, some = np.dtype(dtype).type(1), np.array([[1, 0]], dtype=dtype)
    write_builders(tmp_path / "a.zarr", one=one, some=some, text="1", nan=np.float32("nan"))
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        found = io.read_builder().attributes
        assert np.asarray(found["one"]).dtype == np.dtype(dtype)
        assert found["one"] == one
        assert np.asarray(found["some"]).dtype == np.dtype(dtype)
        assert np.asarray(found["some"]).tolist() == some.tolist()
        assert found["text"] == "1"
        assert np.asarray(found["nan"]).dtype == np.float32


@pytest.mark.parametrize(
    "value",
    [
        *(
            np.dtype(d).type(1)
            for d in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "?")
        ),
        *(np.float64("nan"), np.uint64(2**64 - 1)),
        *("", "ä\x00", "text", '{"source": ".", "path": "/x"}'),
    ],
    ids=repr,
)
def test_scalars_are_kept(tmp_path: Path, value: Any) -> None:
    write_builders(tmp_path / "a.zarr", DatasetBuilder("scalar", value))
    metadata = documents(tmp_path / "a.zarr", ".zarray")["scalar"]
    assert metadata["shape"] == [1]
    assert documents(tmp_path / "a.zarr", ".zattrs")["scalar"]["zarr_dtype"] == "scalar"
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        found = io.read_builder()["scalar"].data
        assert np.asarray(found).shape == ()
        assert repr(found) == repr(value)


def test_a_scalar_compound_is_kept(tmp_path: Path) -> None:
    fields = [{"name": "n", "dtype": "int32"}, {"name": "x", "dtype": "float64"}]
    row = np.array((7, 0.5), dtype=[("n", "i4"), ("x", "f8")])[()]
    write_builders(tmp_path / "a.zarr", DatasetBuilder("one", row, dtype=fields))
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        found = io.read_builder()["one"]
        assert found.data.shape == ()
        assert (int(found.data["n"]), float(found.data["x"])) == (7, 0.5)
        assert [field["dtype"] for field in found.dtype] == ["int32", "float64"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "filters", "reason"),
    [
        (">i2", [numcodecs.Delta(">i2")], "the data are big-endian"),
        (">f8", [numcodecs.Quantize(3, ">f8")], "the data are big-endian"),
        (">f8", [numcodecs.BitRound(20)], "the data are big-endian"),
        ("<i4", [numcodecs.Delta("<i2")], "it takes '<i2', and is given '<i4'"),
        ("<f8", [numcodecs.FixedScaleOffset(0, 10, "<f8", ">i4")], "it gives '>i4'"),
        ("|u1", [numcodecs.Delta("|u1", "<i4")], "it gives '<i4'"),
        (
            "<f8",
            [numcodecs.FixedScaleOffset(0, 10, "<f8", "<i4"), numcodecs.Delta("<i2")],
            "it takes '<i2'",
        ),
    ],
    ids=str,
)
def test_filters_that_give_wrong_values_are_refused(
    tmp_path: Path, dtype: str, filters: list[Any], reason: str, zarr_format: int
) -> None:
    data = ZarrDataIO(np.arange(12).astype(dtype), filters=filters)
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", data)])
    with ZarrIO(tmp_path / "new.zarr", "w", zarr_format=zarr_format) as io:
        with pytest.raises(LayoutError, match=reason):
            io.write_builder(root)
    assert not (tmp_path / "new.zarr").exists()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "filters"),
    [
        ("<i4", [numcodecs.Delta("<i4"), numcodecs.Shuffle(4)]),
        (">i4", [numcodecs.Shuffle(4)]),
        ("|u1", [numcodecs.Delta("|u1")]),
        ("|b1", [numcodecs.PackBits()]),
        ("<f8", [numcodecs.FixedScaleOffset(0, 1, "<f8", "|u1")]),
        ("<f8", [numcodecs.FixedScaleOffset(0, 10, "<f8", "<i4"), numcodecs.Delta("<i4")]),
        ("<f8", [numcodecs.AsType("<f4", "<f8")]),
    ],
    ids=str,
)
def test_filters_are_written_and_undone(
    tmp_path: Path, dtype: str, filters: list[Any], zarr_format: int
) -> None:
    values = (np.arange(24) % 11).astype(dtype).reshape(6, 4)
    data = ZarrDataIO(values, filters=filters, chunks=(4, 3))
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", data)])
    with ZarrIO(tmp_path / "new.zarr", "w", zarr_format=zarr_format) as io:
        io.write_builder(root)
    with ZarrIO(tmp_path / "new.zarr", "r") as io:
        found = io.read_builder()["data"].data
        np.testing.assert_array_equal(found[...], values)
        assert found.dtype == values.dtype


@pytest.mark.parametrize("kind", ["<f8", "U3"])
def test_a_table_of_records_is_not_taken_for_an_expanded_compound(
    tmp_path: Path, kind: str
) -> None:
    rows = np.array([[(1, 2), (3, 4)], [(5, 6), (7, 8)]], dtype=[("a", "<i4"), ("b", kind)])
    data = [[tuple(record) for record in row] for row in rows.tolist()]
    with ZarrIO(tmp_path / "new.zarr", "w", zarr_format=2) as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("rows", rows)]))
    with ZarrIO(tmp_path / "new.zarr", "r") as io:
        found = io.read_builder()["rows"].data
        assert found.shape == (2, 2)
        assert found[...].tolist() == data


@pytest.mark.parametrize("is_scalar", [True, False])
def test_a_record_of_text_and_references_is_a_scalar_where_it_was_one(
    tmp_path: Path, *, is_scalar: bool
) -> None:
    target = DatasetBuilder("target", np.arange(3))
    fields = [{"name": "t", "dtype": "text"}, {"name": "r", "dtype": "object"}]
    row = np.empty((), dtype=[("t", object), ("r", object)])
    row["t"], row["r"] = "ä", ReferenceBuilder(target)
    one = DatasetBuilder("one", row[()] if is_scalar else [tuple(row[()])], dtype=fields)
    write_builders(tmp_path / "a.zarr", target, one)
    with ZarrIO(tmp_path / "a.zarr", "r") as source, h5py.File(tmp_path / "a.h5", "w") as file:
        HDF5TreeWriter(file, lambda _count: None).write(source.read_builder())
    with (
        HDF5IO(str(tmp_path / "a.h5"), manager=get_manager(), mode="r") as hdf5_io,
        ZarrIO(tmp_path / "b.zarr", "w", zarr_format=2) as io,
    ):
        io.export(hdf5_io)
    with ZarrIO(tmp_path / "b.zarr", "r") as zarr_io, ZarrIO(tmp_path / "c.zarr", "w") as io:
        io.export(zarr_io)
    upgrade(tmp_path / "a.zarr", tmp_path / "d.zarr")
    for name in ("a.zarr", "b.zarr", "c.zarr", "d.zarr"):
        with ZarrIO(tmp_path / name, "r") as io:
            builder = io.read_builder()
            data = builder["one"].data
            assert data.shape == (() if is_scalar else (1,))
            record = data[()] if is_scalar else data[0]
            assert record["t"] == "ä"
            assert path_of(record["r"]) == "/target"
            assert [str(field["dtype"]) for field in builder["one"].dtype] == ["utf", "object"]
    # The releases before 0.14 know no record but as a row, and need its fields.
    attributes = documents(tmp_path / "a.zarr", ".zattrs")["one"]
    assert attributes["zarr_dtype"] == [
        {"name": "t", "dtype": "str"},
        {"name": "r", "dtype": "object"},
    ]
    assert attributes.get("_SCALAR") == (True if is_scalar else None)


# What is text in the store of format 3 and bytes in that of format 2, by the name of its type.
TEXTS: dict[str, Any] = {
    "text": ["a", "ä"],
    "ascii": [b"a", b"bc"],
    "isodatetime": ["2024-01-01", "2024-01-02"],
    "bytes": [b"a", b""],
}


def text_types(store: Path) -> dict[str, Any]:
    """Kind of every dataset and field, and the values of the datasets."""
    found: dict[str, Any] = {}
    with ZarrIO(store, "r") as io:
        for name, builder in io.read_builder().datasets.items():
            data = builder.data
            array = data if isinstance(data, HDMFZarrArray) else getattr(data, "dataset", None)
            if array is None:
                found[name] = (element_type_from_numpy(builder.dtype).kind, data)
            else:
                fields = [field.kind for _, field in array.element_type.fields]
                found[name] = (fields or array.element_type.kind, array[:].tolist())
    return found


def test_types_of_text_are_kept_through_format_2(tmp_path: Path) -> None:
    """In format 2 all but ``"text"`` are stored as bytes, with one word for them."""
    rows = [("a", b"b", "2024-01-01", b"c"), ("ä", b"", "2024-01-02", b"")]
    fields = [{"name": dtype[0], "dtype": dtype} for dtype in TEXTS]
    scalars = {"ascii": b"a", "isodatetime": "2024-01-01", "bytes": b"a"}
    datasets = [
        *(DatasetBuilder(dtype, values, dtype=dtype) for dtype, values in TEXTS.items()),
        *(DatasetBuilder(f"one {d}", value, dtype=d) for d, value in scalars.items()),
        DatasetBuilder("rows", rows, dtype=fields),
    ]
    stores = {n: tmp_path / f"{n}.zarr" for n in ("three", "two", "again", "back", "up", "direct")}
    root = GroupBuilder("root", source=str(stores["three"]))
    for dataset in datasets:
        root.set_dataset(dataset)
    with ZarrIO(stores["three"], "w") as io:
        io.write_builder(root)
    expected = text_types(stores["three"])
    assert expected["rows"][0] == list(TEXTS)
    assert {name: expected[name][0] for name in TEXTS} == {name: name for name in TEXTS}
    for source, target, zarr_format in (
        ("three", "two", 2),
        ("two", "again", 2),
        ("again", "back", 3),
    ):
        with (
            ZarrIO(stores[source], "r") as src_io,
            ZarrIO(stores[target], "w", zarr_format=zarr_format) as io,
        ):
            io.export(src_io)
    upgrade(stores["again"], stores["up"])
    for name in ("two", "again", "back", "up"):
        assert text_types(stores[name]) == expected, name
    words = {
        name: found["zarr_dtype"]
        for name, found in documents(stores["again"], ".zattrs").items()
        if "zarr_dtype" in found
    }
    assert words["ascii"] == words["isodatetime"] == words["bytes"] == "bytes"
    assert words["one ascii"] == "scalar"
    assert [field["dtype"] for field in words["rows"]] == ["str", "bytes_", "bytes_", "bytes_"]
    arrays = documents(stores["again"], ".zarray")
    for dtype in ("ascii", "isodatetime", "bytes"):
        assert arrays[dtype]["filters"] == [{"id": "vlen-bytes"}]


@pytest.mark.parametrize("dtype", ["ascii", "isodatetime"])
def test_text_in_bytes_is_appended_to(tmp_path: Path, dtype: str) -> None:
    store = tmp_path / "a.zarr"
    write_builders(store, DatasetBuilder("data", TEXTS[dtype], dtype=dtype))
    expected = [entry.encode() if isinstance(entry, str) else entry for entry in TEXTS[dtype]]
    with ZarrIO(store, "r+") as io:
        data = io.read_builder()["data"].data
        data.append("2024-01-03")
        data.append([b"2024-01-04"])
        data[0] = "first"
        assert data.element_type.kind == dtype
    with ZarrIO(store, "r") as io:
        data = io.read_builder()["data"].data
        assert data.element_type.kind == dtype
        assert data[:].tolist() == [b"first", *expected[1:], b"2024-01-03", b"2024-01-04"]


def test_bytes_that_are_no_text_are_found_before_they_become_text(tmp_path: Path) -> None:
    """Old stores, and this package for iterators, call all bytes the same."""
    store = tmp_path / "a.zarr"
    datasets = [DatasetBuilder(name, [b"a", b"b"], dtype="ascii") for name in ("text", "bytes")]
    write_builders(store, *datasets)
    with ZarrIO(store, "r+") as io:
        io.read_builder()["bytes"].data.append([b"\xff"])
    with ZarrIO(store, "r") as source, ZarrIO(tmp_path / "b.zarr", "w") as io:
        io.export(source)
    upgrade(store, tmp_path / "c.zarr")
    for name in ("b.zarr", "c.zarr"):
        found = text_types(tmp_path / name)
        assert found["text"] == ("ascii", [b"a", b"b"])
        assert found["bytes"] == ("bytes", [b"a", b"b", b"\xff"])


def test_a_scalar_reference_is_kept(tmp_path: Path) -> None:
    target = DatasetBuilder("target", np.arange(3))
    one = DatasetBuilder("one", ReferenceBuilder(target), dtype="object")
    write_builders(tmp_path / "a.zarr", target, one)
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        builder = io.read_builder()
        found = builder["one"].data
        assert isinstance(found, ReferenceBuilder)
        assert found.builder is builder["target"]


def test_references_and_links_are_written_as_json(tmp_path: Path) -> None:
    target = DatasetBuilder("target", np.arange(3))
    root = GroupBuilder("root", source=str(tmp_path / "a.zarr"))
    root.set_dataset(target)
    group = GroupBuilder("group", attributes={"points": ReferenceBuilder(target)})
    group.set_link(LinkBuilder(target, name="link"))
    root.set_group(group)
    rows = [(1, "ä", ReferenceBuilder(target)), (2, "", ReferenceBuilder(group))]
    fields = [("n", "int32"), ("t", "text"), ("r", "object")]
    recorded = [{"name": name, "dtype": dtype} for name, dtype in fields]
    root.set_dataset(DatasetBuilder("rows", rows, dtype=recorded))
    references = [ReferenceBuilder(target), ReferenceBuilder(group)]
    root.set_dataset(DatasetBuilder("references", references, dtype="object"))
    with ZarrIO(tmp_path / "a.zarr", "w", zarr_format=2) as io:
        io.write_builder(root)
    assert_is_format_2(tmp_path / "a.zarr")
    arrays = documents(tmp_path / "a.zarr", ".zarray")
    attributes = documents(tmp_path / "a.zarr", ".zattrs")
    for name in ("rows", "references"):
        assert arrays[name]["dtype"] == "|O"
        assert [entry["id"] for entry in arrays[name]["filters"]] == ["json2"]
    assert attributes["references"]["zarr_dtype"] == "object"
    assert attributes["rows"]["zarr_dtype"] == [
        {"name": "n", "dtype": "int32"},
        {"name": "t", "dtype": "str"},
        {"name": "r", "dtype": "object"},
    ]
    assert attributes["group"]["points"]["zarr_dtype"] == "object"
    assert attributes["group"]["points"]["value"]["path"] == "/target"
    assert attributes["group"]["zarr_link"] == [{"name": "link", "source": ".", "path": "/target"}]
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        builder = io.read_builder()
        assert [path_of(entry) for entry in builder["references"].data[:]] == ["/target", "/group"]
        assert [(int(n), t, path_of(r)) for n, t, r in builder["rows"].data[:]] == [
            (1, "ä", "/target"),
            (2, "", "/group"),
        ]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_complex_numbers_beside_text_are_refused_where_rows_are_json(
    tmp_path: Path, zarr_format: int
) -> None:
    dtype = [
        {"name": "number", "dtype": "complex128", "doc": "d"},
        {"name": "text", "dtype": "utf8", "doc": "d"},
    ]
    rows = [(1 - 2j, "a"), (complex("nan"), "")]
    root = GroupBuilder("root", datasets={"rows": DatasetBuilder("rows", rows, dtype=dtype)})
    path = tmp_path / "a.zarr"
    with ZarrIO(path, "w", zarr_format=zarr_format) as io:
        if zarr_format == 2:
            with pytest.raises(EncodingError, match="/rows: field 'number' is complex"):
                io.write_builder(root)
            return
        io.write_builder(root)
    with ZarrIO(path, "r") as io:
        found = io.read_builder()["rows"].data[:]
        assert repr([tuple(row) for row in found.tolist()]) == repr(rows)


@pytest.mark.parametrize("shards", [(20,), "auto"])
def test_shards_are_refused(tmp_path: Path, shards: Any) -> None:
    data = ZarrDataIO(np.arange(100), chunks=(10,), shards=shards)
    with pytest.raises((LayoutError, ValueError), match="shards"):
        write_builders(tmp_path / "a.zarr", DatasetBuilder("data", data))
    assert not (tmp_path / "a.zarr" / ".zgroup").exists()


# -- appending -------------------------------------------------------------------------------------


@pytest.fixture(params=["v0.6.0", "v0.13.0", "ours"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A released store, or one of ours made from it."""
    release = "v0.13.0" if request.param == "ours" else request.param
    with tarfile.open(DATA / f"{release}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    released = next(tmp_path.glob("*.nwb.zarr"))
    if request.param != "ours":
        return released
    with (
        NWBZarrIO(released, "r") as source,
        NWBZarrIO(tmp_path / "ours.nwb.zarr", "w", zarr_format=2) as io,
    ):
        io.export(source)
    shutil.rmtree(released)
    return tmp_path / "ours.nwb.zarr"


def appended_arrays(store: Path) -> dict[str, list[str]]:
    """Filters of the arrays of objects."""
    return {
        path: [entry["id"] for entry in array["filters"] or []]
        for path, array in documents(store, ".zarray").items()
        if array["dtype"] == "|O" or isinstance(array["dtype"], list)
    }


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("mode", ["r+", "a"])
def test_rows_of_every_kind_are_appended(store: Path, mode: str, *, consolidated: bool) -> None:
    if not consolidated:
        (store / ".zmetadata").unlink()
    with NWBZarrIO(store, mode) as io:
        nwbfile = io.read()
        before = {
            "tag": nwbfile.trials["tag"][:].tolist(),
            "rows": len(nwbfile.trials),
            "units": len(nwbfile.units),
            "series": [
                [(int(e.idx_start), int(e.count), e.timeseries.name) for e in row]
                for row in nwbfile.trials["timeseries"][:]
            ],
            "spikes": [list(nwbfile.units["spike_times"][n]) for n in range(len(nwbfile.units))],
        }
        linked = nwbfile.acquisition["linked_ts"]
        nwbfile.add_trial(start_time=9.0, stop_time=9.5, tag="é", timeseries=[linked])
        nwbfile.add_unit(
            spike_times=[0.25, 0.5],
            electrodes=[1],
            electrode_group=nwbfile.electrode_groups["shank0"],
            quality="größer",
        )
        nwbfile.add_acquisition(TimeSeries(name="added", data=[1.0], unit="V", timestamps=linked))
        nwbfile.acquisition["es"].data.append(nwbfile.acquisition["es"].data[:1])
        io.write(nwbfile)
    filters = appended_arrays(store)
    for path in ("intervals/trials/timeseries", "units/electrode_group"):
        assert filters[path] == ["json2"]
    assert not list(store.rglob("zarr.json"))
    assert documents(store, ".zattrs")["acquisition/added"]["zarr_link"][0]["source"] == "."
    held = json.loads((store / ".zmetadata").read_text())["metadata"]
    for name in (".zarray", ".zattrs", ".zgroup"):
        for path, document in documents(store, name).items():
            assert held[f"{path}/{name}" if path != "." else name] == document
    for reading in ("r", "r-"):
        with NWBZarrIO(store, reading) as io:
            nwbfile = io.read()
            trials, units = nwbfile.trials, nwbfile.units
            assert trials["tag"][:].tolist() == [*before["tag"], "é"]
            series = [
                [(int(e.idx_start), int(e.count), e.timeseries.name) for e in row]
                for row in trials["timeseries"][:]
            ]
            assert series[:-1] == before["series"]
            assert [name for _, _, name in series[-1]] == ["linked_ts"]
            assert [list(units["spike_times"][n]) for n in range(len(units))] == [
                *before["spikes"],
                [0.25, 0.5],
            ]
            assert units["quality"][-1] == "größer"
            assert units["electrode_group"][-1] is nwbfile.electrode_groups["shank0"]
            assert units["electrode_group"][0] is nwbfile.electrode_groups["shank0"]
            added = nwbfile.acquisition["added"]
            assert added.timestamps is nwbfile.acquisition["linked_ts"].timestamps
            assert len(nwbfile.acquisition["es"].data) == 201


def test_an_append_leaves_what_it_does_not_change(store: Path) -> None:
    def snapshot() -> dict[str, bytes]:
        return {
            p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*") if p.is_file()
        }

    before = snapshot()
    with NWBZarrIO(store, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(TimeSeries(name="added", data=[1.0], unit="V", rate=1.0))
        io.write(nwbfile)
    after = snapshot()
    assert set(before) <= set(after)
    changed = {key for key in before if before[key] != after[key]}
    # References in attributes are spelled anew.
    assert {key for key in changed if not key.endswith(".zattrs")} <= {".zmetadata"}
    assert {key.split("/")[0] for key in set(after) - set(before)} <= {
        "acquisition",
        "specifications",
    }


# -- ids of references -----------------------------------------------------------------------------


def references_in(store: Path) -> dict[str, dict[str, Any]]:
    """Every attribute that is a reference, by its node and name."""
    return {
        f"{path}@{name}": value["value"]
        for path, attributes in documents(store, ".zattrs").items()
        for name, value in attributes.items()
        if isinstance(value, dict) and value.get("zarr_dtype") == "object"
    }


def test_ids_of_references_are_kept_and_written(store: Path) -> None:
    """On append, where the attributes of every node are written anew, and of what is new."""
    held = json.loads((store / ".zmetadata").read_text())["metadata"]
    root_id = held[".zattrs"]["object_id"]
    ids = {
        key.rpartition("/")[0]: node.get("object_id")
        for key, node in held.items()
        if key.endswith(".zattrs")
    }
    before = references_in(store)
    assert len(before) > 4
    with NWBZarrIO(store, "r+") as io:
        nwbfile = io.read()
        group = nwbfile.electrode_groups["shank0"]
        nwbfile.add_unit(spike_times=[0.25], electrodes=[1], electrode_group=group, quality="x")
        series = nwbfile.acquisition["linked_ts"]
        nwbfile.add_trial(start_time=9.0, stop_time=9.5, tag="x", timeseries=[series])
        io.write(nwbfile)
    after = references_in(store)
    assert after.keys() == before.keys()
    for name, reference in after.items():
        target = reference["path"].strip("/")
        assert reference["source_object_id"] == root_id, name
        assert reference["object_id"] == ids[target], name
        assert before[name]["object_id"] in (None, ids[target])
        assert reference["path"] == before[name]["path"]
    with NWBZarrIO(store, "r") as io:
        root = io.read_builder()
        element = root["units"]["electrode_group"].data.dataset[-1]
        row = root["intervals"]["trials"]["timeseries"].data.dataset[-1]
    for found in map(json.loads, (element, row["timeseries"])):
        assert found["object_id"] == ids[found["path"].strip("/")]
        assert found["source_object_id"] == root_id


def test_ids_of_references_are_those_of_the_exported_objects(tmp_path: Path) -> None:
    """From format 3, which records none."""
    type_map = rich_type_map()
    with NWBZarrIO(tmp_path / "3.zarr", "w", manager=BuildManager(type_map)) as io:
        io.write(rich_nwbfile(type_map))
    with (
        NWBZarrIO(tmp_path / "3.zarr", "r", manager=rich_manager()) as source,
        NWBZarrIO(tmp_path / "2.zarr", "w", manager=rich_manager(), zarr_format=2) as io,
    ):
        io.export(source)
    attributes = documents(tmp_path / "2.zarr", ".zattrs")
    found = references_in(tmp_path / "2.zarr")
    assert len(found) > 4
    for reference in found.values():
        target = attributes[reference["path"].strip("/") or "."]
        assert reference["object_id"] == target.get("object_id")
        assert reference["source_object_id"] == attributes["."]["object_id"]


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 2, 2)])
def test_compounds_with_as_many_columns_as_fields_keep_their_shape(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    """They look like compounds that were stored expanded, of which only the rows are a dimension."""
    rows = np.zeros(shape, dtype=[("n", "i4"), ("x", "f8")])
    rows["n"], rows["x"] = np.arange(rows.size).reshape(shape), 0.5
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"data_type": "Container", "namespace": "hdmf-common"})
        file["rows"] = rows
    convert(tmp_path / "a.h5", tmp_path / "a.zarr", zarr_format=2)
    with ZarrIO(tmp_path / "a.zarr", "r") as io:
        np.testing.assert_array_equal(io.read_builder()["rows"].data[...], rows)
    convert(tmp_path / "a.zarr", tmp_path / "b.zarr", zarr_format=3)
    convert(tmp_path / "b.zarr", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        np.testing.assert_array_equal(file["rows"][...], rows)
