"""Measure reading beside HDF5 and beside other releases of hdmf-zarr.

Each library writes its own files and reads them in a process of its own, in the environment of the Python
that is given for it. Prints tables of ratios of medians of interleaved runs: this package's time is 1.

Usage: python benchmarks/reading.py [--peer NAME=PYTHON ...] [--repeats N] [--sizes N ...] [--only PART ...]
       [--one-core]

For example ``--peer 0.13=/path/to/environment/bin/python``. Files that hold pickles need
``NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE=1`` for release 0.13, which is set for the processes of peers.
"""

from __future__ import annotations

import argparse
import gc
import http.server
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

DELAY = 0.02
"""Seconds that each request over the loopback server takes."""

CODECS = ("blosc", "gzip")
SAMPLES, CHANNELS = 400_000, 64
CHUNKS = (16_384, 64)
OURS, HDF5 = "this", "HDF5"


# -- in the process of a library -------------------------------------------------------------------


def nwbfile_of(name):
    from pynwb import NWBFile

    return NWBFile(name, name, datetime(2024, 1, 1, tzinfo=timezone.utc))  # noqa: UP017 - old releases


def make_objects(count):
    import numpy as np
    from pynwb import TimeSeries

    nwbfile = nwbfile_of("objects")
    for number in range(count):
        data = np.arange(10.0) + number
        nwbfile.add_acquisition(TimeSeries(name=f"ts{number}", data=data, unit="V", rate=1.0))
    return nwbfile


def make_tables():
    import numpy as np
    from pynwb import TimeSeries
    from pynwb.base import ImageReferences, Images
    from pynwb.image import GrayscaleImage

    nwbfile = nwbfile_of("tables")
    random = np.random.default_rng(0)
    device = nwbfile.create_device(name="probe")
    group = nwbfile.create_electrode_group(
        name="shank", description="d", location="CA1", device=device
    )
    for number in range(384):
        nwbfile.add_electrode(x=float(number), location="CA1", group=group)
    for _ in range(1000):
        nwbfile.add_unit(
            spike_times=np.sort(random.random(200)), electrodes=random.integers(0, 384, 4).tolist()
        )
    series = [
        TimeSeries(name=f"ts{number}", data=np.arange(10.0), unit="V", rate=1.0)
        for number in range(20)
    ]
    for one in series:
        nwbfile.add_acquisition(one)
    for number in range(2000):
        nwbfile.add_trial(
            start_time=number + 0.0, stop_time=number + 1.0, timeseries=[series[number % 20]]
        )
    images = [
        GrayscaleImage(name=f"image{number}", data=np.zeros((4, 4), "uint8"))
        for number in range(50)
    ]
    order = ImageReferences(
        name="order_of_images", data=[images[number % 50] for number in range(5000)]
    )
    nwbfile.add_acquisition(Images(name="images", images=images, order_of_images=order))
    return nwbfile


def recording():
    import numpy as np

    random = np.random.default_rng(0)
    common = random.normal(0, 20, (SAMPLES, 1))
    return (common + random.normal(0, 5, (SAMPLES, CHANNELS))).astype("int16")


def make_recording(library, codec):
    from pynwb import TimeSeries

    nwbfile = nwbfile_of("recording")
    data = wrapped(library, codec, recording())
    nwbfile.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=30_000.0))
    return nwbfile


def wrapped(library, codec, data):
    if library == HDF5:
        import hdf5plugin
        from hdmf.backends.hdf5 import H5DataIO

        options = {"compression": "gzip", "compression_opts": 4, "shuffle": False}
        if codec == "blosc":
            filter_ = hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)
            options = {"allow_plugin_filters": True, **h5_options(filter_)}
        return H5DataIO(data, chunks=CHUNKS, **options)
    import numcodecs
    import zarr

    from hdmf_zarr import ZarrDataIO

    if int(zarr.__version__.partition(".")[0]) < 3:
        chosen = numcodecs.Blosc("zstd", 5, 1) if codec == "blosc" else numcodecs.GZip(4)
    else:
        from zarr.codecs import BloscCodec, GzipCodec

        blosc = BloscCodec(cname="zstd", clevel=5, shuffle="shuffle", typesize=2)
        chosen = blosc if codec == "blosc" else GzipCodec(level=4)
    if library.startswith("0.14"):
        return ZarrDataIO(data, chunks=CHUNKS, compressors=[chosen])
    return ZarrDataIO(data, chunks=CHUNKS, compressor=chosen)


