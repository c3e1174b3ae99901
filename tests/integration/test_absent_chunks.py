"""Missing chunks of stores that others have written are fill values; of ours the error says what may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import HDMFZarrError

ENCODINGS = [
    (3, "default", "."),
    (3, "default", "/"),
    (3, "v2", "."),
    (3, "v2", "/"),
    (2, "v2", "."),
]
EXPECTED = [1, 2, 7, 7, 7, 7]

pytestmark = pytest.mark.filterwarnings("ignore:.*reads as the fill value:UserWarning")


def make_foreign(path: Path, zarr_format: int, name: str, separator: str) -> Path:
    group = zarr.create_group(path, zarr_format=zarr_format)
    group.attrs.update(data_type="Container", namespace="hdmf-common", object_id="a")
    keys: Any = {"name": name, "separator": separator}
    array = group.create_array(
        "s", shape=(6,), chunks=(2,), dtype="i4", fill_value=7, chunk_key_encoding=keys
    )
    array[:2] = [1, 2]
    return path


def read(path: Path) -> list[Any]:
    with ZarrIO(path, "r") as io:
        data = io.read_builder().datasets["s"].data
        return np.asarray(data[...] if hasattr(data, "chunks") else data).tolist()


@pytest.mark.parametrize(("zarr_format", "name", "separator"), ENCODINGS)
def test_missing_chunks_of_others_are_fill_values(
    tmp_path: Path, zarr_format: int, name: str, separator: str
) -> None:
    path = make_foreign(tmp_path / "foreign.zarr", zarr_format, name, separator)
    assert read(path) == EXPECTED
    convert(path, tmp_path / "copy.zarr")
    assert read(tmp_path / "copy.zarr") == EXPECTED
    convert(tmp_path / "copy.zarr", tmp_path / "again.zarr")
    assert read(tmp_path / "again.zarr") == EXPECTED
    if zarr_format == 3:
        assert not [one for one in check(path).findings if one.severity == "error"]
    with ZarrIO(path, "r+") as io:
        io.read_builder().datasets["s"].data.append(np.array([9], "i4"))
    assert read(path) == [*EXPECTED, 9]
    assert read(tmp_path / "again.zarr") == EXPECTED


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("first", "then"), [("abc", ""), (np.arange(1, 11), 0), (np.arange(1, 200_001), 0)]
)
def test_error_names_what_zarr_python_leaves_out(
    tmp_path: Path, zarr_format: int, first: Any, then: Any
) -> None:
    path = tmp_path / "own.zarr"
    with ZarrIO(path, "w", zarr_format=zarr_format) as io:
        attributes = {"data_type": "Container", "namespace": "hdmf-common", "object_id": "a"}
        datasets = {"s": DatasetBuilder("s", first)}
        io.write_builder(GroupBuilder("root", datasets=datasets, attributes=attributes))
    zarr.open_group(path, mode="r+")["s"][...] = then
    with pytest.raises(HDMFZarrError, match=r"write_empty_chunks=True.*--accept-missing"):
        read(path)
    assert main(["check", "--quiet", "--accept-missing", "s", str(path)]) == 0
    assert np.ravel(read(path)).tolist() == [then] * np.size(first)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_lost_chunk_of_ours_is_still_an_error(tmp_path: Path, zarr_format: int) -> None:
    source = make_foreign(tmp_path / "foreign.zarr", 3, "default", ".")
    zarr.open_group(source, mode="r+")["s"][:] = np.arange(6)
    path = tmp_path / "own.zarr"
    convert(source, path, zarr_format=zarr_format)
    next((path / "s").glob("*1")).unlink()
    with pytest.raises(HDMFZarrError, match="was written and is not there any more"):
        read(path)
    assert "missing-chunk" in {one.code for one in check(path).findings}
