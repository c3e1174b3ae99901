"""Names of the dimensions of an array, from its builder, its specification, or the scales of HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder
from pynwb import get_manager

from hdmf_zarr.write.planning.dimensions import DimensionNames

NWB = {"namespace": "core"}


@pytest.fixture(scope="module")
def names() -> DimensionNames:
    return DimensionNames(get_manager())


def dataset(name: str = "data", *, labels: Any = None, **attributes: Any) -> DatasetBuilder:
    return DatasetBuilder(name=name, data=[1], dimension_labels=labels, attributes=attributes)


def in_group(builder: DatasetBuilder, *others: DatasetBuilder, **types: Any) -> DatasetBuilder:
    datasets = {one.name: one for one in (builder, *others)}
    GroupBuilder(name="g", datasets=datasets, attributes=types)
    return builder


def test_a_scalar_has_none(names: DimensionNames) -> None:
    assert names.of(dataset(labels=("a",)), 0) is None


@pytest.mark.parametrize(
    ("labels", "ndim", "found"),
    [
        (("time", "channel"), 2, ("time", "channel")),
        (("time", None), 2, ("time", "data_dim_1")),
        (("time", ""), 2, ("time", "data_dim_1")),
        (("time", "time"), 2, ("time", "data_dim_1")),
        (("dim_0", "dim_1"), 2, ("data_dim_0", "data_dim_1")),
        (("dim_1", "dim_0"), 2, ("dim_1", "dim_0")),
        ((3, "x"), 2, ("data_dim_0", "x")),
        (("time",), 2, ("data_dim_0", "data_dim_1")),
        (("a", "b", "c"), 2, ("data_dim_0", "data_dim_1")),
        (None, 1, ("data_dim_0",)),
    ],
)
def test_labels_of_the_builder_count_where_they_are_names(
    labels: Any, ndim: int, found: tuple[str, ...]
) -> None:
    assert DimensionNames(None).of(dataset(labels=labels), ndim) == found


@pytest.mark.parametrize(
    ("ndim", "found"),
    [
        (1, ("num_times",)),
        (2, ("num_times", "num_channels")),
        (3, ("num_times", "num_channels", "num_samples")),
        (4, tuple(f"data_dim_{position}" for position in range(4))),
    ],
)
def test_a_dataset_without_a_type_is_known_by_its_group(
    names: DimensionNames, ndim: int, found: tuple[str, ...]
) -> None:
    builder = in_group(dataset(), **NWB, neurodata_type="ElectricalSeries")
    assert names.of(builder, ndim) == found


def test_a_specification_with_one_list_of_names_is_used(names: DimensionNames) -> None:
    builder = in_group(dataset("timestamps"), **NWB, neurodata_type="TimeSeries")
    assert names.of(builder, 1) == ("num_times",)
    assert names.of(builder, 2) == ("timestamps_dim_0", "timestamps_dim_1")


def test_the_type_of_the_dataset_itself_counts_first(names: DimensionNames) -> None:
    column = dataset("id", namespace="hdmf-common", data_type="ElementIdentifiers")
    assert names.of(in_group(column, **NWB, neurodata_type="TimeSeries"), 1) == ("num_elements",)


@pytest.mark.parametrize(
    "types",
    [
        {},
        {"namespace": "core"},
        {"neurodata_type": "TimeSeries"},
        {"namespace": "other", "neurodata_type": "TimeSeries"},
        {"namespace": "core", "neurodata_type": "NoSuchType"},
        {"namespace": 3, "neurodata_type": "TimeSeries"},
    ],
)
def test_a_type_that_is_not_known_gives_no_names(
    names: DimensionNames, types: dict[str, Any]
) -> None:
    builder = in_group(dataset("timestamps"), **types)
    assert names.of(builder, 1) == ("timestamps_dim_0",)


def test_a_specification_is_looked_up_once() -> None:
    manager: BuildManager = get_manager()
    looked: list[Any] = []
    catalog = manager.namespace_catalog
    found = catalog.get_spec

    class Counting:
        namespace_catalog = property(lambda self: self)

        def get_spec(self, *data_type: str) -> Any:
            looked.append(data_type)
            return found(*data_type)

    counting: Any = Counting()
    names = DimensionNames(counting)
    for name in ("timestamps", "data"):
        names.of(in_group(dataset(name), **NWB, neurodata_type="TimeSeries"), 1)
        names.of(in_group(dataset(name), **NWB, neurodata_type="NoSuchType"), 1)
    assert looked == [("core", "TimeSeries"), ("core", "NoSuchType")]


def test_the_rows_of_a_ragged_column_are_no_rows_of_the_table(names: DimensionNames) -> None:
    types = {"namespace": "hdmf-common", "data_type": "VectorData"}
    index = dataset("spikes_index", namespace="hdmf-common", data_type="VectorIndex")
    labels = ("num_rows", "x")
    assert names.of(in_group(dataset("spikes", labels=labels, **types), index), 2) == (
        "spikes_dim_0",
        "x",
    )
    other = dataset("spikes_index", **types)
    assert names.of(in_group(dataset("spikes", labels=labels, **types), other), 2) == labels
    assert names.of(dataset("spikes", labels=labels, **types), 2) == labels


# -- scales of HDF5 --------------------------------------------------------------------------------


@pytest.fixture
def scaled(tmp_path: Path) -> h5py.Dataset:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=np.zeros((3, 4)))
        scale = file.create_dataset("depth", data=np.arange(4))
        scale.make_scale("depth of the probe")
        data.dims[1].attach_scale(scale)
    return h5py.File(tmp_path / "a.h5", "r")["data"]


def scaled_builder(data: Any, labels: Any = None) -> DatasetBuilder:
    attributes = {"DIMENSION_LIST": [["any"]]}
    return DatasetBuilder(name="data", data=data, dimension_labels=labels, attributes=attributes)


def test_a_scale_names_a_dimension_that_has_no_other_name(scaled: h5py.Dataset) -> None:
    names = DimensionNames(None)
    assert names.of(scaled_builder(scaled), 2) == ("data_dim_0", "depth of the probe")
    assert names.of(scaled_builder(scaled, ("time", None)), 2) == ("time", "depth of the probe")
    assert names.of(scaled_builder(scaled, ("time", "channel")), 2) == ("time", "channel")


def test_scales_of_another_number_of_dimensions_are_passed_over(scaled: h5py.Dataset) -> None:
    assert DimensionNames(None).of(scaled_builder(scaled), 1) == ("data_dim_0",)


def test_data_in_memory_have_no_scales() -> None:
    assert DimensionNames(None).of(scaled_builder(np.zeros((3, 4))), 2) == (
        "data_dim_0",
        "data_dim_1",
    )


def test_scales_are_not_asked_where_no_attribute_tells_of_them(scaled: h5py.Dataset) -> None:
    builder = DatasetBuilder(name="data", data=scaled)
    assert DimensionNames(None).of(builder, 2) == ("data_dim_0", "data_dim_1")
