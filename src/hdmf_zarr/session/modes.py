"""The modes in which a store is opened."""

from __future__ import annotations

from typing import Literal

from hdmf_zarr.errors import OptionError

Mode = Literal["r", "r-", "r+", "a", "w", "w-", "x"]

MODES: dict[str, str] = {
    "r": "read",
    "r-": "read without the consolidated metadata",
    "r+": "read and append; the store must exist",
    "a": "read and append; the store is created if need be",
    "w": "write; a store that exists is replaced",
    "w-": "write; the store must not exist",
    "x": "write; the store must not exist",
}
CREATING_MODES = frozenset({"w", "w-", "x"})
READING_MODES = frozenset({"r", "r-"})
APPENDING_MODES = frozenset({"r+", "a"})


def checked_mode(mode: str) -> str:
    """Return the mode if it is valid.

    Raises
    ------
    OptionError
        If there is no such mode.
    """
    if mode not in MODES:
        known = ", ".join(f"{name!r} ({what})" for name, what in MODES.items())
        raise OptionError(f"unknown mode {mode!r}; choose one of: {known}")
    return mode
