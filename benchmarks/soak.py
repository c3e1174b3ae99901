"""Kill writers at random moments, and read stores with random damage; print what came of it.

Run with::

    python benchmarks/soak.py kill --times 300
    python benchmarks/soak.py interrupt --times 300
    python benchmarks/soak.py fuzz --inputs 20000
    python benchmarks/soak.py readers --seconds 60
    python benchmarks/soak.py writers --seconds 60

``kill`` starts a process that writes, appends, upgrades, exports, converts or repairs, ends it with SIGKILL
after a random time, and then asks a fresh process whether the store is whole: every value is of one write,
``check`` finds nothing but notes and leftovers, and the next writer leaves nothing behind. ``interrupt`` does
so with one or several SIGINTs, of which each is a KeyboardInterrupt wherever the process is. ``fuzz`` changes
bytes of one object of a store and reads everything: only errors of this package and of zarr may come out,
within the time and memory that are allowed. ``readers`` reads, exports and upgrades a store again and again
while a process replaces it and adds to it: what comes of it is of one store, or an error says that the store
has changed. ``writers`` has three processes add rows to one store without pause: they commit, forget
to close, open it again, keep an old view, or kill themselves; every row that was committed is there at the
end, in one piece, and no other one. POSIX only: each trial is a forked process. Exits with 1 where anything
is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from hdmf.backends.hdf5 import HDF5IO
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.common import get_manager
from zarr.errors import BaseZarrError

from hdmf_zarr import ZarrDataIO, ZarrIO, check
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import HDMFZarrError, LockedError
from hdmf_zarr.transactions.lock import leftovers_beside, remove_beside
from hdmf_zarr.transfer.upgrading import upgrade

ARRAYS, ROWS = 30, 64


def tree(value: float, name: str = "group") -> GroupBuilder:
    """A group of arrays that all hold one value."""
    group = GroupBuilder(name, attributes={"value": value})
    for index in range(ARRAYS):
        data = np.full(ROWS, value)
        group.set_dataset(DatasetBuilder(f"array{index}", data, attributes={"value": value}))
    return group


def root_of(value: float) -> GroupBuilder:
    """A file whose every value is the same."""
    root = GroupBuilder("root", attributes={"value": value})
    root.set_group(tree(value))
    return root


def write(path: Path, value: float, zarr_format: int = 3) -> None:
    """Write a file in which every value is the same."""
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root_of(value))


def append(path: Path, value: float) -> None:
    """Add a group of that name, and rows to an array, in one commit."""
    with ZarrIO(path, "r+", get_manager()) as io:
        array = io.read_builder()["group"]["array0"].data
        array.append(np.full(7, array[0]))
        io.write_group("", tree(value, f"added{value:g}"))
        array.append(np.full(200, array[0]))


def left_of(by_pieces: bool) -> set[str]:  # noqa: FBT001
    """Codes of what may be left; who was interrupted may have a thread that stores one more chunk."""
    return {"leftover", "stale-chunk"} if by_pieces else {"leftover"}


def verify(path: Path, *, by_pieces: bool = False) -> str:
    """Return what a store holds, in words; raise where it is not whole.

    An append that an error ends, not the system, keeps its pieces that were done: rows, a group, more rows.
    """
    with ZarrIO(path, "r", get_manager()) as io:
        root = io.read_builder()
        for name, group in root.groups.items():
            values = {group.attributes["value"]}
            for array in group.datasets.values():
                values |= {array.attributes["value"], *np.asarray(array.data[:]).tolist()}
            assert len(values) == 1, f"{name} has the values {sorted(values)}"
            assert len(group.datasets) == ARRAYS, f"{name} has {len(group.datasets)} arrays"
        rows = len(root["group"]["array0"].data)
        pieces = (0, 7, -200) if by_pieces else (0,)
        assert rows - ROWS - 207 * (len(root.groups) - 1) in pieces, (
            f"{rows} rows, {len(root.groups)} groups"
        )
    report = check(path)
    bad = [f for f in report.findings if f.severity != "note" and f.code not in left_of(by_pieces)]
    assert not bad, str(bad[:3])
    return f"{len(root.groups) - 1} groups added"


def tidy(path: Path, *, by_pieces: bool = False) -> None:
    """Append, which removes what a killed writer has left; then nothing may be there."""
    if not (path / "zarr.json").exists():
        return
    append(path, 1e6)
    verify(path, by_pieces=by_pieces)
    found = [f for f in check(path).findings if f.code not in left_of(by_pieces)]
    assert not found, str(found[:3])


def in_child(work: Callable[[], Any]) -> int:
    """Fork, do something there, and return the process id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return child


