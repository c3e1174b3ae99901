"""Write an HDF5 file and export it with a released version; run in an environment with that version.

``v0.1.0-export.tar.gz`` and the like hold what this wrote: ``twin.nwb`` (HDF5), ``export.nwb.zarr`` (exported
from it) and ``direct.nwb.zarr`` (the same content, written at once). Releases before 0.10 pickle each text
that stands alone in an exported file, those before 0.6 the numbers beside references as numbers of numpy.
The environments were::

    python3.8   hdmf-zarr==0.1.0 hdmf==3.4.7  pynwb==2.2.0 zarr==2.16.1 numpy==1.23.5
    python3.9   hdmf-zarr==0.5.0 hdmf==3.11.0 pynwb==2.5.0 zarr==2.16.1 numpy==1.26.4
    python3.10  hdmf-zarr==0.9.0 hdmf==3.14.5 pynwb==2.8.2 zarr==2.18.3 numpy==2.2.6

Usage: ``python write_export.py FOLDER``
"""

import os
import sys
import tarfile
import warnings
from datetime import datetime, timezone

import h5py
import numpy as np
from hdmf.data_utils import DataChunkIterator
from hdmf_zarr.nwb import NWBZarrIO
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ophys import ImageSegmentation, OpticalChannel

TEXTS = {
    "notes": '{"source": ".", "path": "/general", "object_id": null, "source_object_id": null}',
    "lab": "[1, 2]",
    "institution": "{",
    "pharmacology": "",
    "protocol": "é" * 70000,
    "slices": "0",
    "surgery": "null",
}
"""Text that reads like what references are stored as, that is empty, that is long."""


def make_file(*, of_iterator):
    start = datetime(2020, 3, 1, 12, 30, 45, tzinfo=timezone.utc)  # noqa: UP017 - of Python 3.8
    nwbfile = NWBFile(
        session_description="séance",
        identifier="export",
        session_start_time=start,
        file_create_date=start,
        keywords=["a", "µ"],
        **TEXTS,
    )
    series = TimeSeries(name="series", data=np.arange(6.0).reshape(3, 2), unit="V", rate=10.0)
    nwbfile.add_acquisition(series)
    rows = np.arange(12, dtype="i2").reshape(6, 2)
    data = DataChunkIterator(data=iter(rows), buffer_size=2, maxshape=(6, 2)) if of_iterator else rows
    nwbfile.add_acquisition(TimeSeries(name="iterator", data=data, unit="V", timestamps=np.arange(6.0)))
    device = nwbfile.create_device(name="device")
    group = nwbfile.create_electrode_group(name="g", description="d", location="CA1", device=device)
    for n in range(2):
        nwbfile.add_electrode(x=1.0 * n, y=2.0, z=np.nan, imp=1e6, location="CA1", filtering="n", group=group)
    nwbfile.add_trial_column("tags", "text, of many lengths", index=True)
    for n in range(3):
        nwbfile.add_trial(start_time=1.0 * n, stop_time=n + 0.5, tags=["x", "é"][:n], timeseries=[series] * (n + 1))
    channel = OpticalChannel("channel", "d", 500.0)
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        imaging_rate=30.0,
        description="d",
        device=device,
        excitation_lambda=600.0,
        indicator="G",
        location="V1",
    )
    segmentation = ImageSegmentation()
    nwbfile.create_processing_module("ophys", "d").add(segmentation)
    masks = segmentation.create_plane_segmentation(name="masks", description="d", imaging_plane=plane)
    for n in range(3):
        masks.add_roi(pixel_mask=[(m, n, 1.5) for m in range(n + 1)])
    nwbfile.add_scratch(np.arange(3, dtype="u4"), name="numbers", description="d")
    return nwbfile


def add_records(path):
    """Add what h5py writes and pynwb does not: records with text."""
    dtype = np.dtype([("a", "i4"), ("b", h5py.string_dtype())])
    with h5py.File(path, "r+") as file:
        records = file["scratch"].create_dataset("records", data=np.array([(1, "xé"), (2, "")], dtype=dtype))
        records.attrs.update(neurodata_type="ScratchData", namespace="core", object_id="records", notes="n")


def main(folder):
    warnings.simplefilter("ignore")
    os.makedirs(folder)
    twin, direct, export = (
        os.path.join(folder, name) for name in ("twin.nwb", "direct.nwb.zarr", "export.nwb.zarr")
    )
    with NWBHDF5IO(twin, "w") as io:
        io.write(make_file(of_iterator=False), cache_spec=False)
    with NWBZarrIO(direct, mode="w") as io:
        io.write(make_file(of_iterator=True), cache_spec=False)
    add_records(twin)
    with NWBHDF5IO(twin, "r") as source, NWBZarrIO(export, mode="w") as io:
        io.export(src_io=source, write_args={"link_data": False})
    with tarfile.open(folder + ".tar.gz", "w:gz") as archive:
        for path in (twin, direct, export):
            archive.add(path, os.path.basename(path))


if __name__ == "__main__":
    main(sys.argv[1])
