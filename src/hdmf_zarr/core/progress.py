"""The type of progress callbacks."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int], None]
"""Callback that receives the number of bytes just written or read."""


def no_progress(_count: int) -> None:
    """Do nothing."""
