"""What containers of a file hold: identities, rows, values behind references; as JSON.

Also a script, which an environment with a released version runs.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
from pynwb import NWBFile

from tests.peers.describe import _value


def facts(nwbfile: NWBFile) -> dict[str, Any]:
    """Return facts about the file of `tests.rich`, of containers rather than builders."""
    acquisition = nwbfile.acquisition
    first, second = acquisition["first"], acquisition["second"]
    segmentation = nwbfile.processing["ophys"]["ImageSegmentation"]
    recordings = nwbfile.intracellular_recordings
    found = {
        "linked data": second.data is first.data,
        "linked timestamps": second.timestamps is first.timestamps,
        "linked series": acquisition["raw"].electrodes.table is nwbfile.electrodes,
        "groups": [group.name for group in nwbfile.electrodes["group"][:]],
        "a group": nwbfile.units["electrode_group"][0] is nwbfile.electrode_groups["shank0"],
        "order": [image.name for image in nwbfile.stimulus_template["images"].order_of_images.data],
        "masks": [_value(mask)[1] for mask in segmentation["by_pixel"]["pixel_mask"][:]],
        "start": nwbfile.session_start_time.isoformat(),
        "responses": [
            [int(entry.idx_start), int(entry.count), entry.timeseries.name]
            for entry in recordings["responses"]["response"][:]
        ],
    }
    for table in (nwbfile.trials, nwbfile.epochs, nwbfile.units, nwbfile.electrodes):
        for name in table.colnames:
            if name not in ("group", "electrode_group", "electrodes"):
                found[f"{table.name}/{name}"] = [_cell(row) for row in table[name][:]]
    return found


def _cell(cell: Any) -> Any:
    if type(cell).__name__ == "TimeSeriesReference":
        return [int(cell.idx_start), int(cell.count), cell.timeseries.name]
    if isinstance(cell, (list, tuple, np.ndarray)):
        return [_cell(entry) for entry in cell]
    return _value(cell)[1]


def main(path: str, mode: str) -> None:
    """Read a store with the installed hdmf-zarr and print the facts."""
    from hdmf_zarr import NWBZarrIO

    warnings.simplefilter("ignore")
    with NWBZarrIO(path, mode) as io:
        print(json.dumps(facts(io.read())))


if __name__ == "__main__":
    main(*sys.argv[1:])
