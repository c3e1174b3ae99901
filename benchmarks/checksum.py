"""Measure what the checksum of each chunk costs: writing and reading a recording with and without.

Prints ratios of medians of interleaved runs to the same without checksums.

Usage: python benchmarks/checksum.py [--megabytes 200] [--repeats 5]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrDataIO, ZarrIO

CHANNELS = 64
CHUNK = (32_768, CHANNELS)


def measure(path: Path, data: Any, options: dict[str, Any]) -> dict[str, float]:
    """Write and read once; return the seconds of each."""
    shutil.rmtree(path, ignore_errors=True)
    wrapped = ZarrDataIO(data, chunks=CHUNK, **options)
    root = GroupBuilder(
        "root", datasets=[DatasetBuilder("data", wrapped)], attributes={"data_type": "Root"}
    )
    started = time.perf_counter()
    with ZarrIO(path, "w") as io:
        io.write_builder(root, durable=False)
    written = time.perf_counter()
    with ZarrIO(path, "r") as io:
        io.read_builder()["data"].data[...]
    return {"write": written - started, "read": time.perf_counter() - written}


def main() -> None:
    """Print a table with a row for each codec."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = options.megabytes * 1_000_000 // (2 * CHANNELS)
    walk = np.random.default_rng(0).normal(0, 30, (rows, CHANNELS)).cumsum(axis=0) % 1000
    data = walk.astype(np.int16)
    print("| codec | write | read |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, compressor in (("default", True), ("none", False)):
            times: dict[tuple[str, bool], list[float]] = {}
            for _ in range(options.repeats):
                for checksum in (False, True):
                    asked = {"compressor": compressor, "checksum": checksum}
                    for what, seconds in measure(Path(folder, "a.zarr"), data, asked).items():
                        times.setdefault((what, checksum), []).append(seconds)
            median = {key: statistics.median(values) for key, values in times.items()}
            write, read = (median[w, True] / median[w, False] for w in ("write", "read"))
            print(f"| {name} | {write:.2f} | {read:.2f} |", flush=True)


if __name__ == "__main__":
    main()
