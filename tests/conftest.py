"""What every test may use: a clean process, the corpus, the rich file in both backends."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hdmf.build import BuildManager
from hdmf.spec import NamespaceCatalog
from hypothesis import HealthCheck, settings
from pynwb import NWBHDF5IO, NWBFile
from pynwb.spec import NWBDatasetSpec, NWBGroupSpec, NWBNamespace

from hdmf_zarr import NWBZarrIO
from tests.rich import rich_nwbfile, rich_type_map

# A run of the tests is the same each time; `tox -e explore` tries the properties with other examples.
settings.register_profile(
    "same",
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)
settings.register_profile("explore", settings.get_profile("same"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

SLOW = ("without", "with", "only")

_left_out: list[int] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow",
        choices=SLOW,
        default="without",
        help="Tests that are marked as slow: leave them out (default), run them, or run no others.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests, or all others, and say how many were."""
    choice = config.getoption("--slow")
    if choice == "with":
        return
    kept, left = [], []
    for item in items:
        is_slow = item.get_closest_marker("slow") is not None
        (kept if is_slow is (choice == "only") else left).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)
    _left_out[:] = [len(left)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist tell how many tests it has left out: each collects all of them."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = sum(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out[:] = [getattr(node, "workeroutput", {}).get("left_out", 0)]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if n_left := sum(_left_out):
        which = "slow" if config.getoption("--slow") == "without" else "other"
        terminalreporter.write_line(
            f"{n_left} {which} tests were left out; 'tox -e full' runs all of them"
        )


CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def corpus_files() -> list[Path]:
    """Return the files of the corpus; none where this machine does not have it."""
    return sorted(CORPUS.glob("*.nwb")) if CORPUS.is_dir() else []


def nwb_catalog() -> NamespaceCatalog:
    """Return what pynwb.validate makes to load cached namespaces into."""
    return NamespaceCatalog(NWBGroupSpec, NWBDatasetSpec, NWBNamespace)


@pytest.fixture(autouse=True)
def _quiet_peers() -> Iterator[None]:
    """HDMF and pynwb warn of old files and old types, which says nothing about this package."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(hdmf|pynwb|h5py)\.")
        yield


def write_rich(path: Path) -> Path:
    """Write the rich file at a path, as Zarr or HDF5 by its suffix."""
    type_map = rich_type_map()
    io_class = NWBZarrIO if path.suffix == ".zarr" else NWBHDF5IO
    nwbfile: NWBFile = rich_nwbfile(type_map)
    with io_class(str(path), "w", manager=BuildManager(type_map)) as io:
        io.write(nwbfile)
    return path


@pytest.fixture(scope="session")
def rich_hdf5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rich file in HDF5; only to be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write_rich(tmp_path_factory.mktemp("rich") / "rich.nwb")


@pytest.fixture(scope="session")
def rich_zarr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rich file in Zarr; only to be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return write_rich(tmp_path_factory.mktemp("rich") / "rich.nwb.zarr")
