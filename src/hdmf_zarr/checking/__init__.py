"""Checks and repairs of a store."""

from __future__ import annotations

from hdmf_zarr.checking.report import Finding, Report
from hdmf_zarr.checking.run import check

__all__ = ["Finding", "Report", "check"]
