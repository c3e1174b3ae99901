"""Stores -> stores without decoding what need not be decoded."""

from __future__ import annotations

from hdmf_zarr.transfer.upgrading import Upgraded, upgrade

__all__ = ["Upgraded", "upgrade"]
