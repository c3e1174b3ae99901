"""A table that describes a dataset, for notebooks."""

from __future__ import annotations

import numpy as np
import zarr
from hdmf.build import DatasetBuilder, GroupBuilder
from zarr.storage import MemoryStore

from hdmf_zarr import ZarrDataIO, ZarrIO
from hdmf_zarr.session.html import dataset_html

DATA = np.arange(8, dtype="int16")


def test_a_stored_array_is_described_with_its_chunks_and_its_size_in_the_store() -> None:
    store = MemoryStore()
    data = ZarrDataIO(DATA, chunks=(4,))
    with ZarrIO(store, "w") as io:
        io.write_builder(GroupBuilder("root", datasets=[DatasetBuilder("data", data)]))
    with ZarrIO(store, "r") as io:
        html = dataset_html(io.read_builder()["data"].data)
    for text in ("int16", "(8,)", "(4,)", "Compressor", "Stored objects", "Zarr array"):
        assert text in html


def test_an_array_of_zarr_has_no_size_in_a_store_that_is_not_ours() -> None:
    html = dataset_html(zarr.create_array(MemoryStore(), data=DATA))
    assert "Chunk shape" in html
    assert "Stored" not in html


def test_what_is_no_array_of_zarr_is_described_by_hdmf() -> None:
    assert "ndarray" in dataset_html(DATA)
