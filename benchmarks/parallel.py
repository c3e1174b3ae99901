"""Measure writing with one job and with two, beside released versions of hdmf-zarr.

An iterator gives an ``int16`` recording of 64 channels in buffers of whole chunks of 4 MB, which zstd of
level 9 encodes. Each run is a process of its own; its time is that of ``write``, workers' start included.
Prints ratios of medians of interleaved runs; what two programs that share nothing gain, which is the most
that the machine can give at the time; and the memory that parent and workers add to that of a small write.

Usage: python benchmarks/parallel.py [--megabytes 256] [--peer NAME=PYTHON ...] [--repeats 5]
       [--only times|memory]
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

CHANNELS = 64
CHUNK_ROWS = 32_768
CHUNK_BYTES = CHUNK_ROWS * CHANNELS * 2

SCRIPT = '''
import json, os, sys, threading, time
from datetime import datetime, timezone
import numpy as np
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries
from hdmf_zarr import NWBZarrIO, ZarrDataIO

CHUNK = ({rows}, {channels})


class Recording(GenericDataChunkIterator):
    def __init__(self, rows, buffer_shape, chunk_shape):
        self.rows = rows
        generator = np.random.default_rng(0)
        walk = generator.normal(0, 30, CHUNK).cumsum(axis=0) % 1000
        self.tile = walk.astype(np.int16)
        super().__init__(buffer_shape=buffer_shape, chunk_shape=chunk_shape)

    def _get_data(self, selection):
        rows, columns = selection
        return np.resize(self.tile[:, columns], (rows.stop - rows.start, self.tile.shape[1]))

    def _get_maxshape(self):
        return (self.rows, CHUNK[1])

    def _get_dtype(self):
        return np.dtype("int16")

    def _to_dict(self):
        shapes = dict(buffer_shape=self.buffer_shape, chunk_shape=self.chunk_shape)
        return dict(rows=self.rows, **shapes)

    @staticmethod
    def _from_dict(dictionary):
        return Recording(**dictionary)


def compressed(data, chunks, level, shards):
    from importlib.metadata import version
    import numcodecs
    more = dict(shards=shards) if shards else dict()
    if version("hdmf-zarr").startswith("0.14"):
        from zarr.codecs import ZstdCodec
        return ZarrDataIO(data, chunks=chunks, compressors=[ZstdCodec(level=level)], **more)
    return ZarrDataIO(data, chunks=chunks, compressor=numcodecs.Zstd(level), **more)


def processes():
    """This process and what it has started, with what has started that."""
    parents = dict()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{{entry}}/stat") as file:
                    parents[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def watch(stop, peaks):
    while not stop.wait(0.05):
        for pid in processes():
            try:
                with open(f"/proc/{{pid}}/status") as file:
                    lines = [line.split() for line in file]
            except OSError:
                continue
            peaks[pid] = max([int(line[1]) for line in lines if line[0] == "VmHWM:"], default=0)


def main():
    target, options = sys.argv[1], json.loads(sys.argv[2])
    nwbfile = NWBFile("benchmark", "benchmark", datetime(2024, 1, 1, tzinfo=timezone.utc))
    rows = options["chunks"] * CHUNK[0]
    data = Recording(rows, (options["buffer"] * CHUNK[0], CHUNK[1]), CHUNK)
    shards = (options["shard"] * CHUNK[0], CHUNK[1]) if options["shard"] > 1 else None
    data = compressed(data, CHUNK, options["level"], shards)
    nwbfile.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=30_000.0))
    stop, peaks = threading.Event(), dict()
    watcher = threading.Thread(target=watch, args=(stop, peaks), daemon=True)
    if options["watch"]:
        watcher.start()
    started = time.perf_counter()
    with NWBZarrIO(target, mode="w") as io:
        # A limit for the workers; the one job of a single process is left as a user has it.
        limit = dict(max_threads_per_process=1) if options["jobs"] > 1 else dict()
        io.write(nwbfile, number_of_jobs=options["jobs"], **limit)
    wall = time.perf_counter() - started
    stop.set()
    mine = os.getpid()
    print(json.dumps(dict(
        wall=wall,
        parent=peaks.get(mine, 0) / 1024,
        workers=sorted(peak / 1024 for pid, peak in peaks.items() if pid != mine),
    )))


if __name__ == "__main__":
    main()
'''


def start(
    python: str, folder: Path, name: str = "written", **options: int
) -> subprocess.Popen[str]:
    """Start to write with the version of an interpreter."""
    script = folder / "write.py"
    script.write_text(SCRIPT.format(rows=CHUNK_ROWS, channels=CHANNELS))
    target = folder / f"{name}.nwb.zarr"
    set_aside(target)
    settings = {"level": 9, "shard": 1, "watch": 0, "buffer": 1, **options}
    command = [python, "-W", "ignore", str(script), str(target), json.dumps(settings)]
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def result_of(process: subprocess.Popen[str]) -> dict[str, object]:
    """Wait for a process and return what it measured."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} failed")
    result: dict[str, object] = json.loads(output.splitlines()[-1])
    return result


