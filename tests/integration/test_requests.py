"""How many requests to a store it takes to read: exact numbers, wherever the store is."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries
from pynwb.base import ImageReferences, Images
from pynwb.image import GrayscaleImage
from zarr.storage import MemoryStore, WrapperStore

from hdmf_zarr import NWBZarrIO
from hdmf_zarr.hierarchy import root_watch
from hdmf_zarr.stores.bytestore import LocalByteStore

pytest.importorskip("aiohttp")

UNITS, TRIALS, IMAGES = 20, 30, 40


@pytest.fixture(autouse=True)
def _looks_at_the_root_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow machine make no more requests: `tests/integration/test_buckets.py` counts these looks."""
    monkeypatch.setattr(root_watch, "SECONDS_BETWEEN_LOOKS", 3600.0)


def make_file(series: int) -> NWBFile:
    nwbfile = NWBFile("requests", "requests", datetime(2024, 1, 1, tzinfo=UTC))
    device = nwbfile.create_device("device")
    group = nwbfile.create_electrode_group("g", description="d", location="l", device=device)
    for number in range(8):
        nwbfile.add_electrode(location="CA1", group=group, x=float(number))
    for number in range(UNITS):
        nwbfile.add_unit(spike_times=np.arange(number + 1.0), electrodes=[number % 8])
    found = [
        TimeSeries(name=f"ts{number}", data=np.arange(10.0), unit="V", rate=1.0)
        for number in range(series)
    ]
    for one in found:
        nwbfile.add_acquisition(one)
    for number in range(TRIALS):
        nwbfile.add_trial(
            start_time=number + 0.0, stop_time=number + 1.0, timeseries=[found[number % series]]
        )
    images = [
        GrayscaleImage(name=f"i{number}", data=np.zeros((2, 2), "uint8")) for number in range(3)
    ]
    order = ImageReferences(name="order_of_images", data=[images[n % 3] for n in range(IMAGES)])
    nwbfile.add_acquisition(Images(name="images", images=images, order_of_images=order))
    return nwbfile


READ_AT_ONCE = {
    *("identifier", "session_description", "session_start_time", "timestamps_reference_time"),
    *("file_create_date", "units/id", "intervals/trials/id", "units/electrodes"),
    *("general/extracellular_ephys/electrodes/id", "acquisition/images/order_of_images"),
}
"""Scalars, and datasets that constructors look at, beside the rates of the time series."""


@dataclass
class Requests:
    """What was asked of a store: names of keys, and how many of them came together at least once."""

    keys: list[str] = field(default_factory=list)
    now: int = 0
    most: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def start(self, key: str) -> None:
        with self.lock:
            self.keys.append(key)
            self.now += 1
            self.most = max(self.most, self.now)

    def end(self) -> None:
        with self.lock:
            self.now -= 1

    def clear(self) -> None:
        self.keys.clear()
        self.most = 0

    @property
    def arrays(self) -> list[str]:
        """Paths of the arrays of whose chunks one each was asked for, in order."""
        return sorted(key.rpartition("/")[0] for key in self.keys if not key.endswith("zarr.json"))

    @property
    def metadata(self) -> list[str]:
        return [key for key in self.keys if key.endswith("zarr.json")]


class CountingStore(WrapperStore):  # type: ignore[type-arg]
    """A store that writes down what it is asked for."""

    requests: Requests

    def _with_store(self, store: Any) -> CountingStore:
        made = CountingStore(store)
        made.requests = self.requests
        return made

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        import asyncio

        self.requests.start(key)
        try:
            await asyncio.sleep(0.002)
            return await super().get(key, prototype, byte_range)
        finally:
            self.requests.end()


Opened = tuple[Any, Requests]


@pytest.fixture(params=["local", "memory", "http"])
def counted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Opened]]:
    """Writes a file and returns where it is, and what is asked of it from then on."""
    requests = Requests()
    servers: list[http.server.ThreadingHTTPServer] = []

    def local(nwbfile: NWBFile) -> Any:
        path = tmp_path / "file.nwb.zarr"
        with NWBZarrIO(path, "w") as io:
            io.write(nwbfile)
        time.sleep(
            0.06
        )  # a chunk is kept from then on, see `hdmf_zarr.stores.open_files.is_settled`

        def counting(original: Callable[..., Any]) -> Callable[..., Any]:
            def counted(self: LocalByteStore, key: str, *args: Any) -> Any:
                requests.start(key)
                try:
                    return original(self, key, *args)
                finally:
                    requests.end()

            return counted

        for name in ("get", "open_file"):
            monkeypatch.setattr(LocalByteStore, name, counting(getattr(LocalByteStore, name)))
        return path

    def memory(nwbfile: NWBFile) -> Any:
        store = CountingStore(MemoryStore())
        store.requests = requests
        with NWBZarrIO(store, "w") as io:
            io.write(nwbfile)
        return store

    def over_http(nwbfile: NWBFile) -> Any:
        with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
            io.write(nwbfile)

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.start(self.path.removeprefix("/file.nwb.zarr/"))
                try:
                    threading.Event().wait(0.02)
                    super().do_GET()
                finally:
                    requests.end()

            def do_HEAD(self) -> None:
                requests.start("HEAD " + self.path)
                super().do_HEAD()
                requests.end()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/file.nwb.zarr"

    def write(nwbfile: NWBFile) -> Opened:
        kinds = {"local": local, "memory": memory, "http": over_http}
        place = kinds[request.param](nwbfile)
        requests.clear()
        return place, requests

    write.is_local = request.param == "local"  # type: ignore[attr-defined]
    yield write
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("series", [2, 12])
def test_one_request_opens_a_file_and_one_round_of_requests_reads_it(
    counted: Any, series: int
) -> None:
    place, requests = counted(make_file(series))
    io = NWBZarrIO(place, "r")
    assert requests.keys == ["zarr.json"]
    io.read()
    rates = {f"acquisition/ts{number}/starting_time" for number in range(series)}
    assert requests.metadata == ["zarr.json"]
    assert requests.arrays == sorted(READ_AT_ONCE | rates)
    if not counted.is_local:
        assert requests.most > len(READ_AT_ONCE) // 2, "they are asked for at the same time"


