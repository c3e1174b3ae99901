"""Every public function works where an event loop is running, as in a notebook."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder
from hdmf.spec import NamespaceCatalog
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, get_manager

import hdmf_zarr
from hdmf_zarr import (
    NWBZarrIO,
    NWBZarrV2IO,
    Report,
    ZarrDataIO,
    ZarrIO,
    ZarrV2IO,
    check,
    is_zarr_v2_file,
)
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.description import describe, render
from hdmf_zarr.transfer.upgrading import upgrade
from tests.conftest import nwb_catalog
from tests.iterators import ArrayIterator
from tests.rich import START

DATA = np.arange(2000, dtype=np.int32).reshape(500, 4)


def nwbfile(data: Any = DATA) -> NWBFile:
    file = NWBFile("a session", "id", START)
    file.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=1.0))
    file.add_trial(start_time=1.0, stop_time=2.0)
    return file


class Place:
    """A folder with the files that the functions need, made when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, name: str) -> str:
        return str(self.folder / name)

    def nwb(self, zarr_format: int = 3) -> str:
        path = self.folder / f"nwb{zarr_format}.nwb.zarr"
        if not path.exists():
            with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
                io.write(nwbfile())
        return str(path)

    def hdf5(self) -> str:
        path = self.folder / "source.nwb"
        if not path.exists():
            with NWBHDF5IO(str(path), "w") as io:
                io.write(nwbfile())
        return str(path)


def is_kept(path: str) -> bool:
    with NWBZarrIO(path, "r") as io:
        return np.array_equal(io.read().acquisition["raw"].data[:], DATA)


# -- the table -------------------------------------------------------------------------------------


def write(place: Place) -> bool:
    with ZarrIO(place.new("w.nwb.zarr"), "w", manager=get_manager()) as io:
        io.write(nwbfile(ArrayIterator(DATA, buffer_shape=(100, 4), chunk_shape=(50, 4))))
    return is_kept(place.new("w.nwb.zarr"))


def write_in_parallel(place: Place) -> bool:
    large = np.arange(4_000_000, dtype=np.int32).reshape(-1, 4)
    iterator = ArrayIterator(large, buffer_shape=(100_000, 4), chunk_shape=(50_000, 4))
    with NWBZarrIO(place.new("p.nwb.zarr"), "w") as io:
        io.write(nwbfile(iterator), number_of_jobs=2)
    with NWBZarrIO(place.new("p.nwb.zarr"), "r") as io:
        return np.array_equal(io.read().acquisition["raw"].data[:], large)


def write_remote(_place: Place) -> bool:
    url = "memory://notebook/f.nwb.zarr"
    with NWBZarrIO(url, "w") as io:
        io.write(nwbfile())
    return is_kept(url) and check(url).is_clean and describe(url).zarr_format == 3


def export(place: Place) -> bool:
    with (
        NWBHDF5IO(place.hdf5(), "r") as source,
        NWBZarrIO(place.new("e.nwb.zarr"), "w") as io,
    ):
        io.export(source)
    return is_kept(place.new("e.nwb.zarr"))


def append(place: Place) -> bool:
    convert(place.nwb(), place.new("a.nwb.zarr"))
    with NWBZarrIO(place.new("a.nwb.zarr"), "r+") as io:
        file = io.read()
        file.add_trial(start_time=3.0, stop_time=4.0)
        io.write(file)
    with NWBZarrIO(place.new("a.nwb.zarr"), "r") as io:
        return list(io.read().trials["start_time"][:]) == [1.0, 3.0]


def piece_by_piece(place: Place) -> bool:
    path = place.new("pieces.zarr")
    with ZarrIO(path, "w") as io:
        io.write_group("/", GroupBuilder("group", datasets=[DatasetBuilder("data", DATA)]))
        io.write_dataset("group", DatasetBuilder("text", ["a"], dtype="text"))
        io.write_attributes("group", {"a": [1, 2]})
    with ZarrIO(path, "r+") as io:
        io.write_link("group", LinkBuilder(io.read_builder()["group/data"], "link"))
    with ZarrIO(path, "r") as io:
        read = io.read_builder()["group"]
        return bool(np.array_equal(read["data"].data[:], DATA)) and list(read["text"].data[:]) == [
            "a"
        ]


