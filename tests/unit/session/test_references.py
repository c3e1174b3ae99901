"""References as users give them."""

from __future__ import annotations

from typing import Any

import pytest

from hdmf_zarr.convention import Reference
from hdmf_zarr.errors import BrokenLinkError
from hdmf_zarr.session.references import reference_of
from hdmf_zarr.utils import ZarrReference


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/a/b", Reference(source=".", path="/a/b")),
        ({"path": "/a"}, Reference(source=".", path="/a")),
        ({"source": "", "path": "/a"}, Reference(source=".", path="/a")),
        ({"source": "../other.zarr", "path": "/a"}, Reference(source="../other.zarr", path="/a")),
        (ZarrReference(path="/a"), Reference(source=".", path="/a")),
    ],
    ids=repr,
)
def test_a_reference_is_given_as_a_path_or_as_a_mapping(given: Any, expected: Reference) -> None:
    assert reference_of(given, "store") == expected


@pytest.mark.parametrize("given", [{}, {"source": "."}, ZarrReference(source=".")], ids=repr)
def test_a_reference_without_a_path_is_refused_with_its_store(given: Any) -> None:
    with pytest.raises(BrokenLinkError, match="store: the reference .* has no path"):
        reference_of(given, "store")
