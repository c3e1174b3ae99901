"""spikeinterface's extractors give of a store what was written; its environments are its own.

Release 0.105 pins zarr 2, which reads format 2 alone and has no place beside this package. So there
are two environments, which ``tox -e clients`` makes: ``HDMF_ZARR_SPIKEINTERFACE`` names the Python
of one with this package, where zarr 3 takes the place of zarr 2, ``HDMF_ZARR_SPIKEINTERFACE_PINNED``
that of one with the release's own zarr and without this package.
"""

from __future__ import annotations

import json
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries

from hdmf_zarr import NWBZarrIO
from tests.peers.conftest import Peer
from tests.peers.extract import AUXILIARY, RECORDING, STAMPED

CURRENT, PINNED = "HDMF_ZARR_SPIKEINTERFACE", "HDMF_ZARR_SPIKEINTERFACE_PINNED"

STORES: dict[str, tuple[int | None, bool]] = {
    "format 3": (3, False),
    "format 2": (2, False),
    "archive": (None, True),
}
"""By name: the Zarr format, and whether the store is written for the archive."""
DIRECT = ("direct", "direct, streamed")
PYNWB = ("pynwb", "pynwb, streamed")
"""How an extractor reads: with pynwb or without it, and ``stream_mode="zarr"`` or none."""

RANDOM = np.random.default_rng(1)
TRACES = RANDOM.integers(-500, 500, (300, 4), dtype="int16")
AUX = RANDOM.integers(0, 2**16, (75, 3), dtype="uint16")
STAMPS = np.array([1.0, 1.25, 1.5, 1.75, 2.0])
START, RATE = 2.5, 30_000.0
CHANNELS = (5, 1, 3, 0)
SPIKES = ([3, 17, 290], [150])
"""The samples at which each unit has spikes."""


def nwbfile() -> NWBFile:
    """A session as Intan's systems record it, with its auxiliary channels."""
    file = NWBFile("a session", "an id", datetime(2024, 1, 1, tzinfo=UTC))
    group = file.create_electrode_group("shank0", "a shank", "CA1", file.create_device("a probe"))
    file.add_electrode_column("channel_name", "the name of the channel")
    for number in range(6):
        file.add_electrode(
            group=group, location="CA1", rel_x=1.0 * number, rel_y=20.0, channel_name=f"AP{number}"
        )
    file.add_acquisition(
        ElectricalSeries(
            name="raw",
            data=TRACES,
            electrodes=file.create_electrode_table_region(list(CHANNELS), "those recorded"),
            rate=RATE,
            starting_time=START,
            conversion=1e-6,
            offset=2e-6,
            channel_conversion=[1.0, 2.0, 3.0, 4.0],
        )
    )
    file.add_acquisition(
        TimeSeries(name="aux", data=AUX, unit="V", rate=7500.0, starting_time=START)
    )
    stamped = TimeSeries(name="stamped", data=np.arange(5.0), unit="V", timestamps=STAMPS)
    file.add_acquisition(stamped)
    file.add_unit_column("quality", "what the sorter says")
    for spikes, quality in zip(SPIKES, ("good", "mua"), strict=True):
        file.add_unit(spike_times=START + np.array(spikes) / RATE, quality=quality)
    return file


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    paths = {name: folder / f"{name.replace(' ', '-')}.nwb.zarr" for name in STORES}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*'aux'.*", category=UserWarning)
        for name, (zarr_format, is_for_the_archive) in STORES.items():
            with NWBZarrIO(paths[name], "w", zarr_format=zarr_format) as io:
                io.write(nwbfile(), dandi=is_for_the_archive)
    return paths


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Peer:
    """The interpreter that an environment variable names."""
    named = os.environ.get(request.param)
    if named is None:
        pytest.skip(f"{request.param} names no Python with spikeinterface: tox -e clients")
    return Peer(Path(named).absolute())


@pytest.mark.parametrize(
    ("peer", "store", "ways"),
    [
        (CURRENT, "format 3", (*DIRECT, *PYNWB)),
        (CURRENT, "archive", (*DIRECT, *PYNWB)),
        (PINNED, "format 2", DIRECT),
        (PINNED, "archive", DIRECT),
    ],
    indirect=["peer"],
)
def test_the_extractors_give_what_was_written(
    peer: Peer, store: str, ways: tuple[str, ...], stores: dict[str, Path], tmp_path: Path
) -> None:
    peer.run("extract", stores[store], tmp_path / "extracted.json", *ways)
    extracted = json.loads((tmp_path / "extracted.json").read_text())
    assert tuple(extracted) == ways
    for found in extracted.values():
        assert found["recordings"] == [RECORDING]
        assert found["series"] == sorted([AUXILIARY, STAMPED])
        _check_recording(found[RECORDING])
        _check_series(found[AUXILIARY], AUX, 7500.0, START + np.arange(len(AUX)) / 7500.0)
        _check_series(found[STAMPED], np.arange(5.0)[:, None], 4.0, STAMPS)
        units = found["units"]
        assert (units["ids"], units["rate"]) == (["0", "1"], RATE)
        assert units["trains"] == list(SPIKES)
        assert units["properties"]["quality"] == ["good", "mua"]


def _check_recording(found: dict[str, Any]) -> None:
    _check_series(found, TRACES, RATE, START + np.arange(len(TRACES)) / RATE)
    assert found["ids"] == [f"AP{number}" for number in CHANNELS]
    properties = found["properties"]
    assert properties["gain_to_uV"] == pytest.approx([1.0, 2.0, 3.0, 4.0])
    assert properties["offset_to_uV"] == pytest.approx([2.0] * 4)
    assert properties["group"] == ["shank0"] * 4
    assert properties["brain_area"] == ["CA1"] * 4


def _check_series(found: dict[str, Any], data: Any, rate: float, times: Any) -> None:
    assert found["dtype"] == str(data.dtype)
    assert found["traces"] == data.tolist()
    assert found["rate"] == pytest.approx(rate)
    assert found["times"] == pytest.approx(list(times))


@pytest.mark.parametrize(
    ("peer", "store"), [(CURRENT, "format 2"), (PINNED, "format 3")], indirect=["peer"]
)
def test_a_store_that_its_zarr_cannot_open_is_refused(
    peer: Peer, store: str, stores: dict[str, Path], tmp_path: Path
) -> None:
    """The limits that docs/clients.md names are still there."""
    with pytest.raises(pytest.fail.Exception, match="is not a valid Zarr folder"):
        peer.run("extract", stores[store], tmp_path / "extracted.json", "direct")
