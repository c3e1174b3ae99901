"""Measure HDF5 -> Zarr beside ``cp`` and beside released versions of hdmf-zarr.

Makes NWB files with an ``int16`` recording of 64 channels in gzip+shuffle chunks, in two sizes, and
converts them: chunk by chunk, the same with each chunk decoded to see that it can be, in shards, with the
released versions whose interpreters are named. The time per byte is the slope between the sizes, so that
start-up drops out. Prints ratios of medians, measured interleaved in one run, and the peak of memory that
the larger size adds to the smaller one.

Usage: python benchmarks/convert.py [--sizes 50 250] [--peer NAME=PYTHON ...] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from disk import set_aside, working_folder
from hdmf.backends.hdf5.h5_utils import H5DataIO
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

CHANNELS = 64
CHUNK = (15_625, CHANNELS)
MEGABYTE = 1_000_000

EXPORT = """
import json, sys, time

def peak():
    # Of this process alone; getrusage has what the parent had, too.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

from pynwb import NWBHDF5IO
from hdmf_zarr.nwb import NWBZarrIO
import hdmf_zarr
source, target, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with NWBHDF5IO(source, "r") as src_io:
    src_io.read()
    before = peak()
    started = time.perf_counter()
    with NWBZarrIO(target, mode="w") as io:
        io.export(src_io=src_io, write_args={"link_data": False}, **options)
    seconds = time.perf_counter() - started
added = peak() - before
print(json.dumps({"seconds": seconds, "added": added / 1024}))
"""
"""Runs in the environment of each version; start-up is not part of the time."""


def make_file(path: Path, megabytes: int) -> None:
    """Write a recording of a size, compressed as HDF5 files of recordings usually are."""
    rows = megabytes * MEGABYTE // (2 * CHANNELS)
    generator = np.random.default_rng(0)
    walk = generator.normal(0, 30, (min(rows, 200_000), CHANNELS)).cumsum(axis=0) % 1000
    data = np.resize(walk.astype(np.int16), (rows, CHANNELS))
    nwbfile = NWBFile("benchmark", "benchmark", datetime(2024, 1, 1, tzinfo=UTC))
    wrapped = H5DataIO(data, compression="gzip", shuffle=True, chunks=CHUNK)
    nwbfile.add_acquisition(TimeSeries(name="raw", data=wrapped, unit="V", rate=30_000.0))
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)


def export(python: str, source: Path, target: Path, **options: object) -> dict[str, float]:
    """Export with the version of an interpreter; return the seconds and the megabytes added."""
    command = [python, "-W", "ignore", "-c", EXPORT, str(source), str(target), json.dumps(options)]
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # which would lead another release to these sources
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


COPY = """
import sys, time, subprocess
started = time.perf_counter()
subprocess.run(["cp", sys.argv[1], sys.argv[2]], check=True)
print(time.perf_counter() - started)
"""


def copy(source: Path, target: Path) -> dict[str, float]:
    """Copy the file with ``cp``."""
    command = [sys.executable, "-c", COPY, str(source), str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"seconds": float(done.stdout), "added": 0.0}


def main() -> None:
    """Print a table with a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs=2, type=int, default=[50, 250], metavar="MB")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    peers = dict(peer.split("=", 1) for peer in options.peer)
    with working_folder() as base:
        ways = {
            "cp": copy,
            "chunk by chunk": lambda s, t: export(sys.executable, s, t),
            "chunk by chunk, verified": lambda s, t: export(sys.executable, s, t, verify=True),
            "in shards": lambda s, t: export(sys.executable, s, t, shards="auto"),
            **{
                name: (lambda s, t, python=python: export(python, s, t))
                for name, python in peers.items()
            },
        }
        times: dict[tuple[str, int], list[float]] = {}
        added: dict[tuple[str, int], float] = {}
        for size in options.sizes:
            make_file(base / f"{size}.nwb", size)
        for _ in range(options.repeats):
            for name, way in ways.items():
                for size in options.sizes:
                    target = base / ("copy.nwb" if name == "cp" else "copy.nwb.zarr")
                    set_aside(target)
                    os.sync()
                    measured = way(base / f"{size}.nwb", target)
                    times.setdefault((name, size), []).append(measured["seconds"])
                    added[name, size] = max(added.get((name, size), 0.0), measured["added"])
        small, large = options.sizes
        median = {key: statistics.median(values) for key, values in times.items()}
        slope = {name: median[name, large] - median[name, small] for name in ways}
        print("| way | time per byte, to `cp` | whole export, ours is faster by | memory added |")
        print("|---|---|---|---|")
        for name in ways:
            ratio = slope[name] / slope["cp"]
            faster = median[name, large] / median["chunk by chunk", large]
            print(f"| {name} | {ratio:.2f} | {faster:.2f} | {added[name, large]:.0f} MB |")


if __name__ == "__main__":
    main()
