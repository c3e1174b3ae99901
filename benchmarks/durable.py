"""What a durable write costs: ratios of medians of interleaved writes of many small objects.

As builders, and as the time series of an NWB file, which HDMF turns into builders first.

Run with ``python benchmarks/durable.py --objects 2000 --runs 7``, on the disk that is of interest
(``--folder``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from disk import working_folder
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrIO
from hdmf_zarr.core import system


def builder(n_objects: int) -> GroupBuilder:
    """Groups of one array each."""
    root = GroupBuilder("root")
    for index in range(n_objects // 2):
        group = GroupBuilder(f"group{index}")
        group.set_dataset(DatasetBuilder("data", np.arange(100.0) + index))
        root.set_group(group)
    return root


def nwbfile(n_objects: int) -> NWBFile:
    """A file of time series."""
    made = NWBFile("benchmark", "benchmark", datetime(2024, 1, 1, tzinfo=UTC))
    for index in range(n_objects):
        data = np.arange(100.0) + index
        made.add_acquisition(TimeSeries(name=f"series{index}", data=data, unit="V", rate=1000.0))
    return made


def write_builder(path: Path, n_objects: int, *, durable: bool) -> float:
    """Write builders, and return the seconds that it took."""
    root = builder(n_objects)
    os.sync()  # what others have written is not part of the time
    with ZarrIO(path, "w", get_manager()) as io:
        started = time.perf_counter()
        io.write_builder(root, durable=durable)
        return time.perf_counter() - started


def write_nwb(path: Path, n_objects: int, *, durable: bool) -> float:
    """Write an NWB file, and return the seconds that it took."""
    made = nwbfile(n_objects)
    os.sync()
    with NWBZarrIO(path, "w") as io:
        started = time.perf_counter()
        io.write(made, durable=durable)
        return time.perf_counter() - started


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    ways = ("plain", "syncfs", "fsync")
    medians = {write: measured(write, options, ways) for write in (write_nwb, write_builder)}
    print(f"| {options.objects} objects, to a write that is not durable | NWB file | builders |")
    print("|---|---|---|")
    for way in ways[1:]:
        ratios = (median[way] / median["plain"] for median in medians.values())
        cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| one `{way}`{' a file' if way == 'fsync' else ''} | {cells} |")


def measured(
    write: Callable[..., float], options: argparse.Namespace, ways: Sequence[str]
) -> dict[str, float]:
    """Return the median of each way of a write; the first round warms up."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    with_syncfs = system._sync_file_system
    with working_folder(options.folder) as folder:
        for number in range(options.runs + 1):
            for way, times in found.items():
                system._sync_file_system = with_syncfs if way != "fsync" else lambda _folder: False
                path = folder / f"{way}{number}.zarr"
                seconds = write(path, options.objects, durable=way != "plain")
                if number:
                    times.append(seconds)
    system._sync_file_system = with_syncfs
    return {way: statistics.median(times) for way, times in found.items()}


if __name__ == "__main__":
    main()