def look_up(place: Place) -> bool:
    with NWBZarrIO(place.nwb(), "r") as io:
        builder = io.read_builder()
        array = io._file["acquisition/raw/data"]
        name, target = io.resolve_ref("/acquisition/raw/data")
        found = [
            io.get_written(builder),
            io.get_builder_exists_on_disk(builder),
            io.get_builder_disk_path(builder).startswith(place.nwb()),
            io.get_builder(array) is builder["acquisition/raw/data"],
            io.get_container(io._file["acquisition/raw"]).name == "raw",
            name == "data" and target.shape == DATA.shape,
            io.get_zarr_parent_path(array) == "/acquisition/raw",
            "(500, 4)" in io.generate_dataset_html(builder["acquisition/raw/data"].data),
            "core" in io.load_namespaces_io(nwb_catalog()),
            not io.is_remote() and io.is_open() and io.mode == "r" and io.abspath == io.source,
            io.path == place.nwb() and io.synchronizer is io.object_codec_class is None,
        ]
    return all(found)


def data_io(place: Place) -> bool:
    """A write calls `ZarrDataIO.note_written`."""
    with h5py.File(place.hdf5(), "r") as file:
        wrapped = ZarrDataIO.from_h5py_dataset(file["acquisition/raw/data"])
        filters = ZarrDataIO.hdf5_to_zarr_filters(file["acquisition/raw/data"])
        is_it = ZarrDataIO.is_h5py_dataset(file["acquisition/raw/data"])
        with NWBZarrIO(place.new("d.nwb.zarr"), "w") as io:
            io.write(nwbfile(wrapped))
        wrapped.get_io_params()
    known = [wrapped.link_data, wrapped.layout_request, wrapped.io_settings, wrapped.dataset]
    return is_it and filters == [] and len(known) == 4 and is_kept(place.new("d.nwb.zarr"))


def report(place: Place) -> bool:
    found: Report = check(place.nwb())
    shown = [found.where, found.to_json(), found.errors, found.archive, repr(found)]
    return found.is_clean and found.n_chunks > 0 and len(shown) == 5


def shown(place: Place) -> bool:
    with NWBZarrIO(place.nwb(), "r") as io:
        file = io.read()
        html = [
            file._repr_html_(),
            file.acquisition["raw"]._repr_html_(),
            file.trials._repr_html_(),
        ]
    return all("start_time" in text or "raw" in text or "unit" in text for text in html)


def read_v2(place: Place) -> bool:
    NWBZarrV2IO.convert_to_v3(place.nwb(2), place.new("v3.nwb.zarr"))
    with NWBZarrV2IO(place.nwb(2), "r") as io:
        io.read()
        io.export_to_v3(place.new("v3b.nwb.zarr"))
    file = NWBZarrV2IO.read_nwb(place.nwb(2))
    return (
        is_kept(place.new("v3.nwb.zarr"))
        and is_kept(place.new("v3b.nwb.zarr"))
        and np.array_equal(file.acquisition["raw"].data[:], DATA)
    )


def read_nwb(place: Place) -> bool:
    file = NWBZarrIO.read_nwb(place.nwb())
    return np.array_equal(np.asarray(file.acquisition["raw"].data), DATA) and NWBZarrIO.can_read(
        place.nwb()
    )


def nwb_io(place: Place) -> bool:
    with NWBZarrIO(place.nwb(), "r") as io:
        version = io.nwb_version[1]
        return version is not None and version[0] == 2 and export(place) and read_nwb(place)


def open_and_close(place: Place) -> bool:
    io = ZarrIO(place.nwb(), "r")
    io.open()
    io.close()
    return not io.is_open()


def namespaces(place: Place) -> bool:
    found = ZarrIO.get_namespaces(place.nwb())
    loaded = ZarrIO.load_namespaces(nwb_catalog(), place.nwb())
    return "core" in found and "core" in loaded and ZarrIO.can_read(place.nwb())


def raw_v2(place: Place) -> bool:
    with ZarrV2IO(place.nwb(2), "r") as io:
        return bool(np.array_equal(io.read_builder()["acquisition/raw/data"].data[:], DATA))


def write_builder(place: Place) -> bool:
    with ZarrIO(place.new("b.zarr"), "w") as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", DATA)]))
    return check(place.new("b.zarr")).is_clean


