"""Refuses invalid names, and warns once about names that other systems change."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from hdmf_zarr.core.system import keeps_case
from hdmf_zarr.errors import EncodingError
from hdmf_zarr.stores import keys
from hdmf_zarr.write.planning.context import PlanContext

MOST_NAMED = 5
"""Most names that a warning lists."""


class NameCheck:
    """Checks the names of the objects in a plan.

    Parameters
    ----------
    context : PlanContext
    """

    def __init__(self, context: PlanContext) -> None:
        self._context = context
        self._kept: dict[str, None] = {}

    def check(self, parent: str, name: str) -> None:
        """Refuse a name that the store cannot keep.

        Parameters
        ----------
        parent : str
            Path of the group.
        name : str

        Raises
        ------
        EncodingError
        """
        reason = keys.why_unsafe(name)
        if reason is None and not keys.is_node_path(f"{parent}/{name}".lstrip("/")):
            reason = "it leads out of the store"
        if reason is None and self._is_windows_folder:
            reason = keys.why_not_portable(name)
        if reason is not None:
            raise EncodingError(
                f"an object cannot have the name {name!r}: {reason}; choose another name"
            )
        changed = keys.why_changed(name)
        if changed is not None:
            self._kept[f"{name!r} ({changed})"] = None

    def check_together(self, together: Iterable[str], new: set[str]) -> None:
        """Refuse names in one group that the file system cannot distinguish.

        Parameters
        ----------
        together : iterable of str
            All names in the group.
        new : set of str
            Names that are not in the store yet.

        Raises
        ------
        EncodingError
        """
        for first, second in keys.differing_in_case(together):
            if first not in new and second not in new:
                continue
            how = "they differ only in case, or in how their letters are composed"
            found = f"{first!r} and {second!r} ({how})"
            if not self._keeps_case:
                raise EncodingError(
                    f"{found}: the file system keeps only one of the two; choose another name"
                )
            self._kept[found] = None

    def warn(self) -> None:
        """Warn once about all names that are not valid on every operating system."""
        if not self._kept:
            return
        source = self._context.export_source
        where = self._context.destination.uri + (f" (from {source.uri})" if source else "")
        kept = list(self._kept)
        more = f" and {len(kept) - MOST_NAMED} more" if len(kept) > MOST_NAMED else ""
        warnings.warn(
            f"{where}: not every system keeps the names {', '.join(kept[:MOST_NAMED])}{more}; they are kept "
            "here, and may be lost where the store is copied to",
            UserWarning,
            stacklevel=2,
        )

    @property
    def _is_windows_folder(self) -> bool:
        return os.name == "nt" and self._context.destination.is_local

    @cached_property
    def _keeps_case(self) -> bool:
        destination = self._context.destination
        return not destination.is_local or keeps_case(Path(destination.uri).parent)
