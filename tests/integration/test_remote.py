"""Stores that are not folders of this machine."""

from __future__ import annotations

import http.server
import os
import sys
import tarfile
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
from hdmf_zarr.errors import MetadataError, MissingExtraError, NotAStoreError, OptionError
from hdmf_zarr.hierarchy import root_watch
from hdmf_zarr.stores.bytestore import ZarrByteStore
from hdmf_zarr.stores.location import locate
from tests.compare import assert_builders_equal
from tests.conftest import nwb_catalog
from tests.misbehaving import PatientServer

RELEASED = Path(__file__).parents[1] / "data"

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _looks_at_the_root_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow machine make no more requests: `tests/integration/test_buckets.py` counts these looks."""
    monkeypatch.setattr(root_watch, "SECONDS_BETWEEN_LOOKS", 3600.0)


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
    signed: list[str]
    of_what_is_missing = 404
    """What is said of a key that is not there; a bucket that may not be listed says 403."""

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if "Authorization" in self.headers:
            self.signed.append(self.path)
        super().do_GET()

    def list_directory(self, path: Any) -> None:
        """Refuse, as an object store over HTTP does."""
        self.send_error(404)

    def send_error(self, code: int, *_: Any) -> None:
        super().send_error(self.of_what_is_missing if code == 404 else code)

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def handler() -> type[Handler]:
    """Whoever answers the requests, and what they were."""
    return type("CountingHandler", (Handler,), {"requests": [], "signed": []})


@pytest.fixture
def server(tmp_path: Path, handler: type[Handler]) -> Iterator[tuple[str, list[str]]]:
    server = PatientServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler.requests
    server.shutdown()
    thread.join()


@pytest.fixture
def s3(server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The server as the one of S3, for somebody without credentials: its folders are buckets."""
    s3fs = pytest.importorskip("s3fs")
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    nowhere = "/no/such/file"
    monkeypatch.setenv("AWS_CONFIG_FILE", nowhere)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server[0])
    s3fs.S3FileSystem.clear_instance_cache()
    yield server[1]
    s3fs.S3FileSystem.clear_instance_cache()


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
    with pytest.raises(FileNotFoundError, match="memory://bucket/none.nwb.zarr: nothing is there"):
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


def write_linked(bucket: Path) -> None:
    """Write a file that links twice to another one, and within itself."""
    with NWBZarrIO(bucket / "raw.nwb.zarr", "w") as io:
        io.write(make_file())
    with NWBZarrIO(bucket / "raw.nwb.zarr", "r") as raw_io:
        nwbfile = make_file(1)
        acquisition = raw_io.read().acquisition
        for name, of in (("external", "ts2"), ("second", "ts1")):
            data = acquisition[of].data
            nwbfile.add_acquisition(TimeSeries(name=name, data=data, unit="V", rate=1.0))
        own = nwbfile.acquisition["ts0"]
        nwbfile.add_acquisition(TimeSeries(name="own", data=own, unit="V", rate=1.0))
        (bucket / "sub").mkdir()
        with NWBZarrIO(bucket / "sub" / "file.nwb.zarr", "w") as io:
            io.write(nwbfile)


def check_linked(nwbfile: NWBFile, url: str, requests: list[str], folder: str) -> None:
    """Each of the two stores is asked for its metadata once, and nothing else."""
    acquisition = nwbfile.acquisition
    np.testing.assert_array_equal(acquisition["external"].data[:], np.arange(10.0) + 2)
    np.testing.assert_array_equal(acquisition["second"].data[:], np.arange(10.0) + 1)
    assert acquisition["own"].data is acquisition["ts0"].data
    assert acquisition["external"].data.hierarchy.uri == f"{url}/raw.nwb.zarr"
    assert acquisition["second"].data.hierarchy is acquisition["external"].data.hierarchy
    assert metadata_requests(requests) == [
        f"{folder}/sub/file.nwb.zarr/zarr.json",
        f"{folder}/raw.nwb.zarr/zarr.json",
    ]


