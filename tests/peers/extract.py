"""What spikeinterface's extractors give of a file, as JSON.

A script, which an environment with spikeinterface runs: it imports nothing of this package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

RECORDING, AUXILIARY, STAMPED = (f"acquisition/{name}" for name in ("raw", "aux", "stamped"))


def extract(path: str, *, use_pynwb: bool, stream_mode: str | None) -> dict[str, Any]:
    """Return what every extractor gives, by the object that it reads."""
    from spikeinterface.extractors import nwbextractors as extractors

    given = {"file_path": path, "stream_mode": stream_mode}
    way = given | {"use_pynwb": use_pynwb}
    recording, series = extractors.NwbRecordingExtractor, extractors.NwbTimeSeriesExtractor
    return {
        "recordings": recording.fetch_available_electrical_series_paths(**given),
        "series": sorted(series.fetch_available_timeseries_paths(**given)),
        RECORDING: _recording(recording(**way)),
        AUXILIARY: _recording(series(timeseries_path=AUXILIARY, **way)),
        STAMPED: _recording(series(timeseries_path=STAMPED, **way)),
        "units": _sorting(extractors.NwbSortingExtractor(electrical_series_path=RECORDING, **way)),
    }


def _recording(recording: Any) -> dict[str, Any]:
    traces = recording.get_traces()
    return {
        "ids": [str(name) for name in recording.channel_ids],
        "rate": float(recording.sampling_frequency),
        "dtype": str(traces.dtype),
        "traces": traces.tolist(),
        "times": recording.get_times().tolist(),
        "properties": _properties(recording),
    }


def _sorting(sorting: Any) -> dict[str, Any]:
    return {
        "ids": [str(name) for name in sorting.unit_ids],
        "rate": float(sorting.sampling_frequency),
        "trains": [sorting.get_unit_spike_train(name).tolist() for name in sorting.unit_ids],
        "properties": _properties(sorting),
    }


def _properties(extractor: Any) -> dict[str, Any]:
    return {
        key: np.asarray(extractor.get_property(key)).tolist()
        for key in extractor.get_property_keys()
        if key != "contact_vector"
    }


if __name__ == "__main__":
    source, target, *ways = sys.argv[1:]
    found = {
        way: extract(
            source,
            use_pynwb="pynwb" in way,
            stream_mode="zarr" if "streamed" in way else None,
        )
        for way in ways
    }
    Path(target).write_text(json.dumps(found))