def h5_options(filter_):
    return {"compression": filter_.filter_id, "compression_opts": filter_.filter_options}


def io_of(library):
    if library == HDF5:
        from pynwb import NWBHDF5IO

        return NWBHDF5IO
    from hdmf_zarr import NWBZarrIO

    return NWBZarrIO


def opened(library, path):
    if library == HDF5 and path.startswith("http"):
        import fsspec
        import h5py
        from pynwb import NWBHDF5IO

        file = h5py.File(fsspec.open(path, "rb").open(), "r")
        return NWBHDF5IO(file=file, mode="r", load_namespaces=True)
    return io_of(library)(path, mode="r")


class Worker:
    """What a library is asked to do; each method returns the seconds that were measured."""

    def __init__(self, library):
        self.library = library
        self.held = {}

    def write(self, path, what, argument):
        makers = {
            "objects": make_objects,
            "tables": lambda _: make_tables(),
            "recording": lambda codec: make_recording(self.library, codec),
        }
        with io_of(self.library)(path, mode="w") as io:
            io.write(makers[what](argument))
        return 0.0

    def read(self, path):
        gc.collect()
        start = time.perf_counter()
        io = opened(self.library, path)
        io.read()
        seconds = time.perf_counter() - start
        io.close()
        return seconds

    def table(self, path, what):
        io = opened(self.library, path)
        nwbfile = io.read()
        ways = {
            "units": lambda: nwbfile.units[:],
            "electrodes": lambda: nwbfile.electrodes[:],
            "spike times, row by row": lambda: [
                nwbfile.units["spike_times"][row] for row in range(1000)
            ],
            "trials": lambda: nwbfile.trials[:],
            "order of images": lambda: nwbfile.acquisition["images"].order_of_images.data[:],
        }
        gc.collect()
        start = time.perf_counter()
        ways[what]()
        seconds = time.perf_counter() - start
        io.close()
        return seconds

    def samples(self, path, what):
        import numpy as np

        io = opened(self.library, path)
        data = io.read().acquisition["raw"].data
        starts = np.random.default_rng(1).integers(0, SAMPLES - 1000, 200).tolist()
        gc.collect()
        begun = time.perf_counter()
        if what == "full read":
            data[:]
        else:
            for start in starts:
                data[start : start + 1000, 10:20]
        seconds = time.perf_counter() - begun
        io.close()
        return seconds


def work(library):
    warnings.simplefilter("ignore")
    worker = Worker(library)
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        try:
            reply = {"seconds": getattr(worker, method)(*arguments)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)


# -- in the process that measures ------------------------------------------------------------------


