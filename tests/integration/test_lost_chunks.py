"""A chunk that was lost is told, in both formats, and there is a way on for one that never held anything."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.cli import main
from hdmf_zarr.errors import ChunkError, LockedError, MetadataError, OptionError
from tests.format2 import Format2Store, reference

ROWS = 10
NAMES = ("numbers", "table", "texts", "scalar", "growing")


def write(path: Any, zarr_format: int = 2) -> Any:
    """A store of arrays of several chunks, of which none is left out."""
    root = GroupBuilder("root")
    numbers = ZarrDataIO(np.arange(1, ROWS + 1), chunks=(4,))
    root.set_dataset(DatasetBuilder("numbers", numbers, attributes={"unit": "V"}))
    table = ZarrDataIO(np.ones((6, 4)), chunks=(3, 2))
    root.set_dataset(DatasetBuilder("table", table))
    root.set_dataset(DatasetBuilder("texts", ZarrDataIO(["a", "b", "c"], chunks=(2,))))
    root.set_dataset(DatasetBuilder("scalar", 7))
    root.set_dataset(DatasetBuilder("growing", ZarrDataIO(iter([[1], [2], [3]]), chunks=(2, 1))))
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root)
    return path


def marker(store: Path, name: str) -> Any:
    """What an array of format 2 says of its chunks, by itself and in the consolidated metadata."""
    own = json.loads((store / name / ".zattrs").read_text()).get("_STORED_CHUNKS")
    held = json.loads((store / ".zmetadata").read_text())["metadata"][f"{name}/.zattrs"]
    assert held.get("_STORED_CHUNKS") == own
    return own


def chunk(store: Path, name: str, at: str) -> Path:
    return store / name / (at if (store / ".zgroup").exists() else f"c.{at}")


def read(store: Any, name: str) -> Any:
    with ZarrIO(store, "r", get_manager()) as io:
        data = io.read_builder()[name].data
        return np.asarray(data[...] if getattr(data, "shape", ()) else data).tolist()


@pytest.fixture(params=[3, 2], ids=["format3", "format2"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(write(tmp_path / "file.zarr", request.param))


# -- lost chunks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at"),
    [("numbers", "1"), ("table", "1.0"), ("texts", "0"), ("scalar", "0"), ("growing", "1.0")],
    ids=NAMES,
)
def test_a_lost_chunk_is_an_error(store: Path, name: str, at: str) -> None:
    if name == "scalar" and (store / "zarr.json").exists():
        at = "c"
        (store / name / "c").unlink()
    else:
        chunk(store, name, at).unlink()
    # That of a scalar is told by the array that stands for it.
    with pytest.raises(MetadataError, match=rf"file\.zarr:/{name}/.*: the chunk was written and"):
        read(store, name)
    found = [one for one in check(store).findings if one.code == "missing-chunk"]
    assert [(one.path, one.key is not None) for one in found] == [(f"/{name}", True)]


def test_arrays_of_format_2_say_that_they_have_every_chunk(tmp_path: Path) -> None:
    store = write(tmp_path / "file.zarr")
    assert {name: marker(store, name) for name in NAMES} == dict.fromkeys(NAMES, "all")
    with ZarrIO(store, "r", get_manager()) as io:
        builder = io.read_builder()
        assert dict(builder["numbers"].attributes) == {"unit": "V"}
        assert all(dict(builder[name].attributes) == {} for name in NAMES[1:])


def test_arrays_of_format_3_say_so_too(tmp_path: Path) -> None:
    store = write(tmp_path / "file.zarr", 3)
    arrays = [json.loads(one.read_text()) for one in store.rglob("zarr.json")]
    arrays = [one for one in arrays if one["node_type"] == "array"]
    assert len(arrays) >= len(NAMES)
    assert {one["attributes"]["_STORED_CHUNKS"] for one in arrays} == {"all"}


def append_to(store: Any, rows: int) -> None:
    with ZarrIO(store, "r+", get_manager()) as io:
        io.read_builder()["numbers"].data.append(np.full(rows, 5))


def test_what_is_appended_is_missed_as_well(tmp_path: Path) -> None:
    store = write(tmp_path / "file.zarr")
    append_to(store, 8)
    assert marker(store, "numbers") == "all"
    assert read(store, "numbers") == [*range(1, ROWS + 1), *[5] * 8]
    chunk(store, "numbers", "4").unlink()
    with pytest.raises(ChunkError, match=":/numbers/4: the chunk was written"):
        read(store, "numbers")


def test_an_array_that_is_written_anew_says_so_too(tmp_path: Path) -> None:
    store = write(tmp_path / "file.zarr")
    with ZarrIO(store, "r+", get_manager()) as io:
        io.read_builder()["growing"].data.append(np.array([[2**40]]))
        io.read_builder()["texts"].data.append(["a longer text"])
    assert marker(store, "growing") == marker(store, "texts") == "all"
    assert read(store, "growing") == [[1], [2], [3], [2**40]]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shape", [(20,), (2,), (9,)])
def test_a_resized_array_counts_its_chunks(
    tmp_path: Path, zarr_format: int, shape: tuple[int, ...]
) -> None:
    store = write(tmp_path / "file.zarr", zarr_format)
    with ZarrIO(store, "r+", get_manager()) as io:
        io.read_builder()["numbers"].data.resize(shape)
    expected = [*range(1, ROWS + 1), *[0] * 10][: shape[0]]
    assert read(store, "numbers") == expected
    assert check(store).is_clean
    if zarr_format == 2:
        assert marker(store, "numbers") == (3 if shape == (20,) else "all")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_was_never_written_is_still_not_missed_in_a_smaller_array(
    tmp_path: Path, zarr_format: int
) -> None:
    store = write(tmp_path / "file.zarr", zarr_format)
    for shape in ((40,), (16,)):
        with ZarrIO(store, "r+", get_manager()) as io:
            data = io.read_builder()["numbers"].data
            data.resize(shape)
            if shape == (40,):
                data[36:40] = 9
                data.resize((44,))
    assert read(store, "numbers") == [*range(1, ROWS + 1), *[0] * 6]
    assert check(store).is_clean


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_another_shape_of_as_many_chunks(tmp_path: Path, zarr_format: int) -> None:
    store = write(tmp_path / "file.zarr", zarr_format)
    with ZarrIO(store, "r+", get_manager()) as io:
        io.read_builder()["table"].data.resize((3, 8))
    assert read(store, "table") == [[1.0] * 4 + [0.0] * 4] * 3
    assert check(store).is_clean


def old_store(path: Path) -> Path:
    """As a release up to 0.13 wrote it, with a gap."""
    made = Format2Store()
    made.array("numbers", np.arange(1, 7), chunks=(2,), fill_value=0)
    del made.chunks["numbers/1"]
    made.save(path)
    return path


def test_an_array_of_an_earlier_release_is_not_said_to_be_whole(tmp_path: Path) -> None:
    store = old_store(tmp_path / "file.zarr")
    with pytest.warns(UserWarning, match=":/numbers/1: the chunk is not there"):
        assert read(store, "numbers") == [1, 2, 0, 0, 5, 6]
    append_to(store, 4)
    with ZarrIO(store, "r+", get_manager()) as io:
        io.read_builder()["numbers"].data.resize((14,))
    assert marker(store, "numbers") is None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert read(store, "numbers") == [1, 2, 0, 0, 5, 6, *[5] * 4, *[0] * 4]
    told = [str(one.message).partition(": ")[0].rpartition("/")[2] for one in said]
    assert sorted(told) == ["1", "5", "6"]


def test_an_export_counts_what_an_earlier_release_left_out(tmp_path: Path) -> None:
    store, target = old_store(tmp_path / "file.zarr"), tmp_path / "new.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            ZarrIO(store, "r", get_manager()) as source,
            ZarrIO(target, "w", get_manager(), zarr_format=2) as io,
        ):
            io.export(source)
    assert marker(target, "numbers") == 2
    assert read(target, "numbers") == [1, 2, 0, 0, 5, 6]


def test_in_memory_as_on_a_disk() -> None:
    memory = write(MemoryStore())
    del memory._store_dict["numbers/1"]
    with pytest.raises(ChunkError, match="/numbers/1: the chunk was written"):
        read(memory, "numbers")


def test_a_marker_that_makes_no_sense_is_no_marker(tmp_path: Path) -> None:
    store = write(tmp_path / "file.zarr")
    for document in (store / "numbers" / ".zattrs", store / ".zmetadata"):
        document.write_text(document.read_text().replace('"all"', "[1]"))
    chunk(store, "numbers", "1").unlink()
    with pytest.warns(UserWarning, match="the chunk is not there"):
        assert read(store, "numbers")[4:8] == [0] * 4


# -- chunks that zarr-python leaves out ------------------------------------------------------------


def write_zeros(store: Any, name: str, selection: Any = ...) -> None:
    """What a user does with zarr-python alone."""
    zarr.open_group(store, mode="r+")[name][selection] = 0  # type: ignore[index]


def chunks_of(store: Path, name: str) -> set[str]:
    return {path.name.removeprefix("c.") for path in (store / name).glob("[0-9c]*")}


def test_zeros_that_zarr_python_has_written_can_be_accepted(store: Path) -> None:
    write_zeros(store, "numbers", slice(4, 8))
    assert chunks_of(store, "numbers") == {"0", "2"}
    with pytest.raises(ChunkError, match=r"zarr-python.*hdmf-zarr check --accept-missing ARRAY"):
        read(store, "numbers")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    report = check(store, accept_missing=["/numbers"])
    assert report.findings == ()
    assert report.repaired == (
        "/numbers: wrote fill values at [1], where 1 of its chunks were missing",
    )
    assert read(store, "numbers") == [1, 2, 3, 4, 0, 0, 0, 0, 9, 10]
    # Nothing but the chunk has changed, and one that is lost later is missed again.
    after = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    added = set(after) - set(before)
    assert added == {chunk(store, "numbers", "1")}
    assert {path: after[path] for path in before} == before
    chunk(store, "numbers", "0").unlink()
    with pytest.raises(ChunkError, match=r":/numbers/(c\.)?0: the chunk was written"):
        read(store, "numbers")


@pytest.mark.parametrize("name", ["table", "texts", "growing", "scalar"])
def test_every_kind_of_array_can_be_accepted(store: Path, name: str) -> None:
    expected = np.zeros_like(np.asarray(read(store, name)))
    for path in (store / name).iterdir():
        if path.name not in ("zarr.json", ".zarray", ".zattrs"):
            path.unlink()
    assert not check(store).is_clean
    assert check(store, accept_missing=[name]).findings == ()
    assert read(store, name) == expected.tolist()


def test_accepting_by_the_command(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_zeros(store, "numbers")
    write_zeros(store, "table", (slice(3, 6), slice(0, 2)))
    assert main(["check", "--quiet", str(store)]) == 1
    assert "--accept-missing ARRAY" in " ".join(capsys.readouterr().out.split())
    accepted = ["--accept-missing", "/numbers", "--accept-missing", "table"]
    assert main(["check", "--quiet", str(store), *accepted]) == 0
    said = capsys.readouterr().out
    assert "repaired: /numbers: wrote fill values at [0], [1], [2], where 3 of" in said
    assert "repaired: /table: wrote fill values at [1, 0], where 1 of" in said
    assert read(store, "numbers") == [0] * ROWS
    assert read(store, "table") == [[1.0] * 4] * 3 + [[0.0, 0.0, 1.0, 1.0]] * 3


def test_what_there_is_nothing_to_accept_of(store: Path) -> None:
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert check(store, accept_missing="/numbers").repaired == (
        "/numbers lacks no chunk: nothing was accepted",
    )
    for path in ("/nothing", "/"):
        with pytest.raises(OptionError, match=r"file\.zarr:/.* is no array"):
            check(store, accept_missing=["/numbers", path])
    assert main(["check", str(store), "--accept-missing", "/nothing"]) == 2
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_lost_beside_what_was_never_written(tmp_path: Path, zarr_format: int) -> None:
    store = write(tmp_path / "file.zarr", zarr_format)
    with ZarrIO(store, "r+", get_manager()) as io:
        io.read_builder()["numbers"].data.resize((40,))
    chunk(store, "numbers", "1").unlink()
    assert not check(store).is_clean
    report = check(store, accept_missing=["numbers"])
    assert report.repaired == ("/numbers: 1 chunks more read as the fill value",)
    assert {one.code for one in report.findings} == {"absent-chunks"}
    assert read(store, "numbers") == [1, 2, 3, 4, 0, 0, 0, 0, 9, 10, *[0] * 30]
    assert len(chunks_of(store, "numbers")) == 2


def test_gaps_of_an_earlier_release_are_accepted(tmp_path: Path) -> None:
    store = old_store(tmp_path / "file.zarr")
    assert check(store, accept_missing=["numbers"]).findings == ()
    assert marker(store, "numbers") == "all"
    assert read(store, "numbers") == [1, 2, 0, 0, 5, 6]


def test_pickles_are_not_written(tmp_path: Path) -> None:
    store = tmp_path / "file.zarr"
    made = Format2Store()
    made.array("numbers", np.arange(3))
    made.references("references", [reference("/numbers")] * 4, chunks=(2,))
    del made.chunks["references/1"]
    made.save(store)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with pytest.raises(ChunkError, match=r"file\.zarr:/references: .* pickles are not written"):
        check(store, accept_missing=["references"])
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_shard_is_accepted_as_well(tmp_path: Path) -> None:
    store = tmp_path / "file.zarr"
    data = ZarrDataIO(np.arange(1, 17), chunks=(2,), shards=(8,))
    root = GroupBuilder("root", datasets={"numbers": DatasetBuilder("numbers", data)})
    with ZarrIO(store, "w", get_manager()) as io:
        io.write_builder(root)
    write_zeros(store, "numbers", slice(8, 16))
    assert chunks_of(store, "numbers") == {"0"}
    with pytest.raises(ChunkError, match="the chunk was written"):
        read(store, "numbers")
    assert check(store, accept_missing=["numbers"]).findings == ()
    assert read(store, "numbers") == [*range(1, 9), *[0] * 8]


def test_too_many_are_not_filled(tmp_path: Path) -> None:
    store = tmp_path / "file.zarr"
    write(store, 3)
    for path in (store / "numbers" / "zarr.json", store / "zarr.json"):
        path.write_text(path.read_text().replace('"shape":[10]', '"shape":[1000000000000]'))
    with pytest.raises(OptionError, match=r":/numbers: 249999999997 chunks are missing"):
        check(store, fast=True, accept_missing=["numbers"])


def test_nobody_accepts_while_somebody_writes(store: Path) -> None:
    chunk(store, "numbers", "1").unlink()
    with ZarrIO(store, "r+", get_manager()) as io:
        io.write_attributes("", {"note": "not committed"})
        with pytest.raises(LockedError):
            check(store, accept_missing=["numbers"])
    assert chunks_of(store, "numbers") == {"0", "2"}
