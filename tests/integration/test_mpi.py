"""The recipe for MPI: one process hands tasks out, the others write."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from hdmf_zarr import NWBZarrIO

MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")

pytestmark = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and mpiexec",
)

SCRIPT = """
    import os, sys
    from datetime import datetime, timezone
    import numpy as np
    from mpi4py.futures import MPIPoolExecutor
    from pynwb import NWBFile, TimeSeries
    from hdmf_zarr import NWBZarrIO
    from tests.iterators import {kind}

    if __name__ == "__main__":
        data = {kind}(np.zeros((400, 2), dtype=np.int64), buffer_shape=(10, 2), chunk_shape=(10, 2))
        nwbfile = NWBFile("d", "i", datetime(2024, 1, 1, tzinfo=timezone.utc))
        nwbfile.add_acquisition(TimeSeries(name="ts", data=data, unit="V", rate=1.0))
        print(os.getpid(), flush=True)
        with MPIPoolExecutor() as executor, NWBZarrIO(sys.argv[1], "w") as io:
            io.write(nwbfile, executor=executor, max_threads_per_process=1)
"""


def run(folder: Path, kind: str) -> subprocess.CompletedProcess[str]:
    script = folder / "write.py"
    script.write_text(textwrap.dedent(SCRIPT.format(kind=kind)))
    command = [sys.executable, "-m", "mpi4py.futures", str(script), str(folder / "f.nwb.zarr")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [MPIEXEC, "-n", "3", *command],
        capture_output=True,
        text=True,
        timeout=180,
        env=environment,
    )


def test_the_processes_of_mpi_write(tmp_path):
    done = run(tmp_path, "SeveralWhereWritten")
    assert done.returncode == 0, done.stderr
    assert "one process" not in done.stderr
    with NWBZarrIO(tmp_path / "f.nwb.zarr", "r") as io:
        writers = set(np.unique(io.read().acquisition["ts"].data[:]).tolist())
    assert len(writers) == 2
    assert int(done.stdout) not in writers


@pytest.mark.parametrize(("kind", "what"), [("Failing", "amplifier is off"), ("Killed", "")])
def test_a_process_of_mpi_that_fails_or_is_killed_leaves_no_store(tmp_path, kind, what):
    done = run(tmp_path, kind)
    assert done.returncode != 0
    assert what in done.stderr
    assert not (tmp_path / "f.nwb.zarr").exists()
