"""Write, append to and export files; a script that an environment with a released version runs."""

from __future__ import annotations

import sys
import warnings

import numpy as np
from pynwb import NWBHDF5IO, TimeSeries, get_manager, validate

from hdmf_zarr import NWBZarrIO
from tests.rich import rich_nwbfile


def write(path: str) -> None:
    """Write the rich file, without the extension."""
    with NWBZarrIO(path, "w") as io:
        io.write(rich_nwbfile())


def append(path: str) -> None:
    """Add a series that shares timestamps, and a column."""
    with NWBZarrIO(path, "r+") as io:
        nwbfile = io.read()
        first = nwbfile.acquisition["first"]
        added = TimeSeries(name="added", data=np.arange(5, dtype="i2"), unit="V", timestamps=first)
        nwbfile.add_acquisition(added)
        nwbfile.units.add_column("later", "added later", data=["a", "ö", ""])
        io.write(nwbfile)


def export(source: str, destination: str) -> None:
    """Export a store, without a change, to Zarr or HDF5."""
    kind = NWBZarrIO if destination.endswith(".zarr") else NWBHDF5IO
    with NWBZarrIO(source, "r") as src_io, kind(destination, "w") as io:
        io.export(src_io=src_io, write_args={"link_data": False})


def link(source: str, destination: str) -> None:
    """Write a file that links to a series, and to an array, of another store."""
    manager = get_manager()
    with NWBZarrIO(source, "r", manager=manager) as src_io:
        other = src_io.read().acquisition
        nwbfile = rich_nwbfile()
        nwbfile.add_acquisition(
            TimeSeries(
                name="shares", data=other["image_like"].data, unit="n", timestamps=other["first"]
            )
        )
        with NWBZarrIO(destination, "w", manager=manager) as io:
            io.write(nwbfile, link_data=True)


def validated(path: str) -> None:
    """Print the errors that validation finds."""
    with NWBZarrIO(path, "r") as io:
        for error in validate(io=io):
            print(error)


COMMANDS = {"write": write, "append": append, "export": export, "link": link, "validate": validated}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    COMMANDS[sys.argv[1]](*sys.argv[2:])
