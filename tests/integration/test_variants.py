"""What stands between two faults: parts that were mended by themselves, used together."""

from __future__ import annotations

from typing import Any

import pytest
from hdmf.common import DynamicTable, VectorData

from hdmf_zarr import NWBZarrIO, check
from tests.integration.test_rows import (
    lengths,
    local,
    plain,
    read,
    recording,
    tables_of,
    target,
    templates,
    trial,
    zarr_format,
)

__all__ = ["local", "target", "templates", "zarr_format"]  # the fixtures


# -- rows after a write of the same session ------------------------------------------------------


def add_columns(nwbfile: Any) -> None:
    nwbfile.add_trial_column("added", "numbers", data=[1, 2])
    nwbfile.add_trial_column("words", "ragged text", data=[["a"], []], index=True)
    nwbfile.add_trial_column("series", "references", data=[nwbfile.acquisition["ts"]] * 2)


def added(nwbfile: Any, row: int) -> dict[str, Any]:
    series = nwbfile.acquisition["ts"]
    return {**trial(series, row), "added": row, "words": ["ä" * row], "series": series}


@pytest.mark.parametrize("ends_with_write", [True, False])
def test_columns_that_were_added_and_written_get_the_rows_that_follow(target, ends_with_write):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        add_columns(nwbfile)
        nwbfile.add_trial(**added(nwbfile, 2))
        io.write(nwbfile)
        nwbfile.add_trial(**added(nwbfile, 3))
        io.write(nwbfile)
        nwbfile.add_trial(**added(nwbfile, 300))
        if ends_with_write:
            io.write(nwbfile)
    trials = read(target)["trials"]
    assert trials["added"] == [1, 2, 2, 3, 300]
    assert trials["words"] == [["a"], [], ["ää"], ["äää"], ["ä" * 300]]
    assert trials["series"] == ["ts"] * 5
    assert trials["number"] == [0, 1, 2, 3, 300]
    assert check(target).findings == ()


def test_a_value_that_a_written_column_refuses_leaves_no_part_of_its_row(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        add_columns(nwbfile)
        io.write(nwbfile)
        with pytest.raises(TypeError, match="added"):
            nwbfile.add_trial(**{**added(nwbfile, 2), "added": 0.5})
        with pytest.raises(ValueError, match="words"):
            nwbfile.add_trial(**{**added(nwbfile, 2), "words": [7]})
        assert lengths(tables_of(nwbfile))["trials"] == 2
        nwbfile.add_trial(**added(nwbfile, 3))
    trials = read(target)["trials"]
    assert trials["added"] == [1, 2, 3]
    assert trials["number"] == [0, 1, 3]
    assert check(target).findings == ()


def test_a_table_that_was_added_and_written_gets_the_rows_that_follow(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        column = VectorData(name="a", description="d", data=[1, 2])
        table = DynamicTable(name="table", description="d", columns=[column])
        nwbfile.add_scratch(table)
        io.write(nwbfile)
        table.add_row(a=3)
        io.write(nwbfile)
        table.add_row(a=4, id=9)
    assert table["a"].data == [1, 2, 3, 4]
    table.add_row(a=5)
    with NWBZarrIO(target, "r") as io:
        read_table = io.read().scratch["table"]
        assert plain(read_table["a"][:]) == [1, 2, 3, 4]
        assert plain(read_table.id[:]) == [0, 1, 2, 9]


def test_a_category_that_was_added_and_written_gets_the_rows_that_follow(target):
    with NWBZarrIO(target, "r+") as io:
        nwbfile = io.read()
        electrode = nwbfile.icephys_electrodes["e"]
        column = VectorData(name="x", description="d", data=[1, 2])
        table = nwbfile.intracellular_recordings
        table.add_category(DynamicTable(name="mine", description="d", columns=[column]))
        io.write(nwbfile)
        with pytest.raises(TypeError, match="'x'"):
            nwbfile.add_intracellular_recording(**recording(electrode, 2), mine={"x": 0.5})
        nwbfile.add_intracellular_recording(**recording(electrode, 3), mine={"x": 3})
        io.write(nwbfile)
    after = read(target)["intracellular_recordings"]
    assert after["mine/x"] == [1, 2, 3]
    assert after["id"] == [0, 1, 3]
    assert check(target).findings == ()
