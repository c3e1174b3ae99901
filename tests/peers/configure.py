"""What neuroconv makes of its own configurations of datasets, as JSON.

A script, which an environment with neuroconv and this package runs.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs.registry import codec_registry
from pynwb import NWBFile, TimeSeries, read_nwb

from hdmf_zarr import NWBZarrIO

VALUES = np.arange(3000.0).reshape(1000, 3)
NAMES = ("default", "shuffled", "plain")


def nwbfile(names: tuple[str, ...] = NAMES) -> NWBFile:
    """A file with a series for each name."""
    file = NWBFile("a session", "an id", datetime(2024, 1, 1, tzinfo=UTC))
    for name in names:
        file.add_acquisition(TimeSeries(name=name, data=VALUES, unit="V", rate=1.0))
    return file


def written(path: Path, zarr_format: int) -> dict[str, Any]:
    """Write a file with a configuration, and return the one that is read from it."""
    from neuroconv.tools import nwb_helpers

    file = nwbfile()
    configuration = nwb_helpers.get_default_backend_configuration(file, backend="zarr")
    datasets = configuration.dataset_configurations
    datasets["acquisition/shuffled/data"].compressors = ["shuffle", "gzip"]
    datasets["acquisition/shuffled/data"].chunk_shape = (100, 3)
    datasets["acquisition/plain/data"].compressors = None
    nwb_helpers.configure_backend(nwbfile=file, backend_configuration=configuration)
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(file)
    return existing(path)


def existing(path: Path) -> dict[str, Any]:
    """Return how each dataset of a store is stored, as neuroconv says it."""
    from neuroconv.tools import nwb_helpers

    with NWBZarrIO(path, "r") as io:
        found = nwb_helpers.get_existing_backend_configuration(nwbfile=io.read())
    return {name: _described(one) for name, one in found.dataset_configurations.items()}


def _described(configuration: Any) -> list[Any]:
    compressors, options = configuration.compressors, configuration.compressor_options
    return [
        list(configuration.chunk_shape),
        compressors and [str(one) for one in compressors],
        options and [options_of and dict(options_of) for options_of in options],
        configuration.filters,
    ]


def appended(path: Path) -> list[str]:
    """Append a configured series to a store, and return the warnings."""
    from neuroconv.tools import nwb_helpers

    with warnings.catch_warnings(record=True) as caught, NWBZarrIO(path, "r+") as io:
        warnings.simplefilter("always", UserWarning)
        file = io.read()
        file.add_acquisition(TimeSeries(name="later", data=VALUES + 1, unit="V", rate=1.0))
        configuration = nwb_helpers.get_default_backend_configuration(file, backend="zarr")
        assert list(configuration.dataset_configurations) == ["acquisition/later/data"]
        nwb_helpers.configure_backend(nwbfile=file, backend_configuration=configuration)
        io.write(file)
    return [str(one.message) for one in caught if one.category is UserWarning]


def repacked(path: Path, folder: Path) -> dict[str, bool]:
    """Repack a store to HDF5 and that to a store, and return whether each has the values."""
    from neuroconv.tools import nwb_helpers

    paths = {"hdf5": folder / "repacked.nwb", "zarr": folder / "repacked.nwb.zarr"}
    source, has_values = path, {}
    for backend, target in paths.items():
        nwb_helpers.repack_nwbfile(
            nwbfile_path=source, export_nwbfile_path=target, export_backend=backend
        )
        has_values[backend] = _has_values(read_nwb(target).acquisition)
        source = target
    return has_values


def _has_values(acquisition: Mapping[str, Any]) -> bool:
    return all(np.array_equal(acquisition[name].data[:], VALUES) for name in NAMES)


if __name__ == "__main__":
    # A name of zarr-python 2, which neuroconv 0.10 reads when it is imported.
    zarr.codec_registry = codec_registry
    store, zarr_format, output = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    facts = {
        "written": written(store, zarr_format),
        "warnings": appended(store),
        "existing": existing(store),
        "repacked": repacked(store, output.parent),
    }
    output.write_text(json.dumps(facts))
