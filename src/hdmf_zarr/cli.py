"""The `hdmf-zarr` command."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from tqdm import tqdm

from hdmf_zarr.checking import check
from hdmf_zarr.checking.report import render as render_report
from hdmf_zarr.conversion import KIND_NAMES, SUFFIXES, convert
from hdmf_zarr.description import describe, format_bytes, render
from hdmf_zarr.errors import HDMFZarrError, OptionError
from hdmf_zarr.transfer.upgrading import FILTER_WITHOUT_CODEC, upgrade
from hdmf_zarr.write.planning.plan import Planned

__all__ = ["main"]

PROGRAM = "hdmf-zarr"

DONE, FAILED = 0, 1
"""Exit statuses; argparse exits with 2 for an invalid command line."""

NOT_CHECKED = 2
"""Exit status of ``check`` if it could not check; 1 means that it has found errors."""

INTERRUPTED = 130
"""Exit status that a shell reports for a program stopped with Ctrl-C."""


LAYOUT_SWITCHES = {
    "--strict": "fail where an HDF5 filter has no Zarr codec, rather than encode anew",
    "--verify": "decode every chunk once, to see that it can be",
    "--checksum": "end each chunk with its checksum, so that a damaged byte is an error",
    "--strict-json": "spell NaN and infinities in attributes as text, for readers other than Python's",
    "--dandi": "write what the DANDI archive takes ('dandi validate'): Zarr format 2 that plain zarr-python "
    "opens, codecs and JSON that every reader knows, few files",
}
"""Options of a new Zarr store that are on or off."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command; by default those of the process.

    Returns
    -------
    int
        0 after success, 1 after an error, which is printed as one line. An invalid command line
        exits with 2. ``check`` returns 1 if it has found errors, and 2 if it could not check.
    """
    options = _parser().parse_args(arguments)
    with _brief_warnings():
        try:
            status: int | None = options.run(options)
        except BrokenPipeError:
            # The reader (head, less) has closed the pipe; Python's flush at exit would fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except (HDMFZarrError, OSError) as error:
            _report(error, debug=options.debug)
            return getattr(options, "status_of_errors", FAILED)
        except Exception as error:
            # Mostly errors of libraries that connect to stores: credentials, host names.
            _report(error, debug=options.debug, is_foreign=True)
            return getattr(options, "status_of_errors", FAILED)
        except KeyboardInterrupt:
            print(f"{PROGRAM}: stopped; nothing was written", file=sys.stderr)
            return INTERRUPTED
    return status or DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Convert NWB and other HDMF files to Zarr and back; look into stores.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version('hdmf-zarr')}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", help="show where in the program an error comes from"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_convert(commands, common)
    _add_info(commands, common)
    _add_upgrade(commands, common)
    _add_check(commands, common)
    return parser


def _add_convert(commands: Any, common: argparse.ArgumentParser) -> None:
    suffixes = ", ".join(f"{suffix} ({KIND_NAMES[kind]})" for suffix, kind in SUFFIXES.items())
    command = commands.add_parser(
        "convert",
        parents=[common],
        help="convert HDF5 or Zarr to Zarr or HDF5",
        description="Copy a file exactly as it is to another format. Its own format is seen from "
        f"its content, that of the destination from the suffix: {suffixes}.",
    )
    command.add_argument(
        "source", metavar="SRC", help="HDF5 file, or Zarr store (a folder or a URL)"
    )
    command.add_argument("destination", metavar="DST", help="file or store to write")
    command.add_argument("--overwrite", action="store_true", help="replace a file or store at DST")
    _add_layout(command)
    command.add_argument(
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="jobs that write (default: %(default)s)",
    )
    command.add_argument(
        "--durable",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="end when a new Zarr store is on the disk, rather than on its way to it",
    )
    command.add_argument("--quiet", action="store_true", help="show no progress bar")
    command.set_defaults(run=_convert)


def _add_layout(command: argparse.ArgumentParser) -> None:
    """Add options for the layout of a new Zarr store: chunks, codecs and checks."""
    layout = command.add_argument_group(
        "layout of a new Zarr store",
        "By default chunks and codecs are those of the source, and encoded chunks move as they are.",
    )
    layout.add_argument(
        "--zarr-format",
        type=int,
        metavar="N",
        help="Zarr format of a new store (default: 3; 2 with --dandi)",
    )
    layout.add_argument(
        "--codecs",
        metavar="keep|default",
        choices=("keep", "default"),
        help="keep those of the source, or encode everything anew with the default codec",
    )
    layout.add_argument(
        "--chunks",
        metavar="PATH=N,N",
        action="append",
        type=_path_and_sizes,
        help="shape of the chunks of a dataset; PATH may be a pattern such as '*/data'; repeatable",
    )
    layout.add_argument(
        "--shards",
        metavar="auto",
        choices=("auto",),
        help="pack chunks into files of about 64 MB (Zarr format 3)",
    )
    layout.add_argument(
        "--external-links",
        metavar="follow|keep",
        choices=("follow", "keep"),
        help="copy what the source links to in other files (follow, the default), or link to the "
        "stores of their names with .zarr at the end (keep)",
    )
    for name, text in LAYOUT_SWITCHES.items():
        layout.add_argument(name, action="store_true", help=text)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer: {text!r}")
    return number


def _path_and_sizes(text: str) -> tuple[str, tuple[int, ...]]:
    path, equals, sizes = text.rpartition("=")
    try:
        chunks = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        chunks = ()
    if not equals or not path or not chunks or min(chunks) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a path and sizes such as /a/data=1000,64: {text!r}"
        )
    return path, chunks


def _add_info(commands: Any, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "info",
        parents=[common],
        help="show what is in a Zarr store",
        description="Show the tree of a Zarr store: shapes, data types, chunks, shards, codecs, "
        "links and sizes. No data are read.",
    )
    command.add_argument("path", metavar="PATH", help="Zarr store: a folder or a URL")
    command.add_argument("--json", action="store_true", help="print JSON in place of a tree")
    command.set_defaults(run=_info)


def _add_upgrade(commands: Any, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "upgrade",
        parents=[common],
        help="turn a store of Zarr format 2 into one of format 3",
        description="Turn a store of Zarr format 2 into one of format 3. The chunks of numbers and "
        "text are kept as they are; metadata, references and the compounds that hold them are "
        "written anew. Until the end the source is what it was.",
    )
    command.add_argument("source", metavar="SRC", help="store of Zarr format 2: a folder or a URL")
    command.add_argument(
        "destination",
        metavar="DST",
        nargs="?",
        help="store of Zarr format 3 to write; left out, SRC is upgraded in place",
    )
    command.add_argument(
        "--link",
        action="store_true",
        help="let DST share the files of SRC (hard links); then write to neither",
    )
    command.add_argument("--overwrite", action="store_true", help="replace a store at DST")
    command.add_argument("--quiet", action="store_true", help="show no progress bar")
    command.set_defaults(run=_upgrade)


def _add_check(commands: Any, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "check",
        parents=[common],
        help="check that a Zarr store is whole",
        description="Check that every chunk is there and can be decoded, that links and references "
        "lead where they should, that metadata and specifications are complete, and that nothing lies "
        "about. Exits with 0 where no error was found, with 1 where one was, with 2 where the store "
        "could not be checked.",
    )
    command.add_argument("path", metavar="PATH", help="Zarr store: a folder, a zip file or a URL")
    command.add_argument("--fast", action="store_true", help="read no chunk")
    command.add_argument(
        "--jobs",
        type=_positive,
        default=1,
        metavar="N",
        help="threads that decode chunks (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print JSON in place of text")
    command.add_argument(
        "--repair",
        action="store_true",
        help="rebuild the consolidated metadata and remove what stopped writes left, and chunks that nobody "
        "uses; nothing else",
    )
    command.add_argument(
        "--accept-missing",
        metavar="ARRAY",
        action="append",
        default=[],
        help="write fill values where chunks of an array are missing, which you have looked at: "
        "zarr-python leaves out what holds only the fill value; repeatable",
    )
    command.add_argument(
        "--dandi",
        action="store_true",
        help="check also what an upload to the DANDI archive needs (hdmf-zarr[dandi]), with 'dandi validate' "
        "where that program is on the PATH",
    )
    command.add_argument("--quiet", action="store_true", help="show no progress bar")
    command.set_defaults(run=_check, status_of_errors=NOT_CHECKED)


def _check(options: argparse.Namespace) -> int:
    with _progress_bar(options.path, is_shown=not options.quiet) as progress:
        report = check(
            options.path,
            fast=options.fast,
            jobs=options.jobs,
            repair=options.repair,
            dandi=options.dandi,
            accept_missing=options.accept_missing,
            progress=progress,
        )
    print(json.dumps(report.to_json(), indent=2) if options.json else render_report(report))
    return DONE if report.is_clean else FAILED


def _upgrade(options: argparse.Namespace) -> None:
    if options.destination is None and (options.link or options.overwrite):
        raise OptionError("--link and --overwrite need a destination")
    started = time.perf_counter()
    name = options.destination or options.source
    with _progress_bar(name, is_shown=not options.quiet) as progress:
        report = upgrade(
            options.source,
            options.destination,
            way="link" if options.link else "copy",
            overwrite=options.overwrite,
            progress=None if progress is None else progress(0),
        )
    for path, reason in sorted(report.rewritten.items()):
        if reason == FILTER_WITHOUT_CODEC:
            print(f"written anew: /{path} ({reason})")
    kept = f"{report.n_kept} arrays kept as they are ({format_bytes(report.n_bytes_kept)} brought)"
    seconds = time.perf_counter() - started
    print(
        f"upgraded {report.uri}: {kept}, {len(report.rewritten)} written anew, in {seconds:.1f} s"
    )


def _convert(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    n_source = _count_files(options.source)

    def announce(planned: Planned) -> None:
        if not options.quiet:
            before = f"{n_source} file{'s' if n_source != 1 else ''}"
            print(f"{options.source}: {before} -> about {planned.n_files} files", file=sys.stderr)

    with _progress_bar(options.destination, is_shown=not options.quiet) as progress:
        written = convert(
            options.source,
            options.destination,
            overwrite=options.overwrite,
            zarr_format=options.zarr_format,
            codecs=options.codecs,
            chunks=dict(options.chunks) if options.chunks else None,
            shards=options.shards,
            strict=options.strict,
            verify=options.verify,
            external_links=options.external_links,
            number_of_jobs=options.jobs,
            checksum=options.checksum,
            strict_json=options.strict_json,
            dandi=options.dandi,
            durable=options.durable,
            on_plan=announce,
            progress=progress,
        )
    seconds = time.perf_counter() - started
    files = f"{written.n_files} file{'s' if written.n_files != 1 else ''}"
    speed = f"{format_bytes(int(written.n_bytes / max(seconds, 1e-9)))}/s"
    moved = "" if written.planned is None else f"; {_moved(written.planned)}"
    print(
        f"wrote {written.path}: {files}, {format_bytes(written.n_bytes)}, in {seconds:.1f} s, "
        f"{speed}{moved}"
    )
    if written.planned is not None and written.planned.plugins:
        _print_plugins(written.planned.plugins)


def _print_plugins(plugins: Mapping[str, str]) -> None:
    """Print the package that readers need; the extra (longest name) includes the package."""
    needed = max(plugins.values(), key=len)
    first, *others = sorted(path for path, plugin in plugins.items() if plugin == needed)
    more = f" and {len(others)} more" if others else ""
    print(f"to read {first}{more} with zarr, install {needed}")


def _moved(planned: Planned) -> str:
    """Describe how many datasets were copied unchanged, and why the others were not."""
    reasons = Counter(planned.decoded.values())
    others = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    moved = f"{len(planned.raw)} dataset{'s' if len(planned.raw) != 1 else ''} moved raw"
    if reasons:
        moved += f", {len(planned.decoded)} not ({others})"
    if not planned.n_unverified:
        return moved
    chunks = f"{planned.n_unverified} chunk{'s' if planned.n_unverified != 1 else ''}"
    return f"{moved}; {chunks} undecoded and unverified (--verify decodes each)"


def _count_files(source: str) -> int:
    if not os.path.isdir(source):
        return 1
    return sum(len(files) for _, _, files in os.walk(source))


def _info(options: argparse.Namespace) -> None:
    info = describe(options.path)
    if options.json:
        print(json.dumps(info.to_json(), indent=2))
        return
    width = shutil.get_terminal_size((100, 24)).columns
    print(render(info, width, is_ascii=not _prints("├→")), flush=True)


@contextmanager
def _progress_bar(
    name: str, *, is_shown: bool
) -> Iterator[Callable[[int], Callable[[int], None]] | None]:
    """Yield a function that starts a bar of a given size and returns a function to advance it."""
    if not is_shown:
        yield None
        return
    bars: list[tqdm[Any]] = []

    def start(total: int) -> Callable[[int], None]:
        bar = tqdm(
            total=total or None, unit="B", unit_scale=True, desc=os.path.basename(name.rstrip("/"))
        )
        bars.append(bar)

        def advance(count: int) -> None:
            # The expected size of text is an estimate.
            if bar.total is not None and bar.n + count > bar.total:
                bar.total = bar.n + count
            bar.update(count)

        return advance

    try:
        yield start
    except BaseException:
        for bar in bars:
            bar.close()
        raise
    for bar in bars:
        bar.total = bar.n
        bar.refresh()
        bar.close()


@contextmanager
def _brief_warnings() -> Iterator[None]:
    """Print each warning as one line, without its source line."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        tqdm.write(f"{PROGRAM}: warning: {_one_line(message)}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


_ARGUMENT = re.compile(r"(?<!\w)overwrite=True")
"""The Python argument of the option ``--overwrite``, as it occurs in messages."""


def _report(error: BaseException, *, debug: bool, is_foreign: bool = False) -> None:
    """Print an error as one line; one of another package with its type and a hint at --debug."""
    if debug:
        traceback.print_exception(error)
    text = _ARGUMENT.sub("--overwrite", _one_line(error))
    if is_foreign:
        text = f"{type(error).__name__}: {text} (--debug shows where it comes from)"
    print(f"{PROGRAM}: error: {text}", file=sys.stderr)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _prints(characters: str) -> bool:
    try:
        characters.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
