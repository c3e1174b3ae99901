"""Write and link files of Zarr format 2; a script that an environment with release 0.13 runs."""

from __future__ import annotations

import sys
import warnings
from datetime import UTC, datetime
from typing import Any

import numcodecs
import numpy as np
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBFile, TimeSeries, get_manager
from pynwb.ecephys import ElectricalSeries
from pynwb.ophys import ImageSegmentation, OpticalChannel

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO
from tests.rich import NON_ASCII, fixed_object_ids


def make_file() -> NWBFile:
    """Return a file of what release 0.13 can write, always with the same content."""
    with fixed_object_ids():
        nwbfile = NWBFile(
            session_description=NON_ASCII,
            identifier="format 2",
            session_start_time=datetime(2024, 3, 5, 9, 30, tzinfo=UTC),
            file_create_date=datetime(2024, 3, 6, tzinfo=UTC),
            keywords=["größer", "b"],
        )
        _add_series(nwbfile)
        _add_tables(nwbfile)
        _add_masks(nwbfile)
        return nwbfile


def _add_series(nwbfile: NWBFile) -> None:
    first = TimeSeries(
        name="first",
        data=np.array([1.5, np.nan, np.inf]),
        unit="m",
        timestamps=np.arange(3) / 3,
        resolution=np.nan,
        comments=NON_ASCII,
    )
    nwbfile.add_acquisition(first)
    nwbfile.add_acquisition(TimeSeries(name="second", data=first, unit="m", timestamps=first))
    numbers = np.arange(24, dtype="u2").reshape(4, 3, 2)
    nwbfile.add_acquisition(TimeSeries(name="numbers", data=numbers, unit="n", rate=30.0))
    filtered = ZarrDataIO(numbers[..., 0], chunks=(3, 2), filters=[numcodecs.Delta("u2")])
    nwbfile.add_acquisition(TimeSeries(name="filtered", data=filtered, unit="n", rate=30.0))


def _add_tables(nwbfile: NWBFile) -> None:
    device = nwbfile.create_device("probe")
    groups = [
        nwbfile.create_electrode_group(f"shank{n}", description="d", location="CA1", device=device)
        for n in range(2)
    ]
    for n in range(3):
        nwbfile.add_electrode(x=float(n), y=-1.0, z=0.5, group=groups[n % 2], location="CA1")
    region = nwbfile.create_electrode_table_region([2, 0], "two of them")
    data = np.arange(20, dtype="i2").reshape(10, 2)
    nwbfile.add_acquisition(ElectricalSeries(name="raw", data=data, electrodes=region, rate=1.0))
    nwbfile.add_unit_column("quality", "text")
    for n in range(3):
        nwbfile.add_unit(
            spike_times=np.arange(n + 1) / 7,
            electrodes=[n],
            electrode_group=groups[n % 2],
            quality=["good", "", "größer"][n],
        )
    first, second = nwbfile.acquisition["first"], nwbfile.acquisition["second"]
    for n in range(3):
        series = [[first], [first, second], [second]][n]
        nwbfile.add_trial(
            start_time=float(n), stop_time=n + 0.5, tags=["a", "ç"], timeseries=series
        )


def _add_masks(nwbfile: NWBFile) -> None:
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=OpticalChannel(name="green", description="d", emission_lambda=500.0),
        description="d",
        device=nwbfile.create_device("microscope"),
        excitation_lambda=600.0,
        indicator="GFP",
        location="V1",
        imaging_rate=30.0,
    )
    segmentation = ImageSegmentation()
    nwbfile.create_processing_module("ophys", "processed").add(segmentation)
    masks = segmentation.create_plane_segmentation(
        name="masks", description="d", imaging_plane=plane
    )
    for n in range(3):
        masks.add_roi(pixel_mask=[(n, i, 1.0 / (i + 1)) for i in range(n + 1)])


def write(path: str) -> None:
    """Write the file with references as the release writes them."""
    with NWBZarrIO(path, "w") as io:
        io.write(make_file())


def write_json(path: str) -> None:
    """Write the file with references as JSON."""
    options: dict[str, Any] = {"object_codec_class": numcodecs.JSON}
    with ZarrIO(path, manager=get_manager(), mode="w", **options) as io:
        io.write(make_file(), cache_spec=False)


def write_iterators(path: str) -> None:
    """Write series whose data come from iterators."""
    with fixed_object_ids():
        nwbfile = NWBFile("iterators", "iterators", datetime(2024, 1, 1, tzinfo=UTC))
        nwbfile.fields["file_create_date"] = [datetime(2024, 1, 2, tzinfo=UTC)]
        for dtype in ("int16", "float32", "float64"):
            rows = np.arange(20, dtype=dtype).reshape(10, 2)
            data = DataChunkIterator(data=iter(rows), buffer_size=3)
            nwbfile.add_acquisition(TimeSeries(name=dtype, data=data, unit="V", rate=1.0))
    with NWBZarrIO(path, "w") as io:
        io.write(nwbfile)


def link(source: str, destination: str) -> None:
    """Write a file that links to data of another store."""
    manager = get_manager()
    with NWBZarrIO(source, manager=manager, mode="r") as src_io:
        other = src_io.read().acquisition["numbers"]
        with fixed_object_ids():
            nwbfile = NWBFile("links", "links", datetime(2024, 1, 1, tzinfo=UTC))
            nwbfile.add_acquisition(TimeSeries(name="shares", data=other.data, unit="n", rate=1.0))
        with NWBZarrIO(destination, manager=manager, mode="w") as io:
            io.write(nwbfile, link_data=True)


COMMANDS = {"write": write, "json": write_json, "iterators": write_iterators, "link": link}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    COMMANDS[sys.argv[1]](*sys.argv[2:])
