"""Links and references between stores, and stores that are moved."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, get_manager
from zarr.storage import LocalStore, MemoryStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from hdmf_zarr.conversion import convert


def make_file(identifier: str = "raw") -> NWBFile:
    nwbfile = NWBFile("links", identifier, datetime(2024, 1, 1, tzinfo=UTC))
    nwbfile.add_acquisition(TimeSeries(name="ts", data=np.arange(10.0), unit="V", rate=1.0))
    return nwbfile


def write_raw(path: Any) -> Any:
    with NWBZarrIO(path, "w") as io:
        io.write(make_file())
    return path


def links_of(path: Path, group: str) -> list[dict[str, str]]:
    found = zarr.open_group(path, mode="r", use_consolidated=False)[group].attrs.get("_LINKS", [])
    return list(found)  # type: ignore[arg-type]


def write_processed(raw: Path, path: Path, **options: Any) -> None:
    """Write a file that shares a container (by link) and an array (by link) with another one."""
    manager = get_manager()
    with NWBZarrIO(raw, "r", manager=manager) as raw_io:
        series = raw_io.read().acquisition["ts"]
        nwbfile = make_file("processed")
        nwbfile.add_acquisition(TimeSeries(name="array", data=series.data, unit="V", rate=1.0))
        nwbfile.add_scratch(
            TimeSeries(name="sharing", data=series, unit="V", timestamps=[0.0] * 10)
        )
        with NWBZarrIO(path, "w", manager=manager) as io:
            io.write(nwbfile, **options)


def check_processed(path: Any) -> None:
    for mode in ("r", "r-", "r+"):
        with NWBZarrIO(path, mode) as io:
            nwbfile = io.read()
            np.testing.assert_array_equal(nwbfile.acquisition["array"].data[:], np.arange(10.0))
            np.testing.assert_array_equal(nwbfile.scratch["sharing"].data[:], np.arange(10.0))


def test_arrays_and_containers_of_another_store_are_linked_relative_to_the_store(tmp_path):
    (tmp_path / "sub").mkdir()
    raw = write_raw(tmp_path / "raw.nwb.zarr")
    path = tmp_path / "sub" / "processed.nwb.zarr"
    write_processed(raw, path)
    expected = {"name": "data", "source": "../../raw.nwb.zarr", "path": "/acquisition/ts/data"}
    assert links_of(path, "acquisition/array") == [expected]
    assert links_of(path, "scratch/sharing") == [expected]
    check_processed(path)


def test_link_data_false_copies_arrays(tmp_path):
    raw, path = write_raw(tmp_path / "raw.nwb.zarr"), tmp_path / "processed.nwb.zarr"
    write_processed(raw, path, link_data=False)
    assert links_of(path, "acquisition/array") == []


def test_stores_that_are_moved_together_still_find_each_other(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    write_processed(write_raw(home / "raw.nwb.zarr"), home / "processed.nwb.zarr")
    home.rename(tmp_path / "moved")
    check_processed(tmp_path / "moved" / "processed.nwb.zarr")


def test_a_store_may_be_renamed_with_links_within_it(tmp_path):
    path = tmp_path / "file.nwb.zarr"
    nwbfile = make_file()
    nwbfile.add_acquisition(
        TimeSeries(name="linked", data=nwbfile.acquisition["ts"], unit="V", rate=1.0)
    )
    with NWBZarrIO(path, "w") as io:
        io.write(nwbfile)
    assert links_of(path, "acquisition/linked")[0]["source"] == "."
    path.rename(tmp_path / "other name.nwb.zarr")
    with NWBZarrIO(tmp_path / "other name.nwb.zarr", "r") as io:
        acquisition = io.read().acquisition
        assert acquisition["linked"].data is acquisition["ts"].data


@pytest.mark.parametrize("spell", [
    lambda raw: raw,
    lambda raw: str(raw),
    lambda raw: f"{raw}/",
    lambda raw: raw.parent / "." / raw.name,
    lambda raw: os.path.relpath(raw),
    lambda raw: raw.parent / "symlink.nwb.zarr",
    lambda raw: LocalStore(raw),
])  # fmt: skip
def test_whether_data_are_of_the_source_does_not_depend_on_its_spelling(tmp_path, spell):
    raw = write_raw(tmp_path / "raw.nwb.zarr")
    (tmp_path / "symlink.nwb.zarr").symlink_to(raw)
    path = tmp_path / "exported.nwb.zarr"
    with NWBZarrIO(spell(raw), "r") as src, NWBZarrIO(path, "w") as io:
        nwbfile = src.read()
        nwbfile.add_acquisition(
            TimeSeries(name="same", data=nwbfile.acquisition["ts"].data, unit="V", rate=1.0)
        )
        io.export(src, nwbfile)
    expected = {"name": "data", "source": ".", "path": "/acquisition/ts/data"}
    assert links_of(path, "acquisition/same") == [expected]
    shutil.rmtree(raw)
    with NWBZarrIO(path, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["same"].data[:], np.arange(10.0))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_data_of_the_store_itself_are_linked_within_it_however_it_is_spelled(tmp_path, zarr_format):
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    raw = tmp_path / "real" / "raw.nwb.zarr"
    with NWBZarrIO(raw, "w", zarr_format=zarr_format) as io:
        io.write(make_file())
    with NWBZarrIO(tmp_path / "alias" / "raw.nwb.zarr", "r") as src, NWBZarrIO(raw, "r+") as io:
        nwbfile, data = io.read(), src.read().acquisition["ts"].data
        nwbfile.add_acquisition(TimeSeries(name="same", data=data, unit="V", rate=1.0))
        io.write(nwbfile)
    raw = raw.rename(tmp_path / "renamed.nwb.zarr")
    with NWBZarrIO(raw, "r") as io:
        acquisition = io.read().acquisition
        assert acquisition["same"].data is acquisition["ts"].data
        assert acquisition["same"].data.hierarchy.uri == str(raw)


def test_an_export_follows_links_to_other_stores_unless_asked_to_keep_them(tmp_path):
    raw, path = write_raw(tmp_path / "raw.nwb.zarr"), tmp_path / "processed.nwb.zarr"
    write_processed(raw, path)
    with NWBZarrIO(path, "r") as src:
        with NWBZarrIO(tmp_path / "copy.nwb.zarr", "w") as io:
            io.export(src)
        with NWBZarrIO(tmp_path / "linked.nwb.zarr", "w") as io:
            io.export(src, write_args={"link_data": True})
    linked = links_of(tmp_path / "linked.nwb.zarr", "acquisition/array")
    assert linked[0]["source"] == "../raw.nwb.zarr"
    assert (
        links_of(tmp_path / "linked.nwb.zarr", "acquisition/ts")[0]["source"]
        == "../processed.nwb.zarr"
    )
    check_processed(tmp_path / "linked.nwb.zarr")
    shutil.rmtree(raw)
    shutil.rmtree(path)
    check_processed(tmp_path / "copy.nwb.zarr")


def test_a_container_of_an_hdf5_file_is_copied_with_a_warning(tmp_path):
    with NWBHDF5IO(tmp_path / "raw.nwb", "w") as io:
        io.write(make_file())
    manager = get_manager()
    with NWBHDF5IO(tmp_path / "raw.nwb", "r", manager=manager) as raw_io:
        nwbfile = make_file("processed")
        series = raw_io.read().acquisition["ts"]
        nwbfile.add_acquisition(TimeSeries(name="l", data=series, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "p.nwb.zarr", "w", manager=manager) as io:
            with pytest.warns(UserWarning, match="cannot link to .*raw.nwb"):
                io.write(nwbfile)
    (tmp_path / "raw.nwb").unlink()
    with NWBZarrIO(tmp_path / "p.nwb.zarr", "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["l"].data[:], np.arange(10.0))


def test_an_array_of_a_store_in_memory_is_copied(tmp_path):
    store = write_raw(MemoryStore())
    with NWBZarrIO(store, "r") as raw_io:
        nwbfile = make_file("processed")
        data = raw_io.read().acquisition["ts"].data
        nwbfile.add_acquisition(TimeSeries(name="array", data=data, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "p.nwb.zarr", "w") as io:
            io.write(nwbfile)
    with NWBZarrIO(tmp_path / "p.nwb.zarr", "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["array"].data[:], np.arange(10.0))


def test_a_reference_into_another_store_is_kept(tmp_path):
    target = DatasetBuilder("target", [1, 2, 3])
    with ZarrIO(tmp_path / "a.zarr", "w") as io:
        io.write_builder(GroupBuilder("root", groups=[GroupBuilder("g", datasets=[target])]))
    with ZarrIO(tmp_path / "a.zarr", "r") as a_io:
        there = a_io.read_builder()["g/target"]
        root = GroupBuilder(
            "root",
            datasets=[
                DatasetBuilder("array", [ReferenceBuilder(there), None], dtype="object"),
                DatasetBuilder("scalar", ReferenceBuilder(there), dtype="object"),
                DatasetBuilder(
                    "compound",
                    [(1, ReferenceBuilder(there))],
                    dtype=[
                        {"name": "n", "dtype": "int"},
                        {"name": "r", "dtype": {"reftype": "object"}},
                    ],
                ),
            ],
            attributes={"attribute": ReferenceBuilder(there)},
            links=[LinkBuilder(there, "link")],
        )
        with ZarrIO(tmp_path / "b.zarr", "w") as io:
            io.write_builder(root)
    with ZarrIO(tmp_path / "b.zarr", "r") as io:
        builder = io.read_builder()
        found = [
            builder["array"].data[0],
            builder["scalar"].data.builder,
            builder["compound"].data[0]["r"],
            builder.attributes["attribute"],
            builder.links["link"].builder,
        ]
        assert builder["array"].data[1] is None
        for target in found:
            assert target is found[0]
            assert target.source == str(tmp_path / "a.zarr")
            np.testing.assert_array_equal(target.data[:], [1, 2, 3])
        with ZarrIO(tmp_path / "sub" / "linked.zarr", "w") as out:
            out.export(io, write_args={"link_data": True})
        with ZarrIO(tmp_path / "sub" / "copied.zarr", "w") as out:
            out.export(io)
    elements = [
        str(zarr.open_array(tmp_path / "sub" / name, path="array", mode="r")[0])
        for name in ("linked.zarr", "copied.zarr")
    ]
    # The copy holds the target of the link: the references lead to it there.
    assert elements == ['{"source": "../../a.zarr", "path": "/g/target"}', "/link"]


def test_a_link_to_a_link_and_through_a_linked_group(tmp_path):
    inner = DatasetBuilder("data", [1, 2, 3])
    group = GroupBuilder("group", datasets=[inner])
    link = LinkBuilder(group, "alias")
    with ZarrIO(tmp_path / "f.zarr", "w") as io:
        io.write_builder(GroupBuilder("root", groups=[group], links=[link]))
    root = zarr.open_group(tmp_path / "f.zarr", mode="r+", use_consolidated=False)
    root.attrs["_LINKS"] = [
        {"name": "alias", "source": ".", "path": "/group"},
        {"name": "second", "source": ".", "path": "/alias"},
        {"name": "through", "source": ".", "path": "/second/data"},
    ]
    with ZarrIO(tmp_path / "f.zarr", "r-") as io:
        builder = io.read_builder()
        assert builder.links["second"].builder is builder.links["alias"].builder
        np.testing.assert_array_equal(builder.links["through"].builder.data[:], [1, 2, 3])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_several_links_lead_to_is_one_object(tmp_path, zarr_format):
    """Links into another store, some of them by a link that is there already."""
    raw, path = tmp_path / "raw.nwb.zarr", tmp_path / "path.nwb.zarr"
    last, copy = tmp_path / "last.nwb.zarr", tmp_path / "copy.nwb.zarr"
    nwbfile = NWBFile("links", "raw", datetime(2024, 1, 1, tzinfo=UTC))
    times = np.arange(10.0) / 7
    series = TimeSeries(name="ts", data=np.arange(10.0), unit="V", timestamps=times)
    nwbfile.add_acquisition(series)
    with NWBZarrIO(raw, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)

    def add(nwbfile: NWBFile, name: str, data: Any, timestamps: Any) -> None:
        nwbfile.add_acquisition(TimeSeries(name=name, data=data, unit="V", timestamps=timestamps))

    for source, target, name in ((raw, path, "ts"), (path, last, "by array")):
        manager = get_manager()
        with NWBZarrIO(source, "r", manager=manager) as source_io:
            there = source_io.read().acquisition[name]
            nwbfile = NWBFile("links", "linking", datetime(2024, 1, 1, tzinfo=UTC))
            add(nwbfile, "by series", there, there)
            add(nwbfile, "by array", there.data, there.timestamps)
            add(nwbfile, "mixed", there, there.timestamps)
            add(nwbfile, "by new series", there.data, nwbfile.acquisition["by series"])
            with NWBZarrIO(target, "w", manager=manager, zarr_format=zarr_format) as io:
                io.write(nwbfile)
    with NWBZarrIO(last, "r") as source_io:
        with NWBZarrIO(copy, "w", zarr_format=zarr_format) as io:
            io.export(source_io)
    for store in (path, last, copy):
        for mode in ("r", "r-", "r+"):
            with NWBZarrIO(store, mode) as io:
                first, *others = io.read().acquisition.values()
                assert len(others) == 3
                for other in others:
                    assert other.data is first.data
                    assert other.timestamps is first.timestamps
                np.testing.assert_array_equal(first.data[:], np.arange(10.0))
                np.testing.assert_array_equal(first.timestamps[:], times)
                uri = str(raw if store != copy else copy)
                assert first.data.hierarchy.uri == first.timestamps.hierarchy.uri == uri


def test_two_stores_that_link_to_each_other(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        with ZarrIO(tmp_path / f"{name}.zarr", "w") as io:
            io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", [name])]))
        root = zarr.open_group(tmp_path / f"{name}.zarr", mode="r+", use_consolidated=False)
        root.attrs["_LINKS"] = [{"name": "other", "source": f"../{other}.zarr", "path": "/data"}]
    with ZarrIO(tmp_path / "a.zarr", "r-") as io:
        assert io.read_builder().links["other"].builder.data[0] == "b"


def test_link_data_of_one_array_wins_over_that_of_the_write(tmp_path):
    raw = write_raw(tmp_path / "raw.nwb.zarr")
    with NWBZarrIO(raw, "r") as raw_io:
        data = raw_io.read().acquisition["ts"].data
        nwbfile = make_file("processed")
        wrapped = ZarrDataIO(data, link_data=True)
        nwbfile.add_acquisition(TimeSeries(name="linked", data=wrapped, unit="V", rate=1.0))
        nwbfile.add_acquisition(TimeSeries(name="copied", data=data, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "p.nwb.zarr", "w") as io:
            io.write(nwbfile, link_data=False)
    assert links_of(tmp_path / "p.nwb.zarr", "acquisition/linked")
    assert not links_of(tmp_path / "p.nwb.zarr", "acquisition/copied")


def test_the_same_array_twice_in_one_export_is_one_array(tmp_path):
    raw = write_raw(tmp_path / "raw.nwb.zarr")
    with NWBZarrIO(raw, "r+") as io:
        nwbfile = io.read()
        nwbfile.add_acquisition(
            TimeSeries(name="again", data=nwbfile.acquisition["ts"].data, unit="V", rate=1.0)
        )
        io.write(nwbfile)
    expected = {"name": "data", "source": ".", "path": "/acquisition/ts/data"}
    assert links_of(raw, "acquisition/again") == [expected]


def test_a_broken_link_of_the_root_is_named_with_its_path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update({"data_type": "Container", "namespace": "hdmf-common"})
        file["other"] = h5py.ExternalLink("b.h5", "/data")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = np.arange(3)
    with pytest.warns(UserWarning, match="which does not exist yet"):
        convert(tmp_path / "a.h5", tmp_path / "a.zarr", external_links="keep")
    with (
        ZarrIO(tmp_path / "a.zarr", "r") as io,
        pytest.warns(UserWarning, match=r"^link .*[^/]/a\.zarr:/other is broken and left out"),
    ):
        io.read_builder()
