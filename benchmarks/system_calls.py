"""Let single calls of the system fail, or kill the process at them; look at what is left in the store.

Run with::

    python benchmarks/system_calls.py                  # every place of every operation
    python benchmarks/system_calls.py --every 20       # one place in 20
    python benchmarks/system_calls.py --operations row --faults EIO

An operation (a row that is added to a table, rows that are added to an array, a store that is replaced,
an upgrade in place, a repair) runs in a process of its own, to which ``strace`` is attached; strace lets
the n-th open, write, rename, unlink or mkdir fail, or kills the process there. Afterwards the state before
or the one after is read, all columns of a table have one length, `check` finds no error, and the next writer
goes on. Linux only; needs ``strace``. Exits with 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.common import DynamicTable, VectorData, get_manager

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.transfer.upgrading import upgrade

CALLS = (
    *("openat", "write", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"),
    *("rename", "renameat", "renameat2", "link", "linkat"),
)
"""The calls of the system that change files, and those that open them."""

FAULTS = {"EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "KILL": "signal=KILL"}

SECONDS = 120

MAY_BE_LEFT = {"leftover", "stale-chunk"}
"""Until the store is replaced: a half-removed old one beside it, a chunk that a thread was still writing."""

Content = dict[str, Any]


def table_of(n_rows: int, text: str = "row") -> DynamicTable:
    """A table with a column of each kind, of which every value follows from its row."""
    ragged = [row for row in range(n_rows) for _ in range(row)]
    ends = np.cumsum(np.arange(n_rows))
    columns = [
        VectorData(name="number", description="d", data=np.arange(n_rows, dtype="float64")),
        VectorData(name="text", description="d", data=[f"{text} {row}" for row in range(n_rows)]),
        VectorData(name="small", description="d", data=np.arange(n_rows, dtype="int8")),
    ]
    table = DynamicTable(name="root", description="d", columns=columns)
    table.add_column(name="ragged", description="d", data=ragged, index=ends)
    return table


def write(path: Path, n_rows: int, zarr_format: int, text: str = "row") -> None:
    """Write such a table."""
    with ZarrIO(path, "w", get_manager(), zarr_format=zarr_format) as io:
        io.write(table_of(n_rows, text))


def add_row(path: Path) -> None:
    """Add the row that follows; one column is widened by it from the third row on."""
    with ZarrIO(path, "r+", get_manager()) as io:
        table = io.read()
        row = len(table)
        table.add_row(number=float(row), text=f"row {row}", small=row, ragged=[row] * row)


def add_wide_row(path: Path) -> None:
    """Add a row that is too large for a column of small integers, which is written again."""
    with ZarrIO(path, "r+", get_manager()) as io:
        table = io.read()
        table.add_row(number=1e6, text="x" * 1000, small=10_000, ragged=[1])


def append(path: Path) -> None:
    """Add rows to one array, by itself."""
    with ZarrIO(path, "r+", get_manager()) as io:
        io.read()["ragged"].target.data.append(np.arange(50))


def replace(path: Path) -> None:
    """Write another store in the place of one."""
    write(path, 5, 2 if (path / ".zgroup").exists() else 3, "other")


def leave_an_append(path: Path) -> None:
    """Leave what a writer leaves that was killed in an append."""
    child = os.fork()
    if child == 0:
        io = ZarrIO(path, "r+", get_manager())
        io.open()
        io.read().add_row(number=3.0, text="row 3", small=3, ragged=[3] * 3)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def repair(path: Path) -> None:
    """Repair what was left."""
    check(path, repair=True)


def read(path: Path) -> Content:
    """Every column of the table, all of one length."""
    with ZarrIO(path, "r", get_manager()) as io:
        table = io.read()
        content = {"id": table.id[:].tolist()}
        for name in ("number", "text", "small"):
            content[name] = np.asarray(table[name][:]).tolist()
        content["ragged"] = [np.asarray(row).tolist() for row in table["ragged"][:]]
        lengths = {name: len(column) for name, column in content.items()}
        assert len(set(lengths.values())) == 1, lengths
        return {**content, "elements": len(table["ragged"].target.data)}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is done to a store, and how it is made ready for that."""

    act: Callable[[Path], Any]
    prepare: Callable[[Path], None] = lambda _path: None
    formats: tuple[int, ...] = (2, 3)


OPERATIONS = {
    "row": Operation(act=add_row),
    "wide row": Operation(act=add_wide_row),
    "array": Operation(act=append),
    "replace": Operation(act=replace),
    "upgrade": Operation(act=upgrade, formats=(2,)),
    "repair": Operation(act=repair, prepare=leave_an_append),
}


# -- processes -------------------------------------------------------------------------------------


def in_child(work: Callable[[], Any], *, is_quiet: bool = True) -> tuple[int, int]:
    """Fork; return the process, which begins its work when something is written, and where to write it."""
    begin, go = os.pipe()
    child = os.fork()
    if child:
        os.close(begin)
        return child, go
    os.close(go)
    status = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.read(begin, 1)
            work()
        status = 0
    except BaseException:
        if not is_quiet:
            traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int, go: int) -> int:
    """Let a child begin, and return its status."""
    os.write(go, b"x")
    os.close(go)
    return os.waitpid(child, 0)[1]