def columns(table: str, *names: str) -> list[str]:
    return sorted(f"{table}/{name}" for name in names)


def test_a_table_is_read_with_one_request_a_column(counted: Any) -> None:
    place, requests = counted(make_file(2))
    nwbfile = NWBZarrIO(place, "r").read()
    requests.clear()
    assert len(nwbfile.units[:]) == UNITS
    of_units = ("spike_times", "spike_times_index", "electrodes_index")
    assert requests.arrays == columns("units", *of_units)
    requests.clear()
    assert len(nwbfile.units[:]) == UNITS
    assert [len(nwbfile.units["spike_times"][row]) for row in range(UNITS)] == list(
        range(1, UNITS + 1)
    )
    assert requests.keys == []
    assert len(nwbfile.electrodes[:]) == 8
    electrodes = "general/extracellular_ephys/electrodes"
    assert requests.arrays == columns(electrodes, "x", "location", "group", "group_name")
    requests.clear()
    assert len(nwbfile.trials[:]) == TRIALS
    of_trials = ("start_time", "stop_time", "timeseries", "timeseries_index")
    assert requests.arrays == columns("intervals/trials", *of_trials)


def test_references_are_resolved_without_a_request(counted: Any) -> None:
    place, requests = counted(make_file(2))
    nwbfile = NWBZarrIO(place, "r").read()
    requests.clear()
    images = nwbfile.acquisition["images"]
    order = images.order_of_images.data[:]
    assert [image.name for image in order] == [f"i{n % 3}" for n in range(IMAGES)]
    assert order[0] is images["i0"]
    assert requests.keys == []


def test_rows_of_a_recording_are_one_request_each(counted: Any) -> None:
    place, requests = counted(make_file(2))
    data = NWBZarrIO(place, "r").read().acquisition["ts1"].data
    requests.clear()
    assert data[3] == 3.0
    assert requests.arrays == ["acquisition/ts1/data"]
    assert data[:].tolist() == list(range(10))
    assert len(requests.keys) == 1


DOCUMENTS = {2: (".zgroup", ".zarray", ".zattrs"), 3: ("zarr.json",)}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_without_consolidated_metadata_each_document_is_asked_for_once(zarr_format: int) -> None:
    def documents_of(keys: Iterable[str]) -> list[str]:
        return sorted(key for key in keys if key.rpartition("/")[2] in DOCUMENTS[zarr_format])

    stored: dict[str, Any] = {}
    with NWBZarrIO(MemoryStore(stored), "w", zarr_format=zarr_format) as io:
        io.write(make_file(12), consolidate_metadata=False)
    store = CountingStore(MemoryStore(stored))
    store.requests = requests = Requests()
    io = NWBZarrIO(store, "r")
    asked, documents = documents_of(requests.keys), documents_of(stored)
    # Those of the root are looked at before, to know the format.
    assert {key for key in asked if "/" in key} == {key for key in documents if "/" in key}
    assert len(asked) <= len(documents) + 3
    assert requests.most > len(documents) // 2, "they are asked for at the same time"
    requests.clear()
    assert len(io.read().acquisition) == 13
    assert documents_of(requests.keys) == []


MANY_UNITS, MANY_IMAGES, SECONDS = 1000, 5300, 60.0


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_many_references_are_resolved_with_few_requests_and_in_seconds(zarr_format: int) -> None:
    """Of a table of units that refer to electrodes, and of an order of images."""
    nwbfile = make_file(2)
    for number in range(UNITS, MANY_UNITS):
        nwbfile.add_unit(spike_times=[float(number)], electrodes=[number % 8, (number + 1) % 8])
    images = [GrayscaleImage(name=f"i{n}", data=np.zeros((2, 2), "uint8")) for n in range(100)]
    order = ImageReferences(
        name="order_of_images", data=[images[n % 100] for n in range(MANY_IMAGES)]
    )
    nwbfile.add_stimulus(Images(name="many", images=images, order_of_images=order))
    store = CountingStore(MemoryStore())
    store.requests = requests = Requests()
    with NWBZarrIO(store, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    requests.clear()
    start = time.process_time()
    nwbfile = NWBZarrIO(store, "r").read()
    many = nwbfile.stimulus["many"]
    found = [image.name for image in many.order_of_images.data[:]]
    assert found == [f"i{n % 100}" for n in range(MANY_IMAGES)]
    assert many.order_of_images.data[MANY_IMAGES - 1] is many["i99"]
    electrodes = nwbfile.units["electrodes"]
    expanded = [electrodes[number] for number in range(MANY_UNITS)]
    assert time.process_time() - start < SECONDS
    for number in range(UNITS, MANY_UNITS):
        rows = expanded[number]
        assert rows.index.tolist() == [number % 8, (number + 1) % 8]
        assert rows["x"].tolist() == [number % 8, (number + 1) % 8]
        assert rows["group"].iloc[0] is nwbfile.electrode_groups["g"]
    assert len(requests.keys) < 60
