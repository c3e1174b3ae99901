"""The modes in which a store is opened."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.session.modes import (
    APPENDING_MODES,
    CREATING_MODES,
    MODES,
    READING_MODES,
    Mode,
    checked_mode,
)


def test_each_mode_reads_or_appends_or_creates() -> None:
    groups = [READING_MODES, APPENDING_MODES, CREATING_MODES]
    assert sorted(mode for group in groups for mode in group) == sorted(MODES)
    assert sorted(get_args(Mode)) == sorted(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_a_known_mode_is_returned(mode: str) -> None:
    assert checked_mode(mode) == mode


@pytest.mark.parametrize("mode", ["", "rw", "R", "w+", None, 1])
def test_an_unknown_mode_is_refused_with_those_that_are_known(mode: Any) -> None:
    with pytest.raises(OptionError, match="unknown mode .* 'r-' .*without the consolidated"):
        checked_mode(mode)
