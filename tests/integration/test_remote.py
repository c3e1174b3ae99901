"""Stores that are not folders of this machine."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries, read_nwb
from zarr.storage import MemoryStore, WrapperStore, ZipStore

from hdmf_zarr import NWBZarrIO, ZarrIO
from tests.conftest import nwb_catalog

fsspec = pytest.importorskip("fsspec")


def make_file(series: int = 3) -> NWBFile:
    nwbfile = NWBFile("remote", "remote", datetime(2024, 1, 1, tzinfo=UTC))
    first = TimeSeries(name="ts0", data=np.arange(10.0), unit="V", rate=1.0)
    nwbfile.add_acquisition(first)
    for number in range(1, series):
        nwbfile.add_acquisition(
            TimeSeries(
                name=f"ts{number}", data=np.arange(10.0) + number, unit="V", timestamps=[0.5] * 10
            )
        )
    nwbfile.add_trial(start_time=0.0, stop_time=1.0, timeseries=[first])
    return nwbfile


class CountingStore(WrapperStore):  # type: ignore[type-arg]
    """Counts the requests to a store."""

    def __init__(self, store: Any, requests: list[str] | None = None) -> None:
        super().__init__(store)
        self.requests: list[str] = [] if requests is None else requests

    def _with_store(self, store: Any) -> CountingStore:
        return CountingStore(store, self.requests)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        self.requests.append(key)
        return await super().get(key, prototype, byte_range)


class Handler(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()

    def list_directory(self, path: Any) -> None:
        """Refuse, as an object store over HTTP does."""
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []
    handler = type("CountingHandler", (Handler,), {"requests": requests})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", requests
    server.shutdown()
    thread.join()


def metadata_requests(requests: list[str]) -> list[str]:
    return [key for key in requests if key.endswith("zarr.json")]


def test_a_consolidated_store_is_opened_with_one_metadata_request():
    store = CountingStore(MemoryStore())
    with NWBZarrIO(store, "w") as io:
        io.write(make_file(20))
    store.requests.clear()
    with ZarrIO(store, "r") as io:
        assert store.requests == ["zarr.json"]
        io.read_builder()
    assert metadata_requests(store.requests) == ["zarr.json"]
    scalars = [key for key in store.requests if key != "zarr.json"]
    assert len(scalars) == len(set(scalars))


@pytest.mark.parametrize("mode", ["w", "a", "x"])
def test_an_fsspec_url_is_written_read_and_appended_to(mode):
    url = f"memory://bucket-{mode}/file.nwb.zarr"
    with NWBZarrIO(url, mode) as io:
        io.write(make_file())
    with NWBZarrIO(url, "r+") as io:
        nwbfile = io.read()
        nwbfile.acquisition["ts0"].data.append(np.array([10.0]))
        nwbfile.add_acquisition(TimeSeries(name="new", data=[1.0], unit="V", rate=1.0))
        io.write(nwbfile)
    for read_mode in ("r", "r-"):
        with NWBZarrIO(url, read_mode) as io:
            assert io.is_remote()
            nwbfile = io.read()
            assert io.source == url
            assert set(nwbfile.acquisition) == {"ts0", "ts1", "ts2", "new"}
            np.testing.assert_array_equal(nwbfile.acquisition["ts0"].data[:], np.arange(11.0))
            assert nwbfile.trials["timeseries"][0][0].timeseries is nwbfile.acquisition["ts0"]
    assert NWBZarrIO.can_read(url)
    with NWBZarrIO(url, "w") as io:
        io.write(make_file(1))
    assert list(NWBZarrIO.read_nwb(url).acquisition) == ["ts0"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_hdf5io_says_of_namespaces_is_said_of_a_url(tmp_path, zarr_format):
    url, options = f"memory://namespaces/{zarr_format}.nwb.zarr", {"storage_options": {}}
    with NWBHDF5IO(tmp_path / "twin.nwb", "w") as io:
        io.write(make_file())
    with NWBZarrIO(url, "w", zarr_format=zarr_format, **options) as io:
        io.write(make_file())
    expected = NWBHDF5IO.load_namespaces(nwb_catalog(), path=tmp_path / "twin.nwb")
    catalog = nwb_catalog()
    assert NWBZarrIO.load_namespaces(catalog, path=url, **options) == expected
    assert set(catalog.namespaces) == set(expected)
    versions = NWBHDF5IO.get_namespaces(path=str(tmp_path / "twin.nwb"))
    assert NWBZarrIO.get_namespaces(url, **options) == versions
    with NWBZarrIO(url, "r", **options) as io:
        assert io.load_namespaces_io(nwb_catalog()) == expected
        assert NWBZarrIO.load_namespaces(nwb_catalog(), file=io._file) == expected
    assert NWBZarrIO.can_read(url, **options)


def test_a_url_that_does_not_exist():
    with pytest.raises(ValueError, match="memory://bucket/none.nwb.zarr is not a Zarr store"):
        NWBZarrIO("memory://bucket/none.nwb.zarr", "r")
    assert not NWBZarrIO.can_read("memory://bucket/none.nwb.zarr")


def test_http_is_read_with_one_metadata_request(tmp_path, server):
    pytest.importorskip("aiohttp")
    url, requests = server
    with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
        io.write(make_file())
    nwbfile = NWBZarrIO.read_nwb(f"{url}/file.nwb.zarr")
    np.testing.assert_array_equal(nwbfile.acquisition["ts2"].data[:], np.arange(10.0) + 2)
    assert nwbfile.trials["timeseries"][0][0].timeseries is nwbfile.acquisition["ts0"]
    assert metadata_requests(requests) == ["/file.nwb.zarr/zarr.json"]


def test_http_without_consolidated_metadata_says_so(tmp_path, server):
    pytest.importorskip("aiohttp")
    url, _ = server
    with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
        io.write(make_file(), consolidate_metadata=False)
    with pytest.raises(ValueError, match="consolidated"):
        NWBZarrIO(f"{url}/file.nwb.zarr", "r")


def test_a_link_from_an_http_store_resolves_against_its_url(tmp_path, server):
    pytest.importorskip("aiohttp")
    url, _ = server
    with NWBZarrIO(tmp_path / "raw.nwb.zarr", "w") as io:
        io.write(make_file())
    with NWBZarrIO(tmp_path / "raw.nwb.zarr", "r") as raw_io:
        nwbfile = make_file(1)
        data = raw_io.read().acquisition["ts2"].data
        nwbfile.add_acquisition(TimeSeries(name="external", data=data, unit="V", rate=1.0))
        (tmp_path / "sub").mkdir()
        with NWBZarrIO(tmp_path / "sub" / "file.nwb.zarr", "w") as io:
            io.write(nwbfile)
    nwbfile = NWBZarrIO.read_nwb(f"{url}/sub/file.nwb.zarr")
    np.testing.assert_array_equal(nwbfile.acquisition["external"].data[:], np.arange(10.0) + 2)
    assert nwbfile.acquisition["external"].data.hierarchy.uri == f"{url}/raw.nwb.zarr"


def test_a_zip_store_is_read(tmp_path):
    path = tmp_path / "file.nwb.zarr.zip"
    with ZipStore(path, mode="w") as store, NWBZarrIO(store, "w") as io:
        io.write(make_file())
    with ZipStore(path, mode="r") as store, NWBZarrIO(store, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts1"].data[:], np.arange(10.0) + 1)
    with NWBZarrIO(path, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts1"].data[:], np.arange(10.0) + 1)


def test_an_obstore_store_is_read_and_written(tmp_path):
    obstore = pytest.importorskip("obstore")
    from zarr.storage import ObjectStore

    store = ObjectStore(obstore.store.MemoryStore())
    with NWBZarrIO(store, "w") as io:
        io.write(make_file())
    with NWBZarrIO(store, "r") as io:
        np.testing.assert_array_equal(io.read().acquisition["ts1"].data[:], np.arange(10.0) + 1)


def test_pynwb_reads_a_path(tmp_path):
    with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
        io.write(make_file())
    nwbfile = read_nwb(tmp_path / "file.nwb.zarr")
    assert nwbfile.identifier == "remote"
    np.testing.assert_array_equal(nwbfile.acquisition["ts0"].data[:], np.arange(10.0))
