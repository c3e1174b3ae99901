"""The document of an array: made, kept as a template, and parsed by any zarr-python."""

from __future__ import annotations

import base64
import warnings
from typing import Any

import numpy as np
import pytest
import zarr.dtype
from zarr.codecs import BytesCodec, ShardingCodec, ZstdCodec
from zarr.errors import UnstableSpecificationWarning

from hdmf_zarr.metadata import array_document as module
from hdmf_zarr.metadata.array_document import (
    HAS_STRUCT,
    KNOWN_KEYS,
    array_document,
    data_type_json,
    empty_scalar,
    fill_value,
    readable_data_type,
    readable_document,
    why_not_parsed_as_format2,
    without_specification_warnings,
)
from hdmf_zarr.metadata.chunk_keys import CHUNK_KEYS, FORMAT2_CHUNK_KEYS

STRUCT = {
    "name": "struct",
    "configuration": {
        "fields": [
            {"name": "x", "data_type": "int32"},
            {"name": "y", "data_type": "float64"},
        ]
    },
}
STRUCTURED = {
    "name": "structured",
    "configuration": {"fields": [["x", "int32"], ["y", "float64"]]},
}


@pytest.fixture(autouse=True)
def templates(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(module, "_TEMPLATES", kept)
    return kept


def parsed(dtype: Any) -> Any:
    with without_specification_warnings():
        return zarr.dtype.parse_dtype(np.dtype(dtype), zarr_format=3)


def made(shape: Any = (5, 4), chunk: Any = (2, 4), dtype: Any = "int16", **change: Any) -> Any:
    given = {
        "fill_value": np.dtype(dtype).type(0),
        "codecs": [BytesCodec(), ZstdCodec(level=3)],
        "dimension_names": None,
        "chunk_key_encoding": CHUNK_KEYS,
    }
    return array_document(
        shape=shape, data_type=parsed(dtype), chunk_grid_shape=chunk, **{**given, **change}
    )


def test_a_document_says_what_was_given() -> None:
    document = made(fill_value=np.int16(7), dimension_names=("t", None))
    del document["codecs"][1]["configuration"]["checksum"]
    document.pop("storage_transformers", None)
    assert document == {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [5, 4],
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 4]}},
        "chunk_key_encoding": CHUNK_KEYS,
        "fill_value": 7,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 3}},
        ],
        "attributes": {},
        "dimension_names": ["t", None],
    }


def test_a_document_without_names_has_none() -> None:
    assert "dimension_names" not in made()


def test_documents_that_differ_in_sizes_have_one_template(templates: dict[str, bytes]) -> None:
    first = made(dimension_names=("a", "b"))
    first["codecs"].clear()
    first["attributes"]["x"] = 1
    assert len(templates) == 1
    second = made(shape=(9, 8), chunk=(3, 3))
    assert len(templates) == 1
    assert (second["shape"], second["attributes"]) == ([9, 8], {})
    assert second["chunk_grid"]["configuration"]["chunk_shape"] == [3, 3]
    assert len(second["codecs"]) == 2
    assert "dimension_names" not in second
    templates.clear()
    assert made(shape=(9, 8), chunk=(3, 3)) == second


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "int32"},
        {"dtype": ">i2"},
        {"fill_value": np.int16(1)},
        {"shape": (5,), "chunk": (2,)},
        {"codecs": [BytesCodec(), ZstdCodec(level=4)]},
        {"chunk_key_encoding": FORMAT2_CHUNK_KEYS},
    ],
    ids=str,
)
def test_anything_else_has_a_template_of_its_own(
    change: dict[str, Any], templates: dict[str, bytes]
) -> None:
    made()
    found = made(**change)
    assert len(templates) == 2
    templates.clear()
    assert made(**change) == found


def test_fill_values_are_told_apart_by_their_bits(templates: dict[str, bytes]) -> None:
    values = [np.float64(0.0), np.float64(-0.0), np.float64("nan"), np.float64("inf")]
    found = [made(dtype="float64", fill_value=value)["fill_value"] for value in values]
    assert str(found) == "[0.0, -0.0, 'NaN', 'Infinity']"
    assert len(templates) == 4


def test_what_depends_on_sizes_has_no_template(templates: dict[str, bytes]) -> None:
    shards = [ShardingCodec(chunk_shape=(2, 4))]
    assert made(chunk=(4, 4), codecs=shards)["codecs"][0]["name"] == "sharding_indexed"
    made(codecs=[{"name": "bytes", "configuration": {"endian": "little"}}])
    assert templates == {}