def run(python: str, folder: Path, **options: int) -> dict[str, object]:
    """Write with the version of an interpreter."""
    return result_of(start(python, folder, **options))


def apart(python: str, folder: Path, chunks: int) -> float:
    """Write two halves as two programs that know nothing of each other: what two cores can give."""
    halves = [start(python, folder, f"half{i}", chunks=chunks // 2, jobs=1) for i in range(2)]
    return max(float(str(result_of(half)["wall"])) for half in halves)


def times(peers: dict[str, str], folder: Path, chunks: int, repeats: int) -> None:
    """Print how long each version takes with one job and with two."""
    pythons = {"this version": sys.executable, **peers}
    ways = [(name, jobs) for name in pythons for jobs in (1, 2)]
    walls: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    halves: list[float] = []
    for _ in range(repeats):
        for name, jobs in ways:
            measured = run(pythons[name], folder, chunks=chunks, jobs=jobs)
            walls[name, jobs].append(float(str(measured["wall"])))
        halves.append(apart(sys.executable, folder, chunks))
    median = {way: statistics.median(values) for way, values in walls.items()}
    print(
        "| version | jobs | time, to one job of this version | to its own one job | ours is faster by |"
    )
    print("|---|---|---|---|---|")
    for name, jobs in ways:
        here = median[name, jobs]
        print(
            f"| {name} | {jobs} | {here / median['this version', 1]:.2f} "
            f"| {here / median[name, 1]:.2f} | {here / median['this version', jobs]:.2f} |"
        )

    ceiling = statistics.median(halves) / median["this version", 1]
    print(f"Two programs with half of the data each take {ceiling:.2f} of the time of one.\n")


def memory(folder: Path, chunks: int) -> None:
    """Print the memory that two workers and their parent add, beside the bound."""
    print(
        "| buffer | unit | parent adds | a worker adds | bound of a worker (2 buffers + 1 unit) |"
    )
    print("|---|---|---|---|---|")
    for buffer, shard in ((1, 1), (8, 1), (1, 8), (8, 8), (3, 8)):
        small = run(sys.executable, folder, chunks=2, jobs=2, level=1, watch=1)
        large = run(
            sys.executable,
            folder,
            chunks=chunks,
            jobs=2,
            level=1,
            buffer=buffer,
            shard=shard,
            watch=1,
        )
        base, peak = ([float(p) for p in r["workers"]] for r in (small, large))  # type: ignore[attr-defined]
        parent = float(str(large["parent"])) - float(str(small["parent"]))
        unit = CHUNK_BYTES / 1024**2
        print(
            f"| {buffer * unit:.0f} MB | {shard * unit:.0f} MB | {parent:.0f} MB "
            f"| {max(peak) - max(base) + unit:.0f} MB | {(2 * buffer + shard) * unit:.0f} MB |"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["times", "memory"])
    options = parser.parse_args()
    chunks = max(8, options.megabytes * 1_000_000 // CHUNK_BYTES)
    with working_folder() as folder:
        os.sync()
        if options.only != "memory":
            peers = dict(p.split("=", 1) for p in options.peer)
            times(peers, folder, chunks, options.repeats)
        if options.only != "times":
            # So much that the workers write most of it, and not the parent while they start.
            memory(folder, max(chunks, 300))


if __name__ == "__main__":
    main()