def is_well(work: Callable[[], Any]) -> bool:
    """Whether something succeeds in another process."""
    return os.waitpid(in_child(work), 0)[1] == 0


def _write_again(path: Path) -> None:
    for value in range(2, 10_000):
        write(path, float(value))


def _append_again(path: Path) -> None:
    for value in range(2, 10_000):
        append(path, float(value))


def _export_again(path: Path) -> None:
    source = path.with_name(f"source-{path.name}")
    for value in range(2, 10_000):
        write(source, float(value))
        with ZarrIO(source, "r", get_manager()) as exported, ZarrIO(path, "w", get_manager()) as io:
            io.export(exported, checksum=value % 2 == 0)


def _convert_again(path: Path) -> None:
    source = path.with_name(f"source-{path.name}.h5")
    for value in range(2, 10_000):
        with HDF5IO(source, "w", manager=get_manager()) as io:
            root = root_of(float(value))
            root.attributes.update(namespace="hdmf-common", data_type="Container")
            io.write_builder(root)
        convert(source, path, overwrite=True, zarr_format=2 + value % 2)


def _repair_again(path: Path) -> None:
    for value in range(2, 10_000):
        append(path, float(value))
        metadata = path / "group" / "zarr.json"
        metadata.write_text(metadata.read_text() + " ")
        check(path, repair=True)


WAYS: dict[str, tuple[int, Callable[[Path], None]]] = {
    "write": (3, _write_again),
    "append": (3, _append_again),
    "append, format 2": (2, _append_again),
    "upgrade": (2, lambda path: upgrade(path) and None),
    "export": (3, _export_again),
    "convert": (3, _convert_again),
    "repair": (3, _repair_again),
}


def _stop(child: int, rng: random.Random, *, interrupt: bool) -> None:
    """End a process at once, or as impatient users do it: one Ctrl-C, or several."""
    if not interrupt:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return
    # Until it is heard: Python ignores one that comes while it removes a weak reference.
    for pause in itertools.chain([rng.uniform(0.0, 0.02)] * rng.choice((0, 0, 1, 2)), [2.0] * 30):
        os.kill(child, signal.SIGINT)
        until = time.monotonic() + pause
        while time.monotonic() < until:
            if os.waitpid(child, os.WNOHANG)[0]:
                return
            time.sleep(0.002)
    raise AssertionError(f"process {child} does not end")


