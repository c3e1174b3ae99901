"""The containers that an IO has constructed are found again, whatever happens to its manager."""

from __future__ import annotations

from typing import Any

import pytest
from hdmf.build import BuildManager, GroupBuilder, LinkBuilder
from pynwb import TimeSeries, get_manager

from hdmf_zarr.read.constructed import Constructed, Known

SOURCE = "/data/a.nwb.zarr"


def builder_of(name: str = "t", source: str = SOURCE) -> GroupBuilder:
    series = TimeSeries(name=name, data=[1.0, 2.0], unit="V", rate=1.0)
    builder: GroupBuilder = get_manager().build(series, source=source)
    return builder


@pytest.fixture
def manager() -> BuildManager:
    return get_manager()


def remembered(manager: BuildManager, builder: GroupBuilder, source: str = SOURCE) -> Any:
    """What one IO has constructed, and the container of a builder that was read."""
    constructed = Constructed(manager)
    with constructed.remembering(source):
        container = manager.construct(builder)
    return constructed, container


def test_what_a_manager_knows_are_its_own_dictionaries(manager: BuildManager) -> None:
    known = Known.of(manager)
    assert list(known.pairs()) == []
    builder = builder_of()
    container = manager.construct(builder)
    assert known.containers[id(builder)] is container
    assert known.builders[id(container)] is builder
    assert list(known.pairs()) == [(container, builder)]


def test_a_container_without_a_builder_is_no_pair(manager: BuildManager) -> None:
    container = manager.construct(builder_of())
    known = Known.of(manager)
    del known.builders[id(container)]
    assert list(known.pairs()) == []


def test_a_second_look_keeps_the_flag_of_the_user(manager: BuildManager) -> None:
    builder = builder_of()
    constructed, container = remembered(manager, builder)
    container.set_modified()
    assert constructed.get(builder) is container
    assert container.modified
    manager.construct(builder)
    assert not container.modified  # which is why


def test_a_container_outlives_the_cache_of_the_manager(manager: BuildManager) -> None:
    builder = builder_of()
    constructed, container = remembered(manager, builder)
    manager.clear_cache()
    assert constructed.find(builder) is container
    assert constructed.get(builder) is container
    assert constructed.pairs() == [(container, builder)]


def test_what_was_not_constructed_yet_is_constructed(manager: BuildManager) -> None:
    constructed, builder = Constructed(manager), builder_of()
    assert constructed.find(builder) is None
    container = constructed.get(builder)
    assert isinstance(container, TimeSeries)
    assert constructed.find(builder) is container


def test_a_link_is_its_target(manager: BuildManager) -> None:
    builder = builder_of()
    constructed, container = remembered(manager, builder)
    assert constructed.get(LinkBuilder(builder=builder, name="l")) is container


def test_only_what_is_new_and_of_the_source_is_remembered(manager: BuildManager) -> None:
    before, foreign, own = builder_of("before"), builder_of("x", "/other.zarr"), builder_of("own")
    manager.construct(before)
    constructed = Constructed(manager)
    with constructed.remembering(SOURCE):
        manager.construct(foreign)
        manager.construct(own)
    assert [builder for _, builder in constructed.pairs()] == [own]


def test_the_first_container_of_a_builder_is_the_true_one(manager: BuildManager) -> None:
    builder = builder_of()
    constructed, container = remembered(manager, builder)
    manager.clear_cache()
    with constructed.remembering(SOURCE):
        second = manager.construct(builder)
    assert second is not container
    assert constructed.pairs() == [(container, builder)]


# -- after an export -------------------------------------------------------------------------------


def test_the_builders_of_an_io_are_given_back(manager: BuildManager) -> None:
    builder = builder_of()
    constructed, container = remembered(manager, builder)
    other = get_manager().build(container, source="/exported.zarr", export=True)
    assert other is not builder
    known = Known.of(manager)
    known.builders[id(container)] = other
    known.containers[id(other)] = container
    constructed.reinstate()
    assert manager.get_builder(container) is builder
    assert known.containers[id(builder)] is container
    assert id(other) not in known.containers


def test_builders_that_were_written_are_given_back_too(manager: BuildManager) -> None:
    series = TimeSeries(name="t", data=[1.0], unit="V", rate=1.0)
    builder = manager.build(series, source=SOURCE)
    constructed = Constructed(manager)
    constructed.note_written("/another.zarr")
    manager.clear_cache()
    constructed.reinstate()
    assert manager.get_builder(series) is None
    manager.prebuilt(series, builder)
    constructed.note_written(SOURCE)
    manager.clear_cache()
    constructed.reinstate()
    assert manager.get_builder(series) is builder


def test_builders_of_what_is_in_no_file_are_forgotten(manager: BuildManager) -> None:
    series = TimeSeries(name="t", data=[1.0], unit="V", rate=1.0)
    manager.build(series, source="/exported.nwb")
    series._AbstractContainer__container_source = None
    Constructed(manager).reinstate()
    assert manager.get_builder(series) is None
    assert list(Known.of(manager).pairs()) == []
