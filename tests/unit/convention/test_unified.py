"""The words of Zarr format 3: what is written, every spelling that is read, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.convention import (
    ArrayHeader,
    Link,
    Reference,
    convention_for_format,
    specification_path,
)
from hdmf_zarr.convention.attributes import encode_attribute
from hdmf_zarr.convention.unified import (
    ATTRIBUTE_TYPES,
    RESERVED_ATTRIBUTES,
    SPECIFICATION_GROUP,
    SPECIFICATION_LOCATION,
    UnifiedConvention,
)
from hdmf_zarr.errors import MetadataError, UnsupportedFormatError

WORDS: dict[str, Any] = json.loads(Path(__file__).with_name("words.json").read_text("utf-8"))
"""What is on disk, word for word: a change here is a change of the format."""

LINKS = (
    Link(name="timestamps", path="/acquisition/lfp/timestamps"),
    Link(name="raw", source="../raw.nwb.zarr", path="/acquisition/raw"),
    Link(name="far", source="s3://bucket/far.nwb.zarr", path="/"),
)
REFERENCES = (
    None,
    Reference(path="/general/devices/probe"),
    Reference(source="../raw.nwb.zarr", path="/acquisition/raw"),
)
HEADERS = {
    "number": ArrayHeader(element_type="int16"),
    "text": ArrayHeader(element_type="str"),
    "references": ArrayHeader(element_type="object_reference"),
    "compound": ArrayHeader(reference_fields=("timeseries",), field_types={"label": "ascii"}),
    "nothing": ArrayHeader(),
}


@pytest.fixture
def convention() -> UnifiedConvention:
    return UnifiedConvention()


# -- the words, as they are written and read back --------------------------------------------------


def test_links_are_the_words_on_disk(convention: UnifiedConvention) -> None:
    assert convention.encode_links(LINKS) == WORDS["links"]
    assert convention.decode_links(WORDS["links"]) == LINKS


def test_no_links_are_no_attribute(convention: UnifiedConvention) -> None:
    assert convention.encode_links([]) == {}
    assert convention.decode_links({}) == ()


def test_a_reference_is_the_words_on_disk(convention: UnifiedConvention) -> None:
    reference = Reference(path="/general/devices/probe")
    assert convention.encode_reference(reference) == WORDS["reference"]
    assert convention.decode_reference(WORDS["reference"]) == reference


@pytest.mark.parametrize(
    ("reference", "text"), list(zip(REFERENCES, WORDS["elements"], strict=True))
)
def test_an_element_is_the_words_on_disk(
    convention: UnifiedConvention, reference: Reference | None, text: str
) -> None:
    assert convention.encode_element(reference) == text
    assert convention.decode_element(text) == reference


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_the_words_on_disk(convention: UnifiedConvention, name: str) -> None:
    assert convention.encode_header(HEADERS[name]) == WORDS["headers"][name]
    assert convention.decode_header(WORDS["headers"][name]) == HEADERS[name]


def test_the_specifications_are_where_the_words_say() -> None:
    assert WORDS["specifications"] == {SPECIFICATION_LOCATION: SPECIFICATION_GROUP}
    assert specification_path(WORDS["specifications"]) == "specifications"


def test_the_dtype_of_an_attribute_is_the_words_on_disk() -> None:
    value, dtype = encode_attribute(np.uint32(5))
    written = {"sweep_number": value, ATTRIBUTE_TYPES: {"sweep_number": dtype}}
    assert written == WORDS["attribute dtypes"]


def test_all_words_are_json() -> None:
    convention = UnifiedConvention()
    for encoded in (
        convention.encode_links(LINKS),
        convention.encode_reference(REFERENCES[1]),  # type: ignore[arg-type]
        *map(convention.encode_header, HEADERS.values()),
    ):
        assert json.loads(json.dumps(encoded)) == encoded


# -- other spellings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "a", "source": ".", "path": "/x/y"},
        {"name": "a", "source": "", "path": "/x/y"},
        {"name": "a", "source": None, "path": "/x/y"},
        {"name": "a", "path": "/x/y"},
        {"name": "a", "source": ".", "path": "x/y"},
        {"name": "a", "source": ".", "path": "/x/y/"},
        {"name": "a", "source": ".", "path": "/x/y", "object_id": None, "future": [1]},
    ],
    ids=["own", "empty", "null", "none", "relative", "slash", "more"],
)
def test_a_link_is_read_in_every_spelling(
    convention: UnifiedConvention, entry: dict[str, Any]
) -> None:
    assert convention.decode_links({"_LINKS": [entry]}) == (Link(name="a", path="/x/y"),)


@pytest.mark.parametrize(
    "entry",
    [
        {"source": ".", "path": "/x"},
        {"path": "/x"},
        {"source": None, "path": "x/"},
        {"source": ".", "path": "/x", "object_id": "e1", "source_object_id": "e2"},
    ],
)
def test_a_reference_is_read_in_every_spelling(
    convention: UnifiedConvention, entry: dict[str, Any]
) -> None:
    expected = Reference(path="/x")
    assert convention.decode_reference({"_REFERENCE": entry}) == expected
    assert convention.decode_element(json.dumps(entry)) == expected


@pytest.mark.parametrize("value", [1, "text", None, [], {}, {"path": "/x"}, {"reference": {}}])
def test_what_is_no_reference_is_none(convention: UnifiedConvention, value: Any) -> None:
    assert convention.decode_reference(value) is None


@pytest.mark.parametrize("element", ["x/y", "/x/y", "/x/y/"])
def test_an_element_is_a_path_with_or_without_slashes(
    convention: UnifiedConvention, element: str
) -> None:
    assert convention.decode_element(element) == Reference(path="/x/y")


def test_an_element_for_the_root(convention: UnifiedConvention) -> None:
    assert convention.decode_element("/") == Reference(path="/")
    assert convention.encode_element(Reference(path="/")) == "/"


@pytest.mark.parametrize("name", ["int16", "<i8", "bool", "bool_", "str_", "string", "float64"])
def test_a_header_keeps_the_name_as_it_was_written(
    convention: UnifiedConvention, name: str
) -> None:
    assert convention.decode_header({"_DTYPE": name}).element_type == name


@pytest.mark.parametrize("name", [None, 5, ["int16"], {"name": "int16"}])
def test_an_element_type_that_is_no_name_is_as_if_it_were_not_there(
    convention: UnifiedConvention, name: Any
) -> None:
    assert convention.decode_header({"_DTYPE": name}).element_type is None


def test_a_scalar_of_the_early_convention_is_read(convention: UnifiedConvention) -> None:
    header = convention.decode_header(
        {
            "_SCALAR": True,
            "_COMPOUND_DTYPE": [
                {"name": "start", "dtype": "int32"},
                {"name": "series", "dtype": "object_reference"},
                {"name": "other", "dtype": "object"},
            ],
        }
    )
    assert header.scalar
    assert header.reference_fields == ("series", "other")


def test_the_reference_fields_count_before_the_early_spelling(
    convention: UnifiedConvention,
) -> None:
    header = convention.decode_header(
        {"_REFERENCE_FIELDS": ["a"], "_COMPOUND_DTYPE": [{"name": "b", "dtype": "object"}]}
    )
    assert header.reference_fields == ("a",)


def test_dimensions_in_an_attribute_are_read(convention: UnifiedConvention) -> None:
    header = convention.decode_header({"_ARRAY_DIMENSIONS": ["time", "channel"]})
    assert header.dimension_names == ("time", "channel")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("recorded", "names"),
    [
        (["time", 3], ("time", None)),
        ([3], None),  # of an extension whose specification has a length there
        ([["x", "y"]], None),
        ([None, None], None),
        ([], None),
        (5, None),
        ("time", None),
        ({"time": 1}, None),
    ],
)
def test_a_dimension_that_has_no_name_costs_nothing(
    zarr_format: int, recorded: Any, names: Any
) -> None:
    header = convention_for_format(zarr_format).decode_header({"_ARRAY_DIMENSIONS": recorded})
    assert header.dimension_names == names


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("specifications", "specifications"),
        ("/specifications", "specifications"),
        ("/specifications/", "specifications"),
        ("general/specifications", "general/specifications"),
        ({"_REFERENCE": {"source": ".", "path": "/specifications"}}, "specifications"),
        ({"_REFERENCE": {"source": ".", "path": "specifications"}}, "specifications"),
        ({"source": ".", "path": "/specifications"}, "specifications"),
        (None, None),
        (5, None),
        ({}, None),
        ({"_REFERENCE": "specifications"}, None),
        ({"_REFERENCE": {"path": 5}}, None),
    ],
)
def test_the_place_of_the_specifications_in_every_spelling(location: Any, path: str | None) -> None:
    assert specification_path({".specloc": location}) == path


def test_without_specifications_there_is_no_place() -> None:
    assert specification_path({}) is None


# -- attributes of the user ------------------------------------------------------------------------


def test_the_attributes_of_the_user_are_those_that_are_not_reserved(
    convention: UnifiedConvention,
) -> None:
    mine = {"unit": "V", "_mine": 1, "DTYPE": "x", "reference": WORDS["reference"]}
    reserved = dict.fromkeys(RESERVED_ATTRIBUTES, 1)
    assert convention.user_attributes({**mine, **reserved}) == mine


def test_the_dictionary_of_the_caller_is_not_changed(convention: UnifiedConvention) -> None:
    attributes = {"_DTYPE": "int8", "unit": "V"}
    convention.user_attributes(attributes)
    convention.decode_header(attributes)
    assert attributes == {"_DTYPE": "int8", "unit": "V"}


# -- what makes no sense ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entries",
    [
        None,
        5,
        True,
        "text",
        "",
        {},
        {"name": "a", "path": "/x"},
        [None],
        ["/x"],
        [[]],
        [{}],
        [{"name": "a"}],
        [{"path": "/x"}],
        [{"name": 5, "path": "/x"}],
        [{"name": None, "path": "/x"}],
        [{"name": "a", "path": None}],
        [{"name": "a", "path": ["x"]}],
        [{"name": "a", "path": "/x", "source": 5}],
        [{"name": "a", "path": "/x", "source": {"path": "."}}],
    ],
)
def test_links_that_make_no_sense_are_refused(convention: UnifiedConvention, entries: Any) -> None:
    with pytest.raises(MetadataError, match="_LINKS"):
        convention.decode_links({"_LINKS": entries})


@pytest.mark.parametrize(
    "entry",
    [
        None,
        5,
        "/x",
        [],
        {},
        {"source": "."},
        {"path": 5},
        {"path": None},
        {"path": "/x", "source": 5},
        {"path": "/x", "source": ["."]},
    ],
)
def test_a_reference_that_makes_no_sense_is_refused(
    convention: UnifiedConvention, entry: Any
) -> None:
    with pytest.raises(MetadataError, match="reference"):
        convention.decode_reference({"_REFERENCE": entry})


@pytest.mark.parametrize(
    "element", ["{", "{}", '{"path": 5}', '{"path": "/x", "source": 5}', "{'a'}"]
)
def test_an_element_that_makes_no_sense_is_refused(
    convention: UnifiedConvention, element: str
) -> None:
    with pytest.raises(MetadataError, match="reference"):
        convention.decode_element(element)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_REFERENCE_FIELDS", 5),
        ("_REFERENCE_FIELDS", "timeseries"),
        ("_REFERENCE_FIELDS", [5]),
        ("_REFERENCE_FIELDS", [["a"]]),
        ("_FIELD_DTYPES", ["ascii"]),
        ("_FIELD_DTYPES", {"label": 5}),
        ("_COMPOUND_DTYPE", [{"dtype": "object"}]),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(
    convention: UnifiedConvention, name: str, value: Any
) -> None:
    with pytest.raises(MetadataError, match=name):
        convention.decode_header({name: value})


@pytest.mark.parametrize("zarr_format", [1, 4, "3", None])
def test_a_format_without_a_convention_is_refused(zarr_format: Any) -> None:
    with pytest.raises(UnsupportedFormatError, match="not supported"):
        convention_for_format(zarr_format)


def test_the_convention_knows_its_format() -> None:
    assert convention_for_format(3).zarr_format == 3
