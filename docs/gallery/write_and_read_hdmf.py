"""
Write and read HDMF data
========================

:class:`hdmf_zarr.ZarrIO` writes any data that HDMF can describe. This example is a table,
one of the types of ``hdmf-common``; for neurophysiology see the page on NWB.
"""

# %%
# Make a table
# ------------
# The table has a column of numbers, one of text, and a ragged one whose rows are lists.

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hdmf.common import DynamicTable, VectorData, get_manager

from hdmf_zarr import ZarrDataIO, ZarrIO

folder = TemporaryDirectory()
path = Path(folder.name) / "table.zarr"

table = DynamicTable(
    name="cells",
    description="Cells of one slice.",
    columns=[
        VectorData(
            name="depth", description="Below the surface, in micrometres.", data=[120.0, 250.5]
        ),
        VectorData(name="layer", description="Cortical layer.", data=["L2/3", "L4"]),
    ],
)
table.add_column(
    name="spikes", description="Times of spikes.", index=True, data=[[0.1, 0.7], [0.4]]
)

# %%
# Write it
# --------
# Mode ``w`` replaces a store, ``w-`` refuses to. The specifications of the types are stored
# with the data, and the metadata of the whole store in one document, so that one request opens
# it. The store at the path is always complete: it appears when all of it has been written.

with ZarrIO(path, "w", manager=get_manager()) as io:
    io.write(table)

assert path.is_dir()

# %%
# Read it
# -------
# Arrays are read when they are indexed.

with ZarrIO(path, "r", manager=get_manager()) as io:
    read = io.read()
    assert read["depth"].data[1] == 250.5
    assert list(read["layer"].data[:]) == ["L2/3", "L4"]
    assert read["spikes"][0].tolist() == [0.1, 0.7]
    print(read.to_dataframe())

# %%
# Choose chunks and codecs
# ------------------------
# By default an array below about 4 MB is one chunk; a larger one has chunks of about 4 MB of
# whole rows. Chunks are compressed. :class:`hdmf_zarr.ZarrDataIO` takes any codec of ``zarr`` or
# ``numcodecs``, and shards, which hold many chunks in one file.

from numcodecs import Blosc

recording = np.arange(400_000, dtype="int16").reshape(100_000, 4)
data = ZarrDataIO(
    recording,
    chunks=(5_000, 4),
    shards=(50_000, 4),
    compressor=Blosc(cname="zstd", clevel=5, shuffle=Blosc.BITSHUFFLE),
)
samples = DynamicTable(
    name="samples",
    description="One row a sample.",
    columns=[VectorData(name="voltage", description="Of four channels.", data=data)],
)
sharded = Path(folder.name) / "sharded.zarr"

with ZarrIO(sharded, "w", manager=get_manager()) as io:
    io.write(samples)

with ZarrIO(sharded, "r", manager=get_manager()) as io:
    voltage = io.read()["voltage"].data
    assert voltage.chunks == (5_000, 4)
    assert voltage.shards == (50_000, 4)
    assert np.array_equal(voltage[49_990:50_010], recording[49_990:50_010])
    print(voltage.shape, voltage.dtype, voltage.compressor)

# %%
# Write data that do not fit in memory
# ------------------------------------
# The data come from an iterator, one piece after the other.

from hdmf.data_utils import DataChunkIterator

pieces = (np.full(4, row, dtype="float32") for row in range(1_000))
streamed = DynamicTable(
    name="streamed",
    description="Rows that were made one at a time.",
    columns=[
        VectorData(
            name="row",
            description="Four numbers.",
            data=DataChunkIterator(
                data=pieces, maxshape=(None, 4), dtype=np.dtype("float32"), buffer_size=100
            ),
        )
    ],
    id=list(range(1_000)),
)
from_iterator = Path(folder.name) / "streamed.zarr"

with ZarrIO(from_iterator, "w", manager=get_manager()) as io:
    io.write(streamed)

with ZarrIO(from_iterator, "r", manager=get_manager()) as io:
    row = io.read()["row"].data
    assert row.shape == (1_000, 4)
    assert row[999].tolist() == [999.0] * 4

# %%
# Add rows
# --------
# Mode ``r+`` opens a store to append to it.

with ZarrIO(path, "r+", manager=get_manager()) as io:
    io.read().add_row(depth=310.0, layer="L5", spikes=[0.2, 0.3, 0.9])

with ZarrIO(path, "r", manager=get_manager()) as io:
    grown = io.read()
    assert len(grown) == 3
    assert grown["spikes"][2].tolist() == [0.2, 0.3, 0.9]

folder.cleanup()