def io_methods(place: Place) -> bool:
    rows = (
        write,
        export,
        append,
        piece_by_piece,
        look_up,
        open_and_close,
        namespaces,
        write_builder,
    )
    return all(row(place) for row in rows)


def converted(place: Place) -> bool:
    convert(place.hdf5(), place.new("c.nwb.zarr"), number_of_jobs=2, verify=True)
    convert(place.new("c.nwb.zarr"), place.new("back.nwb"))
    convert(place.hdf5(), place.new("c2.nwb.zarr"), dandi=True)
    with NWBHDF5IO(place.new("back.nwb"), "r") as io:
        return np.array_equal(io.read().acquisition["raw"].data[:], DATA) and is_kept(
            place.new("c2.nwb.zarr")
        )


def upgraded(place: Place) -> bool:
    path = place.new("u.nwb.zarr")
    convert(place.nwb(), path, zarr_format=2)
    upgrade(path, place.new("u3.nwb.zarr"))
    return is_kept(place.new("u3.nwb.zarr"))


def command_line(place: Place) -> bool:
    one, two = place.new("m.nwb.zarr"), place.new("m2.nwb.zarr")
    commands = (
        ["convert", "--quiet", place.hdf5(), one],
        ["convert", "--quiet", "--zarr-format", "2", one, two],
        ["check", "--quiet", one],
        ["check", "--quiet", "--repair", two],
        ["info", one],
        ["upgrade", "--quiet", two],
    )
    return [main(command) for command in commands] == [0] * len(commands) and is_kept(two)


PUBLIC: dict[str, Callable[[Place], bool]] = {
    "NWBZarrIO": nwb_io,
    "NWBZarrV2IO": read_v2,
    "Report": report,
    "ZarrDataIO": data_io,
    "ZarrIO": io_methods,
    "ZarrV2IO": raw_v2,
    "__version__": lambda _place: bool(hdmf_zarr.__version__),
    "check": lambda place: check(place.nwb()).is_clean and check(place.nwb(2)).is_clean,
    "convert": converted,
    "info": lambda place: "raw" in render(hdmf_zarr.info(place.nwb())),
    "upgrade": upgraded,
    "is_zarr_v2_file": lambda place: (
        is_zarr_v2_file(place.nwb(2)) and not is_zarr_v2_file(place.nwb())
    ),
}
"""The public names, each with what uses it."""

OTHERS: dict[str, Callable[[Place], bool]] = {
    "write in parallel": write_in_parallel,
    "write to memory": write_remote,
    "display": shown,
    "command line": command_line,
}

METHODS = {
    ZarrIO: io_methods,
    NWBZarrIO: nwb_io,
    NWBZarrV2IO: read_v2,
    ZarrDataIO: data_io,
    Report: report,
}


def test_every_public_name_has_a_row() -> None:
    assert set(PUBLIC) == set(hdmf_zarr.__all__)


@pytest.mark.parametrize("owner", METHODS, ids=lambda owner: owner.__name__)
def test_every_public_method_is_called(owner: Any) -> None:
    """By the function of its class, or by one that this one calls."""
    source = Path(__file__).read_text()
    names = [name for name in vars(owner) if not name.startswith("_")]
    fields = set(getattr(owner, "__dataclass_fields__", ()))
    assert [name for name in names if name not in fields and f".{name}" not in source] == []


@pytest.mark.parametrize("name", [*PUBLIC, *OTHERS])
def test_it_works_where_a_loop_is_running(name: str, tmp_path: Path) -> None:
    use = {**PUBLIC, **OTHERS}[name]

    async def cell() -> bool:
        return use(Place(tmp_path))

    assert asyncio.run(cell()) is True


def test_zarr_objects_are_read_where_a_loop_is_running(tmp_path: Path) -> None:
    async def cell() -> bool:
        store = zarr.storage.MemoryStore()
        with ZarrIO(store, "w") as io:
            io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", DATA)]))
        with ZarrIO(store, "r") as io:
            data = io.read_builder()["data"].data
            same = copy.copy(data)
            return np.array_equal(same[::3], DATA[::3]) and check(store).is_clean

    assert asyncio.run(cell()) is True
    assert isinstance(nwb_catalog(), NamespaceCatalog)