def test_no_more_templates_are_kept_than_allowed(
    templates: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TEMPLATES", 1)
    made()
    assert made(dtype="int32")["data_type"] == "int32"
    assert len(templates) == 1


def test_a_fill_value_is_a_scalar_of_the_data_type() -> None:
    found = fill_value(made(fill_value=np.int16(-3)))
    assert (found, found.dtype) == (-3, np.dtype("int16"))
    assert np.isnan(fill_value(made(dtype="float32", fill_value=np.float32("nan"))))


def test_what_only_this_package_knows_is_not_for_zarr() -> None:
    document = {**made(fill_value=np.int16(4)), "_format2": {}, "other": {"must_understand": False}}
    assert fill_value(document) == 4
    assert readable_document(document).keys() <= KNOWN_KEYS["array"]
    assert "_format2" in document


def test_a_document_that_is_readable_is_the_same_one() -> None:
    document = {"data_type": "int16", "shape": [1]}
    assert readable_document(document) is document


def test_records_are_spelled_as_older_versions_know_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HAS_STRUCT", False)
    document = {"data_type": STRUCT, "fill_value": {"x": 3, "y": 0.5}}
    found = readable_document(document)
    assert found["data_type"] == STRUCTURED
    record = np.array((3, 0.5), dtype=[("x", "<i4"), ("y", "<f8")])
    assert base64.b64decode(found["fill_value"]) == record.tobytes()
    assert document == {"data_type": STRUCT, "fill_value": {"x": 3, "y": 0.5}}
    spelled = {"data_type": STRUCTURED, "fill_value": "AAAA"}
    assert readable_document(spelled) == spelled
    assert readable_data_type(STRUCT) == STRUCTURED
    other = {"name": "fixed_length_utf32", "configuration": {"length_bytes": 4}}
    assert readable_data_type(other) is other


@pytest.mark.skipif(not HAS_STRUCT, reason="zarr-python 3.2 and later know both spellings")
def test_records_are_left_as_later_versions_know_them() -> None:
    assert readable_data_type(STRUCT) is STRUCT
    assert readable_data_type(STRUCTURED) is STRUCTURED


@pytest.mark.parametrize("spelled", [STRUCT, STRUCTURED], ids=["struct", "structured"])
def test_the_installed_version_reads_both_spellings(spelled: dict[str, Any]) -> None:
    with without_specification_warnings():
        dtype = zarr.dtype.parse_dtype(readable_data_type(spelled), zarr_format=3)
    assert dtype.to_native_dtype() == np.dtype([("x", "<i4"), ("y", "<f8")])


def test_a_data_type_is_spelled_as_documents_have_it() -> None:
    assert data_type_json(parsed("float32")) == "float32"
    fields = data_type_json(parsed([("x", "<i4")]))["configuration"]["fields"]
    assert fields in ([["x", "int32"]], [{"name": "x", "data_type": "int32"}])


def test_an_empty_scalar_is_zero_or_no_text() -> None:
    found = empty_scalar(parsed("int16"))
    assert (found, found.dtype) == (0, np.dtype("int16"))
    assert empty_scalar(parsed("U4")) == ""
    record = empty_scalar(parsed([("x", "<i4"), ("t", "U3")]))
    assert record.item() == (0, "")


def test_only_what_zarr_parses_is_of_format_2() -> None:
    metadata = {
        "zarr_format": 2,
        "shape": [3],
        "chunks": [2],
        "dtype": "<i4",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
    }
    assert why_not_parsed_as_format2(metadata) is None
    for change in ({"dtype": "<i3"}, {"order": "X"}, {"chunks": None}, {"compressor": {"id": "?"}}):
        reason = why_not_parsed_as_format2({**metadata, **change})
        assert (reason or "").startswith("zarr-python cannot parse its metadata: ")
    assert why_not_parsed_as_format2({}) is not None


def test_only_warnings_on_specifications_are_not_repeated() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with without_specification_warnings():
            warnings.warn("no specification", UnstableSpecificationWarning, stacklevel=1)
            warnings.warn(
                "Numcodecs codecs are not in the Zarr version 3", UserWarning, stacklevel=1
            )
            warnings.warn("Array is unsupported by ZarrsCodecPipeline", UserWarning, stacklevel=1)
            warnings.warn("another", UserWarning, stacklevel=1)
        warnings.warn("no specification", UnstableSpecificationWarning, stacklevel=1)
    assert [str(one.message) for one in caught] == ["another", "no specification"]