def kill(times: int, seed: int, *, interrupt: bool = False) -> int:
    """Stop writers at random moments; return the number of stores that were not whole."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        originals = {}
        for zarr_format in (2, 3):
            originals[zarr_format] = Path(folder, f"original{zarr_format}.zarr")
            assert is_well(lambda f=zarr_format: write(originals[f], 1.0, f))  # type: ignore[misc]
        for number in range(times):
            way = list(WAYS)[number % len(WAYS)]
            zarr_format, work = WAYS[way]
            path = Path(folder, f"trial{number}.zarr")
            shutil.copytree(originals[zarr_format], path)
            child = in_child(lambda work=work, path=path: work(path))  # type: ignore[misc]
            time.sleep(rng.uniform(0.0, 0.25))
            _stop(child, rng, interrupt=interrupt)
            traces = len(leftovers_beside(path, lock=True)) + (path / ".append.partial").exists()
            ok = all(
                is_well(lambda f=f, p=path: f(p, by_pieces=interrupt))  # type: ignore[misc]
                for f in (verify, tidy)
            )
            counts[f"{way}: {'whole' if ok else 'NOT WHOLE'}"] += 1
            counts[f"{way}: stopped in the middle"] += traces > 0
            if ok:
                for left in Path(folder).glob(f"*{path.name}*"):
                    remove_beside(left)
            else:
                print(f"trial {number} ({way})", file=sys.stderr)
                shutil.move(path, Path(tempfile.gettempdir(), f"soak-{seed}-{number}.zarr"))
    for what, count in sorted(counts.items()):
        print(f"{what}: {count}")
    print(
        f"{times} writers {'interrupted' if interrupt else 'killed'} in {time.perf_counter() - started:.0f} s"
    )
    return sum(count for what, count in counts.items() if "NOT" in what)


# -- readers ---------------------------------------------------------------------------------------

CHANGES = ("was replaced", "was rewritten", "was changed", "is being appended to")


def _keep_changing(path: Path, zarr_format: int, seed: int, until: float) -> None:
    rng = random.Random(seed)
    value = 1.0
    while time.monotonic() < until:
        if rng.random() < 0.35:
            value += 1.0
            write(path, value, zarr_format)
            continue
        with ZarrIO(path, "r+", get_manager()) as io:
            group = io.read_builder()["group"]
            for index in rng.sample(range(ARRAYS), 3):
                group[f"array{index}"].data.append(np.full(rng.randint(1, 200), value))
            io.write_group("", tree(value, f"added{rng.random()}"))


def _read_twice(path: Path) -> None:
    """Raise where not everything is of one store, in the shape that it was opened with."""
    with ZarrIO(path, "r", get_manager()) as io:
        root = io.read_builder()
        value = root.attributes["value"]
        for _ in range(2):
            for group in root.groups.values():
                for array in group.datasets.values():
                    rows = np.asarray(array.data[:])
                    assert rows.shape == array.data.shape, f"{rows.shape} of {array.data.shape}"
                    assert len(rows) >= ROWS, f"{len(rows)} rows"
                    assert set(rows.tolist()) == {value}, f"{set(rows.tolist())} in {value}"


def _export(path: Path) -> None:
    target = path.with_name("copy.zarr")
    with (
        ZarrIO(path, "r", get_manager()) as source,
        ZarrIO(target, "w", get_manager()) as io,
    ):
        io.export(source)
    _read_twice(target)


def _upgrade(path: Path) -> None:
    target = path.with_name("copy.zarr")
    upgrade(path, target, overwrite=True)
    _read_twice(target)


USES: dict[int, tuple[Callable[[Path], None], ...]] = {
    2: (_read_twice, _export, _upgrade),
    3: (_read_twice, _export),
}
"""What is done with a store of each format while it changes."""


def readers(seconds: float, seed: int) -> int:
    """Read while another process writes; return the number of reads that were wrong."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for zarr_format in (2, 3):
            path = Path(folder, f"{zarr_format}.zarr")
            write(path, 1.0, zarr_format)
            until = time.monotonic() + seconds
            child = in_child(lambda p=path, f=zarr_format, u=until: _keep_changing(p, f, seed, u))  # type: ignore[misc]
            for use in itertools.cycle(USES[zarr_format]):
                if time.monotonic() > until:
                    break
                try:
                    use(path)
                    said = "is of one store"
                except AssertionError as error:
                    said = f"WRONG: {error}"
                except HDMFZarrError as error:
                    change = [change for change in CHANGES if change in str(error)]
                    said = change[0] if change else f"OTHER: {error}"
                counts[f"format {zarr_format}, {use.__name__[1:]}: {said}"] += 1
            counts["WRONG: the writer failed"] += os.waitpid(child, 0)[1] != 0
    for what, count in sorted((+counts).items()):
        print(f"{what}: {count}")
    return sum(count for what, count in counts.items() if "WRONG" in what or "OTHER" in what)


# -- several writers -------------------------------------------------------------------------------

TAGGED = 3
"""Rows that a writer adds at a time, all of one value."""


def _say(log: Path, what: str, tag: int) -> None:
    with log.open("a") as file:
        file.write(f"{what} {tag}\n")


def _keep_adding(path: Path, log: Path, number: int, until: float) -> None:
    """Add rows in every way in which writers meet; note which are committed, and which may be."""
    rng = random.Random(number)
    kept: list[Any] = []
    tag = number * 1_000_000
    while time.monotonic() < until:
        tag += 1
        try:
            io = ZarrIO(path, "r+", get_manager())
            io.open()
            data = io.read_builder()["group"]["log"].data
            way = rng.choice(("close", "close", "write", "forget", "idle", "old", "die"))
            if way == "idle":
                data[:]
                kept.append((io, data))
            elif way == "old" and kept:
                _say(log, "maybe", tag)
                kept.pop(0)[1].append(np.full(TAGGED, tag))
                io.close()
            else:
                _say(log, "maybe", tag)
                data.append(np.full(TAGGED, tag))
                if way == "die" and rng.random() < 0.2:
                    os.kill(os.getpid(), signal.SIGKILL)
                if way == "forget":
                    kept.append((io, data))
                else:
                    io.close()
                    _say(log, "committed", tag)
            del kept[:-3]
        except LockedError:
            _say(log, "refused", tag)
        except HDMFZarrError as error:
            if not any(change in str(error) for change in CHANGES):
                raise
            _say(log, "changed", tag)
    os._exit(0)


