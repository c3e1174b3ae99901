"""What of an array each Zarr format keeps as it is."""

from __future__ import annotations

from typing import Any

import pytest

from hdmf_zarr.core.dtypes import TEXT
from hdmf_zarr.metadata.format2 import array_document
from hdmf_zarr.write.planning.element_storage import storage_of_format

SCALAR: dict[str, Any] = {
    "shape": [1],
    "chunks": [1],
    "dtype": "|O",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
}


@pytest.mark.parametrize(
    ("object_filter", "kept_by"),
    [({"id": "vlen-utf8"}, {2, 3}), ({"id": "pickle", "protocol": 5}, set())],
    ids=["text", "pickle"],
)
def test_a_pickle_of_text_is_kept_by_no_format(
    object_filter: dict[str, Any], kept_by: set[int]
) -> None:
    document = array_document({**SCALAR, "filters": [object_filter]}, is_scalar=True)
    assert {number for number in (2, 3) if storage_of_format(number).can_hold(document, TEXT)} == (
        kept_by
    )