def is_well(work: Callable[[], Any]) -> bool:
    """Whether something succeeds in another process."""
    return ended(*in_child(work, is_quiet=False)) == 0


def traced(work: Callable[[], Any], log: Path, *inject: str) -> int:
    """Do something in a process under strace; return its status."""
    child, go = in_child(work)
    command = ["strace", "-f", "-p", str(child), "-o", str(log), "-e", f"trace={','.join(CALLS)}"]
    command += [word for one in inject for word in ("-e", f"inject={one}")]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        os.kill(child, signal.SIGKILL)
        ended(child, go)
        raise SystemExit(f"strace cannot be used here: {line}")
    status = ended(child, go)
    tracer.wait(timeout=SECONDS)
    tracer.stderr.close()
    return status


def calls_of(log: Path) -> Counter[str]:
    """How often each call was made."""
    return Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE))


# -- trials ----------------------------------------------------------------------------------------


def read_as_the_next_writer_leaves_it(path: Path) -> Content:
    """What is in a store; of format 2, an array may be refused until a writer has undone an append."""
    try:
        return read(path)
    except MetadataError as error:
        is_told = any(words in str(error) for words in ("written anew", "was rewritten"))
        if not is_told or (path / "zarr.json").exists():
            raise
        with ZarrIO(path, "r+", get_manager()):
            return read(path)


def verify(path: Path, states: list[Content]) -> None:
    """Raise unless a store has one of several states, and the next writer goes on."""
    found = read_as_the_next_writer_leaves_it(path)
    assert found in states, f"found {found}"
    errors = [one for one in check(path).findings if one.severity == "error"]
    assert not errors, str(errors)
    add_row(path)
    grown = read(path)
    row = len(found["id"])
    assert grown["ragged"][:row] == found["ragged"]
    assert grown["number"] == [*found["number"], float(row)]
    bad = [one for one in check(path).findings if one.code not in MAY_BE_LEFT]
    assert not bad, str(bad)
    replace(path)
    assert not check(path).findings, str(check(path).findings)


def try_place(
    operation: Operation, template: Path, folder: Path, fault: str, states: list[Content]
) -> tuple[str, bool]:
    """Try an operation with one fault; return how it ended, and whether what is left is right."""
    path = folder / "store.zarr"
    shutil.copytree(template, path)
    status = traced(lambda: operation.act(path), folder / "log", fault)
    outcome = "done" if status == 0 else "killed" if status < 256 else "error"
    return outcome, is_well(lambda: verify(path, states))


def try_operation(name: str, zarr_format: int, faults: list[str], every: int) -> Counter[str]:
    """Try an operation with a fault at each place; count what came of it."""
    operation, came = OPERATIONS[name], Counter[str]()
    folder = Path(tempfile.mkdtemp())
    template, path, log = folder / "template.zarr", folder / "store.zarr", folder / "log"
    assert is_well(lambda: write(template, 3, zarr_format))
    assert is_well(lambda: operation.prepare(template))
    states = [_state(template, folder), _state(template, folder, operation.act)]
    shutil.copytree(template, path)
    assert traced(lambda: operation.act(path), log) == 0, "it fails without a fault"
    places = [
        (call, n) for call, count in sorted(calls_of(log).items()) for n in range(1, count + 1)
    ]
    for (call, n), fault in itertools.product(places[::every], faults):
        at = folder / f"{call}-{n}-{fault}"
        outcome, well = try_place(
            operation, template, at, f"{call}:{FAULTS[fault]}:when={n}", states
        )
        came[f"{outcome}: {'right' if well else 'WRONG'}"] += 1
        if well:
            shutil.rmtree(at)
        else:
            print(f"WRONG: {name}, format {zarr_format}: {at}", flush=True)
    if not any("WRONG" in one for one in came):
        shutil.rmtree(folder)
    return came


def _state(template: Path, folder: Path, act: Callable[[Path], Any] | None = None) -> Content:
    """What a store holds, after an operation or before it."""
    path, out = folder / "state.zarr", folder / "state.npy"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(template, path)

    def save() -> None:
        if act is not None:
            act(path)
        np.save(out, np.array(read(path), dtype=object))

    assert is_well(save)
    state: Content = np.load(out, allow_pickle=True).item()
    return state


def main() -> int:
    """Try what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--every", type=int, default=1, help="one place in so many")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if shutil.which("strace") is None:
        raise SystemExit("strace is not installed")
    total: Counter[str] = Counter()
    for name in options.operations:
        for zarr_format in OPERATIONS[name].formats:
            came = try_operation(name, zarr_format, options.faults, options.every)
            total += came
            counts = ", ".join(f"{what} {count}" for what, count in sorted(came.items()))
            print(f"{name}, format {zarr_format}: {counts}", flush=True)
    print(f"{total.total()} places, {sum(n for one, n in total.items() if 'WRONG' in one)} wrong")
    return 1 if any("WRONG" in one for one in total) else 0


if __name__ == "__main__":
    sys.exit(main())
