"""Makes ``sample_ecephys.nwb``: a short simulated recording, the same bytes of data each time.

Run ``python make_sample.py [DESTINATION]`` in this folder; the file is part of the repository.
"""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import Subject

N_CHANNELS = 4
N_SAMPLES = 2_000
RATE = 1000.0
N_UNITS = 6
N_TRIALS = 12
START = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)


def make_sample() -> NWBFile:
    """Return the recording: electrodes, raw voltages, an LFP, units and trials."""
    random = np.random.default_rng(20240517)
    nwbfile = NWBFile(
        session_description="A simulated recording of two seconds from a probe of four channels.",
        identifier="sample-ecephys",
        session_start_time=START,
        file_create_date=START,
        experimenter=["Doe, Jane"],
        institution="An institute",
        keywords=["simulated", "extracellular electrophysiology"],
        subject=Subject(
            subject_id="mouse-1",
            species="Mus musculus",
            sex="F",
            age="P90D",
            description="Simulated.",
        ),
    )
    _add_recording(nwbfile, random)
    _add_units(nwbfile, random)
    _add_trials(nwbfile, random)
    return nwbfile


def _add_recording(nwbfile: NWBFile, random: np.random.Generator) -> None:
    device = nwbfile.create_device(name="probe", description="A simulated probe.")
    group = nwbfile.create_electrode_group(
        name="shank0", description="The only shank.", location="CA1", device=device
    )
    for channel in range(N_CHANNELS):
        nwbfile.add_electrode(
            x=0.0, y=25.0 * channel, z=0.0, imp=1.2e6, location="CA1", filtering="none", group=group
        )
    electrodes = nwbfile.create_electrode_table_region(list(range(N_CHANNELS)), "all channels")
    seconds = np.arange(N_SAMPLES) / RATE
    theta = 200 * np.sin(2 * np.pi * 8 * seconds)[:, np.newaxis]
    voltage = np.round(theta + random.normal(0, 12, (N_SAMPLES, N_CHANNELS))).astype(np.int16)
    nwbfile.add_acquisition(
        ElectricalSeries(
            name="raw",
            description="Raw voltages.",
            data=H5DataIO(voltage, chunks=(500, N_CHANNELS), compression="gzip", shuffle=True),
            electrodes=electrodes,
            rate=RATE,
            conversion=1.95e-7,
        )
    )
    lfp = ElectricalSeries(
        name="lfp",
        description="Every tenth sample.",
        data=(voltage[::10] * 1.95e-7).astype(np.float32),
        electrodes=electrodes,
        timestamps=seconds[::10],
    )
    nwbfile.create_processing_module("ecephys", "Derived signals.").add(LFP(electrical_series=lfp))


def _add_units(nwbfile: NWBFile, random: np.random.Generator) -> None:
    nwbfile.add_unit_column("quality", "Result of the curation.")
    for unit in range(N_UNITS):
        nwbfile.add_unit(
            spike_times=np.sort(random.uniform(0, N_SAMPLES / RATE, 10 + 5 * unit)),
            electrodes=[unit % N_CHANNELS],
            quality="good" if unit % 3 else "noise",
        )


def _add_trials(nwbfile: NWBFile, random: np.random.Generator) -> None:
    nwbfile.add_trial_column("correct", "Whether the animal chose the rewarded side.")
    for trial in range(N_TRIALS):
        nwbfile.add_trial(
            start_time=0.16 * trial, stop_time=0.16 * trial + 0.12, correct=bool(random.integers(2))
        )


def _numbered_ids() -> Iterator[uuid.UUID]:
    """Object ids that are the same each time; HDMF draws them at random."""
    return (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in itertools.count())


def main() -> None:
    """Write the sample to the given path, by default next to this script."""
    here = Path(__file__).parent / "sample_ecephys.nwb"
    destination = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    with patch("hdmf.container.uuid4", side_effect=_numbered_ids()):
        nwbfile = make_sample()
    # The newer layout of groups takes less space; every h5py in use reads this version of it.
    with (
        h5py.File(destination, "w", libver=("v110", "v110")) as file,
        NWBHDF5IO(file=file, mode="w") as io,
    ):
        io.write(nwbfile, expandable=[])


if __name__ == "__main__":
    main()
