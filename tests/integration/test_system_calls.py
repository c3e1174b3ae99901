"""Single calls of the system fail, or kill the process: `benchmarks/system_calls.py`, at some places."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "system_calls.py"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    ("operation", "every"),
    [
        ("row", 100),
        ("wide row", 200),
        ("array", 100),
        ("replace", 200),
        ("upgrade", 200),
        ("repair", 200),
    ],
)
def test_the_old_or_the_new_state_is_left(operation: str, every: int, tmp_path: Path) -> None:
    arguments = ["--every", str(every), "--operations", operation]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    if "strace cannot be used" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    for zarr_format in (2,) if operation == "upgrade" else (2, 3):
        assert f"{operation}, format {zarr_format}: " in done.stdout
    assert "killed: right" in done.stdout
    assert "done: right" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(", 0 wrong")
