"""An NWB file that uses everything, made anew at each call and always with the same content."""

from __future__ import annotations

import functools
import itertools
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from hdmf.build import BuildManager, TypeMap
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile, TimeSeries, get_type_map
from pynwb.base import ImageReferences, Images
from pynwb.behavior import BehavioralEvents, Position, SpatialSeries
from pynwb.core import ScratchData
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import Subject
from pynwb.icephys import VoltageClampSeries, VoltageClampStimulusSeries
from pynwb.image import GrayscaleImage, RGBImage
from pynwb.ophys import (
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    RoiResponseSeries,
    TwoPhotonSeries,
)
from pynwb.spec import (
    NWBAttributeSpec,
    NWBDatasetSpec,
    NWBDtypeSpec,
    NWBGroupSpec,
    NWBLinkSpec,
    NWBNamespaceBuilder,
    NWBRefSpec,
)

NAMESPACE = "rich-extension"
START = datetime(2024, 3, 5, 9, 30, 15, 250000, tzinfo=timezone(timedelta(hours=-5)))
NON_ASCII = "µV – größer ≥ 5 日本 🧠"


# -- the extension ---------------------------------------------------------------------------------


def _reference(target: str) -> NWBRefSpec:
    return NWBRefSpec(target_type=target, reftype="object")


def _field(name: str, dtype: Any) -> NWBDtypeSpec:
    return NWBDtypeSpec(name=name, doc=f"the {name}", dtype=dtype)


def _attribute(name: str, dtype: Any, *, shape: Any = None) -> NWBAttributeSpec:
    return NWBAttributeSpec(name=name, doc=f"the {name}", dtype=dtype, shape=shape)


def _dataset(name: str, dtype: Any, *, shape: Any = None) -> NWBDatasetSpec:
    return NWBDatasetSpec(name=name, doc=f"the {name}", dtype=dtype, shape=shape)


def _specifications() -> list[NWBGroupSpec | NWBDatasetSpec]:
    return [
        NWBGroupSpec(
            neurodata_type_def="RichData",
            neurodata_type_inc="NWBDataInterface",
            doc="one of everything",
            attributes=[
                _attribute("count", "uint32"),
                _attribute("level", "int8"),
                _attribute("ratio", "float32"),
                _attribute("limit", "float64"),
                _attribute("missing", "float64"),
                _attribute("note", "text"),
                _attribute("spelled_nan", "text"),
                _attribute("flag", "bool"),
                _attribute("codes", "int16", shape=[None]),
                _attribute("weights", "float32", shape=[None, None]),
                _attribute("labels", "text", shape=[None]),
                _attribute("points_to", _reference("TimeSeries")),
            ],
            datasets=[
                _dataset("plain_ascii", "ascii", shape=[None]),
                _dataset("dates", "isodatetime", shape=[None]),
                _dataset("one_date", "isodatetime"),
                _dataset("raw", "bytes", shape=[None]),
                _dataset("texts", "text", shape=[None, None]),
                _dataset("small", "uint8"),
            ],
            links=[NWBLinkSpec(name="made_from", doc="the origin", target_type="TimeSeries")],
        ),
        NWBDatasetSpec(
            neurodata_type_def="RichReferences",
            neurodata_type_inc="VectorData",
            doc="a column of references",
            dtype=_reference("TimeSeries"),
            shape=[None],
        ),
        NWBDatasetSpec(
            neurodata_type_def="RichDates",
            neurodata_type_inc="VectorData",
            doc="a column of dates",
            dtype="isodatetime",
            shape=[None],
        ),
        NWBDatasetSpec(
            neurodata_type_def="RichRows",
            neurodata_type_inc="VectorData",
            doc="a column of records",
            dtype=[
                _field("label", "text"),
                _field("code", "ascii"),
                _field("series", _reference("TimeSeries")),
                _field("weight", "float32"),
                _field("is_used", "bool"),
            ],
        ),
        NWBGroupSpec(
            neurodata_type_def="RichTable",
            neurodata_type_inc="DynamicTable",
            doc="a table of such columns",
            datasets=[
                NWBDatasetSpec(name="references", neurodata_type_inc="RichReferences", doc="d"),
                NWBDatasetSpec(name="dates", neurodata_type_inc="RichDates", doc="d"),
                NWBDatasetSpec(name="rows", neurodata_type_inc="RichRows", doc="d"),
            ],
        ),
    ]


