"""The words of Zarr format 2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdmf_zarr.convention.legacy import padded, unpadded


@given(st.text(alphabet=st.characters(exclude_characters=" "), max_size=700))
def test_a_padded_specification_comes_back(text: str) -> None:
    assert unpadded(padded(text)) == text
    assert len(padded(text)) - len(text) < 128


@pytest.mark.parametrize("length", [0, 1, 127, 128, 200, 256, 300, 32_000])
def test_the_bytes_before_a_specification_are_text(length: int) -> None:
    found = len(padded("x" * length))
    assert all(byte < 128 for byte in found.to_bytes(4, "little"))


def test_what_would_need_many_spaces_gets_none() -> None:
    assert padded("x" * 0x7FA3) == "x" * 0x7FA3
    assert unpadded("x" * 0x7FA3 + "  ") == "x" * 0x7FA3 + "  "
