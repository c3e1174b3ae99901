"""What a plan needs to know, for a destination in which nothing is yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hdmf_zarr.convention import convention_for_format
from hdmf_zarr.stores.location import Location
from hdmf_zarr.write.planning.context import PlanContext
from hdmf_zarr.write.planning.export_options import PlanOptions

MakeContext = Callable[..., PlanContext]


@pytest.fixture
def destination(tmp_path: Path) -> Location:
    return Location(str(tmp_path / "new.nwb.zarr"), is_local=True)


@pytest.fixture
def make_context(destination: Location) -> MakeContext:
    """Returns a context; what is not said is that of a write of builders that are new."""

    def make(*, zarr_format: int = 3, **known: Any) -> PlanContext:
        said: dict[str, Any] = {
            "destination": destination,
            "existing": None,
            "convention": convention_for_format(zarr_format),
            "is_written": lambda _builder: False,
            "manager": None,
            "options": PlanOptions(),
        }
        return PlanContext(**{**said, **known})

    return make