@functools.cache
def extension_path() -> Path:
    """Return the file of the extension's namespace, exported into a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rich-extension-"))
    builder = NWBNamespaceBuilder(
        doc="one of everything", name=NAMESPACE, version="0.3.0", author=["A"], contact=["a@b.org"]
    )
    builder.include_type("NWBDataInterface", namespace="core")
    builder.include_type("TimeSeries", namespace="core")
    builder.include_type("VectorData", namespace="hdmf-common")
    builder.include_type("DynamicTable", namespace="hdmf-common")
    for spec in _specifications():
        builder.add_spec("rich.extensions.yaml", spec)
    builder.export("rich.namespace.yaml", outdir=str(folder))
    return folder / "rich.namespace.yaml"


@functools.cache
def rich_type_map() -> TypeMap:
    """Return a type map with the extension, one for all tests; the global one does not learn of it.

    With a manager for it a file is read without parsing the specifications that the file caches,
    which takes longer than everything else.
    """
    type_map = get_type_map()
    type_map.load_namespaces(str(extension_path()))
    return type_map


def rich_manager() -> BuildManager:
    """Return a new manager that knows the extension."""
    return BuildManager(rich_type_map())


# -- the file --------------------------------------------------------------------------------------


@contextmanager
def fixed_object_ids() -> Iterator[None]:
    """Give new containers the ids 1, 2, 3..., so that two files with equal content are equal."""
    numbers = itertools.count(1)
    with mock.patch("hdmf.container.uuid4", lambda: uuid.UUID(int=next(numbers))):
        yield


def rich_nwbfile(type_map: TypeMap | None = None) -> NWBFile:
    """Return the file; with a type map that knows the extension, with data of the extension, too."""
    with fixed_object_ids():
        nwbfile = _start()
        _add_time_series(nwbfile)
        _add_ecephys(nwbfile)
        _add_intervals(nwbfile)
        _add_ophys(nwbfile)
        _add_icephys(nwbfile)
        _add_images(nwbfile)
        _add_behaviour(nwbfile)
        _add_scratch(nwbfile)
        _add_tables(nwbfile)
        if type_map is not None:
            _add_extension(nwbfile, type_map)
        return nwbfile


def _start() -> NWBFile:
    return NWBFile(
        session_description=NON_ASCII,
        identifier="rich",
        session_start_time=START,
        timestamps_reference_time=START + timedelta(hours=1),
        file_create_date=[START + timedelta(days=1)],
        experimenter=["Ramón y Cajal, Santiago", "Doe, Jane"],
        keywords=["rich", "größer"],
        related_publications=["doi:10.1/a", "doi:10.1/b"],
        institution="",
        session_id="session 1",
        subject=Subject(
            subject_id="mouse 7",
            species="Mus musculus",
            sex="F",
            age="P90D",
            date_of_birth=START - timedelta(days=90),
            description=NON_ASCII,
        ),
    )


def _add_time_series(nwbfile: NWBFile) -> None:
    first = TimeSeries(
        name="first",
        data=np.array([1.5, np.nan, np.inf, -np.inf, -0.0]),
        unit="m",
        timestamps=np.arange(5) / 3,
        resolution=np.nan,
        conversion=np.inf,
        comments=NON_ASCII,
        control=np.array([1, 2, 1, 2, 1], dtype=np.uint8),
        control_description=["one", "two"],
    )
    nwbfile.add_acquisition(first)
    nwbfile.add_acquisition(TimeSeries(name="second", data=first, unit="m", timestamps=first))
    nwbfile.add_acquisition(
        TimeSeries(
            name="image_like",
            data=np.arange(24, dtype=np.uint16).reshape(4, 3, 2),
            unit="n",
            rate=30.0,
            starting_time=-2.5,
        )
    )


def _add_ecephys(nwbfile: NWBFile) -> None:
    model = nwbfile.create_device_model("model", "maker")
    device = nwbfile.create_device("probe", description=NON_ASCII, model=model)
    groups = [
        nwbfile.create_electrode_group(
            f"shank{n}",
            description="d",
            location="CA1",
            device=device,
            position=(1.0 + n, 2.0, 3.0),
        )
        for n in range(2)
    ]
    nwbfile.add_electrode_column("label", "non-ASCII and empty text")
    for n in range(4):
        nwbfile.add_electrode(
            x=float(n),
            y=np.nan,
            z=-1.0,
            group=groups[n % 2],
            location="CA1",
            label=["µ", "", "b", "ç"][n],
        )
    region = nwbfile.create_electrode_table_region([3, 0, 2], "three of them")
    rng = np.random.default_rng(0)
    raw = ElectricalSeries(
        name="raw",
        data=rng.integers(-(2**15), 2**15, (300, 3), dtype=np.int16),
        electrodes=region,
        rate=30000.0,
        conversion=1.95e-7,
        channel_conversion=[1.0, 2.0, 3.0],
        filtering="none",
    )
    nwbfile.add_acquisition(raw)
    processing = nwbfile.create_processing_module("ecephys", "processed")
    lfp_region = nwbfile.create_electrode_table_region([0, 1], "two of them")
    processing.add(
        LFP(
            electrical_series=ElectricalSeries(
                name="lfp",
                data=rng.normal(size=(50, 2)).astype(np.float32),
                electrodes=lfp_region,
                timestamps=np.arange(50) / 1000,
            )
        )
    )
    nwbfile.add_unit_column("quality", "text")
    nwbfile.add_unit_column("is_good", "bool")
    for n in range(3):
        spikes = n + 1
        nwbfile.add_unit(
            spike_times=np.arange(spikes) + n / 7,
            obs_intervals=[[0.0, 1.0], [2.0, 3.0]],
            electrodes=[n, n + 1],
            electrode_group=groups[n % 2],
            waveform_mean=np.full(5, n, dtype=np.float64),
            waveforms=[[[float(n + s + e)] * 5 for e in range(2)] for s in range(spikes)],
            quality=["good", "", "größer"][n],
            is_good=n % 2 == 0,
        )


def _add_intervals(nwbfile: NWBFile) -> None:
    first = nwbfile.acquisition["first"]
    second = nwbfile.acquisition["second"]
    nwbfile.add_trial_column("correct", "bool")
    nwbfile.add_trial_column("choice", "text")
    for n in range(3):
        nwbfile.add_trial(
            start_time=n / 3,
            stop_time=(n + 1) / 3,
            correct=n == 1,
            choice=["left", "", NON_ASCII][n],
            tags=[["a"], [""], ["b", "ç"]][n],
            timeseries=[[first], [first, second], [second]][n],
        )
    for n in range(2):
        nwbfile.add_epoch(float(n), n + 0.5, ["x", "y"][: n + 1], [first])


def _add_ophys(nwbfile: NWBFile) -> None:
    device = nwbfile.create_device("microscope")
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=OpticalChannel(name="green", description="d", emission_lambda=500.0),
        description="d",
        device=device,
        excitation_lambda=600.0,
        indicator="GFP",
        location="V1",
        imaging_rate=30.0,
        grid_spacing=[0.01, 0.01],
        grid_spacing_unit="meters",
        origin_coords=[1.0, 2.0, np.nan],
    )
    movie = TwoPhotonSeries(
        name="movie",
        data=np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5),
        imaging_plane=plane,
        unit="n.a.",
        rate=30.0,
    )
    nwbfile.add_acquisition(movie)
    processing = nwbfile.create_processing_module("ophys", "processed")
    segmentation = ImageSegmentation()
    processing.add(segmentation)
    by_image = segmentation.create_plane_segmentation(
        name="by_image", description="d", imaging_plane=plane, reference_images=movie
    )
    by_pixel = segmentation.create_plane_segmentation(
        name="by_pixel", description="d", imaging_plane=plane
    )
    for n in range(3):
        mask = np.zeros((6, 5))
        mask[n, n:] = 0.25
        by_image.add_roi(image_mask=mask)
        by_pixel.add_roi(pixel_mask=[(n, i, 1.0 / (i + 1)) for i in range(n + 1)])
    rois = by_image.create_roi_table_region(region=[2, 0], description="two of them")
    processing.add(
        Fluorescence(
            roi_response_series=RoiResponseSeries(
                name="fluorescence",
                data=np.arange(8, dtype=np.float32).reshape(4, 2),
                rois=rois,
                unit="lumens",
                timestamps=np.arange(4.0),
            )
        )
    )


def _add_icephys(nwbfile: NWBFile) -> None:
    device = nwbfile.create_device("amplifier")
    electrode = nwbfile.create_icephys_electrode(name="pipette", description="d", device=device)
    for n in range(2):
        stimulus = VoltageClampStimulusSeries(
            name=f"stimulus{n}",
            data=np.arange(6.0),
            rate=10.0,
            electrode=electrode,
            gain=0.5,
            sweep_number=np.uint32(n + 7),
        )
        response = VoltageClampSeries(
            name=f"response{n}",
            data=np.arange(6.0) * 2,
            rate=10.0,
            electrode=electrode,
            gain=0.5,
            capacitance_slow=1e-12,
            sweep_number=np.uint32(n + 7),
        )
        nwbfile.add_stimulus(stimulus, use_sweep_table=False)
        nwbfile.add_acquisition(response, use_sweep_table=False)
        nwbfile.add_intracellular_recording(
            electrode=electrode,
            stimulus=stimulus if n == 0 else None,
            stimulus_start_index=1 if n == 0 else -1,
            stimulus_index_count=3 if n == 0 else -1,
            response=response,
        )
    nwbfile.add_icephys_simultaneous_recording(recordings=[0, 1])
    nwbfile.add_icephys_sequential_recording(simultaneous_recordings=[0], stimulus_type="square")
    nwbfile.add_icephys_repetition(sequential_recordings=[0])
    nwbfile.add_icephys_experimental_condition(repetitions=[0])


def _add_images(nwbfile: NWBFile) -> None:
    images = [
        GrayscaleImage(
            name="grey", data=np.arange(6, dtype=np.uint8).reshape(2, 3), resolution=2.0
        ),
        RGBImage(name="colour", data=np.arange(18, dtype=np.uint8).reshape(2, 3, 3)),
    ]
    nwbfile.add_stimulus_template(
        Images(
            name="images",
            images=images,
            description="d",
            order_of_images=ImageReferences(name="order_of_images", data=images[::-1]),
        )
    )


def _add_behaviour(nwbfile: NWBFile) -> None:
    behaviour = nwbfile.create_processing_module("behavior", "tracked")
    series = SpatialSeries(
        name="head",
        data=np.arange(10.0).reshape(5, 2),
        reference_frame="cage",
        timestamps=np.arange(5.0),
    )
    behaviour.add(Position(spatial_series=series))
    events = TimeSeries(name="licks", data=np.ones(5, dtype=bool), unit="n.a.", timestamps=series)
    behaviour.add(BehavioralEvents(time_series=events))


def _add_scratch(nwbfile: NWBFile) -> None:
    nwbfile.add_scratch(np.arange(6, dtype=np.int32).reshape(2, 3), name="array", description="d")
    nwbfile.add_scratch(NON_ASCII, name="text", description="d")
    nwbfile.add_scratch(ScratchData(name="number", data=np.float32(2.5), description="d"))
    nwbfile.add_scratch(
        DynamicTable(
            name="table",
            description="d",
            columns=[VectorData(name="c", description="d", data=[1, 2])],
        )
    )


WIDTHS = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
)


def _add_tables(nwbfile: NWBFile) -> None:
    columns = []
    for name in WIDTHS:
        kind = np.iinfo if "int" in name else np.finfo
        limits = kind(name)
        data = np.array([limits.min, 0, limits.max], dtype=name)
        columns.append(VectorData(name=name, description="d", data=data))
    more = {
        "flag": np.array([True, False, True]),
        "text": ["", NON_ASCII, "plain"],
        "two": np.arange(6, dtype=np.int16).reshape(3, 2),
        "two_text": [["a", "b"], ["", "ç"], ["e", "f"]],
        "nan_text": ["NaN", "Infinity", "nan"],
    }
    columns += [VectorData(name=name, description="d", data=data) for name, data in more.items()]
    nwbfile.add_analysis(DynamicTable(name="widths", description=NON_ASCII, columns=columns))
    nwbfile.add_analysis(
        DynamicTable(
            name="no_rows",
            description="d",
            columns=[
                VectorData(name="numbers", description="d", data=np.array([], dtype=np.float64)),
                VectorData(name="pairs", description="d", data=np.zeros((0, 2), dtype=np.int16)),
            ],
        )
    )


def _add_extension(nwbfile: NWBFile, type_map: TypeMap) -> None:
    first = nwbfile.acquisition["first"]
    second = nwbfile.acquisition["second"]
    rich_data = type_map.get_dt_container_cls("RichData", NAMESPACE)
    nwbfile.add_acquisition(
        rich_data(
            name="rich",
            count=np.uint32(2**32 - 1),
            level=np.int8(-128),
            ratio=np.float32(0.1),
            limit=-np.inf,
            missing=np.nan,
            note=NON_ASCII,
            spelled_nan="NaN",
            flag=True,
            codes=np.array([-1, 2, 32767], dtype=np.int16),
            weights=np.array([[0.1, np.nan], [np.inf, 3.0]], dtype=np.float32),
            labels=["µ", "", "c"],
            points_to=second,
            plain_ascii=[b"abc", b"", b"d"],
            dates=[START, START + timedelta(days=2)],
            one_date=START,
            raw=[b"abc", b"", b"d"],
            texts=[["µ", "b"], ["", "d"]],
            small=np.uint8(200),
            made_from=first,
        )
    )
    rows = [
        ("µ", b"abc", first, 0.1, True),
        ("", b"", second, np.nan, False),
        (NON_ASCII, b"longer than the others", first, -3.0, True),
    ]
    columns = {
        "references": ("RichReferences", [second, first, second]),
        "dates": ("RichDates", [START, START + timedelta(seconds=1), START + timedelta(days=1)]),
        "rows": ("RichRows", rows),
    }
    nwbfile.add_acquisition(
        type_map.get_dt_container_cls("RichTable", NAMESPACE)(
            name="rich_table",
            description="d",
            columns=[
                type_map.get_dt_container_cls(kind, NAMESPACE)(
                    name=name, description="d", data=data
                )
                for name, (kind, data) in columns.items()
            ],
        )
    )