class Library:
    """A library in a process of its own."""

    def __init__(self, name, python, most_repeats=math.inf):
        self.name = name
        self.most_repeats = most_repeats
        self.suffix = "nwb" if name == HDF5 else "nwb.zarr"
        environment = dict(os.environ)
        if name not in (OURS, HDF5):
            environment.pop("PYTHONPATH", None)
            environment["NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE"] = "1"
        self.process = subprocess.Popen(
            [python, __file__, "--work", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, *request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        if "error" in reply:
            print(f"{self.name}: {request}: {reply['error']}", file=sys.stderr)
            return math.nan
        return reply["seconds"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and parts of them, after a delay; writes down when."""

    protocol_version = "HTTP/1.1"
    asked: list

    def do_GET(self):
        start = time.perf_counter()
        time.sleep(DELAY)
        path = Path(self.translate_path(self.path))
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not path.is_file():
            status, content = 404, b""
        elif found:
            whole = path.read_bytes()
            first = int(found[1])
            last = int(found[2]) if found[2] else len(whole) - 1
            status, content = 206, whole[first : last + 1]
        else:
            status, content = 200, path.read_bytes()
        self.send_response(status)
        if found and status == 206:
            end = first + len(content) - 1
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(whole)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.asked.append((start, time.perf_counter()))

    def do_HEAD(self):
        start = time.perf_counter()
        time.sleep(DELAY)
        path = Path(self.translate_path(self.path))
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(path.stat().st_size if path.is_file() else 0))
        self.end_headers()
        self.asked.append((start, time.perf_counter()))

    def log_message(self, *_):
        """Stay quiet."""


def round_trips(asked):
    """How many requests came one after the other, those at the same time being one."""
    count, end = 0, -math.inf
    for start, stop in sorted(asked):
        if start >= end:
            count, end = count + 1, stop
    return count


def interleaved(libraries, repeats, ask):
    """Medians of the seconds of each library; a first round warms up."""
    seconds = {library.name: [] for library in libraries}
    for turn in range(repeats + 1):
        for library in libraries:
            if turn > library.most_repeats:
                continue
            measured = ask(library)
            if turn:
                seconds[library.name].append(measured)
    return {name: statistics.median(measured) for name, measured in seconds.items()}


def ratio(medians, name):
    value = medians[name] / medians[OURS]
    return "-" if math.isnan(value) else f"{value:.2f}"


def header(libraries, first, *more):
    names = [library.name for library in libraries if library.name != OURS]
    titles = [first, *(f"{name} / this" for name in names), *more]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles), flush=True)
    return names


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def measure_open(libraries, folder, repeats, sizes):
    names = header(libraries, "open and read, objects")
    ours = {}
    for size in sizes:
        paths = write(libraries, folder, f"objects{size}", "objects", size)
        medians = interleaved(libraries, repeats, lambda lib, p=paths: lib.ask("read", p[lib.name]))
        ours[size] = medians[OURS]
        row(size, *(ratio(medians, name) for name in names))
    if len(sizes) > 1:
        first, last = sizes[0], sizes[-1]
        # Between the two largest: what a file costs whatever is in it hides the growth of small ones.
        before = sizes[-2]
        exponent = math.log(ours[last] / ours[before]) / math.log(last / before)
        print(f"\nThe time grows with the number of objects to the power of {exponent:.2f}.\n")
        assert first <= last


def measure_remote(libraries, folder, repeats, size):
    names = header(libraries, f"{size} objects, 20 ms a request", *(f"{OURS}, requests",))
    paths = write(libraries, folder, f"objects{size}", "objects", size)
    handler = type("Counting", (Handler,), {"asked": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    counts = {}

    def read(library):
        handler.asked.clear()
        url = f"{base}/{Path(paths[library.name]).name}"
        seconds = library.ask("read", url)
        counts[library.name] = (len(handler.asked), round_trips(handler.asked))
        return seconds

    medians = interleaved(libraries, repeats, read)
    row("open and read", *(ratio(medians, name) for name in names), counts[OURS][0])
    row("requests", *(counts[name][0] for name in names), counts[OURS][0])
    row("round trips", *(counts[name][1] for name in names), counts[OURS][1])
    server.shutdown()


def measure_tables(libraries, folder, repeats):
    names = header(libraries, "table")
    paths = write(libraries, folder, "tables", "tables", None)
    for what in ("units", "electrodes", "spike times, row by row", "trials", "order of images"):
        medians = interleaved(
            libraries, repeats, lambda lib, w=what: lib.ask("table", paths[lib.name], w)
        )
        row(what, *(ratio(medians, name) for name in names))


def measure_recording(libraries, folder, repeats):
    names = header(libraries, "recording")
    for codec in CODECS:
        paths = write(libraries, folder, f"recording-{codec}", "recording", codec)
        for what in ("200 random slices", "full read"):
            medians = interleaved(
                libraries, repeats, lambda lib, w=what, p=paths: lib.ask("samples", p[lib.name], w)
            )
            row(f"{codec}, {what}", *(ratio(medians, name) for name in names))


def write(libraries, folder, stem, what, argument):
    paths = {}
    for library in libraries:
        number = libraries.index(library)
        path = paths[library.name] = str(folder / f"{stem}-{number}.{library.suffix}")
        if not Path(path).exists():
            library.ask("write", path, what, argument)
    return paths


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--peer-repeats", type=int, help="at most, since other releases may take minutes each time"
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 1000, 5000])
    parts = ["open", "remote", "tables", "recording"]
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    parser.add_argument("--one-core", action="store_true", help="where the system can do that")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.work:
        work(options.work)
        return
    peers = [peer.partition("=") for peer in options.peer]
    libraries = [Library(name, sys.executable) for name in (OURS, HDF5)]
    most = options.repeats if options.peer_repeats is None else options.peer_repeats
    libraries += [Library(name, python, most) for name, _, python in peers]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measures = {
            "open": lambda: measure_open(libraries, folder, options.repeats, options.sizes),
            "remote": lambda: measure_remote(libraries, folder, options.repeats, options.sizes[0]),
            "tables": lambda: measure_tables(libraries, folder, options.repeats),
            "recording": lambda: measure_recording(libraries, folder, options.repeats),
        }
        for part in options.only:
            measures[part]()
            print()


if __name__ == "__main__":
    main()
