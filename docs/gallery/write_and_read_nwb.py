"""
Write, read and append to NWB files
===================================

:class:`hdmf_zarr.NWBZarrIO` replaces :class:`pynwb.NWBHDF5IO`, which is for HDF5 files: the
objects of PyNWB are the same.
"""

# %%
# Make a file
# -----------

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pynwb
from pynwb import NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries

from hdmf_zarr import NWBZarrIO, ZarrDataIO

folder = TemporaryDirectory()
path = Path(folder.name) / "session.nwb.zarr"

nwbfile = NWBFile(
    session_description="A simulated recording.",
    identifier="session-1",
    session_start_time=datetime(2024, 5, 17, 9, 30, tzinfo=UTC),
)
device = nwbfile.create_device(name="probe")
group = nwbfile.create_electrode_group(
    name="shank0", description="The only shank.", location="CA1", device=device
)
for _ in range(4):
    nwbfile.add_electrode(group=group, location="CA1")
electrodes = nwbfile.create_electrode_table_region([0, 1, 2, 3], "all channels")

voltage = np.random.default_rng(1).normal(0, 50, (30_000, 4)).astype("int16")
nwbfile.add_acquisition(
    ElectricalSeries(
        name="raw",
        data=ZarrDataIO(voltage, chunks=(10_000, 4)),
        electrodes=electrodes,
        rate=30_000.0,
        conversion=1.95e-7,
    )
)
nwbfile.add_unit(spike_times=[0.1, 0.3, 0.7])

# %%
# Write it
# --------

with NWBZarrIO(path, "w") as io:
    io.write(nwbfile)

# %%
# Read it
# -------
# ``pynwb.read_nwb`` recognizes Zarr by itself. Data are read when they are indexed.

read = pynwb.read_nwb(path)
data = read.acquisition["raw"].data
assert data.shape == (30_000, 4)
assert np.array_equal(data[:100], voltage[:100])
print(data)

# %%
# A ``with`` statement closes the file at its end. ``pynwb.validate`` checks a file against the
# specifications.

with NWBZarrIO(path, "r") as io:
    series = io.read().acquisition["raw"]
    assert series.electrodes.table.name == "electrodes"

assert pynwb.validate(path=str(path)) == []

# %%
# Add objects
# -----------
# Mode ``r+`` opens a file to append to it: add containers as to any other file, then write it.

with NWBZarrIO(path, "r+") as io:
    appended = io.read()
    appended.add_acquisition(
        TimeSeries(name="speed", data=np.linspace(0, 1, 50), unit="m/s", rate=50.0)
    )
    io.write(appended)

# %%
# Add rows and samples
# --------------------
# Rows of tables, here a unit with its spike times, and samples of arrays are stored at once.

with NWBZarrIO(path, "r+") as io:
    appended = io.read()
    appended.add_unit(spike_times=[0.2, 0.25], id=1)
    appended.acquisition["speed"].data.append(np.full(10, 1.5))

with NWBZarrIO(path, "r") as io:
    appended = io.read()
    assert len(appended.units) == 2
    assert appended.units["spike_times"][1].tolist() == [0.2, 0.25]
    assert appended.acquisition["speed"].data.shape == (60,)

# %%
# Copy with changes
# -----------------
# An export writes a container that was read, with the changes that were made after reading, as a
# copy that does not need the original.

changed = Path(folder.name) / "changed.nwb.zarr"

with NWBZarrIO(path, "r") as read_io, NWBZarrIO(changed, "w") as io:
    to_change = read_io.read()
    to_change.add_trial_column("correct", "Whether the answer was right.")
    to_change.add_trial(start_time=0.0, stop_time=0.5, correct=True)
    to_change.set_modified()
    io.export(src_io=read_io, nwbfile=to_change)

with NWBZarrIO(changed, "r") as io:
    copied = io.read()
    assert copied.object_id == to_change.object_id
    assert bool(copied.trials["correct"][0]) is True

folder.cleanup()
