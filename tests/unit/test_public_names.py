"""The names at the top of the package, and that no module takes one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hdmf_zarr
from hdmf_zarr.conversion import convert
from hdmf_zarr.description import describe
from hdmf_zarr.transfer import upgrade

SOURCE = Path(hdmf_zarr.__file__).parent


def test_functions_at_the_top_are_those_of_their_modules() -> None:
    assert hdmf_zarr.convert is convert
    assert hdmf_zarr.info is describe
    assert hdmf_zarr.upgrade is upgrade
    assert set(hdmf_zarr.__all__) <= set(dir(hdmf_zarr))


def test_no_module_has_the_name_of_a_function_at_the_top() -> None:
    names = {path.stem for path in SOURCE.rglob("*.py")} | {
        path.parent.name for path in SOURCE.rglob("__init__.py")
    }
    assert not names & {"convert", "upgrade", "check", "info"}


def test_importing_the_package_imports_no_module_of_a_lazy_function() -> None:
    code = "import sys, hdmf_zarr; print([m for m in sys.modules if m == 'hdmf_zarr.transfer'])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hdmf_zarr.nothing  # noqa: B018
