"""The options of a write and of an export, as frozen values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from hdmf_zarr.core.progress import Progress, no_progress
from hdmf_zarr.write.planning.export_options import PlanOptions, check_switches, require_bool
from hdmf_zarr.write.planning.plan import Planned
from hdmf_zarr.write.queue import ZarrIODataChunkIteratorQueue

OnPlan = Callable[[Planned], None]
"""Called with the plan before anything is written."""


@dataclass(frozen=True, kw_only=True)
class WriteOptions(PlanOptions):
    """The options of `ZarrIO.write`, described there.

    Attributes
    ----------
    cache_spec, exhaust_dci, consolidate_metadata, dandi : bool
    durable : bool or None
    queue : ZarrIODataChunkIteratorQueue
        Queue that exhausts iterators, with its workers.
    progress : callable
    on_plan : callable or None

    Raises
    ------
    OptionError
        If the value of an option is invalid.
    """

    cache_spec: bool = True
    exhaust_dci: bool = True
    consolidate_metadata: bool = True
    dandi: bool = False
    durable: bool | None = None
    queue: ZarrIODataChunkIteratorQueue = field(default_factory=ZarrIODataChunkIteratorQueue)
    progress: Progress | None = None
    on_plan: OnPlan | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "cache_spec", "exhaust_dci", "consolidate_metadata", "dandi")
        if self.durable is not None:
            require_bool("durable", self.durable)

    def copying_for_archive(self) -> Self:
        """Return the options of a write; for the DANDI archive it copies linked arrays."""
        return replace(self, link_data=False) if self.dandi else self

    @property
    def reporter(self) -> Progress:
        """Function that is called with the bytes just written."""
        return self.progress or no_progress


@dataclass(frozen=True, kw_only=True)
class ExportOptions(WriteOptions):
    """The options of `ZarrIO.export`, described there.

    Attributes
    ----------
    clear_cache : bool
    link_data, durable : bool
        False by default, unlike in a write.

    Raises
    ------
    OptionError
        If the value of an option is invalid.
    """

    clear_cache: bool = False
    link_data: bool = False
    durable: bool | None = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switches(self, "clear_cache", "durable")
