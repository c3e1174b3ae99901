"""What a server does in place of sending a value is one of our errors, and an `OSError`."""

from __future__ import annotations

import pytest

from hdmf_zarr.errors import (
    ForbiddenError,
    HDMFZarrError,
    OptionError,
    RemoteStoreError,
    StoreNotFoundError,
)
from hdmf_zarr.stores.answers import answers

aiohttp = pytest.importorskip("aiohttp")


class Answer(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


BROKEN = [
    aiohttp.ClientPayloadError("the body is not complete"),
    aiohttp.ServerDisconnectedError(),
    ConnectionResetError("reset"),
    TimeoutError("late"),
    TimeoutError(),
    EOFError(),
    Answer(429),
    Answer(500),
    Answer(503),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: f"{type(error).__name__} {error}")
def test_a_transfer_that_fails_is_an_error_of_ours(error: Exception) -> None:
    with pytest.raises(RemoteStoreError, match="s3://bucket/a.zarr:/c.0") as found:
        with answers("s3://bucket/a.zarr:/c.0"):
            raise error
    assert isinstance(found.value, OSError)
    assert found.value.__cause__ is error


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_a_permission_error(status: int) -> None:
    with pytest.raises(ForbiddenError) as found, answers("here"):
        raise Answer(status)
    assert isinstance(found.value, PermissionError)


@pytest.mark.parametrize("error", [StoreNotFoundError("x"), KeyError("x"), TypeError("x")])
def test_what_says_something_else_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as found, answers("here"):
        raise error
    assert found.value is error
    assert isinstance(found.value, HDMFZarrError) == isinstance(error, HDMFZarrError)


def test_what_is_missing_is_an_error_of_ours() -> None:
    with pytest.raises(StoreNotFoundError, match="here: no such bucket"), answers("here"):
        raise FileNotFoundError("no such bucket")


def test_an_option_that_a_client_does_not_know_is_named() -> None:
    config = pytest.importorskip("botocore.config")
    with pytest.raises(OptionError, match="here: .*storage_options.*unknown_name"), answers("here"):
        config.Config(unknown_name="x")
