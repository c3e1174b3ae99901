"""A bucket on this machine: starts `s3_server.py`, in an environment of its own if need be.

Moto wants versions of boto3 that those of s3fs may not be. Where the interpreter of the tests does not have
``moto[server]``, one is made, once, in the folder that the environment variable ``HDMF_ZARR_MOTO`` names,
as ``tox`` does; without it the tests that need a bucket are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = "HDMF_ZARR_MOTO"
SERVER = Path(__file__).with_name("s3_server.py")
KEYS = {"key": "user", "secret": "only-of-the-tests"}


class Bucket:
    """A bucket of the server, and what the server has seen.

    Attributes
    ----------
    url : str
        Of the bucket.
    options : dict
        Storage options with which s3fs reaches it.
    """

    def __init__(self, endpoint: str, name: str = "bucket") -> None:
        import botocore.session

        self.endpoint, self.name = endpoint, name
        self.url = f"s3://{name}"
        self.options: dict[str, Any] = {**KEYS, "client_kwargs": {"endpoint_url": endpoint}}
        self.client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=KEYS["key"],
            aws_secret_access_key=KEYS["secret"],
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=name)

    def control(self, **wanted: Any) -> list[tuple[str, str]]:
        """Set rules or the delay, and return the requests since the last call."""
        request = urllib.request.Request(
            self.endpoint + "/-/control", json.dumps(wanted).encode(), method="POST"
        )
        with urllib.request.urlopen(request) as answer:
            return [tuple(seen) for seen in json.load(answer)]

    def rules(self, *rules: dict[str, Any]) -> None:
        """Refuse requests from now on: ``kind``, ``path``, ``conditional``, ``status``, ``skip``."""
        self.control(rules=list(rules))

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return everything in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {
            key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys
        }

    def clear(self) -> None:
        """Remove everything from the bucket."""
        for key in self.objects():
            self.client.delete_object(Bucket=self.name, Key=key)

    def wait_until_quiet(self) -> None:
        """Wait until what a writer has sent before it was killed has arrived."""
        time.sleep(0.5)
        while self.control():
            time.sleep(0.5)

    def put(self, key: str, value: bytes = b"a year of work") -> None:
        """Put something there that is no part of a store."""
        self.client.put_object(Bucket=self.name, Key=key, Body=value)


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """Start a server, and end it."""
    interpreter = _interpreter()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [interpreter, SERVER, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            if server.stdout.readline().strip() != "ready":
                pytest.fail("the S3 server has not started")
            yield Bucket(f"http://127.0.0.1:{port}")
        finally:
            server.terminate()


@cache
def _interpreter() -> str:
    """Return a Python that has moto; skip the test where there is none."""
    if all(importlib.util.find_spec(name) for name in ("moto", "flask", "flask_cors")):
        return sys.executable
    folder = os.environ.get(FOLDER)
    if folder is None:
        pytest.skip(f"moto[server] is not installed, and {FOLDER} names no folder for it")
    return str(_made(Path(folder)))


def _made(folder: Path) -> Path:
    """Make an environment with moto where there is none; the first of several processes does so."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    outcome = folder / "outcome"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        _wait_for(outcome)
    else:
        install = [python, "-m", "pip", "install", "--quiet", "moto[server]"]
        said = _run([sys.executable, "-m", "venv", folder]) or _run(install)
        outcome.write_text(said)
    if said := outcome.read_text():
        pytest.skip(f"moto cannot be installed: {said}")
    return python


def _run(command: list[Any]) -> str:
    """Run a command, and return what it says where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stderr.strip()[-200:] or "no reason") if done.returncode else ""


def _wait_for(path: Path) -> None:
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.5)
    pytest.fail(f"{path} was not written: remove the folder, and try again")
