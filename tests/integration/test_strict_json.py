"""Stores whose metadata every JSON reader takes, NaN and infinities in attributes included."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import DynamicTable, VectorData, get_manager
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.write.job import WriteSource, write_tree
from hdmf_zarr.write.options import WriteOptions

ATTRIBUTES: dict[str, Any] = {
    "float": float("nan"),
    "infinity": -math.inf,
    "float32": np.float32("inf"),
    "float64": np.float64("nan"),
    "array": np.array([[1.0, np.nan], [np.inf, -np.inf]]),
    "float16s": np.array([np.nan, 1], dtype="f2"),
    "list": [1.0, math.nan],
    "text": "NaN",
    "texts": ["Infinity", "-Infinity", "nan"],
    "number": 1.5,
}

TYPE = {"data_type": "Container", "namespace": "hdmf-common"}


def refuse(token: str) -> None:
    raise AssertionError(f"a bare {token}")


def documents(folder: Path) -> dict[str, Any]:
    """Every metadata document, as a reader that knows JSON and nothing more takes it."""
    names = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
    return {
        str(path.relative_to(folder)): json.loads(path.read_text(), parse_constant=refuse)
        for path in folder.rglob("*")
        if path.name in names
    }


def hdf5_file(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs.update({**ATTRIBUTES, **TYPE})
        file.create_dataset("data", data=np.arange(5.0)).attrs.update(ATTRIBUTES)
    return path


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, (list, np.ndarray)):
        expected = np.asarray(expected, dtype=object if isinstance(expected[0], str) else None)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        # One float64 is a float, as JSON gives it.
        assert type(found) is (float if type(expected) is np.float64 else type(expected))
        assert repr(float(found)) == repr(float(expected)) if type(found) is not str else True
        assert str(found) == str(expected)


def read(target: Any, mode: str = "r") -> list[dict[str, Any]]:
    with ZarrIO(target, mode, get_manager()) as io:
        root = io.read_builder()
        attributes = {k: v for k, v in root.attributes.items() if k not in TYPE}
        return [attributes, dict(root["data"].attributes)]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_read_is_what_was_there(tmp_path: Path, zarr_format: int) -> None:
    source, target = hdf5_file(tmp_path / "a.h5"), tmp_path / "a.zarr"
    convert(source, target, zarr_format=zarr_format, strict_json=True)
    assert documents(target)
    assert check(target).findings == ()
    for mode in ("r", "r-", "r+"):
        for found in read(target, mode):
            assert set(found) == set(ATTRIBUTES)
            for name, value in ATTRIBUTES.items():
                assert_same(found[name], value)


def test_it_is_asked_for(tmp_path: Path) -> None:
    source = hdf5_file(tmp_path / "a.h5")
    convert(source, tmp_path / "plain.zarr")
    with pytest.raises(AssertionError, match="a bare NaN"):
        documents(tmp_path / "plain.zarr")
    assert main(["convert", str(source), str(tmp_path / "b.zarr"), "--quiet", "--strict-json"]) == 0
    convert(source, tmp_path / "c.nwb.zarr", dandi=True)
    for name in ("b.zarr", "c.nwb.zarr"):
        assert documents(tmp_path / name)


def test_an_export_and_an_append_of_what_is_spelled_out(tmp_path: Path) -> None:
    source, target = hdf5_file(tmp_path / "a.h5"), tmp_path / "a.zarr"
    convert(source, target, strict_json=True)
    with ZarrIO(target, "r", get_manager()) as src, ZarrIO(tmp_path / "b.zarr", "w") as io:
        io.export(src)
    with ZarrIO(target, "r+", get_manager()) as io:
        io.write_group("", GroupBuilder("new", attributes={"value": 1}))
    assert documents(target)
    for path in (target, tmp_path / "b.zarr"):
        for found in read(path):
            for name, value in ATTRIBUTES.items():
                assert_same(found[name], value)


def test_a_container_is_written_so(tmp_path: Path) -> None:
    column = VectorData(name="a", description="NaN", data=[1.0, math.nan])
    table = DynamicTable(name="root", description="d", columns=[column])
    with ZarrIO(tmp_path / "a.zarr", "w", get_manager()) as io:
        io.write(table, strict_json=True)
    assert documents(tmp_path / "a.zarr")
    with ZarrIO(tmp_path / "a.zarr", "r", get_manager()) as io:
        assert io.read()["a"].description == "NaN"


@pytest.mark.parametrize("value", [{"a": math.nan}, np.array([math.nan, "text"], dtype=object)])
def test_what_would_become_text_is_refused(value: Any) -> None:
    root = GroupBuilder("root", datasets=[DatasetBuilder("data", [1], attributes={"bad": value})])
    store = MemoryStore()
    with ZarrIO(store, "w", get_manager()) as io:
        with pytest.raises(
            EncodingError, match="attribute 'bad'.*(NaN or infinity|numbers and text)"
        ):
            source = WriteSource(builder=root, manager=io.manager)
            write_tree(io._session, source, WriteOptions(strict_json=True))
    assert not store._store_dict


def test_tensorstore_opens_what_is_written_for_the_archive(tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    source = hdf5_file(tmp_path / "a.h5")
    for name, driver, options in (
        ("a.nwb.zarr", "zarr", {"dandi": True}),
        ("b.zarr", "zarr3", {"strict_json": True}),
    ):
        convert(source, tmp_path / name, **options)
        kvstore = {"driver": "file", "path": str(tmp_path / name / "data") + "/"}
        data = tensorstore.open({"driver": driver, "kvstore": kvstore}).result().read().result()
        np.testing.assert_array_equal(data, np.arange(5.0))


SCRIPT = """
import * as zarr from "zarrita";
import { FileSystemStore } from "@zarrita/storage";
const root = zarr.root(new FileSystemStore(process.argv[1]));
const group = await zarr.open(root, { kind: "group" });
const array = await zarr.open(root.resolve("data"), { kind: "array" });
const chunk = await zarr.get(array);
console.log(JSON.stringify([Array.from(chunk.data), group.attrs.text, array.attrs.float]));
"""


@pytest.mark.parametrize(
    ("name", "options"), [("a.nwb.zarr", {"dandi": True}), ("a.zarr", {"strict_json": True})]
)
def test_zarrita_opens_what_is_written_for_the_archive(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    """Where ``HDMF_ZARR_ZARRITA`` names a folder in which ``npm install zarrita`` was run."""
    folder = os.environ.get("HDMF_ZARR_ZARRITA")
    if folder is None:
        pytest.skip("HDMF_ZARR_ZARRITA names no folder with zarrita")
    target = tmp_path / name
    convert(hdf5_file(tmp_path / "a.h5"), target, **options)
    command = ["node", "--input-type=module", "-e", SCRIPT, str(target)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0, 1, 2, 3, 4], "NaN", "NaN"]
