"""What a container holds and its builder does not is an edit; what is equal is none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hdmf.build import BuildManager, DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.common import VectorData
from pynwb import NWBFile, TimeSeries, get_manager

from hdmf_zarr.read.constructed import Known
from hdmf_zarr.write.planning import edits
from hdmf_zarr.write.planning.edits import MOVED, REMOVED, REPLACED, Edit, Edits, build_to_export

START = datetime(2020, 1, 2, tzinfo=UTC)
SOURCE = "/data/source.nwb.zarr"


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a", "a"),
        ("a", b"a"),
        ("\udcff", b"\xff"),
        (1, 1.0),
        (np.int8(1), 1),
        (np.array(1), 1),
        (True, np.True_),
        (float("nan"), np.float32("nan")),
        (START, START.isoformat()),
        (date(2020, 1, 2), "2020-01-02T00:00:00"),
        (date(2020, 1, 2), "2020-01-02"),
        ([1, 2], (1, 2)),
        ([1, 2], np.array([1, 2], "i1")),
        (["a"], np.array([b"a"], object)),
        ([], np.array([])),
        ([[1], ["a"]], [[1], ("a",)]),
        ([float("nan")], [float("nan")]),
        (np.array([np.nan]), np.array([np.nan])),
        (np.array(["a"], object), ["a"]),
    ],
)
def test_values_that_mean_the_same_are_equal(value: Any, stored: Any) -> None:
    assert edits._equal(value, stored)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a", "b"),
        (1, 2),
        (1, True),
        (False, 0),
        (1, "1"),
        ("a", ["a"]),
        ([1], 1),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        ([[1]], [1]),
        (START, "2020-01-02T01:00:00+00:00"),
        (START, "no date"),
        (START, 3),
        (date(2020, 1, 2), "2020-01-03"),
        (float("nan"), 0.0),
        (np.array([1], "i1"), np.array([1], "i2")),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([np.nan]), np.array([0.0])),
    ],
)
def test_values_that_differ_are_not_equal(value: Any, stored: Any) -> None:
    assert not edits._equal(value, stored)


@pytest.mark.parametrize(
    ("value", "is_empty"), [([], True), ((), True), (np.array([]), True), ([0], False), ("", False)]
)
def test_a_sequence_without_elements_is_empty(value: Any, *, is_empty: bool) -> None:
    assert edits._is_empty(value) is is_empty


def test_datasets_of_hdf5_are_one_by_their_place(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = [1, 2], [1, 2]
        assert edits._same_data(file["x"], file["x"])
        assert edits._same_data(file["x"], file["x"].asstr) is False
        assert not edits._same_data(file["x"], file["y"])
        assert edits._same_data([1, 2], file["x"])
        assert not edits._same_data([1, 3], file["x"])
        assert not edits._same_data(file["x"], [1, 2])


def test_arrays_of_zarr_are_one_by_identity() -> None:
    one = zarr.create_array({}, shape=(2,), dtype="i8")
    assert edits._same_data(one, one)
    assert not edits._same_data(one, zarr.create_array({}, shape=(2,), dtype="i8"))
    assert edits._same_data([0, 0], one)
    assert not edits._same_data([0, 1], one)


def test_large_data_in_a_file_are_another_value_unread() -> None:
    class Unread(zarr.Array):  # type: ignore[type-arg]
        def __getitem__(self, _key: Any) -> Any:
            raise AssertionError("it was read")

    made = zarr.create_array({}, shape=(edits.COMPARED_ELEMENTS + 1,), dtype="i8")
    large = Unread(made._async_array)
    assert not edits._same_data(np.zeros(large.shape, "i8"), large)


# -- builders --------------------------------------------------------------------------------------


def test_links_of_groups_without_a_type_count_for_the_one_above() -> None:
    target = GroupBuilder(name="t")
    links = [LinkBuilder(builder=target, name=f"l{number}") for number in range(3)]
    typed = GroupBuilder(name="typed", attributes={"data_type": "T"}, links={"l2": links[2]})
    plain = GroupBuilder(name="plain", links={"l1": links[1]}, groups={"typed": typed})
    group = GroupBuilder(name="g", links={"l0": links[0]}, groups={"plain": plain})
    assert edits._links(group) == links[:2]
    assert edits._links(typed) == links[2:]


def test_a_node_is_found_by_its_steps() -> None:
    data = DatasetBuilder(name="d", data=[1])
    inner = GroupBuilder(name="i", datasets={"d": data})
    link = LinkBuilder(builder=data, name="l")
    group = GroupBuilder(name="g", groups={"i": inner}, links={"l": link})
    assert edits._node(group, ()) is group
    assert edits._node(group, ("i", "d")) is data
    assert edits._node(group, ("l",)) is link
    assert edits._node(group, ("x",)) is None
    assert edits._node(group, ("i", "d", "x")) is None
    assert edits._node(group, ("x", "y")) is None


def test_a_target_is_what_a_reference_or_a_link_leads_to() -> None:
    target = GroupBuilder(name="t")
    assert edits._target(ReferenceBuilder(target)) is target
    assert edits._target(LinkBuilder(builder=target, name="l")) is target
    assert edits._target(target) is target


# -- containers ------------------------------------------------------------------------------------


def read_again(container: Any) -> tuple[Any, BuildManager]:
    """A container as it is constructed from its builder, as if that had been read."""
    builder = get_manager().build(container, source=SOURCE, root=isinstance(container, NWBFile))
    manager = get_manager()
    return manager.construct(builder), manager


def edits_of(manager: BuildManager) -> Edits:
    known = Known.of(manager)
    return Edits(manager.type_map, known.containers, known.builders)


def found(manager: BuildManager) -> list[tuple[str, str, str]]:
    known = Known.of(manager)
    return [
        (edit.container.name, edit.path, edit.kept) for edit in edits_of(manager).of(known.pairs())
    ]


def series(name: str = "t", **more: Any) -> TimeSeries:
    return TimeSeries(**{"name": name, "data": [1.0, 2.0], "unit": "V", "rate": 1.0, **more})


def nwbfile() -> NWBFile:
    file = NWBFile(session_description="d", identifier="i", session_start_time=START)
    file.add_acquisition(series())
    module = file.create_processing_module("m", "a module")
    module.add(series("inside"))
    return file


def test_what_was_read_has_no_edits() -> None:
    _, manager = read_again(nwbfile())
    assert found(manager) == []
    known = Known.of(manager)
    assert edits_of(manager).changed(known.pairs()) == set()


@pytest.mark.parametrize(
    ("name", "value", "path", "kept"),
    [
        ("description", "another", "description", ""),
        ("comments", "new", "comments", ""),
        ("unit", "A", "data/unit", ""),
        ("starting_time", 2.0, "starting_time", REPLACED),
        ("data", [1.0, 3.0], "data", REPLACED),
    ],
)
def test_a_field_that_was_set_is_an_edit(name: str, value: Any, path: str, kept: str) -> None:
    container, manager = read_again(series(description="one", comments="old", starting_time=1.0))
    container.fields[name] = value
    assert found(manager) == [("t", path, kept)]


def test_an_equal_value_is_no_edit() -> None:
    container, manager = read_again(series(description="one"))
    container.fields["description"] = np.str_("one")
    container.fields["data"] = (1.0, 2.0)
    assert found(manager) == []


def test_a_default_that_the_file_has_not_is_no_edit() -> None:
    builder = get_manager().build(series(), source=SOURCE)
    del builder.attributes["comments"]
    manager = get_manager()
    container = manager.construct(builder)
    assert container.comments == "no comments"
    assert found(manager) == []
    container.fields["comments"] = "some"
    assert found(manager) == [("t", "comments", "")]


def test_another_id_is_an_edit() -> None:
    container, manager = read_again(series())
    container._AbstractContainer__object_id = "another"
    assert found(manager) == [("t", "object_id", "")]


def test_a_new_child_is_an_edit_and_a_removed_one_is_kept() -> None:
    file, manager = read_again(nwbfile())
    file.add_acquisition(series("new"))
    assert set(found(manager)) == {("root", "new", "")}
    file, manager = read_again(nwbfile())
    old = file.acquisition.pop("t")
    old.reset_parent()
    assert ("root", "t", REMOVED) in found(manager)


def test_a_moved_child_is_told_where_it_is_and_where_it_was() -> None:
    file, manager = read_again(nwbfile())
    module = file.processing["m"]
    inside = module.data_interfaces.pop("inside")
    inside.reset_parent()
    file.add_acquisition(inside)
    every = found(manager)
    assert ("root", "inside", MOVED) in every
    assert ("m", "inside", REMOVED) in every
    compared = edits_of(manager)
    compared.changed(Known.of(manager).pairs())
    assert compared.has_moves


def test_a_column_of_other_data_is_an_edit() -> None:
    column, manager = read_again(VectorData(name="c", description="d", data=[1, 2]))
    assert found(manager) == []
    from hdmf_zarr.core.hdmf_private import set_data

    set_data(column, [1, 3])
    assert found(manager) == [("c", "", REPLACED)]


def test_an_edit_is_what_it_says() -> None:
    container = series()
    assert Edit(container, "a") == Edit(container, "a", "")
    assert Edit(container, "a") != Edit(container, "b")


# -- what an export builds -------------------------------------------------------------------------


def test_ancestors_of_what_changed_are_built() -> None:
    file, manager = read_again(nwbfile())
    inside = file.processing["m"]["inside"]
    inside.fields["description"] = "new"
    known = Known.of(manager)
    changed = edits_of(manager).changed(known.pairs())
    assert changed == {id(inside), id(file.processing["m"]), id(file)}


def test_a_modified_flag_is_enough() -> None:
    file, manager = read_again(nwbfile())
    t = file.acquisition["t"]
    t.set_modified()
    assert id(t) in edits_of(manager).changed(Known.of(manager).pairs())


def export(file: Any, manager: BuildManager, *, rebuild: bool = False) -> tuple[Any, Any]:
    known = Known.of(manager)
    return build_to_export(
        file, manager, known.containers, known.builders, source="/new.zarr", rebuild=rebuild
    )


def test_an_unchanged_file_is_exported_by_its_builders() -> None:
    file, manager = read_again(nwbfile())
    builder, used = export(file, manager)
    assert builder is manager.get_builder(file)
    assert used is manager


def test_only_what_changed_is_built_and_the_source_is_left_as_it_is() -> None:
    file, manager = read_again(nwbfile())
    before = dict(Known.of(manager).builders)
    file.acquisition["t"].fields["description"] = "new"
    builder, used = export(file, manager)
    assert used is not manager
    assert builder["acquisition/t"].attributes["description"] == "new"
    assert builder["acquisition/t"] is not before[id(file.acquisition["t"])]
    assert builder["processing/m"] is before[id(file.processing["m"])]
    assert Known.of(manager).builders == before


def test_all_is_built_where_that_is_asked_for() -> None:
    file, manager = read_again(nwbfile())
    builder, _ = export(file, manager, rebuild=True)
    old = manager.get_builder(file)
    assert builder is not old
    assert builder["processing/m/inside"] is not old["processing/m/inside"]
    assert builder["processing/m/inside/data"].data == [1.0, 2.0]


def test_all_is_built_where_something_was_moved() -> None:
    """What refers to its former place is elsewhere, and not known to be edited."""
    file, manager = read_again(nwbfile())
    module = file.processing["m"]
    inside = module.data_interfaces.pop("inside")
    inside.reset_parent()
    file.add_acquisition(inside)
    builder, _ = export(file, manager)
    assert builder["acquisition/t"] is not manager.get_builder(file)["acquisition/t"]
    assert builder["acquisition/inside/data"].data == [1.0, 2.0]


def test_a_tree_is_every_container_below_a_root() -> None:
    file = nwbfile()
    module = file.processing["m"]
    every = {id(one) for one in (file, file.acquisition["t"], module, module["inside"])}
    assert edits._tree_of(file) == every
    assert edits._tree_of(module["inside"]) == {id(module["inside"])}
