"""Which options an export takes, and which of them count for one dataset."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.write.planning.export_options import (
    DatasetOptions,
    LayoutOptions,
    PlanOptions,
    require_bool,
)

DATA = np.zeros((10, 4))


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["no", 0, 1, None, "True", []])
@pytest.mark.parametrize("name", ["strict", "verify"])
def test_a_switch_of_the_layout_is_true_or_false(name: str, value: Any) -> None:
    message = re.escape(f"{name} must be True or False, found {value!r}")
    with pytest.raises(OptionError, match=message):
        LayoutOptions(**{name: value})


@pytest.mark.parametrize("value", ["no", 0, 1, None])
@pytest.mark.parametrize("name", ["link_data", "checksum", "strict_json"])
def test_a_switch_of_the_plan_is_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name} must be True or False, found"):
        PlanOptions(**{name: value})


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_booleans_of_numpy_are_switches_too(value: Any) -> None:
    require_bool("verify", value)
    assert LayoutOptions(verify=value).verify is value


@pytest.mark.parametrize("value", ["KEEP", "Follow", "", None, True, 1])
def test_external_links_are_followed_or_kept(value: Any) -> None:
    with pytest.raises(OptionError, match="external_links must be 'follow' or 'keep', found"):
        PlanOptions(external_links=value)
    assert PlanOptions(external_links="keep").external_links == "keep"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codecs": "gzip"}, "codecs must be 'keep' or 'default', found 'gzip'"),
        ({"codecs": ""}, "codecs must be 'keep' or 'default', found ''"),
        ({"codecs": "auto"}, "codecs must be 'keep' or 'default'"),
        ({"codecs": 3}, "codecs must be 'keep', 'default', a mapping of paths or a function"),
        ({"codecs": ["gzip"]}, "codecs must be 'keep', 'default', a mapping"),
        ({"chunks": (10, 2)}, r"chunks must be a mapping of paths or a function .*\(10, 2\)"),
        ({"chunks": "auto"}, "chunks must be a mapping of paths or a function"),
        ({"chunks": True}, "chunks must be a mapping of paths"),
        ({"shards": "AUTO"}, "shards must be 'auto', a mapping of paths or a function"),
        ({"shards": (10, 2)}, "shards must be 'auto', a mapping"),
        ({"shards": {1: (10, 2)}}, "shards: a path must be text, found 1"),
        ({"chunks": {("a",): (10, 2)}}, r"chunks: a path must be text, found \('a',\)"),
        ({"codecs": {None: "keep"}}, "codecs: a path must be text, found None"),
    ],
)
def test_layouts_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        LayoutOptions(**options)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(OptionError) as caught:
        LayoutOptions(chunks=list(range(10_000)))  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250


# -- of one dataset --------------------------------------------------------------------------------


def test_by_default_all_is_kept() -> None:
    assert LayoutOptions().of("a/data", DATA) == DatasetOptions(
        codecs="keep", chunks=None, shards=None
    )


def test_words_count_for_every_dataset() -> None:
    found = LayoutOptions(codecs="default", shards="auto").of("a/data", DATA)
    assert found == DatasetOptions(codecs="default", chunks=None, shards="auto")


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("a/data", True),
        ("/a/data", True),
        ("//a/data", True),
        ("*/data", True),
        ("*", True),
        ("a/dat?", True),
        ("a/[cd]ata", True),
        ("A/data", False),
        ("a/data/", False),
        ("data", False),
        ("a", False),
        ("", False),
    ],
)
def test_a_path_may_be_a_pattern(pattern: str, *, fits: bool) -> None:
    found = LayoutOptions(chunks={pattern: (5, 2)}).of("a/data", DATA)
    assert found.chunks == ((5, 2) if fits else None)


def test_the_first_pattern_that_fits_counts() -> None:
    options = LayoutOptions(chunks={"a/*": (5, 2), "a/data": (1, 1)}, codecs={"b": "default"})
    assert options.of("a/data", DATA) == DatasetOptions(codecs="keep", chunks=(5, 2))
    assert options.of("b", DATA) == DatasetOptions(codecs="default")


def test_none_in_a_mapping_keeps_what_the_dataset_has() -> None:
    options = LayoutOptions(codecs={"a": None, "*": "default"}, chunks={"a": None, "*": (2, 2)})
    assert options.of("a", DATA) == DatasetOptions()
    assert options.of("b", DATA) == DatasetOptions(codecs="default", chunks=(2, 2))


def test_a_function_is_called_with_the_path_and_the_dataset() -> None:
    seen: list[tuple[str, Any]] = []

    def chunks(path: str, dataset: Any) -> tuple[int, ...]:
        seen.append((path, dataset))
        return tuple(dataset.shape)

    assert LayoutOptions(chunks=chunks).of("a/data", DATA).chunks == (10, 4)
    ((path, dataset),) = seen
    assert path == "/a/data"
    assert dataset is DATA


def test_a_function_may_leave_a_dataset_as_it_is() -> None:
    nothing = LayoutOptions(codecs=lambda *_: None, chunks=lambda *_: None, shards=lambda *_: None)
    assert nothing.of("a", DATA) == DatasetOptions()


def test_sizes_become_tuples_of_integers() -> None:
    found = LayoutOptions(chunks={"a": [np.int64(5), 2]}, shards={"a": (10, np.uint8(4))}).of(
        "a", DATA
    )
    assert (found.chunks, found.shards) == ((5, 2), (10, 4))
    assert all(type(size) is int for size in (*found.chunks, *found.shards))  # type: ignore[misc]


@pytest.mark.parametrize("name", ["chunks", "shards"])
@pytest.mark.parametrize("sizes", [(5,), (5, 2, 1), (0, 1), ("5", 2)])
def test_sizes_that_do_not_fit_the_dataset_are_refused(name: str, sizes: Any) -> None:
    with pytest.raises(ValueError, match=name):
        LayoutOptions(**{name: {"a": sizes}}).of("a", DATA)


# -- paths that are there --------------------------------------------------------------------------


def test_a_path_of_no_dataset_is_an_error() -> None:
    options = LayoutOptions(chunks={"/a/data": (1, 1), "b/*": (1, 1)})
    options.check_paths(["a/data", "b/data"])
    with pytest.raises(OptionError, match=r"chunks: 'b/\*' is the path of no dataset"):
        options.check_paths(["a/data"])
    with pytest.raises(OptionError, match="chunks: '/a/data' is the path of no dataset"):
        options.check_paths(iter([]))


@pytest.mark.parametrize("name", ["codecs", "chunks", "shards"])
def test_the_paths_of_each_option_are_looked_at(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}: 'c'"):
        LayoutOptions(**{name: {"c": None}}).check_paths(["a"])


def test_functions_and_words_name_no_paths() -> None:
    LayoutOptions(codecs="default", chunks=lambda *_: None, shards="auto").check_paths([])
