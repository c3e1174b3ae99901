"""How many examples the properties are tried with."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "hdmf_zarr",
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("hdmf_zarr")
