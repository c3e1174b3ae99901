"""The command `hdmf-zarr`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.common import DynamicTable, VectorData
from hdmf.common import get_manager as get_common_manager
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, __version__
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert, open_source
from hdmf_zarr.description import describe, render
from hdmf_zarr.errors import BrokenLinkError, OptionError
from hdmf_zarr.hdf5 import read_specifications as read_hdf5_specifications
from hdmf_zarr.hdf5 import writer
from hdmf_zarr.read.specifications import read_specifications
from tests.compare import assert_builders_equal

SAMPLE = Path(__file__).parents[2] / "docs" / "gallery" / "resources" / "sample_ecephys.nwb"


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "hdmf_zarr.cli", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


def assert_same_content(first: Path, second: Path) -> None:
    with open_source(str(first)) as a, open_source(str(second)) as b:
        assert_builders_equal(a.read_builder(), b.read_builder())


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_table(path: Path, data: object) -> None:
    column = VectorData(name="n", description="d", data=data)
    with ZarrIO(path, "w", manager=get_common_manager()) as io:
        io.write(DynamicTable(name="t", description="d", columns=[column]))


@pytest.fixture
def sample_zarr(tmp_path: Path) -> Path:
    path = tmp_path / "sample.nwb.zarr"
    convert(SAMPLE, path)
    return path


# -- the command as a process ----------------------------------------------------------------------


def test_the_version_is_printed() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.strip() == f"hdmf-zarr {__version__}"


def test_the_help_names_the_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "convert" in done.stdout
    assert "info" in done.stdout


def test_converting_shows_progress_and_says_what_was_written(tmp_path: Path) -> None:
    done = run("convert", SAMPLE, tmp_path / "s.nwb.zarr")
    assert done.returncode == 0
    assert "100%" in done.stderr
    n_files = len(content(tmp_path))
    line = done.stdout.strip()
    assert line.startswith(f"wrote {tmp_path / 's.nwb.zarr'}: {n_files} files, ")
    assert "\n" not in line
    assert_same_content(SAMPLE, tmp_path / "s.nwb.zarr")


def test_the_last_line_tells_what_moved_and_what_did_not(tmp_path: Path) -> None:
    done = run("convert", SAMPLE, tmp_path / "s.nwb.zarr")
    assert re.search(r", [\d.]+ [kMG]?B/s; 1 dataset moved raw, \d+ not \(", done.stdout)
    assert "contiguous (no chunks): " in done.stdout
    planned = int(re.search(r": 1 file -> about (\d+) files", done.stderr)[1])  # type: ignore[index]
    assert planned == len(content(tmp_path))


LAYOUTS: dict[str, tuple[list[str], tuple[int, ...], tuple[int, ...] | None, str]] = {
    "as it was": ([], (500, 4), None, "Zlib"),
    "default codec": (["--codecs", "default"], (500, 4), None, "BloscCodec"),
    "other chunks": (["--chunks", "/acquisition/raw/data=100,2"], (100, 2), None, "Zlib"),
    "a pattern": (["--chunks", "*/raw/data=100,2"], (100, 2), None, "Zlib"),
    "shards": (["--shards", "auto"], (500, 4), (2000, 4), "Zlib"),
    "verified": (["--verify", "--strict", "--jobs", "2"], (500, 4), None, "Zlib"),
}


@pytest.mark.parametrize(("arguments", "chunks", "shards", "codec"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(
    arguments: list[str],
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
    codec: str,
    tmp_path: Path,
) -> None:
    target = tmp_path / "s.nwb.zarr"
    assert main(["convert", str(SAMPLE), str(target), "--quiet", *arguments]) == 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr")
        array = zarr.open_array(target, path="acquisition/raw/data", mode="r")
    assert (array.chunks, array.shards) == (chunks, shards)
    assert type(array.compressors[-1]).__name__ == codec
    assert_same_content(SAMPLE, target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s.zarr", "--chunks", "/nothing=3"], "'/nothing' is the path of no dataset"),
        (["s.zarr", "--zarr-format", "2", "--shards", "auto"], "Zarr format 2 has no shards"),
        (["s.nwb", "--shards", "auto"], "shards is for Zarr"),
        (["s.nwb", "--strict"], "strict is for Zarr"),
        (["s.nwb", "--jobs", "2"], "number_of_jobs is for Zarr"),
        (["s.nwb", "--zarr-format", "2"], "zarr_format is for Zarr"),
        (["s.nwb", "--durable"], "durable is for Zarr"),
        (["s.nwb", "--external-links", "follow"], "external_links is for Zarr"),
    ],
)
def test_layouts_without_sense(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = arguments
    assert message in failure(capsys, "convert", SAMPLE, tmp_path / name, *options)
    assert content(tmp_path) == {}


@pytest.mark.parametrize(
    "options",
    [{"overwrite": "no"}, {"dandi": 1}, {"strict": ""}, {"verify": "no"}, {"checksum": 0}],
    ids=str,
)
def test_what_is_on_or_off_is_true_or_false(options: dict[str, object], tmp_path: Path) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=f"{name} must be True or False, found"):
        convert(SAMPLE, tmp_path / "s.zarr", **options)
    with pytest.raises(OptionError, match="number_of_jobs must be a positive integer, found True"):
        convert(SAMPLE, tmp_path / "s.zarr", number_of_jobs=True)
    assert content(tmp_path) == {}


def test_what_a_reader_needs_is_said_once(tmp_path: Path) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.attrs["data_type"] = "Container"
        filters = {
            "a": hdf5plugin.LZ4(),
            "b": hdf5plugin.Bitshuffle(),
            "c": hdf5plugin.Bitshuffle(),
        }
        for name, options in filters.items():
            file.create_dataset(name, data=np.arange(100), chunks=(50,), **options)
    done = run("convert", tmp_path / "s.h5", tmp_path / "s.zarr", "--quiet")
    first, second = done.stdout.splitlines()
    assert "; 3 datasets moved raw" in first
    assert second == "to read /b and 1 more with zarr, install hdmf-zarr[hdf5-filters]"


def test_quiet_shows_no_progress(tmp_path: Path) -> None:
    done = run("convert", SAMPLE, tmp_path / "s.zarr", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = run("convert", tmp_path / "none.nwb", tmp_path / "s.zarr")
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr == f"hdmf-zarr: error: {tmp_path / 'none.nwb'} does not exist; check the path\n"
    )


def test_an_error_of_a_library_is_one_line_with_its_type(tmp_path: Path) -> None:
    done = run(
        "convert", SAMPLE, "reference://s.zarr", "--quiet"
    )  # of which fsspec wants to know more
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("hdmf-zarr: error: TypeError: ")
    assert "ReferenceFileSystem" in line
    assert line.endswith("(--debug shows where it comes from)")
    done = run("convert", SAMPLE, "reference://s.zarr", "--quiet", "--debug")
    assert "Traceback" in done.stderr


def test_chunks_that_nobody_has_looked_at_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "s.h5"
    with h5py.File(source, "w") as file:
        file.attrs["data_type"] = "Container"
        file.create_dataset("a", data=np.arange(100), chunks=(50,), compression="gzip")
        file.create_dataset("b", data=np.arange(100), chunks=(50,), fletcher32=True)
    last = "; 2 datasets moved raw; 2 chunks undecoded and unverified (--verify decodes each)\n"
    assert run("convert", source, tmp_path / "s.zarr", "--quiet").stdout.endswith(last)
    done = run("convert", source, tmp_path / "t.zarr", "--quiet", "--verify")
    assert done.stdout.endswith("; 2 datasets moved raw\n")


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    done = run("convert", tmp_path / "none.nwb", tmp_path / "s.zarr", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hdmf-zarr: error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["convert"],
        ["convert", "a"],
        ["unknown"],
        ["convert", "a", "b", "--zarr-format", "x"],
        ["convert", "a", "b", "--jobs", "0"],
        ["convert", "a", "b", "--jobs", "two"],
        ["check", "a", "--jobs", "-1"],
    ],
)
def test_a_command_line_without_sense_exits_with_2(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: hdmf-zarr" in capsys.readouterr().err


# -- what is converted -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_rich_file_comes_back_as_it_was(rich_hdf5: Path, tmp_path: Path) -> None:
    store, back = tmp_path / "rich.zarr", tmp_path / "back.nwb"
    assert main(["convert", str(rich_hdf5), str(store), "--quiet"]) == 0
    assert main(["convert", str(store), str(back), "--quiet"]) == 0
    assert_same_content(rich_hdf5, store)
    assert_same_content(rich_hdf5, back)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_specifications_are_copied_as_they_are(rich_hdf5: Path, tmp_path: Path) -> None:
    store, back, copy = tmp_path / "rich.zarr", tmp_path / "back.nwb", tmp_path / "copy.h5"
    convert(rich_hdf5, store)
    convert(store, back)
    convert(rich_hdf5, copy)
    with NWBHDF5IO(rich_hdf5, "r") as a, NWBZarrIO(store, "r") as b:
        expected = read_hdf5_specifications(a._file)
        assert read_specifications(b._hierarchy) == expected
    for path in (back, copy):
        with h5py.File(path) as file:
            assert read_hdf5_specifications(file) == expected


@pytest.mark.parametrize(
    "names", [["a.h5"], ["a.zarr", "b.zarr"], ["a.zarr", "b.hdf5", "c.NWB", "d.zarr"]]
)
def test_every_way_keeps_the_content(names: list[str], tmp_path: Path) -> None:
    source = SAMPLE
    for name in names:
        convert(source, tmp_path / name)
        source = tmp_path / name
    assert_same_content(SAMPLE, source)


def test_a_converted_file_can_be_appended_to_with_pynwb(sample_zarr: Path, tmp_path: Path) -> None:
    back = tmp_path / "back.nwb"
    convert(sample_zarr, back)
    with NWBHDF5IO(back, "a") as io:
        nwbfile = io.read()
        n_trials = len(nwbfile.trials)
        nwbfile.add_trial(start_time=9.0, stop_time=9.5, correct=True)
        io.write(nwbfile)
    with NWBHDF5IO(back, "r") as io:
        assert len(io.read().trials) == n_trials + 1


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_a_file_that_is_not_nwb_is_converted(suffix: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "table.zarr", tmp_path / f"copy.{suffix}"
    write_table(source, [1.5, 2.5])
    convert(source, copy)
    assert_same_content(source, copy)


def test_large_arrays_are_compressed_and_pass_through_a_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(600_000, dtype="int32").reshape(-1, 3)
    data = ZarrDataIO(values, chunks=(10_000, 3), shards=(50_000, 3))
    store, back = tmp_path / "s.zarr", tmp_path / "s.h5"
    write_table(store, data)
    monkeypatch.setattr(writer, "BUFFER_BYTES", 300_000)
    told: list[int] = []
    convert(store, back, progress=lambda _total: told.append)
    # Ten of two chunks each; the ids are one chunk, which is larger than this buffer.
    assert told.count(240_000) == 10
    with h5py.File(back) as file:
        dataset = file["n"]
        assert (dataset.chunks, dataset.compression, dataset.shuffle) == ((10_000, 3), "gzip", True)
        assert np.array_equal(dataset[...], values)


@pytest.mark.parametrize(
    ("shape", "unit"),
    [((7, 5), (2, 2)), ((1, 100), (1, 7)), ((0, 3), (1, 3)), ((13,), (4,)), ((2, 3, 4), (1, 1, 1))],
)
def test_regions_cover_every_element_once(shape: tuple[int, ...], unit: tuple[int, ...]) -> None:
    counted = np.zeros(shape, dtype=int)
    for region in writer.regions(shape, unit, 1, buffer=10):
        counted[region] += 1
    assert (counted == 1).all()


# -- references and links --------------------------------------------------------------------------


def made_store(path: Path, root: GroupBuilder) -> Path:
    root.set_attribute("data_type", "Container")
    root.set_attribute("namespace", "hdmf-common")
    with ZarrIO(path, "w", manager=get_common_manager()) as io:
        io.write_builder(root)
    return path


def test_references_of_every_place_are_kept(tmp_path: Path) -> None:
    target = DatasetBuilder("target", np.arange(3))
    other = GroupBuilder("other")
    root = GroupBuilder("root", groups=[other], datasets=[target])
    other.set_attribute("single", target)
    other.set_attribute("several", [target, other])
    root.set_dataset(
        DatasetBuilder(
            "references", [ReferenceBuilder(target), ReferenceBuilder(other)], dtype="object"
        )
    )
    root.set_dataset(
        DatasetBuilder(
            "rows",
            [(1, "ä", ReferenceBuilder(target)), (2, "", ReferenceBuilder(other))],
            dtype=[
                {"name": "number", "dtype": "int16"},
                {"name": "text", "dtype": "text"},
                {"name": "target", "dtype": "object"},
            ],
        )
    )
    store, back = made_store(tmp_path / "s.zarr", root), tmp_path / "s.h5"
    convert(store, back)
    # HDF5IO leaves an array of references in an attribute as it is: compare the way back.
    convert(back, tmp_path / "again.zarr")
    assert_same_content(store, tmp_path / "again.zarr")
    with h5py.File(back) as file:
        several = file["other"].attrs["several"]
        assert [file[reference].name for reference in several] == ["/target", "/other"]
        assert file[file["rows"][1]["target"]].name == "/other"


def test_a_scalar_reference_is_kept(tmp_path: Path) -> None:
    holder = GroupBuilder("holder")
    scalar = DatasetBuilder("scalar", ReferenceBuilder(holder), dtype="object")
    store = made_store(
        tmp_path / "s.zarr", GroupBuilder("root", groups=[holder], datasets=[scalar])
    )
    convert(store, tmp_path / "s.h5")
    # HDF5IO does not read what it writes here.
    with h5py.File(tmp_path / "s.h5") as file:
        assert file[file["scalar"][()]].name == "/holder"


def test_links_within_a_file_stay_links(tmp_path: Path) -> None:
    target = DatasetBuilder("data", np.arange(3))
    holder = GroupBuilder("holder", datasets=[target])
    root = GroupBuilder(
        "root", groups=[holder], links=[LinkBuilder(target, "same"), LinkBuilder(holder, "group")]
    )
    store, back = made_store(tmp_path / "s.zarr", root), tmp_path / "s.h5"
    convert(store, back)
    with h5py.File(back) as file:
        assert file.get("same", getlink=True).path == "/holder/data"
        assert file.get("group", getlink=True).path == "/holder"


def linked_store(folder: Path) -> Path:
    """A store whose ``holder`` links twice to the data of another store."""
    made_store(
        folder / "other.zarr", GroupBuilder("root", datasets=[DatasetBuilder("data", np.arange(3))])
    )
    store = made_store(folder / "s.zarr", GroupBuilder("root", groups=[GroupBuilder("holder")]))
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    links = [
        {"name": name, "source": "../other.zarr", "path": "/data"} for name in ("first", "second")
    ]
    group["holder"].attrs["_LINKS"] = links
    zarr.consolidate_metadata(store)
    return store


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_what_lies_in_another_store_is_copied_into_an_hdf5_file_once(tmp_path: Path) -> None:
    back = tmp_path / "s.h5"
    convert(linked_store(tmp_path), back)
    with h5py.File(back) as file:
        assert isinstance(file.get("holder/first", getlink=True), h5py.HardLink)
        assert file["holder/first"][...].tolist() == [0, 1, 2]
        assert file.get("holder/second", getlink=True).path == "/holder/first"


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_reference_out_of_an_hdf5_file_is_refused(tmp_path: Path) -> None:
    made_store(
        tmp_path / "other.zarr", GroupBuilder("root", datasets=[DatasetBuilder("data", [1])])
    )
    store = made_store(tmp_path / "s.zarr", GroupBuilder("root", groups=[GroupBuilder("holder")]))
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    group["holder"].attrs["points"] = {"_REFERENCE": {"source": "../other.zarr", "path": "/data"}}
    zarr.consolidate_metadata(store)
    with pytest.raises(BrokenLinkError, match="not part of the file"):
        convert(store, tmp_path / "s.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.zarr", "s.zarr"]


# -- bad input: an error, and nothing is changed ---------------------------------------------------


def failure(capsys, *arguments: object) -> str:
    """Run the command, which must fail, and return its message."""
    assert main([*map(str, arguments)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("hdmf-zarr: error: ")]
    assert len(lines) == 1
    return lines[0]


def bad_sources(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> path, and what the message says."""
    (folder / "text.nwb").write_text("not a recording")
    (folder / "empty").mkdir()
    zarr.open_group(folder / "plain.zarr", mode="w").create_array("a", shape=(2,), dtype="i4")
    with h5py.File(folder / "plain.h5", "w") as file:
        file["a"] = [1, 2]
    (folder / "truncated.nwb").write_bytes(SAMPLE.read_bytes()[:50_000])
    (folder / "array.zarr").mkdir()
    zarr.create_array(folder / "array.zarr", shape=(2,), dtype="i4", overwrite=True)
    return {
        "missing": (folder / "missing.nwb", "does not exist"),
        "text file": (folder / "text.nwb", "is a file, but no HDF5 file"),
        "empty folder": (folder / "empty", "is not a Zarr store"),
        "plain zarr": (folder / "plain.zarr", "holds no HDMF data"),
        "plain hdf5": (folder / "plain.h5", "holds no HDMF data"),
        "truncated": (folder / "truncated.nwb", "truncated"),
        "an array": (folder / "array.zarr", "not a group"),
    }


