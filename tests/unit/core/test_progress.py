"""A callback of progress that does nothing."""

from __future__ import annotations

from hdmf_zarr.core.progress import Progress, no_progress


def test_no_progress_is_a_callback_of_bytes() -> None:
    callback: Progress = no_progress
    callback(0)
    callback(2**40)