def writers(seconds: float, seed: int) -> int:
    """Have several processes write; return the number of things that were wrong."""
    with tempfile.TemporaryDirectory() as folder:
        return sum(_write_together(Path(folder), seconds, seed, number) for number in (2, 3))


def _write_together(folder: Path, seconds: float, seed: int, zarr_format: int) -> int:
    path, log = folder / f"{zarr_format}.zarr", folder / f"{zarr_format}.log"
    root = GroupBuilder("root")
    root.set_group(GroupBuilder("group", datasets={"log": DatasetBuilder("log", [0])}))
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root)
    until = time.monotonic() + seconds
    numbers = itertools.count(seed * 100 + 1)
    children: set[int] = set()
    n_failed = 0
    while time.monotonic() < until or children:
        while time.monotonic() < until and len(children) < 3:
            number = next(numbers)
            children.add(in_child(lambda number=number: _keep_adding(path, log, number, until)))  # type: ignore[misc]
        child, status = os.wait()
        children.discard(child)
        n_failed += status not in (0, signal.SIGKILL)
    if n_failed:
        print(f"WRONG: {n_failed} writers failed")
    return n_failed + _count_wrong(path, log, zarr_format)


def _count_wrong(path: Path, log: Path, zarr_format: int) -> int:
    """Compare what is in a store with what its writers have noted."""
    said: dict[str, set[int]] = {}
    counts: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        what, tag = line.split()
        said.setdefault(what, set()).add(int(tag))
        counts[what] += 1
    with ZarrIO(path, "r+", get_manager()) as io:  # which undoes what the dead have left
        rows = io.read_builder()["group"]["log"].data[:].tolist()
    found = Counter(rows[1:])
    lost = said["committed"] - set(found)
    torn = [tag for tag, n in found.items() if n != TAGGED]
    foreign = set(found) - said["maybe"]
    findings = [one for one in check(path).findings if one.severity == "error"]
    print(f"format {zarr_format}: {dict(counts)}; {len(found)} in the store")
    for what, problem in (
        ("lost", lost),
        ("torn", torn),
        ("foreign", foreign),
        ("check", findings),
    ):
        if problem:
            print(f"WRONG: {what}: {problem}")
    return len(lost) + len(torn) + len(foreign) + len(findings)


# -- damage ----------------------------------------------------------------------------------------

SECONDS, MEMORY = 10, 4 * 1024**3


def rich_store(path: Path, zarr_format: int) -> None:
    """A small file with every kind of object."""
    root = GroupBuilder("root", attributes={"text": "a", "numbers": [1.0, 2.0], "flag": True})
    group = GroupBuilder("group", attributes={"x": 1})
    root.set_group(group)
    codecs: dict[str, Any] = {
        "blosc": numcodecs.Blosc("zstd"),
        "gzip": numcodecs.GZip(1),
        "zstd": numcodecs.Zstd(1),
        "plain": False,
    }
    for name, codec in codecs.items():
        data = ZarrDataIO(np.arange(40.0).reshape(8, 5), chunks=(3, 5), compressor=codec)
        group.set_dataset(DatasetBuilder(name, data))
    group.set_dataset(DatasetBuilder("text", ["a", "größer", ""]))
    group.set_dataset(DatasetBuilder("scalar", 1.5))
    group.set_dataset(DatasetBuilder("word", "text"))
    target = DatasetBuilder("target", np.arange(3))
    group.set_dataset(target)
    from hdmf.build import LinkBuilder, ReferenceBuilder

    group.set_link(LinkBuilder(target, "link"))
    group.set_dataset(DatasetBuilder("references", [ReferenceBuilder(target)] * 3, dtype="object"))
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write_builder(root)


