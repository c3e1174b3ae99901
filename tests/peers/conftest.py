"""Environments with released versions of hdmf-zarr, which only subprocesses run.

They are made, once, in the folder that the environment variable ``HDMF_ZARR_PEERS`` names (``tox -e
peers`` does that), each with the name of its version; one that is there already is used as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = "HDMF_ZARR_PEERS"
MINIMAL_PYTHON = {"0.14.0": (3, 12)}
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Peer:
    """An interpreter that has a released version."""

    python: Path

    def run(self, script: str, *arguments: Any) -> str:
        """Run a script of this folder, and return what it prints.

        A failure shows the last line that the script has said, which names the error.
        """
        done = subprocess.run(
            [self.python, "-W", "ignore", "-m", f"tests.peers.{script}", *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing"]
            pytest.fail(f"{script} {arguments} in {self.python}: {said[-1]}", pytrace=False)
        return done.stdout

    def describe(self, path: Path, mode: str, folder: Path) -> dict[str, Any]:
        """Return what it reads from a store."""
        output = folder / "described.json"
        self.run("describe", path, mode, output)
        described: dict[str, Any] = json.loads(output.read_text())
        return described


def _interpreter(minimal: tuple[int, int]) -> str | None:
    """Return a Python that a released version runs on."""
    if sys.version_info[:2] >= minimal:
        return sys.executable
    found = (shutil.which(f"python3.{minor}") for minor in range(13, minimal[1] - 1, -1))
    return next((name for name in found if name is not None and _runs(name)), None)


def _runs(interpreter: str) -> bool:
    """Whether it is one: a shim on the path may lead to nothing."""
    done = subprocess.run([interpreter, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0


def _python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _make(environment: Path, version: str) -> str | None:
    """Make an environment, and return None, or why there is none."""
    interpreter = _interpreter(MINIMAL_PYTHON[version])
    if interpreter is None:
        return f"no Python {'.'.join(map(str, MINIMAL_PYTHON[version]))} or later was found"
    install = ["-m", "pip", "install", "--quiet", f"hdmf-zarr=={version}"]
    for command in ([interpreter, "-m", "venv", environment], [_python_of(environment), *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(environment, ignore_errors=True)
            said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
            return f"{command[2]} has failed: {said[-1]}"
    return None


@pytest.fixture(scope="session", params=MINIMAL_PYTHON)
def peer(request: pytest.FixtureRequest) -> Peer:
    """An environment for each of the versions."""
    version = request.param
    folder = os.environ.get(FOLDER)
    if folder is None:
        pytest.skip(f"needs an environment with hdmf-zarr {version}: tox -e peers makes it")
    environment = Path(folder) / version
    if not _python_of(environment).exists():
        reason = _make(environment, version)
        if reason is not None:
            pytest.skip(f"no environment with hdmf-zarr {version}: {reason}")
    return Peer(_python_of(environment))
