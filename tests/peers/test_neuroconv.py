"""neuroconv configures, appends and repacks with this package; its environment is its own.

Release 0.10 is written for zarr-python 2. ``HDMF_ZARR_NEUROCONV`` names the Python of an environment
with it and this package, which ``tox -e clients`` makes; the script lends zarr-python 3 the one name
of zarr-python 2 that neuroconv reads when it is imported.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from hdmf_zarr import NWBZarrIO
from tests.peers.configure import NAMES, VALUES
from tests.peers.conftest import Peer

VARIABLE = "HDMF_ZARR_NEUROCONV"
GZIP = "GZip(level=1)"
WRITTEN = {
    "acquisition/default/data": [[1000, 3], [GZIP], None, None],
    "acquisition/shuffled/data": [[100, 3], ["shuffle", GZIP], [{"elementsize": 8}, None], None],
    "acquisition/plain/data": [[1000, 3], None, None, None],
}
"""Chunks, compressors, their options and filters, in the words of neuroconv."""


@pytest.fixture
def peer() -> Peer:
    """The interpreter that the environment variable names."""
    named = os.environ.get(VARIABLE)
    if named is None:
        pytest.skip(f"{VARIABLE} names no Python with neuroconv: tox -e clients")
    return Peer(Path(named).absolute())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_configuration_is_written_found_again_and_appended_with(
    peer: Peer, zarr_format: int, tmp_path: Path
) -> None:
    path, output = tmp_path / "a.nwb.zarr", tmp_path / "facts.json"
    peer.run("configure", path, zarr_format, output)
    facts = json.loads(output.read_text())
    assert facts["written"] == WRITTEN
    assert facts["warnings"] == []
    later = {"acquisition/later/data": [[1000, 3], [GZIP], None, None]}
    assert facts["existing"] == WRITTEN | later
    assert facts["repacked"] == {"hdf5": True, "zarr": True}
    with NWBZarrIO(path, "r") as io:
        acquisition = io.read().acquisition
        assert acquisition["shuffled"].data.filters == [numcodecs.Shuffle(8)]
        for name in NAMES:
            assert np.array_equal(acquisition[name].data[:], VALUES)
        assert np.array_equal(acquisition["later"].data[:], VALUES + 1)
