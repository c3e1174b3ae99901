"""Metadata that make no sense cost their node alone, and values that cannot be stored are refused by name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder

from hdmf_zarr import ZarrIO, check
from hdmf_zarr.errors import EncodingError, MetadataError

ODD_PARTS: dict[str, dict[str, Any]] = {
    "grid": {"chunk_grid": {"name": "regular", "configuration": 3}},
    "grid as a list": {"chunk_grid": {"name": "regular", "configuration": [3]}},
    "chunk keys": {"chunk_key_encoding": {"name": "default", "configuration": 3}},
    "codec of records": {
        "data_type": {"name": "struct"},
        "codecs": [{"name": "bytes", "configuration": 3}],
    },
    "codecs as a number": {"data_type": {"name": "struct"}, "codecs": 3},
    "inner codecs": {
        "data_type": {"name": "struct"},
        "codecs": [{"name": "s", "configuration": {"codecs": 3}}],
    },
    "fields": {"data_type": {"name": "struct", "configuration": {"fields": [3]}}},
    "nested fields": {"attributes": {"_NESTED_FIELDS": 3}},
    "inner nested fields": {"attributes": {"_NESTED_FIELDS": [{"name": "a", "fields": 3}]}},
}


def store_with(folder: Path, odd: dict[str, Any]) -> Path:
    path = folder / "file.zarr"
    group = GroupBuilder(
        "group",
        datasets=[DatasetBuilder("odd", np.arange(4)), DatasetBuilder("data", np.arange(5))],
    )
    with ZarrIO(path, "w") as io:
        io.write_builder(GroupBuilder("root", groups=[group]))
    documents = [path / "zarr.json", path / "group/odd/zarr.json"]
    for file in documents:
        document = json.loads(file.read_text())
        held = document.get("consolidated_metadata", {}).get("metadata", {})
        held.get("group/odd", document if file is documents[1] else {}).update(odd)
        file.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("mode", ["r", "r-"])
@pytest.mark.parametrize("odd", ODD_PARTS.values(), ids=list(ODD_PARTS))
def test_the_rest_of_the_file_is_read(odd: dict[str, Any], mode: str, tmp_path: Path) -> None:
    path = store_with(tmp_path, odd)
    with warnings.catch_warnings(), ZarrIO(path, mode) as io:
        warnings.simplefilter("ignore")
        root = io.read_builder()
        np.testing.assert_array_equal(root["group/data"].data[:], np.arange(5))
        with pytest.raises((MetadataError, ValueError)):
            root["group/odd"].data[:]


@pytest.mark.parametrize("odd", ODD_PARTS.values(), ids=list(ODD_PARTS))
def test_a_check_names_the_node(odd: dict[str, Any], tmp_path: Path) -> None:
    report = check(store_with(tmp_path, odd))
    assert not report.is_clean
    assert any("group/odd" in finding.path for finding in report.findings)


def test_an_object_without_a_name_is_refused(tmp_path: Path) -> None:
    root = GroupBuilder("root")
    root.set_group(GroupBuilder(""))
    with (
        ZarrIO(tmp_path / "a.zarr", "w") as io,
        pytest.raises(EncodingError, match="it is empty"),
    ):
        io.write_builder(root)
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("depth", [400, 2000])
def test_an_attribute_that_is_nested_deeply_is_refused(depth: int, tmp_path: Path) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    root = GroupBuilder("root")
    root.attributes["deep"] = value
    with (
        ZarrIO(tmp_path / "a.zarr", "w") as io,
        pytest.raises(EncodingError, match="attribute 'deep'"),
    ):
        io.write_builder(root)
    assert not (tmp_path / "a.zarr").exists()
