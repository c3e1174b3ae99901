"""
Convert from HDF5
=================

A conversion keeps a file exactly: its values, data types, attributes, links, references, object
ids, and the specifications that it caches. Nothing is upgraded or rebuilt.
"""

# %%
# On the command line
# -------------------
# ::
#
#     hdmf-zarr convert sample_ecephys.nwb sample.nwb.zarr
#     hdmf-zarr info sample.nwb.zarr
#
# The destination's suffix selects the format: ``.zarr``, or ``.nwb``, ``.h5`` and ``.hdf5``
# for HDF5, so the same command converts back. An existing file is replaced only with
# ``--overwrite``, and only when the new one is complete. The same commands from Python:

from pathlib import Path
from tempfile import TemporaryDirectory

from hdmf_zarr.cli import main

source = Path(__file__).parent / "resources" / "sample_ecephys.nwb"
folder = TemporaryDirectory()
converted = Path(folder.name) / "sample.nwb.zarr"

assert main(["convert", str(source), str(converted)]) == 0
assert main(["info", str(converted)]) == 0

# %%
# Compare both files
# ------------------

import numpy as np
from pynwb import NWBHDF5IO

from hdmf_zarr import NWBZarrIO

with NWBHDF5IO(source, "r") as hdf5_io, NWBZarrIO(converted, "r") as zarr_io:
    original, copy = hdf5_io.read(), zarr_io.read()
    assert copy.object_id == original.object_id
    assert copy.identifier == original.identifier
    raw, raw_copy = original.acquisition["raw"], copy.acquisition["raw"]
    assert raw_copy.data.dtype == raw.data.dtype
    assert np.array_equal(raw_copy.data[:], raw.data[:])
    assert copy.units["spike_times"][2].tolist() == original.units["spike_times"][2].tolist()

# %%
# With the API
# ------------
# An export without a container keeps the file unchanged.

exported = Path(folder.name) / "exported.nwb.zarr"

with NWBHDF5IO(source, "r") as hdf5_io, NWBZarrIO(exported, "w") as zarr_io:
    zarr_io.export(src_io=hdf5_io)

# %%
# With changes
# ------------
# An export of the container that was read writes its present content. Here the raw data get other
# chunks and another codec.

from zarr.codecs import ZstdCodec

from hdmf_zarr import ZarrDataIO

rechunked = Path(folder.name) / "rechunked.nwb.zarr"

with NWBHDF5IO(source, "r") as hdf5_io, NWBZarrIO(rechunked, "w") as zarr_io:
    nwbfile = hdf5_io.read()
    series = nwbfile.acquisition["raw"]
    series.set_data_io("data", ZarrDataIO, {"chunks": (250, 4), "compressor": ZstdCodec(level=9)})
    series.set_modified()
    zarr_io.export(src_io=hdf5_io, nwbfile=nwbfile)

with NWBZarrIO(rechunked, "r") as zarr_io:
    data = zarr_io.read().acquisition["raw"].data
    assert data.chunks == (250, 4)
    assert data.compressor.get_config()["id"] == "zstd"  # as numcodecs, in both formats
    assert data.compressor.level == 9

# %%
# Convert back to HDF5
# --------------------

back = Path(folder.name) / "back.nwb"
assert main(["convert", str(converted), str(back), "--quiet"]) == 0

with NWBHDF5IO(source, "r") as hdf5_io, NWBHDF5IO(back, "r") as back_io:
    original, returned = hdf5_io.read(), back_io.read()
    assert returned.object_id == original.object_id
    assert np.array_equal(returned.acquisition["raw"].data[:], original.acquisition["raw"].data[:])

folder.cleanup()
