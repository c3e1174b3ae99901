"""Names of enumerations are kept beside a builder, and not among its attributes."""

from __future__ import annotations

from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr.core.enumerations import keep_names, kept_names


def test_names_are_kept_with_one_builder() -> None:
    builder = GroupBuilder("a", attributes={"color": 1})
    other = GroupBuilder("a", attributes={"color": 1})
    keep_names(builder, {"color": {"RED": 0, "BLUE": 1}})
    assert kept_names(builder) == {"color": {"RED": 0, "BLUE": 1}}
    assert kept_names(other) == {}
    assert builder.attributes == {"color": 1}
    assert builder == other


def test_names_are_those_of_the_time_and_the_last_ones() -> None:
    builder = DatasetBuilder("a", [1])
    names = {"color": {"RED": 0}}
    keep_names(builder, names)
    names["size"] = {"SMALL": 0}
    assert kept_names(builder) == {"color": {"RED": 0}}
    keep_names(builder, {})
    assert kept_names(builder) == {}
