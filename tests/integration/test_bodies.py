"""Servers that send without end, or are busy: a bound on memory, on time, and on requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries
from zarr.storage import ObjectStore

from hdmf_zarr import NWBZarrIO, ZarrDataIO
from hdmf_zarr.errors import RemoteStoreError
from hdmf_zarr.stores import bounded
from tests.misbehaving import Server, serving

pytest.importorskip("aiohttp")

VALUES = np.arange(1000, dtype="int64")

LIMITED = """
import json, resource, sys, warnings
warnings.simplefilter("ignore")
import pynwb, aiohttp
from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.core import limits
from hdmf_zarr.errors import HDMFZarrError
client, base, options, cases = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
limits.MOST_DOCUMENT_BYTES = limits.MOST_ENCODED_TEXT_BYTES = 2**24
if client == "s3":
    import s3fs

def at(name):
    url = f"{base}/{name}.zarr"
    if client != "obstore":
        return {"path": url, "storage_options": options}
    from obstore.store import HTTPStore
    from zarr.storage import ObjectStore
    return {"path": ObjectStore(HTTPStore(url, client_options={"allow_http": True}), read_only=True)}

now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, now + 2**31))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

def read(name, selection):
    with NWBZarrIO(**at(name), mode="r") as io:
        return io.read().acquisition["raw"].data[selection]

def report(name):
    place = at(name)
    codes = {finding.code for finding in check(place.pop("path"), **place).errors}
    raise HDMFZarrError(f"findings: {sorted(codes)}")

WAYS = {"rows": slice(0, 10), "steps": slice(None, None, 7), "all": slice(None)}
for name, ways in cases:
    for way in ways.split():
        try:
            found = report(name) if way == "check" else read(name, WAYS[way])
            print(name, way, "read", found)
        except HDMFZarrError as error:
            print(name, way, type(error).__name__, repr(str(error)))
