"""What this package writes it can read: what it cannot, it refuses by name before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, TypeMap
from hdmf.spec import NamespaceCatalog
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.core import limits
from hdmf_zarr.description import describe
from hdmf_zarr.errors import EncodingError, HDMFZarrError
from hdmf_zarr.transfer.upgrading import upgrade
from tests.compare import assert_builders_equal
from tests.rich import START
from tests.values import variable

FORMATS = pytest.mark.parametrize("zarr_format", [3, 2])

VARIABLE = {
    "int32": variable("i4", [0], [1, 2]),
    "uint64": variable("u8", [2**63], [1, 2]),
    "float64": variable("f8", [1.5, np.nan], []),
    "of one length": variable("f4", [1, 2], [3, 4]),
    "one": variable("i2", [1]),
    "bool": variable("?", [True], [False, True]),
    "complex": variable("c8", [1 + 2j], [3, 4j]),
    "2-d": variable("i1", [1], [2, 3], [], [4]).reshape(2, 2),
    "empty": variable("i4"),
}


def manager() -> BuildManager:
    return BuildManager(TypeMap(NamespaceCatalog()))


def hdf5_file(path: Path) -> Path:
    file = NWBFile("a session", "id", START)
    file.add_acquisition(TimeSeries(name="raw", data=[1.0, 2.0], unit="V", rate=1.0))
    file.add_trial(start_time=1.0, stop_time=2.0)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def assert_read_as(source: Path, store: Path) -> None:
    with NWBHDF5IO(str(source), "r") as there, NWBZarrIO(store, "r") as here:
        assert_builders_equal(there.read_builder(), here.read_builder())


# -- variable-length numbers -----------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("kind", VARIABLE)
def test_arrays_of_different_lengths_are_kept_there_and_back(
    kind: str, zarr_format: int, tmp_path: Path
) -> None:
    source, value = hdf5_file(tmp_path / "s.nwb"), VARIABLE[kind]
    with h5py.File(source, "a") as file:
        file["analysis"].attrs.create("v", value, dtype=value.dtype)
    store = tmp_path / "f.nwb.zarr"
    convert(source, store, zarr_format=zarr_format)
    assert_read_as(source, store)
    assert check(store).is_clean
    convert(store, tmp_path / "other.nwb.zarr", zarr_format=5 - zarr_format)
    assert_read_as(source, tmp_path / "other.nwb.zarr")
    convert(store, tmp_path / "back.nwb")
    with h5py.File(source) as file, h5py.File(tmp_path / "back.nwb") as back:
        first, second = (one["analysis"].attrs["v"] for one in (file, back))
        assert h5py.check_vlen_dtype(second.dtype) == h5py.check_vlen_dtype(first.dtype)
        assert second.shape == first.shape
        for one, other in zip(first.ravel(), second.ravel(), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@FORMATS
def test_they_are_written_appended_and_set(zarr_format: int, tmp_path: Path) -> None:
    path, value = tmp_path / "f.zarr", VARIABLE["int32"]
    with ZarrIO(path, "w", manager=manager(), zarr_format=zarr_format) as io:
        io.write_builder(GroupBuilder("root", attributes={"v": value, "data_type": "X"}))
    with ZarrIO(path, "r+", manager=manager()) as io:
        io.write_attributes("/", {"w": VARIABLE["float64"]})
        io.write_dataset("/", DatasetBuilder("data", [1], attributes={"v": value}))
    if zarr_format == 2:
        assert main(["upgrade", "--quiet", str(path)]) == 0
    with ZarrIO(path, "r", manager=manager()) as io:
        root = io.read_builder()
        for found in (root.attributes["v"], root["data"].attributes["v"]):
            assert [list(entry) for entry in found] == [[0], [1, 2]]
            assert {entry.dtype for entry in found} == {np.dtype("int32")}
        np.testing.assert_array_equal(root.attributes["w"][0], [1.5, np.nan])
    assert check(path).is_clean


def test_other_readers_find_lists(tmp_path: Path) -> None:
    path = tmp_path / "f.zarr"
    with ZarrIO(path, "w", manager=manager()) as io:
        io.write_builder(GroupBuilder("root", attributes={"v": VARIABLE["int32"]}))
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    assert attributes["v"] == [[0], [1, 2]]
    assert attributes["_ATTRIBUTE_DTYPES"] == {"v": "vlen:int32"}


# -- arrays of one text ----------------------------------------------------------------------------

ARRAYS_OF_ONE = {
    "text": lambda text: np.array([text], dtype=h5py.string_dtype()),
    "fixed": lambda text: np.array([text.encode()]),
}

ATTRIBUTES = [
    ("/", "nwb_version"),
    ("/", "neurodata_type"),
    ("/", "namespace"),
    ("acquisition/raw", "neurodata_type"),
    ("acquisition/raw", "description"),
    ("acquisition/raw/data", "unit"),
    ("intervals/trials/start_time", "neurodata_type"),
]


@FORMATS
@pytest.mark.parametrize("form", ARRAYS_OF_ONE)
@pytest.mark.parametrize(("path", "name"), ATTRIBUTES)
def test_an_array_of_one_text_stays_one(
    path: str, name: str, form: str, zarr_format: int, tmp_path: Path
) -> None:
    """As MatNWB wrote them until 2019."""
    source = hdf5_file(tmp_path / "s.nwb")
    with h5py.File(source, "a") as file:
        attributes = file[path].attrs
        value = ARRAYS_OF_ONE[form](attributes[name])
        del attributes[name]
        attributes.create(name, value)
    store = tmp_path / "f.nwb.zarr"
    convert(source, store, zarr_format=zarr_format)
    with HDF5IO(str(source), mode="r", manager=manager()) as there, NWBZarrIO(store, "r") as here:
        assert_builders_equal(there.read_builder(), here.read_builder())
    assert check(store).is_clean
    assert describe(store).nodes
    convert(store, tmp_path / "back.nwb")
    with h5py.File(tmp_path / "back.nwb") as back:
        found = back[path].attrs[name]
        assert (found.shape, found.dtype, list(found)) == ((1,), value.dtype, list(value))


def test_a_version_in_an_array_is_one(tmp_path: Path) -> None:
    source = hdf5_file(tmp_path / "s.nwb")
    with h5py.File(source, "a") as file:
        file.attrs["nwb_version"] = np.array([b"2.0b"])
    convert(source, tmp_path / "f.nwb.zarr")
    assert NWBZarrIO.can_read(tmp_path / "f.nwb.zarr")
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as io:
        assert io.nwb_version == ("2.0b", (2, "0b"))
        assert io.read().session_description == "a session"


# -- what would not be read ------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def deep_group(depth: int) -> GroupBuilder:
    group = GroupBuilder("deepest")
    for _ in range(depth):
        group = GroupBuilder("g", groups=[group])
    return group


REFUSED: dict[str, tuple[Callable[[], GroupBuilder], str]] = {
    "lists of different lengths": (
        lambda: GroupBuilder("g", attributes={"bad": [[1], [2, 3]]}),
        r"/g: attribute 'bad': list .* is not rectangular",
    ),
    "arrays in objects": (
        lambda: GroupBuilder(
            "g", attributes={"bad": np.array([np.arange(1), np.arange(2)], dtype=object)}
        ),
        r"/g: attribute 'bad': list .* is not rectangular",
    ),
    "deeper than is read": (
        lambda: GroupBuilder("g", attributes={"bad": nested(70)}),
        r"/g: attribute 'bad': .* nested more than 64 deep",
    ),
    "like a reference": (
        lambda: GroupBuilder("g", attributes={"bad": {"_REFERENCE": {"path": "/a"}}}),
        r"/g: attribute 'bad': .* would be read as a reference",
    ),
    "like a broken reference": (
        lambda: GroupBuilder("g", attributes={"bad": {"_REFERENCE": 5}}),
        r"/g: attribute 'bad': .* would be read as a reference",
    ),
    "None among numbers": (
        lambda: GroupBuilder("g", attributes={"bad": [1, None]}),
        r"/g: attribute 'bad': None is no entry",
    ),
    "text among numbers": (
        lambda: GroupBuilder("g", attributes={"bad": np.array([1, "a"], dtype=object)}),
        r"/g: attribute 'bad': numbers and text",
    ),
    "too many groups": (
        lambda: GroupBuilder("g", groups=[deep_group(130)]),
        r"/g/g/.* groups deep",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_not_be_read_is_refused_before_anything_is_written(
    kind: str, tmp_path: Path
) -> None:
    make, message = REFUSED[kind]
    with (
        ZarrIO(tmp_path / "f.zarr", "w", manager=manager()) as io,
        pytest.raises(EncodingError, match=message),
    ):
        io.write_builder(GroupBuilder("root", groups=[make()]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if kind != "too many groups"])
def test_it_is_refused_where_it_is_appended(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    path = tmp_path / "f.zarr"
    with ZarrIO(path, "w", manager=manager()) as io:
        io.write_builder(GroupBuilder("root", groups=[GroupBuilder("g")]))
    before = (path / "zarr.json").read_bytes()
    with ZarrIO(path, "r+", manager=manager()) as io:
        for write in (
            lambda: io.write_group("/", make()),
            lambda: io.write_attributes("g", make().attributes),
            lambda: io.write_dataset("/", DatasetBuilder("g2", [1], attributes=make().attributes)),
        ):
            with pytest.raises(HDMFZarrError, match=message.removeprefix("/g: ")):
                write()
    assert (path / "zarr.json").read_bytes() == before
    assert check(path).is_clean


@FORMATS
def test_more_metadata_than_are_read_are_no_store(
    zarr_format: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_DOCUMENT_BYTES", 10_000)
    with (
        ZarrIO(tmp_path / "f.zarr", "w", manager=manager(), zarr_format=zarr_format) as io,
        pytest.raises(HDMFZarrError, match="bytes of metadata or more, at most 10000"),
    ):
        io.write_builder(
            GroupBuilder(
                "root",
                groups=[GroupBuilder(f"g{n}", attributes={"a": "x" * 600}) for n in range(20)],
            )
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"_REFERENCE": {"path": "/g"}}, "would be read as a reference"),
        ([[0], [1, 2]], "is not of the recorded dtype"),
    ],
)
@pytest.mark.parametrize("is_array", [False, True])
def test_an_upgrade_makes_no_attribute_that_is_not_read(
    value: Any, message: str, is_array: Any, tmp_path: Path
) -> None:
    path = tmp_path / "f.zarr"
    with ZarrIO(path, "w", manager=manager(), zarr_format=2) as io:
        holder = DatasetBuilder("g", [1]) if is_array else GroupBuilder("g")
        holder.set_attribute("v", "x")
        children = {"datasets" if is_array else "groups": [holder]}
        io.write_builder(GroupBuilder("root", attributes={"data_type": "X"}, **children))
    for key in ("g/.zattrs", ".zmetadata"):
        document = json.loads((path / key).read_text())
        (document["metadata"]["g/.zattrs"] if key == ".zmetadata" else document)["v"] = value
        (path / key).write_text(json.dumps(document))
    with pytest.raises(HDMFZarrError, match=f"/g: attribute 'v': .*{message}"):
        upgrade(path)
    assert (path / ".zmetadata").exists()
    assert not (path / "zarr.json").exists()


def test_mixed_attributes_of_old_stores_are_copied_and_appended_to(tmp_path: Path) -> None:
    """Earlier releases wrote them; who only copies a store loses nothing."""
    path = tmp_path / "f.zarr"
    with ZarrIO(path, "w", manager=manager()) as io:
        io.write_builder(GroupBuilder("root", attributes={"v": [1, 2], "data_type": "X"}))
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["v"] = [1, "a", None]
    (path / "zarr.json").write_text(json.dumps(document))
    with (
        ZarrIO(path, "r", manager=manager()) as source,
        ZarrIO(tmp_path / "copy.zarr", "w", manager=manager()) as io,
    ):
        io.export(source)
    with ZarrIO(path, "r+", manager=manager()) as io:
        io.write_builder(io.read_builder())
    for store in (path, tmp_path / "copy.zarr"):
        with ZarrIO(store, "r", manager=manager()) as io:
            assert list(io.read_builder().attributes["v"]) == [1, "a", None]