def read_all(path: Path, mode: str) -> None:
    """Read whatever is in a store."""
    with ZarrIO(path, mode, get_manager()) as io:
        pending = [io.read_builder()]
        while pending:
            group = pending.pop()
            pending += group.groups.values()
            for dataset in group.datasets.values():
                data = dataset.data
                if not getattr(data, "shape", ()):
                    str(data)
                elif data.size > 10**6:
                    data[tuple(slice(0, 1) for _ in data.shape)]
                else:
                    data[:]


def mutate(value: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, or cut, repeat or replace a part."""
    data = bytearray(value)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            data[at:at] = data[at : at + rng.randrange(1, 60)]
        else:
            words = (
                b"-1",
                b"null",
                b"[]",
                b"{}",
                b'""',
                b"1e999",
                b"99999999999999",
                b"true",
                b"..",
            )
            numbers = [i for i, byte in enumerate(data) if chr(byte) in '0123456789"[{']
            if numbers:
                spot = rng.choice(numbers)
                data[spot : spot + 1] = rng.choice(words)
    return bytes(data)


def _fuzz_batch(stores: list[Path], count: int, seed: int, out: Path) -> None:
    rng = random.Random(seed)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def too_long(*_: Any) -> None:
        raise TimeoutError("HANG")

    signal.signal(signal.SIGALRM, too_long)
    counts: Counter[str] = Counter()
    for number in range(count):
        store = rng.choice(stores)
        key = rng.choice([path for path in sorted(store.rglob("*")) if path.is_file()])
        value = key.read_bytes()
        changed = mutate(value, rng)
        key.write_bytes(changed)
        signal.alarm(SECONDS)
        try:
            read_all(store, rng.choice(("r", "r", "r-")))
            outcome = "read"
        except HDMFZarrError:
            outcome = "an error of this package"
        except BaseZarrError:
            outcome = "an error of zarr"
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            outcome = f"OTHER {type(error).__name__} at {where}: {error!s:.80}"
            saved = out.with_name(f"input-{seed}-{number}")
            saved.write_bytes(str(key.relative_to(store)).encode() + b"\n" + changed)
        finally:
            signal.alarm(0)
            key.write_bytes(value)
        counts[outcome] += 1
    out.write_text("\n".join(f"{n}\t{what!s}" for what, n in counts.items()))


def fuzz(inputs: int, seed: int, batch: int = 500) -> int:
    """Read damaged stores; return the number of inputs that did what none may."""
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    stores = [folder / f"{zarr_format}.zarr" for zarr_format in (2, 3)]
    for zarr_format, store in zip((2, 3), stores, strict=True):
        assert is_well(lambda s=store, f=zarr_format: rich_store(s, f))  # type: ignore[misc]
    for first in range(0, inputs, batch):
        out = folder / f"counts-{first}"
        child = in_child(lambda f=first, o=out: _fuzz_batch(stores, batch, seed + f, o))  # type: ignore[misc]
        if os.waitpid(child, 0)[1] != 0 or not out.exists():
            counts["OTHER the process died"] += 1
            for zarr_format, store in zip((2, 3), stores, strict=True):
                assert is_well(lambda s=store, f=zarr_format: rich_store(s, f))  # type: ignore[misc]
            continue
        for line in out.read_text().splitlines():
            number, _, what = line.partition("\t")
            if number.isdigit():
                counts[what] += int(number)
    for what, count in counts.most_common():
        print(f"{count:7d}  {what}")
    seconds = time.perf_counter() - started
    print(f"{sum(counts.values())} inputs in {seconds:.0f} s; those that failed are in {folder}")
    return sum(count for what, count in counts.items() if what.startswith("OTHER"))


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kill", "interrupt", "fuzz", "readers", "writers"))
    parser.add_argument("--times", type=int, default=300, help="writers to kill")
    parser.add_argument("--inputs", type=int, default=20_000, help="damaged stores to read")
    parser.add_argument("--seconds", type=float, default=60, help="to read while others write")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.what in ("kill", "interrupt"):
        is_interrupt = options.what == "interrupt"
        return int(kill(options.times, options.seed, interrupt=is_interrupt) > 0)
    if options.what in ("readers", "writers"):
        work = readers if options.what == "readers" else writers
        return int(work(options.seconds, options.seed) > 0)
    return int(fuzz(options.inputs, options.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