@pytest.mark.parametrize("target", ["out.zarr", "out.nwb"])
@pytest.mark.parametrize(
    "name",
    ["missing", "text file", "empty folder", "plain zarr", "plain hdf5", "truncated", "an array"],
)
def test_a_bad_source_is_an_error(name: str, target: str, tmp_path: Path, capsys) -> None:
    source, message = bad_sources(tmp_path)[name]
    before = content(tmp_path)
    assert message in failure(capsys, "convert", source, tmp_path / target)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["missing", "text file", "empty folder", "an array"])
def test_info_refuses_what_is_no_store(name: str, tmp_path: Path, capsys) -> None:
    source, _ = bad_sources(tmp_path)[name]
    assert str(source) in failure(capsys, "info", source)


def test_info_says_that_a_file_is_hdf5(capsys) -> None:
    assert "is an HDF5 file" in failure(capsys, "info", SAMPLE)


@pytest.mark.parametrize("name", ["there.zarr", "there.nwb", "folder.zarr"])
def test_what_is_there_is_not_overwritten_unasked(name: str, tmp_path: Path, capsys) -> None:
    if name == "folder.zarr":
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    else:
        convert(SAMPLE, tmp_path / name)
    before = content(tmp_path)
    assert "--overwrite" in failure(capsys, "convert", SAMPLE, tmp_path / name)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["there.zarr", "there.nwb"])
