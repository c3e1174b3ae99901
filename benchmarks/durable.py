"""What a durable write costs: ratios of medians of interleaved writes of many small objects.

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
from pathlib import Path

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager

from hdmf_zarr import ZarrIO
from hdmf_zarr.stores import system


def builder(n_objects: int) -> GroupBuilder:
    """Groups of one array each."""
    root = GroupBuilder("root")
    for index in range(n_objects // 2):
        group = GroupBuilder(f"group{index}")
        group.set_dataset(DatasetBuilder("data", np.arange(100.0) + index))
        root.set_group(group)
    return root


def write(path: Path, n_objects: int, *, durable: bool) -> float:
    """Write a file, and return the seconds that it took."""
    root = builder(n_objects)
    os.sync()  # what others have written is not part of the time
    with ZarrIO(path, "w", get_manager()) as io:
        started = time.perf_counter()
        io.write_builder(root, durable=durable)
        return time.perf_counter() - started


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, list[float]] = {"plain": [], "syncfs": [], "fsync": []}
    with_syncfs = system._sync_file_system
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(options.runs + 1):
            for way, times in found.items():
                system._sync_file_system = with_syncfs if way != "fsync" else lambda _folder: False
                seconds = write(
                    Path(folder, f"{way}{number}.zarr"), options.objects, durable=way != "plain"
                )
                if number:
                    times.append(seconds)
    plain = statistics.median(found["plain"])
    print(f"| {options.objects} objects | time of a write, to one that is not durable |")
    print("|---|---|")
    for way in ("syncfs", "fsync"):
        print(
            f"| one `{way}`{' a file' if way == 'fsync' else ''} "
            f"| {statistics.median(found[way]) / plain:.2f} |"
        )


if __name__ == "__main__":
    main()
