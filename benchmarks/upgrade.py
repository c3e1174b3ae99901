"""Measure the upgrade from Zarr format 2 to 3 beside ``cp -r``.

Makes stores of format 2 whose bytes are 99% chunks of numbers, and upgrades them: to another folder, with
hard links, and in place (of a copy that is made outside of the time). Prints ratios of medians to
``cp -r`` of the same store, measured interleaved in one run, and the peak of memory that the upgrade adds.

Usage: python benchmarks/upgrade.py [MEGABYTES ...]
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from disk import set_aside, working_folder
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrDataIO
from hdmf_zarr.transfer.upgrading import upgrade

REPEATS = 7
CHANNELS = 256


def make_store(path: Path, megabytes: int) -> None:
    """Write a file with a recording of a size, uncompressed, and the usual metadata."""
    nwbfile = NWBFile("benchmark", "benchmark", datetime(2024, 1, 1, tzinfo=UTC))
    samples = megabytes * 1_000_000 // (2 * CHANNELS)
    data = np.random.default_rng(0).integers(-200, 200, (samples, CHANNELS), dtype=np.int16)
    wrapped = ZarrDataIO(data, compressor=False)
    nwbfile.add_acquisition(TimeSeries(name="raw", data=wrapped, unit="V", rate=30_000.0))
    for trial in range(100):
        nwbfile.add_trial(start_time=float(trial), stop_time=trial + 0.5)
    with NWBZarrIO(path, "w", zarr_format=2) as io:
        io.write(nwbfile)


def main() -> None:
    """Print a table with a row for each size."""
    sizes = [int(size) for size in sys.argv[1:]] or [50, 200, 800]
    print("| store | files | bytes in chunks | copy | `--link` | in place | memory added |")
    print("|---|---|---|---|---|---|---|")
    for megabytes in sizes:
        with working_folder() as folder:
            print(measure(folder, megabytes), flush=True)


def measure(folder: Path, megabytes: int) -> str:
    """Return the row of a size."""
    store, target = folder / "old.nwb.zarr", folder / "new.nwb.zarr"
    make_store(store, megabytes)
    ways: dict[str, Callable[[], object]] = {
        "cp": lambda: subprocess.run(["cp", "-r", store, target], check=True),
        "copy": lambda: upgrade(store, target),
        "link": lambda: upgrade(store, target, way="link"),
        "in place": lambda: upgrade(target),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(REPEATS):
        for name, run in ways.items():
            set_aside(target)
            if name == "in place":
                shutil.copytree(store, target)
            os.sync()
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    base = statistics.median(times["cp"])
    copy, link, in_place = (
        statistics.median(times[n]) / base for n in ("copy", "link", "in place")
    )
    sizes = {path: path.stat().st_size for path in store.rglob("*") if path.is_file()}
    in_chunks = sum(size for path, size in sizes.items() if is_chunk_of_numbers(store, path))
    share = in_chunks / sum(sizes.values())
    return (
        f"| {megabytes} MB | {len(sizes)} | {share:.1%} | {copy:.2f} | {link:.2f} | {in_place:.2f} "
        f"| {added:.0f} MB |"
    )


def is_chunk_of_numbers(store: Path, path: Path) -> bool:
    """Whether a file is neither metadata nor a specification."""
    return not path.name.startswith(".") and "specifications" not in path.relative_to(store).parts


if __name__ == "__main__":
    main()
