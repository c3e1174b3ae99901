"""The examples in docstrings say what happens."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import hdmf_zarr

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(hdmf_zarr.__path__, prefix="hdmf_zarr.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_give_what_they_show(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