def test_a_link_from_an_http_store_resolves_against_its_url(tmp_path, server):
    pytest.importorskip("aiohttp")
    url, requests = server
    write_linked(tmp_path)
    check_linked(NWBZarrIO.read_nwb(f"{url}/sub/file.nwb.zarr"), url, requests, "")


@pytest.mark.parametrize("mode", ["r", "r-", "r+", "a"])
def test_a_local_file_links_to_a_web_server(tmp_path, server, mode):
    """Whatever is done to the file itself, what is there can only be read."""
    pytest.importorskip("aiohttp")
    url, _ = server
    with NWBZarrIO(tmp_path / "raw.nwb.zarr", "w") as io:
        io.write(make_file())
    with NWBZarrIO(f"{url}/raw.nwb.zarr", "r") as raw_io:
        nwbfile = make_file(1)
        data = raw_io.read().acquisition["ts2"].data
        nwbfile.add_acquisition(TimeSeries(name="external", data=data, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
            io.write(nwbfile)
    with NWBZarrIO(tmp_path / "file.nwb.zarr", mode) as io:
        acquisition = io.read().acquisition
        np.testing.assert_array_equal(acquisition["external"].data[:], np.arange(10.0) + 2)
        if mode in ("r+", "a"):
            acquisition["ts0"].data.append(np.array([10.0]))
            with pytest.raises(ValueError, match="read-only"):
                acquisition["external"].data.append(np.array([1.0]))
    nwbfile = NWBZarrIO.read_nwb(tmp_path / "file.nwb.zarr")
    assert len(nwbfile.acquisition["ts0"].data) == (11 if mode in ("r+", "a") else 10)
    np.testing.assert_array_equal(nwbfile.acquisition["external"].data[:], np.arange(10.0) + 2)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_data_on_a_web_server_are_shown_in_notebooks(tmp_path, server, zarr_format):
    """How much it takes there cannot be told: nothing is listed."""
    pytest.importorskip("aiohttp")
    with NWBZarrIO(tmp_path / "file.nwb.zarr", "w", zarr_format=zarr_format) as io:
        io.write(make_file())
    nwbfile = NWBZarrIO.read_nwb(f"{server[0]}/file.nwb.zarr")
    shown = NWBZarrIO.generate_dataset_html(nwbfile.acquisition["ts1"].data)
    assert "Chunk shape" in shown
    assert "(10,)" in shown
    assert "Stored bytes" not in shown
    assert "unable to render" not in nwbfile._repr_html_()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_bucket_that_may_not_be_listed_is_read(tmp_path, server, handler, zarr_format):
    """It says of what is not there that it is forbidden."""
    pytest.importorskip("aiohttp")
    handler.of_what_is_missing = 403
    for name, consolidate in (("file", True), ("plain", False)):
        with NWBZarrIO(tmp_path / f"{name}.nwb.zarr", "w", zarr_format=zarr_format) as io:
            io.write(make_file(), consolidate_metadata=consolidate)
    url = server[0]
    nwbfile = NWBZarrIO.read_nwb(f"{url}/file.nwb.zarr")
    np.testing.assert_array_equal(nwbfile.acquisition["ts2"].data[:], np.arange(10.0) + 2)
    assert NWBZarrIO.can_read(f"{url}/file.nwb.zarr")
    assert "Chunk shape" in NWBZarrIO.generate_dataset_html(nwbfile.acquisition["ts1"].data)
    with pytest.raises(MetadataError, match=r"plain\.nwb\.zarr .*consolidate"):
        NWBZarrIO(f"{url}/plain.nwb.zarr", "r")
    with pytest.raises(NotAStoreError, match=r"none\.nwb\.zarr has no metadata .*403"):
        NWBZarrIO(f"{url}/none.nwb.zarr", "r")
    assert not NWBZarrIO.can_read(f"{url}/none.nwb.zarr")


def test_a_chunk_that_may_not_be_read_is_no_fill_value(tmp_path, server, handler):
    pytest.importorskip("aiohttp")
    handler.of_what_is_missing = 403
    with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
        io.write(make_file())
    (tmp_path / "file.nwb.zarr" / "acquisition" / "ts1" / "data" / "c.0").unlink()
    data = NWBZarrIO.read_nwb(f"{server[0]}/file.nwb.zarr").acquisition["ts1"].data
    with pytest.raises(PermissionError, match=r"file\.nwb\.zarr:/acquisition/ts1/data/c\.0: .*403"):
        data[:]


# -- S3 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [None, {}, {"anon": True}, {"client_kwargs": {}}])
def test_s3_is_read_without_credentials(tmp_path, s3, handler, options):
    write_linked(tmp_path / "bucket")
    nwbfile = NWBZarrIO.read_nwb("s3://bucket/sub/file.nwb.zarr", options)
    check_linked(nwbfile, "s3://bucket", s3, "/bucket")
    assert handler.signed == []
    assert NWBZarrIO.can_read("s3://bucket/raw.nwb.zarr", options)
    assert not NWBZarrIO.can_read("s3://bucket/none.nwb.zarr", options)


@pytest.mark.parametrize("way", ["environment", "options"])
def test_who_has_credentials_for_s3_uses_them(tmp_path, s3, handler, monkeypatch, way):
    with NWBZarrIO(tmp_path / "bucket" / "file.nwb.zarr", "w") as io:
        io.write(make_file())
    options = None
    if way == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    else:
        options = {"key": "k", "secret": "s"}
    nwbfile = NWBZarrIO.read_nwb("s3://bucket/file.nwb.zarr", options)
    assert nwbfile.acquisition["ts1"].data[:].tolist() == [n + 1.0 for n in range(10)]
    assert s3
    assert handler.signed == s3


@pytest.mark.parametrize("mode", ["w", "a", "r+"])
@pytest.mark.usefixtures("s3")
def test_writing_to_s3_without_credentials_says_so(mode, tmp_path):
    with NWBZarrIO(tmp_path / "bucket" / "file.nwb.zarr", "w") as io:
        io.write(make_file())
    with pytest.raises(OptionError, match="s3://bucket/file.nwb.zarr .* no credentials"):
        with NWBZarrIO("s3://bucket/file.nwb.zarr", mode) as io:
            io.write(make_file())


# -- what cannot be opened --------------------------------------------------------------------------


def test_a_url_of_no_protocol_says_so():
    with pytest.raises(
        OptionError, match="nonsense://bucket/f.zarr is not a URL that fsspec opens"
    ):
        NWBZarrIO("nonsense://bucket/f.zarr", "r")
    assert not NWBZarrIO.can_read("nonsense://bucket/f.zarr")


def test_what_a_url_needs_is_named(monkeypatch):
    """The extra for stores on the network has no client of this cloud."""
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match=r"gcsfs.*: install them beside 'hdmf-zarr"):
        NWBZarrIO("gs://bucket/f.zarr", "r")


# -- other stores -----------------------------------------------------------------------------------


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


def test_an_icechunk_store_is_read(tmp_path):
    """Of what release 0.14 and zarr-python write there: it takes no other keys of chunks than theirs."""
    icechunk = pytest.importorskip("icechunk")
    with tarfile.open(RELEASED / "v0.14.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (path,) = tmp_path.glob("*.nwb.zarr")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repository.writable_session("main")
    bytestore = ZarrByteStore(locate(session.store), session.store)
    files = [file for file in path.rglob("*") if file.is_file()]
    # No chunk is taken before the document of its array.
    for file in sorted(files, key=lambda file: file.name != "zarr.json"):
        bytestore.set(file.relative_to(path).as_posix(), file.read_bytes())
    session.commit("a store")
    store = repository.readonly_session("main").store
    assert NWBZarrIO.can_read(store)
    with NWBZarrIO(store, "r") as io, NWBZarrIO(path, "r") as src:
        assert_builders_equal(src.read_builder(), io.read_builder())


def test_pynwb_reads_a_path(tmp_path):
    with NWBZarrIO(tmp_path / "file.nwb.zarr", "w") as io:
        io.write(make_file())
    nwbfile = read_nwb(tmp_path / "file.nwb.zarr")
    assert nwbfile.identifier == "remote"
    np.testing.assert_array_equal(nwbfile.acquisition["ts0"].data[:], np.arange(10.0))
