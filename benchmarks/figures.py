"""Measure all that the documentation claims, and write the tables into it.

Each benchmark is a script of this folder; its output takes the place of what stands between
``<!-- begin NAME -->`` and ``<!-- end NAME -->`` in a page of the docs.

Usage: python benchmarks/figures.py [NAME ...] [--peer 0.13=PYTHON --peer 0.14=PYTHON] [--page PAGE]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).parent

BENCHMARKS: dict[str, tuple[str, ...]] = {
    "open": ("reading.py", "--only", "open", "remote"),
    "tables": ("reading.py", "--only", "tables"),
    "recordings": ("reading.py", "--only", "recording"),
    "recordings-one-core": ("reading.py", "--only", "recording", "--one-core"),
    "writing": ("writing.py",),
    "convert": ("convert.py",),
    "upgrade": ("upgrade.py", "10", "20", "50", "200", "800"),
    "parallel": ("parallel.py", "--megabytes", "768", "--repeats", "3"),
    "durable": ("durable.py",),
    "checksum": ("checksum.py",),
}
"""Name of a table -> the script that prints it, and its arguments."""

WITH_PEERS = frozenset({"reading.py", "writing.py", "convert.py", "parallel.py"})
"""Scripts that measure other releases, too."""


def measured(name: str, peers: list[str]) -> str:
    """Run a benchmark and return what it prints, and where that was."""
    script, *arguments = BENCHMARKS[name]
    if script in WITH_PEERS:
        arguments += [word for peer in peers for word in ("--peer", peer)]
    load = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    today = datetime.now(timezone.utc).date()  # noqa: UP017 - as the other benchmarks
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, load before {load:.1f}"
    return f"{done.stdout.strip()}\n\n({today}, {where}.)"


def put(page: Path, name: str, text: str) -> None:
    """Write a table into its place in a page."""
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    content = page.read_text()
    if not pattern.search(content):
        raise SystemExit(f"{page} has no place for {name!r}")
    page.write_text(pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", content))


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "figures.md")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    for name in options.names or BENCHMARKS:
        print(f"== {name}", flush=True)
        text = measured(name, options.peer)
        print(text, flush=True)
        put(options.page, name, text)


if __name__ == "__main__":
    main()
