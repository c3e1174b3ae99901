"""The tables that benchmarks measure have their places in the docs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "figures.md"


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "figures", ROOT / "benchmarks" / "figures.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_benchmark_has_its_place(figures):
    begun = re.findall(r"<!-- begin (\S+) -->", PAGE.read_text())
    ended = re.findall(r"<!-- end (\S+) -->", PAGE.read_text())
    assert begun == ended == list(dict.fromkeys(begun))
    assert set(begun) == set(figures.BENCHMARKS)
    for script, *_ in figures.BENCHMARKS.values():
        assert (ROOT / "benchmarks" / script).is_file()


def test_a_table_takes_the_place_of_the_one_before(figures, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "one\n<!-- begin a -->\nold\n<!-- end a -->\n<!-- begin b -->\n<!-- end b -->\n"
    )
    figures.put(page, "a", r"| 1.2\1 |")
    figures.put(page, "b", "two")
    assert page.read_text() == (
        "one\n<!-- begin a -->\n| 1.2\\1 |\n<!-- end a -->\n<!-- begin b -->\ntwo\n<!-- end b -->\n"
    )
    with pytest.raises(SystemExit, match="no place for 'c'"):
        figures.put(page, "c", "")
