"""A text of any length that a store takes is read again, in both formats and in every place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, TypeMap
from hdmf.spec import NamespaceCatalog

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.core import limits
from hdmf_zarr.errors import EncodingError

LONG = "x" * (9 * 2**20)
"""Longer than a chunk is by default."""

COMPRESSIBLE = "é" * (70 * 2**20)
"""140 MB, which are some kilobytes when they are compressed."""

PLACES: dict[str, Any] = {
    "scalar": lambda text: (text, "text"),
    "scalar of ASCII": lambda text: (text.replace("é", "e"), "ascii"),
    "column": lambda text: (["a", text, "b"], "text"),
    "column of ASCII": lambda text: (["a", text.replace("é", "e")], "ascii"),
    "bytes": lambda text: ([b"\xff" + text.encode()], "bytes"),
    "rows": lambda text: ([["a", text]], "text"),
}


def manager() -> BuildManager:
    return BuildManager(TypeMap(NamespaceCatalog()))


def write(path: Path, data: Any, dtype: Any, zarr_format: int) -> Path:
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", data, dtype=dtype)], attributes={"data_type": "X"}
    )
    with ZarrIO(path, "w", manager=manager(), zarr_format=zarr_format) as io:
        io.write_builder(root)
    return path


def read(path: Path) -> Any:
    with ZarrIO(path, "r", manager=manager()) as io:
        data = io.read_builder()["data"].data
        return data if isinstance(data, str) else np.asarray(data[:]).tolist()


def expected(data: Any, dtype: str) -> Any:
    if dtype == "ascii" and not isinstance(data, str):
        return [text.encode() for text in data]
    return data


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("place", PLACES)
def test_a_long_text_is_kept(place: str, zarr_format: int, tmp_path: Path) -> None:
    data, dtype = PLACES[place](LONG)
    path = write(tmp_path / "f.zarr", data, dtype, zarr_format)
    assert read(path) == expected(data, dtype)
    assert check(path).is_clean


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_a_text_that_is_well_compressed_is_believed(zarr_format: int, tmp_path: Path) -> None:
    path = write(tmp_path / "f.zarr", COMPRESSIBLE, "text", zarr_format)
    assert read(path) == COMPRESSIBLE


def test_a_long_text_goes_from_format_to_format_and_to_hdf5(tmp_path: Path) -> None:
    write(tmp_path / "f.zarr", ["a", LONG], "text", 2)
    assert main(["convert", "--quiet", str(tmp_path / "f.zarr"), str(tmp_path / "b.h5")]) == 0
    assert main(["convert", "--quiet", str(tmp_path / "b.h5"), str(tmp_path / "c.zarr")]) == 0
    assert main(["upgrade", "--quiet", str(tmp_path / "f.zarr")]) == 0
    assert read(tmp_path / "c.zarr") == read(tmp_path / "f.zarr") == ["a", LONG]


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_a_record_holds_a_long_text(zarr_format: int, tmp_path: Path) -> None:
    dtype = [{"name": "n", "dtype": "int32"}, {"name": "s", "dtype": "text"}]
    text = "x" * 100_000
    path = write(tmp_path / "f.zarr", [(1, text), (2, "y")], dtype, zarr_format)
    with ZarrIO(path, "r", manager=manager()) as io:
        assert [row["s"] for row in io.read_builder()["data"].data[:]] == [text, "y"]
    assert check(path).is_clean


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("place", PLACES)
def test_a_text_beyond_the_limit_is_refused_before_anything_is_written(
    place: str, zarr_format: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST_TEXT_BYTES", 1000)
    data, dtype = PLACES[place]("x" * 1001)
    with pytest.raises(
        EncodingError, match=r"/data: a text of 100\d characters is longer than 1000"
    ):
        write(tmp_path / "f.zarr", data, dtype, zarr_format)
    assert not list(tmp_path.iterdir())