"""


def in_process(client: str, base: str, options: dict[str, Any], cases: Any) -> list[list[str]]:
    """What a process with limits on time and memory says: of each case a name, a way, an error, its text."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, client, base, json.dumps(options), json.dumps(cases)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr[-2000:])
    return [line.split(" ", 3) for line in done.stdout.splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with stores in whole chunks, in shards, and of format 2, in the folder ``bucket``."""
    for name, options, zarr_format in [
        ("chunks", {"chunks": (250,)}, 3),
        ("shards", {"chunks": (50,), "shards": (500,)}, 3),
        ("old", {"chunks": (250,)}, 2),
    ]:
        content = NWBFile("session", "an identifier", datetime(2020, 1, 1, tzinfo=UTC))
        data = ZarrDataIO(VALUES, **options)  # type: ignore[arg-type]
        content.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=1.0))
        with NWBZarrIO(tmp_path / "bucket" / f"{name}.zarr", "w", zarr_format=zarr_format) as io:
            io.write(content)
    for name, same in [("document", "chunks"), ("text", "chunks"), ("consolidated", "old")]:
        (tmp_path / f"bucket/{name}.zarr").symlink_to(tmp_path / f"bucket/{same}.zarr")
    with serving(tmp_path) as server:
        yield server


def base_of(client: str, server: Server) -> tuple[str, dict[str, Any]]:
    pytest.importorskip({"s3": "s3fs", "obstore": "obstore", "http": "aiohttp"}[client])
    return ("s3://bucket", server.s3_options) if client == "s3" else (f"{server.url}/bucket", {})


CASES = [
    ("chunks", "rows steps all check", r"chunks.*raw/data/c\.", "ChunkError"),
    ("shards", "rows", r"shards.*raw/data/c\.", "RemoteStoreError"),
    ("shards", "steps all", r"shards.*raw/data/c\.", "ChunkError"),
    ("old", "rows steps", r"old.*raw/data/0", "ChunkError"),
    ("document", "rows", r"document.zarr/zarr.json", "MetadataError"),
    ("consolidated", "rows", r"consolidated.zarr/\.zmetadata", "MetadataError"),
    ("text", "rows", r"text.*/session_description/c", "ChunkError"),
]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of Linux")
@pytest.mark.parametrize("body", ["endless", "false length"])
@pytest.mark.parametrize("client", ["http", "s3", "obstore"])
def test_a_body_without_end_is_an_error_within_limits(
    server: Server, client: str, body: Any
) -> None:
    server.bodies = {pattern: body for _, _, pattern, _ in CASES}
    said = in_process(client, *base_of(client, server), [case[:2] for case in CASES])
    expected = [
        [name, way, "HDMFZarrError" if way == "check" else error]
        for name, ways, _, error in CASES
        for way in ways.split()
    ]
    if client == "obstore" and body == "endless":  # which takes no body without a length
        expected = [
            [*one[:2], one[2] if one[1] == "check" else "RemoteStoreError"] for one in expected
        ]
    assert [one[:3] for one in said] == expected, said
    for one in said:
        assert "findings: ['" in one[3] if one[1] == "check" else one[3].count("zarr") < 9, one


# -- busy servers ----------------------------------------------------------------------------------


def first_rows(base: str, options: dict[str, Any]) -> Any:
    with NWBZarrIO(f"{base}/chunks.zarr", "r", storage_options=options) as io:
        return io.read().acquisition["raw"].data[:10]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "place", ["chunks.zarr/zarr.json", r"raw/data/c\.0", "session_description/c"]
)
def test_a_request_is_repeated_until_the_server_has_time(
    server: Server, place: str, status: int
) -> None:
    server.busy = {place: (status, 2)}
    np.testing.assert_array_equal(first_rows(*base_of("http", server)), VALUES[:10])
    assert server.asked(place) == 3


@pytest.mark.parametrize(
    "place", ["chunks.zarr/zarr.json", r"raw/data/c\.0", "session_description/c"]
)
def test_a_server_that_is_always_busy_is_an_error(server: Server, place: str) -> None:
    server.busy, start = {place: (503, 10**9)}, time.monotonic()
    with pytest.raises(RemoteStoreError, match=f"{place[-6:]}.* 503 to each of 3 tries") as found:
        first_rows(*base_of("http", server))
    assert isinstance(found.value, OSError)
    assert server.asked(place) == 3
    assert time.monotonic() - start < 120


@pytest.mark.parametrize(("told", "least"), [("1", 2), ("3600", 0.4), ("soon", 0.3)])
def test_the_server_says_when_it_has_time(
    server: Server, told: str, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told == "3600":
        monkeypatch.setattr(bounded, "LONGEST_WAIT", 0.2)
    server.busy, server.headers = {"raw/data/c.0": (503, 2)}, {"Retry-After": told}
    start = time.monotonic()
    assert len(first_rows(*base_of("http", server))) == 10
    # Far below the hour that one of them asks for, and far above what a busy machine takes.
    assert least <= time.monotonic() - start < 120


def test_other_answers_are_given_at_once(server: Server) -> None:
    server.busy = {"raw/data/c.0": (500, 10**9)}
    with pytest.raises(RemoteStoreError, match="500"):
        first_rows(*base_of("http", server))
    assert server.asked(r"raw/data/c\.0") == 1


def test_a_client_that_the_user_gives_has_its_own_tries(server: Server) -> None:
    import aiohttp

    async def get_client(**options: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(**{**options, "loop": None})

    options = {"get_client": get_client}
    server.busy = {"raw/data/c.0": (503, 10**9)}
    with pytest.raises(RemoteStoreError, match="503"):
        first_rows(base_of("http", server)[0], options)
    assert server.asked(r"raw/data/c\.0") == 1
    assert list(options.values()) == [get_client]


def test_s3_is_asked_again_by_its_own_client(server: Server) -> None:
    base, options = base_of("s3", server)
    server.busy = {"raw/data/c.0": (503, 1)}
    np.testing.assert_array_equal(first_rows(base, options), VALUES[:10])
    assert server.asked("raw/data/c.0") == 2


@pytest.mark.parametrize(("status", "mode"), [(429, "legacy"), (503, "standard"), (503, "legacy")])
def test_s3_is_asked_as_often_as_its_options_say(server: Server, status: int, mode: str) -> None:
    base, options = base_of("s3", server)
    retries = {"retries": {"mode": mode, "total_max_attempts": 2}}
    options = {**options, "config_kwargs": retries}
    before = json.dumps(options)
    server.busy = {"raw/data/c.0": (status, 10**9)}
    with pytest.raises(
        RemoteStoreError,
        match=f"c.0: the server answers {status} .*; its client has tried the last request 2 times",
    ):
        first_rows(base, options)
    assert server.asked("raw/data/c.0") == 2
    assert json.dumps(options) == before


def test_obstore_is_asked_as_often_as_its_options_say(server: Server) -> None:
    store = pytest.importorskip("obstore.store")
    retry: Any = {"max_retries": 1, "backoff": {"init_backoff": timedelta(milliseconds=10)}}
    url = f"{server.url}/bucket/chunks.zarr"
    inner = store.HTTPStore(url, client_options={"allow_http": True}, retry_config=retry)
    server.busy = {"raw/data/c.0": (503, 10**9)}
    with pytest.raises(RemoteStoreError, match=r"c\.0.*503"):
        with NWBZarrIO(ObjectStore(inner, read_only=True), "r") as io:
            io.read().acquisition["raw"].data[:10]
    assert server.asked("raw/data/c.0") == 2
