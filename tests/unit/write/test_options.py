"""The options of a write and of an export, as values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.write.execute import no_progress
from hdmf_zarr.write.options import ExportOptions, WriteOptions
from hdmf_zarr.write.planning.export_options import LayoutOptions, PlanOptions
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue

KINDS = (WriteOptions, ExportOptions)
SWITCHES = ["link_data", "exhaust_dci", "consolidate_metadata", "cache_spec"]
SWITCHES += ["checksum", "strict_json", "dandi", "durable"]


@pytest.mark.parametrize("value", ["no", 1, 0, [], np.array([True, False])], ids=repr)
@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_is_true_or_false(kind: Any, name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} must be True or False"):
        kind(**{name: value})


@pytest.mark.parametrize("value", [True, False, np.True_])
@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_keeps_its_value(kind: Any, name: str, value: object) -> None:
    assert getattr(kind(**{name: value}), name) is value


def test_every_switch_is_tested_here() -> None:
    switches = {one.name for one in fields(ExportOptions) if "bool" in str(one.type)}
    assert switches == {*SWITCHES, "clear_cache"}


def test_an_export_copies_and_does_not_wait_for_the_disk_unless_asked_to() -> None:
    assert (WriteOptions().link_data, WriteOptions().durable) == (True, None)
    assert (ExportOptions().link_data, ExportOptions().durable) == (False, False)


@pytest.mark.parametrize("name", ["durable", "clear_cache"])
def test_an_export_leaves_no_switch_open(name: str) -> None:
    options: dict[str, Any] = {name: None}
    with pytest.raises(OptionError, match=f"{name} must be True or False"):
        ExportOptions(**options)


@pytest.mark.parametrize("value", ["", "FOLLOW", None, True])
def test_links_to_other_files_are_followed_or_kept(value: Any) -> None:
    with pytest.raises(OptionError, match="external_links must be 'follow' or 'keep'"):
        PlanOptions(external_links=value)
    assert PlanOptions(external_links="keep").external_links == "keep"


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_not_changed_after_they_were_checked(kind: Any) -> None:
    options = kind()
    with pytest.raises(FrozenInstanceError):
        options.checksum = "yes"
    assert options.checksum is False


def test_each_write_has_a_queue_of_its_own() -> None:
    first, second = WriteOptions(), WriteOptions()
    assert first.queue is not second.queue
    queue = ZarrIODataChunkIteratorQueue(number_of_jobs=2)
    assert WriteOptions(queue=queue).queue is queue


def test_a_write_for_the_archive_copies_and_keeps_all_else() -> None:
    layout = LayoutOptions(verify=True)
    options = WriteOptions(dandi=True, checksum=True, layout=layout)
    copying = options.copying_for_archive()
    assert (options.link_data, copying.link_data) == (True, False)
    assert copying.dandi is copying.checksum is True
    assert (copying.queue, copying.layout) == (options.queue, layout)


def test_another_write_links_as_it_was_asked_to() -> None:
    options = WriteOptions()
    assert options.copying_for_archive() is options


def test_progress_that_nobody_asked_for_goes_nowhere() -> None:
    told: list[int] = []
    assert WriteOptions().reporter is no_progress
    WriteOptions(progress=told.append).reporter(3)
    assert told == [3]
