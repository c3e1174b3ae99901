"""The soak of `benchmarks/soak.py`, for a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["kill", "--times", "7"], ["append: whole: 1", "export: whole: 1", "repair: whole: 1"]),
        (["fuzz", "--inputs", "500"], ["500 inputs"]),
        (["readers", "--seconds", "2"], ["format 2, read_twice: is of one", "format 3, export: "]),
        (["writers", "--seconds", "2"], ["format 2: {'", "format 3: {'", "'committed': "]),
    ],
    ids=["kill", "fuzz", "readers", "writers"],
)
def test_nothing_is_wrong(arguments: list[str], expected: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SOAK), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    for line in expected:
        assert line in done.stdout