@pytest.mark.parametrize("was", ["zarr", "hdf5"])
def test_overwrite_replaces_files_and_stores(name: str, was: str, tmp_path: Path) -> None:
    made = tmp_path / f"made.{'zarr' if was == 'zarr' else 'nwb'}"
    convert(SAMPLE, made)
    made.rename(tmp_path / name)
    assert main(["convert", str(SAMPLE), str(tmp_path / name), "--overwrite", "--quiet"]) == 0
    assert_same_content(SAMPLE, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["folder.zarr", "folder.nwb"])
def test_a_folder_of_other_files_is_never_overwritten(name: str, tmp_path: Path, capsys) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("mine")
    message = failure(capsys, "convert", SAMPLE, tmp_path / name, "--overwrite")
    assert "no Zarr store" in message
    assert content(tmp_path) == {f"{name}/notes.txt": b"mine"}


@pytest.mark.parametrize("name", ["out", "out.txt", "out.zarr.zip"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(
    name: str, tmp_path: Path, capsys
) -> None:
    message = failure(capsys, "convert", SAMPLE, tmp_path / name)
    assert all(suffix in message for suffix in (".zarr", ".nwb", ".h5", ".hdf5"))
    assert content(tmp_path) == {}


def test_an_unknown_zarr_format_is_refused(tmp_path: Path, capsys) -> None:
    message = failure(capsys, "convert", SAMPLE, tmp_path / "s.zarr", "--zarr-format", 7)
    assert "Zarr format 7 is not supported" in message
    assert content(tmp_path) == {}


@pytest.mark.parametrize("target", ["sample.nwb.zarr", "sample.nwb.zarr/inner.nwb", "."])
def test_source_and_destination_must_lie_apart(target: str, sample_zarr: Path, capsys) -> None:
    before = content(sample_zarr.parent)
    destination = (sample_zarr.parent / target).resolve()
    if target == ".":
        destination = destination.rename(destination.with_name("outer.zarr"))
        sample_zarr = destination / sample_zarr.name
    failure(capsys, "convert", sample_zarr, destination, "--overwrite")
    assert content(sample_zarr.parent) == before


@pytest.mark.parametrize("name", ["s.zarr", "s.nwb"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError("no space left on device")])
def test_a_conversion_that_stops_leaves_what_was_there(
    name: str, stop: BaseException, sample_zarr: Path, tmp_path: Path
) -> None:
    convert(SAMPLE, tmp_path / name)
    before = content(tmp_path)

    def broken(_total: int):
        def report(_count: int) -> None:
            raise stop

        return report

    with pytest.raises((KeyboardInterrupt, OSError)):
        convert(sample_zarr, tmp_path / name, overwrite=True, progress=broken)
    assert content(tmp_path) == before


def test_a_dataset_that_hdf5_cannot_open_is_not_left_out_silently(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hdmf.backends.hdf5 import HDF5IO

    read = HDF5IO.read_builder

    def read_without_data(self: HDF5IO) -> GroupBuilder:
        builder = read(self)
        builder.groups["acquisition"].groups["raw"].datasets.pop("data", None)
        return builder

    def never_built(_self: HDF5IO, h5obj: Any) -> GroupBuilder:
        raise ValueError(f"{h5obj.name} has not been built")

    monkeypatch.setattr(HDF5IO, "read_builder", read_without_data)
    monkeypatch.setattr(HDF5IO, "get_builder", never_built)
    message = failure(capsys, "convert", SAMPLE, tmp_path / "s.zarr")
    assert "/acquisition/raw/data" in message
    assert content(tmp_path) == {}


# -- info ------------------------------------------------------------------------------------------


def test_info_shows_the_tree(sample_zarr: Path) -> None:
    done = run("info", sample_zarr, COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{sample_zarr}  Zarr format 3, NWBFile, consolidated metadata"
    assert any("─ electrodes" in line and "→ /acquisition/raw/electrodes" in line for line in lines)
    data = next(line for line in lines if "int16 (2000, 4)" in line)
    assert "numcodecs.shuffle(" in data
    assert "ElectricalSeries" in done.stdout
    assert lines[-2].startswith("specifications  core 2.")
    assert lines[-1].startswith("total           21 groups, 37 arrays, 2 links, ")
    assert "namespace" not in done.stdout.replace("specifications", "")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_lines_fit_the_terminal(width: int, sample_zarr: Path) -> None:
    lines = render(describe(sample_zarr), width).splitlines()[1:]
    assert max(map(len, lines)) <= width


def test_the_tree_has_an_ascii_form(sample_zarr: Path) -> None:
    assert render(describe(sample_zarr), is_ascii=True).isascii()


def test_info_as_json_has_every_node_and_size(sample_zarr: Path, capsys) -> None:
    assert main(["info", str(sample_zarr), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    files = content(sample_zarr)
    assert info["n_objects"] == len(files)
    assert info["n_bytes"] == sum(map(len, files.values()))
    assert info["zarr_format"] == 3
    assert set(info["namespaces"]) == {"core", "hdmf-common", "hdmf-experimental"}
    nodes = {node["path"]: node for node in info["nodes"]}
    data = nodes["/acquisition/raw/data"]
    assert (data["kind"], data["dtype"], data["shape"]) == ("array", "int16", [2000, 4])
    chunks = [size for key, size in files.items() if key.startswith("acquisition/raw/data/c")]
    assert data["n_bytes"] == sum(map(len, chunks))
    assert data["n_objects"] == len(chunks)
    assert (
        nodes["/processing/ecephys/LFP/lfp/electrodes"]["target"] == "/acquisition/raw/electrodes"
    )
    assert not any(path.startswith("/specifications") for path in nodes)


def test_info_tells_chunks_shards_and_codecs(tmp_path: Path) -> None:
    data = ZarrDataIO(np.arange(1000), chunks=(50,), shards=(500,), compressor=False)
    path = tmp_path / "t.zarr"
    write_table(path, data)
    info = describe(path)
    node = next(node for node in info.nodes if node.path == "/n")
    assert (node.chunks, node.shards, node.n_objects) == ((50,), (500,), 2)
    assert "int64 (1000,)  chunks (50,)  shards (500,)" in render(info)


def test_info_describes_a_store_without_hdmf_data(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "p.zarr", mode="w").create_array("a", shape=(4,), dtype="i4")
    assert "a  int32 (4,)" in render(describe(tmp_path / "p.zarr"))


def test_a_truncated_hdf5_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "cut.h5"
    with h5py.File(source, "w") as file:
        file.create_dataset("data", data=np.arange(10_000))
    source.write_bytes(source.read_bytes()[:40_000])
    assert main(["convert", str(source), str(tmp_path / "out.zarr"), "--quiet"]) == 1
    assert f"{source} is a damaged HDF5 file: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cut.h5"]
