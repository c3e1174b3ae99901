"""Measure writing and exporting a file of many small time series beside HDF5 and released versions.

Each way runs in a process of its own environment; building the containers and start-up are not part of the
time. Prints ratios of medians of interleaved runs to NWBHDF5IO.

Usage: python benchmarks/writing.py [--objects 2000] [--peer NAME=PYTHON ...] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from disk import set_aside, working_folder

WRITE = """
import json, sys, time
from datetime import datetime, timezone
import numpy as np
from pynwb import NWBFile, NWBHDF5IO, TimeSeries

kind, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if kind == "hdf5":
    IO, suffix = NWBHDF5IO, ".nwb"
else:
    from hdmf_zarr.nwb import NWBZarrIO as IO
    suffix = ".nwb.zarr"
nwbfile = NWBFile("benchmark", "benchmark", datetime(2024, 1, 1, tzinfo=timezone.utc))
for number in range(count):
    nwbfile.add_acquisition(TimeSeries(
        name=f"series{number}", data=np.arange(20.0) + number, unit="V", timestamps=np.arange(20.0)
    ))
started = time.perf_counter()
with IO(f"{folder}/written{suffix}", mode="w") as io:
    io.write(nwbfile)
written = time.perf_counter() - started
with IO(f"{folder}/written{suffix}", mode="r") as source:
    source.read()
    started = time.perf_counter()
    with IO(f"{folder}/exported{suffix}", mode="w") as io:
        io.export(src_io=source)
    exported = time.perf_counter() - started
print(json.dumps({"write": written, "export": exported}))
"""


def run(python: str, kind: str, count: int, folder: Path) -> dict[str, float]:
    """Write and export in an environment to a folder; return the seconds of each."""
    os.sync()
    command = [python, "-W", "ignore", "-c", WRITE, kind, str(count), str(folder)]
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # which would lead another release to these sources
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    for path in list(folder.iterdir()):
        set_aside(path)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Print a table with a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--peer-repeats", type=int, default=1, help="other releases take minutes each time"
    )
    options = parser.parse_args()
    peers = dict(peer.split("=", 1) for peer in options.peer)
    ways = {"HDF5": (sys.executable, "hdf5"), "this package": (sys.executable, "zarr")}
    ways |= {name: (python, "zarr") for name, python in peers.items()}
    times: dict[str, dict[str, list[float]]] = {name: {} for name in ways}
    with working_folder() as base:
        for number in range(options.repeats):
            for name, (python, kind) in ways.items():
                if name in peers and number >= options.peer_repeats:
                    continue
                folder = base / f"{kind}{number}"
                folder.mkdir(exist_ok=True)
                for what, seconds in run(python, kind, options.objects, folder).items():
                    times[name].setdefault(what, []).append(seconds)
    print(f"| {options.objects} time series | write | export |")
    print("|---|---|---|")
    for name in ways:
        cells = [
            statistics.median(times[name][what]) / statistics.median(times["HDF5"][what])
            for what in ("write", "export")
        ]
        print(f"| {name} | {cells[0]:.2f} | {cells[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
